"""The runtime: tasks, garbage collection and threads."""

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kailash_monitor import blocking
from kailash_monitor.alerts import AlertManager, AlertRule, AlertStatus
from kailash_monitor.config import default_monitor, load_monitor
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.instrument import RuntimeSource
from kailash_monitor.instrument.runtime import NAMES, PAUSES, coroutine_name, shown_apart
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.metrics.series import CounterSeries
from kailash_monitor.testing import VirtualClock

HELD = 0.010
"""Seconds for which a callback of ours may hold the loop."""


def by_label(source: RuntimeSource, name: str) -> dict[str, float]:
    """Give the values of a metric by its only label."""
    metric = source.collector.get_metric(name)
    assert metric is not None
    return {
        series.labels.texts[0]: series.total if isinstance(series, CounterSeries) else series.value  # type: ignore[union-attr, misc]
        for series in metric.series
    }


def total(source: RuntimeSource, name: str) -> float | None:
    metric = source.collector.get_metric(name)
    assert metric is not None
    return metric.get_latest_value()


async def work() -> None:
    await asyncio.Event().wait()


async def rest() -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield tasks
    finally:
        await end(tasks)


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def source(clock: VirtualClock) -> RuntimeSource:
    return RuntimeSource(clock=clock)


# -- tasks


async def test_tasks_are_counted_by_their_coroutine_and_in_all(source: RuntimeSource) -> None:
    async with running(work(), work(), rest()) as tasks:
        await end(tasks[:1])
        await source.sample()
        counts = by_label(source, "tasks")
        assert (counts["work"], counts["rest"]) == (1, 1)
        assert total(source, "all_tasks") == sum(counts.values()) == len(asyncio.all_tasks())


@pytest.mark.real_time
async def test_tasks_of_another_loop_are_its_own_affair() -> None:
    source, begun, over = RuntimeSource(), threading.Event(), threading.Event()

    async def elsewhere() -> None:
        begun.set()
        await asyncio.to_thread(over.wait, 10)

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    try:
        await asyncio.to_thread(begun.wait, 10)
        await source.sample()
    finally:
        over.set()
        thread.join()
    assert [name for name in by_label(source, "tasks") if "elsewhere" in name] == []


async def test_a_name_that_is_gone_leaves_no_series_behind(source: RuntimeSource) -> None:
    async with running(work()):
        await source.sample()
        assert by_label(source, "tasks")["work"] == 1
    await source.sample()
    assert "work" not in by_label(source, "tasks")


async def test_an_alert_of_a_name_that_is_gone_is_over(registry: MetricsRegistry, clock: VirtualClock) -> None:
    manager = AlertManager(registry)
    manager.add_source(RuntimeSource(every=1, clock=clock))
    many = AlertRule("many", "d", "warning", "tasks", "> 2", group_by=["coroutine"], evaluation_interval=1)
    manager.add_rule(many)
    async with manager:
        async with running(work(), work(), work()):
            await asyncio.sleep(2)
            (alert,) = manager.get_active_alerts()
            assert alert.labels == {"coroutine": "work"}
        await asyncio.sleep(2)
        assert [alert.status for alert in manager.get_all_alerts()] == [AlertStatus.RESOLVED]


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({}, {}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2, "c": 3}, {"c": 3, "b": 2, "other": 1}),
        ({"a": 1, "b": 2, "c": 3, "other": 4}, {"other": 7, "c": 3}),
        ({"other": 1}, {"other": 1}),
    ],
)
def test_the_names_with_most_tasks_are_shown_and_what_is_left_counts_as_other(
    counts: dict[str, int], shown: dict[str, int]
) -> None:
    assert shown_apart(counts, 2) == shown


async def test_names_that_a_program_makes_up_are_bounded_and_every_task_counts(clock: VirtualClock) -> None:
    source, tasks = RuntimeSource(most=3, clock=clock), list[asyncio.Task[None]]()
    for number in range(NAMES + 100):
        coroutine = work()
        coroutine.__qualname__ = f"job {number}"
        tasks.append(asyncio.create_task(coroutine))
    await source.sample()
    counts = by_label(source, "tasks")
    assert len(counts) <= 4
    assert sum(counts.values()) == total(source, "all_tasks") == len(asyncio.all_tasks())
    await end(tasks)


class Foreign(Coroutine[Any, Any, None]):
    """A coroutine of some library, which has no name."""

    def __await__(self) -> Generator[Any, None, None]:
        yield

    def send(self, value: object) -> None:
        raise StopIteration

    def throw(self, *error: object) -> None:  # type: ignore[override]
        raise StopIteration

    def close(self) -> None:
        pass


async def test_a_coroutine_without_a_name_has_that_of_its_class() -> None:
    task = asyncio.create_task(Foreign())
    assert coroutine_name(task) == "Foreign"
    await task


