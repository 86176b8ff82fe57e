"""Storms: more to tell than a channel may be sent is told in digests, whose counts add up."""

import pytest

from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.notice import Notice
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import RecordingChannel, Simulator

SLOW = (1.0, 5)


def named(notice: Notice) -> list[tuple[str, str]]:
    """Give what a message tells of, as kinds and alert ids."""
    if notice.items:
        return [(item.kind.value, item.alert.id) for item in notice.items]
    return [(notice.kind.value, notice.alert.id)]


def busy(interval: str = "1s") -> AlertRule:
    return AlertRule(
        "busy", "Too much waits", metric_name="queue", condition=">", levels={"warning": 5.0, "critical": 50.0},
        group_by=["host"], evaluation_interval=interval, notification_interval=0,
    )  # fmt: skip


def storm(alerts: int, seconds: int) -> tuple[Simulator, RecordingChannel]:
    """Let so many alerts begin to fire in so many seconds, one in a hundred of them critical."""
    channel = RecordingChannel("ops")
    sim = Simulator(busy(), channels=[])
    sim.add_channel(channel, rate=SLOW)
    sim.registry.get_all_collectors()["app"].max_series = alerts + 10
    sim.set("queue", 1, {"host": "calm"})
    per_second = alerts // seconds
    for second in range(seconds):
        for host in range(second * per_second, (second + 1) * per_second):
            sim.collector().set_gauge("queue", 99 if host % 100 == 7 else 9, {"host": str(host)})
        sim.advance("1s")
    return sim, channel


@pytest.mark.long
def test_ten_thousand_alerts_in_ten_seconds_are_told_in_fifteen_messages_that_name_each_once() -> None:
    sim, channel = storm(10_000, 10)
    in_time = [notice for notice in channel.notices if notice.sent_at <= sim.clock.wall()]
    assert len(in_time) <= 15
    sim.manager.replace_rule(busy("30s"))  # ten thousand groups take a while to judge
    sim.advance("15s")
    told = [one for notice in channel.notices for one in named(notice)]
    assert len(told) == len(set(told)) == 10_000
    assert {kind for kind, _ in told} == {"firing"}
    critical = {
        item.alert.id for notice in channel.notices for item in notice.items if item.alert.severity.value == "critical"
    }
    alone = {notice.alert.id for notice in channel.notices if notice.alert.severity.value == "critical" and not notice.items}
    assert len(critical | alone) == 100
    assert len(sim.manager.get_active_alerts()) == 10_000
    assert sum(1 for _ in sim.manager.core.outbox.lanes()) <= 10
    # and one closing digest, or a few, resolve them
    before = len(channel.notices)
    for host in range(10_000):
        sim.collector().set_gauge("queue", 1, {"host": str(host)})
    sim.advance("110s")
    ended = [one for notice in channel.notices[before:] for one in named(notice)]
    assert len(ended) == len(set(ended)) == 10_000
    assert {kind for kind, _ in ended} == {"resolved"}
    assert len(channel.notices) - before <= 5 + 12
    assert channel.notices[-1].alert.status is AlertStatus.RESOLVED


def test_a_burst_within_the_rate_is_told_one_by_one() -> None:
    _, channel = storm(5, 1)
    assert [notice.kind.value for notice in channel.notices] == ["firing"] * 5


def test_the_ends_of_a_storm_wait_for_each_other_a_minute_and_no_longer() -> None:
    sim, channel = storm(40, 1)
    sim.advance("10s")
    before = len(channel.notices)
    sim.set("queue", 1, {"host": "20"})
    sim.advance("5s")
    told = len(channel.notices)
    sim.advance("70s")
    ends = [one for notice in channel.notices[before:] for one in named(notice)]
    assert ends == [("resolved", 'busy_app{host="20"}')]
    assert told in (before, before + 1)  # at once where it was told alone before


def test_an_alert_of_a_storm_that_fires_again_is_told_so() -> None:
    sim, channel = storm(40, 1)
    sim.advance("10s")
    for value in (1, 9):
        sim.set("queue", value, {"host": "30"})
        sim.advance("90s")
    kinds = [kind for notice in channel.notices for kind, alert in named(notice) if alert == 'busy_app{host="30"}']
    assert kinds == ["firing", "resolved", "firing"]


@pytest.mark.untraced
@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_storm_survives_a_restart(killed: bool) -> None:
    rule = AlertRule("busy", "", "error", "queue", "> 5", group_by=["host"], notification_interval=0)
    sim = Simulator(rule, channels=[], with_store=True, takes={"ops": 0.5})
    channel = RecordingChannel("ops")
    sim.add_channel(channel, rate=SLOW)
    for host in range(300):
        sim.collector().set_gauge("queue", 9, {"host": str(host)})
    sim.advance("100ms")
    sim.restart(down="5s", killed=killed)
    for host in range(300):
        sim.collector().set_gauge("queue", 9, {"host": str(host)})
    sim.advance("1m")
    told = {one for notice in channel.notices for one in named(notice)}
    assert told == {("firing", f'busy_app{{host="{host}"}}') for host in range(300)}
    ids = [notice.id for notice in channel.attempts]
    bodies = {notice.id: named(notice) for notice in channel.attempts}
    assert all(named(notice) == bodies[notice.id] for notice in channel.attempts)
    assert len(ids) - len(set(ids)) <= 5  # those that were under way
    for host in range(300):
        sim.collector().set_gauge("queue", 1, {"host": str(host)})
    sim.advance("3m")
    ended = [one for notice in channel.notices for one in named(notice) if one[0] == "resolved"]
    assert len(ended) == len(set(ended)) == 300


def test_what_comes_and_goes_while_a_storm_waits_for_its_turn_is_counted_each_time() -> None:
    channel = RecordingChannel("ops")
    sim = Simulator(busy(), channels=[])
    sim.add_channel(channel, rate=(0.02, 1))
    for host in range(30):
        sim.collector().set_gauge("queue", 9, {"host": str(host)})
    sim.advance("70s")  # the first alone, the others in a digest
    told = len(channel.notices)
    for _ in range(3):
        for value in (1, 9):
            sim.set("queue", value, {"host": "7"})
            sim.advance("2s")
    sim.set("queue", 1, {"host": "7"})
    sim.advance("5m")
    items = [item for notice in channel.notices[told:] for item in notice.items if item.alert.id == 'busy_app{host="7"}']
    alone = [notice for notice in channel.notices[told:] if notice.alert.id == 'busy_app{host="7"}']
    said = [(one.kind.value, one.extra.get("missed")) for one in (*items, *alone)]
    assert said == [("resolved", None), ("missed", 3)]
