"""Recording takes no lock where there is a GIL, and loses nothing all the same.

Threads take turns as often as they can. With KAILASH_MONITOR_STRESS=1 the tests are as large as the project promises:
8 threads of 1,000,000 increments, 1,000,000 reads.
"""

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from kailash_monitor.metrics.recorder import Family
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.buckets import pool
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.model.window import GaugeWindow
from kailash_monitor.testing import ManualClock

pytestmark = pytest.mark.untraced

LARGE = os.environ.get("KAILASH_MONITOR_STRESS") == "1"
THREADS = 8
INCREMENTS = 1_000_000 if LARGE else 50_000
WRITERS = 4
READS = 1_000_000 if LARGE else 10_000
OBSERVATIONS = 100_000 if LARGE else 10_000


class HastyClock(ManualClock):
    """Moves on a little at every reading, so that slots roll over all the time; threads see it wherever it is."""

    def __init__(self, step: float) -> None:
        super().__init__(1000.0)
        self.step = step

    def now(self) -> float:
        """Give the time, and move on."""
        self.time = now = self.time + self.step
        return now


class HandingClock(ManualClock):
    """Has something else happen during its next reading, as another thread may."""

    meanwhile: Callable[[], None] | None = None

    def now(self) -> float:
        """Give the time as it was before something happened."""
        now, meanwhile = self.time, self.meanwhile
        self.meanwhile = None
        if meanwhile is not None:
            meanwhile()
        return now


def no_refusal(value: object, why: str) -> None:
    raise AssertionError(f"{value!r} was refused: {why}")


def family(clock: ManualClock) -> Family:
    return Family(clock.now, no_refusal, lambda series: series, 0.0, (5.0,), retention=1e9)


@pytest.fixture(autouse=True)
def patience() -> None:
    """Lift the limit of time that every test has: the large ones take minutes."""
    if LARGE:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture(autouse=True)
def restless_threads() -> Iterator[None]:
    """Have threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(*works: Callable[[], None]) -> None:
    """Do all at once; what one of them raises is raised here."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def reading_while(read: Callable[[], None], writers: list[Callable[[], None]], *, reads: int) -> None:
    """Read so many times, while all `writers` go on over and over."""
    done = threading.Event()

    def again(write: Callable[[], None]) -> None:
        while not done.is_set():
            write()

    def reader() -> None:
        try:
            for _ in range(reads):
                read()
        finally:
            done.set()

    in_threads(reader, *[lambda write=write: again(write) for write in writers])


clocks = pytest.mark.parametrize("step", [0.0, 0.003, 0.7], ids=["one second", "many seconds", "a second each"])


# -- nothing is lost


@clocks
def test_no_increment_is_lost(step: float) -> None:
    clock = HastyClock(step)
    counter = CounterSeries(NO_LABELS, family(clock))
    increments = INCREMENTS if step < 0.1 else INCREMENTS // 5  # a second each: all of them go the slow way

    def count() -> None:
        inc = counter.inc
        for _ in range(increments):
            inc()

    in_threads(*[count] * THREADS)
    assert counter.total == counter.window(1e9, clock.now()).increase == THREADS * increments


@clocks
def test_no_observation_is_lost(step: float) -> None:
    """New buckets and extremes go the slow way, in the midst of others that go the fast one."""
    clock = HastyClock(step)
    series = DistributionSeries(NO_LABELS, family(clock))

    def observe() -> None:
        for n in range(OBSERVATIONS):
            series.observe(float(n % 17))

    in_threads(*[observe] * WRITERS)
    total = WRITERS * sum(n % 17 for n in range(OBSERVATIONS))
    found, (totals, packed) = series.window(1e9, clock.now()), series.exponential()
    assert found.count == sum(found.buckets.values()) == sum(totals.counts) == sum(pool([packed]).values())
    assert found.count == WRITERS * OBSERVATIONS
    assert found.sum == totals.sum == total
    assert (found.min, found.max) == (0.0, 16.0)
    assert series.totals().counts[0] == WRITERS * sum(n % 17 <= 5 for n in range(OBSERVATIONS))


@clocks
def test_no_value_of_a_gauge_is_lost(step: float) -> None:
    """Rising values: who is ahead sets a new maximum, on the slow way, and the others go the fast one."""
    clock = HastyClock(step)
    gauge = GaugeSeries(NO_LABELS, family(clock))

    def put() -> None:
        for n in range(OBSERVATIONS):
            gauge.set(float(n))

    in_threads(*[put] * WRITERS)
    found = gauge.window(1e9, clock.now())
    assert found.count == WRITERS * OBSERVATIONS
    assert found.sum == WRITERS * sum(range(OBSERVATIONS))
    assert (found.min, found.max) == (0.0, OBSERVATIONS - 1.0)


@clocks
def test_no_step_of_a_gauge_is_lost(step: float) -> None:
    gauge = GaugeSeries(NO_LABELS, family(HastyClock(step)))

    def move() -> None:
        for n in range(OBSERVATIONS):
            gauge.add(1 if n % 3 else -1)

    in_threads(*[move] * WRITERS)
    assert gauge.value == WRITERS * sum(1 if n % 3 else -1 for n in range(OBSERVATIONS))


