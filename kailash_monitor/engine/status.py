"""How the engine is doing, as values to show."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kailash_monitor.alerting.silence import SilenceState
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.rules import AlertRule

__all__ = ["ChannelStatus", "DeadLetter", "Delivery", "Health", "RuleStatus", "SilenceStatus", "Untold", "Waiting"]

HANGING: Final = 30.0
"""Seconds after which what is due, or has not come round, hangs: nothing that goes on takes so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStatus:
    """One rule and what came of its last evaluation.

    `state` is "disabled", "waiting" (nothing to judge yet), "inactive", "pending", "firing", "recovering" (the most urgent
    of its alerts) or "error", with the text in `error`. `late` counts evaluations that were skipped since the loop was busy.
    `duration` is how many seconds the last evaluation took to read.
    """

    rule: AlertRule
    state: str
    value: float | None = None
    last_evaluation: datetime | None = None
    duration: float | None = None
    next_evaluation: datetime | None = None
    evaluations: int = 0
    late: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One attempt to tell a channel. `outcome` is "delivered", "retry" or "given up", with the reason in `why`."""

    at: datetime
    channel: str
    notice: Notice
    outcome: str
    attempt: int
    why: str = ""

    def about(self, alert_id: str) -> bool:
        """Whether the message told of this alert, alone or among others."""
        told = [item.alert.id for item in self.notice.items] or [self.notice.alert.id]
        return alert_id in told


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceStatus:
    """One silence: of one alert, by `alert_id`, or of all that `matchers` match. Times are aware datetimes in UTC.

    `ends_at` is when it ended, where it did; with `until_resolved` it goes on beyond while its alert fires.
    """

    id: str
    alert_id: str | None
    matchers: str | None
    state: SilenceState
    starts_at: datetime
    ends_at: datetime
    until_resolved: bool
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What one channel is to be told of one group: kinds of news and ids of alerts, at most a hundred of them.

    `id` is the same over restarts. `due` is when the next attempt is, None while one is under way. `attempts` were made;
    `in_doubt` where one of them may have been heard. `why` is what the channel said last, where it fails.
    """

    id: str
    channel: str
    group: str
    kinds: tuple[str, ...]
    alert_ids: tuple[str, ...]
    due: datetime | None
    attempts: int
    in_doubt: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that was given up, and why, after so many attempts."""

    id: str
    channel: str
    at: datetime
    notice: Notice
    why: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """How one channel is doing.

    `state` is "ok", "failing" (the last attempts failed) or "open" (so many that it is left alone for a while), `since` when
    that began. `delivered` and `failed` count attempts since the start; `waiting` alerts it is to be told of.

    `open_until` is when it may be tried again, where it is left alone, or asked for a pause; None for now, and while it is
    tried whether it works again.

    `tokens` is how many messages it may be sent at once now, of at most `burst`; `rate` come back each second. `fallback` is
    told in its place where it fails; it `refuses` where it said that it will take nothing from us any more.
    """

    name: str
    state: str
    since: datetime | None
    why: str
    delivered: int
    failed: int
    waiting: int
    open_until: datetime | None
    tokens: float
    rate: float
    burst: int
    fallback: str | None
    refuses: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """Something a channel does not know yet: that an alert fires, or, where it was told so, that it is over."""

    channel: str
    alert_id: str
    kind: NoticeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the engine does its work. Alerts that fire are its work, and say nothing about it.

    `ready` once every enabled rule was evaluated since the start, until it is stopped. `overdue` is by how many seconds the
    most urgent rule is late, `silent` how many have passed since the engine came round, which it does each ten at least.
    `store` says why nothing is kept for a restart, `failure` what ended the engine, where there is something to say.
    """

    running: bool
    ready: bool
    overdue: float
    silent: float = 0.0
    store: str | None = None
    failure: str | None = None

    @property
    def ailment(self) -> str | None:
        """Why rules are not judged in time; None where they are. A new process may help."""
        if not self.running:
            return "it does not run" + (f": {self.failure}" if self.failure else "")
        if self.silent >= HANGING:
            return f"the event loop has not come round for {self.silent:.0f} s"
        if self.overdue >= HANGING:
            return f"a rule has been due for {self.overdue:.0f} s and is not judged"
        return None

    @property
    def impediment(self) -> str | None:
        """Why it cannot be relied on, now; None where it can."""
        if self.ailment is not None:
            return self.ailment
        if not self.ready:
            return "not every rule is judged: it has only begun, or is about to end"
        return None if self.store is None else f"the store fails: {self.store}"
