"""The metrics of the API: lists, windows, charts over time and tiles."""

import asyncio
import json
from typing import Any

import pytest

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.promql.source import Pieces
from kailash_monitor.testing import VirtualClock
from kailash_monitor.web import Request, Site
from kailash_monitor.web.http import Response
from kailash_monitor.web.tiles import MOST_SERIES
from kailash_monitor.web.turns import TookTooLong, Turns, in_time

Document = dict[str, Any]  # Any: JSON


@pytest.fixture
def app(registry: MetricsRegistry) -> MetricsCollector:
    return registry.collector("app", max_series=10_000)


@pytest.fixture
def manager(registry: MetricsRegistry) -> AlertManager:
    return AlertManager(registry)


@pytest.fixture
def site(manager: AlertManager) -> Site:
    return Site(manager)


async def ask(site: Site, path: str, **query: str) -> tuple[int, Document]:
    response = await site.handle(Request("GET", path, query={name: [value] for name, value in query.items()}))
    document = json.loads(response.body)
    assert isinstance(document, dict)
    return response.status, document


async def shown(site: Site, path: str, **query: str) -> Document:
    status, document = await ask(site, path, **query)
    assert status == 200, document
    return document


async def busy(app: MetricsCollector) -> None:
    """Ten minutes: a request a second here and two there, of a tenth of a second each; a queue of its length."""
    requests = app.counter("requests", "Requests served", labels=("region",))
    wait = app.timer("wait", "How long they took", unit="milliseconds", labels=("region",))
    for _ in range(60):
        await asyncio.sleep(10)
        for region, rate in (("eu", 10), ("us", 20)):
            requests.inc(region, by=rate)
            wait.labels(region).observe(100.0)
        app.set_gauge("queue", 7)
    wait.labels("eu").observe(500.0)


# -- lists


async def test_metrics_are_listed_with_what_they_are(site: Site, app: MetricsCollector) -> None:
    await busy(app)
    document = await shown(site, "/api/metrics")
    assert document["keys"] == ["app/queue", "app/requests", "app/wait"]
    assert document["collectors"] == ["app"]
    assert document["metrics"][1] == {
        "id": "app/requests",
        "collector": "app",
        "name": "requests",
        "exported": "kailash_app_requests_total",
        "type": "counter",
        "unit": None,
        "description": "Requests served",
        "series": 2,
        "latest": 1800,
        "refused": 0,
    }
    assert [row["latest"] for row in document["metrics"]] == [7, 1800, 500]
    assert document["metrics"][2]["unit"] == "milliseconds"


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ({"text": "SERVED"}, ["app/requests"]),
        ({"text": "wait_seconds"}, ["app/wait"]),
        ({"type": "gauge"}, ["app/queue"]),
        ({"collector": "other"}, []),
        ({"sort": "series"}, ["app/requests", "app/wait", "app/queue"]),
        ({"limit": "1", "offset": "1"}, ["app/requests"]),
    ],
)
async def test_metrics_are_searched_and_sorted(
    site: Site, app: MetricsCollector, query: dict[str, str], keys: list[str]
) -> None:
    await busy(app)
    assert (await shown(site, "/api/metrics", **query))["keys"] == keys


async def test_only_metrics_that_changed_are_told_again(site: Site, app: MetricsCollector) -> None:
    await busy(app)
    first = await shown(site, "/api/metrics")
    app.set_gauge("queue", 8)
    second = await shown(site, "/api/metrics", since=first["cursor"])
    assert second["delta"]
    assert [row["id"] for row in second["metrics"]] == ["app/queue"]


async def test_series_are_listed_with_their_labels(site: Site, app: MetricsCollector) -> None:
    await busy(app)
    document = await shown(site, "/api/metrics/series", collector="app", name="requests")
    assert document["labels"] == [{"name": "region", "values": 2}]
    assert document["series"] == [
        {"id": '{region="eu"}', "labels": {"region": "eu"}, "latest": 600},
        {"id": '{region="us"}', "labels": {"region": "us"}, "latest": 1200},
    ]
    matched = await shown(site, "/api/metrics/series", collector="app", name="requests", match='region=~"u.*"')
    assert matched["keys"] == ['{region="us"}']


# -- windows


