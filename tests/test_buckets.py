"""Percentiles from exponential buckets."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.model.buckets import bucket_middle, bucket_of, percentile

BOUND = 2 ** (1 / 32) - 1 + 1e-9
"""2.19 %."""

values = st.floats(allow_nan=False, allow_infinity=False, width=64).filter(lambda v: v == 0 or abs(v) > 1e-300)


@given(values)
def test_a_bucket_stands_for_its_values_within_its_bound(value: float) -> None:
    middle = bucket_middle(bucket_of(value))
    assert value == middle == 0 or abs(middle - value) <= BOUND * abs(value) or math.isinf(middle)


@given(values, values)
def test_buckets_rise_with_the_values(a: float, b: float) -> None:
    assert a > b or bucket_of(a) <= bucket_of(b)


@given(
    st.lists(st.floats(min_value=-1e9, max_value=1e9).map(lambda v: v if abs(v) > 1e-9 else 0.0), min_size=1),
    st.floats(min_value=0, max_value=100),
)
def test_percentiles_are_nearest_rank_within_the_bound(observed: list[float], q: float) -> None:
    exact = sorted(observed)[max(0, math.ceil(q * len(observed) / 100) - 1)]
    answer = percentile(q, Counter(map(bucket_of, observed)), low=min(observed), high=max(observed))
    assert abs(answer - exact) <= BOUND * abs(exact)


@given(st.lists(values, min_size=1))
def test_the_extremes_are_exact(observed: list[float]) -> None:
    buckets = Counter(map(bucket_of, observed))
    low, high = min(observed), max(observed)
    assert percentile(0, buckets, low=low, high=high) == low
    assert percentile(100, buckets, low=low, high=high) == high


@pytest.mark.parametrize("q", [-1, 100.1, float("nan")])
def test_a_percentile_beyond_0_to_100_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        percentile(q, {0: 1}, low=0, high=0)
