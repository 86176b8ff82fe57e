"""The token bucket: how many messages a channel may be sent, in the long run and at once.

https://en.wikipedia.org/wiki/Token_bucket
"""

import math
from dataclasses import dataclass

from kailash_monitor.errors import ConfigurationError

__all__ = ["Bucket", "Rate"]

_DUST = 1e-9
"""Waiting for a token is a sum of floats: at the very time it was said to be there, a billionth of it may be missing."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` messages in the long run, and `burst` at once after a pause. Both above zero."""

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        number = isinstance(self.per_second, int | float) and not isinstance(self.per_second, bool)
        if not number or not 0 < self.per_second < math.inf:
            raise _wrong(f"{self.per_second!r} messages a second", "a number above zero, such as 0.5")
        if isinstance(self.burst, bool) or not isinstance(self.burst, int) or self.burst < 1:
            raise _wrong(f"a burst of {self.burst!r}", "a whole number, 1 at least")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that come by themselves, up to the burst; each message takes one. `tokens` is how many were left at `at`."""

    rate: Rate
    tokens: float
    at: float

    @classmethod
    def full(cls, rate: Rate, now: float) -> "Bucket":
        """Give one that nothing was taken from yet."""
        return cls(rate, float(rate.burst), now)

    def left(self, now: float) -> float:
        """Give how many tokens there are now."""
        return min(float(self.rate.burst), self.tokens + max(0.0, now - self.at) * self.rate.per_second)

    def ready_at(self, now: float) -> float:
        """Give when a token is there: now, or later."""
        lacking = 1.0 - self.left(now)
        return now if lacking <= _DUST else now + lacking / self.rate.per_second

    def taken(self, now: float) -> "Bucket":
        """Give the bucket after a message was sent."""
        return Bucket(self.rate, self.left(now) - 1.0, now)


def _wrong(seen: str, expected: str) -> ConfigurationError:
    return ConfigurationError("rate", field="rate", seen=seen, expected=expected)
