"""People hear that the event loop is held up while it is, once, and hear that it is over."""

import asyncio
import logging
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kailash_monitor.alerts import (
    Alert,
    AlertManager,
    LogNotificationChannel,
    NotificationChannel,
    WebhookNotificationChannel,
)
from kailash_monitor.clock import SystemClock
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.metrics import MetricsRegistry

from newcomers import Newcomers  # isort: skip
from served import hook  # isort: skip

pytestmark = pytest.mark.real_time

HERE = Path(__file__).name

WARM = aiohttp
"""Imported by the webhook channel at its first message: that takes a while, and here the seconds are counted."""


class AheadClock(SystemClock):
    """The machine's clock, which a test may put ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        steady = self.now
        self.now = lambda: steady() + self.ahead  # type: ignore[assignment]


async def until(true: Callable[[], object], seconds: float = 8.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


async def hold_up(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251  # what nobody should do


async def hold_up_until(true: Callable[[], object], *, least: float = 1.0, most: float = 8.0) -> None:
    """Hold the loop up for `least` seconds, and on until it is so: as long as a loaded machine needs, `most` at most."""
    begun = time.monotonic()
    time.sleep(least)  # noqa: ASYNC251  # as above
    while not true() and time.monotonic() < begun + most:
        time.sleep(0.05)  # noqa: ASYNC251


def manager_of(*channels: NotificationChannel | Callable[..., object], **arguments: Any) -> AlertManager:
    manager = AlertManager(arguments.pop("registry", None) or MetricsRegistry(), stall_after="300ms", **arguments)
    for channel in channels:
        manager.add_notification_channel(channel)
    return manager


async def test_a_webhook_hears_of_a_stall_of_five_seconds_during_it_with_file_and_line() -> None:
    with hook() as heard:
        async with manager_of(WebhookNotificationChannel(heard.url)):
            await asyncio.sleep(0.1)
            await hold_up(5)
            ended = time.monotonic()
            at, body = heard.came[0], heard.got[0]
    assert at < ended - 4
    alert = body["alert"]
    assert (alert["rule_name"], alert["status"], alert["severity"]) == ("event_loop_stalled", "firing", "error")
    assert alert["id"] == "event_loop_stalled_monitor"
    assert re.search(rf"{HERE}:\d+ in hold_up: time\.sleep\(seconds\)", alert["description"])
    assert re.search(rf"{HERE}:\d+", alert["annotations"]["where"])
    assert 0.3 <= alert["value"] < 1


async def test_it_is_one_alert_whoever_tells_of_it() -> None:
    """The webhook hears it during the stall, the program's own coroutine after it, each once, and each hears the end."""
    clock, loops = AheadClock(), list[object]()
    told: list[tuple[str, str]] = []

    async def own(alert: Alert, context: Mapping[str, object]) -> None:
        loops.append(asyncio.get_running_loop())
        told.append((str(context["kind"]), alert.rule_name))

    with hook() as heard:
        manager = manager_of(WebhookNotificationChannel(heard.url), own, registry=MetricsRegistry(clock=clock))
        async with manager:
            await asyncio.sleep(0.1)
            await hold_up_until(heard.kinds)
            assert (heard.kinds(), told) == (["firing"], [])
            await until(lambda: told)
            await hold_up(0.6)
            await asyncio.sleep(0.3)
            assert (heard.kinds(), told) == (["firing"], [("firing", "event_loop_stalled")])
            assert [alert.id for alert in manager.get_active_alerts()] == ["event_loop_stalled_monitor"]
            for _ in range(3):  # longer steps would be time in which nobody judged
                clock.ahead += 25
                await asyncio.sleep(1.1)
            await until(lambda: len(told) == 2 and len(heard.got) == 2)
            assert (heard.kinds(), told[1]) == (["firing", "resolved"], ("resolved", "event_loop_stalled"))
            assert set(loops) == {asyncio.get_running_loop()}
            assert heard.got[1]["alert"]["peak"] >= 0.6


