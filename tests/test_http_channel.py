"""HTTP requests of channels: what an answer means, servers that misbehave, and addresses that must not be connected to."""

import asyncio
import json
import random
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from email.utils import formatdate

import psutil
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.channels.egress import Egress, allowed, egress_of, literal
from kailash_monitor.channels.http import Answer, check_url, classify, json_bytes, json_of, post, retry_after
from kailash_monitor.channels.lookup import Lookups
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.testing import EPOCH

pytestmark = pytest.mark.real_time

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BIG = bytes(16_000_000)
"""More than the buffers of both sides of a connection on loopback hold."""


# -- what an answer means


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Delivered()),
        (204, Delivered()),
        (299, Delivered()),
        (301, Rejected("HTTP 301")),
        (400, Rejected("HTTP 400")),
        (401, Unauthorised("HTTP 401")),
        (403, Unauthorised("HTTP 403")),
        (404, Rejected("HTTP 404")),
        (408, Retry("HTTP 408")),
        (410, Gone("HTTP 410")),
        (425, Retry("HTTP 425")),
        (429, Retry("HTTP 429")),
        (500, Retry("HTTP 500")),
        (599, Retry("HTTP 599")),
    ],
)
def test_what_a_status_means(status: int, outcome: Outcome) -> None:
    assert classify(Answer(status, {}, b""), EPOCH) == outcome


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.75", 0.75),
        ("0", 0.0),
        ("86401", 86_400.0),
        ("9" * 500, 86_400.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:30 -0000", 10.0),
        ("Tue, 14 Nov 1999 22:13:30 GMT", 0.0),
        ("Tue, 14 Nov 2999 22:13:30 GMT", 86_400.0),
        ("-5", None),
        ("nan", None),
        ("1e9", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("Tue, 99 Nov 2023 22:13:30 GMT", None),
    ],
)
def test_how_long_the_other_side_wants_to_be_left_alone(text: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": text}, EPOCH) == seconds


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,4} [A-Z][a-z]{2} \d{1,6} \d+:\d+:\d+ [-+A-Z0-9]+"))
def test_no_pause_is_negative_or_longer_than_a_day_whatever_is_asked(text: str) -> None:
    seconds = retry_after({"Retry-After": text}, EPOCH)
    assert seconds is None or 0.0 <= seconds <= 86_400.0


@pytest.mark.parametrize(
    ("body", "document"),
    [(b'{"a": 1}', {"a": 1}), (b"", None), (b"\xff\xfe", None), (b"[" * 100_000, None), (b"<html>", None), (b"null", None)],
)
def test_a_body_that_is_no_json_is_none(body: bytes, document: object) -> None:
    assert json_of(Answer(200, {}, body)) == document


def test_json_has_no_lone_surrogates_and_no_numbers_that_are_none() -> None:
    document = {"a": "x\ud800y\U0001f600\ud83d\ude00", "b": [float("nan"), {"c": (float("inf"), 1.5)}]}
    assert json.loads(json_bytes(document)) == {"a": "x\ufffdy\U0001f600\U0001f600", "b": [None, {"c": [None, 1.5]}]}


def test_an_address_is_checked_by_whoever_has_one() -> None:
    assert check_url("https://hooks.example.com/s3cret", "slack channel", "webhook_url") == "hooks.example.com"
    with pytest.raises(ChannelError, match="slack channel: an address that is no URL; use http://") as refused:
        check_url("s3cret", "slack channel", "webhook_url")
    assert (refused.value.field, "s3cret" in str(refused.value)) == ("webhook_url", False)


# -- servers, good and bad


