"""Checkpoints: what a restart brings back of the recent past, and what it must not make anybody believe."""

import math
import struct
import threading
import zlib
from bisect import bisect_right
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_history import Plan, plans, short, slots

from kailash_monitor.metrics import Metric, MetricsCollector, MetricsRegistry, MetricType
from kailash_monitor.metrics.checkpoint import Ring, decode
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.buckets import bucket_of, pool
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow, Window
from kailash_monitor.rules import (
    UNPROVEN,
    AlertRule,
    Empty,
    Missing,
    Reader,
    Reading,
    Value,
    Waiting,
    breached,
    burn_rate_rules,
)
from kailash_monitor.testing import ManualClock

from effort import examples  # isort: skip

HOUR, DAY = 3600.0, 86_400.0
ALL = -math.inf

COUNTER, GAUGE, HISTOGRAM, TIMER = MetricType
every_type = pytest.mark.parametrize("kind", MetricType)


def rings_of(registry: MetricsRegistry, since: float = ALL) -> list[Ring]:
    return [ring for ring in registry.checkpoint(since) if ring is not None]


def began(registry: MetricsRegistry, gap: float = 60.0, origin: float = 5.0) -> MetricsRegistry:
    """Give the empty registry of a process that begins `gap` seconds after another ended, whatever its timeline says."""
    clock = ManualClock(origin)
    clock.set_wall(registry.clock.wall() + gap)
    return MetricsRegistry(clock=clock)


def restarted(registry: MetricsRegistry, gap: float = 60.0, origin: float = 5.0) -> MetricsRegistry:
    """Give the registry of the next process, to which all was restored."""
    again = began(registry, gap, origin)
    assert again.restore(rings_of(registry)) == 0
    return again


def forward(registry: MetricsRegistry, seconds: float) -> None:
    assert isinstance(registry.clock, ManualClock)
    registry.clock.advance(seconds)


def made(registry: MetricsRegistry, kind: MetricType, name: str = "m") -> Metric:
    return registry.collector("app").create_metric(name, kind)


Record = Callable[[float], None]


def record_into(metric: Metric, **labels: str) -> Record:
    match metric.metric_type:
        case MetricType.COUNTER:
            return metric.child(labels, CounterSeries).inc
        case MetricType.GAUGE:
            return metric.child(labels, GaugeSeries).set
        case _:
            return metric.child(labels, DistributionSeries).observe


def amount(window: Window) -> float:
    """Give how much happened in a window."""
    return window.increase if isinstance(window, CounterWindow) else window.sum


@pytest.fixture
def registry() -> MetricsRegistry:
    """The registry of the first process."""
    return MetricsRegistry(clock=ManualClock(1000.0))


# -- the law -----------------------------------------------------------------------------------------------------------


class History:
    """What happened in two processes, on the timeline of the second, which begins at `born`."""

    def __init__(self, past: list[tuple[float, float]], born: float) -> None:
        self.times, self.values = [at for at, _ in past], [value for _, value in past]
        self.past, self.born = len(past), born

    def add(self, at: float, value: float) -> None:
        self.times.append(at)
        self.values.append(value)

    def cuts(self, found: Window, law: float) -> set[int]:
        """Give every place in the list from which on a window may have been made."""
        off = max(1.0 + (law > 0.07), law * found.seconds) + 1e-6
        first, last = bisect_right(self.times, found.start - off), bisect_right(self.times, found.start + off)
        return {*range(first, last + 1)}


def check(found: Window, history: History, law: float) -> None:
    assert found.covers_since == history.born
    values, cuts = history.values, history.cuts(found, law)
    match found:
        case CounterWindow():
            after = [*accumulate(reversed(values), initial=0.0)][::-1]
            assert found.increase in {after[cut] for cut in cuts}
            assert found.total == sum(values[history.past :])
        case DistributionWindow():
            seen = values[len(values) - found.count :]
            assert len(values) - found.count in cuts
            assert (found.sum, found.buckets) == (sum(seen), Tally(map(bucket_of, seen)))
            assert (found.min, found.max) == ((min(seen), max(seen)) if seen else (None, None))
            assert found.latest == values[-1]
        case GaugeWindow():
            seen = values[len(values) - found.count :]  # the value in force at the start included, if one is known
            assert cuts & {len(values) - found.count, len(values) - found.count + 1}
            assert (found.min, found.max, found.sum, found.last) == (min(seen), max(seen), sum(seen), values[-1])


