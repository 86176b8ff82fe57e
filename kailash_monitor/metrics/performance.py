"""The performance collector: durations and failures of operations, and the load of the system."""

from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.metrics.collector import DEFAULT_MAX_SERIES, MetricsCollector
from kailash_monitor.metrics.memory_limit import memory_limit
from kailash_monitor.metrics.recorder import as_number
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.window import CounterWindow

__all__ = ["PerformanceMetrics"]

SLOW_MS: Final = 1000.0
"""An operation that takes longer counts as slow: the guide's `high_response_time`."""

ERROR_WINDOW: Final = 300.0
"""`error_rate` speaks of the last five minutes."""

_MEGABYTE: Final = 1024.0 * 1024.0


class PerformanceMetrics(MetricsCollector):
    """How fast the program is, how often it fails, and what it uses.

    `memory_limit_mb` is what `memory_usage` is a percentage of; where left out it is read once, at the first
    `update_system_metrics`: the limit of the control group, else the machine's memory.
    """

    def __init__(
        self,
        max_series: int = DEFAULT_MAX_SERIES,
        *,
        clock: Clock = SYSTEM_CLOCK,
        strict: bool = False,
        memory_limit_mb: float | None = None,
    ) -> None:
        super().__init__(max_series, clock=clock, strict=strict)
        self._memory_limit = None if memory_limit_mb is None else memory_limit_mb * _MEGABYTE
        operation = ("operation",)
        self._response_time = self.timer("response_time", "Duration of operations", labels=operation)
        self._operations = self.counter("operations", "Operations that ended", labels=operation)
        self._errors = self.counter("operation_errors", "Operations that failed", labels=operation, share_of="operations")
        self._slow = self.counter("slow_operations", "Operations that took over a second", labels=operation)
        self.callback_gauge("error_rate", self._error_rate, "Failed operations in the last five minutes", unit="percent")
        self._cpu = self.gauge("cpu_usage", "Use of the processor", unit="percent")
        self._throughput = self.gauge("throughput", "Requests per second")
        self._memory_used = self.gauge("memory_used", "Memory in use", unit="bytes")
        self._memory_usage = self.gauge("memory_usage", "Memory in use, of the memory there is", unit="percent")

    def record_operation(self, name: str, duration_ms: float, success: bool = True) -> None:
        """Count one operation that took `duration_ms` milliseconds."""
        self._response_time.observe(name, duration_ms)
        self._operations.inc(name)
        if not success:
            self._errors.inc(name)
        if (as_number(duration_ms) or 0.0) > SLOW_MS:
            self._slow.inc(name)

    def update_system_metrics(self, memory_mb: float, cpu_percent: float, rps: float) -> None:
        """Say how much memory (in MiB) and processor (in percent) are in use, and how many requests come per second."""
        if self._memory_limit is None:
            self._memory_limit = memory_limit()
        self._cpu.set(cpu_percent)
        self._throughput.set(rps)
        memory = as_number(memory_mb)
        self._memory_used.set(memory_mb if memory is None else memory * _MEGABYTE)  # what is no number, the gauge refuses
        if self._memory_limit and memory is not None:
            self._memory_usage.set(100.0 * memory * _MEGABYTE / self._memory_limit)

    def get_p95_response_time(self, window: Duration = "1h") -> float | None:
        """Give the time in milliseconds that 95 % of the operations did not exceed; None without data."""
        return self._response_time.metric.get_percentile(95, window)

    def _error_rate(self) -> float | None:
        ended = self._operations.metric.window(ERROR_WINDOW)
        failed = self._errors.metric.window(ERROR_WINDOW)
        if not isinstance(ended, CounterWindow) or not isinstance(failed, CounterWindow) or not ended.increase:
            return None
        return 100.0 * failed.increase / ended.increase
