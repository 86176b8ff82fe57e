"""Exposition: pages that others can read, whatever is in them."""

import json
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.errors import MetricError
from kailash_monitor.exposition import (
    OPENMETRICS_CONTENT_TYPE,
    PROMETHEUS_CONTENT_TYPE,
    accepts_gzip,
    choose_format,
    render_openmetrics,
    render_prometheus,
)
from kailash_monitor.exposition.names import exported_name
from kailash_monitor.metrics import (
    MetricSeverity,
    MetricsRegistry,
    PerformanceMetrics,
    SecurityMetrics,
    ValidationMetrics,
)
from kailash_monitor.model.labels import label_value
from kailash_monitor.model.metric import Metadata, MetricType
from kailash_monitor.testing import ManualClock


def full_registry() -> MetricsRegistry:
    """Give a registry with every type, and the guide's collectors in use."""
    time = ManualClock(1000.0)
    registry = MetricsRegistry(clock=time)
    validation, security, performance = (
        kind(clock=time) for kind in (ValidationMetrics, SecurityMetrics, PerformanceMetrics)
    )
    for name, collector in (("validation", validation), ("security", security), ("performance", performance)):
        registry.register_collector(name, collector)
    validation.record_validation_attempt("PythonCodeNode", True, 12.5)
    security.record_security_violation("sql_injection", MetricSeverity.HIGH, "DB")
    performance.record_operation("query", 20.0)
    performance.update_system_metrics(512, 50, 10)
    registry.collector("app").gauge("temperature", "Line one\nline \\ two").set(-1.5)
    return registry


@pytest.mark.parametrize(
    ("metadata", "name", "divisor"),
    [
        (Metadata("validation_total", MetricType.COUNTER), "kailash_app_validation_total", 1),
        (Metadata("hits", MetricType.COUNTER), "kailash_app_hits_total", 1),
        (Metadata("read", MetricType.COUNTER, unit="bytes"), "kailash_app_read_bytes_total", 1),
        (Metadata("read_bytes_total", MetricType.COUNTER, unit="bytes"), "kailash_app_read_bytes_total", 1),
        (Metadata("response_time", MetricType.TIMER, unit="milliseconds"), "kailash_app_response_time_seconds", 1000),
        (Metadata("wait_ms", MetricType.TIMER, unit="ms"), "kailash_app_wait_seconds", 1000),
        (Metadata("lag", MetricType.TIMER, unit="seconds"), "kailash_app_lag_seconds", 1),
        (Metadata("cpu_usage", MetricType.GAUGE, unit="percent"), "kailash_app_cpu_usage", 1),
    ],
)  # fmt: skip
def test_exported_names_end_in_base_units(metadata: Metadata, name: str, divisor: float) -> None:
    exported = exported_name("kailash", "app", metadata)
    assert (exported.name, exported.divisor) == (name, divisor)


def test_a_namespace_can_be_left_out() -> None:
    assert exported_name("", "app", Metadata("hits", MetricType.COUNTER)).name == "app_hits_total"


def test_the_guides_example_page() -> None:
    page = full_registry().export_metrics("prometheus")
    assert page.startswith(
        "# HELP kailash_validation_validation_total Total validation attempts\n"
        "# TYPE kailash_validation_validation_total counter\n"
        'kailash_validation_validation_total{node_type="PythonCodeNode"} 1\n'
    )
    assert (
        "# HELP kailash_app_temperature Line one\\nline \\\\ two\n# TYPE kailash_app_temperature gauge\nkailash_app_temperature -1.5\n"
        in page
    )


def test_a_timer_is_a_histogram_in_seconds() -> None:
    page = full_registry().export_metrics("prometheus")
    name = "kailash_performance_response_time_seconds"
    assert f'{name}_bucket{{operation="query",le="0.01"}} 0\n{name}_bucket{{operation="query",le="0.025"}} 1\n' in page
    assert (
        f'{name}_bucket{{operation="query",le="+Inf"}} 1\n{name}_sum{{operation="query"}} 0.02\n{name}_count{{operation="query"}} 1\n'
        in page
    )


