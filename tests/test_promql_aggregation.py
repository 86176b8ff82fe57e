"""Aggregations of PromQL: what becomes of the values of a group, which series are kept, and what is refused."""

import math
import struct
from math import inf, nan
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.promql import AGGREGATORS, Aggregation, Number, Selector, String, parse
from kailash_monitor.promql.aggregation import aggregate
from kailash_monitor.promql.annotations import Annotations
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces
from kailash_monitor.promql.xxhash import label_hash, xxhash64

HUGE = 1.7976931348623157e308


def of(pieces: Pieces[Any]) -> Any:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value


def labels(text: str) -> LabelSet:
    """Labels as PromQL writes a selector: `up{job="a"}`."""
    node = parse(text)
    assert isinstance(node, Selector)
    return LabelSet({demand.name: demand.value for demand in node.demands()})


def vector(given: dict[str, float]) -> Vector:
    return [(labels(text), value) for text, value in given.items()]


def aggregated(
    text: str, given: Vector, *, parameter: float | None = None, delayed: bool = False
) -> tuple[Vector, Annotations]:
    """What the aggregation `text` makes of `given`, with the number or text in it, or `parameter`."""
    node = parse(text)
    assert isinstance(node, Aggregation)
    written = node.parameter
    while written is not None and not isinstance(written, Number | String):
        written = getattr(written, "expression", None)
    used = parameter if parameter is not None or written is None else written.value
    notes = Annotations(text)
    return of(aggregate(node, given, used, notes, attrgetter("dropping" if delayed else "nameless"))), notes


def result(text: str, given: dict[str, float], *, parameter: float | None = None) -> list[tuple[str, float]]:
    found, _ = aggregated(text, vector(given), parameter=parameter)
    return [(one.text(), value) for one, value in found]


def values(*numbers: float) -> dict[str, float]:
    return {f'm{{i="{place}"}}': number for place, number in enumerate(numbers)}


# one value for a group


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        ("sum", (1, 2, 4), 7),
        ("sum", (2, 8, 1e100, -1e100), 10),
        ("sum", (inf, 1), inf),
        ("sum", (inf, -inf), nan),
        ("sum", (nan, 1), nan),
        ("sum", (HUGE, HUGE), inf),
        ("sum", (HUGE, HUGE, -HUGE), inf),
        ("avg", (8, 10, 12), 10),
        ("avg", (2, 8, 1e100, -1e100), 2.5),
        ("avg", (inf, 1), inf),
        ("avg", (1, -inf), -inf),
        ("avg", (inf, -inf), nan),
        ("avg", (nan, 1), nan),
        ("avg", (HUGE, HUGE), HUGE),
        ("avg", (-1e308, -1e308, 1e308, 1e308), 0),
        ("count", (1, nan, inf), 3),
        ("group", (1, nan, inf), 1),
        ("min", (2, -1, 3), -1),
        ("min", (nan, 2, nan), 2),
        ("min", (nan, nan), nan),
        ("min", (nan, inf), inf),
        ("max", (2, -1, 3), 3),
        ("max", (2, nan), 2),
        ("max", (nan,), nan),
        ("max", (nan, -inf), -inf),
        ("stdvar", (2, 4, 4, 4, 5, 5, 7, 9), 4),
        ("stddev", (2, 4, 4, 4, 5, 5, 7, 9), 2),
        ("stdvar", (5,), 0),
        ("stddev", (1.5990505637277868, 1.5990505637277868, 1.5990505637277868), 0),
        ("stddev", (inf,), nan),
        ("stddev", (1, inf), nan),
        ("stdvar", (1, nan), nan),
        ("stdvar", (nan, 1), nan),
    ],
)
def test_an_aggregation_makes_one_value_of_all(name: str, numbers: tuple[float, ...], expected: float) -> None:
    ((text, value),) = result(f"{name}(m)", values(*numbers))
    assert text == "{}"
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("phi", "numbers", "expected"),
    [
        (0.5, (0, 1, 4), 1),
        (0.8, (0, 1, 2), 1.6),
        (0.2, (4, 0, 1), 0.4),
        (0, (3, 1, 2), 1),
        (1, (3, 1, 2), 3),
        (0.5, (nan, 1, 0), 0),
        (0, (1, nan), nan),
        (0.5, (inf,), nan),  # the value above, which is the same, counts with a weight of 0
        (-0.1, (1, 2), -inf),
        (1.1, (1, 2), inf),
        (nan, (1, 2), nan),
    ],
)
def test_quantiles_lie_between_the_values_beside_them(phi: float, numbers: tuple[float, ...], expected: float) -> None:
    ((_, value),) = result("quantile(0, m)", values(*numbers), parameter=phi)
    assert value == pytest.approx(expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", ["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"])
def test_of_nothing_there_is_no_aggregate(name: str) -> None:
    assert result(f"{name}(m)", {}) == []


# groups

SERIES = {
    'm{job="a", path="/"}': 1.0,
    'm{job="b", path="/"}': 2.0,
    'm{job="a", path="/x"}': 4.0,
    'n{job="a", path="/x"}': 8.0,
    "m": 16.0,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(m)", {"{}": 31.0}),
        ("sum by () (m)", {"{}": 31.0}),
        ("sum by (job) (m)", {'{job="a"}': 13.0, '{job="b"}': 2.0, "{}": 16.0}),
        (
            "sum by (path, job) (m)",
            {'{job="a", path="/"}': 1.0, '{job="b", path="/"}': 2.0, '{job="a", path="/x"}': 12.0, "{}": 16.0},
        ),
        ("sum by (job, nothing) (m)", {'{job="a"}': 13.0, '{job="b"}': 2.0, "{}": 16.0}),
        ("sum by (__name__) (m)", {"m": 23.0, "n": 8.0}),
        ("sum without (path) (m)", {'{job="a"}': 13.0, '{job="b"}': 2.0, "{}": 16.0}),
        (
            "sum without () (m)",
            {'{job="a", path="/"}': 1.0, '{job="b", path="/"}': 2.0, '{job="a", path="/x"}': 12.0, "{}": 16.0},
        ),
        ("sum without (path, job, other) (m)", {"{}": 31.0}),
        ("count by (path) (m)", {'{path="/"}': 2.0, '{path="/x"}': 2.0, "{}": 1.0}),
    ],
)
def test_a_group_agrees_in_the_labels_of_by_or_in_all_but_those_of_without(text: str, expected: dict[str, float]) -> None:
    assert result(text, SERIES) == list(expected.items())


