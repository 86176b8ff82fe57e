"""The guide's snippets that this stage covers, in the spellings of DESIGN 10."""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

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
    get_performance_metrics,
    get_security_metrics,
    get_validation_metrics,
)
from kailash_monitor.testing import EPOCH, RecordingChannel, VirtualClock


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


def lifecycle_rules() -> list[AlertRule]:
    """The rules whose alerts the guide silences and acknowledges."""
    return [
        AlertRule("high_validation_failures", "Many fail", AlertSeverity.WARNING, "validation_failure", "> 5", 5),
        AlertRule("security_violations", "Violations", AlertSeverity.CRITICAL, "security_violations_total", "> 0", 0),
    ]


async def test_alert_lifecycle(clock: VirtualClock, registry: MetricsRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """Who is silenced is told no more, who is acknowledged is not repeated, and both are told when it is over."""
    validation, security = ValidationMetrics(clock=clock), SecurityMetrics(clock=clock)
    registry.register_collector("validation", validation)
    registry.register_collector("security", security)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    for rule in lifecycle_rules():
        alert_manager.add_rule(rule)

    async def two_hours_of_trouble() -> None:
        for _ in range(120):
            for _ in range(6):
                validation.record_validation_attempt("A", False, 10.0)
            security.record_security_violation("sql_injection", MetricSeverity.CRITICAL, "DB")
            await asyncio.sleep(60)

    async with alert_manager:
        await two_hours_of_trouble()
        repeats = [("repeat", "high_validation_failures_validation"), ("repeat", "security_violations_security")]
        assert {told for told in channel.told() if told[0] == "repeat"} == set(repeats)

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
        heard = len(channel.notices)
        await two_hours_of_trouble()
        assert channel.told()[heard:] == []

        await asyncio.sleep(600)
        all_alerts = alert_manager.get_all_alerts()
    assert {a.status for a in all_alerts} == {AlertStatus.RESOLVED}
    assert sorted(channel.told()[heard:]) == [
        ("resolved", "high_validation_failures_validation"), ("resolved", "security_violations_security"),
    ]  # fmt: skip
    printed = r"Alert: High validation failures - warning\nStatus: firing\nFired at: 2023-11-14 22:13:[23]\d.*\+00:00\n"
    assert re.search(printed, capsys.readouterr().out)


async def test_a_silence_of_an_alert_ends_with_its_incident(clock: VirtualClock, registry: MetricsRegistry) -> None:
    validation = ValidationMetrics(clock=clock)
    registry.register_collector("validation", validation)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    alert_manager.add_rule(lifecycle_rules()[0])
    async with alert_manager:
        alert_manager.silence_alert("high_validation_failures_validation")  # before it fires: it holds for the next incident
        for _ in range(2):
            for _ in range(6):
                validation.record_validation_attempt("A", False, 10.0)
            await asyncio.sleep(600)
    assert channel.told() == [
        ("firing", "high_validation_failures_validation"), ("resolved", "high_validation_failures_validation"),
    ]  # fmt: skip


def test_alert_lifecycle_through_the_blocking_facade(capsys: pytest.CaptureFixture[str]) -> None:
    registry = MetricsRegistry()
    validation, security = ValidationMetrics(), SecurityMetrics()
    registry.register_collector("validation", validation)
    registry.register_collector("security", security)
    alert_manager = BlockingAlertManager(registry)
    for rule in lifecycle_rules():
        alert_manager.add_rule(rule)
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


async def test_a_custom_alert_rule(registry: MetricsRegistry) -> None:
    """It fires while the revenue is below 1000, says so every half hour, and knows its team and its runbook."""
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    # Custom alert rule with complex condition
    custom_rule = AlertRule(
        name="custom_business_metric",
        description="Business KPI threshold exceeded",
        severity=AlertSeverity.WARNING,
        metric_name="revenue_per_minute",
        condition="< 1000",
        threshold=1000,
        time_window=timedelta(minutes=15),
        evaluation_interval=timedelta(minutes=5),
        notification_interval=timedelta(minutes=30),
        labels={"team": "business", "priority": "high"},
        annotations={"runbook": "https://wiki.company.com/revenue-alerts"}
    )  # fmt: skip

    alert_manager.add_rule(custom_rule)
    business = registry.collector("business")
    async with alert_manager:
        for revenue, minutes in ((1200, 60), (1000, 30), (999, 100), (1000, 30)):
            business.set_gauge("revenue_per_minute", revenue)
            await asyncio.sleep(60 * minutes)
    assert [kind for kind, _ in channel.told()] == ["firing", "repeat", "repeat", "repeat", "resolved"]
    times = [notice.sent_at - EPOCH for notice in channel.notices]
    assert 5400 <= times[0] <= 5700  # at the next evaluation
    assert [round(later - earlier) for earlier, later in pairwise(times[:-1])] == [1800, 1800, 1800]
    alert = channel.notices[0].alert
    assert (alert.value, alert.threshold, alert.severity) == (999, 1000, AlertSeverity.WARNING)
    assert alert.labels == {"team": "business", "priority": "high"}
    assert alert.annotations == {"runbook": "https://wiki.company.com/revenue-alerts"}


monitoring_config: dict[str, dict[str, float]] = {
    "validation": {
        "success_rate_threshold": 0.95,
        "cache_hit_rate_threshold": 0.8,
        "max_response_time_ms": 1000
    },
    "security": {
        "max_violations_per_hour": 0,
        "blocked_connections_threshold": 10,
        "critical_alert_interval_minutes": 5
    },
    "performance": {
        "max_memory_usage_percent": 85,
        "max_cpu_usage_percent": 80,
        "p95_response_time_ms": 500
    }
}  # fmt: skip


def create_production_alert_rules(config: dict[str, dict[str, float]]) -> list[AlertRule]:
    rules = []

    # Validation rules
    val_config = config["validation"]
    rules.append(
        AlertRule(
            name="low_success_rate",
            description=f"Success rate below {val_config['success_rate_threshold']:.0%}",
            severity=AlertSeverity.ERROR,
            metric_name="validation_success",
            condition=f"rate < {val_config['success_rate_threshold']}",
            threshold=val_config["success_rate_threshold"],
        )
    )

    # Security rules
    sec_config = config["security"]
    rules.append(
        AlertRule(
            name="security_violations",
            description="Security violations detected",
            severity=AlertSeverity.CRITICAL,
            metric_name="security_violations_total",
            condition=f"> {sec_config['max_violations_per_hour']}",
            threshold=sec_config["max_violations_per_hour"],
            notification_interval=timedelta(minutes=sec_config["critical_alert_interval_minutes"]),
        )
    )

    return rules  # fmt: skip


async def test_production_rules_tell_of_a_success_rate_below_95_percent(
    clock: VirtualClock, registry: MetricsRegistry
) -> None:
    validation = ValidationMetrics(clock=clock)
    registry.register_collector("validation", validation)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    production_rules = create_production_alert_rules(monitoring_config)
    for rule in production_rules:
        alert_manager.add_rule(rule)

    async def work(seconds: int, fails_in_100: int) -> None:
        for number in range(1, seconds + 1):
            validation.record_validation_attempt("A", number * fails_in_100 % 100 >= fails_in_100, 5.0)
            await asyncio.sleep(1)

    async with alert_manager:
        await work(600, 4)
        assert channel.told() == []
        await work(600, 10)
        assert channel.told() == [("firing", "low_success_rate_validation")]
        await work(600, 0)
    assert channel.told() == [("firing", "low_success_rate_validation"), ("resolved", "low_success_rate_validation")]
    first, last = (notice.alert for notice in channel.notices)
    assert first.description == "Success rate below 95%"
    assert first.value is not None
    assert last.value is not None
    assert 0.93 < first.value < 0.95 <= last.value < 0.97


async def test_production_rules_tell_of_violations_every_five_minutes(
    clock: VirtualClock, registry: MetricsRegistry
) -> None:
    security = SecurityMetrics(clock=clock)
    registry.register_collector("security", security)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    production_rules = create_production_alert_rules(monitoring_config)
    for rule in production_rules:
        alert_manager.add_rule(rule)
    async with alert_manager:
        await asyncio.sleep(600)
        assert channel.told() == []
        for _ in range(4):
            security.record_security_violation("sql_injection", MetricSeverity.HIGH, "DB")
            await asyncio.sleep(240)
        await asyncio.sleep(600)
    assert [kind for kind, _ in channel.told()] == ["firing", "repeat", "repeat", "repeat", "resolved"]
    times = [notice.sent_at for notice in channel.notices]
    assert [round(later - earlier) for earlier, later in pairwise(times[:-1])] == [300, 300, 300]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a program does each second; as it stands, it is in good health."""

    fails_every: int = 20
    misses_every: int = 10
    milliseconds: float = 900.0
    memory_mb: float = 800.0
    violations: int = 0


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("high_validation_failure_rate", Load(fails_every=5)),
        ("security_violations_detected", Load(violations=1)),
        ("high_response_time", Load(milliseconds=1500)),
        ("low_cache_hit_rate", Load(misses_every=2)),
        ("high_memory_usage", Load(memory_mb=950)),
    ],
)
async def test_each_default_rule_does_what_it_says(
    clock: VirtualClock, registry: MetricsRegistry, name: str, trouble: Load
) -> None:
    """It fires in its own trouble, and no other with it, and recovers when that is over."""
    validation, security = ValidationMetrics(clock=clock), SecurityMetrics(clock=clock)
    performance = PerformanceMetrics(clock=clock, memory_limit_mb=1000)
    for collector_name, collector in (("validation", validation), ("security", security), ("performance", performance)):
        registry.register_collector(collector_name, collector)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    default_rules = create_default_alert_rules()
    for rule in default_rules:
        alert_manager.add_rule(rule)

    async def work(load: Load) -> None:
        """A quarter of an hour of it."""
        for second in range(1, 901):
            validation.record_validation_attempt(
                "A", second % load.fails_every != 0, 5.0, cached=second % load.misses_every != 0
            )
            performance.record_operation("query", load.milliseconds)
            performance.update_system_metrics(memory_mb=load.memory_mb, cpu_percent=50, rps=10)
            for _ in range(load.violations):
                security.record_security_violation("path_traversal", MetricSeverity.LOW, "FileNode")
            await asyncio.sleep(1)

    async with alert_manager:
        await work(Load())
        assert channel.notices == []
        await work(trouble)
        assert [alert.rule_name for alert in alert_manager.get_active_alerts()] == [name]
        await work(Load())
        assert alert_manager.get_active_alerts() == []
    told = [(notice.kind.value, notice.alert.rule_name) for notice in channel.notices]
    assert [one for one in told if one[0] != "repeat"] == [("firing", name), ("resolved", name)]


async def test_a_channel_is_tried_by_hand() -> None:
    channel = LogNotificationChannel()
    test_alert = Alert("test", "test_rule", AlertSeverity.INFO, "Test", "Test alert")
    assert await channel.send_notification(test_alert, {}) is True


@pytest.mark.usefixtures("fresh_shared_registry")
async def test_comprehensive_security_monitoring(capsys: pytest.CaptureFixture[str]) -> None:
    security_metrics = get_security_metrics()
    assert security_metrics.registry is not None
    alert_manager = AlertManager(security_metrics.registry)
    security_rules = [
        AlertRule(
            name="critical_security_violations",
            description="Critical security violations detected",
            severity=AlertSeverity.CRITICAL,
            metric_name="security_violations_total",
            condition="> 0",
            threshold=0,
            time_window=timedelta(minutes=1),
            notification_interval=timedelta(minutes=5)
        ),
        AlertRule(
            name="sql_injection_attempts",
            description="SQL injection attempts detected",
            severity=AlertSeverity.ERROR,
            metric_name="sql_injection_attempts",
            condition="> 0",
            threshold=0,
            time_window=timedelta(minutes=5)
        ),
        AlertRule(
            name="high_blocked_connections",
            description="High number of blocked connections",
            severity=AlertSeverity.WARNING,
            metric_name="blocked_connections",
            condition="> 10",
            threshold=10,
            time_window=timedelta(minutes=10)
        )
    ]  # fmt: skip
    for rule in security_rules:
        alert_manager.add_rule(rule)

    security_metrics.record_security_violation(
        "sql_injection",
        MetricSeverity.CRITICAL,
        "DatabaseNode",
        {"query": "'; DROP TABLE users; --"}
    )  # fmt: skip
    security_metrics.record_blocked_connection("untrusted_source", "database", "SQL injection detected")

    violation_rate = security_metrics.get_violation_rate(timedelta(hours=1))
    critical_violations = security_metrics.get_critical_violations(timedelta(hours=24))
    print(f"Violation rate: {violation_rate:.2f} per minute")
    print(f"Critical violations (24h): {critical_violations}")
    assert capsys.readouterr().out == "Violation rate: 0.02 per minute\nCritical violations (24h): 1\n"
    assert violation_rate == 1 / 60

    async with alert_manager:
        await asyncio.sleep(1)
        assert {a.rule_name for a in alert_manager.get_active_alerts()} == {
            "critical_security_violations",
            "sql_injection_attempts",
        }  # one blocked connection is not more than ten


@pytest.mark.usefixtures("fresh_shared_registry")
async def test_performance_monitoring(capsys: pytest.CaptureFixture[str]) -> None:
    performance_metrics = get_performance_metrics()
    assert performance_metrics.registry is not None
    alert_manager = AlertManager(performance_metrics.registry)
    performance_rules = [
        AlertRule(
            name="high_response_time",
            description="Average response time above 1 second",
            severity=AlertSeverity.WARNING,
            metric_name="response_time",
            condition="avg > 1000",
            threshold=1000,
            time_window=timedelta(minutes=5)
        ),
        AlertRule(
            name="high_memory_usage",
            description="Memory usage above 90%",
            severity=AlertSeverity.ERROR,
            metric_name="memory_usage",
            condition="> 90",
            threshold=90
        ),
        AlertRule(
            name="high_error_rate",
            description="Error rate above 5%",
            severity=AlertSeverity.ERROR,
            metric_name="error_rate",
            condition="> 5",
            threshold=5
        )
    ]  # fmt: skip
    for rule in performance_rules:
        alert_manager.add_rule(rule)

    performance_metrics.record_operation("validation", 125.5, success=True)
    performance_metrics.record_operation("database_query", 1500.0, success=False)  # Slow
    performance_metrics.update_system_metrics(memory_mb=512.0, cpu_percent=75.0, rps=150.0)

    p95_response_time = performance_metrics.get_p95_response_time(timedelta(hours=1))
    print(f"95th percentile response time: {p95_response_time:.2f}ms")
    assert p95_response_time == pytest.approx(1500.0, rel=0.022)
    assert capsys.readouterr().out.startswith("95th percentile response time: 1")
    values = {name: metric.get_latest_value() for name, metric in performance_metrics.get_all_metrics().items()}
    assert values["response_time"] == 1500.0
    assert (values["slow_operations"], values["error_rate"], values["cpu_usage"], values["throughput"]) == (
        1,
        50.0,
        75.0,
        150.0,
    )
    assert values["memory_used"] == 512 * 2**20

    async with alert_manager:
        await asyncio.sleep(1)
        # half of the operations failed; they took 813 ms on average, and 512 MB are not 90 % of this machine
        assert {a.rule_name for a in alert_manager.get_active_alerts()} == {"high_error_rate"}


def test_json_and_prometheus_export(fresh_shared_registry: MetricsRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    registry = get_metrics_registry()
    for _ in range(42):
        get_validation_metrics().record_validation_attempt("PythonCodeNode", True, 12.5)

    json_metrics = registry.export_metrics("json")
    metrics_data = json.loads(json_metrics)
    for collector_name, collector_data in metrics_data.items():
        print(f"Collector: {collector_name}")
        for metric_name, metric_data in collector_data.items():
            latest_value = metric_data.get("latest_value")
            print(f"  {metric_name}: {latest_value}")
    told = capsys.readouterr().out
    for collector in ("validation", "security", "performance"):
        assert f"Collector: {collector}\n" in told
    assert "  validation_total: 42.0\n  validation_success: 42.0\n  validation_failure: 0\n" in told
    assert "  validation_duration: 12.5\n" in told
    assert "  error_rate: None\n" in told

    prometheus_metrics = registry.export_metrics("prometheus")
    assert (
        "# HELP kailash_validation_validation_total Total validation attempts\n"
        "# TYPE kailash_validation_validation_total counter\n"
        'kailash_validation_validation_total{node_type="PythonCodeNode"} 42\n'
    ) in prometheus_metrics


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
