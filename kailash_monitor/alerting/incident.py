"""Incidents: one alert's story from its first breach to its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
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
    id: str = field(init=False, repr=False, compare=False)
    """`<rule>_<collector>`, then `{label="value",…}` for a group."""

    def __post_init__(self) -> None:
        text = f"{self.rule}_{self.collector}{f'{{{self.group.text()}}}' if self.group else ''}"
        object.__setattr__(self, "id", text)


class Incident(NamedTuple):
    """One incident of an alert. Times are `now` of the tick at which it happened.

    A tuple: each open one is made anew at every judgement.

    `rule` is the rule as it stood when the incident was last judged: it outlives the rule's removal. `labels` are those it
    began with, whatever becomes of the rule; `severity` is that of the level that is breached.
    `since` is when the present state began, moved on by the time in which nothing was known; `seen` is the last tick that
    judged it. `value` is the last known reading, `peak` the worst while it was breached. `ended_by` tells why it is over:
    RESOLVED, RULE_REMOVED or SERIES_REMOVED. `annotations` are those of its own, where its rule's are templates.
    """

    key: AlertKey
    rule: AlertRule
    number: int
    state: State
    severity: AlertSeverity
    labels: Labels
    since: float
    seen: float
    created_at: float
    fired_at: float | None = None
    resolved_at: float | None = None
    ended_by: Reason | None = None
    value: float | None = None
    peak: float | None = None
    annotations: Mapping[str, str] | None = None

    @property
    def active(self) -> bool:
        """Whether people should know: firing or recovering."""
        return self.state is State.FIRING or self.state is State.RECOVERING

    @property
    def ends_in(self) -> float | None:
        """When its hold or its keep_firing is over, if the readings stay as they are; None where none runs."""
        if self.state is State.PENDING:
            return self.since + self.rule.hold
        return self.since + self.rule.keep_firing if self.state is State.RECOVERING else None

    @property
    def target(self) -> dict[str, str]:
        """The labels that silences, routes and inhibitions match: its own, and alertname, collector and severity."""
        own = {"alertname": self.rule.name, "collector": self.key.collector, "severity": self.severity.value}
        return {**own, **self.labels}

    def __repr__(self) -> str:
        return f"<Incident {self.key.id} #{self.number} {self.state.value} {self.severity.value} value={self.value}>"
