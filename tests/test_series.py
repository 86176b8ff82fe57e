"""Series: recording and reading one label set."""

import gc
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from time import monotonic

import pytest

from kailash_monitor.metrics.recorder import Family, with_gil
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.buckets import pool
from kailash_monitor.model.exemplar import Exemplar
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.testing import ManualClock


@pytest.fixture
def time() -> ManualClock:
    return ManualClock(100.0)


@pytest.fixture
def refused() -> list[tuple[object, str]]:
    return []


def family(time: ManualClock, refused: list[tuple[object, str]], *bounds: float) -> Family:
    return Family(time.now, lambda v, why: refused.append((v, why)), lambda series: series, time.now(), bounds)


@pytest.fixture
def counter(time: ManualClock, refused: list[tuple[object, str]]) -> CounterSeries:
    return CounterSeries(NO_LABELS, family(time, refused))


@pytest.fixture
def gauge(time: ManualClock, refused: list[tuple[object, str]]) -> GaugeSeries:
    return GaugeSeries(NO_LABELS, family(time, refused))


@pytest.fixture
def timer(time: ManualClock, refused: list[tuple[object, str]]) -> DistributionSeries:
    return DistributionSeries(NO_LABELS, family(time, refused, 1.0, 2.0))


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "five", None, [], 10**400])
def test_a_counter_drops_what_it_cannot_count(
    counter: CounterSeries, refused: list[tuple[object, str]], value: object
) -> None:
    counter.inc(value)  # type: ignore[arg-type]
    assert counter.total == 0
    assert len(refused) == 1


def test_a_gauge_and_a_timer_drop_what_is_no_finite_number(
    gauge: GaugeSeries, timer: DistributionSeries, refused: list[tuple[object, str]]
) -> None:
    for record in (gauge.set, gauge.add, timer.observe):
        record(float("nan"))
    assert [why for _, why in refused] == ["not a finite number"] * 3
    assert gauge.value is None


def test_numbers_of_other_kinds_are_coerced(counter: CounterSeries) -> None:
    from decimal import Decimal
    from fractions import Fraction

    counter.inc(Decimal("0.5"))  # type: ignore[arg-type]
    counter.inc(Fraction(1, 2))  # type: ignore[arg-type]
    assert counter.total == 1.0


def test_a_window_of_nothing_is_empty_and_known(
    counter: CounterSeries, gauge: GaugeSeries, timer: DistributionSeries
) -> None:
    assert counter.window(10, 110.0).covered
    assert not counter.window(11, 110.0).covered
    assert gauge.window(10, 110.0).change is None
    assert timer.window(10, 110.0).percentile(50) is None


def test_a_gauge_moves_by_steps(gauge: GaugeSeries, time: ManualClock) -> None:
    gauge.add(2)
    time.advance(5)
    gauge.add(-0.5)
    found = gauge.window(10, time.now())
    assert (found.first, found.last, found.min, found.max, found.change) == (2.0, 1.5, 1.5, 2.0, -0.5)
    assert gauge.set_at == 105.0


def test_a_gauge_that_was_never_set_was_set_before_all_others(gauge: GaugeSeries) -> None:
    assert gauge.set_at == float("-inf")


def test_the_value_in_force_survives_the_retention(gauge: GaugeSeries, time: ManualClock) -> None:
    gauge.set(1)
    time.advance(100_000)
    gauge.set(2)
    time.advance(100_000)
    gauge.set(3)
    found = gauge.window(50, time.now())
    assert (found.first, found.min, found.max, found.count) == (2.0, 2.0, 3.0, 2)


def test_le_buckets_are_exact(timer: DistributionSeries) -> None:
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        timer.observe(value)
    assert timer.totals() == ([2, 2, 1], 8.0)
    assert timer.latest == 3.0


def test_points_are_the_recent_past(
    counter: CounterSeries, gauge: GaugeSeries, timer: DistributionSeries, time: ManualClock
) -> None:
    assert counter.points() == gauge.points() == timer.points() == []
    for value in range(3):
        counter.inc()
        gauge.set(value)
        timer.observe(1.0)
        timer.observe(2.0)
        time.advance(1)
    assert counter.points() == [(100.0, 1.0), (101.0, 2.0), (102.0, 3.0)]
    assert gauge.points() == [(100.0, 0.0), (101.0, 1.0), (102.0, 2.0)]
    assert timer.points() == [(100.0, 1.5), (101.0, 1.5), (102.0, 1.5)]
    for series in (counter, gauge, timer):
        for _ in range(200):
            time.advance(1)
            (
                series.observe
                if isinstance(series, DistributionSeries)
                else series.inc
                if isinstance(series, CounterSeries)
                else series.set
            )(1.0)
        assert len(series.points()) == 60


