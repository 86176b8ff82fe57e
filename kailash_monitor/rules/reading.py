"""Readings: what a rule sees of its metric at one moment, one per label group.

An *empty* reading (0 of 0, no observation in the window) counts as clear. A *waiting* one (never seen since the start, or a
window that is not covered yet and proves nothing) changes nothing, nor do *missing* and *failed* ones: unknown is never OK.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, assert_never

from kailash_monitor.errors import RuleError
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.views import MetricView, SeriesView, settled
from kailash_monitor.model.window import (
    CounterWindow,
    DistributionWindow,
    GaugeWindow,
    Window,
    merge_counters,
    merge_distributions,
)
from kailash_monitor.rules.condition import Condition
from kailash_monitor.rules.rule import AlertRule

__all__ = ["Empty", "Failed", "Missing", "Reading", "Value", "Waiting", "check_fits", "read"]


@dataclass(frozen=True, slots=True)
class Value:
    """A number; with `at_least`, a lower bound of it, since the history does not cover the window."""

    value: float
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Empty:
    """The metric lives, but there is nothing to judge."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Too early to say anything."""


@dataclass(frozen=True, slots=True)
class Missing:
    """There was data, and there is none now."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Reading raised; `error` says what."""

    error: str


W = TypeVar("W", bound=Window)

Reading = Value | Empty | Waiting | Missing | Failed


def check_fits(rule: AlertRule, metric: MetricView) -> None:
    """Raise a RuleError where the rule's word means nothing for a metric of this type."""
    metadata = metric.metadata
    where = f"rule {rule.name!r}"
    if not rule.condition.fits(metadata.type):
        raise RuleError(
            where,
            field="condition",
            seen=f"{str(rule.condition)!r} on the {metadata.type.value} {metadata.name!r}",
            expected=f"{rule.condition.word!r} does not fit a {metadata.type.value}",
        )
    if rule.condition.word == "share" and metadata.share_of is None:
        raise RuleError(
            where,
            field="condition",
            seen=f"{str(rule.condition)!r} on {metadata.name!r}",
            expected="the counter must be declared with share_of=",
        )


def read(rule: AlertRule, metric: MetricView, whole: MetricView | None, now: float) -> dict[Labels, Reading]:
    """Read what `rule` judges, by label group; without `group_by` there is one group, without labels.

    `whole` is the metric of which this one is declared a share, where it is.
    """
    check_fits(rule, metric)
    if rule.condition.word == "share" or (rule.condition.word == "rate" and metric.metadata.share_of is not None):
        return settled(lambda: _read_shares(rule, metric, whole, now), metric, *([] if whole is None else [whole]))
    return settled(lambda: _read_groups(rule, metric, now), metric)


def _read_groups(rule: AlertRule, metric: MetricView, now: float) -> dict[Labels, Reading]:
    seconds, empty = rule.time_window, _empty(rule, metric, now)
    return {
        group: _judge_group(rule, [series.window(seconds, now) for series in members], empty)
        for group, members in _groups(rule, metric).items()
    }


def _groups(rule: AlertRule, metric: MetricView) -> Mapping[Labels, Sequence[SeriesView]]:
    groups = metric.groups(rule.match, rule.group_by)
    return groups if rule.group_by or groups else {NO_LABELS: []}


def _empty(rule: AlertRule, metric: MetricView, now: float) -> Window:
    names = (*rule.match, *rule.group_by)
    empty = metric.empty_window(rule.time_window, now, names)
    if rule.condition.word == "latest":  # a running total misses what was past the limit at any time
        return empty._replace(partial=metric.empty_window(math.inf, now, names).partial)
    return empty


def _judge_group(rule: AlertRule, windows: list[Window], empty: Window) -> Reading:
    """Counters and distributions are merged; of gauges every series is judged and the worst kept."""
    condition = rule.condition
    match empty:
        case CounterWindow():
            return _of_counter(condition, merge_counters([empty, *_only(CounterWindow, windows)]))
        case DistributionWindow():
            return _of_distribution(condition, merge_distributions([empty, *_only(DistributionWindow, windows)]))
        case GaugeWindow():
            readings = [_of_gauge(condition, window) for window in _only(GaugeWindow, windows)]
            return _worst(condition, readings) if readings else Waiting()
        case _:
            assert_never(empty)


