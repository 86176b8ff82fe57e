"""Removal: series come and go, and the metric's total stays the truth."""

import random
import sys
import threading
from bisect import bisect_right
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.metrics import Counter, MetricsCollector, MetricType
from kailash_monitor.metrics.metric import GIVEN_UP_AT_ONCE, REMOVED_PER_SERIES
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.buckets import bucket_of
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow
from kailash_monitor.testing import ManualClock

from effort import examples  # isort: skip


@pytest.fixture
def time() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def collector(time: ManualClock) -> MetricsCollector:
    return MetricsCollector(clock=time)


def record(collector: MetricsCollector, kind: MetricType, user: str, value: float = 1.0) -> None:
    """Record into the metric that is called as its type."""
    call = {
        MetricType.COUNTER: collector.increment,
        MetricType.GAUGE: collector.set_gauge,
        MetricType.HISTOGRAM: collector.record_histogram,
        MetricType.TIMER: collector.record_timer,
    }[kind]
    call(kind.value, value, {"user": user})


every_type = pytest.mark.parametrize("kind", list(MetricType))
every_counting_type = pytest.mark.parametrize("kind", [MetricType.COUNTER, MetricType.HISTOGRAM, MetricType.TIMER])


# -- remove


@every_type
def test_a_removed_series_is_gone(collector: MetricsCollector, kind: MetricType) -> None:
    for user in "ab":
        record(collector, kind, user)
    metric = collector.get_all_metrics()[kind.value]
    assert metric.remove({"user": "a"})
    assert [series.labels["user"] for series in metric.series] == ["b"]
    assert metric.select({"user": "a"}) == []
    assert [group["user"] for group in metric.groups({}, ("user",))] == ["b"]


@every_type
def test_what_is_not_there_cannot_be_removed(collector: MetricsCollector, kind: MetricType) -> None:
    record(collector, kind, "a")
    metric = collector.get_all_metrics()[kind.value]
    assert not metric.remove({"user": "b"})
    assert not metric.remove({})
    assert len(metric.series) == 1


@every_counting_type
def test_what_was_counted_stays_in_the_total(collector: MetricsCollector, time: ManualClock, kind: MetricType) -> None:
    for user, value in (("a", 2.0), ("a", 3.0), ("b", 1.0)):
        record(collector, kind, user, value)
        time.advance(0.1)
    metric = collector.get_all_metrics()[kind.value]
    before = metric.window("5m")
    metric.remove({"user": "a"})
    assert metric.window("5m") == before
    metric.remove({"user": "b"})
    assert metric.window("5m") == before


def test_the_value_of_a_removed_gauge_vanishes(collector: MetricsCollector, time: ManualClock) -> None:
    record(collector, MetricType.GAUGE, "a", 5.0)
    time.advance(1)
    record(collector, MetricType.GAUGE, "b", 7.0)
    metric = collector.get_all_metrics()["gauge"]
    metric.remove({"user": "b"})
    assert metric.get_latest_value() == metric.get_max() == 5.0
    metric.remove({"user": "a"})
    assert (metric.get_latest_value(), metric.get_max()) == (None, None)


def test_an_instrument_removes_by_values(collector: MetricsCollector) -> None:
    hits = collector.counter("hits", labels=("user",))
    hits.inc(1)
    assert hits.remove(1)
    assert not hits.remove(1)
    assert hits.metric.series == []


def test_a_metric_without_labels_can_be_removed_as_well(collector: MetricsCollector) -> None:
    hits = collector.counter("hits")
    hits.inc()
    assert hits.remove()
    hits.inc()
    assert [series.get_increase() for series in hits.metric.series] == [1]
    assert hits.metric.get_latest_value() == 2


def test_a_callback_is_not_removed(collector: MetricsCollector) -> None:
    metric = collector.callback_gauge("answer", lambda: 42.0)
    assert not metric.remove({})
    metric.clear()
    assert metric.get_latest_value() == 42.0


def test_exemplars_go_with_their_series(collector: MetricsCollector) -> None:
    """Otherwise they would keep every series that ever had one."""
    sizes = collector.histogram("sizes", labels=("user",))
    for user in range(50):
        sizes.observe(user, 1.0, exemplar={"trace_id": "x"})
        sizes.remove(user)
    assert len(sizes.metric.family.exemplars) == 0


