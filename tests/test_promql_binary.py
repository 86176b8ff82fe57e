"""Binary operators of PromQL: which series are matched, what becomes of their labels, and arithmetic as Go does it."""

import math
from math import inf, nan
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kailash_monitor.promql import OPERATORS, Binary, Matching, Number, Purpose, Selector, Side, parse
from kailash_monitor.promql.arithmetic import ARITHMETIC, COMPARISONS, divided, power, remainder
from kailash_monitor.promql.binary import scalar_scalar, vector_scalar, vector_vector
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces


def of(pieces: Pieces[Any]) -> Any:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value


def labels(text: str) -> LabelSet:
    """Labels as PromQL writes a selector: `up{job="a"}`."""
    node = parse(text) if text != "{}" else Selector()
    assert isinstance(node, Selector)
    return LabelSet({demand.name: demand.value for demand in node.demands()})


def vector(given: dict[str, float]) -> Vector:
    return [(labels(text), value) for text, value in given.items()]


def shown(result: Vector) -> dict[str, float]:
    found = {one.text(): value for one, value in result}
    assert len(found) == len(result)
    return found


def binary(text: str) -> Binary:
    node = parse(text)
    assert isinstance(node, Binary)
    return node


def matched(text: str, left: dict[str, float], right: dict[str, float], *, delayed: bool = False) -> dict[str, float]:
    drop = attrgetter("dropping" if delayed else "nameless")
    return shown(of(vector_vector(binary(text), vector(left), vector(right), drop)))


# arithmetic


@pytest.mark.parametrize(
    ("left", "symbol", "right", "expected"),
    [
        (1.0, "/", 0.0, inf),
        (-1.0, "/", 0.0, -inf),
        (1.0, "/", -0.0, -inf),
        (0.0, "/", 0.0, nan),
        (nan, "/", 0.0, nan),
        (inf, "/", 0.0, inf),
        (-inf, "/", -0.0, inf),
        (inf, "/", inf, nan),
        (1e308, "/", 1e-10, inf),
        (5.0, "%", 3.0, 2.0),
        (-5.0, "%", 3.0, -2.0),
        (5.0, "%", -3.0, 2.0),
        (5.5, "%", 2.0, 1.5),
        (5.0, "%", 0.0, nan),
        (inf, "%", 2.0, nan),
        (5.0, "%", inf, 5.0),
        (-5.0, "%", -inf, -5.0),
        (5.0, "%", nan, nan),
        (nan, "%", 2.0, nan),
        (-4.0, "%", 2.0, -0.0),
        (2.0, "^", 10.0, 1024.0),
        (2.0, "^", 1024.0, inf),
        (-2.0, "^", 1025.0, -inf),
        (-2.0, "^", 1026.0, inf),
        (2.0, "^", -1100.0, 0.0),
        (-8.0, "^", 0.5, nan),
        (nan, "^", 0.0, 1.0),
        (1.0, "^", nan, 1.0),
        (1.0, "^", inf, 1.0),
        (2.0, "^", nan, nan),
        (0.0, "^", -1.0, inf),
        (-0.0, "^", -1.0, -inf),
        (-0.0, "^", -2.0, inf),
        (-0.0, "^", 3.0, -0.0),
        (0.0, "^", -inf, inf),
        (0.0, "^", -0.5, inf),
        (-1.0, "^", inf, 1.0),
        (0.5, "^", -inf, inf),
        (-inf, "^", 3.0, -inf),
        (-inf, "^", -3.0, -0.0),
        (1e308, "+", 1e308, inf),
        (inf, "-", inf, nan),
        (1e200, "*", 1e200, inf),
        (0.0, "*", inf, nan),
        (10.0, "atan2", 20.0, 0.4636476090008061),
        (0.0, "atan2", -1.0, math.pi),
        (nan, "atan2", 1.0, nan),
    ],
)
def test_arithmetic_gives_what_go_gives(left: float, symbol: str, right: float, expected: float) -> None:
    assert repr(ARITHMETIC[symbol](left, right)) == repr(expected)


@given(st.floats(), st.floats())
@example(-0.0, -1e308)
@example(-inf, 0.5)
def test_arithmetic_never_raises(left: float, right: float) -> None:
    for compute in (*ARITHMETIC.values(), *COMPARISONS.values()):
        assert isinstance(compute(left, right), float | bool)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False).filter(bool))
