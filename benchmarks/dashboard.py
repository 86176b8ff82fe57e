"""What the dashboard costs the program that it shows, which has many series, a tenth as many alerts, and an hour behind it.

Most of the alerts fire, others are pending or silenced. *First view* is all that the page asks for until it shows something:
its files, the session, and what is on it. *A poll* is what it asks for again and again, with the cursor of the last answer:
with a new value for every alert each time, or *calm*, with nothing new. These are thread time and bytes of the body, without
the server around it, medians of the rounds.

*The longest callback* is any of the program's event loop while dashboards in another process poll it over HTTP, the
evaluation of its rules among them. *In the browser*: from the request for the page to the first row that can be seen, in
Debian's chromium by Playwright, best of the rounds; it is left out where one of them is missing.
"""

import asyncio
import gc
import http.client
import importlib.util
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Coroutine, Generator, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from statistics import median
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from benchmarks.alerting import UNLIMITED
from benchmarks.command import run
from benchmarks.contestants import HERE, LABELS
from benchmarks.effort import FULL, Effort
from benchmarks.loops import Taken, percentile, timed_callbacks
from benchmarks.table import AtMost, Figure, Row, Unit
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.engine import AlertManager
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import Alert
from kailash_monitor.rules import AlertRule
from kailash_monitor.web import Listen, Request, Response, Site, serve
from kailash_monitor.web.static_files import packaged_files

__all__ = ["rows"]

BEHIND: Final = 3_600.0
STEP: Final = 60.0
"""Seconds of history, and between two recordings of each series in it."""

FIRST_VIEW: Final = 1.5
POLL: Final = 0.050
POLL_BYTES: Final = 100_000.0
LONGEST: Final = 0.010

DASHBOARDS: Final = 3
PAUSE: Final = 0.5
"""Seconds between two polls of a dashboard: the page leaves more."""

CALLBACKS: Final = 20
"""In which all alerts get another value while dashboards poll."""

TICK: Final = 1.0
"""Seconds between evaluations."""

ALERT: Final = quote('high_app{path="/x/1"}', safe="")
MATCH: Final = quote('path=~"/x/.*"')

POLLS: Final = {
    "overview": ("health", "alerts?state=firing&limit=8"),
    "its tiles": ("tiles",),
    "new alerts, on every page": ("alerts?state=firing&limit=100",),
    "alerts": ("alerts?limit=50",),
    "alerts, filtered": (f"alerts?limit=50&state=firing&text=x&match={MATCH}",),
    "an alert": (f"alerts/{ALERT}/explain",),
    "its chart": (f"alerts/{ALERT}/chart?range=3600",),
    "rules": ("rules?limit=50",),
    "a rule's chart": ("rules/high/chart?range=3600",),
    "metrics": ("metrics?limit=50",),
    "a metric's chart": ("metrics/chart?collector=app&name=requests&range=3600",),
    "its windows": ("metrics/windows?collector=app&name=requests",),
    "all its series as one line": ("metrics/chart?collector=app&name=requests&range=3600&by=method",),
    "windows of a timer": ("metrics/windows?collector=app&name=took",),
    "its series": ("metrics/series?collector=app&name=requests&limit=20",),
    "notifications": ("channels", "outbox?limit=50", "deliveries?limit=50", "dead-letters?limit=50"),
    "silences": ("silences?limit=50",),
}
"""What is asked for together, below `/api/`, as the pages do it."""

FIRST: Final = (*POLLS["overview"], *POLLS["its tiles"], *POLLS["new alerts, on every page"])
"""What is asked for before anything is seen."""


def rows(effort: Effort) -> Iterator[Row]:
    """Measure what is asked for, then what the event loop notices of it, then the browser."""
    yield from asyncio.run(_measured(effort))


async def _measured(effort: Effort) -> list[Row]:
    program = _Program(effort)
    program.remember()
    number = f"{effort.series:,} series and {program.alerts:,} alerts"
    async with program.manager:
        await program.settled()
        found = [_row(f"dashboard of {number}: the first view's requests", await program.first_view(effort.rounds))]
        polled = {page: await program.polls(page, effort.rounds) for page in POLLS}
        for page, (calm, storm) in polled.items():
            remark = f"calm {_words(median(calm.seconds))}, worst {_words(max(storm.seconds))}"
            found.append(_row(f"poll of {page}", storm, remark, AtMost(POLL)))
        largest = max(polled, key=lambda page: max(cost.size for cost in polled[page]))
        figure = Figure(max(cost.size for cost in polled[largest]), f"of {largest}")
        work = "the largest answer of these polls"
        found.append(Row(work=work, unit=Unit.BYTES, figures={HERE: figure}, target=AtMost(POLL_BYTES)))
        server = await serve(program.site, Listen("127.0.0.1", 0))
        try:
            url = f"http://{server.address}"
            found.append(_longest(await program.watched(url, 20.0 if effort is FULL else 1.0)))
            found += await _browsed(url, effort.rounds)
        finally:
            await server.close()
    return found


def _words(seconds: float) -> str:
    return Unit.SECONDS.words(seconds)


