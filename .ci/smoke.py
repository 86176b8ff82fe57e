"""Uses the installed wheel as a program would, without any extra."""

import asyncio
import logging
from importlib.metadata import files

import kailash_monitor
from kailash_monitor.alerts import AlertManager, AlertRule, AlertSeverity, LogNotificationChannel
from kailash_monitor.blocking import AlertManager as BlockingAlertManager
from kailash_monitor.metrics import MetricsRegistry

SHIPPED = [str(path) for path in files("kailash-monitor") or ()]
assert "kailash_monitor/py.typed" in SHIPPED
assert not [path for path in SHIPPED if path.startswith(("tests", "examples", "benchmarks"))], SHIPPED
assert all(hasattr(kailash_monitor, name) for name in kailash_monitor.__all__)


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def rules_and_channels(manager: AlertManager | BlockingAlertManager) -> None:
    manager.add_notification_channel(LogNotificationChannel())
    manager.add_rule(AlertRule("busy", "Much waits", AlertSeverity.ERROR, "queue", "> 5", evaluation_interval=0.05))


async def main() -> None:
    registry = MetricsRegistry()
    queue = registry.collector("app").gauge("queue", "What waits")
    queue.set(9)
    assert "kailash_app_queue 9\n" in registry.export_metrics("prometheus")
    manager = AlertManager(registry)
    rules_and_channels(manager)
    async with manager:
        await asyncio.sleep(0.2)
        queue.set(0)
        await asyncio.sleep(0.2)


heard = Lines()
logging.basicConfig(level=logging.INFO, handlers=[heard])
asyncio.run(main())
with BlockingAlertManager(MetricsRegistry()) as blocking:
    rules_and_channels(blocking)
assert [line.split()[0] for line in heard.lines] == ["FIRING", "RESOLVED"], heard.lines
print("the wheel works:", kailash_monitor.__version__)
