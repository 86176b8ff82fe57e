"""Channels: what they send, and what an answer means; the webhook against real servers, good and bad."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from aiohttp import web

from kailash_monitor import alerts
from kailash_monitor.alerts import (
    Alert,
    AlertManager,
    AlertRule,
    AlertSeverity,
    LogNotificationChannel,
    Route,
    WebhookNotificationChannel,
)
from kailash_monitor.channels import channel_name, from_mapping
from kailash_monitor.channels.egress import Egress
from kailash_monitor.channels.mapping import CHANNEL_TYPES
from kailash_monitor.channels.text import SHOWN, headline, one_line
from kailash_monitor.channels.webhook import payload
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected, Retry
from kailash_monitor.errors import ChannelError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.testing import EPOCH, RecordingChannel
from kailash_monitor.testing.simulator import Simulator

ALERT = Alert(
    "busy_app",
    "busy",
    AlertSeverity.ERROR,
    "Queue long",
    "Too much waits",
    value=9.5,
    threshold=5.0,
    labels={"team": "x"},
)
NOTICE = Notice("message-1", NoticeKind.FIRING, ALERT, sent_at=EPOCH)


# -- texts


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (NoticeKind.FIRING, "FIRING [error] Queue long (is 9.5, limit 5): Too much waits {team=x}"),
        (NoticeKind.TEST, "TEST [error] Queue long (is 9.5, limit 5): Too much waits {team=x}"),
        (NoticeKind.RESOLVED, "RESOLVED [error] Queue long (now 9.5, limit 5): Too much waits {team=x}"),
    ],
)
def test_a_notice_reads_well_in_one_line(kind: NoticeKind, text: str) -> None:
    assert headline(Notice("id", kind, ALERT, sent_at=0.0)) == text


async def test_texts_tell_since_when_and_for_how_long(registry: MetricsRegistry) -> None:
    channel = RecordingChannel()
    manager = AlertManager(registry)
    manager.add_notification_channel(channel)
    manager.add_rule(
        AlertRule(
            "busy",
            "",
            "error",
            "queue",
            "> 5",
            evaluation_interval=1,
            notification_interval=60,
            annotations={"runbook": "http://r"},
        )
    )
    async with manager:
        registry.collector("app").set_gauge("queue", 9)
        await asyncio.sleep(90)
        registry.collector("app").set_gauge("queue", 2)
        await asyncio.sleep(5)
    assert [headline(notice) for notice in channel.notices] == [
        "FIRING [error] Busy (is 9, limit 5) http://r",
        "STILL FIRING [error] Busy (is 9, limit 5, since 2023-11-14 22:13:20 UTC) http://r",
        "RESOLVED [error] Busy (now 2, peak 9, limit 5, lasted 1m30s) http://r",
    ]


def firing(name: str, severity: AlertSeverity, status: AlertStatus = AlertStatus.FIRING) -> Alert:
    return Alert(name, name, severity, name.capitalize(), "d", status=status, value=9.0, peak=10.0, threshold=5.0)


OVER = firing("c", AlertSeverity.CRITICAL, AlertStatus.RESOLVED)
SUMMARY = Alert("g", "g", AlertSeverity.ERROR, "3 alerts: 2 firing, 1 resolved", "A; B; C", status=AlertStatus.FIRING)
DIGEST = Notice(
    "id",
    NoticeKind.DIGEST,
    SUMMARY,
    sent_at=EPOCH,
    items=(
        Item(NoticeKind.RESOLVED, OVER),
        Item(NoticeKind.REPEAT, firing("a", AlertSeverity.INFO)),
        Item(NoticeKind.FIRING, firing("b", AlertSeverity.ERROR)),
    ),
)


@pytest.mark.parametrize(
    ("kind", "extra", "status", "text"),
    [
        ("missed", {"missed": 50, "first_fired_at": "2026-01-01T00:00:00+00:00", "last_resolved_at": "2026-01-02T01:00:00+00:00"}, "resolved",
         "MISSED 50 times between 2026-01-01 00:00:00 and 2026-01-02 01:00:00 UTC [error] A: d"),
        ("missed", {"missed": 1, "first_fired_at": "2026-01-01T00:00:00+00:00", "last_resolved_at": "2026-01-01T01:00:00+00:00"}, "resolved",
         "MISSED once between 2026-01-01 00:00:00 and 2026-01-01 01:00:00 UTC [error] A: d"),
        ("missed", {}, "resolved", "MISSED [error] A: d"),
        ("flapping", {"reason": "flapping"}, "firing", "FLAPPING [error] A (is 9, limit 5, goes on and off; told again when stable): d"),
        ("stable", {"reason": "stable"}, "firing", "STABLE, FIRING [error] A (is 9, limit 5): d"),
        ("stable", {"reason": "stable"}, "resolved", "STABLE, RESOLVED [error] A (now 9, peak 10, limit 5): d"),
        ("firing", {"reason": "raised"}, "firing", "FIRING [error] A (is 9, limit 5, graver than before): d"),
        ("firing", {"reason": "escalated"}, "firing", "FIRING [error] A (is 9, limit 5, nobody has acknowledged it): d"),
        ("resolved", {"reason": "rule_removed"}, "resolved", "RESOLVED [error] A (now 9, peak 10, limit 5, its rule was removed): d"),
        ("resolved", {"reason": "rerouted"}, "resolved", "RESOLVED [error] A (now 9, peak 10, limit 5, fires still, told elsewhere from now on): d"),
    ],
)  # fmt: skip
def test_every_kind_of_notice_has_its_words(kind: str, extra: dict[str, object], status: str, text: str) -> None:
    alert = firing("a", AlertSeverity.ERROR, AlertStatus(status))
    assert headline(Notice("id", NoticeKind(kind), alert, sent_at=EPOCH, extra=extra)) == text


def test_a_digest_names_its_alerts_the_most_urgent_first() -> None:
    assert headline(DIGEST) == (
        "FIRING [error] 3 alerts: 2 firing, 1 resolved: FIRING [error] B (is 9, limit 5); "
        "STILL FIRING [info] A (is 9, limit 5); RESOLVED [critical] C (now 9, peak 10, limit 5)"
    )


def test_a_digest_of_a_storm_stays_a_line_that_can_be_read() -> None:
    items = tuple(Item(NoticeKind.FIRING, firing(f"a{n}", AlertSeverity.INFO)) for n in range(1000))
    text = headline(replace(DIGEST, items=(*items, Item(NoticeKind.FIRING, firing("b", AlertSeverity.CRITICAL)))))
    assert text.startswith(
        "FIRING [error] 3 alerts: 2 firing, 1 resolved: FIRING [critical] B (is 9, limit 5); FIRING [info] A0"
    )
    assert text.endswith(f"FIRING [info] A18 (is 9, limit 5); and {1001 - SHOWN} more")


def test_texts_tell_the_limit_of_the_level_that_is_breached() -> None:
    levels = {"warning": 80, "critical": 95}
    sim = Simulator(AlertRule("disk", "", None, "use", ">", levels=levels, on_write=True))
    for value in (79, 81, 96, 70):
        sim.set("use", value)
        sim.advance("10s")
    assert [headline(notice) for notice in sim.notices()] == [
        "FIRING [warning] Disk (is 81, limit 80)",
        "FIRING [critical] Disk (is 96, limit 95, graver than before)",
        "RESOLVED [critical] Disk (now 70, peak 96, limit 95, lasted 20s)",
    ]


def test_texts_of_alerts_that_were_missed_and_of_those_that_flap() -> None:
    def refuse(notice: Notice) -> Outcome | None:
        return Retry("down") if sim.clock.time < 100 else None

    channel = RecordingChannel("ops", refuse)
    rule = AlertRule("busy", "", "error", "queue", "> 5", on_write=True, flapping=(4, "1m"))
    sim: Simulator = Simulator(rule, channels=[channel])
    for n in range(2):
        sim.set("queue", 9 * (1 - n % 2))
        sim.advance("1s")
    sim.advance("5m")
    for n in range(8):
        sim.set("queue", 9 * (1 - n % 2))
        sim.advance("1s")
    sim.advance("5m")
    assert [headline(notice) for notice in channel.notices] == [
        "MISSED once between 2023-11-14 22:13:20 and 2023-11-14 22:13:21 UTC [error] Busy",
        "FIRING [error] Busy (is 9, limit 5)",
        "RESOLVED [error] Busy (now 0, peak 9, limit 5, lasted 1s)",
        "FIRING [error] Busy (is 9, limit 5)",
        "FLAPPING [error] Busy (is 0, limit 5, goes on and off; told again when stable)",
        "STABLE, RESOLVED [error] Busy (now 0, peak 9, limit 5, lasted 1s)",
    ]


def test_a_webhook_hands_on_every_alert_of_a_digest() -> None:
    sim = Simulator(
        AlertRule("busy", "d", "error", "queue", "> 5", group_by=["host"], on_write=True),
        routes=Route(group_by=["alertname"], wait="5s"),
    )
    for host in ("a", "b"):
        sim.set("queue", 9, {"host": host})
    sim.advance("1m")
    (notice,) = sim.notices()
    document = json.loads(json.dumps(payload(notice)))
    assert (document["context"]["kind"], document["context"]["firing"]) == ("digest", 2)
    assert [(item["kind"], item["alert"]["labels"]["host"]) for item in document["context"]["items"]] == [
        ("firing", "a"), ("firing", "b"),
    ]  # fmt: skip
    assert headline(notice) == (
        "FIRING [error] 2 alerts: 2 firing: FIRING [error] Busy (a) (is 9, limit 5); FIRING [error] Busy (b) (is 9, limit 5)"
        " {alertname=busy}"
    )


HOSTILE = "/x\n2026-11-24 21:00:00 INFO RESOLVED [error] all fine \x1b[2J\x07\u2028\u202e\x85\ud800é…"


def test_a_text_is_one_line_and_commands_no_terminal() -> None:
    """A label value can be anything that a stranger sent."""
    alert = replace(ALERT, title=HOSTILE, description=HOSTILE, labels={"path": HOSTILE}, annotations={"runbook": HOSTILE})
    text = headline(Notice("id", NoticeKind.FIRING, alert, sent_at=0.0))
    assert text.splitlines() == [text]
    assert all(character.isprintable() for character in text)
    text.encode()
    assert (
        text.count("/x\\n2026-11-24 21:00:00 INFO RESOLVED [error] all fine \\x1b[2J\\x07\\u2028\\u202e\\x85\\ud800é…") == 4
    )


def test_a_digest_is_one_line_as_well() -> None:
    item = Item(NoticeKind.FIRING, replace(ALERT, title=HOSTILE))
    text = headline(replace(DIGEST, items=(item, item)))
    assert text.splitlines() == [text]
    assert all(character.isprintable() for character in text)


def test_ordinary_text_is_left_as_it_is() -> None:
    assert one_line("Übung – 日本 👩‍🚒 a\\nb") == "Übung – 日本 👩‍🚒 a\\nb"


# -- the log


@pytest.mark.parametrize(
    ("level", "kind", "logged"),
    [
        (None, NoticeKind.FIRING, "ERROR"),
        (None, NoticeKind.RESOLVED, "INFO"),
        ("critical", NoticeKind.RESOLVED, "CRITICAL"),
    ],
)
async def test_the_log_channel_writes_a_record(
    level: str | None, kind: NoticeKind, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = LogNotificationChannel(level)
    assert await channel.send_notification(ALERT, {"kind": kind.value})
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("kailash_monitor.alerts", logged)
    assert record.alert_id == "busy_app"  # type: ignore[attr-defined]
    assert record.labels == {"team": "x"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "status", "logged"),
    [
        (NoticeKind.DIGEST, AlertStatus.FIRING, "ERROR"),
        (NoticeKind.DIGEST, AlertStatus.RESOLVED, "INFO"),
        (NoticeKind.STABLE, AlertStatus.FIRING, "ERROR"),
        (NoticeKind.STABLE, AlertStatus.RESOLVED, "INFO"),
        (NoticeKind.MISSED, AlertStatus.RESOLVED, "ERROR"),
        (NoticeKind.FLAPPING, AlertStatus.RESOLVED, "ERROR"),
    ],
)
async def test_what_is_over_is_logged_calmly(
    kind: NoticeKind, status: AlertStatus, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await LogNotificationChannel().deliver(Notice("id", kind, replace(ALERT, status=status), sent_at=EPOCH))
    assert [record.levelname for record in caplog.records] == [logged]


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(ChannelError, match="log channel: the level 'loud'; use one of .*ERROR"):
        LogNotificationChannel("loud")
    assert repr(LogNotificationChannel()) == "<LogNotificationChannel by severity>"
    assert repr(LogNotificationChannel("ERROR")) == "<LogNotificationChannel ERROR>"


# -- the webhook


@dataclass
class Receiver:
    """A real HTTP server that keeps what it is sent, and answers as it is told."""

    answer: Callable[[int], Awaitable[web.StreamResponse]]
    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return await self.answer(len(self.got))


@asynccontextmanager
async def receiver(answer: Callable[[int], Awaitable[web.StreamResponse]]) -> AsyncIterator[Receiver]:
    it = Receiver(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?token=s3cret"
    try:
        yield it
    finally:
        await runner.cleanup()


async def ok(n: int) -> web.StreamResponse:
    return web.Response()


async def test_a_webhook_posts_the_documented_json() -> None:
    async with receiver(ok) as server:
        channel = WebhookNotificationChannel(server.url, headers={"Authorization": "Bearer s3cret"})
        assert await channel.deliver(NOTICE) == Delivered()
    ((headers, body),) = server.got
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "message-1"
    assert json.loads(body) == {
        "alert": {
            "id": "busy_app", "rule_name": "busy", "severity": "error", "status": "pending", "title": "Queue long",
            "description": "Too much waits", "labels": {"team": "x"}, "annotations": {}, "incident": 1, "created_at": None,
            "fired_at": None, "resolved_at": None, "value": 9.5, "peak": None, "threshold": 5.0,
        },
        "context": {"kind": "firing", "message_id": "message-1", "sent_at": "2023-11-14T22:13:20+00:00"},
    }  # fmt: skip


async def test_a_webhook_works_alone_as_in_the_guide() -> None:
    async with receiver(ok) as server:
        assert await WebhookNotificationChannel(server.url).send_notification(ALERT, {}) is True
        assert json.loads(server.got[0][1])["context"]["kind"] == "test"


async def test_a_server_that_fails_twice_gets_the_alert_once(registry: MetricsRegistry) -> None:
    async def fail_twice(n: int) -> web.StreamResponse:
        return web.Response(status=500 if n <= 2 else 200)

    async with receiver(fail_twice) as server:
        manager = AlertManager(registry)
        manager.add_notification_channel(WebhookNotificationChannel(server.url))
        manager.add_rule(AlertRule("busy", "d", "error", "queue", "> 5", evaluation_interval=1))
        registry.collector("app").set_gauge("queue", 9)
        async with manager:
            await asyncio.sleep(60)
        assert [d.outcome for d in manager.deliveries()] == ["retry", "retry", "delivered"]
    assert len({headers["webhook-id"] for headers, _ in server.got}) == 1
    assert len(server.got) == 3


async def test_a_server_that_answers_late_delays_nobody_else(registry: MetricsRegistry) -> None:
    async def late(n: int) -> web.StreamResponse:
        await asyncio.sleep(20)
        return web.Response()

    async with receiver(late) as server:
        manager, quick = AlertManager(registry), RecordingChannel()
        manager.add_notification_channel(WebhookNotificationChannel(server.url))
        manager.add_notification_channel(quick)
        for n in range(5):
            manager.add_rule(AlertRule(f"busy{n}", "d", "error", "queue", "> 5", evaluation_interval=1))
        registry.collector("app").set_gauge("queue", 9)
        async with manager:
            await asyncio.sleep(1)
            assert len(quick.notices) == 5
            await asyncio.sleep(30)
            assert {status.evaluations for status in manager.rule_status()} <= {31, 32}
            assert {status.late for status in manager.rule_status()} == {0}
        assert {d.why for d in manager.deliveries() if d.channel == "webhook"} == {"no answer within 10 s"}


async def misbehave_redirect(n: int) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/elsewhere"})


async def misbehave_endless(n: int) -> web.StreamResponse:
    return web.Response(body=b"x" * 1_000_000)


async def test_redirects_are_not_followed() -> None:
    async with receiver(misbehave_redirect) as server:
        assert await WebhookNotificationChannel(server.url).deliver(NOTICE) == Rejected("HTTP 302")
        assert len(server.got) == 1


async def test_a_long_answer_is_not_read_to_its_end() -> None:
    async with receiver(misbehave_endless) as server:
        assert await WebhookNotificationChannel(server.url).deliver(NOTICE) == Delivered()


@asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_garbage_and_a_lost_connection_leave_a_doubt() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"what?\r\n\r\n")

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)

    for talk in (garbage, hang_up):
        async with raw_server(talk) as url:
            outcome = await WebhookNotificationChannel(url).deliver(NOTICE)
        assert isinstance(outcome, Retry)
        assert outcome.in_doubt
        assert outcome.why.startswith("connection lost: ")


async def test_no_connection_is_certain_not_to_have_been_heard() -> None:
    async with raw_server(lambda reader, writer: asyncio.sleep(0)) as url:
        pass
    outcome = await WebhookNotificationChannel(url).deliver(NOTICE)
    assert outcome == Retry("no connection: Connection refused")


async def test_a_slow_answer_is_given_up_in_doubt() -> None:
    async def never(n: int) -> web.StreamResponse:
        await asyncio.sleep(1000)
        return web.Response()

    async with receiver(never) as server:
        assert await WebhookNotificationChannel(server.url).deliver(NOTICE) == Retry("no answer within 10 s", in_doubt=True)


async def test_a_cancelled_upload_returns_at_once() -> None:
    async def never(n: int) -> web.StreamResponse:
        await asyncio.sleep(1000)
        return web.Response()

    async with receiver(never) as server:
        sending = asyncio.create_task(WebhookNotificationChannel(server.url).deliver(NOTICE))
        await asyncio.sleep(1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert asyncio.get_running_loop().time() == pytest.approx(1)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x/y",
        "nota url",
        "http://",
        "http://[",
        "https:///path",
        "http://a b/",
        "http://..:80/",
        f"http://{'a' * 64}.x/",
    ],
)
def test_an_address_that_is_no_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ChannelError, match="webhook channel: an address that is no URL; use http://… or https://…"):
        WebhookNotificationChannel(url)


async def test_an_address_that_the_client_refuses_is_rejected() -> None:
    assert await WebhookNotificationChannel("http://1.2.3.4.5/").deliver(NOTICE) == Rejected("the address is not a URL")


@pytest.mark.parametrize("port", ["port", "0", "65536", "99999999999"])
def test_a_port_that_cannot_be_is_told_at_once(port: str) -> None:
    with pytest.raises(ChannelError, match="an address with an impossible port; use a port from 1 to 65535"):
        WebhookNotificationChannel(f"http://host:{port}/")


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "a\n"])
def test_a_header_name_is_a_token(name: str) -> None:
    with pytest.raises(ChannelError, match="the header name .*; letters, digits and hyphens, no space"):
        WebhookNotificationChannel("http://x/", {name: "value"})


def test_a_header_cannot_smuggle_another() -> None:
    with pytest.raises(ChannelError, match="the value of the header 'X'; a text on one line"):
        WebhookNotificationChannel("http://x/", {"X": "a\r\nY: b"})


def test_no_secret_shows() -> None:
    channel = WebhookNotificationChannel("https://hooks.example.com/T0/s3cret?key=s3cret", {"Authorization": "s3cret"})
    assert repr(channel) == "<WebhookNotificationChannel hooks.example.com>"


# -- from mappings


MAPPINGS: dict[str, dict[str, object]] = {
    "log": {"level": "ERROR"},
    "webhook": {"webhook_url": "http://x/", "headers": {"a": "b"}, "timeout": timedelta(seconds=3)},
    "slack": {"webhook_url": "http://x/", "channel": "#alerts", "timeout": 3},
    "email": {"smtp_host": "x", "smtp_port": 25, "from_email": "a@x", "to_emails": ("b@x",), "timeout": "3s"},
    "pagerduty": {"routing_key": "k3y", "timeout": 3.0},
    "teams": {"webhook_url": "http://x/", "timeout": "3s", "egress": Egress.PUBLIC},
    "discord": {"webhook_url": "http://x/", "timeout": "3s"},
    "telegram": {"token_file": "/run/token", "chat_id": -5, "timeout": "3s"},
    "alertmanager": {"urls": ["http://x/"], "password_file": Path("/run/word"), "username": "me", "timeout": "3s"},
    "apprise": {"urls": "json://x", "timeout": "3s"},
}
"""A channel of each type."""


needs_apprise = pytest.mark.skipif(find_spec("apprise") is None, reason="apprise, from its extra, is not installed")
TYPES = [pytest.param(kind, marks=needs_apprise if kind == "apprise" else ()) for kind in CHANNEL_TYPES]


@pytest.mark.parametrize("kind", TYPES)
def test_channels_from_mappings(kind: str) -> None:
    channel = from_mapping({"type": kind, **MAPPINGS[kind], "name": "this"})
    assert (type(channel), channel.name) == (getattr(alerts, CHANNEL_TYPES[kind]), "this")
    assert channel_name(from_mapping({"type": kind, **MAPPINGS[kind]})) == kind


@pytest.mark.parametrize("kind", TYPES[1:])
def test_an_attempt_may_take_longer_than_what_the_channel_itself_allows(kind: str) -> None:
    """So that its own words of what went wrong are heard; PagerDuty takes the alerts of a digest one by one."""
    channel = from_mapping({"type": kind, **MAPPINGS[kind]})
    assert channel.attempt_seconds == (60 if kind == "pagerduty" else 4)
    assert from_mapping({"type": kind, **MAPPINGS[kind], "timeout": "1m"}).attempt_seconds == 61


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "channel: no type; use one of log, webhook"),
        (
            {"type": "pigeon"},
            "the type 'pigeon'; use one of log, webhook, slack, email, pagerduty, teams, discord, telegram, ",
        ),
        ({"type": "slak"}, "the type 'slak'; did you mean 'slack'?"),
        ({"type": ["s3cret"]}, "a type that is no text; use one of log"),
        ({"type": "log", "levle": "s3cret"}, "log channel: the unknown key 'levle'; did you mean 'level'?"),
        ({"type": "log", "sound": "s3cret"}, "log channel: the unknown key 'sound'; use one of level, name"),
        ({"type": "log", 5: "s3cret"}, "log channel: the unknown key 5; use one of level, name"),
        ({"type": "webhook", "webhook_url": b"s3cret"}, "webhook channel: webhook_url is of the type bytes; use a text"),
        (
            {"type": "webhook", "webhook_url": "http://x/", "headers": "s3cret"},
            "webhook channel: headers is a text; use a mapping",
        ),
        ({"type": "slack", "webhook_url": "http://x/", "mention": 5}, "mention is a whole number; use a text or a mapping"),
        ({"type": "webhook"}, "webhook channel: no webhook_url; it needs webhook_url"),
    ],
)
def test_a_wrong_mapping_says_what_is_right(mapping: dict[str, object], message: str) -> None:
    with pytest.raises(ChannelError, match=message) as refused:
        from_mapping(mapping)
    assert "s3cret" not in str(refused.value)


def test_an_alert_by_hand_shows_itself() -> None:
    assert repr(ALERT) == "<Alert busy_app #1 error pending>"
    assert ALERT.status is AlertStatus.PENDING
