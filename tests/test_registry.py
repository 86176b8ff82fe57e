"""The registry, and the collectors of the guide."""

import json
from datetime import timedelta

import pytest

from kailash_monitor.errors import ConfigurationError, MetricError
from kailash_monitor.metrics import (
    MetricsCollector,
    MetricSeverity,
    MetricsRegistry,
    PerformanceMetrics,
    SecurityMetrics,
    ValidationMetrics,
    get_metrics_registry,
    get_performance_metrics,
    get_security_metrics,
    get_validation_metrics,
)
from kailash_monitor.metrics.memory_limit import memory_limit
from kailash_monitor.testing import ManualClock


@pytest.fixture
def time() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def shelf(time: ManualClock) -> MetricsRegistry:
    return MetricsRegistry(clock=time)


def test_the_shared_registry_holds_the_guides_collectors() -> None:
    registry = get_metrics_registry()
    assert registry is get_metrics_registry()
    assert {"validation", "security", "performance"} <= set(registry.get_all_collectors())
    for collector in (get_validation_metrics(), get_security_metrics(), get_performance_metrics()):
        assert collector.registry is registry


def test_a_collector_of_another_kind_under_a_shared_name_is_said_to_be_one() -> None:
    registry = get_metrics_registry()
    original = registry.get_collector("security")
    assert original is not None
    registry.unregister_collector("security")
    registry.register_collector("security", stranger := MetricsCollector())
    try:
        with pytest.raises(MetricError, match="a SecurityMetrics under that name"):
            get_security_metrics()
    finally:
        registry.unregister_collector("security")
        registry.register_collector("security", original)
    assert stranger.registry is None


def test_collectors_are_registered_once_and_under_one_name(shelf: MetricsRegistry, time: ManualClock) -> None:
    collector = MetricsCollector(clock=time)
    assert repr(collector) == "<MetricsCollector not registered, 0 metrics>"
    shelf.register_collector("app", collector)
    shelf.register_collector("app", collector)
    assert shelf.collector("app") is shelf.get_collector("app") is collector
    assert (collector.registry, collector.name) == (shelf, "app")
    assert repr(shelf) == "<MetricsRegistry app>"
    with pytest.raises(MetricError, match="a second of that name; unregister the first or choose another"):
        shelf.register_collector("app", MetricsCollector(clock=time))
    with pytest.raises(MetricError, match="already registered as 'app'"):
        shelf.register_collector("other", collector)
    shelf.unregister_collector("app")
    shelf.unregister_collector("app")
    assert shelf.get_collector("app") is None


@pytest.mark.parametrize("name", ["", "a b", "1a", "a-b"])
def test_the_name_of_a_collector_is_part_of_exported_names(shelf: MetricsRegistry, time: ManualClock, name: str) -> None:
    with pytest.raises(MetricError, match="its name; letters, digits and underscores"):
        shelf.register_collector(name, MetricsCollector(clock=time))


def test_a_collector_on_another_clock_is_refused(shelf: MetricsRegistry) -> None:
    with pytest.raises(MetricError, match=r"the clock SystemClock\(\); it must be the registry's, <ManualClock 1000>"):
        shelf.register_collector("app", MetricsCollector())


def test_a_namespace_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="the namespace 'a b'"):
        MetricsRegistry("a b")


def test_an_unknown_format_is_refused(shelf: MetricsRegistry) -> None:
    with pytest.raises(ValueError, match="the format 'xml'; use one of json, prometheus, openmetrics"):
        shelf.export_metrics("xml")


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        (lambda c: c.counter("hits"), lambda c: c.counter("hits_total"), "kailash_app_hits"),
        (lambda c: c.counter("hits"), lambda c: c.gauge("hits"), "kailash_app_hits"),
        (lambda c: c.timer("took"), lambda c: c.gauge("took_seconds"), "kailash_app_took_seconds"),
        (lambda c: c.histogram("size"), lambda c: c.counter("size_count"), "kailash_app_size_count"),
        (lambda c: c.gauge("size_sum"), lambda c: c.histogram("size"), "kailash_app_size_sum"),
    ],
)
def test_two_metrics_cannot_share_an_exported_name(
    shelf: MetricsRegistry, time: ManualClock, first, second, shared: str
) -> None:  # type: ignore[no-untyped-def]
    app = shelf.collector("app")
    first(app)
    name = next(iter(app.get_all_metrics()))
    with pytest.raises(MetricError, match=f"the exported name '{shared}', which metric '{name}' of collector 'app' has"):
        shelf.claim("app", second(MetricsCollector(clock=time)).metric.metadata)
    assert len(app.get_all_metrics()) == 1


def test_exported_names_are_shared_across_collectors_too(shelf: MetricsRegistry, time: ManualClock) -> None:
    shelf.collector("a").gauge("b_c")
    late = MetricsCollector(clock=time)
    late.gauge("x")
    late.gauge("c")
    with pytest.raises(MetricError, match="metric 'c' of collector 'a_b': the exported name 'kailash_a_b_c'"):
        shelf.register_collector("a_b", late)
    assert late.registry is None
    shelf.register_collector("other", late)  # and its names were given back
    shelf.unregister_collector("a")
    shelf.collector("a_b").gauge("c")
    shelf.unregister_collector("a_b")
    shelf.collector("a").gauge("b_c")


