"""Rules of the query API: what a manager judges and finds, described as a Prometheus describes its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

from kailash_monitor.engine import RuleStatus
from kailash_monitor.errors import RuleError
from kailash_monitor.exposition.names import exported_name
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.snapshot import Snapshot
from kailash_monitor.promql import to_text
from kailash_monitor.rules import AlertRule
from kailash_monitor.rules.export import alerting_rules
from kailash_monitor.rules.expressions import ExportedMetric, duration_of
from kailash_monitor.rules.recording import Place, Recording
from kailash_monitor.web.promql_pages import exponent_text, json_text

__all__ = ["Entry", "alert_entries", "alerts_data", "metadata_data", "recording_entries", "rules_data"]

NEVER: Final = "0001-01-01T00:00:00Z"
"""How Go writes a time that has not come."""

_STATES: Final = {"firing": "firing", "recovering": "firing", "pending": "pending"}

Document: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A rule in its group, and what is to be said of it. What stands in no file is of a group for its interval."""

    name: str
    place: Place
    interval: float
    limit: int
    judged: datetime | None
    document: Callable[[], Document]


def rules_data(entries: Iterable[Entry]) -> Iterator[str]:
    """Give the groups of these rules."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.place.of_group, []).append(entry)
    yield '{"groups":['
    comma = ""
    for group in groups.values():
        yield comma
        yield from _group(sorted(group, key=lambda entry: entry.place.position))
        comma = ","
    yield "]}"


def _group(entries: Sequence[Entry]) -> Iterator[str]:
    first, judged = entries[0], max((entry.judged for entry in entries if entry.judged is not None), default=None)
    yield f'{{"name":{json_text(first.place.group)},"file":{json_text(first.place.file)},"rules":['
    for index, entry in enumerate(entries):
        yield ("," if index else "") + json_text(entry.document())
    yield f'],"interval":{json_text(first.interval)},"limit":{first.limit},"evaluationTime":0'
    yield f',"lastEvaluation":"{_time(judged)}"}}'


def recording_entries(recordings: Mapping[Recording, str | None]) -> Iterator[Entry]:
    """Give what is recorded, each with what is wrong with it, or None."""
    for recording, error in recordings.items():
        yield Entry(
            name=recording.name,
            place=recording.place,
            interval=recording.interval,
            limit=recording.limit,
            judged=None,
            document=partial(_recording, recording, error),
        )


def _recording(recording: Recording, error: str | None) -> Document:
    return {
        "name": recording.name,
        "query": to_text(recording.query.tree),
        **({"labels": dict(recording.labels)} if recording.labels else {}),
        **_health(error, judged=True),
        "evaluationTime": 0,
        "lastEvaluation": NEVER,
        "type": "recording",
    }


def alert_entries(
    rules: Iterable[RuleStatus], alerts: Iterable[Alert] | None, metrics: Sequence[ExportedMetric]
) -> Iterator[Entry]:
    """Give the rules that are enabled, with their alerts where there are any to tell.

    What a rule judges without an expression is said in PromQL over `metrics`, or in its own words where that cannot be.
    """
    found: dict[str, list[Alert]] = {}
    for alert in alerts or ():
        found.setdefault(alert.rule_name, []).append(alert)
    for position, status in enumerate(rules):
        rule = status.rule
        if rule.enabled:
            told = None if alerts is None else found.get(rule.name, [])
            yield Entry(
                name=_name(rule),
                place=rule.place or Place("", f"kailash-monitor-{duration_of(rule.evaluation_interval)}", position),
                interval=rule.evaluation_interval,
                limit=rule.max_alerts or 0,
                judged=status.last_evaluation,
                document=partial(_rule, status, told, metrics),
            )


def _rule(status: RuleStatus, alerts: Sequence[Alert] | None, metrics: Sequence[ExportedMetric]) -> Document:
    rule = status.rule
    told = {} if alerts is None else {"alerts": [_alert(alert, rule) for alert in alerts if _is_active(alert)]}
    return {
        "state": _STATES.get(status.state, "inactive"),
        "name": _name(rule),
        "query": _query(rule, metrics),
        "duration": rule.hold,
        "keepFiringFor": rule.keep_firing,
        "labels": _labels(rule),
        "annotations": _annotations(rule.description, rule.annotations),
        **told,
        **_health(status.error, judged=status.last_evaluation is not None),
        "evaluationTime": 0,
        "lastEvaluation": _time(status.last_evaluation),
        "type": "alerting",
    }


def _health(error: str | None, *, judged: bool) -> Document:
    return {"health": "ok" if judged else "unknown"} if error is None else {"health": "err", "lastError": error}


def _name(rule: AlertRule) -> str:
    """Give what the rule is called in its file, where several may have one name."""
    return rule.name if rule.place is None else rule.labels.get("alertname", rule.name)


def _labels(rule: AlertRule) -> Document:
    own = {name: text for name, text in rule.labels.items() if name != "alertname"}
    return own if rule.place is not None else {"severity": rule.severity.value, **own}


def _query(rule: AlertRule, metrics: Sequence[ExportedMetric]) -> str:
    if rule.expr is not None:
        return to_text(rule.expr.tree)
    try:
        exported = alerting_rules(rule, metrics, per=())
    except RuleError:  # nothing was recorded yet, or PromQL has no words for it
        judged = getattr(rule.reading, "__name__", "") if rule.reading is not None else rule.metric_name
        return f"{judged} {rule.condition}"
    mildest = exported[:: len(rule.levels)]  # one for each collector that has the metric
    return "\nor\n".join(one.expr for one in mildest)


def alerts_data(alerts: Iterable[Alert], rules: Mapping[str, AlertRule]) -> Iterator[str]:
    """Give the alerts that are pending or fire."""
    yield '{"alerts":['
    comma = ""
    for alert in alerts:
        if _is_active(alert):
            yield comma + json_text(_alert(alert, rules.get(alert.rule_name)))
            comma = ","
    yield "]}"


def _is_active(alert: Alert) -> bool:
    return alert.status is not AlertStatus.RESOLVED


def _alert(alert: Alert, rule: AlertRule | None) -> Document:
    own = {} if rule is not None and rule.place is not None else {"severity": alert.severity.value}
    labels = {"alertname": alert.rule_name, **own, **alert.labels}
    return {
        "labels": {name: text for name, text in sorted(labels.items()) if text},
        "annotations": _annotations(alert.description, alert.annotations),
        "state": "pending" if alert.fired_at is None else "firing",
        "activeAt": _time(alert.created_at),
        "value": exponent_text(float("nan") if alert.value is None else alert.value),
    }


def _annotations(description: str, annotations: Mapping[str, str]) -> Document:
    return {name: text for name, text in {"description": description, **annotations}.items() if text}


def metadata_data(snapshot: Snapshot, name: str, *, most: int | None, each: int | None) -> Iterator[str]:
    """Give what is known of metrics, of one where it is named: of `most` names, and of each so many metrics."""
    known: dict[str, list[Document]] = {}
    for collector in snapshot.collectors:
        for metric in collector.metrics:
            metadata = metric.metadata
            exported = exported_name(snapshot.namespace, collector.name, metadata)
            if name in ("", exported.name):
                document: Document = {"type": metadata.type.exported, "help": metadata.help, "unit": exported.unit}
                known.setdefault(exported.name, []).append(document)
    yield "{"
    for index, (metric_name, documents) in enumerate(list(known.items())[:most]):
        yield ("," if index else "") + f"{json_text(metric_name)}:{json_text(documents[:each])}"
    yield "}"


def _time(at: datetime | None) -> str:
    return NEVER if at is None else at.isoformat().replace("+00:00", "Z")
