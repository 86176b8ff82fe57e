"""A counter's series: a running total and its history."""

import math
from collections.abc import Callable
from typing import Self

from kailash_monitor.metrics.history import History, inside
from kailash_monitor.metrics.recorder import RECENT_POINTS, Recorder, Refuse
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.snapshot import Point, Sample
from kailash_monitor.model.window import CounterWindow

__all__ = ["CounterSeries"]


class _CounterSlot:
    """`total` is the running total when the slot closed."""

    __slots__ = ("first_at", "last_at", "total")

    def __init__(self, first_at: float, total: float) -> None:
        self.first_at = self.last_at = first_at
        self.total = total

    def absorb(self, newer: Self, /) -> None:
        self.last_at = newer.last_at
        self.total = newer.total


class CounterSeries(Recorder):
    """A running total that only rises."""

    __slots__ = ("_closed", "_open", "_total")

    def __init__(self, labels: Labels, *, now: Callable[[], float], born: float, refuse: Refuse) -> None:
        super().__init__(labels, now=now, born=born, refuse=refuse)
        self._total = 0.0
        self._open: _CounterSlot | None = None
        self._closed: History[_CounterSlot] = History()

    def inc(self, by: float = 1.0) -> None:
        """Add `by`, which must be finite and not negative; anything else is dropped and counted."""
        number = self._number(by)
        if number is None:
            return
        if number < 0:
            self._refuse(by, "negative: a counter only rises")
            return
        at = self._now()
        with self._lock:
            slot = self._open
            if slot is None or at >= self._rolls_at:
                if slot is not None:
                    self._closed.append(slot)
                self._open = slot = _CounterSlot(at, self._total)
                self._rolls_at = math.floor(at) + 1.0
            self._total += number
            slot.total = self._total
            slot.last_at = max(slot.last_at, at)

    @property
    def total(self) -> float:
        """All that was ever counted."""
        return self._total

    def window(self, seconds: float, now: float) -> CounterWindow:
        """Give the increase in the `seconds` before `now`."""
        start = now - seconds
        with self._lock:
            covers_since, before = self.born, 0.0
            if self._closed.evicted is not None:
                covers_since, before = self._closed.evicted.last_at, self._closed.evicted.total
            for slot in (*self._closed, *([self._open] if self._open else [])):
                if inside(slot, start):
                    break
                before = slot.total
            return CounterWindow(start, now, covers_since, increase=self._total - before, total=self._total)

    def sample(self, wall_offset: float, now: float) -> Sample:
        """Give the total and the recent past."""
        with self._lock:
            slots = (*self._closed, *([self._open] if self._open else []))[-RECENT_POINTS:]
            points = [Point(slot.last_at + wall_offset, slot.total) for slot in slots]
            return Sample(self.labels, self._total, points)
