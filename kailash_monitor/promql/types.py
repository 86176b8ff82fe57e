"""Static types: whether the parts of a tree fit together, and what each evaluates to."""

from collections.abc import Callable
from typing import Any, Final

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql.errors import ParseError
from kailash_monitor.promql.functions import AGGREGATORS, FUNCTIONS, Signature, ValueType
from kailash_monitor.promql.operators import OPERATORS, Purpose
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.promql.regex import accepts_empty
from kailash_monitor.promql.tree import (
    Aggregation,
    Binary,
    Call,
    Expression,
    LabelMatcher,
    Number,
    Paren,
    RangeSelector,
    Selector,
    String,
    Subquery,
    Unary,
)

__all__ = ["MAX_DEPTH", "accepts_absent", "check", "type_of"]

MAX_DEPTH: Final = 128
"""Levels of a tree. Whoever walks it may call itself for each without fear of Python's limit of 1,000."""

_SCALAR, _VECTOR = ValueType.SCALAR, ValueType.VECTOR


def type_of(node: Expression) -> ValueType:
    """Give what `node`, which must have passed `check`, evaluates to."""
    while isinstance(node, Paren | Unary):
        node = node.expression
    match node:
        case Binary(left=left, right=right):
            return _SCALAR if type_of(left) is type_of(right) is _SCALAR else _VECTOR
        case Call(name=name):
            return FUNCTIONS[name].result
        case _:
            return _PLAIN[type(node)]


_PLAIN: Final[dict[type, ValueType]] = {
    Number: ValueType.SCALAR,
    String: ValueType.STRING,
    Selector: ValueType.VECTOR,
    Aggregation: ValueType.VECTOR,
    RangeSelector: ValueType.MATRIX,
    Subquery: ValueType.MATRIX,
}


def check(tree: Expression, text: str = "", *, experimental: bool = True) -> ValueType:
    """Give what `tree` evaluates to.

    A ParseError about `text`, from which it was read, where its parts do not fit, where it is nested too deeply, and, with
    `experimental=False`, where it uses what a Prometheus without feature flags does not know.
    """
    return _Checker(text, experimental=experimental).type_of(tree, 0)


