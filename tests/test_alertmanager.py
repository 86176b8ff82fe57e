"""The Alertmanager channel: what it posts, to members good and bad, and what a real Alertmanager makes of it."""

import asyncio
import base64
import json
import logging
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, web

from kailash_monitor.alerts import Alert, AlertManager, AlertRule, AlertSeverity
from kailash_monitor.channels.alertmanager import (
    GRACE,
    PIECE,
    SHORTEST_LIFE,
    TEST_LIFE,
    AlertmanagerNotificationChannel,
    payload,
    together,
)
from kailash_monitor.channels.alertmanager_labels import alertmanager_labels, fingerprint
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.testing import EPOCH

NOW = EPOCH + 1000
FIRED_AT = datetime.fromtimestamp(EPOCH, UTC)
RESOLVED_AT = FIRED_AT + timedelta(seconds=90)

ALERT = Alert(
    "busy_app",
    "busy",
    AlertSeverity.ERROR,
    "Queue long",
    "Too much waits",
    labels={"team": "x"},
    annotations={"runbook": "https://wiki/busy"},
    status=AlertStatus.FIRING,
    fired_at=FIRED_AT,
    value=9.5,
    peak=12.0,
    threshold=5.0,
)
OVER = replace(ALERT, status=AlertStatus.RESOLVED, resolved_at=RESOLVED_AT)
SECRET = "s3cret"

_LOGGER = "kailash_monitor.channels"


def notice(kind: NoticeKind = NoticeKind.FIRING, alert: Alert = ALERT, **extra: object) -> Notice:
    return Notice("message-1", kind, alert, sent_at=EPOCH, extra=extra)


def posted(told: Notice, *, resend_every: float = 60.0) -> dict[str, Any]:
    (one,) = payload(told, now=NOW, resend_every=resend_every)
    return one


