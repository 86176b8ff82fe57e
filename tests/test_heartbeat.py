"""The heartbeat: when somebody outside is called, when not, and that nothing waits for them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from kailash_monitor.channels import LogNotificationChannel
from kailash_monitor.delivery.outcome import Gone
from kailash_monitor.engine import AlertManager, RuleStatus
from kailash_monitor.engine.heartbeat import Beat, Heart, Heartbeat, ailment
from kailash_monitor.errors import ChannelError, ConfigurationError, StoreFull
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.metrics.counter_series import CounterSeries
from kailash_monitor.rules import AlertRule
from kailash_monitor.storage import Change, MemoryStore
from kailash_monitor.testing import EPOCH, RecordingChannel, VirtualClock

# -- whether all is well


def status(name: str = "busy", *, age: float | None = 5.0, wrong: str | None = None, **rule: Any) -> RuleStatus:
    """A rule at ten seconds that was judged so many seconds ago; None: never."""
    judged = None if age is None else datetime.fromtimestamp(EPOCH - age, UTC)
    value = None if wrong else 1.0
    definition = AlertRule(name, "d", "warning", rule.pop("metric", "queue"), "> 5", **rule)
    return RuleStatus(rule=definition, state="inactive", value=value, last_evaluation=judged, error=wrong)


async def hangs() -> float:
    await asyncio.Event().wait()
    return 0.0


@pytest.mark.parametrize(
    ("rules", "down", "store", "why"),
    [
        ([], {}, False, None),
        ([status()], {}, False, None),
        ([status(age=None)], {}, False, "rule 'busy' was not judged yet"),
        ([status(), status("b", age=None, enabled=False)], {}, False, None),
        ([status(age=40)], {}, False, None),
        ([status(age=41)], {}, False, "rule 'busy' is not judged any more"),
        ([status(), status("late", age=41)], {}, False, "rule 'late' is not judged any more"),
        ([status(age=240, evaluation_interval="1m")], {}, False, None),
        ([status(age=241, evaluation_interval="1m")], {}, False, "rule 'busy' is not judged any more"),
        ([status(age=60, metric="", reading=hangs, timeout="20s")], {}, False, None),
        ([status(age=61, metric="", reading=hangs, timeout="20s")], {}, False, "rule 'busy' is not judged any more"),
        ([status(wrong="OSError"), status("b")], {}, False, None),
        ([status(wrong="OSError"), status("b", wrong="OSError")], {}, False, "no rule can be judged"),
        ([status()], {}, True, "the store fails"),
        ([status()], {"slack": True, "mail": False}, False, None),
        ([status()], {"slack": True, "mail": True}, False, "all channels are down"),
    ],
)
def test_what_keeps_the_heart_from_beating(
    rules: list[RuleStatus], down: dict[str, bool], store: bool, why: str | None
) -> None:
    assert ailment(rules, down, store_fails=store, wall=EPOCH) == why


def test_a_rule_that_reads_something_can_be_judged_though_something_is_wrong_with_it() -> None:
    rule = AlertRule("busy", "d", "warning", "queue", "> 5")
    partly = RuleStatus(
        rule=rule, state="inactive", value=1.0, last_evaluation=datetime.fromtimestamp(EPOCH, UTC), error="b: OSError"
    )
    assert ailment([partly], {}, store_fails=False, wall=EPOCH) is None


# -- when it beats


class Outside:
    """Whom the heartbeat calls: keeps when, and answers as it is told."""

    def __init__(self, clock: VirtualClock, every: float = 60.0, answer: Callable[[], str | None] = lambda: None) -> None:
        self.every = every
        self.calls: list[float] = []
        self.takes = 0.0
        self.answer = answer
        self._clock = clock

    async def call(self) -> str | None:
        self.calls.append(self._clock.now())
        await asyncio.sleep(self.takes)
        return self.answer()


class Patient:
    """What ails the engine, as the test says."""

    ails: str | None = None

    def look(self) -> str | None:
        return self.ails


@asynccontextmanager
async def beating(
    registry: MetricsRegistry, beat: Beat, look: Callable[[], str | None]
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(Heart(registry, beat, look).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def outside(clock: VirtualClock) -> Outside:
    return Outside(clock)


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.INFO, "kailash_monitor.engine"):
        yield lambda: [record.message for record in caplog.records if record.name == "kailash_monitor.engine"]


def up(registry: MetricsRegistry) -> float | None:
    metric = registry.self_metrics.get_metric("heartbeat_up")
    assert metric is not None
    return metric.get_latest_value()


def calls(registry: MetricsRegistry) -> dict[str, float]:
    metric = registry.self_metrics.get_metric("heartbeat_calls")
    assert metric is not None
    return {one.labels["outcome"]: one.total for one in metric.series if isinstance(one, CounterSeries)}


async def test_it_calls_at_once_and_then_at_its_interval(
    registry: MetricsRegistry, outside: Outside, patient: Patient, said: Callable[[], list[str]]
) -> None:
    async with beating(registry, outside, patient.look):
        await asyncio.sleep(200)
        assert (outside.calls, up(registry), calls(registry)) == ([0, 60, 120, 180], 1.0, {"answered": 4.0})
    assert (said(), up(registry)) == ([], 0.0)


async def test_a_slow_answer_does_not_shift_the_next_call(
    registry: MetricsRegistry, outside: Outside, patient: Patient
) -> None:
    outside.takes = 7.0
    async with beating(registry, outside, patient.look):
        await asyncio.sleep(130)
    assert outside.calls == [0, 60, 120]


async def test_calls_that_take_longer_than_the_interval_follow_each_other_and_never_overlap(
    registry: MetricsRegistry, outside: Outside, patient: Patient
) -> None:
    outside.takes = 90.0
    async with beating(registry, outside, patient.look):
        await asyncio.sleep(200)
    assert outside.calls == [0, 90, 180]


async def test_while_something_ails_nobody_is_called_and_it_is_said_once(
    registry: MetricsRegistry, outside: Outside, patient: Patient, said: Callable[[], list[str]]
) -> None:
    async with beating(registry, outside, patient.look):
        await asyncio.sleep(90)
        patient.ails = "the store\nfails"
        await asyncio.sleep(120)
        assert (outside.calls, said(), up(registry)) == ([0, 60], ["no heartbeat: the store\\nfails"], 0.0)
        patient.ails = "all channels are down"
        await asyncio.sleep(90.5)
        patient.ails = None
        await asyncio.sleep(70)
        assert up(registry) == 1.0
    assert outside.calls == [0, 60, 301, 361]
    assert said() == ["no heartbeat: the store\\nfails", "the heartbeat goes on: all is well again"]


async def test_what_ails_between_two_calls_and_for_a_moment_is_nobodys_business(
    registry: MetricsRegistry, outside: Outside, patient: Patient, said: Callable[[], list[str]]
) -> None:
    async with beating(registry, outside, patient.look):
        await asyncio.sleep(10)
        patient.ails = "the store fails"
        await asyncio.sleep(55)
        patient.ails = None
        await asyncio.sleep(10)
    assert (outside.calls, said()) == ([0, 65], [])


async def test_a_call_that_is_not_answered_is_made_again_when_the_next_is_due_and_said_once(
    registry: MetricsRegistry, outside: Outside, patient: Patient, said: Callable[[], list[str]]
) -> None:
    answers = iter(["HTTP 500", "HTTP 503", None, None, "no answer within 10 s"])
    outside.answer = lambda: next(answers)
    async with beating(registry, outside, patient.look):
        await asyncio.sleep(70)
        assert up(registry) == 0.0
        await asyncio.sleep(180)
        assert calls(registry) == {"answered": 2.0, "failed": 3.0}
    assert outside.calls == [0, 60, 120, 180, 240]
    assert said() == [
        "the heartbeat was not answered: HTTP 500; it calls again each 1m",
        "the heartbeat is answered again",
        "the heartbeat was not answered: no answer within 10 s; it calls again each 1m",
    ]


@pytest.mark.parametrize("error", [RuntimeError("s3cret"), asyncio.CancelledError("s3cret")])
async def test_a_call_that_raises_is_a_call_that_was_not_answered(
    registry: MetricsRegistry, outside: Outside, patient: Patient, said: Callable[[], list[str]], error: BaseException
) -> None:
    def raises() -> None:
        raise error

    outside.answer = raises
    async with beating(registry, outside, patient.look):
        await asyncio.sleep(70)
    assert outside.calls == [0, 60]
    assert said() == ["the heartbeat was not answered: raised RuntimeError; it calls again each 1m"]


async def test_a_second_run_begins_anew(registry: MetricsRegistry, outside: Outside, patient: Patient) -> None:
    heart = Heart(registry, outside, patient.look)
    for _ in range(2):
        task = asyncio.create_task(heart.run())
        await asyncio.sleep(70)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(30)
    assert outside.calls == [0, 60, 100, 160]


# -- beside a manager


def busy(reading: Callable[[], object] | None = None, **options: Any) -> AlertRule:
    if reading is not None:
        return AlertRule("asked", "d", "warning", "", "> 5", reading=reading, **options)  # type: ignore[arg-type]  # any answer
    return AlertRule("busy", "d", "warning", "queue", "> 5", **options)


async def test_the_first_call_comes_when_all_rules_have_been_judged(registry: MetricsRegistry, outside: Outside) -> None:
    async def slow() -> float:
        await asyncio.sleep(3.5)
        return 0.0

    manager = AlertManager(registry, heartbeat=outside)
    manager.add_rule(busy())
    manager.add_rule(busy(slow))
    async with manager:
        await asyncio.sleep(10)
    assert outside.calls == [4.0]


async def test_a_reading_that_never_answers_is_an_error_and_does_not_stop_the_heart(
    registry: MetricsRegistry, outside: Outside
) -> None:
    manager = AlertManager(registry, heartbeat=outside)
    manager.add_rule(busy())
    manager.add_rule(busy(hangs, timeout="3s", evaluation_interval="1s"))
    async with manager:
        await asyncio.sleep(500)
    assert outside.calls == [4.0 + 60.0 * n for n in range(9)]


async def test_where_no_rule_can_read_anything_nobody_is_called(registry: MetricsRegistry, outside: Outside) -> None:
    async def broken() -> float:
        raise OSError("no route")

    manager = AlertManager(registry, heartbeat=outside)
    manager.add_rule(busy(broken))
    async with manager:
        await asyncio.sleep(100)
        assert outside.calls == []
        manager.add_rule(busy())
        await asyncio.sleep(5)
        assert len(outside.calls) == 1


async def test_a_rule_that_is_not_judged_any_more_stops_the_heart(registry: MetricsRegistry, outside: Outside) -> None:
    manager = AlertManager(registry, heartbeat=outside)
    manager.add_rule(busy())
    async with manager:
        await asyncio.sleep(65)
        with manager.core.lock:
            manager.core.agenda.remove("busy")  # as a defect might
        await asyncio.sleep(600)
    assert len(outside.calls) == 2


async def test_all_channels_down_stop_the_heart_and_a_log_is_none(registry: MetricsRegistry, outside: Outside) -> None:
    closed = True
    manager = AlertManager(registry, heartbeat=outside)
    manager.add_notification_channel(RecordingChannel("ops", answer=lambda _: Gone("HTTP 410") if closed else None))
    manager.add_notification_channel(LogNotificationChannel())
    manager.add_rule(busy(notification_interval="5m"))
    async with manager:
        await asyncio.sleep(65)
        registry.collector("app").set_gauge("queue", 9)
        await asyncio.sleep(200)
        before = len(outside.calls)
        assert before == 2
        manager.add_notification_channel(RecordingChannel("mail"))
        await asyncio.sleep(65)
        assert len(outside.calls) >= before + 1


async def test_with_nothing_but_a_log_nobody_expects_to_be_called(registry: MetricsRegistry, outside: Outside) -> None:
    manager = AlertManager(registry, heartbeat=outside)
    manager.add_notification_channel(LogNotificationChannel())
    async with manager:
        await asyncio.sleep(65)
    assert len(outside.calls) == 2


class Fragile(MemoryStore):
    """A store that can be broken."""

    broken = False

    def commit(self, changes: Sequence[Change]) -> None:
        if self.broken:
            raise StoreFull("here", seen="there is no room left", remedy="free some")
        super().commit(changes)


async def test_a_store_that_fails_stops_the_heart_until_it_works_again(registry: MetricsRegistry, outside: Outside) -> None:
    store = Fragile()
    manager = AlertManager(registry, store=store, heartbeat=outside)
    manager.add_rule(busy())
    async with manager:
        await asyncio.sleep(50)
        store.broken = True
        registry.collector("app").set_gauge("queue", 9)
        await asyncio.sleep(200)
        assert len(outside.calls) == 1
        store.broken = False
        await asyncio.sleep(70)
        assert len(outside.calls) >= 2


async def test_a_manager_that_stopped_calls_no_more_and_one_that_starts_again_does(
    registry: MetricsRegistry, outside: Outside
) -> None:
    manager = AlertManager(registry, heartbeat=outside)
    manager.add_rule(busy())
    counts = []
    for _ in range(2):
        async with manager:
            await asyncio.sleep(90)
        counts.append(len(outside.calls))
        await asyncio.sleep(500)
    assert counts == [2, 4]
    assert len(outside.calls) == 4


async def test_two_hearts_do_not_know_of_each_other(clock: VirtualClock) -> None:
    registries = [MetricsRegistry(clock=clock) for _ in range(2)]
    outsides = [Outside(clock), Outside(clock, every=30.0)]
    ill, well = Patient(), Patient()
    async with beating(registries[0], outsides[0], ill.look), beating(registries[1], outsides[1], well.look):
        await asyncio.sleep(1)
        ill.ails = "the store fails"
        await asyncio.sleep(100)
        assert [up(registry) for registry in registries] == [0.0, 1.0]
    assert [len(outside.calls) for outside in outsides] == [1, 4]


# -- the call itself, to a real server

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def receiver(
    answer: bytes | None = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server, its address, which is a secret, and the requests it got; without an answer it waits for ever."""
    heads: list[bytes] = []
    talks: set[asyncio.Task[Any]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            talks.discard(task)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/s3cret?key=s3cret", heads
    finally:
        server.close()
        for task in tuple(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@pytest.mark.real_time
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_call_is_one_request_without_a_body(method: str) -> None:
    async with receiver() as (url, heads):
        assert await Heartbeat(url, method=method).call() is None
    (head,) = heads
    assert head.startswith(f"{method} /s3cret?key=s3cret HTTP/1.1\r\n".encode())
    assert b"content-length: 0\r\n" in head.lower()


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: /s3cret\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        (b"rubbish\r\n\r\n", "connection lost"),
        (None, "no answer within 0.1 s"),
    ],
)
async def test_why_a_call_was_not_answered(answer: bytes | None, why: str) -> None:
    async with receiver(answer) as (url, heads):
        said = await Heartbeat(url, timeout="100ms" if answer is None else "10s").call()
        assert said is not None
        assert why in said
        assert "s3cret" not in said
    assert len(heads) == 1


