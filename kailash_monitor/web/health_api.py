"""The health of the API: how the program does, in one small document."""

from typing import Final

from kailash_monitor.alerting.silence import SilenceState
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.web.alerts_api import found
from kailash_monitor.web.documents import Document, health_document
from kailash_monitor.web.envelope import Envelopes
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.notifications_api import waiting_for
from kailash_monitor.web.routes import Route
from kailash_monitor.web.version import OWN_VERSION

__all__ = ["HealthApi"]


class HealthApi:
    """`/api/health`: what `/healthz` says, and how much there is of everything. 200 always, for it is to be shown."""

    def __init__(self, manager: Monitored, envelopes: Envelopes) -> None:
        self._manager = manager
        self._envelopes = envelopes
        self.routes: Final = (Route("GET", "/api/health", self._health),)

    async def _health(self, _: Request, __: str) -> Response:
        _none, tally = await found(self._manager, lambda _: False)
        waiting = await waiting_for(self._manager)
        health = self._manager.health()
        return Response.json(
            {
                "at": self._envelopes.at(),
                "version": OWN_VERSION,
                **health_document(health, reason=health.ailment),
                **self._judged(),
                **self._told(),
                "waiting": len(waiting),
                "alerts": tally.document(),
                **_measured(self._manager.metrics_registry),
            }
        )

    def _judged(self) -> Document:
        rules = self._manager.rule_status()
        last = max((status.last_evaluation for status in rules if status.last_evaluation is not None), default=None)
        return {
            "last_evaluation": None if last is None else last.isoformat(),
            "rules": {
                "total": len(rules),
                "enabled": sum(status.rule.enabled for status in rules),
                "errors": sum(status.error is not None for status in rules),
            },
        }

    def _told(self) -> Document:
        channels = self._manager.channel_status()
        return {
            "channels": {"total": len(channels), "failing": sum(status.state != "ok" for status in channels)},
            "dead_letters": len(self._manager.dead_letters()),
            "silences": sum(silence.state is SilenceState.ACTIVE for silence in self._manager.silences()),
        }


def _measured(registry: MetricsRegistry) -> Document:
    collectors = registry.get_all_collectors().values()
    series = sum(len(metric.children) for collector in collectors for metric in collector.get_all_metrics().values())
    return {"collectors": len(collectors), "series": series}
