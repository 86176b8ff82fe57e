"""How much a series grows in a window: what its samples show, extended towards the window's edges as Prometheus does it."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import Final

from kailash_monitor.promql.window import RangeWindow

__all__ = ["delta", "falls", "idelta", "increase", "irate", "rate"]

_CLOSE: Final = 1.1
"""A sample is close to an edge within this many average distances between samples; then the series reaches that edge."""


def rate(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float | None:
    """Give by how much a counter grows each second; None for fewer than two samples."""
    if len(values) < 2:
        return None
    start, end, _ = window
    gained = _gain(values)
    return gained * (_stretch(times, start, end, _to_zero(values[0], gained)) / ((end - start) / 1000))


def increase(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float | None:
    """Give by how much a counter grows in the window; None for fewer than two samples."""
    if len(values) < 2:
        return None
    start, end, _ = window
    gained = _gain(values)
    return gained * _stretch(times, start, end, _to_zero(values[0], gained))


def delta(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float | None:
    """Give the difference that a gauge makes in the window; None for fewer than two samples."""
    if len(values) < 2:
        return None
    return (values[-1] - values[0]) * _stretch(times, window.start, window.end, inf)


def _gain(values: Sequence[float]) -> float:
    """Give by how much a counter grew from the first value to the last: one that fell had been reset, and began at zero."""
    gained = values[-1] - values[0]
    if values != sorted(values):  # the quickest proof that none fell, by NaN or not: one run is all that timsort sees
        for before_reset in falls(values):
            gained += before_reset
    return gained


def falls(values: Sequence[float]) -> list[float]:
    """Give the values that are followed by a lesser one."""
    return [earlier for earlier, later in pairwise(values) if later < earlier]


def _to_zero(first: float, gained: float) -> float:
    """How long before its first sample a counter was zero, in lengths of the sampled time: nothing precedes that."""
    return first / gained if gained > 0 and first >= 0 else inf


def _stretch(times: Sequence[int], start: int, end: int, to_zero: float) -> float:
    """Give by what to multiply a growth from the first sample to the last to have that of the whole window.

    The series reaches an edge that a sample is close to. Otherwise it begins, or ends, half a distance of samples outside.
    """
    first, last = times[0], times[-1]  # in seconds from here on, as in Prometheus: ties fall the same way
    sampled = (last - first) / 1000
    before, after = (first - start) / 1000, (end - last) / 1000
    apart = sampled / (len(times) - 1)
    close = apart * _CLOSE
    if before >= close:
        before = apart / 2
    if sampled * to_zero < before:
        before = sampled * to_zero
    if after >= close:
        after = apart / 2
    return (sampled + before + after) / sampled


def irate(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float | None:
    """Give by how much a counter grew each second between its last two samples; None for fewer."""
    if len(values) < 2:
        return None
    earlier, later = values[-2], values[-1]
    return (later if later < earlier else later - earlier) / ((times[-1] - times[-2]) / 1000)


def idelta(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float | None:
    """Give the difference between the last two samples; None for fewer."""
    return values[-1] - values[-2] if len(values) > 1 else None
