"""Expressions: what a condition says of a metric, in PromQL over the names by which pages call it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, assert_never

from kailash_monitor.errors import RuleError
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.model.metric import Metadata, MetricType
from kailash_monitor.promql.durations import duration_text
from kailash_monitor.promql.numbers import number_text
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.rules.budget import BurnRate
from kailash_monitor.rules.condition import COMPARATORS
from kailash_monitor.rules.no_data import NoData
from kailash_monitor.rules.rule import AlertRule

__all__ = ["ExportedMetric", "counts", "duration_of", "expression_of", "reading_of", "tells_absence"]

LOWEST: Final = "0.000000001"
"""A quantile so small that it is where the lowest bucket with anything in it begins; at 0 it is no number where the first
bucket is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedMetric:
    """A metric of one collector as pages show it: `name` without the suffixes of a histogram's lines, numbers divided by
    `divisor`. `bounds` are a distribution's, without the infinite one and not divided.
    """

    collector: str
    metadata: Metadata
    name: str
    divisor: float = 1.0
    bounds: Sequence[float] = ()


def expression_of(
    rule: AlertRule, threshold: float, metric: ExportedMetric, other: ExportedMetric | None, per: Sequence[str]
) -> str:
    """Give what is true where `rule` breaches `threshold` on `metric`, one series for each of its alerts.

    `other` is what a share or a burn rate is told by beside it: the whole, or what went well. Programs that differ in the
    labels `per` are judged each by itself. A RuleError says what pages do not tell.
    """
    number = _Numbers(rule, threshold)
    return _said(number, metric, other, _Scope(rule, per)).breach(number)


def reading_of(
    rule: AlertRule, metric: ExportedMetric, other: ExportedMetric | None, group: Mapping[str, str] = NO_LABELS
) -> str:
    """Give what `rule` reads of `metric`, whether it breaches or not: one series for each of its groups, or `group` alone.

    It is in base units: seconds, where the rule may judge milliseconds. A RuleError says what pages do not tell.
    """
    return _said(_Numbers(rule, None), metric, other, _Scope(rule, (), group)).reading


def _said(number: "_Numbers", metric: ExportedMetric, other: ExportedMetric | None, scope: "_Scope") -> "_Said":
    rule = number.rule
    if rule.burn_rate is not None:
        assert other is not None  # whoever asks has looked it up
        return _burn_rate(rule.burn_rate, metric, other, scope)
    match metric.metadata.type:
        case MetricType.COUNTER:
            return _counter(rule.condition.word, number, metric, other, scope)
        case MetricType.GAUGE:
            return _gauge(rule.condition.word, number, metric, scope)
        case MetricType.HISTOGRAM | MetricType.TIMER:
            return _distribution(rule.condition.word, number, metric, scope)
        case unknown:
            assert_never(unknown)


def tells_absence(rule: AlertRule, metric: ExportedMetric) -> bool:
    """Whether the rule alerts without data, and its expression can say so: of a gauge as a whole."""
    return rule.no_data is NoData.ALERT and metric.metadata.type is MetricType.GAUGE and not rule.group_by


def counts(rule: AlertRule, metric: ExportedMetric) -> bool:
    """Whether the rule reads what only becomes more, and is 0 where nothing was recorded."""
    if metric.metadata.type is MetricType.COUNTER:
        compared = rule.burn_rate is not None or (rule.condition.word == "rate" and metric.metadata.share_of is not None)
        return not compared and rule.condition.word != "share"
    return metric.metadata.type is not MetricType.GAUGE and rule.condition.word in _GROWING


def duration_of(seconds: float) -> str:
    """Give a duration as Prometheus reads it: in whole milliseconds, one at least."""
    return duration_text(max(round(seconds * 1000), 1) / 1000) or "1ms"


