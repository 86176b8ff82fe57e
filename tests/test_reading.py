"""Readings: what a rule sees of its metric."""

import pytest

from kailash_monitor.errors import RuleError
from kailash_monitor.metrics import MetricsCollector, MetricType
from kailash_monitor.model.labels import Labels
from kailash_monitor.rules import AlertRule, Empty, Reading, Value, Waiting, read
from kailash_monitor.testing import ManualClock


@pytest.fixture
def time() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def collector(time: ManualClock) -> MetricsCollector:
    return MetricsCollector(clock=time)


def see(collector: MetricsCollector, condition: str, metric: str = "m", **more: object) -> dict[Labels, Reading]:
    rule = AlertRule("r", "d", "warning", metric, condition, **{"time_window": 10, **more})  # type: ignore[arg-type]
    found = collector.get_metric(metric)
    assert found is not None
    of = found.metadata.share_of
    return read(rule, found, collector.get_metric(of) if of else None, collector.clock.now())


def one(collector: MetricsCollector, condition: str, metric: str = "m", **more: object) -> Reading:
    (reading,) = see(collector, condition, metric, **more).values()
    return reading


@pytest.mark.parametrize(
    ("condition", "value"),
    [("> 1", 4), ("rate > 1", 0.4), ("per_second > 1", 0.4), ("increase > 1", 4), ("latest > 1", 6)],
)
def test_words_of_a_counter(collector: MetricsCollector, time: ManualClock, condition: str, value: float) -> None:
    collector.increment("m", 2)
    time.advance(60)
    collector.increment("m", 1, {"a": "x"})
    collector.increment("m", 3, {"a": "y"})
    assert one(collector, condition) == Value(value)


@pytest.mark.parametrize(
    ("condition", "value"),
    [("> 1", 7), ("latest > 1", 7), ("avg > 1", 5), ("min > 1", 3), ("max > 1", 7), ("sum > 1", 15), ("count > 1", 3),
     ("rate > 1", 0.4), ("per_second > 1", 0.4)],
)  # fmt: skip
def test_words_of_a_gauge(collector: MetricsCollector, time: ManualClock, condition: str, value: float) -> None:
    collector.set_gauge("m", 3)  # in force when the window starts
    time.advance(60)
    collector.set_gauge("m", 5)
    collector.set_gauge("m", 7)
    assert one(collector, condition) == Value(value)


@pytest.mark.parametrize(
    ("condition", "value"),
    [("> 1", 9), ("latest > 1", 9), ("avg > 1", 6), ("min > 1", 3), ("max > 1", 9), ("sum > 1", 12), ("count > 1", 2),
     ("increase > 1", 2), ("rate > 1", 0.2), ("per_second > 1", 0.2), ("p100 > 1", 9), ("p0 > 1", 3)],
)  # fmt: skip
def test_words_of_a_distribution(collector: MetricsCollector, time: ManualClock, condition: str, value: float) -> None:
    collector.record_timer("m", 100)
    time.advance(60)
    collector.record_timer("m", 3, {"a": "x"})
    time.advance(1)
    collector.record_timer("m", 9, {"a": "y"})
    assert one(collector, condition) == Value(value)


@pytest.mark.parametrize(
    ("record", "condition", "message"),
    [
        ("increment", "avg > 1", "'avg > 1' on the counter 'm'; 'avg' does not fit a counter"),
        ("set_gauge", "increase > 1", "does not fit a gauge"),
        ("set_gauge", "p95 > 1", "does not fit a gauge"),
        ("record_timer", "share > 1", "does not fit a timer"),
        ("increment", "share > 1", "the counter must be declared with share_of="),
    ],
)
def test_a_word_that_does_not_fit_is_an_error(
    collector: MetricsCollector, record: str, condition: str, message: str
) -> None:
    getattr(collector, record)("m", 1)
    with pytest.raises(RuleError, match=message):
        see(collector, condition)