def test_what_is_left_is_smaller_than_the_divisor_and_signed_as_the_dividend(left: float, right: float) -> None:
    rest = remainder(left, right)
    assert abs(rest) < abs(right)
    assert math.copysign(1, rest) == math.copysign(1, left)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False).filter(bool))
def test_division_by_other_than_zero_is_pythons(left: float, right: float) -> None:
    assert repr(divided(left, right)) == repr(left / right)


@given(st.floats())
def test_every_number_to_the_power_of_zero_is_one(base: float) -> None:
    assert power(base, 0.0) == power(base, -0.0) == 1


# two numbers, and a number with a vector


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1 < bool 2", 1.0), ("2 < bool 1", 0.0), ("1 == bool 1", 1.0), ("1 + 2", 3.0), ("7 % 4", 3.0), ("1 / 0", inf)],
)
def test_two_numbers_give_one(text: str, expected: float) -> None:
    node = binary(text)
    assert isinstance(node.left, Number)
    assert isinstance(node.right, Number)
    assert repr(scalar_scalar(node, node.left.value, node.right.value)) == repr(expected)


NUMBERS = {'m{a="1"}': 1.0, 'm{a="2"}': 2.0, 'm{a="3"}': 3.0, 'm{a="nan"}': nan}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m > 1", {'m{a="2"}': 2.0, 'm{a="3"}': 3.0}),
        ("2 >= m", {'m{a="1"}': 1.0, 'm{a="2"}': 2.0}),
        ("m != 2", {'m{a="1"}': 1.0, 'm{a="3"}': 3.0, 'm{a="nan"}': nan}),
        ("m == 2", {'m{a="2"}': 2.0}),
        ("m > bool 1", {'{a="1"}': 0.0, '{a="2"}': 1.0, '{a="3"}': 1.0, '{a="nan"}': 0.0}),
        ("2 > bool m", {'{a="1"}': 1.0, '{a="2"}': 0.0, '{a="3"}': 0.0, '{a="nan"}': 0.0}),
        ("m * 2", {'{a="1"}': 2.0, '{a="2"}': 4.0, '{a="3"}': 6.0, '{a="nan"}': nan}),
        ("6 / m", {'{a="1"}': 6.0, '{a="2"}': 3.0, '{a="3"}': 2.0, '{a="nan"}': nan}),
        ("m - 1", {'{a="1"}': 0.0, '{a="2"}': 1.0, '{a="3"}': 2.0, '{a="nan"}': nan}),
        ("2 ^ m", {'{a="1"}': 2.0, '{a="2"}': 4.0, '{a="3"}': 8.0, '{a="nan"}': nan}),
    ],
)
def test_a_number_meets_each_value_and_a_comparison_keeps_names_and_values(text: str, expected: dict[str, float]) -> None:
    node = binary(text)
    in_left = isinstance(node.left, Number)
    scalar = node.left if in_left else node.right
    assert isinstance(scalar, Number)
    result = of(vector_scalar(node, vector(NUMBERS), scalar.value, attrgetter("nameless"), scalar_left=in_left))
    assert repr(shown(result)) == repr(expected)


def test_names_are_dropped_as_the_caller_has_it() -> None:
    ((found, value),) = of(
        vector_scalar(binary("m * 2"), vector({"m": 1.0}), 2.0, attrgetter("dropping"), scalar_left=False)
    )
    assert (found.name, found.drops_name, value) == ("m", True, 2.0)


# matching of two vectors

REQUESTS = {
    'requests{code="200", method="get"}': 100.0,
    'requests{code="500", method="get"}': 5.0,
    'requests{code="200", method="put"}': 50.0,
}
ERRORS = {'errors{code="200", method="get"}': 1.0, 'errors{code="500", method="get"}': 5.0, 'errors{code="404"}': 9.0}
LIMITS = {'limit{method="get", owner="x"}': 10.0, 'limit{method="put", owner="y"}': 20.0, 'limit{method="del"}': 30.0}