def seconds(text: str) -> float:
    """Read a time as Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


# -- what it posts


def test_an_alert_that_fires_is_posted_until_four_reminders_later() -> None:
    assert posted(notice()) == {
        "labels": {"alertname": "busy", "severity": "error", "team": "x"},
        "annotations": {
            "summary": "Queue long",
            "description": "Too much waits",
            "runbook": "https://wiki/busy",
            "runbook_url": "https://wiki/busy",
            "value": "9.5",
            "peak": "12",
            "threshold": "5",
        },
        "startsAt": "2023-11-14T22:13:20+00:00",
        "endsAt": datetime.fromtimestamp(NOW + 240, UTC).isoformat(),
    }


@pytest.mark.parametrize(
    ("kind", "alert", "ends_at"),
    [
        (NoticeKind.FIRING, ALERT, NOW + 240),
        (NoticeKind.REPEAT, ALERT, NOW + 240),
        (NoticeKind.FLAPPING, ALERT, NOW + 240),
        (NoticeKind.FLAPPING, OVER, EPOCH + 90),
        (NoticeKind.STABLE, ALERT, NOW + 240),
        (NoticeKind.STABLE, OVER, EPOCH + 90),
        (NoticeKind.RESOLVED, OVER, EPOCH + 90),
        (NoticeKind.RESOLVED, replace(OVER, resolved_at=None), NOW),  # it fires still, and others are told of it now
        (NoticeKind.MISSED, OVER, EPOCH + 90),
        (NoticeKind.TEST, ALERT, NOW + TEST_LIFE),
        (NoticeKind.TEST, OVER, NOW + TEST_LIFE),
    ],
)
def test_when_an_alert_is_over_by_the_kind_of_the_notice(kind: NoticeKind, alert: Alert, ends_at: float) -> None:
    assert seconds(posted(notice(kind, alert))["endsAt"]) == ends_at


@pytest.mark.parametrize(
    ("resend_every", "interval", "life"),
    [(60, 10, 240), (60, 300, 1200), (60, None, 240), (60, "often", 240), (1, 2, SHORTEST_LIFE)],
)
def test_an_alert_lives_by_the_longer_of_reminder_and_evaluation(resend_every: float, interval: object, life: float) -> None:
    assert seconds(posted(notice(interval=interval), resend_every=resend_every)["endsAt"]) == NOW + life


def test_a_digest_is_one_post_of_all_its_alerts() -> None:
    other = replace(ALERT, labels={"team": "y"})
    items = (Item(NoticeKind.RESOLVED, OVER), Item(NoticeKind.FIRING, other))
    alerts: list[Any] = list(payload(replace(notice(NoticeKind.DIGEST), items=items), now=NOW, resend_every=60.0))
    assert [(each["labels"]["team"], seconds(each["endsAt"])) for each in alerts] == [("x", EPOCH + 90), ("y", NOW + 240)]


def test_an_alert_never_ends_before_it_starts() -> None:
    """The clock was set back: Alertmanager would refuse the whole alert."""
    early = replace(OVER, resolved_at=FIRED_AT - timedelta(hours=1))
    one = posted(notice(NoticeKind.RESOLVED, early))
    assert one["startsAt"] == one["endsAt"]


def test_an_alert_by_hand_starts_when_it_is_told() -> None:
    by_hand = Alert("a", "a", AlertSeverity.INFO, "A", "")
    assert seconds(posted(notice(NoticeKind.TEST, by_hand))["startsAt"]) == EPOCH


def test_the_alerts_own_annotations_go_first() -> None:
    own = {"summary": "Mine", "description": "Also mine", "runbook_url": "https://wiki/mine"}
    annotations = posted(notice(alert=replace(ALERT, annotations={**own, "empty": ""})))["annotations"]
    assert annotations == {**own, "value": "9.5", "peak": "12", "threshold": "5"}


def test_a_test_says_that_it_is_one() -> None:
    assert posted(notice(NoticeKind.TEST))["annotations"]["summary"] == "TEST: Queue long"


def test_names_that_alertmanager_refuses_are_mended_and_empty_values_left_out() -> None:
    odd = {"my-team": "x", "9th": "y", "größe": "z", "my_team": "true one", "none": ""}
    one = posted(notice(alert=replace(ALERT, labels=odd, annotations={"odd name": "x"})))
    own = {name: value for name, value in one["labels"].items() if name not in ("alertname", "severity")}
    assert own == {"my_team": "true one", "_9th": "y", "gr__e": "z"}
    assert one["annotations"]["odd_name"] == "x"


def test_the_generator_url_is_handed_on() -> None:
    (one,) = payload(notice(), now=NOW, resend_every=60.0, generator_url="https://shop/alerts")
    assert one["generatorURL"] == "https://shop/alerts"


# -- what the members' answers mean together


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [
        ({"a": Delivered(), "b": Rejected("HTTP 400")}, Delivered()),
        ({"a": Retry("HTTP 500", after=7.0)}, Retry("HTTP 500", after=7.0)),
        ({"a": Retry("x", after=7.0), "b": Retry("y", after=3.0)}, Retry("a: x; b: y", after=3.0)),
        ({"a": Retry("x", after=7.0), "b": Retry("y", in_doubt=True)}, Retry("a: x; b: y", in_doubt=True)),
        ({"a": Retry("x"), "b": Rejected("y")}, Retry("a: x; b: y")),
        ({"a": Unauthorised("x"), "b": Rejected("y"), "c": Gone("z")}, Rejected("a: x; b: y; c: z")),
        ({"a": Unauthorised("x"), "b": Gone("y")}, Unauthorised("a: x; b: y")),
        ({"a": Gone("x")}, Gone("x")),
    ],
)
def test_what_became_of_a_message_by_its_members(outcomes: dict[str, Outcome], outcome: Outcome) -> None:
    assert together(outcomes) == outcome


# -- members that are no Alertmanager


@dataclass
class Member:
    """A real HTTP server that keeps what it is sent, and answers as it is told."""

    answer: Callable[[], Awaitable[int]]
    url: str = ""
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((request.path_qs, headers, json.loads(await request.read())))
        return web.Response(status=await self.answer())


@asynccontextmanager
async def member(answer: Callable[[], Awaitable[int]]) -> AsyncIterator[Member]:
    it = Member(answer)
    app = web.Application()
    app.router.add_post("/{path:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield it
    finally:
        await runner.cleanup()


def answers(status: int) -> Callable[[], Awaitable[int]]:
    async def answer() -> int:
        return status

    return answer


async def hangs() -> int:
    await asyncio.sleep(1000)
    return 200


async def test_every_member_gets_every_alert() -> None:
    async with member(answers(200)) as a, member(answers(200)) as b:
        channel = AlertmanagerNotificationChannel([a.url, f"{b.url}/prefix/"])
        assert await channel.deliver(notice()) == Delivered()
    ((path, headers, (alert,)),) = a.got
    assert (path, headers["content-type"]) == ("/api/v2/alerts", "application/json")
    assert alert["labels"] == {"alertname": "busy", "severity": "error", "team": "x"}
    assert [(path, alerts) for path, _, alerts in b.got] == [("/prefix/api/v2/alerts", [alert])]


async def test_the_digest_of_a_storm_is_one_post_that_does_not_hold_up_the_loop() -> None:
    storm = tuple(Item(NoticeKind.FIRING, replace(ALERT, labels={"n": str(n)})) for n in range(3_000))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    channel = AlertmanagerNotificationChannel("http://am")
    async with asyncio.TaskGroup() as group:
        counting = group.create_task(count_turns())
        body = await channel._body(replace(notice(NoticeKind.DIGEST), items=storm))
        counting.cancel()
    assert [alert["labels"]["n"] for alert in json.loads(body)] == [str(n) for n in range(3_000)]
    assert turns >= 3_000 // PIECE


async def test_now_is_the_time_of_the_attempt() -> None:
    async with member(answers(200)) as a:
        await AlertmanagerNotificationChannel(a.url).deliver(notice())
    ((_, _, (alert,)),) = a.got
    assert 0 <= SYSTEM_CLOCK.wall() + 240 - seconds(alert["endsAt"]) < 30


async def test_it_works_alone_as_in_the_guide() -> None:
    async with member(answers(200)) as a:
        assert await AlertmanagerNotificationChannel(a.url).send_notification(ALERT, {}) is True
    assert a.got[0][2][0]["annotations"]["summary"].startswith("TEST: ")


async def test_a_member_that_fails_is_logged_once_per_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    statuses = iter([500, 500, 503, 200, 200, 500])

    async def by_turns() -> int:
        return next(statuses)

    async with member(answers(200)) as a, member(by_turns) as b:
        channel = AlertmanagerNotificationChannel([a.url, b.url])
        for _ in range(6):
            assert await channel.deliver(notice()) == Delivered()
        name = b.url.removeprefix("http://")
    behind = f"Alertmanager {name} did not take what others took: HTTP 500; it hears of what fires at the next reminder"
    assert [(record.levelname, record.getMessage()) for record in caplog.records if record.name == _LOGGER] == [
        ("WARNING", behind),
        ("INFO", f"Alertmanager {name} takes alerts again"),
        ("WARNING", behind),
    ]


async def test_where_no_member_takes_it_the_outcome_says_why_and_the_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with member(answers(500)) as a, member(answers(401)) as b:
        outcome = await AlertmanagerNotificationChannel([a.url, b.url]).deliver(notice())
        hosts = [each.url.removeprefix("http://") for each in (a, b)]
    assert outcome == Retry(f"{hosts[0]}: HTTP 500; {hosts[1]}: HTTP 401")
    assert not [record for record in caplog.records if record.name == _LOGGER]


async def test_a_member_that_hangs_does_not_hold_up_the_others_alerts() -> None:
    async with member(answers(200)) as a, member(hangs) as b:
        assert await AlertmanagerNotificationChannel([a.url, b.url]).deliver(notice()) == Delivered()
        assert asyncio.get_running_loop().time() == pytest.approx(GRACE, abs=0.1)
        assert len(b.got) == 1


async def test_where_every_member_hangs_it_is_in_doubt() -> None:
    async with member(hangs) as a, member(hangs) as b:
        outcome = await AlertmanagerNotificationChannel([a.url, b.url], timeout="3s").deliver(notice())
        assert asyncio.get_running_loop().time() == pytest.approx(3, abs=0.1)
    assert isinstance(outcome, Retry)
    assert outcome.in_doubt


async def test_a_cancelled_post_returns_at_once() -> None:
    async with member(hangs) as a, member(hangs) as b:
        sending = asyncio.create_task(AlertmanagerNotificationChannel([a.url, b.url]).deliver(notice()))
        await asyncio.sleep(1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert asyncio.get_running_loop().time() == pytest.approx(1, abs=0.1)


# -- credentials


async def sent_headers(**given: Any) -> dict[str, str]:
    async with member(answers(200)) as a:
        assert await AlertmanagerNotificationChannel(a.url, **given).deliver(notice()) == Delivered()
    ((_, headers, _),) = a.got
    return headers


async def test_credentials_are_sent_as_given_or_as_their_file_says(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    basic = f"Basic {base64.b64encode(b'ops:s3cret').decode()}"
    for given, authorization in (
        ({"username": "ops", "password": SECRET}, basic),
        ({"username": "ops", "password_file": str(file)}, basic),
        ({"token": SECRET}, "Bearer s3cret"),
        ({"token_file": file}, "Bearer s3cret"),
        ({"headers": {"Authorization": "Other s3cret"}}, "Other s3cret"),
    ):
        assert (await sent_headers(**given))["authorization"] == authorization


async def test_a_secret_file_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    async with member(answers(200)) as a:
        outcome = await AlertmanagerNotificationChannel(a.url, token_file=tmp_path / "none").deliver(notice())
    assert isinstance(outcome, Retry)
    assert (outcome.in_doubt, a.got) == (False, [])


async def test_no_secret_shows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with member(answers(200)) as a, member(answers(401)) as b:
        address = b.url.replace("//", f"//{SECRET}:{SECRET}@") + f"/{SECRET}?key={SECRET}"
        secrets: dict[str, Any] = {"headers": {"X-Key": SECRET}, "generator_url": f"https://x/{SECRET}"}
        both = AlertmanagerNotificationChannel([a.url, address], **secrets)
        alone = AlertmanagerNotificationChannel(address, **secrets)
        assert await both.deliver(notice()) == Delivered()
        outcome = await alone.deliver(notice())
        assert repr(alone) == f"<AlertmanagerNotificationChannel {b.url.removeprefix('http://')}>"
    assert outcome == Unauthorised("HTTP 401")
    assert len(b.got) == 2
    assert "did not take what others took" in caplog.text
    for text in (repr(both), repr(outcome), caplog.text):
        assert SECRET not in text


# -- what it is made of


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"urls": []}, "no addresses; use a list of all members of the cluster"),
        ({"urls": None}, "no addresses"),
        ({"urls": "am:9093/s3cret"}, "an address that is no URL; use http://… or https://…"),
        ({"urls": ["http://am", 5]}, "an address that is no URL"),
        ({"urls": "http://am:99999"}, "an address with an impossible port"),
        ({"urls": ["http://am", "http://am/api/v2/alerts"]}, "the same address twice; name each member once"),
        ({"resend_every": "soon"}, "resend_every = 'soon'; .*is not a duration"),
        ({"resend_every": None}, "resend_every = None; .*is not a duration"),
        ({"resend_every": 0.5}, "resend_every = 0.5; use a second to a day"),
        ({"resend_every": 1e300}, "resend_every = 1e\\+300; use a second to a day"),
        ({"timeout": 0}, "the timeout 0; "),
        ({"egress": "s3cret"}, "the egress"),
        ({"generator_url": "s3cret"}, "an address that is no URL"),
        ({"headers": {"a b": "s3cret"}}, "the header name 'a b'"),
        ({"headers": {"X": "s3cret\r\nY: b"}}, "the value of the header 'X'"),
        ({"username": "ops"}, "no password; use a username and a password together"),
        ({"password": "s3cret"}, "no username; use a username and a password together"),
        ({"username": "o:ps", "password": "s3cret"}, "a username with a colon"),
        ({"username": "ops", "password": "s3cret", "password_file": "x"}, "both password and password_file"),
        ({"token": "s3cret", "token_file": "x"}, "both token and token_file"),
        ({"token": "s3cret", "username": "ops"}, "a token beside a username and a password; use one kind"),
        ({"token": "s3cret", "password": "s3cret"}, "a token beside a username and a password"),
        ({"token": "s3cret", "headers": {"Authorization": "s3cret"}}, "more credentials than one; give them once"),
        ({"token": "s3cret", "urls": "http://ops:s3cret@am"}, "more credentials than one"),
    ],
)
def test_a_wrong_argument_says_what_is_right(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ChannelError, match=f"alertmanager channel: .*{message}") as refused:
        AlertmanagerNotificationChannel(**{"urls": "http://am", **given})
    assert refused.value.field in given or refused.value.field in ("username", "password")
    assert "egress" in given or SECRET not in str(refused.value)


def test_members_behind_one_proxy_are_told_apart() -> None:
    channel = AlertmanagerNotificationChannel(["http://proxy/a", "http://proxy/b", "http://am:9093"], resend_every="30s")
    assert repr(channel) == "<AlertmanagerNotificationChannel proxy (1), proxy (2), am:9093>"
    assert channel.resend_every == 30.0


# -- a real Alertmanager

external = pytest.mark.external
installed = pytest.mark.skipif(
    not shutil.which("prometheus-alertmanager"),
    reason="prometheus-alertmanager, from the Debian package of that name, is not installed",
)
real_time = pytest.mark.real_time

PATIENCE = 30.0
"""Seconds until something is there that takes one. A new member asks the others for a while before it notifies."""

GRACE_OF_END = 5.0
"""Seconds that a server has to end by itself."""

TURN = 1.0
"""Seconds that the second member of a cluster waits for the first one's word that it has notified."""

