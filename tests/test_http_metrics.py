"""HTTP metrics: what is counted of a request, and under which labels."""

import asyncio

import pytest

from kailash_monitor.instrument.http_metrics import CLIENT_LEFT, HttpMetrics
from kailash_monitor.metrics import Metric, MetricsRegistry
from kailash_monitor.metrics.series import CounterSeries
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import Simulator


def metric(registry: MetricsRegistry, name: str) -> Metric:
    found = registry.collector("http").get_metric(name)
    assert found is not None
    return found


def counts(registry: MetricsRegistry, name: str) -> dict[tuple[str, ...], float]:
    counters = [one for one in metric(registry, name).series if isinstance(one, CounterSeries)]
    return {tuple(dict(one.labels).values()): one.total for one in counters}


def serve(metrics: HttpMetrics, method: str, route: str, status: int) -> None:
    metrics.end(metrics.begin(), method, route, status)


async def test_a_request_counts_by_method_route_and_status(registry: MetricsRegistry) -> None:
    metrics = HttpMetrics.of(registry)
    for status in (200, 200, 404):
        serve(metrics, "GET", "/users/{id}", status)
    assert counts(registry, "requests") == {("GET", "/users/{id}", "200"): 2, ("GET", "/users/{id}", "404"): 1}


async def test_it_lasts_from_its_begin_to_its_end_in_milliseconds(registry: MetricsRegistry) -> None:
    metrics = HttpMetrics.of(registry)
    begun = metrics.begin()
    await asyncio.sleep(0.25)
    metrics.end(begun, "GET", "/", 200)
    assert metric(registry, "request_duration").get_latest_value() == pytest.approx(250)


async def test_it_is_in_progress_meanwhile(registry: MetricsRegistry) -> None:
    metrics = HttpMetrics.of(registry)
    seen = [metric(registry, "requests_in_progress").get_latest_value()]
    first, second = metrics.begin(), metrics.begin()
    for begun in (second, first):
        seen.append(metric(registry, "requests_in_progress").get_latest_value())
        metrics.end(begun, "GET", "/", 200)
    seen.append(metric(registry, "requests_in_progress").get_latest_value())
    assert seen == [0, 2, 1, 0]


@pytest.mark.parametrize(("status", "failed"), [(200, 0), (404, 0), (CLIENT_LEFT, 0), (500, 1), (503, 1)])
async def test_it_has_failed_from_500_on(registry: MetricsRegistry, status: int, failed: int) -> None:
    serve(HttpMetrics.of(registry), "GET", "/", status)
    assert sum(counts(registry, "requests_failed").values()) == failed


def test_failures_are_a_share_of_requests() -> None:
    sim = Simulator(AlertRule("failing", "Too many fail", "error", "requests_failed", "share > 0.2"))
    metrics = HttpMetrics.of(sim.registry)
    for status in (200, 200, 200, 200, 500):
        serve(metrics, "GET", "/", status)
    sim.advance("1m")
    assert sim.told() == []
    serve(metrics, "GET", "/", 500)
    sim.advance("1m")
    assert sim.told() == ["firing"]


async def test_what_no_route_matched_has_one_route(registry: MetricsRegistry) -> None:
    serve(HttpMetrics.of(registry), "GET", "", 404)
    assert counts(registry, "requests") == {("GET", "unmatched", "404"): 1}


@pytest.mark.parametrize("method", ["get", "BREW", "PROPFIND", "", "A" * 10_000, "\ud800"])
async def test_what_is_no_method_of_http_is_another(registry: MetricsRegistry, method: str) -> None:
    serve(HttpMetrics.of(registry), method, "/", 200)
    assert counts(registry, "requests") == {("other", "/", "200"): 1}


async def test_a_registry_has_them_once_whoever_asks(registry: MetricsRegistry) -> None:
    one = HttpMetrics.of(registry)
    begun = one.begin()
    other = HttpMetrics.of(registry)
    assert metric(registry, "requests_in_progress").get_latest_value() == 1
    other.end(begun, "GET", "/", 200)
    serve(one, "GET", "/", 200)
    assert counts(registry, "requests") == {("GET", "/", "200"): 2}
    assert metric(registry, "requests_in_progress").get_latest_value() == 0


async def test_routes_past_the_limit_of_series_are_counted_together(registry: MetricsRegistry) -> None:
    """A framework that gives paths for templates costs details, and no memory."""
    registry.collector("http").max_series = 10
    metrics = HttpMetrics.of(registry)
    for number in range(100):
        serve(metrics, "GET", f"/{number}", 200)
    assert len(metric(registry, "requests").series) <= 11
    assert sum(counts(registry, "requests").values()) == 100
