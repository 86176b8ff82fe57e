"""The ledger: who is told what, decided by what was heard."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.ledger import (
    Heard,
    LedgerEntry,
    Missed,
    Reach,
    Situation,
    accepted,
    attempting,
    called,
    called_behind,
    decide,
    failed,
    follow,
    given_up,
    missed,
    repeat_at,
)
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.model.reason import KIND_OF, Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import AlertRule

from effort import examples  # isort: skip

FIRING, REPEAT, RESOLVED, MISSED, FLAPPING, STABLE = list(NoticeKind)[:6]
INFO, WARNING, ERROR, CRITICAL = AlertSeverity
UNTOLD, IN_DOUBT, TOLD = Heard

RULE: Final = AlertRule("r", "d", "warning", "m", "> 10")
NOW: Final = 100.0


def incident(state: State, number: int = 1, severity: AlertSeverity = WARNING, **changes: object) -> Incident:
    given = {
        "key": AlertKey("r", "c"),
        "rule": RULE,
        "number": number,
        "state": state,
        "severity": severity,
        "labels": NO_LABELS,
        "since": 0.0,
        "seen": 0.0,
        "created_at": 0.0,
        "fired_at": None if state is State.PENDING else 10.0 * number,
        "resolved_at": 10.0 * number + 5 if state is State.RESOLVED else None,
    }
    return Incident(**{**given, **changes})  # type: ignore[arg-type]


def ask(entry: LedgerEntry, now: float = NOW, **situation: object) -> Reason:
    return decide(entry, Situation(**{"repeat_after": 60.0, **situation}), now)  # type: ignore[arg-type]


def told(about: Incident, severity: AlertSeverity = WARNING, at: float = 99.0) -> LedgerEntry:
    return accepted(attempting(LedgerEntry(about), FIRING), FIRING, severity, at)


# -- every combination -------------------------------------------------------------------------------------------------

Case = tuple[LedgerEntry, Situation, Reason]


def entries() -> Iterator[LedgerEntry]:
    sums = [None, Missed(1, 1.0, 2.0)]
    kinds = [None, FIRING, FLAPPING, RESOLVED]
    for state, heard, over, was_called, flapping, before, kind, severity in itertools.product(
        State, Heard, *[[False, True]] * 3, sums, kinds, [None, INFO, WARNING, ERROR]
    ):
        about = incident(state)
        yield LedgerEntry(about, heard, severity, 40.0, over, was_called, flapping, before, kind)


def situations() -> Iterator[Situation]:
    for reach, suppressed, acknowledged, flapping, repeat_after in itertools.product(
        Reach, [None, Reason.SILENCED], [False, True], [False, True], [60.0, 61.0]
    ):
        yield Situation(reach, suppressed, acknowledged, flapping, repeat_after)


@functools.cache
def every_decision() -> list[Case]:
    asked = list(situations())
    return [(entry, situation, decide(entry, situation, NOW)) for entry in entries() for situation in asked]


def graver(entry: LedgerEntry) -> bool:
    return entry.severity is not None and entry.about.severity.rank > entry.severity.rank


def test_every_combination_has_one_reason() -> None:
    assert {type(reason) for *_, reason in every_decision()} == {Reason}


def test_whoever_may_have_been_told_is_told_the_end_whatever_suppresses_it() -> None:
    for entry, situation, reason in every_decision():
        if entry.about.state is State.RESOLVED and entry.owes and not entry.flapping:
            assert KIND_OF[reason] in ((FLAPPING, RESOLVED) if situation.flapping else (RESOLVED,))


def test_whoever_was_told_that_it_flaps_is_told_when_it_is_stable_whatever_suppresses_the_end() -> None:
    for entry, situation, reason in every_decision():
        if entry.about.state is State.RESOLVED and entry.flapping:
            assert reason is (Reason.UNSETTLED if situation.flapping else Reason.STABLE)


def test_whoever_was_not_told_is_never_told_the_end() -> None:
    for entry, _, reason in every_decision():
        if entry.heard is UNTOLD or entry.over:
            assert KIND_OF.get(reason) is not RESOLVED


def test_nothing_that_fires_is_told_while_it_is_suppressed_or_not_routed() -> None:
    for entry, situation, reason in every_decision():
        silent = situation.suppressed is not None or situation.reach is Reach.NOT_ROUTED
        if silent and entry.about.active:
            assert KIND_OF.get(reason) in (None, RESOLVED)
        if silent and not entry.about.active:
            assert KIND_OF.get(reason) in (None, RESOLVED, MISSED, STABLE)


def test_a_route_that_leads_elsewhere_ends_it_for_those_who_still_believe_that_it_fires() -> None:
    for entry, situation, reason in every_decision():
        away = entry.about.active and situation.reach is Reach.NOT_ROUTED
        assert (reason is Reason.REROUTED) is (away and entry.owes)
        assert (reason is Reason.NOT_ROUTED) is (away and not entry.owes)


def test_it_is_raised_where_it_is_graver_than_the_channel_was_told_and_nothing_stands_against_telling() -> None:
    for entry, situation, reason in every_decision():
        reached = situation.reach in (Reach.ROUTED, Reach.ESCALATED)
        reached = reached or (situation.reach is Reach.NOT_ESCALATED and entry.heard is not UNTOLD)
        first = entry.missed is not None or situation.flapping or entry.flapping  # is told before
        tellable = entry.about.active and reached and situation.suppressed is None and not first
        assert (reason is Reason.RAISED) is (tellable and graver(entry))


def test_only_who_knows_that_it_fires_hears_it_again_and_only_until_somebody_is_on_it() -> None:
    for entry, situation, reason in every_decision():
        if reason is Reason.REPEAT_DUE:
            assert entry.heard is TOLD
            assert (situation.acknowledged, situation.repeat_after) == (False, 60.0)


def test_an_acknowledgement_stops_repeats_and_nothing_else() -> None:
    by_question = {(id(entry), situation): reason for entry, situation, reason in every_decision()}
    for entry, situation, reason in every_decision():
        if situation.acknowledged:
            without = by_question[id(entry), replace(situation, acknowledged=False)]
            stopped = reason is Reason.ACKNOWLEDGED and without in (Reason.REPEAT_DUE, Reason.ALREADY_TOLD)
            assert stopped or reason is without


def test_of_what_is_pending_nothing_is_told_but_what_came_before_it() -> None:
    for entry, _, reason in every_decision():
        if entry.about.state is State.PENDING:
            assert reason is (Reason.NOT_FIRING if entry.missed is None else Reason.MISSED)


def test_the_summary_of_what_was_missed_comes_before_any_firing() -> None:
    for entry, _, reason in every_decision():
        if reason is Reason.MISSED:
            assert missed(entry) is not None
        elif entry.about.active and entry.missed is not None:
            assert KIND_OF.get(reason) in (None, RESOLVED)


def test_only_a_rung_that_is_reached_escalates() -> None:
    for entry, situation, reason in every_decision():
        if reason is Reason.ESCALATED:
            assert situation.reach is Reach.ESCALATED
            assert entry.heard is not TOLD
        if reason is Reason.NOT_ESCALATED:
            assert (situation.reach, entry.heard) == (Reach.NOT_ESCALATED, UNTOLD)


def test_what_was_refused_for_good_is_not_tried_again() -> None:
    for entry, _, reason in every_decision():
        if entry.undeliverable is not None and reason is not Reason.RAISED:
            assert KIND_OF.get(reason) is not entry.undeliverable


@pytest.mark.parametrize(
    ("state", "heard", "situation", "reason"),
    [
        (State.PENDING, UNTOLD, {}, Reason.NOT_FIRING),
        (State.FIRING, UNTOLD, {}, Reason.FIRED),
        (State.FIRING, IN_DOUBT, {}, Reason.FIRED),
        (State.FIRING, TOLD, {}, Reason.ALREADY_TOLD),
        (State.FIRING, TOLD, {"acknowledged": True}, Reason.ACKNOWLEDGED),
        (State.FIRING, UNTOLD, {"acknowledged": True}, Reason.FIRED),
        (State.FIRING, UNTOLD, {"suppressed": Reason.SILENCED}, Reason.SILENCED),
        (State.FIRING, TOLD, {"suppressed": Reason.MUTED}, Reason.MUTED),
        (State.FIRING, TOLD, {"suppressed": Reason.INHIBITED}, Reason.INHIBITED),
        (State.FIRING, UNTOLD, {"reach": Reach.ESCALATED}, Reason.ESCALATED),
        (State.FIRING, UNTOLD, {"reach": Reach.NOT_ESCALATED}, Reason.NOT_ESCALATED),
        (State.FIRING, TOLD, {"reach": Reach.NOT_ESCALATED}, Reason.ALREADY_TOLD),
        (State.FIRING, UNTOLD, {"reach": Reach.NOT_ROUTED}, Reason.NOT_ROUTED),
        (State.FIRING, IN_DOUBT, {"reach": Reach.NOT_ROUTED}, Reason.REROUTED),
        (State.FIRING, TOLD, {"reach": Reach.NOT_ROUTED, "suppressed": Reason.SILENCED}, Reason.REROUTED),
        (State.FIRING, UNTOLD, {"flapping": True}, Reason.FLAPPING),
        (State.RECOVERING, UNTOLD, {}, Reason.FIRED),
        (State.RECOVERING, TOLD, {}, Reason.ALREADY_TOLD),
        (State.RESOLVED, UNTOLD, {}, Reason.NEVER_TOLD),
        (State.RESOLVED, IN_DOUBT, {}, Reason.RESOLVED),
        (State.RESOLVED, TOLD, {"suppressed": Reason.SILENCED, "reach": Reach.NOT_ROUTED}, Reason.RESOLVED),
        (State.RESOLVED, TOLD, {"flapping": True}, Reason.FLAPPING),
        (State.RESOLVED, TOLD, {"flapping": True, "suppressed": Reason.SILENCED}, Reason.RESOLVED),
        (State.RESOLVED, TOLD, {"flapping": True, "reach": Reach.NOT_ROUTED}, Reason.RESOLVED),
    ],
)
def test_what_a_channel_is_told(state: State, heard: Heard, situation: dict[str, object], reason: Reason) -> None:
    entry = LedgerEntry(incident(state), heard, told_at=99.0 if heard is TOLD else None)
    assert ask(entry, **situation) is reason


@pytest.mark.parametrize("reason", [Reason.RESOLVED, Reason.RULE_REMOVED, Reason.SERIES_REMOVED])
def test_the_end_is_told_for_the_reason_for_which_it_ended(reason: Reason) -> None:
    assert ask(told(incident(State.RESOLVED, ended_by=reason))) is reason


@pytest.mark.parametrize(
    ("repeat_after", "now", "reason"),
    [(60, 159, Reason.ALREADY_TOLD), (60, 160, Reason.REPEAT_DUE), (0, 1e9, Reason.ALREADY_TOLD)],
)
def test_repeats_are_due_after_their_interval(repeat_after: float, now: float, reason: Reason) -> None:
    entry = told(incident(State.FIRING), at=100.0)
    assert ask(entry, now, repeat_after=repeat_after) is reason
    assert (repeat_at(entry, Situation(repeat_after=repeat_after)) <= now) is (reason is Reason.REPEAT_DUE)


# -- one incident ------------------------------------------------------------------------------------------------------


def test_the_life_of_an_incident_that_is_delivered() -> None:
    entry = attempting(follow(None, incident(State.FIRING)), FIRING)
    assert (entry.heard, entry.owes) == (IN_DOUBT, True)
    entry = accepted(entry, FIRING, WARNING, 10.0)
    assert (entry.heard, entry.severity, entry.told_at, entry.owes) == (TOLD, WARNING, 10.0, True)
    entry = follow(entry, incident(State.RESOLVED))
    assert (ask(entry), entry.finished) == (Reason.RESOLVED, False)
    entry = accepted(attempting(entry, RESOLVED), RESOLVED, WARNING, 20.0)
    assert (ask(entry), entry.owes, entry.finished) == (Reason.ALREADY_TOLD, False, True)


def test_a_certain_failure_leaves_the_channel_untold() -> None:
    entry = failed(attempting(LedgerEntry(incident(State.FIRING)), FIRING), FIRING, in_doubt=False)
    assert entry == LedgerEntry(incident(State.FIRING))
    assert ask(follow(entry, incident(State.RESOLVED))) is Reason.NEVER_TOLD


def test_a_doubtful_failure_is_told_the_end() -> None:
    entry = failed(attempting(LedgerEntry(incident(State.FIRING)), FIRING), FIRING, in_doubt=True)
    assert ask(follow(entry, incident(State.RESOLVED))) is Reason.RESOLVED


def test_a_failed_repeat_takes_nothing_back() -> None:
    entry = told(incident(State.FIRING))
    assert failed(attempting(entry, REPEAT), REPEAT, in_doubt=False) == entry


def test_graver_is_told_and_milder_is_not_and_graver_than_that_is_told_again() -> None:
    entry = told(incident(State.FIRING), WARNING)
    entry = follow(entry, incident(State.FIRING, severity=CRITICAL))
    assert ask(entry) is Reason.RAISED
    entry = accepted(entry, FIRING, CRITICAL, NOW)
    assert ask(entry) is Reason.ALREADY_TOLD
    entry = follow(entry, incident(State.FIRING, severity=WARNING))
    assert (ask(entry), entry.severity) == (Reason.ALREADY_TOLD, WARNING)
    assert ask(follow(entry, incident(State.RECOVERING, severity=CRITICAL))) is Reason.RAISED


def test_a_channel_that_the_route_leaves_and_reaches_again_is_told_again() -> None:
    entry = told(incident(State.FIRING))
    assert ask(entry, reach=Reach.NOT_ROUTED) is Reason.REROUTED
    entry = accepted(attempting(entry, RESOLVED), RESOLVED, WARNING, NOW)
    assert (ask(entry, reach=Reach.NOT_ROUTED), ask(entry)) == (Reason.NOT_ROUTED, Reason.FIRED)


def test_following_the_same_incident_keeps_what_was_heard() -> None:
    entry = told(incident(State.FIRING))
    newer = incident(State.RECOVERING, value=3.0)
    assert follow(entry, newer) == entry._replace(about=newer)


# -- what is given up --------------------------------------------------------------------------------------------------


def test_a_firing_that_is_given_up_is_tried_again_only_when_it_is_graver() -> None:
    entry = given_up(LedgerEntry(incident(State.FIRING)), FIRING, WARNING, NOW, in_doubt=False)
    assert ask(entry) is Reason.UNDELIVERABLE
    assert ask(follow(entry, incident(State.FIRING, severity=ERROR))) is Reason.RAISED
    assert ask(follow(entry, incident(State.RESOLVED))) is Reason.UNDELIVERABLE
    assert ask(follow(entry, incident(State.FIRING, number=2))) is Reason.FIRED


def test_an_end_that_is_given_up_is_not_told_and_the_next_incident_is() -> None:
    entry = given_up(told(incident(State.RESOLVED)), RESOLVED, WARNING, NOW, in_doubt=False)
    assert (ask(entry), entry.finished) == (Reason.UNDELIVERABLE, True)
    assert ask(follow(entry, incident(State.FIRING, number=2))) is Reason.FIRED


def test_a_repeat_that_is_given_up_is_tried_anew_when_the_next_is_due() -> None:
    entry = given_up(told(incident(State.FIRING), at=0.0), REPEAT, WARNING, NOW, in_doubt=False)
    assert (ask(entry, 159.0), ask(entry, 160.0)) == (Reason.ALREADY_TOLD, Reason.REPEAT_DUE)


def test_that_it_flaps_is_given_up_once_and_then_its_end_is_told_instead() -> None:
    """A channel that refuses the word would be told it for ever, without a pause."""
    entry = given_up(told(incident(State.RESOLVED)), FLAPPING, WARNING, NOW, in_doubt=False)
    assert ask(entry, flapping=True) is Reason.RESOLVED


def test_that_it_is_stable_is_given_up_once_and_its_end_is_told_all_the_same() -> None:
    flapped = accepted(told(incident(State.FIRING)), FLAPPING, WARNING, NOW)
    entry = given_up(flapped, STABLE, WARNING, NOW, in_doubt=False)
    assert ask(entry) is Reason.ALREADY_TOLD
    assert ask(follow(entry, incident(State.RESOLVED))) is Reason.RESOLVED


def test_after_the_word_that_what_flapped_is_over_its_end_is_tried_and_given_up_as_any_other() -> None:
    flapped = accepted(told(incident(State.RESOLVED)), FLAPPING, WARNING, NOW)
    entry = given_up(flapped, STABLE, WARNING, NOW, in_doubt=False)
    assert ask(entry) is Reason.RESOLVED
    assert ask(given_up(entry, RESOLVED, WARNING, NOW, in_doubt=False)) is Reason.UNDELIVERABLE


def test_a_firing_that_may_have_been_heard_is_owed_its_end_though_a_later_one_certainly_was_not() -> None:
    entry = attempting(LedgerEntry(incident(State.FIRING)), FIRING)
    entry = given_up(entry, FIRING, WARNING, NOW, in_doubt=True)
    entry = attempting(follow(entry, incident(State.FIRING, severity=CRITICAL)), FIRING)
    entry = failed(entry, FIRING, in_doubt=False)
    assert ask(follow(entry, incident(State.RESOLVED))) is Reason.RESOLVED


# -- one incident after another ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("heard", "over"), list(itertools.product(Heard, [False, True])))
def test_a_new_incident_waits_until_the_end_of_the_old_one_was_heard(heard: Heard, over: bool) -> None:
    old = LedgerEntry(incident(State.RESOLVED), heard, over=over)
    entry = follow(old, incident(State.FIRING, number=2))
    waits = heard is not UNTOLD and not over
    assert (entry.about.number, entry.behind is not None) == ((1, True) if waits else (2, False))
    assert ask(entry) is (Reason.RESOLVED if waits else Reason.FIRED)


def test_what_was_to_be_told_and_came_and_went_unheard_is_summed_up() -> None:
    entry = follow(None, incident(State.FIRING))
    for number in (1, 2, 3):
        entry = called(follow(entry, incident(State.FIRING, number)), Reason.FIRED)
        entry = follow(entry, incident(State.RESOLVED, number))
    assert (ask(entry), missed(entry)) == (Reason.MISSED, Missed(3, 10.0, 35.0))
    assert not entry.finished
    entry = accepted(attempting(entry, MISSED), MISSED, WARNING, NOW)
    assert (ask(entry), missed(entry), entry.finished) == (Reason.ALREADY_TOLD, None, True)


def test_a_summary_comes_before_the_firing_of_today() -> None:
    entry = follow(called(LedgerEntry(incident(State.FIRING)), Reason.FIRED), incident(State.RESOLVED))
    entry = follow(entry, incident(State.FIRING, number=2))
    assert (ask(entry), ask(entry, suppressed=Reason.SILENCED)) == (Reason.MISSED, Reason.SILENCED)
    assert ask(accepted(attempting(entry, MISSED), MISSED, WARNING, NOW)) is Reason.FIRED


def test_what_was_suppressed_when_it_ended_is_not_missed() -> None:
    entry = called(called(LedgerEntry(incident(State.FIRING)), Reason.FIRED), Reason.SILENCED)
    assert ask(follow(entry, incident(State.RESOLVED))) is Reason.NEVER_TOLD


def test_what_came_and_went_behind_an_end_that_could_not_be_told_is_summed_up_as_well() -> None:
    entry = told(incident(State.RESOLVED))
    for number in (2, 3):
        entry = called_behind(follow(entry, incident(State.FIRING, number)), Situation(), NOW)
        entry = called_behind(follow(entry, incident(State.RESOLVED, number)), Situation(), NOW)
    entry = follow(entry, incident(State.FIRING, 4))
    assert (ask(entry), entry.finished) == (Reason.RESOLVED, False)
    entry = follow(accepted(entry, RESOLVED, WARNING, NOW), incident(State.FIRING, 4))
    assert (ask(entry), missed(entry)) == (Reason.MISSED, Missed(2, 20.0, 35.0))
    assert ask(accepted(attempting(entry, MISSED), MISSED, WARNING, NOW)) is Reason.FIRED


def test_what_is_missed_while_a_summary_is_on_its_way_is_in_the_next_one() -> None:
    entry = follow(called(LedgerEntry(incident(State.FIRING)), Reason.FIRED), incident(State.RESOLVED))
    entry = failed(attempting(entry, MISSED), MISSED, in_doubt=True)
    entry = called(follow(entry, incident(State.FIRING, number=2)), Reason.MISSED)
    entry = follow(entry, incident(State.RESOLVED, number=2))
    entry = follow(accepted(entry, MISSED, WARNING, NOW), incident(State.RESOLVED, number=2))
    assert missed(called(entry, ask(entry))) == Missed(1, 20.0, 25.0)


def test_what_flaps_and_was_told_so_is_one_story() -> None:
    entry = told(incident(State.FIRING))
    entry = follow(entry, incident(State.RESOLVED))
    assert ask(entry, flapping=True) is Reason.FLAPPING
    entry = accepted(attempting(entry, FLAPPING), FLAPPING, WARNING, NOW)
    for state, number in [(State.FIRING, 2), (State.RESOLVED, 2), (State.FIRING, 3)]:
        entry = follow(entry, incident(state, number))
        assert ask(entry, flapping=True) is Reason.UNSETTLED
    assert (ask(entry), ask(entry, suppressed=Reason.SILENCED)) == (Reason.STABLE, Reason.SILENCED)
    stable = accepted(attempting(entry, STABLE), STABLE, WARNING, NOW)
    assert (ask(stable), ask(follow(stable, incident(State.RESOLVED, 3)))) == (Reason.ALREADY_TOLD, Reason.RESOLVED)
    over = follow(entry, incident(State.RESOLVED, 3))
    assert ask(over, suppressed=Reason.SILENCED) is Reason.STABLE
    assert ask(accepted(attempting(over, STABLE), STABLE, WARNING, NOW)) is Reason.ALREADY_TOLD


def test_what_flaps_and_ends_while_a_channel_is_told_that_its_route_leads_elsewhere_has_ended_for_it() -> None:
    entry = accepted(told(incident(State.FIRING)), FLAPPING, WARNING, NOW)
    assert ask(entry, reach=Reach.NOT_ROUTED, flapping=True) is Reason.REROUTED
    entry = follow(attempting(entry, RESOLVED), incident(State.RESOLVED))
    entry = accepted(entry, RESOLVED, WARNING, NOW)
    assert ask(entry) is Reason.ALREADY_TOLD


def test_a_late_word_that_it_is_stable_and_fires_does_not_hide_that_it_has_ended_since() -> None:
    flapped = accepted(told(incident(State.FIRING)), FLAPPING, WARNING, NOW)
    entry = failed(attempting(flapped, STABLE), STABLE, in_doubt=True)
    entry = follow(entry, incident(State.RESOLVED))
    assert ask(accepted(entry, STABLE, WARNING, NOW)) is Reason.RESOLVED


def test_only_these_reasons_tell() -> None:
    tells = {reason for reason in Reason if reason.tells}
    ends = {Reason.RESOLVED, Reason.RULE_REMOVED, Reason.SERIES_REMOVED, Reason.STALE_STORE, Reason.REROUTED}
    begins = {Reason.FIRED, Reason.RAISED, Reason.ESCALATED}
    assert tells == begins | ends | {Reason.REPEAT_DUE, Reason.KEPT_ALIVE, Reason.MISSED, Reason.FLAPPING, Reason.STABLE}


# -- whatever happens --------------------------------------------------------------------------------------------------


@dataclass
class Message:
    """What is on its way to the channel, or may have been heard: frozen when it was first attempted."""

    reason: Reason
    about: Incident
    sum_up: Missed | None
    in_doubt: bool = False

    @property
    def kind(self) -> NoticeKind:
        return KIND_OF[self.reason]


BEGINS: Final = (FIRING, FLAPPING)

MAY_FOLLOW: Final = {
    Reason.FIRED: {"over", "unheard", "maybe", "refused"},
    Reason.ESCALATED: {"over", "unheard", "maybe", "refused"},
    Reason.RAISED: {"firing", "unheard", "maybe", "refused"},
    Reason.REPEAT_DUE: {"firing", "refused"},
    Reason.FLAPPING: {"over", "unheard", "maybe", "firing", "refused"},
    Reason.STABLE: {"firing", "refused"},
    Reason.MISSED: {"over", "unheard", "refused"},
    Reason.RESOLVED: {"firing", "maybe", "refused"},
    Reason.RULE_REMOVED: {"firing", "maybe", "refused"},
    Reason.REROUTED: {"firing", "maybe", "refused"},
}
"""After which word the channel may accept something for that reason.

