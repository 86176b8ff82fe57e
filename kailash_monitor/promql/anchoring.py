"""Anchored and smoothed selectors: ranges that reach to their very edges, with samples from beyond them (experimental)."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.extrapolation import falls
from kailash_monitor.promql.over_time import OVER_TIME
from kailash_monitor.promql.tree import Anchor
from kailash_monitor.promql.window import RangeWindow

__all__ = ["EXTENDED", "demand_anchor", "extended", "extended_samples", "reach", "smoothed_at"]

EXTENDED: Final = {
    Anchor.ANCHORED: ("changes", "delta", "increase", "rate", "resets"),
    Anchor.SMOOTHED: ("delta", "increase", "rate"),
}
"""The functions of a range that know what to do with samples beyond its edges."""


_OF_COUNTERS: Final = ("increase", "rate")


def demand_anchor(name: str, anchor: Anchor) -> None:
    """Raise an EvaluationError where the function `name` takes no such range, whether there are samples or not."""
    if name not in EXTENDED[anchor]:
        allowed = ", ".join(EXTENDED[anchor])
        raise EvaluationError(f"{anchor.value} modifier can only be used with: {allowed} - not with {name}")


def reach(anchor: Anchor, start: int, end: int, lookback: int) -> tuple[int, int]:
    """Give from when (not included) to when samples are wanted for the range from `start` to `end`.

    For a smoothed instant selector both are its time. Staleness ends nothing here: its markers are left out.
    """
    return start - lookback, (end + lookback if anchor is Anchor.SMOOTHED else end)


def extended(name: str, anchor: Anchor, times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float | None:
    """Compute the function `name` of samples, those in `reach`; None where the range has nothing to show.

    Anchored, the range begins with the last sample at or before its start. Smoothed, it begins and ends on the lines
    between the samples around its edges. Where nothing is beyond an edge, the sample next to it within counts.
    """
    edged = _edged(anchor, times, values, window, counter=name in _OF_COUNTERS)
    if edged is None:
        return None
    left, within, right = edged
    shown = [left, *values[within], right]
    if name in ("changes", "resets"):
        return OVER_TIME[name].compute(times, shown, window)
    grown = right - left + (sum(falls(shown)) if name in _OF_COUNTERS else 0)
    return grown / window.seconds if name == "rate" else grown


def extended_samples(
    anchor: Anchor, times: Sequence[int], values: Sequence[float], window: RangeWindow
) -> tuple[list[int], list[float]]:
    """Give the samples of such a range as they are when no function asks: one at each edge, and those between."""
    edged = _edged(anchor, times, values, window, counter=False)
    if edged is None:
        return [], []
    left, within, right = edged
    return [window.start, *times[within], window.end], [left, *values[within], right]


def smoothed_at(times: Sequence[int], values: Sequence[float], time: int) -> float | None:
    """Give what lies at `time` between the samples around it, or the last one before it; None where none is before it."""
    after = bisect_left(times, time)
    if after < len(times) and times[after] == time:
        return values[after]
    if not after:
        return None
    return values[-1] if after == len(times) else _between(times, values, after, time, counter=False)


def _edged(
    anchor: Anchor, times: Sequence[int], values: Sequence[float], window: RangeWindow, *, counter: bool
) -> tuple[float, slice, float] | None:
    """Give the value at the left edge, where the samples strictly within stand, and the value at the right edge."""
    start, end, _ = window
    if not times or times[-1] <= start:
        return None
    inside, outside = bisect_right(times, start), bisect_left(times, end)
    first, last = max(0, inside - 1), min(outside, len(times) - 1)
    left, right = values[first], values[last]
    if anchor is Anchor.SMOOTHED:
        if times[first] > end:
            return None
        if times[first] < start:
            left = _between(times, values, first + 1, start, counter=counter)
        if times[last] > end:
            right = _between(times, values, last, end, counter=counter)
    return left, slice(inside, outside), right


def _between(times: Sequence[int], values: Sequence[float], after: int, time: int, *, counter: bool) -> float:
    """Give what is at `time` on the line to the sample `after` from the one before; a counter that fell rises from zero."""
    earlier, later = values[after - 1], values[after]
    if counter and later < earlier:
        earlier = 0.0
    began, ended = times[after - 1], times[after]
    return earlier + (later - earlier) * (time - began) / (ended - began)
