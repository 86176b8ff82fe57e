"""The alerts of the API: what fires, what did of late, and who is on it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.engine.queries import driven
from kailash_monitor.engine.views import AlertView
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.promql.source import Pieces
from kailash_monitor.web.answers import checked, done, unknown
from kailash_monitor.web.body import author_of, fields_of, text_of
from kailash_monitor.web.changes import Changes
from kailash_monitor.web.documents import Document, alert_document, explanation_document
from kailash_monitor.web.envelope import Envelopes
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.label_filter import LabelFilter
from kailash_monitor.web.listing import Query, asked_filter, asked_text, asked_words, listing_of
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.routes import Route

__all__ = ["AlertFilter", "AlertsApi", "Tally", "found", "looked_through"]

_STATES: Final = tuple(status.value for status in AlertStatus)
_SEVERITIES: Final = tuple(severity.value for severity in AlertSeverity)


class AlertsApi:
    """`/api/alerts`; `routes` has it all."""

    def __init__(self, manager: Monitored, envelopes: Envelopes, changes: Changes) -> None:
        self._manager = manager
        self._envelopes = envelopes
        self.routes: Final = (
            Route("GET", "/api/alerts", checked(self._list)),
            Route("GET", "/api/alerts/<id>/explain", self._explain),
            Route("POST", "/api/alerts/acknowledge", changes.of(self._acknowledge, "acknowledged")),
        )

    async def _list(self, request: Request, _: str) -> Response:
        listing = listing_of(request.query, ("state", "severity", "match", "text"))
        wanted = AlertFilter.of(request.query)
        alerts, tally = await found(self._manager, wanted.takes)
        return await self._envelopes.page(listing, "alerts", alerts, alert_document, more=tally.document())

    async def _explain(self, _: Request, alert_id: str) -> Response:
        explanation = self._manager.explain(alert_id)
        if explanation is None:
            return unknown("alert", alert_id)
        return Response.json({"at": self._envelopes.at(), **explanation_document(explanation)})

    async def _acknowledge(self, request: Request, _: str) -> Response:
        fields = fields_of(request, ("alert_id", "author"))
        alert_id = text_of(fields, "alert_id")
        taken = await done(self._manager.acknowledge_alert(alert_id, author=author_of(request, fields)))
        return Response.json({"acknowledged": alert_id}) if taken else unknown("pending or firing alert", alert_id)


# -- which alerts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts somebody asks for; of states and severities, none means all."""

    states: frozenset[str]
    severities: frozenset[str]
    labels: LabelFilter
    text: str

    @classmethod
    def of(cls, query: Query) -> "AlertFilter":
        """Read it; a ConfigurationError where it cannot be meant so."""
        return cls(
            asked_words(query, "state", _STATES),
            asked_words(query, "severity", _SEVERITIES),
            asked_filter(query),
            asked_text(query, "text").casefold(),
        )

    def takes(self, view: AlertView) -> bool:
        """Whether the alert is one of those."""
        return (
            (not self.states or view.status.value in self.states)
            and (not self.severities or view.severity.value in self.severities)
            and (not self.labels.demands or self.labels.matches(view.target))
            and (not self.text or any(self.text in text.casefold() for text in _texts(view)))
        )


def _texts(view: AlertView) -> Iterator[str]:
    """Give what a text is looked for in, what is cheap first."""
    yield view.id
    yield from view.target.values()
    alert = view.alert
    yield alert.title
    yield alert.description


# -- how they are looked through -----------------------------------------------------------------------------------------


class Tally:
    """Counts alerts: all of them by state, and those that are active by severity. Mutable, while they are looked through."""

    def __init__(self) -> None:
        self._states: Final = Counter[AlertStatus]()
        self._severities: Final = Counter[AlertSeverity]()

    def add(self, views: Iterable[AlertView]) -> None:
        """Count some."""
        for view in views:
            self._states[view.status] += 1
            if view.active:
                self._severities[view.severity] += 1

    def document(self) -> Document:
        """Give the counts as plain data for JSON."""
        return {
            "counts": {status.value: self._states[status] for status in AlertStatus},
            "severities": {severity.value: self._severities[severity] for severity in reversed(AlertSeverity)},
        }


async def found(manager: Monitored, takes: Callable[[AlertView], bool]) -> tuple[Sequence[AlertView], Tally]:
    """Give the alerts that are taken, the most urgent first, and the tally of all; the host program has its turns."""
    found_now = await driven(looked_through(manager.alert_slices(), takes), SYSTEM_CLOCK)
    await asyncio.sleep(0)  # to sort them has taken a millisecond or two
    return found_now


def looked_through(
    slices: Iterable[Sequence[AlertView]], takes: Callable[[AlertView], bool]
) -> Pieces[tuple[Sequence[AlertView], Tally]]:
    """Give the same, in pieces."""
    taken, tally = list[AlertView](), Tally()
    for views in slices:
        tally.add(views)
        yield
        for view in views:
            if takes(view):
                taken.append(view)
            yield
    taken.sort(key=_urgency)
    return taken, tally


def _urgency(view: AlertView) -> tuple[int, int, float, str]:
    """The smaller, the higher up: what is active, then what is pending, by severity; last what is over. The newest first."""
    if view.status is AlertStatus.RESOLVED:
        return 2, 0, -view.since, view.id
    return (0 if view.active else 1), -view.severity.rank, -view.since, view.id
