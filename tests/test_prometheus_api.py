"""Rules over a Prometheus: what is asked, what its answers mean, servers that misbehave, and a real one that goes away."""

import asyncio
import base64
import json
import logging
import math
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.blocking import AlertManager as BlockingAlertManager
from kailash_monitor.channels.http import Answer
from kailash_monitor.errors import ChannelError, QueryError
from kailash_monitor.integrations.long_json import read
from kailash_monitor.integrations.prometheus_answer import MOST, Heard, answered
from kailash_monitor.integrations.prometheus_api import AT_ONCE, REMEMBERED, PrometheusQueries
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.promql import EvaluationError
from kailash_monitor.promql.labelset import NO_LABEL_SET, LabelSet
from kailash_monitor.promql.query import finished
from kailash_monitor.promql.samples import Vector
from kailash_monitor.rules import RuleQuery
from kailash_monitor.testing import EPOCH, ManualClock, RecordingChannel

from prometheus_oracle import INSTALLED, MISSING, free_port, serving, store  # isort: skip
from served import until  # isort: skip
from test_http_channel import Talk, answering, connected, connections_to, leftover, server, silent, tls  # isort: skip

UP = RuleQuery("up == 0")


# -- what an answer means


def heard(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None, secrets: tuple[str, ...] = ()
) -> Heard:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Heard(Answer(status, headers or {}, data), EPOCH, where="prometheus:9090", secrets=secrets)


def success(kind: str, result: object, **more: object) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}


def vector(*series: object, **more: object) -> dict[str, object]:
    return success("vector", list(series), **more)


def test_a_vector_is_read_with_its_names_in_its_order() -> None:
    series = [
        {"metric": {"__name__": "up", "job": "b", "gone": ""}, "value": [EPOCH, "0"]},
        {"metric": {"__name__": "up", "job": "ä"}, "value": [EPOCH, "1.5e+06"]},
        {"metric": {}, "value": [EPOCH, "-0.25"]},
    ]
    assert finished(answered(heard(vector(*series)))).vector == [
        (LabelSet({"__name__": "up", "job": "b"}), 0.0),
        (LabelSet({"__name__": "up", "job": "ä"}), 1_500_000.0),
        (NO_LABEL_SET, -0.25),
    ]


@pytest.mark.parametrize(("text", "value"), [("+Inf", math.inf), ("-Inf", -math.inf), ("1e-320", 1e-320), ("7", 7.0)])
def test_numbers_are_read_as_prometheus_writes_them(text: str, value: float) -> None:
    ((_, read_value),) = finished(answered(heard(vector({"metric": {}, "value": [EPOCH, text]})))).vector
    assert read_value == value


def test_no_number_is_a_value_too() -> None:
    ((_, value),) = finished(answered(heard(vector({"metric": {}, "value": [EPOCH, "NaN"]})))).vector
    assert math.isnan(value)


def test_a_scalar_is_one_series_without_labels() -> None:
    assert finished(answered(heard(success("scalar", [EPOCH, "42"])))).vector == [(NO_LABEL_SET, 42.0)]


def test_no_series_are_an_answer() -> None:
    assert finished(answered(heard(vector()))).vector == []


PAGE = {"Content-Type": "text/html; charset=utf-8"}
PLAIN = {"Content-Type": "text/plain; charset=utf-8"}


def error(kind: str, text: str) -> dict[str, str]:
    return {"status": "error", "errorType": kind, "error": text}