@pytest.mark.parametrize(
    ("text", "left", "right", "expected"),
    [
        ("a / b", REQUESTS, ERRORS, {'{code="200", method="get"}': 100.0, '{code="500", method="get"}': 1.0}),
        (
            "a + on(method, code) b",
            REQUESTS,
            ERRORS,
            {'{code="200", method="get"}': 101.0, '{code="500", method="get"}': 10.0},
        ),
        ("a > b", REQUESTS, ERRORS, {'requests{code="200", method="get"}': 100.0}),
        ("a >= bool b", REQUESTS, ERRORS, {'{code="200", method="get"}': 1.0, '{code="500", method="get"}': 1.0}),
        ("a > on(method, code) b", REQUESTS, ERRORS, {'{code="200", method="get"}': 100.0}),
        (
            "a * on(method) group_left b",
            REQUESTS,
            LIMITS,
            {'{code="200", method="get"}': 1e3, '{code="500", method="get"}': 50.0, '{code="200", method="put"}': 1e3},
        ),
        (
            "a * ignoring(code, owner) group_left(owner) b",
            REQUESTS,
            LIMITS,
            {
                '{code="200", method="get", owner="x"}': 1e3,
                '{code="500", method="get", owner="x"}': 50.0,
                '{code="200", method="put", owner="y"}': 1e3,
            },
        ),
        (
            "b > on(method) group_right(owner) a",
            LIMITS,
            REQUESTS,
            {'requests{code="500", method="get", owner="x"}': 10.0},
        ),
        (
            "b - on(method) group_right a",
            LIMITS,
            REQUESTS,
            {'{code="200", method="get"}': -90.0, '{code="500", method="get"}': 5.0, '{code="200", method="put"}': -30.0},
        ),
        ("a < on(method) group_left b", REQUESTS, LIMITS, {'requests{code="500", method="get"}': 5.0}),
        ("a + on() b", {'random{foo="bar"}': 2.0}, {'other{baz="meh"}': 3.0}, {"{}": 5.0}),
        ("a + ignoring() b", {'x{baz="meh"}': 2.0}, {'y{baz="meh"}': 3.0}, {'{baz="meh"}': 5.0}),
        ("a - ignoring(c) b", {'x{baz="meh", c="1"}': 2.0}, {'y{baz="meh"}': 3.0}, {'{baz="meh"}': -1.0}),
        ("a + b", REQUESTS, {}, {}),
        ("a + b", {}, ERRORS, {}),
        ("a + b", {}, {}, {}),
    ],
)
def test_series_that_agree_in_what_the_expression_names_are_combined(
    text: str, left: dict[str, float], right: dict[str, float], expected: dict[str, float]
) -> None:
    assert matched(text, left, right) == expected


def test_an_included_label_that_the_one_side_lacks_is_taken_away() -> None:
    assert matched("a * on(k) group_left(v) b", {'x{k="1", v="old"}': 2.0}, {'y{k="1"}': 3.0}) == {'{k="1"}': 6.0}


def test_the_name_can_be_taken_from_the_one_side() -> None:
    result = matched("a * on(k) group_left(__name__) b", {'x{k="1", i="2"}': 2.0}, {'y{k="1"}': 3.0})
    assert result == {'y{i="2", k="1"}': 6.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a == b", "x"),
        ("a == ignoring(z) b", "x"),
        ("a == on(k) b", ""),
        ("a == on(k) group_left b", "x"),
        ("a == on(k) group_right b", "y"),
        ("a == bool b", ""),
        ("a + b", ""),
    ],
)
def test_the_result_has_the_name_that_prometheus_gives_it(text: str, expected: str) -> None:
    ((found, _),) = of(
        vector_vector(binary(text), vector({'x{k="1"}': 2.0}), vector({'y{k="1"}': 2.0}), attrgetter("nameless"))
    )
    assert found.name == expected


def test_on_the_name_matches_by_name_and_a_comparison_keeps_it() -> None:
    left, right = {'x{k="1"}': 2.0, 'y{k="2"}': 5.0}, {'x{k="3"}': 2.0, 'y{k="4"}': 2.0}
    assert matched("a >= on(__name__) b", left, right) == {"x": 2.0, "y": 5.0}


def test_arithmetic_drops_even_the_name_that_series_are_matched_by() -> None:
    assert matched("a + on(__name__) b", {'x{k="1"}': 2.0}, {'x{k="2"}': 3.0}) == {"{}": 5.0}
    with pytest.raises(EvaluationError, match=r"^vector cannot contain metrics with the same labelset$"):
        matched("a + on(__name__) b", {"x": 2.0, "y": 3.0}, {"x": 2.0, "y": 3.0})


