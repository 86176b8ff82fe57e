"""One HTTP request of a channel, and what its answer means for the message."""

import asyncio
import importlib
import json
import math
import os
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from kailash_monitor.channels.egress import Egress
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Answer", "check_url", "classify", "json_bytes", "json_of", "moment", "post", "retry_after"]

_RETRIED: Final = frozenset({408, 425, 429})
_MAX_ANSWER: Final = 65_536
"""Answers are read for what they say, and so that the connection ends cleanly, and no further than this."""

_MAX_AFTER: Final = 86_400.0
"""Seconds: whoever asks for a longer pause than a day has miscounted, and a day is what a message lives."""

_CONNECTOR: Final = "kailash_monitor.channels.connector"
_IMPORTED: Final = threading.Event()
"""Set once it is: while one thread imports a module, it is known, and whoever else asks for it waits for that thread."""

_SECONDS: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*", re.ASCII)
_NO_HOST: Final = re.compile(r"[\s\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: the names of `headers` in any case, the beginning of its body, 64 kB unless told otherwise."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def classify(answer: Answer, now: float) -> Outcome:
    """Say by its status what an answer means; `now` (Unix seconds) turns a Retry-After date into seconds."""
    why = f"HTTP {answer.status}"
    match answer.status:
        case status if 200 <= status < 300:
            return Delivered()
        case status if status in _RETRIED or status >= 500:
            return Retry(why, after=retry_after(answer.headers, now))
        case 401 | 403:
            return Unauthorised(why)
        case 410:
            return Gone(why)
        case _:
            return Rejected(why)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read the pause that the other side asks for, seconds or a date (RFC 9110, 10.2.3), at most a day; None for none."""
    text = headers.get("Retry-After", "")
    if number := _SECONDS.fullmatch(text):
        return min(float(number[1]), _MAX_AFTER)
    at = moment(text)
    return None if at is None else min(max(0.0, at - now), _MAX_AFTER)


def moment(text: str) -> float | None:
    """Read a date of a header, in Unix seconds (RFC 9110, 5.6.7); None where it is none."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):  # it raises each of them for some garbage
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def json_bytes(document: object) -> bytes:
    """Give `document` as JSON that every reader takes: in UTF-8, lone surrogates as "\ufffd", NaN and infinities as null."""
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(document), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _finite(document: object) -> object:
    match document:
        case float() if not math.isfinite(document):
            return None
        case dict():
            return {key: _finite(value) for key, value in document.items()}
        case list() | tuple():
            return [_finite(value) for value in document]
        case _:
            return document


def json_of(answer: Answer) -> object | None:
    """Give the body as JSON; None where it is none."""
    try:
        document: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return document


def check_url(url: str, where: str, field: str) -> str:
    """Give the host of `url`, for a repr; a ChannelError that does not show it where it is no http(s) address."""
    parts = _split(url, where, field)
    if parts is None or parts.scheme not in ("http", "https") or not _is_host(parts.hostname):
        raise ChannelError(where, field=field, seen="an address that is no URL", expected="use http://… or https://…")
    return parts.hostname or ""


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float = 10.0,
    judge: Callable[[Answer, float], Outcome] = classify,
    method: str = "POST",
    egress: Egress = Egress.PRIVATE,
    longest: int = _MAX_ANSWER,
    tls: ssl.SSLContext | None = None,
) -> Outcome:
    """Send `body` once and say what became of it: what `judge` makes of the answer and the time, in Unix seconds.

    Redirects are not followed, proxies of the environment not used, cookies not kept. All of it takes `seconds` at most.
    Of the answer's body the first `longest` bytes are read. `tls` says whom to trust; without it, the system's authorities.
    Whatever happens, cancellation included, the connection is closed at the end, without waiting for the other side.
    """
    if not _IMPORTED.is_set():  # at first use, and beside the loop: aiohttp takes longer than a callback may
        await asyncio.to_thread(_import)
    import aiohttp

    from kailash_monitor.channels.connector import AddressRefused, GuardedConnector

    connector = GuardedConnector(egress)
    try:
        async with asyncio.timeout(seconds), _session(connector) as session:
            try:
                answer = await _exchange(session, method, url, body, headers, longest, tls)
            finally:
                connector.abort()
        return judge(answer, SYSTEM_CLOCK.wall())
    except TimeoutError:
        if connector.connected:
            return Retry(f"no answer within {seconds:g} s", in_doubt=True)
        return Retry(f"no connection within {seconds:g} s")
    except AddressRefused as refused:
        return Rejected(f"the egress does not allow {refused}")
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        return Rejected("the address is not a URL")
    except aiohttp.ClientConnectorError as error:
        return Retry(f"no connection: {_reason(error)}")
    except (aiohttp.ClientError, OSError) as error:
        return Retry(f"connection lost: {type(error).__name__}", in_doubt=True)
    except ValueError:  # aiohttp's word for headers and credentials that go into no request
        return Rejected("the address or a header cannot be sent")


