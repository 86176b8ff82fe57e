"""Live series: the metrics of a running program as PromQL sees them, under their exported names and in base units.

Nothing is scraped and nothing is sampled: what a series read at a time of the past is its present less what happened since,
which the history knows (`model.window`), so that an increase is exact from the first increment and nothing is extrapolated.
"""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Final, Generic, NamedTuple, TypeVar, cast

from kailash_monitor.errors import NoAnswer
from kailash_monitor.exposition.names import ExportedName, exported_name
from kailash_monitor.exposition.numbers import number
from kailash_monitor.model.buckets import bucket_of
from kailash_monitor.model.matcher import Operator
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.snapshot import CollectorSnapshot, Snapshot
from kailash_monitor.model.views import CounterView, DistributionView, GaugeView, MetricView, SeriesView
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow
from kailash_monitor.promql import EvaluationError, LabelMatcher
from kailash_monitor.promql.demand import Demand, demand
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.over_time import OVER_TIME
from kailash_monitor.promql.samples import Sample, Samples
from kailash_monitor.promql.source import Exact, Pieces, Series
from kailash_monitor.promql.window import RangeWindow

__all__ = ["LiveSource"]

PIECE: Final = 300
"""Series that are made without a pause: about a millisecond's work."""

MOST_SAMPLES: Final = 240
"""Samples that stand for a stretch of time where a function needs them: more take longer than a callback may."""

SLOTS_TOGETHER: Final = 2
"""Slots of the history over which a rise is evened: their ends are not evenly apart, and one may look like none or two."""

V = TypeVar("V", bound=SeriesView)


