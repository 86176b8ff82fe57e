"""Reading expressions: what a rule reads, in PromQL, whether or not it breaches."""

import pytest

from kailash_monitor.alerts import AlertRule
from kailash_monitor.engine.exported import exported_metrics
from kailash_monitor.errors import RuleError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.promql import parse
from kailash_monitor.rules import burn_rate_rules
from kailash_monitor.rules.export import alerting_rules
from kailash_monitor.rules.expressions import ExportedMetric
from kailash_monitor.rules.reading_expression import compared, reading_expression
from kailash_monitor.testing import ManualClock


@pytest.fixture
def known() -> list[ExportedMetric]:
    registry = MetricsRegistry("", clock=ManualClock())
    app = registry.collector("app")
    app.counter("requests", "R", labels=("region",))
    app.counter("failures", "F", share_of="requests", labels=("region",))
    app.gauge("queue", "Q", labels=("region",))
    app.timer("wait", "W")
    registry.collector("other").gauge("queue", "Q", labels=("region",))
    return exported_metrics(registry.snapshot())


def rule(metric: str, condition: str, **more: object) -> AlertRule:
    given = {"collector": "app", **more}
    return AlertRule("r", "", "warning", metric, condition, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metric", "condition", "more", "expected"),
    [
        ("queue", "> 5", {}, "max(app_queue)"),
        ("queue", "< 5", {}, "min(app_queue)"),
        ("queue", "== 5", {}, "max(app_queue)"),
        ("queue", "avg > 5", {"group_by": ("region",)}, "max by (region) (avg_over_time(app_queue[5m]))"),
        ("queue", "> 5", {"no_data": "alert"}, "max(app_queue)"),
        ("queue", "> 5", {"match": {"region": "eu"}}, 'max(app_queue{region="eu"})'),
        ("requests", "rate > 5", {"time_window": "1m"}, "sum(rate(app_requests_total[1m]))"),
        ("requests", "increase < 1", {"match": {"region": "eu"}}, 'sum(increase(app_requests_total{region="eu"}[5m]))'),
        ("requests", "latest > 5", {}, "sum(app_requests_total)"),
        ("wait", "avg > 500", {}, "sum(rate(app_wait_seconds_sum[5m])) / sum(rate(app_wait_seconds_count[5m]))"),
        ("wait", "p95 > 500", {}, "histogram_quantile(0.95, sum by (le) (rate(app_wait_seconds_bucket[5m])))"),
        ("wait", "p95 > 1e9", {}, "histogram_quantile(0.95, sum by (le) (rate(app_wait_seconds_bucket[5m])))"),
        (
            "failures",
            "share > 0.1",
            {},
            "(sum(rate(app_failures_total[5m])) or sum(rate(app_requests_total[5m])) * 0) / sum(rate(app_requests_total[5m]))",
        ),
    ],
)
def test_a_condition_reads(
    known: list[ExportedMetric], metric: str, condition: str, more: dict[str, object], expected: str
) -> None:
    found = reading_expression(rule(metric, condition, **more), known)
    assert found == expected
    parse(expected)


def test_a_breach_is_what_is_read_and_a_comparison(known: list[ExportedMetric]) -> None:
    one = rule("wait", "avg > 500")
    (exported,) = alerting_rules(one, known, per=())
    assert exported.expr == f"{reading_expression(one, known)} > 0.5"


def test_one_alert_is_narrowed_to_its_group(known: list[ExportedMetric]) -> None:
    one = rule("queue", "> 5", group_by=("region",), match={"region": "eu"})
    assert reading_expression(one, known, Labels({"region": 'a"b'})) == 'max by (region) (app_queue{region="a\\"b"})'


def test_every_collector_is_read(known: list[ExportedMetric]) -> None:
    assert reading_expression(rule("queue", "> 5", collector=None), known) == "max(app_queue)\nor max(other_queue)"


def test_a_burn_rate_reads_the_smaller_of_two(known: list[ExportedMetric]) -> None:
    one = burn_rate_rules("b", good="failures", total="requests", objective=0.9, pairs=[(6, "1h", "5m", "warning")])[0]
    found = reading_expression(one, known)
    assert found is not None
    parse(found)
    assert found.startswith("((1 - (sum(rate(app_failures_total[1h]))")
    assert "\nor (1 - (sum(rate(app_failures_total[5m]))" in found


def test_what_only_the_program_can_answer_is_none(known: list[ExportedMetric]) -> None:
    assert reading_expression(AlertRule("r", "", "warning", condition="> 5", reading=lambda: 7.0), known) is None


@pytest.mark.parametrize(
    ("metric", "condition", "says"),
    [
        ("nothing", "> 5", "'nothing', which is not known"),
        ("queue", "count > 5", "pages do not tell how often a gauge was set"),
        ("wait", "latest > 5", "pages do not tell the last observation"),
        ("queue", "p95 > 5", "does not fit a gauge"),
    ],
)
def test_what_pages_do_not_tell_is_refused(known: list[ExportedMetric], metric: str, condition: str, says: str) -> None:
    with pytest.raises(RuleError, match=says):
        reading_expression(rule(metric, condition), known)


@pytest.mark.parametrize(
    ("text", "reads", "comparator", "threshold"),
    [
        ("up == 0", "up", "==", 0),
        ("rate(a[5m]) > 5", "rate(a[5m])", ">", 5),
        ("(rate(a[5m])) > (5)", "rate(a[5m])", ">", 5),
        ("5 < a", "a", ">", 5),
        ("-5 >= a", "a", "<=", -5),
        ("a > -(5)", "a", ">", -5),
        ("(a > 5)", "a", ">", 5),
        ("a > 5 and on () b > 1", "a", ">", 5),
        ("a > 5 unless b", "a", ">", 5),
        ("sum by (x) (a) / b * 100 > 5", "sum by (x) (a) / b * 100", ">", 5),
        ("a > b", "a > b", "", None),
        ("a > 5 or b > 5", "a > 5 or b > 5", "", None),
        ("a > bool 5", "a > bool 5", "", None),
        ("absent(a)", "absent(a)", "", None),
        ("sum(a > 5)", "sum(a > 5)", "", None),
        ("1 + 1", "1 + 1", "", None),
    ],
)
def test_an_expression_reads_what_it_compares_with_a_number(
    text: str, reads: str, comparator: str, threshold: float | None
) -> None:
    found = compared(parse(text))
    assert (found.text, found.comparator, found.threshold) == (reads, comparator, threshold)
    assert found.wants_high is (comparator not in ("<", "<="))


def test_a_rule_that_is_an_expression_reads_its_side(known: list[ExportedMetric]) -> None:
    assert reading_expression(AlertRule("r", "", "warning", expr="app_queue > 5"), known, NO_LABELS) == "app_queue"
