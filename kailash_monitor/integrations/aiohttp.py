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

ERROR: Final = 500


def monitored(manager: AlertManager) -> Callable[[web.Application], AsyncIterator[None]]:
    """Give a cleanup context in which the manager runs. Put it first, and it runs from before to after all others."""

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

    To be called before the application serves, once. `token` and `hosts` are those of a Site: with a token the pages take
    changes as well. Reading asks for nothing: where the application can be reached from outside, keep `prefix` from there.
    A ConfigurationError where the prefix is none.
    """
    if not prefix.startswith("/") or prefix.rstrip("/") == "":
        seen = f"prefix = {prefix!r}"
        raise ConfigurationError("monitor", field="prefix", seen=seen, expected="a path such as '/monitor'")
    app.cleanup_ctx.insert(0, monitored(manager))
    app.add_subapp(prefix.rstrip("/"), aiohttp_app(Site(manager, token, hosts=hosts)))
    if requests:
        app.middlewares.insert(0, measured(manager.metrics_registry))
    return app


def measured(registry: MetricsRegistry) -> Middleware:
    """Give a middleware that measures requests into the collector `http` of `registry`; let it be the outermost one.

    A request lasts until its last byte was handed to the connection. Its route is that of the resource (`/users/{id}`). An
    exception counts as status 500, a client that goes away before the end as 499; both pass through untouched. WebSockets
    are not measured.
    """
    metrics = HttpMetrics.of(registry)

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await handler(request)
        begun, status = metrics.begin(), ERROR
        try:
            response = await handler(request)
            status = response.status
            if not await _sent(request, response):
                status = CLIENT_LEFT
            return response
        except web.HTTPException as answer:
            status = answer.status
            raise
        except asyncio.CancelledError:
            status = CLIENT_LEFT
            raise
        finally:
            metrics.end(begun, request.method, _route(request), status)

    return measure


async def _sent(request: web.Request, response: web.StreamResponse) -> bool:
    """Send the answer, which the server would do next; whether anybody was there to get it."""
    try:
        await response.prepare(request)
        await response.write_eof()
    except ConnectionError:  # the server meets it again, and knows what to do
        return False
    return True


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


def client_tracing(registry: MetricsRegistry) -> TraceConfig:
    """Give what a ClientSession takes in `trace_configs`, to measure its requests into the collector `http_client`.

    - `requests` {method, host, status}: a counter, of those that were answered
    - `requests_failed` {method, host, exception}: a counter, of those that were not, by type of exception
    - `request_duration` {method, host}: a timer, in milliseconds, until the head of the answer was there

    Each redirect is a part of its request. Nothing of an address but its host is kept.
    """
    collector = registry.collector("http_client")
    to = ("method", "host")
    answered = collector.counter("requests", "Requests that were answered", labels=(*to, "status"))
    failed = collector.counter("requests_failed", "Requests that were not answered", labels=(*to, "exception"))
    took = collector.timer("request_duration", "From the request to the head of its answer", labels=to)

    async def begin(_: ClientSession, context: SimpleNamespace, __: TraceRequestStartParams) -> None:
        context.begun = registry.clock.now()

    async def end(_: ClientSession, context: SimpleNamespace, it: TraceRequestEndParams) -> None:
        answered.inc(it.method, it.url.host, it.response.status)
        took.observe(it.method, it.url.host, (registry.clock.now() - context.begun) * 1000.0)

    async def fail(_: ClientSession, context: SimpleNamespace, it: TraceRequestExceptionParams) -> None:
        failed.inc(it.method, it.url.host, type(it.exception).__name__)
        took.observe(it.method, it.url.host, (registry.clock.now() - context.begun) * 1000.0)

    tracing: Any = TraceConfig()  # Any: generic in what it keeps for a request, in the stubs only
    tracing.on_request_start.append(begin)
    tracing.on_request_end.append(end)
    tracing.on_request_exception.append(fail)
    config: TraceConfig = tracing
    return config
