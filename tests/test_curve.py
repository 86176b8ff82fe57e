"""Curves: what series did over time, window by window, from the slots of their history."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.metrics.curve import WHOLE, CounterCurve, DistributionCurve, Grid, gauge_windows
from kailash_monitor.metrics.series import CallbackSeries, CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow
from kailash_monitor.testing import ManualClock

from effort import examples  # isort: skip


@pytest.fixture
def time() -> ManualClock:
    return ManualClock()


@pytest.fixture
def app(time: ManualClock) -> MetricsCollector:
    return MetricsRegistry(clock=time).collector("app")


def series_of(app: MetricsCollector, name: str) -> list[object]:
    metric = app.get_metric(name)
    assert metric is not None
    return [*metric.series]


def counted(app: MetricsCollector, grid: Grid, name: str = "requests") -> list[CounterWindow | None]:
    curve = CounterCurve(grid)
    for series in series_of(app, name):
        assert isinstance(series, CounterSeries)
        curve.take(series)
    return [*curve.windows()]


def observed(app: MetricsCollector, grid: Grid, *, spread: bool, name: str = "wait") -> list[DistributionWindow | None]:
    curve = DistributionCurve(grid, spread=spread)
    for series in series_of(app, name):
        assert isinstance(series, DistributionSeries)
        curve.take(series)
    return [*curve.windows()]


def held(app: MetricsCollector, grid: Grid, name: str = "queue") -> list[GaugeWindow | None]:
    (series,) = series_of(app, name)
    assert isinstance(series, GaugeSeries | CallbackSeries)
    return [*gauge_windows(series, grid)]


def known(windows: Sequence[object]) -> list[bool]:
    return [window is not None for window in windows]


# -- grids


def test_a_grid_ends_now_and_its_windows_are_a_step_long_at_least(time: ManualClock) -> None:
    grid = Grid.of(1000.0, 60.0, 6)
    assert grid.ends == [950, 960, 970, 980, 990, 1000]
    assert grid.window == 10
    assert Grid.of(1000.0, 60.0, 6, 3.0).window == 10
    assert Grid.of(1000.0, 60.0, 6, 31.0).window == 30


@pytest.mark.parametrize("window", [10.0, 30.0, 60.0, 3600.0, 1e9])
def test_every_window_has_its_edges_and_no_grid_has_many(window: float) -> None:
    grid = Grid.of(1000.0, 60.0, 6, window)
    edges = grid.edges
    assert [edges[number + grid.apart] for number in range(6)] == pytest.approx(grid.ends)
    assert [edges[number] for number in range(6)] == pytest.approx([end - grid.window for end in grid.ends])
    assert len(edges) <= 12


# -- counters


def test_a_counter_rises_when_it_was_counted(app: MetricsCollector, time: ManualClock) -> None:
    for _ in range(10):
        time.advance(10)
        app.increment("requests", 4)
    windows = counted(app, Grid.of(time.now(), 40.0, 4))
    assert [window.increase for window in windows if window] == [4, 4, 4, 4]
    assert [window.total for window in windows if window] == [28, 32, 36, 40]


def test_counters_are_added_up(app: MetricsCollector, time: ManualClock) -> None:
    time.advance(5)
    for region in "ab":
        app.increment("requests", 4, labels={"region": region})
    (window,) = counted(app, Grid.of(time.now(), 10.0, 1))
    assert window is not None
    assert (window.increase, window.total) == (8, 8)


def test_before_it_was_born_nothing_is_known(app: MetricsCollector, time: ManualClock) -> None:
    time.advance(100)
    app.increment("requests")
    time.advance(15)
    assert known(counted(app, Grid.of(time.now(), 40.0, 4))) == [False, False, True, True]


def test_hours_ago_an_even_counter_is_drawn_even(app: MetricsCollector, time: ManualClock) -> None:
    """Slots of an hour and more are spread over it: no spike where they end, and no gap before that."""
    for _ in range(2 * 86_400 // 30):
        time.advance(30)
        app.increment("requests", 3)
    windows = counted(app, Grid.of(time.now(), 86_400.0, 240))
    rates = [window.increase / window.seconds for window in windows[20:] if window]
    assert len(rates) == 220
    assert min(rates) > 0.07
    assert max(rates) < 0.13


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.floats(0.01, 500), st.integers(1, 9)), min_size=1, max_size=60), st.integers(1, 60))
def test_what_is_in_the_windows_is_all_that_was_counted(steps: list[tuple[float, int]], points: int) -> None:
    time = ManualClock()
    app = MetricsRegistry(clock=time).collector("app")
    for pause, by in steps:
        time.advance(pause)
        app.increment("requests", by)
    span = sum(pause for pause, _ in steps) + 1.0
    grid = Grid.of(time.now(), span, points)
    curve = CounterCurve(grid)
    (series,) = series_of(app, "requests")
    assert isinstance(series, CounterSeries)
    curve.take(series)
    windows = [window for window in curve.windows() if window]
    assert sum(window.increase for window in windows) == pytest.approx(sum(by for _, by in steps))
    assert all(window.increase >= 0 for window in windows)


def test_a_grid_that_ended_before_the_present_leaves_out_what_came_after(app: MetricsCollector, time: ManualClock) -> None:
    app.increment("requests", 1)
    time.advance(20)
    then = time.now()
    time.advance(20)
    app.increment("requests", 5)
    (window,) = counted(app, Grid.of(then, 30.0, 1))
    assert window is not None
    assert (window.increase, window.total) == (1, 1)


# -- distributions


def test_a_distribution_is_told_with_its_spread(app: MetricsCollector, time: ManualClock) -> None:
    for value in (10.0, 20.0, 400.0):
        time.advance(10)
        app.histogram("wait", "W").observe(value)
    first, second, third = observed(app, Grid.of(time.now(), 30.0, 3), spread=True)
    assert first is not None
    assert second is not None
    assert third is not None
    assert [window.count for window in (first, second, third)] == [1, 1, 1]
    assert [window.average for window in (first, second, third)] == [10, 20, 400]
    assert (third.min, third.max, third.latest) == (400, 400, 400)
    assert third.percentile(50) == pytest.approx(400, rel=0.022)


def test_windows_that_overlap_hold_the_buckets_of_all_their_cells(app: MetricsCollector, time: ManualClock) -> None:
    wait = app.histogram("wait", "W")
    for number in range(30):
        time.advance(10)
        wait.observe(1.0 + number)
    windows = observed(app, Grid.of(time.now(), 100.0, 10, 100.0), spread=True)
    last = windows[-1]
    assert last is not None
    assert (last.count, last.min, last.max) == (10, 21, 30)
    assert last.percentile(50) == pytest.approx(25, rel=0.03)
    assert sum(last.buckets.values()) == pytest.approx(10 * WHOLE, rel=0.01)


def test_windows_longer_than_the_chart_are_told_as_well(app: MetricsCollector, time: ManualClock) -> None:
    wait = app.histogram("wait", "W")
    for number in range(100):
        time.advance(10)
        wait.observe(1.0 + number)
    windows = observed(app, Grid.of(time.now(), 60.0, 60, 900.0), spread=True)
    assert all(
        window is not None and window.count == pytest.approx(90, rel=0.07) and window.max == pytest.approx(97, abs=5)
        for window in windows
    )
    last = windows[-1]
    assert last is not None
    assert last.percentile(50) == pytest.approx(55, rel=0.07)


def test_where_nothing_was_observed_there_is_no_average(app: MetricsCollector, time: ManualClock) -> None:
    app.histogram("wait", "W").observe(3.0)
    time.advance(100)
    (window,) = observed(app, Grid.of(time.now(), 50.0, 1), spread=True)
    assert window is not None
    assert (window.count, window.average, window.max, window.percentile(95)) == (0, None, None, None)


@pytest.mark.parametrize("hours", [0.1, 1, 8, 20])
def test_percentiles_of_the_past_are_those_of_what_was_observed_then(hours: float) -> None:
    time = ManualClock()
    app = MetricsRegistry(clock=time).collector("app")
    wait, luck = app.histogram("wait", "W"), random.Random(1)
    born = time.now()
    seen: list[tuple[float, float]] = []
    for _ in range(4000):
        time.advance(20)
        ago = time.now() - born
        value = luck.uniform(100, 200) + ago / 100
        wait.observe(value)
        seen.append((time.now(), value))
    grid = Grid.of(time.now() - hours * 3600, 3600.0, 4, 1800.0)
    windows = observed(app, grid, spread=True)
    for end, window in zip(grid.ends, windows, strict=True):
        there = sorted(value for at, value in seen if end - 1800 < at <= end)
        assert window is not None
        median = window.percentile(50)
        assert median == pytest.approx(there[len(there) // 2], rel=0.06)


# -- gauges


def test_a_gauge_has_the_value_that_it_was_set_to_last(app: MetricsCollector, time: ManualClock) -> None:
    for value in (1, 5, 3):
        time.advance(20)
        app.set_gauge("queue", value)
    time.advance(15)
    windows = held(app, Grid.of(time.now(), 80.0, 8))
    assert [window and window.last for window in windows] == [None, None, 1, 1, 5, 5, 3, 3]


def test_the_value_in_force_at_the_start_of_a_window_is_one_of_its_values(app: MetricsCollector, time: ManualClock) -> None:
    time.advance(10)
    app.set_gauge("queue", 9)
    time.advance(20)
    app.set_gauge("queue", 1)
    time.advance(5)
    window = held(app, Grid.of(time.now(), 10.0, 1))[0]
    assert window is not None
    assert (window.first, window.last, window.min, window.max, window.average, window.change) == (9, 1, 1, 9, 5, -8)


def test_what_a_gauge_reached_between_two_points_is_seen(app: MetricsCollector, time: ManualClock) -> None:
    for value in (1, 1, 100, 1, 1):
        time.advance(3)
        app.set_gauge("queue", value)
    window = held(app, Grid.of(time.now(), 10.0, 1))[0]
    assert window is not None
    assert (window.max, window.last) == (100, 1)


def test_a_callback_is_asked_before_it_is_drawn(app: MetricsCollector, time: ManualClock) -> None:
    app.callback_gauge("queue", lambda: 7.0, "Q")
    time.advance(10)
    assert [window and window.last for window in held(app, Grid.of(time.now(), 10.0, 2))] == [None, 7]


@pytest.mark.parametrize("window", [0.0, 7200.0])
def test_a_gauge_of_hours_ago_stays_between_its_extremes(window: float, time: ManualClock, app: MetricsCollector) -> None:
    luck = random.Random(3)
    for _ in range(3000):
        time.advance(25)
        app.set_gauge("queue", luck.uniform(10, 20))
    windows = held(app, Grid.of(time.now(), 70_000.0, 240, window))
    values = [window for window in windows if window]
    assert len(values) > 230
    for one in values:
        assert one.min is not None
        assert one.max is not None
        assert one.last is not None
        assert one.average is not None
        assert 10 <= one.min <= one.last <= one.max <= 20
        assert one.min <= one.average + 1e-9
        assert not math.isnan(one.average)


# -- what is not known


def test_what_was_declared_and_never_recorded_has_counted_nothing(app: MetricsCollector, time: ManualClock) -> None:
    app.counter("requests", "R").inc(by=0)
    app.histogram("wait", "W").labels()
    app.gauge("queue", "Q").labels()
    time.advance(10)
    grid = Grid.of(time.now(), 10.0, 1)
    (rose,), (seen,), (was,) = counted(app, grid), observed(app, grid, spread=True), held(app, grid)
    assert rose is not None
    assert seen is not None
    assert (rose.increase, seen.count, was) == (0, 0, None)


def test_what_was_recorded_before_a_restart_is_drawn_and_no_gauge_is_known_in_between(time: ManualClock) -> None:
    before = MetricsRegistry(clock=time)
    app = before.collector("app")
    for _ in range(10):
        time.advance(10)
        app.increment("requests", 4)
        app.set_gauge("queue", 3)
    rings = [ring for ring in before.checkpoint(-math.inf) if ring is not None]
    time.advance(50)
    after = MetricsRegistry(clock=time)
    app = after.collector("app")
    app.counter("requests", "R")
    after.restore(rings)
    app.increment("requests", 4)
    app.set_gauge("queue", 5)
    time.advance(10)
    grid = Grid.of(time.now(), 160.0, 16)
    windows = counted(app, grid)
    assert sum(window.increase for window in windows if window) == 44
    assert [window.total for window in windows if window][-2:] == [4, 4]
    assert min(window.total for window in windows if window) == 0, "it was another total then"
    values = [window and window.last for window in held(app, grid)]
    assert values[-1] == 5
    assert 3 in values
    assert None in values[5:], "nobody knows what it was while nothing ran"


def test_a_gauge_whose_oldest_slots_are_forgotten_has_the_last_of_them_in_force(time: ManualClock) -> None:
    app = MetricsRegistry(clock=time).collector("app")
    for _ in range(40):
        time.advance(3600)
        app.set_gauge("queue", 3)
        app.increment("requests")
        app.histogram("wait", "W").observe(1.0)
    grid = Grid.of(time.now(), 40 * 3600.0, 40)
    assert {window.last for window in held(app, grid) if window} == {3}
    assert known(counted(app, grid))[:10] == [False] * 10
    assert known(observed(app, grid, spread=False))[-20:] == [True] * 20


def test_a_callback_that_fails_is_drawn_as_it_was(app: MetricsCollector, time: ManualClock) -> None:
    answers: list[float | None] = [7.0]

    def answer() -> float:
        value = answers[0]
        if value is None:
            raise OSError("gone")
        return value

    app.callback_gauge("queue", answer)
    time.advance(10)
    held(app, Grid.of(time.now(), 10.0, 1))
    answers[0] = None
    time.advance(10)
    assert [window and window.last for window in held(app, Grid.of(time.now(), 20.0, 2))] == [7, 7]
