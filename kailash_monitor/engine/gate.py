"""The gate in front of one channel: when it takes the next message, and how it has been doing."""

import math
from typing import Final, assert_never

from kailash_monitor.delivery.breaker import Breaker, BreakerState
from kailash_monitor.delivery.bucket import Bucket
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.delivery.policy import ChannelPolicy

__all__ = ["AT_ONCE", "Gate"]

AT_ONCE: Final = 8
"""Attempts that one channel has under way at a time: enough to get through a storm, too few to be one."""


class Gate:
    """Opens for one attempt at a time, as its bucket, its breaker and the channel's own word (Retry-After) allow.

    `failing_since` is when the first attempt failed after which none was answered, `why` what the last one met. `refuses`
    where the channel said that it will take nothing from us any more. `down` is whether its fallback takes its place; the
    outbox sets it, and tells the dispatcher. Mutable, under the manager's lock.
    """

    def __init__(self, policy: ChannelPolicy, now: float) -> None:
        self.policy: Final = policy
        self.busy = 0
        self.delivered = 0
        self.failed = 0
        self.failing_since: float | None = None
        self.refuses = False
        self.why = ""
        self.down = False
        self._bucket = Bucket.full(policy.rate, now)
        self._breaker = Breaker()
        self._pause_until = -math.inf

    def opens_at(self, now: float) -> float:
        """Give when the next attempt may begin; infinity while that depends on those under way."""
        if self.busy >= AT_ONCE:
            return math.inf
        return max(self._breaker.opens_at, self._pause_until, self._bucket.ready_at(now))

    def room(self, now: float) -> int:
        """Give how many messages may go out at once."""
        return int(self._bucket.left(now) + 1e-9)

    def tokens(self, now: float) -> float:
        """Give how much of its burst is left."""
        return max(0.0, self._bucket.left(now))

    def state(self, now: float) -> BreakerState:
        """Say how the breaker stands."""
        return self._breaker.state(now)

    def waits(self, now: float) -> bool:
        """Whether it is the channel that makes it wait, and not the number of messages."""
        return self.shut_until > now

    @property
    def shut_until(self) -> float:
        """Until when the channel makes it wait, infinity while a probe is under way; past where it does not."""
        return max(self._breaker.opens_at, self._pause_until)

    def enter(self, now: float) -> None:
        """Take note that an attempt begins."""
        self.busy += 1
        self._bucket = self._bucket.taken(now)
        self._breaker = self._breaker.begun()

    def leave(self, outcome: Outcome | None, now: float) -> None:
        """Take note of what became of an attempt; None where nobody knows."""
        self.busy -= 1
        match outcome:
            case None:
                self._breaker = self._breaker.interrupted()
            case Delivered() | Rejected():
                self.delivered += isinstance(outcome, Delivered)
                self.failed += isinstance(outcome, Rejected)
                self._breaker = self._breaker.succeeded()
                self.forgive()
            case Retry(why=why, after=after):
                if after is not None:
                    self._pause_until = max(self._pause_until, now + after)
                self._fail(why, now)
            case Unauthorised(why=why) | Gone(why=why):
                self.refuses = True
                self._fail(why, now)
            case _:
                assert_never(outcome)

    def found_down(self, now: float) -> None:
        """Take note that it failed before a restart, and is not known to be well again."""
        self.failing_since, self.down, self.why = now - self.policy.fallback_after, True, "it failed before the restart"

    def forgive(self) -> None:
        """Take note that it is well, or not known to be otherwise."""
        self.failing_since, self.refuses, self.why = None, False, ""

    def _fail(self, why: str, now: float) -> None:
        self.failed += 1
        self.why = why
        self.failing_since = now if self.failing_since is None else self.failing_since
        self._breaker = self._breaker.failed(now)

    @property
    def down_at(self) -> float:
        """When its fallback takes its place: at once where it refuses, or after so long; infinity where it is well."""
        if self.refuses:
            return -math.inf
        return math.inf if self.failing_since is None else self.failing_since + self.policy.fallback_after
