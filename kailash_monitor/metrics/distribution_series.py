"""A distribution's series: observed values as counts, and their history."""

import math
import operator
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import ceil, log2
from types import MappingProxyType
from typing import Final

from kailash_monitor.metrics.checkpoint import Past
from kailash_monitor.metrics.history import Fold, History
from kailash_monitor.metrics.recorder import HUGE, RECENT_POINTS, SHUT, Family, Recorder, with_gil
from kailash_monitor.model.buckets import EMPTY, PER_DOUBLING, Packed, bucket_of, merge, pack, pool
from kailash_monitor.model.exemplar import Exemplar
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.views import Point, Totals
from kailash_monitor.model.window import DistributionWindow

__all__ = ["DistributionSeries"]

_FOLDS: Final[tuple[Fold, ...]] = (operator.add, operator.add, min, max, merge)
_COUNT, _SUM, _MIN, _MAX, _BUCKETS = range(5)
"""The columns of a distribution's history."""

_NO_EXEMPLARS: Final[Mapping[int, Exemplar]] = MappingProxyType({})


def _columns() -> tuple[array, array, array, array, list[Packed]]:  # type: ignore[type-arg]  # of "q" and "d"
    return array("q"), array("d"), array("d"), array("d"), []


class DistributionSeries(Recorder):
    """Observed values, as counts: how many, their sum, and how they are spread.

    The open slot is in the series itself: `_buckets` counts its observations, whose number is not kept a second time.
    `_le` counts what fell between the exposition's bounds, ever; `_ever_sum` and `_ever` are the sum and the buckets of all
    slots that were closed, those that the retention has let go included. What was observed before a restart is in none of
    them, and no window shows it until there is an observation here.
    """

    __slots__ = (
        "_bounds", "_buckets", "_closed", "_ever", "_ever_sum", "_last", "_last_at", "_le", "_max", "_min", "_sum",
    )  # fmt: skip

    def __init__(self, labels: Labels, family: Family) -> None:
        super().__init__(labels, family)
        self._bounds = family.bounds
        self._le = [0] * (len(family.bounds) + 1)
        self._ever_sum = 0.0
        self._ever: Packed | dict[int, int] = EMPTY
        self._closed: History | None = None
        self._last, self._last_at = math.nan, -math.inf
        self._buckets: dict[int, int] = {}
        self._sum, self._min, self._max = 0.0, math.inf, -math.inf

    def observe(self, value: float, exemplar: Mapping[str, object] | None = None) -> None:
        """Count one observation; one that is not finite is dropped and counted.

        `exemplar` (such as `{"trace_id": …}`) says how to find this very event.
        """
        if exemplar is None and (value.__class__ is float or value.__class__ is int) and 0.0 < value < HUGE:
            bucket = ceil(log2(value) * PER_DOUBLING)
            bound = bisect_left(self._bounds, value)
            clock = self._now
            # a new extreme or bucket is rare, and counted on the slow way
            if (
                (now := clock()) < self._rolls_at
                and bucket in (buckets := self._buckets)
                and self._min <= value <= self._max
            ):
                buckets[bucket] += 1
                self._le[bound] += 1
                self._sum += value
                self._last = value
                self._last_at = now
                return
        self._observe_slowly(value, exemplar)

    def _observe_slowly(self, value: float, exemplar: Mapping[str, object] | None = None) -> None:
        number = self._number(value)
        if number is None:
            return
        shown = self._exemplar(exemplar, number)
        if not self._family.record(lambda: self._present()._count(number, shown)):
            self._family.refuse(value, "too large: the sum would be infinite")

    observe = with_gil(observe, _observe_slowly)

    def _present(self) -> "DistributionSeries":
        series = self._family.readmit(self) if self.removed else self
        assert isinstance(series, DistributionSeries)
        return series

    def _count(self, number: float, exemplar: Exemplar | None) -> bool:
        at = self._now()
        if math.isinf(self._ever_sum + self._sum + number):
            return False
        bucket, bound = bucket_of(number), bisect_left(self._bounds, number)
        if not self._takes(at, self._last_at):
            self._roll_over(at)
        self._buckets[bucket] = self._buckets[bucket] + 1 if bucket in self._buckets else 1
        self._le[bound] += 1
        self._sum += number
        self._last, self._last_at = number, at
        if number < self._min:
            self._min = number
        if number > self._max:
            self._max = number
        if exemplar is not None:
            self._family.exemplars[self] = {**self.exemplars, bound: exemplar}
        return True

    def _roll_over(self, at: float) -> None:
        """Close the open slot, if there is one, and open the one of `at`.

        What was open is taken away in one go, before any call: a signal handler that records meanwhile finds it closed.
        """
        self._rolls_at = SHUT  # from here on, whoever is about to record waits for the lock
        closes, buckets, total, low, high = self._last_at, self._buckets, self._sum, self._min, self._max
        self._ever_sum += total
        self._buckets, self._sum, self._min, self._max = {}, 0.0, math.inf, -math.inf
        if buckets:
            packed = pack(buckets)
            self._close(closes, sum(buckets.values()), total, low, high, packed)
            self._keep_for_ever(packed, buckets)
        self._rolls_at = self._family.door(at)

    def _keep_for_ever(self, packed: Packed, buckets: Mapping[int, int]) -> None:
        """Add a slot to what was ever closed: one addition, or one for each bucket where values lie too far apart."""
        if isinstance(self._ever, dict):
            for index, number in buckets.items():
                self._ever[index] = self._ever.get(index, 0) + number
        else:
            merged = merge(self._ever, packed)
            self._ever = merged if isinstance(merged, int) else pool((merged,))

    def _open(self) -> tuple[float, int, float, float, float, Packed]:
        return self._last_at, sum(self._buckets.values()), self._sum, self._min, self._max, pack(self._buckets)

    def _close(self, end: float, count: int, total: float, low: float, high: float, buckets: Packed) -> None:
        if self._closed is None:
            self._closed = History(_columns(), _FOLDS)
        self._closed.append(end, (count, total, low, high, buckets), self._family.retention)

    @property
    def exemplars(self) -> Mapping[int, Exemplar]:
        """The last observation that came with one, by the index of its bound."""
        found: Mapping[int, Exemplar] = self._family.exemplars.get(self, _NO_EXEMPLARS)
        return found

    @property
    def latest(self) -> float | None:
        """The last observation; None where there was none."""
        return None if self._last_at == -math.inf else self._last

    @property
    def touched_at(self) -> float:
        """When it was last recorded; minus infinity where it never was."""
        return self._last_at

    def totals(self) -> Totals:
        """Give all that was ever observed, between the bounds of the family."""
        with self._family.lock:
            counts = list[int]()
            counts += self._le  # from here on one moment, without a call and without making anything: see `recorder`
            total = self._ever_sum + self._sum
            return Totals(counts, total)

    def exponential(self) -> tuple[Totals, Packed]:
        """Give the same, and at the same moment by exponential buckets."""
        with self._family.lock:
            counts, buckets = list[int](), dict[int, int]()
            counts += self._le  # from here on one moment, without a call and without making anything: see `recorder`
            buckets |= self._buckets
            total = self._ever_sum + self._sum
            ever = pack(self._ever) if isinstance(self._ever, dict) else self._ever
        return Totals(counts, total), merge(ever, pack(buckets)) if buckets else ever

    def window(self, seconds: float, now: float) -> DistributionWindow:
        """Give the observations in the `seconds` before `now`."""
        start = now - seconds
        count, total, low, high, packed = 0, 0.0, math.inf, -math.inf, list[Packed]()
        covers_since = self._family.born
        with self._family.lock:
            buckets = dict[int, int]()
            buckets |= self._buckets  # as above
            last_at, last, open_sum = self._last_at, self._last, self._sum
            open_min, open_max = self._min, self._max
            closed = self._closed
            if closed is not None:
                if closed.gone is not None:
                    covers_since = closed.gone[0]
                index = closed.after(start)
                if index < len(closed):
                    counts, sums, lows, highs, packs = [column[index:] for column in closed.columns]
                    count, total, low, high, packed = sum(counts), sum(sums), min(lows), max(highs), packs
        if last_at == -math.inf:
            return DistributionWindow(start, now, covers_since)
        pooled = pool(packed)
        if last_at > start:
            for index, number in buckets.items():
                pooled[index] = pooled.get(index, 0) + number
            count += sum(buckets.values())
            total, low, high = total + open_sum, min(low, open_min), max(high, open_max)
        if not count:
            return DistributionWindow(start, now, covers_since, latest=last, latest_at=last_at)
        return DistributionWindow(start, now, covers_since, count, total, low, high, last, last_at, pooled)

    def points(self) -> list[Point]:
        """Give the average of each of the last slots."""
        with self._family.lock:
            seen = self._closed is not None and self._last_at > -math.inf
            rows = self._closed.rows()[1 - RECENT_POINTS :] if self._closed is not None and seen else []
            points = [Point(end, total / count) for end, count, total, *_ in rows]
            buckets = dict[int, int]()
            buckets |= self._buckets  # as above
            total, last_at = self._sum, self._last_at
            return [*points, Point(last_at, total / sum(buckets.values()))] if buckets else points

    @classmethod
    def joined(cls, family: Family, parts: "Sequence[DistributionSeries]") -> "DistributionSeries":
        """Give one series that observed all that `parts` did, and when. They are left as they are."""
        whole = cls(NO_LABELS, family)
        with family.lock:
            observed = [part.exponential() for part in parts]
            gone = [s._closed.gone for s in parts if s._closed is not None and s._closed.gone is not None]
            if gone:
                whole._closed = History(_columns(), _FOLDS)
                whole._closed.gone = max(gone, key=lambda slot: slot[0])
            for slot in sorted([slot for part in parts for slot in part._slots()], key=lambda slot: slot[0]):
                whole._close(*slot)
            whole._last_at, whole._last = max([(part._last_at, part._last) for part in parts], key=lambda pair: pair[0])
        whole._le = [sum(counts) for counts in zip(*[totals.counts for totals, _ in observed], strict=True)]
        whole._ever_sum = sum([totals.sum for totals, _ in observed])
        ever = pool([packed for _, packed in observed])
        packed = pack(ever)
        whole._ever = packed if isinstance(packed, int) else ever
        return whole

    def _slots(self) -> list[tuple[float, int, float, float, float, Packed]]:
        """Give every slot as `_close` takes it, the open one included."""
        rows = [] if self._closed is None else self._closed.rows()
        return [*rows, self._open()] if self._buckets else rows

    def kept(self, now: float) -> History | None:
        """Give a copy of its history, the open slot at its end; None where it has none."""
        with self._family.lock:
            buckets = dict[int, int]()
            buckets |= self._buckets  # as in `window`
            last_at, total, low, high = self._last_at, self._sum, self._min, self._max
            history = None if self._closed is None else self._closed.copy()
        if buckets:
            history = History(_columns(), _FOLDS) if history is None else history
            row = (sum(buckets.values()), total, low, high, pack(buckets))
            history.append(last_at, row, self._family.retention)
        return history

    def precede(self, past: Past) -> None:
        """Have `past` come before all that was observed here: windows see it, the totals do not."""
        with self._family.lock:
            self._closed = past.then(self._closed, _FOLDS, self._family.born)
