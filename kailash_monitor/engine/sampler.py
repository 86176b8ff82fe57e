"""The sampler: asks each source for its numbers, again and again."""

import asyncio
import inspect
import logging
import math
from contextlib import suppress
from typing import Final

from kailash_monitor.clock import Clock
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.wakeup import call_on
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.instrument.source import Source

__all__ = ["Sampler", "interval_of"]

SAMPLE_SECONDS: Final = 10.0
"""How long a sample may take before it is left alone."""

_logger = logging.getLogger("kailash_monitor.engine")


class Sampler:
    """Samples every source at once and every `source.every` seconds after, each for itself.

    A plain `sample` runs in a thread of its own, one at a time: while one hangs, no other is begun. A failure is logged when
    it begins and when it changes, and once more when it is over. Mutable: the sources, from any thread; `run` belongs to one
    loop at a time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sources: list[tuple[Source, float]] = []
        self._first: list[asyncio.Event] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def sources(self) -> list[Source]:
        """The sources, in order of adding."""
        return [source for source, _ in self._sources]

    def add(self, source: Source, every: float) -> None:
        """Take a source on, to be sampled every so many seconds; at once where the sampler runs."""
        self._sources.append((source, every))
        call_on(self._loop, self._begin, source, every)

    async def run(self) -> None:
        """Sample until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for source, every in list(self._sources):
                    self._begin(source, every)
                await asyncio.Event().wait()  # sources may be added at any time
        finally:
            self._loop = self._tasks = None
            self._first.clear()

    async def first_samples(self, seconds: float) -> None:
        """Wait until every source was asked once, at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(0)  # for `run` to begin
                for sampled in list(self._first):
                    await sampled.wait()

    def _begin(self, source: Source, every: float) -> None:
        if self._tasks is not None:
            sampled = asyncio.Event()
            self._first.append(sampled)
            self._tasks.create_task(self._sample_forever(source, every, sampled), name=f"kailash-monitor {source.name}")

    async def _sample_forever(self, source: Source, every: float, sampled: asyncio.Event) -> None:
        threads, trouble = DaemonCalls(1), ""
        while True:
            begun = self._clock.now()
            try:
                await _sample(source, threads)
            except Exception as error:  # the source's code, which may be the user's
                seen = f"{type(error).__name__}: {error}"
                if seen != trouble:
                    _logger.warning("source %r could not be sampled: %s", source.name, seen)
                trouble = seen
            else:
                if trouble:
                    _logger.info("source %r is sampled again", source.name)
                trouble = ""
            sampled.set()
            await asyncio.sleep(max(0.0, every - (self._clock.now() - begun)))


def interval_of(source: Source) -> float:
    """Give the seconds between two samples; a ConfigurationError where `every` is no number above zero."""
    every = source.every
    if isinstance(every, bool) or not isinstance(every, int | float) or not 0 < every < math.inf:
        raise ConfigurationError(
            f"source {source.name!r}", field="every", seen=f"every = {every!r}", expected="seconds above zero"
        )
    return every


async def _sample(source: Source, threads: DaemonCalls) -> None:
    if inspect.iscoroutinefunction(source.sample):
        async with asyncio.timeout(SAMPLE_SECONDS):
            await source.sample()
    else:
        await threads.call(source.sample, seconds=SAMPLE_SECONDS)
