"""Discord, Telegram and Teams: what is sent stays within their limits, and what their answers mean."""

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.channels import discord, teams, telegram
from kailash_monitor.channels.channel import DeliveringChannel, channel_name
from kailash_monitor.channels.checks import Secret, SecretUnreadable, seconds_of, text_of, timeout_of
from kailash_monitor.channels.discord import DiscordNotificationChannel
from kailash_monitor.channels.fitting import cut, cut_lines, escape_links, escape_markdown, link, safe_lines, units
from kailash_monitor.channels.http import Answer
from kailash_monitor.channels.teams import LIMIT, TeamsNotificationChannel
from kailash_monitor.channels.telegram import TelegramNotificationChannel, moved_to
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.testing import EPOCH

TOKEN = "123456:s3cret_s3cret-s3cret"
ALERT = Alert(
    "busy_app",
    "busy",
    AlertSeverity.ERROR,
    "Queue long",
    "Too much waits\nfor [you](http://evil)",
    value=9.5,
    threshold=5.0,
    status=AlertStatus.FIRING,
    fired_at=datetime.fromtimestamp(EPOCH, UTC),
    labels={"team": "x", "path": "<b>*_a_*</b>"},
    annotations={"runbook": "https://wiki.example.com/queue_long?a=b&c=*d*"},
)
NOTICE = Notice("message-1", NoticeKind.FIRING, ALERT, sent_at=EPOCH)


def digest(count: int, **changes: Any) -> Notice:  # Any: whatever an alert has
    items = tuple(
        Item(NoticeKind.FIRING, replace(ALERT, **{"id": f"a{n}", "title": f"Queue {n} long", **changes}))
        for n in range(count)
    )
    return Notice("message-2", NoticeKind.DIGEST, replace(ALERT, title=f"{count} alerts"), sent_at=EPOCH, items=items)


# -- laws


def _long(piece: str, times: int) -> str:
    return piece * times


LETTERS = st.one_of(st.characters(exclude_categories=()), st.sampled_from("\\`*_~|<>[]()-+#.1 \n\r\t&\"'😀é…\ud800\u202e"))
TEXTS = st.builds(_long, st.text(LETTERS, max_size=8), st.sampled_from([1, 1, 30, 1000]))
LABELS = st.dictionaries(TEXTS, TEXTS, max_size=4)
TIMES = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
NUMBERS = st.none() | st.floats()
URLS = st.one_of(TEXTS, st.builds("https://x/{}".format, TEXTS), st.just("http://localhost/a b"))


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    return Alert(
        draw(TEXTS),
        draw(TEXTS),
        draw(st.sampled_from(AlertSeverity)),
        draw(TEXTS),
        draw(TEXTS),
        labels=draw(LABELS),
        annotations={"runbook": draw(URLS)},
        status=draw(st.sampled_from([AlertStatus.FIRING, AlertStatus.RESOLVED])),
        fired_at=draw(TIMES),
        resolved_at=draw(TIMES),
        value=draw(NUMBERS),
        peak=draw(NUMBERS),
        threshold=draw(NUMBERS),
    )


@st.composite
def notices(draw: st.DrawFn) -> Notice:
    alert = draw(alerts())
    kinds = [kind for kind in NoticeKind if kind is not NoticeKind.DIGEST]
    few = draw(st.lists(st.builds(Item, st.sampled_from(kinds), alerts()), max_size=3))
    items = tuple((few * 100)[: draw(st.integers(0, 200))])
    kind = NoticeKind.DIGEST if items else draw(st.sampled_from(kinds))
    return Notice("id", kind, alert, sent_at=EPOCH, items=items)


@given(notices(), st.none() | TEXTS)
def test_discord_takes_whatever_there_is_to_say(notice: Notice, text: str | None) -> None:
    document: Any = json.loads(json.dumps(discord.payload(notice, text=text)).encode())
    assert document["allowed_mentions"] == {"parse": []}
    (embed,) = document["embeds"]
    fields = embed.get("fields", [])
    assert 0 < units(embed["title"]) <= 256
    assert 0 < units(embed.get("description", "-")) <= 4096
    assert len(fields) <= 25
    for each in fields:
        assert 0 < units(each["name"].strip()) <= 256
        assert 0 < units(each["value"].strip()) <= 1024
    texts = [embed["title"], embed.get("description", ""), *(each[key] for each in fields for key in ("name", "value"))]
    assert sum(map(units, texts)) <= 6000
    assert 0 <= embed["color"] <= 0xFFFFFF


