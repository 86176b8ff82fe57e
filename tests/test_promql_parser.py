"""The PromQL parser: what texts mean, how their parts must fit, and how errors say what is wrong and where."""

import json
import pickle
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.errors import MonitoringError
from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql import (
    FUNCTIONS,
    Aggregation,
    Anchor,
    Binary,
    Boundary,
    Call,
    LabelMatcher,
    Matching,
    Number,
    Paren,
    ParseError,
    RangeSelector,
    Selector,
    Side,
    String,
    Subquery,
    Unary,
    ValueType,
    parse,
    parse_selector,
    seconds_of,
    to_text,
    type_of,
    walk,
)
from kailash_monitor.promql.parser import MAX_LENGTH, MAX_NESTING, MAX_TOKENS
from kailash_monitor.promql.regex import accepts_empty
from kailash_monitor.promql.types import MAX_DEPTH

SHARED = Path(__file__).parents[2] / "shared"
SCRIPTS = sorted((SHARED / "promqltest").glob("*.test"))
RULE_FILES = sorted((SHARED / "rulefiles").glob("*.yml"))

needs_scripts = pytest.mark.skipif(not SCRIPTS, reason="the scripts of ../shared/promqltest are not here")
needs_rules = pytest.mark.skipif(not RULE_FILES, reason="the rules of ../shared/rulefiles are not here")

A, B, C, X = (Selector(name) for name in "abcx")
MINUTES = Number(300.0)


def error_of(text: str, *, experimental: bool = True) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse(text, experimental=experimental)
    return caught.value


# What texts mean


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1", Number(1.0)),
        ("0x1F", Number(31.0)),
        ("-1", Number(-1.0)),
        ("+Inf", Number(float("inf"))),
        ("nan", Number(float("nan"))),
        ("--1", Number(1.0)),
        ("5m", Number(300.0)),
        ("-1.5", Number(-1.5)),
        ("'a\\tb'", String("a\tb")),
        ("(1)", Paren(Number(1.0))),
        ("-a", Unary("-", A)),
        ("-(1)", Unary("-", Paren(Number(1.0)))),
        ("time()", Call("time")),
        ("abs(a)", Call("abs", (A,))),
        ("round(a, 5)", Call("round", (A, Number(5.0)))),
        ("start()", Call("start")),
        ("min_of(1, 2)", Call("min_of", (Number(1.0), Number(2.0)))),
    ],
)
def test_literals_and_calls(text: str, tree: object) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a + b * c", "a + (b * c)"),
        ("a * b + c", "(a * b) + c"),
        ("a - b - c", "(a - b) - c"),
        ("a ^ b ^ c", "a ^ (b ^ c)"),
        ("a * b ^ c", "a * (b ^ c)"),
        ("a / b % c atan2 a * b", "(((a / b) % c) atan2 a) * b"),
        ("a + b > c - a", "(a + b) > (c - a)"),
        ("a > b == c", "(a > b) == c"),
        ("a > 1 and b < 2", "(a > 1) and (b < 2)"),
        ("a or b and c", "a or (b and c)"),
        ("a and b or c", "(a and b) or c"),
        ("a unless b and c", "(a unless b) and c"),
        ("-a ^ b", "-(a ^ b)"),
        ("-a * b", "(-a) * b"),
        ("-a + b", "(-a) + b"),
        ("a ^ -b ^ c", "a ^ (-(b ^ c))"),
        ("a ^ -b * c", "(a ^ (-b)) * c"),
        ("- - a", "-(-a)"),
        ("-a offset 5m", "-(a offset 5m)"),
        ("a + b offset 5m", "a + (b offset 5m)"),
        ("a offset 5m + 5m", "(a offset 5m) + 5m"),
        ("a * on (x) group_left b + c", "(a * on (x) group_left b) + c"),
    ],
)
def test_operators_bind_as_in_prometheus(text: str, same: str) -> None:
    """The second text has the parentheses that the first does not need."""
    assert without_parens(parse(text)) == without_parens(parse(same))


def without_parens(node: object) -> object:
    """The tree as nested tuples, without the parentheses."""
    match node:
        case Paren(expression=inner):
            return without_parens(inner)
        case Binary(operator=operator, left=left, right=right, matching=matching):
            return operator, without_parens(left), without_parens(right), matching
        case Unary(operator=operator, expression=inner):
            return operator, without_parens(inner)
        case _:
            return node


