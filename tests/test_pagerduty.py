"""PagerDuty: one alert here is one there, nobody is paged for what is over, and nothing is too large."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.channels.channel import channel_name
from kailash_monitor.channels.fitting import units
from kailash_monitor.channels.http import Answer
from kailash_monitor.channels.pagerduty import PagerDutyNotificationChannel, dedup_key, judge, payload, single
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.testing import EPOCH

from effort import examples  # isort: skip

KEY = "s3crets3crets3crets3crets3crets3"
ALERT = Alert(
    'busy_app{host="a"}',
    "busy",
    AlertSeverity.ERROR,
    "Queue long",
    "Too much waits",
    value=9.5,
    threshold=5.0,
    status=AlertStatus.FIRING,
    fired_at=datetime.fromtimestamp(EPOCH, UTC),
    labels={"host": "a", "service": "checkout", "cluster": "eu"},
    annotations={"runbook": "https://wiki.example.com/queue"},
)
OVER = replace(ALERT, status=AlertStatus.RESOLVED, resolved_at=datetime.fromtimestamp(EPOCH + 60, UTC))
NOTICE = Notice("message-1", NoticeKind.FIRING, ALERT, sent_at=EPOCH)


def notice(kind: NoticeKind, alert: Alert = ALERT) -> Notice:
    return Notice("message-1", kind, alert, sent_at=EPOCH)


def digest(*kinds: NoticeKind) -> Notice:
    alerts = [OVER if kind in (NoticeKind.RESOLVED, NoticeKind.MISSED) else ALERT for kind in kinds]
    items = tuple(Item(kind, replace(alert, id=f"a{n}")) for n, (kind, alert) in enumerate(zip(kinds, alerts, strict=True)))
    return Notice("message-2", NoticeKind.DIGEST, ALERT, sent_at=EPOCH, items=items)


# -- the event


def test_an_event_says_what_where_and_how_grave() -> None:
    document: Any = payload(NOTICE, client="Monitor", client_url="https://m.example.com")
    described = document.pop("payload")
    assert document == {
        "event_action": "trigger",
        "dedup_key": 'busy_app{host="a"}',
        "links": [{"href": "https://wiki.example.com/queue", "text": "Runbook"}],
        "client": "Monitor",
        "client_url": "https://m.example.com",
    }
    assert described.pop("summary") == "FIRING [error] Queue long (is 9.5, limit 5): Too much waits"
    details = described.pop("custom_details")
    assert described == {
        "source": "a",
        "severity": "error",
        "timestamp": "2023-11-14T22:13:20+00:00",
        "class": "busy",
        "component": "checkout",
        "group": "eu",
    }
    assert details["Description"] == "Too much waits"
    assert details["Labels"] == {"host": "a", "service": "checkout", "cluster": "eu"}
    assert "9.5" in details["Value"]


@pytest.mark.parametrize("severity", list(AlertSeverity))
def test_severities_are_the_same_there(severity: AlertSeverity) -> None:
    described: Any = payload(notice(NoticeKind.FIRING, replace(ALERT, severity=severity)))["payload"]
    assert described["severity"] == severity.value


@pytest.mark.parametrize(
    ("kind", "alert", "action"),
    [
        (NoticeKind.FIRING, ALERT, "trigger"),
        (NoticeKind.REPEAT, ALERT, "trigger"),
        (NoticeKind.RESOLVED, OVER, "resolve"),
        (NoticeKind.FLAPPING, ALERT, "trigger"),
        (NoticeKind.FLAPPING, OVER, "trigger"),
        (NoticeKind.STABLE, ALERT, "trigger"),
        (NoticeKind.STABLE, OVER, "resolve"),
        (NoticeKind.TEST, ALERT, "trigger"),
    ],
)
def test_what_each_kind_of_notice_does_there(kind: NoticeKind, alert: Alert, action: str) -> None:
    assert payload(notice(kind, alert))["event_action"] == action


@pytest.mark.parametrize("alert", [ALERT, OVER])
def test_what_was_missed_is_told_without_paging_anybody(alert: Alert) -> None:
    """A change event: it shows on the service's page. A trigger would wake somebody for what is over."""
    document: Any = payload(notice(NoticeKind.MISSED, alert))
    assert set(document) == {"payload", "links"}
    assert set(document["payload"]) == {"summary", "source", "timestamp", "custom_details"}
    assert document["payload"]["summary"].startswith("MISSED")


