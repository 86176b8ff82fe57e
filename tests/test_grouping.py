"""Grouping: when the news of a group goes out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerting.grouping import Group, Pace
from kailash_monitor.alerting.route import Route
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import Simulator

INFO, WARNING, ERROR, CRITICAL = AlertSeverity
PACE = Pace(wait=30.0, interval=300.0)
AT_ONCE = -math.inf


def group(*news: tuple[AlertSeverity | None, float], told: tuple[AlertSeverity, float] | None = None) -> Group:
    """A group that was told, where it was, and then had news; None is the end of one of several alerts."""
    made = Group() if told is None else Group().flushed(*told)
    for severity, at in news:
        made = made.news(severity, at, all_resolved=False)
    return made


@pytest.mark.parametrize(
    ("made", "due"),
    [
        (group(), math.inf),
        (group((WARNING, 10)), 40),
        (group((WARNING, 10), (WARNING, 25)), 40),  # the first news sets the time
        (group((WARNING, 10), (INFO, 25)), 40),
        (group((WARNING, 10), (ERROR, 25)), AT_ONCE),
        (group((INFO, 10), (None, 11), (INFO, 12)), 40),
        (group(told=(WARNING, 100)), math.inf),
        (group((WARNING, 110), told=(WARNING, 100)), 400),
        (group((None, 110), told=(WARNING, 100)), 400),  # one is over, others are not
        (group((WARNING, 900), told=(WARNING, 100)), 400),  # long due: at once
        (group((CRITICAL, 110), told=(WARNING, 100)), AT_ONCE),
        (group((INFO, 110), (WARNING, 120), told=(WARNING, 100)), 400),
        (group((INFO, 110), (ERROR, 120), (INFO, 130), told=(WARNING, 100)), AT_ONCE),
    ],
)
def test_when_the_news_of_a_group_is_told(made: Group, due: float) -> None:
    """A new group waits, one that was told keeps its interval, and what is graver than all that waits for neither."""
    assert made.due(PACE) == due


@pytest.mark.parametrize("told", [None, (WARNING, 100.0)])
def test_that_all_is_over_is_told_at_once(told: tuple[AlertSeverity, float] | None) -> None:
    assert group(told=told).news(None, 110, all_resolved=True).due(PACE) == AT_ONCE


def test_without_a_pace_everything_is_told_at_once() -> None:
    assert group((WARNING, 10)).due(Pace()) == 10
    assert group((WARNING, 110), told=(WARNING, 100)).due(Pace()) <= 110


def test_a_group_of_which_all_is_over_waits_again_when_it_fires_again() -> None:
    over = group((WARNING, 10)).flushed(None, 50)
    assert over == Group()
    assert over.news(CRITICAL, 60, all_resolved=False).due(PACE) == 90


def test_what_still_fires_when_a_group_is_told_says_what_is_graver_than_that() -> None:
    milder = group((CRITICAL, 10)).flushed(WARNING, 40)
    assert milder.news(WARNING, 50, all_resolved=False).due(PACE) == 340
    assert milder.news(ERROR, 50, all_resolved=False).due(PACE) == AT_ONCE


@given(
    st.lists(st.tuples(st.none() | st.sampled_from(list(AlertSeverity)), st.floats(0, 100)), min_size=1),
    st.none() | st.tuples(st.sampled_from(list(AlertSeverity)), st.floats(0, 100)),
)
def test_news_is_never_put_off_by_more_news(
    news: list[tuple[AlertSeverity | None, float]], told: tuple[AlertSeverity, float] | None
) -> None:
    news.sort(key=lambda one: one[1])
    dues = [group(*news[:count], told=told).due(PACE) for count in range(len(news) + 1)]
    assert dues == sorted(dues, reverse=True)
    fired = [severity.rank for severity, _ in ([told] if told else []) + news if severity is not None]
    assert (dues[-1] == AT_ONCE) is bool(fired and max(fired) > fired[0])


def test_ends_wait_for_nobody_once_nothing_of_the_group_fires() -> None:
    """One of the two was never told, so that its end is no news."""
    rule = AlertRule("busy", "", "warning", "queue", "> 5", group_by=["host"], notification_interval=0)
    sim = Simulator(rule, routes=Route(group_by=["alertname"], interval="10m"))
    for value, host in ((9, "a"), (9, "b"), (1, "a"), (1, "b")):
        sim.set("queue", value, {"host": host})
        sim.advance("1m")
    assert sim.told() == ["firing", "resolved"]
