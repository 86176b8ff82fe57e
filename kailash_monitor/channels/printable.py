"""Printable text: what a stranger wrote, as it can be shown.

A label value can be anything a stranger sent. It must neither forge a line of a log nor command the terminal that shows it.
"""

import re
from typing import Final

__all__ = ["one_line", "printable"]

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What would begin a line, command a terminal, turn the direction of writing, or cannot be encoded."""


def one_line(text: str) -> str:
    """Give `text` on one line, with control characters written out: a line break as the two characters `\\n`."""
    return _UNSAFE.sub(lambda character: ascii(character[0])[1:-1], text)


def printable(text: str) -> str:
    """Give `text` without control characters, but with its line breaks and tabs."""
    return _UNSAFE.sub(lambda character: character[0] if character[0] in "\n\t" else "", text)
