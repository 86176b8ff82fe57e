"""The dispatcher: decides, whenever something happened to an alert, which channels are to be told of it."""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from kailash_monitor.alerting.audit import Audit, Decision, Remark
from kailash_monitor.alerting.grouping import Pace
from kailash_monitor.alerting.incident import Incident, State
from kailash_monitor.alerting.inhibition import Inhibition, Inhibitors
from kailash_monitor.alerting.ledger import (
    LedgerEntry,
    Reach,
    Situation,
    called,
    called_behind,
    decide,
    follow,
    repeat_at,
    resend_at,
)
from kailash_monitor.alerting.machine import Transition
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route
from kailash_monitor.alerting.silence import Silence
from kailash_monitor.alerting.standing import Address, Policy, Standing, stand
from kailash_monitor.alerting.trouble import CHANNEL_FAILING
from kailash_monitor.clock import Clock
from kailash_monitor.delivery.policy import ChannelPolicy
from kailash_monitor.engine.book import AlertBook, Case, Change
from kailash_monitor.engine.journal import Journal
from kailash_monitor.engine.lane import Lane, Part
from kailash_monitor.engine.outbox import Outbox
from kailash_monitor.engine.wording import alert_of, digest, missed_of
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.notice import Item, Notice
from kailash_monitor.model.reason import KIND_OF, Reason
from kailash_monitor.storage import Kind

__all__ = ["PAST_SILENCES", "Dispatcher"]

SLACK: Final = 64
"""Wake-ups that may be out of date, beside one for each alert, before they are looked through."""

PAST_SILENCES: Final = 1_000
"""Silences that are over and still shown: who hid what, and why."""


