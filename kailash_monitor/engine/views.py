"""Views: alerts as people see them, cheap to look through where there are thousands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kailash_monitor.alerting.incident import Incident, State
from kailash_monitor.alerting.silence import Silence, SilenceState
from kailash_monitor.clock import Clock
from kailash_monitor.engine.book import Case
from kailash_monitor.engine.wording import alert_of
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["AlertView", "Covering", "SteadyOffset"]

UNSTEADY: Final = 0.01
"""Seconds by which two readings of the clocks may differ though nothing was set: what a thread waits for its turn."""


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert: what it is found and sorted by at once, and all of it in words when asked for.

    `acknowledged_by` is who is on it, empty where they gave no name; None for nobody.
    """

    incident: Incident
    status: AlertStatus
    acknowledged_by: str | None
    wall_offset: float

    @property
    def id(self) -> str:
        """What names it."""
        return self.incident.key.id

    @property
    def active(self) -> bool:
        """Whether people should know: it fires, silenced or not."""
        return self.incident.active

    @property
    def severity(self) -> AlertSeverity:
        """How grave it is."""
        return self.incident.severity

    @property
    def since(self) -> float:
        """When it was resolved, or began to fire, or else to be pending; seconds on the registry's timeline."""
        incident = self.incident
        times = (incident.resolved_at, incident.fired_at, incident.created_at)
        return next(at for at in times if at is not None)

    @property
    def target(self) -> Mapping[str, str]:
        """The labels that silences match."""
        return self.incident.target

    @property
    def alert(self) -> Alert:
        """The alert in words."""
        return alert_of(self.incident, self.status, self.wall_offset)


class Covering:
    """Which alerts the silences cover at one moment: those of one alert are found by its id, for there may be many."""

    def __init__(self, silences: Iterable[Silence], now: float) -> None:
        self._now: Final = now
        self._by_alert: Final = dict[str, list[Silence]]()
        self._by_labels: Final = list[Silence]()
        for silence in silences:
            if silence.alert_id:
                self._by_alert.setdefault(silence.alert_id, []).append(silence)
            elif silence.state(now) is SilenceState.ACTIVE:
                self._by_labels.append(silence)

    def status(self, case: Case) -> AlertStatus:
        """Give the one word for display."""
        incident = case.incident
        if incident.state is State.RESOLVED:
            return AlertStatus.RESOLVED
        if self._silenced(incident):
            return AlertStatus.SILENCED
        if case.acknowledged:
            return AlertStatus.ACKNOWLEDGED
        return AlertStatus.FIRING if incident.active else AlertStatus.PENDING

    def _silenced(self, incident: Incident) -> bool:
        own = self._by_alert.get(incident.key.id, ())
        if any(silence.state(self._now, incident.active) is SilenceState.ACTIVE for silence in own):
            return True
        if not self._by_labels:
            return False
        target = incident.target
        return any(silence.matchers.matches(target) for silence in self._by_labels)


class SteadyOffset:
    """The time of day minus the timeline, the same at each reading until a clock is set or has drifted away.

    The clocks are read one after the other, so that each reading differs by some microseconds: the time at which an alert
    fired would be another each time it is shown. Mutable: the last reading.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._last: float | None = None

    def read(self) -> float:
        """Give it in seconds."""
        fresh, last = self._clock.wall() - self._clock.now(), self._last
        if last is None or abs(fresh - last) > UNSTEADY:
            last = self._last = fresh
        return last
