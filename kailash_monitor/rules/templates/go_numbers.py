"""Numbers as Go's `printf` writes them, integers and floats, for each verb."""

import math
from dataclasses import replace
from decimal import Decimal
from typing import Final

from kailash_monitor.promql.quoting import quoted
from kailash_monitor.rules.templates.directive import PLAIN, Directive, ascii_only
from kailash_monitor.rules.templates.values import Byte

__all__ = ["float_by", "float_text", "integer_by"]

# Integers

_BASES: Final = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}


def integer_by(value: int, verb: str, how: Directive) -> str | None:
    """Give an integer as the verb says, or None where the verb does not fit it."""
    if verb == "v" and how.literal and isinstance(value, Byte):
        verb, how = "x", replace(how, sharp=True)
    value = int(value)
    if verb in _BASES:
        return _in_base(value, verb, how)
    match verb:
        case "c":
            return how.padded(_rune(value))
        case "q":
            return how.padded(_quoted_rune(value, how))
        case "U":
            code = f"U+{value % 2**64:0{max(4, how.precision or 0)}X}"
            return how.padded(
                f"{code} '{_rune(value)}'"
                if how.sharp and value == ord(_rune(value)) and _rune(value).isprintable()
                else code,
                zeros=False,
            )
        case _:
            return None


def _in_base(value: int, verb: str, how: Directive) -> str:
    sign = "-" if value < 0 else "+" if how.plus else " " if how.space else ""
    digits = format(abs(value), _BASES[verb])
    if how.precision is not None:
        if how.precision == 0 and value == 0:
            return " " * (how.width or 0)
        digits = digits.rjust(how.precision, "0")
    elif how.zero and how.width is not None and not how.minus:
        digits = digits.rjust(how.width - len(sign), "0")
    prefix = "0o" if verb == "O" else ""
    if how.sharp:
        prefix = {"b": "0b", "x": "0x", "X": "0X", "o": "" if digits[0] == "0" else "0"}.get(verb, prefix)
    return how.padded(sign + prefix + digits, zeros=False)


def _rune(code: int) -> str:
    return chr(code) if 0 <= code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "\ufffd"


def _quoted_rune(code: int, how: Directive) -> str:
    character = _rune(code)
    inside = "\\'" if character == "'" else '"' if character == '"' else quoted(character)[1:-1]
    return f"'{''.join(map(ascii_only, inside)) if how.plus else inside}'"


# Floats


def float_by(value: float, verb: str, how: Directive) -> str | None:
    """Give a float as the verb says, or None where the verb does not fit it."""
    if verb not in "vgGeEfFxXb":
        return None
    if math.isnan(value) or math.isinf(value):
        return _not_finite(value, how)
    text = _magnitude(abs(value), "g" if verb == "v" else verb, how)
    if verb in "GEX":
        text = text.upper()
    sign = "-" if math.copysign(1.0, value) < 0 else "+" if how.plus else " " if how.space else ""
    if how.zero and not how.minus and how.width is not None:
        text = text.rjust(how.width - len(sign), "0")
    return how.padded(sign + text, zeros=False)


def _not_finite(value: float, how: Directive) -> str:
    if math.isnan(value):
        text = "+NaN" if how.plus else " NaN" if how.space else "NaN"
    else:
        text = "-Inf" if value < 0 else " Inf" if how.space and not how.plus else "+Inf"
    return how.padded(text, zeros=False)


def _magnitude(value: float, verb: str, how: Directive) -> str:
    match verb.lower():
        case "e" | "f" as letter:
            text = f"{value:.{6 if how.precision is None else how.precision}{letter}}"
        case "g":
            text = _shortest(value) if how.precision is None else f"{value:.{how.precision}g}"
        case "x":
            text = _hexadecimal_float(value, how)
        case _:
            mantissa, exponent = math.frexp(value)
            return f"{int(mantissa * 2**53)}p{exponent - 53:+d}" if value else "0p-1074"
    return _sharpened(text, _DEFAULT_DIGITS if how.precision is None else how.precision, verb) if how.sharp else text


_DEFAULT_DIGITS: Final = 6


def _sharpened(text: str, digits: int, verb: str) -> str:
    """A number with a decimal point in any case, and, of the verbs g and x, with as many digits as are asked for."""
    number = text.partition("p" if verb in "xX" else "e")[0]
    end = text[len(number) :]
    shown = len(number.replace(".", "").lstrip("0")) or ("." not in number)
    return number + ("" if "." in number else ".") + "0" * (digits - shown if verb in "gGxX" else 0) + end


_SMALL: Final = -4
_LARGE: Final = 6
"""The powers of ten below and from which Go's shortest form of a float has an exponent."""


def float_text(value: float) -> str:
    """Give a float as Go's `%v`: `0.1`, `100000`, `1e+06`, `NaN`, `+Inf`."""
    return float_by(value, "v", PLAIN) or ""


def _shortest(value: float) -> str:
    """The fewest digits that mean `value`, which is positive or zero."""
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int), "finite"
    power = len(digits) + exponent - 1 if value else 0
    if _SMALL <= power < _LARGE:
        return format(Decimal(repr(value)), "f").removesuffix(".0") if value else "0"
    text = "".join(map(str, digits)).rstrip("0")
    return f"{text[0]}{'.' + text[1:] if text[1:] else ''}e{'-' if power < 0 else '+'}{abs(power):02}"


def _hexadecimal_float(value: float, how: Directive) -> str:
    mantissa, exponent = math.frexp(value)
    bits, power = int(mantissa * 2**53), exponent - 1 if value else 0
    digits = f"{bits & (2**52 - 1):013x}"
    if how.precision is None:
        digits = digits.rstrip("0")
    elif how.precision >= len(digits):
        digits = digits.ljust(how.precision, "0")
    else:
        bits, power = _rounded(bits, 52 - 4 * how.precision, power)
        digits = f"{bits & (16**how.precision - 1):0{how.precision}x}" if how.precision else ""
    point = "." if digits else ""
    return f"0x{1 if value else 0}{point}{digits}p{'-' if power < 0 else '+'}{abs(power):02}"


def _rounded(bits: int, less: int, power: int) -> tuple[int, int]:
    """A mantissa of 53 bits with so many fewer, halves to the even one, and its power of two."""
    kept, rest = divmod(bits, 1 << less)
    half = 1 << (less - 1)
    kept += rest > half or (rest == half and kept & 1)
    return (kept >> 1, power + 1) if kept >> (53 - less) else (kept, power)
