"""The law of the age-graded ring, against a list of what happened."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.metrics.recorder import Family
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.testing import ManualClock

gaps = st.one_of(st.floats(0.0, 0.5), st.floats(0.5, 5), st.floats(5, 500))
traces = st.lists(gaps, min_size=1, max_size=400)
windows = st.floats(min_value=1, max_value=20_000)


def no_refusal(value: object, why: str) -> None:
    raise AssertionError(f"{value!r} was refused: {why}")


def family(clock: ManualClock, *bounds: float) -> Family:
    return Family(clock.now, no_refusal, lambda series: series, clock.now(), bounds)


def counter(clock: ManualClock) -> CounterSeries:
    return CounterSeries(NO_LABELS, family(clock))


def possible_counts(times: list[float], now: float, window: float) -> set[int]:
    """Give every count that is exact for some window within the law's tolerance."""
    tolerance = max(1.0, 0.07 * window) + 1e-6
    edges = [now - window - tolerance, now - window + tolerance]
    least, most = (sum(1 for t in times if t > edge) for edge in reversed(edges))
    return set(range(least, most + 1))


@given(traces, windows, st.floats(0, 100))
@settings(max_examples=300)
def test_an_increase_is_exact_for_a_window_within_the_law(steps: list[float], window: float, rest: float) -> None:
    clock = ManualClock(1000.0)
    series, times = counter(clock), list[float]()
    for step in steps:
        clock.advance(step)
        series.inc()
        times.append(clock.now())
    clock.advance(rest)
    assert series.window(window, clock.now()).increase in possible_counts(times, clock.now(), window)


@given(traces, windows)
def test_the_observations_of_a_window_obey_the_same_law(steps: list[float], window: float) -> None:
    clock = ManualClock(1000.0)
    series = DistributionSeries(NO_LABELS, family(clock, 1.0))
    times: list[float] = []
    for step in steps:
        clock.advance(step)
        series.observe(1.0)
        times.append(clock.now())
    found = series.window(window, clock.now())
    assert found.count in possible_counts(times, clock.now(), window)
    assert found.count == found.sum == sum(found.buckets.values())


@given(st.lists(st.floats(61, 3600), min_size=1, max_size=15), st.floats(1, 20_000))
def test_sparse_events_stay_exact(steps: list[float], window: float) -> None:
    clock = ManualClock(1000.0)
    series, times = counter(clock), list[float]()
    for step in steps:
        clock.advance(step)
        series.inc()
        times.append(clock.now())
    assert series.window(window, clock.now()).increase == sum(1 for t in times if t > clock.now() - window)


@given(st.lists(st.tuples(gaps, st.floats(0, 1e6)), max_size=300))
def test_totals_are_conserved_over_folding(recorded: list[tuple[float, float]]) -> None:
    clock = ManualClock(1000.0)
    series = counter(clock)
    for step, amount in recorded:
        clock.advance(step)
        series.inc(amount)
    total = math.fsum(amount for _, amount in recorded)
    assert series.window(1e9, clock.now()).increase == series.total == pytest.approx(total)


def test_memory_is_bounded_over_a_day_of_recording_every_second() -> None:
    clock = ManualClock()
    series = counter(clock)
    for _ in range(100_000):
        series.inc()
        clock.advance(1.0)
    assert len(series._closed) < 16 * 17


def test_what_the_retention_lets_go_shows_in_covers_since() -> None:
    clock = ManualClock()
    series = counter(clock)
    series._family.retention = 60.0
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
    series = counter(clock)
    series._family.retention = 10.0
    clock.advance(50)
    series.inc()
    clock.advance(100)
    series.inc(2)
    clock.advance(100)
    series.inc(4)
    assert series.window(50, clock.now()).increase == 4
    assert series.window(1000, clock.now()).covers_since == 50.0


@given(st.lists(st.tuples(gaps, st.floats(-1e6, 1e6)), min_size=1, max_size=200), windows)
def test_a_gauge_window_includes_the_value_in_force_at_its_start(recorded: list[tuple[float, float]], window: float) -> None:
    clock = ManualClock(1000.0)
    series, trace = GaugeSeries(NO_LABELS, family(clock)), list[tuple[float, float]]()
    for step, value in recorded:
        clock.advance(step)
        series.set(value)
        trace.append((clock.now(), value))
    found = series.window(window, clock.now())
    start, tolerance = clock.now() - window, max(1.0, 0.07 * window) + 1e-6
    narrow = [v for t, v in trace if t > start + tolerance]
    assert found.last == trace[-1][1]
    assert found.min is not None
    assert found.max is not None
    assert all(found.min <= value <= found.max for value in narrow)
    before = [v for t, v in trace if t <= start - tolerance]
    wide = [v for t, v in trace if t > start - tolerance] + before[-1:]
    assert min(wide) <= found.min
    assert found.max <= max(wide)
