"""Classic histograms in PromQL: quantiles and fractions of what was observed, estimated from buckets as Prometheus does it."""

import math
from collections.abc import Mapping
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.promql import Call, parse
from kailash_monitor.promql.annotations import Annotations
from kailash_monitor.promql.classic import Correction, histogram_fraction, histogram_quantile, histogram_quantiles
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.query import finished
from kailash_monitor.promql.samples import Vector

INF, NAN = math.inf, math.nan
NOW = 3_000_000
"""The time of the evaluations: 50 minutes after 1970 began, as in Prometheus' own tests."""


class Query:
    """A call of one of the functions on a vector, with the annotations that it left."""

    def __init__(self, text: str, *, delayed: bool = True) -> None:
        node = parse(text)
        assert isinstance(node, Call)
        self.node = node
        self.notes = Annotations(text)
        self._delayed = delayed

    def drop(self, labels: LabelSet) -> LabelSet:
        return labels.dropping if self._delayed else labels.nameless

    def quantile(self, quantile: float, vector: Vector) -> Vector:
        return finished(histogram_quantile(quantile, vector, self.node, self.notes, self.drop, NOW))

    def quantiles(self, vector: Vector, *quantiles: float, label: str = "q") -> Vector:
        return finished(histogram_quantiles(vector, label, quantiles, self.node, self.notes, self.drop, NOW))

    def fraction(self, lower: float, upper: float, vector: Vector) -> Vector:
        return finished(histogram_fraction(lower, upper, vector, self.node, self.notes, self.drop))


def buckets(counts: Mapping[str, float], **labels: str) -> Vector:
    return [(LabelSet({"__name__": "h", "le": le, **labels}), count) for le, count in counts.items()]


def quantile(value: float, counts: Mapping[str, float]) -> float:
    ((_, found),) = Query("histogram_quantile(0.5, h)").quantile(value, buckets(counts))
    return found


def fraction(lower: float, upper: float, counts: Mapping[str, float]) -> float:
    ((_, found),) = Query("histogram_fraction(0, 1, h)").fraction(lower, upper, buckets(counts))
    return found


def same(one: float, other: float) -> bool:
    return (one != one and other != other) or one == pytest.approx(other, rel=1e-12)


# Quantiles.

POSITIVE = {"1": 1.0, "2": 3.0, "3": 6.0, "+Inf": 10.0}
NEGATIVE = {"-3": 10.0, "-2": 12.0, "-1": 15.0, "+Inf": 20.0}


@pytest.mark.parametrize(
    ("value", "counts", "expected"),
    [
        (0.0, POSITIVE, 0.0),
        (0.05, POSITIVE, 0.5),
        (0.1, POSITIVE, 1.0),
        (0.2, POSITIVE, 1.5),
        (0.45, POSITIVE, 2.5),
        (0.6, POSITIVE, 3.0),
        (0.61, POSITIVE, 3.0),  # in the highest bucket, whose start is all that is known
        (1.0, POSITIVE, 3.0),
        (0.0, NEGATIVE, -3.0),  # in the lowest bucket, which has no start if it ends at 0 or below
        (0.5, NEGATIVE, -3.0),
        (0.55, NEGATIVE, -2.5),
        (0.0, {"0": 0.0, "1": 5.0, "+Inf": 5.0}, 0.0),
        (0.5, {"0": 0.0, "1": 5.0, "+Inf": 5.0}, 0.5),
        (0.0, {"1": 0.0, "2": 5.0, "+Inf": 5.0}, NAN),  # 0/0 of the way through the lowest bucket
        (-0.1, POSITIVE, -INF),
        (1.1, POSITIVE, INF),
        (-INF, POSITIVE, -INF),
        (INF, POSITIVE, INF),
        (NAN, POSITIVE, NAN),
        (0.5, {"1": 1.0, "2": 3.0}, NAN),
        (0.5, {"+Inf": 3.0}, NAN),
        (0.5, {"1": 0.0, "+Inf": 0.0}, NAN),
        (1.1, {"1": 1.0, "2": 3.0}, INF),
        (0.5, {"1": NAN, "+Inf": NAN}, 1.0),
        (0.5, {"1": INF, "+Inf": INF}, NAN),
        (0.5, {"+Inf": 10.0, "3": 6.0, "1": 1.0, "2": 3.0}, 2.0 + 2 / 3),
        (0.75, {"0.1": 1.0, "0.2": 1.0, "2e-1": 1.0, "2.0e-1": 1.0, "+Inf": 4.0}, 0.2),
        (0.5, {"0x1p0": 1.0, "2": 2.0, "inf": 2.0}, 1.0),
        (0.5, {"1_0": 1.0, "20": 2.0, "+infinity": 2.0}, 10.0),
    ],
)
def test_a_quantile_is_interpolated_in_its_bucket(value: float, counts: Mapping[str, float], expected: float) -> None:
    found = quantile(value, counts)
    assert same(found, expected), found


