"""A snapshot: all metrics of a registry at one moment, as values, for whoever writes them down."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kailash_monitor.model.labels import Labels
from kailash_monitor.model.metric import Metadata

__all__ = ["CollectorSnapshot", "DistributionSample", "MetricSnapshot", "Point", "Sample", "Snapshot", "SnapshotSource"]


@dataclass(frozen=True, slots=True)
class Point:
    """What a series read at one time of its recent past. `at` is Unix seconds."""

    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A counter's running total or a gauge's value. `created_at` (Unix seconds) is when counting began."""

    labels: Labels
    value: float
    points: Sequence[Point] = ()
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class DistributionSample:
    """A histogram's or timer's totals. `le` pairs each upper bound with the number of observations not above it.

    `created_at` (Unix seconds) is when counting began.
    """

    labels: Labels
    count: int
    sum: float
    latest: float | None
    le: Sequence[tuple[float, int]]
    points: Sequence[Point] = ()
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class MetricSnapshot:
    """One metric and its series. `latest` is the metric's value as a whole, None where nothing was recorded."""

    metadata: Metadata
    latest: float | None
    series: Sequence[Sample | DistributionSample]


@dataclass(frozen=True, slots=True)
class CollectorSnapshot:
    """The metrics of one collector, by its registered name."""

    name: str
    metrics: Sequence[MetricSnapshot]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The metrics of a registry at `at` (Unix seconds), to be exported under `namespace`."""

    namespace: str
    at: float
    collectors: Iterable[CollectorSnapshot]


class SnapshotSource(Protocol):
    """Whatever can be exported."""

    def snapshot(self) -> Snapshot:
        """What is known now."""
        ...
