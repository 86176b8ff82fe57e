"""The site: what it answers, over real HTTP."""

import asyncio
import errno
import gzip
import json
import os
import re
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext

import pytest
from aiohttp import ClientSession, web

from kailash_monitor import blocking
from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.engine.status import HANGING, Health
from kailash_monitor.errors import CannotListen, ConfigurationError, StoreFull
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.storage import Change, MemoryStore
from kailash_monitor.testing import ManualClock, VirtualClock
from kailash_monitor.web import DEFAULT_LISTEN, Listen, Request, Site, aiohttp_app, aiohttp_server, serve
from kailash_monitor.web.wsgi import answer_now


@pytest.fixture
def manager(registry: MetricsRegistry) -> AlertManager:
    manager = AlertManager(registry)
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1, labels={"team": "x"}))
    manager.add_rule(AlertRule("off", "d", "warning", "queue", "> 5", enabled=False))
    registry.collector("app").set_gauge("queue", 9)
    return manager


async def get(site: Site, path: str, method: str = "GET") -> tuple[int, object]:
    response = await site.handle(Request(method, path))
    return response.status, json.loads(response.body) if response.body else None


async def test_alerts_and_rules_as_json(manager: AlertManager) -> None:
    site = Site(manager)
    async with manager:
        await asyncio.sleep(2)
        status, document = await get(site, "/api/alerts")
        assert status == 200
        assert isinstance(document, dict)
        assert document["at"] == "2023-11-14T22:13:22+00:00"
        (alert,) = document["alerts"]
        assert (alert["id"], alert["status"], alert["value"], alert["labels"]) == (
            "busy_app",
            "firing",
            9,
            {"team": "x"},
        )
        assert alert["fired_at"] == "2023-11-14T22:13:20+00:00"
        _, rules = await get(site, "/api/rules")
        assert isinstance(rules, dict)
        busy, off = rules["rules"]
        assert (busy["state"], busy["value"], busy["condition"], busy["evaluations"]) == ("firing", 9, "> 5", 3)
        assert (off["state"], off["last_evaluation"], off["next_evaluation"]) == ("disabled", None, None)
        assert busy["next_evaluation"] > busy["last_evaluation"]


