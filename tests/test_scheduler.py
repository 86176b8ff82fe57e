"""What is due when, and who does it: grids, the agenda, the scheduler and the bell that wakes it."""

import asyncio
import math
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kailash_monitor.clock import Clock, SystemClock
from kailash_monitor.engine.agenda import SLACK, Agenda
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.grid import Grid
from kailash_monitor.engine.queries import LocalQueries
from kailash_monitor.engine.scheduler import Scheduler
from kailash_monitor.engine.wakeup import Bell
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.promql.samples import Vector
from kailash_monitor.rules import AlertRule, RuleQuery
from kailash_monitor.testing import ManualClock, VirtualClock

# -- grids -------------------------------------------------------------------------------------------------------------


@given(st.text(), st.floats(0.01, 1e5), st.floats(0, 1e9))
def test_the_next_due_time_is_later_on_the_grid_and_the_first(name: str, interval: float, now: float) -> None:
    grid = Grid.of(name, interval)
    due = grid.after(now)
    assert now < due <= now + interval * (1 + 1e-6) + 1e-6
    assert 0 <= grid.phase < interval
    steps = (due - grid.phase) / interval
    assert steps == pytest.approx(round(steps), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "interval", "phase"),
    [("high_cpu", 10.0, 0.7078510313294828), ("high_cpu", 3600.0, 254.8263712786138), ("Über", 10.0, 4.485423392616212)],
)
def test_phases_are_the_same_in_every_run_and_on_every_machine(name: str, interval: float, phase: float) -> None:
    """Written out, since a hash that Python salts anew for each process would agree with itself."""
    assert Grid.of(name, interval).phase == phase


def test_phases_are_spread() -> None:
    phases = [Grid.of(f"rule {n}", 10.0).phase for n in range(1000)]
    tenths = [sum(1 for phase in phases if n <= phase < n + 1) for n in range(10)]
    assert min(tenths) > 60


def test_missed_times_are_counted() -> None:
    grid = Grid(10.0, 3.0)
    assert [grid.missed(13.0, now) for now in (12.0, 13.0, 22.9, 23.0, 60.0)] == [0, 0, 0, 1, 4]


def times(grid: Grid, after: float, until: float) -> Iterator[float]:
    due = grid.after(after)
    while due <= until:
        yield due
        due = grid.after(due)


# -- the agenda --------------------------------------------------------------------------------------------------------

NAMES: Final = st.sampled_from(["a", "b", "c", "d"])
INTERVALS: Final = st.sampled_from([0.125, 1.0, 8.0, 64.0, 1024.0])
EIGHTHS: Final = st.integers(0, 800).map(lambda n: n / 8)
"""Powers of two and their multiples: sums of these are exact, and so is what is counted."""


class AgendaBesideItsModel(RuleBasedStateMachine):
    """The model is a dictionary of due times, of which the least is searched."""

    def __init__(self) -> None:
        super().__init__()
        self.agenda = Agenda()
        self.now = 0.0
        self.due: dict[str, float] = {}
        self.on_grid: set[str] = set()

    @rule(name=NAMES, interval=INTERVALS)
    def add(self, name: str, interval: float) -> None:
        self.agenda.add(name, interval, self.now)
        self.due[name] = self.now
        self.on_grid.discard(name)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        self.agenda.remove(name)
        self.due.pop(name, None)

    @rule(name=NAMES, wait=EIGHTHS.map(lambda seconds: seconds - 10))
    def hasten(self, name: str, wait: float) -> None:
        self.agenda.hasten(name, self.now + wait)
        if self.now + wait < self.due.get(name, -math.inf):
            self.due[name] = self.now + wait
            self.on_grid.discard(name)

    @rule()
    def restart(self) -> None:
        self.agenda.restart(self.now)
        self.due = dict.fromkeys(self.due, self.now)
        self.on_grid.clear()

    @rule(seconds=EIGHTHS)
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take_all(self) -> None:
        while late := [(due, name) for name, due in self.due.items() if due <= self.now]:
            due, name = min(late)
            taken = self.agenda.take(self.now)
            assert taken is not None
            taken_name, missed = taken
            assert taken_name == name
            turn = self.agenda.turns[name]
            passed = len([*times(turn.grid, due, self.now)])
            assert missed == passed if name in self.on_grid else passed - 1 <= missed <= passed
            assert turn.last == self.now < turn.due
            self.due[name] = turn.grid.after(self.now)
            self.on_grid.add(name)
        assert self.agenda.take(self.now) is None

    @invariant()
    def the_most_urgent_is_due(self) -> None:
        assert self.agenda.due == min(self.due.values(), default=math.inf)
        assert {name: turn.due for name, turn in self.agenda.turns.items()} == self.due


