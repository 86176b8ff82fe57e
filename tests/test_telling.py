"""Telling: each time something was not told, not in time, too often, or the program span for it, as a fact that holds now."""

import asyncio
import math
from itertools import islice

import pytest

from kailash_monitor.alerting.route import Route
from kailash_monitor.delivery.outcome import Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.engine import AlertManager
from kailash_monitor.engine.outbox import MORE
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.notice import Notice
from kailash_monitor.rules import AlertRule
from kailash_monitor.storage import MemoryStore
from kailash_monitor.testing import Attempt, RecordingChannel, Simulator, VirtualClock
from kailash_monitor.testing.clocks import EPOCH

DOWN = Retry("HTTP 503")

BOTH = pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])

SPUN = 1_000
"""Steps of work without time passing: hundreds of times what one alert takes."""


class Switch(RecordingChannel):
    """Takes everything until it is told what else to answer."""

    def __init__(self, name: str) -> None:
        super().__init__(name, lambda _: self.says)
        self.says: Outcome | None = None


def busy(**changes: object) -> AlertRule:
    given = {"condition": "> 5", "notification_interval": 0, **changes}
    return AlertRule("busy", "Too much waits", "warning", "queue", **given)  # type: ignore[arg-type]


def levels() -> AlertRule:
    limits = {"warning": 5.0, "critical": 50.0}
    return AlertRule("busy", "", metric_name="queue", condition=">", levels=limits, notification_interval=0)


def fire(sim: Simulator, *hosts: object, length: float = 9, **labels: str) -> None:
    """Set the queues of all these hosts, and let nothing happen yet."""
    for host in hosts:
        sim.collector().set_gauge("queue", length, {"host": str(host), **labels})


def kinds(channel: RecordingChannel, rule: str = "busy") -> list[str]:
    return [notice.kind.value for notice in channel.notices if notice.alert.rule_name == rule]


def told_at(channel: RecordingChannel) -> list[tuple[float, str]]:
    """When it was told what, in seconds since the beginning."""
    return [(round(notice.sent_at - EPOCH, 2), notice.kind.value) for notice in channel.notices]


def attempts(sim: Simulator, channel: str = "ops") -> list[tuple[float, str]]:
    """When a channel was tried, and what came of it."""
    return [(entry.at, entry.outcome) for entry in sim.timeline if isinstance(entry, Attempt) and entry.channel == channel]


def named(notice: Notice) -> list[tuple[str, str]]:
    """What a message tells of, as kinds and alert ids."""
    return [(item.kind.value, item.alert.id) for item in notice.items] or [(notice.kind.value, notice.alert.id)]


def hosts_told(channel: RecordingChannel) -> list[str]:
    return [alert.split('"')[1] for notice in channel.notices for _, alert in named(notice)]


def active(sim: Simulator) -> list[str]:
    return [alert.id for alert in sim.manager.get_active_alerts()]


def work(sim: Simulator) -> None:
    """Consider all that is due, and attempt nothing; fails where that does not end."""
    assert sum(1 for _ in islice(sim.manager.core.work(), SPUN)) < SPUN


# -- a channel that forgets: what fires is told again ------------------------------------------------------------------


def forgetful(name: str = "am") -> Switch:
    channel = Switch(name)
    channel.resend_every = 60.0
    return channel


def test_what_became_graver_while_silenced_is_kept_alive_and_not_considered_without_end() -> None:
    """A program that spins considers nothing else, and tells nobody anything."""
    memory = forgetful()
    sim = Simulator(levels(), channels=[memory])
    sim.set("queue", 9)
    sim.advance("1s")
    sim.manager.silence_alert("busy_app", "1h")
    sim.set("queue", 99)
    sim.advance("58s")
    sim.clock.time += 1
    work(sim)
    sim.advance("4m")
    assert told_at(memory) == [(0.0, "firing"), *[(60.0 * minute, "repeat") for minute in range(1, 6)]]


def test_where_no_route_leads_any_more_and_the_end_was_refused_nothing_is_considered_without_end() -> None:
    memory = forgetful()
    sim = Simulator(busy(), channels=[memory, "ops"])
    sim.set("queue", 9)
    sim.advance("1s")
    memory.says = Rejected("HTTP 400")
    sim.manager.set_routes(Route(channels=["ops"]))
    sim.advance("58s")
    sim.clock.time += 1
    work(sim)
    sim.advance("5m")
    assert attempts(sim, "am") == [(0.0, "delivered"), (1.0, "HTTP 400")]


