"""PromQL functions of single values, labels, orders and info metrics: Go's results for any float, and never a raise."""

import calendar
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.promql import FUNCTIONS, Call, parse
from kailash_monitor.promql.elementwise import ELEMENTWISE, larger, smaller
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.information import InfoSample, info, info_demands
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.moment import moment_at, rfc3339, second_of
from kailash_monitor.promql.ordering import natural, sort, sort_by_label, sort_by_label_desc, sort_desc
from kailash_monitor.promql.query import finished
from kailash_monitor.promql.relabelling import label_join, label_replace
from kailash_monitor.promql.samples import Vector

INF, NAN = math.inf, math.nan

FLOATS = st.floats() | st.sampled_from([0.0, -0.0, INF, -INF, NAN, 1e308, -1e308, 5e-324, 2.0**52, 2.0**63, -(2.0**63), 0.5])
NAMES = st.sampled_from(["__name__", "a", "b", "instance", "job"])
TEXTS = st.text("ab01", max_size=3) | st.text(max_size=3)
LABELS = st.dictionaries(NAMES, TEXTS).map(LabelSet)
VECTORS = st.lists(st.tuples(LABELS, FLOATS), max_size=6)


def same(one: float | None, other: float | None) -> bool:
    """Whether two results are equal, NaN to itself, and -0 not to 0."""
    if one is None or other is None:
        return one is other
    return (one != one and other != other) or (one == other and math.copysign(1, one) == math.copysign(1, other))


def call(text: str) -> Call:
    node = parse(text)
    assert isinstance(node, Call)
    return node


# Values.


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("abs", (-0.0,), 0.0),
        ("abs", (-INF,), INF),
        ("abs", (NAN,), NAN),
        ("ceil", (1.2,), 2.0),
        ("ceil", (-1.2,), -1.0),
        ("ceil", (-0.5,), -0.0),
        ("ceil", (0.0,), 0.0),
        ("ceil", (-0.0,), -0.0),
        ("ceil", (INF,), INF),
        ("ceil", (NAN,), NAN),
        ("ceil", (1e300,), 1e300),
        ("floor", (1.7,), 1.0),
        ("floor", (-1.2,), -2.0),
        ("floor", (-0.0,), -0.0),
        ("floor", (-1e-300,), -1.0),
        ("floor", (-INF,), -INF),
        ("floor", (NAN,), NAN),
        ("floor", (2.0**53 + 2,), 2.0**53 + 2),
        ("exp", (0.0,), 1.0),
        ("exp", (710.0,), INF),
        ("exp", (-INF,), 0.0),
        ("exp", (NAN,), NAN),
        ("sqrt", (-1.0,), NAN),
        ("sqrt", (-INF,), NAN),
        ("sqrt", (-0.0,), -0.0),
        ("sqrt", (INF,), INF),
        *((name, (0.0,), -INF) for name in ("ln", "log2", "log10")),
        *((name, (-0.0,), -INF) for name in ("ln", "log2", "log10")),
        *((name, (-1.0,), NAN) for name in ("ln", "log2", "log10")),
        *((name, (INF,), INF) for name in ("ln", "log2", "log10")),
        *((name, (NAN,), NAN) for name in ("ln", "log2", "log10")),
        ("log2", (1024.0,), 10.0),
        ("log10", (0.001,), -3.0),
        *((name, (one,), NAN) for name in ("sin", "cos", "tan") for one in (INF, -INF, NAN)),
        *((name, (one,), NAN) for name in ("asin", "acos") for one in (1.5, -INF, NAN)),
        ("asin", (1.0,), math.pi / 2),
        ("atan", (-INF,), -math.pi / 2),
        ("acosh", (0.5,), NAN),
        ("acosh", (INF,), INF),
        ("acosh", (-INF,), NAN),
        ("asinh", (-INF,), -INF),
        ("atanh", (1.0,), INF),
        ("atanh", (-1.0,), -INF),
        ("atanh", (2.0,), NAN),
        ("atanh", (INF,), NAN),
        ("atanh", (-0.0,), -0.0),
        ("sinh", (1000.0,), INF),
        ("sinh", (-1000.0,), -INF),
        ("cosh", (-1000.0,), INF),
        ("cosh", (-INF,), INF),
        ("tanh", (INF,), 1.0),
        ("rad", (180.0,), math.pi),
        ("deg", (math.pi,), 180.0),
        ("deg", (1e308,), INF),
        ("sgn", (-INF,), -1.0),
        ("sgn", (1e-300,), 1.0),
        ("sgn", (-0.0,), -0.0),
        ("sgn", (NAN,), NAN),
    ],
)
def test_functions_give_what_go_gives(name: str, arguments: tuple[float, ...], expected: float) -> None:
    result = ELEMENTWISE[name](*arguments)
    assert same(result, expected), result


