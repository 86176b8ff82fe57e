"""The alert manager: from a recorded value to a told channel, and what people do in between."""

import asyncio
import logging
import threading
from collections.abc import Mapping

import pytest

from kailash_monitor.alerting.silence import SilenceState
from kailash_monitor.alerts import Alert, AlertManager, AlertRule, AlertStatus, NotificationChannel
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected, Retry
from kailash_monitor.engine.core import HOUSEKEEPING
from kailash_monitor.engine.dispatcher import PAST_SILENCES
from kailash_monitor.errors import ChannelError, ConfigurationError, RuleError
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.rules import create_host_alert_rules
from kailash_monitor.storage import MemoryStore
from kailash_monitor.testing import RecordingChannel, VirtualClock


def rule(name: str = "busy", condition: str = "> 5", **more: object) -> AlertRule:
    given = {"evaluation_interval": 1, "metric_name": "queue", **more}
    return AlertRule(name, "Too much waits", "warning", condition=condition, **given)  # type: ignore[arg-type]


@pytest.fixture
def app(registry: MetricsRegistry) -> MetricsCollector:
    return registry.collector("app")


@pytest.fixture
def channel() -> RecordingChannel:
    return RecordingChannel("rec")


@pytest.fixture
def manager(registry: MetricsRegistry, channel: RecordingChannel) -> AlertManager:
    manager = AlertManager(registry)
    manager.add_notification_channel(channel)
    return manager


async def test_told_once_and_told_when_it_is_over(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel
) -> None:
    manager.add_rule(rule(hold=3, labels={"team": "x"}, annotations={"summary": "Queue long", "runbook": "http://r"}))
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(2)
        assert [a.status for a in manager.get_all_alerts()] == [AlertStatus.PENDING]
        assert manager.get_active_alerts() == []
        await asyncio.sleep(20)
        assert channel.told() == [("firing", "busy_app")]
        app.set_gauge("queue", 12)
        await asyncio.sleep(5)
        app.set_gauge("queue", 1)
        await asyncio.sleep(20)
    assert channel.told() == [("firing", "busy_app"), ("resolved", "busy_app")]
    firing, resolved = (notice.alert for notice in channel.notices)
    assert (firing.title, firing.value, firing.status, dict(firing.labels)) == (
        "Queue long",
        9,
        AlertStatus.FIRING,
        {"team": "x"},
    )
    assert (resolved.value, resolved.peak, resolved.status, resolved.threshold) == (1, 12, AlertStatus.RESOLVED, 5)
    assert resolved.fired_at is not None
    assert resolved.resolved_at is not None
    assert 24 <= (resolved.resolved_at - resolved.fired_at).total_seconds() <= 26
    assert channel.notices[0].id != channel.notices[1].id
    assert channel.notices[0].context["kind"] == "firing"
    assert channel.notices[0].context["reason"] == "fired"


async def test_repeats_come_at_their_interval(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel
) -> None:
    manager.add_rule(rule(notification_interval=60))
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(150)
        assert [kind for kind, _ in channel.told()] == ["firing", "repeat", "repeat"]
        assert await manager.acknowledge_alert("busy_app", author="anna")
        await asyncio.sleep(600)
        assert len(channel.told()) == 3
        assert manager.alerts["busy_app"].status is AlertStatus.ACKNOWLEDGED
        app.set_gauge("queue", 0)
        await asyncio.sleep(2)
    assert [kind for kind, _ in channel.told()][-1] == "resolved"


async def test_what_is_not_there_cannot_be_acknowledged(manager: AlertManager, app: MetricsCollector) -> None:
    assert not await manager.acknowledge_alert("nothing")
    manager.add_rule(rule())
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(2)
        app.set_gauge("queue", 0)
        await asyncio.sleep(2)
        assert not await manager.acknowledge_alert("busy_app")


async def test_a_silence_before_telling_tells_nothing(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel
) -> None:
    manager.add_rule(rule())
    manager.silence_alert("busy_app", author="anna", reason="deploy")
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(10)
        assert manager.alerts["busy_app"].status is AlertStatus.SILENCED
        assert [a.id for a in manager.get_active_alerts()] == ["busy_app"]
        app.set_gauge("queue", 0)
        await asyncio.sleep(10)
        assert channel.told() == []
        app.set_gauge("queue", 9)  # the next incident is not silenced
        await asyncio.sleep(10)
    assert channel.told() == [("firing", "busy_app")]
    assert channel.notices[0].alert.incident == 2


