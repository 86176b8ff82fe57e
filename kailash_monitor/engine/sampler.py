"""The sampler: asks each source for its numbers, again and again."""

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from kailash_monitor.alerting.trouble import PATIENCE
from kailash_monitor.channels.text import one_line
from kailash_monitor.engine.callbacks import CallbackSource
from kailash_monitor.engine.daemon import DaemonCalls, StillHanging
from kailash_monitor.engine.evaluator import Outage
from kailash_monitor.engine.task_group import TaskGroup, cancellation_is_ours
from kailash_monitor.engine.wakeup import call_on
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.instrument.source import Source
from kailash_monitor.metrics import CallbackSeries, MetricsRegistry

__all__ = ["Sampler", "interval_of"]

SAMPLE_SECONDS: Final = 10.0
"""How long a sample may take before it is left alone."""

_logger = logging.getLogger("kailash_monitor.engine")


class Sampled(Protocol):
    """What is sampled: a source, or a callback gauge that is asked at an interval."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def sample(self) -> Awaitable[None] | None:
        """Record the numbers of this moment."""
        ...


class Sampler:
    """Samples every source and asks the callback gauges that have an interval, at once and every so often, each for itself.

    A plain `sample` runs in a thread of its own, one at a time: while one hangs, no other is begun. A failure is logged when
    it begins and when it changes, and once more when it is over. Mutable: the sources, from any thread; `run` belongs to one
    loop at a time.
    """

    def __init__(self, registry: MetricsRegistry) -> None:
        self._registry = registry
        self._clock = registry.clock
        self._sources: list[tuple[Source, float]] = []
        self._first: list[asyncio.Event] = []
        self._troubles: dict[int, str] = {}  # what is wrong with which source, by its identity
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: TaskGroup | None = None

    @property
    def sources(self) -> list[Source]:
        """The sources, in order of adding."""
        return [source for source, _ in self._sources]

    def troubled(self) -> dict[str, Outage]:
        """Give the collectors whose numbers are not of now, since all their sources fail."""
        if not self._troubles:
            return {}
        of_collector: dict[int, list[Source]] = {}
        for source in self.sources:
            of_collector.setdefault(id(source.collector), []).append(source)
        return {
            name: Outage(self._troubles[id(sources[0])], PATIENCE * max(source.every for source in sources))
            for name, collector in self._registry.get_all_collectors().items()
            if (sources := of_collector.get(id(collector))) and all(id(source) in self._troubles for source in sources)
        }

    def add(self, source: Source, every: float) -> None:
        """Take a source on, to be sampled every so many seconds; at once where the sampler runs."""
        self._sources.append((source, every))
        call_on(self._loop, self._begin, source, every, SAMPLE_SECONDS, _always)

    async def run(self) -> None:
        """Sample until cancelled."""
        self._loop, tasks = asyncio.get_running_loop(), TaskGroup()
        try:
            async with tasks:
                self._tasks = tasks
                for source, every in list(self._sources):
                    self._begin(source, every, SAMPLE_SECONDS, _always)
                for series, name in self._registry.watch_callbacks(self._ask):
                    self._ask(series, name)
                await asyncio.Event().wait()  # sources may be added at any time
        finally:
            self._registry.unwatch_callbacks(self._ask)
            if self._tasks is tasks:  # what a dropped loop left behind may end when the next one samples already
                self._loop = self._tasks = None
                self._first.clear()
                self._troubles.clear()

    async def first_samples(self, seconds: float) -> None:
        """Wait until every source was asked once, at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(0)  # for `run` to begin
                for sampled in list(self._first):
                    await sampled.wait()

    def _ask(self, series: CallbackSeries, name: str) -> None:
        source = CallbackSource(name, series)
        call_on(self._loop, self._begin, source, source.every, None, lambda: self._registry.asks(series, name))

    def _begin(self, source: Sampled, every: float, seconds: float | None, wanted: Callable[[], bool]) -> None:
        if self._tasks is not None:
            sampled = asyncio.Event()
            self._first.append(sampled)
            work = self._sample_forever(source, every, seconds, wanted, sampled)
            self._tasks.create_task(work, name=f"kailash-monitor {source.name}")

    async def _sample_forever(
        self, source: Sampled, every: float, seconds: float | None, wanted: Callable[[], bool], sampled: asyncio.Event
    ) -> None:
        threads, trouble = DaemonCalls(1), ""
        while wanted():
            begun = self._clock.now()
            try:
                await _sample(source, threads, seconds)
            except StillHanging:
                pass  # it is in trouble still, and it was told when the call that hangs ran out of time
            except Exception as error:  # the source's code, which may be the user's
                seen = one_line(_reason(error, seconds))
                if seen != trouble:
                    _logger.warning("source %r could not be sampled: %s", source.name, seen)
                trouble = self._troubles[id(source)] = seen
            else:
                if trouble:
                    _logger.info("source %r is sampled again", source.name)
                trouble = ""
                self._troubles.pop(id(source), None)
            sampled.set()
            await asyncio.sleep(max(0.0, every - (self._clock.now() - begun)))


def _always() -> bool:
    return True


def interval_of(source: Source) -> float:
    """Give the seconds between two samples; a ConfigurationError where `every` is no number above zero."""
    every = source.every
    if isinstance(every, bool) or not isinstance(every, int | float) or not 0 < every < math.inf:
        raise ConfigurationError(
            f"source {source.name!r}", field="every", seen=f"every = {every!r}", expected="seconds above zero"
        )
    return every


def _reason(error: Exception, seconds: float | None) -> str:
    if isinstance(error, TimeoutError):
        return str(error) or f"no answer within {seconds:g} s"
    return f"{type(error).__name__}: {error}"


async def _sample(source: Sampled, threads: DaemonCalls, seconds: float | None) -> None:
    if inspect.iscoroutinefunction(source.sample):
        async with asyncio.timeout(seconds):
            with cancellation_is_ours():
                await source.sample()
    else:
        await threads.call(source.sample, seconds=seconds)
