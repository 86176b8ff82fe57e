"""Numbers of PromQL, read and written as Go does it."""

import math
from decimal import Decimal

from kailash_monitor.promql.quoting import quoted

__all__ = ["general_text", "number_text", "parse_number"]


def parse_number(text: str) -> float:
    """Give a number as Go reads it: `0x1f`, `017` (octal), `1_000.5`, `1e9`, `Inf`. A ValueError where it is too large."""
    digits = text.replace("_", "")
    lower = digits.lower()
    if lower.startswith("0x"):
        value = _whole(lower[2:], 16, text)
    elif len(digits) > 1 and digits[0] == "0" and digits.isdecimal() and not {"8", "9"} & set(digits):
        value = _whole(digits, 8, text)
    else:
        value = float(digits)
    if math.isinf(value) and lower != "inf":
        raise ValueError(f"error parsing number: strconv.ParseFloat: parsing {quoted(text)}: value out of range")
    return value


def _whole(digits: str, base: int, text: str) -> float:
    if len(digits) > 64:
        raise ValueError(f"error parsing number: strconv.ParseFloat: parsing {quoted(text)}: value out of range")
    return float(int(digits, base))


def number_text(value: float) -> str:
    """Give a number as Go's `%f` with as many digits as it needs: `0.0000001`, `1`, `+Inf`, `NaN`."""
    if value != value:
        return "NaN"
    if abs(value) == float("inf"):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    return (format(Decimal(text), "f") if "e" in text else text).removesuffix(".0")


def general_text(value: float) -> str:
    """Give a number as Go's `%g`: `0.5`, `1e-05`, `1e+06`, `+Inf`."""
    if value != value or abs(value) == float("inf"):
        return number_text(value)
    mantissa, _, exponent = format(Decimal(repr(value)).normalize(), "e").partition("e")
    power = int(exponent)
    if -4 <= power < 6:
        return number_text(value)
    return f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
