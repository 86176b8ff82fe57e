"""The e-mail channel: the letters it writes, whom it hands them in for, and servers good and bad."""

import asyncio
import errno
import logging
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtplib.email import quote_address
from hypothesis import example, given
from hypothesis import strategies as st

from kailash_monitor.channels.channel import channel_name
from kailash_monitor.channels.email import REMEMBERED, TRIES, EmailNotificationChannel, Progress, settle
from kailash_monitor.channels.letter import Letterhead, address, message
from kailash_monitor.channels.smtp import Receipt, _obstacle
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.testing import EPOCH

from smtp_server import HOST, MailServer, answering, mail_server, scripted_server  # isort: skip

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

real_time = pytest.mark.real_time

ALERT = Alert(
    "busy_app",
    "busy",
    AlertSeverity.CRITICAL,
    "Queue long",
    "Too much waits",
    value=9.5,
    threshold=5.0,
    labels={"team": "x", "region": "eu"},
    annotations={"runbook": "https://wiki.example.com/queue?a=1&b=2"},
    status=AlertStatus.FIRING,
    fired_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
)
NOTICE = Notice("0191-message-1", NoticeKind.FIRING, ALERT, sent_at=EPOCH)
HEAD = Letterhead(sender=Address("", "alerts", "example.com"), to=(Address("", "ops", "example.com"),))
OPS, SEC, BOSS = "ops@example.com", "sec@example.com", "boss@example.com"


def parsed(mail: EmailMessage) -> EmailMessage:
    """What a mail program of today reads."""
    back = message_from_bytes(mail.as_bytes(), policy=default)
    assert isinstance(back, EmailMessage)
    return back


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    body = mail.get_body((kind,))
    assert body is not None
    content = body.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def channel(port: int, *, to: list[str] | str = OPS, **options: Any) -> EmailNotificationChannel:
    options = {"from_email": "alerts@example.com", "use_tls": False, "timeout": 5} | options
    return EmailNotificationChannel(HOST, port, to_emails=to, **options)


# -- letters


def test_a_letter_has_the_headers_that_people_and_robots_need() -> None:
    mail = parsed(message(NOTICE, HEAD))
    assert dict(mail.items()) == {
        "From": "alerts@example.com",
        "To": "ops@example.com",
        "Subject": "[FIRING] critical: Queue long",
        "Date": "Tue, 14 Nov 2023 22:13:20 +0000",
        "Message-ID": mail["Message-ID"],
        "In-Reply-To": mail["In-Reply-To"],
        "References": mail["In-Reply-To"],
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "Importance": "high",
        "MIME-Version": "1.0",
        "Content-Type": mail["Content-Type"],
    }
    assert mail.get_content_type() == "multipart/alternative"
    assert not mail.defects


def test_a_letter_says_what_there_is_to_know_as_text_and_as_html() -> None:
    mail = parsed(message(NOTICE, HEAD))
    for kind in ("plain", "html"):
        for words in ("Queue long", "Too much waits", "9.5", "limit 5", "2023-11-14 22:13:20 UTC", "team=x, region=eu"):
            assert words in text_of(mail, kind), (kind, words)
    assert "https://wiki.example.com/queue?a=1&b=2" in text_of(mail)
    assert '<a href="https://wiki.example.com/queue?a=1&amp;b=2">' in text_of(mail, "html")


def test_a_letter_can_be_text_alone() -> None:
    mail = parsed(message(NOTICE, replace(HEAD, html=False)))
    assert mail.get_content_type() == "text/plain"


@pytest.mark.parametrize(
    ("kind", "severity", "subject", "importance"),
    [
        (NoticeKind.FIRING, AlertSeverity.CRITICAL, "[FIRING] critical: Queue long", "high"),
        (NoticeKind.FIRING, AlertSeverity.WARNING, "[FIRING] warning: Queue long", None),
        (NoticeKind.REPEAT, AlertSeverity.CRITICAL, "[STILL FIRING] critical: Queue long", "high"),
        (NoticeKind.RESOLVED, AlertSeverity.CRITICAL, "[RESOLVED] critical: Queue long", None),
        (NoticeKind.STABLE, AlertSeverity.CRITICAL, "[STABLE, FIRING] critical: Queue long", "high"),
        (NoticeKind.DIGEST, AlertSeverity.ERROR, "[FIRING] error: Queue long", None),
        (NoticeKind.TEST, AlertSeverity.INFO, "[TEST] info: Queue long", None),
    ],
)
def test_the_subject_says_what_it_is_about_and_whether_to_hurry(
    kind: NoticeKind, severity: AlertSeverity, subject: str, importance: str | None
) -> None:
    mail = parsed(message(replace(NOTICE, kind=kind, alert=replace(ALERT, severity=severity)), HEAD))
    assert (mail["Subject"], mail["Importance"]) == (subject, importance)


