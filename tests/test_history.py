"""The law of the age-graded ring, against a list of what happened.

An answer for a window w is exact for some w′ with |w′ - w| ≤ max(1 s, 0.07 w). A trace is a list of times and values; a cut
is a place in it: what comes after the cut is what a window saw.
"""

import math
import random
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.metrics.history import FINEST, PER_LEVEL, History
from kailash_monitor.metrics.recorder import Family
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.buckets import bucket_of, merge, pack, pool
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow, Window
from kailash_monitor.rules import AlertRule, Value, Waiting, read
from kailash_monitor.testing import ManualClock

from effort import examples  # isort: skip

ROUNDING = 1e-6
"""What floats lose at times of 1e9."""

BOUNDS = (0.0, 10.0, 50.0)
HOUR, DAY = 3600.0, 86_400.0


def no_refusal(value: object, why: str) -> None:
    raise AssertionError(f"{value!r} was refused: {why}")


def family(clock: ManualClock, retention: float = DAY) -> Family:
    return Family(clock.now, no_refusal, lambda series: series, clock.now(), BOUNDS, retention)


# -- traces


@dataclass(frozen=True)
class Trace:
    """What was recorded: whole numbers, so that sums are exact. `now` is when one looks."""

    born: float
    times: list[float]
    values: list[float]
    now: float

    def allowed(self, found: Window) -> set[int]:
        """Give every cut that the window may have been made by."""
        if found.covered:
            return {*self._within_the_law(found.seconds)}
        birth = {0} if found.covers_since == self.born else set[int]()  # what happened at birth may be covered
        return birth | {bisect_right(self.times, found.covers_since)}

    def after(self, start: float) -> list[float]:
        """Give the values recorded later than `start`."""
        return self.values[bisect_right(self.times, start) :]

    def _within_the_law(self, window: float) -> Iterator[int]:
        start, tolerance = self.now - window, max(1.0, 0.07 * window) + ROUNDING
        first = bisect_right(self.times, start - tolerance)
        last = bisect_right(self.times, min(start + tolerance, self.now))
        for cut in range(first, last + 1):
            if cut in (0, len(self.times)) or self.times[cut - 1] < self.times[cut]:
                yield cut


@dataclass(frozen=True)
class Plan:
    """How a trace comes about."""

    origin: float
    idle: float
    gaps: list[float]
    seed: int
    rest: float
    windows: list[float]
    """From 0 to 1, shares of the trace's length; above, seconds."""

    def record(self, *records: object, clock: ManualClock) -> Trace:
        """Record into all of `records`, and tell what."""
        numbers = random.Random(self.seed)
        born = clock.now()
        clock.advance(self.idle)
        times, values = list[float](), list[float]()
        for gap in self.gaps:
            clock.advance(gap)
            value = float(numbers.randrange(100))
            times.append(clock.now())
            values.append(value)
            for record in records:
                record(value)  # type: ignore[operator]
        clock.advance(self.rest)
        return Trace(born, times, values, clock.now())

    def lengths(self, trace: Trace) -> Iterator[float]:
        """Give the windows to ask for."""
        span = trace.now - trace.born
        return (max(w * span if w <= 1 else w, 1e-3) for w in self.windows)


def regular(gap: float, most: int) -> st.SearchStrategy[list[float]]:
    return st.integers(1, most).map(lambda n: [gap] * n)


def growing(first: float, ratio: float, count: int) -> list[float]:
    return [first * ratio**n for n in range(count) if first * ratio**n < 6 * HOUR]


def erratic(lengths: Sequence[float], seed: int, count: int) -> list[float]:
    numbers = random.Random(seed)
    return [numbers.uniform(0, numbers.choice(lengths)) for _ in range(count)]


seeds = st.integers(0, 2**32)
bursts = st.builds(erratic, st.just((0.01, 0.05)), seeds, st.integers(1, 100))
random_gaps = st.builds(
    erratic, st.lists(st.sampled_from([0.0, 0.5, 2.0, 5.0, 60.0, 500.0, 4 * HOUR]), min_size=1), seeds, st.integers(1, 250)
)
exponential_gaps = st.builds(growing, st.floats(0.01, 2), st.floats(1.01, 2), st.integers(1, 300))
short = st.one_of(bursts, random_gaps, exponential_gaps, regular(1.0, 200), regular(2.0, 200), regular(0.1, 300))
long = st.one_of(regular(1.0, 5000), regular(0.1, 6000), regular(7.3, 3000), bursts, random_gaps, exponential_gaps)

