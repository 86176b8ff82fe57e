"""Lines: what series of a metric did over time, read from their history.

The history is exact where pages of Prometheus are not: percentiles are known within 2.2 % from exponential buckets, extremes
as they were, and nothing lies between two scrapes. Numbers are in the metric's own unit.
"""

from collections.abc import Callable, Mapping, Sequence
from heapq import nsmallest
from typing import Final, TypeVar, cast

from kailash_monitor.metrics import Metric
from kailash_monitor.metrics.curve import CounterCurve, DistributionCurve, Grid, gauge_windows
from kailash_monitor.metrics.series import CallbackSeries, CounterSeries, DistributionSeries, GaugeSeries, Series
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow, Window
from kailash_monitor.promql.source import Pieces
from kailash_monitor.web.charts import MOST_LINES

__all__ = [
    "STATISTICS",
    "added_up",
    "each_gauge",
    "largest",
    "latest_of",
    "statistic_of",
    "statistic_unit",
    "values_of_group",
]

READ_AT_ONCE: Final = 1000
"""Points of all series that are read without a pause: about a millisecond's work."""

READING: Final = 30
SPREADING: Final = 300
"""As many points are read in the time that it takes to copy the history of a series, and to take its buckets apart."""

JOINED: Final = 64
"""Readings of a point that are kept side by side."""

PERCENTILES_AT_ONCE: Final = 20
"""Percentiles that are read without a pause."""

RANKED_AT_ONCE: Final = 500
"""Series whose latest value is looked at without a pause."""

T = TypeVar("T")

MOST_READ: Final = 600_000
"""Microseconds that the series of a chart may take to be read, at the least number of points."""

_TAKES: Final[Mapping[tuple[MetricType, bool], int]] = {
    (MetricType.COUNTER, False): 40,
    (MetricType.GAUGE, False): 60,
    (MetricType.GAUGE, True): 110,
    (MetricType.HISTOGRAM, False): 70,
    (MetricType.HISTOGRAM, True): 400,
    (MetricType.TIMER, False): 70,
    (MetricType.TIMER, True): 400,
}
"""Microseconds that a series takes, as measured; with whether its extremes or percentiles are read."""

Values = list[float | None]

_OF_DISTRIBUTION: Final = ("avg", "rate", "p50", "p90", "p95", "p99", "max")

STATISTICS: Final[Mapping[MetricType, tuple[str, ...]]] = {
    MetricType.COUNTER: ("rate", "increase", "total"),
    MetricType.GAUGE: ("value", "avg", "min", "max"),
    MetricType.HISTOGRAM: _OF_DISTRIBUTION,
    MetricType.TIMER: _OF_DISTRIBUTION,
}
"""What can be shown of a metric over time, the first unless something else is asked for."""

_OF_COUNTER: Final[Mapping[str, Callable[[CounterWindow], float]]] = {
    "rate": lambda window: window.increase / window.seconds,
    "increase": lambda window: window.increase,
    "total": lambda window: window.total,
}

_OF_GAUGE: Final[Mapping[str, Callable[[GaugeWindow], float | None]]] = {
    "value": lambda window: window.last,
    "avg": lambda window: window.average,
    "min": lambda window: window.min,
    "max": lambda window: window.max,
}

_TOGETHER: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {"min": min, "max": max}
"""How the values of several gauges make one; elsewhere it is their mean."""


def statistic_unit(statistic: str, metric: Metric) -> str | None:
    """Give the unit of a statistic: the metric's own, or what comes in a second."""
    unit = metric.metadata.unit
    if statistic == "rate":
        return f"{unit if metric.metric_type is MetricType.COUNTER else ''}/s"
    return unit or None


def statistic_of(statistic: str) -> Callable[[Window], float | None]:
    """Give what reads a statistic of a window; None where there is nothing to read."""

    def read(window: Window) -> float | None:
        match window:
            case CounterWindow():
                return _OF_COUNTER[statistic](window)
            case GaugeWindow():
                return _OF_GAUGE[statistic](window)
            case DistributionWindow():
                return _of_distribution(statistic, window)

    return read


def _of_distribution(statistic: str, window: DistributionWindow) -> float | None:
    match statistic:
        case "rate":
            return window.count / window.seconds
        case "avg":
            return window.average
        case "max":
            return window.max
        case _:
            return window.percentile(float(statistic[1:]))


