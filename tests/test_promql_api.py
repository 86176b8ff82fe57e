"""The query API: what a Prometheus would answer is answered, in its forms, and nothing that is asked holds the program up."""

import asyncio
import gc
import gzip
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import pytest
from aiohttp import ClientSession, web
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.blocking import AlertManager as BlockingManager
from kailash_monitor.engine.queries import LocalQueries
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.promql.annotations import Annotations
from kailash_monitor.promql.functions import ValueType
from kailash_monitor.promql.joined import JoinedSource
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.loaded import LoadedSource
from kailash_monitor.promql.query import Result
from kailash_monitor.promql.source import Pieces, Series, Source
from kailash_monitor.promql.tree import LabelMatcher, Number
from kailash_monitor.testing import VirtualClock
from kailash_monitor.web import Listen, Request, Site, aiohttp_app, asgi_app, serve
from kailash_monitor.web import promql_api as api
from kailash_monitor.web.http import MAX_BODY
from kailash_monitor.web.promql_pages import exponent_text, result_page
from kailash_monitor.web.wsgi import answer_now

from effort import examples  # isort: skip
from prometheus_oracle import INSTALLED, MISSING, Oracle, started_with  # isort: skip

TIME: Final = 1_700_000_000
TIMES: Final = [TIME * 1000 + offset for offset in (-60_000, -45_000, -30_000, -15_000, 0)]
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
REQUESTS: Final = "kailash_app_requests_total"

Given = Mapping[str, str | Sequence[str]]

SERIES: Final = [
    (LabelSet({"__name__": "m_total", "a": "x"}), TIMES, [0.0, 1.0, 2.0, 3.0, 4.5]),
    (LabelSet({"__name__": "m_total", "a": "ü<&>", "b": '"\\\n'}), TIMES, [0.0, 1e-7, 2e-7, 1e21, 2e300]),
    (LabelSet({"__name__": "late", "a": "x"}), TIMES[3:], [float("nan"), float("inf")]),
    (LabelSet({"__name__": "early", "c": "x"}), TIMES[:2], [-0.0, -1e-9]),
]


class StoredQueries(LocalQueries):
    """Knows series from elsewhere as well."""

    def __init__(self, registry: MetricsRegistry, *sources: Any) -> None:
        super().__init__(registry)
        self._sources = sources

    def source(self, *, strict: bool) -> tuple[Source, int]:
        source, now = super().source(strict=strict)
        return JoinedSource(source, *self._sources), now


class Stored(AlertManager):
    """A manager that can be asked about series from elsewhere, beside its own."""

    def __init__(self, registry: MetricsRegistry, *sources: Any) -> None:
        super().__init__(registry)
        self.local_queries = StoredQueries(registry, *sources)  # type: ignore[misc]


def loaded() -> LoadedSource:
    source = LoadedSource()
    for labels, times, values in SERIES:
        source.add(labels, times, values)
    return source


class Endless:
    """A source that goes on finding nothing, in pieces, until nobody wants to know any more."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[Series]]:
        self.begun += 1
        try:
            while True:
                yield
        finally:
            self.ended += 1


@pytest.fixture
async def manager(registry: MetricsRegistry) -> AlertManager:
    app = registry.collector("app")
    requests = app.counter("requests", labels=("path",))
    requests.labels("/a").inc(3)
    requests.labels("/b").inc()
    app.set_gauge("queue", 9, {"team": "x"})
    app.timer("wait").observe(120.0)
    return AlertManager(registry)


@pytest.fixture
async def site(manager: AlertManager) -> Site:
    return Site(manager)


async def ask(site: Site, path: str, **given: str | Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Ask by GET; `match` stands for `match[]`."""
    query = {
        "match[]" if name == "match" else name: [value] if isinstance(value, str) else value for name, value in given.items()
    }
    response = await site.handle(Request("GET", f"/api/v1/{path}", query))
    assert response.headers["Content-Type"] == "application/json"
    return response.status, json.loads(response.body)


async def data_of(site: Site, path: str, **given: str | Sequence[str]) -> Any:
    status, document = await ask(site, path, **given)
    assert (status, document["status"]) == (200, "success"), document
    return document["data"]


# -- queries


async def test_an_instant_is_asked_for_now(site: Site, clock: VirtualClock) -> None:
    data = await data_of(site, "query", query=f'{REQUESTS}{{path="/a"}}')
    assert data["resultType"] == "vector"
    assert data["result"] == [{"metric": {"__name__": REQUESTS, "path": "/a"}, "value": [clock.wall(), "3"]}]


async def test_a_range_ends_where_it_is_asked_to(site: Site, clock: VirtualClock) -> None:
    await asyncio.sleep(60)
    now = clock.wall()
    data = await data_of(site, "query_range", query="kailash_app_queue", start=str(now - 30), end=str(now), step="15s")
    assert data == {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"__name__": "kailash_app_queue", "team": "x"},
                "values": [[now - 30, "9"], [now - 15, "9"], [now, "9"]],
            }
        ],
    }


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1700000000", 1_700_000_000),
        ("1700000000.1235", 1_700_000_000.124),
        ("1.7e9", 1_700_000_000),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("2015-07-01T20:10:51.781Z", 1_435_781_451.781),
        ("2015-07-01T20:10:51+01:00", 1_435_777_851),
    ],
)
async def test_times_are_seconds_or_rfc_3339(text: str, at: float, site: Site) -> None:
    assert (await data_of(site, "query", query="vector(time())", time=text))["result"][0]["value"][0] == at


