"""The guide's snippets, in the spellings of DESIGN 10."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from aiohttp import web

from kailash_monitor.alerts import (
    Alert,
    AlertManager,
    AlertRule,
    AlertSeverity,
    AlertStatus,
    EmailNotificationChannel,
    LogNotificationChannel,
    SlackNotificationChannel,
    WebhookNotificationChannel,
    create_default_alert_rules,
)
from kailash_monitor.blocking import AlertManager as BlockingAlertManager
from kailash_monitor.channels import from_mapping
from kailash_monitor.errors import ChannelError
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

from smtp_server import HOST, MailServer, mail_server  # isort: skip

logger = logging.getLogger(__name__)


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


# -- channels, against real receivers


@dataclass
class Receiver:
    """A real HTTP server on this machine: what came to which path, and the headers; Slack's word for "taken" to all of it."""

    port: int = 0
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"

    def at(self, path: str) -> list[dict[str, Any]]:
        return [document for where, document in self.got if where == path]

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((request.path, await request.json()))
        self.authorizations.append(request.headers.get("Authorization"))
        return web.Response(text="ok")


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    it = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", it.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    it.port = runner.addresses[0][1]
    try:
        yield it
    finally:
        await runner.cleanup()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


SLACK, ALERTS = "/services/YOUR/WEBHOOK/URL", "/alerts"


def test_multi_channel_alerting_takes_what_the_guide_gives() -> None:
    registry = MetricsRegistry()
    alert_manager = AlertManager(registry)

    # Multiple notification channels
    alert_manager.add_notification_channel(LogNotificationChannel("ERROR"))

    # Slack notifications (requires webhook URL)
    slack_channel = SlackNotificationChannel(
        webhook_url="https://hooks.slack.com/services/YOUR/WEBHOOK/URL",
        channel="#alerts"
    )  # fmt: skip
    alert_manager.add_notification_channel(slack_channel)

    # Email notifications
    email_channel = EmailNotificationChannel(
        smtp_host="smtp.company.com",
        smtp_port=587,
        username="alerts@company.com",
        password="secure_password",
        from_email="kailash-alerts@company.com",
        to_emails=["devops@company.com", "security@company.com"],
        use_tls=True
    )  # fmt: skip
    alert_manager.add_notification_channel(email_channel)

    # Webhook for external systems
    webhook_channel = WebhookNotificationChannel(
        webhook_url="https://api.company.com/alerts",
        headers={"Authorization": "Bearer YOUR_API_TOKEN"}
    )  # fmt: skip
    alert_manager.add_notification_channel(webhook_channel)

    assert list(alert_manager.channels_by_name()) == ["log", "slack", "email", "webhook"]
    assert repr(alert_manager.notification_channels) == (
        "[<LogNotificationChannel ERROR>, <SlackNotificationChannel #alerts>, "
        "<EmailNotificationChannel smtp.company.com:587 to 2>, <WebhookNotificationChannel api.company.com>]"
    )


