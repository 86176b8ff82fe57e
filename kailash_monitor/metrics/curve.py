"""Curves: what series did over time, as one window after the other, read from the slots of their history.

A window that ends now is for `window` to tell; a curve is made of hundreds that ended before. So each series is read once,
and looked at where the windows begin and end. A slot that is longer than a window, as those of hours ago are, is taken to
have been even: sums stay what they are, and where a slot ends no spike is drawn.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import Any, Final, cast

from kailash_monitor.errors import NoAnswer
from kailash_monitor.metrics.history import History
from kailash_monitor.metrics.series import CallbackSeries, CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.buckets import Packed, pack, pool
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow

__all__ = ["CounterCurve", "DistributionCurve", "Grid", "gauge_windows"]

WHOLE: Final = 1024
"""Parts into which the buckets of a slot are divided that lies in several cells."""

_PARTS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, WHOLE)
"""How many parts a cell may have of a slot: few numbers, so that what has the same is pooled, and near enough."""

POOLED: Final = 32
"""Packed buckets of a cell that are kept side by side: pooling some together is quicker, and a fraction of a millisecond."""

CELLS: Final = 240
"""Cells of one window, at most."""

_UNKNOWN: Final[tuple[float | None, float | None, Mapping[int, int]]] = (None, None, {})
"""The extremes and buckets of a window without any observation, or where nobody asks for them."""


@dataclass(frozen=True, slots=True)
class Grid:
    """`points` windows, a `step` apart, of which the last ends at `end`, on the timeline; each is `reach` steps long."""

    end: float
    step: float
    points: int
    reach: int = 1

    @classmethod
    def of(cls, end: float, span: float, points: int, window: float = 0.0) -> "Grid":
        """Give the grid of the last `span` seconds, with windows of about so many seconds: a step at least."""
        step = span / points
        return cls(end, step, points, max(1, round(window / step)))

    @property
    def window(self) -> float:
        """How many seconds each window has."""
        return self.step * self.reach

    @property
    def ends(self) -> list[float]:
        """When each window ends."""
        return [self.end - (self.points - number) * self.step for number in range(1, self.points + 1)]

    @property
    def apart(self) -> int:
        """How many edges lie between the beginning of a window and its end."""
        return min(self.reach, self.points)

    @property
    def edges(self) -> list[float]:
        """Where windows begin and end: that of a point begins at the edge of its number, and ends `apart` further on.

        Where windows are longer than the grid, those between the last beginning and the first end are left out.
        """
        if self.reach > self.points:
            return [*[end - self.window for end in self.ends], *self.ends]
        return [self.end - (self.points + self.reach - 1 - number) * self.step for number in range(self.points + self.reach)]


class _Slots:
    """When the slots of a history began, and which part of them lies before a time."""

    __slots__ = ("_born", "_cells", "_firsts", "ends")

    def __init__(self, history: History, born: float) -> None:
        self._born = born
        sizes = history.sizes[::-1]  # the oldest are of the highest level
        self.ends = history.ends
        self._firsts = [0, *accumulate(sizes)]
        self._cells = [2.0**level for level in reversed(range(len(sizes)))]

    def began(self, index: int) -> float:
        """Give when a slot may have begun: in its cell, and not before its series, nor the last event of the one before."""
        ends, end = self.ends, self.ends[index]
        cell = self._cells[bisect_right(self._firsts, index) - 1]
        begun = math.floor(end / cell) * cell
        if index:
            begun = max(begun, ends[index - 1])
        return self._born if begun < self._born <= end else begun

    def reached(self, index: int, time: float) -> float:
        """Give which part of a slot that ends after `time` lies before it."""
        if index == len(self.ends):
            return 0.0
        begun = self.began(index)
        return (time - begun) / (self.ends[index] - begun) if begun < time else 0.0


class CounterCurve:
    """What counters did together. Mutable: by whoever has it take series."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._edges = grid.edges
        self._totals = [0.0] * len(self._edges)
        self._since = math.inf

    def take(self, series: CounterSeries) -> None:
        """Add a series."""
        total = series.total
        history = series.kept(self._grid.end)
        self._since = min(self._since, _since(history, series.born))
        if history is None:
            return
        (totals,), slots, ends = history.columns, _Slots(history, series.born), history.ends
        oldest = (history.gone or (0.0, 0.0))[1]
        for number, edge in enumerate(self._edges):
            index = bisect_right(ends, edge)
            before = totals[index - 1] if index else oldest
            part = slots.reached(index, edge)
            self._totals[number] += total + (before + part * (totals[index] - before) if part else before)

    def windows(self) -> Iterator[CounterWindow | None]:
        """Give the window of each point; None before anything was known. A total is never less than zero: before a restart
        it was another one.
        """
        grid, totals = self._grid, self._totals
        for number, end in enumerate(grid.ends):
            until = totals[number + grid.apart]
            rose = max(until - totals[number], 0.0)
            known = end >= self._since
            yield CounterWindow(end - grid.window, end, -math.inf, rose, max(until, 0.0)) if known else None