def test_a_number_takes_its_sign_in_unless_a_power_comes_first() -> None:
    assert parse("-1 * 2") == Binary("*", Number(-1.0), Number(2.0))
    assert parse("-1 ^ 2") == Unary("-", Binary("^", Number(1.0), Number(2.0)))
    assert parse("2 ^ -1") == Binary("^", Number(2.0), Number(-1.0))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("a{}", A),
        ("a:b{c='d',}", Selector("a:b", (LabelMatcher("c", Operator.EQUAL, "d"),))),
        (
            'a{b="1", c!="2", d=~"3", e!~"4"}',
            Selector("a", tuple(LabelMatcher(n, o, v) for n, o, v in zip("bcde", Operator, "1234", strict=True))),
        ),
        ('{"my.metric"}', Selector("", (LabelMatcher("__name__", Operator.EQUAL, "my.metric"),))),
        (
            "{'my metric', \"é.b\"=~`\\d`}",
            Selector(
                "", (LabelMatcher("__name__", Operator.EQUAL, "my metric"), LabelMatcher("é.b", Operator.REGEX, "\\d"))
            ),
        ),
        (
            '{by="x", sum="y"}',
            Selector("", (LabelMatcher("by", Operator.EQUAL, "x"), LabelMatcher("sum", Operator.EQUAL, "y"))),
        ),
        ("a offset 5m", Selector("a", offset=MINUTES)),
        ("a offset 300", Selector("a", offset=MINUTES)),
        ("a offset -5m", Selector("a", offset=Number(-300.0))),
        ("a offset +5m", Selector("a", offset=MINUTES)),
        ("a offset 0s", A),
        ("a @ 100", Selector("a", at=100.0)),
        ("a @ 1m40s", Selector("a", at=100.0)),
        ("a @ -1.2345", Selector("a", at=-1.235)),
        ("a @ 1e15", Selector("a", at=1e15)),
        ("a @ start()", Selector("a", at=Boundary.START)),
        ("a @ end() offset 5m", Selector("a", offset=MINUTES, at=Boundary.END)),
        ("a offset 5m @ 1", Selector("a", offset=MINUTES, at=1.0)),
        ("a anchored", Selector("a", anchor=Anchor.ANCHORED)),
        ("a[5m]", RangeSelector(A, MINUTES)),
        ("a[300]", RangeSelector(A, MINUTES)),
        ("a[5m] offset 5m @ 1", RangeSelector(Selector("a", offset=MINUTES, at=1.0), MINUTES)),
        ("a[5m] smoothed", RangeSelector(Selector("a", anchor=Anchor.SMOOTHED), MINUTES)),
        ("a smoothed[5m]", RangeSelector(Selector("a", anchor=Anchor.SMOOTHED), MINUTES)),
        ("a[5m:]", Subquery(A, MINUTES)),
        ("a[5m:1]", Subquery(A, MINUTES, Number(1.0))),
        ("(a)[5m : 5m] @ 2 offset -5m", Subquery(Paren(A), MINUTES, MINUTES, Number(-300.0), 2.0)),
        ("abs(a)[5m:]", Subquery(Call("abs", (A,)), MINUTES)),
        ("a offset 5m[5m:]", Subquery(Selector("a", offset=MINUTES), MINUTES)),
    ],
)
def test_selectors(text: str, tree: object) -> None:
    assert parse(text) == tree


def test_a_selector_demands_its_name_as_well() -> None:
    assert [matcher.name for matcher in parse_selector('a{b="c"}').demands()] == ["__name__", "b"]
    assert parse_selector("{}").demands() == ()


@pytest.mark.parametrize("text", ["up", "up{}", '{a=""}', "sum", "{}", "by"])
def test_a_bare_selector_may_demand_anything(text: str) -> None:
    assert isinstance(parse_selector(text), Selector)


