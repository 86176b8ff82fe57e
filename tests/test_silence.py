"""Silences: of what they speak, when they do, and when they change."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kailash_monitor.alerting.silence import NEXT_INCIDENT_LIMIT, Acknowledgement, Silence, SilenceState
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.matcher import Matchers

PENDING, ACTIVE, EXPIRED = SilenceState


def of_alert(**changes: object) -> Silence:
    return Silence("s1", **{"starts_at": 10.0, "ends_at": 100.0, "alert_id": "r_c", **changes})  # type: ignore[arg-type]


def of_labels(text: str) -> Silence:
    return Silence("s2", starts_at=10.0, ends_at=100.0, matchers=Matchers.of(text))


silences = st.builds(
    of_alert,
    ends_at=st.integers(11, 50),
    until_resolved=st.booleans(),
    ended_at=st.none() | st.integers(0, 60),
)
times = st.integers(0, 60)


@pytest.mark.parametrize(
    ("now", "until_resolved", "active", "state"),
    [
        (9, False, False, PENDING),
        (9, False, True, PENDING),
        (9, True, False, PENDING),
        (9, True, True, PENDING),
        (10, False, False, ACTIVE),
        (10, False, True, ACTIVE),
        (10, True, False, ACTIVE),
        (10, True, True, ACTIVE),
        (99, False, False, ACTIVE),
        (99, False, True, ACTIVE),
        (99, True, False, ACTIVE),
        (99, True, True, ACTIVE),
        (100, False, False, EXPIRED),
        (100, False, True, EXPIRED),
        (100, True, False, EXPIRED),
        (100, True, True, ACTIVE),
    ],
)  # fmt: skip
def test_a_silence_ends_at_its_time_but_for_one_that_waits_for_the_end(
    now: float, until_resolved: bool, active: bool, state: SilenceState
) -> None:
    silence = of_alert(until_resolved=until_resolved)
    assert silence.state(now, active) is state
    assert silence.over(now, active=active) is (state is EXPIRED)
    assert silence.covers("r_c", {}, active=active, now=now) is (state is ACTIVE)


def test_a_silence_of_an_alert_speaks_of_that_alert_alone() -> None:
    assert of_alert().covers("r_c", {"a": "b"}, active=True, now=50)
    assert not of_alert().covers("other", {"a": "b"}, active=True, now=50)


@pytest.mark.parametrize(
    ("labels", "covered"),
    [({"service": "x"}, True), ({"service": "x", "severity": "critical"}, False), ({"service": "y"}, False), ({}, False)],
)
def test_a_silence_with_matchers_speaks_of_every_alert_that_they_match(labels: dict[str, str], covered: bool) -> None:
    silence = of_labels('service="x", severity!="critical"')
    assert [silence.covers(alert_id, labels, active=True, now=50) for alert_id in ("a", "b")] == [covered, covered]
    assert not silence.covers("a", labels, active=True, now=100)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"alert_id": None}, "alert_id", "silence 's1': neither an alert_id nor matchers; give one of them"),
        ({"alert_id": ""}, "alert_id", "neither an alert_id nor matchers"),
        ({"matchers": Matchers.of("a=b")}, "alert_id", "silence 's1': an alert_id and matchers; give one of them"),
        (
            {"alert_id": None, "matchers": Matchers.of('a=~".*",b=""')},
            "matchers",
            'the matchers a=~"\\.\\*",b=""; at least one matcher that does not match the empty string',
        ),
        (
            {"alert_id": None, "matchers": Matchers.of("a=b"), "until_resolved": True},
            "until_resolved",
            "until_resolved beside matchers; give the alert_id of the one alert",
        ),
        ({"ends_at": 10.0}, "ends_at", "ends_at = 10.0; a time after 10.0, when it starts"),
        ({"ends_at": float("nan")}, "ends_at", "ends_at = nan"),
    ],
)  # fmt: skip
def test_a_wrong_silence_says_what_was_seen_and_what_is_right(changes: dict[str, object], field: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        of_alert(**changes)
    assert refused.value.field == field


@pytest.mark.parametrize("until_resolved", [False, True])
@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("now", [5, 50, 150])
def test_a_silence_that_was_ended_by_hand_is_over_and_keeps_its_story(
    until_resolved: bool, active: bool, now: float
) -> None:
    silence = of_alert(until_resolved=until_resolved, author="ann", reason="deploy")
    ended = silence.ended(now)
    assert ended.state(now, active) is EXPIRED
    assert (ended.ended_at, ended.author, ended.reason, ended.ends_at) == (now, "ann", "deploy", 100.0)
    assert silence.ended_at is None


def test_a_silence_is_ended_once() -> None:
    assert of_alert().ended(50).ended(60).ended_at == 50


@pytest.mark.parametrize(
    ("silence", "now", "expected"),
    [
        (of_alert(), 0, 10),
        (of_alert(), 10, 100),
        (of_alert(), 99, 100),
        (of_alert(), 100, None),
        (of_alert().ended(50), 60, None),
        (of_alert().ended(5), 6, None),
        (of_alert(until_resolved=True), 0, 10),
        (of_alert(until_resolved=True), 10, None),
        (of_alert(until_resolved=True), 200, None),
    ],
)
def test_the_next_change_is_the_begin_then_the_end_unless_that_waits_for_the_alert(
    silence: Silence, now: float, expected: float | None
) -> None:
    assert silence.next_change(now) == expected


@given(silences, times, times, st.booleans())
def test_what_is_over_stays_over_while_the_alert_does_not_change(
    silence: Silence, now: int, later: int, active: bool
) -> None:
    if later >= now and silence.over(now, active=active):
        assert silence.over(later, active=active)


@given(silences, times)
def test_between_now_and_the_next_change_nothing_changes(silence: Silence, now: int) -> None:
    assume(silence.ended_at is None or silence.ended_at <= now)  # nobody ends it in advance
    change = silence.next_change(now)
    if change is not None:
        assert silence.state(change) is not silence.state(now)
        assert {silence.state(time) for time in range(now, int(change))} == {silence.state(now)}
    elif not silence.until_resolved:
        assert silence.state(now) is EXPIRED


def test_silences_and_acknowledgements_know_who_and_when() -> None:
    assert NEXT_INCIDENT_LIMIT == 24 * 3600
    assert of_alert(created_at=9.0).created_at == 9.0
    assert Acknowledgement(3) == Acknowledgement(3, "", 0.0)
    assert Acknowledgement(3, "ann", 7.0).at == 7.0
