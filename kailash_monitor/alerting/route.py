"""Routes: a tree that says which channels are told of an alert, with whom together, and when."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Final

from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.labels import valid_label_name
from kailash_monitor.model.matcher import Matchers, MatchersGiven

__all__ = ["EVERY_LABEL", "Destination", "Route", "Rung", "destinations", "route_channels"]

EVERY_LABEL: Final = "..."
"""Alone in `group_by`, it groups by all labels, as in Alertmanager."""


@dataclass(frozen=True, slots=True, init=False)
class Rung:
    """One step of the escalation ladder: channels that are told as well `after` so long without acknowledgement."""

    after: float
    channels: tuple[str, ...]

    def __init__(self, after: Duration, channels: Sequence[str], *, where: str = "rung") -> None:
        object.__setattr__(self, "after", _seconds("after", after, where))
        object.__setattr__(self, "channels", _channels(channels, where))
        if not self.after:
            raise ConfigurationError(where, field="after", seen=f"after = {after!r}", expected="a duration above zero")
        if not self.channels:
            raise ConfigurationError(
                where, field="channels", seen="no channels", expected="name those that are told as well"
            )


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an alert arrives, with all that the routes on its way say.

    `path` names the route in the tree: "0.2" is the third below the first, "" the root. `channels` are those to tell, None
    means all. `group_by` None leaves each alert for itself, () puts all that arrive here together. Durations are seconds.
    """

    path: str = ""
    _: KW_ONLY
    channels: tuple[str, ...] | None = None
    group_by: tuple[str, ...] | None = None
    wait: float = 0.0
    interval: float = 0.0
    mute_times: tuple[MuteTime, ...] = ()
    escalation: tuple[Rung, ...] = ()


@dataclass(frozen=True, slots=True, init=False)
class Route:
    """A node of the routing tree, for the alerts that `match`, given as anything that `Matchers.of` reads.

    An alert goes down to the first of the `routes` that matches, and on to those after it where that one has `continue_`.
    Where none matches, it has arrived. The root takes every alert: it has neither `match` nor `continue_`.

    What is left out is as in the parent; at the root it is as told in brackets.

    - `channels`: the names of those to tell (every channel). An empty list tells nobody.
    - `group_by`: labels; alerts that agree on them are told together (each alert for itself). `["..."]` stands for all
      labels, an empty list puts all alerts that arrive here together.
    - `wait`: how long a new group waits for more alerts (0). `interval`: how long until it tells of more (0).
    - `escalation`: rungs, or pairs of a duration and channels (none); sorted by time. An empty list is no escalation.

    `mute_times` are the exception, as in Alertmanager: they hold for the alerts that arrive at this route, not below it.

    A ConfigurationError about `where` says what is wrong.
    """

    match: Matchers
    channels: tuple[str, ...] | None
    continue_: bool
    routes: "tuple[Route, ...]"
    group_by: tuple[str, ...] | None
    wait: float | None
    interval: float | None
    mute_times: tuple[MuteTime, ...]
    escalation: tuple[Rung, ...] | None
    _root: "_Node | None" = field(compare=False)

    def __init__(
        self,
        *,
        channels: Sequence[str] | None = None,
        match: MatchersGiven = None,
        continue_: bool = False,
        routes: "Sequence[Route]" = (),
        group_by: Sequence[str] | None = None,
        wait: Duration | None = None,
        interval: Duration | None = None,
        mute_times: Sequence[MuteTime] = (),
        escalation: Sequence[Rung | tuple[Duration, Sequence[str]]] | None = None,
        where: str = "route",
    ) -> None:
        values: dict[str, object] = {
            "match": Matchers.of(match, where=where, field="match"),
            "channels": None if channels is None else _channels(channels, where),
            "continue_": _flag(continue_, where),
            "routes": _list_of(Route, "routes", routes, where),
            "group_by": None if group_by is None else _group_by(group_by, where),
            "wait": None if wait is None else _seconds("wait", wait, where),
            "interval": None if interval is None else _seconds("interval", interval, where),
            "mute_times": _list_of(MuteTime, "mute_times", mute_times, where),
            "escalation": None if escalation is None else _ladder(escalation, where),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_root", None if self.match or continue_ else _node(self, "", Destination()))

    def __repr__(self) -> str:
        told = "the parent's channels" if self.channels is None else ", ".join(self.channels) or "nobody"
        return f"<Route {{{self.match}}} to {told}, {len(self.routes)} below>"

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], mute_times: Mapping[str, MuteTime]) -> "Route":
        """Make the tree of a plain dictionary, and those in its `routes`.

        Keys are the parameters, with `continue`; `mute_times` are names of those given, a step of `escalation` has `after`
        and `channels`. An unknown key is a ConfigurationError that says where in the tree it stands: "routes[0].routes[2]".
        """
        root = _route(mapping, mute_times, "")
        _tree(root)
        return root


