"""What it costs to measure a call: what a decorated function takes longer than the bare one.

The functions do nothing. A coroutine is driven by hand, without an event loop. The decorators of prometheus_client do not
wait for coroutines, so that those rows have no peer. The ASGI row is a request to an application that answers at once,
through the middleware, above the same without.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import prometheus_client

from benchmarks.command import run
from benchmarks.contestants import HERE, PROMETHEUS
from benchmarks.effort import Effort
from benchmarks.rounds import in_rounds, seconds_per_call
from benchmarks.table import AtMost, Figure, Row, Unit
from kailash_monitor.instrument.asgi import AsgiMetrics
from kailash_monitor.instrument.calls import count_exceptions, counted, in_progress, timed
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry

__all__ = ["rows"]

SYNC: Final = AtMost(300e-9)
ASYNC: Final = AtMost(500e-9)
VALUES: Final = list(range(100))


def rows(effort: Effort) -> Iterator[Row]:
    """Measure each decorator on a function and on a coroutine, and the middleware."""
    ours, theirs = MetricsCollector(), prometheus_client.CollectorRegistry()
    took, calls = ours.timer("took", labels=("outcome",)), ours.counter("calls", labels=("outcome",))
    busy, failures = ours.gauge("busy"), ours.counter("failures")
    summary = prometheus_client.Histogram("took", "", registry=theirs)
    gauge = prometheus_client.Gauge("busy", "", registry=theirs)
    failed = prometheus_client.Counter("failures", "", registry=theirs)
    for name, decorate, peer in (
        ("counted, with its outcome", counted(calls), None),
        ("count_exceptions", count_exceptions(failures), failed.count_exceptions()),
        ("in_progress", in_progress(busy), gauge.track_inprogress()),
        ("timed, with its outcome", timed(took), summary.time()),
    ):
        peers: dict[str, Callable[..., Any]] = {} if peer is None else {PROMETHEUS: peer}
        yield _row(f"a function that is {name}, above the bare one", {HERE: decorate, **peers}, effort)
        yield _row_of_coroutines(f"a coroutine that is {name}, above the bare one", decorate, effort)
    yield _row_of_asgi(effort)


def _row(work: str, decorators: dict[str, Callable[..., Any]], effort: Effort) -> Row:
    def bare() -> None: ...

    measures = {name: partial(_above, bare, decorate(bare), "f()", effort) for name, decorate in decorators.items()}
    return _figures(work, measures, effort, SYNC)


def _row_of_coroutines(work: str, decorate: Callable[..., Any], effort: Effort) -> Row:
    async def bare() -> None: ...

    return _figures(work, {HERE: partial(_above, bare, decorate(bare), "drive(f())", effort)}, effort, ASYNC)


def _row_of_asgi(effort: Effort) -> Row:
    async def bare(scope: Any, receive: Any, send: Any) -> None:  # Any: what ASGI says of each
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def ignore(message: object) -> None: ...

    route = type("Route", (), {"path_format": "/users/{id}", "endpoint": None})()
    scope = {"type": "http", "method": "GET", "path": "/users/7", "route": route, "endpoint": None}

    def request(app: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: app(scope, ignore, ignore)

    measured = request(AsgiMetrics(bare, MetricsRegistry()))
    measures = {HERE: partial(_above, request(bare), measured, "drive(f())", effort)}
    return _figures("a request through the ASGI middleware, above the bare one", measures, effort, None)


def _figures(work: str, measures: dict[str, Callable[[], float]], effort: Effort, target: AtMost | None) -> Row:
    found = {name: Figure(min(seconds)) for name, seconds in in_rounds(measures, effort).items()}
    return Row(work=work, unit=Unit.SECONDS, figures=found, target=target)


def _above(bare: Callable[..., Any], decorated: Callable[..., Any], call: str, effort: Effort) -> float:
    """Give the seconds by which a call of the decorated function takes longer."""
    with_it, without = (
        seconds_per_call(call, {"f": function, "drive": _drive, "values": VALUES}, effort.calls)
        for function in (decorated, bare)
    )
    return max(1e-9, with_it - without)


def _drive(coroutine: Any) -> None:  # Any: a coroutine of whatever kind
    try:
        coroutine.send(None)
    except StopIteration:
        return


if __name__ == "__main__":
    run(rows)
