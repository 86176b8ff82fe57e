"""A counter's series: a running total and its history."""

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Final

from kailash_monitor.metrics.checkpoint import Past
from kailash_monitor.metrics.history import History, newer
from kailash_monitor.metrics.recorder import HUGE, RECENT_POINTS, Family, Recorder, with_gil
from kailash_monitor.model.exemplar import Exemplar
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.views import Point
from kailash_monitor.model.window import CounterWindow

__all__ = ["ONE", "CounterSeries"]

ONE: Final = 1.0
"""The step of `inc()`, known to be fine by being this very object."""

_FOLDS: Final = (newer,)


class CounterSeries(Recorder):
    """A running total that only rises: `total`, to be read only; a property would double the time of a page.

    History has the running total at the end of each slot: below zero before a restart, so that `total` begins at zero and an
    increase is one subtraction all the same. The open slot is not an object: it began at `_first_at`, and its first
    increment made the total `_after_first`. Where that is the total still, it had one event; else its last event is taken to
    be at its end, a second later at most.
    """

    __slots__ = ("_after_first", "_closed", "_first_at", "total")

    def __init__(self, labels: Labels, family: Family) -> None:
        super().__init__(labels, family)
        self.total = 0.0
        self._after_first = 0.0
        self._first_at: float | None = None
        self._closed: History | None = None

    def inc(self, by: float = ONE, exemplar: Mapping[str, object] | None = None) -> None:
        """Add `by`, which must be finite and not negative; anything else is dropped and counted.

        `exemplar` (such as `{"trace_id": …}`) says how to find this very event.
        """
        clock = self._now
        if (
            clock() < self._rolls_at
            and exemplar is None
            and (by is ONE or ((by.__class__ is float or by.__class__ is int) and 0.0 <= by < HUGE))
        ):
            self.total += by
        else:
            self._inc_slowly(by, exemplar)

    def _inc_slowly(self, by: float = ONE, exemplar: Mapping[str, object] | None = None) -> None:
        number = self._number(by)
        if number is None:
            return
        if number < 0:
            self._family.refuse(by, "negative: a counter only rises")
            return
        shown = self._exemplar(exemplar, number)
        if not self._family.record(lambda: self._present()._add(number, shown)):
            self._family.refuse(by, "too large: the total would be infinite")

    inc = with_gil(inc, _inc_slowly)

    def _present(self) -> "CounterSeries":
        series = self._family.readmit(self) if self.removed else self
        assert isinstance(series, CounterSeries)
        return series

    def _add(self, number: float, exemplar: Exemplar | None) -> bool:
        at = self._now()
        if math.isinf(self.total + number):
            return False
        if exemplar is not None:
            self._family.exemplars[self] = exemplar
        if at < self.touched_at:
            self.total += number
            return True
        if self._first_at is not None:
            self._close(self._open_end(self.total, math.inf), self.total)
        self.total += number
        self._first_at, self._after_first = at, self.total
        self._rolls_at = self._family.door(at)
        return True

    def _close(self, end: float, total: float) -> None:
        if self._closed is None:
            self._closed = History((array("d"),), _FOLDS)
        self._closed.append(end, (total,), self._family.retention)

    def _open_end(self, total: float, now: float) -> float:
        """Give when the open slot had its last event: its only one, or else the end of its second, or `now` before that."""
        assert self._first_at is not None
        if total == self._after_first:
            return self._first_at
        return max(self._first_at, min(now, math.nextafter(math.floor(self._first_at) + 1.0, 0.0)))

    @property
    def exemplar(self) -> Exemplar | None:
        """The last increment that came with one."""
        return self._family.exemplars.get(self)

    @property
    def touched_at(self) -> float:
        """When it was last recorded, within a second; minus infinity where it never was."""
        return -math.inf if self._first_at is None else math.floor(self._first_at) + 1.0

    def window(self, seconds: float, now: float) -> CounterWindow:
        """Give the increase in the `seconds` before `now`."""
        start = now - seconds
        with self._family.lock:
            total, closed = self.total, self._closed
            covers_since, before = self._family.born, 0.0
            if closed is not None:
                if closed.gone is not None:
                    covers_since, before = closed.gone
                index = closed.after(start)
                if index:
                    before = closed.columns[0][index - 1]
            if self._first_at is not None and self._open_end(total, now) <= start:
                before = total
        return CounterWindow(start, now, covers_since, total - before, total)

    def points(self) -> list[Point]:
        """Give the total at the end of each of the last slots; those before a restart had another total."""
        with self._family.lock:
            rows = [] if self._closed is None else self._closed.rows()[1 - RECENT_POINTS :]
            points = [Point(*row) for row in rows if row[0] >= self._family.born]
            if self._first_at is not None:
                points.append(Point(self._open_end(self.total, self._now()), self.total))
            return points

    @classmethod
    def joined(cls, family: Family, parts: "Sequence[CounterSeries]") -> "CounterSeries":
        """Give one series that counted all that `parts` did, and when. They are left as they are.

        It is made from its end, so that what they had before a restart does not change the total, not even by a rounding.
        """
        whole = cls(NO_LABELS, family)
        rows: list[tuple[float, float]] = []
        with family.lock:
            gone = [s._closed.gone for s in parts if s._closed is not None and s._closed.gone is not None]
            running = whole.total = sum([part.total for part in parts], 0.0)
            for end, step in sorted([step for part in parts for step in part._steps()], reverse=True):
                rows.append((end, running))
                running -= step
            if gone:
                whole._closed = History((array("d"),), _FOLDS)
                whole._closed.gone = (max(gone)[0], running)
            for row in reversed(rows):
                whole._close(*row)
        return whole

    def kept(self, now: float) -> History | None:
        """Give a copy of its history, the open slot at its end, with totals that end at zero; None where it has none."""
        with self._family.lock:
            total, first_at, closed = self.total, self._first_at, self._closed
            if closed is None and first_at is None:
                return None
            history = History((array("d"),), _FOLDS) if closed is None else closed.copy()
            if first_at is not None:
                history.append(self._open_end(total, now), (total,), self._family.retention)
        gone, before = history.gone or (-math.inf, 0.0)
        (totals,) = history.columns
        totals[:] = array("d", [one - total for one in totals])
        history.gone = (gone, before - total)
        return history

    def precede(self, past: Past) -> None:
        """Have `past` come before all that was recorded here: windows see it, the total does not."""
        with self._family.lock:
            self._closed = past.then(self._closed, _FOLDS, self._family.born)

    def _steps(self) -> list[tuple[float, float]]:
        """Give how much it rose in each slot, the open one included."""
        closed, before = self._closed, 0.0
        if closed is not None and closed.gone is not None:
            before = closed.gone[1]
        rows = [] if closed is None else closed.rows()
        steps: list[tuple[float, float]] = []
        if self._first_at is not None:
            rows.append((self._open_end(self.total, self._now()), self.total))
        for end, total in rows:
            steps.append((end, total - before))
            before = total
        return steps
