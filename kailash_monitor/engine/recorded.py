"""Recorded series: what recording rules have computed, to be queried again."""

from collections.abc import Sequence
from typing import Final

from kailash_monitor.errors import MonitoringError
from kailash_monitor.promql.demand import demand
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.loaded import LoadedSeries
from kailash_monitor.promql.samples import Samples, Vector
from kailash_monitor.promql.source import Pieces, Series
from kailash_monitor.promql.tree import LabelMatcher
from kailash_monitor.rules.recording import Recording

__all__ = ["RecordedSeries", "TooMany"]

KEPT: Final = 3_600_000
"""Milliseconds for which samples are kept: longer windows over recorded series are rare, and understate."""

MOST: Final = 10_000
"""Series of one recording: more than a program's own metrics can make without a mistake."""

PIECE: Final = 500
"""Series that are looked at without a pause."""


class TooMany(MonitoringError):
    """A recording gives more series than it may have; none of them are kept."""


class RecordedSeries:
    """A source of queries. Mutable: all of it, by the loop that evaluates recordings."""

    def __init__(self) -> None:
        self._series: dict[str, dict[LabelSet, LoadedSeries]] = {}  # by place and labels

    def take(self, recording: Recording, vector: Vector, time: int) -> None:
        """Keep what a recording gave at `time`, in milliseconds since 1970; what it gives no more has ended.

        TooMany where it is past its limit, a MonitoringError where two series are the same once they have its labels.
        """
        most = recording.limit or MOST
        if len(vector) > most:
            raise TooMany(f"exceeded limit of {most} with {len(vector)} series")
        named = [(labels.changed({METRIC_NAME: recording.name, **recording.labels}), value) for labels, value in vector]
        if len({labels for labels, _ in named}) < len(named):
            raise TooMany("vector contains metrics with the same labelset after applying rule labels")
        kept = self._series.setdefault(str(recording.place), {})
        for labels, value in named:
            one = kept.get(labels)
            if one is None:
                one = kept[labels] = LoadedSeries(labels, Samples([], []))
            _append(one.samples, time, value)
        self._end(kept, {labels for labels, _ in named}, time)

    def _end(self, kept: dict[LabelSet, LoadedSeries], present: set[LabelSet], time: int) -> None:
        for labels in [labels for labels in kept if labels not in present]:
            samples = kept[labels].samples
            if samples.times and samples.times[-1] <= time - KEPT:
                del kept[labels]
            elif not samples.stale or samples.stale[-1] < samples.times[-1]:
                samples.stale = [*samples.stale, time]

    def forget(self, recording: Recording) -> None:
        """Forget all that a recording gave, which is there no more."""
        self._series.pop(str(recording.place), None)

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[Series]]:
        """Give the series that meet all demands."""
        demands = [(one.name, demand(one)) for one in matchers]
        found: list[Series] = []
        everything = [one for kept in tuple(self._series.values()) for one in kept.values()]
        for first in range(0, len(everything), PIECE):
            if first:
                yield
            for one in everything[first : first + PIECE]:
                values = one.labels.labels
                if all(meets(values.get(name, "")) for name, meets in demands):
                    found.append(one)
        return found


def _append(samples: Samples, time: int, value: float) -> None:
    times, values = samples.times, samples.values
    assert isinstance(times, list)
    assert isinstance(values, list)
    if times and times[-1] >= time:  # two evaluations within a millisecond: the later one counts
        values[-1] = value
        return
    times.append(time)
    values.append(value)
    if times[0] < time - 2 * KEPT:
        old = sum(one < time - KEPT for one in times)
        del times[:old], values[:old]
        samples.stale = [one for one in samples.stale if one >= time - KEPT]
