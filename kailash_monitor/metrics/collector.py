"""A collector: the metrics of one subject, under one name in a registry."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.errors import MetricError
from kailash_monitor.metrics.instruments import Counter, Gauge, Histogram, Timer
from kailash_monitor.metrics.metric import Metric
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.metric import Metadata, MetricType

if TYPE_CHECKING:
    from kailash_monitor.metrics.registry import MetricsRegistry

__all__ = ["MetricsCollector"]

DEFAULT_MAX_SERIES: Final = 1000
"""Series of one metric: far above what people look at, far below what fills a process's memory."""

Labels = Mapping[str, object]


class MetricsCollector:
    """Metrics that belong together, and the calls that record into them.

    `max_series` bounds the series of each metric; it may be changed, and lowering it evicts nothing. `strict=True` raises
    ValueRefused for a value that cannot be recorded, which otherwise is dropped and counted. `clock` must be the clock of
    the registry it is registered with. Recording works from any thread and any task, never awaits and opens nothing.

    `registry` and `name` are set by registering.
    """

    def __init__(self, max_series: int = DEFAULT_MAX_SERIES, *, clock: Clock = SYSTEM_CLOCK, strict: bool = False) -> None:
        self.max_series = max_series
        self.clock: Final = clock
        self.strict: Final = strict
        self.registry: MetricsRegistry | None = None
        self.name: str | None = None
        self._metrics: dict[str, Metric] = {}
        self._lock = threading.RLock()  # guards the making of metrics; reads of the dict need none

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or 'not registered'}, {len(self._metrics)} metrics>"

    # -- definitions ---------------------------------------------------------------------------------------------------

    def create_metric(
        self,
        name: str,
        metric_type: MetricType,
        description: str = "",
        unit: str = "",
        *,
        share_of: str | None = None,
        buckets: Sequence[float] | None = None,
    ) -> Metric:
        """Give the metric called `name`, made now if it is new; it takes any label names.

        The same name with another definition is a MetricError that shows the difference.
        """
        return self._define(Metadata(name, metric_type, description, unit, share_of), bounds=buckets)

    def counter(
        self,
        name: str,
        description: str = "",
        *,
        labels: Sequence[str] = (),
        unit: str = "",
        share_of: str | None = None,
    ) -> Counter:
        """Give a counter with these labels and no others. `share_of` names the counter of which it counts a part."""
        metadata = Metadata(name, MetricType.COUNTER, description, unit, share_of)
        return Counter(self._define(metadata, labels), CounterSeries)

    def gauge(self, name: str, description: str = "", *, labels: Sequence[str] = (), unit: str = "") -> Gauge:
        """Give a gauge with these labels and no others."""
        return Gauge(self._define(Metadata(name, MetricType.GAUGE, description, unit), labels), GaugeSeries)

    def computed_gauge(
        self, name: str, read: Callable[[float], float | None], description: str = "", *, unit: str = ""
    ) -> Metric:
        """Give a gauge that is computed by `read(now)` whenever somebody looks; None means there is nothing to say."""
        return self._define(Metadata(name, MetricType.GAUGE, description, unit), (), callback=read)

    def histogram(
        self,
        name: str,
        description: str = "",
        *,
        labels: Sequence[str] = (),
        unit: str = "",
        buckets: Sequence[float] | None = None,
    ) -> Histogram:
        """Give a histogram with these labels and no others; `buckets` are the upper bounds that Prometheus will see."""
        metadata = Metadata(name, MetricType.HISTOGRAM, description, unit)
        return Histogram(self._define(metadata, labels, bounds=buckets), DistributionSeries)

    def timer(
        self,
        name: str,
        description: str = "",
        *,
        labels: Sequence[str] = (),
        unit: str = "milliseconds",
        buckets: Sequence[float] | None = None,
    ) -> Timer:
        """Give a timer with these labels and no others; `buckets` are in its unit."""
        metadata = Metadata(name, MetricType.TIMER, description, unit)
        return Timer(self._define(metadata, labels, bounds=buckets), DistributionSeries)

    def _define(
        self,
        metadata: Metadata,
        labels: Sequence[str] | None = None,
        *,
        bounds: Sequence[float] | None = None,
        callback: Callable[[float], float | None] | None = None,
    ) -> Metric:
        with self._lock:
            metric = self._metrics.get(metadata.name)
            if metric is None:
                metric = Metric(metadata, self, label_names=labels, bounds=bounds, callback=callback)
                if self.registry is not None and self.name is not None:
                    self.registry.claim(self.name, metadata)
                self._metrics[metadata.name] = metric
                return metric
        differences = metadata.difference(metric.metadata)
        if labels is not None and metric.label_names != tuple(labels):
            differences = ", ".join(
                filter(None, (differences, f"labels {tuple(labels)!r} and {metric.label_names or 'any'!r}"))
            )
        if differences:
            raise MetricError(
                f"metric {metadata.name!r}",
                seen=f"defined twice, with {differences}",
                expected="a name stands for one definition",
            )
        return metric

    # -- recording -----------------------------------------------------------------------------------------------------

    def increment(self, name: str, value: float = 1, labels: Labels | None = None) -> None:
        """Add `value` to a counter, made on first use."""
        (self._metrics.get(name) or self._metric(name, MetricType.COUNTER)).child(labels, CounterSeries).inc(value)

    def set_gauge(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Set a gauge, made on first use."""
        self._metric(name, MetricType.GAUGE).child(labels, GaugeSeries).set(value)

    def record_timer(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Count a duration, in milliseconds unless the timer was made with another unit; made on first use."""
        self._metric(name, MetricType.TIMER, "milliseconds").child(labels, DistributionSeries).observe(value)

    def record_histogram(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Count an observation in a histogram, made on first use."""
        self._metric(name, MetricType.HISTOGRAM).child(labels, DistributionSeries).observe(value)

    def _metric(self, name: str, metric_type: MetricType, unit: str = "") -> Metric:
        metric = self._metrics.get(name)
        if metric is not None:
            return metric
        with self._lock:
            return self._metrics.get(name) or self.create_metric(name, metric_type, unit=unit)

    # -- reading -------------------------------------------------------------------------------------------------------

    def get_metric(self, name: str) -> Metric | None:
        """Give the metric called `name`, None where there is none."""
        return self._metrics.get(name)

    def get_all_metrics(self) -> dict[str, Metric]:
        """Give all metrics by name."""
        return dict(self._metrics)

    def clear_metrics(self) -> None:
        """Forget all metrics and their history."""
        with self._lock:
            self._metrics.clear()
            if self.registry is not None and self.name is not None:
                self.registry.release(self.name)

    def report(self, text: str) -> None:
        """Hand a sentence for the operator to the registry's observer, if there is one."""
        if self.registry is not None:
            self.registry.report(self.name or "", text)