class _Checker:
    __slots__ = ("_checks", "_experimental", "_text")

    def __init__(self, text: str, *, experimental: bool) -> None:
        self._text = text
        self._experimental = experimental
        self._checks: dict[type, Callable[[Any, int], ValueType]] = {  # Any: each takes its own kind of node
            Selector: self._selector,
            RangeSelector: self._range_selector,
            Subquery: self._subquery,
            Call: self._call,
            Aggregation: self._aggregation,
            Binary: self._binary,
            Unary: self._unary,
            Paren: self._paren,
        }

    def type_of(self, node: Expression, depth: int) -> ValueType:
        if depth > MAX_DEPTH:
            raise self._error(f"expression nested more than {MAX_DEPTH} levels deep", node)
        kind = type(node)
        return self._checks[kind](node, depth + 1) if kind in self._checks else _PLAIN[kind]

    def _error(self, message: str, node: Expression) -> ParseError:
        return ParseError(message, self._text, node.start, node.end)

    def _expect(self, wanted: ValueType, node: Expression, where: str, depth: int) -> None:
        found = self.type_of(node, depth)
        if found is not wanted:
            raise self._error(f"expected type {wanted.documented} in {where}, got {found.documented}", node)

    def _paren(self, node: Paren, depth: int) -> ValueType:
        return self.type_of(node.expression, depth)

    def _unary(self, node: Unary, depth: int) -> ValueType:
        found = self.type_of(node.expression, depth)
        if found not in (_SCALAR, _VECTOR):
            kinds = "unary expression only allowed on expressions of type scalar or instant vector"
            raise self._error(f"{kinds}, got {quoted(found.documented)}", node)
        return found

    def _selector(self, node: Selector, depth: int) -> ValueType:
        self._settings(node, depth)
        if node.name:
            for matcher in node.matchers:
                if matcher.name == "__name__":
                    names = f"{quoted(node.name)} or {quoted(matcher.value)}"
                    raise self._error(f"metric name must not be set twice: {names}", node)
        elif all(map(accepts_absent, node.matchers)):
            raise self._error("vector selector must contain at least one non-empty matcher", node)
        return _VECTOR

    def _settings(self, node: Selector, depth: int) -> None:
        self._duration(node.offset, depth)
        if node.anchor is not None and not self._experimental:
            raise self._error(f"{node.anchor.value} modifier is experimental and not enabled", node)

    def _duration(self, duration: Expression | None, depth: int) -> None:
        if duration is None or isinstance(duration, Number):
            return
        if not self._experimental:
            raise self._error("experimental duration expression is not enabled", duration)
        self.type_of(duration, depth)

    def _range_selector(self, node: RangeSelector, depth: int) -> ValueType:
        self._duration(node.window, depth)
        self.type_of(node.selector, depth)
        return ValueType.MATRIX

    def _subquery(self, node: Subquery, depth: int) -> ValueType:
        for duration in (node.window, node.step, node.offset):
            self._duration(duration, depth)
        found = self.type_of(node.expression, depth)
        if found is not _VECTOR:
            raise self._error(f"subquery is only allowed on instant vector, got {found.value} instead", node)
        return ValueType.MATRIX

    def _call(self, node: Call, depth: int) -> ValueType:
        signature = FUNCTIONS[node.name]
        if signature.experimental and not self._experimental:
            raise self._error(f"function {quoted(node.name)} is not enabled", node)
        self._count(node, signature)
        where = f'call to function "{node.name}"'
        last = len(signature.arguments) - 1
        for index, argument in enumerate(node.arguments):
            if node.name == "info" and index == 1:
                self._labels_only(argument, where, depth)
            else:
                self._expect(signature.arguments[min(index, last)], argument, where, depth)
        return signature.result

    def _count(self, node: Call, signature: Signature) -> None:
        least, most, given = signature.least, signature.most, len(node.arguments)
        if least == most != given:
            wanted = f"{least}"
        elif given < least:
            wanted = f"at least {least}"
        elif most is not None and given > most:
            wanted = f"at most {most}"
        else:
            return
        raise self._error(f"expected {wanted} argument(s) in call to {quoted(node.name)}, got {given}", node)

    def _labels_only(self, node: Expression, where: str, depth: int) -> None:
        """Check the second argument of `info`: braces, which may demand anything."""
        if not isinstance(node, Selector):
            found = self.type_of(node, depth)
            if found is not _VECTOR:
                raise self._error(f"expected type instant vector in {where}, got {found.documented}", node)
            raise self._error("expected label selectors only", node)
        if node.name:
            raise self._error("expected label selectors only, got vector selector instead", node)
        self._settings(node, depth)

    def _aggregation(self, node: Aggregation, depth: int) -> ValueType:
        aggregator = AGGREGATORS[node.name]
        if aggregator.experimental and not self._experimental:
            flag = "must be enabled with --enable-feature=promql-experimental-functions"
            raise self._error(f"{node.name}() is experimental and {flag}", node)
        self._expect(_VECTOR, node.expression, "aggregation expression", depth)
        if aggregator.parameter is not None and node.parameter is not None:
            self._expect(aggregator.parameter, node.parameter, "aggregation parameter", depth)
        return _VECTOR

    def _binary(self, node: Binary, depth: int) -> ValueType:
        left, right = self.type_of(node.left, depth), self.type_of(node.right, depth)
        purpose = OPERATORS[node.operator].purpose
        if node.returns_bool and purpose is not Purpose.COMPARISON:
            raise self._operator_error("bool modifier can only be used on comparison operators", node)
        if purpose is Purpose.COMPARISON and not node.returns_bool and left is right is _SCALAR:
            raise self._operator_error("comparisons between scalars must use BOOL modifier", node)
        for operand, found in ((node.left, left), (node.right, right)):
            if found not in (_SCALAR, _VECTOR):
                raise self._error("binary expression must contain only scalar and instant vector types", operand)
        self._matching(node, purpose, vectors=left is right is _VECTOR)
        return _SCALAR if left is right is _SCALAR else _VECTOR

    def _matching(self, node: Binary, purpose: Purpose, *, vectors: bool) -> None:
        matching = node.matching
        both = matching.on and set(matching.labels) & set(matching.include)
        if both:
            label = next(label for label in matching.labels if label in both)
            raise self._operator_error(f"label {quoted(label)} must not occur in ON and GROUP clause at once", node)
        filled = matching.fill_left is not None or matching.fill_right is not None
        if filled and not self._experimental:
            raise self._error("binop fill modifiers are experimental and not enabled", node)
        if not vectors:
            if matching.labels:
                raise self._error("vector matching only allowed between instant vectors", node)
            if filled:
                raise self._error("filling in missing series only allowed between instant vectors", node)
            if purpose is Purpose.SET:
                name = quoted(node.operator)
                raise self._error(f"set operator {name} not allowed in binary scalar expression", node)
        elif purpose is Purpose.SET:
            if matching.many is not None:
                raise self._error(f"no grouping allowed for {quoted(node.operator)} operation", node)
            if filled:
                raise self._error("filling in missing series not allowed for set operators", node)

    def _operator_error(self, message: str, node: Binary) -> ParseError:
        """An error that points at what stands between the operands."""
        between = self._text[node.left.end : node.right.start]
        start = node.left.end + len(between) - len(between.lstrip())
        return ParseError(message, self._text, start, node.left.end + len(between.rstrip()))


def accepts_absent(matcher: LabelMatcher) -> bool:
    """Whether a series that has not the label, or has it empty, meets the demand."""
    match matcher.operator:
        case Operator.EQUAL:
            return not matcher.value
        case Operator.NOT_EQUAL:
            return bool(matcher.value)
        case Operator.REGEX:
            return accepts_empty(matcher.value)
        case Operator.NOT_REGEX:
            return not accepts_empty(matcher.value)
