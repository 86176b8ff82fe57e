"""What it takes to judge a grouped rule, an alert for each of many series.

A manager runs on an event loop; five minutes of recordings were made before, on a clock that was set ahead by hand. *One
evaluation* is the thread time of all callbacks, divided by the evaluations that they were: the loop's own part is in it.
*First* is the one after the start. *The storm* lets a tenth of the series breach at once, and lasts from the start until the
channel was told of each. The longest callback is that of all rounds: there is to be none that is longer.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from benchmarks.alerting import UNLIMITED
from benchmarks.command import run
from benchmarks.contestants import HERE, KailashMonitor
from benchmarks.effort import FULL, Effort
from benchmarks.loops import Taken, timed_callbacks
from benchmarks.rounds import in_rounds
from benchmarks.table import AtMost, Figure, Row, Unit
from benchmarks.traffic import count_each, observe_each
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.engine import AlertManager
from kailash_monitor.model.alert import Alert
from kailash_monitor.rules import AlertRule

__all__ = ["rows"]

T = TypeVar("T")

HISTORY: Final = 300.0
STEP: Final = 10.0
"""Each series recorded so often in the time that the rule looks back."""

EVALUATIONS: Final = 3
ONE: Final = 0.040
LONGEST: Final = 0.010
NEVER: Final = 1e9


class _Ahead:
    """The system's clock, set ahead by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return SYSTEM_CLOCK.now() + self.ahead

    def wall(self) -> float:
        return SYSTEM_CLOCK.wall() + self.ahead

    def suspended(self) -> float:
        return 0.0


class _Tally(NotificationChannel):
    """Says when it was told so many things."""

    def __init__(self, enough: int) -> None:
        self.enough = asyncio.Event()
        self._left = enough

    async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
        self._left -= 1
        if not self._left:
            self.enough.set()
        return True


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of metric, how its series are recorded, and what is asked of it."""

    name: str
    metric: str
    condition: str
    fill: Callable[[KailashMonitor, int], None]
    total: AtMost | None = None
    longest: AtMost | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """The callbacks of the first evaluation, and those of so many others."""

    first: Taken
    later: Taken
    evaluations: int


def _load_each(library: KailashMonitor, series: int) -> None:
    for index in range(series):
        library.load.set("GET", f"/x/{index}", 0.5)


KINDS: Final = (
    Kind("counters, `rate >`", "requests", "rate >", count_each, AtMost(ONE), AtMost(LONGEST)),
    Kind("gauges, `>`", "load", ">", _load_each),
    Kind("timers, `p95 >`", "took", "p95 >", observe_each),
)


def rows(effort: Effort) -> Iterator[Row]:
    """Measure calm evaluations of each type, then the storm."""
    for kind in KINDS:
        library = _filled(kind, effort.series)
        measure = partial(_in_a_loop, partial(_calm, kind, library, 2.0 if effort is FULL else 0.2))
        rounds = in_rounds({HERE: measure}, effort)[HERE]
        work = f"one evaluation of a grouped rule, {effort.series:,} {kind.name}"
        yield _row(work, _total(rounds), kind.total)
        yield _row("the same, longest callback", _longest([one.later for one in rounds]), kind.longest)
        yield _row("the same, longest callback of the first evaluation", _longest([one.first for one in rounds]))
    library = _filled(KINDS[0], effort.series)
    firing = effort.series // 10
    for index in range(firing):
        library.requests.inc("GET", f"/x/{index}", by=1e12)
    storms = in_rounds({HERE: partial(_in_a_loop, partial(_storm, library, firing))}, effort)[HERE]
    yield _row(f"{firing:,} of {effort.series:,} begin to fire, all told", Figure(min(one.total for one in storms)))
    yield _row("the same, longest callback", _longest(storms))


def _in_a_loop(measure: Callable[[], Coroutine[Any, Any, T]]) -> T:  # Any: what a coroutine yields
    return asyncio.run(measure())


def _row(work: str, figure: Figure, target: AtMost | None = None) -> Row:
    return Row(work=work, unit=Unit.SECONDS, figures={HERE: figure}, target=target)


def _total(rounds: list[Round]) -> Figure:
    words = Unit.SECONDS.words
    totals = [one.later.total / one.evaluations for one in rounds]
    return Figure(min(totals), f"worst {words(max(totals))}, first {words(min(one.first.total for one in rounds))}")


def _longest(rounds: list[Taken]) -> Figure:
    words = Unit.SECONDS.words
    ours, best = max(one.longest_of_ours for one in rounds), min(one.longest for one in rounds)
    return Figure(max(one.longest for one in rounds), f"{words(ours)} without full collections, best round {words(best)}")


def _filled(kind: Kind, series: int) -> KailashMonitor:
    clock = _Ahead()
    library = KailashMonitor(series, clock)
    for _ in range(round(HISTORY / STEP)):
        kind.fill(library, series)
        clock.ahead += STEP
    return library


def _rule(kind: Kind, every: float | str, threshold: float) -> AlertRule:
    return AlertRule(
        "grouped",
        "One of many",
        "warning",
        kind.metric,
        kind.condition,
        threshold,
        evaluation_interval=every,
        group_by=("path",),
    )


async def _calm(kind: Kind, library: KailashMonitor, every: float) -> Round:
    manager = AlertManager(library.registry)
    manager.add_rule(_rule(kind, every, NEVER))
    gc.collect()
    with timed_callbacks() as first:
        await manager.start()
        while not manager.health().ready:  # noqa: ASYNC110  # nothing tells when a rule was judged
            await asyncio.sleep(0.01)
    (before,) = manager.rule_status()
    with timed_callbacks() as later:
        await asyncio.sleep(EVALUATIONS * every)
    (after,) = manager.rule_status()
    await manager.stop()
    return Round(first, later, after.evaluations - before.evaluations)


async def _storm(library: KailashMonitor, firing: int) -> Taken:
    manager, tally = AlertManager(library.registry), _Tally(firing)
    manager.add_notification_channel(tally, rate=UNLIMITED)
    manager.add_rule(_rule(KINDS[0], "1h", 1e6))
    gc.collect()
    with timed_callbacks() as taken:
        await manager.start()
        await tally.enough.wait()
    await manager.stop()
    return taken


if __name__ == "__main__":
    run(rows)
