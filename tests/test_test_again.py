"""Tests that people ask for: a rule judged at once, a notice through a channel now."""

import asyncio
import threading
from collections.abc import Iterator, Mapping

import pytest

from kailash_monitor.alerts import Alert, AlertManager, AlertRule, NotificationChannel
from kailash_monitor.blocking import AlertManager as BlockingManager
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected, Retry
from kailash_monitor.engine.trial import AT_ONCE, HELD_UP, Trials, notice_of_test
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.testing import RecordingChannel, VirtualClock


@pytest.fixture
def app(registry: MetricsRegistry) -> MetricsCollector:
    return registry.collector("app")


@pytest.fixture
def manager(registry: MetricsRegistry) -> AlertManager:
    return AlertManager(registry)


def rule(**more: object) -> AlertRule:
    given = {"condition": "> 5", "evaluation_interval": 600, "metric_name": "queue", **more}
    return AlertRule("busy", "Too much waits", "warning", **given)  # type: ignore[arg-type]


class Slow(NotificationChannel):
    """Takes `seconds` for each message, and counts those under way."""

    def __init__(self, seconds: float) -> None:
        self.name = "slow"
        self.seconds = seconds
        self.under_way = self.most = 0

    async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        return True


class Refusing(NotificationChannel):
    """Never takes anything."""

    name = "strict"

    async def deliver(self, notice: Notice) -> Outcome:
        return Rejected("HTTP 404")


# -- a rule


