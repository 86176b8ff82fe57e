"""What a store had of a program that ran before."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from kailash_monitor.alerting.silence import Silence
from kailash_monitor.channels.text import one_line
from kailash_monitor.engine.book import Case
from kailash_monitor.engine.lane import Lane
from kailash_monitor.engine.letter import Letter
from kailash_monitor.engine.records import Reading
from kailash_monitor.storage import Kind, Store

__all__ = ["Restored", "read_store"]

T = TypeVar("T")

_logger: Final = logging.getLogger("kailash_monitor.engine")

_DAMAGE: Final = (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError)
"""What reading a record of another version meets, or one that somebody has edited."""


@dataclass(frozen=True, slots=True)
class Restored:
    """Alerts, lanes with the messages that were under way, silences and dead letters, oldest first.

    `unread` are kind and key of the records that could not be read.
    """

    cases: tuple[Case, ...] = ()
    lanes: tuple[Lane, ...] = ()
    silences: tuple[Silence, ...] = ()
    letters: tuple[Letter, ...] = ()
    unread: frozenset[tuple[Kind, str]] = frozenset()


def read_store(store: Store, offset: float) -> Restored:
    """Read all of it; `offset` is what wall-clock time is ahead of the timeline. It blocks; a StoreError as the store's.

    A record that cannot be read is logged, left where it is and passed over.
    """
    unread: set[tuple[Kind, str]] = set()
    cases = _each(store, Kind.ALERT, offset, Reading.case, unread)
    by_id = {case.key.id: case for case in cases}
    lanes = _each(store, Kind.LANE, offset, lambda reading: reading.lane(by_id.get), unread)
    silences = _each(store, Kind.SILENCE, offset, Reading.silence, unread)
    letters = _each(store, Kind.LETTER, offset, Reading.letter, unread)
    return Restored(
        tuple(cases),
        tuple(lanes),
        tuple(sorted(silences, key=lambda silence: silence.created_at)),
        tuple(sorted(letters, key=lambda letter: letter.at)),
        frozenset(unread),
    )


def _each(store: Store, kind: Kind, offset: float, read: Callable[[Reading], T], unread: set[tuple[Kind, str]]) -> list[T]:
    found: list[T] = []
    for key, document in tuple(store.load(kind)):
        try:
            found.append(read(Reading.of(str(document), offset)))
        except _DAMAGE as error:
            unread.add((kind, key))
            why = one_line(f"{type(error).__name__}: {error}")
            _logger.error("the %s %r in the store cannot be read: %s", kind.value, key, why)
    return found