@pytest.mark.parametrize(
    ("status", "body", "headers", "seen"),
    [
        (503, error("timeout", "query timed out"), {}, "HTTP 503: query timed out"),
        (503, error("unavailable", "not ready"), {}, "HTTP 503: not ready"),
        (500, error("internal", "expanding series: open block"), {}, "HTTP 500: expanding series: open block"),
        (429, error("too_many_requests", "slow down"), {}, "HTTP 429: slow down"),
        (401, b"no org id\n", PLAIN, "HTTP 401: no org id"),
        (403, b"", PLAIN, "HTTP 403"),
        (404, b"404 page not found\n", PLAIN, "HTTP 404: 404 page not found"),
        (502, b"<html>Bad Gateway</html>", PAGE, "HTTP 502: no answer of Prometheus' API"),
        (400, b"<html>Bad Request</html>", PAGE, "HTTP 400: no answer of Prometheus' API"),
        (200, b"<html>Log in</html>", PAGE, "HTTP 200: no answer of Prometheus' API"),
        (302, b"", {}, "HTTP 302: a redirect, which is not followed"),
        (204, b"", {}, "HTTP 204: no answer of Prometheus' API"),
        (200, b"\xff\xfe", {}, "HTTP 200: no answer of Prometheus' API"),
        (200, b"[" * 100_000, {}, "HTTP 200: no answer of Prometheus' API"),
        (200, b'{"status": "success"', {}, "HTTP 200: no answer of Prometheus' API"),
        (200, [], {}, "HTTP 200: no answer of Prometheus' API"),
        (200, {"status": "fine"}, {}, "HTTP 200: no answer of Prometheus' API"),
        (500, vector(), {}, "HTTP 500: no answer of Prometheus' API"),
        (200, {"status": "success"}, {}, "an answer that is not Prometheus': no result"),
        (200, success("vector", {}), {}, "an answer that is not Prometheus': no result"),
        (200, success("scalar", ["1", 2]), {}, "an answer that is not Prometheus': no result"),
        (200, success("matrix", []), {}, "an answer that is not Prometheus': a result of the type 'matrix'"),
        (200, vector(5), {}, "an answer that is not Prometheus': a series without its value"),
        (200, vector({"metric": {}, "value": [1, 2]}), {}, "an answer that is not Prometheus': a series without its value"),
        (200, vector({"metric": {"a": 1}, "value": [1, "2"]}), {}, "a series without its value"),
        (200, vector({"metric": {}, "value": [1, "two"]}), {}, "could not convert string to float: 'two'"),
        (200, vector(isPartial=True), {}, "a part of its data is missing"),
        (200, b" " * (MOST + 1), {}, "an answer of more than 8 MB; have the expression give fewer series"),
        (503, error("unavailable", "a\nb" + "x" * 400), {}, "HTTP 503: a\\nb" + "x" * 296 + "…"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(status: int, body: object, headers: dict[str, str], seen: str) -> None:
    with pytest.raises(QueryError) as failed:
        finished(answered(heard(body, status=status, headers=headers)))
    assert failed.value.seen.endswith(seen)
    assert str(failed.value) == f"prometheus:9090: {failed.value.seen}"


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (400, error("bad_data", 'unknown function with name "x"'), 'unknown function with name "x"'),
        (422, error("execution", "many-to-many matching not allowed"), "many-to-many matching not allowed"),
        (
            200,
            vector({"metric": {"__name__": "latency", "job": "a\n"}, "histogram": [EPOCH, {"count": "3", "sum": "1.5"}]}),
            'native histograms are not supported, and latency{job="a\\n"} is one',
        ),
    ],
)
def test_what_is_wrong_with_the_expression_itself_is_its_own_error(status: int, body: object, text: str) -> None:
    with pytest.raises(EvaluationError) as wrong:
        finished(answered(heard(body, status=status)))
    assert str(wrong.value) == text


@pytest.mark.parametrize("ahead", [-400, -61, -60, 0, 60, 61, 400])
def test_a_server_whose_clock_differs_by_more_than_a_minute_is_not_believed(ahead: int) -> None:
    """At a time that is not its own, series seem to be gone, and what fires would be taken for well."""
    answer = heard(vector(), headers={"Date": formatdate(EPOCH + ahead, usegmt=True)})
    if abs(ahead) <= 60:
        assert finished(answered(answer)).vector == []
        return
    with pytest.raises(QueryError) as wrong:
        finished(answered(answer))
    which = "ahead of" if ahead > 0 else "behind"
    assert wrong.value.seen == f"its clock is {abs(ahead)} s {which} ours; set both right"


def test_a_server_that_tells_no_time_is_believed() -> None:
    assert finished(answered(heard(vector(), headers={"Date": "soon"}))).vector == []


def test_what_a_server_repeats_of_a_secret_is_starred() -> None:
    refusal = error("internal", "cannot look up tok3n-of-mine")
    with pytest.raises(QueryError, match=r"HTTP 500: cannot look up \*\*\*$"):
        finished(answered(heard(refusal, status=500, secrets=("tok3n-of-mine",))))
    warning = heard(vector(warnings=["tok3n-of-mine?", 5]), secrets=("tok3n-of-mine",))
    assert finished(answered(warning)).warnings == ["***?"]
    assert "tok3n" not in repr(warning)


# -- JSON, read in pieces

documents: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=30,
)


