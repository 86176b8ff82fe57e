"""Instruments: metrics with declared labels, bound to a name at hand.

    requests = collector.counter("requests", "Requests served", labels=("method", "path"))
    requests.inc("GET", "/x")                        # one call
    get_x = requests.labels("GET", "/x")             # a handle, for the hot path
    get_x.inc()

Without labels the instrument itself is the handle: `.inc()`, `.set(1.5)`, `.observe(0.3)`.
"""

from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from kailash_monitor.errors import MetricError
from kailash_monitor.metrics.counter_series import ONE
from kailash_monitor.metrics.metric import Metric
from kailash_monitor.metrics.series import CounterSeries, DistributionSeries, GaugeSeries, Series
from kailash_monitor.model.labels import label_value

__all__ = ["Counter", "Distribution", "Gauge", "Histogram", "Timer"]

T = TypeVar("T", bound=Series)


class _Instrument(Generic[T]):
    """A metric with declared labels, recorded by their values in the order of declaration."""

    __slots__ = ("_children", "_kind", "metric")

    def __init__(self, metric: Metric, kind: type[T]) -> None:
        self.metric: Final = metric
        self._kind = kind
        self._children: dict[object, T] = metric.children  # type: ignore[assignment]  # all of that kind

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.metric.name} {self.metric.label_names}>"

    def labels(self, *values: object) -> T:
        """Give the handle of these label values; a MetricError where their number is not that of the labels."""
        try:
            return self._children[values]
        except (KeyError, TypeError):  # TypeError: what cannot be hashed is a label all the same
            return self._find(values)

    def remove(self, *values: object) -> bool:
        """Forget the series of these label values; whether there was one. What it counted stays in the metric's total."""
        names = self._checked(values)
        return self.metric.remove(dict(zip(names, values, strict=True)))

    def clear(self) -> None:
        """Forget all series, and the metric's total."""
        self.metric.clear()

    def _find(self, values: tuple[object, ...]) -> T:
        """Give the handle of values as texts: 1, 1.0 and True are equal, and not the same label."""
        self._checked(values)
        return self.metric.child_of(tuple(map(label_value, values)), self._kind)

    def _checked(self, values: tuple[object, ...]) -> tuple[str, ...]:
        names = self.metric.label_names or ()
        if len(values) != len(names):
            raise MetricError(
                f"metric {self.metric.name!r}",
                seen=f"{len(values)} label values {values!r}",
                expected=f"one for each of its {len(names)} labels {names!r}",
            )
        return names


class Counter(_Instrument[CounterSeries]):
    """Counts what only rises."""

    __slots__ = ()

    def inc(self, *values: object, by: float = ONE, exemplar: Mapping[str, object] | None = None) -> None:
        """Add `by` to the series of these label values; `exemplar` (`{"trace_id": …}`) says how to find the event."""
        try:
            handle = self._children[values]
        except (KeyError, TypeError):
            handle = self._find(values)
        handle.inc(by, exemplar)


class Gauge(_Instrument[GaugeSeries]):
    """Keeps a value that comes and goes. The value stands last: `temperature.set("kitchen", 21.5)`."""

    __slots__ = ()

    def set(self, *values_and_value: object) -> None:
        """Set the series of the leading label values to the last argument."""
        *values, value = values_and_value
        self.labels(*values).set(value)  # type: ignore[arg-type]  # the series refuses what is no number

    def add(self, *values_and_delta: object) -> None:
        """Move the series of the leading label values by the last argument."""
        *values, delta = values_and_delta
        self.labels(*values).add(delta)  # type: ignore[arg-type]  # the series refuses what is no number


class Distribution(_Instrument[DistributionSeries]):
    """Counts how observed values are spread. The observation stands last: `duration.observe("GET", 0.3)`."""

    __slots__ = ()

    def observe(self, *values_and_observation: object, exemplar: Mapping[str, object] | None = None) -> None:
        """Count the last argument in the series of the leading label values; `exemplar` says how to find the event."""
        *values, observation = values_and_observation
        self.labels(*values).observe(observation, exemplar)  # type: ignore[arg-type]  # the series refuses what is no number


class Histogram(Distribution):
    """Counts how observed values are spread."""

    __slots__ = ()


class Timer(Distribution):
    """Counts how durations are spread, in the metric's unit (milliseconds unless it says otherwise)."""

    __slots__ = ()