def test_a_long_subject_is_cut() -> None:
    mail = parsed(message(replace(NOTICE, alert=replace(ALERT, title="Ü long " * 100)), HEAD))
    assert mail["Subject"].startswith("[FIRING] critical: Ü long Ü long")
    assert mail["Subject"].endswith("…")
    assert len(mail["Subject"]) <= 150


def test_each_attempt_sends_the_same_bytes() -> None:
    assert message(NOTICE, HEAD).as_bytes() == message(NOTICE, HEAD).as_bytes()
    assert message(NOTICE, HEAD)["Message-ID"] != message(replace(NOTICE, id="other"), HEAD)["Message-ID"]


def test_all_letters_about_one_alert_are_one_thread() -> None:
    later = Notice("2", NoticeKind.RESOLVED, replace(ALERT, incident=2), sent_at=EPOCH + 9)
    other = Notice("3", NoticeKind.FIRING, replace(ALERT, id="other"), sent_at=EPOCH + 9)
    first, second, third = (parsed(message(notice, HEAD)) for notice in (NOTICE, later, other))
    assert first["References"] == first["In-Reply-To"] == second["References"] == second["In-Reply-To"]
    assert third["References"] != first["References"]
    assert len({first["Message-ID"], second["Message-ID"], third["Message-ID"], first["References"]}) == 4


def test_a_thread_holds_where_the_domain_is_long() -> None:
    """The standard library encodes an id that is longer than a line, and then it matches nothing."""
    long = replace(HEAD, sender=Address("", "a", ".".join(["d" * 60] * 3)))
    raw = message(NOTICE, long).as_bytes()
    assert b"=?" not in raw.split(b"\r\n\r\n")[0]
    assert parsed(message(NOTICE, long))["References"].endswith(f"@{long.sender.domain}>")


def test_html_of_strangers_is_shown_and_not_obeyed() -> None:
    evil = "<script>alert('1')</script>&\"'"
    alert = replace(ALERT, title=evil, description=evil, labels={"l": evil}, annotations={"runbook": f'https://x/"{evil}'})
    html = text_of(parsed(message(replace(NOTICE, alert=alert), HEAD)), "html")
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;") >= 4


DIGEST = replace(
    NOTICE,
    kind=NoticeKind.DIGEST,
    alert=replace(ALERT, title="2 alerts: 1 firing, 1 resolved", labels={}, annotations={}),
    items=(
        Item(NoticeKind.RESOLVED, replace(ALERT, title="Over <now>", status=AlertStatus.RESOLVED)),
        Item(NoticeKind.FIRING, replace(ALERT, title="Disk full")),
    ),
)


def test_a_digest_is_a_table_of_its_alerts() -> None:
    mail = parsed(message(DIGEST, HEAD))
    text, html = text_of(mail), text_of(mail, "html")
    assert 0 < text.index("Disk full") < text.index("Over <now>")
    assert html.count("<tr>") == 2
    assert 0 < html.index("Disk full") < html.index("Over &lt;now&gt;")


NASTY = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.sampled_from(
        [
            "a\r\nBcc: evil@example.org",
            "a\nBcc: evil@example.org\n\nbody",
            "\r\n.\r\nMAIL FROM:<x@y>\r\n",
            "=?utf-8?q?a=0D=0ABcc:_evil=40example.org?=",
            "=?utf-8?b?DQpCY2M6IGV2aWxAZXhhbXBsZS5vcmc=?= =?utf-8?q?=0Ab?=",
            "\0\x1b[2J\x85\u2028\u2029\u202e\ud800\udfff",
            "x" * 5000,
            "ü" * 2000,
            " ",
            "",
        ]
    ),
)


@given(title=NASTY, description=NASTY, label=NASTY, name=NASTY, runbook=NASTY, ident=NASTY)
@example(title="\ud800", description="\ud800", label="\r", name="\n", runbook="https://\r\n\ud800", ident="\ud800")
def test_nothing_in_an_alert_can_add_a_header_or_break_the_protocol(
    title: str, description: str, label: str, name: str, runbook: str, ident: str
) -> None:
    alert = replace(
        ALERT, id=ident, title=title, description=description, labels={name: label}, annotations={"runbook": runbook}
    )
    mail = message(replace(NOTICE, id=ident, alert=alert), HEAD, subject=None)
    raw = mail.as_bytes()
    assert raw.isascii()
    lines = raw.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)
    assert max(map(len, lines)) <= 998
    back = parsed(mail)
    assert back.keys() == parsed(message(NOTICE, HEAD)).keys()
    assert not back.defects
    assert len(str(back["Subject"]).splitlines()) == 1
    assert (back["To"], back["From"]) == ("ops@example.com", "alerts@example.com")
    assert {part.get_content_type() for part in back.walk()} == {"multipart/alternative", "text/plain", "text/html"}


