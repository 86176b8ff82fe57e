"""kailash: what its workflows validate, what they refuse and how long their nodes take, as metrics.

    runtime = LocalRuntime(connection_validation="strict")
    attached = attach(runtime)          # until attached.detach()

kailash tells one collector for the whole program of its validation, and a callback of each runtime of completed nodes; it
records nothing in `kailash.monitoring` by itself. The collector's methods are listened to, on that one object, and not its
list read: the metrics are there when the run returns, nothing is kept twice, and no event is missed or counted again.
"""

import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.errors import ConfigurationError, MissingExtra
from kailash_monitor.metrics import (
    MetricsCollector,
    MetricSeverity,
    MetricsRegistry,
    PerformanceMetrics,
    SecurityMetrics,
    ValidationMetrics,
    get_metrics_registry,
)
from kailash_monitor.threads import guarded

__all__ = ["Attached", "attach", "violation_type"]

C = TypeVar("C", bound=MetricsCollector)
P = ParamSpec("P")

MESSAGE: Final = 500
"""Characters that are kept of the message of a violation, which repeats what was sent."""

_SIGNS: Final = (
    ("sql_injection", ("sql",)),
    ("path_traversal", ("traversal",)),
    ("credential_exposure", ("credential",)),
    ("code_injection", ("injection", "script", "command", "code")),
)
_OTHER: Final = "security_violation"

_HEARD: Final = ("start_validation", "end_validation", "record_cache_hit", "record_security_violation")
"""The methods of kailash's collector that are listened to."""

_TAP: Final = "_kailash_monitor"
"""Where at kailash's collector stands who listens to it."""

_lock: Final = guarded(threading.Lock())


class Attached:
    """A runtime whose events are recorded until `detach`. Mutable: whether it is, under the module's lock."""

    def __init__(self, tap: "_Tap", runtime: object, registry: MetricsRegistry) -> None:
        self._tap: Final = tap
        self._holds: tuple[object, MetricsRegistry] | None = runtime, registry

    def detach(self) -> None:
        """Record nothing more on behalf of this one; the second time, nothing. With the last, kailash is as it was."""
        with _lock:
            if self._holds:
                self._tap.leave(*self._holds)
                self._holds = None


def attach(runtime: Any, registry: MetricsRegistry | None = None) -> Attached:  # Any: a runtime of kailash, of any version
    """Have the completed nodes of `runtime` in the collector `performance`, and the program's validation in its two.

    - each validation of a node: `record_validation_attempt` with the node's type. kailash tells of no cache by itself, so
      that the rate of cache hits is 0 unless a node calls its `record_cache_hit`
    - each violation: `record_security_violation`, critical as kailash has them all, by `violation_type`; the source is the
      type of the node. In strict validation the connection that brought it is blocked: `record_blocked_connection`
    - each completed node: `record_operation` with the node's type. Of a node that fails while it runs, kailash tells nothing

    `registry` is by default the one that the whole program shares; collectors that it lacks are made. Attached twice counts
    once, and so does validation, which is the whole program's, however many runtimes are attached. A runtime that is gone
    need not be detached. A MissingExtra where kailash is not installed, a ConfigurationError where this version of it has
    not what is needed.
    """
    registry = get_metrics_registry() if registry is None else registry
    source = _source()
    if not callable(getattr(runtime, "on_node_complete", None)):
        raise _unfit(f"a {type(runtime).__name__} without on_node_complete")
    recorder = _Recorder(registry)
    with _lock:
        tap: _Tap = vars(source).get(_TAP) or _Tap(source)
        tap.enter(runtime, recorder)
    return Attached(tap, runtime, registry)


def violation_type(message: str) -> str:
    """Give the type of a violation, such as "sql_injection", by the words of kailash's message; or "security_violation"."""
    said = message.lower()
    return next((kind for kind, signs in _SIGNS if any(sign in said for sign in signs)), _OTHER)


# -- what is heard


@dataclass(slots=True)
class _Validation:
    """A node whose inputs are being validated, or were, last of all in this task."""

    node_id: str
    mode: str
    begun: float
    cached: bool = False


