"""Loaded rules: what rule files say, as rules that can be judged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kailash_monitor.errors import InvalidFile, RuleError
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.promql import ParseError, quoted
from kailash_monitor.rules.recording import Place, Recording
from kailash_monitor.rules.rule import AlertRule
from kailash_monitor.rules.rule_file import AlertingRule, RecordingRule, RuleFile, RuleGroup
from kailash_monitor.rules.rule_query import RuleQuery

__all__ = ["LoadedRules", "loaded_rules"]

SEVERITIES: Final = {
    **{severity.value: severity for severity in AlertSeverity},
    "page": AlertSeverity.CRITICAL,
    "high": AlertSeverity.CRITICAL,
    "major": AlertSeverity.ERROR,
    "minor": AlertSeverity.WARNING,
    "warn": AlertSeverity.WARNING,
    "notice": AlertSeverity.INFO,
    "none": AlertSeverity.INFO,
}
"""What the label `severity` of public rules means here; anything else is a warning, and the label says what it is."""


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The rules of some files, by what tells them apart: alerts by their names, recordings by their keys."""

    alerts: Mapping[str, AlertRule]
    recordings: Mapping[str, Recording]
    groups: Sequence[RuleGroup] = ()


def loaded_rules(files: Mapping[str, RuleFile], intervals: Mapping[str, float]) -> LoadedRules:
    """Give the rules of these files, judged each so many seconds (`intervals`) where their group does not say how often.

    Where several have one name, as for several severities, the first has it, and the others have their labels behind it;
    `alertname` is as it stands in the file. An InvalidFile lists what cannot be judged.
    """
    problems: list[str] = []
    named = _Names()
    alerts: dict[str, AlertRule] = {}
    recordings: dict[str, Recording] = {}
    for where, file in files.items():
        interval = intervals[where]
        for group in file.groups:
            for position, rule in enumerate(group.rules):
                place = Place(where, group.name, position)
                try:
                    query = RuleQuery(rule.expr, group.query_offset or 0.0)
                    if isinstance(rule, RecordingRule):
                        recording = _recording(rule, group, query, place, interval)
                        recordings[_apart(recording.key, recordings)] = recording
                    else:
                        name = named.of(rule)
                        alerts[name] = _alert(name, rule, group, query, place, interval)
                except (RuleError, ParseError) as error:
                    what = error.summary if isinstance(error, ParseError) else str(error)
                    problems.append(f"{where}:{rule.line}: {rule.name}: {what}")
    if problems:
        raise InvalidFile(problems)
    return LoadedRules(alerts, recordings, tuple(group for file in files.values() for group in file.groups))


def _apart(key: str, known: Mapping[str, object]) -> str:
    """Give a key of its own: two rules of a group that record the same are told apart, though they cannot both be kept."""
    return key if key not in known else f"{key}#{sum(one.startswith(key) for one in known) + 1}"


class _Names:
    """Gives each rule a name of its own."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def of(self, rule: AlertingRule) -> str:
        name = rule.name
        if self._given[name] and rule.labels:
            name += "{" + ",".join(f"{label}={quoted(text)}" for label, text in sorted(rule.labels.items())) + "}"
        self._given[name] += 1
        return name if self._given[name] == 1 else f"{name}#{self._given[name]}"


def _recording(rule: RecordingRule, group: RuleGroup, query: RuleQuery, place: Place, interval: float) -> Recording:
    return Recording(
        name=rule.record,
        query=query,
        labels=Labels(group.labels_of(rule)),
        interval=group.interval or interval,
        limit=group.limit,
        place=place,
    )


def _alert(name: str, rule: AlertingRule, group: RuleGroup, query: RuleQuery, place: Place, interval: float) -> AlertRule:
    labels = {label: text for label, text in group.labels_of(rule).items() if label != "alertname"}
    severity = SEVERITIES.get(labels.get("severity", "").lower(), AlertSeverity.WARNING)
    return AlertRule(
        name,
        "",
        severity,
        expr=query,
        evaluation_interval=group.interval or interval,
        labels=labels if name == rule.name else {**labels, "alertname": rule.name},
        annotations=rule.annotations,
        hold=rule.for_,
        keep_firing=rule.keep_firing_for,
        max_alerts=group.limit or None,
        place=place,
    )