def test_an_alert_has_one_key_whatever_its_incident() -> None:
    keys = {
        dedup_key(notice(kind, replace(ALERT, incident=n)))
        for n, kind in enumerate(NoticeKind)
        if kind is not NoticeKind.TEST
    }
    assert keys == {ALERT.id}


def test_a_test_never_touches_a_true_alert() -> None:
    assert dedup_key(notice(NoticeKind.TEST)) == f"test {ALERT.id}"


def test_programs_that_share_a_key_are_told_apart_by_their_source() -> None:
    document: Any = payload(NOTICE, source="shop-1")
    assert document["dedup_key"] == f"shop-1 {ALERT.id}"
    assert document["payload"]["source"] == "shop-1"


def test_an_alert_without_a_place_has_the_toolkits_name() -> None:
    document: Any = payload(notice(NoticeKind.FIRING, replace(ALERT, labels={})))
    assert document["payload"]["source"] == "kailash-monitor"
    assert {"component", "group"}.isdisjoint(document["payload"])


def test_a_long_id_becomes_a_stable_short_one() -> None:
    long = notice(NoticeKind.FIRING, replace(ALERT, id="x" * 256))
    assert re.fullmatch("[0-9a-f]{64}", dedup_key(long))
    assert dedup_key(long) == dedup_key(replace(long, kind=NoticeKind.RESOLVED))
    assert dedup_key(long) != dedup_key(replace(long, alert=replace(ALERT, id="x" * 257)))
    assert dedup_key(replace(long, alert=replace(ALERT, id="x" * 255))) == "x" * 255


TEXTS = st.builds(
    lambda piece, times: piece * times,
    st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from('\\"é日😀\ud800\n')), max_size=8),
    st.sampled_from([1, 1, 100, 1_000]),
)


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    few = draw(st.dictionaries(TEXTS, TEXTS, max_size=3))
    labels = {f"{name}{n}": value for n in range(draw(st.sampled_from([1, 100]))) for name, value in few.items()}
    return replace(
        ALERT,
        id=draw(TEXTS),
        rule_name=draw(TEXTS),
        title=draw(TEXTS),
        description=draw(TEXTS),
        labels={**labels, **draw(st.dictionaries(st.sampled_from(["host", "service", "group"]), TEXTS))},
        annotations={"runbook": "https://x/" + draw(TEXTS)},
        value=draw(st.none() | st.floats()),
    )


@settings(max_examples=examples(30))
@given(
    st.lists(
        st.builds(Item, st.sampled_from([kind for kind in NoticeKind if kind is not NoticeKind.DIGEST]), alerts()),
        max_size=3,
    ),
    st.integers(0, 200),
    alerts(),
)
def test_pagerduty_takes_whatever_there_is_to_say(few: list[Item], count: int, alert: Alert) -> None:
    items = tuple((few * 100)[:count])
    whole = Notice("id", NoticeKind.DIGEST if items else NoticeKind.FIRING, alert, sent_at=EPOCH, items=items)
    parts = single(whole)
    assert len(parts) == max(1, len(items))
    for part in parts[:3]:  # the others are the same
        document: Any = payload(part)
        assert len(json.dumps({"routing_key": KEY, **document}).encode()) <= 512_000
        assert 0 < units(document["payload"]["summary"]) <= 1024
        assert units(document.get("dedup_key", "")) <= 255
        assert document["payload"]["source"]


# -- what answers mean


def answer(status: int, body: object = None, **headers: str) -> Answer:
    said = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, said)


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (answer(202, {"status": "success", "message": "Event processed", "dedup_key": "x"}), Delivered()),
        (
            answer(
                400, {"status": "invalid event", "message": "Event object is invalid", "errors": ["summary is too long"]}
            ),
            Rejected("HTTP 400: Event object is invalid; summary is too long"),
        ),
        (
            answer(400, {"message": "Event object is invalid", "errors": ["Length of 'routing_key' is incorrect"]}),
            Unauthorised("HTTP 400: Event object is invalid; Length of 'routing_key' is incorrect"),
        ),
        (answer(400, {"message": f"Invalid Routing Key {KEY}"}), Unauthorised("HTTP 400: Invalid Routing Key ***")),
        (answer(400, b"what?"), Rejected("HTTP 400")),
        (answer(400, {"errors": 7}), Rejected("HTTP 400")),
        (answer(401, b""), Unauthorised("HTTP 401")),
        (answer(403, b""), Unauthorised("HTTP 403")),
        (answer(404, {"message": "no routing key here"}), Rejected("HTTP 404: no routing key here")),
        (answer(410, b""), Gone("HTTP 410")),
        (answer(413, b""), Rejected("HTTP 413")),
        (answer(429, b""), Retry("HTTP 429")),
        (answer(429, b"", Retry_After="30"), Retry("HTTP 429", after=30.0)),
        (answer(500, b""), Retry("HTTP 500")),
        (answer(503, {"message": "x"}), Retry("HTTP 503")),
    ],
)
def test_what_pagerduty_means(given: Answer, outcome: Outcome) -> None:
    assert judge(given, EPOCH, KEY) == outcome