def play(kind: MetricType, before: Plan, after: Plan, gap: float, origin: float | None, *, made_first: bool) -> None:
    """Record, restart, record again, and compare windows with the list of what happened; `origin` None: the same boot."""
    first = MetricsRegistry(clock=ManualClock(before.origin))
    made(first, kind).retain(100 * DAY)
    trace = before.record(record_into(made(first, kind)), clock=first.clock)  # type: ignore[arg-type]  # a manual clock
    second = began(first, gap, before.origin if origin is None else origin)
    if origin is None:
        second.clock.time = trace.now + gap  # type: ignore[attr-defined]
        second.clock.set_wall(first.clock.wall() + gap)  # type: ignore[attr-defined]
    shift = (first.clock.wall() - first.clock.now()) - (second.clock.wall() - second.clock.now())
    second = MetricsRegistry(clock=second.clock)
    history = History([(at + shift, value) for at, value in zip(trace.times, trace.values, strict=True)], second.clock.now())
    if made_first:
        record = record_into(made(second, kind))
        assert second.restore(rings_of(first)) == 0
    else:
        assert second.restore(rings_of(first)) == 0
        record = record_into(made(second, kind))
    made(second, kind).retain(100 * DAY)
    later = after.record(record, clock=second.clock)  # type: ignore[arg-type]
    for at, value in zip(later.times, later.values, strict=True):
        history.add(at, value)
    span = later.now - history.times[0]
    for share in (*after.windows, *before.windows):
        window = max(share * span if share <= 1 else share, 1e-3)
        found = made(second, kind).window(window)
        check(found, history, 0.07 if origin is None else 0.11)


gaps = st.sampled_from([0.5, 3.0, 60.0]) | st.floats(1.0, 2 * HOUR)
origins = st.sampled_from([5.0, 1000.25, 1e9 + 1 / 3]) | st.floats(0, 2e9)


@pytest.mark.untraced
@given(st.sampled_from(MetricType), plans(short, most=2), plans(short, most=2), gaps, st.booleans())
@settings(max_examples=examples(200))
def test_windows_after_a_restart_of_the_process_are_those_of_one_that_had_lived_on(
    kind: MetricType, before: Plan, after: Plan, gap: float, made_first: bool
) -> None:
    play(kind, before, after, gap, None, made_first=made_first)


@pytest.mark.untraced
@given(st.sampled_from(MetricType), plans(short, most=2), plans(short, most=2), gaps, origins, st.booleans())
@settings(max_examples=examples(200))
def test_after_a_restart_of_the_machine_they_are_off_by_half_as_much_more(
    kind: MetricType, before: Plan, after: Plan, gap: float, origin: float, made_first: bool
) -> None:
    """Slots that were made on one grid of seconds are folded on another."""
    play(kind, before, after, gap, origin, made_first=made_first)


@pytest.mark.untraced
@pytest.mark.parametrize("kind", [COUNTER, GAUGE, HISTOGRAM])
@pytest.mark.parametrize("origin", [None, 1000.25])
def test_the_law_holds_for_thousands_of_events(kind: MetricType, origin: float | None) -> None:
    shares = [n / 25 for n in range(1, 26)] + [n * 3.7 for n in range(1, 50)]
    before = Plan(1e6 + 1 / 3, 0.0, [0.7] * 6000, 1, 5.0, shares)
    play(kind, before, Plan(0.0, 2.0, [1.1] * 3000, 2, 3.0, shares), 90.0, origin, made_first=False)


@pytest.mark.untraced
@every_type
def test_the_slots_stay_bounded(kind: MetricType, registry: MetricsRegistry) -> None:
    clock = registry.clock
    Plan(0.0, 0.0, [1.0] * 5000, 1, 0.0, []).record(record_into(made(registry, kind)), clock=clock)  # type: ignore[arg-type]
    again = restarted(registry, 20.0)
    record = record_into(made(again, kind))
    Plan(0.0, 0.0, [1.0] * 5000, 1, 0.0, []).record(record, clock=again.clock)  # type: ignore[arg-type]
    (series,) = made(again, kind).series
    assert series._closed is not None  # type: ignore[union-attr]
    assert len(series._closed) <= slots(1)  # type: ignore[union-attr]


@given(st.lists(st.tuples(st.floats(0.01, 20), st.sampled_from("ab")), min_size=1, max_size=60), st.floats(0, 1))
def test_a_total_is_that_of_this_process_whatever_was_restored_and_removed(
    steps: list[tuple[float, str]], share: float
) -> None:
    """Not even a rounding is different, and nobody sees an increase where nothing happened."""
    first = MetricsRegistry(clock=ManualClock(1000.0))
    hits = first.collector("app").counter("hits", labels=("user",))
    for by, user in steps:
        forward(first, 0.7)
        hits.inc(user, by=by * 1e9 / 3)
    second = restarted(first)
    again = second.collector("app").counter("hits", labels=("user",))
    total = 0.0
    for by, user in steps[: int(share * len(steps))]:
        forward(second, 0.7)
        again.inc(user, by=by)
        total += by
    assert again.metric.get_latest_value() == pytest.approx(total, rel=1e-15)
    for user in "ab":
        again.labels(user)
    alone = [series.total for series in again.metric.series if isinstance(series, CounterSeries)]
    again.remove("a")
    again.remove("b")
    assert again.metric.get_latest_value() == sum(alone)
    forward(second, 10)
    assert again.metric.get_increase(5) == 0
    expected = sum(by * 1e9 / 3 for by, _ in steps) + total
    assert again.metric.get_increase(HOUR) == pytest.approx(expected, rel=1e-9)


# -- exported totals begin at zero -------------------------------------------------------------------------------------


