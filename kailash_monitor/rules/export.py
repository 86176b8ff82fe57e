"""Exports: rules of this toolkit as a rule file of Prometheus, which means the same over the metrics of its pages."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from kailash_monitor.errors import InvalidFile, RuleError
from kailash_monitor.model.durations import format_duration
from kailash_monitor.model.metric import MetricType
from kailash_monitor.promql.parser import parse
from kailash_monitor.rules.expressions import ExportedMetric, counts, duration_of, expression_of, tells_absence
from kailash_monitor.rules.level import Level
from kailash_monitor.rules.no_data import NoData
from kailash_monitor.rules.rule import AlertRule
from kailash_monitor.rules.rule_file import AlertingRule, RuleFile, RuleGroup
from kailash_monitor.rules.rule_query import RuleQuery
from kailash_monitor.rules.rule_text import rule_file_text

__all__ = ["PER_PROGRAM", "alerting_rules", "metrics_of", "to_rule_file"]

PER_PROGRAM: Final = ("job", "instance")
"""The labels by which a Prometheus tells the programs apart that it scrapes."""

HEADING: Final[tuple[str, ...]] = (
    "Rules of kailash-monitor for a Prometheus, 2.42 or newer, that scrapes the same metrics. What it does differently:",
    "- Numbers are in base units: seconds, not milliseconds.",
    "- It sees metrics when it scrapes them: a window must hold two scrapes at least, rates and increases are extrapolated,",
    "  the first increment of a series is not seen, percentiles are estimated between the bounds of buckets.",
    "- Where there is no data any more, it takes an alert for resolved; here the alert stays as it is.",
    "- How often people are told again is Alertmanager's repeat_interval.",
)


def to_rule_file(
    rules: Iterable[AlertRule],
    metrics: Iterable[ExportedMetric],
    *,
    groups: Iterable[RuleGroup] = (),
    per: Sequence[str] = PER_PROGRAM,
) -> str:
    """Give the text of a rule file for `rules`, over what is known of `metrics`; the `groups` stand in it as they are.

    Rules of one interval make a group; one that is an expression stays it. A rule of several levels, or of a metric that
    several collectors have, becomes several; what a Prometheus cannot say stands above them as a comment; disabled rules
    are left out. Of many programs that a Prometheus scrapes each is judged by itself, as they are told apart by the labels
    `per`; without these all of them together. An InvalidFile lists the rules that cannot be exported.
    """
    known = list(metrics)
    together: dict[tuple[float, float], list[AlertingRule]] = {}
    problems: list[str] = []
    heading: list[str] = [*HEADING]
    for rule in rules:
        if not rule.enabled:
            heading.append(f"The rule {rule.name!r} is disabled, and left out.")
            continue
        group = rule.evaluation_interval, 0.0 if rule.expr is None else rule.expr.offset
        try:
            together.setdefault(group, []).extend(alerting_rules(rule, known, per=per))
        except RuleError as error:
            problems.append(str(error))
    if problems:
        raise InvalidFile(problems)
    made = [_group(interval, offset, exported) for (interval, offset), exported in together.items()]
    return rule_file_text(RuleFile(tuple(_told_apart([*made, *groups]))), heading if made else ())


def alerting_rules(
    rule: AlertRule, metrics: Sequence[ExportedMetric], *, per: Sequence[str] = PER_PROGRAM
) -> list[AlertingRule]:
    """Give the rule as Prometheus has it: one for each level and collector. A RuleError where it cannot be said."""
    if rule.reading is not None:
        raise _wrong(rule, "reading", "a reading function", "only this program can call it; record what it gives as a gauge")
    if rule.expr is not None:
        return [_as_it_is(rule, rule.expr)]
    return [
        _alerting(rule, level, metric, expression_of(rule, level.threshold, metric, other, per))
        for metric, other in metrics_of(rule, metrics)
        for level in rule.levels
    ]


def metrics_of(rule: AlertRule, metrics: Sequence[ExportedMetric]) -> Iterator[tuple[ExportedMetric, ExportedMetric | None]]:
    """Give, for each collector that has what the rule reads, its metric and the other of a share or a burn rate.

    A RuleError where there is none, or the rule does not fit it.
    """
    known = {(metric.collector, metric.metadata.name): metric for metric in metrics}
    mine = [metric for metric in metrics if metric.metadata.name == rule.metric_name]
    if rule.collector is not None:
        mine = [metric for metric in mine if metric.collector == rule.collector]
    if not mine:
        where = "" if rule.collector is None else f" in the collector {rule.collector!r}"
        raise _wrong(rule, "metric_name", f"the metric {rule.metric_name!r}, which is not known{where}", "record it once")
    for metric in mine:
        _check_fits(rule, metric)
        name = _other(rule, metric)
        if name is not None and (metric.collector, name) not in known:
            raise _wrong(rule, "metric_name", f"{name!r} beside {metric.metadata.name!r}, not known", "record it once")
        yield metric, None if name is None else known[metric.collector, name]


def _other(rule: AlertRule, metric: ExportedMetric) -> str | None:
    if rule.burn_rate is not None:
        return rule.burn_rate.good
    return metric.metadata.share_of if rule.condition.word in ("share", "rate") else None


def _check_fits(rule: AlertRule, metric: ExportedMetric) -> None:
    metadata, condition = metric.metadata, rule.condition
    seen = f"{str(condition)!r} on the {metadata.type.value} {metadata.name!r}"
    if not condition.fits(metadata.type):
        raise _wrong(rule, "condition", seen, f"{condition.word!r} does not fit a {metadata.type.value}")
    if condition.word == "share" and metadata.share_of is None:
        raise _wrong(rule, "condition", seen, "the counter must be declared with share_of=")


def _as_it_is(rule: AlertRule, query: RuleQuery) -> AlertingRule:
    """Give a rule that is an expression; its labels and annotations are templates already."""
    return AlertingRule(
        name=rule.name,
        expr=query.text,
        tree=query.tree,
        for_=rule.hold,
        keep_firing_for=rule.keep_firing,
        labels={"severity": rule.severity.value, **rule.labels},
        annotations={**_description(rule), **rule.annotations},
        comments=tuple(_unsaid(rule)),
    )


def _alerting(rule: AlertRule, level: Level, metric: ExportedMetric, expr: str) -> AlertingRule:
    labels = {"collector": metric.collector, "severity": level.severity.value, **rule.labels}
    return AlertingRule(
        name=rule.name,
        expr=expr,
        tree=parse(expr),
        for_=rule.hold,
        keep_firing_for=rule.keep_firing,
        labels={name: _literal(value) for name, value in labels.items() if name not in rule.group_by},
        annotations={**_description(rule), **{name: _literal(text) for name, text in rule.annotations.items() if name}},
        comments=(*_unsaid_of(rule, level, metric), *_unsaid(rule)),
    )


def _description(rule: AlertRule) -> dict[str, str]:
    return {"description": _literal(rule.description)} if rule.description else {}


def _literal(text: str) -> str:
    """Give a text so that it is itself as a template too."""
    return text.replace("{{", '{{ "{{" }}')


def _unsaid_of(rule: AlertRule, level: Level, metric: ExportedMetric) -> Iterator[str]:
    """Give what a level of a condition says and a Prometheus cannot, as sentences."""
    condition = rule.condition.against(level.threshold)
    if level is not rule.levels[-1]:
        yield "It fires beside the graver level of the same rule; an inhibit rule of Alertmanager keeps it quiet meanwhile."
    if level.clear is not None:
        side = "below" if condition.wants_high else "above"
        yield f"clear: here it fires at {condition} and is over {side} {level.clear:g}; a Prometheus has one threshold."
    if counts(rule, metric) and condition.holds(0.0):
        yield "Here it fires as well where nothing was ever recorded; a Prometheus sees no series then."
    if rule.no_data is NoData.ALERT and not tells_absence(rule, metric):
        yield "no_data: alert. Here the alert fires without data too; a Prometheus needs a rule of its own with absent()."
    if metric.metadata.type is MetricType.GAUGE and condition.word == "avg":
        yield "avg: here of the values that were set; a Prometheus takes the mean of what it scrapes."


def _unsaid(rule: AlertRule) -> Iterator[str]:
    """Give what a rule says beside what it judges, and a Prometheus cannot, as sentences."""
    if rule.max_alerts is not None:
        yield f"max_alerts: here {rule.max_alerts} groups have alerts of their own, and one more counts the rest."
    if rule.flapping is not None:
        period = format_duration(rule.flapping.period)
        yield f"flapping: here an alert that changes {rule.flapping.changes} times in {period} is told as flapping."
    if rule.on_write:
        yield "on_write: here it is judged as soon as the metric is recorded."
    for name in PER_PROGRAM:
        if name in rule.match or name in rule.group_by:
            yield f"The label {name} is called exported_{name} where a Prometheus scrapes without honor_labels."


def _group(interval: float, offset: float, rules: Sequence[AlertingRule]) -> RuleGroup:
    name = f"kailash-monitor-{duration_of(interval)}"
    if offset:
        return RuleGroup(name=name, interval=interval, query_offset=offset, rules=tuple(rules))
    return RuleGroup(name=name, interval=interval, rules=tuple(rules))


def _told_apart(groups: Iterable[RuleGroup]) -> Iterator[RuleGroup]:
    """Give the groups with a number behind each name that was there before: groups of many files may share names."""
    taken: set[str] = set()
    for group in groups:
        name, number = group.name, 1
        while name in taken:
            number += 1
            name = f"{group.name}-{number}"
        taken.add(name)
        yield group if name == group.name else replace(group, name=name)


def _wrong(rule: AlertRule, field: str, seen: str, expected: str) -> RuleError:
    return RuleError(f"rule {rule.name!r}", field=field, seen=seen, expected=expected)