@given(subject=NASTY, text=NASTY)
def test_a_subject_and_a_text_of_your_own_cannot_either(subject: str, text: str) -> None:
    mail = message(NOTICE, HEAD, subject=subject, text=text)
    assert parsed(mail).keys() == parsed(message(NOTICE, HEAD)).keys()
    assert not any(b"\r" in line or b"\n" in line for line in mail.as_bytes().split(b"\r\n"))


# -- addresses


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("ops@example.com", "", "ops@example.com"),
        ("  ops@example.com ", "", "ops@example.com"),
        ("root@localhost", "", "root@localhost"),
        ("a.b+c_d@x-y.example", "", "a.b+c_d@x-y.example"),
        ("On call <ops@example.com>", "On call", "ops@example.com"),
        ('"Ops, Team" <ops@example.com>', "Ops, Team", "ops@example.com"),
        ("Jürgen, «Ops» <ops@example.com>", "Jürgen, «Ops»", "ops@example.com"),
        ("<ops@example.com>", "", "ops@example.com"),
        ("ops@bücher.example", "", "ops@xn--bcher-kva.example"),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, name: str, spec: str) -> None:
    one = address(text, "to_emails", "email channel")
    assert (one.display_name, one.addr_spec) == (name, spec)
    mail = parsed(message(NOTICE, replace(HEAD, to=(one, Address("", "x", "y.example")))))
    assert [(to.display_name, to.addr_spec) for to in mail["To"].addresses] == [(name, spec), ("", "x@y.example")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "use the form name@example.com"),
        ("ops", "use the form"),
        ("a@b@c", "use the form"),
        ("@example.com", "use the form"),
        ("ops@", "use the form"),
        ("ops@example..com", "use the form"),
        ("ops@-x.com", "use the form"),
        (".ops@example.com", "use the form"),
        ("o ps@example.com", "use the form"),
        ("ops@exa mple.com", "use the form"),
        ("ops@example.com\r\nBcc: x@y.z", "use the form"),
        ("ops@example.com\0", "use the form"),
        ("ops@example.com, sec@example.com", "use the form"),
        ("=?utf-8?q?a?=@example.com", "use the form"),
        (f"{'a' * 65}@example.com", "use the form"),
        (f"a@{'d.' * 130}com", "use the form"),
        ("jürgen@example.com", "use letters from a to z before the @, others need SMTPUTF8"),
        ("a\nb <ops@example.com>", "the name 'a\\\\nb'; use one line"),
        ("\ud800 <ops@example.com>", "use one line"),
        ("=?utf-8?q?=0A?= <ops@example.com>", "use one line"),
        (f"{'n' * 101} <ops@example.com>", "use one line of at most 100 characters"),
    ],
)
def test_an_address_that_no_server_takes_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ChannelError, match=f"email channel: .*{expected}") as refused:
        channel(25, to=[text])
    assert refused.value.field == "to_emails"


@given(st.one_of(NASTY, st.emails(), st.builds("{} <{}>".format, NASTY, st.emails())))
@example("\\ <a@b.c>")
@example('"," <a@b.c>')
@example('ü", x@y <a@b.c>')
def test_an_address_is_refused_or_arrives_as_it_is(text: str) -> None:
    try:
        one = address(text, "to_emails", "email channel")
    except ChannelError:
        return
    assert quote_address(one.addr_spec) == f"<{one.addr_spec}>"
    mail = parsed(message(NOTICE, replace(HEAD, to=(one,), cc=(one,), sender=one, reply_to=one)))
    for header in ("To", "Cc", "From", "Reply-To"):
        assert [to.addr_spec for to in mail[header].addresses] == [one.addr_spec], header
    assert mail.keys()[:5] == ["From", "To", "Cc", "Reply-To", "Subject"]


# -- settings


def test_the_guides_example_works() -> None:
    mail = EmailNotificationChannel(
        smtp_host="smtp.company.com",
        smtp_port=587,
        username="alerts@company.com",
        password="secure_password",
        from_email="kailash-alerts@company.com",
        to_emails=["devops@company.com", "security@company.com"],
        use_tls=True,
    )
    assert repr(mail) == "<EmailNotificationChannel smtp.company.com:587 to 2>"
    assert channel_name(mail) == "email"
    assert mail.rate == (20.0, 100)


