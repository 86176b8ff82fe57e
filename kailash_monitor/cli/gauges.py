"""The main numbers of this machine, picked from a snapshot and written for people."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kailash_monitor.model.snapshot import Snapshot
from kailash_monitor.model.views import MetricView, Point

__all__ = ["Line", "main_lines"]


@dataclass(frozen=True, slots=True)
class Line:
    """One number: what it is, its value in words, its recent past, and, for a share, that it runs from 0 to 1."""

    label: str
    value: str
    past: Sequence[float]
    share: bool = False


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _size(value: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _rate(value: float) -> str:
    return f"{_size(value)}/s"


def _plain(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _milliseconds(value: float) -> str:
    return f"{value * 1000:.1f} ms"


_MAIN: Final[dict[tuple[str, str], tuple[str, Callable[[float], str]]]] = {
    ("host", "cpu_usage_ratio"): ("CPU", _percent),
    ("host", "memory_usage_ratio"): ("memory", _percent),
    ("host", "swap_usage_ratio"): ("swap", _percent),
    ("host", "disk_usage_ratio"): ("disk", _percent),
    ("host", "load1"): ("load", _plain),
    ("host", "disk_read"): ("disk read", _rate),
    ("host", "disk_written"): ("disk written", _rate),
    ("host", "network_receive"): ("received", _rate),
    ("host", "network_transmit"): ("sent", _rate),
    ("host", "processes"): ("processes", _plain),
    ("process", "cpu_usage_ratio"): ("own CPU", _percent),
    ("process", "resident_memory"): ("own memory", _size),
    ("process", "open_fds"): ("own files", _plain),
    ("process", "threads"): ("own threads", _plain),
    ("loop", "lag"): ("loop lag", _milliseconds),
}
"""What is shown, in this order, under which name and how written."""


def main_lines(snapshot: Snapshot) -> list[Line]:
    """Give the main numbers that the snapshot has."""
    found = {(c.name, m.metadata.name): m for c in snapshot.collectors for m in c.metrics}
    lines: list[Line] = []
    for key, (label, write) in _MAIN.items():
        if key in found:
            lines += _lines(label, found[key], write)
    return lines


def _lines(label: str, metric: MetricView, write: Callable[[float], str]) -> Iterator[Line]:
    for series in metric.series:
        points = series.points()
        past = _rates(points) if write is _rate else [point.value for point in points]
        if not past or (write is _rate and not any(past)):
            continue  # an interface that is not in use
        name = f"{label} {' '.join(series.labels.values())}".rstrip()
        yield Line(name, write(past[-1]), past, share=write is _percent)


def _rates(points: Sequence[Point]) -> list[float]:
    """Give the rise per second between the points of a running total."""
    return [(b.value - a.value) / (b.at - a.at) for a, b in pairwise(points) if b.at > a.at]
