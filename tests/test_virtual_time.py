"""The virtual-time loop, and each trap on the way to it."""

import asyncio
import threading
import time

import pytest
from aiohttp import ClientSession, ClientTimeout, web

from kailash_monitor.testing import (
    EPOCH,
    ManualClock,
    VirtualClock,
    VirtualTimeLoop,
    VirtualTimeStuck,
    run_virtual,
    virtual_time,
)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_week_passes_at_once() -> None:
    async def week() -> float:
        await asyncio.sleep(7 * 86_400)
        return now()

    begun = time.monotonic()
    assert run_virtual(week()) == 7 * 86_400
    assert time.monotonic() - begun < 5


async def test_timers_come_in_order_and_on_time() -> None:
    seen: list[tuple[str, float]] = []

    async def nap(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, now()))

    await asyncio.gather(nap("b", 10.5), nap("c", 300), nap("a", 0.1))
    assert seen == [("a", 0.1), ("b", 10.5), ("c", 300)]


async def test_a_far_future_does_not_hang() -> None:
    """With the real clock's resolution, a year later a timer would be off by more than the resolution, and never come."""
    for _ in range(100):
        await asyncio.sleep(365 * 86_400 / 7.3)
        await asyncio.sleep(1e-4)


async def test_a_deadline_cuts_a_wait_short() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()
    assert now() == 3600


async def test_the_clock_stands_still_while_a_thread_works() -> None:
    async with asyncio.timeout(1):  # would be over at once if the clock jumped
        assert await asyncio.to_thread(lambda: time.sleep(0.2) or "done") == "done"
    assert now() == 0


async def test_the_clock_stands_still_for_work_that_was_announced() -> None:
    loop, back = asyncio.get_running_loop(), asyncio.Event()
    assert isinstance(loop, VirtualTimeLoop)
    thread = threading.Thread(target=lambda: (time.sleep(0.1), loop.call_soon_threadsafe(back.set)), daemon=True)
    with loop.outside_work():
        thread.start()
        async with asyncio.timeout(1):
            await back.wait()
    assert now() == 0
    thread.join()


async def test_a_cancelled_thread_is_waited_for_no_longer() -> None:
    release = threading.Event()
    waiting = asyncio.get_running_loop().run_in_executor(None, release.wait)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(5)
    release.set()
    assert now() == 5


def test_ending_waits_for_threads_in_real_time() -> None:
    """On 3.12 and later, the end waits for threads under a time limit that virtual time would jump over."""
    ended: list[bool] = []

    async def leave_a_thread_behind() -> None:
        asyncio.get_running_loop().run_in_executor(None, lambda: (time.sleep(0.2), ended.append(True)))
        await asyncio.sleep(0)

    run_virtual(leave_a_thread_behind())
    assert ended == [True]


async def test_sockets_answer_before_their_deadline() -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(2)  # virtual
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with ClientSession(timeout=ClientTimeout(total=10)) as session:

        async def ask() -> str:
            async with session.get(f"http://127.0.0.1:{port}/") as response:
                return await response.text()

        assert await asyncio.gather(*(ask() for _ in range(50))) == ["ok"] * 50
    await runner.cleanup()


def test_a_wait_that_nothing_can_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "PATIENCE", 0.05)

    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeStuck, match="nothing can wake the event loop any more; waiting: .*forever"):
        run_virtual(forever())


async def test_a_virtual_clock_reads_its_loop(clock: VirtualClock) -> None:
    await asyncio.sleep(12)
    assert (clock.now(), clock.wall(), repr(clock)) == (12, EPOCH + 12, "<VirtualClock 12>")


def test_a_manual_clock_moves_by_hand() -> None:
    clock = ManualClock(5.0)
    clock.advance(2)
    assert (clock.now(), clock.wall(), repr(clock)) == (7, EPOCH + 7, "<ManualClock 7>")


@pytest.mark.real_time
async def test_the_marker_gives_the_ordinary_loop() -> None:
    assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)


async def test_readers_that_come_and_go_are_sockets_too() -> None:
    import socket

    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    heard = asyncio.Event()
    loop.add_reader(left, heard.set)
    loop.add_writer(left, lambda: loop.remove_writer(left))
    right.send(b"x")
    await asyncio.wait_for(heard.wait(), 1)
    loop.remove_reader(left)
    left.close()
    right.close()
    assert now() == 0
