"""Directives: what a format says of a value before its verb, and what it makes of texts."""

from dataclasses import dataclass, replace
from typing import Final

from kailash_monitor.promql.quoting import quoted

__all__ = ["PLAIN", "Directive", "ascii_only", "cut", "text_by"]


@dataclass(frozen=True, slots=True)
class Directive:
    """The part of a format before its verb: flags, width and precision, None where they are not given.

    `detailed` and `literal` are the flags `+` and `#` of the verb v, which mean another thing there.
    """

    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None
    detailed: bool = False
    literal: bool = False

    def for_value(self) -> "Directive":
        """Give what it means before the verb v."""
        return replace(self, plus=False, detailed=self.plus, sharp=False, literal=self.sharp)

    def padded(self, text: str, *, zeros: bool = True) -> str:
        """Give `text` at the width that is asked for."""
        if self.width is None or len(text) >= self.width:
            return text
        if self.minus:
            return text.ljust(self.width)
        return text.rjust(self.width, "0" if self.zero and zeros else " ")


PLAIN: Final = Directive()
"""A verb without anything before it."""


def text_by(text: str, verb: str, how: Directive) -> str | None:
    """Give a text as the verb says, or None where the verb does not fit it."""
    if verb == "v":
        return _quoted(text, how) if how.literal else how.padded(cut(text, how))
    match verb:
        case "s":
            return how.padded(cut(text, how))
        case "q":
            return how.padded(_quoted(cut(text, how), how))
        case "x" | "X":
            return how.padded(_hexadecimal(text, verb, how))
        case _:
            return None


def cut(text: str, how: Directive) -> str:
    """Give what the precision leaves of a text."""
    return text if how.precision is None else text[: how.precision]


def _quoted(text: str, how: Directive) -> str:
    if how.sharp and "`" not in text and all(character.isprintable() or character == "\t" for character in text):
        return f"`{text}`"
    literal = quoted(text)
    return "".join(ascii_only(character) for character in literal) if how.plus else literal


def ascii_only(character: str) -> str:
    """Give a character, escaped if it is not of ASCII."""
    code = ord(character)
    return character if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _hexadecimal(text: str, verb: str, how: Directive) -> str:
    data = text.encode("utf-8", "surrogateescape")[: how.precision]
    pairs = [f"{byte:02{verb}}" for byte in data]
    prefix = f"0{verb}" if how.sharp and pairs else ""
    return prefix + (f" {prefix}" if how.space else "").join(pairs)
