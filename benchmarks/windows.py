"""What it costs to ask for the last hour.

A handle's ring is filled by ten recordings a second for a day, on a clock that is moved on by hand, and then stands still
while it is asked. A metric as a whole is asked where each of its series has a full ring as well, from events whose spacing
grows with their age (a day at ten a second, a thousand times over, would take an hour). The peers keep no history.
"""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Final

from benchmarks.command import run
from benchmarks.contestants import HERE, KailashMonitor
from benchmarks.effort import Effort
from benchmarks.rounds import in_rounds, seconds_per_call
from benchmarks.table import AtMost, Figure, Row, Unit
from benchmarks.traffic import be_busy, count_each, graded_ages, observe_each
from kailash_monitor.testing import ManualClock

__all__ = ["rows"]

INCREASE: Final = "asked.get_increase(3600.0)"
P95: Final = "asked.get_percentile(95, 3600.0)"


def rows(effort: Effort) -> Iterator[Row]:
    """Ask one series, then many as one."""
    busy = _busy(effort.history)
    one = partial(_row, effort=effort, calls=effort.calls // 20)
    yield one("increase over 1 h, full ring", INCREASE, busy.requests.labels("GET", "/x"), target=AtMost(1.5e-6))
    yield one("p95 over 1 h, full ring", P95, busy.took.labels("GET", "/x"), target=AtMost(100e-6))
    many, number = _many(effort.summed, effort.history), f"{effort.summed:,} series as one"
    all_of_them = partial(_row, effort=effort, calls=5)
    yield all_of_them(f"increase over 1 h, {number}", INCREASE, many.requests.metric)
    yield all_of_them(f"p95 over 1 h, {number}", P95, many.took.metric)


def _row(work: str, call: str, asked: object, *, effort: Effort, calls: int, target: AtMost | None = None) -> Row:
    names = {"asked": asked, "values": [0.0]}
    found = in_rounds({HERE: partial(seconds_per_call, call, names, calls)}, effort)
    return Row(work=work, unit=Unit.SECONDS, figures={HERE: Figure(min(found[HERE]))}, target=target)


def _busy(seconds: float) -> KailashMonitor:
    clock = ManualClock()
    library = KailashMonitor(1, clock)
    counter, histogram = library.requests.labels("GET", "/x"), library.took.labels("GET", "/x")

    def record(value: float) -> None:
        counter.inc()
        histogram.observe(value)

    be_busy(record, clock, seconds)
    return library


def _many(series: int, seconds: float) -> KailashMonitor:
    clock = ManualClock()
    library = KailashMonitor(series, clock)
    for older, newer in pairwise(graded_ages(seconds)):
        count_each(library, series)
        observe_each(library, series, observations=5)
        clock.advance(older - newer)
    return library


if __name__ == "__main__":
    run(rows)
