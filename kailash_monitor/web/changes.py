"""Changes: what has to be so before somebody's change is made, and what is kept of it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from kailash_monitor.clock import Clock
from kailash_monitor.web.access import Access
from kailash_monitor.web.answers import checked
from kailash_monitor.web.body import body_refusal
from kailash_monitor.web.deeds import SOMEBODY, Deeds
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.limits import CHANGES, Limit
from kailash_monitor.web.routes import Answer

__all__ = ["Changes"]

_SUBJECTS: Final = ("alert_id", "matchers")
"""Fields of a body that say what a change is about, where its path does not."""

BY_TOKEN: Final = "token"  # noqa: S105  # a word for it
"""Who it was, where nothing but the token is known of them."""

WRONG: Final = 400
"""From this status on, nothing was changed."""


class Changes:
    """Lets those through who may change something, and takes note of what they did.

    An answer that was wrapped by `of` is asked only for whoever may (see Access), with a body that can be read, ten times a
    second in the long run and fifty at once; a ConfigurationError that it raises is a 400. It finds the name of a session in
    `request.visitor`.
    """

    def __init__(self, access: Access, deeds: Deeds, clock: Clock) -> None:
        self._access: Final = access
        self._deeds: Final = deeds
        self._clock: Final = clock
        self._limit: Final = Limit(CHANGES, "changes", clock.now())

    def of(self, change: Answer, did: str) -> Answer:
        """Give an answer that has `change` made for whoever may; `did` says afterwards what it was, such as "silenced"."""
        made = checked(change)

        async def answer(request: Request, an_id: str) -> Response:
            refusal = self._access.refusal(request) or body_refusal(request) or self._limit.taken(self._clock.now())
            if refusal is not None:
                return refusal
            visitor = self._access.visitor(request)
            response = await made(replace(request, visitor=visitor or ""), an_id)
            if response.status < WRONG:
                said = _said(request)
                who = visitor or _author(said) or (BY_TOKEN if visitor is None else SOMEBODY)
                self._deeds.add(who, f"{did} {an_id or _subject(said)}".rstrip())
            return response

        return answer


def _said(request: Request) -> Mapping[str, object]:
    said = json.loads(request.body or b"{}")
    return said if isinstance(said, dict) else {}


def _author(said: Mapping[str, object]) -> str:
    author = said.get("author")
    return author if isinstance(author, str) else ""


def _subject(said: Mapping[str, object]) -> str:
    given = next((said[name] for name in _SUBJECTS if said.get(name) is not None), "")
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