def parsed(text: str) -> str:
    """Read HTML as Telegram does: a few tags, four entities, everything else is an error."""
    assert re.findall(r"<[^>]*>", text) == ["<b>", "</b>"] * text.count("<b>")
    bare = re.sub(r"</?b>", "", text)
    assert re.findall(r"&(?!(?:lt|gt|amp);)|[<>]", bare) == []
    return html.unescape(bare)


@given(notices(), st.none() | TEXTS)
def test_telegram_takes_whatever_there_is_to_say(notice: Notice, text: str | None) -> None:
    document: Any = json.loads(json.dumps(telegram.payload(notice, 7, text=text)).encode())
    document["text"].encode()
    assert 0 < units(parsed(document["text"]).strip()) <= 4096


@given(notices(), st.none() | TEXTS)
def test_teams_takes_whatever_there_is_to_say(notice: Notice, text: str | None) -> None:
    body = json.dumps(teams.payload(notice, text=text)).encode()
    assert len(body) <= LIMIT
    (attachment,) = json.loads(body)["attachments"]
    assert attachment["content"]["version"] == "1.4"


@given(TEXTS, st.integers(0, 50))
def test_a_cut_text_is_no_longer_than_it_may_be(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert units(short) <= limit
    assert short == text or short.endswith("…") or limit == 0


@given(st.lists(TEXTS.map(safe_lines), max_size=40), st.integers(100, 5000))
def test_a_cut_list_is_no_longer_than_it_may_be_and_counts_what_it_leaves_out(lines: list[str], limit: int) -> None:
    short = cut_lines(lines, len(lines), limit, joint="\n\n")
    assert units(short) <= limit
    if (more := re.search(r"(?:^|\n\n)and (\d+) more$", short)) and "and " not in "".join(lines):
        kept = short[: more.start()].split("\n\n") if more.start() else []
        assert len(kept) + int(more[1]) == len(lines)


def test_a_list_gets_shorter_lines_before_it_gets_fewer() -> None:
    lines = [f"{n} {'x' * 100}" for n in range(10)]
    assert [line[:2] for line in cut_lines(lines, 10, 700).split("\n")] == [f"{n} " for n in range(10)]
    assert cut_lines(lines, 30, 140).split("\n")[1:] == [f"1 {'x' * 57}…", "and 28 more"]


@given(TEXTS)
def test_escaped_markdown_says_what_was_meant(text: str) -> None:
    assert re.sub(r"\\([^0-9A-Za-z\s])", r"\1", escape_markdown(text)) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("FIRING [critical] High use", "FIRING [critical] High use"),
        ("[here](http://evil)", r"[here\](http://evil)"),
        ("<@123> **now** _a_ ~b~ `c` ||d||", r"\<@123\> \*\*now\*\* \_a\_ \~b\~ \`c\` \|\|d\|\|"),
        ("# a\n- b\n 1. c\n>d", "\\# a\n\\- b\n 1\\. c\n\\>d"),
        ("a-b\n1.5\n-1", "a-b\n1.5\n-1"),
        ("see https://x/a_b~c?d=_e_ _f_", r"see https://x/a_b~c?d=_e_ \_f\_"),
        ("[here](https://x/a_b)*c*", r"[here\](https://x/a_b)\*c\*"),
        ("http://*", r"http://\*"),
        ("-# a\n---\n## b\n*c*", "\\-# a\n\\---\n\\## b\n\\*c\\*"),
        ("\\*", r"\\\*"),
    ],
)
def test_markdown_shows_as_it_is(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


def test_a_text_of_ones_own_has_its_markdown_but_no_hidden_links() -> None:
    assert escape_links("**a** _b_ [c](http://evil) <@1> http://x/_y") == r"**a** _b_ [c\](http://evil) \<@1> http://x/_y"


def test_a_link_has_only_characters_of_links() -> None:
    assert link("https://x/a b<c>|é\n") == "https://x/a%20b%3Cc%3E%7C%C3%A9%5Cn"
    assert link("https://x/?a=%20&b=[1]#c") == "https://x/?a=%20&b=[1]#c"
    assert link("https://x/" + "a" * 2000) is None
    assert link(None) is None


# -- what is sent


def test_discord_gets_an_embed() -> None:
    (embed,) = discord.payload(NOTICE)["embeds"]  # type: ignore[misc, attr-defined]
    assert embed["title"] == "FIRING [error] Queue long"
    assert embed["description"] == "Too much waits\nfor [you\\](http://evil)"
    assert embed["timestamp"] == "2023-11-14T22:13:20+00:00"
    fields = {each["name"]: each["value"] for each in embed["fields"]}
    assert fields["Runbook"] == "<https://wiki.example.com/queue_long?a=b&c=*d*>"
    assert fields["Labels"] == r"team=x, path=\<b\>\*\_a\_\*\</b\>"
    assert "9.5" in fields["Value"]
    assert "url" not in embed


def test_discord_mentions_nobody_and_may_have_a_name() -> None:
    document = discord.payload(NOTICE, username="Watchdog")
    assert document["allowed_mentions"] == {"parse": []}
    assert document["username"] == "Watchdog"


def test_telegram_gets_html_without_a_preview() -> None:
    document = telegram.payload(NOTICE, "@ops", message_thread_id=3)
    text = str(document.pop("text"))
    assert document == {
        "chat_id": "@ops",
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
        "disable_notification": False,
        "message_thread_id": 3,
    }
    assert text.startswith("<b>FIRING [error] Queue long</b>\n\nToo much waits\nfor [you](http://evil)\n\n<b>")
    assert "<b>Labels</b>: team=x, path=&lt;b&gt;*_a_*&lt;/b&gt;" in text
    assert text.endswith("<b>Runbook</b>: https://wiki.example.com/queue_long?a=b&amp;c=*d*")


@pytest.mark.parametrize(
    ("kind", "severity", "status", "quiet"),
    [
        (NoticeKind.FIRING, AlertSeverity.CRITICAL, AlertStatus.FIRING, False),
        (NoticeKind.FIRING, AlertSeverity.INFO, AlertStatus.FIRING, True),
        (NoticeKind.REPEAT, AlertSeverity.WARNING, AlertStatus.FIRING, False),
        (NoticeKind.RESOLVED, AlertSeverity.CRITICAL, AlertStatus.RESOLVED, True),
        (NoticeKind.MISSED, AlertSeverity.CRITICAL, AlertStatus.RESOLVED, True),
        (NoticeKind.MISSED, AlertSeverity.CRITICAL, AlertStatus.FIRING, False),
        (NoticeKind.FLAPPING, AlertSeverity.CRITICAL, AlertStatus.RESOLVED, False),
        (NoticeKind.STABLE, AlertSeverity.CRITICAL, AlertStatus.RESOLVED, True),
        (NoticeKind.DIGEST, AlertSeverity.CRITICAL, AlertStatus.RESOLVED, True),
    ],
)
def test_telegram_wakes_nobody_for_what_is_over(
    kind: NoticeKind, severity: AlertSeverity, status: AlertStatus, quiet: bool
) -> None:
    notice = Notice("id", kind, replace(ALERT, severity=severity, status=status), sent_at=EPOCH)
    assert telegram.payload(notice, 7)["disable_notification"] is quiet


def card(notice: Notice) -> Any:
    document: Any = teams.payload(notice)
    (attachment,) = document["attachments"]
    assert document["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    return attachment["content"]


def test_teams_gets_an_adaptive_card() -> None:
    content = card(NOTICE)
    head, description, facts = content["body"]
    assert (content["type"], content["version"]) == ("AdaptiveCard", "1.4")
    assert (head["text"], head["color"]) == ("FIRING [error] Queue long", "attention")
    assert description["text"] == "Too much waits\n\nfor [you\\](http://evil)"
    assert {"title": "Labels", "value": r"team=x, path=\<b\>\*\_a\_\*\</b\>"} in facts["facts"]
    assert content["actions"] == [
        {"type": "Action.OpenUrl", "title": "Runbook", "url": "https://wiki.example.com/queue_long?a=b&c=*d*"}
    ]


@pytest.mark.parametrize(
    ("severity", "kind", "colour"),
    [
        (AlertSeverity.CRITICAL, NoticeKind.FIRING, "attention"),
        (AlertSeverity.ERROR, NoticeKind.FIRING, "attention"),
        (AlertSeverity.WARNING, NoticeKind.FIRING, "warning"),
        (AlertSeverity.INFO, NoticeKind.FIRING, "accent"),
        (AlertSeverity.CRITICAL, NoticeKind.RESOLVED, "good"),
    ],
)
def test_a_card_has_the_colour_of_its_news(severity: AlertSeverity, kind: NoticeKind, colour: str) -> None:
    content = card(Notice("id", kind, replace(ALERT, severity=severity), sent_at=EPOCH))
    assert content["body"][0]["color"] == colour


def test_a_card_too_large_loses_its_description_before_its_facts() -> None:
    notice = replace(NOTICE, alert=replace(ALERT, description="日" * 9000, labels={"path": "x" * 900}))
    _, description, facts = card(notice)["body"]
    assert description["text"].endswith("日…")
    assert facts["facts"][-1]["value"] == "path=" + "x" * 900


def test_a_card_too_large_loses_facts_before_its_list() -> None:
    notice = digest(100, title="Queue " + "é" * 40, severity=AlertSeverity.CRITICAL)
    head, listed = card(replace(notice, alert=replace(notice.alert, labels={"x": "é" * 1000})))["body"][:2]
    assert listed["text"].count("\n\n") > 50
    assert listed["text"].endswith(" more")
    assert head["text"].endswith("100 alerts")


def test_every_critical_of_a_digest_is_named() -> None:
    """As long as there is room for it: a name needs some 60 characters."""
    notice = digest(60, severity=AlertSeverity.CRITICAL)
    embed: Any = discord.payload(notice)["embeds"]
    for text in (embed[0]["description"], str(telegram.payload(notice, 7)["text"]), card(notice)["body"][1]["text"]):
        assert all(f"Queue {n} long" in text for n in range(60))


# -- what answers mean


def answer(status: int, body: object = None, **headers: str) -> Answer:
    said = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, said)


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (answer(200, {"id": "1"}), Delivered()),
        (answer(204, b""), Delivered()),
        (answer(429, {"retry_after": 1.2, "global": True}), Retry("HTTP 429", after=1.2)),
        (answer(429, {"retry_after": 1.2}, Retry_After="7"), Retry("HTTP 429", after=7.0)),
        (answer(429, {"retry_after": 9.5}, Retry_After="7"), Retry("HTTP 429", after=9.5)),
        (answer(429, {"retry_after": "soon"}, Retry_After="7"), Retry("HTTP 429", after=7.0)),
        (answer(429, b'{"retry_after": NaN}'), Retry("HTTP 429")),
        (answer(429, b"<html>"), Retry("HTTP 429")),
        (answer(502, b"<html>"), Retry("HTTP 502")),
        (answer(404, {"code": 10015, "message": "Unknown Webhook"}), Gone("HTTP 404: the webhook was deleted")),
        (answer(404, {"code": 10003}), Gone("HTTP 404: its text channel was deleted")),
        (answer(404, {"message": "404: Not Found", "code": 0}), Rejected("HTTP 404, Discord's code 0")),
        (answer(404, b"nothing"), Rejected("HTTP 404")),
        (answer(404, {"code": []}), Rejected("HTTP 404")),
        (answer(400, {"code": 50035}), Rejected("HTTP 400, Discord's code 50035")),
        (answer(401, {"code": 50027}), Unauthorised("HTTP 401")),
        (answer(403, []), Unauthorised("HTTP 403")),
    ],
)
def test_what_discord_means(given: Answer, outcome: Outcome) -> None:
    assert discord.judge(given, EPOCH) == outcome


