"""The alert machine: the whole table, and the laws of its clocks."""

import itertools
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.machine import GAP, TABLE, Event, Transition, end, freeze, step
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import AlertRule, Empty, Failed, Missing, NoData, Reading, Value, Waiting

PENDING, FIRING, RECOVERING, RESOLVED = State
LEVELS: Final = {"warning": 20, "critical": 30}
KEY = AlertKey("r", "c")
WARNING, CRITICAL = AlertSeverity.WARNING, AlertSeverity.CRITICAL


def rule(condition: str = "> 10", **changes: object) -> AlertRule:
    given: dict[str, Any] = {"severity": None if "levels" in changes else "warning", **changes}
    condition = condition.split(maxsplit=1)[0] if "levels" in changes else condition
    return AlertRule("r", "d", metric_name="m", condition=condition, **given)


def judge(
    before: Incident | None, reading: Reading, now: float = 101.0, **changes: Any
) -> tuple[Incident | None, Transition | None]:
    return step(rule(**changes), KEY, before, reading, now)


def state_of(incident: Incident | None) -> State | None:
    return None if incident is None else incident.state


def incident(state: State, since: float = 100.0, **changes: object) -> Incident:
    fired = None if state is State.PENDING else 90.0
    resolved = since if state is State.RESOLVED else None
    given = {
        "rule": rule(),
        "number": 3,
        "severity": WARNING,
        "labels": NO_LABELS,
        "since": since,
        "seen": since,
        "created_at": 80.0,
        "fired_at": fired,
        "value": 11.0,
        "peak": 12.0,
    }
    return Incident(key=KEY, state=state, resolved_at=resolved, **{**given, **changes})  # type: ignore[arg-type]


READINGS: dict[Event, Reading] = {
    Event.BREACH: Value(11),
    Event.BREACH_HELD: Value(11),
    Event.HIGHER: Value(21),
    Event.LOWER: Value(11),
    Event.CLEAR: Value(9),
    Event.CLEAR_HELD: Value(9),
    Event.UNKNOWN: Failed("broken"),
}


@pytest.mark.parametrize(
    ("state", "event"), [cell for cell in itertools.product(TABLE, Event) if cell != (None, Event.REMOVED)]
)
def test_every_row_and_column_of_the_table(state: State | None, event: Event) -> None:
    """Each (state, event) leads where the table says; a transition is told of iff the state or the severity changes."""
    if event in (Event.HIGHER, Event.LOWER) and state not in (State.FIRING, State.RECOVERING):
        return  # levels are told apart only while it fires; the cells are there to make the table whole
    held = event in (Event.BREACH_HELD, Event.CLEAR_HELD)
    severity = CRITICAL if event is Event.LOWER else WARNING
    before = None if state is None else incident(state, severity=severity)
    judged = rule(levels={"warning": 10, "critical": 20}, hold=0 if held else 60, keep_firing=0 if held else 60)
    if event is Event.REMOVED:
        assert before is not None
        after, transition = end(before, Reason.RULE_REMOVED, 101.0)
    else:
        after, transition = step(judged, KEY, before, READINGS[event], 101.0)
    expected = TABLE[state][event]
    assert (None if after is None else after.state) == expected
    changed = expected is not None and (expected is not state or event in (Event.HIGHER, Event.LOWER))
    assert (transition is not None) == changed
    if transition is not None:
        assert (transition.before, transition.after) == (before, after)
        assert transition.raised == (event is Event.HIGHER)
        if event in (Event.HIGHER, Event.LOWER):
            assert transition.after.severity is (CRITICAL if event is Event.HIGHER else WARNING)


