"""The charts of the API: what an alert is about, what a rule reads, and what one that is still to be written would."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

from kailash_monitor.alerting.trouble import OWN
from kailash_monitor.engine.book import OVERFLOW
from kailash_monitor.engine.exported import exported_metric
from kailash_monitor.engine.views import AlertView
from kailash_monitor.errors import ConfigurationError, RuleError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.promql.source import Pieces
from kailash_monitor.rules import AlertRule
from kailash_monitor.rules.expressions import ExportedMetric
from kailash_monitor.rules.reading_expression import compared, reading_expression
from kailash_monitor.web.body import seen
from kailash_monitor.web.charts import MOST_LINES, MOST_SPANS, Chart, Threshold, spans_of
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.listing import Query, asked_text, check_names
from kailash_monitor.web.metrics_api import asked_range
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.query_chart import chart_of_query
from kailash_monitor.web.routes import Route
from kailash_monitor.web.rule_chart import Place, chart_of_condition
from kailash_monitor.web.trial import Trial, trial_of_condition, trial_of_expression
from kailash_monitor.web.turns import Turns, Unknown, in_time

__all__ = ["ChartsApi"]

_OWN: Final = "an alert of the toolkit's own: it reads no metric"

MARKED: Final = 50
"""Alerts of a rule that its chart may mark, the most urgent: it has room for fewer, and a rule may have thousands."""

_CONDITION: Final = ("metric", "collector", "condition", "threshold", "window")


class ChartsApi:
    """`/api/alerts/<id>/chart`, `/api/rules/<name>/chart` and `/api/try`; `routes` has it all.

    Conditions are read from the history as rules read them, in the rule's unit; expressions are evaluated over the live
    series, in base units.
    """

    def __init__(self, manager: Monitored) -> None:
        self._manager = manager
        self._registry = manager.metrics_registry
        self._turns: Final = Turns()
        self._trials: Final = Turns()  # of their own: an alert's chart must not wait for what anybody tries
        self.routes: Final = (
            Route("GET", "/api/alerts/<id>/chart", in_time(self._alert)),
            Route("GET", "/api/rules/<id>/chart", in_time(self._rule)),
            Route("GET", "/api/try", in_time(self._try)),
        )

    async def _alert(self, request: Request, alert_id: str) -> Response:
        check_names(request.query, ("range",))
        chart = await self._turns.work(self._chart_of_alert(alert_id, asked_range(request.query)))
        return self._shown(chart)

    async def _rule(self, request: Request, name: str) -> Response:
        check_names(request.query, ("range",))
        chart = await self._turns.work(self._chart_of_rule(name, asked_range(request.query)))
        return self._shown(chart)

    async def _try(self, request: Request, _: str) -> Response:
        query = request.query
        check_names(query, ("expr", *_CONDITION, "range"))
        span, text = asked_range(query), asked_text(query, "expr")
        beside = [name for name in _CONDITION if name in query and asked_text(query, name)]
        if text and beside:
            raise ConfigurationError(
                "the request",
                field=beside[0],
                seen=f"{beside[0]} beside expr",
                expected="either an expression or a condition",
            )
        pieces = trial_of_expression(text, self._manager.local_queries, span) if text else self._condition(query, span)
        trial = await self._trials.work(pieces)
        return Response.json(trial.document(self._at()))

    # -- charts --------------------------------------------------------------------------------------------------------

    def _chart_of_alert(self, alert_id: str, span: float) -> Pieces[Chart]:
        """Give the chart of what an alert is about, as its rule stood when it was last judged."""
        views = yield from self._views(lambda view: view.id == alert_id)
        if not views:
            raise Unknown(f"no alert {seen(alert_id)}")
        alert, incident = views[0].alert, views[0].incident
        rule, key = incident.rule, incident.key
        if key.group == OVERFLOW:  # it counts what is too many for max_alerts
            return (yield from self._chart_of_rule(key.rule, span))
        if rule.name in OWN:
            chart = Chart.empty(alert.title, _OWN, end=self._wall(), span=span)
        elif rule.expr is not None:
            read, keep = compared(rule.expr.tree), partial(_is_about, rule, alert.labels)
            queries, high = self._manager.local_queries, read.wants_high
            chart = yield from chart_of_query(read.tree, queries, span, title=alert.title, keep=keep, wants_high=high)
        else:
            place, expr = Place(key.collector, key.group), self._expression(rule, key.group)
            title = alert.title
            chart = yield from chart_of_condition(rule, self._registry, span, title=title, expr=expr, only=place)
        return chart.marked(_thresholds(rule), spans_of([alert]))

    def _chart_of_rule(self, name: str, span: float) -> Pieces[Chart]:
        """Give the chart of what a rule reads, what has alerts before the rest."""
        rule = next((status.rule for status in self._manager.rule_status() if status.rule.name == name), None)
        if rule is None:
            raise Unknown(f"no rule {seen(name)}")
        yield
        views = yield from self._views(lambda view: view.incident.key.rule == name)
        views.sort(key=lambda view: (view.status is AlertStatus.RESOLVED, -view.since))
        if rule.expr is not None:
            read = compared(rule.expr.tree)
            queries, high = self._manager.local_queries, read.wants_high
            chart = yield from chart_of_query(read.tree, queries, span, title=name, wants_high=high)
        else:
            active = [view.incident.key for view in views if view.status is not AlertStatus.RESOLVED][:MOST_LINES]
            first = [Place(key.collector, key.group) for key in active]
            expr = self._expression(rule, NO_LABELS)
            chart = yield from chart_of_condition(rule, self._registry, span, title=name, expr=expr, first=first)
        return chart.marked(_thresholds(rule), spans_of([view.alert for view in views[:MOST_SPANS]]))

    def _views(self, takes: Callable[[AlertView], bool]) -> Pieces[list[AlertView]]:
        found = list[AlertView]()
        for views in self._manager.alert_slices():
            found += [view for view in views if takes(view)]
            yield
        return found

    def _expression(self, rule: AlertRule, group: Labels) -> str | None:
        """Give what a rule reads, in PromQL; None where that cannot be said."""
        try:
            return reading_expression(rule, _known(rule, self._registry), group)
        except RuleError:
            return None

    def _condition(self, query: Query, span: float) -> Pieces[Trial]:
        """Try the condition that is asked for, as a rule would have it."""
        metric, condition = asked_text(query, "metric"), asked_text(query, "condition")
        if not metric and not condition:
            raise ConfigurationError(
                "the request", field="expr", seen="nothing to try", expected="an expr, or metric and condition"
            )
        rule = AlertRule(
            "try",
            "",
            "warning",
            metric_name=metric,
            condition=condition,
            threshold=_asked_number(query, "threshold"),
            time_window=asked_text(query, "window") or "5m",
            collector=asked_text(query, "collector") or None,
        )
        expr = self._expression(rule, NO_LABELS)
        return trial_of_condition(rule, self._registry, span, expr)

    # -- what they are of ----------------------------------------------------------------------------------------------

    def _shown(self, chart: Chart) -> Response:
        return Response.json(chart.document(self._at()))

    def _wall(self) -> float:
        return self._registry.clock.wall()

    def _at(self) -> str:
        return datetime.fromtimestamp(self._wall(), UTC).isoformat()


def _thresholds(rule: AlertRule) -> list[Threshold]:
    if rule.expr is None:
        return [Threshold(level.severity, level.threshold) for level in rule.levels]
    limit = compared(rule.expr.tree).threshold
    return [] if limit is None else [Threshold(rule.severity, limit)]


def _is_about(rule: AlertRule, own: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a series of an expression is the one that an alert is about; its rule may have given it other labels."""
    return all(
        own.get(name) == value
        for name, value in labels.items()
        if name not in rule.labels and name not in ("__name__", "alertname")
    )


def _known(rule: AlertRule, registry: MetricsRegistry) -> list[ExportedMetric]:
    """Give what is known of the metrics that a rule may read."""
    found = list[ExportedMetric]()
    for name, collector in registry.get_all_collectors().items():
        for metric_name in dict.fromkeys(rule.metrics):
            metric = collector.get_metric(metric_name)
            if metric is None:
                continue
            whole = metric.metadata.share_of
            both = (metric, None if whole is None else collector.get_metric(whole))
            found += [exported_metric(registry.namespace, name, one) for one in both if one is not None]
    return found


def _asked_number(query: Query, name: str) -> float | None:
    text = asked_text(query, name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigurationError("the request", field=name, seen=f"{name} = {seen(text)}", expected="a finite number")
    return number
