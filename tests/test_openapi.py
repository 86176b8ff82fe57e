"""The document of the API is what the site answers: its paths, its statuses, and every field."""

import asyncio
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from aiohttp import ClientSession

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.blocking import AlertManager as BlockingManager
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected, Retry
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.testing import RecordingChannel
from kailash_monitor.web import Listen, Request, Server, Site, serve
from kailash_monitor.web.openapi import OPENAPI

from effort import QUICK  # isort: skip

for package in ("jsonschema_rs", "schemathesis"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}, of the extra 'e2e'", allow_module_level=True)

import jsonschema_rs
from anyio.from_thread import start_blocking_portal

TOKEN = "not-to-be-guessed-by-anybody"
SHOWN = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", "host": "127.0.0.1:9464"}
DOCUMENT: dict[str, Any] = json.loads(json.dumps(OPENAPI))
PATHS: dict[str, dict[str, dict[str, Any]]] = DOCUMENT["paths"]
OPERATIONS = [(method, path) for path, item in PATHS.items() for method in item]


# -- the document by itself ----------------------------------------------------------------------------------------------


async def titles(site: Site) -> list[str]:
    """What the site says that it answers."""
    answer = await site.handle(Request("GET", "/", headers={"accept": "text/plain"}))
    return answer.body.decode().splitlines()


async def test_the_document_has_the_routes_of_the_site_and_no_others(registry: MetricsRegistry) -> None:
    documented = {f"{method.upper()} {path}" for method, path in OPERATIONS}
    routes = [re.fullmatch(r"(?:([A-Z]+) )?(/api/(?!v1/).*)", line) for line in await titles(Site(AlertManager(registry)))]
    assert documented == {f"{one[1] or 'GET'} {re.sub(r'<.*?>', '{id}', one[2])}" for one in routes if one}


def test_every_shape_is_one_of_json_schema() -> None:
    for shape in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate(shape)


def test_every_shape_and_every_answer_is_used_and_there() -> None:
    text = json.dumps(DOCUMENT)
    named = {found[1] for found in re.finditer(r'"#/components/(\w+/\w+)"', text)}
    there = {f"{kind}/{name}" for kind in ("schemas", "responses") for name in DOCUMENT["components"][kind]}
    assert named == there


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [PATHS[path][method]["operationId"] for method, path in OPERATIONS]
    assert len(set(names)) == len(names)


async def test_it_is_served(registry: MetricsRegistry) -> None:
    answer = await Site(AlertManager(registry)).handle(Request("GET", "/api/openapi.json"))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.body) == DOCUMENT


# -- what the site answers -----------------------------------------------------------------------------------------------


