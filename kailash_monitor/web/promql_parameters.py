"""Parameters: what is asked of the query API, read as Prometheus reads it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qs

from kailash_monitor.promql import (
    Expression,
    LabelMatcher,
    ParseError,
    ValueType,
    accepts_absent,
    parse,
    parse_selector,
    quoted,
    type_of,
)
from kailash_monitor.promql.durations import parse_duration
from kailash_monitor.promql.query import Settings
from kailash_monitor.web.http import MAX_BODY, Request

__all__ = ["EVER", "BadData", "Parameters"]

FORM: Final = "application/x-www-form-urlencoded"

EVER: Final = 2**63 - 1
"""Milliseconds since 1970 to the end of time, and back to its beginning: Prometheus counts them in 64 bits."""

MOST_POINTS: Final = 11_000
"""Points of one series: a minute's resolution for a week, or an hour's for a year. Prometheus draws the line here too."""

MOST_SAMPLES: Final = 5_000_000
"""Samples that a query may read and make, a tenth of what a Prometheus allows: there is a program to be run beside."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BadData(Exception):
    """What was asked for cannot be meant so; `str()` says why, worded as Prometheus does."""

    @classmethod
    def of(cls, parameter: str, why: object) -> "BadData":
        """Give the error of one parameter."""
        return cls(f"invalid parameter {quoted(parameter)}: {why}")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a request: those of the form in its body, then those in its address.

    Reading one raises a BadData where it cannot be read. Times are milliseconds since 1970.
    """

    values: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, request: Request) -> "Parameters":
        """Read a request. A body that is no form has none, as in Go's net/http."""
        if len(request.body) > MAX_BODY:
            raise BadData(f"error parsing form values: the body is longer than {MAX_BODY} bytes")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != FORM or not request.body:
            return cls(request.query)
        form = parse_qs(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return cls({name: [*form.get(name, ()), *request.query.get(name, ())] for name in {**form, **request.query}})

    def texts(self, name: str) -> Sequence[str]:
        """Give all values of a parameter."""
        return self.values.get(name, ())

    def text(self, name: str) -> str:
        """Give the first value of a parameter; empty where there is none."""
        return next(iter(self.texts(name)), "")

    def time(self, name: str, default: int | None = None) -> int:
        """Give a time, in seconds or as RFC 3339 has it. Without a default it must be there."""
        text = self.text(name)
        if default is not None and not text:
            return default
        time = _time_of(text)
        if time is None:
            named = "" if default is None else f"invalid time value for '{name}': "
            raise BadData.of(name, f"{named}cannot parse {quoted(text)} to a valid timestamp")
        return time

    def duration(self, name: str) -> float:
        """Give a duration in seconds, from `5m` or a number of seconds."""
        try:
            return _duration_of(self.text(name))
        except ValueError as error:
            raise BadData.of(name, error) from None

    def timeout(self, longest: float) -> float:
        """Give the seconds that an answer may take: `longest` at most, which is the default."""
        return min(self.duration("timeout"), longest) if self.text("timeout") else longest

    def limit(self, most: int) -> int:
        """Give how many elements are wanted at most; 0 and nothing stand for `most`."""
        text = self.text("limit")
        if not text:
            return most
        if not _WHOLE.fullmatch(text):
            raise BadData.of("limit", f"strconv.Atoi: parsing {quoted(text)}: invalid syntax")
        if len(text) > 18:  # about where 64 bits end
            raise BadData.of("limit", f"strconv.Atoi: parsing {quoted(text)}: value out of range")
        if int(text) < 0:
            raise BadData.of("limit", "limit must be non-negative")
        return min(int(text) or most, most)

    def count(self, name: str) -> int | None:
        """Give a number of elements; None, which stands for any, where it is absent or negative."""
        text = self.text(name)
        if text and not (_WHOLE.fullmatch(text) and len(text) <= 18):
            raise BadData(f"{name} must be a number")
        return int(text) if text and int(text) >= 0 else None

    def flag(self, name: str) -> bool:
        """Give what is true or false; absent is false."""
        text = self.text(name)
        if text and text not in _FLAGS:
            raise BadData.of(name, f"error converting {name}: strconv.ParseBool: parsing {quoted(text)}: invalid syntax")
        return _FLAGS.get(text, False)

    def settings(self) -> Settings:
        """Give how a query is to be evaluated."""
        text = self.text("lookback_delta")
        try:
            lookback = int(_duration_of(text) * 1000) if text else 0
        except ValueError as error:
            raise BadData(f"error parsing lookback delta duration: {error}") from None
        usual = Settings(max_samples=MOST_SAMPLES)
        return Settings(lookback=lookback, max_samples=MOST_SAMPLES) if lookback > 0 else usual

    def span(self) -> tuple[int, int, int]:
        """Give start, end and step of a range query."""
        start, end = self.time("start"), self.time("end")
        if end < start:
            raise BadData.of("end", "end timestamp must not be before start time")
        nanoseconds = round(self.duration("step") * 1e9)
        step = nanoseconds // 1_000_000
        if step <= 0:
            raise BadData.of(
                "step", "zero or negative query resolution step widths are not accepted. Try a positive integer"
            )
        if (end - start) * 1_000_000 // nanoseconds > MOST_POINTS:
            raise BadData(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
            )
        return start, end, step

    def expression(self, name: str = "query", *, over_time: bool = False) -> tuple[Expression, str]:
        """Give a query and its text; one that can be evaluated `over_time` is a scalar or an instant vector."""
        text = self.text(name)
        try:
            tree = parse(text)
        except ParseError as error:
            raise BadData.of(name, error.summary) from None
        kind = type_of(tree)
        if over_time and kind not in (ValueType.SCALAR, ValueType.VECTOR):
            wanted = "must be Scalar or instant Vector"
            raise BadData.of(name, f"invalid expression type {quoted(kind.documented)} for range query, {wanted}")
        return tree, text

    def selectors(self) -> list[tuple[LabelMatcher, ...]]:
        """Give what is demanded of series by each `match[]`."""
        found = []
        for text in self.texts("match[]"):
            try:
                demands = parse_selector(text).demands()
            except ParseError as error:
                raise BadData.of("match[]", error.summary) from None
            if all(map(accepts_absent, demands)):
                raise BadData.of("match[]", "match[] must contain at least one non-empty matcher")
            found.append(demands)
        return found


_FLAGS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def _time_of(text: str) -> int | None:
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        if not abs(seconds) < EVER / 1000:
            return None
        fraction, whole = math.modf(seconds)
        return int(whole) * 1000 + math.floor(fraction * 1000 + 0.5)
    if _RFC3339.fullmatch(text):
        try:
            return round((datetime.fromisoformat(text) - _EPOCH) / timedelta(milliseconds=1))
        except (ValueError, OverflowError):  # such as the 30th of February
            return None
    return None


def _duration_of(text: str) -> float:
    """Give seconds. A ValueError says what is wrong."""
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        if abs(seconds) * 1e9 > EVER:
            raise ValueError(f"cannot parse {quoted(text)} to a valid duration. It overflows int64")
        return seconds
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"cannot parse {quoted(text)} to a valid duration") from None
