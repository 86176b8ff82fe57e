"""The methods that times and durations have in a template."""

from collections.abc import Callable, Mapping
from typing import Final

from kailash_monitor.rules.templates.moments import SECOND, Duration, Moment
from kailash_monitor.rules.templates.signatures import CallFailed, Function, Type
from kailash_monitor.rules.templates.values import Long, Month, Value, Weekday

__all__ = ["METHODS"]

_ZERO: Final = Moment(-62_135_596_800 * SECOND)
"""The first moment of the year 1, from which Go counts when it rounds, and which it calls zero."""
_INT64: Final = 2**63


def _later(moment: Moment, by: Duration) -> Moment:
    return Moment(moment.nanoseconds + by.nanoseconds)


def _between(moment: Moment, other: Moment) -> Duration:
    return Duration(max(-_INT64, min(moment.nanoseconds - other.nanoseconds, _INT64 - 1)))


def _truncated(moment: Moment, unit: Duration) -> Moment:
    since = Duration(moment.nanoseconds - _ZERO.nanoseconds)
    return Moment(_ZERO.nanoseconds + since.truncated(unit.nanoseconds).nanoseconds)


def _rounded(moment: Moment, unit: Duration) -> Moment:
    since = Duration(moment.nanoseconds - _ZERO.nanoseconds)
    return Moment(_ZERO.nanoseconds + since.rounded(unit.nanoseconds).nanoseconds)


def _dated(moment: Moment, years: int, months: int, days: int) -> Moment:
    if max(abs(years), abs(months), abs(days)) > 10_000_000:
        raise CallFailed("year is not in the range [1, 9999]")
    return moment.later(years=years, months=months, days=days)


def _of_moment(give: Callable[..., Value], *parameters: Type) -> Function:
    """A method whose moment may lie outside the years that Python can tell."""

    def call(moment: Moment, *arguments: Value) -> Value:
        try:
            return give(moment, *arguments)
        except ValueError as error:
            raise CallFailed(str(error)) from None

    return Function(call, parameters)


def _unix(unit: int) -> Function:
    return _of_moment(lambda moment: Long(moment.nanoseconds // unit))


METHODS: Final[Mapping[type, Mapping[str, Function]]] = {
    Moment: {
        "Year": _of_moment(lambda moment: moment.calendar.year),
        "Month": _of_moment(lambda moment: Month(moment.calendar.month)),
        "Day": _of_moment(lambda moment: moment.calendar.day),
        "Hour": _of_moment(lambda moment: moment.calendar.hour),
        "Minute": _of_moment(lambda moment: moment.calendar.minute),
        "Second": _of_moment(lambda moment: moment.calendar.second),
        "Nanosecond": _of_moment(lambda moment: moment.fraction),
        "YearDay": _of_moment(lambda moment: moment.calendar.timetuple().tm_yday),
        "Weekday": _of_moment(lambda moment: Weekday(moment.calendar.isoweekday() % 7)),
        "Unix": _unix(SECOND),
        "UnixMilli": _unix(1_000_000),
        "UnixMicro": _unix(1_000),
        "UnixNano": _unix(1),
        "Format": _of_moment(Moment.formatted, Type.STRING),
        "String": _of_moment(str),
        "UTC": _of_moment(lambda moment: moment),
        "Local": _of_moment(lambda moment: moment),
        "IsZero": _of_moment(lambda moment: moment == _ZERO),
        "Add": _of_moment(_later, Type.DURATION),
        "AddDate": _of_moment(_dated, Type.INT, Type.INT, Type.INT),
        "Sub": _of_moment(_between, Type.TIME),
        "Truncate": _of_moment(_truncated, Type.DURATION),
        "Round": _of_moment(_rounded, Type.DURATION),
        "Before": _of_moment(lambda moment, other: moment < other, Type.TIME),
        "After": _of_moment(lambda moment, other: moment > other, Type.TIME),
        "Equal": _of_moment(lambda moment, other: moment == other, Type.TIME),
    },
    Duration: {
        "Seconds": Function(lambda duration: duration.nanoseconds / SECOND),
        "Minutes": Function(lambda duration: duration.nanoseconds / (60 * SECOND)),
        "Hours": Function(lambda duration: duration.nanoseconds / (3600 * SECOND)),
        "Milliseconds": Function(lambda duration: Long(duration.truncated(1_000_000).nanoseconds // 1_000_000)),
        "Microseconds": Function(lambda duration: Long(duration.truncated(1_000).nanoseconds // 1_000)),
        "Nanoseconds": Function(lambda duration: Long(duration.nanoseconds)),
        "Abs": Function(lambda duration: Duration(abs(duration.nanoseconds))),
        "String": Function(str),
        "Truncate": Function(lambda duration, unit: duration.truncated(unit.nanoseconds), (Type.DURATION,)),
        "Round": Function(lambda duration, unit: duration.rounded(unit.nanoseconds), (Type.DURATION,)),
    },
    Month: {"String": Function(str)},
    Weekday: {"String": Function(str)},
}
"""The methods of each type by name; `call` is given the value first."""
