"""Name lookups that may hang: each in a daemon thread of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Final, TypeVar

from kailash_monitor.threads import begin, inherited

__all__ = ["Lookups", "addresses"]

_AT_A_TIME: Final = 16
"""Lookups under way in the whole program. A name server that is down holds each for half a minute."""

T = TypeVar("T")


class Lookups(Executor):
    """Threads that end with the process, at most `limit` at a time; what comes on top is an OSError.

    The loop's own pool is the program's: a dead name server must not fill it, nor keep the program from ending.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._after_fork()
        inherited(self)

    def _after_fork(self) -> None:
        """Have all places free: none of the threads is there in a forked child."""
        self._places = threading.Semaphore(self._limit)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # Any: as in Executor
        future: Future[T] = Future()
        loop = asyncio.get_running_loop()

        def work() -> None:
            tell: Callable[[], None]
            try:
                tell = partial(future.set_result, fn(*args, **kwargs))
            except Exception as error:
                tell = partial(future.set_exception, error)
            self._places.release()
            if not loop.is_closed():  # else nobody waits any more, and asyncio would complain
                tell()

        future.set_running_or_notify_cancel()  # from here on it cannot be called off, only abandoned
        if self._places.acquire(blocking=False):
            begin(work, "kailash-monitor lookup")
        else:
            future.set_exception(socket.gaierror(socket.EAI_AGAIN, "the lookups before it still hang"))
        return future


_LOOKUPS: Final = Lookups(_AT_A_TIME)
"""One for the process, as the name server is."""


async def addresses(
    host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
) -> list[tuple[socket.AddressFamily, str]]:
    """Give the addresses of `host` as the system finds them, with their families; socket.gaierror where there are none."""
    found = await asyncio.get_running_loop().run_in_executor(
        _LOOKUPS, partial(socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM)
    )
    return [(kind, str(address[0])) for kind, _, _, _, address in found]
