"""PromQL: texts become trees, trees become texts and values."""

from kailash_monitor.promql.durations import seconds_of
from kailash_monitor.promql.errors import EvaluationError, ParseError
from kailash_monitor.promql.functions import AGGREGATORS, FUNCTIONS, Aggregator, Signature, ValueType
from kailash_monitor.promql.numbers import number_text
from kailash_monitor.promql.operators import OPERATORS, BinaryOperator, Purpose
from kailash_monitor.promql.parser import parse, parse_selector
from kailash_monitor.promql.printer import to_text
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.promql.tree import (
    Aggregation,
    Anchor,
    Binary,
    Boundary,
    Call,
    Expression,
    LabelMatcher,
    Matching,
    Number,
    Paren,
    RangeSelector,
    Selector,
    Side,
    String,
    Subquery,
    Unary,
    children,
    walk,
)
from kailash_monitor.promql.types import accepts_absent, check, type_of

__all__ = [
    "AGGREGATORS",
    "FUNCTIONS",
    "OPERATORS",
    "Aggregation",
    "Aggregator",
    "Anchor",
    "Binary",
    "BinaryOperator",
    "Boundary",
    "Call",
    "EvaluationError",
    "Expression",
    "LabelMatcher",
    "Matching",
    "Number",
    "Paren",
    "ParseError",
    "Purpose",
    "RangeSelector",
    "Selector",
    "Side",
    "Signature",
    "String",
    "Subquery",
    "Unary",
    "ValueType",
    "accepts_absent",
    "check",
    "children",
    "number_text",
    "parse",
    "parse_selector",
    "quoted",
    "seconds_of",
    "to_text",
    "type_of",
    "walk",
]
