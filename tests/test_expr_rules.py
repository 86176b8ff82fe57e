"""Rules whose expression is PromQL: each series that it gives is an alert, over metrics as they live."""

import asyncio
import math
from collections.abc import Mapping

import pytest

from kailash_monitor.alerts import Alert, AlertManager, AlertRule
from kailash_monitor.errors import RuleError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.promql import EvaluationError
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.samples import Vector
from kailash_monitor.rules import RuleQuery
from kailash_monitor.rules.document import document_of, rule_of
from kailash_monitor.testing import Simulator, VirtualClock


def rule(expr: str, name: str = "r", severity: str = "warning", **parameters: object) -> AlertRule:
    return AlertRule(name, "", severity, expr=expr, **parameters)  # type: ignore[arg-type]


def test_each_series_that_it_gives_is_an_alert_with_its_labels() -> None:
    sim = Simulator(rule("kailash_app_depth > 5"))
    for queue, depth in (("a", 9.0), ("b", 3.0), ("c", 7.0)):
        sim.set("depth", depth, labels={"queue": queue})
    sim.advance("10s")
    alerts = sim.manager.get_active_alerts()
    assert {(alert.id, alert.value) for alert in alerts} == {('r_promql{queue="a"}', 9.0), ('r_promql{queue="c"}', 7.0)}
    assert {alert.labels["queue"] for alert in alerts} == {"a", "c"}


def test_what_it_gives_no_more_is_over() -> None:
    sim = Simulator(rule("kailash_app_depth > 5"))
    sim.set("depth", 9)
    sim.advance("10s")
    sim.set("depth", 1)
    sim.advance("10s")
    assert sim.told() == ["firing", "resolved"]


def test_hold_and_keep_firing_count_as_in_prometheus() -> None:
    sim = Simulator(rule("kailash_app_depth > 5", hold="1m", keep_firing="2m"))
    sim.set("depth", 9)
    sim.advance("50s")
    assert sim.told() == []
    sim.advance("20s")
    assert sim.told() == ["firing"]
    sim.set("depth", 1)
    sim.advance("110s")
    assert sim.told() == ["firing"]
    sim.advance("30s")
    assert sim.told() == ["firing", "resolved"]


def test_increments_are_counted_from_the_first_on_without_extrapolation() -> None:
    sim = Simulator(rule("increase(kailash_app_jobs_total[5m]) >= 3", evaluation_interval="1s"))
    sim.inc("jobs", 2)
    sim.advance("5s")
    assert sim.manager.get_active_alerts() == []
    sim.inc("jobs")
    sim.advance("2s")
    (alert,) = sim.manager.get_active_alerts()
    assert alert.value == 3.0


def test_classic_buckets_of_a_timer_give_quantiles_in_seconds() -> None:
    sim = Simulator(rule("histogram_quantile(0.9, sum by (le) (rate(kailash_app_wait_seconds_bucket[1m]))) > 0.2"))
    for _ in range(20):
        sim.observe("wait", 400.0)
    sim.advance("10s")
    (alert,) = sim.manager.get_active_alerts()
    assert 0.25 < (alert.value or 0) <= 0.5


def test_a_value_that_is_no_number_is_an_alert_without_a_value() -> None:
    sim = Simulator(rule("kailash_app_depth / 0 * 0"))
    sim.set("depth", 1)
    sim.advance("10s")
    (alert,) = sim.manager.get_active_alerts()
    assert alert.value is None


def test_a_scalar_is_one_series_without_labels() -> None:
    sim = Simulator(rule("vector(1) > 0"), rule("time()", name="s"))
    sim.advance("10s")
    assert sorted(alert.id for alert in sim.manager.get_active_alerts()) == ["r_promql", "s_promql"]


def test_labels_and_annotations_are_templates() -> None:
    sim = Simulator(
        rule(
            "kailash_app_depth > 5",
            labels={"place": "queue {{ $labels.queue }}", "none": "{{ $labels.nothing }}"},
            annotations={"summary": "{{ $labels.queue }} has {{ $value }}", "more": "{{ template }}"[:0] + "plain"},
        )
    )
    sim.set("depth", 9, labels={"queue": "a"})
    sim.advance("10s")
    (alert,) = sim.manager.get_active_alerts()
    assert alert.title == "a has 9"
    assert alert.labels == {"queue": "a", "place": "queue a"}
    assert alert.annotations == {"summary": "a has 9", "more": "plain"}


