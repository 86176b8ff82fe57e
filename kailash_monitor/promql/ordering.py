"""Orders of a vector: by its values, or by labels as people sort them. None of them changes a series, or drops a name."""

import re
from collections.abc import Callable
from heapq import merge
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces

__all__ = ["natural", "sort", "sort_by_label", "sort_by_label_desc", "sort_desc"]

RUN: Final = 250
"""Series that are sorted without a pause, which takes a millisecond where they have many labels."""


def sort(vector: Vector) -> Pieces[Vector]:
    """Put the smallest value first, and NaN last."""
    return _sorted(vector, lambda _, value: (value != value, value))


def sort_desc(vector: Vector) -> Pieces[Vector]:
    """Put the largest value first, and NaN last."""
    return _sorted(vector, lambda _, value: (value != value, -value))


def sort_by_label(vector: Vector, *names: str) -> Pieces[Vector]:
    """Sort by the values of these labels, one after the other, in natural order; then by all labels."""
    return _sorted(vector, _by_labels(names))


def sort_by_label_desc(vector: Vector, *names: str) -> Pieces[Vector]:
    """Sort as `sort_by_label`, the last first."""
    return _sorted(vector, _by_labels(names), reverse=True)


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Give what texts are compared by in natural order: numbers in them count as such, so that `a9` comes before `a10`.

    Prometheus, which asks github.com/facette/natsort, does the same but where that contradicts itself: there `1` and `01`
    each come before the other, and an absent label has no place; here the first two are equal, and the absent one is first.
    """
    return tuple(map(_comparable, _CHUNKS.findall(text)))


_CHUNKS: Final = re.compile("[0-9]+|[^0-9]+")


def _comparable(chunk: str) -> tuple[int, int, str]:
    """Numbers compare by how many digits they have first; they stand where the digits do among other characters."""
    if "0" <= chunk[0] <= "9":
        digits = chunk.lstrip("0")
        return 1, len(digits), digits
    return 0 if chunk < "0" else 2, 0, chunk


_Key = Callable[[LabelSet, float], tuple[Any, ...]]  # Any: tuples of one shape in each order, which compare


def _by_labels(names: tuple[str, ...]) -> _Key:
    known: dict[str, tuple[tuple[int, int, str], ...]] = {}  # values come again and again

    def key(labels: LabelSet, _: float) -> tuple[Any, ...]:
        own = labels.labels
        values = [own.get(name, "") for name in names]
        for value in values:
            if value not in known:
                known[value] = natural(value)
        return *(known[value] for value in values), "\0".join(chain.from_iterable(sorted(own.items())))

    return key


def _sorted(vector: Vector, key: _Key, *, reverse: bool = False) -> Pieces[Vector]:
    """Sort in short runs that are merged at the end: one long sort would let nobody else run."""
    first, runs = itemgetter(0), []
    for start in range(0, len(vector), RUN):
        run = [(key(*one), one) for one in vector[start : start + RUN]]
        run.sort(key=first, reverse=reverse)
        runs.append(run)
        yield
    result: Vector = []
    for _, one in merge(*runs, key=first, reverse=reverse):
        result.append(one)
        if not len(result) % RUN:
            yield
    return result
