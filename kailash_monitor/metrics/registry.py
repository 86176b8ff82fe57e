"""The registry: collectors by name, and the default one that the whole program shares."""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.errors import ConfigurationError, MetricError, NoAnswer
from kailash_monitor.exposition import names_taken, render_json, render_openmetrics, render_prometheus
from kailash_monitor.metrics.callback_series import CallbackSeries
from kailash_monitor.metrics.checkpoint import Past, Ring, decode
from kailash_monitor.metrics.collector import DEFAULT_MAX_SERIES, MetricsCollector
from kailash_monitor.metrics.history import DEFAULT_RETENTION
from kailash_monitor.metrics.metric import Metric
from kailash_monitor.metrics.performance import PerformanceMetrics
from kailash_monitor.metrics.recorder import Hook
from kailash_monitor.metrics.security import SecurityMetrics
from kailash_monitor.metrics.self_metrics import SELF, SelfMetrics
from kailash_monitor.metrics.validation import ValidationMetrics
from kailash_monitor.model.metric import Metadata, valid_part_name
from kailash_monitor.model.snapshot import CollectorSnapshot, Snapshot
from kailash_monitor.threads import guarded

__all__ = [
    "Cardinality",
    "MetricsRegistry",
    "get_metrics_registry",
    "get_performance_metrics",
    "get_security_metrics",
    "get_validation_metrics",
]

T = TypeVar("T", bound=MetricsCollector)

UNTOLD: Final = 100
"""Sentences that are kept for an observer: each is said once, so there are few."""

MOST_AWAITED: Final = 100_000
"""Series of before a restart that are kept for metrics still to be made."""

WALL_CLOCK_MOVED: Final = 0.1
"""Seconds: far more than two readings of two clocks are apart."""

Observer = Callable[[str, str], None]
"""Called with a collector's name and a sentence for the operator; must not raise. Called from any thread."""

CallbackListener = Callable[[CallbackSeries, str], None]
"""Called with a callback gauge and its name; must not raise. Called from any thread."""


@dataclass(frozen=True, slots=True)
class Cardinality:
    """How many series a metric has, how many label sets went past its limit, and the label with most values."""

    collector: str
    metric: str
    series: int
    overflowed: int
    label: str | None
    values: int


