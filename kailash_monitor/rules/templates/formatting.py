"""Go's text forms of values: its package fmt, without format strings."""

from collections.abc import Mapping, Sequence
from typing import Final

from kailash_monitor.promql.quoting import quoted
from kailash_monitor.rules.templates.directive import PLAIN, Directive, cut, text_by
from kailash_monitor.rules.templates.go_numbers import float_by, integer_by
from kailash_monitor.rules.templates.moments import Duration, Moment
from kailash_monitor.rules.templates.values import (
    Data,
    Month,
    Pointer,
    Sample,
    Samples,
    Value,
    Weekday,
    fields_of,
    type_name,
)

__all__ = ["MOST_TEXT", "Output", "TooLong", "printed", "printed_line"]

MOST_TEXT: Final = 262_144
"""Characters that one text of a template may have: more than any receiver of an alert accepts."""

_MOST_DEPTH: Final = 20
"""Maps within maps that are printed."""


class TooLong(Exception):
    """A text would have more than MOST_TEXT characters."""

    def __init__(self) -> None:
        super().__init__(f"text is longer than {MOST_TEXT} characters")


def printed(values: Sequence[Value]) -> str:
    """Give the values as Go's `Sprint`: spaces only between two that are no texts."""
    out = Output()
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            out.add(" ")
        out.value(value, "v", PLAIN)
    return out.text()


def printed_line(values: Sequence[Value]) -> str:
    """Give the values as Go's `Sprintln`: spaces between all of them, and a line's end."""
    out = Output()
    for index, value in enumerate(values):
        if index:
            out.add(" ")
        out.value(value, "v", PLAIN)
    out.add("\n")
    return out.text()


class Output:
    """A text in the making, of MOST_TEXT characters at most."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = MOST_TEXT

    def add(self, text: str) -> None:
        """Add a text. A TooLong where there is no room for it."""
        self._room -= len(text)
        if self._room < 0:
            raise TooLong
        self._parts.append(text)

    def text(self) -> str:
        """Give what was added."""
        return "".join(self._parts)

    def printable(self, value: Value) -> None:
        """Add a value as a template prints it: what a pointer points to, and for nothing that there is no value."""
        if value is None:
            self.add("<no value>")
        elif isinstance(value, Sample):
            self._several("{", [("", part) for _, part in fields_of(value)], "}", "v", PLAIN, 0)
        else:
            self.value(value, "v", PLAIN)

    def value(self, value: Value, verb: str, how: Directive, depth: int = 0) -> None:
        """Add one value. `depth` counts the maps, lists and structures that it stands in."""
        if depth > _MOST_DEPTH:
            raise TooLong
        if value is None:
            self.add(how.padded("<nil>")) if verb in "Tv" else self.add(f"%!{verb}(<nil>)")
        elif verb == "w":  # for errors, which no value is
            self._refused(value, verb, how)
        elif verb == "T":
            self.add(how.padded(cut(type_name(value), how)))
        elif isinstance(value, Sample | Samples | Mapping | Data):
            self._composite(value, verb, how, depth)
        else:
            text = _scalar(value, verb, how)
            if text is None:
                self._refused(value, verb, how)
            else:
                self.add(text)

    def _refused(self, value: Value, verb: str, how: Directive) -> None:
        self.add(f"%!{verb}({type_name(value)}=")
        self.value(value, "v", how)
        self.add(")")

    def _composite(
        self, value: Sample | Samples | Mapping[str, Value] | Data, verb: str, how: Directive, depth: int
    ) -> None:
        if isinstance(value, Sample) and depth:
            self.add(_POINTER)
        elif verb == "p":
            self.add(_POINTER) if isinstance(value, Sample | Samples | Mapping) else self._refused(value, verb, how)
        elif isinstance(value, Samples):
            opening, closing = (f"{type_name(value)}{{", "}") if how.literal else ("[", "]")
            self._several(opening, [("", sample) for sample in value], closing, verb, how, depth)
        elif isinstance(value, Sample | Data):
            opening = (
                ("&" if isinstance(value, Sample) else "") + (type_name(value).lstrip("*") if how.literal else "") + "{"
            )
            names = how.literal or how.detailed
            fields = [(f"{name}:" if names else "", part) for name, part in fields_of(value)]
            self._several(opening, fields, "}", verb, how, depth)
        elif how.literal:
            self.add(f"{type_name(value)}{{")
            for index, key in enumerate(sorted(value)):
                self.add(f"{', ' if index else ''}{quoted(key)}:")
                self.value(value[key], verb, how, depth + 1)
            self.add("}")
        else:
            self.add("map[")
            for index, key in enumerate(sorted(value, key=_bytes)):
                self.add(" " if index else "")
                self.value(key, verb, how, depth + 1)
                self.add(":")
                self.value(value[key], verb, how, depth + 1)
            self.add("]")

    def _several(
        self, opening: str, parts: Sequence[tuple[str, Value]], closing: str, verb: str, how: Directive, depth: int
    ) -> None:
        self.add(opening)
        for index, (name, part) in enumerate(parts):
            self.add((", " if how.literal else " ") if index else "")
            self.add(name)
            self.value(part, verb, how, depth + 1)
        self.add(closing)


_POINTER: Final = "0xc000000000"
"""What stands for an address, which no text should depend on."""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _scalar(value: Value, verb: str, how: Directive) -> str | None:
    """The text of one value that is no composite, or None where the verb does not fit it."""
    if isinstance(value, Moment | Duration | Month | Weekday | Pointer) and verb in "vsxXq" and not how.literal:
        return text_by(str(value), verb, how)
    match value:
        case bool():
            return how.padded("true" if value else "false") if verb in "tv" else None
        case int():
            return integer_by(value, verb, how)
        case float():
            return float_by(value, verb, how)
        case str():
            return text_by(str(value), verb, how)
        case Duration(nanoseconds=count) | Pointer(target=Duration(nanoseconds=count)):
            return integer_by(count, verb, how)
        case _:
            return None
