"""Tokens: the words of a template's actions, and the text between them."""

import re
from collections.abc import Generator, Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from kailash_monitor.promql.quoting import quoted

__all__ = ["Kind", "Token", "tokens"]


class Kind(Enum):
    """What a token is. KEYWORD, NIL and DOT are words of the language; ERROR's text is the message."""

    ERROR = auto()
    END = auto()
    TEXT = auto()
    OPENING = auto()
    CLOSING = auto()
    SPACE = auto()
    ASSIGN = auto()
    DECLARE = auto()
    PIPE = auto()
    OPEN_PAREN = auto()
    CLOSE_PAREN = auto()
    CHARACTER = auto()
    FIELD = auto()
    VARIABLE = auto()
    IDENTIFIER = auto()
    BOOL = auto()
    NUMBER = auto()
    COMPLEX = auto()
    RUNE = auto()
    STRING = auto()
    RAW_STRING = auto()
    KEYWORD = auto()
    NIL = auto()
    DOT = auto()


_WORDS: Final = {"true": Kind.BOOL, "false": Kind.BOOL, "nil": Kind.NIL} | dict.fromkeys(
    ("block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"), Kind.KEYWORD
)
_SHOWN: Final = 10
"""Characters of a token that an error text shows."""


class Token(NamedTuple):
    """One token, at `place` in the text."""

    kind: Kind
    place: int
    text: str

    def described(self) -> str:
        """Give the token as Go's error texts name it."""
        if self.kind is Kind.END:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind in (Kind.KEYWORD, Kind.NIL, Kind.DOT):
            return f"<{self.text}>"
        if len(self.text.encode("utf-8", "surrogatepass")) > _SHOWN:
            return f"{quoted(self.text[:_SHOWN])}..."
        return quoted(self.text)


_SPACES: Final = " \t\r\n"
_BEFORE: Final = re.compile(r"-[ \t\r\n]")
"""What, right after `{{`, trims the text before it."""
_CLOSING: Final = re.compile(r"([ \t\r\n]-)?\}\}")
_SPACE: Final = re.compile(r"[ \t\r\n]+")

_ACTION: Final = re.compile(
    r"""(?P<SPACE> [ \t\r\n]+ )
      | (?P<DECLARE> := )
      | (?P<ASSIGN> = )
      | (?P<PIPE> \| )
      | (?P<OPEN_PAREN> \( )
      | (?P<CLOSE_PAREN> \) )
      | (?P<STRING> " (?: [^"\\\n] | \\[^\n] )*+ " )
      | (?P<RAW_STRING> ` [^`]*+ ` )
      | (?P<RUNE> ' (?: [^'\\\n] | \\[^\n] )*+ ' )
      | (?P<VARIABLE> \$\w*+ )
      | (?P<FIELD> \.(?![0-9]|\Z)\w*+ )
      | (?P<NUMBER> [0-9.+-] )
      | (?P<IDENTIFIER> \w++ )
      | (?P<CHARACTER> [\x21-\x7e] )""",
    re.VERBOSE,
)
_TERMINATED: Final = re.compile(r"[ \t\r\n.,|:()]|\}\}|\Z")
"""What may follow a name."""

_UNTERMINATED: Final = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
    ":": "expected :=",
}


def tokens(text: str) -> Iterator[Token]:
    """Give the tokens of a template. The last is of kind END or ERROR."""
    place = 0
    while (opening := text.find("{{", place)) >= 0:
        inside = opening + 2
        before = text[place:opening]
        if _BEFORE.match(text, inside):
            before = before.rstrip(_SPACES)
            inside += 2
        if before:
            yield Token(Kind.TEXT, place, before)
        if text.startswith("/*", inside):
            end, problem = _after_comment(text, inside)
            if problem:
                yield Token(Kind.ERROR, inside, problem)
                return
        else:
            yield Token(Kind.OPENING, opening, "{{")
            end = yield from _action(text, inside)
            if end < 0:
                return
        place = end
    if place < len(text):
        yield Token(Kind.TEXT, place, text[place:])
    yield Token(Kind.END, len(text), "")


