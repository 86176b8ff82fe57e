"""ASGI without a framework: the middleware that measures an application, and the site as an application."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

import pytest

from kailash_monitor.alerts import AlertManager
from kailash_monitor.instrument.asgi import AsgiMetrics, Receive, Scope, Send, route_of
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.metrics.series import CounterSeries
from kailash_monitor.web import Site, asgi_app
from kailash_monitor.web.asgi import BODY_SECONDS
from kailash_monitor.web.http import MAX_BODY

Message = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

START = {"type": "http.response.start", "status": 200, "headers": []}
LAST = {"type": "http.response.body", "body": b"x"}
MORE = {"type": "http.response.body", "body": b"x", "more_body": True}
DISCONNECT = {"type": "http.disconnect"}


def scope_of(path: str = "/", method: str = "GET", **more: object) -> Scope:
    return {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", **more}


class Peer:
    """A server and its client: gives what is in `coming`, then waits for ever, and keeps what it is sent."""

    def __init__(self, *coming: Message, gone: bool = False) -> None:
        self.coming = list(coming)
        self.asked = 0
        self.sent: list[Message] = []
        self.gone = gone

    async def receive(self) -> Message:
        self.asked += 1
        if not self.coming:
            await asyncio.Event().wait()
        return self.coming.pop(0)

    async def send(self, message: Message) -> None:
        if self.gone:
            raise ConnectionResetError("nobody is there")
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


def statuses(registry: MetricsRegistry) -> list[str]:
    """The status of each request that was counted."""
    metric = registry.collector("http").get_metric("requests")
    assert metric is not None
    counted = [one for one in metric.series if isinstance(one, CounterSeries)]
    return [dict(one.labels)["status"] for one in counted for _ in range(int(one.total))]


def routes(registry: MetricsRegistry) -> list[str]:
    metric = registry.collector("http").get_metric("requests")
    assert metric is not None
    return [dict(one.labels)["route"] for one in metric.series]


def latest(registry: MetricsRegistry, name: str) -> float | None:
    metric = registry.collector("http").get_metric(name)
    assert metric is not None
    return metric.get_latest_value()


def answers(*steps: Message | BaseException | str) -> App:
    """An application that sends messages, raises exceptions, and listens where the step is "listen"."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for step in steps:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, str):
                await receive()
            else:
                await send(step)

    return app


class Unforeseen(BaseException):
    """What ends a task, and is no Exception, as the cancellation of other libraries is."""


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ((START, LAST), "200"),
        (({**START, "status": 404}, LAST), "404"),
        ((START, MORE, MORE, LAST), "200"),
        ((START, {"type": "http.response.pathsend", "path": "/file"}), "200"),
        ((START, {"type": "http.response.zerocopysend", "file": 3}), "200"),
        ((ValueError("before"),), "500"),
        ((START, MORE, ValueError("half-way")), "500"),
        ((START, LAST, ValueError("in the background")), "200"),
        ((START, MORE), "500"),
        ((), "500"),
        ((asyncio.CancelledError(),), "499"),
        ((START, MORE, asyncio.CancelledError()), "499"),
        ((Unforeseen(),), "499"),
        ((START, LAST, asyncio.CancelledError()), "200"),
        (("listen", START, LAST), "499"),
        (("listen", ValueError("since nobody listens")), "499"),
        (("listen",), "499"),
        ((START, LAST, "listen"), "200"),
    ],
)
async def test_each_end_of_a_request_has_its_status(
    registry: MetricsRegistry, steps: Sequence[Message | BaseException | str], status: str
) -> None:
    peer = Peer(DISCONNECT)
    try:
        await AsgiMetrics(answers(*steps), registry)(scope_of(), peer.receive, peer.send)
    except BaseException as error:
        assert error is steps[-1]  # untouched
    assert statuses(registry) == [status]
    assert latest(registry, "requests_in_progress") == 0
    assert peer.sent == [step for step in steps if isinstance(step, dict)]


async def test_a_server_that_says_that_nobody_listens_is_a_client_that_left(registry: MetricsRegistry) -> None:
    peer = Peer(gone=True)
    with pytest.raises(ConnectionResetError):
        await AsgiMetrics(answers(START, LAST), registry)(scope_of(), peer.receive, peer.send)
    assert statuses(registry) == ["499"]