@pytest.mark.parametrize(
    ("value", "to_nearest", "expected"),
    [
        (2.5, 1.0, 3.0),
        (-2.5, 1.0, -2.0),
        (-0.5, 1.0, 0.0),
        (0.35, 0.1, 0.4),
        (7.0, 5.0, 5.0),
        (7.5, 5.0, 10.0),
        (-7.0, -5.0, -5.0),
        (INF, 1.0, INF),
        (NAN, 1.0, NAN),
        (3.0, 0.0, NAN),
        (0.0, 0.0, NAN),
        (3.0, INF, NAN),
        (3.0, NAN, NAN),
        (1e300, 1e-300, INF),
    ],
)
def test_round_goes_up_from_half_way(value: float, to_nearest: float, expected: float) -> None:
    result = ELEMENTWISE["round"](value, to_nearest)
    assert result is not None
    assert same(result, expected) or result == pytest.approx(expected, rel=1e-15)


def test_round_is_to_whole_numbers_where_nothing_else_is_said() -> None:
    assert ELEMENTWISE["round"](1.5) == 2.0


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clamp", (5.0, 0.0, 10.0), 5.0),
        ("clamp", (-5.0, 0.0, 10.0), 0.0),
        ("clamp", (50.0, 0.0, 10.0), 10.0),
        ("clamp", (5.0, 7.0, 7.0), 7.0),
        ("clamp", (5.0, 10.0, 0.0), None),
        ("clamp", (NAN, 10.0, 0.0), None),
        ("clamp", (NAN, 0.0, 10.0), NAN),
        ("clamp", (5.0, NAN, 10.0), NAN),
        ("clamp", (5.0, 0.0, NAN), NAN),
        ("clamp", (INF, NAN, INF), INF),
        ("clamp", (-INF, -INF, NAN), -INF),
        ("clamp_min", (5.0, 7.0), 7.0),
        ("clamp_min", (5.0, NAN), NAN),
        ("clamp_min", (INF, NAN), INF),
        ("clamp_max", (5.0, 3.0), 3.0),
        ("clamp_max", (5.0, NAN), NAN),
        ("clamp_max", (-INF, NAN), -INF),
    ],
)
def test_clamp_gives_nothing_where_the_least_is_above_the_most_and_nan_for_nan_bounds(
    name: str, arguments: tuple[float, ...], expected: float | None
) -> None:
    result = ELEMENTWISE[name](*arguments)
    assert same(result, expected), result


@pytest.mark.parametrize(
    ("one", "other", "larger_one", "smaller_one"),
    [
        (1.0, 2.0, 2.0, 1.0),
        (0.0, -0.0, 0.0, -0.0),
        (NAN, 1.0, NAN, NAN),
        (NAN, INF, INF, NAN),
        (NAN, -INF, NAN, -INF),
        (INF, -INF, INF, -INF),
    ],
)
def test_of_two_values_the_larger_and_the_smaller_are_those_of_go(
    one: float, other: float, larger_one: float, smaller_one: float
) -> None:
    for pair in ((one, other), (other, one)):
        assert same(larger(*pair), larger_one)
        assert same(smaller(*pair), smaller_one)


def test_every_function_of_a_value_is_one_of_promql() -> None:
    assert set(ELEMENTWISE) <= set(FUNCTIONS)


