"""Static files: the dashboard's page and what belongs to it, as they lie in the package."""

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from kailash_monitor.exposition import accepts_gzip
from kailash_monitor.web.http import Request, Response

__all__ = ["PAGE", "StaticFile", "answer_file", "files_of", "packaged_files"]

PAGE: Final = "index.html"
"""The page itself."""

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page runs our files alone and talks to us alone, whatever text it comes to show."""

_HEADERS: Final = {
    "Cache-Control": "no-cache",  # kept, and asked for again each time: the next version may be another
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # not no-referrer: with that, some browsers say "null" in Origin
    "X-Frame-Options": "DENY",
}

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    "": "text/plain; charset=utf-8",  # LICENSE
}
"""What is served; whatever else lies there is not."""

_PICTURES: Final = frozenset({".png", ".ico"})
"""What is compressed already."""

_FOLDER: Final = Path(__file__).with_name("static")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent. `gzipped` is None where that would be no shorter; `digest` tells its version from others."""

    content: bytes
    content_type: str
    digest: str
    gzipped: bytes | None


async def packaged_files() -> Mapping[str, StaticFile]:
    """Give the files of the package by their paths; they are read once, in another thread."""
    return await asyncio.to_thread(_packaged)


@cache
def _packaged() -> Mapping[str, StaticFile]:
    return files_of(_FOLDER)


def files_of(folder: Path) -> dict[str, StaticFile]:
    """Read the files in a folder and below it; none where there is no such folder."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in _TYPES and path.is_file()]
    read = {path.relative_to(folder): path for path in paths}
    return {
        name.as_posix(): _file(path.read_bytes(), path.suffix)
        for name, path in read.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def _file(content: bytes, suffix: str) -> StaticFile:
    gzipped = None if suffix in _PICTURES else gzip.compress(content, mtime=0)
    if gzipped is not None and len(gzipped) >= len(content):
        gzipped = None
    return StaticFile(content, _TYPES[suffix], hashlib.sha256(content).hexdigest()[:16], gzipped)


def answer_file(request: Request, file: StaticFile, *, varies: str = "Accept-Encoding") -> Response:
    """Give the file, or say that the one which the browser has is the same. `varies` names the headers it depends on."""
    body = file.gzipped if accepts_gzip(request.headers.get("accept-encoding")) else None
    tag = f'"{file.digest}"' if body is None else f'"{file.digest}-gzip"'
    headers = {**_HEADERS, "ETag": tag, "Vary": varies}
    if _is_known(request.headers.get("if-none-match", ""), file.digest):
        return Response(304, headers, ())
    if body is not None:
        headers["Content-Encoding"] = "gzip"
    chunks = (file.content if body is None else body,)
    return Response.text(chunks, content_type=file.content_type, headers=headers)


def _is_known(header: str, digest: str) -> bool:
    """Whether one of the tags in If-None-Match is of this version, however it was sent (RFC 9110, 13.1.2)."""
    tags = {tag.strip().removeprefix("W/").strip('"').removesuffix("-gzip") for tag in header.split(",")}
    return digest in tags or "*" in tags
