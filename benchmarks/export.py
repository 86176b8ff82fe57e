"""What a page in the Prometheus text format costs.

In each round each library is filled anew, with labelled counters or with histograms of five observations, and writes its
page twice; no other library is in memory meanwhile, and all write the same number of lines. The second page counts, since a
program is scraped again and again; the first is told beside it where it took longer.
"""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.command import run
from benchmarks.contestants import PAGED, Paged
from benchmarks.effort import Effort
from benchmarks.rounds import in_rounds, seconds_of
from benchmarks.table import AtMost, Figure, Row, Unit
from benchmarks.traffic import count_each, observe_each

__all__ = ["rows"]

OBSERVATIONS = 5

Fill = Callable[[Paged, int], None]


def rows(effort: Effort) -> Iterator[Row]:
    """Measure pages of counters and of histograms."""
    fills: tuple[tuple[str, Fill, int], ...] = (
        ("counters", count_each, 1),
        ("histograms", partial(observe_each, observations=OBSERVATIONS), 17),
    )
    for what, fill, lines in fills:
        measures = {library.name: partial(_first_and_second, library, fill, effort.series, lines) for library in PAGED}
        yield Row(
            work=f"text export of {effort.series:,} {what}",
            unit=Unit.SECONDS,
            figures={name: _figure(found) for name, found in in_rounds(measures, effort).items()},
            target=AtMost(0.07, ratio=True),
        )


def _first_and_second(kind: type[Paged], fill: Fill, series: int, lines: int) -> tuple[float, float]:
    library = kind(series)
    fill(library, series)
    seconds = seconds_of(library.page), seconds_of(library.page)
    page = library.page()
    text = page if isinstance(page, str) else page.decode()
    seen = sum(not line.startswith("#") for line in text.splitlines())
    assert seen == series * lines, f"{kind.name} wrote {seen} lines for {series} series"
    return seconds


def _figure(found: list[tuple[float, float]]) -> Figure:
    first, second = (min(seconds) for seconds in zip(*found, strict=True))
    return Figure(second, f"first {Unit.SECONDS.words(first)}" if first > 1.1 * second else "")


if __name__ == "__main__":
    run(rows)
