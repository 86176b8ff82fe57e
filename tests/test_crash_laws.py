"""Whatever happens, in whatever order, to a program that is stopped and killed at any time: what its channel hears is true.

Attempts take time, so that a kill finds them under way; some are heard though no answer comes back.
"""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.delivery.outcome import Delivered, Outcome, Retry
from kailash_monitor.model.notice import Notice
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import RecordingChannel, Simulator

from effort import examples  # isort: skip

ANSWERS: Final = {
    "takes": Delivered(),
    "refused": Retry("no connection"),
    "heard, no answer": Retry("no answer", in_doubt=True),
    "unheard, no answer": Retry("no answer", in_doubt=True),
    "busy": Retry("HTTP 429", after=3.0),
}

STEPS: Final = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(["a", "b"]), st.sampled_from([0.0, 9.0, 99.0])),
    st.tuples(st.just("wait"), st.sampled_from([0.4, 2.0, 15.0, 100.0])),
    st.tuples(st.just("answer"), st.sampled_from(sorted(ANSWERS))),
    st.tuples(st.just("end"), st.booleans(), st.sampled_from([0.0, 1.0, 400.0])),
    st.tuples(st.just("say"), st.sampled_from(["silence", "acknowledge"])),
)


class Ear(RecordingChannel):
    """Hears what it takes, and some of what it does not acknowledge."""

    def __init__(self) -> None:
        super().__init__("ops", self._says)
        self.answer = "takes"
        self.heard: list[Notice] = []

    def _says(self, notice: Notice) -> Outcome:
        if self.answer in ("takes", "heard, no answer"):
            self.heard.append(notice)
        return ANSWERS[self.answer]


def parts(notice: Notice) -> list[tuple[str, str, int, str]]:
    """Give what a message says: alert, kind, incident and status."""
    told = [(item.kind, item.alert) for item in notice.items] or [(notice.kind, notice.alert)]
    return [(alert.id, kind.value, alert.incident, alert.status.value) for kind, alert in told]


@pytest.mark.untraced
@settings(max_examples=examples(150), deadline=None)
@given(st.lists(STEPS, max_size=40), st.sampled_from([0.0, 0.5, 3.0]), st.sampled_from([(1e6, 10_000), (0.5, 1)]))
def test_what_a_channel_hears_is_in_order_and_ends_in_the_truth(
    steps: list[tuple[object, ...]], takes: float, rate: tuple[float, int]
) -> None:
    levels = {"warning": 5.0, "critical": 50.0}
    rule = AlertRule(
        "busy", "", metric_name="queue", condition=">", levels=levels, group_by=["host"], notification_interval="1m",
        evaluation_interval="2s",
    )  # fmt: skip
    ear = Ear()
    sim = Simulator(rule, channels=[], with_store=True, takes={"ops": takes})
    sim.add_channel(ear, rate=rate)
    values = {"a": 0.0, "b": 0.0}
    for step in steps:
        match step:
            case "set", str(host), float(value):
                values[host] = value
                sim.set("queue", value, {"host": host})
            case "wait", float(seconds):
                sim.advance(seconds)
            case "answer", str(answer):
                ear.answer = answer
            case "end", bool(killed), float(down):
                sim.restart(down=down, killed=killed)
                for host, value in values.items():
                    sim.collector().set_gauge("queue", value, {"host": host})
            case "say", "silence":
                sim.manager.silence_alert('busy_app{host="a"}', "30s")
            case "say", "acknowledge":
                sim.manager.acknowledge_alert('busy_app{host="a"}')
    ear.answer = "takes"
    for host, value in values.items():
        sim.set("queue", value, {"host": host})
    sim.advance("15m")
    check(sim, ear, values)


def check(sim: Simulator, ear: Ear, values: dict[str, float]) -> None:
    contents: dict[str, list[tuple[str, str, int, str]]] = {}
    for notice in ear.attempts:
        assert contents.setdefault(notice.id, parts(notice)) == parts(notice)  # the same id is the same message
    over: dict[str, int] = {}
    last: dict[str, str] = {}
    seen: set[str] = set()
    for notice in ear.heard:
        if notice.id in seen:
            continue  # as a receiver does
        seen.add(notice.id)
        for alert_id, kind, incident, status in parts(notice):
            if alert_id.startswith("busy"):
                assert incident > over.get(alert_id, 0) or kind == "missed", (alert_id, kind, incident)
                if status == "resolved" and kind != "missed":
                    over[alert_id] = incident
                if kind != "missed" or status == "resolved":
                    last[alert_id] = status
    for host, value in values.items():
        alert_id = f'busy_app{{host="{host}"}}'
        fires = value > 5
        assert (alert_id in {alert.id for alert in sim.manager.get_active_alerts()}) is fires
        if fires:
            assert last.get(alert_id) == "firing"
        else:
            assert last.get(alert_id) in (None, "resolved")
    assert not sim.manager.dead_letters()