@pytest.mark.parametrize(
    ("options", "field", "error"),
    [
        ({"smtp_host": ""}, "smtp_host", "the host ''; use a name or an address, without port"),
        ({"smtp_host": "a b"}, "smtp_host", "the host 'a b'"),
        ({"smtp_host": "x:25"}, "smtp_host", "the host 'x:25'"),
        ({"smtp_port": 0}, "smtp_port", "the port 0; use a number from 1 to 65535"),
        ({"smtp_port": True}, "smtp_port", "the port True"),
        ({"to_emails": []}, "to_emails", "no to_emails; give at least one address"),
        ({"to_emails": 5}, "to_emails", "to_emails 5; use a list of addresses"),
        ({"from_email": None}, "from_email", "no from_email; say from whom the mail is"),
        ({"from_email": "x"}, "from_email", "the address 'x'"),
        ({"reply_to": "x"}, "reply_to", "the address 'x'"),
        ({"cc": ["x"]}, "cc", "the address 'x'"),
        ({"security": "ssl"}, "security", "the security 'ssl'; use one of starttls, tls, none"),
        ({"timeout": "0s"}, "timeout", "the timeout '0s'"),
        ({"ca_file": 5}, "ca_file", "ca_file 5; name a file"),
        ({"password": "s3cret"}, "username", "a password without a username; give both"),
        ({"username": "u"}, "password", "neither password nor password_file"),
        ({"username": "u", "password": "s3cret", "password_file": "f"}, "password", "both password and password_file"),
        ({"username": "u", "password": "s3cret", "use_tls": False}, "use_tls", "a password that would go to smtp.example.com in clear"),
        ({"username": "u", "password": "s3cret", "security": "none"}, "use_tls", "a password that would go to"),
    ],
)  # fmt: skip
def test_wrong_settings_say_what_is_right(options: dict[str, Any], field: str, error: str) -> None:
    right = {"smtp_host": "smtp.example.com", "smtp_port": 25, "from_email": "a@x.com", "to_emails": [OPS]}
    with pytest.raises(ChannelError, match=f"^email channel: {error}") as refused:
        EmailNotificationChannel(**{**right, **options})
    assert refused.value.field == field
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_a_password_may_go_in_clear_to_this_very_machine(host: str) -> None:
    EmailNotificationChannel(host, 25, "a@x.com", "p", to_emails=OPS, use_tls=False)


# -- progress


@pytest.mark.parametrize(
    ("before", "receipt", "after", "outcome"),
    [
        (Progress(("a", "b")), Receipt(("a", "b")), Progress((), 2, 0, 1), Delivered()),
        (Progress(("a", "b")), Receipt((), {"a": "450 x", "b": "451 y"}), Progress(("a", "b")), Retry("2 recipients put off: 450 x")),
        (Progress(("a", "b")), Receipt((), {"a": "450 x"}, {"b": "550 y"}), Progress(("a",), 0, 1), Retry("1 recipient put off: 450 x")),
        (Progress(("a",), 0, 1), Receipt((), {}, {"a": "550 z"}), Progress((), 0, 2), Rejected("2 recipients refused: 550 z")),
        (Progress(("a",)), Receipt((), {}, {"a": "550 z"}), Progress((), 0, 1), Rejected("1 recipient refused: 550 z")),
        (Progress(("a", "b")), Receipt(("a",), {}, {"b": "550 z"}), Progress((), 1, 1, 1), Delivered()),
        (Progress(("a", "b")), Receipt(("a",), {"b": "450 x"}), Progress(("b",), 1, 0, 1),
         Retry("1 recipient put off, 1 have it: 450 x", after=60.0, in_doubt=True)),
        (Progress(("b",), 1, 0, 1), Receipt((), {"b": "450 x"}), Progress(("b",), 1, 0, 2),
         Retry("1 recipient put off, 1 have it: 450 x", after=60.0, in_doubt=True)),
        (Progress(("b",), 1, 0, TRIES - 1), Receipt((), {"b": "450 x"}), Progress(("b",), 1, 0, TRIES), Delivered()),
        (Progress(("b",), 1, 0, 1), Receipt((), {}, {"b": "550 x"}), Progress((), 1, 1, 2), Delivered()),
    ],
)  # fmt: skip
def test_what_becomes_of_a_message_that_some_have(
    before: Progress, receipt: Receipt, after: Progress, outcome: Outcome
) -> None:
    assert settle(before, receipt) == (after, outcome)


# -- with a real server


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return path


@real_time
@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("exclude", [[], ["PLAIN"]])
async def test_a_letter_arrives_encrypted_after_a_login(tls: str, exclude: list[str], ca: trustme.CA, ca_file: Path) -> None:
    server = MailServer(passwords={"alerts": "s3cret"})
    async with mail_server(server, tls=tls, ca=ca, auth_exclude_mechanism=exclude) as server:
        mail = channel(
            server.port, to=[OPS, f"Security <{SEC}>"], cc=[BOSS], username="alerts", password="s3cret",
            security=tls, ca_file=ca_file, reply_to="team@example.com",
        )  # fmt: skip
        assert await mail.deliver(NOTICE) == Delivered()
    (got,) = server.mails
    assert (got.sender, got.recipients) == ("alerts@example.com", [OPS, SEC, BOSS])
    assert (got.message["To"], got.message["Cc"]) == (f"{OPS}, Security <{SEC}>", BOSS)
    assert got.message["Reply-To"] == "team@example.com"
    assert got.message["Subject"] == "[FIRING] critical: Queue long"
    assert got.raw == message(NOTICE, mail._head).as_bytes()
    assert server.logins == [("LOGIN" if exclude else "PLAIN", "alerts", True)]


