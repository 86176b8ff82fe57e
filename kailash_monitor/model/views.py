"""Views: how metrics are read by rules, pages and queries, wherever they are kept.

Live collectors are one implementation; samples that were loaded, or are taken at an interval, can be others: they answer
`window` from what they have and say in `covers_since` how far that reaches.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from kailash_monitor.model.buckets import Packed
from kailash_monitor.model.exemplar import Exemplar
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.metric import Metadata
from kailash_monitor.model.window import Window

__all__ = ["CounterView", "DistributionView", "GaugeView", "MetricView", "Point", "SeriesView", "Totals", "settled"]

T = TypeVar("T")

TRIES: Final = 3


class Point(NamedTuple):
    """What a series read at one time of its recent past; `at` is on the registry's timeline."""

    at: float
    value: float


class Totals(NamedTuple):
    """All that a distribution ever observed: `counts` between the metric's bounds, the last one above them all."""

    counts: Sequence[int]
    sum: float


class SeriesView(Protocol):
    """One series, to be read.

    For implementers: every answer is consistent in itself (count, sum and buckets agree), whoever records meanwhile.
    """

    @property
    def labels(self) -> Labels:
        """What tells this series from the others of its metric."""
        ...

    @property
    def born(self) -> float:
        """Since when it is counted, on the registry's timeline."""
        ...

    def window(self, seconds: float, now: float) -> Window:
        """What happened in the `seconds` before `now`."""
        ...

    def points(self) -> Sequence[Point]:
        """The recent past, oldest first: totals of a counter, values of a gauge, averages of a distribution's slots."""
        ...


class CounterView(SeriesView, Protocol):
    """A counter's series."""

    @property
    def total(self) -> float:
        """All that was ever counted."""
        ...

    @property
    def exemplar(self) -> Exemplar | None:
        """An increment that stands for the others."""
        ...


class GaugeView(SeriesView, Protocol):
    """A gauge's series."""

    @property
    def value(self) -> float | None:
        """What it was last set to; None where there is nothing to say."""
        ...


class DistributionView(SeriesView, Protocol):
    """A histogram's or timer's series."""

    @property
    def latest(self) -> float | None:
        """The last observation; None where there was none."""
        ...

    def totals(self) -> Totals:
        """All that was ever observed, by the metric's bounds."""
        ...

    def exponential(self) -> tuple[Totals, Packed]:
        """The same, and at the same moment by exponential buckets."""
        ...

    @property
    def exemplars(self) -> Mapping[int, Exemplar]:
        """Observations that stand for the others, by the index of their bound."""
        ...


class MetricView(Protocol):
    """A metric, to be read: its definition and its series.

    For implementers: `select` and `groups` must not visit the series that do not match, however many there are.
    """

    @property
    def metadata(self) -> Metadata:
        """What the numbers mean."""
        ...

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """The labels that every series has; None where they may have any."""
        ...

    @property
    def bounds(self) -> Sequence[float]:
        """The upper bounds of a distribution's classic buckets, without the infinite one."""
        ...

    @property
    def epoch(self) -> int:
        """Counts the removed series that came back and began anew: see `settled`."""
        ...

    @property
    def series(self) -> Sequence[SeriesView]:
        """Every series there is."""
        ...

    def latest(self) -> float | None:
        """The metric as a whole: total of a counter, value set last of a gauge, last observation of a distribution."""
        ...

    def select(self, match: Mapping[str, str]) -> Sequence[SeriesView]:
        """The series that have all labels of `match` with those values; an absent label has the empty value."""
        ...

    def prepare(self, match: Mapping[str, str], by: tuple[str, ...]) -> bool:
        """Do a piece of the work that `groups` has with a question it has not heard; whether there is more of it.

        For implementers: some milliseconds at most. Whoever cannot do it in pieces answers False.
        """
        ...

    def groups(self, match: Mapping[str, str], by: tuple[str, ...]) -> Mapping[Labels, Sequence[SeriesView]]:
        """The same, by their values of the labels `by`; without match and by, also what was counted by removed series."""
        ...

    def empty_window(self, seconds: float, now: float, told_apart_by: Sequence[str] = ()) -> Window:
        """What a label set that nobody has recorded did in the `seconds` before `now`.

        It is partial where reads that tell series apart by these labels miss some.
        """
        ...

    def removed_since(self, match: Mapping[str, str], since: float) -> bool:
        """Whether a series with all labels of `match` was taken away on purpose, at `since` or later.

        For implementers: False where it went by itself, was never there, or is not known any more: whoever missed it then
        goes on missing it.
        """
        ...


def settled(read: Callable[[], T], *metrics: MetricView) -> T:
    """Give the answer of `read`, made again where a series of `metrics` that it may have held began anew meanwhile.

    Three times at most: whoever has series come back faster than they can be read gets the last answer.
    """
    for _ in range(TRIES - 1):
        epochs = [metric.epoch for metric in metrics]
        answer = read()
        if epochs == [metric.epoch for metric in metrics]:
            return answer
    return read()
