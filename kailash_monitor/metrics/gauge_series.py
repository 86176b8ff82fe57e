"""A gauge's series: a value that comes and goes, and its history."""

import math
from collections.abc import Callable
from typing import Self

from kailash_monitor.metrics.history import History, inside
from kailash_monitor.metrics.recorder import RECENT_POINTS, Recorder, Refuse, locked_without_gil
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

    @locked_without_gil
    def set(self, value: float) -> None:
        """Say what the value is now; one that is not finite is dropped and counted."""
        now = self._now()
        slot: _GaugeSlot = self._open  # type: ignore[assignment]  # None only where it rolls over at once
        # between the extremes so far is finite, too; a new extreme is rare, and set on the slow way
        if now < self._rolls_at and (value.__class__ is float or value.__class__ is int) and slot.min <= value <= slot.max:
            slot.last = value
            slot.last_at = now
            slot.sum += value
            slot.count += 1
        else:
            number = self._number(value)
            if number is not None:
                self._set_slowly(lambda last: number)

    def add(self, delta: float) -> None:
        """Move the value by `delta`; it begins at 0."""
        number = self._number(delta)
        if number is not None:
            self._set_slowly(lambda last: last + number)

    def _set_slowly(self, change: Callable[[float], float]) -> None:
        with self._lock:
            at, slot = self._now(), self._open
            value = change(0.0 if slot is None else slot.last)
            if slot is None or at >= self._rolls_at:
                if slot is not None:
                    self._closed.append(slot)
                self._open = _GaugeSlot(at, value)
                self._rolls_at = math.floor(at) + 1.0
            else:
                slot.absorb(_GaugeSlot(at, value))

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
