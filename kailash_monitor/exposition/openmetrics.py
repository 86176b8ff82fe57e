"""OpenMetrics text 1.0.0.

https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, cast

from kailash_monitor.exposition.names import ExportedName, SampleName, exported_name, quoted
from kailash_monitor.exposition.pieces import slices
from kailash_monitor.model.exemplar import Exemplar
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.snapshot import Snapshot
from kailash_monitor.model.views import CounterView, DistributionView, GaugeView, MetricView

__all__ = ["OPENMETRICS_CONTENT_TYPE", "OPENMETRICS_UTF8_CONTENT_TYPE", "render_openmetrics"]

OPENMETRICS_CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_UTF8_CONTENT_TYPE: Final = f"{OPENMETRICS_CONTENT_TYPE}; escaping=allow-utf-8"


def render_openmetrics(snapshot: Snapshot, *, utf8: bool = False) -> Iterator[bytes]:
    """Give the page piece by piece, some series at a time, in base units; the last piece says that it is whole.

    With `utf8`, names are as they are, else as every Prometheus server takes them.
    """
    for collector in snapshot.collectors:
        for metric in collector.metrics:
            exported = exported_name(snapshot.namespace, collector.name, metric.metadata, utf8=utf8)
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
        family = exported.name.removesuffix("_total") if counter else exported.name
        self._name = quoted(family)
        self._value = SampleName.of(exported.name)
        self._created_at = SampleName.of(f"{family}_created")
        self._bucket, self._sum, self._count = [SampleName.of(f"{family}_{part}") for part in ("bucket", "sum", "count")]

    def header(self) -> str:
        metadata, name = self._metric.metadata, self._name
        unit = f"# UNIT {name} {self._exported.unit}\n" if self._exported.unit else ""
        escaped = metadata.help.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        return f"# TYPE {name} {metadata.type.exported}\n{unit}# HELP {name} {escaped}\n"

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
                le = [_number(bound / self._exported.divisor) for bound in (*self._metric.bounds, math.inf)]
                for distributions in slices(cast("Sequence[DistributionView]", self._metric.series)):
                    yield "".join([self._distribution(one, le) for one in distributions])

    def _counter(self, series: CounterView) -> str:
        labels = series.labels.text()
        total = f"{_begun(self._value, labels)} {_number(series.total / self._exported.divisor)}"
        return f"{total}{self._exemplar(series.exemplar)}\n{self._created(labels, series.born)}"

    def _gauge(self, series: GaugeView) -> str:
        value = series.value
        if value is None:
            return ""
        return f"{_begun(self._value, series.labels.text())} {_number(value / self._exported.divisor)}\n"

    def _distribution(self, series: DistributionView, le: Sequence[str]) -> str:
        counts, total = series.totals()
        exemplars, labels = series.exemplars, series.labels.text()
        prefix = f"{self._bucket.opened}{labels}," if labels else self._bucket.opened
        running = list(accumulate(counts))
        lines = [
            f'{prefix}le="{bound}"}} {count}{self._exemplar(exemplars.get(index))}\n'
            for index, (bound, count) in enumerate(zip(le, running, strict=True))
        ]
        if not self._metric.bounds or self._metric.bounds[0] >= 0:  # below, the sum can fall, and then neither may be told
            lines.append(f"{_begun(self._count, labels)} {running[-1]}\n")
            lines.append(f"{_begun(self._sum, labels)} {_number(total / self._exported.divisor)}\n")
        lines.append(self._created(labels, series.born))
        return "".join(lines)

    def _created(self, labels: str, born: float) -> str:
        return f"{_begun(self._created_at, labels)} {_number(born + self._offset)}\n"

    def _exemplar(self, exemplar: Exemplar | None) -> str:
        if exemplar is None:
            return ""
        labels, value, at = exemplar
        return f" # {{{labels.text()}}} {_number(value / self._exported.divisor)} {_number(at + self._offset)}"


def _begun(name: SampleName, labels: str) -> str:
    return f"{name.opened}{labels}}}" if labels else name.bare


def _number(value: float) -> str:
    """Give a float as OpenMetrics has it: always with a point or an exponent, so that `le` is the same text everywhere."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))