def test_the_order_of_labels_tells_no_groups_apart() -> None:
    given = [(LabelSet({"a": "1", "b": "2", "c": "3"}), 1.0), (LabelSet({"b": "2", "a": "1"}), 2.0)]
    assert aggregated("sum without (c) (m)", given)[0] == [(LabelSet({"a": "1", "b": "2"}), 3.0)]


def test_a_group_drops_its_name_in_the_end_if_one_of_its_series_does() -> None:
    given = [(labels('m{i="1"}'), 1.0), (labels('m{i="2"}').dropping, 2.0), (labels('n{i="3"}'), 4.0)]
    found, _ = aggregated("sum by (__name__) (m)", given, delayed=True)
    assert [(one.name, one.drops_name, value) for one, value in found] == [("m", True, 3.0), ("n", False, 4.0)]


def test_a_group_without_a_name_has_none_to_drop() -> None:
    ((found, _),), _ = aggregated("sum(m)", [(labels("m").dropping, 1.0)], delayed=True)
    assert not found.drops_name


# the largest and smallest

NUMBERS = values(3, nan, 1, 2, nan, 3)


def test_the_largest_are_kept_with_their_labels_the_largest_first() -> None:
    assert result("topk(3, m)", NUMBERS) == [('m{i="0"}', 3.0), ('m{i="5"}', 3.0), ('m{i="3"}', 2.0)]


def test_the_smallest_are_kept_with_their_labels_the_smallest_first() -> None:
    assert result("bottomk(3, m)", NUMBERS)[:2] == [('m{i="2"}', 1.0), ('m{i="3"}', 2.0)]
    assert result("bottomk(3, m)", NUMBERS)[2][1] == 3.0


@pytest.mark.parametrize("name", ["topk", "bottomk"])
def test_nan_is_kept_only_where_there_is_room_and_comes_last(name: str) -> None:
    kept = [value for _, value in result(f"{name}(5, m)", NUMBERS)]
    assert sorted(kept[:4]) == [1.0, 2.0, 3.0, 3.0]
    assert math.isnan(kept[4])


def test_the_largest_of_each_group_are_kept_one_group_after_the_other() -> None:
    assert result("topk by (job) (1, m)", SERIES) == [
        ('n{job="a", path="/x"}', 8.0),
        ('m{job="b", path="/"}', 2.0),
        ("m", 16.0),
    ]


