"""Moments: what the calendar says of a number of seconds since 1970, in UTC and for any float."""

from typing import Final, NamedTuple

__all__ = ["Moment", "day_of_week", "moment_at", "rfc3339", "second_of"]

DAY: Final = 86_400
"""Seconds; UTC as computers know it has no others."""

ERA: Final = 400
"""Years after which the calendar repeats itself, weekdays included."""

DAYS_OF_ERA: Final = 146_097

DAYS_TO_1970: Final = 719_468
"""Days from the first of March of the year 0, where the first era starts, to 1970."""

FIRST: Final = (-292_277_022_400 // ERA * DAYS_OF_ERA - DAYS_TO_1970) * DAY
"""The first second that Go's `time` knows; it takes earlier ones of 64 bits for ones after the last."""

THURSDAY: Final = 4
"""The first of January 1970, counted from Sunday."""


class Moment(NamedTuple):
    """A day of the calendar: `month` and `day` count from 1, as does `day_of_year`."""

    year: int
    month: int
    day: int
    day_of_year: int
    days_in_month: int


def second_of(value: float) -> int:
    """Give the second that Go takes `value` for: the next towards zero; the least of 64 bits for NaN and what is beyond."""
    second = int(value) if -(2.0**63) <= value < 2.0**63 else -(2**63)
    return second if second >= FIRST else second + 2**64


def day_of_week(second: int) -> int:
    """Give the day of the week of a second since 1970: 0 is Sunday."""
    return (second // DAY + THURSDAY) % 7


def moment_at(second: int) -> Moment:
    """Give the day on which a second since 1970 was or will be.

    The arithmetic is Howard Hinnant's `civil_from_days`: years that start in March have their leap day at the end, and
    153 days in any five months from then on.
    """
    era, day = divmod(second // DAY + DAYS_TO_1970, DAYS_OF_ERA)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    first = (153 * month + 2) // 5
    leap = year % 4 == 0 and (year % 100 != 0 or year == 0)
    length = (153 * (month + 1) + 2) // 5 - first
    if month < 10:
        return Moment(era * ERA + year, month + 3, day - first + 1, day + 60 + leap, length)
    # January or February of the next year, whose leap day is this year's last
    next_is_leap = (year + 1) % 4 == 0 and ((year + 1) % 100 != 0 or year + 1 == ERA)
    length = 31 if month == 10 else 28 + next_is_leap
    return Moment(era * ERA + year + 1, month - 9, day - first + 1, day - 305, length)


def rfc3339(second: int) -> str:
    """Give a second since 1970 as `2024-12-25T00:00:00Z`."""
    day, rest = moment_at(second), second % DAY
    return f"{day.year:04d}-{day.month:02d}-{day.day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}Z"
