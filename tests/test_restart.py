"""A restart: what was there before is there again, and nothing resolves or fires because the process began anew."""

import asyncio

import pytest

from kailash_monitor.alerting.route import Route
from kailash_monitor.delivery.outcome import Outcome, Rejected, Retry
from kailash_monitor.engine import AlertManager
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.notice import Notice
from kailash_monitor.rules import AlertRule
from kailash_monitor.storage import Change, Kind, MemoryStore
from kailash_monitor.testing import Attempt, RecordingChannel, Simulator

BOTH = pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])


def busy(**changes: object) -> AlertRule:
    given = {"condition": "> 5", "notification_interval": 0, **changes}
    return AlertRule("busy", "Too much waits", "warning", "queue", **given)  # type: ignore[arg-type]


@BOTH
def test_what_fires_goes_on_firing_and_is_resolved_once(killed: bool) -> None:
    sim = Simulator(busy(), with_store=True)
    sim.set("queue", 9)
    sim.advance("1m")
    sim.restart(down="10m", killed=killed)
    sim.advance("5m")
    assert sim.told() == ["firing"]
    (alert,) = sim.manager.get_active_alerts()
    assert (alert.id, alert.incident, alert.value) == ("busy_app", 1, 9.0)
    sim.set("queue", 1)
    sim.advance("1m")
    assert sim.told() == ["firing", "resolved"]
    assert sim.notices()[1].alert.fired_at == sim.notices()[0].alert.fired_at


@BOTH
def test_an_end_during_the_downtime_is_told_after_it(killed: bool) -> None:
    sim = Simulator(busy(), with_store=True)
    sim.set("queue", 9)
    sim.advance("1m")
    sim.restart(down="10m", killed=killed)
    sim.set("queue", 1)
    sim.advance("1m")
    assert sim.told() == ["firing", "resolved"]


@BOTH
def test_a_hold_does_not_count_the_downtime_and_keeps_what_it_had(killed: bool) -> None:
    sim = Simulator(busy(hold="5m"), with_store=True)
    sim.set("queue", 9)
    sim.advance("3m")
    if killed:
        sim.manager.core.keep_all()  # as each minute
        sim._keep()
    sim.restart(down="1h", killed=killed)
    sim.set("queue", 9)
    sim.advance("110s")
    assert sim.told() == []
    sim.advance("30s")
    assert sim.told() == ["firing"]


def test_a_restored_gauge_that_nobody_has_set_yet_resolves_nothing_whatever_missing_means() -> None:
    for no_data in ("keep", "ok", "alert"):
        sim = Simulator(busy(no_data=no_data), with_store=True)
        sim.set("queue", 9)
        sim.advance("1m")
        sim.set("queue", 1)  # the checkpoint has it, the judgement has not
        sim.set("queue", 9)
        sim.restart(down="1m")
        sim.advance("30m")
        assert sim.told() == ["firing"], no_data
        assert [alert.id for alert in sim.manager.get_active_alerts()] == ["busy_app"]


def test_a_counter_whose_window_the_downtime_cut_does_not_resolve_before_it_is_covered_again() -> None:
    sim = Simulator(busy(condition="increase > 5", time_window="5m"), with_store=True)
    sim.inc("queue", 9)
    sim.advance("10s")
    assert sim.told() == ["firing"]
    sim.restart(down="1m")
    sim.inc("queue", 0)
    sim.advance("4m")
    assert sim.told() == ["firing"]
    sim.advance("2m")
    assert sim.told() == ["firing", "resolved"]


def test_a_counter_proves_more_than_by_what_it_counted_before_the_restart() -> None:
    sim = Simulator(busy(condition="increase > 5", time_window="5m"), with_store=True)
    sim.inc("queue", 4)
    sim.advance("10s")
    sim.restart(down="1m")
    sim.inc("queue", 3)
    sim.advance("10s")
    assert sim.told() == ["firing"]


