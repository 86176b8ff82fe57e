"""An alert, as people and channels see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from kailash_monitor.model.severity import AlertSeverity

__all__ = ["Alert", "AlertStatus"]


class AlertStatus(Enum):
    """One word for display, on which nothing decides: the first that holds, from the last to the first."""

    PENDING = "pending"
    FIRING = "firing"
    SILENCED = "silenced"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """What a rule found, told as one story from its first breach to its end.

    `id` names the alert across incidents: `<rule>_<collector>`, then `{label="value",…}` for a group; `incident` numbers
    them. Times are aware datetimes in UTC, None where it has not come to that. `value` is the last reading, or, once
    resolved, the one that ended it; `peak` is the worst while it lasted. It can be built by hand to try a channel:

    >>> from kailash_monitor.alerts import Alert, AlertSeverity
    >>> Alert("test", "test_rule", AlertSeverity.INFO, "Test", "A test alert")
    <Alert test #1 info pending>
    """

    id: str
    rule_name: str
    severity: AlertSeverity
    title: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)
    annotations: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)
    status: AlertStatus = field(default=AlertStatus.PENDING, kw_only=True)
    incident: int = field(default=1, kw_only=True)
    created_at: datetime | None = field(default=None, kw_only=True)
    fired_at: datetime | None = field(default=None, kw_only=True)
    resolved_at: datetime | None = field(default=None, kw_only=True)
    value: float | None = field(default=None, kw_only=True)
    peak: float | None = field(default=None, kw_only=True)
    threshold: float | None = field(default=None, kw_only=True)

    def document(self) -> dict[str, object]:
        """Give the alert as plain data for JSON: enums as their words, times in ISO 8601, UTC."""
        return {
            "id": self.id,
            "rule_name": self.rule_name,
            "severity": self.severity.value,
            "status": self.status.value,
            "title": self.title,
            "description": self.description,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "incident": self.incident,
            "created_at": _iso(self.created_at),
            "fired_at": _iso(self.fired_at),
            "resolved_at": _iso(self.resolved_at),
            "value": self.value,
            "peak": self.peak,
            "threshold": self.threshold,
        }

    def __repr__(self) -> str:
        return f"<Alert {self.id} #{self.incident} {self.severity.value} {self.status.value}>"


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
