"""A notice: what one channel is told about one alert."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from kailash_monitor.model.alert import Alert

__all__ = ["Notice", "NoticeKind"]


class NoticeKind(Enum):
    """Why somebody is written to."""

    FIRING = "firing"
    REPEAT = "repeat"
    RESOLVED = "resolved"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Notice:
    """The content of one message; the same at every attempt.

    `id` is stable over retries, so that a receiver can drop what it has already seen. `sent_at` is when the message was
    made, in Unix seconds. `alert.status` is FIRING or RESOLVED here, whatever people did about the alert.
    """

    id: str
    kind: NoticeKind
    alert: Alert
    sent_at: float = field(kw_only=True)
    extra: Mapping[str, object] = field(default_factory=dict[str, object], kw_only=True)

    @property
    def context(self) -> dict[str, object]:
        """What the guide's `send_notification(alert, context)` is handed beside the alert."""
        return {**self.extra, "kind": self.kind.value, "message_id": self.id, "sent_at": self.sent_at}
