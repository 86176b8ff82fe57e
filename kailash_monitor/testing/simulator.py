"""The simulator: rules, channels and people's acts on a clock that jumps, and what came of it as a log.

    sim = Simulator(AlertRule("busy", "Too much waits", "warning", "queue", "> 5", hold="5m"))
    sim.set("queue", 9)
    sim.advance("10m")
    sim.set("queue", 0)
    sim.advance("1m")
    assert sim.told() == ["firing", "resolved"]

It drives the very code that an AlertManager runs on an event loop, without one.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from kailash_monitor.alerting.audit import Decision, Entry, Remark
from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.route import Route
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.delivery.outcome import Delivered, Outcome, Retry
from kailash_monitor.engine.attempt import attempt_now
from kailash_monitor.engine.manager import AlertManager
from kailash_monitor.engine.outbox import More, Send
from kailash_monitor.engine.queries import LocalQueries, values_of
from kailash_monitor.engine.records import Pen
from kailash_monitor.engine.restored import read_store
from kailash_monitor.engine.rings import ring_changes, rings_in
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.model.durations import Duration, format_duration, parse_duration
from kailash_monitor.model.notice import Notice
from kailash_monitor.promql.query import finished
from kailash_monitor.promql.samples import Vector
from kailash_monitor.rules import AlertRule, RuleQuery
from kailash_monitor.rules.recording import Recording
from kailash_monitor.storage import MemoryStore
from kailash_monitor.testing.clocks import EPOCH, ManualClock
from kailash_monitor.testing.recording import RecordingChannel

__all__ = ["Attempt", "Simulator"]

T = TypeVar("T")

DEFAULT_COLLECTOR: Final = "app"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to tell a channel. `outcome` is "delivered", or why not."""

    at: float
    channel: str
    notice: Notice
    outcome: str

    def __str__(self) -> str:
        alert, kind = self.notice.alert, self.notice.kind.value
        return f"{self.channel} ← {kind} {alert.id} #{alert.incident} {alert.severity.value} {self.outcome} {self.notice.id}"


