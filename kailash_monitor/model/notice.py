"""A notice: what one channel is told, about one alert or, where alerts are grouped, about several at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from kailash_monitor.model.alert import Alert

__all__ = ["Item", "Notice", "NoticeKind"]


class NoticeKind(Enum):
    """Why somebody is written to."""

    FIRING = "firing"
    REPEAT = "repeat"
    RESOLVED = "resolved"
    MISSED = "missed"
    FLAPPING = "flapping"
    STABLE = "stable"
    DIGEST = "digest"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Item:
    """One alert of a digest, and why it is in there; `extra` is what else there is to say, as in a notice."""

    kind: NoticeKind
    alert: Alert
    extra: Mapping[str, object] = field(default_factory=dict[str, object], kw_only=True)

    def document(self) -> dict[str, object]:
        """Give it as plain data for JSON."""
        return {**self.extra, "kind": self.kind.value, "alert": self.alert.document()}


@dataclass(frozen=True, slots=True)
class Notice:
    """The content of one message; the same at every attempt.

    `id` is stable over retries, so that a receiver can drop what it has already seen. `sent_at` is when the message was
    made, in Unix seconds. `alert.status` is FIRING or RESOLVED here, whatever people did about the alert.

    A DIGEST tells about several alerts, its `items`; its own `alert` is their summary: as grave as the gravest, firing while
    one of them fires. Otherwise there are no items.
    """

    id: str
    kind: NoticeKind
    alert: Alert
    sent_at: float = field(kw_only=True)
    items: tuple[Item, ...] = field(default=(), kw_only=True)
    extra: Mapping[str, object] = field(default_factory=dict[str, object], kw_only=True)

    @property
    def context(self) -> dict[str, object]:
        """What the guide's `send_notification(alert, context)` is handed beside the alert."""
        given = {**self.extra, "kind": self.kind.value, "message_id": self.id, "sent_at": self.sent_at}
        return {**given, "items": [item.document() for item in self.items]} if self.items else given