def test_a_name_that_was_to_be_dropped_is_back_after_a_comparison_of_vectors_as_in_prometheus() -> None:
    left = [(labels("x").dropping, 2.0)]
    ((found, _),) = of(vector_vector(binary("a == b"), left, vector({"y": 2.0}), attrgetter("dropping")))
    assert (found.name, found.drops_name) == ("x", False)


def test_a_delayed_removal_keeps_the_name_of_a_comparison_to_bool() -> None:
    ((found, _),) = of(vector_vector(binary("a == bool b"), vector({"x": 2.0}), vector({"y": 2.0}), attrgetter("dropping")))
    assert (found.name, found.drops_name) == ("x", True)


TWINS = {'dup{kind="a", k="1"}': 1.0, 'dup{kind="b", k="1"}': 2.0}
MANY = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
SAME = "multiple matches for labels: grouping labels must ensure unique matches"


def duplicates(side: str) -> str:
    """What is said of TWINS on that side."""
    twins = '{__name__="dup", k="1", kind="a"}, {__name__="dup", k="1", kind="b"}'
    return (
        f'found duplicate series for the match group {{k="1"}} on the {side} hand-side of the operation: [{twins}];'
        "many-to-many matching not allowed: matching labels must be unique on one side"
    )


@pytest.mark.parametrize(
    ("text", "left", "right", "message"),
    [
        (
            "a + on(k) b",
            {'x{k="1"}': 1.0},
            TWINS,
            duplicates("right"),
        ),
        (
            "a + on(k) group_right b",
            TWINS,
            {'x{k="1"}': 1.0},
            duplicates("left"),
        ),
        (
            "a + ignoring(kind) b",
            {'x{k="2"}': 1.0},
            TWINS,
            duplicates("right"),
        ),
        ("a + on(k) b", TWINS, {'x{k="1"}': 1.0}, MANY),
        ("a > on(k) b", TWINS, {'x{k="1"}': 5.0}, MANY),
        ("a + ignoring(kind) b", TWINS, {'x{k="1"}': 1.0}, MANY),
        ("a + on(k) fill_right(0) b", TWINS, {'x{k="2"}': 1.0}, MANY),
        ("a + on(k) group_left(kind) b", TWINS, {'x{k="1", kind="z"}': 1.0}, SAME),
        ("a > bool on(k) group_left(kind) b", TWINS, {'x{k="1", kind="z"}': 1.0}, SAME),
        ("a + on(k) group_left b", {'x{k="1"}': 1.0, 'y{k="1"}': 1.0}, {'z{k="1"}': 1.0}, SAME),
    ],
)
def test_an_ambiguous_match_is_an_error_in_prometheus_words(
    text: str, left: dict[str, float], right: dict[str, float], message: str
) -> None:
    with pytest.raises(EvaluationError) as caught:
        matched(text, left, right)
    assert str(caught.value) == message


def test_labels_that_are_no_names_are_quoted_in_messages() -> None:
    with pytest.raises(EvaluationError) as caught:
        matched("a + on() b", {"x": 1.0}, {'{"u t", "ö"="1\\"2"}': 1.0, '{"u t"}': 2.0})
    assert '[{__name__="u t"}, {__name__="u t", "ö"="1\\"2"}]' in str(caught.value)


def test_which_series_are_ambiguous_is_told_in_a_stable_order() -> None:
    for right in (TWINS, dict(reversed(TWINS.items()))):
        with pytest.raises(EvaluationError) as caught:
            matched("a + on(k) b", {'x{k="1"}': 1.0}, right)
        assert str(caught.value) == duplicates("right")


def test_an_ambiguity_is_none_where_the_other_side_is_empty() -> None:
    assert matched("a + on(k) b", {}, TWINS) == {}


# fill

LEFT = {'l{k="a"}': 10.0, 'l{k="b"}': 20.0}
RIGHT = {'r{k="a"}': 100.0, 'r{k="c"}': 300.0}


