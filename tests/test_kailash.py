"""Workflows of kailash show in the collectors for validation, security and performance, and fire rules."""

import asyncio
import importlib.util
import logging
import warnings
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

if importlib.util.find_spec("kailash") is None:
    pytest.skip("kailash, from the extra 'kailash', is not installed", allow_module_level=True)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kailash.nodes.base import Node, NodeParameter, register_node
    from kailash.runtime.local import LocalRuntime
    from kailash.runtime.validation.metrics import get_metrics_collector
    from kailash.workflow.builder import WorkflowBuilder

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.integrations.kailash import Attached, attach
from kailash_monitor.metrics import (
    MetricsRegistry,
    PerformanceMetrics,
    SecurityMetrics,
    ValidationMetrics,
    get_metrics_registry,
    get_performance_metrics,
    get_security_metrics,
    get_validation_metrics,
)

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.filterwarnings("ignore"),  # kailash's own, of its own code
]

INJECTION = "'; DROP TABLE users; --"


@register_node()
class GuardedQueryNode(Node):
    """A node of a program's own that takes no query with a second statement in it."""

    def get_parameters(self) -> dict[str, NodeParameter]:
        return {
            "query": NodeParameter(name="query", type=str, required=False),
            "limit": NodeParameter(name="limit", type=int, required=False),
        }

    def validate_inputs(self, **inputs: Any) -> dict[str, Any]:
        checked: dict[str, Any] = super().validate_inputs(**inputs)
        if ";" in checked.get("query", ""):
            raise ValueError("SQL injection detected in parameter 'query'")
        return checked

    def run(self, **inputs: Any) -> dict[str, Any]:
        return {"result": inputs}


GOOD, WRONG, HOSTILE = ("query", "select 1"), ("limit", "many"), ("query", INJECTION)
"""What is connected to which parameter."""


def workflow(parameter: str, result: object) -> Any:
    """One node that gives `result`, and one that takes it for `parameter`."""
    builder = WorkflowBuilder()
    builder.add_node("PythonCodeNode", "source", {"code": f"result = {result!r}"})
    builder.add_node("GuardedQueryNode", "query", {})
    builder.add_connection("source", "result", "query", parameter)
    return builder.build()


def run(runtime: Any, given: tuple[str, object]) -> bool:
    """Run it, and say whether that ended well."""
    try:
        results, _ = runtime.execute(workflow(*given))
    except Exception:
        return False
    return not results["query"].get("failed")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def runtime() -> Iterator[Any]:
    with LocalRuntime(connection_validation="strict") as runtime:
        yield runtime


@pytest.fixture
def shelf() -> MetricsRegistry:
    registry = MetricsRegistry()
    for name, kind in (
        ("validation", ValidationMetrics),
        ("security", SecurityMetrics),
        ("performance", PerformanceMetrics),
    ):
        registry.register_collector(name, kind())
    return registry


@pytest.fixture
def attached(runtime: Any, shelf: MetricsRegistry) -> Iterator[Attached]:
    one = attach(runtime, shelf)
    yield one
    one.detach()


def total(registry: MetricsRegistry, collector: str, metric: str) -> float:
    found = registry.collector(collector).get_metric(metric)
    return 0.0 if found is None else found.get_latest_value() or 0.0


