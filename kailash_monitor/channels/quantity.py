"""A quantity: a number as people read it, with its unit."""

import math
from typing import Final

__all__ = ["number", "quantity", "reading"]

DIGITS: Final = 4
"""Significant digits: more are noise to somebody who is to act."""

_EXACT: Final = 17
"""Digits that tell any two floats apart."""

_SCALES: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_LARGEST: Final = 1e15
_SMALLEST: Final = 1e-6
"""Beyond these, zeros are counted rather than read: 1e+15 and 1e-06 are shorter."""

_SIGNS: Final = {"percent": "%", "ratio": "", "1": "", "none": ""}
"""Units with a shorter sign, or with none: a ratio is a bare number in the rule as well."""


def number(value: float, digits: int = DIGITS) -> str:
    """Give `value` in `digits` significant digits, or all before the point: 0.9712, 12,345, 98.77M, 0.000012."""
    value = float(value) + 0.0  # which is 0.0 for -0.0
    size = abs(value)
    if not math.isfinite(size) or size >= _LARGEST or 0 < size < _SMALLEST:
        return f"{value:.{digits}g}"
    if size < _SCALES[-1][0]:
        return _plain(value, digits)
    scale, letter = next(pair for pair in _SCALES if size >= pair[0])
    return _plain(value / scale, digits) + letter


def quantity(value: float, unit: str = "", digits: int = DIGITS) -> str:
    """Give `value` with its `unit`: 97%, 12.35M bytes."""
    sign = _SIGNS.get(unit, unit)
    return f"{number(value, digits)}{sign if sign in ('', '%') else f' {sign}'}"


def reading(value: float, limit: float, unit: str = "") -> tuple[str, str]:
    """Give `value` and the `limit` that it is held against, in as many digits as tell the two apart."""
    for digits in range(DIGITS, _EXACT + 1):
        texts = quantity(value, unit, digits), quantity(limit, unit, digits)
        if texts[0] != texts[1]:
            return texts
    return quantity(value, unit), quantity(limit, unit)


def _plain(value: float, digits: int) -> str:
    """Give `value` without an exponent, and what stands before the point in full."""
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
