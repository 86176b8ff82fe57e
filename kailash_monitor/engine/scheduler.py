"""The scheduler: judges each rule at its own due times."""

import asyncio
import heapq
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from kailash_monitor.clock import Clock
from kailash_monitor.engine.grid import Grid
from kailash_monitor.engine.wakeup import call_on

__all__ = ["Scheduler", "Turn"]

BUDGET: Final = 0.005
"""Seconds of judging without a pause for the host program: half of what a callback of ours may hold the loop."""

_logger = logging.getLogger("kailash_monitor.engine")


@dataclass(slots=True)
class Turn:
    """When one rule is due, and how often it was. `late` counts due times that passed while the loop was held up."""

    grid: Grid
    due: float
    evaluations: int = 0
    late: int = 0


class Scheduler:
    """Calls `judge(name, now)` at the due times of each name, the first time at once.

    A due time that has passed unseen is counted, told to `late`, and skipped. What `judge` raises is logged and changes
    nothing for others. Mutable: `turns` and the heap, both guarded by the manager's lock; `run` belongs to one loop at a
    time.
    """

    def __init__(
        self,
        clock: Clock,
        lock: AbstractContextManager[object],
        judge: Callable[[str, float], None],
        late: Callable[[int], None] = lambda missed: None,
    ) -> None:
        self.turns: dict[str, Turn] = {}
        self._clock = clock
        self._lock = lock
        self._judge = judge
        self._late = late
        self._heap: list[tuple[float, str]] = []
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, name: str, interval: float) -> None:
        """Take `name` on; it is due at once."""
        with self._lock:
            due = self._clock.now()
            self.turns[name] = Turn(Grid.of(name, interval), due)
            heapq.heappush(self._heap, (due, name))
        self._notify()

    def remove(self, name: str) -> None:
        """Take `name` off; nothing happens where it is not there."""
        with self._lock:
            self.turns.pop(name, None)  # what the heap still holds of it is passed over

    def overdue(self, now: float) -> float:
        """Give by how many seconds the most urgent name is late, 0 where none is."""
        with self._lock:
            return max(0.0, now - min((turn.due for turn in self.turns.values()), default=now))

    async def run(self) -> None:
        """Judge until cancelled. Every name is due at once."""
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._restart()
        try:
            while True:
                await self._wait(self._wake)
                await self._judge_due()
        finally:
            self._loop = self._wake = None

    def _restart(self) -> None:
        with self._lock:
            now = self._clock.now()
            for turn in self.turns.values():
                turn.due = now
            self._heap = [(now, name) for name in self.turns]  # equal times and names in order are a heap once sorted
            self._heap.sort()

    async def _wait(self, wake: asyncio.Event) -> None:
        with self._lock:
            delay = self._heap[0][0] - self._clock.now() if self._heap else None
        if delay is not None and delay <= 0:
            return
        try:
            async with asyncio.timeout(delay):
                await wake.wait()
        except TimeoutError:
            return
        wake.clear()

    async def _judge_due(self) -> None:
        """Judge what is due, with a pause whenever the budget is used up."""
        paused = self._clock.now()
        while (due := self._next_due(self._clock.now())) is not None:
            name, now = due
            try:
                self._judge(name, now)
            except Exception:  # the top of the loop: one rule must not stop the others
                _logger.exception("rule %r could not be judged", name)
            if self._clock.now() - paused > BUDGET:
                await asyncio.sleep(0)
                paused = self._clock.now()

    def _next_due(self, now: float) -> tuple[str, float] | None:
        """Take the most urgent name off the heap and put it back at its next due time."""
        with self._lock:
            while self._heap and self._heap[0][0] <= now:
                due, name = heapq.heappop(self._heap)
                turn = self.turns.get(name)
                if turn is None or turn.due != due:
                    continue  # removed, or added anew with another due time
                missed = turn.grid.missed(due, now)
                if missed:
                    turn.late += missed
                    self._late(missed)
                turn.evaluations += 1
                turn.due = turn.grid.after(now)
                heapq.heappush(self._heap, (turn.due, name))
                return name, now
            return None

    def _notify(self) -> None:
        wake = self._wake
        if wake is not None:
            call_on(self._loop, wake.set)