@pytest.mark.parametrize("text", ["", "up + 1", "1", "rate(up[5m])", "up[5m]", "bool"])
def test_a_bare_selector_is_nothing_else(text: str) -> None:
    with pytest.raises(ParseError):
        parse_selector(text)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("sum(a)", Aggregation("sum", A)),
        ("SUM(a)", Aggregation("sum", A)),
        ("sum by (x) (a)", Aggregation("sum", A, grouping=("x",))),
        ("sum(a) by (x, y,)", Aggregation("sum", A, grouping=("x", "y"))),
        ("sum by () (a)", Aggregation("sum", A)),
        ("avg without (x) (a)", Aggregation("avg", A, grouping=("x",), without=True)),
        ("group(a) without ()", Aggregation("group", A, without=True)),
        ("topk(3, a)", Aggregation("topk", A, Number(3.0))),
        ("count_values by (x) ('v', a)", Aggregation("count_values", A, String("v"), ("x",))),
        ("limit_ratio(-0.5, a)", Aggregation("limit_ratio", A, Number(-0.5))),
        ("min by (by, on, start, atan2, offset, bool) (a)", Aggregation("min", A, grouping=("by", "on", "start", "atan2", "offset", "bool"))),
        ("max by ('my.label', \"without\") (a)", Aggregation("max", A, grouping=("my.label", "without"))),
    ],
)  # fmt: skip
def test_aggregations(text: str, tree: object) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a == bool b", Binary("==", A, B, True)),
        ("a + on (x) b", Binary("+", A, B, matching=Matching(True, ("x",)))),
        ("a + on () b", Binary("+", A, B, matching=Matching(True))),
        ("a + ignoring (x, y) b", Binary("+", A, B, matching=Matching(False, ("x", "y")))),
        ("a AND ignoring () b", Binary("and", A, B)),
        ("a / on (x) group_left b", Binary("/", A, B, matching=Matching(True, ("x",), Side.LEFT))),
        ("a / on (x) group_left () b", Binary("/", A, B, matching=Matching(True, ("x",), Side.LEFT))),
        ("a > bool on (x) group_right (y) b", Binary(">", A, B, True, Matching(True, ("x",), Side.RIGHT, ("y",)))),
        ("a + fill (0) b", Binary("+", A, B, matching=Matching(fill_left=Number(0.0), fill_right=Number(0.0)))),
        ("a + on (x) fill_right(-1) fill_left(NaN) b", Binary("+", A, B, matching=Matching(True, ("x",), fill_left=Number(float("nan")), fill_right=Number(-1.0)))),
        ("a + on (x) group_left fill_left (2) b", Binary("+", A, B, matching=Matching(True, ("x",), Side.LEFT, fill_left=Number(2.0)))),
    ],
)  # fmt: skip
def test_vector_matching(text: str, tree: object) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    "name",
    ["sum", "and", "or", "unless", "by", "without", "offset", "start", "end", "step", "range", "min_of", "fill", "fill_left", "anchored", "topk", "limitk", "a:b", "rate"],
)  # fmt: skip
def test_a_metric_may_be_called_like_most_keywords(name: str) -> None:
    assert parse(name) == Selector(name)
    assert parse(f"{name} + {name}") == Binary("+", Selector(name), Selector(name))
    used = next(node for node in walk(parse(f"sum({name}{{x='1'}} offset 5m)")) if isinstance(node, Selector))
    assert used.name == name


@pytest.mark.parametrize("name", ["bool", "on", "ignoring", "group_left", "group_right", "atan2"])
def test_no_metric_is_called_like_the_modifiers_of_operators(name: str) -> None:
    assert error_of(name).message.startswith("unexpected <")


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("5m", 300), ("5m + 1m", 360), ("1m * 2 ^ 3", 480), ("-(5m - 10m)", 300), ("-10s + 15s", 5), ("10m / 2 % 7", 6),
        ("step()", 15), ("range() / 2", 1800), ("min_of(step(), 1s)", 1), ("max_of(step() * 2, 1s)", 30), ("(+step())", 15), ("2 ^ -1", 0.5),
    ],
)  # fmt: skip
def test_durations_are_computed_from_the_query(duration: str, expected: float) -> None:
    tree = parse(f"a[{duration}]")
    assert isinstance(tree, RangeSelector)
    assert seconds_of(tree.window, step=15, span=3600) == expected


@pytest.mark.parametrize(
    ("duration", "message"),
    [
        ("1m / (step() - 15)", "division by zero"),
        ("1m % (step() - 15)", "modulo by zero"),
        ("10 ^ 10 ^ step()", "duration is out of range"),
        ("(-8) ^ 0.5", "duration is out of range"),
    ],
)
def test_a_duration_that_cannot_be_computed_is_an_error_with_a_place(duration: str, message: str) -> None:
    text = f"a[{duration}]"
    tree = parse(text)
    assert isinstance(tree, RangeSelector)
    with pytest.raises(ParseError) as caught:
        seconds_of(tree.window, step=15, span=3600, text=text)
    assert caught.value.summary == f"1:3: parse error: {message}"