"maybe" is a firing that may have been heard, "unheard" one that was refused, "refused" an end that was."""


class Conversation(RuleBasedStateMachine):
    """One alert and one channel: incidents come and go, people suppress it, and attempts have every outcome.

    The ledger is asked as the engine asks it: whenever something happened, and again when a message is made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.situation = Situation(repeat_after=60.0)
        self.latest: Incident | None = None
        self.previous: Incident | None = None  # the last that is over
        self.entry: LedgerEntry | None = None
        self.message: Message | None = None
        self.on_its_way = False
        # what is known without the ledger
        self.word = "over"
        self.ended = 0  # the number of the last incident of which the end was accepted
        self.heard: set[int] = set()  # that they fire, or perhaps
        self.refused: set[int] = set()
        self.wanted: dict[int, bool] = {}  # whether it was to be told when it was last seen to fire
        self.summed_up = 0

    # -- what happens --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State | None:
        return None if self.latest is None else self.latest.state

    @initialize()
    def begins(self) -> None:
        self.fires(WARNING)

    @precondition(lambda self: self.state is State.RESOLVED)
    @rule(severity=st.sampled_from([WARNING, CRITICAL]))
    def fires(self, severity: AlertSeverity) -> None:
        number = 1 if self.previous is None else self.previous.number + 1
        self._becomes(incident(State.FIRING, number, severity))

    @precondition(lambda self: self.state is State.RESOLVED)
    @rule()
    def is_pending_for_a_while(self) -> None:
        assert self.previous is not None
        self._becomes(incident(State.PENDING, self.previous.number + 1))
        self._becomes(self.previous)

    @precondition(lambda self: self.state in (State.FIRING, State.RECOVERING))
    @rule(state=st.sampled_from([State.FIRING, State.RECOVERING]), severity=st.sampled_from([WARNING, ERROR, CRITICAL]))
    def changes(self, state: State, severity: AlertSeverity) -> None:
        assert self.latest is not None
        self._becomes(self.latest._replace(state=state, severity=severity))

    @precondition(lambda self: self.state in (State.FIRING, State.RECOVERING))
    @rule(why=st.sampled_from([Reason.RESOLVED, Reason.RULE_REMOVED]))
    def ends(self, why: Reason) -> None:
        assert self.latest is not None
        over = self.latest._replace(state=State.RESOLVED, resolved_at=10.0 * self.latest.number + 5, ended_by=why)
        self.previous = over
        self._becomes(over)

    @rule(reach=st.sampled_from([Reach.ROUTED, *Reach]))
    def is_routed(self, reach: Reach) -> None:
        self._stands(reach=reach)

    @rule(suppressed=st.sampled_from([None, Reason.SILENCED, Reason.MUTED]))
    def is_suppressed(self, suppressed: Reason | None) -> None:
        self._stands(suppressed=suppressed)

    @rule(acknowledged=st.booleans())
    def is_acknowledged(self, acknowledged: bool) -> None:
        self._stands(acknowledged=acknowledged)

    @rule(flapping=st.sampled_from([False, True, False]))
    def flaps(self, flapping: bool) -> None:
        self._stands(flapping=flapping)

    @rule(seconds=st.sampled_from([1.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self._look()

    def _becomes(self, latest: Incident) -> None:
        self.latest = latest
        self._look()

    def _stands(self, **changes: object) -> None:
        self.situation = replace(self.situation, **changes)  # type: ignore[arg-type]
        self._look()

    # -- what is told --------------------------------------------------------------------------------------------------

    def _look(self) -> Reason:
        """Ask the ledger."""
        assert self.latest is not None
        if self.entry is None or self.state is not State.PENDING:
            self.entry = follow(self.entry, self.latest)
        self.entry = called_behind(self.entry, self.situation, self.now)
        reason = decide(self.entry, self.situation, self.now)
        self.entry = called(self.entry, reason)
        number = self.latest.number
        if self.entry.flapping and self.state is not State.PENDING:
            self.heard.update(range(max(self.heard, default=number), number + 1))  # one story, since it was told
        if self.latest.active and number not in self._being_told:
            reached = self.situation.reach in (Reach.ROUTED, Reach.ESCALATED)
            unsettled = self.situation.flapping and self.message is not None and self.message.kind is STABLE
            self.wanted[number] = reached and self.situation.suppressed is None and not unsettled
        return reason

    @property
    def _being_told(self) -> set[int]:
        begins = self.message is not None and self.message.kind in BEGINS
        return {self.message.about.number} if self.message is not None and begins else set()

    @precondition(lambda self: not self.on_its_way)
    @rule()
    def is_told(self) -> None:
        """Begin an attempt: of what may have been heard, or else of the truth of now."""
        if self.message is None:
            reason = self._look()
            assert self.entry is not None
            if not reason.tells:
                return
            self.message = Message(reason, self.entry.about, missed(self.entry))
        assert self.entry is not None
        self.entry = attempting(self.entry, self.message.kind)
        self.on_its_way = True
        self.refused -= self._being_told - self.heard  # it is tried anew, with other words

    @precondition(lambda self: self.on_its_way)
    @rule()
    def accepts(self) -> None:
        message = self._arrived()
        assert self.entry is not None
        assert self.word in MAY_FOLLOW[message.reason], f"{message.reason.value} after {self.word}"
        self.entry = accepted(self.entry, message.kind, message.about.severity, self.now)
        self._hears(message)
        self.message = None
        self._look()

    def _hears(self, message: Message) -> None:
        number, over = message.about.number, message.about.state is State.RESOLVED
        if message.kind is MISSED:
            assert message.sum_up is not None
            self.summed_up += message.sum_up.count
            return
        if message.kind is STABLE:
            self.heard = {one for one in self.heard if one <= number}  # what came since is another story
        if message.kind is RESOLVED or (message.kind is STABLE and over):
            self.word = "over"
            self.ended = number if over else self.ended
            if not over and self.latest is not None and self.latest.active:
                self.heard.discard(self.latest.number)  # no route leads to it: it is told anew if one does again
                self.refused.discard(self.latest.number)
            return
        assert number > self.ended, "a firing after its resolved"
        self.word = "firing"
        self.heard.add(number)

    @precondition(lambda self: self.on_its_way)
    @rule(in_doubt=st.booleans())
    def fails(self, in_doubt: bool) -> None:
        message = self._arrived()
        assert self.entry is not None
        message.in_doubt |= in_doubt
        self.entry = failed(self.entry, message.kind, in_doubt=message.in_doubt)
        self._perhaps_heard(message)
        self.message = message if message.in_doubt else None
        self._look()

    @precondition(lambda self: self.on_its_way)
    @rule(in_doubt=st.booleans())
    def is_given_up(self, in_doubt: bool) -> None:
        message = self._arrived()
        assert self.entry is not None
        message.in_doubt |= in_doubt
        severity, in_doubt = message.about.severity, message.in_doubt
        self.entry = given_up(self.entry, message.kind, severity, self.now, in_doubt=in_doubt)
        self.message = None
        if message.kind in BEGINS:
            self.refused.add(message.about.number)
            self.word = "unheard" if self.word == "over" else self.word
        elif message.kind is MISSED:
            assert message.sum_up is not None
            self.summed_up += message.sum_up.count
        elif message.kind is RESOLVED:
            self.word = "refused"
        self._perhaps_heard(message)
        reason = self._look()
        again = KIND_OF.get(reason) is message.kind and self.entry.about[:5] == message.about[:5]
        assert not again, "what was refused is tried again at once"

    @precondition(lambda self: not self.on_its_way)
    @rule(outcome=st.sampled_from(["accepts", "fails", "is_given_up"]), in_doubt=st.booleans())
    def is_told_at_once(self, outcome: str, in_doubt: bool) -> None:
        """Begin an attempt that ends before anything else happens."""
        self.is_told()
        if not self.on_its_way:
            return
        if outcome == "accepts":
            self.accepts()
        else:
            {"fails": self.fails, "is_given_up": self.is_given_up}[outcome](in_doubt=in_doubt)

    def _arrived(self) -> Message:
        assert self.message is not None
        self.on_its_way = False
        return self.message

    def _perhaps_heard(self, message: Message) -> None:
        if message.in_doubt and message.kind in BEGINS:
            self.heard.add(message.about.number)
            self.word = "maybe" if self.word in ("over", "unheard") else self.word

    # -- the laws ------------------------------------------------------------------------------------------------------

    @invariant()
    def what_should_have_been_heard_and_was_not_is_summed_up(self) -> None:
        """Each such incident is told of in one summary, or waits for one."""
        if self.entry is None or self.previous is None:
            return
        known = self.heard | self.refused | self._being_told
        unheard = [number for number, wanted in self.wanted.items() if wanted and number not in known]
        waiting = [missed(entry) for entry in (self.entry, self.entry.behind) if entry is not None]
        counted = self.summed_up + sum([sum_up.count for sum_up in waiting if sum_up is not None])
        assert counted == len([number for number in unheard if number <= self.previous.number])

    def teardown(self) -> None:
        """In the end the channel knows the truth, when it takes what it is told."""
        if self.latest is None:
            return
        self._stands(reach=Reach.ROUTED, suppressed=None, acknowledged=True, flapping=False)
        for _ in range(8):
            if not self.on_its_way:
                self.is_told()
            if not self.on_its_way:
                break
            self.accepts()
        assert self.message is None
        assert self.entry is not None
        if self.latest.active:
            assert self.word == "firing" or self.latest.number in self.refused or self.word == "refused"
        else:
            assert self.word in ("over", "unheard", "refused")
            assert self.entry.finished


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=examples(100), stateful_step_count=50, derandomize=True)
