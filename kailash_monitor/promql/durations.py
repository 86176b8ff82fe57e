"""Durations of PromQL: `1h30m` as seconds and back, and duration expressions such as `[5m + step()]`."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kailash_monitor.promql.errors import ParseError
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.promql.tree import Binary, Call, Expression, Number, Paren, Unary

__all__ = ["MAX_SECONDS", "duration_text", "parse_duration", "seconds_of"]

MAX_SECONDS: Final = 2**63 / 1e9
"""The longest duration, some 292 years: Prometheus counts nanoseconds in 64 bits."""

_UNITS: Final = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""Milliseconds of each unit, in the order in which they may stand."""

_PART: Final = re.compile(r"([0-9]+)([a-z]+)")


def parse_duration(text: str) -> float:
    """Give the seconds that `text` stands for, such as `5m` or `1h30m`. A ValueError says what is wrong."""
    order, total, place = list(_UNITS), 0, 0
    while place < len(text) or not place:
        part = _PART.match(text, place)
        if part is None:
            raise ValueError(f"not a valid duration string: {quoted(text)}")
        if part[2] not in _UNITS:
            raise ValueError(f"unknown unit {quoted(part[2])} in duration {quoted(text)}")
        if part[2] not in order:
            raise ValueError(f"not a valid duration string: {quoted(text)}")
        order = order[order.index(part[2]) + 1 :]
        if len(part[1]) > 18 or (total := total + int(part[1]) * _UNITS[part[2]]) / 1000 > MAX_SECONDS:
            raise ValueError("duration out of range")
        place = part.end()
    return total / 1000


def duration_text(seconds: float) -> str | None:
    """Give `seconds` as a duration, such as `-5m`; None where units down to milliseconds cannot say it exactly."""
    left = round(abs(seconds) * 1000) if abs(seconds) <= MAX_SECONDS else -1
    if left < 0 or left / 1000 != abs(seconds):
        return None
    parts = []
    for unit, size in _UNITS.items():
        if unit in "yw" and left % size:
            continue  # 90d is easier to read than 12w6d
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if seconds < 0 else "") + ("".join(parts) or "0s")


def seconds_of(duration: Expression, *, step: float, span: float, text: str = "") -> float:
    """Give a duration in seconds, where the query's steps are `step` apart and its range is `span` long.

    A ParseError about `text`, from which it was read, where it cannot be told, as in a division by zero.
    """
    value = _Evaluation(step, span, text).value(duration)
    if not abs(value) <= MAX_SECONDS:
        raise ParseError("duration is out of range", text, duration.start, duration.end)
    return value


_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,
    "^": math.pow,
    "min_of": min,
    "max_of": max,
}


@dataclass(frozen=True, slots=True)
class _Evaluation:
    step: float
    span: float
    text: str

    def value(self, node: Expression) -> float:
        match node:
            case Number(value=value):
                return value
            case Paren(expression=inner) | Unary(operator="+", expression=inner):
                return self.value(inner)
            case Unary(expression=inner):
                return -self.value(inner)
            case Call(name="step"):
                return self.step
            case Call(name="range"):
                return self.span
            case Call(name=name, arguments=(left, right)) | Binary(operator=name, left=left, right=right):
                return self._computed(name, self.value(left), self.value(right), node)
            case _:
                raise self._error("expected number literal or duration expression", node)

    def _computed(self, name: str, left: float, right: float, node: Expression) -> float:
        if not right and name in ("/", "%"):
            raise self._error("division by zero" if name == "/" else "modulo by zero", node)
        try:
            return _ARITHMETIC[name](left, right)
        except (OverflowError, ValueError):  # of a power, too large for a float or no real number
            return math.nan

    def _error(self, message: str, node: Expression) -> ParseError:
        return ParseError(message, self.text, node.start, node.end)
