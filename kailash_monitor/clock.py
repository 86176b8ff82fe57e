"""The only reader of time.

Everything else is handed `now`: seconds as a float on one timeline that never steps, fixed once a tick.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """What the toolkit needs to know about time.

    For implementers: both readings are cheap, never block and may be taken from any thread.
    """

    def now(self) -> float:
        """Seconds since an arbitrary origin; never steps back and counts hours in which the machine was suspended."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch, as people read them; may step. Only calendars (mute times) decide on it."""
        ...

    def suspended(self) -> float:
        """Seconds that the machine was suspended since some time, as far as that can be told."""
        ...


class SystemClock:
    """The clocks of this machine: CLOCK_BOOTTIME where there is one, else the monotonic clock."""

    def __init__(self) -> None:
        self.now = _steady_clock()

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        return time.time()

    def suspended(self) -> float:
        """Seconds that the machine was suspended since it was started: the monotonic clock does not count them."""
        return self.now() - time.monotonic()

    def __repr__(self) -> str:
        return "SystemClock()"


def _steady_clock() -> Callable[[], float]:
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is None:  # macOS: its monotonic clock stops while suspended, and nothing better is offered
        return time.monotonic
    return partial(time.clock_gettime, boottime)  # half as long as a lambda: it is read at every recording


SYSTEM_CLOCK: Final[Clock] = SystemClock()
