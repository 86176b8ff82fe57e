"""Watching: who watches a metric hears of every recording, once it can be read, and changes nothing else."""

import random
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_history import Plan, check_counter, check_distribution, check_gauge, plans, short
from test_stress import HandingClock, HastyClock, in_threads

from kailash_monitor.errors import MetricError, ValueRefused
from kailash_monitor.metrics import CallbackSeries, Metric, MetricsCollector, MetricsRegistry, MetricType
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow
from kailash_monitor.testing import ManualClock

from effort import examples  # isort: skip

Record = Callable[[float], None]


@pytest.fixture
def time() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def collector(time: ManualClock) -> MetricsCollector:
    return MetricsCollector(clock=time)


def events(metric: Metric) -> float:
    """Give how much was recorded, where every recording is of 1."""
    found = metric.window("1h")
    return found.increase if isinstance(found, CounterWindow) else found.count


class Listener:
    """Reads the metric whenever it is told."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.heard: list[float] = []

    def __call__(self) -> None:
        self.heard.append(events(self.metric))


# -- every way to record

WAYS: Final[dict[str, Callable[[MetricsCollector], Record]]] = {
    "a counter's handle": lambda c: c.counter("m", labels=("user",)).labels("a").inc,
    "a counter's one call": lambda c: lambda by: c.counter("m", labels=("user",)).inc("a", by=by),
    "a counter by name": lambda c: lambda by: c.increment("m", by, {"user": "a"}),
    "a counter with an exemplar": lambda c: lambda by: c.counter("m").inc(by=by, exemplar={"trace_id": "x"}),
    "a counter's other numbers": lambda c: lambda by: c.counter("m").inc(by=Fraction(by)),  # type: ignore[arg-type]
    "a gauge's handle": lambda c: c.gauge("m", labels=("user",)).labels("a").set,
    "a gauge's step": lambda c: c.gauge("m", labels=("user",)).labels("a").add,
    "a gauge's one call": lambda c: lambda value: c.gauge("m", labels=("user",)).set("a", value),
    "a gauge by name": lambda c: lambda value: c.set_gauge("m", value, {"user": "a"}),
    "a histogram's handle": lambda c: c.histogram("m", labels=("user",)).labels("a").observe,
    "a histogram's one call": lambda c: lambda value: c.histogram("m", labels=("user",)).observe("a", value),
    "a histogram by name": lambda c: lambda value: c.record_histogram("m", value, {"user": "a"}),
    "a timer by name": lambda c: lambda value: c.record_timer("m", value, {"user": "a"}),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@every_way
def test_every_recording_is_told_once_it_can_be_read(
    collector: MetricsCollector, time: ManualClock, way: Callable[[MetricsCollector], Record]
) -> None:
    record = way(collector)
    for _ in range(3):
        record(1.0)  # from here on, the fast way is open
    metric = collector.get_all_metrics()["m"]
    listener = Listener(metric)
    metric.watch(listener)
    for _ in range(4):
        record(1.0)
        time.advance(0.4)
    assert listener.heard == [3, 4, 5, 6, 7]


def test_new_series_and_those_past_the_limit_are_heard(time: ManualClock) -> None:
    hits = MetricsCollector(1, clock=time).counter("hits", labels=("user",))
    listener = Listener(hits.metric)
    hits.metric.watch(listener)
    for user in "abbc":
        hits.inc(user)
    assert listener.heard == [0, 1, 2, 3, 4]


@every_way
def test_whoever_is_told_may_read_in_another_thread(
    collector: MetricsCollector, way: Callable[[MetricsCollector], Record]
) -> None:
    """The family's lock is not held while hooks are called."""
    record = way(collector)
    record(1.0)
    metric = collector.get_all_metrics()["m"]
    listener = Listener(metric)
    metric.watch(lambda: in_threads(listener))
    record(1.0)
    assert listener.heard == [1, 2]


def test_everybody_who_watches_is_told_as_often_as_he_watches(collector: MetricsCollector) -> None:
    hits = collector.counter("hits")
    twice, once = Listener(hits.metric), Listener(hits.metric)
    for listener in (twice, once, twice):
        hits.metric.watch(listener)
    hits.inc()
    hits.metric.unwatch(twice)
    hits.inc()
    assert (twice.heard, once.heard) == ([0, 0, 1, 1, 2], [0, 1, 2])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, "five", 1.7e308])
