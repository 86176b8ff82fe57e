"""The view: the monitoring pages, below where their URLs are included."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from kailash_monitor.integrations.django import monitoring
from kailash_monitor.integrations.django.configuration import SETTING
from kailash_monitor.web.http import MAX_BODY, Request, Response
from kailash_monitor.web.wsgi import answer_now

__all__ = ["page"]

NOT_MODIFIED: Final = 304
"""What has no body, and says nothing of how long the one is that the browser has."""


@csrf_exempt
def page(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """Answer for one page of a Site. Changes need the token of the settings, and are never taken from another site's page.

    What the middleware of the site asks before each request, it asks for the pages, too. Where the settings switch
    monitoring off, there are none.
    """
    configuration = monitoring().configuration
    if not configuration.enabled:
        return JsonResponse({"error": f"monitoring is switched off: {SETTING}['ENABLED']"}, status=404)
    try:
        body = request.read(MAX_BODY + 1)
    except OSError:  # there is nobody any more who listens
        return JsonResponse({"error": "the body broke off"}, status=400)
    return _django(answer_now(configuration.site, _asked(request, f"/{path}", body)), request)


def _asked(request: HttpRequest, path: str, body: bytes) -> Request:
    """Give what was asked. A HEAD is made as a GET, to know how long the body would be."""
    method = "GET" if request.method == "HEAD" else str(request.method)
    query: dict[str, list[str]] = dict(request.GET.lists())
    headers: Mapping[str, str] = request.headers  # type: ignore[assignment, unused-ignore]  # a property that is cached
    return Request(method, path, query, {name.lower(): value for name, value in headers.items()}, body)


def _django(answer: Response, request: HttpRequest) -> HttpResponseBase:
    """Give the answer as one of Django's; a long one is streamed, as servers of either kind do it."""
    headers = dict(answer.headers)
    if answer.status != NOT_MODIFIED:
        headers["Content-Length"] = str(answer.length)
    if request.method == "HEAD" or len(answer.chunks) <= 1:
        content = b"" if request.method == "HEAD" else answer.body
        return HttpResponse(content, status=answer.status, headers=headers)
    chunks = _later(answer.chunks) if isinstance(request, ASGIRequest) else iter(answer.chunks)
    return StreamingHttpResponse(chunks, status=answer.status, headers=headers)


async def _later(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