async def test_real_workflows_change_the_shared_metrics_and_fire_rules(runtime: Any) -> None:
    registry = get_metrics_registry()
    for name, kind in (
        ("validation", ValidationMetrics),
        ("security", SecurityMetrics),
        ("performance", PerformanceMetrics),
    ):
        registry.unregister_collector(name)
        registry.register_collector(name, kind())
    manager = AlertManager(registry)
    manager.add_rule(
        AlertRule("injections", "Injection", "critical", "sql_injection_attempts", "> 0", evaluation_interval="50ms")
    )
    manager.add_rule(AlertRule("failures", "Failing", "error", "validation_failure", "> 1", evaluation_interval="50ms"))
    one = attach(runtime)
    try:
        async with manager:
            ended = [await asyncio.to_thread(run, runtime, given) for given in (GOOD, WRONG, HOSTILE)]
            async with asyncio.timeout(10):
                while len(manager.get_active_alerts()) < 2:
                    await asyncio.sleep(0.02)
            firing = sorted(alert.id for alert in manager.get_active_alerts())
    finally:
        one.detach()
    assert ended == [True, False, False]
    assert firing == ["failures_validation", "injections_security"]
    assert get_validation_metrics().get_success_rate() == pytest.approx(4 / 6)
    assert get_security_metrics().get_critical_violations() == 1
    assert get_performance_metrics().get_p95_response_time() is not None


def test_a_validation_that_fails_is_no_violation(runtime: Any, shelf: MetricsRegistry, attached: Attached) -> None:
    assert not run(runtime, WRONG)
    assert total(shelf, "validation", "validation_failure") == 1
    assert total(shelf, "validation", "validation_total") == 2
    assert total(shelf, "security", "security_violations_total") == 0


def test_an_injection_is_critical_and_its_connection_blocked(
    runtime: Any, shelf: MetricsRegistry, attached: Attached
) -> None:
    assert not run(runtime, HOSTILE)
    security = shelf.get_collector("security")
    assert isinstance(security, SecurityMetrics)
    assert security.get_critical_violations() == 1
    assert total(shelf, "security", "sql_injection_attempts") == 1
    assert total(shelf, "security", "blocked_connections") == 1
    (event,) = security.recent_events()
    assert event.source == "GuardedQueryNode"
    assert "DROP TABLE" not in shelf.export_metrics("prometheus")


def test_completed_nodes_are_operations(runtime: Any, shelf: MetricsRegistry, attached: Attached) -> None:
    assert run(runtime, GOOD)
    response_time = shelf.collector("performance").get_metric("response_time")
    assert response_time is not None
    assert {one.labels["operation"] for one in response_time.series} == {"PythonCodeNode", "GuardedQueryNode"}


def test_two_runtimes_count_validation_once_and_each_its_nodes(
    runtime: Any, shelf: MetricsRegistry, attached: Attached
) -> None:
    with LocalRuntime(connection_validation="strict") as other:
        second = attach(other, shelf)
        assert run(other, GOOD)
        second.detach()
        second.detach()
        assert run(other, GOOD)
    assert total(shelf, "validation", "validation_total") == 4
    response_time = shelf.collector("performance").get_metric("response_time")
    assert response_time is not None
    assert response_time.get_increase("1h") == 2


def test_what_is_detached_is_not_recorded_and_kailash_keeps_its_events(runtime: Any, shelf: MetricsRegistry) -> None:
    attach(runtime, shelf).detach()
    events = get_metrics_collector().metrics
    before = len(events)
    assert run(runtime, GOOD)
    assert total(shelf, "validation", "validation_total") == 0
    assert len(events) == before + 4
    assert isinstance(events, deque)
    assert events.maxlen == 10_000


def test_what_cannot_be_understood_breaks_nothing_and_is_counted(
    runtime: Any, shelf: MetricsRegistry, attached: Attached
) -> None:
    get_metrics_collector().metrics.append(SimpleNamespace(strange=True))
    assert total(shelf, "monitor", "kailash_events_not_understood") == 1
    get_metrics_collector().reset_metrics()
    assert run(runtime, GOOD)


def test_a_runtime_without_the_hook_is_said_with_the_version(shelf: MetricsRegistry) -> None:
    with pytest.raises(ConfigurationError, match=r"on_node_complete in version \d"):
        attach(object(), shelf)


def test_a_collector_of_that_name_that_is_another_is_refused(runtime: Any) -> None:
    registry = MetricsRegistry()
    registry.collector("security")
    with pytest.raises(ConfigurationError, match="SecurityMetrics"):
        attach(runtime, registry)
