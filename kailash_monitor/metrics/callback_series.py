"""A computed gauge's series: a value that is asked for when somebody looks."""

from collections.abc import Callable
from typing import Final

from kailash_monitor.model.labels import Labels
from kailash_monitor.model.snapshot import Point, Sample
from kailash_monitor.model.window import GaugeWindow

__all__ = ["CallbackSeries"]


class CallbackSeries:
    """A gauge whose value is computed when it is read.

    `read(now)` gives the value, None where there is nothing to say. What it raises reaches the reader: a rule turns it
    into an error of its own, an export leaves the series out.
    """

    __slots__ = ("_read", "labels")

    def __init__(self, labels: Labels, read: Callable[[float], float | None]) -> None:
        self.labels: Final = labels
        self._read = read

    def window(self, seconds: float, now: float) -> GaugeWindow:
        """Give the value it has now, whatever the window."""
        value = self._read(now)
        start = now - seconds
        if value is None:
            return GaugeWindow(start, now, start)
        return GaugeWindow(start, now, start, first=value, last=value, min=value, max=value, sum=value, count=1, set_at=now)

    def sample(self, wall_offset: float, now: float) -> Sample | None:
        """Give the value it has now; None where there is nothing to say."""
        value = self._read(now)
        return None if value is None else Sample(self.labels, value, [Point(now + wall_offset, value)])
