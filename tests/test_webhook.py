"""The webhook channel: its settings, its signature, and Alertmanager's document."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.channels.alertmanager_labels import alertmanager_labels, fingerprint
from kailash_monitor.channels.http import json_bytes
from kailash_monitor.channels.signature import key_of, safe_id, sign
from kailash_monitor.channels.webhook import WebhookNotificationChannel, alertmanager_payload, payload
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Rejected, Retry
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.testing import EPOCH

pytestmark = pytest.mark.real_time

FIRED = datetime(2026, 11, 25, 8, 0, 0, 250_000, UTC)
FIRING = Alert(
    "busy_app",
    "busy",
    AlertSeverity.ERROR,
    "Queue long",
    "Too much waits",
    value=9.5,
    labels={"team": "x", "host": "a"},
    annotations={"runbook": "https://wiki.example.com/busy"},
    status=AlertStatus.FIRING,
    created_at=FIRED - timedelta(minutes=1),
    fired_at=FIRED,
)
RESOLVED = replace(
    FIRING, labels={"team": "x", "host": "b"}, status=AlertStatus.RESOLVED, resolved_at=FIRED + timedelta(minutes=5)
)
NOTICE = Notice("message-1", NoticeKind.FIRING, FIRING, sent_at=EPOCH)
DIGEST = Notice(
    "message-2",
    NoticeKind.DIGEST,
    Alert("g", "g", AlertSeverity.ERROR, "2 alerts", "", labels={"alertname": "busy"}, status=AlertStatus.FIRING),
    sent_at=EPOCH,
    items=(Item(NoticeKind.FIRING, FIRING), Item(NoticeKind.RESOLVED, RESOLVED)),
)


@asynccontextmanager
async def receiver(got: list[tuple[dict[str, str], bytes]]) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.Response:
        got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response()

    app = web.Application(client_max_size=0)
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


# -- headers


async def test_headers_can_be_overridden_in_any_case_but_for_those_of_the_message() -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    async with receiver(got) as url:
        channel = WebhookNotificationChannel(url, {"content-TYPE": "application/cloudevents+json", "X-Team": "é"})
        assert await channel.deliver(NOTICE) == Delivered()
    ((headers, _),) = got
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["webhook-id"] == "message-1"
    assert "webhook-signature" not in headers


@pytest.mark.parametrize(
    "name", ["webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE", "Content-Length", "transfer-encoding"]
)
def test_headers_that_follow_from_the_message_are_refused(name: str) -> None:
    with pytest.raises(ChannelError, match=f"the header '{name}'; leave it out, it follows from the message"):
        WebhookNotificationChannel("http://x/", {name: "1"})


@pytest.mark.parametrize("value", ["a\r\nY: b", "a\x00b", "\x7f", "\ud800", 5])
def test_the_value_of_a_header_is_a_text_on_one_line(value: str) -> None:
    with pytest.raises(ChannelError, match="the value of the header 'X'; a text on one line"):
        WebhookNotificationChannel("http://x/", {"X": value})


def test_credentials_stand_in_one_place() -> None:
    with pytest.raises(ChannelError, match="beside credentials in the address; give one of them") as refused:
        WebhookNotificationChannel("http://user:s3cret@x/", {"authorization": "s3cret"})
    assert "s3cret" not in str(refused.value)


async def test_the_timestamp_is_that_of_the_attempt() -> None:
    """Standard Webhooks: receivers refuse old ones, and a retry may come hours after the message was made."""
    got: list[tuple[dict[str, str], bytes]] = []
    before = int(SYSTEM_CLOCK.wall())
    async with receiver(got) as url:
        await WebhookNotificationChannel(url).deliver(NOTICE)
    assert before <= int(got[0][0]["webhook-timestamp"]) <= SYSTEM_CLOCK.wall()
    assert json.loads(got[0][1])["context"]["sent_at"] == "2023-11-14T22:13:20+00:00"


# -- the signature


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example that the specification's own libraries are tested with."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_without_prefix_is_used_as_it_is() -> None:
    assert key_of("MfKQ9r8G") == b"MfKQ9r8G"


@pytest.mark.parametrize(("secret", "why"), [("whsec_???", "no base64 after whsec_"), ("whsec_", "nothing after whsec_")])
def test_a_secret_that_says_it_is_base64_must_be(secret: str, why: str) -> None:
    with pytest.raises(ChannelError, match=f"a secret with {why}; use whsec_ with base64, or another text"):
        WebhookNotificationChannel("http://x/", secret=secret)


@pytest.mark.parametrize(
    ("message_id", "header"),
    [
        ("01J-abc_9", "01J-abc_9"),
        ("a.b", "a%2Eb"),
        ('busy{path="/x\r\ny"}-1.5', "busy%7Bpath%3D%22%2Fx%0D%0Ay%22%7D-1%2E5"),
        ("é\ud800", "%C3%A9%3F"),
    ],
)
def test_an_id_goes_into_a_header_and_has_no_full_stop(message_id: str, header: str) -> None:
    assert safe_id(message_id) == header


def verified(headers: dict[str, str], body: bytes, key: bytes) -> bool:
    """Verify as a receiver does."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{expected}"