# -- over the wire


@dataclass
class Peer:
    """A real HTTP server that keeps what it is sent and answers the next of `statuses`, the last one for ever.

    It says nothing to the request of the number `silent_at`.
    """

    statuses: list[int]
    url: str = ""
    silent_at: int = 0
    silence: asyncio.Event = field(default_factory=asyncio.Event)
    got: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def actions(self) -> list[tuple[str, str, str]]:
        return [(path, document.get("event_action", ""), document.get("dedup_key", "")) for path, document in self.got]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append((request.path, json.loads(await request.read())))
        if len(self.got) == self.silent_at:
            self.silence.set()
            await asyncio.Event().wait()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.json_response({"status": "x", "message": f"said of {KEY}"}, status=status)


@asynccontextmanager
async def peer(*statuses: int) -> AsyncIterator[Peer]:
    it = Peer(list(statuses))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v2/enqueue"
    try:
        yield it
    finally:
        await runner.cleanup()


@pytest.mark.real_time
async def test_an_alert_is_triggered_and_resolved_under_one_key() -> None:
    async with peer(202) as server:
        channel = PagerDutyNotificationChannel(KEY, url=server.url, client="Monitor")
        assert await channel.deliver(NOTICE) == Delivered()
        assert await channel.deliver(notice(NoticeKind.RESOLVED, OVER)) == Delivered()
    assert server.actions == [("/v2/enqueue", "trigger", ALERT.id), ("/v2/enqueue", "resolve", ALERT.id)]
    assert server.got[0][1] == {"routing_key": KEY, **payload(NOTICE, client="Monitor")}


@pytest.mark.real_time
async def test_what_was_missed_goes_where_changes_go() -> None:
    async with peer(202) as server:
        channel = PagerDutyNotificationChannel(KEY, url=server.url)
        assert await channel.deliver(notice(NoticeKind.MISSED, OVER)) == Delivered()
    assert server.actions == [("/v2/change/enqueue", "", "")]


@pytest.mark.real_time
async def test_a_digest_is_an_event_for_each_of_its_alerts() -> None:
    async with peer(202) as server:
        channel = PagerDutyNotificationChannel(KEY, url=server.url)
        outcome = await channel.deliver(digest(NoticeKind.FIRING, NoticeKind.RESOLVED, NoticeKind.MISSED))
        assert outcome == Delivered()
    assert server.actions == [
        ("/v2/enqueue", "trigger", "a0"),
        ("/v2/enqueue", "resolve", "a1"),
        ("/v2/change/enqueue", "", ""),
    ]


@pytest.mark.real_time
async def test_a_digest_stops_at_the_first_failure_and_goes_on_there() -> None:
    async with peer(202, 202, 429, 202) as server:
        channel = PagerDutyNotificationChannel(KEY, url=server.url)
        whole = digest(*[NoticeKind.FIRING] * 4)
        assert await channel.deliver(whole) == Retry("HTTP 429, after 2 of 4 alerts", in_doubt=True)
        assert await channel.deliver(whole) == Delivered()
        assert await channel.deliver(whole) == Delivered()
    keys = [key for _, _, key in server.actions]
    assert keys == ["a0", "a1", "a2", "a2", "a3", "a0", "a1", "a2", "a3"]


@pytest.mark.real_time
async def test_a_digest_that_failed_at_once_was_not_heard() -> None:
    async with peer(503) as server:
        channel = PagerDutyNotificationChannel(KEY, url=server.url)
        assert await channel.deliver(digest(NoticeKind.FIRING, NoticeKind.FIRING)) == Retry("HTTP 503, after 0 of 2 alerts")


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Rejected("HTTP 400: said of ***, after 1 of 2 alerts")),
        (403, Unauthorised("HTTP 403, after 1 of 2 alerts")),
        (410, Gone("HTTP 410, after 1 of 2 alerts")),
    ],
)
async def test_a_digest_refused_in_part_says_so(status: int, outcome: Outcome) -> None:
    async with peer(202, status) as server:
        channel = PagerDutyNotificationChannel(KEY, url=server.url)
        assert await channel.deliver(digest(NoticeKind.FIRING, NoticeKind.FIRING)) == outcome