def test_a_window_that_is_not_covered_gives_a_lower_bound(collector: MetricsCollector, time: ManualClock) -> None:
    collector.increment("m", 4)
    collector.record_timer("t", 5)
    time.advance(5)
    assert one(collector, "> 1") == Value(4, at_least=True)
    assert one(collector, "rate > 1") == Value(0.4, at_least=True)
    assert one(collector, "count > 1", "t") == Value(1, at_least=True)
    assert one(collector, "rate > 1", "t") == Value(0.1, at_least=True)
    assert one(collector, "sum > 1", "t") == Value(5, at_least=True)
    assert one(collector, "avg > 1", "t") == Value(5)
    time.advance(5)
    assert one(collector, "> 1") == Value(0)


def test_nothing_observed_is_waiting_until_the_window_is_covered_and_empty_then(
    collector: MetricsCollector, time: ManualClock
) -> None:
    collector.create_metric("m", MetricType.TIMER)
    collector.gauge("g", labels=("a",)).labels("x")  # a handle, never set
    assert one(collector, "avg > 1") == one(collector, "avg > 1", "g") == Waiting()
    time.advance(10)
    assert one(collector, "avg > 1") == one(collector, "> 1") == one(collector, "avg > 1", "g") == Empty()
    assert one(collector, "sum > 1", "g") == one(collector, "rate > 1", "g") == Empty()
    assert one(collector, "count > 1") == Value(0)


def test_a_gauge_that_was_never_set_is_waited_for(collector: MetricsCollector, time: ManualClock) -> None:
    collector.create_metric("m", MetricType.GAUGE)
    time.advance(1000)
    assert one(collector, "> 1") == Waiting()


def test_of_several_gauges_the_worst_is_judged(collector: MetricsCollector) -> None:
    for name, value in (("a", 1), ("b", 9), ("c", 5)):
        collector.set_gauge("m", value, {"disk": name})
    assert one(collector, "> 3") == Value(9)
    assert one(collector, "!= 9") == Value(5)
    assert one(collector, "< 3") == Value(1)
    assert one(collector, "== 5") == Value(5)
    assert one(collector, "> 3", match={"disk": "c"}) == Value(5)


def test_group_by_gives_a_reading_for_each_group(collector: MetricsCollector, time: ManualClock) -> None:
    time.advance(60)
    for path, code, count in (("/a", "200", 3), ("/a", "500", 1), ("/b", "200", 2)):
        collector.increment("m", count, {"path": path, "code": code})
    assert see(collector, "> 1", group_by=("path",)) == {
        Labels({"path": "/a"}): Value(4, at_least=True),
        Labels({"path": "/b"}): Value(2, at_least=True),
    }
    assert see(collector, "> 1", group_by=("path",), match={"path": "/c"}) == {}


def test_rate_of_a_declared_share_is_its_share(collector: MetricsCollector, time: ManualClock) -> None:
    total = collector.counter("total", labels=("node",))
    failed = collector.counter("m", labels=("node",), share_of="total")
    assert one(collector, "rate > 0.1") == Waiting()
    time.advance(60)
    assert one(collector, "rate > 0.1") == one(collector, "share > 0.1") == Empty()
    total.inc("a", by=8)
    total.inc("b", by=2)
    failed.inc("b")
    assert one(collector, "rate > 0.1") == Value(0.1)
    assert one(collector, "per_second > 0.1") == Value(0.1)
    assert see(collector, "share > 0.1", group_by=("node",)) == {
        Labels({"node": "a"}): Value(0.0),
        Labels({"node": "b"}): Value(0.5),
    }


def test_a_share_of_what_is_not_there_is_an_error(collector: MetricsCollector) -> None:
    collector.counter("m", share_of="total").inc()
    with pytest.raises(RuleError, match="'m' is a share of 'total', which the collector does not have; record that one"):
        see(collector, "rate > 0.1")


def test_a_computed_gauge_with_nothing_to_say_is_empty(collector: MetricsCollector) -> None:
    collector.callback_gauge("m", lambda: None)
    assert one(collector, "> 1") == Empty()
