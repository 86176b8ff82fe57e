"""Silences."""

import pytest

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.silence import Silence
from kailash_monitor.rules import AlertRule


def incident(state: State, rule: str = "r") -> Incident:
    return Incident(
        key=AlertKey(rule, "c"),
        rule=AlertRule(rule, "d", "info", "m", "> 1"),
        number=1,
        state=state,
        since=0,
        seen=0,
        created_at=0,
    )


@pytest.mark.parametrize("state", [*State, None])
@pytest.mark.parametrize("until_resolved", [False, True])
@pytest.mark.parametrize("now", [99.0, 100.0])
def test_a_silence_ends_at_its_time_but_for_one_that_waits_for_the_end(
    state: State | None, until_resolved: bool, now: float
) -> None:
    silence = Silence("r_c", 100.0, until_resolved)
    present = None if state is None else incident(state)
    goes_on = until_resolved and state in (State.FIRING, State.RECOVERING)
    assert silence.over(present, now) is (now >= 100.0 and not goes_on)


def test_a_silence_speaks_of_its_alert_alone() -> None:
    silence = Silence("r_c", 100.0)
    assert silence.covers(incident(State.FIRING), 50.0)
    assert not silence.covers(incident(State.FIRING, "other"), 50.0)
    assert not silence.covers(incident(State.FIRING), 100.0)
