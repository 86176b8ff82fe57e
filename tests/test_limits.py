"""Limits: what a metric does with more label sets than it may have, and what its reads say of it."""

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.errors import MetricError
from kailash_monitor.metrics import MetricsCollector, MetricSeverity, MetricsRegistry, MetricType, SecurityMetrics
from kailash_monitor.model.labels import Labels
from kailash_monitor.rules import AlertRule, Reading, Value, Waiting, read
from kailash_monitor.testing import ManualClock

from effort import examples  # isort: skip


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
    return registry.collector("app", max_series=2)


# -- the overflow series


def test_label_sets_past_the_limit_share_one_series(collector: MetricsCollector) -> None:
    hits = collector.counter("hits", labels=("user",))
    for user in "abcda":
        hits.inc(user)
    assert {repr(series.labels): series.get_increase() for series in hits.metric.series} == {
        '{user="a"}': 2, '{user="b"}': 1, '{overflow="true"}': 2,
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(MetricType))
def test_every_type_has_an_overflow_series(collector: MetricsCollector, kind: MetricType) -> None:
    metric = collector.create_metric("m", kind)
    record = {
        MetricType.COUNTER: collector.increment,
        MetricType.GAUGE: collector.set_gauge,
        MetricType.HISTOGRAM: collector.record_histogram,
        MetricType.TIMER: collector.record_timer,
    }[kind]
    for user in range(5):
        record("m", 1.0, {"user": user})
    assert [repr(series.labels) for series in metric.series] == ['{user="0"}', '{user="1"}', '{overflow="true"}']


def test_kept_labels_stay_apart_past_the_limit(collector: MetricsCollector) -> None:
    hits = collector.counter("hits", labels=("user", "kind"), keep=("kind",))
    for user in range(10):
        hits.inc(user, "odd" if user % 2 else "even")
    assert {repr(series.labels): series.get_increase() for series in hits.metric.series} == {
        '{user="0",kind="even"}': 1, '{user="1",kind="odd"}': 1,
        '{kind="even",overflow="true"}': 4, '{kind="odd",overflow="true"}': 4,
    }  # fmt: skip


def test_a_label_that_is_kept_and_absent_has_the_empty_value(collector: MetricsCollector) -> None:
    metric = collector.create_metric("hits", MetricType.COUNTER, keep=("kind",))
    for user in range(3):
        collector.increment("hits", labels={"user": user})
    assert metric.series[-1].labels == Labels({"overflow": "true", "kind": ""})


def test_kept_values_have_the_same_limit_themselves(collector: MetricsCollector) -> None:
    hits = collector.counter("hits", labels=("kind",), keep=("kind",))
    for kind in range(100):
        hits.inc(kind)
    assert [repr(series.labels) for series in hits.metric.series[2:]] == [
        '{kind="2",overflow="true"}', '{kind="3",overflow="true"}', '{overflow="true"}',
    ]  # fmt: skip
    assert hits.metric.get_increase() == 100


def test_there_is_room_again_after_a_removal(collector: MetricsCollector) -> None:
    for user in "abcc":
        collector.increment("hits", labels={"user": user})
    metric = collector.get_metric("hits")
    assert metric is not None
    metric.remove({"user": "a"})
    collector.increment("hits", labels={"user": "c"})
    assert [repr(series.labels) for series in metric.series] == ['{user="b"}', '{user="c"}', '{overflow="true"}']
    assert metric.get_latest_value() == 5


def test_raising_the_limit_makes_room(collector: MetricsCollector) -> None:
    hits = collector.counter("hits", labels=("user",))
    for user in "abc":
        hits.inc(user)
    collector.max_series = 3
    hits.inc("c")
    assert [repr(series.labels) for series in hits.metric.series] == [
        '{user="a"}', '{user="b"}', '{user="c"}', '{overflow="true"}',
    ]  # fmt: skip


@pytest.mark.parametrize("keep", [(), ("overflow",)])
def test_no_label_may_be_called_overflow(collector: MetricsCollector, keep: tuple[str, ...]) -> None:
    with pytest.raises(MetricError, match="the label name 'overflow'"):
        collector.counter("hits", labels=("overflow",), keep=keep)
    with pytest.raises(MetricError, match="the label name 'overflow'"):
        collector.increment("other", labels={"overflow": "true"})


