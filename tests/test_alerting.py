"""Scenarios of alerting, feature by feature, on the simulator: what happens, and exactly what each channel is told."""

import itertools
import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from kailash_monitor.alerting.audit import Remark
from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route
from kailash_monitor.delivery.outcome import Rejected, Retry
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.notice import Item, Notice
from kailash_monitor.rules import AlertRule, burn_rate_rules
from kailash_monitor.testing import EPOCH, Attempt, RecordingChannel, Simulator

HOURLY = 3600.0


def rule(name: str = "busy", condition: str = "> 5", **more: Any) -> AlertRule:
    """A rule over the gauge `queue`, judged every second, that tells once."""
    given: dict[str, object] = {
        "severity": None if "levels" in more else "warning",
        "metric_name": "" if "reading" in more else "queue",
        "evaluation_interval": 1,
        "notification_interval": 0,
        **more,
    }
    return AlertRule(name, "Too much waits", condition=condition, **given)  # type: ignore[arg-type]


def told(sim: Simulator, channel: str = "ops") -> list[str]:
    """Why a channel was told, message by message, with the alert where it is another than that of `busy`."""
    return [
        f"{notice.extra.get('reason', notice.kind.value)}{'' if notice.alert.id == 'busy_app' else ' ' + notice.alert.id}"
        for notice in sim.notices(channel)
    ]


def told_at(sim: Simulator, channel: str = "ops") -> list[float]:
    return [round(notice.sent_at - EPOCH, 3) for notice in sim.notices(channel)]


def items(notice: Notice) -> list[str]:
    told = notice.items or (Item(notice.kind, notice.alert),)  # one alert is told as itself
    return [f"{item.kind.value} {item.alert.labels['host']}" for item in told]


# -- levels ----------------------------------------------------------------------------------------------------------------

LEVELS: Final[dict[str, Any]] = {"levels": {"warning": 80, "critical": 95}, "clear": {"warning": 75, "critical": 90}}


def test_levels_are_told_up_and_whom_only_the_graver_one_reached_is_told_that_it_is_over_for_them() -> None:
    routes = Route(channels=["ops"], routes=[Route(match={"severity": "critical"}, channels=["ops", "pager"])])
    sim = Simulator(rule(condition=">", **LEVELS), channels=["ops", "pager"], routes=routes)
    heard = []
    for value in (79, 81, 96, 93, 84, 70):
        before = {name: len(sim.notices(name)) for name in sim.channels}
        sim.set("queue", value)
        sim.advance(10)
        heard.append({name: told(sim, name)[before[name] :] for name in sim.channels})
    assert heard == [
        {"ops": [], "pager": []},
        {"ops": ["fired"], "pager": []},
        {"ops": ["raised"], "pager": ["fired"]},
        {"ops": [], "pager": []},
        {"ops": [], "pager": ["rerouted"]},
        {"ops": ["resolved"], "pager": []},
    ]
    assert [what for _, what in sim.transitions()] == [
        "#1 firing warning",
        "#1 firing → firing critical",
        "#1 firing → firing warning",
        "#1 firing → resolved warning",
    ]
    fired, raised, resolved = (notice.alert for notice in sim.notices())
    assert [alert.severity.value for alert in (fired, raised, resolved)] == ["warning", "critical", "warning"]
    assert [alert.threshold for alert in (fired, raised, resolved)] == [80, 95, 80]
    assert (resolved.value, resolved.peak) == (70, 96)
    rerouted = sim.notices("pager")[-1]
    assert (rerouted.kind.value, rerouted.alert.status) == ("resolved", AlertStatus.RESOLVED)


def test_graver_again_after_it_became_milder_is_news_again() -> None:
    sim = Simulator(rule(condition=">", **LEVELS))
    for value in (96, 84, 97):
        sim.set("queue", value)
        sim.advance(10)
    assert told(sim) == ["fired", "raised"]


def test_an_acknowledgement_is_void_when_it_becomes_graver() -> None:
    sim = Simulator(rule(condition=">", notification_interval="1m", **LEVELS))
    sim.set("queue", 81)
    sim.advance(10)
    sim.manager.acknowledge_alert("busy_app", author="anna")
    sim.advance("10m")
    assert told(sim) == ["fired"]
    sim.set("queue", 96)
    sim.advance("90s")
    assert told(sim) == ["fired", "raised", "repeat_due"]


def test_an_edit_of_the_severity_is_told_at_once_and_keeps_the_incident() -> None:
    sim = Simulator(rule())
    sim.set("queue", 9)
    sim.advance(10)
    sim.manager.replace_rule(rule(severity="critical"))
    sim.advance(10)
    assert told(sim) == ["fired", "raised"]
    assert {notice.alert.incident for notice in sim.notices()} == {1}


# -- flapping --------------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("ends_at", [9, 0])
@pytest.mark.parametrize("how", [{"on_write": True}, {"evaluation_interval": 0.25}])
def test_a_square_wave_of_an_hour_gives_four_messages_at_most_and_then_the_truth(
    ends_at: float, how: dict[str, Any]
) -> None:
    sim = Simulator(rule(flapping=(3, "1m"), **how))
    sim.every(0.5, lambda at: sim.set("queue", 9 if at % 1 else 0), until="1h")
    sim.advance("1h")
    assert told(sim) == ["fired", "resolved", "flapping"]
    sim.set("queue", ends_at)
    sim.advance("1m")
    assert told(sim) == ["fired", "resolved", "flapping", "stable"]
    firing = ends_at == 9
    assert sim.notices()[-1].alert.status is (AlertStatus.FIRING if firing else AlertStatus.RESOLVED)
    assert [alert.id for alert in sim.manager.get_active_alerts()] == ["busy_app"] * firing
    assert sim.manager.untold() == []