BOUNDS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6, unique=True).map(sorted)
QUANTILES = st.floats(0, 1)


@st.composite
def histograms(draw: st.DrawFn) -> tuple[list[float], dict[str, float]]:
    """Bounds but the last, which is +Inf, and cumulative counts that are not all 0."""
    bounds = draw(BOUNDS)
    each = [*draw(st.lists(st.integers(0, 100), min_size=len(bounds), max_size=len(bounds))), draw(st.integers(1, 100))]
    texts = [repr(bound) for bound in bounds] + ["+Inf"]
    return bounds, dict(zip(texts, map(float, accumulate(each)), strict=True))


@given(histograms(), QUANTILES, QUANTILES)
def test_a_quantile_grows_with_its_rank_and_stays_within_the_bounds(
    histogram: tuple[list[float], dict[str, float]], one: float, other: float
) -> None:
    bounds, counts = histogram
    low, high = (quantile(value, counts) for value in sorted((one, other)))
    slack = 1e-9 * max(map(abs, bounds))
    if low == low:
        assert low <= high + slack
        assert min(0.0, bounds[0]) - slack <= low
    assert high != high or high <= bounds[-1] + slack


@given(histograms(), st.floats(0.01, 0.99))
def test_a_fraction_reverses_a_quantile_within_buckets_that_have_both_ends(
    histogram: tuple[list[float], dict[str, float]], value: float
) -> None:
    bounds, counts = histogram
    each = list(counts.values())
    rank = value * each[-1]
    lowest = 0.0 if bounds[0] > 0 else each[0]
    narrow = any(high - low < 1e-3 for low, high in zip([0.0, *bounds], bounds, strict=False) if low != high)
    if lowest < rank < each[-2] and not narrow:
        found = quantile(value, counts)
        assert fraction(-INF, found, counts) == pytest.approx(value, rel=1e-6)


# Several quantiles.


def test_several_quantiles_are_told_apart_by_a_label_one_after_the_other() -> None:
    vector = buckets(POSITIVE, job="a") + buckets(NEGATIVE, job="b")
    found = Query('histogram_quantiles(h, "q", 0, 0.5, 1)').quantiles(vector, 0.0, 0.5, 1.0)
    assert [({**labels.labels}, labels.drops_name) for labels, _ in found] == [
        ({"__name__": "h", "job": job, "q": q}, True) for q in ("0.0", "0.5", "1.0") for job in "ab"
    ]
    assert [value for _, value in found] == [0.0, -3.0, pytest.approx(2 + 2 / 3), -3.0, 3.0, -1.0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (1.0, "1.0"),
        (-1.0, "-1.0"),
        (0.25, "0.25"),
        (1e-5, "1e-05"),
        (1e6, "1e+06"),
        (12.0, "12.0"),
        (INF, "+Inf"),
        (-INF, "-Inf"),
        (NAN, "NaN"),
    ],
)
def test_the_label_is_the_number_as_openmetrics_writes_it(value: float, text: str) -> None:
    ((labels, _),) = Query('histogram_quantiles(h, "q", 0.5)').quantiles(buckets(POSITIVE), value)
    assert labels.labels["q"] == text


