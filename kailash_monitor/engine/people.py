"""People: what they say about alerts, and what they are shown of them."""

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self

from kailash_monitor.alerting.audit import Entry
from kailash_monitor.alerting.incident import State
from kailash_monitor.alerting.ledger import Heard
from kailash_monitor.alerting.silence import NEXT_INCIDENT_LIMIT, Acknowledgement, Silence
from kailash_monitor.clock import Clock
from kailash_monitor.delivery.breaker import BreakerState
from kailash_monitor.engine.book import Case
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.explanation import ChannelStory, Explanation
from kailash_monitor.engine.gate import Gate
from kailash_monitor.engine.lane import Lane
from kailash_monitor.engine.status import ChannelStatus, DeadLetter, Delivery, SilenceStatus, Waiting
from kailash_monitor.engine.views import AlertView, Covering, SteadyOffset
from kailash_monitor.engine.wording import wall_time
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.matcher import NO_MATCHERS, Matchers

__all__ = ["OpenSilence", "People"]

LONGEST: Final = "24h"
"""How long a silence lasts that nobody ends: what is forgotten must not hide the trouble of tomorrow."""


AT_ONCE: Final = 50
"""What is shown without a pause of the many things there may be: a millisecond's worth."""

SHOWN: Final = 100
"""Alerts that are named of what waits for one channel and group."""

ENTRIES: Final = 500
"""Entries of an alert's history that are shown: one that flaps for a day has thousands."""

LONGEST_AHEAD: Final = 10 * 365 * 86_400.0
"""Seconds. Beyond that, no calendar shows when it ends, and nobody who made it will remember."""


class OpenSilence:
    """A silence that holds already; leaving it as a context (`async with` or `with`) ends it, and so does `end`.

    It may be awaited and need not be.
    """

    def __init__(self, silence_id: str, end: Callable[[], object]) -> None:
        self.id: Final = silence_id
        self._end = end

    def end(self) -> None:
        """End it now; nothing where it is over."""
        self._end()

    def __await__(self) -> Generator[Any, Any, Self]:  # Any: what a coroutine yields is asyncio's
        async def held() -> Self:
            return self

        return held().__await__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"<OpenSilence {self.id}>"


