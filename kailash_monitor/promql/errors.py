"""Errors of PromQL: what is wrong with a text and where it stands, or why an expression has no value."""

from typing import Final

from kailash_monitor.errors import MonitoringError

__all__ = ["EvaluationError", "ParseError"]

_EXCERPT: Final = 100
"""Columns of an excerpt: about what a terminal shows of a line."""


class ParseError(MonitoringError, ValueError):
    """A PromQL text cannot be read, or its parts do not fit together.

    `message` is worded as Prometheus words it; `start` and `end` are the offsets of what is at fault in `text`, whose
    `line` and `column` count from 1. `str()` adds the line of the text with a mark under the place; `summary` is one line.
    """

    def __init__(self, message: str, text: str, start: int, end: int | None = None) -> None:
        self.message = message
        self.text = text
        self.start = min(max(start, 0), len(text))
        self.end = min(max(self.start, self.start + 1 if end is None else end), len(text))
        super().__init__(message, text, start, end)

    def __str__(self) -> str:
        return f"{self.summary}\n{self.excerpt}" if self.text else self.summary

    @property
    def line(self) -> int:
        """The line of the text at fault, from 1."""
        return self.text.count("\n", 0, self.start) + 1

    @property
    def column(self) -> int:
        """The character of the line at fault, from 1."""
        return self.start - self.text.rfind("\n", 0, self.start)

    @property
    def summary(self) -> str:
        """The error in one line, as Prometheus' HTTP API gives it: `1:5: parse error: unexpected end of input`."""
        place = f"{self.line}:{self.column}" if self.text else "unknown position"
        return f"{place}: parse error: {self.message}"

    @property
    def excerpt(self) -> str:
        """The line at fault, and under it a caret for each character that is; of a long line, what is near."""
        first = self.start - self.column + 1
        line = self.text[first:].split("\n", 1)[0]
        cut = max(0, min(self.column - _EXCERPT // 2, len(line) - _EXCERPT))
        shown = line[cut : cut + _EXCERPT].replace("\t", " ")
        before = self.column - 1 - cut
        carets = max(1, min(self.end - self.start, len(shown) - before))
        return f"  {shown}\n  {' ' * before}{'^' * carets}"


class EvaluationError(MonitoringError, ValueError):
    """A PromQL expression has no value with the data there is, as where series cannot be matched one to one.

    `str()` is worded as Prometheus words it.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)
