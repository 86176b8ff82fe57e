"""Secrets: what is planted in every field of every channel that may hold one stands nowhere in what comes out.

A new kind of channel needs its plant in PLANTS, which says how to make it with secrets in it.
"""

import asyncio
import base64
import json
import logging
import re
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from kailash_monitor.alerts import Alert, AlertManager, AlertRule, AlertSeverity, AlertStatus, Notice, NoticeKind
from kailash_monitor.channels import DeliveringChannel, from_mapping
from kailash_monitor.channels.mapping import CHANNEL_TYPES, channel_class, channel_parameters
from kailash_monitor.cli.commands import commands
from kailash_monitor.delivery.outcome import Delivered
from kailash_monitor.errors import MonitoringError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.testing import EPOCH
from kailash_monitor.web import Request, Site

from smtp_server import HOST, scripted_server  # isort: skip

pytestmark = [pytest.mark.real_time, pytest.mark.untraced]

MARK: Final = "Pl4nt-"
"""How each secret begins: fit for an address, a header, a token and a key, and to be met nowhere else in the program."""


def in_base64(text: str) -> Iterator[str]:
    """Give what `text` looks like within base64, for each of the three places that it may begin at."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + text.encode()).decode()
        yield encoded[-(-8 * before // 6) : 8 * (before + len(text)) // 6]


LOOKS: Final = (MARK, *in_base64(MARK))


def assert_hidden(where: str, *things: object) -> None:
    """Fail where a secret stands in the text or the repr of a thing, or among bytes."""
    for thing in things:
        text = thing.decode("latin-1") if isinstance(thing, bytes) else f"{thing}\n{thing!r}"
        for look in LOOKS:
            at = text.find(look)
            assert at < 0, f"{where} shows a secret: …{text[max(0, at - 200) : at + 60]}…"


def everything_of(error: BaseException | None) -> Iterator[str]:
    """Give all that an exception tells, and those that it came of, shown or not."""
    while error is not None:
        yield "".join(traceback.format_exception(error))
        yield f"{error}{error!r}{error.args}{vars(error)}"
        yield from everything_of(error.__cause__)
        error = error.__context__


def everything_in(records: Iterable[logging.LogRecord]) -> Iterator[str]:
    for record in records:
        yield logging.Formatter().format(record)
        yield f"{vars(record)}"


# -- what is planted, and where

Settings = dict[str, Any]  # Any: whatever a settings file holds
Keep = Callable[[str], str]
"""Writes a secret into a file, and gives its path."""


@dataclass(frozen=True)
class Plant:
    """`ways` to make a channel that sends to a port of this machine, with a secret in each field that may hold one.

    `wrong` are settings that people write and no channel can have; `harmless` are fields that only sound like secrets.
    `form` is how a secret has to look, around the `{}`.
    """

    ways: tuple[Callable[[int, Keep], Settings], ...]
    wrong: tuple[Settings, ...] = ()
    harmless: frozenset[str] = frozenset()
    form: str = "{}"
    by_mail: bool = False


def secret(name: str) -> str:
    return f"{MARK}{name}"


def address(port: int, *, scheme: str = "http", path: str = f"/{secret('path')}?key={secret('query')}") -> str:
    return f"{scheme}://ann:{secret('user-info')}@{HOST}:{port}{path}"


def webhook(port: int, **settings: Any) -> Settings:
    return {"webhook_url": address(port), **settings}


def alertmanager(port: int, **settings: Any) -> Settings:
    return {"urls": [f"http://{HOST}:{port}/{secret('path')}?key={secret('query')}"], **settings}


def email(port: int, **settings: Any) -> Settings:
    given = {"smtp_host": HOST, "smtp_port": port, "username": "ann@example.com", "to_emails": ["ops@example.com"]}
    return {**given, "use_tls": False, **settings}


PATH: Final = f"/{secret('path')}"
KEY: Final = {"X-Key": secret("header")}

PLANTS: Final[dict[str, Plant]] = {
    "log": Plant((lambda port, keep: {"level": "INFO"},)),
    "webhook": Plant(
        (
            lambda port, keep: webhook(port, headers=KEY, secret=secret("secret")),
            lambda port, keep: webhook(port, format="alertmanager", secret_file=keep(secret("file"))),
            lambda port, keep: {
                "webhook_url": f"http://{HOST}:{port}",
                "headers": {"Authorization": f"Bearer {secret('header')}"},
            },
        ),
        wrong=(
            {"headers": {f"Authorization: Bearer {secret('header')}": ""}},
            {"headers": {"Authorization": f"Bearer {secret('header')}"}},  # beside the user info in the address
            {"secret": f"whsec_{secret('secret')}!"},
        ),
    ),
    "slack": Plant((lambda port, keep: webhook(port),)),
    "teams": Plant((lambda port, keep: webhook(port),)),
    "discord": Plant((lambda port, keep: webhook(port),)),
    "pagerduty": Plant(
        (
            lambda port, keep: {"routing_key": secret("key"), "url": address(port)},
            lambda port, keep: {"routing_key_file": keep(secret("file")), "url": address(port)},
        ),
        harmless=frozenset({"client_url"}),
    ),
    "telegram": Plant(
        (
            lambda port, keep: {"token": f"1:{secret('token')}", "chat_id": -7, "api_url": address(port, path=PATH)},
            lambda port, keep: {"token_file": keep(f"1:{secret('f')}"), "chat_id": -7, "api_url": address(port, path=PATH)},
        ),
        wrong=({"chat_id": f"1:{secret('token')}"},),
        form="1:{}",
    ),
    "alertmanager": Plant(
        (
            lambda port, keep: {"urls": address(port), "headers": KEY},
            lambda port, keep: alertmanager(port, username="ann", password=secret("password"), headers=KEY),
            lambda port, keep: alertmanager(port, username="ann", password_file=keep(secret("file"))),
            lambda port, keep: alertmanager(port, token=secret("token")),
            lambda port, keep: alertmanager(port, token_file=keep(secret("file"))),
        ),
        wrong=(
            {"headers": {f"Authorization: Bearer {secret('header')}": ""}},
            {"headers": {"Authorization": f"Bearer {secret('header')}"}},
            {"urls": [address(9), address(9)]},
        ),
        harmless=frozenset({"generator_url"}),
    ),
    "email": Plant(
        (
            lambda port, keep: email(port, password=secret("password")),
            lambda port, keep: email(port, password_file=keep(secret("file"))),
        ),
        wrong=(
            {"smtp_host": f"smtp://ann:{secret('password')}@mail.example.com"},
            {"smtp_host": "mail.example.com"},  # in clear, to another machine
            {"username": None},
        ),
        by_mail=True,
    ),
    "apprise": Plant(
        (lambda port, keep: {"urls": [address(port, scheme="json", path=f"/{secret('path')}?+X-Key={secret('header')}")]},),
        wrong=(
            {"urls": [f"nothing://{secret('path')}"]},
            {"urls": [address(9, scheme="json"), f"json://{secret('path')}:x"]},
        ),
    ),
}

KINDS: Final = sorted({*CHANNEL_TYPES, *PLANTS})
NEEDS_APPRISE: Final = pytest.mark.skipif(
    find_spec("apprise") is None, reason="apprise, from the extra of that name, is not installed"
)


def plant_of(kind: str) -> Plant:
    if kind not in PLANTS:
        pytest.fail(f"nothing is planted in channels of the kind {kind!r}: plant secrets for it in PLANTS")
    return PLANTS[kind]


def with_marks(kind: str, *values: object) -> Any:  # Any: pytest's
    """Give a case about a channel of this kind."""
    marks = [NEEDS_APPRISE] if kind == "apprise" else []
    return pytest.param(kind, *values, marks=marks, id="-".join(map(str, (kind, *values))))


KIND: Final = pytest.mark.parametrize("kind", [with_marks(kind) for kind in KINDS])
WAYS: Final = [(kind, n) for kind in KINDS for n in range(len(PLANTS[kind].ways) if kind in PLANTS else 1)]
WAY: Final = pytest.mark.parametrize(("kind", "way"), [with_marks(kind, n) for kind, n in WAYS])


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    def write(text: str) -> str:
        path = tmp_path / f"secret-{len(list(tmp_path.iterdir()))}"
        path.write_text(f"{text}\n")
        return str(path)

    return write


def make(kind: str, settings: Settings, **options: object) -> DeliveringChannel:
    known = channel_parameters(kind)
    return from_mapping({"type": kind, **settings, **{key: value for key, value in options.items() if key in known}})


async def made(kind: str, settings: Settings, **options: object) -> DeliveringChannel:
    """Make a channel beside the loop: Apprise takes a second to be imported."""
    return await asyncio.to_thread(make, kind, settings, **options)


# -- servers that tell all they know

HTTP: Final = (
    "works",
    "refused",
    *("200", "302", "400", "401", "403", "404", "410", "429", "500"),
    *("text 200", "text 400", "text 404", "text 500"),
    *("garbage", "bad header", "reset", "slow"),
)
MAIL: Final = (
    "works",
    "refused",
    *("421 HELLO", "530 MAIL", "550 MAIL", "451 MAIL", "421 RCPT", "450 RCPT", "530 RCPT", "551 RCPT"),
    *("535 AUTH", "454 AUTH", "504 AUTH", "550 MAIL LOGIN", "535 AUTH LOGIN"),
    *("550 DATA", "451 DATA", "535 DATA", "554 .", "452 .", "garbage", "reset", "slow"),
)


def answer(manner: str, request: str) -> bytes:
    """Give an answer that repeats what was asked, headers included, wherever it has room for that."""
    if manner == "works":
        return b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"ok": true }'
    asked = " ".join(request.split())[:3000]
    if manner == "garbage":
        return asked.encode()
    status = {"bad header": "500"}.get(manner, manner[-3:])
    body = request if manner.startswith("text") else document_of(asked, request)
    target = asked.split(" ")[1]
    headers = [
        f"Location: {target}",
        f"Retry-After: {asked}",
        f"X-Asked: {asked}",
        f'WWW-Authenticate: Basic realm="{target}"',
    ]
    headers += [f"Set-Cookie: {target}={asked}", f"Set-Cookie: {asked}", f"Content-Length: {len(body.encode())}"]
    if manner == "bad header":
        headers.insert(1, f"this is no header {target}")
    return "\r\n".join([f"HTTP/1.1 {status} {asked}", *headers, "", body]).encode()


def document_of(asked: str, request: str) -> str:
    """Give JSON with what was asked in every field that a service puts its reasons into."""
    said = dict.fromkeys(("message", "error", "description", "detail", "status", "code", "retry_after"), asked)
    return json.dumps({**said, "ok": False, "errors": [asked, request], "parameters": {"retry_after": asked}})


async def answer_one(manner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"(?i)^content-length: (\d+)", head, re.MULTILINE)
    request = head + (await reader.readexactly(int(length[1]) if length else 0)).decode()
    if manner == "slow":
        await reader.read()
    elif manner == "reset":
        writer.transport.abort()
    else:
        writer.write(answer(manner, request))


async def take_mail(manner: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Talk SMTP, and repeat in each answer all that was heard so far."""
    heard: list[str] = []
    offered = "LOGIN" if manner.endswith(" LOGIN") else "PLAIN LOGIN"
    bad, _, stage = manner.removesuffix(" LOGIN").partition(" ")
    good = {"HELLO": "220", "EHLO": f"250-{HOST}\r\n250-AUTH {offered}\r\n250", "AUTH": "235", "DATA": "354", "QUIT": "221"}
    asked, code = "HELLO", ""
    while True:
        said = " ".join(heard)[:600]
        if manner == "garbage" and asked == "MAIL":
            writer.write(f"{said}\r\n".encode())
        elif manner == "reset" and asked == "DATA":
            writer.transport.abort()
            return
        elif manner != "slow" or asked != "MAIL":
            code = bad if stage and asked == stage else "334" if asked == "AUTH LOGIN" else good.get(asked, "250")
            writer.write(f"{code} {said}\r\n".encode())
        line = (await reader.readline()).decode().strip()
        while asked == "DATA" and code == "354" and line != ".":
            line = (await reader.readline()).decode().strip()
        if not line:
            return
        heard.append(line)
        if asked == "AUTH LOGIN":  # this was the password
            asked = "AUTH"
        else:
            asked = "AUTH LOGIN" if line.startswith("AUTH LOGIN") else line.split()[0].upper()