def test_exemplars_go_with_a_clear(collector: MetricsCollector) -> None:
    hits = collector.counter("hits", labels=("user",))
    hits.inc("a", exemplar={"trace_id": "x"})
    hits.clear()
    assert len(hits.metric.family.exemplars) == 0


# -- clear


@every_type
def test_clear_forgets_the_total_too(collector: MetricsCollector, time: ManualClock, kind: MetricType) -> None:
    for user in "ab":
        record(collector, kind, user)
    metric = collector.get_all_metrics()[kind.value]
    metric.remove({"user": "a"})
    time.advance(60)
    metric.clear()
    assert metric.series == []
    assert metric.get_latest_value() == (0 if kind is MetricType.COUNTER else None)
    found = metric.window("5m")
    assert found == metric.empty_window(300, time.now())
    assert found.covers_since == time.now()  # so that nobody takes it for having been idle


@every_counting_type
def test_a_handle_counts_anew_after_a_clear(collector: MetricsCollector, kind: MetricType) -> None:
    record(collector, kind, "a", 5.0)
    metric = collector.get_all_metrics()[kind.value]
    (handle,) = metric.series
    metric.clear()
    _again(handle, 2.0)
    found = metric.window("5m")
    assert (found.increase if isinstance(found, CounterWindow) else found.sum) == 2.0  # type: ignore[union-attr]
    assert metric.series == [handle]


def _again(handle: object, value: float) -> None:
    """Record through a handle that somebody kept."""
    match handle:
        case CounterSeries():
            handle.inc(value)
        case GaugeSeries():
            handle.set(value)
        case DistributionSeries():
            handle.observe(value)
        case _:
            raise AssertionError(handle)


# -- handles that somebody kept


@every_type
def test_a_handle_that_was_kept_brings_its_series_back(
    collector: MetricsCollector, time: ManualClock, kind: MetricType
) -> None:
    record(collector, kind, "a", 5.0)
    metric = collector.get_all_metrics()[kind.value]
    (handle,) = metric.series
    metric.remove({"user": "a"})
    time.advance(10)
    for value in (1.0, 3.0, 3.0):
        _again(handle, value)
    assert metric.series == metric.select({"user": "a"}) == [handle]
    found, whole = handle.window(300, time.now()), metric.window("5m")
    match found, whole:
        case CounterWindow(), CounterWindow():
            assert (found.increase, whole.increase) == (7.0, 12.0)
        case DistributionWindow(), DistributionWindow():
            assert (found.count, found.sum, whole.count, whole.sum) == (3, 7.0, 4, 12.0)
        case GaugeWindow(), GaugeWindow():
            assert (found.min, found.max, found.sum, whole.max) == (1.0, 3.0, 7.0, 3.0)
        case _:
            raise AssertionError(found)


@every_counting_type
def test_the_metric_as_a_whole_stays_covered_over_a_removal(
    collector: MetricsCollector, time: ManualClock, kind: MetricType
) -> None:
    """Nothing is missing from it, so that a rule may go on to prove "less than"."""
    record(collector, kind, "a")
    metric = collector.get_all_metrics()[kind.value]
    (handle,) = metric.series
    time.advance(600)
    metric.remove({"user": "a"})
    _again(handle, 1.0)
    assert metric.window("5m").complete


def test_a_metric_reads_no_less_while_a_series_is_removed_and_comes_back(collector: MetricsCollector) -> None:
    """At every step of a read, another thread removes the series and records into the handle it kept."""
    kept = collector.counter("hits", labels=("user",))
    handle = kept.labels("a")
    handle.inc(5)
    recorded, reading = 5, True

    original = handle._family.lock

    class Meddling:
        """The family's lock, at whose every release somebody else has their turn."""

        def __enter__(self) -> None:
            original.acquire()

        def __exit__(self, *_: object) -> None:
            original.release()
            meddle()

    def meddle() -> None:
        nonlocal recorded, reading
        if reading and recorded < 8:
            reading = False
            kept.remove("a")
            handle.inc()
            recorded += 1
            reading = True

    handle._family.lock = Meddling()  # type: ignore[assignment]
    assert kept.metric.get_increase() in (5, 6, 7, 8)
    assert kept.metric.latest() == recorded == 8