TestAgendaBesideItsModel = AgendaBesideItsModel.TestCase


@given(INTERVALS, st.lists(EIGHTHS, max_size=20))
def test_every_due_time_is_either_taken_or_counted_as_late(interval: float, naps: list[float]) -> None:
    agenda, now = Agenda(), 0.0
    agenda.add("r", interval, now)
    for nap in (0.0, *naps):
        now += nap
        assert [agenda.take(now), agenda.take(now)][1] is None  # what was missed does not pile up
    turn = agenda.turns["r"]
    assert turn.evaluations - 1 + turn.late == len([*times(turn.grid, 0.0, now)])


def test_a_name_that_is_hastened_keeps_its_grid() -> None:
    agenda = Agenda()
    agenda.add("r", 10.0, 0.0)
    agenda.take(0.0)
    regular = agenda.due
    agenda.hasten("r", 0.5)
    assert agenda.take(0.4) is None
    assert agenda.take(0.5) == ("r", 0)
    assert agenda.due == regular


@pytest.mark.parametrize("act", ["hasten", "replace"])
def test_what_is_out_of_date_does_not_pile_up(act: str) -> None:
    """Each left an entry until the rule's own time came: with one judgement after a write each 20 ms, millions in a day."""
    agenda = Agenda()
    agenda.add("r", 86_400.0, 0.0)
    for n in range(1, 10_000):
        if act == "hasten":
            agenda.hasten("r", n * 0.02)
        else:
            agenda.remove("r")
            agenda.add("r", 86_400.0, n * 0.02)
        assert agenda.take(n * 0.02) == ("r", 0)
    assert len(agenda._heap) <= 2 + SLACK + 1
    assert agenda.due == Grid.of("r", 86_400.0).after(200.0)


# -- the scheduler -----------------------------------------------------------------------------------------------------


class Engine:
    """A core under its scheduler, and a record of what its rules read when."""

    def __init__(self, clock: Clock, queries: type[LocalQueries] = LocalQueries) -> None:
        self.clock: Final = clock
        self.bell: Final = Bell()
        self.registry: Final = MetricsRegistry(clock=clock)
        self.core: Final = Core(self.registry, new_id=lambda: "id", luck=lambda: 0.5, ring=self.bell.ring)
        self.scheduler: Final = Scheduler(clock, self.core, self.bell, *[queries(self.registry)] * 2)
        self.judged: Final[list[tuple[str, float]]] = []

    @property
    def collector(self) -> MetricsCollector:
        return self.registry.collector("app")

    def rule(self, name: str, interval: float = 10.0, read: Callable[[], float] = lambda: 1.0) -> AlertRule:
        """A rule over a gauge of its own, which `read` gives; the gauge of that name, where there is one."""
        if self.collector.get_metric(name) is None:
            self.collector.callback_gauge(name, partial(self._read, name, read))
        return AlertRule(name, "d", "warning", name, "> 5", evaluation_interval=interval)

    def _read(self, name: str, read: Callable[[], float]) -> float:
        self.judged.append((name, self.clock.now()))
        return read()

    def asking(self, name: str, reading: Callable[[], object], interval: float = 10.0, **more: object) -> AlertRule:
        return AlertRule(name, "d", "warning", condition="> 5", reading=reading, evaluation_interval=interval, **more)  # type: ignore[arg-type]

    def times_of(self, name: str) -> list[float]:
        return [at for who, at in self.judged if who == name]

    def counted(self, metric: str) -> float:
        found = self.registry.self_metrics.get_metric(metric)
        assert found is not None
        return found.get_latest_value() or 0.0

    def error_of(self, name: str) -> str | None:
        statuses = self.core.rulebook.status([], self.core.agenda.turns, 0.0, running=True)
        return {status.rule.name: status.error for status in statuses}[name]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.core.begin()
        task = asyncio.create_task(self.scheduler.run())
        yield
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
async def engine(clock: VirtualClock) -> Engine:
    return Engine(clock)