def test_the_table_is_complete() -> None:
    assert set(TABLE) == {None, *State}
    assert all(set(row) == set(Event) for row in TABLE.values())


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("no_data", ["keep", "alert", "ok"])
def test_missing_data_is_what_the_rule_says_in_every_state(state: State, no_data: str) -> None:
    after, _ = step(rule(no_data=no_data), KEY, incident(state), Missing(), 101.0)
    value = {"keep": Failed("x"), "alert": Value(11.0), "ok": Value(9.0)}[no_data]
    as_if, _ = step(rule(), KEY, incident(state), value, 101.0)
    assert (None if after is None else after.state) == (None if as_if is None else as_if.state)


@pytest.mark.parametrize("reading", [Missing(), Failed("x"), Waiting(), Empty(), Value(9.0)])
def test_what_is_no_breach_begins_nothing(reading: Reading) -> None:
    assert step(rule(), KEY, None, reading, 101.0) == (None, None)


def test_levels_go_up_and_down_as_documented() -> None:
    judged = AlertRule(
        "r",
        "d",
        metric_name="m",
        condition=">",
        levels={"warning": 80, "critical": 95},
        clear={"warning": 75, "critical": 90},
    )
    before, seen = None, []
    for at, value in enumerate((79.0, 81.0, 96.0, 93.0, 84.0, 70.0)):
        before, transition = step(judged, KEY, before, Value(value), 10.0 * at)
        seen.append(None if transition is None else (transition.after.state.value, transition.after.severity.value))
    firing = [("firing", "warning"), ("firing", "critical"), None, ("firing", "warning")]
    assert seen == [None, *firing, ("resolved", "warning")]


def test_labels_stay_those_that_the_incident_began_with() -> None:
    before, _ = step(rule(labels={"team": "a"}), KEY, None, Value(11), 0.0)
    after, _ = step(rule(labels={"team": "b"}), KEY, before, Value(12), 1.0)
    assert after is not None
    assert dict(after.labels) == {"team": "a"}
    assert after.rule.labels == {"team": "b"}


@pytest.mark.parametrize("reason", [Reason.RULE_REMOVED, Reason.SERIES_REMOVED])
def test_what_is_taken_away_on_purpose_says_so(reason: Reason) -> None:
    after, _ = end(incident(State.FIRING), reason, 101.0)
    assert after is not None
    assert (after.state, after.ended_by, after.resolved_at) == (State.RESOLVED, reason, 101.0)


def test_time_in_which_nobody_judged_counts_for_nothing() -> None:
    judged = rule(hold=60, evaluation_interval=10)
    before, _ = step(judged, KEY, None, Value(11), 0.0)
    before, _ = step(judged, KEY, before, Value(11), 10.0)
    before, transition = step(judged, KEY, before, Value(11), 10.0 + GAP * 10 + 1000)
    assert before is not None
    assert (before.state, transition) == (State.PENDING, None)


@pytest.mark.parametrize("reading", [Missing(), Failed("x"), Waiting()])
@pytest.mark.parametrize("state", [PENDING, FIRING, RECOVERING])
def test_what_is_unknown_for_hours_neither_fires_nor_resolves_nor_lets_a_clock_run(state: State, reading: Reading) -> None:
    before = incident(state)
    now: Incident | None = before
    for at in range(110, 10_000, 10):
        now, transition = judge(now, reading, float(at), hold=60, keep_firing=60)
        assert transition is None
    assert now == before._replace(since=9990.0, seen=9990.0)


# -- clocks ------------------------------------------------------------------------------------------------------------


def test_the_clock_of_a_hold_stands_still_while_nothing_is_known() -> None:
    current: Incident | None = None
    states: dict[int, State | None] = {}
    for at in range(0, 200, 10):
        unknown = 10 < at < 100
        current, _ = judge(current, Failed("gap") if unknown else Value(11), float(at), hold=60)
        states[at] = state_of(current)
    # 10 s were held before the first error; from the last one at 90 on, the other 50 s are over at 140
    assert (states[130], states[140]) == (PENDING, FIRING)


