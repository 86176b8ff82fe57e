"""Range functions: what the samples of a window come to, in Prometheus' arithmetic."""

import math
from fractions import Fraction
from itertools import pairwise
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.promql.anchoring import EXTENDED, demand_anchor, extended, extended_samples, reach, smoothed_at
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.functions import FUNCTIONS, ValueType
from kailash_monitor.promql.over_time import OVER_TIME, RangeWindow
from kailash_monitor.promql.quantile import quantile
from kailash_monitor.promql.tree import Anchor

from effort import examples  # isort: skip

MINUTE = RangeWindow(0, 60_000, 60_000)
PARAMETERS = {"quantile_over_time": (0.5,), "predict_linear": (60.0,), "double_exponential_smoothing": (0.5, 0.5)}


def computed(name, values, *parameters, times=None, window=MINUTE) -> Any:  # a float, or None where that is the fact
    """Compute over samples 10 s apart, the first 10 s after the window's start, unless times are given."""
    times = [10_000 * (place + 1) for place in range(len(values))] if times is None else times
    return OVER_TIME[name].compute(times, [float(value) for value in values], window, *parameters)


def is_same(one, other):
    return one == other or (one is not None and other is not None and math.isnan(one) and math.isnan(other))


# which functions there are


def test_every_function_of_a_range_is_there_but_the_one_about_absent_series():
    of_ranges = {name for name, signature in FUNCTIONS.items() if ValueType.MATRIX in signature.arguments}
    assert set(OVER_TIME) == of_ranges - {"absent_over_time"}


def test_the_functions_that_give_samples_of_the_series_keep_its_name():
    assert {name for name, function in OVER_TIME.items() if function.keeps_name} == {"first_over_time", "last_over_time"}


# counters and gauges, extended to the window's edges


@pytest.mark.parametrize(
    ("times", "values", "start", "end", "expected"),
    [
        # Samples close to both edges: the growth is stretched to the whole window. 30 in 30 s, 60 s to fill.
        ([15_000, 30_000, 45_000], [100, 115, 130], 0, 60_000, 30 * 60 / 30),
        # The first is 20 s from the edge, over 1.1 × 10 s: half of 10 s is added there. 20 in 20 s, 5 before, 10 after.
        ([20_000, 30_000, 40_000], [100, 110, 120], 0, 50_000, 20 * 35 / 20),
        # The last is 20 s from the edge: half of 10 s is added there.
        ([10_000, 20_000, 30_000], [100, 110, 120], 0, 50_000, 20 * 35 / 20),
        # A counter that starts at 5 and grows by 1 a second was 0 five seconds before: nothing is added beyond that.
        ([10_000, 20_000, 30_000], [5, 15, 25], 0, 40_000, 20 * (20 + 5 + 10) / 20),
        # One that starts at zero has nothing before it.
        ([10_000, 20_000, 30_000], [0, 10, 20], 0, 40_000, 20 * (20 + 0 + 10) / 20),
        # The zero may be farther than the half distance, which then counts.
        ([20_000, 30_000, 40_000], [8, 18, 28], 0, 50_000, 20 * (20 + 5 + 10) / 20),
        # A reset: 100 was reached, then 5 counted anew, 10 more. 10 + 5 + 10 in 30 s.
        ([10_000, 20_000, 30_000, 40_000], [90, 100, 5, 15], 0, 50_000, (10 + 5 + 10) * 50 / 30),
        # At exactly 1.1 times the distance an edge is far. But in floats 3 × 1.1 is a little over 3.3, as in Prometheus.
        ([11_000, 21_000, 31_000], [100, 110, 120], 0, 41_000, 20 * (20 + 5 + 10) / 20),
        ([3_300, 6_300, 9_300], [100, 110, 120], 0, 12_300, 20 * 12.3 / 6),
        # A counter below zero has no zero to come from, nor has one that does not grow.
        ([10_000, 20_000], [-10, 0], 0, 30_000, 10 * 30 / 10),
        ([10_000, 20_000], [7, 7], 0, 30_000, 0),
    ],
)
def test_an_increase_is_stretched_to_the_edges_but_no_farther_than_the_series_may_reach(times, values, start, end, expected):
    window = RangeWindow(start, end, end)
    assert computed("increase", values, times=times, window=window) == pytest.approx(expected, rel=1e-15)
    assert computed("rate", values, times=times, window=window) == pytest.approx(expected * 1000 / (end - start), rel=1e-14)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([100, 110, 120], 20 * 2), ([120, 110, 100], -20 * 2), ([5, 15, 25], 20 * 2), ([90, 5, 80], -10 * 2)],
)
def test_a_delta_knows_neither_resets_nor_a_zero_point(values, expected):
    assert computed("delta", values, window=RangeWindow(0, 40_000, 40_000)) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("irate", [1, 5, 25], 2.0),
        ("irate", [1, 25, 5], 0.5),
        ("irate", [nan, 5], nan),
        ("irate", [5, nan], nan),
        ("idelta", [1, 5, 25], 20.0),
        ("idelta", [1, 25, 5], -20.0),
    ],
)
def test_irate_and_idelta_look_at_the_last_two_samples(name, values, expected):
    assert is_same(computed(name, values), expected)


