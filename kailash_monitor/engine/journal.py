"""The journal: what has changed since it was last put into the store."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kailash_monitor.alerting.silence import Silence
from kailash_monitor.storage import Change, Document, Kind

if TYPE_CHECKING:
    from kailash_monitor.engine.book import Case
    from kailash_monitor.engine.lane import Lane
    from kailash_monitor.engine.letter import Letter
    from kailash_monitor.engine.records import Pen

__all__ = ["Journal", "Page"]

Write = Callable[["Pen", float], Callable[[], Document] | None]
"""Copies what is to be written now; what it gives does the writing, later and on any thread. None: nothing to write."""


class Page:
    """Some changes, each to be written when `changes` is called, on any thread; `upto` is what is in the store then."""

    def __init__(self, upto: int, entries: list[tuple[Kind, str, Callable[[], Document] | None]]) -> None:
        self.upto: Final = upto
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def changes(self) -> list[Change]:
        """Write it."""
        return [Change(kind, key, None if write is None else write()) for kind, key, write in self._entries]


class Journal:
    """Things by kind and key, in the order in which they first changed, each once: it holds as many as there are.

    What is taken out is written as it is then, not as it was when it changed. So an attempt may begin once all that had
    changed by its beginning is in the store: `marked` says how far that is.

    It notes nothing where nobody keeps it (`kept`). Mutable, under the manager's lock; `ring` is called when there is
    something to keep.
    """

    def __init__(self) -> None:
        self.kept = False
        self.marked = 0
        self.ring: Callable[[], None] = lambda: None
        self._changed: dict[tuple[Kind, str], tuple[int, Write | None]] = {}

    def __len__(self) -> int:
        return len(self._changed)

    @property
    def taken(self) -> int:
        """How far all that has changed was taken out."""
        return next(iter(self._changed.values()))[0] - 1 if self._changed else self.marked

    def case(self, case: "Case") -> None:
        """Take note of an alert."""
        if self.kept:
            self._note(Kind.ALERT, case.key.id, lambda pen, offset: pen.case(case, offset))

    def lane(self, lane: "Lane") -> None:
        """Take note of a lane, which may be worth keeping or not."""
        if not self.kept:
            return

        def write(pen: "Pen", offset: float) -> Callable[[], Document] | None:
            lane.recorded = lane.worth_keeping
            return pen.lane(lane, offset) if lane.recorded else None

        if lane.recorded or lane.worth_keeping:
            self._note(Kind.LANE, lane.key_text, write)

    def silence(self, silence: Silence) -> None:
        """Take note of a silence."""
        self._note(Kind.SILENCE, silence.id, lambda pen, offset: pen.silence(silence, offset))

    def letter(self, letter: "Letter") -> None:
        """Take note of a dead letter."""
        self._note(Kind.LETTER, letter.id, lambda pen, offset: pen.letter(letter, offset))

    def has(self, kind: Kind, key: str) -> bool:
        """Whether it has changed."""
        return (kind, key) in self._changed

    def forget(self, kind: Kind, key: str) -> None:
        """Take note that something is not there any more."""
        self._note(kind, key, None)

    def _note(self, kind: Kind, key: str, write: Write | None) -> None:
        if not self.kept:
            return
        if not key.isascii():
            key = key.encode("utf-8", "backslashreplace").decode()  # a lone surrogate in a name cannot be stored
        known = self._changed.get((kind, key))
        if known is None:
            self.marked += 1
        self._changed[kind, key] = (self.marked if known is None else known[0], write)
        self.ring()

    def clear(self) -> None:
        """Forget what has changed: nobody keeps it."""
        self._changed.clear()

    def take(self, pen: "Pen", offset: float, most: int) -> Page:
        """Take out the first changes; times are written with `offset` added."""
        entries: list[tuple[Kind, str, Callable[[], Document] | None]] = []
        while self._changed and len(entries) < most:
            kind, key = next(iter(self._changed))
            _, write = self._changed.pop((kind, key))
            entries.append((kind, key, None if write is None else write(pen, offset)))
        return Page(self.taken, entries)