@asynccontextmanager
async def server(talk: Talk, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that talks to each connection as it is told, and its address, which is a secret."""
    talks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the latter is the end of the test
        finally:
            writer.close()
            talks.discard(task)

    it = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{it.sockets[0].getsockname()[1]}/s3cret?key=s3cret"
    finally:
        it.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def answering(*pieces: bytes, pause: float = 0.0) -> Talk:
    """Read a request's beginning, then write the pieces."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return talk


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.read()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read nothing at all, ever."""
    await asyncio.sleep(60)


async def send(
    url: str,
    body: bytes = b"{}",
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = 5.0,
    egress: Egress = Egress.PRIVATE,
) -> Outcome:
    """Post, and see to it that no secret shows and that nothing is left running."""
    tasks = asyncio.all_tasks()
    outcome = await post(url, body, headers or {}, seconds=seconds, egress=egress)
    assert "s3cret" not in repr(outcome)
    assert not leftover(tasks)
    return outcome


def leftover(before: set[asyncio.Task[object]]) -> list[asyncio.Task[object]]:
    """The tasks that there were not `before`, are not the server's, and do not end by themselves at once."""
    new = {task for task in asyncio.all_tasks() - before if not task.cancelling()}
    return [task for task in new if not re.search("converse|_accept_connection", repr(task))]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_request_arrives_whole_and_once() -> None:
    got: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend((await reader.readuntil(b"\r\n\r\n"), await reader.readexactly(3_000_000)))
        writer.write(OK)

    async with server(talk) as url:
        assert await send(url, b"x" * 3_000_000, headers={"X-Key": "s3cret", "user-agent": "mine"}) == Delivered()
    head, body = got
    assert head.startswith(b"POST /s3cret?key=s3cret HTTP/1.1\r\n")
    lines = head.decode().lower().split("\r\n")
    assert {"content-length: 3000000", "x-key: s3cret", "user-agent: mine", "accept-encoding: identity"} <= set(lines)
    assert body == b"x" * 3_000_000


async def test_another_method_and_no_body() -> None:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async with server(talk) as url:
        assert await post(url, b"", {}, method="GET") == Delivered()
    assert heads[0].startswith(b"GET ")


async def test_the_judge_sees_status_headers_and_a_body_that_comes_in_pieces() -> None:
    seen: list[tuple[Answer, float]] = []

    def judge(answer: Answer, now: float) -> Outcome:
        seen.append((answer, now))
        return Rejected("as it says")

    pieces = (b"HTTP/1.1 200 OK\r\nX-Kind: odd\r\nContent-Length: 4\r\n\r\n", b"o", b"k", b"!", b"?")
    async with server(answering(*pieces, pause=0.01)) as url:
        assert await post(url, b"{}", {}, judge=judge) == Rejected("as it says")
    ((answer, now),) = seen
    assert (answer.status, answer.headers["x-kind"], answer.body) == (200, "odd", b"ok!?")
    assert now == pytest.approx(SYSTEM_CLOCK.wall(), abs=60)


async def test_an_endless_answer_is_read_to_64_kb_and_then_closed() -> None:
    bodies: list[bytes] = []
    closed = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while True:
                writer.write(bytes(10_000))
                await writer.drain()
        except ConnectionError:
            closed.set()

    def judge(answer: Answer, now: float) -> Outcome:
        bodies.append(answer.body)
        return classify(answer, now)

    async with server(endless) as url:
        assert await post(url, b"{}", {}, judge=judge, seconds=5) == Delivered()
        await asyncio.wait_for(closed.wait(), 5)
    assert len(bodies[0]) == 65_536


async def test_a_compressed_answer_is_not_blown_up() -> None:
    """64 kB of gzip can be 64 MB of zeros."""
    head = b"HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"
    async with server(answering(head + b"\x1f\x8b???")) as url:
        assert await send(url) == Retry("HTTP 500")


async def test_a_dripping_answer_ends_at_the_deadline() -> None:
    drops = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 1000]
    async with server(answering(*drops, pause=0.02)) as url:
        assert await send(url, seconds=0.3) == Retry("no answer within 0.3 s", in_doubt=True)


async def test_a_server_that_never_answers_leaves_a_doubt() -> None:
    async with server(silent) as url:
        assert await send(url, seconds=0.2) == Retry("no answer within 0.2 s", in_doubt=True)


async def test_a_server_that_reads_nothing_holds_nobody_up() -> None:
    async with server(deaf) as url:
        assert await send(url, BIG, seconds=0.2) == Retry("no answer within 0.2 s", in_doubt=True)


@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf an ans"],
    ids=["none", "line", "body"],
)
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
async def test_a_connection_lost_in_mid_answer_leaves_a_doubt(beginning: bytes, reset: bool) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(beginning)
        await writer.drain()
        if reset:
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await asyncio.sleep(0.05)  # what was written is on its way
            writer.transport.abort()

    async with server(talk) as url:
        outcome = await send(url)
    assert isinstance(outcome, Retry)
    assert outcome.in_doubt
    assert outcome.why.startswith("connection lost: ")


async def test_a_refused_connection_is_certain_not_to_have_been_heard() -> None:
    async with server(silent) as url:
        pass
    assert await send(url) == Retry("no connection: Connection refused")


