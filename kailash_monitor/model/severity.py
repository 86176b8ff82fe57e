"""Severities: how bad an alert is, and how bad an event of the security collector was."""

from enum import Enum
from typing import Final

__all__ = ["AlertSeverity", "MetricSeverity"]


class AlertSeverity(Enum):
    """How soon somebody should look, in rising order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    __hash__ = object.__hash__  # Enum's own is in Python, and slow for what is asked so often

    @property
    def rank(self) -> int:
        """0 for INFO up to 3 for CRITICAL."""
        return _RANKS[self]


_RANKS: Final = {severity: rank for rank, severity in enumerate(AlertSeverity)}


class MetricSeverity(Enum):
    """How grave one recorded event was, in rising order."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
