"""Reading expressions: what a rule reads, in PromQL, whether or not it breaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.promql import Binary, Expression, Number, Paren, Unary, to_text
from kailash_monitor.rules.condition import COMPARATORS
from kailash_monitor.rules.export import metrics_of
from kailash_monitor.rules.expressions import ExportedMetric, reading_of
from kailash_monitor.rules.rule import AlertRule

__all__ = ["Compared", "compared", "reading_expression"]

_MIRRORED: Final = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}

_NARROWS: Final = frozenset({"and", "unless"})
"""What only leaves series out of those on its left."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What an expression reads, and the number that it compares that with; `comparator` is empty where there is none."""

    tree: Expression
    comparator: str = ""
    threshold: float | None = None

    @property
    def text(self) -> str:
        """What it reads, as a text."""
        return to_text(self.tree)

    @property
    def wants_high(self) -> bool:
        """Whether large values are the bad ones."""
        return self.comparator not in ("<", "<=")


def compared(tree: Expression) -> Compared:
    """Give what `tree` compares with a number, at its top or left of its `and` and `unless`; else all of it.

    A comparison that gives 0 or 1 (`bool`) is none: what it gives is what its author reads.
    """
    found = _found(tree)
    return Compared(tree) if found is None else found


def _found(node: Expression) -> Compared | None:
    match node:
        case Paren(expression=expression):
            return _found(expression)
        case Binary(operator=operator, left=left) if operator in _NARROWS:
            return _found(left)
        case Binary(operator=operator, left=left, right=right, returns_bool=False) if operator in COMPARATORS:
            limit = _number(right)
            if limit is not None:
                return Compared(_bare(left), operator, limit)
            limit = _number(left)
            return None if limit is None else Compared(_bare(right), _MIRRORED[operator], limit)
        case _:
            return None


def _bare(node: Expression) -> Expression:
    while isinstance(node, Paren):
        node = node.expression
    return node


def _number(node: Expression) -> float | None:
    match node:
        case Number(value=value):
            return value
        case Paren(expression=expression):
            return _number(expression)
        case Unary(operator=operator, expression=expression):
            value_of = _number(expression)
            return None if value_of is None else -value_of if operator == "-" else value_of
        case _:
            return None


def reading_expression(
    rule: AlertRule, metrics: Sequence[ExportedMetric], group: Mapping[str, str] = NO_LABELS
) -> str | None:
    """Give what `rule` reads, in all collectors that it applies to, or of one label group alone.

    It is over the exported names and in their base units. None where only the program can tell: what a function of its own
    answers. A RuleError where what it reads is not there, does not fit, or is not on pages.
    """
    if rule.expr is not None:
        return compared(rule.expr.tree).text
    if rule.reading is not None:
        return None
    return "\nor ".join([reading_of(rule, metric, other, group) for metric, other in metrics_of(rule, metrics)])