def test_annotations_are_those_of_now() -> None:
    sim = Simulator(rule("kailash_app_depth > 5", annotations={"summary": "at {{ $value }}"}))
    for depth in (9, 12):
        sim.set("depth", depth)
        sim.advance("10s")
        (alert,) = sim.manager.get_active_alerts()
        assert (alert.title, alert.incident) == (f"at {depth}", 1)


def test_a_label_that_changes_makes_another_alert() -> None:
    sim = Simulator(rule("kailash_app_depth > 5", labels={"size": "{{ if gt $value 10.0 }}large{{ else }}small{{ end }}"}))
    sim.set("depth", 9)
    sim.advance("10s")
    sim.set("depth", 12)
    sim.advance("10s")
    assert [alert.id for alert in sim.manager.get_active_alerts()] == ['r_promql{size="large"}']
    assert sim.told() == ["firing", "resolved", "firing"]


def test_labels_that_every_alert_of_the_rule_has_do_not_tell_them_apart() -> None:
    sim = Simulator(rule("kailash_app_depth > 5", labels={"team": "web", "queue": "all"}))
    sim.set("depth", 9, labels={"queue": "a"})
    sim.advance("10s")
    (alert,) = sim.manager.get_active_alerts()
    assert (alert.id, alert.labels) == ("r_promql", {"queue": "all", "team": "web"})
    sim.set("depth", 9, labels={"queue": "b"})
    sim.advance("10s")
    (status,) = sim.manager.rule_status()
    assert status.error == "promql: vector contains metrics with the same labelset after applying alert labels"


def test_templates_can_ask_and_what_they_ask_may_depend_on_an_answer() -> None:
    ask = '{{ with query "kailash_app_depth" }}{{ $v := . | first | value }}'
    ask += '{{ with query (printf "kailash_app_depth + %g" $v) }}{{ . | first | value }}{{ end }}{{ end }}'
    sim = Simulator(rule("kailash_app_depth > 5", annotations={"summary": ask, "wrong": '{{ query "1 +" }}'}))
    sim.set("depth", 9)
    sim.advance("10s")
    (alert,) = sim.manager.get_active_alerts()
    assert alert.title == "18"
    assert alert.annotations["wrong"].startswith("<error expanding template: error executing template __alert_r: ")


def test_series_that_differ_in_their_names_alone_are_an_error_and_resolve_nothing() -> None:
    sim = Simulator(rule('{__name__=~"kailash_app_(depth|length)"} > 5'))
    sim.set("depth", 9)
    sim.advance("10s")
    sim.set("length", 9)
    sim.advance("10s")
    (status,) = sim.manager.rule_status()
    assert status.error == "promql: vector contains metrics with the same labelset after applying alert labels"
    assert sim.told() == ["firing"]


def test_a_metric_without_numbers_is_an_error_of_the_data_and_resolves_nothing() -> None:
    answers: list[float | None] = [9.0]

    def depth() -> float | None:
        if not answers:
            raise ConnectionError("the broker is away")
        return answers[-1]

    sim = Simulator(rule("kailash_app_broker_depth > 5"), rule("vector(1) == 0", name="other"))
    sim.registry.collector("app").callback_gauge("broker_depth", depth)
    sim.advance("10s")
    assert sim.told() == ["firing"]
    answers.clear()
    sim.advance("20s")
    status = sim.manager.rule_status()[0]
    assert "the broker is away" in (status.error or "")
    assert sim.told() == ["firing"]
    assert sim.manager.rule_status()[1].error is None
    answers.append(1.0)
    sim.advance("20s")
    assert sim.told() == ["firing", "resolved"]


