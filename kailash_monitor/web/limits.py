"""Limits: how often a site lets itself be changed, and how often somebody may try to guess its token."""

import math
import threading
from typing import Final

from kailash_monitor.delivery.bucket import Bucket, Rate
from kailash_monitor.threads import guarded
from kailash_monitor.web.http import Response

__all__ = ["CHANGES", "FAILURES", "Limit"]

CHANGES: Final = Rate(10.0, 50)
"""Changes that are taken: more than people and their scripts make, and few enough for a store to keep."""

FAILURES: Final = Rate(0.5, 10)
"""Wrong tokens and codes: people mistype a few; at one in two seconds nobody guesses sixteen characters in a lifetime."""


class Limit:
    """What may be done so often, by all who ask together, whichever threads they are answered in.

    It is one for a site and not for each address that asks: behind a proxy all have the same. Mutable: the bucket.
    """

    def __init__(self, rate: Rate, what: str, now: float) -> None:
        self._bucket = Bucket.full(rate, now)
        self._what: Final = what
        self._lock: Final = guarded(threading.Lock())

    def refusal(self, now: float) -> Response | None:
        """Give the answer where it may not be done now; None where it may, which is not counted."""
        with self._lock:
            wait = self._bucket.ready_at(now) - now
        if wait <= 0:
            return None
        seconds = math.ceil(wait)
        error = f"too many {self._what}; try again in {seconds} s"
        return Response.json({"error": error}, status=429, headers={"Retry-After": str(seconds)})

    def taken(self, now: float) -> Response | None:
        """Count one, and give None; or give the answer where it may not be done now."""
        with self._lock:
            if self._bucket.ready_at(now) <= now:
                self._bucket = self._bucket.taken(now)
                return None
        return self.refusal(now)