@pytest.mark.real_time
async def test_an_alert_that_fires_and_resolves_reaches_all_channels_of_the_guide(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same calls, with addresses of real receivers; that of the mail server asks for STARTTLS and the password."""
    caplog.set_level(logging.INFO)
    ca, authority = trustme.CA(), tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(authority))
    registry = MetricsRegistry()
    mails = MailServer(passwords={"alerts@company.com": "secure_password"})
    async with receiver() as company, mail_server(mails, tls="starttls", ca=ca):
        alert_manager = AlertManager(registry)
        alert_manager.add_notification_channel(LogNotificationChannel("ERROR"))
        slack_channel = SlackNotificationChannel(
            webhook_url=company.url(SLACK),
            channel="#alerts"
        )  # fmt: skip
        alert_manager.add_notification_channel(slack_channel)
        email_channel = EmailNotificationChannel(
            smtp_host=HOST,
            smtp_port=mails.port,
            username="alerts@company.com",
            password="secure_password",
            from_email="kailash-alerts@company.com",
            to_emails=["devops@company.com", "security@company.com"],
            use_tls=True,
            ca_file=authority,  # who vouches for a server on this machine
        )
        alert_manager.add_notification_channel(email_channel)
        webhook_channel = WebhookNotificationChannel(
            webhook_url=company.url(ALERTS),
            headers={"Authorization": "Bearer YOUR_API_TOKEN"}
        )  # fmt: skip
        alert_manager.add_notification_channel(webhook_channel)

        rule = AlertRule("queue_long", "Too much waits", "critical", "queue", "> 5", evaluation_interval=0.02)
        alert_manager.add_rule(rule)
        async with alert_manager:
            for value, times in ((9, 1), (1, 2)):
                registry.collector("app").set_gauge("queue", value)
                await until(lambda n=times: len(company.got) == 2 * n and len(mails.mails) == n)

    logged = [record for record in caplog.records if record.name == "kailash_monitor.alerts"]
    assert [(record.levelname, record.getMessage().split()[0]) for record in logged] == [
        ("ERROR", "FIRING"), ("ERROR", "RESOLVED"),
    ]  # fmt: skip
    assert [(message["channel"], message["text"]) for message in company.at(SLACK)] == [
        ("#alerts", "FIRING [critical] Queue long"), ("#alerts", "RESOLVED [critical] Queue long"),
    ]  # fmt: skip
    to = ["devops@company.com", "security@company.com"]
    assert [(mail.sender, mail.recipients, mail.message["Subject"]) for mail in mails.mails] == [
        ("kailash-alerts@company.com", to, "[FIRING] critical: Queue long"),
        ("kailash-alerts@company.com", to, "[RESOLVED] critical: Queue long"),
    ]
    assert [(each["context"]["kind"], each["alert"]["id"], each["alert"]["status"]) for each in company.at(ALERTS)] == [
        ("firing", "queue_long_app", "firing"), ("resolved", "queue_long_app", "resolved"),
    ]  # fmt: skip
    assert sorted(filter(None, company.authorizations)) == ["Bearer YOUR_API_TOKEN"] * 2


CENTRALIZED = """
    import sys
    from kailash_monitor.alerts import EmailNotificationChannel, LogNotificationChannel, SlackNotificationChannel
    from kailash_monitor.blocking import AlertManager
    from kailash_monitor.metrics import get_metrics_registry, get_performance_metrics
    log_file, slack_url, smtp_port = sys.argv[1:]
    registry = get_metrics_registry()
    slack_channel = SlackNotificationChannel(slack_url)
    email_channel = EmailNotificationChannel("127.0.0.1", int(smtp_port), from_email="a@x.org", to_emails=["b@x.org"], use_tls=False)
    get_performance_metrics().update_system_metrics(memory_mb=1e9, cpu_percent=1, rps=1)

    from kailash_monitor.alerts import create_default_alert_rules
    import logging

    # Configure logging for alerts
    logging.basicConfig(
        level=logging.INFO,
        format='%(asctime)s - %(name)s - %(levelname)s - %(message)s',
        handlers=[
            logging.FileHandler(log_file),
            logging.StreamHandler()
        ]
    )

    # Set up comprehensive monitoring
    alert_manager = AlertManager(registry)

    # Use default alert rules as starting point
    default_rules = create_default_alert_rules()
    for rule in default_rules:
        alert_manager.add_rule(rule)

    # Production notification channels
    alert_manager.add_notification_channel(LogNotificationChannel("ERROR"))
    alert_manager.add_notification_channel(slack_channel)  # For immediate alerts
    alert_manager.add_notification_channel(email_channel)  # For escalation

    # Start monitoring in background
    alert_manager.start()

    sys.stdin.read()
    alert_manager.stop()
"""


@pytest.mark.real_time
async def test_centralized_monitoring_in_a_program_of_its_own(tmp_path: Path) -> None:
    log_file = tmp_path / "alerts.log"
    async with receiver() as slack, mail_server() as mails:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(CENTRALIZED), str(log_file), slack.url(SLACK), str(mails.port),
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            await until(lambda: slack.got and mails.mails)
            _, on_screen = await program.communicate(b"")
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()
    assert program.returncode == 0
    assert [message["text"] for message in slack.at(SLACK)] == ["FIRING [error] High memory usage"]
    assert [mail.message["Subject"] for mail in mails.mails] == ["[FIRING] error: High memory usage"]
    line = r"20\d\d-\S+ \S+ - kailash_monitor\.alerts - ERROR - FIRING \[error\] High memory usage .*\n"
    assert re.fullmatch(line, log_file.read_text())
    assert on_screen.decode() == log_file.read_text()


# -- best practices


def safe_monitoring_setup(
    manager_class: type[AlertManager] | type[BlockingAlertManager],
) -> AlertManager | BlockingAlertManager | None:
    """Set up monitoring with error handling."""
    try:
        # Initialize monitoring
        registry = get_metrics_registry()
        alert_manager = manager_class(registry)

        # Add rules with error handling
        try:
            rules = create_default_alert_rules()
            for rule in rules:
                alert_manager.add_rule(rule)
        except Exception as e:
            logger.error(f"Failed to add alert rule: {e}")

        # Add notification channels with fallback
        try:
            alert_manager.add_notification_channel(LogNotificationChannel())
        except Exception as e:
            logger.error(f"Failed to add notification channel: {e}")

        # Start monitoring
        alert_manager.start()
        return alert_manager

    except Exception as e:
        logger.error(f"Failed to initialize monitoring: {e}")
        return None


@pytest.mark.usefixtures("fresh_shared_registry")
def test_error_handling_in_a_program_without_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, __name__)
    alert_manager = safe_monitoring_setup(BlockingAlertManager)
    if alert_manager:
        logger.info("Monitoring initialized successfully")
    else:
        logger.warning("Running without monitoring")
    assert alert_manager is not None
    told = alert_manager.running, len(alert_manager.rules), len(alert_manager.notification_channels)
    alert_manager.stop()
    assert told == (True, 5, 1)
    assert [record.getMessage() for record in caplog.records if record.name == __name__] == [
        "Monitoring initialized successfully"
    ]


@pytest.mark.usefixtures("fresh_shared_registry")
async def test_error_handling_inside_a_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    alert_manager = safe_monitoring_setup(AlertManager)
    assert isinstance(alert_manager, AlertManager)
    running = alert_manager.running
    await alert_manager.stop()
    assert running
    assert [record for record in caplog.records if record.name == __name__] == []


@pytest.mark.usefixtures("fresh_shared_registry")
def test_error_handling_tells_of_the_manager_that_needs_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    alert_manager = safe_monitoring_setup(AlertManager)
    if alert_manager:
        logger.info("Monitoring initialized successfully")
    else:
        logger.warning("Running without monitoring")
    why, without = (record.getMessage() for record in caplog.records if record.name == __name__)
    assert why.startswith("Failed to initialize monitoring: AlertManager.start() needs a running event loop: ")
    assert "kailash_monitor.blocking.AlertManager" in why
    assert without == "Running without monitoring"


LIFECYCLE = """
    import logging, sys
    from kailash_monitor.blocking import AlertManager
    from kailash_monitor.metrics import get_metrics_registry
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logger = logging.getLogger(__name__)
    registry = get_metrics_registry()

    import atexit

    def setup_monitoring_lifecycle():
        \"""Proper lifecycle management for monitoring.\"""
        alert_manager = AlertManager(registry)

        # Configure monitoring
        # ... (configuration code)

        # Start monitoring
        alert_manager.start()

        # Ensure cleanup on exit
        def cleanup():
            try:
                alert_manager.stop()
                logger.info("Monitoring stopped gracefully")
            except Exception as e:
                logger.error(f"Error stopping monitoring: {e}")

        atexit.register(cleanup)

        return alert_manager

    # Use for long-running applications
    alert_manager = setup_monitoring_lifecycle()

    print(alert_manager)
"""


def test_resource_management_stops_at_exit() -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(LIFECYCLE)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    told = "<blocking AlertManager running, 0 rules, 0 alerts active>\nMonitoring stopped gracefully\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, told, "")


# -- Django


def django_settings() -> SimpleNamespace:
    return SimpleNamespace(KAILASH_MONITORING={
        'ENABLED': True,
        'ALERT_RULES': [
            {
                'name': 'high_validation_failures',
                'threshold': 5,
                'severity': 'ERROR'
            }
        ],
        'NOTIFICATION_CHANNELS': [
            {
                'type': 'log',
                'level': 'ERROR'
            },
            {
                'type': 'slack',
                'webhook_url': os.environ.get('SLACK_WEBHOOK_URL')
            }
        ]
    })  # fmt: skip


def setup_django_monitoring(settings: SimpleNamespace) -> BlockingAlertManager | None:
    """The guide's, and the line that it leaves out: what becomes of the channels that stand in the settings."""
    if not settings.KAILASH_MONITORING.get("ENABLED"):
        return None

    alert_manager = BlockingAlertManager(get_metrics_registry())
    for channel_config in settings.KAILASH_MONITORING["NOTIFICATION_CHANNELS"]:
        alert_manager.add_notification_channel(from_mapping(channel_config))

    # Configure from Django settings
    for rule_config in settings.KAILASH_MONITORING["ALERT_RULES"]:
        rule = AlertRule(
            name=rule_config["name"],
            description=f"Alert for {rule_config['name']}",
            severity=getattr(AlertSeverity, rule_config["severity"]),
            metric_name="validation_failure",
            condition=f"> {rule_config['threshold']}",
            threshold=rule_config["threshold"],
        )
        alert_manager.add_rule(rule)

    alert_manager.start()
    return alert_manager


@pytest.mark.real_time
@pytest.mark.usefixtures("fresh_shared_registry")
async def test_rules_and_channels_come_from_django_settings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(6):
        get_validation_metrics().record_validation_attempt("PythonCodeNode", False, 12.5)
    async with receiver() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url(SLACK))
        alert_manager = await asyncio.to_thread(setup_django_monitoring, django_settings())
        assert alert_manager is not None
        try:
            await until(lambda: slack.got)
        finally:
            await asyncio.to_thread(alert_manager.stop)
    assert slack.at(SLACK)[0]["text"] == "FIRING [error] High validation failures"
    assert [record.levelname for record in caplog.records if record.name == "kailash_monitor.alerts"] == ["ERROR"]


