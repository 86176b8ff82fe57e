"""Series descriptions: a series and its values as `up{job="x"} 1 0+2x3 _ stale`, the way rule unit tests write them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate, chain, repeat
from typing import Final, TypeAlias

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql.errors import ParseError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.lexer import ERROR, tokens
from kailash_monitor.promql.numbers import parse_number
from kailash_monitor.promql.parser import parse_selector
from kailash_monitor.promql.quoting import quoted

__all__ = ["MAX_VALUES", "STALE", "SeriesDescription", "Stale", "Value", "parse_description", "parse_labels", "parse_values"]

MAX_VALUES: Final = 1_000_000
"""Values of one series, gaps included: eleven characters, `0x999999999`, would ask for a thousand times as many."""


class Stale(Enum):
    """A staleness marker: the series has ended, until it has a value again."""

    STALE = "stale"


STALE: Final = Stale.STALE

Value: TypeAlias = float | Stale | None
"""What a series has at one of its times; None for nothing."""


@dataclass(frozen=True, slots=True)
class SeriesDescription:
    """A series, and its values at times that are equally far apart."""

    labels: LabelSet
    values: tuple[Value, ...]


def parse_description(text: str) -> SeriesDescription:
    """Read a series and its values: a selector that has only `=`, a space, and what `parse_values` reads.

    A ParseError says what is wrong and where.
    """
    labels, end = _metric(text)
    return SeriesDescription(labels, _values(text, end))


def parse_labels(text: str) -> LabelSet:
    """Read a series alone, such as `up{job="x"}`, `{job="x"}` or `{"a.metric", job="x"}`. A ParseError as above."""
    labels, end = _metric(text)
    if rest := text[end:].strip():
        start = text.index(rest, end)
        raise ParseError(f"unexpected {quoted(rest)} after a series", text, start, start + len(rest))
    return labels


def parse_values(text: str) -> tuple[Value, ...]:
    """Read values, which stand apart by spaces.

    `a` is a number, `axN` that one and N more of it, `a+bxN` and `a-bxN` that one and N more, each larger or smaller by b;
    `_` is a gap, `_xN` N of them, and `stale` a staleness marker. A ParseError as above; native histograms are one.
    """
    return _values(text, 0)


# The series

_NAME: Final = re.compile(r"[ \t]*(?:[A-Za-z_:][A-Za-z0-9_:]*)?")


def _metric(text: str) -> tuple[LabelSet, int]:
    """Give the series that stands first, and where it ends."""
    found = _NAME.match(text)
    assert found is not None, "no name will do"
    end = _braces_end(text) if text.startswith("{", found.end()) else found.end()
    try:
        selector = parse_selector(text[:end])
    except ParseError as error:
        raise ParseError(error.message, text, error.start, error.end) from None
    labels: dict[str, str] = {}
    for demand in selector.demands():
        if demand.operator is not Operator.EQUAL:
            said = f"{demand.name}{demand.operator.value}{quoted(demand.value)}"
            raise ParseError(f"a series has one value of each label, which {said} does not tell", text, selector.start, end)
        if demand.name in labels:
            named = "metric name" if demand.name == METRIC_NAME else f"label {quoted(demand.name)}"
            values = f"{quoted(labels[demand.name])} and {quoted(demand.value)}"
            raise ParseError(f"the {named} of a series is given twice: {values}", text, selector.start, end)
        labels[demand.name] = demand.value
    return LabelSet(labels), end


def _braces_end(text: str) -> int:
    last = next(token for token in tokens(text) if token.kind in ("}", ERROR))
    if last.kind == ERROR:
        raise ParseError(last.text, text, last.start, last.end)
    return last.end


# The values

_NUMBER: Final = r"""(?: (?: [0-9][0-9_]*(?:\.[0-9_]*)? | \.[0-9][0-9_]* ) (?:e[+-]?[0-9]+)?
                       | (?:inf|nan)(?![A-Za-z0-9_:]) )"""
_ITEM: Final = re.compile(
    rf"""_ (?: x(?P<gaps>[0-9]+) )?
       | (?P<stale> stale )
       | (?P<value> [+-]?{_NUMBER} ) (?: (?P<change> [+-]{_NUMBER} )? x(?P<more>[0-9]+) )?""",
    re.VERBOSE | re.IGNORECASE,
)
_WORD: Final = re.compile(r"\{\{.*?(?:\}\}\S*|\Z)|\S+", re.DOTALL)


def _values(text: str, place: int) -> tuple[Value, ...]:
    values: list[Value] = []
    for word in _WORD.finditer(text, place):
        if word.start() == place and place:
            raise ParseError("unexpected values right after a series, expected a space", text, place, word.end())
        try:
            count, some = _item(word[0])
        except ValueError as error:
            raise ParseError(str(error), text, word.start(), word.end()) from None
        if len(values) + count > MAX_VALUES:
            raise ParseError(f"more than {MAX_VALUES} values of one series", text, word.start(), word.end())
        values += some
    return tuple(values)


def _item(word: str) -> tuple[int, Iterable[Value]]:
    """Give how many values `word` stands for, and the values. A ValueError says what is wrong with it."""
    if word.startswith("{{"):
        raise ValueError(f"native histograms are not supported: {word}")
    found = _ITEM.fullmatch(word)
    if found is None:
        raise ValueError(f"unexpected {quoted(word)} in series values")
    if found["stale"]:
        return 1, (STALE,)
    if not found["value"]:
        gaps = _count(found["gaps"] or "1")
        return gaps, repeat(None, gaps)
    value = _signed(found["value"])
    more = _count(found["more"] or "0")
    if not found["change"]:
        return more + 1, repeat(value, more + 1)
    return more + 1, accumulate(chain((value,), repeat(_signed(found["change"]), more)))


def _count(digits: str) -> int:
    return int(digits) if len(digits) < 10 else MAX_VALUES + 1  # too many; Python refuses to read 5,000 digits


def _signed(text: str) -> float:
    value = parse_number(text.lstrip("+-"))
    return -value if text.startswith("-") else value