@given(documents, st.sampled_from([None, 1]), st.booleans())
def test_json_in_pieces_is_the_json_of_the_standard_library(document: object, indent: int | None, ascii_only: bool) -> None:
    assert finished(read(json.dumps(document, indent=indent, ensure_ascii=ascii_only))) == document


@given(documents, st.data())
def test_damaged_json_is_refused_as_the_standard_library_does(document: object, data: st.DataObject) -> None:
    text = json.dumps(document)
    at = data.draw(st.integers(0, len(text)))
    damaged = text[:at] + data.draw(st.sampled_from(["", ",", ":", "]", "}", "[", "{", '"', " ", "x", "0"])) + text[at + 1 :]
    try:
        whole = json.loads(damaged)
    except ValueError:
        with pytest.raises(ValueError, match=r"\d"):  # where it is
            finished(read(damaged))
    else:
        assert finished(read(damaged)) == whole


def test_ten_thousand_series_are_read_with_pauses_for_others() -> None:
    """One after every 250 series, a millisecond's work: of the text first, then of what it says."""
    series = [
        {"metric": {"__name__": "m", "path": f"/p{n % 20}", "instance": f"host-{n}:9100"}, "value": [EPOCH, str(n)]}
        for n in range(10_000)
    ]
    pieces, pauses = answered(heard(vector(*series))), 0
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            assert len(end.value.vector) == 10_000
            break
        pauses += 1
    assert pauses == 10_000 // 250 * 2


# -- what is asked


@asynccontextmanager
async def peer(*answers: object, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
    """A server that gives these answers in turn, the last one again and again; its address, and what it was asked."""
    asked: list[tuple[str, bytes]] = []
    left = list(answers) or [vector()]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.partition(":")[2]) for line in head.lower().split("\r\n") if line.startswith("content-length")
        )
        asked.append((head, await reader.readexactly(length)))
        body = json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with server(talk, tls=tls) as url:
        yield url.partition("/s3cret")[0], asked


def fields(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), strict_parsing=True))


@pytest.mark.real_time
async def test_an_expression_goes_out_as_it_is_written_for_the_time_it_is_meant_for() -> None:
    text = 'up{job=~"a+ b|ü&=\\n"}\n  == 0  # all of them'
    async with peer() as (url, asked):
        queries = PrometheusQueries(url, timeout="2500ms", clock=ManualClock(1.25))
        assert await queries.vector(RuleQuery(text, offset=60.0)) == []
    ((head, body),) = asked
    assert head.startswith("POST /api/v1/query HTTP/1.1\r\n")
    assert "content-type: application/x-www-form-urlencoded\r\n" in head
    assert fields(body) == {
        "query": text,
        "time": f"{EPOCH - 58.75:.3f}",
        "timeout": "2500ms",
        "partial_response": "false",
        "deny_partial_response": "1",
    }


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "/api/v1/query"),
        ("/", "/api/v1/query"),
        ("/prometheus/", "/prometheus/api/v1/query"),
        ("/api/v1/query", "/api/v1/query"),
        ("/x?dedup=false#y", "/x/api/v1/query?dedup=false"),
    ],
)
async def test_the_address_is_that_of_the_server_or_of_its_prefix(given: str, path: str) -> None:
    async with peer() as (url, asked):
        await PrometheusQueries(url + given).vector(UP)
    assert asked[0][0].startswith(f"POST {path} HTTP/1.1\r\n")


