"""Grouping: when what is to be told about several alerts goes out together."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from kailash_monitor.model.severity import AlertSeverity

__all__ = ["Group", "Pace"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the first news of a group waits for others, and how far apart its messages are after that. Seconds."""

    wait: float = 0.0
    interval: float = 0.0


class Group(NamedTuple):
    """What one channel has heard of a group, and since when there is news.

    `flushed_at` is when it was last told, None where it has not heard of the group, or has heard that all is over.
    `severity` is the gravest that it was told, or that waits to be told.
    """

    news_since: float | None = None
    flushed_at: float | None = None
    severity: AlertSeverity | None = None
    urgent: bool = False

    def news(self, severity: AlertSeverity | None, now: float, *, all_resolved: bool) -> "Group":
        """Give the group after something came up that is to be told; `severity` is that of what fires, None for an end.

        What is graver than all that the group was told or waits to tell does not wait, nor does the end of it all.
        """
        graver = severity is not None and self.severity is not None and severity.rank > self.severity.rank
        known = severity is None or (self.severity is not None and self.severity.rank > severity.rank)
        return self._replace(
            news_since=now if self.news_since is None else self.news_since,
            severity=self.severity if known else severity,
            urgent=self.urgent or graver or all_resolved,
        )

    def due(self, pace: Pace) -> float:
        """Give when its news is to be told; infinity where there is none."""
        if self.news_since is None:
            return math.inf
        if self.urgent:
            return -math.inf
        return self.news_since + pace.wait if self.flushed_at is None else self.flushed_at + pace.interval

    def flushed(self, severity: AlertSeverity | None, now: float) -> "Group":
        """Give the group after it was told; `severity` is the gravest that fires in it still, None where nothing does."""
        return Group(flushed_at=None if severity is None else now, severity=severity)
