"""The reader: what a rule sees of its metrics at one moment, one reading per label group."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from kailash_monitor.errors import RuleError
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.views import MetricView, SeriesView
from kailash_monitor.model.window import (
    CounterWindow,
    DistributionWindow,
    GaugeWindow,
    Window,
    merge_counters,
    merge_distributions,
)
from kailash_monitor.rules import words
from kailash_monitor.rules.ratio import burn_rate_survey, check_comparable, share_survey
from kailash_monitor.rules.reading import Missing, Reading
from kailash_monitor.rules.rule import AlertRule
from kailash_monitor.rules.survey import Chunk, Survey, in_chunks

__all__ = ["Reader", "Source", "check_fits", "read"]

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


class Reader:
    """Reads what one rule judges, time after time: what stays the same is worked out once.

    `metrics` are those that it reads, that of the rule first.
    """

    __slots__ = ("_names", "_survey", "metrics", "rule")

    def __init__(self, rule: AlertRule, metrics: Sequence[MetricView], survey: "_Taker") -> None:
        self.rule: Final = rule
        self.metrics: Final = [*metrics]
        self._names = [metric.metadata.name for metric in metrics]
        self._survey = survey

    @classmethod
    def of(cls, rule: AlertRule, source: Source) -> "Reader":
        """Give the reader of `rule`; a RuleError where its metrics are not there, or it does not fit them."""
        metric = _metric(rule, source, rule.metric_name, f"the metric {rule.metric_name!r}")
        check_fits(rule, metric)
        budget, share_of = rule.burn_rate, metric.metadata.share_of
        if budget is not None:
            good = _metric(rule, source, budget.good, f"a burn rate reads {budget.good!r}")
            check_comparable(rule, good, metric)
            return cls(rule, (metric, good), partial(burn_rate_survey, rule, budget, good, metric))
        if share_of is not None and rule.condition.word in ("share", "rate"):
            whole = _metric(rule, source, share_of, f"{metric.metadata.name!r} is a share of {share_of!r}")
            check_comparable(rule, metric, whole)
            return cls(rule, (metric, whole), partial(share_survey, rule, metric, whole))
        return cls(rule, (metric,), _survey_of(rule, metric))

    def reads(self, rule: AlertRule, source: Source) -> bool:
        """Whether it is the reader of this very rule, and of the metrics that `source` has now."""
        return rule is self.rule and [*map(source, self._names)] == self.metrics

    def read(self, now: float) -> Iterator[Chunk]:
        """Read what the rule judges, by label group, in chunks of a millisecond or two; together they are the whole answer.

        An empty chunk is but a pause. Without `group_by` there is one group, without labels. Any step raises what a callback
        raises.
        """
        if self.rule.match or self.rule.group_by:
            return self._prepared(now)
        return in_chunks(partial(self._survey, now), self.metrics)

    def _prepared(self, now: float) -> Iterator[Chunk]:
        """Read once the series are in their groups, which takes a while the first time."""
        for metric in self.metrics:
            while metric.prepare(self.rule.match, self.rule.group_by):
                yield {}
        yield from in_chunks(partial(self._survey, now), self.metrics)


def read(rule: AlertRule, source: Source, now: float) -> Iterator[Chunk]:
    """Read what `rule` judges, once: nothing where its metric is not there, a RuleError where the rule does not fit."""
    return iter(()) if source(rule.metric_name) is None else Reader.of(rule, source).read(now)


def _metric(rule: AlertRule, source: Source, name: str, why: str) -> MetricView:
    found = source(name)
    if found is None:
        raise RuleError(
            f"rule {rule.name!r}",
            field="metric_name",
            seen=f"{why}, which the collector does not have",
            expected="record that one as well",
        )
    return found


_Taker = Callable[[float], Survey[Any, Any]]  # Any: by the type of the metric
"""Gives the survey of a moment."""


def _survey_of(rule: AlertRule, metric: MetricView) -> _Taker:
    """Counters and distributions are merged; of gauges every series is judged and the worst kept."""
    of_type = _of_gauges if metric.metadata.type is MetricType.GAUGE else _of_what_adds_up
    return of_type(rule, metric)


def _of_gauges(rule: AlertRule, metric: MetricView) -> _Taker:
    seconds, of_gauge, worst = rule.time_window, words.of_gauge(rule.condition), partial(words.worst, rule.condition)

    def take(now: float) -> Survey[SeriesView, Reading]:
        groups = _groups(rule, metric)

        def look(series: SeriesView) -> Reading:
            window = series.window(seconds, now)
            assert isinstance(window, GaugeWindow)
            return of_gauge(window)

        return Survey(groups.items(), len(groups), look, worst, _as_it_is, _NOTHING_SET, GAUGES_AT_ONCE)

    return take


def _of_what_adds_up(rule: AlertRule, metric: MetricView) -> _Taker:
    seconds, condition = rule.time_window, rule.condition

    def take(now: float) -> Survey[SeriesView, Any]:
        groups, empty = _groups(rule, metric), _empty(rule, metric, now)
        taken, size = groups.items(), len(groups)

        def look(series: SeriesView) -> Window:
            return series.window(seconds, now)

        if isinstance(empty, DistributionWindow):
            of_distribution = words.of_distribution(condition, empty)
            return Survey(taken, size, look, merge_distributions, of_distribution, empty, DISTRIBUTIONS_AT_ONCE)
        assert isinstance(empty, CounterWindow)  # the window of a counter's label set
        return Survey(taken, size, look, merge_counters, words.of_counter(condition, empty), empty, COUNTERS_AT_ONCE)

    return take


def _groups(rule: AlertRule, metric: MetricView) -> Mapping[Labels, Sequence[SeriesView]]:
    groups = metric.groups(rule.match, rule.group_by)
    return groups if groups or rule.group_by else {NO_LABELS: ()}


_NOTHING_SET: Final = Missing()


def _as_it_is(reading: Reading) -> Reading:
    return reading


def _empty(rule: AlertRule, metric: MetricView, now: float) -> Window:
    names = (*rule.match, *rule.group_by)
    empty = metric.empty_window(rule.time_window, now, names)
    if rule.condition.word == "latest":  # a running total misses what was past the limit at any time
        return empty._replace(partial=metric.empty_window(math.inf, now, names).partial)
    return empty