SECRET = "s3cret-of-ours"
BASIC = f"authorization: basic {base64.b64encode(f'ops:{SECRET}'.encode()).decode()}"


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({"username": "ops", "password": SECRET}, BASIC),
        ({"username": "ops", "password_file": "secret"}, BASIC),
        ({"token": SECRET}, f"authorization: bearer {SECRET}"),
        ({"token_file": "secret"}, f"authorization: bearer {SECRET}"),
        ({"tenant": "team-a|team-b"}, "x-scope-orgid: team-a|team-b"),
        ({"headers": {"X-Key": SECRET}}, f"x-key: {SECRET}"),
    ],
)
async def test_who_asks_stands_in_the_headers(given: dict[str, Any], header: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    for name in given.keys() & {"password_file", "token_file"}:
        given = {**given, name: tmp_path / given[name]}
    async with peer() as (url, asked):
        queries = PrometheusQueries(url, **given)
        await queries.vector(UP)
    assert header.lower() in asked[0][0].lower().split("\r\n")
    assert repr(queries) == f"<PrometheusQueries {url.removeprefix('http://')}>"


@pytest.mark.real_time
async def test_a_secret_file_is_read_at_each_query_and_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with peer() as (url, asked):
        queries = PrometheusQueries(url, token_file=file)
        with pytest.raises(QueryError, match="token cannot be read: No such file"):
            await queries.vector(UP)
        for token in ("first", "second"):
            file.write_text(token)
            await queries.vector(UP)
    assert [f"Bearer {token}\r\n" in head for token, (head, _) in zip(("first", "second"), asked, strict=True)] == [True] * 2


@pytest.mark.real_time
async def test_a_server_is_trusted_by_the_authorities_in_a_file(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    file = tmp_path / "ca.pem"
    async with peer(tls=context) as (url, _):
        queries = PrometheusQueries(url, ca_file=file)
        with pytest.raises(QueryError, match="the certificates of ca_file cannot be used: No such file"):
            await queries.vector(UP)
        file.write_text("none")
        with pytest.raises(QueryError, match="the certificates of ca_file cannot be used: "):
            await queries.vector(UP)
        authority.cert_pem.write_to_path(str(file))
        assert await queries.vector(UP) == []
        with pytest.raises(QueryError, match="no connection: its certificate is not trusted"):
            await PrometheusQueries(url).vector(UP)
    async with peer(tls=tls("127.0.0.1")) as (url, _):
        with pytest.raises(QueryError, match="no connection: its certificate is not trusted"):
            await PrometheusQueries(url, ca_file=file).vector(UP)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"url": "prometheus:9090/s3cret"}, "an address that is no URL; use http://… or https://…"),
        ({"url": 5}, "an address that is no URL"),
        ({"timeout": 0}, "the timeout 0; use more than 0"),
        ({"timeout": "2m"}, "the timeout '2m'; use more than 0 and at most 1m"),
        ({"headers": {"Content-Type": "s3cret"}}, "the header 'Content-Type'; leave it out"),
        ({"headers": {"X": "s3cret\n"}}, "the value of the header 'X'"),
        ({"username": "ops"}, "no password; use a username and a password together"),
        ({"token": "s3cret", "token_file": "x"}, "both token and token_file"),
        ({"token": "s3cret", "username": "ops"}, "a token beside a username and a password"),
        ({"token": "s3cret", "url": "http://ops:s3cret@prometheus"}, "more credentials than one"),
        ({"token": "s3cret", "headers": {"Authorization": "s3cret"}}, "more credentials than one"),
        ({"tenant": ""}, "tenant ''; use one line of 1 to 1000 characters"),
        ({"tenant": "a\nb"}, "tenant 'a.nb'; use one line"),
        ({"tenant": "a", "headers": {"x-scope-orgid": "b"}}, "a tenant beside the header 'X-Scope-OrgID'"),
        ({"ca_file": 5}, "ca_file 5; name a file"),
        ({"egress": "all"}, "the egress 'all'"),
    ],
)
def test_a_wrong_argument_says_what_is_right(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ChannelError, match=f"prometheus queries: .*{message}") as refused:
        PrometheusQueries(**{"url": "http://prometheus:9090", **given})
    assert refused.value.field in {*given, "username", "password"}
    assert "s3cret" not in str(refused.value)


# -- servers that misbehave


async def refused(url: str, **given: Any) -> str:
    """Ask, and give what was seen; nothing is left running or connected, and no secret shows."""
    tasks = asyncio.all_tasks()
    with pytest.raises(QueryError) as failed:
        await PrometheusQueries(url, **given).vector(UP)
    assert not leftover(tasks)
    assert connections_to(url) == 0
    assert "s3cret" not in str(failed.value)
    return failed.value.seen


