"""Flapping: what goes on and off too fast, and when it is stable again."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerting.flapping import Flaps
from kailash_monitor.rules import Flapping

limits = st.builds(Flapping, st.integers(2, 8), st.integers(1, 60).map(float))


def after(limit: Flapping, *times: float) -> Flaps:
    flaps = Flaps(limit)
    for time in times:
        flaps = flaps.changed(time)
    return flaps


@pytest.mark.parametrize(
    ("times", "since", "stable_at"),
    [
        ([0, 1, 2], None, None),
        ([0, 1, 2, 3], 3, 62),  # at 62 the third one is a minute old, and one is left
        ([0, 1, 2, 59.9], 59.9, 62),
        ([0, 1, 2, 60], None, None),
        ([0, 1, 2, 60, 60.5], 60.5, 120),
        ([0, 1, 2, 3, 50, 60], 3, 110),
        ([0, 1, 2, 3, 62], None, None),  # stable at 62: what was before it counts no more
        ([0, 1, 2, 3, 62, 63, 64], None, None),
        ([0, 1, 2, 3, 62, 63, 64, 65], 65, 124),
    ],
)
def test_four_changes_within_a_minute_are_too_many(times: list[float], since: float | None, stable_at: float | None) -> None:
    flaps = after(Flapping(4, 60.0), *times)
    assert (flaps.since, flaps.stable_at, flaps.flapping) == (since, stable_at, since is not None)


def test_it_is_stable_from_that_very_time_on_and_then_knows_no_changes() -> None:
    flaps = after(Flapping(4, 60.0), 0, 1, 2, 3)
    assert flaps.settled(61.999) is flaps
    assert flaps.settled(62) == Flaps(Flapping(4, 60.0))


def test_what_is_stable_has_nothing_to_settle() -> None:
    flaps = after(Flapping(4, 60.0), 0, 1)
    assert flaps.settled(1e9) is flaps


@given(limits, st.integers(1, 40), st.integers(2, 40))
def test_a_square_wave_flaps_all_the_time_or_never_whatever_its_frequency(limit: Flapping, every: int, times: int) -> None:
    """It is told stable once, one period after its last change at the latest, and never in between."""
    flaps = Flaps(limit)
    too_fast = (limit.changes - 1) * every < limit.period
    for number in range(1, times + 1):
        now = float(number * every)
        flaps = flaps.settled(now).changed(now)
        assert flaps.flapping is (too_fast and number >= limit.changes)
    if flaps.stable_at is not None:
        assert now < flaps.stable_at <= now + limit.period
        assert not flaps.settled(flaps.stable_at).flapping


def test_a_wave_on_the_edge_does_not_flap_though_sums_of_floats_fall_short_of_the_period() -> None:
    flaps = Flaps(Flapping(3, 0.6))
    now = 0.0
    for _ in range(100):
        now += 0.3
        flaps = flaps.settled(now).changed(now)
        assert not flaps.flapping


@given(limits, st.lists(st.floats(0.01, 30.0), max_size=60), st.booleans())
def test_it_flaps_only_where_so_many_changes_fell_within_the_period(
    limit: Flapping, gaps: list[float], looked_at: bool
) -> None:
    """Whether somebody looks between the changes or not; and no more changes are kept than are counted."""
    flaps, now, seen = Flaps(limit), 0.0, list[float]()
    for gap in gaps:
        if looked_at and flaps.stable_at is not None:
            flaps = flaps.settled(min(flaps.stable_at, now + gap))
        now += gap
        seen.append(now)
        before, flaps = flaps, flaps.changed(now)
        assert len(flaps.changes) <= limit.changes
        if flaps.since == now:
            assert seen[-1] - seen[-limit.changes] < limit.period
        if flaps.flapping:
            assert flaps.stable_at is not None
            assert now < flaps.stable_at <= now + limit.period
        elif before.flapping:
            assert before.stable_at is not None
            assert before.stable_at <= now


@given(limits, st.lists(st.floats(0.01, 30.0), min_size=1, max_size=60))
def test_whether_somebody_looks_when_it_becomes_stable_makes_no_difference(limit: Flapping, gaps: list[float]) -> None:
    times = [sum(gaps[:count]) for count in range(1, len(gaps) + 1)]
    flaps = Flaps(limit)
    for before, now in pairwise([0.0, *times]):
        if flaps.stable_at is not None and before <= flaps.stable_at <= now:
            flaps = flaps.settled(flaps.stable_at)
        flaps = flaps.changed(now)
    assert flaps == after(limit, *times)
