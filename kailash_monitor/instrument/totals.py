"""Totals: counters that somebody else keeps, from a beginning that is not ours."""

from collections.abc import Hashable

__all__ = ["Totals"]


class Totals:
    """Turns running totals into increases.

    The first sight of a total is its beginning, and so is one that fell: the device was replaced, or its counter wrapped.
    """

    def __init__(self) -> None:
        self._last: dict[Hashable, float] = {}

    def rise(self, key: Hashable, total: float) -> float:
        """Give by how much the total of `key` rose since it was last seen; never negative."""
        before = self._last.get(key, total)
        self._last[key] = total
        return max(0.0, total - before)