async def test_a_plain_function_tells_during_a_stall_too() -> None:
    told: list[str] = []

    def pager(alert: Alert, context: Mapping[str, object]) -> None:
        told.append(alert.rule_name)

    async with manager_of(pager):
        await asyncio.sleep(0.1)
        await hold_up_until(lambda: told)
        assert told == ["event_loop_stalled"]


async def test_the_log_says_what_holds_the_loop_up(caplog: pytest.LogCaptureFixture) -> None:
    async with manager_of(LogNotificationChannel()):
        await asyncio.sleep(0.1)
        await hold_up(0.8)
        await until(lambda: "comes round again" in caplog.text)
        await until(lambda: "FIRING [error]" in caplog.text)
    (error,) = [record for record in caplog.records if "has been held up" in record.getMessage()]
    assert error.levelno == logging.ERROR
    assert re.search(rf"{HERE}:\d+ in hold_up: time\.sleep\(seconds\)", error.getMessage())


async def test_a_log_handler_that_hangs_keeps_nobody_from_hearing_of_it() -> None:
    class Stuck(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(1.5)

    logger, stuck, before = logging.getLogger("kailash_monitor.engine"), Stuck(), Newcomers()
    with hook() as heard:
        async with manager_of(WebhookNotificationChannel(heard.url)):
            await asyncio.sleep(0.1)
            logger.addHandler(stuck)
            try:
                logger.warning("anything")
                during = heard.kinds()
            finally:
                logger.removeHandler(stuck)
            assert during == ["firing"]
    await until(lambda: not before.ours)  # its own record was held up as well


async def test_who_holds_the_managers_own_lock_holds_up_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    with hook() as heard:
        manager = manager_of(WebhookNotificationChannel(heard.url))
        async with manager:
            await asyncio.sleep(0.1)
            with manager.core.lock:
                await hold_up(0.9)
            await asyncio.sleep(0.1)
            assert "has been held up" in caplog.text
            await hold_up_until(heard.kinds)
            assert heard.kinds() == ["firing"]


async def test_a_channel_that_hangs_does_not_keep_it_from_stopping() -> None:
    before = Newcomers()
    with hook(answers=False) as heard:
        manager = manager_of(WebhookNotificationChannel(heard.url))
        await manager.start()
        await asyncio.sleep(0.1)
        await hold_up_until(lambda: heard.got)
        assert heard.got
        begun = time.monotonic()
        await manager.stop(drain=0.1)
        assert time.monotonic() - begun < 2.0
        await until(lambda: not before.ours)


async def test_a_stall_leaves_no_thread_behind() -> None:
    before = Newcomers()
    with hook() as heard:
        async with manager_of(WebhookNotificationChannel(heard.url)):
            await asyncio.sleep(0.1)
            await hold_up(0.7)
            await until(lambda: heard.got)
    await until(lambda: not before.ours)


async def test_how_long_it_was_held_up_is_measured() -> None:
    registry = MetricsRegistry()
    async with manager_of(registry=registry):
        await asyncio.sleep(0.1)
        await hold_up(0.7)
        stalls = registry.self_metrics.get_metric("loop_stall_duration")
        assert stalls is not None
        await until(lambda: stalls.get_increase("1m") == 1)
        assert 0.5 < (stalls.get_max("1m") or 0) < 2


async def test_a_plain_function_that_gives_a_coroutine_has_it_awaited_on_the_programs_loop() -> None:
    loops: list[object] = []

    async def real() -> bool:
        loops.append(asyncio.get_running_loop())
        return True

    class Pager(NotificationChannel):
        def send_notification(self, alert: Alert, context: Mapping[str, object]) -> Any:  # type: ignore[override]
            return real()

    manager = manager_of(Pager())
    async with manager:
        await asyncio.sleep(0.1)
        await hold_up(0.9)
        assert loops == []
        await until(lambda: manager.deliveries())
    assert loops == [asyncio.get_running_loop()]
    assert [one.outcome for one in manager.deliveries()] == ["delivered"]


async def test_a_channel_made_from_one_of_ours_is_not_used_elsewhere_unless_it_says_so() -> None:
    loops: list[object] = []

    class Mine(WebhookNotificationChannel):
        async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
            loops.append(asyncio.get_running_loop())
            return True

        deliver = None  # type: ignore[assignment]  # it answers True and False

    async with manager_of(Mine("http://127.0.0.1:9/hook")):
        await asyncio.sleep(0.1)
        await hold_up(0.9)
        assert loops == []


async def test_a_failing_channel_and_a_log_that_hangs_hold_up_no_other() -> None:
    class Stuck(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(1.5)

    heard: list[str] = []

    def failing(alert: Alert, context: Mapping[str, object]) -> bool:
        return False

    def good(alert: Alert, context: Mapping[str, object]) -> None:
        heard.append(alert.rule_name)

    logger, stuck, before = logging.getLogger("kailash_monitor.engine"), Stuck(), Newcomers()
    manager = manager_of(failing, good)
    async with manager:
        await asyncio.sleep(0.1)
        logger.addHandler(stuck)
        try:
            logger.warning("anything")
            assert heard == ["event_loop_stalled"]
            assert manager.core.lock.acquire(timeout=0.2)
            manager.core.lock.release()
        finally:
            logger.removeHandler(stuck)
    await until(lambda: not before.ours)


async def test_a_stall_goes_on_though_telling_of_it_took_long(caplog: pytest.LogCaptureFixture) -> None:
    registry = MetricsRegistry()
    manager = manager_of(registry=registry)
    async with manager:
        await asyncio.sleep(0.1)
        with manager.core.lock:
            await hold_up(1.6)
        await until(lambda: "comes round again" in caplog.text)
        assert caplog.text.count("comes round again") == 1
        stalls = registry.self_metrics.get_metric("loop_stall_duration")
        assert stalls is not None
        assert (stalls.get_max("1m") or 0) > 1.2


def test_a_loop_that_nobody_runs_is_no_stall() -> None:
    told: list[str] = []
    manager = manager_of(lambda alert, _: told.append(alert.rule_name))
    before = Newcomers()

    async def begin() -> None:
        manager.start()
        await asyncio.sleep(0.1)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    time.sleep(0.8)
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    time.sleep(0.8)
    assert told == []
    assert [name for name in before.ours if "watchdog" in name or "teller" in name] == []


PROGRAM = """
    import asyncio, sys, time
    from kailash_monitor.alerts import AlertManager, WebhookNotificationChannel
    from kailash_monitor.metrics import MetricsRegistry

    async def main(url, store, seconds):
        manager = AlertManager(MetricsRegistry(), store=store, stall_after="300ms")
        manager.add_notification_channel(WebhookNotificationChannel(url))
        async with manager:
            await asyncio.sleep(0.1)
            time.sleep(seconds)
            await asyncio.sleep(30)

    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


def test_a_program_that_is_killed_in_a_stall_is_told_to_be_over_by_the_next(tmp_path: Path) -> None:
    """What was told while nothing else could run was in the store before; where its outcome was not, it is told again."""

    def life(seconds: float) -> "subprocess.Popen[bytes]":
        arguments = [heard.url, str(tmp_path / "alerts.db"), str(seconds)]
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments])

    def wait_for(kind: str) -> None:
        deadline = time.monotonic() + 15
        while kind not in heard.kinds():
            assert time.monotonic() < deadline, heard.kinds()
            time.sleep(0.02)

    with hook() as heard:
        for kind, seconds in (("firing", 60.0), ("resolved", 0.0)):
            program = life(seconds)
            try:
                wait_for(kind)
            finally:
                program.send_signal(signal.SIGKILL)
                program.wait()
    told = {body["context"]["message_id"]: body["context"]["kind"] for body in heard.got}
    assert list(told.values()) == ["firing", "resolved"]


@pytest.mark.parametrize("wrong", ["10ms", -1, "soon", 0])
def test_what_is_no_stall_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError) as refused:
        AlertManager(MetricsRegistry(), stall_after=wrong)  # type: ignore[arg-type]
    assert refused.value.field == "stall_after"