_last: Final[ContextVar[_Validation | None]] = ContextVar("kailash_validation", default=None)


@dataclass(slots=True)
class _Hold:
    """A runtime that records into a registry, and how many asked for it."""

    recorder: "_Recorder"
    unregister: Callable[[], object]
    asked: int = 0


class _Tap:
    """Listens to kailash's collector while somebody is attached.

    Mutable, under the module's lock: who holds what, which methods are replaced, and what stood there before. `_recorders`
    is replaced whole, so that workflows read it without the lock.
    """

    def __init__(self, source: Any) -> None:  # Any: kailash's ValidationMetricsCollector
        self._source: Final = source
        self._held: Final[WeakKeyDictionary[object, dict[MetricsRegistry, _Hold]]] = WeakKeyDictionary()
        self._replaced: Final[dict[str, Callable[..., object]]] = {}
        self._before: Final[dict[str, Callable[..., object] | None]] = {}
        self._recorders: tuple[_Recorder, ...] = ()

    def enter(self, runtime: Any, recorder: "_Recorder") -> None:  # Any: as in `attach`
        held, registry = self._held.get(runtime, {}), recorder.registry
        if registry not in held:
            recorder = next((known for known in self._recorders if known.registry is registry), recorder)
            held[registry] = _Hold(recorder, runtime.on_node_complete(recorder.completed))
        held[registry].asked += 1
        self._held[runtime] = held
        self._settle()

    def leave(self, runtime: object, registry: MetricsRegistry) -> None:
        held = self._held[runtime]
        held[registry].asked -= 1
        if not held[registry].asked:
            held.pop(registry).unregister()
        if not held:
            del self._held[runtime]
        self._settle()

    def _settle(self) -> None:
        """Listen for those who are there: runtimes that are gone have left with this."""
        holds = [hold for held in self._held.values() for hold in held.values()]
        self._recorders = tuple({hold.recorder.registry: hold.recorder for hold in holds}.values())
        if self._recorders:
            self._listen()
        else:
            self._restore()

    def _listen(self) -> None:
        hearers: dict[str, Callable[..., None]] = dict(
            zip(_HEARD, (self._started, self._ended, self._hit, self._violated), strict=True)
        )
        setattr(self._source, _TAP, self)
        for name, hear in hearers.items():
            if name not in self._replaced:
                self._before[name] = vars(self._source).get(name)
                self._replaced[name] = self._followed(getattr(self._source, name), hear)
                setattr(self._source, name, self._replaced[name])

    def _restore(self) -> None:
        """Take away what we put there, but for what somebody else has built upon: that passes all on, and is used again."""
        for name, ours in list(self._replaced.items()):
            if vars(self._source).get(name) is ours:
                delattr(self._source, name)
                del self._replaced[name]
                if before := self._before.pop(name):  # somebody else's, on this object as well
                    setattr(self._source, name, before)
        if not self._replaced:
            delattr(self._source, _TAP)

    def _started(self, node_id: str, node_type: str, validation_mode: str) -> None:
        _last.set(_Validation(node_id, validation_mode, SYSTEM_CLOCK.now()))

    def _hit(self, node_type: str) -> None:
        if validation := _last.get():
            validation.cached = True

    def _ended(self, node_id: str, node_type: str, success: bool, *_: object, **__: object) -> None:
        validation = _last.get()
        if validation is None or validation.node_id != node_id:  # it began before we listened: how long it took is not known
            validation = _Validation(node_id, "", SYSTEM_CLOCK.now())
        milliseconds = (SYSTEM_CLOCK.now() - validation.begun) * 1000.0
        for recorder in self._recorders:
            recorder.validated(node_type, success, milliseconds, validation.cached)

    def _violated(
        self,
        node_id: str,
        node_type: str,
        violation_details: Mapping[str, object],
        connection_info: Mapping[str, str] | None = None,
    ) -> None:
        validation, connection = _last.get(), connection_info or {}
        strict = validation is not None and validation.node_id == node_id and validation.mode == "strict"
        source, target = connection.get("source", "unknown"), connection.get("target", node_id)
        for recorder in self._recorders:
            recorder.violated(node_type, str(violation_details.get("message", "")), source, target, blocked=strict)

    def _followed(self, original: Callable[..., object], hear: Callable[..., None]) -> Callable[..., object]:
        """Give the method with a listener after it; what the listener does not understand concerns nobody else."""

        def method(*args: object, **kwargs: object) -> object:
            answer = original(*args, **kwargs)
            try:
                hear(*args, **kwargs)
            except Exception as error:  # an event of another shape, in another version
                for recorder in self._recorders:
                    recorder.trouble(error)
            return answer

        return method


