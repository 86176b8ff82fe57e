"""The outbox: what each channel is still to be told, put into messages when it can take one."""

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol

from kailash_monitor.alerting.grouping import Pace
from kailash_monitor.alerting.ledger import LedgerEntry, accepted, attempting, called, failed, given_up, reopened
from kailash_monitor.alerting.standing import STORM, GroupKey
from kailash_monitor.delivery.backoff import Backoff
from kailash_monitor.delivery.message import Done, GivenUp, Message, TryAgain, Verdict, after_attempt
from kailash_monitor.delivery.outcome import Outcome, Rejected
from kailash_monitor.delivery.policy import ChannelPolicy
from kailash_monitor.engine.book import Case
from kailash_monitor.engine.gate import Gate
from kailash_monitor.engine.journal import Journal
from kailash_monitor.engine.lane import Draft, Lane, Part
from kailash_monitor.engine.letter import Letter, Letters
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.reason import Reason
from kailash_monitor.storage import Kind

__all__ = ["MORE", "More", "Outbox", "Send"]

PIECE: Final = 64
"""Alerts that are asked about, or lanes that are gathered, without a pause: a few milliseconds."""

AT_MOST: Final = 800
"""Alerts of which one message tells: what ten thousand begin is told in thirteen, and none holds the program up."""

CLOSING: Final = 60.0
"""Seconds that a digest of a storm waits with the ends of what it told of, for the others to end as well."""


@dataclass(slots=True, eq=False)
class _Round:
    """One channel's lanes: by group, by when they are due, and those that are due already, in order."""

    gate: Gate
    lanes: dict[GroupKey, Lane] = field(default_factory=dict[GroupKey, Lane])
    heap: list[tuple[float, int, Lane]] = field(default_factory=list[tuple[float, int, Lane]])
    ready: dict[Lane, None] = field(default_factory=dict[Lane, None])


@dataclass(frozen=True, slots=True)
class Send:
    """An attempt that begins: to be made by whoever took it, and settled."""

    lane: Lane
    message: Message


@dataclass(frozen=True, slots=True)
class More:
    """There is more to do before the next attempt; the program may have its turn first."""


MORE: Final = More()


class Judge(Protocol):
    """What the outbox asks before it tells: see the dispatcher."""

    def ask(self, case: Case, channel: str, now: float) -> Reason:
        """Say whether the channel is to be told of the alert now, and why; its ledger entry is brought up to date."""
        ...

    def call(self, case: Case, now: float) -> None:
        """Take note that somebody is to be told of the alert now: from then on its ladder counts."""
        ...

    def part(self, case: Case, channel: str, reason: Reason, now: float) -> Part:
        """Put into words what there is to tell of one alert."""
        ...

    def word(self, lane: Lane, parts: tuple[Part, ...], message_id: str, now: float) -> Notice:
        """Make a message of it."""
        ...

    def told(self, case: Case, channel: str, now: float) -> None:
        """Take note that an attempt to tell the channel about the alert is over: there may be more to tell."""
        ...

    def reconsider(self, cases: Iterable[Case]) -> None:
        """Take note of the same, for many alerts, soon."""
        ...

    def record(self, case: Case, channel: str, reason: Reason, message_id: str | None, now: float) -> None:
        """Keep a decision."""
        ...


