"""Real SMTP servers on 127.0.0.1: a good one with TLS and logins that answers as it is told, and scripted bad ones."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Mail:
    """What the server was handed in one DATA."""

    sender: str
    recipients: list[str]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The message as a mail program of today reads it."""
        message = message_from_bytes(self.raw, policy=default)
        assert isinstance(message, EmailMessage)
        return message


class Conversation(SMTP):
    """One client's; it knows the connection itself, whatever TLS is put upon it."""

    connection: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.connection = self.connection or transport
        super().connection_made(transport)


@dataclass
class MailServer:
    """A handler for aiosmtpd: it keeps what it gets; `rcpt` and `data` may give another answer than 250."""

    rcpt: Callable[[str], str | None] = lambda address: None
    data: Callable[[], Awaitable[str | None]] | None = None
    passwords: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)

    @property
    def open(self) -> int:
        """Connections that are not closed."""
        return sum(1 for one in self.conversations if one.connection is not None and not one.connection.is_closing())

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        self.asked.append(address)
        answer = self.rcpt(address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = await self.data() if self.data is not None else None
        if answer is None:
            assert isinstance(envelope.content, bytes)
            self.mails.append(Mail(str(envelope.mail_from), list(envelope.rcpt_tos), envelope.content))
        return answer or "250 OK"

    def log_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        username, password = data.login.decode(), data.password.decode()
        right = self.passwords.get(username) == password
        self.logins.append((mechanism, username, right))
        return AuthResult(success=right, handled=False)


@asynccontextmanager
async def mail_server(
    server: MailServer | None = None, *, tls: str = "none", ca: trustme.CA | None = None, host: str = HOST, **options: Any
) -> AsyncIterator[MailServer]:
    """Serve while the block runs; at its end, everybody must have hung up.

    `tls` is "none", "starttls" or "tls"; the certificate is for `host`, by `ca`.
    """
    it, loop, context = server or MailServer(), asyncio.get_running_loop(), None
    if ca is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert(host).configure_cert(context)

    def converse() -> Conversation:
        one = Conversation(
            it,
            loop=loop,
            hostname="mail.test",
            tls_context=context if tls == "starttls" else None,
            authenticator=it.log_in,
            auth_required=bool(it.passwords),
            auth_require_tls=tls == "starttls",  # inside TLS from the first byte, it does not see that there is any
            **options,
        )
        it.conversations.append(one)
        return one

    listening = await loop.create_server(converse, HOST, 0, ssl=context if tls == "tls" else None)
    it.port = listening.sockets[0].getsockname()[1]
    try:
        yield it
        await gone(it)
    finally:
        listening.close()
        tasks = [one._handler_coroutine for one in it.conversations if one._handler_coroutine is not None]
        for one in it.conversations:
            if one.connection is not None:
                one.connection.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def gone(server: MailServer) -> None:
    """Wait until all connections are closed; a second at most."""
    async with asyncio.timeout(1):
        while server.open:
            await asyncio.sleep(0.001)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def scripted_server(talk: Talk, ssl: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Have `talk` with each client, then hang up; give the port."""
    talks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    listening = socket.create_server((HOST, 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # who stops reading is soon noticed
    server = await asyncio.start_server(converse, sock=listening, ssl=ssl)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


GOOD: Mapping[str, str] = {
    "": "220 mail.test",
    "EHLO": "250-mail.test\r\n250 HELP",
    "MAIL": "250 OK",
    "RCPT": "250 OK",
    "DATA": "354 go on",
    ".": "250 taken",
    "QUIT": "221 bye",
}


def answering(**answers: str | None) -> Talk:
    """Answer each command as stated, others well; None hangs up, "" says nothing for ever. GREETING and DOT are stages too."""
    names = {"GREETING": "", "DOT": "."}
    script: dict[str, str | None] = {**GOOD, **{names.get(name, name): answer for name, answer in answers.items()}}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command, inside = "", False
        while True:
            answer = script.get(command, "500 what?")
            if answer is None:
                return
            if not answer:
                await reader.read()
                return
            writer.write(answer.encode() + b"\r\n")
            await writer.drain()
            inside = command == "DATA" and answer.startswith("354")
            line = await reader.readline()
            while inside and line not in (b".\r\n", b""):
                line = await reader.readline()
            if not line:
                return
            command = "." if inside else line.split()[0].decode().upper()

    return talk