def test_the_guides_questions_are_answered_per_series_too(
    counter: CounterSeries, gauge: GaugeSeries, timer: DistributionSeries, time: ManualClock
) -> None:
    counter.inc(30)
    gauge.set(1)
    gauge.set(5)
    for value in (1.0, 2.0, 6.0):
        timer.observe(value)
    assert (counter.get_increase("1m"), counter.get_rate("1m"), counter.get_average(), counter.get_max()) == (
        30,
        0.5,
        None,
        None,
    )
    assert (gauge.get_average(), gauge.get_min(), gauge.get_max(), gauge.get_increase()) == (3, 1, 5, 0)
    assert (timer.get_average(), timer.get_min(), timer.get_max(), timer.get_increase()) == (3, 1, 6, 3)
    assert timer.get_percentile(50) == pytest.approx(2.0, rel=0.022)
    with pytest.raises(ValueError, match="0 is not a window"):
        counter.get_rate(0)


def no_refusal(value: object, why: str) -> None:
    raise AssertionError(f"{value!r} was refused: {why}")


def _in_threads(count: int, *work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=target) for _, target in zip(range(count), itertools.cycle(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def restless_threads() -> object:
    """Have threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless_threads")
def test_no_increment_is_lost_between_threads(counter: CounterSeries) -> None:
    _in_threads(4, lambda: [counter.inc() for _ in range(20_000)][0])
    assert counter.total == 80_000


@pytest.mark.usefixtures("restless_threads")
def test_count_sum_and_buckets_agree_in_every_read(timer: DistributionSeries, time: ManualClock) -> None:
    done = threading.Event()
    torn: list[object] = []

    def read() -> None:
        while not done.is_set():
            found, (totals, packed) = timer.window(60, time.now()), timer.exponential()
            if (
                not found.count == found.sum == sum(found.buckets.values())
                or sum(totals.counts) != totals.sum
                or sum(pool([packed]).values()) != totals.sum
            ):
                torn.append((found, totals))

    reader = threading.Thread(target=read)
    reader.start()
    _in_threads(3, lambda: [timer.observe(1.0) for _ in range(5_000)][0])
    done.set()
    reader.join()
    assert torn == []
    assert timer.window(60, time.now()).count == 15_000


@pytest.mark.usefixtures("restless_threads")
def test_without_the_gil_every_recording_takes_the_lock() -> None:
    held: list[bool] = []

    class Watched(CounterSeries):
        __slots__ = ()

        def _add(self, number: float, exemplar: Exemplar | None) -> bool:
            held.append(self._family.lock._is_owned())  # type: ignore[attr-defined]  # no public way to ask
            return super()._add(number, exemplar)

    record = with_gil(Watched.inc, Watched._inc_slowly, gil=False)
    assert record.__name__ == "inc"
    series = Watched(NO_LABELS, family(ManualClock(), []))
    _in_threads(4, lambda: [record(series) for _ in range(1_000)][0])
    assert (series.total, len(held), all(held)) == (4_000, 4_000, True)
    assert with_gil(CounterSeries.inc, CounterSeries._inc_slowly, gil=True) is CounterSeries.inc


@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("record", [DistributionSeries.observe, DistributionSeries._observe_slowly])
def test_nothing_is_lost_while_slots_roll_over(record: Callable[[DistributionSeries, float], None]) -> None:
    """A clock that jumps a second at every few readings: the roll-over meets recordings at every step of theirs."""
    ticks = itertools.count()
    sizes = DistributionSeries(NO_LABELS, Family(lambda: next(ticks) / 7, no_refusal, lambda series: series, 0.0, (1.0,)))
    _in_threads(4, lambda: [record(sizes, 1.0) for _ in range(5_000)][0])
    totals, packed = sizes.exponential()
    found = sizes.window(1e9, next(ticks) / 7)
    assert sum(totals.counts) == totals.sum == sum(pool([packed]).values()) == found.count == found.sum == 20_000


@pytest.mark.usefixtures("restless_threads")
def test_steps_and_settings_of_a_gauge_come_one_after_the_other(gauge: GaugeSeries) -> None:
    """After a setting to 50 and one step by 1, in any order, it is at 50 or 51."""
    for _ in range(300):
        gauge.set(100)
        _in_threads(2, *[lambda: gauge.add(1), lambda: gauge.set(50)])
        assert gauge.value in (50, 51)


def test_a_signal_handler_that_records_while_a_slot_rolls_over_loses_and_doubles_nothing(time: ManualClock) -> None:
    class Interrupted(DistributionSeries):
        """Records one more observation in the middle of closing a slot."""

        __slots__ = ()

        def _close(self, *slot: object) -> None:
            self.observe(1.0)
            super()._close(*slot)  # type: ignore[arg-type]

    sizes = Interrupted(NO_LABELS, family(time, [], 1.0))
    for _ in range(10):
        sizes.observe(1.0)
        time.advance(1)
    totals, packed = sizes.exponential()
    assert sum(totals.counts) == totals.sum == sum(pool([packed]).values()) == sizes.window(60, time.now()).count == 19


@pytest.mark.usefixtures("restless_threads")
def test_signals_that_record_at_any_moment_lose_and_double_nothing() -> None:
    """Thousands of signals a second, on a clock whose seconds are some microseconds: they meet every step of a roll-over."""
    sizes = DistributionSeries(
        NO_LABELS, Family(lambda: monotonic() * 20_000, no_refusal, lambda series: series, 0.0, (1.0,))
    )
    hits = CounterSeries(NO_LABELS, sizes._family)
    recorded = 0

    def record(*_: object) -> None:
        nonlocal recorded
        recorded += 1
        sizes.observe(1.0)
        hits.inc()

    before = signal.signal(signal.SIGUSR1, lambda *_: record())
    done = threading.Event()

    def interrupt() -> None:
        while not done.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)
            done.wait(1e-5)

    thread = threading.Thread(target=interrupt)
    thread.start()
    own = 0
    while recorded < 200:
        sizes.observe(1.0)
        hits.inc()
        own += 1
    done.set()
    thread.join()
    signal.signal(signal.SIGUSR1, before)
    totals, packed = sizes.exponential()
    assert sum(totals.counts) == totals.sum == sum(pool([packed]).values()) == hits.total == own + recorded


def test_a_collection_that_records_tears_no_read(gauge: GaugeSeries, timer: DistributionSeries, time: ManualClock) -> None:
    """Up to Python 3.11 making a list, a dict or a tuple may collect garbage, and finalizers run there and then."""
    timer.observe(1.0)
    gauge.set(1.0)
    before = gc.get_threshold()

    def record(phase: str, _: object) -> None:
        if phase == "stop":
            timer.observe(1.0)
            gauge.set(1.0)

    def exponential() -> set[float]:
        totals, packed = timer.exponential()
        return {sum(totals.counts), totals.sum, sum(pool([packed]).values())}

    def window() -> set[float]:
        found = timer.window(60, time.now())
        return {found.count, found.sum, sum(found.buckets.values())}

    def totals() -> set[float]:
        counts, total = timer.totals()
        return {sum(counts), total}

    def of_gauge() -> set[float]:
        found = gauge.window(60, time.now())
        return {found.count, found.sum}

    def points() -> set[float]:
        return {point.value for point in timer.points()}

    gc.callbacks.append(record)
    torn: list[object] = []
    try:
        for read in (exponential, window, totals, of_gauge, points):
            for allocations in range(30):  # so that the collection comes at each allocation of the read in turn
                gc.set_threshold(0)
                gc.collect(0)
                held = [None] * 600  # empties the free lists: what comes from them does not count
                for index in range(0, 600, 2):
                    held[index], held[index + 1] = [], {}  # type: ignore[call-overload]
                gc.set_threshold(gc.get_count()[0] + allocations)
                answer = read()
                held.clear()
                if len(answer) != 1:
                    torn.append((read.__name__, allocations, answer))
    finally:
        gc.callbacks.remove(record)
        gc.set_threshold(*before)
    assert torn == []


def test_what_would_make_a_sum_infinite_is_refused(
    counter: CounterSeries, gauge: GaugeSeries, timer: DistributionSeries, refused: list[tuple[object, str]]
) -> None:
    for record in (counter.inc, gauge.add, timer.observe):
        record(1.5e308)
        record(1.5e308)
    assert (counter.total, gauge.value, timer.totals().sum) == (1.5e308, 1.5e308, 1.5e308)
    assert [why.partition(":")[0] for _, why in refused] == ["too large"] * 3


def test_numbers_the_fast_way_does_not_know_go_the_slow_one(
    counter: CounterSeries, gauge: GaugeSeries, timer: DistributionSeries
) -> None:
    from fractions import Fraction

    for value in (1.0, 2, True, Fraction(1, 2), 1e301):
        counter.inc(value)  # type: ignore[arg-type]
        gauge.set(value)  # type: ignore[arg-type]
        timer.observe(value)  # type: ignore[arg-type]
    for value in (0.0, -1.0):
        timer.observe(value)
    assert counter.total == 1e301
    found, seen = gauge.window(10, 100.0), timer.window(10, 100.0)
    assert (found.count, found.min, found.max, found.last) == (5, 0.5, 1e301, 1e301)
    assert (seen.count, seen.min, seen.max, seen.latest) == (7, -1.0, 1e301, -1.0)


def test_a_series_says_what_it_is(counter: CounterSeries) -> None:
    assert repr(counter) == "<CounterSeries {}>"