@given(st.sampled_from(sorted(ELEMENTWISE)), FLOATS, FLOATS, FLOATS)
def test_no_float_makes_a_function_raise(name: str, value: float, first: float, second: float) -> None:
    scalars = (first, second)[: len(FUNCTIONS[name].arguments) - 1]
    result = ELEMENTWISE[name](value, *scalars)
    assert isinstance(result, float) or (result is None and name == "clamp")


# Dates.

DATES = ("year", "month", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute")


def date(value: float) -> tuple[float | None, ...]:
    return tuple(ELEMENTWISE[name](value) for name in DATES)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, (1970, 1, 1, 4, 1, 31, 0, 0)),
        (-1.0, (1969, 12, 31, 3, 365, 31, 23, 59)),
        (-0.5, (1970, 1, 1, 4, 1, 31, 0, 0)),
        (59.999, (1970, 1, 1, 4, 1, 31, 0, 0)),
        (951_782_400.0, (2000, 2, 29, 2, 60, 29, 0, 0)),
        (951_868_799.0, (2000, 2, 29, 2, 60, 29, 23, 59)),
        (1_735_689_599.0, (2024, 12, 31, 2, 366, 31, 23, 59)),
        (-2_203_891_200.0, (1900, 3, 1, 4, 60, 31, 0, 0)),
        (-62_167_219_200.0, (0, 1, 1, 6, 1, 31, 0, 0)),
        (1e15, (31_690_708, 7, 5, 0, 187, 31, 1, 46)),
        (-1e15, (-31_686_769, 6, 29, 0, 180, 30, 22, 13)),
        (6.7e16, (2_123_147_449, 12, 15, 6, 349, 31, 23, 6)),
    ],
)
def test_dates_are_those_of_the_second_in_utc(value: float, expected: tuple[int, ...]) -> None:
    assert date(value) == expected


@pytest.mark.parametrize("value", [NAN, INF, -INF, 2.0**63, -1e300, -(2.0**63)])
def test_what_is_no_second_has_the_date_that_go_gives_it(value: float) -> None:
    """Go turns it into the least integer of 64 bits, which its calendar takes for the second after the last."""
    assert rfc3339(second_of(value)) == "292277026596-12-04T15:30:08Z"
    assert date(value)[:3] == (292_277_026_596, 12, 4)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_dates_agree_with_those_of_python(second: int) -> None:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    length = calendar.monthrange(when.year, when.month)[1]
    day_of_year = when.timetuple().tm_yday
    weekday = when.isoweekday() % 7
    assert date(float(second)) == (*(when.year, when.month, when.day, weekday, day_of_year, length, when.hour, when.minute),)
    assert rfc3339(second) == f"{when.year:04d}-{when:%m-%dT%H:%M:%S}Z"


@given(st.integers(-(2**63), 2**63))
def test_each_day_is_followed_by_the_next_of_the_calendar(second: int) -> None:
    today, tomorrow = moment_at(second), moment_at(second + 86_400)
    if today.day < today.days_in_month:
        assert tomorrow == today._replace(day=today.day + 1, day_of_year=today.day_of_year + 1)
    elif today.month < 12:
        assert (tomorrow.month, tomorrow.day, tomorrow.day_of_year) == (today.month + 1, 1, today.day_of_year + 1)
    else:
        assert (tomorrow.year, tomorrow.month, tomorrow.day_of_year) == (today.year + 1, 1, 1)


# Labels.


