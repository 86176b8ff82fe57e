"""The HTTP API: what there is to be read under `/api` and, by whoever may, to be changed."""

from typing import Final

from kailash_monitor.web.alerts_api import AlertsApi
from kailash_monitor.web.audit_api import AuditApi
from kailash_monitor.web.changes import Changes
from kailash_monitor.web.deeds import Deeds
from kailash_monitor.web.envelope import Envelopes
from kailash_monitor.web.feed import Feed
from kailash_monitor.web.health_api import HealthApi
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.notifications_api import NotificationsApi
from kailash_monitor.web.rules_api import RulesApi
from kailash_monitor.web.silences_api import SilencesApi

__all__ = ["Api"]


class Api:
    """What the site knows and takes under `/api`; `routes` has it all. Who may change something is for `changes` to say."""

    def __init__(self, manager: Monitored, changes: Changes, deeds: Deeds) -> None:
        envelopes = Envelopes(Feed(), manager.metrics_registry.clock)
        self.routes: Final = (
            *HealthApi(manager, envelopes).routes,
            *AlertsApi(manager, envelopes, changes).routes,
            *RulesApi(manager, envelopes, changes).routes,
            *SilencesApi(manager, envelopes, changes).routes,
            *NotificationsApi(manager, envelopes, changes).routes,
            *AuditApi(envelopes, deeds).routes,
        )
