"""One attempt to hand a notice to a channel, whatever the channel does."""

import asyncio
import inspect
from typing import Final

from kailash_monitor.channels import DeliveringChannel, Delivers, NotificationChannel
from kailash_monitor.delivery.outcome import Delivered, Outcome, Refused, Retry
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.task_group import cancellation_is_ours
from kailash_monitor.model.notice import Notice

__all__ = ["attempt", "attempt_now", "seconds_of"]

ATTEMPT_SECONDS: Final = 10.0
"""Long enough for a slow mail server, short enough that a dead one is noticed."""

ATTEMPTS_OF_A_RAISING_CHANNEL: Final = 3
"""An exception is more likely a defect than an outage: it is not tried for a day."""


def seconds_of(channel: NotificationChannel) -> float:
    """Give how long an attempt may take."""
    seconds: float = getattr(channel, "attempt_seconds", ATTEMPT_SECONDS)
    return seconds


async def attempt(
    channel: NotificationChannel, notice: Notice, threads: DaemonCalls, *, seconds: float | None = None
) -> Outcome:
    """Give what became of it, within `seconds` or what the channel asks for (`attempt_seconds`).

    A channel that is no coroutine runs in `threads`. Never raises but for cancellation.
    """
    limit = seconds_of(channel) if seconds is None else seconds
    try:
        async with asyncio.timeout(limit):
            with cancellation_is_ours():
                if isinstance(channel, DeliveringChannel | Delivers):  # the former is found ten times faster
                    return _outcome(await channel.deliver(notice))
                taken = await _send(channel, notice, threads, limit)
    except TimeoutError:
        return Retry(f"no answer within {limit:g} s", in_doubt=True)
    except Exception as error:  # the user's code; its text may hold a secret, its type does not
        return Retry(f"raised {type(error).__name__}", in_doubt=True, attempts=ATTEMPTS_OF_A_RAISING_CHANNEL)
    return Delivered() if taken else Retry("answered False")


async def attempt_now(channel: NotificationChannel, notice: Notice) -> Outcome:
    """Give what becomes of it where time does not pass: without a deadline, and in this very thread."""
    if isinstance(channel, Delivers):
        return _outcome(await channel.deliver(notice))
    answer: object = channel.send_notification(notice.alert, notice.context)
    return Delivered() if (await answer if inspect.isawaitable(answer) else answer) else Retry("answered False")


def _outcome(answer: object) -> Outcome:
    """Give what `deliver` answered, where it is an outcome; a channel of the user's own may answer anything."""
    if isinstance(answer, Delivered | Retry | Refused):
        return answer
    why = f"answered {type(answer).__name__}, which is no outcome"
    return Retry(why, in_doubt=True, attempts=ATTEMPTS_OF_A_RAISING_CHANNEL)


async def _send(channel: NotificationChannel, notice: Notice, threads: DaemonCalls, seconds: float) -> object:
    send = channel.send_notification
    if inspect.iscoroutinefunction(send):
        return await send(notice.alert, notice.context)
    answer = await threads.call(send, notice.alert, notice.context, seconds=seconds)
    return await answer if inspect.isawaitable(answer) else answer
