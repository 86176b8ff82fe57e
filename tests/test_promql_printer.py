"""The PromQL printer: what it writes is in Prometheus' form, and is read back as the same tree."""

import math
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql import (
    AGGREGATORS,
    OPERATORS,
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
    Purpose,
    RangeSelector,
    Selector,
    Side,
    String,
    Subquery,
    Unary,
    ValueType,
    check,
    children,
    parse,
    to_text,
    type_of,
    walk,
)
from kailash_monitor.promql.demand import demand


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("  a  +b ", "a + b"),
        ("a#comment\n*b", "a * b"),
        ("sum by() (a)", "sum(a)"),
        ("sum(a) by (x,y)", "sum by (x, y) (a)"),
        ("sum(a) without ()", "sum without () (a)"),
        ("TOPK(5,a)", "topk(5, a)"),
        ("count_values('v', a)", 'count_values("v", a)'),
        ("sum by ('my.label', \"without\", 'inf') (a)", 'sum by ("my.label", "without", "inf") (a)'),
        ("a - on(b) group_left c", "a - on (b) group_left () c"),
        ("a - ignoring(b) group_right(x) c", "a - ignoring (b) group_right (x) c"),
        ("a - ignoring() group_left(x) c", "a - ignoring () group_left (x) c"),
        ("a - ignoring() c", "a - c"),
        ("a - on() c", "a - on () c"),
        ("a >bool 0", "a > bool 0"),
        ("a + fill(0) b", "a + fill (0) b"),
        ("a + on(x) fill_right(NaN) fill_left(-1) b", "a + on (x) fill_left (-1) fill_right (NaN) b"),
        ("a{}", "a"),
        ("{a='b'}", '{a="b"}'),
        ("a{b='c', d!=`\\d`,}", 'a{b="c",d!="\\\\d"}'),
        ("{'my.metric'}", '{__name__="my.metric"}'),
        ("{'my.metric', 'é'=~'x'}", '{__name__="my.metric","é"=~"x"}'),
        ("a @ 10", "a @ 10.000"),
        ("a[1m] offset 90s @ start()", "a[1m] @ start() offset 1m30s"),
        ("a offset -7m @ -0.5", "a @ -0.500 offset -7m"),
        ("a[300] smoothed", "a[5m] smoothed"),
        ("a[0.0005]", "a[0.0005]"),
        ("a[ 1h : ]", "a[1h:]"),
        ("a[1d:60] offset 1w", "a[1d:1m] offset 1w"),
        ("a[5m+ step( )*2]", "a[5m + step() * 2]"),
        ("a[(5m)] offset -(1m)", "a[(5m)] offset -(1m)"),
        ("a offset -MIN_OF(1m,300)", "a offset -min_of(1m, 300)"),
        ("1e3 + 0x1F + .5 + 5m + inf", "1000 + 31 + 0.5 + 5m + +Inf"),
        ("-1 ^ 2", "-1 ^ 2"),
        ("- a", "-a"),
        ("-(1)", "-(1)"),
        ("'\\xff\"'", '"\\xff\\""'),
        ("info(a, {})", "info(a, {})"),
        ("by + sum{x='1'}", 'by + sum{x="1"}'),
    ],
)
def test_a_text_is_printed_in_the_form_of_prometheus(text: str, printed: str) -> None:
    assert to_text(parse(text)) == printed
    assert parse(printed) == parse(text)


A, B, C = Selector("a"), Selector("b"), Selector("c")
ONE = Number(1.0)


