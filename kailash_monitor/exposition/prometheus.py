"""The Prometheus text format 0.0.4, and 1.0.0, which differs in names beyond ASCII.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, cast

from kailash_monitor.exposition.names import ExportedName, SampleName, exported_name, quoted
from kailash_monitor.exposition.numbers import EXACT, number
from kailash_monitor.exposition.pieces import slices
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.snapshot import Snapshot
from kailash_monitor.model.views import CounterView, DistributionView, GaugeView, MetricView

__all__ = ["PROMETHEUS_CONTENT_TYPE", "PROMETHEUS_UTF8_CONTENT_TYPE", "render_prometheus"]

PROMETHEUS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PROMETHEUS_UTF8_CONTENT_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"

LABELS: Final = "\0"
"""Stands for the labels in the lines that all series of a histogram share; names and numbers cannot hold it."""


def render_prometheus(snapshot: Snapshot, *, utf8: bool = False) -> Iterator[bytes]:
    """Give the page piece by piece, some series at a time, in base units.

    With `utf8`, names are as they are, which is version 1.0.0; else as every Prometheus server takes them.
    """
    for collector in snapshot.collectors:
        for metric in collector.metrics:
            exported = exported_name(snapshot.namespace, collector.name, metric.metadata, utf8=utf8)
            header = _header(exported, metric)
            for lines in _lines(exported, metric):
                if lines:
                    yield f"{header}{lines}".encode()
                    header = ""


def _header(exported: ExportedName, metric: MetricView) -> str:
    escaped = metric.metadata.help.replace("\\", "\\\\").replace("\n", "\\n")
    name = quoted(exported.name)
    return f"# HELP {name} {escaped}\n# TYPE {name} {metric.metadata.type.exported}\n"


def _lines(exported: ExportedName, metric: MetricView) -> Iterator[str]:
    """Give the lines of some series at a time; `cast` because a metric's type says of which kind its series are."""
    match metric.metadata.type:
        case MetricType.COUNTER:
            for counters in slices(cast("Sequence[CounterView]", metric.series)):
                yield _counters(exported, counters)
        case MetricType.GAUGE:
            for gauges in slices(cast("Sequence[GaugeView]", metric.series)):
                values = [(one.labels.text(), one.value) for one in gauges]
                yield _numbers(exported, [(labels, value) for labels, value in values if value is not None])
        case MetricType.HISTOGRAM | MetricType.TIMER:
            writer = _Histograms(exported, metric.bounds)
            for distributions in slices(cast("Sequence[DistributionView]", metric.series)):
                yield "".join([writer.lines(one) for one in distributions])


def _counters(exported: ExportedName, counters: Sequence[CounterView]) -> str:
    """Give their lines: most are whole numbers, of which there may be many."""
    name, divisor = SampleName.of(exported.name), exported.divisor
    bare, opened = name.bare, name.opened
    lines: list[str] = []
    for one in counters:
        labels, value = one.labels.text(), one.total / divisor
        written: object = whole if value < EXACT and (whole := int(value)) == value else number(value)
        lines.append(f"{opened}{labels}}} {written}\n" if labels else f"{bare} {written}\n")
    return "".join(lines)


def _numbers(exported: ExportedName, values: Sequence[tuple[str, float]]) -> str:
    name, divisor = SampleName.of(exported.name), exported.divisor
    bare, opened = name.bare, name.opened
    return "".join(
        [
            f"{opened}{labels}}} {number(value / divisor)}\n" if labels else f"{bare} {number(value / divisor)}\n"
            for labels, value in values
        ]
    )


class _Histograms:
    """Writes the series of one histogram: the lines of its buckets are made once, for all of them to fill in."""

    def __init__(self, exported: ExportedName, bounds: Sequence[float]) -> None:
        bucket = SampleName.of(f"{exported.name}_bucket".replace("%", "%%"))  # for the operator that fills in
        self._buckets = "".join(
            f'{bucket.opened}{LABELS}le="{number(bound / exported.divisor)}"}} %d\n' for bound in (*bounds, math.inf)
        )
        self._sum = SampleName.of(f"{exported.name}_sum")
        self._count = SampleName.of(f"{exported.name}_count")
        self._divisor = exported.divisor

    def lines(self, series: DistributionView) -> str:
        counts, total = series.totals()
        running = tuple(accumulate(counts))
        labels = series.labels.text()
        buckets = (self._buckets % running).replace(LABELS, f"{labels}," if labels else "")
        if labels:
            of_sum, of_count = f"{self._sum.opened}{labels}}}", f"{self._count.opened}{labels}}}"
        else:
            of_sum, of_count = self._sum.bare, self._count.bare
        return f"{buckets}{of_sum} {number(total / self._divisor)}\n{of_count} {running[-1]}\n"