async def test_a_task_that_is_cancelled_is_a_client_that_left(registry: MetricsRegistry) -> None:
    peer = Peer()
    task = asyncio.ensure_future(AsgiMetrics(answers("listen"), registry)(scope_of(), peer.receive, peer.send))
    await asyncio.sleep(1)
    assert latest(registry, "requests_in_progress") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert statuses(registry) == ["499"]
    assert latest(registry, "requests_in_progress") == 0


async def test_a_request_lasts_to_its_last_byte_and_not_through_what_follows(registry: MetricsRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for _ in range(3):
            await asyncio.sleep(1)
            await send(MORE)
        await send(LAST)
        assert latest(registry, "requests_in_progress") == 0
        await asyncio.sleep(3600)

    peer = Peer()
    await AsgiMetrics(app, registry)(scope_of(), peer.receive, peer.send)
    assert latest(registry, "request_duration") == pytest.approx(3000)


async def test_a_client_that_reads_slowly_is_waited_for(registry: MetricsRegistry) -> None:
    async def slow(message: Message) -> None:
        await asyncio.sleep(1)

    await AsgiMetrics(answers(START, MORE, LAST), registry)(scope_of(), Peer().receive, slow)
    assert latest(registry, "request_duration") == pytest.approx(3000)


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "of tomorrow"])
async def test_what_is_no_request_is_passed_through_as_it_is(registry: MetricsRegistry, kind: str) -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((scope, receive, send))

    peer, scope = Peer(), {"type": kind}
    receive, send = peer.receive, peer.send
    await AsgiMetrics(app, registry)(scope, receive, send)
    assert [one is other for one, other in zip(seen, (scope, receive, send), strict=True)] == [True, True, True]
    assert statuses(registry) == []


async def test_a_route_that_cannot_be_told_breaks_no_request(registry: MetricsRegistry) -> None:
    def route(scope: Scope) -> str:
        raise KeyError("template")

    peer = Peer()
    await AsgiMetrics(answers(START, LAST), registry, route=route)(scope_of(), peer.receive, peer.send)
    assert (peer.sent, routes(registry)) == ([START, LAST], ["unmatched"])


@pytest.mark.parametrize("more", [{"route": 7}, {"endpoint": 7}, {"endpoint": 7, "fastapi": 7, "app_root_path": None}])
async def test_a_framework_that_leaves_something_else_there_breaks_no_request(
    registry: MetricsRegistry, more: Scope
) -> None:
    peer = Peer()
    await AsgiMetrics(answers(START, LAST), registry)(scope_of("/secret", **more), peer.receive, peer.send)
    assert (peer.sent, routes(registry)) == ([START, LAST], ["unmatched"])


async def test_another_framework_gives_its_template_by_a_function(registry: MetricsRegistry) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_template"] = "/users/{id}"  # as Litestar does, while it routes
        await answers(START, LAST)(scope, receive, send)

    peer = Peer()
    measured = AsgiMetrics(app, registry, route=lambda scope: str(scope["path_template"]))
    await measured(scope_of("/users/7"), peer.receive, peer.send)
    assert routes(registry) == ["/users/{id}"]


def test_without_a_framework_there_is_no_route() -> None:
    assert route_of(scope_of("/users/7", root_path="/api")) == ""


# -- the site ----------------------------------------------------------------------------------------------------------


async def ask(
    registry: MetricsRegistry, scope: Scope, *coming: Message, token: str | None = None, manager: AlertManager | None = None
) -> Peer:
    peer = Peer(*(coming or ({"type": "http.request"},)))
    site = Site(manager or AlertManager(registry), token)
    await asgi_app(site)(scope, peer.receive, peer.send)
    return peer


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/metrics", ""),
        ("/monitor/metrics", "/monitor"),
        ("/monitor/metrics", "/monitor/"),
        ("/metrics", "/monitor"),  # as servers and routers had it once
        ("/metrics/metrics", "/metrics"),
        ("/a/b/metrics", "/a/b"),
    ],
)
async def test_a_page_is_below_where_the_site_is_mounted(registry: MetricsRegistry, path: str, root_path: str) -> None:
    registry.collector("jobs").set_gauge("queue", 9)
    peer = await ask(registry, scope_of(path, root_path=root_path))
    assert peer.status == 200
    assert b"kailash_jobs_queue 9" in peer.body


