"""OpenMetrics text 1.0.0.

https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

import math
from collections.abc import Iterator
from typing import Final

from kailash_monitor.exposition.names import ExportedName, exported_name
from kailash_monitor.exposition.numbers import clean_bound
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.snapshot import DistributionSample, MetricSnapshot, Sample, Snapshot

__all__ = ["OPENMETRICS_CONTENT_TYPE", "render_openmetrics"]

OPENMETRICS_CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_TYPES: Final = {
    MetricType.COUNTER: "counter",
    MetricType.GAUGE: "gauge",
    MetricType.HISTOGRAM: "histogram",
    MetricType.TIMER: "histogram",
}


def render_openmetrics(snapshot: Snapshot) -> Iterator[str]:
    """Give the page piece by piece, a metric at a time, in base units; the last piece says that it is whole."""
    for collector in snapshot.collectors:
        for metric in collector.metrics:
            if metric.series:
                yield "".join(_metric(exported_name(snapshot.namespace, collector.name, metric.metadata), metric))
    yield "# EOF\n"


def _metric(exported: ExportedName, metric: MetricSnapshot) -> Iterator[str]:
    family = exported.name.removesuffix("_total") if metric.metadata.type is MetricType.COUNTER else exported.name
    description = metric.metadata.description or metric.metadata.name.replace("_", " ")
    yield f"# TYPE {family} {_TYPES[metric.metadata.type]}\n"
    if exported.unit:
        yield f"# UNIT {family} {exported.unit}\n"
    yield f"# HELP {family} {_escape_help(description)}\n"
    for series in metric.series:
        labels = series.labels.text()
        match series:
            case Sample() if metric.metadata.type is MetricType.COUNTER:
                yield _line(f"{family}_total", labels, _number(series.value * exported.scale))
                yield _line(f"{family}_created", labels, _number(series.created_at))
            case Sample():
                yield _line(family, labels, _number(series.value * exported.scale))
            case DistributionSample():
                yield from _distribution(family, labels, exported.scale, series)


def _distribution(family: str, labels: str, scale: float, series: DistributionSample) -> Iterator[str]:
    bounds = [(clean_bound(bound * scale), count) for bound, count in series.le]
    for bound, count in bounds:
        le = f'le="{_number(bound)}"'
        yield _line(f"{family}_bucket", f"{labels},{le}" if labels else le, str(count))
    yield _line(f"{family}_count", labels, str(series.count))
    if bounds[0][0] >= 0:  # with negative bounds the sum can fall, and then it may not be told
        yield _line(f"{family}_sum", labels, _number(series.sum * scale))
    yield _line(f"{family}_created", labels, _number(series.created_at))


def _line(name: str, labels: str, value: str) -> str:
    return f"{name}{{{labels}}} {value}\n" if labels else f"{name} {value}\n"


def _number(value: float) -> str:
    """Give a float as OpenMetrics has it: always with a point or an exponent, so that `le` is the same text everywhere."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
