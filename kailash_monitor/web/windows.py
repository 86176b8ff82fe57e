"""Windows: what a metric did in the last minute, five minutes, hour and day, exactly as rules read it."""

from collections.abc import Sequence
from typing import Final

from kailash_monitor.errors import ConfigurationError, NoAnswer
from kailash_monitor.metrics import CallbackSeries, Metric
from kailash_monitor.metrics.series import Series
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.window import (
    CounterWindow,
    DistributionWindow,
    GaugeWindow,
    Window,
    merge_counters,
    merge_distributions,
    merge_gauges,
)
from kailash_monitor.promql.source import Pieces
from kailash_monitor.web.charts import rounded
from kailash_monitor.web.label_filter import LabelFilter
from kailash_monitor.web.metric_chart import matching

__all__ = ["documents_of"]

SECONDS: Final = (60, 300, 3600, 86_400)

_AT_ONCE: Final = {MetricType.COUNTER: 250, MetricType.GAUGE: 100, MetricType.HISTOGRAM: 12, MetricType.TIMER: 12}
"""Series that are read without a pause."""

_MOST: Final = {MetricType.COUNTER: 50_000, MetricType.GAUGE: 5_000, MetricType.HISTOGRAM: 2_000, MetricType.TIMER: 2_000}
"""Series that are read for an answer: what a second is enough for."""

_NOTHING: Final[dict[str, float | None]] = dict.fromkeys(
    ("count", "sum", "rate", "increase", "avg", "min", "max", "p50", "p90", "p95", "p99")
)


def documents_of(metric: Metric, wanted: LabelFilter, now: float) -> Pieces[list[dict[str, object]]]:
    """Give the windows as plain data for JSON; None where something means nothing for the metric's type.

    A ConfigurationError where there are too many series.
    """
    series: Sequence[Series] = yield from matching(metric, wanted)
    if not wanted.demands:
        series = metric.groups({}, ())[NO_LABELS]  # what removed series counted is among it
    most = _MOST[metric.metric_type]
    if len(series) > most:
        raise ConfigurationError(
            "the request", field="match", seen=f"{len(series):,} series", expected=f"{most:,} at most: ask for some by match"
        )
    found = list[dict[str, object]]()
    for seconds in SECONDS:
        window = yield from _merged(metric, series, float(seconds), now)
        found.append({"seconds": seconds, **_NOTHING, **_read(window), "partial": not window.complete})
    return found


def _merged(metric: Metric, series: Sequence[Series], seconds: float, now: float) -> Pieces[Window]:
    """Give the window of all series together, read in pieces."""
    merged = metric.empty_window(seconds, now)
    at_once = _AT_ONCE[metric.metric_type]
    for first in range(0, len(series), at_once):
        windows = [_window(one, seconds, now) for one in series[first : first + at_once]]
        match merged:
            case CounterWindow():
                merged = merge_counters([merged, *[one for one in windows if isinstance(one, CounterWindow)]])
            case DistributionWindow():
                merged = merge_distributions([merged, *[one for one in windows if isinstance(one, DistributionWindow)]])
            case GaugeWindow():
                merged = merge_gauges([merged, *[one for one in windows if isinstance(one, GaugeWindow)]])
        yield
    return merged


def _window(series: Series, seconds: float, now: float) -> Window:
    try:
        return series.window(seconds, now)
    except NoAnswer:
        assert isinstance(series, CallbackSeries)
        return GaugeWindow(now - seconds, now, now)


def _read(window: Window) -> dict[str, float | None]:
    match window:
        case CounterWindow():
            return {"increase": rounded(window.increase), "rate": rounded(window.increase / window.seconds)}
        case GaugeWindow():
            return {
                "increase": rounded(window.change),
                "rate": rounded(None if window.change is None else window.change / window.seconds),
                "avg": rounded(window.average),
                "min": rounded(window.min),
                "max": rounded(window.max),
            }
        case DistributionWindow():
            return {
                "count": window.count,
                "sum": rounded(window.sum),
                "increase": window.count,
                "rate": rounded(window.count / window.seconds),
                "avg": rounded(window.average),
                "min": rounded(window.min),
                "max": rounded(window.max),
                **{f"p{share}": rounded(window.percentile(share)) for share in (50, 90, 95, 99)},
            }
