"""Spent: what lets nobody in any more though its time is not over, a code that was used and a session that was ended."""

import threading
from typing import Final

from kailash_monitor.threads import guarded

__all__ = ["Spent"]

MOST: Final = 10_000
"""What is remembered; whoever signs in makes two of them, at most ten a second, and most last five minutes."""


class Spent:
    """The nonces that are spent, each until its time is over anyway; of more than ten thousand, the first are forgotten.

    They are of this process: another one, and this after a restart, does not know them. Mutable: the nonces, under a lock.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock: Final = guarded(threading.Lock())

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, nonce: str) -> bool:
        return nonce in self._until

    def add(self, nonce: str, expires: float, now: float) -> bool:
        """Remember it; whether it was not spent before."""
        with self._lock:
            if nonce in self._until:
                return False
            if len(self._until) >= MOST:
                self._until = {one: until for one, until in self._until.items() if until > now}
            if len(self._until) >= MOST:
                self._until.pop(next(iter(self._until)))
            self._until[nonce] = expires
            return True
