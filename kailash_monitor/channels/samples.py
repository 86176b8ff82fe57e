"""Samples: notices of every kind, to try a template with."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.reason import KIND_OF
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["SAMPLES"]


def _samples() -> Iterator[Notice]:
    """Give two notices of every kind: one of which all is known, and one of which next to nothing is."""
    began = datetime(2026, 11, 25, 8, tzinfo=UTC)
    ended = datetime(2026, 11, 25, 8, 5, tzinfo=UTC)
    for kind in NoticeKind:
        over = kind in (NoticeKind.RESOLVED, NoticeKind.MISSED)
        full = Alert(
            "sample_app",
            "sample",
            AlertSeverity.CRITICAL,
            "High CPU usage",
            "All processors are busy",
            labels={"service": "checkout", "region": "eu"},
            annotations={"runbook": "https://example.com/cpu"},
            status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
            created_at=began,
            fired_at=began,
            resolved_at=ended if over else None,
            value=0.97,
            peak=0.99,
            threshold=0.9,
        )
        bare = Alert("sample", "sample", AlertSeverity.INFO, "Sample", "", status=full.status)
        for alert, extra in ((full, _extra(kind)), (bare, {})):
            items = (Item(NoticeKind.FIRING, full), Item(NoticeKind.RESOLVED, bare)) if kind is NoticeKind.DIGEST else ()
            yield Notice("sample", kind, alert, sent_at=ended.timestamp(), items=items, extra=extra)


def _extra(kind: NoticeKind) -> dict[str, object]:
    """Give what a message of this kind has in its context."""
    if kind is NoticeKind.DIGEST:
        return {"channel": "ops", "reasons": ["fired", "resolved"], "firing": 1, "resolved": 1}
    reason = next((reason.value for reason, told in KIND_OF.items() if told is kind), None)
    extra: dict[str, object] = {"channel": "ops", "reason": reason, "condition": "> 0.9", "unit": "ratio"}
    extra["recent"] = [0.5, None, 0.97]
    if kind is NoticeKind.MISSED:
        extra |= {
            "missed": 3,
            "first_fired_at": "2026-11-25T08:00:00+00:00",
            "last_resolved_at": "2026-11-25T08:05:00+00:00",
        }
    return extra


SAMPLES: Final = tuple(_samples())
