"""The evaluation of a tree: what each of its nodes gives at a time."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, TypeAlias

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql.aggregation import aggregate
from kailash_monitor.promql.anchoring import demand_anchor, reach, smoothed_at
from kailash_monitor.promql.annotations import Annotations
from kailash_monitor.promql.binary import scalar_scalar, vector_scalar, vector_vector
from kailash_monitor.promql.calls import CALLS, unwrapped
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.information import info_demands
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.operators import OPERATORS, Purpose
from kailash_monitor.promql.over_time import OVER_TIME
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.promql.reading import Reading, Span, constants, readings
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces, Series, Source
from kailash_monitor.promql.stretch import Reach, Readable, check_unique, has_samples, joined, over
from kailash_monitor.promql.tree import (
    Aggregation,
    Anchor,
    Binary,
    Call,
    Expression,
    Number,
    Paren,
    RangeSelector,
    Selector,
    String,
    Subquery,
    Unary,
    children,
)
from kailash_monitor.promql.window import RangeWindow

__all__ = ["Evaluation", "Settings", "Value"]

PIECE: Final = 500
"""Series that are evaluated without a pause: about a millisecond's work."""

COUNTER_SUFFIXES: Final = ("_total", "_sum", "_count", "_bucket")

Value: TypeAlias = float | str | Vector
"""What an expression gives at one time."""

Evaluated: TypeAlias = Generator[None, None, Any]  # Any: the static types of the tree say which kind of value it is


@dataclass(frozen=True, slots=True)
class Settings:
    """How queries are evaluated. Times are in milliseconds.

    A sample stands for its series for `lookback`; a subquery that names no step has `subquery_step`. With
    `delayed_name_removal` metric names are dropped from the results alone, and until then functions can use them (an
    experimental switch of Prometheus). A query that reads or makes more than `max_samples` ends with an error.
    """

    lookback: int = 300_000
    subquery_step: int = 60_000
    delayed_name_removal: bool = False
    max_samples: int = 50_000_000


