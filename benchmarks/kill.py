"""What becomes of alerts when the program is killed: `kill -9` again and again, against a receiver that is not always well.

The program tells three channels of nine alerts: one by one, in groups, and in digests where the rate is too low. It is
killed at random, also while it starts, and goes on in the next process, from its store. The receiver delays, refuses, and
loses answers; each of its requests is judged, and what every kill left in the store. *Lost* is what a channel should have
heard and did not, final states that are not true included; *out of order* is what came before something older, against the
truth, or between two attempts at one message; *unexplained* are repeats of messages whose outcome was in the store, and
attempts of which it knew nothing.

The figure is the median time from the start of a program, forked from one that has imported everything, to its first
message.

    python -m benchmarks.kill [--kills 500] [--seed 1]
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.contestants import HERE
from benchmarks.effort import FULL, Effort
from benchmarks.table import HEADER, Figure, Row, Unit

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # a shorter run of it is a test
import ordeal_laws as laws  # pyright: ignore[reportMissingImports] - it does not follow the line above
from ordeal import Ordeal, undergo  # pyright: ignore[reportMissingImports] - nor here

__all__ = ["rows"]

KILLS: Final = 500
KILLS_TO_SEE_WHETHER_IT_RUNS: Final = 3


def rows(effort: Effort) -> Iterator[Row]:
    """Kill a program as often as is promised; a few times where it is only to be seen whether that runs."""
    yield _row(KILLS if effort is FULL else KILLS_TO_SEE_WHETHER_IT_RUNS, "1")


def _row(kills: int, seed: str) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        it = asyncio.run(undergo(kills, seed, Path(folder)))
    return Row(
        work=f"from a restart to the first message, {kills} × kill -9",
        unit=Unit.SECONDS,
        figures={HERE: Figure(median(it.first_messages()), ", ".join(_remarks(it)))},
    )


def _remarks(it: Ordeal) -> Iterator[str]:
    findings = {law: list(law(it)) for law in laws.LAWS}
    for found in findings.values():
        for what in found:
            print(what, file=sys.stderr)
    yield f"{it.hits} of them during an attempt"
    yield f"{len(it.receptions):,} attempts"
    yield f"{it.repeats:,} repeats"
    yield f"{len(findings[laws.unexplained_repeats]) + len(findings[laws.unannounced])} unexplained"
    yield f"{len(findings[laws.lost])} lost"
    yield f"{len(findings[laws.out_of_order]) + len(findings[laws.overtaken])} out of order"
    yield "integrity ok" if not findings[laws.damage] else f"**damaged {len(findings[laws.damage])} times**"
    if findings[laws.broken_programs]:
        yield "**programs failed**"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill a program again and again, and see what is lost.")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", default="1")
    given = parser.parse_args()
    print(HEADER)
    print(_row(given.kills, given.seed))
