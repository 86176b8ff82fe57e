"""Loaded samples: a source of series whose samples are all in memory."""

from collections.abc import Sequence
from typing import Final

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql.demand import Demand, demand
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.samples import Sample, Samples
from kailash_monitor.promql.source import Exact, Pieces
from kailash_monitor.promql.tree import LabelMatcher

__all__ = ["LoadedSeries", "LoadedSource"]

PIECE: Final = 1000
"""Series that are looked at without a pause: about a millisecond's work."""


class LoadedSeries:
    """A series and its samples."""

    __slots__ = ("labels", "samples")

    def __init__(self, labels: LabelSet, samples: Samples) -> None:
        self.labels = labels
        self.samples = samples

    def at(self, time: int, lookback: int) -> Sample | None:
        """What it read last in the `lookback` before `time`."""
        return self.samples.at(time, lookback)

    def exact(self, function: str) -> Exact | None:
        """Nothing is known but the samples."""
        return None

    def __repr__(self) -> str:
        return f"<{self.labels}: {self.samples!r}>"


class LoadedSource:
    """Series to be queried by PromQL, as they were loaded. Mutable, by whoever adds to it between two queries."""

    def __init__(self) -> None:
        self._series: dict[LabelSet, LoadedSeries] = {}
        self._by_label: dict[tuple[str, str], list[LoadedSeries]] = {}
        self._times: Sequence[int] = ()

    def add(self, labels: LabelSet, times: Sequence[int], values: Sequence[float], stale: Sequence[int] = ()) -> None:
        """Add a series: `values[i]` was read at `times[i]`, milliseconds since 1970, ascending; it ended at times `stale`.

        One that is there already is replaced. A ValueError where times and values are not as many.
        """
        if len(times) != len(values):
            raise ValueError(f"{labels}: {len(times)} times for {len(values)} values; each value has its time")
        if times == self._times:
            times = self._times  # one list for all series that were read together: a query looks into each list once
        self._times = times
        samples = Samples(times, values, stale)
        if labels in self._series:
            self._series[labels].samples = samples
            return
        one = self._series[labels] = LoadedSeries(labels, samples)
        for pair in labels.labels.items():
            self._by_label.setdefault(pair, []).append(one)

    def __len__(self) -> int:
        return len(self._series)

    @property
    def series(self) -> Sequence[LoadedSeries]:
        """All there are, in the order in which they were added."""
        return tuple(self._series.values())

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[LoadedSeries]]:
        """Give the series that meet all demands, whether or not they have samples from `start` to `end`."""
        equal = [one for one in matchers if one.operator is Operator.EQUAL and one.value]
        lists = [self._by_label.get((one.name, one.value), []) for one in equal]
        found: Sequence[LoadedSeries] = min(lists, key=len) if lists else self.series
        for one in matchers:
            found = yield from _meeting(found, one.name, demand(one))
        return found


def _meeting(series: Sequence[LoadedSeries], name: str, meets: Demand) -> Pieces[Sequence[LoadedSeries]]:
    answers: dict[str, bool] = {}  # many series share a value, and an expression takes its time
    found = []
    for first in range(0, len(series), PIECE):
        for one in series[first : first + PIECE]:
            value = one.labels.labels.get(name, "")
            answer = answers.get(value)
            if answer is None:
                answer = answers[value] = meets(value)
            if answer:
                found.append(one)
        yield
    return found
