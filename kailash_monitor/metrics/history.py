"""History: an age-graded ring of time slots, fine for the recent past and coarse for the distant one.

Level k has slots within cells of 2^k seconds. A level that holds more than its number of slots passes its oldest to the next
level, where it merges with the slot of the same 2^(k+1) seconds, if there is one, and with no other. Empty slots do not
exist, so sparse events stay exact.

A window takes in a slot whose last event lies in it as a whole. The slot that its edge cuts is thus counted too early by
less than its cell. When a slot of level k is made, the levels below hold 32 + 16 + … + 16 slots of their own, each in a
cell of its own: it is at least 31 + 15 · (2^k - 2) seconds old, and its cell is 2^k seconds long, which is less than 7 % of
that (for k = 0, one second). Hence the law: an answer for a window w is exact for some w′ with |w′ - w| ≤ max(1 s, 0.07 w).
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

__all__ = ["DEFAULT_RETENTION", "Fold", "History", "newer"]

FINEST: Final = 32
PER_LEVEL: Final = 16

DEFAULT_RETENTION: Final = 86_400.0
"""A day: the longest window the default rules and the guide ask for."""

Value = Any  # a number or what a column of objects holds
Fold = Callable[[Value, Value], Value]
"""Makes one value of those of two slots, the older first."""


def newer(older: Value, newer: Value, /) -> Value:
    """Give the newer one: how running totals and last values fold."""
    return newer


class History:
    """Closed slots of one series, oldest first, in columns: `ends` has the time of each slot's last event.

    `columns` are the caller's, empty at first: arrays or lists, each folded by the function at its place in `folds`. Not
    thread-safe: the series that owns it holds its lock around every call. `gone` is the newest slot that the retention has
    let go, as `(end, *row)`; None as long as everything since the beginning is here.
    """

    __slots__ = ("_folds", "_sizes", "columns", "ends", "gone")

    def __init__(self, columns: tuple[Any, ...], folds: tuple[Fold, ...]) -> None:  # Any: array or list
        self.ends = array("d")
        self.columns: Final = columns
        self.gone: tuple[Value, ...] | None = None
        self._folds = folds
        self._sizes = bytearray(1)  # slots of each level, the finest first

    @classmethod
    def of(cls, ends: "array[float]", columns: tuple[Any, ...], folds: tuple[Fold, ...], sizes: bytearray) -> "History":
        """Give one that goes on from these slots; `sizes` says how many of them each level has, the finest first."""
        history = cls(columns, folds)
        history.ends, history._sizes = ends, sizes
        return history

    def copy(self) -> "History":
        """Give another one with the same slots."""
        twin = History.of(self.ends[:], tuple([column[:] for column in self.columns]), self._folds, self._sizes[:])
        twin.gone = self.gone
        return twin

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def sizes(self) -> bytes:
        """How many slots each level has, the finest first."""
        return bytes(self._sizes)

    def append(self, end: float, row: Sequence[Value], retention: float) -> None:
        """Add the slot that has just been closed; let go what ended before the retention.

        One that seems older than the last is as old: threads may be some microseconds late. One of the same second as the
        last becomes one with it.
        """
        ends, end = self.ends, max(end, self.ends[-1]) if self.ends else end
        ends.append(end)
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)
        if self._sizes[0] and math.floor(ends[-2]) == math.floor(end):
            self._fold(len(ends) - 2)  # of the same second: there is one slot for each
        else:
            self._pass_on()
        horizon = end - retention
        while self.ends[0] < horizon:
            end = self.ends.pop(0) if self.gone is None else max(self.gone[0], self.ends.pop(0))
            self.gone = (end, *[column.pop(0) for column in self.columns])
            self._sizes[-1] -= 1
            while not self._sizes[-1]:
                self._sizes.pop()

    def after(self, start: float) -> int:
        """Give the index of the first slot whose last event is later than `start`."""
        return bisect_right(self.ends, start)

    def rows(self) -> list[tuple[Value, ...]]:
        """Give every slot as `(end, *row)`, oldest first."""
        return list(zip(self.ends, *self.columns, strict=True))

    def _pass_on(self) -> None:
        ends, sizes = self.ends, self._sizes
        sizes[0] += 1
        stop = len(ends)
        for level in count():
            if sizes[level] <= (PER_LEVEL if level else FINEST):
                return
            oldest = stop - sizes[level]  # from now on the newest of the next level
            sizes[level] -= 1
            if level + 1 == len(sizes):
                sizes.append(0)
            cell = 2 << level
            if sizes[level + 1] and math.floor(ends[oldest - 1] / cell) == math.floor(ends[oldest] / cell):
                self._fold(oldest - 1)
                return
            sizes[level + 1] += 1
            stop = oldest + 1

    def _fold(self, index: int) -> None:
        """Make one slot of the one at `index` and the next."""
        del self.ends[index]
        for column, fold in zip(self.columns, self._folds, strict=True):
            column[index + 1] = fold(column[index], column[index + 1])
            del column[index]