@real_time
async def test_it_works_alone_as_in_the_guide() -> None:
    async with mail_server() as server:
        assert await channel(server.port).send_notification(ALERT, {}) is True
    assert server.mails[0].message["Subject"] == "[TEST] critical: Queue long"


@real_time
async def test_words_of_your_own_stand_in_the_subject_the_text_and_the_html() -> None:
    async with mail_server() as server:
        mail = channel(
            server.port,
            subject_template="Pager:\n{{ alert.title }} =?utf-8?q?=0ABcc:?=",
            text_template="<Look> at\n{{ labels.team }}",
        )
        assert await mail.deliver(NOTICE) == Delivered()
    got = server.mails[0].message
    assert got["Subject"] == "Pager: Queue long = ?utf-8?q?=0ABcc:?="
    assert text_of(got) == "<Look> at\nx\n"
    assert "&lt;Look&gt; at\nx</div>" in text_of(got, "html")


def test_a_template_that_cannot_work_is_told_at_once() -> None:
    with pytest.raises(ChannelError, match="email channel: subject_template, line 1: ") as refused:
        channel(25, subject_template="{{ nothing }}")
    assert refused.value.field == "subject_template"


@real_time
async def test_a_line_that_begins_with_a_dot_arrives() -> None:
    async with mail_server() as server:
        alert = replace(ALERT, description=".")
        assert await channel(server.port).deliver(replace(NOTICE, alert=alert)) == Delivered()
    assert "\n\n.\n\n" in text_of(server.mails[0].message)


@real_time
async def test_a_wrong_password_is_told_after_one_try(
    ca: trustme.CA, ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kailash_monitor")
    server = MailServer(passwords={"alerts": "right"})
    async with mail_server(server, tls="starttls", ca=ca) as server:
        mail = channel(server.port, username="alerts", password="s3cret", security="starttls", ca_file=ca_file)
        assert await mail.deliver(NOTICE) == Unauthorised("login refused: 535 5.7.8")
    assert server.logins == [("PLAIN", "alerts", False)]
    assert "s3cret" not in caplog.text


@real_time
async def test_a_server_that_wants_a_login_is_no_fault_of_the_message() -> None:
    server = MailServer(passwords={"alerts": "right"})
    async with mail_server(server) as server:
        assert await channel(server.port).deliver(NOTICE) == Unauthorised("530 5.7.0 Authentication required")


@real_time
async def test_a_password_file_is_read_at_each_send(tmp_path: Path) -> None:
    server, file = MailServer(passwords={"alerts": "new"}), tmp_path / "password"
    async with mail_server(server) as server:
        mail = channel(server.port, username="alerts", password_file=file)
        assert await mail.deliver(NOTICE) == Retry(f"{file} cannot be read: No such file or directory")
        file.write_text("old\n")
        assert await mail.deliver(NOTICE) == Unauthorised("login refused: 535 5.7.8")
        file.write_text("new\n")
        assert await mail.deliver(NOTICE) == Delivered()


@real_time
async def test_what_a_server_repeats_of_the_login_is_not_told() -> None:
    talk = answering(EHLO="250-mail.test\r\n250 AUTH PLAIN", AUTH="550 cannot do AUTH PLAIN AGFsZXJ0cwBzM2NyZXQ= s3cret")
    async with scripted_server(talk) as port:
        outcome = await channel(port, username="alerts", password="s3cret").deliver(NOTICE)
    assert outcome == Unauthorised("login refused: 550")


# -- certificates, and servers that do not encrypt


@real_time
@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tls: str, ca: trustme.CA) -> None:
    async with mail_server(tls=tls, ca=ca) as server:
        outcome = await channel(server.port, security=tls).deliver(NOTICE)
    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("the server's certificate is not accepted: ")
    assert not outcome.in_doubt


@real_time
@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_certificate_of_another_host_is_not_accepted(tls: str, ca: trustme.CA, ca_file: Path) -> None:
    async with mail_server(tls=tls, ca=ca, host="other.example.com") as server:
        outcome = await channel(server.port, security=tls, ca_file=ca_file).deliver(NOTICE)
    assert isinstance(outcome, Retry)
    assert "IP address mismatch" in outcome.why


@real_time
async def test_an_authority_can_be_replaced_without_a_restart(ca: trustme.CA, ca_file: Path) -> None:
    new = trustme.CA()
    async with mail_server(tls="tls", ca=new) as server:
        mail = channel(server.port, security="tls", ca_file=ca_file)
        assert isinstance(await mail.deliver(NOTICE), Retry)
        new.cert_pem.write_to_path(str(ca_file))
        assert await mail.deliver(NOTICE) == Delivered()