def replaced(labels: dict[str, str], *arguments: str) -> dict[str, str]:
    ((result, value),) = finished(label_replace([(LabelSet(labels), 1.0)], *arguments))
    assert value == 1.0
    return result.labels


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("dst", "value-$1", "src", "a-(.*)"), {"src": "a-10", "dst": "value-10"}),
        (("dst", "$2/${first}", "src", "(?P<first>.*)-(.*)"), {"src": "a-10", "dst": "10/a"}),
        (("dst", "$1x", "src", "(.*)"), {"src": "a-10"}),
        (("dst", "$$1", "src", ".*"), {"src": "a-10", "dst": "$1"}),
        (("dst", "x", "src", "-(.*)"), {"src": "a-10", "dst": "old"}),
        (("dst", "x", "src", "a"), {"src": "a-10", "dst": "old"}),
        (("dst", "<$1>", "none", "(.*)"), {"src": "a-10", "dst": "<>"}),
        (("dst", "x", "none", "(.+)"), {"src": "a-10", "dst": "old"}),
        (("dst", "", "src", ".*"), {"src": "a-10"}),
        (("src", "", "src", ".*"), {"dst": "old"}),
        (("__name__", "$1", "src", "(.*)-.*"), {"__name__": "a", "src": "a-10", "dst": "old"}),
        (("ü.x", "$1", "src", "(.*)-.*"), {"ü.x": "a", "src": "a-10", "dst": "old"}),
    ],
)
def test_label_replace_sets_a_label_where_the_pattern_fits_the_whole_of_another(
    arguments: tuple[str, ...], expected: dict[str, str]
) -> None:
    assert replaced({"src": "a-10", "dst": "old"}, *arguments) == expected


def test_a_dot_of_label_replace_fits_a_line_feed() -> None:
    assert replaced({"src": "a\nb"}, "dst", "$1", "src", "a.(.)") == {"src": "a\nb", "dst": "b"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dst", "x", "src", "(.*"), "invalid regular expression in label_replace(): (.*"),
        (("\udcff", "", "src", "(.*)"), "invalid destination label name in label_replace(): \udcff"),
        (("", "", "src", "(.*)"), "invalid destination label name in label_replace(): "),
        (("", "", "src", "["), "invalid regular expression in label_replace(): ["),
    ],
)
def test_label_replace_refuses_a_wrong_pattern_or_name_even_where_there_are_no_series(
    arguments: tuple[str, str, str, str], message: str
) -> None:
    with pytest.raises(EvaluationError, match=f"^{re.escape(message)}$"):
        finished(label_replace([], *arguments))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("dst", "-", ["a", "b"]), "x-y"),
        (("dst", "-", ["b", "none", "a"]), "y--x"),
        (("dst", ", ", ["a"]), "x"),
        (("dst", "-", []), ""),
        (("dst", "", ["none"]), ""),
        (("dst", "-", ["dst", "dst"]), "old-old"),
    ],
)
def test_label_join_joins_values_in_the_order_given(arguments: tuple[str, str, list[str]], expected: str) -> None:
    labels = LabelSet({"__name__": "m", "a": "x", "b": "y", "dst": "old"})
    assert finished(label_join([(labels, 1.0)], *arguments)) == [(labels.changed({"dst": expected}), 1.0)]


@pytest.mark.parametrize(
    ("destination", "sources", "message"),
    [
        ("dst", ["a", ""], "invalid source label name in label_join(): "),
        ("", ["a"], "invalid destination label name in label_join(): "),
        ("", ["\udcff"], "invalid source label name in label_join(): \udcff"),
    ],
)
def test_label_join_refuses_what_no_label_can_be_called(destination: str, sources: list[str], message: str) -> None:
    with pytest.raises(EvaluationError, match=f"^{re.escape(message)}$"):
        finished(label_join([], destination, "-", sources))


@pytest.mark.parametrize(("destination", "drops"), [("a", True), ("__name__", False)])
def test_a_name_that_was_to_be_dropped_stays_if_it_is_given_anew(destination: str, drops: bool) -> None:
    labels = LabelSet({"__name__": "m", "a": "m"}).dropping
    for result in (
        finished(label_replace([(labels, 1.0)], destination, "m", "", ".*")),
        finished(label_join([(labels, 1.0)], destination, "", ["a"])),
    ):
        assert [(one, one.drops_name) for one, _ in result] == [(labels, drops)]


def test_labels_that_do_not_change_are_the_same_object() -> None:
    labels = LabelSet({"a": "1"})
    ((found, _),) = finished(label_replace([(labels, 1.0)], "a", "$1", "a", "(.*)"))
    assert found is labels


