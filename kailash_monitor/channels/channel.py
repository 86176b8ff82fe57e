"""The port through which alerts leave: what a notification channel is."""

import inspect
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Outcome
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.notice import Notice, NoticeKind

__all__ = ["DeliveringChannel", "Delivers", "NotificationChannel", "channel_name"]


class NotificationChannel:
    """A way to tell people. Subclass it and write `send_notification`, or give `deliver` for finer answers.

        class Pager(NotificationChannel):
            async def send_notification(self, alert, context):
                return await page(alert.title)

    For implementers: return True when the message was taken; False is tried again later with growing pauses, and so is an
    exception, three times at most. `context["kind"]` is "firing", "repeat", "resolved", "missed", "flapping", "stable", or
    "digest", where `alert` sums up those in `context["items"]`; `context["message_id"]` is the same at every attempt.
    An attempt has ten seconds. A plain function instead of a coroutine runs in a thread of its own. `super().__init__()`
    need not be called; `name` may be set, and must then be unique within a manager.
    """

    name: str | None = None
    rate: tuple[float, int] = (20.0, 100)
    """Messages a second in the long run, and at once after a pause, unless the manager is told otherwise."""
    attempt_seconds: float = 10.0
    """How long an attempt may take before it is given up for this time; more than the channel's own limit, if it has one."""
    resend_every: float | None = None
    """Seconds after which what fires is told again, whatever people did, where the other side forgets by itself."""
    any_loop: bool = False
    """Whether it may be used on another event loop than the program's: only then it can tell that this one is held up.

    A plain function can, being called in a thread.
    """

    async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
        """Tell about `alert`; True when it was taken."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to send: define send_notification")


@runtime_checkable
class Delivers(Protocol):
    """A channel that answers finer than True and False."""

    async def deliver(self, notice: Notice) -> Outcome:
        """Send `notice` once. Does not raise for what the other side does; cancellation passes through."""
        ...


class DeliveringChannel(NotificationChannel):
    """A channel of ours: it knows what can be retried, and works alone as well (`await channel.send_notification(…)`)."""

    any_loop = True

    async def deliver(self, notice: Notice) -> Outcome:
        """Send `notice` once and say what became of it."""
        raise NotImplementedError

    async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
        """Send `alert` once, as a test unless `context["kind"]` says otherwise; True when it was taken."""
        kind = NoticeKind(context.get("kind", NoticeKind.TEST.value))
        sent_at = SYSTEM_CLOCK.wall()
        notice = Notice(str(context.get("message_id", f"{alert.id}-{sent_at:.6f}")), kind, alert, sent_at=sent_at)
        return isinstance(await self.deliver(notice), Delivered)


def channel_name(channel: object) -> str:
    """Give the channel's own name, else its class's in lower case without `NotificationChannel`.

    A ChannelError where it is no channel at all, or its name is no text.
    """
    kind = type(channel).__name__
    send = getattr(channel, "send_notification", None)
    if not callable(send) or inspect.isclass(channel):
        what = f"the class {channel.__name__}" if inspect.isclass(channel) else f"a {kind}"  # a text can be an address
        raise ChannelError(
            f"channel ({what})",
            seen="no method send_notification",
            expected="an object with send_notification(alert, context)",
        )
    name = getattr(channel, "name", None)
    if name is None:
        default = getattr(channel, "default_name", None)
        if isinstance(default, str):
            return default
        return kind.removesuffix("NotificationChannel").lower() or kind.lower()
    if not isinstance(name, str) or not name:
        raise ChannelError(f"channel {kind}", seen=f"the name {name!r}", expected="a text that is not empty, or None")
    return name