def test_without_flapping_detection_each_change_is_told() -> None:
    sim = Simulator(rule())
    for value in (9, 0) * 10:
        sim.set("queue", value)
        sim.advance(2)
    assert sim.told() == ["firing", "resolved"] * 10


# -- what is not known -----------------------------------------------------------------------------------------------------


class Broker:
    """Answers for a gauge, or raises."""

    def __init__(self, length: float = 0) -> None:
        self.length, self.broken = length, False

    def __call__(self) -> float:
        if self.broken:
            raise ConnectionError("the broker does not answer")
        return self.length


def two_hundred_rules(broker: Broker) -> Simulator:
    sim = Simulator(*[rule(f"r{n}", f"> {n}", collector="broker", evaluation_interval=10) for n in range(200)])
    sim.collector("broker").callback_gauge("queue", broker)
    sim.advance(10)
    return sim


@pytest.mark.long
def test_two_hundred_rules_that_cannot_be_judged_for_one_cause_are_one_message() -> None:
    broker = Broker()
    sim = two_hundred_rules(broker)
    broker.broken = True
    sim.advance("5m")
    (unknown,) = [notice.alert for notice in sim.notices()]
    assert unknown.id == 'data_unknown_broker{cause="NoAnswer"}'
    assert "the broker does not answer" in unknown.description
    sim.advance("16m")
    assert (set(sim.told()), sim.manager.alerts[unknown.id].value) == ({"firing", "repeat"}, 200)
    broker.broken = False
    sim.advance(20)
    assert [kind for kind in sim.told() if kind != "repeat"] == ["firing", "resolved"]


def test_it_is_told_after_three_intervals_and_not_before() -> None:
    broker = Broker()
    sim = Simulator(rule(evaluation_interval=20))
    sim.collector().callback_gauge("queue", broker)
    sim.advance("5m")
    broker.broken = True
    sim.advance(59)
    broker.broken = False
    sim.advance("1m")
    assert sim.notices() == []
    broker.broken = True
    sim.advance(81)
    assert sim.told() == ["firing"]


@pytest.mark.untraced
def test_a_collector_that_is_taken_away_is_one_message_and_its_return_another() -> None:
    sim = two_hundred_rules(Broker())
    collector = sim.registry.get_collector("broker")
    assert collector is not None
    sim.registry.unregister_collector("broker")
    sim.advance("5m")
    assert told(sim) == ['fired data_unknown_broker{cause="missing"}']
    sim.registry.register_collector("broker", collector)
    sim.advance(20)
    assert sim.told() == ["firing", "resolved"]


def test_two_causes_are_two_messages() -> None:
    app, broker = Broker(), Broker()
    sim = Simulator(rule())
    sim.collector("app").callback_gauge("queue", app)
    sim.collector("broker").callback_gauge("queue", broker)
    sim.advance(10)
    app.broken = broker.broken = True
    sim.advance("1m")
    app.broken = False
    sim.advance("1m")
    assert told(sim) == [
        'fired data_unknown_app{cause="NoAnswer"}',
        'fired data_unknown_broker{cause="NoAnswer"}',
        'resolved data_unknown_app{cause="NoAnswer"}',
    ]


@pytest.mark.parametrize("away", ["remove_rule", "disable_rule"])
def test_the_cause_is_gone_when_no_rule_asks_any_more(away: str) -> None:
    broker = Broker()
    sim = Simulator(rule())
    sim.collector().callback_gauge("queue", broker)
    broker.broken = True
    sim.advance("1m")
    getattr(sim.manager, away)("busy")
    sim.advance(10)
    assert sim.told() == ["firing", "resolved"]


@pytest.mark.untraced
@pytest.mark.parametrize("no_data", ["keep", "alert", "ok"])
def test_what_cannot_be_judged_neither_resolves_nor_fires(no_data: str) -> None:
    broker = Broker(9)
    judged: dict[str, Any] = {"no_data": no_data, "evaluation_interval": "1m"}
    sim = Simulator(rule(**judged), rule("calm", "> 50", **judged))
    sim.collector().callback_gauge("queue", broker)
    sim.advance("2m")
    broker.broken = True
    sim.advance("1d")
    assert [alert.id for alert in sim.manager.get_active_alerts()] == ["busy_app", 'data_unknown_app{cause="NoAnswer"}']
    assert "resolved" not in sim.told()
    broker.broken, broker.length = False, 0
    sim.advance("1m")
    assert sim.manager.get_active_alerts() == []


def test_what_was_never_there_is_waited_for_and_nobody_is_told() -> None:
    sim = Simulator(rule(evaluation_interval="1m"), rule("alerts", no_data="alert", evaluation_interval="1m"))
    sim.collector().gauge("queue", labels=("host",))
    sim.advance("1d")
    assert sim.timeline == []


def silent_after_ten_minutes(length: float, no_data: str) -> Simulator:
    sim = Simulator(rule(no_data=no_data, time_window="1m", group_by=["host"]))
    sim.collector().gauge("queue", labels=("host",), ttl="1m")
    sim.every(10, lambda _: sim.set("queue", length, {"host": "a"}), until="10m")
    sim.advance("20m")
    return sim


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("length", "no_data", "reasons"),
    [
        (9, "keep", ['fired busy_app{host="a"}', 'fired data_unknown_app{cause="missing"}']),
        (9, "alert", ['fired busy_app{host="a"}']),
        (9, "ok", ['fired busy_app{host="a"}', 'resolved busy_app{host="a"}']),
        (0, "keep", ['fired data_unknown_app{cause="missing"}']),
        (0, "alert", ['fired busy_app{host="a"}']),
        (0, "ok", []),
    ],
)
def test_a_gap_is_what_the_rule_says_it_is(length: float, no_data: str, reasons: list[str]) -> None:
    sim = silent_after_ten_minutes(length, no_data)
    assert told(sim) == reasons
    sim.set("queue", 0, {"host": "a"})
    sim.advance(10)
    assert sim.manager.get_active_alerts() == []
    assert sim.told().count("firing") == sim.told().count("resolved")