@pytest.mark.parametrize("kind", ["GET", "POST"])
async def test_parameters_stand_in_the_address_or_in_a_form(kind: str, site: Site) -> None:
    """Where they stand in both, the form counts."""
    query, body = ({"query": ["1"], "time": ["5"]}, b"") if kind == "GET" else ({"time": ["6"]}, b"query=1&time=5")
    for headers in (FORM, {"content-type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"}):
        response = await site.handle(Request(kind, "/api/v1/query", query, headers, body))
        assert json.loads(response.body)["data"] == {"resultType": "scalar", "result": [5, "1"]}


async def test_a_body_that_is_no_form_says_nothing(site: Site) -> None:
    request = Request("POST", "/api/v1/query", {"query": ["1"], "time": ["5"]}, {"content-type": "text/plain"}, b"time=6")
    assert json.loads((await site.handle(request)).body)["data"]["result"] == [5, "1"]


async def test_long_answers_come_compressed_to_who_can_read_that(site: Site) -> None:
    request = Request("GET", "/api/v1/query", {"query": ["1"], "time": ["5"]}, {"accept-encoding": "gzip"})
    response = await site.handle(request)
    assert (response.headers["Content-Encoding"], response.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert json.loads(gzip.decompress(response.body))["data"]["result"] == [5, "1"]


async def test_what_its_author_should_know_is_told_beside_the_answer(site: Site) -> None:
    _, document = await ask(site, "query", query="rate(kailash_app_queue[1m])")
    (info,) = document["infos"]
    assert info.startswith("PromQL info: metric might not be a counter")
    assert "warnings" not in document
    _, document = await ask(site, "query", query="quantile(2, up)")
    assert document["warnings"] == ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"]


def test_of_many_warnings_ten_are_told() -> None:
    notes = Annotations("")
    for number in range(12):
        notes.warn(str(number), Number(1.0))
    page = json.loads(b"".join(result_page(Result(ValueType.SCALAR, 1.0, notes.warnings), 0, limit=9)))
    assert len(page["warnings"]) == 11
    assert page["warnings"][-1] == "2 more warning annotations omitted"


async def test_how_long_it_took_is_told_to_who_asks(site: Site) -> None:
    data = await data_of(site, "query", query="1", stats="all")
    assert set(data["stats"]["timings"]) == {"evalTotalTime", "execTotalTime"}
    assert "stats" not in await data_of(site, "query", query="1")


async def test_a_lookback_may_be_asked_for(registry: MetricsRegistry) -> None:
    site = Site(Stored(registry, loaded()))
    for lookback, there in (("", True), ("30s", False), ("60.5", True), ("0", True)):
        data = await data_of(site, "query", query="early", time=str(TIME), lookback_delta=lookback)
        assert bool(data["result"]) is there, lookback


async def test_limits_are_kept_and_told(site: Site) -> None:
    for path, wanted in (("query", {"query": REQUESTS}), ("series", {"match": REQUESTS}), ("labels", {})):
        for limit, truncated in (("1", True), ("0", False), ("100", False)):
            _, document = await ask(site, path, limit=limit, **wanted)
            data = document["data"]["result"] if path == "query" else document["data"]
            assert (len(data) == 1) is truncated, (path, limit)
            assert document.get("warnings") == (["results truncated due to limit"] if truncated else None)


async def test_expressions_are_formatted(site: Site) -> None:
    assert await data_of(site, "format_query", query="sum( a)by(b)") == "sum by (b) (a)"


async def test_nothing_is_known_of_exemplars(site: Site) -> None:
    assert await data_of(site, "query_exemplars", query="up", start="1", end="2") == []


# -- series


async def test_series_labels_and_values_are_found(site: Site) -> None:
    assert await data_of(site, "series", match=[f'{REQUESTS}{{path="/a"}}', "up", "up"]) == [
        {"__name__": REQUESTS, "path": "/a"},
        {"__name__": "up", "job": "app"},
    ]
    assert await data_of(site, "labels") == ["__name__", "job", "le", "path", "team"]
    assert await data_of(site, "labels", match=REQUESTS) == ["__name__", "path"]
    assert await data_of(site, "label/path/values") == ["/a", "/b"]
    assert await data_of(site, "label/path/values", match='{path=~"/b|c"}') == ["/b"]
    assert await data_of(site, "label/no/values") == []
    assert await data_of(site, "label/__name__/values", match='{__name__=~".*wait.*"}') == [
        f"kailash_app_wait_seconds_{part}" for part in ("bucket", "count", "sum")
    ]


async def test_what_was_not_there_in_the_time_is_not_found(registry: MetricsRegistry) -> None:
    site = Site(Stored(registry, loaded()))
    early, late = {"start": str(TIME - 60), "end": str(TIME - 50)}, {"start": str(TIME - 40), "end": str(TIME)}
    for times, found in ((early, ["early", "m_total"]), (late, ["late", "m_total"]), ({}, ["early", "late", "m_total"])):
        assert await data_of(site, "label/__name__/values", **times) == found
        names = {one["__name__"] for one in await data_of(site, "series", match='{__name__=~".+"}', **times)}
        assert sorted(names) == found


async def test_names_that_no_address_takes_come_escaped(registry: MetricsRegistry) -> None:
    source = LoadedSource()
    source.add(LabelSet({"__name__": "m", "service.name_x": "y"}), [TIME * 1000], [1.0])
    site = Site(Stored(registry, source))
    for name in ("service.name_x", "U__service_2e_name__x"):
        assert await data_of(site, f"label/{name}/values") == ["y"]


async def test_thousands_of_values_are_in_order(registry: MetricsRegistry) -> None:
    source = LoadedSource()
    for number in range(2500):
        source.add(LabelSet({"__name__": "m", "n": str(number * 7919 % 2500)}), [TIME * 1000], [1.0])
    assert await data_of(Site(Stored(registry, source)), "label/n/values") == sorted(map(str, range(2500)))


# -- what is judged


RULES: Final = """
groups:
  - name: web
    interval: 30s
    limit: 5
    rules:
      - {record: "app:queue:sum", expr: "sum(kailash_app_queue)", labels: {of: queue}}
      - alert: Up
        expr: up{job="app"}==1
        for: 1h
        keep_firing_for: 5m
        labels: {severity: page}
        annotations: {summary: "{{ $labels.job }} is up"}
      - {alert: Up, expr: up == 2, labels: {severity: low}}
"""


@asynccontextmanager
async def judged(manager: AlertManager, folder: Path) -> AsyncIterator[str]:
    """Have it judge rules of all kinds; give the name of the file that some are from."""
    path = folder / "rules.yml"
    path.write_text(RULES)
    await asyncio.to_thread(manager.load_rules, path)
    manager.add_rule(AlertRule("busy", "Too busy", "warning", "queue", "> 5", labels={"team": "y"}))
    manager.add_rule(AlertRule("many", "", "critical", expr=f"{REQUESTS} > 2", evaluation_interval="1m"))
    manager.add_rule(AlertRule("off", "", "critical", expr="up", enabled=False))
    async with manager:
        await asyncio.sleep(15)
        yield str(path)


async def test_rules_are_shown_in_their_groups(site: Site, manager: AlertManager, tmp_path: Path) -> None:
    async with judged(manager, tmp_path) as path:
        groups = {group["name"]: group for group in (await data_of(site, "rules"))["groups"]}
        assert set(groups) == {"web", "kailash-monitor-10s", "kailash-monitor-1m"}
        web_group = groups["web"]
        assert (web_group["file"], web_group["interval"], web_group["limit"]) == (path, 30, 5)
        recording, up, low = web_group["rules"]
        assert recording == {
            "name": "app:queue:sum", "query": "sum(kailash_app_queue)", "labels": {"of": "queue"}, "health": "ok",
            "evaluationTime": 0, "lastEvaluation": "0001-01-01T00:00:00Z", "type": "recording",
        }  # fmt: skip
        (alert,) = up.pop("alerts")
        begun = alert.pop("activeAt")
        assert alert == {
            "labels": {"alertname": "Up", "job": "app", "severity": "page"},
            "annotations": {"summary": "app is up"}, "state": "pending", "value": "1e+00",
        }  # fmt: skip
        assert begun <= up.pop("lastEvaluation") == web_group["lastEvaluation"]
        assert up == {
            "state": "pending", "name": "Up", "query": 'up{job="app"} == 1', "duration": 3600, "keepFiringFor": 300,
            "labels": {"severity": "page"}, "annotations": {"summary": "{{ $labels.job }} is up"}, "health": "ok",
            "evaluationTime": 0, "type": "alerting",
        }  # fmt: skip
        assert (low["name"], low["labels"], low["state"], low["alerts"]) == ("Up", {"severity": "low"}, "inactive", [])
        assert begun.endswith("Z")


async def test_conditions_are_shown_in_promql(site: Site, manager: AlertManager, tmp_path: Path) -> None:
    async with judged(manager, tmp_path):
        group, *_ = (await data_of(site, "rules", **{"rule_name[]": "busy"}))["groups"]
        (busy,) = group["rules"]
        assert (busy["query"], busy["state"]) == ("max(kailash_app_queue) > 5", "firing")
        assert busy["labels"] == {"severity": "warning", "team": "y"}
        assert busy["annotations"] == {"description": "Too busy"}
        assert busy["alerts"][0]["labels"] == {"alertname": "busy", "severity": "warning", "team": "y"}
        manager.add_rule(AlertRule("lost", "", "warning", "nothing", "avg > 5"))
        group, *_ = (await data_of(site, "rules", **{"rule_name[]": "lost"}))["groups"]
        assert (group["rules"][0]["query"], group["rules"][0]["health"]) == ("nothing avg > 5", "unknown")


async def test_of_several_levels_and_collectors_the_mildest_of_each_is_shown(
    site: Site, manager: AlertManager, registry: MetricsRegistry
) -> None:
    registry.collector("other").set_gauge("queue", 1)
    manager.add_rule(AlertRule("deep", "", None, "queue", ">", levels={"warning": 5, "critical": 9}))
    (group,) = (await data_of(site, "rules"))["groups"]
    assert group["rules"][0]["query"] == "max(kailash_app_queue) > 5\nor\nmax(kailash_other_queue) > 5"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "record"}, ["app:queue:sum"]),
        ({"type": "ALERT"}, ["Up", "Up", "busy", "many"]),
        ({"rule_group[]": ["web", "kailash-monitor-1m"]}, ["app:queue:sum", "Up", "Up", "many"]),
        ({"rule_name[]": "Up", "type": "alert"}, ["Up", "Up"]),
        ({"file[]": "nowhere"}, []),
    ],
)
async def test_some_rules_may_be_asked_for(
    given: dict[str, str], expected: list[str], site: Site, manager: AlertManager, tmp_path: Path
) -> None:
    async with judged(manager, tmp_path):
        groups = (await data_of(site, "rules", **given))["groups"]
        assert sorted(rule["name"] for group in groups for rule in group["rules"]) == sorted(expected)
        assert all(group["rules"] for group in groups)


