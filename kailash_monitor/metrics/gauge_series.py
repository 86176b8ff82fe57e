"""A gauge's series: a value that comes and goes, and its history."""

import math
from collections.abc import Callable
from typing import Self

from kailash_monitor.metrics.history import History, inside
from kailash_monitor.metrics.recorder import RECENT_POINTS, Recorder, Refuse
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.snapshot import Point, Sample
from kailash_monitor.model.window import GaugeWindow

__all__ = ["GaugeSeries"]


class _GaugeSlot:
    __slots__ = ("count", "first_at", "last", "last_at", "max", "min", "sum")

    def __init__(self, first_at: float, value: float) -> None:
        self.first_at = self.last_at = first_at
        self.last = self.min = self.max = self.sum = value
        self.count = 1

    def set(self, at: float, value: float) -> None:
        self.last_at = max(self.last_at, at)
        self.last = value
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        self.sum += value
        self.count += 1

    def absorb(self, newer: Self, /) -> None:
        self.last_at = newer.last_at
        self.last = newer.last
        self.min = min(self.min, newer.min)
        self.max = max(self.max, newer.max)
        self.sum += newer.sum
        self.count += newer.count


class GaugeSeries(Recorder):
    """A value that comes and goes."""

    __slots__ = ("_closed", "_open")

    def __init__(self, labels: Labels, *, now: Callable[[], float], born: float, refuse: Refuse) -> None:
        super().__init__(labels, now=now, born=born, refuse=refuse)
        self._open: _GaugeSlot | None = None
        self._closed: History[_GaugeSlot] = History()

    def set(self, value: float) -> None:
        """Say what the value is now; one that is not finite is dropped and counted."""
        number = self._number(value)
        if number is not None:
            with self._lock:
                self._put(self._now(), number)

    def add(self, delta: float) -> None:
        """Move the value by `delta`; it begins at 0."""
        number = self._number(delta)
        if number is not None:
            with self._lock:
                self._put(self._now(), (self._open.last if self._open else 0.0) + number)

    def _put(self, at: float, value: float) -> None:
        if self._open is not None and at < self._rolls_at:
            self._open.set(at, value)
            return
        if self._open is not None:
            self._closed.append(self._open)
        self._open = _GaugeSlot(at, value)
        self._rolls_at = math.floor(at) + 1.0

    @property
    def set_at(self) -> float:
        """When it was last set; minus infinity where it never was."""
        return self._open.last_at if self._open else -math.inf

    def window(self, seconds: float, now: float) -> GaugeWindow:
        """Give the values in the `seconds` before `now`, the one in force at the start included."""
        start = now - seconds
        with self._lock:
            if self._open is None:
                return GaugeWindow(start, now, self.born)
            in_force = self._closed.evicted
            found: list[_GaugeSlot] = []
            for slot in (*self._closed, self._open):
                if found or inside(slot, start):
                    found.append(slot)
                else:
                    in_force = slot
            values = [(s.min, s.max, s.sum, s.count) for s in found]
            if in_force is not None:
                values.append((in_force.last, in_force.last, in_force.last, 1))
            return GaugeWindow(
                start,
                now,
                self._closed.evicted.last_at if self._closed.evicted else self.born,
                first=in_force.last if in_force is not None else found[0].last,
                last=self._open.last,
                min=min(v[0] for v in values),
                max=max(v[1] for v in values),
                sum=math.fsum(v[2] for v in values),
                count=sum(v[3] for v in values),
                set_at=self._open.last_at,
            )

    def sample(self, wall_offset: float, now: float) -> Sample | None:
        """Give the value and the recent past; None where it was never set."""
        with self._lock:
            if self._open is None:
                return None
            slots = (*self._closed, self._open)[-RECENT_POINTS:]
            return Sample(self.labels, self._open.last, [Point(s.last_at + wall_offset, s.last) for s in slots])