@BOTH
def test_an_attempt_that_was_under_way_is_repeated_with_the_same_id_and_content(killed: bool) -> None:
    sim = Simulator(busy(), with_store=True, takes={"ops": 5.0})
    sim.set("queue", 9)
    sim.advance("1s")
    sim.restart(down="1m", killed=killed)
    sim.set("queue", 20)
    sim.advance("1m")
    (notice,) = sim.notices()
    assert (notice.id, notice.alert.value) == ("id-1", 9.0)
    sim.set("queue", 1)
    sim.advance("1m")
    assert sim.told() == ["firing", "resolved"]


def test_what_a_channel_could_not_take_is_told_after_the_restart_as_what_is_true_then() -> None:
    down = True

    def answer(_: Notice) -> Outcome | None:
        return Retry("down") if down else None

    sim = Simulator(busy(), channels=[RecordingChannel("ops", answer)], with_store=True)
    for length in (9, 1, 9, 1):
        sim.set("queue", length)
        sim.advance("1m")
    sim.restart(down="1m", killed=True)
    down = False
    sim.set("queue", 1)
    sim.advance("2m")
    (notice,) = sim.notices()
    assert (notice.kind.value, notice.extra["missed"]) == ("missed", 2)


@BOTH
def test_silences_and_acknowledgements_are_there_again(killed: bool) -> None:
    sim = Simulator(busy(notification_interval="5m"), with_store=True)
    sim.manager.silence(alertname="other", duration="2h", author="ann", reason="why")
    sim.set("queue", 9)
    sim.advance("1m")
    sim.manager.acknowledge_alert("busy_app", author="bob")
    sim.run()
    sim._keep()
    sim.restart(down="10m", killed=killed)
    sim.set("queue", 9)
    sim.advance("30m")
    assert sim.told() == ["firing"]
    (silence,) = sim.manager.silences()
    assert (silence.matchers, silence.author, silence.reason, silence.state.value) == (
        'alertname="other"', "ann", "why", "active",
    )  # fmt: skip
    explanation = sim.manager.explain("busy_app")
    assert explanation is not None
    assert explanation.acknowledged_by == "bob"


def test_a_rule_that_did_not_come_back_ends_its_alerts_after_a_minute() -> None:
    sim = Simulator(busy(), with_store=True)
    sim.set("queue", 9)
    sim.advance("1m")
    sim.manager.core.rulebook.rules.clear()  # as a program whose source was edited
    sim.restart(down="1m")
    other = AlertRule("other", "", "info", "else", "> 5")
    sim.manager.add_rule(other)
    sim.advance("30s")
    assert sim.told() == ["firing"]
    sim.advance("2m")
    assert sim.told() == ["firing", "resolved"]
    assert sim.notices()[1].extra["reason"] == "rule_removed"


def test_what_nobody_could_judge_for_a_day_is_closed_and_says_so() -> None:
    sim = Simulator(busy(), with_store=True)
    sim.set("queue", 9)
    sim.advance("1m")
    sim.restart(down="25h")
    sim.advance("1s")
    assert sim.told() == ["firing", "resolved"]
    assert sim.notices()[1].extra["reason"] == "stale_store"


def test_a_dead_letter_survives_and_resending_it_tells_the_present_truth() -> None:
    refuses = True

    def answer(_: Notice) -> Outcome | None:
        return Rejected("HTTP 400") if refuses else None

    sim = Simulator(busy(), channels=[RecordingChannel("ops", answer)], with_store=True)
    sim.set("queue", 9)
    sim.advance("1m")
    sim.restart(down="1m", killed=True)
    (letter,) = sim.manager.dead_letters()
    assert (letter.channel, letter.why, letter.notice.alert.value) == ("ops", "HTTP 400", 9.0)
    refuses = False
    sim.set("queue", 11)
    sim.advance("1m")
    assert sim.told() == []
    sim.manager.resend(letter.id)
    sim.advance("1s")
    assert [(notice.kind.value, notice.alert.value) for notice in sim.notices()] == [("firing", 11.0)]
    assert sim.manager.dead_letters() == []


