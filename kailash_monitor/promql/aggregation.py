"""Aggregations: the series of a vector folded by groups."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from math import nan, sqrt
from typing import Final, TypeAlias

from kailash_monitor.promql.annotations import Annotations
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.numbers import number_text
from kailash_monitor.promql.quantile import quantile
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.selection import SELECTIONS, share_of_all
from kailash_monitor.promql.signature import group_labels, signature
from kailash_monitor.promql.source import Pieces
from kailash_monitor.promql.summation import exact_mean, exact_sum, variance
from kailash_monitor.promql.tree import Aggregation, Expression, Paren

__all__ = ["aggregate"]

PIECE: Final = 500
"""Series that are looked at without a pause: less than a millisecond's work."""

COUNTED: Final = 100
"""Series that are counted by value without a pause, which is slower."""

Drop: TypeAlias = Callable[[LabelSet], LabelSet]
Fold: TypeAlias = Callable[[Sequence[float]], float]


def aggregate(
    node: Aggregation, vector: Vector, parameter: float | str | None, notes: Annotations, drop: Drop
) -> Pieces[Vector]:
    """Give what the aggregation makes of `vector`; groups come in the order in which they are met.

    An EvaluationError where the parameter is not one for the aggregation, whatever the vector.
    """
    if isinstance(parameter, str):
        return (yield from _counted(node, vector, parameter))
    if (fold := _FOLDS.get(node.name)) is not None:
        return (yield from _folded(node, vector, fold, drop))
    assert parameter is not None, "the parser demands one"
    match node.name:
        case "quantile":
            notes.check_quantile(parameter, _parameter_of(node))
            return (yield from _folded(node, vector, lambda values: quantile(parameter, values), drop))
        case "limit_ratio":
            return (yield from share_of_all(vector, parameter, notes, _parameter_of(node)))
        case name:
            return (yield from SELECTIONS[name](vector, parameter, signature(node.grouping, on=not node.without)))


def _parameter_of(node: Aggregation) -> Expression:
    """What a warning about the parameter points at: it, without parentheses."""
    parameter = node.parameter
    assert parameter is not None, "the parser demands one"
    while isinstance(parameter, Paren):
        parameter = parameter.expression
    return parameter


# one value for each group


def _folded(node: Aggregation, vector: Vector, fold: Fold, drop: Drop) -> Pieces[Vector]:
    groups = yield from _grouped(node, vector)
    result: Vector = []
    folded = 0
    for members in groups.values():
        labels = group_labels(members[0][0], node.grouping, on=not node.without)
        if METRIC_NAME in labels.labels and any(one.drops_name for one, _ in members):
            labels = drop(labels)
        result.append((labels, fold([value for _, value in members])))
        folded += len(members)
        if folded > PIECE:
            yield
            folded = 0
    return result


def _grouped(node: Aggregation, vector: Vector) -> Pieces[dict[Hashable, Vector]]:
    sign = signature(node.grouping, on=not node.without)
    groups: dict[Hashable, Vector] = defaultdict(list)
    for first in range(0, len(vector), PIECE):
        if first:
            yield
        for element in vector[first : first + PIECE]:
            groups[sign(element[0])].append(element)
    return groups


def _least(values: Sequence[float]) -> float:
    return min((value for value in values if value == value), default=nan)


def _greatest(values: Sequence[float]) -> float:
    return max((value for value in values if value == value), default=nan)


def _deviation(values: Sequence[float]) -> float:
    square = variance(values)
    return sqrt(square) if square >= 0 else nan


_FOLDS: Final[Mapping[str, Fold]] = {
    "sum": exact_sum,
    "avg": exact_mean,
    "count": lambda values: float(len(values)),
    "min": _least,
    "max": _greatest,
    "group": lambda values: 1.0,
    "stddev": _deviation,
    "stdvar": variance,
}
"""What becomes of the values of a group; NaN is least and greatest only among itself."""


# series counted by value


def _counted(node: Aggregation, vector: Vector, label: str) -> Pieces[Vector]:
    """Count the series of each group that have the same value, which becomes the label `label`."""
    if not label or any("\ud800" <= character <= "\udfff" for character in label):
        raise EvaluationError(f"invalid label name {quoted(label)}")
    names = node.grouping if node.without else (*node.grouping, label)
    sign = signature(names, on=not node.without)
    counts: Counter[Hashable] = Counter()
    groups: dict[Hashable, LabelSet] = {}
    for first in range(0, len(vector), COUNTED):
        if first:
            yield
        for labels, value in vector[first : first + COUNTED]:
            valued = labels.changed({label: number_text(value)})
            key = sign(valued)
            counts[key] += 1
            if key not in groups:
                groups[key] = group_labels(valued, names, on=not node.without)
    return [(groups[key], float(count)) for key, count in counts.items()]