@pytest.mark.parametrize(
    "name", ["rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear", "double_exponential_smoothing"]
)
def test_one_sample_shows_no_change(name):
    assert computed(name, [3], *PARAMETERS.get(name, ())) is None


@pytest.mark.parametrize(
    ("values", "resets", "changes"),
    [
        ([1], 0, 0),
        ([1, 1, 2, 2, 1], 1, 2),
        ([3, 2, 1], 2, 2),
        ([0.0, -0.0], 0, 0),
        ([nan, nan, 1, nan], 0, 2),
        ([2, nan, 1], 0, 2),
        ([inf, inf, -inf, inf], 1, 2),
    ],
)
def test_resets_are_falls_and_changes_are_others_with_nan_its_own_equal(values, resets, changes):
    assert computed("resets", values) == resets
    assert computed("changes", values) == changes


# all values of the window


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 4], 7),
        ([0.1] * 10, 1.0),
        ([1, 1e100, 1, -1e100], 2),
        ([1, inf], inf),
        ([1, -inf, 5], -inf),
        ([inf, -inf], nan),
        ([inf, nan], nan),
        ([1e308, 1e308], inf),
        ([1e308, 1e308, -1e308], inf),
        ([1e308, -1e308, 1e308], 1e308),
        ([1e308, 1e308, -inf], nan),
    ],
)
def test_a_sum_loses_nothing_and_stays_infinite_where_it_overflowed(values, expected):
    assert is_same(computed("sum_over_time", values), expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 6], 3),
        ([1, 1e100, 1, -1e100], 0.5),
        ([1, 2, inf], inf),
        ([inf, 1, inf], inf),
        ([-inf, 1], -inf),
        ([inf, -inf], nan),
        ([1, nan], nan),
        ([1e308, 1e308], 1e308),
        ([1e308, 1e308, -inf], -inf),
        ([1.5e308, 1.5e308, -1.5e308], 0.5e308),
    ],
)
def test_a_mean_of_huge_values_does_not_overflow(values, expected):
    found = computed("avg_over_time", values)
    assert is_same(found, expected) or found == pytest.approx(expected, rel=1e-15)


def test_what_prometheus_loses_in_a_sum_of_many_magnitudes_is_lost_here_too():
    """The exact sum is 1: Kahan's summation has no place for it once 1e200 and 1e150 are on their way."""
    values = [1e200, 1e150, 1, -1e200, -1e150]
    assert math.fsum(values) == 1
    assert computed("sum_over_time", values) == 0
    assert computed("avg_over_time", values) == 0