def test_what_is_kept_alive_does_not_wait_for_the_interval_of_its_group() -> None:
    """It would be forgotten, and so resolved on the other side, before the interval is over."""
    memory = forgetful()
    sim = Simulator(busy(), channels=[memory], routes=Route(channels=["am"], wait="10s", interval="5m"))
    sim.set("queue", 9)
    sim.advance("6m")
    assert [at for at, _ in told_at(memory)] == [10.0, 70.0, 130.0, 190.0, 250.0, 310.0]


# -- storms ------------------------------------------------------------------------------------------------------------


def test_a_storm_that_takes_a_group_while_its_message_is_put_together_leaves_the_group_able_to_tell() -> None:
    """What was asked about is told with the storm; asked about once more, whoever joins the group later waits for ever."""
    channel = RecordingChannel("ops")
    sim = Simulator(busy(group_by=["host", "region"]), channels=[])
    sim.add_channel(channel, rate=(1.0, 1))
    sim.manager.set_routes(Route(channels=["ops"], group_by=["region"], interval="0s"))
    fire(sim, "first", region="eu")
    sim.advance("10s")
    fire(sim, *range(100), region="eu")
    sim.clock.time += 10
    work(sim)
    assert sim.manager.core.outbox.begin_next("ops", sim.clock.time) is MORE  # a pause: more than a piece of them
    for region in ("us", "ap", "af"):
        fire(sim, "other", region=region)
    sim.clock.time += 10
    work(sim)
    sim.advance("30s")
    assert sorted(hosts_told(channel)) == sorted(["first", *map(str, range(100)), *["other"] * 3])
    before = len(channel.notices)
    sim.set("queue", 9, {"host": "late", "region": "eu"})
    sim.advance("10s")
    assert [named(notice) for notice in channel.notices[before:]] == [[("firing", 'busy_app{host="late",region="eu"}')]]
    assert sim.manager.untold() == []


def test_who_joins_a_group_while_all_that_its_message_tells_of_is_silenced_is_told() -> None:
    sim = Simulator(busy(group_by=["host"]), routes=Route(channels=["ops"], group_by=["alertname"], wait="5s"))
    fire(sim, *(f"old-{number}" for number in range(100)))
    work(sim)
    sim.clock.time += 5
    assert sim.manager.core.outbox.begin_next("ops", sim.clock.time) is MORE  # a pause: more than a piece of them
    sim.manager.silence('host=~"old-.*"', duration="1h")
    fire(sim, "late")
    sim.clock.time += 10
    work(sim)
    sim.advance("1m")
    assert [named(notice) for notice in sim.notices()] == [[("firing", 'busy_app{host="late"}')]]
    assert sim.manager.untold() == []


@pytest.mark.long
def test_a_digest_of_a_storm_that_fails_is_one_message_with_one_id_until_it_is_given_up() -> None:
    """Born anew at each attempt, it would have no backoff, never be a dead letter, and be heard twice where it is in doubt."""
    switch = Switch("ops")
    sim = Simulator(busy(group_by=["host"], evaluation_interval="1h"), channels=[], luck=1.0)
    sim.add_channel(switch, rate=(1.0, 5))
    switch.says = DOWN
    fire(sim, *range(30))
    sim.advance("4s")
    assert [at for at, _ in attempts(sim)] == [0.0, 0.5, 1.5, 3.5]
    sim.advance("25h")
    assert {notice.id for notice in switch.attempts} == {"id-1"}
    (letter,) = sim.manager.dead_letters()
    assert (letter.notice.id, len(letter.notice.items), letter.why) == ("id-1", 30, "HTTP 503, for a day")


def test_alerts_that_join_a_storm_do_not_cut_the_backoff_of_its_digest_short() -> None:
    switch = Switch("ops")
    sim = Simulator(busy(group_by=["host"], evaluation_interval="1s"), channels=[], luck=1.0)
    sim.add_channel(switch, rate=(0.5, 1))
    switch.says = Retry("no answer", in_doubt=True)
    fire(sim, *range(20))
    for number in range(5):
        fire(sim, f"{number}-a", f"{number}-b")
        sim.advance("2s")
    assert [at for at, _ in attempts(sim)] == [0.0, 2.0, 4.0, 6.0, 10.0]  # a message in two seconds, then 4 s of backoff
    assert {notice.id for notice in switch.attempts} == {"id-1"}


