"""Start, stop and run: every case that DESIGN 9 defines."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pytest

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.delivery.outcome import Delivered, Outcome, Retry
from kailash_monitor.engine.daemon import DaemonExecutor
from kailash_monitor.engine.run import Run
from kailash_monitor.errors import ConfigurationError, LifecycleError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.notice import Notice
from kailash_monitor.testing import RecordingChannel, VirtualClock, VirtualTimeLoop


def busy_manager(registry: MetricsRegistry, channel: object = None, **options: object) -> AlertManager:
    manager = AlertManager(registry, **options)  # type: ignore[arg-type]
    manager.add_notification_channel(channel or RecordingChannel())  # type: ignore[arg-type]
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1))
    registry.collector("app").set_gauge("queue", 9)
    return manager


async def test_start_acts_without_being_awaited(registry: MetricsRegistry) -> None:
    manager = busy_manager(registry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager.start()
        gc.collect()
    await asyncio.sleep(1)
    assert manager.running
    assert manager.get_active_alerts()
    manager.stop()
    await asyncio.sleep(0.1)
    assert not manager.running


async def test_awaiting_start_waits_until_it_runs_and_stop_until_it_ended(registry: MetricsRegistry) -> None:
    manager = busy_manager(registry)
    begun = manager.start()
    await begun
    await begun
    assert manager.health().running
    ended = manager.stop()
    await ended
    await ended
    assert not manager.running


async def test_a_second_start_is_no_start(registry: MetricsRegistry) -> None:
    manager = busy_manager(registry)
    await manager.start()
    await manager.start()
    assert len([t for t in asyncio.all_tasks() if t.get_name() == "kailash-monitor"]) == 1
    await manager.stop()


async def test_start_after_stop_goes_on_where_it_was(registry: MetricsRegistry) -> None:
    channel = RecordingChannel()
    manager = busy_manager(registry, channel)
    counts = []
    for _ in range(3):
        await manager.start()
        assert manager.running
        await asyncio.sleep(5)
        counts.append(manager.rule_status()[0].evaluations)
        await manager.stop()
        assert not manager.running
        await asyncio.sleep(100)
    assert counts[0] >= 5
    assert counts[1] >= counts[0] + 5
    assert counts[2] >= counts[1] + 5
    assert channel.told() == [("firing", "busy_app")]


async def test_what_changes_after_a_new_start_is_told(registry: MetricsRegistry) -> None:
    channel = RecordingChannel()
    manager = busy_manager(registry, channel)
    async with manager:
        await asyncio.sleep(5)
    async with manager:
        registry.collector("app").set_gauge("queue", 0)
        await asyncio.sleep(5)
    assert channel.told() == [("firing", "busy_app"), ("resolved", "busy_app")]


async def test_whoever_hears_the_result_of_a_call_can_make_the_next() -> None:
    """The place of a call was free only a moment after its result was told: a source due at once was refused."""
    executor, go, free = DaemonExecutor(1), threading.Event(), list[bool]()
    call = executor.submit(go.wait, 10)
    call.add_done_callback(lambda done: free.append(executor.free))
    go.set()
    call.result(10)
    while not free:
        await asyncio.sleep(0)
    assert free == [True]


@pytest.mark.real_time
async def test_a_source_that_is_due_while_its_last_call_hangs_is_passed_over_quietly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release, calls = threading.Event(), list[int]()

    def hang() -> float:
        calls.append(1)
        release.wait(10)
        return 1.0

    registry = MetricsRegistry()
    registry.collector("app").callback_gauge("depth", hang, every=0.1, timeout=0.05)
    async with AlertManager(registry):
        await asyncio.sleep(0.5)
        release.set()
        while len(calls) < 3:
            await asyncio.sleep(0.01)
    said = [record.getMessage() for record in caplog.records if "depth" in record.getMessage()]
    again = "source 'app.depth' is sampled again"  # where the last call is answered before the end
    assert [one for one in said if one != again] == ["source 'app.depth' could not be sampled: no answer within 0.05 s"]


async def test_start_while_it_stops_waits_for_the_end(registry: MetricsRegistry) -> None:
    manager = busy_manager(registry)
    await manager.start()
    manager.stop()
    await manager.start()
    await asyncio.sleep(1)
    assert manager.running
    assert len([t for t in asyncio.all_tasks() if t.get_name() == "kailash-monitor"]) == 1
    await manager.stop()


async def test_downtime_does_not_count_for_a_hold(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1, hold=60))
    registry.collector("app").set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(30)
    await asyncio.sleep(1000)
    async with manager:
        await asyncio.sleep(25)
        assert manager.get_active_alerts() == []
        await asyncio.sleep(10)
        assert [a.id for a in manager.get_active_alerts()] == ["busy_app"]


def test_start_without_a_loop_names_the_blocking_facade() -> None:
    manager = AlertManager(MetricsRegistry())
    with pytest.raises(RuntimeError, match=r"kailash_monitor\.blocking\.AlertManager"):
        manager.start()


def test_stop_never_raises_without_or_after_a_loop() -> None:
    manager = AlertManager(MetricsRegistry())
    manager.stop()
    loop = VirtualTimeLoop()

    async def begin() -> None:
        await manager.start()

    loop.run_until_complete(begin())
    manager.stop()
    loop.run_until_complete(asyncio.sleep(1))
    loop.close()
    manager.stop()
    assert not manager.running


async def test_run_works_until_it_is_stopped(registry: MetricsRegistry) -> None:
    manager = busy_manager(registry)
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(manager.run())
        await asyncio.sleep(5)
        with pytest.raises(LifecycleError, match="it runs already"):
            await manager.run()
        manager.stop()
    assert watch.done()
    await manager.stop()


async def test_run_cancelled_ends_at_once_and_reraises(registry: MetricsRegistry) -> None:
    class Slow(RecordingChannel):
        async def deliver(self, notice: Notice) -> Outcome:
            await asyncio.sleep(9)
            return await super().deliver(notice)

    channel = Slow()
    manager = busy_manager(registry, channel, stop_timeout=60)
    watch = asyncio.create_task(manager.run())
    await asyncio.sleep(1)
    watch.cancel()
    cancelled_at = asyncio.get_running_loop().time()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert asyncio.get_running_loop().time() == cancelled_at
    assert not manager.running
    assert channel.told() == []
    # what was under way may have been heard: it goes out again, as the same message
    async with manager:
        await asyncio.sleep(20)
    assert channel.told() == [("firing", "busy_app")]


async def test_a_message_in_doubt_is_repeated_first_and_as_it_was_after_the_next_start(registry: MetricsRegistry) -> None:
    class Slow(RecordingChannel):
        async def deliver(self, notice: Notice) -> Outcome:
            self.attempts.append(notice)
            await asyncio.sleep(0 if len(self.attempts) > 1 else 9)
            return Delivered()

    channel = Slow()
    manager = busy_manager(registry, channel)
    watch = asyncio.create_task(manager.run())
    await asyncio.sleep(1)
    watch.cancel()
    await asyncio.wait([watch])
    registry.collector("app").set_gauge("queue", 0)
    async with manager:
        await asyncio.sleep(60)
    lost, again, over = channel.attempts
    assert lost == again
    assert [(notice.kind.value, notice.alert.id) for notice in (again, over)] == [
        ("firing", "busy_app"),
        ("resolved", "busy_app"),
    ]
    assert over.id != lost.id


async def test_a_channel_whose_own_work_was_cancelled_is_tried_again_later(registry: MetricsRegistry) -> None:
    """That passed for a stop: the message went out again at once, thousands of times a second."""

    def lose(notice: Notice) -> Outcome | None:
        if len(channel.attempts) < 2:
            raise asyncio.CancelledError
        return None

    channel = RecordingChannel(answer=lose)
    manager = busy_manager(registry, channel, luck=lambda: 0.5)
    async with manager:
        await asyncio.sleep(0.1)
        assert [(one.outcome, one.why) for one in manager.deliveries()] == [("retry", "raised RuntimeError")]
        await asyncio.sleep(60)
    assert channel.told() == [("firing", "busy_app")]
    assert channel.attempts[0] == channel.attempts[1]


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_reading_under_way_ends_with_the_manager_and_is_asked_anew_with_it(
    registry: MetricsRegistry, how: str
) -> None:
    asked, ended = list[float](), list[float]()

    async def hang() -> float:
        asked.append(registry.clock.now())
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(registry.clock.now())
        return 1.0

    manager = AlertManager(registry)
    manager.add_rule(AlertRule("r", "d", "warning", condition="> 5", reading=hang, evaluation_interval="1h", timeout="1h"))
    for _ in range(2):
        watch = asyncio.create_task(manager.run())
        await asyncio.sleep(5)
        manager.stop() if how == "stop" else watch.cancel()
        await asyncio.wait([watch])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(100)
    assert (asked, ended) == ([0.0, 105.0], [5.0, 110.0])


async def test_stop_waits_for_messages_under_way_but_no_longer_than_its_time(registry: MetricsRegistry) -> None:
    class Slow(RecordingChannel):
        async def deliver(self, notice: Notice) -> Outcome:
            await asyncio.sleep(3)
            return await super().deliver(notice)

    for patience, heard in ((5, 1), (2, 0)):
        channel = Slow()
        manager = busy_manager(registry, channel, stop_timeout=patience)
        await manager.start()
        await asyncio.sleep(0.5)
        begun = asyncio.get_running_loop().time()
        await manager.stop()
        assert len(channel.notices) == heard
        assert asyncio.get_running_loop().time() - begun == pytest.approx(2.5 if heard else 2)


async def test_stop_does_not_wait_for_a_channel_that_is_down(registry: MetricsRegistry) -> None:
    manager = busy_manager(registry, RecordingChannel(answer=lambda notice: Retry("HTTP 503", after=30)))
    await manager.start()
    await asyncio.sleep(5)
    begun = asyncio.get_running_loop().time()
    await manager.stop()
    assert asyncio.get_running_loop().time() == begun


async def test_leaving_on_an_exception_stops_and_passes_it_on(registry: MetricsRegistry) -> None:
    manager = busy_manager(registry)
    with pytest.raises(ZeroDivisionError):
        async with manager:
            raise ZeroDivisionError
    assert not manager.running
    assert {t.get_name() for t in asyncio.all_tasks()} <= {asyncio.current_task().get_name()}  # type: ignore[union-attr]


async def test_what_breaks_the_engine_is_kept_and_not_raised(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    class Stopped(VirtualClock):
        broken = False

        def now(self) -> float:
            if self.broken:
                raise ZeroDivisionError("a clock without hands")
            return super().now()

    hands = Stopped()
    manager = busy_manager(MetricsRegistry(clock=hands))
    hands.broken = True
    await manager.run()
    hands.broken = False
    assert "the alert manager has failed" in caplog.text
    assert manager.failure is not None
    assert not manager.running
    assert manager.health().failure is not None
    hands.broken = True
    manager.start()  # whoever does not await it is told by the log alone
    await asyncio.sleep(1)
    assert caplog.text.count("the alert manager has failed") == 2
    with pytest.raises(LifecycleError, match="could not start: ZeroDivisionError: a clock without hands"):
        await manager.start()
    with pytest.raises(LifecycleError, match="could not start"):
        async with manager:
            raise AssertionError("not reached")
    hands.broken = False
    async with manager:  # and once it can, it does
        await asyncio.sleep(1)
        assert manager.failure is None
        assert manager.get_active_alerts()


@pytest.mark.parametrize("every", [0, -1.0, "5s", None, True, float("inf")])
async def test_a_source_says_how_often_it_is_sampled(registry: MetricsRegistry, every: object) -> None:
    class Odd:
        name = "odd"
        collector = registry.collector("odd")

        def sample(self) -> None:
            return

    odd = Odd()
    odd.every = every  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="source 'odd': every = .*; seconds above zero"):
        AlertManager(registry).add_source(odd)  # type: ignore[arg-type]


async def test_entering_that_is_cancelled_half_way_leaves_nothing_running(registry: MetricsRegistry) -> None:
    class Slow:
        name = "slow"
        every = 1.0
        collector = registry.collector("slow")

        async def sample(self) -> None:
            await asyncio.sleep(5)

    manager = busy_manager(registry)
    manager.add_source(Slow())

    async def use() -> None:
        async with manager:
            raise AssertionError("not reached")

    using = asyncio.create_task(use())
    await asyncio.sleep(0.5)
    using.cancel()
    await asyncio.sleep(10)
    assert using.cancelled()
    assert not manager.running


async def test_a_source_that_is_added_while_it_runs_is_sampled_at_once(
    registry: MetricsRegistry, clock: VirtualClock
) -> None:
    class Tank:
        name = "tank"
        every = 60.0
        collector = registry.collector("tank")

        def sample(self) -> None:
            self.collector.set_gauge("queue", 7)

    manager = busy_manager(registry)
    async with manager:
        await asyncio.sleep(5)
        await asyncio.to_thread(manager.add_source, Tank())
        await asyncio.sleep(2)
        assert sorted(a.id for a in manager.get_active_alerts()) == ["busy_app", "busy_tank"]


async def test_a_new_start_is_not_ready_before_it_has_judged(registry: MetricsRegistry) -> None:
    class Slow:
        name = "slow"
        every = 60.0
        collector = registry.collector("slow")

        async def sample(self) -> None:
            await asyncio.sleep(5)

    manager = busy_manager(registry)
    manager.add_source(Slow())
    for _ in range(2):
        manager.start()
        await asyncio.sleep(0.5)
        assert (manager.health().running, manager.health().ready) == (True, False)
        await asyncio.sleep(1)
        assert manager.health().ready
        await manager.stop()


def test_two_managers_on_two_loops_leave_each_other_alone() -> None:
    told: list[int] = []

    def work() -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            from kailash_monitor.testing import VirtualClock

            channel = RecordingChannel()
            async with busy_manager(MetricsRegistry(clock=VirtualClock(loop)), channel):
                await asyncio.sleep(60)
            told.append(len(channel.notices))

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [1, 1]


async def test_stop_from_another_thread(registry: MetricsRegistry) -> None:
    manager = busy_manager(registry)
    await manager.start()
    await asyncio.to_thread(manager.stop)
    await manager.stop()
    assert not manager.running


async def test_a_loop_that_closes_this_very_moment_is_no_error() -> None:
    loop = asyncio.new_event_loop()
    run = Run(loop)
    original = loop.call_soon_threadsafe

    def closing(*args: object, **kwargs: object) -> object:
        loop.close()
        return original(*args, **kwargs)  # type: ignore[arg-type]

    loop.call_soon_threadsafe = closing  # type: ignore[method-assign,assignment]  # the race itself, played out
    run.stop()
    assert run.over
    await run.wait_ended()


def _python(script: str) -> subprocess.CompletedProcess[str]:
    """Run a program in development mode, in which asyncio also tells of slow steps: how slow the machine is says nothing."""
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    told = [line for line in ended.stderr.splitlines(keepends=True) if not line.startswith("Executing <")]
    return subprocess.CompletedProcess(ended.args, ended.returncode, ended.stdout, "".join(told))


def test_a_loop_that_ends_without_stop_makes_no_noise() -> None:
    ended = _python("""
        import asyncio
        from kailash_monitor.alerts import AlertManager, AlertRule, LogNotificationChannel
        from kailash_monitor.metrics import MetricsRegistry
        async def main():
            registry = MetricsRegistry()
            registry.collector("app").set_gauge("queue", 9)
            manager = AlertManager(registry)
            manager.add_rule(AlertRule("busy", "d", "info", "queue", "> 5"))
            manager.add_notification_channel(LogNotificationChannel())
            await manager.start()
            await asyncio.sleep(0.1)
        asyncio.run(main())
    """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


_DROPPED = """
    import asyncio, gc, time
    from kailash_monitor.alerts import AlertManager, AlertRule, LogNotificationChannel, NotificationChannel
    from kailash_monitor.metrics import MetricsRegistry
    class Hanging(NotificationChannel):
        async def send_notification(self, alert, context): await asyncio.Event().wait()
    class HangingThread(NotificationChannel):
        def send_notification(self, alert, context):
            time.sleep(0.3)
            return True
    class Slow:
        every = 1.0
        def __init__(self, name): self.name, self.collector = name, registry.collector(name)
        def sample(self): time.sleep(0.2)
    registry = MetricsRegistry()
    registry.collector("app").set_gauge("queue", 9)
    manager = AlertManager(registry, stop_timeout=0)
    manager.add_rule(AlertRule("busy", "d", "info", "queue", "> 5"))
    for channel in (LogNotificationChannel(), Hanging(), HangingThread()):
        manager.add_notification_channel(channel)
    manager.add_source(Slow("first"))
    async def main():
        await manager.start()
        await asyncio.sleep(0.1)
        manager.add_source(Slow("second"))
        await asyncio.sleep(0.1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
"""
"""A program that drops its loop: messages and samples are under way, on the loop and in threads."""


_CLOSED = """
    loop.close()
    assert not manager.running
    time.sleep(0.4)  # the threads come back to a loop that is not there
"""


def test_a_loop_that_is_closed_with_its_tasks_pending_makes_no_noise() -> None:
    """asyncio's own task group fails on a closed loop, and mourns every task."""
    ended = _python(_DROPPED + _CLOSED)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_new_start_lets_go_of_what_a_closed_loop_left() -> None:
    ended = _python(
        _DROPPED
        + _CLOSED
        + """
    class Hears(NotificationChannel):
        heard = []
        async def send_notification(self, alert, context):
            self.heard.append(context["kind"])
            return True
    manager.add_notification_channel(Hears())
    async def again():
        async with manager:
            await asyncio.sleep(1)
            assert manager.running
            assert Hears.heard == ["firing"]
    asyncio.run(again())
    async def dropped():
        manager.start()
        await asyncio.sleep(1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(dropped())
    loop.close()
    registry.collector("app").set_gauge("queue", 0)
    async def last():
        async with manager:
            await asyncio.sleep(1)
            assert Hears.heard == ["firing", "resolved"]
    asyncio.run(last())
    from kailash_monitor.engine.run import _at_work
    assert not _at_work
    time.sleep(0.4)
    """
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_program_that_ends_with_its_loop_open_makes_no_noise() -> None:
    """Without Python's development mode, in which the loop itself complains that nobody closed it."""
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_DROPPED + "    time.sleep(0.4)")],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