def test_a_callback_that_raises_leaves_its_metric_out_and_is_reported_once(shelf: MetricsRegistry) -> None:
    reports: list[str] = []
    shelf.observer = lambda name, text: reports.append(f"{name}: {text}")
    app = shelf.collector("app")

    def broken() -> float:
        raise OSError("no such sensor")

    app.callback_gauge("broken", broken)
    app.set_gauge("whole", 1)
    for _ in range(3):
        assert list(json.loads(shelf.export_metrics("json"))["app"]) == ["whole"]
    assert reports == ["app: metric 'broken' is left out: its callback raised OSError: no such sensor"]


def test_a_report_without_an_observer_goes_nowhere(shelf: MetricsRegistry, time: ManualClock) -> None:
    shelf.collector("app").increment("hits", -1)
    MetricsCollector(clock=time).increment("hits", -1)


# -- the guide's collectors


def test_validation_counts_shares_by_node_type(time: ManualClock) -> None:
    validation = ValidationMetrics(clock=time)
    assert (validation.get_success_rate(), validation.get_cache_hit_rate()) == (1.0, 0.0)
    assert validation.get_success_rate(default=0.5) == 0.5
    validation.record_validation_attempt("A", True, 12.5, cached=True)
    validation.record_validation_attempt("A", True, 12.5)
    time.advance(1)
    validation.record_validation_attempt("B", False, 100.0)
    validation.record_validation_attempt("B", False, 100.0)
    assert validation.get_success_rate() == 0.5
    assert validation.get_cache_hit_rate("5m") == 0.25
    time.advance(600)
    assert validation.get_success_rate(timedelta(minutes=5)) == 1.0
    totals = {name: m.get_latest_value() for name, m in validation.get_all_metrics().items()}
    assert totals == {
        "validation_total": 4, "validation_success": 2, "validation_failure": 2,
        "validation_cache_hits": 1, "validation_cache_misses": 3, "validation_duration": 100.0,
    }  # fmt: skip


def test_security_counts_violations_and_attempts(time: ManualClock) -> None:
    security = SecurityMetrics(clock=time)
    security.record_security_violation("sql_injection", MetricSeverity.CRITICAL, "DatabaseNode", {"query": "'; DROP TABLE"})
    security.record_security_violation("path_traversal", MetricSeverity.LOW, "FileNode")
    security.record_blocked_connection("untrusted_source", "database", "SQL injection detected")
    assert security.get_violation_rate(timedelta(hours=1)) == 2 / 60
    assert security.get_critical_violations(timedelta(hours=24)) == 1
    assert security.get_metric("sql_injection_attempts").get_latest_value() == 1  # type: ignore[union-attr]
    assert security.get_metric("code_injection_attempts").get_latest_value() == 0  # type: ignore[union-attr]
    assert security.get_metric("blocked_connections").get_latest_value() == 1  # type: ignore[union-attr]


def test_details_of_violations_stay_out_of_exports(shelf: MetricsRegistry, time: ManualClock) -> None:
    security = SecurityMetrics(clock=time)
    shelf.register_collector("security", security)
    for _ in range(150):
        security.record_security_violation("sql_injection", MetricSeverity.HIGH, "DB", {"query": "s3cret"})
    assert len(security.recent_events()) == 100
    assert security.recent_events()[0].details == {"query": "s3cret"}
    everything = shelf.export_metrics("json") + shelf.export_metrics("prometheus") + repr(security.recent_events())
    assert "s3cret" not in everything


def test_performance_measures_operations(time: ManualClock) -> None:
    performance = PerformanceMetrics(clock=time, memory_limit_mb=1024)
    error_rate = performance.get_metric("error_rate")
    assert error_rate is not None
    assert error_rate.get_latest_value() is None
    assert performance.get_p95_response_time() is None
    performance.record_operation("validation", 125.5, success=True)
    performance.record_operation("database_query", 1500.0, success=False)
    performance.update_system_metrics(memory_mb=512.0, cpu_percent=75.0, rps=150.0)
    assert performance.get_p95_response_time(timedelta(hours=1)) == pytest.approx(1500, rel=0.022)
    assert error_rate.get_latest_value() == 50.0
    values = {name: m.get_latest_value() for name, m in performance.get_all_metrics().items()}
    assert values["slow_operations"] == 1
    assert (values["memory_usage"], values["memory_used"]) == (50.0, 512 * 1024 * 1024)
    assert (values["cpu_usage"], values["throughput"]) == (75.0, 150.0)


def test_memory_usage_is_a_percentage_of_what_there_is(time: ManualClock) -> None:
    performance = PerformanceMetrics(clock=time)
    performance.update_system_metrics(memory_mb=512.0, cpu_percent=75.0, rps=150.0)
    limit = memory_limit()
    assert limit is not None
    assert performance.get_metric("memory_usage").get_latest_value() == pytest.approx(  # type: ignore[union-attr]
        100 * 512 * 2**20 / limit
    )
