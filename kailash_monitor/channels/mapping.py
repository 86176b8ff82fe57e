"""Channels from plain dictionaries, by the short name of their type: `{"type": "log", "level": "ERROR"}`."""

import difflib
import importlib
import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Final, get_args, get_origin

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.errors import ChannelError

__all__ = ["CHANNEL_TYPES", "channel_class", "channel_parameters", "faults", "from_mapping"]

CHANNEL_TYPES: Final = {
    "log": "LogNotificationChannel",
    "webhook": "WebhookNotificationChannel",
    "slack": "SlackNotificationChannel",
    "email": "EmailNotificationChannel",
    "pagerduty": "PagerDutyNotificationChannel",
    "teams": "TeamsNotificationChannel",
    "discord": "DiscordNotificationChannel",
    "telegram": "TelegramNotificationChannel",
    "alertmanager": "AlertmanagerNotificationChannel",
    "apprise": "AppriseNotificationChannel",
}
"""The classes by the short names of their types, which are the names of their modules as well."""


def from_mapping(mapping: Mapping[str, Any]) -> DeliveringChannel:  # Any: whatever a settings file holds
    """Make a channel; the keys beside `type` are the parameters of its class. Values never appear in errors."""
    for fault in faults(mapping):
        raise fault
    given = dict(mapping)
    return channel_class(given.pop("type"))(**given)


def faults(mapping: Mapping[str, object], *, beside: Sequence[str] = ()) -> Iterator[ChannelError]:
    """Give all that is wrong with the shape of a mapping: type, keys, kinds of values. What they mean, the class judges.

    The keys in `beside` are somebody else's business.
    """
    kind, given = mapping.get("type"), {key: value for key, value in mapping.items() if key not in ("type", *beside)}
    try:
        parameters = channel_parameters(kind)
    except ChannelError as unknown:
        yield unknown
        return
    where = f"{kind} channel"
    for key, value in given.items():
        if key not in parameters:
            hint = _instead(key, (*parameters, *beside))
            # without a blank after the colon, what follows may be a secret
            shown = key.partition(":")[0] if isinstance(key, str) else key
            yield ChannelError(where, field=str(shown), seen=f"the unknown key {shown!r}", expected=hint)
        elif not _fits(value, kinds := _kinds(parameters[key].annotation)):
            yield ChannelError(where, field=key, seen=f"{key} is {_called(type(value))}", expected=f"use {_words(kinds)}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in given:
            yield ChannelError(where, field=key, seen=f"no {key}", expected=f"it needs {key}")


def channel_class(kind: object) -> type[DeliveringChannel]:
    """Give the class of channels of this type, imported at first use; a ChannelError where there is none."""
    if not isinstance(kind, str) or kind not in CHANNEL_TYPES:
        seen = f"the type {kind!r}" if isinstance(kind, str) else "no type" if kind is None else "a type that is no text"
        raise ChannelError("channel", field="type", seen=seen, expected=_instead(kind, CHANNEL_TYPES))
    module = importlib.import_module(f"kailash_monitor.channels.{kind}")
    found: type[DeliveringChannel] = getattr(module, CHANNEL_TYPES[kind])
    return found


def channel_parameters(kind: object) -> Mapping[str, inspect.Parameter]:
    """Give what the class of this type takes; a ChannelError where there is none."""
    return inspect.signature(channel_class(kind)).parameters


def _instead(name: object, known: Collection[str]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"


def _kinds(annotation: Any) -> tuple[type, ...]:  # Any: what may stand after a colon
    """Give the classes that an annotation allows; one that stands in quotes, since it is not loaded, allows all."""
    if isinstance(annotation, str):
        return (object,)
    parts = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return tuple(get_origin(part) or part for part in parts)


def _fits(value: object, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool):  # an int for Python, and for nobody else
        return bool in kinds or object in kinds
    return isinstance(value, kinds) or (float in kinds and isinstance(value, int))


_CALLED: Final[Mapping[type, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Mapping: "a mapping",
    Sequence: "a list",
    Iterable: "a list",
    dict: "a mapping",
    list: "a list",
    type(None): "empty",
}
"""What people who write settings call a value."""


def _called(kind: type) -> str:
    return _CALLED.get(kind, f"of the type {kind.__name__}")


def _words(kinds: tuple[type, ...]) -> str:
    """Name what may be written; classes for programs alone, such as paths, are left out."""
    return " or ".join(dict.fromkeys(_CALLED[kind] for kind in kinds if kind in _CALLED and kind is not type(None)))
