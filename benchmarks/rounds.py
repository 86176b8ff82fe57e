"""Rounds: every contestant has its turn in each, and what others on the machine take does not count.

Times are the thread's own (`time.thread_time`), since nothing measured here waits for anything.
"""

import gc
import time
import timeit
from collections.abc import Callable, Mapping
from typing import TypeVar

from benchmarks.effort import Effort

__all__ = ["in_rounds", "seconds_of", "seconds_per_call"]

T = TypeVar("T")


def in_rounds(measures: Mapping[str, Callable[[], T]], effort: Effort) -> dict[str, list[T]]:
    """Give what each measure gave in each round."""
    found: dict[str, list[T]] = {name: [] for name in measures}
    for _ in range(effort.rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def seconds_of(work: Callable[[], object]) -> float:
    """Give how long `work()` takes. The garbage collector runs, as it does in life, but begins with nothing to do."""
    gc.collect()
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def seconds_per_call(call: str, names: Mapping[str, object], calls: int) -> float:
    """Give how long the statement `call` takes, for one `value` of `names["values"]` after the other.

    The loop's own nanoseconds are in it, and the garbage collector is off, for all alike.
    """
    timer = timeit.Timer(f"for value in values: {call}", timer=time.thread_time, globals=dict(names))
    values = names["values"]
    assert isinstance(values, list)
    repeats = max(1, calls // len(values))
    return timer.timeit(repeats) / (repeats * len(values))
