"""The middleware: measures requests by route, under WSGI and under ASGI."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase, StreamingHttpResponse

from kailash_monitor.instrument.http_metrics import CLIENT_LEFT, HttpMetrics
from kailash_monitor.integrations.django import get_manager

__all__ = ["RequestMetrics"]

ERROR = 500


class RequestMetrics:
    """Records each request into the collector `http`; let it be the first in MIDDLEWARE.

    Its route is that of the URL configuration with all it includes (`/shops/<int:shop>/orders`). A request lasts until its
    answer is there, and a streamed one until its last piece was taken, a file until it is closed; who goes away before that
    counts as status 499.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:  # Any: an answer, or what gives one
        self._get_response = get_response
        self._metrics = HttpMetrics.of(get_manager().metrics_registry)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Have it answered, and measure that."""
        return self._answer_later(request) if self._is_async else self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        begun = self._metrics.begin()
        try:
            response: HttpResponseBase = self._get_response(request)
        except BaseException:
            self._end(begun, request, ERROR)
            raise
        return self._answered(begun, request, response)

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        begun = self._metrics.begin()
        try:
            response: HttpResponseBase = await self._get_response(request)
        except BaseException as error:
            self._end(begun, request, CLIENT_LEFT if isinstance(error, asyncio.CancelledError) else ERROR)
            raise
        return self._answered(begun, request, response)

    def _answered(self, begun: float, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        end = _Once(partial(self._end, begun, request))
        if not isinstance(response, StreamingHttpResponse):
            end(response.status_code)
        elif getattr(response, "file_to_stream", None) is not None:
            response._resource_closers.append(partial(end, response.status_code))  # what sends a file is the server's own
        elif response.is_async:
            response.streaming_content = _PiecesLater(aiter(response), end, response.status_code)
        else:
            response.streaming_content = _Pieces(iter(response), end, response.status_code)
        return response

    def _end(self, begun: float, request: HttpRequest, status: int) -> None:
        matched = request.resolver_match
        route = "" if matched is None else f"/{matched.route}"
        self._metrics.end(begun, request.method or "", route, status)


class _Once:
    """Takes note of the end of a request, the first time that it is told of it."""

    def __init__(self, end: Callable[[int], None]) -> None:
        self._end: Callable[[int], None] | None = end

    def __call__(self, status: int) -> None:
        end, self._end = self._end, None
        if end is not None:
            end(status)


class _Pieces:
    """What is streamed, up to its end; Django closes it when the answer is over, begun or not."""

    def __init__(self, pieces: Iterator[bytes], end: _Once, status: int) -> None:
        self._pieces = pieces
        self._end = end
        self._status = status

    def __iter__(self) -> "_Pieces":
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            self._end(self._status)
            raise
        except Exception:
            self._end(ERROR)
            raise

    def close(self) -> None:
        """End it; what was not taken to its end had nobody who took it."""
        self._end(CLIENT_LEFT)


class _PiecesLater:
    """The same, asynchronous."""

    def __init__(self, pieces: AsyncIterator[bytes], end: _Once, status: int) -> None:
        self._pieces = pieces
        self._end = end
        self._status = status

    def __aiter__(self) -> "_PiecesLater":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self._end(self._status)
            raise
        except Exception:
            self._end(ERROR)
            raise

    def close(self) -> None:
        """End it, as above."""
        self._end(CLIENT_LEFT)
