"""Queries: an expression evaluated once, or again and again over a stretch of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from operator import itemgetter
from typing import Final, TypeAlias, TypeVar

from kailash_monitor.promql.anchoring import extended_samples
from kailash_monitor.promql.annotations import Annotations
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.evaluation import Evaluation, Settings
from kailash_monitor.promql.functions import ValueType
from kailash_monitor.promql.labelset import NO_LABEL_SET, LabelSet
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.promql.reading import Span
from kailash_monitor.promql.samples import Matrix, Samples, Vector
from kailash_monitor.promql.source import Pieces, Source
from kailash_monitor.promql.stretch import Reach, Readable, check_unique
from kailash_monitor.promql.tree import Expression
from kailash_monitor.promql.types import type_of
from kailash_monitor.promql.window import RangeWindow

__all__ = ["DEFAULT", "Result", "Settings", "finished", "instant", "ranged"]

T = TypeVar("T")

DEFAULT: Final = Settings()

PIECE: Final = 1000
"""Series that are put in their places without a pause: about a millisecond's work."""

STRETCHES: Final = 100
"""Series whose samples are put together without a pause."""

Value: TypeAlias = float | str | Vector | Matrix


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave: a float, a text, a vector or a matrix, as `type` says, and what its author should know of it."""

    type: ValueType
    value: Value
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


def finished(pieces: Pieces[T]) -> T:
    """Do work that comes in pieces in one go."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            value: T = end.value
            return value


def instant(tree: Expression, text: str, source: Source, time: int, settings: Settings = DEFAULT) -> Pieces[Result]:
    """Evaluate `tree`, which was read from `text` and has passed `check`, at `time` (milliseconds since 1970).

    An EvaluationError where it has no value, a ParseError where a duration cannot be told.
    """
    notes = Annotations(text)
    evaluation = Evaluation(tree, text, source, Span(time, time), settings, notes)
    yield from evaluation.prepare()
    kind = type_of(tree)
    if kind is ValueType.MATRIX:
        series, window = yield from evaluation.stretch(tree, time)
        matrix = yield from _stretches(series, window, evaluation, evaluation.beyond(tree))
        return Result(kind, matrix, notes.warnings, notes.infos)
    value = yield from evaluation.value(tree, time)
    if kind is ValueType.VECTOR and settings.delayed_name_removal:
        value = yield from _named(value)
    return Result(kind, value, notes.warnings, notes.infos)


def ranged(
    tree: Expression, text: str, source: Source, start: int, end: int, step: int, settings: Settings = DEFAULT
) -> Pieces[Result]:
    """Evaluate `tree` each `step` from `start` to `end` (milliseconds since 1970), as `instant` does: a matrix by labels.

    A ValueError where the step is not above zero, or the end before the start.
    """
    if step <= 0 or end < start:
        raise ValueError(f"from {start} to {end} by {step}: the step must be above 0 and the end not before the start")
    kind, notes = type_of(tree), Annotations(text)
    if kind not in (ValueType.SCALAR, ValueType.VECTOR):
        wanted = "must be Scalar or instant Vector"
        raise EvaluationError(f"invalid expression type {quoted(kind.documented)} for range query, {wanted}")
    span = Span(start, end, step)
    evaluation = Evaluation(tree, text, source, span, settings, notes)
    yield from evaluation.prepare()
    series: dict[LabelSet, tuple[list[int], list[float]]] = {}
    for time in span.times:
        value = yield from evaluation.value(tree, time)
        vector = value if isinstance(value, list) else [(NO_LABEL_SET, value)]
        if settings.delayed_name_removal:
            vector = yield from _named(vector)
        evaluation.count(len(vector))
        for first in range(0, len(vector), PIECE):
            for labels, one in vector[first : first + PIECE]:
                times, values = series.setdefault(labels, ([], []))
                times.append(time)
                values.append(one)
            yield
        yield  # also where there is nothing
    return Result(ValueType.MATRIX, (yield from _by_labels(series)), notes.warnings, notes.infos)


def _by_labels(series: Mapping[LabelSet, tuple[list[int], list[float]]]) -> Pieces[Matrix]:
    """Give series by their labels."""
    keyed = list[tuple[list[tuple[str, str]], LabelSet, Samples]]()
    runs = []
    for labels, samples in series.items():
        keyed.append((sorted(labels.labels.items()), labels, Samples(*samples)))
        if len(keyed) == PIECE:
            runs.append(sorted(keyed, key=itemgetter(0)))
            keyed = []
            yield
    matrix: Matrix = []
    for _, labels, read in merge(*runs, sorted(keyed, key=itemgetter(0)), key=itemgetter(0)):
        matrix.append((labels, read))
        if not len(matrix) % PIECE:
            yield
    return matrix


def _stretches(
    series: Sequence[Readable], window: RangeWindow, evaluation: Evaluation, beyond: Reach | None
) -> Pieces[Matrix]:
    matrix: Matrix = []
    for index, one in enumerate(series, 1):
        if not index % STRETCHES:
            yield
        if beyond is None:
            inside = one.samples.within(window.start, window.end)
        else:
            reached = beyond.within(one.samples, window)
            inside = Samples(*extended_samples(beyond.anchor, reached.times, reached.values, window))
        evaluation.count(len(inside.times))
        if inside.times:
            matrix.append((one.labels, inside))
    return matrix


def _named(vector: Vector) -> Pieces[Vector]:
    """Drop the names that are no part of the result. An EvaluationError where two series are the same then."""
    result: Vector = []
    for first in range(0, len(vector), PIECE):
        if first:
            yield
        result += [
            (labels.nameless if labels.drops_name else labels, value) for labels, value in vector[first : first + PIECE]
        ]
    yield from check_unique(result)
    return result