@real_time
async def test_a_missing_file_of_authorities_is_told(tmp_path: Path) -> None:
    async with mail_server() as server:
        outcome = await channel(server.port, security="tls", ca_file=tmp_path / "none.pem").deliver(NOTICE)
        assert outcome == Retry("the certificates of ca_file cannot be used: No such file or directory")
        (tmp_path / "none.pem").write_text("no certificate")
        outcome = await channel(server.port, security="tls", ca_file=tmp_path / "none.pem").deliver(NOTICE)
        assert isinstance(outcome, Retry)
        assert outcome.why.startswith("the certificates of ca_file cannot be used: no ")


@real_time
async def test_nothing_is_sent_in_clear_where_starttls_is_not_offered() -> None:
    """It may be somebody in between who took it out of the offer."""
    async with mail_server() as server:
        mail = channel(server.port, use_tls=True, username="alerts", password="s3cret")
        assert await mail.deliver(NOTICE) == Retry("the server offers no STARTTLS, and nothing is sent in clear")
    assert (server.mails, server.logins) == ([], [])


@real_time
async def test_a_server_without_tls_on_a_tls_port_is_told() -> None:
    async with mail_server() as server:
        outcome = await channel(server.port, security="tls").deliver(NOTICE)
    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("no TLS: ")


# -- recipients


@real_time
async def test_whom_the_server_puts_off_gets_the_message_later_and_nobody_twice() -> None:
    busy = {SEC, BOSS}
    server = MailServer(rcpt=lambda address: "450 4.2.0 greylisted" if address in busy else None)
    async with mail_server(server) as server:
        mail = channel(server.port, to=[OPS, SEC, BOSS])
        put_off = Retry("2 recipients put off, 1 have it: 450 4.2.0 greylisted", after=60.0, in_doubt=True)
        assert await mail.deliver(NOTICE) == put_off
        busy.discard(SEC)
        assert isinstance(await mail.deliver(NOTICE), Retry)
        busy.clear()
        assert await mail.deliver(NOTICE) == Delivered()
        assert await mail.deliver(replace(NOTICE, id="next")) == Delivered()
    assert [got.recipients for got in server.mails] == [[OPS], [SEC], [BOSS], [OPS, SEC, BOSS]]
    assert len({got.message["Message-ID"] for got in server.mails[:3]}) == 1
    assert {str(got.message["To"]) for got in server.mails} == {f"{OPS}, {SEC}, {BOSS}"}


@real_time
async def test_a_recipient_who_is_refused_keeps_the_message_from_nobody_and_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone_for_good = {SEC}
    server = MailServer(rcpt=lambda address: "550 5.1.1 no such\x1b user" if address in gone_for_good else None)
    async with mail_server(server) as server:
        mail = channel(server.port, to=[OPS, SEC])
        for n in range(3):
            assert await mail.deliver(replace(NOTICE, id=f"{n}")) == Delivered()
        said = f"mail server 127.0.0.1 does not take mail for {SEC}: 550 5.1.1 no such\\x1b user"
        assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith("kailash")] == [
            ("kailash_monitor.channels", "WARNING", said)
        ]
        gone_for_good.clear()
        assert await mail.deliver(replace(NOTICE, id="3")) == Delivered()
        gone_for_good.add(SEC)
        assert await mail.deliver(replace(NOTICE, id="4")) == Delivered()
    assert [r.getMessage() for r in caplog.records if r.name.startswith("kailash")] == [said, said]


@real_time
async def test_a_message_that_nobody_may_have_is_rejected() -> None:
    server = MailServer(rcpt=lambda address: "554 5.7.1 Relay access denied")
    async with mail_server(server) as server:
        outcome = await channel(server.port, to=[OPS, SEC]).deliver(NOTICE)
    assert outcome == Rejected("2 recipients refused: 554 5.7.1 Relay access denied")
    assert server.mails == []


@real_time
async def test_who_is_refused_is_not_asked_for_again_at_the_next_attempt() -> None:
    answers = {OPS: "451 later", SEC: "550 never"}
    server = MailServer(rcpt=lambda address: answers.get(address))
    async with mail_server(server) as server:
        mail = channel(server.port, to=[OPS, SEC])
        assert await mail.deliver(NOTICE) == Retry("1 recipient put off: 451 later")
        answers[OPS] = "550 never"
        assert await mail.deliver(NOTICE) == Rejected("2 recipients refused: 550 never")
    assert server.asked == [OPS, SEC, OPS]


