"""The laws of the engine, over random scripts of recordings, edits, people's acts, outages and jumps of time."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.alerting.audit import Decision, Remark
from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route
from kailash_monitor.delivery.outcome import Outcome, Rejected, Retry
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.reason import KIND_OF, Reason
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import Attempt, RecordingChannel, Simulator

from effort import examples  # isort: skip

HOSTS: Final = ("a", "b", "c")
CHANNELS: Final = ("ops", "pager")

DEPTHS: Final = [
    AlertRule("depth", "Judged by the reference", "warning", "depth", "> 5", labels={"variant": str(n)}, **more)  # type: ignore[arg-type]
    for n, more in enumerate(
        [
            {},
            {"hold": 30},
            {"hold": 30, "keep_firing": 45, "clear": 3},
            {"hold": 95, "evaluation_interval": 30, "notification_interval": 0},
            {"keep_firing": 20, "evaluation_interval": 7, "annotations": {"summary": "Deep"}},
        ]
    )
]
OTHERS: Final = [
    AlertRule(
        "hosts",
        "One for each host",
        None,
        "load",
        ">",
        levels={"warning": 5, "critical": 15},
        group_by=["host"],
        max_alerts=2,
        on_write=True,
    ),
    AlertRule("errors", "A counter", "error", "errors", "> 2", time_window="10s", flapping=(3, "2m"), on_write=True),
]
ROUTES: Final = [
    Route(),
    Route(channels=["ops"], routes=[Route(match={"severity": "critical"}, channels=["pager", "ops"])]),
    Route(channels=["ops"], escalation=[("2m", ["pager"])]),
    Route(group_by=["alertname"], wait="30s", interval="2m"),
    Route(channels=["pager"], group_by=[], wait="10s", interval="1m", routes=[Route(match={"host": "a"}, channels=[])]),
    Route(mute_times=[MuteTime("some hours", times=["22:20-23:00", "00:00-00:05"])]),
]
INHIBITIONS: Final = [[], [Inhibition({"host": "a"}, 'alertname=~"depth|hosts"', ["severity"])]]
IDS: Final = ["depth_app", "errors_app", *(f'hosts_app{{host="{host}"}}' for host in HOSTS), 'hosts_app{overflow="true"}']

ANSWERS: Final[dict[str, Outcome | None]] = {
    "accepts": None,
    "is down": Retry("down"),
    "loses the answer": Retry("lost", in_doubt=True),
    "rejects": Rejected("refused"),
}

Step = tuple[str, *tuple[object, ...]]
Script = tuple[tuple[float, float], list[Step]]

VALUES: Final = st.sampled_from([0.0, 4.0, 9.0, 20.0])
SECONDS: Final = st.sampled_from([0.0, 1.0, 9.5, 10.0, 30.0, 31.0, 95.0, 400.0, 1500.0])
STEPS: Final[st.SearchStrategy[Step]] = st.one_of(
    st.tuples(st.just("depth"), VALUES | st.sampled_from(["nothing", "an error"])),
    st.tuples(st.just("load"), st.sampled_from(HOSTS), VALUES),
    st.tuples(st.just("errors"), st.integers(1, 4)),
    st.tuples(st.just("remove series"), st.sampled_from(HOSTS)),
    st.tuples(st.just("advance"), SECONDS),
    st.tuples(st.just("advance"), SECONDS),
    st.tuples(st.just("suspend"), SECONDS),
    st.tuples(st.just("set the wall clock"), st.sampled_from([-3600.0, 5.0, 1800.0])),
    st.tuples(st.just("restart"), SECONDS),
    st.tuples(st.just("replace"), st.integers(0, len(DEPTHS) - 1)),
    st.tuples(st.sampled_from(["remove", "add", "disable", "enable"]), st.sampled_from(["depth", "hosts", "errors"])),
    st.tuples(st.just("silence an alert"), st.sampled_from(IDS), st.sampled_from([None, 60, 600])),
    st.tuples(st.just("silence"), st.sampled_from(["depth", "hosts", "errors"]), st.sampled_from([0, 30])),
    st.tuples(st.just("end a silence"), st.integers(0, 3)),
    st.tuples(st.just("acknowledge"), st.sampled_from(IDS)),
    st.tuples(st.just("routes"), st.integers(0, len(ROUTES) - 1)),
    st.tuples(st.just("inhibitions"), st.integers(0, len(INHIBITIONS) - 1)),
    st.tuples(st.just("channel"), st.sampled_from(CHANNELS), st.sampled_from([*ANSWERS, "raises"])),
)
SCRIPTS: Final[st.SearchStrategy[Script]] = st.tuples(
    st.tuples(*[st.sampled_from([0.0, 3.0, 40.0])] * 2), st.lists(STEPS, min_size=12, max_size=40)
)


class Reference:
    """What the rule `depth` makes of what it sees, in a few lines: how long it was seen breached, or clear, in a row.

    Time before a look that knew nothing, and a time without looks, count for nothing.
    """

    def __init__(self) -> None:
        self.state, self.held, self.last = "", 0.0, 0.0
        self.became: list[tuple[float, str]] = []

    def sees(self, depth: float | None, rule: AlertRule, now: float) -> None:
        """Take in what one evaluation saw; None is an error."""
        passed = now - self.last if now - self.last <= 3 * rule.evaluation_interval else 0.0
        self.last = now
        if depth is None:
            return
        active = self.state in ("firing", "recovering")
        breached = depth > (rule.clear if active and rule.clear is not None else rule.threshold)
        counting = "pending" if breached else "recovering"
        self.held = self.held + passed if self.state == counting else 0.0
        if breached:
            wanted = "firing" if active or self.held >= rule.hold - 1e-6 else "pending"
        else:
            wanted = "" if not active else "resolved" if self.held >= rule.keep_firing - 1e-6 else "recovering"
        self._becomes(wanted, now)

    def taken_away(self, now: float) -> None:
        """Take in that the rule was removed or disabled."""
        self._becomes("resolved" if self.state in ("firing", "recovering") else "", now)

    def restarted(self, now: float) -> None:
        """Take in that nobody judged until now."""
        self.last = now

    def _becomes(self, state: str, now: float) -> None:
        if state and state != self.state:
            self.became.append((now, state))
        self.state = "" if state == "resolved" else state


class World:
    """A simulator to which a script happens, and the reference that sees the same."""

    def __init__(self, script: Script) -> None:
        takes, steps = script
        self.modes = dict.fromkeys(CHANNELS, "accepts")
        self.depth: object = 0.0
        self.reference = Reference()
        self.sim = Simulator(
            *OTHERS,
            channels=[RecordingChannel(name, lambda notice, name=name: self._answer(name)) for name in CHANNELS],  # type: ignore[misc]
            takes=dict(zip(CHANNELS, takes, strict=True)),
        )
        self.manager = self.sim.manager
        self.sim.collector().callback_gauge("depth", self._ask)
        self.manager.add_rule(DEPTHS[0])
        self.sim.run()
        for step in steps:
            self._act(*step)
            self.sim.run()

    def _answer(self, channel: str) -> Outcome | None:
        if self.modes[channel] == "raises":
            raise OSError("a defect")
        return ANSWERS[self.modes[channel]]

    def _ask(self) -> float | None:
        rule, now = self.manager.rules["depth"], self.sim.clock.now()
        if self.depth == "an error":
            self.reference.sees(None, rule, now)
            raise OSError("not there")
        depth = self.depth if isinstance(self.depth, float) else None
        self.reference.sees(depth, rule, now)  # nothing to say is nothing known
        return depth

    def _act(self, what: str, *args: object) -> None:
        sim, manager, clock = self.sim, self.manager, self.sim.clock
        match what, *args:
            case "depth", depth:
                self.depth = depth
            case "load", str(host), float(load):
                sim.set("load", load, {"host": host})
            case "errors", int(by):
                sim.inc("errors", by)
            case "remove series", str(host):
                metric = sim.collector().get_metric("load")
                if metric is not None:
                    metric.remove({"host": host})
            case "advance", float(seconds):
                sim.advance(seconds)
            case "suspend", float(seconds):
                clock.suspend(seconds)
            case "set the wall clock", float(seconds):
                clock.set_wall(clock.wall() + seconds)
            case "restart", float(seconds):
                clock.advance(seconds)
                manager.core.begin()
                self.reference.restarted(clock.now())
            case "replace", int(variant):
                if not manager.rules["depth"].enabled if "depth" in manager.rules else False:
                    self.reference.taken_away(clock.now())
                manager.replace_rule(DEPTHS[variant])
            case "silence an alert", str(alert_id), int() | None as duration:
                manager.silence_alert(alert_id, duration)
            case "silence", str(rule), int(starts_in):
                manager.silence(alertname=rule, duration="20m", starts_in=starts_in)
            case "end a silence", int(index):
                for silence in manager.silences()[index : index + 1]:
                    manager.end_silence(silence.id)
            case "acknowledge", str(alert_id):
                manager.acknowledge_alert(alert_id)
            case "routes", int(index):
                manager.set_routes(ROUTES[index])
            case "inhibitions", int(index):
                manager.set_inhibitions(INHIBITIONS[index])
            case "channel", str(name), str(mode):
                self.modes[name] = mode
            case (("remove" | "add" | "disable" | "enable"), str(name)):
                self._edit(what, name)
            case _:
                raise AssertionError(what)

    def _edit(self, what: str, name: str) -> None:
        manager, there = self.manager, name in self.manager.rules
        if what == "add" and not there:
            manager.add_rule(next(rule for rule in (*DEPTHS, *OTHERS) if rule.name == name))
        elif what == "remove":
            manager.remove_rule(name)
        elif what == "disable" and there:
            manager.disable_rule(name)
        elif what == "enable" and there:
            manager.enable_rule(name)
        if name == "depth" and what in ("remove", "disable"):
            self.reference.taken_away(self.sim.clock.now())

    def calm_down(self) -> None:
        """Have everything accept, and nothing suppress; an hour later nothing is under way any more."""
        self.modes = dict.fromkeys(CHANNELS, "accepts")
        self.manager.set_routes(Route())
        self.manager.set_inhibitions([])
        for silence in self.manager.silences():
            self.manager.end_silence(silence.id)
        self.sim.advance("1h")

    def become_quiet(self) -> None:
        """Have nothing breached any more."""
        self.depth = 0.0
        metric = self.sim.collector().get_metric("load")
        for series in () if metric is None else metric.series:
            self.sim.set("load", 0, series.labels)
        self.sim.advance("1h")

    # -- what came of it -----------------------------------------------------------------------------------------------

    def words(self) -> dict[tuple[str, str], str]:
        """Give the last word that each channel heard of each alert, and check that they come in turn.

        "maybe" is a firing of which it is not known whether it was heard; after a message that was refused for good there
        is no saying ("anything").
        """
        words: dict[tuple[str, str], str] = {}
        for attempt in self.sim.timeline:
            if isinstance(attempt, Attempt):
                for reason, alert in told_in(attempt.notice):
                    key = (attempt.channel, alert.id)
                    words[key] = _word(words.get(key, "over"), attempt, reason, alert)
        return words


def told_in(notice: Notice) -> list[tuple[Reason, Alert]]:
    """Give what a message says of each alert, and why."""
    if notice.kind is not NoticeKind.DIGEST:
        return [(Reason(notice.extra["reason"]), notice.alert)]
    reasons = notice.extra["reasons"]
    assert isinstance(reasons, list)
    assert [KIND_OF[Reason(reason)] for reason in reasons] == [item.kind for item in notice.items]
    return [(Reason(reason), item.alert) for reason, item in zip(reasons, notice.items, strict=True)]


def _word(word: str, attempt: Attempt, reason: Reason, alert: Alert) -> str:
    """Give what a channel has heard after one more attempt, where that may be."""
    fires = alert.status is AlertStatus.FIRING
    assert fires is (reason in FIRES) or reason is Reason.FLAPPING or reason is Reason.STABLE
    match attempt.outcome:
        case "down":
            return word
        case "lost":
            return "maybe" if word == "over" and (reason in FIRES or reason is Reason.FLAPPING) else word
        case "refused" | "raised OSError":
            return "anything"
    assert attempt.outcome == "delivered"
    assert word in MAY_FOLLOW[reason], f"{attempt.channel} heard {reason.value} of {alert.id} after {word}"
    if reason is Reason.MISSED:
        return word
    return "firing" if fires or reason is Reason.FLAPPING else "over"


FIRES: Final = {Reason.FIRED, Reason.RAISED, Reason.ESCALATED, Reason.REPEAT_DUE}
_TOLD: Final = {"firing", "maybe", "anything"}
MAY_FOLLOW: Final = {
    Reason.FIRED: {"over", "maybe", "anything"},
    Reason.ESCALATED: {"over", "maybe", "anything"},
    Reason.RAISED: {"firing", "maybe", "anything"},
    Reason.REPEAT_DUE: {"firing", "anything"},
    Reason.FLAPPING: {"over", *_TOLD},
    Reason.STABLE: {"firing", "anything"},
    Reason.MISSED: {"over", "anything"},
    **dict.fromkeys((Reason.RESOLVED, Reason.RULE_REMOVED, Reason.SERIES_REMOVED, Reason.REROUTED), _TOLD),
}
"""After which word a channel may hear something for that reason."""


def law_of_the_reference(world: World) -> None:
    """`depth` fires and resolves exactly when the reference says: never before its hold, never by an error or a gap."""
    seen = [(at, what.split()[-2]) for at, what in world.sim.transitions("depth_app")]
    assert seen == world.reference.became


def law_of_reasons(world: World) -> None:
    """Every decision has one reason, and a message if and only if that tells; every message has one decision per alert."""
    decided: dict[tuple[str | None, str], list[Reason]] = {}
    for entry in world.sim.timeline:
        if isinstance(entry, Decision):
            assert (entry.message_id is not None) is entry.reason.tells
            decided.setdefault((entry.message_id, entry.alert_id), []).append(entry.reason)
    for entry in world.sim.timeline:
        if isinstance(entry, Attempt):
            for reason, alert in told_in(entry.notice):
                assert decided[entry.notice.id, alert.id] == [reason]


def law_of_labels(world: World) -> None:
    """The labels of an alert do not change during an incident, whatever becomes of its rule."""
    labels: dict[tuple[str, object], object] = {}
    for entry in world.sim.timeline:
        if isinstance(entry, Attempt):
            for _, alert in told_in(entry.notice):
                assert labels.setdefault((alert.id, alert.created_at), dict(alert.labels)) == dict(alert.labels)


def law_of_what_fires(world: World) -> None:
    """No channel hears of an incident that did not fire, nor that one is over which goes on where it is told."""
    states: dict[tuple[str, str], str] = {}
    for entry in world.sim.timeline:
        if isinstance(entry, Remark) and entry.alert_id:
            number, *_, state, _ = entry.what.split()
            states[entry.alert_id, number] = state
        elif isinstance(entry, Decision) and entry.reason in FIRES:
            assert states[entry.alert_id, f"#{entry.incident}"] in ("firing", "recovering")


LAWS: Final[list[Callable[[World], None]]] = [law_of_the_reference, law_of_reasons, law_of_labels, law_of_what_fires]


@pytest.mark.untraced
@settings(max_examples=examples(40), derandomize=True)
@given(SCRIPTS)
def test_whatever_happens_the_laws_hold_and_in_the_end_every_channel_knows_the_truth(script: Script) -> None:
    world = World(script)
    world.words()
    world.calm_down()
    active = {alert.id for alert in world.manager.get_active_alerts()}
    words = world.words()
    for (channel, alert_id), word in words.items():
        assert word in ("firing" if alert_id in active else "over", "anything"), f"{channel} of {alert_id}: {word}"
    assert {(channel, alert_id) for channel in CHANNELS for alert_id in active} <= words.keys()
    assert world.manager.untold() == []
    world.become_quiet()
    assert world.manager.get_active_alerts() == []
    assert set(world.words().values()) <= {"over", "anything"}
    assert world.manager.untold() == []
    for law in LAWS:
        law(world)


@settings(max_examples=examples(15), derandomize=True)
@given(SCRIPTS)
def test_the_same_script_gives_the_same_log_to_the_byte(script: Script) -> None:
    first, second = World(script), World(script)
    assert first.sim.log() == second.sim.log()
    assert first.manager.audit() == second.manager.audit()
