"""The evaluator: reads what a rule asks for in every collector it applies to."""

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Final, NamedTuple

from kailash_monitor.errors import MonitoringError
from kailash_monitor.metrics import Metric, MetricsCollector
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.model.views import MetricView
from kailash_monitor.rules import (
    AlertRule,
    Empty,
    Failed,
    Missing,
    NoData,
    Reading,
    Value,
    breached,
    read,
    readings_of,
)

__all__ = ["ASKED", "Outage", "Sighting", "evaluate", "sighting_of"]

ASKED = "reading"
"""What stands for the collector of alerts whose rule reads an answer of the user's own."""


class Sighting:
    """What one rule saw in one collector in one tick.

    `seen` is how many groups there are; `breaching` are those that would fire if they did not yet, and at which severity;
    `missing` those that had data and have none. `has_data` says whether anything could be judged, `worst` is the worst.
    `readings` are those of the groups that breach, are missing, or are in `known`: of ten thousand calm groups nothing is
    kept. `failed` says what went wrong, where something did, and `patience` how long to wait, at least, before somebody is
    told of that. `removed_since` says whether the series of a group were removed on purpose since then.
    """

    __slots__ = (
        "breaching",
        "collector",
        "failed",
        "has_data",
        "known",
        "missing",
        "patience",
        "readings",
        "removed_since",
        "seen",
        "worst",
    )

    def __init__(
        self,
        collector: str,
        known: Container[Labels] = (),
        removed_since: Callable[[Labels, float], bool] = lambda group, since: False,
    ) -> None:
        self.collector: Final = collector
        self.known: Final = known
        self.removed_since: Final = removed_since
        self.readings: dict[Labels, Reading] = {}
        self.breaching: dict[Labels, AlertSeverity] = {}
        self.missing: list[Labels] = []
        self.has_data = False
        self.seen = 0
        self.worst: float | None = None
        self.failed: Failed | None = None
        self.patience = 0.0

    def take(self, rule: AlertRule, readings: Mapping[Labels, Reading]) -> None:
        """Add what was read of some groups: each is looked at once."""
        self.seen += len(readings)
        wants_high, known, keeps_all = rule.condition.wants_high, self.known, rule.no_data is NoData.ALERT
        for group, reading in readings.items():
            if isinstance(reading, Value):
                self.has_data = True
                level = breached(rule, reading.value, reading.at_least, None)
                if isinstance(level, AlertSeverity):
                    self.breaching[group], self.readings[group] = level, reading
                if self.worst is None or (reading.value > self.worst) is wants_high:
                    self.worst = reading.value
            elif isinstance(reading, Missing):
                self.missing.append(group)
                self.readings[group] = reading
                if keeps_all:
                    self.breaching[group] = rule.severity
            elif isinstance(reading, Empty):
                self.has_data = True
            if keeps_all or (known and group in known):
                self.readings[group] = reading

    def fail(self, error: BaseException) -> None:
        """Take note that reading raised: nothing is known."""
        self.failed = Failed.of(error)
        self.readings, self.breaching, self.missing = {}, {}, []
        self.has_data, self.seen, self.worst = False, 0, None

    def reading_of(self, group: Labels) -> Reading:
        """Give the reading of an alert that is known from before."""
        return self.readings.get(group) or self.failed or Missing()


def evaluate(
    rule: AlertRule,
    collectors: Mapping[str, MetricsCollector],
    troubled: Mapping[str, "Outage"],
    known: Callable[[str], Container[Labels]],
    found: list[Sighting],
    now: float,
) -> Iterator[None]:
    """Read the rule's metrics in every collector that has them, and add what was seen to `found`, with pauses.

    `troubled` are the collectors whose numbers are not of now; `known` gives the groups of one that have alerts.
    """
    for name in (rule.collector,) if rule.collector is not None else tuple(collectors):
        collector = collectors.get(name)
        metric = None if collector is None else collector.get_metric(rule.metric_name)
        if collector is None or metric is None:
            continue
        sighting = Sighting(name, known(name), _removed_since(rule, metric))
        found.append(sighting)
        try:
            if name in troubled:
                sighting.patience = troubled[name].patience
                raise Stale(troubled[name].text)
            for readings in read(rule, _retained(rule, collector), now):
                sighting.take(rule, readings)
                yield
        except Exception as error:  # the user's callback, or a rule that does not fit: an error is a reading, too
            sighting.fail(error)


def _retained(rule: AlertRule, collector: MetricsCollector) -> Callable[[str], Metric | None]:
    """Give what finds metrics by their names, and has each keep its history for as long as the rule looks back."""

    def find(name: str) -> Metric | None:
        metric = collector.get_metric(name)
        if metric is not None:
            metric.retain(rule.time_window)
        return metric

    return find


def _removed_since(rule: AlertRule, metric: MetricView) -> Callable[[Labels, float], bool]:
    return lambda group, since: metric.removed_since({**rule.match, **group}, since)


def sighting_of(rule: AlertRule, known: Container[Labels], answer: object) -> Sighting:
    """Give what a rule saw that reads an answer of the user's own; an exception is an error."""
    sighting = Sighting(ASKED, known)
    try:
        if isinstance(answer, BaseException):
            raise answer
        sighting.take(rule, readings_of(rule, answer))
    except Exception as error:  # the user's code
        sighting.fail(error)
    return sighting


class Outage(NamedTuple):
    """The sources of a collector give no numbers. Nobody is told before `patience` seconds: they may be back by then."""

    text: str
    patience: float


class Stale(MonitoringError):
    """The sources of a collector give no numbers."""
