"""Numbers of exported pages."""

import math
from typing import Final

__all__ = ["EXACT", "number"]

EXACT: Final = 2.0**53
"""Beyond, not every integer is a float."""


def number(value: float) -> str:
    """Give a number as Go and Prometheus read it: integers without a point, everything else as short as it is exact."""
    if -EXACT < value < EXACT:
        return str(int(value)) if value == int(value) else repr(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))
