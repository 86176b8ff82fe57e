"""Signatures: what is the same for the series that some of their labels put together."""

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import TypeAlias

from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet

__all__ = ["Signature", "group_labels", "signature"]

Signature: TypeAlias = Callable[[LabelSet], Hashable]
"""A function whose result is the same for the series of one group, and differs between groups."""


def signature(names: tuple[str, ...], *, on: bool) -> Signature:
    """Give the signature of groups that agree in the labels `names` (`on`), or in all others but the metric's name."""
    if not on:
        return _rest(frozenset((METRIC_NAME, *names))) if names else attrgetter("unnamed")
    match names:
        case ():
            return lambda labels: None
        case (name,):
            return lambda labels: labels.labels.get(name)
        case _:
            return lambda labels: tuple(map(labels.labels.get, names))


def _rest(ignored: frozenset[str]) -> Signature:
    return lambda labels: frozenset([pair for pair in labels.labels.items() if pair[0] not in ignored])


def group_labels(labels: LabelSet, names: tuple[str, ...], *, on: bool) -> LabelSet:
    """Give those of a series' labels that are its group's."""
    return labels.only(names) if on else labels.without((METRIC_NAME, *names))