def test_a_label_set_that_others_made_again_takes_what_an_old_handle_records(collector: MetricsCollector) -> None:
    hits = collector.counter("hits", labels=("user",))
    old = hits.labels("a")
    old.inc(5)
    hits.remove("a")
    new = hits.labels("a")
    assert new is not old
    for _ in range(3):
        old.inc(2)
    assert new.total == 6
    assert hits.metric.series == [new]
    assert hits.metric.get_latest_value() == 11
    hits.remove("a")
    old.inc()
    assert hits.metric.series == [old]
    assert (old.total, hits.metric.get_latest_value()) == (1, 12)


@every_type
def test_forwarding_works_for_every_type(collector: MetricsCollector, kind: MetricType) -> None:
    record(collector, kind, "a", 5.0)
    metric = collector.get_all_metrics()[kind.value]
    (old,) = metric.series
    metric.remove({"user": "a"})
    record(collector, kind, "a", 5.0)
    (new,) = metric.series
    for _ in range(3):
        _again(old, 3.0)
    assert metric.series == [new]
    found = new.window(300, 1000.0)
    assert (found.increase if isinstance(found, CounterWindow) else found.sum) == 14.0


def test_a_handle_whose_place_was_taken_records_past_the_limit(time: ManualClock) -> None:
    collector = MetricsCollector(1, clock=time)
    hits = collector.counter("hits", labels=("user",))
    old = hits.labels("a")
    old.inc()
    hits.remove("a")
    hits.inc("b")
    old.inc(5)
    assert {repr(series.labels): series.get_increase() for series in hits.metric.series} == {
        '{user="b"}': 1, '{overflow="true"}': 5,
    }  # fmt: skip
    assert hits.metric.get_latest_value() == 7


def test_a_handle_past_the_limit_survives_a_clear(time: ManualClock) -> None:
    collector = MetricsCollector(1, clock=time)
    hits = collector.counter("hits", labels=("user", "kind"), keep=("kind",))
    hits.inc("a", "x")
    past = hits.labels("b", "y")
    past.inc()
    hits.clear()
    past.inc(2)
    assert [(repr(series.labels), series.get_increase()) for series in hits.metric.series] == [
        ('{kind="y",overflow="true"}', 2)
    ]


# -- since when it is counted


def test_a_series_that_comes_back_is_born_anew(collector: MetricsCollector, time: ManualClock) -> None:
    """Its total begins at zero: a server that knows the old one must see that it is another."""
    hits = collector.counter("hits", labels=("user",))
    handle = hits.labels("a")
    assert handle.born == 1000.0
    hits.remove("a")
    time.advance(60)
    handle.inc()
    assert handle.born == 1060.0


@pytest.mark.parametrize("forget", ["remove", "ttl"])
def test_a_label_set_that_is_made_again_is_born_anew(collector: MetricsCollector, time: ManualClock, forget: str) -> None:
    hits = collector.counter("hits", labels=("user",), ttl=30)
    hits.inc("a")
    if forget == "remove":
        hits.remove("a")
    time.advance(60)
    assert hits.metric.series == []
    hits.inc("a")
    assert [series.born for series in hits.metric.series] == [1060.0]


# -- ttl


@every_type
def test_a_series_that_nobody_touched_for_its_ttl_is_given_up(
    collector: MetricsCollector, time: ManualClock, kind: MetricType
) -> None:
    metric = collector.create_metric(kind.value, kind, ttl="1m", unit="milliseconds" if kind is MetricType.TIMER else "")
    record(collector, kind, "idle")
    record(collector, kind, "busy")
    for _ in range(8):
        time.advance(10)
        record(collector, kind, "busy")
    assert [series.labels["user"] for series in metric.series] == ["busy"]
    if kind is not MetricType.GAUGE:
        assert metric.get_increase() == 10


