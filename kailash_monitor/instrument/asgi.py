"""ASGI metrics: a middleware that measures what an application serves, to the last byte of each answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

from kailash_monitor.instrument.http_metrics import CLIENT_LEFT, HttpMetrics
from kailash_monitor.metrics import MetricsRegistry

__all__ = ["AsgiMetrics", "route_of"]

Scope: TypeAlias = MutableMapping[str, Any]  # Any: what the specification of ASGI says of each
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

ERROR: Final = 500
"""The status of a request that an exception ended: the server answers with it."""


class AsgiMetrics:
    """An ASGI application that is `app`, with its HTTP requests measured into the collector `http` of `registry`.

        app.add_middleware(AsgiMetrics, registry=registry)     # Starlette, FastAPI
        app = AsgiMetrics(app, registry)                       # anything else

    A request lasts from when it comes until its last byte was handed to the server, and not through what runs in the
    background after that. Its route is the template that the framework chose (`route_of`; `route` gives it where a framework
    says it otherwise). An exception counts as status 500, a client that goes away before the end as 499; both pass through
    untouched. WebSockets and the life of the application are passed through unmeasured.
    """

    def __init__(self, app: App, registry: MetricsRegistry, *, route: "Callable[[Scope], str] | None" = None) -> None:
        self.app: Final = app
        self._metrics: Final = HttpMetrics.of(registry)
        self._route: Final = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or whatever else it is."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(self._metrics, scope, receive, send, self._route)
        try:
            await self.app(scope, answer.receive, answer.send)
        except asyncio.CancelledError:
            answer.end(CLIENT_LEFT)
            raise
        except BaseException:
            answer.end(CLIENT_LEFT if answer.left else ERROR)
            raise
        answer.end(CLIENT_LEFT if answer.left or answer.status else ERROR)  # it gave no answer, or only a part of one


class _Answer:
    """One request that is being answered. Mutable: what is known of the answer by now."""

    __slots__ = ("_begun", "_metrics", "_path", "_receive", "_route", "_scope", "_send", "left", "status")

    def __init__(
        self, metrics: HttpMetrics, scope: Scope, receive: Receive, send: Send, route: "Callable[[Scope], str] | None"
    ) -> None:
        self.status = 0
        self.left = False
        self._metrics = metrics
        self._scope = scope
        self._path: str = scope["path"]  # as it came: routers of some versions take from it what they have matched
        self._receive = receive
        self._send = send
        self._route = route
        self._begun: float | None = metrics.begin()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        try:
            await self._send(message)
        except OSError:  # what a server raises to whom nobody listens any more, as ASGI 2.4 says
            self.left = True
            raise
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.end(self.status)

    def end(self, status: int) -> None:
        """Take note that it was answered; the first time counts."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            self._metrics.end(begun, self._scope["method"], self._template(), status)

    def _template(self) -> str:
        try:
            return route_of(self._scope, self._path) if self._route is None else self._route(self._scope)
        except Exception:  # whatever a framework puts there, the request goes on
            return ""


def route_of(scope: Mapping[str, Any], path: str) -> str:
    """Give the template that `path` was matched by, empty for none: `scope["route"]`, as Starlette and FastAPI leave it.

    That is the innermost route. What stands before it (a mount, an included router) is taken from the path, with the
    values of parameters put back into their names.
    """
    route = scope.get("route")
    template: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
    if template is None:
        return ""
    parameters: Mapping[str, object] = scope.get("path_params") or {}
    before = _before(path, template, parameters)
    return "/".join(_named(part, parameters) for part in before.split("/")) + template if before else template


def _before(path: str, template: str, parameters: Mapping[str, object]) -> str:
    """Give the beginning of `path` that `template`, which has matched its end, does not speak of."""
    parts, length = path.split("/"), 0
    for part in template.split("/"):
        value = parameters.get(part[1:-1]) if part[:1] == "{" and part[-1:] == "}" else None
        length += str(value).count("/") + 1 if isinstance(value, str) else 1
    return "/".join(parts[: len(parts) - length + 1])


def _named(part: str, parameters: Mapping[str, object]) -> str:
    """Give a part of a path, or the name of the parameter whose value it is."""
    return next((f"{{{name}}}" for name, value in parameters.items() if _is(part, value)), part) if part else part


def _is(part: str, value: object) -> bool:
    if part == str(value):
        return True
    try:
        return not isinstance(value, str) and bool(type(value)(part) == value)  # type: ignore[call-arg]  # 007 for 7
    except Exception:
        return False
