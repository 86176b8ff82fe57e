"""The sampler: asks a source for its numbers, again and again."""

import asyncio
import inspect
import logging
from typing import Final

from kailash_monitor.clock import Clock
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.instrument.source import Source

__all__ = ["sample_forever"]

SAMPLE_SECONDS: Final = 10.0
"""How long a sample may take before it is left alone."""

_logger = logging.getLogger("kailash_monitor.engine")


async def sample_forever(source: Source, clock: Clock, sampled: asyncio.Event) -> None:
    """Sample `source` now and every `source.every` seconds after, until cancelled; `sampled` is set after the first time.

    A plain `sample` runs in a thread of its own, one at a time: while one hangs, no other is begun. A failure is logged when
    it begins and when it changes, and once more when it is over.
    """
    threads = DaemonCalls(1)
    trouble = ""
    while True:
        begun = clock.now()
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
        await asyncio.sleep(max(0.0, source.every - (clock.now() - begun)))


async def _sample(source: Source, threads: DaemonCalls) -> None:
    if inspect.iscoroutinefunction(source.sample):
        async with asyncio.timeout(SAMPLE_SECONDS):
            await source.sample()
    else:
        await threads.call(source.sample, seconds=SAMPLE_SECONDS)
