"""Web: the state of the program over HTTP."""

from kailash_monitor.web.aiohttp_server import Server, aiohttp_app, serve
from kailash_monitor.web.asgi import asgi_app
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.listen import DEFAULT_LISTEN, Listen
from kailash_monitor.web.site import Site

__all__ = ["DEFAULT_LISTEN", "Listen", "Request", "Response", "Server", "Site", "aiohttp_app", "asgi_app", "serve"]
