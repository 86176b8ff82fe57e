"""Calls: the functions that take vectors, scalars and texts as they are at one time."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql.annotations import Annotations
from kailash_monitor.promql.classic import histogram_fraction, histogram_quantile, histogram_quantiles
from kailash_monitor.promql.elementwise import ELEMENTWISE, larger, smaller
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.information import InfoSample, info
from kailash_monitor.promql.labelset import METRIC_NAME, NO_LABEL_SET, LabelSet
from kailash_monitor.promql.ordering import sort, sort_by_label, sort_by_label_desc, sort_desc
from kailash_monitor.promql.reading import Reading, Span
from kailash_monitor.promql.relabelling import label_join, label_replace
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces, Series
from kailash_monitor.promql.stretch import Readable, over
from kailash_monitor.promql.tree import Call, Expression, Paren, RangeSelector, Selector
from kailash_monitor.promql.window import RangeWindow

__all__ = ["CALLS", "Evaluator", "unwrapped"]

PIECE: Final = 2000
"""Elements that are computed without a pause: about a millisecond's work."""

NATIVE: Final = ("histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar")
"""Functions that mean something only for native histograms."""

Evaluated: TypeAlias = Generator[None, None, Any]  # Any: the static types of the tree say which kind of value it is


class Evaluator(Protocol):
    """What functions ask of the evaluation that calls them: see `evaluation.Evaluation`."""

    @property
    def span(self) -> Span: ...
    @property
    def notes(self) -> Annotations: ...
    @property
    def drop(self) -> Callable[[LabelSet], LabelSet]: ...
    def value(self, node: Expression, time: int) -> Evaluated: ...
    def series_of(self, selector: Selector) -> Sequence[Series]: ...
    def information(self, node: Call) -> Sequence[Series]: ...
    def reading_of(self, node: Expression) -> Reading: ...
    def lookback(self) -> int: ...
    def stretch(self, argument: Expression, time: int) -> Pieces[tuple[Sequence[Readable], RangeWindow]]: ...
    def dropped(self, vector: Vector) -> Pieces[Vector]: ...
    def unique(self, vector: Vector) -> Pieces[Vector]: ...


Function: TypeAlias = Callable[[Evaluator, Call, int], Evaluated]


def unwrapped(node: Expression) -> Expression:
    """Give what stands within parentheses."""
    while isinstance(node, Paren):
        node = node.expression
    return node


def _arguments(evaluator: Evaluator, node: Call, time: int) -> Pieces[list[Any]]:  # Any: see Evaluated
    values = []
    for argument in node.arguments:
        values.append((yield from evaluator.value(argument, time)))  # noqa: PERF401  # no comprehension may yield
    return values


# scalars


