"""Error budgets: how fast failures use up what an objective allows."""

import math
from dataclasses import dataclass

from kailash_monitor.errors import RuleError

__all__ = ["BurnRate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRate:
    """What a burn-rate rule reads: the counter `good` is what went well of the counter `total`.

    The burn rate over a window is (1 - good/total) / (1 - objective): at 1, failures use up exactly what the objective
    allows. The rule judges the smaller of those over `long` and `short` seconds, so that both must exceed: the long window
    says that it matters, the short one that it still goes on. Fewer than `min_events` in the long window are not judged.
    """

    good: str
    total: str
    objective: float
    long: float
    short: float
    min_events: int = 100

    def __post_init__(self) -> None:
        for field in ("good", "total"):
            name = getattr(self, field)
            if not isinstance(name, str) or not name:
                raise _wrong(field, f"{field} = {name!r}", "the name of a counter")
        if self.good == self.total:
            raise _wrong("good", f"{self.good!r} as good and as total", "two counters: what went well, and everything")
        if not _is_number(self.objective) or not 0 < self.objective < 1:
            raise _wrong("objective", f"objective = {self.objective!r}", "between 0 and 1, such as 0.999 for 99.9 %")
        if not 0 < self.short < self.long < math.inf:
            raise _wrong(
                "burn_rate", f"the windows {self.long!r} and {self.short!r} s", "both above zero, the short one shorter"
            )
        if isinstance(self.min_events, bool) or not isinstance(self.min_events, int) or self.min_events < 1:
            raise _wrong("min_events", f"min_events = {self.min_events!r}", "a whole number, 1 at least")

    @property
    def highest(self) -> float:
        """The burn rate when everything fails."""
        return 1 / (1 - self.objective)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(field: str, seen: str, expected: str) -> RuleError:
    return RuleError("burn rate", field=field, seen=seen, expected=expected)
