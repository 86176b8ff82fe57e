"""A definition: what a metric is, and how its series are kept apart and let go."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kailash_monitor.errors import MetricError
from kailash_monitor.model.labels import valid_label_name
from kailash_monitor.model.metric import Metadata, MetricType

__all__ = ["OVERFLOW", "Definition", "check_label_names", "in_words"]

SECONDS_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The default buckets of the Prometheus client libraries, made for request durations."""

OVERFLOW: Final = "overflow"
"""The label of the series in which label sets past the limit are counted."""

_DISTRIBUTIONS: Final = (MetricType.HISTOGRAM, MetricType.TIMER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a metric is made from; a MetricError where that cannot be.

    `label_names` None takes any labels. `buckets` are the upper bounds of the classic buckets of a histogram or timer;
    where None, they are those of the Prometheus client libraries. `keep` names labels whose values the overflow series
    keep. `ttl` is how many seconds a series may go untouched before it is given up into the metric's total; None keeps it.
    """

    metadata: Metadata
    label_names: tuple[str, ...] | None = None
    buckets: tuple[float, ...] | None = None
    keep: tuple[str, ...] = ()
    ttl: float | None = None

    def __post_init__(self) -> None:
        where = f"metric {self.metadata.name!r}"
        check_label_names(self.metadata, self.label_names or ())
        check_label_names(self.metadata, self.keep)
        _check_bounds(self.metadata, self.buckets)
        strangers = [name for name in self.keep if self.label_names is not None and name not in self.label_names]
        if strangers:
            raise MetricError(
                where,
                seen=f"keep={in_words(strangers)}",
                expected=f"use some of its labels {in_words(self.label_names or ())}",
            )
        if self.ttl is not None and not 0 < self.ttl < math.inf:
            raise MetricError(
                where, seen=f"ttl={self.ttl!r}", expected="a duration above zero, or None to keep every series"
            )

    @property
    def bounds(self) -> tuple[float, ...]:
        """The upper bounds of the classic buckets, without the infinite one."""
        if self.metadata.type not in _DISTRIBUTIONS:
            return ()
        if self.buckets is None:
            scale = 1000.0 if self.metadata.unit in ("milliseconds", "ms") else 1.0
            return tuple(bound * scale for bound in SECONDS_BOUNDS)
        return tuple(float(bound) for bound in self.buckets if bound != math.inf)

    def difference(self, other: "Definition") -> str:
        """Say in words where `other`, which stands already, differs; what is left open here cannot."""
        metadata = self.metadata.difference(other.metadata)
        open_or_same: Sequence[tuple[str, object, object]] = (
            ("labels", self.label_names, "any" if other.label_names is None else other.label_names),
            ("buckets", self.buckets and self.bounds, other.bounds),
            ("keep", self.keep or None, other.keep),
            ("ttl", self.ttl, other.ttl),
        )
        differences = [f"{what} {now!r} and {was!r}" for what, now, was in open_or_same if now is not None and now != was]
        return ", ".join(filter(None, (metadata, *differences)))


def check_label_names(metadata: Metadata, names: Sequence[str]) -> None:
    """Raise a MetricError for a label name that cannot be one, or stands twice."""
    for name in names:
        if name == OVERFLOW:
            raise MetricError(
                f"metric {metadata.name!r}",
                seen=f"the label name {name!r}",
                expected="that one marks the series in which label sets past the limit are counted; use another",
            )
        if not valid_label_name(name) or (name == "le" and metadata.type in _DISTRIBUTIONS):
            raise MetricError(
                f"metric {metadata.name!r}",
                seen=f"the label name {name!r}",
                expected="letters, digits and underscores, no digit first, not `__…`, and not `le` on a distribution",
            )
    if len(set(names)) != len(names):
        raise MetricError(f"metric {metadata.name!r}", seen=f"the labels {in_words(names)}", expected="each name once")


def in_words(names: Sequence[str]) -> str:
    """Give the names to be read in an error."""
    return ", ".join(map(repr, names)) or "none"


def _check_bounds(metadata: Metadata, bounds: Sequence[float] | None) -> None:
    if bounds is None:
        return
    where = f"metric {metadata.name!r}"
    if metadata.type not in _DISTRIBUTIONS:
        raise MetricError(where, seen="buckets", expected=f"a {metadata.type.value} has none")
    finite = [bound for bound in bounds if bound != math.inf]
    if not finite or not all(map(math.isfinite, finite)) or any(a >= b for a, b in pairwise(finite)):
        raise MetricError(where, seen=f"the buckets {list(bounds)!r}", expected="finite bounds in rising order")
