"""The audit of the API: what was changed over HTTP, and by whom."""

from typing import Final

from kailash_monitor.web.answers import checked
from kailash_monitor.web.deeds import Deeds, deed_document
from kailash_monitor.web.envelope import Envelopes
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.listing import listing_of
from kailash_monitor.web.routes import Route

__all__ = ["AuditApi"]


class AuditApi:
    """`/api/audit`: the last changes, the newest first."""

    def __init__(self, envelopes: Envelopes, deeds: Deeds) -> None:
        self._envelopes = envelopes
        self._deeds = deeds
        self.routes: Final = (Route("GET", "/api/audit", checked(self._list)),)

    async def _list(self, request: Request, _: str) -> Response:
        return await self._envelopes.page(listing_of(request.query), "deeds", self._deeds.latest(), deed_document)
