"""Silences and acknowledgements: what people said about an alert."""

from dataclasses import dataclass
from typing import Final

from kailash_monitor.alerting.incident import Incident

__all__ = ["NEXT_INCIDENT_LIMIT", "Acknowledgement", "Silence"]

NEXT_INCIDENT_LIMIT: Final = 86_400.0
"""A silence for an alert that does not fire waits a day for it: forgotten, it must not hide the trouble of next month."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody is told that `alert_id` fires, until `ends_at`.

    With `until_resolved` it is lifted when the alert is resolved, and lasts beyond `ends_at` while the alert is active.
    """

    alert_id: str
    ends_at: float
    until_resolved: bool = False
    author: str = ""
    reason: str = ""

    def over(self, incident: Incident | None, now: float) -> bool:
        """Whether it has ended; `incident` is the present one of its alert, None where there is none."""
        goes_on = self.until_resolved and incident is not None and incident.active
        return now >= self.ends_at and not goes_on

    def covers(self, incident: Incident, now: float) -> bool:
        """Whether it speaks of this incident now."""
        return self.alert_id == incident.key.id and not self.over(incident, now)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody is on it: no repeats for this incident."""

    incident: int
    author: str = ""
