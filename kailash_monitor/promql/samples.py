"""Samples: what a series read at which times, as queries want it."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from kailash_monitor.promql.labelset import LabelSet

__all__ = ["Matrix", "Sample", "Samples", "Vector"]


class Sample(NamedTuple):
    """What a series read at `time`, in milliseconds since 1970."""

    time: int
    value: float


class Samples:
    """`values[i]` was read at `times[i]`, milliseconds since 1970, ascending; at the times in `stale` the series ended.

    Lists, and nothing is copied: who appends to them does so between two evaluations. Series that were read at the same
    times should share one list of them, since a query looks into each list once.
    """

    __slots__ = ("stale", "times", "values")

    def __init__(self, times: Sequence[int], values: Sequence[float], stale: Sequence[int] = ()) -> None:
        self.times = times
        self.values = values
        self.stale = stale

    def at(self, time: int, lookback: int) -> Sample | None:
        """The last sample in the `lookback` before `time` (left-open); None where there is none or the series has ended."""
        times = self.times
        index = bisect_right(times, time) - 1
        if index < 0 or (last := times[index]) <= time - lookback:
            return None
        if self.stale and (ended := bisect_right(self.stale, time)) and self.stale[ended - 1] > last:
            return None
        return Sample(last, self.values[index])

    def within(self, start: int, end: int) -> "Samples":
        """Those between `start` and `end` (left-open)."""
        low, high = bisect_right(self.times, start), bisect_right(self.times, end)
        return Samples(self.times[low:high], self.values[low:high])

    def __repr__(self) -> str:
        return f"<Samples {len(self.times)}>"


Vector: TypeAlias = list[tuple[LabelSet, float]]
"""Series with one value each, at the time of the evaluation."""

Matrix: TypeAlias = list[tuple[LabelSet, Samples]]
"""Series with their values over a stretch of time."""