def destinations(root: Route, labels: Mapping[str, str]) -> tuple[Destination, ...]:
    """Give where an alert with these labels arrives, in the order of the tree.

    That is one place at least, and exactly one where no route has `continue_`. A ConfigurationError if `root` is none.
    """
    found: list[Destination] = []
    _descend(_tree(root), labels, found)
    return tuple(found)


def route_channels(root: Route) -> set[str]:
    """Give the names of all channels that the tree mentions, those of its escalations included.

    Check them against the channels there are. A ConfigurationError if `root` is none.
    """
    names: set[str] = set()
    for destination in _all_destinations(_tree(root)):
        names.update(destination.channels or (), *(rung.channels for rung in destination.escalation))
    return names


@dataclass(frozen=True, slots=True)
class _Node:
    """A route that knows what its parents say."""

    match: Matchers
    continues: bool
    below: "tuple[_Node, ...]"
    destination: Destination


def _node(route: Route, path: str, parent: Destination) -> _Node:
    own = {name: getattr(route, name) for name in ("channels", "group_by", "wait", "interval", "escalation")}
    said = {name: value for name, value in own.items() if value is not None}
    here = replace(parent, path=path, mute_times=route.mute_times, **said)
    prefix = f"{path}." if path else ""
    below = [_node(child, f"{prefix}{index}", here) for index, child in enumerate(route.routes)]
    return _Node(route.match, route.continue_, tuple(below), here)


def _tree(root: Route) -> _Node:
    if root._root is None:
        field, seen = ("match", f"match = {str(root.match)!r}") if root.match else ("continue", "continue")
        expected = "the root takes every alert, with neither match nor continue"
        raise ConfigurationError("route", field=field, seen=f"{seen} at the root", expected=expected)
    return root._root


def _descend(node: _Node, labels: Mapping[str, str], found: list[Destination]) -> bool:
    """Add where the alert arrives from here on; whether the node matches at all."""
    if not node.match.matches(labels):
        return False
    before = len(found)
    for child in node.below:
        if _descend(child, labels, found) and not child.continues:
            break
    if len(found) == before:
        found.append(node.destination)
    return True


def _all_destinations(node: _Node) -> Iterator[Destination]:
    yield node.destination
    for child in node.below:
        yield from _all_destinations(child)


_KEYS: Final = ("channels", "match", "continue", "routes", "group_by", "wait", "interval", "mute_times", "escalation")


def _route(mapping: Mapping[str, Any], mute_times: Mapping[str, MuteTime], path: str) -> Route:
    where = path or "route"
    given = _known_keys(mapping, _KEYS, where)
    given["continue_"] = given.pop("continue", False)
    if "routes" in given:
        prefix = f"{path}." if path else ""
        children = enumerate(_list("routes", given["routes"], where))
        given["routes"] = [_route(child, mute_times, f"{prefix}routes[{index}]") for index, child in children]
    if "mute_times" in given:
        names = _list("mute_times", given["mute_times"], where)
        given["mute_times"] = [_mute_time(name, mute_times, where) for name in names]
    if given.get("escalation") is not None:
        steps = enumerate(_list("escalation", given["escalation"], where))
        given["escalation"] = [_step(step, f"{where}: escalation[{index}]") for index, step in steps]
    return Route(**given, where=where)


