"""Numbers for people, as Prometheus writes them: with prefixes, as durations, percentages and timestamps."""

import math
import re
from typing import Final

from kailash_monitor.promql.quoting import quoted
from kailash_monitor.rules.templates.go_numbers import float_text
from kailash_monitor.rules.templates.moments import SECOND, Duration, Moment
from kailash_monitor.rules.templates.signatures import CallFailed
from kailash_monitor.rules.templates.values import Long, Value, type_name

__all__ = [
    "humanize",
    "humanize1024",
    "humanize_duration",
    "humanize_percentage",
    "humanize_timestamp",
    "moment_of",
    "number_of",
]

_NUMBER: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:_[0-9]+)*\.?(?:[0-9]+(?:_[0-9]+)*)?|\.[0-9]+(?:_[0-9]+)*)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?)|nan",
    re.IGNORECASE,
)
_HEXADECIMAL: Final = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")


def number_of(value: Value) -> float:
    """Give a number, or a text that is one, as a float; a duration in seconds. A CallFailed where it is none of these."""
    match value:
        case float():
            return value
        case str() if type_name(value) == "string":
            return _parsed(value)
        case int() if type(value) is int or isinstance(value, Long):
            return float(value)
        case Duration(nanoseconds=count):
            return count / SECOND
        case _:
            raise CallFailed(f"can't convert {type_name(value)} to float")


def _parsed(text: str) -> float:
    try:
        if _HEXADECIMAL.fullmatch(text):
            return float.fromhex(text)
    except OverflowError:
        raise CallFailed(f"strconv.ParseFloat: parsing {quoted(text)}: value out of range") from None
    if not _NUMBER.fullmatch(text):
        raise CallFailed(f"strconv.ParseFloat: parsing {quoted(text)}: invalid syntax")
    number = float(text)
    if math.isinf(number) and "n" not in text.lower():
        raise CallFailed(f"strconv.ParseFloat: parsing {quoted(text)}: value out of range")
    return number


def _short(number: float) -> str:
    """Four digits, as Go's `%.4g`."""
    if math.isfinite(number):
        return f"{number:.4g}"
    return float_text(number)


def _prefixed(number: float, base: int, prefixes: tuple[str, ...]) -> str:
    """A number from 1 on as a smaller one and the prefix that makes up for it."""
    prefix = ""
    for larger in prefixes:
        if abs(number) < base:
            break
        prefix = larger
        number /= base
    return _short(number) + prefix


def _fraction(number: float) -> str:
    """A number below 1 as a larger one and the prefix that makes up for it."""
    prefix = ""
    for smaller in "munpfazy":
        if abs(number) >= 1:
            break
        prefix = smaller
        number *= 1000
    return _short(number) + prefix


def humanize(value: Value) -> str:
    """Give a number with a metric prefix: `1.235M`, `123.5m`."""
    number = number_of(value)
    if number == 0 or not math.isfinite(number):
        return _short(number)
    return _prefixed(number, 1000, tuple("kMGTPEZY")) if abs(number) >= 1 else _fraction(number)


def humanize1024(value: Value) -> str:
    """Give a number with a binary prefix: `1.5Mi`."""
    number = number_of(value)
    if abs(number) <= 1 or not math.isfinite(number):
        return _short(number)
    return _prefixed(number, 1024, ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"))


def humanize_duration(value: Value) -> str:
    """Give seconds as a duration: `1d 2h 3m 4s`, `1.5s`, `12ms`."""
    number = number_of(value)
    if not math.isfinite(number):
        return _short(number)
    if abs(number) < 1:
        return f"{_fraction(number) if number else _short(number)}s"
    sign, number = ("-" if number < 0 else ""), abs(number)
    seconds = int(number) if number < 2**63 else -(2**63)  # what Go's conversion gives on amd64
    minutes, hours, days = _quotient(seconds, 60), _quotient(seconds, 3600), _quotient(seconds, 86400)
    parts = f"{_rest(minutes, 60)}m {_rest(seconds, 60)}s"
    if days:
        return f"{sign}{days}d {_rest(hours, 24)}h {parts}"
    if _rest(hours, 24):
        return f"{sign}{hours}h {parts}"
    return f"{sign}{parts}" if _rest(minutes, 60) else f"{sign}{_short(number)}s"


def _quotient(number: int, divisor: int) -> int:
    """A division that rounds towards zero, as Go's does."""
    return -(-number // divisor) if number < 0 else number // divisor


def _rest(number: int, divisor: int) -> int:
    return -(-number % divisor) if number < 0 else number % divisor


def humanize_percentage(value: Value) -> str:
    """Give a share of one in percent: `12.35%`."""
    return f"{_short(number_of(value) * 100)}%"


def humanize_timestamp(value: Value) -> str:
    """Give seconds since 1970 as a time: `2015-06-23 13:19:44.128 +0000 UTC`."""
    number = number_of(value)
    return str(moment_of(number)) if math.isfinite(number) else _short(number)


def moment_of(number: float) -> Moment:
    """Give the time of seconds since 1970, to the millisecond. A CallFailed outside of the years 1677 to 2262."""
    if not math.isfinite(number):
        raise CallFailed("value is NaN or Inf")
    nanoseconds = number * 1e9
    if not -(2.0**63) <= nanoseconds <= 2.0**63:
        raise CallFailed(f"{float_text(number)} cannot be represented as a nanoseconds timestamp since it overflows int64")
    milliseconds = _quotient(int(nanoseconds), 1_000_000)
    return Moment(milliseconds * 1_000_000)
