"""The table: a line for each kind of work, a column for each contestant."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from benchmarks.contestants import CONTESTANTS, HERE, PROMETHEUS

__all__ = ["HEADER", "AtMost", "Figure", "Row", "Unit"]

HEADER: Final = f"| work | {' | '.join(CONTESTANTS)} | at most | |\n|---{'|---' * len(CONTESTANTS)}|---|---|"


class Unit(Enum):
    """What is measured, with its prefixes and how many of the base unit each is."""

    SECONDS = (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3))
    BYTES = (("B", 1.0), ("kB", 1e3), ("MB", 1e6))

    def words(self, figure: float) -> str:
        """Give `figure`, of the base unit, in the largest of its prefixes that leaves a digit before the point."""
        prefix, size = next(((p, s) for p, s in reversed(self.value) if figure >= s), self.value[0])
        number = figure / size
        return f"{number:,.0f} {prefix}" if number >= 100 or size == 1e-9 else f"{number:.3g} {prefix}"


@dataclass(frozen=True, slots=True)
class Figure:
    """The best that was measured, and what else is to be said of it."""

    best: float
    remark: str = ""


@dataclass(frozen=True, slots=True)
class AtMost:
    """The figure to reach: as a ratio to prometheus_client's, or else in the base unit."""

    limit: float
    ratio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of work, the figure of each contestant that does it, and the figure to reach, if there is one."""

    work: str
    unit: Unit
    figures: Mapping[str, Figure]
    target: AtMost | None = None

    def __str__(self) -> str:
        cells = [self._cell(name) for name in CONTESTANTS]
        return f"| {' | '.join([self.work, *cells, *self._judged()])} |"

    def _cell(self, name: str) -> str:
        figure = self.figures.get(name)
        if figure is None:
            return "–"
        ratio = self._ratio(name)
        parts = [self.unit.words(figure.best)]
        if ratio is not None and name != PROMETHEUS:
            parts.append(f"{ratio:.2f} ×" if ratio >= 0.1 else f"{ratio:.3f} ×")
        return ", ".join([*parts, figure.remark] if figure.remark else parts)

    def _ratio(self, name: str) -> float | None:
        theirs = self.figures.get(PROMETHEUS)
        return None if theirs is None else self.figures[name].best / theirs.best

    def _judged(self) -> tuple[str, str]:
        target = self.target
        if target is None:
            return "", ""
        seen = self._ratio(HERE) if target.ratio else self.figures[HERE].best
        assert seen is not None
        limit = f"{target.limit:.2f} ×" if target.ratio else self.unit.words(target.limit)
        return limit, "met" if seen <= target.limit else "**missed**"
