"""The built-in text of a notice: what, how much against what, since when, for how long."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.durations import format_duration
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.reason import Reason

__all__ = ["headline", "is_over", "one_line"]

SHOWN: Final = 20
"""Alerts of a digest that are named: nobody reads a longer line. The others are counted."""

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What would begin a line, command a terminal, turn the direction of writing, or cannot be encoded."""


def one_line(text: str) -> str:
    """Give `text` on one line, with control characters written out: a line break as the two characters `\\n`.

    A label value can be anything a stranger sent. It must neither forge a line of a log nor command the terminal that
    shows it.
    """
    return _UNSAFE.sub(lambda character: ascii(character[0])[1:-1], text)


def headline(notice: Notice) -> str:
    """Give the notice in one line, safe to print: "FIRING [critical] High CPU usage (is 0.97, limit 0.9): …".

    The alerts of a digest follow each other after semicolons, the most urgent first.
    """
    alert = notice.alert
    parts = [_short(notice)]
    if text := "; ".join(_items(notice)) or alert.description:
        parts.append(f": {text}")
    if alert.labels:
        parts.append(" {" + ", ".join(f"{name}={value}" for name, value in alert.labels.items()) + "}")
    runbook = alert.annotations.get("runbook")
    return one_line("".join(parts) + (f" {runbook}" if runbook else ""))


def is_over(notice: Notice) -> bool:
    """Whether all that the notice tells of is over, so that nobody has to hurry."""
    if notice.kind is NoticeKind.STABLE or notice.kind is NoticeKind.DIGEST:
        return notice.alert.status is AlertStatus.RESOLVED
    return notice.kind is NoticeKind.RESOLVED


def _items(notice: Notice) -> Iterator[str]:
    """Give a few words about each alert of a digest."""

    def urgency(item: Item) -> tuple[bool, int]:
        return item.alert.status is AlertStatus.RESOLVED, -item.alert.severity.rank

    for item in sorted(notice.items, key=urgency)[:SHOWN]:
        yield _short(Notice(notice.id, item.kind, item.alert, sent_at=notice.sent_at))
    if len(notice.items) > SHOWN:
        yield f"and {len(notice.items) - SHOWN} more"


def _short(notice: Notice) -> str:
    """Say what happened to which alert, and its numbers."""
    facts = ", ".join(_facts(notice))
    return f"{_word(notice)} [{notice.alert.severity.value}] {notice.alert.title}{f' ({facts})' if facts else ''}"


def _word(notice: Notice) -> str:
    match notice.kind:
        case NoticeKind.DIGEST:
            return notice.alert.status.value.upper()
        case NoticeKind.STABLE:
            return f"STABLE, {notice.alert.status.value.upper()}"
        case NoticeKind.MISSED:
            return f"MISSED{_how_often(notice)}"
        case kind:
            return _WORDS[kind]


_WORDS: Final = {
    NoticeKind.FIRING: "FIRING",
    NoticeKind.REPEAT: "STILL FIRING",
    NoticeKind.RESOLVED: "RESOLVED",
    NoticeKind.FLAPPING: "FLAPPING",
    NoticeKind.TEST: "TEST",
}


def _how_often(notice: Notice) -> str:
    """Say how often an alert came and went unheard, and when; nothing where the notice does not know."""
    count, first, last = [notice.extra.get(key) for key in ("missed", "first_fired_at", "last_resolved_at")]
    if not (isinstance(first, str) and isinstance(last, str)):
        return ""
    times = "once" if count == 1 else f"{count} times"
    return f" {times} between {_utc(datetime.fromisoformat(first))} and {_utc(datetime.fromisoformat(last))} UTC"


def _facts(notice: Notice) -> Iterator[str]:
    alert, over = notice.alert, is_over(notice)
    if notice.kind is NoticeKind.MISSED:
        return  # the numbers are those of the last time, or of now
    if alert.value is not None:
        yield f"{'now' if over else 'is'} {alert.value:.4g}"
    if over and alert.peak is not None:
        yield f"peak {alert.peak:.4g}"
    if alert.threshold is not None:
        yield f"limit {alert.threshold:.4g}"
    if over and alert.fired_at and alert.resolved_at:
        yield f"lasted {format_duration((alert.resolved_at - alert.fired_at).total_seconds())}"
    if notice.kind is NoticeKind.REPEAT and alert.fired_at:
        yield f"since {_utc(alert.fired_at)} UTC"
    if why := _WHY.get(notice.extra.get("reason")):
        yield why


_WHY: Final[dict[object, str]] = {
    Reason.RAISED.value: "graver than before",
    Reason.ESCALATED.value: "nobody has acknowledged it",
    Reason.FLAPPING.value: "goes on and off; told again when stable",
    Reason.RULE_REMOVED.value: "its rule was removed",
    Reason.SERIES_REMOVED.value: "what it measured was removed",
    Reason.REROUTED.value: "fires still, told elsewhere from now on",
}
"""What the kind of the notice does not say."""


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
