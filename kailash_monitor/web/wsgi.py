"""The site behind WSGI, for programs of threads: answers are made in the thread that asks.

A gevent or eventlet worker, whose threads are not what they seem, is not supported.
"""

import asyncio
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote

from kailash_monitor.web.http import MAX_BODY, Request, Response
from kailash_monitor.web.site import Site

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["answer_now", "wsgi_app"]

ANSWER_SECONDS: Final = 10.0
"""How long an answer may take: more than any page does, and an end for one that waits for a loop that is held up."""


def answer_now(site: Site, request: Request) -> Response:
    """Answer one request before this returns, from any thread, also one in which an event loop runs: that stands meanwhile.

    Never raises but for what ends the program; an answer that takes more than ten seconds is a 503.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _answer(site, request)
    answered: Future[Response] = Future()
    thread = threading.Thread(target=_answer_to, args=(answered, site, request), name="kailash-monitor answer", daemon=True)
    thread.start()
    return answered.result()


def _answer_to(answered: Future[Response], site: Site, request: Request) -> None:
    try:
        answered.set_result(_answer(site, request))
    except BaseException as error:  # it is for whoever waits
        answered.set_exception(error)


def _answer(site: Site, request: Request) -> Response:
    # not `asyncio.run`: that would unset the loop which the program has set for this thread
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(_in_time(site, request))


async def _in_time(site: Site, request: Request) -> Response:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await site.handle(request)
    except TimeoutError:
        return Response.json({"error": f"no answer within {ANSWER_SECONDS:g} s"}, status=503)


def wsgi_app(site: Site) -> "WSGIApplication":
    """Give the site as a WSGI application, to be mounted: `DispatcherMiddleware(yours, {"/monitor": wsgi_app(site)})`."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            body = _body(environ)
        except Exception:  # the server's own, mostly since there is nobody any more who listens
            response = Response.json({"error": "the body broke off"}, status=400)
        else:
            response = answer_now(site, _request(environ, body))
        headers = list(response.headers.items())
        if response.status != HTTPStatus.NOT_MODIFIED:  # which says nothing of the length that the browser has
            headers.append(("Content-Length", str(response.length)))
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
        return () if environ["REQUEST_METHOD"] == "HEAD" else response.chunks

    return answer


def _request(environ: "WSGIEnvironment", body: bytes) -> Request:
    """Give what was asked. What SCRIPT_NAME has of the path is where the site is mounted, and none of its own.

    A HEAD is made as a GET, to know how long the body would be: servers take a missing length for none.
    """
    method = environ["REQUEST_METHOD"]
    return Request(
        "GET" if method == "HEAD" else method,
        _text(environ.get("PATH_INFO", "")),
        parse_qs(_text(environ.get("QUERY_STRING", "")), keep_blank_values=True),
        _headers(environ),
        body,
        mount=quote(environ.get("SCRIPT_NAME", ""), encoding="latin-1"),
    )


def _text(latin: str) -> str:
    """Give what stands in `environ` as bytes in the guise of Latin-1 (PEP 3333) as the text that it is."""
    return latin.encode("latin-1").decode("utf-8", "replace")


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    given = {name.removeprefix("HTTP_"): value for name, value in environ.items() if name.startswith("HTTP_")}
    given |= {name: environ[name] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)}
    return {name.replace("_", "-").lower(): value for name, value in given.items()}


def _body(environ: "WSGIEnvironment") -> bytes:
    """Give the body, or of one that is too long a byte more than may be.

    Without a length there is none, unless the server says that it ends the stream where the body ends.
    """
    length = environ.get("CONTENT_LENGTH")
    left = min(int(length), MAX_BODY + 1) if length else MAX_BODY + 1 if environ.get("wsgi.input_terminated") else 0
    body = bytearray()
    while left and (piece := environ["wsgi.input"].read(left)):
        body += piece
        left -= len(piece)
    return bytes(body)