def test_the_read_that_gives_a_series_up_still_counts_it(collector: MetricsCollector, time: ManualClock) -> None:
    hits = collector.counter("hits", labels=("user",), ttl="1m")
    hits.inc("a")
    time.advance(120)
    assert hits.metric.get_latest_value() == 1
    hits.inc("b")
    time.advance(120)
    assert hits.metric.get_increase() == 2
    assert hits.metric.series == []


def test_only_so_many_series_are_given_up_at_once(collector: MetricsCollector, time: ManualClock) -> None:
    """Each costs its share of a millisecond, which somebody's recording waits for."""
    hits = collector.counter("hits", labels=("user",), ttl="1m")
    for user in range(30):
        hits.inc(user)
    time.advance(120)
    left = [30]
    while left[-1]:
        left.append(len(hits.metric.series))
    assert {before - after for before, after in pairwise(left)} <= {GIVEN_UP_AT_ONCE, 30 % GIVEN_UP_AT_ONCE}
    assert GIVEN_UP_AT_ONCE <= 8
    assert hits.metric.get_latest_value() == 30


def test_every_read_is_whole_while_series_are_given_up_one_after_the_other(
    collector: MetricsCollector, time: ManualClock
) -> None:
    hits = collector.counter("hits", labels=("user",), ttl="1m")
    for user in range(30):
        hits.inc(user)
    time.advance(120)
    assert {hits.metric.get_latest_value() for _ in range(30)} == {30}


def test_a_handle_brings_back_a_series_that_was_given_up(collector: MetricsCollector, time: ManualClock) -> None:
    hits = collector.counter("hits", labels=("user",), ttl="1m")
    handle = hits.labels("a")
    handle.inc(3)
    time.advance(120)
    assert hits.metric.series == []
    handle.inc(2)
    assert hits.metric.series == [handle]
    assert (handle.total, hits.metric.get_latest_value()) == (2, 5)


def test_a_filtered_read_does_not_cover_what_was_given_up(collector: MetricsCollector, time: ManualClock) -> None:
    hits = collector.counter("hits", labels=("user",), ttl="1m")
    time.advance(1000)
    hits.inc("a", by=100)
    time.advance(120)
    assert hits.metric.series == []
    hits.inc("a")
    found = hits.metric.window("5m", {"user": "a"})
    assert isinstance(found, CounterWindow)
    assert (found.increase, found.complete) == (1, False)
    assert hits.metric.window("5m").complete
    assert hits.metric.window("1m", {"user": "a"}).complete


@given(
    st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.integers(0, 9), st.floats(0, 40)), max_size=80),
    st.floats(1, 100),
)
def test_a_ttl_gives_up_only_what_was_not_touched(happened: list[tuple[str, int, float]], ttl: float) -> None:
    clock = ManualClock(1000.0)
    collector = MetricsCollector(clock=clock)
    hits = collector.counter("hits", labels=("user",), ttl=ttl)
    touched: dict[str, float] = {}
    for user, by, pause in happened:
        clock.advance(pause)
        hits.inc(user, by=by)
        touched[user] = clock.now()
        left = {series.labels["user"] for series in hits.metric.series}
        assert {user for user, at in touched.items() if clock.now() - at <= ttl} <= left
    clock.advance(2 * ttl + 2)
    for _ in range(16):
        left = {series.labels["user"] for series in hits.metric.series}
    assert not left
    assert hits.metric.get_latest_value() == sum(by for _, by, _ in happened)


# -- what was removed on purpose

ON_PURPOSE: dict[str, Callable[[MetricsCollector, Counter], object]] = {
    "metric.remove": lambda collector, hits: hits.metric.remove({"user": "a", "kind": "x"}),
    "instrument.remove": lambda collector, hits: hits.remove("a", "x"),
    "metric.clear": lambda collector, hits: hits.metric.clear(),
    "instrument.clear": lambda collector, hits: hits.clear(),
    "clear_metrics": lambda collector, hits: collector.clear_metrics(),
}
every_purpose = pytest.mark.parametrize("forget", ON_PURPOSE.values(), ids=ON_PURPOSE)


