"""Conditions: `[word] comparator [number]`, such as "> 5", "avg > 1000" or "p99 >= 0.5"."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from kailash_monitor.errors import RuleError
from kailash_monitor.model.metric import MetricType

__all__ = ["ANY_VALUE", "COMPARATORS", "WORDS", "Condition", "compare", "split"]

COMPARATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}

_ALL: Final = frozenset(MetricType)
_COUNTER: Final = frozenset({MetricType.COUNTER})
_DISTRIBUTION: Final = frozenset({MetricType.HISTOGRAM, MetricType.TIMER})

WORDS: Final[dict[str, frozenset[MetricType]]] = {
    "": _ALL,
    "rate": _ALL,
    "per_second": _ALL,
    "share": _COUNTER,
    "increase": _COUNTER | _DISTRIBUTION,
    "avg": _ALL - _COUNTER,
    "min": _ALL - _COUNTER,
    "max": _ALL - _COUNTER,
    "sum": _ALL - _COUNTER,
    "count": _ALL - _COUNTER,
    "latest": _ALL,
}
"""What may stand before the comparator, and the types it fits. Percentiles ("p95") fit distributions."""

_SHAPE: Final = re.compile(r"\s*([^\s<>=!]*)\s*(>=|<=|==|!=|>|<)\s*(\S*)\s*")
_PERCENTILE: Final = re.compile(r"p\d+(?:\.\d+)?")
_EXPECTED: Final = "write '[word] comparator [number]', such as '> 5', 'avg > 1000' or 'p99 >= 0.5'"


@dataclass(frozen=True, slots=True)
class Condition:
    """What makes a rule breach. `percentile` is set where `word` is "p…"."""

    word: str
    comparator: str
    threshold: float
    percentile: float | None = None

    @classmethod
    def parse(cls, text: str, threshold: float | None, *, where: str) -> "Condition":
        """Read `text`. Its number and `threshold` must agree; either may be left out.

        A RuleError about `where` says what was seen and what would be right.
        """
        word, comparator, digits = split(text, where)
        if word not in WORDS and not _PERCENTILE.fullmatch(word):
            raise RuleError(
                where,
                field="condition",
                seen=f"the unknown word {word!r} in the condition {text!r}",
                expected=f"use one of {', '.join(filter(None, WORDS))}, p50 … p99.9, or none",
            )
        number = _number(digits, text, where) if digits else None
        limit = _agree(number, threshold, text, where)
        percentile = float(word[1:]) if word not in WORDS else None
        if percentile is not None and percentile > 100:
            raise RuleError(where, field="condition", seen=f"the percentile {word!r}", expected="p0 to p100")
        return cls(word, comparator, limit, percentile)

    def __str__(self) -> str:
        return "any value" if self is ANY_VALUE else f"{self.word} {self.comparator} {self.threshold:g}".lstrip()

    def fits(self, metric_type: MetricType) -> bool:
        """Whether the word means something for such a metric."""
        return metric_type in (WORDS[self.word] if self.percentile is None else _DISTRIBUTION)

    def against(self, threshold: float) -> "Condition":
        """Give the same condition with another threshold."""
        return replace(self, threshold=threshold)

    def holds(self, value: float, *, at_least: bool = False) -> bool | None:
        """Whether `value` breaches; where it is but a lower bound of the truth (`at_least`), None if it proves nothing."""
        return compare(self.comparator, value, self.threshold, at_least=at_least)

    @property
    def wants_high(self) -> bool:
        """Whether large values are the bad ones."""
        return self.comparator in (">", ">=", "==", "!=")


ANY_VALUE: Final = Condition("", ">=", -math.inf)
"""Breached by whatever there is: the expression of a query leaves out what is well."""


def split(text: str, where: str) -> tuple[str, str, str]:
    """Give the word, the comparator and the number of a condition, the first and the last empty where they are left out."""
    shape = _SHAPE.fullmatch(text) if isinstance(text, str) else None
    if shape is None:
        raise RuleError(where, field="condition", seen=f"the condition {text!r}", expected=_EXPECTED)
    word, comparator, digits = shape.groups()
    return word, comparator, digits


def compare(comparator: str, value: float, threshold: float, *, at_least: bool = False) -> bool | None:
    """Whether `value` stands so to `threshold`; where it is but a lower bound of the truth, None if it proves nothing."""
    here = COMPARATORS[comparator](value, threshold)
    if not at_least:
        return here
    # Every value from `value` up is possible: the answer stands only if it is the same for all of them.
    everywhere_above = COMPARATORS[comparator](math.inf, threshold)
    crosses = comparator in ("==", "!=") and value <= threshold
    return here if here == everywhere_above and not crosses else None


def _number(digits: str, text: str, where: str) -> float:
    try:
        number = float(digits)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RuleError(where, field="condition", seen=f"{digits!r} in the condition {text!r}", expected="a finite number")
    return number


def _agree(number: float | None, threshold: float | None, text: str, where: str) -> float:
    if threshold is not None and (
        isinstance(threshold, bool) or not isinstance(threshold, int | float) or not math.isfinite(threshold)
    ):
        raise RuleError(where, field="threshold", seen=f"the threshold {threshold!r}", expected="a finite number")
    match number, threshold:
        case None, None:
            raise RuleError(
                where,
                field="threshold",
                seen=f"no number in the condition {text!r} and no threshold",
                expected="give one",
            )
        case None, float() | int():
            return float(threshold)
        case float(), None:
            return number
        case _ if number == threshold:
            return float(number or 0.0)
        case _:
            raise RuleError(
                where,
                field="threshold",
                seen=f"the threshold {threshold!r} beside the condition {text!r}",
                expected="both must say the same number; leave one out",
            )