def _after_comment(text: str, start: int) -> tuple[int, str]:
    """Where the text goes on after the comment at `start`, or what is wrong with it."""
    end = text.find("*/", start + 2)
    if end < 0:
        return start, "unclosed comment"
    closing = _CLOSING.match(text, end + 2)
    if closing is None:
        return start, "comment ends before closing delimiter"
    return _after_closing(text, closing), ""


def _after_closing(text: str, closing: re.Match[str]) -> int:
    """Where the text goes on after `}}`."""
    space = _SPACE.match(text, closing.end()) if closing[1] else None
    return space.end() if space else closing.end()


def _action(text: str, place: int) -> Generator[Token, None, int]:
    """The tokens of an action, which begins at `place`; then where the text goes on, below 0 after an ERROR."""
    depth = 0
    while not (closing := _CLOSING.match(text, place)):
        found = _ACTION.match(text, place)
        if found is None:
            yield Token(Kind.ERROR, place, _refused(text, place))
            return -1
        kind, word, place = Kind[found.lastgroup or ""], found[0], found.end()
        if kind is Kind.SPACE and _CLOSING.match(text, place - 1):
            place -= 1  # it belongs to the trim marker
            word = word[:-1]
        elif kind in (Kind.IDENTIFIER, Kind.VARIABLE, Kind.FIELD):
            kind, problem = _name_kind(kind, word), _bad_end(text, place)
            if problem:
                yield Token(Kind.ERROR, found.start(), problem)
                return -1
        elif kind is Kind.NUMBER:
            token = _number(text, found.start())
            kind, word, place = token.kind, token.text, token.place + len(token.text)
        elif kind in (Kind.OPEN_PAREN, Kind.CLOSE_PAREN):
            depth += 1 if kind is Kind.OPEN_PAREN else -1
            if depth < 0:
                kind, word = Kind.ERROR, "unexpected right paren"
        elif kind is Kind.CHARACTER and word in _UNTERMINATED:
            kind, word = Kind.ERROR, _UNTERMINATED[word]
        yield Token(kind, found.start(), word)
        if kind is Kind.ERROR:
            return -1
    if depth:
        yield Token(Kind.ERROR, place, "unclosed left paren")
        return -1
    yield Token(Kind.CLOSING, closing.end() - 2, "}}")
    return _after_closing(text, closing)


def _name_kind(kind: Kind, word: str) -> Kind:
    if word == ".":
        return Kind.DOT
    return _WORDS.get(word, kind) if kind is Kind.IDENTIFIER else kind


def _bad_end(text: str, end: int) -> str:
    """What is wrong with the character after a name; empty where nothing is."""
    return "" if _TERMINATED.match(text, end) else f"bad character {_character(text[end])}"


_ONE_NUMBER: Final = re.compile(
    r"""[+-]?(?: 0[xX][0-9a-fA-F_]*+(?:\.[0-9a-fA-F_]*+)?(?:[pP][+-]?[0-9_]*+)?
               | 0[oO][0-7_]*+(?:\.[0-7_]*+)? | 0[bB][01_]*+(?:\.[01_]*+)?
               | [0-9_]*+(?:\.[0-9_]*+)?(?:[eE][+-]?[0-9_]*+)? ) i?""",
    re.VERBOSE,
)
_NAME_CHARACTER: Final = re.compile(r"\w")


def _number(text: str, start: int) -> Token:
    """The number at `start`; whether it is one, the parser finds out."""
    end = _number_end(text, start)
    kind = Kind.NUMBER
    if text[end : end + 1] in ("+", "-"):
        kind, end = Kind.COMPLEX, _number_end(text, end)
    if _NAME_CHARACTER.match(text, end) or (kind is Kind.COMPLEX and text[end - 1] != "i"):
        end += 1 if _NAME_CHARACTER.match(text, end) else 0
        return Token(Kind.ERROR, start, f"bad number syntax: {quoted(text[start:end])}")
    return Token(kind, start, text[start:end])


def _number_end(text: str, start: int) -> int:
    found = _ONE_NUMBER.match(text, start)
    assert found is not None, "no digits are enough"
    return found.end()


def _refused(text: str, place: int) -> str:
    if place == len(text):
        return "unclosed action"
    return f"unrecognized character in action: {_character(text[place])}"


def _character(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"{code} '{character}'" if character.isprintable() else code