@given(VECTORS, st.sampled_from(["a", "new"]), TEXTS, st.lists(NAMES, max_size=3))
def test_joining_one_label_is_replacing_by_all_of_it(vector: Vector, name: str, separator: str, sources: list[str]) -> None:
    """And whatever is joined, values and all other labels stay, in order."""
    for source in sources[:1]:
        joined = finished(label_join(vector, name, separator, [source]))
        assert joined == finished(label_replace(vector, name, "$1", source, "(.*)")) or any(
            source in one.labels and "\ud800" <= character <= "\udfff"
            for one, _ in vector
            for character in one.labels.get(source, "")
        )
    joined = finished(label_join(vector, name, separator, sources))
    assert [labels.without((name,)) for labels, _ in joined] == [labels.without((name,)) for labels, _ in vector]
    assert all(same(one, other) for (_, one), (_, other) in zip(joined, vector, strict=True))


@given(VECTORS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_relabelling_raises_nothing_but_its_own_error(vector: Vector, one: str, two: str, three: str, four: str) -> None:
    for pieces in (label_replace(vector, one, two, three, four), label_join(vector, one, two, [three, four])):
        try:
            finished(pieces)
        except EvaluationError as error:
            assert "invalid" in error.message


# Orders.


def of_values(*values: float) -> Vector:
    return [(LabelSet({"i": str(index)}), value) for index, value in enumerate(values)]


def test_sort_puts_the_smallest_first_and_nan_last() -> None:
    result = finished(sort(of_values(3.0, NAN, -INF, 1.0, INF)))
    assert [value for _, value in result[:4]] == [-INF, 1.0, 3.0, INF]
    assert math.isnan(result[4][1])


def test_sort_desc_puts_the_largest_first_and_nan_last() -> None:
    result = finished(sort_desc(of_values(NAN, 3.0, -INF, NAN, 1.0, INF)))
    assert [value for _, value in result[:4]] == [INF, 3.0, 1.0, -INF]
    assert all(math.isnan(value) for _, value in result[4:])


@given(st.lists(FLOATS, max_size=10), st.integers(0, 100))
def test_sorting_in_runs_is_sorting(values: list[float], times: int) -> None:
    vector = of_values(*values * times)
    ascending, descending = finished(sort(vector)), finished(sort_desc(vector))
    for result in (ascending, descending):
        assert sorted(id(labels) for labels, _ in result) == sorted(id(labels) for labels, _ in vector)
        kinds = [value != value for _, value in result]
        assert kinds == sorted(kinds)
    assert all(not one > other for (_, one), (_, other) in pairwise(ascending))
    assert all(not one < other for (_, one), (_, other) in pairwise(descending))


@pytest.mark.parametrize(
    "texts",
    [
        ["", "0", "1", "2", "10", "a"],
        ["4m5", "4m600", "4m1000"],
        ["1.2.3", "1.11.3", "1.111.3"],
        ["-1", "9", "10", ":", "A", "a", "a1", "a2b", "a10b", "a-1", "aa"],
        ["x9", "x18446744073709551616", "x100000000000000000000"],
        ["x1", "x01y"],
    ],
)
def test_natural_order_counts_numbers_as_such(texts: list[str]) -> None:
    for one, other in pairwise(texts):
        assert natural(one) < natural(other)


def test_numbers_with_leading_zeros_are_equal_in_natural_order() -> None:
    assert natural("a01b") == natural("a1b")


def test_a_number_of_any_length_can_be_sorted() -> None:
    assert natural("9" * 10_000) < natural("1" + "0" * 10_000)


def test_sort_by_label_goes_on_to_the_next_label_and_then_to_all() -> None:
    rows = [("10", "b", "1"), ("2", "b", "2"), ("2", "a", "3"), ("2", "b", "1")]
    vector = [(LabelSet({"one": one, "two": two, "three": three}), 0.0) for one, two, three in rows]

    def order(vector: Vector) -> list[int]:
        return [rows.index((labels.labels["one"], labels.labels["two"], labels.labels["three"])) for labels, _ in vector]

    assert order(finished(sort_by_label(vector, "one", "two"))) == [2, 3, 1, 0]
    assert order(finished(sort_by_label_desc(vector, "one", "two"))) == [0, 1, 3, 2]
    assert order(finished(sort_by_label(vector))) == [0, 3, 1, 2]


@given(VECTORS, st.lists(NAMES, max_size=3))
def test_descending_is_ascending_from_behind(vector: Vector, names: list[str]) -> None:
    ascending, descending = finished(sort_by_label(vector, *names)), finished(sort_by_label_desc(vector, *names))
    assert [labels for labels, _ in ascending] == [labels for labels, _ in reversed(descending)]


# Info metrics.

TARGET = {"instance": "a", "job": "1"}
TARGET_INFO = InfoSample(LabelSet({"__name__": "target_info", **TARGET, "data": "info", "more": "another"}), 1000)
BUILD_INFO = InfoSample(LabelSet({"__name__": "build_info", **TARGET, "build": "b"}), 1000)


def enriched(text: str, samples: Sequence[InfoSample], *bases: dict[str, str]) -> list[dict[str, str]]:
    """What becomes of the label sets, told apart from the bases by nothing but their order."""
    vector = [(LabelSet(labels), float(index)) for index, labels in enumerate(bases)]
    result = finished(info(call(text), vector, samples))
    assert all(value.is_integer() for _, value in result)
    return [labels.labels for labels, _ in result]


METRIC = {"__name__": "metric", **TARGET}


@pytest.mark.parametrize(
    ("text", "samples", "base", "expected"),
    [
        ("info(metric)", [TARGET_INFO], METRIC, {**METRIC, "data": "info", "more": "another"}),
        ("info(metric)", [], METRIC, METRIC),
        ('info(metric, {data=~".+"})', [TARGET_INFO], METRIC, {**METRIC, "data": "info"}),
        ('info(metric, {data=~".+"})', [], METRIC, None),
        ('info(metric, {data=~".*"})', [], METRIC, METRIC),
        ('info(metric, {data!="x"})', [], METRIC, METRIC),
        ('info(metric, {data!~".+"})', [], METRIC, METRIC),
        ('info(metric, {data!=""})', [], METRIC, None),
        ('info(metric, {data=~".+", no=~".*"})', [TARGET_INFO], METRIC, {**METRIC, "data": "info"}),
        ("info(metric)", [TARGET_INFO], {**METRIC, "data": "own"}, {**METRIC, "data": "own", "more": "another"}),
        ('info(metric, {data="info"})', [TARGET_INFO], {**METRIC, "data": "own"}, {**METRIC, "data": "own"}),
        ('info(metric, {instance="a"})', [TARGET_INFO], METRIC, METRIC),
        ("info(metric)", [TARGET_INFO], {**METRIC, "job": "2"}, {**METRIC, "job": "2"}),
        ("info(metric)", [TARGET_INFO], {"__name__": "metric"}, {"__name__": "metric"}),
        ('info(metric, {__name__="none", data=~".+"})', [], METRIC, None),
        ('info(metric, {__name__="none"})', [], METRIC, METRIC),
        ('info(metric, {__name__!~".+_info", data=~".+"})', [], METRIC, None),
        ('info(metric, {__name__!="target_info"})', [BUILD_INFO], METRIC, {**METRIC, "build": "b"}),
        (
            'info(metric, {__name__=~".+_info"})',
            [TARGET_INFO, BUILD_INFO],
            METRIC,
            {**METRIC, "data": "info", "more": "another", "build": "b"},
        ),
        ('info(metric, {__name__="none"})', [], {"__name__": "metric"}, {"__name__": "metric"}),
    ],
)
def test_labels_are_added_from_the_info_metrics_of_the_same_target(
    text: str, samples: list[InfoSample], base: dict[str, str], expected: dict[str, str] | None
) -> None:
    assert enriched(text, samples, base) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("text", "base", "left_alone"),
    [
        ("info(x)", TARGET_INFO, True),
        ("info(x)", BUILD_INFO, False),
        ('info(x, {__name__=~".+_info", more=~".+"})', BUILD_INFO, True),
        ('info(x, {__name__=~"target_.+", __name__=~".+_info"})', BUILD_INFO, False),
        ('info(x, {__name__=~".+_info", __name__!~"build.+"})', BUILD_INFO, False),
        ('info(x, {__name__!="build_info"})', BUILD_INFO, False),
        ('info(x, {__name__!="other"})', BUILD_INFO, True),
        ('info(x, {data=~".+"})', TARGET_INFO, True),
    ],
)
def test_series_of_the_info_metrics_that_a_call_names_are_left_alone(text: str, base: InfoSample, left_alone: bool) -> None:
    (result,) = enriched(text, [TARGET_INFO], base.labels.labels)
    assert (result == base.labels.labels) is left_alone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("info(x)", [("__name__", "=", "target_info")]),
        ('info(x, {data=~".+"})', [("__name__", "=", "target_info"), ("data", "=~", ".+")]),
        ('info(x, {data=~".+", __name__="a"})', [("__name__", "=", "a"), ("data", "=~", ".+")]),
        ('info(x, {__name__!="a"})', [("__name__", "=~", ".+_info"), ("__name__", "!=", "a")]),
        ('info(x, {__name__!="a", __name__=~".+"})', [("__name__", "!=", "a"), ("__name__", "=~", ".+")]),
    ],
)
def test_info_asks_for_target_info_unless_another_metric_is_named(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert [(one.name, one.operator.value, one.value) for one in info_demands(call(text))] == expected


def test_the_latest_of_two_series_of_an_info_metric_counts() -> None:
    later = InfoSample(TARGET_INFO.labels.changed({"data": "new"}), 2000)
    for samples in ([TARGET_INFO, later], [later, TARGET_INFO]):
        (labels,) = enriched("info(metric)", samples, METRIC)
        assert labels["data"] == "new"


def test_two_series_of_an_info_metric_at_the_same_time_are_an_error() -> None:
    other = InfoSample(LabelSet({"__name__": "target_info", **TARGET}), 1000)
    message = (
        'found duplicate series for info metric: existing {__name__="target_info", data="info", instance="a", job="1",'
        ' more="another"} @ 1000, new {__name__="target_info", instance="a", job="1"} @ 1000'
    )
    with pytest.raises(EvaluationError, match=f"^{re.escape(message)}$"):
        enriched("info(metric)", [TARGET_INFO, other], METRIC)


def test_series_of_targets_that_nobody_asked_about_are_no_error() -> None:
    others = [InfoSample(LabelSet({"__name__": "target_info", "instance": "b", "data": one}), 1000) for one in "xy"]
    assert enriched("info(metric)", others, METRIC) == [METRIC]


def test_info_metrics_that_differ_in_a_label_are_an_error_where_it_would_be_added() -> None:
    contrary = InfoSample(LabelSet({"__name__": "build_info", **TARGET, "data": "other"}), 1000)
    text = 'info(metric, {__name__=~".+_info"})'
    with pytest.raises(EvaluationError, match="^conflicting label: data$"):
        enriched(text, [TARGET_INFO, contrary], METRIC)
    assert enriched(text, [TARGET_INFO, contrary], {**METRIC, "data": "own"}) == [
        {**METRIC, "data": "own", "more": "another"}
    ]
    only = 'info(metric, {__name__=~".+_info", more=~".*"})'
    assert enriched(only, [TARGET_INFO, contrary], METRIC) == [{**METRIC, "more": "another"}]


def test_one_label_is_enough_to_know_a_target_if_both_sides_have_no_other() -> None:
    sample = InfoSample(LabelSet({"__name__": "target_info", "instance": "a", "data": "info"}), 1000)
    base = {"__name__": "metric", "instance": "a"}
    assert enriched("info(metric)", [sample], base) == [{**base, "data": "info"}]
    assert enriched("info(metric)", [sample], METRIC) == [METRIC]


@given(VECTORS, st.lists(st.builds(InfoSample, LABELS, st.integers(0, 3)), max_size=5))
def test_info_only_adds_labels_and_raises_nothing_but_its_own_errors(vector: Vector, samples: list[InfoSample]) -> None:
    try:
        result = finished(info(call("info(x)"), vector, samples))
    except EvaluationError as error:
        assert error.message.startswith(("found duplicate series", "conflicting label: "))
    else:
        assert len(result) == len(vector)
        for (labels, value), (new, still) in zip(vector, result, strict=True):
            assert labels.labels.items() <= new.labels.items()
            assert same(value, still)
