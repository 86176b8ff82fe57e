"""The Prometheus text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import math
from collections.abc import Iterator
from typing import Final

from kailash_monitor.exposition.names import ExportedName, exported_name
from kailash_monitor.exposition.numbers import clean_bound
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.snapshot import DistributionSample, MetricSnapshot, Sample, Snapshot

__all__ = ["PROMETHEUS_CONTENT_TYPE", "render_prometheus"]

PROMETHEUS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_TYPES: Final = {
    MetricType.COUNTER: "counter",
    MetricType.GAUGE: "gauge",
    MetricType.HISTOGRAM: "histogram",
    MetricType.TIMER: "histogram",
}


def render_prometheus(snapshot: Snapshot) -> Iterator[str]:
    """Give the page piece by piece, a metric at a time, in base units."""
    for collector in snapshot.collectors:
        for metric in collector.metrics:
            if metric.series:
                yield "".join(_metric(exported_name(snapshot.namespace, collector.name, metric.metadata), metric))


def _metric(exported: ExportedName, metric: MetricSnapshot) -> Iterator[str]:
    description = metric.metadata.description or metric.metadata.name.replace("_", " ")
    yield f"# HELP {exported.name} {_escape_help(description)}\n"
    yield f"# TYPE {exported.name} {_TYPES[metric.metadata.type]}\n"
    for series in metric.series:
        match series:
            case Sample():
                yield _line(exported.name, series.labels.text(), series.value * exported.scale)
            case DistributionSample():
                yield from _distribution(exported, series)


def _distribution(exported: ExportedName, series: DistributionSample) -> Iterator[str]:
    text = series.labels.text()
    for bound, count in series.le:
        le = f'le="{_number(clean_bound(bound * exported.scale))}"'
        yield _line(f"{exported.name}_bucket", f"{text},{le}" if text else le, count)
    yield _line(f"{exported.name}_sum", text, series.sum * exported.scale)
    yield _line(f"{exported.name}_count", text, series.count)


def _line(name: str, labels: str, value: float) -> str:
    return f"{name}{{{labels}}} {_number(value)}\n" if labels else f"{name} {_number(value)}\n"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 2**53:  # beyond, not every integer is a float
        return str(int(value))
    return repr(float(value))


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
