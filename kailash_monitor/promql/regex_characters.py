"""Sets of characters, as the classes of regular expressions name them."""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby, pairwise
from typing import Final

__all__ = ["ANY", "END", "NOTHING", "PERL", "POSIX", "Characters", "category", "folded", "spanning", "union"]

_LAST: Final = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Characters:
    """A set of code points: in it are those from `bounds[0]` up to before `bounds[1]`, from `bounds[2]` on, and so forth."""

    bounds: tuple[int, ...]

    def __contains__(self, code: int) -> bool:
        return bool(bisect_right(self.bounds, code) & 1)

    @property
    def ranges(self) -> Iterator[tuple[int, int]]:
        """First and last code point of each stretch, in ascending order."""
        return ((first, after - 1) for first, after in zip(self.bounds[::2], self.bounds[1::2], strict=True))

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(after - first for first, after in zip(self.bounds[::2], self.bounds[1::2], strict=True))

    @property
    def complement(self) -> "Characters":
        """All characters that are not in it."""
        bounds = self.bounds
        start = bounds[1:] if bounds[:1] == (0,) else (0, *bounds)
        return Characters(start[:-1] if start[-1:] == (_LAST + 1,) else (*start, _LAST + 1))

    def isdisjoint(self, other: "Characters") -> bool:
        """Whether no character is in both."""
        merged = sorted([*self.ranges, *other.ranges])
        return all(before[1] < after[0] for before, after in pairwise(merged))

    @property
    def decoded(self) -> "Characters":
        """The same where a text was read from bytes: one that is no UTF-8, here a lone surrogate, counts as U+FFFD."""
        if 0xFFFD in self:
            return union([self, _SURROGATES])
        return self if self.isdisjoint(_SURROGATES) else union([self.complement, _SURROGATES]).complement


def spanning(first: int, last: int | None = None) -> Characters:
    """The code points from `first` to `last`, both included; by default `first` alone."""
    return Characters((first, (first if last is None else last) + 1))


def union(sets: Iterable[Characters]) -> Characters:
    """What is in any of the sets."""
    bounds: list[int] = []
    for first, last in sorted(stretch for each in sets for stretch in each.ranges):
        if bounds and first <= bounds[-1]:
            bounds[-1] = max(bounds[-1], last + 1)
        else:
            bounds += (first, last + 1)
    return Characters(tuple(bounds))


def _of(text: str) -> Characters:
    """Characters one by one (`_`), and those from one to another (`a-z`)."""
    stretches = text.split(" ")
    return union(spanning(ord(stretch[0]), ord(stretch[-1])) for stretch in stretches)


NOTHING: Final = Characters(())
ANY: Final = spanning(0, _LAST)
END: Final = spanning(_LAST + 1)
"""What follows the last character of a text."""

_SURROGATES: Final = spanning(0xD800, 0xDFFF)
_BLANK: Final = union([spanning(0x09), spanning(0x20)])
_DIGIT: Final = _of("0-9")
_WORD: Final = _of("0-9 A-Z _ a-z")
_SPACE: Final = union([spanning(0x09, 0x0A), spanning(0x0C, 0x0D), spanning(0x20)])

PERL: Final = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
"""What `\\d`, `\\s` and `\\w` stand for: ASCII alone, as in Go's regexp/syntax."""

POSIX: Final = {
    "alnum": _of("0-9 A-Z a-z"),
    "alpha": _of("A-Z a-z"),
    "ascii": spanning(0, 0x7F),
    "blank": _BLANK,
    "cntrl": union([spanning(0, 0x1F), spanning(0x7F)]),
    "digit": _DIGIT,
    "graph": _of("!-~"),
    "lower": _of("a-z"),
    "print": spanning(0x20, 0x7E),
    "punct": _of("!-/ :-@ [-` {-~"),
    "space": union([_SPACE, spanning(0x0B)]),
    "upper": _of("A-Z"),
    "word": _WORD,
    "xdigit": _of("0-9 A-F a-f"),
}
"""What `[:alnum:]` and so on stand for."""


def category(name: str) -> Characters | None:
    """The characters of a Unicode general category (`Lu`, or `L` for all that begin so), or `Any`; None for another name."""
    if name == "Any":
        return ANY
    found = [chars for short, chars in _categories().items() if short.startswith(name) and short != "Cn"]
    return union(found) if found and name else None


_SCANNED: Final = ((0, 0x40000), (0xE0000, 0xE0200), (0xF0000, 0x110000))
"""Where Unicode has assigned anything so far."""


@cache
def _categories() -> dict[str, Characters]:
    """Each two-letter category with its characters."""
    bounds: dict[str, list[int]] = {}
    for start, after in _SCANNED[:2]:
        for name, codes in groupby(range(start, after), lambda code: unicodedata.category(chr(code))):
            first, *others = codes
            bounds.setdefault(name, []).extend((first, first + len(others) + 1))
    bounds["Co"] += (0xF0000, 0xFFFFE, 0x100000, 0x10FFFE)
    return {name: Characters(tuple(each)) for name, each in bounds.items()}


def folded(characters: Characters) -> Characters:
    """The characters, and those that differ from them in case only (Unicode's simple case folding)."""
    more = [same for code, same in _cases(ascii_only=characters.bounds[-1:] <= (0x80,)).items() if code in characters]
    return union([characters, *more]) if more else characters


_CASED: Final = ((0, 0x3000), (0xA000, 0xAC00), (0xFB00, 0x12000), (0x16E00, 0x17000), (0x1E000, 0x1F000))
"""Where Unicode has letters that come in cases so far."""


@cache
def _cases(*, ascii_only: bool) -> dict[int, Characters]:
    """Each character that has others of another case, with all of them."""
    if ascii_only:  # the long s and the sign for kelvin are what other letters have with ASCII in common
        letters = [(lower, lower - 32, *{0x73: (0x17F,), 0x6B: (0x212A,)}.get(lower, ())) for lower in range(0x61, 0x7B)]
    else:
        equal: dict[str, list[int]] = {}
        for code in chain.from_iterable(range(*scanned) for scanned in _CASED):
            equal.setdefault(_fold(chr(code)), []).append(code)
        letters = [tuple(codes) for codes in equal.values() if len(codes) > 1]
    return {code: union(map(spanning, codes)) for codes in letters for code in codes}


def _fold(character: str) -> str:
    """What a character and those of another case have in common, where that is one character."""
    for text in (character.casefold(), character.lower()):
        if len(text) == 1:
            return text
    return character