class _Scope:
    """Which series a rule reads, over which time, and how they are put together."""

    def __init__(self, rule: AlertRule, per: Sequence[str], group: Mapping[str, str] = NO_LABELS) -> None:
        self.per = _by(*per)
        self.on = f"on ({_listed(per)})"
        self.by = _by(*per, *rule.group_by)
        self.by_bucket = _by("le", *per, *rule.group_by)
        self.window = rule.time_window
        self._match = ", ".join(f"{name}={quoted(value)}" for name, value in {**rule.match, **group}.items())
        self._has_zero = bool(rule.match) and not rule.group_by

    def latest(self, name: str) -> str:
        return f"{name}{{{self._match}}}" if self._match else name

    def over(self, name: str, seconds: float | None = None) -> str:
        return f"{self.latest(name)}[{duration_of(self.window if seconds is None else seconds)}]"

    def total(self, function: str, name: str, seconds: float | None = None) -> str:
        """What a counter did, its series added up."""
        return f"sum{self.by}({function}({self.over(name, seconds)}))"

    def zero(self, name: str) -> str:
        """What stands for series that nobody has recorded yet; empty where nothing can."""
        return f" or sum{self.per}({name}) * 0" if self._has_zero else ""

    def covered(self, name: str) -> str:
        """Demands that the history reaches back to the start of the window: else a small increase proves nothing."""
        return f"\nand {self.on} group{self.per}({name} offset {duration_of(self.window)})"


_NO_LABELS: Final = frozenset({"without", "inf", "nan"})
"""What means something else in a list of labels, unless it stands in quotes."""


def _listed(names: Iterable[str]) -> str:
    return ", ".join([quoted(name) if name.lower() in _NO_LABELS else name for name in dict.fromkeys(names)])


def _by(*names: str) -> str:
    return f" by ({_listed(names)}) " if names else ""


