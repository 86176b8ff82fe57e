"""Envelopes: a page of rows as it is sent, whole or only what has changed."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.engine.queries import driven
from kailash_monitor.promql.source import Pieces
from kailash_monitor.web.feed import Feed
from kailash_monitor.web.http import Response
from kailash_monitor.web.listing import Listing

__all__ = ["Envelopes"]

T = TypeVar("T")

Document = Mapping[str, object]


class Envelopes:
    """Writes the pages of all lists of a site, which has one `feed`; `clock` says when that was."""

    def __init__(self, feed: Feed, clock: Clock) -> None:
        self._feed: Final = feed
        self._clock: Final = clock

    def at(self) -> str:
        """Give the time of day, as all answers have it."""
        return datetime.fromtimestamp(self._clock.wall(), UTC).isoformat()

    async def page(
        self,
        listing: Listing,
        name: str,
        rows: Sequence[T],
        document: Callable[[T], Document],
        *,
        resource: str | None = None,
        more: Mapping[str, object] | None = None,
    ) -> Response:
        """Answer with the page of `rows`, all that match, in order; `document` is asked for those of the page only.

        A row's key is the `id` of its document, or else its `name`. The same key must stand for the same row in all of
        `resource`, which is `name` if left out. `more` is what else the envelope holds. The host program has its turns
        meanwhile.
        """
        await asyncio.sleep(0)  # what it took to find the rows is a piece of its own
        pieces = self._pieces(listing, name, rows, document, resource or name, more or {})
        chunks = await driven(pieces, SYSTEM_CLOCK)
        return Response.text(chunks, content_type="application/json")

    def _pieces(
        self,
        listing: Listing,
        name: str,
        rows: Sequence[T],
        document: Callable[[T], Document],
        resource: str,
        more: Mapping[str, object],
    ) -> Pieces[list[bytes]]:
        at, written = self.at(), list[tuple[str, bytes]]()
        for row in listing.page(rows):
            written.append(_written(document(row)))
            yield
        since, reading, changed = self._feed.number_of(listing.since), self._feed.reading(resource), list[bytes]()
        for start in range(0, len(written), AT_ONCE):
            some = written[start : start + AT_ONCE]
            numbers = reading.add(some)
            changed += [text for (_, text), number in zip(some, numbers, strict=True) if since is None or number > since]
            yield
        keys = [key for key, _ in written]
        head = {"at": at, "total": len(rows), "cursor": reading.cursor, "delta": since is not None, "keys": keys, **more}
        return [*_chunks(f"{json.dumps(head, allow_nan=False)[:-1]}, {json.dumps(name)}: [".encode(), changed), b"]}"]


AT_ONCE: Final = 100
"""Rows that are noted, and sent, at once: some ten thousand bytes."""


def _written(document: Document) -> tuple[str, bytes]:
    key = document["id"] if "id" in document else document["name"]
    return str(key), json.dumps(document, allow_nan=False).encode()


def _chunks(head: bytes, rows: Sequence[bytes]) -> list[bytes]:
    parts = [b", ".join(rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE)]
    return [head, *(part if index == 0 else b", " + part for index, part in enumerate(parts))]
