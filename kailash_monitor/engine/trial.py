"""Trials: a test sent through a channel now, past the outbox, to see whether what it sends arrives."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.channels import NotificationChannel
from kailash_monitor.delivery.outcome import Outcome, Retry
from kailash_monitor.engine.attempt import attempt, seconds_of
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["GRACE", "HELD_UP", "NOT_RUNNING", "Trials", "notice_of_test"]

AT_ONCE: Final = 4
"""Tests that are under way at a time: each may take as long as any message, and people make them one by one."""

NOT_RUNNING: Final = Retry("the alert manager does not run, and sends nothing")
"""What becomes of a test that nobody is there to send."""

GRACE: Final = 1.0
"""Seconds beyond its own deadline that a test is waited for on another loop, which may be held up."""

HELD_UP: Final = Retry("the event loop of the alert manager does not come round", in_doubt=True)
"""What becomes of a test that is not begun, or not ended, in its time and a little more."""

TEST: Final = "kailash_monitor_test"
"""The name and the id of the alert that a test tells of; no rule has it."""


def notice_of_test(channel: str, sender: str, *, notice_id: str, now: float) -> Notice:
    """Give a notice that nobody can take for trouble, and that says who sent it from where."""
    at = datetime.fromtimestamp(now, UTC)
    alert = Alert(
        TEST,
        TEST,
        AlertSeverity.INFO,
        f"Test of the channel {channel}",
        f"Sent by {sender}. Nothing is wrong.",
        status=AlertStatus.FIRING,
        created_at=at,
        fired_at=at,
    )
    return Notice(notice_id, NoticeKind.TEST, alert, sent_at=now)


class Trials:
    """Makes tests, a few at a time: of what comes on top it says that it is to be tried again. Neither its threads nor its
    places are those of messages.

    Mutable, by one loop: how many are under way.
    """

    def __init__(self) -> None:
        self._under_way = 0
        self._threads = DaemonCalls(AT_ONCE)

    async def make(self, channel: NotificationChannel, notice: Notice) -> Outcome:
        """Give what becomes of a notice, within what the channel asks for. Never raises but for cancellation."""
        if self._under_way >= AT_ONCE:
            return Retry(f"{self._under_way} tests are under way; try again when one is over")
        self._under_way += 1
        try:
            return await attempt(channel, notice, self._threads)
        finally:
            self._under_way -= 1

    async def make_on(self, loop: asyncio.AbstractEventLoop, channel: NotificationChannel, notice: Notice) -> Outcome:
        """Do the same from another loop than the channel's, where its connections are."""
        trying = asyncio.run_coroutine_threadsafe(self.make(channel, notice), loop)
        try:
            async with asyncio.timeout(seconds_of(channel) + GRACE):
                return await asyncio.wrap_future(trying)
        except TimeoutError:
            return HELD_UP
