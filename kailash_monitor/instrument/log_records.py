"""Log records: how many a program writes, by logger and level."""

import logging
from typing import Final

from kailash_monitor.metrics import MetricsRegistry

__all__ = ["LogMetricsHandler"]


class LogMetricsHandler(logging.Handler):
    """Counts log records into the counter `records` {logger, level} of the collector `log`, from `level` on.

        logging.getLogger().addHandler(LogMetricsHandler(registry))

    so that a rule such as `AlertRule("errors", "Errors are logged", "error", "records", "> 10", match={"level": "ERROR"})`
    knows of them. `depth` is how many parts of a logger's name are kept (`sqlalchemy.engine.Engine` with 1: `sqlalchemy`).
    Records are not formatted, and nothing of their text is kept.
    """

    def __init__(self, registry: MetricsRegistry, level: int | str = logging.WARNING, *, depth: int = 2) -> None:
        super().__init__(level)
        if depth < 1:
            raise ValueError(f"depth = {depth}: how many parts of a logger's name are kept, one at least")
        self._depth: Final = depth
        self._records: Final = registry.collector("log").counter(
            "records", "Log records", labels=("logger", "level"), keep=("level",)
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Count one record; never raises."""
        try:
            self._records.inc(".".join(record.name.split(".")[: self._depth]), record.levelname)
        except Exception:  # what others put into a record; logging must not fail for being counted
            self.handleError(record)

    def handle(self, record: logging.LogRecord) -> bool:
        """Count a record that the handler's filters let through."""
        passed: bool | logging.LogRecord = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def createLock(self) -> None:  # noqa: N802  # as logging has it
        """Have no lock: what counts is safe from any thread, and a record of our own written meanwhile is no deadlock."""
        self.lock = None