def test_a_django_site_that_has_no_address_of_slack_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    with pytest.raises(ChannelError, match="slack channel: ") as refused:
        setup_django_monitoring(django_settings())
    assert refused.value.field == "webhook_url"


# -- troubleshooting


@pytest.mark.usefixtures("fresh_shared_registry")
def test_why_an_alert_manager_does_not_start_is_told(caplog: pytest.LogCaptureFixture) -> None:
    alert_manager = AlertManager(get_metrics_registry())
    # Check for port conflicts or permission issues
    try:
        alert_manager.start()
    except Exception as e:
        logger.error(f"Failed to start alert manager: {e}")
    (record,) = caplog.records
    assert record.getMessage().startswith("Failed to start alert manager: AlertManager.start() needs a running event loop")


def test_a_store_that_cannot_be_opened_is_why_an_alert_manager_does_not_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alert_manager = BlockingAlertManager(MetricsRegistry(), store=tmp_path / "nowhere" / "alerts.db")
    # Check for port conflicts or permission issues
    try:
        alert_manager.start()
    except Exception as e:
        logger.error(f"Failed to start alert manager: {e}")
    told = [record.getMessage() for record in caplog.records if record.name == __name__]
    assert len(told) == 1
    assert "nowhere" in told[0]
    assert not alert_manager.running


