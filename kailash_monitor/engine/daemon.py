"""Calls that may hang: each in a daemon thread of its own, abandoned at its deadline."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

__all__ = ["DaemonCalls"]

T = TypeVar("T")


class DaemonCalls:
    """Makes calls in threads that end with the process; a pool would wait at exit for a call that never returns.

    At most `limit` calls are under way, the abandoned ones that still hang included; what comes on top is a TimeoutError.
    """

    def __init__(self, limit: int) -> None:
        self._executor = _DaemonExecutor(limit)

    async def call(self, function: Callable[..., T], *args: object, seconds: float | None) -> T:
        """Give the result of `function`, called in a thread; TimeoutError after `seconds`, and the thread is left alone."""
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)


class _DaemonExecutor(Executor):
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = threading.Semaphore(limit)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # Any: as in Executor
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)
            finally:
                self._free.release()

        future.set_running_or_notify_cancel()  # from here on it cannot be called off, only abandoned
        if self._free.acquire(blocking=False):
            threading.Thread(target=work, name="kailash-monitor call", daemon=True).start()
        else:
            future.set_exception(TimeoutError(f"{self._limit} calls before it still hang"))
        return future
