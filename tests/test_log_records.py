"""Log records are counted by logger and level."""

import logging
import threading
from collections.abc import Iterator

import pytest

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.instrument.log_records import LogMetricsHandler
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.testing import Simulator


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """One that is this test's alone."""
    own = logging.getLogger("shop")
    own.propagate, own.level = False, logging.DEBUG
    yield own
    own.handlers.clear()


def counted(registry: MetricsRegistry) -> dict[tuple[str, str], float]:
    records = registry.collector("log").get_metric("records")
    assert records is not None
    return {(one.labels["logger"], one.labels["level"]): one.total for one in records.series}


def test_records_are_counted_from_their_level_on(registry: MetricsRegistry, logger: logging.Logger) -> None:
    logger.addHandler(LogMetricsHandler(registry))
    logger.info("calm")
    logger.warning("oh")
    logger.getChild("orders").error("no %s", "stock")
    assert counted(registry) == {("shop", "WARNING"): 1, ("shop.orders", "ERROR"): 1}


def test_of_a_long_name_the_first_parts_are_kept(registry: MetricsRegistry, logger: logging.Logger) -> None:
    logger.addHandler(LogMetricsHandler(registry, "INFO", depth=1))
    logger.getChild("orders.database.pool").info("one")
    logger.info("two")
    assert counted(registry) == {("shop", "INFO"): 2}
    with pytest.raises(ValueError, match="depth = 0"):
        LogMetricsHandler(registry, depth=0)


def test_a_record_is_not_formatted(registry: MetricsRegistry, logger: logging.Logger) -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    LogMetricsHandler(registry).handle(logger.makeRecord("shop", logging.ERROR, "f", 1, "%s", (Costly(),), None))
    assert counted(registry) == {("shop", "ERROR"): 1}


def test_what_others_put_into_a_record_raises_nothing(
    registry: MetricsRegistry, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = LogMetricsHandler(registry)
    record = logging.makeLogRecord({"name": None, "levelname": "ERROR", "levelno": logging.ERROR})
    handler.handle(record)
    assert counted(registry) == {}


def test_loggers_without_end_stay_bounded_and_levels_are_kept_apart(
    registry: MetricsRegistry, logger: logging.Logger
) -> None:
    registry.collector("log").max_series = 10
    handler = LogMetricsHandler(registry)
    for number in range(1000):
        handler.handle(logging.makeLogRecord({"name": f"n{number}", "levelname": "ERROR", "levelno": logging.ERROR}))
    records = registry.collector("log").get_metric("records")
    assert records is not None
    assert len(records.series) <= 12
    assert records.get_latest_value() == 1000


@pytest.mark.real_time
async def test_what_this_project_logs_is_counted_as_well_and_once() -> None:
    """Also what it says of the handler's own metric, which is written while a record is counted."""
    ours = logging.getLogger("kailash_monitor")
    registry = MetricsRegistry()
    handler = LogMetricsHandler(registry, depth=9)
    registry.collector("log").max_series = 2
    ours.addHandler(handler)
    try:
        async with AlertManager(registry):
            for number in range(10):
                handler.handle(logging.makeLogRecord({"name": f"n{number}", "levelname": "ERROR", "levelno": logging.ERROR}))
    finally:
        ours.removeHandler(handler)
    records = registry.collector("log").get_metric("records")
    assert records is not None
    assert records.get_latest_value() == 11


def test_records_of_all_threads_are_counted(registry: MetricsRegistry) -> None:
    handler = LogMetricsHandler(registry)
    record = logging.makeLogRecord({"name": "shop", "levelname": "ERROR", "levelno": logging.ERROR})
    threads = [threading.Thread(target=lambda: [handler.handle(record) for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(registry) == {("shop", "ERROR"): 8000}


def test_a_rule_judges_them() -> None:
    sim = Simulator(AlertRule("errors", "Errors are logged", "error", "records", "> 2", match={"level": "ERROR"}))
    handler = LogMetricsHandler(sim.manager.metrics_registry)
    for _ in range(3):
        handler.handle(logging.makeLogRecord({"name": "shop", "levelname": "ERROR", "levelno": logging.ERROR}))
    sim.advance("10s")
    assert [alert.id for alert in sim.manager.get_active_alerts()] == ["errors_log"]