@pytest.mark.untraced
@pytest.mark.parametrize("group_by", [[], ["host"]])
@pytest.mark.parametrize("length", [9, 0])
def test_series_that_are_removed_on_purpose_are_no_gap(group_by: list[str], length: float) -> None:
    """The last series of a metric too: whoever removes it has not lost any data."""
    sim = Simulator(rule(group_by=group_by))
    sim.set("queue", length, {"host": "a"})
    sim.advance(10)
    metric = sim.collector().get_metric("queue")
    assert metric is not None
    metric.remove({"host": "a"})
    sim.advance("1h")
    kinds = ["fired", "series_removed"] if length else []
    assert [notice.extra["reason"] for notice in sim.notices()] == kinds
    assert sim.manager.get_active_alerts() == []


# -- many alerts of one rule -----------------------------------------------------------------------------------------------


def test_past_its_limit_a_rule_has_one_alert_that_counts_the_rest() -> None:
    sim = Simulator(rule(group_by=["host"], max_alerts=2))
    for host in "abcde":
        sim.set("queue", 9, {"host": host})
    sim.advance(10)
    over = 'busy_app{overflow="true"}'
    assert told(sim) == ['fired busy_app{host="a"}', 'fired busy_app{host="b"}', f"fired {over}"]
    assert sim.manager.alerts[over].value == 3
    sim.set("queue", 0, {"host": "d"})
    sim.advance(10)
    assert sim.manager.alerts[over].value == 2
    for host in "ce":
        sim.set("queue", 0, {"host": host})
    sim.advance(10)
    assert told(sim)[3:] == [f"resolved {over}"]
    assert [alert.id for alert in sim.manager.get_active_alerts()] == ['busy_app{host="a"}', 'busy_app{host="b"}']


# -- escalation ------------------------------------------------------------------------------------------------------------

LADDER = Route(channels=["ops"], escalation=[("10m", ["pager"]), ("30m", ["boss"])])


def escalating() -> Simulator:
    sim = Simulator(rule(), channels=["ops", "pager", "boss"], routes=LADDER)
    sim.set("queue", 9)
    return sim


def test_the_next_channels_are_told_after_a_time_without_acknowledgement_and_all_are_told_the_end() -> None:
    sim = escalating()
    sim.advance("1h")
    sim.set("queue", 0)
    sim.advance(10)
    heard = {name: list(zip(told_at(sim, name), told(sim, name), strict=True)) for name in sim.channels}
    end = heard["ops"][1]
    assert heard == {
        "ops": [(0, "fired"), end],
        "pager": [(600, "escalated"), end],
        "boss": [(1800, "escalated"), end],
    }
    assert end[1] == "resolved"


@pytest.mark.untraced
def test_an_acknowledgement_stops_the_ladder_where_it_is() -> None:
    sim = escalating()
    sim.advance("15m")
    sim.manager.acknowledge_alert("busy_app")
    sim.advance("2h")
    sim.set("queue", 0)
    sim.advance(10)
    assert {name: told(sim, name) for name in sim.channels} == {
        "ops": ["fired", "resolved"],
        "pager": ["escalated", "resolved"],
        "boss": [],
    }


def test_what_is_resolved_is_not_escalated_and_the_next_incident_climbs_anew() -> None:
    sim = escalating()
    sim.advance("9m")
    sim.set("queue", 0)
    sim.advance("1m")
    sim.set("queue", 9)
    sim.advance("9m")
    assert told(sim, "pager") == []
    sim.advance("2m")
    assert told(sim, "pager") == ["escalated"]
    assert told(sim) == ["fired", "resolved", "fired"]


# -- grouping --------------------------------------------------------------------------------------------------------------


def grouping(**more: Any) -> Simulator:
    routes = Route(group_by=["alertname"], wait="30s", interval="5m")
    return Simulator(rule(group_by=["host"], **more), routes=routes)


def test_a_group_waits_for_others_and_then_tells_of_all_at_once() -> None:
    sim = grouping()
    sim.set("queue", 9, {"host": "a"})
    sim.advance(20)
    sim.set("queue", 9, {"host": "b"})
    sim.advance("1m")
    (digest,) = sim.notices()
    assert (digest.kind.value, items(digest), told_at(sim)) == ("digest", ["firing a", "firing b"], [30])
    assert (digest.alert.status, digest.alert.title) == (AlertStatus.FIRING, "2 alerts: 2 firing")
    assert (digest.context["firing"], digest.context["resolved"]) == (2, 0)


def test_more_news_of_a_group_waits_for_its_interval() -> None:
    sim = grouping()
    sim.set("queue", 9, {"host": "a"})
    sim.advance("1m")
    sim.set("queue", 9, {"host": "b"})
    sim.set("queue", 9, {"host": "c"})
    sim.advance("1m")
    sim.set("queue", 0, {"host": "c"})  # unheard: nothing to tell
    sim.advance("10m")
    assert told_at(sim) == [30, 330]
    assert [items(notice) for notice in sim.notices()] == [["firing a"], ["firing b"]]


def test_what_is_graver_than_all_that_the_group_was_told_does_not_wait() -> None:
    sim = grouping(condition=">", levels={"warning": 5, "critical": 20})
    sim.set("queue", 9, {"host": "a"})
    sim.advance("1m")
    sim.set("queue", 30, {"host": "b"})
    sim.advance(2)
    assert [items(notice) for notice in sim.notices()] == [["firing a"], ["firing b"]]
    sim.set("queue", 30, {"host": "c"})  # as grave as what was told
    sim.advance(10)
    assert len(sim.notices()) == 2