def refused(status: int, description: str, **parameters: object) -> Answer:
    return answer(status, {"ok": False, "error_code": status, "description": description, "parameters": parameters})


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (answer(200, {"ok": True, "result": {}}), Delivered()),
        (answer(200, {"ok": False}), Retry("HTTP 200 without Telegram's ok", in_doubt=True)),
        (answer(200, b"<html>"), Retry("HTTP 200 without Telegram's ok", in_doubt=True)),
        (answer(200, []), Retry("HTTP 200 without Telegram's ok", in_doubt=True)),
        (refused(429, "Too Many Requests", retry_after=7), Retry("HTTP 429: Too Many Requests", after=7.0)),
        (answer(429, {"parameters": {"retry_after": 3}}, Retry_After="5"), Retry("HTTP 429", after=5.0)),
        (answer(429, {"parameters": 3}), Retry("HTTP 429")),
        (answer(502, b""), Retry("HTTP 502")),
        (
            refused(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-1001),
            Retry("the group became a supergroup and has another id now", after=0.0),
        ),
        (refused(400, "Bad Request: chat not found"), Gone("HTTP 400: Bad Request: chat not found")),
        (refused(400, "Bad Request: message thread not found"), Gone("HTTP 400: Bad Request: message thread not found")),
        (
            refused(400, "Bad Request: not enough rights to send text messages to the chat"),
            Unauthorised("HTTP 400: Bad Request: not enough rights to send text messages to the chat"),
        ),
        (refused(400, "Bad Request: can't parse entities"), Rejected("HTTP 400: Bad Request: can't parse entities")),
        (refused(401, "Unauthorized"), Unauthorised("HTTP 401: Unauthorized")),
        (refused(404, "Not Found"), Unauthorised("HTTP 404: Not Found")),
        (refused(403, "Forbidden: bot was blocked by the user"), Gone("HTTP 403: Forbidden: bot was blocked by the user")),
        (answer(302, b""), Rejected("HTTP 302")),
        (answer(410, b""), Gone("HTTP 410")),
    ],
)
def test_what_telegram_means(given: Answer, outcome: Outcome) -> None:
    assert telegram.judge(given, EPOCH) == outcome


