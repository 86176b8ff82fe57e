"""The alert machine: the whole table, and the laws of its clocks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.machine import TABLE, Event, freeze, remove, step
from kailash_monitor.model.labels import Labels
from kailash_monitor.rules import AlertRule, Empty, Failed, Missing, Reading, Value, Waiting

KEY = AlertKey("r", "c")


def rule(**changes: object) -> AlertRule:
    return AlertRule("r", "d", "warning", "m", "> 10", **changes)  # type: ignore[arg-type]


def incident(state: State, since: float = 100.0, **changes: object) -> Incident:
    fired = None if state is State.PENDING else 90.0
    resolved = since if state is State.RESOLVED else None
    given = {"rule": rule(), "number": 3, "since": since, "seen": since, "created_at": 80.0, "fired_at": fired}
    return Incident(key=KEY, state=state, resolved_at=resolved, **{**given, **changes})  # type: ignore[arg-type]


READINGS: dict[Event, Reading] = {
    Event.BREACH: Value(11),
    Event.BREACH_HELD: Value(11),
    Event.CLEAR: Value(9),
    Event.CLEAR_HELD: Value(9),
    Event.UNKNOWN: Failed("broken"),
}


@pytest.mark.parametrize(
    ("state", "event"), [cell for cell in itertools.product(TABLE, Event) if cell != (None, Event.REMOVED)]
)
def test_every_row_and_column_of_the_table(state: State | None, event: Event) -> None:
    """Each (state, event) leads where the table says, and a transition is told of if and only if the state changes."""
    held = event in (Event.BREACH_HELD, Event.CLEAR_HELD)
    before = None if state is None else incident(state)
    judged = rule(hold=0 if held else 60, keep_firing=0 if held else 60)
    if event is Event.REMOVED:
        assert before is not None
        after, transition = remove(before, 101.0)
    else:
        after, transition = step(judged, KEY, before, READINGS[event], 101.0)
    expected = TABLE[state][event]
    assert (None if after is None else after.state) == expected
    changed = expected is not None and expected is not state
    assert (transition is not None) == changed
    if changed:
        assert transition is not None
        assert (transition.before, transition.after) == (state, after)


def test_the_table_is_complete() -> None:
    assert set(TABLE) == {None, *State}
    assert all(set(row) == set(Event) for row in TABLE.values())


@pytest.mark.parametrize("reading", [Missing(), Failed("x"), Waiting()])
@pytest.mark.parametrize("state", [State.FIRING, State.RECOVERING, State.PENDING])
def test_what_is_unknown_never_resolves_nor_fires(state: State, reading: Reading) -> None:
    before: Incident | None = incident(state)
    for now in range(101, 10_000, 500):
        before, transition = step(rule(hold=1, keep_firing=1), KEY, before, reading, float(now))
        assert before is not None
        assert (before.state, transition) == (state, None)


def test_the_clock_of_a_hold_stands_still_while_nothing_is_known() -> None:
    judged, now = rule(hold=60), itertools.count(0, 10)
    known = {0: Value(11.0), 10: Value(11.0), 20: Value(11.0)}
    before: Incident | None = None
    states: dict[int, str] = {}
    for at in itertools.islice(now, 20):
        reading = known.get(at, Failed("gap")) if at < 100 else Value(11.0)
        before, _ = step(judged, KEY, before, reading, float(at))
        assert before is not None
        states[at] = before.state.value
    # 20 s were held before the gap, from 20 to 90; the other 40 s are over at 130
    assert states[120] == "pending"
    assert states[130] == "firing"


def test_an_empty_reading_counts_as_clear() -> None:
    after, _ = step(rule(), KEY, incident(State.FIRING), Empty(), 101.0)
    assert after is not None
    assert (after.state, after.value) == (State.RESOLVED, None)


def test_a_clear_threshold_keeps_firing_between_the_two() -> None:
    judged = rule(clear=5)
    assert step(judged, KEY, None, Value(7), 100.0) == (None, None)
    still, transition = step(judged, KEY, incident(State.FIRING), Value(7), 101.0)
    assert still is not None
    assert (still.state, transition) == (State.FIRING, None)
    over, _ = step(judged, KEY, incident(State.FIRING), Value(5), 101.0)
    assert over is not None
    assert over.state is State.RESOLVED


def test_a_lower_bound_neither_resolves_nor_fires_what_it_does_not_prove() -> None:
    for reading, state in ((Value(9, at_least=True), State.FIRING), (Value(11, at_least=True), State.FIRING)):
        after, transition = step(rule(), KEY, incident(State.FIRING), reading, 101.0)
        assert after is not None
        assert (after.state, transition) == (state, None)
    assert step(rule(), KEY, None, Value(9, at_least=True), 101.0) == (None, None)


def test_value_and_peak_follow_while_firing_and_the_recovered_value_stays() -> None:
    before: Incident | None = None
    for at, value in enumerate((12.0, 15.0, 11.0, 3.0)):
        before, _ = step(rule(), KEY, before, Value(value), float(at))
    assert before is not None
    assert (before.state, before.value, before.peak) == (State.RESOLVED, 3.0, 15.0)
    assert (before.created_at, before.fired_at, before.resolved_at) == (0.0, 0.0, 3.0)
    low = AlertRule("r", "d", "warning", "m", "< 10")
    sagging, _ = step(low, KEY, None, Value(3), 0.0)
    sagging, _ = step(low, KEY, sagging, Value(5), 1.0)
    assert sagging is not None
    assert sagging.peak == 3


def test_a_breach_after_the_end_is_a_new_incident() -> None:
    after, transition = step(rule(), KEY, incident(State.RESOLVED), Value(11), 200.0)
    assert after is not None
    assert transition is not None
    assert (after.number, after.created_at, after.fired_at, after.resolved_at) == (4, 200.0, 200.0, None)


def test_a_recovery_that_breaks_off_is_the_same_incident() -> None:
    after, transition = step(rule(keep_firing=60), KEY, incident(State.RECOVERING), Value(11), 130.0)
    assert after is not None
    assert transition is not None
    assert (after.state, after.number, after.fired_at) == (State.FIRING, 3, 90.0)


def test_freezing_moves_the_clocks_on() -> None:
    frozen = freeze(incident(State.PENDING, since=100.0, seen=130.0), 500.0)
    assert (frozen.since, frozen.seen) == (470.0, 500.0)


@given(
    st.lists(st.tuples(st.floats(0.1, 50), st.sampled_from([Value(11), Value(9), Failed("x"), Empty()])), max_size=60),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_nothing_fires_before_its_hold_and_only_the_known_resolves(
    trace: list[tuple[float, Reading]], hold: float, keep: float
) -> None:
    judged, now, before = rule(hold=hold, keep_firing=keep), 0.0, None
    breached = clear = 0.0
    for gap, reading in trace:
        now += gap
        was = None if before is None else before.state
        before, transition = step(judged, KEY, before, reading, now)
        known_bad, known_good = reading == Value(11), reading in (Value(9), Empty())
        if (
            transition is not None
            and transition.after.state is State.FIRING
            and was in (None, State.PENDING, State.RESOLVED)
        ):
            assert known_bad
            assert breached + gap >= hold - 1e-6 or hold == 0
        if transition is not None and transition.after.state is State.RESOLVED:
            assert known_good
            assert clear + gap >= keep - 1e-6 or keep == 0
        breached = (
            0.0
            if known_good
            else breached + gap
            if known_bad and was is State.PENDING
            else breached
            if not known_bad
            else 0.0
        )
        clear = (
            0.0 if known_bad else clear + gap if known_good and was is State.RECOVERING else clear if not known_good else 0.0
        )


def test_ids_and_reprs() -> None:
    assert KEY.id == "r_c"
    grouped = AlertKey("r", "c", Labels({"path": 'a"b'}))
    assert grouped.id == 'r_c{path="a\\"b"}'
    assert repr(incident(State.FIRING)) == "<Incident r_c #3 firing value=None>"
    assert [incident(state).active for state in State] == [False, True, True, False]