def _import() -> None:
    importlib.import_module(_CONNECTOR)
    _IMPORTED.set()


def _session(connector: "aiohttp.TCPConnector") -> "aiohttp.ClientSession":
    import aiohttp

    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None),  # its own would round the deadline up to whole seconds
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # 64 kB are 64 kB
        trust_env=False,
    )


async def _exchange(
    session: "aiohttp.ClientSession",
    method: str,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    longest: int,
    tls: ssl.SSLContext | None,
) -> Answer:
    """Send one request and read the beginning of its answer."""
    own = {"Accept-Encoding": "identity", "User-Agent": "kailash-monitor", "Content-Length": str(len(body))}
    data, sent = _pieces(body) if body else None, _merged(own, headers)
    async with session.request(
        method, url, data=data, headers=sent, allow_redirects=False, ssl=True if tls is None else tls
    ) as answer:
        return Answer(answer.status, answer.headers, await _beginning(answer.content, longest))


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """Give `body` in pieces, with room for others between them; aiohttp warns of a megabyte at once."""
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]
        await asyncio.sleep(0)


_PIECE: Final = 65_536


async def _beginning(content: "aiohttp.StreamReader", longest: int) -> bytes:
    read = bytearray()
    while len(read) < longest and (piece := await content.read(longest - len(read))):
        read += piece
    return bytes(read)


def _merged(own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Give both; where a name is in both, in whatever case, the given value."""
    names = {name.lower() for name in given}
    return {**{name: value for name, value in own.items() if name.lower() not in names}, **given}


def _reason(error: "aiohttp.ClientConnectorError") -> str:
    """Say what the system said; the texts of most errors can hold the address, which can be a secret."""
    match getattr(error, "certificate_error", None) or error.os_error:  # older aiohttp has but the former of such an error
        case ssl.SSLCertVerificationError(verify_message=str(message)):
            return f"its certificate is not trusted: {message.partition(',')[0]}"  # after the comma stands the host
        case ssl.SSLError():
            return "no TLS"
        case socket.gaierror(strerror=str(message)):
            return message
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case other:
            return type(other).__name__


def _split(url: str, where: str, field: str) -> SplitResult | None:
    """Give the parts of `url`; a ChannelError where its port is none, None where it is no URL at all."""
    try:
        url.encode()  # half a surrogate pair goes into no request
        parts = urlsplit(url)
    except (ValueError, TypeError, AttributeError):  # such as "http://[", or no text
        return None
    try:
        port = parts.port
    except ValueError:
        port = -1
    if port is not None and not 1 <= port <= 65_535:
        raise ChannelError(
            where, field=field, seen="an address with an impossible port", expected="use a port from 1 to 65535"
        )
    return parts


def _is_host(host: str | None) -> bool:
    """Whether a name server could be asked for `host`: parts of 1 to 63 characters (RFC 1035, 2.3.4), without space."""
    labels = (host or "").removesuffix(".").split(".")
    return all(0 < len(label) < 64 and not _NO_HOST.search(label) for label in labels)
