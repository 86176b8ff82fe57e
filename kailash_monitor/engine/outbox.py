"""The outbox: what each channel is still to be told, put into messages when it can take one."""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from kailash_monitor.alerting.grouping import Group, Pace
from kailash_monitor.alerting.incident import Incident
from kailash_monitor.alerting.ledger import LedgerEntry, accepted, attempting, called, failed, given_up
from kailash_monitor.alerting.standing import GroupKey
from kailash_monitor.delivery.backoff import Backoff
from kailash_monitor.delivery.message import Done, GivenUp, Message, TryAgain, Verdict, after_attempt
from kailash_monitor.delivery.outcome import Outcome
from kailash_monitor.engine.book import Case
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.reason import KIND_OF, Reason
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["Lane", "Outbox", "Part", "Send"]

AT_ONCE: Final = 8
"""Attempts that one channel has under way at a time: enough to get through a storm, too few to be one."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a message says about one alert: which incident, of what kind and severity, and why."""

    case: Case
    incident: Incident
    kind: NoticeKind
    reason: Reason

    @property
    def truth(self) -> tuple[int, int, NoticeKind, AlertSeverity, float | None]:
        """What makes two parts say the same: whether it is over counts, for summaries and for what is stable again."""
        incident = self.incident
        return (id(self.case), incident.number, self.kind, incident.severity, incident.resolved_at)


@dataclass(slots=True, eq=False)
class Lane:
    """What one channel hears of one group: one message at a time, and never a queue of them.

    After each attempt the truth is asked again, so that it is always the latest that is told; only a message that may have
    been heard is repeated as it was before anything newer. `firing` are the alerts of the group that the channel was told
    of, or is to be told of, and that fire still. Mutable, under the manager's lock.
    """

    channel: str
    key: GroupKey
    pace: Pace
    group: Group = field(default_factory=Group)
    members: dict[Case, None] = field(default_factory=dict[Case, None])
    firing: dict[Case, None] = field(default_factory=dict[Case, None])
    message: Message | None = None
    parts: tuple[Part, ...] = ()
    not_before: float = -math.inf
    queued_at: float = math.inf
    busy: bool = False

    @property
    def due(self) -> float:
        """When it is to be told, its channel willing."""
        return self.group.due(self.pace)

    @property
    def next_at(self) -> float:
        """When the next attempt is due; infinity where there is nothing to tell."""
        if self.busy:
            return math.inf
        doubtful = self.message is not None and self.message.in_doubt
        return self.not_before if doubtful else max(self.due, self.not_before) if self.members else math.inf


@dataclass(slots=True, eq=False)
class _Round:
    """One channel's lanes, and which are due when."""

    lanes: dict[GroupKey, Lane] = field(default_factory=dict[GroupKey, Lane])
    heap: list[tuple[float, int, Lane]] = field(default_factory=list[tuple[float, int, Lane]])
    busy: int = 0


@dataclass(frozen=True, slots=True)
class Send:
    """An attempt that begins: to be made by whoever took it, and settled."""

    lane: Lane
    message: Message


class Judge(Protocol):
    """What the outbox asks before it tells: see the dispatcher."""

    def ask(self, case: Case, channel: str, now: float) -> Reason:
        """Say whether the channel is to be told of the alert now, and why; its ledger entry is brought up to date."""
        ...

    def call(self, case: Case, now: float) -> None:
        """Take note that somebody is to be told of the alert now: from then on its ladder counts."""
        ...

    def word(self, lane: Lane, parts: Iterable[Part], message_id: str, now: float) -> Notice:
        """Put a message into words."""
        ...

    def told(self, case: Case, channel: str, now: float) -> None:
        """Take note that an attempt to tell the channel about the alert is over: there may be more to tell."""
        ...

    def record(self, case: Case, channel: str, reason: Reason, message_id: str | None, now: float) -> None:
        """Keep a decision."""
        ...


