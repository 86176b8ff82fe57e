"""Windows: what a series did in a stretch of time, as values that can be merged and judged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Protocol

from kailash_monitor.model.buckets import percentile
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.metric import Metadata

__all__ = [
    "CounterWindow",
    "DistributionWindow",
    "GaugeWindow",
    "MetricView",
    "SeriesView",
    "Window",
    "merge_counters",
    "merge_distributions",
]


@dataclass(frozen=True, slots=True)
class _Span:
    """The stretch of time a window was asked for, and how much of it the history knows.

    Where `covers_since` is later than `start`, counts and increases are lower bounds of the truth.
    """

    start: float
    end: float
    covers_since: float

    @property
    def covered(self) -> bool:
        """Whether the history reaches back to the start of the window."""
        return self.covers_since <= self.start

    @property
    def seconds(self) -> float:
        """How long the window is."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class CounterWindow(_Span):
    """How much a counter rose in the window, and its running total at the end."""

    increase: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class GaugeWindow(_Span):
    """The values a gauge had in the window, the one in force at its start included.

    `first` and `last` are None where it was never set; `sum` and `count` are over the values set, not over time.
    `set_at` tells when `last` was set.
    """

    first: float | None = None
    last: float | None = None
    min: float | None = None
    max: float | None = None
    sum: float = 0.0
    count: int = 0
    set_at: float = 0.0

    @property
    def change(self) -> float | None:
        """How far the value moved; None where it was never set."""
        return None if self.first is None or self.last is None else self.last - self.first


@dataclass(frozen=True, slots=True)
class DistributionWindow(_Span):
    """The observations in the window: `min`, `max` and `last` are None where there were none.

    `buckets` are exponential (`model.buckets`). `latest` is the last observation ever, at `latest_at`.
    """

    count: int = 0
    sum: float = 0.0
    min: float | None = None
    max: float | None = None
    latest: float | None = None
    latest_at: float = 0.0
    buckets: Mapping[int, int] = field(default_factory=dict[int, int])

    def percentile(self, q: float) -> float | None:
        """Give the value that `q` percent of the observations do not exceed, within 2.2 %; None without observations."""
        if self.min is None or self.max is None:
            return None
        return percentile(q, self.buckets, low=self.min, high=self.max)


Window = CounterWindow | GaugeWindow | DistributionWindow


class SeriesView(Protocol):
    """One series, to be read.

    For implementers: `window` is consistent in itself (count, sum and buckets agree), whoever records meanwhile.
    """

    @property
    def labels(self) -> Labels:
        """What tells this series from the others of its metric."""
        ...

    def window(self, seconds: float, now: float) -> Window:
        """What happened in the `seconds` before `now`."""
        ...


class MetricView(Protocol):
    """A metric, to be read: its definition and its series."""

    @property
    def metadata(self) -> Metadata:
        """What the numbers mean."""
        ...

    def select(self, match: Mapping[str, str], now: float) -> Sequence[SeriesView]:
        """The series that have all labels of `match` with those values; an absent label has the empty value."""
        ...

    def empty_window(self, seconds: float, now: float) -> Window:
        """What a label set that nobody has recorded yet did in the `seconds` before `now`."""
        ...


def merge_counters(windows: Iterable[CounterWindow]) -> CounterWindow:
    """Add up counters over the same span."""
    return reduce(_add_counters, windows)


def merge_distributions(windows: Iterable[DistributionWindow]) -> DistributionWindow:
    """Pool the observations of distributions over the same span."""
    return reduce(_pool, windows)


def _add_counters(a: CounterWindow, b: CounterWindow) -> CounterWindow:
    return CounterWindow(
        a.start, a.end, max(a.covers_since, b.covers_since), increase=a.increase + b.increase, total=a.total + b.total
    )


def _pool(a: DistributionWindow, b: DistributionWindow) -> DistributionWindow:
    buckets = dict(a.buckets)
    for index, count in b.buckets.items():
        buckets[index] = buckets.get(index, 0) + count
    newer = a if a.latest_at >= b.latest_at else b
    return DistributionWindow(
        a.start,
        a.end,
        max(a.covers_since, b.covers_since),
        count=a.count + b.count,
        sum=a.sum + b.sum,
        min=min((v for v in (a.min, b.min) if v is not None), default=None),
        max=max((v for v in (a.max, b.max) if v is not None), default=None),
        latest=newer.latest,
        latest_at=newer.latest_at,
        buckets=buckets,
    )