async def test_a_request_is_signed_with_id_time_and_body() -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    async with receiver(got) as url:
        channel = WebhookNotificationChannel(url, secret="whsec_" + base64.b64encode(b"key").decode())
        assert await channel.deliver(replace(NOTICE, id="busy_app-1.25")) == Delivered()
    ((headers, body),) = got
    assert headers["webhook-id"] == "busy_app-1%2E25"
    assert verified(headers, body, b"key")


async def test_the_secret_file_is_read_at_each_send(tmp_path: Path) -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    file = tmp_path / "secret"
    async with receiver(got) as url:
        channel = WebhookNotificationChannel(url, secret_file=file)
        missing = await channel.deliver(NOTICE)
        for key in ("s3cret-1", "s3cret-2"):
            file.write_text(f"{key}\n")
            assert await channel.deliver(NOTICE) == Delivered()
            assert verified(*got[-1], key.encode())
        file.write_text("whsec_s3cret!")
        assert await channel.deliver(NOTICE) == Retry("the secret has no base64 after whsec_")
    assert isinstance(missing, Retry)
    assert missing.why.endswith("cannot be read: No such file or directory")
    assert not missing.in_doubt
    assert len(got) == 2


# -- other settings


async def test_an_egress_to_the_open_internet_reaches_no_loopback() -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    async with receiver(got) as url:
        outcome = await WebhookNotificationChannel(url, egress="public").deliver(NOTICE)
    assert outcome == Rejected("the egress does not allow a loopback address")
    assert not got


async def test_an_attempt_has_the_time_that_it_is_given() -> None:
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # the client hangs up in the middle
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        outcome = await WebhookNotificationChannel(url, timeout="150ms").deliver(NOTICE)
        await asyncio.wait_for(over.wait(), 5)
    assert outcome == Retry("no answer within 0.15 s", in_doubt=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "xml"}, "the format 'xml'; use one of json, alertmanager"),
        ({"egress": "open"}, "the egress 'open'"),
        ({"timeout": "0s"}, "the timeout '0s'"),
        ({"secret": ""}, "a secret that is empty"),
        ({"secret": "a", "secret_file": "b"}, "both secret and secret_file"),
    ],
)
def test_a_wrong_setting_says_what_is_right(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ChannelError, match=f"webhook channel: {message}") as refused:
        WebhookNotificationChannel("http://x/s3cret", **settings)  # type: ignore[arg-type]
    assert refused.value.field in {"format", "egress", "timeout", "secret"}


def test_no_secret_shows() -> None:
    channel = WebhookNotificationChannel("https://u:s3cret@h.example.com/s3cret", {"X": "s3cret"}, secret="whsec_s3cretss")
    assert repr(channel) == "<WebhookNotificationChannel h.example.com>"


def test_a_value_that_is_no_number_is_null() -> None:
    alert = replace(FIRING, value=float("inf"), peak=float("nan"))
    document = json.loads(json_bytes(payload(replace(NOTICE, alert=alert))))
    assert (document["alert"]["value"], document["alert"]["peak"]) == (None, None)


# -- Alertmanager's labels and document


