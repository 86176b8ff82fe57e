"""What it takes to tell: messages that outlive the process, many channels at once, and a storm into a narrow channel.

*A message* is one alert of a grouped rule that begins to fire, told by itself, from its recording until the last was taken;
the channel takes each at once. With a store, its beginning is on the disk before it is sent. Beside it stands *a single
commit*: one row in a table of the same folder, synced, again and again, in turns with the messages.

*Fan-out*: one alert to many channels that take a tenth of a second each; what that takes longer than one of them.

*The storm*: alerts that begin to fire evenly over ten seconds, with a store, into a channel that takes one message a second,
and five at once. In the end it must have been told of each, once.

What is waited for counts here, so these are seconds of the clock; but what a message costs, and its callbacks, are those of
the processor. What full collections of garbage take is told beside the longest callback: they walk all that the program has.
"""

import asyncio
import gc
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from benchmarks.command import run
from benchmarks.contestants import HERE
from benchmarks.effort import FULL, Effort
from benchmarks.loops import Taken, percentile, timed_callbacks
from benchmarks.rounds import in_rounds
from benchmarks.table import AtMost, Figure, Row, Unit
from kailash_monitor.channels import DeliveringChannel
from kailash_monitor.delivery.outcome import Delivered, Outcome
from kailash_monitor.engine import AlertManager
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.metrics.instruments import Gauge
from kailash_monitor.model.notice import Notice
from kailash_monitor.rules import AlertRule
from kailash_monitor.storage import SqliteStore

__all__ = ["rows"]

T = TypeVar("T")

PER_COMMIT: Final = 1.5
PER_SECOND: Final = 1_500
"""Messages in the time of a single commit, where a machine makes at most a thousand of those a second; else a second."""

CHANNELS: Final = 20
TAKES: Final = 0.1
APART: Final = 0.050
LONGEST: Final = 0.010
NARROW: Final = (1.0, 5)
PATIENCE: Final = 60.0


def rows(effort: Effort) -> Iterator[Row]:
    """Measure messages, then fan-out, then the storm."""
    yield from _messages(effort)
    for stored in (False, True):
        yield _fan_out(effort, stored=stored)
    yield from _storm(effort)


def _in_a_loop(measure: Callable[[], Coroutine[Any, Any, T]]) -> T:  # Any: what a coroutine yields
    return asyncio.run(measure())


def _row(work: str, figure: Figure, target: AtMost | None = None) -> Row:
    return Row(work=work, unit=Unit.SECONDS, figures={HERE: figure}, target=target)


def _longest(rounds: list[Taken]) -> Row:
    """Give the longest callback of all rounds."""
    words = Unit.SECONDS.words
    p99 = percentile([one for taken in rounds for one in taken.callbacks], 99)
    remark = f"{words(max(one.longest for one in rounds))} with full collections, p99 {words(p99)}"
    return _row("the same, longest callback", Figure(max(one.longest_of_ours for one in rounds), remark), AtMost(LONGEST))


def _manager(folder: str | None) -> AlertManager:
    store = None if folder is None else SqliteStore(os.path.join(folder, "alerts.db"))
    return AlertManager(MetricsRegistry(), store=store, stop_timeout=0)


def _load(manager: AlertManager, series: int) -> Gauge:
    return manager.metrics_registry.collector("app", max_series=series).gauge("load", labels=("path",))


# -- messages --------------------------------------------------------------------------------------------------------------


class _Tally:
    """Says when so much was told."""

    def __init__(self) -> None:
        self.enough = asyncio.Event()
        self._left = 0

    def expect(self, messages: int) -> None:
        self.enough.clear()
        self._left = messages

    def count(self) -> None:
        self._left -= 1
        if not self._left:
            self.enough.set()


class _Counting(DeliveringChannel):
    """Takes what it is told, in its own time, and counts it."""

    rate = (1e6, 1_000_000)

    def __init__(self, tally: _Tally, takes: float = 0.0, name: str | None = None) -> None:
        self.name = name
        self._tally = tally
        self._takes = takes

    async def deliver(self, notice: Notice) -> Outcome:
        if self._takes:
            await asyncio.sleep(self._takes)
        self._tally.count()
        return Delivered()


@dataclass(frozen=True, slots=True)
class _Told:
    """Seconds per message: of the clock, of the loop's thread, of the whole process; and the loop's callbacks."""

    clock: float
    loop: float
    process: float
    taken: Taken


