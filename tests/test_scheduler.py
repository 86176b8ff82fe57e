"""Grids and the scheduler: each rule at its own interval."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.engine.grid import Grid
from kailash_monitor.engine.scheduler import Scheduler
from kailash_monitor.testing import ManualClock, VirtualClock


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


async def test_each_name_comes_at_its_own_times(clock: VirtualClock) -> None:
    judged: list[tuple[str, float]] = []
    scheduler = Scheduler(clock, threading.RLock(), lambda name, now: judged.append((name, now)))
    scheduler.add("fast", 1.0)
    scheduler.add("slow", 7.0)
    running = asyncio.create_task(scheduler.run())
    await asyncio.sleep(60)
    running.cancel()
    for name, interval, count in (("fast", 1.0, 60), ("slow", 7.0, 9)):
        times = [at for who, at in judged if who == name]
        phase = Grid.of(name, interval).phase
        assert times[0] == 0.0
        assert abs(len(times) - count) <= 1
        assert all(
            (at - phase) % interval == pytest.approx(0, abs=1e-6) or (at - phase) % interval == pytest.approx(interval)
            for at in times[1:]
        )
    assert scheduler.turns["fast"].late == 0


async def test_what_raises_changes_nothing_for_others(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    judged: list[str] = []

    def judge(name: str, now: float) -> None:
        judged.append(name)
        if name == "bad":
            raise ZeroDivisionError

    scheduler = Scheduler(clock, threading.RLock(), judge)
    scheduler.add("bad", 1.0)
    scheduler.add("good", 1.0)
    running = asyncio.create_task(scheduler.run())
    await asyncio.sleep(10)
    running.cancel()
    assert abs(judged.count("good") - 10) <= 1
    assert "rule 'bad' could not be judged" in caplog.text


async def test_names_come_and_go_while_it_runs(clock: VirtualClock) -> None:
    judged: list[tuple[str, float]] = []
    scheduler = Scheduler(clock, threading.RLock(), lambda name, now: judged.append((name, now)))
    running = asyncio.create_task(scheduler.run())
    await asyncio.sleep(5)
    await asyncio.to_thread(scheduler.add, "late", 100.0)
    await asyncio.sleep(1)
    assert judged == [("late", 5.0)]
    scheduler.remove("late")
    scheduler.remove("never there")
    await asyncio.sleep(500)
    assert len(judged) == 1
    running.cancel()


async def test_a_loop_that_is_held_up_skips_and_counts(clock: VirtualClock) -> None:
    """Time passes within a judgement here, as it would if it blocked."""
    manual = ManualClock()
    scheduler = Scheduler(manual, threading.RLock(), lambda name, now: manual.advance(35.0 if now == 0 else 0))
    scheduler.add("r", 10.0)
    assert scheduler.overdue(12.0) == 12.0
    running = asyncio.create_task(scheduler.run())
    await asyncio.sleep(0.1)
    running.cancel()
    turn = scheduler.turns["r"]
    assert turn.evaluations == 2
    assert turn.late == (3 if turn.grid.phase <= 5 else 2)
    assert turn.due > 35.0


async def test_long_work_pauses_for_the_host_program() -> None:
    manual, seen = ManualClock(), list[int]()

    def judge(name: str, now: float) -> None:
        manual.advance(0.004)
        seen.append(0)

    scheduler = Scheduler(manual, threading.RLock(), judge)
    for n in range(10):
        scheduler.add(f"r{n}", 1000.0)
    running = asyncio.create_task(scheduler.run())
    await asyncio.sleep(0)
    done = []
    while len(seen) < 10:
        done.append(len(seen))
        await asyncio.sleep(0)
    running.cancel()
    assert done[:4] == [0, 2, 4, 6] or done[:4] == [2, 4, 6, 8]


async def test_being_overdue_without_names_is_no_time(clock: VirtualClock) -> None:
    assert Scheduler(clock, threading.RLock(), lambda name, now: None).overdue(5.0) == 0.0
