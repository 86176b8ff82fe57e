"""What one recording costs: this project beside prometheus_client, in one process.

    python -m benchmarks.recording            # the table of the README
    python -m benchmarks.recording --smoke    # does it run at all

Ratios are to be believed, nanoseconds depend on the machine: each is the best of seven runs.
"""

import argparse
import timeit
from collections.abc import Iterator
from dataclasses import dataclass

import prometheus_client

from kailash_monitor.metrics import MetricsRegistry


@dataclass(frozen=True)
class Case:
    """One thing to record, here and there."""

    what: str
    ours: str
    theirs: str


CASES = (
    Case("counter handle", "counter.inc()", "their_counter.inc()"),
    Case("counter, one call", "requests.inc('GET', '/x')", "their_requests.labels('GET', '/x').inc()"),
    Case(
        "counter by name",
        "app.increment('hits', 1, labels={'method': 'GET', 'path': '/x'})",
        "their_requests.labels('GET', '/x').inc()",
    ),
    Case("gauge handle", "gauge.set(1.5)", "their_gauge.set(1.5)"),
    Case("histogram handle", "timer.observe(0.3)", "their_timer.observe(0.3)"),
)


class Empty:
    """The floor: a method that does nothing."""

    def record(self, value: float = 1.0) -> None:
        """Do nothing."""


def scene() -> dict[str, object]:
    """Give what the statements of the cases name."""
    app = MetricsRegistry().collector("app")
    requests = app.counter("requests", labels=("method", "path"))
    their = prometheus_client.CollectorRegistry()
    their_requests = prometheus_client.Counter("requests", "Requests", ["method", "path"], registry=their)
    return {
        "app": app,
        "requests": requests,
        "counter": requests.labels("GET", "/x"),
        "gauge": app.gauge("temperature").labels(),
        "timer": app.timer("took").labels(),
        "their_requests": their_requests,
        "their_counter": their_requests.labels("GET", "/x"),
        "their_gauge": prometheus_client.Gauge("temperature", "Temperature", registry=their),
        "their_timer": prometheus_client.Histogram("took", "Duration", registry=their),
        "empty": Empty(),
    }


def nanoseconds(statement: str, names: dict[str, object], number: int) -> float:
    """Give what one run of `statement` takes."""
    return min(timeit.repeat(statement, globals=names, number=number, repeat=7)) / number * 1e9


def table(number: int) -> Iterator[str]:
    """Give the lines of the table."""
    names = scene()
    yield "| recording | here, ns | prometheus_client, ns | ratio |"
    yield "|---|---|---|---|"
    for case in CASES:
        ours, theirs = nanoseconds(case.ours, names, number), nanoseconds(case.theirs, names, number)
        yield f"| {case.what} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} × |"
    yield f"| *a method that does nothing* | {nanoseconds('empty.record()', names, number):.0f} | | |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    for line in table(100 if parser.parse_args().smoke else 200_000):
        print(line)