async def test_windows_are_read_as_rules_read_them(site: Site, app: MetricsCollector) -> None:
    await busy(app)
    minute, five, hour, day = (await shown(site, "/api/metrics/windows", collector="app", name="requests"))["windows"]
    assert [one["seconds"] for one in (minute, five, hour, day)] == [60, 300, 3600, 86_400]
    assert (minute["increase"], minute["rate"]) == (180, 3)
    assert (minute["p95"], minute["avg"], minute["count"]) == (None, None, None)
    assert [one["partial"] for one in (minute, five, hour, day)] == [False, False, True, True]
    matched = await shown(site, "/api/metrics/windows", collector="app", name="requests", match='region="eu"')
    assert matched["windows"][0]["increase"] == 60


async def test_windows_of_a_timer_have_percentiles_in_its_own_unit(site: Site, app: MetricsCollector) -> None:
    await busy(app)
    document = await shown(site, "/api/metrics/windows", collector="app", name="wait", match='region="eu"')
    hour = document["windows"][2]
    assert document["unit"] == "milliseconds"
    assert (hour["count"], hour["max"], hour["min"]) == (61, 500, 100)
    assert hour["p50"] == pytest.approx(100, rel=0.022)
    assert hour["avg"] == pytest.approx(106.557)


async def test_windows_of_a_gauge_have_extremes(site: Site, app: MetricsCollector) -> None:
    await busy(app)
    app.set_gauge("queue", 9)
    window = (await shown(site, "/api/metrics/windows", collector="app", name="queue"))["windows"][0]
    assert (window["min"], window["max"], window["increase"], window["count"]) == (7, 9, 2, None)


async def test_too_many_series_for_windows_are_refused(site: Site, app: MetricsCollector) -> None:
    wait = app.timer("wait", "W", labels=("n",))
    for n in range(2001):
        wait.labels(n).observe(1.0)
    status, document = await ask(site, "/api/metrics/windows", collector="app", name="wait")
    assert (status, document["field"]) == (400, "match")
    assert "2,001 series; 2,000 at most" in document["error"]


# -- charts


async def test_each_series_is_a_line(site: Site, app: MetricsCollector, clock: VirtualClock) -> None:
    await busy(app)
    chart = await shown(site, "/api/metrics/chart", collector="app", name="requests", range="300")
    assert (chart["title"], chart["unit"]) == ("requests rate over 1m", "/s")
    assert chart["expr"] == "rate(kailash_app_requests_total[1m])"
    assert chart["end"] == chart["times"][-1] == pytest.approx(clock.wall())
    assert chart["start"] == pytest.approx(clock.wall() - 300)
    assert len(chart["times"]) == 240
    assert [line["name"] for line in chart["series"]] == ['{region="eu"}', '{region="us"}']
    assert [line["values"][-1] for line in chart["series"]] == pytest.approx([1, 2], rel=0.05)
    assert all(len(line["values"]) == 240 for line in chart["series"])


@pytest.mark.parametrize(
    ("name", "statistic", "unit", "last"),
    [
        ("requests", "rate", "/s", 3),
        ("requests", "increase", None, 180),
        ("requests", "total", None, 1800),
        ("queue", "value", None, 7),
        ("queue", "avg", None, 7),
        ("queue", "max", None, 7),
        ("wait", "avg", "milliseconds", 130.77),
        ("wait", "rate", "/s", 0.2167),
        ("wait", "p50", "milliseconds", 100),
        ("wait", "p99", "milliseconds", 500),
        ("wait", "max", "milliseconds", 500),
    ],
)
async def test_a_statistic_is_told_of_all_series_that_share_a_value(
    site: Site, app: MetricsCollector, name: str, statistic: str, unit: str | None, last: float
) -> None:
    await busy(app)
    chart = await shown(site, "/api/metrics/chart", collector="app", name=name, statistic=statistic, range="300", by="zone")
    (line,) = chart["series"]
    assert (line["name"], chart["unit"]) == ("no zone", unit)
    assert line["values"][-1] == pytest.approx(last, rel=0.05)


async def test_label_values_are_compared(site: Site, app: MetricsCollector) -> None:
    await busy(app)
    chart = await shown(site, "/api/metrics/chart", collector="app", name="requests", by="region", match='region!="us"')
    assert [line["labels"] for line in chart["series"]] == [{"region": "eu"}]
    assert chart["expr"] == 'sum by (region) (rate(kailash_app_requests_total{region!="us"}[1m]))'


