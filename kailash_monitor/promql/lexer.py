"""Tokens: the words, numbers, strings and signs of a PromQL text, each with its place."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from kailash_monitor.promql.functions import AGGREGATORS
from kailash_monitor.promql.operators import OPERATORS
from kailash_monitor.promql.quoting import quoted

__all__ = ["DURATION", "END", "ERROR", "NAME", "NUMBER", "RULE_NAME", "STRING", "Token", "tokens"]

NAME: Final = "identifier"
RULE_NAME: Final = "metric identifier"
"""A name with a colon in it, which only a metric has."""
NUMBER: Final = "number"
DURATION: Final = "duration"
STRING: Final = "string"
END: Final = "end of input"
ERROR: Final = "error"
"""What cannot be a token; its text is the message. Nothing comes after it."""

_NAMED: Final = frozenset({NAME, RULE_NAME, NUMBER, DURATION, STRING})


class Token(NamedTuple):
    """One token. `kind` is one of the constants here or, for a sign or a keyword, itself (in lower case)."""

    kind: str
    text: str
    start: int
    end: int

    def described(self) -> str:
        """Give the token as error texts name it."""
        if self.kind == END:
            return END
        if self.kind in _NAMED:
            return f"{self.kind} {self._shown()}"
        if self.kind in AGGREGATORS:
            return f"<aggr:{self.text}>"
        if self.kind in OPERATORS or self.kind in ("@", "=~", "!~"):
            return f"<op:{self.text}>"
        return f"<{self.text}>" if self.kind in _KEYWORDS or self.kind in _FILLS else quoted(self.text)

    def _shown(self) -> str:
        long = len(self.text) > 10 and self.kind not in (NAME, RULE_NAME)
        return f"{quoted(self.text[:10])}..." if long else quoted(self.text)


_KEYWORDS: Final = frozenset(
    {"offset", "smoothed", "anchored", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"}
)
_FILLS: Final = frozenset({"fill", "fill_left", "fill_right"})  # keywords only before "(": series may be called so
_CALLED: Final = frozenset({"start", "end", "step", "range", "max_of", "min_of"})
_WORDS: Final = {
    word: word for words in (_KEYWORDS, _FILLS, _CALLED, AGGREGATORS, ("and", "or", "unless", "atan2")) for word in words
} | {"inf": NUMBER, "nan": NUMBER}
"""The words that are not just names, in lower case: PromQL reads them in any case."""

_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*+")

_QUOTED: Final = r"""
    (?P<string> "(?: [^"\\\n] | \\. )*+" | '(?: [^'\\\n] | \\. )*+' | `[^`]*` )"""
_NUMERIC: Final = r"""
    (?= \.?[0-9] )
    (?: (?P<duration> (?: 0[xX][0-9a-fA-F_]* | [0-9_.]*(?:[eE][+-]?[0-9_]*)? )
                      [smhdwy]s? (?:[0-9]+[smhdw]s?)* ) (?![0-9A-Za-z_])
      | (?P<number> 0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*
                  | (?: [0-9]+(?:_[0-9]+)*(?:\.(?:[0-9]+(?:_[0-9]+)*)?)? | \.[0-9]+(?:_[0-9]+)* )
                    (?:[eE][+-]?[0-9]+(?:_[0-9]+)*)? ) (?![0-9A-Za-z_.]) )"""

_STATEMENT: Final = re.compile(
    rf"""(?P<word> [A-Za-z_:][A-Za-z0-9_:]*)
       | (?P<sign> [,+*/%^(){{@\[-] | == | != | <=? | >=? | =(?!~) )
       | {_NUMERIC} | {_QUOTED}""",
    re.VERBOSE | re.DOTALL,
)
_BRACES: Final = re.compile(
    rf"""(?P<identifier> [A-Za-z_][A-Za-z0-9_]* )
       | (?P<sign> =~ | !~ | != | [=,}}] )
       | {_QUOTED}""",
    re.VERBOSE | re.DOTALL,
)
_BRACKETS: Final = re.compile(
    rf"""(?P<sign> [-+*/%^(),:\]] )
       | (?P<word> (?: max_of | min_of | range | step )(?![A-Za-z0-9_]) )
       | {_NUMERIC}""",
    re.VERBOSE | re.IGNORECASE,
)
_PATTERN_AFTER: Final = {"{": _BRACES, "}": _STATEMENT, "[": _BRACKETS, "]": _STATEMENT}
_DEEPER: Final = {"(": 1, ")": -1}

