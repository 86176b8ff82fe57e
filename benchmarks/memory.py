"""What a series keeps in memory, by tracemalloc.

*Idle*: labelled series with one recording each, divided by their number; then the same with a second recording, which begins
a history, or after a page was written. *Busy*: one series that recorded ten times a second for a day, on a clock that is
moved on by hand. The metric stands already in each case. Label values are counted, since the series keeps them alive.

The allocator gives the same answer every time: one round is enough.
"""

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from benchmarks.command import run
from benchmarks.contestants import LIBRARIES, PAGED, KailashMonitor, Library, Paged, PrometheusClient
from benchmarks.effort import Effort
from benchmarks.table import AtMost, Figure, Row, Unit
from benchmarks.traffic import be_busy, count_each, observe_each
from kailash_monitor.testing import ManualClock

__all__ = ["rows"]

L = TypeVar("L", bound=Library)


def rows(effort: Effort) -> Iterator[Row]:
    """Measure idle series of every library, then what history adds here."""
    idle = partial(_idle, series=effort.series)
    yield idle("idle labelled counter", LIBRARIES, count_each, target=AtMost(0.6, ratio=True))
    yield idle("idle labelled histogram", LIBRARIES, observe_each, target=AtMost(0.35, ratio=True))
    for what, fill in (("counter", count_each), ("histogram", observe_each)):
        clock = ManualClock()
        yield idle(
            f"the same {what}, recorded twice, a minute apart",
            (partial(KailashMonitor, clock=clock), PrometheusClient),
            partial(_twice, fill, clock),
        )
        yield idle(f"the same {what}, recorded once, exported", PAGED, partial(_exported, fill))
    yield idle("idle labelled counter, recorded by name", (KailashMonitor,), _count_by_name)
    for what, often, limit in (("counter", _count_often, 8e3), ("histogram", _observe_often, 90e3)):
        clock = ManualClock()
        library = KailashMonitor(1, clock)
        yield Row(
            work=f"busy {what}, {effort.history / 3600:.3g} h of history",
            unit=Unit.BYTES,
            figures={library.name: Figure(_kept(partial(often, library, clock, effort.history)))},
            target=AtMost(limit),
        )


def _idle(
    work: str,
    kinds: Sequence[Callable[[int], L]],
    fill: Callable[[L, int], None],
    *,
    series: int,
    target: AtMost | None = None,
) -> Row:
    libraries = [kind(series) for kind in kinds]
    figures = {one.name: Figure(_kept(partial(fill, one, series)) / series) for one in libraries}
    return Row(work=work, unit=Unit.BYTES, figures=figures, target=target)


def _kept(work: Callable[[], None]) -> float:
    """Give how many bytes more there are after `work()`."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        gc.collect()
        return float(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()


def _twice(fill: Callable[[Library, int], None], clock: ManualClock, library: Library, series: int) -> None:
    fill(library, series)
    clock.advance(60.0)
    fill(library, series)


def _exported(fill: Callable[[Library, int], None], library: Paged, series: int) -> None:
    fill(library, series)
    library.page()


def _count_by_name(library: KailashMonitor, series: int) -> None:
    for index in range(series):
        library.app.increment("requests", 1, labels={"method": "GET", "path": f"/x/{index}"})


def _count_often(library: KailashMonitor, clock: ManualClock, seconds: float) -> None:
    handle = library.requests.labels("GET", "/x")
    be_busy(lambda _: handle.inc(), clock, seconds)


def _observe_often(library: KailashMonitor, clock: ManualClock, seconds: float) -> None:
    be_busy(library.took.labels("GET", "/x").observe, clock, seconds)


if __name__ == "__main__":
    run(rows)