def _messages(effort: Effort) -> Iterator[Row]:
    count, commits, stored = effort.series // 5, list[float](), list[_Told]()
    plain = in_rounds({HERE: partial(_in_a_loop, partial(_tell, None, count))}, effort)[HERE]
    with tempfile.TemporaryDirectory() as parent:
        for _ in range(effort.rounds):
            commits.append(_single_commits(parent, effort.calls // 100))
            stored.append(_in_a_loop(partial(_tell, tempfile.mkdtemp(dir=parent), count)))
    commit, best = min(commits), min(stored, key=_clock)
    yield _row(f"a message without a store, one of {count:,}", _cost(min(plain, key=_clock)))
    yield _row(f"a message with a store, one of {count:,}", _cost(best))
    yield _longest([one.taken for one in stored])
    target = AtMost(max(commit / PER_COMMIT, 1 / PER_SECOND))
    remark = f"{1 / best.clock:,.0f} a second, {commit / best.clock:.2f} × as many as single commits ({1 / commit:,.0f})"
    yield _row("the same, by the clock", Figure(best.clock, remark), target)


def _clock(told: _Told) -> float:
    return told.clock


def _cost(told: _Told) -> Figure:
    words = Unit.SECONDS.words
    return Figure(told.loop, f"of the loop; {words(told.process)} of all threads, {words(told.clock)} of the clock")


async def _tell(folder: str | None, count: int) -> _Told:
    """Let so many alerts fire and end again, to warm up: a log that grows is synced more slowly. Then once more."""
    manager, tally = _manager(folder), _Tally()
    load = _load(manager, count)
    manager.add_notification_channel(_Counting(tally))
    manager.add_rule(AlertRule("busy", "Too much waits", "warning", "load", "> 5", group_by=("path",), on_write=True))
    async with manager:
        for value in (9.0, 0.0):
            await _change(load.set, tally, count, value)
        gc.collect()
        with timed_callbacks() as taken:
            begun, cpu = time.perf_counter(), time.process_time()
            await _change(load.set, tally, count, 9.0)
            took, spent = time.perf_counter() - begun, time.process_time() - cpu
    return _Told(took / count, taken.total / count, spent / count, taken)


async def _change(record: Callable[[str, float], None], tally: _Tally, count: int, value: float) -> None:
    tally.expect(count)
    for index in range(count):
        record(f"/x/{index}", value)
    await tally.enough.wait()


def _single_commits(folder: str, times: int) -> float:
    """Give the seconds of one commit, as a program makes it that keeps each message by itself."""
    path = os.path.join(folder, "single.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS message (key TEXT PRIMARY KEY, document TEXT) WITHOUT ROWID")
        for number in range(times):
            _commit(connection, number)
        begun = time.perf_counter()
        for number in range(times):
            _commit(connection, number)
        return (time.perf_counter() - begun) / times


def _commit(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT OR REPLACE INTO message VALUES (?, ?)", (f"message-{number}", "x" * 100))
    connection.execute("COMMIT")


# -- fan-out ---------------------------------------------------------------------------------------------------------------


def _fan_out(effort: Effort, *, stored: bool) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        measures = {
            str(channels): partial(_in_a_loop, partial(_tell_all, folder if stored else None, channels))
            for channels in (1, CHANNELS)
        }
        found = in_rounds(measures, effort)
    one, all_ = sorted(found["1"]), sorted(found[str(CHANNELS)])
    words = Unit.SECONDS.words
    remark = f"{words(all_[0])} and {words(one[0])}, worst {words(all_[-1])} and {words(one[-1])}"
    work = f"one alert to {CHANNELS} channels that take {words(TAKES)}, above one channel"
    return _row(
        f"{work}, {'with' if stored else 'without'} a store", Figure(max(0.0, all_[0] - one[0]), remark), AtMost(APART)
    )


async def _tell_all(folder: str | None, channels: int) -> float:
    """Give the seconds from the recording until all have taken it."""
    manager, tally = _manager(folder), _Tally()
    load = _load(manager, 1)
    for number in range(channels):
        manager.add_notification_channel(_Counting(tally, TAKES, name=f"channel-{number}"))
    manager.add_rule(AlertRule("busy", "Too much waits", "warning", "load", "> 5", group_by=("path",), on_write=True))
    load.set("/x", 0.0)
    async with manager:
        await asyncio.sleep(TAKES)
        tally.expect(channels)
        begun = time.perf_counter()
        load.set("/x", 9.0)
        await tally.enough.wait()
        took = time.perf_counter() - begun
        tally.expect(channels)
        load.set("/x", 0.0)
        await tally.enough.wait()
    return took


# -- the storm -------------------------------------------------------------------------------------------------------------


class _Narrow(DeliveringChannel):
    """Keeps when it was told of what, at once."""

    rate = NARROW

    def __init__(self, alerts: int) -> None:
        self.at: list[float] = []
        self.told: Counter[str] = Counter()
        self.all_told = asyncio.Event()
        self._alerts = alerts

    async def deliver(self, notice: Notice) -> Outcome:
        self.at.append(time.perf_counter())
        alerts = [item.alert for item in notice.items] or [notice.alert]
        self.told.update(alert.id for alert in alerts)
        if len(self.told) == self._alerts:
            self.all_told.set()
        return Delivered()


def _storm(effort: Effort) -> Iterator[Row]:
    alerts, seconds = effort.series, 10.0 if effort is FULL else 0.5
    with tempfile.TemporaryDirectory() as folder:
        channel, taken, begun = _in_a_loop(partial(_burst, folder, alerts, seconds))
    first = channel.at[0]
    within = sum(at - first < 10.0 for at in channel.at)
    assert within <= NARROW[1] + 10 * NARROW[0], f"{within} messages in ten seconds"
    assert len(channel.told) == channel.told.total() == alerts, f"{channel.told.total()} told of {alerts}"
    work = f"{alerts:,} alerts begin to fire in {seconds:g} s into a channel of one message a second"
    remark = f"{within} messages within 10 s, {len(channel.at)} in all, each alert in one"
    yield _row(f"{work}: all told", Figure(channel.at[-1] - begun, remark))
    yield _longest([taken])


async def _burst(folder: str, alerts: int, seconds: float) -> tuple[_Narrow, Taken, float]:
    manager, channel = _manager(folder), _Narrow(alerts)
    load = _load(manager, alerts)
    manager.add_notification_channel(channel)
    manager.add_rule(
        AlertRule("busy", "Too much waits", "warning", "load", "> 5", evaluation_interval="1s", group_by=("path",))
    )
    for index in range(alerts):
        load.set(f"/x/{index}", 0.0)
    async with manager:
        await asyncio.sleep(0.5)
        gc.collect()
        with timed_callbacks() as taken:
            begun = time.perf_counter()
            for index in range(alerts):
                wait = begun + seconds * index / alerts - time.perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
                load.set(f"/x/{index}", 9.0)
            async with asyncio.timeout(PATIENCE):
                await channel.all_told.wait()
    return channel, taken, begun


if __name__ == "__main__":
    run(rows)
