"""Grids: the fixed times at which a rule is due, spread over its interval by a stable hash of its name."""

import math
import zlib
from dataclasses import dataclass

__all__ = ["Grid"]


@dataclass(frozen=True, slots=True)
class Grid:
    """The times `phase + n · interval`."""

    interval: float
    phase: float

    @classmethod
    def of(cls, name: str, interval: float) -> "Grid":
        """Give the grid of what is called `name`: the same in every run, so that many rules never come due all at once."""
        return cls(interval, zlib.crc32(name.encode("utf-8", "replace")) / 2**32 * interval)

    def after(self, now: float) -> float:
        """Give the first due time later than `now`."""
        steps = math.floor((now - self.phase) / self.interval) + 1
        due = self.phase + steps * self.interval
        return due if due > now else due + self.interval  # the sum can round to `now` itself

    def missed(self, due: float, now: float) -> int:
        """Give how many due times after `due` have passed by `now`."""
        return max(0, math.floor((now - due) / self.interval))
