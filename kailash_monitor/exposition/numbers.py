"""Numbers of exported pages."""

import math

__all__ = ["clean_bound"]


def clean_bound(bound: float) -> float:
    """Undo what a change of unit adds in the last digits: 25 ms is 0.025 s, not 0.025000000000000001."""
    return bound if math.isinf(bound) else float(f"{bound:.12g}")
