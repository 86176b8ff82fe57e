"""Recorded series: what recording rules have computed, to be queried again."""

import threading
from collections.abc import Mapping, Sequence
from typing import Final

from kailash_monitor.promql import EvaluationError, LabelMatcher
from kailash_monitor.promql.demand import demand
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.loaded import LoadedSeries
from kailash_monitor.promql.samples import Samples, Vector
from kailash_monitor.promql.source import Pieces, Series, Source
from kailash_monitor.rules.recording import Recording
from kailash_monitor.threads import guarded

__all__ = ["RecordedSeries"]

KEPT: Final = 3_600_000
"""Milliseconds for which samples are kept at least: longer windows over recorded series are rare, and understate."""

PIECE: Final = 500
"""Series that are looked at without a pause."""


class _Kept(LoadedSeries):
    """A recorded series, and the key of the recording that it is of. Its samples are never changed, but replaced."""

    __slots__ = ("by",)

    def __init__(self, labels: LabelSet, by: str) -> None:
        super().__init__(labels, Samples((), ()))
        self.by = by


class RecordedSeries:
    """A source of queries. Mutable: all of it, by the loop that evaluates recordings; read from any thread.

    A recording has twice as many series within an hour as it may give at once: one whose labels keep changing is refused.
    """

    def __init__(self) -> None:
        self._series: dict[LabelSet, _Kept] = {}
        self._troubles: dict[str, tuple[str, str]] = {}  # names of recordings, and why there is nothing of them, by key
        self._offset: float | None = None
        self._lock = guarded(threading.Lock())  # that of a step of the wall clock

    @property
    def strictly(self) -> Source:
        """The same series; asking for those of a recording that cannot be made raises an EvaluationError."""
        return _Strictly(self, self._troubles)

    def under(self, offset: float) -> None:
        """Have the times be those of this distance, in seconds, between wall clock and timeline: a step moves no sample."""
        with self._lock:
            moved = 0 if self._offset is None else round((offset - self._offset) * 1000)
            self._offset = offset
            if not moved:
                return
            shared: dict[int, Sequence[int]] = {}
            for one in tuple(self._series.values()):
                times, values, stale = one.samples.times, one.samples.values, one.samples.stale
                later = shared.setdefault(id(times), [time + moved for time in times])
                one.samples = Samples(later, values, [time + moved for time in stale])

    def trouble(self, recording: Recording) -> str | None:
        """Give why there is nothing new of a recording; None where that is not so."""
        return self._troubles.get(recording.key, ("", None))[1]

    def failed(self, recording: Recording, why: str) -> None:
        """Take note that a recording cannot be made."""
        self._troubles[recording.key] = (recording.name, why)

    def take(self, recording: Recording, vector: Vector, time: int) -> Pieces[None]:
        """Keep what a recording's query gave at `time`, in milliseconds since 1970; what it gives no more has ended.

        An EvaluationError, and nothing is kept, where it is past a limit, or gives what another rule records.
        """
        present, by = dict((yield from recording.series(vector))), recording.key
        self._check(recording, present, by)
        yield
        longer: dict[int, Sequence[int]] = {}  # series that were read together share their list of times
        for index, (labels, value) in enumerate(present.items(), 1):
            if not index % PIECE:
                yield
            one = self._series.get(labels)
            if one is None or one.by != by:
                one = self._series[labels] = _Kept(labels, by)
            one.samples = _grown(one.samples, time, value, longer)
        for index, (labels, one) in enumerate(tuple(self._series.items()), 1):
            if not index % (4 * PIECE):
                yield
            if one.by == by and labels not in present:
                self._end(one, time)
        self._troubles.pop(by, None)

    def _check(self, recording: Recording, present: Mapping[LabelSet, float], by: str) -> None:
        fresh = 0
        for labels in present:
            one = self._series.get(labels)
            if one is None:
                fresh += 1
            elif one.by != by and not _has_ended(one.samples):
                raise EvaluationError(f"{labels} is recorded by another rule as well: {one.by}")
        own = sum([one.by == by for one in self._series.values()])
        if own + fresh > 2 * recording.most:
            raise EvaluationError(f"more than {2 * recording.most} series within an hour: record fewer labels")

    def _end(self, one: _Kept, time: int) -> None:
        samples = one.samples
        if samples.times[-1] <= time - KEPT:
            del self._series[one.labels]
        elif not _has_ended(samples):
            one.samples = Samples(samples.times, samples.values, [*samples.stale, time])

    def forget(self, recording: Recording) -> None:
        """Forget all that a recording gave, which is there no more."""
        by = recording.key
        self._troubles.pop(by, None)
        for labels, one in tuple(self._series.items()):
            if one.by == by:
                del self._series[labels]

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[Series]]:
        """Give the series that meet all demands."""
        demands = [(one.name, demand(one)) for one in matchers]
        found: list[Series] = []
        everything = tuple(self._series.values())
        for first in range(0, len(everything), PIECE):
            if first:
                yield
            for one in everything[first : first + PIECE]:
                values = one.labels.labels
                if all(meets(values.get(name, "")) for name, meets in demands):
                    found.append(one)
        return found


class _Strictly:
    """Recorded series, of which nothing is passed over in silence."""

    def __init__(self, recorded: RecordedSeries, troubles: Mapping[str, tuple[str, str]]) -> None:
        self._recorded = recorded
        self._troubles = troubles

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[Series]]:
        names = [demand(one) for one in matchers if one.name == METRIC_NAME]
        for name, why in tuple(self._troubles.values()):
            if all(meets(name) for meets in names):
                raise EvaluationError(f"the recording {name!r} cannot be made: {why}")
        return self._recorded.select(matchers, start, end)


def _has_ended(samples: Samples) -> bool:
    return bool(samples.stale) and samples.stale[-1] > samples.times[-1]


def _grown(samples: Samples, time: int, value: float, longer: dict[int, Sequence[int]]) -> Samples:
    """Give samples with one more, and without those that are too old, some at a time."""
    times, values, stale = samples.times, samples.values, samples.stale
    if times and times[-1] >= time:  # two evaluations within a millisecond: the later one counts
        return Samples(times, [*values[:-1], value], stale)
    old = sum([one < time - KEPT for one in times]) if times and times[0] < time - 2 * KEPT else 0
    more = longer.setdefault(id(times), [*times[old:], time])
    return Samples(more, [*values[old:], value], [one for one in stale if one >= more[0]] if old else stale)
