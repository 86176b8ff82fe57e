"""A snapshot: which metrics a registry has at one moment, for whoever writes them down.

The metrics themselves are read while they are written: a page of many series takes longer than a program should stand
still. Each series is consistent in itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kailash_monitor.model.views import MetricView

__all__ = ["CollectorSnapshot", "Snapshot"]


@dataclass(frozen=True, slots=True)
class CollectorSnapshot:
    """The metrics of one collector, by its registered name."""

    name: str
    metrics: Sequence[MetricView]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The metrics of a registry at `at` (on its timeline), to be exported under `namespace`.

    `wall_offset` turns times of the timeline into Unix seconds.
    """

    namespace: str
    at: float
    wall_offset: float
    collectors: Sequence[CollectorSnapshot]
