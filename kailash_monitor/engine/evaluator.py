"""The evaluator: reads what a rule asks for in every collector it applies to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kailash_monitor.alerting.incident import AlertKey
from kailash_monitor.errors import MonitoringError
from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.rules import AlertRule, Failed, Missing, Reading, read

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one rule saw in one tick. `failed` tells, by collector, what went wrong there."""

    readings: Mapping[AlertKey, Reading] = field(default_factory=dict[AlertKey, Reading])
    failed: Mapping[str, str] = field(default_factory=dict[str, str])

    def reading_of(self, key: AlertKey) -> Reading:
        """Give the reading of an alert that is known from before."""
        if key.collector in self.failed:
            return Failed(self.failed[key.collector])
        return self.readings.get(key, Missing())


def evaluate(rule: AlertRule, collectors: Mapping[str, MetricsCollector], now: float) -> Evaluation:
    """Read the rule's metric in every collector that has it."""
    readings: dict[AlertKey, Reading] = {}
    failed: dict[str, str] = {}
    for name, collector in collectors.items():
        metric = collector.get_metric(rule.metric_name) if rule.collector in (None, name) else None
        if metric is None:
            continue
        share_of = metric.metadata.share_of
        metric.retain(rule.time_window)
        try:
            whole = collector.get_metric(share_of) if share_of else None
            if whole is not None:
                whole.retain(rule.time_window)
            groups = read(rule, metric, whole, now)
        except Exception as error:  # the user's callback, or a rule that does not fit: an error is a reading, too
            failed[name] = str(error) if isinstance(error, MonitoringError) else f"{type(error).__name__}: {error}"
        else:
            readings.update({AlertKey(rule.name, name, group): reading for group, reading in groups.items()})
    return Evaluation(readings, failed)
