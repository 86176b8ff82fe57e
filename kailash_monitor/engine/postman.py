"""The postman: takes notices to the channels, each channel for itself, until they are taken or given up."""

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.alerting.incident import AlertKey, Incident
from kailash_monitor.alerting.ledger import KIND_OF
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.channels.text import one_line
from kailash_monitor.clock import Clock
from kailash_monitor.delivery.backoff import Backoff
from kailash_monitor.delivery.message import Done, GivenUp, Message, TryAgain, Verdict, after_attempt
from kailash_monitor.engine.attempt import attempt
from kailash_monitor.engine.book import AlertBook, alert_of
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.lane import Lane
from kailash_monitor.engine.status import Delivery, Untold
from kailash_monitor.engine.task_group import TaskGroup
from kailash_monitor.engine.wakeup import call_on
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.reason import Reason

__all__ = ["Postman"]

AT_ONCE: Final = 8
"""Attempts that one channel has under way at a time: enough to get through a storm, too few to be one."""

REMEMBERED: Final = 200
"""Attempts kept to be shown."""

_logger = logging.getLogger("kailash_monitor.engine")


@dataclass(slots=True, eq=False)
class _Round:
    """One channel's lanes, and which are due when."""

    name: str
    channel: NotificationChannel
    lanes: dict[AlertKey, Lane] = field(default_factory=dict[AlertKey, Lane])
    heap: list[tuple[float, int, Lane]] = field(default_factory=list[tuple[float, int, Lane]])
    threads: DaemonCalls = field(default_factory=lambda: DaemonCalls(AT_ONCE))
    busy: int = 0
    wake: asyncio.Event | None = None


