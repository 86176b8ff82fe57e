"""The audit: what happened to alerts, and why each channel was told or not, in the order in which it was decided."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from kailash_monitor.model.reason import Reason

__all__ = ["Audit", "Decision", "Entry", "Remark"]

KEPT: Final = 10_000
"""Entries: a night of a busy program, in a few megabytes."""


class Decision(NamedTuple):
    """One channel was to be told of one alert, or was not: `reason` says why. `message_id` is None without a message."""

    at: float
    alert_id: str
    incident: int
    channel: str
    reason: Reason
    message_id: str | None = None


class Remark(NamedTuple):
    """Something else that happened to an alert, or, with an empty `alert_id`, to the program: `what` in words."""

    at: float
    alert_id: str
    what: str


Entry = Decision | Remark


class Audit:
    """An append-only record of the last 10,000 entries; `dropped` counts those before. Mutable, under the manager's lock."""

    def __init__(self, kept: int = KEPT) -> None:
        self.dropped = 0
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._listeners: list[Callable[[Entry], object]] = []

    def listen(self, listener: Callable[[Entry], object]) -> None:
        """Have `listener` called with every entry from now on."""
        self._listeners.append(listener)

    def add(self, entry: Entry) -> None:
        """Append one."""
        if len(self._entries) == self._entries.maxlen:
            self.dropped += 1
        self._entries.append(entry)
        for listener in self._listeners:
            listener(entry)

    def __iter__(self) -> Iterator[Entry]:
        """Give the entries, oldest first."""
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