def operation_of(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The operation of a path, the most literal first, as a router has it."""
    for template in sorted(PATHS, key=lambda one: one.count("{")):
        pattern = re.escape(template).replace(r"\{id\}", ".+")
        if method.lower() in PATHS[template] and re.fullmatch(pattern, path):
            return template, PATHS[template][method.lower()]
    raise AssertionError(f"{method} {path} is not documented")


def check(shape: Mapping[str, Any], value: object, where: str) -> None:
    placed = {**shape, "components": DOCUMENT["components"]}
    validator = jsonschema_rs.Draft202012Validator(placed, validate_formats=True)
    wrong = [f"{where}: {error.instance_path}: {error.message[:300]}" for error in validator.iter_errors(value)]
    assert not wrong, "\n".join(wrong)


class Described:
    """A site whose every answer is looked up in the document."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.seen: set[tuple[str, str, int]] = set()

    async def ask(self, method: str, target: str, body: object = None, headers: Mapping[str, str] = SHOWN) -> Any:
        split = urlsplit(target)
        template, operation = operation_of(method, split.path)
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path = re.sub("%([0-9A-F]{2})+", lambda found: bytes.fromhex(found[0].replace("%", "")).decode(), split.path)
        query = parse_qs(split.query, keep_blank_values=True)
        answer = await self._site.handle(Request(method, path, query, headers, raw))
        assert str(answer.status) in operation["responses"], f"{method} {target}: {answer.status} {answer.body[:300]!r}"
        described = operation["responses"][str(answer.status)]
        if "$ref" in described:
            described = DOCUMENT["components"]["responses"][described["$ref"].rpartition("/")[2]]
        assert answer.headers["Content-Type"] in described["content"]
        document = json.loads(answer.body)
        where = f"{method} {target} {answer.status}"
        check(described["content"][answer.headers["Content-Type"]]["schema"], document, where)
        self.seen.add((method, template, answer.status))
        return document


def outcome_of(name: str) -> Outcome:
    outcomes: dict[str, Outcome] = {"ok": Delivered(), "slow": Retry("HTTP 503"), "gone": Rejected("HTTP 404")}
    return outcomes[name]


def add_rules(manager: AlertManager, seconds: float) -> None:
    often: dict[str, Any] = {"evaluation_interval": seconds, "notification_interval": "10s", "labels": {"team": "bakers"}}
    runbook = {"runbook_url": "https://wiki.example.com/queue"}
    manager.add_rule(AlertRule("queue", "Long", "critical", "queue", "> 5", annotations=runbook, **often))
    manager.add_rule(AlertRule("held", "Long", "warning", "queue", "> 5", hold="1h", **often))
    manager.add_rule(
        AlertRule("ovens", "Hot", None, "heat", ">", levels={"error": 5, "info": 3}, group_by=["oven"], **often)
    )
    manager.add_rule(AlertRule("rate", "Much is sold", "info", "sold", "rate > 0.001", time_window="1m", **often))
    manager.add_rule(AlertRule("slow", "Slow", "warning", "took", "p95 > 5", **often))
    manager.add_rule(AlertRule("expr", "Query", "warning", expr="sum by (oven) (kailash_shop_heat) > 1", **often))
    manager.add_rule(AlertRule("off", "Off", "warning", "queue", "> 5", enabled=False))
    manager.add_rule(AlertRule("nowhere", "No such metric", "warning", "nothing", "> 5", **often))


class Shop:
    """What is measured."""

    def __init__(self, registry: MetricsRegistry) -> None:
        shop = registry.collector("shop")
        self._queue = shop.gauge("queue", "Who waits", unit="customers")
        self._heat = shop.gauge("heat", labels=["oven"], unit="celsius")
        self._sold = shop.counter("sold", labels=["kind"])
        self._took = shop.timer("took", labels=["till"])

    def record(self, number: int) -> None:
        self._queue.set(9)
        self._heat.set("left", 9 if number < 40 else 1)
        self._heat.set('"right"/\n', 4)
        self._sold.inc("rye")
        self._took.observe("1", 3.0 + number % 7)


def manager_of(registry: MetricsRegistry, seconds: float = 1.0) -> AlertManager:
    manager = AlertManager(registry)
    add_rules(manager, seconds)
    for name in ("ok", "slow", "gone"):
        manager.add_notification_channel(RecordingChannel(name, lambda _, name=name: outcome_of(name)))  # type: ignore[misc]
    return manager


@pytest.fixture
async def described(registry: MetricsRegistry) -> AsyncIterator[Described]:
    """A program in which something of everything has happened."""
    shop = Shop(registry)
    async with manager_of(registry) as manager:
        for number in range(60):
            shop.record(number)
            await asyncio.sleep(1)
        yield Described(Site(manager, TOKEN))


LISTS = ("alerts", "rules", "silences", "channels", "outbox", "dead-letters", "deliveries", "audit", "metrics")
QUEUE = quote("queue_shop", safe="")

ASKED = [
    *(f"/api/{name}{query}" for name in LISTS for query in ("", "?limit=2", "?limit=1&offset=1", "?limit=x", "?offset=-1")),
    "/api/alerts?state=firing&state=pending&severity=critical&match=" + quote('team="bakers"') + "&text=QUEUE",
    "/api/alerts?state=resolved",
    "/api/alerts?state=none",
    "/api/alerts?match=" + quote('team="'),
    "/api/rules?state=firing&text=o",
    "/api/silences?state=active&state=expired",
    "/api/deliveries?channel=slow&outcome=retry",
    "/api/deliveries?outcome=lost",
    "/api/dead-letters?channel=gone",
    "/api/outbox?channel=slow",
    f"/api/alerts/{QUEUE}/explain",
    f"/api/alerts/{QUEUE}/chart",
    f"/api/alerts/{QUEUE}/chart?range=300",
    f"/api/alerts/{QUEUE}/chart?range=1",
    "/api/alerts/none/explain",
    "/api/alerts/none/chart",
    *(f"/api/rules/{name}/chart" for name in ("queue", "ovens", "rate", "slow", "expr", "off", "nowhere", "none")),
    "/api/metrics?collector=shop&type=gauge&sort=series&text=e",
    "/api/metrics?type=none",
    "/api/metrics?sort=none",
    *(
        f"/api/metrics/{what}?collector=shop&name={name}"
        for what in ("series", "chart", "windows")
        for name in ("queue", "heat", "sold", "took", "none")
    ),
    "/api/metrics/series?collector=shop",
    "/api/metrics/series?collector=shop&name=heat&limit=1&match=" + quote('oven="left"'),
    "/api/metrics/windows?collector=shop&name=heat&match=" + quote('oven="none"'),
    *(
        f"/api/metrics/chart?collector=shop&name={name}&statistic={statistic}&range=300&by={label}"
        for name, label in (("heat", "oven"), ("sold", "kind"), ("took", "till"))
        for statistic in ("value", "rate", "increase", "total", "avg", "min", "max", "p50", "p99", "none")
    ),
    "/api/health",
    "/api/tiles",
    "/api/session",
    "/api/openapi.json",
    "/api/try?expr=" + quote("kailash_shop_heat > 3"),
    "/api/try?range=300&expr=" + quote("sum by (oven) (kailash_shop_heat)"),
    "/api/try?expr=" + quote("rate("),
    "/api/try?metric=queue&condition=" + quote("> 5"),
    "/api/try?metric=took&collector=shop&condition=" + quote("p95 >") + "&threshold=4&window=1m",
    "/api/try?metric=none&condition=" + quote("> 5"),
    "/api/try?metric=queue&condition=none",
    "/api/try",
    "/api/silences/preview?match=" + quote('team="bakers"'),
    "/api/silences/preview?match=" + quote("team="),
    "/api/silences/preview",
]

CHANGED: list[tuple[str, str, object]] = [
    ("POST", "/api/alerts/acknowledge", {"alert_id": "queue_shop", "author": "ann"}),
    ("POST", "/api/alerts/acknowledge", {"alert_id": "none"}),
    ("POST", "/api/alerts/acknowledge", {"alert": "none"}),
    ("POST", "/api/silences", {"alert_id": "rate_shop", "duration": "2h", "author": "ann", "reason": "known"}),
    ("POST", "/api/silences", {"matchers": 'team="bakers"', "duration": 60, "starts_in": "1h"}),
    ("POST", "/api/silences", {"matchers": {"team": "none"}}),
    ("POST", "/api/silences", {"matchers": 7}),
    ("POST", "/api/silences", [1]),
    ("POST", "/api/silences", b"{"),
    ("POST", "/api/silences", b" " * 70_000),
    ("DELETE", "/api/silences/none", None),
    ("POST", "/api/rules/off/enable", {}),
    ("POST", "/api/rules/expr/disable", {}),
    ("POST", "/api/rules/queue/evaluate", {}),
    *(("POST", f"/api/rules/none/{verb}", {}) for verb in ("enable", "disable", "evaluate")),
    *(("POST", f"/api/channels/{name}/test", {}) for name in ("ok", "slow", "gone", "none")),
    ("POST", "/api/dead-letters/none/resend", {}),
    ("DELETE", "/api/dead-letters/none", None),
]


async def test_what_is_read_is_as_the_document_says(described: Described) -> None:
    for target in ASKED:
        await described.ask("GET", target)


async def test_what_is_changed_is_as_the_document_says_and_so_is_what_is_read_after_it(described: Described) -> None:
    for method, target, body in CHANGED:
        await described.ask(method, target, body)
    silences = await described.ask("GET", "/api/silences")
    await described.ask("DELETE", f"/api/silences/{silences['keys'][0]}")
    await asyncio.sleep(30)
    letters = await described.ask("GET", "/api/dead-letters?limit=2")
    await described.ask("POST", f"/api/dead-letters/{quote(letters['keys'][0], safe='')}/resend", {})
    await described.ask("DELETE", f"/api/dead-letters/{quote(letters['keys'][1], safe='')}")
    for target in ASKED:
        await described.ask("GET", target)
    failed = {(method, template) for method, template, status in described.seen if status >= 400}
    told = {(method, template) for method, template, status in described.seen if status < 300}
    untold = {(method.upper(), path) for method, path in OPERATIONS} - told
    assert untold == {("POST", "/api/session"), ("DELETE", "/api/session")}
    assert len(failed) > 20


async def test_deltas_are_as_the_document_says(described: Described) -> None:
    for name in LISTS:
        first = await described.ask("GET", f"/api/{name}?limit=50")
        await asyncio.sleep(2)
        second = await described.ask("GET", f"/api/{name}?limit=50&since={quote(first['cursor'])}")
        assert second["delta"] is True
        assert (await described.ask("GET", f"/api/{name}?limit=50&since=unknown"))["delta"] is False


async def test_refusals_are_as_the_document_says(described: Described) -> None:
    for method, path in OPERATIONS:
        if method == "get":
            continue
        target = path.replace("{id}", "x")
        for without in ("authorization", "content-type"):
            await described.ask(method.upper(), target, {}, {name: SHOWN[name] for name in SHOWN if name != without})
        await described.ask(method.upper(), target, {}, {**SHOWN, "host": "elsewhere.example"})
    assert {status for _, _, status in described.seen} >= {401, 403, 415}


async def test_a_site_that_only_reads_refuses_as_the_document_says(registry: MetricsRegistry) -> None:
    described = Described(Site(AlertManager(registry)))
    for method, path in OPERATIONS:
        if method != "get":
            await described.ask(method.upper(), path.replace("{id}", "x"), {})
    for name in LISTS:
        await described.ask("GET", f"/api/{name}")


async def test_sessions_are_as_the_document_says(described: Described) -> None:
    body = {"token": TOKEN, "name": "ann"}
    await described.ask("POST", "/api/session", body)
    await described.ask("POST", "/api/session", {**body, "name": "x" * 2_000})
    await described.ask("DELETE", "/api/session")
    for _ in range(20):  # after which it is a 429
        await described.ask("POST", "/api/session", {"token": "wrong", "name": "ann"})
    assert {status for _, path, status in described.seen if path == "/api/session"} == {200, 400, 401, 429}


async def test_the_blocking_manager_answers_as_the_document_says() -> None:
    registry = MetricsRegistry()
    registry.collector("shop").set_gauge("queue", 9)
    manager = BlockingManager(registry)
    manager.add_rule(AlertRule("queue", "Long", "critical", "queue", "> 5"))
    described = Described(Site(manager, TOKEN))
    for target in ASKED:
        await described.ask("GET", target)


# -- what others make of it ----------------------------------------------------------------------------------------------

SECONDS = 4 if QUICK else 10
"""Of each run; the program of the test begins and ends beside that."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "negative_data_rejection",
    "missing_required_header",
    "ignored_auth",
    "use_after_free",
    "ensure_resource_availability",
)


class Hurried:
    """A clock on which a hundred seconds pass in one, so that hardly any change is one too many."""

    def __init__(self) -> None:
        self._begun = SYSTEM_CLOCK.now()

    def now(self) -> float:
        return self._begun + 100.0 * (SYSTEM_CLOCK.now() - self._begun)

    def wall(self) -> float:
        return 1_767_268_800.0 + self.now() - self._begun

    def suspended(self) -> float:
        return 0.0


@asynccontextmanager
async def served(token: str | None) -> AsyncIterator[Server]:
    registry = MetricsRegistry(clock=Hurried())
    Shop(registry).record(0)
    async with manager_of(registry, 100.0) as manager:
        server = await serve(Site(manager, token), Listen("127.0.0.1", 0))
        try:
            yield server
        finally:
            await server.close()


@pytest.mark.real_time
async def test_a_path_with_a_line_break_is_not_found_as_documented() -> None:
    """Schemathesis found it: the answer was aiohttp's own, in plain text."""
    async with served(TOKEN) as server, ClientSession() as session:
        async with session.get(f"http://{server.address}/api/alerts/a%0Ab/explain") as answer:
            assert answer.status == 404
            check(DOCUMENT["components"]["schemas"]["Error"], await answer.json(), "a line break")


@pytest.mark.real_time
@pytest.mark.parametrize("token", [None, TOKEN], ids=["reading", "changing"])
def test_schemathesis_finds_no_fault_and_no_answer_that_is_not_documented(token: str | None, tmp_path: Path) -> None:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(served(token)) as server:
        url = f"http://{server.address}"
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/openapi.json"),
                *("--url", url, "--no-color", "--max-time", str(SECONDS), "--max-examples", "1000"),
                *("--phases", "coverage,fuzzing", "--checks", ",".join(CHECKS), "--seed", "1"),
                *("--suppress-health-check", "all", "--generation-database", "none", "--warnings", "off"),
                *([] if token is None else ["--header", f"Authorization: Bearer {token}"]),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": ""},
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