def test_one_alert_that_a_channel_refuses_does_not_take_its_digest_with_it() -> None:
    """Nobody would hear of the other twenty-nine."""

    def answer(notice: Notice) -> Outcome | None:
        return Rejected("HTTP 400") if ("firing", 'busy_app{host="13"}') in named(notice) else None

    channel = RecordingChannel("ops", answer)
    sim = Simulator(busy(group_by=["host"]), channels=[])
    sim.add_channel(channel, rate=(1.0, 5))
    fire(sim, *range(30))
    sim.advance("1m")
    assert sorted(hosts_told(channel)) == sorted(str(host) for host in range(30) if host != 13)
    assert [named(letter.notice) for letter in sim.manager.dead_letters()] == [[("firing", 'busy_app{host="13"}')]]


# -- dead letters ------------------------------------------------------------------------------------------------------


def test_a_letter_can_be_resent_though_its_alert_is_long_over() -> None:
    """The alert is not forgotten as long as there is a letter about it, or resending would lose it without a word."""
    switch = Switch("ops")
    sim = Simulator(busy(), channels=[switch])
    sim.set("queue", 9)
    sim.advance("1m")
    switch.says = Unauthorised("HTTP 401")
    sim.set("queue", 1)
    sim.advance("20m")
    (letter,) = sim.manager.dead_letters()
    switch.says = None
    sim.manager.resend(letter.id)
    sim.advance("1s")
    assert kinds(switch) == ["firing", "resolved"]
    assert sim.manager.dead_letters() == []


def test_a_resent_letter_is_told_though_the_program_is_killed_before_it_could() -> None:
    """The letter is gone from the store; that the alert is to be told again has to be in it."""
    switch = Switch("ops")
    sim = Simulator(busy(), channels=[switch], with_store=True)
    switch.says = Rejected("HTTP 400")
    sim.set("queue", 9)
    sim.advance("1m")
    (letter,) = sim.manager.dead_letters()
    switch.says = None
    sim.manager.resend(letter.id)
    sim._keep()  # what awaiting it waits for
    sim.restart(killed=True)
    sim.set("queue", 9)
    sim.advance("1m")
    assert sim.manager.dead_letters() == []
    assert kinds(switch) == ["firing"]


@pytest.mark.untraced
def test_a_message_is_given_up_after_a_day_however_often_the_program_began_anew_in_it() -> None:
    switch = Switch("ops")
    sim = Simulator(busy(), channels=[switch], with_store=True)
    switch.says = DOWN
    sim.set("queue", 9)
    for _ in range(25):
        sim.advance("1h")
        sim.restart(down="1s")
        sim.set("queue", 9)
    assert [letter.why for letter in sim.manager.dead_letters()] == ["HTTP 503, for a day"]


# -- channels that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "noted"), [(DOWN, 60.0), (Unauthorised("HTTP 401"), 0.0)], ids=["fails", "refuses"])
async def test_that_a_channel_fails_is_noted_in_time_though_no_rule_is_due(
    answer: Outcome, noted: float, clock: VirtualClock, registry: MetricsRegistry
) -> None:
    """The scheduler sleeps until its next rule, which may be half a day: its fallback and people are told all the same."""
    heard: list[tuple[float, str]] = []
    mail = RecordingChannel("mail", lambda notice: heard.append((round(clock.now(), 3), notice.alert.rule_name)))
    manager = AlertManager(registry)
    manager.add_notification_channel(RecordingChannel("pager", lambda _: answer), fallback="mail", fallback_after="1m")
    manager.add_notification_channel(mail)
    own = Route(match={"alertname": "channel_failing"}, channels=["mail"])
    manager.set_routes(Route(channels=["pager"], routes=[own]))
    manager.add_rule(busy(evaluation_interval="12h"))
    registry.collector("app").set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(120)
    assert sorted(heard) == [(noted, "busy"), (noted, "channel_failing")]


