"""Loop lag: how late the event loop gets to what is due."""

import asyncio
from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.metrics import MetricsCollector

__all__ = ["LoopLagSource"]

NAP: Final = 0.1
"""A sleep long enough that the timer's own error does not count, short enough to be taken often."""

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class LoopLagSource:
    """Measures how much later than asked a short sleep ends."""

    name = "loop"

    def __init__(
        self, collector: MetricsCollector | None = None, *, every: float = 0.5, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.every = every
        self.collector = collector or MetricsCollector(clock=clock)
        self._lag = self.collector.timer(
            "lag", "How late the event loop gets to what is due", unit="seconds", buckets=BUCKETS
        )

    async def sample(self) -> None:
        """Sleep for a moment and record how much too long it took."""
        loop = asyncio.get_running_loop()
        due = loop.time() + NAP
        await asyncio.sleep(NAP)
        self._lag.observe(max(0.0, loop.time() - due))
