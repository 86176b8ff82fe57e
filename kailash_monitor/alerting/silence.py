"""Silences and acknowledgements: what people said about alerts."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from enum import Enum
from typing import Final

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.matcher import NO_MATCHERS, Matchers

__all__ = ["NEXT_INCIDENT_LIMIT", "Acknowledgement", "Silence", "SilenceState"]

NEXT_INCIDENT_LIMIT: Final = 86_400.0
"""A silence for an alert that does not fire waits a day for it: forgotten, it must not hide the trouble of next month."""


class SilenceState(Enum):
    """Where a silence stands."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Silence:
    """From `starts_at` until `ends_at` nobody is told that the alert `alert_id` fires, or any alert that `matchers` match.

    It names one alert or has matchers, never both, and these must not match everything; else it is a ConfigurationError.

    One that names its alert may last `until_resolved`: it goes on beyond `ends_at` while the alert is active. It cannot tell
    one incident from the next, so whoever keeps it calls `ended` when the alert is resolved, and when it is over before the
    alert ever fired; else a later incident would revive it.

    `ended_at` is when it was ended early: silences are not deleted, so that people can read who asked for them and why.
    """

    id: str
    _: KW_ONLY
    starts_at: float
    ends_at: float
    alert_id: str | None = None
    matchers: Matchers = NO_MATCHERS
    until_resolved: bool = False
    author: str = ""
    reason: str = ""
    created_at: float = 0.0
    ended_at: float | None = None

    def __post_init__(self) -> None:
        if bool(self.alert_id) is bool(self.matchers):
            both = "an alert_id and matchers" if self.matchers else "neither an alert_id nor matchers"
            raise self._error("alert_id", both, "give one of them")
        if self.matchers and self.matchers.matches_everything:
            expected = "at least one matcher that does not match the empty string"
            raise self._error("matchers", f"the matchers {self.matchers}", expected)
        if self.until_resolved and not self.alert_id:
            raise self._error("until_resolved", "until_resolved beside matchers", "give the alert_id of the one alert")
        if not self.starts_at < self.ends_at:
            raise self._error("ends_at", f"ends_at = {self.ends_at!r}", f"a time after {self.starts_at!r}, when it starts")

    def _error(self, field: str, seen: str, expected: str) -> ConfigurationError:
        return ConfigurationError(f"silence {self.id!r}", field=field, seen=seen, expected=expected)

    def covers(self, alert_id: str, labels: Mapping[str, str], *, active: bool, now: float) -> bool:
        """Whether it speaks of this alert now; `active` says whether that alert fires now."""
        if self.state(now, active) is not SilenceState.ACTIVE:
            return False
        return self.matchers.matches(labels) if self.matchers else self.alert_id == alert_id

    def over(self, now: float, *, active: bool) -> bool:
        """Whether it has ended; `active` says whether its alert fires now, and only matters with `until_resolved`."""
        if self.ended_at is not None and self.ended_at <= now:
            return True
        return self.ends_at <= now and not (self.until_resolved and active)

    def state(self, now: float, active: bool = False) -> SilenceState:
        """Give where it stands now."""
        if self.over(now, active=active):
            return SilenceState.EXPIRED
        return SilenceState.PENDING if now < self.starts_at else SilenceState.ACTIVE

    def ended(self, now: float) -> "Silence":
        """Give it as ended by hand, now or, where it was before, when it was."""
        return self if self.ended_at is not None else replace(self, ended_at=now)

    def next_change(self, now: float) -> float | None:
        """Give the next time at which it begins or ends by itself; None where that is no question of time, or it is over."""
        if self.over(now, active=False):
            return None
        if now < self.starts_at:
            return self.starts_at
        return None if self.until_resolved else self.ends_at


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody is on it: no repeats for this incident. `at` is when they said so."""

    incident: int
    author: str = ""
    at: float = 0.0