@pytest.mark.real_time
async def test_nobody_there_and_an_address_that_is_not_allowed() -> None:
    async with receiver() as (url, heads):
        refused = await Heartbeat(url, egress="public").call()
        assert refused == "the egress does not allow a loopback address"
    gone = await Heartbeat(url).call()
    assert gone == "no connection: Connection refused"
    assert heads == []


@pytest.mark.real_time
async def test_a_real_manager_is_heard_until_it_stops_and_a_hanging_call_ends_at_once() -> None:
    registry = MetricsRegistry()
    async with receiver(None) as (url, heads):
        manager = AlertManager(registry, heartbeat=Heartbeat(url))
        manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval="50ms"))
        async with manager:
            while not heads:
                await asyncio.sleep(0.01)
            judged = manager.rule_status()[0].evaluations
            await asyncio.sleep(0.3)
            assert manager.rule_status()[0].evaluations > judged, "judging waits for nobody"
            leaving = time.monotonic()
        assert time.monotonic() - leaving < 5
        await asyncio.sleep(0.1)
        assert len(heads) == 1


@pytest.mark.real_time
async def test_a_cancelled_call_is_over_within_a_tenth_of_a_second() -> None:
    async with receiver(None) as (url, heads):
        call = asyncio.create_task(Heartbeat(url).call())
        while not heads:
            await asyncio.sleep(0.01)
        cancelled = time.thread_time()
        call.cancel()
        done, _ = await asyncio.wait([call], timeout=5)
        assert done
        assert call.cancelled()
        assert time.thread_time() - cancelled < 0.1