@pytest.mark.real_time
async def test_what_people_say_is_in_the_store_once_it_was_awaited() -> None:
    """Also from another thread's loop, and before it is considered."""
    store = MemoryStore()
    manager = AlertManager(MetricsRegistry(), store=store)
    manager.add_rule(busy(evaluation_interval="50ms"))
    manager.metrics_registry.collector("app").set_gauge("queue", 9)
    async with manager:
        while not manager.get_active_alerts():
            await asyncio.sleep(0.01)
        silence_id = await manager.silence_alert("other", "1h")
        assert [key for key, _ in store.load(Kind.SILENCE)] == [silence_id]
        assert await asyncio.to_thread(lambda: asyncio.run(_acknowledge(manager)))
        ((_, document),) = store.load(Kind.ALERT)
        assert '"ann"' in str(document)
    assert await manager.silence_alert("another", "1h")  # where it does not run, it is kept by the next start


async def _acknowledge(manager: AlertManager) -> bool:
    return await manager.acknowledge_alert("busy_app", author="ann")


@BOTH
def test_a_group_keeps_its_pace_and_what_fires_in_it(killed: bool) -> None:
    """The end of one of two waits for the group's interval as it would have; the end of all does not wait."""
    route = Route(channels=["ops"], group_by=["alertname"], wait="10s", interval="5m")
    sim = Simulator(busy(group_by=["host"]), routes=route, with_store=True)
    for host in "ab":
        sim.set("queue", 9, {"host": host})
    sim.advance("30s")
    assert sim.told() == ["digest"]
    sim.restart(down="1s", killed=killed)
    for host, length in (("a", 1), ("b", 9)):
        sim.set("queue", length, {"host": host})
    sim.advance("3m")
    assert sim.told() == ["digest"]
    sim.advance("3m")
    assert sim.told() == ["digest", "resolved"]
    sim.restart(down="1s", killed=killed)
    for host in "ab":
        sim.set("queue", 1, {"host": host})
    sim.advance("30s")
    assert sim.told() == ["digest", "resolved", "resolved"]


@BOTH
def test_when_a_message_that_failed_is_tried_again_survives(killed: bool) -> None:
    answer = Retry("HTTP 429", after=3600.0)
    sim = Simulator(busy(), channels=[RecordingChannel("ops", lambda _: answer)], with_store=True)
    sim.set("queue", 9)
    sim.advance("1m")
    (before,) = sim.manager.outbox()
    sim.restart(down="1m", killed=killed)
    sim.set("queue", 9)
    sim.advance("1m")
    (after,) = sim.manager.outbox()
    assert (after.due, after.attempts) == (before.due, 1)
    assert sum(1 for entry in sim.timeline if isinstance(entry, Attempt)) == 1


def test_what_is_left_of_a_digest_can_be_read_again_and_again() -> None:
    """Two restarts, the record of one of its alerts gone: the others are told as they were."""
    sim = Simulator(busy(group_by=["host"]), routes=Route(group_by=["alertname"]), with_store=True, takes={"ops": 10.0})
    for host in "abc":
        sim.collector().set_gauge("queue", 9, {"host": host})
    sim.advance("1s")
    sim._store.commit([Change(Kind.ALERT, 'busy_app{host="a"}', None)])
    for _ in range(2):
        sim.restart(killed=True)
        for host in "abc":
            sim.collector().set_gauge("queue", 9, {"host": host})
        sim.advance("1s")
    sim.advance("1m")
    told = [alert for notice in sim.notices() for alert in [item.alert.id for item in notice.items] or [notice.alert.id]]
    assert set(told) == {f'busy_app{{host="{host}"}}' for host in "abc"}
    assert len({notice.id for notice in sim.notices() if notice.items}) == 1


def test_in_a_digest_too_what_was_missed_has_its_count_and_times() -> None:
    down = True

    def answer(_: Notice) -> Outcome | None:
        return Retry("down") if down else None

    routes = Route(group_by=["alertname"])
    sim = Simulator(busy(group_by=["host"]), channels=[RecordingChannel("ops", answer)], routes=routes)
    for length in (9, 1, 9, 1):
        for host in "ab":
            sim.set("queue", length, {"host": host})
        sim.advance("1m")
    down = False
    sim.advance("2m")
    (notice,) = sim.notices()
    assert [(item.kind.value, item.extra["missed"]) for item in notice.items] == [("missed", 2)] * 2