@pytest.mark.parametrize(("away", "state"), [(GAP * 10, FIRING), (GAP * 10 + 0.001, PENDING)])
def test_the_clock_stands_still_while_nobody_judges(away: float, state: State) -> None:
    """Three intervals may pass between two readings; beyond, that time counts for nothing."""
    now, _ = judge(incident(PENDING), Value(11), 100.0 + away, hold=30)
    assert state_of(now) is state


def test_an_alert_that_is_over_is_left_as_it_is_however_long_nothing_happens() -> None:
    before = incident(RESOLVED)
    for reading in (Value(9), Failed("x"), Empty()):
        assert judge(before, reading, 5000.0) == (before, None)


@pytest.mark.parametrize(("at", "state"), [(159.9, PENDING), (159.9999999, FIRING), (160.0, FIRING)])
def test_a_hold_is_over_at_its_time_though_sums_of_floats_fall_short_of_it(at: float, state: State) -> None:
    before = incident(PENDING, seen=150.0)
    assert before.ends_in == 100.0
    now, _ = judge(before, Value(11), at, hold=60)
    assert state_of(now) is state


@pytest.mark.parametrize(("at", "state"), [(159.9, RECOVERING), (159.9999999, RESOLVED), (160.0, RESOLVED)])
def test_keep_firing_is_over_at_its_time(at: float, state: State) -> None:
    now, _ = judge(incident(RECOVERING, seen=150.0), Value(9), at, keep_firing=60)
    assert state_of(now) is state


def test_an_incident_says_when_its_clock_ends() -> None:
    judged = rule(hold=60, keep_firing=30)
    ends = {state: incident(state, rule=judged).ends_in for state in State}
    assert ends == {PENDING: 160.0, FIRING: None, RECOVERING: 130.0, RESOLVED: None}


def test_freezing_moves_the_clocks_on() -> None:
    frozen = freeze(incident(PENDING, since=100.0, seen=130.0), 500.0)
    assert (frozen.since, frozen.seen) == (470.0, 500.0)


# -- what an incident keeps --------------------------------------------------------------------------------------------


def test_a_clear_threshold_keeps_firing_between_the_two() -> None:
    assert judge(None, Value(7), clear=5) == (None, None)
    still, transition = judge(incident(FIRING), Value(7), clear=5)
    assert (state_of(still), transition) == (FIRING, None)
    over, _ = judge(incident(FIRING), Value(5), clear=5)
    assert state_of(over) is RESOLVED


@pytest.mark.parametrize(("condition", "values", "peak"), [("> 10", [12, 15, 11, 30], 30), ("< 10", [5, 2, 8, 9], 2)])
def test_the_peak_is_the_worst_value_while_breached_and_the_recovered_value_stays(
    condition: str, values: list[float], peak: float
) -> None:
    current: Incident | None = None
    over = 3.0 if condition == "> 10" else 20.0
    for at, value in enumerate([*values, over]):
        current, _ = judge(current, Value(value), float(at), condition=condition)
    assert current is not None
    assert (current.state, current.value, current.peak) == (RESOLVED, over, peak)
    assert (current.created_at, current.fired_at, current.resolved_at) == (0.0, 0.0, 4.0)


def test_a_value_that_is_clear_does_not_count_for_the_peak() -> None:
    low, _ = judge(incident(FIRING, peak=5.0, value=5.0), Value(0.0), keep_firing=60, condition="< 10", hold=0)
    assert low is not None
    assert (low.state, low.peak) == (FIRING, 0.0)
    high, _ = judge(incident(FIRING), Value(9), keep_firing=60)
    assert high is not None
    assert (high.state, high.value, high.peak) == (RECOVERING, 9, 12.0)


def test_an_empty_reading_has_no_value() -> None:
    now, _ = judge(incident(FIRING), Empty())
    assert now is not None
    assert (now.value, now.peak) == (None, 12.0)