def test_of_equal_values_the_series_are_kept_that_prometheus_keeps() -> None:
    """A larger value takes the place of the first in its heap, whichever came last."""
    assert result("topk(2, m)", values(1, 1, 2)) == [('m{i="2"}', 2.0), ('m{i="1"}', 1.0)]
    assert result("topk(2, m)", values(1, 1, 1)) == [('m{i="0"}', 1.0), ('m{i="1"}', 1.0)]


@pytest.mark.parametrize("name", ["topk", "bottomk", "limitk"])
@pytest.mark.parametrize("count", [0, -1, -inf, 0.99, -0.0])
def test_of_less_than_one_series_nothing_is_kept(name: str, count: float) -> None:
    assert result(f"{name}(1, m)", NUMBERS, parameter=count) == []


@pytest.mark.parametrize("name", ["topk", "bottomk", "limitk"])
def test_a_count_is_cut_to_a_whole_number(name: str) -> None:
    assert len(result(f"{name}(1, m)", NUMBERS, parameter=2.99)) == 2


@pytest.mark.parametrize("name", ["topk", "bottomk", "limitk"])
def test_a_count_may_be_larger_than_the_vector(name: str) -> None:
    assert {text for text, _ in result(f"{name}(9223372036854774000, m)", NUMBERS)} == set(NUMBERS)


@pytest.mark.parametrize("name", ["topk", "bottomk", "limitk"])
@pytest.mark.parametrize("given", [{}, NUMBERS], ids=["of nothing", "of some"])
@pytest.mark.parametrize(
    ("count", "message"),
    [
        (nan, "Parameter value is NaN"),
        (inf, "Scalar value +Inf overflows int64"),
        (1e19, "Scalar value 1e+19 overflows int64"),
    ],
)
def test_a_count_must_be_a_number_that_fits(name: str, given: dict[str, float], count: float, message: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        result(f"{name}(1, m)", given, parameter=count)
    assert str(caught.value) == message


def test_the_first_series_of_each_group_are_kept() -> None:
    assert [text for text, _ in result("limitk by (job) (1, m)", SERIES)] == [
        'm{job="a", path="/"}',
        'm{job="b", path="/"}',
        "m",
    ]


# a share of the series

MANY = [(LabelSet({METRIC_NAME: "m", "i": str(number)}), float(number)) for number in range(400)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"as", 0x1C330FB2D66BE179),
        (b"asd", 0x631C37CE72A97393),
        (b"asdf", 0x415872F599CEA71E),
        (b"0123456789abcdef", 0x5C5B90C34E376D0B),
        (b"0123456789abcdef0123456789abcdef", 0x642A94958E71E6C5),
        (b"Call me Ishmael. Some years ago--never mind how long precisely-", 0x02A2E85470D6FD96),
    ],
)
def test_the_hash_is_xxhash64(data: bytes, expected: int) -> None:
    assert xxhash64(data) == expected


def test_labels_are_hashed_by_name_each_text_after_its_length() -> None:
    long = "x" * 300
    expected = b"".join(
        (b"\x08__name__\x01m", b"\x01a\xff" + struct.pack("<I", 300)[:3] + long.encode(), b"\x02\xc3\xb6\x011")
    )
    assert label_hash(LabelSet({"ö": "1", "a": long, METRIC_NAME: "m"})) == xxhash64(expected)


@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.25, 0.5, 0.8, 0.9999])
def test_a_ratio_and_what_it_leaves_out_make_up_the_whole(ratio: float) -> None:
    chosen, _ = aggregated("limit_ratio(1, m)", MANY, parameter=ratio)
    others, _ = aggregated("limit_ratio(1, m)", MANY, parameter=ratio - 1)
    assert sorted(chosen + others, key=lambda one: one[1]) == MANY
    assert len(chosen) == pytest.approx(ratio * len(MANY), abs=40)


