"""Rules and conditions: what is accepted, and what a refusal says."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.errors import RuleError
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import (
    AlertRule,
    BurnRate,
    Condition,
    Flapping,
    NoData,
    create_default_alert_rules,
    create_host_alert_rules,
)


def rule(**changes: object) -> AlertRule:
    given = {"name": "r", "description": "d", "severity": "warning", "metric_name": "m", "condition": "> 5", **changes}
    return AlertRule(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "threshold", "word", "comparator", "number"),
    [
        ("> 5", None, "", ">", 5),
        (">5", 5, "", ">", 5),
        ("rate <", 0.95, "rate", "<", 0.95),
        ("  avg  >=  1e3 ", 1000, "avg", ">=", 1000),
        ("p99.9 != -2", None, "p99.9", "!=", -2),
        ("== 0", 0, "", "==", 0),
        ("latest <= 0.0", None, "latest", "<=", 0),
    ],
)
def test_conditions(text: str, threshold: float | None, word: str, comparator: str, number: float) -> None:
    condition = Condition.parse(text, threshold, where="rule")
    assert (condition.word, condition.comparator, condition.threshold) == (word, comparator, number)
    assert Condition.parse(str(condition), None, where="rule") == condition


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"name": " "}, "name", "rule: the name ' '; a rule needs a name of its own"),
        ({"name": "a\nb"}, "name", r"rule 'a\\nb': a control character in the name; a name is one line of text"),
        ({"name": "a\x1b[2J"}, "name", "a control character in the name"),
        ({"metric_name": ""}, "metric_name", "rule 'r': the metric name ''; name the metric to judge"),
        ({"condition": "avg >> 3"}, "condition", "the condition 'avg >> 3'; write"),
        ({"condition": "5"}, "condition", r"the condition '5'; write '\[word\] comparator \[number\]'"),
        ({"condition": 5}, "condition", "the condition 5; write"),
        ({"condition": "mean > 5"}, "condition", "the unknown word 'mean' in the condition 'mean > 5'; use one of rate, per_second"),
        ({"condition": "p101 > 5"}, "condition", "the percentile 'p101'; p0 to p100"),
        ({"condition": "> five"}, "condition", "'five' in the condition '> five'; a finite number"),
        ({"condition": "> nan"}, "condition", "'nan' in the condition"),
        ({"condition": "> 5", "threshold": 4}, "threshold", "the threshold 4 beside the condition '> 5'; both must say the same"),
        ({"condition": ">"}, "threshold", "no number in the condition '>' and no threshold; give one"),
        ({"threshold": float("inf")}, "threshold", "the threshold inf; a finite number"),
        ({"threshold": "5"}, "threshold", "the threshold '5'"),
        ({"severity": "loud"}, "severity", "the severity 'loud'; use one of info, warning, error, critical"),
        ({"evaluation_interval": -1}, "evaluation_interval", "evaluation_interval = -1; a duration above zero"),
        ({"evaluation_interval": 0}, "evaluation_interval", "a duration above zero"),
        ({"evaluation_interval": 1e-12}, "evaluation_interval", "evaluation_interval = 1e-12; a duration of 10ms at least"),
        ({"evaluation_interval": True}, "evaluation_interval", "evaluation_interval True is not a duration"),
        ({"hold": True}, "hold", "hold True is not a duration"),
        ({"time_window": "soon"}, "time_window", "time_window 'soon' is not a duration"),
        ({"hold": "-5s"}, "hold", "hold = '-5s'; a duration not negative"),
        ({"labels": {"a-b": "x"}}, "labels", "the label name 'a-b' in labels"),
        ({"match": {"__x": "x"}}, "match", "the label name '__x' in match"),
        ({"group_by": "path"}, "group_by", r"group_by = 'path'; a list: \['path'\]"),
        ({"group_by": ["a-b"]}, "group_by", "the label name 'a-b'"),
        ({"group_by": 5}, "group_by", "group_by = 5; a list of label names"),
        ({"labels": ["x"]}, "labels", r"labels = \['x'\]; a dictionary of names and texts"),
        ({"match": "x"}, "match", "match = 'x'; a dictionary of names and texts"),
        ({"annotations": 5}, "annotations", "annotations = 5; a dictionary of names and texts"),
        ({"clear": 6}, "clear", "clear = 6 beside '> 5'; a number below the threshold"),
        ({"condition": "< 5", "clear": 4}, "clear", "a number above the threshold"),
        ({"condition": "== 5", "clear": 4}, "clear", "only > >= < <= recover so"),
        ({"clear": "4"}, "clear", "'4' in clear; a finite number"),
        ({"clear": float("nan")}, "clear", "nan in clear; a finite number"),
        ({"severity": None}, "severity", "rule 'r': no severity; use one of info, warning, error, critical"),
        ({"description": None}, "description", "description = None; a text"),
        ({"metric_name": 5}, "metric_name", "metric_name = 5; a text"),
        ({"enabled": "no"}, "enabled", "enabled = 'no'; True or False"),
        ({"collector": 5}, "collector", "collector = 5; the name of a collector"),
        ({"annotations": {"a": 5}}, "annotations", "'a': 5 in annotations; a dictionary of names and texts"),
        ({"group_by": ["a", "a"]}, "group_by", "the label 'a' twice in group_by; each of them once"),
        ({"no_data": "maybe"}, "no_data", "no_data = 'maybe'; use one of keep, alert, ok"),
        ({"max_alerts": 0, "group_by": ["a"]}, "max_alerts", "max_alerts = 0; a whole number, 1 at least"),
        ({"max_alerts": True, "group_by": ["a"]}, "max_alerts", "max_alerts = True; a whole number"),
        ({"max_alerts": 5}, "max_alerts", "max_alerts without group_by; such a rule has one alert in each collector"),
        ({"on_write": 1}, "on_write", "on_write = 1; True or False"),
        ({"flapping": 5}, "flapping", r"flapping = 5; how many changes in what time are too many: \(6, '1h'\)"),
        ({"flapping": {"changes": 5}}, "flapping", "how many changes in what time"),
        ({"flapping": (1, "1h")}, "flapping", "rule 'r': flapping with 1 changes; a whole number, 2 at least"),
        ({"flapping": (2.5, "1h")}, "flapping", "2.5 changes; a whole number"),
        ({"flapping": (5, 0)}, "flapping", "flapping = 0; a duration above zero"),
        ({"flapping": (5, "soon")}, "flapping", "flapping 'soon' is not a duration"),
        ({"timeout": "1s"}, "timeout", "a timeout without reading=; leave it out"),
        ({"timeout": 0}, "timeout", "timeout = 0; a duration above zero"),
    ],
)  # fmt: skip
def test_a_wrong_rule_says_what_was_seen_and_what_is_right(changes: dict[str, object], field: str, message: str) -> None:
    with pytest.raises(RuleError, match=message) as refused:
        rule(**changes)
    assert refused.value.field == field


def depth() -> float:
    return 3.0


async def depth_later() -> float:
    return 3.0


class Depth:
    async def __call__(self) -> float:
        return 3.0


def asking(reading: object = depth, **changes: object) -> AlertRule:
    return rule(**{"metric_name": "", "reading": reading, **changes})


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"metric_name": "m"}, "metric_name", "metric_name beside reading=; it speaks of metrics, and the answer is judged"),
        ({"collector": "c"}, "collector", "collector beside reading="),
        ({"match": {"a": "b"}}, "match", "match beside reading="),
        ({"time_window": "1m"}, "time_window", "time_window beside reading="),
        ({"on_write": True}, "on_write", "on_write beside reading="),
        ({"condition": "avg > 5"}, "condition", "the word 'avg' in the condition 'avg > 5'; an answer has no history; write '>'"),
        ({"reading": 5}, "reading", "reading = 5; a function without arguments, itself and not its answer"),
        ({"reading": lambda queue: 1}, "reading", "a reading with missing a required argument: 'queue'; a function without"),
        ({"timeout": 0}, "timeout", "timeout = 0; a duration above zero"),
    ],
)  # fmt: skip
def test_a_wrong_reading_says_what_was_seen_and_what_is_right(changes: dict[str, object], field: str, message: str) -> None:
    with pytest.raises(RuleError, match=message) as refused:
        asking(**changes)
    assert refused.value.field == field


def test_a_reading_stands_in_place_of_a_metric_and_has_five_seconds() -> None:
    assert (asking().reading, asking().timeout, asking().metrics) == (depth, 5, ())
    assert asking(timeout="2s", max_alerts=3).timeout == 2
    assert asking(int).reading is int  # no signature to look at


@pytest.mark.parametrize(
    ("reading", "awaits"),
    [
        (depth, False),
        (depth_later, True),
        (partial(depth_later), True),
        (Depth(), True),
        (Depth().__call__, True),
        (None, False),
    ],
)
def test_a_rule_knows_whether_its_reading_is_awaited(
    reading: Callable[[], float | Awaitable[float]] | None, awaits: bool
) -> None:
    assert (rule() if reading is None else asking(reading)).awaits is awaits


def test_what_a_rule_says_of_itself_is_short_and_true() -> None:
    budget = BurnRate(good="good", total="total", objective=0.99, long=3600, short=300)
    levels = rule(severity=None, condition="avg >", levels={"warning": 80, "critical": 95})
    assert repr(levels) == "<AlertRule r: m avg > 80 warning, 95 critical, every 10s>"
    assert repr(asking()) == "<AlertRule r: depth() > 5, every 10s>"
    assert repr(asking(Depth())) == "<AlertRule r: Depth() > 5, every 10s>"
    assert repr(rule(metric_name="", burn_rate=budget)) == "<AlertRule r: burn rate of good/total > 5, every 10s>"


def test_the_metrics_of_a_rule() -> None:
    budget = BurnRate(good="good", total="total", objective=0.99, long=3600, short=300)
    assert (rule().metrics, rule(metric_name="", burn_rate=budget).metrics) == (("m",), ("good", "total"))


def test_a_rule_can_be_had_disabled_and_is_otherwise_the_same() -> None:
    made = rule(hold="1m")
    assert not made.enabled_as(False).enabled
    assert made.enabled_as(False).enabled_as(True) == made
    assert made.enabled


def test_no_data_is_kept_where_nothing_else_is_said() -> None:
    assert [rule().no_data, rule(no_data="Alert").no_data, rule(no_data=NoData.OK).no_data] == list(NoData)


@pytest.mark.parametrize("given", [(6, "1h"), [6, 3600], {"changes": 6, "period": "1h"}, Flapping(6, 3600)])
def test_flapping_may_be_said_in_several_ways(given: object) -> None:
    assert rule(flapping=given).flapping == Flapping(6, 3600)


def test_flapping_checks_itself() -> None:
    with pytest.raises(RuleError, match="flapping: the period 0; a duration above zero"):
        Flapping(6, 0)


def test_durations_are_seconds_inside() -> None:
    made = rule(time_window=timedelta(minutes=1), evaluation_interval="7s", notification_interval=0, hold="1m30s")
    assert (made.time_window, made.evaluation_interval, made.notification_interval, made.hold) == (60, 7, 0, 90)
    assert (rule().time_window, rule().evaluation_interval, rule().notification_interval) == (300, 10, 900)
    assert repr(rule()) == "<AlertRule r: m > 5, every 10s>"


def test_the_guides_positional_form() -> None:
    made = AlertRule(
        "n", "d", AlertSeverity.ERROR, "m", "> 5", 5, timedelta(minutes=1), 5, 60, {"a": 1}, {"runbook": "x"}, False
    )  # type: ignore[dict-item]
    assert (made.threshold, made.enabled, dict(made.labels), made.annotations) == (
        5,
        False,
        {"a": "1"},
        {"runbook": "x"},
    )


def test_rules_from_mappings() -> None:
    made = AlertRule.from_mapping({"name": "n", "metric": "m", "condition": "> 5", "severity": "ERROR", "hold": "1m"})
    assert (made.description, made.severity, made.metric_name, made.hold) == ("", AlertSeverity.ERROR, "m", 60)
    assert AlertRule.from_mapping({"name": "n", "metric_name": "m", "condition": "> 5"}).severity is AlertSeverity.WARNING
    with pytest.raises(
        RuleError, match="rule 'n': the unknown key 'evalution_interval'; did you mean 'evaluation_interval'"
    ):
        AlertRule.from_mapping({"name": "n", "metric": "m", "condition": "> 5", "evalution_interval": 5})
    with pytest.raises(RuleError, match="the unknown key 'zzz'; use some of name, description"):
        AlertRule.from_mapping({"name": "n", "zzz": 5})
    with pytest.raises(RuleError, match="rule None: no name; a rule needs"):
        AlertRule.from_mapping({"metric": "m", "condition": "> 5"})


def test_every_parameter_may_stand_in_a_mapping() -> None:
    made = AlertRule.from_mapping(
        {
            "name": "n", "metric": "m", "condition": "avg >", "levels": {"warning": 80, "critical": 95},
            "clear": {"warning": 75}, "group_by": ["host"], "no_data": "ok", "max_alerts": 5, "on_write": True,
            "flapping": [6, "1h"],
        }
    )  # fmt: skip
    assert (made.severity, made.levels[0].clear, made.no_data) == (AlertSeverity.CRITICAL, 75, NoData.OK)
    assert (made.max_alerts, made.on_write, made.flapping) == (5, True, Flapping(6, 3600))
    asked = AlertRule.from_mapping({"name": "n", "condition": "> 5", "reading": depth, "timeout": "1s"})
    assert (asked.severity, asked.reading, asked.timeout) == (AlertSeverity.WARNING, depth, 1)
    with pytest.raises(RuleError, match="rule 'n': no metric_name; a rule needs name, metric_name and condition"):
        AlertRule.from_mapping({"name": "n", "condition": "> 5"})


numbers = st.floats(-1e6, 1e6)


@given(st.sampled_from([">", ">=", "<", "<=", "==", "!="]), numbers, numbers, st.floats(0, 1e6))
def test_a_lower_bound_proves_only_what_holds_for_every_value_above_it(
    comparator: str, threshold: float, value: float, more: float
) -> None:
    condition = Condition("", comparator, threshold)
    answer = condition.holds(value, at_least=True)
    if answer is not None:
        assert condition.holds(value + more) is answer


@pytest.mark.parametrize(
    ("comparator", "below", "at", "above"),
    [
        (">", None, None, True),
        (">=", None, True, True),
        ("<", None, False, False),
        ("<=", None, None, False),
        ("==", None, None, False),
        ("!=", None, None, True),
    ],
)
def test_what_a_lower_bound_proves(comparator: str, below: object, at: object, above: object) -> None:
    condition = Condition("", comparator, 5)
    assert [condition.holds(value, at_least=True) for value in (4, 5, 6)] == [below, at, above]


def test_words_fit_types() -> None:
    fits = {
        word: {t.value for t in MetricType if Condition.parse(f"{word} > 1", None, where="r").fits(t)}
        for word in ("", "rate", "share", "increase", "avg", "p95")
    }
    everything = {"counter", "gauge", "histogram", "timer"}
    assert fits == {
        "": everything, "rate": everything, "share": {"counter"}, "increase": {"counter", "histogram", "timer"},
        "avg": {"gauge", "histogram", "timer"}, "p95": {"histogram", "timer"},
    }  # fmt: skip


def test_the_default_rules_are_the_guides() -> None:
    rules = {r.name: (r.metric_name, str(r.condition), r.time_window) for r in create_default_alert_rules()}
    assert rules == {
        "high_validation_failure_rate": ("validation_failure", "rate > 0.1", 300),
        "security_violations_detected": ("security_violations_total", "> 0", 60),
        "high_response_time": ("response_time", "avg > 1000", 300),
        "low_cache_hit_rate": ("validation_cache_hits", "rate < 0.8", 600),
        "high_memory_usage": ("memory_usage", "> 90", 300),
    }


def test_host_rules_hold_before_they_fire_and_run_at_intervals_of_their_own() -> None:
    rules = create_host_alert_rules()
    assert all(r.hold >= 20 and r.keep_firing >= 20 and r.clear is not None for r in rules)
    assert len({r.evaluation_interval for r in rules}) > 2
    assert {r.collector for r in rules} == {"host", "loop"}


def test_the_shortest_interval_is_ten_milliseconds() -> None:
    assert rule(evaluation_interval="10ms").evaluation_interval == 0.01
