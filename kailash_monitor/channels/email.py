"""The e-mail channel: alerts as letters, one thread an alert, to each recipient once."""

import asyncio
import importlib
import ipaddress
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from typing import TYPE_CHECKING, Final

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.checks import Secret, SecretUnreadable, text_of, timeout_of
from kailash_monitor.channels.letter import Letterhead, address, domain_name, message
from kailash_monitor.channels.template import Template
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected, Retry
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.notice import Notice

if TYPE_CHECKING:  # they need aiosmtplib, which is loaded at first use
    from kailash_monitor.channels.smtp import Receipt, Security, Server

__all__ = ["EmailNotificationChannel", "Progress", "settle"]

_LOGGER: Final = logging.getLogger("kailash_monitor.channels")
_WHERE: Final = "email channel"
_TRANSPORT: Final = "kailash_monitor.channels.smtp"
_IMPORTED: Final = threading.Event()
"""Set once it is: while one thread imports a module, it is known, and whoever else asks for it waits for that thread."""
_IMPLICIT_TLS: Final = 465
_SECURITIES: Final = ("starttls", "tls", "none")

REMEMBERED: Final = 1000
"""Messages that some recipients have and others do not: beyond, the oldest goes to all of them again."""

AGAIN_AFTER: Final = 60.0
TRIES: Final = 7
"""Six minutes, since servers that put strangers off (greylisting) take them after five. While a message is tried again,
those who have it hear nothing newer of its alert: not longer than that for the sake of one full mailbox."""


class EmailNotificationChannel(DeliveringChannel):
    """Mails each notice from `from_email` (by default `username`) to `to_emails`, and to `cc`.

    The connection is encrypted: from the first byte on port 465, after STARTTLS on others, or as `security` ("starttls",
    "tls", "none") says; `use_tls=False` is "none". The server's certificate is always verified, against the authorities
    of the system, or those in `ca_file` alone. The password is never sent in clear but to this very machine.

    Whom the server puts off gets the message later, and nobody gets it twice who has it, as long as this process lives;
    whom it refuses for good is named in the log. `reply_to` is where answers go. `html=False` leaves the text alone.
    `subject_template` and `text_template` (see channels/template.py) put it in words of your own; the HTML then shows them.
    """

    def __init__(
        self,
        smtp_host: str,
        smtp_port: int,
        username: str | None = None,
        password: str | None = None,
        from_email: str | None = None,
        to_emails: Sequence[str] | str = (),
        use_tls: bool = True,
        *,
        name: str | None = None,
        security: "Security | None" = None,
        password_file: str | os.PathLike[str] | None = None,
        timeout: Duration = "10s",
        html: bool = True,
        reply_to: str | None = None,
        cc: Sequence[str] | str = (),
        subject_template: str | None = None,
        text_template: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
    ) -> None:
        self.name = name
        self._host = _host(smtp_host)
        self._port = _port(smtp_port)
        self._security: Security = _security(security, self._port, use_tls=use_tls)
        self._username = text_of(username, "username", _WHERE, longest=320)
        self._password = self._secret(password, password_file)
        self._seconds = timeout_of(timeout, _WHERE)
        self.attempt_seconds = self._seconds + 1.0
        self._ca_file = _path(ca_file)
        self._head = Letterhead(
            sender=_sender(from_email, username),
            to=_addresses(to_emails, "to_emails"),
            cc=_addresses(cc, "cc"),
            reply_to=None if reply_to is None else address(reply_to, "reply_to", _WHERE),
            html=html,
        )
        if not self._head.to:
            raise ChannelError(_WHERE, field="to_emails", seen="no to_emails", expected="give at least one address")
        self._subject = _template(subject_template, "subject_template")
        self._text = _template(text_template, "text_template")
        self._recipients = tuple(dict.fromkeys(one.addr_spec for one in (*self._head.to, *self._head.cc)))
        # Mutable, in the event loop: how far messages have come, who was named in the log, and what was made at first use.
        self._progress: OrderedDict[str, Progress] = OrderedDict()
        self._named: set[str] = set()
        self._server: Server | None = None

    def __repr__(self) -> str:
        return f"<EmailNotificationChannel {self._host}:{self._port} to {len(self._recipients)}>"

    async def deliver(self, notice: Notice) -> Outcome:
        """Hand the notice in once, for those who do not have it yet."""
        if not _IMPORTED.is_set():  # beside the loop: it takes longer than a callback may
            await asyncio.to_thread(_import)
        from kailash_monitor.channels.smtp import Login, Receipt, send

        progress = self._progress.get(notice.id) or Progress(self._recipients)
        try:
            password = None if self._password is None else await self._password.fetch()
        except SecretUnreadable as unreadable:
            return Retry(str(unreadable))
        content = await asyncio.to_thread(self._content, notice)  # a digest can be long, and a template anything
        login = None if self._username is None or password is None else Login(self._username, password)
        answer = await send(self._reach(), self._head.sender.addr_spec, progress.waiting, content, login=login)
        if not isinstance(answer, Receipt):
            return answer
        after, outcome = settle(progress, answer)
        self._remember(notice.id, after, outcome)
        self._report(answer, after.waiting if isinstance(outcome, Delivered) else ())
        return outcome

    def _content(self, notice: Notice) -> bytes:
        subject = None if self._subject is None else self._subject.render(notice)
        text = None if self._text is None else self._text.render(notice)
        return message(notice, self._head, subject=subject, text=text).as_bytes()

    def _reach(self) -> "Server":
        from kailash_monitor.channels.smtp import Server, Trust

        if self._server is None:
            trust = Trust(self._ca_file)
            self._server = Server(self._host, self._port, security=self._security, seconds=self._seconds, trust=trust)
        return self._server

    def _remember(self, message_id: str, progress: "Progress", outcome: Outcome) -> None:
        self._progress.pop(message_id, None)
        if isinstance(outcome, Retry) and progress.waiting != self._recipients:
            self._progress[message_id] = progress
            if len(self._progress) > REMEMBERED:
                self._progress.popitem(last=False)

    def _report(self, receipt: "Receipt", given_up: Sequence[str]) -> None:
        """Name in the log who did not get a message, once until they do again."""
        lost = {**receipt.never, **{recipient: receipt.later[recipient] for recipient in given_up}}
        for recipient, why in lost.items():
            if recipient not in self._named:
                _LOGGER.warning("mail server %s does not take mail for %s: %s", self._host, recipient, why)
        self._named = self._named.difference(receipt.taken).union(lost)

    def _secret(self, password: str | None, password_file: str | os.PathLike[str] | None) -> Secret | None:
        if self._username is None and password is None and password_file is None:
            return None
        if self._username is None:
            raise ChannelError(_WHERE, field="username", seen="a password without a username", expected="give both")
        if self._security == "none" and not _is_here(self._host):
            raise ChannelError(
                _WHERE,
                field="use_tls",
                seen=f"a password that would go to {self._host} in clear",
                expected="leave use_tls and security out, or give no username",
            )
        return Secret.of(password, password_file, field="password", where=_WHERE)


