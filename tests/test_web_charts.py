"""The charts of the API: what an alert is about, what a rule reads, and what is tried."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from kailash_monitor.alerts import AlertManager, AlertRule, NotificationChannel
from kailash_monitor.blocking import AlertManager as BlockingManager
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import burn_rate_rules
from kailash_monitor.testing import ManualClock, VirtualClock
from kailash_monitor.web import Request, Site
from kailash_monitor.web.charts import LEAST_POINTS, MOST_POINTS, Chart, Span, points_for, rounded, spans_of

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


def at(chart: Document, ago: float, line: int = 0) -> float | None:
    """Give what a line of a chart was so many seconds before its end."""
    times, values = chart["times"], chart["series"][line]["values"]
    found = min(range(len(times)), key=lambda index: abs(times[index] - chart["end"] + ago))
    value: float | None = values[found]
    return value


# -- alerts


async def test_an_alert_has_its_metric_its_threshold_and_its_spans(
    site: Site, manager: AlertManager, app: MetricsCollector, clock: VirtualClock
) -> None:
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", hold=60, evaluation_interval=5))
    async with manager:
        app.set_gauge("queue", 2)
        await asyncio.sleep(300)
        app.set_gauge("queue", 9)
        await asyncio.sleep(200)
        chart = await shown(site, "/api/alerts/busy_app/chart", range="600")
        (alert,) = manager.get_all_alerts()
    assert (chart["title"], chart["unit"], chart["expr"]) == ("Busy", None, "max(kailash_app_queue)")
    assert chart["thresholds"] == [{"severity": "warning", "value": 5}]
    assert chart["series"][0]["labels"] == {"collector": "app"}
    assert (at(chart, 250), at(chart, 0)) == (2, 9)
    assert chart["end"] == pytest.approx(clock.wall())
    assert alert.fired_at is not None
    assert alert.created_at is not None
    created, fired = alert.created_at.timestamp(), alert.fired_at.timestamp()
    assert chart["spans"] == [
        {"state": "firing", "from": pytest.approx(fired), "to": None},
        {"state": "pending", "from": pytest.approx(created), "to": pytest.approx(fired)},
    ]


async def test_an_alert_of_a_group_shows_its_group_alone_and_in_the_rules_unit(
    site: Site, manager: AlertManager, app: MetricsCollector
) -> None:
    rule = AlertRule(
        "slow",
        "d",
        levels={"warning": 300, "critical": 900},
        metric_name="wait",
        condition="p95 >",
        group_by=("region",),
        time_window="1m",
    )
    manager.add_rule(rule)
    wait = app.timer("wait", "W", unit="milliseconds", labels=("region",))
    async with manager:
        for _ in range(60):
            await asyncio.sleep(5)
            wait.labels("eu").observe(500.0)
            wait.labels("us").observe(100.0)
        (alert,) = manager.get_active_alerts()
        chart = await shown(site, f"/api/alerts/{alert.id}/chart", range="300")
        whole = await shown(site, "/api/rules/slow/chart", range="300")
    assert alert.id == 'slow_app{region="eu"}'
    assert [line["labels"] for line in chart["series"]] == [{"collector": "app", "region": "eu"}]
    assert chart["unit"] == "milliseconds"
    assert at(chart, 0) == pytest.approx(500, rel=0.022)
    assert chart["thresholds"] == [{"severity": "warning", "value": 300}, {"severity": "critical", "value": 900}]
    assert chart["expr"] == (
        'histogram_quantile(0.95, sum by (le, region) (rate(kailash_app_wait_seconds_bucket{region="eu"}[1m])))'
    )
    assert [line["name"] for line in whole["series"]] == ["eu", "us"]
    assert at(whole, 0, 1) == pytest.approx(100, rel=0.022)


async def test_an_alert_of_an_expression_shows_the_series_that_it_is_about(
    site: Site, manager: AlertManager, app: MetricsCollector
) -> None:
    manager.add_rule(
        AlertRule("full", "d", "critical", expr="kailash_app_disk > 90", labels={"team": "ops", "disk_name": "{{ $value }}"})
    )
    disk = app.gauge("disk", "D", labels=("mount",))
    async with manager:
        disk.labels("/").set(95)
        disk.labels("/var").set(20)
        await asyncio.sleep(60)
        (alert,) = manager.get_active_alerts()
        chart = await shown(site, f"/api/alerts/{alert.id}/chart")
    assert [line["name"] for line in chart["series"]] == ['{mount="/"}']
    assert chart["thresholds"] == [{"severity": "critical", "value": 90}]
    assert (chart["expr"], at(chart, 0), chart["unit"]) == ("kailash_app_disk", 95, None)


async def test_an_alert_that_is_not_there_is_not_found(site: Site) -> None:
    assert (await ask(site, "/api/alerts/nothing/chart"))[0] == 404
    assert (await ask(site, "/api/rules/nothing/chart"))[0] == 404


async def test_an_alert_is_drawn_as_its_rule_was_also_when_that_is_gone(
    site: Site, manager: AlertManager, app: MetricsCollector
) -> None:
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5"))
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(30)
        manager.remove_rule("busy")
        chart = await shown(site, "/api/alerts/busy_app/chart")
    assert at(chart, 0) == 9
    assert chart["thresholds"] == [{"severity": "warning", "value": 5}]
    assert [span["state"] for span in chart["spans"]] == ["firing"]


async def test_what_stands_for_the_alerts_that_are_too_many_shows_all_groups(
    site: Site, manager: AlertManager, app: MetricsCollector
) -> None:
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", group_by=("n",), max_alerts=1))
    queue = app.gauge("queue", "Q", labels=("n",))
    async with manager:
        for n in range(3):
            queue.labels(n).set(9)
        await asyncio.sleep(30)
        charts = [await shown(site, f"/api/alerts/{alert.id}/chart") for alert in manager.get_active_alerts()]
    assert sorted(len(chart["series"]) for chart in charts) == [1, 3]


async def test_the_toolkits_own_alerts_have_no_chart(site: Site, manager: AlertManager, app: MetricsCollector) -> None:
    class Deaf(NotificationChannel):
        name = "deaf"

        async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
            return False

    manager.add_notification_channel(Deaf(), fallback_after="1s")
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5"))
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(900)
        (own,) = [alert for alert in manager.get_active_alerts() if alert.rule_name != "busy"]
        chart = await shown(site, f"/api/alerts/{own.id}/chart")
    assert (chart["series"], chart["note"]) == ([], "an alert of the toolkit's own: it reads no metric")


# -- rules


async def drawn(site: Site, manager: AlertManager, rule: AlertRule, **query: str) -> Document:
    manager.add_rule(rule)
    return await shown(site, f"/api/rules/{quote(rule.name)}/chart", range="300", **query)


def one(metric: str, condition: str, **more: Any) -> AlertRule:
    return AlertRule("r", "d", "warning", metric, condition, **more)


async def ten_minutes(app: MetricsCollector) -> None:
    """Ten a second, of which two fail in the last five minutes; each takes 40 ms, and then 400."""
    requests = app.counter("requests", "R", labels=("region",))
    failures = app.counter("failures", "F", share_of="requests", labels=("region",))
    good = app.counter("good", "G", labels=("region",))
    wait = app.timer("wait", "W", unit="milliseconds")
    for number in range(120):
        await asyncio.sleep(5)
        late = number >= 60
        requests.inc("eu", by=50)
        good.inc("eu", by=40 if late else 50)
        wait.observe(400.0 if late else 40.0)
        app.set_gauge("queue", 9 if late else 3)
        if late:
            failures.inc("eu", by=10)


@pytest.mark.parametrize(
    ("rule", "then", "now"),
    [
        (one("queue", "> 5"), 3, 9),
        (one("queue", "avg > 5", time_window="1m"), 3, 9),
        (one("queue", "max > 5", time_window="1m"), 3, 9),
        (one("requests", "rate > 5", time_window="1m"), 10, 10),
        (one("requests", "increase > 5", time_window="1m"), 600, 600),
        (one("requests", "latest > 5"), 2950, 6000),
        (one("failures", "share > 0.1", time_window="1m"), 0, 0.2),
        (one("failures", "rate > 0.1", time_window="1m"), 0, 0.2),
        (one("wait", "avg > 100", time_window="1m"), 40, 400),
        (one("wait", "p95 > 100", time_window="1m"), 40, 400),
        (one("wait", "max > 100", time_window="1m"), 40, 400),
        (one("wait", "count > 100", time_window="1m"), 12, 12),
        (one("wait", "sum > 100", time_window="1m"), 480, 4800),
        (one("wait", "latest > 100"), 40, 400),
        (one("requests", "rate > 5", time_window="1m", match={"region": "eu"}), 10, 10),
        (one("requests", "rate > 5", time_window="1m", group_by=("region",)), 10, 10),
    ],
    ids=str,
)
async def test_a_condition_is_drawn_as_it_was_read_then(
    site: Site, manager: AlertManager, app: MetricsCollector, rule: AlertRule, then: float, now: float
) -> None:
    await ten_minutes(app)
    manager.add_rule(rule)
    chart = await shown(site, "/api/rules/r/chart", range="600")
    assert at(chart, 305) == pytest.approx(then, rel=0.08)
    assert at(chart, 0) == pytest.approx(now, rel=0.05)


@pytest.mark.parametrize(
    ("rule", "reads"),
    [
        (one("requests", "> 5", time_window="1m"), 60),
        (one("requests", "increase > 5", time_window="5m"), 300),
        (one("wait", "count > 5", time_window="1m"), 6),
        (one("wait", "sum > 5", time_window="1m"), 12),
        (one("requests", "rate > 5", time_window="1m"), 1),
        (one("wait", "> 5", time_window="1m"), 2),
        (burn_rate_rules("r", good="good", total="requests", objective=0.9, pairs=[(1, "5m", "1m", "warning")])[0], 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("span", ["3600", "21600", "86400"])
def test_what_adds_up_in_a_rules_window_is_no_more_where_a_step_is_longer(rule: AlertRule, reads: float, span: str) -> None:
    """Six times as much lies in the steps of a day: the line was far above a threshold that was never reached."""
    time = ManualClock()
    registry = MetricsRegistry(clock=time)
    app = registry.collector("app")
    for _ in range(86_400 // 10):
        time.advance(10)
        app.increment("requests", 10)
        app.increment("good", 8)
        app.record_histogram("wait", 2.0)
    manager = BlockingManager(registry)
    manager.add_rule(rule)
    chart = asyncio.run(shown(Site(manager), f"/api/rules/{quote(rule.name)}/chart", range=span))
    assert at(chart, 0) == pytest.approx(reads, rel=0.05)


async def test_a_burn_rate_is_drawn_over_both_its_windows(site: Site, manager: AlertManager, app: MetricsCollector) -> None:
    await ten_minutes(app)
    rule = burn_rate_rules("b", good="good", total="requests", objective=0.9, pairs=[(1, "5m", "1m", "warning")])[0]
    chart = await drawn(site, manager, rule)
    assert at(chart, 0) == pytest.approx(2, rel=0.05)
    assert chart["unit"] is None


async def test_of_many_groups_those_with_alerts_are_drawn_first(
    site: Site, manager: AlertManager, app: MetricsCollector
) -> None:
    manager.add_rule(one("low", "< 5", group_by=("n",)))
    low = app.gauge("low", "L", labels=("n",))
    async with manager:
        for n in range(30):
            low.labels(n).set(1 if n == 20 else 100 + n)
        await asyncio.sleep(30)
        chart = await shown(site, "/api/rules/r/chart")
    names = [line["name"] for line in chart["series"]]
    assert names[:2] == ["20", "29"]
    assert (len(names), chart["more"]) == (10, 20)
    assert [span["state"] for span in chart["spans"]] == ["firing"]


async def test_every_collector_has_its_line(site: Site, manager: AlertManager, registry: MetricsRegistry) -> None:
    for number, name in enumerate(("a", "b")):
        registry.collector(name).set_gauge("queue", number)
    chart = await drawn(site, manager, one("queue", "> 5"))
    assert [line["name"] for line in chart["series"]] == ["a", "b"]
    assert chart["expr"] == "max(kailash_a_queue)\nor max(kailash_b_queue)"


@pytest.mark.parametrize(
    ("rule", "note"),
    [
        (one("nothing", "> 5"), "the metric 'nothing' was not recorded yet"),
        (one("queue", "> 5", collector="other"), "the metric 'queue' of the collector 'other' was not recorded yet"),
        (
            AlertRule("r", "d", "warning", condition="> 5", reading=lambda: 7.0),
            "the rule judges what a function of the program answers, of which no history is kept",
        ),
        (AlertRule("r", "d", "warning", expr="nothing > 5"), "it gives nothing in this time"),
        (
            AlertRule("r", "d", "warning", expr="queue{} * on () group_left () {__name__=~'.+'}"),
            "it gives nothing in this time",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_drawn_says_why(
    site: Site, manager: AlertManager, app: MetricsCollector, rule: AlertRule, note: str
) -> None:
    app.set_gauge("queue", 1)
    chart = await drawn(site, manager, rule)
    assert (chart["series"], chart["note"]) == ([], note)


async def test_what_does_not_fit_or_is_not_whole_says_why(site: Site, manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(one("queue", "p95 > 5"))
    manager.add_rule(AlertRule("s", "d", "warning", "part", "share > 0.5"))
    app.set_gauge("queue", 1)
    app.counter("part", "P", share_of="whole").inc()
    assert "'p95' does not fit a gauge" in (await shown(site, "/api/rules/r/chart"))["note"]
    assert "'whole', which is not there" in (await shown(site, "/api/rules/s/chart"))["note"]


async def test_a_share_of_which_nothing_was_counted_is_none_of_the_whole(
    site: Site, manager: AlertManager, app: MetricsCollector
) -> None:
    whole = app.counter("whole", "W", labels=("region",))
    app.counter("part", "P", share_of="whole", labels=("region",))
    whole.inc("eu")
    await asyncio.sleep(30)
    whole.inc("eu")
    chart = await drawn(site, manager, one("part", "share > 0.5", group_by=("region",)))
    assert [line["name"] for line in chart["series"]] == ["eu"]
    assert at(chart, 0) == 0


async def test_an_alert_on_a_share_of_which_nothing_was_counted_has_a_chart(
    site: Site, manager: AlertManager, app: MetricsCollector
) -> None:
    whole = app.counter("whole", "W", labels=("region",))
    app.counter("part", "P", share_of="whole", labels=("region",))
    manager.add_rule(one("part", "share < 0.5", group_by=("region",), time_window="1m"))
    async with manager:
        for _ in range(12):
            whole.inc("eu")
            await asyncio.sleep(10)
        (alert,) = manager.get_active_alerts()
        chart = await shown(site, f"/api/alerts/{alert.id}/chart", range="300")
    assert (at(chart, 0), chart.get("note")) == (0, None)


async def test_a_counter_of_which_nobody_counted_the_matching_label_is_not_known(
    site: Site, manager: AlertManager, app: MetricsCollector
) -> None:
    app.counter("requests", "R", labels=("region",)).inc("eu")
    chart = await drawn(site, manager, one("requests", "rate > 5", match={"region": "us"}))
    assert set(chart["series"][0]["values"]) == {None}


async def test_a_rule_of_too_many_series_says_so(site: Site, manager: AlertManager, app: MetricsCollector) -> None:
    wait = app.histogram("wait", "W", labels=("n",))
    for n in range(1501):
        wait.labels(n).observe(1.0)
    chart = await drawn(site, manager, one("wait", "p95 > 5"))
    assert chart["note"].startswith("1,501 series are too many to be read for a chart")


@pytest.mark.parametrize("condition", ["> 5", "max > 5"])
async def test_of_hundreds_of_gauges_the_worst_is_drawn(
    site: Site, manager: AlertManager, app: MetricsCollector, condition: str
) -> None:
    queue = app.gauge("queue", "Q", labels=("n",))
    for n in range(300):
        queue.labels(n).set(n)
    chart = await drawn(site, manager, one("queue", condition))
    assert at(chart, 0) == 299


async def test_more_groups_than_lines_have_alerts(site: Site, manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(one("queue", "> 5", group_by=("n",)))
    queue = app.gauge("queue", "Q", labels=("n",))
    async with manager:
        for n in range(600):
            queue.labels(n).set(9 if n < 12 else 1)
        await asyncio.sleep(30)
        chart = await shown(site, "/api/rules/r/chart")
    assert (len(chart["series"]), chart["more"], at(chart, 0, 9)) == (10, 590, 9)


async def test_an_alert_whose_series_are_gone_says_so(site: Site, manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(one("queue", "> 5", group_by=("n",), keep_firing=600))
    queue = app.gauge("queue", "Q", labels=("n",))
    async with manager:
        queue.labels(1).set(9)
        await asyncio.sleep(30)
        (alert,) = manager.get_active_alerts()
        queue.remove(1)
        chart = await shown(site, f"/api/alerts/{alert.id}/chart")
    assert chart["note"] == "nothing is known any more of the series that the alert is about"


async def test_an_expression_of_too_many_series_says_so(site: Site, manager: AlertManager, app: MetricsCollector) -> None:
    many = app.gauge("many", "M", labels=("n",))
    for n in range(2501):
        many.labels(n).set(n)
    chart = await drawn(site, manager, AlertRule("r", "d", "warning", expr="sum(kailash_app_many) > 5"))
    assert chart["note"] == "it reads 2,501 series, too many to be shown over time: 2,500 at most"
    assert chart["expr"] == "sum(kailash_app_many)"


async def test_an_evaluation_that_fails_is_told(site: Site, manager: AlertManager, app: MetricsCollector) -> None:
    gauge = app.gauge("queue", "Q", labels=("n",))
    gauge.labels(1).set(1)
    gauge.labels(2).set(1)
    chart = await drawn(
        site, manager, AlertRule("r", "d", "warning", expr="kailash_app_queue * on () kailash_app_queue > 5")
    )
    assert "found duplicate series" in chart["note"] or "multiple matches" in chart["note"]


def test_an_expression_of_hours_ago_has_no_spikes() -> None:
    """Slots of the history are longer then than the range that is asked for."""
    time = ManualClock()
    registry = MetricsRegistry(clock=time)
    app = registry.collector("app")
    for _ in range(2 * 86_400 // 30):
        time.advance(30)
        app.increment("requests", 3)
    manager = BlockingManager(registry)
    manager.add_rule(AlertRule("r", "d", "warning", expr="rate(kailash_app_requests_total[5m]) > 1"))
    chart = asyncio.run(shown(Site(manager), "/api/rules/r/chart", range="86400"))
    values = [value for value in chart["series"][0]["values"][20:] if value is not None]
    assert len(values) == 220
    assert min(values) > 0.04
    assert max(values) < 0.16


# -- trials


async def test_an_expression_is_tried_with_what_it_compares(site: Site, app: MetricsCollector) -> None:
    disk = app.gauge("disk", "D", labels=("mount",))
    for mount, full in (("/", 95), ("/var", 20), ("/tmp", 99)):
        disk.labels(mount).set(full)
    trial = await shown(site, "/api/try", expr="kailash_app_disk > 90")
    assert (trial["kind"], trial["expr"], trial["total"]) == ("expr", "kailash_app_disk > 90", 3)
    assert [(row["labels"]["mount"], row["value"], row["breaches"]) for row in trial["rows"]] == [
        ("/tmp", 99, True),
        ("/", 95, True),
        ("/var", 20, False),
    ]
    assert trial["chart"]["thresholds"] == [{"severity": "warning", "value": 90}]
    assert trial["chart"]["expr"] == "kailash_app_disk"


async def test_an_expression_without_a_comparison_breaches_with_all_it_gives(site: Site, app: MetricsCollector) -> None:
    app.set_gauge("queue", 3)
    trial = await shown(site, "/api/try", expr="kailash_app_queue")
    assert [(row["value"], row["breaches"]) for row in trial["rows"]] == [(3, True)]
    assert trial["chart"]["thresholds"] == []


async def test_a_scalar_is_tried_as_one_row(site: Site) -> None:
    trial = await shown(site, "/api/try", expr="1 + 1")
    assert trial["rows"] == [{"labels": {}, "value": 2, "breaches": True}]


async def test_of_many_rows_a_hundred_are_given(site: Site, app: MetricsCollector) -> None:
    many = app.gauge("many", "M", labels=("n",))
    for n in range(150):
        many.labels(n).set(n)
    trial = await shown(site, "/api/try", expr="kailash_app_many")
    assert (len(trial["rows"]), trial["total"], trial["rows"][0]["value"]) == (100, 150, 149)


async def test_the_chart_of_a_rule_does_not_wait_for_what_somebody_tries(
    site: Site, manager: AlertManager, app: MetricsCollector
) -> None:
    app.set_gauge("queue", 1)
    endless = [asyncio.create_task(ask(site, "/api/try", expr="sum_over_time(vector(1)[24h:1ms])")) for _ in range(3)]
    await asyncio.sleep(0)
    chart = await drawn(site, manager, one("queue", "> 5"))
    assert at(chart, 0) == 1
    assert not any(trial.done() for trial in endless)
    for trial in endless:
        trial.cancel()
    await asyncio.wait(endless)


async def test_a_condition_is_tried_in_every_collector(site: Site, registry: MetricsRegistry) -> None:
    registry.collector("a").set_gauge("queue", 3)
    registry.collector("b").set_gauge("queue", 9)
    trial = await shown(site, "/api/try", metric="queue", condition=">", threshold="5", range="300")
    assert trial["kind"] == "condition"
    assert trial["rows"] == [
        {"labels": {"collector": "b"}, "value": 9, "breaches": True},
        {"labels": {"collector": "a"}, "value": 3, "breaches": False},
    ]
    assert trial["chart"]["thresholds"] == [{"severity": "warning", "value": 5}]
    narrowed = await shown(site, "/api/try", metric="queue", condition="> 5", collector="a", window="1m")
    assert [row["labels"] for row in narrowed["rows"]] == [{"collector": "a"}]


async def test_what_is_but_a_lower_bound_breaches_or_is_not_known(site: Site, app: MetricsCollector) -> None:
    await asyncio.sleep(10)
    app.increment("requests", 7)
    trial = await shown(site, "/api/try", metric="requests", condition="increase > 100", window="1h")
    assert [(row["value"], row["breaches"]) for row in trial["rows"]] == [(7, None)]


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({}, "expr", "nothing to try"),
        ({"expr": "up >"}, "expr", "1:5: parse error: unexpected end of input"),
        ({"expr": "up[5m]"}, "expr", "rule result is not a vector or scalar"),
        ({"expr": "rate(up[1m - 1m])"}, "expr", "duration must be greater than 0"),
        ({"expr": "'text'"}, "expr", "rule result is not a vector or scalar"),
        ({"expr": "up", "metric": "queue"}, "metric", "metric beside expr"),
        ({"metric": "queue"}, "condition", "the condition ''"),
        ({"metric": "queue", "condition": ">"}, "threshold", "no number in the condition"),
        ({"metric": "queue", "condition": "> 5", "threshold": "much"}, "threshold", "a finite number"),
        ({"metric": "queue", "condition": "> 5", "threshold": "inf"}, "threshold", "a finite number"),
        ({"metric": "queue", "condition": "p95 > 5"}, "condition", "does not fit a gauge"),
        ({"metric": "queue", "condition": "> 5", "window": "long"}, "time_window", "long"),
        ({"metric": "nothing", "condition": "> 5"}, "metric", "'nothing', which is not there"),
        ({"condition": "> 5"}, "metric_name", "the metric name ''"),
        ({"expr": "kailash_app_queue * on () kailash_app_twice"}, "expr", "multiple matches"),
        ({"expr": "up", "colour": "red"}, "colour", "the unknown parameter"),
    ],
)
async def test_what_cannot_be_tried_says_where(
    site: Site, app: MetricsCollector, query: dict[str, str], field: str, says: str
) -> None:
    app.set_gauge("queue", 1)
    twice = app.gauge("twice", "T", labels=("n",))
    twice.labels(1).set(1)
    twice.labels(2).set(1)
    status, document = await ask(site, "/api/try", **query)
    assert (status, document["field"]) == (400, field)
    assert says in document["error"] or "found duplicate series" in document["error"]


async def test_where_there_is_nothing_to_judge_nothing_breaches(site: Site, app: MetricsCollector) -> None:
    app.histogram("wait", "W").observe(3.0)
    await asyncio.sleep(400)
    app.gauge("queue", "Q").labels()
    trial = await shown(site, "/api/try", metric="wait", condition="p95 > 5", window="1m")
    assert [(row["value"], row["breaches"]) for row in trial["rows"]] == [(None, False)]
    unset = await shown(site, "/api/try", metric="queue", condition="> 5")
    assert [(row["value"], row["breaches"]) for row in unset["rows"]] == [(None, None)]


async def test_a_metric_whose_callback_fails_cannot_be_tried(site: Site, app: MetricsCollector) -> None:
    def broken() -> float:
        raise OSError("gone")

    app.callback_gauge("queue", broken)
    status, document = await ask(site, "/api/try", metric="queue", condition="> 5")
    assert (status, document["field"]) == (400, "metric")
    assert "OSError: gone" in document["error"]


@pytest.mark.parametrize("window", ["1s", "5m", "3650d"])
async def test_a_window_may_be_as_long_as_one_likes(site: Site, app: MetricsCollector, window: str) -> None:
    app.timer("wait", "W").observe(3.0)
    trial = await shown(site, "/api/try", metric="wait", condition="p95 > 5", window=window, range="300")
    assert at(trial["chart"], 0) == pytest.approx(3, rel=0.022)


# -- documents


def test_numbers_are_told_as_they_can_be_drawn() -> None:
    assert rounded(1234567.891) == 1234570
    assert rounded(0.000123456789) == 0.000123457
    assert [rounded(value) for value in (None, float("nan"), float("inf"), -float("inf"), 0.0)] == [
        None,
        None,
        None,
        None,
        0,
    ]


def test_where_many_series_are_read_there_are_fewer_points() -> None:
    assert points_for(0) == points_for(1) == MOST_POINTS
    assert points_for(1000) == 120
    assert points_for(10**6) == LEAST_POINTS


def test_spans_go_from_pending_to_firing_to_the_end() -> None:
    created, fired, resolved = (datetime.fromisoformat(f"2026-01-01T12:0{minute}:00+00:00") for minute in (0, 1, 5))

    def alert(created: datetime | None, fired: datetime | None = None, resolved: datetime | None = None) -> Alert:
        return Alert("a", "a", AlertSeverity.WARNING, "t", "d", created_at=created, fired_at=fired, resolved_at=resolved)

    start = created.timestamp()
    assert spans_of([alert(created)]) == [Span("pending", start, None)]
    assert spans_of([alert(created, None, resolved)]) == [Span("pending", start, start + 300)]
    assert spans_of([alert(created, created)]) == [Span("firing", start, None)]
    assert spans_of([alert(created, fired, resolved)]) == [
        Span("firing", start + 60, start + 300),
        Span("pending", start, start + 60),
    ]
    assert spans_of([alert(None)]) == []


def test_a_chart_shows_only_the_spans_of_its_time() -> None:
    chart = Chart.empty("t", "nothing", end=1000.0, span=300.0)
    spans = [Span("firing", 100.0, 200.0), Span("firing", 600.0, 800.0), Span("firing", 100.0, None)]
    assert chart.marked((), spans).spans == spans[1:]