class Outbox:
    """Lanes by channel and group. What waits is bounded by the alerts there are.

    Where more lanes are due than the channel's rate lets through, one lane gathers what all of them have to tell, and tells
    it in digests.

    Mutable: all of it, under the manager's lock. `new_id` and `luck` are the sources of message ids and of jitter; `ring` is
    called, from any thread, with the name of a channel that may have something to do.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        luck: Callable[[], float],
        journal: Journal,
        backoff: Backoff | None = None,
    ) -> None:
        self.judge: Judge  # set by the dispatcher, which needs the outbox in turn
        self.letters: Final = Letters()
        self._new_id = new_id
        self._luck = luck
        self._journal = journal
        self.ring: Callable[[str], object] = lambda channel: None  # set by whoever makes the attempts
        self._backoff = backoff or Backoff()
        self._rounds: dict[str, _Round] = {}
        self._failing: dict[str, Gate] = {}  # those whose last attempts failed, or that are noted as down
        self._strangers: list[Lane] = []  # of channels that were there before a restart, and may come yet
        self._pushes = 0  # keeps the heap from comparing lanes

    # -- channels ------------------------------------------------------------------------------------------------------

    def add(self, channel: str, policy: ChannelPolicy, now: float, cases: Iterable[Case] = ()) -> None:
        """Take a channel on; `cases` are the alerts that it may have been told of before a restart."""
        self._rounds[channel] = _Round(Gate(policy, now))
        strangers, self._strangers = self._strangers, []
        for lane in strangers:
            self.adopt(lane)
        self._adopted(self._rounds[channel], channel, cases)

    def gate(self, channel: str) -> Gate:
        """Give the gate in front of a channel."""
        return self._rounds[channel].gate

    def gates(self) -> dict[str, Gate]:
        """Give all of them by channel."""
        return {channel: a_round.gate for channel, a_round in self._rounds.items()}

    @property
    def due(self) -> float:
        """When a channel is to be noted as down next; infinity for never."""
        if not self._failing:
            return math.inf
        gates = self._failing.values()
        if any(gate.down and gate.down_at == math.inf for gate in gates):
            return -math.inf
        return min((gate.down_at for gate in gates if not gate.down), default=math.inf)

    def turn(self, now: float) -> bool:
        """Note which channels are down by now, and which are well again; whether any has changed."""
        changed = {name: gate for name, gate in self._failing.items() if gate.down is not (gate.down_at <= now)}
        for name, gate in changed.items():
            gate.down = not gate.down and (gate.refuses or self._tries(name))
            if not gate.down:
                gate.forgive()
                del self._failing[name]
        return bool(changed)

    def _tries(self, channel: str) -> bool:
        """Whether there is anything to tell the channel; else nobody knows whether it fails still."""
        return any(lane.busy or lane.next_at < math.inf for lane in self._rounds[channel].lanes.values())

    def found_down(self, channel: str, now: float) -> None:
        """Take note that a channel failed before a restart, and is not known to be well again."""
        gate = self._rounds[channel].gate
        gate.found_down(now)
        self._failing[channel] = gate

    # -- lanes ---------------------------------------------------------------------------------------------------------

    def lanes(self) -> Iterator[Lane]:
        """Give every lane."""
        for a_round in self._rounds.values():
            yield from tuple(a_round.lanes.values())

    def find(self, channel: str, key: GroupKey | None) -> Lane | None:
        """Give the lane of a group; None where nothing is told through it."""
        return None if key is None or channel not in self._rounds else self._rounds[channel].lanes.get(key)

    def adopt(self, lane: Lane) -> None:
        """Take on a lane that was there before a restart."""
        lane.recorded = True
        a_round = self._rounds.get(lane.channel)
        if a_round is None:
            self._strangers.append(lane)
            return
        a_round.lanes[lane.key] = lane
        for part in lane.parts:
            if lane.doubtful:
                part.case.under_way.add(lane.channel)
            lane.members[part.case] = None
            lane.firing |= {part.case: None} if part.incident.active else {}
        self._queue(a_round, lane)

    def adopted(self, cases: Iterable[Case]) -> None:
        """Take note that all lanes from before a restart are here; `cases` are what they told of."""
        there = tuple(cases)
        for channel, a_round in self._rounds.items():
            self._adopted(a_round, channel, there)

    def _adopted(self, a_round: _Round, channel: str, cases: Iterable[Case]) -> None:
        for case in cases:
            lane, entry = self.find(channel, case.lanes.get(channel)), case.ledger.get(channel)
            if lane is not None and entry is not None and entry.owes and entry.about.active:
                lane.firing[case] = None
        for lane in tuple(a_round.lanes.values()):
            self._let_go(a_round, lane)

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
        # of a storm only ends wait for others
        lane.group = lane.group.news(severity, now, all_resolved=not lane.firing or (lane.gathers and firing))
        self._queue(a_round, lane)
        self._journal.lane(lane)
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
            lane.group = lane.group._replace(news_since=None, urgent=False)
        elif not lane.firing:  # what is left are ends, and none of them has to wait for another
            lane.group = lane.group._replace(urgent=True)
            self._queue(self._rounds[channel], lane)
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
        if lane.message is not None and not (lane.members or lane.busy or lane.doubtful):
            lane.message, lane.parts = None, ()
        if not (lane.members or lane.firing or lane.busy or lane.message) and lane.key in a_round.lanes:
            del a_round.lanes[lane.key]
            a_round.ready.pop(lane, None)
            lane.group = lane.group._replace(news_since=None, flushed_at=None)
        self._journal.lane(lane)

    # -- attempts ------------------------------------------------------------------------------------------------------

    def next_in(self, channel: str, now: float) -> float | None:
        """Give the seconds until the channel is to be told something; None where that depends on what is under way."""
        a_round = self._rounds[channel]
        at = now if a_round.ready else a_round.heap[0][0] if a_round.heap else math.inf
        at = max(at, a_round.gate.opens_at(now))
        return None if at == math.inf else max(0.0, at - now)

    def under_way(self, channel: str, now: float) -> bool:
        """Whether an attempt is under way, or due and the channel fit to take it."""
        a_round = self._rounds[channel]
        waits = bool(a_round.ready) or bool(a_round.heap and a_round.heap[0][0] <= now)
        return bool(a_round.gate.busy) or (waits and not a_round.gate.waits(now))

    def begin_next(self, channel: str, now: float) -> Send | More | None:
        """Give the next attempt that is due, from now on under way; None where there is none, or it must wait."""
        a_round = self._rounds[channel]
        while a_round.gate.opens_at(now) <= now:
            if not self._collect(a_round, now) or self._gather(a_round, now):
                return MORE
            lane = next(iter(a_round.ready), None)
            if lane is None:
                return None
            if not self._draft(lane, now):
                return MORE
            del a_round.ready[lane]
            message = self._message(lane, now)
            if message is None:
                self._queue(a_round, lane)  # where there is more than was asked about
                self._let_go(a_round, lane)
                continue
            self._begin(a_round, lane, now)
            return Send(lane, message)
        return None

    def _collect(self, a_round: _Round, now: float) -> bool:
        """Put the lanes that are due among those that are ready, some at a time; whether that was all."""
        for _ in range(PIECE):
            if not a_round.heap or a_round.heap[0][0] > now:
                return True
            at, _, lane = heapq.heappop(a_round.heap)
            if at != lane.queued_at:
                continue
            lane.queued_at = math.inf
            if lane.next_at > now:
                self._queue(a_round, lane)
            else:
                a_round.ready[lane] = None
        return False

    def _gather(self, a_round: _Round, now: float) -> bool:
        """Where more lanes are ready than may be told, gather what they have to tell; whether there is more of them."""
        if len(a_round.ready) <= a_round.gate.room(now) or len(a_round.ready) < 2:
            return False
        storm = a_round.lanes.get(STORM)
        others = (lane for lane in a_round.ready if not (lane.gathers or lane.doubtful))
        sources = list(islice(others, PIECE + 1))
        if not sources or (len(sources) == 1 and storm is None):
            return False
        if storm is not None and (storm.busy or storm.draft is not None):
            return False  # it tells, or is about to, what was gathered before
        if storm is None:
            storm = a_round.lanes[STORM] = Lane(sources[0].channel, STORM, Pace(interval=CLOSING), gathers=True)
        for lane in sources[:PIECE]:
            self._move(a_round, lane, storm, now)
        if storm.members:
            storm.group = storm.group._replace(news_since=now, urgent=True)
            if storm.not_before > now:
                a_round.ready.pop(storm, None)
            elif next(iter(a_round.ready), None) is not storm:
                a_round.ready.pop(storm, None)
                a_round.ready = {storm: None, **a_round.ready}
            self._queue(a_round, storm)
        return len(sources) > PIECE

    def _move(self, a_round: _Round, lane: Lane, storm: Lane, now: float) -> None:
        """Have all that one lane has to tell told by another."""
        del a_round.ready[lane]
        lane.draft = None
        channel = lane.channel
        for case in tuple(lane.members):
            fires = case in lane.firing
            self.withdraw(case, channel, lane.key, moved=True)
            if channel in case.under_way:
                continue  # considered when that is over
            case.lanes[channel] = storm.key
            storm.members[case] = None
            if fires:
                storm.firing[case] = None
            severity = case.incident.severity if fires else None
            storm.group = storm.group.news(severity, now, all_resolved=False)
            self._journal.case(case)

    def _draft(self, lane: Lane, now: float) -> bool:
        """Ask about some of the lane's alerts; whether all were asked about."""
        if lane.doubtful:
            return True
        draft = lane.draft
        if draft is None:
            cases = [case for case in lane.members if lane.channel not in case.under_way]
            most = min(AT_MOST, lane.most)
            if len(cases) > most:  # the gravest first
                cases = sorted(cases, key=lambda case: -case.incident.severity.rank)
            draft = lane.draft = Draft(deque(cases[:most]))
        if draft.unasked:
            draft.pieces += 1
            for _ in range(min(PIECE, len(draft.unasked))):
                self._ask(lane, draft, draft.unasked.popleft(), now)
            if draft.unasked or draft.pieces > 1:
                return False  # a long message is put together after a pause
        if draft.pieces > 1:  # some have changed since
            for case, part in tuple(draft.parts.items()):
                if case not in lane.members:
                    del draft.parts[case]
                elif case.ledger[lane.channel].about is not part.incident or case.incident.number != part.incident.number:
                    self._ask(lane, draft, case, now)
        return True

    def _ask(self, lane: Lane, draft: Draft, case: Case, now: float) -> None:
        draft.parts.pop(case, None)
        if case not in lane.members or lane.channel in case.under_way:
            return  # another group tells it something, or may have; it is asked again when that is clear
        reason = self.judge.ask(case, lane.channel, now)
        case.ledger[lane.channel] = called(case.ledger[lane.channel], reason)
        if reason.tells:
            self.judge.call(case, now)
            draft.parts[case] = self.judge.part(case, lane.channel, reason, now)
        else:
            self.judge.record(case, lane.channel, reason, None, now)
            del lane.members[case]
            self._journal.case(case)

    def _message(self, lane: Lane, now: float) -> Message | None:
        """Give the message to send: that which may have been heard, or else the truth of now."""
        if lane.doubtful:
            return lane.message
        assert lane.draft is not None
        parts, lane.draft = tuple(lane.draft.parts.values()), None
        if not parts:
            lane.message, lane.parts = None, ()
            if all(lane.channel in case.under_way for case in lane.members):  # else some came while it was put together
                lane.group = lane.group._replace(news_since=None, urgent=False)
        elif lane.message is None or [part.truth for part in lane.parts] != [part.truth for part in parts]:
            message_id = self._new_id()
            lane.message = Message(self.judge.word(lane, parts, message_id, now), born_at=now)
            lane.parts = parts
            for part in parts:
                self.judge.record(part.case, lane.channel, part.reason, message_id, now)
        return lane.message

    def _begin(self, a_round: _Round, lane: Lane, now: float) -> None:
        lane.busy = True
        a_round.gate.enter(now)
        for part in lane.parts:
            case = part.case
            case.under_way.add(lane.channel)
            case.ledger[lane.channel] = attempting(case.ledger[lane.channel], part.kind)
            self._journal.case(case)
        self._journal.lane(lane)

    def settle(self, send: Send, outcome: Outcome, now: float) -> Verdict:
        """Take note of what came of an attempt, and say what becomes of the message."""
        verdict = after_attempt(send.message, outcome, now, backoff=self._backoff, luck=self._luck())
        lane, channel = send.lane, send.lane.channel
        parts = lane.parts
        if isinstance(outcome, Rejected) and len(parts) > 1 and not send.message.in_doubt:
            lane.most = len(parts) // 2  # one of them is refused, or they are too many: the others are to be told
            verdict = TryAgain(replace(send.message, attempts=send.message.attempts + 1), now, outcome.why)
        for part in parts:
            case = part.case
            case.ledger[channel] = _after(case, channel, part, verdict, now)
            if not (isinstance(verdict, TryAgain) and verdict.message.in_doubt):
                case.under_way.discard(channel)
            self._journal.case(case)
        if isinstance(verdict, TryAgain):
            lane.message, lane.not_before = verdict.message, verdict.at
        else:
            if isinstance(verdict, GivenUp):
                self._bury(lane, verdict, now)
            self._close(lane, now)
        self._end_attempt(lane, outcome, now)
        if len(parts) > PIECE:
            self.judge.reconsider([part.case for part in parts])
        else:
            for part in parts:
                self.judge.told(part.case, channel, now)
        return verdict

    def _close(self, lane: Lane, now: float) -> None:
        """Take note that the message is done with, one way or the other."""
        for part in lane.parts:
            lane.members.pop(part.case, None)
            if not part.case.incident.active or part.reason is Reason.REROUTED:
                lane.firing.pop(part.case, None)
        lane.message, lane.parts, lane.not_before, lane.most = None, (), -math.inf, AT_MOST
        told = {case.incident.severity for case in lane.firing if case not in lane.members}
        lane.group = lane.group.flushed(max(told, key=lambda one: one.rank, default=None), now)
        if lane.members:
            fires = {case.incident.severity for case in lane.members if case in lane.firing}
            gravest = max(fires, key=lambda one: one.rank, default=None)
            lane.group = lane.group.news(gravest, now, all_resolved=not lane.firing)
            if lane.gathers and fires:
                lane.group = lane.group._replace(urgent=True)  # only ends wait for others

    def interrupt(self, send: Send, now: float) -> None:
        """Take note that an attempt was cancelled: the channel may have heard it."""
        lane = send.lane
        lane.message = replace(send.message, attempts=send.message.attempts + 1, in_doubt=True)
        lane.not_before = now
        self._end_attempt(lane, None, now)

    def _end_attempt(self, lane: Lane, outcome: Outcome | None, now: float) -> None:
        a_round = self._rounds[lane.channel]
        lane.busy = False
        gate = a_round.gate
        gate.leave(outcome, now)
        if gate.failing_since is not None:
            self._failing[lane.channel] = gate
        elif not gate.down:
            self._failing.pop(lane.channel, None)
        self._queue(a_round, lane)
        self._let_go(a_round, lane)
        self.ring(lane.channel)  # a place is free

    # -- dead letters --------------------------------------------------------------------------------------------------

    def _bury(self, lane: Lane, verdict: GivenUp, now: float) -> None:
        """Keep a message that was given up; a repeat told nothing new."""
        if all(part.kind is NoticeKind.REPEAT for part in lane.parts):
            return
        alerts = tuple(part.case.key.id for part in lane.parts)
        letter = Letter(verdict.message.notice, lane.channel, now, alerts, verdict.why, verdict.message.attempts)
        dropped = self.letters.add(letter)
        self._journal.letter(letter)
        if dropped is not None:
            self._journal.forget(Kind.LETTER, dropped.id)

    def discard(self, letter_id: str) -> Letter | None:
        """Take a dead letter away, and give it; None where there is none."""
        letter = self.letters.take(letter_id)
        if letter is not None:
            self._journal.forget(Kind.LETTER, letter_id)
        return letter

    @staticmethod
    def reopen(case: Case, channel: str) -> None:
        """Have the channel told of the alert as if it had never been given up."""
        entry = case.ledger.get(channel)
        if entry is not None:
            case.ledger[channel] = reopened(entry)


def _after(the: Case, channel: str, part: Part, verdict: Verdict, now: float) -> LedgerEntry:
    entry, kind, severity = the.ledger[channel], part.kind, part.incident.severity
    match verdict:
        case Done():
            return accepted(entry, kind, severity, now)
        case TryAgain(message=message):
            return failed(entry, kind, in_doubt=message.in_doubt)
        case GivenUp(message=message):
            return given_up(entry, kind, severity, now, in_doubt=message.in_doubt)
