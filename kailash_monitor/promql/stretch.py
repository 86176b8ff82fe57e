"""Stretches of time: range functions applied to the samples of many series."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from kailash_monitor.promql.anchoring import extended, reach
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.over_time import OVER_TIME
from kailash_monitor.promql.samples import Samples, Vector
from kailash_monitor.promql.source import Exact, Pieces
from kailash_monitor.promql.tree import Anchor
from kailash_monitor.promql.window import RangeWindow

__all__ = ["Reach", "Readable", "check_unique", "has_samples", "joined", "over"]

PIECE: Final = 500
"""Series that are read without a pause: about a millisecond's work."""


class Readable(Protocol):
    """A series of which stretches of time can be read: see `source.Series`."""

    @property
    def labels(self) -> LabelSet: ...
    @property
    def samples(self) -> Samples: ...
    def exact(self, function: str) -> Exact | None: ...


class _Made:
    """A series that a subquery made."""

    __slots__ = ("labels", "samples")

    def __init__(self, labels: LabelSet) -> None:
        self.labels = labels
        self.samples = Samples([], [])

    def exact(self, function: str) -> Exact | None:
        return None


class Reach(NamedTuple):
    """How samples beyond the edges of a range count, and how many milliseconds beyond them."""

    anchor: Anchor
    lookback: int

    def within(self, samples: Samples, window: RangeWindow) -> Samples:
        """Give all that count for a window."""
        return samples.within(*reach(self.anchor, window.start, window.end, self.lookback))


def over(
    series: Sequence[Readable],
    name: str,
    window: RangeWindow,
    parameters: Sequence[float] = (),
    drop: Callable[[LabelSet], LabelSet] | None = None,
    beyond: Reach | None = None,
    count: Callable[[int], None] = lambda samples: None,
) -> Pieces[Vector]:
    """Give what the range function `name` makes of each series in `window`, with what `drop` leaves of its labels.

    `count` is told how many samples were read.
    """
    compute, start, end = OVER_TIME[name].compute, window.start, window.end
    vector: Vector = []
    known: Sequence[int] | None = None  # series that were read together share one list: it is looked into once
    times: Sequence[int] = ()
    low = high = read = 0
    for first in range(0, len(series), PIECE):
        if first:
            count(read)
            read = 0
            yield
        for one in series[first : first + PIECE]:
            exact = one.exact(name)
            if exact is not None:
                value = exact(start, end)
            elif beyond is not None:
                reached = beyond.within(one.samples, window)
                value = extended(name, beyond.anchor, reached.times, reached.values, window)
            else:
                samples = one.samples
                if samples.times is not known:
                    known = samples.times
                    low, high = bisect_right(known, start), bisect_right(known, end)
                    times = known[low:high]
                if low == high:
                    continue
                read += high - low
                value = compute(times, samples.values[low:high], window, *parameters)
            if value is not None:
                vector.append((one.labels if drop is None else drop(one.labels), value))
    count(read)
    return vector


def has_samples(series: Readable, window: RangeWindow) -> bool:
    """Whether there are any in the window."""
    times = series.samples.times
    return bisect_right(times, window.start) < bisect_right(times, window.end)


def joined(vectors: Iterable[tuple[int, Vector]]) -> Sequence[Readable]:
    """Give the series that vectors at ascending times make up. An EvaluationError where one has a label set twice."""
    series: dict[LabelSet, _Made] = {}
    for time, vector in vectors:
        for labels, value in vector:
            one = series.get(labels)
            if one is None:
                one = series[labels] = _Made(labels)
            times = one.samples.times
            if times and times[-1] == time:
                raise EvaluationError("vector cannot contain metrics with the same labelset")
            times.append(time)  # type: ignore[attr-defined]  # made above, as a list
            one.samples.values.append(value)  # type: ignore[attr-defined]
    return tuple(series.values())


def check_unique(vector: Vector) -> Pieces[None]:
    """Raise an EvaluationError where a vector has two series with the same labels."""
    met = set[LabelSet]()
    for first in range(0, len(vector), PIECE):
        if first:
            yield
        met.update([labels for labels, _ in vector[first : first + PIECE]])
    if len(met) < len(vector):
        raise EvaluationError("vector cannot contain metrics with the same labelset")
