"""Exported names: what a metric is called outside, and by what its numbers are divided to be in base units."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from kailash_monitor.model.metric import Metadata, MetricType
from kailash_monitor.model.snapshot import Snapshot

__all__ = ["ExportedName", "SampleName", "exported_name", "names_taken", "only", "quoted"]

_LEGACY: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NOT_LEGACY: Final = re.compile(r"[^a-zA-Z0-9_:]")

_BASE_UNITS: Final = {
    "seconds": ("seconds", 1.0),
    "s": ("seconds", 1.0),
    "milliseconds": ("seconds", 1e3),
    "ms": ("seconds", 1e3),
    "microseconds": ("seconds", 1e6),
    "us": ("seconds", 1e6),
    "bytes": ("bytes", 1.0),
}


@dataclass(frozen=True, slots=True)
class ExportedName:
    """The full name, without the suffixes of a histogram's lines, what makes base units of its values, and the base
    unit if any. It divides: 412 / 1000 is 0.412, and 412 * 0.001 is not.
    """

    name: str
    divisor: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class SampleName:
    """How a line of a text format begins: `bare` where the series has no labels, else `opened`, the labels and a brace.

    Names that are more than letters, digits, underscores and colons stand in quotes within the braces:
    https://prometheus.io/docs/guides/utf8/
    """

    bare: str
    opened: str

    @classmethod
    def of(cls, name: str) -> "SampleName":
        """Give the beginning of the lines of `name`."""
        if quoted(name) == name:
            return cls(name, f"{name}{{")
        return cls(f"{{{quoted(name)}}}", f"{{{quoted(name)},")


def quoted(name: str) -> str:
    """Give `name` as comment lines have it: in quotes where it is more than letters, digits, underscores and colons."""
    if _LEGACY.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_SUFFIXES: Final = {
    MetricType.COUNTER: ("", "_total", "_created"),
    MetricType.GAUGE: ("",),
    MetricType.HISTOGRAM: ("", "_bucket", "_count", "_sum", "_created"),
    MetricType.TIMER: ("", "_bucket", "_count", "_sum", "_created"),
}


def names_taken(namespace: str, collector: str, metadata: Metadata, *, utf8: bool = False) -> list[str]:
    """Give every name by which a page speaks of the metric: no other metric may have one of them."""
    name = exported_name(namespace, collector, metadata, utf8=utf8).name
    family = name.removesuffix("_total") if metadata.type is MetricType.COUNTER else name
    return [f"{family}{suffix}" for suffix in _SUFFIXES[metadata.type]]


def only(snapshot: Snapshot, wanted: AbstractSet[str]) -> Snapshot:
    """Give the snapshot of the metrics that have one of the `wanted` names on a page, such as `app_wait_seconds_bucket`."""
    return replace(
        snapshot,
        collectors=[
            replace(
                collector,
                metrics=[
                    metric
                    for metric in collector.metrics
                    if not wanted.isdisjoint(names_taken(snapshot.namespace, collector.name, metric.metadata))
                    or not wanted.isdisjoint(names_taken(snapshot.namespace, collector.name, metric.metadata, utf8=True))
                ],
            )
            for collector in snapshot.collectors
        ],
    )


def exported_name(namespace: str, collector: str, metadata: Metadata, *, utf8: bool = False) -> ExportedName:
    """Give `<namespace>_<collector>_<metric>`, ending in its base unit where it has one, and counters in `_total`.

    The rules are those of Prometheus: https://prometheus.io/docs/practices/naming/. Without `utf8`, what older servers do
    not take becomes an underscore.
    """
    stem = metadata.name
    counter = metadata.type is MetricType.COUNTER
    if counter:
        stem = stem.removesuffix("_total")
    base, divisor = _BASE_UNITS.get(metadata.unit, ("", 1.0))
    if base:
        stem = f"{stem.removesuffix(f'_{metadata.unit}').removesuffix(f'_{base}')}_{base}"
    if counter:
        stem = f"{stem}_total"
    name = "_".join(filter(None, (namespace, collector, stem)))
    return ExportedName(name if utf8 else _NOT_LEGACY.sub("_", name), divisor, base)