def test_a_page_shows_nothing_of_what_was_restored(registry: MetricsRegistry) -> None:
    def fill(registry: MetricsRegistry, value: float) -> None:
        app = registry.collector("app")
        app.counter("hits", labels=("user",)).inc("a", by=value)
        app.gauge("load").set(value)
        app.histogram("size").observe(value)

    fill(registry, 3)
    plain, restored = began(registry), restarted(registry)
    for one in (plain, restored):
        fill(one, 7)
    assert restored.export_metrics("openmetrics") == plain.export_metrics("openmetrics")
    assert restored.export_metrics("prometheus") == plain.export_metrics("prometheus")


def test_what_nobody_recorded_again_is_on_no_page(registry: MetricsRegistry) -> None:
    registry.collector("app").increment("hits", 3, {"user": "a"})
    again = restarted(registry)
    made(again, COUNTER, "hits")
    assert 'user="a"' not in again.export_metrics("prometheus")
    assert made(again, COUNTER, "hits").series == []
    assert again.cardinality()[0].series == 0


def test_the_points_of_a_counter_are_totals_of_this_process(registry: MetricsRegistry) -> None:
    registry.collector("app").increment("hits", 3)
    again = restarted(registry)
    again.collector("app").increment("hits", 2)
    assert [point.value for point in made(again, COUNTER, "hits").points] == [2]


def test_totals_of_a_histogram_are_those_of_this_process(registry: MetricsRegistry) -> None:
    registry.collector("app").record_histogram("size", 3)
    again = restarted(registry)
    again.collector("app").record_histogram("size", 7)
    (series,) = made(again, HISTOGRAM, "size").series
    assert isinstance(series, DistributionSeries)
    assert (series.totals().sum, sum(series.totals().counts)) == (7, 1)
    assert sum(series.exponential()[0].counts) == 1
    assert made(again, HISTOGRAM, "size").window(HOUR).count == 2


# -- coverage ----------------------------------------------------------------------------------------------------------


@every_type
def test_nothing_before_the_metrics_beginning_is_covered(registry: MetricsRegistry, kind: MetricType) -> None:
    forward(registry, HOUR)
    record_into(made(registry, kind))(5)
    again = restarted(registry)
    record_into(made(again, kind))(5)
    forward(again, 10)
    found = made(again, kind).window("5m")
    assert (found.covers_since, found.complete, amount(found)) == (5.0, False, 10)
    assert made(again, kind).window(10).complete


@pytest.mark.parametrize("kind", [COUNTER, HISTOGRAM])
def test_what_the_retention_lets_go_of_the_past_covers_no_more(registry: MetricsRegistry, kind: MetricType) -> None:
    record = record_into(made(registry, kind))
    for _ in range(5):
        forward(registry, 30)
        record(1)
    again = restarted(registry)
    metric = made(again, kind)
    metric.family.retention = 100.0
    record = record_into(metric)
    for _ in range(3):
        forward(again, 10)
        record(1)
    assert metric.window(1000).covers_since == 5.0
    assert amount(metric.window(1000)) < 8
    assert amount(metric.window(30)) == 3


def test_the_longest_a_series_may_have_let_go_is_not_covered_again(registry: MetricsRegistry) -> None:
    metric = made(registry, COUNTER)
    metric.family.retention = 50.0
    for _ in range(10):
        forward(registry, 10)
        record_into(metric)(1)
    again = restarted(registry)
    record_into(made(again, COUNTER))(1)
    assert made(again, COUNTER).get_increase(DAY) == 7  # those of the last 50 seconds, and the open slot


# -- what waits, and for whom ------------------------------------------------------------------------------------------


@every_type
@pytest.mark.parametrize("order", ["collector", "metric", "series", "registered late"])
def test_a_series_takes_up_its_past_whenever_it_is_made(registry: MetricsRegistry, kind: MetricType, order: str) -> None:
    record_into(made(registry, kind), user="a")(5)
    again = began(registry)
    if order == "registered late":
        collector = MetricsCollector(clock=again.clock)
        record_into(collector.create_metric("m", kind), user="a")(2)
        again.restore(rings_of(registry))
        again.register_collector("app", collector)
    else:
        if order == "metric":
            again.collector("app")
        elif order == "series":
            made(again, kind)
        again.restore(rings_of(registry))
        record_into(made(again, kind), user="a")(2)
    assert amount(made(again, kind).window("5m", {"user": "a"})) == amount(made(again, kind).window("5m")) == 7


@every_type
def test_what_was_recorded_before_restoring_is_kept_exactly(registry: MetricsRegistry, kind: MetricType) -> None:
    record = record_into(made(registry, kind))
    for value in range(100):
        record(float(value))
        forward(registry, 1)
    again = began(registry)
    plain = began(registry)
    for one in (again, plain):
        record = record_into(made(one, kind))
        for value in range(20):
            record(float(value))
            forward(one, 1)
    again.restore(rings_of(registry))
    for seconds in range(1, 21):
        assert made(again, kind).window(seconds) == made(plain, kind).window(seconds)
    assert amount(made(again, kind).window("10m")) > 4000


def test_series_past_the_limit_go_on_as_well() -> None:
    registry = MetricsRegistry(clock=ManualClock(1000.0))

    def count(registry: MetricsRegistry, times: int) -> Metric:
        hits = registry.collector("app", max_series=1).counter("hits", labels=("user", "kind"), keep=("kind",))
        for user in ("a", "b", "c"):
            hits.inc(user, "x", by=times)
        return hits.metric

    count(registry, 2)
    again = restarted(registry)
    hits = count(again, 3)
    assert hits.get_increase() == 15
    assert [series.get_increase() for series in hits.series] == [5, 10]