@every_purpose
def test_what_was_removed_on_purpose_is_known(
    collector: MetricsCollector, time: ManualClock, forget: Callable[[MetricsCollector, Counter], object]
) -> None:
    hits = collector.counter("hits", labels=("user", "kind"))
    hits.inc("a", "x")
    time.advance(10)
    assert not hits.metric.removed_since({"user": "a"}, 0.0)
    forget(collector, hits)
    time.advance(10)
    removed = hits.metric.removed_since
    for match in ({"user": "a"}, {"user": "a", "kind": "x"}, {"kind": "x", "user": "a"}, {"user": "a", "other": ""}, {}):
        assert removed(match, 1000.0)
        assert removed(match, 1010.0)
        assert not removed(match, 1010.1)
    for match in ({"user": "b"}, {"user": "a", "kind": "y"}, {"user": ""}, {"other": "a"}):
        assert not removed(match, 0.0)


@every_type
def test_removals_are_known_for_every_type(collector: MetricsCollector, kind: MetricType) -> None:
    for user in "ab":
        record(collector, kind, user)
    metric = collector.get_all_metrics()[kind.value]
    metric.remove({"user": "a"})
    assert [metric.removed_since({"user": user}, 1000.0) for user in "abc"] == [True, False, False]


@every_purpose
def test_what_went_for_its_ttl_was_not_removed_on_purpose(
    collector: MetricsCollector, time: ManualClock, forget: Callable[[MetricsCollector, Counter], object]
) -> None:
    """Whatever is removed later: it had gone by itself."""
    hits = collector.counter("hits", labels=("user", "kind"), ttl="1m")
    hits.inc("a", "x")
    time.advance(120)
    assert hits.metric.series == []
    forget(collector, hits)
    assert not hits.metric.removed_since({"user": "a"}, 0.0)


def test_a_removal_stays_known_when_the_label_set_comes_back(collector: MetricsCollector, time: ManualClock) -> None:
    hits = collector.counter("hits", labels=("user",))
    handle = hits.labels("a")
    hits.remove("a")
    time.advance(10)
    handle.inc()
    assert hits.metric.removed_since({"user": "a"}, 1000.0)
    assert not hits.metric.removed_since({"user": "a"}, 1001.0)
    hits.remove("a")
    assert hits.metric.removed_since({"user": "a"}, 1010.0)


def test_series_past_the_limit_are_removed_by_a_clear_too(time: ManualClock) -> None:
    hits = MetricsCollector(2, clock=time).counter("hits", labels=("user", "kind"), keep=("kind",))
    for user, kind in ("ax", "bx", "cy", "dz"):
        hits.inc(user, kind)
    hits.clear()
    assert all(hits.metric.removed_since(match, 1000.0) for match in ({"user": "a"}, {"user": "b"}, {"kind": "y"}))
    assert hits.metric.removed_since({"kind": "z"}, 1000.0)


def test_a_callback_that_goes_on_was_not_removed(collector: MetricsCollector) -> None:
    metric = collector.callback_gauge("answer", lambda: 42.0)
    metric.clear()
    assert not metric.removed_since({}, 0.0)


def test_those_removed_longest_ago_are_forgotten(time: ManualClock) -> None:
    hits = MetricsCollector(10, clock=time).counter("hits", labels=("user",))
    for user in range(100):
        hits.inc(user)
        hits.remove(user)
    known = [user for user in range(100) if hits.metric.removed_since({"user": str(user)}, 0.0)]
    assert known == [*range(100 - 10 * REMOVED_PER_SERIES, 100)]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.sampled_from(["inc", "inc", "remove", "clear"])),
        max_size=40,
    ),
    st.lists(
        st.tuples(st.dictionaries(st.sampled_from(["user", "kind", "other"]), st.sampled_from(["a", "b", "x", ""])), st.integers(0, 40)),
        max_size=10,
    ),
)  # fmt: skip
def test_removals_are_those_of_a_list_of_what_happened(
    happened: list[tuple[str, str, str]], questions: list[tuple[dict[str, str], int]]
) -> None:
    clock = ManualClock()
    hits = MetricsCollector(clock=clock).counter("hits", labels=("user", "kind"))
    there: set[tuple[str, str]] = set()
    removed: list[tuple[dict[str, str], float]] = []
    for user, kind, what in happened:
        clock.advance(1)
        gone = there.copy() if what == "clear" else {(user, kind)} & there if what == "remove" else set[tuple[str, str]]()
        if what == "inc":
            hits.inc(user, kind)
            there.add((user, kind))
        elif what == "remove":
            assert hits.remove(user, kind) is bool(gone)
        else:
            hits.clear()
        there -= gone
        removed += [({"user": user, "kind": kind}, clock.now()) for user, kind in gone]
        for match, since in questions:
            assert hits.metric.removed_since(match, since) is any(
                at >= since and all(labels.get(name, "") == value for name, value in match.items()) for labels, at in removed
            )


