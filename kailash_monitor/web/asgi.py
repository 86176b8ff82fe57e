"""The site behind ASGI: an application to be mounted in yours, or served alone."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, quote

from kailash_monitor.web.http import MAX_BODY, Request, Response
from kailash_monitor.web.site import Site

__all__ = ["asgi_app"]

Scope: TypeAlias = MutableMapping[str, Any]  # Any: what the specification of ASGI says of each
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

BODY_SECONDS: Final = 10.0
"""How long a body may take to come: as long as an attempt to tell a channel."""

NOT_MODIFIED: Final = 304
"""What has no body, and says nothing of how long the one is that the browser has (RFC 9110, 8.6)."""

NORMAL_CLOSURE: Final = 1000
"""Of a WebSocket, which nothing here speaks."""


def asgi_app(site: Site) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Give the site as an ASGI application: `app.mount("/monitor", asgi_app(site))`.

    Its pages are below where it is mounted, as `root_path` says it. It can be served alone as well; then it is for you to
    run the manager.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                response = await _answer(site, scope, receive)
                with suppress(OSError):  # what a server raises to whom nobody listens any more
                    await _send(response, scope, send)
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": NORMAL_CLOSURE})
            case other:
                raise ValueError(f"the monitoring site speaks HTTP, and not {other!r}")

    return app


async def _answer(site: Site, scope: Scope, receive: Receive) -> Response:
    try:
        body = await _body(receive)
    except TimeoutError:
        return Response.json({"error": f"the body did not come within {BODY_SECONDS:g} s"}, status=408)
    if body is None:  # to whom nobody listens any more
        return Response.json({"error": "the body broke off"}, status=400)
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return await site.handle(Request(scope["method"], _below(root, path), query, _headers(scope), body, mount=quote(root)))


def _below(root: str, path: str) -> str:
    """Give the path below where the application is mounted, which `path` has in front or not, as routers have it."""
    return path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path


def _headers(scope: Scope) -> dict[str, str]:
    """Give the headers; cookies, which HTTP/2 may send one by one, in one (RFC 9113, 8.2.3)."""
    headers = dict[str, str]()
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}; {value}" if name == "cookie" and name in headers else value
    return headers


async def _body(receive: Receive) -> bytes | None:
    """Give the body, or of one that is too long a byte more than may be; None where it breaks off.

    TimeoutError where it does not come.
    """
    body, more = bytearray(), True
    async with asyncio.timeout(BODY_SECONDS):
        while more and len(body) <= MAX_BODY:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
    return bytes(body[: MAX_BODY + 1])


async def _send(response: Response, scope: Scope, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if scope["method"] != "HEAD" and response.status != NOT_MODIFIED:
        headers.append((b"content-length", b"%d" % response.length))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    for chunk in response.chunks[:-1]:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": response.chunks[-1] if response.chunks else b""})


async def _live(receive: Receive, send: Send) -> None:
    """Begin and end with a server that serves nothing else; there is nothing to do for it."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
