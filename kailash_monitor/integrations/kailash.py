"""kailash: what its workflows validate, what they refuse and how long their nodes take, as metrics.

    runtime = LocalRuntime(connection_validation="strict")
    attached = attach(runtime)          # until attached.detach()

kailash keeps the events of its validation in one list for the whole program, and tells of completed nodes by a callback of
each runtime; it records nothing in `kailash.monitoring` by itself.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from kailash_monitor.errors import ConfigurationError, MissingExtra
from kailash_monitor.metrics import (
    MetricSeverity,
    MetricsRegistry,
    PerformanceMetrics,
    SecurityMetrics,
    ValidationMetrics,
    get_metrics_registry,
)

__all__ = ["Attached", "attach"]

_INJECTIONS: Final = {
    "sql": "sql_injection",
    "path traversal": "path_traversal",
    "directory traversal": "path_traversal",
    "credential": "credential_exposure",
    "script": "code_injection",
    "command": "code_injection",
    "code": "code_injection",
}
"""What a message about a violation says, and the kind of it; other kinds are `security_violation`."""

_lock: Final = threading.Lock()


class Attached:
    """A runtime whose events are recorded, until `detach`. Mutable: whether it is, under the module's lock."""

    def __init__(self, events: "_Heard", recorder: "_Recorder", unregister: Callable[[], object]) -> None:
        self._events = events
        self._recorder = recorder
        self._unregister = unregister
        self._attached = True

    def detach(self) -> None:
        """Record nothing more of this runtime; the second time, nothing."""
        with _lock:
            if self._attached:
                self._attached = False
                self._unregister()
                self._events.forget(self._recorder)


def attach(runtime: Any, registry: MetricsRegistry | None = None) -> Attached:  # Any: a runtime of kailash, of any version
    """Have `runtime`'s nodes recorded into the collector `performance`, and the program's validation into its two.

    - each validation of a node: `record_validation_attempt(node_type, …)`, and of the cache what kailash says of it
    - each violation: `record_security_violation`, critical where it names an injection, a traversal or a credential, else
      high; the source is the type of the node. One that a strict runtime refuses is a blocked connection as well
    - each completed node: `record_operation(node_type, …)`; of nodes that fail, kailash tells nothing

    `registry` is by default the one that the whole program shares; its collectors `validation`, `security` and `performance`
    are used. Validation counts once in a registry, however many runtimes are attached. A MissingExtra where kailash is not
    installed, a ConfigurationError where this version of it has not what is needed.
    """
    recorder = _Recorder(get_metrics_registry() if registry is None else registry, _is_strict(runtime))
    events = _Heard.installed()
    register = getattr(runtime, "on_node_complete", None)
    if register is None:
        raise _unfit(f"a {type(runtime).__name__} without on_node_complete")
    with _lock:
        unregister = register(recorder.completed)
        events.hear(recorder)
    return Attached(events, recorder, unregister)


class _Recorder:
    """Puts the events of kailash into a registry's collectors. Never raises: a workflow must not fail for being watched."""

    def __init__(self, registry: MetricsRegistry, strict: bool) -> None:
        self.registry: Final = registry
        self._strict = strict
        self._validation = _collector(registry, "validation", ValidationMetrics)
        self._security = _collector(registry, "security", SecurityMetrics)
        self._performance = _collector(registry, "performance", PerformanceMetrics)

    def completed(self, event: Any) -> None:  # Any: kailash's NodeCompletionEvent
        self._performance.record_operation(event.node_type, float(event.duration_ms), success=event.error is None)

    def validated(self, event: Any) -> None:  # Any: kailash's ValidationMetric
        by_node, increment = {"node_type": event.node_type}, self._validation.increment
        match event.event_type.value:
            case "validation_completed" | "validation_failed" as kind:
                increment("validation_total", 1, by_node)
                increment("validation_success" if kind == "validation_completed" else "validation_failure", 1, by_node)
                if event.duration_ms is not None:
                    self._validation.record_timer("validation_duration", event.duration_ms, by_node)
            case "cache_hit":
                increment("validation_cache_hits", 1, by_node)
            case "cache_miss":
                increment("validation_cache_misses", 1, by_node)
            case "security_violation":
                self._violated(event)

    def _violated(self, event: Any) -> None:  # Any: as above
        details = dict(event.additional_data or {})
        message = str(details.get("message", "")).lower()
        kind = next((kind for word, kind in _INJECTIONS.items() if word in message), None)
        severity = MetricSeverity.HIGH if kind is None else MetricSeverity.CRITICAL
        kind = kind or "security_violation"
        self._security.record_security_violation(kind, severity, event.node_type, details)
        if self._strict:
            source, target = event.connection_source or "unknown", event.connection_target or event.node_id
            self._security.record_blocked_connection(source, target, kind)


class _Heard(deque[Any]):  # Any: kailash's ValidationMetric
    """kailash's list of events, which tells of each to those who hear. In its place since the first of them came.

    Mutable: who hears, under the module's lock; each registry once, with all who asked for it.
    """

    def __init__(self, events: Iterable[Any], most: int | None) -> None:
        super().__init__(events, most)
        self._hearers: dict[int, list[_Recorder]] = {}

    @classmethod
    def installed(cls) -> "_Heard":
        """Give the one of this program."""
        try:
            from kailash.runtime.validation.metrics import (  # type: ignore[import-untyped]  # it has no types
                get_metrics_collector,
            )
        except ImportError as error:
            if (error.name or "").partition(".")[0] != "kailash" or _installed_version() is None:
                raise MissingExtra("watching workflows", package="kailash", extra="kailash") from None
            raise _unfit("no kailash.runtime.validation.metrics") from None
        with _lock:
            collector: Any = get_metrics_collector()  # Any: not every version has types
            events = getattr(collector, "metrics", None)
            if not isinstance(events, deque):
                raise _unfit("a metrics collector without a deque of metrics")
            if not isinstance(events, cls):
                events = collector.metrics = cls(events, events.maxlen)
            return events

    def hear(self, recorder: _Recorder) -> None:
        self._hearers = {**self._hearers, id(recorder.registry): [*self._hearers.get(id(recorder.registry), []), recorder]}

    def forget(self, recorder: _Recorder) -> None:
        left = [other for other in self._hearers.get(id(recorder.registry), []) if other is not recorder]
        others = {key: recorders for key, recorders in self._hearers.items() if key != id(recorder.registry)}
        self._hearers = {**others, **({id(recorder.registry): left} if left else {})}

    def append(self, event: Any) -> None:
        """Take in an event, and have it recorded."""
        super().append(event)
        for recorders in self._hearers.values():
            try:
                recorders[0].validated(event)
            except Exception:  # an event of another shape, in another version: the workflow goes on
                recorders[0].registry.self_metrics.increment("kailash_events_not_understood", 1)


def _collector(registry: MetricsRegistry, name: str, kind: type[Any]) -> Any:  # Any: of that kind
    found = registry.get_collector(name)
    if found is None:
        registry.register_collector(name, found := kind(clock=registry.clock))
    if not isinstance(found, kind):
        raise ConfigurationError(
            "kailash", seen=f"the collector {name!r}, a {type(found).__name__}", expected=f"a {kind.__name__}"
        )
    return found


def _is_strict(runtime: object) -> bool:
    return getattr(runtime, "connection_validation", None) == "strict"


def _installed_version() -> str | None:
    try:
        return version("kailash")
    except PackageNotFoundError:
        return None


def _unfit(seen: str) -> ConfigurationError:
    return ConfigurationError("kailash", seen=f"{seen} in version {_installed_version()}", expected="kailash 2.65 or later")
