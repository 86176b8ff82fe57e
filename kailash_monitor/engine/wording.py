"""Wording: incidents and messages as people and channels see them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.alerting.incident import Incident
from kailash_monitor.alerting.ledger import LedgerEntry, missed
from kailash_monitor.alerting.standing import GroupKey
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.model.notice import Item, Notice, NoticeKind

__all__ = ["alert_of", "digest", "missed_of", "wall_time"]

TITLES: Final = 20
"""Titles of alerts that the description of a digest names; channels that can show more have its items."""


def alert_of(incident: Incident, status: AlertStatus, wall_offset: float) -> Alert:
    """Give the incident as people and channels see it; wall-clock time is its own plus `wall_offset`."""
    rule, group = incident.rule, incident.key.group
    annotations = rule.annotations if incident.annotations is None else incident.annotations
    title = annotations.get("summary") or _name_in_words(incident)
    if group and incident.annotations is None:
        title = f"{title} ({', '.join(group.values())})"
    return Alert(
        incident.key.id,
        rule.name,
        incident.severity,
        title,
        rule.description or (incident.annotations or {}).get("description", ""),
        labels=dict(incident.labels),
        annotations=dict(annotations),
        status=status,
        incident=incident.number,
        created_at=wall_time(incident.created_at, wall_offset),
        fired_at=_wall(incident.fired_at, wall_offset),
        resolved_at=_wall(incident.resolved_at, wall_offset),
        value=incident.value,
        peak=incident.peak,
        threshold=None
        if rule.expr is not None
        else next((level.threshold for level in rule.levels if level.severity is incident.severity), rule.threshold),
    )


def _name_in_words(incident: Incident) -> str:
    if incident.rule.expr is None:
        return incident.rule.name.replace("_", " ").capitalize()
    return incident.labels.get("alertname", incident.rule.name)  # as its file has it


def missed_of(entry: LedgerEntry, kind: NoticeKind, wall_offset: float) -> dict[str, object]:
    """Give how often an alert came and went unheard, and when, for the context of a message that says so."""
    sum_up = missed(entry) if kind is NoticeKind.MISSED else None
    if sum_up is None:
        return {}
    return {
        "missed": sum_up.count,
        "first_fired_at": wall_time(sum_up.first_fired_at, wall_offset).isoformat(),
        "last_resolved_at": wall_time(sum_up.last_resolved_at, wall_offset).isoformat(),
    }


def digest(message_id: str, key: GroupKey, items: Sequence[Item], sent_at: float, extra: dict[str, object]) -> Notice:
    """Give one notice about several alerts of a group; they stand in it as they come."""
    firing = [item.alert for item in items if item.alert.status is AlertStatus.FIRING]
    counted = [(len(firing), "firing"), (len(items) - len(firing), "resolved")]
    title = f"{len(items)} alerts: {', '.join(f'{count} {word}' for count, word in counted if count)}"
    gravest = max((alert.severity for alert in firing or [item.alert for item in items]), key=lambda one: one.rank)
    labels = key.labels or NO_LABELS
    summary = Alert(
        str(key),
        str(key),
        gravest,
        title,
        _titles(items),
        labels=dict(labels),
        status=AlertStatus.FIRING if firing else AlertStatus.RESOLVED,
        fired_at=min((item.alert.fired_at for item in items if item.alert.fired_at is not None), default=None),
    )
    counts = {word: count for count, word in counted}
    return Notice(message_id, NoticeKind.DIGEST, summary, sent_at=sent_at, items=tuple(items), extra={**extra, **counts})


def _titles(items: Sequence[Item]) -> str:
    titles = tuple(dict.fromkeys(item.alert.title for item in items))
    more = [f"and {len(titles) - TITLES} more"] if len(titles) > TITLES else []
    return "; ".join([*titles[:TITLES], *more])


def wall_time(at: float, offset: float) -> datetime:
    """Give a time of the timeline as an aware datetime in UTC."""
    return datetime.fromtimestamp(at + offset, UTC)


def _wall(at: float | None, offset: float) -> datetime | None:
    return None if at is None else wall_time(at, offset)
