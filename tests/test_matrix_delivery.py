"""The matrix of delivery: a channel or the whole program that is down, crossed with how the alert goes on meanwhile.

Each cell is played twice, with the trouble beginning before the alert fires and after its channel was told. The tables give
every message that a channel took about the alert.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from kailash_monitor.alerting.route import Route
from kailash_monitor.delivery.outcome import Outcome, Retry
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import RecordingChannel, Simulator

F, R, M = "firing", "resolved", "missed"
Told = tuple[str, ...]
STEP: Final = 120.0
"""Seconds: twelve evaluations of the rule."""

REFUSED: Final = Retry("no connection: refused")
UNANSWERED: Final = Retry("no answer within 10 s", in_doubt=True)


class World:
    """A queue that is told every few seconds, a rule that says it is too long, a pager and a mailbox."""

    def __init__(self, fallback: str | None = None) -> None:
        self.length, self.running, self.says = 0.0, True, None
        self.says: Outcome | None = None
        self.sim = Simulator(channels=[], with_store=True)
        self.sim.add_channel(RecordingChannel("pager", lambda _: self.says), fallback=fallback, fallback_after="30s")
        self.sim.add_channel(RecordingChannel("mail"))
        self.sim._routes = Route(channels=["pager"])
        self.sim._set_routing()
        self.sim.every("5s", self._pulse, until="1h")
        self.sim.manager.add_rule(AlertRule("busy", "Too much waits", "warning", "queue", "> 5", notification_interval=0))
        self.sim.advance("1m")

    def becomes(self, length: float) -> None:
        self.length = length
        self.passes()

    def passes(self) -> None:
        if self.running:
            self.sim.advance(STEP)
        else:
            self.sim.clock.time += STEP

    def _pulse(self, _: float) -> None:
        self.sim.set("queue", self.length)

    def told(self, channel: str) -> Told:
        return tuple(notice.kind.value for notice in self.sim.notices(channel) if notice.alert.id == "busy_app")


@dataclass(frozen=True)
class Trouble:
    """What begins, and what ends it again."""

    begin: Callable[[World], object]
    end: Callable[[World], object]
    world: Callable[[], World] = World


def _answers(outcome: Outcome | None) -> Callable[[World], object]:
    return lambda world: setattr(world, "says", outcome)


def _open_the_breaker(world: World) -> None:
    """Have another alert fail until the channel is left alone."""
    world.says = REFUSED
    world.sim.manager.add_rule(AlertRule("other", "", "info", "other", "> 0", notification_interval=0))
    world.sim.set("other", 1)
    world.sim.advance("30s")
    assert world.sim.manager.channel_status()[0].state == "open"


def _halt(world: World) -> None:
    world.running = False
    world.sim._keep(everything=True)


def _die(world: World) -> None:
    world.running = False


def _start(killed: bool) -> Callable[[World], object]:
    def start(world: World) -> None:
        world.sim.restart(killed=killed)
        world.running = True

    return start


TROUBLES: Final = {
    "outage": Trouble(_answers(REFUSED), _answers(None)),
    "outage in doubt": Trouble(_answers(UNANSWERED), _answers(None)),
    "breaker open": Trouble(_open_the_breaker, _answers(None)),
    "fallback in use": Trouble(_answers(REFUSED), _answers(None), lambda: World("mail")),
    "stop and start": Trouble(_halt, _start(killed=False)),
    "kill -9 and start": Trouble(_die, _start(killed=True)),
}

BEFORE: Final = "before it fires"
AFTER: Final = "after it was told"

#                                         resolves during   resolves after    fires again after
PAGER: Final[dict[tuple[str, str], tuple[Told, Told, Told]]] = {
    ("outage", BEFORE): ((M,), (F, R), (M, F)),
    ("outage", AFTER): ((F, R), (F, R), (F, R, F)),
    # what may have been heard is repeated as it was, and its end is told
    ("outage in doubt", BEFORE): ((F, R), (F, R), (F, R, F)),
    ("outage in doubt", AFTER): ((F, R), (F, R), (F, R, F)),
    ("breaker open", BEFORE): ((M,), (F, R), (M, F)),
    ("breaker open", AFTER): ((F, R), (F, R), (F, R, F)),
    ("fallback in use", BEFORE): ((M,), (F, R), (M, F)),
    ("fallback in use", AFTER): ((F, R), (F, R), (F, R, F)),
    # what nobody sees neither fires nor resolves
    ("stop and start", BEFORE): ((), (F, R), (F,)),
    ("stop and start", AFTER): ((F, R), (F, R), (F, R, F)),
    ("kill -9 and start", BEFORE): ((), (F, R), (F,)),
    ("kill -9 and start", AFTER): ((F, R), (F, R), (F, R, F)),
}

MAIL: Final[dict[str, tuple[Told, Told, Told]]] = {
    BEFORE: ((F, R), (F, R), (F, R)),  # who was told in the pager's place hears the end, and is not told once it is well
    AFTER: ((), (), ()),  # the end is for whoever heard the beginning
}
"""The fallback."""

ENDINGS: Final = ("resolves during", "resolves after", "fires again after")
CELLS: Final = [
    (name, moment, ending, told) for (name, moment), row in PAGER.items() for ending, told in zip(ENDINGS, row, strict=True)
]


def play(name: str, moment: str, ending: str) -> World:
    """Play one cell, two minutes a step."""
    trouble = TROUBLES[name]
    world = trouble.world()

    def change(what: Callable[[World], object]) -> None:
        what(world)
        world.passes()

    if moment == BEFORE:
        change(trouble.begin)
    world.becomes(9)
    if moment == AFTER:
        change(trouble.begin)
    if ending == "resolves after":
        change(trouble.end)
    world.becomes(0)
    if ending != "resolves after":
        change(trouble.end)
    if ending == "fires again after":
        world.becomes(9)
    return world


def test_the_table_has_every_cell() -> None:
    assert set(PAGER) == {(name, moment) for name in TROUBLES for moment in (BEFORE, AFTER)}


@pytest.mark.parametrize(("name", "moment", "ending", "told"), CELLS)
def test_each_cell_tells_exactly_this_and_ends_in_the_truth(name: str, moment: str, ending: str, told: Told) -> None:
    world = play(name, moment, ending)
    assert world.told("pager") == told
    mail = MAIL[moment][ENDINGS.index(ending)] if name == "fallback in use" else ()
    assert world.told("mail") == mail
    last = [notice for notice in world.sim.notices("pager") if notice.alert.id == "busy_app"]
    fires = bool([alert for alert in world.sim.manager.get_active_alerts() if alert.id == "busy_app"])
    assert fires is (ending == "fires again after")
    assert not last or last[-1].alert.status is (AlertStatus.FIRING if fires else AlertStatus.RESOLVED)
    assert not [one for one in world.sim.manager.untold() if one.alert_id == "busy_app"]


@pytest.mark.parametrize(("name", "moment", "ending", "told"), CELLS)
def test_in_each_cell_the_same_script_gives_the_same_log(name: str, moment: str, ending: str, told: Told) -> None:
    assert play(name, moment, ending).sim.log() == play(name, moment, ending).sim.log()