@pytest.mark.parametrize("name", ["overflow", "a-b", "__a"])
def test_a_label_that_is_kept_has_a_name_that_a_label_may_have(collector: MetricsCollector, name: str) -> None:
    """Where a metric takes any labels, `keep` is the only place that says their names beforehand."""
    with pytest.raises(MetricError, match=f"the label name '{name}'"):
        collector.create_metric("hits", MetricType.COUNTER, keep=(name,))


# -- counted, and reported


def test_every_recording_past_the_limit_is_counted_and_the_first_reported(
    collector: MetricsCollector, reports: list[tuple[str, str]]
) -> None:
    hits = collector.counter("hits", labels=("user", "kind"))
    for _ in range(3):
        for user in range(6):
            hits.inc(user, "x")
    assert hits.metric.overflowed == 12
    text = (
        "metric 'hits' has reached its limit of 2 series; further label sets are counted together in "
        "{overflow=\"true\"}. Most varied: label 'user' with 2 values"
    )
    assert reports == [("app", text)]


def test_calls_by_name_count_what_is_past_the_limit_as_well(collector: MetricsCollector) -> None:
    for _ in range(3):
        for user in "abcd":
            collector.increment("hits", labels={"user": user})
    assert collector.get_all_metrics()["hits"].overflowed == 6


def test_each_metric_reports_its_own_overflow(collector: MetricsCollector, reports: list[tuple[str, str]]) -> None:
    for name in ("hits", "misses"):
        for user in range(5):
            collector.increment(name, labels={"user": user})
    assert [text.partition(" has")[0] for _, text in reports] == ["metric 'hits'", "metric 'misses'"]


# -- what reads say


def reading(collector: MetricsCollector, condition: str, metric: str = "hits", **more: object) -> Mapping[Labels, Reading]:
    rule = AlertRule("r", "d", "warning", metric, condition, **{"time_window": 60, **more})  # type: ignore[arg-type]
    return {
        group: found for chunk in read(rule, collector.get_metric, collector.clock.now()) for group, found in chunk.items()
    }


@pytest.fixture
def crowded(collector: MetricsCollector, time: ManualClock) -> MetricsCollector:
    """Users a and b have series, c and d are past the limit; kinds are kept."""
    hits = collector.counter("hits", labels=("user", "kind"), keep=("kind",))
    time.advance(3600)
    for user, kind in ("ax", "by", "cx", "dy"):
        hits.inc(user, kind)
    return collector


def test_the_metric_as_a_whole_is_never_partial(crowded: MetricsCollector) -> None:
    assert [*reading(crowded, "< 5").values()] == [Value(4)]


def test_a_filter_by_labels_that_are_not_kept_gives_lower_bounds(crowded: MetricsCollector) -> None:
    for user, seen in {"a": 1, "c": 0}.items():
        for match in ({"user": user}, {"user": user, "kind": "x"}):
            assert [*reading(crowded, "< 5", match=match).values()] == [Value(seen, at_least=True)]


def test_a_filter_by_kept_labels_gives_the_whole_truth(crowded: MetricsCollector) -> None:
    assert [*reading(crowded, "< 5", match={"kind": "x"}).values()] == [Value(2)]


def test_groups_by_labels_that_are_not_kept_are_lower_bounds(crowded: MetricsCollector) -> None:
    assert set(reading(crowded, "< 5", group_by=("user",)).values()) == {Value(1, at_least=True), Value(2, at_least=True)}


def test_groups_by_kept_labels_are_the_whole_truth(crowded: MetricsCollector) -> None:
    assert reading(crowded, "< 5", group_by=("kind",)) == {Labels({"kind": "x"}): Value(2), Labels({"kind": "y"}): Value(2)}


def test_kept_labels_are_partial_once_their_own_values_are_past_the_limit(crowded: MetricsCollector) -> None:
    hits = crowded.get_all_metrics()["hits"]
    for kind in "pqr":
        crowded.increment("hits", labels={"user": "e", "kind": kind})
    assert [*reading(crowded, "< 5", match={"kind": "r"}).values()] == [Value(0, at_least=True)]
    assert hits.get_increase("1m") == 7


