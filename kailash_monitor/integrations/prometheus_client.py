"""prometheus_client both ways: metrics of its registries judged here, and ours shown on its pages."""

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, TypeAlias, cast

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.errors import ConfigurationError, MonitoringError
from kailash_monitor.exposition.names import ExportedName, exported_name
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.model.exemplar import Exemplar as OurExemplar
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.views import CounterView, DistributionView, GaugeView, MetricView

__all__ = ["PrometheusSource", "register"]

Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A series of theirs: the name of its sample, and its labels in the order of their names."""

_RISING: Final = ("_count", "_sum", "_bucket")
"""How the samples of histograms and summaries end that only rise."""

_WITH_TIMES: Final = frozenset(("counter", "histogram", "summary"))
"""Types of theirs with a sample `<name>_created`, which is a time and no number to judge."""


class PrometheusSource:
    """Brings the metrics of a prometheus_client registry here, for rules to judge; `manager.add_source(…)` takes it.

    Names and labels stay, but that counters lose `_total`, which the pages put there again. Gauges, enums, infos and the
    quantiles of summaries are gauges. Of a histogram there are the counters `<name>_count`, `<name>_sum` and `<name>_bucket`
    {le}: a rule over `match={"le": "0.5"}` judges how many were at most so much. Percentiles cannot be had from them.

    What a counter had when its metric was first seen does not count, a series that comes later counts from zero. A total
    that fell has begun anew. A series that is taken away there is taken away here, and its alerts are over; where a whole
    metric is missing, nothing is known, and nothing changes. What `register` shows there is passed over.

    `registry` is theirs, `every` in seconds, `name` that of the collector here; give a `collector` of your own for more
    than 1000 series of one metric.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        every: float = 5.0,
        name: str = "prometheus",
        collector: MetricsCollector | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name: Final = name
        self.every: Final = every
        self.collector: Final = collector or MetricsCollector(clock=clock)
        self._registry: Final = registry
        self._seen: Final[dict[tuple[str, str], dict[Key, float]]] = {}  # by their metric; of the one thread that samples

    def sample(self) -> None:
        """Record what their registry says now. May block, as their collectors may: not for the event loop.

        What cannot be had here, such as a name that stands for two kinds of metric, is a MetricError when all the rest is
        recorded. Where one of their collectors raises, those behind it cannot be asked: that passes through.
        """
        refused: MonitoringError | None = None
        families: dict[tuple[str, str], tuple[Metric, list[Sample]]] = {}
        for family in self._registry.collect():
            if not isinstance(family, _Shown):  # several of their collectors may give one metric together
                families.setdefault((family.name, family.type), (family, []))[1].extend(family.samples)
        for family, samples in families.values():
            refused = self._take(family, samples) or refused
        if refused is not None:
            raise refused

    def _take(self, family: Metric, samples: list[Sample]) -> MonitoringError | None:
        """Record what one metric says, as far as it can be had; gives what was refused, if anything was."""
        before, now = self._seen.get((family.name, family.type)), dict[Key, float]()
        refused: MonitoringError | None = None
        self._seen[family.name, family.type] = now
        seen = {(sample.name, tuple(sorted(sample.labels.items()))): sample for sample in samples}
        for name, labels in (before or {}).keys() - seen.keys():
            metric = self.collector.get_metric(_called(name) if family.type == "counter" else name)
            if metric is not None:
                metric.remove(dict(labels))
        for key, sample in seen.items():
            if family.type in _WITH_TIMES and sample.name == f"{family.name}_created":
                continue
            began = sample.value if before is None else before.get(key, 0.0)
            rises = _rises(family, sample)
            now[key] = began if rises and not math.isfinite(sample.value) else sample.value  # not finite: not known
            try:
                if rises:
                    self.collector.increment(_called(sample.name), _rise(began, now[key]), sample.labels)
                else:
                    self.collector.set_gauge(sample.name, sample.value, sample.labels)
            except MonitoringError as error:
                refused = refused or error
        return refused


def _rises(family: Metric, sample: Sample) -> bool:
    match family.type:
        case "counter":
            return True
        case "histogram" | "summary":
            return sample.name.endswith(_RISING)
        case _:
            return False


def _called(counter: str) -> str:
    return counter.removesuffix("_total")


def _rise(before: float, total: float) -> float:
    """Give by how much a counter rose; one that fell was at zero in between."""
    return total - before if total >= before else total