class SlowQueries(LocalQueries):
    """Takes most of the time that a rule has."""

    async def vector(self, query: RuleQuery) -> Vector:
        await asyncio.sleep(0.4)
        return []


async def test_the_time_of_a_rule_begins_with_its_turn(clock: VirtualClock) -> None:
    """Expressions wait for those before them; that alone makes none of them late."""
    engine = Engine(clock, SlowQueries)
    for number in range(20):
        engine.core.add_rule(AlertRule(f"r{number}", "", "warning", expr="up", timeout="500ms"))
    async with engine.running():
        await asyncio.sleep(9)
        assert [engine.error_of(f"r{number}") for number in range(20)] == [None] * 20
        assert engine.core.rulebook.all_judged


async def test_each_rule_is_judged_at_once_and_then_at_its_own_times(engine: Engine) -> None:
    for name, interval in (("fast", 1.0), ("slow", 7.0)):
        engine.core.add_rule(engine.rule(name, interval))
    async with engine.running():
        await asyncio.sleep(60)
    for name, interval in (("fast", 1.0), ("slow", 7.0)):
        assert engine.times_of(name) == [0.0, *times(Grid.of(name, interval), 0.0, 60.0)]
        assert engine.core.agenda.turns[name].late == 0


async def never() -> None:
    await asyncio.Event().wait()


async def wrong() -> float:
    raise ZeroDivisionError