def test_what_is_no_duration_cannot_be_computed() -> None:
    with pytest.raises(ParseError, match="expected number literal or duration expression"):
        seconds_of(A, step=15, span=3600)


def test_numbers_are_told_apart_by_sign_but_not_by_how_they_are_written() -> None:
    assert Number(0.0) != Number(-0.0)
    assert len({Number(float("nan")), Number(-float("nan"))}) == 1
    assert Number(300.0, duration=True) == Number(300.0)


@pytest.mark.parametrize(
    ("text", "rest"),
    [("a offset step() * 2", "* 2"), ("a offset -2 ^ 2", "^ 2"), ("a offset min_of(1m, step()) + 1", "+ 1"), ("a offset (1m) / 2", "/ 2")],
)  # fmt: skip
def test_an_offset_ends_before_an_operator(text: str, rest: str) -> None:
    tree = parse(text)
    assert isinstance(tree, Binary)
    assert f"{tree.operator} {to_text(tree.right)}" == rest


def test_every_node_knows_its_place_in_the_text() -> None:
    text = '  sum by (x) (rate(a{b="c"}[5m] offset 1m)) > -(time()) '
    places = {type(node).__name__: text[node.start : node.end] for node in walk(parse(text))}
    assert places == {
        "Binary": 'sum by (x) (rate(a{b="c"}[5m] offset 1m)) > -(time())',
        "Aggregation": 'sum by (x) (rate(a{b="c"}[5m] offset 1m))',
        "RangeSelector": 'a{b="c"}[5m] offset 1m',
        "Selector": 'a{b="c"}',
        "Unary": "-(time())",
        "Paren": "(time())",
        "Call": "time()",
    }


def test_places_do_not_make_trees_unequal() -> None:
    assert parse("a+b") == parse(" a  +  b ")
    assert hash(parse("a+b")) == hash(parse(" a  +  b "))