async def test_of_many_series_the_largest_are_drawn(site: Site, app: MetricsCollector) -> None:
    many = app.counter("many", "M", labels=("n",))
    for n in range(25):
        many.inc(n, by=n)
    chart = await shown(site, "/api/metrics/chart", collector="app", name="many")
    assert [line["labels"]["n"] for line in chart["series"]] == [str(n) for n in range(24, 14, -1)]
    assert chart["more"] == 15


async def test_of_many_distributions_those_are_drawn_whose_last_observation_was_the_largest(
    site: Site, app: MetricsCollector
) -> None:
    many = app.histogram("many", "M", labels=("n",))
    for n in range(600):
        many.labels(n).observe(1.0 + n)
    chart = await shown(site, "/api/metrics/chart", collector="app", name="many", statistic="max")
    assert [line["labels"]["n"] for line in chart["series"]] == [str(n) for n in range(599, 589, -1)]
    assert (chart["series"][0]["values"][-1], chart["more"]) == (600, 590)
    document = await shown(site, "/api/metrics/series", collector="app", name="many", limit="1")
    assert (document["total"], document["labels"]) == (600, [{"name": "n", "values": 600}])


async def test_what_cannot_be_drawn_says_why(site: Site, app: MetricsCollector) -> None:
    app.counter("none", "N", labels=("n",))
    many = app.histogram("many", "M", labels=("n",))
    for n in range(1501):
        many.labels(n).observe(1.0)
    empty = await shown(site, "/api/metrics/chart", collector="app", name="none")
    assert (empty["note"], empty["series"], empty["times"]) == ("nothing was recorded yet", [], [])
    crowd = await shown(site, "/api/metrics/chart", collector="app", name="many", statistic="p95", by="x")
    assert crowd["note"] == "1,501 series are too many to be read for a chart, 1,500 at most: narrow it by match"
    assert crowd["series"] == []


@pytest.mark.parametrize(
    ("path", "query", "status", "field"),
    [
        ("chart", {"collector": "app"}, 400, "name"),
        ("chart", {"collector": "app", "name": "nothing"}, 404, None),
        ("chart", {"collector": "app", "name": "queue", "statistic": "p95"}, 400, "statistic"),
        ("chart", {"collector": "app", "name": "queue", "range": "299"}, 400, "range"),
        ("chart", {"collector": "app", "name": "queue", "range": "86401"}, 400, "range"),
        ("chart", {"collector": "app", "name": "queue", "match": "x="}, 400, "match"),
        ("chart", {"collector": "app", "name": "queue", "colour": "red"}, 400, "colour"),
        ("series", {"collector": "app", "name": "nothing"}, 404, None),
        ("series", {"name": "queue"}, 400, "collector"),
        ("windows", {"collector": "none", "name": "queue"}, 404, None),
    ],
)
async def test_what_cannot_be_meant_so_is_refused(
    site: Site, app: MetricsCollector, path: str, query: dict[str, str], status: int, field: str | None
) -> None:
    app.set_gauge("queue", 1)
    found, document = await ask(site, f"/api/metrics/{path}", **query)
    assert (found, document.get("field")) == (status, field)


@pytest.mark.real_time
async def test_an_answer_that_takes_too_long_is_given_up() -> None:
    ended = list[bool]()

    def for_ever() -> Pieces[None]:
        try:
            while True:
                yield
        finally:
            ended.append(True)

    turns = Turns(seconds=0.02)
    with pytest.raises(TookTooLong, match="no answer within 0.02 s"):
        await turns.work(for_ever())
    assert ended == [True]


def test_answers_are_worked_on_in_any_loop() -> None:
    def at_once() -> Pieces[int]:
        yield
        return 7

    turns = Turns(at_once=1)
    assert [asyncio.run(turns.work(at_once())) for _ in range(2)] == [7, 7]


async def test_who_waits_too_long_is_told_so() -> None:
    async def slow(_: Request, __: str) -> Response:
        raise TookTooLong("no answer within 6 s")

    response = await in_time(slow)(Request("GET", "/"), "")
    assert (response.status, json.loads(response.body)) == (503, {"error": "no answer within 6 s"})


async def test_matchers_that_are_none_of_promql_are_matched_all_the_same(site: Site, app: MetricsCollector) -> None:
    await busy(app)
    chart = await shown(site, "/api/metrics/chart", collector="app", name="requests", match="region=eu")
    assert ([line["labels"] for line in chart["series"]], chart["expr"]) == ([{"region": "eu"}], None)


