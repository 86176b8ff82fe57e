"""How long a scrape holds up the event loop.

In each round each server is a process of its own, filled with histograms of five observations, and a scraper in yet another
process asks for its page twice, over HTTP. Every callback that the loop runs meanwhile is timed by the thread's own clock,
which neither waiting nor other processes move. The longest of a round counts, and the best of the rounds, as everywhere; the
longest of all rounds and the 99th percentile of all callbacks are told beside it.

prometheus_client and aioprometheus answer as their own ASGI applications do, with all of the page at once (and
prometheus_client, when asked, `gzip.compress`), in an aiohttp server like ours. In OpenMetrics, only ours tells `_created`.
"""

import asyncio
import gc
import gzip
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from aiohttp import web
from aioprometheus.renderer import render
from prometheus_client.exposition import choose_encoder

from benchmarks.command import run
from benchmarks.contestants import AIOPROMETHEUS, HERE, PROMETHEUS, AioPrometheus, KailashMonitor, PrometheusClient
from benchmarks.effort import Effort
from benchmarks.rounds import in_rounds
from benchmarks.table import AtMost, Figure, Row, Unit
from benchmarks.traffic import observe_each
from kailash_monitor.engine import AlertManager
from kailash_monitor.web import Listen, Site, serve

__all__ = ["rows"]

LONGEST: Final = 0.010
SCRAPES: Final = 2
OBSERVATIONS: Final = 5
SCRAPER: Final = Path(__file__).with_name("scraper.py")

Server = Callable[[int], AbstractAsyncContextManager[str]]
"""Fills so many histograms and serves them; gives the address."""


@dataclass(frozen=True, slots=True)
class Format:
    """A page to ask for, and which peers give it."""

    name: str
    accept: str
    peers: tuple[str, ...] = ()
    path: str = "/metrics"


@dataclass(frozen=True, slots=True)
class Round:
    """How long each callback took, and how the page was encoded."""

    callbacks: list[float]
    encoding: str


FORMATS: Final = (
    Format("text", "text/plain;version=0.0.4", (PROMETHEUS, AIOPROMETHEUS)),
    Format("OpenMetrics", "application/openmetrics-text;version=1.0.0", (PROMETHEUS,)),
    Format(
        "protobuf",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    ),
    Format("JSON", "application/json", path="/metrics/json"),
)
GZIP: Final = "gzip"
PLAIN: Final = "identity"


def rows(effort: Effort) -> Iterator[Row]:
    """Measure every format, with gzip beside the peers, and without."""
    for format in FORMATS:
        for encoding, words, servers in ((GZIP, "gzip", (HERE, *format.peers)), (PLAIN, "no gzip", (HERE,))):
            measures = {name: partial(_round, name, effort.series, format, encoding) for name in servers}
            yield Row(
                work=f"longest callback while {effort.series:,} histograms are scraped, {format.name}, {words}",
                unit=Unit.SECONDS,
                figures={name: _figure(found, encoding) for name, found in in_rounds(measures, effort).items()},
                target=AtMost(LONGEST),
            )


def _figure(rounds: list[Round], wanted: str) -> Figure:
    taken = sorted(seconds for one in rounds for seconds in one.callbacks)
    worst, p99 = Unit.SECONDS.words(taken[-1]), Unit.SECONDS.words(taken[int(0.99 * len(taken))])
    uncompressed = ", sent without gzip" if rounds[0].encoding != wanted else ""
    return Figure(min(max(one.callbacks) for one in rounds), f"worst {worst}, p99 {p99}{uncompressed}")


def _round(name: str, series: int, format: Format, encoding: str) -> Round:
    """Serve and scrape in a new process: in one that has grown, large pages find memory that the system gave before."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_serve_and_scrape, name, series, format, encoding).result()


def _serve_and_scrape(name: str, series: int, format: Format, encoding: str) -> Round:
    return asyncio.run(_scraped(SERVERS[name], series, format, encoding))


async def _scraped(server: Server, series: int, format: Format, encoding: str) -> Round:
    async with server(series) as address:
        gc.collect()
        with _timed() as taken:
            for _ in range(SCRAPES):
                sent = await asyncio.to_thread(_scrape, f"http://{address}{format.path}", format.accept, encoding)
    return Round(taken, sent)


def _scrape(url: str, accept: str, encoding: str) -> str:
    """Have a scraper ask once; what it got must be a page of that type. Give its encoding."""
    command = [sys.executable, SCRAPER, url, accept, encoding]
    found: dict[str, str] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603
    assert found["type"].startswith(accept.partition(";")[0]), found
    return found["encoding"]


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Collect how long each callback of the event loop takes."""
    taken: list[float] = []
    untimed = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        begun = time.thread_time()
        untimed(handle)
        taken.append(time.thread_time() - begun)

    asyncio.Handle._run = timed
    try:
        yield taken
    finally:
        asyncio.Handle._run = untimed


@asynccontextmanager
async def _here(series: int) -> AsyncIterator[str]:
    library = KailashMonitor(series)
    observe_each(library, series, OBSERVATIONS)
    server = await serve(Site(AlertManager(library.registry)), Listen("127.0.0.1", 0))
    try:
        yield str(server.address)
    finally:
        await server.close()


def _prometheus_client(series: int) -> AbstractAsyncContextManager[str]:
    library = PrometheusClient(series)
    observe_each(library, series, OBSERVATIONS)

    async def answer(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers["Accept"])
        page, headers = encode(library.registry), {"Content-Type": content_type}
        if request.headers["Accept-Encoding"] == GZIP:
            page, headers["Content-Encoding"] = gzip.compress(page), GZIP
        return web.Response(body=page, headers=headers)

    return _served(answer)


def _aioprometheus(series: int) -> AbstractAsyncContextManager[str]:
    library = AioPrometheus(series)
    observe_each(library, series, OBSERVATIONS)

    async def answer(request: web.Request) -> web.Response:
        page, headers = render(library.registry, [request.headers["Accept"]])
        return web.Response(body=page, headers=headers)

    return _served(answer)


@asynccontextmanager
async def _served(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


SERVERS: Final[dict[str, Server]] = {HERE: _here, PROMETHEUS: _prometheus_client, AIOPROMETHEUS: _aioprometheus}

if __name__ == "__main__":
    run(rows)
