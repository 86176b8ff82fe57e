"""Standing: which channels an alert is to reach at one time, through which group, and what keeps it from being told."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from kailash_monitor.alerting.grouping import Pace
from kailash_monitor.alerting.incident import AlertKey, Incident
from kailash_monitor.alerting.inhibition import Inhibitors
from kailash_monitor.alerting.ledger import Reach
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import EVERY_LABEL, Destination, Route, destinations
from kailash_monitor.alerting.silence import Silence
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.reason import Reason

__all__ = ["STORM", "Address", "GroupKey", "Policy", "Standing", "stand"]


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What is told together: the alerts of one route with the same labels, or, without grouping, one alert."""

    route: str = ""
    labels: Labels | None = None
    alert: AlertKey | None = None

    def __str__(self) -> str:
        return (
            self.alert.id
            if self.alert is not None
            else f"{self.route or 'root'}{{{self.labels.text() if self.labels else ''}}}"
        )


STORM: Final = GroupKey("storm", Labels())
"""The group of what is told together since there is too much of it to be told one by one."""


@dataclass(frozen=True, slots=True)
class Address:
    """How an alert reaches one channel. `muted_by` names the mute time in force, `muted_until` is its end."""

    reach: Reach
    group: GroupKey
    pace: Pace
    muted_by: str = ""
    muted_until: float | None = None

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """The smaller, the better the address: a channel that two routes name is told by that which tells."""
        muted = bool(self.muted_by)
        return muted or self.reach is Reach.NOT_ESCALATED, _REACHES.index(self.reach), muted


_REACHES: Final = tuple(Reach)


@dataclass(frozen=True, slots=True)
class Standing:
    """How an alert stands at one time.

    `suppressed` says what keeps it from being told to anybody, `by` which silence or alert; `until` is when that may end, or
    when the next rung of the ladder is reached: when to look again.
    """

    addresses: Mapping[str, Address]
    suppressed: Reason | None = None
    by: str = ""
    until: float = math.inf


@dataclass(slots=True)
class Policy:
    """What people said about whom to tell, and when. `live` are the silences that are not known to be over.

    Mutable: by people's calls, under the manager's lock.
    """

    root: Route
    channels: dict[str, None]
    zones: Mapping[str, tzinfo]
    silences: dict[str, Silence] = field(default_factory=dict[str, Silence])
    live: dict[str, Silence] = field(default_factory=dict[str, Silence])
    inhibitors: Inhibitors = field(default_factory=lambda: Inhibitors(()))


def stand(
    policy: Policy, incident: Incident, *, called_at: float | None, acknowledged: bool, now: float, offset: float
) -> Standing:
    """Say how an alert stands now. `called_at` is since when its ladder counts; wall-clock time is `now` + `offset`."""
    labels = incident.target
    suppressed, by, until = _suppression(policy, incident, labels, now)
    addresses: dict[str, Address] = {}
    for destination in destinations(policy.root, labels):
        mute, muted_until = _muted(destination.mute_times, policy.zones, now, offset)
        if muted_until is not None:
            until = min(until, muted_until)
        group, pace = _group(destination, incident, labels), Pace(destination.wait, destination.interval)
        routed = tuple(policy.channels) if destination.channels is None else destination.channels
        reached = [(Reach.ROUTED, routed)]
        for rung in destination.escalation:
            at = math.inf if called_at is None or acknowledged else called_at + rung.after
            until = min(until, at if at > now else math.inf)
            reached.append((Reach.ESCALATED if at <= now else Reach.NOT_ESCALATED, rung.channels))
        for reach, names in reached:
            address = Address(reach, group, pace, mute, muted_until)
            for channel in names:
                known = addresses.get(channel)
                if channel in policy.channels and (known is None or address.rank < known.rank):
                    addresses[channel] = address
    return Standing(addresses, suppressed, by, until)


def _suppression(
    policy: Policy, incident: Incident, labels: Mapping[str, str], now: float
) -> tuple[Reason | None, str, float]:
    alert_id = incident.key.id
    for silence in policy.live.values():
        if silence.covers(alert_id, labels, active=incident.active, now=now):
            return Reason.SILENCED, silence.id, silence.next_change(now) or math.inf
    source = policy.inhibitors.by(alert_id, labels)
    return (None, "", math.inf) if source is None else (Reason.INHIBITED, source, math.inf)


def _muted(mutes: Sequence[MuteTime], zones: Mapping[str, tzinfo], now: float, offset: float) -> tuple[str, float | None]:
    """Give the mute time in force and its end. The last to end counts, so that one looks again when something changes."""
    found = [(until, mute.name) for mute in mutes if (until := mute.until(now + offset, zones[mute.time_zone])) is not None]
    if not found:
        return "", None
    until, name = max(found)
    return name, until - offset


def _group(destination: Destination, incident: Incident, labels: Mapping[str, str]) -> GroupKey:
    by = destination.group_by
    if by is None:
        return GroupKey(alert=incident.key)
    picked = Labels(labels) if by == (EVERY_LABEL,) else Labels(labels).pick(by)
    return GroupKey(destination.path, picked)
