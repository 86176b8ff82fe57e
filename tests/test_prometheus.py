"""A real Prometheus server scrapes each of our formats, and answers what was recorded.

One server for each format, since what it asks for is a matter of its flags; all are started at once, and each is asked
through its HTTP API, https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

import asyncio
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from kailash_monitor.alerts import AlertManager
from kailash_monitor.metrics import MetricSeverity, MetricsRegistry, PerformanceMetrics, SecurityMetrics, ValidationMetrics
from kailash_monitor.model.labels import label_value
from kailash_monitor.web import Listen, Request, Response, Site, serve

pytestmark = [
    pytest.mark.external,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not shutil.which("prometheus"), reason="prometheus, from the Debian package prometheus, is not installed"
    ),
]

PATIENCE = 30.0
"""Seconds until two scrapes are over: a new server takes five until it knows its targets, and one more for the second."""

GRACE = 5.0
"""Seconds that a server has to end by itself."""

BUCKET = 2 ** (1 / 16) - 1
"""4.4 %: from one bound of a native bucket to the next. The server may answer anything between them."""

MOVED_BUCKET = 2 ** (1.5 / 16) - 1
"""6.7 %: the same, where a change of unit moved the buckets to the nearest ones of the new unit."""

HOSTILE = [
    'q"uote', "new\nline", "back\\slash", "\\n", 'x"} 1\nkailash_app_forged 2', "a\0b", "\r\t\x07\x7f\x85\u2028", "é€𝄞\uffff",
    "\ud800", "x" * 1_000_000, " ",
]  # fmt: skip

DESCRIPTION = 'Odd "things" \\ and\n# EOF\n\0é'


@dataclass(frozen=True, slots=True)
class Format:
    """A format, and how a server is brought to ask for it.

    `features` are the server's flags. `instead` is what the site reads in place of the header Accept, since no server of
    today asks for the text format alone.
    """

    name: str
    media_type: str
    features: tuple[str, ...] = ("exemplar-storage",)
    instead: str | None = None


TEXT = Format("text", "text/plain", instead="text/plain;version=0.0.4")
OPENMETRICS = Format("openmetrics", "application/openmetrics-text")
PROTOBUF = Format("protobuf", "application/vnd.google.protobuf", features=("exemplar-storage", "native-histograms"))
FORMATS = [TEXT, OPENMETRICS, PROTOBUF]

every_format = pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
classic_formats = pytest.mark.parametrize("format", [TEXT, OPENMETRICS], ids=lambda format: format.name)
exemplar_formats = pytest.mark.parametrize("format", [OPENMETRICS, PROTOBUF], ids=lambda format: format.name)


class WatchedSite(Site):
    """A site that notes which formats were asked for and given, and can be told what to read in the header Accept."""

    def __init__(self, manager: AlertManager, accept: str | None) -> None:
        super().__init__(manager)
        self.scraped: list[tuple[str, str]] = []
        self.scraped_twice = asyncio.Event()
        self._accept = accept

    async def handle(self, request: Request) -> Response:
        asked = request.headers.get("accept", "")
        if self._accept is not None:
            request = replace(request, headers={**request.headers, "accept": self._accept})
        response = await super().handle(request)
        self.scraped.append((asked, response.headers["Content-Type"]))
        if len(self.scraped) > 1:  # a target is asked again once the first answer is stored
            self.scraped_twice.set()
        return response


@dataclass(frozen=True, slots=True)
class Scraper:
    """A server that has scraped our site at least once."""

    address: str
    log: Path
    site: WatchedSite
    session: ClientSession

    async def ask(self, endpoint: str, **parameters: str) -> object:
        """Give the data of an answer of its API."""
        async with self.session.get(f"http://{self.address}/api/v1/{endpoint}", params=parameters) as response:
            document = await response.json()
        assert document["status"] == "success", document
        data: object = document["data"]
        return data

    async def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Give labels and value of each series that an expression has now."""
        data = await self.ask("query", query=expression)
        assert isinstance(data, dict)
        return [
            ({name: label for name, label in one["metric"].items() if name not in _ITS_OWN}, float(one["value"][1]))
            for one in data["result"]
        ]

    def warnings(self) -> list[str]:
        """Give what the server had to say of its scrapes: samples or exemplars that come twice, or too late."""
        return [line for line in self.log.read_text().splitlines() if "scrape" in line]

    async def value(self, expression: str) -> float:
        """Give the value of the only series that an expression has now."""
        ((_, value),) = await self.query(expression)
        return value


_ITS_OWN = ("__name__", "job", "instance")
"""Labels that are not ours."""


