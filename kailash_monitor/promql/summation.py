"""Sums of floats, and what follows from them: exact to the last digit, but where Prometheus' sums are not."""

from collections.abc import Sequence
from math import fsum, inf, isfinite, isinf
from typing import Final

__all__ = ["exact_mean", "exact_sum", "variance"]

_LOST: Final = 1e-9
"""What part of a sum may be lost to rounding, and be made up for exactly. Of more, Prometheus' way of making up (Kahan,
Neumaier) may lose something in turn, and is followed; it takes ten times as long here as `fsum`."""


def exact_sum(values: Sequence[float]) -> float:
    """Give the sum.

    Infinity where it overflows on the way, even if later values would bring it back, as in Prometheus.
    """
    plain = sum(values)
    if not isfinite(plain):
        return plain
    lost = _lost(values, plain)
    return _compensated(values) if lost is None else plain + lost


def exact_mean(values: Sequence[float]) -> float:
    """Give the mean of at least one value. Where the sum overflows, it is what the mean grows to with each value."""
    plain = sum(values)
    lost = _lost(values, plain) if isfinite(plain) else None
    return _grown_mean(values) if lost is None else plain / len(values) + lost / len(values)


def _lost(values: Sequence[float], plain: float) -> float | None:
    """Give what adding one after the other has lost to rounding; None for much."""
    try:
        lost = fsum([*values, -plain])
    except OverflowError:
        return None
    return lost if abs(lost) <= _LOST * abs(plain) else None


def _compensated(values: Sequence[float]) -> float:
    total = lost = 0.0
    for value in values:
        total, lost = _added(value, total, lost)
    return total + lost


def variance(values: Sequence[float]) -> float:
    """Give the population variance of at least one value; equal values have exactly none. NaN where one is infinite."""
    first = values[0]
    distances = [value - first for value in values]
    try:
        mean = fsum(distances) / len(values)
        found = fsum([(distance - mean) * (distance - mean) for distance in distances]) / len(values)
    except (ValueError, OverflowError):
        return _grown_variance(values)
    return found if isfinite(found) else _grown_variance(values)


def _grown_mean(values: Sequence[float]) -> float:
    """Give the mean as Prometheus does: from the sum while that is finite, then from the mean so far and each value."""
    total, lost, seen = values[0], 0.0, 1
    for value in values[1:]:
        more, still_lost = _added(value, total, lost)
        if isinf(more):
            break
        total, lost, seen = more, still_lost, seen + 1
    mean, lost = total / seen, lost / seen
    for count, value in enumerate(values[seen:], seen + 1):
        kept = (count - 1) / count
        mean, lost = _added(value / count, kept * mean, kept * lost)
    return mean + lost


def _grown_variance(values: Sequence[float]) -> float:
    """Give the variance as Prometheus does (Welford's method), so that it also overflows where that does."""
    mean = lost = total = total_lost = 0.0
    for count, value in enumerate(values, 1):
        distance = value - (mean + lost)
        mean, lost = _added(distance / count, mean, lost)
        total, total_lost = _added(distance * (value - (mean + lost)), total, total_lost)
    return (total + total_lost) / len(values)


def _added(value: float, total: float, lost: float) -> tuple[float, float]:
    """Give the sum and what has been lost in it to rounding (Kahan's summation as Neumaier improved it)."""
    more = total + value
    if more in (inf, -inf):
        return more, 0.0
    if abs(total) >= abs(value):
        return more, lost + ((total - more) + value)
    return more, lost + ((value - more) + total)
