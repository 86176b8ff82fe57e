"""Clocks for tests, behind the port `kailash_monitor.clock.Clock`."""

import asyncio
from typing import Final

__all__ = ["EPOCH", "ManualClock", "VirtualClock"]

EPOCH: Final = 1_700_000_000.0
"""Wall-clock time at the clocks' zero: 2023-11-14 22:13:20 UTC, for no other reason than that it is round."""


class VirtualClock:
    """Reads the virtual time of a loop: the one given, else the one that runs when it is made."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *, epoch: float = EPOCH) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._epoch = epoch

    def now(self) -> float:
        """Give the loop's time."""
        return self._loop.time()

    def wall(self) -> float:
        """Give the loop's time, counted from the epoch."""
        return self._epoch + self.now()

    def suspended(self) -> float:
        """Virtual machines of this kind never sleep."""
        return 0.0

    def __repr__(self) -> str:
        return f"<VirtualClock {self.now():g}>"


class ManualClock:
    """Stands still until it is moved by hand. The wall clock can be set apart from it."""

    def __init__(self, now: float = 0.0, *, epoch: float = EPOCH) -> None:
        self.time = now
        self._epoch = epoch
        self._suspended = 0.0

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self.time += seconds

    def suspend(self, seconds: float) -> None:
        """Move on by `seconds` in which the machine slept."""
        self.time += seconds
        self._suspended += seconds

    def set_wall(self, wall: float) -> None:
        """Set the wall clock, as people and time servers do; the timeline does not see it."""
        self._epoch = wall - self.time

    def now(self) -> float:
        """Give the time it was moved to."""
        return self.time

    def wall(self) -> float:
        """Give the time it was moved to, counted from the epoch."""
        return self._epoch + self.time

    def suspended(self) -> float:
        """Give the seconds that it was said to be suspended."""
        return self._suspended

    def __repr__(self) -> str:
        return f"<ManualClock {self.time:g}>"