def test_an_answer_of_telegrams_shows_no_token() -> None:
    outcome = telegram.judge(refused(400, f"no such path: /bot{TOKEN}/x\n"), EPOCH)
    assert outcome == Rejected("HTTP 400: no such path: /bot***/x\\n")


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (answer(202, b""), Delivered()),
        (answer(200, b"1"), Delivered()),
        (
            answer(
                200,
                b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x",
            ),
            Retry("HTTP 429 in an answer that said 200"),
        ),
        (
            answer(200, b"... Microsoft Teams endpoint returned HTTP error 429 ...", Retry_After="7"),
            Retry("HTTP 429 in an answer that said 200", after=7.0),
        ),
        (answer(200, b"Microsoft Teams endpoint returned HTTP error 413"), Rejected("HTTP 413")),
        (answer(429, b"", Retry_After="3"), Retry("HTTP 429", after=3.0)),
        (answer(400, b"Summary or Text is required."), Rejected("HTTP 400")),
        (
            answer(400, {"error": {"code": "WorkflowTriggerIsNotEnabled"}}),
            Gone("HTTP 400: the workflow was deleted or turned off"),
        ),
        (answer(400, {"error": []}), Rejected("HTTP 400")),
        (answer(404, {"error": {"code": "WorkflowNotFound"}}), Gone("HTTP 404: the workflow was deleted or turned off")),
        (answer(410, b""), Gone("HTTP 410")),
        (answer(401, b""), Unauthorised("HTTP 401")),
        (answer(413, b""), Rejected("HTTP 413")),
    ],
)
def test_what_teams_means(given: Answer, outcome: Outcome) -> None:
    assert teams.judge(given, EPOCH) == outcome


