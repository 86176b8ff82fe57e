"""Burn-rate rules: page when an error budget is used up fast, write a ticket when it is used up slowly.

The windows and factors are those of the Site Reliability Workbook, chapter 5 ("multiwindow, multi-burn-rate alerts"): for an
objective over 30 days they fire when 2 %, 5 %, 10 % and 10 % of the budget are gone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from kailash_monitor.errors import RuleError
from kailash_monitor.model.durations import Duration, format_duration
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules.budget import BurnRate
from kailash_monitor.rules.parameters import duration
from kailash_monitor.rules.rule import AlertRule

__all__ = ["PAIRS", "Pair", "burn_rate_rules"]

DAY: Final = 86_400.0

PERIOD: Final = 30 * DAY
"""Seconds over which people keep an objective, nearly everywhere; only the descriptions speak of it."""

RECOVERED: Final = 0.8
"""Of the factor, below which the alert is over: a rate that hovers at the threshold is one incident."""

PER_SHORT_WINDOW: Final = 30
FASTEST: Final = 10.0
SLOWEST: Final = 300.0
"""Seconds. A rule is judged thirty times in its short window, within what people expect of an alert."""


class Pair(NamedTuple):
    """Fire above `factor` times the rate that the objective allows, over both windows."""

    factor: float
    long: Duration
    short: Duration
    severity: AlertSeverity | str


PAIRS: Final = (
    Pair(14.4, "1h", "5m", AlertSeverity.CRITICAL),
    Pair(6, "6h", "30m", AlertSeverity.CRITICAL),
    Pair(3, "1d", "2h", AlertSeverity.WARNING),
    Pair(1, "3d", "6h", AlertSeverity.WARNING),
)


def burn_rate_rules(
    name: str,
    *,
    good: str,
    total: str,
    objective: float,
    collector: str | None = None,
    match: Mapping[str, str] | None = None,
    group_by: Sequence[str] = (),
    min_events: int = 100,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    pairs: Sequence[Pair | tuple[float, Duration, Duration, AlertSeverity | str]] = PAIRS,
) -> list[AlertRule]:
    """Give the rules that keep watch over one objective: so much of what the counter `total` counts is `good`.

    Each is named after its long window ("checkout_burn_rate_1h"), and its value is the burn rate: 1 where failures use up
    exactly what `objective` (0.999 for 99.9 %) allows. Where the long window has fewer than `min_events`, nothing fires: one
    failure in twenty requests pages nobody. Declare both counters when the program starts, since a rule with but one of them
    cannot tell success from failure, and count in both when the work is done. Their history is kept for the longest window,
    three days.

    Right after a start, what the history does not cover is taken to have had no failures: a page still means that as much of
    the budget is gone as it says. An alert fires when it was so twice in a row, since the windows of two counters may for a
    moment end at different events. It is over when the burn rate was below 0.8 of its factor for as long as the short
    window: neither a rate near the threshold nor bursts with such gaps make it come and go.

    A RuleError says what is wrong, such as a factor that is out of reach even if everything fails.
    """
    rules: dict[str, AlertRule] = {}
    where = f"burn rate {name!r}"
    for pair in pairs:
        factor, long, short, severity = _checked(pair, where)
        slow, fast = duration("pairs", long, where), duration("pairs", short, where)
        interval = min(max(fast / PER_SHORT_WINDOW, FASTEST), SLOWEST)
        budget = BurnRate(good=good, total=total, objective=objective, long=slow, short=fast, min_events=min_events)
        rule = AlertRule(
            f"{name}_burn_rate_{format_duration(slow)}",
            _in_words(name, factor, budget),
            severity,
            condition=">",
            threshold=factor,
            evaluation_interval=interval,
            labels=labels,
            annotations={"summary": f"{name} uses up its error budget too fast", **(annotations or {})},
            collector=collector,
            match=match,
            group_by=group_by,
            hold=interval,
            keep_firing=fast,
            clear=RECOVERED * factor,
            burn_rate=budget,
        )
        if rule.name in rules:
            seen, expected = f"two pairs with the long window {long!r}", "rules are named after it; give each its own"
            raise RuleError(where, field="pairs", seen=seen, expected=expected)
        rules[rule.name] = rule
    return [*rules.values()]


def _checked(pair: Sequence[Any], where: str) -> Pair:  # Any: what was given
    if len(pair) != len(Pair._fields):
        raise RuleError(where, field="pairs", seen=f"the pair {pair!r}", expected=f"({', '.join(Pair._fields)})")
    checked = Pair(*pair)
    if isinstance(checked.factor, bool) or not isinstance(checked.factor, int | float) or not checked.factor > 0:
        raise RuleError(where, field="pairs", seen=f"the factor {checked.factor!r}", expected="a number above zero")
    return checked


def _in_words(name: str, factor: float, budget: BurnRate) -> str:
    long, short = format_duration(budget.long), format_duration(budget.short)
    return (
        f"{name}: over the last {long} and still over the last {short}, failures come more than {factor:g} times as often "
        f"as the objective of {100 * budget.objective:.6g} % allows; at this rate, an error budget of {PERIOD / DAY:g} days "
        f"lasts {format_duration(PERIOD / factor)}"
    )