# -- laws of the whole


steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "add", "add", "handle", "handle", "remove"]), st.integers(0, 99), st.sampled_from([0.0, 0.1, 1.0, 1.0, 30.0])),
    max_size=150,
)  # fmt: skip


@given(steps, st.integers(1, 4))
@settings(max_examples=examples(150))
def test_totals_are_conserved_whatever_is_removed_and_whoever_records(
    happened: list[tuple[str, str, int, float]], limit: int
) -> None:
    """Over removal, handles that were kept, and overflow."""
    clock = ManualClock(1000.0)
    collector = MetricsCollector(limit, clock=clock)
    hits, sizes = collector.counter("hits", labels=("user",)), collector.histogram("sizes", labels=("user",), buckets=(50,))
    handles = {user: (hits.labels(user), sizes.labels(user)) for user in "abc"}
    values: list[float] = []
    for user, what, value, pause in happened:
        clock.advance(pause)
        if what == "remove":
            hits.remove(user)
            sizes.remove(user)
            continue
        if what == "add":
            hits.inc(user, by=value)
            sizes.observe(user, value)
        else:
            handles[user][0].inc(value)
            handles[user][1].observe(value)
        values.append(float(value))
    found, increase = sizes.metric.window("2h"), hits.metric.window("2h")
    assert isinstance(found, DistributionWindow)
    assert isinstance(increase, CounterWindow)
    assert increase.increase == increase.total == found.sum == sum(values)
    assert (found.count, found.min, found.max) == (len(values), min(values, default=None), max(values, default=None))
    assert found.buckets == Tally(map(bucket_of, values))
    totals = [series.totals() for series in sizes.metric.groups({}, ())[next(iter(sizes.metric.groups({}, ())))]]  # type: ignore[union-attr]
    assert sum(sum(one.counts) for one in totals) == len(values)
    assert sum(one.sum for one in totals) == sum(values)


traces = st.builds(
    lambda seed, gap, count, users, remove: (seed, gap, count, users, remove),
    st.integers(0, 2**32),
    st.sampled_from([0.1, 0.3, 1.0, 2.5, 20.0]),
    st.integers(1, 800),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.003, 0.02]),
)


@pytest.mark.untraced
@given(traces, st.lists(st.floats(0.02, 1.2), min_size=6, max_size=6), st.sampled_from([86_400.0, 60.0, 300.0]))
@settings(max_examples=examples(120))
def test_the_law_of_windows_holds_over_removal(
    trace: tuple[int, float, int, int, float], shares: list[float], retention: float
) -> None:
    """A window over the whole metric is exact for one that is at most a second or 7 % longer or shorter."""
    seed, gap, count, users, remove = trace
    numbers, clock = random.Random(seed), ManualClock(1000.0)
    collector = MetricsCollector(clock=clock)
    hits, sizes = collector.counter("hits", labels=("user",)), collector.histogram("sizes", labels=("user",))
    hits.metric.family.retention = sizes.metric.family.retention = retention
    times: list[float] = []
    busy = numbers.choice([1.0, 0.5, 0.02])
    for _ in range(count):
        clock.advance(gap)
        for user in range(users):
            if numbers.random() > busy:
                continue
            hits.inc(user)
            sizes.observe(user, 1.0)
            times.append(clock.now())
            if numbers.random() < remove:
                hits.remove(user)
                sizes.remove(user)
    for window in [share * (clock.now() - 1000.0) for share in shares]:
        found, increase = sizes.metric.window(window), hits.metric.window(window)
        assert isinstance(found, DistributionWindow)
        assert isinstance(increase, CounterWindow)
        tolerance = max(1.0, 0.07 * window) + 1e-6
        least, most = (len(times) - bisect_right(times, found.start + side * tolerance) for side in (1, -1))
        for seen, covered in ((found.count, found.covered), (increase.increase, increase.covered)):
            assert seen <= most
            assert seen >= least or not covered