# Types


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", ValueType.SCALAR), ("-(1 + time())", ValueType.SCALAR), ("'x'", ValueType.STRING), ("a", ValueType.VECTOR),
        ("1 + a", ValueType.VECTOR), ("a[5m]", ValueType.MATRIX), ("(a)[5m:]", ValueType.MATRIX), ("sum(a)", ValueType.VECTOR),
        ("scalar(a)", ValueType.SCALAR), ("rate(a[5m])", ValueType.VECTOR),
    ],
)  # fmt: skip
def test_each_expression_has_a_type(text: str, expected: ValueType) -> None:
    assert type_of(parse(text)) is expected


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("rate(1)", 6, 'expected type range vector in call to function "rate", got scalar'),
        ("rate(a)", 6, 'expected type range vector in call to function "rate", got instant vector'),
        ("abs(a[5m])", 5, 'expected type instant vector in call to function "abs", got range vector'),
        ("abs('x')", 5, 'expected type instant vector in call to function "abs", got string'),
        ("abs(1)", 5, 'expected type instant vector in call to function "abs", got scalar'),
        ("label_join(a, 'b', 'c', 'd', 5)", 30, 'expected type string in call to function "label_join", got scalar'),
        ("abs()", 1, 'expected 1 argument(s) in call to "abs", got 0'),
        ("abs(a, b)", 1, 'expected 1 argument(s) in call to "abs", got 2'),
        ("time(1)", 1, 'expected 0 argument(s) in call to "time", got 1'),
        ("round()", 1, 'expected at least 1 argument(s) in call to "round", got 0'),
        ("hour(a, b)", 1, 'expected at most 1 argument(s) in call to "hour", got 2'),
        ("nope(a)", 1, 'unknown function with name "nope"'),
        ("Rate(a[5m])", 1, 'unknown function with name "Rate"'),
        ("sum(1)", 5, "expected type instant vector in aggregation expression, got scalar"),
        ("sum(a[5m])", 5, "expected type instant vector in aggregation expression, got range vector"),
        ("topk(a, b)", 6, "expected type scalar in aggregation parameter, got instant vector"),
        ("count_values(1, a)", 14, "expected type string in aggregation parameter, got scalar"),
        ("topk(a)", 1, "wrong number of arguments for aggregate expression provided, expected 2, got 1"),
        ("sum(a, b)", 1, "wrong number of arguments for aggregate expression provided, expected 1, got 2"),
        ("sum()", 1, "no arguments for aggregate expression provided"),
        ("-'x'", 1, 'unary expression only allowed on expressions of type scalar or instant vector, got "string"'),
        ("-a[5m]", 1, 'unary expression only allowed on expressions of type scalar or instant vector, got "range vector"'),
        ("1 + 'x'", 5, "binary expression must contain only scalar and instant vector types"),
        ("a[5m] + 1", 1, "binary expression must contain only scalar and instant vector types"),
        ("1 == 1", 3, "comparisons between scalars must use BOOL modifier"),
        ("1 + bool 1", 3, "bool modifier can only be used on comparison operators"),
        ("1 and 1", 1, 'set operator "and" not allowed in binary scalar expression'),
        ("a or 1", 1, 'set operator "or" not allowed in binary scalar expression'),
        ("a + on (x) 1", 1, "vector matching only allowed between instant vectors"),
        ("1 + ignoring (x) a", 1, "vector matching only allowed between instant vectors"),
        ("a + fill (0) 1", 1, "filling in missing series only allowed between instant vectors"),
        ("a and on (x) group_left b", 1, 'no grouping allowed for "and" operation'),
        ("a and fill (0) b", 1, "filling in missing series not allowed for set operators"),
        ("a + on (x, y) group_left (y) b", 3, 'label "y" must not occur in ON and GROUP clause at once'),
        ("1[5m:]", 1, "subquery is only allowed on instant vector, got scalar instead"),
        ("a[5m][5m:]", 1, "subquery is only allowed on instant vector, got matrix instead"),
        ("{}", 1, "vector selector must contain at least one non-empty matcher"),
        ('{a=""}', 1, "vector selector must contain at least one non-empty matcher"),
        ('{a!="b"}', 1, "vector selector must contain at least one non-empty matcher"),
        ('{a=~".*"}', 1, "vector selector must contain at least one non-empty matcher"),
        ('{a!~".+"}', 1, "vector selector must contain at least one non-empty matcher"),
        ('a{__name__="b"}', 1, 'metric name must not be set twice: "a" or "b"'),
        ('a{"b"}', 1, 'metric name must not be set twice: "a" or "b"'),
        ("info(a, b)", 9, "expected label selectors only, got vector selector instead"),
        ("info(a, sum(b))", 9, "expected label selectors only"),
        ("info(a, 1)", 9, 'expected type instant vector in call to function "info", got scalar'),
    ],
)
def test_what_does_not_fit_is_an_error_in_prometheus_words(text: str, column: int, message: str) -> None:
    assert error_of(text).summary == f"1:{column}: parse error: {message}"


@pytest.mark.parametrize(
    "text", ['{a!=""}', '{a=~".+"}', '{a!~".*"}', '{__name__=~"a|b"}', '{a="",b="c"}', "info(a, {})", 'info(a, {b=~".*"})']
)
def test_one_demand_that_the_empty_value_does_not_meet_is_enough(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", True), ("a", False), ("a*", True), ("a|", True), ("|a", True), ("(a|b*)c?", True), ("(a|b)c?", False), (".*", True), (".+", False),
        ("(?:a){0,3}", True), ("a{0}", True), ("a{2,}", False), ("(a?){2,}", True), ("^$", True), (r"\A\z", True), (r"\b", False), ("(?i)", True),
        ("(?i)a", False), ("(?P<x>a*)", True), ("[*]", False), ("[]*]", False), ("[^]a]*", True), (r"\*", False), (r"\Q\E", True), (r"\Qa*\E", False),
        ("[[:alpha:]]", False), ("[[:alpha:]]*", True), (r"\pL+", False), (r"\p{Greek}*", True), ("(a*)+?", True), ("a**", True),
    ],
)  # fmt: skip
def test_whether_an_expression_accepts_the_empty_value(pattern: str, expected: bool) -> None:
    assert accepts_empty(pattern) is expected