def test_a_running_total_of_a_label_set_past_the_limit_proves_no_less_than(
    crowded: MetricsCollector, time: ManualClock
) -> None:
    """Nothing overflowed within the window, but a total reaches back to the beginning."""
    time.advance(3600)
    (found,) = reading(crowded, "latest < 1", match={"user": "c"}).values()
    assert found == Waiting() or (isinstance(found, Value) and found.at_least)


NAMES = ("user", "kind")
users, kinds = st.sampled_from("abcde"), st.sampled_from("xyz")
events = st.lists(st.tuples(users, kinds, st.integers(0, 5), st.sampled_from([0.0, 0.0, 1.5, 40.0])), max_size=60)


@given(events, st.integers(0, 5), st.sampled_from([(), ("kind",), ("user",), NAMES]), st.floats(1, 200))
@settings(max_examples=examples(200))
def test_a_read_of_what_overflowed_is_exact_or_says_that_it_is_partial(
    happened: list[tuple[str, str, int, float]], limit: int, keep: tuple[str, ...], window: float
) -> None:
    """Whatever the filter or the grouping: never more than the truth, and no less unless it is a lower bound."""
    clock = ManualClock(1000.0)
    collector = MetricsCollector(limit, clock=clock)
    hits, sizes = collector.counter("hits", labels=NAMES, keep=keep), collector.histogram("sizes", labels=NAMES, keep=keep)
    clock.advance(500)
    recorded: list[tuple[float, dict[str, str], int]] = []
    for user, kind, number, pause in happened:
        clock.advance(pause)
        hits.inc(user, kind, by=number)
        for _ in range(number):
            sizes.observe(user, kind, 1.0)
        recorded.append((clock.now(), {"user": user, "kind": kind}, number))
    assert hits.metric.get_increase(10_000) == sizes.metric.get_increase(10_000) == sum(n for *_, n in recorded)

    def truth(wanted: Mapping[str, str], seconds: float) -> int:
        return sum(n for at, labels, n in recorded if at > clock.now() - seconds and wanted.items() <= labels.items())

    questions: list[tuple[dict[str, str], tuple[str, ...]]] = [
        ({}, ()), ({"user": "a"}, ()), ({"kind": "x"}, ()), ({"user": "a", "kind": "x"}, ()),
        ({}, ("user",)), ({}, ("kind",)), ({}, NAMES), ({"kind": "x"}, ("user",)), ({"user": "a"}, ("kind",)),
    ]  # fmt: skip
    for name, (match, by) in product(("hits", "sizes"), questions):
        found = reading(collector, "increase > 0", name, match=match, group_by=by, time_window=window)
        for group, seen in found.items():
            assert isinstance(seen, Value)
            wanted = {**match, **group}
            if all(wanted.values()):  # otherwise they are those of whom nobody knows
                assert seen.value <= truth(wanted, window + 1)  # the law: a second more or less
                assert seen.at_least or seen.value >= truth(wanted, window - 1)


# -- a share, part of which overflowed


def test_a_share_whose_part_overflowed_proves_no_less_than(time: ManualClock) -> None:
    """The part may have other label sets past the limit than the whole: its successes are there, but nobody sees whose."""
    collector = MetricsCollector(1, clock=time)
    total = collector.counter("total", labels=("node",))
    part = collector.counter("part", labels=("node",), share_of="total")
    total.inc("a")
    part.inc("b")
    part.inc("a")
    rule = AlertRule("r", "d", "warning", "part", "share < 0.95", time_window=60, group_by=("node",))
    (found,) = [found for chunk in read(rule, collector.get_metric, time.now()) for found in chunk.values()]
    assert isinstance(found, Value)
    assert found.at_least


# -- the guide's security collector


@pytest.mark.untraced
def test_critical_violations_are_counted_right_among_twenty_thousand_sources(time: ManualClock) -> None:
    security = SecurityMetrics(clock=time)
    severities = list(MetricSeverity)
    for source in range(20_000):
        security.record_security_violation("sql_injection", severities[source % 4], f"10.0.{source}")
    critical = 20_000 // 4
    assert security.get_critical_violations() == critical
    metric = security.get_all_metrics()["security_violations_total"]
    assert metric.get_latest_value() == 20_000
    assert len(metric.series) <= 1000 + 4
    assert metric.window("1h", {"severity": "critical"}).partial is False