async def test_rules_as_json_show_their_levels(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    manager.add_rule(
        AlertRule(
            "disk",
            "d",
            None,
            "use",
            ">",
            levels={"warning": 80, "critical": 95},
            clear={"warning": 75},
            evaluation_interval=1,
            group_by=["mount"],
        )
    )
    registry.collector("app").set_gauge("use", 96, {"mount": "/"})
    async with manager:
        await asyncio.sleep(2)
        _, rules = await get(Site(manager), "/api/rules")
        _, alerts = await get(Site(manager), "/api/alerts")
    assert isinstance(rules, dict)
    assert isinstance(alerts, dict)
    (rule,), (alert,) = rules["rules"], alerts["alerts"]
    assert rule["levels"] == [
        {"severity": "warning", "threshold": 80, "clear": 75},
        {"severity": "critical", "threshold": 95, "clear": None},
    ]
    assert (rule["severity"], rule["condition"], rule["group_by"], rule["no_data"]) == (
        "critical",
        "> 80",
        ["mount"],
        "keep",
    )
    assert (alert["severity"], alert["threshold"]) == ("critical", 95)


# -- health


async def health_of(manager: AlertManager) -> list[tuple[int, object]]:
    """Give status and reason of /healthz, and of /readyz."""
    found = []
    for page in ("/healthz", "/readyz"):
        status, document = await get(Site(manager), page)
        assert isinstance(document, dict)
        assert (document["status"] == "ok") is (status == 200) is (document["reason"] is None)
        found.append((status, document["reason"]))
    return found


WELL = [(200, None), (200, None)]


@pytest.mark.parametrize(
    ("health", "ailment", "impediment"),
    [
        (Health(running=True, ready=True, overdue=HANGING - 1, silent=HANGING - 1), None, None),
        (Health(running=False, ready=False, overdue=0), "it does not run", "it does not run"),
        (
            Health(running=False, ready=False, overdue=0, failure="StoreLocked: x"),
            "it does not run: StoreLocked: x",
            "it does not run: StoreLocked: x",
        ),
        (
            Health(running=True, ready=True, overdue=0, silent=HANGING),
            "the event loop has not come round for 30 s",
            "the event loop has not come round for 30 s",
        ),
        (
            Health(running=True, ready=True, overdue=HANGING),
            "a rule has been due for 30 s and is not judged",
            "a rule has been due for 30 s and is not judged",
        ),
        (
            Health(running=True, ready=False, overdue=0, store="x"),
            None,
            "not every rule is judged: it has only begun, or is about to end",
        ),
        (Health(running=True, ready=True, overdue=0, store="no room"), None, "the store fails: no room"),
    ],
)
def test_what_ails_an_engine_and_what_only_keeps_it_from_being_ready(
    health: Health, ailment: str | None, impediment: str | None
) -> None:
    assert (health.ailment, health.impediment) == (ailment, impediment)


async def test_health_follows_the_evaluation_and_not_the_alerts(manager: AlertManager, clock: VirtualClock) -> None:
    assert await health_of(manager) == [(503, "it does not run")] * 2
    async with manager:
        await asyncio.sleep(2)
        assert [alert.id for alert in manager.get_active_alerts()] == ["busy_app"]
        assert await health_of(manager) == WELL
        manager.core.agenda.hasten("busy", clock.now() - HANGING - 2)
        status, document = await get(Site(manager), "/healthz")
        assert status == 503
        assert isinstance(document, dict)
        assert document["status"] == "failing"
        assert document["overdue_seconds"] > HANGING
    assert await health_of(manager) == [(503, "it does not run")] * 2


async def test_a_manager_with_nothing_to_do_comes_round_all_the_same(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    async with manager:
        for _ in range(10):
            await asyncio.sleep(7)
            assert await health_of(manager) == WELL
            assert manager.health().silent <= 10


async def test_a_manager_that_is_opening_its_store_is_alive_and_not_ready(registry: MetricsRegistry) -> None:
    go = threading.Event()

    class Slow(MemoryStore):
        def open(self) -> None:
            go.wait(10)
            super().open()

    manager = AlertManager(registry, store=Slow())
    begun = manager.start()
    await asyncio.sleep(0)
    assert await health_of(manager) == [
        (200, None),
        (503, "not every rule is judged: it has only begun, or is about to end"),
    ]
    go.set()
    await begun
    assert await health_of(manager) == WELL
    await manager.stop()


async def test_while_the_store_fails_it_is_not_ready_and_says_why(manager: AlertManager, registry: MetricsRegistry) -> None:
    class Full(MemoryStore):
        room = True

        def commit(self, changes: Sequence[Change]) -> None:
            if not self.room:
                raise StoreFull("/store.db", seen="there is no room left", remedy="free some on that disk")
            super().commit(changes)

    store = Full()
    manager = AlertManager(registry, store=store)
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1))
    async with manager:
        await asyncio.sleep(2)
        assert await health_of(manager) == WELL
        store.room = False
        manager.silence_alert("busy_app")
        await asyncio.sleep(2)
        why = "the store fails: /store.db: there is no room left; free some on that disk"
        assert await health_of(manager) == [(200, None), (503, why)]
        store.room = True
        await asyncio.sleep(6)
        assert await health_of(manager) == WELL


@pytest.mark.real_time
@pytest.mark.parametrize("locked", [False, True], ids=["outside the lock", "under the lock"])
def test_another_thread_sees_that_the_managers_loop_hangs(locked: bool) -> None:
    """Without rules nothing would be overdue; and what holds the loop up may hold the lock."""
    time, held, go = ManualClock(1000.0), threading.Event(), threading.Event()
    manager = blocking.AlertManager(MetricsRegistry(clock=time))
    site = Site(manager)

    class Hanging:
        name, every, collector = "hanging", 3600.0, MetricsCollector(clock=time)

        async def sample(self) -> None:
            with manager._manager.core.lock if locked else nullcontext():
                held.set()
                go.wait(10)

    with manager:
        assert answer_now(site, Request("GET", "/healthz")).status == 200
        manager.add_source(Hanging())
        assert held.wait(5)
        time.advance(HANGING + 1)
        try:
            answers = [answer_now(site, Request("GET", page)) for page in ("/healthz", "/readyz")]
        finally:
            go.set()
    assert [answer.status for answer in answers] == [503, 503]
    document = json.loads(answers[0].body)
    assert document["reason"] == "the event loop has not come round for 31 s"
    assert document["silent_seconds"] == 31


# -- pages


async def test_metrics_pages(manager: AlertManager, registry: MetricsRegistry) -> None:
    site, expected = Site(manager), registry.export_metrics("prometheus")
    page = await site.handle(Request("GET", "/metrics"))
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert page.body.decode() == expected
    _, document = await get(site, "/metrics/json")
    assert isinstance(document, dict)
    assert document["app"] == json.loads(registry.export_metrics("json"))["app"]


