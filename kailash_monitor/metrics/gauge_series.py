"""A gauge's series: a value that comes and goes, and its history."""

import math
import operator
from array import array
from collections.abc import Callable
from typing import Final

from kailash_monitor.metrics.checkpoint import Past
from kailash_monitor.metrics.history import Fold, History, newer
from kailash_monitor.metrics.recorder import RECENT_POINTS, SHUT, Family, Recorder, with_gil
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.views import Point
from kailash_monitor.model.window import GaugeWindow

__all__ = ["GaugeSeries"]

_FOLDS: Final[tuple[Fold, ...]] = (newer, min, max, operator.add, operator.add)
_LAST, _MIN, _MAX, _SUM, _COUNT = range(5)
"""The columns of a gauge's history."""

_UNKNOWN: Final = (math.nan, math.inf, -math.inf, 0.0, 0.0)
"""A slot after which no value is in force: between the last checkpoint and the first value after the restart."""


class GaugeSeries(Recorder):
    """A value that comes and goes. The open slot is in the series itself; `_count` is 0 where it was never set.

    Until it is set, what it was before a restart is not looked at: nobody knows what it is now.
    """

    __slots__ = ("_closed", "_count", "_last", "_max", "_min", "_set_at", "_sum")

    def __init__(self, labels: Labels, family: Family) -> None:
        super().__init__(labels, family)
        self._count = 0.0
        self._last = self._sum = self._min = self._max = 0.0
        self._set_at = -math.inf
        self._closed: History | None = None

    def set(self, value: float) -> None:
        """Say what the value is now; one that is not finite is dropped and counted."""
        clock = self._now
        # between the extremes so far is finite, too; a new extreme is rare, and set on the slow way
        if (
            (value.__class__ is float or value.__class__ is int)
            and (now := clock()) < self._rolls_at
            and self._min <= value <= self._max
        ):
            self._last = value
            self._set_at = now
            self._sum += value
            self._count += 1.0  # adding floats is faster
        else:
            self._set_slowly(value)

    def _set_slowly(self, value: float) -> None:
        self._change(value, _set)

    set = with_gil(set, _set_slowly)

    def add(self, delta: float) -> None:
        """Move the value by `delta`; it begins at 0. What would make it infinite is dropped and counted."""
        clock = self._now
        # as in `set`; nothing is called between the reading of the value and its change
        if (
            (delta.__class__ is float or delta.__class__ is int)
            and (now := clock()) < self._rolls_at
            and self._min <= (value := self._last + delta) <= self._max
        ):
            self._last = value
            self._set_at = now
            self._sum += value
            self._count += 1.0
        else:
            self._add_slowly(delta)

    def _add_slowly(self, delta: float) -> None:
        self._change(delta, operator.add)

    add = with_gil(add, _add_slowly)

    def _change(self, value: float, change: Callable[[float, float], float]) -> None:
        number = self._number(value)
        if number is None:
            return
        if not self._family.record(lambda: self._present()._put(number, change)):
            self._family.refuse(value, "too large: the value would be infinite")

    def _present(self) -> "GaugeSeries":
        series = self._family.readmit(self) if self.removed else self
        assert isinstance(series, GaugeSeries)
        return series

    def _put(self, number: float, change: Callable[[float, float], float]) -> bool:
        at, door = self._now(), self._rolls_at
        takes = self._takes(at, self._set_at)
        self._rolls_at = SHUT  # from here on, whoever is about to record waits for the lock
        value = change(self._last, number)
        if math.isinf(value):
            self._rolls_at = door
            return False
        was, closes = self._open(), self._set_at
        if takes:
            self._min, self._max = min(self._min, value), max(self._max, value)
            self._last, self._set_at, self._sum, self._count = value, at, self._sum + value, self._count + 1.0
            self._rolls_at = door
            return True
        self._last, self._sum, self._min, self._max, self._set_at, self._count = value, value, value, value, at, 1.0
        if was[_COUNT]:
            if self._closed is None:
                self._closed = History(tuple(array("d") for _ in _FOLDS), _FOLDS)
            self._closed.append(closes, was, self._family.retention)
        self._rolls_at = self._family.door(at)
        return True

    def _open(self) -> tuple[float, float, float, float, float]:
        return (self._last, self._min, self._max, self._sum, self._count)

    @property
    def value(self) -> float | None:
        """What it was last set to; None where it never was."""
        return self._last if self._count else None

    @property
    def set_at(self) -> float:
        """When it was last set; minus infinity where it never was."""
        return self._set_at

    @property
    def touched_at(self) -> float:
        """The same: for whoever asks all series."""
        return self._set_at

    def window(self, seconds: float, now: float) -> GaugeWindow:
        """Give the values in the `seconds` before `now`, the one in force at the start included."""
        start = now - seconds
        with self._family.lock:
            *open_slot, set_at = self._last, self._min, self._max, self._sum, self._count, self._set_at
            if not open_slot[_COUNT]:
                return GaugeWindow(start, now, self._family.born)
            covers_since: float = self._family.born
            in_force: float | None = None
            inside: list[tuple[float, ...]] = []
            closed = self._closed
            if closed is not None:
                if closed.gone is not None:
                    covers_since, in_force = closed.gone[:2]
                if set_at > start or closed.ends[-1] > start:
                    index = closed.after(start)
                    if index:
                        in_force = closed.columns[_LAST][index - 1]
                    inside = list(zip(*[column[index:] for column in closed.columns], strict=True))
        if set_at <= start and not inside:  # it has had one value all the time, as most gauges have
            last = open_slot[_LAST]
            return GaugeWindow(start, now, covers_since, last, last, last, last, last, 1, set_at)
        if set_at > start:
            inside.append(tuple(open_slot))
        else:
            in_force = open_slot[_LAST]
        if in_force is None or math.isnan(in_force):
            first = next(slot[_LAST] for slot in inside if not math.isnan(slot[_LAST]))
        else:
            first = in_force
            inside.append((in_force, in_force, in_force, in_force, 1.0))
        return GaugeWindow(
            start,
            now,
            covers_since,
            first,
            open_slot[_LAST],
            min([slot[_MIN] for slot in inside]),
            max([slot[_MAX] for slot in inside]),
            sum([slot[_SUM] for slot in inside]),
            int(sum([slot[_COUNT] for slot in inside])),
            set_at,
        )

    def points(self) -> list[Point]:
        """Give the last value of each of the last slots."""
        with self._family.lock:
            if not self._count:
                return []
            rows = [] if self._closed is None else self._closed.rows()[1 - RECENT_POINTS :]
            return [*[Point(end, last) for end, last, *_ in rows if not math.isnan(last)], Point(self._set_at, self._last)]

    def kept(self, now: float) -> History | None:
        """Give a copy of its history, the open slot at its end; None where it has none."""
        with self._family.lock:
            *open_slot, set_at = self._last, self._min, self._max, self._sum, self._count, self._set_at
            history = None if self._closed is None else self._closed.copy()
        if open_slot[_COUNT]:
            history = History(tuple(array("d") for _ in _FOLDS), _FOLDS) if history is None else history
            history.append(set_at, open_slot, self._family.retention)
        return history

    def precede(self, past: Past) -> None:
        """Have `past` come before all that was set here."""
        with self._family.lock:
            self._closed = past.then(self._closed, _FOLDS, self._family.born, _UNKNOWN)


def _set(last: float, number: float) -> float:
    return number
