"""Joined sources: several sources of series as one."""

from collections.abc import Sequence

from kailash_monitor.promql.source import Pieces, Series, Source
from kailash_monitor.promql.tree import LabelMatcher

__all__ = ["JoinedSource"]


class JoinedSource:
    """Has the series of all its sources, which must not have any in common."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[Series]]:
        """Give those of each source that meet all demands."""
        found: list[Series] = []
        for source in self._sources:
            found += yield from source.select(matchers, start, end)
        return found