async def test_metrics_come_as_the_scraper_asks(manager: AlertManager, registry: MetricsRegistry) -> None:
    site = Site(manager)
    openmetrics, prometheus = registry.export_metrics("openmetrics"), registry.export_metrics("prometheus")
    asked = {"accept": "application/openmetrics-text;version=1.0.0", "accept-encoding": "gzip"}
    page = await site.handle(Request("GET", "/metrics", headers=asked))
    assert page.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert (page.headers["Content-Encoding"], page.headers["Vary"]) == ("gzip", "Accept, Accept-Encoding")
    assert gzip.decompress(page.body).decode() == openmetrics
    plain = await site.handle(Request("GET", "/metrics", headers={"accept": "text/html"}))
    assert "Content-Encoding" not in plain.headers
    assert plain.body.decode().startswith(prometheus)  # the first page's duration comes after it
    asked["accept"] = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
    binary = await site.handle(Request("GET", "/metrics", headers=asked))
    assert binary.headers["Content-Type"].startswith("application/vnd.google.protobuf")
    assert b"kailash_app_queue" in gzip.decompress(binary.body)


async def test_only_the_metrics_that_are_named(manager: AlertManager, registry: MetricsRegistry) -> None:
    registry.collector("app").timer("took").observe(5.0)
    registry.collector("app").counter("hits").inc()
    async with served(manager) as url, ClientSession() as session:
        for names, families in {
            ("kailash_app_queue",): {"kailash_app_queue"},
            ("kailash_app_took_seconds_bucket", "kailash_app_hits_total"): {
                "kailash_app_took_seconds",
                "kailash_app_hits_total",
            },
            ("nothing",): set(),
        }.items():
            async with session.get(f"{url}/metrics", params=[("name[]", name) for name in names]) as response:
                page = await response.text()
            assert {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")} == families


async def test_who_asks_for_the_same_page_at_the_same_time_shares_it(
    manager: AlertManager, registry: MetricsRegistry
) -> None:
    looks = 0

    def look() -> float:
        nonlocal looks
        looks += 1
        return looks

    registry.collector("app").callback_gauge("looks", look)
    site = Site(manager)
    request = Request("GET", "/metrics")
    impatient = asyncio.create_task(site.handle(request))
    others = [asyncio.create_task(site.handle(request)) for _ in range(10)]
    await asyncio.sleep(0)
    impatient.cancel()
    pages = {(await other).body for other in others}
    assert len(pages) == 1
    assert b"kailash_app_looks 1\n" in pages.pop()
    assert b"kailash_app_looks 2\n" in (await site.handle(request)).body  # nothing is kept


class TickingClock(VirtualClock):
    """Virtual time that goes on a microsecond whenever it is read, so that work takes time."""

    reads = 0

    def now(self) -> float:
        self.reads += 1
        return super().now() + self.reads * 1e-6


async def test_the_toolkit_measures_itself() -> None:
    registry = MetricsRegistry(clock=TickingClock())
    manager = AlertManager(registry)
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1))
    registry.collector("app").set_gauge("queue", 9)
    site = Site(manager)
    async with manager:
        await asyncio.sleep(25)
        registry.collector("app").increment("hits", -1)
        await site.handle(Request("GET", "/metrics"))
        page = (await site.handle(Request("GET", "/metrics"))).body.decode()
    for line in (
        'kailash_monitor_recordings_refused_total{collector="app",metric="hits"} 1',
        'kailash_monitor_scrape_duration_seconds_count{format="prometheus"} 1',
    ):
        assert f"{line}\n" in page
    evaluations = re.search(r"^kailash_monitor_rule_evaluation_duration_seconds_count (\d+)$", page, re.MULTILINE)
    assert evaluations is not None
    assert 20 <= int(evaluations[1]) <= 26  # they are recorded every ten seconds or so


