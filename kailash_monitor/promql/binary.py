"""Binary operators: which series of two vectors belong together, and what the operator makes of them."""

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from kailash_monitor.promql.arithmetic import ARITHMETIC, COMPARISONS
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.signature import Signature, group_labels, signature
from kailash_monitor.promql.source import Pieces
from kailash_monitor.promql.tree import Binary, Matching, Number, Side

__all__ = ["scalar_scalar", "vector_scalar", "vector_vector"]

PIECE: Final = 200
"""Series that are looked at without a pause: about a millisecond's work."""

Element: TypeAlias = tuple[LabelSet, float]
Drop: TypeAlias = Callable[[LabelSet], LabelSet]


def scalar_scalar(node: Binary, left: float, right: float) -> float:
    """Give what the operator makes of two numbers: of a comparison, 1 where it holds, else 0."""
    if (holds := COMPARISONS.get(node.operator)) is not None:
        return 1.0 if holds(left, right) else 0.0
    return ARITHMETIC[node.operator](left, right)


def vector_scalar(node: Binary, vector: Vector, scalar: float, drop: Drop, *, scalar_left: bool) -> Pieces[Vector]:
    """Give what the operator makes of each value and the number; `scalar_left` says that the number stands first.

    A comparison keeps the series for which it holds, with their values and names.
    """
    compare = COMPARISONS.get(node.operator)
    compute = ARITHMETIC[node.operator] if compare is None else compare
    if scalar_left:
        compute = _turned(compute)
    result: Vector = []
    for first in range(0, len(vector), PIECE):
        if first:
            yield
        piece = vector[first : first + PIECE]
        if compare is not None and not node.returns_bool:
            result += [element for element in piece if compute(element[1], scalar)]
        else:
            result += [(drop(labels), float(compute(value, scalar))) for labels, value in piece]
    return result


def _turned(compute: Callable[[float, float], float]) -> Callable[[float, float], float]:
    return lambda value, scalar: compute(scalar, value)


def vector_vector(node: Binary, left: Vector, right: Vector, drop: Drop) -> Pieces[Vector]:
    """Give what the operator makes of the series that belong together, in the order of the side that may have many.

    A comparison keeps what is on the left where it holds. An EvaluationError where series do not match one to one, or
    not as the expression says.
    """
    matching = node.matching
    if (combine := _SETS.get(node.operator)) is not None:
        return (yield from combine(signature(matching.labels, on=matching.on), left, right))
    if not left and not right:
        return []
    if not (left and right) and matching.fill_left is None and matching.fill_right is None:
        return []
    many, one = (right, left) if matching.many is Side.RIGHT else (left, right)
    pairs = yield from _pairs(matching, many, one)
    return (yield from _combined(node, pairs, drop))


# what belongs together


class _Pair(NamedTuple):
    """Two series that belong together, in the group of that signature; one of them may stand in for a missing one."""

    key: Hashable
    many: Element
    one: Element


def _pairs(matching: Matching, many: Vector, one: Vector) -> Pieces[list[_Pair]]:
    """Find for each of `many` its partner.

    As in Prometheus the fill values follow the roles and not the sides: with `group_right`, where the right side is the
    many, `fill_left` stands in for a series that is missing there.
    """
    sign = signature(matching.labels, on=matching.on)
    partners = yield from _partners(matching, one, sign)
    pairs: list[_Pair] = []
    for first in range(0, len(many), PIECE):
        if first:
            yield
        for element in many[first : first + PIECE]:
            key = sign(element[0])
            partner = partners.get(key)
            if partner is None:
                if matching.fill_right is None:
                    continue
                partner = _stand_in(matching, element, matching.fill_right)
            pairs.append(_Pair(key, element, partner))
    if matching.fill_left is not None:
        met = {pair.key for pair in pairs}
        pairs += [
            _Pair(key, _stand_in(matching, partner, matching.fill_left), partner)
            for key, partner in partners.items()
            if key not in met
        ]
    return pairs


def _partners(matching: Matching, one: Vector, sign: Signature) -> Pieces[dict[Hashable, Element]]:
    """The series of the side that has but one for each group."""
    partners: dict[Hashable, Element] = {}
    for first in range(0, len(one), PIECE):
        if first:
            yield
        for element in one[first : first + PIECE]:
            earlier = partners.setdefault(sign(element[0]), element)
            if earlier is not element:
                raise EvaluationError(_ambiguous(matching, element[0], earlier[0]))
    return partners


