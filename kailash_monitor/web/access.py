"""Access: who may change things over HTTP."""

import hmac
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.web.http import Request, Response

__all__ = ["Access"]


class Access:
    """Whoever shows the token may change things, unless a web page of somebody else's asks.

    Without a token, nobody may. A browser says in `Origin` which page asks: it must be of the host that is asked, and that
    host an IP address, `localhost` or one of `hosts`; a name that strangers can point at this machine would make their page
    look like ours (DNS rebinding). A ConfigurationError where the token cannot stand in a header.
    """

    def __init__(self, token: str | None, hosts: Iterable[str] = ()) -> None:
        if isinstance(hosts, str):
            raise ConfigurationError("Site", field="hosts", seen="a text", expected="a list of host names")
        if token is not None and not _is_token(token):
            seen = "a token that is empty or cannot stand in a header"
            raise ConfigurationError("Site", field="token", seen=seen, expected="printable ASCII without spaces")
        self._token: Final = token
        self._hosts: Final = frozenset(host.lower() for host in hosts)

    def __repr__(self) -> str:
        return f"<Access {'for nobody' if self._token is None else 'by token'}>"

    def refusal(self, request: Request) -> Response | None:
        """Give the answer to a request for a change that may not be made; None where it may."""
        if self._token is None:
            return _error(403, _READ_ONLY)
        host, origin = request.headers.get("host"), request.headers.get("origin")
        if host is not None and not self._ours(host):
            return _error(403, f"changes are not taken at the host {host!r}: use its address, or name it in Site(hosts=…)")
        if origin is not None and (host is None or _host_of(origin) != host.lower()):
            return _error(403, f"changes are not taken from the web page of another host, {origin!r}")
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return _error(401, "changes need the header 'Authorization: Bearer <token>'", {"WWW-Authenticate": "Bearer"})
        if not hmac.compare_digest(_bytes(shown.strip()), _bytes(self._token)):
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return _error(401, "the token is not the one of this program", challenge)
        return None

    def _ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:  # such as "[x"
            return False
        if name == "localhost" or name in self._hosts:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


_READ_ONLY: Final = (
    "this API only reads: to let it change things, start the program by `kailash-monitor run`, or make "
    "Site(manager, token=…), and send the header 'Authorization: Bearer <token>'"
)


def _is_token(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable() and bool(text) and " " not in text


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a header may hold bytes that are no text


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response.json({"error": text}, status=status, headers=headers)