@pytest.mark.parametrize("value", [52.0, 52.3, 0.1, 1e-300, 1.7e308])
@pytest.mark.parametrize("count", [1, 3, 11, 49, 240])
def test_equal_values_have_that_value_as_their_mean_and_exactly_no_variance(value, count):
    assert computed("avg_over_time", [value] * count) == pytest.approx(value, rel=1e-15)
    assert computed("stdvar_over_time", [value] * count) == 0
    assert computed("stddev_over_time", [value] * count) == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 8, 8, 2, 3], 10.56),
        ([1e9, 1e9 + 1, 1e9 + 2], 2 / 3),
        ([5], 0),
        ([inf], nan),
        ([1, -inf], nan),
        ([1, nan], nan),
        ([1e200, -1e200], inf),
    ],
)
def test_the_variance_is_that_of_a_whole_population(values, expected):
    found = computed("stdvar_over_time", values)
    assert is_same(found, expected) or found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("values", "greatest", "least"),
    [
        ([1, 3, 2], 3, 1),
        ([nan, 3, 2], 3, 2),
        ([3, nan, 4], 4, 3),
        ([nan, nan], nan, nan),
        ([nan, -inf, inf], inf, -inf),
    ],
)
def test_nan_is_the_greatest_or_least_only_among_itself(values, greatest, least):
    assert is_same(computed("max_over_time", values), greatest)
    assert is_same(computed("min_over_time", values), least)


@pytest.mark.parametrize(
    ("values", "greatest", "least"),
    [([1, 3, 2, 3], 40, 10), ([1, 3, 1, 2], 20, 30), ([nan, 2, nan], 20, 20), ([nan, nan], 20, 20), ([0.0, -0.0], 20, 20)],
)
def test_the_time_of_an_extreme_is_that_of_its_last_sample_in_seconds(values, greatest, least):
    assert computed("ts_of_max_over_time", values) == greatest
    assert computed("ts_of_min_over_time", values) == least


def test_first_last_their_times_the_count_and_the_presence():
    def all_of(values):
        names = ("first", "last", "ts_of_first", "ts_of_last", "count", "present")
        return [computed(f"{name}_over_time", values) for name in names]

    assert all_of([7, nan, 9]) == [7, 9, 10, 30, 3, 1]


@pytest.mark.parametrize(
    ("phi", "values", "expected"),
    [
        (0, [3, 1, 2], 1),
        (0.5, [3, 1, 2], 2),
        (0.75, [0, 1, 2, 10], 4),
        (1, [3, 1, 2], 3),
        (0.5, [nan, 2, 1], 1),
        (0, [1, nan], nan),
        (1, [nan, 1], 1),
        (-0.1, [1], -inf),
        (1.1, [1], inf),
        (inf, [1], inf),
        (nan, [1], nan),
        (0.5, [1, 2, inf], nan),  # no part of infinity is NaN, in Prometheus too
        (0.5, [], nan),
    ],
)
def test_a_quantile_lies_between_two_values_in_proportion_and_nan_comes_first(phi, values, expected):
    assert is_same(quantile(phi, values), expected)
    if values:
        assert is_same(computed("quantile_over_time", values, phi), expected)


@pytest.mark.parametrize(
    ("values", "expected"), [([4, 6, 2, 1, 999, 1, 2], 1), ([1, 2], 0.5), ([5], 0), ([1, 2, nan, 4], nan)]
)
def test_the_mad_is_the_median_distance_to_the_median(values, expected):
    assert is_same(computed("mad_over_time", values), expected)


# trends


@pytest.mark.parametrize(
    ("values", "slope", "in_a_minute"),
    [
        ([10, 20, 30], 1, 120),  # 30 at 30 s; the minute begins at 60 s
        ([5, 5, 5], 0, 5),
        ([0, 0, 3], 0.15, 16),  # the mean is 1 at 20 s, 100 s before
        ([1, nan], nan, nan),
        ([nan, nan], nan, nan),
        ([inf, inf], nan, nan),
        ([1, inf], nan, nan),
    ],
)
def test_a_trend_is_the_least_squares_line(values, slope, in_a_minute):
    assert computed("deriv", values) == pytest.approx(slope, nan_ok=True)
    assert computed("predict_linear", values, 60.0) == pytest.approx(in_a_minute, nan_ok=True)


def test_a_prediction_counts_from_the_evaluation_wherever_the_window_was_moved():
    window = RangeWindow(0, 60_000, now=90_000)
    assert computed("predict_linear", [10, 20, 30], 60.0, window=window) == pytest.approx(150)


def test_times_too_close_for_a_line_far_from_the_evaluation_give_no_number():
    """The times' own scatter is lost beside their distance, and a division by zero is left, not an error."""
    window = RangeWindow(0, 10, now=10**15)
    found = computed("predict_linear", [1, 2], 0.0, times=[1, 2], window=window)
    assert found is not None
    assert not math.isfinite(found)