def _constant(compute: Callable[[Span, int], float]) -> Function:
    def function(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
        yield from ()  # a generator as its siblings are
        return compute(evaluator.span, time)

    return function


def _of_two(choose: Callable[[float, float], float]) -> Function:
    def function(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
        left, right = yield from _arguments(evaluator, node, time)
        return choose(left, right)

    return function


def _scalar(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    (vector,) = yield from _arguments(evaluator, node, time)
    return vector[0][1] if len(vector) == 1 else float("nan")


def _vector(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    (value,) = yield from _arguments(evaluator, node, time)
    return [(NO_LABEL_SET, value)]


# one value each


def _elementwise(name: str) -> Function:
    compute: Final = ELEMENTWISE[name]

    def function(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
        if not node.arguments:
            return [(NO_LABEL_SET, value)] if (value := compute(time / 1000)) is not None else []
        vector, *scalars = yield from _arguments(evaluator, node, time)
        result: Vector = []
        for first in range(0, len(vector), PIECE):
            if first:
                yield
            result += [
                (labels, value)
                for labels, one in vector[first : first + PIECE]
                if (value := compute(one, *scalars)) is not None
            ]
        return (yield from evaluator.dropped(result))

    return function


def _timestamp(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    selector = unwrapped(node.arguments[0])
    if not isinstance(selector, Selector):
        vector = yield from evaluator.value(selector, time)
        return (yield from evaluator.dropped([(labels, time / 1000) for labels, _ in vector]))
    when, lookback = evaluator.reading_of(selector).end(time), evaluator.lookback()
    result: Vector = []
    for index, one in enumerate(evaluator.series_of(selector), 1):
        if not index % PIECE:
            yield
        sample = one.at(when, lookback)
        if sample is not None:
            result.append((one.labels, sample.time / 1000))
    return (yield from evaluator.dropped(result))


# nothing there


def _absent(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    (vector,) = yield from _arguments(evaluator, node, time)
    return [] if vector else [(_labels_of_nothing(node.arguments[0]), 1.0)]


def _absent_over_time(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    series, window = yield from evaluator.stretch(node.arguments[0], time)
    present = yield from over(series, "present_over_time", window)
    return [] if present else [(_labels_of_nothing(node.arguments[0]), 1.0)]


def _labels_of_nothing(argument: Expression) -> LabelSet:
    """Give the labels that series must have had to be found: those demanded by one `=`, and by nothing after it."""
    node = unwrapped(argument)
    selector = node.selector if isinstance(node, RangeSelector) else node
    if not isinstance(selector, Selector):
        return NO_LABEL_SET
    demanded: dict[str, str] = {}
    for matcher in selector.matchers:
        if matcher.name != METRIC_NAME:
            first = matcher.operator is Operator.EQUAL and matcher.name not in demanded
            if first or matcher.name in demanded:  # what stands before the `=` counts as little as in Prometheus
                demanded[matcher.name] = matcher.value if first else ""
    return LabelSet(demanded)


# labels and order


def _label_replace(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    arguments = yield from _arguments(evaluator, node, time)
    return (yield from evaluator.unique((yield from label_replace(*arguments))))


def _label_join(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    vector, destination, separator, *sources = yield from _arguments(evaluator, node, time)
    return (yield from evaluator.unique((yield from label_join(vector, destination, separator, sources))))


def _ordered(order: Callable[..., Pieces[Vector]]) -> Function:
    def function(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
        vector, *names = yield from _arguments(evaluator, node, time)
        if evaluator.span.step:
            evaluator.notes.warn("sort is ineffective for range queries since results are always ordered by labels", node)
        return (yield from order(vector, *names))

    return function


def _info(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    vector = yield from evaluator.value(node.arguments[0], time)
    lookback = evaluator.lookback()
    samples: list[InfoSample] = []
    for index, one in enumerate(evaluator.information(node), 1):
        if not index % PIECE:
            yield
        sample = one.at(time, lookback)
        if sample is not None:
            samples.append(InfoSample(one.labels, sample.time))
    return (yield from info(node, vector, samples))


# histograms


def _histogram_quantile(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    quantile, vector = yield from _arguments(evaluator, node, time)
    found = yield from histogram_quantile(quantile, vector, node, evaluator.notes, evaluator.drop, time)
    return (yield from evaluator.unique(found))


def _histogram_fraction(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    lower, upper, vector = yield from _arguments(evaluator, node, time)
    found = yield from histogram_fraction(lower, upper, vector, node, evaluator.notes, evaluator.drop)
    return (yield from evaluator.unique(found))


def _histogram_quantiles(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    vector, label, *quantiles = yield from _arguments(evaluator, node, time)
    found = yield from histogram_quantiles(vector, label, quantiles, node, evaluator.notes, evaluator.drop, time)
    return (yield from evaluator.unique(found))


def _native_only(evaluator: Evaluator, node: Call, time: int) -> Evaluated:
    needed = "it needs native histograms, and there are only classic ones here"
    raise EvaluationError(f"{node.name}() is not supported: {needed}")


CALLS: Final[Mapping[str, Function]] = {
    **{name: _elementwise(name) for name in ELEMENTWISE},
    **dict.fromkeys(NATIVE, _native_only),
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "end": _constant(lambda span, _: span.end / 1000),
    "histogram_fraction": _histogram_fraction,
    "histogram_quantile": _histogram_quantile,
    "histogram_quantiles": _histogram_quantiles,
    "info": _info,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "max_of": _of_two(larger),
    "min_of": _of_two(smaller),
    "pi": _constant(lambda span, time: math.pi),
    "range": _constant(lambda span, _: (span.end - span.start) / 1000),
    "scalar": _scalar,
    "sort": _ordered(sort),
    "sort_by_label": _ordered(sort_by_label),
    "sort_by_label_desc": _ordered(sort_by_label_desc),
    "sort_desc": _ordered(sort_desc),
    "start": _constant(lambda span, _: span.start / 1000),
    "step": _constant(lambda span, _: span.step / 1000),
    "time": _constant(lambda span, time: time / 1000),
    "timestamp": _timestamp,
    "vector": _vector,
}
"""Every function that takes no range, by its name."""