def test_one_attempt_that_failed_and_then_nothing_to_tell_does_not_make_a_channel_fail_for_ever() -> None:
    """Nobody would ever know otherwise: its fallback would be told of all, and people be woken by its alert."""
    pager, mail = Switch("pager"), Switch("mail")
    sim = Simulator(busy(), channels=[])
    sim.add_channel(pager, fallback="mail")
    sim.add_channel(mail)
    pager.says = DOWN
    sim.manager.set_routes(
        Route(channels=["pager"], routes=[Route(match={"alertname": "channel_failing"}, channels=["mail"])])
    )
    sim.set("queue", 9)
    sim.manager.silence_alert("busy_app", "1h")
    sim.advance("30m")
    assert attempts(sim, "pager") == [(0.0, "HTTP 503")]
    assert mail.told() == []
    assert [(status.name, status.state) for status in sim.manager.channel_status()] == [("pager", "ok"), ("mail", "ok")]
    assert sim.registry.self_metrics.channels_up.labels("pager").value == 1.0


def test_a_resent_letter_shows_that_a_channel_that_refused_is_well_again() -> None:
    """Also when all it was ever to be told is over: its own alert would go on for ever."""
    pager = Switch("pager")
    sim = Simulator(busy(), channels=[pager, "mail"])
    pager.says = Unauthorised("HTTP 401")
    sim.set("queue", 9)
    sim.advance("1s")
    sim.set("queue", 1)
    sim.advance("1h")
    assert active(sim) == ['channel_failing_monitor{channel="pager"}']
    pager.says = None
    (letter,) = sim.manager.dead_letters()
    sim.manager.resend(letter.id)
    sim.advance("1m")
    assert kinds(pager) == ["missed"]
    assert active(sim) == []


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("after", "again"), [(math.nan, 0.25), (-5.0, 0.25), (math.inf, 86_400.0), (1e9, 86_400.0)], ids=str
)
def test_what_retry_after_asks_for_is_a_day_at_most_and_nonsense_is_passed_over(after: float, again: float) -> None:
    """Else one header would silence a channel for years, or have it tried without a pause."""
    switch = Switch("ops")
    sim = Simulator(busy(), channels=[switch])
    switch.says = Retry("HTTP 429", after=after)
    sim.set("queue", 9)
    assert attempts(sim) == [(0.0, "HTTP 429")]
    switch.says = None
    sim.advance("25h")
    assert attempts(sim) == [(0.0, "HTTP 429"), (again, "delivered")]


def test_retry_after_survives_a_success_that_began_before_it() -> None:
    answers = iter([Retry("HTTP 429", after=60.0)])
    channel = RecordingChannel("ops", lambda _: next(answers, None))
    sim = Simulator(busy(group_by=["host"]), channels=[channel], takes={"ops": 1.0})
    fire(sim, "a", "b")  # two at once: one is told to wait, and the other is taken after that
    sim.advance("2s")
    sim.set("queue", 9, {"host": "c"})
    sim.advance("58s")
    assert attempts(sim) == [(1.0, "HTTP 429"), (1.0, "delivered")]
    sim.advance("10s")
    assert attempts(sim)[2:] == [(62.0, "delivered"), (62.0, "delivered")]


# -- after a restart ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (busy(group_by=["host"]), busy()),
        (busy(), busy(enabled=False)),
        (busy(), busy(collector="other")),
        (busy(), AlertRule("other", "", "info", "else", "> 5", evaluation_interval="6h")),
        (busy(), None),
    ],
    ids=["group_by dropped", "disabled", "another collector", "only a slow rule", "no rule"],
)
def test_what_no_rule_can_have_any_more_after_a_restart_ends_after_a_minute(old: AlertRule, new: AlertRule | None) -> None:
    """As at once where a rule is replaced while the program runs; else it would fire until somebody throws the store away."""
    sim = Simulator(old, with_store=True)
    sim.set("queue", 9, {"host": "a"} if old.group_by else None)
    sim.advance("1m")
    sim.manager.core.rulebook.rules.clear()  # as a program whose source was edited
    sim.restart(down="1m")
    if new is not None:
        sim.manager.add_rule(new)
    sim.advance("59s")
    assert sim.told() == ["firing"]
    sim.advance("1s")
    assert sim.told() == ["firing", "resolved"]
    assert sim.notices()[1].extra["reason"] == "rule_removed"
    assert active(sim) == []


