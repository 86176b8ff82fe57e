"""A manager lives with a FastAPI or Starlette application."""

import asyncio
import datetime as dt
import importlib.util
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import psutil
import pytest

from kailash_monitor.alerts import AlertManager, AlertRule, WebhookNotificationChannel
from kailash_monitor.errors import ConfigurationError, LifecycleError
from kailash_monitor.metrics import MetricsRegistry

from served import free_port, hook, service_laws, until  # isort: skip

for package in ("fastapi", "uvicorn", "httpx"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package}, from the extra 'fastapi' or 'e2e', is not installed", allow_module_level=True)

import httpx
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.convertors import Convertor, register_url_convertor
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Host, Mount, Route, Router

from kailash_monitor.integrations.fastapi import AsgiMetrics, asgi_app, monitor, monitored, pages
from kailash_monitor.web import Site

pytestmark = pytest.mark.real_time

PROGRAM = """
    import os
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse
    from kailash_monitor.alerts import AlertManager, AlertRule, WebhookNotificationChannel
    from kailash_monitor.integrations.fastapi import monitor
    from kailash_monitor.metrics import MetricsRegistry

    registry = MetricsRegistry()
    queue = registry.collector("jobs").gauge("queue")
    manager = AlertManager(registry, store=os.environ["STORE"])
    manager.add_rule(AlertRule("queue_long", "Long", "error", "queue", "> 3", evaluation_interval="50ms"))
    manager.add_notification_channel(WebhookNotificationChannel(os.environ["HOOK"]))
    app = FastAPI()
    monitor(app, manager)

    @app.get("/set/{value}", response_class=PlainTextResponse)
    async def set_queue(value: int) -> str:
        queue.set(value)
        return str(value)
"""


def test_a_service_under_uvicorn(tmp_path: Path) -> None:
    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]

    service_laws(tmp_path, PROGRAM, command, route="/set/{value}")


