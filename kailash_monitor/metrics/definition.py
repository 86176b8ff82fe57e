"""Definitions: what is checked when a metric is made."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from kailash_monitor.errors import MetricError
from kailash_monitor.model.labels import valid_label_name
from kailash_monitor.model.metric import Metadata, MetricType

__all__ = ["check_bounds", "check_label_names", "in_words"]

SECONDS_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The default buckets of the Prometheus client libraries, made for request durations."""

_DISTRIBUTIONS: Final = (MetricType.HISTOGRAM, MetricType.TIMER)


def check_label_names(metadata: Metadata, names: Sequence[str]) -> None:
    """Raise a MetricError for a label name that cannot be one, or stands twice."""
    for name in names:
        if not valid_label_name(name) or (name == "le" and metadata.type in _DISTRIBUTIONS):
            raise MetricError(
                f"metric {metadata.name!r}",
                seen=f"the label name {name!r}",
                expected="letters, digits and underscores, no digit first, not `__…`, and not `le` on a distribution",
            )
    if len(set(names)) != len(names):
        raise MetricError(f"metric {metadata.name!r}", seen=f"the labels {in_words(names)}", expected="each name once")


def check_bounds(metadata: Metadata, bounds: Sequence[float] | None) -> tuple[float, ...]:
    """Give the upper bounds of the buckets, without the infinite one; a MetricError where they are none."""
    if metadata.type not in _DISTRIBUTIONS:
        if bounds is not None:
            raise MetricError(f"metric {metadata.name!r}", seen="buckets", expected=f"a {metadata.type.value} has none")
        return ()
    if bounds is None:
        scale = 1000.0 if metadata.unit in ("milliseconds", "ms") else 1.0
        return tuple(bound * scale for bound in SECONDS_BOUNDS)
    given = tuple(float(bound) for bound in bounds if bound != math.inf)
    if not given or not all(map(math.isfinite, given)) or any(a >= b for a, b in pairwise(given)):
        raise MetricError(
            f"metric {metadata.name!r}", seen=f"the buckets {list(bounds)!r}", expected="finite bounds in rising order"
        )
    return given


def in_words(names: Sequence[str]) -> str:
    """Give the names to be read in an error."""
    return ", ".join(map(repr, names)) or "none"
