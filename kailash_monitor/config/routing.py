"""Routing: the mute times, routes and inhibitions of a file, into a manager that tells along them."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route
from kailash_monitor.config.loader import Contents, Place, Problems
from kailash_monitor.config.reach import instead
from kailash_monitor.engine import AlertManager
from kailash_monitor.errors import ConfigurationError

__all__ = ["channels_in_sight", "set_routing"]

_REFUSED: Final = MuteTime("refused", times=("00:00-24:00",))
"""Stands for a mute time that was refused, so that the routes that name it are not blamed for it."""


def set_routing(manager: AlertManager, contents: Contents) -> None:
    """Have `manager`, which has its channels already, tell as the file says. What is wrong is noted."""
    settings, problems = contents.settings, contents.problems
    mute_times = _mute_times(manager, contents)
    channels = channels_in_sight(manager, contents)
    for place, node in _nodes(settings.routes, ("routes",)):
        _check_route(node, place, mute_times, channels, problems)
    manager.set_inhibitions(_inhibitions(contents))
    if not problems.within(()):
        manager.set_routes(Route.from_mapping(settings.routes, mute_times))


def channels_in_sight(manager: AlertManager, contents: Contents) -> list[str]:
    """Name the channels that `manager` has, and those that are wrong: whoever names one of these is not to blame."""
    written = enumerate(contents.settings.channels)
    wrong = [item for index, item in written if contents.problems.within(("channels", index))]
    return list(dict.fromkeys([*manager.channels_by_name(), *_names(wrong)]))


def _mute_times(manager: AlertManager, contents: Contents) -> dict[str, MuteTime]:
    found = dict.fromkeys(_names(contents.settings.mute_times), _REFUSED)
    for index, mapping in contents.mute_times.items():
        try:
            mute = MuteTime.from_mapping(mapping)
            manager.set_routes(Route(mute_times=[mute]))  # who knows the time zones
            found[mute.name] = mute
        except ConfigurationError as error:
            contents.problems.add_error(("mute_times", index), error)
    return found


def _names(items: Collection[object]) -> Iterator[str]:
    for item in items:
        name = item.get("name", item.get("type")) if isinstance(item, dict) else None
        if isinstance(name, str):
            yield name


def _inhibitions(contents: Contents) -> Iterator[Inhibition]:
    for index, mapping in contents.inhibitions.items():
        try:
            yield Inhibition.from_mapping(mapping)
        except ConfigurationError as error:
            contents.problems.add_error(("inhibitions", index), error)


def _nodes(node: Any, place: Place) -> Iterator[tuple[Place, Any]]:  # Any: whatever YAML can say
    """Give each route of the tree alone, without those below it."""
    below = node.get("routes") if isinstance(node, dict) else None
    if not isinstance(below, list):
        yield place, node
        return
    yield place, {**node, "routes": []}
    for index, child in enumerate(below):
        yield from _nodes(child, (*place, "routes", index))


def _check_route(
    node: Any, place: Place, mute_times: Mapping[str, MuteTime], channels: Collection[str], problems: Problems
) -> None:  # Any: as above
    try:
        Route.from_mapping(node if place == ("routes",) else {"routes": [node]}, mute_times)
    except ConfigurationError as error:
        problems.add_error((*place, *_rung(error.where)), error)
        return
    named = [((*place, "channels", index), name) for index, name in enumerate(node.get("channels") or ())]
    for step, rung in enumerate(node.get("escalation") or ()):
        named += [((*place, "escalation", step, "channels", index), name) for index, name in enumerate(rung["channels"])]
    for where, name in named:
        if name not in channels:
            hint = instead(name, channels, nothing="add a channel")
            problems.add(where, f"the channel {name!r}, which is not there or switched off; {hint}")


def _rung(where: str) -> Place:
    """Give which step of the escalation an error is about, where it is about one."""
    found = re.search(r": escalation\[(\d+)\]$", where)
    return ("escalation", int(found[1])) if found else ()
