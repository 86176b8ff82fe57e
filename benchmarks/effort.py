"""Efforts: how much is measured."""

from dataclasses import dataclass
from typing import Final

__all__ = ["FULL", "SMOKE", "Effort"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Rounds of each measurement, calls in a round, labelled series, seconds of history, series that are read as one."""

    rounds: int
    calls: int
    series: int
    history: float
    summed: int


FULL: Final = Effort(rounds=5, calls=100_000, series=10_000, history=86_400.0, summed=1_000)
SMOKE: Final = Effort(rounds=1, calls=100, series=100, history=600.0, summed=10)
