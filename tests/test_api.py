"""The HTTP API: what it shows, what it takes, and from whom."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from aiohttp import ClientSession, web

from kailash_monitor.alerts import Alert, AlertManager, AlertRule, AlertSeverity
from kailash_monitor.blocking import AlertManager as BlockingManager
from kailash_monitor.engine.completion import Completion, Settled
from kailash_monitor.engine.status import ChannelStatus, DeadLetter, Waiting
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.web import Listen, Request, Site, aiohttp_app, aiohttp_server, serve
from kailash_monitor.web.access import Access
from kailash_monitor.web.body import LONGEST_TEXT
from kailash_monitor.web.http import MAX_BODY
from kailash_monitor.web.routes import Route

TOKEN = "t0ken-that-nobody-guesses"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROOT = 'disk_app{mount="/"}'


WAITING = Waiting(
    id="ops x",
    channel="ops",
    group="team=x",
    kinds=("firing", "resolved"),
    alert_ids=("a", "b"),
    due=NOON,
    attempts=2,
    in_doubt=True,
    why="HTTP 500",
)

STATUS = ChannelStatus(
    name="ops",
    state="open",
    since=None,
    why="HTTP 500",
    delivered=3,
    failed=2,
    waiting=1,
    open_until=NOON,
    tokens=4.56,
    rate=0.5,
    burst=5,
    fallback="pager",
    refuses=False,
)


class Manager(AlertManager):
    """A manager whose outbox is what the test says."""

    def __init__(self, registry: MetricsRegistry) -> None:
        super().__init__(registry)
        alert = Alert("a", "r", AlertSeverity.ERROR, "A", "d")
        notice = Notice("m", NoticeKind.DIGEST, alert, sent_at=0.0, items=(Item(NoticeKind.FIRING, alert),))
        letter = DeadLetter(id="letter-1", channel="ops", at=NOON, notice=notice, why="HTTP 404", attempts=1)
        self.letters = {letter.id: letter}
        self.resent = list[str]()

    def outbox_slices(self) -> Iterator[list[Waiting]]:
        return iter([[WAITING]])

    def channel_status(self) -> list[ChannelStatus]:
        return [STATUS]

    def dead_letters(self) -> list[DeadLetter]:
        return list(self.letters.values())

    def resend(self, letter_id: str) -> Completion[bool]:
        async def done() -> bool:
            await asyncio.sleep(0.01)  # as long as a store takes
            self.resent += [letter_id] if letter_id in self.letters else []
            return letter_id in self.letters

        return Completion(done)

    def discard(self, letter_id: str) -> Completion[bool]:
        async def kept() -> None:
            await asyncio.sleep(0.01)

        return Settled(self.letters.pop(letter_id, None) is not None, kept)


@pytest.fixture
async def manager(registry: MetricsRegistry) -> AsyncIterator[Manager]:
    """One that runs, with two alerts: `busy_app`, and that of the disk at `/`."""
    manager = Manager(registry)
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1, labels={"team": "x"}))
    manager.add_rule(AlertRule("disk", "d", "critical", "used", "> 5", evaluation_interval=1, group_by=["mount"]))
    registry.collector("app").set_gauge("queue", 9)
    registry.collector("app").set_gauge("used", 9, {"mount": "/"})
    async with manager:
        await asyncio.sleep(1.5)
        yield manager


@pytest.fixture
async def site(manager: Manager) -> Site:
    return Site(manager, TOKEN)


GOOD = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", "host": "127.0.0.1:9464"}


async def say(
    site: Site, method: str, path: str, body: object = b"", headers: Mapping[str, str] = GOOD
) -> tuple[int, dict[str, object]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await site.handle(Request(method, path, headers=headers, body=raw))
    document = json.loads(response.body)
    assert isinstance(document, dict)
    return response.status, document


async def get(site: Site, path: str) -> dict[str, object]:
    status, document = await say(site, "GET", path, headers={})
    assert status == 200
    return document


CHANGES = [
    ("POST", "/api/silences"),
    ("DELETE", "/api/silences/x"),
    ("POST", "/api/alerts/acknowledge"),
    ("POST", "/api/dead-letters/letter-1/resend"),
    ("DELETE", "/api/dead-letters/letter-1"),
]


# -- what there is to see


async def test_what_waits_what_was_given_up_and_how_channels_do(site: Site) -> None:
    assert (await get(site, "/api/outbox"))["waiting"] == [
        {
            "id": "ops x", "channel": "ops", "group": "team=x", "kinds": ["firing", "resolved"], "alert_ids": ["a", "b"],
            "due": "2026-01-01T12:00:00+00:00", "attempts": 2, "in_doubt": True, "why": "HTTP 500",
        }
    ]  # fmt: skip
    assert (await get(site, "/api/channels"))["channels"] == [
        {
            "name": "ops", "state": "open", "since": None, "why": "HTTP 500", "delivered": 3, "failed": 2, "waiting": 1,
            "open_until": "2026-01-01T12:00:00+00:00", "tokens": 4.6, "rate": 0.5, "burst": 5, "fallback": "pager",
            "refuses": False,
        }
    ]  # fmt: skip
    (letter,) = (await get(site, "/api/dead-letters"))["dead_letters"]  # type: ignore[misc]
    notice = letter.pop("notice")
    assert letter == {
        "id": "letter-1", "channel": "ops", "at": "2026-01-01T12:00:00+00:00", "why": "HTTP 404", "attempts": 1,
    }  # fmt: skip
    assert (notice["id"], notice["kind"], notice["alert"]["id"]) == ("m", "digest", "a")
    assert [(item["kind"], item["alert"]["id"]) for item in notice["items"]] == [("firing", "a")]


async def test_silences_are_shown_with_who_and_why(site: Site, manager: Manager) -> None:
    manager.silence(team="x", duration="1h", author="ann", reason="deploy")
    document = await get(site, "/api/silences")
    (silence,) = document["silences"]  # type: ignore[misc]
    assert silence.pop("id") == manager.silences()[0].id
    assert silence == {
        "alert_id": None, "matchers": 'team="x"', "state": "active", "starts_at": document["at"],
        "ends_at": "2023-11-14T23:13:21.500000+00:00", "until_resolved": False, "author": "ann", "reason": "deploy",
    }  # fmt: skip


async def test_an_alert_is_explained_by_its_id_slashes_and_all(site: Site, manager: Manager) -> None:
    manager.silence_alert(ROOT)
    document = await get(site, f"/api/alerts/{ROOT}/explain")
    assert (document["alert"]["id"], document["state"], document["suppressed"]) == (ROOT, "firing", "silenced")  # type: ignore[index]
    assert document["channels"] == []
    assert document["history"]
    assert str(document["text"]).startswith(f"{ROOT} #1: firing, critical")
    status, wrong = await say(site, "GET", "/api/alerts/nothing/explain")
    assert (status, wrong) == (404, {"error": "no alert 'nothing'"})


async def test_an_explanation_tells_the_attempts_and_decisions_of_each_channel(registry: MetricsRegistry) -> None:
    async def log(alert: Alert, context: object) -> bool:
        return True

    class Ops:
        send_notification = staticmethod(log)

    manager = Manager(registry)
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1))
    manager.add_notification_channel(Ops())  # type: ignore[arg-type]
    registry.collector("app").set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(1.5)
        document = await get(Site(manager), "/api/alerts/busy_app/explain")
    (story,) = document["channels"]  # type: ignore[misc]
    assert (story["channel"], story["heard"], story["reason"]) == ("ops", "told", "already_told")
    (attempt,) = story["attempts"]
    assert (attempt["kind"], attempt["outcome"], attempt["attempt"]) == ("firing", "delivered", 1)
    decisions = [entry for entry in document["history"] if entry.get("message_id")]  # type: ignore[attr-defined]
    assert [(entry["channel"], entry["reason"], entry["message_id"]) for entry in decisions] == [
        ("ops", "fired", attempt["message_id"])
    ]


async def test_long_lists_pause_for_the_host_program(registry: MetricsRegistry) -> None:
    manager = Manager(registry)
    manager.add_rule(AlertRule("disk", "d" * 500, "critical", "used", "> 5", evaluation_interval=1, group_by=["mount"]))
    collector = registry.collector("app", max_series=3_000)
    for number in range(3_000):
        collector.set_gauge("used", 9, {"mount": f"/{number}"})
    pauses = 0

    async def host() -> None:
        nonlocal pauses
        while True:
            pauses += 1
            await asyncio.sleep(0)

    async with manager:
        await asyncio.sleep(1.5)
        program = asyncio.create_task(host())
        await asyncio.sleep(0)
        document = await get(Site(manager), "/api/alerts")
        program.cancel()
    assert pauses > 3
    assert len(document["alerts"]) == 3_000  # type: ignore[arg-type]


def test_what_stands_for_an_id_may_be_anything_but_nothing() -> None:
    async def answer(_: Request, __: str) -> object: ...

    route = Route("GET", "/a/<id>/b", answer)  # type: ignore[arg-type]
    for path, an_id in {"/a/x/b": "x", "/a/x/b/b": "x/b", "/a///b": "/", "/a//b": None, "/a/b": None, "/a/x": None}.items():
        assert route.id_in(path) == an_id


# -- who may change something


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_without_a_token_it_only_reads_and_says_how_to_change_that(manager: Manager, method: str, path: str) -> None:
    status, document = await say(Site(manager), method, path)
    assert status == 403
    assert "this API only reads" in str(document["error"])
    assert "Authorization: Bearer" in str(document["error"])
    assert (manager.letters.keys(), manager.resent, manager.silences()) == ({"letter-1"}, [], [])


WITHOUT = {name: value for name, value in GOOD.items() if name != "authorization"}


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (WITHOUT, 401),
        ({**WITHOUT, "authorization": ""}, 401),
        ({**WITHOUT, "authorization": TOKEN}, 401),
        ({**WITHOUT, "authorization": "Bearer"}, 401),
        ({**WITHOUT, "authorization": f"Basic {TOKEN}"}, 401),
        ({**WITHOUT, "authorization": f"Bearer {TOKEN}x"}, 401),
        ({**WITHOUT, "authorization": "Bearer t\udcff"}, 401),
        ({**GOOD, "origin": "https://evil.example"}, 403),
        ({**GOOD, "origin": "null"}, 403),
        ({**GOOD, "origin": "http://127.0.0.1:8000"}, 403),
        ({**GOOD, "origin": "http://["}, 403),
        ({**GOOD, "host": "evil.example:9464"}, 403),
        ({**GOOD, "host": "evil.example:9464", "origin": "http://evil.example:9464"}, 403),
        ({**GOOD, "host": "127.0.0.1.evil.example"}, 403),
        ({**GOOD, "host": "["}, 403),
        ({"authorization": f"Bearer {TOKEN}", "content-type": "application/json", "origin": "http://a"}, 403),
    ],
)  # fmt: skip
async def test_who_may_not_change_anything(
    site: Site, manager: Manager, method: str, path: str, headers: dict[str, str], expected: int
) -> None:
    status, document = await say(site, method, path, headers=headers)
    assert status == expected
    assert TOKEN not in str(document)
    assert (manager.letters.keys(), manager.resent, manager.silences()) == ({"letter-1"}, [], [])


async def test_who_shows_no_token_is_told_which_scheme(site: Site) -> None:
    bare = await site.handle(Request("POST", "/api/silences", headers=WITHOUT))
    wrong = await site.handle(Request("POST", "/api/silences", headers={**GOOD, "authorization": "Bearer x"}))
    assert bare.headers["WWW-Authenticate"] == "Bearer"
    assert wrong.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:9464"},
        {"host": "[::1]:9464", "origin": "http://[::1]:9464"},
        {"host": "LOCALHOST:9464"},
        {"host": "monitor.example", "origin": "https://monitor.example"},
        {"authorization": f"bearer  {TOKEN}"},
        {"content-type": "application/json; charset=utf-8"},
    ],
)
async def test_who_may(manager: Manager, headers: dict[str, str]) -> None:
    site = Site(manager, TOKEN, hosts=["monitor.example"])
    assert await say(site, "DELETE", "/api/dead-letters/letter-1", headers={**GOOD, **headers}) == (
        200, {"discarded": "letter-1"},
    )  # fmt: skip


@pytest.mark.parametrize("token", ["", "two words", "bäd", "line\nbreak", 5])
def test_a_token_that_no_header_can_hold_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ConfigurationError, match="Site: a token that is empty or cannot stand in a header;") as error:
        Access(token)
    assert str(token) not in str(error.value) or not token


def test_hosts_are_a_list() -> None:
    with pytest.raises(ConfigurationError, match="a list of host names"):
        Access(TOKEN, "monitor.example")


async def test_the_token_is_never_shown(site: Site, manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    class Broken(Manager):
        def resend(self, letter_id: str) -> Completion[bool]:
            raise ValueError(letter_id)

    broken = Site(Broken(manager.metrics_registry), TOKEN)
    assert (await say(broken, "POST", "/api/dead-letters/letter-1/resend"))[0] == 500
    await say(site, "POST", "/api/silences", {"matchers": "x="})
    pages = [await site.handle(Request(method, path, headers=GOOD)) for method, path in [("GET", "/"), *CHANGES]]
    shown = [caplog.text, repr(site), repr(Access(TOKEN)), *(str(page) for page in pages)]
    assert [text for text in shown if TOKEN in text] == []
    assert "the page POST /api/dead-letters/<id>/resend failed" in caplog.text


# -- what is taken


async def test_a_silence_by_matchers_covers_what_they_match(site: Site, manager: Manager) -> None:
    fields = {"matchers": {"team": "x"}, "duration": "2h", "author": "ann", "reason": "deploy"}
    status, document = await say(site, "POST", "/api/silences", fields)
    assert (status, document["covers"]) == (201, ["busy_app"])
    assert document["silence"] == (await get(site, "/api/silences"))["silences"][0]  # type: ignore[index]
    assert {alert.id: alert.status.value for alert in manager.get_active_alerts()} == {
        "busy_app": "silenced",
        ROOT: "firing",
    }
    (silence,) = manager.silences()
    assert (silence.author, silence.reason, (silence.ends_at - silence.starts_at).total_seconds()) == ("ann", "deploy", 7200)


@pytest.mark.parametrize("matchers", ["team=x", ["team=x"], ['team=~"x|y"', "team!=y"], {"team": "x"}])
async def test_matchers_come_as_people_write_them(site: Site, matchers: object) -> None:
    _, document = await say(site, "POST", "/api/silences", {"matchers": matchers})
    assert document["covers"] == ["busy_app"]


@pytest.mark.parametrize(("duration", "seconds"), [(None, 86_400), (90, 90), (0.5, 0.5), ("1h30m", 5_400)])
async def test_how_long_a_silence_lasts(site: Site, manager: Manager, duration: object, seconds: float) -> None:
    fields = {"matchers": ["team=x"], "duration": duration, "starts_in": "10m"}
    _, document = await say(site, "POST", "/api/silences", fields)
    (silence,) = manager.silences()
    assert (silence.ends_at - silence.starts_at).total_seconds() == pytest.approx(seconds)
    assert document["silence"]["state"] == "pending"  # type: ignore[index]


@pytest.mark.parametrize(("alert_id", "covers"), [(ROOT, [ROOT]), ("not_yet_app", [])])
async def test_a_silence_of_one_alert_lasts_until_it_is_over(site: Site, alert_id: str, covers: list[str]) -> None:
    status, document = await say(site, "POST", "/api/silences", {"alert_id": alert_id})
    assert (status, document["covers"]) == (201, covers)
    assert document["silence"]["until_resolved"]  # type: ignore[index]
    _, document = await say(site, "POST", "/api/silences", {"alert_id": alert_id, "duration": "1h"})
    assert not document["silence"]["until_resolved"]  # type: ignore[index]


async def test_a_silence_is_ended_once(site: Site, manager: Manager) -> None:
    silence = manager.silence(team="x")
    assert await say(site, "DELETE", f"/api/silences/{silence.id}") == (200, {"ended": silence.id})
    again = (404, {"error": f"no silence that is not over '{silence.id}'"})
    assert await say(site, "DELETE", f"/api/silences/{silence.id}") == again
    assert manager.get_active_alerts()[0].status.value == "firing"


async def test_an_alert_is_acknowledged(site: Site, manager: Manager) -> None:
    fields = {"alert_id": ROOT, "author": "ann"}
    assert await say(site, "POST", "/api/alerts/acknowledge", fields) == (200, {"acknowledged": ROOT})
    explanation = manager.explain(ROOT)
    assert explanation is not None
    assert explanation.acknowledged_by == "ann"
    assert await say(site, "POST", "/api/alerts/acknowledge", {"alert_id": "x"}) == (
        404, {"error": "no pending or firing alert 'x'"},
    )  # fmt: skip


async def test_dead_letters_are_resent_or_discarded_and_that_is_waited_for(site: Site, manager: Manager) -> None:
    assert await say(site, "POST", "/api/dead-letters/letter-1/resend") == (200, {"resent": "letter-1"})
    assert manager.resent == ["letter-1"]
    assert await say(site, "DELETE", "/api/dead-letters/letter-1", {}) == (200, {"discarded": "letter-1"})
    for method, path in (("DELETE", "/api/dead-letters/letter-1"), ("POST", "/api/dead-letters/letter-1/resend")):
        assert await say(site, method, path) == (404, {"error": "no dead letter 'letter-1'"})


@pytest.mark.real_time
async def test_a_blocking_manager_takes_the_same() -> None:
    manager = BlockingManager(MetricsRegistry())
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1))
    site = Site(manager, TOKEN)
    for fields in ({"alert_id": "busy_app"}, {"matchers": ["team=x"]}):
        status, document = await say(site, "POST", "/api/silences", fields)
        assert status == 201
        assert (await say(site, "DELETE", f"/api/silences/{document['silence']['id']}"))[0] == 200  # type: ignore[index]
    assert (await say(site, "POST", "/api/alerts/acknowledge", {"alert_id": "busy_app"}))[0] == 404


# -- what is not


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "silence: no alert_id and no matchers; give one of them"),
        ({"alert_id": None, "matchers": None}, "silence: no alert_id and no matchers; give one of them"),
        ({"alert_id": "a", "matchers": ["b=c"]}, "silence: an alert_id and matchers; give one of them"),
        ({"alert_id": "a", "starts_in": "1h"}, "silence: starts_in beside an alert_id; leave it out, or silence by matchers"),
        ({"alert_id": 5}, "the request: alert_id = 5; a text of 1,000 characters at most"),
        ({"alert_id": "a", "reason": "x" * (LONGEST_TEXT + 1)}, f"the request: reason = '{'x' * 79}…; a text of 1,000"),
        ({"alert_id": "a", "author": ["x"]}, "the request: author = ['x']; a text"),
        ({"alert_id": "a", "for": "2h"}, "the request: the unknown field 'for'; there are: alert_id, matchers, duration,"),
        ({"matchers": 5}, "silence: matchers = 5; a text, a list of texts, or an object"),
        ({"matchers": []}, "silence: no label and no matcher; one at least"),
        ({"matchers": ['x=~".*"']}, "silence: the matchers 'x=~\".*\"'; one at least"),
        ({"matchers": "x"}, "silence: 'x' in the matchers 'x'; write name="),
        ({"matchers": ["x=~("]}, "silence: "),
        ({"matchers": [5]}, "silence: 5 in a list of matchers; "),
        ({"matchers": {"x": None}}, "silence: the value None for x; a text"),
        ({"matchers": "a=b", "duration": "soon"}, "silence: the duration 'soon' is not a duration"),
        ({"matchers": "a=b", "duration": 0}, "silence: the duration 0.0; a duration above zero"),
        ({"matchers": "a=b", "duration": -1}, "silence: the duration -1.0; a duration above zero"),
        ({"matchers": "a=b", "duration": True}, "the request: duration = True; seconds, or a text"),
        ({"matchers": "a=b", "duration": {}}, "the request: duration = {}; seconds, or a text"),
        ({"matchers": "a=b", "duration": 10**400}, "the request: duration = 1000"),
        ({"matchers": "a=b", "duration": 1e300}, "silence: the duration 1e+300; ten years at most"),
        ({"matchers": "a=b", "starts_in": "-1h"}, "silence: the duration '-1h'; a duration above zero"),
        ({"alert_id": "\ud800"}, "the request: a body that cannot be read (UnicodeEncodeError); one JSON object in UTF-8"),
        ([], "the request: the body []; a JSON object"),
        ("x", "the request: the body 'x'; a JSON object"),
        (b"{", "the request: a body that cannot be read (JSONDecodeError); one JSON object in UTF-8"),
        (b'{"alert_id": "\xff"}', "the request: a body that cannot be read (UnicodeDecodeError)"),
        (b'{"alert_id": "a", "duration": NaN}', "the request: a body that cannot be read (ValueError)"),
        (b'{"alert_id": "a", "duration": 1e999}', "silence_alert: the duration inf is not a duration"),
        (b"[" * 60_000, "the request: a body that cannot be read (RecursionError)"),
    ],
)  # fmt: skip
async def test_a_silence_that_cannot_be_meant_so_is_told_with_what_was_seen(
    site: Site, manager: Manager, fields: object, error: str
) -> None:
    status, document = await say(site, "POST", "/api/silences", fields)
    assert status == 400
    assert str(document["error"]).startswith(error)
    assert manager.silences() == []


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_an_unknown_field_is_refused_everywhere(site: Site, method: str, path: str) -> None:
    status, document = await say(site, method, path, {"alert": "x"})
    assert (status, document["field"]) == (400, "alert")
    assert "the unknown field 'alert'" in str(document["error"])


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
)
async def test_a_body_that_a_form_could_send_is_not_read(site: Site, content_type: str) -> None:
    headers = {**GOOD, "content-type": content_type}
    status, document = await say(site, "POST", "/api/silences", {"alert_id": "busy_app"}, headers)
    assert status == 415
    assert "Content-Type: application/json" in str(document["error"])


async def test_a_deletion_needs_no_body_and_no_type_of_one(site: Site) -> None:
    headers = {name: value for name, value in GOOD.items() if name != "content-type"}
    assert (await say(site, "DELETE", "/api/dead-letters/letter-1", headers=headers))[0] == 200


@pytest.mark.parametrize(("length", "status"), [(MAX_BODY, 400), (MAX_BODY + 1, 413)])
async def test_a_body_has_a_limit(site: Site, length: int, status: int) -> None:
    assert (await say(site, "POST", "/api/silences", b" " * length))[0] == status


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/silences", "GET, HEAD, POST"),
        ("DELETE", "/api/alerts", "GET, HEAD"),
        ("GET", "/api/alerts/acknowledge", "POST"),
        ("HEAD", "/api/silences/x", "DELETE"),
        ("OPTIONS", "/api/silences", "GET, HEAD, POST"),
    ],
)
async def test_another_method_is_told_which_there_are(site: Site, method: str, path: str, allowed: str) -> None:
    response = await site.handle(Request(method, path, headers=GOOD))
    assert (response.status, response.headers["Allow"]) == (405, allowed)
    assert not any(name.lower().startswith("access-control") for name in response.headers)


async def test_the_list_of_pages_says_what_can_be_changed(site: Site) -> None:
    index = (await site.handle(Request("GET", "/"))).body.decode().splitlines()
    for line in ("/api/silences", "POST /api/silences", "DELETE /api/silences/<id>", "/api/alerts/<id>/explain"):
        assert line in index


# -- over real HTTP


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[tuple[str, ClientSession]]:
    server = await serve(site, Listen("127.0.0.1", 0))
    try:
        async with ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            yield f"http://{server.address}", session
    finally:
        await server.close()


async def test_it_is_changed_over_http(site: Site, manager: Manager) -> None:
    async with served(site) as (url, session):
        async with session.post(f"{url}/api/silences", json={"alert_id": ROOT}) as answer:
            assert answer.status == 201
            silence_id = (await answer.json())["silence"]["id"]
        assert [alert.id for alert in manager.get_active_alerts() if alert.status.value == "silenced"] == [ROOT]
        async with session.delete(f"{url}/api/silences/{silence_id}") as answer:
            assert (answer.status, await answer.json()) == (200, {"ended": silence_id})
        async with session.post(f"{url}/api/silences", data={"alert_id": ROOT}) as answer:
            assert answer.status == 415


@pytest.mark.parametrize("mount", ["/", "/a/../b", "/%2F/?#&", 'ü\\"\n', "/explain"])
async def test_an_id_in_a_path_is_percent_encoded(
    site: Site, manager: Manager, registry: MetricsRegistry, mount: str
) -> None:
    from yarl import URL

    registry.collector("app").set_gauge("used", 9, {"mount": mount})
    await asyncio.sleep(1.5)
    (alert_id,) = [alert.id for alert in manager.get_active_alerts() if alert.title == f"Disk ({mount})"]
    async with served(site) as (url, session):
        address = URL(f"{url}/api/alerts/{quote(alert_id, safe='')}/explain", encoded=True)
        async with session.get(address) as answer:
            assert (answer.status, (await answer.json())["alert"]["id"]) == (200, alert_id)


async def test_a_body_over_http_is_read_to_its_limit_and_no_further(site: Site) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            yield b" " * 10_000

    async with served(site) as (url, session):
        json_type = {"Content-Type": "application/json"}
        async with session.post(f"{url}/api/silences", data=b" " * (MAX_BODY + 1), headers=json_type) as answer:
            assert answer.status == 413
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        head = f"POST /api/silences HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n".encode())
        writer.write(b" " * (MAX_BODY + 1))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(site: Site) -> None:
    async with served(site) as (url, _):
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        writer.write(b"POST /api/silences HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        begun = asyncio.get_running_loop().time()
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        assert asyncio.get_running_loop().time() - begun == pytest.approx(aiohttp_server.BODY_SECONDS, abs=1)
        writer.close()


@pytest.mark.parametrize("rest", [b"Content-Length: 10\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"])
async def test_a_body_that_breaks_off_is_no_error_of_ours(site: Site, rest: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with served(site) as (url, _):
        _, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        writer.write(b"POST /api/silences HTTP/1.1\r\nHost: localhost\r\n" + rest)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.05)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_body_that_a_middleware_has_read_is_taken_all_the_same(site: Site) -> None:
    @web.middleware
    async def nosy(request: web.Request, handler: object) -> web.StreamResponse:
        await request.read()
        return await handler(request)  # type: ignore[operator,no-any-return]

    app = web.Application(middlewares=[nosy])
    app.add_subapp("/monitor", aiohttp_app(site))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/monitor/api/alerts/acknowledge"
    async with (
        ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
        session.post(url, json={"alert_id": "busy_app"}) as answer,
    ):
        assert answer.status == 200
    await runner.cleanup()
