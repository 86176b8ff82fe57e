"""What a store had of a program that ran before."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from operator import attrgetter
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from kailash_monitor.alerting.silence import Silence
from kailash_monitor.channels.text import one_line
from kailash_monitor.engine.book import Case
from kailash_monitor.engine.lane import Lane
from kailash_monitor.engine.letter import Letter
from kailash_monitor.engine.records import Reading
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.matcher import Matchers
from kailash_monitor.rules import AlertRule
from kailash_monitor.storage import Kind, Store

__all__ = ["Restored", "read_store"]

T = TypeVar("T")

Check = Callable[[Any], bool]  # Any: a value of any type

SKEW: Final = 1.0
"""Seconds by which clocks are adjusted all the time."""

_logger: Final = logging.getLogger("kailash_monitor.engine")

_DAMAGE: Final = (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError)
"""What reading a record of another version meets, or one that somebody has edited."""

_CHECKED: Final = frozenset({AlertRule, Labels, Matchers})
"""Types that have looked at what they were made of."""


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


def read_store(store: Store, offset: float, now: float = math.inf) -> Restored:
    """Read all of it; `offset` is what wall-clock time is ahead of the timeline. It blocks; a StoreError as the store's.

    Where it is from the future, the wall clock was set back: time goes on from where it was.

    A record that cannot be read is logged, left where it is and passed over.
    """
    unread: set[tuple[Kind, str]] = set()
    cases = _each(store, Kind.ALERT, offset, Reading.case, unread)
    latest = max((case.incident.seen for case in cases), default=-math.inf)
    if latest > now + SKEW:
        return read_store(store, offset + latest - now, now)
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
            record = read(Reading.of(str(document), offset))
            if not _fits(record):
                raise TypeError("a value of another type than is written there")
            found.append(record)
        except _DAMAGE as error:
            unread.add((kind, key))
            why = one_line(f"{type(error).__name__}: {error}")
            _logger.error("the %s %r in the store cannot be read: %s", kind.value, key, why)
    return found


def _fits(record: object) -> bool:
    kind: Any = type(record)  # Any: mypy doubts that a class can be hashed
    return _check_of(kind)(record)


@cache
def _check_of(hint: Any) -> Check:  # Any: a type
    """Give what tells whether a value is of a type, all the way down: JSON holds anything, and reading it believes much."""
    if hint is object:
        return lambda value: True
    if hint is None:
        return lambda value: value is None
    if hint is float:
        return lambda value: isinstance(value, int | float)
    origin: Any = get_origin(hint)  # Any: a class
    if origin is None:
        return _check_of_kind(hint)
    inner = [_check_of(one) for one in get_args(hint) if one is not Ellipsis]
    if origin is UnionType:
        return lambda value: any(check(value) for check in inner)
    if len(inner) == 1:
        return lambda value: isinstance(value, origin) and all(map(inner[0], value))
    key, item = inner
    return lambda value: isinstance(value, origin) and all(key(name) and item(value[name]) for name in value)


def _check_of_kind(kind: type) -> Check:
    if kind in _CHECKED or not (is_dataclass(kind) or issubclass(kind, tuple)):
        return lambda value: isinstance(value, kind)
    hints = get_type_hints(kind)
    names: tuple[str, ...] = tuple(field.name for field in fields(kind)) if is_dataclass(kind) else kind._fields  # type: ignore[attr-defined]  # a NamedTuple's
    checks: list[tuple[Callable[[Any], Any], Check]] = []  # Any: a value of any type

    def check(value: Any) -> bool:  # Any: as above
        if not checks:  # at first use, and not before: a ledger entry has others in it
            checks.extend([(attrgetter(name), _check_of(hints[name])) for name in names])
        return isinstance(value, kind) and all(fits(get(value)) for get, fits in checks)

    return check
