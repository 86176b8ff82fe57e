"""Inhibition: an alert that fires makes others not worth telling, as a host that is down does its services."""

import difflib
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, assert_never

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.labels import valid_label_name
from kailash_monitor.model.matcher import Matchers, MatchersGiven

__all__ = ["Inhibition", "Inhibitors"]


@dataclass(frozen=True, slots=True, init=False)
class Inhibition:
    """While an alert fires that `source` matches, nobody is told of those that `target` matches.

    Only alerts that agree on each of the `equal` labels, where one that is absent has the empty value. `source` and
    `target` are given as anything that `Matchers.of` reads. As in Alertmanager, an alert that is source and target at once
    is not inhibited by others of which the same is true, and a source counts even where it is inhibited or silenced itself.

    A ConfigurationError says what is wrong; neither side may match everything.
    """

    source: Matchers
    target: Matchers
    equal: tuple[str, ...]

    def __init__(
        self, source: MatchersGiven, target: MatchersGiven, equal: Sequence[str] = (), *, where: str = "inhibition"
    ) -> None:
        object.__setattr__(self, "source", _side("source", source, where))
        object.__setattr__(self, "target", _side("target", target, where))
        object.__setattr__(self, "equal", _label_names(equal, where))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, where: str = "inhibition") -> "Inhibition":
        """Make one of a plain dictionary with the keys source, target and equal. An unknown key is a ConfigurationError."""
        if not isinstance(mapping, Mapping):
            raise ConfigurationError(where, seen=repr(mapping), expected=f"a dictionary with {', '.join(_KEYS)}")
        for key in mapping:
            if key not in _KEYS:
                near = difflib.get_close_matches(str(key), _KEYS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(_KEYS)}"
                raise ConfigurationError(where, field=str(key), seen=f"the unknown key {key!r}", expected=hint)
        for key in ("source", "target"):
            if key not in mapping:
                raise ConfigurationError(where, field=key, seen=f"no {key}", expected="it needs source and target")
        return cls(**mapping, where=where)

    def key(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Give the values on which a source and its targets agree."""
        return tuple([labels.get(name, "") for name in self.equal])


_KEYS: Final = ("source", "target", "equal")


def _side(name: str, given: MatchersGiven, where: str) -> Matchers:
    matchers = Matchers.of(given, where=f"{where}: {name}", field=name)
    if matchers.matches_everything:
        expected = "at least one matcher that does not match the empty string"
        raise ConfigurationError(where, field=name, seen=f"{name} matches everything: {str(matchers)!r}", expected=expected)
    return matchers


def _label_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigurationError(where, field="equal", seen=f"equal = {names!r}", expected="a list of label names")
    for name in (names := tuple(names)):
        if not isinstance(name, str) or not valid_label_name(name):
            expected = "letters, digits and underscores, no digit first"
            raise ConfigurationError(where, field="equal", seen=f"the label name {name!r} in equal", expected=expected)
    return tuple(dict.fromkeys(names))


class Inhibitors:
    """Which of the alerts that fire inhibit which.

    Mutable: all of it, under the manager's lock. It holds every alert that fires with its labels, which must not be changed
    behind its back, and is as large as they are many.
    """

    def __init__(self, inhibitions: Sequence[Inhibition] = ()) -> None:
        self._inhibitions = tuple(inhibitions)
        self._firing: dict[str, _Stand] = {}
        self._circles: dict[_CircleKey, _Circle] = {}

    def put(self, alert_id: str, labels: Mapping[str, str], active: bool) -> tuple[str, ...]:
        """Note whether an alert fires, with which labels; whatever it stood for before is replaced.

        Gives the ids of the other firing alerts whose inhibition this may have begun or ended, in order: ask `by` about
        them again. It is empty where nothing changed for any of them. To note again what is known is cheap.
        """
        known = self._firing.pop(alert_id, _NOWHERE)
        stand = self._stand(labels, known) if active else _NOWHERE
        if active:
            self._firing[alert_id] = stand
        left = [place for place in known.places if place not in stand.places]
        entered = [place for place in stand.places if place not in known.places]
        touched = {other for place in left for other in self._leave(alert_id, place)}
        touched.update(other for place in entered for other in self._enter(alert_id, place))
        return tuple(sorted(touched - {alert_id}))

    def by(self, alert_id: str, labels: Mapping[str, str]) -> str | None:
        """Give the id of the alert that inhibits this one now, the smallest of several; None where none does."""
        return min(self._inhibiting(alert_id, labels), default=None)

    def _inhibiting(self, alert_id: str, labels: Mapping[str, str]) -> Iterator[str]:
        for place in self._stand(labels, self._firing.get(alert_id, _NOWHERE)).places:
            circle = self._circles.get(place.circle)
            if circle is not None and place.side is not _Side.SOURCE:
                yield from _first_other(circle.sources, alert_id)
                if place.side is _Side.TARGET:
                    yield from _first_other(circle.both, alert_id)

    def _stand(self, labels: Mapping[str, str], known: "_Stand") -> "_Stand":
        """Give where an alert with these labels stands; matching is left out where it is known."""
        if known is not _NOWHERE and known.labels == labels:
            return known
        sides = [_side_of(inhibition, labels) for inhibition in self._inhibitions]
        places = [
            _Place((index, inhibition.key(labels)), side)
            for index, (inhibition, side) in enumerate(zip(self._inhibitions, sides, strict=True))
            if side is not None
        ]
        return _Stand(labels, tuple(places))

    def _enter(self, alert_id: str, place: "_Place") -> list[str]:
        circle = self._circles.setdefault(place.circle, _Circle())
        before = circle.inhibited
        insort(circle.on(place.side), alert_id)
        return circle.touched(before)

    def _leave(self, alert_id: str, place: "_Place") -> list[str]:
        circle = self._circles[place.circle]
        before = circle.inhibited
        ids = circle.on(place.side)
        del ids[bisect_left(ids, alert_id)]
        if circle == _Circle():
            del self._circles[place.circle]
        return circle.touched(before)


class _Side(Enum):
    SOURCE = "source"
    BOTH = "both"
    TARGET = "target"


def _side_of(inhibition: Inhibition, labels: Mapping[str, str]) -> _Side | None:
    if inhibition.source.matches(labels):
        return _Side.BOTH if inhibition.target.matches(labels) else _Side.SOURCE
    return _Side.TARGET if inhibition.target.matches(labels) else None


_CircleKey = tuple[int, tuple[str, ...]]
"""The index of an inhibition, and the values of its equal labels."""


class _Place(NamedTuple):
    circle: _CircleKey
    side: _Side


class _Stand(NamedTuple):
    """An alert that fires: its labels, and its place for each inhibition that they concern."""

    labels: Mapping[str, str]
    places: tuple[_Place, ...]


_NOWHERE: Final = _Stand({}, ())
"""The stand of an alert that does not fire."""


@dataclass(slots=True)
class _Circle:
    """The firing alerts that agree on the equal labels of one inhibition: their ids, in order, by the side they are on.

    A source inhibits those on the two other sides; an alert on both sides inhibits the targets alone.
    """

    sources: list[str] = field(default_factory=list)
    both: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    def on(self, side: _Side) -> list[str]:
        match side:
            case _Side.SOURCE:
                return self.sources
            case _Side.BOTH:
                return self.both
            case _Side.TARGET:
                return self.targets
            case _:
                assert_never(side)

    @property
    def inhibited(self) -> tuple[bool, bool]:
        """Whether the targets are inhibited, and whether those on both sides are."""
        return bool(self.sources or self.both), bool(self.sources)

    def touched(self, before: tuple[bool, bool]) -> list[str]:
        """Give those for whom that is not as it was before."""
        targets, both = (now is not then for now, then in zip(self.inhibited, before, strict=True))
        return self.targets * targets + self.both * both


def _first_other(ids: Sequence[str], alert_id: str) -> list[str]:
    """Give the first id that is not the alert's own, which is among them where its labels are not those it was put with."""
    return [other for other in ids[:2] if other != alert_id][:1]
