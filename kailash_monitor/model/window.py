"""Windows: what a series did in a stretch of time, as values that can be merged and judged.

Every window says what it was asked for (`start`, `end`), since when the history knows (`covers_since`), and whether label
sets past the series limit may be missing from it (`partial`). Where it is not `complete`, counts, increases and their
per-second rates are lower bounds of the truth. They are tuples: rules read thousands of them a second.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from kailash_monitor.model.buckets import percentile

__all__ = [
    "CounterWindow",
    "DistributionWindow",
    "GaugeWindow",
    "Window",
    "merge_counters",
    "merge_distributions",
    "merge_gauges",
]


class _Span:
    """What all windows can say of the stretch of time itself."""

    __slots__ = ()

    start: float
    end: float
    covers_since: float
    partial: bool

    @property
    def covered(self) -> bool:
        """Whether the history reaches back to the start of the window."""
        return self.covers_since <= self.start

    @property
    def complete(self) -> bool:
        """Whether counts and increases are the whole truth, not a lower bound of it."""
        return self.covers_since <= self.start and not self.partial

    @property
    def seconds(self) -> float:
        """How long the window is."""
        return self.end - self.start


class _CounterFields(NamedTuple):
    start: float
    end: float
    covers_since: float
    increase: float = 0.0
    total: float = 0.0
    partial: bool = False


class CounterWindow(_Span, _CounterFields):
    """How much a counter rose in the window, and its running total at the end."""

    __slots__ = ()


class _GaugeFields(NamedTuple):
    start: float
    end: float
    covers_since: float
    first: float | None = None
    last: float | None = None
    min: float | None = None
    max: float | None = None
    sum: float = 0.0
    count: int = 0  # type: ignore[assignment]  # a field, not the tuple's method
    set_at: float = -math.inf
    partial: bool = False


class GaugeWindow(_Span, _GaugeFields):
    """The values a gauge had in the window, the one in force at its start included.

    `first` and `last` are None where it was never set; `sum` and `count` are over the values set, not over time.
    `set_at` tells when `last` was set.
    """

    __slots__ = ()

    @property
    def change(self) -> float | None:
        """How far the value moved; None where it was never set."""
        return None if self.first is None or self.last is None else self.last - self.first

    @property
    def average(self) -> float | None:
        """The mean of the values set; None where there are none."""
        return self.sum / self.count if self.count else None


_NO_BUCKETS: Final[Mapping[int, int]] = MappingProxyType({})


class _DistributionFields(NamedTuple):
    start: float
    end: float
    covers_since: float
    count: int = 0  # type: ignore[assignment]  # a field, not the tuple's method
    sum: float = 0.0
    min: float | None = None
    max: float | None = None
    latest: float | None = None
    latest_at: float = -math.inf
    buckets: Mapping[int, int] = _NO_BUCKETS
    partial: bool = False


class DistributionWindow(_Span, _DistributionFields):
    """The observations in the window: `min` and `max` are None where there were none.

    `buckets` are exponential (`model.buckets`). `latest` is the last observation ever, at `latest_at`.
    """

    __slots__ = ()

    @property
    def average(self) -> float | None:
        """The mean of the observations; None without any."""
        return self.sum / self.count if self.count else None

    def percentile(self, q: float) -> float | None:
        """Give the value that `q` percent of the observations do not exceed, within 2.2 %; None without observations."""
        if self.min is None or self.max is None:
            return None
        return percentile(q, self.buckets, low=self.min, high=self.max)


Window = CounterWindow | GaugeWindow | DistributionWindow


def merge_counters(windows: Sequence[CounterWindow]) -> CounterWindow:
    """Add up counters over the same span; there must be one at least."""
    return CounterWindow(
        windows[0].start,
        windows[0].end,
        max([w.covers_since for w in windows]),
        sum([w.increase for w in windows]),
        sum([w.total for w in windows]),
        any(w.partial for w in windows),
    )


def merge_distributions(windows: Sequence[DistributionWindow]) -> DistributionWindow:
    """Pool the observations of distributions over the same span; there must be one at least."""
    buckets: dict[int, int] = {}
    for window in windows:
        for index, count in window.buckets.items():
            buckets[index] = buckets.get(index, 0) + count
    newest = max(windows, key=lambda w: w.latest_at)
    return DistributionWindow(
        newest.start,
        newest.end,
        max([w.covers_since for w in windows]),
        sum([w.count for w in windows]),
        sum([w.sum for w in windows]),
        min([w.min for w in windows if w.min is not None], default=None),
        max([w.max for w in windows if w.max is not None], default=None),
        newest.latest,
        newest.latest_at,
        buckets,
        any(w.partial for w in windows),
    )


def merge_gauges(windows: Sequence[GaugeWindow]) -> GaugeWindow:
    """Pool the values of several gauges; first and last are those of the one set last. There must be one at least."""
    held = [w for w in windows if w.count]
    if not held:
        return windows[0]._replace(partial=any(w.partial for w in windows))
    newest = max(held, key=lambda w: w.set_at)
    return newest._replace(
        covers_since=max([w.covers_since for w in held]),
        min=min([w.min for w in held if w.min is not None]),
        max=max([w.max for w in held if w.max is not None]),
        sum=sum([w.sum for w in held]),
        count=sum([w.count for w in held]),
        partial=any(w.partial for w in windows),
    )