async def test_a_rule_is_judged_at_once(manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(rule())
    async with manager:
        await asyncio.sleep(1)
        before = manager.rule_status()[0]
        app.set_gauge("queue", 9)
        assert manager.evaluate_rule("busy")
        await asyncio.sleep(0.1)
        after = manager.rule_status()[0]
    assert (before.state, after.state, after.evaluations) == ("waiting", "firing", before.evaluations + 1)
    assert after.next_evaluation == before.next_evaluation, "its usual times stay as they are"
    assert after.late == 0


async def test_an_expression_is_asked_at_once(manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(
        AlertRule.from_mapping(
            {"name": "busy", "severity": "warning", "expr": "kailash_app_queue > 5", "evaluation_interval": 600}
        )
    )
    async with manager:
        await asyncio.sleep(1)
        app.set_gauge("queue", 9)
        assert manager.evaluate_rule("busy")
        await asyncio.sleep(0.1)
        assert [alert.value for alert in manager.get_active_alerts()] == [9]


async def test_where_no_enabled_rule_has_the_name_nothing_is_judged(manager: AlertManager) -> None:
    manager.add_rule(rule(enabled=False))
    assert not manager.evaluate_rule("busy")
    assert not manager.evaluate_rule("lazy")


async def test_how_long_a_rule_was_read_is_shown(manager: AlertManager, app: MetricsCollector) -> None:
    async def reading() -> float:
        await asyncio.sleep(0.25)
        return 9.0

    manager.add_rule(AlertRule("asked", "d", "warning", condition="> 5", reading=reading))
    manager.add_rule(rule())
    assert {status.duration for status in manager.rule_status()} == {None}
    app.set_gauge("queue", 1)
    async with manager:
        await asyncio.sleep(1)
        took = {status.rule.name: status.duration for status in manager.rule_status()}
    assert took == {"asked": pytest.approx(0.25), "busy": 0.0}


# -- a channel


async def test_a_test_is_sent_past_the_outbox(manager: AlertManager, clock: VirtualClock) -> None:
    channel = RecordingChannel("rec")
    manager.add_notification_channel(channel)
    async with manager:
        assert await manager.try_channel("rec") == Delivered()
        (notice,) = channel.notices
        assert (notice.kind, notice.sent_at) == (NoticeKind.TEST, clock.wall())
        assert notice.alert.description.endswith("Nothing is wrong.")
        assert manager.outbox() == []
        assert manager.alerts == {}


async def test_what_the_channel_says_is_given_back_as_it_is(manager: AlertManager) -> None:
    manager.add_notification_channel(Refusing())
    async with manager:
        assert await manager.try_channel("strict") == Rejected("HTTP 404")
        assert manager.dead_letters() == []


async def test_a_test_has_the_deadline_of_a_message(manager: AlertManager, clock: VirtualClock) -> None:
    manager.add_notification_channel(Slow(60))
    async with manager:
        begun = clock.now()
        assert await manager.try_channel("slow") == Retry("no answer within 10 s", in_doubt=True)
        assert clock.now() - begun == pytest.approx(10)


async def test_only_a_few_tests_are_under_way_at_once(manager: AlertManager) -> None:
    channel = Slow(5)
    manager.add_notification_channel(channel)
    async with manager:
        outcomes = await asyncio.gather(*(manager.try_channel("slow") for _ in range(AT_ONCE + 2)))
        assert [type(one) for one in outcomes] == [Delivered] * AT_ONCE + [Retry] * 2
        assert channel.most == AT_ONCE
        assert await manager.try_channel("slow") == Delivered(), "the places are free again"


async def test_who_gives_up_waiting_gives_its_place_back(manager: AlertManager) -> None:
    channel = Slow(5)
    manager.add_notification_channel(channel)
    async with manager:
        tests = [asyncio.create_task(manager.try_channel("slow")) for _ in range(AT_ONCE)]
        await asyncio.sleep(1)
        for test in tests:
            test.cancel()
        await asyncio.wait(tests)
        assert channel.under_way == 0
        assert await manager.try_channel("slow") == Delivered()


async def test_a_channel_that_is_not_there_has_no_outcome(manager: AlertManager) -> None:
    assert await manager.try_channel("nowhere") is None


async def test_a_manager_that_does_not_run_sends_no_test(manager: AlertManager) -> None:
    channel = RecordingChannel("rec")
    manager.add_notification_channel(channel)
    outcome = await manager.try_channel("rec")
    assert isinstance(outcome, Retry)
    assert outcome.why == "the alert manager does not run, and sends nothing"
    assert channel.notices == []


# -- without a loop of one's own


@pytest.fixture
def blocking() -> Iterator[BlockingManager]:
    manager = BlockingManager(MetricsRegistry(), stop_timeout="1s")
    yield manager
    manager.stop()


class WhereItIs(NotificationChannel):
    """Keeps in which thread it is called."""

    name = "where"

    def __init__(self) -> None:
        self.threads: list[str] = []

    async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
        self.threads.append(threading.current_thread().name)
        return True


def test_a_program_of_threads_has_its_test_sent_on_the_managers_loop(blocking: BlockingManager) -> None:
    channel = WhereItIs()
    blocking.add_notification_channel(channel)
    assert isinstance(blocking.try_channel("where"), Retry)
    blocking.start()
    assert blocking.try_channel("where") == Delivered()
    assert channel.threads == ["kailash-monitor"]
    assert blocking.try_channel("nowhere") is None
    assert not blocking.evaluate_rule("busy")


def test_a_test_can_be_asked_for_from_many_threads(blocking: BlockingManager) -> None:
    channel = WhereItIs()
    blocking.add_notification_channel(channel)
    blocking.start()
    outcomes = list[Outcome | None]()
    threads = [threading.Thread(target=lambda: outcomes.append(blocking.try_channel("where"))) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [Delivered()] * AT_ONCE
    assert channel.threads == ["kailash-monitor"] * AT_ONCE


@pytest.mark.real_time
async def test_a_test_from_another_loop_is_sent_on_the_managers(registry: MetricsRegistry) -> None:
    manager, channel = AlertManager(registry), WhereItIs()
    manager.add_notification_channel(channel)
    async with manager:
        assert await asyncio.to_thread(lambda: asyncio.run(manager.try_channel("where"))) == Delivered()
    assert channel.threads == [threading.current_thread().name]


async def test_a_loop_that_does_not_come_round_is_told() -> None:
    idle, channel = asyncio.new_event_loop(), RecordingChannel("rec")
    notice = notice_of_test("rec", "a test", notice_id="1", now=0.0)
    assert await Trials().make_on(idle, channel, notice) == HELD_UP
    await asyncio.to_thread(idle.run_until_complete, asyncio.sleep(0))  # what was left on it
    idle.close()


def test_a_blocking_manager_whose_loop_is_held_up_says_so(blocking: BlockingManager) -> None:
    class Hasty(WhereItIs):
        attempt_seconds = 0.01

    release = threading.Event()

    class Holding(NotificationChannel):
        name = "holding"

        async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
            begun.set()
            while not release.is_set():  # it holds up the loop; what waits is not let to, here
                pass
            return True

    begun = threading.Event()
    blocking.add_notification_channel(Hasty())
    blocking.add_notification_channel(Holding())
    blocking.start()
    holder = threading.Thread(target=blocking.try_channel, args=("holding",))
    holder.start()
    begun.wait(30)
    outcome = blocking.try_channel("where")
    release.set()
    holder.join()
    assert outcome == HELD_UP