async def test_rules_may_be_shown_without_their_alerts(site: Site, manager: AlertManager, tmp_path: Path) -> None:
    async with judged(manager, tmp_path):
        groups = (await data_of(site, "rules", exclude_alerts="true"))["groups"]
        assert not any("alerts" in rule for group in groups for rule in group["rules"])


async def test_a_rule_that_fails_says_why(site: Site, manager: AlertManager) -> None:
    manager.add_rule(AlertRule("wrong", "", "warning", expr="up + on () up"))
    manager.metrics_registry.collector("other").set_gauge("x", 1)
    async with manager:
        await asyncio.sleep(1)
        (group,) = (await data_of(site, "rules"))["groups"]
        (rule,) = group["rules"]
        assert rule["health"] == "err"
        assert "found duplicate series for the match group" in rule["lastError"]


async def test_alerts_are_those_that_are_not_over(site: Site, manager: AlertManager, tmp_path: Path) -> None:
    async with judged(manager, tmp_path):
        alerts = (await data_of(site, "alerts"))["alerts"]
        states = {(one["labels"]["alertname"], one["state"]) for one in alerts}
        assert states == {("busy", "firing"), ("many", "firing"), ("Up", "pending")}
        manager.metrics_registry.collector("app").set_gauge("queue", 0, {"team": "x"})
        await asyncio.sleep(30)
        alerts = (await data_of(site, "alerts"))["alerts"]
        assert "busy" not in {one["labels"]["alertname"] for one in alerts}