@given(st.text(alphabet="ab.*+?|()[]^$\\{}0,1:", max_size=12))
def test_an_expression_that_python_reads_too_accepts_the_same(pattern: str) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):
            compiled = re.compile(pattern)
    except re.error:
        return
    odd = re.search(r"[*+?}][+]|\(\?|\\\d|\{,|\[\[|[*+?^$(|][*+?{]", pattern)  # what Python and RE2 read differently
    if not odd and not re.search(r"\{\d*,?\d*\}[*+?{]|^[{]|[|(^$][{]|\\[abAB]", pattern):
        assert accepts_empty(pattern) is (compiled.fullmatch("") is not None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limitk(1, a)", "limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions"),
        ("info(a)", 'function "info" is not enabled'),
        ("a[5m + 5m]", "experimental duration expression is not enabled"),
        ("a offset step()", "experimental duration expression is not enabled"),
        ("(a)[5m:step()]", "experimental duration expression is not enabled"),
        ("a anchored", "anchored modifier is experimental and not enabled"),
        ("a[5m] smoothed", "smoothed modifier is experimental and not enabled"),
        ("a + fill (0) b", "binop fill modifiers are experimental and not enabled"),
    ],
)
def test_what_a_default_prometheus_does_not_know_can_be_refused(text: str, message: str) -> None:
    parse(text)
    assert error_of(text, experimental=False).message == message


def test_all_functions_have_a_signature_that_names_them() -> None:
    assert all(name == signature.name for name, signature in FUNCTIONS.items())
    assert sum(signature.experimental for signature in FUNCTIONS.values()) == 17


# Errors

