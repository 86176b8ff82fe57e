"""A lane: the messages of one alert to one channel, one at a time and in order."""

from dataclasses import dataclass, replace

from kailash_monitor.alerting.incident import Incident
from kailash_monitor.alerting.ledger import (
    KIND_OF,
    LedgerEntry,
    accepted,
    attempting,
    decide,
    failed,
    follow,
    given_up,
)
from kailash_monitor.delivery.message import Done, GivenUp, Message, TryAgain, Verdict
from kailash_monitor.engine.book import AlertBook
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.model.reason import Reason

__all__ = ["Lane"]


@dataclass(slots=True)
class Lane:
    """What the channel has heard, what is true, and the message on its way.

    There is no queue: after each attempt the truth is asked again, so that it is always the latest that is told. Only a
    message that may have been heard is repeated as it was before anything newer. Mutable, under the manager's lock.
    """

    entry: LedgerEntry
    latest: Incident
    message: Message | None = None
    not_before: float = 0.0
    busy: bool = False
    queued: bool = False

    @classmethod
    def of(cls, incident: Incident) -> "Lane":
        """Give the lane of a channel that has not heard of the alert."""
        return cls(LedgerEntry(incident), incident)

    def ask(self, book: AlertBook, now: float) -> Reason:
        """Say whether the channel is to be told something now, and why."""
        self.entry = follow(self.entry, self.latest)
        incident = self.entry.about
        return decide(
            self.entry,
            silenced=book.silenced(incident, now),
            acknowledged=book.acknowledged(incident),
            repeat_after=incident.rule.notification_interval,
            now=now,
        )

    def to_tell(self, book: AlertBook, now: float) -> NoticeKind | None:
        """Give the kind of the message that is on its way, or is to be sent now; None where there is none."""
        return self.message.notice.kind if self.message is not None else KIND_OF.get(self.ask(book, now))

    @property
    def finished(self) -> bool:
        """Whether nothing is left to tell, now or when the alert goes on as it is."""
        settled = self.entry.about is self.latest and self.latest.resolved_at is not None and not self.entry.owes
        return settled and not self.busy and self.message is None

    def keeps(self, kind: NoticeKind | None) -> bool:
        """Whether the message that failed before is still the one to send."""
        if self.message is None:
            return False
        same_truth = self.message.notice.kind is kind and self.message.notice.alert.incident == self.entry.about.number
        return self.message.in_doubt or same_truth

    def begin(self, message: Message) -> None:
        """Take note that an attempt begins."""
        self.message, self.busy = message, True
        self.entry = attempting(self.entry, message.notice.kind)

    def interrupt(self) -> None:
        """Take note that the attempt was cancelled: the channel may have heard it."""
        assert self.message is not None  # interrupt follows begin
        self.message = replace(self.message, attempts=self.message.attempts + 1, in_doubt=True)
        self.busy = False

    def settle(self, verdict: Verdict, now: float) -> None:
        """Take note of what came of the attempt."""
        assert self.message is not None  # settle follows begin
        kind, self.busy = self.message.notice.kind, False
        match verdict:
            case Done():
                self.entry, self.message = accepted(self.entry, kind, now), None
            case TryAgain(message=message, at=at):
                self.entry = failed(self.entry, kind, in_doubt=message.in_doubt)
                self.message, self.not_before = message, at
            case GivenUp(message=message):
                self.entry = given_up(failed(self.entry, kind, in_doubt=message.in_doubt), kind, now)
                self.message = None
