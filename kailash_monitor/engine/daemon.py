"""Calls that may hang: each in a daemon thread of its own, abandoned at its deadline."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final, TypeVar

__all__ = ["call_in_daemon"]

T = TypeVar("T")


class _DaemonExecutor(Executor):
    """A thread for each call, which ends with the process. A pool would wait at exit for a call that never returns."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # Any: as in Executor
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=work, name=f"kailash-monitor {getattr(fn, '__qualname__', fn)}", daemon=True).start()
        return future


_DAEMONS: Final = _DaemonExecutor()


async def call_in_daemon(function: Callable[..., T], *args: object, seconds: float) -> T:
    """Call `function` in a thread and give its result; TimeoutError after `seconds`, and the thread is left alone."""
    async with asyncio.timeout(seconds):
        return await asyncio.get_running_loop().run_in_executor(_DAEMONS, function, *args)
