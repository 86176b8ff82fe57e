"""What every series that records has in common."""

import math
import threading
from collections.abc import Callable
from typing import Final

from kailash_monitor.model.labels import Labels

__all__ = ["RECENT_POINTS", "Recorder", "Refuse"]

RECENT_POINTS: Final = 60
"""How many points of the recent past a snapshot carries per series: enough for a sparkline."""

Refuse = Callable[[object, str], None]
"""Called with a value that cannot be recorded, and why."""


class Recorder:
    """Labels, clock, birth, and where refused values go.

    All mutable state of a series is guarded by its own lock, held for a few statements and never around foreign code.
    """

    __slots__ = ("_lock", "_now", "_refuse", "_rolls_at", "born", "labels")

    def __init__(self, labels: Labels, *, now: Callable[[], float], born: float, refuse: Refuse) -> None:
        self.labels: Final = labels
        self.born: Final = born
        self._now = now
        self._refuse = refuse
        self._lock = threading.Lock()
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
