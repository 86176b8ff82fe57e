"""Incidents: one alert's story from its first breach to its end."""

from dataclasses import dataclass
from enum import Enum

from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.rules import AlertRule

__all__ = ["AlertKey", "Incident", "State"]


class State(Enum):
    """Where an incident stands. RECOVERING is firing still, for `keep_firing` after it cleared."""

    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class AlertKey:
    """What makes an alert the same one: rule, collector and label group."""

    rule: str
    collector: str
    group: Labels = NO_LABELS

    @property
    def id(self) -> str:
        """`<rule>_<collector>`, then `{label="value",…}` for a group."""
        return f"{self.rule}_{self.collector}{f'{{{self.group.text()}}}' if self.group else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident of an alert. Times are `now` of the tick at which it happened.

    `rule` is the rule as it stood when the incident was last judged: it outlives the rule's removal.
    `since` is when the present state began, moved on by the time in which nothing was known; `seen` is the last tick that
    judged it. `value` is the last known reading, `peak` the worst while it was breached.
    """

    key: AlertKey
    rule: AlertRule
    number: int
    state: State
    since: float
    seen: float
    created_at: float
    fired_at: float | None = None
    resolved_at: float | None = None
    value: float | None = None
    peak: float | None = None

    @property
    def active(self) -> bool:
        """Whether people should know: firing or recovering."""
        return self.state in (State.FIRING, State.RECOVERING)

    def __repr__(self) -> str:
        return f"<Incident {self.key.id} #{self.number} {self.state.value} value={self.value}>"
