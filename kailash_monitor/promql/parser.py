"""The parser: a PromQL text becomes a tree."""

import math
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql.durations import MAX_SECONDS, parse_duration
from kailash_monitor.promql.errors import ParseError
from kailash_monitor.promql.functions import AGGREGATORS, FUNCTIONS
from kailash_monitor.promql.lexer import DURATION, END, ERROR, NAME, NUMBER, RULE_NAME, STRING, Token, tokens
from kailash_monitor.promql.numbers import parse_number
from kailash_monitor.promql.operators import OPERATORS, UNARY_PRECEDENCE, Purpose
from kailash_monitor.promql.quoting import quoted, unquoted
from kailash_monitor.promql.regex import fits
from kailash_monitor.promql.tree import (
    NO_MATCHING,
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
)
from kailash_monitor.promql.types import check

__all__ = ["MAX_LENGTH", "MAX_NESTING", "MAX_TOKENS", "parse", "parse_selector"]

MAX_LENGTH: Final = 65_536
"""Characters of a text: long regular expressions make long texts."""

MAX_TOKENS: Final = 5_000
"""Words and signs of a text: far beyond what people write, and read in some 10 ms, for which an event loop may wait."""

MAX_NESTING: Final = 64
"""Levels of parentheses and right operands. Each takes about five calls, of the 1,000 that Python allows all in all."""


def parse(text: str, *, experimental: bool = True) -> Expression:
    """Read a PromQL expression of Prometheus 3, and check that its parts fit together.

    A ParseError says what is wrong and where. With `experimental=False` that is also whatever a Prometheus without feature
    flags refuses.
    """
    try:
        tree = _Parser(text).whole()
        check(tree, text, experimental=experimental)
    except RecursionError:  # called from so deep that Python's limit comes before ours
        raise ParseError("expression nested too deeply", text, 0) from None
    return tree


def parse_selector(text: str) -> Selector:
    """Read a bare selector, such as `up{job="x"}`, the `match[]` of Prometheus' HTTP API; it may well demand nothing."""
    return _Parser(text).whole_selector()


_CALLED: Final = frozenset({"start", "end", "step", "range", "max_of", "min_of"})
_METRICS: Final = frozenset(
    {NAME, RULE_NAME, "and", "or", "unless", "by", "without", "offset", "anchored", "smoothed", *AGGREGATORS, *_CALLED}
)
"""What may name a metric at the start of an expression: keywords too, where they cannot mean anything else."""

_STARTS: Final = _METRICS | {NUMBER, DURATION, STRING, "{", "(", "+", "-"}
"""What an expression may start with."""

_LABELS: Final = (_METRICS | {"atan2", "bool", "group_left", "group_right", "ignoring", "on"}) - {"without"}
"""What may name a label in a list of labels."""

_MODIFIERS: Final = frozenset({"bool", "on", "ignoring", "fill", "fill_left", "fill_right"})
_MATCHES: Final = {operator.value: operator for operator in Operator}
_IN_DURATIONS: Final = {
    symbol: one for symbol, one in OPERATORS.items() if one.purpose is Purpose.ARITHMETIC and symbol != "atan2"
}
_A_DURATION: Final = "number, duration, step(), or range()"


