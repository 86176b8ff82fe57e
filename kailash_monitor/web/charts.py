"""Charts: lines over time with thresholds and spans, as values and as documents."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kailash_monitor.model.alert import Alert
from kailash_monitor.model.severity import AlertSeverity

__all__ = [
    "LEAST_POINTS",
    "MOST_LINES",
    "MOST_POINTS",
    "MOST_SPANS",
    "Chart",
    "Line",
    "Span",
    "Threshold",
    "points_for",
    "rounded",
    "spans_of",
]

MOST_POINTS: Final = 240
"""Points of a line: more than that no page of 360 pixels shows, and no eye tells apart."""

LEAST_POINTS: Final = 24
"""Points of a line where many series are read for it: enough to see how it went."""

MOST_LINES: Final = 10
"""Lines of a chart: more cannot be told apart by colour."""

READS: Final = 120_000
"""Points of all series that are read for a chart: a fraction of a second."""

DIGITS: Final = 6
"""Of a number in a chart, where it is to be drawn and read by people."""

MOST_SPANS: Final = 20
"""Spans of a chart: of an alert that comes and goes, or of a rule with many."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line; a value for each time of its chart, None for a gap."""

    name: str
    labels: Mapping[str, str]
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which value on it is how grave."""

    severity: AlertSeverity
    value: float


@dataclass(frozen=True, slots=True)
class Span:
    """When an alert was "pending" or "firing", in Unix seconds; without an end, it is so still."""

    state: str
    begin: float
    end: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over the same times, in Unix seconds. `more` lines were left out; `note` says why there are none, or less.

    `expr` says the same in PromQL, over the exported names and in their base units; None where that cannot be.
    """

    title: str
    unit: str | None
    expr: str | None
    start: float
    end: float
    step: float
    times: Sequence[float]
    lines: Sequence[Line]
    more: int = 0
    thresholds: Sequence[Threshold] = ()
    spans: Sequence[Span] = ()
    note: str | None = None

    @classmethod
    def empty(cls, title: str, note: str, *, end: float, span: float, expr: str | None = None) -> "Chart":
        """Give a chart without lines, which says why."""
        start, step = end - span, span / MOST_POINTS
        return cls(title=title, unit=None, expr=expr, start=start, end=end, step=step, times=(), lines=(), note=note)

    def marked(self, thresholds: Sequence[Threshold], spans: Sequence[Span] = ()) -> "Chart":
        """Give the same chart with thresholds, and with the spans that lie in its time."""
        seen = [span for span in spans if span.end is None or span.end > self.start]
        limits = [one for one in thresholds if math.isfinite(one.value)]
        return replace(self, thresholds=limits, spans=seen[:MOST_SPANS])

    def document(self, at: str) -> dict[str, object]:
        """Give it as plain data for JSON."""
        return {
            "at": at,
            "title": self.title,
            "unit": self.unit,
            "expr": self.expr,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "step": round(self.step, 3),
            "times": [round(time, 3) for time in self.times],
            "series": [
                {"name": line.name, "labels": dict(line.labels), "values": [*map(rounded, line.values)]}
                for line in self.lines
            ],
            "more": self.more,
            "thresholds": [{"severity": one.severity.value, "value": one.value} for one in self.thresholds],
            "spans": [
                {"state": span.state, "from": round(span.begin, 3), "to": None if span.end is None else round(span.end, 3)}
                for span in self.spans
            ],
            **({} if self.note is None else {"note": self.note}),
        }


def points_for(series: int) -> int:
    """Give how many points a line is to have where so many series are read for the chart."""
    return max(LEAST_POINTS, min(MOST_POINTS, READS // max(series, 1)))


def rounded(value: float | None) -> float | None:
    """Give a number as it is drawn: with a few digits; None for what is no number, or endless."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")


def spans_of(alerts: Sequence[Alert]) -> list[Span]:
    """Give when these alerts were pending and fired, the newest first."""
    spans = list[Span]()
    for alert in alerts:
        created, fired, resolved = map(_unix, (alert.created_at, alert.fired_at, alert.resolved_at))
        if created is not None and (fired is None or fired > created):
            spans.append(Span("pending", created, resolved if fired is None else fired))
        if fired is not None:
            spans.append(Span("firing", fired, resolved))
    return sorted(spans, key=lambda span: span.begin, reverse=True)


def _unix(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
