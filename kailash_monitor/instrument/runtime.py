"""The runtime: what Python itself is busy with in this process."""

import asyncio
import gc
import heapq
import sys
import threading
from asyncio import tasks as asyncio_tasks
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final, TypeVar
from weakref import ref

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.instrument.totals import Totals
from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.threads import inherited

__all__ = ["OTHER", "RuntimeSource", "coroutine_name"]

T = TypeVar("T")
Task = asyncio.Task[Any]  # Any: whatever the program's tasks give

OTHER: Final = "other"
"""The coroutine of all tasks that are not shown apart."""

NAMES: Final = 1000
"""Names that are told apart while tasks are counted: to find the most among them takes a fraction of a millisecond."""

SLICE: Final = 2000
"""Tasks, or pauses, that are looked at without a pause for the program: about a millisecond."""

PAUSES: Final = 10_000
"""Pauses of one generation that wait for the next sample: two thousand a second, when sampled each 5 s."""

BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_LISTS_ALL_TASKS: Final = sys.version_info < (3, 14)
"""Whether asyncio keeps all of its tasks in one set; later they are in lists of its own, which it walks quickly."""


class RuntimeSource:
    """Samples what Python is busy with: asyncio's tasks, garbage collection, threads.

    Of the tasks of the loop that samples it, which is the manager's, a blocking one's included: `all_tasks`, and `tasks` by
    the name of their coroutine function, for the `most` names that have most; the rest is "other". The series of a name that
    is not among them any more is removed, which resolves its alerts. A hundred thousand tasks are counted in slices of a
    millisecond.

    Of the garbage collector, by generation: `gc_collections`, `gc_collected`, `gc_uncollectable`, and `gc_pause`, how long
    all threads stood still, in seconds. Pauses are measured while a task samples this, and no longer; of more than 10,000
    of a generation between two samples, the last count. `threads` are those that Python knows of.

    How late the loop is has a collector of its own (LoopLagSource), and so has what the system sees (ProcessSource).
    `every` is in seconds. A ConfigurationError where `most` is no whole number above zero.
    """

    name = "runtime"

    def __init__(
        self,
        collector: MetricsCollector | None = None,
        *,
        every: float = 5.0,
        most: int = 20,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            seen = f"most = {most!r}"
            raise ConfigurationError("RuntimeSource", field="most", seen=seen, expected="a whole number above zero")
        self.every = every
        self.collector = collector or MetricsCollector(clock=clock)
        gauge, counter, by_generation = self.collector.gauge, self.collector.counter, ("generation",)
        self._all_tasks = gauge("all_tasks", "Tasks of the event loop that are not done")
        self._tasks = gauge("tasks", "Tasks of the event loop that are not done, by coroutine", labels=("coroutine",))
        self._threads = gauge("threads", "Threads that Python knows of")
        self._counts = {
            "collections": counter("gc_collections", "Garbage collections", labels=by_generation),
            "collected": counter("gc_collected", "Objects that were collected as garbage", labels=by_generation),
            "uncollectable": counter("gc_uncollectable", "Garbage that cannot be collected", labels=by_generation),
        }
        self._pause = self.collector.timer(
            "gc_pause", "How long garbage collections took", labels=by_generation, unit="seconds", buckets=BUCKETS
        )
        self._most = most
        self._shown: set[str] = set()
        self._totals = Totals()
        self._pauses = _Pauses()
        self._take_totals()

    async def sample(self) -> None:
        """Record the numbers of this moment."""
        self._pauses.measure_for(asyncio.current_task())
        self._take_totals()
        self._threads.set(threading.active_count())
        for generation, pauses in self._pauses.take():
            for some in _slices(pauses):
                for pause in some:
                    self._pause.observe(generation, pause)
                await asyncio.sleep(0)
        counts = dict[str, int]()
        for references in _slices(_references()):
            _count(references, asyncio.get_running_loop(), counts)
            await asyncio.sleep(0)
        self._show(counts)

    def _take_totals(self) -> None:
        for generation, totals in enumerate(gc.get_stats()):
            for key, counter in self._counts.items():
                counter.inc(generation, by=self._totals.rise((generation, key), totals[key]))

    def _show(self, counts: Mapping[str, int]) -> None:
        total, shown = sum(counts.values()), shown_apart(counts, self._most)
        self._all_tasks.set(total)
        for name in self._shown - shown.keys():
            self._tasks.remove(name)
        for name, count in shown.items():
            self._tasks.set(name, count)
        self._shown = set(shown)


# -- tasks -----------------------------------------------------------------------------------------------------------------


def _references() -> list[Callable[[], Task | None]]:
    """Give a reference to each task of every loop, and to some that are not there any more.

    `asyncio.all_tasks` looks at each of them in one go: 40 ms for 100,000. To copy the set that it reads takes one.
    """
    if _LISTS_ALL_TASKS:
        # `_scheduled_tasks` from Python 3.12 on
        kept = getattr(asyncio_tasks, "_scheduled_tasks", None) or getattr(asyncio_tasks, "_all_tasks", None)
        data: Iterable[Callable[[], Task | None]] | None = getattr(kept, "data", None)
        if data is not None:
            return list(data)
    return [ref(task) for task in asyncio.all_tasks()]


def _count(references: Iterable[Callable[[], Task | None]], loop: asyncio.AbstractEventLoop, counts: dict[str, int]) -> None:
    for reference in references:
        task = reference()
        if task is not None and task.get_loop() is loop and not task.done():
            name = coroutine_name(task)
            if name not in counts and len(counts) >= NAMES:
                name = OTHER
            counts[name] = counts.get(name, 0) + 1


def coroutine_name(task: Task) -> str:
    """Give the name of the coroutine function that a task runs, with those that it is defined in: `Worker.run`."""
    coroutine = task.get_coro()  # None, where it was done before it became a task
    return getattr(coroutine, "__qualname__", None) or type(coroutine).__qualname__


def shown_apart(counts: Mapping[str, int], most: int) -> dict[str, int]:
    """Give the `most` names that have most, and under "other" what is left, if anything is."""
    shown = dict(heapq.nlargest(most, counts.items(), key=itemgetter(1)))
    rest = sum(counts.values()) - sum(shown.values())
    if rest:
        shown[OTHER] = shown.get(OTHER, 0) + rest
    return shown


# -- garbage collection ----------------------------------------------------------------------------------------------------


class _Pauses:
    """How long garbage collections took, measured as long as a task wants to know.

    A collection may begin at any allocation, whatever is locked there: it is but noted, to be recorded at the next sample.
    Mutable, by the thread that collects, one at a time: `_begun` and what was measured; by tasks: who wants to know.
    """

    def __init__(self) -> None:
        self._measured: Final = [deque[float](maxlen=PAUSES) for _ in gc.get_stats()]
        self._begun = 0.0
        self._wanted_by: set[Task] = set()
        inherited(self)

    def _after_fork(self) -> None:
        """Measure no more: the tasks are not there in a forked child."""
        self._wanted_by.clear()
        self._end()

    def measure_for(self, task: Task | None) -> None:
        """Measure until `task` is done."""
        if task is None or task in self._wanted_by:
            return
        if not self._wanted_by:
            gc.callbacks.append(self._note)
        self._wanted_by.add(task)
        task.add_done_callback(self._leave)

    def _leave(self, task: Task) -> None:
        self._wanted_by.discard(task)
        if not self._wanted_by:
            self._end()

    def _end(self) -> None:
        if self._note in gc.callbacks:
            gc.callbacks.remove(self._note)

    def _note(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._begun = SYSTEM_CLOCK.now()
        elif self._begun:
            self._measured[info["generation"]].append(SYSTEM_CLOCK.now() - self._begun)
            self._begun = 0.0

    def take(self) -> Iterator[tuple[int, Sequence[float]]]:
        """Give what was measured since it was last asked, by generation."""
        for generation, measured in enumerate(self._measured):
            yield generation, [measured.popleft() for _ in range(len(measured))]


def _slices(things: Iterable[T]) -> Iterator[Sequence[T]]:
    there = iter(things)
    while piece := list(islice(there, SLICE)):
        yield piece