async def test_metadata_are_told_by_exported_names(site: Site) -> None:
    data = await data_of(site, "metadata")
    assert data["kailash_app_wait_seconds"] == [{"type": "histogram", "help": "wait", "unit": "seconds"}]
    assert data[REQUESTS] == [{"type": "counter", "help": "requests", "unit": ""}]
    assert await data_of(site, "metadata", metric=REQUESTS) == {REQUESTS: data[REQUESTS]}
    assert len(await data_of(site, "metadata", limit="1", limit_per_metric="1")) == 1
    assert await data_of(site, "metadata", limit="0") == {}
    assert await data_of(site, "metadata", limit="-1") == data


async def test_clients_learn_which_language_is_spoken(site: Site) -> None:
    assert (await data_of(site, "status/buildinfo"))["version"] == "3.14.0"


# -- errors


TO: Final = {"start": "0", "end": "10", "step": "1"}


@pytest.mark.parametrize(
    ("path", "given", "text"),
    [
        ("query", {}, 'invalid parameter "query": unknown position: parse error: no expression found in input'),
        ("query", {"query": "sum("}, 'invalid parameter "query": 1:5: parse error: unclosed left parenthesis'),
        ("query", {"query": 'up{a=~"("}'}, 'invalid parameter "query": 1:4: parse error: error parsing regexp: missing closing ): `(`'),
        ("query", {"query": "up[5m / 0]"}, 'invalid parameter "query": 1:7: parse error: division by zero'),
        ("query", {"query": "up[5m / step()]"}, 'invalid parameter "query": 1:4: parse error: division by zero'),
        ("query", {"query": "1", "time": "x"}, 'invalid parameter "time": invalid time value for \'time\': cannot parse "x" to a valid timestamp'),
        ("query", {"query": "1", "time": "1e300"}, 'invalid parameter "time": invalid time value for \'time\': cannot parse "1e300" to a valid timestamp'),
        ("query", {"query": "1", "time": "nan"}, 'invalid parameter "time": invalid time value for \'time\': cannot parse "nan" to a valid timestamp'),
        ("query", {"query": "1", "time": "2015-02-30T00:00:00Z"}, 'invalid parameter "time": invalid time value for \'time\': cannot parse "2015-02-30T00:00:00Z" to a valid timestamp'),
        ("query", {"query": "1", "timeout": "x"}, 'invalid parameter "timeout": cannot parse "x" to a valid duration'),
        ("query", {"query": "1", "limit": "x"}, 'invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax'),
        ("query", {"query": "1", "limit": "9" * 19}, f'invalid parameter "limit": strconv.Atoi: parsing "{"9" * 19}": value out of range'),
        ("query", {"query": "1", "limit": "-1"}, 'invalid parameter "limit": limit must be non-negative'),
        ("query", {"query": "1", "lookback_delta": "x"}, 'error parsing lookback delta duration: cannot parse "x" to a valid duration'),
        ("query_range", {"query": "1"}, 'invalid parameter "start": cannot parse "" to a valid timestamp'),
        ("query_range", {"query": "1", "start": "1"}, 'invalid parameter "end": cannot parse "" to a valid timestamp'),
        ("query_range", {"query": "1", "start": "1", "end": "0"}, 'invalid parameter "end": end timestamp must not be before start time'),
        ("query_range", {**TO, "query": "1", "step": ""}, 'invalid parameter "step": cannot parse "" to a valid duration'),
        ("query_range", {**TO, "query": "1", "step": "1e30"}, 'invalid parameter "step": cannot parse "1e30" to a valid duration. It overflows int64'),
        ("query_range", {**TO, "query": "1", "step": "0"}, 'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer'),
        ("query_range", {**TO, "query": "1", "step": "0.0001"}, 'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer'),
        ("query_range", {**TO, "query": "1", "end": "11001"}, "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"),
        ("query_range", {**TO, "query": "'a'"}, 'invalid parameter "query": invalid expression type "string" for range query, must be Scalar or instant Vector'),
        ("query_range", {**TO, "query": "up[1m]"}, 'invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or instant Vector'),
        ("query_exemplars", {"query": "up", "start": "2", "end": "1"}, "end timestamp must not be before start timestamp"),
        ("format_query", {"query": "("}, 'invalid parameter "query": 1:2: parse error: unclosed left parenthesis'),
        ("series", {}, "no match[] parameter provided"),
        ("series", {"match[]": "{"}, 'invalid parameter "match[]": 1:2: parse error: unexpected end of input inside braces'),
        ("series", {"match[]": '{a=""}'}, 'invalid parameter "match[]": match[] must contain at least one non-empty matcher'),
        ("labels", {"match[]": '{a=~"("}'}, 'invalid parameter "match[]": 1:2: parse error: error parsing regexp: missing closing ): `(`'),
        ("labels", {"start": "x"}, 'invalid parameter "start": invalid time value for \'start\': cannot parse "x" to a valid timestamp'),
        ("label/\udcff/values", {}, 'invalid label name: "\\xff"'),
        ("rules", {"type": "x"}, 'invalid parameter "type": not supported value "x"'),
        ("rules", {"exclude_alerts": "x"}, 'invalid parameter "exclude_alerts": error converting exclude_alerts: strconv.ParseBool: parsing "x": invalid syntax'),
        ("metadata", {"limit": "x"}, "limit must be a number"),
        ("metadata", {"limit_per_metric": "x"}, "limit_per_metric must be a number"),
    ],
)  # fmt: skip
async def test_what_cannot_be_meant_is_refused(path: str, given: Given, text: str, site: Site) -> None:
    assert await ask(site, path, **given) == (400, {"status": "error", "errorType": "bad_data", "error": text})


