"""Access: who may change things over HTTP."""

import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.limits import FAILURES, Limit
from kailash_monitor.web.session import (
    SESSION_SECONDS,
    Session,
    cookie_name,
    cookie_of,
    cookies_in,
    csrf_of,
    same,
    session_by_code,
    session_in,
)
from kailash_monitor.web.spent import Spent

__all__ = ["Access", "SignedIn"]

NONCE_BYTES: Final = 12
"""Of chance: no two sessions have the same."""


_logger = logging.getLogger("kailash_monitor.web")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who has signed in: the session, the cookie that stands for it, and what goes with changes beside that."""

    session: Session
    cookie: str
    csrf: str


class Access:
    """Whoever shows the token may change things, or a session that was opened with it, unless somebody else's page asks.

    Without a token, nobody may. A browser says in `Origin` which page asks: it must be of the host that is asked, and that
    host an IP address, `localhost` or one of `hosts`; a name that strangers can point at this machine would make their page
    look like ours (DNS rebinding). With the cookie of a session, a change needs the header `X-CSRF-Token` as well.

    After ten wrong tokens or codes there is one try in two seconds, for all together: those that come in between are not
    looked at, be they right or wrong. Sessions that are open go on meanwhile. Each wrong one that is looked at is logged as
    a warning. A ConfigurationError where the token cannot stand in a header.
    """

    def __init__(self, token: str | None, hosts: Iterable[str] = (), *, clock: Clock = SYSTEM_CLOCK) -> None:
        if isinstance(hosts, str):
            raise ConfigurationError("Site", field="hosts", seen="a text", expected="a list of host names")
        if token is not None and not _is_token(token):
            seen = "a token that is empty or cannot stand in a header"
            raise ConfigurationError("Site", field="token", seen=seen, expected="printable ASCII without spaces")
        self._token: Final = token
        self._hosts: Final = frozenset(host.lower() for host in hosts)
        self._clock: Final = clock
        self._failures: Final = Limit(FAILURES, "wrong tokens", clock.now())
        self._spent: Final = Spent()

    def __repr__(self) -> str:
        return f"<Access {'for nobody' if self._token is None else 'by token'}>"

    @property
    def token_is_set(self) -> bool:
        """Whether anybody may change anything."""
        return self._token is not None

    def refusal(self, request: Request) -> Response | None:
        """Give the answer to a request for a change that may not be made; None where it may."""
        return self.estrangement(request) or self._refusal(request)

    def estrangement(self, request: Request) -> Response | None:
        """Give the answer to a request that may not even ask to be let in; None where it may."""
        if self._token is None:
            return _error(403, _READ_ONLY)
        host, origin = request.headers.get("host"), request.headers.get("origin")
        if host is not None and not self._ours(host):
            return _error(403, f"changes are not taken at the host {host!r}: use its address, or name it in Site(hosts=…)")
        if origin is not None and (host is None or _host_of(origin) != host.lower()):
            asked = f"{origin!r}, than the one that is asked, {host!r}; a proxy must pass Host on as it stands"
            return _error(403, f"changes are not taken from the web page of another host, {asked}")
        return None

    def _refusal(self, request: Request) -> Response | None:
        token = _shown_token(request)
        if token is not None:
            return self._wrong_token(token)
        somebody = self.signed_in(request)
        if somebody is not None:
            right = same(request.headers.get("x-csrf-token", ""), somebody.csrf)
            return (
                None if right else _error(403, "the header X-CSRF-Token is not the one of this session: load the page again")
            )
        error = "changes need the header 'Authorization: Bearer <token>', or a session: sign in"
        return _error(401, error, {"WWW-Authenticate": "Bearer"})

    def _wrong_token(self, token: str) -> Response | None:
        now = self._clock.now()
        refusal = self._failures.refusal(now)
        if refusal is not None or same(token, self._key):
            return refusal
        self._note_failure("token", now)
        return _error(401, "the token is not the one of this program", {"WWW-Authenticate": 'Bearer error="invalid_token"'})

    def _note_failure(self, what: str, now: float) -> None:
        self._failures.taken(now)
        _logger.warning("somebody showed a wrong %s, over HTTP", what)  # as seldom as the limit lets them

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

    # -- sessions ------------------------------------------------------------------------------------------------------

    def signed_in(self, request: Request) -> SignedIn | None:
        """Give who has signed in, as the cookie of the request says; None for nobody."""
        if self._token is None:
            return None
        now = self._clock.wall()
        for cookie in cookies_in(request.headers.get("cookie", ""), cookie_name(self._token)):
            session = session_in(self._token, cookie, now)
            if session is not None and session.nonce not in self._spent:
                return SignedIn(session, cookie, csrf_of(self._token, cookie))
        return None

    def visitor(self, request: Request) -> str | None:
        """Give the name, which may be empty, of who makes this request by a session; None where it is made by the token."""
        somebody = self.signed_in(request) if _shown_token(request) is None else None
        return None if somebody is None else somebody.session.name

    def by_token(self, token: str, name: str) -> SignedIn | Response:
        """Open a session for whoever shows the token, or give the answer to the wrong one.

        A ConfigurationError where the name cannot be one.
        """
        session = self._session(name)
        return self._wrong_token(token) or self._opened(session)

    def by_code(self, code: str, name: str) -> SignedIn | Response:
        """Open a session for whoever shows a code, once; without a `name`, for whom the code was made. The same errors."""
        session, now, wall = self._session(name), self._clock.now(), self._clock.wall()
        refusal = self._failures.refusal(now)
        if refusal is not None:
            return refusal
        made = session_by_code(self._key, code, wall)
        if made is not None and self._spent.add(made.nonce, made.expires, wall):
            return self._opened(session if name else self._session(made.name))
        self._note_failure("sign-in code", now)
        return _error(401, "the code is over, or was used: ask for another by `kailash-monitor dashboard`, or use the token")

    def end(self, somebody: SignedIn) -> None:
        """End a session: its cookie counts no more, as far as this process knows."""
        self._spent.add(somebody.session.nonce, somebody.session.expires, self._clock.wall())

    def cookie_header(self, somebody: SignedIn | None, request: Request) -> str:
        """Give the header that has the browser keep the cookie; without somebody, forget it.

        It has no `Path`, and so is for the folder that it is set in (RFC 6265, 5.1.4), which is that of the API wherever the
        site is mounted, also behind a proxy that knows it by another path. It is `Secure` where the page came by HTTPS: that
        is what the browser says of it in `Origin`, while the last leg behind a proxy may be plain.
        """
        value, age = ("", 0) if somebody is None else (somebody.cookie, int(SESSION_SECONDS))
        secure = "; Secure" if request.headers.get("origin", "").startswith("https://") else ""
        return f"{cookie_name(self._key)}={value}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"

    def _session(self, name: str) -> Session:
        return Session(name, self._clock.wall() + SESSION_SECONDS, secrets.token_urlsafe(NONCE_BYTES))

    def _opened(self, session: Session) -> SignedIn:
        cookie = cookie_of(self._key, session)
        return SignedIn(session, cookie, csrf_of(self._key, cookie))

    @property
    def _key(self) -> str:
        assert self._token is not None, "estrangement was to be asked for first: without a token nobody is let in"
        return self._token


_READ_ONLY: Final = (
    "this API only reads: to let it change things, start the program by `kailash-monitor run`, or make "
    "Site(manager, token=…), and send the header 'Authorization: Bearer <token>'"
)


def _is_token(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable() and bool(text) and " " not in text


def _shown_token(request: Request) -> str | None:
    """Give the token that is shown in the header; None where there is none.

    Another scheme is for who stands before us, such as a proxy that asks for a password and passes it on.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response.json({"error": text}, status=status, headers=headers)
