"""Dead letters: messages that could not be delivered, kept so that people can see them and have the truth told anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kailash_monitor.model.notice import Notice

__all__ = ["Letter", "Letters"]

KEPT: Final = 1_000
"""Dead letters; a channel that refuses everything for a night fills no disk."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message that was given up at `at`, and why, after so many attempts. `alerts` are the ids of those it told of."""

    notice: Notice
    channel: str
    at: float
    alerts: tuple[str, ...]
    why: str
    attempts: int

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.notice.id


class Letters:
    """The last 1,000 dead letters by id, oldest first; `dropped` counts those before. Mutable, under the manager's lock."""

    def __init__(self, kept: int = KEPT) -> None:
        self.dropped = 0
        self._kept = kept
        self._letters: dict[str, Letter] = {}

    def __iter__(self) -> Iterator[Letter]:
        return iter(tuple(self._letters.values()))

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, letter: Letter) -> Letter | None:
        """Keep one; gives the one that had to go for it."""
        self._letters[letter.id] = letter
        if len(self._letters) <= self._kept:
            return None
        self.dropped += 1
        return self._letters.pop(next(iter(self._letters)))

    def take(self, letter_id: str) -> Letter | None:
        """Give one, which is not kept any more; None where there is none."""
        return self._letters.pop(letter_id, None)