async def test_what_has_no_value_cannot_be_processed(site: Site, registry: MetricsRegistry) -> None:
    registry.collector("other").set_gauge("x", 1)
    status, document = await ask(site, "query", query="up + on () up")
    assert (status, document["status"], document["errorType"]) == (422, "error", "execution")
    assert document["error"].endswith("many-to-many matching not allowed: matching labels must be unique on one side")


async def test_a_query_may_read_so_much_and_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kailash_monitor.web.promql_parameters.MOST_SAMPLES", 30)
    assert (await ask(site, "query_range", query="up", **TO))[0] == 200
    wanted = "query processing would load too many samples into memory in query execution"
    status, document = await ask(site, "query_range", query="vector(1) or on (a) vector(2)", **TO | {"end": "100"})
    assert (status, document) == (422, {"status": "error", "errorType": "execution", "error": wanted})


async def test_a_body_is_as_long_as_any(site: Site) -> None:
    response = await site.handle(Request("POST", "/api/v1/query", {}, FORM, b"x" * (MAX_BODY + 1)))
    assert response.status == 400
    assert json.loads(response.body)["errorType"] == "bad_data"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "query", 405),
        ("POST", "rules", 405),
        ("DELETE", "series", 405),
        ("GET", "nothing", 404),
        ("HEAD", "labels", 200),
    ],
)
async def test_there_is_nothing_else(method: str, path: str, status: int, site: Site) -> None:
    assert (await site.handle(Request(method, f"/api/v1/{path}"))).status == status