def test_that_all_is_over_does_not_wait_but_that_a_part_is_does() -> None:
    sim = grouping()
    for host in "ab":
        sim.set("queue", 9, {"host": host})
    sim.advance("1m")
    sim.set("queue", 0, {"host": "a"})
    sim.advance("1m")
    assert len(sim.notices()) == 1
    sim.set("queue", 0, {"host": "b"})
    sim.advance(2)
    assert items(sim.notices()[-1]) == ["resolved a", "resolved b"]
    assert sim.notices()[-1].alert.status is AlertStatus.RESOLVED
    sim.set("queue", 9, {"host": "a"})  # a new story: it waits anew
    sim.advance(20)
    assert len(sim.notices()) == 2


def test_a_group_in_which_all_cleared_while_it_waited_tells_nothing() -> None:
    sim = grouping()
    sim.set("queue", 9, {"host": "a"})
    sim.advance(20)
    sim.set("queue", 0, {"host": "a"})
    sim.advance("10m")
    assert sim.notices() == []


# -- routing ---------------------------------------------------------------------------------------------------------------


def test_the_first_route_that_matches_is_taken_and_continue_goes_on() -> None:
    routes = Route(
        channels=["ops"],
        routes=[
            Route(match={"host": "a"}, channels=["log"], continue_=True),
            Route(match={"host": "a"}, channels=["pager"]),
            Route(match={"host": "a"}, channels=["never"]),
        ],
    )
    sim = Simulator(rule(group_by=["host"]), channels=["ops", "log", "pager", "never"], routes=routes)
    for host in "ab":
        sim.set("queue", 9, {"host": host})
    sim.advance(5)
    assert {name: [notice.alert.labels["host"] for notice in sim.notices(name)] for name in sim.channels} == {
        "ops": ["b"],
        "log": ["a"],
        "pager": ["a"],
        "never": [],
    }


def test_new_routes_tell_those_who_were_told_and_are_reached_no_more_that_it_is_over_for_them() -> None:
    sim = Simulator(rule(), channels=["ops", "pager"], routes=Route(channels=["ops"]))
    sim.set("queue", 9)
    sim.advance(5)
    sim.manager.set_routes(Route(channels=["pager"]))
    sim.advance(5)
    sim.manager.set_routes(Route())
    sim.advance(5)
    sim.set("queue", 0)
    sim.advance(5)
    assert told(sim) == ["fired", "rerouted", "fired", "resolved"]
    assert told(sim, "pager") == ["fired", "resolved"]


# -- inhibition ------------------------------------------------------------------------------------------------------------


def test_a_target_is_told_when_the_last_of_its_sources_is_gone() -> None:
    sim = Simulator(
        rule(group_by=["host"]),
        rule("down", "== 1", metric_name="down", group_by=["host", "probe"]),
        inhibitions=[Inhibition({"alertname": "down"}, {"alertname": "busy"}, ["host"])],
    )
    for probe in ("ping", "http"):
        sim.set("down", 1, {"host": "a", "probe": probe})
    sim.advance(2)
    for host in "ab":
        sim.set("queue", 9, {"host": host})
    sim.advance(10)
    busy = [reason for reason in told(sim) if "busy" in reason]
    assert busy == ['fired busy_app{host="b"}']  # the other host is not concerned
    sim.set("down", 0, {"host": "a", "probe": "ping"})
    sim.advance(10)
    assert [reason for reason in told(sim) if "busy" in reason] == busy
    sim.set("down", 0, {"host": "a", "probe": "http"})
    sim.advance(10)
    assert [reason for reason in told(sim) if "busy" in reason] == [*busy, 'fired busy_app{host="a"}']
    assert (2.0, "inhibited") not in sim.reasons()
    assert "inhibited" in [reason for _, reason in sim.reasons()]


# -- mute times ------------------------------------------------------------------------------------------------------------


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ("2023-03-25 21:00", "2023-03-26 04:00"),  # the night is an hour shorter
        ("2023-10-28 20:00", "2023-10-29 05:00"),  # … and an hour longer
        ("2023-06-01 20:00", "2023-06-02 04:00"),
    ],
)
def test_a_mute_ends_by_the_clock_on_the_wall_also_in_the_nights_in_which_that_is_set(begins: str, ends: str) -> None:
    night = MuteTime("night", times=["22:00-06:00"], time_zone="Europe/Berlin")
    start, end = unix(begins), unix(ends)
    sim = Simulator(rule(evaluation_interval="1m"), routes=Route(mute_times=[night]), wall=start - 120)
    sim.set("queue", 9)
    sim.advance(60)
    sim.set("queue", 0)
    sim.advance(59)
    assert sim.told()[0] == "firing"  # just before the night
    sim.advance("1h")
    sim.set("queue", 9)
    sim.advance(end - sim.clock.wall() - 1)
    assert sim.told() == ["firing", "resolved"]
    sim.advance(2)
    assert sim.told() == ["firing", "resolved", "firing"]
    assert sim.notices()[-1].sent_at == pytest.approx(end)


def test_a_wall_clock_that_is_set_takes_the_mute_times_along() -> None:
    night = MuteTime("night", times=["22:00-06:00"])
    sim = Simulator(rule(), routes=Route(mute_times=[night]), wall=unix("2023-06-01 23:00"))
    sim.set("queue", 9)
    sim.advance("1m")
    assert sim.notices() == []
    sim.clock.set_wall(unix("2023-06-02 07:00"))
    sim.advance(5)
    assert sim.told() == ["firing"]


# -- silences --------------------------------------------------------------------------------------------------------------


