"""Sources: where a query finds its series."""

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeAlias, TypeVar

from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.samples import Sample, Samples
from kailash_monitor.promql.tree import LabelMatcher

__all__ = ["Exact", "Pieces", "Series", "Source"]

T = TypeVar("T")

Pieces: TypeAlias = Generator[None, None, T]
"""Work in pieces of a millisecond or so, which gives a T at its end: whoever drives it may let others run in between."""

Exact: TypeAlias = Callable[[int, int], float | None]
"""A function of a stretch of time, left-open, in milliseconds since 1970; None where it has no value there."""


class Series(Protocol):
    """A series, to be read.

    For implementers: times are milliseconds since 1970, and no answer may change while a query is evaluated.
    """

    @property
    def labels(self) -> LabelSet:
        """What tells it from the others, always the same object."""
        ...

    def at(self, time: int, lookback: int) -> Sample | None:
        """What it read last in the `lookback` before `time` (left-open); None where there is nothing, or it has ended."""
        ...

    @property
    def samples(self) -> Samples:
        """All that is known of it as samples."""
        ...

    def exact(self, function: str) -> Exact | None:
        """How to compute a range function (`increase`, `max_over_time`) better than from samples; None for no such way."""
        ...


class Source(Protocol):
    """Series by what is demanded of their labels."""

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[Series]]:
        """The series that meet all demands, in any order.

        Those without anything in the time from `start` to `end` (milliseconds since 1970, both included) may be left out.
        """
        ...
