"""The host, its disks, the process and the loop."""

import asyncio
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from kailash_monitor.instrument import DiskSource, HostSource, LoopLagSource, ProcessSource
from kailash_monitor.instrument.disks import writable_mounts
from kailash_monitor.instrument.totals import Totals
from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.testing import ManualClock, VirtualClock


def values(collector: MetricsCollector) -> dict[str, float | None]:
    return {name: metric.get_latest_value() for name, metric in collector.get_all_metrics().items()}


def busy(seconds: float) -> None:
    """Use so much processor time, however long that takes on a machine that has other things to do."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_host_is_measured_in_base_units() -> None:
    source = HostSource()
    busy(0.3)
    source.sample()
    found = values(source.collector)
    for ratio in ("cpu_usage_ratio", "memory_usage_ratio", "swap_usage_ratio"):
        assert 0 <= found[ratio] <= 1  # type: ignore[operator]
    assert found["cpu_usage_ratio"] > 0  # type: ignore[operator]  # this very process was busy, on one of many processors
    assert found["memory_total"] >= found["memory_available"] > 0  # type: ignore[operator]
    assert found["processes"] >= 1  # type: ignore[operator]
    assert found["load1"] is not None


def test_too_short_a_time_says_nothing_about_the_processor() -> None:
    source = HostSource()
    source.sample()
    assert values(source.collector)["cpu_usage_ratio"] is None


def test_what_the_host_does_not_tell_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = HostSource()
    told = source._psutil

    class Taciturn:
        """A machine without swap information and without disks of its own, as some containers are."""

        def __getattr__(self, name: str) -> object:
            return getattr(told, name)

        def swap_memory(self) -> object:
            raise RuntimeError("no swap here")

        def disk_io_counters(self) -> None:
            return None

    source._psutil = Taciturn()  # type: ignore[assignment]
    source.sample()
    source.sample()
    found = values(source.collector)
    assert (found["swap_used"], found["disk_read"]) == (None, 0)
    assert found["memory_total"] is not None
    assert caplog.text.count("the host does not tell all: swap: no swap here") == 1


def test_totals_of_others_are_counted_from_when_they_were_first_seen() -> None:
    totals = Totals()
    assert [totals.rise("eth0", total) for total in (1000, 1500, 1500, 20, 50)] == [0, 500, 0, 0, 30]


@dataclass
class FakeMount:
    device: str
    mountpoint: str
    opts: str = "rw,noatime"


def test_only_what_can_fill_up_is_watched_and_each_device_once() -> None:
    mounts = [
        FakeMount("/dev/a", "/"),
        FakeMount("/dev/a", "/var/lib/docker/bind"),
        FakeMount("/dev/loop1", "/snap/core", "ro,nodev"),
        FakeMount("nas:/home", "/home"),
    ]
    assert writable_mounts(mounts) == ["/", "/home"]


def test_the_disks_of_this_machine() -> None:
    source = DiskSource()
    source.sample()
    ratio = source.collector.get_metric("disk_usage_ratio")
    assert ratio is not None
    assert {"mountpoint": "/"} in [dict(series.labels) for series in ratio.series]
    assert 0 < ratio.get_max() <= 1  # type: ignore[operator]
    assert values(source.collector)["disk_mounts_hanging"] == 0


def test_a_dead_mount_delays_the_others_once_and_hangs_one_thread(caplog: pytest.LogCaptureFixture) -> None:
    release, asked = threading.Event(), list[str]()

    def usage(mountpoint: str) -> SimpleNamespace:
        asked.append(mountpoint)
        if mountpoint == "/dead":
            release.wait(10)
        if mountpoint == "/forbidden":
            raise PermissionError("no")
        return SimpleNamespace(total=100, used=40, percent=40.0)

    mounts = [FakeMount(path, path) for path in ("/dead", "/forbidden", "/good")]
    source = DiskSource(mounts=lambda: mounts, usage=usage, answer_seconds=0.05)
    begun = time.monotonic()
    for _ in range(5):
        source.sample()
    assert time.monotonic() - begun < 1
    assert (asked.count("/dead"), asked.count("/good")) == (1, 5)
    assert values(source.collector)["disk_mounts_hanging"] == 1
    ratio = source.collector.get_metric("disk_usage_ratio")
    assert ratio is not None
    assert [(dict(s.labels), s.window(10, 1e12).last) for s in ratio.series] == [({"mountpoint": "/good"}, 0.4)]  # type: ignore[union-attr]
    assert caplog.text.count("mount '/dead' does not answer") == 1
    release.set()
    for thread in source._hanging.values():
        thread.join()
    source.sample()
    assert asked.count("/dead") == 2
    assert values(source.collector)["disk_mounts_hanging"] == 0


def test_the_process_measures_itself() -> None:
    clock = ManualClock()
    source = ProcessSource(clock=clock)
    source.sample()
    assert values(source.collector)["cpu_usage_ratio"] is None
    busy(0.2)
    clock.advance(0.8)
    with Path(__file__).open():
        source.sample()
    found = values(source.collector)
    assert found["cpu"] > 0.15  # type: ignore[operator]  # it is counted in steps of 10 ms
    assert found["cpu_usage_ratio"] == pytest.approx(found["cpu"] / 0.8)  # type: ignore[operator]
    assert found["resident_memory"] > 1e6  # type: ignore[operator]
    assert found["open_fds"] > 2  # type: ignore[operator]
    assert found["threads"] >= 1  # type: ignore[operator]


async def test_a_loop_in_virtual_time_is_never_late(clock: VirtualClock) -> None:
    source = LoopLagSource(clock=clock)
    await source.sample()
    assert values(source.collector)["lag"] == pytest.approx(0, abs=1e-6)


@pytest.mark.real_time
async def test_a_loop_that_is_held_up_is_late() -> None:
    source = LoopLagSource()
    sampling = asyncio.create_task(source.sample())
    await asyncio.sleep(0)
    busy(0.2)
    await sampling
    assert values(source.collector)["lag"] > 0.08  # type: ignore[operator]