@pytest.mark.parametrize("strict", [False, True])
def test_a_refused_value_is_not_told(time: ManualClock, value: float, strict: bool) -> None:
    counter = MetricsCollector(clock=time, strict=strict).counter("hits")
    counter.inc(by=1.7e308)  # with as much again, the total would be infinite
    listener = Listener(counter.metric)
    counter.metric.watch(listener)
    listener.heard.clear()
    if strict:
        with pytest.raises(ValueRefused):
            counter.inc(by=value)
    else:
        counter.inc(by=value)
    assert listener.heard == []


def test_a_removal_is_not_told(collector: MetricsCollector) -> None:
    hits = collector.counter("hits", labels=("user",))
    hits.inc("a")
    listener = Listener(hits.metric)
    hits.metric.watch(listener)
    hits.remove("a")
    hits.clear()
    assert listener.heard == [1]


def test_recordings_are_told_after_removals_too(collector: MetricsCollector) -> None:
    """Through a handle that somebody kept, whose series comes back."""
    hits = collector.counter("hits", labels=("user",))
    handle = hits.labels("a")
    listener = Listener(hits.metric)
    hits.metric.watch(listener)
    for forget in (lambda: hits.remove("a"), hits.clear, collector.clear_metrics):
        handle.inc()
        handle.inc()
        forget()
    handle.inc()
    assert listener.heard == [0, 1, 2, 3, 4, 1, 2, 1]


# -- the end


@every_way
def test_nothing_is_told_after_the_end(collector: MetricsCollector, way: Callable[[MetricsCollector], Record]) -> None:
    record = way(collector)
    record(1.0)
    metric = collector.get_all_metrics()["m"]
    listener = Listener(metric)
    metric.watch(listener)
    record(1.0)
    metric.unwatch(listener)
    record(1.0)
    assert listener.heard == [1, 2]
    assert events(metric) == 3


def test_the_end_of_what_never_began_is_nothing(collector: MetricsCollector) -> None:
    hits = collector.counter("hits")
    listener = Listener(hits.metric)
    hits.metric.unwatch(listener)
    collector.unwatch("hits", listener)
    collector.unwatch("other", listener)
    hits.inc()
    assert listener.heard == []


def test_the_fast_way_opens_again_with_the_next_second(collector: MetricsCollector, time: ManualClock) -> None:
    handle = collector.counter("hits").labels()
    metric = collector.get_all_metrics()["hits"]
    listener = Listener(metric)
    metric.watch(listener)
    handle.inc()
    metric.unwatch(listener)
    time.advance(1.0)
    handle.inc()
    assert handle._rolls_at == 1002.0


# -- nothing else changes


def toggling(record: Record, metric: Metric, seed: int) -> Record:
    """Have somebody watch `metric` on and off."""
    numbers, watches = random.Random(seed), False

    def hook() -> None:
        pass

    def toggle_and_record(value: float) -> None:
        nonlocal watches
        if numbers.random() < 0.2:
            (metric.unwatch if watches else metric.watch)(hook)
            watches = not watches
        record(value)

    return toggle_and_record


@given(plans(short), st.sampled_from([MetricType.COUNTER, MetricType.GAUGE, MetricType.HISTOGRAM]))
@settings(max_examples=examples(150))
def test_windows_and_slots_are_the_same_whoever_watches(plan: Plan, kind: MetricType) -> None:
    clock = ManualClock(plan.origin)
    collector = MetricsCollector(clock=clock)
    watched, toggled, plain = [collector.create_metric(name, kind) for name in ("watched", "toggled", "plain")]
    watched.watch(lambda: None)
    records = [recorder(metric) for metric in (watched, toggled, plain)]
    records[1] = toggling(records[1], toggled, plan.seed)
    trace = plan.record(*records, clock=clock)
    assert watched.points == toggled.points == plain.points
    (touched,) = {metric.series[0].touched_at for metric in (watched, toggled, plain)}
    assert touched > plan.origin - 1
    for window in plan.lengths(trace):
        found = watched.window(window)
        assert found == toggled.window(window) == plain.window(window)
        match found:
            case CounterWindow():
                check_counter(found, trace)
            case DistributionWindow():
                check_distribution(found, trace)
            case GaugeWindow():
                check_gauge(found, trace)


def recorder(metric: Metric) -> Record:
    """Give the handle of the metric without labels."""
    match metric.metric_type:
        case MetricType.COUNTER:
            return metric.child(None, CounterSeries).inc
        case MetricType.GAUGE:
            return metric.child(None, GaugeSeries).set
        case _:
            return metric.child(None, DistributionSeries).observe


steps = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["add", "add", "add", "handle", "handle", "remove", "clear"]),
        st.integers(0, 99),
        st.sampled_from([0.0, 0.1, 1.0, 1.0, 30.0]),
    ),
    max_size=100,
)


