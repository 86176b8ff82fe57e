"""The Slack channel: what it sends, within Slack's limits, and what Slack's answers mean."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.channels.fitting import units
from kailash_monitor.channels.http import Answer, json_bytes
from kailash_monitor.channels.slack import BLOCKS, HEADER, SECTION, SlackNotificationChannel, judge, payload
from kailash_monitor.channels.text import COLOURS, facts, label_text
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.testing import EPOCH

pytestmark = pytest.mark.real_time

ALERT = Alert(
    "busy_app",
    "busy",
    AlertSeverity.CRITICAL,
    "Queue long",
    "Too much waits",
    value=9.5,
    peak=9.5,
    threshold=5.0,
    labels={"team": "x"},
    annotations={"runbook": "https://wiki.example.com/busy?a=1&b=2"},
    status=AlertStatus.FIRING,
    fired_at=datetime(2026, 11, 25, 8, tzinfo=UTC),
)
NOTICE = Notice("message-1", NoticeKind.FIRING, ALERT, sent_at=EPOCH)
OVER = replace(NOTICE, kind=NoticeKind.RESOLVED, alert=replace(ALERT, status=AlertStatus.RESOLVED))
CRITICAL = {AlertSeverity.CRITICAL: "<!here>"}


def sections(message: dict[str, object]) -> list[str]:
    blocks = message["blocks"]
    assert isinstance(blocks, list)
    return [block["text"]["text"] for block in blocks[1:]]


# -- what is sent


def test_a_message_has_a_title_a_colour_fields_and_blocks() -> None:
    message = payload(NOTICE, mention=CRITICAL)
    head = "FIRING [critical] Queue long"
    assert message["text"] == f"<!here> {head}"
    assert message["blocks"] == [
        {"type": "header", "text": {"type": "plain_text", "text": head, "emoji": False}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "<!here>", "verbatim": True}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "Too much waits", "verbatim": True}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "<https://wiki.example.com/busy?a=1&amp;b=2|Runbook>", "verbatim": True},
        },
    ]
    (attachment,) = message["attachments"]  # type: ignore[misc]
    assert (attachment["color"], attachment["fallback"], attachment["ts"]) == (COLOURS["critical"], head, int(EPOCH))
    rows = [*facts(NOTICE), ("Labels", label_text(ALERT))]
    assert [(field["title"], field["value"]) for field in attachment["fields"]] == rows
    assert not {"unfurl_links", "unfurl_media"} - message.keys()


def test_what_is_over_has_the_colour_of_it() -> None:
    (attachment,) = payload(OVER)["attachments"]  # type: ignore[misc]
    assert attachment["color"] == COLOURS["resolved"]


def digest(count: int, severity: AlertSeverity, title: str = "Alert") -> Notice:
    items = tuple(
        Item(NoticeKind.FIRING, replace(ALERT, id=f"a{n}", title=f"{title} {n}.", severity=severity)) for n in range(count)
    )
    return replace(NOTICE, kind=NoticeKind.DIGEST, alert=replace(ALERT, title=f"{count} alerts", labels={}), items=items)


def test_a_digest_names_its_alerts_in_as_few_sections_as_they_go_into() -> None:
    few = sections(payload(digest(3, AlertSeverity.CRITICAL)))
    assert [f"Alert {n}." in few[0] for n in range(3)] == [True] * 3
    assert few[0].count("\n") == 2
    many = sections(payload(digest(150, AlertSeverity.CRITICAL)))
    assert all(f"Alert {n}." in "\n".join(many) for n in range(150))
    assert 1 < len(many) < 6


def test_what_a_digest_has_no_room_for_is_counted() -> None:
    lines = "\n".join(sections(payload(digest(2000, AlertSeverity.CRITICAL)))[:-1]).split("\n")
    assert lines[-1] == f"and {2000 - (len(lines) - 1)} more"


@pytest.mark.parametrize(
    ("notice", "whom"),
    [
        (NOTICE, "<!here>"),
        (replace(NOTICE, kind=NoticeKind.REPEAT), "<!here>"),
        (digest(2, AlertSeverity.CRITICAL), "<!here>"),
        (replace(NOTICE, alert=replace(ALERT, severity=AlertSeverity.ERROR)), ""),
        (replace(NOTICE, kind=NoticeKind.TEST), ""),
        (OVER, ""),
        (replace(OVER, kind=NoticeKind.MISSED), ""),
        (replace(OVER, kind=NoticeKind.STABLE), ""),
    ],
)
def test_people_are_woken_for_what_fires_and_is_grave_enough(notice: Notice, whom: str) -> None:
    assert ("<!here>" in json.dumps(payload(notice, mention=CRITICAL))) == bool(whom)


def test_no_text_of_an_alert_mentions_anybody() -> None:
    evil = "<!here> <@U012AB3CD> <!channel|x> &lt;!here&gt;\n<https://evil.example.com|wiki>"
    alert = replace(ALERT, title=evil, description=evil, labels={evil: evil}, annotations={"runbook": f"https://x/{evil}"})
    for notice in (replace(NOTICE, alert=alert), replace(digest(1, AlertSeverity.ERROR, evil), alert=alert)):
        assert not {"<!here>", "<@U012AB3CD>", "<!channel|x>", "<https://evil.example.com|wiki>"} & set(
            markup(payload(notice))
        )


def test_another_text_stands_in_place_of_the_messages_own_and_mentions_nobody() -> None:
    assert sections(payload(NOTICE, mention=CRITICAL, text="Look <!channel>\nat & this")) == [
        "<!here>",
        "Look &lt;!channel&gt;\nat &amp; this",
    ]


# -- the limits of Slack

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.builds(
    lambda text, times: text * times,
    st.sampled_from(["&", "<", "é ", "👩‍🚒", "\n", "x&", "\ud800", "ab "]),
    st.integers(0, 5_000),
)
ALERTS = st.builds(
    lambda severity, title, text, labels, runbook, value: replace(
        ALERT,
        severity=severity,
        title=title,
        description=text,
        labels=labels,
        annotations={"runbook": f"https://{runbook}"},
        value=value,
    ),
    st.sampled_from(AlertSeverity),
    ANY_TEXT,
    ANY_TEXT,
    st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=5),
    ANY_TEXT,
    st.floats(),
)
NOTICES = st.builds(
    lambda alert, kind, items: replace(
        NOTICE,
        alert=alert,
        kind=NoticeKind.DIGEST if items else kind,
        items=tuple(Item(NoticeKind.FIRING, item) for item in items),
    ),
    ALERTS,
    st.sampled_from([kind for kind in NoticeKind if kind is not NoticeKind.DIGEST]),
    st.lists(ALERTS, max_size=5).flatmap(lambda items: st.sampled_from([items, items * 40])),
)

MARKUP = re.compile("<[^<>]*>")


def texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)


def markup(message: dict[str, object]) -> list[str]:
    return [found for text in texts(message) for found in MARKUP.findall(text)]


@pytest.mark.untraced
@given(NOTICES)
def test_every_message_keeps_the_limits_whatever_its_texts(notice: Notice) -> None:
    message = json.loads(json_bytes(payload(notice, mention=CRITICAL)))
    head, *others = message["blocks"]
    assert len(message["blocks"]) <= BLOCKS
    assert 0 < units(head["text"]["text"]) <= HEADER
    for block in others:
        assert 0 < units(block["text"]["text"]) <= SECTION
    assert sum(units(block["text"]["text"]) for block in message["blocks"]) < 13_200
    for field in message["attachments"][0]["fields"]:
        assert field["title"]
        assert units(field["value"]) <= 1_000
    assert message["attachments"][0]["fields"]


@given(NOTICES)
def test_every_text_is_escaped_and_no_entity_is_cut(notice: Notice) -> None:
    for text in texts(payload(notice, mention=CRITICAL)):
        rest = MARKUP.sub("", text)
        assert not {"<", ">"} & set(rest)
        assert all(found in ("&amp;", "&lt;", "&gt;") for found in re.findall("&[a-z]*;?", rest))
    assert all(found == "<!here>" or found.startswith("<http") for found in markup(payload(notice, mention=CRITICAL)))


# -- what Slack answers


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b"ok", Delivered()),
        (200, b"ok\n", Delivered()),
        (200, b'{"ok": true}', Delivered()),
        (200, b'{"ok": false, "error": "invalid_payload"}', Rejected("HTTP 200: invalid_payload")),
        (400, b"invalid_payload", Rejected("HTTP 400: invalid_payload")),
        (400, b"user_not_found", Rejected("HTTP 400: user_not_found")),
        (404, b"channel_not_found", Rejected("HTTP 404: channel_not_found")),
        (410, b"channel_is_archived", Gone("HTTP 410: channel_is_archived")),
        (200, b"channel_is_archived", Gone("HTTP 200: channel_is_archived")),
        (404, b"no_service", Gone("HTTP 404: no_service")),
        (404, b"no_team", Gone("HTTP 404: no_team")),
        (403, b"team_disabled", Gone("HTTP 403: team_disabled")),
        (403, b"invalid_token", Unauthorised("HTTP 403: invalid_token")),
        (403, b"action_prohibited", Unauthorised("HTTP 403: action_prohibited")),
        (403, b"a_new_word", Unauthorised("HTTP 403: a_new_word")),
        (429, b"rate_limited", Retry("HTTP 429: rate_limited", after=30.0)),
        (429, b"", Retry("HTTP 429", after=30.0)),
        (200, b"rate_limited", Retry("HTTP 200: rate_limited", after=30.0)),
        (500, b"rollup_error", Retry("HTTP 500: rollup_error", after=30.0)),
        (503, b"<html>s3cret</html>", Retry("HTTP 503", after=30.0)),
        (404, b"<html>s3cret</html>", Rejected("HTTP 404")),
        (302, b"", Rejected("HTTP 302")),
        (200, b"", Retry("HTTP 200, without Slack's ok", in_doubt=True, attempts=3)),
        (200, b"<html>s3cret</html>", Retry("HTTP 200, without Slack's ok", in_doubt=True, attempts=3)),
        (200, b"[1]", Retry("HTTP 200, without Slack's ok", in_doubt=True, attempts=3)),
        (500, b'{"error": "' + b"a" * 60_000 + b'"}', Retry("HTTP 500", after=30.0)),
        (500, b"ok", Retry("HTTP 500: ok", after=30.0)),
    ],
)
def test_what_slack_means(status: int, body: bytes, outcome: Outcome) -> None:
    assert judge(Answer(status, {"Retry-After": "30"}, body), EPOCH) == outcome


@given(st.integers(100, 599), st.binary())
def test_no_answer_raises(status: int, body: bytes) -> None:
    judge(Answer(status, {}, body), EPOCH)


# -- sending


@asynccontextmanager
async def slack(status: int, text: str, got: list[dict[str, object]]) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response(status=status, text=text, headers={"Retry-After": "7"})

    app = web.Application(client_max_size=0)
    app.router.add_post("/services/T0/B0/s3cret", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/services/T0/B0/s3cret"
    finally:
        await runner.cleanup()


async def test_a_message_is_posted_as_the_guide_sets_the_channel_up() -> None:
    got: list[dict[str, object]] = []
    async with slack(200, "ok", got) as url:
        channel = SlackNotificationChannel(
            webhook_url=url, channel="#alerts", username="Monitor", icon_emoji=":fire:", mention="@here"
        )
        assert await channel.deliver(NOTICE) == Delivered()
        assert await channel.send_notification(ALERT, {}) is True
    looks = {"channel": "#alerts", "username": "Monitor", "icon_emoji": ":fire:"}
    assert got[0] == {**looks, **payload(NOTICE, mention=CRITICAL)}
    assert got[1]["text"] == "TEST [critical] Queue long"


async def test_a_template_words_what_stands_below_the_title() -> None:
    got: list[dict[str, object]] = []
    async with slack(200, "ok", got) as url:
        channel = SlackNotificationChannel(url, text_template="{{ alert.title }} <!here> since {{ alert.fired_at }}")
        assert await channel.deliver(NOTICE) == Delivered()
    assert sections(got[0]) == ["Queue long &lt;!here&gt; since 2026-11-25T08:00:00+00:00"]


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (429, "rate_limited", Retry("HTTP 429: rate_limited", after=7.0)),
        (404, "no_service", Gone("HTTP 404: no_service")),
        (200, "<html>", Retry("HTTP 200, without Slack's ok", in_doubt=True, attempts=3)),
    ],
)
async def test_the_body_of_the_answer_decides(status: int, text: str, outcome: Outcome) -> None:
    async with slack(status, text, []) as url:
        assert await SlackNotificationChannel(url).deliver(NOTICE) == outcome


# -- settings


@pytest.mark.parametrize(
    ("mention", "read"),
    [
        ("@here", {AlertSeverity.CRITICAL: "<!here>"}),
        ("<@U012AB3CD>  <!subteam^S012AB3CD>", {AlertSeverity.CRITICAL: "<@U012AB3CD> <!subteam^S012AB3CD>"}),
        (
            {"error": "@channel", "critical": "@everyone"},
            {AlertSeverity.ERROR: "<!channel>", AlertSeverity.CRITICAL: "<!everyone>"},
        ),
    ],
)
async def test_whom_to_mention(mention: str | dict[str, str], read: dict[AlertSeverity, str]) -> None:
    got: list[dict[str, object]] = []
    async with slack(200, "ok", got) as url:
        channel = SlackNotificationChannel(url, mention=mention)
        for severity, whom in read.items():
            await channel.deliver(replace(NOTICE, alert=replace(ALERT, severity=severity)))
            assert str(got[-1]["text"]).startswith(f"{whom} FIRING")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"webhook_url": "hooks.slack.com"}, "webhook_url"),
        ({"mention": "ops"}, "mention"),
        ({"mention": ""}, "mention"),
        ({"mention": ["@here"]}, "mention"),
        ({"mention": {"grave": "@here"}}, "mention"),
        ({"mention": {"error": 5}}, "mention"),
        ({"icon_emoji": "fire"}, "icon_emoji"),
        ({"channel": "a\nb"}, "channel"),
        ({"username": ""}, "username"),
        ({"timeout": "soon"}, "timeout"),
        ({"egress": "open"}, "egress"),
        ({"text_template": "{{ nothing }}"}, "text_template"),
    ],
)
def test_a_wrong_setting_says_what_is_right(settings: dict[str, object], field: str) -> None:
    with pytest.raises(ChannelError, match="slack channel: ") as refused:
        SlackNotificationChannel(**{"webhook_url": "https://hooks.slack.com/s3cret", **settings})  # type: ignore[arg-type]
    assert refused.value.field == field
    assert "s3cret" not in str(refused.value)


def test_no_secret_shows_and_the_pace_is_that_of_a_chat() -> None:
    channel = SlackNotificationChannel("https://hooks.slack.com/services/T0/B0/s3cret", "#alerts")
    assert repr(channel) == "<SlackNotificationChannel #alerts>"
    assert repr(SlackNotificationChannel("https://hooks.slack.com/s3cret")) == "<SlackNotificationChannel hooks.slack.com>"
    assert SlackNotificationChannel.rate == (1.0, 5)
