"""Deeds: what was changed over HTTP, when, and by whom."""

import logging
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.channels.text import one_line
from kailash_monitor.clock import Clock
from kailash_monitor.threads import guarded

__all__ = ["SOMEBODY", "Deed", "Deeds", "deed_document"]

MOST: Final = 500
"""Deeds that are kept to be shown; the log has them all."""

LONGEST: Final = 300
"""Characters of what was done: matchers and ids may be long."""

SOMEBODY: Final = "somebody"
"""Who it was, where they signed in without a name."""

_logger = logging.getLogger("kailash_monitor.web")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was changed: by `who`, as far as that is known, `what`, and `at` which time of day."""

    id: str
    at: datetime
    who: str
    what: str


class Deeds:
    """The last 500 deeds of this process. Each is logged as well, by `kailash_monitor.web` at INFO.

    Mutable: the deeds and how many there were, under a lock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._kept: deque[Deed] = deque(maxlen=MOST)
        self._number = 0
        self._lock: Final = guarded(threading.Lock())

    def __repr__(self) -> str:
        return f"<Deeds: {self._number}>"

    def add(self, who: str, what: str) -> None:
        """Take note that somebody has done something."""
        who, what = one_line(who), one_line(what)
        what = what if len(what) <= LONGEST else f"{what[:LONGEST]}…"
        at = datetime.fromtimestamp(self._clock.wall(), UTC)
        with self._lock:
            self._number += 1
            self._kept.appendleft(Deed(str(self._number), at, who, what))
        _logger.info("%s, over HTTP: %s", who, what)

    def latest(self) -> list[Deed]:
        """Give them, the newest first."""
        with self._lock:
            return list(self._kept)


def deed_document(deed: Deed) -> dict[str, object]:
    """Give a deed as plain data for JSON."""
    return {"id": deed.id, "at": deed.at.isoformat(), "who": deed.who, "what": deed.what}
