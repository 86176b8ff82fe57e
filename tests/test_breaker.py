"""The circuit breaker: it opens after its count, lets one probe through after a pause, and closes on an answer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.delivery.breaker import Breaker, BreakerState


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(breaker.limit):
        breaker = breaker.begun().failed(now)
    return breaker


def test_it_stays_closed_below_its_count_and_opens_at_it() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker = breaker.begun().failed(0.0)
        assert breaker.state(0.0) is BreakerState.CLOSED
    assert breaker.failed(0.0).state(0.0) is BreakerState.OPEN


def test_an_answer_starts_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker = breaker.failed(0.0)
    assert breaker.succeeded() == Breaker()


def test_after_the_pause_one_probe_is_let_through_and_no_second_one() -> None:
    breaker = opened(0.0)
    assert breaker.opens_at == 10.0
    assert breaker.state(10.0) is BreakerState.HALF_OPEN
    assert breaker.begun().opens_at == math.inf


def test_a_probe_that_fails_doubles_the_pause_up_to_a_minute() -> None:
    breaker, now, pauses = opened(0.0), 0.0, list[float]()
    for _ in range(6):
        pauses.append(breaker.opens_at - now)
        now = breaker.opens_at
        breaker = breaker.begun().failed(now)
    assert pauses == [10, 20, 40, 60, 60, 60]
    assert breaker.since == 0.0


def test_a_probe_that_is_answered_closes_it() -> None:
    assert opened().begun().succeeded().opens_at == -math.inf


def test_an_attempt_from_before_it_opened_does_not_prolong_the_pause() -> None:
    assert opened(0.0).failed(5.0).opens_at == 10.0


def test_an_interrupted_probe_is_followed_by_another() -> None:
    assert opened(0.0).begun().interrupted().opens_at == 10.0


@given(st.lists(st.sampled_from(["ok", "fail", "lost", "wait"]), max_size=60))
def test_while_it_is_not_closed_at_most_one_attempt_is_under_way_and_one_comes_in_the_end(events: list[str]) -> None:
    breaker, now, under_way = Breaker(), 0.0, 0
    for event in events:
        if event == "wait":
            now += 7.0
        elif under_way == 0 and breaker.opens_at <= now:
            breaker, under_way = breaker.begun(), 1
        elif under_way:
            under_way = 0
            breaker = {"ok": breaker.succeeded(), "fail": breaker.failed(now), "lost": breaker.interrupted()}[event]
        if breaker.state(now) is not BreakerState.CLOSED and under_way:
            assert breaker.opens_at == math.inf
    if not under_way:
        assert breaker.opens_at <= now + 60.0


@pytest.mark.parametrize("failures", [5, 100, 10_000])
def test_however_long_it_fails_the_pause_is_a_number(failures: int) -> None:
    breaker = Breaker(failures=failures, probing=True)
    assert breaker.failed(0.0).opens_at <= 60.0
