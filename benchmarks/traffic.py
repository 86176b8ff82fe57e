"""Traffic: what is recorded, the same for every contestant and in every run."""

import math
import random
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.contestants import Library
from kailash_monitor.testing import ManualClock

__all__ = ["be_busy", "count_each", "durations", "graded_ages", "observe_each"]

MEDIAN: Final = 0.1
SIGMA: Final = 0.5
"""Durations of requests look like that: a tenth of a second, two thirds of them within a factor of 1.65."""

PER_SECOND: Final = 10


def durations() -> Iterator[float]:
    """Give lognormal seconds without end."""
    source = random.Random(1)
    while True:
        yield source.lognormvariate(math.log(MEDIAN), SIGMA)


def count_each(library: Library, series: int) -> None:
    """Count once in each of so many series.

    Their label values are made anew: a series keeps its own alive, and that is part of what it costs.
    """
    for index in range(series):
        library.count(f"/x/{index}")


def observe_each(library: Library, series: int, observations: int = 1) -> None:
    """Observe in each of so many series."""
    values = durations()
    for index in range(series):
        path = f"/x/{index}"
        for _ in range(observations):
            library.observe(path, next(values))


def be_busy(record: Callable[[float], None], clock: ManualClock, seconds: float) -> None:
    """Record ten times a second for so many seconds."""
    values = durations()
    for _ in range(round(seconds * PER_SECOND)):
        clock.advance(1 / PER_SECOND)
        record(next(values))


def graded_ages(oldest: float, number: int = 400) -> list[float]:
    """Give ages up to `oldest` seconds, from old to young, dense where a history is fine: so few events fill it."""
    return [oldest ** (index / number) for index in range(number, 0, -1)]