class _Frame:
    """One query's view of time: `now` and all times are milliseconds since 1970, as the registry's timeline has them.

    Where it is `even`, what rises is taken to have risen evenly in as much time as the history does not tell apart.
    """

    __slots__ = ("at", "even", "grid", "now", "offset", "step")

    def __init__(self, at: float, offset: float, step: int, *, even: bool = False) -> None:
        self.at = at
        self.even = even
        self.offset = offset
        self.now = math.ceil((at + offset) * 1000)
        self.step = step
        self.grid: Sequence[int] = ()

    def cover(self, start: int, end: int) -> None:
        """Have the times of samples reach from `start` to `end`, at multiples of the step, not too many."""
        end = min(end, self.now)
        step = self.step * max(1, math.ceil((end - start) / self.step / MOST_SAMPLES))
        self.grid = [*range(start - start % step, end, step), end]

    def seconds_since(self, time: int) -> float:
        return max(0.0, self.at + self.offset - time / 1000)

    def evened(self, start: int, end: int) -> tuple[int, int]:
        """Give a stretch of time that is long enough to be told apart, with the given one in its middle."""
        short = SLOTS_TOGETHER * _slot(self.seconds_since(end)) * 1000 - (end - start)
        if short <= 0:
            return start, end
        until = min(end + short // 2, self.now)
        return until - (end - start) - short, until


def _slot(seconds: float) -> int:
    """Give how long slots so old may be: one of 2^k seconds is at least 31 + 15 · (2^k - 2) seconds old, see the history."""
    return 1 << (max(1, int((seconds - 31) / 15 + 2)).bit_length() - 1)


class _Live(ABC, Generic[V]):
    """A live series: `view` read under a name and by a divisor, as `frame` has the time."""

    __slots__ = ("_born", "divisor", "frame", "labels", "view")

    _every: ClassVar[int] = 1
    """Of so many times of the grid it is read at one, where reading takes long."""

    def __init__(self, labels: LabelSet, view: V, divisor: float, frame: _Frame) -> None:
        self.labels = labels
        self.view = view
        self.divisor = divisor
        self.frame = frame
        self._born = (view.born + frame.offset) * 1000

    @abstractmethod
    def value_at(self, time: int) -> float | None:
        """What it read at `time`, which is not before it was born."""

    @abstractmethod
    def exact(self, function: str) -> Exact | None:
        """How to compute a range function from the history."""

    def at(self, time: int, lookback: int) -> Sample | None:
        """What it read at `time`; it reads now what it last did for `lookback` on."""
        when = min(time, self.frame.now)
        if when <= time - lookback or when < self._born:
            return None
        value = self.value_at(when)
        return None if value is None else Sample(when, value)

    @property
    def samples(self) -> Samples:
        """What it read at the times of the frame's grid."""
        times = self.frame.grid if self._every == 1 else self.frame.grid[:: -self._every][::-1]
        if times and times[0] < self._born:
            times = [time for time in times if time >= self._born]
        read = [(time, value) for time in times if (value := self.value_at(time)) is not None]
        if len(read) < len(times):
            times = [time for time, _ in read]
        return Samples(times, [value for _, value in read])

    def _sampled(self, function: str) -> Exact:
        """Compute a function from samples after all."""
        compute = OVER_TIME[function].compute

        def sampled(start: int, end: int) -> float | None:
            inside = self.samples.within(start, end)
            return compute(inside.times, inside.values, RangeWindow(start, end, end)) if inside.times else None

        return sampled


class _Rising(_Live[V]):
    """What only rises: a counter, or the count of a distribution's observations."""

    __slots__ = ()

    @abstractmethod
    def total(self) -> float: ...

    @abstractmethod
    def since(self, seconds: float) -> float:
        """How much it rose in the last so many seconds."""

    def value_at(self, time: int) -> float:
        seconds = self.frame.seconds_since(time)
        return (self.total() - self.since(seconds) if seconds else self.total()) / self.divisor

    def exact(self, function: str) -> Exact | None:
        match function:
            case "increase" | "delta":
                return self._increase
            case "rate":
                return self._rate
            case "resets":
                return self._resets
            case _:
                return None

    def _increase(self, start: int, end: int) -> float | None:
        if end < self._born or start >= self.frame.now:
            return None
        begun, ended = self.frame.evened(start, end) if self.frame.even else (start, end)
        rose = self.since(self.frame.seconds_since(begun))
        if ended < self.frame.now:
            rose -= self.since(self.frame.seconds_since(ended))
        return rose / self.divisor * ((end - start) / (ended - begun)) if self.frame.even else rose / self.divisor

    def _rate(self, start: int, end: int) -> float | None:
        rose = self._increase(start, end)
        return None if rose is None else rose * 1000 / (end - start)

    def _resets(self, start: int, end: int) -> float | None:
        return None if end < self._born else 0.0


class _Counter(_Rising[CounterView]):
    __slots__ = ()

    def total(self) -> float:
        return self.view.total

    def since(self, seconds: float) -> float:
        return cast("CounterWindow", self.view.window(seconds, self.frame.at)).increase


class _Count(_Rising[DistributionView]):
    __slots__ = ()

    def total(self) -> float:
        return float(sum(self.view.totals().counts))

    def since(self, seconds: float) -> float:
        return float(cast("DistributionWindow", self.view.window(seconds, self.frame.at)).count)


class _Sum(_Rising[DistributionView]):
    __slots__ = ()

    def total(self) -> float:
        return self.view.totals().sum

    def since(self, seconds: float) -> float:
        return cast("DistributionWindow", self.view.window(seconds, self.frame.at)).sum


class _Windows:
    """The windows of one distribution, which all its buckets ask for."""

    __slots__ = ("_at", "_known", "_view")

    def __init__(self, view: DistributionView, at: float) -> None:
        self._view = view
        self._at = at
        self._known: dict[float, Sequence[tuple[int, int]]] = {}

    def counts(self, seconds: float) -> Sequence[tuple[int, int]]:
        """Give what was observed in the last so many seconds: exponential buckets and how many, ascending."""
        if seconds not in self._known:
            window = cast("DistributionWindow", self._view.window(seconds, self._at))
            self._known[seconds] = sorted(window.buckets.items())
        return self._known[seconds]


class _Bucket(_Rising[DistributionView]):
    """A classic bucket: its total is exact, what was added lately is known by exponential buckets, to 4.4 % of the bound."""

    __slots__ = ("_index", "_last", "_limit", "_windows")

    _every = 4

    def __init__(
        self, labels: LabelSet, view: DistributionView, frame: _Frame, index: int, bound: float, windows: _Windows
    ) -> None:
        super().__init__(labels, view, 1.0, frame)
        self._index = index
        self._limit = math.inf if math.isinf(bound) else bucket_of(bound)
        self._windows = windows

    def total(self) -> float:
        return float(sum(self.view.totals().counts[: self._index + 1]))

    def since(self, seconds: float) -> float:
        limit = self._limit
        return float(sum([count for bucket, count in self._windows.counts(seconds) if bucket <= limit]))


class _Gauge(_Live[GaugeView]):
    __slots__ = ()

    def value_at(self, time: int) -> float | None:
        seconds = self.frame.seconds_since(time)
        value = self._window(seconds).first if seconds else self.view.value
        return None if value is None else value / self.divisor

    def _window(self, seconds: float) -> GaugeWindow:
        return cast("GaugeWindow", self.view.window(seconds, self.frame.at))

    def _extreme(self, function: str, start: int, end: int) -> float | None:
        """Give the extreme of a stretch that has ended where it is none of what came after; None where that is not known."""
        beyond, read = _EXTREMES.get(function), _OF_GAUGE[function]
        if beyond is None:
            return None
        whole = read(self._window(self.frame.seconds_since(start)))
        since = read(self._window(self.frame.seconds_since(end)))
        return whole / self.divisor if whole is not None and since is not None and beyond(whole, since) else None

    def exact(self, function: str) -> Exact | None:
        read = _OF_GAUGE.get(function)
        if read is None:
            return None

        def exact(start: int, end: int) -> float | None:
            if end < self.frame.now:
                extreme = self._extreme(function, start, end)
                return self._sampled(function)(start, end) if extreme is None else extreme
            value = read(self._window(self.frame.seconds_since(start)))
            return None if value is None else value / self.divisor

        return exact


_EXTREMES: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "max_over_time": operator.gt,
    "min_over_time": operator.lt,
}

