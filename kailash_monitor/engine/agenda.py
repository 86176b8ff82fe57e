"""The agenda: which rule is due when."""

import heapq
import math
from dataclasses import dataclass
from typing import Final

from kailash_monitor.engine.grid import Grid

__all__ = ["Agenda", "Turn"]

SLACK: Final = 64
"""Entries of the heap that may be out of date, beside one for each name, before it is made anew."""


@dataclass(slots=True)
class Turn:
    """When one rule is due, when it last was, and how often. `late` counts due times that passed unseen."""

    grid: Grid
    due: float
    position: int = 0
    last: float = -math.inf
    evaluations: int = 0
    late: int = 0


class Agenda:
    """Names and their due times, each on a grid of its own, the first time at once.

    A due time that has passed unseen is counted and skipped, never piled up. Mutable: all of it, under the manager's lock.
    """

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}
        self._heap: list[tuple[float, int, str]] = []

    def add(self, name: str, interval: float, now: float, *, group: str | None = None, position: int = 0) -> None:
        """Take `name` on; it is due at once.

        Those of one `group` and interval are due at the same times, in the order of their positions.
        """
        self.turns[name] = Turn(Grid.of(name if group is None else group, interval), now, position)
        self._push(now, name)

    def remove(self, name: str) -> None:
        """Take `name` off; nothing happens where it is not there."""
        self.turns.pop(name, None)  # what the heap still holds of it is passed over

    def hasten(self, name: str, at: float) -> None:
        """Have `name` come due at `at`, where that is sooner; its grid stays as it is."""
        turn = self.turns.get(name)
        if turn is not None and at < turn.due:
            turn.due = at
            self._push(at, name)

    def restart(self, now: float) -> None:
        """Have every name come due at once."""
        for turn in self.turns.values():
            turn.due = now
        self._heap = self._sorted()

    def _push(self, at: float, name: str) -> None:
        """Put a due time in the heap; what was hastened or removed leaves an entry there until its time comes."""
        heapq.heappush(self._heap, (at, self.turns[name].position, name))
        if len(self._heap) > 2 * len(self.turns) + SLACK:
            self._heap = self._sorted()

    def _sorted(self) -> list[tuple[float, int, str]]:
        return sorted((turn.due, turn.position, name) for name, turn in self.turns.items())

    @property
    def due(self) -> float:
        """When the most urgent name is due; infinity where there is none."""
        heap = self._heap
        while heap:
            due, _, name = heap[0]
            turn = self.turns.get(name)
            if turn is not None and turn.due == due:
                return due
            heapq.heappop(heap)  # removed, or due at another time by now
        return math.inf

    def take(self, now: float) -> tuple[str, int] | None:
        """Give the most urgent name that is due and how many of its times were missed; None where none is due."""
        if self.due > now:
            return None
        due, _, name = self._heap[0]
        turn = self.turns[name]
        missed = turn.grid.missed(due, now) if now > due else 0
        turn.late += missed
        turn.evaluations += 1
        turn.last = now
        turn.due = turn.grid.after(now)
        heapq.heapreplace(self._heap, (turn.due, turn.position, name))
        return name, missed
