"""A manager lives with an aiohttp application, and requests are measured on both sides."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientSession, WSServerHandshakeError, web

from kailash_monitor.alerts import AlertManager
from kailash_monitor.blocking import AlertManager as BlockingManager
from kailash_monitor.errors import ConfigurationError, LifecycleError
from kailash_monitor.integrations.aiohttp import client_tracing, measured, monitor
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.web import Request, Response, Site, aiohttp_app

from served import service_laws  # isort: skip

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

pytestmark = pytest.mark.real_time

PROGRAM = """
    import os, sys
    from aiohttp import web
    from kailash_monitor.alerts import AlertManager, AlertRule, WebhookNotificationChannel
    from kailash_monitor.integrations.aiohttp import monitor
    from kailash_monitor.metrics import MetricsRegistry

    registry = MetricsRegistry()
    queue = registry.collector("jobs").gauge("queue")
    manager = AlertManager(registry, store=os.environ["STORE"])
    manager.add_rule(AlertRule("queue_long", "Long", "error", "queue", "> 3", evaluation_interval="50ms"))
    manager.add_notification_channel(WebhookNotificationChannel(os.environ["HOOK"]))

    async def set_queue(request):
        queue.set(int(request.match_info["value"]))
        return web.Response(text=request.match_info["value"])

    app = web.Application()
    app.router.add_get("/set/{value}", set_queue)
    monitor(app, manager)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


def test_a_service(tmp_path: Path) -> None:
    service_laws(tmp_path, PROGRAM, lambda port: [sys.executable, "app.py", str(port)], route="/set/{value}")


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def counted(registry: MetricsRegistry) -> dict[tuple[str, str], float]:
    """Requests by route and status."""
    pattern = r'_http_requests_total\{method="\w+",route="(.*)",status="(\d+)"\} (\d+)'
    found = re.findall(pattern, registry.export_metrics("prometheus"))
    return {(route, status): float(number) for route, status, number in found}


def in_progress(registry: MetricsRegistry) -> float | None:
    metric = registry.collector("http").get_metric("requests_in_progress")
    assert metric is not None
    return metric.get_latest_value()


@pytest.fixture
def shelf() -> MetricsRegistry:
    return MetricsRegistry()


async def test_the_manager_runs_from_before_to_after_all_other_contexts(shelf: MetricsRegistry) -> None:
    manager, seen = AlertManager(shelf), list[tuple[str, bool]]()

    async def database(app: web.Application) -> AsyncIterator[None]:
        seen.append(("begin", manager.running))
        yield
        seen.append(("end", manager.running))

    app = web.Application()
    app.cleanup_ctx.append(database)
    monitor(app, manager, prefix="/watch/")
    async with served(app) as url, ClientSession() as session, session.get(f"{url}/watch/readyz") as answer:
        assert answer.status == 200
    assert seen == [("begin", True), ("end", True)]
    assert not manager.running


async def test_it_may_be_set_up_in_one_task_and_cleaned_up_in_another(shelf: MetricsRegistry) -> None:
    """As fixtures of a test do."""
    manager = AlertManager(shelf)
    runner = web.AppRunner(monitor(web.Application(), manager))
    await asyncio.create_task(runner.setup())
    assert manager.running
    await asyncio.create_task(runner.cleanup())
    assert not manager.running


async def test_a_manager_that_cannot_start_fails_the_start_up(shelf: MetricsRegistry, tmp_path: Path) -> None:
    store = str(tmp_path / "alerts.db")
    runner = web.AppRunner(monitor(web.Application(), AlertManager(shelf, store=store)))
    async with AlertManager(MetricsRegistry(), store=store):
        with pytest.raises(LifecycleError, match=r"alerts\.db"):
            await runner.setup()
        await runner.cleanup()


