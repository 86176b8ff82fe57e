"""The command line of every benchmark: the whole effort, or `--smoke`."""

import argparse
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version

from benchmarks.contestants import AIOPROMETHEUS, OPENTELEMETRY, PROMETHEUS
from benchmarks.effort import FULL, SMOKE, Effort
from benchmarks.table import HEADER, Row

__all__ = ["run"]


def run(*benchmarks: Callable[[Effort], Iterator[Row]]) -> None:
    """Print one table of what the benchmarks find, row by row, and what it was measured on."""
    parser = argparse.ArgumentParser(description="Measure this project beside its peers.")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs; the figures mean nothing")
    effort = SMOKE if parser.parse_args().smoke else FULL
    print(HEADER)
    for benchmark in benchmarks:
        for row in benchmark(effort):
            print(row, flush=True)
    peers = ", ".join(f"{name} {version(name)}" for name in (PROMETHEUS, OPENTELEMETRY, AIOPROMETHEUS))
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, best of {effort.rounds}; {peers}.")
