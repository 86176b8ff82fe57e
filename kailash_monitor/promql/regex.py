"""Regular expressions of RE2, as Prometheus uses them: on whole values, and never with run-away backtracking.

What is asked of a value is compared as text where that is enough, left to Python's `re` where its time is certain to be
linear, and found by a machine of our own else; all three mean the same.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Final

from kailash_monitor.promql.regex_literals import literal_fits, plain_texts
from kailash_monitor.promql.regex_machine import Machine
from kailash_monitor.promql.regex_syntax import Expression, parse
from kailash_monitor.promql.regex_translation import translated

__all__ = ["Captures", "accepts_empty", "capturing", "expand", "fits"]

_REMEMBERED: Final = 256
"""Expressions that are kept compiled: more than the rules and dashboards of a program of this kind have."""


@lru_cache(_REMEMBERED)
def fits(pattern: str) -> Callable[[str], bool]:
    """Give what tells whether a value fits an expression from its beginning to its end; `.` stands for a line feed too.

    A ValueError is worded as Go words it: ``error parsing regexp: missing closing ): `(a` ``.
    """
    if (texts := plain_texts(pattern)) is not None:
        return texts.__contains__
    expression = parse(pattern)
    if (fits_literally := literal_fits(expression.tree)) is not None:
        return fits_literally
    if (compiled := translated(expression.tree, captures=False)) is not None:
        fullmatch = compiled.fullmatch
        return lambda value: fullmatch(value) is not None
    return Machine(expression, pattern).fits


@dataclass(frozen=True, slots=True)
class Captures:
    """What the groups of an expression hold of a value, of which `texts[0]` is all.

    None is a group that had no part in the match. `names` are those of the groups in the same order, empty for none.
    """

    texts: tuple[str | None, ...]
    names: tuple[str, ...]

    def numbered(self, number: int) -> str:
        """Give the text of a group by its number, from 1; empty if it had no part in the match, or there is none."""
        return (self.texts[number] or "") if number < len(self.texts) else ""

    def named(self, name: str) -> str:
        """Give the text of the first group of that name which had part in the match; else the empty text."""
        return next((text for text, own in zip(self.texts, self.names, strict=True) if own == name and text is not None), "")


@lru_cache(_REMEMBERED)
def capturing(pattern: str) -> Callable[[str], Captures | None]:
    """Give what finds the groups of an expression in a value that it fits as a whole, and None in one that it does not.

    Of several ways to match, it is the one that Perl finds first, as in Go. A ValueError is worded as Go words it where
    Prometheus compiles the same: ``error parsing regexp: missing closing ): `^(?s:(a)$` ``.
    """
    expression = _anchored(pattern)
    names = expression.names
    if (compiled := translated(expression.tree, captures=True)) is not None:
        fullmatch = compiled.fullmatch

        def find(value: str) -> Captures | None:
            match = fullmatch(value)
            return match and Captures((value, *match.groups()), names)

        return find
    machine = Machine(expression, f"^(?s:{pattern})$")

    def run(value: str) -> Captures | None:
        spans = machine.spans(value)
        return None if spans is None else Captures(tuple([span and value[slice(*span)] for span in spans]), names)

    return run


def _anchored(pattern: str) -> Expression:
    """The expression, with the errors that Prometheus has for label_replace.

    One that closes the parenthesis which Prometheus puts around it is refused here, though it can be compiled there.
    """
    try:
        return parse(pattern)
    except ValueError:
        parse(f"^(?s:{pattern})$")
        raise


def expand(template: str, captures: Captures) -> str:
    """Put the texts of groups into a template where it says `$1`, `${1}`, `$name` or `${name}`; `$$` is a dollar sign.

    A name is as long as it can be: `$1x` means `${1x}`. What is none leaves the dollar sign as it is (Go's Regexp.Expand).
    """
    parts: list[str] = []
    place = 0
    while (dollar := template.find("$", place)) >= 0:
        text, end = _variable(template, dollar + 1, captures)
        parts += (template[place:dollar], text)
        place = end
    return "".join((*parts, template[place:]))


def _variable(template: str, place: int, captures: Captures) -> tuple[str, int]:
    """What a dollar sign and what comes after it, at `place`, stand for, and where that ends."""
    if template.startswith("$", place):
        return "$", place + 1
    braces = template.startswith("{", place)
    name = "".join(takewhile(_is_of_name, template[place + braces :]))
    end = place + braces + len(name)
    if not name or (braces and not template.startswith("}", end)):
        return "$", place
    is_number = name.isascii() and name.isdigit() and (name == "0" or name[0] != "0") and len(name) < 10
    return captures.numbered(int(name)) if is_number else captures.named(name), end + braces


def _is_of_name(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdecimal()


_PIECE: Final = re.compile(
    r"""(?P<empty> \^ | \$ | \\[AzB] | \(\?[imsU-]+\) )
      | (?P<open> \( (?: \?(?:P?<\w*> | [imsU-]*:) )? )
      | (?P<close> \) )
      | (?P<bar> \| )
      | (?P<quote> \\Q (?P<literal>.*?) (?:\\E|\Z) )
      | (?P<other> \[\^?\]?(?:\[:\^?\w+:\] | \\. | [^\]\\])*+\]? | \\[pPx]\{\w*\} | \\. | . )""",
    re.VERBOSE | re.DOTALL,
)
_OPTIONAL: Final = re.compile(r"(?: [*?] | \{0+(?:,\d*)?\} )\??", re.VERBOSE)
_REPEATED: Final = re.compile(r"(?: \+ | \{\d+(?:,\d*)?\} )\??", re.VERBOSE)


def accepts_empty(pattern: str) -> bool:
    """Whether `pattern`, an RE2 expression that must fit the whole value, fits the empty one.

    It is read once from left to right, whatever it says; that it can be compiled is for others to find out.
    """
    groups: list[tuple[bool, bool]] = []
    some, here = False, True  # whether an earlier alternative fits the empty text, and whether this one does so far
    place = 0
    while place < len(pattern) and (piece := _PIECE.match(pattern, place)):
        place = piece.end()
        match piece.lastgroup:
            case "open":
                groups.append((some, here))
                some, here = False, True
                continue
            case "bar":
                some, here = some or here, True
                continue
            case "close" if groups:
                fits = some or here
                some, here = groups.pop()
            case "empty":
                fits = True
            case "literal" | "quote":
                fits = not piece["literal"]
            case _:
                fits = False
        while repeat := _OPTIONAL.match(pattern, place) or _REPEATED.match(pattern, place):
            fits = fits or _OPTIONAL.match(pattern, place) is not None
            place = repeat.end()
        here = here and fits
    return some or here