@given(histograms(), st.lists(st.floats(), min_size=1, max_size=4))
def test_several_quantiles_are_those_that_are_asked_for_one_by_one(
    histogram: tuple[list[float], dict[str, float]], values: list[float]
) -> None:
    _, counts = histogram
    text = f'histogram_quantiles(h, "q"{", 0" * len(values)})'
    found = Query(text).quantiles(buckets(counts), *values)
    for (_, value), one in zip(found, values, strict=True):
        assert same(value, quantile(one, counts))


# Fractions.


@pytest.mark.parametrize(
    ("lower", "upper", "counts", "expected"),
    [
        (0.0, 1.5, POSITIVE, 0.2),
        (0.5, 2.0, POSITIVE, 0.25),
        (2.0, 5.0, POSITIVE, 0.3),
        (4.0, 5.0, POSITIVE, 0.0),
        (4.0, INF, POSITIVE, 0.4),
        (-INF, INF, POSITIVE, 1.0),
        (-10.0, -5.0, POSITIVE, 0.0),
        (2.0, 2.0, POSITIVE, 0.0),
        (3.0, 2.0, POSITIVE, 0.0),
        (-4.0, -2.0, NEGATIVE, 0.1),
        (-INF, -1.5, NEGATIVE, 0.675),
        (-INF, -3.5, NEGATIVE, 0.5),
        (0.0, 1.0, NEGATIVE, 0.0),
        (0.0, 1.0, {"+Inf": 5.0}, 0.0),
        (-INF, INF, {"+Inf": 5.0}, 1.0),
        (NAN, 1.0, POSITIVE, NAN),
        (0.0, NAN, POSITIVE, NAN),
        (0.0, 1.0, {"1": 0.0, "+Inf": 0.0}, NAN),
        (0.0, 1.0, {"1": 5.0}, NAN),
        (0.0, 1.0, {"1.0": 1.0, "1": 2.0, "+Inf": 6.0}, 0.5),
        (1.0, 2.0, {"1": 4.0, "2": 2.0, "+Inf": 8.0}, -0.25),  # counts that go down are not corrected
    ],
)
def test_a_fraction_is_interpolated_in_its_buckets(
    lower: float, upper: float, counts: Mapping[str, float], expected: float
) -> None:
    found = fraction(lower, upper, counts)
    assert same(found, expected), found


ENDS = st.floats(-1e12, 1e12) | st.sampled_from([-INF, INF])


@given(histograms(), ENDS, ENDS, ENDS)
def test_fractions_of_neighbouring_stretches_add_up(
    histogram: tuple[list[float], dict[str, float]], one: float, two: float, three: float
) -> None:
    _, counts = histogram
    one, two, three = sorted((one, two, three))
    left, right, both = (fraction(*pair, counts) for pair in ((one, two), (two, three), (one, three)))
    assert -1e-9 <= left <= 1 + 1e-9
    assert left + right == pytest.approx(both, abs=1e-9)


# Which buckets belong together, and what is said of them.


def test_histograms_are_told_apart_by_all_labels_but_le_and_by_the_name() -> None:
    vector = buckets(POSITIVE, job="a") + buckets(POSITIVE, job="b")
    other = [(labels.changed({"__name__": "other"}), count) for labels, count in buckets(POSITIVE, job="a")]
    found = Query("histogram_quantile(0.5, h)").quantile(0.5, [*vector[::2], *other, *vector[1::2]])
    assert [(labels.name, labels.labels["job"]) for labels, _ in found] == [("h", "a"), ("h", "b"), ("other", "a")]
    assert len({value for _, value in found}) == 1


