"""Sparklines: numbers as a line of blocks."""

from collections.abc import Sequence

__all__ = ["sparkline"]

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], *, width: int, low: float | None = None, high: float | None = None) -> str:
    """Give the last `width` values as blocks between `low` and `high`, which are their extremes where left out."""
    shown = values[-width:]
    if not shown:
        return ""
    bottom = min(shown) if low is None else low
    top = max(shown) if high is None else high
    if top <= bottom:
        return _BLOCKS[0] * len(shown)
    steps = (len(_BLOCKS) - 1) / (top - bottom)
    return "".join(_BLOCKS[round((min(max(value, bottom), top) - bottom) * steps)] for value in shown)