def _step(mapping: Mapping[str, Any], where: str) -> Rung:
    given = _known_keys(mapping, ("after", "channels"), where)
    for key in ("after", "channels"):
        if key not in given:
            raise ConfigurationError(where, field=key, seen=f"no {key}", expected="it needs after and channels")
    return Rung(**given, where=where)


def _mute_time(name: object, mute_times: Mapping[str, MuteTime], where: str) -> MuteTime:
    if isinstance(name, str) and name in mute_times:
        return mute_times[name]
    hint = _hint(str(name), tuple(mute_times)) if mute_times else "define it first"
    raise ConfigurationError(where, field="mute_times", seen=f"the unknown mute time {name!r}", expected=hint)


def _known_keys(mapping: Mapping[str, Any], keys: Sequence[str], where: str) -> dict[str, Any]:
    if not isinstance(mapping, Mapping):
        raise ConfigurationError(where, seen=repr(mapping), expected=f"a dictionary with some of {', '.join(keys)}")
    for key in mapping:
        if key not in keys:
            raise ConfigurationError(where, field=str(key), seen=f"the unknown key {key!r}", expected=_hint(str(key), keys))
    return dict(mapping)


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"use some of {', '.join(known)}"


def _list(field: str, given: Any, where: str) -> tuple[Any, ...]:  # Any: whatever a settings file or a caller gives
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise ConfigurationError(where, field=field, seen=f"{field} = {given!r}", expected="a list")
    return tuple(given)


def _list_of(kind: type, field: str, given: object, where: str) -> tuple[Any, ...]:  # Any: of `kind`
    items = _list(field, given, where)
    for item in items:
        if not isinstance(item, kind):
            expected = f"{kind.__name__} objects"
            raise ConfigurationError(where, field=field, seen=f"{item!r} in {field}", expected=expected)
    return items


def _channels(given: object, where: str) -> tuple[str, ...]:
    names = _list("channels", given, where)
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise ConfigurationError(where, field="channels", seen=f"{name!r} in channels", expected="names of channels")
    return tuple(dict.fromkeys(names))


def _group_by(given: object, where: str) -> tuple[str, ...]:
    names = _list("group_by", given, where)
    if names == (EVERY_LABEL,):
        return names
    for name in names:
        if not isinstance(name, str) or not valid_label_name(name):
            expected = f"letters, digits and underscores, no digit first; or {EVERY_LABEL!r} alone"
            raise ConfigurationError(where, field="group_by", seen=f"{name!r} in group_by", expected=expected)
    return tuple(dict.fromkeys(names))


def _seconds(field: str, given: Duration, where: str) -> float:
    try:
        seconds = parse_duration(given)
    except ValueError as error:
        raise ConfigurationError(where, field=field, seen=f"{field} {error}", expected="a duration") from None
    if seconds < 0:
        raise ConfigurationError(where, field=field, seen=f"{field} = {given!r}", expected="a duration not negative")
    return seconds


def _flag(given: object, where: str) -> bool:
    if not isinstance(given, bool):
        raise ConfigurationError(where, field="continue", seen=f"continue = {given!r}", expected="true or false")
    return given


def _ladder(given: object, where: str) -> tuple[Rung, ...]:
    rungs = [_rung(step, f"{where}: escalation[{index}]") for index, step in enumerate(_list("escalation", given, where))]
    return tuple(sorted(rungs, key=lambda rung: rung.after))


def _rung(step: Any, where: str) -> Rung:  # Any: whatever the caller gives
    match step:
        case Rung():
            return step
        case (after, channels):
            return Rung(after, channels, where=where)
        case _:
            raise ConfigurationError(where, field="escalation", seen=repr(step), expected="a Rung or (after, channels)")
