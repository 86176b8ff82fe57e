"""JSON: everything as `{collector: {metric: {…}}}`, in the units in which it was recorded.

    {"validation": {"validation_total": {
        "type": "counter", "description": "Total validation attempts", "unit": "",
        "latest_value": 42.0,                                   total, value set last or last observation; null without any
        "points": [{"timestamp": "2026-01-31T12:00:00+00:00", "value": 42.0, "labels": {…}}, …],        the recent past
        "series": [{"labels": {"node_type": "PythonCodeNode"}, "value": 42.0}]}}}

A series of a histogram or timer has `count`, `sum`, `latest_value` and `buckets` (`{"<upper bound>": count not above it}`)
instead of `value`.
"""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime

from kailash_monitor.model.snapshot import CollectorSnapshot, DistributionSample, MetricSnapshot, Sample, Snapshot

__all__ = ["render_json"]


def render_json(snapshot: Snapshot) -> Iterator[str]:
    """Give the document piece by piece, a metric at a time."""
    yield "{"
    for index, collector in enumerate(snapshot.collectors):
        yield ", " if index else ""
        yield from _collector(collector)
    yield "}"


def _collector(collector: CollectorSnapshot) -> Iterator[str]:
    yield f"{json.dumps(collector.name)}: {{"
    for index, metric in enumerate(collector.metrics):
        separator = ", " if index else ""
        yield f"{separator}{json.dumps(metric.metadata.name)}: {json.dumps(_metric(metric), allow_nan=False)}"
    yield "}"


def _metric(metric: MetricSnapshot) -> dict[str, object]:
    points = sorted(
        ((point.at, point.value, series.labels) for series in metric.series for point in series.points),
        key=lambda point: point[0],
    )
    return {
        "type": metric.metadata.type.value,
        "description": metric.metadata.description,
        "unit": metric.metadata.unit,
        "latest_value": _number(metric.latest),
        "points": [
            {"timestamp": datetime.fromtimestamp(at, UTC).isoformat(), "value": _number(value), "labels": dict(labels)}
            for at, value, labels in points
        ],
        "series": [_series(series) for series in metric.series],
    }


def _series(series: Sample | DistributionSample) -> dict[str, object]:
    match series:
        case Sample():
            return {"labels": dict(series.labels), "value": _number(series.value)}
        case DistributionSample():
            return {
                "labels": dict(series.labels),
                "count": series.count,
                "sum": _number(series.sum),
                "latest_value": _number(series.latest),
                "buckets": {"+Inf" if math.isinf(bound) else repr(bound): count for bound, count in series.le},
            }


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
