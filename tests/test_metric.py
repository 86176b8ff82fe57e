"""Metrics: definitions, limits and reads over all series; instruments and the collector that makes them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.engine.evaluator import Evaluator
from kailash_monitor.engine.sighting import Sighting
from kailash_monitor.errors import MetricError, ValueRefused
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry, MetricType
from kailash_monitor.model.window import CounterWindow
from kailash_monitor.testing import ManualClock


@pytest.fixture
def time() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def reports() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def collector(time: ManualClock, reports: list[tuple[str, str]]) -> MetricsCollector:
    registry = MetricsRegistry(clock=time)
    registry.observer = lambda name, text: reports.append((name, text))
    return registry.collector("app")


# -- definitions


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (lambda c: c.counter("a\nb"), r"metric: the name 'a\\nb'; a name is text without control characters, quotes"),
        (lambda c: c.counter("1a"), "the name '1a'"),
        (lambda c: c.counter('a"b'), "the name 'a\"b'"),
        (lambda c: c.counter("a\ud800"), "the name"),
        (lambda c: c.counter(""), "the name ''"),
        (lambda c: c.counter("x", labels=("a-b",)), "metric 'x': the label name 'a-b'; letters, digits"),
        (lambda c: c.counter("x", labels=("__a",)), "the label name '__a'"),
        (lambda c: c.counter("x", labels=("a", "a")), "the labels 'a', 'a'; each name once"),
        (lambda c: c.timer("x", labels=("le",)), "the label name 'le'"),
        (lambda c: c.histogram("x", buckets=(2, 1)), r"the buckets \[2, 1\]; finite bounds in rising order"),
        (lambda c: c.histogram("x", buckets=()), "the buckets"),
        (lambda c: c.create_metric("x", MetricType.GAUGE, buckets=(1,)), "buckets; a gauge has none"),
        (lambda c: c.create_metric("x", MetricType.GAUGE, share_of="y"), "share_of on a gauge; only a counter can be a share"),
        (lambda c: c.counter("x", labels=("overflow",)), "the label name 'overflow'; that one marks the series"),
        (lambda c: c.counter("x", labels=("a",), keep=("b",)), "keep='b'; use some of its labels 'a'"),
        (lambda c: c.counter("x", ttl=-1), r"ttl=-1.0; a duration above zero"),
    ],
)  # fmt: skip
def test_a_wrong_definition_says_what_was_seen_and_what_is_right(
    collector: MetricsCollector, define: object, message: str
) -> None:
    with pytest.raises(MetricError, match=message):
        define(collector)  # type: ignore[operator]


def test_the_same_definition_gives_the_same_metric(collector: MetricsCollector) -> None:
    assert collector.counter("x", "text", labels=("a",)).metric is collector.counter("x", "text", labels=("a",)).metric
    assert collector.create_metric("y", MetricType.TIMER) is collector.create_metric("y", MetricType.TIMER)


def test_another_definition_is_refused_with_the_difference(collector: MetricsCollector) -> None:
    collector.counter("x", "text", labels=("a",))
    with pytest.raises(MetricError, match="type gauge and counter, description 'other' and 'text'"):
        collector.gauge("x", "other", labels=("a",))
    with pytest.raises(MetricError, match=r"labels \('b',\) and \('a',\)"):
        collector.counter("x", "text", labels=("b",))
    with pytest.raises(MetricError, match="ttl 60.0 and None"):
        collector.counter("x", "text", labels=("a",), ttl="1m")
    collector.histogram("h", buckets=(1, 2))
    with pytest.raises(MetricError, match=r"buckets \(1.0, 3.0\) and \(1.0, 2.0\)"):
        collector.histogram("h", buckets=(1, 3))
    assert collector.histogram("h").metric is collector.histogram("h", buckets=(1.0, 2.0, float("inf"))).metric


def test_a_series_of_the_wrong_kind_says_which_it_is(collector: MetricsCollector) -> None:
    collector.create_metric("x", MetricType.GAUGE)
    with pytest.raises(MetricError, match="metric 'x': recorded as a counter; it is a gauge"):
        collector.increment("x")


def test_the_wrong_labels_are_named(collector: MetricsCollector) -> None:
    requests = collector.counter("requests", labels=("method", "path"))
    with pytest.raises(MetricError, match=r"1 label values \('GET',\); one for each of its 2 labels"):
        requests.inc("GET")
    with pytest.raises(MetricError, match="the labels 'verb'; it has the labels 'method', 'path'"):
        collector.increment("requests", 1, {"verb": "GET"})
    with pytest.raises(MetricError, match="the label name 'a-b'"):
        collector.increment("free", 1, {"a-b": "x"})


# -- instruments


def test_three_ways_to_record_meet_in_one_series(collector: MetricsCollector) -> None:
    requests = collector.counter("requests", labels=("method", "path"))
    requests.inc("GET", "/x")
    requests.inc("GET", "/x", by=3)
    requests.labels("GET", "/x").inc(2)
    collector.increment("requests", 4, labels={"path": "/x", "method": "GET"})
    assert [series.window(60, 1000.0) for series in requests.metric.series] == [
        CounterWindow(940.0, 1000.0, 1000.0, increase=10.0, total=10.0)
    ]


def test_equal_values_of_other_types_are_other_labels(collector: MetricsCollector) -> None:
    flags = collector.counter("flags", labels=("flag",))
    for value in (1, True, 1.0, "1", [1]):
        flags.inc(value)
    assert sorted(series.labels["flag"] for series in flags.metric.series) == ["1", "1.0", "True", "[1]"]


def test_an_instrument_without_labels_is_its_own_handle(collector: MetricsCollector) -> None:
    temperature = collector.gauge("temperature")
    temperature.set(21.5)
    temperature.add(-1.5)
    assert temperature.metric.get_latest_value() == 20.0
    collector.histogram("size").observe(3)
    collector.timer("wait").observe(5)
    assert collector.get_metric("size").get_latest_value() == 3.0  # type: ignore[union-attr]


def test_the_guides_calls_make_metrics_that_take_any_labels(collector: MetricsCollector) -> None:
    collector.increment("hits", labels={"a": 1})
    collector.increment("hits", labels={"b": 2})
    collector.set_gauge("users", 42)
    collector.record_timer("took", 250.0, {"kind": "etl"})
    collector.record_histogram("bytes", 10)
    types = {name: metric.metric_type.value for name, metric in collector.get_all_metrics().items()}
    assert types == {"hits": "counter", "users": "gauge", "took": "timer", "bytes": "histogram"}
    collector.clear_metrics()
    assert [metric.series for metric in collector.get_all_metrics().values()] == [[], [], [], []]
    collector.increment("hits")
    assert collector.get_metric("hits").get_latest_value() == 1  # type: ignore[union-attr]


# -- values


def test_bad_values_are_counted_and_reported_once(collector: MetricsCollector, reports: list[tuple[str, str]]) -> None:
    for _ in range(5):
        collector.increment("hits", -1)
    metric = collector.get_metric("hits")
    assert metric is not None
    assert metric.refused == 5
    assert reports == [
        ("app", "metric 'hits' dropped the value -1: negative: a counter only rises. Further ones are only counted")
    ]


def test_a_strict_collector_raises_for_a_bad_value(time: ManualClock) -> None:
    with pytest.raises(ValueRefused, match="metric 'hits': nan is not a finite number"):
        MetricsCollector(clock=time, strict=True).increment("hits", float("nan"))


# -- limits


def test_label_sets_past_the_limit_are_counted_together(collector: MetricsCollector, reports: list[tuple[str, str]]) -> None:
    collector.max_series = 3
    hits = collector.counter("hits", labels=("user", "kind"))
    for user in range(10):
        hits.inc(user, "a")
    assert hits.metric.get_increase() == 10
    assert len(hits.metric.series) == 4
    assert hits.metric.overflowed == 7
    assert {
        repr(s.labels): s.total
        for s in hits.metric.series
        if "overflow" in s.labels  # type: ignore[union-attr]
    } == {'{overflow="true"}': 7.0}
    assert len(reports) == 1
    assert "limit of 3 series" in reports[0][1]
    assert "label 'user' with 3 values" in reports[0][1]


def test_lowering_the_limit_evicts_nothing(collector: MetricsCollector) -> None:
    for user in range(5):
        collector.increment("hits", labels={"user": user})
    collector.max_series = 0
    collector.increment("hits", labels={"user": 3})
    collector.increment("empty")
    assert len(collector.get_metric("hits").series) == 5  # type: ignore[union-attr]
    assert [repr(s.labels) for s in collector.get_metric("empty").series] == ['{overflow="true"}']  # type: ignore[union-attr]


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(1, 20))
def test_totals_are_conserved_over_overflow(users: list[int], limit: int) -> None:
    collector = MetricsCollector(limit, clock=ManualClock())
    for user in users:
        collector.increment("hits", labels={"user": user})
    metric = collector.get_metric("hits")
    assert (metric.get_increase() if metric else 0) == len(users)


# -- reading


def test_reads_of_a_counter(collector: MetricsCollector, time: ManualClock) -> None:
    hits = collector.counter("hits", labels=("path",))
    hits.inc("/a", by=4)
    time.advance(100)
    hits.inc("/b", by=2)
    metric = hits.metric
    assert metric.get_latest_value() == 6
    assert (metric.get_increase("50s"), metric.get_rate("50s")) == (2, 0.04)
    assert metric.get_increase() == 6
    assert (metric.get_average(), metric.get_max(), metric.get_min(), metric.get_percentile(50)) == (None,) * 4
    assert metric.window("1h", {"path": "/a"}).increase == 4  # type: ignore[union-attr]
    assert repr(metric) == "<Metric hits counter, 2 series>"


def test_reads_of_a_gauge_speak_of_the_value_set_last(collector: MetricsCollector, time: ManualClock) -> None:
    users = collector.gauge("users", labels=("site",))
    users.set("a", 10)
    time.advance(1)
    users.set("b", 2)
    time.advance(10)
    users.set("b", 3)
    metric = users.metric
    assert metric.get_latest_value() == 3
    assert (metric.get_min(), metric.get_max(), metric.get_average()) == (2, 10, 5)
    assert metric.get_increase() == 1
    assert metric.get_rate("10s") == 0.1
    assert metric.get_percentile(50) is None


def test_reads_of_a_distribution(collector: MetricsCollector) -> None:
    for value in (1.0, 2.0, 3.0, 4.0):
        collector.record_histogram("size", value, {"kind": str(value)})
    metric = collector.get_metric("size")
    assert metric is not None
    assert (metric.get_average(), metric.get_min(), metric.get_max(), metric.get_increase()) == (2.5, 1, 4, 4)
    assert metric.get_percentile(50) == pytest.approx(2.0, rel=0.022)
    assert metric.get_percentile(100) == 4.0
    assert metric.get_rate("4s") == 1.0


@pytest.mark.parametrize("kind", list(MetricType))
def test_a_metric_without_recordings_has_no_values(collector: MetricsCollector, kind: MetricType) -> None:
    metric = collector.create_metric("x", kind)
    nothing = 0.0 if kind is MetricType.COUNTER else None
    assert metric.get_latest_value() == nothing
    assert (metric.get_average(), metric.get_min(), metric.get_max(), metric.points) == (None, None, None, [])
    assert metric.get_rate() == (None if kind is MetricType.GAUGE else 0.0)


def test_points_carry_wall_time_and_labels(collector: MetricsCollector, time: ManualClock) -> None:
    collector.set_gauge("users", 1, {"site": "a"})
    time.advance(1)
    collector.set_gauge("users", 2, {"site": "b"})
    points = collector.get_metric("users").points  # type: ignore[union-attr]
    assert [(p.timestamp.isoformat(), p.value, dict(p.labels)) for p in points] == [
        ("2023-11-14T22:30:00+00:00", 1.0, {"site": "a"}),
        ("2023-11-14T22:30:01+00:00", 2.0, {"site": "b"}),
    ]


def test_a_computed_gauge_is_what_its_function_says(collector: MetricsCollector) -> None:
    metric = collector.callback_gauge("clock", collector.clock.now, "Now", unit="seconds")
    assert metric.get_latest_value() == metric.get_max() == 1000.0


@pytest.mark.untraced
async def test_history_is_kept_for_as_long_as_a_rule_asks(registry: MetricsRegistry) -> None:
    """A window of three days on a metric whose history is a day otherwise."""
    hits = registry.collector("app").counter("hits")
    manager = AlertManager(registry)
    manager.add_rule(AlertRule("slow", "d", "warning", "hits", "increase > 70", time_window="3d", evaluation_interval="1h"))
    async with manager:
        for _ in range(80):
            hits.inc()
            await asyncio.sleep(3600)
    assert hits.metric.get_increase("2d") == pytest.approx(48, rel=0.07)
    assert hits.metric.window("3d").covered


def test_whatever_is_recorded_nothing_is_raised_into_the_program(collector: MetricsCollector) -> None:
    class Hostile:
        def __float__(self) -> float:
            raise RuntimeError("no")

        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    bad = Hostile()
    collector.increment("c", bad)  # type: ignore[arg-type]
    collector.set_gauge("g", bad)  # type: ignore[arg-type]
    collector.record_timer("t", bad, {"a": bad})  # type: ignore[arg-type]
    collector.counter("e").inc(exemplar={1: "x"})  # type: ignore[dict-item]
    collector.counter("e").inc(exemplar="trace")  # type: ignore[arg-type]
    collector.counter("e").inc(exemplar={"a": bad})
    assert [metric.refused for metric in collector.get_all_metrics().values()] == [1, 1, 1, 2]
    assert collector.get_metric("e").get_latest_value() == 3  # type: ignore[union-attr]


def worst_seen(rule: AlertRule, collector: MetricsCollector, now: float) -> float | None:
    found: list[Sighting] = []
    for _ in Evaluator().evaluate(rule, {"c": collector}, {}, lambda rule, collector: (), found, now):
        pass
    return found[0].worst


def test_series_that_a_rule_looks_at_are_not_given_up_before_its_window_is_over(
    collector: MetricsCollector, time: ManualClock
) -> None:
    errors = collector.counter("errors", labels=("code",), ttl="5m")
    rule = AlertRule("r", "d", "warning", "errors", "> 10", time_window="1h", match={"code": "500"})
    errors.inc("500", by=20)
    for _ in range(11):
        time.advance(300)
        errors.inc("200")
        assert worst_seen(rule, collector, time.now()) == 20.0
    for _ in range(20):
        time.advance(300)
        errors.inc("200")
        seen = worst_seen(rule, collector, time.now())
    assert seen == 0.0
    assert [series.labels["code"] for series in errors.metric.series] == ["200"]


def test_a_label_set_that_comes_back_is_counted_from_then_on(collector: MetricsCollector, time: ManualClock) -> None:
    hits = collector.counter("hits", labels=("path",))
    hits.inc("/a")
    time.advance(50)
    hits.remove("/a")
    time.advance(50)
    hits.inc("/a")
    assert hits.labels("/a").born == 1100.0
    with pytest.raises(MetricError, match="the labels 'verb'; it has the labels 'path'"):
        hits.metric.remove({"verb": "/a"})
