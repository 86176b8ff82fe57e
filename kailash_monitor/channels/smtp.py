"""One conversation with a mail server: who took the message, who may take it later, who never will.

The only importer of aiosmtplib: import it at first use, and beside the loop.
"""

import asyncio
import base64
import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
    SMTPStatus,
)

from kailash_monitor.channels.checks import starred
from kailash_monitor.channels.text import one_line
from kailash_monitor.channels.trust import Trust
from kailash_monitor.delivery.outcome import Outcome, Rejected, Retry, Unauthorised

__all__ = ["Login", "Receipt", "Security", "Server", "Trust", "send"]

Security = Literal["starttls", "tls", "none"]
"""How a connection is encrypted: after STARTTLS, from the first byte on, or not at all."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed in. A whole conversation has `seconds`, from the look-up of the name to the last answer."""

    host: str
    port: int
    security: Security = field(kw_only=True)
    seconds: float = field(kw_only=True)
    trust: Trust = field(kw_only=True, default_factory=Trust)


@dataclass(frozen=True, slots=True)
class Login:
    """Who hands the mail in."""

    username: str
    password: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password as it is, and as it is sent."""
        sent = (self.password, f"\0{self.username}\0{self.password}")  # RFC 4616, 2, for the latter
        return (self.password, *(base64.b64encode(text.encode()).decode() for text in sent))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of each recipient; `later` and `never` hold what the server said of them."""

    taken: tuple[str, ...] = ()
    later: Mapping[str, str] = field(default_factory=dict[str, str])
    never: Mapping[str, str] = field(default_factory=dict[str, str])


async def send(
    server: Server, sender: str, recipients: Sequence[str], content: bytes, *, login: Login | None = None
) -> Receipt | Outcome:
    """Hand `content` in for `recipients`. Whatever happens, cancellation included, the connection is closed on return.

    A Receipt where it came to the recipients, else what kept it from that. In doubt is only what was sent to its end and
    not answered. `content` has lines that end in CR LF.
    """
    client = _Client(
        hostname=server.host,
        port=server.port,
        use_tls=server.security == "tls",
        start_tls=False,  # when is ours to say
        timeout=None,  # there is one deadline, for all
        local_hostname="localhost",  # until there is a connection: else a name server would be asked
    )
    client.secrets = () if login is None else login.secrets
    try:
        async with asyncio.timeout(server.seconds):
            return await _open(client, server, login) or await _hand_in(client, sender, recipients, content)
    except SMTPException as error:
        return _outcome(error, client)
    except TimeoutError:
        return Retry(f"no answer within {server.seconds:g} s", in_doubt=client.in_doubt)
    except OSError as error:  # such as a certificate that is refused after STARTTLS
        return Retry(_obstacle(error), in_doubt=client.in_doubt)
    finally:
        client.close()


class _Client(SMTP):
    """A client that is closed once `close` returns, and that knows whether a message may have been taken."""

    AUTH_METHODS = ("plain", "login", "cram-md5")  # inside TLS the plain one is as good, and works everywhere
    secrets: tuple[str, ...] = ()
    """What a server may repeat, and nobody is to read."""
    _unanswered = False

    @property
    def in_doubt(self) -> bool:
        """Whether the end of a message may have reached the server, which has not answered it."""
        unsent = self.transport.get_write_buffer_size() if isinstance(self.transport, asyncio.WriteTransport) else 0
        return self._unanswered and not unsent

    async def hand_over(self, content: bytes) -> None:
        """Send a message and wait until it is taken; SMTPDataError where it is refused."""
        answer = await self.execute_command(b"DATA")
        if answer.code != SMTPStatus.start_input or self.protocol is None:
            raise SMTPDataError(answer.code, answer.message)
        self._unanswered = True
        self.protocol.write(_DOT.sub(b"..", content) + b".\r\n")
        answer = await self.protocol.read_response()
        self._unanswered = answer.code // 100 not in (2, 4, 5)
        if answer.code // 100 != 2:
            raise SMTPDataError(answer.code, answer.message)

    def bye(self) -> None:
        """Take leave without waiting for an answer: the message is taken, whatever becomes of the connection."""
        if self.protocol is not None and self.is_connected:
            self.protocol.write(b"QUIT\r\n")

    def close(self) -> None:
        """Close the connection now. Politely, it would wait until all is written and, with TLS, for the other side."""
        transport = self.transport
        super().close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


_DOT: Final = re.compile(rb"^\.", re.MULTILINE)
"""A dot alone on a line would end the message: each that begins a line is doubled (RFC 5321, 4.5.2)."""


async def _open(client: _Client, server: Server, login: Login | None) -> Retry | None:
    """Connect, encrypt, log in; give what stands against it, where it is not an exception."""
    if server.security != "none":
        try:
            client.tls_context = await asyncio.to_thread(server.trust.context)
        except OSError as error:
            return Retry(f"the certificates of ca_file cannot be used: {_reason(error)}")
    await client.connect()
    client.local_hostname = _own_name(client)
    await client.ehlo()
    if server.security == "starttls":
        if not client.supports_extension("starttls"):
            return Retry("the server offers no STARTTLS, and nothing is sent in clear")
        await client.starttls()
        await client.ehlo()
    if login is not None and not await _log_in(client, login):
        return Retry("the server offers no way to log in that is known here")
    return None


