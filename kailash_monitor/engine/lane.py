"""Lanes: what one channel hears of one group, one message at a time."""

import json
import math
from collections import deque
from dataclasses import dataclass, field

from kailash_monitor.alerting.grouping import Group, Pace
from kailash_monitor.alerting.incident import Incident
from kailash_monitor.alerting.standing import GroupKey
from kailash_monitor.delivery.message import Message
from kailash_monitor.engine.book import Case
from kailash_monitor.model.notice import Item, NoticeKind
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["Draft", "Lane", "Part"]


@dataclass(frozen=True, slots=True)
class Part:
    """What a message says about one alert: which incident, of what kind and severity, and why. `item` is it in words."""

    case: Case
    incident: Incident
    reason: Reason
    item: Item

    @property
    def kind(self) -> NoticeKind:
        """What kind of news it is."""
        return self.item.kind

    @property
    def truth(self) -> tuple[int, int, NoticeKind, AlertSeverity, float | None]:
        """What makes two parts say the same: whether it is over counts, for summaries and for what is stable again."""
        incident = self.incident
        return (id(self.case), incident.number, self.kind, incident.severity, incident.resolved_at)


@dataclass(slots=True, eq=False)
class Draft:
    """A message that is being put together: which alerts are still to be asked about, and what is to be said so far.

    `pieces` counts how often it was worked on.
    """

    unasked: deque[Case]
    parts: dict[Case, Part] = field(default_factory=dict[Case, Part])
    pieces: int = 0


@dataclass(slots=True, eq=False)
class Lane:
    """What one channel hears of one group: one message at a time, and never a queue of them.

    After each attempt the truth is asked again, so that it is always the latest that is told; only a message that may have
    been heard is repeated as it was before anything newer. `firing` are the alerts of the group that the channel was told
    of, or is to be told of, and that fire still. `gathers` where it is the one that takes in what the others have to tell
    when there is too much of it. `recorded` where the store has it. Mutable, under the manager's lock.
    """

    channel: str
    key: GroupKey
    pace: Pace
    gathers: bool = False
    most: int = 800
    group: Group = field(default_factory=Group)
    members: dict[Case, None] = field(default_factory=dict[Case, None])
    firing: dict[Case, None] = field(default_factory=dict[Case, None])
    draft: Draft | None = None
    message: Message | None = None
    parts: tuple[Part, ...] = ()
    not_before: float = -math.inf
    queued_at: float = math.inf
    busy: bool = False
    recorded: bool = False
    _text: str = ""

    @property
    def key_text(self) -> str:
        """Channel and group as a text, the same in every process."""
        if not self._text:
            labels, alert = self.key.labels, self.key.alert
            named = None if alert is None else [alert.rule, alert.collector, dict(alert.group)]
            self._text = json.dumps([self.channel, self.key.route, None if labels is None else dict(labels), named])
        return self._text

    @property
    def doubtful(self) -> bool:
        """Whether its message may have been heard, so that it must be repeated as it is."""
        return self.message is not None and self.message.in_doubt

    @property
    def due(self) -> float:
        """When it is to be told, its channel willing."""
        return self.group.due(self.pace)

    @property
    def next_at(self) -> float:
        """When the next attempt is due; infinity where there is nothing to tell."""
        if self.busy:
            return math.inf
        if self.doubtful:
            return self.not_before
        return max(self.due, self.not_before) if self.members else math.inf

    @property
    def worth_keeping(self) -> bool:
        """Whether a restart would have to know of it: an attempt was made, or there are others that it waits for."""
        if self.message is not None and (self.busy or self.message.attempts):
            return True
        return self.pace != Pace() and (self.group.news_since is not None or self.group.flushed_at is not None)
