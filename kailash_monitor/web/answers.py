"""Answers to what cannot be meant so: what was asked wrongly is the asker's to mend."""

import inspect
from collections.abc import Awaitable
from typing import TypeVar

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.web.body import seen
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.routes import Answer

__all__ = ["checked", "done", "unknown"]

T = TypeVar("T")


def checked(answer: Answer) -> Answer:
    """Give an answer that says, as a 400, what a ConfigurationError says is wrong with the request, and where."""

    async def checking(request: Request, an_id: str) -> Response:
        try:
            return await answer(request, an_id)
        except ConfigurationError as error:
            return Response.json({"error": str(error), "field": error.field}, status=400)

    return checking


async def done(result: Awaitable[T] | T) -> T:
    """Give the result: at once from a blocking manager, else once it is done for good."""
    if inspect.isawaitable(result):
        value: T = await result
        return value
    return result


def unknown(what: str, an_id: str) -> Response:
    """Answer that there is none of that id."""
    return Response.json({"error": f"no {what} {seen(an_id)}"}, status=404)
