"""The evaluator: reads what rules ask for in every collector they apply to."""

from collections.abc import Callable, Container, Iterator, Mapping
from typing import NamedTuple

from kailash_monitor.engine.sighting import Sighting
from kailash_monitor.errors import MonitoringError
from kailash_monitor.metrics import Metric, MetricsCollector
from kailash_monitor.model.labels import Labels
from kailash_monitor.rules import AlertRule, Reader

__all__ = ["Evaluator", "Outage"]


class Outage(NamedTuple):
    """The sources of a collector give no numbers. Nobody is told before `patience` seconds: they may be back by then."""

    text: str
    patience: float


class Stale(MonitoringError):
    """The sources of a collector give no numbers."""


class Evaluator:
    """Reads rules, and keeps for each of them, and each collector, what it has worked out to read it again."""

    def __init__(self) -> None:
        self._readers: dict[tuple[str, str], Reader] = {}  # by the names of rule and collector

    def evaluate(
        self,
        rule: AlertRule,
        collectors: Mapping[str, MetricsCollector],
        troubled: Mapping[str, Outage],
        known: Callable[[str, str], Container[Labels]],
        found: list[Sighting],
        now: float,
    ) -> Iterator[None]:
        """Read the rule's metrics in every collector that has them, and add what was seen to `found`, pausing in between.

        `troubled` are the collectors whose numbers are not of now; `known` gives the groups of a rule in a collector that
        have alerts.
        """
        pauses = False
        for name in (rule.collector,) if rule.collector is not None else tuple(collectors):
            collector = collectors.get(name)
            metric = None if collector is None else collector.get_metric(rule.metric_name)
            if collector is None or metric is None:
                continue
            sighting = Sighting(name, known(rule.name, name), metric, rule.match)
            found.append(sighting)
            try:
                if name in troubled:
                    sighting.patience = troubled[name].patience
                    raise Stale(troubled[name].text)
                reader = self._readers.get((rule.name, name))
                if reader is None or not reader.reads(rule, collector.get_metric):
                    reader = self._reader(rule, name, collector)
                for readings in reader.read(now):
                    if pauses:
                        yield
                    pauses = True
                    sighting.take(rule, readings)
            except Exception as error:  # the user's callback, or a rule that does not fit: an error is a reading, too
                sighting.fail(error)

    def _reader(self, rule: AlertRule, name: str, collector: MetricsCollector) -> Reader:
        """Make what reads `rule` in a collector, and have the metrics keep their history for as long as it looks back."""

        def find(metric_name: str) -> Metric | None:
            metric = collector.get_metric(metric_name)
            if metric is not None:
                metric.retain(rule.time_window)
            return metric

        reader = self._readers[rule.name, name] = Reader.of(rule, find)
        return reader

    def forget(self, rules: Container[str], collectors: Container[str]) -> None:
        """Forget what has to do with rules and collectors that are not any more."""
        for rule, collector in tuple(self._readers):
            if rule not in rules or collector not in collectors:
                del self._readers[rule, collector]