@pytest.mark.real_time
async def test_few_unfinished_digests_are_remembered() -> None:
    async with peer(*[202, 503] * 100, 202) as server:
        channel = PagerDutyNotificationChannel(KEY, url=server.url)
        for n in range(100):
            outcome = await channel.deliver(replace(digest(NoticeKind.FIRING, NoticeKind.FIRING), id=f"message-{n}"))
            assert outcome == Retry("HTTP 503, after 1 of 2 alerts", in_doubt=True)
        assert len(channel._taken) == 64


@pytest.mark.real_time
async def test_a_digest_cancelled_in_the_middle_goes_on_there() -> None:
    async with peer(202) as server:
        server.silent_at = 2
        channel, whole = PagerDutyNotificationChannel(KEY, url=server.url), digest(*[NoticeKind.FIRING] * 3)
        sending = asyncio.create_task(channel.deliver(whole))
        await server.silence.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await channel.deliver(whole) == Delivered()
    assert [key for _, _, key in server.actions] == ["a0", "a1", "a1", "a2"]


@pytest.mark.real_time
async def test_a_key_file_is_read_at_each_send(tmp_path: Path) -> None:
    file = tmp_path / "key"
    async with peer(202) as server:
        channel = PagerDutyNotificationChannel(routing_key_file=str(file), url=server.url)
        assert await channel.deliver(NOTICE) == Retry(f"{file} cannot be read: No such file or directory")
        for key in ("first", "second\n"):
            file.write_text(key)
            assert await channel.deliver(NOTICE) == Delivered()
        file.write_text("no key\tat all")
        assert isinstance(await channel.deliver(NOTICE), Retry)
        file.write_text("no key at all")
        outcome = await channel.deliver(NOTICE)
        assert isinstance(outcome, Unauthorised)
        assert "at all" not in outcome.why
    assert [document["routing_key"] for _, document in server.got] == ["first", "second"]


# -- how it is made


def test_it_has_a_name_and_a_rate_and_shows_no_secret() -> None:
    channel = PagerDutyNotificationChannel(KEY)
    assert channel_name(channel) == "pagerduty"
    assert repr(channel) == "<PagerDutyNotificationChannel events.pagerduty.com>"
    rate, burst = channel.rate
    assert 60 * rate + burst <= 120  # what PagerDuty takes in any one minute


@pytest.mark.parametrize(
    ("make", "at", "message"),
    [
        (lambda: PagerDutyNotificationChannel(), "routing_key", "neither routing_key nor routing_key_file"),
        (lambda: PagerDutyNotificationChannel(KEY, routing_key_file="x"), "routing_key", "both routing_key and"),
        (lambda: PagerDutyNotificationChannel(""), "routing_key", "a routing_key that is empty"),
        (lambda: PagerDutyNotificationChannel("s3cret key"), "routing_key", "use an integration key"),
        (lambda: PagerDutyNotificationChannel(7), "routing_key", "a int as routing_key; use a text"),  # type: ignore[arg-type]
        (lambda: PagerDutyNotificationChannel(KEY, url="s3cret"), "url", "an address that is no URL"),
        (lambda: PagerDutyNotificationChannel(KEY, client_url="s3cret"), "client_url", "an address that is no URL"),
        (lambda: PagerDutyNotificationChannel(KEY, client="a\nb"), "client", "use one line of 1 to 255 characters"),
        (lambda: PagerDutyNotificationChannel(KEY, source=""), "source", "use one line of 1 to 255 characters"),
        (lambda: PagerDutyNotificationChannel(KEY, timeout="2m"), "timeout", "more than 0 and at most 1m"),
        (lambda: PagerDutyNotificationChannel(KEY, egress="none"), "egress", "public"),
    ],
)
def test_what_is_set_wrongly_is_told_at_once(make: Callable[[], object], at: str, message: str) -> None:
    with pytest.raises(ChannelError, match=re.escape(message)) as told:
        make()
    assert told.value.field == at
    assert "s3cret" not in str(told.value)
