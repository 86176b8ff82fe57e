"""The view: the monitoring pages of the site."""

from collections.abc import Mapping

from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from kailash_monitor.integrations.django.apps import Monitoring
from kailash_monitor.web.http import MAX_BODY, Request
from kailash_monitor.web.wsgi import answer_now

__all__ = ["page"]


@csrf_exempt
def page(request: HttpRequest, path: str = "") -> HttpResponse:
    """Answer for one page. Changes need the token of the settings, and never come from another site's page."""
    config = apps.get_app_config("kailash_monitor")
    assert isinstance(config, Monitoring)
    query: dict[str, list[str]] = dict(request.GET.lists())
    given: Mapping[str, str] = request.headers  # type: ignore[assignment, unused-ignore]  # a property that is cached
    headers = {name.lower(): value for name, value in given.items()}
    body = request.read(MAX_BODY + 1)
    answer = answer_now(config.site, Request(request.method or "GET", f"/{path}", query, headers, body))
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
