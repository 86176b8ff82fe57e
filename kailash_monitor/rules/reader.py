"""The reader: what a rule sees of its metrics at one moment, one reading per label group."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from kailash_monitor.errors import RuleError
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.views import MetricView, SeriesView
from kailash_monitor.model.window import (
    CounterWindow,
    DistributionWindow,
    Window,
    merge_counters,
    merge_distributions,
)
from kailash_monitor.rules import words
from kailash_monitor.rules.ratio import burn_rate_survey, check_comparable, share_survey
from kailash_monitor.rules.reading import Missing, Reading
from kailash_monitor.rules.rule import AlertRule
from kailash_monitor.rules.survey import Chunk, Survey, in_chunks

__all__ = ["Source", "check_fits", "read"]

Source = Callable[[str], MetricView | None]
"""Finds a metric of one collector by its name."""

COUNTERS_AT_ONCE: Final = 256
GAUGES_AT_ONCE: Final = 64
DISTRIBUTIONS_AT_ONCE: Final = 16
"""Series that are read in one or two milliseconds: one takes 1, up to 25 and up to 100 µs, by how much happened in it."""


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
    if rule.burn_rate is not None:
        check_comparable(rule, metric, metric)


def read(rule: AlertRule, source: Source, now: float) -> Iterator[Chunk]:
    """Read what `rule` judges, by label group, in chunks of a millisecond or two; together they are the whole answer.

    An empty chunk is but a pause. Without `group_by` there is one group, without labels; where the rule's metric is not
    there, there is none. It raises a RuleError where the rule does not fit, and any step what a callback raises.
    """
    metric = source(rule.metric_name)
    if metric is None:
        return iter(())
    if rule.match or rule.group_by:
        return _prepared(rule, metric, source, now)
    return _read(rule, metric, source, now)


def _prepared(rule: AlertRule, metric: MetricView, source: Source, now: float) -> Iterator[Chunk]:
    """Read once the series are in their groups, which takes a while the first time."""
    others = [metric.metadata.share_of, *rule.metrics]
    for view in (metric, *[found for name in others if name and (found := source(name)) is not None]):
        while view.prepare(rule.match, rule.group_by):
            yield {}
    yield from _read(rule, metric, source, now)


def _read(rule: AlertRule, metric: MetricView, source: Source, now: float) -> Iterator[Chunk]:
    check_fits(rule, metric)
    budget, share_of = rule.burn_rate, metric.metadata.share_of
    if budget is not None:
        good = _other(rule, source, budget.good, f"a burn rate reads {budget.good!r}")
        check_comparable(rule, good, metric)
        return in_chunks(lambda: burn_rate_survey(rule, budget, good, metric, now), (good, metric))
    if share_of is not None and rule.condition.word in ("share", "rate"):
        whole = _other(rule, source, share_of, f"{metric.metadata.name!r} is a share of {share_of!r}")
        check_comparable(rule, metric, whole)
        return in_chunks(lambda: share_survey(rule, metric, whole, now), (metric, whole))
    return in_chunks(lambda: _survey(rule, metric, now), (metric,))


def _other(rule: AlertRule, source: Source, name: str, why: str) -> MetricView:
    found = source(name)
    if found is None:
        raise RuleError(
            f"rule {rule.name!r}",
            field="metric_name",
            seen=f"{why}, which the collector does not have",
            expected="record that one as well",
        )
    return found


def _survey(rule: AlertRule, metric: MetricView, now: float) -> Survey[SeriesView, Any]:  # Any: by the type of the metric
    """Counters and distributions are merged; of gauges every series is judged and the worst kept."""
    seconds, condition, groups = rule.time_window, rule.condition, metric.groups(rule.match, rule.group_by)
    if not rule.group_by:
        groups = groups or {NO_LABELS: ()}
    taken, size = groups.items(), len(groups)

    def look(series: SeriesView) -> Any:
        return series.window(seconds, now)

    if metric.metadata.type is MetricType.GAUGE:
        of_gauge, worst = words.of_gauge(condition), partial(words.worst, condition)
        return Survey(taken, size, lambda one: of_gauge(look(one)), worst, _as_it_is, Missing(), GAUGES_AT_ONCE)
    empty = _empty(rule, metric, now)
    if isinstance(empty, DistributionWindow):
        of_distribution = words.of_distribution(condition, empty)
        return Survey(taken, size, look, merge_distributions, of_distribution, empty, DISTRIBUTIONS_AT_ONCE)
    assert isinstance(empty, CounterWindow)  # the window of a counter's label set
    return Survey(taken, size, look, merge_counters, words.of_counter(condition, empty), empty, COUNTERS_AT_ONCE)


def _as_it_is(reading: Reading) -> Reading:
    return reading


def _empty(rule: AlertRule, metric: MetricView, now: float) -> Window:
    names = (*rule.match, *rule.group_by)
    empty = metric.empty_window(rule.time_window, now, names)
    if rule.condition.word == "latest":  # a running total misses what was past the limit at any time
        return empty._replace(partial=metric.empty_window(math.inf, now, names).partial)
    return empty
