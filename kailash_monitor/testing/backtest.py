"""Backtests: what a rule would have told of numbers that are known already."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar, assert_never, cast

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing.simulator import DEFAULT_COLLECTOR, Simulator

__all__ = ["Backtest", "backtest"]

Points = Iterable[tuple[float, float]]
"""Pairs of a time in seconds, not falling, and a value."""

Values = TypeVar("Values", bound=tuple[str, ...])
"""Label values in the order of `group_by`."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """What came of it: every message as an alert, those about its end included, and the whole timeline in `simulator`."""

    alerts: tuple[Alert, ...]
    kinds: tuple[str, ...]
    simulator: Simulator

    @property
    def incidents(self) -> int:
        """How often it fired."""
        return sum(kind == NoticeKind.FIRING.value for kind in self.kinds)


def backtest(
    rule: AlertRule,
    series: Points | Mapping[Values, Points],
    *,
    metric_type: MetricType = MetricType.GAUGE,
    then: Duration | None = None,
) -> Backtest:
    """Judge known numbers by `rule`, on the code that would judge them live.

    `series` are points (seconds, value), or, for a rule with `group_by`, such points by their label values. A gauge's values
    are set, a histogram's or timer's are observed, a counter's are its running totals: the first is where it stands, and one
    that is smaller than that before is a restart from zero. Seconds may be Unix time or count from anywhere; the times of
    the alerts are theirs, and the simulator begins at the earliest.

    `then` is how long the rule is judged after the last point: its window, hold and keep_firing and two intervals, if left
    out. A ConfigurationError where the rule is not over one metric, or the label values do not fit it.
    """
    if rule.reading is not None or rule.burn_rate is not None:
        raise ConfigurationError("backtest", seen=f"{rule!r}", expected="a rule over one metric")
    given = series if isinstance(series, Mapping) else {(): series}
    by_labels = cast("Mapping[tuple[str, ...], Points]", given)  # a mapping might also be an iterable of points: it is not
    by_values = {values: tuple(points) for values, points in by_labels.items()}
    times = [at for points in by_values.values() for at, _ in points]
    start, end = min(times, default=0.0), max(times, default=0.0)
    simulator = Simulator(rule, wall=start)
    for values, points in by_values.items():
        if len(values) != len(rule.group_by):
            raise ConfigurationError(
                "backtest", seen=f"the label values {values!r}", expected=f"one for each of {rule.group_by}"
            )
        labels = dict(rule.match) | dict(zip(rule.group_by, values, strict=True))
        for (_, before), (at, value) in pairwise((*points[:1], *points)):
            recorded = _increase(before, value) if metric_type is MetricType.COUNTER else value
            simulator.at(at - start, _record, simulator, rule, metric_type, labels, recorded)
    own = rule.time_window + rule.hold + rule.keep_firing + 2 * rule.evaluation_interval
    simulator.advance(end - start + (own if then is None else parse_duration(then)))
    notices = simulator.notices()
    return Backtest(tuple(n.alert for n in notices), tuple(n.kind.value for n in notices), simulator)


def _increase(before: float, value: float) -> float:
    return value - before if value >= before else value


def _record(simulator: Simulator, rule: AlertRule, metric_type: MetricType, labels: Mapping[str, str], value: float) -> None:
    collector, name = simulator.collector(rule.collector or DEFAULT_COLLECTOR), rule.metric_name
    match metric_type:
        case MetricType.COUNTER:
            collector.increment(name, value, labels)
        case MetricType.GAUGE:
            collector.set_gauge(name, value, labels)
        case MetricType.HISTOGRAM:
            collector.record_histogram(name, value, labels)
        case MetricType.TIMER:
            collector.record_timer(name, value, labels)
        case _:
            assert_never(metric_type)
