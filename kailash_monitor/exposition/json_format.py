"""JSON: everything as `{collector: {metric: {…}}}`, in the units in which it was recorded.

    {"validation": {"validation_total": {
        "type": "counter", "description": "Total validation attempts", "unit": "",
        "latest_value": 42.0,                                   total, value set last or last observation; null without any
        "points": [{"timestamp": "2026-01-31T12:00:00+00:00", "value": 42.0, "labels": {…}}, …],        the recent past
        "series": [{"labels": {"node_type": "PythonCodeNode"}, "value": 42.0}]}}}

A series of a histogram or timer has `count`, `sum`, `latest_value` and `buckets` (`{"<upper bound>": count not above it}`)
instead of `value`. The points of a metric are those of one series after the other.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import cast

from kailash_monitor.exposition.pieces import slices
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.snapshot import CollectorSnapshot, Snapshot
from kailash_monitor.model.views import CounterView, DistributionView, GaugeView, MetricView, SeriesView

__all__ = ["render_json"]

SERIES_PER_PIECE = 8
"""The recent past of a series has 60 points."""


def render_json(snapshot: Snapshot) -> Iterator[bytes]:
    """Give the document piece by piece, some series at a time."""
    yield b"{"
    for index, collector in enumerate(snapshot.collectors):
        yield b", " if index else b""
        for piece in _collector(collector, snapshot.wall_offset):
            yield piece.encode()
    yield b"}"


def _collector(collector: CollectorSnapshot, offset: float) -> Iterator[str]:
    yield f"{json.dumps(collector.name)}: {{"
    for index, metric in enumerate(collector.metrics):
        yield f"{', ' if index else ''}{json.dumps(metric.metadata.name)}: "
        yield from _metric(metric, offset)
    yield "}"


def _metric(metric: MetricView, offset: float) -> Iterator[str]:
    metadata, series = metric.metadata, metric.series
    facts = {
        "type": metadata.type.value,
        "description": metadata.description,
        "unit": metadata.unit,
        "latest_value": _number(metric.latest()),
    }
    yield f'{json.dumps(facts, allow_nan=False)[:-1]}, "points": ['
    yield from _joined(
        [point for one in some for point in _points(one, offset)] for some in slices(series, SERIES_PER_PIECE)
    )
    yield '], "series": ['
    yield from _joined([_series(metric, one) for one in some] for some in slices(series))
    yield "]}"


def _joined(lists: Iterable[Sequence[object]]) -> Iterator[str]:
    """Give the items of all lists as of one, without its brackets."""
    separator = ""
    for items in lists:
        if items:
            yield separator + json.dumps(items, allow_nan=False)[1:-1]
            separator = ", "


def _points(series: SeriesView, offset: float) -> Iterator[dict[str, object]]:
    labels = dict(series.labels)
    for at, value in series.points():
        timestamp = datetime.fromtimestamp(at + offset, UTC).isoformat()
        yield {"timestamp": timestamp, "value": _number(value), "labels": labels}


def _series(metric: MetricView, series: SeriesView) -> dict[str, object]:
    """Give one series; `cast` because a metric's type says of which kind its series are."""
    labels = dict(series.labels)
    match metric.metadata.type:
        case MetricType.COUNTER:
            return {"labels": labels, "value": _number(cast("CounterView", series).total)}
        case MetricType.GAUGE:
            return {"labels": labels, "value": _number(cast("GaugeView", series).value)}
        case MetricType.HISTOGRAM | MetricType.TIMER:
            distribution = cast("DistributionView", series)
            counts, total = distribution.totals()
            bounds = [*map(repr, metric.bounds), "+Inf"]
            return {
                "labels": labels,
                "count": sum(counts),
                "sum": _number(total),
                "latest_value": _number(distribution.latest),
                "buckets": dict(zip(bounds, accumulate(counts), strict=True)),
            }


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