@pytest.mark.parametrize(
    ("labels", "digits"),
    [
        ({}, "cbf29ce484222325"),
        ({"name": "garland, briggs", "fear": "love is not enough"}, f"{5_799_056_148_416_392_346:016x}"),
    ],
)
def test_the_fingerprint_is_that_of_alertmanager(labels: dict[str, str], digits: str) -> None:
    """The examples of prometheus/common, model/signature_test.go."""
    assert fingerprint(labels) == digits


def test_the_order_of_labels_does_not_matter_and_that_of_bytes_decides() -> None:
    assert fingerprint({"a": "1", "é": "2", "\U0001f600": "3"}) == fingerprint({"\U0001f600": "3", "é": "2", "a": "1"})


def test_an_alert_is_known_by_its_labels_its_rule_and_its_severity() -> None:
    alert = replace(FIRING, labels={"collector": "app", "severity": "mine", "empty": "", "odd": "\ud800"})
    assert alertmanager_labels(alert) == {"collector": "app", "odd": "\ufffd", "alertname": "busy", "severity": "error"}


LABELS = {"team": "x", "host": "a", "alertname": "busy", "severity": "error"}
ANNOTATIONS = {"summary": "Queue long", "description": "Too much waits", "runbook": "https://wiki.example.com/busy"}


def test_alertmanagers_document_of_an_alert_that_fires() -> None:
    assert alertmanager_payload(NOTICE, receiver="ops") == {
        "version": "4",
        "groupKey": '{}:{alertname="busy", host="a", severity="error", team="x"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "ops",
        "groupLabels": LABELS,
        "commonLabels": LABELS,
        "commonAnnotations": ANNOTATIONS,
        "externalURL": "",
        "alerts": [
            {
                "status": "firing",
                "labels": LABELS,
                "annotations": ANNOTATIONS,
                "startsAt": "2026-11-25T08:00:00.250000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": fingerprint(LABELS),
            }
        ],
    }


def test_alertmanagers_document_of_an_alert_that_is_over() -> None:
    document = alertmanager_payload(replace(NOTICE, kind=NoticeKind.RESOLVED, alert=RESOLVED))
    (alert,) = document["alerts"]  # type: ignore[misc]
    assert (document["status"], alert["status"]) == ("resolved", "resolved")
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-11-25T08:00:00.250000Z", "2026-11-25T08:05:00.250000Z")


def test_alertmanagers_document_of_a_digest_has_all_its_alerts() -> None:
    document = alertmanager_payload(DIGEST)
    assert (document["status"], document["groupKey"]) == ("firing", '{}:{alertname="busy"}')
    assert (document["groupLabels"], document["truncatedAlerts"]) == ({"alertname": "busy"}, 0)
    assert document["commonLabels"] == {"team": "x", "alertname": "busy", "severity": "error"}
    assert [alert["status"] for alert in document["alerts"]] == ["firing", "resolved"]  # type: ignore[attr-defined]


def test_alertmanagers_document_of_a_storm_counts_the_alerts_that_it_does_not_have() -> None:
    document = alertmanager_payload(replace(DIGEST, extra={"counts": {"firing": 9, "resolved": 3}}))
    assert document["truncatedAlerts"] == 10


def test_an_alert_by_hand_has_the_times_of_its_message() -> None:
    alert = Alert("test", "test", AlertSeverity.INFO, "Test", "A test", status=AlertStatus.RESOLVED)
    (document,) = alertmanager_payload(replace(NOTICE, alert=alert))["alerts"]  # type: ignore[misc]
    assert document["startsAt"] == document["endsAt"] == "2023-11-14T22:13:20Z"


async def test_the_format_of_alertmanager_is_posted() -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    async with receiver(got) as url:
        channel = WebhookNotificationChannel(url, format="alertmanager", name="ops")
        assert await channel.deliver(DIGEST) == Delivered()
    assert json.loads(got[0][1]) == alertmanager_payload(DIGEST, receiver="ops")


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=()))),
    st.floats(),
)
def test_every_document_is_json_in_utf_8(labels: dict[str, str], value: float) -> None:
    notice = replace(NOTICE, alert=replace(FIRING, labels=labels, annotations=labels, title=str(labels), value=value))
    for document in (payload(notice), alertmanager_payload(notice)):
        text = json_bytes(document).decode()
        assert json.loads(text)
        assert "NaN" not in text or "NaN" in str(labels)
