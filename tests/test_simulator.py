"""The simulator and backtests: what they do for whoever tries rules, channels and people's acts without waiting."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest

from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.route import Route
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected, Retry
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.notice import Notice
from kailash_monitor.rules import AlertRule, burn_rate_rules
from kailash_monitor.testing import EPOCH, Attempt, Backtest, RecordingChannel, Simulator, backtest

pytest_plugins = ["kailash_monitor.testing.fixtures"]


def rule(name: str = "busy", condition: str = "> 5", **more: object) -> AlertRule:
    given: dict[str, object] = {"metric_name": "queue", "notification_interval": 0, **more}
    return AlertRule(name, "Too much waits", "warning", condition=condition, **given)  # type: ignore[arg-type]


# -- time ------------------------------------------------------------------------------------------------------------------


def test_nothing_happens_until_it_is_let() -> None:
    sim = Simulator(rule())
    sim.collector().set_gauge("queue", 9)
    assert (sim.timeline, sim.clock.now()) == ([], 0)
    sim.run()
    assert (sim.told(), sim.clock.now()) == (["firing"], 0)


def test_what_is_planned_happens_in_order_at_its_time() -> None:
    sim = Simulator()
    seen: list[tuple[float, int]] = []
    for when in ("2m", 30, "1m", 30):
        sim.at(when, lambda n: seen.append((sim.clock.now(), n)), len(seen))
    sim.advance("90s")
    assert [at for at, _ in seen] == [30, 30, 60]
    sim.advance("1h")
    assert ([at for at, _ in seen][-1], sim.clock.now()) == (120, 3690)


def test_what_is_planned_for_a_time_that_is_past_happens_at_once() -> None:
    sim = Simulator()
    seen: list[float] = []
    sim.advance(10)
    sim.at(5, lambda: seen.append(sim.clock.now()))
    sim.run()
    assert seen == [10]


def test_every_interval_from_now_on_to_the_end_included() -> None:
    sim = Simulator()
    seen: list[float] = []
    sim.advance(5)
    sim.every(10, seen.append, until=35)
    sim.advance("1h")
    assert seen == [5, 15, 25, 35]


def test_the_wall_clock_begins_where_it_is_told() -> None:
    sim = Simulator(rule(), wall=1e9)
    sim.advance(60)
    sim.set("queue", 9)
    sim.advance(10)
    assert sim.notices()[0].sent_at == pytest.approx(1e9 + 65, abs=5)
    assert Simulator().clock.wall() == EPOCH


# -- what is put in --------------------------------------------------------------------------------------------------------


def test_each_kind_of_metric_can_be_recorded() -> None:
    sim = Simulator(
        rule("g", "> 1", metric_name="g"), rule("c", "> 1", metric_name="c"), rule("t", "avg > 1", metric_name="t")
    )
    sim.set("g", 5)
    sim.inc("c", 5)
    sim.observe("t", 5)
    sim.advance("1m")
    assert {notice.alert.id for notice in sim.notices()} == {"g_app", "c_app", "t_app"}


def test_channels_routes_and_inhibitions_are_those_given() -> None:
    sim = Simulator(
        rule(),
        rule("down"),
        channels=["ops", RecordingChannel("pager")],
        routes=Route(channels=["pager"]),
        inhibitions=[Inhibition({"alertname": "down"}, {"alertname": "busy"})],
    )
    sim.set("queue", 9)
    sim.advance("1m")
    assert sim.told() == []
    assert "down_app" in {notice.alert.id for notice in sim.notices("pager")}
    sim.add_channel("late")
    assert list(sim.channels) == ["ops", "pager", "late"]


def test_people_act_through_the_manager() -> None:
    sim = Simulator(rule())
    sim.manager.silence_alert("busy_app", "5m")
    sim.set("queue", 9)
    sim.advance("1m")
    assert sim.told() == []
    sim.advance("5m")
    assert sim.told() == ["firing"]


class Paper(NotificationChannel):
    """A channel as the guide writes them, which hears only what it is not too busy for."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)


