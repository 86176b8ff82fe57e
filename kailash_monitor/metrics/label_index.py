"""The label index: finds the series of some label values without visiting the others."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from kailash_monitor.model.labels import NO_LABELS, Labels

__all__ = ["LabelIndex"]

REMEMBERED: Final = 64
"""Label names and questions: more than a metric has labels, rules and charts. With one more, all are asked anew."""


class Labelled(Protocol):
    """Whatever has labels."""

    @property
    def labels(self) -> Labels:
        """The labels."""
        ...


S = TypeVar("S", bound=Labelled)


class _Grouping(Generic[S]):
    """The series that match, by their values of some labels; kept as series come and go.

    `todo` are those of the time when it was made that are still to be put in their places. The answer is made in pieces,
    too: what comes and goes meanwhile is mended in it, so that it is ready some time however many come and go.
    """

    def __init__(self, match: Mapping[str, str], by: tuple[str, ...], todo: list[S]) -> None:
        self.todo = todo
        self._match = dict(match)
        self._by = by
        self._names = tuple(sorted(by))
        self._order = [by.index(name) for name in self._names]
        self._gone: set[S] = set()  # while there is something to do: those that are not to be put any more
        self._members: dict[tuple[str, ...], dict[S, None]] = {}
        self._labels: dict[tuple[str, ...], Labels] = {}  # making Labels takes longer than all the rest
        self._told: dict[Labels, list[S]] | None = None
        self._telling: dict[Labels, list[S]] = {}  # an answer that is begun
        self._untold: dict[tuple[str, ...], None] = {}  # what it lacks, the next at the end

    def prepare(self, number: int) -> bool:
        """Do a piece of what `groups` has to do, over `number` series or groups; whether there is more."""
        if self.todo:
            self.work(number)
            return True
        if self._told is None:
            self._tell(number)
        return self._told is None

    def work(self, number: int | None = None) -> None:
        """Put so many of `todo` in their places, or all."""
        todo = self.todo
        rest = 0 if number is None else max(0, len(todo) - number)
        for series in reversed(todo[rest:]):
            if series not in self._gone:
                self._put(series)
        del todo[rest:]
        if not todo:
            self._gone.clear()

    def add(self, series: S) -> None:
        if series.labels.matches(self._match):
            self._gone.discard(series)
            self._put(series)

    def discard(self, series: S) -> None:
        if self.todo:
            self._gone.add(series)
        key = self._key(series)
        members = self._members.get(key, {})
        members.pop(series, None)
        self._changed(key)
        if not members:
            self._members.pop(key, None)
            self._untold.pop(key, None)
            self._telling.pop(self._labels.pop(key, NO_LABELS), None)

    def groups(self) -> Mapping[Labels, Sequence[S]]:
        """Give the groups; what was given before is given again while no series came or went."""
        self.work()
        return self._tell(len(self._members)) if self._told is None else self._told

    def _changed(self, key: tuple[str, ...]) -> None:
        self._told = None
        if self._telling:
            self._untold[key] = None

    def _tell(self, number: int) -> Mapping[Labels, Sequence[S]]:
        """Tell so many groups more, or all that are left."""
        telling = self._telling
        if not telling:
            self._untold = dict.fromkeys(reversed(self._members))
        untold = self._untold
        for _ in range(min(number, len(untold))):
            key, _ = untold.popitem()
            telling[self._labels[key]] = list(self._members[key])
        if not untold:
            self._told, self._telling = telling, {}
        return telling

    def _key(self, series: S) -> tuple[str, ...]:
        names, texts = series.labels.names, series.labels.texts
        return tuple([texts[names.index(name)] if name in names else "" for name in self._by])

    def _put(self, series: S) -> None:
        key = self._key(series)
        members = self._members.get(key)
        if members is None:
            members = self._members[key] = {}
            same = series.labels.names == self._names
            self._labels[key] = series.labels if same else Labels.of(self._names, tuple([key[n] for n in self._order]))
        members[series] = None
        self._changed(key)


class LabelIndex(Generic[S]):
    """Series by label name and value, for the names that somebody asked for; an absent label has the empty value.

    `everything` gives all series, for questions that the index has not heard before. What was grouped once is kept up as
    series come and go. Not thread-safe: the metric that owns it holds its lock around every call.
    """

    def __init__(self, everything: Callable[[], Iterable[S]]) -> None:
        self._everything: Final = everything
        self._by_name: dict[str, dict[str, dict[S, None]]] = {}
        self._groupings: dict[object, _Grouping[S]] = {}

    def add(self, series: S) -> None:
        """Take `series` in."""
        for grouping in self._groupings.values():
            grouping.add(series)
        for name, by_value in self._by_name.items():
            by_value.setdefault(series.labels.get(name, ""), {})[series] = None

    def discard(self, series: S) -> None:
        """Forget `series`."""
        for grouping in self._groupings.values():
            grouping.discard(series)
        for name, by_value in self._by_name.items():
            value = series.labels.get(name, "")
            by_value.get(value, {}).pop(series, None)
            if not by_value.get(value, True):
                del by_value[value]

    def clear(self) -> None:
        """Forget all."""
        self._groupings.clear()
        self._by_name.clear()

    def find(self, match: Mapping[str, str]) -> Iterable[S]:
        """Give the series that have all labels of `match`, in the order in which they came."""
        if not match:
            return self._everything()
        found = [self._values(name).get(value, {}) for name, value in match.items()]
        fewest = min(found, key=len)
        return [series for series in fewest if all(series in others for others in found)]

    def prepare(self, match: Mapping[str, str], by: tuple[str, ...], number: int) -> bool:
        """Do some of the work that `groups` is about to have, over `number` series; whether there is more of it."""
        return self._grouping(match, by).prepare(number)

    def groups(self, match: Mapping[str, str], by: tuple[str, ...]) -> Mapping[Labels, Sequence[S]]:
        """Give the same, by their values of the labels `by`; not to be changed, since others are given it too."""
        return self._grouping(match, by).groups()

    def _grouping(self, match: Mapping[str, str], by: tuple[str, ...]) -> _Grouping[S]:
        question = (tuple(sorted(match.items())), by)
        grouping = self._groupings.get(question)
        if grouping is None:
            if len(self._groupings) >= REMEMBERED:
                self._groupings.clear()
            todo = list(self.find(match))
            todo.reverse()  # it is taken from its end
            grouping = self._groupings[question] = _Grouping(match, by, todo)
        return grouping

    def _values(self, name: str) -> dict[str, dict[S, None]]:
        by_value = self._by_name.get(name)
        if by_value is None:
            if len(self._by_name) >= REMEMBERED:
                self._by_name.clear()
            by_value = self._by_name[name] = {}
            for series in self._everything():
                by_value.setdefault(series.labels.get(name, ""), {})[series] = None
        return by_value
