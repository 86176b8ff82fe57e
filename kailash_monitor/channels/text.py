"""The built-in text of a notice: what, how much against what, since when, for how long."""

from datetime import datetime

from kailash_monitor.model.durations import format_duration
from kailash_monitor.model.notice import Notice, NoticeKind

__all__ = ["headline"]


def headline(notice: Notice) -> str:
    """Give the notice in one line: "FIRING [critical] High CPU usage (0.97, limit 0.9): …"."""
    alert = notice.alert
    parts = [f"{_WORDS[notice.kind]} [{alert.severity.value}] {alert.title}"]
    facts = list(_facts(notice))
    if facts:
        parts.append(f" ({', '.join(facts)})")
    if alert.description:
        parts.append(f": {alert.description}")
    if alert.labels:
        parts.append(" {" + ", ".join(f"{name}={value}" for name, value in alert.labels.items()) + "}")
    runbook = alert.annotations.get("runbook")
    return "".join(parts) + (f" {runbook}" if runbook else "")


def _facts(notice: Notice) -> list[str]:
    alert = notice.alert
    facts: list[str] = []
    if alert.value is not None:
        facts.append(f"{'now' if notice.kind is NoticeKind.RESOLVED else 'is'} {alert.value:.4g}")
    if notice.kind is NoticeKind.RESOLVED and alert.peak is not None:
        facts.append(f"peak {alert.peak:.4g}")
    if alert.threshold is not None:
        facts.append(f"limit {alert.threshold:.4g}")
    if notice.kind is NoticeKind.RESOLVED and alert.fired_at and alert.resolved_at:
        facts.append(f"lasted {_between(alert.fired_at, alert.resolved_at)}")
    if notice.kind is NoticeKind.REPEAT and alert.fired_at:
        facts.append(f"since {alert.fired_at:%Y-%m-%d %H:%M:%S} UTC")
    return facts


def _between(start: datetime, end: datetime) -> str:
    return format_duration((end - start).total_seconds())


_WORDS = {
    NoticeKind.FIRING: "FIRING",
    NoticeKind.REPEAT: "STILL FIRING",
    NoticeKind.RESOLVED: "RESOLVED",
    NoticeKind.TEST: "TEST",
}