def register(ours: MetricsRegistry, theirs: CollectorRegistry = REGISTRY) -> Collector:
    """Have the metrics of `ours` on the pages of `theirs`, as our own OpenMetrics page has them; gives what is registered.

    `theirs.unregister(…)` with that ends it. A ConfigurationError where a name is taken there already, or `ours` is there
    already; of metrics that are made later it cannot be known.
    """
    shown = getattr(theirs, "_collector_to_names", {})  # private: there is no other way to see what is registered
    if any(isinstance(one, _Ours) and one.registry is ours for one in shown):
        raise ConfigurationError("prometheus_client", seen=f"{ours!r} a second time", expected="a registry once")
    collector = _Ours(ours)
    try:
        theirs.register(collector)
    except ValueError as error:  # it says which names
        raise ConfigurationError(
            "prometheus_client", seen=str(error), expected="another namespace: MetricsRegistry(namespace=…)"
        ) from None
    return collector


class _Shown(Metric):
    """A metric of ours as one of theirs, told from those that are their own."""


class _Ours(Collector):
    """Our registry as a collector of theirs."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self.registry: Final = registry

    def collect(self) -> Iterator[Metric]:
        """Give every metric that has a series now."""
        return (family for family in self._families(samples=True) if family.samples)

    def describe(self) -> Iterator[Metric]:
        """Give the names that there are now."""
        return self._families(samples=False)

    def _families(self, *, samples: bool) -> Iterator[Metric]:
        snapshot = self.registry.snapshot()
        for collector in snapshot.collectors:
            for metric in collector.metrics:
                exported = exported_name(snapshot.namespace, collector.name, metric.metadata)
                family = _Family(exported, metric, snapshot.wall_offset)
                yield family.filled() if samples else family.metric


class _Family:
    """Makes one metric of theirs out of one of ours. `offset` turns our times into Unix seconds."""

    def __init__(self, exported: ExportedName, ours: MetricView, offset: float) -> None:
        counter = ours.metadata.type is MetricType.COUNTER
        name = exported.name.removesuffix("_total") if counter else exported.name
        self.metric: Final = _Shown(name, ours.metadata.help, ours.metadata.type.exported, exported.unit)
        self._ours: Final = ours
        self._divisor: Final = exported.divisor
        self._offset: Final = offset

    def filled(self) -> Metric:
        """Give it with the samples of all series; `cast` because a metric's type says of which kind its series are."""
        match self._ours.metadata.type:
            case MetricType.COUNTER:
                for counter in cast("list[CounterView]", self._ours.series):
                    labels = dict(counter.labels)
                    self._add("_total", labels, counter.total / self._divisor, counter.exemplar)
                    self._add("_created", labels, counter.born + self._offset)
            case MetricType.GAUGE:
                for gauge in cast("list[GaugeView]", self._ours.series):
                    if (value := gauge.value) is not None:
                        self._add("", dict(gauge.labels), value / self._divisor)
            case MetricType.HISTOGRAM | MetricType.TIMER:
                bounds = [bound / self._divisor for bound in self._ours.bounds]
                le = [*map(repr, bounds), "+Inf"]
                for distribution in cast("list[DistributionView]", self._ours.series):
                    self._distribution(distribution, le, sums=not bounds or bounds[0] >= 0)
        return self.metric

    def _distribution(self, series: DistributionView, le: list[str], *, sums: bool) -> None:
        counts, total = series.totals()
        labels, exemplars = dict(series.labels), series.exemplars
        running = list(accumulate(counts))
        for index, (bound, count) in enumerate(zip(le, running, strict=True)):
            self._add("_bucket", {**labels, "le": bound}, count, exemplars.get(index))
        if sums:  # with bounds below zero the sum can fall, and OpenMetrics has neither
            self._add("_count", labels, running[-1])
            self._add("_sum", labels, total / self._divisor)
        self._add("_created", labels, series.born + self._offset)

    def _add(self, suffix: str, labels: dict[str, str], value: float, exemplar: OurExemplar | None = None) -> None:
        shown = None
        if exemplar is not None:
            shown = Exemplar(dict(exemplar.labels), exemplar.value / self._divisor, exemplar.at + self._offset)
        self.metric.add_sample(f"{self.metric.name}{suffix}", labels, value, exemplar=shown)
