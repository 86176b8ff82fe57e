"""Arithmetic on floats as Go does it: whatever the operands, there is a result."""

import math
import operator
from collections.abc import Callable, Mapping
from math import copysign, inf, nan
from typing import Final

__all__ = ["ARITHMETIC", "COMPARISONS", "divided", "power", "remainder"]


def divided(left: float, right: float) -> float:
    """Give `left / right`; by zero it is infinite, or NaN where `left` is zero or NaN too."""
    try:
        return left / right
    except ZeroDivisionError:
        return copysign(inf, left) * copysign(1, right) if left and left == left else nan


def remainder(left: float, right: float) -> float:
    """Give what is left of `left` after division by `right`, with the sign of `left`; NaN by zero and of infinity."""
    try:
        return math.fmod(left, right)
    except ValueError:
        return nan


def power(base: float, exponent: float) -> float:
    """Give `base` to the power of `exponent`.

    Infinite where it is too large and where a zero has a negative exponent; NaN for a root of what is negative.
    """
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -inf if base < 0 and _is_odd(exponent) else inf
    except ValueError:
        if base:
            return nan
        return copysign(inf, base) if _is_odd(exponent) else inf


def _is_odd(number: float) -> bool:
    return abs(math.fmod(number, 2)) == 1


ARITHMETIC: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divided,
    "%": remainder,
    "^": power,
    "atan2": math.atan2,
}
"""What each arithmetic operator computes."""

COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""When each comparison holds; NaN equals nothing."""
