"""Exponential buckets, how they are packed and merged, and the windows that are made of them."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.model.buckets import EMPTY, ZERO, bucket_middle, bucket_of, merge, mirrored, pack, percentile, pool
from kailash_monitor.model.window import (
    CounterWindow,
    DistributionWindow,
    GaugeWindow,
    merge_counters,
    merge_distributions,
    merge_gauges,
)
from kailash_monitor.testing import ManualClock

BOUND = 2 ** (1 / 32) - 1 + 1e-9
"""2.19 %."""

finite = st.floats(allow_nan=False, allow_infinity=False, width=64).filter(lambda v: v == 0 or abs(v) > 1e-300)
decades = st.floats(-300, 300).map(lambda exponent: 10.0**exponent)
everyday = st.floats(1e-3, 1e4)
values = st.one_of(everyday, decades, everyday.map(lambda v: -v), decades.map(lambda v: -v), st.just(0.0), finite)
addable = values.filter(lambda value: abs(value) <= 1e300)
"""Their sum is finite; a recording that would make it infinite is refused."""
indices = st.one_of(st.integers(-40, 40), st.integers(-17_000, 16_400), st.integers(-56_400, -22_000), st.just(ZERO))
counts = st.dictionaries(indices, st.integers(1, 40) | st.integers(1, 2**40), max_size=40)
dense = st.builds(
    lambda low, numbers: {low + at: number for at, number in enumerate(numbers) if number},
    st.integers(-17_000, 16_000),
    st.lists(st.integers(0, 5) | st.integers(0, 2**32), max_size=80),
)
"""Neighbouring buckets: what a program measures."""
distributions = counts | dense


# -- buckets


@given(finite)
def test_a_bucket_stands_for_its_values_within_its_bound(value: float) -> None:
    middle = bucket_middle(bucket_of(value))
    assert value == middle == 0 or abs(middle - value) <= BOUND * abs(value) or math.isinf(middle)


@given(values, values)
def test_buckets_rise_with_the_values(a: float, b: float) -> None:
    assert a > b or bucket_of(a) <= bucket_of(b)


@given(values)
def test_the_bucket_of_the_other_sign_is_the_mirrored_one(value: float) -> None:
    assert bucket_of(-value) == mirrored(bucket_of(value))


@given(st.integers())
def test_mirrored_twice_is_the_same_bucket(index: int) -> None:
    assert mirrored(mirrored(index)) == index


@given(indices)
def test_a_mirrored_bucket_stands_for_the_other_sign(index: int) -> None:
    assert bucket_middle(mirrored(index)) == -bucket_middle(index)


# -- percentiles


def nearest_rank(observed: Sequence[float], q: float) -> float:
    return sorted(observed)[max(0, math.ceil(Fraction(q) * len(observed) / 100) - 1)]


@given(st.lists(values, min_size=1, max_size=200), st.floats(0, 100) | st.sampled_from([1, 50, 90, 95, 99, 99.9]))
def test_percentiles_are_nearest_rank_within_the_bound(observed: list[float], q: float) -> None:
    answer = percentile(q, Counter(map(bucket_of, observed)), low=min(observed), high=max(observed))
    exact = nearest_rank(observed, q)
    assert abs(answer - exact) <= BOUND * abs(exact)


@given(st.lists(values, min_size=1))
def test_the_extremes_are_exact(observed: list[float]) -> None:
    buckets = Counter(map(bucket_of, observed))
    low, high = min(observed), max(observed)
    assert percentile(0, buckets, low=low, high=high) == low
    assert percentile(100, buckets, low=low, high=high) == high


@pytest.mark.parametrize("q", ["0.1", "2.5", "50", "90", "95", "97.5", "99", "99.9", "99.99"])
def test_the_rank_is_that_of_the_number_as_it_is_written(q: str) -> None:
    """The floats nearest to 99.9 and the like must not push the rank over a whole number."""
    for count in (1, 2, 10, 100, 1000, 4000, 10_000, 123_000, 10**6):
        rank = math.ceil(Fraction(q) * count / 100)
        below, above = rank - 1, count - rank
        buckets = {index: number for index, number in ((0, below), (100, 1), (200, above)) if number}
        answer = percentile(float(q), buckets, low=0.0, high=math.inf)
        assert answer == bucket_middle(100)


@pytest.mark.parametrize("q", [-1, 100.1, float("nan")])
def test_a_percentile_beyond_0_to_100_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        percentile(q, {0: 1}, low=0, high=0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.3, 1.0, 40.0]), addable), min_size=1, max_size=120),
    st.sets(st.sampled_from("abc")),
    st.floats(0, 100),
)
def test_percentiles_hold_over_slots_series_and_removal(
    observed: list[tuple[str, float, float]], removed: set[str], q: float
) -> None:
    clock = ManualClock(1000.0)
    histogram = MetricsCollector(clock=clock).histogram("size", labels=("kind",))
    for kind, pause, value in observed:
        clock.advance(pause)
        histogram.observe(kind, value)
    for kind in removed:
        histogram.remove(kind)
    answer, exact = histogram.metric.get_percentile(q, "2h"), nearest_rank([value for *_, value in observed], q)
    assert answer is not None
    assert abs(answer - exact) <= 2.2e-2 * abs(exact)


# -- packed counts


@given(distributions)
@example({5: 2**32 - 1})
@example({5: 2**31, 6: 2**31})
@example({ZERO: 1, ZERO + 1: 1})
@example({-17_184: 1, 16_384: 1})
def test_what_was_packed_is_what_was_counted(buckets: dict[int, int]) -> None:
    assert pool([pack(buckets)]) == buckets


@given(st.lists(distributions, max_size=8))
def test_a_pool_has_all_that_was_packed(many: list[dict[int, int]]) -> None:
    assert pool(map(pack, many)) == sum(map(Counter, many), Counter[int]())


@given(distributions, distributions)
@example({0: 2**32 - 1}, {0: 1})
@example({0: 1, 40: 1}, {57: 1})
def test_merging_is_commutative_and_conserves_the_counts(a: dict[int, int], b: dict[int, int]) -> None:
    assert pool([merge(pack(a), pack(b))]) == pool([merge(pack(b), pack(a))]) == Counter(a) + Counter(b)


@given(distributions, distributions, distributions)
def test_merging_is_associative(a: dict[int, int], b: dict[int, int], c: dict[int, int]) -> None:
    first, second, third = map(pack, (a, b, c))
    assert pool([merge(merge(first, second), third)]) == pool([merge(first, merge(second, third))])


@given(distributions)
def test_merging_with_nothing_changes_nothing(buckets: dict[int, int]) -> None:
    assert pool([merge(pack(buckets), EMPTY)]) == pool([merge(EMPTY, pack(buckets))]) == buckets


# -- windows


numbers = st.integers(-1000, 1000).map(float)
moments = st.floats(0, 100)
W = TypeVar("W")


def windows(kind: Callable[..., W], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[W]:
    return st.builds(kind, st.just(50.0), st.just(100.0), moments, partial=st.booleans(), **fields)


def of_distribution(observed: Mapping[float, float], covers_since: float, partial: bool) -> DistributionWindow:
    """Give the window of values by the time of their observation."""
    some = list(observed.values())
    latest_at = max(observed, default=-math.inf)
    return DistributionWindow(
        50.0, 100.0, covers_since, len(some), sum(some), min(some, default=None), max(some, default=None),
        observed.get(latest_at), latest_at, Counter(map(bucket_of, some)), partial,
    )  # fmt: skip


def of_gauge(held: Mapping[float, float], covers_since: float, partial: bool) -> GaugeWindow:
    some = [held[at] for at in sorted(held)]
    if not some:
        return GaugeWindow(50.0, 100.0, 0.0)
    return GaugeWindow(
        50.0, 100.0, covers_since, some[0], some[-1], min(some), max(some), sum(some), len(some), max(held), partial
    )  # fmt: skip


counter_windows = windows(CounterWindow, increase=numbers.map(abs), total=numbers.map(abs))


def three_of(make: Callable[[Mapping[float, float], float, bool], W]) -> st.SearchStrategy[list[W]]:
    """Give three windows in which no two things happened at the same time."""
    events = st.lists(st.tuples(moments, st.integers(0, 2), numbers), max_size=12, unique_by=lambda event: event[0])
    about = st.lists(st.tuples(moments, st.booleans()), min_size=3, max_size=3)
    return st.builds(
        lambda events, about: [
            make({at: value for at, whose, value in events if whose == one}, *about[one]) for one in range(3)
        ],
        events,
        about,
    )


@pytest.mark.parametrize(
    ("merged", "three"),
    [
        (merge_counters, st.lists(counter_windows, min_size=3, max_size=3)),
        (merge_distributions, three_of(of_distribution)),
        (merge_gauges, three_of(of_gauge)),
    ],
)
@given(data=st.data())
def test_merging_windows_is_associative_and_commutative(
    merged: Callable[[Sequence[object]], object], three: st.SearchStrategy[list[object]], data: st.DataObject
) -> None:
    a, b, c = data.draw(three)
    assert merged([a, b]) == merged([b, a])
    assert merged([merged([a, b]), c]) == merged([a, merged([b, c])]) == merged([a, b, c]) == merged([c, b, a])
    assert merged([a]) == a


def test_windows_of_gauges_that_were_never_set_stay_partial() -> None:
    never, past_the_limit = GaugeWindow(50.0, 100.0, 0.0), GaugeWindow(50.0, 100.0, 0.0, partial=True)
    assert merge_gauges([never, past_the_limit]).partial
    assert merge_gauges([past_the_limit, never]).partial


@given(st.lists(st.lists(st.floats(-1e9, 1e9), max_size=20), min_size=1, max_size=8))
def test_sums_of_merged_windows_are_those_of_all_observations(many: list[list[float]]) -> None:
    found = merge_distributions([of_distribution(dict(enumerate(some)), 0.0, False) for some in many])
    everything = [value for some in many for value in some]
    assert found.count == len(everything) == sum(found.buckets.values())
    assert found.sum == pytest.approx(math.fsum(everything), abs=1e-3)
