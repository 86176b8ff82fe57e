"""Points in time and durations as Go has them: to the nanosecond, with its text forms and its layouts."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["SECOND", "Duration", "Moment"]

SECOND: Final = 1_000_000_000
"""Nanoseconds of a second."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A duration: Go's `time.Duration`."""

    nanoseconds: int

    def __str__(self) -> str:
        """Give it as Go prints it: `1h2m3.5s`, `1.5ms`, `0s`."""
        size = abs(self.nanoseconds)
        sign = "-" if self.nanoseconds < 0 else ""
        if size < SECOND:
            return sign + _below_second(size)
        minutes, rest = divmod(size, 60 * SECOND)
        hours, minutes = divmod(minutes, 60)
        seconds = f"{_decimal(rest, SECOND)}s"
        if hours:
            return f"{sign}{hours}h{minutes}m{seconds}"
        return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds

    def truncated(self, unit: int) -> "Duration":
        """Give it rounded towards zero to a multiple of `unit` nanoseconds; as it is where that is not positive."""
        size = abs(self.nanoseconds)
        return Duration(_signed(size - size % unit, self.nanoseconds)) if unit > 0 else self

    def rounded(self, unit: int) -> "Duration":
        """Give the nearest multiple of `unit` nanoseconds, halves away from zero; itself where that is not positive."""
        if unit <= 0:
            return self
        size = abs(self.nanoseconds)
        return Duration(
            _signed(
                (size + (unit + 1) // 2) // unit * unit if size % unit * 2 >= unit else size - size % unit, self.nanoseconds
            )
        )


def _signed(size: int, like: int) -> int:
    return -size if like < 0 else size


def _below_second(nanoseconds: int) -> str:
    if nanoseconds == 0:
        return "0s"
    for unit, size in (("ms", 1_000_000), ("µs", 1_000)):
        if nanoseconds >= size:
            return _decimal(nanoseconds, size) + unit
    return f"{nanoseconds}ns"


def _decimal(count: int, unit: int) -> str:
    """`count / unit` in full; `unit` is a power of ten."""
    whole, rest = divmod(count, unit)
    fraction = str(unit + rest)[1:].rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A point in time: Go's `time.Time`, in nanoseconds since 1970, always UTC."""

    nanoseconds: int

    @property
    def calendar(self) -> datetime:
        """Its date and time of day, to the second. A ValueError before the year 1 and after 9999."""
        try:
            return _EPOCH + timedelta(seconds=self.nanoseconds // SECOND)
        except OverflowError:
            raise ValueError("year is not in the range [1, 9999]") from None

    @property
    def fraction(self) -> int:
        """The nanoseconds after its full second."""
        return self.nanoseconds % SECOND

    def __str__(self) -> str:
        """Give it as Go prints it: `2015-06-23 13:19:44.128 +0000 UTC`."""
        return self.formatted("2006-01-02 15:04:05.999999999 -0700 MST")

    def formatted(self, layout: str) -> str:
        """Give it as `layout` shows the reference time, 2006-01-02 15:04:05 in the zone MST, seven hours west."""
        calendar = self.calendar
        return _PART.sub(lambda part: self._part(part[0], calendar), layout)

    def later(self, *, years: int, months: int, days: int) -> "Moment":
        """Give the same time of day on another day, where overflowing months and days count on, as in Go's AddDate."""
        calendar = self.calendar
        year, month = divmod((calendar.year + years) * 12 + calendar.month - 1 + months, 12)
        try:
            moved = datetime(year, month + 1, 1, calendar.hour, calendar.minute, calendar.second, tzinfo=UTC)
            moved += timedelta(days=calendar.day - 1 + days)
        except (ValueError, OverflowError):
            raise ValueError("year is not in the range [1, 9999]") from None
        return Moment((moved - _EPOCH) // timedelta(seconds=1) * SECOND + self.fraction)

    def _part(self, part: str, calendar: datetime) -> str:
        if part[0] in ".,":
            digits = f"{self.fraction:09}"[: len(part) - 1]
            digits = digits if part[1] == "0" else digits.rstrip("0")
            return part[0] + digits if digits else ""
        if part[0] in "-Z":
            return "Z" if part[0] == "Z" else "+" + part[1:].replace("7", "0")
        hour = (calendar.hour + 11) % 12 + 1
        match part:
            case "2006":
                return f"{calendar.year:04}"
            case "_2006":
                return f"_{calendar.year:04}"
            case "06":
                return f"{calendar.year % 100:02}"
            case "January" | "Jan":
                name = MONTHS[calendar.month - 1]
                return name if part == "January" else name[:3]
            case "Monday" | "Mon":
                name = WEEKDAYS[calendar.isoweekday() % 7]
                return name if part == "Monday" else name[:3]
            case "MST":
                return "UTC"
            case "PM" | "pm":
                return ("PM" if part == "PM" else "pm") if calendar.hour >= 12 else ("AM" if part == "PM" else "am")
            case "002" | "__2":
                day = calendar.timetuple().tm_yday
                return f"{day:03}" if part == "002" else f"{day:3}"
        number = {"1": calendar.month, "2": calendar.day, "3": hour, "4": calendar.minute, "5": calendar.second}
        if part == "15":
            return f"{calendar.hour:02}"
        value = number[part[-1]]
        return f"{value:02}" if part[0] == "0" else f"{value:2}" if part[0] == "_" else str(value)


MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_PART: Final = re.compile(
    r"""January | Jan(?![a-z]) | Monday | Mon(?![a-z]) | MST | 002 | 0[1-6] | 15 | 1 | _?2006 | __2 | _2 | [2345] | PM | pm
      | [-Z]07:00:00 | [-Z]070000 | [-Z]07:00 | [-Z]0700 | [-Z]07 | [.,](?:0+|9+)(?![0-9])""",
    re.VERBOSE,
)
