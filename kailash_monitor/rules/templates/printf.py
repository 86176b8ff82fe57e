"""`printf`: Go's format strings."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kailash_monitor.rules.templates.directive import PLAIN, Directive
from kailash_monitor.rules.templates.formatting import MOST_TEXT, Output, TooLong
from kailash_monitor.rules.templates.values import Value, type_name

__all__ = ["printed_by"]

_MOST_WIDTH: Final = 1_000_000
"""The largest width or precision that Go takes from a value; in a format, it may have one more digit."""
_LONGEST_WIDTH: Final = 8


def printed_by(format_: str, values: Sequence[Value]) -> str:
    """Give the values as Go's `Sprintf`; what does not fit is said in the text, as `%!d(string=a)`."""
    return _Formatting(format_, values).text()


_FLAGS: Final = {"+": "plus", "-": "minus", "#": "sharp", " ": "space", "0": "zero"}
_FLAG_RUN: Final = re.compile(r"[-+# 0]*")
_DIGITS: Final = re.compile(r"[0-9]*")
_INDEX: Final = re.compile(r"\[([^\]]*)\]")


def _bounded(width: int) -> int:
    if width > MOST_TEXT:
        raise TooLong
    return int(width)


class _Formatting:
    """The work of one `printf`: where it is in the format, and which value comes next."""

    def __init__(self, format_: str, values: Sequence[Value]) -> None:
        self._format = format_
        self._values = values
        self._place = 0
        self._next = 0
        self._reordered = False
        self._good_index = True
        self._out = Output()

    def text(self) -> str:
        while (percent := self._format.find("%", self._place)) >= 0:
            self._out.add(self._format[self._place : percent])
            self._place = percent + 1
            self._directive()
        self._out.add(self._format[self._place :])
        if not self._reordered and self._next < len(self._values):
            self._extra()
        return self._out.text()

    def _directive(self) -> None:
        self._good_index = True
        run = self._matched(_FLAG_RUN)
        how = replace(PLAIN, **{_FLAGS[flag]: True for flag in run})
        indexed = self._index()
        how, indexed = self._width(how, indexed)
        if self._here() == ".":
            self._place += 1
            how, indexed = self._precision(how, indexed)
        if not indexed:
            self._index()
        verb = self._here()
        self._place += 1
        self._finish(verb, how)

    def _finish(self, verb: str, how: Directive) -> None:
        if not verb:
            self._out.add("%!(NOVERB)")
        elif verb == "%":
            self._out.add("%")
        elif not self._good_index:
            self._out.add(f"%!{verb}(BADINDEX)")
        elif self._next >= len(self._values):
            self._out.add(f"%!{verb}(MISSING)")
        else:
            self._out.value(self._values[self._next], verb, how.for_value() if verb == "v" else how)
            self._next += 1

    def _here(self) -> str:
        return self._format[self._place : self._place + 1]

    def _matched(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._format, self._place)
        text = found[0] if found else ""
        self._place += len(text)
        return text

    def _number(self) -> int | None:
        digits = self._matched(_DIGITS)
        if not digits:
            return None
        if len(digits) > _LONGEST_WIDTH or int(digits[:-1] or "0") > _MOST_WIDTH:
            self._place = len(self._format)  # Go gives up on the format
            return None
        return _bounded(int(digits))

    def _index(self) -> bool:
        """Read `[n]`, which says whose turn it is. Whether there was one."""
        if self._here() != "[":
            return False
        self._reordered = True
        found = _INDEX.match(self._format, self._place)
        if found is None:
            self._place += 1
            self._good_index = False
            return False
        self._place = found.end()
        number = int(found[1]) - 1 if found[1].isascii() and found[1].isdigit() and len(found[1]) < 8 else None
        if number is None or not 0 <= number < len(self._values):
            self._good_index = False
            return number is not None
        self._next = number
        return True

    def _argument(self) -> int | None:
        """The value that `*` stands for."""
        value = self._values[self._next] if self._next < len(self._values) else None
        self._next += self._next < len(self._values)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST_WIDTH:
            return -_bounded(-value) if value < 0 else _bounded(value)
        return None

    def _width(self, how: Directive, indexed: bool) -> tuple[Directive, bool]:
        if self._here() != "*":
            width = self._number()
            self._good_index = self._good_index and not (indexed and width is not None)
            return replace(how, width=width), indexed
        self._place += 1
        width = self._argument()
        if width is None:
            self._out.add("%!(BADWIDTH)")
            return how, False
        if width < 0:
            how = replace(how, minus=True, zero=False)
        return replace(how, width=abs(width)), False

    def _precision(self, how: Directive, indexed: bool) -> tuple[Directive, bool]:
        self._good_index = self._good_index and not indexed
        indexed = self._index()
        if self._here() != "*":
            return replace(how, precision=self._number() or 0), indexed
        self._place += 1
        precision = self._argument()
        if precision is not None and precision < 0:
            precision = None
        if precision is None:
            self._out.add("%!(BADPREC)")
        return replace(how, precision=precision), False

    def _extra(self) -> None:
        self._out.add("%!(EXTRA ")
        for index, value in enumerate(self._values[self._next :]):
            self._out.add(", " if index else "")
            if value is None:
                self._out.add("<nil>")
            else:
                self._out.add(f"{type_name(value)}=")
                self._out.value(value, "v", PLAIN)
        self._out.add(")")
