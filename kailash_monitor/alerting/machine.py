"""The state machine of an alert: what one reading makes of one incident."""

from dataclasses import dataclass, replace
from enum import Enum
from math import isfinite
from typing import Final, assert_never

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import (
    UNPROVEN,
    AlertRule,
    Empty,
    Failed,
    Missing,
    NoData,
    Reading,
    Unproven,
    Value,
    Waiting,
    Words,
    breached,
)

__all__ = ["GAP", "TABLE", "Event", "Transition", "end", "freeze", "step"]


Level = AlertSeverity | None | Unproven
"""The severity that is breached; None where it is clear, UNPROVEN where that is not known."""


class Event(Enum):
    """What a tick can mean for an incident.

    HELD: it has been so for as long as the rule asks. HIGHER and LOWER: it is breached at a graver, or but a milder, level
    than that at which it fires.
    """

    BREACH = "breach"
    BREACH_HELD = "breach_held"
    HIGHER = "higher"
    LOWER = "lower"
    CLEAR = "clear"
    CLEAR_HELD = "clear_held"
    UNKNOWN = "unknown"
    REMOVED = "removed"


_P, _F, _R, _E = State.PENDING, State.FIRING, State.RECOVERING, State.RESOLVED

TABLE: Final[dict[State | None, dict[Event, State | None]]] = {
    #                     BREACH, HELD, HIGHER, LOWER, CLEAR, HELD, UNKNOWN, REMOVED
    None: dict(zip(Event, (_P, _F, _F, _F, None, None, None, None), strict=True)),
    _P: dict(zip(Event, (_P, _F, _P, _P, None, None, _P, None), strict=True)),
    _F: dict(zip(Event, (_F, _F, _F, _F, _R, _E, _F, _E), strict=True)),
    _R: dict(zip(Event, (_F, _F, _F, _F, _R, _E, _R, _E), strict=True)),
    _E: dict(zip(Event, (_P, _F, _F, _F, _E, _E, _E, _E), strict=True)),
}
"""Rows are states (None: no incident), columns the events in their order. A breach after RESOLVED is a new incident."""

GAP: Final = 3.0
"""Intervals of a rule after which nobody judged it for so long that the time between counts for nothing."""

_TICK: Final = 1e-6
"""Grid points are sums of floats: a hold of 300 s is over at 299.999999999 s."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One incident went from one state, or one severity, to another; `before` is None where it is new."""

    before: Incident | None
    after: Incident
    at: float

    @property
    def raised(self) -> bool:
        """Whether an alert that fired already has become graver."""
        return self.before is not None and self.before.active and self.after.severity.rank > self.before.severity.rank


def step(
    rule: AlertRule, key: AlertKey, before: Incident | None, reading: Reading, now: float
) -> tuple[Incident | None, Transition | None]:
    """Give the incident after `reading`, None where there is nothing to remember, and the transition if there was one."""
    if before is not None and before.state is not State.RESOLVED:
        longest = GAP * rule.evaluation_interval + rule.waits
        before = freeze(before, now) if now - before.seen > longest else before
    level = _level(rule, before, reading)
    after, transition = _apply(rule, key, before, _event(rule, before, level, now), level, _value_of(reading), now)
    if after is not None and isinstance(reading, Value) and reading.words is not None:
        return _worded(after, transition, reading.words)
    return after, transition


def end(before: Incident, reason: Reason, now: float) -> tuple[Incident | None, Transition | None]:
    """Give what is left of an incident whose rule or series was taken away on purpose."""
    return _apply(before.rule, before.key, before, Event.REMOVED, None, before.value, now, reason)


def freeze(before: Incident, now: float) -> Incident:
    """Give the incident after a stretch of time in which nobody judged it: its clocks did not run."""
    return before._replace(since=before.since + (now - before.seen), seen=now)


def _level(rule: AlertRule, incident: Incident | None, reading: Reading) -> Level:
    present = incident.severity if incident is not None and incident.active else None
    match reading:
        case Value(value=value, at_least=at_least):
            return breached(rule, value, at_least, present)
        case Empty():
            return None
        case Missing():
            return _level_of_nothing(rule, present)
        case Failed() | Waiting():
            return UNPROVEN
        case _:
            assert_never(reading)


def _level_of_nothing(rule: AlertRule, present: AlertSeverity | None) -> Level:
    match rule.no_data:
        case NoData.KEEP:
            return UNPROVEN
        case NoData.ALERT:
            return present or rule.severity
        case NoData.OK:
            return None
        case _:
            assert_never(rule.no_data)


def _event(rule: AlertRule, incident: Incident | None, level: Level, now: float) -> Event:
    state = None if incident is None else incident.state
    if level is UNPROVEN:
        return Event.UNKNOWN
    if level is None:
        held = now - incident.since if incident is not None and state is State.RECOVERING else 0.0
        return Event.CLEAR_HELD if held >= rule.keep_firing - _TICK else Event.CLEAR
    if incident is not None and incident.active and level is not incident.severity:
        return Event.HIGHER if level.rank > incident.severity.rank else Event.LOWER
    held = now - incident.since if incident is not None and state is State.PENDING else 0.0
    return Event.BREACH_HELD if held >= rule.hold - _TICK else Event.BREACH


def _apply(
    rule: AlertRule,
    key: AlertKey,
    before: Incident | None,
    event: Event,
    level: Level,
    value: float | None,
    now: float,
    ended_by: Reason = Reason.RESOLVED,
) -> tuple[Incident | None, Transition | None]:
    was = None if before is None else before.state
    becomes = TABLE[was][event]
    if becomes is None:
        return None, None
    if was is becomes is State.RESOLVED:
        return before, None
    if before is not None and event is Event.UNKNOWN:
        return freeze(before, now), None
    severity = level if isinstance(level, AlertSeverity) else before.severity if before is not None else rule.severity
    if before is None or was is State.RESOLVED:
        number, labels = 1 if before is None else before.number + 1, Labels({**rule.labels, **key.group})
        new = Incident(key, rule, number, becomes, severity, labels, since=now, seen=now, created_at=now)
        peak = value
    else:
        new, peak = before, _peak(rule, before.peak, event, value)
    after = new._replace(
        rule=rule,
        state=becomes,
        severity=severity,
        since=new.since if was is becomes else now,
        seen=now,
        fired_at=now if becomes is State.FIRING and new.fired_at is None else new.fired_at,
        resolved_at=now if becomes is State.RESOLVED else None,
        ended_by=ended_by if becomes is State.RESOLVED else None,
        value=value,
        peak=peak,
    )
    changed = was is not becomes or (after.active and before is not None and before.severity is not severity)
    return after, Transition(before, after, now) if changed else None


def _worded(after: Incident, transition: Transition | None, words: Words) -> tuple[Incident, Transition | None]:
    """Give the incident with what is said of it now; the labels are those that it began with."""
    begins = transition is not None and (transition.before is None or transition.before.number != after.number)
    after = after._replace(annotations=words.annotations, labels=words.labels if begins else after.labels)
    return after, None if transition is None else replace(transition, after=after)


def _peak(rule: AlertRule, peak: float | None, event: Event, value: float | None) -> float | None:
    """Give the worst value while it was breached."""
    if value is None or event not in _BREACHES:
        return peak
    return value if peak is None else (max if rule.condition.wants_high else min)(peak, value)


_BREACHES: Final = frozenset({Event.BREACH, Event.BREACH_HELD, Event.HIGHER, Event.LOWER})


def _value_of(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Value) and isfinite(reading.value) else None