class Loud(NotificationChannel):
    """The same, without a coroutine."""

    def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:  # type: ignore[override]
        return True


@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        ([], ["delivered"]),
        ([False], ["answered False", "delivered"]),
        ([OSError("no paper")], ["raised OSError", "delivered"]),
        ([OSError("no paper")] * 3, ["raised OSError"] * 3),
    ],
)
def test_a_users_own_channel_is_asked_as_a_running_manager_would(answers: list[object], outcomes: list[str]) -> None:
    sim = Simulator(rule(), channels=[Paper(*answers)])
    sim.set("queue", 9)
    sim.advance("10m")
    assert [entry.outcome for entry in sim.timeline if isinstance(entry, Attempt)] == outcomes


def test_a_channel_that_is_no_coroutine_is_called_as_it_is() -> None:
    sim = Simulator(rule(), channels=[Loud()])
    sim.set("queue", 9)
    assert sim.told("loud") == ["firing"]


def test_attempts_last_as_long_as_the_channel_takes() -> None:
    sim = Simulator(rule(), takes={"ops": 3})
    sim.set("queue", 9)
    sim.advance(2)
    assert sim.told() == []
    sim.advance(1)
    assert sim.told() == ["firing"]


def test_what_would_have_to_wait_is_refused_with_the_way_out() -> None:
    class Slow(RecordingChannel):
        async def deliver(self, notice: Notice) -> Outcome:
            await asyncio.sleep(1)
            return Delivered()

    sim = Simulator(rule(), channels=[Slow("slow")])
    sim.set("queue", 9)
    outcomes = [entry.outcome for entry in sim.timeline if isinstance(entry, Attempt)]
    assert outcomes == ["raised RuntimeError"]


# -- what comes out --------------------------------------------------------------------------------------------------------


def test_the_timeline_has_transitions_decisions_and_attempts_with_their_reasons() -> None:
    answers: Iterator[Outcome] = iter([Retry("down"), Rejected("refused")])
    sim = Simulator(rule(hold=20), channels=[RecordingChannel("ops", lambda notice: next(answers, None))])
    sim.set("queue", 9)
    sim.advance("1m")
    sim.set("queue", 0)
    sim.advance("1m")
    assert [what for _, what in sim.transitions()] == [
        "#1 pending warning",
        "#1 pending → firing warning",
        "#1 firing → resolved warning",
    ]
    assert [reason for _, reason in sim.reasons()] == ["not_firing", "fired", "undeliverable"]
    assert sim.transitions("another") == []
    assert [(at, reason) for at, reason in sim.reasons() if reason == "fired"] == [(sim.transitions()[1][0], "fired")]
    assert [entry.outcome for entry in sim.timeline if isinstance(entry, Attempt)] == ["down", "refused"]


def test_the_log_is_the_timeline_in_words() -> None:
    sim = Simulator(rule(evaluation_interval=1, on_write=True))
    sim.advance(3)
    sim.set("queue", 9)
    assert sim.log().splitlines() == [
        "3.000000 busy_app #1 firing warning",
        "3.000000 busy_app #1 → ops: fired id-1",
        "3.000000 ops ← firing busy_app #1 warning delivered id-1",
        "3.000000 busy_app #1 → ops: already_told",
    ]
    assert repr(sim) == "<Simulator at 3s, 4 entries>"


def test_what_was_told_can_be_had_of_one_alert_alone() -> None:
    sim = Simulator(rule(), rule("calm", "> 8"))
    sim.set("queue", 9)
    sim.set("queue", 6)
    sim.advance("1m")
    assert sim.told(alert_id="busy_app") == ["firing"]
    assert sim.told(alert_id="calm_app") == ["firing", "resolved"]
    assert len(sim.told()) == 3


def test_the_fixture_is_a_simulator_with_one_channel(simulator: Simulator) -> None:
    simulator.manager.add_rule(rule())
    simulator.set("queue", 9)
    assert simulator.told("ops") == ["firing"]


