"""Series: one label set of a metric, the handle that records and the history that answers.

All mutable state of a series is guarded by its own lock, held for a few statements and never around foreign code.
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final, Self

from kailash_monitor.metrics.history import History, inside
from kailash_monitor.model.buckets import bucket_of
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.snapshot import DistributionSample, Point, Sample
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow

__all__ = ["CallbackSeries", "CounterSeries", "DistributionSeries", "GaugeSeries", "Series"]

RECENT_POINTS: Final = 60
"""How many points of the recent past a snapshot carries per series: enough for a sparkline."""

Refuse = Callable[[object, str], None]
"""Called with a value that cannot be recorded, and why."""


class _Recorder:
    """What the series that record have in common: labels, clock, birth and where refused values go."""

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


class _CounterSlot:
    """`total` is the running total when the slot closed."""

    __slots__ = ("first_at", "last_at", "total")

    def __init__(self, first_at: float, total: float) -> None:
        self.first_at = self.last_at = first_at
        self.total = total

    def absorb(self, newer: Self, /) -> None:
        self.last_at = newer.last_at
        self.total = newer.total


class CounterSeries(_Recorder):
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


class GaugeSeries(_Recorder):
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


class CallbackSeries:
    """A gauge whose value is computed when it is read.

    `read(now)` gives the value, None where there is nothing to say. What it raises reaches the reader: a rule turns it
    into an error of its own, an export leaves the series out.
    """

    __slots__ = ("_read", "labels")

    def __init__(self, labels: Labels, read: Callable[[float], float | None]) -> None:
        self.labels: Final = labels
        self._read = read

    def window(self, seconds: float, now: float) -> GaugeWindow:
        """Give the value it has now, whatever the window."""
        value = self._read(now)
        start = now - seconds
        if value is None:
            return GaugeWindow(start, now, start)
        return GaugeWindow(start, now, start, first=value, last=value, min=value, max=value, sum=value, count=1, set_at=now)

    def sample(self, wall_offset: float, now: float) -> Sample | None:
        """Give the value it has now; None where there is nothing to say."""
        value = self._read(now)
        return None if value is None else Sample(self.labels, value, [Point(now + wall_offset, value)])


class _DistributionSlot:
    __slots__ = ("buckets", "count", "first_at", "last_at", "max", "min", "sum")

    def __init__(self, first_at: float) -> None:
        self.first_at = self.last_at = first_at
        self.count = 0
        self.sum = 0.0
        self.min = math.inf
        self.max = -math.inf
        self.buckets: dict[int, int] = {}

    def observe(self, at: float, value: float, bucket: int) -> None:
        self.last_at = max(self.last_at, at)
        self.count += 1
        self.sum += value
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def absorb(self, newer: Self, /) -> None:
        self.last_at = newer.last_at
        self.count += newer.count
        self.sum += newer.sum
        self.min = min(self.min, newer.min)
        self.max = max(self.max, newer.max)
        for bucket, count in newer.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count


class DistributionSeries(_Recorder):
    """Observed values, as counts: how many, their sum, and how they are spread."""

    __slots__ = ("_bounds", "_closed", "_count", "_latest", "_le", "_open", "_sum")

    def __init__(
        self, labels: Labels, bounds: Sequence[float], *, now: Callable[[], float], born: float, refuse: Refuse
    ) -> None:
        super().__init__(labels, now=now, born=born, refuse=refuse)
        self._bounds = bounds
        self._le = [0] * (len(bounds) + 1)
        self._count = 0
        self._sum = 0.0
        self._latest: float | None = None
        self._open: _DistributionSlot | None = None
        self._closed: History[_DistributionSlot] = History()

    def observe(self, value: float) -> None:
        """Count one observation; one that is not finite is dropped and counted."""
        number = self._number(value)
        if number is None:
            return
        at, bucket, le = self._now(), bucket_of(number), bisect_left(self._bounds, number)
        with self._lock:
            if self._open is None or at >= self._rolls_at:
                if self._open is not None:
                    self._closed.append(self._open)
                self._open = _DistributionSlot(at)
                self._rolls_at = math.floor(at) + 1.0
            self._open.observe(at, number, bucket)
            self._le[le] += 1
            self._count += 1
            self._sum += number
            self._latest = number

    def window(self, seconds: float, now: float) -> DistributionWindow:
        """Give the observations in the `seconds` before `now`."""
        start = now - seconds
        with self._lock:
            covers_since = self._closed.evicted.last_at if self._closed.evicted else self.born
            if self._open is None:
                return DistributionWindow(start, now, covers_since)
            pooled = _DistributionSlot(start)
            for slot in (*self._closed, self._open):
                if inside(slot, start):
                    pooled.absorb(slot)
            return DistributionWindow(
                start,
                now,
                covers_since,
                count=pooled.count,
                sum=pooled.sum,
                min=pooled.min if pooled.count else None,
                max=pooled.max if pooled.count else None,
                latest=self._latest,
                latest_at=self._open.last_at,
                buckets=pooled.buckets,
            )

    def sample(self, wall_offset: float, now: float) -> DistributionSample:
        """Give the totals and the recent past, whose points are the averages of their slots."""
        with self._lock:
            running, le = 0, list[tuple[float, int]]()
            for bound, count in zip((*self._bounds, math.inf), self._le, strict=True):
                running += count
                le.append((bound, running))
            slots = (*self._closed, *([self._open] if self._open else []))[-RECENT_POINTS:]
            points = [Point(s.last_at + wall_offset, s.sum / s.count) for s in slots]
            return DistributionSample(self.labels, self._count, self._sum, self._latest, le, points)


Series = CounterSeries | GaugeSeries | DistributionSeries | CallbackSeries
