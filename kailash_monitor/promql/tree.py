"""The tree of a PromQL expression.

Nodes are equal when they mean the same, wherever they stand: `start` and `end`, the offsets in the text that they were read
from, do not count.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from kailash_monitor.model.matcher import Operator

__all__ = [
    "NO_MATCHING",
    "Aggregation",
    "Anchor",
    "Binary",
    "Boundary",
    "Call",
    "Expression",
    "LabelMatcher",
    "Matching",
    "Number",
    "Paren",
    "RangeSelector",
    "Selector",
    "Side",
    "String",
    "Subquery",
    "Unary",
    "children",
    "walk",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Number(_Node):
    """A number. `duration` says that it was written as one (`5m` for 300): it is printed so, and means the same."""

    value: float
    duration: bool = False

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Number) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> str:
        """What tells numbers apart: 0 and -0 are two here, and NaN is NaN."""
        return repr(float(self.value))


@dataclass(frozen=True, slots=True)
class String(_Node):
    """A text. A byte that is no UTF-8 is a lone surrogate in it, see `quoting`."""

    value: str


@dataclass(frozen=True, slots=True)
class LabelMatcher:
    """One demand on one label, `name` being any text. An absent label has the empty value; expressions are RE2's."""

    name: str
    operator: Operator
    value: str


class Anchor(Enum):
    """How a selector's range treats samples at its edges (experimental)."""

    ANCHORED = "anchored"
    SMOOTHED = "smoothed"


class Boundary(Enum):
    """A time that only the query knows: where it starts or ends."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class Selector(_Node):
    """The series that meet all demands, each with its latest value.

    `name` is the metric's where one stands before the braces, else empty; `matchers` are those in the braces.
    `at` is a time in seconds. `offset` is seconds back, negative for forward: a Number, or a duration expression, which
    `durations.seconds_of` evaluates. None for both means the time of evaluation.
    """

    name: str = ""
    matchers: tuple[LabelMatcher, ...] = ()
    offset: "Expression | None" = None
    at: float | Boundary | None = None
    anchor: Anchor | None = None

    def demands(self) -> tuple[LabelMatcher, ...]:
        """Give all that a series must meet, its name included."""
        if not self.name:
            return self.matchers
        return (LabelMatcher("__name__", Operator.EQUAL, self.name), *self.matchers)


@dataclass(frozen=True, slots=True)
class RangeSelector(_Node):
    """The samples of a selector's series in the last `window` seconds, a Number or a duration expression."""

    selector: Selector
    window: "Expression"


@dataclass(frozen=True, slots=True)
class Subquery(_Node):
    """An expression evaluated over the last `window` each `step` (None: the default); `offset` and `at` as in Selector."""

    expression: "Expression"
    window: "Expression"
    step: "Expression | None" = None
    offset: "Expression | None" = None
    at: float | Boundary | None = None


@dataclass(frozen=True, slots=True)
class Call(_Node):
    """A function of that name (`functions.FUNCTIONS`) with its arguments."""

    name: str
    arguments: tuple["Expression", ...] = ()


@dataclass(frozen=True, slots=True)
class Aggregation(_Node):
    """A vector folded by groups: `name` is one of `functions.AGGREGATORS`, `parameter` what that takes before the vector.

    A group has the same values of the labels in `grouping`, or with `without`, of all others.
    """

    name: str
    expression: "Expression"
    parameter: "Expression | None" = None
    grouping: tuple[str, ...] = ()
    without: bool = False


class Side(Enum):
    """One operand of a binary operator."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Matching:
    """Which series of two vectors belong together.

    Those that agree in the labels `labels` (`on`), or in all but these. `many` is the side where several series may match
    one of the other, whose labels `include` the result then takes. `fill_left` and `fill_right` stand in for a series
    that is missing on that side.
    """

    on: bool = False
    labels: tuple[str, ...] = ()
    many: Side | None = None
    include: tuple[str, ...] = ()
    fill_left: Number | None = None
    fill_right: Number | None = None


NO_MATCHING = Matching()
"""Nothing was said: series belong together that agree in all labels."""


@dataclass(frozen=True, slots=True)
class Binary(_Node):
    """Two operands and one of `operators.OPERATORS`. `returns_bool`: a comparison gives 0 or 1 and filters nothing."""

    operator: str
    left: "Expression"
    right: "Expression"
    returns_bool: bool = False
    matching: Matching = NO_MATCHING


@dataclass(frozen=True, slots=True)
class Unary(_Node):
    """`+` or `-` before an expression that is no plain number."""

    operator: str
    expression: "Expression"


@dataclass(frozen=True, slots=True)
class Paren(_Node):
    """An expression in parentheses, kept so that the text can be given back."""

    expression: "Expression"


Expression: TypeAlias = Number | String | Selector | RangeSelector | Subquery | Call | Aggregation | Binary | Unary | Paren
"""Any node that has a value."""


def children(node: Expression) -> tuple[Expression, ...]:
    """Give the expressions directly within `node`, in the order of the text; durations are not among them."""
    match node:
        case Binary(left=left, right=right):
            return (left, right)
        case Call(arguments=arguments):
            return arguments
        case Aggregation(expression=expression, parameter=parameter):
            return (expression,) if parameter is None else (parameter, expression)
        case RangeSelector(selector=selector):
            return (selector,)
        case Subquery(expression=expression) | Unary(expression=expression) | Paren(expression=expression):
            return (expression,)
        case _:
            return ()


def walk(node: Expression) -> Iterator[Expression]:
    """Give `node` and all within it, each before what it contains."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(children(one))
