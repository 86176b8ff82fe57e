"""PromQL beside a real Prometheus: the same queries over the same series, an hour of each at 15 s.

Counters on twenty paths, one in twenty of which began again. Prometheus, Debian's, has them in a block of its storage and
tells how long it took to evaluate (`evalTotalTime` of `stats=all`), which reading the query and writing the answer are not
part of, by the clock on the wall, so that a busy machine is to its disadvantage; ours are in a LoadedSource, and the
evaluator is driven to its end, by the thread's own clock. The two take turns, and medians count, once each has been asked
before. A piece is what the evaluator does before it lets others run.
"""

import gc
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from benchmarks.command import run
from benchmarks.contestants import HERE
from benchmarks.effort import FULL, Effort
from benchmarks.table import AtMost, Figure, Row, Unit
from kailash_monitor.promql import parse
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.loaded import LoadedSource
from kailash_monitor.promql.query import instant

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the same one judges what is evaluated
import prometheus_oracle as oracle  # pyright: ignore[reportMissingImports] - it does not follow the line above

__all__ = ["rows"]

PATHS: Final = 20
STEP: Final = 15_000
SAMPLES: Final = 240
START: Final = 236_112 * oracle.BLOCK + 600_000
GRID: Final = tuple(range(START, START + SAMPLES * STEP, STEP))
NOW: Final = GRID[-1] + 7_123

ROUNDS: Final = 15
"""Medians of five would be another figure in every run."""

LONGEST: Final = 0.010
"""Seconds of a piece, which is as long as an event loop may be held up."""

QUERIES: Final = (
    ("rate(m[5m]) > 0.5", 0.5),
    ("avg_over_time(m[5m])", 0.6),
    ("max_over_time(m[1h])", 0.6),
    ("sum by (path) (rate(m[5m]))", 0.6),
    ('rate(m{path="/7"}[5m])', 1.0),
)
"""Each with how much of Prometheus' time it may take."""


@dataclass(slots=True)
class Taken:
    """Seconds that a query took in each round, and the longest piece of each."""

    here: list[float] = field(default_factory=list[float])
    pieces: list[float] = field(default_factory=list[float])
    there: list[float] = field(default_factory=list[float])


def rows(effort: Effort) -> Iterator[Row]:
    """Load the series into both, then ask both."""
    given = list(_series(effort.series))
    loaded, loading = _loaded(given)
    number = f"{effort.series:,} series × {SAMPLES} samples"
    with ExitStack() as stack:
        begun = time.monotonic()
        server = stack.enter_context(oracle.started_with(given)) if oracle.INSTALLED else None
        there = f"a block made and Prometheus started: {time.monotonic() - begun:.3g} s" if server else oracle.MISSING
        yield Row(work=f"{number} loaded", unit=Unit.SECONDS, figures={HERE: Figure(loading, there)})
        taken = _in_turns(loaded, server, ROUNDS if effort is FULL else 1)
    for text, share in QUERIES:
        yield _row(f"{text}, {number}, median", share, taken[text])
    longest = {text: median(one.pieces) for text, one in taken.items()}
    slowest = max(longest, key=longest.__getitem__)
    yield Row(
        work="longest piece of these queries",
        unit=Unit.SECONDS,
        figures={
            HERE: Figure(longest[slowest], f"of {slowest}, worst {_words(max(max(one.pieces) for one in taken.values()))}")
        },
        target=AtMost(LONGEST),
    )


def _row(work: str, share: float, taken: Taken) -> Row:
    here, piece = median(taken.here), f"longest piece {_words(median(taken.pieces))}"
    if not taken.there:
        return Row(work=work, unit=Unit.SECONDS, figures={HERE: Figure(here, f"{piece}, {oracle.MISSING}")})
    there = median(taken.there)
    remark = f"{here / there:.2f} × of Prometheus' {_words(there)}, {piece}"
    return Row(work=work, unit=Unit.SECONDS, figures={HERE: Figure(here, remark)}, target=AtMost(share * there))


def _words(seconds: float) -> str:
    return Unit.SECONDS.words(seconds)


def _series(number: int) -> Iterator[oracle.Given]:
    luck = Random(1)
    for one in range(number):
        labels = LabelSet({METRIC_NAME: "m", "path": f"/{one % PATHS}", "instance": f"host-{one // PATHS}"})
        total, speed = luck.uniform(0, 1e6), luck.uniform(0, 1)
        reset = luck.randrange(1, SAMPLES) if one // PATHS % 20 == 0 else None
        values = []
        for place in range(SAMPLES):
            total = 0.0 if place == reset else total + speed * STEP / 1000 * luck.uniform(0.5, 1.5)
            values.append(total)
        yield labels, GRID, values


def _loaded(given: Sequence[oracle.Given]) -> tuple[LoadedSource, float]:
    """Give them as a source, and how long that took to fill."""
    source = LoadedSource()
    gc.collect()
    begun = time.thread_time()
    for one in given:
        source.add(*one)
    return source, time.thread_time() - begun


def _in_turns(source: LoadedSource, server: "oracle.Oracle | None", rounds: int) -> dict[str, Taken]:
    found = {text: Taken() for text, _ in QUERIES}
    for number in range(rounds + 1):
        for text, taken in found.items():
            pieces = _pieces(text, source)
            there = server.query(text, NOW).seconds if server else None
            if number == 0:
                continue  # what is asked for the first time finds cold caches
            taken.here.append(sum(pieces))
            taken.pieces.append(max(pieces))
            if there is not None:
                taken.there.append(there)
    return found


_END: Final = object()


def _pieces(text: str, source: LoadedSource) -> list[float]:
    """Evaluate a query; give how long each piece took."""
    pieces = instant(parse(text), text, source, NOW)
    taken, ended = [], False
    gc.collect()
    while not ended:
        begun = time.thread_time()
        ended = next(pieces, _END) is _END
        taken.append(time.thread_time() - begun)
    return taken


if __name__ == "__main__":
    run(rows)