class DistributionCurve:
    """What distributions observed together; with `spread`, also its extremes and buckets.

    Counts may be fractions, where a slot lies in several windows; those of buckets are in 1024ths. The `latest` observation
    of the past is not known: the average of the newest stretch with any stands for it. Mutable: by whoever has it take
    series.
    """

    def __init__(self, grid: Grid, *, spread: bool) -> None:
        self._grid = grid
        self._edges = grid.edges
        self._counts = [0.0] * len(self._edges)  # before each edge, of those that are known
        self._sums = [0.0] * len(self._edges)
        self._spread = _Spread(grid) if spread else None
        self._since = math.inf

    def take(self, series: DistributionSeries) -> None:
        """Add a series."""
        history = series.kept(self._grid.end)
        self._since = min(self._since, _since(history, series.born))
        if history is None:
            return
        counts, sums, *spread = history.columns
        slots, ends = _Slots(history, series.born), history.ends
        counted, summed = [0, *accumulate(counts)], [0.0, *accumulate(sums)]
        for number, edge in enumerate(self._edges):
            index = bisect_right(ends, edge)
            part = slots.reached(index, edge)
            self._counts[number] += counted[index] + (part * counts[index] if part else 0.0)
            self._sums[number] += summed[index] + (part * sums[index] if part else 0.0)
        if self._spread is not None:
            self._spread.take(slots, *spread)

    def windows(self) -> Iterator[DistributionWindow | None]:
        """Give the window of each point; None before anything was known. With `spread` each takes some 50 µs."""
        grid, counts, sums = self._grid, self._counts, self._sums
        latest: float | None = None
        spreads = repeat(_UNKNOWN) if self._spread is None else self._spread.windows()
        for number, (end, (low, high, buckets)) in enumerate(zip(grid.ends, spreads, strict=False)):
            until = number + grid.apart
            newest = counts[until] - counts[until - 1]
            latest = (sums[until] - sums[until - 1]) / newest if newest > 0 else latest
            window = DistributionWindow(
                end - grid.window,
                end,
                -math.inf,
                cast("int", max(counts[until] - counts[number], 0.0)),  # or a part of one, as the class says
                sums[until] - sums[number],
                low,
                high,
                latest,
                end,
                buckets,
            )
            yield window if end >= self._since else None


