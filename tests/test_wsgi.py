"""The site behind WSGI, in any thread."""

import gzip
import http.client
import io
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from kailash_monitor.alerts import AlertRule
from kailash_monitor.blocking import AlertManager
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.web import Request, Site
from kailash_monitor.web.http import MAX_BODY
from kailash_monitor.web.wsgi import answer_now, wsgi_app

TOKEN = {"Authorization": "Bearer secret", "Content-Type": "application/json"}


@pytest.fixture
def shelf() -> MetricsRegistry:
    return MetricsRegistry()


@pytest.fixture
def manager(shelf: MetricsRegistry) -> AlertManager:
    manager = AlertManager(shelf)
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5"))
    return manager


@pytest.fixture
def site(manager: AlertManager) -> Site:
    return Site(manager, "secret")


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def served(site: Site) -> Iterator[http.client.HTTPConnection]:
    """By the server of the standard library, and what both sides do is checked against the letter of WSGI."""
    with make_server("127.0.0.1", 0, validator(wsgi_app(site)), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        try:
            yield connection
        finally:
            connection.close()
            server.shutdown()
            thread.join()


def answer(connection: http.client.HTTPConnection, method: str, path: str, **rest: Any) -> tuple[HTTPResponse, bytes]:
    connection.request(method, path, **rest)
    response = connection.getresponse()
    return response, response.read()


def call(site: Site, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Call it as a server does, with whatever a server may say."""
    setup_testing_defaults(environ)
    told: list[Any] = []
    chunks = wsgi_app(site)(environ, lambda *said: told.extend(said) or (lambda _: None))  # type: ignore[func-returns-value]
    return told[0], dict(told[1]), b"".join(chunks)


def test_the_site_is_served_by_any_server_of_wsgi(site: Site, shelf: MetricsRegistry) -> None:
    shelf.collector("app").set_gauge("queue", 9)
    with served(site) as connection:
        response, page = answer(connection, "GET", "/metrics", headers={"Accept": "text/plain"})
        assert (response.status, response.reason, response.headers["Cache-Control"]) == (200, "OK", "no-store")
        assert b"kailash_app_queue 9" in page
        response, page = answer(connection, "GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        assert b"kailash_app_queue" in gzip.decompress(page)
        assert json.loads(answer(connection, "GET", "/api/rules")[1])["rules"][0]["name"] == "busy"
        assert answer(connection, "GET", "/healthz")[0].status == 503
        assert answer(connection, "GET", "/none")[0].status == 404
        assert answer(connection, "PUT", "/metrics")[0].headers["Allow"] == "GET, HEAD"
        response, page = answer(connection, "HEAD", "/metrics")
        assert (response.status, page) == (200, b"")
        assert int(response.headers["Content-Length"] or 0) > 1000
        body = json.dumps({"matchers": "alertname=busy", "reason": "für"})
        response, page = answer(connection, "POST", "/api/silences", body=body, headers=TOKEN)
        assert (response.status, json.loads(page)["silence"]["reason"]) == (201, "für")


def test_a_long_page_comes_in_pieces(site: Site, shelf: MetricsRegistry) -> None:
    queue = shelf.collector("app").gauge("queue", labels=("n",))
    for n in range(900):
        queue.set("x" * 200 + str(n), n)
    said: list[Any] = []
    environ: dict[str, Any] = {"PATH_INFO": "/metrics"}
    setup_testing_defaults(environ)
    chunks = list(wsgi_app(site)(environ, lambda *told: said.append(told)))  # type: ignore[arg-type, return-value]
    assert len(chunks) > 2
    assert max(map(len, chunks)) < 140_000
    assert dict(said[0][1])["Content-Length"] == str(sum(map(len, chunks)))


def test_a_name_that_is_asked_for_often_has_all_its_values(site: Site, shelf: MetricsRegistry) -> None:
    for name in ("one", "two", "three"):
        shelf.collector("app").set_gauge(name, 1)
    asked = "name[]=kailash_app_one&name%5B%5D=kailash_app_two"
    page = call(site, PATH_INFO="/metrics", QUERY_STRING=asked, HTTP_ACCEPT="text/plain")[2]
    assert (b"_one 1" in page, b"_two 1" in page, b"_three" in page) == (True, True, False)


@pytest.mark.parametrize(
    ("inside", "expected"), [("", "200 OK"), ("/", "200 OK"), ("/metrics", "200 OK"), ("/monitor", "404 Not Found")]
)
def test_what_it_is_mounted_at_is_no_part_of_its_paths(inside: str, expected: str, site: Site) -> None:
    assert call(site, SCRIPT_NAME="/monitor", PATH_INFO=inside)[0] == expected


def test_paths_are_utf_8_whatever_wsgi_makes_of_them(site: Site) -> None:
    status, _, page = call(site, PATH_INFO='/api/alerts/grün {n="ä"}/explain'.encode().decode("latin-1"))
    assert (status, "grün" in json.loads(page)["error"]) == ("404 Not Found", True)
    assert call(site, PATH_INFO="/api/alerts/\xff/explain")[0] == "404 Not Found"


class Stream(io.BytesIO):
    """A body that comes in small pieces; `most` is how far anybody read."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(min(1000, size or 0)) if size and size > 0 else super().read()
        self.most = max(self.most, self.tell())
        return piece


def post(site: Site, stream: io.BytesIO, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    said = {"HTTP_AUTHORIZATION": "Bearer secret", "CONTENT_TYPE": "application/json", "HTTP_HOST": "localhost"}
    path = "/api/silences"
    return call(site, REQUEST_METHOD="POST", PATH_INFO=path, **{"wsgi.input": stream}, **said, **environ)


def test_a_body_is_read_up_to_its_length_and_no_further(site: Site) -> None:
    body = json.dumps({"matchers": "a=b", "reason": "r" * 900, "author": "a" * 900}).encode()
    stream = Stream(body + b"the next request")
    assert post(site, stream, CONTENT_LENGTH=str(len(body)))[0] == "201 Created"
    assert stream.most == len(body)


def test_of_a_body_that_is_too_long_one_byte_too_many_is_read(site: Site) -> None:
    stream = Stream(b"x" * 1_000_000)
    assert post(site, stream, CONTENT_LENGTH="1000000")[0].startswith("413 ")
    assert stream.most == MAX_BODY + 1
    stream = Stream(b"x" * 1_000_000)
    assert post(site, stream, **{"wsgi.input_terminated": True})[0].startswith("413 ")
    assert stream.most == MAX_BODY + 1


def test_a_body_in_chunks_has_no_length_and_is_read_where_the_server_ends_it(site: Site) -> None:
    assert post(site, Stream(b'{"matchers": "a=b"}'), **{"wsgi.input_terminated": True})[0] == "201 Created"
    stream = Stream(b"whatever comes, for ever")
    assert post(site, stream)[0] == "400 Bad Request"
    assert stream.most == 0


def test_a_body_that_breaks_off_is_a_400(site: Site) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError("gone")

    assert post(site, Broken(), CONTENT_LENGTH="10")[0] == "400 Bad Request"
    assert post(site, io.BytesIO(), CONTENT_LENGTH="ten")[0] == "400 Bad Request"


def test_many_threads_are_answered_at_once(site: Site, shelf: MetricsRegistry) -> None:
    shelf.collector("app").set_gauge("queue", 9)
    together, pages = threading.Barrier(8), list[bytes]()

    def ask() -> None:
        together.wait()
        pages.append(answer_now(site, Request("GET", "/metrics/json")).body)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pages) == 8
    assert all(json.loads(page)["app"]["queue"]["latest_value"] == 9 for page in pages)


def _python(script: str) -> str:
    """Give what a script prints, in a process where nobody minds that an event loop is held up."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout


def test_a_thread_in_which_an_event_loop_runs_is_answered_too() -> None:
    printed = _python("""
        import asyncio, threading
        from kailash_monitor.blocking import AlertManager
        from kailash_monitor.metrics import MetricsRegistry
        from kailash_monitor.web import Request, Site
        from kailash_monitor.web.wsgi import answer_now

        async def main():
            site = Site(AlertManager(MetricsRegistry()))
            print(answer_now(site, Request("GET", "/api/alerts")).status, threading.active_count())

        asyncio.run(main())
    """)
    assert printed == "200 1\n"


def test_the_event_loop_that_a_thread_has_set_stays_set() -> None:
    printed = _python("""
        import asyncio
        from kailash_monitor.blocking import AlertManager
        from kailash_monitor.metrics import MetricsRegistry
        from kailash_monitor.web import Request, Site
        from kailash_monitor.web.wsgi import answer_now

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        print(answer_now(Site(AlertManager(MetricsRegistry())), Request("GET", "/")).status)
        print(asyncio.get_event_loop() is loop)
        loop.close()
    """)
    assert printed == "200\nTrue\n"


def test_an_answer_that_waits_for_a_loop_that_is_held_up_ends_all_the_same() -> None:
    """As a manager's on the very loop that the asking holds up."""
    printed = _python("""
        import asyncio
        from kailash_monitor.alerts import AlertManager
        from kailash_monitor.metrics import MetricsRegistry
        from kailash_monitor.storage import MemoryStore
        from kailash_monitor.web import Request, Site, wsgi

        wsgi.ANSWER_SECONDS = 0.2

        async def main():
            async with AlertManager(MetricsRegistry(), store=MemoryStore()) as manager:
                headers = {"authorization": "Bearer secret", "content-type": "application/json"}
                asked = Request("DELETE", "/api/silences/1", {}, headers)
                print(wsgi.answer_now(Site(manager, "secret"), asked).status)

        asyncio.run(main())
    """)
    assert printed == "503\n"
