"""The watchdog: that a busy program is no stall, and how soon people hear of one.

The event loop is busy for 80 % of the time, in callbacks of 1 to 300 ms, beside a thread that wants the interpreter as well.
Nothing may be told. The first figure is the longest that the loop took to come round meanwhile, by a timer of its own; the
second how long after `stall_after`, one second, a channel is called while the loop is held up.

    python -m benchmarks.watchdog [--seconds 600]
"""

import argparse
import asyncio
import hashlib
import random
import threading
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.contestants import HERE
from benchmarks.effort import FULL, Effort
from benchmarks.table import HEADER, AtMost, Figure, Row, Unit
from kailash_monitor.alerts import AlertManager
from kailash_monitor.metrics import MetricsRegistry

__all__ = ["rows"]

SECONDS: Final = 600.0
SECONDS_AMONG_OTHERS: Final = 30.0
SECONDS_TO_SEE_WHETHER_IT_RUNS: Final = 1.0

BUSY: Final = 0.8
AFTER: Final = 1.0
STALLS: Final = 10


def rows(effort: Effort) -> Iterator[Row]:
    """Be busy for a while, then stall a few times."""
    yield _busy_row(SECONDS_AMONG_OTHERS if effort is FULL else SECONDS_TO_SEE_WHETHER_IT_RUNS)
    yield _stalled_row(STALLS if effort is FULL else 1)


def _busy_row(seconds: float) -> Row:
    longest, told = asyncio.run(_be_busy(seconds))
    return Row(
        work=f"{seconds:g} s of {BUSY:.0%} CPU without a stall, longest round of the loop",
        unit=Unit.SECONDS,
        figures={HERE: Figure(longest, f"{told} stalls told")},
    )


def _stalled_row(stalls: int) -> Row:
    late = [asyncio.run(_stall()) for _ in range(stalls)]
    return Row(
        work=f"the loop is held up: a channel is called, later than the {AFTER:g} s after which it is a stall",
        unit=Unit.SECONDS,
        figures={HERE: Figure(min(late), f"worst {Unit.SECONDS.words(max(late))}")},
        target=AtMost(0.5),
    )


async def _be_busy(seconds: float) -> tuple[float, int]:
    """Give the longest round of the loop, and how many stalls were told of."""
    told: list[str] = []
    manager = AlertManager(MetricsRegistry(), stall_after=AFTER)
    manager.add_notification_channel(lambda alert, _: told.append(alert.id))
    ended, luck, longest = threading.Event(), random.Random(1), 0.0
    thread = threading.Thread(target=_want_the_interpreter, args=(ended,))
    async with manager:
        thread.start()
        end = time.monotonic() + seconds
        while (begun := time.monotonic()) < end:
            burst = luck.uniform(0.001, 0.3)
            while time.monotonic() - begun < burst:
                pass
            await asyncio.sleep(burst * (1 / BUSY - 1))
            longest = max(longest, time.monotonic() - begun)
        ended.set()
        thread.join()
    return longest, len(told)


def _want_the_interpreter(ended: threading.Event) -> None:
    while not ended.wait(0.01):
        for _ in range(1_000):
            hashlib.sha256(b"short, so that it is not let go").digest()


async def _stall() -> float:
    """Give how much later than AFTER a channel is called."""
    called: list[float] = []
    manager = AlertManager(MetricsRegistry(), stall_after=AFTER)
    manager.add_notification_channel(lambda alert, _: called.append(time.monotonic()))
    async with manager:
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        time.sleep(AFTER + 0.7)  # noqa: ASYNC251  # what nobody should do
    return called[0] - begun - AFTER


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Be busy, and stall, under the eyes of the watchdog.")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    print(HEADER)
    print(_busy_row(parser.parse_args().seconds), flush=True)
    print(_stalled_row(STALLS))
