"""Severities: how bad an alert is, and how bad an event of the security collector was."""

from enum import Enum

__all__ = ["AlertSeverity", "MetricSeverity"]


class AlertSeverity(Enum):
    """How soon somebody should look, in rising order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for INFO up to 3 for CRITICAL."""
        return list(AlertSeverity).index(self)


class MetricSeverity(Enum):
    """How grave one recorded event was, in rising order."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
