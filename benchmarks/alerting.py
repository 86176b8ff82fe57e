"""What alerts cost: a tick, a transition, the memory of one that fires, and a simulated week.

The core is driven by hand, and so is its clock. *A tick* judges one rule that stays calm, with all that goes with it but the
event loop. *A transition* is one change between firing and resolved, from its recording until every channel has answered,
which they do at once. *Memory* is that of a grouped rule's alerts, all told, by tracemalloc.

*The week*: a rule for each of a hundred gauges, judged each minute; each minute one gauge is set, in turn, and some of the
values breach.
"""

import gc
import random
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from benchmarks.command import run
from benchmarks.contestants import HERE, KailashMonitor
from benchmarks.effort import Effort
from benchmarks.rounds import in_rounds, seconds_of
from benchmarks.table import AtMost, Figure, Row, Unit
from benchmarks.traffic import be_busy
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.delivery.outcome import Delivered
from kailash_monitor.engine import AlertManager
from kailash_monitor.engine.outbox import Send
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import ManualClock
from kailash_monitor.testing.simulator import Simulator

__all__ = ["rows"]

NEVER: Final = 1e9
RULES: Final = 100
WEEK: Final = 7.0
"""Simulated seconds for each second of an effort's history: of a day, a week."""


UNLIMITED: Final = (1e6, 1_000_000)
"""Messages a second, and at once: what is measured is telling one by one, and not digests."""


def rows(effort: Effort) -> Iterator[Row]:
    """Measure what one alert costs, then the week."""
    yield from _ticks(effort)
    for channels in (1, 20):
        work = f"one transition, {channels} channel{'s' if channels > 1 else ''}"
        yield _row(work, _best(partial(_transitions, channels, max(2, effort.calls // 100)), effort))
    yield _memory(effort.series)
    seconds = effort.history * WEEK
    for share, what in ((0.0, "calm"), (0.01, "one value in a hundred breaches"), (0.25, "one in four breaches")):
        took = seconds_of(partial(_simulate, seconds, share))
        yield _row(f"{seconds / 86_400:.3g} simulated days of {RULES} rules at 1 min, {what}", took, AtMost(20.0))


def _row(work: str, seconds: float, target: AtMost | None = None) -> Row:
    return Row(work=work, unit=Unit.SECONDS, figures={HERE: Figure(seconds)}, target=target)


def _best(measure: Callable[[], float], effort: Effort) -> float:
    return min(in_rounds({HERE: measure}, effort)[HERE])


# -- ticks -----------------------------------------------------------------------------------------------------------------


def _ticks(effort: Effort) -> Iterator[Row]:
    clock = ManualClock()
    library = KailashMonitor(1, clock)
    counter, gauge = library.requests.labels("GET", "/x"), library.load.labels("GET", "/x")
    timer = library.took.labels("GET", "/x")

    def record(value: float) -> None:
        counter.inc()
        gauge.set(value)
        timer.observe(value)

    be_busy(record, clock, min(effort.history, 3600.0))
    for what, metric, condition in (
        ("a gauge, `>`", "load", ">"),
        ("a busy counter, `rate >`", "requests", "rate >"),
        ("a busy timer, `p95 >`", "took", "p95 >"),
    ):
        rule = AlertRule("calm", "Never too much", "warning", metric, condition, NEVER)
        yield _row(f"tick of a calm rule: {what}", _best(partial(_judged, library, clock, rule, effort.calls // 10), effort))


def _judged(library: KailashMonitor, clock: ManualClock, rule: AlertRule, times: int) -> float:
    """Give what a judgement takes; all are made at the same time, of the same data."""
    manager = _manager(library, channels=1)
    manager.add_rule(rule)
    core, now = manager.core, clock.now()

    def judge() -> None:
        for _ in range(times):
            core.agenda.hasten(rule.name, now)
            for _ in core.work():
                pass

    return seconds_of(judge) / times


# -- transitions -----------------------------------------------------------------------------------------------------------


def _transitions(channels: int, times: int) -> float:
    clock = ManualClock()
    library = KailashMonitor(1, clock)
    manager, load = _manager(library, channels), library.load.labels("GET", "/x")
    manager.add_rule(AlertRule("busy", "Too much waits", "warning", "load", "> 5", evaluation_interval="1s"))
    load.set(0.0)
    _work(manager, clock)

    def change() -> None:
        for number in range(times):
            clock.advance(1.0)
            load.set(0.0 if number % 2 else 9.0)
            _work(manager, clock)

    took = seconds_of(change) / times
    (incident,) = (case.incident for case in manager.core.book)
    assert incident.number == (times + 1) // 2
    return took


def _manager(library: KailashMonitor, channels: int) -> AlertManager:
    manager = AlertManager(library.registry, new_id=partial(format, 0), luck=lambda: 0.5)
    for _ in range(channels):
        manager.add_notification_channel(NotificationChannel(), rate=UNLIMITED)  # never called: see _work
    return manager


def _work(manager: AlertManager, clock: ManualClock) -> None:
    """Do all that is due, every channel taking what it is told."""
    core = manager.core
    for _ in core.work():
        pass
    for channel in manager.channels_by_name():
        while (send := core.outbox.begin_next(channel, clock.now())) is not None:
            if isinstance(send, Send):
                core.outbox.settle(send, Delivered(), clock.now())


# -- memory ----------------------------------------------------------------------------------------------------------------


def _memory(alerts: int) -> Row:
    clock = ManualClock()
    library = KailashMonitor(alerts, clock)
    manager = _manager(library, channels=1)
    for index in range(alerts):
        library.load.set("GET", f"/x/{index}", 9.0)
    manager.add_rule(AlertRule("calm", "Never too much", "warning", "load", ">", NEVER, group_by=("path",)))
    _work(manager, clock)  # what it takes to read them is not what it takes to fire
    gc.collect()
    tracemalloc.start()
    try:
        manager.add_rule(AlertRule("busy", "Too much waits", "warning", "load", "> 5", group_by=("path",)))
        _work(manager, clock)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(manager.get_active_alerts()) == alerts
    work = f"a firing alert, told to one channel, one of {alerts:,}"
    return Row(work=work, unit=Unit.BYTES, figures={HERE: Figure(kept / alerts)})


# -- the week --------------------------------------------------------------------------------------------------------------


def _simulate(seconds: float, breaching: float) -> None:
    rules = [
        AlertRule(f"rule-{n}", "Too much waits", "warning", f"waiting_{n}", "> 5", evaluation_interval="1m")
        for n in range(RULES)
    ]
    simulator, source = Simulator(*rules), random.Random(1)
    app = simulator.collector()
    for n in range(RULES):
        app.set_gauge(f"waiting_{n}", 0.0)

    def record(at: float) -> None:
        app.set_gauge(f"waiting_{round(at / 60) % RULES}", 9.0 if source.random() < breaching else 0.0)

    simulator.every("1m", record, until=seconds)
    simulator.advance(seconds)
    assert simulator.told() or breaching < 0.1


if __name__ == "__main__":
    run(rows)
