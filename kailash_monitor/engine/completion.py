"""Completions: what start, stop and their like give back."""

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["Completion", "Settled"]

T = TypeVar("T")


class Completion(Generic[T]):
    """Something that goes on whether or not it is awaited; awaiting it waits for its end and gives its result.

    Neither a coroutine nor a task: nothing warns when it is left alone, and it can be awaited more than once.
    """

    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[], Coroutine[Any, Any, T]]) -> None:  # Any: what a coroutine yields is asyncio's
        self._wait = wait

    def __await__(self) -> Generator[Any, Any, T]:  # Any: as above
        return self._wait().__await__()


class Settled(Completion[T]):
    """What was done at once, with its `result`; awaiting it waits until it would survive a restart."""

    __slots__ = ("result",)

    def __init__(self, result: T, kept: Callable[[], Coroutine[Any, Any, None]]) -> None:  # Any: as above
        async def wait() -> T:
            await kept()
            return result

        super().__init__(wait)
        self.result = result