def _ambiguous(matching: Matching, *twins: LabelSet) -> str:
    """What is said of two series of a group on the side that may have but one; in a stable order, whichever came first."""
    side = "left" if matching.many is Side.RIGHT else "right"
    group = group_labels(twins[0], matching.labels, on=matching.on)
    found = ", ".join(one.in_braces() for one in sorted(twins, key=lambda one: sorted(one.labels.items())))
    return (
        f"found duplicate series for the match group {group.in_braces()} on the {side} hand-side of the operation: [{found}]"
        ";many-to-many matching not allowed: matching labels must be unique on one side"
    )


def _stand_in(matching: Matching, element: Element, value: Number) -> Element:
    return group_labels(element[0], matching.labels, on=matching.on), value.value


# what is made of it


def _combined(node: Binary, pairs: list[_Pair], drop: Drop) -> Pieces[Vector]:
    matching, compare = node.matching, COMPARISONS.get(node.operator)
    compute = ARITHMETIC[node.operator] if compare is None else compare
    filters, grouped = compare is not None and not node.returns_bool, matching.many is not None
    label = _labelling(node, drop)
    seen: set[Hashable] = set()
    result: Vector = []
    for first in range(0, len(pairs), PIECE):
        if first:
            yield
        for key, (many, many_value), (one, one_value) in pairs[first : first + PIECE]:
            left, right = (one_value, many_value) if matching.many is Side.RIGHT else (many_value, one_value)
            value = compute(left, right)
            kept = not filters or value
            labels = label(many, one) if kept or grouped else many
            # What a comparison leaves out counts here too: whether an expression fails is no matter of the values.
            before = len(seen)
            seen.add((key, labels) if grouped else key)
            if len(seen) == before:
                raise EvaluationError(_SAME if grouped else _MANY)
            if kept:
                result.append((labels, left if filters else float(value)))
    if matching.on and METRIC_NAME in matching.labels and len({labels for labels, _ in result}) < len(result):
        raise EvaluationError("vector cannot contain metrics with the same labelset")
    return result


_MANY: Final = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
_SAME: Final = "multiple matches for labels: grouping labels must ensure unique matches"


def _labelling(node: Binary, drop: Drop) -> Callable[[LabelSet, LabelSet], LabelSet]:
    """A function that gives the labels of the result for a series of the many and its partner."""
    matching = node.matching
    steps: list[Callable[[LabelSet], LabelSet]] = [attrgetter("nameless") if node.operator in ARITHMETIC else _named]
    if matching.many is None and (matching.on or matching.labels):
        names = matching.labels
        steps.append(lambda labels: labels.only(names) if matching.on else labels.without(names))
    dropped = [drop] if node.returns_bool else []
    include = matching.include

    def label(many: LabelSet, one: LabelSet) -> LabelSet:
        for step in steps:
            many = step(many)
        if include:
            many = many.changed({name: one.labels.get(name, "") for name in include})
        for step in dropped:
            many = step(many)
        return many

    return label


def _named(labels: LabelSet) -> LabelSet:
    """The labels with their name: Prometheus forgets in a comparison of vectors that it was to be dropped."""
    return LabelSet(labels.labels) if labels.drops_name else labels


# sets


def _both(sign: Signature, left: Vector, right: Vector) -> Pieces[Vector]:
    groups = yield from _groups(sign, right)
    return (yield from _chosen(sign, left, groups, present=True))


def _either(sign: Signature, left: Vector, right: Vector) -> Pieces[Vector]:
    groups = yield from _groups(sign, left)
    return left + (yield from _chosen(sign, right, groups, present=False))


def _only_left(sign: Signature, left: Vector, right: Vector) -> Pieces[Vector]:
    groups = yield from _groups(sign, right)
    return (yield from _chosen(sign, left, groups, present=False))


_SETS: Final = {"and": _both, "or": _either, "unless": _only_left}


def _groups(sign: Signature, vector: Vector) -> Pieces[set[Hashable]]:
    groups: set[Hashable] = set()
    for first in range(0, len(vector), PIECE):
        if first:
            yield
        groups.update([sign(labels) for labels, _ in vector[first : first + PIECE]])
    return groups


def _chosen(sign: Signature, vector: Vector, groups: set[Hashable], *, present: bool) -> Pieces[Vector]:
    chosen: Vector = []
    for first in range(0, len(vector), PIECE):
        if first:
            yield
        chosen += [element for element in vector[first : first + PIECE] if (sign(element[0]) in groups) is present]
    return chosen


# how Prometheus prints labels
