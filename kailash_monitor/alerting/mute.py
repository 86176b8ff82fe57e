"""Mute times: weekly calendars, each in a time zone, in which nobody is told."""

import calendar
import difflib
import inspect
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any, Final

from kailash_monitor.errors import ConfigurationError

__all__ = ["MuteTime"]

DAY: Final = 86_400
HORIZON: Final = 400 * DAY
"""How far ahead a change is looked for: a year and a month, so that whatever comes every year is found."""

CERTAIN: Final = 32 * DAY
"""How far ahead the end of a mute is looked for: a month and a day, so that all but the longest mutes are told exactly."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class MuteTime:
    """A calendar in which nobody is told. It is in force where all of its fields agree; a field left out always does.

    - `weekdays`: names and ranges, "mon", "monday", "mon-fri", "sat-mon".
    - `times`: pairs or text, ("22:00", "06:00") or "22:00-06:00". The start belongs to it, the end does not and may be
      "24:00". One that ends before it starts goes over midnight, and belongs wholly to the day on which it starts.
    - `days` of the month: numbers and ranges, "1", "1-5"; negative ones count from the end, "-1" is the last, "-7--1" the
      last seven. A month that lacks the day is passed over.
    - `months`: names, numbers and ranges, "december", "dec", "12", "1-3", "nov-feb".
    - `time_zone`: whose calendar and clock. The caller looks up its rules and hands them in as `zone`.

    What counts is what a clock on the wall there shows. An hour that the clock skips is in no mute, and a mute whose end
    is skipped ends with the jump; an hour that the clock repeats is muted both times.

    A ConfigurationError says what is wrong and what would be right.
    """

    name: str
    weekdays: frozenset[int]  # Monday is 1
    times: tuple[tuple[int, int], ...]  # start and end in seconds after midnight; an end beyond a day is on the next
    days: tuple[tuple[int, int], ...]  # first and last, as given
    months: frozenset[int]  # January is 1
    time_zone: str

    def __init__(
        self,
        name: str,
        *,
        weekdays: Iterable[str] = (),
        times: Iterable[str | Sequence[str]] = (),
        days: Iterable[str | int] = (),
        months: Iterable[str | int] = (),
        time_zone: str = "UTC",
    ) -> None:
        where = f"mute time {name!r}"
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ConfigurationError(
                "mute time", field="name", seen=f"the name {name!r}", expected="a mute time needs a name on one line"
            )
        if not isinstance(time_zone, str) or not time_zone:
            raise ConfigurationError(
                where, field="time_zone", seen=f"time_zone = {time_zone!r}", expected="a name such as 'Europe/Berlin'"
            )
        values: dict[str, object] = {
            "name": name,
            "weekdays": _cycle("weekdays", weekdays, _WEEKDAYS, "'mon', 'monday' or 'mon-fri'", where),
            "times": tuple(_span(item, where) for item in _list("times", times, where)),
            "days": tuple(_day_range(item, where) for item in _list("days", days, where)),
            "months": _cycle("months", months, _MONTHS, "'dec', 'december', '12' or '1-3'", where),
            "time_zone": time_zone,
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)
        if not (self.weekdays or self.times or self.days or self.months):
            raise ConfigurationError(
                where, seen="nothing that says when", expected="give some of weekdays, times, days and months"
            )
        if not any(map(self._falls_on, range(_ALL_CALENDARS))):
            raise ConfigurationError(
                where, field="days", seen="days that none of its months has", expected="days that come some time"
            )

    def __repr__(self) -> str:
        weekdays = ",".join(_name_of(number, _WEEKDAYS) for number in sorted(self.weekdays))
        times = ",".join(f"{_clock(start)}-{_clock(end)}" for start, end in self.times)
        days = ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in self.days)
        months = ",".join(_name_of(number, _MONTHS) for number in sorted(self.months))
        parts = {"": weekdays, "at ": times, "on days ": days, "in ": months}
        return f"<MuteTime {self.name}: {' '.join(word + part for word, part in parts.items() if part)}, {self.time_zone}>"

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "MuteTime":  # Any: whatever a settings file holds
        """Make a mute time of a plain dictionary whose keys are the parameters. An unknown key is a ConfigurationError."""
        for key in mapping:
            if key not in _PARAMETERS:
                near = difflib.get_close_matches(str(key), _PARAMETERS, n=1)
                raise ConfigurationError(
                    f"mute time {mapping.get('name')!r}",
                    field=str(key),
                    seen=f"the unknown key {key!r}",
                    expected=f"did you mean {near[0]!r}?" if near else f"use some of {', '.join(_PARAMETERS)}",
                )
        return cls(**{"name": None, **mapping})

    def active(self, wall: float, zone: tzinfo) -> bool:
        """Whether it is in force at `wall`, Unix seconds."""
        second = math.floor(wall)
        return self._covers(second + _offset(second, zone))

    def until(self, wall: float, zone: tzinfo) -> float | None:
        """Give when the mute in force at `wall` ends, Unix seconds; None where none is in force.

        One that goes on for more than 32 days gives a time 32 days ahead, up to which it is certainly in force: ask again
        then.
        """
        if not self.active(wall, zone):
            return None
        change = self._change(wall, zone, CERTAIN)
        return float(math.floor(wall) + CERTAIN) if change is None else change

    def next_change(self, wall: float, zone: tzinfo) -> float | None:
        """Give the first time later than `wall` at which it begins or ends, Unix seconds.

        None where there is none within 400 days: it is always in force, or waits for a leap year.
        """
        return self._change(wall, zone, HORIZON)

    def _change(self, wall: float, zone: tzinfo, ahead: int) -> float | None:
        """Give the first change later than `wall`, looked for `ahead` seconds and up to a day more."""
        second = math.floor(wall)  # edges and jumps of the clock stand on whole seconds
        was = self._covers(second + _offset(second, zone))
        edges = sorted({0, *(edge % DAY for span in self.times for edge in span)})
        for begin, end, offset in _stretches(second, second + ahead, zone):
            for local in _moments(begin + offset, end + offset, edges):
                if self._covers(local) is not was:
                    return float(local - offset)
        return None

    def _covers(self, local: int) -> bool:
        """Whether it is in force when the clock on the wall shows `local`, in seconds after 1970-01-01 00:00."""
        day, second = divmod(local, DAY)
        if not self.times:
            return self._falls_on(day)
        return any(
            (start <= second < end and self._falls_on(day)) or (second + DAY < end and self._falls_on(day - 1))
            for start, end in self.times
        )

    def _falls_on(self, day: int) -> bool:
        """Whether its weekdays, days and months agree on a day, counted from 1970-01-01."""
        on = date.fromordinal(_EPOCH + day)
        if self.weekdays and on.isoweekday() not in self.weekdays:
            return False
        if self.months and on.month not in self.months:
            return False
        if not self.days:
            return True
        length = calendar.monthrange(on.year, on.month)[1]
        return any(_from_start(first, length) <= on.day <= _from_start(last, length) for first, last in self.days)


_PARAMETERS: Final = tuple(inspect.signature(MuteTime.__init__).parameters)[1:]
_EPOCH: Final = date(1970, 1, 1).toordinal()
_ALL_CALENDARS: Final = date(1998, 1, 1).toordinal() - _EPOCH
"""In 28 years every day of the year has been every weekday, the leap day too."""


def _offset(second: int, zone: tzinfo) -> int:
    """Give what the clocks of `zone` are ahead of UTC, in seconds."""
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    assert offset is not None, "a time made in a zone has an offset"
    return offset.days * DAY + offset.seconds


def _stretches(begin: int, last: int, zone: tzinfo) -> Iterator[tuple[int, int, int]]:
    """Give (begin, end, offset) of stretches, up to `last` at least, in which the clocks run evenly.

    Each lasts a day at most. No zone changes its clocks twice within one: the least since 1900 is four, in Freetown in 1939.
    """
    offset = _offset(begin, zone)
    while begin < last:
        end = begin + DAY
        after = _offset(end, zone)
        if after != offset:
            even = begin
            while end - even > 1:
                middle = (even + end) // 2
                even, end = (middle, end) if _offset(middle, zone) == offset else (even, middle)
        yield begin, end, offset
        begin, offset = end, after


def _moments(begin: int, end: int, edges: Iterable[int]) -> Iterator[int]:
    """Give the local times from `begin` to `end`, a day later at most, at which a mute may begin or end."""
    yield begin  # a clock that jumps lands in the midst of a mute
    midnight = begin - begin % DAY
    for start_of_day in (midnight, midnight + DAY):
        for edge in edges:
            if begin < start_of_day + edge < end:
                yield start_of_day + edge


def _from_start(day: int, length: int) -> int:
    """Give a day of the month counted from its start, where the month has `length` days."""
    return day if day > 0 else length + 1 + day


def _clock(seconds: int) -> str:
    minutes = seconds // 60
    return f"{minutes // 60 - (24 if seconds > DAY else 0):02}:{minutes % 60:02}"


def _spellings(*names: str) -> dict[str, int]:
    return {spelling: number for number, name in enumerate(names, 1) for spelling in (name[:3], name)}


_WEEKDAYS: Final = _spellings("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = _spellings(
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
) | {str(number): number for number in range(1, 13)}


def _name_of(number: int, spellings: Mapping[str, int]) -> str:
    return next(spelling for spelling, meant in spellings.items() if meant == number)


def _cycle(
    field: str, items: Iterable[str | int], spellings: Mapping[str, int], examples: str, where: str
) -> frozenset[int]:
    """Give the numbers of all that is named; a range may go over the end of the week or the year."""
    chosen: set[int] = set()
    for item in _list(field, items, where):
        match [spellings.get(end.strip().lower()) for end in str(item).split("-")]:
            case [int(only)]:
                chosen.add(only)
            case [int(first), int(last)] if first <= last:
                chosen.update(range(first, last + 1))
            case [int(first), int(last)]:
                chosen.update(set(spellings.values()) - set(range(last + 1, first)))
            case _:
                raise ConfigurationError(where, field=field, seen=f"{item!r} in {field}", expected=f"write {examples}")
    return frozenset(chosen)


def _span(item: object, where: str) -> tuple[int, int]:
    match item.split("-") if isinstance(item, str) else item:
        case [str(start_text), str(end_text)]:
            start, end = _seconds(start_text), _seconds(end_text)
        case _:
            start = end = None
    if start is None or end is None or start == DAY:
        expected = "write '22:00-06:00', from 00:00 to 24:00"
    elif start == end:
        expected = "a start and an end that differ; a whole day is '00:00-24:00'"
    else:
        return start, end if start < end else end + DAY
    raise ConfigurationError(where, field="times", seen=f"{item!r} in times", expected=expected)


_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00)")


def _seconds(text: str) -> int | None:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes = filter(None, found.groups())
    return int(hours) * 3600 + int(minutes) * 60


_DAY_RANGE: Final = re.compile(r"(-?[0-9]{1,2})(?:\s*-\s*(-?[0-9]{1,2}))?")
_LONGEST_MONTH: Final = 31


def _day_range(item: object, where: str) -> tuple[int, int]:
    found = _DAY_RANGE.fullmatch(str(item).strip())
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not all(1 <= abs(day) <= _LONGEST_MONTH for day in (first, last)):
        expected = "write '1' to '31', '-1' for the last, or a range '1-5', '-7--1'"
    elif _from_start(first, _LONGEST_MONTH) > _from_start(last, _LONGEST_MONTH):
        expected = "the earlier day comes first"
    else:
        return first, last
    raise ConfigurationError(where, field="days", seen=f"{item!r} in days", expected=expected)


def _list(field: str, items: object, where: str) -> Iterable[object]:
    if isinstance(items, str) or not isinstance(items, Iterable):
        raise ConfigurationError(where, field=field, seen=f"{field} = {items!r}", expected=f"a list: [{items!r}]")
    return items
