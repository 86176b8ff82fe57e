"""A rule survives being written down."""

import json

import pytest

from kailash_monitor.rules import AlertRule, BurnRate
from kailash_monitor.rules.document import document_of, rule_of

RULES = [
    AlertRule("plain", "Text", "warning", "queue", "> 5"),
    AlertRule("precise", "", "error", "queue", "avg >=", 0.1234567890123, clear=0.1, hold="5m", keep_firing=3.5),
    AlertRule("levels", "", metric_name="q", condition="p99 >", levels={"warning": 80, "critical": 95}, clear={"warning": 75}),
    AlertRule(
        "all", "é\n", "info", "q", "rate < 1", None, "1h", "20s", 0, {"team": "a"}, {"runbook": "http://x"}, False,
        collector="app", match={"code": "500"}, group_by=["path", "code"], no_data="alert", max_alerts=3,
        flapping=(4, "10m"), on_write=True,
    ),
    AlertRule(
        "budget", "", "critical", condition="> 14.4",
        burn_rate=BurnRate(good="g", total="t", objective=0.999, long=3600.0, short=300.0, min_events=7),
    ),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_is_written_down_is_the_rule_again(rule: AlertRule) -> None:
    assert rule_of(json.loads(json.dumps(document_of(rule)))) == rule


def test_of_a_function_that_a_rule_reads_nothing_is_left_but_the_fact() -> None:
    rule = AlertRule("asked", "", "error", condition="> 5", reading=lambda: 7, timeout="2s")
    again = rule_of(json.loads(json.dumps(document_of(rule))))
    assert again.reading is not None
    assert again.reading() is None
    assert (again.timeout, again.threshold, again.name) == (2.0, 5.0, "asked")
