"""Flapping: how often an alert may begin and cease before telling each time would tell nothing."""

from dataclasses import dataclass

from kailash_monitor.errors import RuleError

__all__ = ["Flapping"]


@dataclass(frozen=True, slots=True)
class Flapping:
    """So many changes within `period` seconds are too many; two at least, and both must be above zero."""

    changes: int
    period: float

    def __post_init__(self) -> None:
        if isinstance(self.changes, bool) or not isinstance(self.changes, int) or self.changes < 2:
            raise RuleError(
                "flapping", field="flapping", seen=f"{self.changes!r} changes", expected="a whole number, 2 at least"
            )
        if not self.period > 0:
            raise RuleError(
                "flapping", field="flapping", seen=f"the period {self.period!r}", expected="a duration above zero"
            )