def _own_name(client: SMTP) -> str:
    """Give the name to greet with: this machine's where it is a full one, else its address (RFC 5321, 4.1.3)."""
    name = socket.gethostname()
    if _FULL_NAME.fullmatch(name):
        return name
    address = str(client.get_transport_info("sockname")[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


_FULL_NAME: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


async def _log_in(client: _Client, login: Login) -> bool:
    """Log in, by the first way that the server offers and knows; False where there is none.

    Not by each in turn, as the library does: three wrong passwords at a time are how accounts get locked.
    """
    ways = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
    for way in client.supported_auth_methods:
        try:
            await ways[way](login.username, login.password)
        except SMTPAuthenticationError as refused:
            if refused.code not in _NOT_THAT_WAY:
                raise
        else:
            return True
    return False


async def _hand_in(client: _Client, sender: str, recipients: Sequence[str], content: bytes) -> Receipt:
    await client.mail(sender)
    taking: list[str] = []
    later: dict[str, str] = {}
    never: dict[str, str] = {}
    for recipient in recipients:
        try:
            await client.rcpt(recipient)
        except SMTPRecipientRefused as refused:
            if refused.code in _NOT_OF_THE_RECIPIENT:
                raise
            lasting = refused.code >= 500 and refused.code != SMTPStatus.storage_exceeded
            (never if lasting else later)[recipient] = _said(refused, client)
        else:
            taking.append(recipient)
    if not taking:
        return Receipt((), later, never)
    try:
        await client.hand_over(content)
    except SMTPDataError as refused:
        if refused.code in _NO_ACCESS or refused.code < 400:
            raise
        said = dict.fromkeys(taking, _said(refused, client))
        return Receipt((), later, never | said) if refused.code >= 500 else Receipt((), later | said, never)
    client.bye()
    return Receipt(tuple(taking), later, never)


_NO_ACCESS: Final = frozenset({530, 534, 535, 538})
"""Who hands it in has to log in, or in another way (RFC 4954, 6)."""

_NOT_OF_THE_RECIPIENT: Final = _NO_ACCESS | {421}

_NOT_THAT_WAY: Final = frozenset({500, 501, 502, 503, 504})
"""What servers say to a way to log in that they offer and do not know."""


def _outcome(error: SMTPException, client: _Client) -> Outcome:
    """Say what an exception of the library means for the message."""
    match error:
        case SMTPAuthenticationError(code=code):
            why = f"login refused: {_code(error)}"  # without the text: some servers repeat there what they were sent
            return Unauthorised(why) if code >= 500 else Retry(why)
        case SMTPResponseException(code=code) if code in _NO_ACCESS:
            return Unauthorised(_said(error, client))
        case SMTPSenderRefused(code=code) if code >= 500:
            return Rejected(f"sender refused: {_said(error, client)}")
        case SMTPResponseException():  # of the server, rather than of the message
            return Retry(_said(error, client), in_doubt=client.in_doubt)
        case SMTPConnectError():
            return Retry(_obstacle(error.__cause__ or error))
        case _:
            return Retry("connection lost", in_doubt=client.in_doubt)


def _said(answer: SMTPResponseException, client: _Client) -> str:
    """Give the server's words, on one line that is not endless, with stars where it repeats the password."""
    if answer.code < 0:
        return "the server's answer makes no sense"
    text = one_line(" ".join(starred(answer.message, client.secrets).split()))
    return f"{answer.code} {text[:_LONGEST_ANSWER]}".rstrip()


_LONGEST_ANSWER: Final = 200


def _code(answer: SMTPResponseException) -> str:
    """Give the code, and the finer one where there is one (RFC 3463)."""
    finer = re.match(r"\d\.\d{1,3}\.\d{1,3}(?!\S)", answer.message)
    return f"{answer.code} {finer[0]}" if finer else str(answer.code)


def _obstacle(error: BaseException) -> str:
    """Say why there is no connection, or none that can be trusted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {one_line(error.verify_message)}"
    return f"{'no TLS' if isinstance(error, ssl.SSLError) else 'no connection'}: {_reason(error)}"


def _reason(error: BaseException) -> str:
    """Say what the system said."""
    if isinstance(error, SMTPServerDisconnected):
        return "the server hangs up"
    if isinstance(error, ssl.SSLError):
        return (error.reason or type(error).__name__).replace("_", " ").lower()
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (first := _ERROR_NUMBER.search(str(error))):
        number = int(first[1])
    return os.strerror(number) if number else type(error).__name__


_ERROR_NUMBER: Final = re.compile(r"\[Errno (\d+)\]")
"""Where a name has several addresses, asyncio has only text for what happened at each."""
