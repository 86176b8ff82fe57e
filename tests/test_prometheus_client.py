"""prometheus_client and this project know of each other's metrics."""

import importlib.util

import pytest

if importlib.util.find_spec("prometheus_client") is None:
    pytest.skip("prometheus_client, from the extra 'prometheus', is not installed", allow_module_level=True)

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from kailash_monitor.alerts import AlertRule
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.integrations.prometheus_client import PrometheusSource, register
from kailash_monitor.metrics import MetricsRegistry
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


def test_counters_count_from_the_first_sample_on(theirs: CollectorRegistry, source: PrometheusSource) -> None:
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
    assert {one.labels["kind"]: one.total for one in metric.series} == {"mail": 2, HOSTILE: 4}


def test_a_total_that_falls_begins_anew(theirs: CollectorRegistry, source: PrometheusSource) -> None:
    jobs = Counter("jobs", "Jobs", registry=theirs)
    jobs.inc(5)
    source.sample()
    jobs.reset()
    source.sample()
    jobs.inc(2)
    source.sample()
    metric = source.collector.get_metric("jobs")
    assert metric is not None
    assert metric.get_increase("1m") == 2


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
    assert source.collector.get_metric("took_created") is None
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


def test_our_metrics_stand_on_their_pages_as_on_ours(registry: MetricsRegistry, theirs: CollectorRegistry) -> None:
    shop = registry.collector("shop")
    shop.counter("orders", "Orders", labels=("customer",)).inc(HOSTILE, by=3)
    shop.gauge("queue", "Waiting").set(-1.5)
    took = shop.timer("took", "Duration", labels=("page",), buckets=(100, 500))
    for value in (50.0, 120.0, 900.0):
        took.observe("/x", value)
    register(registry, theirs)
    Counter("other", "Another's", registry=theirs).inc()

    def samples(page: str, parser: object) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        families = parser(page)  # type: ignore[operator]
        return {
            (s.name, tuple(sorted(s.labels.items()))): s.value
            for family in families
            for s in family.samples
            if not s.name.endswith("_created")
        }

    ours = samples(registry.export_metrics("openmetrics"), parse_openmetrics)
    shown = samples(generate_openmetrics(theirs).decode(), parse_openmetrics)
    assert ours.items() <= shown.items()
    assert shown.keys() - ours.keys() == {("other_total", ())}
    text = samples(generate_latest(theirs).decode(), parse)
    assert samples(registry.export_metrics("prometheus"), parse).items() <= text.items()


def test_a_name_that_is_taken_there_is_refused(registry: MetricsRegistry, theirs: CollectorRegistry) -> None:
    Counter("kailash_shop_orders", "Orders", registry=theirs)
    registry.collector("shop").counter("orders").inc()
    with pytest.raises(ConfigurationError, match=r"kailash_shop_orders.*namespace"):
        register(registry, theirs)


def test_it_can_be_taken_away_again(registry: MetricsRegistry, theirs: CollectorRegistry) -> None:
    registry.collector("shop").counter("orders").inc()
    theirs.unregister(register(registry, theirs))
    assert generate_latest(theirs) == b""
