"""prometheus_client and this project know of each other's metrics."""

import asyncio
import importlib.util
import urllib.request
from collections.abc import Iterable, Iterator

import pytest

if importlib.util.find_spec("prometheus_client") is None:
    pytest.skip("prometheus_client, from the extra 'prometheus', is not installed", allow_module_level=True)

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Summary,
    generate_latest,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.registry import Collector

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.errors import ConfigurationError, MetricError
from kailash_monitor.integrations.prometheus_client import PrometheusSource, register
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.testing import Simulator, VirtualClock

HOSTILE = 'a "quoted"\nline \\ and ü{}='


@pytest.fixture
def theirs() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def source(theirs: CollectorRegistry, registry: MetricsRegistry, clock: VirtualClock) -> PrometheusSource:
    source = PrometheusSource(theirs, clock=clock)
    registry.register_collector(source.name, source.collector)
    return source


def test_what_a_counter_had_before_it_was_first_seen_does_not_count_and_later_series_count_from_zero(
    theirs: CollectorRegistry, source: PrometheusSource
) -> None:
    jobs = Counter("jobs", "Jobs", ["kind"], registry=theirs)
    jobs.labels("mail").inc(5)
    source.sample()
    jobs.labels("mail").inc(2)
    jobs.labels(HOSTILE).inc(3)
    source.sample()
    jobs.labels(HOSTILE).inc(4)
    source.sample()
    metric = source.collector.get_metric("jobs")
    assert metric is not None
    assert {one.labels["kind"]: one.total for one in metric.series} == {"mail": 2, HOSTILE: 7}


def test_a_total_that_falls_has_begun_anew(theirs: CollectorRegistry, source: PrometheusSource) -> None:
    jobs = Counter("jobs", "Jobs", registry=theirs)
    jobs.inc(5)
    source.sample()
    jobs.reset()
    jobs.inc(2)
    source.sample()
    jobs.inc(1)
    source.sample()
    metric = source.collector.get_metric("jobs")
    assert metric is not None
    assert metric.get_increase("1m") == 3


class Remote(Collector):
    """What another program says of itself, as long as it can be reached."""

    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


def test_a_metric_that_is_missing_for_a_while_is_not_counted_again(
    theirs: CollectorRegistry, source: PrometheusSource
) -> None:
    remote = Remote(CounterMetricFamily("jobs", "Jobs", value=1000))
    theirs.register(remote)
    source.sample()
    remote.families = ()
    source.sample()
    remote.families = (CounterMetricFamily("jobs", "Jobs", value=1003),)
    source.sample()
    metric = source.collector.get_metric("jobs")
    assert metric is not None
    assert metric.get_latest_value() == 3


def test_a_series_that_is_taken_away_there_is_taken_away_here(theirs: CollectorRegistry, source: PrometheusSource) -> None:
    queue, jobs = Gauge("queue", "Waiting", ["name"], registry=theirs), Counter("jobs", "Jobs", ["name"], registry=theirs)
    for name in ("mail", "print"):
        queue.labels(name).set(7)
        jobs.labels(name).inc()
    source.sample()
    queue.remove("mail")
    jobs.remove("mail")
    source.sample()
    for name in ("queue", "jobs"):
        metric = source.collector.get_metric(name)
        assert metric is not None
        assert [one.labels["name"] for one in metric.series] == ["print"]


def test_what_cannot_be_had_here_keeps_nothing_else_away(theirs: CollectorRegistry, source: PrometheusSource) -> None:
    theirs.register(Remote(GaugeMetricFamily("jobs", "A gauge", value=1), CounterMetricFamily("jobs", "A counter", value=1)))
    Gauge("queue", "Waiting", registry=theirs).set(7)
    with pytest.raises(MetricError, match="jobs"):
        source.sample()
    queue = source.collector.get_metric("queue")
    assert queue is not None
    assert queue.get_latest_value() == 7


def test_the_times_at_which_metrics_were_made_are_none_to_judge(theirs: CollectorRegistry, source: PrometheusSource) -> None:
    Counter("jobs", "Jobs", registry=theirs)
    Histogram("took", "Duration", registry=theirs)
    Summary("waited", "Waiting", registry=theirs)
    Gauge("users_created", "A gauge by that name", registry=theirs).set(3)
    source.sample()
    assert [name for name in source.collector.get_all_metrics() if "created" in name] == ["users_created"]


