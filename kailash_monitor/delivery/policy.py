"""Policies: how a manager treats one channel."""

from dataclasses import dataclass, field

from kailash_monitor.delivery.bucket import Rate
from kailash_monitor.errors import ConfigurationError

__all__ = ["ChannelPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPolicy:
    """`rate` bounds its messages; what comes faster is told in digests.

    `fallback` is the channel that is told in its place: at once where it refuses for good, and `fallback_after` seconds
    after it began to fail. That is also when the toolkit's own alert says that the channel fails.

    `resend_every` is how often it is told again of what fires, whatever people did, where the other side forgets by itself.
    """

    rate: Rate = field(default_factory=lambda: Rate(20.0, 100))
    fallback: str | None = None
    fallback_after: float = 300.0
    resend_every: float | None = None

    def __post_init__(self) -> None:
        if self.fallback_after < 0:
            raise _wrong("fallback_after", f"fallback_after = {self.fallback_after!r}", "a duration not negative")
        if self.resend_every is not None and self.resend_every <= 0:
            raise _wrong("resend_every", f"resend_every = {self.resend_every!r}", "a duration above zero, or None")


def _wrong(field: str, seen: str, expected: str) -> ConfigurationError:
    return ConfigurationError("channel", field=field, seen=seen, expected=expected)