def test_smoothing_follows_the_value_and_its_trend():
    # Starts at 2 with a trend of 4. 6: half of it and of 2 + 4. The trend stays 4. 8: half of it and of 6 + 4.
    assert computed("double_exponential_smoothing", [2, 6, 8], 0.5, 0.5) == 9
    # Once more, with a trend of half (9 - 6) and half 4.
    assert computed("double_exponential_smoothing", [2, 6, 8, 4], 0.5, 0.5) == 0.5 * 4 + 0.5 * (9 + 3.5)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ((0, 0.5), "invalid smoothing factor. Expected: 0 < sf < 1, got: 0.000000"),
        ((1, 0.5), "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000"),
        ((inf, 0.5), "invalid smoothing factor. Expected: 0 < sf < 1, got: +Inf"),
        ((-inf, 0.5), "invalid smoothing factor. Expected: 0 < sf < 1, got: -Inf"),
        ((0.5, -1.5), "invalid trend factor. Expected: 0 < tf < 1, got: -1.500000"),
    ],
)
def test_a_factor_out_of_range_is_an_error_even_for_one_sample(factors, message):
    for values in ([1], [1, 2]):
        with pytest.raises(EvaluationError) as error:
            computed("double_exponential_smoothing", values, *factors)
        assert str(error.value) == message


def test_a_factor_that_is_no_number_is_smoothed_with():
    assert math.isnan(computed("double_exponential_smoothing", [1, 2], nan, 0.5))


# laws

ANY = st.floats()
HUGE = st.sampled_from([1e308, -1e308, 1.7e308, 5e-324, inf, -inf, nan, 0.0, -0.0])
TAME = st.floats(-1e9, 1e9)


@st.composite
def windows(draw, values, *, least=1):
    """Draw times, values and a window that holds them."""
    read = draw(st.lists(values, min_size=least, max_size=30))
    times = sorted(draw(st.sets(st.integers(1, 100_000), min_size=len(read), max_size=len(read))))
    return times, read, RangeWindow(0, 100_000, draw(st.sampled_from([100_000, 160_000])))


@given(windows(ANY | HUGE), st.tuples(ANY, ANY))
@settings(max_examples=examples(300))
def test_no_values_raise_anything_but_an_evaluation_error(samples, scalars):
    for name, function in OVER_TIME.items():
        parameters = scalars[: len(PARAMETERS.get(name, ()))]
        try:
            found = function.compute(*samples, *parameters)
        except EvaluationError:
            continue
        assert found is None or isinstance(found, float), name


@given(windows(st.floats(0, 1e9), least=2))
@settings(max_examples=examples(200))
def test_a_growing_counter_increases_by_no_less_than_its_samples_show(samples):
    times, values, window = samples[0], sorted(samples[1]), samples[2]
    shown = values[-1] - values[0]
    assert OVER_TIME["increase"].compute(times, values, window) >= shown * (1 - 1e-12)


@given(windows(st.floats(0, 1e9), least=2))
@settings(max_examples=examples(200))
def test_a_rate_is_the_increase_in_a_second(samples):
    times, values, window = samples
    increased = computed("increase", values, times=times, window=window)
    assert computed("rate", values, times=times, window=window) == pytest.approx(increased / 100, rel=1e-12)


@given(windows(TAME | st.just(nan), least=2))
@settings(max_examples=examples(200))
def test_a_reset_is_seen_wherever_it_is_and_only_there(samples):
    """What increase adds for resets is what stood before them, also where NaN is among the values."""
    values = samples[1]
    fell = sum(later < earlier for earlier, later in pairwise(values))
    assert OVER_TIME["resets"].compute(*samples) == fell
    other = sum(before != after and not (before != before and after != after) for before, after in pairwise(values))
    assert OVER_TIME["changes"].compute(*samples) == other


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, nan]), min_size=2, max_size=40))
@settings(max_examples=examples(300))
def test_the_increase_is_computed_with_every_reset_whatever_nan_stands_between(steps):
    """With samples at both edges nothing is stretched but towards a start, where the counter has begun at 1 or more."""
    values = [5.0, *steps, 5.0]
    times = [1_000 * place for place in range(1, len(values) + 1)]
    window = RangeWindow(times[0], times[-1], times[-1])
    lost = sum(earlier for earlier, later in pairwise(values) if later < earlier)
    assert OVER_TIME["increase"].compute(times, values, window) == pytest.approx(lost)


