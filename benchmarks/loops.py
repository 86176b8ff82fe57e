"""Event loops: how long their callbacks take, and how late a timer is on one that has nothing else to do."""

import asyncio
import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final

__all__ = ["Taken", "beside_a_bare_loop", "percentile", "timed_callbacks"]

FULL_COLLECTION: Final = 2
"""Its generation."""

SPACING: Final = 0.01
"""Seconds between two timers of the bare loop: a thousand rules at ten seconds are as close."""


@dataclass(slots=True)
class Taken:
    """How long each callback took, by the thread's own clock, and how much of that went to full garbage collections.

    Those walk all objects of the program, and fall upon whichever callback allocates next.
    """

    callbacks: list[float] = field(default_factory=list[float])
    collecting: list[float] = field(default_factory=list[float])

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.callbacks)

    @property
    def longest(self) -> float:
        """The longest callback."""
        return max(self.callbacks)

    @property
    def longest_of_ours(self) -> float:
        """The longest callback, collections aside."""
        return max(map(float.__sub__, self.callbacks, self.collecting))


@contextmanager
def timed_callbacks() -> Iterator[Taken]:
    """Time every callback of the event loop."""
    taken = Taken()
    untimed = asyncio.Handle._run
    collecting = 0.0

    def collector(phase: str, info: Mapping[str, int]) -> None:
        nonlocal collecting
        if info["generation"] == FULL_COLLECTION:
            collecting += time.thread_time() * (1 if phase == "stop" else -1)

    def timed(self: asyncio.Handle) -> None:
        nonlocal collecting
        collecting, begun = 0.0, time.thread_time()
        untimed(self)
        taken.callbacks.append(time.thread_time() - begun)
        taken.collecting.append(collecting)

    asyncio.Handle._run = timed  # type: ignore[method-assign]  # the one place that every callback passes
    gc.callbacks.append(collector)
    try:
        yield taken
    finally:
        gc.callbacks.remove(collector)
        asyncio.Handle._run = untimed  # type: ignore[method-assign]


@contextmanager
def beside_a_bare_loop(seconds: float) -> Iterator[list[float]]:
    """Have a bare timer loop run for so long in another process meanwhile; afterwards the list says how late it was.

    What the machine does to one loop it does to both, and what the work does to its own does not touch the bare one.
    """
    lateness: list[float] = []
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        process.submit(_bare, 0.0).result()  # it has started
        running = process.submit(_bare, seconds)
        yield lateness
        lateness += running.result()


def percentile(values: Sequence[float], percent: float) -> float:
    """Give that of `values` which so many percent of them do not exceed."""
    return sorted(values)[min(int(len(values) * percent / 100), len(values) - 1)]


def _bare(seconds: float) -> list[float]:
    return asyncio.run(_timers(seconds))


async def _timers(seconds: float) -> list[float]:
    """Set one timer after the other."""
    loop = asyncio.get_running_loop()
    lateness: list[float] = []
    end = loop.time() + seconds
    while (now := loop.time()) < end:
        rung = loop.create_future()
        due = now + SPACING
        loop.call_at(due, rung.set_result, None)
        await rung
        lateness.append(loop.time() - due)
    return lateness
