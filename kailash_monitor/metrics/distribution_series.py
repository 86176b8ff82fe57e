"""A distribution's series: observed values as counts, and their history."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Self

from kailash_monitor.metrics.history import History, inside
from kailash_monitor.metrics.recorder import RECENT_POINTS, Recorder, Refuse
from kailash_monitor.model.buckets import bucket_of
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.snapshot import DistributionSample, Point
from kailash_monitor.model.window import DistributionWindow

__all__ = ["DistributionSeries"]


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


class DistributionSeries(Recorder):
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