def _row(work: str, cost: "_Cost", remark: str = "", target: AtMost | None = None) -> Row:
    parts = [remark] if remark else []
    figure = Figure(median(cost.seconds), ", ".join([*parts, f"{cost.requests} requests, {Unit.BYTES.words(cost.size)}"]))
    return Row(work=work, unit=Unit.SECONDS, figures={HERE: figure}, target=target)


def _longest(taken: Taken) -> Row:
    remark = f"p99 {_words(percentile(taken.callbacks, 99))}, with them {_words(taken.longest)}"
    figure = Figure(taken.longest_of_ours, remark)
    work = f"longest callback while {DASHBOARDS} dashboards poll all of these, full garbage collections aside"
    return Row(work=work, unit=Unit.SECONDS, figures={HERE: figure}, target=AtMost(LONGEST))


# -- the program -----------------------------------------------------------------------------------------------------------


class _Hindsight:
    """A clock that is `behind` the system's, so that a history can be recorded at once."""

    def __init__(self) -> None:
        self.behind = 0.0

    def now(self) -> float:
        return SYSTEM_CLOCK.now() - self.behind

    def wall(self) -> float:
        return SYSTEM_CLOCK.wall() - self.behind

    def suspended(self) -> float:
        return SYSTEM_CLOCK.suspended()


class _Pager(NotificationChannel):
    """Takes all that it is told."""

    async def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:
        return True


@dataclass(slots=True)
class _Cost:
    """Seconds of thread time of each round, and bytes and requests of one."""

    seconds: list[float] = field(default_factory=list[float])
    size: int = 0
    requests: int = 0


class _Timed:
    """Awaits an answer, and takes the thread's time meanwhile, but for what others do while it waits."""

    def __init__(self, answer: Coroutine[object, None, Response]) -> None:
        self.seconds = 0.0
        self._answer = answer

    def __await__(self) -> Generator[object, None, Response]:
        steps = self._answer.__await__()
        while True:
            begun = time.thread_time()
            try:
                waited_for = next(steps)
            except StopIteration as answered:
                response: Response = answered.value
                return response
            finally:
                self.seconds += time.thread_time() - begun
            yield waited_for


class _Program:
    """What is measured and judged, and the site that shows it."""

    def __init__(self, effort: Effort) -> None:
        self._clock = _Hindsight()
        self.alerts = effort.series // 10
        registry = MetricsRegistry(clock=self._clock)
        app = registry.collector("app", max_series=effort.series)
        self._requests = app.counter("requests", "Requests", labels=LABELS)
        self._took = app.timer("took", "Duration", labels=LABELS)
        self._load = app.gauge("load", "Load", labels=LABELS)
        self._lag = app.gauge("lag", "Lag", labels=LABELS)
        self._times = range(self.alerts)
        self._counts = range(effort.series - 2 * self.alerts)
        self.manager = AlertManager(registry, luck=lambda: 0.5)
        self.manager.add_notification_channel(_Pager(), rate=UNLIMITED)
        self.site = Site(self.manager)

    def remember(self) -> None:
        """Record the history, up to now."""
        for number in range(int(BEHIND / STEP)):
            self._clock.behind = BEHIND - number * STEP
            value = 5.0 + 3.0 * math.sin(number / 5)
            for index in self._counts:
                self._requests.inc("GET", f"/c/{index}")
            for index in self._times:
                self._took.observe("GET", f"/t/{index}", value)
            self.change(value)
        self._clock.behind = 0.0

    def change(self, value: float, first: int = 0, step: int = 1) -> None:
        """Give every alert another value, or each so many-th; a fifth of them is pending."""
        for index in range(first, self.alerts, step):
            gauge = self._lag if index % 5 == 0 else self._load
            gauge.set("GET", f"/x/{index}", value + index % 7)

    async def settled(self) -> None:
        """Add the rules, silence some alerts, and wait until all are there."""
        for rule in (
            AlertRule("high", "Load is high", "error", "load", "> 1", group_by=("path",), evaluation_interval=TICK),
            AlertRule("held", "It lags", "warning", "lag", "> 1", hold="2h", group_by=("path",), evaluation_interval=TICK),
            AlertRule("much", "Much is asked", "info", "requests", "rate >", 1e9, evaluation_interval=TICK),
            AlertRule("slow", "It takes long", "info", "took", "p95 >", 1e9, evaluation_interval=TICK),
        ):
            self.manager.add_rule(rule)
        await self.manager.silence('path=~"/x/.*9"', duration="1h")
        while len(self.manager.get_all_alerts()) < self.alerts:  # noqa: ASYNC110  # the engine has no event for that
            await asyncio.sleep(TICK)
        await asyncio.sleep(TICK)

    # -- what is asked -----------------------------------------------------------------------------------------------------

    async def first_view(self, rounds: int) -> _Cost:
        """Ask for all that the browser does before a row is seen."""
        files = [f"/static/{name}" for name in await packaged_files() if name.endswith((".js", ".css", ".svg"))]
        data = [f"/api/{one}" for one in ("session", *FIRST)]
        browser = {"accept": "text/html", "accept-encoding": "gzip, deflate"}
        cost = _Cost()
        for _ in range(rounds):
            asked = [await self._asked(path, browser) for path in ("/", *files, *data)]
            cost.seconds.append(sum(seconds for seconds, _ in asked))
            cost.size, cost.requests = sum(len(body) for _, body in asked), len(asked)
        return cost

    async def polls(self, page: str, rounds: int) -> tuple[_Cost, _Cost]:
        """Poll a page where nothing is new, and where all is."""
        cursors: dict[str, str] = {}
        await self._poll(page, cursors)
        calm, storm = _Cost(), _Cost()
        for number in range(rounds):
            for cost in (calm, storm):
                if cost is storm:
                    self.change(6.0 + number % 2)
                    await asyncio.sleep(TICK * 1.5)
                answers = await self._poll(page, cursors)
                cost.seconds.append(sum(seconds for seconds, _ in answers))
                cost.size, cost.requests = max(cost.size, sum(size for _, size in answers)), len(answers)
        return calm, storm

    async def _poll(self, page: str, cursors: dict[str, str]) -> list[tuple[float, int]]:
        answers = []
        for path in POLLS[page]:
            seconds, body = await self._asked(f"/api/{_since(path, cursors)}")
            _keep(path, body, cursors)
            answers.append((seconds, len(body)))
        return answers

    async def _asked(self, target: str, headers: Mapping[str, str] | None = None) -> tuple[float, bytes]:
        """Give how long the answer took, and its body."""
        split = urlsplit(target)
        request = Request("GET", unquote(split.path), parse_qs(split.query), headers or {})
        gc.collect()
        answering = _Timed(self.site.handle(request))
        response = await answering
        assert response.status == 200, f"{target}: {response.status} {response.body[:300]!r}"
        return answering.seconds, response.body

    async def watched(self, url: str, seconds: float) -> Taken:
        """Have dashboards poll for a while."""
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(process, _look, url, 0.0)  # it has started
            gc.collect()
            with timed_callbacks() as taken:
                looking = loop.run_in_executor(process, _look, url, seconds)
                number = 0
                while not looking.done():
                    for part in range(CALLBACKS):  # recording is not what is measured here
                        self.change(6.0 + number % 2, part, CALLBACKS)
                        await asyncio.sleep(0)
                    number += 1
                    await asyncio.sleep(TICK)
                assert await looking > 0
        return taken


