"""Calls in daemon threads."""

import asyncio
import threading

import pytest

from kailash_monitor.engine.daemon import DaemonCalls

from newcomers import Newcomers  # isort: skip


async def test_a_call_gives_its_result_or_its_error() -> None:
    calls = DaemonCalls(2)
    assert await calls.call(lambda a, b: a + b, 1, 2, seconds=1) == 3
    with pytest.raises(ZeroDivisionError):
        await calls.call(lambda: 1 / 0, seconds=1)


async def test_calls_run_in_threads_that_end_with_the_process() -> None:
    assert await DaemonCalls(1).call(lambda: threading.current_thread().daemon, seconds=1)


@pytest.mark.real_time
async def test_what_hangs_is_abandoned_and_bounded() -> None:
    calls, release = DaemonCalls(2), threading.Event()
    before = Newcomers()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await calls.call(release.wait, 10, seconds=0.05)
    for _ in range(5):
        with pytest.raises(TimeoutError, match="2 calls before it still hang"):
            await calls.call(release.wait, 10, seconds=0.05)
    assert before.count == 2
    release.set()
    while before.count > 0:
        await asyncio.sleep(0.01)
    assert await calls.call(lambda: "free again", seconds=1) == "free again"