LOST = "connection lost: "
"""What follows is aiohttp's word, of one version or another."""


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("talk", "seen"),
    [
        (silent, "no answer within 0.3 s"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", *[b" "] * 99, pause=0.02), "no answer within 0.3 s"),
        (answering(b"what?\r\n\r\n"), LOST),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), LOST),
        (answering(b""), LOST),
        (
            answering(b"HTTP/1.1 307 X\r\nLocation: /s3cret\r\nContent-Length: 0\r\n\r\n"),
            "HTTP 307: a redirect, which is not followed",
        ),
        (
            answering(
                b"HTTP/1.1 401 X\r\nContent-Type: text/plain\r\nContent-Length: 38\r\n\r\nnot for s3cret-of-ours at /s3cret?key="
            ),
            "HTTP 401: not for *** at ***?key=",
        ),
        (
            answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", *[bytes(1_000_000)] * 9),
            "an answer of more than 8 MB; have the expression give fewer series",
        ),
    ],
    ids=["silent", "dripping", "garbage", "half", "nothing", "redirect", "refusal", "endless"],
)
async def test_a_server_that_misbehaves_is_an_error_of_one_kind(talk: Talk, seen: str) -> None:
    async with server(talk) as url:
        said = await refused(url, token=SECRET, timeout="300ms" if "0.3" in seen else "4s")
    assert said == seen or (seen == LOST and said.startswith(LOST))


@pytest.mark.real_time
async def test_a_server_that_is_not_there_is_an_error_of_that_kind_too() -> None:
    async with server(silent) as url:
        pass
    assert await refused(url) == "no connection: Connection refused"


@pytest.mark.real_time
async def test_the_egress_may_refuse_the_address() -> None:
    async with peer() as (url, asked):
        assert await refused(url, egress="public") == "the egress does not allow a loopback address"
    assert asked == []


@pytest.mark.real_time
async def test_cancelling_returns_at_once_and_closes_the_connection() -> None:
    async with server(silent) as url:
        before = asyncio.all_tasks()
        asking = asyncio.create_task(PrometheusQueries(url).vector(UP))
        await connected(url)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not leftover(before)
        assert connections_to(url) == 0


@asynccontextmanager
async def gate() -> AsyncIterator[tuple[str, asyncio.Event, list[int]]]:
    """A server that answers once it is opened; how many it had at a time."""
    opened, now, most = asyncio.Event(), 0, [0]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now
        await reader.readuntil(b"\r\n\r\n")
        now += 1
        most[0] = max(most[0], now)
        await opened.wait()
        body = json.dumps(vector()).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        now -= 1

    async with server(talk) as url:
        yield url, opened, most


@pytest.mark.real_time
async def test_eight_are_asked_for_at_a_time() -> None:
    async with gate() as (url, opened, most):
        queries = PrometheusQueries(url)
        asking = [asyncio.create_task(queries.vector(UP)) for _ in range(3 * AT_ONCE)]
        async with asyncio.timeout(5):
            while most[0] < AT_ONCE:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        opened.set()
        assert await asyncio.gather(*asking) == [[]] * 3 * AT_ONCE
    assert most == [AT_ONCE]


FIRST_USE = """
import asyncio, sys
from blockbuster import blockbuster_ctx
from kailash_monitor.errors import QueryError
from kailash_monitor.integrations.prometheus_api import PrometheusQueries
from kailash_monitor.rules import RuleQuery

assert "aiohttp" not in sys.modules

async def ask():
    queries, up = PrometheusQueries("http://127.0.0.1:1"), RuleQuery("up")
    answers = await asyncio.gather(*(queries.vector(up) for _ in range(8)), return_exceptions=True)
    assert {str(answer) for answer in answers} == {"127.0.0.1:1: no connection: Connection refused"}, answers

with blockbuster_ctx("kailash_monitor"):
    asyncio.run(ask())
"""


def test_many_first_queries_at_once_do_not_wait_in_the_event_loop_for_what_is_imported() -> None:
    """While one thread imports aiohttp, it is among the modules already: whoever imports it then waits for that thread."""
    subprocess.run([sys.executable, "-c", FIRST_USE], check=True, timeout=60)


@pytest.mark.real_time
async def test_who_waits_for_others_waits_for_half_of_the_time_that_an_answer_may_take() -> None:
    async with gate() as (url, _, _):
        queries = PrometheusQueries(url, timeout="300ms")
        begun = asyncio.get_running_loop().time()
        results = await asyncio.gather(*(queries.vector(UP) for _ in range(AT_ONCE + 2)), return_exceptions=True)
        assert asyncio.get_running_loop().time() - begun < 1.5
    seen = [result.seen for result in results if isinstance(result, QueryError)]
    waited = "not asked within 0.15 s: the 8 queries before are not answered yet"
    assert seen == ["no answer within 0.3 s"] * AT_ONCE + [waited] * 2


