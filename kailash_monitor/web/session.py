"""Sessions: who has signed in, as a signed text that only the one who knows the token can have made.

Nothing is kept of a session but the cookie in the browser: `<expires>.<name>.<nonce>.<signature>`. So several processes that
know the same token agree on it, and it outlives their restarts; another token ends all of them. A code by which a browser
signs in once is the same with another signature.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kailash_monitor.errors import ConfigurationError

__all__ = [
    "CODE_SECONDS",
    "LONGEST_NAME",
    "SESSION_SECONDS",
    "Session",
    "code_of",
    "cookie_name",
    "cookie_of",
    "cookies_in",
    "csrf_of",
    "same",
    "session_by_code",
    "session_in",
]

SESSION_SECONDS: Final = 12 * 3600.0
"""How long a session lasts: a day or a night of work. Whoever reads a stolen cookie has no more than the rest of it."""

CODE_SECONDS: Final = 300.0
"""How long a code may be used: until the browser has come up, and not until somebody finds it in a history."""

LONGEST_NAME: Final = 100
"""Characters of a name, which goes with every request."""

_SHOWN_NAME: Final = 8
"""Hexadecimal digits that tell the cookies of several programs apart, since a browser gives each to all ports of a host."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who has signed in: by what `name`, until when (seconds since the Unix epoch), and a `nonce` that no other has.

    A ConfigurationError where the name is too long, or not of characters that can be shown in a line.
    """

    name: str
    expires: float
    nonce: str

    def __post_init__(self) -> None:
        if len(self.name) > LONGEST_NAME or not self.name.isprintable():
            seen = "a name that is too long, or has characters that cannot be shown"
            expected = f"{LONGEST_NAME} characters at most, in one line"
            raise ConfigurationError("the session", field="name", seen=seen, expected=expected)


def cookie_of(token: str, session: Session) -> str:
    """Give what the browser is to keep."""
    return _signed(token, "session", session)


def session_in(token: str, cookie: str, now: float) -> Session | None:
    """Give the session of a cookie; None where it is over, or was not made with this token."""
    return _read(token, "session", cookie, now)


def csrf_of(token: str, cookie: str) -> str:
    """Give what our page sends beside this cookie, and no other page can know."""
    return _signature(token, "csrf", cookie)


def code_of(token: str, name: str, nonce: str, now: float) -> str:
    """Give a code by which somebody called `name` can sign in within five minutes."""
    return _signed(token, "code", Session(name, now + CODE_SECONDS, nonce))


def session_by_code(token: str, code: str, now: float) -> Session | None:
    """Give whom this code lets in, and until when it does; None where it is over, or was not made with this token.

    Whoever asks keeps the nonce, to let nobody in by it a second time.
    """
    return _read(token, "code", code, now)


def cookie_name(token: str) -> str:
    """Give what the cookie is called, the same wherever the token is the same."""
    return f"kailash_monitor_{_digest(token, 'cookie', '').hex()[:_SHOWN_NAME]}"


def cookies_in(header: str, name: str) -> Iterator[str]:
    """Give the values of the cookies of this name in the header `Cookie`."""
    for pair in header.split(";"):
        given, _, value = pair.strip().partition("=")
        if given == name:
            yield value


def same(one: str, other: str) -> bool:
    """Whether the texts are the same, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def _signed(token: str, purpose: str, session: Session) -> str:
    said = f"{session.expires:.0f}.{_base64(_bytes(session.name))}.{session.nonce}"
    return f"{said}.{_signature(token, purpose, said)}"


def _read(token: str, purpose: str, text: str, now: float) -> Session | None:
    said, _, signature = text.rpartition(".")
    if not same(signature, _signature(token, purpose, said)):
        return None
    expires, name, nonce = said.split(".")  # as we have written it
    session = Session(urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode(), float(expires), nonce)
    return session if now < session.expires else None


def _signature(token: str, purpose: str, said: str) -> str:
    return _base64(_digest(token, purpose, said))


def _digest(token: str, purpose: str, said: str) -> bytes:
    """Sign what is said for one purpose: no cookie is a code, and no code a cookie."""
    return hmac.digest(_bytes(token), _bytes(f"{purpose}:{said}"), hashlib.sha256)


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a header may hold bytes that are no text
