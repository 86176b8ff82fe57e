"""The health check of the guide."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from kailash_monitor.errors import ConfigurationError, MetricError
from kailash_monitor.metrics import (
    MetricsCollector,
    MetricSeverity,
    MetricsRegistry,
    SecurityMetrics,
    ValidationMetrics,
    get_metrics_registry,
    health_check,
)
from kailash_monitor.testing import ManualClock

HEALTHY = {"status": "healthy"}
FAILING = {"status": "unhealthy", "reason": "High validation failure rate"}
ATTACKED = {"status": "unhealthy", "reason": "Critical security violations"}


@pytest.fixture
def time() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def shelf(time: ManualClock) -> MetricsRegistry:
    registry = MetricsRegistry(clock=time)
    registry.register_collector("validation", ValidationMetrics(clock=time))
    registry.register_collector("security", SecurityMetrics(clock=time))
    return registry


def validate(shelf: MetricsRegistry, succeeded: int, failed: int) -> None:
    validation = shelf.get_collector("validation")
    assert isinstance(validation, ValidationMetrics)
    for number in range(succeeded + failed):
        validation.record_validation_attempt("Node", number < succeeded, 1.0)


def attack(shelf: MetricsRegistry, severity: MetricSeverity = MetricSeverity.CRITICAL) -> None:
    security = shelf.get_collector("security")
    assert isinstance(security, SecurityMetrics)
    security.record_security_violation("sql_injection", severity, "form")


def test_a_program_that_recorded_nothing_is_healthy(shelf: MetricsRegistry) -> None:
    assert health_check(registry=shelf) == HEALTHY


def test_without_a_registry_it_looks_at_the_one_that_the_program_shares() -> None:
    assert health_check() in (HEALTHY, FAILING, ATTACKED)
    assert {"validation", "security"} <= get_metrics_registry().get_all_collectors().keys()


@pytest.mark.parametrize(("succeeded", "failed", "said"), [(9, 1, HEALTHY), (89, 11, FAILING), (0, 1, FAILING)])
def test_nine_of_ten_validations_must_succeed(
    shelf: MetricsRegistry, succeeded: int, failed: int, said: dict[str, str]
) -> None:
    validate(shelf, succeeded, failed)
    assert health_check(registry=shelf) == said


def test_one_critical_violation_is_too_many_and_graver_ones_there_are_none(shelf: MetricsRegistry) -> None:
    attack(shelf, MetricSeverity.HIGH)
    assert health_check(registry=shelf) == HEALTHY
    attack(shelf)
    assert health_check(registry=shelf) == ATTACKED


def test_validations_are_looked_at_first(shelf: MetricsRegistry) -> None:
    validate(shelf, 0, 1)
    attack(shelf)
    assert health_check(registry=shelf) == FAILING


def test_what_is_past_the_window_is_forgotten(shelf: MetricsRegistry, time: ManualClock) -> None:
    validate(shelf, 0, 1)
    attack(shelf)
    time.advance(200)
    assert health_check(registry=shelf) == FAILING
    assert health_check(registry=shelf, window="1m") == HEALTHY
    time.advance(200)
    assert health_check(registry=shelf) == HEALTHY
    assert health_check(registry=shelf, window=timedelta(minutes=10)) == FAILING


def test_the_thresholds_are_the_callers(shelf: MetricsRegistry) -> None:
    validate(shelf, 1, 1)
    assert health_check(registry=shelf, min_success_rate=0.5) == HEALTHY
    assert health_check(registry=shelf, min_success_rate=0.51) == FAILING
    attack(shelf)
    assert health_check(registry=shelf, min_success_rate=0, max_critical_violations=1) == HEALTHY
    attack(shelf)
    assert health_check(registry=shelf, min_success_rate=0, max_critical_violations=1) == ATTACKED


def test_a_registry_without_these_collectors_has_no_complaint(time: ManualClock) -> None:
    assert health_check(registry=MetricsRegistry(clock=time)) == HEALTHY


@pytest.mark.parametrize("name", ["validation", "security"])
def test_another_collector_under_the_name_is_refused(name: str, time: ManualClock) -> None:
    shelf = MetricsRegistry(clock=time)
    shelf.register_collector(name, MetricsCollector(clock=time))
    with pytest.raises(MetricError, match=f"collector '{name}': .*; a {name.title()}Metrics under that name"):
        health_check(registry=shelf)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_success_rate": 90}, "health_check: min_success_rate = 90; a share from 0 to 1, such as 0.9"),
        ({"min_success_rate": "high"}, "health_check: min_success_rate = 'high'; a share from 0 to 1, such as 0.9"),
        ({"min_success_rate": float("nan")}, "health_check: min_success_rate = nan; a share from 0 to 1, such as 0.9"),
        ({"max_critical_violations": -1}, "health_check: max_critical_violations = -1; a number not negative"),
        ({"max_critical_violations": True}, "health_check: max_critical_violations = True; a number not negative"),
        ({"window": "soon"}, "health_check: window = 'soon'; a duration above zero, such as '5m'"),
        ({"window": 0}, "health_check: window = 0; a duration above zero, such as '5m'"),
    ],
)
def test_a_threshold_that_is_none_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        health_check(**wrong)
    assert str(refused.value) == message


def test_it_can_be_asked_from_any_thread_while_others_record(shelf: MetricsRegistry) -> None:
    answers = list[dict[str, str]]()
    asking = threading.Thread(target=lambda: answers.extend(health_check(registry=shelf) for _ in range(200)))
    asking.start()
    validate(shelf, 200, 0)
    asking.join()
    assert answers == [HEALTHY] * 200