def test_the_answers_of_a_callback_go_on_once_it_answers(registry: MetricsRegistry) -> None:
    answers = iter([1.0, None, 5.0])
    registry.collector("app").callback_gauge("queue", lambda: 9.0).get_latest_value()
    again = restarted(registry)
    queue = again.collector("app").callback_gauge("queue", lambda: next(answers))
    assert queue.get_max() == 9
    assert queue.get_max() is None
    assert queue.get_average() == 5


def test_a_callback_that_was_there_already_takes_its_past(registry: MetricsRegistry) -> None:
    registry.collector("app").callback_gauge("queue", lambda: 9.0).get_latest_value()
    again = began(registry)
    queue = again.collector("app").callback_gauge("queue", lambda: 1.0)
    again.restore(rings_of(registry))
    assert (queue.get_max(), queue.get_latest_value()) == (9, 1)


def test_counters_that_nobody_recorded_again_are_in_windows(registry: MetricsRegistry) -> None:
    hits = registry.collector("app").counter("hits", labels=("user", "path"))
    hits.inc("a", "/x", by=3)
    hits.inc("b", "/x", by=4)
    again = restarted(registry)
    hits = again.collector("app").counter("hits", labels=("user", "path"))
    assert hits.metric.get_increase() == 7
    assert hits.metric.get_latest_value() == 0
    hits.inc("b", "/x")
    assert hits.metric.get_increase() == 8
    assert amount(hits.metric.window("5m", {"path": "/x"})) == 8
    (group,) = hits.metric.groups({}, ("path",)).values()
    assert len(group) == 2


def test_labels_stand_in_the_order_of_the_metric(registry: MetricsRegistry) -> None:
    registry.collector("app").counter("hits", labels=("b", "a")).inc("1", "2")
    ring = replace(rings_of(registry)[0], labels=Labels({"a": "2", "b": "1"}))
    again = began(registry)
    again.restore([ring])
    hits = again.collector("app").counter("hits", labels=("b", "a"))
    hits.inc("1", "2")
    assert [series.labels.text() for series in hits.metric.series] == ['b="1",a="2"']
    assert hits.metric.get_increase() == 2


@pytest.mark.parametrize("kind", [COUNTER, HISTOGRAM])
def test_what_is_not_claimed_within_the_retention_is_forgotten(registry: MetricsRegistry, kind: MetricType) -> None:
    for name in ("m", "never"):
        record_into(made(registry, kind, name), user="a")(5)
    again = restarted(registry)
    metric = made(again, kind)
    forward(again, DAY + 1)
    [*again.checkpoint(ALL)]
    assert metric._attic == metric._dormant == again._awaited == {}
    record_into(metric, user="a")(1)
    assert amount(metric.window(3 * DAY)) == 1


def test_what_is_older_than_the_retention_is_not_taken(registry: MetricsRegistry) -> None:
    record_into(made(registry, COUNTER))(5)
    again = restarted(registry, gap=2 * DAY)
    assert made(again, COUNTER).get_increase(5 * DAY) == 0


def test_the_attic_has_room_for_twice_as_many_as_there_may_be(registry: MetricsRegistry) -> None:
    for number in range(10):
        registry.collector("app").increment("hits", 1, {"user": str(number)})
    again = began(registry)
    hits = again.collector("app", max_series=2).create_metric("hits", COUNTER)
    assert again.restore(rings_of(registry)) == 6
    assert (len(hits._attic), hits.get_increase()) == (4, 4)


