"""The session API: signing in and out, and who one is."""

from typing import Final

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.web.access import Access, SignedIn
from kailash_monitor.web.answers import checked
from kailash_monitor.web.body import body_refusal, fields_of, text_of
from kailash_monitor.web.deeds import SOMEBODY, Deeds
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.routes import Route

__all__ = ["SessionApi"]


class SessionApi:
    """`/api/session`: `GET` says who asks and what they may do, `POST` signs in, `DELETE` out. `routes` has it all."""

    def __init__(self, access: Access, deeds: Deeds) -> None:
        self._access = access
        self._deeds = deeds
        self.routes: Final = (
            Route("GET", "/api/session", self._session),
            Route("POST", "/api/session", checked(self._sign_in)),
            Route("DELETE", "/api/session", checked(self._sign_out)),
        )

    async def _session(self, request: Request, _: str) -> Response:
        return self._answer(request, self._access.signed_in(request))

    async def _sign_in(self, request: Request, _: str) -> Response:
        refusal = self._access.estrangement(request) or body_refusal(request)
        if refusal is not None:
            return refusal
        fields = fields_of(request, ("token", "code", "name"))
        if ("token" in fields) is ("code" in fields):
            both = "a token and a code" if "token" in fields else "no token and no code"
            raise ConfigurationError("the session", field="token", seen=both, expected="give one of them")
        name = text_of(fields, "name").strip()
        if "token" in fields:
            let_in = self._access.by_token(text_of(fields, "token").strip(), name)
        else:
            let_in = self._access.by_code(text_of(fields, "code"), name)
        if isinstance(let_in, Response):
            return let_in
        self._deeds.add(let_in.session.name or SOMEBODY, "signed in")
        return self._answer(request, let_in, {"Set-Cookie": self._access.cookie_header(let_in, request)})

    async def _sign_out(self, request: Request, _: str) -> Response:
        refusal = self._access.estrangement(request) or body_refusal(request)
        if refusal is not None:
            return refusal
        fields_of(request, ())
        somebody = self._access.signed_in(request)
        if somebody is None:  # who is not told the cookie's name: tokens could be tried on it, without asking us
            return self._answer(request, None)
        self._access.end(somebody)
        self._deeds.add(somebody.session.name or SOMEBODY, "signed out")
        return self._answer(request, None, {"Set-Cookie": self._access.cookie_header(None, request)})

    def _answer(self, request: Request, somebody: SignedIn | None, headers: dict[str, str] | None = None) -> Response:
        document = {
            "can_change": somebody is not None and self._access.estrangement(request) is None,
            "signed_in": somebody is not None,
            "name": "" if somebody is None else somebody.session.name,
            "csrf": None if somebody is None else somebody.csrf,
            "sign_in": self._access.token_is_set,
        }
        return Response.json(document, headers=headers)
