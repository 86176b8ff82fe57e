"""Quantiles of values that are all known."""

from collections.abc import Sequence
from math import inf, isnan, nan

__all__ = ["quantile"]


def quantile(phi: float, values: Sequence[float]) -> float:
    """Give the φ-quantile of `values`, between two of them in proportion; NaN counts as the least value.

    Without values or with φ NaN it is NaN, for φ below 0 it is -Inf and above 1 +Inf. That φ is no quantile is for the
    caller to warn of.
    """
    if not values or phi != phi:
        return nan
    if not 0 <= phi <= 1:
        return inf if phi > 1 else -inf
    ordered = ascending(values)
    rank = phi * (len(ordered) - 1)
    lower = int(rank)
    weight = rank - lower
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] * (1 - weight) + ordered[upper] * weight


def ascending(values: Sequence[float]) -> list[float]:
    """Give the values in ascending order, NaN first."""
    if not isnan(sum(values)):
        return sorted(values)
    return [value for value in values if value != value] + sorted(value for value in values if value == value)
