"""Channels from plain dictionaries, by the short name of their type: `{"type": "log", "level": "ERROR"}`."""

import inspect
from collections.abc import Mapping
from typing import Any, Final

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.log import LogNotificationChannel
from kailash_monitor.channels.webhook import WebhookNotificationChannel
from kailash_monitor.errors import ChannelError

__all__ = ["CHANNEL_TYPES", "from_mapping"]

CHANNEL_TYPES: Final[dict[str, type[DeliveringChannel]]] = {
    "log": LogNotificationChannel,
    "webhook": WebhookNotificationChannel,
}


def from_mapping(mapping: Mapping[str, Any]) -> DeliveringChannel:  # Any: whatever a settings file holds
    """Make a channel; the keys beside `type` are the parameters of its class. Values never appear in errors."""
    given = dict(mapping)
    kind = given.pop("type", None)
    channel = CHANNEL_TYPES.get(kind) if isinstance(kind, str) else None
    if channel is None:
        raise ChannelError(
            "channel", field="type", seen=f"the type {kind!r}", expected=f"use one of {', '.join(CHANNEL_TYPES)}"
        )
    parameters = inspect.signature(channel).parameters
    for key in given:
        if key not in parameters:
            raise ChannelError(
                f"{kind} channel",
                field=str(key),
                seen=f"the unknown key {key!r}",
                expected=f"use {', '.join(parameters)}",
            )
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in given:
            raise ChannelError(f"{kind} channel", field=key, seen=f"no {key}", expected=f"it needs {key}")
    return channel(**given)
