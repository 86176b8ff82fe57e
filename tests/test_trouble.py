"""Trouble with data: one alert for each cause."""

import pytest

from kailash_monitor.alerting.incident import State
from kailash_monitor.alerting.machine import end, step
from kailash_monitor.alerting.trouble import BLIND, MISSING, Cause, blind_rule
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import Value

BROKEN = Cause("app", "OSError")
GONE = Cause("app", MISSING)


def test_an_alert_about_data_is_named_after_its_cause_and_not_after_the_rules() -> None:
    assert BROKEN.key.id == 'data_unknown_app{cause="OSError"}'
    assert GONE.key.id == 'data_unknown_app{cause="missing"}'
    assert BROKEN.key == Cause("app", "OSError").key != Cause("other", "OSError").key


@pytest.mark.parametrize(
    ("cause", "text", "what"),
    [(BROKEN, "app: its callback raised OSError: no", "app: its callback raised OSError: no"), (GONE, "", "data that was there is missing")],
)  # fmt: skip
def test_it_says_what_is_wrong(cause: Cause, text: str, what: str) -> None:
    made = blind_rule(cause, text)
    assert made.description == f"Rules cannot be judged, and what they would find is not known: {what}"
    assert made.annotations == {"summary": "Data of app unknown"}
    assert (made.name, made.severity) == (BLIND, AlertSeverity.ERROR)


def test_it_fires_while_a_rule_cannot_be_judged_and_counts_them() -> None:
    rule = blind_rule(BROKEN, "no")
    fires, _ = step(rule, BROKEN.key, None, Value(1.0), 0.0)
    assert fires is not None
    assert (fires.state, fires.labels, fires.target["cause"]) == (State.FIRING, {"cause": "OSError"}, "OSError")
    more, transition = step(rule, BROKEN.key, fires, Value(200.0), 10.0)
    assert more is not None
    assert (more.value, more.peak, transition) == (200.0, 200.0, None)
    over, _ = step(rule, BROKEN.key, more, Value(0.0), 20.0)
    assert over is not None
    assert (over.state, over.ended_by, over.peak) == (State.RESOLVED, Reason.RESOLVED, 200.0)
    assert end(over, Reason.RULE_REMOVED, 30.0) == (over, None)


def test_words_that_people_cannot_choose_may_be_anything() -> None:
    made = blind_rule(Cause('a"b', "Ä\n" * 3000), "…\n{}" * 1000)
    fires, _ = step(made, Cause('a"b', "x").key, None, Value(1.0), 0.0)
    assert fires is not None
