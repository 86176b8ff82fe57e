"""Routing: the mute times, routes and inhibitions of the settings, into a manager that tells along them."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route
from kailash_monitor.blocking import AlertManager
from kailash_monitor.integrations.django.channels import Channels
from kailash_monitor.integrations.django.notes import Notes, Said, below, lowered

__all__ = ["channels_named", "set_routing"]

_REFUSED: Final = MuteTime("refused", times=("00:00-24:00",))
"""Stands for a mute time that was refused, so that the routes that name it are not blamed for it."""


def set_routing(manager: AlertManager, channels: Channels, said: Said, notes: Notes) -> None:
    """Have `manager`, which has its channels already, tell as the settings say. What is wrong is noted."""
    mute_times = _mute_times(manager, said, notes)
    entries = notes.entries(said, "INHIBITIONS")
    made = [notes.made(place, partial(Inhibition.from_mapping, lowered(entry)), lowered(entry)) for place, entry in entries]
    manager.set_inhibitions([one for one in made if one is not None])
    routes = said.get("ROUTES")
    if routes is None:
        return
    for place, node in _nodes(_tree(routes), "ROUTES"):
        _check_route(place, node, mute_times, channels, notes)
    if not notes.problems:
        notes.made("ROUTES", lambda: manager.set_routes(Route.from_mapping(_tree(routes), mute_times)))


def channels_named(said: Said) -> Iterator[str]:
    """Give the names of the channels that the routes mention, as far as they are any."""
    for _, node in _nodes(_tree(said.get("ROUTES")), ""):
        yield from _own_channels(node)


def _mute_times(manager: AlertManager, said: Said, notes: Notes) -> dict[str, MuteTime]:
    found: dict[str, MuteTime] = {}
    for place, entry in notes.entries(said, "MUTE_TIMES"):
        given = notes.spelt(place, entry)
        name = given.get("name")
        mute = notes.made(place, partial(_mute_time, manager, given), given) if given else None
        if not isinstance(name, str):
            continue
        if name in found:
            notes.wrong(below(place, "name"), "a second of that name; give it another name")
        found[name] = mute or _REFUSED
    return found


def _mute_time(manager: AlertManager, given: Said) -> MuteTime:
    mute = MuteTime.from_mapping(given)
    manager.set_routes(Route(mute_times=[mute]))  # who knows the time zones
    return mute


def _check_route(place: str, node: Any, mute_times: Mapping[str, MuteTime], channels: Channels, notes: Notes) -> None:
    """Check one route alone. Any: as in Said."""
    mapping = node if place == "ROUTES" else {"routes": [node]}
    said = node if isinstance(node, Mapping) else ()
    if notes.made(place, partial(Route.from_mapping, mapping, mute_times), said) is not None:
        for name in _own_channels(node):
            channels.check(below(place, "channels"), name)


def _tree(node: Any) -> Any:  # Any: as in Said
    """Give a tree of routes by its names as we spell them."""
    given = lowered(node)
    for key in ("routes", "escalation") if isinstance(given, dict) else ():
        if isinstance(given.get(key), list | tuple):
            given[key] = [_tree(one) for one in given[key]]
    return given


def _nodes(node: Any, place: str) -> Iterator[tuple[str, Any]]:  # Any: as in Said
    """Give each route of the tree alone, without those below it."""
    children = node.get("routes") if isinstance(node, dict) else None
    if not isinstance(children, list):
        yield place, node
        return
    yield place, {**node, "routes": []}
    for number, child in enumerate(children):
        yield from _nodes(child, f"{place}.routes[{number}]")


def _own_channels(node: Any) -> Iterator[str]:  # Any: as in Said
    steps = node.get("escalation") if isinstance(node, dict) else None
    for holder in (node, *(steps if isinstance(steps, list) else ())):
        names = holder.get("channels") if isinstance(holder, dict) else None
        yield from [name for name in names if isinstance(name, str)] if isinstance(names, list | tuple) else ()
