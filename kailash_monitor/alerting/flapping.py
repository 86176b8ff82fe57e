"""Flapping: an alert that goes on and off so fast that telling each time would tell nothing."""

from dataclasses import dataclass, replace
from typing import Final

from kailash_monitor.rules import Flapping

__all__ = ["Flaps"]

_TICK: Final = 1e-6
"""Grid points are sums of floats: three changes that are a minute apart may span 119.999999999 s."""


@dataclass(frozen=True, slots=True)
class Flaps:
    """When an alert last began or ceased to fire, and since when that is too often.

    It flaps from `changes` changes within less than `period`, and is stable again when less than half as many are left in
    it: the distance keeps it from flapping between flapping and stable, and the truth is told one period after it settles
    at the latest.
    """

    limit: Flapping
    changes: tuple[float, ...] = ()
    since: float | None = None

    def changed(self, now: float) -> "Flaps":
        """Give the state after it began or ceased to fire at `now`. As many changes are kept as can matter."""
        before = self.settled(now)
        changes = (*before.changes, now)[-self.limit.changes :]
        many = len(changes) == self.limit.changes and now - changes[0] < self.limit.period - _TICK
        return replace(before, changes=changes, since=now if many and before.since is None else before.since)

    def settled(self, now: float) -> "Flaps":
        """Give the state at `now`: it no longer flaps once it is `stable_at`."""
        stable = self.stable_at
        return self if stable is None or now < stable else replace(self, since=None, changes=())

    @property
    def flapping(self) -> bool:
        """Whether it goes on and off too fast."""
        return self.since is not None

    @property
    def stable_at(self) -> float | None:
        """When it is stable again if nothing more happens; None where it does not flap."""
        if self.since is None:
            return None
        left = (self.limit.changes - 1) // 2
        return self.changes[-1 - left] + self.limit.period
