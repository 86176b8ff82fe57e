"""The Prometheus text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, cast

from kailash_monitor.exposition.names import ExportedName, exported_name
from kailash_monitor.exposition.numbers import clean_bound, number
from kailash_monitor.exposition.pieces import slices
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.snapshot import Snapshot
from kailash_monitor.model.views import CounterView, DistributionView, GaugeView, MetricView

__all__ = ["PROMETHEUS_CONTENT_TYPE", "render_prometheus"]

PROMETHEUS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

LABELS: Final = "\0"
"""Stands for the labels in the lines that all series of a histogram share; names and numbers cannot hold it."""


def render_prometheus(snapshot: Snapshot) -> Iterator[bytes]:
    """Give the page piece by piece, some series at a time, in base units."""
    for collector in snapshot.collectors:
        for metric in collector.metrics:
            header = _header(exported := exported_name(snapshot.namespace, collector.name, metric.metadata), metric)
            for lines in _lines(exported, metric):
                if lines:
                    yield f"{header}{lines}".encode()
                    header = ""


def _header(exported: ExportedName, metric: MetricView) -> str:
    kind = metric.metadata.type
    word = "histogram" if kind in (MetricType.HISTOGRAM, MetricType.TIMER) else kind.value
    description = metric.metadata.description or metric.metadata.name.replace("_", " ")
    escaped = description.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {exported.name} {escaped}\n# TYPE {exported.name} {word}\n"


def _lines(exported: ExportedName, metric: MetricView) -> Iterator[str]:
    """Give the lines of some series at a time; `cast` because a metric's type says of which kind its series are."""
    match metric.metadata.type:
        case MetricType.COUNTER:
            for counters in slices(cast("Sequence[CounterView]", metric.series)):
                yield _numbers(exported, [(one.labels.text(), one.total) for one in counters])
        case MetricType.GAUGE:
            for gauges in slices(cast("Sequence[GaugeView]", metric.series)):
                values = [(one.labels.text(), one.value) for one in gauges]
                yield _numbers(exported, [(labels, value) for labels, value in values if value is not None])
        case MetricType.HISTOGRAM | MetricType.TIMER:
            buckets = "".join(
                f'{exported.name}_bucket{{{LABELS}le="{number(clean_bound(bound * exported.scale))}"}} %d\n'
                for bound in (*metric.bounds, float("inf"))
            )
            for distributions in slices(cast("Sequence[DistributionView]", metric.series)):
                yield "".join([_distribution(exported, buckets, one) for one in distributions])


def _numbers(exported: ExportedName, values: Sequence[tuple[str, float]]) -> str:
    name, scale = exported.name, exported.scale
    return "".join(
        [
            f"{name}{{{labels}}} {number(value * scale)}\n" if labels else f"{name} {number(value * scale)}\n"
            for labels, value in values
        ]
    )


def _distribution(exported: ExportedName, buckets: str, series: DistributionView) -> str:
    counts, total = series.totals()
    running = tuple(accumulate(counts))
    labels = series.labels.text()
    lines = (buckets % running).replace(LABELS, f"{labels}," if labels else "")
    braces = f"{{{labels}}}" if labels else ""
    name = exported.name
    return f"{lines}{name}_sum{braces} {number(total * exported.scale)}\n{name}_count{braces} {running[-1]}\n"