@pytest.mark.parametrize("delayed", [True, False])
def test_the_name_is_dropped_now_or_later(delayed: bool) -> None:
    query = Query("histogram_quantile(0.5, h)", delayed=delayed)
    ((labels, _),) = query.quantile(0.5, buckets(POSITIVE, job="a"))
    assert (labels, labels.drops_name) == (
        (LabelSet({"__name__": "h", "job": "a"}), True) if delayed else (LabelSet({"job": "a"}), False)
    )


@pytest.mark.parametrize(
    ("le", "shown"),
    [
        ("", '""'),
        ("Hello World", '"Hello World"'),
        (" 1", '" 1"'),
        ("1e999", '"1e999"'),
        ("0x1", '"0x1"'),
        ("+nan", '"+nan"'),
        ("1__0", '"1__0"'),
        ("٣", '"٣"'),
        ("1\n", '"1\\n"'),
    ],
)
def test_a_bucket_whose_le_is_no_number_of_go_is_left_out_with_a_warning(le: str, shown: str) -> None:
    text = "histogram_quantile(0.8, h)"
    delayed, at_once = Query(text), Query(text, delayed=False)
    assert delayed.quantile(0.8, buckets({le: 2.0})) == at_once.quantile(0.8, buckets({le: 2.0})) == []
    message = f'PromQL warning: bucket label "le" is missing or has a malformed value of {shown}'
    assert delayed.notes.warnings == (f'{message} for metric name "h" (1:25)',)
    assert at_once.notes.warnings == (f"{message} (1:25)",)


@pytest.mark.parametrize(
    ("text", "place"),
    [("histogram_fraction(-Inf, 1, h)", "1:29"), ('histogram_quantiles(h, "q", 0.1)', "1:21")],
)
def test_the_warning_points_at_the_vector(text: str, place: str) -> None:
    query = Query(text)
    vector = buckets({"x": 1.0})
    assert (query.fraction(-INF, 1.0, vector) if "fraction" in text else query.quantiles(vector, 0.1)) == []
    assert [warning.rpartition(" ")[2] for warning in query.notes.warnings] == [f"({place})"]


@pytest.mark.parametrize(("value", "shown"), [(-0.1, "-0.1"), (1.5, "1.5"), (NAN, "NaN"), (INF, "+Inf"), (1e6, "1e+06")])
def test_a_quantile_that_is_none_is_warned_of_where_it_stands(value: float, shown: str) -> None:
    message = f"PromQL warning: quantile value should be between 0 and 1, got {shown}"
    one, several = Query("histogram_quantile(9, h)"), Query('histogram_quantiles(h, "q", 0.5, 9)')
    one.quantile(value, [])
    several.quantiles([], 0.5, value)
    assert one.notes.warnings == (f"{message} (1:20)",)
    assert several.notes.warnings == (f"{message} (1:34)",)


NONMONOTONIC = {"0.1": 20.0, "1": 10.0, "10": 50.0, "100": 40.0, "1000": 90.0, "+Inf": 80.0}
CORRECTED = (
    "PromQL info: input to histogram_quantile needed to be fixed for monotonicity"
    " (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)


@pytest.mark.parametrize(("value", "expected"), [(0.01, 0.0045), (0.5, 8.5), (0.99, 979.75)])
def test_counts_that_go_down_are_raised_and_an_info_says_so(value: float, expected: float) -> None:
    text = "histogram_quantile(0.5, h)"
    for query, name in ((Query(text), ' for metric name "h"'), (Query(text, delayed=False), "")):
        assert query.quantile(value, buckets(NONMONOTONIC))[0][1] == pytest.approx(expected)
        time = "1970-01-01T00:50:00Z"
        detail = f"from buckets 1 to +Inf, with a max diff of 10, over 1 samples from {time} to {time}"
        assert query.notes.infos == (f"{CORRECTED}{name}, {detail} (1:25)",)


def test_the_info_is_of_all_histograms_of_a_metric_in_one() -> None:
    query = Query("histogram_quantile(0.5, h)")
    query.quantile(0.5, buckets({"1": 5.0, "2": 4.0, "+Inf": 6.0}, job="a") + buckets({"1": 5.0, "+Inf": 0.5}, job="b"))
    (info,) = query.notes.infos
    assert "from buckets 2 to +Inf, with a max diff of 4.5, over 2 samples" in info


def test_several_quantiles_of_one_histogram_are_one_correction() -> None:
    query = Query('histogram_quantiles(h, "q", 0.01, 0.5)')
    assert [value for _, value in query.quantiles(buckets(NONMONOTONIC), 0.01, 0.5)] == pytest.approx([0.0045, 8.5])
    (info,) = query.notes.infos
    assert "over 1 samples" in info
    assert info.endswith("(1:21)")


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (1.5, NONMONOTONIC),
        (NAN, NONMONOTONIC),
        (0.5, {"1": 5.0, "2": 4.0}),
        (0.5, {"1": 1e15 + 1, "2": 1e15, "+Inf": 1e15}),
    ],
)
def test_nothing_is_said_where_no_estimate_depends_on_the_correction(value: float, counts: Mapping[str, float]) -> None:
    query = Query("histogram_quantile(0.5, h)")
    query.quantile(value, buckets(counts))
    assert query.notes.infos == ()