@pytest.mark.long
def test_a_day_of_a_hundred_rules_takes_seconds() -> None:
    """A week takes seven times that; the benchmarks measure it, and this only sees that it has not become minutes."""
    sim = Simulator(*[rule(f"r{n}", f"> {n}", evaluation_interval="1m", hold="5m") for n in range(100)])
    sim.every("5m", lambda at: sim.set("queue", at % 7), until="1d")
    begun = time.thread_time()
    sim.advance("1d")
    assert time.thread_time() - begun < 60
    assert sim.clock.now() == 86_400


# -- backtests -------------------------------------------------------------------------------------------------------------


def ramp(values: list[float], every: float = 60, start: float = 0) -> list[tuple[float, float]]:
    return [(start + n * every, value) for n, value in enumerate(values)]


def kinds(rule: AlertRule, *args: object, **more: object) -> tuple[str, ...]:
    return backtest(rule, *args, **more).kinds  # type: ignore[arg-type]


def test_a_backtest_says_what_a_rule_would_have_told() -> None:
    found = backtest(rule(hold="90s"), ramp([1, 9, 1, 9, 9, 9, 1, 1]))
    assert isinstance(found, Backtest)
    assert (found.kinds, found.incidents) == (("firing", "resolved"), 1)
    assert [alert.value for alert in found.alerts] == [9, 1]
    assert found.simulator.transitions()


def test_times_are_those_of_the_points_whatever_they_count_from() -> None:
    """Unix time took a simulation of fifty years."""
    start = datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()
    found = backtest(rule(), ramp([1, 9, 9, 1], start=start))
    fired = found.alerts[0].fired_at
    assert fired is not None
    assert 60 <= fired.timestamp() - start <= 70


@pytest.mark.parametrize(
    ("totals", "incidents"),
    [
        ([5000, 5000, 5001], 0),  # where it stands at first is no increase
        ([5000, 5001, 5008], 1),
        ([5000, 5000, 3], 0),  # a restart: three since then
        ([5000, 5000, 9], 1),
    ],
)
def test_the_values_of_a_counter_are_its_running_totals(totals: list[float], incidents: int) -> None:
    assert backtest(rule(time_window="5m"), ramp(totals), metric_type=MetricType.COUNTER).incidents == incidents


@pytest.mark.parametrize("metric_type", [MetricType.HISTOGRAM, MetricType.TIMER])
def test_the_values_of_a_distribution_are_observed(metric_type: MetricType) -> None:
    assert kinds(rule(condition="max > 5", time_window="5m"), ramp([1, 9, 1]), metric_type=metric_type) == (
        "firing",
        "resolved",
    )


def test_points_by_label_values_are_judged_by_group() -> None:
    judged = rule(group_by=["host"], match={"zone": "eu"}, collector="farm")
    found = backtest(judged, {("a",): ramp([1, 9, 1]), ("b",): ramp([1, 1, 1])})
    assert [alert.id for alert in found.alerts] == ['busy_farm{host="a"}'] * 2


def test_how_long_it_is_judged_after_the_last_point_can_be_said() -> None:
    assert kinds(rule(hold="1h"), ramp([9])) == ("firing",)
    assert kinds(rule(hold="1h"), ramp([9]), then="30m") == ()


def test_no_points_tell_nothing() -> None:
    assert kinds(rule(), []) == ()


@pytest.mark.parametrize(
    ("judged", "series", "seen"),
    [
        (AlertRule("own", "", "warning", condition="> 1", reading=lambda: 1), [], "AlertRule own"),
        (
            burn_rate_rules("b", good="g", total="t", objective=0.9, pairs=[(2, "1h", "5m", "error")])[0],
            [],
            "AlertRule b_burn",
        ),
        (rule(group_by=["host"]), [(0, 1)], r"the label values \(\); one for each of \('host',\)"),
        (rule(), {("a",): [(0, 1)]}, r"the label values \('a',\)"),
    ],
)
def test_what_cannot_be_tested_back_says_so(judged: AlertRule, series: object, seen: str) -> None:
    with pytest.raises(ConfigurationError, match=seen):
        backtest(judged, series)  # type: ignore[arg-type]
