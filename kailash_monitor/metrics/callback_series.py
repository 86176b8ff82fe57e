"""A callback gauge's series: a value that a function of yours gives."""

import inspect
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, cast

from kailash_monitor.errors import NoAnswer
from kailash_monitor.metrics.checkpoint import Past
from kailash_monitor.metrics.gauge_series import GaugeSeries
from kailash_monitor.metrics.history import History
from kailash_monitor.metrics.reads import Reads
from kailash_monitor.metrics.recorder import Family, as_number
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.model.views import Point
from kailash_monitor.model.window import GaugeWindow

__all__ = ["Callback", "CallbackSeries"]

Callback = Callable[[], float | None] | Callable[[], Awaitable[float | None]]
"""Gives the value, None where there is nothing to say."""

MISSED: Final = 3.0
"""So many intervals and a time-out after its last answer, what a callback said is not taken for the present any more."""


class CallbackSeries(Reads):
    """A gauge whose value comes from `callback`.

    Without `every` it is asked whenever somebody looks, but not again within `cache` seconds. With `every` it is refreshed
    at that interval by a running manager, for `timeout` seconds at most, a plain function in a thread and a coroutine on the
    loop; whoever looks gets the last answer. Answers are kept as a gauge's history.

    What the callback raises reaches the reader as NoAnswer: a rule turns it into an error of its own, an export leaves the
    metric out.
    """

    __slots__ = (
        "_claimed_at",
        "_gauge",
        "_now",
        "_silent",
        "_wrong",
        "asked_at",
        "cache",
        "callback",
        "every",
        "labels",
        "timeout",
    )

    def __init__(
        self, callback: Callback, family: Family, *, cache: float = 0.0, every: float | None = None, timeout: float = 10.0
    ) -> None:
        self.labels: Final = NO_LABELS
        self.callback: Final = callback
        self.cache: Final = cache
        self.every: Final = every
        self.timeout: Final = timeout
        self.asked_at: float | None = None
        self._claimed_at = -math.inf
        self._gauge: Final = GaugeSeries(NO_LABELS, family)
        self._now = family.now
        self._silent = False  # the last answer was None
        self._wrong = ""

    def __repr__(self) -> str:
        return f"<CallbackSeries of {getattr(self.callback, '__name__', 'a callable')}>"

    @property
    def awaits(self) -> bool:
        """Whether the callback is a coroutine function."""
        return inspect.iscoroutinefunction(self.callback)

    def claim(self) -> bool:
        """Whether it is the caller's turn to ask: not where somebody else of the same registry just did."""
        now = self._now()
        if self.every is not None and now - self._claimed_at < self.every / 2:
            return False
        self._claimed_at = now
        return True

    def answered(self, value: float | None) -> None:
        """Take the callback's answer."""
        if value is not None and as_number(value) is None:
            self.failed(TypeError(f"it gave {type(value).__name__}, which is no finite number"))
        else:
            self.asked_at, self._silent, self._wrong = self._now(), value is None, ""
        if value is not None:
            self._gauge.set(value)  # which counts and reports what is no number

    def failed(self, error: BaseException) -> None:
        """Take note that the callback gave none; `error` says why."""
        self.asked_at, self._wrong = self._now(), f"{type(error).__name__}: {error}"

    def shut(self) -> None:
        """Have those who watch hear of the next answer."""
        self._gauge.shut()

    def look(self, now: float) -> None:
        """Have an answer that is new enough; NoAnswer where there is none."""
        if self.every is None and (self.asked_at is None or now - self.asked_at >= self.cache):
            try:
                answer = self.callback()
                if isinstance(answer, Coroutine):
                    answer.close()
                    raise TypeError("it gave a coroutine: say how often to await it, with every=")
                self.answered(cast("float | None", answer))
            except Exception as error:
                self.failed(error)
        if self._wrong:
            raise NoAnswer(f"its callback raised {self._wrong}")
        if self.every is not None and self.asked_at is not None and now - self.asked_at > MISSED * self.every + self.timeout:
            raise NoAnswer(f"its callback has not been asked for {now - self.asked_at:.0f} s: does the manager run?")

    @property
    def value(self) -> float | None:
        """The last answer; None where there was none, or it was None."""
        return None if self._silent or self._wrong else self._gauge.value

    @property
    def born(self) -> float:
        """Since when it is kept."""
        return self._gauge.born

    @property
    def set_at(self) -> float:
        """When it last answered with a value."""
        return self._gauge.set_at

    @property
    def touched_at(self) -> float:
        """It is never given up for not being recorded."""
        return math.inf

    def window(self, seconds: float, now: float) -> GaugeWindow:
        """Give the answers in the `seconds` before `now`; none where the last one was None."""
        self.look(now)
        if self._silent:
            return GaugeWindow(now - seconds, now, now - seconds)
        return self._gauge.window(seconds, now)

    def _read(self, seconds: float) -> GaugeWindow:
        return self.window(seconds, self._now())

    def points(self) -> list[Point]:
        """Give the last answers."""
        return self._gauge.points()

    def kept(self, now: float) -> History | None:
        """Give a copy of the history of its answers; None where there is none."""
        return self._gauge.kept(now)

    def precede(self, past: Past) -> None:
        """Have `past` come before all answers here."""
        self._gauge.precede(past)