class Evaluation:
    """One query over one source: `prepare` it, then ask for the `value` of its nodes at one time after the other.

    Mutable, by who drives it: what was found, and what is kept from one step for the next.
    """

    def __init__(
        self, tree: Expression, text: str, source: Source, span: Span, settings: Settings, notes: Annotations
    ) -> None:
        self._tree = tree
        self._source = source
        self.span = span
        self._settings = settings
        self.notes = notes
        self._readings = readings(tree, text, span, default_step=settings.subquery_step)
        self._found: dict[int, Sequence[Series]] = {}
        self._unambiguous: set[int] = set()  # those whose series have one name: without it they still differ
        self._constants = constants(tree) if span.step else frozenset[int]()
        self._kept: dict[int, Value] = {}
        self._inner: dict[int, dict[int, Vector]] = {}
        self._read = 0
        self.drop: Final[Callable[[LabelSet], LabelSet]] = attrgetter(
            "dropping" if settings.delayed_name_removal else "nameless"
        )
        self._by_kind: Final[dict[type, Callable[[Any, int], Evaluated]]] = {  # Any: each takes its own kind of node
            Number: self._literal,
            String: self._literal,
            Paren: self._paren,
            Unary: self._unary,
            Selector: self._selector,
            Call: self._call,
            Aggregation: self._aggregation,
            Binary: self._binary,
        }

    # what is read

    def prepare(self) -> Pieces[None]:
        """Find the series of all selectors."""
        yield from self._prepare(self._tree, self.span.start, self.span.end)

    def _prepare(self, node: Expression, first: int, last: int) -> Pieces[None]:
        """Find the series of the selectors in `node`, which is evaluated at times from `first` to `last`."""
        match node:
            case Selector():
                reading = self._readings[id(node)]
                start, end = self._reach(node, reading.end(first), reading.end(last))
                yield from self._find(node, min(start, reading.end(first) - self._settings.lookback), end)
            case RangeSelector(selector=selector):
                reading = self._readings[id(node)]
                yield from self._find(
                    selector, *self._reach(selector, reading.end(first) - reading.window, reading.end(last))
                )
            case Subquery(expression=inner):
                reading = self._readings[id(node)]
                yield from self._prepare(inner, reading.end(first) - reading.window, reading.end(last))
            case Call(name="info", arguments=(vector, *_)):
                yield from self._prepare(vector, first, last)
                start = first - self._settings.lookback
                self._found[id(node)] = yield from self._source.select(info_demands(node), start, last)
            case _:
                for child in children(node):
                    yield from self._prepare(child, first, last)

    def _reach(self, selector: Selector, start: int, end: int) -> tuple[int, int]:
        """From when to when samples are wanted of a selector that reads from `start` to `end`."""
        return (start, end) if selector.anchor is None else reach(selector.anchor, start, end, self._settings.lookback)

    def _find(self, selector: Selector, start: int, end: int) -> Pieces[None]:
        demands = selector.demands()
        self._found[id(selector)] = yield from self._source.select(demands, start, end)
        if any(one.name == METRIC_NAME and one.operator is Operator.EQUAL for one in demands):
            self._unambiguous.add(id(selector))

    def series_of(self, selector: Selector) -> Sequence[Series]:
        """Give the series that a selector of the tree has found."""
        return self._found[id(selector)]

    def information(self, node: Call) -> Sequence[Series]:
        """Give the series of the info metrics that a call of `info` asks for."""
        return self._found[id(node)]

    def lookback(self) -> int:
        """Give for how long a sample stands for its series, in milliseconds."""
        return self._settings.lookback

    def reading_of(self, node: Expression) -> Reading:
        """Give what a selector of the tree reads."""
        return self._readings[id(node)]

    # what nodes give

    def value(self, node: Expression, time: int) -> Evaluated:
        """Give what `node` evaluates to at `time`; nobody may change it."""
        if id(node) not in self._constants:
            return self._by_kind[type(node)](node, time)
        return self._once(node, time)

    def _once(self, node: Expression, time: int) -> Evaluated:
        if id(node) not in self._kept:
            self._kept[id(node)] = yield from self._by_kind[type(node)](node, time)
        return self._kept[id(node)]

    def _literal(self, node: Number | String, time: int) -> Evaluated:
        yield from ()  # a generator as its siblings are
        return node.value

    def _paren(self, node: Paren, time: int) -> Evaluated:
        return self.value(node.expression, time)

    def _unary(self, node: Unary, time: int) -> Evaluated:
        value = yield from self.value(node.expression, time)
        if node.operator == "+":
            return value
        if not isinstance(value, list):
            return -value
        return (yield from self.dropped([(labels, -one) for labels, one in value]))

    def _selector(self, node: Selector, time: int) -> Evaluated:
        series, when, lookback = self._found[id(node)], self._readings[id(node)].end(time), self._settings.lookback
        if node.anchor is Anchor.SMOOTHED:
            return (yield from self._smoothed(node, when))
        vector: Vector = []
        for first in range(0, len(series), PIECE):
            if first:
                yield
            vector += [
                (one.labels, sample.value)
                for one in series[first : first + PIECE]
                if (sample := one.at(when, lookback)) is not None
            ]
        self.count(len(vector))
        return vector

    def _smoothed(self, node: Selector, time: int) -> Pieces[Vector]:
        vector: Vector = []
        for index, one in enumerate(self._found[id(node)], 1):
            if not index % PIECE:
                yield
            samples = one.samples.within(*self._reach(node, time, time))
            self.count(len(samples.times))
            value = smoothed_at(samples.times, samples.values, time)
            if value is not None:
                vector.append((one.labels, value))
        return vector

    def _aggregation(self, node: Aggregation, time: int) -> Evaluated:
        parameter = None if node.parameter is None else (yield from self.value(node.parameter, time))
        vector = yield from self.value(node.expression, time)
        return (yield from aggregate(node, vector, parameter, self.notes, self.drop))

    def _binary(self, node: Binary, time: int) -> Evaluated:
        left = yield from self.value(node.left, time)
        right = yield from self.value(node.right, time)
        match isinstance(left, list), isinstance(right, list):
            case False, False:
                return scalar_scalar(node, left, right)
            case True, True:
                return (yield from vector_vector(node, left, right, self.drop))
            case in_left, _:
                vector, scalar = (left, right) if in_left else (right, left)
                result = yield from vector_scalar(node, vector, scalar, self.drop, scalar_left=not in_left)
                filters = OPERATORS[node.operator].purpose is Purpose.COMPARISON and not node.returns_bool
                return result if filters else (yield from self.unique(result))

    def _call(self, node: Call, time: int) -> Evaluated:
        if node.name in OVER_TIME:
            return self._over_time(node, time)
        return CALLS[node.name](self, node, time)

    # functions of a stretch of time

    def _over_time(self, node: Call, time: int) -> Evaluated:
        parameters, place = list[float](), 0
        for index, argument in enumerate(node.arguments):
            if isinstance(unwrapped(argument), RangeSelector | Subquery):
                place = index
            else:
                parameters.append((yield from self.value(argument, time)))
        if node.name == "quantile_over_time":
            self.notes.check_quantile(parameters[0], node.arguments[0])
        argument = node.arguments[place]
        beyond = self.beyond(argument)
        if beyond is not None:
            demand_anchor(node.name, beyond.anchor)
        series, window = yield from self.stretch(argument, time)
        keeps_name = OVER_TIME[node.name].keeps_name
        found = yield from over(series, node.name, window, parameters, None if keeps_name else self.drop, beyond, self.count)
        if node.name in ("rate", "increase"):
            yield from self._doubt(series, window, argument)
        return found if keeps_name or self._one_name(argument) else (yield from self.unique(found))

    def beyond(self, argument: Expression) -> Reach | None:
        """How samples beyond the edges of a range count; None where they do not."""
        node = unwrapped(argument)
        if not isinstance(node, RangeSelector) or node.selector.anchor is None:
            return None
        return Reach(node.selector.anchor, self._settings.lookback)

    def _one_name(self, argument: Expression) -> bool:
        """Whether all series of a range selector have the same name: without it they still differ."""
        node = unwrapped(argument)
        return isinstance(node, RangeSelector) and id(node.selector) in self._unambiguous

    def stretch(self, argument: Expression, time: int) -> Pieces[tuple[Sequence[Readable], RangeWindow]]:
        """Give the series of a range selector or subquery, and the stretch of time to be read of each."""
        node = unwrapped(argument)
        reading = self._readings[id(node)]
        end = reading.end(time)
        window = RangeWindow(end - reading.window, end, time)
        if isinstance(node, Subquery):
            return (yield from self._of_subquery(node, reading, window)), window
        assert isinstance(node, RangeSelector)  # `check` has seen to it
        return self._found[id(node.selector)], window

    def _of_subquery(self, node: Subquery, reading: Reading, window: RangeWindow) -> Pieces[Sequence[Readable]]:
        """Evaluate what is within a subquery at each of its times; what an earlier step of the query evaluated is kept."""
        step = reading.step
        kept, vectors = self._inner.get(id(node), {}), dict[int, Vector]()
        for time in range(window.start - window.start % step + step, window.end + 1, step):
            self.count(1)  # a step is work, also where it gives nothing
            vectors[time] = kept[time] if time in kept else (yield from self.value(node.expression, time))
            yield
        self._inner[id(node)] = vectors
        return joined(vectors.items())

    def _doubt(self, series: Sequence[Readable], window: RangeWindow, argument: Expression) -> Pieces[None]:
        """Say of each metric that was read as a counter, and is none by its name, that it may not be one."""
        doubtful: dict[str, Readable] = {}
        for first in range(0, len(series), PIECE):
            if first:
                yield
            names = {one.labels.name: one for one in series[first : first + PIECE]}
            doubtful |= {name: one for name, one in names.items() if name and not name.endswith(COUNTER_SUFFIXES)}
        for name, one in doubtful.items():
            if has_samples(one, window):
                message = f"metric might not be a counter, name does not end in {'/'.join(COUNTER_SUFFIXES)}"
                self.notes.inform(f"{message}: {quoted(name)}", argument)

    # label sets

    def dropped(self, vector: Vector) -> Pieces[Vector]:
        """Give a vector without the names of its metrics. An EvaluationError where two series are the same without."""
        drop, result = self.drop, list[tuple[LabelSet, float]]()
        for first in range(0, len(vector), PIECE):
            if first:
                yield
            result += [(drop(labels), value) for labels, value in vector[first : first + PIECE]]
        return (yield from self.unique(result))

    def unique(self, vector: Vector) -> Pieces[Vector]:
        """Give the vector itself. An EvaluationError where it has two series with the same labels."""
        if not self._settings.delayed_name_removal:
            yield from check_unique(vector)
        return vector

    def count(self, samples: int) -> None:
        """Take note of samples that were read. An EvaluationError where they are too many."""
        self._read += samples
        if self._read > self._settings.max_samples:
            raise EvaluationError("query processing would load too many samples into memory in query execution")
