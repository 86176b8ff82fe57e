"""Functions of one value at a time, which give what Go gives where Python's would raise; all drop the metric's name."""

import math
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from kailash_monitor.promql.moment import Moment, day_of_week, moment_at, second_of

__all__ = ["ELEMENTWISE", "larger", "smaller"]

Function: TypeAlias = Callable[[float], float]

WHOLE: Final = 2.0**52
"""From here on, every float is a whole number."""


def larger(one: float, other: float) -> float:
    """Give the larger one: NaN if either is, unless the other is +Inf."""
    if one != one or other != other:
        return math.inf if math.inf in (one, other) else math.nan
    return one if one > other or (one == other and math.copysign(1, one) > 0) else other


def smaller(one: float, other: float) -> float:
    """Give the smaller one: NaN if either is, unless the other is -Inf."""
    return -larger(-one, -other)


def _nan_outside(compute: Function) -> Function:
    """Give NaN for what a function is not defined for."""

    def function(value: float) -> float:
        try:
            return compute(value)
        except ValueError:
            return math.nan

    return function


def _unbounded(compute: Function, *, odd: bool = False) -> Function:
    """Give an infinity for what no float can hold; an odd function is below zero where its argument is."""

    def function(value: float) -> float:
        try:
            return compute(value)
        except OverflowError:
            return math.copysign(math.inf, value) if odd else math.inf

    return function


def _logarithm(compute: Function) -> Function:
    def function(value: float) -> float:
        if value > 0:
            return compute(value)
        return -math.inf if value == 0 else math.nan

    return function


def _atanh(value: float) -> float:
    if abs(value) < 1:
        return math.atanh(value)
    return math.copysign(math.inf, value) if abs(value) == 1 else math.nan


def _floor(value: float) -> float:
    return value // 1.0 if abs(value) < WHOLE else value


def _ceil(value: float) -> float:
    return -_floor(-value)


def _round(value: float, to_nearest: float = 1.0) -> float:
    """Round to a multiple of `to_nearest`, and up from half way between two.

    It is inverted first, as Prometheus does it, so that multiples of 0.1 come out as well as they can.
    """
    inverse = 1.0 / to_nearest if to_nearest else math.copysign(math.inf, to_nearest)
    whole = _floor(value * inverse + 0.5)
    return whole / inverse if inverse else math.nan


def _clamp(value: float, least: float, most: float) -> float | None:
    return None if most < least else larger(least, smaller(most, value))


def _clamp_max(value: float, most: float) -> float:
    return larger(-math.inf, smaller(most, value))


def _clamp_min(value: float, least: float) -> float:
    return larger(least, smaller(math.inf, value))


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value < 0 or value > 0 else value


def _on_its_day(part: Callable[[Moment], int]) -> Function:
    return lambda value: float(part(moment_at(second_of(value))))


ELEMENTWISE: Final[Mapping[str, Callable[..., float | None]]] = {
    "abs": abs,
    "acos": _nan_outside(math.acos),
    "acosh": _nan_outside(math.acosh),
    "asin": _nan_outside(math.asin),
    "asinh": math.asinh,
    "atan": math.atan,
    "atanh": _atanh,
    "ceil": _ceil,
    "clamp": _clamp,
    "clamp_max": _clamp_max,
    "clamp_min": _clamp_min,
    "cos": _nan_outside(math.cos),
    "cosh": _unbounded(math.cosh),
    "day_of_month": _on_its_day(lambda day: day.day),
    "day_of_week": lambda value: float(day_of_week(second_of(value))),
    "day_of_year": _on_its_day(lambda day: day.day_of_year),
    "days_in_month": _on_its_day(lambda day: day.days_in_month),
    "deg": lambda value: value * 180 / math.pi,
    "exp": _unbounded(math.exp),
    "floor": _floor,
    "hour": lambda value: float(second_of(value) // 3600 % 24),
    "ln": _logarithm(math.log),
    "log10": _logarithm(math.log10),
    "log2": _logarithm(math.log2),
    "minute": lambda value: float(second_of(value) // 60 % 60),
    "month": _on_its_day(lambda day: day.month),
    "rad": lambda value: value * math.pi / 180,
    "round": _round,
    "sgn": _sign,
    "sin": _nan_outside(math.sin),
    "sinh": _unbounded(math.sinh, odd=True),
    "sqrt": _nan_outside(math.sqrt),
    "tan": _nan_outside(math.tan),
    "tanh": math.tanh,
    "year": _on_its_day(lambda day: day.year),
}
"""The functions by their names, each called with the value and what the expression gives beside it, as `clamp`'s bounds.

Dates are those of seconds since 1970, in UTC. None says that a series has no result; only `clamp` gives it, where the least
is above the most.
"""
