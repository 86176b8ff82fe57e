"""The chart of a metric: each of its series as a line, or each value of a label."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kailash_monitor.exposition.names import exported_name
from kailash_monitor.metrics import Metric, MetricsRegistry
from kailash_monitor.metrics.curve import Grid
from kailash_monitor.metrics.series import Series
from kailash_monitor.model.durations import format_duration
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.metric import MetricType
from kailash_monitor.promql import ParseError, parse, to_text
from kailash_monitor.promql.source import Pieces
from kailash_monitor.web.charts import Chart, Line, points_for
from kailash_monitor.web.label_filter import EVERYTHING, LabelFilter
from kailash_monitor.web.lines import largest, spreads, statistic_unit, too_many, values_of_group

__all__ = ["MetricView", "chart_of_metric", "matching"]

SHORTEST: Final = 60.0
"""Seconds that a rate or a percentile looks back at least: what comes a few times a minute is no comb."""

GROUPED_AT_ONCE: Final = 500
"""Series whose labels are looked at without a pause."""

MATCHED_AT_ONCE: Final = 10
"""The same where a regular expression of anybody's is tried on them, which may take a third of a millisecond each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricView:
    """What is to be seen of a metric: which statistic, of which series, over how many seconds.

    `match` are the matchers as they were given, `wanted` the same, read. `by` is the label whose values are the lines;
    without one, each series is.
    """

    collector: str
    metric: Metric
    statistic: str
    span: float
    match: str = ""
    wanted: LabelFilter = EVERYTHING
    by: str = ""


def matching(metric: Metric, wanted: LabelFilter) -> Pieces[list[Series]]:
    """Give the series with labels that are wanted."""
    series = metric.series
    if not wanted.demands:
        return series
    found = list[Series]()
    for first in range(0, len(series), MATCHED_AT_ONCE):
        found += [one for one in series[first : first + MATCHED_AT_ONCE] if wanted.matches(one.labels)]
        yield
    return found


def chart_of_metric(view: MetricView, registry: MetricsRegistry) -> Pieces[Chart]:
    """Give the chart of what is asked for, read from the history (see `lines`)."""
    now, offset = registry.clock.now(), registry.snapshot(ask=False).wall_offset
    title = f"{view.metric.name} {view.statistic}" + (f" by {view.by}" if view.by else "")
    series = yield from matching(view.metric, view.wanted)
    groups = yield from _groups(series, view.by)
    if not groups:
        note = "no series matches" if view.metric.series else "nothing was recorded yet"
        return Chart.empty(title, note, end=now + offset, span=view.span)
    places = yield from largest([members for _, members in groups])
    drawn = [groups[place] for place in places]
    size, kind = sum(len(members) for _, members in drawn), view.metric.metric_type
    refusal = too_many(size, kind, spread=spreads(view.statistic, kind))
    if refusal is not None:
        return Chart.empty(title, f"{refusal} by match", end=now + offset, span=view.span)
    grid = Grid.of(now, view.span, points_for(size), SHORTEST)
    lines = list[Line]()
    for labels, members in drawn:
        values = yield from values_of_group(members, view.statistic, grid)
        lines.append(Line(_name(labels, view.by), labels, values))
    if view.statistic in _LOOKS_BACK:
        title = f"{title} over {format_duration(max(1, round(grid.window)))}"
    return Chart(
        title=title,
        unit=statistic_unit(view.statistic, view.metric),
        expr=_expr(view, registry.namespace, grid.window),
        start=now - view.span + offset,
        end=now + offset,
        step=grid.step,
        times=[end + offset for end in grid.ends],
        lines=lines,
        more=len(groups) - len(drawn),
    )


_LOOKS_BACK: Final = frozenset({"rate", "increase", "avg", "min", "max", "p50", "p90", "p95", "p99"})
"""What is read of a window, and not of a moment."""


Group = tuple[Labels, Sequence[Series]]
"""The series that make one line, and what they have in common."""


def _groups(series: Sequence[Series], by: str) -> Pieces[list[Group]]:
    groups: dict[str, list[Series]] = {}
    if not by:
        return [(one.labels, (one,)) for one in series]
    for index, one in enumerate(series, 1):
        groups.setdefault(one.labels.get(by, ""), []).append(one)
        if not index % GROUPED_AT_ONCE:
            yield
    found = list[Group]()
    for index, (value, members) in enumerate(groups.items(), 1):
        found.append((Labels({by: value}), members))
        if not index % GROUPED_AT_ONCE:
            yield
    return found


def _name(labels: Labels, by: str) -> str:
    return labels.get(by, "") or f"no {by}" if by else (repr(labels) if labels != NO_LABELS else "value")


# -- in PromQL ---------------------------------------------------------------------------------------------------------


def _expr(view: MetricView, namespace: str, window: float) -> str | None:
    """Say the same in PromQL; None where it cannot be."""
    name = exported_name(namespace, view.collector, view.metric.metadata).name
    braces = f"{{{view.match}}}" if view.match.strip() else ""
    over = f"{braces}[{max(1, round(window))}s]"
    try:
        return to_text(parse(_text(view, name, braces, over)))
    except ParseError:  # matchers may be written in ways of our own
        return None


def _text(view: MetricView, name: str, braces: str, over: str) -> str:
    by, statistic = f" by ({view.by}) " if view.by else "", view.statistic

    def total(read: str) -> str:
        return f"sum{by}({read})" if by else read

    match view.metric.metric_type:
        case MetricType.COUNTER:
            read = f"{name}{braces}" if statistic == "total" else f"{statistic}({name}{over})"
            return total(read)
        case MetricType.GAUGE:
            read = f"{name}{braces}" if statistic == "value" else f"{statistic}_over_time({name}{over})"
            together = statistic if statistic in ("min", "max") else "avg"
            return f"{together}{by}({read})" if by else read
        case _:
            pass
    count = total(f"rate({name}_count{over})")
    if statistic == "rate":
        return count
    if statistic == "avg":
        return f"{total(f'rate({name}_sum{over})')} / {count}"
    share = 1.0 if statistic == "max" else float(statistic[1:]) / 100
    buckets = f"sum by (le, {view.by}) (rate({name}_bucket{over}))" if by else f"rate({name}_bucket{over})"
    return f"histogram_quantile({share:g}, {buckets})"