def test_counts_that_differ_by_a_rounding_error_are_the_same() -> None:
    """Else the quantile would lie in the bucket from 2 to 3, to which nothing but the error belongs."""
    assert quantile(1.0, {"1": 100.0, "2": 200.0, "3": 200.0 + 1e-11, "+Inf": 200.0 - 1e-11}) == 2.0


@pytest.mark.parametrize(
    ("correction", "text"),
    [
        (
            Correction(2.5, INF, 100.0, 1_703_462_400_000, 1_735_084_800_999, 3),
            ", from buckets 2.5 to +Inf, with a max diff of 1e+02, over 3 samples from 2023-12-25T00:00:00Z to 2024-12-25T00:00:00Z",
        ),
        (
            Correction(-1e6, 0.1, INF, -1500, -1500),
            ", from buckets -1e+06 to 0.1, with a max diff of +Inf, over 1 samples from 1969-12-31T23:59:59Z to 1969-12-31T23:59:59Z",
        ),
    ],
)
def test_a_correction_is_worded_as_prometheus_words_it(correction: Correction, text: str) -> None:
    assert str(correction) == text


# Any input.

LES = st.sampled_from(["1", "1.0", "2", "-1", "+Inf", "-Inf", "NaN", "x", ""]) | st.text(max_size=4)
COUNTS = st.floats() | st.sampled_from([0.0, 1.0, 2.0, NAN, INF, -INF])
VECTORS = st.lists(
    st.tuples(
        st.builds(lambda le, job: LabelSet({"__name__": "h", "le": le, "job": job}), LES, st.sampled_from("ab")), COUNTS
    ),
    max_size=8,
)


@given(VECTORS, st.floats(), st.floats(), st.booleans())
def test_nothing_is_raised_whatever_the_buckets_are(vector: Vector, one: float, other: float, delayed: bool) -> None:
    results = [
        Query("histogram_quantile(0, h)", delayed=delayed).quantile(one, vector),
        Query("histogram_fraction(0, 0, h)", delayed=delayed).fraction(one, other, vector),
        Query('histogram_quantiles(h, "q", 0, 0)', delayed=delayed).quantiles(vector, one, other),
    ]
    for result in results:
        assert all("le" not in labels.labels and isinstance(value, float) for labels, value in result)


def test_ten_thousand_buckets_are_computed_in_pieces() -> None:
    vector = [
        one for index in range(1000) for one in buckets({str(le): 1.0 for le in range(9)} | {"+Inf": 1.0}, i=str(index))
    ]
    query = Query("histogram_quantile(0.5, h)")
    pieces = histogram_quantile(0.5, vector, query.node, query.notes, query.drop, NOW)
    assert sum(1 for _ in pieces) >= 20