class Simulator:
    """A manager with its registry on a clock that this object moves.

    `channels` are channels, or names of channels that take everything and remember it. `wall` is the Unix time at which it
    begins, for mute times. Nothing happens but in `advance` and `run`. Channels and readings of rules must answer without
    waiting: they may be coroutine functions that await nothing; `takes` gives the seconds that attempts of a channel last.
    `with_store` has it keep what a restart must find.

    `manager` has all there is to say and to see; `timeline` is what happened, oldest first.
    """

    def __init__(
        self,
        *rules: AlertRule,
        channels: Iterable[NotificationChannel | str] = ("ops",),
        routes: Route | None = None,
        inhibitions: Iterable[Inhibition] = (),
        wall: float = EPOCH,
        takes: Mapping[str, float] | None = None,
        luck: float = 0.5,
        with_store: bool = False,
    ) -> None:
        self.clock: Final = ManualClock(epoch=wall)
        self.timeline: Final[list[Entry | Attempt]] = []
        self.channels: Final[dict[str, NotificationChannel]] = {}
        self._takes = dict(takes or {})
        self._todo: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._luck = luck
        self._routes, self._inhibitions = routes, tuple(inhibitions)
        self._policies: dict[str, dict[str, Any]] = {}
        self._store = MemoryStore()
        self._store.open()
        self._dying: list[Callable[[], object]] = []  # what ends with the program: answers that it waits for
        self._with_store = with_store
        self._pen = Pen()
        self._begin()
        for channel in channels:
            self.add_channel(channel)
        self._set_routing()
        for rule in rules:
            self.manager.add_rule(rule)

    def _begin(self) -> None:
        """Begin as a program does, with no metrics and nothing known but what is in the store."""
        self.registry = MetricsRegistry(clock=self.clock)
        self.registry.collector(DEFAULT_COLLECTOR)
        self.manager = AlertManager(self.registry, new_id=lambda: f"id-{next(self._ids)}", luck=lambda: self._luck)
        self._core = self.manager.core
        self._rung: set[str] = set()  # channels that may have something to do
        self._core.outbox.ring = self._rung.add
        self._core.dispatcher.audit.listen(self.timeline.append)
        self._core.journal.kept = self._with_store

    def _set_routing(self) -> None:
        if self._routes is not None:
            self.manager.set_routes(self._routes)
        self.manager.set_inhibitions(self._inhibitions)

    def __repr__(self) -> str:
        return f"<Simulator at {format_duration(self.clock.time)}, {len(self.timeline)} entries>"

    # -- what happens --------------------------------------------------------------------------------------------------

    def add_channel(self, channel: NotificationChannel | str, **policy: Any) -> None:  # Any: the manager's parameters
        """Take a channel on; `policy` is as for `add_notification_channel`."""
        known = set(self.channels)
        given = RecordingChannel(channel) if isinstance(channel, str) else channel
        self.manager.add_notification_channel(given, **policy)
        for name, added in self.manager.channels_by_name().items():
            if name not in known:
                self.channels[name], self._policies[name] = added, policy

    def restart(self, *, down: Duration = 0, killed: bool = False, checkpoint: bool = True) -> None:
        """End the program and begin it anew after `down`: with the rules, channels and routes it has, and its store.

        `killed` is as with kill -9: what was not in the store is lost, and attempts under way are in doubt. A `checkpoint`
        of the history of metrics is made at a stop, and else each minute; here, where it is asked for.
        """
        if not self._with_store:
            raise RuntimeError("this program has no store to begin from: Simulator(…, with_store=True)")
        rules = self.manager.rules
        if not killed:
            self._keep(everything=True)
        if checkpoint:
            self._store.commit([change for change in ring_changes(self.registry, -math.inf) if change is not None])
        self._todo = [todo for todo in self._todo if todo[2] not in self._dying]
        heapq.heapify(self._todo)
        self._dying.clear()
        self.clock.time += parse_duration(down)
        self._begin()
        for name, channel in self.channels.items():
            self.manager.add_notification_channel(channel, **self._policies[name])
        self._set_routing()
        for rule in rules.values():
            self.manager.add_rule(rule)
        offset = self.clock.wall() - self.clock.now()
        for _ in self._core.restore(read_store(self._store, offset, self.clock.now())):
            pass
        self.registry.restore(rings_in(self._store, offset, self.clock.now()))
        self._core.journal.kept = True
        self._core.keep_all()
        self._core.begin()

    def _keep(self, *, everything: bool = False) -> None:
        """Put into the store what has changed."""
        journal = self._core.journal
        if everything:
            self._core.keep_all()
        while journal:
            page = journal.take(self._pen, self.clock.wall() - self.clock.now(), 1_000)
            self._store.commit(page.changes())

    def collector(self, name: str = DEFAULT_COLLECTOR) -> MetricsCollector:
        """Give the collector called so."""
        return self.registry.collector(name)

    def set(self, gauge: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Set a gauge of the collector `app`, and let what follows at once happen."""
        self.collector().set_gauge(gauge, value, labels)
        self.run()

    def inc(self, counter: str, by: float = 1, labels: Mapping[str, str] | None = None) -> None:
        """Add to a counter of the collector `app`, and let what follows at once happen."""
        self.collector().increment(counter, by, labels)
        self.run()

    def observe(self, timer: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Record an observation of a timer of the collector `app`, and let what follows at once happen."""
        self.collector().record_timer(timer, value, labels)
        self.run()

    def at(self, when: Duration, act: Callable[..., object], *args: object) -> None:
        """Have `act(*args)` called when the clock is so far from the beginning."""
        heapq.heappush(self._todo, (parse_duration(when), next(self._order), lambda: act(*args)))

    def every(self, interval: Duration, act: Callable[[float], object], *, until: Duration) -> None:
        """Have `act` called at each interval, with the seconds since the beginning, from now on."""
        seconds, end = parse_duration(interval), parse_duration(until)
        for n in itertools.count():
            at = self.clock.time + n * seconds
            if at > end:
                return
            self.at(at, act, at)

    def advance(self, duration: Duration) -> None:
        """Let so much time pass, and all happen that is due in it."""
        end = self.clock.time + parse_duration(duration)
        self.run()
        while (due := self._due()) <= end:
            self.clock.time = max(self.clock.time, due)
            self.run()
        self.clock.time = end
        self.run()

    def run(self) -> None:
        """Let all happen that is due now."""
        while True:
            if self._todo and self._todo[0][0] <= self.clock.time:
                heapq.heappop(self._todo)[2]()
                continue
            for _ in self._core.work():
                pass
            if not (self._ask() or self._deliver()):
                self._keep()
                return

    def _due(self) -> float:
        due = min(self._core.due, self._todo[0][0]) if self._todo else self._core.due
        for name in self._rung:  # the others have nothing to do
            wait = self._core.outbox.next_in(name, self.clock.time)
            due = due if wait is None else min(due, self.clock.time + wait)
        return due

    def _ask(self) -> bool:
        """Have the rules' own readings answered; whether there were any."""
        asked = bool(self._core.asks)
        while self._core.asks:
            rule = self._core.asks.popleft()
            try:
                self._core.answer(rule, self._answer(rule))
            except Exception as error:  # the user's code
                self._core.answer(rule, error)
        return asked

    def _answer(self, rule: AlertRule | Recording) -> object:
        if isinstance(rule, Recording):
            return _at_once(self.manager.local_queries.record(rule))
        if rule.expr is not None:
            return _at_once(values_of(rule, _InOneGo(self.manager.local_queries), self.clock))
        assert rule.reading is not None
        answer: object = rule.reading()
        return _at_once(answer) if isinstance(answer, Coroutine) else answer

    def _deliver(self) -> bool:
        """Make the attempts that are due; whether there were any."""
        any_begun = False
        for name in sorted(self._rung):
            while (send := self._core.outbox.begin_next(name, self.clock.time)) is not None:
                any_begun = True
                if not isinstance(send, More):
                    self._keep()
                    self._attempt(name, self.channels[name], send)
            if self._core.outbox.next_in(name, self.clock.time) is None:
                self._rung.discard(name)
        return any_begun

    def _attempt(self, name: str, channel: NotificationChannel, send: Send) -> None:
        try:
            outcome = _at_once(attempt_now(channel, send.message.notice))
        except Exception as error:  # the channel's code
            outcome = Retry(f"raised {type(error).__name__}", in_doubt=True, attempts=3)
        takes = self._takes.get(name, 0.0)
        if takes:
            answer = partial(self._settle, name, send, outcome)
            self._dying.append(answer)  # with the program
            self._todo.append((self.clock.time + takes, next(self._order), answer))
            heapq.heapify(self._todo)
        else:
            self._settle(name, send, outcome)

    def _settle(self, name: str, send: Send, outcome: Outcome) -> None:
        why = "delivered" if isinstance(outcome, Delivered) else outcome.why
        self.timeline.append(Attempt(self.clock.time, name, send.message.notice, why))
        self._core.outbox.settle(send, outcome, self.clock.time)

    # -- what came of it -----------------------------------------------------------------------------------------------

    def told(self, channel: str = "ops", alert_id: str | None = None) -> list[str]:
        """Give the kinds of the messages that a channel took, of one alert or of all, in order."""
        return [notice.kind.value for notice in self.notices(channel) if alert_id is None or notice.alert.id == alert_id]

    def notices(self, channel: str = "ops") -> list[Notice]:
        """Give the messages that a channel took, in order."""
        taken = [entry for entry in self.timeline if isinstance(entry, Attempt) and entry.channel == channel]
        return [entry.notice for entry in taken if entry.outcome == "delivered"]

    def reasons(self, channel: str = "ops") -> list[tuple[float, str]]:
        """Give when and why a channel was told, or was not."""
        return [
            (entry.at, entry.reason.value)
            for entry in self.timeline
            if isinstance(entry, Decision) and entry.channel == channel
        ]

    def transitions(self, alert_id: str | None = None) -> list[tuple[float, str]]:
        """Give when alerts went from state to state, and what they became."""
        return [
            (entry.at, entry.what)
            for entry in self.timeline
            if isinstance(entry, Remark) and (alert_id is None or entry.alert_id == alert_id)
        ]

    def log(self) -> str:
        """Give the timeline as text, a line an entry: the same for the same script, to the byte."""
        return "\n".join(f"{entry.at:.6f} {_words(entry)}" for entry in self.timeline)


def _words(entry: Entry | Attempt) -> str:
    match entry:
        case Decision():
            told = "" if entry.message_id is None else f" {entry.message_id}"
            return f"{entry.alert_id} #{entry.incident} → {entry.channel}: {entry.reason.value}{told}"
        case Remark():
            return f"{entry.alert_id} {entry.what}"
        case Attempt():
            return str(entry)


class _InOneGo:
    """Evaluates expressions without a loop."""

    def __init__(self, queries: LocalQueries) -> None:
        self._queries = queries

    async def vector(self, query: RuleQuery) -> Vector:
        return finished(self._queries.pieces(query))


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine yields
    """Give the result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("what is simulated must answer without waiting; use `takes`, or a test on virtual time")
