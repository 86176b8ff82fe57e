"""aiohttp: a manager that lives with the application, its pages, metrics of its requests, and of those that it makes.

    monitor(app, manager)                                  # all of it, below /monitor
    ClientSession(trace_configs=[client_tracing(registry)])

or piece by piece: `app.cleanup_ctx.append(monitored(manager))`, `app.add_subapp("/monitor", aiohttp_app(Site(manager)))`,
`web.Application(middlewares=[measured(registry)])`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

from aiohttp import (
    ClientSession,
    TraceConfig,
    TraceRequestEndParams,
    TraceRequestExceptionParams,
    TraceRequestStartParams,
    web,
)
from aiohttp.typedefs import Middleware

from kailash_monitor.engine import AlertManager
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.instrument.http_metrics import CLIENT_LEFT, HttpMetrics
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.web import Site, aiohttp_app

__all__ = ["client_tracing", "measured", "monitor", "monitored"]

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

ACCEPTED: Final = 101
"""What a WebSocket is answered with."""

ERROR: Final = 500
TIMED_OUT: Final = 504
"""What aiohttp answers where a handler ends with a TimeoutError."""

_MANAGER: Final = web.AppKey("kailash_monitor", AlertManager)
"""Where in an application that is monitored its manager stands."""


def monitored(manager: AlertManager) -> Callable[[web.Application], AsyncIterator[None]]:
    """Give a cleanup context in which the manager runs. Put it first, and it runs from before to after all others.

    A manager that cannot start, as with a store that another process uses, fails the start-up of the application. Messages
    under way get the manager's `stop_timeout` at the end.
    """

    async def live(app: web.Application) -> AsyncIterator[None]:
        async with manager:
            yield

    return live


def monitor(
    app: web.Application,
    manager: AlertManager,
    *,
    prefix: str = "/monitor",
    token: str | None = None,
    hosts: Iterable[str] = (),
    requests: bool = True,
) -> web.Application:
    """Have `manager` live with the application, its pages below `prefix`, and requests measured unless told otherwise.

    To be called before the application serves, once: before routes that match every path, and after the middlewares are
    there. `token` and `hosts` are those of a Site: with a token the pages take changes as well. Reading asks for nothing:
    where the application can be reached from outside, keep `prefix` from there.

    A ConfigurationError where the prefix is none, the manager is a blocking one, or the application serves already or is
    monitored already.
    """
    _check(app, manager, prefix)
    site = Site(manager, token, hosts=hosts)
    if requests:
        app.middlewares.insert(0, measured(manager.metrics_registry))
    app.add_subapp(prefix.rstrip("/"), aiohttp_app(site))
    app.cleanup_ctx.insert(0, monitored(manager))
    app[_MANAGER] = manager
    return app


def _check(app: web.Application, manager: object, prefix: str) -> None:
    if not prefix.startswith("/") or prefix.rstrip("/") == "":
        seen = f"prefix = {prefix!r}"
        raise ConfigurationError("monitor", field="prefix", seen=seen, expected="a path such as '/monitor'")
    if not isinstance(manager, AlertManager):
        expected = "a kailash_monitor.alerts.AlertManager, which runs on the loop of the application"
        raise ConfigurationError("monitor", field="manager", seen=f"{manager!r} as manager", expected=expected)
    if app.pre_frozen or app.frozen:
        raise ConfigurationError("monitor", field="app", seen=f"{app!r}, which serves", expected="one that is being built")
    if _MANAGER in app:
        raise ConfigurationError("monitor", field="app", seen=f"{app!r} a second time", expected="an application once")


def measured(registry: MetricsRegistry) -> Middleware:
    """Give a middleware that measures requests into the collector `http` of `registry`; let it be the outermost one.

    A request lasts until the last byte of its answer was handed to the connection. Its route is that of the resource with
    the prefixes of sub-applications (`/v1/users/{id}`). An exception counts as what aiohttp makes of it: 504 for a
    TimeoutError, else 500; a client that goes away before the end counts as 499. WebSockets are not measured, unless they
    are refused. Answers and exceptions pass through untouched.
    """
    metrics = HttpMetrics.of(registry)

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = _Answer(metrics, request, registry.clock.now)
        # aiohttp has a task for each request, which ends when the answer is sent. To send it here would be simpler, but too
        # early for what a middleware further out, such as one of sessions, has to put into its head
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(answer.end)
        try:
            response = await handler(request)
        except BaseException as error:
            answer.fail(error)
            raise
        answer.status = getattr(response, "status", ERROR)  # what is no response is answered with 500
        return response

    return measure


class _Answer:
    """The answer to one request, measured until its end. Mutable: the status, as far as it is known."""

    __slots__ = ("_asks_for_websocket", "_begun", "_metrics", "_request", "status")

    def __init__(self, metrics: HttpMetrics, request: web.Request, now: Callable[[], float]) -> None:
        self.status = ERROR
        self._metrics = metrics
        self._request = request
        self._asks_for_websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        self._begun = now() if self._asks_for_websocket else metrics.begin()

    def fail(self, error: BaseException) -> None:
        """Take note of what the handler ended with."""
        match error:
            case web.HTTPException():
                self.status = error.status
            case _ if self._asks_for_websocket and self._request.writer.output_size:  # it had it
                self.status = ACCEPTED
            case asyncio.CancelledError():
                self.status = CLIENT_LEFT
            case ConnectionError() if self._request.transport is None:
                self.status = CLIENT_LEFT
            case TimeoutError():
                self.status = TIMED_OUT
            case _:
                self.status = ERROR

    def end(self, _: "asyncio.Task[object]") -> None:
        """Take note that it was answered."""
        if self._asks_for_websocket:
            if self.status == ACCEPTED:
                return
            self._metrics.begin()
        left = self.status < ERROR and self._request.transport is None
        self._metrics.end(self._begun, self._request.method, self._route(), CLIENT_LEFT if left else self.status)

    def _route(self) -> str:
        resource = self._request.match_info.route.resource
        return "" if resource is None else resource.canonical


def client_tracing(registry: MetricsRegistry) -> TraceConfig:
    """Give what a ClientSession takes in `trace_configs`, to measure its requests into the collector `http_client`.

    - `requests` {method, host, status}: a counter, of those that were answered
    - `requests_failed` {method, host, exception}: a counter, of those that were not, by type of exception
    - `request_duration` {method, host}: a timer, in milliseconds, until the head of the answer was there

    Redirects are a part of their request, and the host is the one that was asked first. Nothing else of an address is kept.
    """
    collector = registry.collector("http_client")
    to = ("method", "host")
    answered = collector.counter("requests", "Requests that were answered", labels=(*to, "status"))
    failed = collector.counter("requests_failed", "Requests that were not answered", labels=(*to, "exception"))
    took = collector.timer("request_duration", "From the request to the head of its answer", labels=to)

    async def begin(_: ClientSession, context: SimpleNamespace, it: TraceRequestStartParams) -> None:
        context.begun, context.to = registry.clock.now(), (it.method, it.url.host)

    async def end(_: ClientSession, context: SimpleNamespace, it: TraceRequestEndParams) -> None:
        answered.inc(*context.to, it.response.status)
        took.observe(*context.to, (registry.clock.now() - context.begun) * 1000.0)

    async def fail(_: ClientSession, context: SimpleNamespace, it: TraceRequestExceptionParams) -> None:
        failed.inc(*context.to, type(it.exception).__name__)
        took.observe(*context.to, (registry.clock.now() - context.begun) * 1000.0)

    tracing: Any = TraceConfig()  # Any: generic in what it keeps for a request, in the stubs only
    tracing.on_request_start.append(begin)
    tracing.on_request_end.append(end)
    tracing.on_request_exception.append(fail)
    config: TraceConfig = tracing
    return config
