"""Functions are measured by decorators, and go on being what they are."""

import asyncio
import importlib.util
import inspect
import pickle
import re
import subprocess
import sys
import threading
import types
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kailash_monitor.errors import MetricError
from kailash_monitor.instrument.calls import Measure, count_exceptions, counted, in_progress, timed
from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.metrics.instruments import Counter, Timer
from kailash_monitor.testing import VirtualClock


@pytest.fixture
def collector(clock: VirtualClock) -> MetricsCollector:
    return MetricsCollector(clock=clock)


@pytest.fixture
def took(collector: MetricsCollector) -> Timer:
    return collector.timer("took", labels=("outcome",))


@pytest.fixture
def calls(collector: MetricsCollector) -> Counter:
    return collector.counter("calls", labels=("outcome",))


def by_outcome(instrument: Counter | Timer) -> dict[str, float]:
    """How many calls there were with each outcome."""
    return {
        one.labels["outcome"]: n
        for one in instrument.metric.series
        if (n := one.total if isinstance(instrument, Counter) else one.window(2e9, 1e9).count)
    }


async def test_a_coroutine_is_timed_to_its_result(took: Timer) -> None:
    @timed(took)
    async def work(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    assert await work(1.5) == "done"
    assert took.metric.get_max("1m") == 1500


async def test_the_outcome_of_a_call_is_ok_error_or_cancelled(took: Timer, calls: Counter) -> None:
    @timed(took)
    @counted(calls)
    async def work(how: str) -> None:
        if how == "error":
            raise ValueError("mine")
        await asyncio.sleep(10)

    await work("ok")
    with pytest.raises(ValueError, match="mine"):
        await work("error")
    task = asyncio.ensure_future(work("cancelled"))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert by_outcome(took) == by_outcome(calls) == {"ok": 1, "error": 1, "cancelled": 1}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_program_is_an_error_and_passes(took: Timer, error: type[BaseException]) -> None:
    @timed(took)
    def work() -> None:
        raise error

    with pytest.raises(error):
        work()
    assert by_outcome(took) == {"error": 1}


async def test_a_plain_function_is_timed_and_its_exception_is_its_own(took: Timer, clock: VirtualClock) -> None:
    error = KeyError("mine")

    @timed(took)
    def work(number: int, *, fail: bool = False) -> int:
        """Works."""
        if fail:
            raise error
        return number * 2

    assert work(3) == 6
    with pytest.raises(KeyError) as raised:
        work(3, fail=True)
    assert raised.value is error
    assert len(raised.traceback) == 3  # the test, the wrapper, the function
    assert by_outcome(took) == {"ok": 1, "error": 1}


async def test_a_generator_is_timed_from_its_first_step_to_its_end(took: Timer) -> None:
    @timed(took)
    def steps(number: int) -> Generator[int, str, str]:
        heard = ""
        for n in range(number):
            heard += yield n
        return heard

    given = steps(2)
    await asyncio.sleep(5)
    assert by_outcome(took) == {}
    assert next(given) == 0
    await asyncio.sleep(2)
    assert given.send("a") == 1
    with pytest.raises(StopIteration) as ended:
        given.send("b")
    assert ended.value.value == "ab"
    assert (by_outcome(took), took.metric.get_max("1m")) == ({"ok": 1}, 2000)


async def test_what_is_thrown_into_a_generator_arrives_and_closing_it_is_ok(took: Timer) -> None:
    seen: list[str] = []

    @timed(took)
    def steps() -> Iterator[int]:
        try:
            yield 1
        except ValueError:
            seen.append("thrown")
        try:
            yield 2
        finally:
            seen.append("closed")

    given = steps()
    next(given)
    assert given.throw(ValueError()) == 2  # type: ignore[attr-defined]
    given.close()  # type: ignore[attr-defined]
    assert (seen, by_outcome(took)) == (["thrown", "closed"], {"ok": 1})
    failing = steps()
    next(failing)
    with pytest.raises(KeyError):
        failing.throw(KeyError())  # type: ignore[attr-defined]
    assert by_outcome(took) == {"ok": 1, "error": 1}


async def test_an_asynchronous_generator_is_timed_to_its_end(took: Timer) -> None:
    seen: list[str] = []

    @timed(took)
    async def steps(number: int) -> AsyncGenerator[int, str]:
        try:
            for n in range(number):
                await asyncio.sleep(1)
                try:
                    seen.append(str((yield n)))
                except ValueError:
                    seen.append("thrown")
                    yield -1
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    assert [n async for n in steps(3)] == [0, 1, 2]
    assert (by_outcome(took), took.metric.get_max("1m")) == ({"ok": 1}, 3000)
    seen.clear()
    given = steps(9)
    assert await anext(given) == 0
    assert await given.asend("a") == 1
    assert await given.athrow(ValueError()) == -1
    await given.aclose()
    assert seen == ["a", "thrown", "closed"]
    failing = steps(9)
    await anext(failing)
    with pytest.raises(KeyError):
        await failing.athrow(KeyError())
    assert by_outcome(took) == {"ok": 2, "error": 1}


async def test_an_asynchronous_generator_that_is_cancelled_ends_inside(took: Timer) -> None:
    seen: list[str] = []

    @timed(took)
    async def steps() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def read() -> None:
        async for _ in steps():
            pass

    task = asyncio.ensure_future(read())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert (seen, by_outcome(took)) == (["cancelled"], {"cancelled": 1})


@pytest.mark.real_time
def test_an_asynchronous_generator_that_is_left_open_is_closed_once_by_the_loop(
    collector: MetricsCollector, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop closes every generator it knows, all at once: it is not to know the one within the wrapper."""
    calls = collector.counter("calls", labels=("outcome",))
    kept: list[AsyncIterator[int]] = []
    closed: list[int] = []

    @counted(calls)
    async def steps() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0.001)
            closed.append(1)

    async def leave_open() -> None:
        kept.append(steps())
        await anext(kept[-1])

    asyncio.run(leave_open())
    assert (closed, by_outcome(calls), caplog.messages) == ([1], {"ok": 1}, [])


async def test_the_loops_hooks_stand_after_a_step_as_before(calls: Counter) -> None:
    @counted(calls)
    async def steps() -> AsyncIterator[int]:
        yield 1

    hooks = sys.get_asyncgen_hooks()
    assert hooks.finalizer is not None
    assert ([n async for n in steps()], sys.get_asyncgen_hooks()) == ([1], hooks)


async def test_a_coroutine_of_the_old_kind_is_awaited_as_before(calls: Counter) -> None:
    @counted(calls)
    @types.coroutine
    def pause() -> Generator[None, None, str]:
        yield
        return "paused"

    assert await pause() == "paused"
    assert by_outcome(calls) == {"ok": 1}


async def test_an_object_whose_call_is_a_coroutine_is_timed_to_its_result(took: Timer) -> None:
    class Work:
        async def __call__(self) -> str:
            await asyncio.sleep(1.5)
            return "done"

    work = timed(took)(Work())
    assert inspect.iscoroutinefunction(work)
    assert (await work(), took.metric.get_max("1m")) == ("done", 1500)


async def test_a_context_is_measured_too_and_may_stand_within_itself(took: Timer) -> None:
    measure = timed(took)
    with measure:
        await asyncio.sleep(1)
        with measure:
            await asyncio.sleep(2)
    with pytest.raises(ValueError, match="mine"), timed(took):
        raise ValueError("mine")
    assert by_outcome(took) == {"ok": 2, "error": 1}
    assert (took.metric.get_max("1m"), took.metric.get_percentile(50)) == (3000, pytest.approx(2000, rel=0.03))


async def test_tasks_that_share_a_context_are_timed_each_for_itself(took: Timer) -> None:
    measure = timed(took)

    async def work(begins: float, takes: float) -> None:
        await asyncio.sleep(begins)
        with measure:
            await asyncio.sleep(takes)

    await asyncio.gather(work(0, 3), work(1, 1), work(1.5, 3))
    assert took.metric.get_max("1m") == 3000


async def test_generators_that_share_a_context_are_timed_each_for_itself_and_closing_them_is_ok(took: Timer) -> None:
    measure = timed(took)

    def steps() -> Iterator[int]:
        with measure:
            yield 1

    first, second = steps(), steps()
    next(first)
    await asyncio.sleep(2)
    next(second)
    first.close()  # type: ignore[attr-defined]
    second.close()  # type: ignore[attr-defined]
    assert (by_outcome(took), took.metric.get_max("1m")) == ({"ok": 2}, 2000)


async def test_a_context_of_two_threads_may_be_left_by_another_than_entered_it(took: Timer) -> None:
    """A framework may take each step of a generator in whichever of its threads is free."""
    measure = timed(took)

    def steps() -> Iterator[int]:
        with measure:
            yield 1

    given = [steps() for _ in range(8)]
    for one in given:
        thread = threading.Thread(target=next, args=(one,))
        thread.start()
        thread.join()
    for one in given:
        thread = threading.Thread(target=lambda one=one: list(one))
        thread.start()
        thread.join()
    assert by_outcome(took) == {"ok": 8}


async def test_a_context_is_measured_in_an_exit_stack_too(took: Timer) -> None:
    measure = timed(took)
    with ExitStack() as stack:
        stack.enter_context(measure)
        await asyncio.sleep(1)
        stack.enter_context(measure)
        await asyncio.sleep(2)
    assert (by_outcome(took), took.metric.get_max("1m")) == ({"ok": 2}, 3000)


async def test_calls_that_are_under_way_are_counted(collector: MetricsCollector) -> None:
    busy = collector.gauge("busy", labels=("pool",))

    @in_progress(busy, pool="mail")
    async def work() -> None:
        await asyncio.sleep(5)

    assert busy.labels("mail").value == 0
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(work())
        await asyncio.sleep(1)
        assert busy.labels("mail").value == 3
    assert busy.labels("mail").value == 0


async def test_exceptions_are_counted_by_type_and_others_are_not(collector: MetricsCollector) -> None:
    failures = collector.counter("failures", labels=("job", "exception"))

    @count_exceptions(failures, (OSError, KeyError), job="mail")
    def work(error: BaseException | None) -> None:
        if error is not None:
            raise error

    for error in (OSError(), KeyError(), ConnectionError(), ValueError(), None):
        try:
            work(error)
        except Exception as raised:
            assert raised is error
    found = {(one.labels["job"], one.labels["exception"]): one.total for one in failures.metric.series}
    assert found == {("mail", "OSError"): 1, ("mail", "KeyError"): 1, ("mail", "ConnectionError"): 1}


@pytest.mark.parametrize(
    ("unit", "expected"), [("seconds", 2.0), ("milliseconds", 2e3), ("microseconds", 2e6), ("nanoseconds", 2e9)]
)
async def test_it_is_timed_in_the_metrics_unit(collector: MetricsCollector, unit: str, expected: float) -> None:
    took = collector.histogram("took_long", unit=unit)
    with timed(took):
        await asyncio.sleep(2)
    assert took.metric.get_max("1m") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda c: timed(c.histogram("sizes", unit="bytes")), "unit 'bytes'.*milliseconds"),
        (lambda c: timed(c.histogram("sizes")), "unit .*milliseconds"),
        (lambda c: timed(c.timer("took", labels=("path",))), r"values for \(\).*\('path',\)"),
        (lambda c: counted(c.counter("calls"), path="/x"), r"values for \('path',\)"),
        (lambda c: in_progress(c.gauge("busy", labels=("a", "b")), a=1), r"values for \('a',\)"),
        (lambda c: count_exceptions(c.counter("failed", labels=("job",))), r"values for \(\)"),
        (lambda c: timed(c.gauge("busy", unit="seconds")), "timed: <Gauge busy .*a timer or a histogram"),
        (lambda c: timed(lambda: None), "timed: <function .*a timer or a histogram"),
        (lambda c: counted(c.gauge("busy")), "counted: <Gauge .*a counter"),
        (lambda c: in_progress(c.counter("calls")), "in_progress: <Counter .*a gauge"),
        (lambda c: count_exceptions(c.gauge("busy")), "count_exceptions: <Gauge .*a counter"),
        (lambda c: count_exceptions(c.counter("failed"), "OSError"), "count_exceptions: 'OSError'.*type of exception"),
        (lambda c: count_exceptions(c.counter("failed"), (OSError, int)), "count_exceptions: .*type of exception"),
    ],
)
def test_what_does_not_fit_is_said_where_it_is_written(wrong: Callable[[MetricsCollector], Measure], said: str) -> None:
    with pytest.raises(MetricError, match=said):
        wrong(MetricsCollector())


@pytest.mark.parametrize("thing", [3, int, property(len)])
def test_what_is_no_function_is_refused(thing: Callable[..., object]) -> None:
    """Also a class, which would be none any more."""
    with pytest.raises(TypeError, match="above a function"):
        counted(MetricsCollector().counter("calls"))(thing)


def test_labels_may_be_called_as_what_the_decorators_take(collector: MetricsCollector) -> None:
    timer = collector.timer("took", labels=("timer", "counter", "gauge", "metric"))
    with timed(timer, timer="a", counter="b", gauge="c", metric="d"):
        pass
    assert timer.labels("a", "b", "c", "d").window(2e9, 1e9).count == 1


COLLECTOR = MetricsCollector()


@counted(COLLECTOR.counter("pickled"))
def for_pickle(number: int) -> int:
    """Gives it back."""
    return number


def test_a_decorated_function_looks_like_itself() -> None:
    assert (for_pickle.__name__, for_pickle.__doc__) == ("for_pickle", "Gives it back.")
    assert str(inspect.signature(for_pickle)) == "(number: int) -> int"
    assert pickle.loads(pickle.dumps(for_pickle))(3) == 3


def test_each_kind_of_function_stays_of_its_kind() -> None:
    measure = counted(MetricsCollector().counter("calls"))

    async def coroutine() -> None: ...

    def generator() -> Iterator[int]:
        yield 1

    async def async_generator() -> AsyncIterator[int]:
        yield 1

    assert inspect.iscoroutinefunction(measure(coroutine))
    assert inspect.isgeneratorfunction(measure(generator))
    assert inspect.isasyncgenfunction(measure(async_generator))
    assert not inspect.iscoroutinefunction(measure(len))


def test_methods_of_every_kind_are_measured() -> None:
    calls = MetricsCollector().counter("calls")

    class Shop:
        @counted(calls)
        def method(self) -> object:
            return self

        @counted(calls)
        @staticmethod
        def static(number: int) -> int:
            return number

        @counted(calls)
        @classmethod
        def of(cls) -> type:
            return cls

    shop = Shop()
    assert (shop.method(), shop.static(3), Shop.of()) == (shop, 3, Shop)
    assert calls.metric.get_latest_value() == 3


def test_threads_are_measured_each_for_itself() -> None:
    calls = MetricsCollector().counter("calls")

    @counted(calls)
    def work() -> None: ...

    threads = [threading.Thread(target=lambda: [work() for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls.metric.get_latest_value() == 4000


async def test_fastapi_takes_decorated_handlers_and_dependencies(collector: MetricsCollector) -> None:
    fastapi = pytest.importorskip("fastapi", reason="fastapi, from the extra 'fastapi', is not installed")
    calls = collector.counter("calls", labels=("path",))

    @counted(calls, path="dependency")
    async def opened() -> AsyncIterator[int]:
        yield 7

    @counted(calls, path="/double")
    async def double(number: int, more: int = fastapi.Depends(opened)) -> dict[str, int]:
        return {"doubled": number * 2 + more}

    app = fastapi.FastAPI()
    app.get("/double/{number}")(double)
    scope = {
        "type": "http", "method": "GET", "path": "/double/4", "headers": [], "query_string": b"", "http_version": "1.1",
        "scheme": "http", "root_path": "", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    told: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: dict[str, object]) -> None:
        told.append(message)

    await app(scope, receive, send)
    assert (told[0]["status"], told[1]["body"]) == (200, b'{"doubled":15}')
    assert {one.labels["path"]: one.total for one in calls.metric.series} == {"dependency": 1, "/double": 1}


SAMPLE = Path(__file__).parent / "typed_calls.py"
EXPECTED = [n for n, line in enumerate(SAMPLE.read_text().splitlines(), 1) if line.endswith("# expect-error")]


@pytest.mark.parametrize(
    ("checker", "arguments"),
    [("mypy", ["--strict", "--no-incremental", "--cache-dir=/dev/null"]), ("pyright", ["--pythonpath", sys.executable])],
)
def test_type_checkers_see_signatures_as_they_were(checker: str, arguments: list[str]) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker}, from the extra 'e2e', is not installed")
    said = subprocess.run(
        [sys.executable, "-m", checker, *arguments, str(SAMPLE)],
        capture_output=True, text=True, check=False, timeout=110, cwd=SAMPLE.parent.parent,
    )  # fmt: skip
    found = {int(n) for n in re.findall(r"typed_calls\.py:(\d+)(?::\d+)?(?: -)?:? error", said.stdout)}
    assert sorted(found) == EXPECTED, said.stdout + said.stderr


def test_a_context_that_is_left_without_being_entered_raises_nothing() -> None:
    timed(MetricsCollector().timer("took")).__exit__(None, None, None)
