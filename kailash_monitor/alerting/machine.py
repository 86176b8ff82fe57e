"""The state machine of an alert: what one reading makes of one incident."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, assert_never

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.rules import AlertRule, Empty, Failed, Missing, Reading, Value, Waiting

__all__ = ["TABLE", "Event", "Transition", "freeze", "remove", "step"]


class Event(Enum):
    """What a tick can mean for an incident. HELD: it has been so for as long as the rule asks."""

    BREACH = "breach"
    BREACH_HELD = "breach_held"
    CLEAR = "clear"
    CLEAR_HELD = "clear_held"
    UNKNOWN = "unknown"
    REMOVED = "removed"


_P, _F, _R, _E = State.PENDING, State.FIRING, State.RECOVERING, State.RESOLVED

TABLE: Final[dict[State | None, dict[Event, State | None]]] = {
    #                     BREACH, HELD, CLEAR, HELD, UNKNOWN, REMOVED
    None: dict(zip(Event, (_P, _F, None, None, None, None), strict=True)),
    _P: dict(zip(Event, (_P, _F, None, None, _P, None), strict=True)),
    _F: dict(zip(Event, (_F, _F, _R, _E, _F, _E), strict=True)),
    _R: dict(zip(Event, (_F, _F, _R, _E, _R, _E), strict=True)),
    _E: dict(zip(Event, (_P, _F, _E, _E, _E, _E), strict=True)),
}
"""Rows are states (None: no incident), columns the events in their order. A breach after RESOLVED is a new incident."""

_TICK: Final = 1e-6
"""Grid points are sums of floats: a hold of 300 s is over at 299.999999999 s."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One incident went from one state to another; `after.state` is the new one."""

    before: State | None
    after: Incident
    at: float


def step(
    rule: AlertRule, key: AlertKey, before: Incident | None, reading: Reading, now: float
) -> tuple[Incident | None, Transition | None]:
    """Give the incident after `reading`, None where there is nothing to remember, and the transition if there was one."""
    return _apply(rule, key, before, _event(rule, before, reading, now), _value_of(reading), now)


def remove(before: Incident, now: float) -> tuple[Incident | None, Transition | None]:
    """Give what is left of an incident whose rule or series was taken away on purpose."""
    return _apply(before.rule, before.key, before, Event.REMOVED, before.value, now)


def freeze(before: Incident, now: float) -> Incident:
    """Give the incident after a stretch of time in which nobody judged it: its clocks did not run."""
    return replace(before, since=before.since + (now - before.seen), seen=now)


def _event(rule: AlertRule, incident: Incident | None, reading: Reading, now: float) -> Event:
    state = None if incident is None else incident.state
    match reading:
        case Missing() | Failed() | Waiting():
            return Event.UNKNOWN
        case Empty():
            breached: bool | None = False
        case Value(value=value, at_least=at_least):
            recovers = rule.clear is not None and state in (State.FIRING, State.RECOVERING)
            condition = rule.condition.against(rule.clear) if recovers and rule.clear is not None else rule.condition
            breached = condition.holds(value, at_least=at_least)
        case _:
            assert_never(reading)
    if breached is None:
        return Event.UNKNOWN
    if breached:
        held = now - incident.since if incident is not None and state is State.PENDING else 0.0
        return Event.BREACH_HELD if held >= rule.hold - _TICK else Event.BREACH
    held = now - incident.since if incident is not None and state is State.RECOVERING else 0.0
    return Event.CLEAR_HELD if held >= rule.keep_firing - _TICK else Event.CLEAR


def _apply(
    rule: AlertRule, key: AlertKey, before: Incident | None, event: Event, value: float | None, now: float
) -> tuple[Incident | None, Transition | None]:
    was = None if before is None else before.state
    becomes = TABLE[was][event]
    if becomes is None:
        return None, None
    if before is None or (was is State.RESOLVED and becomes is not State.RESOLVED):
        number = 1 if before is None else before.number + 1
        after = Incident(key=key, rule=rule, number=number, state=becomes, since=now, seen=now, created_at=now)
    elif was is State.RESOLVED:
        return before, None
    elif event is Event.UNKNOWN:
        return freeze(before, now), None
    else:
        after = replace(before, rule=rule, state=becomes, since=before.since if was is becomes else now, seen=now)
    after = _refresh(rule, after, event, value)
    if was is becomes:
        return after, None
    if becomes is State.FIRING and after.fired_at is None:
        after = replace(after, fired_at=now)
    if becomes is State.RESOLVED:
        after = replace(after, resolved_at=now)
    return after, Transition(was, after, now)


def _refresh(rule: AlertRule, incident: Incident, event: Event, value: float | None) -> Incident:
    peak = incident.peak
    if value is not None and event in (Event.BREACH, Event.BREACH_HELD):
        worse = max if rule.condition.wants_high else min
        peak = value if peak is None else worse(peak, value)
    return replace(incident, value=value, peak=peak)


def _value_of(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Value) else None
