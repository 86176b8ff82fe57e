"""The middleware: measures requests by route, under WSGI and under ASGI."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase, StreamingHttpResponse

from kailash_monitor.instrument.http_metrics import CLIENT_LEFT, HttpMetrics
from kailash_monitor.integrations.django import monitoring

__all__ = ["RequestMetrics"]

ERROR: Final = 500


class RequestMetrics:
    """Records each request into the collector `http`; let it be the first in MIDDLEWARE.

    Its route is that of the URL configuration, with all that includes it (`/shops/<int:shop>/orders`). A request lasts until
    its answer is there, and a streamed one until its last piece was handed to the server; who goes away before that counts
    as status 499. A file lasts until it is closed; who sends it is the server's choice (`wsgi.file_wrapper`). An exception
    that nobody has made an answer of counts as 500, and passes through.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:  # Any: an answer, or what gives one
        configuration = monitoring().configuration
        if not configuration.enabled:
            raise MiddlewareNotUsed
        self._get_response: Final = get_response
        self._metrics: Final = HttpMetrics.of(configuration.manager.metrics_registry)
        self._is_async: Final = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Have it answered, and measure that."""
        return self._answer_later(request) if self._is_async else self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        served = _Served(self._metrics, request)
        try:
            response: HttpResponseBase = self._get_response(request)
        except BaseException:
            served.end(ERROR)
            raise
        return served.answered(response)

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        served = _Served(self._metrics, request)
        try:
            response: HttpResponseBase = await self._get_response(request)
        except asyncio.CancelledError:
            served.end(CLIENT_LEFT)
            raise
        except BaseException:
            served.end(ERROR)
            raise
        return served.answered(response)


class _Served:
    """One request that is being served. Mutable: whether it has ended, and with what status it is answered."""

    __slots__ = ("_begun", "_metrics", "_request", "status")

    def __init__(self, metrics: HttpMetrics, request: HttpRequest) -> None:
        self.status = ERROR
        self._metrics = metrics
        self._request = request
        self._begun: float | None = metrics.begin()

    def answered(self, response: HttpResponseBase) -> HttpResponseBase:
        """Take note of the answer, and give it; a streamed one tells when it has ended."""
        self.status = response.status_code
        if not isinstance(response, StreamingHttpResponse):
            self.end(self.status)
        elif getattr(response, "file_to_stream", None) is not None:
            response._resource_closers.append(_File(self).close)  # private; a server that sends files wants this very answer
        else:
            pieces: Any = response.streaming_content  # of one kind or the other
            response.streaming_content = _PiecesLater(self, pieces) if response.is_async else _Pieces(self, pieces)
        return response

    def end(self, status: int) -> None:
        """Take note that it was answered; the first time counts."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            matched = self._request.resolver_match
            route = "" if matched is None else f"/{matched.route}"
            self._metrics.end(begun, str(self._request.method), route, status)

    def let_go(self) -> None:
        """Take note that no more will be taken; a HEAD need not be taken at all."""
        self.end(self.status if self._request.method == "HEAD" else CLIENT_LEFT)


class _Streamed:
    """An answer that the server takes piece by piece. Django closes what the pieces come from by itself."""

    __slots__ = ("_served",)

    def __init__(self, served: _Served) -> None:
        self._served = served

    def close(self) -> None:
        """Take note that no more will be taken."""
        self._served.let_go()

    def __del__(self) -> None:
        self.close()  # a middleware outside of ours has put another answer in its place, and nobody closes this one


class _File(_Streamed):
    """A file; who sends it does not tell how much of it was taken."""

    __slots__ = ()

    def close(self) -> None:
        """Take note that it was sent."""
        self._served.end(self._served.status)


class _Pieces(_Streamed):
    """The pieces as they are taken."""

    __slots__ = ("_pieces",)

    def __init__(self, served: _Served, pieces: Iterator[bytes]) -> None:
        super().__init__(served)
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            self._served.end(self._served.status)
            raise
        except BaseException:
            self._served.end(ERROR)
            raise


class _PiecesLater(_Streamed):
    """The pieces as they are taken on an event loop."""

    __slots__ = ("_pieces",)

    def __init__(self, served: _Served, pieces: AsyncIterator[bytes]) -> None:
        super().__init__(served)
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self._served.end(self._served.status)
            raise
        except asyncio.CancelledError:
            self._served.let_go()
            raise
        except BaseException:
            self._served.end(ERROR)
            raise
