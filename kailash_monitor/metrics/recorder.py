"""What every series that records has in common, and why most recordings take no lock.

With the GIL, a thread can lose its turn only after a call or at a jump backwards. A recording therefore makes its calls
first (the clock, the bucket) and then changes its slot in one go, which no other recording can interleave; a read takes its
copy in one expression without a call. What rolls a slot over is rare, and holds the lock. Without the GIL, every recording
holds the lock. Numbers other than floats and ints may run Python code when they are added, and go the slow way as well.
"""

import functools
import math
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from kailash_monitor.model.labels import Labels

__all__ = ["GIL", "HUGE", "RECENT_POINTS", "Recorder", "Refuse", "locked_without_gil"]

RECENT_POINTS: Final = 60
"""How many points of the recent past a snapshot carries per series: enough for a sparkline."""

HUGE: Final = 1e300
"""Beyond this, sums overflow: the slow way decides."""

GIL: Final[bool] = getattr(sys, "_is_gil_enabled", lambda: True)()

Refuse = Callable[[object, str], None]
"""Called with a value that cannot be recorded, and why."""

F = TypeVar("F", bound=Callable[..., None])


class Recorder:
    """Labels, clock, birth, and where refused values go.

    The lock guards what rolls over and what is read; foreign code never runs while it is held.
    """

    __slots__ = ("_lock", "_now", "_refuse", "_rolls_at", "born", "labels")

    def __init__(self, labels: Labels, *, now: Callable[[], float], born: float, refuse: Refuse) -> None:
        self.labels: Final = labels
        self.born: Final = born
        self._now = now
        self._refuse = refuse
        self._lock = threading.RLock()
        self._rolls_at = -math.inf  # when the open slot closes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.labels!r}>"

    def _number(self, value: object) -> float | None:
        """Give `value` as a float, or refuse it."""
        try:
            number = float(value)  # type: ignore[arg-type]  # whatever has __float__ is welcome
        except (TypeError, ValueError, OverflowError):
            self._refuse(value, "not a number")
            return None
        if math.isfinite(number):
            return number
        self._refuse(value, "not finite")
        return None


def locked_without_gil(record: F, *, gil: bool = GIL) -> F:
    """Give `record` as it is where there is a GIL, else holding the series' lock."""
    if gil:
        return record

    @functools.wraps(record)
    def locked(self: Recorder, *args: Any) -> None:  # Any: the arguments of `record`
        with self._lock:
            record(self, *args)

    return locked  # type: ignore[return-value]  # the same signature
