"""A counter's series: a running total and its history."""

import math
from collections.abc import Callable
from typing import Final, Self

from kailash_monitor.metrics.history import History, inside
from kailash_monitor.metrics.recorder import HUGE, RECENT_POINTS, Recorder, Refuse, locked_without_gil
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.snapshot import Point, Sample
from kailash_monitor.model.window import CounterWindow

__all__ = ["ONE", "CounterSeries"]

ONE: Final = 1.0
"""The step of `inc()`, known to be fine by being this very object."""


class _CounterSlot:
    """`total` is the running total when the slot closed."""

    __slots__ = ("first_at", "last_at", "total")

    def __init__(self, first_at: float, last_at: float, total: float) -> None:
        self.first_at = first_at
        self.last_at = last_at
        self.total = total

    def absorb(self, newer: Self, /) -> None:
        self.last_at = newer.last_at
        self.total = newer.total


class CounterSeries(Recorder):
    """A running total that only rises.

    The open slot is not an object: it began at `_first_at`, and its first increment made the total `_after_first`. Where
    that is the total still, it had one event; else its last event is taken to be at its end, a second later at most.
    """

    __slots__ = ("_after_first", "_closed", "_first_at", "_total")

    def __init__(self, labels: Labels, *, now: Callable[[], float], born: float, refuse: Refuse) -> None:
        super().__init__(labels, now=now, born=born, refuse=refuse)
        self._total = 0.0
        self._after_first = 0.0
        self._first_at: float | None = None
        self._closed: History[_CounterSlot] = History()

    @locked_without_gil
    def inc(self, by: float = ONE) -> None:
        """Add `by`, which must be finite and not negative; anything else is dropped and counted."""
        if self._now() < self._rolls_at and (
            by is ONE or ((by.__class__ is float or by.__class__ is int) and 0.0 <= by < HUGE)
        ):
            self._total += by
        else:
            self._inc_slowly(by)

    def _inc_slowly(self, by: float) -> None:
        number = self._number(by)
        if number is None:
            return
        if number < 0:
            self._refuse(by, "negative: a counter only rises")
            return
        with self._lock:
            at = self._now()
            if at < self._rolls_at:
                self._total += number
                return
            if self._first_at is not None:
                self._closed.append(self._open_slot(self._first_at, self._rolls_at))
            self._total += number
            self._first_at, self._after_first = at, self._total
            self._rolls_at = math.floor(at) + 1.0

    def _open_slot(self, first_at: float, end: float) -> _CounterSlot:
        single = self._total == self._after_first
        return _CounterSlot(first_at, first_at if single else end, self._total)

    def _slots(self, now: float) -> list[_CounterSlot]:
        slots = [*self._closed]
        if self._first_at is not None:
            slots.append(self._open_slot(self._first_at, max(self._first_at, min(now, self._rolls_at))))
        return slots

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
            for slot in self._slots(now):
                if inside(slot, start):
                    break
                before = slot.total
            total = self._total  # read last: it may have risen since the slots were
            return CounterWindow(start, now, covers_since, increase=total - before, total=total)

    def sample(self, wall_offset: float, now: float) -> Sample:
        """Give the total and the recent past."""
        with self._lock:
            slots = self._slots(now)[-RECENT_POINTS:]
            points = [Point(slot.last_at + wall_offset, slot.total) for slot in slots]
            return Sample(self.labels, self._total, points, self.born + wall_offset)