origins = st.sampled_from([0.0, 0.3, 1000.0, 1e9, 1e9 + 1 / 3, 1_700_000_000.123]) | st.floats(0, 2e9)
rests = st.sampled_from([0.0, 0.0, 1.0]) | st.floats(0, 100) | st.floats(0, 2 * HOUR)
windows = st.lists(st.floats(0, 1) | st.floats(1, 100) | st.floats(1, 2 * DAY), min_size=8, max_size=8)

SHARES = [n / 50 for n in range(1, 51)]
SECONDS = [n * 1.37 for n in range(1, 100)]


def plans(segments: st.SearchStrategy[list[float]], most: int = 4) -> st.SearchStrategy[Plan]:
    gaps = st.lists(segments, min_size=1, max_size=most).map(lambda some: [gap for one in some for gap in one])
    return st.builds(Plan, origins, rests, gaps, seeds, rests, windows)


# -- the law


def check_counter(found: CounterWindow, trace: Trace) -> None:
    after = [*accumulate(reversed(trace.values), initial=0.0)][::-1]
    assert found.increase in {after[cut] for cut in trace.allowed(found)}
    assert found.total == after[0]


def check_distribution(found: DistributionWindow, trace: Trace) -> None:
    cut = len(trace.times) - found.count
    assert cut in trace.allowed(found)
    seen = trace.values[cut:]
    assert found.sum == sum(seen)
    assert (found.min, found.max) == ((min(seen), max(seen)) if seen else (None, None))
    assert (found.percentile(0), found.percentile(100)) == (found.min, found.max)
    assert found.buckets == Counter(map(bucket_of, seen))
    assert (found.latest, found.latest_at) == (trace.values[-1], trace.times[-1])


def check_gauge(found: GaugeWindow, trace: Trace) -> None:
    """A window has the values set in it, and the one in force at its start."""
    values = trace.values
    cut = len(values) - found.count + 1 or 1  # the value before the cut is in force; before the first there is none
    allowed = trace.allowed(found)
    assert cut in allowed or (cut == 1 and 0 in allowed)
    seen = values[cut - 1 :]
    assert (found.min, found.max, found.sum) == (min(seen), max(seen), sum(seen))
    assert (found.last, found.set_at) == (values[-1], trace.times[-1])
    reach = max(found.start, trace.times[0]) + max(1.0, 0.07 * found.seconds) + ROUNDING
    in_force = {values[max(cut - 1, 0)] for cut in allowed} | {
        values[at] for at in range(bisect_left(trace.times, found.start), bisect_right(trace.times, reach))
    }
    assert found.first in in_force


@given(plans(short))
@settings(max_examples=examples(200))
def test_an_increase_is_exact_for_a_window_within_the_law(plan: Plan) -> None:
    clock = ManualClock(plan.origin)
    series = CounterSeries(NO_LABELS, family(clock))
    trace = plan.record(series.inc, clock=clock)
    for window in plan.lengths(trace):
        check_counter(series.window(window, trace.now), trace)


@given(plans(short))
@settings(max_examples=examples(150))
def test_the_observations_of_a_window_are_those_of_one_within_the_law(plan: Plan) -> None:
    clock = ManualClock(plan.origin)
    series = DistributionSeries(NO_LABELS, family(clock))
    trace = plan.record(series.observe, clock=clock)
    for window in plan.lengths(trace):
        check_distribution(series.window(window, trace.now), trace)


@given(plans(short))
@settings(max_examples=examples(150))
def test_the_values_of_a_gauge_are_those_of_a_window_within_the_law(plan: Plan) -> None:
    clock = ManualClock(plan.origin)
    series = GaugeSeries(NO_LABELS, family(clock))
    trace = plan.record(series.set, clock=clock)
    for window in plan.lengths(trace):
        check_gauge(series.window(window, trace.now), trace)


@pytest.mark.untraced
@given(plans(long, most=3))
@settings(max_examples=examples(25))
@example(Plan(0.0, 0.0, [1.0] * 9000, 1, 0.0, SHARES))
@example(Plan(1e9 + 1 / 3, 0.0, [0.1] * 9000, 1, 5.0, SHARES + SECONDS))
@example(Plan(0.7, 0.0, growing(0.05, 1.1, 300), 1, HOUR, SHARES))
def test_the_law_holds_for_thousands_of_events_of_every_type(plan: Plan) -> None:
    clock = ManualClock(plan.origin)
    shared = family(clock)
    counter, distribution = CounterSeries(NO_LABELS, shared), DistributionSeries(NO_LABELS, shared)
    gauge = GaugeSeries(NO_LABELS, shared)
    trace = plan.record(counter.inc, distribution.observe, gauge.set, clock=clock)
    for window in plan.lengths(trace):
        check_counter(counter.window(window, trace.now), trace)
        check_distribution(distribution.window(window, trace.now), trace)
        check_gauge(gauge.window(window, trace.now), trace)


