"""The site: what can be asked of a running program over HTTP, free of any web framework."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.engine import Health
from kailash_monitor.exposition import JSON, Format, accepts_gzip, choose_format, only
from kailash_monitor.web.access import Access
from kailash_monitor.web.api import Api
from kailash_monitor.web.body import seen
from kailash_monitor.web.changes import Changes
from kailash_monitor.web.charts_api import ChartsApi
from kailash_monitor.web.chunks import driven, gzipped
from kailash_monitor.web.deeds import Deeds
from kailash_monitor.web.documents import health_document
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.metrics_api import MetricsApi
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.openapi import openapi_route
from kailash_monitor.web.promql_api import PromqlApi
from kailash_monitor.web.routes import Route
from kailash_monitor.web.session_api import SessionApi
from kailash_monitor.web.static_files import PAGE, answer_file, packaged_files

__all__ = ["Monitored", "Site"]

_VARIES: Final = {"Vary": "Accept, Accept-Encoding"}

_logger = logging.getLogger("kailash_monitor.web")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A page of metrics that somebody asks for; without `names`, of all of them."""

    format: Format
    gzip: bool
    names: frozenset[str]


class Site:
    """Answers requests about `manager`, and takes what people say about its alerts.

    - `/metrics`: protobuf, OpenMetrics or the Prometheus text format, as the scraper asks, with gzip if it can read that.
      `/metrics/json`: the same as JSON (see `exposition.json_format`). `?name[]=…`, as often as you like: only the metrics
      that have one of these exported names. Who asks for the same at the same time shares one page.
    - `/healthz`: 200 while rules are judged in time, else 503, also where the manager's event loop hangs and another serves
      this. `/readyz`: 200 once every rule was judged, and while what happens is kept in the store, where there is one. What
      is wrong is the `reason`. Firing alerts fail neither.
    - `/api/…`: alerts, rules, silences, messages, channels and metrics as JSON, and what people do about them;
      `/api/openapi.json` describes it all (OpenAPI 3.1). `/api/session`: signing in. `/api/audit`: who changed what.
    - `/api/v1/query`, `query_range`, `series`, `labels`, `label/<name>/values`, `rules`, `alerts`, `metadata` and
      `status/buildinfo`, as a Prometheus answers them: for Grafana and `promtool query`.
    - `/`: the dashboard for a browser, for others a list of these. `/static/…`: its files.

    Ids in paths are percent-encoded. Reading asks for nothing. Changes need `Content-Type: application/json` and
    `Authorization: Bearer <token>`, or the cookie of a session with its `X-CSRF-Token`; without a `token` the site only
    reads. They are taken at an IP address, at `localhost` and under the names in `hosts`, and never from a web page of
    another host. A session lasts twelve hours, is known to every process with the same token, and outlives their restarts.
    Changes are logged by `kailash_monitor.web`; there may be ten a second, and of wrong tokens one in two seconds.

    Errors are JSON: `{"error": …}`, under `/api/v1` as Prometheus has them. An error of ours is logged, and only said to be
    one.
    """

    def __init__(self, manager: Monitored, token: str | None = None, *, hosts: Iterable[str] = ()) -> None:
        clock = manager.metrics_registry.clock
        access, deeds = Access(token, hosts, clock=clock), Deeds(clock)
        self._manager = manager
        self._access = access
        changes = Changes(access, deeds, clock)
        self._writing: dict[tuple[asyncio.AbstractEventLoop, _Asked], asyncio.Future[list[bytes]]] = {}  # pages under way
        self._routes: Final = (
            Route("GET", "/", self._index),
            Route("GET", "/static/<id>", self._static),
            Route("GET", "/metrics", self._metrics),
            Route("GET", "/metrics/json", self._metrics_json),
            Route("GET", "/healthz", self._healthz),
            Route("GET", "/readyz", self._readyz),
            *Api(manager, changes, deeds).routes,
            *SessionApi(access, deeds).routes,
            openapi_route,
            *ChartsApi(manager).routes,
            *MetricsApi(manager).routes,
            *PromqlApi(manager).routes,
        )

    @property
    def takes_changes(self) -> bool:
        """Whether it has a token, and lets those change things who have it as well."""
        return self._access.token_is_set

    async def handle(self, request: Request) -> Response:
        """Answer one request. Never raises but for cancellation."""
        path = request.path or "/"
        found = [(route, an_id) for route in self._routes if (an_id := route.id_in(path)) is not None]
        method = "GET" if request.method == "HEAD" else request.method
        chosen = next((one for one in found if one[0].method == method), None)
        if chosen is not None:
            response = await self._answer(request, *chosen)
        elif found:
            response = _not_allowed({route.method for route, _ in found})
        else:
            response = Response.json({"error": f"no such page; there are {', '.join(self._titles())}"}, status=404)
        return replace(response, chunks=()) if request.method == "HEAD" else response

    async def _answer(self, request: Request, route: Route, an_id: str) -> Response:
        try:
            return await route.answer(request, an_id)
        except Exception:  # the top of a request: the program goes on, and the asker learns no secret
            _logger.exception("the page %s failed", route.title)
            return Response.json({"error": "internal error; the log says more"}, status=500)

    def _titles(self) -> list[str]:
        return [route.title for route in self._routes]

    async def _index(self, request: Request, _: str) -> Response:
        """Give the dashboard to a browser, and to others the list of paths."""
        page = (await packaged_files()).get(PAGE)
        if page is None or "text/html" not in request.headers.get("accept", "").lower():
            titles = "".join(f"{title}\n" for title in self._titles())
            return Response.text(f"kailash_monitor\n\n{titles}", headers=_VARIES)
        if not request.path:  # its own addresses are relative, and would be beside the mount in place of below it
            there = f"./{request.mount.rpartition('/')[2]}/"
            return Response.text("", status=308, headers={**_VARIES, "Location": there})
        return answer_file(request, page, varies=_VARIES["Vary"])

    async def _static(self, request: Request, name: str) -> Response:
        file = (await packaged_files()).get(name)
        if file is None:
            return Response.json({"error": f"no such file of the page, {seen(name)}"}, status=404)
        return answer_file(request, file)

    async def _metrics(self, request: Request, _: str) -> Response:
        chosen = choose_format(request.headers.get("accept"))
        gzip = accepts_gzip(request.headers.get("accept-encoding"))
        page = await self._page(_Asked(chosen, gzip, frozenset(request.query.get("name[]", ()))))
        headers = {**_VARIES, "Content-Encoding": "gzip"} if gzip else _VARIES
        return Response.text(page, content_type=chosen.content_type, headers=headers)

    async def _page(self, asked: "_Asked") -> list[bytes]:
        """Write the page, or wait for one that is being written for somebody else who asked for the same."""
        key = (asyncio.get_running_loop(), asked)  # a loop cannot wait for another's page
        writing = self._writing.get(key)
        if writing is None:
            writing = self._writing[key] = asyncio.ensure_future(self._write(asked))
            writing.add_done_callback(lambda _: self._writing.pop(key))
        return await asyncio.shield(writing)  # whoever goes away must not take it from the others

    async def _write(self, asked: "_Asked") -> list[bytes]:
        registry, begun = self._manager.metrics_registry, SYSTEM_CLOCK.now()
        snapshot = registry.snapshot()
        pieces = asked.format.render(only(snapshot, asked.names) if asked.names else snapshot)
        page = await driven(gzipped(pieces) if asked.gzip else pieces)
        registry.self_metrics.scrapes.observe(asked.format.name, (SYSTEM_CLOCK.now() - begun) * 1000.0)
        return page

    async def _metrics_json(self, request: Request, _: str) -> Response:
        gzip = accepts_gzip(request.headers.get("accept-encoding"))
        page = await self._page(_Asked(JSON, gzip, frozenset(request.query.get("name[]", ()))))
        headers = {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if gzip else {})}
        return Response.text(page, content_type=JSON.content_type, headers=headers)

    async def _healthz(self, _: Request, __: str) -> Response:
        health = self._manager.health()
        return _health(health, health.ailment)

    async def _readyz(self, _: Request, __: str) -> Response:
        health = self._manager.health()
        return _health(health, health.impediment)


def _not_allowed(methods: set[str]) -> Response:
    allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
    return Response.json({"error": f"only {allowed} here"}, status=405, headers={"Allow": allowed})


def _health(health: Health, reason: str | None) -> Response:
    return Response.json(health_document(health, reason=reason), status=200 if reason is None else 503)
