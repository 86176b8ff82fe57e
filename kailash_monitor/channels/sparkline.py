"""A sparkline: how a value went, as a line of blocks that any screen shows."""

import math
from collections.abc import Sequence

__all__ = ["sparkline"]

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int = 20) -> str:
    """Give `values`, oldest first, in at most `width` blocks between their extremes; what is unknown is a space.

    Of more values than blocks, each block shows the largest of its share, so that no peak is lost. Infinite values are
    drawn as the highest or the lowest block. A series that never changes is a flat line.
    """
    shown = _pooled([None if value is None or math.isnan(value) else float(value) for value in values], width)
    known = [value for value in shown if value is not None and math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(" " if value is None else _block(value, low, high) for value in shown)


def _pooled(values: Sequence[float | None], width: int) -> list[float | None]:
    """Give the largest of each of at most `width` runs of nearly equal length."""
    count = min(len(values), max(0, width))
    runs = (values[len(values) * n // count : len(values) * (n + 1) // count] for n in range(count))
    return [max((value for value in run if value is not None), default=None) for run in runs]


def _block(value: float, low: float, high: float) -> str:
    if math.isinf(value):
        return _BLOCKS[-1] if value > 0 else _BLOCKS[0]
    if high <= low:
        return _BLOCKS[0]
    half = high / 2 - low / 2  # halves: the distance itself can be more than a float holds
    return _BLOCKS[round((value / 2 - low / 2) / half * (len(_BLOCKS) - 1))] if half > 0 else _BLOCKS[0]
