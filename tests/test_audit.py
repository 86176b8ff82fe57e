"""The audit: what was decided, in the order in which it was."""

from kailash_monitor.alerting.audit import KEPT, Audit, Decision, Entry, Remark
from kailash_monitor.model.reason import Reason


def remark(number: int) -> Remark:
    return Remark(float(number), "r_c", f"remark {number}")


def test_entries_stand_in_the_order_in_which_they_were_added() -> None:
    audit = Audit()
    entries: list[Entry] = [remark(1), Decision(2.0, "r_c", 1, "ops", Reason.FIRED, "m1"), remark(3)]
    for entry in entries:
        audit.add(entry)
    assert (list(audit), len(audit), audit.dropped) == (entries, 3, 0)


def test_the_oldest_entries_make_room_and_are_counted() -> None:
    audit = Audit(kept=3)
    for number in range(5):
        audit.add(remark(number))
    assert list(audit) == [remark(2), remark(3), remark(4)]
    assert (len(audit), audit.dropped) == (3, 2)


def test_it_is_bounded_unless_told_otherwise() -> None:
    audit = Audit()
    for number in range(KEPT + 1):
        audit.add(remark(number))
    assert (len(audit), audit.dropped) == (KEPT, 1)


def test_entries_may_be_added_while_it_is_read() -> None:
    audit = Audit(kept=2)
    audit.add(remark(0))
    audit.add(remark(1))
    for entry in audit:
        audit.add(entry)
    assert (list(audit), audit.dropped) == ([remark(0), remark(1)], 2)


def test_every_listener_hears_every_entry_from_then_on() -> None:
    audit, first, second = Audit(kept=1), list[Entry](), list[Entry]()
    audit.add(remark(0))
    audit.listen(first.append)
    audit.add(remark(1))
    audit.listen(second.append)
    audit.add(remark(2))
    assert (first, second) == ([remark(1), remark(2)], [remark(2)])


def test_a_decision_without_a_message_says_so() -> None:
    decision = Decision(1.0, "r_c", 3, "ops", Reason.SILENCED)
    assert decision.message_id is None
    assert not decision.reason.tells
