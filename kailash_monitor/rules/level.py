"""Levels: the severities a rule can have, each with the threshold from which it does."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kailash_monitor.errors import RuleError
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules.condition import Condition, split

__all__ = ["Level", "levels_of", "severity_of"]

LevelThresholds = Mapping[AlertSeverity, float] | Mapping[str, float]
"""As they are given: a number for each severity."""

_EXAMPLE: Final = '{"warning": 80, "critical": 95}'


@dataclass(frozen=True, slots=True)
class Level:
    """From `threshold` on the alert has this severity; once it has, until the value is past `clear`, if there is one."""

    severity: AlertSeverity
    threshold: float
    clear: float | None = None


def levels_of(
    condition: str,
    *,
    severity: AlertSeverity | str | None,
    threshold: float | None,
    levels: LevelThresholds | None,
    clear: float | LevelThresholds | None,
    where: str,
) -> tuple[Condition, tuple[Level, ...]]:
    """Give a rule's condition, against the mildest threshold, and its levels, mildest first.

    Either `levels`, or one level of `severity` and `threshold`, is given. A RuleError about `where` says what was seen and
    what would be right.
    """
    if levels is None:
        parsed = Condition.parse(condition, threshold, where=where)
        if isinstance(clear, Mapping):
            raise RuleError(
                where, field="clear", seen=f"clear = {clear!r} without levels", expected="a number, or give levels= as well"
            )
        recovers = _clear(clear, parsed, where)
        return parsed, (Level(severity_of(severity, where, field="severity"), parsed.threshold, recovers),)
    _refuse_beside_levels(condition, severity, threshold, where)
    thresholds = _by_severity("levels", levels, where)
    if len(thresholds) < 2:
        raise RuleError(
            where,
            field="levels",
            seen=f"levels = {levels!r}",
            expected="two levels at least; for one, give severity and threshold",
        )
    mildest = Condition.parse(condition, next(iter(thresholds.values())), where=where)
    _check_rising(mildest, thresholds, where)
    clears = _clears(clear, thresholds, where)
    return mildest, tuple(
        [Level(s, number, _clear(clears.get(s), mildest.against(number), where)) for s, number in thresholds.items()]
    )


def severity_of(value: object, where: str, *, field: str) -> AlertSeverity:
    """Give the severity that `value` names."""
    if isinstance(value, AlertSeverity):
        return value
    try:
        return AlertSeverity(str(value).lower())
    except ValueError:
        words = ", ".join(severity.value for severity in AlertSeverity)
        seen = "no severity" if value is None else f"the severity {value!r}"
        raise RuleError(where, field=field, seen=seen, expected=f"use one of {words}") from None


def _refuse_beside_levels(condition: str, severity: object, threshold: object, where: str) -> None:
    if severity is not None:
        raise RuleError(
            where,
            field="severity",
            seen=f"severity = {severity!r} beside levels",
            expected="the levels name the severities; leave it out",
        )
    if threshold is not None:
        raise RuleError(
            where,
            field="threshold",
            seen=f"threshold = {threshold!r} beside levels",
            expected="the levels have the thresholds; leave it out",
        )
    word, comparator, digits = split(condition, where)
    if digits:
        raise RuleError(
            where,
            field="condition",
            seen=f"the number in the condition {condition!r} beside levels",
            expected=f"the levels have the numbers; write '{f'{word} {comparator}'.strip()}'",
        )
    if comparator in ("==", "!="):
        raise RuleError(
            where,
            field="condition",
            seen=f"the condition {condition!r} beside levels",
            expected="only > >= < <= can be more or less grave",
        )


def _by_severity(field: str, given: object, where: str) -> dict[AlertSeverity, float]:
    """Give the numbers of a mapping by severity, mildest first."""
    if not isinstance(given, Mapping):
        raise RuleError(where, field=field, seen=f"{field} = {given!r}", expected=f"a number by severity: {_EXAMPLE}")
    found: dict[AlertSeverity, float] = {}
    for name, number in given.items():
        severity = severity_of(name, where, field=field)
        if severity in found:
            raise RuleError(where, field=field, seen=f"{severity.value} twice in {field}", expected="one number for each")
        found[severity] = _number(field, number, where)
    return dict(sorted(found.items(), key=lambda item: item[0].rank))


def _check_rising(condition: Condition, thresholds: Mapping[AlertSeverity, float], where: str) -> None:
    numbers = [number if condition.wants_high else -number for number in thresholds.values()]
    if any(graver <= milder for milder, graver in pairwise(numbers)):
        side = "higher" if condition.wants_high else "lower"
        raise RuleError(
            where,
            field="levels",
            seen=", ".join([f"{severity.value} at {number:g}" for severity, number in thresholds.items()]),
            expected=f"a graver severity has a {side} threshold with {condition.comparator!r}",
        )


def _clears(clear: object, thresholds: Mapping[AlertSeverity, float], where: str) -> Mapping[AlertSeverity, float]:
    if clear is None:
        return {}
    if not isinstance(clear, Mapping):
        raise RuleError(
            where,
            field="clear",
            seen=f"clear = {clear!r} beside levels",
            expected='one number for each level: {"warning": 75, "critical": 90}',
        )
    clears = _by_severity("clear", clear, where)
    for severity in clears:
        if severity not in thresholds:
            raise RuleError(
                where,
                field="clear",
                seen=f"clear for {severity.value}, which is none of the levels",
                expected=f"use some of {', '.join(level.value for level in thresholds)}",
            )
    return clears


def _clear(clear: float | None, condition: Condition, where: str) -> float | None:
    """A threshold for recovery must not itself breach: else the alert would fire and recover on the same value."""
    if clear is None:
        return None
    number = _number("clear", clear, where)
    seen = f"clear = {clear!r} beside {str(condition)!r}"
    if condition.comparator in ("==", "!="):
        raise RuleError(where, field="clear", seen=seen, expected="only > >= < <= recover so")
    if number > condition.threshold if condition.wants_high else number < condition.threshold:
        side = "below" if condition.wants_high else "above"
        raise RuleError(where, field="clear", seen=seen, expected=f"a number {side} the threshold")
    return number


def _number(field: str, value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RuleError(where, field=field, seen=f"{value!r} in {field}", expected="a finite number")
    return float(value)
