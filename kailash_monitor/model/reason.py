"""Reasons: why a channel was told something, or was not."""

from enum import Enum

__all__ = ["Reason"]


class Reason(Enum):
    """The one named outcome of asking "shall this channel be told about this alert now?"."""

    FIRED = "fired"
    """It fires and the channel has not heard of this incident."""
    REPEAT_DUE = "repeat_due"
    """It still fires and `notification_interval` has passed since the channel was last told."""
    RESOLVED = "resolved"
    """It is over, and the channel was told, or may have been told, that it fires."""
    ALREADY_TOLD = "already_told"
    """The channel knows the truth."""
    NEVER_TOLD = "never_told"
    """It is over, and the channel had not heard that it began."""
    NOT_FIRING = "not_firing"
    """It has not fired yet."""
    SILENCED = "silenced"
    """Somebody silenced it."""
    ACKNOWLEDGED = "acknowledged"
    """Somebody is on it: no repeats."""
    UNDELIVERABLE = "undeliverable"
    """The channel refused this very message for good, or could not take it for too long."""

    @property
    def tells(self) -> bool:
        """Whether a message is sent."""
        return self in (Reason.FIRED, Reason.REPEAT_DUE, Reason.RESOLVED)