@given(steps, st.integers(1, 4), st.sampled_from([None, 20.0, 90.0]))
@settings(max_examples=examples(150))
def test_ttl_removal_and_limits_are_the_same_whoever_watches(
    happened: list[tuple[str, str, int, float]], limit: int, ttl: float | None
) -> None:
    clock = ManualClock(1000.0)
    collector = MetricsCollector(limit, clock=clock)
    watched, plain = [collector.counter(name, labels=("user",), ttl=ttl) for name in ("watched", "plain")]
    told: list[None] = []
    watched.metric.watch(lambda: told.append(None))
    told.clear()
    handles = {user: (watched.labels(user), plain.labels(user)) for user in "abc"}
    recorded = 0
    for user, what, value, pause in happened:
        clock.advance(pause)
        for index, hits in enumerate((watched, plain)):
            match what:
                case "add":
                    hits.inc(user, by=value)
                case "handle":
                    handles[user][index].inc(value)
                case "remove":
                    hits.remove(user)
                case _:
                    hits.clear()
        recorded += what in ("add", "handle")
        assert watched.metric.window("1h") == plain.metric.window("1h")
        pictures = [
            {repr(series.labels): (series.born, series.touched_at, series.window(300, clock.now())) for series in hits.metric.series}
            for hits in (watched, plain)
        ]  # fmt: skip
        assert pictures[0] == pictures[1]
    assert len(told) == recorded


# -- by name