@pytest.mark.untraced
async def test_a_hundred_thousand_tasks_do_not_hold_the_loop() -> None:
    """`asyncio.all_tasks` alone takes 40 ms for them. A garbage collection in between would be anybody's."""
    source, tasks = RuntimeSource(), [asyncio.create_task(work()) for _ in range(100_000)]
    gc.disable()
    try:
        sampling, longest = source.sample(), 0.0
        while True:  # as the loop does: each step is a callback
            begun = time.thread_time()
            try:
                sampling.send(None)
            except StopIteration:
                break
            finally:
                longest = max(longest, time.thread_time() - begun)
    finally:
        gc.enable()
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
    assert by_label(source, "tasks")["work"] == 100_000
    assert longest < HELD


@pytest.mark.parametrize("most", [0, -1, True, 2.5, "20"])
def test_how_many_names_is_a_whole_number(most: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"RuntimeSource: most = {most!r}; a whole number above zero"):
        RuntimeSource(most=most)


# -- garbage collection, and threads


class Knot:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


async def test_garbage_collections_are_counted_by_generation_and_measured() -> None:
    source = RuntimeSource()
    await source.sample()
    before = by_label(source, "gc_collections")["2"], by_label(source, "gc_collected")["2"]
    for _ in range(3):
        Knot()
        gc.collect()
    await source.sample()
    collections, collected = by_label(source, "gc_collections")["2"], by_label(source, "gc_collected")["2"]
    assert collections >= before[0] + 3
    assert collected >= before[1] + 3
    assert by_label(source, "gc_uncollectable") == {"0": 0, "1": 0, "2": 0}
    pauses = source.collector.get_metric("gc_pause")
    assert pauses is not None
    (series,) = pauses.select({"generation": "2"})
    assert series.get_increase("1m") >= 3  # type: ignore[operator]
    assert 0 < series.get_max("1m") < 10  # type: ignore[operator]


async def test_what_was_collected_before_there_was_a_source_is_not_its_own() -> None:
    gc.collect()
    source = RuntimeSource()
    await source.sample()
    assert by_label(source, "gc_collections")["2"] == 0


async def test_pauses_that_nobody_fetches_are_bounded() -> None:
    source = RuntimeSource()
    await source.sample()
    for _ in range(PAUSES + 10):
        gc.collect(0)
    await source.sample()
    pauses = source.collector.get_metric("gc_pause")
    assert pauses is not None
    (series,) = pauses.select({"generation": "0"})
    assert PAUSES <= series.get_increase("1m") < PAUSES + 10  # type: ignore[operator]  # those of the first sample come on top
    assert by_label(source, "gc_collections")["0"] >= PAUSES + 10


async def test_nobody_measures_pauses_before_a_manager_samples_and_after_it_ended(
    registry: MetricsRegistry, source: RuntimeSource
) -> None:
    there = list(gc.callbacks)
    manager = AlertManager(registry)
    manager.add_source(source)
    assert gc.callbacks == there
    for _ in range(2):
        async with manager:
            await asyncio.sleep(6)
            assert len(gc.callbacks) == len(there) + 1
        assert gc.callbacks == there


async def test_two_who_sample_the_same_source_end_it_once(source: RuntimeSource) -> None:
    there, events = list(gc.callbacks), [asyncio.Event(), asyncio.Event()]

    async def sample(until: asyncio.Event) -> None:
        await source.sample()
        await until.wait()

    tasks = [asyncio.create_task(sample(event)) for event in events]
    await asyncio.sleep(0.1)
    for event, others in zip(events, (1, 0), strict=True):
        event.set()
        await asyncio.sleep(0.1)
        assert len(gc.callbacks) == len(there) + others
    await asyncio.gather(*tasks)


@pytest.mark.real_time
def test_a_blocking_manager_samples_its_own_loop() -> None:
    there, source = list(gc.callbacks), RuntimeSource(every=0.1)
    manager = blocking.AlertManager(MetricsRegistry())
    manager.add_source(source)
    with manager:
        deadline = time.monotonic() + 5
        while not total(source, "all_tasks"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert manager.metrics_registry.get_collector("runtime") is source.collector
    assert gc.callbacks == there


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork here")
def test_a_forked_child_measures_nothing_until_somebody_samples_there() -> None:
    script = """
        import asyncio, gc, os
        from kailash_monitor.instrument import RuntimeSource

        async def main():
            source = RuntimeSource()
            await source.sample()
            assert len(gc.callbacks) == 1
            child = os.fork()
            if child == 0:
                os._exit(len(gc.callbacks))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert len(gc.callbacks) == 1

        asyncio.run(main())
        assert not gc.callbacks
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=30)


async def test_threads_are_counted(source: RuntimeSource) -> None:
    over = threading.Event()
    await source.sample()
    before = total(source, "threads")
    thread = threading.Thread(target=over.wait, daemon=True)
    thread.start()
    await source.sample()
    over.set()
    thread.join()
    assert total(source, "threads") == before + 1  # type: ignore[operator]


# -- in a configuration file


def test_it_is_off_unless_a_file_names_it(tmp_path: Path) -> None:
    assert "runtime" not in default_monitor().manager.metrics_registry.get_all_collectors()
    file = tmp_path / "monitor.yaml"
    file.write_text("collectors: {runtime: {every: 20s}}")
    manager = load_monitor(file).manager
    assert list(manager.metrics_registry.get_all_collectors()) == ["host", "process", "loop", "runtime"]
    assert manager._sampler.sources[-1].every == 20