def test_metrics_still_to_be_made_are_awaited_up_to_a_limit(
    registry: MetricsRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        registry.collector("app").increment("hits", 1, {"user": str(number)})
        registry.collector("app").increment(f"hits_{number}")
    again = began(registry)
    monkeypatch.setattr("kailash_monitor.metrics.registry.MOST_AWAITED", 7)
    assert again.restore(rings_of(registry)) == 13
    assert sum(map(len, again._awaited.values())) == 7


@every_type
@pytest.mark.parametrize("forget", ["remove", "clear"])
@pytest.mark.parametrize("standing", [True, False])
def test_what_is_removed_on_purpose_is_forgotten(
    registry: MetricsRegistry, kind: MetricType, forget: str, standing: bool
) -> None:
    record_into(made(registry, kind), user="a")(5)
    again = restarted(registry)
    metric = made(again, kind)
    if standing:
        record_into(metric, user="a")(2)
    if forget == "clear":
        metric.clear()
    else:
        assert metric.remove({"user": "a"})
        assert not metric.remove({"user": "a"})
    assert metric.removed_since({"user": "a"}, again.clock.now())
    forward(again, 1)
    record_into(metric, user="a")(1)
    assert amount(metric.window("5m", {"user": "a"})) == 1


def test_a_series_that_was_removed_is_to_be_forgotten_where_it_is_stored(registry: MetricsRegistry) -> None:
    hits = registry.collector("app").counter("hits", labels=("user",))
    for user in "abc":
        hits.inc(user)
    forward(registry, 10)
    before, at = rings_of(registry), registry.clock.now()
    hits.remove("a")
    hits.remove("b")
    hits.inc("b")
    stored = {ring.labels["user"]: ring for ring in (*before, *rings_of(registry, at))}
    assert [user for user, ring in stored.items() if not ring.data] == ["a"]
    again = began(registry)
    assert again.restore(stored.values()) == 0
    assert again.collector("app").counter("hits", labels=("user",)).metric.get_increase() == 2


# -- what is written ---------------------------------------------------------------------------------------------------


def test_only_what_was_recorded_since_comes(registry: MetricsRegistry) -> None:
    for kind in MetricType:
        for name in ("once", "again"):
            record_into(made(registry, kind, f"{kind.value}_{name}"))(1)
    forward(registry, 60)
    since = registry.clock.now()
    for kind in MetricType:
        record_into(made(registry, kind, f"{kind.value}_again"))(1)
    assert [ring.metric for ring in rings_of(registry, since)] == [f"{kind.value}_again" for kind in MetricType]
    assert len(rings_of(registry)) == 8


def test_what_comes_says_what_it_is(registry: MetricsRegistry) -> None:
    registry.collector("app").record_timer("took", 3, {"path": "/x"})
    (ring,) = rings_of(registry)
    assert (ring.collector, ring.metric, ring.kind, ring.labels) == ("app", "took", "timer", {"path": "/x"})
    assert "data" not in repr(ring)


def test_the_toolkits_own_collector_is_not_among_it_and_one_of_yours_with_its_name_is(registry: MetricsRegistry) -> None:
    registry.self_metrics.failed.inc()
    assert rings_of(registry) == []
    other = MetricsRegistry(clock=ManualClock())
    other.collector("monitor").increment("hits")
    other.self_metrics.failed.inc()
    assert [ring.metric for ring in rings_of(other)] == ["hits"]


def test_a_checkpoint_changes_nothing(registry: MetricsRegistry) -> None:
    plain = MetricsRegistry(clock=registry.clock)
    for value in range(50):
        forward(registry, 0.3)
        for kind in MetricType:
            for one in (registry, plain):
                record_into(made(one, kind, kind.value))(float(value))
        rings_of(registry)
    assert registry.export_metrics("json") == plain.export_metrics("json")


def test_quiet_series_are_passed_with_pauses(registry: MetricsRegistry) -> None:
    hits = registry.collector("app", max_series=10_000).counter("hits", labels=("user",))
    for user in range(5000):
        hits.inc(user)
    assert [*registry.checkpoint(registry.clock.now() + 60)] == [None] * 6


def test_series_of_many_processes_go_on_and_on(registry: MetricsRegistry) -> None:
    for process in range(5):
        for kind in MetricType:
            record_into(made(registry, kind, kind.value))(float(process))
        registry = restarted(registry, gap=30.0, origin=1000.0 * process)
    forward(registry, 1)
    for kind in MetricType:
        record_into(made(registry, kind, kind.value))(5.0)
        assert amount(made(registry, kind, kind.value).window("10m")) == 15


def test_a_registry_of_which_a_checkpoint_was_made_restores_nothing(registry: MetricsRegistry) -> None:
    """A manager that is stopped and started again would otherwise count twice what is there."""
    hits = registry.collector("app").counter("hits")
    hits.inc(by=3)
    assert registry.restore(rings_of(registry)) == 0
    assert hits.metric.get_increase() == 3


@every_type
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_past_that_is_restored_twice_counts_once(registry: MetricsRegistry, kind: MetricType, when: str) -> None:
    record_into(made(registry, kind))(5)
    again = began(registry)
    metric, rings = made(again, kind), rings_of(registry)
    if when == "before":
        record_into(metric)(2)
    again.restore(rings)
    again.restore(rings)
    if when == "after":
        record_into(metric)(2)
    assert amount(metric.window("5m")) == 7


@every_type
def test_a_handle_that_nobody_used_has_the_past_it_was_given(registry: MetricsRegistry, kind: MetricType) -> None:
    record_into(made(registry, kind), user="a")
    assert rings_of(registry) == []
    record_into(made(registry, kind), user="a")(5)
    again = restarted(registry)
    record_into(made(again, kind), user="a")
    third = restarted(again)
    record_into(made(third, kind), user="a")(2)
    assert amount(made(third, kind).window("5m")) == 7


def test_a_checkpoint_is_consistent_whoever_records_meanwhile() -> None:
    """Threads record on while rings are written: of each distribution, count, sum and buckets belong together."""
    registry = MetricsRegistry()
    records = [record_into(made(registry, kind, kind.value)) for kind in (COUNTER, GAUGE, HISTOGRAM)]
    done = threading.Event()

    def record_on() -> None:
        while not done.is_set():
            for record in records:
                record(2.0)

    threads = [threading.Thread(target=record_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        seen = 0.0
        for _ in range(50):
            counter, gauge, histogram = [decode(ring, offset=0.0, now=math.inf) for ring in rings_of(registry)]
            assert counter is not None
            assert gauge is not None
            assert histogram is not None
            counts, sums, *_, packs = histogram.columns
            assert sum(sums) == 2 * sum(counts) == 2 * sum(pool(packs).values())
            assert sum(gauge.columns[3]) == 2 * sum(gauge.columns[4])
            assert -counter.before >= seen
            seen = -counter.before
    finally:
        done.set()
        for thread in threads:
            thread.join()


# -- what cannot be used -----------------------------------------------------------------------------------------------


def dropped(registry: MetricsRegistry) -> float | None:
    return registry.self_metrics.rings_dropped.metric.get_latest_value()


def full(kind: MetricType, count: int) -> Ring:
    registry = MetricsRegistry(clock=ManualClock(1000.0))
    record = record_into(made(registry, kind))
    for value in range(count):
        record(float(value % 17 - (3 if kind is not COUNTER else 0) * (value % 2)))
        forward(registry, 1.0)
    return rings_of(registry)[0]


RINGS = [full(kind, count) for kind in MetricType for count in (1, 300)]


@given(st.sampled_from(RINGS), st.data())
@settings(max_examples=examples(400))
def test_damaged_bytes_are_dropped_and_counted(ring: Ring, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(ring.data) - 1))
    flipped = bytes([ring.data[at] ^ data.draw(st.integers(1, 255))])
    for damaged in (ring.data[:at], ring.data[:at] + flipped + ring.data[at + 1 :], ring.data + flipped):
        if damaged:
            registry = MetricsRegistry(clock=ManualClock(2000.0))
            assert registry.restore([replace(ring, data=damaged)]) == 1
            assert dropped(registry) == 1
            metric = made(registry, MetricType(ring.kind))
            record_into(metric)(1.0)
            assert amount(metric.window(DAY)) == 1


@given(st.sampled_from(MetricType), st.binary(max_size=300), st.integers(0, 1), st.data())
def test_bytes_that_nobody_wrote_are_dropped_even_with_the_right_checksum(
    kind: MetricType, body: bytes, compressed: int, data: st.DataObject
) -> None:
    if data.draw(st.booleans()):
        count, levels = data.draw(st.tuples(st.integers(0, 5), st.integers(0, 3)))
        body = struct.pack("<dddIB", *data.draw(st.tuples(*[st.floats(width=32)] * 3)), count, levels) + body
    if compressed and data.draw(st.booleans()):
        body = zlib.compress(body)
    forged = struct.pack("<BBI", 1, compressed, zlib.crc32(body, compressed)) + body
    registry = MetricsRegistry(clock=ManualClock(2000.0))
    registry.restore([Ring("app", "m", kind.value, NO_LABELS, forged)])
    record_into(made(registry, kind))(1.0)
    made(registry, kind).window(DAY)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "counter"},
        {"kind": "none"},
        {"labels": Labels({"path": "/x"})},
        {"labels": {"__le": "x"}},
        {"labels": None},
        {"data": "text"},
    ],
)
def test_what_does_not_fit_is_dropped_and_counted(registry: MetricsRegistry, change: dict[str, object]) -> None:
    registry.collector("app").gauge("load", labels=("disk",)).set("a", 5)
    ring = replace(rings_of(registry)[0], **change)  # type: ignore[arg-type]  # wrong on purpose
    again = began(registry)
    load = again.collector("app").gauge("load", labels=("disk",))
    assert again.restore([ring]) == 1
    assert dropped(again) == 1
    load.set("a", 1)
    assert load.metric.get_max() == 1