OLD = [  # texts that Prometheus refuses since long, in these words
    ("1+", 3, "unexpected end of input"),
    ("*1", 1, "unexpected <op:*>"),
    ("(1))", 5, "unexpected right parenthesis ')'"),
    ("((1)", 5, "unclosed left parenthesis"),
    ("a b", 3, 'unexpected identifier "b"'),
    ("a == == b", 6, "unexpected <op:==>"),
    ("1 !~ 1", 3, "unexpected character after '!': '~'"),
    ("a{b}", 4, 'unexpected "}" in label matching, expected label matching operator'),
    ("a{b=}", 5, 'unexpected "}" in label matching, expected string'),
    ("a{b=c}", 5, 'unexpected identifier "c" in label matching, expected string'),
    ('a{b="c" d="e"}', 9, 'unexpected identifier "d" in label matching, expected "," or "}"'),
    ("a{,}", 3, 'unexpected "," in label matching, expected identifier or "}"'),
    ("a{b='c',,}", 9, 'unexpected "," in label matching, expected identifier or "}"'),
    ("sum(a b)", 7, 'unexpected identifier "b" in aggregation'),
    ("sum by (a)", 11, "unexpected end of input in aggregation"),
    ("sum by a (b)", 8, 'unexpected identifier "a" in grouping opts, expected "("'),
    ("sum by (a b) (c)", 11, 'unexpected identifier "b" in grouping opts, expected "," or ")"'),
    ("sum by (,) (c)", 9, 'unexpected "," in grouping opts, expected label'),
    ("sum by (without) (c)", 9, "unexpected <without> in grouping opts, expected label"),
    ("sum (a) by (b) by (c)", 16, "unexpected <by>"),
    ("a + group_left b", 5, "unexpected <group_left>"),
    ("a + on (x) bool b", 12, "unexpected <bool>"),
    ("abs(a,)", 6, "trailing commas not allowed in function call args"),
    ("round(a,,1)", 8, "trailing commas not allowed in function call args"),
    ("abs(,a)", 5, 'unexpected ","'),
    ("abs(a b)", 7, 'unexpected identifier "b"'),
    ("a[5m][5m]", 6, "ranges only allowed for vector selectors"),
    ("(a)[5m]", 4, "ranges only allowed for vector selectors"),
    ("a offset 1m[5m]", 12, "no offset modifiers allowed before range"),
    ("a @ 1 [5m]", 7, "no @ modifiers allowed before range"),
    ("a[5m:1m", 8, "unclosed left bracket"),
    (
        "1 offset 5m",
        1,
        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    ("sum(a) @ 1", 1, "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery"),
    ("a offset 5m offset 5m", 1, "offset may not be set multiple times"),
    ("a @ 1 @ 2", 1, "@ <timestamp> may not be set multiple times"),
    ("a @ x", 5, 'unexpected identifier "x" in @, expected timestamp'),
    ("a @ Inf", 1, "timestamp out of bounds for @ modifier: +Inf"),
    ("a @ 1e20", 1, "timestamp out of bounds for @ modifier: 100000000000000000000.000000"),
    (r'"\q"', 1, "unknown escape sequence U+0071 'q'"),
    ("'a", 1, "unterminated quoted string"),
    ("a\n  + b c", 7, 'unexpected identifier "c"'),
    ("9" * 310, 1, f'error parsing number: strconv.ParseFloat: parsing "{"9" * 310}": value out of range'),
]

NEW = [  # what only a Prometheus of these years words so
    ("", None, "no expression found in input"),
    ("# nothing", 1, "no expression found in input"),
    ("2.5.", 1, 'bad number or duration syntax: "2.5."'),
    ("a[]", 3, 'unexpected "]" in subquery or range selector, expected number, duration, step(), or range()'),
    ("a[5m+]", 6, 'unexpected "]" in subquery or range selector, expected number, duration, step(), or range()'),
    ("a[5m 5m]", 6, 'unexpected duration "5m" in subquery or range, expected ":" or "]"'),
    ("a[5m:)]", 7, "unexpected right parenthesis ')'"),
    ("a[5m:/]", 6, 'unexpected <op:/> in subquery selector, expected number, duration, step(), range(), or "]"'),
    ("a[5m:1m:]", 8, 'unexpected ":" in subquery selector, expected "]"'),
    ("a[0]", 3, "duration must be greater than 0"),
    ("a[-5m]", 3, "duration must be greater than 0"),
    ("a[5m:0s]", 6, "duration must be greater than 0"),
    ("a[5m / 0]", 6, "division by zero"),
    ("a[5m % 0]", 6, "modulo by zero"),
    ("a[1e12]", 3, "duration out of range"),
    ("a[1.5h]", 3, 'not a valid duration string: "1.5h"'),
    ("a[step]", 7, 'unexpected "]" in subquery or range selector, expected number, duration, step(), or range()'),
    ("a offset b", 10, 'unexpected identifier "b" in offset, expected number, duration, step(), or range()'),
    ("a offset (1m + b)", 16, 'unexpected identifier "b" in offset, expected number, duration, step(), or range()'),
    ("a offset", 9, "unexpected end of input in offset, expected number, duration, step(), or range()"),
    ("sum by ('') (a)", 9, 'invalid label name for grouping: ""'),
    ("a anchored smoothed", 1, "anchored and smoothed modifiers cannot be used together"),
    ("a[5m:] anchored", 1, "anchored modifier is not supported for subqueries"),
    ("1 smoothed", 1, "smoothed modifier not implemented"),
    ("a + fill b", 10, 'unexpected identifier "b"'),
    ("a + fill (b) c", 11, 'unexpected identifier "b"'),
    ("a + fill (0) fill_left (1) c", 14, "unexpected <fill_left>"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "message"), OLD + NEW)
def test_an_error_has_prometheus_words_and_its_place(text: str, column: int | None, message: str) -> None:
    error = error_of(text)
    assert error.message == message
    assert error.summary == f"{'unknown position' if column is None else f'{error.line}:{column}'}: parse error: {message}"


def test_an_error_shows_the_line_with_carets_under_what_is_wrong() -> None:
    assert str(error_of("sum(\n  rate(up)\n)")) == (
        '2:8: parse error: expected type range vector in call to function "rate", got instant vector\n'
        "    rate(up)\n"
        "         ^^"
    )


def test_of_a_long_line_the_part_around_the_error_is_shown() -> None:
    shown = error_of(f"{'a + ' * 60}* + {'b' * 300}").excerpt.splitlines()
    assert all(len(line) <= 102 for line in shown)
    assert shown[0][shown[1].index("^")] == "*"


def test_an_error_can_be_handed_to_another_process() -> None:
    error = error_of("1+")
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.start, copied.end) == (str(error), error.start, error.end)
    assert isinstance(error, MonitoringError)
    assert isinstance(error, ValueError)


# Limits


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4_000 + ")" * 900,
        "-" * 4_000 + "a",
        "abs(" * 100 + "a" + ")" * 100,
        "a" + " ^ a" * 200,
        "a" + " + a" * 200,
        "a[" + "(" * 100 + "1" + ")" * 100 + "]",
        "a[" + "1+" * 200 + "1]",
    ],
    ids=lambda text: text[:9],
)
def test_what_is_nested_too_deeply_is_refused(text: str) -> None:
    assert re.search(rf"nested more than ({MAX_NESTING}|{MAX_DEPTH}) levels deep", error_of(text).message)


@pytest.mark.parametrize(
    "text",
    ["(" * 60 + "a" + ")" * 60, " or ".join(["a"] * MAX_DEPTH), "abs(" * 60 + "a" + ")" * 60, "a[" + "1+" * 100 + "1]"],
)
def test_what_people_write_is_not_nested_too_deeply(text: str) -> None:
    assert parse(to_text(parse(text))) == parse(text)


