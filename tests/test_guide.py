"""The guide's snippets that this stage covers, in the spellings of DESIGN 10."""

import asyncio
import time

import pytest

from kailash_monitor.alerts import (
    Alert,
    AlertManager,
    AlertRule,
    AlertSeverity,
    AlertStatus,
    LogNotificationChannel,
    create_default_alert_rules,
)
from kailash_monitor.blocking import AlertManager as BlockingAlertManager
from kailash_monitor.metrics import (
    MetricsCollector,
    MetricSeverity,
    MetricsRegistry,
    MetricType,
    PerformanceMetrics,
    SecurityMetrics,
    ValidationMetrics,
    get_metrics_registry,
    get_validation_metrics,
)
from kailash_monitor.testing import RecordingChannel, VirtualClock


@pytest.fixture
def fresh_shared_registry() -> MetricsRegistry:
    """The shared registry, without what other tests recorded."""
    registry = get_metrics_registry()
    for name, kind in (
        ("validation", ValidationMetrics),
        ("security", SecurityMetrics),
        ("performance", PerformanceMetrics),
    ):
        registry.unregister_collector(name)
        registry.register_collector(name, kind())
    return registry


@pytest.mark.usefixtures("fresh_shared_registry")
def test_simple_monitoring_through_the_blocking_facade(capsys: pytest.CaptureFixture[str]) -> None:
    validation_metrics = get_validation_metrics()
    assert validation_metrics.registry is not None
    alert_manager = BlockingAlertManager(validation_metrics.registry)
    alert_manager.add_rule(AlertRule(
        name="validation_failures",
        description="High validation failure rate",
        severity=AlertSeverity.WARNING,
        metric_name="validation_failure",
        condition="> 5",
        threshold=5
    ))  # fmt: skip

    alert_manager.start()

    for number in range(10):  # what the workflow would record
        validation_metrics.record_validation_attempt("PythonCodeNode", number < 4, 12.5, cached=number % 2 == 0)

    print(f"Success rate: {validation_metrics.get_success_rate():.2%}")
    print(f"Cache hit rate: {validation_metrics.get_cache_hit_rate():.2%}")
    alert_manager.stop()
    assert capsys.readouterr().out == "Success rate: 40.00%\nCache hit rate: 50.00%\n"

    alert_manager.start()  # the first evaluation is at once: no need to wait ten seconds for the next
    deadline = time.monotonic() + 5
    while not alert_manager.get_active_alerts() and time.monotonic() < deadline:
        time.sleep(0.01)
    alert_manager.stop()
    assert [(a.id, a.value) for a in alert_manager.get_active_alerts()] == [("validation_failures_validation", 6)]


@pytest.mark.real_time
@pytest.mark.usefixtures("fresh_shared_registry")
async def test_simple_monitoring_inside_a_coroutine(capsys: pytest.CaptureFixture[str]) -> None:
    validation_metrics = get_validation_metrics()
    assert validation_metrics.registry is not None
    alert_manager = AlertManager(validation_metrics.registry)
    alert_manager.add_rule(AlertRule(
        name="validation_failures",
        description="High validation failure rate",
        severity=AlertSeverity.WARNING,
        metric_name="validation_failure",
        condition="> 5",
        threshold=5
    ))  # fmt: skip
    for number in range(10):
        validation_metrics.record_validation_attempt("PythonCodeNode", number < 4, 12.5)

    alert_manager.start()
    await asyncio.sleep(0.05)

    print(f"Success rate: {validation_metrics.get_success_rate():.2%}")
    assert [a.id for a in alert_manager.get_active_alerts()] == ["validation_failures_validation"]

    await alert_manager.stop()
    assert capsys.readouterr().out == "Success rate: 40.00%\n"


