"""Words: what each word of a condition makes of a window."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow
from kailash_monitor.rules.condition import Condition
from kailash_monitor.rules.reading import Empty, Missing, Reading, Value, Waiting

__all__ = ["of_counter", "of_distribution", "of_gauge", "worst"]

_PER_SECOND: Final = ("rate", "per_second")

_new: Final = tuple.__new__
"""Its own constructor takes twice as long, and counters come by the ten thousand."""


def of_counter(condition: Condition, empty: CounterWindow) -> Callable[[CounterWindow], Reading]:
    """Give what makes readings of counters over the span of `empty`, the window of what nobody has recorded."""
    if condition.word == "latest":
        return lambda window: Value(window.total, window.partial or empty.partial)
    per = empty.seconds if condition.word in _PER_SECOND else 1.0
    start, known = empty.start, empty.complete

    def read(window: CounterWindow) -> Reading:
        return _new(Value, (window.increase / per, not known or window.covers_since > start or window.partial, None))

    return read


_OF_GAUGE: Final[Mapping[str, Callable[[GaugeWindow], float | None]]] = {
    "": attrgetter("last"),
    "latest": attrgetter("last"),
    "avg": attrgetter("average"),
    "min": attrgetter("min"),
    "max": attrgetter("max"),
    "sum": lambda window: window.sum if window.count else None,
    "count": lambda window: float(window.count) or None,
    **dict.fromkeys(_PER_SECOND, lambda window: None if window.change is None else window.change / window.seconds),
}


def of_gauge(condition: Condition) -> Callable[[GaugeWindow], Reading]:
    """Give what makes readings of gauges. One without a value had one and has none, or never had: the book knows which."""
    number = _OF_GAUGE[condition.word]

    def read(window: GaugeWindow) -> Reading:
        value = number(window)
        return Missing() if value is None else Value(value)

    return read


_GROWING: Final[Mapping[str, Callable[[DistributionWindow], float]]] = {
    **dict.fromkeys(_PER_SECOND, lambda window: window.count / window.seconds),
    **dict.fromkeys(("increase", "count"), lambda window: float(window.count)),
}
"""What more observations make larger, so that those that are known give a lower bound."""

_OF_DISTRIBUTION: Final[Mapping[str, Callable[[DistributionWindow], float | None]]] = {
    "": attrgetter("latest"),
    "latest": attrgetter("latest"),
    "avg": attrgetter("average"),
    "min": attrgetter("min"),
    "max": attrgetter("max"),
}


def of_distribution(condition: Condition, empty: DistributionWindow) -> Callable[[DistributionWindow], Reading]:
    """Give what makes readings of distributions over the span of `empty`, the window of what nobody has recorded."""
    known, percentile = empty.complete, condition.percentile
    if condition.word == "sum":
        return lambda window: _sum(window, complete=known and window.complete)
    growing = _GROWING.get(condition.word)
    if growing is not None:
        return lambda window: Value(growing(window), not (known and window.complete))
    number = _OF_DISTRIBUTION[condition.word] if percentile is None else lambda window: window.percentile(percentile)
    return lambda window: _value_or_nothing(number(window), complete=known and window.complete)


def _sum(window: DistributionWindow, *, complete: bool) -> Reading:
    if not complete and window.min is not None and window.min < 0:
        return Waiting()  # what is not known may have raised or lowered it
    return Value(window.sum, not complete)


def worst(condition: Condition, readings: Sequence[Reading]) -> Reading:
    """Give the value that breaches most; where there is none, the first of `readings`, one at least."""
    values = [reading for reading in readings if isinstance(reading, Value)]
    if not values:
        return readings[0]
    sign = 1.0 if condition.wants_high else -1.0
    return max(values, key=lambda reading: (condition.holds(reading.value) is True, sign * reading.value))


def _value_or_nothing(value: float | None, *, complete: bool) -> Reading:
    if value is not None:
        return Value(value)
    return Empty() if complete else Waiting()