# -- what it is given


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "hc-ping.com/s3cret"}, "url"),
        ({"url": "ftp://hc-ping.com/s3cret"}, "url"),
        ({"url": None}, "url"),
        ({"every": "soon"}, "every"),
        ({"every": "500ms"}, "every"),
        ({"every": "2d"}, "every"),
        ({"every": None}, "every"),
        ({"method": "PUT"}, "method"),
        ({"method": None}, "method"),
        ({"timeout": "0s"}, "timeout"),
        ({"timeout": "2m"}, "timeout"),
        ({"egress": "all"}, "egress"),
    ],
)
def test_a_wrong_argument_is_refused_where_it_is_given(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ChannelError) as refused:
        Heartbeat(**{"url": "https://hc-ping.com/s3cret", **options})
    assert refused.value.field == field
    assert "s3cret" not in str(refused.value)


async def test_an_address_alone_is_no_heartbeat_and_does_not_show(registry: MetricsRegistry) -> None:
    with pytest.raises(ConfigurationError, match="a str as heartbeat; a Heartbeat") as refused:
        AlertManager(registry, heartbeat="https://hc-ping.com/s3cret")  # type: ignore[arg-type]  # what is tested
    assert "s3cret" not in str(refused.value)


def test_the_address_does_not_show() -> None:
    assert repr(Heartbeat("https://hc-ping.com/s3cret", every="90s")) == "<Heartbeat hc-ping.com every 1m30s>"