async def test_alert_lifecycle(clock: VirtualClock, registry: MetricsRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    validation, security = ValidationMetrics(clock=clock), SecurityMetrics(clock=clock)
    registry.register_collector("validation", validation)
    registry.register_collector("security", security)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    alert_manager.add_rule(
        AlertRule("high_validation_failures", "Many fail", AlertSeverity.WARNING, "validation_failure", "> 5", 5)
    )
    alert_manager.add_rule(
        AlertRule("security_violations", "Violations", AlertSeverity.CRITICAL, "security_violations_total", "> 0", 0)
    )
    for _ in range(6):
        validation.record_validation_attempt("A", False, 10.0)
    security.record_security_violation("sql_injection", MetricSeverity.CRITICAL, "DB")
    async with alert_manager:
        await asyncio.sleep(20)

        active_alerts = alert_manager.get_active_alerts()
        for alert in active_alerts:
            print(f"Alert: {alert.title} - {alert.severity.value}")
            print(f"Status: {alert.status.value}")
            print(f"Fired at: {alert.fired_at}")

        alert_manager.silence_alert("high_validation_failures_validation")
        alert_manager.acknowledge_alert("security_violations_security")
        assert {a.id: a.status for a in alert_manager.get_all_alerts()} == {
            "high_validation_failures_validation": AlertStatus.SILENCED,
            "security_violations_security": AlertStatus.ACKNOWLEDGED,
        }

        await asyncio.sleep(3600)  # the failures are more than five minutes ago: both are over, and nobody was told twice
        all_alerts = alert_manager.get_all_alerts()
    assert all_alerts == []
    assert sorted(channel.told()) == [
        ("firing", "high_validation_failures_validation"), ("firing", "security_violations_security"),
        ("resolved", "high_validation_failures_validation"), ("resolved", "security_violations_security"),
    ]  # fmt: skip
    assert (
        "Alert: High validation failures - warning\nStatus: firing\nFired at: 2023-11-14 22:13:20+00:00\n"
        in capsys.readouterr().out
    )


def test_alert_lifecycle_through_the_blocking_facade(capsys: pytest.CaptureFixture[str]) -> None:
    registry = MetricsRegistry()
    validation, security = ValidationMetrics(), SecurityMetrics()
    registry.register_collector("validation", validation)
    registry.register_collector("security", security)
    alert_manager = BlockingAlertManager(registry)
    alert_manager.add_rule(
        AlertRule("high_validation_failures", "Many fail", AlertSeverity.WARNING, "validation_failure", "> 5", 5)
    )
    alert_manager.add_rule(
        AlertRule("security_violations", "Violations", AlertSeverity.CRITICAL, "security_violations_total", "> 0", 0)
    )
    for _ in range(6):
        validation.record_validation_attempt("A", False, 10.0)
    security.record_security_violation("sql_injection", MetricSeverity.CRITICAL, "DB")
    alert_manager.start()
    deadline = time.monotonic() + 5
    while len(alert_manager.get_active_alerts()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)

    active_alerts = alert_manager.get_active_alerts()
    for alert in active_alerts:
        print(f"Alert: {alert.title} - {alert.severity.value}")
        print(f"Status: {alert.status.value}")
        print(f"Fired at: {alert.fired_at}")

    alert_manager.silence_alert("high_validation_failures_validation")
    alert_manager.acknowledge_alert("security_violations_security")
    all_alerts = alert_manager.get_all_alerts()
    alert_manager.stop()
    assert {a.id: a.status for a in all_alerts} == {
        "high_validation_failures_validation": AlertStatus.SILENCED,
        "security_violations_security": AlertStatus.ACKNOWLEDGED,
    }
    assert capsys.readouterr().out.count("Status: firing\n") == 2


async def test_alert_lifecycle_shows_the_resolved_for_a_while(clock: VirtualClock, registry: MetricsRegistry) -> None:
    validation = ValidationMetrics(clock=clock)
    registry.register_collector("validation", validation)
    alert_manager = AlertManager(registry)
    alert_manager.add_rule(AlertRule("failures", "d", AlertSeverity.WARNING, "validation_failure", "> 5", 5))
    for _ in range(6):
        validation.record_validation_attempt("A", False, 10.0)
    async with alert_manager:
        await asyncio.sleep(400)
        assert [a.status for a in alert_manager.get_all_alerts()] == [AlertStatus.RESOLVED]


async def test_the_default_rules_do_what_they_say(clock: VirtualClock, registry: MetricsRegistry) -> None:
    validation, security = ValidationMetrics(clock=clock), SecurityMetrics(clock=clock)
    performance = PerformanceMetrics(clock=clock, memory_limit_mb=1000)
    for name, collector in (("validation", validation), ("security", security), ("performance", performance)):
        registry.register_collector(name, collector)
    alert_manager = AlertManager(registry)
    for rule in create_default_alert_rules():
        alert_manager.add_rule(rule)
    async with alert_manager:
        for number in range(900):  # a quarter of an hour of health: one failure in twenty, nine in ten from the cache
            validation.record_validation_attempt("A", number % 20 != 0, 5.0, cached=number % 10 != 0)
            performance.record_operation("query", 900.0)
            performance.update_system_metrics(memory_mb=800, cpu_percent=50, rps=10)
            await asyncio.sleep(1)
        assert alert_manager.get_active_alerts() == []
        for number in range(600):  # and ten minutes of trouble
            validation.record_validation_attempt("A", number % 5 != 0, 5.0, cached=number % 2 == 0)
            performance.record_operation("query", 1500.0)
            performance.update_system_metrics(memory_mb=950, cpu_percent=50, rps=10)
            await asyncio.sleep(1)
        security.record_security_violation("path_traversal", MetricSeverity.LOW, "FileNode")
        await asyncio.sleep(15)
        assert {a.rule_name for a in alert_manager.get_active_alerts()} == {r.name for r in create_default_alert_rules()}


async def test_a_channel_is_tried_by_hand() -> None:
    channel = LogNotificationChannel()
    test_alert = Alert("test", "test_rule", AlertSeverity.INFO, "Test", "Test alert")
    assert await channel.send_notification(test_alert, {}) is True


def test_custom_metrics_collection() -> None:
    registry = MetricsRegistry()
    custom_collector = MetricsCollector(max_series=100)
    custom_collector.create_metric(
        "workflow_execution_time", MetricType.TIMER, "Time taken to execute workflows", "milliseconds"
    )
    custom_collector.create_metric("active_users", MetricType.GAUGE, "Number of active users")
    custom_collector.record_timer("workflow_execution_time", 2500.0, {"workflow_type": "etl"})
    custom_collector.set_gauge("active_users", 42)
    registry.register_collector("custom", custom_collector)
    page = registry.export_metrics("prometheus")
    assert 'kailash_custom_workflow_execution_time_seconds_sum{workflow_type="etl"} 2.5\n' in page
    assert "kailash_custom_active_users 42\n" in page