# -- the program goes on


@pytest.mark.real_time
async def test_what_takes_too_long_ends() -> None:
    manager = Stored(MetricsRegistry(), source := Endless())
    begun = time.monotonic()
    status, document = await ask(Site(manager), "query", query="up", timeout="50ms")
    wanted = "query timed out in expression evaluation"
    assert (status, document) == (503, {"status": "error", "errorType": "timeout", "error": wanted})
    assert (source.begun, source.ended) == (1, 1)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("timeout", ["0", "-1"])
async def test_no_time_is_too_little(timeout: str, site: Site) -> None:
    assert await ask(site, "query", query="1", timeout=timeout) == (
        503,
        {"status": "error", "errorType": "timeout", "error": "query timed out in query queue"},
    )


@pytest.mark.real_time
async def test_some_are_answered_by_turns_and_others_wait() -> None:
    site = Site(Stored(MetricsRegistry(), Endless()))
    at_once = [asyncio.create_task(ask(site, "query", query="up", timeout="1")) for _ in range(api.AT_ONCE)]
    await asyncio.sleep(0.01)
    _, late = await ask(site, "query", query="1", timeout="50ms")
    assert late["error"] == "query timed out in query queue"
    status, _ = await ask(site, "query", query="1", timeout="8")
    assert status == 200
    assert {document["error"] for _, document in await asyncio.gather(*at_once)} == {
        "query timed out in expression evaluation"
    }


@pytest.mark.real_time
async def test_who_goes_away_ends_the_work() -> None:
    """Where the server says so, by a cancellation; elsewhere it goes on for some seconds."""
    site = Site(Stored(MetricsRegistry(), source := Endless()))
    for _ in range(api.AT_ONCE + 1):  # each leaves its place to the next
        asking = asyncio.create_task(ask(site, "query", query="up"))
        await asyncio.sleep(0.02)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert source.begun == source.ended == api.AT_ONCE + 1


HEAVY: Final = [
    ("query", {"query": REQUESTS}),
    ("query", {"query": f"{REQUESTS}[5m]"}),
    ("query", {"query": f"{REQUESTS} / {REQUESTS}"}),
    ("query", {"query": f"sum by (path) (rate({REQUESTS}[5m]))"}),
    ("query_range", {"query": REQUESTS, "start": "-10", "end": "0", "step": "1"}),
    ("query_range", {"query": "nothing", "start": "-10000", "end": "0", "step": "1"}),
    ("series", {"match[]": REQUESTS}),
    ("labels", {}),
    ("label/n/values", {}),
]


@pytest.fixture(scope="module")
def crowd() -> Site:
    """A program with 10,000 series."""
    registry = MetricsRegistry()
    requests = registry.collector("app", max_series=20_000).counter("requests", labels=("path", "n"))
    for number in range(10_000):
        requests.labels(f"/{number % 20}", str(number)).inc(number)
    return Site(AlertManager(registry))


@pytest.mark.real_time
@pytest.mark.untraced
@pytest.mark.parametrize(("path", "given"), HEAVY)
async def test_ten_thousand_series_hold_nobody_up(path: str, given: Given, crowd: Site) -> None:
    """Each turn of the loop takes a few milliseconds; the quickest of three runs, without what collects garbage."""
    now = time.time()
    at = {name: str(now + float(given[name])) for name in ("start", "end") if name in given}  # type: ignore[arg-type]
    longest = []
    for _ in range(3):
        gc.collect()
        gc.disable()
        try:
            asking = asyncio.create_task(ask(crowd, path, **{**given, **at}))
            turns = []
            while not asking.done():
                begun = time.thread_time()
                await asyncio.sleep(0)
                turns.append(time.thread_time() - begun)
        finally:
            gc.enable()
        assert (await asking)[0] == 200
        longest.append(max(turns[:-1], default=0.0))  # in the last one the test reads the answer
    assert min(longest) < 0.02


# -- whatever is asked


PARTS: Final = [
    "", "0", "1", "-1", "1e9", "1700000000", "1e300", "-9.2e15", "9.2e15", "nan", "5m", "1h30m", "0.5", "1e-9", "up",
    "2015-07-01T20:10:51.781Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "{", '{a=""}', '{__name__=~".+"}',
    '{a=~"("}', "rate(up[5m])", "up offset 5m", "up @ 9e15", "up[1y:1d]", "sum by (job) (up)", "'text'", '"\\xff"', "true",
    "alert", "record", "day_of_week(vector(time()))", "timestamp(up)", "label_replace(up, 'a', '$1', 'job', '(.*)')",
    "up + on () up", "vector(1e-300)", "9" * 30, "1_000", "٣", "\x00", "count_values('a', up)", "up @ start()",
]  # fmt: skip
NAMES: Final = [
    "query", "time", "timeout", "limit", "start", "end", "step", "match[]", "lookback_delta", "stats", "type", "metric",
    "exclude_alerts", "rule_name[]", "limit_per_metric",
]  # fmt: skip
PATHS: Final = [
    "query", "query_range", "query_exemplars", "format_query", "series", "labels", "label/job/values", "label/U__a_zz/values",
    "rules", "alerts", "metadata", "status/buildinfo",
]  # fmt: skip

asked_for = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(PARTS) | st.text(max_size=20), min_size=1, max_size=2)
)
a_range = st.fixed_dictionaries(
    {name: st.lists(st.sampled_from(PARTS), min_size=1, max_size=1) for name in ("query", "start", "end", "step")}
)


