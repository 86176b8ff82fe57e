"""The core: all that decides, put together without an event loop.

Whoever drives it (the manager on a loop, the simulator on a clock moved by hand) calls `work` when something is `due`, makes
the attempts that the outbox begins, and asks what `asks` holds.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final
from weakref import WeakMethod

from kailash_monitor.alerting.audit import Remark
from kailash_monitor.alerting.incident import State
from kailash_monitor.alerting.trouble import (
    CHANNEL_FAILING,
    LOOP_STALLED,
    STORE_FAILING,
    channel_rule,
    stall_rule,
    store_rule,
)
from kailash_monitor.channels.text import one_line
from kailash_monitor.engine.agenda import Agenda
from kailash_monitor.engine.book import AlertBook, Change
from kailash_monitor.engine.dispatcher import Dispatcher
from kailash_monitor.engine.evaluator import Evaluator, Outage
from kailash_monitor.engine.journal import Journal
from kailash_monitor.engine.outbox import Outbox
from kailash_monitor.engine.recorded import RecordedSeries
from kailash_monitor.engine.restored import Restored
from kailash_monitor.engine.rulebook import RuleBook
from kailash_monitor.engine.sighting import Sighting, place_of, take_answer
from kailash_monitor.engine.status import Untold
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.metrics.self_metrics import SELF
from kailash_monitor.model.durations import format_duration
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.model.reason import KIND_OF
from kailash_monitor.rules import AlertRule, Value
from kailash_monitor.rules.recording import Recording
from kailash_monitor.threads import guarded

__all__ = ["Core"]

HOUSEKEEPING: Final = 60.0
"""Seconds between two rounds of forgetting what is over."""

AFTER_WRITE: Final = 0.02
"""Seconds between two judgements that recordings ask for."""

RECORDED_EVERY: Final = 10.0
"""Seconds between two recordings of how long evaluations took."""

STEP: Final = 1.0
"""Seconds by which the wall clock may drift from the timeline between two looks before it is said to have been set."""

_logger = logging.getLogger("kailash_monitor.engine")


class Core:
    """Rules, alerts, and what is to be told of them.

    `lock` guards all that changes here. `ring` is called, from any thread, when something may be due sooner than was said.
    `troubled` gives the collectors whose sources give no numbers, and why.
    """

    def __init__(
        self,
        registry: MetricsRegistry,
        *,
        new_id: Callable[[], str],
        luck: Callable[[], float],
        ring: Callable[[], None] = lambda: None,
        troubled: Callable[[], Mapping[str, Outage]] = dict,
    ) -> None:
        self.registry: Final = registry
        self.lock: Final = guarded(threading.RLock())
        self.rulebook: Final = RuleBook()
        self.agenda: Final = Agenda()
        self.journal: Final = Journal()
        self.book: Final = AlertBook(self.journal)
        self.outbox: Final = Outbox(new_id=new_id, luck=luck, journal=self.journal)
        self.recorded: Final = RecordedSeries()
        self.asks: Final[deque[AlertRule | Recording]] = deque()
        """What is to be asked for; the answer goes to `answer`: of a rule its own reading, or the values of its query; of a
        recording whether it was made: None, or why not.
        """
        self._recordings: dict[str, Recording] = {}
        self._unmade: dict[str, str] = {}  # why recordings could not be made, as it was said
        self._clock = registry.clock
        self.dispatcher: Final = Dispatcher(self._clock, self.book, self.outbox, ring, self.journal)
        self._ring = ring
        self._troubled = troubled
        self._evaluator = Evaluator()
        self._asking: dict[str, AlertRule | Recording] = {}  # what has not answered yet
        self._answers: deque[tuple[AlertRule | Recording, object, float]] = deque()  # each with the seconds that it took
        self._written: set[str] = set()  # rules whose metric was recorded since they were last judged
        self._watched: dict[str, list[Callable[[], None]]] = {}  # what ends it, by rule
        self._durations: list[float] = []  # of evaluations, in milliseconds, since they were last recorded
        self._recorded = -math.inf
        self._tidied = self._clock.now()
        self._restored_at = -math.inf
        self._orphans_at = math.inf  # when rules from before a restart are taken for gone
        self._offset = self._clock.wall() - self._clock.now()
        self._suspended = self._clock.suspended()

    # -- rules ---------------------------------------------------------------------------------------------------------

    def add_rule(self, rule: AlertRule) -> None:
        """Take `rule` on; it is judged at once. A RuleError where it cannot be."""
        with self.lock:
            self.rulebook.add(rule, self.registry.get_all_collectors())
            self._schedule(rule)

    def replace_rule(self, rule: AlertRule) -> None:
        """Put `rule` in the place of the one of its name. Its incidents go on, but for those that it cannot have."""
        with self.lock:
            self.rulebook.replace(rule, self.registry.get_all_collectors())
            self._unwatch(rule.name)
            self.agenda.remove(rule.name)
            now = self._clock.now()
            self._take(self.book.replace_rule(rule, now), now)
            self._schedule(rule)

    def remove_rule(self, name: str) -> None:
        """Take the rule called `name` away. Its incidents end."""
        with self.lock:
            if not self.rulebook.remove(name):
                return
            self._unwatch(name)
            self.agenda.remove(name)
            now = self._clock.now()
            self._take(self.book.remove_rule(name, now), now)

    def evaluate_rule(self, name: str) -> bool:
        """Have the rule called `name` judged at once; whether there is one that is enabled."""
        with self.lock:
            rule = self.rulebook.rules.get(name)
            if rule is None or not rule.enabled:
                return False
            self.agenda.hasten(name, self._clock.now())
            self._ring()
            return True

    def _schedule(self, rule: AlertRule) -> None:
        if not rule.enabled:
            return
        group, position = (None, 0) if rule.place is None else (rule.place.of_group, rule.place.position)
        self.agenda.add(rule.name, rule.evaluation_interval, self._clock.now(), group=group, position=position)
        if rule.on_write:
            self._watch(rule)
        self._ring()

    def record(self, recordings: Mapping[str, Recording]) -> None:
        """Have these recordings made in place of those from before."""
        with self.lock:
            new = {f"\n{key}": one for key, one in recordings.items()}  # no rule has such a name
            for key, old in self._recordings.items():
                if key not in new:
                    self.agenda.remove(key)
                    self.recorded.forget(old)
                    self._unmade.pop(key, None)
            for key, one in new.items():
                if self._recordings.get(key) != one:
                    place = one.place
                    self.agenda.add(key, one.interval, self._clock.now(), group=place.of_group, position=place.position)
            self._recordings = new
            self._ring()

    # -- work ----------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take note that nobody judged until now: holds do not count that time, and every rule is due."""
        with self.lock:
            now = self._clock.now()
            self.book.freeze(now)
            self.rulebook.forget_judgements()
            self.agenda.restart(now)
            self._asking.clear()
            self.asks.clear()
            self._answers.clear()

    @property
    def due(self) -> float:
        """When there is something to do next; infinity for nothing."""
        if self._answers:
            return -math.inf
        self._hasten_written()
        return min(self.agenda.due, self.dispatcher.due, self.outbox.due, self._orphans_at)

    def work(self) -> Iterator[None]:
        """Do what is due, in steps of a few milliseconds at most: telling first, then what was asked for, then rules."""
        self._watch_time(self._clock.now())
        with self.lock:
            if self.outbox.due <= self._clock.now():
                self._watch_channels(self._clock.now())
        if self._clock.now() >= self._orphans_at:  # also where no rule is left, or but slow ones
            yield from self._end_orphans(self._clock.now())
        while True:
            taken: tuple[str, int] | None = None
            with self.lock:
                now = self._clock.now()
                considered = self.dispatcher.consider_next(now)
                if not considered and not self._answers:
                    self._hasten_written()
                    taken = self.agenda.take(now)
                    if taken is None:
                        return
            if taken is not None:
                yield from self._judge(*taken, now)
            elif not considered:
                rule, answer, took = self._answers.popleft()
                key = rule.name if isinstance(rule, AlertRule) else f"\n{rule.key}"
                if self._asking.get(key) is rule:
                    del self._asking[key]
                if isinstance(rule, Recording):
                    self._note_recording(key, rule, answer)
                    continue
                sighting = Sighting(place_of(rule), self.book.groups(rule.name, place_of(rule)))
                yield from take_answer(sighting, rule, answer)
                yield from self._take_in(rule, [sighting], now, took)
            yield

    def _hasten_written(self) -> None:
        for name in tuple(self._written) if self._written else ():
            turn = self.agenda.turns.get(name)
            if turn is not None and turn.last > -math.inf:  # else it is due at once anyway
                self.agenda.hasten(name, turn.last + AFTER_WRITE)

    def answer(self, rule: AlertRule | Recording, answer: object, took: float = 0.0) -> None:
        """Take in what a rule's own reading answered, or a recording's query, and in how many seconds; an exception is an
        error.
        """
        self._answers.append((rule, answer, took))
        self._ring()

    def _judge(self, name: str, missed: int, now: float) -> Iterator[None]:
        """Judge one rule that is due: read, decide, have people told."""
        own, rule = self.registry.self_metrics, self.rulebook.rules.get(name)
        if missed:
            own.late.inc(by=missed)
        if name in self._recordings:
            self._ask(name, self._recordings[name])
            return
        if rule is None:
            return
        self._written.discard(name)
        if rule.reading is not None or rule.expr is not None:
            self._ask(name, rule)
            return
        sightings: list[Sighting] = []
        begun, spent = self._clock.now(), 0.0
        collectors = self.registry.get_all_collectors()
        for _ in self._evaluator.evaluate(rule, collectors, self._troubled(), self.book.groups, sightings, now):
            spent += self._clock.now() - begun
            yield
            begun = self._clock.now()
        took = spent + self._clock.now() - begun
        self._note_duration(took * 1000.0, now)
        yield from self._take_in(rule, sightings, now, took)

    def _note_duration(self, milliseconds: float, now: float) -> None:
        """Record the durations of evaluations, some together: to open a new second for each costs as much as a judgement."""
        if milliseconds:  # a clock that stands still measures nothing
            self._durations.append(milliseconds)
        if now - self._recorded >= RECORDED_EVERY:
            self._recorded = now
            for duration in self._durations:
                self.registry.self_metrics.evaluations.observe(duration)
            self._durations.clear()

    def _ask(self, name: str, rule: AlertRule | Recording) -> None:
        """Have its own reading asked, unless it has not answered yet."""
        if self._asking.get(name) is rule:
            self.registry.self_metrics.late.inc()
            return
        self._asking[name] = rule
        self.asks.append(rule)

    def _note_recording(self, key: str, recording: Recording, answer: object) -> None:
        """Say why a recording could not be made, when that begins and when it changes."""
        if self._recordings.get(key) is not recording or not isinstance(answer, BaseException):
            self._unmade.pop(key, None)
            return
        text = one_line(str(answer))
        self.registry.self_metrics.failed.inc()
        self.recorded.failed(recording, text)
        if self._unmade.get(key) != text:
            self._unmade[key] = text
            _logger.warning("recording %r cannot be made: %s", recording.name, text)

    @property
    def recordings(self) -> Mapping[Recording, str | None]:
        """What is recorded, and why there is nothing of it, where that is so."""
        with self.lock:
            return {one: self.recorded.trouble(one) for one in self._recordings.values()}

    def _take_in(self, rule: AlertRule, sightings: list[Sighting], now: float, took: float) -> Iterator[None]:
        wrong: list[str] = []
        if [sighting for sighting in sightings if sighting.failed is not None]:
            self.registry.self_metrics.failed.inc()
        steps = self.book.judge(rule, sightings, now, wrong)
        while True:
            with self.lock:
                if self.rulebook.rules.get(rule.name) is not rule:
                    return  # taken away, or replaced, meanwhile
                changes = next(steps, None)
                if changes is None:
                    break
                self._take(changes, now)
            yield
        with self.lock:
            self.rulebook.note(rule, sightings, wrong, now, took)
            if rule.on_write:
                for case in self.book.of_rule(rule.name):
                    if case.known_at == now and case.incident.ends_in is not None:
                        self.agenda.hasten(rule.name, case.incident.ends_in)
        if now - self._tidied >= HOUSEKEEPING:
            self._tidied = now
            yield from self._tidy(now)

    def _end_orphans(self, now: float) -> Iterator[None]:
        """End what came from before a restart and cannot be any more, in steps; again each minute."""
        self._orphans_at = now + HOUSEKEEPING
        orphans = self.book.end_orphans(self.rulebook.rules, now)
        while True:
            with self.lock:
                changes = next(orphans, None)
                if changes is None:
                    return
                self._take(changes, now)
            yield

    def _tidy(self, now: float) -> Iterator[None]:
        """Forget what is over, in steps."""
        with self.lock:
            if self._orphans_at < math.inf:
                self._judge_channels(now)
                if now >= self._restored_at + HOUSEKEEPING:
                    self._forget_strangers()
            self._take(self.book.judge_causes(now), now)
            self._evaluator.forget(self.rulebook.rules, self.registry.get_all_collectors())
            lettered = {alert_id for letter in self.outbox.letters for alert_id in letter.alerts}  # they may be resent
        steps = self.book.forget(now, lettered)
        while True:
            with self.lock:
                forgotten = next(steps, None)
                if forgotten is None:
                    return
                self.dispatcher.forget(forgotten, now)
            yield

    def _forget_strangers(self) -> None:
        """Forget what channels heard that did not come back: nothing is expected of them."""
        for case in self.book:
            if case.incident.state is State.RESOLVED:
                for channel in case.ledger.keys() - self.dispatcher.policy.channels.keys():
                    del case.ledger[channel]
                    self.journal.case(case)

    def _take(self, changes: list[Change], now: float) -> None:
        for change in changes:
            self.dispatcher.changed(change, now)

    def untold(self) -> list[Untold]:
        """Give what the channels are still to be told; a repeat tells nothing new."""
        found: list[Untold] = []
        with self.lock:
            now = self._clock.now()
            for lane in self.outbox.lanes():
                kinds = {part.case: part.kind for part in lane.parts if lane.message is not None}
                for case in lane.members:
                    kind = KIND_OF.get(self.dispatcher.reason(case, lane.channel, now))
                    kinds |= {} if kind is None else {case: kinds.get(case, kind)}
                found += [
                    Untold(channel=lane.channel, alert_id=case.key.id, kind=kind)
                    for case, kind in kinds.items()
                    if kind is not NoticeKind.REPEAT
                ]
        return found

    # -- the toolkit's own trouble -------------------------------------------------------------------------------------

    def _watch_channels(self, now: float) -> None:
        """Take note of which channels are down, and which are well again: fallbacks take their place, people hear of it."""
        if self.outbox.turn(now):
            self._judge_channels(now)
            self.dispatcher.reconsider(self.book)

    def _judge_channels(self, now: float) -> None:
        gates = self.outbox.gates()
        for name, gate in gates.items():
            self.registry.self_metrics.channels_up.set(name, 0.0 if gate.down else 1.0)
        down = {name: gate for name, gate in gates.items() if gate.down}
        why = "; ".join(f"{name}: {gate.why}" for name, gate in down.items())
        values = {Labels({"channel": name}): float(name in down) for name in gates}
        if down or self.book.of_rule(CHANNEL_FAILING):
            self.judge_own(channel_rule(one_line(why)), values, now)

    def store_failed(self, why: str | None) -> None:
        """Take note that the store keeps nothing, and why; None where it does."""
        with self.lock:
            now = self._clock.now()
            self.registry.self_metrics.store_up.set(0.0 if why else 1.0)
            self.judge_own(store_rule(one_line(why or "it works again")), {NO_LABELS: 1.0 if why else 0.0}, now)
            self._ring()

    def judge_own(self, rule: AlertRule, values: Mapping[Labels, float], now: float) -> None:
        """Judge one of the toolkit's own rules; an alert whose group is not there any more is over."""
        known = [case.key.group for case in self.book.of_rule(rule.name)]
        sighting = Sighting(SELF, known)
        sighting.take(rule, {group: Value(values.get(group, 0.0)) for group in {**dict.fromkeys(known), **values}})
        for changes in self.book.judge(rule, [sighting], now, []):
            self._take(changes, now)

    # -- a restart -----------------------------------------------------------------------------------------------------

    def restore(self, restored: Restored) -> Iterator[None]:
        """Take on what was there before a restart, in steps; before any rule is judged."""
        with self.lock:
            for silence in restored.silences:
                if silence.id not in self.dispatcher.policy.silences:
                    self.dispatcher.keep_silence(silence)
            for letter in restored.letters:
                self.outbox.letters.add(letter)
            self._restored_at = self._clock.now()
            self._orphans_at = self._restored_at + HOUSEKEEPING
        for case in restored.cases:
            with self.lock:
                now = self._clock.now()
                changes = self.book.adopt(case, now)
                self.dispatcher.adopt(case)
                self._take(changes, now)
            yield
        for lane in restored.lanes:
            with self.lock:
                self.outbox.adopt(lane)
            yield
        with self.lock:
            self.outbox.adopted(restored.cases)
            self.dispatcher.reconsider(self.book)
            now, gates = self._clock.now(), self.outbox.gates()
            for case in self.book.of_rule(CHANNEL_FAILING):
                channel = case.key.group["channel"]
                if channel in gates and case.incident.active:
                    self.outbox.found_down(channel, now)
            if self.book.of_rule(STORE_FAILING):
                self.judge_own(store_rule("it works again"), {}, now)
            if self.book.of_rule(LOOP_STALLED):
                self.judge_own(stall_rule("it was that of the program before", 0.0), {}, now)

    def keep_all(self, *, active_only: bool = False) -> None:
        """Have all of it written, or, with `active_only`, the alerts that are judged. Under the lock."""
        for case in self.book:
            if not active_only or case.incident.state is not State.RESOLVED:
                self.journal.case(case)
        if active_only:
            return
        for lane in self.outbox.lanes():
            self.journal.lane(lane)
        for silence in self.dispatcher.policy.silences.values():
            self.journal.silence(silence)
        for letter in self.outbox.letters:
            self.journal.letter(letter)

    # -- what comes between --------------------------------------------------------------------------------------------

    def _watch(self, rule: AlertRule) -> None:
        """Hear of recordings into the rule's metrics, in every collector it applies to, now and later."""
        wrote = WeakMethod(self._wrote)  # the registry may outlive this core

        def hook() -> None:
            note = wrote()
            if note is not None:
                note(rule.name)

        for metric in rule.metrics:
            self.registry.watch(rule.collector, metric, hook)
        self._watched[rule.name] = [partial(self.registry.unwatch, rule.collector, metric, hook) for metric in rule.metrics]

    def _unwatch(self, rule_name: str) -> None:
        for unwatch in self._watched.pop(rule_name, ()):
            unwatch()
        self._written.discard(rule_name)

    def _wrote(self, name: str) -> None:
        """Take note of a recording, on the thread that made it."""
        if name not in self._written:
            self._written.add(name)
            self._ring()

    def _watch_time(self, now: float) -> None:
        """Say so where the wall clock was set (mute times follow it) or the machine was suspended (windows count that)."""
        offset, suspended = self._clock.wall() - now, self._clock.suspended()
        if suspended - self._suspended > STEP:
            self._remark(now, f"the machine was suspended for {format_duration(round(suspended - self._suspended))}")
        elif abs(offset - self._offset) > STEP:
            way = "forward" if offset > self._offset else "back"
            self._remark(now, f"the wall clock was set {way} by {format_duration(round(abs(offset - self._offset), 1))}")
        else:
            return
        self._offset, self._suspended = offset, suspended
        with self.lock:
            for silence in self.dispatcher.policy.live.values():
                self.journal.silence(silence)  # what is in the store are times of the wall clock
            self.dispatcher.reconsider(self.book)

    def _remark(self, now: float, what: str) -> None:
        self.dispatcher.audit.add(Remark(now, "", what))
        _logger.warning("%s", one_line(what))