def test_gauges_and_what_has_states_are_gauges(theirs: CollectorRegistry, source: PrometheusSource) -> None:
    Gauge("queue", "Waiting", ["name"], registry=theirs).labels("mail").set(7)
    Enum("state", "State", states=["up", "down"], registry=theirs).state("down")
    source.sample()
    queue, state = source.collector.get_metric("queue"), source.collector.get_metric("state")
    assert queue is not None
    assert state is not None
    assert queue.get_latest_value() == 7
    assert {one.labels["state"]: one.value for one in state.series} == {"up": 0, "down": 1}


def test_a_histogram_is_its_count_its_sum_and_its_buckets(theirs: CollectorRegistry, source: PrometheusSource) -> None:
    took = Histogram("took", "Duration", buckets=(0.1, 1), registry=theirs)
    waited = Summary("waited", "Waiting", registry=theirs)
    source.sample()
    for value in (0.05, 0.5, 5):
        took.observe(value)
        waited.observe(value)
    source.sample()
    count, total, buckets = (source.collector.get_metric(f"took_{part}") for part in ("count", "sum", "bucket"))
    assert count is not None
    assert total is not None
    assert buckets is not None
    assert (count.get_increase("1m"), total.get_increase("1m")) == (3, 5.55)
    assert {one.labels["le"]: one.total for one in buckets.series} == {"0.1": 1, "1.0": 2, "+Inf": 3}
    assert source.collector.get_metric("waited_count").get_increase("1m") == 3  # type: ignore[union-attr]


def test_a_rule_judges_their_metrics(theirs: CollectorRegistry) -> None:
    failures = Counter("failures", "Failures", registry=theirs)
    sim = Simulator(AlertRule("failing", "It fails", "error", "failures", "> 2", time_window="1m"))
    source = PrometheusSource(theirs, clock=sim.clock)
    sim.manager.metrics_registry.register_collector("prometheus", source.collector)
    source.sample()
    failures.inc(3)
    source.sample()
    sim.advance("10s")
    assert [alert.id for alert in sim.manager.get_active_alerts()] == ["failing_prometheus"]


@pytest.mark.real_time
async def test_an_alert_ends_with_the_series_that_is_taken_away_there(theirs: CollectorRegistry) -> None:
    queue = Gauge("queue", "Waiting", ["name"], registry=theirs)
    queue.labels("mail").set(7)
    manager = AlertManager(MetricsRegistry())
    manager.add_source(PrometheusSource(theirs, every=0.02))
    manager.add_rule(AlertRule("long", "Long", "error", "queue", "> 3", group_by=["name"], evaluation_interval=0.02))
    async with manager, asyncio.timeout(5):
        while not manager.get_active_alerts():
            await asyncio.sleep(0.01)
        queue.remove("mail")
        while manager.get_active_alerts():
            await asyncio.sleep(0.01)


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(families: Iterable[Metric]) -> Samples:
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


@pytest.fixture
def shop(registry: MetricsRegistry) -> MetricsCollector:
    """A collector with a metric of every type."""
    shop = registry.collector("shop")
    shop.counter("orders", "Orders", labels=("customer",)).inc(HOSTILE, by=3)
    shop.counter("sent", "Sent", unit="ms").inc(by=1500)
    shop.gauge("queue", 'Waiting, "as they say"\nand \\').set(-1.5)
    shop.gauge("unset", "Nobody knows")
    took = shop.timer("took", "Duration", labels=("page",), buckets=(100, 500, 2_000_000_000))
    for value in (50.0, 120.0, 900.0):
        took.observe("/x", value)
    shop.histogram("balance", "Below zero, too", buckets=(-10, 0, 10)).observe(-3)
    return shop