@pytest.mark.untraced
async def test_a_thousand_rules_are_each_judged_once_an_interval_whatever_others_do(engine: Engine) -> None:
    for n in range(1000):
        engine.core.add_rule(engine.rule(f"rule {n}"))
    engine.core.add_rule(engine.rule("raises", read=lambda: 1 // 0))
    engine.core.add_rule(engine.asking("raises too", wrong))
    engine.core.add_rule(engine.asking("hangs", never, timeout=9))
    async with engine.running():
        for n in range(1, 11):
            await asyncio.sleep(10)
            counts = Counter(name for name, _ in engine.judged)
            assert {counts[f"rule {n}"] for n in range(1000)} == {counts["raises"]} == {n + 1}
    for n in range(1000):
        assert engine.times_of(f"rule {n}") == [0.0, *times(Grid.of(f"rule {n}", 10.0), 0.0, 100.0)]
        assert engine.core.agenda.turns[f"rule {n}"].late == 0
    assert engine.error_of("raises") == "app: its callback raised ZeroDivisionError: integer division or modulo by zero"
    assert engine.error_of("raises too") == "reading: ZeroDivisionError: "
    assert engine.error_of("hangs") == "reading: TimeoutError: no answer within 9 s"


async def test_what_breaks_while_a_rule_is_judged_is_logged_and_breaks_no_other(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def hear(entry: object) -> None:
        raise ZeroDivisionError("a listener of the audit")

    engine.core.add_rule(engine.rule("fires", 1.0, lambda: 9.0))
    engine.core.add_rule(engine.rule("good", 1.0))
    engine.core.dispatcher.audit.listen(hear)
    async with engine.running():
        await asyncio.sleep(10)
    assert len(engine.times_of("fires")) == len(engine.times_of("good")) == 11
    assert "a rule could not be judged" in caplog.text
    assert "a listener of the audit" in caplog.text


async def test_rules_come_are_replaced_and_go_while_it_runs(engine: Engine) -> None:
    engine.core.add_rule(engine.rule("there", 100.0))
    first, second = engine.rule("r", 100.0), engine.rule("r", 30.0)
    async with engine.running():
        await asyncio.sleep(5)
        await asyncio.to_thread(engine.core.add_rule, first)
        await asyncio.sleep(0.5)
        assert engine.times_of("r") == [5.0]
        await asyncio.to_thread(engine.core.replace_rule, second)
        await asyncio.sleep(94.5)
        assert engine.times_of("r") == [5.0, 5.5, *times(Grid.of("r", 30.0), 5.5, 100.0)]
        await asyncio.to_thread(engine.core.remove_rule, "r")
        engine.core.remove_rule("never there")
        await asyncio.sleep(500)
        assert engine.times_of("r")[-1] < 100.0
    assert len(engine.times_of("there")) == 7


@pytest.mark.parametrize("edit", ["replace", "remove", "disable"])
async def test_a_rule_that_another_one_takes_away_is_not_judged_any_more(engine: Engine, edit: str) -> None:
    """Both are due at once: what is edited between two steps of the work is seen by the next."""
    victim = engine.rule("victim")

    def strike() -> float:
        match edit:
            case "replace":
                engine.core.replace_rule(engine.rule("victim", 10_000.0))
            case "remove":
                engine.core.remove_rule("victim")
            case _:
                engine.core.replace_rule(victim.enabled_as(False))
        return 1.0

    engine.core.add_rule(engine.rule("striker", 10_000.0, strike))
    engine.core.add_rule(victim)
    async with engine.running():
        await asyncio.sleep(100)
    assert engine.times_of("victim") == ([0.0] if edit == "replace" else [])


async def test_a_loop_that_is_held_up_skips_and_counts(clock: VirtualClock) -> None:
    """Time passes within a judgement here, as it would if it blocked."""
    engine = Engine(manual := ManualClock())

    def hold_up() -> float:
        manual.advance(35.0 if manual.now() == 0 else 0.0)
        return 1.0

    engine.core.add_rule(engine.rule("r", read=hold_up))
    async with engine.running():
        await asyncio.sleep(0.1)
    turn = engine.core.agenda.turns["r"]
    assert engine.times_of("r") == [0.0, 35.0]
    assert turn.late == engine.counted("rule_evaluations_late") == len([*times(turn.grid, 0.0, 35.0)]) - 1
    assert turn.due == turn.grid.after(35.0)


async def test_long_work_pauses_for_the_host_program() -> None:
    engine = Engine(manual := ManualClock())

    def work() -> float:
        manual.advance(0.004)
        return 1.0

    for n in range(10):
        engine.core.add_rule(engine.rule(f"r{n}", 1000.0, work))
    done = []
    async with engine.running():
        while len(engine.judged) < 10:
            await asyncio.sleep(0)
            done.append(len(engine.judged))
    assert done == [2, 4, 6, 8, 10]


# -- rules' own readings -----------------------------------------------------------------------------------------------


async def test_a_reading_that_hangs_is_cancelled_counted_and_asked_again(engine: Engine) -> None:
    asked, cancelled = list[float](), list[float]()

    async def hang() -> float:
        asked.append(engine.clock.now())
        try:
            await never()
        finally:
            cancelled.append(engine.clock.now())
        return 1.0

    engine.core.add_rule(engine.asking("r", hang, timeout=4))
    async with engine.running():
        await asyncio.sleep(60)
    due = [0.0, *times(Grid.of("r", 10.0), 0.0, 60.0)]
    assert asked == due
    assert cancelled == [at + 4 for at in due if at + 4 <= 60] + [60] * (due[-1] + 4 > 60)
    assert engine.counted("rule_readings_late") == len([at for at in due if at + 4 <= 60])


async def test_a_reading_that_has_not_answered_is_not_asked_again(engine: Engine) -> None:
    asked: list[float] = []

    async def slow() -> float:
        asked.append(engine.clock.now())
        await asyncio.sleep(25)
        return 9.0

    engine.core.add_rule(engine.asking("r", slow, timeout=30))
    async with engine.running():
        await asyncio.sleep(60)
    due = [*times(Grid.of("r", 10.0), 0.0, 60.0)]
    assert asked == [0.0, min(at for at in due if at > 25)]
    assert engine.counted("rule_evaluations_late") == len(due) - 1
    assert engine.counted("rule_readings_late") == 0


async def test_a_rule_that_replaces_one_whose_reading_hangs_is_asked_at_once(engine: Engine) -> None:
    """It waited for the end of the old one, and then for its next time: an hour, where that is its interval."""
    asked: list[float] = []

    async def answer() -> float:
        asked.append(engine.clock.now())
        return 1.0

    engine.core.add_rule(engine.asking("r", never, 3600.0, timeout=30))
    async with engine.running():
        await asyncio.sleep(5)
        engine.core.replace_rule(engine.asking("r", answer, 3600.0))
        await asyncio.sleep(1)
        assert asked == [5.0]
        await asyncio.sleep(60)
    assert engine.error_of("r") is None


async def test_a_reading_whose_own_work_was_cancelled_is_an_error_and_asked_again(engine: Engine) -> None:
    """The task that asks ended silently with it, and the rule was held to be under way for ever."""

    async def cancelled() -> float:
        if engine.clock.now() == 0:
            work = asyncio.ensure_future(never())
            work.cancel()
            await work
        return 1.0

    engine.core.add_rule(engine.asking("r", cancelled))
    async with engine.running():
        await asyncio.sleep(1)
        assert engine.error_of("r") == "reading: RuntimeError: what it awaited was cancelled"
        await asyncio.sleep(60)
    assert engine.error_of("r") is None
    assert engine.counted("rule_evaluations_late") == 0


async def test_a_timeout_of_the_readings_own_is_not_ours(engine: Engine) -> None:
    async def refuse() -> float:
        raise TimeoutError("the database is busy")

    engine.core.add_rule(engine.asking("r", refuse))
    async with engine.running():
        await asyncio.sleep(1)
    assert engine.error_of("r") == "reading: TimeoutError: the database is busy"
    assert engine.counted("rule_readings_late") == 0


async def test_a_plain_function_is_asked_in_a_thread(engine: Engine) -> None:
    threads: list[threading.Thread] = []

    def plain() -> float:
        threads.append(threading.current_thread())
        return 9.0

    engine.core.add_rule(engine.asking("r", plain))
    async with engine.running():
        await asyncio.sleep(1)
    assert threading.main_thread() not in threads
    assert [case.key.id for case in engine.core.book] == ["r_reading"]


@pytest.mark.real_time
async def test_a_plain_function_that_hangs_is_left_alone_and_holds_up_no_other() -> None:
    engine, release, others = Engine(SystemClock()), threading.Event(), asyncio.Event()

    async def answer() -> float:
        others.set()
        return 1.0

    engine.core.add_rule(engine.asking("hangs", lambda: release.wait(60), 3600.0, timeout=0.05))
    engine.core.add_rule(engine.asking("other", answer, 3600.0))
    try:
        async with engine.running(), asyncio.timeout(30):
            await others.wait()
            while engine.error_of("hangs") is None:
                await asyncio.sleep(0.01)
    finally:
        release.set()
    assert engine.error_of("hangs") == "reading: TimeoutError: no answer within 0.05 s"
    assert engine.counted("rule_readings_late") == 1


# -- the bell ----------------------------------------------------------------------------------------------------------


async def test_a_bell_wakes_who_waits_at_once(clock: VirtualClock) -> None:
    bell = Bell()
    with bell.hung():
        asyncio.get_running_loop().call_later(3, bell.ring)
        await bell.wait(10)
        assert clock.now() == 3


async def test_a_bell_that_rang_keeps_from_waiting_once(clock: VirtualClock) -> None:
    bell = Bell()
    with bell.hung():
        bell.ring()
        bell.ring()
        await bell.wait(None)
        assert clock.now() == 0
        await bell.wait(10)
    assert clock.now() == 10


async def test_a_bell_that_nobody_has_hung_rings_unheard(clock: VirtualClock) -> None:
    bell = Bell()
    bell.ring()
    with bell.hung():
        await bell.wait(10)
    bell.ring()
    assert clock.now() == 10


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
