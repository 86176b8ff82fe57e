"""The task group of the engine: asyncio's, but silent where the program drops its event loop."""

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["TaskGroup", "cancellation_is_ours", "unmourned"]

T = TypeVar("T")


def unmourned(task: asyncio.Task[T]) -> asyncio.Task[T]:
    """Give `task`, of which nothing is said where its loop is dropped while it is pending.

    A program may end, or close its loop, without stopping the manager. asyncio marks its own inner tasks the same way.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # not in the stubs, and the same since Python 3.4
    return task


@contextmanager
def cancellation_is_ours() -> Iterator[None]:
    """Let through what cancels the running task; a CancelledError that foreign code raises by itself is a RuntimeError.

    What it awaited was cancelled, and not who awaits it: a loop that took it for its own end would be gone in silence.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("what it awaited was cancelled") from None


class TaskGroup(asyncio.TaskGroup):
    """A task group whose tasks may be dropped together with their loop.

    Python then ends each coroutine where it stands by a GeneratorExit. There is no loop any more on which the tasks could
    be cancelled or waited for: asyncio's group tries to, and fails aloud.
    """

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],  # Any: what a coroutine yields is asyncio's
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Begin a task of the group."""
        return unmourned(super().create_task(coro, name=name, context=context))

    async def __aexit__(self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if et is not GeneratorExit:
            await super().__aexit__(et, exc, tb)
