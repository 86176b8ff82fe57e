"""The courier: makes one attempt to tell a channel, on whichever event loop it is called."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from kailash_monitor.channels import NotificationChannel
from kailash_monitor.channels.text import one_line
from kailash_monitor.clock import Clock
from kailash_monitor.delivery.message import Done, GivenUp, Message, TryAgain, Verdict
from kailash_monitor.delivery.outcome import Outcome
from kailash_monitor.engine.attempt import attempt
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.outbox import More, Send
from kailash_monitor.engine.status import Delivery

__all__ = ["Courier"]

REMEMBERED: Final = 200
"""Attempts kept to be shown."""

_logger = logging.getLogger("kailash_monitor.engine")


class Courier:
    """Begins attempts, makes them and has the outbox know what came of them.

    Mutable, under the core's lock: the attempts under way, and `deliveries`, the last of them.
    """

    def __init__(self, clock: Clock, core: Core) -> None:
        self.deliveries: deque[Delivery] = deque(maxlen=REMEMBERED)
        self._clock = clock
        self._core = core
        self._under_way: dict[int, Send] = {}  # by identity

    def begin(self, channel: str) -> Send | More | None:
        """Begin the next attempt that is due; whoever gets it has to `deliver` it."""
        with self._core.lock:
            send = self._core.outbox.begin_next(channel, self._clock.now())
            if isinstance(send, Send):
                self._under_way[id(send)] = send
            return send

    def next_in(self, channel: str) -> float | None:
        """Give the seconds until something may be due for the channel; None for nothing."""
        with self._core.lock:
            return self._core.outbox.next_in(channel, self._clock.now())

    async def deliver(
        self,
        name: str,
        channel: NotificationChannel,
        send: Send,
        threads: DaemonCalls,
        kept: Callable[[], Awaitable[None]],
    ) -> Callable[[], None]:
        """Make the attempt, once its beginning is `kept`; gives what says in the log what came of it.

        Cancelled in between, the channel may have heard it.
        """
        outcome: Outcome | None = None
        try:
            await kept()
            outcome = await attempt(channel, send.message.notice, threads)
        finally:
            if outcome is None:
                self._interrupt(send)
        assert outcome is not None  # else what ended the attempt has passed through
        with self._core.lock:
            if self._under_way.pop(id(send), None) is None:  # it was taken for dropped
                return _nothing
            verdict = self._core.outbox.settle(send, outcome, self._clock.now())
            self._note(name, send.message, verdict)
        return partial(_say, name, send.message, verdict)

    def interrupt_all(self) -> None:
        """Take note that what is under way was dropped, with the loop that it was on."""
        for send in tuple(self._under_way.values()):
            self._interrupt(send)

    def _interrupt(self, send: Send) -> None:
        """Take note that an attempt was cancelled, or dropped with its loop: the channel may have heard it."""
        with self._core.lock:
            if self._under_way.pop(id(send), None) is not None:
                self._core.outbox.interrupt(send, self._clock.now())

    def _note(self, channel: str, message: Message, verdict: Verdict) -> None:
        """Keep the attempt to be shown, and count it."""
        at = datetime.fromtimestamp(self._clock.wall(), UTC)
        own = self._core.registry.self_metrics
        match verdict:
            case Done():
                outcome, why = "delivered", ""
                own.delivered.inc(channel)
            case TryAgain(why=why):
                outcome = "retry"
                own.attempts_failed.inc(channel)
            case GivenUp(why=why):
                outcome = "given up"
                own.attempts_failed.inc(channel)
                own.given_up.inc(channel)
        self.deliveries.append(
            Delivery(at=at, channel=channel, notice=message.notice, outcome=outcome, attempt=message.attempts + 1, why=why)
        )


def _say(channel: str, message: Message, verdict: Verdict) -> None:
    """Log the first failure and the last; not under the lock, which a log that hangs would hold as well."""
    what = (channel, message.notice.kind.value, one_line(message.notice.alert.id))
    match verdict:
        case TryAgain(why=why) if message.attempts == 0:
            _logger.warning("channel %r could not take %s of %s: %s; trying again", *what, one_line(why))
        case GivenUp(why=why):
            _logger.error("channel %r was not told %s of %s: %s", *what, one_line(why))
        case _:
            pass


def _nothing() -> None:
    """Say nothing."""