# -- what is recorded


def _safely(record: Callable[Concatenate["_Recorder", P], None]) -> Callable[Concatenate["_Recorder", P], None]:
    """Have trouble told, and not raised: a workflow must not fail for being watched."""

    def safe(self: "_Recorder", /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            record(self, *args, **kwargs)
        except Exception as error:  # an event of another shape, or a collector that is strict
            self.trouble(error)

    return safe


class _Recorder:
    """Puts what was heard into a registry's collectors. Mutable: whether trouble was told, from any thread."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self.registry: Final = registry
        self._validation: Final = _collector(registry, "validation", ValidationMetrics)
        self._security: Final = _collector(registry, "security", SecurityMetrics)
        self._performance: Final = _collector(registry, "performance", PerformanceMetrics)
        self._told = False

    @_safely
    def completed(self, event: Any) -> None:  # Any: kailash's NodeCompletionEvent
        seconds = (event.ended_at - event.started_at).total_seconds()  # its `duration_ms` is cut to whole ones
        self._performance.record_operation(event.node_type, seconds * 1000.0, success=event.error is None)

    @_safely
    def validated(self, node_type: str, success: bool, milliseconds: float, cached: bool) -> None:
        self._validation.record_validation_attempt(node_type, success, milliseconds, cached)

    @_safely
    def violated(self, node_type: str, message: str, source: str, target: str, *, blocked: bool) -> None:
        kind = violation_type(message)
        details = {"message": message[:MESSAGE], "connection": f"{source} → {target}"}
        self._security.record_security_violation(kind, MetricSeverity.CRITICAL, node_type, details)
        if blocked:
            self._security.record_blocked_connection(source, target, kind)

    def trouble(self, error: Exception) -> None:
        """Have the first one logged; the workflow goes on."""
        if not self._told:
            self._told = True
            what = f"an event of kailash was not recorded ({type(error).__name__}: {error})"
            self.registry.report("kailash", f"{what}; of others like it nothing is said")


def _collector(registry: MetricsRegistry, name: str, kind: type[C]) -> C:
    found = registry.get_collector(name)
    if found is None:
        registry.register_collector(name, found := kind(clock=registry.clock))
    if not isinstance(found, kind):
        seen = f"the collector {name!r}, a {type(found).__name__}"
        raise ConfigurationError("kailash", seen=seen, expected=f"a {kind.__name__} under that name")
    return found


# -- kailash itself


def _source() -> Any:  # Any: kailash's ValidationMetricsCollector, which has no types
    """Give the collector that kailash tells of its validation."""
    try:
        from kailash.runtime.validation import metrics
    except ImportError as error:
        if not (error.name or "").startswith("kailash."):  # itself, or what it needs
            raise MissingExtra("watching workflows", package="kailash[http-client]", extra="kailash") from error
        raise _unfit("no kailash.runtime.validation.metrics") from error
    if not callable(getattr(metrics, "get_metrics_collector", None)):
        raise _unfit("no get_metrics_collector")
    source: Any = metrics.get_metrics_collector()  # Any: as above
    for name in _HEARD:
        if not callable(getattr(source, name, None)):
            raise _unfit(f"a {type(source).__name__} without {name}")
    return source


def _unfit(seen: str) -> ConfigurationError:
    found = f"version {_installed()}" if _installed() else "what is there"
    return ConfigurationError("kailash", seen=f"{found} has {seen}", expected="what is needed is in kailash 2.65")


def _installed() -> str | None:
    try:
        return version("kailash")
    except PackageNotFoundError:
        return None