@pytest.mark.parametrize("prefix", ["monitor", "", "/"])
def test_a_prefix_that_is_none_is_refused(shelf: MetricsRegistry, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        monitor(web.Application(), AlertManager(shelf), prefix=prefix)


async def test_an_application_is_monitored_once_and_before_it_serves(shelf: MetricsRegistry) -> None:
    app, manager = web.Application(), AlertManager(shelf)
    async with served(monitor(app, manager)):
        with pytest.raises(ConfigurationError, match="serves"):
            monitor(app, manager)
    app = monitor(web.Application(), manager)
    with pytest.raises(ConfigurationError, match="a second time"):
        monitor(app, manager, prefix="/again")
    assert len(app.middlewares) == len(app.cleanup_ctx) == 1


def test_a_blocking_manager_is_refused(shelf: MetricsRegistry) -> None:
    with pytest.raises(ConfigurationError, match="runs on the loop"):
        monitor(web.Application(), BlockingManager(shelf))  # type: ignore[arg-type]  # that is the mistake


async def test_routes_are_templates_and_exceptions_have_their_status(shelf: MetricsRegistry) -> None:
    async def user(request: web.Request) -> web.Response:
        match request.match_info["id"]:
            case "gone":
                raise web.HTTPGone
            case "bad":
                raise ValueError("mine")
            case "late":
                raise TimeoutError
        return web.Response(text="ok")

    app = web.Application(middlewares=[measured(shelf)])
    below = web.Application()
    below.router.add_get("/users/{id}", user)
    app.add_subapp("/v1", below)
    statuses = list[int]()
    async with served(app) as url, ClientSession() as session:
        for path in (
            "/v1/users/7",
            "/v1/users/8",
            "/v1/users/gone",
            "/v1/users/bad",
            "/v1/users/late",
            "/v1/nothing",
            "/secret",
        ):
            async with session.get(url + path) as answer:
                statuses.append(answer.status)
            async with session.get(url + path, headers={"Connection": "close"}) as answer:
                statuses.append(answer.status)
    assert counted(shelf) == {
        ("/v1/users/{id}", "200"): 4,
        ("/v1/users/{id}", "410"): 2,
        ("/v1/users/{id}", "500"): 2,
        ("/v1/users/{id}", "504"): 2,
        ("unmatched", "404"): 4,
    }
    assert {int(status) for _, status in counted(shelf)} == set(statuses)
    failed = shelf.collector("http").get_metric("requests_failed")
    assert failed is not None
    assert failed.get_latest_value() == 4


async def test_middlewares_further_out_may_change_the_answer_still(shelf: MetricsRegistry) -> None:
    """Those of a session put a cookie into its head."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    @web.middleware
    async def session_cookie(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert not response.prepared
        response.set_cookie("session", "7")
        return response

    app, below = web.Application(middlewares=[session_cookie]), web.Application(middlewares=[measured(shelf)])
    below.router.add_get("/", page)
    app.add_subapp("/v1", below)
    async with served(app) as url, ClientSession() as session, session.get(f"{url}/v1/") as answer:
        assert answer.cookies["session"].value == "7"
    assert counted(shelf) == {("/v1/", "200"): 1}


async def test_a_request_lasts_to_its_last_byte(shelf: MetricsRegistry) -> None:
    class Slow(web.Response):
        async def write_eof(self, data: bytes = b"") -> None:
            await asyncio.sleep(0.2)
            await super().write_eof(data)

    async def page(request: web.Request) -> web.Response:
        return Slow(text="at last")

    app = web.Application(middlewares=[measured(shelf)])
    app.router.add_get("/", page)
    async with served(app) as url, ClientSession() as session, session.get(url) as answer:
        assert await answer.text() == "at last"
    took = shelf.collector("http").get_metric("request_duration")
    assert took is not None
    assert 200 <= (took.get_max("1m") or 0) < 2000


async def test_who_goes_away_before_the_answer_is_a_499(shelf: MetricsRegistry) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    app = web.Application(middlewares=[measured(shelf)])
    app.router.add_get("/", never)
    async with served(app) as url:
        async with ClientSession() as session:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), session.get(url):
                    pass
        async with asyncio.timeout(5):
            while not counted(shelf):
                await asyncio.sleep(0.01)
    assert counted(shelf) == {("/", "499"): 1}
    assert in_progress(shelf) == 0


async def test_who_goes_away_in_the_middle_of_the_answer_is_a_499(shelf: MetricsRegistry) -> None:
    async def big(request: web.Request) -> web.Response:
        return web.Response(body=bytes(50_000_000))

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(100_000))

    app = web.Application(middlewares=[measured(shelf)])
    app.router.add_get("/big", big)
    app.router.add_get("/stream", stream)
    async with served(app) as url, ClientSession() as session:
        for path in ("/big", "/stream"):
            async with session.get(url + path) as answer:
                await answer.content.readexactly(10_000)
                answer.close()
        async with asyncio.timeout(5):
            while len(counted(shelf)) < 2:
                await asyncio.sleep(0.01)
    assert counted(shelf) == {("/big", "499"): 1, ("/stream", "499"): 1}


async def test_websockets_are_not_measured(shelf: MetricsRegistry) -> None:
    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        if request.query:
            raise ValueError("mine")
        await socket.close()
        return socket

    app = web.Application(middlewares=[measured(shelf)])
    app.router.add_get("/", talk)
    async with served(app) as url, ClientSession() as session:
        for query in ("", "/?fail=1"):
            async with session.ws_connect(url + query) as socket:
                assert await socket.receive_str() == "hello"
                await socket.receive()
    assert counted(shelf) == {}
    assert in_progress(shelf) == 0


async def test_who_asks_for_a_websocket_and_gets_none_is_measured(shelf: MetricsRegistry) -> None:
    async def page(request: web.Request) -> web.Response:
        if request.query:
            raise ValueError("mine")
        return web.Response(text="none here")

    app = web.Application(middlewares=[measured(shelf)])
    app.router.add_get("/", page)
    async with served(app) as url, ClientSession() as session:
        for query in ("", "/?fail=1"):
            with pytest.raises(WSServerHandshakeError):
                await session.ws_connect(url + query)
    assert counted(shelf) == {("/", "200"): 1, ("/", "500"): 1}
    assert in_progress(shelf) == 0


async def test_requests_that_a_program_makes_are_measured_by_host_and_nothing_else_of_the_address(
    shelf: MetricsRegistry,
) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    async with ClientSession(trace_configs=[client_tracing(shelf)]) as session:
        async with served(app) as url:
            async with session.get(f"{url}/secret-path?token=secret") as answer:
                assert answer.status == 200
        with pytest.raises(ClientConnectionError):
            await session.get(f"{url}/secret-path")
    page_of_metrics = shelf.export_metrics("prometheus")
    assert 'kailash_http_client_requests_total{method="GET",host="127.0.0.1",status="200"} 1' in page_of_metrics
    assert 'requests_failed_total{method="GET",host="127.0.0.1",exception="ClientConnectorError"} 1' in page_of_metrics
    assert 'request_duration_seconds_count{method="GET",host="127.0.0.1"} 2' in page_of_metrics
    assert "secret" not in page_of_metrics


async def test_a_redirect_is_a_part_of_the_request_to_the_host_that_was_asked(shelf: MetricsRegistry) -> None:
    """Where it leads to is chosen by somebody else."""

    async def page(request: web.Request) -> web.Response:
        if request.host.startswith("127.0.0.1"):
            raise web.HTTPFound(f"http://localhost:{request.host.rpartition(':')[2]}/")
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/", page)
    async with served(app) as url, ClientSession(trace_configs=[client_tracing(shelf)]) as session:
        async with session.get(url) as answer:
            assert str(answer.url).startswith("http://localhost")
    requests = shelf.collector("http_client").get_metric("requests")
    assert requests is not None
    assert [dict(one.labels) for one in requests.series] == [{"method": "GET", "host": "127.0.0.1", "status": "200"}]


async def test_who_goes_away_while_the_site_answers_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Each tab that is closed while it asks for something long would be one."""
    asked = asyncio.Event()
    transports: list[asyncio.BaseTransport] = []

    class Slow(Site):
        async def handle(self, request: Request) -> Response:
            asked.set()
            while not transports[0].is_closing():
                await asyncio.sleep(0)
            return Response.text([b"a page ", b"in two pieces"])

    @web.middleware
    async def seen(request: web.Request, handler: Handler) -> web.StreamResponse:
        assert request.transport is not None
        transports.append(request.transport)
        return await handler(request)

    app = web.Application(middlewares=[seen])
    app.add_subapp("/monitor", aiohttp_app(Slow(AlertManager(MetricsRegistry()))))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(b"GET /monitor/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asked.wait()
    writer.transport.abort()
    await runner.cleanup()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
