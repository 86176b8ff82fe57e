"""The site: what can be asked of a running program over HTTP, free of any web framework."""

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.engine import Health, RuleStatus
from kailash_monitor.exposition import JSON, Format, accepts_gzip, choose_format, only
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import Alert
from kailash_monitor.web.http import Request, Response

__all__ = ["Monitored", "Site"]

RENDER_BUDGET: Final = 0.005
"""Seconds of rendering without a pause for the host program."""

CHUNK_BYTES: Final = 65_536
"""What is sent at once."""

GZIP_WBITS: Final = 31
"""The largest window, and a gzip header: https://docs.python.org/3/library/zlib.html#zlib.compressobj"""

_VARIES: Final = {"Vary": "Accept, Accept-Encoding"}

OVERDUE: Final = 30.0
"""A rule that is due for so long is not judged any more: the evaluation hangs."""

_logger = logging.getLogger("kailash_monitor.web")


class Monitored(Protocol):
    """What the site asks of a manager; the blocking one answers as well."""

    @property
    def metrics_registry(self) -> MetricsRegistry:
        """What is measured."""
        ...

    def get_all_alerts(self) -> list[Alert]:
        """What fires, or did of late."""
        ...

    def rule_status(self) -> list[RuleStatus]:
        """What is judged."""
        ...

    def health(self) -> Health:
        """Whether it does its work."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A page of metrics that somebody asks for; without `names`, of all of them."""

    format: Format
    gzip: bool
    names: frozenset[str]


class Site:
    """Answers requests about `manager`. Reads only.

    - `/metrics`: protobuf, OpenMetrics or the Prometheus text format, as the scraper asks, with gzip if it can read that.
      `/metrics/json`: the same as JSON (see `exposition.json_format`). `?name[]=…`, as often as you like: only the metrics
      that have one of these exported names. Who asks for the same at the same time shares one page.
    - `/healthz`: 200 while rules are judged in time, else 503. `/readyz`: 200 once every rule was judged. Firing alerts
      fail neither.
    - `/api/alerts`: `{"at": …, "alerts": [alert, …]}`, each as in a webhook. `/api/rules`: `{"at": …, "rules": [rule, …]}`.
    - `/`: a list of these.

    Errors are JSON: `{"error": …}`. An error of ours is logged, and only said to be one.
    """

    def __init__(self, manager: Monitored) -> None:
        self._manager = manager
        self._writing: dict[tuple[asyncio.AbstractEventLoop, _Asked], asyncio.Future[list[bytes]]] = {}  # pages under way
        self._pages: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/": self._index,
            "/metrics": self._metrics,
            "/metrics/json": self._metrics_json,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/api/alerts": self._alerts,
            "/api/rules": self._rules,
        }

    async def handle(self, request: Request) -> Response:
        """Answer one request. Never raises but for cancellation."""
        page = self._pages.get(request.path)
        if page is None:
            response = Response.json({"error": f"no such page; there are {', '.join(self._pages)}"}, status=404)
        elif request.method not in ("GET", "HEAD"):
            response = Response.json({"error": "only GET and HEAD"}, status=405, headers={"Allow": "GET, HEAD"})
        else:
            try:
                response = await page(request)
            except Exception:  # the top of a request: the program goes on, and the asker learns no secret
                _logger.exception("the page %s failed", request.path)
                response = Response.json({"error": "internal error; the log says more"}, status=500)
        return replace(response, chunks=()) if request.method == "HEAD" else response

    async def _index(self, _: Request) -> Response:
        return Response.text("kailash_monitor\n\n" + "".join(f"{path}\n" for path in self._pages))

    async def _metrics(self, request: Request) -> Response:
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
        page = await _driven(_gzipped(pieces) if asked.gzip else pieces)
        registry.self_metrics.scrapes.observe(asked.format.name, (SYSTEM_CLOCK.now() - begun) * 1000.0)
        return page

    async def _metrics_json(self, request: Request) -> Response:
        gzip = accepts_gzip(request.headers.get("accept-encoding"))
        page = await self._page(_Asked(JSON, gzip, frozenset(request.query.get("name[]", ()))))
        headers = {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if gzip else {})}
        return Response.text(page, content_type=JSON.content_type, headers=headers)

    async def _healthz(self, _: Request) -> Response:
        health = self._manager.health()
        return _health(health, ok=health.running and health.overdue < OVERDUE)

    async def _readyz(self, _: Request) -> Response:
        health = self._manager.health()
        return _health(health, ok=health.ready)

    async def _alerts(self, _: Request) -> Response:
        return Response.json({"at": self._at(), "alerts": [alert.document() for alert in self._manager.get_all_alerts()]})

    async def _rules(self, _: Request) -> Response:
        return Response.json({"at": self._at(), "rules": [_rule(status) for status in self._manager.rule_status()]})

    def _at(self) -> str:
        return datetime.fromtimestamp(self._manager.metrics_registry.clock.wall(), UTC).isoformat()


async def _driven(pieces: Iterator[bytes]) -> list[bytes]:
    """Give the pieces as chunks, with a pause for the host program whenever the budget is used up."""
    chunks, chunk = list[bytes](), bytearray()
    paused = SYSTEM_CLOCK.now()
    for piece in pieces:
        chunk += piece
        if len(chunk) >= CHUNK_BYTES:
            chunks.append(bytes(chunk))
            chunk.clear()
        if SYSTEM_CLOCK.now() - paused > RENDER_BUDGET:
            await asyncio.sleep(0)
            paused = SYSTEM_CLOCK.now()
    return [*chunks, bytes(chunk)]


def _gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Compress piece by piece, as little as gzip can: pages shrink to a tenth all the same."""
    gzip = zlib.compressobj(level=1, wbits=GZIP_WBITS)
    for piece in pieces:
        yield gzip.compress(piece)
    yield gzip.flush()


def _health(health: Health, *, ok: bool) -> Response:
    document = {
        "status": "ok" if ok else "failing",
        "running": health.running,
        "ready": health.ready,
        "overdue_seconds": round(health.overdue, 3),
        "failure": health.failure,
    }
    return Response.json(document, status=200 if ok else 503)


def _rule(status: RuleStatus) -> dict[str, object]:
    rule = status.rule
    return {
        "name": rule.name,
        "description": rule.description,
        "severity": rule.severity.value,
        "metric_name": rule.metric_name,
        "collector": rule.collector,
        "condition": str(rule.condition),
        "threshold": rule.threshold,
        "levels": [
            {"severity": level.severity.value, "threshold": level.threshold, "clear": level.clear} for level in rule.levels
        ],
        "metrics": list(rule.metrics),
        "match": dict(rule.match),
        "group_by": list(rule.group_by),
        "time_window_seconds": rule.time_window,
        "evaluation_interval_seconds": rule.evaluation_interval,
        "hold_seconds": rule.hold,
        "keep_firing_seconds": rule.keep_firing,
        "no_data": rule.no_data.value,
        "on_write": rule.on_write,
        "enabled": rule.enabled,
        "state": status.state,
        "value": status.value,
        "last_evaluation": status.last_evaluation and status.last_evaluation.isoformat(),
        "next_evaluation": status.next_evaluation and status.next_evaluation.isoformat(),
        "evaluations": status.evaluations,
        "late": status.late,
        "error": status.error,
    }
