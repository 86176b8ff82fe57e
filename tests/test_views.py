"""Views of alerts: the same times at each look, and which silences cover them."""

import pytest

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.silence import Acknowledgement, Silence
from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.engine.book import Case
from kailash_monitor.engine.views import UNSTEADY, AlertView, Covering, SteadyOffset
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.matcher import Matchers
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.testing import EPOCH, ManualClock

RULE = AlertRule("busy", "d", "warning", "queue", "> 5", labels={"team": "x"})


def case(state: State = State.FIRING) -> Case:
    fired, resolved = (None if state is State.PENDING else 2.0), (3.0 if state is State.RESOLVED else None)
    key = AlertKey("busy", "app")
    labels = Labels({"team": "x"})
    return Case(
        Incident(key, RULE, 1, state, AlertSeverity.WARNING, labels, 0.0, 0.0, 1.0, fired_at=fired, resolved_at=resolved)
    )


class Jittery(ManualClock):
    """Every reading of its wall clock is a microsecond or more late, as those of real ones are."""

    late = 0.0

    def wall(self) -> float:
        self.late = (self.late + 0.000_317) % 0.005
        return super().wall() + self.late


def test_the_time_of_day_of_an_event_is_the_same_whenever_it_is_shown() -> None:
    offset = SteadyOffset(Jittery())
    assert len({offset.read() for _ in range(100)}) == 1


def test_a_clock_that_was_set_is_followed() -> None:
    clock = ManualClock()
    offset = SteadyOffset(clock)
    assert offset.read() == EPOCH
    clock.set_wall(EPOCH + UNSTEADY / 2)
    assert offset.read() == EPOCH
    clock.set_wall(EPOCH - 3600)
    assert offset.read() == EPOCH - 3600


async def test_rules_alerts_and_silences_are_shown_with_steady_times() -> None:
    registry = MetricsRegistry(clock=Jittery())
    manager = AlertManager(registry)
    manager.silence(team="x")
    assert manager.silences()[0].starts_at == manager.silences()[0].starts_at


@pytest.mark.parametrize(
    ("silence", "state", "status"),
    [
        (Silence("s", starts_at=0, ends_at=20, alert_id="busy_app"), State.FIRING, AlertStatus.SILENCED),
        (Silence("s", starts_at=0, ends_at=20, alert_id="busy_app"), State.PENDING, AlertStatus.SILENCED),
        (Silence("s", starts_at=0, ends_at=20, alert_id="busy_app"), State.RESOLVED, AlertStatus.RESOLVED),
        (Silence("s", starts_at=0, ends_at=20, alert_id="idle_app"), State.FIRING, AlertStatus.FIRING),
        (Silence("s", starts_at=15, ends_at=20, alert_id="busy_app"), State.FIRING, AlertStatus.FIRING),
        (Silence("s", starts_at=0, ends_at=5, alert_id="busy_app"), State.FIRING, AlertStatus.FIRING),
        (Silence("s", starts_at=0, ends_at=5, alert_id="busy_app", until_resolved=True), State.FIRING, AlertStatus.SILENCED),
        (Silence("s", starts_at=0, ends_at=5, alert_id="busy_app", until_resolved=True), State.PENDING, AlertStatus.PENDING),
        (Silence("s", starts_at=0, ends_at=20, matchers=Matchers.of("team=x")), State.RECOVERING, AlertStatus.SILENCED),
        (Silence("s", starts_at=0, ends_at=20, matchers=Matchers.of("alertname=busy")), State.FIRING, AlertStatus.SILENCED),
        (Silence("s", starts_at=0, ends_at=20, matchers=Matchers.of("team=y")), State.FIRING, AlertStatus.FIRING),
        (Silence("s", starts_at=0, ends_at=5, matchers=Matchers.of("team=x")), State.FIRING, AlertStatus.FIRING),
        (Silence("s", starts_at=15, ends_at=20, matchers=Matchers.of("team=x")), State.FIRING, AlertStatus.FIRING),
        (Silence("s", starts_at=0, ends_at=20, alert_id="busy_app", ended_at=9), State.FIRING, AlertStatus.FIRING),
    ],
)
def test_what_holds_at_that_moment_and_speaks_of_the_alert_silences_it(
    silence: Silence, state: State, status: AlertStatus
) -> None:
    assert Covering([silence], 10.0).status(case(state)) is status


def test_an_acknowledgement_shows_where_no_silence_does() -> None:
    known = case()
    known.acknowledgement = Acknowledgement(1, "ann", 5.0)
    assert Covering([], 10.0).status(known) is AlertStatus.ACKNOWLEDGED
    silence = Silence("s", starts_at=0, ends_at=20, alert_id="busy_app")
    assert Covering([silence], 10.0).status(known) is AlertStatus.SILENCED


@pytest.mark.parametrize(("state", "since"), [(State.PENDING, 1.0), (State.FIRING, 2.0), (State.RESOLVED, 3.0)])
def test_a_view_knows_since_when(state: State, since: float) -> None:
    view = AlertView(case(state).incident, AlertStatus.FIRING, None, EPOCH)
    assert (view.since, view.active) == (since, state is State.FIRING)
    assert view.target == {"alertname": "busy", "collector": "app", "severity": "warning", "team": "x"}
    assert view.alert.id == view.id == "busy_app"
