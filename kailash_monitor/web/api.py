"""The HTTP API: alerts, silences and messages that wait, to be read and, by whoever may, to be changed."""

import inspect
from collections.abc import Awaitable, Iterable
from datetime import UTC, datetime
from typing import Final, TypeVar

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.matcher import Matchers
from kailash_monitor.web.access import Access
from kailash_monitor.web.body import Fields, body_refusal, duration_of, fields_of, seen, text_of
from kailash_monitor.web.chunks import driven, json_list
from kailash_monitor.web.documents import (
    channel_document,
    explanation_document,
    letter_document,
    rule_document,
    silence_document,
    waiting_document,
)
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.routes import Answer, Route

__all__ = ["Api"]

T = TypeVar("T")


class Api:
    """What the site knows and takes under `/api`; `routes` has it all. Who may change something is for `access` to say."""

    def __init__(self, manager: Monitored, access: Access) -> None:
        self._manager = manager
        self._access = access
        change = self._change
        self.routes: Final = (
            Route("GET", "/api/alerts", self._alerts),
            Route("GET", "/api/alerts/<id>/explain", self._explain),
            Route("POST", "/api/alerts/acknowledge", change(self._acknowledge)),
            Route("GET", "/api/rules", self._rules),
            Route("GET", "/api/silences", self._silences),
            Route("POST", "/api/silences", change(self._silence)),
            Route("DELETE", "/api/silences/<id>", change(self._end_silence)),
            Route("GET", "/api/channels", self._channels),
            Route("GET", "/api/outbox", self._outbox),
            Route("GET", "/api/dead-letters", self._dead_letters),
            Route("POST", "/api/dead-letters/<id>/resend", change(self._resend)),
            Route("DELETE", "/api/dead-letters/<id>", change(self._discard)),
        )

    # -- what there is to see ------------------------------------------------------------------------------------------

    async def _alerts(self, _: Request, __: str) -> Response:
        return await self._list("alerts", (alert.document() for alert in self._manager.get_all_alerts()))

    async def _rules(self, _: Request, __: str) -> Response:
        return await self._list("rules", map(rule_document, self._manager.rule_status()))

    async def _silences(self, _: Request, __: str) -> Response:
        return await self._list("silences", map(silence_document, self._manager.silences()))

    async def _channels(self, _: Request, __: str) -> Response:
        return await self._list("channels", map(channel_document, self._manager.channel_status()))

    async def _outbox(self, _: Request, __: str) -> Response:
        return await self._list("waiting", map(waiting_document, self._manager.outbox()))

    async def _dead_letters(self, _: Request, __: str) -> Response:
        return await self._list("dead_letters", map(letter_document, self._manager.dead_letters()))

    async def _explain(self, _: Request, alert_id: str) -> Response:
        explanation = self._manager.explain(alert_id)
        if explanation is None:
            return _unknown("alert", alert_id)
        return Response.json({"at": self._at(), **explanation_document(explanation)})

    async def _list(self, name: str, documents: Iterable[object]) -> Response:
        page = await driven(json_list(self._at(), name, documents))
        return Response.text(page, content_type="application/json")

    def _at(self) -> str:
        return datetime.fromtimestamp(self._manager.metrics_registry.clock.wall(), UTC).isoformat()

    # -- what people do ------------------------------------------------------------------------------------------------

    def _change(self, change: Answer) -> Answer:
        """Give an answer that has `change` made for whoever may; what it refuses as wrong is the asker's to mend."""

        async def answer(request: Request, an_id: str) -> Response:
            refusal = self._access.refusal(request) or body_refusal(request)
            if refusal is not None:
                return refusal
            try:
                return await change(request, an_id)
            except ConfigurationError as error:
                return Response.json({"error": str(error), "field": error.field}, status=400)

        return answer

    async def _silence(self, request: Request, _: str) -> Response:
        fields = fields_of(request, ("alert_id", "matchers", "duration", "starts_in", "author", "reason"))
        if ("alert_id" in fields) is ("matchers" in fields):
            both = "an alert_id and matchers" if fields.keys() >= {"alert_id", "matchers"} else "no alert_id and no matchers"
            raise ConfigurationError("silence", field="alert_id", seen=both, expected="give one of them")
        by_id = "alert_id" in fields
        covers, silence_id = await (self._silence_alert(fields) if by_id else self._silence_matching(fields))
        silence = next(one for one in self._manager.silences() if one.id == silence_id)
        return Response.json({"silence": silence_document(silence), "covers": covers}, status=201)

    async def _silence_alert(self, fields: Fields) -> tuple[list[str], str]:
        """Silence one alert; give which are covered now, and the silence's id."""
        if "starts_in" in fields:
            expected = "leave it out, or silence by matchers"
            raise ConfigurationError("silence", field="starts_in", seen="starts_in beside an alert_id", expected=expected)
        alert_id = text_of(fields, "alert_id")
        silence = self._manager.silence_alert(
            alert_id, duration_of(fields, "duration"), author=text_of(fields, "author"), reason=text_of(fields, "reason")
        )
        live = {alert.id for alert in self._manager.get_all_alerts() if alert.status is not AlertStatus.RESOLVED}
        return [alert_id] if alert_id in live else [], await _done(silence)

    async def _silence_matching(self, fields: Fields) -> tuple[list[str], str]:
        """Silence what the matchers match; give the same."""
        given = fields["matchers"]
        if not isinstance(given, str | list | dict):
            expected = "a text, a list of texts, or an object of labels and their values"
            raise ConfigurationError("silence", field="matchers", seen=f"matchers = {seen(given)}", expected=expected)
        matchers = Matchers.of(given, where="silence", field="matchers")
        covers = [alert.id for alert in self._manager.preview_silence(matchers)]
        times = {name: duration_of(fields, name) for name in ("duration", "starts_in")}
        stated = {name: value for name, value in times.items() if value is not None}
        silence = self._manager.silence(
            matchers, author=text_of(fields, "author"), reason=text_of(fields, "reason"), **stated
        )
        return covers, (await silence).id

    async def _end_silence(self, request: Request, silence_id: str) -> Response:
        fields_of(request, ())
        ended = await _done(self._manager.end_silence(silence_id))
        return Response.json({"ended": silence_id}) if ended else _unknown("silence that is not over", silence_id)

    async def _acknowledge(self, request: Request, _: str) -> Response:
        fields = fields_of(request, ("alert_id", "author"))
        alert_id = text_of(fields, "alert_id")
        taken = await _done(self._manager.acknowledge_alert(alert_id, author=text_of(fields, "author")))
        return Response.json({"acknowledged": alert_id}) if taken else _unknown("pending or firing alert", alert_id)

    async def _resend(self, request: Request, letter_id: str) -> Response:
        fields_of(request, ())
        resent = await _done(self._manager.resend(letter_id))
        return Response.json({"resent": letter_id}) if resent else _unknown("dead letter", letter_id)

    async def _discard(self, request: Request, letter_id: str) -> Response:
        fields_of(request, ())
        discarded = await _done(self._manager.discard(letter_id))
        return Response.json({"discarded": letter_id}) if discarded else _unknown("dead letter", letter_id)


async def _done(result: Awaitable[T] | T) -> T:
    """Give the result: at once from a blocking manager, else once it is done for good."""
    if inspect.isawaitable(result):
        done: T = await result
        return done
    return result


def _unknown(what: str, an_id: str) -> Response:
    return Response.json({"error": f"no {what} {seen(an_id)}"}, status=404)