async def test_a_silence_after_telling_does_not_keep_the_end_back(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel
) -> None:
    manager.add_rule(rule(notification_interval=5))
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(2)
        await manager.silence_alert("busy_app")
        await asyncio.sleep(100)
        app.set_gauge("queue", 0)
        await asyncio.sleep(2)
    assert channel.told() == [("firing", "busy_app"), ("resolved", "busy_app")]


async def test_a_timed_silence_ends_and_what_still_fires_is_told(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel
) -> None:
    manager.add_rule(rule())
    manager.silence_alert("busy_app", "1m")
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(59)
        assert channel.told() == []
        await asyncio.sleep(3)
        assert channel.told() == [("firing", "busy_app")]
        assert [silence.state for silence in manager.silences()] == [SilenceState.EXPIRED]


async def test_a_silence_for_an_alert_that_never_comes_is_forgotten(manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(rule(evaluation_interval=60))
    app.set_gauge("queue", 0)
    manager.silence_alert("busy_app")
    async with manager:
        await asyncio.sleep(86_000)
        assert [silence.state for silence in manager.silences()] == [SilenceState.ACTIVE]
        await asyncio.sleep(1000)
        assert [silence.state for silence in manager.silences()] == [SilenceState.EXPIRED]
        app.set_gauge("queue", 9)
        await asyncio.sleep(120)
        assert [alert.status for alert in manager.get_all_alerts()] == [AlertStatus.FIRING]


async def test_of_silences_that_are_over_a_thousand_are_remembered(manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(rule(evaluation_interval=30))
    app.set_gauge("queue", 0)
    for number in range(PAST_SILENCES + 100):
        manager.silence_alert("busy_app", "1s", reason=str(number))
    manager.silence_alert("busy_app", "1d", reason="holds")
    async with manager:
        await asyncio.sleep(2 * HOUSEKEEPING)
    reasons = [silence.reason for silence in manager.silences()]
    assert (len(reasons), reasons[0], reasons[-1]) == (PAST_SILENCES + 1, "100", "holds")


@pytest.mark.parametrize("duration", [0, "-5m"])
async def test_a_silence_lasts_some_time(manager: AlertManager, duration: object) -> None:
    with pytest.raises(ConfigurationError, match="above zero"):
        manager.silence_alert("busy_app", duration)  # type: ignore[arg-type]


async def test_removing_a_rule_ends_its_alerts_and_says_so(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel
) -> None:
    manager.add_rule(rule())
    manager.add_rule(rule("patient", hold=1000))
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(2)
        manager.remove_rule("busy")
        manager.remove_rule("patient")
        manager.remove_rule("never there")
        await asyncio.sleep(2)
    assert channel.told() == [("firing", "busy_app"), ("resolved", "busy_app")]
    assert manager.rules == {}
    assert [a.id for a in manager.get_all_alerts()] == ["busy_app"]


async def test_groups_are_alerts_of_their_own(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel
) -> None:
    manager.add_rule(rule(group_by=("site",)))
    async with manager:
        for site, value in (("a", 9), ("b", 1), ("c", 7)):
            app.set_gauge("queue", value, {"site": site})
        await asyncio.sleep(2)
    assert sorted(channel.told()) == [("firing", 'busy_app{site="a"}'), ("firing", 'busy_app{site="c"}')]
    assert channel.notices[0].alert.title == "Busy (a)"
    assert channel.notices[0].alert.labels == {"site": "a"}


async def test_a_rule_applies_in_every_collector_that_has_the_metric(
    manager: AlertManager, registry: MetricsRegistry, channel: RecordingChannel
) -> None:
    manager.add_rule(rule())
    manager.add_rule(rule("narrow", collector="b"))
    for name in ("a", "b"):
        registry.collector(name).set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(2)
    assert sorted(key for _, key in channel.told()) == ["busy_a", "busy_b", "narrow_b"]


async def test_a_reading_that_raises_changes_nothing_for_others(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel, caplog: pytest.LogCaptureFixture
) -> None:
    broken = False

    def read() -> float:
        if broken:
            raise OSError("no such sensor")
        return 9.0

    app.callback_gauge("sensor", read)
    manager.add_rule(rule("fragile", metric_name="sensor"))
    manager.add_rule(rule())
    async with manager:
        await asyncio.sleep(3)
        broken = True
        app.set_gauge("queue", 9)
        await asyncio.sleep(60)
        states = {s.rule.name: (s.state, s.error, s.evaluations) for s in manager.rule_status()}
    assert channel.told() == [  # unknown is never over
        ("firing", "fragile_app"),
        ("firing", "busy_app"),
        ("firing", 'data_unknown_app{cause="NoAnswer"}'),
    ]
    assert states["busy"] == ("firing", None, 64)
    assert states["fragile"] == ("firing", "app: its callback raised OSError: no such sensor", 64)
    assert caplog.text.count("rule 'fragile' cannot be judged: app: its callback raised OSError: no such sensor") == 1


async def test_a_channel_that_never_answers_changes_nothing_for_others(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel
) -> None:
    class Hanging(NotificationChannel):
        tries = 0

        async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
            self.tries += 1
            await asyncio.Event().wait()
            return True

    hanging = Hanging()
    manager.add_notification_channel(hanging)
    manager.add_rule(rule())
    for n in range(20):
        manager.add_rule(rule(f"rule{n}"))
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(0.001)
        assert len(channel.told()) == 21
        await asyncio.sleep(60)
        assert {s.evaluations for s in manager.rule_status()} <= {60, 61, 62}
        assert hanging.tries > 8
        doubts = [d for d in manager.deliveries() if d.channel == "hanging"]
        assert {(d.outcome, d.why) for d in doubts} == {("retry", "no answer within 10 s")}


async def test_a_retry_is_the_same_message(
    manager: AlertManager, app: MetricsCollector, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Outcome | None] = [Retry("HTTP 500"), Retry("HTTP 503", after=7.0), None]
    times: list[float] = []

    def answer(notice: Notice) -> Outcome | None:
        times.append(asyncio.get_running_loop().time())
        return answers.pop(0)

    flaky = RecordingChannel("flaky", answer)
    manager.add_notification_channel(flaky)
    manager.add_rule(rule())
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(60)
    assert len({notice.id for notice in flaky.attempts}) == 1
    assert flaky.told() == [("firing", "busy_app")]
    assert times[1] - times[0] <= 0.5
    assert times[2] - times[1] >= 7
    assert [(d.outcome, d.attempt) for d in manager.deliveries() if d.channel == "flaky"] == [
        ("retry", 1), ("retry", 2), ("delivered", 3),
    ]  # fmt: skip
    assert caplog.text.count("channel 'flaky' could not take firing of busy_app: HTTP 500; trying again") == 1


async def test_what_came_and_went_in_an_outage_is_missed_and_not_resolved(
    manager: AlertManager, app: MetricsCollector
) -> None:
    down = RecordingChannel("down", lambda notice: Retry("HTTP 503"))
    manager.add_notification_channel(down)
    manager.add_rule(rule())
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(30)
        app.set_gauge("queue", 0)
        await asyncio.sleep(120)
        await asyncio.sleep(600)
    assert {notice.kind.value for notice in down.attempts} == {"firing", "missed"}  # and it is told once it can be
    assert down.attempts[-1].context["missed"] == 1


async def test_a_doubtful_message_is_repeated_before_the_end_is_told(manager: AlertManager, app: MetricsCollector) -> None:
    doubts = 3

    def answer(notice: Notice) -> Outcome | None:
        nonlocal doubts
        doubts -= 1
        return Retry("no answer", in_doubt=True) if doubts >= 0 else None

    channel = RecordingChannel("doubtful", answer)
    manager.add_notification_channel(channel)
    manager.add_rule(rule())
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(1.5)
        app.set_gauge("queue", 0)
        await asyncio.sleep(120)
    assert channel.told() == [("firing", "busy_app"), ("resolved", "busy_app")]
    assert len({notice.id for notice in channel.attempts}) == 2


async def test_a_channel_hears_firing_and_resolved_in_turn_through_an_outage(
    manager: AlertManager, app: MetricsCollector
) -> None:
    up = True
    channel = RecordingChannel("shaky", lambda notice: None if up else Retry("HTTP 503"))
    manager.add_notification_channel(channel)
    manager.add_rule(rule())
    async with manager:
        for round_ in range(10):
            up = round_ % 3 != 1
            app.set_gauge("queue", 9)
            await asyncio.sleep(90)
            up = round_ % 4 != 1
            app.set_gauge("queue", 0)
            await asyncio.sleep(90)
        up = True
        await asyncio.sleep(300)
    told = [notice for notice in channel.notices if notice.kind is not NoticeKind.MISSED]
    assert [notice.kind.value for notice in told] == ["firing", "resolved"] * (len(told) // 2)
    assert all(a.alert.incident == b.alert.incident for a, b in zip(told[::2], told[1::2], strict=True))
    missed = [notice.context["missed"] for notice in channel.notices if notice.kind is NoticeKind.MISSED]
    assert sum(missed) + len(told) // 2 == 10  # of every incident it has heard


async def test_a_rejected_message_is_given_up(
    manager: AlertManager, app: MetricsCollector, caplog: pytest.LogCaptureFixture
) -> None:
    gone = RecordingChannel("gone", lambda notice: Rejected("HTTP 404"))
    manager.add_notification_channel(gone)
    manager.add_rule(rule())
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(600)
        app.set_gauge("queue", 0)
        await asyncio.sleep(10)
    assert len(gone.attempts) == 1
    assert "channel 'gone' was not told firing of busy_app: HTTP 404" in caplog.text
    assert [d.outcome for d in manager.deliveries() if d.channel == "gone"] == ["given up"]


async def test_a_users_channel_needs_only_one_method(manager: AlertManager, app: MetricsCollector) -> None:
    heard: list[str] = []
    own: set[str] = set()

    class Refusing(NotificationChannel):
        async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
            heard.append(f"refused {context['kind']}")
            return False

    class Raising(NotificationChannel):
        async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
            heard.append("raised" if alert.rule_name == "busy" else "raised again")
            raise KeyError("s3cret")

    class Plain:
        def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
            if alert.rule_name == "busy":
                heard.append(f"plain {alert.status.value}")
            else:
                own.add(alert.id)
            return True

    class Late:
        def send_notification(self, alert: Alert, context: Mapping[str, object]) -> object:
            async def send() -> bool:
                heard.append("late" if alert.rule_name == "busy" else "own")
                return True

            return send()

    for channel in (Refusing(), Raising(), Plain(), Late()):
        manager.add_notification_channel(channel)  # type: ignore[arg-type]
    manager.add_rule(rule())
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(3599)
    assert heard.count("plain firing") == heard.count("late") == 4  # one firing, and repeats each quarter of an hour
    assert heard.count("raised") == 3
    assert heard.count("refused firing") > 60
    whys = [d.why for d in manager.deliveries() if d.channel == "raising" and d.about("busy_app")]
    assert whys == ["raised KeyError", "raised KeyError", "raised KeyError, 3 times"]  # the text may hold a secret
    assert 'channel_failing_monitor{channel="refusing"}' in own


async def test_an_abstract_channel_says_what_to_define(manager: AlertManager) -> None:
    with pytest.raises(NotImplementedError, match="NotificationChannel does not say how to send: define send_notification"):
        await NotificationChannel().send_notification(Alert("a", "r", None, "t", "d"), {})  # type: ignore[arg-type]


async def test_channels_are_named_after_their_class_and_numbered(registry: MetricsRegistry) -> None:
    class PagerNotificationChannel(NotificationChannel):
        pass

    manager = AlertManager(registry)
    for _ in range(3):
        manager.add_notification_channel(PagerNotificationChannel())
    assert list(manager._postman.channels) == ["pager", "pager-2", "pager-3"]
    assert len(manager.notification_channels) == 3
    manager.add_notification_channel(RecordingChannel("x"))
    with pytest.raises(ChannelError, match="channel 'x': a second of that name; give it another name"):
        manager.add_notification_channel(RecordingChannel("x"))


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (object(), "no method send_notification"),
        (RecordingChannel, "an object with send_notification"),
        (RecordingChannel(name=""), "the name ''; a text that is not empty, or None"),
    ],
)
async def test_what_is_no_channel_is_refused(manager: AlertManager, thing: object, message: str) -> None:
    with pytest.raises(ChannelError, match=message):
        manager.add_notification_channel(thing)  # type: ignore[arg-type]


async def test_two_rules_of_one_name_are_refused(manager: AlertManager) -> None:
    manager.add_rule(rule())
    with pytest.raises(RuleError, match="rule 'busy': a second rule of that name; give it another name"):
        manager.add_rule(rule())


async def test_rules_whose_alerts_would_share_an_id_are_refused(manager: AlertManager, registry: MetricsRegistry) -> None:
    registry.collector("b_c")
    registry.collector("c")
    manager.add_rule(rule("a"))
    with pytest.raises(RuleError, match="rule 'a_b': the alert id 'a_b_c', which rule 'a' uses as well; ids are"):
        manager.add_rule(rule("a_b"))


async def test_an_id_that_collides_later_is_an_error_of_the_second_rule(
    manager: AlertManager, registry: MetricsRegistry, channel: RecordingChannel
) -> None:
    manager.add_rule(rule("a"))
    manager.add_rule(rule("a_b"))
    for name in ("c", "b_c"):
        registry.collector(name).set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(3)
        errors = [s.error for s in manager.rule_status() if s.error]
    assert len(errors) == 1
    assert "'a_b_c'" in errors[0]
    assert "rename one of them" in errors[0]
    assert sorted(key for _, key in channel.told()) == ["a_b_b_c", "a_b_c", "a_c"]


async def test_a_rule_that_does_not_fit_its_metric_is_refused_when_added(
    manager: AlertManager, app: MetricsCollector
) -> None:
    app.increment("hits")
    with pytest.raises(RuleError, match="'avg' does not fit a counter"):
        manager.add_rule(rule(metric_name="hits", condition="avg > 5"))
    manager.add_rule(rule(metric_name="hits", condition="avg > 5", collector="other"))


async def test_a_manager_judges_a_registry() -> None:
    with pytest.raises(ConfigurationError, match="'metrics' as registry; a MetricsRegistry, such as get_metrics_registry"):
        AlertManager("metrics")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stop_timeout", "message"),
    [
        ("abc", "AlertManager: stop_timeout 'abc' is not a duration"),
        ("-1s", "AlertManager: stop_timeout = '-1s'; a duration not negative"),
        (True, "AlertManager: stop_timeout True is not a duration"),
    ],
)
async def test_a_stop_takes_some_time(registry: MetricsRegistry, stop_timeout: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AlertManager(registry, stop_timeout=stop_timeout)  # type: ignore[arg-type]


async def test_what_is_no_rule_is_refused(manager: AlertManager) -> None:
    with pytest.raises(RuleError, match="AlertManager.add_rule: 'x' as a rule; an AlertRule"):
        manager.add_rule("x")  # type: ignore[arg-type]


@pytest.mark.parametrize(("busy_for", "fires"), [(40, False), (600, True)])
async def test_a_machine_that_is_busy_at_the_start_is_told_of_after_a_minute(
    registry: MetricsRegistry, busy_for: float, fires: bool
) -> None:
    """As the rule says: "for more than a minute"; the first seconds alone are no average of a minute."""
    manager = AlertManager(registry)
    (high,) = [r for r in create_host_alert_rules() if r.name == "host_cpu_high"]
    manager.add_rule(high)
    cpu = registry.collector("host").gauge("cpu_usage_ratio")
    first_told = None
    async with manager:
        for second in range(0, 300, 5):
            cpu.set(1.0 if second < busy_for else 0.1)
            await asyncio.sleep(5)
            if manager.get_active_alerts():
                first_told = first_told or second + 5
    assert (first_told is not None) == fires
    if first_told is not None:
        assert 60 < first_told <= 75


async def test_rule_status_and_health_tell_how_it_goes(manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(rule())
    manager.add_rule(rule("off", enabled=False))
    manager.add_rule(rule("lonely", metric_name="nothing"))
    manager.add_rule(rule("patient", hold=100))
    manager.add_rule(rule("calm", condition="> 50"))
    manager.add_rule(rule("unfit", metric_name="later", condition="increase > 1"))
    assert {s.state for s in manager.rule_status()} == {"waiting", "disabled"}
    assert (manager.health().running, manager.health().ready, manager.health().overdue) == (False, False, 0.0)
    app.set_gauge("queue", 9)
    app.set_gauge("later", 9)
    async with manager:
        await asyncio.sleep(2)
        states = {s.rule.name: s.state for s in manager.rule_status()}
        assert states == {
            "busy": "firing", "off": "disabled", "lonely": "waiting", "patient": "pending", "calm": "inactive", "unfit": "error",
        }  # fmt: skip
        assert manager.health().ready
        busy = manager.rule_status()[0]
        assert busy.value == 9
        assert busy.next_evaluation is not None
        assert busy.last_evaluation is not None
        assert busy.next_evaluation > busy.last_evaluation
        assert repr(manager) == "<AlertManager running, 6 rules, 1 alerts active>"
    assert manager.rule_status()[0].next_evaluation is None
    assert manager.rule_status()[0].evaluations == busy.evaluations


async def test_resolved_alerts_are_shown_for_a_quarter_of_an_hour(manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(rule())
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(2)
        app.set_gauge("queue", 0)
        await asyncio.sleep(800)
        assert [a.status for a in manager.get_all_alerts()] == [AlertStatus.RESOLVED]
        await asyncio.sleep(200)
        assert manager.get_all_alerts() == []
        assert list(manager.core.outbox.lanes()) == []


async def test_a_channel_that_is_added_while_it_fires_hears_of_it(manager: AlertManager, app: MetricsCollector) -> None:
    manager.add_rule(rule())
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(10)
        late = RecordingChannel("late")
        manager.add_notification_channel(late)
        await asyncio.sleep(2)
        assert late.told() == [("firing", "busy_app")]


async def test_what_the_registry_has_to_say_goes_to_the_log(
    manager: AlertManager, app: MetricsCollector, caplog: pytest.LogCaptureFixture
) -> None:
    async with manager:
        app.increment("hits", -1)
    assert "collector 'app': metric 'hits' dropped the value -1" in caplog.text


async def test_sources_are_sampled_before_the_first_evaluation(
    manager: AlertManager,
    registry: MetricsRegistry,
    clock: VirtualClock,
    channel: RecordingChannel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Thermometer:
        name = "kitchen"
        every = 5.0

        def __init__(self) -> None:
            self.collector = MetricsCollector(clock=clock)
            self.samples: list[float] = []

        def sample(self) -> None:
            self.samples.append(clock.now())
            if len(self.samples) in (3, 4):
                raise OSError("unplugged")
            self.collector.set_gauge("queue", 9)

    class Slow(Thermometer):
        name = "slow"

        async def sample(self) -> None:  # type: ignore[override]
            await asyncio.sleep(1e6)

    source, slow = Thermometer(), Slow()
    manager.add_source(source)
    manager.add_source(slow)
    manager.add_rule(rule())
    caplog.set_level(logging.INFO)
    async with manager:
        await asyncio.sleep(22)
    assert source.samples == [0, 5, 10, 15, 20]
    assert channel.told() == [("firing", "busy_kitchen")]
    assert caplog.text.count("source 'kitchen' could not be sampled: OSError: unplugged") == 1
    assert caplog.text.count("source 'kitchen' is sampled again") == 1
    assert caplog.text.count("source 'slow' could not be sampled: no answer within 10 s") == 1


@pytest.mark.real_time
async def test_a_source_that_hangs_holds_one_thread_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from kailash_monitor.engine import sampler

    monkeypatch.setattr(sampler, "SAMPLE_SECONDS", 0.05)
    release = threading.Event()

    class Dead:
        name = "dead"
        every = 0.01
        calls = 0

        def __init__(self) -> None:
            self.collector = MetricsCollector()

        def sample(self) -> None:
            self.calls += 1
            release.wait(10)

    source = Dead()
    manager = AlertManager(MetricsRegistry(), stop_timeout=0.1)
    manager.add_source(source)
    async with manager:
        await asyncio.sleep(0.3)
        assert source.calls == 1
        release.set()
        await asyncio.sleep(0.3)
        assert source.calls > 1


async def test_what_a_channel_does_not_know_yet_can_be_asked(registry: MetricsRegistry, app: MetricsCollector) -> None:
    answer: Outcome = Retry("HTTP 503", after=1000.0)
    channel = RecordingChannel(answer=lambda notice: answer)
    manager = AlertManager(registry)
    manager.add_notification_channel(channel)
    manager.add_rule(rule(notification_interval=60))
    assert manager.untold() == []
    async with manager:
        app.set_gauge("queue", 9)
        await asyncio.sleep(2)
        assert [(u.alert_id, u.kind.value) for u in manager.untold()] == [("busy_app", "firing")]
    assert [(u.alert_id, u.kind.value) for u in manager.untold()] == [("busy_app", "firing")]
    answer = Delivered()
    async with manager:
        await asyncio.sleep(1100)
        assert manager.untold() == []
        answer = Retry("HTTP 503", after=1000.0)
        await asyncio.sleep(61)
        assert manager.untold() == []  # a repeat tells nothing new
        app.set_gauge("queue", 1)
        await asyncio.sleep(1000)
        assert [(u.alert_id, u.kind.value) for u in manager.untold()] == [("busy_app", "resolved")]


async def test_a_channel_that_delivers_nonsense_ends_nothing(
    manager: AlertManager, app: MetricsCollector, channel: RecordingChannel
) -> None:
    class Wrong:
        async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
            return True

        async def deliver(self, notice: Notice) -> object:
            return True

    manager.add_notification_channel(Wrong())  # type: ignore[arg-type]
    manager.add_rule(rule())
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(60)
        app.set_gauge("queue", 0)
        await asyncio.sleep(60)
        assert manager.running
    assert [kind for kind, _ in channel.told()] == ["firing", "resolved"]
    whys = {d.why for d in manager.deliveries() if d.channel == "wrong"}
    assert "answered bool, which is no outcome, 3 times" in whys


async def test_a_reading_that_ends_the_program_does_not(manager: AlertManager, app: MetricsCollector) -> None:
    def leave() -> float:
        raise SystemExit(3)

    manager.add_rule(AlertRule("leaving", "", "error", condition="> 5", reading=leave, evaluation_interval=1))
    async with manager:
        await asyncio.sleep(3)
        (status,) = manager.rule_status()
    assert status.error is not None
    assert "raised SystemExit" in status.error


async def test_a_function_can_be_a_channel_plain_or_async(manager: AlertManager, app: MetricsCollector) -> None:
    heard: list[str] = []

    def page(alert: Alert, context: Mapping[str, object]) -> None:
        heard.append(f"page {context['kind']} in {threading.current_thread() is threading.main_thread()}")

    async def mail(alert: Alert, context: Mapping[str, object]) -> bool:
        heard.append(f"mail {context['kind']}")
        return len(heard) > 3  # False is tried again

    manager.add_notification_channel(page)
    manager.add_notification_channel(mail)
    manager.add_notification_channel(lambda alert, context: heard.append("lambda"))
    assert list(manager.channels_by_name())[1:] == ["page", "mail", "function"]
    manager.add_rule(rule())
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(30)
    assert sorted(set(heard)) == ["lambda", "mail firing", "page firing in False"]  # what is plain runs in a thread
    assert heard.count("mail firing") >= 2
    assert heard.count("lambda") == heard.count("page firing in False") == 1


async def test_a_channel_that_is_none_says_what_is_expected_without_showing_it(manager: AlertManager) -> None:
    with pytest.raises(ChannelError, match="no method send_notification") as refused:
        manager.add_notification_channel("https://hooks.example.com/s3cret")  # type: ignore[arg-type]
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("rate", [5, (0, 1), (1, 0), (1,), ("1", 1), (1, 1.5)])
async def test_a_rate_that_is_none_is_refused(manager: AlertManager, rate: object) -> None:
    with pytest.raises(ChannelError, match="messages a second and at once, such as"):
        manager.add_notification_channel(NotificationChannel(), rate=rate)  # type: ignore[arg-type]


async def test_a_stop_is_over_within_its_drain_and_a_second_whatever_hangs(app: MetricsCollector) -> None:
    class Hanging(NotificationChannel):
        async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
            await asyncio.sleep(3600)
            return True

    manager = AlertManager(app.registry, store=MemoryStore())
    manager.add_notification_channel(Hanging())
    manager.add_rule(rule())
    app.set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(1)
        begun = asyncio.get_running_loop().time()
        await manager.stop(drain=3.0)
        assert asyncio.get_running_loop().time() - begun <= 4.0
    assert manager.outbox()[0].in_doubt  # it goes out after the next start
