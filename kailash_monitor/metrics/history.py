"""History: an age-graded ring of time slots, fine for the recent past and coarse for the distant one.

Level k has slots aligned to 2^k seconds. A level that holds more than 16 slots passes its oldest to the next level, where
it merges with a slot of the same 2^(k+1) seconds and with no other. Empty slots do not exist, so sparse events stay exact.
A window's edge that falls inside a slot is moved to the nearer end of what the slot saw: less than half a slot, which is
never more than 7 % of the window's length or a second.
"""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Final, Generic, Protocol, Self, TypeVar

__all__ = ["DEFAULT_RETENTION", "History", "Slot", "inside"]

SLOTS_PER_LEVEL: Final = 16
"""At age a, slots are at most a/8 long: half of that bounds the error of a window's edge."""

DEFAULT_RETENTION: Final = 86_400.0
"""A day: the longest window the default rules and the guide ask for."""


class Slot(Protocol):
    """What happened in one stretch of time, between its first and its last event."""

    first_at: float
    last_at: float

    def absorb(self, newer: Self, /) -> None:
        """Take in the slot that follows this one."""
        ...


S = TypeVar("S", bound="Slot")


class History(Generic[S]):
    """Closed slots of one series, oldest first.

    Not thread-safe: the series that owns it holds its lock around every call. `evicted` is the newest slot that the
    retention has let go, None as long as everything since the beginning is here.
    """

    __slots__ = ("_levels", "evicted", "retention")

    def __init__(self, retention: float = DEFAULT_RETENTION) -> None:
        self.retention = retention
        self.evicted: S | None = None
        self._levels: list[deque[S]] = []

    def append(self, slot: S) -> None:
        """Add the slot that has just been closed; it must be newer than all the others."""
        self._push(0, slot)
        horizon = slot.last_at - self.retention
        while self._levels and self._levels[-1] and self._levels[-1][0].last_at < horizon:
            self.evicted = self._levels[-1].popleft()
            if not self._levels[-1]:
                self._levels.pop()

    def __iter__(self) -> Iterator[S]:
        return chain.from_iterable(reversed(self._levels))

    def __len__(self) -> int:
        return sum(map(len, self._levels))

    def _push(self, level: int, slot: S) -> None:
        if level == len(self._levels):
            self._levels.append(deque())
        slots = self._levels[level]
        width = 1 << level
        if slots and slots[-1].first_at // width == slot.first_at // width:
            slots[-1].absorb(slot)
            return
        slots.append(slot)
        if len(slots) > SLOTS_PER_LEVEL:
            self._push(level + 1, slots.popleft())


def inside(slot: Slot, start: float) -> bool:
    """Whether `slot` counts for a window that starts (exclusively) at `start`; one cut in two goes to the nearer end."""
    if slot.first_at > start:
        return True
    return start < slot.last_at and start - slot.first_at <= slot.last_at - start