@pytest.mark.parametrize("ratio", [1.0, -1.0])
def test_a_ratio_of_one_is_all(ratio: float) -> None:
    found, notes = aggregated("limit_ratio(1, m)", MANY, parameter=ratio)
    assert found == MANY
    assert not notes.warnings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("limit_ratio(1.1, m)", "ratio value should be between -1 and 1, got 1.1, capping to 1 (1:13)"),
        ("limit_ratio((1.1), m)", "ratio value should be between -1 and 1, got 1.1, capping to 1 (1:14)"),
        ("limit_ratio(-1.1, m)", "ratio value should be between -1 and 1, got -1.1, capping to -1 (1:13)"),
        ("limit_ratio(Inf, m)", "ratio value should be between -1 and 1, got +Inf, capping to 1 (1:13)"),
    ],
)
def test_a_ratio_beyond_one_is_all_with_a_warning(text: str, expected: str) -> None:
    found, notes = aggregated(text, MANY)
    assert found == MANY
    assert notes.warnings == (f"PromQL warning: {expected}",)


@pytest.mark.parametrize("ratio", [0.0, -0.0])
def test_a_ratio_of_zero_is_nothing(ratio: float) -> None:
    assert aggregated("limit_ratio(1, m)", MANY, parameter=ratio)[0] == []


@pytest.mark.parametrize("given", [[], MANY], ids=["of nothing", "of some"])
def test_a_ratio_must_be_a_number(given: Vector) -> None:
    with pytest.raises(EvaluationError, match=r"^Ratio value is NaN$"):
        aggregated("limit_ratio(1, m)", given, parameter=nan)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quantile(1.1, m)", "quantile value should be between 0 and 1, got 1.1 (1:10)"),
        ("quantile(((-1)), m)", "quantile value should be between 0 and 1, got -1 (1:12)"),
        ("quantile(NaN, m)", "quantile value should be between 0 and 1, got NaN (1:10)"),
    ],
)
def test_a_quantile_that_is_none_is_warned_of_whatever_the_vector(text: str, expected: str) -> None:
    for some in ([], MANY):
        assert aggregated(text, some)[1].warnings == (f"PromQL warning: {expected}",)


# series counted by value