def too_many(series: int, kind: MetricType, *, spread: bool) -> str | None:
    """Say so where as many series cannot be read for a chart in a fraction of a second; None where they can."""
    most = MOST_READ // _TAKES[kind, spread and kind is not MetricType.COUNTER]
    return f"{series:,} series are too many to be read for a chart, {most:,} at most: narrow it" if series > most else None


def spreads(statistic: str, kind: MetricType) -> bool:
    """Whether a statistic reads more than sums and values: extremes or percentiles."""
    if kind is MetricType.GAUGE:
        return statistic != "value"
    return statistic == "max" or statistic.startswith("p")


def values_of_group(group: Sequence[Series], statistic: str, grid: Grid) -> Pieces[Values]:
    """Give a statistic of these series together, at each point: gauges are averaged, but for the least and the greatest."""
    read = statistic_of(statistic)
    if not any(isinstance(series, GaugeSeries | CallbackSeries) for series in group):
        return (yield from added_up(group, grid, read, spread=spreads(statistic, MetricType.HISTOGRAM)))
    values = yield from each_gauge(group, grid, read, spread=spreads(statistic, MetricType.GAUGE))
    together = _TOGETHER.get(statistic) or _mean
    return [together(some) if some else None for some in values]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def each_gauge(
    group: Sequence[Series],
    grid: Grid,
    read: Callable[[GaugeWindow], T | None],
    *,
    spread: bool,
    join: Callable[[Sequence[T]], T] | None = None,
) -> Pieces[list[list[T]]]:
    """Give, for each point, what `read` makes of each gauge that has a value there; `spread` where it reads more than it.

    `join` may make one of several now and then, where there are many.
    """
    found: list[list[T]] = [[] for _ in range(grid.points)]
    left = READ_AT_ONCE
    for series in group:
        for place, window in zip(found, gauge_windows(cast("GaugeSeries", series), grid, spread=spread), strict=True):
            value = None if window is None else read(window)
            if value is not None:
                place.append(value)
        left -= grid.points + READING
        if left < 0:
            left = READ_AT_ONCE
            if join is not None:
                for place in found:
                    if len(place) > JOINED:
                        place[:] = [join(place)]
            yield
    yield
    return found


def added_up(
    group: Sequence[Series], grid: Grid, read: Callable[[Window], T | None], *, spread: bool
) -> Pieces[list[T | None]]:
    """Give, for each point, what `read` makes of counters, or of distributions, together; with `spread` where it reads their
    extremes or percentiles. None where nothing is known, and where there are none of them.
    """
    if not group:
        return [None] * grid.points
    curve: CounterCurve | DistributionCurve = CounterCurve(grid)
    if isinstance(group[0], DistributionSeries):
        curve = DistributionCurve(grid, spread=spread)
    left, edges = READ_AT_ONCE, grid.edges
    for series in group:
        curve.take(series)  # type: ignore[arg-type]  # of the type that the first one has
        left -= len(edges) + (SPREADING if spread else READING)
        if left < 0:
            left = READ_AT_ONCE
            yield
    yield
    found: list[T | None] = []
    for number, window in enumerate(curve.windows(), 1):
        found.append(None if window is None else read(window))
        if spread and not number % PERCENTILES_AT_ONCE:
            yield
    yield
    return found


def largest(groups: Sequence[Sequence[Series]]) -> Pieces[list[int]]:
    """Give the places of the groups that are to be drawn, the largest by their latest values first; few stay as they are."""
    if len(groups) <= MOST_LINES:
        return [*range(len(groups))]
    ranked = list[tuple[float, int]]()
    looked = 0
    for place, members in enumerate(groups):
        rank = 0.0
        for series in members:
            rank += abs(latest_of(series) or 0.0)
            looked += 1
            if not looked % RANKED_AT_ONCE:
                yield
        ranked.append((-rank, place))
    yield
    return [place for _, place in nsmallest(MOST_LINES, ranked)]


def latest_of(series: Series) -> float | None:
    """Give a counter's total, a gauge's value, a distribution's last observation; a callback is not asked."""
    match series:
        case CounterSeries():
            return series.total
        case DistributionSeries():
            return series.latest
        case _:
            return series.value
