"""Credentials: who asks a server, a user with a password or whoever has the token."""

import base64
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from os import PathLike
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from kailash_monitor.channels.checks import Secret
from kailash_monitor.errors import ChannelError

__all__ = ["Credentials", "Given"]

Given: TypeAlias = tuple[str | None, str | PathLike[str] | None]
"""A secret, or the file that holds it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user with a password, or a bearer token, or nobody in particular."""

    username: str | None = None
    secret: Secret | None = None

    @classmethod
    def of(cls, username: str | None, password: Given, token: Given, *, where: str) -> Self:
        """Take a username and a password, or a token, or none of it; a ChannelError where it is not clear which."""
        with_password, with_token = any(each is not None for each in password), any(each is not None for each in token)
        if with_token and (with_password or username is not None):
            seen = "a token beside a username and a password"
            raise ChannelError(where, field="token", seen=seen, expected="use one kind of credentials")
        if with_password != (username is not None):
            missing = "username" if username is None else "password"
            expected = "use a username and a password together"
            raise ChannelError(where, field=missing, seen=f"no {missing}", expected=expected)
        if username is not None and (not isinstance(username, str) or ":" in username or not username.isprintable()):
            seen, expected = "a username with a colon", "use a text without colons"
            raise ChannelError(where, field="username", seen=seen, expected=expected)
        if with_token:
            return cls(None, Secret.of(*token, field="token", where=where))
        return cls(username, Secret.of(*password, field="password", where=where)) if with_password else cls()

    def check_alone(self, headers: Collection[str], urls: Iterable[str], *, field: str, where: str) -> None:
        """Raise a ChannelError where a request with these headers, by lower-case name, would have credentials twice.

        `field` is the parameter that has the addresses.
        """
        in_address = any("@" in urlsplit(url).netloc for url in urls)
        given = [self.secret is not None, "authorization" in headers, in_address]
        if given.count(True) > 1:
            raise ChannelError(
                where,
                field="headers" if "authorization" in headers else field,
                seen="more credentials than one",
                expected="give them once: as parameters, as the header 'Authorization', or in the addresses",
            )

    async def headers(self) -> dict[str, str]:
        """Give the header that shows who asks; a file is read each time. SecretUnreadable where that cannot be."""
        if self.secret is None:
            return {}
        secret = await self.secret.fetch()
        if self.username is None:
            return {"authorization": f"Bearer {secret}"}
        pair = base64.b64encode(f"{self.username}:{secret}".encode())
        return {"authorization": f"Basic {pair.decode()}"}
