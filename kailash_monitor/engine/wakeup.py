"""Wake-ups: a call on an event loop from any thread, whether or not the loop is still there."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

__all__ = ["call_on"]


def call_on(loop: asyncio.AbstractEventLoop | None, function: Callable[..., object], *args: object) -> None:
    """Have `loop` call `function` soon. Nothing happens where there is no loop, or it is closed, even this very moment."""
    if loop is not None:
        with suppress(RuntimeError):  # what a closed loop raises
            loop.call_soon_threadsafe(function, *args)