def recorded() -> MetricsRegistry:
    """Give a registry with all that is asked for below."""
    registry = MetricsRegistry()
    app = registry.collector("app")
    app.counter("orders", "Orders taken", labels=("shop",)).inc("north", by=3.5, exemplar={"trace_id": "é1"})
    app.gauge("temperature").set(-1.5)
    odd = app.gauge("odd", DESCRIPTION, labels=("value", "number"))
    for number, value in enumerate(HOSTILE):
        odd.set(value, number, number)
    sizes = app.histogram("sizes", "Sizes of things", buckets=(1, 2, 5))
    for size in (0, 1, 1.5, 4, 100):
        sizes.observe(size, exemplar={"trace_id": "big"} if size == 100 else None)
    changes = app.histogram("changes", buckets=(-1, 0, 1))
    for change in (-30, -3, -0.25):
        changes.observe(change)
    wait = app.timer("wait", labels=("queue",))
    for milliseconds in range(1, 1001):
        wait.observe("a", milliseconds)
    app.histogram("untouched", labels=("kind",)).labels("x")

    validation, security, performance = ValidationMetrics(), SecurityMetrics(), PerformanceMetrics()
    for name, collector in (("validation", validation), ("security", security), ("performance", performance)):
        registry.register_collector(name, collector)
    validation.record_validation_attempt("PythonCodeNode", True, 12.5)
    security.record_security_violation("sql_injection", MetricSeverity.HIGH, "DB")
    performance.record_operation("query", 20.0)
    performance.update_system_metrics(512, 50, 10)
    return registry


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scrapers() -> AsyncIterator[dict[Format, Scraper]]:
    """A server for each format, all of the same registry, each of which has scraped it."""
    manager = AlertManager(recorded())
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession())
        started = {format: await stack.enter_async_context(scraper(manager, format, session)) for format in FORMATS}
        for one in started.values():
            try:
                async with asyncio.timeout(PATIENCE):
                    await one.site.scraped_twice.wait()
            except TimeoutError:
                pytest.fail(f"no two scrapes in {PATIENCE:g} s; the server says: {one.log.read_text()}")
        yield started


@asynccontextmanager
async def scraper(manager: AlertManager, format: Format, session: ClientSession) -> AsyncIterator[Scraper]:
    """Start a server that scrapes a site of its own every second; both are gone in the end, with all they wrote."""
    site = WatchedSite(manager, format.instead)
    served = await serve(site, Listen("127.0.0.1", 0))
    try:
        with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
            folder = Path(name)
            configuration, log = folder / "prometheus.json", folder / "log"  # JSON is YAML
            targets = [{"targets": [str(served.address)]}]
            scrape = {"job_name": format.name, "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": targets}
            configuration.write_text(json.dumps({"scrape_configs": [scrape]}))
            with free_port() as port:
                address = f"127.0.0.1:{port}"
            with log.open("wb") as output:
                server = await asyncio.create_subprocess_exec(
                    "prometheus",
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={folder / 'series'}",
                    f"--web.listen-address={address}",
                    f"--enable-feature={','.join(format.features)}",
                    "--log.level=warn",
                    stdout=output,
                    stderr=output,
                )
            try:
                yield Scraper(address, log, site, session)
            finally:
                await end(server)
    finally:
        await served.close()