FLAGS = (
    "--log.level=warn",
    "--cluster.gossip-interval=20ms",
    "--cluster.pushpull-interval=500ms",
    f"--cluster.peer-timeout={TURN:g}s",
)


class Receiver:
    """Who is notified by Alertmanager: it keeps status and fingerprint of each alert that it is told of."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        document = await request.json()
        self.heard += [(alert["status"], alert["fingerprint"]) for alert in document["alerts"]]
        return web.Response()

    async def hears(self, count: int) -> None:
        """Wait until it has been told of that many."""

        async def told() -> bool:
            return len(self.heard) >= count

        await until(told)


@dataclass
class Alertmanager:
    """A server that can be started, killed and started again at the same address."""

    folder: Path
    receiver: Receiver
    port: int
    cluster_port: int | None
    peers: tuple[int, ...]
    session: ClientSession
    _process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it; returns once it is ready."""
        self.folder.mkdir(exist_ok=True)
        configuration, log = self.folder / "alertmanager.json", self.folder / "log"  # JSON is YAML
        waits = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
        route = {"receiver": "test", "group_by": ["..."], **waits}
        receivers = [{"name": "test", "webhook_configs": [{"url": self.receiver.url, "send_resolved": True}]}]
        configuration.write_text(json.dumps({"route": route, "receivers": receivers}))
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                "prometheus-alertmanager",
                f"--config.file={configuration}",
                f"--storage.path={self.folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                f"--cluster.listen-address={f'127.0.0.1:{self.cluster_port}' if self.cluster_port else ''}",
                *(f"--cluster.peer=127.0.0.1:{peer}" for peer in self.peers),
                *FLAGS,
                stdout=output,
                stderr=output,
            )
        await until(self._ready, lambda: log.read_text())

    async def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        """Ask it to end, and end it where it does not."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), GRACE_OF_END)
        finally:
            if self._process.returncode is None:
                await self.kill()

    async def alerts(self) -> dict[str, dict[str, Any]]:
        """Give the alerts that are not over, by fingerprint."""
        async with self.session.get(f"{self.url}/api/v2/alerts") as response:
            return {alert["fingerprint"]: alert for alert in await response.json()}

    async def metric(self, name: str) -> float:
        """Give what it says of itself."""
        async with self.session.get(f"{self.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])

    async def had_its_turn(self) -> bool:
        """Whether it has looked up if the others have notified already."""
        return await self.metric("alertmanager_nflog_queries_total") > 0

    async def _ready(self) -> bool:
        """Whether it takes alerts, and has found the others."""
        try:
            async with self.session.get(f"{self.url}/api/v2/status") as response:
                found = (await response.json())["cluster"]
        except ClientError:
            return False
        return found["status"] == "disabled" or (found["status"] == "ready" and len(found["peers"]) > len(self.peers))


async def until(holds: Callable[[], Awaitable[bool]], otherwise: Callable[[], object] = lambda: "") -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"it does not come about within {PATIENCE:g} s: {otherwise()}")


@asynccontextmanager
async def cluster(folder: Path, size: int) -> AsyncIterator[tuple[list[Alertmanager], Receiver]]:
    """Start servers that know each other, and whom they notify; all are gone in the end."""
    receiver = Receiver()
    async with AsyncExitStack() as stack:
        app = web.Application()
        app.router.add_post("/", receiver.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        session = await stack.enter_async_context(ClientSession())
        with free_ports(2 * size) as ports:
            members = [
                Alertmanager(
                    folder / f"member{n}",
                    receiver,
                    ports[n],
                    ports[size + n] if size > 1 else None,
                    tuple(ports[size : size + n] or ports[size + 1 :]),
                    session,
                )
                for n in range(size)
            ]
        for each in members:
            stack.push_async_callback(each.end)
        await asyncio.gather(*(each.start() for each in members))
        yield members, receiver


@contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Give ports that nobody else has; they are free again on leaving."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


def fires(**labels: str) -> Alert:
    """Give an alert that has fired for a minute."""
    return replace(ALERT, labels=labels, fired_at=datetime.fromtimestamp(SYSTEM_CLOCK.wall() - 60, UTC))


def over(alert: Alert) -> Alert:
    """Give the same alert, over by now."""
    return replace(alert, status=AlertStatus.RESOLVED, resolved_at=datetime.fromtimestamp(SYSTEM_CLOCK.wall(), UTC))


def key(alert: Alert) -> str:
    """Give the fingerprint that is computed here."""
    return fingerprint(alertmanager_labels(alert))


def channel_to(members: Iterable[Alertmanager]) -> AlertmanagerNotificationChannel:
    return AlertmanagerNotificationChannel([each.url for each in members])


@external
@installed
@real_time
@pytest.mark.parametrize("size", [1, 2], ids=["alone", "a cluster of two"])
async def test_an_alert_appears_fires_and_resolves_exactly_once(tmp_path: Path, size: int) -> None:
    async with cluster(tmp_path, size) as (members, receiver):
        channel, alert = channel_to(members), fires(team="x")
        assert await channel.deliver(notice(NoticeKind.FIRING, alert)) == Delivered()
        assert await channel.deliver(notice(NoticeKind.REPEAT, alert)) == Delivered()
        for each in members:
            (found,) = (await each.alerts()).values()
            assert found["fingerprint"] == key(alert)
            assert found["labels"] == {"alertname": "busy", "severity": "error", "team": "x"}
            assert found["annotations"]["summary"] == "Queue long"
            assert seconds(found["startsAt"]) == pytest.approx(alert.fired_at.timestamp(), abs=0.001)  # type: ignore[union-attr]
            assert 0 <= SYSTEM_CLOCK.wall() + 240 - seconds(found["endsAt"]) < 30

            await until(each.had_its_turn)
        assert await channel.deliver(notice(NoticeKind.RESOLVED, over(alert))) == Delivered()
        for each in members:
            assert await each.alerts() == {}
        await receiver.hears(2)
        await asyncio.sleep(TURN + 0.5)  # the other member's turn
        assert receiver.heard == [("firing", key(alert)), ("resolved", key(alert))]


@external
@installed
@real_time
async def test_hostile_labels_arrive_under_the_fingerprint_computed_here(tmp_path: Path) -> None:
    hostile = [
        'q"uote', "new\nline", "back\\slash", "a\0b", "\r\t\x07\x7f\x85\u2028", "é€𝄞\uffff", "\ud800", "x" * 10_000, " ", "",
    ]  # fmt: skip
    alerts = [fires(n=str(n), value=value) for n, value in enumerate(hostile)]
    async with cluster(tmp_path, 1) as ((server,), _):
        digest = replace(notice(NoticeKind.DIGEST), items=tuple(Item(NoticeKind.FIRING, alert) for alert in alerts))
        assert await channel_to([server]).deliver(digest) == Delivered()
        found = await server.alerts()
    assert found.keys() == {key(alert) for alert in alerts}
    assert all(found[key(alert)]["labels"] == alertmanager_labels(alert) for alert in alerts)


@external
@installed
@real_time
async def test_odd_names_numbers_and_times_are_taken(tmp_path: Path) -> None:
    odd = replace(
        fires(**{"my-team": "x", "9th": "y"}), annotations={"odd name": "a\ud800"}, value=float("nan"), peak=float("inf")
    )
    past = replace(OVER, resolved_at=FIRED_AT - timedelta(hours=1), labels={"n": "2"})
    by_hand = Alert("a", "a", AlertSeverity.INFO, "A", "")
    async with cluster(tmp_path, 1) as ((server,), _):
        channel = AlertmanagerNotificationChannel(server.url, generator_url="https://shop/alerts?a=b c")
        for told in (notice(alert=odd), notice(NoticeKind.RESOLVED, past), notice(NoticeKind.TEST, by_hand)):
            assert await channel.deliver(told) == Delivered()
        names = {alert["labels"]["alertname"]: alert for alert in (await server.alerts()).values()}
    assert names.keys() == {"busy", "a"}
    assert names["busy"]["labels"] == {"alertname": "busy", "severity": "error", "my_team": "x", "_9th": "y"}


@external
@installed
@real_time
async def test_an_alert_that_was_missed_is_taken_and_notifies_nobody(tmp_path: Path) -> None:
    async with cluster(tmp_path, 1) as ((server,), receiver):
        assert await channel_to([server]).deliver(notice(NoticeKind.MISSED, over(fires()))) == Delivered()
        assert await server.metric('alertmanager_alerts_received_total{status="resolved",version="v2"}') == 1
        assert await server.alerts() == {}
        await until(server.had_its_turn)
        assert receiver.heard == []


@external
@installed
@real_time
async def test_a_member_that_was_down_learns_at_the_next_reminder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, _LOGGER)
    async with cluster(tmp_path, 2) as (members, receiver):
        channel, alert = channel_to(members), fires()
        await members[1].kill()
        assert await channel.deliver(notice(NoticeKind.FIRING, alert)) == Delivered()
        assert (await members[0].alerts()).keys() == {key(alert)}
        await receiver.hears(1)
        await members[1].start()
        assert await members[1].alerts() == {}
        assert await channel.deliver(notice(NoticeKind.REPEAT, alert)) == Delivered()
        assert (await members[1].alerts()).keys() == {key(alert)}
        await until(members[1].had_its_turn)
    assert receiver.heard == [("firing", key(alert))]
    assert [record.levelname for record in caplog.records if record.name == _LOGGER] == [
        "WARNING",
        "INFO",
    ]


# -- from end to end


@external
@installed
@real_time
async def test_a_rule_that_fires_shows_there_until_it_clears_also_while_it_is_silenced_here(tmp_path: Path) -> None:
    registry = MetricsRegistry()
    manager = AlertManager(registry)
    manager.add_rule(AlertRule("busy", "Too much waits", "error", "queue", "> 5", labels={"team": "x"}, on_write=True))
    async with cluster(tmp_path, 1) as ((server,), receiver):
        manager.add_notification_channel(AlertmanagerNotificationChannel(server.url, resend_every="1s"))
        async with manager:
            registry.collector("app").set_gauge("queue", 9)

            async def is_there() -> bool:
                return bool(await server.alerts())

            await until(is_there)
            (alert,) = manager.get_active_alerts()
            ((found_key, found),) = (await server.alerts()).items()
            assert found_key == key(alert)

            manager.silence_alert(alert.id)

            async def lives_on() -> bool:
                return seconds((await server.alerts())[found_key]["endsAt"]) > seconds(found["endsAt"]) + 1.5

            await until(lives_on, lambda: "the alert that is silenced here is not told again")
            registry.collector("app").set_gauge("queue", 1)

            async def is_gone() -> bool:
                return not await server.alerts()

            await until(is_gone)
            await receiver.hears(2)
        assert receiver.heard == [("firing", found_key), ("resolved", found_key)]
