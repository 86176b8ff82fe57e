"""One HTTP request of a channel, and what its answer means for the message."""

import asyncio
import importlib
import os
import sys
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected, Retry

__all__ = ["classify", "post"]

_RETRIED: Final = frozenset({408, 425, 429})
_MAX_ANSWER: Final = 65_536
"""Answers are read so that the connection ends cleanly, and no further than this."""


async def post(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Outcome:
    """Send `body` once and say what became of it. Redirects are not followed. Cancellation closes the connection."""
    if "aiohttp" not in sys.modules:  # at first use, and beside the loop: it takes longer than a callback may
        await asyncio.to_thread(importlib.import_module, "aiohttp")
    import aiohttp

    try:
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            await answer.content.read(_MAX_ANSWER)
            return classify(answer.status, answer.headers, now=SYSTEM_CLOCK.wall())
    except TimeoutError:
        return Retry(f"no answer within {seconds:g} s", in_doubt=True)
    except aiohttp.InvalidURL:
        return Rejected("the address is not a URL")
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError) as error:
        return Retry(f"no connection: {_reason(error)}")
    except aiohttp.ClientError as error:
        return Retry(f"connection lost: {type(error).__name__}", in_doubt=True)


def classify(status: int, headers: Mapping[str, str], *, now: float) -> Outcome:
    """Say what an answer means; `now` (Unix seconds) turns a Retry-After date into seconds."""
    if 200 <= status < 300:
        return Delivered()
    why = f"HTTP {status}"
    if status in _RETRIED or status >= 500:
        return Retry(why, after=_retry_after(headers.get("Retry-After"), now))
    return Rejected(why)


def _reason(error: Exception) -> str:
    """Say what the system said; the text of the error itself can hold the address, which can be a secret."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else type(error).__name__


def _retry_after(text: str | None, now: float) -> float | None:
    """Read seconds or a date (RFC 9110, 10.2.3); what is neither is as if it were not there."""
    if not text:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