@pytest.mark.real_time
async def test_places_of_queries_that_were_cancelled_are_free_again() -> None:
    async with gate() as (url, opened, most):
        queries = PrometheusQueries(url)
        asking = [asyncio.create_task(queries.vector(UP)) for _ in range(2 * AT_ONCE)]
        async with asyncio.timeout(5):
            while most[0] < AT_ONCE:
                await asyncio.sleep(0.01)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        opened.set()
        assert await asyncio.gather(*(queries.vector(UP) for _ in range(AT_ONCE))) == [[]] * AT_ONCE


@pytest.mark.real_time
async def test_one_may_serve_several_event_loops() -> None:
    async with peer() as (url, asked):
        queries = PrometheusQueries(url)

        async def many() -> list[Vector]:
            return list(await asyncio.gather(*(queries.vector(UP) for _ in range(2 * AT_ONCE))))

        answers: list[list[Vector]] = []
        threads = [threading.Thread(target=lambda: answers.append(asyncio.run(many()))) for _ in range(2)]
        for thread in threads:
            thread.start()
        answers.append(await many())
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert answers == [[[]] * 2 * AT_ONCE] * 3
    assert len(asked) == 6 * AT_ONCE


@pytest.mark.real_time
async def test_a_warning_is_logged_once_for_each_expression(caplog: pytest.LogCaptureFixture) -> None:
    warns = vector(warnings=['PromQL warning: bucket label "le" is missing (1:20)'], infos=["PromQL info: no counter (1:6)"])
    async with peer(warns) as (url, _):
        queries = PrometheusQueries(url)
        for text in ("up", "up", "sum(up)", "up"):
            await queries.vector(RuleQuery(text))
        name = url.removeprefix("http://")
    warning = 'PromQL warning: bucket label "le" is missing (1:20)'
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, f"{name} warns of up: {warning}"),
        (logging.WARNING, f"{name} warns of sum(up): {warning}"),
    ]


@pytest.mark.real_time
async def test_what_warnings_are_remembered_has_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    many = vector(warnings=[f"warning {n}" for n in range(REMEMBERED + 1)])
    async with peer(many, vector(warnings=["warning 0"]), vector(warnings=["warning 5"])) as (url, _):
        queries = PrometheusQueries(url)
        for _ in range(3):
            await queries.vector(UP)
    assert len(caplog.records) == REMEMBERED + 2


# -- rules that ask


def rule(expr: str = "errors > 5", **given: Any) -> AlertRule:
    return AlertRule("errors", "", "critical", expr=expr, evaluation_interval=0.05, **given)


@pytest.mark.real_time
async def test_an_error_of_the_server_resolves_nothing_and_people_hear_of_it_once() -> None:
    fires = vector({"metric": {"__name__": "errors", "job": "shop"}, "value": [EPOCH, "9"]})
    answers = [fires, *[error("unavailable", "the store is away")] * 8, fires, fires, vector()]
    channel = RecordingChannel()
    async with peer(*answers) as (url, _):
        async with AlertManager(MetricsRegistry(), queries=PrometheusQueries(url)) as manager:
            manager.add_notification_channel(channel)
            manager.add_rule(rule())
            async with asyncio.timeout(10):
                while len(channel.notices) < 4:
                    await asyncio.sleep(0.01)
        assert connections_to(url) == 0
    fired, unknown = 'errors_promql{job="shop"}', 'data_unknown_promql{cause="QueryError"}'
    assert channel.told() == [("firing", fired), ("firing", unknown), ("resolved", unknown), ("resolved", fired)]
    told = channel.notices[1].alert.description
    assert f"{url.removeprefix('http://')}: HTTP 200: the store is away" in told


@pytest.mark.real_time
async def test_a_template_whose_query_has_no_value_says_so_and_the_alert_goes_out() -> None:
    fires = vector({"metric": {"job": "shop"}, "value": [EPOCH, "9"]})
    answers = [fires, error("execution", "many-to-many matching not allowed")]
    channel = RecordingChannel()
    async with peer(*answers) as (url, asked):
        async with AlertManager(MetricsRegistry(), queries=PrometheusQueries(url)) as manager:
            manager.add_notification_channel(channel)
            manager.add_rule(rule(annotations={"more": '{{ with query "a * b" }}{{ . | first | value }}{{ end }}'}))
            async with asyncio.timeout(10):
                while not channel.notices:
                    await asyncio.sleep(0.01)
    assert [fields(body)["query"] for _, body in asked[:2]] == ["errors > 5", "a * b"]
    assert "many-to-many matching not allowed" in channel.notices[0].alert.annotations["more"]