class Postman:
    """Tells each channel the latest truth about each alert.

    Channels do not wait for each other; the messages of one alert to one channel go one at a time and in order. What waits
    is bounded by the alerts there are: a lane holds one message. Mutable: the rounds, under the manager's lock; `run`
    belongs to one loop at a time. `new_id` and `luck` are the sources of message ids and of jitter.
    """

    def __init__(
        self,
        clock: Clock,
        lock: AbstractContextManager[object],
        book: AlertBook,
        *,
        new_id: Callable[[], str],
        luck: Callable[[], float],
        backoff: Backoff | None = None,
    ) -> None:
        self.deliveries: deque[Delivery] = deque(maxlen=REMEMBERED)
        self._clock = clock
        self._lock = lock
        self._book = book
        self._new_id = new_id
        self._luck = luck
        self._backoff = backoff or Backoff()
        self._rounds: dict[str, _Round] = {}
        self._pushes = 0  # keeps the heap from comparing alerts
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: TaskGroup | None = None
        self._settled: asyncio.Event | None = None

    @property
    def channels(self) -> dict[str, NotificationChannel]:
        """The channels by name."""
        return {name: a_round.channel for name, a_round in self._rounds.items()}

    def alerts_under_way(self) -> set[AlertKey]:
        """Give the alerts of which some channel is still to be told something; the lanes that are finished are let go."""
        with self._lock:
            for a_round in self._rounds.values():
                for key in [key for key, lane in a_round.lanes.items() if lane.finished]:
                    del a_round.lanes[key]
            return {key for a_round in self._rounds.values() for key in a_round.lanes}

    def untold(self) -> list[Untold]:
        """Give what the channels are still to be told; a repeat tells nothing new."""
        with self._lock:
            now = self._clock.now()
            return [
                Untold(channel=name, alert_id=key.id, kind=kind)
                for name, a_round in self._rounds.items()
                for key, lane in a_round.lanes.items()
                if (kind := lane.to_tell(self._book, now)) is not None and kind is not NoticeKind.REPEAT
            ]

    def add(self, name: str, channel: NotificationChannel) -> None:
        """Take a channel on; it hears of what fires at the next evaluation."""
        with self._lock:
            a_round = self._rounds[name] = _Round(name, channel)
        call_on(self._loop, self._serve_late, a_round)

    def offer(self, incidents: Iterable[Incident], now: float) -> None:
        """Have every channel told what it is to hear about these."""
        with self._lock:
            for incident in incidents:
                for a_round in self._rounds.values():
                    lane = a_round.lanes.get(incident.key)
                    if lane is None:
                        lane = a_round.lanes[incident.key] = Lane.of(incident)
                    lane.latest = incident
                    self._queue(a_round, lane, now)

    def _queue(self, a_round: _Round, lane: Lane, now: float) -> None:
        """Put the lane in the queue if it has something to tell and is not there yet."""
        if lane.busy or lane.queued or not (lane.message is not None or lane.ask(self._book, now).tells):
            return
        lane.queued = True
        self._pushes += 1
        heapq.heappush(a_round.heap, (max(now, lane.not_before), self._pushes, lane))
        if a_round.wake is not None:
            call_on(self._loop, a_round.wake.set)

    # -- the loops -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve all channels until cancelled."""
        self._loop, self._settled = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with TaskGroup() as self._tasks:
                for a_round in list(self._rounds.values()):
                    self._tasks.create_task(self._serve(a_round), name=f"kailash-monitor {a_round.name}")
                await asyncio.Event().wait()  # channels may be added at any time
        finally:
            self._loop = self._tasks = self._settled = None

    def _serve_late(self, a_round: _Round) -> None:
        if self._tasks is not None and a_round.wake is None:
            self._tasks.create_task(self._serve(a_round), name=f"kailash-monitor {a_round.name}")

    async def _serve(self, a_round: _Round) -> None:
        wake = a_round.wake = asyncio.Event()
        try:
            async with TaskGroup() as attempts:
                while True:
                    wake.clear()
                    while (begun := self._begin_next(a_round, self._clock.now())) is not None:
                        attempts.create_task(self._deliver(a_round, *begun))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._next_in(a_round, self._clock.now())):
                            await wake.wait()
        finally:
            self._interrupt(a_round)

    def _interrupt(self, a_round: _Round) -> None:
        """Take note that the attempts under way were cancelled: their channels may have heard them."""
        with self._lock:
            a_round.wake, a_round.busy, now = None, 0, self._clock.now()
            for lane in a_round.lanes.values():
                if lane.busy:
                    lane.interrupt()
                    self._queue(a_round, lane, now)

    def _next_in(self, a_round: _Round, now: float) -> float | None:
        with self._lock:
            if not a_round.heap or a_round.busy >= AT_ONCE:
                return None
            return max(0.0, a_round.heap[0][0] - now)

    def _begin_next(self, a_round: _Round, now: float) -> tuple[Lane, Message] | None:
        """Take the next lane that is due and has something to tell, and note that its attempt begins."""
        with self._lock:
            while a_round.busy < AT_ONCE and a_round.heap and a_round.heap[0][0] <= now:
                _, _, lane = heapq.heappop(a_round.heap)
                lane.queued = False
                message = self._message_for(lane, a_round.name, now)
                if message is not None:
                    lane.begin(message)
                    a_round.busy += 1
                    return lane, message
            return None

    def _message_for(self, lane: Lane, channel: str, now: float) -> Message | None:
        reason = lane.ask(self._book, now)
        kind = KIND_OF.get(reason)
        if not lane.keeps(kind):
            lane.message = None if kind is None else Message(self._notice(lane.entry.about, reason, channel), born_at=now)
        return lane.message

    def _notice(self, incident: Incident, reason: Reason, channel: str) -> Notice:
        status = AlertStatus.FIRING if incident.active else AlertStatus.RESOLVED
        wall = self._clock.wall()
        alert = alert_of(incident, status, wall - self._clock.now())
        extra = {"reason": reason.value, "channel": channel, "condition": str(incident.rule.condition)}
        return Notice(self._new_id(), KIND_OF[reason], alert, sent_at=wall, extra=extra)

    async def _deliver(self, a_round: _Round, lane: Lane, message: Message) -> None:
        outcome = await attempt(a_round.channel, message.notice, a_round.threads)
        with self._lock:
            now = self._clock.now()
            verdict = after_attempt(message, outcome, now, backoff=self._backoff, luck=self._luck())
            a_round.busy -= 1
            lane.settle(verdict, now)
            self._queue(a_round, lane, now)
        self._note(a_round.name, message, verdict)
        if a_round.wake is not None:
            a_round.wake.set()  # a place is free
        if self._settled is not None:
            self._settled.set()

    def _note(self, channel: str, message: Message, verdict: Verdict) -> None:
        """Keep the attempt to be shown; log the first failure and the last."""
        at = datetime.fromtimestamp(self._clock.wall(), UTC)
        tried, alert = message.attempts + 1, message.notice.alert
        match verdict:
            case Done():
                outcome, why = "delivered", ""
            case TryAgain(why=why):
                outcome = "retry"
                if tried == 1:
                    _logger.warning(
                        "channel %r could not take %s of %s: %s; trying again",
                        channel,
                        message.notice.kind.value,
                        one_line(alert.id),
                        one_line(why),
                    )
            case GivenUp(why=why):
                outcome = "given up"
                _logger.error(
                    "channel %r was not told %s of %s: %s",
                    channel,
                    message.notice.kind.value,
                    one_line(alert.id),
                    one_line(why),
                )
        self.deliveries.append(
            Delivery(at=at, channel=channel, notice=message.notice, outcome=outcome, attempt=tried, why=why)
        )

    # -- the end -------------------------------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> None:
        """Wait until nothing is under way or due now, at most `seconds`. What waits for a later attempt is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._settled is not None and self._at_work():
                    self._settled.clear()
                    await self._settled.wait()

    def _at_work(self) -> bool:
        with self._lock:
            now = self._clock.now()
            return any(a_round.busy or (a_round.heap and a_round.heap[0][0] <= now) for a_round in self._rounds.values())
