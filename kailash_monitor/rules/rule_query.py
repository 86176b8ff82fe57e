"""Rule queries: PromQL expressions that rules judge by, read and checked."""

from dataclasses import dataclass, field
from typing import Final

from kailash_monitor.errors import RuleError
from kailash_monitor.promql import (
    Expression,
    ParseError,
    RangeSelector,
    Selector,
    Subquery,
    ValueType,
    check,
    children,
    parse,
    seconds_of,
)

__all__ = ["RuleQuery"]


INSTANT: Final = 300.0


@dataclass(frozen=True, slots=True)
class RuleQuery:
    """An expression, evaluated `offset` seconds before the present. What it gives breaches: one alert for each series.

    `reach` is how many seconds before the present it looks, at most; an instant is five minutes, as long as a sample counts.
    """

    text: str
    offset: float = 0.0
    tree: Expression = field(init=False, repr=False, compare=False)
    reach: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tree = parse(self.text)
        if check(tree, self.text) not in (ValueType.VECTOR, ValueType.SCALAR):
            raise ParseError("rule result is not a vector or scalar", self.text, tree.start, tree.end)
        object.__setattr__(self, "tree", tree)
        object.__setattr__(self, "reach", self.offset + max(INSTANT, _reach(tree, self.text)))

    @classmethod
    def of(cls, given: object, where: str) -> "RuleQuery":
        """Give the query that `given`, a text or one already, stands for; a RuleError about `where` points at the place."""
        if isinstance(given, RuleQuery):
            return given
        if not isinstance(given, str):
            raise RuleError(where, field="expr", seen=f"expr = {given!r}", expected="a PromQL expression as a text")
        try:
            return cls(given)
        except ParseError as error:
            raise RuleError(
                where, field="expr", seen=error.summary, expected=f"mend the expression:\n{error.excerpt}"
            ) from None

    def __str__(self) -> str:
        return self.text


def _reach(node: Expression, text: str) -> float:
    def seconds(duration: Expression | None) -> float:
        return 0.0 if duration is None else max(0.0, seconds_of(duration, step=0.0, span=0.0, text=text))

    within = max([_reach(child, text) for child in children(node)], default=0.0)
    match node:
        case Selector(offset=offset):
            return within + seconds(offset)
        case RangeSelector(window=window):
            return within + seconds(window)
        case Subquery(window=window, offset=offset):
            return within + seconds(window) + seconds(offset)
        case _:
            return within
