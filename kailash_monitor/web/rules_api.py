"""The rules of the API: what is judged, and how that goes."""

from typing import Final

from kailash_monitor.engine import RuleStatus
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.web.answers import checked, done, unknown
from kailash_monitor.web.body import fields_of
from kailash_monitor.web.changes import Changes
from kailash_monitor.web.documents import Document, rule_document
from kailash_monitor.web.envelope import Envelopes
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.listing import asked_text, asked_words, listing_of
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.routes import Route
from kailash_monitor.web.rule_chart import unit_of

__all__ = ["RulesApi"]

_STATES: Final = ("disabled", "waiting", "inactive", "pending", "firing", "recovering", "error")


class RulesApi:
    """`/api/rules`; `routes` has it all."""

    def __init__(self, manager: Monitored, envelopes: Envelopes, changes: Changes) -> None:
        self._manager = manager
        self._envelopes = envelopes
        self.routes: Final = (
            Route("GET", "/api/rules", checked(self._list)),
            Route("POST", "/api/rules/<id>/enable", changes.of(self._enable, "enabled the rule")),
            Route("POST", "/api/rules/<id>/disable", changes.of(self._disable, "disabled the rule")),
            Route("POST", "/api/rules/<id>/evaluate", changes.of(self._evaluate, "had tested again the rule")),
        )

    async def _list(self, request: Request, _: str) -> Response:
        listing = listing_of(request.query, ("state", "text"))
        states, text = asked_words(request.query, "state", _STATES), asked_text(request.query, "text").casefold()
        rules = [
            status
            for status in self._manager.rule_status()
            if (not states or status.state in states) and (not text or text in _text_of(status))
        ]
        return await self._envelopes.page(listing, "rules", rules, self._document)

    def _document(self, status: RuleStatus) -> Document:
        return rule_document(status, _unit_of(status, self._manager.metrics_registry))

    async def _enable(self, request: Request, name: str) -> Response:
        fields_of(request, ())
        if self._find(name) is None:
            return unknown("rule", name)
        self._manager.enable_rule(name)
        return self._shown(name)

    async def _disable(self, request: Request, name: str) -> Response:
        fields_of(request, ())
        if self._find(name) is None:
            return unknown("rule", name)
        self._manager.disable_rule(name)
        return self._shown(name)

    async def _evaluate(self, request: Request, name: str) -> Response:
        fields_of(request, ())
        status = self._find(name)
        if status is None:
            return unknown("rule", name)
        if not status.rule.enabled:
            raise ConfigurationError(f"rule {name!r}", seen="it is disabled", expected="enable it to have it judged")
        evaluated = await done(self._manager.evaluate_rule(name))
        return Response.json({"rule": name}) if evaluated else unknown("rule", name)

    def _shown(self, name: str) -> Response:
        status = self._find(name)
        return unknown("rule", name) if status is None else Response.json({"rule": self._document(status)})

    def _find(self, name: str) -> RuleStatus | None:
        return next((status for status in self._manager.rule_status() if status.rule.name == name), None)


def _text_of(status: RuleStatus) -> str:
    """Give what a text is looked for in."""
    rule = status.rule
    expr = "" if rule.expr is None else rule.expr.text
    return "\n".join((rule.name, rule.description, rule.metric_name, expr)).casefold()


def _unit_of(status: RuleStatus, registry: MetricsRegistry) -> str | None:
    """Give the unit of what a rule reads, of the first metric of that name."""
    rule = status.rule
    if rule.expr is not None or not rule.metric_name:
        return None
    for name, collector in registry.get_all_collectors().items():
        metric = collector.get_metric(rule.metric_name) if rule.collector in (None, name) else None
        if metric is not None:
            return unit_of(rule, metric)
    return None