def test_what_was_never_recorded_is_not_on_the_page() -> None:
    registry = MetricsRegistry(clock=ManualClock())
    registry.collector("app").counter("hits")
    assert registry.export_metrics("prometheus") == ""
    assert json.loads(registry.export_metrics("json"))["app"]["hits"]["series"] == []


def test_numbers_are_written_as_prometheus_reads_them() -> None:
    registry = MetricsRegistry("", clock=ManualClock())
    app = registry.collector("app")
    for name, value in {"whole": 3.0, "big": 2.0**60, "small": 1e-9, "sum": 1.5e308}.items():
        app.increment(name, value)
    app.increment("sum", 1.5e308)
    page = registry.export_metrics("prometheus")
    for line in (
        "app_whole_total 3",
        "app_big_total 1.152921504606847e+18",
        "app_small_total 1e-09",
        "app_sum_total 1.5e+308",  # a second one would make it infinite
    ):
        assert f"{line}\n" in page


def test_the_json_document_has_the_documented_form() -> None:
    document = json.loads(full_registry().export_metrics("json"))
    total = document["validation"]["validation_total"]
    assert total == {
        "type": "counter",
        "description": "Total validation attempts",
        "unit": "",
        "latest_value": 1.0,
        "points": [{"timestamp": "2023-11-14T22:30:00+00:00", "value": 1.0, "labels": {"node_type": "PythonCodeNode"}}],
        "series": [{"labels": {"node_type": "PythonCodeNode"}, "value": 1.0}],
    }
    timer = document["performance"]["response_time"]["series"][0]
    assert (timer["count"], timer["sum"], timer["latest_value"]) == (1, 20.0, 20.0)
    assert (timer["buckets"]["10.0"], timer["buckets"]["25.0"], timer["buckets"]["+Inf"]) == (0, 1, 1)


hostile = st.one_of(
    st.text(), st.text(alphabet='"\\\n\r\0{}=,# \ud800é'), st.sampled_from(["x" * 1_000_000, '"} 1\nfake 2'])
)


@given(hostile, hostile)
def test_no_label_value_or_description_can_forge_a_line(value: str, description: str) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client, from the extra 'prometheus'")
    registry = MetricsRegistry(clock=ManualClock())
    registry.collector("app").gauge("g", description, labels=("a",)).set(value, 1.5)
    page = registry.export_metrics("prometheus")
    families = list(parser.text_string_to_metric_families(page))
    assert [(s.name, s.labels, s.value) for f in families for s in f.samples] == [
        ("kailash_app_g", {"a": label_value(value)}, 1.5)
    ]
    assert json.loads(registry.export_metrics("json"))["app"]["g"]["series"] == [
        {"labels": {"a": label_value(value)}, "value": 1.5}
    ]


@given(st.text(min_size=1, max_size=20), hostile)
def test_a_hostile_name_is_refused_or_read_back_as_it_is(name: str, value: str) -> None:
    """Version 1.0.0 of both texts has names in quotes; without it, what older servers do not take is an underscore."""
    texts = pytest.importorskip("prometheus_client.parser", reason="prometheus_client, from the extra 'prometheus'")
    openmetrics = pytest.importorskip(
        "prometheus_client.openmetrics.parser", reason="prometheus_client, from the extra 'prometheus'"
    )
    registry = MetricsRegistry("", clock=ManualClock())
    app = registry.collector("app")
    try:
        app.counter(name, labels=("a",)).inc(value, by=3)
        app.histogram(f"{name}_h", labels=("a",)).observe(value, 0.3)
        app.gauge(f"{name}_g").set(7)
    except MetricError:
        return
    exported = f"app_{name.removesuffix('_total')}_total"
    for render, parser, utf8 in (
        (render_prometheus, texts, False),
        (render_prometheus, texts, True),
        (render_openmetrics, openmetrics, False),
        (render_openmetrics, openmetrics, True),
    ):
        page = b"".join(render(registry.snapshot(), utf8=utf8)).decode()
        samples = {
            (s.name, s.labels.get("a")): s.value for f in parser.text_string_to_metric_families(page) for s in f.samples
        }
        expected = exported if utf8 else re.sub("[^a-zA-Z0-9_:]", "_", exported)
        assert samples[expected, label_value(value)] == 3.0
        assert samples[re.sub("[^a-zA-Z0-9_:]", "_", f"app_{name}_g") if not utf8 else f"app_{name}_g", None] == 7.0


