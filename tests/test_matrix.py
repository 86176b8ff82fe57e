"""The matrix: whatever keeps an alert from being told, or from being judged, crossed with how the alert goes on.

Each cell is played twice, with the suppression beginning before the alert fires and after its channel was told. The table
gives every message about the alert, repeats aside, and those about what stands in for it: the alert about unknown data, the
alert for those past the limit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import pytest

from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import Simulator

F: Final = ("firing", "fired")
R: Final = ("resolved", "resolved")
GONE: Final = ("resolved", "rule_removed")

Told = tuple[tuple[str, str], ...]


class World:
    """One queue whose length is told every few seconds, and the rule that says it is too long.

    The queue is a labelled gauge that is given up when nobody sets it, or a gauge that is asked and may raise.
    """

    def __init__(self, asked: bool = False, **rule: object) -> None:
        self.length, self.silent, self.broken, self.other = 0.0, False, False, 0.0
        self.sim = Simulator()
        self._asked, self._rule = asked, rule
        app = self.sim.collector()
        if asked:
            app.callback_gauge("queue", self._answer)
        else:
            app.gauge("queue", labels=("host",), ttl="20s")
            self.sim.every("5s", self._pulse, until="1h")
        self.sim.manager.add_rule(self.rule())
        self.sim.advance("1m")

    def rule(self, **changes: object) -> AlertRule:
        by = () if self._asked else ("host",)
        given = {
            "time_window": "20s",
            "notification_interval": 0,
            "group_by": by,
            "condition": "> 5",
            **self._rule,
            **changes,
        }
        return AlertRule("busy", "Too much waits", "warning", "queue", **given)  # type: ignore[arg-type]

    @property
    def alert_id(self) -> str:
        return "busy_app" if self._asked else 'busy_app{host="a"}'

    def becomes(self, length: float) -> None:
        self.length = length
        self.sim.advance("2m")

    def _answer(self) -> float:
        if self.broken:
            raise OSError("the broker does not answer")
        return self.length

    def _pulse(self, _: float) -> None:
        if not self.silent:
            self.sim.set("queue", self.length, {"host": "a"})
            self.sim.set("queue", self.other, {"host": "b"})

    def told(self, alert_id: str) -> Told:
        return tuple(
            (notice.kind.value, str(notice.extra["reason"])) for notice in self.sim.notices() if notice.alert.id == alert_id
        )


@dataclass(frozen=True)
class Suppression:
    """What begins, and what ends it again. `stand_in` is the alert that tells of it."""

    begin: Callable[[World], object]
    end: Callable[[World], object]
    world: Callable[[], World] = World
    stand_in: str = ""


def _set(name: str, value: object) -> Callable[[World], object]:
    return lambda world: setattr(world, name, value)


def _silence_by_id(world: World) -> None:
    world.sim.manager.silence_alert(world.alert_id, "1d")


def _silence_until_resolved(world: World) -> None:
    world.sim.manager.silence_alert(world.alert_id)


def _silence_by_matchers(world: World) -> None:
    world.sim.manager.silence(alertname="busy", host="a")


def _end_silences(world: World) -> None:
    for silence in world.sim.manager.silences():
        world.sim.manager.end_silence(silence.id)


def _mute(world: World) -> None:
    world.sim.manager.set_routes(Route(mute_times=[MuteTime("always", times=["00:00-24:00"])]))


def _unmute(world: World) -> None:
    world.sim.manager.set_routes(Route())


def _inhibit(world: World) -> None:
    if "down" not in world.sim.manager.rules:
        world.sim.manager.set_inhibitions([Inhibition({"alertname": "down"}, {"alertname": "busy"}, ["host"])])
        world.sim.manager.add_rule(AlertRule("down", "A host is down", "critical", "down", "== 1", group_by=["host"]))
    world.sim.set("down", 1, {"host": "a"})


def _do_not_inhibit(world: World) -> None:
    world.sim.set("down", 0, {"host": "a"})


def _edit(**changes: object) -> Callable[[World], object]:
    return lambda world: world.sim.manager.replace_rule(world.rule(**changes))


def _limited() -> World:
    return World(max_alerts=1)


SUPPRESSIONS: Final = {
    "silence by id": Suppression(_silence_by_id, _end_silences),
    "silence until resolved": Suppression(_silence_until_resolved, _end_silences),
    "silence by matchers": Suppression(_silence_by_matchers, _end_silences),
    "mute": Suppression(_mute, _unmute),
    "inhibition": Suppression(_inhibit, _do_not_inhibit),
    "edit of the words": Suppression(_edit(annotations={"summary": "Long queue"}, labels={"team": "x"}), _edit()),
    "edit of the threshold": Suppression(_edit(condition="> 50"), _edit()),
    "removal": Suppression(lambda w: w.sim.manager.remove_rule("busy"), lambda w: w.sim.manager.add_rule(w.rule())),
    "disabling": Suppression(lambda w: w.sim.manager.disable_rule("busy"), lambda w: w.sim.manager.enable_rule("busy")),
    "no data": Suppression(_set("silent", True), _set("silent", False), World, 'data_unknown_app{cause="missing"}'),
    "no data, taken for a breach": Suppression(
        _set("silent", True), _set("silent", False), lambda: World(no_data="alert"), 'data_unknown_app{cause="missing"}'
    ),
    "no data, taken for recovery": Suppression(
        _set("silent", True), _set("silent", False), lambda: World(no_data="ok"), 'data_unknown_app{cause="missing"}'
    ),
    "error": Suppression(
        _set("broken", True), _set("broken", False), lambda: World(asked=True), 'data_unknown_app{cause="NoAnswer"}'
    ),
    "error, though no data is ok": Suppression(
        _set("broken", True),
        _set("broken", False),
        lambda: World(asked=True, no_data="ok"),
        'data_unknown_app{cause="NoAnswer"}',
    ),
    "limit": Suppression(_set("other", 9.0), _set("other", 0.0), _limited, 'busy_app{overflow="true"}'),
}
"""What keeps the alert from being told, or from being judged. The limit: another host has the only place."""

STAND_INS: Final = {"no data", "error", "error, though no data is ok", "limit"}
"""Where something else is told meanwhile: fired and resolved, once."""

BEFORE: Final = "before it fires"
AFTER: Final = "after it was told"

#                                          resolves during   resolves after    fires again after
EXPECTED: Final[dict[tuple[str, str], tuple[Told, Told, Told]]] = {
    ("silence by id", BEFORE): ((), (F, R), (F,)),
    ("silence by id", AFTER): ((F, R), (F, R), (F, R, F)),
    ("silence until resolved", BEFORE): ((), (F, R), (F,)),
    ("silence until resolved", AFTER): ((F, R), (F, R), (F, R, F)),
    ("silence by matchers", BEFORE): ((), (F, R), (F,)),
    ("silence by matchers", AFTER): ((F, R), (F, R), (F, R, F)),
    ("mute", BEFORE): ((), (F, R), (F,)),
    ("mute", AFTER): ((F, R), (F, R), (F, R, F)),
    ("inhibition", BEFORE): ((), (F, R), (F,)),
    ("inhibition", AFTER): ((F, R), (F, R), (F, R, F)),
    # an edit that leaves it breached changes nothing for whoever is told
    ("edit of the words", BEFORE): ((F, R), (F, R), (F, R, F)),
    ("edit of the words", AFTER): ((F, R), (F, R), (F, R, F)),
    # an edit by which it is not breached any more resolves it, and the one that undoes it fires anew
    ("edit of the threshold", BEFORE): ((), (F, R), (F,)),
    ("edit of the threshold", AFTER): ((F, R), (F, R, F, R), (F, R, F)),
    ("removal", BEFORE): ((), (F, R), (F,)),
    ("removal", AFTER): ((F, GONE), (F, GONE, F, R), (F, GONE, F)),
    ("disabling", BEFORE): ((), (F, R), (F,)),
    ("disabling", AFTER): ((F, GONE), (F, GONE, F, R), (F, GONE, F)),
    # what nobody sees neither fires nor resolves
    ("no data", BEFORE): ((), (F, R), (F,)),
    ("no data", AFTER): ((F, R), (F, R), (F, R, F)),
    # the gap itself fires; what it tells is over when there is data that is clear
    ("no data, taken for a breach", BEFORE): ((F, R), (F, R), (F, R, F)),
    ("no data, taken for a breach", AFTER): ((F, R), (F, R), (F, R, F)),
    # the gap itself resolves
    ("no data, taken for recovery", BEFORE): ((), (F, R), (F,)),
    ("no data, taken for recovery", AFTER): ((F, R), (F, R, F, R), (F, R, F)),
    ("error", BEFORE): ((), (F, R), (F,)),
    ("error", AFTER): ((F, R), (F, R), (F, R, F)),
    ("error, though no data is ok", BEFORE): ((), (F, R), (F,)),
    ("error, though no data is ok", AFTER): ((F, R), (F, R), (F, R, F)),
    # the first keep their state: told, it stays; else it has to wait for the place, and the rest is counted
    ("limit", BEFORE): ((), (F, R), (F,)),
    ("limit", AFTER): ((F, R), (F, R), (F, R, F)),
}

ENDINGS: Final = ("resolves during", "resolves after", "fires again after")


def play(name: str, moment: str, ending: str) -> World:
    """Play one cell, two minutes a step: twelve evaluations of the rule."""
    suppression = SUPPRESSIONS[name]
    world = suppression.world()

    def begin() -> None:
        suppression.begin(world)
        world.sim.advance("2m")

    def end() -> None:
        suppression.end(world)
        world.sim.advance("2m")

    if moment == BEFORE:
        begin()
    world.becomes(9)
    if moment == AFTER:
        begin()
    if ending == "resolves after":
        end()
    world.becomes(0)
    if ending != "resolves after":
        end()
    if ending == "fires again after":
        world.becomes(9)
    return world


CELLS: Final = [
    (name, moment, ending, told)
    for (name, moment), row in EXPECTED.items()
    for ending, told in zip(ENDINGS, row, strict=True)
]


def test_the_table_has_every_cell() -> None:
    assert set(EXPECTED) == {(name, moment) for name in SUPPRESSIONS for moment in (BEFORE, AFTER)}


@pytest.mark.parametrize(("name", "moment", "ending", "told"), CELLS)
def test_each_cell_tells_exactly_this(name: str, moment: str, ending: str, told: Told) -> None:
    world = play(name, moment, ending)
    assert world.told(world.alert_id) == told
    stand_in = SUPPRESSIONS[name].stand_in
    if stand_in:
        assert world.told(stand_in) == ((F, R) if name in STAND_INS else ())


@pytest.mark.parametrize(("name", "moment", "ending", "told"), CELLS)
def test_in_each_cell_what_is_told_alternates_and_ends_in_the_truth(name: str, moment: str, ending: str, told: Told) -> None:
    world = play(name, moment, ending)
    active = {alert.id for alert in world.sim.manager.get_active_alerts()}
    heard: dict[str, list[str]] = {}
    for notice in world.sim.notices():
        heard.setdefault(notice.alert.id, []).append(notice.kind.value)
        assert notice.alert.status is (AlertStatus.FIRING if notice.kind.value == "firing" else AlertStatus.RESOLVED)
    for alert_id, kinds in heard.items():
        assert kinds[0] == "firing"
        assert all(before != after for before, after in pairwise(kinds))
        assert (kinds[-1] == "firing") is (alert_id in active)
    assert active <= heard.keys()
    assert not world.sim.manager.untold()


@pytest.mark.parametrize(("name", "moment", "ending", "told"), CELLS)
def test_in_each_cell_the_same_script_gives_the_same_log(name: str, moment: str, ending: str, told: Told) -> None:
    assert play(name, moment, ending).sim.log() == play(name, moment, ending).sim.log()