class _Spread:
    """How observations were spread in the windows of a grid, cell by cell: cells are as long as a step, or longer, so that
    none has too many for its windows.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._cell = max(grid.step, grid.window / CELLS)
        self._reach = max(1, round(grid.window / self._cell))
        count = math.ceil((grid.step * grid.points) / self._cell) + self._reach
        self._edges = [grid.end - (count - number) * self._cell for number in range(count + 1)]
        self._lows = [math.inf] * count
        self._highs = [-math.inf] * count
        self._packs: list[dict[int, list[Packed]]] = [{} for _ in range(count)]

    def take(self, slots: _Slots, lows: Any, highs: Any, packs: list[Packed]) -> None:  # Any: arrays
        """Add the slots of a series, with the columns of its history."""
        edges, ends = self._edges, slots.ends
        for index in range(bisect_right(ends, edges[0]), len(ends)):
            begun, end = slots.began(index), ends[index]
            last = bisect_left(edges, end) - 1
            first = min(bisect_right(edges, begun) - 1, last)
            for cell in range(max(first, 0), min(last, len(self._lows) - 1) + 1):
                self._lows[cell] = min(self._lows[cell], lows[index])
                self._highs[cell] = max(self._highs[cell], highs[index])
                inside = min(end, edges[cell + 1]) - max(begun, edges[cell])
                share = 1.0 if first == last else inside / (end - begun)
                some = self._packs[cell].setdefault(_parts(share), [])
                some.append(packs[index])
                if len(some) == POOLED:
                    some[:] = [pack(pool(some))]

    def windows(self) -> Iterator[tuple[float | None, float | None, Mapping[int, int]]]:
        """Give the lowest, the highest and the buckets of each window.

        The buckets of cells are added as the windows come to them, and taken away as they leave them.
        """
        cells = list[dict[int, int]]()
        inside: dict[int, int] = {}
        left = 0
        for end in self._grid.ends:
            until = len(self._lows) - round((self._grid.end - end) / self._cell)
            while len(cells) < until:
                cells.append(_pooled(self._packs[len(cells)]))
                for bucket, count in cells[-1].items():
                    inside[bucket] = inside.get(bucket, 0) + count
            while left < until - self._reach:
                for bucket, count in cells[left].items():
                    inside[bucket] -= count
                    if not inside[bucket]:
                        del inside[bucket]
                left += 1
            low, high = min(self._lows[left:until]), max(self._highs[left:until])
            yield (low, high, inside.copy()) if inside else _UNKNOWN


def gauge_windows(series: GaugeSeries | CallbackSeries, grid: Grid, *, spread: bool = True) -> Iterator[GaugeWindow | None]:
    """Give what one gauge was in each window; None where it had no value that is known.

    Without `spread` only the values at the ends are told. A callback is asked first, where it is due. Within a slot that is
    longer than a window, the gauge is taken to have been at its mean.
    """
    if isinstance(series, CallbackSeries):
        with suppress(NoAnswer):
            series.look(grid.end)
    history = series.kept(grid.end)
    if history is None:
        yield from [None] * grid.points
        return
    held = _Held(history, series.born, grid)
    for number, end in enumerate(grid.ends):
        first, last = held.values[number], held.values[number + grid.apart]
        if math.isnan(last):
            yield None
        elif spread:
            yield held.window(number, end)
        else:
            yield GaugeWindow(end - grid.window, end, -math.inf, None if math.isnan(first) else first, last, set_at=end)


class _Held:
    """What a gauge was at each edge of a grid: NaN where that is not known."""

    def __init__(self, history: History, born: float, grid: Grid) -> None:
        self._grid = grid
        self._columns = history.columns
        values, _, _, sums, counts = history.columns
        slots, ends = _Slots(history, born), history.ends
        oldest = math.nan if history.gone is None else history.gone[1]
        self.values = list[float]()
        self._indices = list[int]()  # of the slot that each edge lies in, or that comes next
        self._within = list[bool]()
        for edge in grid.edges:
            index = bisect_right(ends, edge)
            within = slots.reached(index, edge) > 0 and counts[index] > 0
            self.values.append(sums[index] / counts[index] if within else values[index - 1] if index else oldest)
            self._indices.append(index)
            self._within.append(within)

    def window(self, number: int, end: float) -> GaugeWindow:
        """Give the window of a point at which there is a value."""
        grid, until = self._grid, number + self._grid.apart
        values, lows, highs, sums, counts = self._columns
        inside = slice(self._indices[number], self._indices[until])
        first, last = self.values[number], self.values[until]
        low, high = min(lows[inside], default=math.inf), max(highs[inside], default=-math.inf)
        total, count = sum(sums[inside]), sum(counts[inside])
        if math.isnan(first):
            first = next((value for value in values[inside] if not math.isnan(value)), last)
        else:  # in force at the start
            low, high, total, count = min(low, first), max(high, first), total + first, count + 1.0
        if self._within[until]:
            low, high = min(low, lows[inside.stop]), max(high, highs[inside.stop])
            total, count = total + last, count + 1.0
        return GaugeWindow(end - grid.window, end, -math.inf, first, last, low, high, total, int(count), end)


def _since(history: History | None, born: float) -> float:
    """Give since when anything is known of a series."""
    if history is None or not len(history):
        return born
    gone = -math.inf if history.gone is None else history.gone[0]  # of a past that goes on, it is later than its first slot
    return min(gone if gone > -math.inf else born, history.ends[0])


def _parts(share: float) -> int:
    """Give about as many parts of a slot as a share of it has."""
    return _PARTS[max(bisect_right(_PARTS, share * WHOLE * 1.2) - 1, 0)]


def _pooled(packs: Mapping[int, list[Packed]]) -> dict[int, int]:
    """Give the buckets of a cell, in parts of a slot's counts."""
    found: dict[int, int] = {}
    for parts, some in packs.items():
        for bucket, count in pool(some).items():
            found[bucket] = found.get(bucket, 0) + count * parts
    return found
