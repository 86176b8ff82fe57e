"""Rule queries: PromQL expressions that rules judge by, read and checked."""

from dataclasses import dataclass, field

from kailash_monitor.errors import RuleError
from kailash_monitor.promql import Expression, ParseError, ValueType, check, parse

__all__ = ["RuleQuery"]


@dataclass(frozen=True, slots=True)
class RuleQuery:
    """An expression, evaluated `offset` seconds before the present. What it gives breaches: one alert for each series."""

    text: str
    offset: float = 0.0
    tree: Expression = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tree = parse(self.text)
        if check(tree, self.text) not in (ValueType.VECTOR, ValueType.SCALAR):
            raise ParseError("rule result is not a vector or scalar", self.text, tree.start, tree.end)
        object.__setattr__(self, "tree", tree)

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