def test_what_does_not_fit_a_metric_that_is_made_later_is_counted_then(registry: MetricsRegistry) -> None:
    registry.collector("app").set_gauge("load", 5)
    again = restarted(registry)
    assert dropped(again) == 0
    again.collector("app").increment("load")
    assert dropped(again) == 1


def test_an_unknown_version_is_dropped(registry: MetricsRegistry) -> None:
    record_into(made(registry, COUNTER))(5)
    (ring,) = rings_of(registry)
    assert began(registry).restore([replace(ring, data=b"\2" + ring.data[1:])]) == 1


def test_what_is_from_the_future_is_dropped(registry: MetricsRegistry) -> None:
    record_into(made(registry, COUNTER))(5)
    again = began(registry, gap=-60.0)
    assert again.restore(rings_of(registry)) == 1
    assert made(again, COUNTER).get_increase(HOUR) == 0


@every_type
def test_a_process_that_began_while_the_other_ran_on_goes_on_where_it_ends(
    registry: MetricsRegistry, kind: MetricType
) -> None:
    """What the other one recorded after that is taken to have happened just before."""
    record_into(made(registry, kind))(5)
    again = began(registry, gap=-20.0)
    record = record_into(made(again, kind))
    record(2)
    forward(again, 30)
    again.restore(rings_of(registry))
    record(1)
    assert amount(made(again, kind).window(29)) == (3 if kind is GAUGE else 1)
    assert amount(made(again, kind).window(60)) == 8


def test_a_ring_is_small(registry: MetricsRegistry) -> None:
    """A counter that was recorded once, and one of five thousand seconds."""
    record = record_into(made(registry, COUNTER))
    record(1)
    assert len(rings_of(registry)[0].data) < 70
    for _ in range(5000):
        forward(registry, 1)
        record(1)
    assert len(rings_of(registry)[0].data) < 2000