class Dispatcher:
    """Considers one alert at a time: for each channel, one named reason why it is told or not.

    An alert is considered when its state changes, when an attempt to tell is over, when people said something that concerns
    it, and when the time has come (a repeat, the end of a silence, a rung of the ladder). What the channels are to be told
    goes to the outbox, which asks again before it tells. Mutable: all of it, under the manager's lock; `ring` is called when
    there is something to do before `due`.
    """

    def __init__(
        self,
        clock: Clock,
        book: AlertBook,
        outbox: Outbox,
        ring: Callable[[], None] = lambda: None,
        journal: Journal | None = None,
    ) -> None:
        self._journal = Journal() if journal is None else journal
        self.audit = Audit()
        self.policy = Policy(Route(), {}, {})
        self._clock = clock
        self._book = book
        self._outbox = outbox
        self._ring = ring
        self._inhibitions: tuple[Inhibition, ...] = ()
        self._stale: dict[Case, None] = {}
        self._heap: list[tuple[float, int, Case]] = []
        self._pushes = 0  # keeps the heap from comparing cases
        self._ladders = False  # whether any route has rungs
        outbox.judge = self

    # -- what people say -----------------------------------------------------------------------------------------------

    def add_channel(self, name: str, policy: ChannelPolicy) -> None:
        """Take a channel on; it hears of what fires."""
        self.policy.channels[name] = None
        self._outbox.add(name, policy, self._clock.now(), self._book)
        self.reconsider(self._book)

    def set_routes(self, root: Route) -> None:
        """Tell along these routes from now on. A ConfigurationError where a time zone is not known."""
        zones = {mute.time_zone: _zone(mute.time_zone, mute.name) for mute in _mutes(root)}
        self.policy.root, self.policy.zones, self._ladders = root, zones, _has_ladders(root)
        self.reconsider(self._book)

    def set_inhibitions(self, inhibitions: Iterable[Inhibition]) -> None:
        """Have these rules say which alerts explain which, from now on."""
        self._inhibitions = tuple(inhibitions)
        self.policy.inhibitors = Inhibitors(self._inhibitions)
        for case in self._book:
            self.policy.inhibitors.put(case.key.id, case.incident.target, case.incident.active)
        self.reconsider(self._book)

    def put_silence(self, silence: Silence) -> None:
        """Take a silence on, or what has become of it."""
        self.keep_silence(silence)
        self.reconsider(self._book)

    def keep_silence(self, silence: Silence) -> None:
        """Take it on, and let what is to be told of the alerts be."""
        self.policy.silences[silence.id] = silence
        if silence.ended_at is None:
            self.policy.live[silence.id] = silence
        else:
            self.policy.live.pop(silence.id, None)
        self._journal.silence(silence)

    def adopt(self, case: Case) -> None:
        """Take on an alert from before a restart."""
        self.policy.inhibitors.put(case.key.id, case.incident.target, case.incident.active)

    def reconsider(self, cases: Iterable[Case]) -> None:
        """Consider these alerts again, soon."""
        self._stale.update(dict.fromkeys(case for case in cases if case.incident.active or not case.settled))
        self._ring()

    # -- what happens --------------------------------------------------------------------------------------------------

    def changed(self, change: Change, now: float) -> None:
        """Take in that the state or the severity of an alert changed."""
        case, incident = change.case, change.case.incident
        before = change.transition.before
        word = incident.state.value
        if before is not None and before.number == incident.number:
            word = f"{before.state.value} → {word}"
        self.audit.add(Remark(now, case.key.id, f"#{incident.number} {word} {incident.severity.value}"))
        self._settle_silences(change.transition, now)
        touched = self.policy.inhibitors.put(case.key.id, incident.target, incident.active)
        if touched:
            self.reconsider(found for alert_id in touched if (found := self._book.find(alert_id)) is not None)
        self.consider(case, now)

    def _settle_silences(self, transition: Transition, now: float) -> None:
        """End the silences that were to last until the alert is resolved, and those that have waited for it in vain."""
        before, after = transition.before, transition.after
        for silence in tuple(self.policy.live.values()):
            if silence.until_resolved and silence.alert_id == after.key.id:
                in_vain = silence.over(now, active=before is not None and before.active)
                if after.state is State.RESOLVED or in_vain:
                    self.keep_silence(silence.ended(now))

    @property
    def due(self) -> float:
        """When something is to be considered next; infinity for nothing."""
        if self._stale:
            return -math.inf
        while self._heap and self._heap[0][2].wake_at != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def consider_next(self, now: float) -> bool:
        """Consider the next alert that is due; whether there was one."""
        if self._stale:
            case = next(iter(self._stale))
            del self._stale[case]
        elif self.due <= now:
            case = heapq.heappop(self._heap)[2]
            case.wake_at = math.inf
        else:
            return False
        self.consider(case, now)
        return True

    def forget(self, cases: Iterable[Case], now: float) -> None:
        """Forget about alerts that are forgotten, and about the oldest silences that are over."""
        for silence in tuple(self.policy.live.values()):
            if silence.over(now, active=self._fires(silence)):
                self.keep_silence(silence.ended(now))
        past = [silence_id for silence_id in self.policy.silences if silence_id not in self.policy.live]
        for silence_id in past[:-PAST_SILENCES]:
            del self.policy.silences[silence_id]
            self._journal.forget(Kind.SILENCE, silence_id)
        for case in cases:
            case.wake_at = math.inf
            self._stale.pop(case, None)

    def _fires(self, silence: Silence) -> bool:
        case = self._book.find(silence.alert_id or "")
        return case is not None and case.incident.active

    # -- deciding ------------------------------------------------------------------------------------------------------

    def consider(self, case: Case, now: float, only: str | None = None) -> None:
        """Decide what each channel, or `only` the one that has just been told, is to be told now, and when to look again."""
        if case.flaps is not None:
            case.flaps = None if case.incident.rule.flapping is None else case.flaps.settled(now)
        standing = self.standing(case, now)
        if case.wake_at <= now:
            only = None  # what the time has brought concerns them all
        for channel in dict.fromkeys((*standing.addresses, *case.ledger)) if only is None else (only,):
            if channel not in self.policy.channels:
                continue  # it was there before a restart, and may come yet
            if channel in case.under_way:  # considered when that is over; what happens meanwhile is not lost
                entry, reason = self._decide(case, channel, standing, now)
                waited = _has_waited(entry.about, standing.addresses.get(channel), now)
                case.ledger[channel] = called(entry, reason) if waited else entry
                continue
            case.repeats.pop(channel, None)
            reason = self._consider(case, channel, standing, now)
            if case.incident.active and not reason.tells:
                self._look_again(case, channel, standing, reason, now)
        stable_at = None if case.flaps is None else case.flaps.stable_at
        self._wake(case, min(standing.until, math.inf if stable_at is None else stable_at, *case.repeats.values()))
        self._journal.case(case)

    def _look_again(self, case: Case, channel: str, standing: Standing, reason: Reason, now: float) -> None:
        """Say when the channel is to be told again that it fires."""
        told, forgets = reason is Reason.ALREADY_TOLD, self._outbox.gate(channel).policy.resend_every is not None
        if not (told or forgets):
            return
        entry, situation = case.ledger[channel], self._situation(case, channel, standing)
        again = min(repeat_at(entry, situation) if told else math.inf, resend_at(entry, situation))
        if now < again < math.inf:  # else something stands against it, and its end is heard of
            case.repeats[channel] = again

    def _consider(self, case: Case, channel: str, standing: Standing, now: float) -> Reason:
        entry = case.ledger.get(channel)
        if entry is not None and entry.about.active and self._outbox.was_called(case, channel, now):
            case.ledger[channel] = called(entry, Reason.FIRED)
        case.ledger[channel], reason = self._decide(case, channel, standing, now)
        if not reason.tells:
            self._outbox.withdraw(case, channel, case.lanes.get(channel))
            self.record(case, channel, reason, None, now)
            return reason
        address = standing.addresses.get(channel)
        ends = not case.incident.active or reason is Reason.REROUTED
        lane = self._outbox.find(channel, case.lanes.get(channel))
        if lane is None or not (ends or (lane.gathers and case in lane.members)):  # what is gathered is told together
            assert address is not None or case.lanes.get(channel) is not None  # nobody is told but along a route
            key = case.lanes[channel] if address is None else address.group
            pace = Pace() if address is None or reason is Reason.KEPT_ALIVE else address.pace  # it would be forgotten
        else:
            key, pace = lane.key, lane.pace
        if case.lanes.get(channel) not in (None, key):
            self._outbox.withdraw(case, channel, case.lanes[channel], moved=True)
        case.lanes[channel] = key
        lane = self._outbox.news(case, channel, key, pace, firing=not ends, now=now)
        if lane.due <= now:
            case.ledger[channel] = called(case.ledger[channel], reason)
            self.call(case, now)
        return reason

    def _decide(self, case: Case, channel: str, standing: Standing, now: float) -> tuple[LedgerEntry, Reason]:
        before, latest = case.ledger.get(channel), case.incident
        pending = latest.state is State.PENDING and before is not None  # then there is nothing to tell but what was before
        entry = before if pending and before is not None else follow(before, latest)
        situation = self._situation(case, channel, standing)
        if entry.behind is not None and _has_waited(entry.behind.about, standing.addresses.get(channel), now):
            entry = called_behind(entry, situation, now)
        return entry, decide(entry, situation, now)

    def _situation(self, case: Case, channel: str, standing: Standing) -> Situation:
        address = standing.addresses.get(channel)
        muted = Reason.MUTED if address is not None and address.muted_by else None
        return Situation(
            reach=Reach.NOT_ROUTED if address is None else address.reach,
            suppressed=standing.suppressed or muted,
            acknowledged=case.acknowledged,
            flapping=case.flapping,
            repeat_after=case.incident.rule.notification_interval,
            resend_after=self._outbox.gate(channel).policy.resend_every,
        )

    def standing(self, case: Case, now: float) -> Standing:
        """Say how an alert stands now."""
        offset = self._clock.wall() - now
        standing = stand(
            self.policy, case.incident, called_at=case.called_at, acknowledged=case.acknowledged, now=now, offset=offset
        )
        if case.key.rule == CHANNEL_FAILING:  # whom it is about cannot hear it, and knows when it can
            itself = case.key.group.get("channel")
            others = {name: address for name, address in standing.addresses.items() if name != itself}
            return replace(standing, addresses=others)
        instead = dict(self._in_place_of(case, standing.addresses))
        return replace(standing, addresses={**instead, **standing.addresses}) if instead else standing

    def _in_place_of(self, case: Case, addresses: Mapping[str, Address]) -> Iterator[tuple[str, Address]]:
        """Give the fallbacks of channels that are down, or refused the news; who was told of it stays to hear its end."""
        for channel, address in addresses.items():
            gate = self._outbox.gate(channel)
            fallback = gate.policy.fallback
            if fallback is None or fallback not in self.policy.channels:
                continue
            entry, other = case.ledger.get(channel), case.ledger.get(fallback)
            refused = entry is not None and entry.undeliverable is not None
            if gate.down or refused or (other is not None and other.owes):
                yield fallback, address

    def _wake(self, case: Case, at: float) -> None:
        if at == case.wake_at:
            return
        case.wake_at = at
        if at < math.inf:
            sooner = at < self.due
            self._pushes += 1
            heapq.heappush(self._heap, (at, self._pushes, case))
            if len(self._heap) > 2 * len(self._book) + SLACK:  # what was put off left an entry there until its time comes
                self._heap = sorted(entry for entry in self._heap if entry[2].wake_at == entry[0])
            if sooner:
                self._ring()

    # -- what the outbox asks ------------------------------------------------------------------------------------------

    def ask(self, case: Case, channel: str, now: float) -> Reason:
        """Say whether the channel is to be told of the alert now, and why; its entry is brought up to date."""
        case.ledger[channel], reason = self._decide(case, channel, self.standing(case, now), now)
        return reason

    def reason(self, case: Case, channel: str, now: float) -> Reason:
        """Say the same, and leave all as it is."""
        return self._decide(case, channel, self.standing(case, now), now)[1]

    def call(self, case: Case, now: float) -> None:
        """Take note that somebody is to be told of the alert now: from the first time on its ladder counts."""
        if case.called_at is None and case.incident.active:
            case.called_at = now
            if self._ladders:
                self.reconsider([case])

    def told(self, case: Case, channel: str, now: float) -> None:
        """Take note that an attempt is over."""
        refused = case.ledger[channel].undeliverable is not None  # then its fallback is to be told
        self.consider(case, now, only=None if refused else channel)
        if self._outbox.due < math.inf:
            self._ring()  # a channel has begun to fail, or is well again: that is noted in time

    def record(self, case: Case, channel: str, reason: Reason, message_id: str | None, now: float) -> None:
        """Keep a decision in the audit, where it is another than the one before."""
        if reason is Reason.KEPT_ALIVE:
            return  # each minute, and nothing that anybody decided
        if message_id is not None or case.reasons.get(channel) is not reason:
            self.audit.add(Decision(now, case.key.id, case.incident.number, channel, reason, message_id))
        case.reasons[channel] = reason

    def part(self, case: Case, channel: str, reason: Reason, now: float) -> Part:
        """Put into words what there is to tell of one alert."""
        incident = case.ledger[channel].about
        fires = incident.active and reason is not Reason.REROUTED and reason is not Reason.MISSED
        status, kind, offset = (
            AlertStatus.FIRING if fires else AlertStatus.RESOLVED,
            KIND_OF[reason],
            self._clock.wall() - now,
        )
        extra = missed_of(case.ledger[channel], kind, offset)
        return Part(case, incident, reason, Item(kind, alert_of(incident, status, offset), extra=extra))

    def word(self, lane: Lane, parts: tuple[Part, ...], message_id: str, now: float) -> Notice:
        """Make a message of it: one alert as itself, several as a digest."""
        wall = self._clock.wall()
        extra: dict[str, object] = {"channel": lane.channel}
        if len(parts) > 1:
            extra["reasons"] = [part.reason.value for part in parts]
            extra["interval"] = max(part.incident.rule.evaluation_interval for part in parts)
            return digest(message_id, lane.key, [part.item for part in parts], wall, extra)
        part = next(iter(parts))
        case, incident = part.case, part.incident
        extra |= {"reason": part.reason.value, "interval": incident.rule.evaluation_interval}
        if len(case.trail.values) > 1:
            extra["recent"] = list(case.trail.values)
        extra |= {"condition": str(case.ledger[lane.channel].about.rule.condition), **part.item.extra}
        return Notice(message_id, part.kind, part.item.alert, sent_at=wall, extra=extra)


def _has_waited(incident: Incident, address: Address | None, now: float) -> bool:
    """Whether the channel would have been told of it before it was over: a group waits for others first."""
    if incident.fired_at is None or address is None:
        return False
    until = now if incident.resolved_at is None else incident.resolved_at
    return until - incident.fired_at >= address.pace.wait


def _has_ladders(route: Route) -> bool:
    return bool(route.escalation) or any(map(_has_ladders, route.routes))


def _mutes(route: Route) -> Iterator[MuteTime]:
    yield from route.mute_times
    for child in route.routes:
        yield from _mutes(child)


def _zone(name: str, mute: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"mute time {mute!r}",
            field="time_zone",
            seen=f"the time zone {name!r}, which is not known here ({type(error).__name__})",
            expected="a name such as 'Europe/Berlin'; without a system's zones, install the package tzdata",
        ) from None
