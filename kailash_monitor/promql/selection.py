"""Selections: the aggregations that keep some of the series of each group as they are."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Final, TypeAlias

from kailash_monitor.promql.annotations import Annotations
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.numbers import general_text
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.signature import Signature
from kailash_monitor.promql.source import Pieces
from kailash_monitor.promql.tree import Expression
from kailash_monitor.promql.xxhash import label_hash

__all__ = ["SELECTIONS", "first_of_each", "largest", "share_of_all", "smallest"]

PIECE: Final = 500
"""Series that are looked at without a pause: about a millisecond's work."""

HASHES: Final = 50
"""Series that are hashed without a pause."""

Ranked: TypeAlias = tuple[float, tuple[LabelSet, float]]

_TOO_MANY: Final = 9223372036854774784.0
"""The largest float below 2⁶³: Prometheus counts in 64 bits."""


def largest(vector: Vector, count: float, sign: Signature) -> Pieces[Vector]:
    """Keep the `count` largest of each group, the largest first, NaN last; the groups as they are met."""
    return (yield from _extreme(vector, _whole(count), sign, direction=1.0))


def smallest(vector: Vector, count: float, sign: Signature) -> Pieces[Vector]:
    """Keep the `count` smallest of each group, the smallest first, NaN last; the groups as they are met."""
    return (yield from _extreme(vector, _whole(count), sign, direction=-1.0))


def first_of_each(vector: Vector, count: float, sign: Signature) -> Pieces[Vector]:
    """Keep the first `count` series of each group."""
    most = _whole(count)
    met: Counter[Hashable] = Counter()
    kept: Vector = []
    for first in range(0, len(vector) if most else 0, PIECE):
        if first:
            yield
        for element in vector[first : first + PIECE]:
            key = sign(element[0])
            if met[key] < most:
                met[key] += 1
                kept.append(element)
    return kept


SELECTIONS: Final[Mapping[str, Callable[[Vector, float, Signature], Pieces[Vector]]]] = {
    "topk": largest,
    "bottomk": smallest,
    "limitk": first_of_each,
}
"""What each aggregation keeps that selects a number of series."""


def share_of_all(vector: Vector, ratio: float, notes: Annotations, node: Expression) -> Pieces[Vector]:
    """Keep the share `ratio` of the series, the same ones at any time; with a negative ratio, what `1 + ratio` leaves out.

    Which these are is a matter of the hash of their labels. A ratio beyond 1 or -1 counts as that, with a warning about
    `node`.
    """
    if ratio == 0:
        return []
    if ratio != ratio:
        raise EvaluationError("Ratio value is NaN")
    limit = min(max(ratio, -1.0), 1.0)
    if limit != ratio:
        notes.warn(
            f"ratio value should be between -1 and 1, got {general_text(ratio)}, capping to {general_text(limit)}", node
        )
    kept: Vector = []
    for first in range(0, len(vector), HASHES):
        if first:
            yield
        kept += [element for element in vector[first : first + HASHES] if _is_within(limit, element[0])]
    return kept


def _is_within(limit: float, labels: LabelSet) -> bool:
    place = label_hash(labels) / 2**64
    return place < limit if limit >= 0 else place >= 1 + limit


def _whole(count: float) -> int:
    """How many series are meant, 0 for none."""
    if count < 1:
        return 0
    if count != count:
        raise EvaluationError("Parameter value is NaN")
    if count >= _TOO_MANY:
        raise EvaluationError(f"Scalar value {general_text(count)} overflows int64")
    return int(count)


# the largest and smallest


def _extreme(vector: Vector, count: int, sign: Signature, *, direction: float) -> Pieces[Vector]:
    """Keep the `count` elements of each group whose value times `direction` is largest."""
    heaps: dict[Hashable, list[Ranked]] = {}
    for first in range(0, len(vector) if count else 0, PIECE):
        if first:
            yield
        for element in vector[first : first + PIECE]:
            rank = direction * element[1]
            heap = heaps.setdefault(sign(element[0]), [])
            if len(heap) < count:
                _add(heap, (rank, element))
            elif heap[0][0] < rank or (heap[0][0] != heap[0][0] and rank == rank):
                heap[0] = (rank, element)
                _settle(heap)
    ordered: Vector = []
    for heap in heaps.values():
        heap.sort(key=_descending)
        ordered += [element for _, element in heap]
    return ordered


def _descending(ranked: Ranked) -> tuple[bool, float]:
    rank = ranked[0]
    return (True, 0.0) if rank != rank else (False, -rank)


# A heap as Go's container/heap keeps it, step by step: among equal values the same series are kept as in Prometheus.


def _is_less(one: Ranked, other: Ranked) -> bool:
    return one[0] != one[0] or one[0] < other[0]


def _add(heap: list[Ranked], ranked: Ranked) -> None:
    heap.append(ranked)
    place = len(heap) - 1
    while place and _is_less(heap[place], heap[parent := (place - 1) // 2]):
        heap[place], heap[parent] = heap[parent], heap[place]
        place = parent


def _settle(heap: list[Ranked]) -> None:
    """Move the first element to its place."""
    place = 0
    while (child := 2 * place + 1) < len(heap):
        if child + 1 < len(heap) and _is_less(heap[child + 1], heap[child]):
            child += 1
        if not _is_less(heap[child], heap[place]):
            return
        heap[place], heap[child] = heap[child], heap[place]
        place = child
