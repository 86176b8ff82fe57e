"""The evaluator keeps what it worked out for a rule, and reads what is there all the same."""

import gc
import weakref

import pytest

from kailash_monitor.engine.evaluator import Evaluator, Outage
from kailash_monitor.engine.sighting import Sighting
from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import ManualClock


class Judge:
    """One evaluator, and collectors that come and go."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.evaluator = Evaluator()
        self.collectors: dict[str, MetricsCollector] = {}

    def begin(self, name: str) -> MetricsCollector:
        self.collectors[name] = MetricsCollector(clock=self.clock)
        return self.collectors[name]

    def see(self, rule: AlertRule, **troubled: Outage) -> dict[str, Sighting]:
        found: list[Sighting] = []
        for _ in self.evaluator.evaluate(
            rule, self.collectors, troubled, lambda rule, collector: (), found, self.clock.now()
        ):
            pass
        return {sighting.collector: sighting for sighting in found}

    def worst(self, rule: AlertRule) -> dict[str, float | None]:
        return {name: sighting.worst for name, sighting in self.see(rule).items()}


@pytest.fixture
def judge() -> Judge:
    return Judge()


def test_a_collector_that_begins_anew_under_its_name_is_read(judge: Judge) -> None:
    rule = AlertRule("r", "d", "warning", "waiting", "> 1")
    judge.begin("app").set_gauge("waiting", 5)
    assert judge.worst(rule) == judge.worst(rule) == {"app": 5.0}
    judge.begin("app")
    assert judge.worst(rule) == {}
    judge.collectors["app"].set_gauge("waiting", 7)
    assert judge.worst(rule) == {"app": 7.0}


def test_each_collector_has_its_own_answer(judge: Judge) -> None:
    rule = AlertRule("r", "d", "warning", "waiting", "> 1")
    for number, name in enumerate("abc"):
        judge.begin(name).set_gauge("waiting", number)
    assert judge.worst(rule) == judge.worst(rule) == {"a": 0.0, "b": 1.0, "c": 2.0}


def test_a_rule_in_the_place_of_another_is_read_by_its_own_words(judge: Judge) -> None:
    app = judge.begin("app")
    app.set_gauge("waiting", 9)
    judge.clock.advance(60)
    app.set_gauge("waiting", 5)
    judge.clock.advance(1)
    assert judge.worst(AlertRule("r", "d", "warning", "waiting", "max > 1", time_window="2m")) == {"app": 9.0}
    assert judge.worst(AlertRule("r", "d", "warning", "waiting", "> 1")) == {"app": 5.0}


def test_a_whole_that_comes_later_or_begins_anew_is_compared_with(judge: Judge) -> None:
    rule = AlertRule("r", "d", "warning", "failures", "share > 0.5", time_window="1m")

    def record(app: MetricsCollector, failures: int, of: int) -> None:
        judge.clock.advance(120)
        app.increment("failures", failures)
        app.increment("requests", of)

    app = judge.begin("app")
    app.counter("failures", share_of="requests").inc()
    failed = judge.see(rule)["app"].failed
    assert failed is not None
    assert "'requests'" in failed.error
    app.increment("requests")
    record(app, 1, of=4)
    assert judge.worst(rule) == {"app": 0.25}
    again = judge.begin("app")
    again.counter("failures", share_of="requests").inc()
    again.increment("requests")
    record(again, 3, of=4)
    assert judge.worst(rule) == {"app": 0.75}


def test_a_rule_that_does_not_fit_is_an_error_each_time_until_it_does(judge: Judge) -> None:
    rule = AlertRule("r", "d", "warning", "waiting", "p95 > 1")
    judge.begin("app").set_gauge("waiting", 5)
    for _ in range(2):
        failed = judge.see(rule)["app"].failed
        assert failed is not None
        assert "does not fit a gauge" in failed.error
    judge.begin("app").record_timer("waiting", 3)
    assert judge.worst(rule) == {"app": 3.0}


def test_what_is_in_trouble_is_not_read_and_is_again_afterwards(judge: Judge) -> None:
    rule = AlertRule("r", "d", "warning", "waiting", "> 1")
    judge.begin("app").set_gauge("waiting", 5)
    sighting = judge.see(rule, app=Outage("the broker is gone", 30.0))["app"]
    assert sighting.failed is not None
    assert sighting.failed.error == "the broker is gone"
    assert (sighting.patience, sighting.worst) == (30.0, None)
    assert judge.worst(rule) == {"app": 5.0}


def test_nothing_is_kept_of_rules_and_collectors_that_are_gone(judge: Judge) -> None:
    rules = [AlertRule(name, "d", "warning", "waiting", "> 1") for name in ("one", "other")]
    for name in ("app", "gone"):
        judge.begin(name).set_gauge("waiting", 5)
    for rule in rules:
        judge.worst(rule)
    kept = weakref.ref(judge.collectors.pop("gone").get_metric("waiting"))
    gc.collect()
    assert kept() is not None
    judge.evaluator.forget({"one"}, {"app"})
    gc.collect()
    assert kept() is None
    assert judge.worst(rules[0]) == {"app": 5.0}