@real_time
async def test_too_many_recipients_get_it_in_turns() -> None:
    def two_at_a_time(address: str) -> str | None:
        taken = server.asked.index(address) if len(server.asked) <= 5 else 0
        return "552 too many recipients" if taken >= 2 else None

    server = MailServer(rcpt=two_at_a_time)
    async with mail_server(server) as server:
        mail = channel(server.port, to=[f"{n}@example.com" for n in range(5)])
        assert isinstance(await mail.deliver(NOTICE), Retry)
        assert await mail.deliver(NOTICE) == Delivered()
    assert [len(got.recipients) for got in server.mails] == [2, 3]


@real_time
async def test_a_mailbox_that_stays_full_holds_nobody_up_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    server = MailServer(rcpt=lambda address: "452 4.2.2 full" if address == SEC else None)
    async with mail_server(server) as server:
        mail = channel(server.port, to=[OPS, SEC])
        outcomes = [await mail.deliver(NOTICE) for _ in range(TRIES)]
    assert [type(outcome) for outcome in outcomes] == [Retry] * (TRIES - 1) + [Delivered]
    assert [got.recipients for got in server.mails] == [[OPS]]
    assert f"does not take mail for {SEC}: 452 4.2.2 full" in caplog.text
    assert not mail._progress


@real_time
async def test_what_is_remembered_of_messages_is_bounded() -> None:
    server = MailServer(rcpt=lambda address: "450 x" if address == SEC else None)
    async with mail_server(server) as server:
        mail = channel(server.port, to=[OPS, SEC])
        mail._progress.update({f"{n}": Progress((SEC,), 1) for n in range(REMEMBERED)})
        await mail.deliver(NOTICE)
        assert len(mail._progress) == REMEMBERED
        assert "0" not in mail._progress


# -- what an answer means


@real_time
@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"GREETING": "421 too busy"}, Retry("421 too busy")),
        ({"GREETING": "554 go away"}, Retry("554 go away")),
        ({"GREETING": "hello?"}, Retry("the server's answer makes no sense")),
        ({"GREETING": None}, Retry("no connection: the server hangs up")),
        ({"EHLO": "550 who?"}, Retry("550 who?")),
        ({"EHLO": None}, Retry("connection lost")),
        ({"MAIL": "451 4.3.0 later"}, Retry("451 4.3.0 later")),
        ({"MAIL": "550 not you"}, Rejected("sender refused: 550 not you")),
        ({"MAIL": "530 5.7.0 Must issue a STARTTLS command first"}, Unauthorised("530 5.7.0 Must issue a STARTTLS command first")),
        ({"MAIL": None}, Retry("connection lost")),
        ({"RCPT": "421 closing"}, Retry("421 closing")),
        ({"RCPT": "530 log in"}, Unauthorised("530 log in")),
        ({"RCPT": None}, Retry("connection lost")),
        ({"DATA": "451 not now"}, Retry("1 recipient put off: 451 not now")),
        ({"DATA": "554 no valid recipients"}, Rejected("1 recipient refused: 554 no valid recipients")),
        ({"DATA": "250 what?"}, Retry("250 what?")),
        ({"DATA": None}, Retry("connection lost")),
        ({"DOT": "250-two\r\n250 lines"}, Delivered()),
        ({"DOT": "451 disk full"}, Retry("1 recipient put off: 451 disk full")),
        ({"DOT": "421 going down"}, Retry("1 recipient put off: 421 going down")),
        ({"DOT": "552 too big"}, Rejected("1 recipient refused: 552 too big")),
        ({"DOT": "354 and?"}, Retry("354 and?", in_doubt=True)),
        ({"DOT": "well"}, Retry("the server's answer makes no sense", in_doubt=True)),
        ({"DOT": None}, Retry("connection lost", in_doubt=True)),
        ({"QUIT": None}, Delivered()),
        ({"QUIT": ""}, Delivered()),
        ({"MAIL": "451 " + "x" * 5000}, Retry("451 " + "x" * 200)),
        ({"MAIL": "451 " + "x" * 50_000}, Retry("the server's answer makes no sense")),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
async def test_what_a_servers_answer_means(answers: dict[str, str | None], outcome: Outcome) -> None:
    async with scripted_server(answering(**answers)) as port:
        assert await channel(port).deliver(NOTICE) == outcome


@real_time
@pytest.mark.parametrize(
    ("ehlo", "auth", "outcome"),
    [
        ("250 AUTH PLAIN", "454 4.7.0 try later", Retry("login refused: 454 4.7.0")),
        ("250 AUTH PLAIN", "534 5.7.9 too weak", Unauthorised("login refused: 534 5.7.9")),
        ("250 AUTH PLAIN", "421 4.7.0 busy", Retry("login refused: 421 4.7.0")),
        ("250 AUTH PLAIN", "504 what?", Retry("the server offers no way to log in that is known here")),
        ("250 AUTH GSSAPI", "235 in", Retry("the server offers no way to log in that is known here")),
        ("250 HELP", "235 in", Retry("the server offers no way to log in that is known here")),
        ("250 AUTH PLAIN", "235 in", Delivered()),
        ("250 AUTH=PLAIN", "235 in", Delivered()),
    ],
)
async def test_what_an_answer_to_a_login_means(ehlo: str, auth: str, outcome: Outcome) -> None:
    async with scripted_server(answering(EHLO=f"250-mail.test\r\n{ehlo}", AUTH=auth)) as port:
        assert await channel(port, username="alerts", password="p").deliver(NOTICE) == outcome


