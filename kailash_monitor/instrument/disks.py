"""Disks: how full each writable mount is, whichever of them hangs."""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.instrument.system import load_psutil
from kailash_monitor.metrics import MetricsCollector

__all__ = ["DiskSource", "Mount", "Usage", "writable_mounts"]

ANSWER_SECONDS: Final = 2.0
"""A local disk answers in microseconds, a slow network mount in a second; what takes longer is taken for dead."""

_logger = logging.getLogger("kailash_monitor.instrument")


class Mount(Protocol):
    """A mounted file system, as psutil lists it."""

    @property
    def device(self) -> str:
        """What is mounted."""
        ...

    @property
    def mountpoint(self) -> str:
        """Where."""
        ...

    @property
    def opts(self) -> str:
        """How, separated by commas: "rw,noatime"."""
        ...


class Usage(Protocol):
    """How much of a file system is used, in bytes; `percent` of what an ordinary user can fill."""

    @property
    def total(self) -> int:
        """Its size."""
        ...

    @property
    def used(self) -> int:
        """What is taken."""
        ...

    @property
    def percent(self) -> float:
        """What is taken, of what an ordinary user can fill."""
        ...


class DiskSource:
    """Samples every writable mount into the collector of the host.

    Asking a dead network mount blocks for ever. Each mount is asked in a daemon thread; one that does not answer in two
    seconds is left out until its thread comes back, so that at most one thread a mount hangs.

    `mounts` and `usage` are where the answers come from, by default this machine.
    """

    name = "host"

    def __init__(
        self,
        collector: MetricsCollector | None = None,
        *,
        every: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
        mounts: Callable[[], Iterable[Mount]] | None = None,
        usage: Callable[[str], Usage] | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.every = every
        self.collector = collector or MetricsCollector(clock=clock)
        self._mounts = mounts or _machine_mounts
        self._usage = usage or load_psutil().disk_usage
        self._answer_seconds = answer_seconds
        self._hanging: dict[str, threading.Thread] = {}
        labels = ("mountpoint",)
        self._ratio = self.collector.gauge("disk_usage_ratio", "Use of the disk, 0 to 1", labels=labels, unit="ratio")
        self._used = self.collector.gauge("disk_used", "Disk space in use", labels=labels, unit="bytes")
        self._total = self.collector.gauge("disk_total", "Size of the disk", labels=labels, unit="bytes")
        self._dead = self.collector.gauge("disk_mounts_hanging", "Mounts that do not answer")

    def sample(self) -> None:
        """Record how full the mounts are. May block for two seconds a dead mount: not for the event loop."""
        for mountpoint in writable_mounts(self._mounts()):
            usage = self._ask(mountpoint)
            if usage is not None:
                self._ratio.set(mountpoint, usage.percent / 100)
                self._used.set(mountpoint, usage.used)
                self._total.set(mountpoint, usage.total)
        self._dead.set(len(self._hanging))

    def _ask(self, mountpoint: str) -> Usage | None:
        before = self._hanging.get(mountpoint)
        if before is not None and before.is_alive():
            return None
        self._hanging.pop(mountpoint, None)
        answer = _Answer()
        thread = threading.Thread(target=answer.ask, args=(self._usage, mountpoint), daemon=True)
        thread.start()
        thread.join(self._answer_seconds)
        if thread.is_alive():
            self._hanging[mountpoint] = thread
            _logger.warning("mount %r does not answer; it is left out until it does", mountpoint)
        return answer.usage


@dataclass(slots=True)
class _Answer:
    """What a mount said; nothing where it cannot be read."""

    usage: Usage | None = None

    def ask(self, usage: Callable[[str], Usage], mountpoint: str) -> None:
        try:
            self.usage = usage(mountpoint)
        except OSError as error:  # not permitted, or gone since the mounts were listed
            _logger.debug("mount %r cannot be read: %s", mountpoint, error)


def writable_mounts(mounts: Iterable[Mount]) -> list[str]:
    """Give the mount points that can fill up: writable, each device once, at its shortest path.

    Read-only mounts are left out since images are always full.
    """
    shortest: dict[str, str] = {}
    for mount in mounts:
        if "rw" in mount.opts.split(","):
            known = shortest.get(mount.device, mount.mountpoint)
            shortest[mount.device] = min(known, mount.mountpoint, key=len)
    return sorted(shortest.values())


def _machine_mounts() -> list[Mount]:
    """Give the mounts of physical devices, and the root whatever it is made of: in a container it is an overlay."""
    psutil = load_psutil()
    mounts: list[Mount] = psutil.disk_partitions()
    if all(mount.mountpoint != "/" for mount in mounts):
        mounts += [mount for mount in psutil.disk_partitions(all=True) if mount.mountpoint == "/"]
    return mounts