def test_names_that_differ_in_what_older_servers_do_not_read_are_refused() -> None:
    app = MetricsRegistry(clock=ManualClock()).collector("app")
    app.counter("http.requests")
    with pytest.raises(MetricError, match="the exported name 'kailash_app_http_requests'"):
        app.counter("http/requests")


@pytest.mark.parametrize(
    ("accept", "content_type", "line"),
    [
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8", '{"kailash_app_a.b_total"} 1\n'),
        ("text/plain;version=1.0.0;escaping=underscores", PROMETHEUS_CONTENT_TYPE, "kailash_app_a_b_total 1\n"),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1", f"{OPENMETRICS_CONTENT_TYPE}; escaping=allow-utf-8", '{"kailash_app_a.b_total"} 1.0\n'),
        ("application/openmetrics-text;version=1.0.0", OPENMETRICS_CONTENT_TYPE, "kailash_app_a_b_total 1.0\n"),
    ],
)  # fmt: skip
def test_names_beyond_ascii_have_to_be_asked_for(accept: str, content_type: str, line: str) -> None:
    registry = MetricsRegistry(clock=ManualClock())
    registry.collector("app").counter("a.b").inc()
    chosen = choose_format(accept)
    assert chosen.content_type == content_type
    assert line in b"".join(chosen.render(registry.snapshot())).decode()


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("*/*;q=0.9, application/openmetrics-text;q=0.1", "prometheus"),
        ("text/*", "prometheus"),
        ("application/openmetrics-text;q=0.9, */*;q=0.1", "openmetrics"),
        ("application/openmetrics-text;version=2.0.0, */*;q=0.1", "prometheus"),
        ("application/vnd.google.protobuf;proto=other;encoding=delimited", "prometheus"),
    ],
)
def test_ranges_mean_the_text_and_the_highest_quality_wins(accept: str, name: str) -> None:
    assert choose_format(accept).name == name


def test_exemplars_stand_behind_what_they_explain() -> None:
    time = ManualClock(1000.0)
    app = MetricsRegistry(clock=time).collector("app")
    app.counter("hits").inc(exemplar={"trace_id": "a1"})
    app.timer("took").observe(30.0, exemplar={"trace_id": "b2"})
    app.timer("took").observe(31.0)
    assert app.registry is not None
    page = app.registry.export_metrics("openmetrics")
    at = repr(time.wall())
    assert f'kailash_app_hits_total 1.0 # {{trace_id="a1"}} 1.0 {at}\n' in page
    assert f'kailash_app_took_seconds_bucket{{le="0.05"}} 2 # {{trace_id="b2"}} 0.03 {at}\n' in page
    assert "trace_id" not in app.registry.export_metrics("prometheus")


def test_an_exemplar_that_no_page_may_show_is_refused_and_its_event_counted() -> None:
    app = MetricsRegistry(clock=ManualClock()).collector("app")
    hits = app.counter("hits")
    hits.inc(exemplar={"trace_id": "x" * 130})
    hits.inc(exemplar={"trace-id": "x"})
    assert (hits.metric.latest(), hits.metric.refused) == (2.0, 2)
    assert "#" not in hits.metric.series[0].labels.text()