@contextmanager
def free_port() -> Iterator[int]:
    """Give a port that nobody else has; it is free again on leaving."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def end(server: asyncio.subprocess.Process) -> None:
    """Ask the server to end, and end it where it does not."""
    if server.returncode is None:
        server.terminate()
    try:
        await asyncio.wait_for(server.wait(), GRACE)
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()


@every_format
async def test_the_server_asks_for_the_format_and_gets_it(scrapers: dict[Format, Scraper], format: Format) -> None:
    scraped = scrapers[format].site.scraped
    assert {content_type.partition(";")[0] for _, content_type in scraped} == {format.media_type}
    assert all(format.media_type in asked for asked, _ in scraped)


@every_format
async def test_the_target_is_up_and_has_no_error(scrapers: dict[Format, Scraper], format: Format) -> None:
    data = await scrapers[format].ask("targets")
    assert isinstance(data, dict)
    assert [(one["labels"]["job"], one["health"], one["lastError"]) for one in data["activeTargets"]] == [
        (format.name, "up", "")
    ]
    assert await scrapers[format].value("up") == 1


@every_format
async def test_the_server_has_nothing_to_warn_of(scrapers: dict[Format, Scraper], format: Format) -> None:
    assert scrapers[format].warnings() == []


@every_format
async def test_counters_and_gauges_arrive_with_their_labels(scrapers: dict[Format, Scraper], format: Format) -> None:
    for expression, labels, value in (
        ("kailash_app_orders_total", {"shop": "north"}, 3.5),
        ("kailash_app_temperature", {}, -1.5),
        ("kailash_validation_validation_total", {"node_type": "PythonCodeNode"}, 1),
        ("kailash_security_sql_injection_attempts_total", {"source": "DB"}, 1),
        ("kailash_performance_memory_used_bytes", {}, 512 * 1024**2),
    ):
        ((found, number),) = await scrapers[format].query(expression)
        assert (number, labels.items() <= found.items()) == (value, True), (expression, found)


@every_format
async def test_hostile_label_values_arrive_as_they_were(scrapers: dict[Format, Scraper], format: Format) -> None:
    found = await scrapers[format].query("kailash_app_odd")
    assert {int(labels["number"]): labels["value"] for labels, _ in found} == dict(enumerate(map(label_value, HOSTILE)))
    assert all(value == int(labels["number"]) for labels, value in found)
    assert await scrapers[format].query("kailash_app_forged") == []


@every_format
async def test_types_and_hostile_descriptions_arrive(scrapers: dict[Format, Scraper], format: Format) -> None:
    told = await scrapers[format].ask("targets/metadata")
    assert isinstance(told, list)
    by_name = {one["metric"]: (one["type"], one["help"]) for one in told}
    assert by_name["kailash_app_odd"] == ("gauge", DESCRIPTION)
    assert by_name["kailash_app_wait_seconds"] == ("histogram", "wait")
    family = "kailash_app_orders" if format is OPENMETRICS else "kailash_app_orders_total"
    assert by_name[family] == ("counter", "Orders taken")


async def test_openmetrics_also_tells_the_unit(scrapers: dict[Format, Scraper]) -> None:
    told = await scrapers[OPENMETRICS].ask("targets/metadata", metric="kailash_app_wait_seconds")
    assert isinstance(told, list)
    assert [one["unit"] for one in told] == ["seconds"]


@classic_formats
async def test_classic_histograms_arrive_with_count_sum_and_buckets(scrapers: dict[Format, Scraper], format: Format) -> None:
    prometheus = scrapers[format]
    assert await prometheus.value("kailash_app_sizes_count") == 5
    assert await prometheus.value("kailash_app_sizes_sum") == 106.5
    buckets = await prometheus.query("kailash_app_sizes_bucket")
    assert {float(labels["le"]): value for labels, value in buckets} == {1: 2, 2: 3, 5: 4, float("inf"): 5}
    assert await prometheus.value("kailash_app_wait_seconds_sum") == pytest.approx(500.5)
    assert await prometheus.value("histogram_quantile(0.5, kailash_app_wait_seconds_bucket)") == pytest.approx(0.5)


async def test_native_histograms_arrive_with_count_and_sum(scrapers: dict[Format, Scraper]) -> None:
    prometheus = scrapers[PROTOBUF]
    for name, count, total in (("sizes", 5, 106.5), ("changes", 3, -33.25), ("wait_seconds", 1000, 500.5)):
        assert await prometheus.value(f"histogram_count(kailash_app_{name})") == count
        assert await prometheus.value(f"histogram_sum(kailash_app_{name})") == pytest.approx(total)


@pytest.mark.parametrize(
    ("name", "quantile", "exact", "bound"),
    [
        ("sizes", 0.5, 1.5, BUCKET),
        ("sizes", 0.8, 4, BUCKET),
        ("sizes", 1, 100, BUCKET),
        ("changes", 0.1, -30, BUCKET),
        ("changes", 0.5, -3, BUCKET),
        ("changes", 0.9, -0.25, BUCKET),
        ("wait_seconds", 0.01, 0.010, MOVED_BUCKET),
        ("wait_seconds", 0.5, 0.500, MOVED_BUCKET),
        ("wait_seconds", 0.99, 0.990, MOVED_BUCKET),
    ],
)
async def test_quantiles_of_native_histograms_are_within_a_bucket(
    scrapers: dict[Format, Scraper], name: str, quantile: float, exact: float, bound: float
) -> None:
    found = await scrapers[PROTOBUF].value(f"histogram_quantile({quantile}, kailash_app_{name})")
    assert found == pytest.approx(exact, rel=bound)


async def test_the_share_below_a_native_bound_is_exact(scrapers: dict[Format, Scraper]) -> None:
    assert await scrapers[PROTOBUF].value("histogram_fraction(-1, 0, kailash_app_changes)") == pytest.approx(1 / 3)
    assert await scrapers[PROTOBUF].value("histogram_fraction(0, 2, kailash_app_sizes)") == pytest.approx(3 / 5)


@exemplar_formats
async def test_exemplars_arrive(scrapers: dict[Format, Scraper], format: Format) -> None:
    sizes = "kailash_app_sizes_bucket" if format is OPENMETRICS else "kailash_app_sizes"
    for name, labels, value in (("kailash_app_orders_total", {"trace_id": "é1"}, 3.5), (sizes, {"trace_id": "big"}, 100)):
        found = await exemplars(scrapers[format], name)
        assert [(one["labels"], float(one["value"])) for one in found][:1] == [(labels, value)]


@exemplar_formats
async def test_an_exemplar_that_is_scraped_twice_is_stored_once(scrapers: dict[Format, Scraper], format: Format) -> None:
    assert len(await exemplars(scrapers[format], "kailash_app_orders_total")) == 1


async def exemplars(scraper: Scraper, name: str) -> list[dict[str, Any]]:
    """Give the exemplars that a server has for the series of that name."""
    told = await scraper.ask("query_exemplars", query=name, start="0", end="9999999999")
    assert isinstance(told, list)
    return [one for series in told for one in series["exemplars"]]