@pytest.mark.parametrize(
    ("text", "left", "right", "expected"),
    [
        ("a + fill(1) b", LEFT, RIGHT, {'{k="a"}': 110.0, '{k="b"}': 21.0, '{k="c"}': 301.0}),
        ("a + fill_left(1) b", LEFT, RIGHT, {'{k="a"}': 110.0, '{k="c"}': 301.0}),
        ("a + fill_right(1) b", LEFT, RIGHT, {'{k="a"}': 110.0, '{k="b"}': 21.0}),
        ("a - fill_left(5) fill_right(7) b", LEFT, RIGHT, {'{k="a"}': -90.0, '{k="b"}': 13.0, '{k="c"}': -295.0}),
        ("a != fill(20) b", LEFT, RIGHT, {'l{k="a"}': 10.0, '{k="c"}': 20.0}),
        ("a > bool fill(15) b", LEFT, RIGHT, {'{k="a"}': 0.0, '{k="b"}': 1.0, '{k="c"}': 0.0}),
        ("a + fill(0) b", LEFT, {}, {'{k="a"}': 10.0, '{k="b"}': 20.0}),
        ("a + fill_left(0) b", LEFT, {}, {}),
        ("a + fill_left(0) b", {}, RIGHT, {'{k="a"}': 100.0, '{k="c"}': 300.0}),
        ("a + fill(0) b", {}, {}, {}),
        (
            "a * on(m) group_left fill_right(0) b",
            {'l{m="1", i="x"}': 2.0, 'l{m="2", i="y"}': 3.0},
            {'r{m="1"}': 5.0},
            {'{i="x", m="1"}': 10.0, '{i="y", m="2"}': 0.0},
        ),
        (
            "a * on(m) group_left(o) fill_right(0) b",
            {'l{m="1", o="x"}': 2.0},
            {'r{m="2", o="y"}': 5.0},
            {'{m="1"}': 0.0},
        ),
        (
            "a - on(m) group_left fill_left(1) b",
            {'l{m="1", i="x"}': 2.0},
            {'r{m="1"}': 5.0, 'r{m="2"}': 7.0},
            {'{i="x", m="1"}': -3.0, '{m="2"}': -6.0},
        ),
    ],
)
def test_a_missing_series_is_filled_in(
    text: str, left: dict[str, float], right: dict[str, float], expected: dict[str, float]
) -> None:
    assert matched(text, left, right) == expected


def test_with_group_right_the_fills_follow_the_roles_as_in_prometheus() -> None:
    """Prometheus swaps the sides and leaves the fills: fill_left is for the side with the many, which is the right one."""
    one, many = {'meta{i="a"}': 100.0, 'meta{i="c"}': 300.0}, {'cpu{i="a", n="0"}': 1.0, 'cpu{i="b", n="0"}': 1.0}
    assert matched("a * on(i) group_right fill_left(2) b", one, many) == {'{i="a", n="0"}': 100.0, '{i="c"}': 600.0}
    assert matched("a * on(i) group_right fill_right(2) b", one, many) == {'{i="a", n="0"}': 100.0, '{i="b", n="0"}': 2.0}


# sets


@pytest.mark.parametrize(
    ("text", "left", "right", "expected"),
    [
        (
            "a and b",
            REQUESTS,
            ERRORS,
            {'requests{code="200", method="get"}': 100.0, 'requests{code="500", method="get"}': 5.0},
        ),
        ("a unless b", REQUESTS, ERRORS, {'requests{code="200", method="put"}': 50.0}),
        ("a or b", REQUESTS, ERRORS, REQUESTS | {'errors{code="404"}': 9.0}),
        ("a or on(code) b", REQUESTS, ERRORS, REQUESTS | {'errors{code="404"}': 9.0}),
        ("a and on(code) b", ERRORS, REQUESTS, {text: value for text, value in ERRORS.items() if "404" not in text}),
        ("a and ignoring(code) b", REQUESTS, LIMITS, {}),
        ("a and on() b", REQUESTS, {"x": 1.0}, REQUESTS),
        ("a unless on() b", REQUESTS, {"x": 1.0}, {}),
        ("a or on() b", REQUESTS, {"x": 1.0}, REQUESTS),
        ("a and on() b", REQUESTS, {}, {}),
        ("a and b", {}, ERRORS, {}),
        ("a or b", {}, ERRORS, ERRORS),
        ("a or b", ERRORS, {}, ERRORS),
        ("a unless b", ERRORS, {}, ERRORS),
        ("a unless b", {}, ERRORS, {}),
        ("a and on(__name__) b", {"x": 1.0, "y": 2.0}, {'y{k="1"}': 3.0}, {"y": 2.0}),
    ],
)
def test_sets_are_made_of_the_groups_of_the_series(
    text: str, left: dict[str, float], right: dict[str, float], expected: dict[str, float]
) -> None:
    assert matched(text, left, right) == expected


