"""Documents: what the API answers, as plain data for JSON. Enums are their words, times ISO 8601 in UTC."""

import math
from datetime import datetime
from typing import Final

from kailash_monitor.alerting.audit import Decision, Entry
from kailash_monitor.engine import Delivery, Health, RuleStatus
from kailash_monitor.engine.explanation import ChannelStory, Explanation
from kailash_monitor.engine.status import ChannelStatus, DeadLetter, SilenceStatus, Waiting
from kailash_monitor.engine.views import AlertView
from kailash_monitor.engine.wording import wall_time
from kailash_monitor.model.notice import Notice

__all__ = [
    "Document",
    "alert_document",
    "channel_document",
    "delivery_document",
    "explanation_document",
    "health_document",
    "letter_document",
    "rule_document",
    "silence_document",
    "waiting_document",
]

Document = dict[str, object]

NAMED: Final = 20
"""Alerts of one message that are shown: a digest has up to hundreds."""

ITEMS: Final = 5
"""Alerts of a dead letter that are told of in full; a page of letters must not be longer than people wait for."""


def alert_document(view: AlertView) -> Document:
    """Give an alert, with who is on it and where it is written what to do."""
    alert = view.alert
    runbook = alert.annotations.get("runbook_url") or alert.annotations.get("runbook") or None
    return {**alert.document(), "acknowledged_by": view.acknowledged_by, "runbook": runbook}


def health_document(health: Health, *, reason: str | None) -> Document:
    """Give how the engine is; `reason` is what is wrong with what was asked for, None for nothing."""
    return {
        "status": "ok" if reason is None else "failing",
        "reason": reason,
        "running": health.running,
        "ready": health.ready,
        "overdue_seconds": round(health.overdue, 3),
        "silent_seconds": round(health.silent, 3),
        "store": health.store,
        "failure": health.failure,
    }


def rule_document(status: RuleStatus, unit: str | None = None) -> Document:
    """Give a rule and what came of its last evaluation; its metric is measured in `unit`, where that is known."""
    rule = status.rule
    return {
        "name": rule.name,
        "description": rule.description,
        "severity": rule.severity.value,
        "metric_name": rule.metric_name,
        "collector": rule.collector,
        "condition": str(rule.condition),
        "expr": None if rule.expr is None else rule.expr.text,
        "threshold": None if rule.expr is not None else rule.threshold,
        "levels": [
            {"severity": level.severity.value, "threshold": level.threshold, "clear": level.clear}
            for level in (rule.levels if rule.expr is None else ())
        ],
        "metrics": list(rule.metrics),
        "match": dict(rule.match),
        "group_by": list(rule.group_by),
        "time_window_seconds": rule.time_window,
        "evaluation_interval_seconds": rule.evaluation_interval,
        "hold_seconds": rule.hold,
        "keep_firing_seconds": rule.keep_firing,
        "no_data": rule.no_data.value,
        "on_write": rule.on_write,
        "enabled": rule.enabled,
        "state": status.state,
        "value": None if status.value is None or not math.isfinite(status.value) else status.value,
        "unit": unit,
        "last_evaluation": _iso(status.last_evaluation),
        "duration_ms": None if status.duration is None else round(status.duration * 1000.0, 3),
        "next_evaluation": _iso(status.next_evaluation),
        "evaluations": status.evaluations,
        "late": status.late,
        "error": status.error,
    }


def silence_document(silence: SilenceStatus) -> Document:
    """Give a silence."""
    return {
        "id": silence.id,
        "alert_id": silence.alert_id,
        "matchers": silence.matchers,
        "state": silence.state.value,
        "starts_at": _iso(silence.starts_at),
        "ends_at": _iso(silence.ends_at),
        "until_resolved": silence.until_resolved,
        "author": silence.author,
        "reason": silence.reason,
    }


def channel_document(status: ChannelStatus) -> Document:
    """Give how a channel is doing."""
    return {
        "name": status.name,
        "state": status.state,
        "since": _iso(status.since),
        "why": status.why,
        "delivered": status.delivered,
        "failed": status.failed,
        "waiting": status.waiting,
        "open_until": _iso(status.open_until),
        "tokens": round(status.tokens, 1),
        "rate": status.rate,
        "burst": status.burst,
        "fallback": status.fallback,
        "refuses": status.refuses,
    }


def waiting_document(waiting: Waiting) -> Document:
    """Give what waits for a channel."""
    return {
        "id": waiting.id,
        "channel": waiting.channel,
        "group": waiting.group,
        "kinds": list(waiting.kinds),
        "alert_ids": list(waiting.alert_ids),
        "due": _iso(waiting.due),
        "attempts": waiting.attempts,
        "in_doubt": waiting.in_doubt,
        "why": waiting.why,
    }


def delivery_document(delivery: Delivery) -> Document:
    """Give an attempt to tell a channel, and what it was about."""
    notice = delivery.notice
    attempt = _delivery(delivery)
    return {
        "id": f"{notice.id} {delivery.channel} {delivery.attempt} {delivery.at.timestamp():.6f}",
        "channel": delivery.channel,
        "title": notice.alert.title,
        "alert_ids": [item.alert.id for item in notice.items[:NAMED]] or [notice.alert.id],
        **attempt,
    }


def letter_document(letter: DeadLetter) -> Document:
    """Give a dead letter, with what it would have said, of the first five of its alerts."""
    return {
        "id": letter.id,
        "channel": letter.channel,
        "at": _iso(letter.at),
        "why": letter.why,
        "attempts": letter.attempts,
        "notice": _notice(letter.notice),
    }


def explanation_document(explanation: Explanation) -> Document:
    """Give how an alert stands and why; `text` is the same for people."""
    return {
        "alert": explanation.alert.document(),
        "state": explanation.state,
        "data": explanation.data,
        "unknown_since": _iso(explanation.unknown_since),
        "suppressed": explanation.suppressed and explanation.suppressed.value,
        "suppressed_by": explanation.suppressed_by,
        "suppressed_until": _iso(explanation.suppressed_until),
        "acknowledged_by": explanation.acknowledged_by,
        "flapping": explanation.flapping,
        "channels": [_story(story) for story in explanation.channels],
        "history": [_entry(entry, explanation.wall_offset) for entry in explanation.history],
        "text": str(explanation),
    }


def _story(story: ChannelStory) -> Document:
    return {
        "channel": story.channel,
        "reason": story.reason.value,
        "heard": story.heard.value,
        "route": story.route,
        "group": story.group,
        "next_flush": _iso(story.next_flush),
        "last_told": _iso(story.last_told),
        "muted_by": story.muted_by,
        "attempts": [_delivery(delivery) for delivery in story.attempts],
    }


def _delivery(delivery: Delivery) -> Document:
    return {
        "at": _iso(delivery.at),
        "kind": delivery.notice.kind.value,
        "message_id": delivery.notice.id,
        "outcome": delivery.outcome,
        "attempt": delivery.attempt,
        "why": delivery.why,
    }


def _entry(entry: Entry, offset: float) -> Document:
    at = wall_time(entry.at, offset).isoformat()
    if isinstance(entry, Decision):
        return {"at": at, "channel": entry.channel, "reason": entry.reason.value, "message_id": entry.message_id}
    return {"at": at, "what": entry.what}


def _notice(notice: Notice) -> Document:
    return {
        "id": notice.id,
        "kind": notice.kind.value,
        "alert": notice.alert.document(),
        "items": [item.document() for item in notice.items[:ITEMS]],
        "more": max(0, len(notice.items) - ITEMS),
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