# -- who has it


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a message has come: who waits for it, how many have it or never will, how often it was tried since."""

    waiting: tuple[str, ...]
    taken: int = 0
    refused: int = 0
    tries: int = 0


def settle(before: Progress, receipt: "Receipt") -> tuple[Progress, Outcome]:
    """Say how far the message has come now, and what is to become of it.

    Where some have it and others were put off, it is in doubt: whoever has heard that an alert fires has to hear its end.
    """
    waiting, taken = tuple(receipt.later), before.taken + len(receipt.taken)
    refused = before.refused + len(receipt.never)
    after = Progress(waiting, taken, refused, before.tries + 1 if taken else 0)
    why = next(iter([*receipt.later.values(), *receipt.never.values()]), "")
    if waiting and not taken:
        return after, Retry(f"{_count(len(waiting))} put off: {why}")
    if waiting and after.tries < TRIES:
        return after, Retry(f"{_count(len(waiting))} put off, {taken} have it: {why}", after=AGAIN_AFTER, in_doubt=True)
    return after, Delivered() if taken else Rejected(f"{_count(refused)} refused: {why}")


def _count(recipients: int) -> str:
    return "1 recipient" if recipients == 1 else f"{recipients} recipients"


# -- settings


def _host(text: str) -> str:
    if isinstance(text, str):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            if host := domain_name(text):
                return host
    expected = "use a name or an address, without port"
    shown = text.rpartition("@")[2] if isinstance(text, str) else text  # before it stands a password, in an address
    raise ChannelError(_WHERE, field="smtp_host", seen=f"the host {shown!r}", expected=expected)


def _port(port: int) -> int:
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        raise ChannelError(_WHERE, field="smtp_port", seen=f"the port {port!r}", expected="use a number from 1 to 65535")
    return port


def _security(security: "Security | None", port: int, *, use_tls: bool) -> "Security":
    if security is None:
        return "none" if not use_tls else "tls" if port == _IMPLICIT_TLS else "starttls"
    if security not in _SECURITIES:
        raise ChannelError(
            _WHERE, field="security", seen=f"the security {security!r}", expected=f"use one of {', '.join(_SECURITIES)}"
        )
    return security


def _is_here(host: str) -> bool:
    """Whether what is sent to `host` does not leave this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _sender(from_email: str | None, username: str | None) -> Address:
    sender = from_email or username
    if sender is None:
        raise ChannelError(_WHERE, field="from_email", seen="no from_email", expected="say from whom the mail is")
    return address(sender, "from_email", _WHERE)


def _addresses(texts: Sequence[str] | str, field: str) -> tuple[Address, ...]:
    given = [texts] if isinstance(texts, str) else texts
    if not isinstance(given, Sequence):
        raise ChannelError(_WHERE, field=field, seen=f"{field} {texts!r}", expected="use a list of addresses")
    return tuple(address(text, field, _WHERE) for text in given)


def _template(source: str | None, field: str) -> Template | None:
    return None if source is None else Template(source, field=field, where=_WHERE)


def _path(file: str | os.PathLike[str] | None) -> str | None:
    if file is None or isinstance(file, str):
        return file
    if not isinstance(file, os.PathLike):
        raise ChannelError(_WHERE, field="ca_file", seen=f"ca_file {file!r}", expected="name a file")
    return os.fspath(file)


def _import() -> None:
    importlib.import_module(_TRANSPORT)
    _IMPORTED.set()
