"""Tiles: the main metrics of a program in little, the last quarter of an hour of each."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kailash_monitor.metrics import Metric, MetricsRegistry
from kailash_monitor.metrics.curve import Grid
from kailash_monitor.metrics.self_metrics import SELF
from kailash_monitor.model.metric import MetricType
from kailash_monitor.promql.source import Pieces
from kailash_monitor.rules import AlertRule
from kailash_monitor.web.charts import rounded
from kailash_monitor.web.lines import STATISTICS, statistic_unit, values_of_group

__all__ = ["STEP", "Subject", "subjects", "tile_of"]

MOST: Final = 8

SPAN: Final = 900.0
POINTS: Final = 60
STEP: Final = SPAN / POINTS
"""Seconds between two points. They are at multiples of it, so that all who look see the same."""

WINDOW: Final = 60.0
"""Seconds that a rate or a percentile looks back."""

MOST_SERIES: Final = 500
"""Series of a metric that is drawn: its history is read for whoever only wants an overview."""

_MAIN: Final = {MetricType.COUNTER: "rate", MetricType.GAUGE: "value"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What one tile shows."""

    collector: str
    metric: Metric
    statistic: str


def subjects(rules: Iterable[AlertRule], registry: MetricsRegistry) -> list[Subject]:
    """Give what the tiles show: first what enabled rules read, then other metrics, the toolkit's own last."""
    found: dict[tuple[str, str], Subject] = {}
    for subject in _all(rules, registry):
        if subject.metric.series:
            found.setdefault((subject.collector, subject.metric.name), subject)
        if len(found) == MOST:
            break
    return [*found.values()]


def _all(rules: Iterable[AlertRule], registry: MetricsRegistry) -> Iterator[Subject]:
    collectors = registry.get_all_collectors()
    for rule in rules:
        for name, collector in collectors.items():
            metric = collector.get_metric(rule.metric_name) if rule.collector in (None, name) else None
            if metric is not None and rule.enabled:
                yield Subject(name, metric, _as_it_is_judged(rule, metric))
    for name in sorted(collectors, key=lambda name: name == SELF):
        for metric in collectors[name].get_all_metrics().values():
            yield Subject(name, metric, _MAIN.get(metric.metric_type, "p95"))


def _as_it_is_judged(rule: AlertRule, metric: Metric) -> str:
    """Give the statistic that a rule reads, or the main one where tiles do not have it."""
    word = {"latest": "value", "": "value", "per_second": "rate"}.get(rule.condition.word, rule.condition.word)
    return word if word in STATISTICS[metric.metric_type] else _MAIN.get(metric.metric_type, "p95")


def tile_of(subject: Subject, registry: MetricsRegistry) -> Pieces[dict[str, object]]:
    """Give a tile as plain data for JSON; without points where the metric has too many series."""
    metric, now = subject.metric, registry.clock.now()
    offset = registry.snapshot(ask=False).wall_offset
    end = math.floor((now + offset) / STEP) * STEP - offset
    values: list[float | None] = []
    times: list[float] = []
    series = metric.series
    if len(series) <= MOST_SERIES:
        grid = Grid.of(end, SPAN, POINTS, WINDOW)
        values = yield from values_of_group(series, subject.statistic, grid)
        times = grid.ends
    reads = subject.statistic in ("value", "total") and (len(series) == 1 or not values)  # what it is now, and no mean
    value = metric.latest() if reads else values[-1] if values else None
    return {
        "id": f"{subject.collector}/{metric.name}",
        "collector": subject.collector,
        "name": metric.name,
        "title": f"{metric.metadata.help} ({subject.statistic})",
        "unit": statistic_unit(subject.statistic, metric),
        "statistic": subject.statistic,
        "value": rounded(value),
        "times": [round(time + offset, 3) for time in times],
        "values": [*map(rounded, values)],
    }