_OF_GAUGE: Final[Mapping[str, Callable[[GaugeWindow], float | None]]] = {
    "avg_over_time": lambda window: window.average,
    "delta": lambda window: window.change,
    "max_over_time": lambda window: window.max,
    "min_over_time": lambda window: window.min,
}


class _Up:
    """Whether a collector's numbers are of now: 1 or 0."""

    __slots__ = ("_frame", "_value", "labels")

    def __init__(self, collector: str, value: float, frame: _Frame) -> None:
        self.labels = LabelSet({METRIC_NAME: "up", "job": collector})
        self._value = value
        self._frame = frame

    def at(self, time: int, lookback: int) -> Sample | None:
        when = min(time, self._frame.now)
        return Sample(when, self._value) if when > time - lookback else None

    @property
    def samples(self) -> Samples:
        return Samples(self._frame.grid, [self._value] * len(self._frame.grid))

    def exact(self, function: str) -> Exact | None:
        return None


class _Part(NamedTuple):
    """One name under which a metric is exported, and how its series are made."""

    name: str
    series: Callable[[SeriesView], Iterator[Series]]


class LiveSource:
    """The series of a snapshot. `troubled` are the collectors whose sources give no numbers: their series are not there, and
    `up` of them is 0. So it is with metrics whose callback gives none. Where the source is `strict`, asking for these raises
    an EvaluationError instead: a rule must not take what is unknown for what is well.

    `step` is how far apart, in milliseconds, the samples are that functions without a way of their own get to see. An `even`
    source is for charts: the history of hours ago is coarse, and what rose in a slot of it would be seen at its end alone.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        troubled: Mapping[str, str] | None = None,
        strict: bool = False,
        step: int = 15_000,
        even: bool = False,
    ) -> None:
        self._snapshot = snapshot
        self._troubled = troubled or {}
        self._strict = strict
        self._step = step
        self._even = even
        self.now: Final = _Frame(snapshot.at, snapshot.wall_offset, step).now
        """When that is, in milliseconds since 1970."""

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[Series]]:
        """Give the series that meet all demands."""
        frame = _Frame(self._snapshot.at, self._snapshot.wall_offset, self._step, even=self._even)
        frame.cover(start, end)
        wanted = [demand(one) for one in matchers if one.name == METRIC_NAME]
        others = [(one.name, demand(one)) for one in matchers if one.name != METRIC_NAME]
        equal = {
            one.name: one.value for one in matchers if one.operator is Operator.EQUAL and one.name not in (METRIC_NAME, "le")
        }
        found: list[Series] = []
        if all(meets("up") for meets in wanted):
            ups = [_Up(one.name, float(one.name not in self._troubled), frame) for one in self._snapshot.collectors]
            found += [one for one in ups if _meets(one.labels, others)]
        for collector in self._snapshot.collectors:
            yield from self._of_collector(collector, wanted, equal, others, frame, found)
        return found

    def _of_collector(
        self,
        collector: CollectorSnapshot,
        wanted: Sequence[Demand],
        equal: Mapping[str, str],
        others: Sequence[tuple[str, Demand]],
        frame: _Frame,
        found: list[Series],
    ) -> Pieces[None]:
        for metric in collector.metrics:
            exported = exported_name(self._snapshot.namespace, collector.name, metric.metadata)
            parts = [one for one in _parts(metric, exported, frame) if all(meets(one.name) for meets in wanted)]
            if not parts or not self._speaks(collector.name, metric, frame):
                continue
            made = 0
            for view in metric.select(equal) if equal else metric.series:
                for part in parts:
                    series = tuple(part.series(view))
                    found += [one for one in series if _meets(one.labels, others)]
                    made += len(series)
                if made >= PIECE:
                    made = 0
                    yield
            yield

    def _speaks(self, collector: str, metric: MetricView, frame: _Frame) -> bool:
        """Whether a metric has numbers of now. An EvaluationError where it has none and the source is strict."""
        why = self._troubled.get(collector)
        if why is None:
            try:
                for view in metric.series[:1]:  # a callback has one series, and is asked when it is read
                    view.window(0.0, frame.at)
            except NoAnswer as error:
                why = str(error)
        if why is not None and self._strict:
            raise EvaluationError(f"the metric {metric.metadata.name!r} of {collector!r} gives no numbers: {why}")
        return why is None


def _meets(labels: LabelSet, demands: Sequence[tuple[str, Demand]]) -> bool:
    values = labels.labels
    return all(meets(values.get(name, "")) for name, meets in demands)


def _parts(metric: MetricView, exported: ExportedName, frame: _Frame) -> list[_Part]:
    name, divisor = exported.name, exported.divisor
    match metric.metadata.type:
        case MetricType.COUNTER:
            return [
                _Part(name, lambda view: iter((_Counter(_labels(name, view), cast("CounterView", view), divisor, frame),)))
            ]
        case MetricType.GAUGE:
            return [_Part(name, lambda view: iter((_Gauge(_labels(name, view), cast("GaugeView", view), divisor, frame),)))]
        case MetricType.HISTOGRAM | MetricType.TIMER:
            return _parts_of_distribution(metric, name, divisor, frame)


def _parts_of_distribution(metric: MetricView, name: str, divisor: float, frame: _Frame) -> list[_Part]:
    bounds = (*metric.bounds, math.inf)
    edges = [number(bound / divisor) for bound in bounds]

    def buckets(view: SeriesView) -> Iterator[Series]:
        windows = _Windows(cast("DistributionView", view), frame.at)
        for index, (bound, edge) in enumerate(zip(bounds, edges, strict=True)):
            labels = LabelSet({METRIC_NAME: f"{name}_bucket", **view.labels, "le": edge})
            yield _Bucket(labels, cast("DistributionView", view), frame, index, bound, windows)

    def counts(view: SeriesView) -> Iterator[Series]:
        yield _Count(_labels(f"{name}_count", view), cast("DistributionView", view), 1.0, frame)

    def sums(view: SeriesView) -> Iterator[Series]:
        yield _Sum(_labels(f"{name}_sum", view), cast("DistributionView", view), divisor, frame)

    return [_Part(f"{name}_bucket", buckets), _Part(f"{name}_count", counts), _Part(f"{name}_sum", sums)]


def _labels(name: str, view: SeriesView) -> LabelSet:
    return LabelSet({METRIC_NAME: name, **view.labels})
