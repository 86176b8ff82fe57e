"""The ledger: what one channel has heard of one alert, and whether it is to be told more.

*Firing* is addressed to every channel; *resolved* by the ledger: whoever was told, or may have been told, that it fires is
told that it is over, whatever suppresses the alert.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from kailash_monitor.alerting.incident import Incident, State
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.model.reason import Reason

__all__ = ["KIND_OF", "Heard", "LedgerEntry", "accepted", "attempting", "decide", "failed", "follow", "given_up"]


class Heard(Enum):
    """Whether the channel knows that the incident fires. IN_DOUBT: an attempt was made, and its outcome is not known."""

    UNTOLD = "untold"
    IN_DOUBT = "in_doubt"
    TOLD = "told"


KIND_OF: Final = {
    Reason.FIRED: NoticeKind.FIRING,
    Reason.REPEAT_DUE: NoticeKind.REPEAT,
    Reason.RESOLVED: NoticeKind.RESOLVED,
}
"""The kind of message that a reason calls for; the other reasons call for none."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What a channel has heard of the incident `about`.

    `told_at` is when it was last told. `over` says that it knows the end. `undeliverable` is the kind of message that could
    not be delivered for good.
    """

    about: Incident
    heard: Heard = Heard.UNTOLD
    told_at: float | None = None
    over: bool = False
    undeliverable: NoticeKind | None = None

    @property
    def owes(self) -> bool:
        """Whether the channel still has to hear that what it was told about is over."""
        return self.heard is not Heard.UNTOLD and not self.over and self.undeliverable is not NoticeKind.RESOLVED


def follow(entry: LedgerEntry | None, latest: Incident) -> LedgerEntry:
    """Give the entry in the light of the alert's latest incident.

    A new incident waits until the channel has heard the end of the one it was told about, so that it hears firing and
    resolved in turn.
    """
    if entry is None:
        return LedgerEntry(latest)
    if entry.about.number == latest.number:
        return replace(entry, about=latest)
    return entry if entry.owes else LedgerEntry(latest)


def decide(entry: LedgerEntry, *, silenced: bool, acknowledged: bool, repeat_after: float, now: float) -> Reason:
    """Say whether the channel is to be told now, and why. A `repeat_after` of 0 never repeats."""
    incident = entry.about
    if incident.state is State.RESOLVED:
        if entry.over:
            return Reason.ALREADY_TOLD
        if entry.heard is Heard.UNTOLD:
            return Reason.NEVER_TOLD
        return Reason.RESOLVED if entry.owes else Reason.UNDELIVERABLE
    if not incident.active:
        return Reason.NOT_FIRING
    if silenced:
        return Reason.SILENCED
    if entry.heard is not Heard.TOLD:
        return Reason.UNDELIVERABLE if entry.undeliverable is NoticeKind.FIRING else Reason.FIRED
    if acknowledged:
        return Reason.ACKNOWLEDGED
    if repeat_after and entry.told_at is not None and now - entry.told_at >= repeat_after:
        return Reason.REPEAT_DUE
    return Reason.ALREADY_TOLD


def attempting(entry: LedgerEntry, kind: NoticeKind) -> LedgerEntry:
    """Give the entry while a message of `kind` is on its way: from now on the channel may have heard it."""
    doubtful = kind is NoticeKind.FIRING and entry.heard is Heard.UNTOLD
    return replace(entry, heard=Heard.IN_DOUBT) if doubtful else entry


def accepted(entry: LedgerEntry, kind: NoticeKind, now: float) -> LedgerEntry:
    """Give the entry after the channel took a message of `kind`."""
    if kind is NoticeKind.RESOLVED:
        return replace(entry, over=True)
    return replace(entry, heard=Heard.TOLD, told_at=now, undeliverable=None)


def failed(entry: LedgerEntry, kind: NoticeKind, *, in_doubt: bool) -> LedgerEntry:
    """Give the entry after a failed attempt; `in_doubt` where this or an earlier one may have been heard all the same."""
    certain = kind is NoticeKind.FIRING and not in_doubt and entry.heard is Heard.IN_DOUBT
    return replace(entry, heard=Heard.UNTOLD) if certain else entry


def given_up(entry: LedgerEntry, kind: NoticeKind, now: float) -> LedgerEntry:
    """Give the entry after a message of `kind` was given up. A repeat is tried anew when the next one is due."""
    if kind is NoticeKind.REPEAT:
        return replace(entry, told_at=now)
    return replace(entry, undeliverable=kind)
