"""Parameters: what may be given to a rule, each checked for itself."""

import inspect
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from kailash_monitor.errors import RuleError
from kailash_monitor.model.durations import Duration, format_duration, parse_duration
from kailash_monitor.model.labels import Labels, valid_label_name
from kailash_monitor.rules.flapping import Flapping
from kailash_monitor.rules.no_data import NoData

__all__ = [
    "check_name",
    "check_type",
    "duration",
    "evaluation_interval",
    "flapping_of",
    "group_labels",
    "label_set",
    "no_data_of",
    "positive",
    "reading_function",
    "texts",
]

MIN_INTERVAL: Final = 0.01
"""Seconds. A rule that is judged more often than a hundred times a second is a slip of the pen, and busies the loop."""

_CONTROLS: Final = ("Cc", "Zl", "Zp", "Cs")
"""The Unicode categories of control characters, line and paragraph breaks, and halves of characters."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[[], object])


def check_name(name: object) -> None:
    """Accept one line of text that is not blank."""
    if not isinstance(name, str) or not name.strip():
        raise RuleError("rule", field="name", seen=f"the name {name!r}", expected="a rule needs a name of its own")
    if any(unicodedata.category(character) in _CONTROLS for character in name):
        raise RuleError(
            f"rule {name!r}", field="name", seen="a control character in the name", expected="a name is one line of text"
        )


def check_type(field: str, value: object, kind: type[T], expected: str, where: str) -> T:
    """Give `value`, which must be of that kind."""
    if not isinstance(value, kind):
        raise RuleError(where, field=field, seen=f"{field} = {value!r}", expected=expected)
    return value


def positive(field: str, value: int, where: str) -> int:
    """Give a whole number above zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RuleError(where, field=field, seen=f"{field} = {value!r}", expected="a whole number, 1 at least")
    return value


def duration(field: str, value: Duration, where: str, *, zero: bool = False) -> float:
    """Give seconds above zero; 0 itself where that means something."""
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise RuleError(where, field=field, seen=f"{field} {error}", expected="a duration") from None
    if seconds < 0 or (seconds == 0 and not zero):
        least = "not negative" if zero else "above zero"
        raise RuleError(where, field=field, seen=f"{field} = {value!r}", expected=f"a duration {least}")
    return seconds


def evaluation_interval(value: Duration, where: str) -> float:
    """Give seconds that are long enough to work in."""
    field = "evaluation_interval"
    seconds = duration(field, value, where)
    if seconds < MIN_INTERVAL:
        least = format_duration(MIN_INTERVAL)
        raise RuleError(where, field=field, seen=f"{field} = {value!r}", expected=f"a duration of {least} at least")
    return seconds


def label_set(field: str, labels: Mapping[str, object] | None, where: str) -> Labels:
    """Give labels of valid names; None is none."""
    labels = _mapping(field, labels, where)
    for name in labels:
        _check_label_name(field, name, where)
    return Labels(labels)


def group_labels(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Give different valid label names."""
    field = "group_by"
    if isinstance(names, str):
        raise RuleError(where, field=field, seen=f"group_by = {names!r}", expected=f"a list: [{names!r}]")
    if not isinstance(names, Iterable):
        raise RuleError(where, field=field, seen=f"group_by = {names!r}", expected="a list of label names")
    given = tuple(names)
    for index, name in enumerate(given):
        _check_label_name(field, name, where)
        if name in given[:index]:
            raise RuleError(where, field=field, seen=f"the label {name!r} twice in group_by", expected="each of them once")
    return given


def texts(field: str, given: Mapping[str, str] | None, where: str) -> dict[str, str]:
    """Give a mapping of texts; None is none."""
    found = dict(_mapping(field, given, where))
    for name, text in found.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise RuleError(
                where, field=field, seen=f"{name!r}: {text!r} in {field}", expected="a dictionary of names and texts"
            )
    return found


def no_data_of(value: NoData | str, where: str) -> NoData:
    """Give what is meant by one of NoData or by its name."""
    if isinstance(value, NoData):
        return value
    try:
        return NoData(str(value).lower())
    except ValueError:
        words = ", ".join(choice.value for choice in NoData)
        raise RuleError(where, field="no_data", seen=f"no_data = {value!r}", expected=f"use one of {words}") from None


def flapping_of(value: Any, where: str) -> Flapping | None:  # Any: what a settings file holds
    """Give what is meant by (changes, period) or {changes: …, period: …}."""
    match value:
        case None | Flapping():
            return value
        case {"changes": changes, "period": period, **others} if not others:
            pass
        case [changes, period]:
            pass
        case _:
            expected = "how many changes in what time are too many: (6, '1h')"
            raise RuleError(where, field="flapping", seen=f"flapping = {value!r}", expected=expected)
    seconds = duration("flapping", period, where)
    try:
        return Flapping(changes, seconds)
    except RuleError as error:
        raise RuleError(where, field="flapping", seen=f"flapping with {error.seen}", expected=error.expected) from None


def reading_function(reading: F, where: str) -> F:
    """Give a function that can be called without arguments."""
    if not callable(reading):
        raise RuleError(
            where,
            field="reading",
            seen=f"reading = {reading!r}",
            expected="a function without arguments, itself and not its answer",
        )
    try:
        inspect.signature(reading).bind()
    except TypeError as error:
        raise RuleError(
            where, field="reading", seen=f"a reading with {error}", expected="a function without arguments"
        ) from None
    except ValueError:
        pass  # some functions written in C have no signature to look at
    return reading


def _mapping(field: str, given: Mapping[str, T] | None, where: str) -> Mapping[str, T]:
    if given is not None and not isinstance(given, Mapping):
        raise RuleError(where, field=field, seen=f"{field} = {given!r}", expected="a dictionary of names and texts")
    return given or {}


def _check_label_name(field: str, name: object, where: str) -> None:
    if not isinstance(name, str) or not valid_label_name(name):
        raise RuleError(
            where,
            field=field,
            seen=f"the label name {name!r} in {field}",
            expected="letters, digits and underscores, no digit first",
        )
