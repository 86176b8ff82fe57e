"""A metric: one name, its series, and what all of them say together."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

from kailash_monitor.clock import Clock
from kailash_monitor.errors import MetricError, ValueRefused
from kailash_monitor.metrics.definition import check_bounds, check_label_names, in_words
from kailash_monitor.metrics.series import CallbackSeries, CounterSeries, DistributionSeries, GaugeSeries, Series
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.metric import Metadata, MetricType
from kailash_monitor.model.snapshot import MetricSnapshot
from kailash_monitor.model.window import (
    CounterWindow,
    DistributionWindow,
    GaugeWindow,
    Window,
    merge_counters,
    merge_distributions,
)

__all__ = ["OVERFLOW", "Metric", "MetricOwner", "MetricPoint"]

DEFAULT_WINDOW: Final = 300.0
"""Five minutes: the window of the guide's calls that do not name one, and of its rules."""

KNOWN_PER_SERIES: Final = 2
"""Orders in which the labels of one series may be given and are remembered: more than a program's source has."""

OVERFLOW: Final = Labels({"overflow": "true"})
"""Where label sets past the limit are counted, so that totals stay exact."""


class MetricOwner(Protocol):
    """What a metric needs of its collector."""

    max_series: int

    @property
    def clock(self) -> Clock:
        """The timeline of all its metrics."""
        ...

    @property
    def strict(self) -> bool:
        """Whether a value that cannot be recorded is raised."""
        ...

    def report(self, text: str) -> None:
        """Tell the operator, without raising."""
        ...


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of the recent past. `timestamp` is an aware datetime in UTC."""

    timestamp: datetime
    value: float
    labels: Mapping[str, str]


T = TypeVar("T", bound=Series)


class Metric:
    """All series of one name.

    Reads without labels speak of the metric as a whole: counters and distributions add up, a gauge gives the value set
    last. `window` arguments are durations ("5m", a timedelta, seconds), five minutes where left out; what cannot be said
    (an average of a counter, a maximum of nothing) is None.

    `refused` counts recordings that were dropped, `overflowed` those that went to the overflow series.
    """

    def __init__(
        self,
        metadata: Metadata,
        owner: MetricOwner,
        *,
        label_names: Sequence[str] | None = None,
        bounds: Sequence[float] | None = None,
        callback: Callable[[float], float | None] | None = None,
    ) -> None:
        check_label_names(metadata, label_names or ())
        self.metadata: Final = metadata
        self.label_names: Final = None if label_names is None else tuple(label_names)
        self.bounds: Final = check_bounds(metadata, bounds)
        self.refused = 0
        self.overflowed = 0
        self._owner = owner
        self._born = owner.clock.now()
        self._lock = threading.Lock()  # guards the making of series and what has been reported
        self._series: dict[Labels, Series] = {}
        self._known: dict[tuple[tuple[str, object], ...], Series] = {}  # by labels as they are given; texts only
        self._reported: set[str] = set()
        if callback is not None:
            self._series[NO_LABELS] = CallbackSeries(NO_LABELS, callback)

    def __repr__(self) -> str:
        return f"<Metric {self.name} {self.metric_type.value}, {len(self._series)} series>"

    @property
    def name(self) -> str:
        """The name within its collector."""
        return self.metadata.name

    @property
    def metric_type(self) -> MetricType:
        """Counter, gauge, histogram or timer."""
        return self.metadata.type

    @property
    def series(self) -> list[Series]:
        """Every label set that was recorded, each to be read for itself."""
        return list(self._series.values())

    # -- recording -----------------------------------------------------------------------------------------------------

    def child(self, labels: Mapping[str, object] | None, kind: type[T]) -> T:
        """Give the series of `labels`, made on first use; past the limit, the overflow series.

        Label names that the metric does not have, or a `kind` that is not the metric's, are a MetricError.
        """
        items = (*labels.items(),) if labels else ()
        try:
            series = self._known[items]
        except (KeyError, TypeError):  # TypeError: what cannot be hashed is a label all the same
            series = self._remember(items, self._find(Labels(labels) if labels else NO_LABELS))
        if series.__class__ is not kind:
            raise MetricError(
                f"metric {self.name!r}",
                seen=f"recorded as {_NAMES[kind]}",
                expected=f"it is a {self.metric_type.value}",
            )
        return series  # pyright: ignore[reportReturnType]  # of that very class

    def _find(self, key: Labels) -> Series:
        return self._series.get(key) or self._make(key)

    def _remember(self, items: tuple[tuple[str, object], ...], series: Series) -> Series:
        """Keep the way from these very labels to their series: making Labels of them takes longer than all the rest."""
        if len(self._known) < KNOWN_PER_SERIES * self._owner.max_series and all(type(value) is str for _, value in items):
            self._known[items] = series
        return series

    def _make(self, key: Labels) -> Series:
        names = tuple(key)
        if self.label_names is None:
            check_label_names(self.metadata, names)
        elif set(names) != set(self.label_names):
            raise MetricError(
                f"metric {self.name!r}",
                seen=f"the labels {in_words(names)}",
                expected=f"it has the labels {in_words(self.label_names)}",
            )
        with self._lock:
            overflows = len(self._series) >= self._owner.max_series and key not in self._series
            if overflows:
                self.overflowed += 1
                key = OVERFLOW
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = self._new_series(key)
        if overflows:
            self._report_once(
                "overflow",
                f"metric {self.name!r} has reached its limit of {self._owner.max_series} series; further label sets are "
                f"counted together in {OVERFLOW!r}. Most varied: {self._most_varied_label()}",
            )
        return series

    def _new_series(self, key: Labels) -> Series:
        now, born, refuse = self._owner.clock.now, self._born, self._refuse
        match self.metric_type:
            case MetricType.COUNTER:
                return CounterSeries(key, now=now, born=born, refuse=refuse)
            case MetricType.GAUGE:
                return GaugeSeries(key, now=now, born=born, refuse=refuse)
            case MetricType.HISTOGRAM | MetricType.TIMER:
                return DistributionSeries(key, self.bounds, now=now, born=born, refuse=refuse)

    def _most_varied_label(self) -> str:
        values: dict[str, set[str]] = {}
        for labels in list(self._series):
            for name, value in labels.items():
                values.setdefault(name, set()).add(value)
        if not values:
            return "none"
        most = max(values, key=lambda name: len(values[name]))
        return f"label {most!r} with {len(values[most])} values"

    def _refuse(self, value: object, why: str) -> None:
        if self._owner.strict:
            raise ValueRefused(f"metric {self.name!r}: {value!r} is {why}")
        with self._lock:
            self.refused += 1
        self._report_once(why, f"metric {self.name!r} dropped the value {value!r}: {why}. Further ones are only counted")

    def _report_once(self, topic: str, text: str) -> None:
        with self._lock:
            if topic in self._reported:
                return
            self._reported.add(topic)
        self._owner.report(text)

    # -- reading -------------------------------------------------------------------------------------------------------

    def select(self, match: Mapping[str, str], now: float) -> Sequence[Series]:
        """Give the series that have all labels of `match`."""
        series = self.series
        return [s for s in series if s.labels.matches(match)] if match else series

    def empty_window(self, seconds: float, now: float) -> Window:
        """Give the window of a label set that nobody has recorded."""
        start = now - seconds
        match self.metric_type:
            case MetricType.COUNTER:
                return CounterWindow(start, now, self._born)
            case MetricType.GAUGE:
                return GaugeWindow(start, now, self._born)
            case MetricType.HISTOGRAM | MetricType.TIMER:
                return DistributionWindow(start, now, self._born)

    def window(
        self, window: Duration | None = None, match: Mapping[str, str] | None = None, now: float | None = None
    ) -> Window:
        """Give the window of the metric as a whole, or of the series that have the labels of `match`."""
        seconds = DEFAULT_WINDOW if window is None else parse_duration(window)
        at = self._owner.clock.now() if now is None else now
        windows = [series.window(seconds, at) for series in self.select(match or {}, at)]
        windows.append(self.empty_window(seconds, at))
        counters = [w for w in windows if isinstance(w, CounterWindow)]
        if counters:
            return merge_counters(counters)
        distributions = [w for w in windows if isinstance(w, DistributionWindow)]
        if distributions:
            return merge_distributions(distributions)
        return _merge_gauges([w for w in windows if isinstance(w, GaugeWindow)])

    def get_latest_value(self) -> float | None:
        """Give a counter's total, the value a gauge was last set to, the last observation of a distribution."""
        match self.window():
            case CounterWindow(total=value) | GaugeWindow(last=value) | DistributionWindow(latest=value):
                return value

    def get_average(self, window: Duration | None = None) -> float | None:
        """Give the mean of the observations, or of the values of a gauge (the one in force at the start included)."""
        match self.window(window):
            case GaugeWindow(sum=total, count=count) | DistributionWindow(sum=total, count=count) if count:
                return total / count
            case _:
                return None

    def get_max(self, window: Duration | None = None) -> float | None:
        """Give the largest value in the window."""
        match self.window(window):
            case GaugeWindow(max=value) | DistributionWindow(max=value):
                return value
            case _:
                return None

    def get_min(self, window: Duration | None = None) -> float | None:
        """Give the smallest value in the window."""
        match self.window(window):
            case GaugeWindow(min=value) | DistributionWindow(min=value):
                return value
            case _:
                return None

    def get_increase(self, window: Duration | None = None) -> float | None:
        """Give how much a counter rose, how many observations there were, or how far a gauge moved."""
        match self.window(window):
            case CounterWindow(increase=value):
                return value
            case DistributionWindow(count=count):
                return float(count)
            case GaugeWindow(change=change):
                return change

    def get_rate(self, window: Duration | None = None) -> float | None:
        """Give `get_increase` per second, over the whole window."""
        seconds = DEFAULT_WINDOW if window is None else parse_duration(window)
        increase = self.get_increase(seconds)
        return None if increase is None else increase / seconds

    def get_percentile(self, q: float, window: Duration | None = None) -> float | None:
        """Give the value that `q` percent (0 to 100) of the observations do not exceed, within 2.2 %."""
        found = self.window(window)
        return found.percentile(q) if isinstance(found, DistributionWindow) else None

    @property
    def points(self) -> list[MetricPoint]:
        """The recent past of every series, oldest first: totals of a counter, values of a gauge, averages of a second."""
        return sorted(self._points(), key=lambda point: point.timestamp)

    def _points(self) -> Iterator[MetricPoint]:
        for sample in self.snapshot(self._owner.clock.now(), self._wall_offset()).series:
            for point in sample.points:
                yield MetricPoint(datetime.fromtimestamp(point.at, UTC), point.value, sample.labels)

    def _wall_offset(self) -> float:
        return self._owner.clock.wall() - self._owner.clock.now()

    def snapshot(self, now: float, wall_offset: float) -> MetricSnapshot:
        """Give what is known at `now`, for export; what a callback raises is raised here."""
        samples = [series.sample(wall_offset, now) for series in self.series]
        return MetricSnapshot(self.metadata, self.get_latest_value(), [s for s in samples if s is not None])


def _merge_gauges(windows: Sequence[GaugeWindow]) -> GaugeWindow:
    """Pool the values of several gauges; first and last are those of the one set last."""
    held = [w for w in windows if w.min is not None and w.max is not None]
    if not held:
        return windows[0]
    newest = max(held, key=lambda w: w.set_at)
    return GaugeWindow(
        newest.start,
        newest.end,
        max(w.covers_since for w in held),
        first=newest.first,
        last=newest.last,
        min=min(w.min for w in held if w.min is not None),
        max=max(w.max for w in held if w.max is not None),
        sum=math.fsum(w.sum for w in held),
        count=sum(w.count for w in held),
        set_at=newest.set_at,
    )


_NAMES: Final[dict[type[object], str]] = {
    CounterSeries: "a counter",
    GaugeSeries: "a gauge",
    DistributionSeries: "a distribution",
}