class _Numbers:
    """A comparator and its threshold; none where only what is read is to be said."""

    def __init__(self, rule: AlertRule, threshold: float | None) -> None:
        self.rule = rule
        self.comparator = rule.condition.comparator
        self.threshold = threshold

    def compared(self, divisor: float = 1.0) -> str:
        assert self.threshold is not None  # a breach is said
        return f"{self.comparator} {number_text(self.threshold / divisor)}"

    @property
    def zero_breaches(self) -> bool:
        return self.threshold is not None and COMPARATORS[self.comparator](0.0, self.threshold)

    @property
    def holds_below(self) -> bool:
        """Whether what is known so far may breach, and the whole truth not."""
        return self.comparator not in (">", ">=")

    def refused(self, seen: str, expected: str) -> RuleError:
        return RuleError(f"rule {self.rule.name!r}", field="condition", seen=seen, expected=expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What is read, as an expression in base units, and how it is compared.

    `compared` is what stands on the left of the comparison, `{}` for the comparison itself where it does not stand behind;
    `tail` is what is demanded besides. Where several are, `parts` are all that must breach.
    """

    reading: str
    divisor: float = 1.0
    compared: str = ""
    tail: str = ""
    parts: tuple[str, ...] = ()

    def breach(self, number: _Numbers) -> str:
        """Give what is true where it breaches."""
        comparison = number.compared(self.divisor)
        if self.parts:
            return "\nand ".join([f"{part} {comparison}" for part in self.parts]) + self.tail
        left = self.compared or self.reading
        said = left.replace(_COMPARISON, comparison) if _COMPARISON in left else f"{left} {comparison}"
        return f"{said}{self.tail}"


_COMPARISON: Final = "\0"
"""Where a comparison stands within an expression; no expression has this character."""


def _counter(word: str, number: _Numbers, metric: ExportedMetric, other: ExportedMetric | None, scope: _Scope) -> _Said:
    if other is not None and word in ("rate", "share"):
        return _share(number, metric, other, scope)
    if word == "latest":
        return _Said(reading=f"sum{scope.by}({scope.latest(metric.name)})", divisor=metric.divisor)
    function = "rate" if word in _PER_SECOND else "increase"
    return _growing(function, number, metric.name, metric.divisor, scope)


_PER_SECOND: Final = ("rate", "per_second")


def _growing(function: str, number: _Numbers, name: str, divisor: float, scope: _Scope) -> _Said:
    """What only becomes more, and is 0 where nothing was recorded."""
    value = scope.total(function, name)
    zero = scope.zero(name) if number.zero_breaches else ""
    covered = scope.covered(name) if number.holds_below else ""
    return _Said(reading=value, divisor=divisor, compared=f"({value}{zero})" if zero else "", tail=covered)


def _share(number: _Numbers, part: ExportedMetric, whole: ExportedMetric, scope: _Scope) -> _Said:
    of_part, of_whole = scope.total("rate", part.name), scope.total("rate", whole.name)
    or_none = f"({of_part} or {of_whole} * 0) / {of_whole}"  # a part that nobody has recorded is none of the whole
    return _Said(
        reading=or_none,
        divisor=part.divisor / whole.divisor,
        compared=or_none if number.zero_breaches else f"{of_part} / {of_whole}",
        tail=_not_empty(number, of_whole),
    )


def _not_empty(number: _Numbers, count: str) -> str:
    """Demands that there is something to judge: NaN, which stands for nothing, differs from every number."""
    return f"\nand {count} > 0" if number.comparator == "!=" else ""


_OVER_TIME: Final = {"avg": "avg_over_time", "min": "min_over_time", "max": "max_over_time"}


def _gauge(word: str, number: _Numbers, metric: ExportedMetric, scope: _Scope) -> _Said:
    """Every series is judged and the worst kept."""
    if word in ("sum", "count"):
        raise number.refused(
            f"{str(number.rule.condition)!r} on the gauge {metric.metadata.name!r}",
            "pages do not tell how often a gauge was set; use avg, min, max or latest",
        )
    series = scope.over(metric.name)
    if word in _PER_SECOND:
        value = f"delta({series}) / {number_text(scope.window)}"
    else:
        value = f"{_OVER_TIME[word]}({series})" if word in _OVER_TIME else scope.latest(metric.name)
    absent = f"\nor absent({scope.latest(metric.name)})" if tells_absence(number.rule, metric) else ""
    each = f"max{scope.by}({value} {_COMPARISON})" if number.comparator in ("==", "!=") else ""
    worst = "max" if number.rule.condition.wants_high else "min"
    return _Said(reading=f"{worst}{scope.by}({value})", divisor=metric.divisor, compared=each, tail=absent)


def _distribution(word: str, number: _Numbers, metric: ExportedMetric, scope: _Scope) -> _Said:
    growing = _GROWING.get(word)
    if growing is not None:
        function, suffix = growing
        return _growing(function, number, f"{metric.name}{suffix}", metric.divisor if suffix == "_sum" else 1.0, scope)
    if word in ("", "latest"):
        raise number.refused(
            f"{str(number.rule.condition)!r} on the {metric.metadata.type.value} {metric.metadata.name!r}",
            "pages do not tell the last observation; use avg, max or a percentile",
        )
    count = scope.total("rate", f"{metric.name}_count")
    if word == "avg":
        value = f"{scope.total('rate', f'{metric.name}_sum')} / {count}"
    else:
        _check_bounds(number, metric)
        buckets = f"sum{scope.by_bucket}(rate({scope.over(f'{metric.name}_bucket')}))"
        value = f"histogram_quantile({_quantile(word)}, {buckets})"
    return _Said(reading=value, divisor=metric.divisor, tail=_not_empty(number, count))


_GROWING: Final = {
    **dict.fromkeys(_PER_SECOND, ("rate", "_count")),
    **dict.fromkeys(("increase", "count"), ("increase", "_count")),
    "sum": ("increase", "_sum"),
}
"""What is read of a distribution that grows with each observation: by which function, of which of its lines."""


def _quantile(word: str) -> str:
    share = Decimal({"min": "0", "max": "100"}.get(word, word[1:])) / 100
    return f"{share.normalize():f}" if share else LOWEST


def _check_bounds(number: _Numbers, metric: ExportedMetric) -> None:
    """Buckets tell nothing of what is above their last bound, so that a threshold must lie below it."""
    if number.threshold is None:
        return
    last = metric.bounds[-1] if metric.bounds else 0.0
    at_last = number.comparator in (">", "<=")
    if number.threshold > last or (at_last and number.threshold == last) or not metric.bounds:
        raise number.refused(
            f"{str(number.rule.condition.against(number.threshold))!r}, and {last:g} as the last bound of the metric",
            "buckets tell nothing of what is above it; declare the metric with bounds beyond the threshold",
        )


def _burn_rate(budget: BurnRate, total: ExportedMetric, good: ExportedMetric, scope: _Scope) -> _Said:
    def burn(seconds: float) -> str:
        of_good, of_total = [scope.total("rate", metric.name, seconds) for metric in (good, total)]
        share = f"({of_good} or {of_total} * 0) / {of_total}"
        return f"(1 - {share}) / (1 - {number_text(budget.objective)})"

    long, short = burn(budget.long), burn(budget.short)
    events = f"{scope.total('increase', total.name, budget.long)} >= {budget.min_events}"
    smaller = f"({long}) < ({short})\nor {short}"
    return _Said(reading=smaller, parts=(long, short), tail=f"\nand {events}")