def test_a_text_too_long_is_refused() -> None:
    assert error_of("a" * (MAX_LENGTH + 1)).message == f"expression longer than {MAX_LENGTH} characters"
    assert error_of("a " * MAX_TOKENS).message == f"expression of more than {MAX_TOKENS} words and signs"


def test_a_caller_deep_in_its_own_calls_gets_a_parse_error() -> None:
    def deeper(levels: int) -> object:
        return deeper(levels - 1) if levels else parse("(" * 60 + "a" + ")" * 60)

    for levels in range(300, 1000, 50):
        try:
            deeper(levels)
        except ParseError as error:
            assert "nested too deeply" in error.message  # or it has succeeded
        except RecursionError:
            assert levels > 900  # there was not even room for the call


fragments = st.sampled_from(
    [
        "a", "sum", "by", "without", "(", ")", "[", "]", "{", "}", ",", "=", "=~", "!=", "==", "+", "-", "^", "*", "and", "or", "on", "bool",
        "group_left", "fill", "offset", "@", "5m", "1", ".5", "0x", "'s'", '"', "`", "#", "\n", ":", "start()", "step()", "rate", "time()", "a[5m]",
        "min_of", "anchored", "topk(1,", "inf", "é", "\\", "\ud800", "info(a,",
    ]
)  # fmt: skip


@given(
    st.text() | st.lists(fragments, max_size=25).map(" ".join) | st.lists(fragments, max_size=25).map("".join), st.booleans()
)
def test_any_text_is_a_tree_or_a_parse_error_that_can_be_shown(text: str, experimental: bool) -> None:
    try:
        tree = parse(text, experimental=experimental)
    except ParseError as error:
        assert str(error).startswith(error.summary)
        assert 0 <= error.start <= error.end <= len(text)
        assert "^" in error.excerpt
    else:
        assert parse(to_text(tree)) == tree
        assert to_text(parse(to_text(tree))) == to_text(tree)


# Real texts


def queries(script: Path) -> Iterator[str]:
    """What a script of Prometheus' suite evaluates."""
    for line in script.read_text().splitlines():
        if found := re.match(r"eval\S*\s+(?:instant at \S+|range from \S+ to \S+ step \S+)\s+(.*)", line):
            yield found[1]


@needs_scripts
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_query_of_prometheus_own_suite_is_read_and_printed(script: Path) -> None:
    """What the scripts expect to fail does so in the evaluation, not here."""
    for text in queries(script):
        tree = parse(text)
        assert parse(to_text(tree)) == tree, text


def rules() -> Iterator[str]:
    for path in RULE_FILES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from (rule["expr"] for rule in group["rules"] or ())


@pytest.mark.untraced
@needs_rules
def test_all_real_rules_are_read_and_printed_and_read_as_the_same() -> None:
    texts = list(rules())
    assert len(texts) == 954
    for text in texts:
        tree = parse(text, experimental=False)
        assert parse(to_text(tree)) == tree, text


# Prometheus itself


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus without data."""
    home = tmp_path_factory.mktemp("prometheus")
    (home / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={home}/prometheus.yml",
        f"--storage.tsdb.path={home}/data",
        f"--web.listen-address={address}",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(f"http://{address}/-/ready")
            yield f"http://{address}"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def _wait_for(url: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def asked(server: str, path: str, text: str) -> dict[str, str]:
    body = urllib.parse.urlencode({"query": text, "time": "0"}).encode()
    try:
        with urllib.request.urlopen(f"{server}{path}", body, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


external = pytest.mark.external
with_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="prometheus, from the Debian package prometheus, is not installed"
)


@external
@with_prometheus
@pytest.mark.real_time
def test_prometheus_itself_words_old_errors_so(prometheus: str) -> None:
    for text, column, message in OLD:
        answer = asked(prometheus, "/api/v1/query", text)
        line = error_of(text).line
        assert answer["error"] == f'invalid parameter "query": {line}:{column}: parse error: {message}'


@pytest.mark.untraced
@external
@needs_rules
@with_prometheus
@pytest.mark.real_time
def test_prometheus_itself_reads_what_is_printed_as_what_was_written(prometheus: str) -> None:
    for text in list(rules())[::5]:
        printed, written = (asked(prometheus, "/api/v1/format_query", one)["data"] for one in (to_text(parse(text)), text))
        assert printed == written
