"""A manager lives with a FastAPI or Starlette application."""

import importlib.util
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kailash_monitor.alerts import AlertManager
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.metrics import MetricsRegistry

from served import service_laws  # isort: skip

for package in ("fastapi", "uvicorn", "httpx"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package}, from the extra 'fastapi' or 'e2e', is not installed", allow_module_level=True)

import httpx
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from kailash_monitor.integrations.fastapi import AsgiMetrics, Lifespan, asgi_app, monitor, monitored
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
async def served(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that has been started, in this process."""
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            yield client


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


async def test_its_pages_are_below_the_prefix_and_not_among_the_documented_ones(manager: AlertManager) -> None:
    app = monitor(FastAPI(), manager, prefix="/watch/")
    async with served(app) as client:
        assert (await client.get("/watch/readyz")).status_code == 200
        assert (await client.get("/watch/")).text.startswith("kailash_monitor\n")
        assert "http" in (await client.get("/watch/metrics/json")).json()
        assert (await client.get("/watch/nothing")).status_code == 404
        assert "/watch" not in str((await client.get("/openapi.json")).json())


async def test_firing_alerts_fail_no_probe(manager: AlertManager) -> None:
    from kailash_monitor.alerts import AlertRule

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


@pytest.mark.parametrize("prefix", ["monitor", "", "/"])
def test_a_prefix_that_is_none_is_refused(manager: AlertManager, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        monitor(FastAPI(), manager, prefix=prefix)


async def test_routes_are_templates_through_routers_and_mounts(manager: AlertManager) -> None:
    app = monitor(FastAPI(), manager)
    inner, outer = APIRouter(prefix="/items"), APIRouter(prefix="/shops/{shop}")

    @inner.get("/{item}")
    async def item(shop: str, item: int) -> int:
        return item

    outer.include_router(inner, prefix="/v1")
    app.include_router(outer, prefix="/api")

    @app.get("/files/{name:path}")
    async def file(name: str) -> str:
        return name

    app.mount("/of/{tenant}", Starlette(routes=[Route("/pages/{n:int}", lambda request: PlainTextResponse("page"))]))
    async with served(app) as client:
        for path in ("/api/shops/7/v1/items/007", "/files/a/b/c", "/files/", "/of/ann/pages/012", "/secret/path"):
            await client.get(path)
    assert counted(manager) == {
        ("/api/shops/{shop}/v1/items/{item}", "200"): 1,
        ("/files/{name}", "200"): 2,
        ("/of/{tenant}/pages/{n}", "200"): 1,
        ("unmatched", "404"): 1,
    }


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
    import asyncio

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
    lifespan: Lifespan[Starlette] = monitored(manager)
    app = Starlette(lifespan=lifespan)
    app.mount("/monitor", asgi_app(Site(manager)))
    app.add_middleware(AsgiMetrics, registry=manager.metrics_registry)
    assert app.routes
