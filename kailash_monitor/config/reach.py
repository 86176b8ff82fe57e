"""Reach: whether a rule of a file can ever find the metrics that it judges."""

import difflib
from collections.abc import Collection, Mapping

from kailash_monitor.errors import RuleError
from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.rules import AlertRule

__all__ = ["check_reach", "instead"]

Metrics = Mapping[str, MetricsCollector]


def check_reach(rule: AlertRule, collectors: Metrics) -> None:
    """Accept a rule whose metrics are in `collectors`: in a monitor made of a file, nobody adds others.

    A RuleError says what there is instead.
    """
    where = f"rule {rule.name!r}"
    if rule.collector is not None and rule.collector not in collectors:
        seen = f"the collector {rule.collector!r}, which is not there or switched off"
        raise RuleError(where, field="collector", seen=seen, expected=instead(rule.collector, collectors))
    if rule.expr is not None:
        return  # what it names need not be there: it may ask for its absence
    known = _metrics_of(rule, collectors)
    fields = ("metric_name",) if rule.burn_rate is None else ("good", "total")
    for field, metric in zip(fields, rule.metrics, strict=True):
        if metric not in known:
            who = "no collector has" if rule.collector is None else f"the collector {rule.collector!r} does not have"
            raise RuleError(where, field=field, seen=f"the metric {metric!r}, which {who}", expected=instead(metric, known))


def _metrics_of(rule: AlertRule, collectors: Metrics) -> dict[str, None]:
    searched = collectors.values() if rule.collector is None else [collectors[rule.collector]]
    return {metric: None for collector in searched for metric in collector.get_all_metrics()}


def instead(name: str, known: Collection[str], *, nothing: str = "switch a collector on") -> str:
    """Name what is close, else all there is; `nothing` is what to do where nothing is."""
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"did you mean {' or '.join(repr(one) for one in near)}?"
    return f"use one of {', '.join(known)}" if known else nothing
