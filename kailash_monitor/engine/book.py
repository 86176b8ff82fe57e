"""The book of alerts: every incident of one manager, and what people did about it."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.machine import freeze, remove, step
from kailash_monitor.alerting.silence import NEXT_INCIDENT_LIMIT, Acknowledgement, Silence
from kailash_monitor.engine.evaluator import Evaluation
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.rules import AlertRule

__all__ = ["AlertBook"]

KEPT_RESOLVED: Final = 900.0
"""Resolved alerts stay visible for 15 minutes."""


class AlertBook:
    """Incidents by alert, silences and acknowledgements.

    Mutable: all of it, under the manager's lock, by the evaluation on the loop and by people's calls from any thread.
    """

    def __init__(self) -> None:
        self._incidents: dict[AlertKey, Incident] = {}
        self._of_rule: dict[str, dict[AlertKey, None]] = {}  # in order of appearance
        self._keys: dict[str, AlertKey] = {}
        self._silences: list[Silence] = []
        self._acknowledged: dict[AlertKey, Acknowledgement] = {}

    def __iter__(self) -> Iterator[Incident]:
        return iter(self._incidents.values())

    def judge(self, rule: AlertRule, evaluation: Evaluation, now: float) -> tuple[list[Incident], list[str]]:
        """Take in what `rule` saw: give the incidents that people may have to hear of, and what was wrong in words."""
        known = self._of_rule.get(rule.name, {})
        heard_of: list[Incident] = []
        wrong: list[str] = []
        for key in dict.fromkeys((*known, *evaluation.readings)):
            owner = self._keys.get(key.id, key)
            if owner != key:
                wrong.append(f"its alert {key.id!r} has the id of an alert of rule {owner.rule!r}; rename one of them")
                continue
            after, transition = step(rule, key, self._incidents.get(key), evaluation.reading_of(key), now)
            self._put(key, after)
            if after is not None and (after.active or transition is not None):
                heard_of.append(after)
            if transition is not None and transition.after.state is State.RESOLVED:
                self._lift(key.id)
        return heard_of, wrong

    def remove_rule(self, name: str, now: float) -> list[Incident]:
        """End the incidents of a rule that was taken away; give those that people may have to hear of."""
        ended: list[Incident] = []
        for key in list(self._of_rule.get(name, {})):
            after, transition = remove(self._incidents[key], now)
            self._put(key, after)
            if after is not None and transition is not None:
                ended.append(after)
                self._lift(key.id)
        return ended

    def freeze(self, now: float) -> None:
        """Take note that nobody judged until `now`: holds do not count that time."""
        for key, incident in self._incidents.items():
            if incident.state is not State.RESOLVED:
                self._incidents[key] = freeze(incident, now)

    def forget(self, now: float, keep: Collection[AlertKey]) -> None:
        """Forget what has been resolved long enough, but for `keep`, and the silences that are over."""
        for key, incident in list(self._incidents.items()):
            if incident.resolved_at is not None and now - incident.resolved_at > KEPT_RESOLVED and key not in keep:
                self._put(key, None)
        self._silences = [silence for silence in self._silences if not silence.over(self.find(silence.alert_id), now)]
        self._of_rule = {name: keys for name, keys in self._of_rule.items() if keys}

    def find(self, alert_id: str) -> Incident | None:
        """Give the present incident of the alert called `alert_id`."""
        key = self._keys.get(alert_id)
        return None if key is None else self._incidents.get(key)

    def silence(self, alert_id: str, seconds: float | None, now: float, *, author: str, reason: str) -> None:
        """Tell nobody about `alert_id` for `seconds`; None: until its present, or else its next, incident is over."""
        until_resolved = seconds is None
        ends_at = now + (NEXT_INCIDENT_LIMIT if seconds is None else seconds)
        self._silences.append(Silence(alert_id, ends_at, until_resolved, author, reason))

    def acknowledge(self, alert_id: str, *, author: str) -> bool:
        """Stop the repeats of the alert's present incident; whether it has one."""
        incident = self.find(alert_id)
        if incident is None or incident.state is State.RESOLVED:
            return False
        self._acknowledged[incident.key] = Acknowledgement(incident.number, author)
        return True

    def silenced(self, incident: Incident, now: float) -> bool:
        """Whether somebody asked not to be told of it now."""
        return any(silence.covers(incident, now) for silence in self._silences)

    def acknowledged(self, incident: Incident) -> bool:
        """Whether somebody said they are on it."""
        acknowledgement = self._acknowledged.get(incident.key)
        return acknowledgement is not None and acknowledgement.incident == incident.number

    def status(self, incident: Incident, now: float) -> AlertStatus:
        """Give the one word for display."""
        if incident.state is State.RESOLVED:
            return AlertStatus.RESOLVED
        if self.silenced(incident, now):
            return AlertStatus.SILENCED
        if self.acknowledged(incident):
            return AlertStatus.ACKNOWLEDGED
        return AlertStatus.FIRING if incident.active else AlertStatus.PENDING

    def _put(self, key: AlertKey, incident: Incident | None) -> None:
        if incident is None:
            self._incidents.pop(key, None)
            self._of_rule.get(key.rule, {}).pop(key, None)
            self._keys.pop(key.id, None)
            self._acknowledged.pop(key, None)
            return
        self._incidents[key] = incident
        self._of_rule.setdefault(key.rule, {})[key] = None
        self._keys[key.id] = key

    def _lift(self, alert_id: str) -> None:
        """End the silences that were to last until the alert is resolved."""
        self._silences = [s for s in self._silences if not (s.until_resolved and s.alert_id == alert_id)]


def alert_of(incident: Incident, status: AlertStatus, wall_offset: float) -> Alert:
    """Give the incident as people and channels see it."""
    rule, group = incident.rule, incident.key.group
    title = rule.annotations.get("summary") or rule.name.replace("_", " ").capitalize()
    if group:
        title = f"{title} ({', '.join(group.values())})"

    def wall(at: float | None) -> datetime | None:
        return None if at is None else datetime.fromtimestamp(at + wall_offset, UTC)

    return Alert(
        incident.key.id,
        rule.name,
        rule.severity,
        title,
        rule.description,
        labels={**rule.labels, **group},
        annotations=dict(rule.annotations),
        status=status,
        incident=incident.number,
        created_at=wall(incident.created_at),
        fired_at=wall(incident.fired_at),
        resolved_at=wall(incident.resolved_at),
        value=incident.value,
        peak=incident.peak,
        threshold=rule.threshold,
    )
