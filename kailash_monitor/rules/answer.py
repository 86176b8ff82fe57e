"""Answers: what a reading function of the user's own gave, as readings."""

import math
from collections.abc import Coroutine, Mapping
from numbers import Real

from kailash_monitor.errors import RuleError
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.rules.reading import Missing, Reading, Value
from kailash_monitor.rules.rule import AlertRule

__all__ = ["readings_of"]


def readings_of(rule: AlertRule, answer: object) -> dict[Labels, Reading]:
    """Give what the rule sees in `answer`, by label group: a number is a value, None is missing.

    Without `group_by` it is one of these; with it, a mapping to them from the label's value, or from tuples of the labels'
    values in the order of `group_by`; None has no groups at all. A RuleError says what was seen instead.
    """
    if rule.expr is not None and isinstance(answer, dict):
        return answer  # what was made of a query's result
    if isinstance(answer, Coroutine):
        answer.close()  # else Python warns that nobody awaited it
        raise _wrong(rule, "gave a coroutine", "declare it with async def, and it is awaited")
    if not rule.group_by:
        if isinstance(answer, Mapping):
            raise _wrong(rule, "gave a mapping", "name its labels in group_by=, or give one number")
        return {NO_LABELS: _reading(rule, answer, "")}
    if answer is None:
        return {}
    if not isinstance(answer, Mapping):
        raise _wrong(rule, f"gave {_shown(answer)}", f"with group_by, a mapping from {_keys(rule)} to numbers")
    return {_group(rule, key): _reading(rule, number, f" for {key!r}") for key, number in answer.items()}


def _reading(rule: AlertRule, answer: object, which: str) -> Reading:
    if answer is None:
        return Missing()
    if not isinstance(answer, bool) and isinstance(answer, Real):
        number = _finite(answer)
        if number is not None:
            return Value(number)
    raise _wrong(rule, f"gave {_shown(answer)}{which}", "a finite number, or None where there is nothing to judge")


def _finite(number: Real) -> float | None:
    try:
        value = float(number)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def _group(rule: AlertRule, key: object) -> Labels:
    values = (key,) if isinstance(key, str) else key
    if not isinstance(values, tuple) or len(values) != len(rule.group_by) or not all(isinstance(v, str) for v in values):
        raise _wrong(rule, f"gave the key {key!r}", _keys(rule))
    return Labels(dict(zip(rule.group_by, values, strict=True)))


def _keys(rule: AlertRule) -> str:
    if len(rule.group_by) == 1:
        return f"texts, values of the label {rule.group_by[0]!r}"
    return f"tuples of texts, values of the labels {', '.join(map(repr, rule.group_by))}"


def _shown(answer: object) -> str:
    return repr(answer) if isinstance(answer, Real) else f"{type(answer).__name__}, which is no number"


def _wrong(rule: AlertRule, seen: str, expected: str) -> RuleError:
    return RuleError(f"rule {rule.name!r}", field="reading", seen=f"its reading {seen}", expected=expected)