class People:
    """Silences, acknowledgements and explanations of one core; under its lock, from any thread."""

    def __init__(self, clock: Clock, core: Core, new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._core = core
        self._book = core.book
        self._dispatcher = core.dispatcher
        self._new_id = new_id
        self.offset: Final = SteadyOffset(clock)
        """Between the timeline and the time of day."""

    # -- what they say -------------------------------------------------------------------------------------------------

    def silence_alert(self, alert_id: str, duration: Duration | None, author: str, reason: str) -> Silence:
        """Tell nobody that this alert fires; without a duration, until its present, or its next, incident is over."""
        until_resolved = duration is None
        seconds = NEXT_INCIDENT_LIMIT if duration is None else _seconds("silence_alert", duration)
        return self._put(
            lambda silence_id, now: Silence(
                silence_id,
                starts_at=now,
                ends_at=now + seconds,
                alert_id=alert_id,
                until_resolved=until_resolved,
                author=author,
                reason=reason,
                created_at=now,
            )
        )

    def silence(self, matchers: Matchers, duration: Duration, starts_in: Duration, author: str, reason: str) -> OpenSilence:
        """Tell nobody that any alert fires which these match."""
        seconds, delay = _seconds("silence", duration), _seconds("silence", starts_in, zero=True)
        silence = self._put(
            lambda silence_id, now: Silence(
                silence_id,
                starts_at=now + delay,
                ends_at=now + delay + seconds,
                matchers=matchers,
                author=author,
                reason=reason,
                created_at=now,
            )
        )
        return OpenSilence(silence.id, lambda: self.end_silence(silence.id))

    def _put(self, make: Callable[[str, float], Silence]) -> Silence:
        with self._core.lock:
            silence = make(self._new_id(), self._clock.now())
            self._dispatcher.put_silence(silence)
            return silence

    def end_silence(self, silence_id: str) -> bool:
        """End a silence now; whether it was there and not over."""
        with self._core.lock:
            silence, now = self._dispatcher.policy.silences.get(silence_id), self._clock.now()
            if silence is None or silence.over(now, active=self._active(silence)):
                return False
            self._dispatcher.put_silence(silence.ended(now))
            return True

    def acknowledge(self, alert_id: str, author: str) -> bool:
        """Say that somebody is on the present incident; whether there is one."""
        with self._core.lock:
            case, now = self._book.find(alert_id), self._clock.now()
            if case is None or case.incident.state is State.RESOLVED:
                return False
            case.acknowledgement = Acknowledgement(case.incident.number, author, now)
            self._core.journal.case(case)
            self._dispatcher.reconsider([case])
            return True

    # -- what they are shown -------------------------------------------------------------------------------------------

    def matching(self, matchers: Matchers) -> list[Alert]:
        """Give the alerts, pending and firing, that a silence with these matchers would cover now."""
        with self._core.lock:
            live = [case for case in self._book if case.incident.state is not State.RESOLVED]
            return self.show([case for case in live if matchers.matches(case.incident.target)])

    def show(self, cases: list[Case]) -> list[Alert]:
        """Give the alerts of these cases as people see them."""
        return [view.alert for view in self._views(cases, self._covering())]

    def views(self) -> Iterator[list[AlertView]]:
        """Give all alerts, some at a time."""
        with self._core.lock:
            cases, covering = list(self._book), self._covering()
        for start in range(0, len(cases), AT_ONCE):
            with self._core.lock:
                views = self._views(cases[start : start + AT_ONCE], covering)
            yield views

    def _views(self, cases: Sequence[Case], covering: Covering) -> list[AlertView]:
        offset = self.offset.read()
        return [
            AlertView(
                case.incident,
                covering.status(case),
                acknowledged_by=case.acknowledgement.author if case.acknowledged and case.acknowledgement else None,
                wall_offset=offset,
            )
            for case in cases
        ]

    def _covering(self) -> Covering:
        return Covering(self._dispatcher.policy.live.values(), self._clock.now())

    def silences(self) -> list[SilenceStatus]:
        """Give the silences, the oldest first, those that are over included."""
        with self._core.lock:
            now, offset = self._clock.now(), self.offset.read()
            return [self._silence_status(silence, now, offset) for silence in self._dispatcher.policy.silences.values()]

    def _silence_status(self, silence: Silence, now: float, offset: float) -> SilenceStatus:
        return SilenceStatus(
            id=silence.id,
            alert_id=silence.alert_id,
            matchers=None if silence.matchers == NO_MATCHERS else str(silence.matchers),
            state=silence.state(now, self._active(silence)),
            starts_at=wall_time(silence.starts_at, offset),
            ends_at=wall_time(silence.ends_at if silence.ended_at is None else silence.ended_at, offset),
            until_resolved=silence.until_resolved,
            author=silence.author,
            reason=silence.reason,
        )

    def _active(self, silence: Silence) -> bool:
        case = self._book.find(silence.alert_id or "")
        return case is not None and case.incident.active

    def waiting(self) -> Iterator[list[Waiting]]:
        """Give what waits to be told, some at a time."""
        with self._core.lock:
            lanes, gates = list(self._core.outbox.lanes()), self._core.outbox.gates()
        for start in range(0, len(lanes), AT_ONCE):
            with self._core.lock:
                waiting = self._waiting(lanes[start : start + AT_ONCE], gates)
            yield waiting

    def _waiting(self, lanes: Sequence[Lane], gates: Mapping[str, Gate]) -> list[Waiting]:
        now, offset = self._clock.now(), self.offset.read()
        return [
            Waiting(
                id=lane.key_text,
                channel=lane.channel,
                group=str(lane.key),
                kinds=tuple(dict.fromkeys(part.kind.value for part in lane.parts)),
                alert_ids=tuple(case.key.id for case in islice(lane.members, SHOWN)),
                due=None if lane.busy or lane.next_at == math.inf else wall_time(max(lane.next_at, now), offset),
                attempts=0 if lane.message is None else lane.message.attempts,
                in_doubt=lane.doubtful,
                why=gates[lane.channel].why,
            )
            for lane in lanes
            if lane.members or lane.message is not None
        ]

    def channels(self) -> list[ChannelStatus]:
        """Give how the channels are doing."""
        now, offset = self._clock.now(), self.offset.read()
        waiting = Counter[str]()
        for lane in self._core.outbox.lanes():
            waiting[lane.channel] += len(lane.members)
        return [
            ChannelStatus(
                name=name,
                state="ok"
                if gate.failing_since is None
                else "failing"
                if gate.state(now) is BreakerState.CLOSED
                else "open",
                since=None if gate.failing_since is None else wall_time(gate.failing_since, offset),
                why=gate.why,
                delivered=gate.delivered,
                failed=gate.failed,
                waiting=waiting[name],
                open_until=wall_time(gate.shut_until, offset) if now < gate.shut_until < math.inf else None,
                tokens=gate.tokens(now),
                rate=gate.policy.rate.per_second,
                burst=gate.policy.rate.burst,
                fallback=gate.policy.fallback,
                refuses=gate.refuses,
            )
            for name, gate in self._core.outbox.gates().items()
        ]

    def dead_letters(self) -> list[DeadLetter]:
        """Give the messages that were given up."""
        offset = self.offset.read()
        return [
            DeadLetter(
                id=letter.id,
                channel=letter.channel,
                at=wall_time(letter.at, offset),
                notice=letter.notice,
                why=letter.why,
                attempts=letter.attempts,
            )
            for letter in self._core.outbox.letters
        ]

    def resend(self, letter_id: str) -> bool:
        """Have told anew what a dead letter told of, as it is now; whether there was one."""
        with self._core.lock:
            letter = self._core.outbox.discard(letter_id)
            if letter is None:
                return False
            cases = [case for alert_id in letter.alerts if (case := self._book.find(alert_id)) is not None]
            for case in cases:
                self._core.outbox.reopen(case, letter.channel)
                self._core.journal.case(case)
            self._dispatcher.reconsider(cases)
            return True

    def discard(self, letter_id: str) -> bool:
        """Take a dead letter away; whether there was one."""
        with self._core.lock:
            return self._core.outbox.discard(letter_id) is not None

    def explain(self, alert_id: str, deliveries: list[Delivery]) -> Explanation | None:
        """Say how an alert stands and why each channel was told or not; None where it is not known."""
        with self._core.lock:
            case = self._book.find(alert_id)
            if case is None:
                return None
            now, offset = self._clock.now(), self.offset.read()
            standing, trouble = self._dispatcher.standing(case, now), self._book.trouble(case.key)
            channels = self._dispatcher.policy.channels
            names = [name for name in dict.fromkeys((*standing.addresses, *case.ledger)) if name in channels]
            return Explanation(
                alert=self.show([case])[0],
                state=case.incident.state.value,
                data="fresh" if trouble is None else f"{trouble.cause.kind} {trouble.text}".rstrip(),
                unknown_since=None if trouble is None else wall_time(trouble.since, offset),
                suppressed=standing.suppressed,
                suppressed_by=standing.by,
                suppressed_until=wall_time(standing.until, offset)
                if standing.suppressed and standing.until < 1e300
                else None,
                acknowledged_by=case.acknowledgement.author if case.acknowledged and case.acknowledgement else None,
                flapping=case.flapping,
                channels=tuple(self._story(case, name, deliveries, now, offset) for name in names),
                history=tuple(self._history(alert_id)),
                wall_offset=offset,
            )

    def _story(self, case: Case, channel: str, deliveries: list[Delivery], now: float, offset: float) -> ChannelStory:
        entry, lane = case.ledger.get(channel), self._core.outbox.find(channel, case.lanes.get(channel))
        address = self._dispatcher.standing(case, now).addresses.get(channel)
        waits = lane is not None and case in lane.members
        told_at = None if entry is None else entry.told_at
        mine = [one for one in deliveries if one.channel == channel and one.about(case.key.id)]
        return ChannelStory(
            channel=channel,
            reason=self._dispatcher.reason(case, channel, now),
            heard=Heard.UNTOLD if entry is None else entry.heard,
            route=None if address is None else (address.group.route or "root"),
            group=None if address is None else str(address.group),
            next_flush=wall_time(max(lane.next_at, now), offset)
            if waits and lane is not None and lane.next_at < 1e300
            else None,
            last_told=None if told_at is None else wall_time(told_at, offset),
            muted_by=None if address is None else address.muted_by or None,
            attempts=tuple(mine),
        )

    def _history(self, alert_id: str) -> list[Entry]:
        return [entry for entry in self._dispatcher.audit if entry.alert_id == alert_id][-ENTRIES:]


def _seconds(what: str, duration: Duration, *, zero: bool = False) -> float:
    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        raise ConfigurationError(what, field="duration", seen=f"the duration {error}", expected="a duration") from None
    if seconds > LONGEST_AHEAD:
        raise ConfigurationError(what, field="duration", seen=f"the duration {duration!r}", expected="ten years at most")
    if seconds < 0 or (seconds == 0 and not zero):
        raise ConfigurationError(what, field="duration", seen=f"the duration {duration!r}", expected="a duration above zero")
    return seconds
