"""Trails: how a value went while an alert lasted, in a few numbers."""

from dataclasses import dataclass, field
from typing import Final

__all__ = ["Trail"]

MOST: Final = 40
"""Values that are kept: as many as a line of text can show, twice over."""


@dataclass(slots=True)
class Trail:
    """Every value at first; the longer it goes, the further apart are those that are kept. Mutable, by its owner."""

    values: list[float] = field(default_factory=list[float])
    stride: int = 1
    passed: int = 0

    def add(self, value: float) -> None:
        """Go on by a value."""
        if self.passed % self.stride == 0:
            self.values.append(value)
            if len(self.values) > MOST:
                del self.values[1::2]
                self.stride *= 2
        self.passed += 1