def _since(path: str, cursors: Mapping[str, str]) -> str:
    cursor = cursors.get(path)
    return path if cursor is None else f"{path}{'&' if '?' in path else '?'}since={quote(cursor)}"


def _keep(path: str, body: bytes, cursors: dict[str, str]) -> None:
    cursor = json.loads(body).get("cursor")
    if cursor is not None:
        cursors[path] = cursor


# -- who looks -------------------------------------------------------------------------------------------------------------


def _look(url: str, seconds: float) -> int:
    """Poll as so many dashboards do, each over a connection of its own; give how many answers came."""
    counts: list[int] = []
    threads = [threading.Thread(target=_look_once, args=(url, seconds, counts)) for _ in range(DASHBOARDS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) if len(counts) == DASHBOARDS else -1


def _look_once(url: str, seconds: float, counts: list[int]) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    cursors: dict[str, str] = {}
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for page in POLLS:
            for path in POLLS[page]:
                connection.request("GET", f"/api/{_since(path, cursors)}")
                answer = connection.getresponse()
                body = answer.read()
                assert answer.status == 200, f"{path}: {answer.status} {body[:300]!r}"
                _keep(path, body, cursors)
                count += 1
            time.sleep(PAUSE / len(POLLS))
    connection.close()
    counts.append(count)


async def _browsed(url: str, rounds: int) -> list[Row]:
    """Open the alerts in a browser, again and again, each time one that has never been there."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or importlib.util.find_spec("playwright") is None:
        return []
    seen = await asyncio.to_thread(_browse, chromium, url, rounds)
    figure = Figure(min(seen), f"median {_words(median(seen))}, worst {_words(max(seen))}")
    work = "first view in a browser, until the first row is seen"
    return [Row(work=work, unit=Unit.SECONDS, figures={HERE: figure}, target=AtMost(FIRST_VIEW))]


def _browse(chromium: str, url: str, rounds: int) -> list[float]:
    from playwright.sync_api import sync_playwright

    root = hasattr(os, "geteuid") and os.geteuid() == 0  # whose sandbox chromium refuses
    arguments = ["--disable-gpu", "--disable-background-networking", *(["--no-sandbox"] if root else [])]
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=arguments)
        browser.new_page().goto("about:blank")  # it has started
        for _ in range(rounds):
            page = browser.new_context().new_page()
            begun = time.perf_counter()
            page.goto(f"{url}/#/alerts", wait_until="commit")
            page.locator("main table tbody tr").first.wait_for(state="visible")
            seconds.append(time.perf_counter() - begun)
            page.context.close()
        browser.close()
    return seconds


if __name__ == "__main__":
    run(rows)
