"""Windows: the stretch of time that a range function looks at."""

from typing import NamedTuple

__all__ = ["RangeWindow"]


class RangeWindow(NamedTuple):
    """From `start` (not included) to `end`, seen at `now`, the time of the evaluation: milliseconds since 1970.

    `offset` and `@` have moved `start` and `end` already, never `now`.
    """

    start: int
    end: int
    now: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start) / 1000
