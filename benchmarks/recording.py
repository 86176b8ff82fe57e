"""What one recording costs.

Every contestant records into one series of two labels, the same varying values, in a loop whose own time is in all figures.
A library without handles is given labels that were made beforehand where the others use a handle. The floor is a method
without a body, called with the same arguments.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from benchmarks.command import run
from benchmarks.contestants import (
    AIOPROMETHEUS,
    FLOOR,
    HERE,
    OPENTELEMETRY,
    PROMETHEUS,
    AioPrometheus,
    EmptyMethods,
    KailashMonitor,
    OpenTelemetry,
    PrometheusClient,
)
from benchmarks.effort import Effort
from benchmarks.rounds import in_rounds, seconds_per_call
from benchmarks.table import AtMost, Figure, Row, Unit
from benchmarks.traffic import durations
from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.testing import ManualClock

__all__ = ["rows"]

VALUES: Final = 100
"""So many different values: few enough that the loop around them costs nothing, enough to fill the common buckets."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to record: how each contestant says it, and how long it may take beside prometheus_client."""

    work: str
    calls: Mapping[str, str]
    ratio: float | None = None


WITH_LABELS: Final = '{"method": "GET", "path": "/x"}'
ONE_CALL: Final = {
    PROMETHEUS: 'requests.labels("GET", "/x").inc()',
    OPENTELEMETRY: f"requests.add(1, {WITH_LABELS})",
    AIOPROMETHEUS: f"requests.inc({WITH_LABELS})",
}
BY_NAME: Final = f'app.increment("requests", 1, labels={WITH_LABELS})'

CASES: Final = (
    Case(
        "counter handle `.inc()`",
        {
            HERE: "counter.inc()",
            PROMETHEUS: "counter.inc()",
            OPENTELEMETRY: "counter.add(1, labels)",
            AIOPROMETHEUS: "counter.inc(labels)",
            FLOOR: "app.inc()",
        },
        0.45,
    ),
    Case(
        'one call `.inc("GET", "/x")`',
        {HERE: 'requests.inc("GET", "/x")', **ONE_CALL, FLOOR: 'app.one_call("GET", "/x")'},
        0.25,
    ),
    Case("by name `increment(name, 1, labels={…})`", {HERE: BY_NAME, **ONE_CALL, FLOOR: BY_NAME}, 0.80),
    Case(
        "gauge handle `.set(value)`",
        {
            HERE: "gauge.set(value)",
            PROMETHEUS: "gauge.set(value)",
            OPENTELEMETRY: "gauge.set(value, labels)",
            AIOPROMETHEUS: "gauge.set(labels, value)",
            FLOOR: "app.set(value)",
        },
        0.60,
    ),
    Case(
        "histogram handle `.observe(value)`",
        {
            HERE: "histogram.observe(value)",
            PROMETHEUS: "histogram.observe(value)",
            OPENTELEMETRY: "histogram.record(value, labels)",
            AIOPROMETHEUS: "histogram.observe(labels, value)",
            FLOOR: "app.observe(value)",
        },
        0.60,
    ),
)
"""Many calls in the same second: what the hot path costs."""

SELDOM_CASES: Final = tuple(
    Case(f"{work}, 10 a second", dict.fromkeys((HERE, PROMETHEUS), f"clock.time += 0.1; {call}"))
    for work, call in (
        ("counter", "counter.inc()"),
        ("gauge", "gauge.set(value)"),
        ("histogram", "histogram.observe(value)"),
    )
)
"""Calls with a clock that is moved on by hand: what a new second costs the history is in them."""


def rows(effort: Effort) -> Iterator[Row]:
    """Measure each case."""
    for cases, clock in ((CASES, SYSTEM_CLOCK), (SELDOM_CASES, ManualClock())):
        scenes = _scenes(clock)
        for case in cases:
            measures = {
                name: partial(seconds_per_call, call, scenes[name], effort.calls) for name, call in case.calls.items()
            }
            yield Row(
                work=case.work,
                unit=Unit.SECONDS,
                figures={name: Figure(min(found)) for name, found in in_rounds(measures, effort).items()},
                target=None if case.ratio is None else AtMost(case.ratio, ratio=True),
            )


def _scenes(clock: Clock) -> dict[str, dict[str, object]]:
    """Give what the calls of each contestant name."""
    here = KailashMonitor(series=1, clock=clock)
    scenes: dict[str, dict[str, object]] = {
        HERE: {"app": here.app, **_handles(here)},
        PROMETHEUS: _handles(PrometheusClient(series=1)),
        OPENTELEMETRY: _instruments(OpenTelemetry(series=1)),
        AIOPROMETHEUS: _instruments(AioPrometheus(series=1)),
        FLOOR: {"app": EmptyMethods()},
    }
    shared = {"clock": clock, "values": list(islice(durations(), VALUES))}
    return {name: {**scene, **shared} for name, scene in scenes.items()}


def _handles(library: KailashMonitor | PrometheusClient) -> dict[str, object]:
    return {
        "requests": library.requests,
        "counter": library.requests.labels("GET", "/x"),
        "gauge": library.load.labels("GET", "/x"),
        "histogram": library.took.labels("GET", "/x"),
    }


def _instruments(library: OpenTelemetry | AioPrometheus) -> dict[str, object]:
    return {
        "requests": library.requests,
        "counter": library.requests,
        "gauge": library.load,
        "histogram": library.took,
        "labels": {"method": "GET", "path": "/x"},
    }


if __name__ == "__main__":
    run(rows)