def test_max_alerts_counts_the_rest() -> None:
    sim = Simulator(rule("kailash_app_depth > 5", max_alerts=2))
    for queue in "abcde":
        sim.set("depth", 9, labels={"queue": queue})
    sim.advance("10s")
    alerts = {alert.id: alert.value for alert in sim.manager.get_active_alerts()}
    assert len(alerts) == 3
    assert alerts['r_promql{overflow="true"}'] == 3.0


def test_a_series_that_is_called_as_the_alert_for_the_rest_is_one_of_them() -> None:
    sim = Simulator(rule("kailash_app_depth > 5", max_alerts=1, labels={"overflow": "{{ $labels.queue }}", "queue": "x"}))
    for queue, depth in (("true", 9), ("b", 8), ("c", 8)):
        sim.set("depth", depth, labels={"queue": queue})
    sim.advance("10s")
    alerts = {alert.id: alert.value for alert in sim.manager.get_active_alerts()}
    assert alerts['r_promql{overflow="true"}'] == 2.0
    sim.set("depth", 1, labels={"queue": "b"})
    sim.set("depth", 1, labels={"queue": "c"})
    sim.advance("10s")
    assert {alert.id: alert.value for alert in sim.manager.get_active_alerts()}['r_promql{overflow="true"}'] == 1.0


def test_the_extremes_of_a_gauge_are_seen_in_a_window_that_has_ended() -> None:
    sim = Simulator(rule("max_over_time(kailash_app_depth[10m] offset 5s) > 100", evaluation_interval="1s"))
    sim.set("depth", 1000)
    sim.advance("3s")
    sim.set("depth", 1)
    sim.advance("20s")
    (alert,) = sim.manager.get_active_alerts()
    assert alert.value == 1000.0


def test_an_incident_and_what_is_said_of_it_outlive_a_restart() -> None:
    """Its metrics may take a while to come back: for five minutes nothing is taken for well."""
    sim = Simulator(rule("kailash_app_depth > 5", annotations={"summary": "at {{ $value }}"}), with_store=True)
    sim.set("depth", 9)
    sim.advance("10s")
    sim.restart(down="5s")
    (alert,) = sim.manager.get_active_alerts()
    assert (alert.title, alert.annotations) == ("at 9", {"summary": "at 9"})
    sim.set("depth", 1)
    sim.advance("4m")
    assert sim.told() == ["firing"]
    sim.advance("2m")
    assert sim.told() == ["firing", "resolved"]


def test_a_window_that_the_restart_has_cut_proves_nothing_before_it_is_covered_again() -> None:
    sim = Simulator(rule("increase(kailash_app_jobs_total[1h]) > 50"), with_store=True)
    for _ in range(60):
        sim.inc("jobs")
        sim.advance("1s")
    assert sim.told() == ["firing"]
    sim.restart(killed=True, checkpoint=False)
    sim.advance("59m")
    assert "resolved" not in sim.told()
    sim.advance("2m")
    assert sim.told()[-1] == "resolved"


@pytest.mark.parametrize(
    ("expr", "reach"),
    [
        ("up", 300),
        ("up offset 1h", 3600),
        ("rate(x[1h] offset 5m)", 3900),
        ("max_over_time(rate(x[5m])[1h:1m] offset 10m) + up", 4500),
    ],
)
def test_an_expression_knows_how_far_it_looks_back(expr: str, reach: float) -> None:
    assert RuleQuery(expr).reach == reach
    assert RuleQuery(expr, 60.0).reach == reach + 60


