"""Callback gauges: asked when somebody looks, or at an interval by a running manager."""

import asyncio
import json
import threading
from collections.abc import Callable

import pytest

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.errors import MetricError, NoAnswer
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry, MetricType
from kailash_monitor.testing import ManualClock, VirtualClock


@pytest.fixture
def time() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def app(time: ManualClock) -> MetricsCollector:
    return MetricsRegistry(clock=time).collector("app")


def counting() -> Callable[[], float]:
    """Give a function that says how often it was called."""
    calls = iter(range(1, 1_000_000))
    return lambda: float(next(calls))


def test_it_is_asked_whenever_somebody_looks_and_remembers_its_answers(app: MetricsCollector, time: ManualClock) -> None:
    gauge = app.callback_gauge("queue_length", counting(), "Jobs that wait")
    for _ in range(3):
        gauge.get_latest_value()
        time.advance(10)
    assert (gauge.get_max("1m"), gauge.get_min("1m")) == (4.0, 1.0)  # these looks count as well
    assert [point.value for point in gauge.points] == [1.0, 2.0, 3.0, 5.0]


def test_an_answer_is_given_again_within_its_cache_time(app: MetricsCollector, time: ManualClock) -> None:
    gauge = app.callback_gauge("rows", counting(), cache="5s")
    answers = []
    for _ in range(6):
        answers.append(gauge.get_latest_value())
        time.advance(2)
    assert answers == [1, 1, 1, 2, 2, 2]


def test_none_means_that_there_is_nothing_to_say(app: MetricsCollector) -> None:
    answers = iter([None, 5.0, None])
    gauge = app.callback_gauge("rows", lambda: next(answers))
    assert [gauge.get_latest_value() for _ in range(3)] == [None, 5.0, None]


def test_what_it_raises_reaches_the_reader_and_leaves_pages_whole(app: MetricsCollector) -> None:
    def broken() -> float:
        raise OSError("no such sensor")

    gauge = app.callback_gauge("broken", broken)
    app.set_gauge("whole", 1)
    with pytest.raises(NoAnswer, match="its callback raised OSError: no such sensor"):
        gauge.get_latest_value()
    assert app.registry is not None
    for form in ("prometheus", "openmetrics", "json"):
        page = app.registry.export_metrics(form)
        assert "whole" in page
        assert "broken" not in page


@pytest.mark.parametrize("answer", ["five", float("nan"), [], 10**400])
def test_an_answer_that_is_no_number_is_refused_and_counted(app: MetricsCollector, answer: object) -> None:
    answers = iter([5.0, answer])
    gauge = app.callback_gauge("rows", lambda: next(answers))  # type: ignore[arg-type,return-value]
    assert gauge.get_latest_value() == 5.0
    with pytest.raises(NoAnswer, match="which is no finite number"):  # and not the 5 of before
        gauge.get_latest_value()
    assert gauge.refused == 1


async def give_three() -> float:
    return 3.0


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (lambda c: c.callback_gauge("x", give_three), "a coroutine function without every=; say how often to ask it"),
        (lambda c: c.callback_gauge("x", counting(), every=0), "every=0"),
        (lambda c: (c.callback_gauge("x", counting()), c.callback_gauge("x", counting())), "a second callback; a gauge has one"),
        (lambda c: (c.gauge("x"), c.callback_gauge("x", counting())), "it is a gauge already that is set by hand"),
        (lambda c: (c.callback_gauge("x", counting()), c.gauge("x").set(5)), "it is a gauge, and a callback gives its value"),
        (lambda c: (c.create_metric("x", MetricType.COUNTER), c.callback_gauge("x", counting())), "type gauge and counter"),
    ],
)  # fmt: skip
def test_a_wrong_definition_says_what_would_be_right(app: MetricsCollector, define: object, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        define(app)  # type: ignore[operator]


def test_a_plain_function_that_gives_a_coroutine_is_told_so(app: MetricsCollector) -> None:
    gauge = app.callback_gauge("x", lambda: give_three())
    with pytest.raises(NoAnswer, match="it gave a coroutine: say how often to await it, with every="):
        gauge.get_latest_value()


async def test_a_running_manager_asks_at_the_interval_in_a_thread_or_on_the_loop(registry: MetricsRegistry) -> None:
    threads: set[str] = set()
    plain, coroutine = counting(), counting()

    def ask() -> float:
        threads.add(threading.current_thread().name)
        return plain()

    async def await_it() -> float:
        threads.add(threading.current_thread().name)
        await asyncio.sleep(0.5)
        return coroutine()

    app = registry.collector("app")
    async with AlertManager(registry):
        in_thread = app.callback_gauge("a", ask, every="10s")
        on_loop = app.callback_gauge("b", await_it, every="10s")
        assert in_thread.get_latest_value() is None  # nobody has been asked yet
        await asyncio.sleep(35)
        assert (in_thread.get_latest_value(), on_loop.get_latest_value()) == (4.0, 4.0)
        assert in_thread.get_min("1m") == 1.0
    assert threads == {"MainThread", "kailash-monitor call"}


async def test_two_managers_of_one_registry_do_not_ask_twice(registry: MetricsRegistry) -> None:
    gauge = registry.collector("app").callback_gauge("a", counting(), every="10s")
    async with AlertManager(registry), AlertManager(registry):
        await asyncio.sleep(35)
        assert gauge.get_latest_value() == 4.0


async def test_a_callback_that_hangs_or_raises_is_an_error_to_rules_and_delays_nobody(
    registry: MetricsRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang() -> float:
        await asyncio.sleep(1e6)
        return 1.0

    app = registry.collector("app")
    app.callback_gauge("hanging", hang, every="10s", timeout="2s")
    healthy = app.callback_gauge("healthy", counting(), every="10s")
    manager = AlertManager(registry)
    manager.add_rule(AlertRule("hung", "d", "warning", "hanging", "> 0"))
    async with manager:
        await asyncio.sleep(60)
        (status,) = manager.rule_status()
        assert status.error == "app: its callback raised TimeoutError: no answer within 2 s"
        assert healthy.get_latest_value() == 6.0
        assert json.loads(registry.export_metrics("json"))["app"].keys() == {"healthy"}
    assert caplog.text.count("source 'app.hanging' could not be sampled") == 1


async def test_an_answer_that_has_not_been_renewed_is_no_answer(registry: MetricsRegistry, clock: VirtualClock) -> None:
    gauge = registry.collector("app").callback_gauge("a", counting(), every="10s")
    async with AlertManager(registry):
        await asyncio.sleep(15)
    await asyncio.sleep(10)
    assert gauge.get_latest_value() == 2.0
    await asyncio.sleep(30)
    with pytest.raises(NoAnswer, match="has not been asked for 45 s: does the manager run"):
        gauge.get_latest_value()


async def test_a_callback_of_a_metric_that_is_gone_is_asked_no_more(registry: MetricsRegistry) -> None:
    asked = 0

    def ask() -> float:
        nonlocal asked
        asked += 1
        return 1.0

    app = registry.collector("app")
    app.callback_gauge("a", ask, every="10s")
    async with AlertManager(registry):
        await asyncio.sleep(15)
        registry.unregister_collector("app")
        await asyncio.sleep(100)
    assert asked == 2


async def test_a_callback_whose_own_work_was_cancelled_is_asked_again(registry: MetricsRegistry) -> None:
    asked = 0

    async def rows() -> float:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise asyncio.CancelledError
        return float(asked)

    table = registry.collector("database").callback_gauge("rows", rows, every=1)
    async with AlertManager(registry):
        await asyncio.sleep(10)
    assert asked > 8
    assert table.get_latest_value() == asked
