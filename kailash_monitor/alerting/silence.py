"""Silences: somebody asked not to be told about one alert for a while."""

from dataclasses import dataclass
from typing import Final

from kailash_monitor.alerting.incident import Incident

__all__ = ["NEXT_INCIDENT_LIMIT", "Acknowledgement", "Silence"]

NEXT_INCIDENT_LIMIT: Final = 86_400.0
"""A silence for an alert that does not fire waits a day for it: forgotten, it must not hide the trouble of next month."""


@dataclass(frozen=True, slots=True)
class Silence:
    """No telling about `alert_id` until `ends_at`, or, where `incident` is set, until that incident is over."""

    alert_id: str
    ends_at: float | None
    incident: int | None = None
    author: str = ""
    reason: str = ""

    def covers(self, incident: Incident, now: float) -> bool:
        """Whether it speaks of this incident now."""
        return self.alert_id == incident.key.id and not self.over(incident, now)

    def over(self, incident: Incident | None, now: float) -> bool:
        """Whether it has ended; `incident` is the present one of its alert."""
        if self.ends_at is not None and now >= self.ends_at:
            return not (self.incident is not None and incident is not None and incident.active)
        if self.incident is None or incident is None or incident.number < self.incident:
            return False
        return incident.number > self.incident or incident.resolved_at is not None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody is on it: no repeats for this incident."""

    incident: int
    author: str = ""
