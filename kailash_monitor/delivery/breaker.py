"""The circuit breaker: a channel that fails again and again is left alone for a while, and then asked once.

Closed, open, half-open: https://martinfowler.com/bliki/CircuitBreaker.html
"""

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

__all__ = ["Breaker", "BreakerState"]

LIMIT: Final = 5
"""Failures in a row after which it opens: one lost packet is no outage."""

FIRST_PAUSE: Final = 10.0
LONGEST_PAUSE: Final = 60.0
"""Seconds between two probes: as far apart as attempts at a single message may be."""


class BreakerState(Enum):
    """Whether attempts are made: all; none; or one, to see whether they work again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """Opens after `limit` failures in a row, lets one probe through after a pause, and twice as late after each that fails.

    `since` is when the first failure in the row was, `until` the end of the pause; `probing` says that the probe is under
    way.
    """

    limit: int = LIMIT
    failures: int = 0
    since: float | None = None
    until: float = -math.inf
    probing: bool = False

    def state(self, now: float) -> BreakerState:
        """Say where it stands now."""
        if self.failures < self.limit:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.until else BreakerState.HALF_OPEN

    @property
    def opens_at(self) -> float:
        """When the next attempt may be made: any time, at the end of the pause, or not before the probe has ended."""
        if self.failures < self.limit:
            return -math.inf
        return math.inf if self.probing else self.until

    def begun(self) -> "Breaker":
        """Give it after an attempt was begun, which it allowed."""
        return replace(self, probing=True) if self.failures >= self.limit else self

    def succeeded(self) -> "Breaker":
        """Give it after an attempt that the channel answered."""
        return Breaker(self.limit) if self.failures else self

    def failed(self, now: float) -> "Breaker":
        """Give it after an attempt that failed. One that began before it opened changes nothing while a probe may come."""
        if self.failures >= self.limit and not self.probing:
            return self
        failures = self.failures + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** max(0, min(failures - self.limit, 63)))
        return replace(
            self,
            failures=failures,
            since=now if self.since is None else self.since,
            until=now + pause if failures >= self.limit else self.until,
            probing=False,
        )

    def interrupted(self) -> "Breaker":
        """Give it after an attempt of which nobody will know what came: the next may be the probe."""
        return replace(self, probing=False)