@settings(max_examples=examples(400))
@given(path=st.sampled_from(PATHS), query=asked_for | a_range, form=st.none() | asked_for, raw=st.binary(max_size=40))
def test_no_question_is_an_internal_error(
    path: str, query: dict[str, list[str]], form: dict[str, list[str]] | None, raw: bytes
) -> None:
    registry = MetricsRegistry()
    registry.collector("app").set_gauge("queue", 9)
    method = "POST" if form is not None and path in PATHS[:6] else "GET"
    body = raw if form is None else urlencode(form, doseq=True, errors="replace").encode()
    response = answer_now(Site(BlockingManager(registry)), Request(method, f"/api/v1/{path}", query, FORM, body))
    document = json.loads(response.body)
    assert (response.status, document["status"]) == (200, "success") or (
        response.status in (400, 422, 503) and document["status"] == "error" and document["error"]
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1e+00"), (0.0, "0e+00"), (-150.0, "-1.5e+02"), (1e-7, "1e-07"), (2e300, "2e+300"), (float("inf"), "+Inf")],
)
def test_values_of_alerts_have_an_exponent(value: float, text: str) -> None:
    assert exponent_text(value) == text


# -- whatever serves it


async def test_asgi_answers_it(site: Site) -> None:
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"query=1&time=5"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    scope = {
        "type": "http", "method": "POST", "path": "/monitor/api/v1/query", "root_path": "/monitor", "headers": headers,
        "query_string": b"time=6",
    }  # fmt: skip
    await asgi_app(site)(scope, receive, send)
    assert sent[0]["status"] == 200
    assert json.loads(sent[1]["body"])["data"]["result"] == [5, "1"]


def test_threads_answer_it_for_a_blocking_manager(tmp_path: Path) -> None:
    registry = MetricsRegistry()
    registry.collector("app").set_gauge("queue", 9)
    manager = BlockingManager(registry)
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    manager.load_rules(path)
    site = Site(manager)
    said = json.loads(answer_now(site, Request("POST", "/api/v1/query", {}, FORM, b"query=kailash_app_queue")).body)
    assert said["data"]["result"][0]["value"][1] == "9"
    names = json.loads(answer_now(site, Request("GET", "/api/v1/label/__name__/values")).body)["data"]
    assert "kailash_app_queue" in names
    groups = json.loads(answer_now(site, Request("GET", "/api/v1/rules")).body)["data"]["groups"]
    assert [rule["name"] for rule in groups[0]["rules"]] == ["app:queue:sum", "Up", "Up"]


@pytest.mark.real_time
async def test_aiohttp_answers_it_below_where_it_is_mounted(manager: AlertManager) -> None:
    app = web.Application()
    app.add_subapp("/monitor", aiohttp_app(Site(manager)))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/monitor/api/v1"
        async with ClientSession() as session:
            async with session.post(f"{url}/query", data={"query": "1", "time": "5"}) as response:
                assert (await response.json())["data"]["result"] == [5, "1"]
            async with session.get(f"{url}/label/path/values", params={"match[]": REQUESTS}) as response:
                assert (await response.json())["data"] == ["/a", "/b"]
    finally:
        await runner.cleanup()


# -- promtool


@asynccontextmanager
async def program() -> AsyncIterator[str]:
    """Serve a program; give where."""
    registry = MetricsRegistry()
    requests = registry.collector("app").counter("requests", labels=("path",))
    requests.labels("/a").inc(3)
    requests.labels("/b").inc()
    server = await serve(Site(AlertManager(registry)), Listen("127.0.0.1", 0))
    try:
        yield f"http://{server.address}"
    finally:
        await server.close()


