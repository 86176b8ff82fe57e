"""Readings: which stretches of time the selectors of a query read, and which parts of it read the same at all times."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import trunc
from typing import Final

from kailash_monitor.promql.durations import seconds_of
from kailash_monitor.promql.errors import ParseError
from kailash_monitor.promql.tree import (
    Aggregation,
    Binary,
    Boundary,
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

__all__ = ["Reading", "Span", "constants", "readings"]

_OWN_TIME: Final = frozenset(
    {
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "hour",
        "minute",
        "month",
        "predict_linear",
        "time",
        "timestamp",
        "year",
    }
)
"""Functions whose results depend on the time of the evaluation, whatever they are given."""


@dataclass(frozen=True, slots=True)
class Span:
    """The times of a query's evaluations, in milliseconds since 1970: from `start` to `end`, each `step` (0: only one)."""

    start: int
    end: int
    step: int = 0

    @property
    def times(self) -> range:
        """All of them."""
        return range(self.start, self.end + 1, self.step or 1)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a selector or subquery reads, in milliseconds: the `window` before the time of the evaluation, or before `at`,
    less the `offset`; a subquery each `step`.
    """

    window: int
    offset: int
    at: int | None
    step: int

    def end(self, time: int) -> int:
        """Where its window ends, for an evaluation at `time`."""
        return (time if self.at is None else self.at) - self.offset


def readings(tree: Expression, text: str, span: Span, *, default_step: int) -> dict[int, Reading]:
    """Give what each selector, range selector and subquery of `tree` reads, by the `id` of the node.

    A ParseError where a duration cannot be told or is not above zero.
    """
    return dict(_Reader(text, span, default_step).all_of(tree))


@dataclass(frozen=True, slots=True)
class _Reader:
    text: str
    span: Span
    default_step: int

    def all_of(self, node: Expression) -> Iterator[tuple[int, Reading]]:
        match node:
            case Selector():
                yield id(node), Reading(0, *self._place(node), 0)
            case RangeSelector(selector=selector, window=window):
                yield id(node), Reading(self._positive(window), *self._place(selector), 0)
            case Subquery(window=window, step=step):
                pause = self.default_step if step is None else self._positive(step)
                yield id(node), Reading(self._positive(window), *self._place(node), pause)
        for child in children(node):
            yield from self.all_of(child)

    def _place(self, node: Selector | Subquery) -> tuple[int, int | None]:
        offset = 0 if node.offset is None else self._milliseconds(node.offset)
        match node.at:
            case None:
                return offset, None
            case Boundary.START:
                return offset, self.span.start
            case Boundary.END:
                return offset, self.span.end
            case seconds:
                return offset, round(seconds * 1000)

    def _positive(self, duration: Expression) -> int:
        value = self._milliseconds(duration)
        if value <= 0:
            raise ParseError("duration must be greater than 0", self.text, duration.start, duration.end)
        return value

    def _milliseconds(self, duration: Expression) -> int:
        step, length = self.span.step / 1000, (self.span.end - self.span.start) / 1000
        seconds = seconds_of(duration, step=step, span=length, text=self.text)
        return trunc(round(seconds * 1e6) / 1000)


def constants(tree: Expression) -> frozenset[int]:
    """Give the `id`s of the largest parts of `tree` that have the same value whenever they are evaluated (by `@`)."""
    found: set[int] = set()
    if not _gather(tree, found):
        return frozenset(found)
    return frozenset({id(tree)})


def _gather(node: Expression, found: set[int]) -> bool:
    """Whether `node` is the same at all times; where it is not, those of its parts that are go to `found`."""
    match node:
        case Number() | String():
            return True
        case Selector(at=at):
            return at is not None
        case RangeSelector(selector=selector):
            return selector.at is not None
        case Subquery(expression=inner, at=at):
            return at is not None or _all_gathered((inner,), found, whole=False)
        case Call(name=name, arguments=arguments):
            return _all_gathered(arguments, found, whole=name not in _OWN_TIME)
        case Aggregation() | Binary() | Unary() | Paren():
            return _all_gathered(children(node), found, whole=True)


def _all_gathered(nodes: tuple[Expression, ...], found: set[int], *, whole: bool) -> bool:
    same = [_gather(one, found) for one in nodes]
    if whole and all(same):
        return True
    found.update(id(one) for one, is_same in zip(nodes, same, strict=True) if is_same and not isinstance(one, _ITSELF))
    return False


_ITSELF: Final = (Number, String, RangeSelector, Subquery)
"""Nodes that are not evaluated by themselves, or for which keeping the value is more work than having it anew."""
