"""The token bucket never gives more than its burst and its rate, and wastes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.delivery.bucket import Bucket, Rate
from kailash_monitor.errors import ConfigurationError


def sent(rate: Rate, waits: list[float]) -> list[float]:
    """Give when messages go out that come up with these waits between them, each as soon as it may."""
    now, bucket, times = 0.0, Bucket.full(rate, 0.0), list[float]()
    for wait in waits:
        now = max(now + wait, bucket.ready_at(now + wait))
        bucket = bucket.taken(now)
        times.append(now)
    return times


@given(st.floats(0.1, 50), st.integers(1, 20), st.lists(st.floats(0, 5), max_size=80))
def test_no_stretch_of_time_sees_more_than_the_burst_and_the_rate(per_second: float, burst: int, waits: list[float]) -> None:
    times = sent(Rate(per_second, burst), waits)
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + per_second * (times[last] - begin) + 1e-6


def test_a_burst_goes_at_once_and_then_one_a_second() -> None:
    assert sent(Rate(1.0, 5), [0.0] * 8) == pytest.approx([0, 0, 0, 0, 0, 1, 2, 3])


def test_a_pause_fills_it_up_to_the_burst_and_no_further() -> None:
    bucket = Bucket.full(Rate(1.0, 2), 0.0).taken(0.0).taken(0.0)
    assert bucket.left(1000.0) == 2.0


def test_a_clock_that_steps_back_gives_no_tokens_and_takes_none() -> None:
    bucket = Bucket.full(Rate(1.0, 2), 10.0).taken(10.0)
    assert bucket.left(5.0) == 1.0


@pytest.mark.parametrize(
    ("per_second", "burst"), [(0, 1), (-1, 1), (float("inf"), 1), (1, 0), (1, 1.5), (True, 1), ("1", 1)]
)
def test_a_rate_that_is_none_is_refused(per_second: float, burst: int) -> None:
    with pytest.raises(ConfigurationError, match="rate: "):
        Rate(per_second, burst)