@pytest.mark.external
@pytest.mark.real_time
@pytest.mark.skipif(not INSTALLED, reason=MISSING)
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["instant", "URL", REQUESTS], 0, [f'{REQUESTS}{{path="/a"}} => 3 @', f'{REQUESTS}{{path="/b"}} => 1 @']),
        (["instant", "URL", "1 + 1"], 0, ["scalar: 2 @"]),
        (["instant", "URL", "rate("], 1, ['bad_data: invalid parameter "query": 1:6: parse error: unclosed left parenthesis']),
        (["instant", "URL", "up + on () group_left () (up or kailash_app_requests_total)"], 1, ["execution: "]),
        (["range", "URL", f'sum({REQUESTS})', "--step", "15s"], 0, ["4 @["]),
        (["range", "URL", "1", "--start", "0", "--end", "20000", "--step", "1s"], 1, ["exceeded maximum resolution"]),
        (["series", "URL", "--match", REQUESTS, "--match", "up"], 0, [f'{{__name__="{REQUESTS}", path="/a"}}', '{__name__="up", job="app"}']),
        (["labels", "URL", "path"], 0, ["/a\n/b"]),
        (["labels", "URL", "__name__"], 0, [REQUESTS]),
    ],
)  # fmt: skip
async def test_promtool_queries_the_program(command: list[str], code: int, said: list[str]) -> None:
    async with program() as url:
        process = await asyncio.create_subprocess_exec(
            "promtool",
            "query",
            *[url if part == "URL" else part for part in command],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode == code, out
        assert all(text in out.decode() for text in said), out


# -- a real Prometheus


AT: Final = {"time": str(TIME)}
OVER: Final = {"start": str(TIME - 30), "end": str(TIME), "step": "15"}

SAME: Final = [
    *(("query", {"query": query, **AT}) for query in (
        "m_total", "m_total * 1e-7", "sum(m_total)", "sum without (a) (m_total)", "vector(1e-7)", "vector(1e21)", "1e21",
        "1e-7", "-0", "vector(-0)", "Inf", "vector(NaN)", "123456789012345678", "time()", "'a\\xffb'", '"ü"', "late", "late == late",
        "early", "m_total[31s]", "m_total[20s] offset 1m", "none", "scalar(none)", "topk(1, m_total)", "1 > 2", "m_total > 1e400",
        "label_replace(m_total, 'd', '<$1>', 'a', '(.*)')", "late / ignoring (c) group_left () early", "sum(", "sum", "m_total +",
        "rate(m_total)", "m_total[5m", "foo(m_total)", 'm_total{a="}', "{}", "1 + 'a'",
        "label_replace(m_total, 'a', '1', 'a', '.*') + 1", "label_join(m_total, '', '', 'a')"
    )),
    *(("query_range", {"query": query, **OVER}) for query in (
        "m_total", "sum(m_total)", "1", "time()", "late", "early", "m_total > 1", "none", "vector(1e-7)", "label_join(m_total, '', '', 'a')",
    )),
    ("query", {"query": "vector(1)", "time": f"{TIME}.1235"}),
    ("query", {"query": "1", "time": "-0.1"}),
    ("query", {"query": "1", **AT, "timeout": "x"}),
    ("query_range", {"query": "1", **OVER, "step": "0"}),
    ("query_range", {"query": "1", **OVER, "step": "1e30"}),
    ("query_range", {"query": "1", **OVER, "step": "-5m"}),
    ("query_range", {"query": "1", **OVER, "end": "0"}),
    ("query_range", {"query": "1", **OVER, "start": "0"}),
    ("query_range", {"query": "1", "start": "x"}),
    ("query_range", {"query": "1", "start": "0", "end": "11000", "step": "1"}),
    ("series", {"match[]": "m_total"}),
    ("series", {"match[]": ["late", "early", "late"]}),
    ("series", {"match[]": '{a=""}'}),
    ("series", {"match[]": "{"}),
    ("series", {"match[]": '{__name__=~".+"}', "start": str(TIME + 1), "end": str(TIME + 9)}),
    ("series", {}),
    ("labels", {}),
    ("labels", {"match[]": "early"}),
    ("label/a/values", {}),
    ("label/a/values", {"match[]": "late"}),
    ("label/none/values", {}),
    ("label/__name__/values", {}),
    ("rules", {}),
    ("rules", {"type": "x"}),
    ("alerts", {}),
    ("metadata", {"limit": "x"}),
    ("metadata", {}),
    ("format_query", {"query": "sum( m_total)by(a)"}),
    ("format_query", {"query": "sum("}),
    ("query_exemplars", {"query": "m_total"}),
    ("query_exemplars", {"query": "m_total", "start": "2", "end": "1"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with started_with(SERIES) as oracle:
        yield oracle


@pytest.mark.external
@pytest.mark.real_time
@pytest.mark.skipif(not INSTALLED, reason=MISSING)
@pytest.mark.parametrize(("path", "given"), SAME, ids=[f"{path}-{list(given.values())[:1]}" for path, given in SAME])
def test_a_real_prometheus_says_the_same(path: str, given: Given, oracle: Oracle) -> None:
    """Status and document are the same. Vectors and lists may have any order, and details of errors may be newer."""
    connection = oracle._connection
    connection.request("GET", f"/api/v1/{path}?{urlencode(given, doseq=True)}")
    theirs = connection.getresponse()
    site = Site(Stored(MetricsRegistry(), loaded()))
    response = answer_now(site, Request("GET", f"/api/v1/{path}", parse_qs(urlencode(given, doseq=True))))
    assert (response.status, ordered(json.loads(response.body))) == (theirs.status, ordered(json.loads(theirs.read())))


def ordered(document: dict[str, Any]) -> dict[str, Any]:
    data = document.get("data")
    if isinstance(data, list):
        data.sort(key=json.dumps)
    elif isinstance(data, dict) and data.get("resultType") in ("vector", "matrix"):
        data["result"].sort(key=json.dumps)
    return document