@given(st.binary(max_size=60), st.integers(100, 599))
def test_no_answer_upsets_anybody(body: bytes, status: int) -> None:
    for judge in (discord.judge, telegram.judge, teams.judge):
        judge(Answer(status, {}, body), EPOCH)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@given(
    st.dictionaries(st.sampled_from(["ok", "code", "retry_after", "description", "error"]), JSON),
    st.dictionaries(st.sampled_from(["retry_after", "migrate_to_chat_id"]), JSON),
    st.sampled_from([200, 400, 403, 404, 429, 500]),
)
def test_no_json_upsets_anybody(said: dict[str, object], parameters: dict[str, object], status: int) -> None:
    given = answer(status, {**said, "parameters": parameters})
    for judge in (discord.judge, telegram.judge, teams.judge):
        outcome = judge(given, EPOCH)
        assert not isinstance(outcome, Retry) or outcome.after is None or 0 <= outcome.after <= 86_400


# -- over the wire


@dataclass
class Peer:
    """A real HTTP server that keeps what it is sent, and answers the next of `answers`; the last one for ever."""

    answers: list[tuple[int, object]]
    url: str = ""
    got: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append((request.path_qs, request.headers, json.loads(await request.read())))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response(body, status=status)


@asynccontextmanager
async def peer(*answers: tuple[int, object]) -> AsyncIterator[Peer]:
    it = Peer(list(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield it
    finally:
        await runner.cleanup()


@pytest.mark.real_time
async def test_discord_is_asked_to_say_when_it_failed() -> None:
    async with peer((200, {"id": "1"})) as server:
        channel = DiscordNotificationChannel(f"{server.url}/api/webhooks/1/s3cret?thread_id=5", username="Watchdog")
        assert await channel.deliver(NOTICE) == Delivered()
    ((path, headers, document),) = server.got
    assert path == "/api/webhooks/1/s3cret?thread_id=5&wait=true"
    assert headers["Content-Type"] == "application/json"
    assert document == discord.payload(NOTICE, username="Watchdog")


@pytest.mark.real_time
async def test_discord_says_when_to_come_again_and_that_the_webhook_is_gone() -> None:
    async with peer((429, {"retry_after": 1.2, "global": False}), (404, {"code": 10015})) as server:
        channel = DiscordNotificationChannel(f"{server.url}/api/webhooks/1/s3cret")
        assert await channel.deliver(NOTICE) == Retry("HTTP 429", after=1.2)
        assert await channel.deliver(NOTICE) == Gone("HTTP 404: the webhook was deleted")


@pytest.mark.real_time
async def test_telegram_sends_a_message_by_the_bots_address() -> None:
    async with peer((200, {"ok": True})) as server:
        channel = TelegramNotificationChannel(TOKEN, -1001234, message_thread_id=3, api_url=f"{server.url}/")
        assert await channel.deliver(NOTICE) == Delivered()
    ((path, _, document),) = server.got
    assert path == f"/bot{TOKEN}/sendMessage"
    assert document == telegram.payload(NOTICE, -1001234, message_thread_id=3)


@pytest.mark.real_time
async def test_a_group_of_telegrams_that_moved_is_followed() -> None:
    moved = {"ok": False, "description": "Bad Request: upgraded", "parameters": {"migrate_to_chat_id": -1009}}
    async with peer((400, moved), (200, {"ok": True})) as server:
        channel = TelegramNotificationChannel(TOKEN, -1, api_url=server.url)
        outcome = await channel.deliver(NOTICE)
        assert outcome == Retry("the group became a supergroup and has another id now", after=0.0)
        assert await channel.deliver(NOTICE) == Delivered()
    assert [document["chat_id"] for _, _, document in server.got] == [-1, -1009]


def test_no_group_moves_to_nonsense() -> None:
    assert moved_to(refused(400, "x", migrate_to_chat_id=True)) is None
    assert moved_to(refused(400, "x", migrate_to_chat_id="7")) is None
    assert moved_to(answer(400, b"x")) is None


@pytest.mark.real_time
async def test_a_token_file_is_read_at_each_send(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with peer((200, {"ok": True})) as server:
        channel = TelegramNotificationChannel(chat_id=7, token_file=str(file), api_url=server.url)
        assert await channel.deliver(NOTICE) == Retry(f"{file} cannot be read: No such file or directory")
        file.write_text("1:first\n")
        assert await channel.deliver(NOTICE) == Delivered()
        file.write_text("1:second")
        assert await channel.deliver(NOTICE) == Delivered()
        file.write_text("1:a/../../x")
        outcome = await channel.deliver(NOTICE)
        assert isinstance(outcome, Unauthorised)
        assert "1:a" not in outcome.why
    assert [path for path, _, _ in server.got] == ["/bot1:first/sendMessage", "/bot1:second/sendMessage"]


@pytest.mark.real_time
async def test_teams_gets_the_card_and_may_say_later() -> None:
    async with peer((202, None), (200, "endpoint returned HTTP error 429")) as server:
        channel = TeamsNotificationChannel(f"{server.url}/workflows/1?sig=s3cret")
        assert await channel.deliver(NOTICE) == Delivered()
        assert await channel.deliver(NOTICE) == Retry("HTTP 429 in an answer that said 200")
    assert server.got[0][2] == teams.payload(NOTICE)
    assert server.got[0][0] == "/workflows/1?sig=s3cret"


TEMPLATE = "**{{ alert.title }}**\n{{ labels.path }} & more"


@pytest.mark.real_time
async def test_a_template_words_what_stands_below_the_title() -> None:
    async with peer((200, {"ok": True})) as server:
        for channel in (
            DiscordNotificationChannel(server.url, text_template=TEMPLATE),
            TelegramNotificationChannel(TOKEN, 7, api_url=server.url, text_template=TEMPLATE),
            TeamsNotificationChannel(server.url, text_template=TEMPLATE),
        ):
            assert await channel.deliver(NOTICE) == Delivered()
    (_, _, at_discord), (_, _, at_telegram), (_, _, at_teams) = server.got
    (embed,) = at_discord["embeds"]
    assert "fields" not in embed
    assert (embed["title"], embed["description"]) == (
        "FIRING [error] Queue long",
        "**Queue long**\n\\<b>*_a_*\\</b> & more",
    )
    assert at_telegram["text"] == ("<b>FIRING [error] Queue long</b>\n\n**Queue long**\n&lt;b&gt;*_a_*&lt;/b&gt; &amp; more")
    _, block = at_teams["attachments"][0]["content"]["body"]
    assert block["text"] == "**Queue long**\n\n\\<b>*_a_*\\</b> & more"


MAKERS: list[Callable[[str], DeliveringChannel]] = [
    lambda url: DiscordNotificationChannel(f"{url}/api/webhooks/1/s3cret", timeout=0.3),
    lambda url: TelegramNotificationChannel(TOKEN, 7, api_url=url, timeout="300ms"),
    lambda url: TeamsNotificationChannel(f"{url}/x?sig=s3cret", timeout=0.3),
]


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """One that takes everything and says nothing."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listening.append(asyncio.current_task())
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listening: list[asyncio.Task[None] | None] = []
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.wait_for(asyncio.gather(*filter(None, listening)), 5)  # the channel has closed its end


@pytest.mark.real_time
@pytest.mark.parametrize("make", MAKERS)
async def test_who_does_not_answer_in_time_is_tried_again(make: Callable[[str], DeliveringChannel]) -> None:
    async with silent_server() as url:
        assert await make(url).deliver(NOTICE) == Retry("no answer within 0.3 s", in_doubt=True)


@pytest.mark.real_time
@pytest.mark.parametrize("make", MAKERS)
async def test_a_cancelled_send_returns_at_once(make: Callable[[str], DeliveringChannel]) -> None:
    async with silent_server() as url:
        sending = asyncio.create_task(make(url).deliver(NOTICE))
        await asyncio.sleep(0.1)
        sending.cancel()
        begun = asyncio.get_running_loop().time()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert asyncio.get_running_loop().time() - begun < 0.1


@pytest.mark.real_time
@pytest.mark.parametrize("make", MAKERS)
async def test_nothing_that_a_channel_says_of_a_failure_holds_its_secret(make: Callable[[str], DeliveringChannel]) -> None:
    async with peer(
        (400, {"ok": False, "description": f"bot{TOKEN}", "message": TOKEN, "error": {"code": TOKEN}})
    ) as server:
        outcomes = [await make(server.url).deliver(NOTICE), await make("http://127.0.0.1:1").deliver(NOTICE)]
    said = f"{outcomes}{make(server.url)!r}"
    assert "s3cret" not in said


# -- how they are made


@pytest.mark.parametrize(
    ("make", "name", "shown"),
    [
        (lambda: DiscordNotificationChannel("https://discord.com/api/webhooks/1/s3cret"), "discord", "discord.com"),
        (lambda: TelegramNotificationChannel(TOKEN, "@ops"), "telegram", "api.telegram.org @ops"),
        (lambda: TeamsNotificationChannel("https://x.example.com/?sig=s3cret"), "teams", "x.example.com"),
    ],
)
def test_channels_have_names_and_show_no_secret(make: Callable[[], DeliveringChannel], name: str, shown: str) -> None:
    channel = make()
    assert channel_name(channel) == name
    assert repr(channel) == f"<{type(channel).__name__} {shown}>"
    assert channel.rate == (1.0, 5)


@pytest.mark.parametrize(
    ("make", "at", "message"),
    [
        (lambda: DiscordNotificationChannel("s3cret"), "webhook_url", "discord channel: an address that is no URL"),
        (lambda: TeamsNotificationChannel("s3cret"), "webhook_url", "teams channel: an address that is no URL"),
        (lambda: TelegramNotificationChannel(TOKEN, 7, api_url="s3cret"), "api_url", "an address that is no URL"),
        (
            lambda: DiscordNotificationChannel("http://x/", username="My Discord bot"),
            "username",
            "with 'discord' or 'clyde'",
        ),
        (lambda: DiscordNotificationChannel("http://x/", username="x" * 81), "username", "1 to 80 characters"),
        (lambda: DiscordNotificationChannel("http://x/", username=" "), "username", "1 to 80 characters"),
        (lambda: DiscordNotificationChannel("http://x/", timeout="0s"), "timeout", "more than 0 and at most 1m"),
        (lambda: TeamsNotificationChannel("http://x/", timeout="61s"), "timeout", "more than 0 and at most 1m"),
        (lambda: TeamsNotificationChannel("http://x/", timeout="soon"), "timeout", "not a duration"),
        (lambda: TeamsNotificationChannel("http://x/", egress="all"), "egress", "public"),
        (
            lambda: DiscordNotificationChannel("http://x/", text_template="{{"),
            "text_template",
            "discord channel: text_template",
        ),
        (lambda: TeamsNotificationChannel("http://x/", text_template="{{"), "text_template", "teams channel: text_template"),
        (
            lambda: TelegramNotificationChannel(TOKEN, 7, text_template="{{"),
            "text_template",
            "telegram channel: text_template",
        ),
        (lambda: TelegramNotificationChannel("", 7), "token", "a token that is empty"),
        (lambda: TelegramNotificationChannel("s3cret", 7), "token", "a token that is none; use what the BotFather gave"),
        (lambda: TelegramNotificationChannel("1:s3cret\n", 7), "token", "a token with line breaks"),
        (lambda: TelegramNotificationChannel("1:s3cret/x", 7), "token", "a token that is none"),
        (lambda: TelegramNotificationChannel(chat_id=7), "token", "neither token nor token_file"),
        (lambda: TelegramNotificationChannel(TOKEN, 7, token_file="x"), "token", "both token and token_file"),
        (lambda: TelegramNotificationChannel(TOKEN), "chat_id", "the chat_id None"),
        (lambda: TelegramNotificationChannel(TOKEN, True), "chat_id", "the chat_id True"),
        (lambda: TelegramNotificationChannel(TOKEN, "ops"), "chat_id", "use a number, such as -1001234, or '@name'"),
        (lambda: TelegramNotificationChannel(TOKEN, 7, message_thread_id=0), "message_thread_id", "use a number above 0"),
        (lambda: TelegramNotificationChannel(TOKEN, 7, message_thread_id="x"), "message_thread_id", "use a number above 0"),  # type: ignore[arg-type]
    ],
)
def test_what_is_set_wrongly_is_told_at_once(make: Callable[[], object], at: str, message: str) -> None:
    with pytest.raises(ChannelError, match=re.escape(message)) as told:
        make()
    assert told.value.field == at
    assert "s3cret" not in str(told.value)


# -- what channels are given


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret.of("s3cret", None, field="token", where="channel")
    assert (repr(secret), f"{secret}", secret.reveal()) == ("***", "***", "s3cret")


@pytest.mark.parametrize(("content", "value"), [(b"abc\n", "abc"), (b"abc\r\n", "abc"), (b"abc", "abc"), (b"a c ", "a c ")])
def test_a_secret_file_may_end_with_a_line_break(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "key").write_bytes(content)
    assert Secret.of(None, tmp_path / "key", field="token", where="channel").reveal() == value


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "a secret that is empty"),
        (b"\n", "a secret that is empty"),
        (b"a\nb", "a secret with line breaks"),
        (b"a\0b", "a secret with line breaks or control characters"),
        (b"\xff\xfe", "a secret that is no UTF-8 text"),
        (b"x" * 10_000, "a secret of more than 8192 characters"),
    ],
)
def test_a_secret_file_that_holds_none_says_so_without_its_content(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SecretUnreadable, match=f"key holds {why}"):
        Secret.of(None, tmp_path / "key", field="token", where="channel").reveal()


def test_a_secret_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(SecretUnreadable, match="is no file"):
        Secret.of(None, tmp_path, field="token", where="channel").reveal()
    with pytest.raises(SecretUnreadable, match="cannot be read: No such file"):
        Secret.of(None, tmp_path / "x", field="token", where="channel").reveal()


@pytest.mark.parametrize("value", [7, b"x", ["x"]])
def test_a_secret_is_a_text(value: Any) -> None:
    with pytest.raises(ChannelError, match="channel: a .* as token; use a text"):
        Secret.of(value, None, field="token", where="channel")


@pytest.mark.parametrize("file", ["", 7, b"x", "a\0b"])
def test_a_secret_file_is_a_path(file: Any) -> None:
    with pytest.raises(ChannelError, match="token_file is no path; name a file"):
        Secret.of(None, file, field="token", where="channel")


def test_a_timeout_is_a_duration_of_a_minute_at_most() -> None:
    assert [timeout_of(value, "channel") for value in ("10s", 1, "1m", 0.5)] == [10.0, 1.0, 60.0, 0.5]
    for value in (0, -1, "61s", "1h", float("nan"), "ten", True):
        with pytest.raises(ChannelError) as told:
            timeout_of(value, "channel")
        assert told.value.field == "timeout"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1.5, 1.5),
        (0, 0.0),
        (10**400, 86_400.0),
        (-1, None),
        (True, None),
        ("7", None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_a_pause_is_a_number_of_seconds(value: object, seconds: float | None) -> None:
    assert seconds_of(value) == seconds


def test_a_text_is_one_line() -> None:
    assert text_of("a b", "client", "channel", longest=5) == "a b"
    assert text_of(None, "client", "channel", longest=5) is None
    for value in ("", "a\nb", "abcdef", 7):
        with pytest.raises(ChannelError, match="use one line of 1 to 5 characters"):
            text_of(value, "client", "channel", longest=5)  # type: ignore[arg-type]