@pytest.mark.parametrize(
    ("tree", "printed"),
    [
        (Binary("*", Binary("+", A, B), C), "(a + b) * c"),
        (Binary("-", A, Binary("-", B, C)), "a - (b - c)"),
        (Binary("^", Binary("^", A, B), C), "(a ^ b) ^ c"),
        (Binary("^", A, Binary("^", B, C)), "a ^ b ^ c"),
        (Binary("^", Number(-1.0), ONE), "(-1) ^ 1"),
        (Binary("^", Number(math.inf), ONE), "(+Inf) ^ 1"),
        (Binary("^", ONE, Number(-1.0)), "1 ^ -1"),
        (Binary("^", Unary("-", A), B), "(-a) ^ b"),
        (Binary("^", A, Unary("-", Binary("^", B, C))), "a ^ -b ^ c"),
        (Binary("*", Unary("-", A), B), "-a * b"),
        (Unary("-", Binary("*", A, B)), "-(a * b)"),
        (Unary("-", Unary("+", A)), "-+a"),
        (Unary("-", ONE), "-(1)"),
        (Subquery(Binary("+", A, B), Number(60)), "(a + b)[1m:]"),
        (Subquery(Unary("-", A), Number(60)), "(-a)[1m:]"),
        (Selector("a", offset=Binary("+", Call("step"), ONE)), "a offset (step() + 1)"),
        (Selector("a", offset=Unary("-", Binary("+", Call("step"), ONE))), "a offset (-(step() + 1))"),
        (Selector("my.metric"), '{"my.metric"}'),
        (Selector("on", (LabelMatcher("x", Operator.EQUAL, "1"),)), '{"on",x="1"}'),
        (Number(0.0001, duration=True), "0.0001"),
        (String("half \ud800"), '"half \ufffd"'),
    ],
)
def test_a_tree_made_by_hand_gets_the_parentheses_it_needs(tree: Expression, printed: str) -> None:
    assert to_text(tree) == printed


# Any tree

words = st.sampled_from(
    ["a", "b", "job:x:sum", "sum", "by", "and", "offset", "start", "step", "fill", "min_of", "_", "inf_", "Offset"]
)
texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n\udcff'), max_size=4)
names = st.sampled_from(["a", "le", "by", "without", "inf", "my.label", "é"]) | texts.filter(
    lambda text: text.isprintable() and text != ""
)


def is_one(matcher: LabelMatcher) -> bool:
    """Whether its text is a regular expression, where it has to be one."""
    try:
        demand(matcher)
    except ValueError:
        return False
    return True


label_names = names.filter(lambda name: name != "__name__")
matchers = st.builds(LabelMatcher, label_names, st.sampled_from(Operator), texts).filter(is_one)
some_name = st.builds(LabelMatcher, st.just("__name__"), st.just(Operator.EQUAL), st.sampled_from(["a", "my.metric"]))
numbers = st.builds(Number, st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.1, 1e21, math.inf, -math.inf, math.nan]) | st.floats())
milliseconds = st.integers(1, 9 * 10**12).map(lambda count: count / 1000)
literals = st.builds(Number, milliseconds | st.floats(1e-9, 1e9), st.booleans())
times = st.none() | st.sampled_from(Boundary) | st.integers(-(10**13), 10**13).map(lambda count: count / 1000)


@st.composite
def durations(draw: st.DrawFn, depth: int = 2) -> Expression:
    kind = draw(st.integers(0, 5)) if depth else 0
    deeper = durations(depth - 1)
    match kind:
        case 0 | 1:
            return draw(literals)
        case 2:
            return Call(draw(st.sampled_from(["step", "range"])))
        case 3:
            return Call(draw(st.sampled_from(["min_of", "max_of"])), (draw(deeper), draw(deeper)))
        case 4:
            return Unary(draw(st.sampled_from("+-")), draw(deeper))
        case _:
            return Binary(draw(st.sampled_from("+-*/%^")), draw(deeper), draw(deeper))


offsets = st.none() | durations() | literals.map(lambda number: Number(-number.value))


@st.composite
def selectors(draw: st.DrawFn) -> Selector:
    name = draw(words | st.just(""))
    inside = draw(st.lists(matchers, max_size=2)) + ([] if name else [draw(some_name)])
    anchor = draw(st.sampled_from([None, None, *Anchor]))
    return Selector(name, tuple(inside), draw(offsets), draw(times), anchor)


@st.composite
def matchings(draw: st.DrawFn, purpose: Purpose) -> Matching:
    on = draw(st.booleans())
    labels = tuple(draw(st.lists(names, max_size=2)))
    if purpose is Purpose.SET:
        return Matching(on, labels)
    many = draw(st.sampled_from([None, *Side]))
    include = draw(st.lists(names.filter(lambda name: name not in labels), max_size=2)) if many else ()
    fill = st.none() | numbers
    return Matching(on, labels, many, tuple(include), draw(fill), draw(fill))