# -- rules -------------------------------------------------------------------------------------------------------------


def rule_of(condition: str, metric: str = "m", **more: object) -> AlertRule:
    return AlertRule("r", "d", "warning", metric, condition, **{"time_window": 300, **more})  # type: ignore[arg-type]


def readings(registry: MetricsRegistry, rule: AlertRule) -> dict[Labels, Reading]:
    collector = registry.collector("app")
    chunks = Reader.of(rule, collector.get_metric).read(collector.clock.now())
    return {group: reading for chunk in chunks for group, reading in chunk.items()}


def one(registry: MetricsRegistry, condition: str, metric: str = "m", **more: object) -> Reading:
    (reading,) = readings(registry, rule_of(condition, metric, **more)).values()
    return reading


def clears(rule: AlertRule, reading: Reading) -> bool:
    """Whether an alert that fires would be over."""
    if isinstance(reading, Value):
        return breached(rule, reading.value, reading.at_least, rule.severity) is None
    return isinstance(reading, Empty)


def fires(rule: AlertRule, reading: Reading) -> bool:
    """Whether an alert would begin."""
    if not isinstance(reading, Value):
        return False
    return breached(rule, reading.value, reading.at_least, None) not in (None, UNPROVEN)


def test_a_counters_window_may_prove_more_than_from_what_was_restored(registry: MetricsRegistry) -> None:
    registry.collector("app").increment("m", 20, {"user": "a"})
    again = restarted(registry)
    made(again, COUNTER)
    assert one(again, "> 10") == Value(20, at_least=True)
    assert one(again, "rate > 0.01") == Value(20 / 300, at_least=True)
    assert readings(again, rule_of("> 10", group_by=("user",))) == {Labels({"user": "a"}): Value(20, at_least=True)}
    assert fires(rule_of("> 10"), one(again, "> 10"))


def test_it_proves_neither_less_than_nor_recovery_until_it_is_covered(registry: MetricsRegistry) -> None:
    registry.collector("app").increment("m", 5)
    again = restarted(registry)
    made(again, COUNTER)
    for condition in ("> 10", "< 10"):
        reading = one(again, condition)
        assert not clears(rule_of(condition), reading)
        assert not fires(rule_of(condition), reading)
    forward(again, 300)
    assert clears(rule_of("> 10"), one(again, "> 10"))
    assert one(again, "> 10") == Value(0)


@pytest.mark.parametrize(
    "condition", ["> 1", "latest > 1", "avg > 1", "min > 1", "max > 1", "sum > 1", "count > 1", "rate > 1"]
)
def test_a_gauge_is_missing_until_it_is_set(registry: MetricsRegistry, condition: str) -> None:
    registry.collector("app").set_gauge("m", 5)
    again = restarted(registry)
    gauge = again.collector("app").gauge("m")
    assert one(again, condition) == Missing()
    handle = gauge.labels()
    assert one(again, condition) == Missing()
    assert (handle.value, handle.points(), gauge.metric.get_latest_value()) == (None, [], None)
    forward(again, 300)
    assert one(again, condition) == Missing()


def test_once_it_is_set_its_windows_have_its_past(registry: MetricsRegistry) -> None:
    gauge = registry.collector("app").gauge("m")
    gauge.set(90)
    forward(registry, 10)
    gauge.set(80)
    again = restarted(registry)
    again.collector("app").gauge("m").set(10)
    assert one(again, "avg > 1") == Value(60)
    assert one(again, "max > 1") == Value(90)
    assert one(again, "min > 1") == Value(10)
    assert one(again, "> 1") == Value(10)
    assert [point.value for point in made(again, GAUGE).points] == [90, 80, 10]


def test_no_value_is_in_force_between_two_processes(registry: MetricsRegistry) -> None:
    """What a gauge was before a crash is no value of the minutes after it."""
    gauge = registry.collector("app").gauge("m")
    gauge.set(3)
    forward(registry, 20)
    again = restarted(registry, gap=60)
    again.collector("app").gauge("m").set(50)
    assert one(again, "min < 5", time_window=70) == Value(3)  # the window begins while the first one ran
    assert one(again, "min < 5", time_window=50) == Value(50)
    assert one(again, "rate > 1", time_window=50) == Value(0)


def test_a_value_of_before_the_gap_does_not_come_back_when_the_retention_lets_it_go(registry: MetricsRegistry) -> None:
    registry.collector("app").set_gauge("m", 3)
    again = restarted(registry, gap=60)
    gauge = again.collector("app").gauge("m")
    gauge.metric.family.retention = 100.0
    forward(again, 50)
    for _ in range(3):
        forward(again, 30)
        gauge.set(50)
    assert one(again, "min < 5", time_window=100) == Value(50)


@pytest.mark.parametrize("condition", ["> 1", "latest > 1", "avg > 1", "min > 1", "max > 1", "p95 > 1"])
def test_a_distribution_is_waited_for_until_there_is_an_observation(registry: MetricsRegistry, condition: str) -> None:
    registry.collector("app").record_timer("m", 5)
    again = restarted(registry)
    timer = again.collector("app").timer("m")
    assert one(again, condition) == Waiting()
    handle = timer.labels()
    assert one(again, condition) == Waiting()
    assert (handle.latest, handle.points(), timer.metric.get_latest_value()) == (None, [], None)
    timer.observe(7)
    assert isinstance(one(again, condition), Value)