@clocks
def test_a_step_never_brings_back_an_older_value(step: float) -> None:
    """It lands on what was set last, whoever sets the gauge meanwhile."""
    gauge = GaugeSeries(NO_LABELS, family(HastyClock(step)))
    gauge.set(float(OBSERVATIONS))
    gauge.set(0.0)  # from here to there, the fast way
    fell: list[tuple[int, float | None]] = []
    done = threading.Event()

    def put() -> None:
        for n in range(OBSERVATIONS):
            gauge.set(float(n))
            value = gauge.value
            if value is None or value < n:
                fell.append((n, value))
        done.set()

    def move() -> None:
        while not done.is_set():
            gauge.add(0)

    in_threads(put, move, move)
    assert fell == []


# -- every read is of one moment


@clocks
def test_count_sum_and_buckets_agree_in_every_read(step: float) -> None:
    clock = HastyClock(step)
    series = DistributionSeries(NO_LABELS, family(clock))
    torn: list[object] = []
    before = 0

    def write() -> None:
        for _ in range(1000):
            series.observe(1.0)

    def read() -> None:
        nonlocal before
        found, totals, (again, packed) = series.window(1e9, clock.now()), series.totals(), series.exponential()
        if (
            not before <= found.count == found.sum == sum(found.buckets.values())
            or sum(totals.counts) != totals.sum
            or not sum(again.counts) == again.sum == sum(pool([packed]).values())
            or any(point.value != 1.0 for point in series.points())
        ):
            torn.append((before, found, totals, again))
        before = found.count

    reading_while(read, [write] * WRITERS, reads=READS if step == 0 else READS // 10)
    assert torn == []
    found = series.window(1e9, clock.now())
    assert found.count == found.sum == sum(found.buckets.values()) == series.totals().sum
    assert found.count % 1000 == 0  # each writer ended what it had begun


@clocks
def test_last_sum_and_count_of_a_gauge_agree_in_every_read(step: float) -> None:
    clock = HastyClock(step)
    gauge = GaugeSeries(NO_LABELS, family(clock))
    gauge.set(3.0)
    torn: list[GaugeWindow] = []

    def write() -> None:
        for _ in range(1000):
            gauge.set(3.0)

    def read() -> None:
        found = gauge.window(1e9, clock.now())
        if found.sum != 3.0 * found.count or {found.first, found.last, found.min, found.max} != {3.0}:
            torn.append(found)

    reading_while(read, [write] * WRITERS, reads=READS if step == 0 else READS // 10)
    assert torn == []
    assert (gauge.window(1e9, clock.now()).count - 1) % 1000 == 0


@clocks
def test_a_total_never_falls(step: float) -> None:
    clock = HastyClock(step)
    counter = CounterSeries(NO_LABELS, family(clock))
    before = 0.0
    fell: list[tuple[float, float]] = []

    def write() -> None:
        for _ in range(1000):
            counter.inc()

    def read() -> None:
        nonlocal before
        found = counter.window(1e9, clock.now())
        if found.total < before or found.increase != found.total:
            fell.append((before, found.total))
        before = found.total

    reading_while(read, [write] * WRITERS, reads=READS if step == 0 else READS // 10)
    assert fell == []


# -- the places where another thread may come in between


def test_an_observation_that_reads_the_clock_before_a_roll_counts_after_it() -> None:
    """A thread reads the clock, and before it goes on another opens the next second."""
    clock = HandingClock(1000.9)
    series = DistributionSeries(NO_LABELS, family(clock))
    series.observe(1.0)
    series.observe(1.0)

    def next_second() -> None:
        clock.time = 1001.0
        series.observe(1.0)

    clock.meanwhile = next_second
    series.observe(1.0)
    found, totals = series.window(60, 1001.0), series.totals()
    assert found.count == found.sum == sum(found.buckets.values()) == totals.sum == sum(totals.counts) == 4


def test_an_increment_that_reads_the_clock_before_a_roll_counts_after_it() -> None:
    clock = HandingClock(1000.9)
    counter = CounterSeries(NO_LABELS, family(clock))
    counter.inc()

    def next_second() -> None:
        clock.time = 1001.0
        counter.inc()

    clock.meanwhile = next_second
    counter.inc()
    assert counter.window(60, 1001.0).increase == counter.total == 3


def test_a_gauge_that_reads_the_clock_before_a_roll_is_set_after_it() -> None:
    clock = HandingClock(1000.9)
    gauge = GaugeSeries(NO_LABELS, family(clock))
    for value in (1.0, 3.0):
        gauge.set(value)

    def next_second() -> None:
        clock.time = 1001.0
        gauge.set(2.0)

    clock.meanwhile = next_second
    gauge.set(2.0)
    found = gauge.window(60, 1001.0)
    assert (found.count, found.sum, found.min, found.max) == (4, 8.0, 1.0, 3.0)


@pytest.mark.parametrize("kind", [CounterSeries, DistributionSeries, GaugeSeries])
def test_a_recording_within_another_is_counted_too(kind: type[CounterSeries | DistributionSeries | GaugeSeries]) -> None:
    """A signal handler or a finalizer may record into the very series that its thread is recording into."""
    clock = HandingClock(1000.0)
    series = kind(NO_LABELS, family(clock))
    record: Callable[[float], None] = (
        series.inc
        if isinstance(series, CounterSeries)
        else series.set
        if isinstance(series, GaugeSeries)
        else series.observe
    )
    for second in range(20):
        clock.time = 1000.0 + second
        clock.meanwhile = lambda: record(1.0)
        record(1.0)
    found = series.window(1e9, clock.now())
    assert (found.total if hasattr(found, "total") else found.count) == 40