class MetricsRegistry:
    """Collectors by name, exported together under `namespace` ("" for none).

    `observer` is told, once each, what was dropped or refused; the engine sets it to the log when it starts and finds
    none. `clock` is the timeline of all its collectors and of the managers that judge them.
    """

    def __init__(self, namespace: str = "kailash", *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.namespace = _name_space(namespace)  # changed by `export_under` alone
        self.clock: Final = clock
        self._observer: Observer | None = None
        self._untold: deque[tuple[str, str]] = deque(maxlen=UNTOLD)
        self._collectors: dict[str, MetricsCollector] = {}
        self._lock = guarded(threading.RLock())  # guards the collectors and the names against concurrent changes
        self._failed: set[tuple[str, str]] = set()
        self._names: dict[str, tuple[str, str]] = {}  # exported name → collector and metric
        self._asked: dict[CallbackSeries, str] = {}  # callbacks with an interval, and their names
        self._listeners: list[CallbackListener] = []
        self._watches: list[tuple[str | None, str, Hook]] = []
        self._self: SelfMetrics | None = None
        self._offset = clock.wall() - clock.now()
        self._awaited: dict[tuple[str, str], list[Past]] = {}  # by collector and metric that are still to be made
        self._goes_on = False  # a checkpoint was made: whatever is restored would be its own history

    def __repr__(self) -> str:
        return f"<MetricsRegistry {', '.join(self._collectors) or 'empty'}>"

    def export_under(self, namespace: str) -> None:
        """Export all metrics under another namespace from now on ("" for none). A ConfigurationError where it is none."""
        with self._lock:
            self.namespace = _name_space(namespace)
            self._names = {}
            for name, collector in self._collectors.items():
                for metric in collector.get_all_metrics().values():
                    self.claim(name, metric.metadata)

    def register_collector(self, name: str, collector: MetricsCollector) -> None:
        """Add `collector` under `name`, which is part of its metrics' exported names.

        A name that is taken, a collector that is registered elsewhere, another clock, or a metric whose exported name
        another has already are a MetricError.
        """
        where = f"collector {name!r}"
        if not valid_part_name(name):
            raise MetricError(where, seen="its name", expected="letters, digits and underscores, no digit first")
        if collector.clock is not self.clock:
            raise MetricError(
                where, seen=f"the clock {collector.clock!r}", expected=f"it must be the registry's, {self.clock!r}"
            )
        with self._lock:
            if self._collectors.get(name) is collector:
                return
            if name in self._collectors:
                raise MetricError(where, seen="a second of that name", expected="unregister the first or choose another")
            if collector.registry is not None:
                raise MetricError(
                    where, seen=f"already registered as {collector.name!r}", expected="a collector has one name"
                )
            try:
                for metric in collector.get_all_metrics().values():
                    self.claim(name, metric.metadata)
                    callback = metric.callback
                    if callback is not None:
                        self.note_callback(name, metric.name, callback)
            except MetricError:
                self.release(name)
                raise
            self._collectors[name] = collector
            collector.registry, collector.name = self, name
            watches = [(metric, hook) for wanted, metric, hook in self._watches if wanted in (None, name)]
        for metric_name, hook in watches:
            collector.watch(metric_name, hook)
        for metric in collector.get_all_metrics().values():
            self.bring_back(name, metric)

    def unregister_collector(self, name: str) -> None:
        """Take the collector called `name` out; nothing happens where there is none."""
        with self._lock:
            collector = self._collectors.pop(name, None)
            if collector is not None:
                collector.registry = collector.name = None
                self.release(name)
            watches = [(metric, hook) for wanted, metric, hook in self._watches if wanted in (None, name)]
        if collector is not None:
            for metric_name, hook in watches:
                collector.unwatch(metric_name, hook)

    def watch(self, collector: str | None, metric: str, hook: Hook) -> None:
        """Call `hook()` after every recording into the metric of that name, in that collector, or, with None, in all.

        Collectors and metrics that come later are watched as well; see `Metric.watch` for what a hook may do.
        """
        with self._lock:
            self._watches.append((collector, metric, hook))
            watched = [one for name, one in self._collectors.items() if collector in (None, name)]
        for one in watched:
            one.watch(metric, hook)

    def unwatch(self, collector: str | None, metric: str, hook: Hook) -> None:
        """Call `hook` no more; nothing happens where it does not watch so."""
        with self._lock:
            if (collector, metric, hook) not in self._watches:
                return
            self._watches.remove((collector, metric, hook))
            watched = [one for name, one in self._collectors.items() if collector in (None, name)]
        for one in watched:
            one.unwatch(metric, hook)

    def checkpoint(self, since: float) -> Iterator[Ring | None]:
        """Give the recent past of every series that was recorded at `since` (on the timeline) or later, to be stored.

        Each step takes a fraction of a millisecond, and up to one for the busiest histograms; None is but a pause. `since`
        is when the checkpoint before this one was begun; minus infinity gives all that was ever recorded in this process.

        A ring without data says that the series was removed on purpose. What was restored and is not recorded again comes
        no more, and is to be kept where it is stored, for as long as the history. Not kept are exemplars, the functions of
        callback gauges, what removed series left in their metric's total, and the toolkit's own collector.
        """
        self._goes_on = True
        return self._checkpoint(since, self._wall_offset())

    def _checkpoint(self, since: float, offset: float) -> Iterator[Ring | None]:
        self._forget(self.clock.now() - DEFAULT_RETENTION)
        for name, collector in self.get_all_collectors().items():
            for metric in () if collector is self._self else collector.get_all_metrics().values():
                for kept in metric.checkpoint(since, offset):
                    yield None if kept is None else Ring(name, metric.name, metric.metric_type.value, *kept)

    def restore(self, rings: Iterable[Ring]) -> int:
        """Have series go on where those of another process ended; how many rings could not be used, which is counted, too.

        To be called once after the start, from any thread, in portions if need be: a counter takes some 20 µs, a busy
        histogram up to 300. Series that are there have it put before what they recorded themselves, others when they are
        made. Damaged rings, those of an unknown version or from the future, and what does not fit its metric any more are
        dropped. Nothing happens in a registry of which a checkpoint was made: its history would be told twice.

        Windows see what was restored, and cover nothing before the metric's beginning in this process: the time between the
        two processes is not known. Totals begin at zero; a gauge has no value until it is set, and a distribution no
        observation until there is one.
        """
        if self._goes_on:
            return 0
        now, offset = self.clock.now(), self._wall_offset()
        dropped = 0
        for ring in rings:
            if not ring.data:
                continue  # it was removed
            past = decode(ring, offset=offset, now=now)
            if past is None:
                dropped += self._count_dropped(ring.collector, ring.metric, 1)
            else:
                with self._lock:
                    self._awaited.setdefault((ring.collector, ring.metric), []).append(past)
        for name, collector in self.get_all_collectors().items():
            for metric in collector.get_all_metrics().values():
                dropped += self.bring_back(name, metric)
        return dropped + self._limit()

    def bring_back(self, collector: str, metric: Metric) -> int:
        """Hand a metric what its series recorded before a restart, if anything; how much of it does not fit."""
        with self._lock:
            pasts = self._awaited.pop((collector, metric.name), ())
        return self._count_dropped(collector, metric.name, metric.restore(pasts))

    def _limit(self) -> int:
        """Drop what is too much of what waits for metrics still to be made; how much that is."""
        room, dropped = MOST_AWAITED, dict[tuple[str, str], int]()
        with self._lock:
            for key, pasts in self._awaited.items():
                dropped[key] = max(0, len(pasts) - room)
                del pasts[room:]
                room -= len(pasts)
        return sum([self._count_dropped(*key, number) for key, number in dropped.items()])

    def _forget(self, horizon: float) -> None:
        """Forget what waits for metrics that were not made as long as history is kept."""
        with self._lock:
            kept = {key: [past for past in pasts if past.until >= horizon] for key, pasts in self._awaited.items()}
            self._awaited = {key: pasts for key, pasts in kept.items() if pasts}

    def _count_dropped(self, collector: str, metric: str, number: int) -> int:
        if number:
            self.self_metrics.rings_dropped.inc(collector, metric, by=float(number))
        return number

    @property
    def self_metrics(self) -> SelfMetrics:
        """What the toolkit measures of itself: the collector `monitor`, registered at first use.

        Where a collector of yours has that name, it is counted all the same, and shown nowhere.
        """
        own, trouble = self._self, ""
        if own is None:
            with self._lock:
                if self._self is None:
                    self._self = SelfMetrics(self._count_series, clock=self.clock)
                    try:
                        self.register_collector(SELF, self._self)
                    except MetricError as error:
                        trouble = f"the self-metrics are not shown: {error}"
                own = self._self
        if trouble:
            self.report(SELF, trouble)  # without the lock: the observer is not ours
        return own

    def _count_series(self) -> float:
        collectors = self.get_all_collectors().values()
        return float(sum(len(m.children) for collector in collectors for m in collector.get_all_metrics().values()))

    def cardinality(self, limit: int = 10) -> list[Cardinality]:
        """Give the metrics with most series, at most `limit`, with the label of each that has most values."""
        metrics = [(name, m) for name, c in self.get_all_collectors().items() for m in c.get_all_metrics().values()]
        largest = sorted(metrics, key=lambda found: len(found[1].children), reverse=True)[:limit]
        return [
            Cardinality(name, metric.name, len(metric.children), metric.overflowed, *(metric.most_varied() or (None, 0)))
            for name, metric in largest
        ]

    def watch_callbacks(self, listener: CallbackListener) -> list[tuple[CallbackSeries, str]]:
        """Give the callback gauges that are to be asked at an interval; `listener` is told of further ones."""
        with self._lock:
            self._listeners.append(listener)
            return list(self._asked.items())

    def unwatch_callbacks(self, listener: CallbackListener) -> None:
        """Tell `listener` no more."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def asks(self, series: CallbackSeries, name: str) -> bool:
        """Whether the callback is still to be asked: its metric is there, in a collector that has not left meanwhile."""
        return self._asked.get(series) is name

    def note_callback(self, collector: str, metric: str, series: CallbackSeries) -> None:
        """Take note of a callback gauge; where it has an interval, it is asked from now on."""
        if series.every is None:
            return
        with self._lock:
            self._asked[series] = name = f"{collector}.{metric}"  # this very text: another registration has another
            for listener in self._listeners:
                listener(series, name)

    def claim(self, collector: str, metadata: Metadata) -> None:
        """Take the exported names of a new metric; a MetricError where another metric has one of them."""
        names = names_taken(self.namespace, collector, metadata)
        with self._lock:
            for name in names:
                owner = self._names.get(name)
                if owner is not None:
                    raise MetricError(
                        f"metric {metadata.name!r} of collector {collector!r}",
                        seen=f"the exported name {name!r}, which metric {owner[1]!r} of collector {owner[0]!r} has",
                        expected="call one of them otherwise",
                    )
            self._names.update(dict.fromkeys(names, (collector, metadata.name)))

    def release(self, collector: str) -> None:
        """Give back the exported names of all metrics of a collector, and ask their callbacks no more."""
        with self._lock:
            self._names = {name: owner for name, owner in self._names.items() if owner[0] != collector}
            self._asked = {series: name for series, name in self._asked.items() if name.partition(".")[0] != collector}
            self._failed = {failed for failed in self._failed if failed[0] != collector}

    def collector(self, name: str, max_series: int = DEFAULT_MAX_SERIES) -> MetricsCollector:
        """Give the collector called `name`, made and registered now if there is none."""
        with self._lock:
            found = self._collectors.get(name)
            if found is None:
                found = MetricsCollector(max_series, clock=self.clock)
                self.register_collector(name, found)
            return found

    def get_collector(self, name: str) -> MetricsCollector | None:
        """Give the collector called `name`, None where there is none."""
        return self._collectors.get(name)

    def get_all_collectors(self) -> dict[str, MetricsCollector]:
        """Give all collectors by name."""
        with self._lock:
            return dict(self._collectors)

    def snapshot(self, *, ask: bool = True) -> Snapshot:
        """Give all that can be exported now. A metric whose callback does not answer is left out and reported once.

        Without `ask` no callback is asked before somebody reads its metric.
        """
        collectors = [
            CollectorSnapshot(
                name, [metric for metric in collector.get_all_metrics().values() if not ask or self._answers(name, metric)]
            )
            for name, collector in self.get_all_collectors().items()
        ]
        return Snapshot(self.namespace, self.clock.now(), self._wall_offset(), collectors)

    @property
    def present(self) -> int:
        """The time of the timeline in milliseconds since 1970, as pages and queries have it."""
        return math.ceil((self.clock.now() + self._wall_offset()) * 1000)

    def _wall_offset(self) -> float:
        """Give what turns times of the timeline into Unix seconds: the same again, until the wall clock was really moved.

        Otherwise what happened once would have another time on every page, and a server would take a counter that was made
        a microsecond later for a new one.
        """
        offset = self.clock.wall() - self.clock.now()
        if abs(offset - self._offset) > WALL_CLOCK_MOVED:
            self._offset = offset
        return self._offset

    def _answers(self, collector: str, metric: Metric) -> bool:
        try:
            metric.look()
        except NoAnswer as error:
            if (collector, metric.name) not in self._failed:
                self._failed.add((collector, metric.name))
                self.report(collector, f"metric {metric.name!r} is left out: {error}")
            return False
        self._failed.discard((collector, metric.name))
        return True

    def export_metrics(self, format: str = "json") -> str:
        """Write all metrics down, as "json", "prometheus" (text format 0.0.4) or "openmetrics" (text format 1.0.0)."""
        renderers = {"json": render_json, "prometheus": render_prometheus, "openmetrics": render_openmetrics}
        if format not in renderers:
            raise ConfigurationError(
                "export_metrics", seen=f"the format {format!r}", expected=f"use one of {', '.join(renderers)}"
            )
        return b"".join(renderers[format](self.snapshot())).decode()

    @property
    def observer(self) -> Observer | None:
        """Who is told what the operator should know; a manager has it logged, unless somebody is set."""
        return self._observer

    @observer.setter
    def observer(self, observer: Observer | None) -> None:
        self._observer = observer
        while observer is not None and self._untold:
            observer(*self._untold.popleft())

    def report(self, collector: str, text: str) -> None:
        """Hand a sentence for the operator to the observer; the last 100 are kept until there is one."""
        if self._observer is None:
            self._untold.append((collector, text))
        else:
            self._observer(collector, text)


_default: MetricsRegistry | None = None
_default_lock = guarded(threading.Lock())


def _name_space(namespace: object) -> str:
    if not isinstance(namespace, str) or (namespace and not valid_part_name(namespace)):
        raise ConfigurationError(
            "registry",
            seen=f"the namespace {namespace!r}",
            expected="letters, digits and underscores, or '' for none",
        )
    return namespace


def get_metrics_registry() -> MetricsRegistry:
    """Give the registry that the whole program shares; it holds `validation`, `security` and `performance`."""
    global _default  # noqa: PLW0603  # the one global that the guide asks for
    with _default_lock:
        if _default is None:
            registry = MetricsRegistry()
            registry.register_collector("validation", ValidationMetrics())
            registry.register_collector("security", SecurityMetrics())
            registry.register_collector("performance", PerformanceMetrics())
            _default = registry
        return _default


def get_validation_metrics() -> ValidationMetrics:
    """Give the shared registry's `validation` collector."""
    return _shared("validation", ValidationMetrics)


def get_security_metrics() -> SecurityMetrics:
    """Give the shared registry's `security` collector."""
    return _shared("security", SecurityMetrics)


def get_performance_metrics() -> PerformanceMetrics:
    """Give the shared registry's `performance` collector."""
    return _shared("performance", PerformanceMetrics)


def _shared(name: str, kind: type[T]) -> T:
    collector = get_metrics_registry().get_collector(name)
    if not isinstance(collector, kind):
        raise MetricError(f"collector {name!r}", seen=repr(collector), expected=f"a {kind.__name__} under that name")
    return collector