@asynccontextmanager
async def serving(plant: Plant, manner: str) -> AsyncIterator[int]:
    """Give the port of a server with such manners; of none, where connections are refused."""
    talk = take_mail if plant.by_mail else answer_one

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(manner, reader, writer)

    async with scripted_server(converse) as port:
        if manner != "refused":
            yield port
    if manner == "refused":
        yield port


# -- the plants themselves


@KIND
def test_secrets_are_planted_in_every_field_that_may_hold_one(kind: str, keep: Keep) -> None:
    plant = plant_of(kind)
    sound = re.compile("url|token|key|secret|password|headers|credential|auth")
    fields = {name for name in channel_parameters(kind) if sound.search(name)}
    planted = {
        name
        for way in plant.ways
        for name, value in way(9, keep).items()
        if MARK in str(value) or MARK in (Path(value).read_text() if name.endswith("_file") else "")
    }
    assert fields - plant.harmless == planted


def test_a_secret_is_found_whatever_it_stands_in() -> None:
    """Else all other tests here would prove nothing."""
    token = secret("x")
    for text in (
        f"a{token}",
        f"{token}b".encode(),
        {"a": [token]},
        *(base64.b64encode(f"{'u' * n}:{token}".encode()) for n in range(3)),
    ):
        with pytest.raises(AssertionError, match="here shows a secret"):
            assert_hidden("here", text)