MAKERS: Final[dict[str, Callable[[MetricsCollector], object]]] = {
    "its first recording": lambda c: c.increment("hits", 0),
    "an instrument": lambda c: c.counter("hits", labels=()),
    "create_metric": lambda c: c.create_metric("hits", MetricType.COUNTER),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_metric_can_be_watched_before_it_is_made(
    collector: MetricsCollector, make: Callable[[MetricsCollector], object]
) -> None:
    told: list[float | None] = []
    collector.watch("hits", lambda: told.append(collector.get_all_metrics()["hits"].latest()))
    make(collector)
    collector.increment("hits", 2)
    collector.increment("hits", 3)
    assert told[-2:] == [2, 5]


def test_a_metric_can_be_watched_by_name(collector: MetricsCollector) -> None:
    hits = collector.counter("hits")
    listener = Listener(hits.metric)
    collector.watch("hits", listener)
    hits.inc()
    collector.unwatch("hits", listener)
    hits.inc()
    assert listener.heard == [0, 1]


def test_who_stops_before_the_metric_is_made_hears_nothing(collector: MetricsCollector) -> None:
    told: list[str] = []
    stays, leaves = (lambda: told.append("stays")), (lambda: told.append("leaves"))
    for hook in (stays, leaves, leaves):
        collector.watch("hits", hook)
    for _ in range(2):
        collector.unwatch("hits", leaves)
    collector.increment("hits")
    collector.unwatch("hits", stays)
    collector.increment("hits")
    assert told == ["stays"]


def test_a_metric_that_could_not_be_made_is_still_waited_for(time: ManualClock) -> None:
    registry = MetricsRegistry(clock=time)
    collector = registry.collector("app")
    told: list[str] = []
    collector.watch("hits", lambda: told.append("hits"))
    registry.collector("app_hits").counter("total")  # whose exported name is the same
    with pytest.raises(MetricError):
        collector.increment("hits")
    registry.unregister_collector("app_hits")
    collector.increment("hits")
    assert told == ["hits"]


def test_cleared_metrics_keep_who_watches(collector: MetricsCollector) -> None:
    hits = collector.counter("hits")
    listener = Listener(hits.metric)
    collector.watch("hits", listener)
    hits.inc()
    collector.clear_metrics()
    hits.inc()
    hits.inc()
    collector.unwatch("hits", listener)
    hits.inc()
    assert listener.heard == [0, 1, 1, 2]


# -- callbacks


@pytest.mark.parametrize("early", [True, False])
def test_the_answer_of_a_callback_that_is_asked_at_an_interval_is_told(collector: MetricsCollector, early: bool) -> None:
    told: list[float | None] = []

    def watch() -> None:
        collector.watch("answer", lambda: told.append(collector.get_all_metrics()["answer"].latest()))
        told.clear()

    if early:
        watch()
    callback = collector.callback_gauge("answer", lambda: 42.0, every="10s").callback
    assert isinstance(callback, CallbackSeries)
    callback.answered(40.0)
    callback.answered(40.0)
    if not early:
        watch()
    callback.answered(40.0)
    callback.answered(41.0)
    callback.answered(None)
    callback.failed(OSError("no answer"))
    assert told == [*([40.0] * 2 if early else []), 40.0, 41.0]


@pytest.mark.parametrize("early", [True, False])
def test_an_answer_to_who_looks_is_not_told(collector: MetricsCollector, early: bool) -> None:
    """Else to look would be a reason to look again, without end."""
    told: list[None] = []

    def watch() -> None:
        collector.watch("answer", lambda: told.append(None))
        told.clear()

    if early:
        watch()
    metric = collector.callback_gauge("answer", lambda: 42.0)
    if not early:
        watch()
    assert metric.get_latest_value() == 42.0
    assert metric.get_max() == 42.0
    assert told == []


# -- threads, signals


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Have threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Interrupted(GaugeSeries):
    """Has something else happen in the middle of a recording or removal, as a signal handler or a finalizer may."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(NO_LABELS, metric.family)
        self.meanwhile: Callable[[], None] = lambda: None
        metric.children[()] = self

    def remove(self) -> None:
        """Remove it, and have something else happen."""
        super().remove()
        self.meanwhile()

    def _open(self) -> tuple[float, float, float, float, float]:
        self.meanwhile()
        return super()._open()


def test_a_recording_within_another_is_told_once_it_can_be_read(collector: MetricsCollector) -> None:
    metric = collector.gauge("load").metric
    gauge, listener = Interrupted(metric), Listener(metric)
    metric.watch(listener)
    gauge.meanwhile = lambda: gauge.set(1.0) if events(metric) < 5 else None
    gauge.set(1.0)
    assert listener.heard[0] == 0
    assert listener.heard[-1] == events(metric) >= 5


def test_a_recording_within_one_that_is_refused_is_told(time: ManualClock) -> None:
    clock = HandingClock(1000.0)
    hits = MetricsCollector(clock=clock).counter("hits")
    hits.inc(by=1.7e308)
    told: list[None] = []
    hits.metric.watch(lambda: told.append(None))
    clock.meanwhile = lambda: setattr(clock, "meanwhile", hits.inc)  # the second reading is under the lock
    hits.inc(by=1.7e308)
    assert hits.metric.refused == 1
    assert len(told) == 2


def test_watching_may_begin_within_a_recording(collector: MetricsCollector) -> None:
    metric = collector.gauge("load").metric
    gauge, listener = Interrupted(metric), Listener(metric)
    gauge.set(1.0)
    gauge.meanwhile = lambda: metric.watch(listener)
    gauge.add(1.0)  # a new extreme, which goes the slow way
    gauge.meanwhile = lambda: None
    gauge.set(1.0)
    gauge.set(1.0)
    assert listener.heard[-3:] == [2, 3, 4]


def test_watching_may_begin_within_a_removal(collector: MetricsCollector) -> None:
    metric = collector.gauge("load").metric
    gauge, listener = Interrupted(metric), Listener(metric)
    gauge.set(1.0)
    gauge.meanwhile = lambda: metric.watch(listener)
    metric.remove({})
    gauge.meanwhile = lambda: None
    assert metric.series == []
    assert gauge.removed


@pytest.mark.long
@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("step", [0.0, 0.003], ids=["one second", "many seconds"])
def test_no_recording_goes_unheard_and_none_is_lost_while_watching_begins_and_ends(step: float) -> None:
    """What a hook hears last is all there is, whether it began to watch before, between or after the recordings."""
    rounds, writers, writes = 150, 3, 15
    collector = MetricsCollector(clock=HastyClock(step))
    hits, sizes, load = collector.counter("hits", labels=("user",)), collector.histogram("sizes"), collector.gauge("load")
    handle, sizer, loader = hits.labels("a"), sizes.labels(), load.labels()
    listeners = [Listener(metric) for metric in (hits.metric, sizes.metric, load.metric)]
    told: list[None] = []

    def write() -> None:
        for _ in range(writes):
            handle.inc()
            hits.inc("a")
            collector.increment("hits", labels={"user": "a"})
            for record in (sizer.observe, loader.set) * 3:
                record(1.0)

    def watch() -> None:
        for _ in range(3):
            for listener in listeners:
                listener.metric.unwatch(listener)
                listener.metric.watch(listener)

    hits.metric.watch(lambda: told.append(None))
    for turn in range(1, rounds + 1):
        in_threads(watch, *[write] * writers)
        for listener in listeners:
            assert max(listener.heard) == events(listener.metric) == 3 * writes * writers * turn
            listener.metric.unwatch(listener)
            listener.heard.clear()
    assert len(told) == 1 + 3 * writes * writers * rounds
