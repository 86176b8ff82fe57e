"""The ledger: who is told what, decided by what was heard."""

import itertools
from dataclasses import replace

import pytest

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.ledger import Heard, LedgerEntry, accepted, attempting, decide, failed, follow, given_up
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.model.reason import Reason
from kailash_monitor.rules import AlertRule

FIRING, REPEAT, RESOLVED = NoticeKind.FIRING, NoticeKind.REPEAT, NoticeKind.RESOLVED


def incident(state: State, number: int = 1) -> Incident:
    rule = AlertRule("r", "d", "warning", "m", "> 10")
    over = 50.0 if state is State.RESOLVED else None
    return Incident(
        key=AlertKey("r", "c"), rule=rule, number=number, state=state, since=0, seen=0, created_at=0, resolved_at=over
    )


def ask(
    entry: LedgerEntry, *, silenced: bool = False, acknowledged: bool = False, repeat: float = 60, now: float = 100
) -> Reason:
    return decide(entry, silenced=silenced, acknowledged=acknowledged, repeat_after=repeat, now=now)


@pytest.mark.parametrize("silenced", [False, True])
@pytest.mark.parametrize("acknowledged", [False, True])
@pytest.mark.parametrize("heard", list(Heard))
@pytest.mark.parametrize("state", list(State))
def test_the_decision_for_every_combination(state: State, heard: Heard, acknowledged: bool, silenced: bool) -> None:
    entry = LedgerEntry(incident(state), heard, told_at=99.0 if heard is Heard.TOLD else None)
    reason = ask(entry, silenced=silenced, acknowledged=acknowledged)
    if state is State.RESOLVED:  # whoever was told is told the end, whatever suppresses it
        assert reason is (Reason.NEVER_TOLD if heard is Heard.UNTOLD else Reason.RESOLVED)
    elif state is State.PENDING:
        assert reason is Reason.NOT_FIRING
    elif silenced:
        assert reason is Reason.SILENCED
    elif heard is not Heard.TOLD:
        assert reason is Reason.FIRED
    else:
        assert reason is (Reason.ACKNOWLEDGED if acknowledged else Reason.ALREADY_TOLD)


@pytest.mark.parametrize(
    ("repeat", "now", "reason"),
    [(60, 159, Reason.ALREADY_TOLD), (60, 160, Reason.REPEAT_DUE), (0, 1e9, Reason.ALREADY_TOLD)],
)
def test_repeats_are_due_after_their_interval(repeat: float, now: float, reason: Reason) -> None:
    assert ask(LedgerEntry(incident(State.FIRING), Heard.TOLD, told_at=100.0), repeat=repeat, now=now) is reason


def test_the_life_of_an_incident_that_is_delivered() -> None:
    entry = follow(None, incident(State.FIRING))
    entry = attempting(entry, FIRING)
    assert entry.heard is Heard.IN_DOUBT
    entry = accepted(entry, FIRING, 10.0)
    assert (entry.heard, entry.told_at, entry.owes) == (Heard.TOLD, 10.0, True)
    entry = follow(entry, incident(State.RESOLVED))
    assert ask(entry) is Reason.RESOLVED
    entry = accepted(attempting(entry, RESOLVED), RESOLVED, 20.0)
    assert (ask(entry), entry.owes) == (Reason.ALREADY_TOLD, False)


def test_a_certain_failure_leaves_the_channel_untold() -> None:
    entry = failed(attempting(LedgerEntry(incident(State.FIRING)), FIRING), FIRING, in_doubt=False)
    assert entry.heard is Heard.UNTOLD
    assert ask(follow(entry, incident(State.RESOLVED))) is Reason.NEVER_TOLD


def test_a_doubtful_failure_is_told_the_end() -> None:
    entry = failed(attempting(LedgerEntry(incident(State.FIRING)), FIRING), FIRING, in_doubt=True)
    assert ask(follow(entry, incident(State.RESOLVED))) is Reason.RESOLVED


def test_a_failed_repeat_takes_nothing_back() -> None:
    told = LedgerEntry(incident(State.FIRING), Heard.TOLD, told_at=5.0)
    assert failed(attempting(told, REPEAT), REPEAT, in_doubt=False) == told


def test_what_was_given_up_is_not_tried_again() -> None:
    entry = given_up(LedgerEntry(incident(State.FIRING)), FIRING, 10.0)
    assert ask(entry) is Reason.UNDELIVERABLE
    told = LedgerEntry(incident(State.RESOLVED), Heard.TOLD)
    assert ask(given_up(told, RESOLVED, 10.0)) is Reason.UNDELIVERABLE
    repeated = given_up(LedgerEntry(incident(State.FIRING), Heard.TOLD, told_at=0.0), REPEAT, 100.0)
    assert (ask(repeated, now=159), ask(repeated, now=160)) == (Reason.ALREADY_TOLD, Reason.REPEAT_DUE)


@pytest.mark.parametrize(("heard", "over"), list(itertools.product(Heard, [False, True])))
def test_a_new_incident_waits_until_the_end_of_the_old_one_was_heard(heard: Heard, over: bool) -> None:
    old = LedgerEntry(incident(State.RESOLVED), heard, over=over)
    entry = follow(old, incident(State.FIRING, number=2))
    waits = heard is not Heard.UNTOLD and not over
    assert entry.about.number == (1 if waits else 2)
    assert ask(entry) is (Reason.RESOLVED if waits else Reason.FIRED)


def test_following_the_same_incident_keeps_what_was_heard() -> None:
    entry = LedgerEntry(incident(State.FIRING), Heard.TOLD, told_at=5.0)
    newer = replace(incident(State.RECOVERING), value=3.0)
    assert follow(entry, newer) == replace(entry, about=newer)


def test_only_three_reasons_tell() -> None:
    assert {reason for reason in Reason if reason.tells} == {Reason.FIRED, Reason.REPEAT_DUE, Reason.RESOLVED}
