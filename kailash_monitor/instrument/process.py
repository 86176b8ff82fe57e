"""The process: what this program itself uses."""

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.instrument.system import load_psutil
from kailash_monitor.instrument.totals import Totals
from kailash_monitor.metrics import MetricsCollector

__all__ = ["ProcessSource"]


class ProcessSource:
    """Samples this process into a collector, in base units."""

    name = "process"

    def __init__(
        self, collector: MetricsCollector | None = None, *, every: float = 5.0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._process = load_psutil().Process()
        self.every = every
        self.collector = collector or MetricsCollector(clock=clock)
        gauge = self.collector.gauge
        self._seconds = self.collector.counter("cpu", "Processor time used", labels=("mode",), unit="seconds")
        self._ratio = gauge("cpu_usage_ratio", "Use of the processor; 1 is one core", unit="ratio")
        self._resident = gauge("resident_memory", "Memory that is really there", unit="bytes")
        self._virtual = gauge("virtual_memory", "Memory that was asked for", unit="bytes")
        self._files = gauge("open_fds", "Open files and sockets")
        self._threads = gauge("threads", "Threads")
        self._totals = Totals()
        self._before: float | None = None

    def sample(self) -> None:
        """Record the numbers of this moment. May block: not for the event loop."""
        with self._process.oneshot():
            times = self._process.cpu_times()
            memory = self._process.memory_info()
            self._resident.set(memory.rss)
            self._virtual.set(memory.vms)
            self._threads.set(self._process.num_threads())
            if hasattr(self._process, "num_fds"):  # not on Windows
                self._files.set(self._process.num_fds())
        now = self.collector.clock.now()
        used = 0.0
        for mode, total in (("user", times.user), ("system", times.system)):
            rise = self._totals.rise(mode, total)
            self._seconds.inc(mode, by=rise)
            used += rise
        if self._before is not None and now > self._before:
            self._ratio.set(used / (now - self._before))
        self._before = now