@pytest.mark.untraced
def test_a_silence_as_a_context_ends_with_it_and_what_fires_still_is_told_then() -> None:
    sim = Simulator(rule(labels={"service": "shop"}))
    with sim.manager.silence(service="shop", author="anna", reason="deploy"):
        sim.set("queue", 9)
        sim.advance("1h")
        assert sim.notices() == []
        assert sim.manager.alerts["busy_app"].status is AlertStatus.SILENCED
    sim.advance(1)
    assert (told(sim), told_at(sim)) == (["fired"], [3600])
    (past,) = sim.manager.silences()
    assert (past.state.value, past.author, past.reason) == ("expired", "anna", "deploy")


def test_a_silence_ends_by_itself_and_the_truth_is_told_at_that_moment() -> None:
    sim = Simulator(rule(evaluation_interval="1m"))
    sim.manager.silence(alertname="busy", duration="90s", starts_in="30s")
    sim.advance(40)
    sim.set("queue", 9)
    sim.advance("10m")
    assert told_at(sim) == [120]


def test_a_preview_names_what_a_silence_would_cover() -> None:
    sim = Simulator(rule(group_by=["host"]), rule("later", group_by=["host"], hold="1h"))
    for host in "ab":
        sim.set("queue", 9, {"host": host})
    sim.advance(5)
    assert {alert.id for alert in sim.manager.preview_silence(host="a")} == {'busy_app{host="a"}', 'later_app{host="a"}'}
    assert sim.manager.preview_silence('host=~"x.*"') == []


@pytest.mark.untraced
@pytest.mark.parametrize("by", ["id", "matchers"])
def test_a_silence_survives_edits_of_the_rule(by: str) -> None:
    sim = Simulator(rule())
    if by == "id":
        sim.manager.silence_alert("busy_app", "1h")
    else:
        sim.manager.silence(alertname="busy", duration="1h")
    sim.set("queue", 9)
    sim.advance("10m")
    sim.manager.replace_rule(rule(condition="> 7"))
    sim.advance("10m")
    sim.manager.replace_rule(rule(condition="> 50"))
    sim.advance("10m")
    sim.manager.replace_rule(rule())
    sim.advance("20m")
    assert sim.notices() == []
    sim.advance("20m")
    assert told_at(sim) == [3600]


async def test_a_silence_that_is_ended_twice_was_over_the_second_time() -> None:
    sim = Simulator(rule())
    silence_id = await sim.manager.silence_alert("busy_app", "1h")
    assert [await sim.manager.end_silence(silence_id) for _ in range(2)] == [True, False]
    assert not await sim.manager.end_silence("another")


# -- explanations ----------------------------------------------------------------------------------------------------------


def test_an_explanation_says_how_the_alert_stands_and_why_each_channel_was_told_or_not() -> None:
    routes = Route(channels=["ops"], wait="10s", routes=[Route(match={"host": "a"}, escalation=[("1h", ["pager"])])])
    sim = Simulator(rule(group_by=["host"]), channels=["ops", "pager"], routes=routes)
    sim.set("queue", 9, {"host": "a"})
    sim.advance(5)
    alert_id = 'busy_app{host="a"}'
    assert str(sim.manager.explain(alert_id)).splitlines()[:3] == [
        'busy_app{host="a"} #1: firing, warning, value 9.0, data fresh',
        '  ops: fired, untold, group busy_app{host="a"}, next at 22:13:30 UTC',
        '  pager: not_escalated, untold, group busy_app{host="a"}',
    ]
    sim.advance(10)
    sim.manager.silence_alert(alert_id, "2h", author="anna")
    sim.manager.acknowledge_alert(alert_id, author="ben")
    sim.advance(1)
    explanation = sim.manager.explain(alert_id)
    assert explanation is not None
    text = str(explanation).splitlines()
    assert text[1].startswith("  silenced by id-")
    assert text[1].endswith(" until 2023-11-15 00:13:35 UTC")
    assert text[2] == "  acknowledged by ben"
    assert text[3] == '  ops: silenced, told, group busy_app{host="a"}, last told at 22:13:30 UTC'
    assert "  22:13:20 UTC #1 firing warning" in text
    assert "  22:13:30 UTC ops: fired (message id-1)" in text
    assert sim.manager.explain("another") is None


def test_an_explanation_says_what_is_not_known() -> None:
    broker = Broker(9)
    sim = Simulator(rule())
    sim.collector().callback_gauge("queue", broker)
    sim.advance(5)
    broker.broken = True
    sim.advance(5)
    explanation = sim.manager.explain("busy_app")
    assert explanation is not None
    assert "data NoAnswer" in str(explanation)
    assert "the broker does not answer" in str(explanation)
    assert explanation.unknown_since is not None


