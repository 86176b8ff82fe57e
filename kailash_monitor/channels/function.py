"""A function as a channel."""

import inspect
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from kailash_monitor.channels.channel import NotificationChannel
from kailash_monitor.model.alert import Alert

__all__ = ["FunctionChannel", "Sends"]

Sends: TypeAlias = Callable[[Alert, Mapping[str, object]], object]
"""Tells about an alert, given its context; a coroutine function or a plain one, which runs in a thread of its own."""


class FunctionChannel(NotificationChannel):
    """Calls `function(alert, context)` for each message, and is named after it.

    What it answers is taken as in `send_notification`; None, the answer of a function that just tells, means taken.
    """

    def __init__(self, function: Sends) -> None:
        self.function: Final = function
        name = getattr(function, "__name__", type(function).__name__)
        self.default_name: Final = "function" if name == "<lambda>" else name
        self.name = None
        self.send_notification = _async(function) if inspect.iscoroutinefunction(function) else _plain(function)  # type: ignore[method-assign,assignment]  # a plain one is run in a thread

    def __repr__(self) -> str:
        return f"<FunctionChannel {self.default_name}>"


def _async(function: Sends) -> Sends:
    async def send(alert: Alert, context: Mapping[str, object]) -> object:
        answer = await function(alert, context)  # type: ignore[misc]  # it is a coroutine function
        return True if answer is None else answer

    return send


def _plain(function: Sends) -> Sends:
    def send(alert: Alert, context: Mapping[str, object]) -> object:
        answer = function(alert, context)
        return True if answer is None else answer

    return send
