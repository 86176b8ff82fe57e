"""Explanations: why each channel was told of an alert, or was not."""

from dataclasses import dataclass
from datetime import datetime

from kailash_monitor.alerting.audit import Decision, Entry
from kailash_monitor.alerting.ledger import Heard
from kailash_monitor.channels.text import one_line
from kailash_monitor.engine.status import Delivery
from kailash_monitor.engine.wording import wall_time
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.reason import Reason

__all__ = ["ChannelStory", "Explanation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStory:
    """One channel and one alert: what it heard, and why it is told now or not. Times are aware datetimes in UTC.

    `route` and `group` are None where no route leads to it. `next_flush` is when the next message is due, if one waits.
    """

    channel: str
    reason: Reason
    heard: Heard
    route: str | None = None
    group: str | None = None
    next_flush: datetime | None = None
    last_told: datetime | None = None
    muted_by: str | None = None
    attempts: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How an alert stands and why. `str()` of it is for people.

    `data` is "fresh", "missing", or the error that its reading raised, since `unknown_since`. `suppressed_until` is when to
    look again; None where that is no question of time. `history` is what the audit has of it, its last 500 entries, oldest
    first.
    """

    alert: Alert
    state: str
    data: str
    unknown_since: datetime | None
    suppressed: Reason | None
    suppressed_by: str
    suppressed_until: datetime | None
    acknowledged_by: str | None
    flapping: bool
    channels: tuple[ChannelStory, ...]
    history: tuple[Entry, ...]
    wall_offset: float

    def __str__(self) -> str:
        alert = self.alert
        lines = [
            f"{alert.id} #{alert.incident}: {self.state}, {alert.severity.value}, value {alert.value}, data {self.data}"
        ]
        if self.suppressed is not None:
            until = f" until {self.suppressed_until:%Y-%m-%d %H:%M:%S} UTC" if self.suppressed_until else ""
            lines.append(f"  {self.suppressed.value} by {self.suppressed_by}{until}")
        if self.acknowledged_by is not None:
            lines.append(f"  acknowledged by {self.acknowledged_by or 'somebody'}")
        if self.flapping:
            lines.append("  flapping")
        lines += [f"  {_channel(story)}" for story in self.channels]
        lines += [f"  {_entry(entry, self.wall_offset)}" for entry in self.history]
        return "\n".join(one_line(line) for line in lines)


def _channel(story: ChannelStory) -> str:
    parts = [f"{story.channel}: {story.reason.value}, {story.heard.value}"]
    if story.group is not None:
        parts.append(f"group {story.group}")
    if story.muted_by is not None:
        parts.append(f"muted by {story.muted_by}")
    if story.next_flush is not None:
        parts.append(f"next at {story.next_flush:%H:%M:%S} UTC")
    if story.last_told is not None:
        parts.append(f"last told at {story.last_told:%H:%M:%S} UTC")
    if story.attempts:
        last = story.attempts[-1]
        parts.append(f"{len(story.attempts)} attempts, the last {last.outcome} {last.why}".rstrip())
    return ", ".join(parts)


def _entry(entry: Entry, offset: float) -> str:
    at = f"{wall_time(entry.at, offset):%H:%M:%S} UTC"
    if isinstance(entry, Decision):
        told = "" if entry.message_id is None else f" (message {entry.message_id})"
        return f"{at} {entry.channel}: {entry.reason.value}{told}"
    return f"{at} {entry.what}"