@asynccontextmanager
async def served(app: Starlette, root_path: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that has been started, in this process."""
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client


@asynccontextmanager
async def under_uvicorn(app: Starlette) -> AsyncIterator[str]:
    """The address of an application that uvicorn serves in this process."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=5))
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


def counted(manager: AlertManager) -> dict[tuple[str, str], float]:
    """Requests by route and status."""
    found = re.findall(
        r'requests_total\{method="\w+",route="(.*)",status="(\d+)"\} (\d+)',
        manager.metrics_registry.export_metrics("prometheus"),
    )
    return {(route, status): float(number) for route, status, number in found}


@pytest.fixture
def manager() -> AlertManager:
    return AlertManager(MetricsRegistry())


async def test_the_manager_runs_from_before_to_after_the_programs_own_lifespan(manager: AlertManager) -> None:
    seen: list[tuple[str, bool]] = []

    @asynccontextmanager
    async def mine(app: FastAPI) -> AsyncIterator[dict[str, int]]:
        seen.append(("begin", manager.running))
        yield {"answer": 42}
        seen.append(("end", manager.running))

    app = FastAPI(lifespan=monitored(manager, lifespan=mine))
    async with app.router.lifespan_context(app) as state:
        assert state == {"answer": 42}
    assert seen == [("begin", True), ("end", True)]
    assert not manager.running


async def test_a_start_up_of_the_programs_own_that_fails_stops_the_manager(manager: AlertManager) -> None:
    @asynccontextmanager
    async def mine(app: FastAPI) -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    app = monitor(FastAPI(lifespan=mine), manager)
    with pytest.raises(OSError, match="no database"):
        async with app.router.lifespan_context(app):
            pass
    assert not manager.running


async def test_a_manager_that_cannot_start_fails_the_start_up_and_says_why(tmp_path: Path) -> None:
    """As in the second worker of a server, where both are to use one store."""
    store = tmp_path / "alerts.db"
    first, second = (monitor(FastAPI(), AlertManager(MetricsRegistry(), store=store)) for _ in range(2))
    async with served(first) as client:
        with pytest.raises(LifecycleError, match="another store of this program uses it"):
            async with served(second):
                pass
        assert (await client.get("/monitor/healthz")).status_code == 200


async def test_its_pages_are_below_the_prefix_and_not_among_the_documented_ones(manager: AlertManager) -> None:
    app = monitor(FastAPI(), manager, prefix="/watch/")
    async with served(app) as client:
        assert (await client.get("/watch/readyz")).status_code == 200
        assert (await client.get("/watch/")).text.startswith("kailash_monitor\n")
        assert "http" in (await client.get("/watch/metrics/json")).json()
        assert (await client.get("/watch/nothing")).status_code == 404
        assert "/watch" not in str((await client.get("/openapi.json")).json())


async def test_firing_alerts_fail_no_probe(manager: AlertManager) -> None:
    manager.metrics_registry.collector("jobs").set_gauge("queue", 9)
    manager.add_rule(AlertRule("long", "Long", "critical", "queue", "> 3"))
    async with served(monitor(FastAPI(), manager)) as client:
        while not manager.get_active_alerts():
            assert (await client.get("/monitor/healthz")).status_code in (200, 503)
        assert (await client.get("/monitor/healthz")).status_code == 200
        assert (await client.get("/monitor/readyz")).status_code == 200


async def test_what_people_say_is_taken_with_the_token_only(manager: AlertManager) -> None:
    app = monitor(FastAPI(), manager, token="not-to-be-guessed-by-anybody")
    silence = {"matchers": 'service="checkout"', "duration": "2h"}
    async with served(app) as client:
        assert (await client.post("/monitor/api/silences", json=silence)).status_code == 401
        headers = {"Authorization": "Bearer not-to-be-guessed-by-anybody"}
        assert (await client.post("/monitor/api/silences", json=silence, headers=headers)).status_code in (200, 201)
    assert len(manager.silences()) == 1


async def admin(x_key: Annotated[str, Header()] = "") -> None:
    """Let through whoever knows the key."""
    if x_key != "open":
        raise HTTPException(403, "not for you")


async def test_dependencies_are_asked_before_each_page(manager: AlertManager) -> None:
    app = monitor(FastAPI(), manager, dependencies=[Depends(admin)], token="not-to-be-guessed-by-anybody")
    async with served(app) as client:
        for path in ("/monitor/", "/monitor/metrics", "/monitor/api/alerts", "/monitor/nothing"):
            refused = await client.get(path)
            assert (refused.status_code, refused.json()) == (403, {"detail": "not for you"})
        client.headers["X-Key"] = "open"
        assert (await client.get("/monitor/readyz")).status_code == 200
        assert (await client.get("/monitor/")).text.startswith("kailash_monitor\n")
        assert (await client.get("/monitor/nothing")).status_code == 404
        assert (await client.head("/monitor/metrics")).content == b""
        headers = {"Authorization": "Bearer not-to-be-guessed-by-anybody"}
        silence = {"matchers": 'service="checkout"', "duration": "2h"}
        made = await client.post("/monitor/api/silences", json=silence, headers=headers)
        assert made.status_code == 201
        ended = await client.delete(f"/monitor/api/silences/{made.json()['silence']['id']}", headers=headers)
        assert ended.status_code == 200
        assert "/monitor" not in str((await client.get("/openapi.json")).json())
    assert ("/monitor/{path}", "403") in counted(manager)


async def test_the_pages_may_be_a_router_below_another(manager: AlertManager) -> None:
    app, outer = FastAPI(lifespan=monitored(manager)), APIRouter(prefix="/internal")
    outer.include_router(pages(Site(manager), dependencies=[Depends(admin)]), prefix="/watch")
    app.include_router(outer)
    async with served(app) as client:
        assert (await client.get("/internal/watch/metrics")).status_code == 403
        assert (await client.get("/internal/watch/metrics", headers={"X-Key": "open"})).status_code == 200


def test_dependencies_without_fastapi_are_refused(manager: AlertManager) -> None:
    with pytest.raises(ConfigurationError, match="dependencies .* an application of FastAPI"):
        monitor(Starlette(), manager, dependencies=[Depends(admin)])


def test_an_application_is_monitored_once(manager: AlertManager) -> None:
    app = monitor(FastAPI(), manager)
    with pytest.raises(ConfigurationError, match="a second time"):
        monitor(app, manager)


def test_metrics_of_the_same_names_that_are_others_are_refused_at_once(manager: AlertManager) -> None:
    manager.metrics_registry.collector("http").counter("requests", labels=("path",))
    with pytest.raises(ConfigurationError, match="requests"):
        monitor(FastAPI(), manager)


async def test_requests_are_not_measured_where_that_is_not_wanted(manager: AlertManager) -> None:
    async with served(monitor(FastAPI(), manager, requests=False)) as client:
        assert (await client.get("/monitor/metrics")).status_code == 200
    assert manager.metrics_registry.get_collector("http") is None


def test_starlette_alone_is_enough() -> None:
    program = """
import sys
sys.modules["fastapi"] = None                       # as if it were not installed
from starlette.applications import Starlette
from starlette.testclient import TestClient
from kailash_monitor.alerts import AlertManager
from kailash_monitor.integrations.fastapi import monitor
from kailash_monitor.metrics import MetricsRegistry

with TestClient(monitor(Starlette(), AlertManager(MetricsRegistry()))) as client:
    print(client.get("/monitor/healthz").status_code)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert (ended.stdout, ended.returncode) == ("200\n", 0), ended.stderr


@pytest.mark.parametrize("prefix", ["monitor", "", "/"])
def test_a_prefix_that_is_none_is_refused(manager: AlertManager, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        monitor(FastAPI(), manager, prefix=prefix)


class Day(Convertor[dt.date]):
    """A value that is not written back as it came."""

    regex = "[0-9-]+"

    def convert(self, value: str) -> dt.date:
        return dt.date.fromisoformat(value)

    def to_string(self, value: dt.date) -> str:
        return value.strftime("%x")


register_url_convertor("day", Day())


def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("page")


def routed() -> FastAPI:
    """An application with a route of every kind."""
    inner, outer, plain = APIRouter(prefix="/items"), APIRouter(prefix="/shops/{shop}"), APIRouter()
    app, sub = FastAPI(), FastAPI()
    inner.get("/{item}")(lambda shop, item: item)
    plain.add_route("/plain/{item}", page)
    outer.include_router(inner, prefix="/v1")
    app.include_router(outer, prefix="/api")
    app.include_router(plain, prefix="/of-starlette")
    app.get("/files/{name:path}")(lambda name: name)
    sub.get("/users/{user}")(lambda user: user)
    app.mount("/sub", sub)
    app.mount("/zipped", GZipMiddleware(sub))
    app.mount(
        "/of/{day:day}", Starlette(routes=[Route("/pages/{n:int}", page), Mount("/in/{m}", routes=[Route("/", page)])])
    )
    app.mount("/deep/{where:path}/end", Starlette(routes=[Route("/{n}", page)]))
    app.mount("/foreign", PlainTextResponse("raw"))
    app.router.routes.append(Host("{tenant}.example", Router([Route("/hosted/{n}", page)])))
    app.router.routes.append(Host("none.example", Router()))
    app.add_api_route("/last", lambda: 1, methods=["POST"])
    return app


ROUTES = [
    ("/api/shops/7/v1/items/007", "/api/shops/{shop}/v1/items/{item}", 200),
    ("/api/shops/shops/v1/items/api", "/api/shops/{shop}/v1/items/{item}", 200),
    ("/of-starlette/plain/8", "/of-starlette/plain/{item}", 200),
    ("/files/a/b/c", "/files/{name}", 200),
    ("/files/", "/files/{name}", 200),
    ("/sub/users/ann", "/sub/users/{user}", 200),
    ("/sub/nothing", "/sub/{path}", 404),
    ("/zipped/users/ann", "/zipped/users/{user}", 200),
    ("/of/2026-01-02/pages/012", "/of/{day}/pages/{n}", 200),
    ("/of/2026-01-02/nothing", "/of/{day}/{path}", 404),
    ("/of/2026-01-02/in/x/", "/of/{day}/in/{m}/", 200),
    ("/deep/a/b/c/end/7", "/deep/{where}/end/{n}", 200),
    ("/foreign/a/b", "/foreign/{path}", 200),
    ("/monitor/metrics", "/monitor/{path}", 200),
    ("/openapi.json", "/openapi.json", 200),
    ("/last", "/last", 405),
    ("/secret/path", "unmatched", 404),
    ("/sub", "unmatched", 307),
]


@pytest.mark.parametrize(("path", "route", "status"), ROUTES)
async def test_the_route_of_a_request_is_its_template_from_the_root(
    manager: AlertManager, path: str, route: str, status: int
) -> None:
    async with served(monitor(routed(), manager)) as client:
        await client.get(path)
    assert counted(manager) == {(route, str(status)): 1}


async def test_so_it_is_where_the_application_is_wrapped(manager: AlertManager) -> None:
    app = AsgiMetrics(routed(), manager.metrics_registry)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        for path, _, _ in ROUTES:
            await client.get(path)
    routes = {route for path, route, _ in ROUTES if not path.startswith("/monitor")}
    assert {route for route, _ in counted(manager)} == routes


async def test_so_it_is_where_what_is_mounted_is_measured(manager: AlertManager) -> None:
    inner = Starlette(routes=[Route("/pages/{n}", page)])
    inner.add_middleware(AsgiMetrics, registry=manager.metrics_registry)
    async with served(Starlette(routes=[Mount("/of/{day:day}", inner)])) as client:
        await client.get("/of/2026-01-02/pages/7")
    assert counted(manager) == {("/of/{day}/pages/{n}", "200"): 1}


async def test_a_route_of_a_host_is_a_route(manager: AlertManager) -> None:
    async with served(monitor(routed(), manager)) as client:
        await client.get("/hosted/7", headers={"Host": "ann.example"})
    assert counted(manager) == {("/hosted/{n}", "200"): 1}


@pytest.mark.parametrize("path", ["/sub/users/ann", "/files/a"])
async def test_the_root_path_of_the_server_stands_before_it(manager: AlertManager, path: str) -> None:
    async with served(monitor(routed(), manager), root_path="/behind") as client:
        assert (await client.get(f"/behind{path}")).status_code == 200
        assert (await client.get("/behind/monitor/metrics")).status_code == 200
    (route, _), _ = counted(manager)
    assert route in ("/behind/sub/users/{user}", "/behind/files/{name}")


async def test_a_client_that_leaves_half_way_is_a_499(manager: AlertManager) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    app = monitor(Starlette(routes=[Route("/endless", lambda request: StreamingResponse(endless()))]), manager)
    async with under_uvicorn(app) as url, httpx.AsyncClient() as client:
        async with client.stream("GET", f"{url}/endless") as answer:
            assert await anext(answer.aiter_raw()) == b"x"
        async with asyncio.timeout(10):
            while not counted(manager):
                await asyncio.sleep(0.01)
    assert counted(manager) == {("/endless", "499"): 1}


def test_nothing_is_left_when_the_application_has_ended(tmp_path: Path) -> None:
    def left() -> tuple[set[threading.Thread], int]:
        process = psutil.Process()
        sockets = [one for one in process.net_connections("inet") if one.status in ("LISTEN", "ESTABLISHED")]
        return set(threading.enumerate()), len(sockets) + len(
            [one for one in process.open_files() if tmp_path.name in one.path]
        )

    async def live(url: str) -> None:
        registry = MetricsRegistry()
        manager = AlertManager(registry, store=tmp_path / "alerts.db", stall_after="5s")
        manager.add_rule(AlertRule("long", "Long", "error", "queue", "> 3", evaluation_interval="50ms"))
        manager.add_notification_channel(WebhookNotificationChannel(url))
        registry.collector("jobs").set_gauge("queue", 9)
        async with under_uvicorn(monitor(FastAPI(), manager)) as address, httpx.AsyncClient() as client:
            async with asyncio.timeout(10):
                while not receiver.told():
                    assert (await client.get(f"{address}/monitor/metrics")).status_code == 200

    with hook() as receiver:
        before = left()
        asyncio.run(live(receiver.url))
        until(lambda: left() == before, 5, what=left)  # the receiver's own threads end by themselves
        assert receiver.told() == ["firing"]


async def test_an_exception_is_a_500_and_passes_through(manager: AlertManager) -> None:
    app = monitor(FastAPI(), manager)

    @app.get("/bad")
    async def bad() -> None:
        raise ValueError("mine")

    async with served(app) as client:
        with pytest.raises(ValueError, match="mine"):
            await client.get("/bad")
    assert counted(manager) == {("/bad", "500"): 1}


async def test_a_request_lasts_to_its_last_byte_and_not_through_background_tasks(manager: AlertManager) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.05)
            yield b"x"

    async def later() -> None:
        await asyncio.sleep(0.5)

    async def page(request: Request) -> StreamingResponse:
        return StreamingResponse(slow(), background=BackgroundTask(later))

    app = monitor(Starlette(routes=[Route("/page", page)]), manager)
    async with served(app) as client:
        assert (await client.get("/page")).text == "xxx"
    took = manager.metrics_registry.collector("http").get_metric("request_duration")
    assert took is not None
    assert 150 <= (took.get_max("1m") or 0) < 450


def test_the_parts_can_be_had_one_by_one(manager: AlertManager) -> None:
    app = Starlette(lifespan=monitored(manager))
    app.mount("/monitor", asgi_app(Site(manager)))
    app.add_middleware(AsgiMetrics, registry=manager.metrics_registry)
    assert app.routes
