"""Breaches: which level of a rule a value breaches, given the level at which its alert fires."""

from enum import Enum
from typing import Final

from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules.condition import compare
from kailash_monitor.rules.rule import AlertRule

__all__ = ["UNPROVEN", "Unproven", "breached"]


class Unproven(Enum):
    """The type of UNPROVEN alone."""

    UNPROVEN = "unproven"


UNPROVEN: Final = Unproven.UNPROVEN
"""The value is but a lower bound of the truth, and proves neither a breach nor that there is none."""

_RANK: Final = {severity: severity.rank for severity in AlertSeverity}


def breached(
    rule: AlertRule, value: float, at_least: bool, present: AlertSeverity | None
) -> AlertSeverity | Unproven | None:
    """Give the gravest level that `value` breaches; None where it breaches none.

    `present` is the severity at which the alert fires now, None where it does not. Up to there a level lasts until the value
    is past its `clear`. Where `value` is but a lower bound (`at_least`), a breach that it proves may be graver than it
    shows: then the alert stays at the gravest of its present levels that is not disproved.
    """
    if rule.expr is not None:
        return rule.severity  # whatever its query gives, NaN included
    comparator = rule.condition.comparator
    possible: AlertSeverity | None = None
    proven = True
    for level in reversed(rule.levels):
        lasts = present is not None and _RANK[level.severity] <= _RANK[present]
        threshold = level.clear if lasts and level.clear is not None else level.threshold
        holds = compare(comparator, value, threshold, at_least=at_least)
        if holds:
            return possible or level.severity
        if holds is None:
            proven = False
            possible = possible or (level.severity if lasts else None)
    return None if proven else UNPROVEN