class _Parser:
    """Reads one text, by recursive descent. `_within` says what an unexpected token is reported to be in."""

    __slots__ = ("_depth", "_place", "_text", "_token", "_tokens", "_within")

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ParseError(f"expression longer than {MAX_LENGTH} characters", text, MAX_LENGTH)
        self._text = text
        self._tokens = list(islice(tokens(text), MAX_TOKENS + 1))
        if len(self._tokens) > MAX_TOKENS:
            raise ParseError(f"expression of more than {MAX_TOKENS} words and signs", text, self._tokens[-1].start)
        self._place = 0
        self._token = self._tokens[0]
        self._depth = 0
        self._within = ("", "")

    def whole(self) -> Expression:
        if self._token.kind == END:
            raise ParseError("no expression found in input", self._text, 0)
        tree = self._expression()
        if self._token.kind != END:
            raise self._unexpected()
        return tree

    def whole_selector(self) -> Selector:
        if self._token.kind not in _METRICS and self._token.kind != "{":
            raise self._unexpected()
        selector = self._selector()
        if self._token.kind != END:
            raise self._unexpected()
        return selector

    # Tokens

    def _advance(self) -> Token:
        """Give the token that was next, and go on to the one after it."""
        token = self._token
        self._place += 1
        self._token = self._tokens[self._place]
        return token

    def _expect(self, kind: str, within: str = "", expected: str = "") -> Token:
        if self._token.kind != kind:
            raise self._unexpected(within, expected)
        return self._advance()

    def _unexpected(self, within: str = "", expected: str = "") -> ParseError:
        token = self._token
        if token.kind == ERROR:
            return ParseError(token.text, self._text, token.start, token.end)
        if not within:
            within, expected = self._within
        message = f"unexpected {token.described()}"
        message += f" in {within}" if within else ""
        message += f", expected {expected}" if expected else ""
        return ParseError(message, self._text, token.start, token.end)

    def _error(self, message: str, node: Expression) -> ParseError:
        return ParseError(message, self._text, node.start, node.end)

    # Expressions

    def _expression(self, least: int = 1) -> Expression:
        """Read operands and the operators between them that bind at least so tightly."""
        self._deeper()
        left = self._operand()
        while (operator := OPERATORS.get(self._token.kind)) is not None and operator.precedence >= least:
            self._advance()
            returns_bool, matching = self._modifiers() if self._token.kind in _MODIFIERS else (False, NO_MATCHING)
            right = self._expression(operator.right_precedence)
            left = Binary(operator.symbol, left, right, returns_bool, matching, start=left.start, end=right.end)
        self._depth -= 1
        return left

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            token = self._token
            raise ParseError(f"expression nested more than {MAX_NESTING} levels deep", self._text, token.start, token.end)

    def _operand(self) -> Expression:
        if self._token.kind not in ("+", "-"):
            return self._modified(self._primary())
        sign = self._advance()
        operand = self._expression(UNARY_PRECEDENCE + 1)
        return _signed(sign, operand)

    def _primary(self) -> Expression:
        token = self._token
        kind = token.kind
        after = self._tokens[self._place + 1].kind if kind != END and kind != ERROR else END
        if after == "(" and (kind == NAME or kind in _CALLED):
            return self._call()
        if kind in AGGREGATORS and after in ("(", "by", "without"):
            return self._aggregation()
        if kind in _METRICS or kind == "{":
            return self._selector()
        if kind in (NUMBER, DURATION):
            return self._number()
        if kind == STRING:
            self._advance()
            return String(self._string(token), start=token.start, end=token.end)
        if kind == "(":
            self._advance()
            inner = self._expression()
            return Paren(inner, start=token.start, end=self._expect(")").end)
        raise self._unexpected()

    def _number(self) -> Number:
        token = self._advance()
        try:
            value = parse_duration(token.text) if token.kind == DURATION else parse_number(token.text)
        except ValueError as error:
            raise ParseError(str(error), self._text, token.start, token.end) from None
        return Number(value, token.kind == DURATION, start=token.start, end=token.end)

    def _string(self, token: Token) -> str:
        try:
            return unquoted(token.text)
        except ValueError as error:
            raise ParseError(str(error), self._text, token.start, token.end) from None

    def _call(self) -> Call:
        name = self._advance()
        arguments, end = self._arguments()
        if name.text not in FUNCTIONS:
            raise ParseError(f"unknown function with name {quoted(name.text)}", self._text, name.start, name.end)
        return Call(name.text, arguments, start=name.start, end=end)

    def _arguments(self) -> tuple[tuple[Expression, ...], int]:
        """Read `(a, b, …)`; give the expressions, and where the parenthesis ends."""
        self._expect("(")
        arguments: list[Expression] = []
        while self._token.kind != ")" or arguments:
            arguments.append(self._expression())
            if self._token.kind != ",":
                break
            comma = self._advance()
            if self._token.kind not in _STARTS and self._token.kind != ERROR:
                raise ParseError("trailing commas not allowed in function call args", self._text, comma.start, comma.end)
        return tuple(arguments), self._expect(")").end

    def _aggregation(self) -> Aggregation:
        name = self._advance()
        outside, self._within = self._within, ("aggregation", "")
        grouped = self._token.kind != "("
        without, grouping, _ = self._grouping() if grouped else (False, (), 0)
        arguments, end = self._arguments()
        self._within = outside
        if not grouped and self._token.kind in ("by", "without"):
            without, grouping, end = self._grouping()
        wanted = 1 if AGGREGATORS[name.kind].parameter is None else 2
        if len(arguments) != wanted:
            counts = f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(arguments)}"
            message = counts if arguments else "no arguments for aggregate expression provided"
            raise ParseError(message, self._text, name.start, end)
        parameter = arguments[0] if wanted == 2 else None
        return Aggregation(name.kind, arguments[-1], parameter, grouping, without, start=name.start, end=end)

    def _grouping(self) -> tuple[bool, tuple[str, ...], int]:
        without = self._advance().kind == "without"
        labels, end = self._labels()
        return without, labels, end

    def _labels(self) -> tuple[tuple[str, ...], int]:
        """Read `(a, "b", …)`, a comma at the end allowed; give the names, and where the parenthesis ends."""
        within = "grouping opts"
        self._expect("(", within, '"("')
        labels: list[str] = []
        while self._token.kind != ")":
            labels.append(self._label(within))
            if self._token.kind != ",":
                break
            self._advance()
        return tuple(labels), self._expect(")", within, '"," or ")"').end

    def _label(self, within: str) -> str:
        if self._token.kind not in _LABELS and self._token.kind != STRING:
            raise self._unexpected(within, "label")
        token = self._advance()
        name = self._string(token) if token.kind == STRING else token.text
        if not name or any("\ud800" <= character < "\ue000" for character in name):
            raise ParseError(f"invalid label name for grouping: {quoted(name)}", self._text, token.start, token.end)
        return name

    # Binary operators

    def _modifiers(self) -> tuple[bool, Matching]:
        """Read what may follow a binary operator: `bool`, `on`/`ignoring`, `group_left`/`group_right`, `fill…`."""
        returns_bool = self._took("bool")
        matching = self._on_or_ignoring() if self._token.kind in ("on", "ignoring") else NO_MATCHING
        left, right = self._fills()
        if left is not None or right is not None:
            matching = replace(matching, fill_left=left, fill_right=right)
        return returns_bool, matching

    def _on_or_ignoring(self) -> Matching:
        on = self._advance().kind == "on"
        labels, _ = self._labels()
        if self._token.kind not in ("group_left", "group_right"):
            return Matching(on, labels)
        many = Side.LEFT if self._advance().kind == "group_left" else Side.RIGHT
        include = self._labels()[0] if self._token.kind == "(" else ()
        return Matching(on, labels, many, include)

    def _took(self, kind: str) -> bool:
        if self._token.kind != kind:
            return False
        self._advance()
        return True

    def _fills(self) -> tuple[Number | None, Number | None]:
        if self._took("fill"):
            both = self._fill_value()
            return both, both
        left = self._fill_value() if self._took("fill_left") else None
        right = self._fill_value() if self._took("fill_right") else None
        if left is None and self._took("fill_left"):
            left = self._fill_value()
        return left, right

    def _fill_value(self) -> Number:
        self._expect("(")
        value = self._signed_number()
        self._expect(")")
        return value

    def _signed_number(self, within: str = "", expected: str = "") -> Number:
        sign = self._advance() if self._token.kind in ("+", "-") else None
        if self._token.kind not in (NUMBER, DURATION):
            raise self._unexpected(within, expected)
        number = self._number()
        return number if sign is None else _signed_value(sign, number)

    # Selectors

    def _selector(self) -> Selector:
        first = self._token
        name = "" if first.kind == "{" else self._advance().text
        matchers, end = self._matchers() if self._token.kind == "{" else ((), first.end)
        return Selector(name, matchers, start=first.start, end=end)

    def _matchers(self) -> tuple[tuple[LabelMatcher, ...], int]:
        within = "label matching"
        self._advance()
        matchers: list[LabelMatcher] = []
        while self._token.kind != "}":
            matchers.append(self._matcher(within))
            if self._token.kind != ",":
                break
            self._advance()
        return tuple(matchers), self._expect("}", within, '"," or "}"').end

    def _matcher(self, within: str) -> LabelMatcher:
        if self._token.kind not in (NAME, STRING):
            raise self._unexpected(within, 'identifier or "}"')
        name = self._advance()
        text = self._string(name) if name.kind == STRING else name.text
        operator = _MATCHES.get(self._token.kind)
        if operator is None:
            if name.kind == STRING:
                return LabelMatcher("__name__", Operator.EQUAL, text)
            raise self._unexpected(within, "label matching operator")
        self._advance()
        value = self._string(self._expect(STRING, within, "string"))
        if operator in (Operator.REGEX, Operator.NOT_REGEX):
            try:
                fits(value)
            except ValueError as error:
                raise ParseError(str(error), self._text, name.start, name.end) from None
        return LabelMatcher(text, operator, value)

    def _modified(self, node: Expression) -> Expression:
        """Read what may follow an operand: `[range]`, `[range:step]`, `offset`, `@`, `anchored`, `smoothed`."""
        while True:
            match self._token.kind:
                case "[":
                    node = self._ranged(node)
                case "offset":
                    node = self._moved(node)
                case "@":
                    node = self._pinned(node)
                case "anchored" | "smoothed":
                    node = self._anchored(node)
                case _:
                    return node

    def _ranged(self, node: Expression) -> Expression:
        bracket = self._advance()
        window = self._positive_duration("subquery or range selector", _A_DURATION)
        if self._took(":"):
            step = None
            if self._token.kind != "]":
                step = self._positive_duration("subquery selector", f'{_A_DURATION.replace(", or", ",")}, or "]"')
            end = self._expect("]", "subquery selector", '"]"').end
            return Subquery(node, window, step, start=node.start, end=end)
        end = self._expect("]", "subquery or range", '":" or "]"').end
        if not isinstance(node, Selector):
            problem = "ranges only allowed for vector selectors"
        elif node.offset is not None:
            problem = "no offset modifiers allowed before range"
        elif node.at is not None:
            problem = "no @ modifiers allowed before range"
        else:
            return RangeSelector(node, window, start=node.start, end=end)
        raise ParseError(problem, self._text, bracket.start, end)

    def _moved(self, node: Expression) -> Expression:
        self._advance()
        outside, self._within = self._within, ("offset", _A_DURATION)
        sign = self._advance() if self._token.kind in ("+", "-") else None
        offset = self._duration_operand()
        offset = offset if sign is None else _signed(sign, offset)
        self._within = outside
        target = self._target(node, "offset modifier")
        if target.offset is not None:
            raise self._error("offset may not be set multiple times", node)
        nothing = isinstance(offset, Number) and not offset.value
        return _altered(node, offset.end, offset=None if nothing else offset)

    def _pinned(self, node: Expression) -> Expression:
        self._advance()
        within, expected = "@", "timestamp"
        at: float | Boundary
        if self._token.kind in ("start", "end"):
            at = Boundary(self._advance().kind)
            self._expect("(", within, expected)
            end = self._expect(")", within, expected).end
        else:
            number = self._signed_number(within, expected)
            at, end = self._timestamp(number.value, node), number.end
        if self._target(node, "@ modifier").at is not None:
            raise self._error("@ <timestamp> may not be set multiple times", node)
        return _altered(node, end, at=at)

    def _timestamp(self, value: float, node: Expression) -> float:
        """Give `value` in whole milliseconds, as Prometheus has it."""
        if not -(2.0**63) < value < 2.0**63:
            shown = {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN") if not math.isfinite(value) else f"{value:f}"
            raise self._error(f"timestamp out of bounds for @ modifier: {shown}", node)
        if abs(value) >= 2**43:  # no float there has a finer fraction
            return value
        return math.copysign(math.floor(abs(value) * 1000 + 0.5), value) / 1000

    def _target(self, node: Expression, modifier: str) -> Selector | Subquery:
        """Give what a modifier behind `node` is about."""
        target = node.selector if isinstance(node, RangeSelector) else node
        if not isinstance(target, Selector | Subquery):
            kinds = "an instant vector selector or range vector selector or a subquery"
            raise self._error(f"{modifier} must be preceded by {kinds}", node)
        return target

    def _anchored(self, node: Expression) -> Expression:
        word = self._advance()
        target = node.selector if isinstance(node, RangeSelector) else node
        if isinstance(target, Subquery):
            raise self._error(f"{word.kind} modifier is not supported for subqueries", node)
        if not isinstance(target, Selector):
            raise self._error(f"{word.kind} modifier not implemented", node)
        anchor = Anchor(word.kind)
        if target.anchor not in (None, anchor):
            raise self._error("anchored and smoothed modifiers cannot be used together", node)
        return _altered(node, word.end, anchor=anchor)

    # Durations

    def _positive_duration(self, within: str, expected: str) -> Expression:
        outside, self._within = self._within, (within, expected)
        duration = self._duration()
        self._within = outside
        if isinstance(duration, Number) and not duration.value > 0:
            raise self._error("duration must be greater than 0", duration)
        return duration

    def _duration(self, least: int = 1) -> Expression:
        """Read a duration expression: numbers, `step()`, `range()`, `min_of`, `max_of` and arithmetic."""
        self._deeper()
        if self._token.kind in ("+", "-"):
            sign = self._advance()
            left = _signed(sign, self._duration(UNARY_PRECEDENCE + 1))
        else:
            left = self._duration_operand()
        while (operator := _IN_DURATIONS.get(self._token.kind)) is not None and operator.precedence >= least:
            sign = self._advance()
            right = self._duration(operator.right_precedence)
            if sign.kind in "/%" and isinstance(right, Number) and not right.value:
                problem = "division by zero" if sign.kind == "/" else "modulo by zero"
                raise ParseError(problem, self._text, sign.start, sign.end)
            left = Binary(operator.symbol, left, right, start=left.start, end=right.end)
        self._depth -= 1
        return left

    def _duration_operand(self) -> Expression:
        token = self._token
        match token.kind:
            case "number" | "duration":
                number = self._number()
                if not abs(number.value) <= MAX_SECONDS:
                    raise self._error("duration out of range", number)
                return number
            case "step" | "range":
                self._advance()
                self._expect("(")
                return Call(token.kind, start=token.start, end=self._expect(")").end)
            case "min_of" | "max_of":
                self._advance()
                self._expect("(")
                first = self._duration()
                self._expect(",")
                return Call(token.kind, (first, self._duration()), start=token.start, end=self._expect(")").end)
            case "(":
                self._advance()
                return Paren(self._duration(), start=token.start, end=self._expect(")").end)
            case _:
                raise self._unexpected()


def _signed_value(sign: Token, number: Number) -> Number:
    value = -number.value if sign.kind == "-" else number.value
    return Number(value, number.duration, start=sign.start, end=number.end)


def _signed(sign: Token, operand: Expression) -> Expression:
    """Give `operand` with a sign before it; a number takes it in."""
    if isinstance(operand, Number):
        return _signed_value(sign, operand)
    return Unary(sign.kind, operand, start=sign.start, end=operand.end)


def _altered(node: Expression, end: int, **changes: Any) -> Expression:  # Any: the fields of a selector or a subquery
    """Give `node` with changes in what a modifier behind it is about."""
    if isinstance(node, RangeSelector):
        return replace(node, selector=replace(node.selector, **changes), end=end)
    return replace(node, end=end, **changes)
