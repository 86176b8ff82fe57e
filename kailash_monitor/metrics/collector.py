"""A collector: the metrics of one subject, under one name in a registry."""

import inspect
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.errors import MetricError
from kailash_monitor.metrics.callback_series import Callback, CallbackSeries
from kailash_monitor.metrics.definition import Definition
from kailash_monitor.metrics.instruments import Counter, Gauge, Histogram, Timer
from kailash_monitor.metrics.metric import Metric
from kailash_monitor.metrics.recorder import Hook
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.metric import Metadata, MetricType
from kailash_monitor.threads import guarded

if TYPE_CHECKING:
    from kailash_monitor.metrics.registry import MetricsRegistry
    from kailash_monitor.metrics.self_metrics import SelfMetrics

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
        self._awaiting: dict[str, list[Hook]] = {}  # who watches metrics that are still to be made
        self._lock = guarded(threading.RLock())  # guards the making of metrics; reads of their dict need none

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
        keep: Sequence[str] = (),
        ttl: Duration | None = None,
    ) -> Metric:
        """Give the metric called `name`, made now if it is new; it takes any label names.

        The same name with another definition is a MetricError that shows the difference. `share_of` names the counter of
        which this one counts a part; `buckets` are the upper bounds that Prometheus will see, in the metric's unit. Label
        values named in `keep` stay apart beyond `max_series`. A series that nobody touched for `ttl` is given up: its label
        set begins anew, and what it counted stays in the metric's total.
        """
        return self._define(Metadata(name, metric_type, description, unit, share_of), None, buckets, keep, ttl)

    def counter(
        self,
        name: str,
        description: str = "",
        *,
        labels: Sequence[str] = (),
        unit: str = "",
        share_of: str | None = None,
        keep: Sequence[str] = (),
        ttl: Duration | None = None,
    ) -> Counter:
        """Give a counter with these labels and no others; the rest is as for `create_metric`."""
        metadata = Metadata(name, MetricType.COUNTER, description, unit, share_of)
        return Counter(self._define(metadata, labels, None, keep, ttl), CounterSeries)

    def gauge(
        self,
        name: str,
        description: str = "",
        *,
        labels: Sequence[str] = (),
        unit: str = "",
        keep: Sequence[str] = (),
        ttl: Duration | None = None,
    ) -> Gauge:
        """Give a gauge with these labels and no others; the rest is as for `create_metric`."""
        metric = self._define(Metadata(name, MetricType.GAUGE, description, unit), labels, None, keep, ttl)
        if metric.callback is not None:
            raise metric.wrong_kind(GaugeSeries)
        return Gauge(metric, GaugeSeries)

    def callback_gauge(
        self,
        name: str,
        callback: Callback,
        description: str = "",
        *,
        unit: str = "",
        cache: Duration = 0.0,
        every: Duration | None = None,
        timeout: Duration = 10.0,
    ) -> Metric:
        """Give a gauge without labels whose value `callback()` gives; None means there is nothing to say.

        It is asked whenever somebody looks, but not again within `cache`: it must be quick. With `every`, a running
        manager asks it at that interval, for `timeout` at most: a coroutine function on the loop, a plain function in a
        thread of its own; whoever looks gets the last answer. A coroutine function needs `every`.

        What it raises never reaches the program: a rule sees an error, a page leaves the metric out, and it is reported
        once. A second callback for the same name is a MetricError.
        """
        interval = None if every is None else parse_duration(every)
        if interval is None and inspect.iscoroutinefunction(callback):
            wrong, right = "a coroutine function without every=", "say how often to ask it, such as every='10s'"
        elif interval is not None and not interval > 0:
            wrong, right = f"every={every!r}", "a duration above zero"
        else:
            wrong = right = ""
        if wrong:
            raise MetricError(f"metric {name!r}", seen=wrong, expected=right)
        with self._lock:
            before = self._metrics.get(name)
            metric = self._define(Metadata(name, MetricType.GAUGE, description, unit), (), None, (), None)
            if before is not None and before.callback is None:
                raise MetricError(
                    f"metric {name!r}", seen="a callback", expected="it is a gauge already that is set by hand"
                )
            found = metric.answer_by(
                CallbackSeries(
                    callback,
                    metric.family,
                    cache=parse_duration(cache),
                    every=interval,
                    timeout=parse_duration(timeout),
                )
            )
        if found.callback is not callback:
            raise MetricError(f"metric {name!r}", seen="a second callback", expected="a gauge has one callback")
        if self.registry is not None and self.name is not None:
            self.registry.note_callback(self.name, name, found)
        return metric

    def histogram(
        self,
        name: str,
        description: str = "",
        *,
        labels: Sequence[str] = (),
        unit: str = "",
        buckets: Sequence[float] | None = None,
        keep: Sequence[str] = (),
        ttl: Duration | None = None,
    ) -> Histogram:
        """Give a histogram with these labels and no others; the rest is as for `create_metric`."""
        metadata = Metadata(name, MetricType.HISTOGRAM, description, unit)
        return Histogram(self._define(metadata, labels, buckets, keep, ttl), DistributionSeries)

    def timer(
        self,
        name: str,
        description: str = "",
        *,
        labels: Sequence[str] = (),
        unit: str = "milliseconds",
        buckets: Sequence[float] | None = None,
        keep: Sequence[str] = (),
        ttl: Duration | None = None,
    ) -> Timer:
        """Give a timer with these labels and no others; `buckets` are in its unit. The rest is as for `create_metric`."""
        metadata = Metadata(name, MetricType.TIMER, description, unit)
        return Timer(self._define(metadata, labels, buckets, keep, ttl), DistributionSeries)

    def _define(
        self,
        metadata: Metadata,
        labels: Sequence[str] | None,
        buckets: Sequence[float] | None,
        keep: Sequence[str],
        ttl: Duration | None,
    ) -> Metric:
        definition = Definition(
            metadata=metadata,
            label_names=None if labels is None else tuple(labels),
            buckets=None if buckets is None else tuple(buckets),
            keep=tuple(keep),
            ttl=None if ttl is None else parse_duration(ttl),
        )
        with self._lock:
            metric = self._metrics.get(metadata.name)
            if metric is None:
                metric = Metric(definition, self, tuple(self._awaiting.get(metadata.name, ())))
                if self.registry is not None and self.name is not None:
                    self.registry.claim(self.name, metadata)
                self._metrics[metadata.name] = metric
                self._awaiting.pop(metadata.name, None)
                if self.registry is not None and self.name is not None:
                    self.registry.bring_back(self.name, metric)
                return metric
        differences = definition.difference(metric.definition)
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
        """Forget all series of all metrics, and what they counted. The metrics themselves stay, and so do instruments."""
        for metric in self.get_all_metrics().values():
            metric.clear()

    def watch(self, name: str, hook: Hook) -> None:
        """Call `hook()` after every recording into the metric called `name`, see `Metric.watch`.

        Where there is none, from the moment it is made. Clearing metrics changes nothing about who watches.
        """
        with self._lock:
            metric = self._metrics.get(name)
            if metric is None:
                self._awaiting.setdefault(name, []).append(hook)
        if metric is not None:
            metric.watch(hook)

    def unwatch(self, name: str, hook: Hook) -> None:
        """Call `hook` no more, or once less often; nothing happens where it does not watch."""
        with self._lock:
            metric, awaiting = self._metrics.get(name), self._awaiting.get(name, [])
            if hook in awaiting:
                awaiting.remove(hook)
            if not awaiting:
                self._awaiting.pop(name, None)
        if metric is not None:
            metric.unwatch(hook)

    def report(self, text: str) -> None:
        """Hand a sentence for the operator to the registry's observer; before it is registered, to nobody."""
        if self.registry is not None:
            self.registry.report(self.name or "", text)

    def count_refused(self, metric: str) -> None:
        """Count a value of `metric` that could not be recorded, where the registry shows it."""
        own = self._self_metrics()
        if own is not None:
            own.refused.inc(self.name, metric)

    def count_overflowed(self, metric: str) -> None:
        """Count a label set of `metric` past its limit, where the registry shows it."""
        own = self._self_metrics()
        if own is not None:
            own.overflowed.inc(self.name, metric)

    def _self_metrics(self) -> "SelfMetrics | None":
        """Give the registry's self-metrics; None to these themselves: what they refuse must not be counted in them."""
        own = None if self.registry is None else self.registry.self_metrics
        return None if own is self else own