# -- clocks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jump", "says"),
    [
        (lambda sim: sim.clock.suspend(3600), "the machine was suspended for 1h"),
        (lambda sim: sim.clock.set_wall(sim.clock.wall() + 90), "the wall clock was set forward by 1m30s"),
        (lambda sim: sim.clock.set_wall(sim.clock.wall() - 5), "the wall clock was set back by 5s"),
    ],
)
def test_jumps_of_the_clocks_are_noted_and_logged_once(
    jump: Callable[[Simulator], None], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    sim = Simulator(rule())
    sim.advance("1m")
    with caplog.at_level(logging.WARNING, "kailash_monitor"):
        jump(sim)
        sim.advance("1m")
    assert [entry.what for entry in sim.manager.audit() if isinstance(entry, Remark)] == [says]
    assert [record.getMessage() for record in caplog.records] == [says]


def test_a_hold_does_not_count_the_time_in_which_the_machine_slept() -> None:
    sim = Simulator(rule(hold="5m"))
    sim.set("queue", 9)
    sim.advance("1m")
    sim.clock.suspend(3600)
    sim.advance("3m")
    assert sim.notices() == []
    sim.advance("70s")
    assert sim.told() == ["firing"]


# -- judged when recorded --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", ["7s", "10s", "1m"])
def test_a_hold_ends_by_an_exact_timer(interval: str) -> None:
    sim = Simulator(rule(hold="5m", on_write=True, evaluation_interval=interval))
    sim.advance(3.3)
    sim.set("queue", 9)
    sim.advance("10m")
    (at,) = [at for at, what in sim.transitions() if "firing" in what]
    assert at - 3.3 == pytest.approx(300, abs=0.001)


def test_a_recovery_ends_by_an_exact_timer_too() -> None:
    sim = Simulator(rule(keep_firing="5m", on_write=True, evaluation_interval="1m"))
    sim.set("queue", 9)
    sim.advance(10)
    sim.set("queue", 0)
    sim.advance("10m")
    assert told_at(sim) == [0, 310]


def test_what_is_recorded_is_judged_at_once_and_then_every_twenty_milliseconds_at_most() -> None:
    looks: list[float] = []
    sim = Simulator(rule(on_write=True, evaluation_interval="1h"))
    sim.advance(10)
    sim.set("queue", 9)
    assert told_at(sim) == [10]
    turn = sim.manager.core.agenda.turns["busy"]
    for _ in range(1000):
        sim.set("queue", 9)
        looks.append(turn.last)
        sim.advance(0.001)
    judged = sorted(set(looks))
    assert len(judged) == 50
    assert min(later - sooner for sooner, later in itertools.pairwise(judged)) >= 0.02 - 1e-9


# -- readings of one's own -------------------------------------------------------------------------------------------------


class Answers:
    """What a reading gives, or raises."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def plain(self) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def awaited(self) -> object:
        return self.plain()


@pytest.mark.parametrize("how", ["plain", "awaited"])
def test_an_answer_of_ones_own_is_judged_like_a_metric(how: str) -> None:
    answers = Answers(9)
    sim = Simulator(rule(reading=getattr(answers, how)))
    sim.advance(5)
    answers.answer = ValueError("nonsense")
    sim.advance("1m")
    answers.answer = None
    sim.advance("1m")
    answers.answer = 0
    sim.advance(5)
    assert told(sim) == [
        "fired busy_reading",
        'fired data_unknown_reading{cause="ValueError"}',
        'resolved data_unknown_reading{cause="ValueError"}',
        'fired data_unknown_reading{cause="missing"}',
        "resolved busy_reading",
        'resolved data_unknown_reading{cause="missing"}',
    ]


def test_an_answer_by_label_values_gives_each_an_alert_and_one_that_is_left_out_is_missing() -> None:
    answers = Answers({"a": 9, "b": 9, "c": 0})
    sim = Simulator(rule(reading=answers.plain, group_by=["queue"]))
    sim.advance(5)
    answers.answer = {"a": 0, "c": 0}
    sim.advance(2)
    assert told(sim) == [
        'fired busy_reading{queue="a"}',
        'fired busy_reading{queue="b"}',
        'resolved busy_reading{queue="a"}',
    ]
    assert [alert.id for alert in sim.manager.get_active_alerts()] == ['busy_reading{queue="b"}']


# -- burn rates ------------------------------------------------------------------------------------------------------------


def serving(failing: Callable[[float], bool], *, requests: int, every: float, hours: float) -> Simulator:
    """`requests` at each interval, of which all fail when `failing`."""
    sim = Simulator(*burn_rate_rules("shop", good="good", total="total", objective=0.999))
    app = sim.collector()
    for name in ("good", "total"):
        app.counter(name)

    def serve(at: float) -> None:
        app.increment("good", 0 if failing(at) else requests)
        app.increment("total", requests)

    sim.every(every, serve, until=hours * HOURLY)
    sim.advance(hours * HOURLY)
    return sim


def test_one_failure_in_twenty_requests_pages_nobody() -> None:
    sim = serving(lambda at: at == 30 * 60, requests=1, every=180, hours=1)
    assert sim.timeline == []


@pytest.mark.untraced
def test_an_outage_pages_within_minutes_and_recovers() -> None:
    """Half an hour in which all fails, after six hours in which nothing did."""
    begins, ends = 6 * HOURLY, 6.5 * HOURLY
    sim = serving(lambda at: begins <= at < ends, requests=20, every=10, hours=16)
    pages = [notice for notice in sim.notices() if notice.alert.severity.value == "critical"]
    fired, *_ = told_at(sim)
    assert begins < fired < begins + 5 * 60
    assert pages[0].alert.id == "shop_burn_rate_1h_app"
    resolved = [
        notice.sent_at - EPOCH
        for notice in pages
        if (notice.alert.id, notice.kind.value) == ("shop_burn_rate_1h_app", "resolved")
    ]
    assert len(resolved) == 1
    assert ends < resolved[0] < ends + 15 * 60
    assert [alert.severity.value for alert in sim.manager.get_active_alerts()].count("critical") == 0


# -- outages of channels ---------------------------------------------------------------------------------------------------


class Channel(RecordingChannel):
    """Is down until it is not."""

    def __init__(self, *, in_doubt: bool = False) -> None:
        self.down = True
        super().__init__("ops", lambda notice: Retry("down", in_doubt=in_doubt) if self.down else None)


@pytest.mark.untraced
@pytest.mark.parametrize("fires_at_the_end", [False, True])
def test_what_came_and_went_while_a_channel_was_down_is_one_notice_with_the_true_summary(fires_at_the_end: bool) -> None:
    channel = Channel()
    sim = Simulator(rule(on_write=True), channels=[channel])
    for _ in range(50):
        sim.set("queue", 9)
        sim.advance("1m")
        sim.set("queue", 0)
        sim.advance("1m")
    if fires_at_the_end:
        sim.set("queue", 9)
        sim.advance("1m")
    assert channel.notices == []
    channel.down = False
    sim.advance("5m")
    sim.set("queue", 0)
    sim.advance("5m")
    assert told(sim) == ["missed", "fired", "resolved"] if fires_at_the_end else ["missed"]
    missed = channel.notices[0]
    at = [datetime.fromtimestamp(EPOCH, UTC) + timedelta(seconds=seconds) for seconds in (0, 99 * 60)]
    assert missed.context["missed"] == 50
    assert [missed.context["first_fired_at"], missed.context["last_resolved_at"]] == [moment.isoformat() for moment in at]
    assert missed.alert.status is AlertStatus.RESOLVED
    assert sim.manager.untold() == []


def test_an_outage_shorter_than_the_incident_delays_what_is_told_and_loses_nothing() -> None:
    channel = Channel()
    sim = Simulator(rule(), channels=[channel])
    sim.set("queue", 9)
    sim.advance("10m")
    channel.down = False
    sim.advance("2m")
    channel.down = True
    sim.set("queue", 0)
    sim.advance("10m")
    channel.down = False
    sim.advance("2m")
    assert told(sim) == ["fired", "resolved"]
    assert math.isclose(sim.notices()[0].alert.value or 0, 9)


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.parametrize("told_before", [False, True])
def test_nothing_that_came_and_went_in_an_outage_is_lost_whenever_that_began(in_doubt: bool, told_before: bool) -> None:
    """While the end of one incident could not be told, those after it were forgotten instead of summed up."""
    channel = Channel(in_doubt=in_doubt)
    sim = Simulator(rule(on_write=True), channels=[channel])
    channel.down = not told_before
    for _ in range(5):
        sim.set("queue", 9)
        sim.advance("1m")
        channel.down = True
        sim.set("queue", 0)
        sim.advance("1m")
    channel.down = False
    sim.advance("5m")
    heard = [(notice.kind.value, notice.context.get("missed")) for notice in sim.notices()]
    first = [("firing", None), ("resolved", None)] if told_before or in_doubt else []
    assert heard == [*first, ("missed", 5 - len(first) // 2)]
    assert sim.manager.untold() == []


def test_what_is_silenced_while_a_channel_is_down_is_not_missed() -> None:
    channel = Channel()
    channel.down = False
    sim = Simulator(rule(on_write=True), channels=[channel])
    sim.set("queue", 9)
    sim.advance("1m")
    channel.down = True
    sim.set("queue", 0)
    sim.advance("1m")
    sim.manager.silence(alertname="busy")
    for value in (9, 0) * 3:
        sim.set("queue", value)
        sim.advance("1m")
    channel.down = False
    sim.advance("5m")
    assert told(sim) == ["fired", "resolved"]


def test_a_slow_channel_hears_all_that_happened_meanwhile_and_ends_with_the_truth() -> None:
    """A second incident began before the channel had answered about the first: it was never told that either is over."""
    sim = Simulator(rule(on_write=True), takes={"ops": 3})
    sim.advance(1)
    for value in (9, 0, 9, 0, 9):
        sim.set("queue", value)
        sim.advance(0.5)
    sim.advance("1m")
    heard = [(notice.extra["reason"], notice.alert.incident) for notice in sim.notices()]
    assert heard == [("fired", 1), ("resolved", 1), ("missed", 3), ("fired", 3)]
    assert sim.notices()[2].context["missed"] == 1


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.parametrize("ends_at", [9, 0])
def test_what_was_said_of_a_settled_alert_is_corrected_when_it_has_changed_since(in_doubt: bool, ends_at: float) -> None:
    """A message that it is stable, made while it fired, was taken for the end that came before it was delivered."""
    channel = Channel(in_doubt=in_doubt)
    channel.down = False
    sim = Simulator(rule(on_write=True, flapping=(4, "1m")), channels=[channel])
    for value in (9, 0) * 5:
        sim.set("queue", value)
        sim.advance(2)
    sim.set("queue", 9 - ends_at)
    channel.down = True
    sim.advance("5m")
    sim.set("queue", ends_at)
    sim.advance("5m")
    channel.down = False
    sim.advance("5m")
    assert sim.notices()[-1].alert.status is (AlertStatus.FIRING if ends_at else AlertStatus.RESOLVED)
    assert "flapping" in told(sim)
    assert "stable" in told(sim)


def test_the_end_of_a_mute_is_told_also_where_another_channel_has_just_answered() -> None:
    """Looking at one channel at that very moment left out the other, and it was not looked at again."""
    mute = MuteTime("night", times=["22:00-06:00"])
    routes = Route(
        channels=["ops"],
        routes=[Route(match={"alertname": "busy"}, continue_=True), Route(mute_times=[mute], channels=["pager"])],
    )
    sim = Simulator(rule(), channels=["ops", "pager"], routes=routes, takes={"ops": 60}, wall=unix("2023-06-02 05:59"))
    sim.set("queue", 9)
    sim.advance("2m")
    assert told(sim) == ["fired"]
    assert told(sim, "pager") == ["fired"]


def test_what_may_have_been_heard_is_not_told_again_along_a_new_route_before_it_is_clear() -> None:
    """The old group repeated what was lost, and the new one told the same again."""
    channel = Channel(in_doubt=True)
    sim = Simulator(rule(), channels=[channel])
    sim.set("queue", 9)
    sim.advance(5)
    sim.manager.set_routes(Route(group_by=["alertname"]))
    sim.advance("1m")
    channel.down = False
    sim.advance("5m")
    sim.set("queue", 0)
    sim.advance(5)
    assert [notice.kind.value for notice in sim.notices()] == ["firing", "resolved"]


def test_nothing_is_left_waiting_in_a_group_that_an_alert_has_left() -> None:
    channel = Channel()
    sim = Simulator(rule(), channels=[channel])
    sim.set("queue", 9)
    sim.advance(5)
    sim.manager.set_routes(Route(group_by=["alertname"]))
    channel.down = False
    sim.advance("5m")
    sim.set("queue", 0)
    sim.advance("5m")
    assert sim.manager.untold() == []
    assert list(sim.manager.core.outbox.lanes()) == []


@pytest.mark.parametrize("ends_at", [9, 0])
def test_a_channel_that_refuses_to_hear_that_an_alert_flaps_is_told_the_truth_when_it_is_stable(ends_at: float) -> None:
    """It is tried once for each incident; while it was clear, the refused message was made anew without end."""
    answers = {"flapping": Rejected("too long")}
    channel = RecordingChannel("ops", lambda notice: answers.get(notice.kind.value))
    sim = Simulator(rule(on_write=True, flapping=(4, "1m")), channels=[channel])
    for value in (9, 0) * 5:
        sim.set("queue", value)
        sim.advance(2)
    sim.set("queue", ends_at)
    sim.advance("5m")
    refused = [notice.alert.incident for notice in channel.attempts if notice.kind.value == "flapping"]
    assert len(refused) == len(set(refused))
    assert sim.notices()[-1].alert.status is (AlertStatus.FIRING if ends_at else AlertStatus.RESOLVED)


@pytest.mark.parametrize(("no_data", "told"), [("keep", ["firing"]), ("ok", ["firing", "resolved"])])
def test_a_callback_that_has_nothing_to_say_any_more_resolves_nothing(no_data: str, told: list[str]) -> None:
    answers: list[float | None] = [9.0]
    sim = Simulator(rule("busy", no_data=no_data))
    sim.collector().callback_gauge("queue", lambda: answers[0])
    sim.advance(10)
    answers[0] = None
    sim.advance("5m")
    assert [kind for kind in sim.told(alert_id="busy_app") if kind != "repeat"] == told


@pytest.mark.parametrize("no_data", ["keep", "alert"])
def test_a_series_that_never_had_a_value_is_not_missing_beside_others_that_have(no_data: str) -> None:
    sim = Simulator(rule("busy", group_by=["host"], no_data=no_data))
    gauge = sim.collector().gauge("queue", labels=("host",))
    gauge.labels("never set")
    gauge.set("a", 1)
    sim.advance("5m")
    assert sim.told() == []


# -- what a review found ---------------------------------------------------------------------------------------------------


@pytest.mark.untraced
@pytest.mark.parametrize("interval", ["15m", 0])
def test_the_ladder_counts_from_the_first_message_of_a_group_that_waits(interval: object) -> None:
    ladder = Route(channels=["ops"], wait="30s", group_by=[], escalation=[("15m", ["boss"])])
    sim = Simulator(rule(notification_interval=interval), channels=["ops", "boss"], routes=ladder)
    sim.set("queue", 9)
    sim.advance("1h")
    told = [entry.at for entry in sim.timeline if isinstance(entry, Attempt) and entry.channel == "boss"]
    assert told[0] == pytest.approx(30 + 900 + 30, abs=1)  # its own group waits as well


def crowd(sim: Simulator, value: float) -> None:
    for host in "abcd":
        sim.set("queue", value, {"host": host})


def test_an_overflow_alert_ends_with_the_limit_that_it_stands_for() -> None:
    sim = Simulator(rule(group_by=["host"], max_alerts=2))
    crowd(sim, 9)
    sim.advance(10)
    sim.manager.replace_rule(rule(group_by=["host"]))
    sim.advance(10)
    crowd(sim, 0)
    sim.advance(10)
    assert sim.manager.get_active_alerts() == []
    assert sim.told(alert_id='busy_app{overflow="true"}') == ["firing", "resolved"]


def test_a_gap_does_not_resolve_an_overflow_alert() -> None:
    sim = Simulator(rule(group_by=["host"], max_alerts=2))
    gauge = sim.collector().gauge("queue", labels=("host",), ttl="1m")
    for host in "abcd":
        gauge.set(host, 9)
    sim.advance("10m")
    assert sim.told(alert_id='busy_app{overflow="true"}') == ["firing"]


def test_errors_that_take_turns_are_told_as_the_one_that_they_are() -> None:
    errors = itertools.cycle([ConnectionError("refused"), TimeoutError("late")])

    def length() -> float:
        raise next(errors)

    sim = Simulator(AlertRule("broker", "", "error", condition="> 5", reading=length))
    sim.advance("2m")
    assert "firing" in sim.told()


def test_an_acknowledgement_of_what_never_fired_is_void() -> None:
    sim = Simulator(rule(hold=30, notification_interval="15m"))
    sim.set("queue", 9)
    sim.advance(10)
    sim.manager.acknowledge_alert("busy_app", author="ann")
    sim.set("queue", 0)
    sim.advance(10)
    sim.set("queue", 9)
    sim.advance("1h")
    assert sim.told() == ["firing", "repeat", "repeat", "repeat"]


def test_a_silence_that_no_calendar_can_show_is_refused() -> None:
    sim = Simulator(rule())
    with pytest.raises(ConfigurationError, match="ten years at most"):
        sim.manager.silence(host="a", duration=1e12)


def test_alerts_that_never_fire_leave_nothing_behind() -> None:
    sim = Simulator(rule(group_by=["host"], hold="1h"))
    for number in range(300):
        gauge = sim.collector().gauge("queue", labels=("host",))
        gauge.set(f"h{number}", 9)
        sim.advance(2)
        gauge.set(f"h{number}", 0)
        sim.advance(2)
        gauge.remove(f"h{number}")
    assert len(sim.manager.core.book) == 0
    assert len(sim.manager.core.dispatcher._heap) < 200
