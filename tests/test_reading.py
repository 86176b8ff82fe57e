"""Readings: what a rule sees of its metric, or of an answer of the user's own; and in which pieces."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.errors import NoAnswer, RuleError
from kailash_monitor.metrics import MetricsCollector, MetricType
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.views import TRIES, MetricView
from kailash_monitor.rules import (
    AlertRule,
    Chunk,
    Empty,
    Failed,
    Missing,
    Reading,
    Value,
    Waiting,
    check_fits,
    read,
    readings_of,
)
from kailash_monitor.rules.survey import Survey, in_chunks
from kailash_monitor.testing import ManualClock


@pytest.fixture
def time() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def collector(time: ManualClock) -> MetricsCollector:
    return MetricsCollector(clock=time)


def rule_of(condition: str, metric: str = "m", **more: object) -> AlertRule:
    return AlertRule("r", "d", "warning", metric, condition, **{"time_window": 10, **more})  # type: ignore[arg-type]


def together(chunks: Iterator[Chunk]) -> dict[Labels, Reading]:
    return {group: reading for chunk in chunks for group, reading in chunk.items()}


def see(collector: MetricsCollector, condition: str, metric: str = "m", **more: object) -> dict[Labels, Reading]:
    return together(read(rule_of(condition, metric, **more), collector.get_metric, collector.clock.now()))


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
    assert (one(collector, "avg > 1"), one(collector, "avg > 1", "g")) == (Waiting(), Missing())
    time.advance(10)
    assert one(collector, "avg > 1") == one(collector, "> 1") == Empty()
    assert one(collector, "sum > 1", "g") == one(collector, "rate > 1", "g") == one(collector, "avg > 1", "g") == Missing()
    assert one(collector, "count > 1") == Value(0)


def test_a_gauge_without_a_value_is_missing(collector: MetricsCollector, time: ManualClock) -> None:
    """Whether it ever had one, who judges knows."""
    collector.create_metric("m", MetricType.GAUGE)
    time.advance(1000)
    assert one(collector, "> 1") == Missing()


def test_of_several_gauges_the_worst_is_judged(collector: MetricsCollector) -> None:
    for name, value in (("a", 1), ("b", 9), ("c", 5)):
        collector.set_gauge("m", value, {"disk": name})
    assert one(collector, "> 3") == Value(9)
    assert one(collector, "!= 9") == Value(5)
    assert one(collector, "< 3") == Value(1)
    assert one(collector, "== 5") == Value(5)
    assert one(collector, "> 3", match={"disk": "c"}) == Value(5)


def test_of_gauges_that_have_nothing_to_say_the_first_speaks_for_all(collector: MetricsCollector, time: ManualClock) -> None:
    gauge = collector.gauge("m", labels=("disk",))
    gauge.labels("a")
    gauge.labels("b")
    assert one(collector, "> 1") == Missing()


def test_a_sum_that_may_have_been_lowered_by_what_is_not_known_is_waited_for(
    collector: MetricsCollector, time: ManualClock
) -> None:
    collector.record_histogram("m", 5)
    assert one(collector, "sum > 1") == Value(5, at_least=True)
    collector.record_histogram("m", -1)
    assert one(collector, "sum > 1") == Waiting()
    time.advance(10)
    collector.record_histogram("m", -1)
    assert one(collector, "sum > 1") == Value(-1)


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


def test_a_computed_gauge_with_nothing_to_say_is_missing(collector: MetricsCollector) -> None:
    collector.callback_gauge("m", lambda: None)
    assert one(collector, "> 1") == Missing()


def test_a_metric_that_is_not_there_has_no_readings(collector: MetricsCollector) -> None:
    assert see(collector, "> 1") == {}


def test_a_share_is_told_apart_by_labels_that_both_counters_have(collector: MetricsCollector) -> None:
    collector.counter("total", labels=("node",)).inc("a")
    collector.counter("m", labels=("node", "why"), share_of="total").inc("a", "b")
    with pytest.raises(RuleError, match="the labels 'why', which 'total' does not have; a share is told apart by"):
        see(collector, "share > 0.1", match={"why": "b"})


def test_a_share_of_what_is_no_counter_is_an_error(collector: MetricsCollector) -> None:
    collector.set_gauge("total", 1)
    collector.counter("m", share_of="total").inc()
    with pytest.raises(RuleError, match="'total', which is a gauge; counters are compared"):
        see(collector, "share > 0.1")


@pytest.mark.parametrize("first", ["m", "total"])
def test_counters_that_were_made_a_moment_apart_are_judged_as_one(
    collector: MetricsCollector, time: ManualClock, first: str
) -> None:
    for name in (first, "total" if first == "m" else "m"):
        collector.counter(name, share_of=None if name == "total" else "total")
        time.advance(1e-4)
    collector.increment("total", 4)
    collector.increment("m", 1)
    assert one(collector, "share > 0.1") == Value(0.25)


def test_a_part_that_is_known_for_a_shorter_time_gives_a_lower_bound_and_such_a_whole_nothing(
    collector: MetricsCollector, time: ManualClock
) -> None:
    def seen(part: str, whole: str) -> Reading:
        with_share = collector.counter(part, share_of=whole)
        if part == "late":
            time.advance(40)
        collector.counter(whole).inc(by=4)
        with_share.inc()
        return one(collector, "share > 0.1", part, time_window=100)

    collector.counter("early")
    time.advance(40)
    assert seen("m", "early") == Value(0.25, at_least=True)
    assert seen("late", "later") == Waiting()


# -- in pieces ---------------------------------------------------------------------------------------------------------

MANY = 1000


@pytest.fixture
def crowd(collector: MetricsCollector, time: ManualClock) -> MetricsCollector:
    """A thousand series of each type, with values 0 … 999."""
    counter, whole = collector.counter("m", labels=("path",)), collector.counter("total", labels=("path",))
    share = collector.counter("share", labels=("path",), share_of="total")
    gauge, timer = collector.gauge("g", labels=("path",)), collector.timer("t", labels=("path",))
    time.advance(60)
    for number in range(MANY):
        path = str(number)
        counter.inc(path, by=number)
        whole.inc(path, by=2)
        share.inc(path)
        gauge.set(path, number)
        timer.observe(path, number)
    return collector


@pytest.mark.parametrize(
    ("metric", "condition", "expected"),
    [
        ("m", "> 1", float),
        ("share", "share > 0.1", lambda number: 0.5),
        ("g", "max > 1", float),
        ("t", "p100 > 1", float),
    ],
)
def test_many_groups_come_in_chunks_that_are_the_whole_answer_together(
    crowd: MetricsCollector, metric: str, condition: str, expected: Callable[[int], float]
) -> None:
    chunks = [*read(rule_of(condition, metric, group_by=("path",)), crowd.get_metric, crowd.clock.now())]
    assert max(map(len, chunks)) <= 256
    assert sum(map(len, chunks)) == MANY
    assert together(iter(chunks)) == {Labels({"path": str(n)}): Value(expected(n)) for n in range(MANY)}


@pytest.mark.parametrize(
    ("metric", "condition", "value"),
    [("m", "> 1", 499_500), ("share", "share > 0.1", 0.5), ("g", "> 1", 999), ("g", "< 1", 0), ("t", "count > 1", 1000),
     ("t", "p100 > 1", 999)],
)  # fmt: skip
def test_one_large_group_is_read_with_pauses(crowd: MetricsCollector, metric: str, condition: str, value: float) -> None:
    *pauses, last = read(rule_of(condition, metric), crowd.get_metric, crowd.clock.now())
    assert len(pauses) > 3
    assert not any(pauses)
    assert last == {NO_LABELS: Value(value)}


def test_what_is_removed_and_comes_back_between_two_pauses_is_read_again(crowd: MetricsCollector) -> None:
    """The total of the removed has what the series counted before: without a second look, 999 would be missing."""
    metric = crowd.get_metric("m")
    assert metric is not None
    handle = metric.select({"path": "999"})[0]
    chunks = read(rule_of("> 1"), crowd.get_metric, crowd.clock.now())
    next(chunks)
    next(chunks)
    metric.remove({"path": "999"})
    handle.inc(by=1)  # type: ignore[union-attr]  # a counter
    assert together(chunks) == {NO_LABELS: Value(499_501)}


def test_groups_that_are_not_told_yet_are_taken_anew_where_a_series_came_back(crowd: MetricsCollector) -> None:
    metric = crowd.get_metric("m")
    assert metric is not None
    handle = metric.select({"path": "999"})[0]
    chunks = read(rule_of("> 1", group_by=("path",)), crowd.get_metric, crowd.clock.now())
    told = [next(chunk for chunk in chunks if chunk)]
    metric.remove({"path": "5"})
    metric.remove({"path": "998"})
    metric.remove({"path": "999"})
    handle.inc(by=7)  # type: ignore[union-attr]  # a counter
    crowd.increment("m", 3, {"path": "new"})
    told += chunks
    expected = {Labels({"path": str(n)}): Value(n) for n in range(998)}
    assert together(iter(told)) == {**expected, Labels({"path": "999"}): Value(7), Labels({"path": "new"}): Value(3)}
    assert sum(map(len, told)) == len(together(iter(told)))


def test_whoever_has_series_come_back_faster_than_they_can_be_read_gets_the_last_answer(crowd: MetricsCollector) -> None:
    metric = crowd.get_metric("m")
    assert metric is not None
    handle = metric.select({"path": "999"})[0]
    chunks: list[Chunk] = []
    for chunk in read(rule_of("> 1"), crowd.get_metric, crowd.clock.now()):
        metric.remove({"path": "999"})
        handle.inc()  # type: ignore[union-attr]  # a counter
        chunks.append(chunk)
    assert chunks[-1].keys() == {NO_LABELS}
    assert len(chunks) < 6 * TRIES


@dataclass
class Turning:
    """As much of a metric as a survey needs: an epoch that the test turns."""

    epoch: int = 0


def survey(groups: Mapping[Labels, Sequence[int]], at_once: int, look: Callable[[int], int]) -> Survey[int, int]:
    return Survey(
        groups=groups.items(), size=len(groups), look=look, join=sum, judge=Value, nothing=0, at_once=at_once
    )  # fmt: skip


group_sets = st.dictionaries(
    st.integers(0, 30).map(lambda number: Labels({"group": number})), st.lists(st.integers(0, 100), max_size=12), max_size=12
)


@given(group_sets, st.integers(1, 5), st.lists(st.integers(0, 3), max_size=60))
def test_chunks_are_one_naive_read_whatever_begins_anew_and_no_group_is_told_twice(
    groups: dict[Labels, list[int]], at_once: int, turns: list[int]
) -> None:
    metric, turned, looks = Turning(), iter(turns), 0

    def look(member: int) -> int:
        nonlocal looks
        looks += 1
        metric.epoch += next(turned, 0) == 3
        return member

    chunks = [
        *in_chunks(lambda: survey(groups, at_once, look), [cast("MetricView", metric)])  # it has all that is asked for
    ]
    assert together(iter(chunks)) == {group: Value(sum(members)) for group, members in groups.items()}
    assert sum(map(len, chunks)) == len(groups)
    assert looks <= TRIES * sum(map(len, groups.values())) * max(1, len(groups))


@given(group_sets, st.integers(1, 5))
def test_between_two_steps_no_more_is_looked_at_than_two_pieces(groups: dict[Labels, list[int]], at_once: int) -> None:
    looks, before = 0, 0

    def look(member: int) -> int:
        nonlocal looks
        looks += 1
        return member

    for _ in in_chunks(lambda: survey(groups, at_once, look), ()):
        assert looks - before <= 2 * at_once
        before = looks


# -- failures, and answers of the user's own ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reading"),
    [
        (NoAnswer("its callback raised"), Failed("its callback raised", "NoAnswer")),
        (ZeroDivisionError("division by zero"), Failed("ZeroDivisionError: division by zero", "ZeroDivisionError")),
        (RuleError("rule 'r'", seen="x", expected="y"), Failed("rule 'r': x; y", "RuleError")),
    ],
)
def test_a_failed_reading_has_its_cause(error: Exception, reading: Failed) -> None:
    assert Failed.of(error) == reading


def asking(**more: object) -> AlertRule:
    return AlertRule("r", "d", "warning", condition="> 1", reading=lambda: 1, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "reading"), [(3, Value(3)), (2.5, Value(2.5)), (Fraction(1, 2), Value(0.5)), (None, Missing())]
)
def test_an_answer_is_a_value_or_missing(answer: object, reading: Reading) -> None:
    assert readings_of(asking(), answer) == {NO_LABELS: reading}


def test_an_answer_by_label_values_has_a_reading_for_each_group() -> None:
    by_queue, by_both = asking(group_by=("queue",)), asking(group_by=("queue", "host"))
    assert readings_of(by_queue, {"a": 1, "b": None}) == {
        Labels({"queue": "a"}): Value(1),
        Labels({"queue": "b"}): Missing(),
    }
    assert readings_of(by_queue, {("a",): 1}) == {Labels({"queue": "a"}): Value(1)}
    assert readings_of(by_both, {("a", "x"): 1}) == {Labels({"queue": "a", "host": "x"}): Value(1)}
    assert readings_of(by_queue, None) == readings_of(by_queue, {}) == {}


async def later() -> int:
    return 1


@pytest.mark.parametrize(
    ("group_by", "answer", "message"),
    [
        ((), "5", "rule 'r': its reading gave str, which is no number; a finite number, or None where there is nothing"),
        ((), float("nan"), "its reading gave nan; a finite number"),
        ((), True, "its reading gave True; a finite number"),
        ((), 10**400, "a finite number"),
        ((), Decimal(1), "its reading gave Decimal, which is no number"),
        ((), {"a": 1}, "its reading gave a mapping; name its labels in group_by="),
        (("a",), 5, "its reading gave 5; with group_by, a mapping from texts, values of the label 'a' to numbers"),
        (("a",), {"x": "5"}, "gave str, which is no number for 'x'; a finite number"),
        (("a",), {1: 5}, "its reading gave the key 1; texts, values of the label 'a'"),
        (("a", "b"), {"x": 5}, "its reading gave the key 'x'; tuples of texts, values of the labels 'a', 'b'"),
        (("a", "b"), {("x", 1): 5}, r"gave the key \('x', 1\); tuples of texts"),
        (("a", "b"), {("x",): 5}, "tuples of texts"),
    ],
)
def test_a_wrong_answer_says_what_was_seen_and_what_is_right(
    group_by: tuple[str, ...], answer: object, message: str
) -> None:
    with pytest.raises(RuleError, match=message) as refused:
        readings_of(asking(group_by=group_by), answer)
    assert refused.value.field == "reading"


def test_an_answer_that_should_have_been_awaited_says_so() -> None:
    with pytest.raises(RuleError, match="gave a coroutine; declare it with async def, and it is awaited"):
        readings_of(asking(), later())


def test_a_word_is_checked_against_a_metric_before_anything_is_read(collector: MetricsCollector) -> None:
    collector.increment("m")
    metric = collector.get_metric("m")
    assert metric is not None
    check_fits(rule_of("rate > 1"), metric)
    with pytest.raises(RuleError, match="'avg' does not fit a counter"):
        check_fits(rule_of("avg > 1"), metric)
