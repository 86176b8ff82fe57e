"""Trials: what an expression or a condition finds now, before a rule is made of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, cast

from kailash_monitor.engine.queries import LocalQueries
from kailash_monitor.errors import ConfigurationError, NoAnswer
from kailash_monitor.exposition.pieces import slices
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.promql import EvaluationError, Expression, ParseError
from kailash_monitor.promql.labelset import NO_LABEL_SET, LabelSet
from kailash_monitor.promql.query import instant
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces, Source
from kailash_monitor.rules import UNPROVEN, AlertRule, Empty, RuleQuery, Value, breached, read
from kailash_monitor.rules.reading_expression import compared
from kailash_monitor.web.charts import Chart, Threshold, rounded
from kailash_monitor.web.query_chart import CountingSource, chart_of_query
from kailash_monitor.web.rule_chart import chart_of_condition

__all__ = ["Row", "Trial", "trial_of_condition", "trial_of_expression"]

MOST_ROWS: Final = 100
"""Rows that are given: more than anybody reads who tries something."""


AT_ONCE: Final = 250
"""Rows that are looked at without a pause."""


@dataclass(frozen=True, slots=True)
class Row:
    """One series or group: what it is, and whether it breaches; None where that is not known."""

    labels: Mapping[str, str]
    value: float | None
    breaches: bool | None


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found: of all rows some, those that breach first, the worst at the top; `kind` is "expr" or "condition"."""

    kind: str
    expr: str | None
    rows: Sequence[Row]
    total: int
    chart: Chart

    def document(self, at: str) -> dict[str, object]:
        """Give it as plain data for JSON."""
        return {
            "at": at,
            "kind": self.kind,
            "expr": self.expr,
            "rows": [
                {"labels": dict(row.labels), "value": rounded(row.value), "breaches": row.breaches} for row in self.rows
            ],
            "total": self.total,
            "chart": self.chart.document(at),
        }


def trial_of_expression(text: str, queries: LocalQueries, span: float) -> Pieces[Trial]:
    """Try an expression: each series that it gives would be an alert.

    Where it compares something with a number, all of that is shown, with whether it breaches. A ConfigurationError says
    where it cannot be read, or why it cannot be evaluated.
    """
    query = RuleQuery.of(text, "the request")
    seen = compared(query.tree)
    given, now = queries.source(strict=False)
    source, beside = CountingSource(given), 0
    try:
        breaching = found = yield from _vector(query.tree, text, source, now)
        if seen.comparator:
            beside = source.series
            found = yield from _vector(seen.tree, seen.text, source, now)
    except (EvaluationError, ParseError) as error:  # a duration that only the evaluation could tell
        expected = "an expression that can be evaluated"
        raise ConfigurationError("the request", field="expr", seen=str(error), expected=expected) from None
    breach = yield from _labels(breaching)
    rows = (Row(labels.labels, value, labels in breach) for labels, value in found)
    worst = yield from _worst(rows, wants_high=seen.wants_high)
    series, high = source.series - beside, seen.wants_high
    chart = yield from chart_of_query(seen.tree, queries, span, title=seen.text, wants_high=high, series=series)
    limits = [] if seen.threshold is None else [Threshold(AlertSeverity.WARNING, seen.threshold)]
    return Trial("expr", text, worst, len(found), chart.marked(limits))


def _labels(vector: Vector) -> Pieces[set[LabelSet]]:
    found = set[LabelSet]()
    for some in slices(vector, AT_ONCE):
        found |= {labels for labels, _ in some}
        yield
    return found


def _vector(tree: Expression, text: str, source: Source, now: int) -> Pieces[Vector]:
    result = yield from instant(tree, text, source, now)
    if isinstance(result.value, float):
        return [(NO_LABEL_SET, result.value)]
    return cast("Vector", result.value)  # a RuleQuery has seen to it


def trial_of_condition(rule: AlertRule, registry: MetricsRegistry, span: float, expr: str | None) -> Pieces[Trial]:
    """Try the condition of `rule`, which is in no rulebook, in every collector that it applies to.

    A ConfigurationError where it fits no metric, or there is none.
    """
    rows = list[Row]()
    collectors = registry.get_all_collectors()
    for name, collector in collectors.items():
        if rule.collector not in (None, name) or collector.get_metric(rule.metric_name) is None:
            continue
        try:
            for readings in read(rule, collector.get_metric, registry.clock.now()):
                for group, reading in readings.items():
                    rows.append(_row(rule, {"collector": name, **group}, reading))
                yield
        except NoAnswer as error:
            seen, expected = f"the metric {rule.metric_name!r}: {error}", "a metric that gives numbers"
            raise ConfigurationError("the request", field="metric", seen=seen, expected=expected) from None
    if not rows:
        where = "" if rule.collector is None else f" in the collector {rule.collector!r}"
        seen = f"the metric {rule.metric_name!r}, which is not there{where}"
        raise ConfigurationError("the request", field="metric", seen=seen, expected="one that was recorded")
    chart = yield from chart_of_condition(rule, registry, span, title=f"{rule.metric_name} {rule.condition}", expr=expr)
    limits = [Threshold(level.severity, level.threshold) for level in rule.levels]
    worst = yield from _worst(rows, wants_high=rule.condition.wants_high)
    return Trial("condition", expr, worst, len(rows), chart.marked(limits))


def _row(rule: AlertRule, labels: Mapping[str, str], reading: object) -> Row:
    if isinstance(reading, Value):
        level = breached(rule, reading.value, reading.at_least, None)
        return Row(labels, reading.value, None if level is UNPROVEN else level is not None)
    return Row(labels, None, False if isinstance(reading, Empty) else None)


def _worst(rows: Iterable[Row], *, wants_high: bool) -> Pieces[list[Row]]:
    """Give the rows that are shown, the worst first."""

    def rank(row: Row) -> tuple[bool, bool, float]:
        value = row.value if row.value is not None and not math.isnan(row.value) else None
        return (row.breaches is not True, value is None, 0.0 if value is None else -value if wants_high else value)

    worst, left = list[Row](), iter(rows)
    while some := [*islice(left, AT_ONCE)]:
        worst = sorted([*worst, *some], key=rank)[:MOST_ROWS]
        yield
    return worst