VERSIONS = {
    'version{job="api", instance="0"}': 6.0,
    'version{job="api", instance="1"}': 6.0,
    'version{job="app", instance="0"}': 6.0,
    'version{job="app", instance="1"}': 7.5,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('count_values("v", version)', {'{v="6"}': 3.0, '{v="7.5"}': 1.0}),
        (
            'count_values by (job) ("v", version)',
            {'{job="api", v="6"}': 2.0, '{job="app", v="6"}': 1.0, '{job="app", v="7.5"}': 1.0},
        ),
        (
            'count_values without (job) ("v", version)',
            {'{instance="0", v="6"}': 2.0, '{instance="1", v="6"}': 1.0, '{instance="1", v="7.5"}': 1.0},
        ),
        ('count_values without (instance) ("job", version)', {'{job="6"}': 3.0, '{job="7.5"}': 1.0}),
        ('count_values by (job) ("job", version)', {'{job="6"}': 3.0, '{job="7.5"}': 1.0}),
        ('count_values without (v, job, instance) ("v", version)', {"{}": 4.0}),
        ('count_values("__name__", version)', {'{"6"}': 3.0, '{"7.5"}': 1.0}),
        ('count_values("a b", version)', {'{a b="6"}': 3.0, '{a b="7.5"}': 1.0}),
    ],
)
def test_series_are_counted_by_value(text: str, expected: dict[str, float]) -> None:
    found, _ = aggregated(text, vector(VERSIONS))
    if "__name__" in text:
        assert [(one.labels, value) for one, value in found] == [({METRIC_NAME: "6"}, 3.0), ({METRIC_NAME: "7.5"}, 1.0)]
    else:
        assert [(one.text(), value) for one, value in found] == list(expected.items())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e21, "1" + 21 * "0"),
        (1e-7, "0.0000001"),
        (nan, "NaN"),
        (-inf, "-Inf"),
        (inf, "+Inf"),
        (-0.0, "-0"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_a_value_becomes_the_shortest_text_without_an_exponent(value: float, expected: str) -> None:
    ((found, _),), _ = aggregated('count_values("v", m)', [(labels("m"), value)])
    assert found.labels == {"v": expected}


@pytest.mark.parametrize(("label", "shown"), [('""', '""'), (r'"a\xc5z"', r'"a\xc5z"')])
@pytest.mark.parametrize("given", [{}, VERSIONS], ids=["of nothing", "of some"])
def test_the_label_of_count_values_must_be_a_name(label: str, shown: str, given: dict[str, float]) -> None:
    with pytest.raises(EvaluationError) as caught:
        result(f"count_values({label}, version)", given)
    assert str(caught.value) == f"invalid label name {shown}"


# laws

NAMES = st.sampled_from(("a", "b", "c"))
LABEL_SETS = st.builds(
    lambda name, others: LabelSet({METRIC_NAME: name, **others}),
    st.sampled_from(("", "m", "n")),
    st.dictionaries(NAMES, st.sampled_from(("", "1", "2")), max_size=3),
)


def vectors(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[Vector]:
    return st.dictionaries(LABEL_SETS, numbers, max_size=20).map(lambda given: list(given.items()))


GROUPINGS = st.lists(st.sampled_from(("a", "b", "c", METRIC_NAME)), unique=True, max_size=3).map(tuple)
TAKING_NUMBERS = ("topk", "bottomk", "quantile", "limitk", "limit_ratio")


def made(name: str, given: Vector, parameter: float | str | None, grouping: tuple[str, ...], *, without: bool) -> Vector:
    node = Aggregation(name, Selector("m"), None if parameter is None else Number(1.0), grouping, without)
    found: Vector = of(aggregate(node, given, parameter, Annotations(""), attrgetter("nameless")))
    return found


@given(
    st.sampled_from(sorted(AGGREGATORS)), vectors(st.floats()), st.floats(), st.text(max_size=2), GROUPINGS, st.booleans()
)
def test_any_vector_has_an_aggregate_of_distinct_series_or_an_evaluation_error(
    name: str, given: Vector, number: float, label: str, grouping: tuple[str, ...], without: bool
) -> None:
    parameter = number if name in TAKING_NUMBERS else label if name == "count_values" else None
    try:
        found = made(name, given, parameter, grouping, without=without)
    except EvaluationError:
        assert name in ("topk", "bottomk", "limitk", "limit_ratio", "count_values")
        return
    assert len({one for one, _ in found}) == len(found)
    assert all(type(value) is float for _, value in found)


@given(vectors(st.integers(-(10**9), 10**9).map(float)), GROUPINGS, st.booleans())
def test_groups_make_up_the_whole(given: Vector, grouping: tuple[str, ...], without: bool) -> None:
    total = sum(value for _, value in given)
    for name, expected in (("sum", total), ("count", len(given)), ("count_values", len(given))):
        found = made(name, given, "v" if name == "count_values" else None, grouping, without=without)
        assert sum(value for _, value in found) == expected


@given(vectors(st.floats()), st.integers(1, 8), GROUPINGS, st.sampled_from(("topk", "bottomk", "limitk")))
def test_what_is_selected_is_part_of_the_vector(given: Vector, count: int, grouping: tuple[str, ...], name: str) -> None:
    found = made(name, given, float(count), grouping, without=False)
    assert {id(element) for element in found} <= {id(element) for element in given}
    sizes = made("count", given, None, grouping, without=False)
    kept = made("count", found, None, grouping, without=False)
    assert dict(kept) == {group: min(size, count) for group, size in sizes}


@given(vectors(st.floats(allow_nan=False)), st.integers(1, 8), st.sampled_from((("topk", True), ("bottomk", False))))
def test_no_value_left_out_is_more_extreme(given: Vector, count: int, case: tuple[str, bool]) -> None:
    name, reverse = case
    found = made(name, given, float(count), (), without=False)
    assert [value for _, value in found] == sorted((value for _, value in given), reverse=reverse)[:count]


@given(vectors(st.floats(allow_nan=False, allow_infinity=False)), GROUPINGS, st.booleans())
def test_a_mean_of_finite_values_lies_between_them(given: Vector, grouping: tuple[str, ...], without: bool) -> None:
    least, mean, greatest = (dict(made(name, given, None, grouping, without=without)) for name in ("min", "avg", "max"))
    assert list(least) == list(mean) == list(greatest)
    for group, value in mean.items():
        width = 1e-12 * max(abs(least[group]), abs(greatest[group]))
        assert math.isfinite(value)
        assert least[group] - width <= value <= greatest[group] + width


def test_long_vectors_are_aggregated_in_pieces() -> None:
    long = MANY * 10
    for name in AGGREGATORS:
        parameter = {"count_values": "v"}.get(
            name, 0.5 if name in ("quantile", "limit_ratio") else 5.0 if name in TAKING_NUMBERS else None
        )
        node = Aggregation(name, Selector("m"), None if parameter is None else Number(1.0), ("i",))
        pieces = list(aggregate(node, long, parameter, Annotations(""), attrgetter("nameless")))
        assert len(pieces) >= 7, name
