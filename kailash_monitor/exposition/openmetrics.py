"""OpenMetrics text 1.0.0.

https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, cast

from kailash_monitor.exposition.names import ExportedName, exported_name
from kailash_monitor.exposition.numbers import clean_bound
from kailash_monitor.exposition.pieces import slices
from kailash_monitor.model.exemplar import Exemplar
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.snapshot import Snapshot
from kailash_monitor.model.views import CounterView, DistributionView, GaugeView, MetricView

__all__ = ["OPENMETRICS_CONTENT_TYPE", "render_openmetrics"]

OPENMETRICS_CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def render_openmetrics(snapshot: Snapshot) -> Iterator[bytes]:
    """Give the page piece by piece, some series at a time, in base units; the last piece says that it is whole."""
    for collector in snapshot.collectors:
        for metric in collector.metrics:
            exported = exported_name(snapshot.namespace, collector.name, metric.metadata)
            writer = _Writer(exported, metric, snapshot.wall_offset)
            header = writer.header()
            for lines in writer.lines():
                if lines:
                    yield f"{header}{lines}".encode()
                    header = ""
    yield b"# EOF\n"


class _Writer:
    """Writes the lines of one metric. `offset` turns its times into Unix seconds."""

    def __init__(self, exported: ExportedName, metric: MetricView, offset: float) -> None:
        self._metric = metric
        self._exported = exported
        self._offset = offset
        counter = metric.metadata.type is MetricType.COUNTER
        self._family = exported.name.removesuffix("_total") if counter else exported.name

    def header(self) -> str:
        kind = self._metric.metadata.type
        word = "histogram" if kind in (MetricType.HISTOGRAM, MetricType.TIMER) else kind.value
        unit = f"# UNIT {self._family} {self._exported.unit}\n" if self._exported.unit else ""
        description = self._metric.metadata.description or self._metric.metadata.name.replace("_", " ")
        escaped = description.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        return f"# TYPE {self._family} {word}\n{unit}# HELP {self._family} {escaped}\n"

    def lines(self) -> Iterator[str]:
        """Give the lines of some series at a time; `cast` because a metric's type says of which kind its series are."""
        match self._metric.metadata.type:
            case MetricType.COUNTER:
                for counters in slices(cast("Sequence[CounterView]", self._metric.series)):
                    yield "".join([self._counter(one) for one in counters])
            case MetricType.GAUGE:
                for gauges in slices(cast("Sequence[GaugeView]", self._metric.series)):
                    yield "".join([self._gauge(one) for one in gauges])
            case MetricType.HISTOGRAM | MetricType.TIMER:
                le = [_number(clean_bound(bound * self._exported.scale)) for bound in (*self._metric.bounds, math.inf)]
                for distributions in slices(cast("Sequence[DistributionView]", self._metric.series)):
                    yield "".join([self._distribution(one, le) for one in distributions])

    def _counter(self, series: CounterView) -> str:
        labels = _braces(series.labels.text())
        total = f"{self._family}_total{labels} {_number(series.total * self._exported.scale)}"
        return f"{total}{self._exemplar(series.exemplar)}\n{self._created(labels, series.born)}"

    def _gauge(self, series: GaugeView) -> str:
        value = series.value
        if value is None:
            return ""
        return f"{self._family}{_braces(series.labels.text())} {_number(value * self._exported.scale)}\n"

    def _distribution(self, series: DistributionView, le: Sequence[str]) -> str:
        counts, total = series.totals()
        exemplars, inner = series.exemplars, series.labels.text()
        labels, prefix = _braces(inner), f"{inner}," if inner else ""
        running = list(accumulate(counts))
        lines = [
            f'{self._family}_bucket{{{prefix}le="{bound}"}} {count}{self._exemplar(exemplars.get(index))}\n'
            for index, (bound, count) in enumerate(zip(le, running, strict=True))
        ]
        lines.append(f"{self._family}_count{labels} {running[-1]}\n")
        if not self._metric.bounds or self._metric.bounds[0] >= 0:  # below, the sum can fall, and then it may not be told
            lines.append(f"{self._family}_sum{labels} {_number(total * self._exported.scale)}\n")
        lines.append(self._created(labels, series.born))
        return "".join(lines)

    def _created(self, labels: str, born: float) -> str:
        return f"{self._family}_created{labels} {_number(born + self._offset)}\n"

    def _exemplar(self, exemplar: Exemplar | None) -> str:
        if exemplar is None:
            return ""
        labels, value, at = exemplar
        return f" # {{{labels.text()}}} {_number(value * self._exported.scale)} {_number(at + self._offset)}"


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    """Give a float as OpenMetrics has it: always with a point or an exponent, so that `le` is the same text everywhere."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))