@st.composite
def scalars(draw: st.DrawFn, depth: int = 3) -> Expression:
    kind = draw(st.integers(0, 4)) if depth else 0
    match kind:
        case 0:
            return draw(numbers | st.builds(Call, st.sampled_from(["time", "pi", "start", "range"])))
        case 1:
            return Call("scalar", (draw(vectors(depth - 1)),))
        case 2:
            return Unary(draw(st.sampled_from("+-")), draw(scalars(depth - 1)))
        case _:
            operator = draw(st.sampled_from([one for one in OPERATORS.values() if one.purpose is not Purpose.SET]))
            compares = operator.purpose is Purpose.COMPARISON
            return Binary(operator.symbol, draw(scalars(depth - 1)), draw(scalars(depth - 1)), compares)


@st.composite
def ranges(draw: st.DrawFn, depth: int) -> Expression:
    if draw(st.booleans()):
        return RangeSelector(draw(selectors()), draw(durations()))
    return Subquery(draw(vectors(depth)), draw(durations()), draw(st.none() | durations()), draw(offsets), draw(times))


@st.composite
def aggregations(draw: st.DrawFn, depth: int) -> Aggregation:
    aggregator = draw(st.sampled_from(list(AGGREGATORS.values())))
    parameters = {None: st.none(), ValueType.SCALAR: scalars(depth), ValueType.STRING: st.builds(String, texts)}
    parameter = draw(parameters[aggregator.parameter])
    grouping = tuple(draw(st.lists(names, max_size=2)))
    return Aggregation(aggregator.name, draw(vectors(depth)), parameter, grouping, draw(st.booleans()))


@st.composite
def vectors(draw: st.DrawFn, depth: int = 3) -> Expression:
    kind = draw(st.integers(0, 6)) if depth else 0
    deeper = vectors(depth - 1)
    match kind:
        case 0:
            return draw(selectors())
        case 1:
            return Call("abs", (draw(deeper),))
        case 2:
            return Call("quantile_over_time", (draw(scalars(depth - 1)), draw(ranges(depth - 1))))
        case 3:
            return draw(aggregations(depth - 1))
        case 4:
            return Unary(draw(st.sampled_from("+-")), draw(deeper))
        case 5:
            return Call("label_join", (draw(deeper), *(String(draw(texts)) for _ in range(3))))
        case _:
            operator = draw(st.sampled_from(list(OPERATORS.values())))
            compares = operator.purpose is Purpose.COMPARISON and draw(st.booleans())
            return Binary(operator.symbol, draw(deeper), draw(deeper), compares, draw(matchings(operator.purpose)))


trees = vectors() | scalars() | ranges(2) | st.builds(String, texts)


def bare(part: object) -> object:
    """The tree as nested tuples without its parentheses, which a tree made by hand need not have."""
    match part:
        case Paren(expression=inner):
            return bare(inner)
        case Number() | String() | LabelMatcher():
            return part
        case tuple():
            return tuple(map(bare, part))
        case _ if is_dataclass(part):
            return (type(part), *(bare(getattr(part, field.name)) for field in fields(part) if field.compare))
        case _:
            return part


@given(trees)
def test_any_tree_is_read_back_with_the_same_meaning(tree: Expression) -> None:
    assert bare(parse(to_text(tree))) == bare(tree)


@given(trees)
def test_what_was_read_is_read_back_as_the_same_tree_from_the_same_text(tree: Expression) -> None:
    read = parse(to_text(tree))
    assert parse(to_text(read)) == read
    assert to_text(parse(to_text(read))) == to_text(read)


@given(trees)
def test_the_places_of_nodes_enclose_those_within(tree: Expression) -> None:
    text = to_text(tree)
    for node in walk(parse(text)):
        assert 0 <= node.start < node.end <= len(text)
        assert all(node.start <= child.start <= child.end <= node.end for child in children(node))


@given(trees)
def test_a_node_cut_out_of_the_text_is_itself_an_expression_of_its_type(tree: Expression) -> None:
    text = to_text(tree)
    for node in walk(parse(text)):
        assert parse(text[node.start : node.end]) == node or isinstance(
            node, Selector
        )  # `a` of `a[5m] offset 1m` has the offset


@given(trees)
def test_a_tree_has_the_type_that_the_check_finds(tree: Expression) -> None:
    assert check(tree) is type_of(tree)
    assert repr(tree).startswith(type(tree).__name__)