# -- channels alone


@WAY
def test_a_channel_does_not_show_them(kind: str, way: int, keep: Keep) -> None:
    channel = make(kind, plant_of(kind).ways[way](9, keep))
    assert_hidden("the channel", channel, vars(channel))


ALERT = Alert("busy_app", "busy", AlertSeverity.CRITICAL, "Queue long", "Too much waits", status=AlertStatus.FIRING)
NOTICE = Notice("message-1", NoticeKind.FIRING, ALERT, sent_at=EPOCH)
MANNERS: Final = [(kind, n, manner) for kind, n in WAYS for manner in (MAIL if kind == "email" else HTTP) if kind != "log"]


@pytest.mark.parametrize(("kind", "way", "manner"), [with_marks(*case) for case in MANNERS])
async def test_an_attempt_does_not_tell_them_whatever_the_other_side_does(
    kind: str, way: int, manner: str, keep: Keep, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    plant = plant_of(kind)
    async with serving(plant, manner) as port:
        channel = await made(kind, plant.ways[way](port, keep), timeout="200ms" if manner == "slow" else "10s")
        outcome = await channel.deliver(NOTICE)
    if manner == "works":
        assert outcome == Delivered()
    assert_hidden("the outcome", outcome)
    assert_hidden("the log", *everything_in(caplog.records))
    assert_hidden("the output", *capfd.readouterr())
    assert_hidden("the channel, after an attempt", channel, vars(channel))


def spoiled(value: object) -> Iterator[object]:
    """Give what people, or their settings, make of a secret."""
    yield from (None, "", 5, [value], {f"{value}": value}, f"{value}".encode())
    if isinstance(value, dict):
        for one in spoiled(next(iter(value.values()))):
            yield dict.fromkeys(value, one)
        return
    text = f"{value[0] if isinstance(value, list) else value}"
    yield from (
        f"{text}\n",
        f" {text}",
        f"{text}\r\nX: y",
        f"{text}\x00",
        f"{text}\ud800",
        f"{text}\N{CARE OF}",
        text * 1000,
    )
    yield from (
        f"http://[{text}",
        f"http://h:{text}",
        f"ftp://{text}",
        f"{text}@h",
        f"http://{text}/\N{CARE OF}",
        f"//{text}",
    )


@WAY
def test_no_error_about_settings_shows_them(kind: str, way: int, keep: Keep, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    plant = plant_of(kind)
    right = plant.ways[way](9, keep)
    wrong = [*plant.wrong, {f"{name}_file": "/nowhere" for name in right}]
    wrong += [{name: one} for name, value in right.items() if MARK in str(value) for one in spoiled(value)]
    for settings in wrong:
        for construct in (partial(make, kind), lambda given: channel_class(kind)(**given)):
            try:
                channel = construct({**right, **settings})
            except MonitoringError as error:
                assert_hidden(f"the error about {list(settings)}", *everything_of(error))
            except TypeError as error:
                assert "unexpected keyword argument" in str(error)
                assert_hidden(f"the error about {list(settings)}", *everything_of(error))
            else:
                assert_hidden(f"a channel with other {list(settings)}", channel, vars(channel))
    assert_hidden("the log", *everything_in(caplog.records))


@pytest.mark.parametrize("thing", [address(9), {"type": "slack", "webhook_url": address(9)}, [address(9)]])
def test_what_is_taken_for_a_channel_is_not_shown(thing: Any) -> None:
    with pytest.raises(MonitoringError, match="send_notification") as refused:
        AlertManager(MetricsRegistry()).add_notification_channel(thing)
    assert_hidden("the error", *everything_of(refused.value))


FILES: Final = ("", " ", "{0}\n{0}", "{0}\x00", "{0}\ud800", "whsec_{0}!", "{0}/../x?", "long {0}")


@pytest.mark.parametrize("content", FILES)
@pytest.mark.parametrize(("kind", "field"), [
    ("webhook", "secret_file"), ("pagerduty", "routing_key_file"), ("telegram", "token_file"),
    ("alertmanager", "password_file"), ("alertmanager", "token_file"), ("email", "password_file"),
])  # fmt: skip
async def test_a_file_that_holds_no_secret_but_something_like_it_is_not_quoted(
    kind: str, field: str, content: str, keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    plant = plant_of(kind)
    async with serving(plant, "450 RCPT" if plant.by_mail else "400") as port:
        settings = next(found for way in plant.ways if field in (found := way(port, keep)))
        text = content.format(plant.form.format(secret("file"))).replace("long ", "x" * 10_000)
        Path(settings[field]).write_bytes(text.encode("utf-8", "surrogatepass"))  # noqa: ASYNC240  # a hundred bytes
        outcome = await (await made(kind, settings)).deliver(NOTICE)
    assert outcome != Delivered()
    assert_hidden("the outcome", outcome)
    assert_hidden("the log", *everything_in(caplog.records))


# -- within a manager, with a store and a site

TOKEN: Final = secret("api-token")
SHOWS: Final = {"authorization": f"Bearer {TOKEN}", "host": f"{HOST}:9464"}
SAYS: Final = {**SHOWS, "content-type": "application/json"}


def manners_of(kind: str) -> tuple[str, ...]:
    return ("works",) if kind == "log" else MAIL if plant_of(kind).by_mail else HTTP


async def settings_by_manner(kind: str, keep: Keep, stack: AsyncExitStack) -> dict[str, Settings]:
    """Give settings for a channel for each manner of the other side, in all ways by turns; `stack` has the servers."""
    plant, found = plant_of(kind), dict[str, Settings]()
    for number, manner in enumerate(manners_of(kind)):
        settings = plant.ways[number % len(plant.ways)](await stack.enter_async_context(serving(plant, manner)), keep)
        found[manner] = {**settings, "timeout": "200ms"} if manner == "slow" else settings
    return found


@KIND
async def test_nothing_that_comes_out_of_a_manager_shows_them(
    kind: str, keep: Keep, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a channel for each manner of the other side, through alerts that fire and resolve, and a restart."""
    caplog.set_level(logging.DEBUG)
    folder = tmp_path / "store"
    folder.mkdir()
    outcomes = set[str]()
    async with AsyncExitStack() as stack:
        given = await settings_by_manner(kind, keep, stack)
        channels = [await made(kind, {**settings, "name": name}) for name, settings in given.items()]
        for _ in range(2):
            manager = AlertManager(MetricsRegistry(), store=folder / "alerts.db", stop_timeout="100ms")
            manager.add_rule(AlertRule("busy", "Too much waits", "critical", "queue", "> 5", evaluation_interval=0.02))
            for channel in channels:
                manager.add_notification_channel(channel)
            async with manager:
                await go_through_alerts(manager, given.keys())
                outcomes |= {delivery.outcome for delivery in manager.deliveries()}
                assert_hidden_in(manager)
                for where, page in [each async for each in pages(manager)]:
                    assert_hidden(where, page)
            assert_hidden_in(manager)
    assert outcomes == {"log": {"delivered"}, "apprise": {"delivered", "retry"}}.get(
        kind, {"delivered", "retry", "given up"}
    )
    assert_hidden("the store", *(path.read_bytes() for path in folder.iterdir()))
    assert_hidden("the log", *everything_in(caplog.records))
    assert_hidden("the output", *capfd.readouterr())


async def go_through_alerts(manager: AlertManager, names: Iterable[str]) -> None:
    """Have an alert fire, resolve and fire again, until every channel was tried."""
    for value in (9, 1, 9):
        manager.metrics_registry.collector("app").set_gauge("queue", value)
        await asyncio.sleep(0.1)
    async with asyncio.timeout(10):
        while not set(names) <= {delivery.channel for delivery in manager.deliveries()}:
            await asyncio.sleep(0.01)


def assert_hidden_in(manager: AlertManager) -> None:
    for name in ("audit", "deliveries", "dead_letters", "outbox", "channel_status", "untold", "health", "rule_status"):
        assert_hidden(f"{name}()", getattr(manager, name)())
    for alert in manager.get_all_alerts():
        assert_hidden("explain()", alert, manager.explain(alert.id))
    for form in ("json", "prometheus", "openmetrics"):
        assert_hidden(f"the export as {form}", manager.metrics_registry.export_metrics(form))
    assert_hidden("the manager", manager, vars(manager), manager.notification_channels, manager.channels_by_name())


async def pages(manager: AlertManager) -> AsyncIterator[tuple[str, bytes]]:
    """Give every page of the site, and what it says to those who ask wrongly, with headers."""
    site = Site(manager, TOKEN)
    index = (await site.handle(Request("GET", "/"))).body.decode()
    titles = [line.split() if " " in line else ["GET", line] for line in index.splitlines() if "/" in line]
    assert ["DELETE", "/api/silences/<id>"] in titles
    ids = [alert.id for alert in manager.get_all_alerts()]
    asked = [
        Request(method, path.replace("<id>", an_id), {"token": [TOKEN]}, headers, body)
        for method, path in titles
        for an_id in (ids if "<id>" in path else [""])
        for headers, body in wrongly(method)
    ]
    asked += [Request("PUT", "/metrics", {}, SAYS), Request("GET", f"/api/{TOKEN}", {}, SAYS)]
    for request in asked:
        response = await site.handle(request)
        yield f"the answer to {request.method} {request.path}", response.body + f"{response.headers}".encode()
    yield "the site", f"{site}{vars(site)}".encode()


def wrongly(method: str) -> Iterator[tuple[dict[str, str], bytes]]:
    """Give headers and bodies of those who may not change anything, or do not say what they want."""
    body = json.dumps({"token": TOKEN, "authorization": TOKEN, "alert_id": TOKEN, "duration": TOKEN}).encode()
    if method == "GET":
        kinds = ("text/plain", "application/openmetrics-text", "application/vnd.google.protobuf", "application/json", TOKEN)
        yield from (({**SHOWS, "accept": kind}, body) for kind in kinds)
        return
    yield from (({**SAYS, "authorization": wrong}, body) for wrong in ("", TOKEN, f"Basic {TOKEN}", f"Bearer x{TOKEN}"))
    yield from (({**SAYS, "host": "elsewhere"}, body), ({**SAYS, "origin": "http://elsewhere"}, body), (SHOWS, body))
    yield from ((SAYS, body), (SAYS, body[:-1]), (SAYS, TOKEN.encode()))


# -- on the command line


@KIND
async def test_no_command_shows_what_stands_in_a_file(kind: str, keep: Keep, tmp_path: Path) -> None:
    path = tmp_path / "monitor.yaml"
    async with AsyncExitStack() as stack:
        given = await settings_by_manner(kind, keep, stack)
        write(path, [{"type": kind, "name": name, **settings} for name, settings in given.items()])
        checked = await asyncio.to_thread(said_by, "check", str(path))
        tried = await asyncio.to_thread(said_by, "notify", "test", "--config", str(path))
    assert checked.startswith(f"{path}: ok")
    assert re.search(r"works\W+delivered", tried)
    assert_hidden("check", checked)
    assert_hidden("notify test", tried)


@WAY
def test_no_problem_of_a_file_shows_what_stands_there(kind: str, way: int, keep: Keep, tmp_path: Path) -> None:
    plant, path = plant_of(kind), tmp_path / "monitor.yaml"
    right = {"type": kind, **plant.ways[way](9, keep)}
    wrong: list[object] = [{**right, **settings} for settings in (*plant.wrong, {"unknown": address(9)})]
    wrong += [{**right, name: one} for name, value in right.items() if MARK in str(value) for one in spoiled(value)]
    for channels in (address(9), [address(9)], [[address(9)]], {"slack": address(9)}, *([one] for one in wrong)):
        write(path, channels)
        assert_hidden(f"check, of {channels!r:.60}", said_by("check", str(path)))


def write(path: Path, channels: object) -> None:
    """Write a file with these channels: JSON is YAML, but for what JSON cannot say."""
    path.write_text(json.dumps({"default_rules": False, "channels": channels}, default=str))


def said_by(*arguments: str) -> str:
    ended = CliRunner().invoke(commands, list(arguments), prog_name="kailash-monitor")
    assert not isinstance(ended.exception, Exception), ended.exception
    return ended.stdout + ended.stderr
