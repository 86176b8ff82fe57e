"""Demands: whether a label's value meets a matcher."""

from collections.abc import Callable
from typing import TypeAlias

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql.regex import fits
from kailash_monitor.promql.tree import LabelMatcher

__all__ = ["Demand", "demand"]

Demand: TypeAlias = Callable[[str], bool]
"""Whether a value will do; an absent label has the empty one."""


def demand(matcher: LabelMatcher) -> Demand:
    """Give the test of one matcher. A ValueError where its regular expression is none."""
    wanted = matcher.value
    match matcher.operator:
        case Operator.EQUAL:
            return wanted.__eq__
        case Operator.NOT_EQUAL:
            return wanted.__ne__
        case Operator.REGEX:
            return fits(wanted)
        case Operator.NOT_REGEX:
            accepted = fits(wanted)
            return lambda value: not accepted(value)
