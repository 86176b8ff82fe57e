"""Completions: what start, stop and their like give back."""

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["Completion"]

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

    @classmethod
    def of(cls, result: T) -> "Completion[T]":
        """Give one that is over already."""

        async def done() -> T:
            return result

        return cls(done)
