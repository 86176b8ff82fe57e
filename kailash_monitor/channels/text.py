"""The built-in text of a notice: what, how much against what, since when, for how long."""

import re
from datetime import datetime
from typing import Final

from kailash_monitor.model.durations import format_duration
from kailash_monitor.model.notice import Notice, NoticeKind

__all__ = ["headline", "one_line"]

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What would begin a line, command a terminal, turn the direction of writing, or cannot be encoded."""


def one_line(text: str) -> str:
    """Give `text` on one line, with control characters written out: a line break as the two characters `\\n`.

    A label value can be anything a stranger sent. It must neither forge a line of a log nor command the terminal that
    shows it.
    """
    return _UNSAFE.sub(lambda character: ascii(character[0])[1:-1], text)


def headline(notice: Notice) -> str:
    """Give the notice in one line, safe to print: "FIRING [critical] High CPU usage (is 0.97, limit 0.9): …"."""
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
    return one_line("".join(parts) + (f" {runbook}" if runbook else ""))


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
