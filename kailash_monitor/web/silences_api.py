"""The silences of the API: of whom nobody is to be told for a while."""

from typing import Final

from kailash_monitor.alerting.silence import SilenceState
from kailash_monitor.engine.status import SilenceStatus
from kailash_monitor.engine.views import AlertView
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.matcher import Matchers
from kailash_monitor.web.alerts_api import found
from kailash_monitor.web.answers import checked, done, unknown
from kailash_monitor.web.body import Fields, author_of, duration_of, fields_of, seen, text_of
from kailash_monitor.web.changes import Changes
from kailash_monitor.web.documents import alert_document, silence_document
from kailash_monitor.web.envelope import Envelopes
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.listing import asked_filter, asked_text, asked_words, check_names, listing_of
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.routes import Route

__all__ = ["SilencesApi"]

PREVIEWED: Final = 100
"""Alerts that a preview shows; it counts them all."""

_STATES: Final = (SilenceState.ACTIVE, SilenceState.PENDING, SilenceState.EXPIRED)


class SilencesApi:
    """`/api/silences`; `routes` has it all."""

    def __init__(self, manager: Monitored, envelopes: Envelopes, changes: Changes) -> None:
        self._manager = manager
        self._envelopes = envelopes
        self.routes: Final = (
            Route("GET", "/api/silences", checked(self._list)),
            Route("GET", "/api/silences/preview", checked(self._preview)),
            Route("POST", "/api/silences", changes.of(self._silence, "silenced")),
            Route("DELETE", "/api/silences/<id>", changes.of(self._end, "ended the silence")),
        )

    async def _list(self, request: Request, _: str) -> Response:
        """What holds first, then what is to come, then what is over; of these the newest first."""
        listing = listing_of(request.query, ("state",))
        states = asked_words(request.query, "state", [state.value for state in _STATES])
        silences = [one for one in self._manager.silences() if not states or one.state.value in states]
        silences.sort(key=_urgency)
        return await self._envelopes.page(listing, "silences", silences, silence_document)

    async def _preview(self, request: Request, _: str) -> Response:
        check_names(request.query, ("match",))
        labels = asked_filter(request.query)
        if labels.matches_everything:
            text = asked_text(request.query, "match")
            expected = "one matcher at least that does not match the empty string, such as service=checkout"
            raise ConfigurationError("the request", field="match", seen=f"match = {seen(text)}", expected=expected)
        alerts, _tally = await found(self._manager, lambda view: _is_live(view) and labels.matches(view.target))
        shown = [alert_document(view) for view in alerts[:PREVIEWED]]
        return Response.json({"at": self._envelopes.at(), "total": len(alerts), "alerts": shown})

    async def _silence(self, request: Request, _: str) -> Response:
        fields = fields_of(request, ("alert_id", "matchers", "duration", "starts_in", "author", "reason"))
        if ("alert_id" in fields) is ("matchers" in fields):
            both = "an alert_id and matchers" if fields.keys() >= {"alert_id", "matchers"} else "no alert_id and no matchers"
            raise ConfigurationError("silence", field="alert_id", seen=both, expected="give one of them")
        make = self._silence_alert if "alert_id" in fields else self._silence_matching
        covers, silence_id = await make(fields, author_of(request, fields))
        silence = next(one for one in self._manager.silences() if one.id == silence_id)
        return Response.json({"silence": silence_document(silence), "covers": covers}, status=201)

    async def _silence_alert(self, fields: Fields, author: str) -> tuple[list[str], str]:
        """Silence one alert; give which are covered now, and the silence's id."""
        if "starts_in" in fields:
            expected = "leave it out, or silence by matchers"
            raise ConfigurationError("silence", field="starts_in", seen="starts_in beside an alert_id", expected=expected)
        alert_id, reason = text_of(fields, "alert_id"), text_of(fields, "reason")
        silence = self._manager.silence_alert(alert_id, duration_of(fields, "duration"), author=author, reason=reason)
        covers, _ = await found(self._manager, lambda view: view.id == alert_id and _is_live(view))
        return [view.id for view in covers], await done(silence)

    async def _silence_matching(self, fields: Fields, author: str) -> tuple[list[str], str]:
        """Silence what the matchers match; give the same."""
        given = fields["matchers"]
        if not isinstance(given, str | list | dict):
            expected = "a text, a list of texts, or an object of labels and their values"
            raise ConfigurationError("silence", field="matchers", seen=f"matchers = {seen(given)}", expected=expected)
        matchers = Matchers.of(given, where="silence", field="matchers")
        times = {name: duration_of(fields, name) for name in ("duration", "starts_in")}
        stated = {name: value for name, value in times.items() if value is not None}
        silence = self._manager.silence(matchers, author=author, reason=text_of(fields, "reason"), **stated)
        covers, _ = await found(self._manager, lambda view: _is_live(view) and matchers.matches(view.target))
        return [view.id for view in covers], (await silence).id

    async def _end(self, request: Request, silence_id: str) -> Response:
        fields_of(request, ())
        ended = await done(self._manager.end_silence(silence_id))
        return Response.json({"ended": silence_id}) if ended else unknown("silence that is not over", silence_id)


def _is_live(view: AlertView) -> bool:
    return view.status is not AlertStatus.RESOLVED


def _urgency(silence: SilenceStatus) -> tuple[int, float]:
    return _STATES.index(silence.state), -silence.starts_at.timestamp()
