"""The chart of a rule's condition: what the rule read, or would have read, at each time.

It is read from the history, as the rule itself reads it and in its unit: the word of the condition over a window of about
`time_window`, for each of its label groups. What a Prometheus would make of buckets and scrapes is another thing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, cast

from kailash_monitor.errors import RuleError
from kailash_monitor.metrics import Metric, MetricsCollector, MetricsRegistry
from kailash_monitor.metrics.curve import Grid
from kailash_monitor.metrics.series import Series
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.window import CounterWindow, DistributionWindow, GaugeWindow
from kailash_monitor.promql.source import Pieces
from kailash_monitor.rules import AlertRule, Reading, Value, check_fits
from kailash_monitor.rules.ratio import burn_rate_of, check_comparable, share_of
from kailash_monitor.rules.words import of_counter, of_distribution, of_gauge, worst
from kailash_monitor.web.charts import MOST_LINES, Chart, Line, points_for
from kailash_monitor.web.lines import added_up, each_gauge, largest, too_many

__all__ = ["Place", "chart_of_condition", "unit_of"]


GROUPS_AT_ONCE: Final = 500
"""Groups that are looked at without a pause."""


class Place(NamedTuple):
    """Where one alert of a rule is: in which collector, and of which label group."""

    collector: str
    group: Labels


@dataclass(frozen=True, slots=True)
class _Read:
    """What a rule reads in one place: series of its metric and, where it is `compared`, of the other counter: of the whole,
    or, for a burn rate, of what went well.
    """

    place: Place
    metric: Metric
    series: Sequence[Series]
    other: Sequence[Series] = ()
    compared: bool = False


Values = list[float | None]


def chart_of_condition(
    rule: AlertRule,
    registry: MetricsRegistry,
    span: float,
    *,
    title: str,
    expr: str | None = None,
    only: Place | None = None,
    first: Iterable[Place] = (),
) -> Pieces[Chart]:
    """Give the chart of the last `span` seconds: of all groups of a rule, those of `first` before others, or `only` of one.

    Where it reads no metric, or one that is not there, the chart is empty and says why.
    """
    now, offset = registry.clock.now(), registry.snapshot(ask=False).wall_offset
    try:
        reads = yield from _reads(rule, registry.get_all_collectors(), only)
    except RuleError as error:
        return Chart.empty(title, str(error), end=now + offset, span=span, expr=expr)
    if not reads:
        note = _why_nothing(rule, only)
        return Chart.empty(title, note, end=now + offset, span=span, expr=expr)
    drawn = yield from _drawn(reads, first)
    size = sum(len(one.series) + len(one.other) for one in drawn)
    refusal = too_many(size, reads[0].metric.metric_type, spread=_spreads(rule, reads[0].metric))
    if refusal is not None:
        return Chart.empty(title, f"{refusal} by the rule's match or group_by", end=now + offset, span=span, expr=expr)
    grid = Grid.of(now, span, points_for(size), rule.time_window)
    lines = list[Line]()
    several = len({one.place.collector for one in reads}) > 1
    for one in drawn:
        values, share = (yield from _values(rule, one, grid, now)), _share(rule, one.metric, grid)
        read = [None if value is None else value * share for value in values]
        lines.append(Line(_name(rule, one.place, several=several), _labels(one.place), read))
    return Chart(
        title=title,
        unit=unit_of(rule, reads[0].metric),
        expr=expr,
        start=now - span + offset,
        end=now + offset,
        step=grid.step,
        times=[end + offset for end in grid.ends],
        lines=lines,
        more=len(reads) - len(drawn),
    )


_COUNTS: Final = frozenset({"count", "increase"})
_PER_SECOND: Final = frozenset({"rate", "per_second"})


def unit_of(rule: AlertRule, metric: Metric) -> str | None:
    """Give the unit of what a rule reads; None where it is a share, a burn rate or a mere number."""
    word, unit = rule.condition.word, metric.metadata.unit
    counter = metric.metric_type is MetricType.COUNTER
    if rule.burn_rate is not None or (metric.metadata.share_of is not None and word in ("rate", "share")):
        return None
    if word in _PER_SECOND:
        return f"{unit if counter or metric.metric_type is MetricType.GAUGE else ''}/s"
    return None if word in _COUNTS and not counter else unit or None


def _why_nothing(rule: AlertRule, only: Place | None) -> str:
    if rule.reading is not None:
        return "the rule judges what a function of the program answers, of which no history is kept"
    if only is not None and only.group:
        return "nothing is known any more of the series that the alert is about"
    where = "" if rule.collector is None else f" of the collector {rule.collector!r}"
    return f"the metric {rule.metric_name!r}{where} was not recorded yet"


def _name(rule: AlertRule, place: Place, *, several: bool) -> str:
    text = ", ".join(place.group.values()) if place.group else ""
    return f"{place.collector} {text}".rstrip() if several or not text else text


def _labels(place: Place) -> Mapping[str, str]:
    return {"collector": place.collector, **place.group}


# -- what is read ------------------------------------------------------------------------------------------------------


def _reads(rule: AlertRule, collectors: Mapping[str, MetricsCollector], only: Place | None) -> Pieces[list[_Read]]:
    """Give what the rule reads, place by place. A RuleError where it does not fit its metric."""
    found = list[_Read]()
    for name, collector in collectors.items():
        metric = collector.get_metric(rule.metric_name) if rule.metric_name else None
        if metric is None or rule.collector not in (None, name) or (only is not None and only.collector != name):
            continue
        check_fits(rule, metric)
        other = _other(rule, metric, collector)
        if only is not None and only.group:
            narrowed = {**rule.match, **only.group}
            series = metric.select(narrowed)
            whole = () if other is None else tuple(other.select(narrowed))
            if series or whole:  # of a share, nothing may have been counted but the whole
                found.append(_Read(only, metric, series, whole, other is not None))
            continue
        groups = yield from _groups(rule, metric)
        others_by_group = {} if other is None else (yield from _groups(rule, other))
        for number, group in enumerate(groups if other is None else {**groups, **others_by_group}, 1):
            if not number % GROUPS_AT_ONCE:
                yield
            members, compared = groups.get(group, ()), others_by_group.get(group, ())
            found.append(_Read(Place(name, group), metric, members, compared, other is not None))
    yield
    return found


def _other(rule: AlertRule, metric: Metric, collector: MetricsCollector) -> Metric | None:
    """Give the other counter of a share or a burn rate: the whole, or what went well."""
    share_of = metric.metadata.share_of if rule.condition.word in ("share", "rate") else None
    name = share_of if rule.burn_rate is None else rule.burn_rate.good
    other = None if name is None else collector.get_metric(name)
    if name is not None and other is None:
        expected = "record that one as well"
        raise RuleError(f"rule {rule.name!r}", field="metric_name", seen=f"{name!r}, which is not there", expected=expected)
    if other is not None:
        check_comparable(rule, metric, other)
    return other


def _groups(rule: AlertRule, metric: Metric) -> Pieces[Mapping[Labels, Sequence[Series]]]:
    while metric.prepare(rule.match, rule.group_by):
        yield
    groups = metric.groups(rule.match, rule.group_by)
    yield
    return groups if groups or rule.group_by else {NO_LABELS: ()}


def _drawn(reads: Sequence[_Read], first: Iterable[Place]) -> Pieces[list[_Read]]:
    """Give what is drawn: what has alerts before others, then the largest."""
    urgent, chosen, others = {*first}, list[_Read](), list[_Read]()
    for number, one in enumerate(reads, 1):
        (chosen if one.place in urgent else others).append(one)
        if not number % GROUPS_AT_ONCE:
            yield
    room = MOST_LINES - len(chosen)
    if room <= 0:
        return chosen[:MOST_LINES]
    places = yield from largest([one.series for one in others])
    return [*chosen, *(others[place] for place in places)][:MOST_LINES]


# -- what comes of it --------------------------------------------------------------------------------------------------


def _values(rule: AlertRule, read: _Read, grid: Grid, now: float) -> Pieces[Values]:
    if rule.burn_rate is not None or read.compared:
        return (yield from _compared(rule, read, grid))
    condition = rule.condition
    if read.metric.metric_type is MetricType.GAUGE:
        of_one: Callable[[GaugeWindow], Reading] = of_gauge(condition)
        worst_of = partial(worst, condition)  # as the rule has it
        given = yield from each_gauge(read.series, grid, of_one, spread=_spreads(rule, read.metric), join=worst_of)
        readings = cast("list[list[Reading]]", given)  # mypy joins what it is a union of
        return [_number(worst_of(some)) if some else None for some in readings]
    start = now - grid.window
    judge: Callable[[Any], Reading]  # Any: a window of its type
    if read.metric.metric_type is MetricType.COUNTER:
        judge = cast("Callable[[Any], Reading]", of_counter(condition, CounterWindow(start, now, start)))  # Any: as above
    else:
        distribution = DistributionWindow(start, now, start)
        judge = cast("Callable[[Any], Reading]", of_distribution(condition, distribution))  # Any: as above
    spread = _spreads(rule, read.metric)
    return (yield from added_up(read.series, grid, lambda window: _number(judge(window)), spread=spread))


def _share(rule: AlertRule, metric: Metric, grid: Grid) -> float:
    """Give which share of a reading over a window of the grid is that of the rule, whose window may be far shorter: where a
    day is shown, a step is six minutes, in which six times as much is added up as in one.
    """
    word = rule.condition.word
    adds_up = word in _ADDED_UP or (not word and metric.metric_type is MetricType.COUNTER)
    return rule.time_window / grid.window if adds_up and rule.burn_rate is None else 1.0


_ADDED_UP: Final = frozenset({"increase", "count", "sum"})


def _spreads(rule: AlertRule, metric: Metric) -> bool:
    """Whether the rule reads more than sums and values: extremes or percentiles."""
    word = rule.condition.word
    if metric.metric_type is MetricType.GAUGE:
        return word not in ("", "latest", *_PER_SECOND)
    return rule.condition.percentile is not None or word in ("min", "max")


def _compared(rule: AlertRule, read: _Read, grid: Grid) -> Pieces[Values]:
    """A share of the whole, or the smaller of the burn rates over both windows."""
    budget = rule.burn_rate
    if budget is None:
        parts, wholes = (yield from _counters(read.series, grid)), (yield from _counters(read.other, grid))
        return _by_point(lambda part, whole: share_of(part[0], whole[0]), [parts], [wholes])
    span, goods, totals = grid.step * grid.points, list[Counted](), list[Counted]()
    for seconds in (budget.long, budget.short):
        one = Grid.of(grid.end, span, grid.points, seconds)
        goods.append((yield from _counters(read.other, one)))
        totals.append((yield from _counters(read.series, one)))
    return _by_point(lambda good, total: burn_rate_of(rule.condition, budget, good, total), goods, totals)


Counted = Sequence[CounterWindow | None]
"""The windows of counters, one for each point."""


def _by_point(
    judge: Callable[[Sequence[CounterWindow], Sequence[CounterWindow]], Reading],
    parts: Sequence[Counted],
    wholes: Sequence[Counted],
) -> Values:
    found: Values = []
    for ones in zip(*parts, *wholes, strict=True):
        known = [one for one in ones if one is not None]
        judged = judge(known[: len(parts)], known[len(parts) :]) if len(known) == len(ones) else None
        found.append(None if judged is None else _number(judged))
    return found


def _counters(group: Sequence[Series], grid: Grid) -> Pieces[Counted]:
    """Give the windows of counters together; of none, those of a counter that did not rise."""
    if group:
        return (yield from added_up(group, grid, lambda window: cast("CounterWindow", window), spread=False))
    yield
    return [CounterWindow(end - grid.window, end, end - grid.window) for end in grid.ends]


def _number(reading: Reading) -> float | None:
    return reading.value if isinstance(reading, Value) else None
