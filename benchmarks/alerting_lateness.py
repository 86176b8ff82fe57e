"""How late the alert engine is on a real event loop, above a bare timer loop that runs at the same time.

*Crossing*: a gauge is recorded a thousand times a second, from a task or from a thread, and crosses the threshold of an
`on_write` rule at random moments; from that recording to the call of the channel.

*Crowd*: rules over callback gauges at one interval, a twentieth of which begin or cease to fire at each evaluation; beside
them a reading that never returns and a channel that never answers. From the due time of a rule to its reading.

What is waited for counts here, so these are seconds of the clock, and the machine should have nothing else to do.
"""

import asyncio
import gc
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Final

from benchmarks.alerting import UNLIMITED
from benchmarks.command import run
from benchmarks.contestants import HERE
from benchmarks.effort import FULL, Effort
from benchmarks.loops import Taken, beside_a_bare_loop, percentile, timed_callbacks
from benchmarks.table import AtMost, Figure, Row, Unit
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.engine import AlertManager
from kailash_monitor.engine.grid import Grid
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import Alert
from kailash_monitor.rules import AlertRule

__all__ = ["rows"]

PER_SECOND: Final = 1_000
LASTS: Final = (50, 250)
"""So many recordings a breach lasts, and the calm after it."""

CROSSING: Final = 0.050
CROWD: Final = 0.020
LONGEST: Final = 0.010
CHANGING: Final = 20
"""Each so many-th rule of the crowd changes at each evaluation."""

Pace = Callable[[Callable[[], None], int], Awaitable[None]]
"""Calls something so many times, a thousand times a second."""


def rows(effort: Effort) -> Iterator[Row]:
    """Measure crossings, then the crowd."""
    seconds = 60.0 if effort is FULL else 1.0
    for where, pace in (("a task", _from_a_task), ("a thread", _from_a_thread)):
        with beside_a_bare_loop(seconds) as bare:
            latencies, taken = asyncio.run(_crossings(pace, round(seconds * PER_SECOND)))
        work = f"breach recorded to channel called, p99, 1,000 recordings a second from {where}"
        yield _excess(work, latencies, bare, CROSSING)
        yield _longest("the same, longest callback", taken)
    with beside_a_bare_loop(seconds) as bare:
        lateness, taken = asyncio.run(_crowd(effort.summed, seconds))
    work = f"{effort.summed:,} rules at {seconds / 6:.3g} s, one hung reading, one hung channel"
    yield _excess(f"{work}, lateness of the others, p99", lateness, bare, CROWD)
    yield _longest("the same, longest callback", taken, AtMost(LONGEST))


def _excess(work: str, late: list[float], bare: list[float], limit: float) -> Row:
    words = Unit.SECONDS.words
    p99, floor = percentile(late, 99), percentile(bare, 99)
    remark = f"median {words(percentile(late, 50))}, p99 {words(p99)}, worst {words(max(late))} of {len(late):,}"
    figure = Figure(max(p99 - floor, 0.0), f"{remark}; bare p99 {words(floor)}")
    return Row(work=f"{work} above a bare timer", unit=Unit.SECONDS, figures={HERE: figure}, target=AtMost(limit))


def _longest(work: str, taken: Taken, target: AtMost | None = None) -> Row:
    words = Unit.SECONDS.words
    remark = f"p99 {words(percentile(taken.callbacks, 99))}, {words(taken.longest_of_ours)} without full collections"
    figure = Figure(taken.longest, remark)
    return Row(work=work, unit=Unit.SECONDS, figures={HERE: figure}, target=target)


# -- crossing --------------------------------------------------------------------------------------------------------------


class _Pager(NotificationChannel):
    """Notes when it hears that something fires, by the number of the incident."""

    def __init__(self) -> None:
        self.heard: dict[int, float] = {}

    async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
        if context["kind"] == "firing":
            self.heard[alert.incident] = time.perf_counter()
        return True


async def _crossings(pace: Pace, recordings: int) -> tuple[list[float], Taken]:
    """Give how long after each crossing the channel was called; it must have been, each time."""
    registry, pager = MetricsRegistry(), _Pager()
    app = registry.collector("app")
    crossed: list[float] = []
    source = random.Random(1)
    breaching, left = False, LASTS[1]

    def record() -> None:
        nonlocal breaching, left
        left -= 1
        if not left:
            breaching, left = not breaching, source.randint(*LASTS)
            if breaching:
                crossed.append(time.perf_counter())
        app.set_gauge("waiting", 9.0 if breaching else source.random())

    manager = AlertManager(registry)
    manager.add_notification_channel(pager, rate=UNLIMITED)
    manager.add_rule(AlertRule("busy", "Too much waits", "warning", "waiting", "> 5", on_write=True))
    gc.collect()
    with timed_callbacks() as taken:
        async with manager:
            await asyncio.sleep(0.1)  # the first judgement is not measured
            await pace(record, recordings)
            await asyncio.sleep(0.2)  # what crossed last
    assert len(pager.heard) == len(crossed), f"{len(crossed)} crossings, of which {len(pager.heard)} were told"
    return [pager.heard[number] - at for number, at in enumerate(crossed, 1)], taken


async def _from_a_task(record: Callable[[], None], times: int) -> None:
    begun = time.perf_counter()
    for n in range(times):
        wait = begun + n / PER_SECOND - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        record()


async def _from_a_thread(record: Callable[[], None], times: int) -> None:
    await asyncio.to_thread(_sleeping, record, times)


def _sleeping(record: Callable[[], None], times: int) -> None:
    begun = time.perf_counter()
    for n in range(times):
        wait = begun + n / PER_SECOND - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        record()


# -- crowd -----------------------------------------------------------------------------------------------------------------


class _Hung(NotificationChannel):
    """Never answers."""

    async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
        return await _never() > 0


async def _never() -> float:
    await asyncio.Event().wait()
    return 0.0


async def _crowd(rules: int, seconds: float) -> tuple[list[float], Taken]:
    """Give how late each reading was, but for each rule's first one, which comes when the manager starts."""
    registry, interval = MetricsRegistry(), seconds / 6
    app, now = registry.collector("app"), registry.clock.now
    asked: Counter[int] = Counter()
    lateness: list[float] = []

    def read(index: int, grid: Grid) -> float:
        if asked[index]:
            at = now()
            lateness.append(at - (grid.after(at) - grid.interval))
        asked[index] += 1
        return 9.0 if index % CHANGING == 0 and asked[index] % 2 else 0.0

    manager = AlertManager(registry, stop_timeout=0)
    manager.add_notification_channel(_Pager(), rate=UNLIMITED)
    manager.add_notification_channel(_Hung(), rate=UNLIMITED)
    manager.add_rule(AlertRule("hung", "Never answers", "warning", "", "> 5", reading=_never, evaluation_interval=interval))
    for index in range(rules):
        name = f"rule-{index}"
        app.callback_gauge(f"waiting_{index}", partial(read, index, Grid.of(name, interval)))
        rule = AlertRule(name, "Too much waits", "warning", f"waiting_{index}", "> 5", evaluation_interval=interval)
        manager.add_rule(rule)
    gc.collect()
    with timed_callbacks() as taken:
        async with manager:
            await asyncio.sleep(seconds)
    return lateness, taken


if __name__ == "__main__":
    run(rows)
