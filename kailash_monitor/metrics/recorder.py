"""What every series that records has in common, and why most recordings take no lock.

With the GIL, a thread can lose its turn only after a call or at a jump backwards. A recording therefore makes its calls
first (the clock, the bucket) and then looks at its slot and changes it in one go, which no other recording can interleave; a
read takes its copy in statements without a call, and makes the containers for it before: up to Python 3.11, making one may
collect garbage, whose finalizers are calls. What rolls a slot over is rare, holds the lock, and first closes the
door: once the slot's end is moved to minus infinity, whoever is about to record waits for the lock as well. Without the GIL,
every recording takes the lock. Numbers other than floats and ints may run Python code when they are added, and go the slow
way as well.

Who watches has the door shut, too: every recording goes the slow way then, which tells them; the others pay nothing for it.
"""

import functools
import math
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from kailash_monitor.metrics.history import DEFAULT_RETENTION
from kailash_monitor.metrics.reads import Reads
from kailash_monitor.model.exemplar import MAX_CHARACTERS, Exemplar
from kailash_monitor.model.labels import Labels, valid_label_name
from kailash_monitor.model.window import Window
from kailash_monitor.threads import guarded, inherited

__all__ = ["GIL", "GONE", "HUGE", "RECENT_POINTS", "SHUT", "Family", "Hook", "Recorder", "Refuse", "as_number", "with_gil"]

RECENT_POINTS: Final = 60
"""How many points of the recent past a series gives: enough for a sparkline."""

HUGE: Final = 1e300
"""Beyond this, sums overflow: the slow way decides."""

GIL: Final[bool] = getattr(sys, "_is_gil_enabled", lambda: True)()

Refuse = Callable[[object, str], None]
"""Called with a value that cannot be recorded, and why."""

Hook = Callable[[], None]
"""Called when something was recorded, by whoever recorded it: must be quick and must not raise. Called from any thread."""

SHUT: Final = -math.inf
"""When the fast way into a slot ends that is not open yet, is being changed, or whose recordings somebody watches."""

GONE: Final = math.nan
"""When the open slot of a removed series closes: no time is before it, so that nobody takes the fast way."""

F = TypeVar("F", bound=Callable[..., None])


@dataclass(slots=True, eq=False, weakref_slot=True)
class Family:
    """What the series of one metric share.

    `now` is their clock, `born` when counting began, `bounds` those of the classic buckets, `retention` how many seconds of
    history are kept; `refuse` takes values that cannot be recorded. `readmit` is asked when somebody records into a series
    that was removed: it gives the one to record into. `hooks` are called after every recording. `lock` guards what rolls
    over, and what is read; foreign code never runs while it is held.
    """

    now: Callable[[], float]
    refuse: Refuse
    readmit: "Callable[[Recorder], Recorder]"
    born: float
    bounds: tuple[float, ...] = ()
    retention: float = DEFAULT_RETENTION
    hooks: tuple[Hook, ...] = ()
    exemplars: "dict[Recorder, Any]" = field(default_factory=dict)  # Any: one, or several by bound; few series have any
    lock: threading.RLock = field(default_factory=lambda: guarded(threading.RLock()))

    _end: float = 0.0
    _recording: bool = False
    _deferred: list[Callable[[], bool]] = field(default_factory=list[Callable[[], bool]])

    def __post_init__(self) -> None:
        inherited(self)

    def _after_fork(self) -> None:
        """Take note that nobody records, in a child that was forked while a thread of its parent did."""
        self._recording, self._deferred = False, []

    def record(self, record: Callable[[], bool]) -> bool:
        """Call `record` with the lock held, and give what it gives: whether it recorded; then the hooks are called.

        The lock lets its own thread in again, such as a signal handler or a finalizer that records too: that waits until
        what it interrupted is done.
        """
        with self.lock:
            if self._recording:
                self._deferred.append(record)
                return True
            self._recording = True
            try:
                done = recorded = record()
                while self._deferred:
                    recorded |= self._deferred.pop(0)()
            finally:
                self._recording = False
        if recorded:
            for hook in self.hooks:
                hook()
        return done

    def door(self, at: float) -> float:
        """Give until when a slot of the second of `at` is open to the fast way: its end; never, while somebody watches.

        It is the same object to all series that ask in that second, which halves their floats.
        """
        if self.hooks:
            return SHUT
        end = math.floor(at) + 1.0
        if end != self._end:
            self._end = end
        return self._end


class Recorder(Reads):
    """Labels, birth and clock of a series.

    Whoever records into one that was removed goes the slow way, which asks the family for the series in its place.
    """

    __slots__ = ("_family", "_now", "_rolls_at", "born", "labels")

    def __init__(self, labels: Labels, family: Family) -> None:
        self.labels: Final = labels
        self.born = family.born
        self._family: Final = family
        self._now = family.now
        self._rolls_at = SHUT  # when the open slot closes

    @property
    def removed(self) -> bool:
        """Whether it is no part of its metric any more."""
        return math.isnan(self._rolls_at)

    def remove(self) -> None:
        """Make it no part of its metric any more. What it has is still there to be read: somebody may be about to."""
        self._rolls_at = GONE
        self._family.exemplars.pop(self, None)

    def shut(self) -> None:
        """Have what is recorded into the open slot go the slow way."""
        if not self.removed:
            self._rolls_at = SHUT

    def readmit(self, now: float) -> None:
        """Make it part of its metric again, from now on, and without what it had."""
        type(self).__init__(self, self.labels, self._family)
        self.born = now

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.labels!r}>"

    def window(self, seconds: float, now: float) -> Window:
        """Give what happened in the `seconds` before `now`."""
        raise NotImplementedError

    def _read(self, seconds: float) -> Window:
        return self.window(seconds, self._now())

    def _takes(self, at: float, last: float) -> bool:
        """Whether the open slot, whose last event was at `last`, takes one at `at`: also where its door is shut."""
        return at < self._rolls_at or at // 1.0 <= last // 1.0

    def _number(self, value: object) -> float | None:
        """Give `value` as a float, or refuse it."""
        number = as_number(value)
        if number is None:
            self._family.refuse(value, "not a finite number")
        return number

    def _exemplar(self, labels: Mapping[str, object] | None, value: float) -> Exemplar | None:
        """Make an exemplar; one that no page may show is refused, and what it stands for is recorded all the same."""
        if labels is None:
            return None
        with suppress(Exception):  # whatever was given instead of labels is refused like any other
            found = Labels(labels)
            characters = sum(map(len, found.names)) + sum(map(len, found.texts))
            if characters <= MAX_CHARACTERS and all(map(valid_label_name, found.names)):
                return Exemplar(found, value, self._now())
        self._family.refuse(labels, f"no exemplar: up to {MAX_CHARACTERS} characters of label names and values")
        return None


def as_number(value: object) -> float | None:
    """Give `value` as a finite float; None where it is none."""
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever has __float__ is welcome
    except Exception:  # the code of whatever it is
        return None
    return number if math.isfinite(number) else None


def with_gil(fast: F, otherwise: F, *, gil: bool = GIL) -> F:
    """Give `fast`, which takes no lock, where there is a GIL; else `otherwise`, which takes it, under the same name."""
    return fast if gil else functools.wraps(fast)(otherwise)  # type: ignore[return-value]  # of the same signature
