"""Ratios: counters that are judged against others, shares and burn rates."""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from kailash_monitor.errors import RuleError
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.views import MetricView, SeriesView
from kailash_monitor.model.window import CounterWindow, merge_counters
from kailash_monitor.rules.budget import BurnRate
from kailash_monitor.rules.condition import Condition
from kailash_monitor.rules.reading import Empty, Reading, Value, Waiting
from kailash_monitor.rules.rule import AlertRule
from kailash_monitor.rules.survey import Survey

__all__ = ["burn_rate_of", "burn_rate_survey", "check_comparable", "share_of", "share_survey"]

AT_ONCE: Final = 128
"""Series that are read in a millisecond or two."""

OFF: Final = 0.07
"""The law of the history: the answer for a window is exact for one that is up to 7 % longer or shorter, or a second."""


class _Sight(NamedTuple):
    """Windows of the part and of the whole, one for each span; none where only the other was looked at."""

    part: Sequence[CounterWindow] = ()
    whole: Sequence[CounterWindow] = ()


_Member = tuple[bool, SeriesView]
"""A series, and whether it is one of the part."""


def check_comparable(rule: AlertRule, part: MetricView, whole: MetricView) -> None:
    """Accept two counters that the rule can tell apart by the same labels."""
    where = f"rule {rule.name!r}"
    for metric in (part, whole):
        metadata = metric.metadata
        if metadata.type is not MetricType.COUNTER:
            raise RuleError(
                where,
                field="metric_name",
                seen=f"{metadata.name!r}, which is a {metadata.type.value}",
                expected="counters are compared",
            )
        known = metric.label_names
        strangers = [name for name in (*rule.match, *rule.group_by) if known is not None and name not in known]
        if strangers:
            raise RuleError(
                where,
                field="match",
                seen=f"the labels {', '.join(map(repr, strangers))}, which {metadata.name!r} does not have",
                expected="a share is told apart by labels that both have",
            )


def share_survey(rule: AlertRule, part: MetricView, whole: MetricView, now: float) -> Survey[_Member, _Sight]:
    """Give the survey of a share over the rule's window."""
    return _survey(rule, part, whole, (rule.time_window,), now, lambda sight: share_of(sight.part[0], sight.whole[0]))


def burn_rate_survey(
    rule: AlertRule, budget: BurnRate, good: MetricView, total: MetricView, now: float
) -> Survey[_Member, _Sight]:
    """Give the survey of a burn rate over its long and its short window."""

    def judge(sight: _Sight) -> Reading:
        return burn_rate_of(rule.condition, budget, sight.part, sight.whole)

    return _survey(rule, good, total, (budget.long, budget.short), now, judge)


def burn_rate_of(
    condition: Condition, budget: BurnRate, good: Sequence[CounterWindow], total: Sequence[CounterWindow]
) -> Reading:
    """Give the burn rate of what both counters did over the long and the short window."""
    long, short = [_burn(budget, *windows) for windows in zip(good, total, strict=True)]
    if total[0].increase < budget.min_events:
        long = Empty() if total[0].complete else Waiting()
    return _smaller(condition, long, short)


def _survey(
    rule: AlertRule,
    part: MetricView,
    whole: MetricView,
    spans: Sequence[float],
    now: float,
    judge: Callable[[_Sight], Reading],
) -> Survey[_Member, _Sight]:
    """Give the survey of the groups that the whole has."""
    told_apart_by = (*rule.match, *rule.group_by)
    parts, wholes = part.groups(rule.match, rule.group_by), whole.groups(rule.match, rule.group_by)
    if not rule.group_by:
        wholes = wholes or {NO_LABELS: ()}
    nothing = _Sight(
        _counters([part.empty_window(seconds, now, told_apart_by) for seconds in spans]),
        _counters([whole.empty_window(seconds, now, told_apart_by) for seconds in spans]),
    )

    def members(group: Labels, of: Sequence[SeriesView]) -> list[_Member]:
        return [*[(True, one) for one in parts.get(group, ())], *[(False, one) for one in of]]

    def look(member: _Member) -> _Sight:
        of_part, series = member
        windows = _counters([series.window(seconds, now) for seconds in spans])
        return _Sight(part=windows) if of_part else _Sight(whole=windows)

    return Survey(
        groups=((group, members(group, of)) for group, of in wholes.items()),
        size=len(wholes),
        look=look,
        join=_join,
        judge=lambda sight: judge(_join([nothing, sight])),
        nothing=nothing,
        at_once=AT_ONCE,
    )


def _join(sights: Sequence[_Sight]) -> _Sight:
    return _Sight(_merge([sight.part for sight in sights]), _merge([sight.whole for sight in sights]))


def _merge(rows: Sequence[Sequence[CounterWindow]]) -> Sequence[CounterWindow]:
    """Merge windows span by span; the most usual, those of one series, are merged already."""
    seen = [row for row in rows if row]
    return seen[0] if len(seen) == 1 else [merge_counters(windows) for windows in zip(*seen, strict=True)]


def _counters(windows: Sequence[object]) -> list[CounterWindow]:
    return [window for window in windows if isinstance(window, CounterWindow)]


def share_of(part: CounterWindow, whole: CounterWindow) -> Reading:
    """Give the share of the whole that the part is, judged over what is covered.

    Where the part may miss what the whole has (label sets past the limit, or given up), it is a lower bound; where the whole
    does, it says nothing.
    """
    if whole.partial or _falls_short(whole, part):
        return Waiting()
    if _counted(whole):
        return Value(part.increase / whole.increase, part.partial or _falls_short(part, whole))
    return Empty() if whole.complete else Waiting()


def _counted(window: CounterWindow) -> bool:
    """Whether there is anything to judge: what was counted before a restart is not, until something was counted after it."""
    return window.increase > 0 and window.total > 0


def _falls_short(window: CounterWindow, other: CounterWindow) -> bool:
    """Whether its history begins later, by more than windows are off anyway: two counters are never made at one moment."""
    since = max(window.start, window.covers_since)
    return since - max(other.start, other.covers_since) > max(1.0, OFF * (window.end - since))


def _burn(budget: BurnRate, good: CounterWindow, total: CounterWindow) -> Reading:
    """Give the burn rate over one window.

    Right after a start the two windows hold the same few minutes, and to judge these as if they were days would page for
    nearly nothing. So what the history does not cover is taken to have had as many events, and no failures: a lower bound,
    which is breached once as much of the budget is gone as it takes later on, and which never proves recovery.
    """
    if good.partial or total.partial or _falls_short(good, total) or _falls_short(total, good):
        return Waiting()
    since = max(total.start, good.covers_since, total.covers_since)
    covered = since <= total.start
    if not _counted(total):
        return Empty() if covered else Waiting()
    burn = max(0.0, 1 - good.increase / total.increase) * budget.highest
    return Value(burn if covered else burn * (total.end - since) / total.seconds, not covered)


def _smaller(condition: Condition, long: Reading, short: Reading) -> Reading:
    """Give the smaller of two burn rates, of which either may be a lower bound or unknown.

    Where one of them is known and does not breach, the smaller one does not either, and the other need not be known.
    """
    burns = (long, short)
    if Empty() in burns:
        return Empty()
    values = [burn for burn in burns if isinstance(burn, Value)]
    if not values:
        return Waiting()
    least = min([burn.value for burn in values]) if len(values) == len(burns) else 0.0
    known = min([burn.value for burn in values if not burn.at_least], default=math.inf)
    if known <= least or (known < math.inf and not condition.holds(known)):
        return Value(known)
    return Value(least, at_least=True)
