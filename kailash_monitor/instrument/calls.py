"""Calls: how often a function is called, how long that takes, and what comes of it.

    took = collector.timer("checkout_duration", labels=("outcome",))

    @timed(took)
    async def checkout(cart): ...

    with timed(took):
        ...

Each of these decorates functions, coroutines, generators and asynchronous generators, or is the context of a `with`. What is
decorated keeps its signature, its type and what it returns and raises. A coroutine's call ends with its result; that of a
generator goes from its first step to its exhaustion, or to its closing. Where the metric has a label `outcome`, that is
`ok`, `error`, or `cancelled` for what a CancelledError ended; a generator that is closed before its end is `ok`, and so is
a context within one.
"""

import asyncio
import functools
import inspect
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeVar

from kailash_monitor.errors import MetricError
from kailash_monitor.metrics.instruments import Counter, Distribution, Gauge

__all__ = ["Measure", "count_exceptions", "counted", "in_progress", "timed"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

Begin: TypeAlias = Callable[[], float]
End: TypeAlias = Callable[[float, "BaseException | None"], object]
"""Takes what the beginning gave, and what was raised, if anything was."""

OUTCOME: Final = "outcome"
EXCEPTION: Final = "exception"

_PER_SECOND: Final = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}


class Measure:
    """Has something done when a call begins, and when it ends: a decorator, and the context of a `with`.

    One may be the context of many blocks at once, in all tasks, threads and generators, and of blocks within each other; an
    ExitStack takes one of its own.
    """

    __slots__ = ("_begin", "_begun", "_end")

    def __init__(self, begin: Begin, end: End) -> None:
        self._begin = begin
        self._end = end
        self._begun: dict[tuple[int, int], float] = {}  # by the frame of the block, and its depth in that; each has its own

    def __call__(self, function: F) -> F:
        """Give `function`, measured at each call. What is wrapped by staticmethod or classmethod stays so."""
        if isinstance(function, staticmethod | classmethod):
            rewrapped: Any = type(function)(self(function.__func__))  # Any: of the type of F
            return rewrapped  # type: ignore[no-any-return]
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"{function!r} is no function: put the decorator above a function, or a method")
        wrapped: F = functools.wraps(function)(_wrapper(function)(function, self._begin, self._end))  # type: ignore[assignment]  # what it is called with passes through
        return wrapped

    def __enter__(self) -> None:
        frame = id(sys._getframe(1))  # it enters and leaves the block, in whichever thread or task it is by then
        self._begun[frame, self._depth(frame) + 1] = self._begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        frame = id(sys._getframe(1))
        begun = self._begun.pop((frame, self._depth(frame)), None)
        if begun is None:  # an ExitStack enters in one frame, and leaves in another
            begun = self._begun.popitem()[1] if self._begun else self._begin()
        self._end(begun, None if isinstance(error, GeneratorExit) else error)

    def _depth(self, frame: int) -> int:
        depth = 0
        while (frame, depth + 1) in self._begun:
            depth += 1
        return depth


def timed(timer: Distribution, /, **labels: object) -> Measure:
    """Have the duration of each call observed, in the unit of `timer` (a timer or a histogram of seconds, or parts of one).

    `labels` are the values of its labels, but for `outcome`. A MetricError where they are not, or it measures no time.
    """
    _require("timed", timer, Distribution, "a timer or a histogram")
    per_second = _PER_SECOND.get(timer.metric.metadata.unit or "")
    if per_second is None:
        seen = f"the unit {timer.metric.metadata.unit!r}"
        raise MetricError(_where(timer), seen=seen, expected=f"a unit of time: {', '.join(_PER_SECOND)}")
    now = timer.metric.family.now
    ok, failed, cancelled = (timer.labels(*values).observe for values in _by_outcome(timer, labels))

    def end(begun: float, error: BaseException | None) -> None:
        observe = ok if error is None else cancelled if isinstance(error, asyncio.CancelledError) else failed
        observe((now() - begun) * per_second)

    return Measure(now, end)


def counted(counter: Counter, /, **labels: object) -> Measure:
    """Have each call counted when it ends. `labels` are the values of the counter's labels, but for `outcome`."""
    _require("counted", counter, Counter, "a counter")
    ok, failed, cancelled = (counter.labels(*values).inc for values in _by_outcome(counter, labels))

    def end(_: float, error: BaseException | None) -> None:
        count = ok if error is None else cancelled if isinstance(error, asyncio.CancelledError) else failed
        count()

    return Measure(float, end)


def in_progress(gauge: Gauge, /, **labels: object) -> Measure:
    """Have the gauge say how many calls are under way. `labels` are the values of its labels."""
    _require("in_progress", gauge, Gauge, "a gauge")
    add = gauge.labels(*_values(gauge, labels)).add
    add(0)  # it is there before the first call

    def begin() -> float:
        add(1)
        return 0.0

    def end(_: float, __: BaseException | None) -> None:
        add(-1)

    return Measure(begin, end)


