"""The contestants: metrics libraries, each with a counter, a gauge and a histogram of the same labels and bounds.

All are set up as their manuals say, in a registry of their own. Where a library bounds the number of series, the bound is
raised to what the benchmark asks for.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Protocol

import prometheus_client
from aioprometheus import collectors
from aioprometheus.renderer import render
from opentelemetry.sdk import metrics
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.metrics import MetricsRegistry

__all__ = [
    "AIOPROMETHEUS",
    "CONTESTANTS",
    "FLOOR",
    "HERE",
    "LIBRARIES",
    "OPENTELEMETRY",
    "PAGED",
    "PROMETHEUS",
    "AioPrometheus",
    "EmptyMethods",
    "KailashMonitor",
    "OpenTelemetry",
    "PrometheusClient",
]

HERE: Final = "kailash_monitor"
PROMETHEUS: Final = "prometheus_client"
OPENTELEMETRY: Final = "opentelemetry-sdk"
AIOPROMETHEUS: Final = "aioprometheus"
FLOOR: Final = "empty method"
CONTESTANTS: Final = (HERE, PROMETHEUS, OPENTELEMETRY, AIOPROMETHEUS, FLOOR)

LABELS: Final = ("method", "path")
BOUNDS: Final = prometheus_client.Histogram.DEFAULT_BUCKETS


class Library(Protocol):
    """What every library can do: count and observe a request of a path."""

    name: ClassVar[str]

    def __init__(self, series: int) -> None: ...

    def count(self, path: str) -> None: ...

    def observe(self, path: str, value: float) -> None: ...


class Paged(Library, Protocol):
    """A library that writes the Prometheus text format."""

    def page(self) -> str | bytes: ...


class KailashMonitor:
    """This project: history, windows and percentiles are always on."""

    name: ClassVar[str] = HERE

    def __init__(self, series: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self.registry = MetricsRegistry("", clock=clock)
        self.app = self.registry.collector("app", max_series=series)
        self.requests = self.app.counter("requests", "Requests", labels=LABELS)
        self.load = self.app.gauge("load", "Load", labels=LABELS)
        self.took = self.app.histogram("took", "Duration", labels=LABELS, buckets=BOUNDS)

    def count(self, path: str) -> None:
        self.requests.inc("GET", path)

    def observe(self, path: str, value: float) -> None:
        self.took.observe("GET", path, value)

    def page(self) -> str:
        return self.registry.export_metrics("prometheus")


class PrometheusClient:
    """The official client.

    Its text format is told to leave out `_created`, which the others' do not have, and which doubles a counter's lines.
    """

    name: ClassVar[str] = PROMETHEUS

    def __init__(self, series: int) -> None:
        prometheus_client.disable_created_metrics()
        self.registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter("app_requests", "Requests", LABELS, registry=self.registry)
        self.load = prometheus_client.Gauge("app_load", "Load", LABELS, registry=self.registry)
        self.took = prometheus_client.Histogram("app_took", "Duration", LABELS, buckets=BOUNDS, registry=self.registry)

    def count(self, path: str) -> None:
        self.requests.labels("GET", path).inc()

    def observe(self, path: str, value: float) -> None:
        self.took.labels("GET", path).observe(value)

    def page(self) -> bytes:
        return prometheus_client.generate_latest(self.registry)


class OpenTelemetry:
    """OpenTelemetry's SDK with a reader in memory; it has no handles, and its text format is not in the SDK."""

    name: ClassVar[str] = OPENTELEMETRY

    def __init__(self, series: int) -> None:
        reader = InMemoryMetricReader(cardinality_limits={metrics.Counter: series, metrics.Histogram: series})
        meter = metrics.MeterProvider([reader], shutdown_on_exit=False).get_meter("app")
        self.requests = meter.create_counter("requests")
        self.load = meter.create_gauge("load")
        self.took = meter.create_histogram("took", explicit_bucket_boundaries_advisory=BOUNDS[:-1])

    def count(self, path: str) -> None:
        self.requests.add(1, {"method": "GET", "path": path})

    def observe(self, path: str, value: float) -> None:
        self.took.record(value, {"method": "GET", "path": path})


class AioPrometheus:
    """The client for asyncio programs; it has no handles."""

    name: ClassVar[str] = AIOPROMETHEUS

    def __init__(self, series: int) -> None:
        self.registry = collectors.Registry()
        self.requests = collectors.Counter("app_requests_total", "Requests", registry=self.registry)
        self.load = collectors.Gauge("app_load", "Load", registry=self.registry)
        self.took = collectors.Histogram("app_took", "Duration", registry=self.registry, buckets=BOUNDS)

    def count(self, path: str) -> None:
        self.requests.inc({"method": "GET", "path": path})

    def observe(self, path: str, value: float) -> None:
        self.took.observe({"method": "GET", "path": path}, value)

    def page(self) -> bytes:
        return render(self.registry, ())[0]


class EmptyMethods:
    """The floor: what Python takes to call a method of that shape."""

    def inc(self, by: float = 1.0) -> None: ...

    def one_call(self, method: str, path: str) -> None: ...

    def increment(self, name: str, value: float = 1, labels: Mapping[str, object] | None = None) -> None: ...

    def set(self, value: float) -> None: ...

    def observe(self, value: float) -> None: ...


LIBRARIES: Final[tuple[type[Library], ...]] = (KailashMonitor, PrometheusClient, OpenTelemetry, AioPrometheus)
PAGED: Final[tuple[type[Paged], ...]] = (KailashMonitor, PrometheusClient, AioPrometheus)
