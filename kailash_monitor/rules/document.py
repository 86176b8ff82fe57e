"""A rule as plain data for JSON, and back: what an incident that outlives its process remembers of its rule."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from kailash_monitor.rules.budget import BurnRate
from kailash_monitor.rules.rule import AlertRule
from kailash_monitor.rules.rule_query import RuleQuery

__all__ = ["document_of", "rule_of"]


def document_of(rule: AlertRule) -> dict[str, object]:
    """Give all that a rule says. Of a function that it reads only the fact: the program that made it has it."""
    clear = {level.severity.value: level.clear for level in rule.levels if level.clear is not None}
    document: dict[str, object] = {
        "name": rule.name,
        "description": rule.description,
        "condition": f"{rule.condition.word} {rule.condition.comparator}".lstrip(),
        "enabled": rule.enabled,
        "evaluation_interval": rule.evaluation_interval,
        "notification_interval": rule.notification_interval,
        "labels": dict(rule.labels),
        "annotations": dict(rule.annotations),
        "group_by": list(rule.group_by),
        "hold": rule.hold,
        "keep_firing": rule.keep_firing,
        "no_data": rule.no_data.value,
        "max_alerts": rule.max_alerts,
        "flapping": None if rule.flapping is None else asdict(rule.flapping),
    }
    if len(rule.levels) == 1:
        document |= {"severity": rule.severity.value, "threshold": rule.threshold, "clear": rule.clear}
    else:
        levels = {level.severity.value: level.threshold for level in rule.levels}
        document |= {"levels": levels, "clear": clear or None}
    if rule.reading is not None:
        return document | {"reading": True, "timeout": rule.timeout}
    if rule.expr is not None:
        said = {name: value for name, value in document.items() if name not in _OF_CONDITIONS}
        return said | {"expr": rule.expr.text, "expr_offset": rule.expr.offset, "timeout": rule.timeout}
    document |= {"collector": rule.collector, "match": dict(rule.match), "on_write": rule.on_write}
    if rule.burn_rate is not None:
        return document | {"burn_rate": asdict(rule.burn_rate)}
    return document | {"metric_name": rule.metric_name, "time_window": rule.time_window}


def rule_of(document: Mapping[str, Any]) -> AlertRule:  # Any: as in JSON
    """Give the rule that was written down so; one that read a function reads nothing now. A RuleError where it is none."""
    given = dict(document)
    if given.pop("reading", None):
        given["reading"] = _nothing
    if given.get("expr") is not None:
        given["expr"] = RuleQuery(given["expr"], given.pop("expr_offset", 0.0))
    if given.get("burn_rate") is not None:
        given["burn_rate"] = BurnRate(**given["burn_rate"])
    return AlertRule.from_mapping(given)


_OF_CONDITIONS: Final = ("condition", "threshold", "clear", "group_by", "no_data")
"""What a rule does not have whose expression says all of it."""


def _nothing() -> None:
    """Stands for a function of a program that has ended."""
