"""Flapping: an alert that goes on and off so fast that telling each time would tell nothing."""

from dataclasses import dataclass, replace

from kailash_monitor.rules import Flapping

__all__ = ["Flaps"]


@dataclass(frozen=True, slots=True)
class Flaps:
    """When an alert last began or ceased to fire, and since when that is too often.

    It flaps from `changes` changes within `period`, and is stable again when half of them are left in it: the distance keeps
    it from flapping between flapping and stable, and the truth is told one period after it settles at the latest.
    """

    limit: Flapping
    changes: tuple[float, ...] = ()
    since: float | None = None

    def changed(self, now: float) -> "Flaps":
        """Give the state after it began or ceased to fire at `now`. As many changes are kept as can matter."""
        changes = (*self.changes, now)[-self.limit.changes :]
        many = len(changes) == self.limit.changes and now - changes[0] <= self.limit.period
        return replace(self, changes=changes, since=now if many and self.since is None else self.since)

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
        left = self.limit.changes // 2
        return self.changes[-1 - left] + self.limit.period
