"""prometheus_client both ways: metrics of its registries judged here, and ours shown on its pages."""

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.instrument.totals import Totals
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry

__all__ = ["PrometheusSource", "register"]

_RISING: Final = ("_total", "_count", "_sum", "_bucket", "_gcount", "_gsum")
_PASSED_OVER: Final = "_created"


class PrometheusSource:
    """Brings the metrics of a prometheus_client registry here, for rules to judge; `manager.add_source(…)` takes it.

    Counters keep their names without `_total`, and count from the first sample on; a total that falls begins anew. Gauges,
    enums, infos and the quantiles of summaries are gauges. Of a histogram there are the counters `<name>_count`,
    `<name>_sum` and `<name>_bucket` {le}: a rule over `match={"le": "0.5"}` judges how many were at most so much.

    `registry` is theirs, `every` in seconds, `name` that of the collector here.
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
        self.name = name
        self.every = every
        self.collector = collector or MetricsCollector(clock=clock)
        self._registry = registry
        self._totals = Totals()

    def sample(self) -> None:
        """Record what their registry says now. May block, as their collectors may: not for the event loop."""
        for family in self._registry.collect():
            for sample in family.samples:
                self._take(family, sample)

    def _take(self, family: Metric, sample: Sample) -> None:
        if sample.name.endswith(_PASSED_OVER):
            return
        labels = dict(sample.labels)
        if _rises(family, sample):
            key = (sample.name, *sorted(labels.items()))
            self.collector.increment(sample.name.removesuffix("_total"), self._totals.rise(key, sample.value), labels=labels)
        else:
            self.collector.set_gauge(sample.name, sample.value, labels)


def _rises(family: Metric, sample: Sample) -> bool:
    match family.type:
        case "counter":
            return True
        case "histogram" | "summary":
            return sample.name.endswith(_RISING)
        case _:
            return False


def register(ours: MetricsRegistry, theirs: CollectorRegistry = REGISTRY) -> Collector:
    """Have the metrics of `ours` on the pages of `theirs`, as our own OpenMetrics page has them; gives what is registered.

    `theirs.unregister(…)` with that ends it. A ConfigurationError where a name is taken there.
    """
    collector = _Ours(ours)
    try:
        theirs.register(collector)
    except ValueError as error:  # it says which names
        raise ConfigurationError(
            "prometheus_client", seen=str(error), expected="another namespace: MetricsRegistry(namespace=…)"
        ) from None
    return collector


class _Ours(Collector):
    """Our registry as a collector of theirs. It is our own page that is read, so that both say the same."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Give every metric that there is now."""
        page = self._registry.export_metrics("openmetrics")
        yield from text_string_to_metric_families(page)  # type: ignore[no-untyped-call]  # theirs has no types

    def describe(self) -> Iterable[Metric]:
        """Give the names that are there now; later ones cannot be checked."""
        return self.collect()