def test_it_is_written_down_and_read_again() -> None:
    one = AlertRule("r", "", "critical", expr=RuleQuery("up == 0", 5.0), labels={"a": "b"}, annotations={"summary": "s"})
    assert rule_of(document_of(one)) == one


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"condition": "> 5"}, "condition beside expr="),
        ({"threshold": 0.0}, "threshold beside expr="),
        ({"levels": {"warning": 1, "critical": 2}}, "levels beside expr="),
        ({"metric_name": "depth"}, "metric_name beside expr="),
        ({"group_by": ("a",)}, "group_by beside expr="),
        ({"match": {"a": "b"}}, "match beside expr="),
        ({"collector": "app"}, "collector beside expr="),
        ({"no_data": "ok"}, "no_data beside expr="),
        ({"on_write": True}, "on_write beside expr="),
        ({"time_window": "1m"}, "time_window beside expr="),
        ({"reading": lambda: 1.0}, "reading beside expr="),
        ({"annotations": {"summary": "{{ if }}"}}, "annotations.summary: template: alert:1: missing value for if"),
        ({"labels": {"a": "{{ nothing }}"}}, 'labels.a: template: alert:1: function "nothing" not defined'),
        ({"expr": "sum("}, "1:5: parse error: unclosed left parenthesis"),
        ({"expr": "up[5m]"}, "1:1: parse error: rule result is not a vector or scalar"),
        ({"expr": '"text"'}, "rule result is not a vector or scalar"),
        ({"expr": 5}, "expr = 5; a PromQL expression as a text"),
    ],
)
def test_what_cannot_stand_beside_an_expression_is_said(parameters: dict[str, object], told: str) -> None:
    given = {"expr": "up == 0", **parameters}
    with pytest.raises(RuleError) as caught:
        AlertRule("r", "", "warning", **given)  # type: ignore[arg-type]
    assert told in str(caught.value)


def test_the_place_of_an_error_is_shown() -> None:
    with pytest.raises(RuleError, match="parse error") as caught:
        rule("sum(up) by (a,, b)")
    assert "^" in str(caught.value)


async def test_many_expressions_hold_nobody_up(clock: VirtualClock) -> None:
    """Each is judged once an interval, on one loop, one after the other."""
    registry = MetricsRegistry(clock=clock)
    gauge = registry.collector("app").gauge("depth", labels=("queue",))
    for queue in range(100):
        gauge.set(float(queue), queue)
    told: list[str] = []

    def pager(alert: Alert, context: Mapping[str, object]) -> None:
        told.append(alert.id)

    manager = AlertManager(registry)
    manager.add_notification_channel(pager)
    for number in range(30):
        manager.add_rule(rule(f"max(kailash_app_depth) > {number + 80}", name=f"r{number}"))
    async with manager:
        await asyncio.sleep(15)
        assert sorted(told) == sorted(f"r{number}_promql" for number in range(19))
        assert all(status.evaluations in (2, 3) and not status.late for status in manager.rule_status())


class Elsewhere:
    """Somebody else who evaluates expressions."""

    def __init__(self) -> None:
        self.answer: Vector | Exception = []
        self.asked: list[RuleQuery] = []

    async def vector(self, query: RuleQuery) -> Vector:
        self.asked.append(query)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_whoever_evaluates_the_alerts_are_the_same(clock: VirtualClock) -> None:
    elsewhere = Elsewhere()
    manager = AlertManager(MetricsRegistry(clock=clock), queries=elsewhere)
    manager.add_rule(rule("up == 0", hold=0))
    async with manager:
        elsewhere.answer = [(LabelSet({"__name__": "up", "job": "a"}), 0.0), (LabelSet({"job": "b"}), math.inf)]
        await asyncio.sleep(11)
        assert [alert.id for alert in manager.get_active_alerts()] == ['r_promql{job="a"}', 'r_promql{job="b"}']
        elsewhere.answer = EvaluationError("the store is away")
        await asyncio.sleep(10)
        assert len(manager.get_active_alerts()) == 2
        assert manager.rule_status()[0].error == "promql: the store is away"
        elsewhere.answer = []
        await asyncio.sleep(10)
        assert manager.get_active_alerts() == []
    assert {query.text for query in elsewhere.asked} == {"up == 0"}


async def test_an_answer_that_never_comes_is_an_error(clock: VirtualClock) -> None:
    class Never:
        async def vector(self, query: RuleQuery) -> Vector:
            await asyncio.Event().wait()
            raise AssertionError

    manager = AlertManager(MetricsRegistry(clock=clock), queries=Never())
    manager.add_rule(rule("up == 0"))
    async with manager:
        await asyncio.sleep(11)
        assert manager.rule_status()[0].error == "promql: TimeoutError: no answer within 5 s"