@pytest.mark.parametrize(("path", "root_path"), [("/", ""), ("", ""), ("/monitor", "/monitor"), ("/monitor/", "/monitor")])
async def test_its_index_is_there(registry: MetricsRegistry, path: str, root_path: str) -> None:
    assert (await ask(registry, scope_of(path, root_path=root_path))).body.startswith(b"kailash_monitor\n")


async def test_a_head_has_no_body(registry: MetricsRegistry) -> None:
    peer = await ask(registry, scope_of("/metrics", "HEAD"))
    assert (peer.status, peer.body, len(peer.sent)) == (200, b"", 2)


async def test_a_long_page_comes_in_chunks_with_its_length_said_before(registry: MetricsRegistry) -> None:
    collector = registry.collector("jobs")
    for number in range(900):
        collector.set_gauge("queue", number, labels={"name": f"{number}" * 50})
    peer = await ask(registry, scope_of("/metrics"))
    assert len(peer.sent) > 2
    assert [message.get("more_body", False) for message in peer.sent[1:]] == [True] * (len(peer.sent) - 2) + [False]
    assert peer.headers["content-length"] == str(len(peer.body))


async def test_headers_and_the_query_are_heard(registry: MetricsRegistry) -> None:
    registry.collector("jobs").set_gauge("queue", 9)
    registry.collector("jobs").set_gauge("other", 9)
    scope = scope_of("/metrics", query_string=b"name%5B%5D=kailash_jobs_queue")
    scope["headers"] = [(b"Accept-Encoding", b"gzip")]
    peer = await ask(registry, scope)
    page = gzip.decompress(peer.body).decode()
    assert ("kailash_jobs_queue 9" in page, "other" in page) == (True, False)


SILENCE = json.dumps({"matchers": 'service="checkout"', "duration": "2h"}).encode()


def change() -> Scope:
    scope = scope_of("/api/silences", "POST")
    scope["headers"] = [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer abcdefgh"),
    ]
    return scope


def pieces(body: bytes, size: int) -> Iterable[Message]:
    for at in range(0, len(body), size):
        yield {"type": "http.request", "body": body[at : at + size], "more_body": at + size < len(body)}


async def test_a_body_may_come_in_pieces(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    peer = await ask(registry, change(), *pieces(SILENCE, 7), token="abcdefgh", manager=manager)
    assert (peer.status, len(manager.silences())) == (201, 1)


async def test_a_body_that_breaks_off_changes_nothing(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    begun: Message = {"type": "http.request", "body": SILENCE, "more_body": True}
    peer = await ask(registry, change(), begun, DISCONNECT, token="abcdefgh", manager=manager)
    assert (peer.status, manager.silences()) == (400, [])


async def test_of_a_body_that_is_too_long_no_more_is_read(registry: MetricsRegistry) -> None:
    peer = await ask(registry, change(), *pieces(b"x" * (MAX_BODY * 10), 1024), token="abcdefgh")
    assert (peer.status, peer.asked) == (413, MAX_BODY // 1024 + 1)


async def test_a_body_that_does_not_come_is_not_waited_for(registry: MetricsRegistry) -> None:
    begun = asyncio.get_running_loop().time()
    peer = await ask(registry, change(), {"type": "http.request", "more_body": True}, token="abcdefgh")
    assert peer.status == 408
    assert asyncio.get_running_loop().time() - begun == pytest.approx(BODY_SECONDS)


async def test_nobody_to_answer_to_is_no_error(registry: MetricsRegistry) -> None:
    peer = Peer({"type": "http.request"}, gone=True)
    await asgi_app(Site(AlertManager(registry)))(scope_of("/metrics"), peer.receive, peer.send)


async def test_a_server_that_serves_nothing_else_can_begin_and_end(registry: MetricsRegistry) -> None:
    peer = Peer({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await asgi_app(Site(AlertManager(registry)))({"type": "lifespan"}, peer.receive, peer.send)
    assert peer.sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


async def test_a_websocket_is_closed(registry: MetricsRegistry) -> None:
    peer = Peer({"type": "websocket.connect"})
    await asgi_app(Site(AlertManager(registry)))({"type": "websocket"}, peer.receive, peer.send)
    assert [message["type"] for message in peer.sent] == ["websocket.close"]


async def test_it_speaks_nothing_else(registry: MetricsRegistry) -> None:
    peer = Peer()
    with pytest.raises(ValueError, match="'of tomorrow'"):
        await asgi_app(Site(AlertManager(registry)))({"type": "of tomorrow"}, peer.receive, peer.send)