@given(origins, st.integers(0, 6), st.data())
def test_sparse_events_stay_exact(origin: float, level: int, data: st.DataObject) -> None:
    """Events that are 2^k s apart are never folded, as long as the levels up to k have room for them."""
    apart = 2.0**level
    room = 1 + FINEST + PER_LEVEL * level  # one is in the open slot
    gaps = data.draw(st.lists(st.floats(apart, 10 * apart), min_size=1, max_size=room))
    clock = ManualClock(origin)
    shared = family(clock)
    counter, distribution = CounterSeries(NO_LABELS, shared), DistributionSeries(NO_LABELS, shared)
    gauge = GaugeSeries(NO_LABELS, shared)
    trace = Plan(origin, 0.0, gaps, 1, 0.0, []).record(counter.inc, distribution.observe, gauge.set, clock=clock)
    window = data.draw(st.floats(1e-3, 1.2 * (trace.now - trace.born + 1)))
    start = trace.now - window
    seen = trace.after(start)
    in_force = trace.values[: -len(seen) or None][-1:]
    assert counter.window(window, trace.now).increase == sum(seen)
    assert distribution.window(window, trace.now).sum == sum(seen)
    assert distribution.window(window, trace.now).count == len(seen)
    found = gauge.window(window, trace.now)
    assert (found.sum, found.count, found.first) == (sum(in_force + seen), len(in_force + seen), (in_force + seen)[0])


# -- what is kept, and for how long


@given(plans(short), st.floats(1, 2 * HOUR))
def test_totals_are_conserved_over_folding_and_retention(plan: Plan, retention: float) -> None:
    clock = ManualClock(plan.origin)
    shared = family(clock, retention)
    counter, distribution = CounterSeries(NO_LABELS, shared), DistributionSeries(NO_LABELS, shared)
    trace = plan.record(counter.inc, distribution.observe, clock=clock)
    totals, packed = distribution.exponential()
    le = [bisect_left(BOUNDS, value) for value in trace.values]
    assert counter.total == totals.sum == sum(trace.values)
    assert pool([packed]) == Counter(map(bucket_of, trace.values))
    assert totals == distribution.totals()
    assert totals.counts == [le.count(bound) for bound in range(len(BOUNDS) + 1)]


@given(plans(short), st.floats(1, 2 * HOUR))
def test_a_window_past_the_retention_says_so_and_never_overstates(plan: Plan, retention: float) -> None:
    """What is covered obeys the law; what is not is the whole truth since `covers_since`."""
    clock = ManualClock(plan.origin)
    shared = family(clock, retention)
    counter, distribution = CounterSeries(NO_LABELS, shared), DistributionSeries(NO_LABELS, shared)
    gauge = GaugeSeries(NO_LABELS, shared)
    trace = plan.record(counter.inc, distribution.observe, gauge.set, clock=clock)
    for window in plan.lengths(trace):
        increase, observed = counter.window(window, trace.now), distribution.window(window, trace.now)
        check_counter(increase, trace)
        check_distribution(observed, trace)
        check_gauge(gauge.window(window, trace.now), trace)
        truth = trace.after(increase.start)
        if not increase.covered:
            assert increase.increase <= sum(truth)
        if not observed.covered:
            assert observed.count <= len(truth)
        assert (
            window > retention - 1 or trace.now > trace.times[-1] or increase.covers_since <= max(trace.born, increase.start)
        )


@given(plans(short), st.floats(1, 2 * HOUR), st.sampled_from(["", "rate ", "increase ", "count "]), st.data())
def test_a_window_that_is_not_covered_never_proves_less_than(
    plan: Plan, retention: float, word: str, data: st.DataObject
) -> None:
    clock = ManualClock(plan.origin)
    collector = MetricsCollector(clock=clock)
    counter, timer = collector.counter("counter").labels(), collector.timer("timer").labels()
    for metric in collector.get_all_metrics().values():
        metric.family.retention = retention  # a metric only ever keeps longer: `retain`
    trace = plan.record(counter.inc, timer.observe, clock=clock)
    name, truths = ("timer", [1.0] * len(trace.values)) if word == "count " else ("counter", trace.values)
    metric = collector.get_all_metrics()[name]
    for window in plan.lengths(trace):
        found = metric.window(window)
        truth = sum(truths[len(truths) - len(trace.after(trace.now - window)) :]) / (
            found.seconds if word == "rate " else 1.0
        )
        threshold = data.draw(
            st.sampled_from([truth, math.nextafter(truth, math.inf), truth / 2]) | st.floats(0, 2 * truth + 1)
        )
        for comparator in ("<", "<=", ">", ">=", "==", "!="):
            rule = AlertRule("r", "d", "warning", metric.name, f"{word}{comparator} {threshold!r}", time_window=window)
            ((reading,),) = [chunk.values() for chunk in read(rule, collector.get_metric, trace.now)]
            assert isinstance(reading, Value)
            assert reading.at_least is not found.complete
            if reading.at_least:
                proven = rule.condition.holds(reading.value, at_least=True)
                assert proven in (None, rule.condition.holds(truth))
                assert proven is None or comparator not in ("<", "<=") or not proven


