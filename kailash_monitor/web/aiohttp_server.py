"""The site behind aiohttp: an application for your own server, or a server of its own."""

import asyncio
import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kailash_monitor.errors import CannotListen, ConfigurationError
from kailash_monitor.web.http import MAX_BODY, Request, Response
from kailash_monitor.web.listen import Listen
from kailash_monitor.web.site import Site

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["Server", "aiohttp_app", "serve"]

CLOSE_SECONDS: Final = 1.0
"""How long a close waits for answers that are being written; idle connections are closed at once."""

BODY_SECONDS: Final = 10.0
"""How long a body may take to come: as long as an attempt to tell a channel."""


def aiohttp_app(site: Site) -> "web.Application":
    """Give the site as an aiohttp application, to be added to yours: `app.add_subapp("/monitor", aiohttp_app(site))`."""
    from aiohttp import web

    async def answer(request: web.Request) -> web.StreamResponse:
        below = request.match_info.get("path")
        path = "" if below is None else f"/{below}"
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = {name: request.query.getall(name) for name in request.query}
        try:
            body = await _body(request)
        except TimeoutError:
            response = Response.json({"error": f"the body did not come within {BODY_SECONDS:g} s"}, status=408)
        except (ConnectionError, web.RequestPayloadError):  # to whom nobody listens any more, most likely
            response = Response.json({"error": "the body broke off"}, status=400)
        else:
            response = await site.handle(Request(request.method, path, query, headers, body, mount=request.rel_url.raw_path))
        if len(response.chunks) <= 1:
            return web.Response(status=response.status, headers=dict(response.headers), body=response.body)
        stream = web.StreamResponse(status=response.status, headers=dict(response.headers))
        stream.content_length = response.length
        with suppress(ConnectionError):  # a tab was closed meanwhile: nothing that a log must tell of
            await stream.prepare(request)
            for chunk in response.chunks:
                await stream.write(chunk)
            await stream.write_eof()
        return stream

    app = web.Application()
    app.router.add_route("*", r"/{path:[\s\S]*}", answer)  # line breaks as well: a dot leaves them to aiohttp's own 404
    app.router.add_route("*", "", answer)  # where it is added itself, without a slash behind
    return app


async def _body(request: "web.Request") -> bytes:
    """Give the body, or of one that is too long a byte more than may be.

    TimeoutError where it does not come; ConnectionError or RequestPayloadError where it ends half-way.
    """
    if not request.can_read_body:
        return await request.read()  # empty, or what a middleware of the program's own has read before
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        while len(body) <= MAX_BODY and (piece := await request.content.read(MAX_BODY + 1 - len(body))):
            body += piece
    return bytes(body)


class Server:
    """A site being served. `address` is where."""

    def __init__(self, runner: "web.AppRunner", address: Listen) -> None:
        self._runner = runner
        self.address: Final = address

    def __repr__(self) -> str:
        return f"<Server {self.address}>"

    async def close(self) -> None:
        """Stop serving, within a second."""
        await self._runner.cleanup()


async def serve(site: Site, listen: Listen, *, try_next: int = 0, public: bool = False) -> Server:
    """Serve `site` at `listen`, or, where the port is taken, at one of the `try_next` ports after it.

    CannotListen says in a line what stands in the way. A ConfigurationError where other machines can reach that address and
    the site has no token, unless this is said to be meant, by `public`: reading asks for nothing, so let something before it
    ask who they are.
    """
    from aiohttp import web

    if not (public or site.takes_changes or listen.is_local):
        seen = f"{listen}, which other machines can reach, for a site without a token"
        expected = "give Site(manager, token=…), listen on 127.0.0.1, or say public=True where that is meant"
        raise ConfigurationError("serve", field="listen", seen=seen, expected=expected)

    runner = web.AppRunner(aiohttp_app(site), access_log=None, shutdown_timeout=CLOSE_SECONDS)
    await runner.setup()
    address = listen
    try:
        while True:
            try:
                await web.TCPSite(runner, address.host, address.port).start()
            except OSError as error:
                if error.errno != errno.EADDRINUSE or address.port >= listen.port + try_next:
                    raise CannotListen(error.errno, f"cannot serve on {listen}: {_reason(error)}") from None
                address = address.next()
            else:
                port: int = runner.addresses[0][1]  # what the system chose for port 0
                return Server(runner, Listen(address.host, port))
    except BaseException:
        await runner.cleanup()
        raise


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use; choose another, or 0 for any free one"
        case errno.EACCES:
            return "not permitted; ports below 1024 need a privilege, choose one above"
        case errno.EADDRNOTAVAIL | None:  # since Python 3.13 asyncio gives no number for it
            return "this machine has no such address"
        case _:
            return error.strerror or str(error)
