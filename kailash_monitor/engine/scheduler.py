"""The scheduler: has the core do what is due, when it is due, with pauses for the host program."""

import asyncio
import inspect
import logging
from contextlib import nullcontext
from typing import Final

from kailash_monitor.clock import Clock
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.queries import LocalQueries, Queries, values_of
from kailash_monitor.engine.task_group import TaskGroup, cancellation_is_ours
from kailash_monitor.engine.wakeup import Bell
from kailash_monitor.rules import AlertRule
from kailash_monitor.rules.recording import Recording

__all__ = ["BUDGET", "Scheduler"]

BUDGET: Final = 0.005
"""Seconds of work without a pause for the host program: half of what a callback of ours may hold the loop."""

ROUND: Final = 10.0
"""Seconds after which it comes round also where nothing is due: who asks how it is sees that it could."""

READINGS_AT_ONCE: Final = 32
"""Plain functions that rules read and that hang, each in a thread: more are not begun."""

QUERY_SECONDS: Final = 5.0
"""Seconds that the query of a recording has, as a rule has by default."""

_logger = logging.getLogger("kailash_monitor.engine")


class Scheduler:
    """Runs the core's work and asks the rules' own readings. `bell` wakes it, and comes round each ten seconds without.

    `run` belongs to one loop at a time. Mutable, by that loop: when it last came round.
    """

    def __init__(self, clock: Clock, core: Core, bell: Bell, local: LocalQueries, queries: Queries) -> None:
        self._clock = clock
        self._core = core
        self._bell = bell
        self._local = local
        self._queries = queries
        self._loop: asyncio.AbstractEventLoop | None = None
        self._came_round: float | None = None

    @property
    def silent(self) -> float | None:
        """For how many seconds it has not come round; None where it does not run."""
        came_round = self._came_round  # once: it may end meanwhile
        return None if came_round is None else max(0.0, self._clock.now() - came_round)

    async def run(self) -> None:
        """Work until cancelled. Every rule is due at once."""
        with self._core.lock:
            self._core.agenda.restart(self._clock.now())
        loop = self._loop = asyncio.get_running_loop()
        threads = DaemonCalls(READINGS_AT_ONCE)
        try:
            with self._bell.hung():
                async with TaskGroup() as readings:
                    while True:
                        await self._work()
                        while self._core.asks:
                            rule = self._core.asks.popleft()
                            readings.create_task(self._ask(rule, threads), name=f"kailash-monitor {rule.name}")
                        await self._bell.wait(self._delay())
        finally:
            if self._loop is loop:  # what a dropped loop left behind may end when the next one comes round already
                self._loop = self._came_round = None

    def _delay(self) -> float:
        with self._core.lock:
            due = self._core.due
        return min(due - self._clock.now(), ROUND)

    async def _work(self) -> None:
        """Do what is due, with a pause whenever the budget is used up."""
        begun = self._came_round = self._clock.now()
        steps = self._core.work()
        while True:
            try:
                next(steps)
            except StopIteration:
                return
            except Exception:  # the top of the loop: one rule must not stop the others
                _logger.exception("a rule could not be judged")
                steps = self._core.work()
            if self._clock.now() - begun > BUDGET:
                await asyncio.sleep(0)
                begun = self._came_round = self._clock.now()

    async def _ask(self, rule: AlertRule | Recording, threads: DaemonCalls) -> None:
        """Ask a rule's own reading within its time; what it raises, and that it is late, is an answer too."""
        answer: object
        seconds = QUERY_SECONDS if isinstance(rule, Recording) else rule.timeout
        asks = not isinstance(rule, Recording) and (rule.expr is None or self._queries is not self._local)
        async with nullcontext() if asks else self._local.turn():
            deadline, begun = asyncio.timeout(seconds), self._clock.now()
            try:
                async with deadline:
                    with cancellation_is_ours():
                        answer = await self._answer(rule, threads)
            except Exception as error:  # the user's code
                answer = error
                if deadline.expired():  # else the TimeoutError is its own
                    self._core.registry.self_metrics.readings_late.inc()
                    answer = TimeoutError(f"no answer within {seconds:g} s")
            self._core.answer(rule, answer, self._clock.now() - begun)

    async def _answer(self, rule: AlertRule | Recording, threads: DaemonCalls) -> object:
        if isinstance(rule, Recording):
            await self._local.record(rule)
            return None
        if rule.expr is not None:
            return await values_of(rule, self._queries, self._clock)
        assert rule.reading is not None
        given: object = rule.reading() if rule.awaits else await threads.call(rule.reading, seconds=None)
        return await given if inspect.isawaitable(given) else given