GARBAGE = [
    b"what?\r\n\r\n",
    b"\x00" * 1000,
    b"HTTP/9.9 999 ?\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 -1 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nx",
    b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
    b"HTTP/1.1 503 X\r\nRetry-After: \xff\xfe\r\nSet-Cookie: \xff;;=;\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    b"220 mail.example.com ESMTP\r\n",
]


@pytest.mark.parametrize("answer", GARBAGE, ids=[str(n) for n in range(len(GARBAGE))])
async def test_garbage_never_raises(answer: bytes) -> None:
    async with server(answering(answer)) as url:
        outcome = await send(url, seconds=1)
    assert isinstance(outcome, Retry | Rejected) or (isinstance(outcome, Delivered) and b"HTTP/1.1 200" in answer)


async def test_no_noise_raises() -> None:
    chance = random.Random(5)

    def noise() -> bytes:
        whole = bytearray(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        )
        for _ in range(chance.randint(1, 5)):
            whole[chance.randrange(len(whole))] = chance.randrange(256)
        return bytes(whole)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(noise())

    async with server(talk) as url:
        for _ in range(100):
            await send(url, seconds=1)


async def test_a_pause_of_seconds_is_handed_on() -> None:
    async with server(answering(b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")) as url:
        assert await send(url) == Retry("HTTP 429", after=7.0)


async def test_a_pause_until_a_date_is_handed_on() -> None:
    date = formatdate(SYSTEM_CLOCK.wall() + 1000, usegmt=True).encode()
    async with server(answering(b"HTTP/1.1 429 X\r\nretry-after: " + date + b"\r\nContent-Length: 0\r\n\r\n")) as url:
        outcome = await send(url)
    assert isinstance(outcome, Retry)
    assert outcome.after == pytest.approx(1000, abs=60)


async def test_a_redirect_is_not_followed() -> None:
    times = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal times
        times += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    async with server(talk) as url:
        assert await send(url) == Rejected("HTTP 307")
    assert times == 1


async def test_an_answer_before_the_upload_is_over_counts() -> None:
    """Such as of a server that finds the body too large: it will never read the rest."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(60)

    async with server(talk) as url:
        assert await send(url, BIG, seconds=5) == Rejected("HTTP 413")


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with server(answering(OK)) as url:
        assert await send(url) == Delivered()


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://user:s3cret@127.0.0.1:{port}/", {"Authorization": "s3cret"}),
        ("http://127.0.0.1:{port}/", {"X": "s3cret\r\nY: z"}),
        ("http://127.0.0.1:99999/s3cret", {}),
        ("http://[s3cret/", {}),
        ("ftp://127.0.0.1/s3cret", {}),
        ("s3cret", {}),
    ],
)
async def test_what_goes_into_no_request_is_rejected(url: str, headers: dict[str, str]) -> None:
    async with server(silent) as good:
        port = good.rpartition(":")[2].partition("/")[0]
        assert isinstance(await send(url.replace("{port}", port), headers=headers), Rejected)


# -- cancellation


def connections_to(url: str) -> int:
    """How many connections of this process to the server at `url` are open on the side of the client."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    return sum(bool(each.raddr) and each.raddr.port == port for each in psutil.Process().net_connections())


async def connected(url: str) -> None:
    async with asyncio.timeout(10):
        while not connections_to(url):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


@pytest.mark.parametrize(("talk", "body"), [(deaf, BIG), (silent, b"{}")], ids=["upload", "wait"])
async def test_cancelling_returns_at_once_and_closes_the_connection(talk: Talk, body: bytes) -> None:
    """Within 100 ms, though the other side reads nothing; the best of three, as the machine may be busy."""
    took = []
    loop = asyncio.get_running_loop()
    async with server(talk) as url:
        for _ in range(3):
            before = asyncio.all_tasks()
            sending = asyncio.create_task(post(url, body, {}))
            await connected(url)
            cancelled_at = loop.time()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            took.append(loop.time() - cancelled_at)
            assert not leftover(before)
            assert connections_to(url) == 0
    assert min(took) < 0.1


async def test_the_deadline_closes_the_connection_in_mid_upload() -> None:
    async with server(deaf) as url:
        await send(url, BIG, seconds=0.2)
        assert connections_to(url) == 0


async def test_cancelling_during_the_handshake_of_tls_closes_the_connection() -> None:
    async with server(deaf) as url:
        sending = asyncio.create_task(post(url.replace("http", "https"), b"{}", {}))
        await connected(url)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert connections_to(url) == 0


# -- TLS


def tls(host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(host).configure_cert(context)
    return context


async def test_a_certificate_that_is_not_trusted_is_no_connection() -> None:
    async with server(answering(OK), tls=tls("127.0.0.1")) as url:
        outcome = await send(url)
    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("no connection: its certificate is not trusted: ")
    assert not outcome.in_doubt


async def test_a_server_without_tls_is_no_connection() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(OK)

    async with server(plain) as url:
        assert await send(url.replace("http", "https")) == Retry("no connection: no TLS")


async def test_a_server_that_hangs_up_in_the_handshake_is_no_connection() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)

    async with server(hang_up) as url:
        outcome = await send(url.replace("http", "https"))
    assert isinstance(outcome, Retry)
    assert outcome.why.startswith("no connection: Connection")
    assert not outcome.in_doubt


async def test_a_handshake_that_hangs_is_no_connection() -> None:
    async with server(deaf) as url:
        assert await send(url.replace("http", "https"), seconds=0.2) == Retry("no connection within 0.2 s")


# -- addresses

METADATA = "a cloud's metadata address"
LINK_LOCAL = "a link-local address"
LOOPBACK = "a loopback address"
PRIVATE = "a private or reserved address"


@pytest.mark.parametrize(
    ("address", "private", "public"),
    [
        ("8.8.8.8", None, None),
        ("2606:4700:4700::1111", None, None),
        ("127.0.0.1", None, LOOPBACK),
        ("127.255.0.1", None, LOOPBACK),
        ("::1", None, LOOPBACK),
        ("::", None, PRIVATE),
        ("0.0.0.0", None, PRIVATE),
        ("10.1.2.3", None, PRIVATE),
        ("172.16.0.1", None, PRIVATE),
        ("192.168.1.1", None, PRIVATE),
        ("100.64.0.1", None, PRIVATE),
        ("192.0.2.1", None, PRIVATE),
        ("198.18.0.1", None, PRIVATE),
        ("240.0.0.1", None, PRIVATE),
        ("255.255.255.255", None, PRIVATE),
        ("fd12::1", None, PRIVATE),
        ("fec0::1", None, PRIVATE),
        ("224.0.0.1", None, "a multicast address"),
        ("ff02::1", None, "a multicast address"),
        ("169.254.1.1", LINK_LOCAL, LINK_LOCAL),
        ("fe80::1", LINK_LOCAL, LINK_LOCAL),
        ("fe80::1%eth0", LINK_LOCAL, LINK_LOCAL),
        ("169.254.169.254", METADATA, METADATA),
        ("169.254.170.2", METADATA, METADATA),
        ("100.100.100.200", METADATA, METADATA),
        ("168.63.129.16", METADATA, METADATA),
        ("192.0.0.192", METADATA, METADATA),
        ("fd00:ec2::254", METADATA, METADATA),
        ("fd20:ce::254", METADATA, METADATA),
        # an IPv4 address within an IPv6 address: mapped, compatible, 6to4, NAT64, Teredo
        ("::ffff:169.254.169.254", METADATA, METADATA),
        ("::169.254.169.254", METADATA, METADATA),
        ("2002:a9fe:a9fe::1", METADATA, METADATA),
        ("64:ff9b::a9fe:a9fe", METADATA, METADATA),
        ("64:ff9b:1::a9fe:a9fe", METADATA, METADATA),
        ("2001:0:5601:5601::5601:5601", METADATA, METADATA),
        ("::ffff:10.0.0.1", None, PRIVATE),
        ("::ffff:127.0.0.1", None, LOOPBACK),
        ("64:ff9b::7f00:1", None, LOOPBACK),
        ("2002:7f00:1::", None, LOOPBACK),
        ("::ffff:8.8.8.8", None, None),
        ("64:ff9b::808:808", None, None),
        ("2002:808:808::1", None, None),
        ("localhost", "no IP address", "no IP address"),
        ("", "no IP address", "no IP address"),
        ("2852039166", "no IP address", "no IP address"),
    ],
)
def test_where_a_channel_may_connect_to(address: str, private: str | None, public: str | None) -> None:
    assert (allowed(address, Egress.PRIVATE), allowed(address, Egress.PUBLIC)) == (private, public)


@given(st.ip_addresses())
def test_what_the_open_internet_may_not_be_is_a_private_address_at_most(address: object) -> None:
    """Whatever PRIVATE refuses, PUBLIC refuses as well, with the same reason."""
    why = allowed(str(address), Egress.PRIVATE)
    assert why is None or allowed(str(address), Egress.PUBLIC) == why


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fd00:ec2::254", "fd00:ec2::254"),
        ("2852039166", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("0251.0376.0251.0376", "169.254.169.254"),
        ("169.254.43518", "169.254.169.254"),
        ("0", "0.0.0.0"),
        ("example.com", None),
        ("1.2.3.4.5", None),
        ("", None),
        ("é", None),
    ],
)
def test_a_host_can_be_an_address_in_many_spellings(host: str, address: str | None) -> None:
    assert literal(host) == address


def test_an_egress_is_one_of_two_words() -> None:
    assert (egress_of("public", "x"), egress_of(Egress.PRIVATE, "x")) == (Egress.PUBLIC, Egress.PRIVATE)
    with pytest.raises(ChannelError, match="""x: the egress 'open'; use "private" or "public\""""):
        egress_of("open", "x")


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "①⑥⑨.254.169.254",
        "169。254。169。254",
        "100.100.100.200",
    ],
)
async def test_metadata_is_refused_in_every_spelling(host: str) -> None:
    assert await send(f"http://{host}/s3cret") == Rejected(f"the egress does not allow {METADATA}")


