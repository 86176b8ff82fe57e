"""The middleware: measures requests by route, under WSGI and under ASGI."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
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
    answer is there, and a streamed one until its last piece was taken; who goes away before that counts as status 499.
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
        if not isinstance(response, StreamingHttpResponse):
            self._end(begun, request, response.status_code)
        elif response.is_async:
            response.streaming_content = self._streamed_later(begun, request, response, aiter(response))
        else:
            response.streaming_content = self._streamed(begun, request, response, iter(response))
        return response

    def _streamed(
        self, begun: float, request: HttpRequest, response: StreamingHttpResponse, pieces: Iterator[bytes]
    ) -> Iterator[bytes]:
        status = CLIENT_LEFT
        try:
            yield from pieces
            status = response.status_code
        except Exception:
            status = ERROR
            raise
        finally:
            self._end(begun, request, status)

    async def _streamed_later(
        self, begun: float, request: HttpRequest, response: StreamingHttpResponse, pieces: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        status = CLIENT_LEFT
        try:
            async for piece in pieces:
                yield piece
            status = response.status_code
        except Exception:
            status = ERROR
            raise
        finally:
            self._end(begun, request, status)

    def _end(self, begun: float, request: HttpRequest, status: int) -> None:
        matched = request.resolver_match
        route = "" if matched is None else f"/{matched.route}"
        self._metrics.end(begun, request.method or "", route, status)