async def test_a_manager_that_nobody_keeps_goes_on(registry: MetricsRegistry) -> None:
    channel = RecordingChannel()
    busy_manager(registry, channel).start()
    await asyncio.sleep(1)
    gc.collect()
    registry.collector("app").set_gauge("queue", 0)
    await asyncio.sleep(5)
    assert channel.told() == [("firing", "busy_app"), ("resolved", "busy_app")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_does_not_run_and_can_start_anew() -> None:
    ended = _python("""
        import asyncio, os, warnings
        from kailash_monitor.alerts import AlertManager
        from kailash_monitor.metrics import MetricsRegistry
        manager = AlertManager(MetricsRegistry())
        async def main():
            await manager.start()
            assert manager.running
            if (child := os.fork()) == 0:
                try:
                    assert not manager.running
                    manager.stop()
                finally:
                    asyncio._set_running_loop(None)
                async def again():
                    await manager.start()
                    assert manager.running
                    await manager.stop()
                asyncio.new_event_loop().run_until_complete(again())
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            await manager.stop()
        asyncio.run(main())
        print("well")
    """)
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "well", "")


@pytest.mark.real_time
async def test_a_stop_in_real_time_is_prompt() -> None:
    manager = busy_manager(MetricsRegistry())
    await manager.start()
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    await manager.stop()
    assert time.monotonic() - begun < 1