def test_a_rule_over_an_average_of_nothing_waits_until_its_window_is_covered() -> None:
    clock = ManualClock(100.0)
    collector = MetricsCollector(clock=clock)
    collector.timer("timer")
    rule = AlertRule("r", "d", "warning", "timer", "avg < 5", time_window=10)
    assert [dict(chunk) for chunk in read(rule, collector.get_metric, clock.now())] == [{NO_LABELS: Waiting()}]


def test_what_the_retention_lets_go_shows_in_covers_since() -> None:
    clock = ManualClock()
    series = CounterSeries(NO_LABELS, family(clock, 60.0))
    for _ in range(300):
        series.inc()
        clock.advance(1.0)
    found = series.window(200, clock.now())
    assert found.covers_since > clock.now() - 100
    assert not found.covered
    assert found.increase < 200
    assert series.window(20, clock.now()).increase in (19, 20, 21)


def test_an_empty_history_lets_go_of_its_last_slot() -> None:
    clock = ManualClock()
    series = CounterSeries(NO_LABELS, family(clock, 10.0))
    clock.advance(50)
    series.inc()
    clock.advance(100)
    series.inc(2)
    clock.advance(100)
    series.inc(4)
    assert series.window(50, clock.now()).increase == 4
    assert series.window(1000, clock.now()).covers_since == 50.0


def test_a_rule_that_asks_for_more_history_gets_it() -> None:
    clock = ManualClock()
    counter = MetricsCollector(clock=clock).counter("counter")
    counter.metric.retain(3 * DAY)
    counter.metric.retain(60.0)
    clock.advance(2 * HOUR)
    for _ in range(72):
        counter.inc()
        clock.advance(HOUR)
    found = counter.metric.window("73h")
    assert isinstance(found, CounterWindow)
    assert (found.increase, found.complete) == (72, True)


# -- memory


def slots(days: float) -> float:
    """Give how many slots a history of so many days has at most: each level reaches twice as far as the one before."""
    return FINEST + PER_LEVEL * math.ceil(math.log2(days * DAY / PER_LEVEL)) + PER_LEVEL


@pytest.mark.untraced
def test_a_history_of_a_day_of_recording_every_second_has_some_hundred_slots() -> None:
    clock = ManualClock()
    series = CounterSeries(NO_LABELS, family(clock, DAY))
    for _ in range(int(1.2 * DAY)):
        series.inc()
        clock.time += 1.0
    assert series._closed is not None
    assert len(series._closed) <= slots(1.2) < 300
    assert series.window(DAY, clock.now()).covered


def kilobytes(columns: Iterable[object]) -> float:
    return (
        sum(
            sys.getsizeof(column) + sum(map(sys.getsizeof, column if isinstance(column, list) else [])) for column in columns
        )
        / 1000
    )  # type: ignore[call-overload]


@pytest.mark.untraced
def test_a_busy_histogram_of_a_day_fits_into_90_kilobytes() -> None:
    clock, numbers = ManualClock(), random.Random(1)
    series = DistributionSeries(NO_LABELS, family(clock))
    for _ in range(5_000):  # a day is some 80 more slots: 200 in all
        for _ in range(10):
            series.observe(numbers.lognormvariate(0, 0.5))
        clock.time += 1.0
    assert series._closed is not None
    size, count = kilobytes([series._closed.ends, *series._closed.columns]), len(series._closed)
    assert size / count * slots(1) < 90


def test_a_day_of_values_over_600_decades_stays_below_two_megabytes() -> None:
    """What is hostile costs some 16 bytes for each bucket of a slot, and a slot has no more of these than it had values."""
    numbers = random.Random(1)
    history = History(([],), (merge,))
    for moment in range(0, int(DAY), 10):  # ten at a time, to be done sooner
        values = [10 ** numbers.uniform(-300, 300) for _ in range(10)]
        history.append(float(moment), (pack(Counter(map(bucket_of, values))),), DAY)
    assert kilobytes([history.ends, *history.columns]) < 2000
