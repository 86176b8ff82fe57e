"""What a store had of a program that ran before."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from kailash_monitor.alerting.silence import Silence
from kailash_monitor.engine.book import Case
from kailash_monitor.engine.lane import Lane
from kailash_monitor.engine.letter import Letter
from kailash_monitor.engine.records import Reading
from kailash_monitor.storage import Kind, Store

__all__ = ["Restored", "read_store"]

T = TypeVar("T")

_logger: Final = logging.getLogger("kailash_monitor.engine")


@dataclass(frozen=True, slots=True)
class Restored:
    """Alerts, lanes with the messages that were under way, silences and dead letters, oldest first."""

    cases: tuple[Case, ...] = ()
    lanes: tuple[Lane, ...] = ()
    silences: tuple[Silence, ...] = ()
    letters: tuple[Letter, ...] = ()


def read_store(store: Store, offset: float) -> Restored:
    """Read all of it; `offset` is what wall-clock time is ahead of the timeline. It blocks; a StoreError as the store's.

    A record that cannot be read is logged, left where it is and passed over.
    """
    cases = _each(store, Kind.ALERT, offset, Reading.case)
    by_id = {case.key.id: case for case in cases}
    return Restored(
        tuple(cases),
        tuple(_each(store, Kind.LANE, offset, lambda reading: reading.lane(by_id.get))),
        tuple(sorted(_each(store, Kind.SILENCE, offset, Reading.silence), key=lambda silence: silence.created_at)),
        tuple(sorted(_each(store, Kind.LETTER, offset, Reading.letter), key=lambda letter: letter.at)),
    )


def _each(store: Store, kind: Kind, offset: float, read: Callable[[Reading], T]) -> list[T]:
    found: list[T] = []
    for key, document in tuple(store.load(kind)):
        try:
            found.append(read(Reading.of(str(document), offset)))
        except (KeyError, ValueError, TypeError, IndexError) as error:  # of another version, or somebody's edit
            _logger.error("the %s %r in the store cannot be read: %s: %s", kind.value, key, type(error).__name__, error)
    return found
