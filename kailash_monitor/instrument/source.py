"""The port of whatever has numbers to give: the host, the process, the loop, or a thing of the user's own."""

from collections.abc import Awaitable
from typing import Protocol

from kailash_monitor.metrics import MetricsCollector

__all__ = ["Source"]


class Source(Protocol):
    """Something that is sampled at an interval.

    For implementers: `name` is also the name its `collector` is registered under; `every` is in seconds. A plain `sample`
    is called in a daemon thread of its own, one at a time, and is left alone if it hangs; a coroutine function is awaited on
    the program's loop and must not block. What it raises is logged, and the next sample is taken all the same.
    """

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def collector(self) -> MetricsCollector:
        """Where its numbers go."""
        ...

    @property
    def every(self) -> float:
        """Seconds between samples."""
        ...

    def sample(self) -> Awaitable[None] | None:
        """Record the numbers of this moment."""
        ...
