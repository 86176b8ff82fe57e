"""What type checkers say of decorated functions: each `assert_type` holds, and each `expect-error` is one."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from kailash_monitor.instrument.calls import count_exceptions, counted, in_progress, timed
from kailash_monitor.metrics import MetricsCollector

collector = MetricsCollector()
took = collector.timer("took", labels=("outcome",))
calls = collector.counter("calls")
busy = collector.gauge("busy")
failures = collector.counter("failures", labels=("exception",))


@timed(took)
@counted(calls)
@in_progress(busy)
@count_exceptions(failures)
def plain(number: int, *, text: str = "") -> list[str]:
    return [text] * number


@timed(took)
async def coroutine(number: int) -> str:
    return str(number)


@timed(took)
def generator(number: int) -> Iterator[int]:
    yield from range(number)


@timed(took)
async def async_generator(number: int) -> AsyncIterator[int]:
    yield number


class Shop:
    @timed(took)
    def method(self, number: int) -> float:
        return number / 2

    @staticmethod
    @counted(calls)
    def static(number: int) -> int:
        return number

    @classmethod
    @counted(calls)
    def of(cls, number: int) -> "Shop":
        return cls()

    @property
    @counted(calls)
    def size(self) -> int:
        return 3


async def awaited() -> None:
    assert_type(await coroutine(3), str)
    await coroutine("3")  # expect-error


assert_type(plain(3, text="x"), list[str])
assert_type(generator(3), Iterator[int])
assert_type(async_generator(3), AsyncIterator[int])
assert_type(Shop().method(3), float)
assert_type(Shop.static(3), int)
assert_type(Shop.of(3), Shop)
assert_type(Shop().size, int)

plain("3")  # expect-error
plain(3, txt="x")  # expect-error
Shop().method()  # expect-error
timed(calls)  # expect-error
counted(took)  # expect-error