def test_a_breach_after_the_end_is_a_new_incident() -> None:
    before = incident(RESOLVED, ended_by=Reason.RESOLVED)
    now, transition = judge(before, Value(11), 200.0, labels={"team": "b"})
    assert now is not None
    assert (now.number, now.created_at, now.fired_at, now.since) == (4, 200.0, 200.0, 200.0)
    assert (now.resolved_at, now.ended_by, now.peak, now.labels) == (None, None, 11, {"team": "b"})
    assert transition == Transition(before, now, 200.0)


def test_a_recovery_that_breaks_off_is_the_same_incident() -> None:
    now, transition = judge(incident(RECOVERING), Value(11), 130.0, keep_firing=60)
    assert now is not None
    assert transition is not None
    assert (now.state, now.number, now.fired_at, now.since) == (FIRING, 3, 90.0, 130.0)


def test_the_labels_of_an_alert_are_those_of_its_rule_and_of_its_group_which_counts_more() -> None:
    key = AlertKey("r", "c", Labels({"host": "a"}))
    now, _ = step(rule(labels={"host": "x", "team": "b"}, group_by=["host"]), key, None, Value(11), 0.0)
    assert now is not None
    assert now.labels == {"host": "a", "team": "b"}
    assert now.target == {"alertname": "r", "collector": "c", "severity": "warning", "host": "a", "team": "b"}


# -- what is taken away ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.RULE_REMOVED, Reason.SERIES_REMOVED])
@pytest.mark.parametrize("state", list(State))
def test_what_fires_ends_with_its_rule_or_series_and_what_is_pending_is_forgotten(state: State, reason: Reason) -> None:
    before = incident(state)
    now, transition = end(before, reason, 200.0)
    if state is PENDING:
        assert (now, transition) == (None, None)
    elif state is RESOLVED:
        assert (now, transition) == (before, None)
    else:
        assert now == before._replace(state=RESOLVED, since=200.0, seen=200.0, resolved_at=200.0, ended_by=reason)
        assert transition == Transition(before, now, 200.0)


def test_an_alert_that_recovers_by_itself_says_so() -> None:
    now, _ = judge(incident(FIRING), Value(9))
    assert now is not None
    assert now.ended_by is Reason.RESOLVED


# -- laws --------------------------------------------------------------------------------------------------------------


@dataclass
class Reference:
    """What a rule makes of what it sees: how long it was seen breached, or clear, in a row.

    Time before a look that knew nothing, and a time without looks, count for nothing.
    """

    state: str = ""
    held: float = 0.0
    last: float = 0.0
    incidents: int = 0

    def sees(self, breached: bool | None, rule: AlertRule, now: float) -> None:
        passed = now - self.last if now - self.last <= GAP * rule.evaluation_interval else 0.0
        self.last = now
        if breached is None:
            return
        active = self.state in ("firing", "recovering")
        self.held = self.held + passed if self.state == ("pending" if breached else "recovering") else 0.0
        if breached:
            was, self.state = self.state, "firing" if active or self.held >= rule.hold - 1e-6 else "pending"
            self.incidents += self.state == "firing" and was not in ("firing", "recovering")
        elif active:
            self.state = "resolved" if self.held >= rule.keep_firing - 1e-6 else "recovering"
        else:
            self.state = "resolved" if self.incidents else ""


GAPS: Final = st.sampled_from([0.5, 5.0, 10.0, 20.0, 29.0, 31.0, 500.0])
SEEN: Final = st.sampled_from(
    [Value(11), Value(11), Value(7), Value(7), Value(2), Empty(), Missing(), Failed("x"), Waiting()]
)
RULES: Final = st.builds(
    rule,
    hold=st.sampled_from([0, 5, 30, 45]),
    keep_firing=st.sampled_from([0, 5, 30, 45]),
    clear=st.sampled_from([None, 5]),
    no_data=st.sampled_from(list(NoData)),
    labels=st.sampled_from([{}, {"team": "a"}, {"team": "b"}]),
)
TRACES: Final = st.lists(st.tuples(GAPS, SEEN, st.none() | RULES), max_size=50)


