"""A bakery with a dashboard, for the browser tests: what it measures, and whom it cannot reach, is in the test's hand.

    python tests/dashboard_program.py --port 9555 --token secret

serves it until Ctrl-C, with an hour behind it, to be looked at.
"""

import argparse
import asyncio
import math
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from anyio.from_thread import start_blocking_portal

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Outcome, Rejected
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.testing import RecordingChannel
from kailash_monitor.web import Listen, Site, aiohttp_app, serve

__all__ = ["HOSTILE", "Bakery", "Program", "mounted", "running"]

HOSTILE = '<img src="https://elsewhere.example/x.png" onerror="document.title = 1"><b>bold</b>'
"""What a page that takes texts for HTML would show as a picture, and ask another server for."""

SOON = 0.2
"""Seconds between evaluations."""


STEP = 5.0
"""Seconds between recordings of the past."""


class Hindsight:
    """A clock that is `behind` the system's, so that a history can be recorded before the program starts."""

    def __init__(self, behind: float) -> None:
        self.behind = behind

    def now(self) -> float:
        return SYSTEM_CLOCK.now() - self.behind

    def wall(self) -> float:
        return SYSTEM_CLOCK.wall() - self.behind

    def suspended(self) -> float:
        return SYSTEM_CLOCK.suspended()


@dataclass
class Bakery:
    """What is measured and judged, with so many seconds behind it. Nothing fires until a test says so."""

    past: float = 0.0
    letters: Outcome = field(default_factory=lambda: Rejected("HTTP 404: no such room"))
    """What the channel `letters` answers."""
    phone: Outcome = field(default_factory=Delivered)

    def __post_init__(self) -> None:
        self.clock = Hindsight(self.past)
        self.registry = MetricsRegistry(clock=self.clock)
        self.shop: MetricsCollector = self.registry.collector("shop")
        self.queue = self.shop.gauge("queue", "Customers who wait", unit="customers")
        self.heat = self.shop.gauge("oven_temperature", "How hot the ovens are", labels=["oven"], unit="celsius")
        self.loaves = self.shop.counter("loaves", "Loaves that were sold", labels=["kind"])
        self.serving = self.shop.timer("serving", "How long a customer takes", labels=["till"])
        self.crumbs = self.shop.gauge("crumbs", f"Crumbs {HOSTILE}", labels=["where"])
        self._remember()

    def _remember(self) -> None:
        """Record what a quiet time looks like, up to now."""
        luck = random.Random(7)
        for number in range(int(self.past / STEP)):
            self.clock.behind = self.past - number * STEP
            wave = math.sin(number / 20)
            self.queue.set(round(2 + 2 * wave + luck.random()))
            for oven, base in (("left", 180), ("right", 190)):
                self.heat.set(oven, base + 8 * wave + luck.random())
            for kind, most in (("rye", 3), ("wheat", 6)):
                self.loaves.inc(kind, by=luck.randrange(most))
            for till in ("1", "2"):
                self.serving.observe(till, luck.lognormvariate(4, 0.5))
        self.clock.behind = 0.0

    def tell(self, channel: str) -> Outcome:
        return self.letters if channel == "letters" else self.phone

    def make_manager(self, store: Path | None) -> AlertManager:
        manager = AlertManager(self.registry, store=store)
        for rule in rules():
            manager.add_rule(rule)
        for name in ("phone", "letters"):
            manager.add_notification_channel(RecordingChannel(name, lambda _, name=name: self.tell(name)))  # type: ignore[misc]
        return manager


def rules() -> Iterator[AlertRule]:
    """Give one of each kind."""
    yield AlertRule(
        "queue_long",
        "Too many customers wait",
        "warning",
        "queue",
        "> 5",
        evaluation_interval=SOON,
        labels={"team": "counter"},
        annotations={"summary": "The queue is long", "runbook_url": "https://wiki.example.com/queue"},
    )
    yield AlertRule(
        "oven_hot",
        "An oven is too hot",
        None,
        "oven_temperature",
        ">",
        levels={"error": 230, "critical": 250},
        group_by=["oven"],
        evaluation_interval=SOON,
        labels={"team": "bakers"},
    )
    yield AlertRule(
        "oven_warm", "An oven stays warm", "info", "oven_temperature", "> 210", hold="1h", evaluation_interval=SOON
    )
    yield AlertRule("no_rye", "Rye is out", "info", "loaves", "rate < 0", match={"kind": "rye"}, enabled=False)
    yield AlertRule(
        "slow_serving",
        "Customers take long",
        "warning",
        expr="kailash_shop_serving_milliseconds_sum / kailash_shop_serving_milliseconds_count > 1e6",
        evaluation_interval=1,
    )
    yield AlertRule(
        "crumbs",
        f"Crumbs everywhere {HOSTILE}",
        "error",
        "crumbs",
        "> 1",
        group_by=["where"],
        evaluation_interval=SOON,
        labels={"team": HOSTILE},
        annotations={"summary": f"Crumbs {HOSTILE}", "note": HOSTILE, "runbook_url": "javascript:document.title=1"},
    )


@dataclass
class Program:
    """One that is served at `url`, and its parts."""

    url: str
    bakery: Bakery
    manager: AlertManager


@asynccontextmanager
async def _served(bakery: Bakery, store: Path | None, token: str | None, port: int) -> AsyncIterator[Program]:
    async with bakery.make_manager(store) as manager:
        server = await serve(Site(manager, token), Listen("127.0.0.1", port))
        try:
            yield Program(f"http://{server.address}", bakery, manager)
        finally:
            await server.close()


@asynccontextmanager
async def _mounted(bakery: Bakery, token: str | None) -> AsyncIterator[Program]:
    app = web.Application()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    async with bakery.make_manager(None) as manager:
        app.add_subapp("/monitor", aiohttp_app(Site(manager, token)))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield Program(f"http://127.0.0.1:{runner.addresses[0][1]}/monitor", bakery, manager)
        finally:
            await runner.cleanup()


@contextmanager
def running(bakery: Bakery, *, store: Path | None = None, token: str | None = None, port: int = 0) -> Iterator[Program]:
    """Run it on an event loop in a thread of its own."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_served(bakery, store, token, port)) as program,
    ):
        yield program


@contextmanager
def mounted(bakery: Bakery, *, token: str | None = None) -> Iterator[Program]:
    """Run it with its site below `/monitor` of an application."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_mounted(bakery, token)) as program:
        yield program


async def _look(port: int, token: str | None) -> None:
    bakery = Bakery(3600)
    bakery.queue.set(9)
    bakery.heat.set("left", 240)
    bakery.heat.set("right", 260)
    bakery.crumbs.set(HOSTILE, 7)
    async with _served(bakery, None, token, port) as program:
        print(program.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9555)
    parser.add_argument("--token")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_look(given.port, given.token))


if __name__ == "__main__":
    main()
