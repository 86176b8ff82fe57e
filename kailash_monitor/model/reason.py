"""Reasons: why a channel was told something, or was not."""

from enum import Enum
from typing import Final

from kailash_monitor.model.notice import NoticeKind

__all__ = ["KIND_OF", "Reason"]


class Reason(Enum):
    """The one named outcome of asking "shall this channel be told about this alert now?"."""

    FIRED = "fired"
    """It fires and the channel has not heard of this incident."""
    RAISED = "raised"
    """It fires at a graver severity than the channel was told."""
    ESCALATED = "escalated"
    """Nobody acknowledged it for so long that the channel's rung of the ladder is reached."""
    REPEAT_DUE = "repeat_due"
    """It still fires and `notification_interval` has passed since the channel was last told."""
    KEPT_ALIVE = "kept_alive"
    """It still fires, and the other side forgets what it is not told again: whatever people did about it."""
    RESOLVED = "resolved"
    """It is over, and the channel was told, or may have been told, that it fires."""
    RULE_REMOVED = "rule_removed"
    """The same, since its rule was removed or disabled."""
    SERIES_REMOVED = "series_removed"
    """The same, since its series were removed on purpose."""
    STALE_STORE = "stale_store"
    """The same, since nobody could judge it for a day: the program was down, or its metric never came back."""
    REROUTED = "rerouted"
    """It fires still, but no route leads to this channel any more, which was told that it fires: for it, it is over."""
    MISSED = "missed"
    """It came and went while the channel should have heard of it and could not: one summary."""
    FLAPPING = "flapping"
    """It goes on and off so fast that nothing more is told until it is stable."""
    STABLE = "stable"
    """It flaps no more, and the channel was told that it does."""

    ALREADY_TOLD = "already_told"
    """The channel knows the truth."""
    NEVER_TOLD = "never_told"
    """It is over, and the channel had not heard that it began."""
    NOT_FIRING = "not_firing"
    """It has not fired yet."""
    NOT_ROUTED = "not_routed"
    """No route leads to this channel."""
    NOT_ESCALATED = "not_escalated"
    """The channel's rung of the ladder is not reached."""
    SILENCED = "silenced"
    """Somebody silenced it."""
    MUTED = "muted"
    """A mute time is in force."""
    INHIBITED = "inhibited"
    """Another alert that fires explains it."""
    ACKNOWLEDGED = "acknowledged"
    """Somebody is on it: no repeats, no further rungs."""
    UNSETTLED = "unsettled"
    """It flaps, and the channel knows."""
    UNDELIVERABLE = "undeliverable"
    """The channel refused this very message for good, or could not take it for too long."""

    @property
    def tells(self) -> bool:
        """Whether a message is sent."""
        return self in KIND_OF


KIND_OF: Final = {
    Reason.FIRED: NoticeKind.FIRING,
    Reason.RAISED: NoticeKind.FIRING,
    Reason.ESCALATED: NoticeKind.FIRING,
    Reason.REPEAT_DUE: NoticeKind.REPEAT,
    Reason.KEPT_ALIVE: NoticeKind.REPEAT,
    Reason.RESOLVED: NoticeKind.RESOLVED,
    Reason.RULE_REMOVED: NoticeKind.RESOLVED,
    Reason.SERIES_REMOVED: NoticeKind.RESOLVED,
    Reason.STALE_STORE: NoticeKind.RESOLVED,
    Reason.REROUTED: NoticeKind.RESOLVED,
    Reason.MISSED: NoticeKind.MISSED,
    Reason.FLAPPING: NoticeKind.FLAPPING,
    Reason.STABLE: NoticeKind.STABLE,
}
"""The kind of message that a reason calls for; the other reasons call for none."""
