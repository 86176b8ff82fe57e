"""Regular expressions of matchers, as far as a text can be judged without them: whether one accepts the empty value."""

import re
from typing import Final

__all__ = ["accepts_empty"]

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