@pytest.mark.parametrize("condition", ["count > 1", "rate > 1", "increase > 1", "sum > 1"])
def test_its_counts_prove_nothing_until_then(registry: MetricsRegistry, condition: str) -> None:
    for _ in range(1000):
        registry.collector("app").record_timer("m", 5)
    again = restarted(registry)
    again.collector("app").timer("m").labels()
    assert one(again, condition) == Value(0, at_least=True)
    again.collector("app").record_timer("m", 5)
    assert fires(rule_of(condition), one(again, condition))


def test_once_there_is_one_its_windows_have_its_past(registry: MetricsRegistry) -> None:
    for value in (10, 20):
        registry.collector("app").record_timer("m", value)
    again = restarted(registry)
    again.collector("app").record_timer("m", 60)
    assert one(again, "avg > 1") == Value(30)
    assert one(again, "p0 > 1") == Value(10)
    assert one(again, "count > 1") == Value(3, at_least=True)


def shares(registry: MetricsRegistry) -> tuple[Callable[..., None], Callable[..., None]]:
    app = registry.collector("app")
    whole = app.counter("total", labels=("node",))
    part = app.counter("m", labels=("node",), share_of="total")
    return part.inc, whole.inc


def test_a_share_is_not_judged_by_what_was_restored_alone(registry: MetricsRegistry) -> None:
    part, whole = shares(registry)
    whole("a", by=10)
    part("a", by=6)
    again = restarted(registry)
    part, whole = shares(again)
    assert one(again, "share > 0.5") == Waiting()
    assert readings(again, rule_of("share > 0.5", group_by=("node",))) == {Labels({"node": "a"}): Waiting()}
    whole("a", by=2)
    assert one(again, "share > 0.5") == Value(0.5)


def test_a_success_share_does_not_fall_because_only_a_failure_was_counted_yet(registry: MetricsRegistry) -> None:
    """The counter of successes has no series yet: its past is in the window all the same."""
    part, whole = shares(registry)
    whole("a", by=99)
    part("a", by=99)
    again = restarted(registry)
    part, whole = shares(again)
    whole("a")
    assert one(again, "share < 0.95") == Value(0.99)
    assert not fires(rule_of("share < 0.95"), one(again, "share < 0.95"))
    forward(again, 300)
    whole("a")
    assert one(again, "share < 0.95") == Value(0.0)


def test_a_burn_rate_is_not_judged_by_what_was_restored_alone(registry: MetricsRegistry) -> None:
    def count(registry: MetricsRegistry, good: int, bad: int) -> None:
        app = registry.collector("app")
        app.counter("total").inc(by=good + bad)
        app.counter("good").inc(by=good)

    count(registry, 0, 1000)
    again = began(registry)
    count(again, 0, 0)
    again.restore(rings_of(registry))
    rules = burn_rate_rules("checkout", good="good", total="total", objective=0.999)
    forward(again, 10)
    assert {reading for rule in rules for reading in readings(again, rule).values()} == {Waiting()}
    count(again, 10, 0)
    for rule in rules:
        (reading,) = readings(again, rule).values()
        assert not clears(rule, reading)
        assert not fires(rule, reading)


CONDITIONS = {
    COUNTER: ["", "rate", "increase"],
    GAUGE: ["", "latest", "avg", "min", "max", "sum", "count", "rate"],
    TIMER: ["", "latest", "avg", "min", "max", "sum", "count", "rate", "p50", "p99"],
}
words = st.sampled_from([(kind, word) for kind, some in CONDITIONS.items() for word in some])


@given(
    words,
    st.sampled_from([">", ">=", "<", "<=", "==", "!="]),
    st.integers(1, 60),
    st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 20), st.sampled_from("ab")), min_size=1, max_size=30),
    st.booleans(),
    st.floats(0, 299),
)
@settings(max_examples=examples(300))
def test_nothing_resolves_and_nothing_begins_because_of_what_was_restored(
    what: tuple[MetricType, str],
    comparator: str,
    threshold: int,
    steps: list[tuple[float, int, str]],
    grouped: bool,
    later: float,
) -> None:
    """Until there is something new, or the window is covered; only that a counter rose more than it may is proven."""
    (kind, word), first = what, MetricsRegistry(clock=ManualClock(1000.0))
    for after, value, user in steps:
        forward(first, after)
        record_into(made(first, kind), user=user)(float(value))
    again = restarted(first)
    made(again, kind)
    forward(again, later)
    rule = rule_of(f"{word} {comparator} {threshold}", group_by=("user",) if grouped else ())
    for reading in readings(again, rule).values():
        if kind is not COUNTER:
            assert not clears(rule, reading)
            assert not fires(rule, reading)
        elif clears(rule, reading) or fires(rule, reading):
            assert isinstance(reading, Value)
            assert reading.at_least
            assert threshold <= reading.value <= sum([value for _, value, _ in steps])