class Outbox:
    """Lanes by channel and group. What waits is bounded by the alerts there are.

    Mutable: all of it, under the manager's lock. `new_id` and `luck` are the sources of message ids and of jitter; `ring` is
    called, from any thread, with the name of a channel that may have something to do.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        luck: Callable[[], float],
        backoff: Backoff | None = None,
    ) -> None:
        self.judge: Judge  # set by the dispatcher, which needs the outbox in turn
        self._new_id = new_id
        self._luck = luck
        self.ring: Callable[[str], object] = lambda channel: None  # set by whoever makes the attempts
        self._backoff = backoff or Backoff()
        self._rounds: dict[str, _Round] = {}
        self._pushes = 0  # keeps the heap from comparing lanes

    def add(self, channel: str) -> None:
        """Take a channel on."""
        self._rounds[channel] = _Round()

    def lanes(self) -> Iterator[Lane]:
        """Give every lane."""
        for a_round in self._rounds.values():
            yield from tuple(a_round.lanes.values())

    def find(self, channel: str, key: GroupKey | None) -> Lane | None:
        """Give the lane of a group; None where nothing is told through it."""
        return None if key is None else self._rounds[channel].lanes.get(key)

    # -- what there is to tell -----------------------------------------------------------------------------------------

    def news(self, case: Case, channel: str, key: GroupKey, pace: Pace, *, firing: bool, now: float) -> Lane:
        """Have the channel told of the alert with its group; `firing` where the news is that it fires."""
        a_round = self._rounds[channel]
        lane = a_round.lanes.get(key)
        if lane is None:
            lane = a_round.lanes[key] = Lane(channel, key, pace)
        lane.pace = pace
        lane.members[case] = None
        if firing:
            lane.firing[case] = None
        else:
            lane.firing.pop(case, None)
        severity = case.incident.severity if firing else None
        lane.group = lane.group.news(severity, now, all_resolved=not lane.firing)
        self._queue(a_round, lane)
        return lane

    def withdraw(self, case: Case, channel: str, key: GroupKey | None, *, moved: bool = False) -> None:
        """Take back what the channel was to be told of the alert: there is nothing to tell any more.

        Or, where it has `moved`, it is told with another group from now on.
        """
        lane = self.find(channel, key)
        if lane is None:
            return
        lane.members.pop(case, None)
        if moved or not case.incident.active:
            lane.firing.pop(case, None)
        if not lane.members:
            lane.group = replace(lane.group, news_since=None, urgent=False)
        self._let_go(self._rounds[channel], lane)

    def was_called(self, case: Case, channel: str, now: float) -> bool:
        """Whether the time to tell the channel of the alert has passed, and it could not be told."""
        lane = self.find(channel, case.lanes.get(channel))
        return lane is not None and case in lane.members and lane.due <= now

    def _queue(self, a_round: _Round, lane: Lane) -> None:
        """Put the lane in the queue, where it is not there at that time already."""
        at = lane.next_at
        if at == math.inf or at == lane.queued_at:
            return
        lane.queued_at = at
        self._pushes += 1
        heapq.heappush(a_round.heap, (at, self._pushes, lane))
        self.ring(lane.channel)

    def _let_go(self, a_round: _Round, lane: Lane) -> None:
        if lane.message is not None and not (lane.members or lane.busy or lane.message.in_doubt):
            lane.message, lane.parts = None, ()
        if not (lane.members or lane.firing or lane.busy or lane.message):
            a_round.lanes.pop(lane.key, None)

    # -- attempts ------------------------------------------------------------------------------------------------------

    def next_in(self, channel: str, now: float) -> float | None:
        """Give the seconds until the channel is to be told something; None where nothing waits, or enough is under way."""
        a_round = self._rounds[channel]
        if a_round.busy >= AT_ONCE or not a_round.heap:
            return None
        return max(0.0, a_round.heap[0][0] - now)

    def under_way(self, channel: str, now: float) -> bool:
        """Whether an attempt is under way or due."""
        a_round = self._rounds[channel]
        return bool(a_round.busy) or bool(a_round.heap and a_round.heap[0][0] <= now)

    def begin_next(self, channel: str, now: float) -> Send | None:
        """Give the next attempt that is due, from now on under way; None where there is none, or enough are."""
        a_round = self._rounds[channel]
        while a_round.busy < AT_ONCE and a_round.heap and a_round.heap[0][0] <= now:
            at, _, lane = heapq.heappop(a_round.heap)
            if at != lane.queued_at:
                continue
            lane.queued_at = math.inf
            if lane.next_at > now:
                self._queue(a_round, lane)
                continue
            message = self._message(lane, now)
            if message is None:
                self._let_go(a_round, lane)
                continue
            lane.busy = True
            a_round.busy += 1
            for part in lane.parts:
                part.case.under_way.add(channel)
                part.case.ledger[channel] = attempting(part.case.ledger[channel], part.kind)
            return Send(lane, message)
        return None

    def _message(self, lane: Lane, now: float) -> Message | None:
        """Give the message to send: that which may have been heard, or else the truth of now."""
        if lane.message is not None and lane.message.in_doubt:
            return lane.message
        parts: list[Part] = []
        for case in tuple(lane.members):
            if lane.channel in case.under_way:
                continue  # another group tells it something, or may have; it is asked again when that is clear
            reason = self.judge.ask(case, lane.channel, now)
            entry = case.ledger[lane.channel]
            case.ledger[lane.channel] = called(entry, reason)
            if reason.tells:
                self.judge.call(case, now)
                parts.append(Part(case, entry.about, KIND_OF[reason], reason))
            else:
                self.judge.record(case, lane.channel, reason, None, now)
                del lane.members[case]
        self._compose(lane, tuple(parts), now)
        return lane.message

    def _compose(self, lane: Lane, parts: tuple[Part, ...], now: float) -> None:
        if not parts:
            lane.message, lane.parts = None, ()
            lane.group = replace(lane.group, news_since=None, urgent=False)
        elif lane.message is None or [part.truth for part in lane.parts] != [part.truth for part in parts]:
            message_id = self._new_id()
            lane.message = Message(self.judge.word(lane, parts, message_id, now), born_at=now)
            lane.parts = parts
            for part in parts:
                self.judge.record(part.case, lane.channel, part.reason, message_id, now)

    def settle(self, send: Send, outcome: Outcome, now: float) -> Verdict:
        """Take note of what came of an attempt, and say what becomes of the message."""
        verdict = after_attempt(send.message, outcome, now, backoff=self._backoff, luck=self._luck())
        lane, channel = send.lane, send.lane.channel
        for part in lane.parts:
            case = part.case
            case.ledger[channel] = _after(case, channel, part, verdict, now)
            if not (isinstance(verdict, TryAgain) and verdict.message.in_doubt):
                case.under_way.discard(channel)
        parts = lane.parts
        if isinstance(verdict, TryAgain):
            lane.message, lane.not_before = verdict.message, verdict.at
        else:
            self._close(lane, now)
        self._end_attempt(lane)
        for part in parts:
            self.judge.told(part.case, channel, now)
        return verdict

    def _close(self, lane: Lane, now: float) -> None:
        """Take note that the message is done with, one way or the other."""
        for part in lane.parts:
            lane.members.pop(part.case, None)
            if not part.case.incident.active or part.reason is Reason.REROUTED:
                lane.firing.pop(part.case, None)
        lane.message, lane.parts, lane.not_before = None, (), -math.inf
        severities = [case.incident.severity for case in lane.firing if case not in lane.members]
        lane.group = lane.group.flushed(max(severities, key=lambda one: one.rank, default=None), now)
        for case in lane.members:
            severity = case.incident.severity if case in lane.firing else None
            lane.group = lane.group.news(severity, now, all_resolved=not lane.firing)

    def interrupt(self, send: Send, now: float) -> None:
        """Take note that an attempt was cancelled: the channel may have heard it."""
        lane = send.lane
        lane.message = replace(send.message, attempts=send.message.attempts + 1, in_doubt=True)
        lane.not_before = now
        self._end_attempt(lane)

    def _end_attempt(self, lane: Lane) -> None:
        a_round = self._rounds[lane.channel]
        lane.busy = False
        a_round.busy -= 1
        self._queue(a_round, lane)
        self._let_go(a_round, lane)
        self.ring(lane.channel)  # a place is free


def _after(the: Case, channel: str, part: Part, verdict: Verdict, now: float) -> LedgerEntry:
    entry, kind, severity = the.ledger[channel], part.kind, part.incident.severity
    match verdict:
        case Done():
            return accepted(entry, kind, severity, now)
        case TryAgain(message=message):
            return failed(entry, kind, in_doubt=message.in_doubt)
        case GivenUp(message=message):
            return given_up(entry, kind, severity, now, in_doubt=message.in_doubt)
