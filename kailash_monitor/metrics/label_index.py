"""The label index: finds the series of some label values without visiting the others."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, Protocol, TypeVar

from kailash_monitor.model.labels import Labels

__all__ = ["LabelIndex"]

MAX_GROUPINGS: Final = 64
"""How many questions are remembered: more than a metric has rules and charts."""


class Labelled(Protocol):
    """Whatever has labels."""

    @property
    def labels(self) -> Labels:
        """The labels."""
        ...


S = TypeVar("S", bound=Labelled)


class LabelIndex(Generic[S]):
    """Series by label name and value, for the names that somebody asked for; an absent label has the empty value.

    `everything` gives all series, for questions that the index has not heard before. What was grouped once is remembered
    until a series comes or goes. Not thread-safe: the metric that owns it holds its lock around every call.
    """

    def __init__(self, everything: Callable[[], Iterable[S]]) -> None:
        self._everything: Final = everything
        self._by_name: dict[str, dict[str, dict[S, None]]] = {}
        self._groups: dict[object, dict[Labels, list[S]]] = {}

    def add(self, series: S) -> None:
        """Take `series` in."""
        self._groups.clear()
        for name, by_value in self._by_name.items():
            by_value.setdefault(series.labels.get(name, ""), {})[series] = None

    def discard(self, series: S) -> None:
        """Forget `series`."""
        self._groups.clear()
        for name, by_value in self._by_name.items():
            value = series.labels.get(name, "")
            by_value.get(value, {}).pop(series, None)
            if not by_value.get(value, True):
                del by_value[value]

    def clear(self) -> None:
        """Forget all."""
        self._groups.clear()
        self._by_name.clear()

    def find(self, match: Mapping[str, str]) -> Iterable[S]:
        """Give the series that have all labels of `match`, in the order in which they came."""
        if not match:
            return self._everything()
        found = [self._values(name).get(value, {}) for name, value in match.items()]
        fewest = min(found, key=len)
        return [series for series in fewest if all(series in others for others in found)]

    def groups(self, match: Mapping[str, str], by: tuple[str, ...]) -> Mapping[Labels, list[S]]:
        """Give the same, by their values of the labels `by`."""
        question = (tuple(sorted(match.items())), by)
        groups = self._groups.get(question)
        if groups is None:
            groups = {}
            keys: dict[tuple[str, ...], list[S]] = {}  # making Labels takes longer than all the rest
            for series in self.find(match):
                keys.setdefault(tuple([series.labels.get(name, "") for name in by]), []).append(series)
            groups = {Labels(dict(zip(by, values, strict=True))): members for values, members in keys.items()}
            if len(self._groups) >= MAX_GROUPINGS:
                self._groups.clear()
            self._groups[question] = groups
        return groups

    def _values(self, name: str) -> dict[str, dict[S, None]]:
        by_value = self._by_name.get(name)
        if by_value is None:
            by_value = self._by_name[name] = {}
            for series in self._everything():
                by_value.setdefault(series.labels.get(name, ""), {})[series] = None
        return by_value