async def test_the_open_internet_only_means_no_loopback() -> None:
    async with server(answering(OK)) as url:
        assert await send(url, egress=Egress.PUBLIC) == Rejected(f"the egress does not allow {LOOPBACK}")
        named = url.replace("127.0.0.1", "localhost")
        assert await send(named, egress=Egress.PUBLIC) == Rejected(f"the egress does not allow {LOOPBACK}")
        assert await send(named) == Delivered()


@contextmanager
def name_server(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Iterator[list[str]]:
    """Answer the lookups of this process one after the other; gives the names that were asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **kinds: int) -> list[tuple[object, ...]]:
        asked.append(host)
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in answers[len(asked) - 1]
        ]

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", getaddrinfo)
        yield asked


async def test_a_name_is_judged_by_the_address_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that first gives a harmless address and then another gets no second question."""
    async with server(answering(OK)) as url:
        with name_server(monkeypatch, ["127.0.0.1"], ["169.254.169.254"]) as asked:
            rebound = url.replace("127.0.0.1", "rebind.example")
            assert await send(rebound) == Delivered()
            assert asked == ["rebind.example"]
            assert await send(rebound) == Rejected(f"the egress does not allow {METADATA}")


async def test_of_several_addresses_those_that_may_be_connected_to_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(answering(OK)) as url:
        with name_server(monkeypatch, ["fe80::1", "127.0.0.1", "169.254.169.254"]):
            assert await send(url.replace("127.0.0.1", "both.example")) == Delivered()


async def test_a_name_that_nobody_knows_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*question: object, **kinds: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert await send("http://s3cret.example/") == Retry("no connection: Name or service not known")


async def test_a_lookup_that_hangs_ends_at_the_deadline_and_takes_no_thread_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hanging, release = threading.Event(), threading.Event()

    def getaddrinfo(*question: object, **kinds: object) -> list[object]:
        hanging.set()
        release.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        assert await send("http://slow.example/", seconds=0.2) == Retry("no connection within 0.2 s")
        assert hanging.is_set()
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "kailash-monitor lookup"]
        assert thread.daemon
    finally:
        release.set()
    await asyncio.to_thread(thread.join, 30)


async def test_lookups_that_hang_are_bounded() -> None:
    lookups, release = Lookups(1), threading.Event()
    loop = asyncio.get_running_loop()
    first = loop.run_in_executor(lookups, release.wait, 30)
    with pytest.raises(socket.gaierror, match="the lookups before it still hang"):
        await loop.run_in_executor(lookups, release.wait, 30)
    release.set()
    assert await first
    assert await loop.run_in_executor(lookups, release.wait, 30)


def test_a_lookup_that_outlives_its_loop_disturbs_nobody() -> None:
    lookups, release = Lookups(1), threading.Event()

    async def abandon() -> None:
        asyncio.get_running_loop().run_in_executor(lookups, release.wait, 30)

    with asyncio.Runner() as runner:
        runner.run(abandon())
    release.set()
    for thread in threading.enumerate():
        if thread.name == "kailash-monitor lookup":
            thread.join(30)
