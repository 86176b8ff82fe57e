"""The ledger: what one channel has heard of one alert, and whether it is to be told more.

*Firing* is addressed by routes; *resolved* by the ledger: whoever was told, or may have been told, that it fires is told
that it is over, whatever suppresses the alert.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from kailash_monitor.alerting.incident import Incident, State
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity

__all__ = [
    "Heard",
    "LedgerEntry",
    "Missed",
    "Reach",
    "Situation",
    "accepted",
    "attempting",
    "called",
    "called_behind",
    "decide",
    "failed",
    "follow",
    "given_up",
    "missed",
    "reopened",
    "repeat_at",
    "resend_at",
]


class Heard(Enum):
    """Whether the channel knows that the incident fires. IN_DOUBT: an attempt was made, and its outcome is not known."""

    UNTOLD = "untold"
    IN_DOUBT = "in_doubt"
    TOLD = "told"


class Reach(Enum):
    """Whether the channel is to hear of what fires: by a route; by a rung of the ladder that is reached, or not; or not."""

    ROUTED = "routed"
    ESCALATED = "escalated"
    NOT_ESCALATED = "not_escalated"
    NOT_ROUTED = "not_routed"


@dataclass(frozen=True, slots=True)
class Missed:
    """Incidents that came and went while the channel should have heard of them and could not."""

    count: int
    first_fired_at: float
    last_resolved_at: float


@dataclass(frozen=True, slots=True)
class Situation:
    """What else there is to know about an alert when a channel may have to be told.

    `suppressed` is SILENCED, MUTED or INHIBITED, where it is. A `repeat_after` of 0 never repeats. After `resend_after` the
    channel is told again whatever people did, where the other side forgets by itself.
    """

    reach: Reach = Reach.ROUTED
    suppressed: Reason | None = None
    acknowledged: bool = False
    flapping: bool = False
    repeat_after: float = 0.0
    resend_after: float | None = None


class LedgerEntry(NamedTuple):
    """What a channel has heard of the incident `about`.

    `severity` is that at which it was told, `told_at` when it was last told. `over` says that it knows the end. `called`
    says that it was to be told and nothing stood against it but the channel itself. `flapping` says that it was told so.
    `undeliverable` is the kind of message that could not be delivered for good.

    `behind` is what there is of later incidents, while the channel has not heard the end of this one. `if_heard` is what the
    entry is instead, if the message that is on its way, or was lost, has been heard: for those kinds after which there may
    be nothing more to tell.
    """

    about: Incident
    heard: Heard = Heard.UNTOLD
    severity: AlertSeverity | None = None
    told_at: float | None = None
    over: bool = False
    called: bool = False
    flapping: bool = False
    missed: Missed | None = None
    undeliverable: NoticeKind | None = None
    behind: "LedgerEntry | None" = None
    if_heard: "LedgerEntry | None" = None

    @property
    def owes(self) -> bool:
        """Whether the channel still has to hear that what it was told about is over."""
        return self.heard is not Heard.UNTOLD and not self.over and self.undeliverable is not NoticeKind.RESOLVED

    @property
    def finished(self) -> bool:
        """Whether nothing is left to tell once the alert is resolved."""
        return not self.owes and not self.called and self.missed is None and self.behind is None


def follow(entry: LedgerEntry | None, latest: Incident) -> LedgerEntry:
    """Give the entry in the light of the alert's latest incident.

    A new incident waits until the channel has heard the end of the one it was told about, so that it hears firing and
    resolved in turn; one that flaps and was told so is one story.
    """
    if entry is None:
        return LedgerEntry(latest)
    followed = _follow(entry, latest)
    return followed if entry.if_heard is None else followed._replace(if_heard=_follow(entry.if_heard, latest))


def _follow(entry: LedgerEntry, latest: Incident) -> LedgerEntry:
    if entry.about.number == latest.number or entry.flapping:
        severity = entry.severity
        if severity is not None and latest.active and latest.severity.rank < severity.rank:
            severity = latest.severity  # it became milder, quietly: graver again is news again
        if entry.about is latest and severity is entry.severity and entry.behind is None:
            return entry  # as nearly always
        return entry._replace(about=latest, severity=severity, behind=None)
    if entry.owes:
        return entry._replace(behind=follow(entry.behind, latest))
    if entry.behind is not None:
        after = follow(entry.behind, latest)
        return after._replace(missed=_together(missed(entry), after.missed))
    return LedgerEntry(latest, missed=missed(entry))


def missed(entry: LedgerEntry) -> Missed | None:
    """Sum up what the channel should have heard and could not, the incident of the entry included."""
    about = entry.about
    if not entry.called or entry.heard is not Heard.UNTOLD or about.fired_at is None or about.resolved_at is None:
        return entry.missed
    return _together(entry.missed, Missed(1, about.fired_at, about.resolved_at))


def _together(before: Missed | None, after: Missed | None) -> Missed | None:
    if before is None or after is None:
        return before or after
    return Missed(before.count + after.count, before.first_fired_at, after.last_resolved_at)


def decide(entry: LedgerEntry, situation: Situation, now: float) -> Reason:
    """Say whether the channel is to be told now, and why."""
    incident = entry.about
    if incident.state is State.RESOLVED:
        return _decide_resolved(entry, situation)
    if not incident.active:
        return Reason.MISSED if entry.missed is not None else Reason.NOT_FIRING
    return _decide_firing(entry, situation, now)


def _decide_resolved(entry: LedgerEntry, situation: Situation) -> Reason:
    if entry.flapping:
        return Reason.UNSETTLED if situation.flapping else Reason.STABLE
    if entry.over:
        return Reason.ALREADY_TOLD
    if entry.heard is Heard.UNTOLD:
        if entry.undeliverable is not None:
            return Reason.UNDELIVERABLE
        return Reason.MISSED if missed(entry) is not None else Reason.NEVER_TOLD
    if not entry.owes:
        return Reason.UNDELIVERABLE
    tellable = situation.suppressed is None and situation.reach is not Reach.NOT_ROUTED
    if situation.flapping and tellable and entry.undeliverable is not NoticeKind.FLAPPING:
        return Reason.FLAPPING
    return entry.about.ended_by or Reason.RESOLVED


def _decide_firing(entry: LedgerEntry, situation: Situation, now: float) -> Reason:
    if situation.reach is Reach.NOT_ROUTED:
        return Reason.REROUTED if entry.owes else Reason.NOT_ROUTED
    if resend_at(entry, situation) <= now and (situation.suppressed is not None or not _graver(entry)):
        return Reason.KEPT_ALIVE
    if situation.flapping and entry.flapping:
        return Reason.UNSETTLED
    if situation.suppressed is not None:
        return situation.suppressed
    if situation.reach is Reach.NOT_ESCALATED and entry.heard is Heard.UNTOLD:
        return Reason.NOT_ESCALATED
    if entry.missed is not None:
        return Reason.MISSED
    if situation.flapping:
        return Reason.UNDELIVERABLE if entry.undeliverable is NoticeKind.FLAPPING else Reason.FLAPPING
    if entry.flapping:
        return Reason.STABLE
    return _decide_heard(entry, situation, now)


def _decide_heard(entry: LedgerEntry, situation: Situation, now: float) -> Reason:
    graver = _graver(entry)
    if entry.heard is not Heard.TOLD or graver:
        if entry.undeliverable is NoticeKind.FIRING and not graver:
            return Reason.UNDELIVERABLE
        if graver:
            return Reason.RAISED
        return Reason.ESCALATED if situation.reach is Reach.ESCALATED else Reason.FIRED
    if situation.acknowledged:
        return Reason.ACKNOWLEDGED
    if repeat_at(entry, situation) <= now:
        return Reason.REPEAT_DUE
    return Reason.ALREADY_TOLD


def _graver(entry: LedgerEntry) -> bool:
    return entry.severity is not None and entry.about.severity.rank > entry.severity.rank


def resend_at(entry: LedgerEntry, situation: Situation) -> float:
    """Give when the channel would forget that it fires, were it not told again; infinity for never."""
    if situation.resend_after is None or entry.told_at is None or entry.heard is not Heard.TOLD:
        return float("inf")
    return entry.told_at + situation.resend_after


def repeat_at(entry: LedgerEntry, situation: Situation) -> float:
    """Give when the channel is to be told again that it still fires; infinity for never."""
    if entry.told_at is None or not situation.repeat_after:
        return float("inf")
    return entry.told_at + situation.repeat_after


def called(entry: LedgerEntry, reason: Reason) -> LedgerEntry:
    """Give the entry after a decision: what stands against telling is the channel itself, or something else."""
    if entry.if_heard is not None and entry.about.active:
        entry = entry._replace(if_heard=called(entry.if_heard, reason))
    if entry.heard is not Heard.UNTOLD or entry.called is reason.tells or (reason.tells and not entry.about.active):
        return entry  # what is over can only be summed up, and was called while it fired or not at all
    return entry._replace(called=reason.tells)


def called_behind(entry: LedgerEntry, situation: Situation, now: float) -> LedgerEntry:
    """Give the entry after it was asked of what waits behind it whether it were told now, if the channel could hear."""
    if entry.behind is None:
        return entry
    return entry._replace(behind=called(entry.behind, decide(entry.behind, situation, now)))


def attempting(entry: LedgerEntry, kind: NoticeKind) -> LedgerEntry:
    """Give the entry while a message of `kind` is on its way: from now on the channel may have heard it."""
    if kind in (NoticeKind.MISSED, NoticeKind.STABLE) and entry.if_heard is None:
        return entry._replace(if_heard=accepted(entry, kind, entry.about.severity, entry.told_at or 0.0))
    doubtful = kind in (NoticeKind.FIRING, NoticeKind.FLAPPING) and entry.heard is Heard.UNTOLD
    return entry._replace(heard=Heard.IN_DOUBT, undeliverable=None) if doubtful else entry


def accepted(entry: LedgerEntry, kind: NoticeKind, severity: AlertSeverity, now: float) -> LedgerEntry:
    """Give the entry after the channel took a message of `kind`, about an alert of this severity."""
    if entry.if_heard is not None and kind in (NoticeKind.MISSED, NoticeKind.STABLE):
        heard = entry.if_heard
        return heard._replace(told_at=now) if kind is NoticeKind.STABLE and heard.heard is Heard.TOLD else heard
    match kind:
        case NoticeKind.RESOLVED:
            if entry.about.active:  # no route leads to it any more; if one does again, it is told again
                return LedgerEntry(entry.about)
            return entry._replace(over=True, called=False, flapping=False)
        case NoticeKind.MISSED:
            if entry.about.active or entry.about.state is State.PENDING:
                return entry._replace(missed=None)
            return entry._replace(missed=None, called=False, over=True)
        case NoticeKind.STABLE:
            if entry.about.active:
                return entry._replace(flapping=False, severity=severity, told_at=now)
            return entry._replace(flapping=False, over=True, called=False)
        case _:
            told = entry._replace(heard=Heard.TOLD, severity=severity, told_at=now, called=False, undeliverable=None)
            return told._replace(flapping=True, over=False) if kind is NoticeKind.FLAPPING else told


def failed(entry: LedgerEntry, kind: NoticeKind, *, in_doubt: bool) -> LedgerEntry:
    """Give the entry after a failed attempt; `in_doubt` where this or an earlier one may have been heard all the same."""
    if in_doubt:
        return entry
    about_firing = kind in (NoticeKind.FIRING, NoticeKind.FLAPPING)
    by_this_alone = entry.heard is Heard.IN_DOUBT and entry.undeliverable is None  # else one that was given up is in doubt
    return entry._replace(heard=Heard.UNTOLD if about_firing and by_this_alone else entry.heard, if_heard=None)


def given_up(entry: LedgerEntry, kind: NoticeKind, severity: AlertSeverity, now: float, *, in_doubt: bool) -> LedgerEntry:
    """Give the entry after the last attempt at a message of `kind` failed, and it was given up; `in_doubt` as in `failed`.

    A repeat is tried anew when the next one is due.
    """
    if kind is NoticeKind.MISSED:
        return accepted(entry, kind, severity, now)  # what it summed up is done with; what came later is in the next one
    entry = failed(entry, kind, in_doubt=in_doubt)
    match kind:
        case NoticeKind.REPEAT:
            return entry._replace(told_at=now)
        case NoticeKind.STABLE:
            return entry._replace(flapping=False, if_heard=None)  # that it is over is told all the same, as any other end
        case _:
            heard_at = entry.severity if kind is NoticeKind.RESOLVED else severity  # a graver one is tried anew
            return entry._replace(undeliverable=kind, severity=heard_at, called=False)


def reopened(entry: LedgerEntry) -> LedgerEntry:
    """Give the entry as if the message that was given up had only failed: what is true now is told."""
    if entry.undeliverable is None:
        return entry
    return entry._replace(undeliverable=None, called=entry.heard is Heard.UNTOLD)
