"""Backoff: how long to wait before the next attempt.

Exponential with full jitter: a uniform choice between zero and the growing limit keeps many senders from coming back in
step. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits up to `first` seconds after the first failure, twice that after each further one, never more than `cap`."""

    first: float = 0.5
    cap: float = 60.0

    def delay(self, attempts: int, luck: float) -> float:
        """Give the seconds to wait after `attempts` failures; `luck` is a random number from 0 to 1."""
        doublings = min(attempts - 1, 63)  # beyond, the cap has long been reached
        return luck * min(self.cap, self.first * 2.0**doublings)
