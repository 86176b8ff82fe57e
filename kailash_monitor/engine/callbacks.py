"""Callback gauges that are asked at an interval: each a source of its own."""

import asyncio
import inspect
from typing import Final, cast

from kailash_monitor.engine.daemon import DaemonCalls, StillHanging
from kailash_monitor.engine.task_group import cancellation_is_ours
from kailash_monitor.metrics import CallbackSeries

__all__ = ["CallbackSource"]


class CallbackSource:
    """Asks one callback: a coroutine function on the loop, a plain function in a thread, one call at a time."""

    def __init__(self, name: str, series: CallbackSeries) -> None:
        assert series.every is not None
        self.name: Final = name
        self.every: Final = series.every
        self._series = series
        self._threads = DaemonCalls(1)

    async def sample(self) -> None:
        """Ask, unless another manager of the same registry just did. What the callback raises is noted, and raised."""
        if not self._series.claim():
            return
        try:
            async with asyncio.timeout(self._series.timeout):
                with cancellation_is_ours():
                    answer = await self._answer()
            self._series.answered(answer)
        except TimeoutError as error:
            late = TimeoutError(f"no answer within {self._series.timeout:g} s")
            self._series.failed(late)
            raise error if isinstance(error, StillHanging) else late from None
        except Exception as error:
            self._series.failed(error)
            raise

    async def _answer(self) -> float | None:
        series = self._series
        answer: object = series.callback() if series.awaits else None
        if not series.awaits:
            answer = await self._threads.call(series.callback, seconds=series.timeout)
        return cast("float | None", await answer if inspect.isawaitable(answer) else answer)
