"""The postman: has the attempts made that the outbox begins, each channel for itself."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from kailash_monitor.channels import NotificationChannel
from kailash_monitor.clock import Clock
from kailash_monitor.engine.archivist import Archivist
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.courier import Courier
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.gate import AT_ONCE
from kailash_monitor.engine.outbox import Send
from kailash_monitor.engine.status import Delivery
from kailash_monitor.engine.task_group import TaskGroup
from kailash_monitor.engine.wakeup import Bell, call_on

__all__ = ["Postman"]


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

    Mutable: the rounds; `run` belongs to one loop at a time.
    """

    def __init__(self, clock: Clock, core: Core, archivist: Archivist, courier: Courier) -> None:
        self._clock = clock
        self._core = core
        self._archivist = archivist
        self._courier = courier
        core.outbox.ring = self.ring
        self._rounds: dict[str, _Round] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: TaskGroup | None = None
        self._settled: asyncio.Event | None = None

    @property
    def channels(self) -> dict[str, NotificationChannel]:
        """The channels by name."""
        return {name: a_round.channel for name, a_round in self._rounds.items()}

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """The last attempts, oldest first."""
        return self._courier.deliveries

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
        self._courier.interrupt_all()
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
                    while (send := self._courier.begin(a_round.name)) is not None:
                        if isinstance(send, Send):
                            attempts.create_task(self._deliver(a_round, send))
                        else:
                            await asyncio.sleep(0)
                    await a_round.bell.wait(self._courier.next_in(a_round.name))

    async def _deliver(self, a_round: _Round, send: Send) -> None:
        say = await self._courier.deliver(a_round.name, a_round.channel, send, a_round.threads, self._archivist.kept)
        say()
        self.settled()

    def settled(self) -> None:
        """Take note that an attempt was settled; to be called on its loop."""
        if self._settled is not None:
            self._settled.set()

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
