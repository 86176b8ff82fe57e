"""Delivery policies: backoff, and the life of a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.delivery.backoff import Backoff
from kailash_monitor.delivery.message import BUDGET, Done, GivenUp, Message, TryAgain, after_attempt
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected, Retry
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity

NOTICE = Notice("id", NoticeKind.FIRING, Alert("a", "r", AlertSeverity.INFO, "t", "d"), sent_at=0.0)


@pytest.mark.parametrize(("attempts", "most"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (5000, 60)])
def test_the_wait_doubles_up_to_its_cap(attempts: int, most: float) -> None:
    assert Backoff().delay(attempts, 1.0) == most
    assert Backoff().delay(attempts, 0.0) == 0.0


@given(st.integers(1, 100), st.floats(0, 1))
def test_jitter_is_over_the_whole_wait(attempts: int, luck: float) -> None:
    assert Backoff().delay(attempts, luck) == pytest.approx(luck * Backoff().delay(attempts, 1.0))


def after(outcome: Outcome, message: Message | None = None, now: float = 100.0, luck: float = 1.0) -> object:
    return after_attempt(message or Message(NOTICE, born_at=100.0), outcome, now, backoff=Backoff(), luck=luck)


def test_what_is_taken_is_done() -> None:
    assert after(Delivered()) == Done()


def test_what_is_rejected_is_given_up() -> None:
    assert after(Rejected("HTTP 404")) == GivenUp(Message(NOTICE, 100.0, attempts=1), "HTTP 404")


def test_a_retry_waits_at_least_as_long_as_it_was_told() -> None:
    assert after(Retry("HTTP 429", after=7.0)) == TryAgain(Message(NOTICE, 100.0, attempts=1), 107.0, "HTTP 429")
    assert after(Retry("HTTP 500")) == TryAgain(Message(NOTICE, 100.0, attempts=1), 100.5, "HTTP 500")


def test_a_doubt_stays() -> None:
    doubtful = after(Retry("no answer", in_doubt=True))
    assert isinstance(doubtful, TryAgain)
    certain = after(Retry("HTTP 500"), doubtful.message)
    assert isinstance(certain, TryAgain)
    assert certain.message.in_doubt


def test_some_retries_are_counted() -> None:
    message = Message(NOTICE, 100.0, attempts=2)
    assert after(Retry("raised ValueError", attempts=3), message) == GivenUp(
        Message(NOTICE, 100.0, attempts=3), "raised ValueError, 3 times"
    )


def test_a_day_is_enough() -> None:
    now = 100.0 + BUDGET
    assert after(Retry("HTTP 500"), now=now) == GivenUp(Message(NOTICE, 100.0, attempts=1), "HTTP 500, for a day")
    assert isinstance(after(Retry("HTTP 500"), now=now - 1), TryAgain)
