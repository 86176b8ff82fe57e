"""Durations: `"5m"`, a timedelta or a number at the border, float seconds inside."""

import math
import re
from datetime import timedelta

__all__ = ["Duration", "format_duration", "parse_duration"]

Duration = float | str | timedelta
"""Seconds as a number, a timedelta, or text such as "500ms", "10s", "5m", "1h30m", "7d", "2w"."""

_UNITS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_TEXT = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[wdhms]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[wdhms])")


def parse_duration(value: Duration) -> float:
    """Give `value` in seconds.

    Raises ValueError where it is not a finite number, timedelta or text of numbers with units (w, d, h, m, s, ms).
    """
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a duration; use seconds, a timedelta or text such as '30s' or '5m'")
    if isinstance(value, str):
        text = value.strip()
        sign, text = (-1.0, text[1:]) if text.startswith("-") else (1.0, text)
        if not _TEXT.fullmatch(text):
            raise ValueError(f"{value!r} is not a duration; use a number with a unit, such as '30s', '5m' or '1h30m'")
        return sign * sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not a duration; it must be finite")
    return float(value)


def format_duration(seconds: float) -> str:
    """Give `seconds` as people say it, in at most two units: 0.25 → "250ms", 90 → "1m30s", 90061 → "1d1h"."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 1:
        return f"{round(seconds * 1000)}ms" if seconds else "0s"
    if seconds < 60:
        return f"{seconds:.3g}s"
    left, parts = round(seconds), []
    for unit in ("w", "d", "h", "m", "s"):
        count, left = divmod(left, int(_UNITS[unit]))
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break  # two units that touch: "1h" rather than "1h5s"
    return "".join(parts[:2])
