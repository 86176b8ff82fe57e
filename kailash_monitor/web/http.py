"""Requests and responses as values, whichever server they come through."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["MAX_BODY", "Request", "Response"]

MAX_BODY: Final = 65_536
"""Bytes of a request's body that are read: what people say about alerts is short."""

_ALWAYS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Numbers of this moment are not to be kept, and never to be taken for a script."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. Names of headers are in lower case; `query` has every value of a name, in order.

    `path` is decoded, and begins where the site is mounted. It is empty where that place itself is asked for, without a
    slash behind; then `mount` is that place, as it stands in the address. Of a `body` longer than MAX_BODY, a server need
    hand over no more than the first byte too many. `visitor` is the name of who has signed in, for the site to say.
    """

    method: str
    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    mount: str = ""
    visitor: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered. A long body is in `chunks`: to send it at once would hold the program up for too long."""

    status: int
    headers: Mapping[str, str]
    chunks: Sequence[bytes]

    @property
    def body(self) -> bytes:
        """All chunks as one."""
        return b"".join(self.chunks)

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return sum(map(len, self.chunks))

    @classmethod
    def text(
        cls,
        body: str | Sequence[bytes],
        *,
        content_type: str = "text/plain; charset=utf-8",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> "Response":
        """Give a page of text, or what is written in chunks already."""
        chunks = (body.encode(),) if isinstance(body, str) else body
        return cls(status, {**_ALWAYS, "Content-Type": content_type, **(headers or {})}, chunks)

    @classmethod
    def json(cls, document: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> "Response":
        """Give a JSON document."""
        return cls.text(
            json.dumps(document, allow_nan=False), content_type="application/json", status=status, headers=headers
        )
