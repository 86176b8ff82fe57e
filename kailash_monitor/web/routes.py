"""Routes: which answer belongs to a method and a path."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from kailash_monitor.web.http import Request, Response

__all__ = ["Answer", "Route"]

Answer = Callable[[Request, str], Awaitable[Response]]
"""Takes what was asked, and what stands for `<id>` in its path."""

_ID: Final = "<id>"


@dataclass(frozen=True, slots=True)
class Route:
    """One method at one path, in which `<id>`, at most once, stands for any text that is not empty, slashes included."""

    method: str
    path: str
    answer: Answer

    def id_in(self, path: str) -> str | None:
        """Give what stands for `<id>` in this path, "" for a route without; None where it is another path."""
        before, found, after = self.path.partition(_ID)
        if not found:
            return "" if path == self.path else None
        fits = path.startswith(before) and path.endswith(after) and len(path) > len(before) + len(after)
        return path[len(before) : len(path) - len(after)] if fits else None

    @property
    def title(self) -> str:
        """The path as it is listed, with the method where it does more than read."""
        return self.path if self.method == "GET" else f"{self.method} {self.path}"
