"""What all tests share: virtual time, a clock, a watch for blocking calls, a time limit, and no silent skips in CI."""

import asyncio
import faulthandler
import functools
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key  # where the terminal is while output is captured
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.testing import VirtualClock, VirtualTimeLoop

from effort import FEW, QUICK  # isort: skip

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("shared machine"), max_examples=FEW)
settings.load_profile("quick" if QUICK else "shared machine")  # how long an example takes says nothing here

NO_SKIPS = "KAILASH_MONITOR_NO_SKIPS"
"""Set in CI, where everything that a test needs is there: a skipped test is a failure, save one that misses ../shared."""

LIMIT = 120
"""Seconds for one test, its set-up and its end. The slowest takes five; a loaded machine is ten times slower."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "untraced: steps through Python by the million, and coverage does not measure it")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time for every test but those marked `real_time`."""
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.SelectorEventLoop}
    return {"virtual": VirtualTimeLoop}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long is left to the run that makes the whole effort."""
    if QUICK:
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


@pytest.fixture
async def clock() -> VirtualClock:
    """The virtual time of the test's loop."""
    return VirtualClock()


@pytest.fixture
async def registry(clock: VirtualClock) -> MetricsRegistry:
    """An empty registry on virtual time."""
    return MetricsRegistry(clock=clock)


_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program keeps goes into a folder of the test alone, which is there once something is put into it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{next(_NUMBERS)}"))


@functools.cache
def blocking_calls() -> BlockBuster:
    """The calls that block an event loop, where the package makes them; made once, since that takes a millisecond."""
    found = BlockBuster("kailash_monitor", excluded_modules=["kailash_monitor.testing"])
    for name in ("io.TextIOWrapper.write", "io.BufferedWriter.write"):
        found.functions.pop(name, None)  # a log record is written where it is made, as everywhere in Python
    for name in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
        if name in found.functions:  # the measuring of coverage, where threads run beside the loop
            found.functions[name].can_block_in("coverage/collector.py", "lock_data")
    for name in ("io.TextIOWrapper.read", "io.BufferedReader.read"):
        if name in found.functions:  # two small files of the kernel's own, read once
            found.functions[name].can_block_in("kailash_monitor/metrics/memory_limit.py", "_read_limit")
    return found


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Any call of the package that would block the event loop fails the test."""
    blocking_calls().activate()
    try:
        yield
    finally:
        blocking_calls().deactivate()


class TookTooLong(BaseException):
    """A test hangs. No Exception, and no failure: hypothesis would repeat those to find a smaller example."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that hangs fails; one that cannot even be interrupted ends the run, with the stacks of all threads."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"not done in {LIMIT} seconds")

    faulthandler.dump_traceback_later(2 * LIMIT, exit=True, file=item.config.stash.get(fault_handler_stderr_fd_key, 2))
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, too_long)
        signal.setitimer(signal.ITIMER_REAL, LIMIT, LIMIT / 10)  # again, where a handler of asyncio's swallowed it
    try:
        return (yield)
    finally:
        if hasattr(signal, "SIGALRM"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Measuring coverage makes pure Python nine times as slow, and the millionth step reaches no other line than the first."""
    traces, in_threads = sys.gettrace(), threading.gettrace()
    if traces is None or item.get_closest_marker("untraced") is None:
        return (yield)
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]  # as it was before anybody set one
    try:
        return (yield)
    finally:
        threading.settrace(in_threads)  # type: ignore[arg-type]  # None, where there was none
        sys.settrace(traces)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (report.skipped and os.environ.get(NO_SKIPS)) or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if "../shared" not in reason:
        report.outcome = "failed"
        report.longrepr = f"{NO_SKIPS} is set, and this was skipped: {reason}"