_BAD_NUMBER: Final = re.compile(
    r"(?=\.?[0-9])(?:0[xX][0-9a-fA-F_.]*|[0-9_.]+(?:[eE][+-]?[0-9_]*)?(?:[smhdwy]s?(?:[0-9]+[smhdw]s?)*.?)?)", re.DOTALL
)


def tokens(text: str) -> Iterator[Token]:
    """Give the tokens of `text`, the last of kind END or ERROR. Spaces and comments are left out."""
    pattern, parens, place, kind = _STATEMENT, 0, 0, ""
    while found := pattern.match(text, start := _after_space(text, place)):
        kind, word, place = found.lastgroup or "", found[0], found.end()
        if kind == "sign":
            kind = word
            pattern = _PATTERN_AFTER.get(word, pattern)
            parens += _DEEPER.get(word, 0)
            if parens < 0:
                yield Token(ERROR, "unexpected right parenthesis ')'", place, len(text))
                return
        elif kind == "word":
            kind = _word_kind(word, text, place)
        elif kind == STRING and not word.isascii() and any("\ud800" <= character < "\ue000" for character in word):
            yield Token(ERROR, "invalid UTF-8 rune", start, len(text))
            return
        yield Token(kind, word, start, place)
    yield _refused(text, start, pattern, parens=parens, last=kind)


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    assert found is not None, "no spaces are enough"
    return found.end()


def _word_kind(word: str, text: str, end: int) -> str:
    kind = _WORDS.get(word.lower())
    if kind is None or (kind in _FILLS and not text.startswith("(", _after_space(text, end))):
        return RULE_NAME if ":" in word else NAME
    return kind


def _refused(text: str, start: int, pattern: re.Pattern[str], *, parens: int, last: str) -> Token:
    """The end of the text, or what is wrong at `start`, worded as Prometheus words it."""
    here = text[start : start + 1]
    if not here and pattern is _STATEMENT and not parens:
        return Token(END, "", start, start)
    if not here:
        message = _unclosed(pattern, parens, last)
    elif here in "\"'":
        message = "unterminated quoted string"
    elif here == "`":
        message = "unterminated raw string"
    elif pattern is _BRACES:
        message = _not_in_braces(text, start)
    elif bad := _BAD_NUMBER.match(text, start):
        message = f"bad number or duration syntax: {quoted(bad[0])}"
    elif pattern is _BRACKETS:
        message = f"unexpected character in duration expression: {_character(here)}"
    elif here == "]":
        message = "unexpected right bracket ']'"
    elif here in "=!":
        message = f"unexpected character after '{here}': {_character(text[start + 1 : start + 2])}"
    else:
        message = f"unexpected character: {_character(here)}"
    return Token(ERROR, message, start, len(text))


def _unclosed(pattern: re.Pattern[str], parens: int, last: str) -> str:
    if pattern is _BRACES:
        return "unexpected end of input inside braces"
    if pattern is _BRACKETS and last not in (NUMBER, DURATION):
        return "unexpected end of input in duration expression"
    return "unclosed left parenthesis" if parens else "unclosed left bracket"


def _not_in_braces(text: str, start: int) -> str:
    here = text[start]
    if here == "{":
        return "unexpected left brace '{'"
    if here == "!":
        return f"unexpected character after '!' inside braces: {_character(text[start + 1 : start + 2])}"
    return f"unexpected character inside braces: {_character(here)}"


def _character(character: str) -> str:
    escaped = quoted(character)[1:-1].replace('\\"', '"')
    return "'" + ("\\'" if character == "'" else escaped or "\\x00") + "'"