def test_sets_know_series_by_their_labels_and_not_their_names() -> None:
    assert matched("a or b", {'x{k="1"}': 1.0}, {'y{k="1"}': 2.0, 'y{k="2"}': 3.0}) == {'x{k="1"}': 1.0, 'y{k="2"}': 3.0}


# laws

NAMES = st.sampled_from(("a", "b", "c"))
LABEL_SETS = st.builds(
    lambda name, others: LabelSet({METRIC_NAME: name, **others}),
    st.sampled_from(("", "m", "n")),
    st.dictionaries(NAMES, st.sampled_from(("", "1", "2")), max_size=3),
)
VECTORS = st.dictionaries(LABEL_SETS, st.floats(), max_size=12).map(lambda given: list(given.items()))
SUBSETS = st.lists(NAMES, unique=True, max_size=3).map(tuple)


@st.composite
def binaries(draw: st.DrawFn) -> Binary:
    operator = draw(st.sampled_from(sorted(OPERATORS)))
    purpose = OPERATORS[operator].purpose
    on, names = draw(st.booleans()), draw(SUBSETS)
    fills = st.none() | st.floats().map(Number)
    if purpose is Purpose.SET:
        return Binary(operator, Selector("l"), Selector("r"), matching=Matching(on=on, labels=names))
    many = draw(st.sampled_from((None, Side.LEFT, Side.RIGHT)))
    include = tuple(name for name in draw(SUBSETS) if not (on and name in names)) if many else ()
    matching = Matching(on, names, many, include, draw(fills), draw(fills))
    bool_ = purpose is Purpose.COMPARISON and draw(st.booleans())
    return Binary(operator, Selector("l"), Selector("r"), returns_bool=bool_, matching=matching)


@given(binaries(), VECTORS, VECTORS, st.booleans())
def test_two_vectors_have_a_result_of_distinct_series_or_an_evaluation_error(
    node: Binary, left: Vector, right: Vector, delayed: bool
) -> None:
    try:
        result = of(vector_vector(node, left, right, attrgetter("dropping" if delayed else "nameless")))
    except EvaluationError:
        return
    assert len({found for found, _ in result}) == len(result)
    assert all(type(value) is float for _, value in result)


@given(
    VECTORS,
    st.floats(),
    st.sampled_from([name for name in OPERATORS if OPERATORS[name].purpose is not Purpose.SET]),
    st.booleans(),
)
def test_a_vector_and_a_number_always_have_a_result(numbers: Vector, scalar: float, symbol: str, turned: bool) -> None:
    node = Binary(symbol, Selector("v"), Number(scalar))
    result = of(vector_scalar(node, numbers, scalar, attrgetter("nameless"), scalar_left=turned))
    assert all(type(value) is float for _, value in result)


@given(VECTORS, VECTORS, st.booleans(), SUBSETS)
def test_and_with_unless_make_up_the_left_side(left: Vector, right: Vector, on: bool, names: tuple[str, ...]) -> None:
    matching = Matching(on=on, labels=names)

    def made(operator: str) -> list[tuple[LabelSet, str]]:
        node = Binary(operator, Selector("l"), Selector("r"), matching=matching)
        return [(one, repr(value)) for one, value in of(vector_vector(node, left, right, attrgetter("nameless")))]

    both, only, either = made("and"), made("unless"), made("or")
    whole = [(one, repr(value)) for one, value in left]
    assert sorted(both + only, key=repr) == sorted(whole, key=repr)
    assert either[: len(left)] == whole


@given(VECTORS, VECTORS)
def test_operands_stay_as_they_are(left: Vector, right: Vector) -> None:
    before = repr((left, right))
    for symbol in OPERATORS:
        try:
            of(vector_vector(binary(f"l {symbol} r"), left, right, attrgetter("nameless")))
        except EvaluationError:
            continue
    assert repr((left, right)) == before


def test_long_vectors_are_combined_in_pieces() -> None:
    long = [(LabelSet({METRIC_NAME: "m", "i": str(number)}), 1.0) for number in range(1000)]
    for text in ("a + b", "a and b", "a unless b", "a or b"):
        pieces = list(vector_vector(binary(text), long, long, attrgetter("nameless")))
        assert len(pieces) >= 8, text
    assert len(list(vector_scalar(binary("a > 1"), long, 1.0, attrgetter("nameless"), scalar_left=False))) == 4