@pytest.mark.usefixtures("fresh_shared_registry")
def test_missing_metrics_are_looked_for_among_the_collectors(capsys: pytest.CaptureFixture[str]) -> None:
    # Verify metric registration
    registry = get_metrics_registry()
    collectors = registry.get_all_collectors()
    print(f"Registered collectors: {list(collectors.keys())}")
    printed = capsys.readouterr().out
    assert re.fullmatch(r"Registered collectors: \[.*\]\n", printed)
    for name in ("validation", "security", "performance"):
        assert repr(name) in printed


async def test_a_notification_failure_is_looked_for_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    # Test notification channels individually
    channel = LogNotificationChannel()
    test_alert = Alert("test", "test_rule", AlertSeverity.INFO, "Test", "Test alert")
    result = await channel.send_notification(test_alert, {})
    print(f"Notification result: {result}")
    assert capsys.readouterr().out == "Notification result: True\n"


@pytest.mark.real_time
async def test_every_channel_of_the_guide_is_tried_by_hand() -> None:
    """True where it was taken, False where nobody is there any more."""
    test_alert = Alert("test", "test_rule", AlertSeverity.INFO, "Test", "Test alert")
    async with receiver() as company, mail_server() as mails:
        channels = [
            SlackNotificationChannel(company.url(SLACK)),
            EmailNotificationChannel(HOST, mails.port, from_email="a@x.org", to_emails=["b@x.org"], use_tls=False),
            WebhookNotificationChannel(company.url(ALERTS)),
        ]
        assert [await channel.send_notification(test_alert, {}) for channel in channels] == [True] * 3
    assert company.at(SLACK)[0]["text"] == "TEST [info] Test"
    assert mails.mails[0].message["Subject"] == "[TEST] info: Test"
    assert company.at(ALERTS)[0]["context"]["kind"] == "test"
    assert [await channel.send_notification(test_alert, {}) for channel in channels] == [False] * 3


async def test_performance_tuning(clock: VirtualClock) -> None:
    """Fifty node types are told apart, the others counted together; rules are evaluated every ten seconds."""
    # Optimize metrics collection
    optimized_registry = MetricsRegistry(clock=clock)

    # Limit metric series to prevent memory issues
    validation_metrics = ValidationMetrics(clock=clock)
    validation_metrics.max_series = 50  # Reduce from default

    # Batch alert evaluation
    alert_manager = AlertManager(optimized_registry)
    # Evaluation runs every 10 seconds by default

    optimized_registry.register_collector("validation", validation_metrics)
    for number in range(80):
        validation_metrics.record_validation_attempt(f"Node{number}", True, 5.0)
    attempts = validation_metrics.get_metric("validation_total")
    assert attempts is not None
    assert (len(attempts.series), attempts.get_latest_value()) == (51, 80)

    for rule in create_default_alert_rules():
        alert_manager.add_rule(rule)
    async with alert_manager:
        await asyncio.sleep(95)
        assert {status.evaluations for status in alert_manager.rule_status()} <= {10, 11}