@pytest.mark.real_time
async def test_a_stop_does_not_wait_for_a_server_that_is_silent() -> None:
    async with server(silent) as url:
        async with AlertManager(MetricsRegistry(), queries=PrometheusQueries(url)) as manager:
            manager.add_rule(rule())
            await connected(url)
            begun = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begun < 1
        assert connections_to(url) == 0


# -- a real Prometheus

external = pytest.mark.external
needed = pytest.mark.skipif(not INSTALLED, reason=MISSING)

START = round(EPOCH) * 1000
OVER = 600
"""Seconds after the start at which the errors are over."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage of a Prometheus that has seen errors for ten minutes, and then ten more without."""
    folder = tmp_path_factory.mktemp("prometheus")
    times = [START + second * 1000 for second in range(0, 2 * OVER, 15)]
    values = [9.0 if moment - START < OVER * 1000 else 0.0 for moment in times]
    names = ("shop", "search")
    store([(LabelSet({"__name__": "errors", "job": name}), times, values) for name in names], folder)
    return folder


@external
@needed
@pytest.mark.real_time
async def test_a_rule_fires_and_resolves_by_what_a_prometheus_has_seen(shop: Path) -> None:
    clock, channel, port = ManualClock(OVER / 2), RecordingChannel(), free_port()
    text = '{{ $labels.job }} has {{ $value }} of {{ with query "sum(errors)" }}{{ . | first | value }}{{ end }}'
    with serving(shop, port):
        queries = PrometheusQueries(f"http://127.0.0.1:{port}", clock=clock)
        async with AlertManager(MetricsRegistry(), queries=queries) as manager:
            manager.add_notification_channel(channel)
            manager.add_rule(rule("max_over_time(errors[1m]) > 5", annotations={"summary": text}))
            async with asyncio.timeout(20):
                while len(channel.notices) < 2:
                    await asyncio.sleep(0.01)
                clock.advance(OVER)
                while len(channel.notices) < 4:
                    await asyncio.sleep(0.01)
        assert await queries.vector(RuleQuery("time()")) == [(NO_LABEL_SET, EPOCH + 1.5 * OVER)]
        assert await queries.vector(RuleQuery("vector(1) / 0")) == [(NO_LABEL_SET, math.inf)]
        assert dict(await queries.vector(RuleQuery("errors", offset=OVER))) == {
            LabelSet({"__name__": "errors", "job": name}): 9.0 for name in ("shop", "search")
        }
        with pytest.raises(EvaluationError, match="matching labels must be unique on one side|many-to-many matching"):
            await queries.vector(RuleQuery('errors * on () {__name__="errors"}'))
    shops = ['errors_promql{job="search"}', 'errors_promql{job="shop"}']
    assert sorted(channel.told()) == [*(("firing", each) for each in shops), *(("resolved", each) for each in shops)]
    assert {notice.alert.title for notice in channel.notices[:2]} == {"shop has 9 of 18", "search has 9 of 18"}


@external
@needed
def test_a_prometheus_that_is_killed_and_comes_back_is_an_unknown_and_resolves_nothing(shop: Path) -> None:
    clock, channel, port = ManualClock(OVER / 2), RecordingChannel(), free_port()
    queries = PrometheusQueries(f"http://127.0.0.1:{port}", clock=clock)
    manager = BlockingAlertManager(MetricsRegistry(), queries=queries)
    manager.add_notification_channel(channel)
    manager.add_rule(rule('errors{job="shop"} > 5'))
    fired, unknown = 'errors_promql{job="shop"}', 'data_unknown_promql{cause="QueryError"}'
    told = [("firing", fired), ("firing", unknown), ("resolved", unknown), ("resolved", fired)]
    try:
        with serving(shop, port) as process:
            manager.start()
            until(lambda: channel.told() == told[:1], what=channel.told)
            process.kill()
            until(lambda: channel.told() == told[:2], what=channel.told)
        assert {alert.id for alert in manager.get_active_alerts()} == {unknown, fired}
        with serving(shop, port):
            until(lambda: channel.told() == told[:3], what=channel.told)
            clock.advance(OVER)
            until(lambda: channel.told() == told, what=channel.told)
    finally:
        manager.stop()
    why = channel.notices[1].alert.description
    assert f"127.0.0.1:{port}: no connection: " in why or f"127.0.0.1:{port}: connection lost: " in why, why
