"""A run: one stretch of time in which a manager works on one loop."""

import asyncio
import os
from concurrent.futures import Future
from typing import Final

from kailash_monitor.engine.wakeup import call_on
from kailash_monitor.errors import LifecycleError

__all__ = ["Run"]


_at_work: Final[set[asyncio.Task[None]]] = set()
"""Loops hold tasks weakly: without this, a manager that its program does not keep would be collected while it works."""


class Run:
    """From start to end. `up` and `ended` are done when it works, and when it is over; both can be waited for anywhere.

    Mutable: `stopping` and `drain` (seconds for messages under way) are set by whoever stops it, from any thread; the rest
    by its own task.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, after: "Run | None" = None) -> None:
        self.loop = loop
        self._after = after
        self.stopping = False
        self.drain: float | None = None
        self.stop_now = asyncio.Event()
        self.up: Future[None] = Future()
        self.ended: Future[None] = Future()
        self._process = os.getpid()

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold on to the task that does the work until it is done, or its loop is closed."""
        _at_work.difference_update([other for other in _at_work if other.get_loop().is_closed()])
        _at_work.add(task)
        task.add_done_callback(_at_work.discard)

    @property
    def over(self) -> bool:
        """Whether it has ended, or its loop or process is not there any more."""
        return self.ended.done() or self.loop.is_closed() or self._process != os.getpid()

    def stop(self) -> None:
        """Have it end, from any thread. Nothing happens where it is over."""
        self.stopping = True
        if not self.over:
            call_on(self.loop, self.stop_now.set)

    async def wait_for_the_one_before(self) -> None:
        """Wait until the run that this one takes over from is over."""
        if self._after is not None:
            await self._after.wait_ended()
            self._after = None  # or each run would keep all before it

    def fail(self, error: Exception) -> None:
        """Tell whoever waits for the start that there will be none."""
        if not self.up.done():
            failed = LifecycleError(f"the alert manager could not start: {type(error).__name__}: {error}")
            failed.__cause__ = error
            self.up.set_exception(failed)

    def end(self) -> None:
        """Note that it is over."""
        for future in (self.up, self.ended):
            if not future.done():
                future.set_result(None)

    async def wait_up(self) -> None:
        """Wait until it works, or has ended; a LifecycleError where it could not start."""
        await asyncio.shield(asyncio.wrap_future(self.up))

    async def wait_ended(self) -> None:
        """Wait until it is over."""
        if not self.over:
            await asyncio.shield(asyncio.wrap_future(self.ended))
