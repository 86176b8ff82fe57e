"""Calls that may hang: each in a daemon thread of its own, abandoned at its deadline."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from kailash_monitor.threads import begin, inherited

__all__ = ["DaemonCalls", "DaemonExecutor", "StillHanging", "WorkerThread"]

T = TypeVar("T")


class StillHanging(TimeoutError):
    """A call was not begun, since as many as may be are under way and have not come back."""


class DaemonCalls:
    """Makes calls in threads that end with the process; a pool would wait at exit for a call that never returns.

    At most `limit` calls are under way, the abandoned ones that still hang included; what comes on top is StillHanging.
    """

    def __init__(self, limit: int) -> None:
        self._executor = DaemonExecutor(limit)

    async def call(self, function: Callable[..., T], *args: object, seconds: float | None) -> T:
        """Give the result of `function`, called in a thread; TimeoutError after `seconds`, and the thread is left alone."""
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)


class DaemonExecutor(Executor):
    """A thread for each call, at most `limit` at a time. To be used on the event loop that waits for the results."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._after_fork()
        inherited(self)

    def _after_fork(self) -> None:
        """Have all places free: none of the threads is there in a forked child."""
        self._places = threading.Semaphore(self._limit)

    @property
    def free(self) -> bool:
        """Whether another call could be begun."""
        taken = self._places.acquire(blocking=False)
        if taken:
            self._places.release()
        return taken

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # Any: as in Executor
        future: Future[T] = Future()
        loop = asyncio.get_running_loop()

        def work() -> None:
            tell: Callable[[], None]
            try:
                result = fn(*args, **kwargs)
                tell = partial(future.set_result, result)
            except Exception as error:
                tell = partial(future.set_exception, error)
            except BaseException as error:  # SystemExit and its like would end the loop that waits
                tell = partial(future.set_exception, RuntimeError(f"raised {type(error).__name__}"))
            self._places.release()  # before it is told: whoever hears of it may make the next call at once
            if not loop.is_closed():  # else nobody waits any more, and asyncio would complain
                tell()

        future.set_running_or_notify_cancel()  # from here on it cannot be called off, only abandoned
        if self._places.acquire(blocking=False):
            begin(work, "kailash-monitor call")
        else:
            future.set_exception(StillHanging(f"{self._limit} calls before it still hang"))
        return future


class WorkerThread(Executor):
    """One daemon thread that makes one call after another; a pool would wait at exit for a disk that hangs.

    It is there from the first call until `end`, and begins anew with the next.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._after_fork()
        inherited(self)

    def _after_fork(self) -> None:
        """Begin anew: the thread is not there in a forked child."""
        self._calls: SimpleQueue[Callable[[], None] | None] | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # Any: as in Executor
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)
            except BaseException as error:  # SystemExit and its like would end the thread
                future.set_exception(RuntimeError(f"raised {type(error).__name__}"))

        if self._calls is None:
            self._calls = SimpleQueue()
            threading.Thread(target=_serve, args=(self._calls,), name=self._name, daemon=True).start()
        future.set_running_or_notify_cancel()  # from here on it cannot be called off
        self._calls.put(work)
        return future

    def end(self) -> None:
        """Let the thread end once it has made all calls."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _serve(calls: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (call := calls.get()) is not None:
        call()