def test_the_law_holds_for_many_series_of_the_same_seconds() -> None:
    """What was removed is as fine as one series, though twenty had a slot in every second."""
    clock = ManualClock(1000.0)
    hits = MetricsCollector(clock=clock).counter("hits", labels=("user",))
    times: list[float] = []
    for n in range(20 * 300):
        clock.advance(0.05)
        hits.inc(n % 20)
        times.append(clock.now())
    for user in range(20):
        hits.remove(user)
    for window in [1.0 + n * 0.37 for n in range(500)]:
        found = hits.metric.get_increase(window)
        assert found is not None
        tolerance = max(1.0, 0.07 * window) + 1e-6
        least, most = (len(times) - bisect_right(times, clock.now() - window + side * tolerance) for side in (1, -1))
        assert least <= found <= most


def test_what_a_quiet_series_brings_along_does_not_cover_what_another_has_let_go(
    collector: MetricsCollector, time: ManualClock
) -> None:
    """b has an old event still, since it recorded no more; of a, two later ones are gone for the retention's sake."""
    hits = collector.counter("hits", labels=("user",))
    hits.metric.family.retention = 100.0
    for user, at in (("b", 1010.0), ("a", 1050.0), ("a", 1060.0), ("a", 1160.0), ("a", 1161.0), ("a", 1162.0)):
        time.time = at
        hits.inc(user)
    hits.remove("a")
    hits.remove("b")
    found = hits.metric.window(130)
    assert isinstance(found, CounterWindow)
    assert found.increase == 5 or not found.covered


# -- threads


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Have threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.untraced
@pytest.mark.usefixtures("restless_threads")
def test_nothing_is_lost_by_removing_while_others_record(collector: MetricsCollector, time: ManualClock) -> None:
    hits, sizes = collector.counter("hits", labels=("user",)), collector.histogram("sizes", labels=("user",))
    count, writers = 10_000, 3
    done = threading.Event()

    def by_handle() -> None:
        counter, sizer = hits.labels("a"), sizes.labels("a")
        for _ in range(count):
            counter.inc()
            sizer.observe(1.0)

    def by_values() -> None:
        for _ in range(count):
            hits.inc("a")
            sizes.observe("a", 1.0)

    def by_name() -> None:
        for _ in range(count):
            collector.increment("hits", labels={"user": "a"})
            collector.record_histogram("sizes", 1.0, {"user": "a"})

    def remove() -> None:
        while not done.is_set():
            hits.remove("a")
            sizes.remove("a")
            time.advance(0.01)

    remover = threading.Thread(target=remove)
    remover.start()
    in_threads(by_handle, by_values, by_name)
    done.set()
    remover.join()
    found = sizes.metric.window("10h")
    assert hits.metric.get_latest_value() == hits.metric.get_increase("10h") == writers * count
    assert isinstance(found, DistributionWindow)
    assert found.count == found.sum == sum(found.buckets.values()) == writers * count


@pytest.mark.untraced
@pytest.mark.usefixtures("restless_threads")
def test_a_total_that_is_read_while_series_are_removed_never_falls(collector: MetricsCollector) -> None:
    hits = collector.counter("hits", labels=("user",))
    done = threading.Event()
    seen: list[float] = []

    def read() -> None:
        while not done.is_set():
            seen.append(hits.metric.get_latest_value() or 0.0)

    def write_and_remove(user: str) -> None:
        for _ in range(3_000):
            hits.inc(user)
            hits.remove(user)

    reader = threading.Thread(target=read)
    reader.start()
    in_threads(*[lambda user=user: write_and_remove(user) for user in "ab"])
    done.set()
    reader.join()
    assert seen == sorted(seen)
    assert hits.metric.get_latest_value() == 6_000
