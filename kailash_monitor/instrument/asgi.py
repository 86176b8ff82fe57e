"""ASGI metrics: a middleware that measures what an application serves, to the last byte of each answer."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

from kailash_monitor.instrument.http_metrics import CLIENT_LEFT, HttpMetrics
from kailash_monitor.metrics import MetricsRegistry

__all__ = ["AsgiMetrics", "route_of"]

Scope: TypeAlias = MutableMapping[str, Any]  # Any: what the specification of ASGI says of each
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
RouteOf: TypeAlias = Callable[[Scope], str]

ERROR: Final = 500
"""The status of a request that an exception ended: the server answers with it."""

_BODIES: Final = frozenset(("http.response.body", "http.response.zerocopysend", "http.response.pathsend"))
"""Messages that hand bytes over; the last of an answer is the one that promises no `more_body`."""

_FULL: Final = 2
"""What Starlette's `Match.FULL` is: path and method fit. Below are PARTIAL, where the method does not, and NONE."""


class AsgiMetrics:
    """An ASGI application that is `app`, with its HTTP requests measured into the collector `http` of `registry`.

        app.add_middleware(AsgiMetrics, registry=registry)     # Starlette, FastAPI
        app = AsgiMetrics(app, registry)                       # anything else

    A request lasts from when it comes until its last byte was handed to the server, and not through what runs in the
    background after that. Its route is the template that the framework chose, by default as Starlette and FastAPI tell it
    (`route_of`); for another framework `route` is a function that gives it, or "" for none, of the scope after the request.

    An exception counts as status 500, and so does an answer that the application leaves unfinished. A client that goes away
    before the end, as far as the application was told so or cancelled for it, counts as 499. All of that passes through
    untouched, as do WebSockets and the life of the application, which are not measured.
    """

    def __init__(self, app: App, registry: MetricsRegistry, *, route: "RouteOf | None" = None) -> None:
        self.app: Final = app
        self._metrics: Final = HttpMetrics.of(registry)
        self._route: Final[RouteOf] = route_of if route is None else route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or whatever else it is."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(self._metrics, scope, receive, send, self._route)
        try:
            await self.app(scope, answer.receive, answer.send)
        except Exception:
            answer.end(ERROR)
            raise
        except BaseException:  # cancelled, whichever library the loop is of
            answer.end(CLIENT_LEFT)
            raise
        answer.end(ERROR)  # where it was not answered to the end


class _Answer:
    """One request that is being answered. Mutable: what is known of the answer by now."""

    __slots__ = ("_begun", "_left", "_metrics", "_receive", "_route", "_scope", "_send", "_status")

    def __init__(self, metrics: HttpMetrics, scope: Scope, receive: Receive, send: Send, route: RouteOf) -> None:
        self._status = ERROR
        self._left = False
        self._metrics = metrics
        self._scope = scope
        self._receive = receive
        self._send = send
        self._route = route
        self._begun: float | None = metrics.begin()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # what a server raises to whom nobody listens any more, as ASGI 2.4 says
            self._left = True
            raise
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
        elif kind in _BODIES and not message.get("more_body"):
            self.end(self._status)

    def end(self, status: int) -> None:
        """Take note that it was answered; the first time counts."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            self._metrics.end(begun, self._scope["method"], self._template(), CLIENT_LEFT if self._left else status)

    def _template(self) -> str:
        try:
            return self._route(self._scope)
        except Exception:  # whatever a framework puts there, the request goes on
            return ""


def route_of(scope: Mapping[str, Any]) -> str:
    """Give the template of the route that was chosen for a request, as Starlette and FastAPI tell it; empty for none.

    What stands before it belongs to it: the prefixes of included routers, mounts, and the server's `root_path`. Of what is
    mounted and does not say where it went, it is `/mount/{path}`.
    """
    if "endpoint" not in scope:
        return ""
    mounted = "app_root_path" in scope
    root: str = scope["app_root_path"] if mounted else scope.get("root_path", "")
    chosen = _chosen(scope)
    if mounted or chosen is None:
        asked = {**{name: scope[name] for name in ("type", "method", "path", "headers")}, "root_path": root}
        chosen = _matched(scope["router"].routes, asked, inside=chosen or "/{path}")
    return root.rstrip("/") + chosen if chosen else ""


def _chosen(scope: Mapping[str, Any]) -> str | None:
    """Give the template of the endpoint that was chosen, without mounts before it; None where it is not known."""
    route = scope.get("route")
    if not hasattr(route, "endpoint"):  # a mount, or nothing: Starlette did not say it in older versions
        return None
    context = scope.get("fastapi", {}).get("effective_route_context")  # the route once more, with the prefixes of routers
    chosen = context if getattr(context, "original_route", None) is route else route
    template: str | None = getattr(chosen, "path_format", None)
    return template


def _matched(routes: Iterable[Any], scope: Mapping[str, Any], *, inside: str) -> str | None:  # Any: routes of Starlette
    """Find anew where a request went: nothing keeps the templates of the mounts that it came through.

    `inside` is where it went in a mount whose routes are not to be seen.
    """
    best, found = 0, None
    for route in _one_by_one(routes):
        match, child = route.matches(scope)
        if match.value > best:
            best, found = match.value, (route, child)
        if best == _FULL:
            break
    if found is None:
        return None
    route, child = found
    template: str = getattr(route, "path_format", "")  # a Host has none
    if hasattr(route, "endpoint"):
        return template
    below = _matched(getattr(route, "routes", None) or (), {**scope, **child}, inside=inside)
    return template.removesuffix("/{path}") + (below or inside)


def _one_by_one(routes: Iterable[Any]) -> Iterator[Any]:
    """Give routes with those of the routers that FastAPI has included, which newer versions keep in one piece."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            yield from (context.starlette_route or context for context in contexts())
