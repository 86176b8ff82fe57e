"""Signatures: the functions and aggregations of PromQL, what they take and what they give."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["AGGREGATORS", "FUNCTIONS", "Aggregator", "Signature", "ValueType"]


class ValueType(Enum):
    """What an expression evaluates to. The value is the name that Prometheus' HTTP API gives the type."""

    SCALAR = "scalar"
    VECTOR = "vector"
    MATRIX = "matrix"
    STRING = "string"

    @property
    def documented(self) -> str:
        """The name that the documentation and the error texts use."""
        return _DOCUMENTED.get(self, self.value)


_DOCUMENTED: Final = {ValueType.VECTOR: "instant vector", ValueType.MATRIX: "range vector"}


@dataclass(frozen=True, slots=True)
class Signature:
    """A function: its arguments' types, how many there may be (`most` is None for any number), and its result's type.

    The last type counts for all arguments from there on. An experimental function is off in a default Prometheus.
    """

    name: str
    arguments: tuple[ValueType, ...]
    least: int
    most: int | None
    result: ValueType
    experimental: bool


@dataclass(frozen=True, slots=True)
class Aggregator:
    """An aggregation: its name and the type of the parameter before the vector, None where there is none."""

    name: str
    parameter: ValueType | None
    experimental: bool


_LETTERS: Final = {"s": ValueType.SCALAR, "v": ValueType.VECTOR, "m": ValueType.MATRIX, "t": ValueType.STRING}

_SHAPES: Final = (  # result, arguments (s scalar, v vector, m matrix, t string), least, most, names
    (
        "v",
        "v",
        1,
        1,
        "abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor ln log10 log2 rad sgn sin sinh",
    ),
    ("v", "v", 1, 1, "sqrt tan tanh sort sort_desc timestamp"),
    ("v", "v", 1, 1, "histogram_avg histogram_count histogram_sum histogram_stddev histogram_stdvar"),
    ("v", "v", 0, 1, "days_in_month day_of_month day_of_week day_of_year hour minute month year"),
    ("v", "m", 1, 1, "changes delta deriv idelta increase irate rate resets"),
    (
        "v",
        "m",
        1,
        1,
        "absent_over_time avg_over_time count_over_time first_over_time last_over_time mad_over_time max_over_time",
    ),
    ("v", "m", 1, 1, "min_over_time present_over_time stddev_over_time stdvar_over_time sum_over_time"),
    ("v", "m", 1, 1, "ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time"),
    ("v", "sm", 2, 2, "quantile_over_time"),
    ("v", "ms", 2, 2, "predict_linear"),
    ("v", "mss", 3, 3, "double_exponential_smoothing"),
    ("v", "vs", 2, 2, "clamp_max clamp_min"),
    ("v", "vss", 3, 3, "clamp"),
    ("v", "vs", 1, 2, "round"),
    ("v", "sv", 2, 2, "histogram_quantile"),
    ("v", "ssv", 3, 3, "histogram_fraction"),
    ("v", "vtss", 3, 12, "histogram_quantiles"),
    ("v", "vtttt", 5, 5, "label_replace"),
    ("v", "vttt", 3, None, "label_join"),
    ("v", "vt", 1, None, "sort_by_label sort_by_label_desc"),
    ("v", "vv", 1, 2, "info"),
    ("v", "s", 1, 1, "vector"),
    ("s", "v", 1, 1, "scalar"),
    ("s", "", 0, 0, "end pi range start step time"),
    ("s", "ss", 2, 2, "max_of min_of"),
)

_EXPERIMENTAL: Final = frozenset(
    {
        "double_exponential_smoothing",
        "end",
        "first_over_time",
        "histogram_quantiles",
        "info",
        "limit_ratio",
        "limitk",
        "mad_over_time",
        "max_of",
        "min_of",
        "range",
        "sort_by_label",
        "sort_by_label_desc",
        "start",
        "step",
        "ts_of_first_over_time",
        "ts_of_last_over_time",
        "ts_of_max_over_time",
        "ts_of_min_over_time",
    }
)


def _signatures() -> Iterator[Signature]:
    for result, arguments, least, most, names in _SHAPES:
        types = tuple(_LETTERS[letter] for letter in arguments)
        for name in names.split():
            yield Signature(name, types, least, most, _LETTERS[result], name in _EXPERIMENTAL)


FUNCTIONS: Final[dict[str, Signature]] = {signature.name: signature for signature in _signatures()}
"""Every function by its name: those of Prometheus 3.14."""

AGGREGATORS: Final[dict[str, Aggregator]] = {
    name: Aggregator(name, parameter, name in _EXPERIMENTAL)
    for parameter, names in (
        (None, "sum avg count min max group stddev stdvar"),
        (ValueType.SCALAR, "topk bottomk quantile limitk limit_ratio"),
        (ValueType.STRING, "count_values"),
    )
    for name in names.split()
}
"""Every aggregation by its name."""