@pytest.mark.untraced
@given(hostile, hostile)
def test_openmetrics_gives_the_same_values_back(value: str, description: str) -> None:
    parser = pytest.importorskip(
        "prometheus_client.openmetrics.parser", reason="prometheus_client, from the extra 'prometheus'"
    )
    registry = MetricsRegistry(clock=ManualClock(1000.0))
    app = registry.collector("app")
    app.gauge("g", description, labels=("a",)).set(value, 1.5)
    app.counter("c", description, labels=("a",)).inc(value, by=3)
    app.timer("t", description, labels=("a",)).observe(value, 20.0)
    families = list(parser.text_string_to_metric_families(registry.export_metrics("openmetrics")))
    labels = {"a": label_value(value)}
    samples = {s.name: s.value for f in families for s in f.samples if s.labels == labels}
    created = 1_700_001_000.0
    assert samples == {
        "kailash_app_g": 1.5, "kailash_app_c_total": 3.0, "kailash_app_c_created": created,
        "kailash_app_t_seconds_count": 1.0, "kailash_app_t_seconds_sum": 0.02, "kailash_app_t_seconds_created": created,
    }  # fmt: skip
    buckets = {s.labels["le"]: s.value for f in families for s in f.samples if s.name.endswith("_bucket")}
    assert (buckets["0.01"], buckets["0.025"], buckets["10.0"], buckets["+Inf"]) == (0.0, 1.0, 1.0, 1.0)
    clean = description.encode("utf-8", "replace").decode()
    texts = [clean or name for name in ("g", "c", "t")]
    assert [f.documentation.strip() for f in families] == [text.strip() for text in texts]  # the parser strips some


def test_an_openmetrics_page_names_units_and_ends() -> None:
    page = full_registry().export_metrics("openmetrics")
    assert (
        "# TYPE kailash_performance_response_time_seconds histogram\n# UNIT kailash_performance_response_time_seconds seconds\n"
        in page
    )
    assert 'kailash_validation_validation_total{node_type="PythonCodeNode"} 1.0\n' in page
    assert 'kailash_validation_validation_created{node_type="PythonCodeNode"} 1700001000.0\n' in page
    assert page.endswith("# EOF\n")
    assert MetricsRegistry(clock=ManualClock()).export_metrics("openmetrics") == "# EOF\n"


def test_a_sum_that_can_fall_is_not_told() -> None:
    registry = MetricsRegistry("", clock=ManualClock())
    registry.collector("app").histogram("change", buckets=(-1, 0, 1)).observe(-0.5)
    page = registry.export_metrics("openmetrics")
    assert 'app_change_bucket{le="-1.0"} 0\napp_change_bucket{le="0.0"} 1\n' in page
    assert "_count" not in page  # either both or neither
    assert "_sum" not in page


PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "text/plain"),
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("text/html", "text/plain"),
        ("text/plain", "text/plain"),
        ("application/openmetrics-text", "application/openmetrics-text"),
        (PROMETHEUS_3, "application/openmetrics-text"),
        ("Application/OpenMetrics-Text; version=1.0.0", "application/openmetrics-text"),
        ('application/openmetrics-text; version="1.0.0"', "application/openmetrics-text"),
        ("application/openmetrics-text;version=9.9", "text/plain"),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9", "text/plain"),
        ("text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
        ("application/openmetrics-text;q=0,text/plain;q=0", "text/plain"),
        ("application/openmetrics-text;q=high", "text/plain"),
        (";;;,=,q=;,", "text/plain"),
    ],
)
def test_a_scraper_gets_what_it_reads_best(accept: str | None, media_type: str) -> None:
    assert choose_format(accept).media_type == media_type


@given(st.text())
def test_no_accept_header_is_an_error(header: str) -> None:
    assert choose_format(header).content_type in (PROMETHEUS_CONTENT_TYPE, OPENMETRICS_CONTENT_TYPE)
    assert accepts_gzip(header) in (True, False)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("*", True),
        ("*, gzip;q=0", False),
        ("br", False),
    ],
)
def test_gzip_is_for_those_who_read_it(header: str | None, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


@pytest.mark.external
def test_promtool_finds_nothing_to_say() -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool, from the Debian package prometheus, is not installed")
    page = full_registry().export_metrics("prometheus")
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
