"""Binary operators of PromQL: how tightly each binds, and what it is for."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["OPERATORS", "UNARY_PRECEDENCE", "BinaryOperator", "Purpose"]


class Purpose(Enum):
    """What a binary operator does with its operands."""

    ARITHMETIC = "arithmetic"
    COMPARISON = "comparison"
    SET = "set"


@dataclass(frozen=True, slots=True)
class BinaryOperator:
    """An operator between two expressions. A higher `precedence` binds tighter; only `^` groups to the right."""

    symbol: str
    precedence: int
    purpose: Purpose

    @property
    def right_precedence(self) -> int:
        """The least precedence of an operator that belongs to the right operand."""
        return self.precedence if self.symbol == "^" else self.precedence + 1


OPERATORS: Final[dict[str, BinaryOperator]] = {
    symbol: BinaryOperator(symbol, precedence, purpose)
    for precedence, purpose, symbols in (
        (1, Purpose.SET, "or"),
        (2, Purpose.SET, "and unless"),
        (3, Purpose.COMPARISON, "== != <= < >= >"),
        (4, Purpose.ARITHMETIC, "+ -"),
        (5, Purpose.ARITHMETIC, "* / % atan2"),
        (6, Purpose.ARITHMETIC, "^"),
    )
    for symbol in symbols.split()
}
"""Every binary operator by its symbol; words are written in lower case."""

UNARY_PRECEDENCE: Final = OPERATORS["*"].precedence
"""A sign binds as multiplication does: `-a ^ b` is `-(a ^ b)`, `-a * b` is `(-a) * b`."""
