"""The host: processor, memory, swap, traffic of disks and network, load and processes of this machine."""

import logging
from collections.abc import Callable
from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.instrument.system import load_psutil
from kailash_monitor.instrument.totals import Totals
from kailash_monitor.metrics import MetricsCollector

__all__ = ["HostSource"]

MIN_CPU_SECONDS: Final = 0.2
"""The system counts processor time in steps of 10 ms: over less than this a ratio would be noise."""

_LOOPBACK: Final = ("lo", "lo0")
_logger = logging.getLogger("kailash_monitor.instrument")


class HostSource:
    """Samples this machine into a collector, in base units. What the system does not tell is left out and logged once."""

    name = "host"

    def __init__(
        self, collector: MetricsCollector | None = None, *, every: float = 5.0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._psutil = load_psutil()
        self.every = every
        self.collector = collector or MetricsCollector(clock=clock)
        gauge, counter = self.collector.gauge, self.collector.counter
        self._cpu = gauge("cpu_usage_ratio", "Use of all processors, 0 to 1", unit="ratio")
        self._memory = gauge("memory_usage_ratio", "Memory that is not available, 0 to 1", unit="ratio")
        self._memory_total = gauge("memory_total", "Memory of the machine", unit="bytes")
        self._memory_available = gauge("memory_available", "Memory that programs can have", unit="bytes")
        self._swap = gauge("swap_usage_ratio", "Swap in use, 0 to 1", unit="ratio")
        self._swap_used = gauge("swap_used", "Swap in use", unit="bytes")
        self._read = counter("disk_read", "Read from all disks", unit="bytes")
        self._written = counter("disk_written", "Written to all disks", unit="bytes")
        interface = ("interface",)
        self._received = counter("network_receive", "Received, loopback aside", labels=interface, unit="bytes")
        self._sent = counter("network_transmit", "Sent, loopback aside", labels=interface, unit="bytes")
        self._loads = [gauge(f"load{n}", f"Load average over {n} minutes") for n in (1, 5, 15)]
        self._load_per_core = gauge("load5_per_core", "Load average over 5 minutes, per processor")
        self._processes = gauge("processes", "Processes that there are")
        self._totals = Totals()
        self._cpu_before = self._cpu_times()
        self._silent: set[str] = set()

    def sample(self) -> None:
        """Record the numbers of this moment. May block: not for the event loop."""
        for part in (self._sample_cpu, self._sample_memory, self._sample_swap, self._sample_traffic, self._sample_load):
            self._try(part)

    def _try(self, part: Callable[[], None]) -> None:
        try:
            part()
        except (OSError, RuntimeError, NotImplementedError, AttributeError) as error:
            if part.__name__ not in self._silent:  # containers and some systems do not tell everything
                self._silent.add(part.__name__)
                _logger.info("the host does not tell all: %s: %s", part.__name__.removeprefix("_sample_"), error)

    def _cpu_times(self) -> tuple[float, float]:
        """Give idle and total seconds of all processors since boot; waiting for a disk is idle."""
        times = self._psutil.cpu_times()
        # guest time is part of user time already
        total = sum(value for name, value in times._asdict().items() if not name.startswith("guest"))
        return times.idle + getattr(times, "iowait", 0.0), total

    def _sample_cpu(self) -> None:
        idle, total = self._cpu_times()
        elapsed = total - self._cpu_before[1]
        if elapsed < MIN_CPU_SECONDS:
            return
        busy = 1.0 - (idle - self._cpu_before[0]) / elapsed
        self._cpu_before = (idle, total)
        self._cpu.set(min(1.0, max(0.0, busy)))

    def _sample_memory(self) -> None:
        memory = self._psutil.virtual_memory()
        self._memory.set(1.0 - memory.available / memory.total)
        self._memory_total.set(memory.total)
        self._memory_available.set(memory.available)

    def _sample_swap(self) -> None:
        swap = self._psutil.swap_memory()
        self._swap.set(swap.used / swap.total if swap.total else 0.0)
        self._swap_used.set(swap.used)

    def _sample_traffic(self) -> None:
        disks = self._psutil.disk_io_counters()
        if disks is not None:  # no disks of its own: a container
            self._read.inc(by=self._totals.rise("read", disks.read_bytes))
            self._written.inc(by=self._totals.rise("written", disks.write_bytes))
        for interface, traffic in self._psutil.net_io_counters(pernic=True).items():
            if interface not in _LOOPBACK:
                self._received.inc(interface, by=self._totals.rise(("in", interface), traffic.bytes_recv))
                self._sent.inc(interface, by=self._totals.rise(("out", interface), traffic.bytes_sent))

    def _sample_load(self) -> None:
        loads = self._psutil.getloadavg()
        for gauge, load in zip(self._loads, loads, strict=True):
            gauge.set(load)
        self._load_per_core.set(loads[1] / (self._psutil.cpu_count() or 1))
        self._processes.set(len(self._psutil.pids()))