async def test_a_client_that_reads_gzip_gets_the_page_over_http(manager: AlertManager, registry: MetricsRegistry) -> None:
    async with served(manager) as url, ClientSession() as session:
        async with session.get(f"{url}/metrics", headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert "kailash_app_queue 9\n" in await response.text()


async def test_long_pages_pause_for_the_host_program(manager: AlertManager, registry: MetricsRegistry) -> None:
    for n in range(300):
        registry.collector("big").record_timer(f"t{n}", 1.0, {"a": "x" * 200})
    pauses = 0

    async def host() -> None:
        nonlocal pauses
        while True:
            pauses += 1
            await asyncio.sleep(0)

    program = asyncio.create_task(host())
    await asyncio.sleep(0)
    for _ in range(10):
        await Site(manager).handle(Request("GET", "/metrics"))
    program.cancel()
    assert pauses > 3


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_it_only_reads(manager: AlertManager, method: str) -> None:
    response = await Site(manager).handle(Request(method, "/metrics"))
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


async def test_an_unknown_page_names_the_known_ones(manager: AlertManager) -> None:
    status, document = await get(Site(manager), "/nothing")
    assert status == 404
    assert "/metrics" in str(document)
    index = await Site(manager).handle(Request("GET", "/"))
    assert b"/api/alerts\n" in index.body


async def test_an_error_of_ours_is_logged_and_not_shown(registry: MetricsRegistry, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(AlertManager):
        def health(self) -> object:  # type: ignore[override]
            raise ValueError("s3cret")

    response = await Site(Broken(registry)).handle(Request("GET", "/healthz"))
    assert response.status == 500
    assert b"s3cret" not in response.body
    assert "s3cret" in caplog.text


@asynccontextmanager
async def served(manager: AlertManager, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    server = await serve(Site(manager), Listen.parse(listen))
    try:
        yield f"http://{server.address}"
    finally:
        await server.close()


async def test_it_is_served_over_http(manager: AlertManager) -> None:
    async with served(manager) as url, ClientSession() as session:
        async with session.get(f"{url}/api/rules?offset=0") as response:
            assert response.status == 200
            assert response.headers["Cache-Control"] == "no-store"
            assert len((await response.json())["rules"]) == 2
        async with session.head(f"{url}/metrics") as response:
            assert (response.status, await response.read()) == (200, b"")
        async with session.post(f"{url}/metrics", data=b"x") as response:
            assert response.status == 405


async def test_a_close_does_not_wait_for_idle_clients(manager: AlertManager) -> None:
    server = await serve(Site(manager), Listen("127.0.0.1", 0))
    async with ClientSession() as session:
        async with session.get(f"http://{server.address}/"):
            pass
        begun = asyncio.get_running_loop().time()
        await server.close()
        assert asyncio.get_running_loop().time() - begun <= 2
    assert repr(server).startswith("<Server 127.0.0.1:")


async def test_it_is_part_of_an_application_of_ones_own(manager: AlertManager) -> None:
    app = web.Application()
    app.add_subapp("/monitor", aiohttp_app(Site(manager)))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with (
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/monitor/metrics") as response,
    ):
        assert "kailash_app_queue 9" in await response.text()
    await runner.cleanup()


async def test_a_port_in_use_is_said_or_the_next_one_taken(manager: AlertManager) -> None:
    async with served(manager) as url:
        taken = Listen.parse(url.removeprefix("http://"))
        with pytest.raises(CannotListen, match=f"cannot serve on {taken}: the port is in use; choose another"):
            await serve(Site(manager), taken)
        server = await serve(Site(manager), taken, try_next=50)
        assert taken.port < server.address.port <= taken.port + 50
        await server.close()


async def test_an_address_of_another_machine_is_said_to_be_one(manager: AlertManager) -> None:
    with pytest.raises(CannotListen, match=r"cannot serve on 192\.0\.2\.1:0: this machine has no such address"):
        await serve(Site(manager, "t0ken"), Listen("192.0.2.1", 0))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "not permitted; ports below 1024 need a privilege, choose one above"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_other_obstacles_are_named(number: int, reason: str) -> None:
    assert aiohttp_server._reason(OSError(number, os.strerror(number))) == reason


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464),
        (":0", "127.0.0.1", 0),
        ("[::1]:80", "::1", 80),
        ("localhost:1", "localhost", 1),
    ],
)
def test_listen_addresses(text: str, host: str, port: int) -> None:
    assert Listen.parse(text) == Listen(host, port)
    assert Listen.parse(str(Listen(host, port))) == Listen(host, port)


@pytest.mark.parametrize("text", ["", "9464", "a:b", "::1:80", "127.0.0.1:99999", "x:-1", "x:٣"])
def test_what_is_no_listen_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="listen: "):
        Listen.parse(text)


def test_the_default_is_this_machine_only() -> None:
    assert str(DEFAULT_LISTEN) == "127.0.0.1:9464"
    assert DEFAULT_LISTEN.next().port == 9465
