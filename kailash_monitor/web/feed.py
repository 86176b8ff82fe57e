"""The feed: what was read of each list, so that whoever asks again is told only what has changed since."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from kailash_monitor.threads import guarded, inherited

__all__ = ["Feed", "Reading"]

REMEMBERED: Final = 20_000
"""Rows that are remembered: all series of a program as large as we measure with, and all alerts beside them."""


def _new_epoch() -> str:
    return secrets.token_hex(4)


class Feed:
    """Remembers how each row was read last, and numbers the changes as they are seen.

    A row has the number of the reading in which it was first seen as it is now. A cursor names such a number; what has
    changed since then has a higher one. So nothing is kept of who asks: the same feed serves any number of readers, each of
    which holds the rows of its last answer.

    What is forgotten, the row that was read longest ago first, counts as changed when it is read again: that costs a few
    bytes, and nobody misses anything. A cursor of another `epoch`, which is another process or one from before a restart,
    is not known.

    Mutable: the memory and the number, under a lock, from any thread. A forked child begins an epoch of its own.
    """

    def __init__(self, *, new_epoch: Callable[[], str] = _new_epoch, most: int = REMEMBERED) -> None:
        self._new_epoch = new_epoch
        self._most: Final = most
        self._lock = guarded(threading.Lock())
        self._after_fork()
        inherited(self)

    def _after_fork(self) -> None:
        self._epoch = self._new_epoch()
        self._number = 0
        self._rows: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()  # a hash of each, and its number

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<Feed {self._epoch}, {self._number} changes, {len(self._rows)} rows>"

    def number_of(self, cursor: str | None) -> int | None:
        """Give the number that a cursor names; None where it is none of this feed's."""
        epoch, _, number = ("" if cursor is None else cursor).partition("-")
        if epoch != self._epoch or not (number.isascii() and number.isdecimal() and len(number) < 20):
            return None
        return int(number) if int(number) <= self._number else None

    def reading(self, resource: str) -> "Reading":
        """Begin to read rows of a resource, in which each key stands for one row."""
        return Reading(self, resource)

    def note(self, resource: str, rows: Iterable[tuple[str, bytes]]) -> tuple[list[int], int, int]:
        """Take note of how rows read now, by their keys; give the number of each, and the feed's before and after."""
        with self._lock:
            before, memory = self._number, self._rows
            number, numbers = before + 1, list[int]()
            for key, text in rows:
                place, now = (resource, key), hash(text)
                known = memory.get(place)
                if known is not None and known[0] == now:
                    memory.move_to_end(place)
                    numbers.append(known[1])
                else:
                    memory.pop(place, None)
                    memory[place] = (now, number)
                    numbers.append(number)
                    self._number = number
            while len(memory) > self._most:
                memory.popitem(last=False)
            return numbers, before, self._number

    def cursor(self, number: int) -> str:
        """Give the name of a number."""
        return f"{self._epoch}-{number}"


class Reading:
    """One reading of rows, some at a time. Mutable: where it stands.

    Its cursor must not cover what somebody else has seen of a row meanwhile, after this one saw less. Where nobody has read
    anything new in between, it is the number after the last row; else the number before the first, and what has changed in
    this reading is told once more.
    """

    def __init__(self, feed: Feed, resource: str) -> None:
        self._feed: Final = feed
        self._resource: Final = resource
        self._first: int | None = None
        self._last = 0
        self._alone = True

    def add(self, rows: Iterable[tuple[str, bytes]]) -> list[int]:
        """Take note of how some rows read now; give the number of each."""
        numbers, before, after = self._feed.note(self._resource, rows)
        if self._first is None:
            self._first = before
        elif before != self._last:
            self._alone = False
        self._last = after
        return numbers

    @property
    def cursor(self) -> str:
        """What tells later what has changed since; to be asked for when all rows are noted."""
        if self._first is None:
            self.add(())
        return self._feed.cursor(self._last if self._alone else self._first or 0)