def breached(reading: Reading, rule: AlertRule, active: bool) -> bool | None:
    match reading:
        case Value(value=value):
            return value > (rule.clear if active and rule.clear is not None else 10)
        case Missing():
            return {NoData.ALERT: True, NoData.OK: False, NoData.KEEP: None}[rule.no_data]
    return False if isinstance(reading, Empty) else None


def run(first: AlertRule, trace: list[tuple[float, Reading, AlertRule | None]]) -> list[tuple[Reading, AlertRule, Incident | None, Incident | None, Transition | None]]:  # fmt: skip
    """Judge a sequence of readings, by rules that are edited on the way, and give each step.

    As the book does: where what was pending is forgotten, what comes back is the incident before it.
    """
    current: Incident | None = None
    over: Incident | None = None
    now, rule, steps = 0.0, first, []
    for gap, reading, edited in trace:
        now, rule = now + gap, edited or rule
        before = current
        current, transition = step(rule, KEY, before, reading, now)
        current = over if current is None else current
        over = current if state_of(current) is RESOLVED else over
        steps.append((reading, rule, before, current, transition))
    return steps


@given(RULES, TRACES)
def test_the_state_is_at_every_time_that_of_the_reference(
    first: AlertRule, trace: list[tuple[float, Reading, AlertRule | None]]
) -> None:
    """So nothing fires before its hold, no error or gap resolves, and numbers rise by one with each incident."""
    reference, now = Reference(), 0.0
    for (gap, _, _), (reading, judged, before, current, _) in zip(trace, run(first, trace), strict=True):
        now += gap
        reference.sees(breached(reading, judged, before is not None and before.active), judged, now)
        assert ("" if current is None else current.state.value) == reference.state
        if current is not None and current.state is not PENDING:
            assert current.number == reference.incidents


@given(RULES, TRACES)
def test_the_labels_never_change_during_an_incident_whatever_becomes_of_the_rule(
    first: AlertRule, trace: list[tuple[float, Reading, AlertRule | None]]
) -> None:
    begun: dict[tuple[int, float], Labels] = {}
    for _, judged, _, current, _ in run(first, trace):
        if current is not None:
            assert current.labels == begun.setdefault((current.number, current.created_at), judged.labels)


@given(RULES, TRACES)
def test_what_is_told_of_is_every_change_of_state_and_nothing_else(
    first: AlertRule, trace: list[tuple[float, Reading, AlertRule | None]]
) -> None:
    for reading, judged, before, current, transition in run(first, trace):
        forgotten = state_of(before) is PENDING and state_of(current) in (None, RESOLVED)
        assert (transition is not None) is (state_of(before) is not state_of(current) and not forgotten)
        if transition is not None and transition.after.state is RESOLVED:
            assert breached(reading, judged, True) is False


@given(st.lists(st.sampled_from([2, 7, 11, 17, 21, 27, 31]), max_size=30), st.sampled_from([None, {"warning": 16}]))
def test_whoever_follows_the_transitions_knows_the_state_and_the_severity(
    values: list[float], clear: dict[str, float] | None
) -> None:
    current: Incident | None = None
    known: tuple[State, AlertSeverity] | None = None
    for at, value in enumerate(values):
        current, transition = judge(current, Value(value), float(at), levels=LEVELS, clear=clear, keep_firing=2)
        if transition is not None:
            known = (transition.after.state, transition.after.severity)
        assert known == (None if current is None else (current.state, current.severity))


# -- names -------------------------------------------------------------------------------------------------------------


def test_ids_and_reprs() -> None:
    assert KEY.id == "r_c"
    assert AlertKey("r", "c", Labels({"path": 'a"b'})).id == 'r_c{path="a\\"b"}'
    assert repr(incident(FIRING)) == "<Incident r_c #3 firing warning value=11.0>"
    assert [incident(state).active for state in State] == [False, True, True, False]