@given(windows(TAME))
@settings(max_examples=examples(200))
def test_sums_means_and_extremes_are_those_of_exact_fractions(samples):
    values = samples[1]
    total = sum(map(Fraction, values))
    size = max(map(abs, values))
    assert OVER_TIME["sum_over_time"].compute(*samples) == pytest.approx(float(total), rel=1e-15, abs=size * 1e-22)
    mean = float(total / len(values))
    assert OVER_TIME["avg_over_time"].compute(*samples) == pytest.approx(mean, rel=1e-15, abs=size * 1e-22)
    assert OVER_TIME["max_over_time"].compute(*samples) == max(values)
    assert OVER_TIME["min_over_time"].compute(*samples) == min(values)


@given(windows(st.integers(-1000, 1000).map(float)))
@settings(max_examples=examples(100))
def test_a_variance_is_that_of_exact_fractions(samples):
    values = [Fraction(value) for value in samples[1]]
    mean = sum(values) / len(values)
    expected = float(sum((value - mean) ** 2 for value in values) / len(values))
    assert OVER_TIME["stdvar_over_time"].compute(*samples) == pytest.approx(expected, rel=1e-12)
    assert OVER_TIME["stddev_over_time"].compute(*samples) == pytest.approx(math.sqrt(expected), rel=1e-12)


@given(windows(TAME), st.floats(0, 1))
@settings(max_examples=examples(100))
def test_a_quantile_lies_among_the_values(samples, phi):
    found = OVER_TIME["quantile_over_time"].compute(*samples, phi)
    room = 1e-12 * max(map(abs, samples[1]))
    assert min(samples[1]) - room <= found <= max(samples[1]) + room


# anchored and smoothed ranges

# A counter, read each 20 s; it was reset between 40 s and 60 s.
TIMES = [20_000, 40_000, 60_000, 80_000, 100_000]
COUNTER = [10.0, 14.0, 4.0, 8.0, 8.0]


def of_counter(name, anchor, start, end):
    within = range(len(TIMES)) if anchor is Anchor.SMOOTHED else [i for i, time in enumerate(TIMES) if time <= end]
    times, values = [TIMES[place] for place in within], [COUNTER[place] for place in within]
    return extended(name, anchor, times, values, RangeWindow(start, end, end))


@pytest.mark.parametrize(
    ("name", "start", "end", "expected"),
    [
        ("increase", 50_000, 90_000, 8),  # from 14 at 40 s: reset, 4, 8
        ("rate", 50_000, 90_000, 8 / 40),
        ("delta", 50_000, 90_000, -6),
        ("increase", 40_000, 80_000, 8),  # a sample at the start is before the range
        ("increase", 0, 30_000, 0),  # nothing before: the first within is also the start
        ("increase", 0, 50_000, 4),
        ("changes", 50_000, 100_000, 2),
        ("resets", 50_000, 100_000, 1),
        ("resets", 60_000, 100_000, 0),
        ("changes", 0, 30_000, 0),
        ("increase", 100_000, 120_000, None),
        ("changes", 100_000, 120_000, None),
        ("increase", 0, 10_000, None),
    ],
)
def test_an_anchored_range_begins_with_the_last_sample_before_it(name, start, end, expected):
    assert of_counter(name, Anchor.ANCHORED, start, end) == expected


