"""The notifications of the API: what channels were told, what waits, and how they do."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.engine.daemon import DaemonCalls, StillHanging
from kailash_monitor.engine.queries import driven
from kailash_monitor.engine.status import Waiting
from kailash_monitor.promql.source import Pieces
from kailash_monitor.web.answers import checked, done, unknown
from kailash_monitor.web.body import fields_of
from kailash_monitor.web.changes import Changes
from kailash_monitor.web.documents import channel_document, delivery_document, letter_document, waiting_document
from kailash_monitor.web.envelope import Envelopes
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.listing import asked_text, asked_words, listing_of
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.routes import Route

__all__ = ["NotificationsApi", "waiting_for"]

TRIALS: Final = 4
"""Tests of channels that may be under way at a time: people make them one by one."""

_OUTCOMES: Final = ("delivered", "retry", "given up")

_WORDS: Final[dict[type[Outcome], str]] = {
    Delivered: "delivered",
    Retry: "retry",
    Rejected: "rejected",
    Gone: "gone",
    Unauthorised: "unauthorised",
}


class NotificationsApi:
    """`/api/channels`, `/api/outbox`, `/api/dead-letters` and `/api/deliveries`; `routes` has it all."""

    def __init__(self, manager: Monitored, envelopes: Envelopes, changes: Changes) -> None:
        self._manager = manager
        self._envelopes = envelopes
        self._trials = DaemonCalls(TRIALS)
        of = changes.of
        self.routes: Final = (
            Route("GET", "/api/channels", checked(self._channels)),
            Route("POST", "/api/channels/<id>/test", of(self._test, "sent a test through")),
            Route("GET", "/api/outbox", checked(self._outbox)),
            Route("GET", "/api/dead-letters", checked(self._dead_letters)),
            Route("POST", "/api/dead-letters/<id>/resend", of(self._resend, "resent the dead letter")),
            Route("DELETE", "/api/dead-letters/<id>", of(self._discard, "discarded the dead letter")),
            Route("GET", "/api/deliveries", checked(self._deliveries)),
        )

    async def _channels(self, request: Request, _: str) -> Response:
        listing = listing_of(request.query)
        return await self._envelopes.page(listing, "channels", self._manager.channel_status(), channel_document)

    async def _outbox(self, request: Request, _: str) -> Response:
        listing, channel = listing_of(request.query, ("channel",)), asked_text(request.query, "channel")
        waiting = await waiting_for(self._manager, channel)
        return await self._envelopes.page(listing, "waiting", waiting, waiting_document)

    async def _dead_letters(self, request: Request, _: str) -> Response:
        listing, channel = listing_of(request.query, ("channel",)), asked_text(request.query, "channel")
        letters = [one for one in self._manager.dead_letters() if channel in ("", one.channel)]
        return await self._envelopes.page(listing, "dead_letters", letters[::-1], letter_document)

    async def _deliveries(self, request: Request, _: str) -> Response:
        listing, channel = listing_of(request.query, ("channel", "outcome")), asked_text(request.query, "channel")
        outcomes = asked_words(request.query, "outcome", _OUTCOMES)
        deliveries = [
            one
            for one in reversed(self._manager.deliveries())
            if channel in ("", one.channel) and (not outcomes or one.outcome in outcomes)
        ]
        return await self._envelopes.page(listing, "deliveries", deliveries, delivery_document)

    async def _test(self, request: Request, name: str) -> Response:
        fields_of(request, ())
        outcome = await self._tried(name)
        if outcome is None:
            return unknown("channel", name)
        why = "" if isinstance(outcome, Delivered) else outcome.why
        return Response.json({"channel": name, "outcome": _WORDS[type(outcome)], "why": why})

    async def _tried(self, name: str) -> Outcome | None:
        """Have a channel tried, from a thread: a blocking manager waits until it is known what became of that."""
        try:
            return await done(await self._trials.call(self._manager.try_channel, name, seconds=None))
        except StillHanging:
            return Retry(f"{TRIALS} tests are under way; try again when one is over")

    async def _resend(self, request: Request, letter_id: str) -> Response:
        fields_of(request, ())
        resent = await done(self._manager.resend(letter_id))
        return Response.json({"resent": letter_id}) if resent else unknown("dead letter", letter_id)

    async def _discard(self, request: Request, letter_id: str) -> Response:
        fields_of(request, ())
        discarded = await done(self._manager.discard(letter_id))
        return Response.json({"discarded": letter_id}) if discarded else unknown("dead letter", letter_id)


async def waiting_for(manager: Monitored, channel: str = "") -> Sequence[Waiting]:
    """Give what waits for one channel, or for all where it is empty; the host program has its turns meanwhile."""
    waiting = await driven(_looked_through(manager.outbox_slices(), channel), SYSTEM_CLOCK)
    await asyncio.sleep(0)
    return waiting


def _looked_through(slices: Iterable[Sequence[Waiting]], channel: str) -> Pieces[Sequence[Waiting]]:
    taken = list[Waiting]()
    for some in slices:
        taken += [one for one in some if channel in ("", one.channel)]
        yield
    return taken