def test_an_attempt_in_doubt_is_repeated_soon_though_the_wall_clock_was_set_back_between_two_runs() -> None:
    """What is in the store is from the future then: nothing waits until the clock has come so far again."""
    switch = Switch("ops")
    sim = Simulator(busy(), channels=[switch], with_store=True)
    switch.says = Retry("no answer", in_doubt=True)
    sim.set("queue", 9)
    sim.advance("1m")
    switch.says = None
    sim.clock.set_wall(sim.clock.wall() - 7_200)
    sim.restart(down="1s", killed=True)
    sim.set("queue", 1)
    sim.advance("5m")
    assert kinds(switch) == ["firing", "resolved"]
    assert switch.notices[0].id == switch.attempts[0].id


def test_a_group_keeps_its_interval_though_the_wall_clock_was_set_back_between_two_runs() -> None:
    route = Route(channels=["ops"], group_by=["alertname"], wait="10s", interval="1m")
    sim = Simulator(busy(group_by=["host"]), routes=route, with_store=True)
    fire(sim, "a", "b")
    sim.advance("30s")
    sim.clock.set_wall(sim.clock.wall() - 7_200)
    sim.restart(down="1s", killed=True)
    fire(sim, "a", "b", "c")
    sim.advance("2m")
    assert [[alert for _, alert in named(notice)] for notice in sim.notices()] == [
        ['busy_app{host="a"}', 'busy_app{host="b"}'],
        ['busy_app{host="c"}'],
    ]


@BOTH
def test_a_silence_keeps_its_time_though_the_wall_clock_was_set_forward_while_it_ran(killed: bool) -> None:
    """As a machine without a battery does after it began: what is in the store are times of the wall clock."""
    sim = Simulator(busy(), with_store=True)
    sim.manager.silence(alertname="busy", duration="1h")
    sim.set("queue", 9)
    sim.advance("1m")
    sim.clock.set_wall(sim.clock.wall() + 7_200)
    sim.advance("1m")
    sim.restart(down="1s", killed=killed)
    sim.set("queue", 9)
    sim.advance("1m")
    assert sim.told() == []
    assert [silence.state.value for silence in sim.manager.silences()] == ["active"]
    sim.advance("57m")
    assert sim.told() == ["firing"]


async def test_a_channel_added_some_seconds_after_a_restart_hears_the_end_it_is_owed(clock: VirtualClock) -> None:
    """However long the manager was there before it began to work: what was heard is kept for a minute from then."""
    store, late = MemoryStore(), Switch("late")

    def program(length: float) -> AlertManager:
        registry = MetricsRegistry(clock=clock)
        registry.collector("app").set_gauge("queue", length)
        manager = AlertManager(registry, store=store)
        manager.add_notification_channel(RecordingChannel("ops"))
        manager.add_rule(busy())
        return manager

    first = program(9)
    first.add_notification_channel(late)
    async with first:
        await asyncio.sleep(60)
        late.says = DOWN
        first.metrics_registry.collector("app").set_gauge("queue", 1)
        await asyncio.sleep(10)
    late.says = None
    second = program(1)
    await asyncio.sleep(90)
    async with second:
        await asyncio.sleep(5)
        second.add_notification_channel(late)
        await asyncio.sleep(120)
    assert kinds(late) == ["firing", "resolved"]


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_a_group_of_a_channel_added_some_seconds_after_a_restart_knows_what_fires_in_it(late: bool) -> None:
    """Or the end of one of two would be taken for the end of all, which does not wait for the interval."""
    channel = RecordingChannel("late")
    route = Route(group_by=["alertname"], wait="10s", interval="5m")
    sim = Simulator(busy(group_by=["host"]), channels=[channel], routes=route, with_store=True)
    fire(sim, "a", "b")
    sim.advance("30s")
    if late:
        del sim.channels["late"]
    sim.restart(down="1s")
    fire(sim, "a", "b")
    sim.advance("5s")
    if late:
        sim.add_channel(channel)
    sim.advance("5s")
    sim.set("queue", 1, {"host": "a"})
    sim.advance("5m")
    assert told_at(channel) == [(10.0, "digest"), (310.0, "resolved")]


def test_an_alert_is_explained_though_a_channel_that_was_told_of_it_did_not_come_back() -> None:
    sim = Simulator(busy(), channels=["ops", "gone"], with_store=True)
    sim.set("queue", 9)
    sim.advance("1m")
    del sim.channels["gone"]
    sim.restart(down="1s")
    sim.set("queue", 9)
    sim.advance("1s")
    explanation = sim.manager.explain("busy_app")
    assert explanation is not None
    assert [(story.channel, story.heard.value) for story in explanation.channels] == [("ops", "told")]
