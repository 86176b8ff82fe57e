"""Stalls of an event loop are seen from a thread, with the line of code that holds it up."""

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kailash_monitor.instrument.stall import DEEPEST, Place, Stall, StallDetector, stack_of

pytestmark = pytest.mark.real_time

HERE = Path(__file__).name


@asynccontextmanager
async def watched(after: float = 0.2) -> AsyncIterator[list[Stall]]:
    """What the detector tells meanwhile."""
    told: list[Stall] = []
    watch = asyncio.create_task(StallDetector(after, told.append).run())
    await asyncio.sleep(after / 4)
    try:
        yield told
        await asyncio.sleep(after / 2)
    finally:
        watch.cancel()
        await asyncio.wait([watch])


async def hold_up(seconds: float) -> int:
    """Holds the loop up, and gives the line that does."""
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
    time.sleep(seconds)  # noqa: ASYNC251
    return line


async def test_the_line_that_holds_the_loop_up_is_told_while_it_does() -> None:
    async with watched() as told:
        begun = time.monotonic()
        line = await hold_up(0.5)
        while_it_lasted, ended = list(told), time.monotonic()
    assert while_it_lasted
    assert not while_it_lasted[0].over
    assert ended - begun < 0.9
    place = while_it_lasted[0].place
    assert place is not None
    assert (Path(place.file).name, place.line, place.function) == (HERE, line, "hold_up")
    assert place.code.startswith("time.sleep(seconds)")
    assert str(place) == f"{place.file}:{line} in hold_up: {place.code}"


async def test_a_stall_is_told_again_while_it_lasts_and_once_when_it_is_over() -> None:
    async with watched(0.1) as told:
        await hold_up(0.55)
    *during, last = told
    assert len(during) >= 2
    assert not any(stall.over for stall in during)
    assert last.over
    assert {stall.since for stall in told} == {last.since}
    assert [stall.seconds for stall in during] == sorted(stall.seconds for stall in during)
    assert 0.4 < last.seconds < 1.5


async def test_the_place_is_the_programs_own_and_the_stack_says_what_it_calls() -> None:
    async with watched() as told:
        threading.Event().wait(0.4)
    first = told[0]
    assert first.stack[0].installed
    assert "threading.py" in {Path(place.file).name for place in first.stack}
    assert first.place is not None
    assert Path(first.place.file).name == HERE


async def test_many_short_callbacks_hold_the_loop_up_as_well_as_one() -> None:
    loop = asyncio.get_running_loop()
    async with watched() as told:
        for _ in range(500):
            loop.call_soon(time.sleep, 0.001)
        await asyncio.sleep(0.01)
    assert told


async def test_a_busy_loop_that_comes_round_is_no_stall() -> None:
    async with watched(0.5) as told:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            until = time.thread_time() + 0.008
            while time.thread_time() < until:
                pass
            await asyncio.sleep(0.002)
    assert told == []


async def test_nothing_is_left_running() -> None:
    def watchdogs() -> list[threading.Thread]:
        """Those that are not of tests before this one."""
        return [one for one in set(threading.enumerate()) - before if one.name == "kailash-monitor watchdog"]

    before = set(threading.enumerate())
    async with watched():
        (watchdog,) = watchdogs()
    watchdog.join(1.0)  # what it says last it says before its end
    assert watchdogs() == []


async def test_a_stack_that_has_lost_its_end_is_cut() -> None:
    def deeper(levels: int) -> None:
        if levels:
            deeper(levels - 1)
        else:
            time.sleep(0.4)

    async with watched() as told:
        deeper(DEEPEST * 2)
    assert len(told[0].stack) == DEEPEST


def test_of_a_thread_that_is_not_there_nothing_is_known() -> None:
    assert stack_of(-1) == ()
    assert Stall(0.0, 1.0, ()).place is None


def test_a_place_of_a_package_stands_in_where_the_program_has_none() -> None:
    package = Place("lib.py", 1, "f", installed=True)
    assert Stall(0.0, 1.0, (package,)).place is package


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP on this system")
def test_a_process_that_was_stopped_is_no_stall() -> None:
    script = """
        import asyncio
        from kailash_monitor.instrument.stall import StallDetector
        async def main():
            told = []
            watch = asyncio.create_task(StallDetector(1.0, told.append).run())
            await asyncio.sleep(0.1)
            print("ready", flush=True)
            await asyncio.to_thread(input)
            await asyncio.sleep(1.5)
            watch.cancel()
            print(told, flush=True)
        asyncio.run(main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        os.kill(program.pid, signal.SIGSTOP)
        time.sleep(2.5)
        os.kill(program.pid, signal.SIGCONT)
        out, _ = program.communicate("\n", timeout=20)
    assert out == "[]\n"
