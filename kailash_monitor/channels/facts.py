"""The facts of a notice: how much against what, since when, for how long, and how it went."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.channels.printable import one_line
from kailash_monitor.channels.quantity import quantity, reading
from kailash_monitor.channels.sparkline import sparkline
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.durations import format_duration
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.reason import Reason

__all__ = ["brief_facts", "facts", "how_often", "is_over"]

_LONGEST_UNIT: Final = 20
_SHORTEST_SPELL: Final = 60.0
"""Seconds that it must have fired to be worth a word: the first message comes seconds after the beginning."""


def is_over(notice: Notice) -> bool:
    """Whether all that the notice tells of is over, so that nobody has to hurry."""
    if notice.kind is NoticeKind.STABLE or notice.kind is NoticeKind.DIGEST:
        return notice.alert.status is AlertStatus.RESOLVED
    return notice.kind is NoticeKind.RESOLVED


def facts(notice: Notice) -> list[tuple[str, str]]:
    """Give the name and the text of what there is to know, in order: ("Value", "0.97, limit 0.9"), ("Since", …) ….

    Nothing for a digest, whose alerts have facts of their own.
    """
    match notice.kind:
        case NoticeKind.DIGEST:
            return []
        case NoticeKind.MISSED:
            return list(_absence(notice))
        case _:
            return [*_figures(notice), *_times(notice), *_rest(notice)]


def brief_facts(notice: Notice) -> Iterator[str]:
    """Give the few that fit on a line: "is 0.97", "limit 0.9"."""
    alert, over = notice.alert, is_over(notice)
    if notice.kind is NoticeKind.MISSED:
        return  # the numbers are those of the last time, or of now
    value, limit = _reading(notice)
    if value:
        yield f"{'now' if over else 'is'} {value}"
    if over and alert.peak is not None:
        yield f"peak {quantity(alert.peak, _unit(notice))}"
    if limit:
        yield f"limit {limit}"
    if over and (lasted := _lasted(notice)) is not None:
        yield f"lasted {format_duration(lasted)}"
    if notice.kind is NoticeKind.REPEAT and alert.fired_at:
        yield f"since {_utc(alert.fired_at)} UTC"
    if why := _WHY.get(notice.extra.get("reason")):
        yield why


def how_often(notice: Notice) -> tuple[str, str] | None:
    """Say how often an alert came and went unheard, and when; None where the notice does not know."""
    count, first, last = [notice.extra.get(key) for key in ("missed", "first_fired_at", "last_resolved_at")]
    if not (isinstance(first, str) and isinstance(last, str)):
        return None
    try:
        between = f"{_utc(datetime.fromisoformat(first))} and {_utc(datetime.fromisoformat(last))} UTC"
    except ValueError:
        return None
    return "once" if count == 1 else f"{one_line(str(count))} times", between


def _absence(notice: Notice) -> Iterator[tuple[str, str]]:
    if known := how_often(notice):
        yield "Missed", known[0]
        yield "Between", known[1]


def _figures(notice: Notice) -> Iterator[tuple[str, str]]:
    peak = notice.alert.peak
    value, limit = _reading(notice)
    if value:
        yield "Value", f"{'now ' if is_over(notice) else ''}{value}{f', limit {limit}' if limit else ''}"
    elif limit:
        yield "Limit", limit
    if peak is not None and (text := quantity(peak, _unit(notice))) != value:
        yield "Peak", text


def _times(notice: Notice) -> Iterator[tuple[str, str]]:
    alert, lasted = notice.alert, _lasted(notice)
    if alert.fired_at:
        yield "Since", f"{_utc(alert.fired_at)} UTC"
    if lasted is not None:
        yield "Lasted", format_duration(lasted)
    elif alert.fired_at and alert.status is AlertStatus.FIRING:
        so_far = notice.sent_at - alert.fired_at.timestamp()
        if so_far >= _SHORTEST_SPELL:
            yield "Lasted", f"{format_duration(so_far)} so far"


def _rest(notice: Notice) -> Iterator[tuple[str, str]]:
    if trend := _trend(notice.extra.get("recent")):
        yield "Trend", trend
    if why := _WHY.get(notice.extra.get("reason")):
        yield "Note", why


_WHY: Final[Mapping[object, str]] = {
    Reason.RAISED.value: "graver than before",
    Reason.ESCALATED.value: "nobody has acknowledged it",
    Reason.FLAPPING.value: "goes on and off; told again when stable",
    Reason.RULE_REMOVED.value: "its rule was removed",
    Reason.SERIES_REMOVED.value: "what it measured was removed",
    Reason.REROUTED.value: "fires still, told elsewhere from now on",
}
"""What the kind of the notice does not say."""


def _reading(notice: Notice) -> tuple[str, str]:
    """Give the value and its limit; "" for what there is not."""
    value, limit, unit = notice.alert.value, notice.alert.threshold, _unit(notice)
    if value is not None and limit is not None:
        return reading(value, limit, unit)
    return "" if value is None else quantity(value, unit), "" if limit is None else quantity(limit, unit)


def _lasted(notice: Notice) -> float | None:
    """Give the seconds from its beginning to its end; None where it is not over, or nobody knows."""
    alert = notice.alert
    if not (is_over(notice) and alert.fired_at and alert.resolved_at):
        return None
    return (alert.resolved_at - alert.fired_at).total_seconds()


def _trend(recent: object) -> str:
    """Draw `recent` where it is a list of numbers with at least one that is known."""
    if not isinstance(recent, list | tuple):
        return ""
    values = [float(value) if isinstance(value, int | float) and math.isfinite(value) else None for value in recent]
    return sparkline(values) if any(value is not None for value in values) else ""


def _unit(notice: Notice) -> str:
    unit = notice.extra.get("unit")
    return one_line(unit)[:_LONGEST_UNIT] if isinstance(unit, str) else ""


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
