"""Chunks: a long answer made piece by piece, so that the host program has its turns meanwhile."""

import asyncio
import zlib
from collections.abc import Iterator
from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK

__all__ = ["driven", "gzipped"]

RENDER_BUDGET: Final = 0.005
"""Seconds of rendering without a pause for the host program."""

CHUNK_BYTES: Final = 65_536
"""What is sent at once."""

GZIP_WBITS: Final = 31
"""The largest window, and a gzip header: https://docs.python.org/3/library/zlib.html#zlib.compressobj"""


async def driven(pieces: Iterator[bytes]) -> list[bytes]:
    """Give the pieces as chunks, with a pause for the host program whenever the budget is used up."""
    chunks, chunk = list[bytes](), bytearray()
    paused = SYSTEM_CLOCK.now()
    for piece in pieces:
        chunk += piece
        if len(chunk) >= CHUNK_BYTES:
            chunks.append(bytes(chunk))
            chunk.clear()
        if SYSTEM_CLOCK.now() - paused > RENDER_BUDGET:
            await asyncio.sleep(0)
            paused = SYSTEM_CLOCK.now()
    return [*chunks, bytes(chunk)]


def gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Compress piece by piece, as little as gzip can: pages shrink to a tenth all the same."""
    gzip = zlib.compressobj(level=1, wbits=GZIP_WBITS)
    for piece in pieces:
        yield gzip.compress(piece)
    yield gzip.flush()