def count_exceptions(
    counter: Counter, /, exceptions: type[BaseException] | tuple[type[BaseException], ...] = Exception, **labels: object
) -> Measure:
    """Have each call counted that raises one of `exceptions`; they pass through.

    Where the counter has a label `exception`, that is the name of the type. `labels` are the values of its other labels.
    """
    _require("count_exceptions", counter, Counter, "a counter")
    if not _are_exceptions(exceptions):
        expected = "it takes a type of exception, or a tuple of them"
        raise MetricError("count_exceptions", seen=repr(exceptions), expected=expected)
    named = EXCEPTION in (counter.metric.label_names or ()) and EXCEPTION not in labels

    def values(kind: type[BaseException]) -> tuple[object, ...]:
        return _values(counter, labels, **({EXCEPTION: kind.__name__} if named else {}))

    def end(_: float, error: BaseException | None) -> None:
        if isinstance(error, exceptions):
            counter.inc(*values(type(error)))

    values(Exception)  # wrong labels are said here, and not where something goes wrong
    return Measure(float, end)


def _are_exceptions(given: object) -> bool:
    kinds: tuple[object, ...] = given if isinstance(given, tuple) else (given,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


def _by_outcome(metric: Counter | Distribution, labels: Mapping[str, object]) -> list[tuple[object, ...]]:
    """Give the label values of a call that ends well, badly, or cancelled."""
    if OUTCOME in (metric.metric.label_names or ()) and OUTCOME not in labels:
        return [_values(metric, labels, outcome=outcome) for outcome in ("ok", "error", "cancelled")]
    return [_values(metric, labels)] * 3


def _require(where: str, given: object, kind: type, expected: str) -> None:
    if not isinstance(given, kind):
        raise MetricError(where, seen=repr(given), expected=f"it takes {expected}")


def _values(metric: Counter | Distribution | Gauge, labels: Mapping[str, object], **more: object) -> tuple[object, ...]:
    """Give the values in the order of the metric's labels; a MetricError where they are not just those."""
    names, given = metric.metric.label_names or (), {**labels, **more}
    if set(names) != given.keys():
        expected = f"a value for each of its labels {names!r}"
        raise MetricError(_where(metric), seen=f"values for {tuple(given)!r}", expected=expected)
    return tuple(given[name] for name in names)


def _where(metric: Counter | Distribution | Gauge) -> str:
    return f"metric {metric.metric.name!r}"


# -- one wrapper for each kind of function ---------------------------------------------------------------------------------


def _wrapper(function: Callable[..., Any]) -> Callable[[Callable[..., Any], Begin, End], Callable[..., Any]]:  # Any: as F
    called = (function, type(function).__call__)  # of an object with a call of its own, that is what there is to know
    if any(map(inspect.iscoroutinefunction, called)):
        return _coroutine
    if any(map(inspect.isasyncgenfunction, called)):
        return _async_generator
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE:
        return _generator_coroutine  # made by types.coroutine: only that may be awaited
    if any(map(inspect.isgeneratorfunction, called)):
        return _generator
    return _plain


def _plain(function: Callable[..., Any], begin: Begin, end: End) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        begun = begin()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            end(begun, error)
            raise
        end(begun, None)
        return result

    return wrapper


def _coroutine(function: Callable[..., Awaitable[Any]], begin: Begin, end: End) -> Callable[..., Awaitable[Any]]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        begun = begin()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            end(begun, error)
            raise
        end(begun, None)
        return result

    return wrapper


def _generator(
    function: Callable[..., Generator[Any, Any, Any]], begin: Begin, end: End
) -> Callable[..., Generator[Any, Any, Any]]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        begun = begin()
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as error:
            end(begun, None if isinstance(error, GeneratorExit) else error)
            raise
        end(begun, None)
        return result

    return wrapper


def _generator_coroutine(
    function: Callable[..., Generator[Any, Any, Any]], begin: Begin, end: End
) -> Callable[..., Awaitable[Any]]:
    return types.coroutine(_generator(function, begin, end))


def _async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], begin: Begin, end: End
) -> Callable[..., AsyncGenerator[Any, Any]]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        begun, steps = begin(), function(*args, **kwargs)
        try:
            value = await _first_of(steps)
            while True:  # as `yield from` does it, which there is not for these
                try:
                    sent = yield value
                except GeneratorExit:
                    await steps.aclose()
                    raise
                except BaseException as thrown:
                    value = await steps.athrow(thrown)
                else:
                    value = await steps.asend(sent)
        except StopAsyncIteration:
            end(begun, None)
        except BaseException as error:
            end(begun, None if isinstance(error, GeneratorExit) else error)
            raise

    return wrapper


def _first_of(steps: AsyncGenerator[T, Any]) -> Awaitable[T]:
    """Take the first step of what the loop is not to know.

    A loop that ends closes the generators that it knows, all at once: those within a wrapper would be closed twice.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return anext(steps)  # it is here that the hooks are taken
    finally:
        sys.set_asyncgen_hooks(*hooks)