def _only(kind: type[W], windows: Iterable[Window]) -> list[W]:
    return [window for window in windows if isinstance(window, kind)]


def _of_counter(condition: Condition, window: CounterWindow) -> Reading:
    match condition.word:
        case "latest":
            return Value(window.total, at_least=window.partial)
        case "rate" | "per_second":
            return Value(window.increase / window.seconds, at_least=not window.complete)
        case _:
            return Value(window.increase, at_least=not window.complete)


def _of_gauge(condition: Condition, window: GaugeWindow) -> Reading:
    match condition.word:
        case "avg":
            value = window.average
        case "min":
            value = window.min
        case "max":
            value = window.max
        case "sum":
            value = window.sum if window.count else None
        case "count":
            value = float(window.count)
        case "rate" | "per_second":
            value = None if window.change is None else window.change / window.seconds
        case _:
            value = window.last
    return _value_or_nothing(value, window)


def _of_distribution(condition: Condition, window: DistributionWindow) -> Reading:
    if condition.percentile is not None:
        return _value_or_nothing(window.percentile(condition.percentile), window)
    match condition.word:
        case "rate" | "per_second":
            return Value(window.count / window.seconds, at_least=not window.complete)
        case "increase" | "count":
            return Value(float(window.count), at_least=not window.complete)
        case "sum":
            if not window.complete and window.min is not None and window.min < 0:
                return Waiting()  # what is not known may have raised or lowered it
            return Value(window.sum, at_least=not window.complete)
        case "avg":
            value = window.average
        case "min":
            value = window.min
        case "max":
            value = window.max
        case _:
            value = window.latest
    return _value_or_nothing(value, window)


def _value_or_nothing(value: float | None, window: Window) -> Reading:
    if value is not None:
        return Value(value)
    return Empty() if window.complete else Waiting()


def _worst(condition: Condition, readings: list[Reading]) -> Reading:
    values = [reading for reading in readings if isinstance(reading, Value)]
    if not values:
        return readings[0]
    sign = 1.0 if condition.wants_high else -1.0
    return max(values, key=lambda reading: (condition.holds(reading.value) is True, sign * reading.value))


def _read_shares(rule: AlertRule, part: MetricView, whole: MetricView | None, now: float) -> dict[Labels, Reading]:
    """A share is judged over what is covered, of the groups that the whole has.

    Where the part may miss what the whole has (label sets past the limit, or given up), it is a lower bound; where the whole
    does, it says nothing.
    """
    if whole is None:
        raise RuleError(
            f"rule {rule.name!r}",
            field="metric_name",
            seen=f"{part.metadata.name!r} is a share of {part.metadata.share_of!r}, which the collector does not have",
            expected="record that one as well",
        )
    strangers = [name for name in (*rule.match, *rule.group_by) if name not in (whole.label_names or (name,))]
    if strangers:
        raise RuleError(
            f"rule {rule.name!r}",
            field="match",
            seen=f"the labels {', '.join(map(repr, strangers))}, which {whole.metadata.name!r} does not have",
            expected="a share is told apart by labels that both have",
        )
    parts, wholes = _increases(rule, part, now), _increases(rule, whole, now)
    nothing = merge_counters(_only(CounterWindow, [_empty(rule, part, now)]))
    shares: dict[Labels, Reading] = {}
    for group, of in wholes.items():
        part_of = parts.get(group, nothing)
        if of.partial or of.covers_since > max(of.start, part_of.covers_since):
            shares[group] = Waiting()
        elif of.increase:
            less = part_of.partial or part_of.covers_since > max(part_of.start, of.covers_since)
            shares[group] = Value(part_of.increase / of.increase, at_least=less)
        else:
            shares[group] = Empty() if of.complete else Waiting()
    return shares


def _increases(rule: AlertRule, metric: MetricView, now: float) -> dict[Labels, CounterWindow]:
    empty = _only(CounterWindow, [_empty(rule, metric, now)])
    return {
        group: merge_counters([*empty, *_only(CounterWindow, [s.window(rule.time_window, now) for s in members])])
        for group, members in _groups(rule, metric).items()
    }