def test_our_metrics_stand_on_their_pages_as_on_ours(
    registry: MetricsRegistry, theirs: CollectorRegistry, shop: MetricsCollector
) -> None:
    """Their server is asked, in both formats, and their parsers read the answers."""
    register(registry, theirs)
    Counter("other", "Another's", registry=theirs).inc()
    server, thread = start_http_server(0, "127.0.0.1", theirs)
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url) as answer:
            text = answer.read().decode()
        wanted = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        with urllib.request.urlopen(wanted) as answer:
            openmetrics = answer.read().decode()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ours, shown = samples(parse_openmetrics(registry.export_metrics("openmetrics"))), samples(parse_openmetrics(openmetrics))
    assert ours.items() <= shown.items()
    assert {name for name, _ in shown.keys() - ours.keys()} == {"other_total", "other_created"}
    assert ours.items() <= samples(parse(text)).items()
    for line in registry.export_metrics("openmetrics").splitlines():
        if line.startswith(("# TYPE", "# UNIT", "# HELP")):
            assert line in openmetrics.splitlines()


def test_exemplars_are_shown_whatever_is_in_them(registry: MetricsRegistry, theirs: CollectorRegistry) -> None:
    """With quotes in them, their own parser would refuse our page."""
    shop = registry.collector("shop")
    shop.counter("orders", "Orders").inc(exemplar={"trace_id": 'a "quoted"'})
    shop.timer("took", "Duration", buckets=(100,)).observe(250.0, exemplar={"trace_id": "abc"})
    register(registry, theirs)
    page = generate_openmetrics(theirs).decode()
    assert 'kailash_shop_orders_total 1.0 # {trace_id="a \\"quoted\\""} 1.0 ' in page
    assert 'kailash_shop_took_seconds_bucket{le="+Inf"} 1.0 # {trace_id="abc"} 0.25 ' in page


def test_what_is_ours_there_does_not_come_back(registry: MetricsRegistry, theirs: CollectorRegistry) -> None:
    """Otherwise each sample would make metrics of those that the last one made."""
    registry.collector("shop").counter("orders").inc()
    register(registry, theirs)
    source = PrometheusSource(theirs, clock=registry.clock)
    registry.register_collector(source.name, source.collector)
    source.sample()
    assert source.collector.get_all_metrics() == {}


def test_a_name_that_is_taken_there_is_refused(registry: MetricsRegistry, theirs: CollectorRegistry) -> None:
    Counter("kailash_shop_orders", "Orders", registry=theirs)
    registry.collector("shop").counter("orders").inc()
    with pytest.raises(ConfigurationError, match=r"kailash_shop_orders.*namespace"):
        register(registry, theirs)


def test_it_can_be_taken_away_again(registry: MetricsRegistry, theirs: CollectorRegistry) -> None:
    registry.collector("shop").counter("orders").inc()
    theirs.unregister(register(registry, theirs))
    assert generate_latest(theirs) == b""


def test_a_metric_that_several_collectors_give_is_one(theirs: CollectorRegistry, source: PrometheusSource) -> None:
    class Part:
        def __init__(self, name: str, total: float) -> None:
            self.name, self.total = name, total

        def collect(self) -> Iterator[CounterMetricFamily]:
            family = CounterMetricFamily("job", "Jobs", labels=["q"])
            family.add_metric([self.name], self.total)
            yield family

    for name, total in (("a", 100.0), ("b", 1000.0)):
        theirs.register(Part(name, total))  # type: ignore[arg-type]  # it collects
    for _ in range(4):
        source.sample()
    metric = source.collector.get_metric("job")
    assert metric is not None
    assert {one.labels["q"]: one.total for one in metric.series} == {"a": 0, "b": 0}


def test_a_total_that_is_not_finite_is_not_known_and_no_reset(theirs: CollectorRegistry, source: PrometheusSource) -> None:
    totals = iter((5.0, float("nan"), 10.0, float("inf"), 12.0))

    class Odd:
        def collect(self) -> Iterator[CounterMetricFamily]:
            yield CounterMetricFamily("odd", "Odd", value=next(totals))

    theirs.register(Odd())  # type: ignore[arg-type]  # it collects
    while True:
        try:
            source.sample()
        except (StopIteration, RuntimeError):
            break
    metric = source.collector.get_metric("odd")
    assert metric is not None
    assert metric.get_latest_value() == 7


def test_our_registry_is_registered_once(registry: MetricsRegistry, theirs: CollectorRegistry) -> None:
    register(registry, theirs)
    with pytest.raises(ConfigurationError, match="a second time"):
        register(registry, theirs)