@real_time
async def test_no_connection_is_certain_not_to_have_been_heard() -> None:
    async with scripted_server(answering()) as port:
        pass
    assert await channel(port).deliver(NOTICE) == Retry("no connection: Connection refused")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (socket.gaierror(-2, "Name or service not known"), "no connection: Name or service not known"),
        (OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.1', 25)"), "no connection: No route to host"),
        (OSError(f"Multiple exceptions: [Errno {errno.ECONNREFUSED}] Connect call failed ('::1', 25, 0, 0), [Errno 1] and so on"),
         "no connection: Connection refused"),
        (OSError("something else"), "no connection: OSError"),
    ],
)  # fmt: skip
def test_why_there_is_no_connection_is_told_as_the_system_says_it(error: OSError, why: str) -> None:
    assert _obstacle(error) == why


@pytest.mark.parametrize(
    ("answers", "in_doubt"),
    [({"GREETING": ""}, False), ({"MAIL": ""}, False), ({"DATA": ""}, False), ({"DOT": ""}, True)],
)
async def test_a_slow_server_is_given_up_and_in_doubt_only_after_the_final_dot(
    answers: dict[str, str | None], in_doubt: bool
) -> None:
    async with scripted_server(answering(**answers)) as port:
        outcome = await channel(port, timeout="10s").deliver(NOTICE)
    assert outcome == Retry("no answer within 10 s", in_doubt=in_doubt)


BIG = replace(NOTICE, alert=replace(ALERT, description="A long line of a long text. " * 250_000))
"""More than the buffers of both sides hold."""


class Deaf:
    """A server that stops reading in the middle of a message, and sees whether the other side hangs up."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in ("220 mail.test", "250 HELP", "250 OK", "250 OK", "354 go on"):
            writer.write(answer.encode() + b"\r\n")
            await reader.readline()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        self.stopped.set()
        await self.go_on.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        size = 0
        try:
            while part := await reader.read(1_000_000):
                size += len(part)
        except ConnectionError:
            pass
        self.ended.set_result(size)


@real_time
@pytest.mark.parametrize("tls", ["none", "tls"])
async def test_cancelled_in_the_middle_of_a_message_it_hangs_up_at_once(tls: str, ca: trustme.CA, ca_file: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(HOST).configure_cert(context)
    server, loop = Deaf(), asyncio.get_running_loop()
    async with scripted_server(server.talk, ssl=context if tls == "tls" else None) as port:
        sending = asyncio.create_task(channel(port, security=tls, ca_file=ca_file, html=False).deliver(BIG))
        await server.stopped.wait()
        await asyncio.sleep(0.05)
        cancelled_at = loop.time()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert loop.time() - cancelled_at < 0.1
        server.go_on.set()
        assert await asyncio.wait_for(server.ended, 1) < 7_000_000


async def test_a_message_whose_end_was_not_sent_is_not_in_doubt() -> None:
    server = Deaf()
    async with scripted_server(server.talk) as port:
        assert await channel(port, html=False).deliver(BIG) == Retry("no answer within 5 s")
        server.go_on.set()
        await server.ended


@real_time
@pytest.mark.parametrize("answers", [{"GREETING": ""}, {"MAIL": ""}, {"DOT": ""}])
async def test_cancelled_at_any_stage_it_hangs_up(answers: dict[str, str | None]) -> None:
    async with scripted_server(answering(**answers)) as port:
        sending = asyncio.create_task(channel(port).deliver(NOTICE))
        await asyncio.sleep(0.2)
        loop = asyncio.get_running_loop()
        cancelled_at = loop.time()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert loop.time() - cancelled_at < 0.1


@real_time
async def test_a_slow_server_delays_no_other_message() -> None:
    slow, go_on = {"0"}, asyncio.Event()

    async def data() -> str | None:
        if slow:
            slow.pop()
            await go_on.wait()
        return None

    server = MailServer(data=data)
    async with mail_server(server) as server:
        mail = channel(server.port)
        first = asyncio.create_task(mail.deliver(NOTICE))
        while slow:
            await asyncio.sleep(0.01)
        assert await mail.deliver(replace(NOTICE, id="2")) == Delivered()
        assert not first.done()
        go_on.set()
        assert await first == Delivered()