async def test_hundreds_of_series_make_one_line(site: Site, app: MetricsCollector) -> None:
    many, queue = app.counter("many", "M", labels=("n",)), app.gauge("length", "Q", labels=("n",))
    wait = app.histogram("wait", "W", labels=("n",))
    for n in range(600):
        many.inc(n)
        queue.labels(n).set(n)
        wait.labels(n).observe(1.0 + n)
    asked = {"collector": "app", "by": "zone"}
    for name, statistic, last in (
        ("many", "total", 600),
        ("length", "value", 299.5),
        ("length", "min", 0),
        ("wait", "max", 600),
        ("wait", "p50", 300),
    ):
        chart = await shown(site, "/api/metrics/chart", **asked, name=name, statistic=statistic)
        assert chart["series"][0]["values"][-1] == pytest.approx(last, rel=0.03)
        assert len(chart["times"]) == 200


async def test_windows_hold_what_removed_series_counted(site: Site, app: MetricsCollector) -> None:
    await busy(app)
    metric = app.get_metric("requests")
    assert metric is not None
    metric.remove({"region": "us"})
    windows = (await shown(site, "/api/metrics/windows", collector="app", name="requests"))["windows"]
    assert windows[0]["increase"] == 180


async def test_a_callback_that_gives_no_numbers_has_empty_windows(site: Site, app: MetricsCollector) -> None:
    def broken() -> float:
        raise OSError("gone")

    app.callback_gauge("queue", broken)
    window = (await shown(site, "/api/metrics/windows", collector="app", name="queue"))["windows"][0]
    assert (window["max"], window["increase"]) == (None, None)


# -- tiles


async def test_tiles_show_first_what_rules_read(site: Site, manager: AlertManager, app: MetricsCollector) -> None:
    await busy(app)
    manager.add_rule(AlertRule("slow", "d", "warning", "wait", "p99 > 1000"))
    manager.add_rule(AlertRule("long", "d", "warning", "queue", "> 1000"))
    tiles = (await shown(site, "/api/tiles"))["tiles"]
    assert [(tile["id"], tile["statistic"]) for tile in tiles] == [
        ("app/wait", "p99"),
        ("app/queue", "value"),
        ("app/requests", "rate"),
    ]
    assert tiles[0]["title"] == "How long they took (p99)"
    assert tiles[1]["value"] == 7
    assert all(len(tile["values"]) == len(tile["times"]) == 60 for tile in tiles)
    assert tiles[2]["value"] == pytest.approx(3, rel=0.1)


async def test_there_are_eight_tiles_and_the_toolkits_own_come_last(
    site: Site, manager: AlertManager, app: MetricsCollector, registry: MetricsRegistry
) -> None:
    registry.self_metrics.scrapes.observe("text", 1.0)
    app.gauge("silent", "S", labels=("n",))
    for n in range(7):
        app.set_gauge(f"queue_{n}", n)
    manager.add_rule(AlertRule("off", "d", "warning", "queue_6", "> 5", enabled=False))
    tiles = (await shown(site, "/api/tiles"))["tiles"]
    assert [tile["collector"] for tile in tiles] == ["app"] * 7 + ["monitor"]
    assert tiles[0]["id"] == "app/queue_0"
    for n in range(3):
        app.set_gauge(f"other_{n}", n)
    await asyncio.sleep(30)
    assert [tile["collector"] for tile in (await shown(site, "/api/tiles"))["tiles"]] == ["app"] * 8


async def test_tiles_are_read_once_in_a_quarter_of_a_minute(site: Site, app: MetricsCollector) -> None:
    await asyncio.sleep(20)
    app.set_gauge("queue", 7)
    await asyncio.sleep(20)
    first = await shown(site, "/api/tiles")
    app.set_gauge("queue", 8)
    assert (await shown(site, "/api/tiles"))["tiles"] == first["tiles"]
    await asyncio.sleep(30)
    assert [tile["value"] for tile in (await shown(site, "/api/tiles"))["tiles"]] == [8]


async def test_a_metric_of_many_series_has_no_points(site: Site, app: MetricsCollector) -> None:
    many = app.counter("many", "M", labels=("n",))
    for n in range(MOST_SERIES + 1):
        many.inc(n)
    (tile,) = (await shown(site, "/api/tiles"))["tiles"]
    assert (tile["times"], tile["values"], tile["value"]) == ([], [], None)
