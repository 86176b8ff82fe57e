"""The postman: makes the attempts that the outbox begins, each channel for itself."""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.channels import NotificationChannel
from kailash_monitor.channels.text import one_line
from kailash_monitor.clock import Clock
from kailash_monitor.delivery.message import Done, GivenUp, Message, TryAgain, Verdict
from kailash_monitor.delivery.outcome import Outcome
from kailash_monitor.engine.archivist import Archivist
from kailash_monitor.engine.attempt import attempt
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.gate import AT_ONCE
from kailash_monitor.engine.outbox import More, Send
from kailash_monitor.engine.status import Delivery
from kailash_monitor.engine.task_group import TaskGroup
from kailash_monitor.engine.wakeup import Bell, call_on

__all__ = ["Postman"]

REMEMBERED: Final = 200
"""Attempts kept to be shown."""

_logger = logging.getLogger("kailash_monitor.engine")


@dataclass(slots=True, eq=False)
class _Round:
    """One channel, and what wakes the loop that serves it."""

    name: str
    channel: NotificationChannel
    bell: Bell = field(default_factory=Bell)
    threads: DaemonCalls = field(default_factory=lambda: DaemonCalls(AT_ONCE))
    served_by: TaskGroup | None = None


class Postman:
    """Tells the channels. They do not wait for each other.

    Mutable: the rounds and `deliveries`; `run` belongs to one loop at a time.
    """

    def __init__(self, clock: Clock, core: Core, archivist: Archivist) -> None:
        self.deliveries: deque[Delivery] = deque(maxlen=REMEMBERED)
        self._clock = clock
        self._core = core
        self._archivist = archivist
        core.outbox.ring = self.ring
        self._rounds: dict[str, _Round] = {}
        self._under_way: dict[int, Send] = {}  # by identity
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: TaskGroup | None = None
        self._settled: asyncio.Event | None = None

    @property
    def channels(self) -> dict[str, NotificationChannel]:
        """The channels by name."""
        return {name: a_round.channel for name, a_round in self._rounds.items()}

    def add(self, name: str, channel: NotificationChannel) -> None:
        """Take a channel on."""
        a_round = self._rounds[name] = _Round(name, channel)
        call_on(self._loop, self._serve_late, a_round)

    def ring(self, name: str) -> None:
        """Have the channel looked after, from any thread."""
        a_round = self._rounds.get(name)
        if a_round is not None:
            a_round.bell.ring()

    async def run(self) -> None:
        """Serve all channels until cancelled."""
        self._loop, self._settled = asyncio.get_running_loop(), asyncio.Event()
        tasks = TaskGroup()
        for send in tuple(self._under_way.values()):
            self._interrupt(send)
        try:
            async with tasks:
                self._tasks = tasks
                for a_round in list(self._rounds.values()):
                    self._serve_late(a_round)
                await asyncio.Event().wait()  # channels may be added at any time
        finally:
            if self._tasks is tasks:  # what a dropped loop left behind may end when the next one is served already
                self._loop = self._tasks = self._settled = None

    def _serve_late(self, a_round: _Round) -> None:
        if self._tasks is not None and a_round.served_by is not self._tasks:
            a_round.served_by = self._tasks
            self._tasks.create_task(self._serve(a_round), name=f"kailash-monitor {a_round.name}")

    async def _serve(self, a_round: _Round) -> None:
        with a_round.bell.hung():
            async with TaskGroup() as attempts:
                while True:
                    while (send := self._begin(a_round)) is not None:
                        if isinstance(send, Send):
                            attempts.create_task(self._deliver(a_round, send))
                        else:
                            await asyncio.sleep(0)
                    await a_round.bell.wait(self._delay(a_round))

    def _begin(self, a_round: _Round) -> Send | More | None:
        with self._core.lock:
            send = self._core.outbox.begin_next(a_round.name, self._clock.now())
            if isinstance(send, Send):
                self._under_way[id(send)] = send
            return send

    def _interrupt(self, send: Send) -> None:
        """Take note that an attempt was cancelled, or dropped with its loop: the channel may have heard it."""
        with self._core.lock:
            if self._under_way.pop(id(send), None) is not None:
                self._core.outbox.interrupt(send, self._clock.now())

    def _delay(self, a_round: _Round) -> float | None:
        with self._core.lock:
            return self._core.outbox.next_in(a_round.name, self._clock.now())

    async def _deliver(self, a_round: _Round, send: Send) -> None:
        outcome: Outcome | None = None
        try:
            await self._archivist.kept()
            outcome = await attempt(a_round.channel, send.message.notice, a_round.threads)
        finally:
            if outcome is None:
                self._interrupt(send)
        assert outcome is not None  # else what ended the attempt has passed through
        with self._core.lock:
            del self._under_way[id(send)]
            verdict = self._core.outbox.settle(send, outcome, self._clock.now())
        self._note(a_round.name, send.message, verdict)
        if self._settled is not None:
            self._settled.set()

    def _note(self, channel: str, message: Message, verdict: Verdict) -> None:
        """Keep the attempt to be shown; log the first failure and the last."""
        at = datetime.fromtimestamp(self._clock.wall(), UTC)
        tried, alert = message.attempts + 1, message.notice.alert
        what = (channel, message.notice.kind.value, one_line(alert.id))
        own = self._core.registry.self_metrics
        match verdict:
            case Done():
                outcome, why = "delivered", ""
                own.delivered.inc(channel)
            case TryAgain(why=why):
                outcome = "retry"
                own.attempts_failed.inc(channel)
                if tried == 1:
                    _logger.warning("channel %r could not take %s of %s: %s; trying again", *what, one_line(why))
            case GivenUp(why=why):
                outcome = "given up"
                own.attempts_failed.inc(channel)
                own.given_up.inc(channel)
                _logger.error("channel %r was not told %s of %s: %s", *what, one_line(why))
        self.deliveries.append(
            Delivery(at=at, channel=channel, notice=message.notice, outcome=outcome, attempt=tried, why=why)
        )

    async def drain(self, seconds: float) -> None:
        """Wait until nothing is under way or due now, at most `seconds`. What waits for a later attempt is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._settled is not None and self._at_work():
                    self._settled.clear()
                    await self._settled.wait()

    def _at_work(self) -> bool:
        with self._core.lock:
            now = self._clock.now()
            return any(self._core.outbox.under_way(name, now) for name in self._rounds)
