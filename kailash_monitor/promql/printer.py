"""The printer: a tree becomes a PromQL text, in the form that Prometheus gives it."""

import re
from typing import Final, assert_never

from kailash_monitor.promql.durations import duration_text
from kailash_monitor.promql.numbers import number_text
from kailash_monitor.promql.operators import OPERATORS, UNARY_PRECEDENCE
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.promql.tree import (
    Aggregation,
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
    String,
    Subquery,
    Unary,
)

__all__ = ["to_text"]

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NOT_METRICS: Final = frozenset({"bool", "on", "ignoring", "group_left", "group_right", "atan2", "inf", "nan"})
_NOT_LABELS: Final = frozenset({"without", "inf", "nan"})

_TIGHTEST: Final = max(operator.precedence for operator in OPERATORS.values()) + 1
"""Of what needs no parentheses anywhere."""


def to_text(tree: Expression) -> str:
    """Give `tree` as a text in one line, which `parse` reads as the same tree.

    Where a tree made by hand has none, parentheses are added so that the text means the same.
    """
    match tree:
        case Number():
            return _number(tree)
        case String(value=value):
            return quoted(value)
        case Selector():
            return _selector(tree, "")
        case RangeSelector(selector=selector, window=window):
            return _selector(selector, f"[{_duration(window)}]")
        case Subquery(expression=expression, window=window, step=step):
            resolution = "" if step is None else _duration(step)
            return f"{_within(expression, _TIGHTEST)}[{_duration(window)}:{resolution}]{_modifiers(tree)}"
        case Call(name=name, arguments=arguments):
            return f"{name}({', '.join(map(to_text, arguments))})"
        case Aggregation():
            return _aggregation(tree)
        case Binary():
            return _binary(tree)
        case Unary():
            return _unary(tree)
        case Paren(expression=expression):
            return f"({to_text(expression)})"
        case _:
            assert_never(tree)


def _number(node: Number) -> str:
    return (duration_text(node.value) if node.duration else None) or number_text(node.value)


def _duration(node: Expression) -> str:
    """A range, a step or an offset: a plain number is written as a duration."""
    return (duration_text(node.value) or number_text(node.value)) if isinstance(node, Number) else to_text(node)


def _within(node: Expression, least: int) -> str:
    """An operand, in parentheses where it binds less tightly than `least`."""
    return to_text(node) if _precedence(node) >= least else f"({to_text(node)})"


def _precedence(node: Expression) -> int:
    match node:
        case Binary(operator=operator):
            return OPERATORS[operator].precedence
        case Unary():
            return UNARY_PRECEDENCE
        case Number() if _number(node)[0] in "+-":
            return UNARY_PRECEDENCE
        case _:
            return _TIGHTEST


def _unary(node: Unary) -> str:
    inner = node.expression
    if isinstance(inner, Number):
        return f"{node.operator}({_number(inner)})"  # without parentheses the number would take the sign in
    return node.operator + _within(inner, UNARY_PRECEDENCE + (not isinstance(inner, Unary)))


def _binary(node: Binary) -> str:
    operator = OPERATORS[node.operator]
    left = _within(node.left, operator.precedence + (operator.right_precedence == operator.precedence))
    signed = _precedence(node.right) == UNARY_PRECEDENCE and not isinstance(node.right, Binary)
    right = _within(node.right, 0 if signed else operator.right_precedence)
    returns_bool = " bool" if node.returns_bool else ""
    return f"{left} {node.operator}{returns_bool}{_matching(node.matching)} {right}"


def _matching(matching: Matching) -> str:
    text = ""
    if matching.on or matching.labels or matching.many:
        text = f" {'on' if matching.on else 'ignoring'} ({_labels(matching.labels)})"
    if matching.many:
        text += f" group_{matching.many.value} ({_labels(matching.include)})"
    left, right = matching.fill_left, matching.fill_right
    if left is not None and left == right:
        return f"{text} fill ({_number(left)})"
    if left is not None:
        text += f" fill_left ({_number(left)})"
    if right is not None:
        text += f" fill_right ({_number(right)})"
    return text


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join([_label(name, _NOT_LABELS) for name in names])


def _label(name: str, reserved: frozenset[str] = frozenset()) -> str:
    return name if _LABEL.fullmatch(name) and name.lower() not in reserved else quoted(name)


def _aggregation(node: Aggregation) -> str:
    grouping = ""
    if node.without or node.grouping:
        grouping = f" {'without' if node.without else 'by'} ({_labels(node.grouping)}) "
    parameter = "" if node.parameter is None else f"{to_text(node.parameter)}, "
    return f"{node.name}{grouping}({parameter}{to_text(node.expression)})"


def _selector(node: Selector, window: str) -> str:
    plain = _METRIC.fullmatch(node.name) is not None and node.name.lower() not in _NOT_METRICS
    matchers = [_matcher(matcher) for matcher in node.matchers]
    if node.name and not plain:
        matchers.insert(0, quoted(node.name))
    name = node.name if plain else ""
    braces = f"{{{','.join(matchers)}}}" if matchers or not name else ""
    anchor = "" if node.anchor is None else f" {node.anchor.value}"
    return f"{name}{braces}{window}{anchor}{_modifiers(node)}"


def _matcher(matcher: LabelMatcher) -> str:
    return f"{_label(matcher.name)}{matcher.operator.value}{quoted(matcher.value)}"


def _modifiers(node: Selector | Subquery) -> str:
    match node.at:
        case None:
            text = ""
        case Boundary() as boundary:
            text = f" @ {boundary.value}()"
        case at:
            text = f" @ {at:.3f}"
    if node.offset is None:
        return text
    return f"{text} offset {_offset(node.offset)}"


def _offset(offset: Expression) -> str:
    """An offset, in parentheses unless it is a number, a call, or has some, with or without a sign."""
    bare = offset.expression if isinstance(offset, Unary) else offset
    return to_text(Paren(offset)) if isinstance(bare, Binary | Unary) else _duration(offset)
