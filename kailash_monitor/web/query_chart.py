"""The chart of an expression: evaluated again and again over the live history."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from kailash_monitor.engine.queries import LocalQueries
from kailash_monitor.promql import EvaluationError, Expression, LabelMatcher, ParseError, Selector, to_text, walk
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.query import ranged
from kailash_monitor.promql.samples import Matrix, Samples
from kailash_monitor.promql.source import Pieces, Series, Source
from kailash_monitor.web.charts import LEAST_POINTS, MOST_LINES, MOST_POINTS, Chart, Line

__all__ = ["CountingSource", "chart_of_query"]

READS: Final = 60_000
"""Values of series that are read for a chart: a fraction of a second."""


def chart_of_query(
    tree: Expression,
    queries: LocalQueries,
    span: float,
    *,
    title: str,
    keep: Callable[[Mapping[str, str]], bool] = lambda _: True,
    wants_high: bool = True,
    series: int | None = None,
) -> Pieces[Chart]:
    """Give the chart of the last `span` seconds, of the series whose labels are to be kept.

    Of many, those are drawn that are the largest at the end, or the smallest, as `wants_high` says. Where it cannot be
    evaluated, or would take too long, the chart is empty and says why. `series` is how many it reads, if that is known.
    """
    source, now = queries.source(strict=False, even=True)
    text = to_text(tree)
    end = now / 1000
    if series is None:
        counted = CountingSource(source)
        yield from _select(tree, counted, now, span)
        series = counted.series
    if series * LEAST_POINTS > READS:
        most = READS // LEAST_POINTS
        note = f"it reads {series:,} series, too many to be shown over time: {most:,} at most"
        return Chart.empty(title, note, end=end, span=span, expr=text)
    points = max(LEAST_POINTS, min(MOST_POINTS, READS // max(series, 1)))
    step = max(1, round(span * 1000 / points))
    begin = now - (points - 1) * step
    try:
        result = yield from ranged(tree, text, source, begin, now, step)
    except (EvaluationError, ParseError) as error:  # a duration that only the evaluation could tell
        return Chart.empty(title, str(error), end=end, span=span, expr=text)
    found = [one for one in cast("Matrix", result.value) if keep(one[0].labels)]
    found.sort(key=lambda one: _rank(one[1], now, wants_high=wants_high))
    yield
    drawn = found[:MOST_LINES]
    return Chart(
        title=title,
        unit=None,
        expr=text,
        start=end - span,
        end=end,
        step=step / 1000,
        times=[(begin + number * step) / 1000 for number in range(points)],
        lines=[Line(_name(labels), labels.labels, _values(read, begin, step, points)) for labels, read in drawn],
        more=len(found) - len(drawn),
        note=None if found else "it gives nothing in this time",
    )


class CountingSource:
    """Another source, which counts the series that it gives. Mutable: by whoever asks it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.series = 0

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[Series]]:
        """Give the series of the other one."""
        found = yield from self._source.select(matchers, start, end)
        self.series += len(found)
        return found


def _select(tree: Expression, source: Source, now: int, span: float) -> Pieces[None]:
    """Have the selectors of an expression find their series."""
    for node in walk(tree):
        if isinstance(node, Selector):
            yield from source.select(node.demands(), now - round(span * 1000), now)
            yield


def _values(read: Samples, begin: int, step: int, points: int) -> Sequence[float | None]:
    values: list[float | None] = [None] * points
    for time, value in zip(read.times, read.values, strict=True):
        values[(time - begin) // step] = value
    return values


def _rank(read: Samples, now: int, *, wants_high: bool) -> tuple[bool, float]:
    """Put first what has a value now, and of these the worst."""
    last = read.values[-1] if read.times[-1] == now and not math.isnan(read.values[-1]) else None
    return (last is None, 0.0 if last is None else -last if wants_high else last)


def _name(labels: LabelSet) -> str:
    """Give what a series is called: its labels, or the metric's name where it has no others."""
    own = labels.labels
    others = ", ".join([f'{name}="{value}"' for name, value in own.items() if name != "__name__"])
    return f"{{{others}}}" if others else own.get("__name__", "value")
