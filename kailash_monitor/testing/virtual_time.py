"""Virtual time: an event loop that jumps to the next timer instead of waiting for it.

    async def week() -> float:
        await asyncio.sleep(7 * 86_400)
        return asyncio.get_running_loop().time()

    assert run_virtual(week()) == 7 * 86_400

Real work still takes real time, and the clock stands still meanwhile: threads (`run_in_executor`, `asyncio.to_thread`), work
that you announce by `loop.outside_work()`, and sockets, which must have been quiet for a moment before the clock jumps.
Peers in other processes answer too late for that: such tests want the ordinary loop.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

__all__ = ["VirtualTimeLoop", "VirtualTimeStuck", "run_virtual"]

QUIET: Final = 0.01
"""Real seconds without traffic after which open sockets count as idle: a hundred times what loopback needs."""

PATIENCE: Final = 5.0
"""Real seconds to wait for a wake-up from nowhere before saying that nothing can ever happen."""

_THREAD_POLL: Final = 0.05
"""Real seconds between looks at the clock while a thread works; its end wakes the loop at once all the same."""

T = TypeVar("T")


class VirtualTimeStuck(RuntimeError):
    """Everything waits, and nothing is left that could wake it: no timer, no thread, no socket."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` begins at 0 and moves only by jumps to the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        self._outside = 0
        self._virtual = _VirtualSelector(self)
        super().__init__(self._virtual)
        # A far timer minus a large `time()` is off by more than the 1e-9 of the real clock, and would never come due.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Give the virtual seconds since the loop was made."""
        return self._now

    @contextmanager
    def outside_work(self) -> Iterator[None]:
        """Keep the clock from jumping while something outside the loop is under way that will call it back."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def run_in_executor(  # type: ignore[override]  # the stub's overloads say the same less plainly
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:  # Any: as in asyncio
        """Run `func` in a thread; the clock stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._one_less_outside)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads. The time limit would pass in one jump, so it is left out."""
        with self.outside_work():
            await super().shutdown_default_executor()

    def _one_less_outside(self, _: object) -> None:
        self._outside -= 1

    def _next_timer(self) -> float | None:
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # asyncio's own heap of timers
        return timers[0].when() if timers else None

    def _jump(self, seconds: float) -> None:
        """Go to the next timer, exactly; asyncio asks for a day at most, and then asks again."""
        timer = self._next_timer()
        target = self._now + seconds
        self._now = timer if timer is not None and timer <= target + self._clock_resolution else target


class _VirtualSelector(selectors.BaseSelector):
    """Polls real sockets, and jumps where the loop would wait."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop._outside:
            return self._real.select(_THREAD_POLL)
        if self._has_sockets:
            ready = self._real.select(QUIET if timeout is not None else None)
        elif timeout is None:
            ready = self._real.select(PATIENCE)
            if not ready:
                raise VirtualTimeStuck(
                    f"nothing can wake the event loop any more; waiting: {_waiting(self._loop)}. If a thread of your own "
                    "is to call back, wrap the wait in `with loop.outside_work():`"
                )
        if not ready and timeout is not None:
            self._loop._jump(timeout)
        return ready

    @property
    def _has_sockets(self) -> bool:
        return len(self._real.get_map()) > 1  # one is the loop's own, by which threads wake it

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # Any: as in selectors
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:  # Any: as in selectors
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # Any: as in selectors
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:  # Any: as in selectors
        return self._real.get_map()


def run_virtual(main: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine yields is asyncio's
    """Run `main` on a virtual-time loop of its own and give its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def _waiting(loop: asyncio.AbstractEventLoop) -> str:
    return ", ".join(sorted(repr(task.get_coro()) for task in asyncio.all_tasks(loop))) or "no task"
