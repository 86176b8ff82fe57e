"""Wake-ups: a call on an event loop from any thread, whether or not the loop is still there."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["Bell", "call_on"]


def call_on(loop: asyncio.AbstractEventLoop | None, function: Callable[..., object], *args: object) -> None:
    """Have `loop` call `function` soon. Nothing happens where there is no loop, or it is closed, even this very moment."""
    if loop is not None:
        with suppress(RuntimeError):  # what a closed loop raises
            loop.call_soon_threadsafe(function, *args)


class Bell:
    """Wakes one loop that waits, from any thread; while nobody has hung it, it rings unheard.

    Mutable: by the loop that has hung it; `_rung` by whoever rings.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event: asyncio.Event | None = None
        self._rung = False

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Let it be heard on the running loop."""
        event = asyncio.Event()
        self._loop, self._event, self._rung = asyncio.get_running_loop(), event, False
        try:
            yield
        finally:
            if self._event is event:  # what a dropped loop left behind may end when the next has hung it already
                self._loop = self._event = None

    def ring(self) -> None:
        """Wake who waits, or keep them from waiting the next time; ringing twice is as good as once."""
        event = self._event
        if event is not None and not self._rung:
            self._rung = True
            if self._loop is _running_loop():
                event.set()  # far cheaper than by way of the selector
            else:
                call_on(self._loop, event.set)

    async def wait(self, seconds: float | None) -> None:
        """Wait until it rings, at most so long; None: however long. It may have rung for nothing."""
        event = self._event
        assert event is not None  # it is hung
        if not self._rung and (seconds is None or seconds > 0):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await event.wait()
        self._rung = False  # before what is due is looked up: what comes after rings again
        event.clear()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
