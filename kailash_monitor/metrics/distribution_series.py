"""A distribution's series: observed values as counts, and their history."""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from math import ceil, log2
from typing import Self

from kailash_monitor.metrics.history import History, inside
from kailash_monitor.metrics.recorder import HUGE, RECENT_POINTS, Recorder, Refuse, locked_without_gil
from kailash_monitor.model.buckets import OFFSET, PER_DOUBLING, bucket_of
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.snapshot import DistributionSample, Point
from kailash_monitor.model.window import DistributionWindow

__all__ = ["DistributionSeries"]


class _DistributionSlot:
    """`buckets` counts the observations: their number is not kept a second time."""

    __slots__ = ("buckets", "first_at", "last", "last_at", "max", "min", "sum")

    def __init__(self, first_at: float) -> None:
        self.first_at = self.last_at = first_at
        self.sum = 0.0
        self.min = math.inf
        self.max = -math.inf
        self.last = math.nan
        self.buckets: dict[int, int] = defaultdict(int)

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def absorb(self, newer: Self, /) -> None:
        self.last_at = newer.last_at
        self.last = newer.last
        self.sum += newer.sum
        self.min = min(self.min, newer.min)
        self.max = max(self.max, newer.max)
        for bucket, count in newer.buckets.items():
            self.buckets[bucket] += count

    def copy(self) -> Self:
        """Give the slot as it is at one moment; see `recorder` for why this is one."""
        copy = type(self)(self.first_at)
        now = (self.last_at, self.last, self.sum, self.min, self.max, {**self.buckets})
        copy.last_at, copy.last, copy.sum, copy.min, copy.max = now[:5]
        copy.buckets.update(now[5])
        return copy


class DistributionSeries(Recorder):
    """Observed values, as counts: how many, their sum, and how they are spread.

    `_le` counts what fell between the exposition's bounds, ever; `_closed_sum` is the sum of what the closed slots saw.
    """

    __slots__ = ("_bounds", "_closed", "_closed_sum", "_le", "_open")

    def __init__(
        self, labels: Labels, bounds: Sequence[float], *, now: Callable[[], float], born: float, refuse: Refuse
    ) -> None:
        super().__init__(labels, now=now, born=born, refuse=refuse)
        self._bounds = bounds
        self._le = [0] * (len(bounds) + 1)
        self._closed_sum = 0.0
        self._open: _DistributionSlot | None = None
        self._closed: History[_DistributionSlot] = History()

    @locked_without_gil
    def observe(self, value: float) -> None:
        """Count one observation; one that is not finite is dropped and counted."""
        if (value.__class__ is float or value.__class__ is int) and 0.0 < value < HUGE:
            bucket = ceil(log2(value) * PER_DOUBLING) + OFFSET
            bound = bisect_left(self._bounds, value)
            now = self._now()
            if now < self._rolls_at:
                slot: _DistributionSlot = self._open  # type: ignore[assignment]  # open until it rolls over
                slot.buckets[bucket] += 1
                self._le[bound] += 1
                slot.sum += value
                slot.last = value
                slot.last_at = now
                if value < slot.min:  # min() would be a call, and open a gap
                    slot.min = value
                elif value > slot.max:
                    slot.max = value
                return
        self._observe_slowly(value)

    def _observe_slowly(self, value: float) -> None:
        number = self._number(value)
        if number is None:
            return
        bucket, bound = bucket_of(number), bisect_left(self._bounds, number)
        with self._lock:
            at, slot = self._now(), self._open
            if slot is None or at >= self._rolls_at:
                if slot is not None:
                    self._closed_sum += slot.sum
                    self._closed.append(slot)
                slot = _DistributionSlot(at)
                self._rolls_at = math.floor(at) + 1.0
            slot.buckets[bucket] += 1
            self._le[bound] += 1
            slot.sum += number
            slot.last = number
            slot.last_at = at
            slot.min = min(slot.min, number)
            slot.max = max(slot.max, number)
            self._open = slot

    def window(self, seconds: float, now: float) -> DistributionWindow:
        """Give the observations in the `seconds` before `now`."""
        start = now - seconds
        with self._lock:
            covers_since = self._closed.evicted.last_at if self._closed.evicted else self.born
            if self._open is None:
                return DistributionWindow(start, now, covers_since)
            newest = self._open.copy()
            pooled = _DistributionSlot(start)
            for slot in (*self._closed, newest):
                if inside(slot, start):
                    pooled.absorb(slot)
        count = pooled.count
        return DistributionWindow(
            start,
            now,
            covers_since,
            count=count,
            sum=pooled.sum,
            min=pooled.min if count else None,
            max=pooled.max if count else None,
            latest=newest.last,
            latest_at=newest.last_at,
            buckets=pooled.buckets,
        )

    def sample(self, wall_offset: float, now: float) -> DistributionSample:
        """Give the totals and the recent past, whose points are the averages of their slots."""
        with self._lock:
            slot = self._open
            counts, total = ([*self._le], self._closed_sum) if slot is None else ([*self._le], self._closed_sum + slot.sum)
            latest = None if slot is None else slot.last
            slots = [*self._closed, *([] if slot is None else [slot.copy()])][-RECENT_POINTS:]
            points = [Point(s.last_at + wall_offset, s.sum / s.count) for s in slots]
        running, le = 0, list[tuple[float, int]]()
        for bound, count in zip((*self._bounds, math.inf), counts, strict=True):
            running += count
            le.append((bound, running))
        return DistributionSample(self.labels, running, total, latest, le, points, self.born + wall_offset)