@pytest.mark.parametrize(
    ("name", "start", "end", "expected"),
    [
        ("increase", 25_000, 35_000, 2),  # 11 to 13, both between two samples
        ("rate", 25_000, 35_000, 0.2),
        ("increase", 45_000, 55_000, 2),  # across a reset a counter rises from zero: 1 to 3
        ("delta", 45_000, 55_000, -5),  # a gauge falls in a line: 11.5 to 6.5
        ("increase", 30_000, 70_000, 2 + 6),  # 12 to 14, then from zero to 6
        ("delta", 30_000, 70_000, -6),
        ("increase", 40_000, 80_000, 8),
        ("increase", 0, 30_000, 2),  # nothing before the first sample: 10 to 12
        ("increase", 90_000, 120_000, 0),  # nothing after the last: 8 to 8
        ("increase", 0, 10_000, None),
        ("increase", 100_000, 120_000, None),
    ],
)
def test_a_smoothed_range_begins_and_ends_on_the_lines_between_samples(name, start, end, expected):
    assert of_counter(name, Anchor.SMOOTHED, start, end) == (None if expected is None else pytest.approx(expected))


def test_no_samples_at_all_show_nothing():
    for anchor, names in EXTENDED.items():
        assert all(extended(name, anchor, [], [], MINUTE) is None for name in names)
        assert extended_samples(anchor, [], [], MINUTE) == ([], [])


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        (Anchor.ANCHORED, ([30_000, 40_000, 60_000, 70_000], [10, 14, 4, 4])),
        (Anchor.SMOOTHED, ([30_000, 40_000, 60_000, 70_000], [12, 14, 4, 6])),
    ],
)
def test_the_samples_of_an_extended_range_stand_at_its_edges_and_between(anchor, expected):
    until = 5 if anchor is Anchor.SMOOTHED else 3
    assert extended_samples(anchor, TIMES[:until], COUNTER[:until], RangeWindow(30_000, 70_000, 70_000)) == expected


@pytest.mark.parametrize(
    ("time", "expected"), [(20_000, 10), (30_000, 12), (50_000, 9), (60_000, 4), (110_000, 8), (19_999, None)]
)
def test_a_smoothed_selector_gives_what_lies_between_the_samples_around_its_time(time, expected):
    assert smoothed_at(TIMES, COUNTER, time) == expected


def test_samples_are_wanted_a_lookback_before_the_range_and_of_smoothed_ones_as_long_after():
    assert reach(Anchor.ANCHORED, 1000, 2000, 500) == (500, 2000)
    assert reach(Anchor.SMOOTHED, 1000, 2000, 500) == (500, 2500)


@pytest.mark.parametrize(
    ("name", "anchor", "message"),
    [
        ("deriv", Anchor.SMOOTHED, "smoothed modifier can only be used with: delta, increase, rate - not with deriv"),
        ("resets", Anchor.SMOOTHED, "smoothed modifier can only be used with: delta, increase, rate - not with resets"),
        (
            "max_over_time",
            Anchor.ANCHORED,
            "anchored modifier can only be used with: changes, delta, increase, rate, resets - not with max_over_time",
        ),
    ],
)
def test_a_function_that_knows_no_edges_refuses_them(name, anchor, message):
    with pytest.raises(EvaluationError) as error:
        demand_anchor(name, anchor)
    assert str(error.value) == message


def test_a_function_that_knows_edges_takes_them():
    for anchor, names in EXTENDED.items():
        for name in names:
            demand_anchor(name, anchor)


@given(windows(ANY | HUGE), st.integers(0, 99_998), st.integers(1, 100_000), st.sampled_from(Anchor))
@settings(max_examples=examples(200))
def test_no_values_raise_in_an_extended_range(samples, start, length, anchor):
    times, values, _ = samples
    window = RangeWindow(start, start + length, start + length)
    for name in EXTENDED[anchor]:
        found = extended(name, anchor, times, values, window)
        assert found is None or isinstance(found, float), name


@given(windows(st.floats(0, 1e6), least=3), st.data())
@settings(max_examples=examples(100))
def test_smoothed_increases_of_adjoining_ranges_add_up_where_no_counter_was_reset(samples, draw):
    times, values = samples[0], sorted(samples[1])
    first, middle, last = sorted(draw.draw(st.lists(st.integers(times[0], times[-1]), min_size=3, max_size=3, unique=True)))

    def increase(start, end):
        found = extended("increase", Anchor.SMOOTHED, times, values, RangeWindow(start, end, end))
        assert found is not None
        return found

    assert increase(first, middle) + increase(middle, last) == pytest.approx(increase(first, last), abs=1e-6)
