"""Reads: what a window says in one number, of a series or of a metric as a whole."""

from typing import Final

from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow, Window

__all__ = ["DEFAULT_WINDOW", "Reads", "window_seconds"]

DEFAULT_WINDOW: Final = 300.0
"""Five minutes: the window of the guide's calls that do not name one, and of its rules."""


def window_seconds(window: Duration | None) -> float:
    """Give a window in seconds; five minutes where it was left out. A ValueError where it is none or not above zero."""
    seconds = DEFAULT_WINDOW if window is None else parse_duration(window)
    if seconds > 0:
        return seconds
    raise ValueError(f"{window!r} is not a window; it must be longer than nothing")


class Reads:
    """The guide's questions. `window` is a duration ("5m", a timedelta, seconds), five minutes where left out.

    What cannot be said (an average of a counter, a maximum of nothing) is None.
    """

    __slots__ = ()

    def _read(self, seconds: float) -> Window:
        """Give the window of so many seconds up to now."""
        raise NotImplementedError

    def get_average(self, window: Duration | None = None) -> float | None:
        """Give the mean of the observations, or of the values of a gauge (the one in force at the start included)."""
        match self._read(window_seconds(window)):
            case GaugeWindow(average=value) | DistributionWindow(average=value):
                return value
            case _:
                return None

    def get_max(self, window: Duration | None = None) -> float | None:
        """Give the largest value in the window."""
        match self._read(window_seconds(window)):
            case GaugeWindow(max=value) | DistributionWindow(max=value):
                return value
            case _:
                return None

    def get_min(self, window: Duration | None = None) -> float | None:
        """Give the smallest value in the window."""
        match self._read(window_seconds(window)):
            case GaugeWindow(min=value) | DistributionWindow(min=value):
                return value
            case _:
                return None

    def get_increase(self, window: Duration | None = None) -> float | None:
        """Give how much a counter rose, how many observations there were, or how far a gauge moved."""
        found = self._read(window_seconds(window))
        if isinstance(found, CounterWindow):
            return found.increase
        return found.change if isinstance(found, GaugeWindow) else float(found.count)

    def get_rate(self, window: Duration | None = None) -> float | None:
        """Give `get_increase` per second, over the whole window."""
        seconds = window_seconds(window)
        increase = self.get_increase(seconds)
        return None if increase is None else increase / seconds

    def get_percentile(self, q: float, window: Duration | None = None) -> float | None:
        """Give the value that `q` percent (0 to 100) of the observations do not exceed, within 2.2 %.

        Nearest rank: the ⌈q·n/100⌉-th smallest of n observations; 0 and 100 give the exact extremes.
        """
        found = self._read(window_seconds(window))
        return found.percentile(q) if isinstance(found, DistributionWindow) else None
