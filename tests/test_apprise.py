"""The Apprise channel, with Apprise's own client against real HTTP servers."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import pytest
from aiohttp import web

from kailash_monitor.alerts import Alert, AlertSeverity
from kailash_monitor.channels.apprise import REMEMBERED, AppriseNotificationChannel, payload
from kailash_monitor.delivery.outcome import Delivered, Retry
from kailash_monitor.errors import ChannelError, MissingExtra
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.testing import EPOCH

pytestmark = [
    pytest.mark.real_time,  # Apprise's client works in a thread
    pytest.mark.skipif(find_spec("apprise") is None, reason="apprise, from the extra of that name, is not installed"),
]

ALERT = Alert(
    "busy_app",
    "busy",
    AlertSeverity.ERROR,
    "Queue <long>",
    "Too much waits",
    value=9.5,
    threshold=5.0,
    labels={"team": "x"},
    status=AlertStatus.FIRING,
)
NOTICE = Notice("message-1", NoticeKind.FIRING, ALERT, sent_at=EPOCH)
SECRET = "s3cret"


@dataclass
class Service:
    """A real HTTP server that keeps what it is sent, and answers as it is told."""

    answer: Callable[[], Awaitable[int]]
    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append(json.loads(await request.read()))
        return web.Response(status=await self.answer())


@asynccontextmanager
async def service(answer: Callable[[], Awaitable[int]]) -> AsyncIterator[Service]:
    it = Service(answer)
    app = web.Application()
    app.router.add_post("/{path:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"json://{SECRET}:{SECRET}@127.0.0.1:{runner.addresses[0][1]}/{SECRET}?+X-Key={SECRET}"
    try:
        yield it
    finally:
        await runner.cleanup()


def answers(*statuses: int) -> Callable[[], Awaitable[int]]:
    """Answer with these, the last of them from then on."""
    left = list(statuses)

    async def answer() -> int:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


async def channel_to(*services: Service, timeout: str = "10s") -> AppriseNotificationChannel:
    """Make a channel beside the loop: Apprise takes a second to be imported."""
    return await asyncio.to_thread(AppriseNotificationChannel, [each.url for each in services], timeout=timeout)


# -- what it sends


@pytest.mark.parametrize(
    ("severity", "kind", "word"),
    [
        ("info", NoticeKind.FIRING, "info"),
        ("warning", NoticeKind.FIRING, "warning"),
        ("error", NoticeKind.REPEAT, "failure"),
        ("critical", NoticeKind.FIRING, "failure"),
        ("critical", NoticeKind.RESOLVED, "success"),
    ],
)
def test_it_tells_good_news_from_bad(severity: str, kind: NoticeKind, word: str) -> None:
    alert = replace(ALERT, severity=AlertSeverity(severity))
    assert payload(replace(NOTICE, kind=kind, alert=alert))["notify_type"] == word


def test_the_title_is_not_told_twice() -> None:
    told = payload(NOTICE)
    assert told["title"] == "FIRING [error] Queue <long>"
    assert told["title"] not in told["body"]
    assert "Too much waits" in told["body"]


async def test_a_service_gets_title_and_text() -> None:
    async with service(answers(200)) as a:
        assert await (await channel_to(a)).deliver(NOTICE) == Delivered()
    (got,) = a.got
    assert (got["title"], got["type"]) == ("FIRING [error] Queue <long>", "failure")
    assert "Too much waits" in got["message"]


async def test_it_works_alone_as_in_the_guide() -> None:
    async with service(answers(200)) as a:
        assert await (await channel_to(a)).send_notification(ALERT, {}) is True
    assert a.got[0]["title"].startswith("TEST")


# -- what becomes of it


async def test_what_is_not_taken_is_tried_again_and_may_have_been_heard() -> None:
    async with service(answers(500)) as a:
        assert await (await channel_to(a)).deliver(NOTICE) == Retry("json: not taken", in_doubt=True)


async def test_only_the_services_that_did_not_take_it_are_tried_again() -> None:
    async with service(answers(200)) as a, service(answers(500, 200)) as b:
        channel = await channel_to(a, b)
        outcomes = [await channel.deliver(NOTICE) for _ in range(2)]
        assert outcomes == [Retry("json: not taken", in_doubt=True), Delivered()]
        assert (len(a.got), len(b.got)) == (1, 2)
        await channel.deliver(NOTICE)  # it was delivered, and is forgotten
        assert (len(a.got), len(b.got)) == (2, 3)


async def test_what_it_remembers_is_bounded() -> None:
    channel = await asyncio.to_thread(AppriseNotificationChannel, ["json://127.0.0.1:1", "json://127.0.0.1:2"])
    took = frozenset(channel._services[:1])
    for n in range(2 * REMEMBERED):
        channel._remember(f"message-{n}", took)
    assert len(channel._partly) == REMEMBERED
    assert f"message-{2 * REMEMBERED - 1}" in channel._partly


async def test_a_service_that_hangs_is_left_alone_at_its_deadline() -> None:
    go_on = asyncio.Event()

    async def hangs() -> int:
        await go_on.wait()
        return 200

    async with service(hangs) as a:
        channel = await channel_to(a, timeout="200ms")
        assert await channel.deliver(NOTICE) == Retry("json: no answer within 0.2 s", in_doubt=True)
        outcome = await channel.deliver(replace(NOTICE, id="message-2"))
        assert isinstance(outcome, Retry)  # the call before it still hangs
        assert len(a.got) == 1
        assert all(thread.daemon for thread in threads())
        go_on.set()
        await gone()
        assert len(a.got) == 1  # what was given up is not sent after all


async def test_calls_are_made_one_at_a_time() -> None:
    under_way: list[int] = []

    async def count() -> int:
        under_way.append(1)
        assert len(under_way) == 1
        await asyncio.sleep(0.05)
        under_way.pop()
        return 200

    async with service(count) as a:
        channel = await channel_to(a)
        outcomes = await asyncio.gather(*(channel.deliver(replace(NOTICE, id=f"{n}")) for n in range(3)))
    assert outcomes == [Delivered()] * 3


async def test_a_cancelled_call_returns_at_once() -> None:
    go_on = asyncio.Event()

    async def hangs() -> int:
        await go_on.wait()
        return 200

    async with service(hangs) as a:
        sending = asyncio.create_task((await channel_to(a)).deliver(NOTICE))
        while not a.got:
            await asyncio.sleep(0.01)
        sending.cancel()
        loop = asyncio.get_running_loop()
        since = loop.time()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert loop.time() - since < 0.1
        go_on.set()
        await gone()


async def test_a_service_that_raises_is_given_up_after_three_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = await asyncio.to_thread(AppriseNotificationChannel, "json://127.0.0.1:1")

    class Broken:
        def notify(self, **given: str) -> bool:
            raise ValueError(SECRET)

    monkeypatch.setattr(channel._services[0], "_apprise", Broken())
    assert await channel.deliver(NOTICE) == Retry("json: raised ValueError", in_doubt=True, attempts=3)


def test_a_program_ends_while_a_service_hangs() -> None:
    """Apprise's own pool would wait for it."""
    program = """
import asyncio, socket
from kailash_monitor.alerts import Alert, AlertSeverity
from kailash_monitor.channels.apprise import AppriseNotificationChannel
with socket.create_server(("127.0.0.1", 0)) as silent:
    url = f"json://127.0.0.1:{silent.getsockname()[1]}/?rto=60"
    channel = AppriseNotificationChannel(url, timeout="100ms")
    print(asyncio.run(channel.send_notification(Alert("a", "a", AlertSeverity.INFO, "A", "B"), {})))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kailash-monitor apprise"]


async def gone() -> None:
    """Wait until no call is under way."""
    async with asyncio.timeout(10):
        while threads():
            await asyncio.sleep(0.01)


# -- secrets


async def test_no_secret_shows(caplog: pytest.LogCaptureFixture) -> None:
    """Apprise writes whole addresses at the level DEBUG, and so does its HTTP client."""
    caplog.set_level(logging.DEBUG)
    async with service(answers(500)) as a:
        channel = await channel_to(a)
        outcome = await channel.deliver(NOTICE)
        logging.getLogger("apprise").debug("of another's")
    assert "error=500" in caplog.text
    assert "of another's" in caplog.text
    for text in (repr(channel), repr(outcome), caplog.text, repr(channel._services)):
        assert SECRET not in text
    assert repr(channel) == "<AppriseNotificationChannel json>"


# -- what it is made of


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ([], "no addresses; use addresses of services"),
        (None, "no addresses"),
        ("s3cret", "address 1 of 1, which Apprise does not know"),
        (["json://localhost", "nothing://s3cret/"], "address 2 of 2, which Apprise does not know"),
        (["slack://s3cret"], "address 1 of 1, which Apprise does not know"),
        ([5], "address 1 of 1, which Apprise does not know"),
    ],
)
def test_an_address_that_apprise_does_not_know_is_told_at_once(
    urls: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ChannelError, match=f"apprise channel: {message}") as refused:
        AppriseNotificationChannel(urls)
    assert refused.value.field == "urls"
    assert SECRET not in str(refused.value) + caplog.text


def test_a_deadline_is_a_duration() -> None:
    with pytest.raises(ChannelError, match="apprise channel: the timeout 'soon'"):
        AppriseNotificationChannel("json://localhost", timeout="soon")


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(MissingExtra, match=r"the apprise channel needs apprise: pip install 'kailash-monitor\[apprise\]'"):
        AppriseNotificationChannel("json://localhost")
