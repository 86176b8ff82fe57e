"""The blocking facade: the guide's synchronous spelling."""

import inspect
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kailash_monitor.alerts import AlertManager as AsyncAlertManager
from kailash_monitor.alerts import AlertRule, AlertStatus, Inhibition, Matchers, Route
from kailash_monitor.blocking import AlertManager
from kailash_monitor.errors import ConfigurationError, LifecycleError, StoreLocked
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.storage import MemoryStore
from kailash_monitor.testing import RecordingChannel

from newcomers import Newcomers  # isort: skip

from served import hook  # isort: skip


def eventually(true: Callable[[], object], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


@pytest.fixture
def shelf() -> MetricsRegistry:
    return MetricsRegistry()


@pytest.fixture
def channel() -> RecordingChannel:
    return RecordingChannel()


@pytest.fixture
def manager(shelf: MetricsRegistry, channel: RecordingChannel) -> Iterator[AlertManager]:
    manager = AlertManager(shelf, stop_timeout="1s")
    manager.add_notification_channel(channel)
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=0.02))
    yield manager
    manager.stop()


def test_it_judges_and_tells_from_a_program_without_a_loop(
    manager: AlertManager, shelf: MetricsRegistry, channel: RecordingChannel
) -> None:
    queue = shelf.collector("app").gauge("queue")
    queue.set(9)
    manager.start()
    eventually(lambda: channel.told() == [("firing", "busy_app")])
    assert [a.status for a in manager.get_active_alerts()] == [AlertStatus.FIRING]
    manager.acknowledge_alert("busy_app")
    assert manager.alerts["busy_app"].status is AlertStatus.ACKNOWLEDGED
    manager.silence_alert("busy_app", "1h", author="anna", reason="deploy")
    assert manager.get_all_alerts()[0].status is AlertStatus.SILENCED
    queue.set(0)
    eventually(lambda: channel.told()[-1] == ("resolved", "busy_app"))
    assert manager.health().ready
    assert [s.state for s in manager.rule_status()] == ["inactive"]
    assert [d.outcome for d in manager.deliveries()] == ["delivered"] * 2
    assert (list(manager.rules), manager.notification_channels) == (["busy"], [channel])
    assert manager.metrics_registry is shelf
    assert manager.failure is None
    manager.remove_rule("busy")
    assert manager.rules == {}
    assert repr(manager) == "<blocking AlertManager running, 0 rules, 0 alerts active>"


def test_people_say_the_same_things_without_a_loop(
    manager: AlertManager, shelf: MetricsRegistry, channel: RecordingChannel
) -> None:
    shelf.collector("app").gauge("queue").set(9)
    manager.set_routes(Route(channels=["recordingchannel"]))
    manager.set_inhibitions([Inhibition({"alertname": "busy"}, {"alertname": "other"})])
    with manager.silence(collector="app", author="anna", reason="deploy") as silence, manager:
        eventually(lambda: [a.status for a in manager.get_all_alerts()] == [AlertStatus.SILENCED])
        assert [alert.id for alert in manager.preview_silence(Matchers.of("severity=warning"))] == ["busy_app"]
        assert [(one.id, one.reason, one.state.value) for one in manager.silences()] == [(silence.id, "deploy", "active")]
        assert channel.told() == []
        explanation = manager.explain("busy_app")
        assert explanation is not None
        assert explanation.suppressed_by == silence.id
        assert manager.end_silence(silence.id) is True
        assert manager.end_silence(silence.id) is False
        eventually(lambda: channel.told() == [("firing", "busy_app")])
        assert manager.end_silence(manager.silence_alert("busy_app")) is True
        assert (manager.acknowledge_alert("busy_app"), manager.acknowledge_alert("nothing")) == (True, False)
        manager.disable_rule("busy")
        eventually(lambda: channel.told()[-1] == ("resolved", "busy_app"))
        manager.enable_rule("busy")
        eventually(lambda: channel.told()[-1] == ("firing", "busy_app"))
        manager.replace_rule(AlertRule("busy", "d", "warning", "queue", "> 50", evaluation_interval=0.02))
        eventually(lambda: channel.told()[-1] == ("resolved", "busy_app"))
        assert manager.audit()
        assert manager.channels_by_name() == {"recordingchannel": channel}


ONLY_ON_A_LOOP = {"run", "core", "files"}


def test_it_has_all_that_the_manager_for_event_loops_has() -> None:
    """By reflection, so that whoever adds to the one face is reminded of the other."""
    registry = MetricsRegistry()

    def face(manager: object) -> set[str]:
        return {name for name in dir(manager) if not name.startswith("_")} - ONLY_ON_A_LOOP

    on_a_loop, blocking = AsyncAlertManager(registry), AlertManager(registry)
    assert face(on_a_loop) == face(blocking)
    for name in face(blocking):
        method, model = getattr(blocking, name), getattr(on_a_loop, name)
        if inspect.ismethod(method) and not inspect.iscoroutinefunction(model):
            given, wanted = inspect.signature(method).parameters, inspect.signature(model).parameters
            assert given == wanted, name


def test_start_and_stop_may_be_called_twice_and_again(manager: AlertManager) -> None:
    before = Newcomers()
    for _ in range(3):
        manager.start()
        manager.start()
        assert manager.running
        assert before.count == 1
        manager.stop()
        manager.stop()
        assert not manager.running
        assert before.count == 0


def test_it_is_a_context_too(manager: AlertManager) -> None:
    with manager as entered:
        assert entered.running
    assert not manager.running


def test_sources_are_sampled(manager: AlertManager) -> None:
    class Source:
        name = "tank"
        every = 0.02
        collector = MetricsCollector()

        def sample(self) -> None:
            self.collector.set_gauge("queue", 9)

    manager.add_source(Source())
    with manager:
        eventually(lambda: [a.id for a in manager.get_active_alerts()] == ["busy_tank"])


# -- beginning and end -------------------------------------------------------------------------------------------------


def test_started_by_many_threads_at_once_it_starts_once(manager: AlertManager) -> None:
    before, together = Newcomers(), threading.Barrier(8)

    def start() -> None:
        together.wait()
        manager.start()
        assert manager.running

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before.count == 1
    manager.stop()
    assert before.count == 0


def test_a_start_that_fails_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    before = Newcomers()
    manager = AlertManager(MetricsRegistry(), store=tmp_path / "no" / "folder.db")
    for _ in range(2):
        with pytest.raises(LifecycleError, match="could not start: StoreNotWritable"):
            manager.start()
        assert not manager.running
        assert manager.failure is not None
    eventually(lambda: before.count == 0)
    (tmp_path / "no").mkdir()
    with manager:
        assert manager.failure is None
    eventually(lambda: before.count == 0)


class HangingStore(MemoryStore):
    """A store that hangs, as a disk does, in what `where` names, until `goes_on` is set."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    def _hang(self, where: str) -> None:
        if where == self.where:
            self.hangs.set()
            self.goes_on.wait(20)

    def open(self) -> None:
        self._hang("open")
        super().open()

    def close(self) -> None:
        self._hang("close")
        super().close()


def test_a_start_that_hangs_ends_when_another_thread_stops_it(shelf: MetricsRegistry) -> None:
    store = HangingStore("open")
    manager = AlertManager(shelf, store=store, stop_timeout="100ms")
    starting = threading.Thread(target=manager.start)
    starting.start()
    assert store.hangs.wait(5)
    begun = time.monotonic()
    manager.stop()
    starting.join(1)
    assert not starting.is_alive()
    assert time.monotonic() - begun < 1.5
    assert not manager.running
    store.goes_on.set()
    with manager:
        assert manager.running


def test_a_stop_does_not_wait_for_a_store_that_hangs(shelf: MetricsRegistry) -> None:
    store = HangingStore("close")
    manager = AlertManager(shelf, store=store, stop_timeout="100ms")
    manager.start()
    begun = time.monotonic()
    manager.stop()
    assert time.monotonic() - begun < 1.5
    assert not manager.running
    store.goes_on.set()


def test_a_time_limit_that_is_none_is_refused(manager: AlertManager) -> None:
    with manager, pytest.raises(ConfigurationError, match="drain"):
        manager.stop(drain="soon")


def _python(script: str, *arguments: str, measured: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a script, with all warnings shown; not in Python's development mode, in which asyncio tells of slow callbacks:

    on a busy machine any is slow, and these tests want to hear nothing. `measured`: coverage may look on.
    """
    environment = {**os.environ, "PYTHONMALLOC": "debug"}
    if not measured:
        environment.pop("COVERAGE_PROCESS_CONFIG", None)
    return subprocess.run(
        [sys.executable, "-W", "default", "-X", "faulthandler", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )


FIRING = """
    import asyncio, atexit, os, signal, sys, threading, time
    from kailash_monitor.alerts import AlertRule, WebhookNotificationChannel
    from kailash_monitor.blocking import AlertManager
    from kailash_monitor.metrics import MetricsRegistry

    registry = MetricsRegistry()
    queue = registry.collector("app").gauge("queue")
    queue.set(9)
    manager = AlertManager(registry, stop_timeout="500ms")
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=0.02, on_write=True))
"""


def _firing(script: str, *arguments: str, measured: bool = True) -> subprocess.CompletedProcess[str]:
    return _python(textwrap.dedent(FIRING) + textwrap.dedent(script), *arguments, measured=measured)


HANG = {
    "a coroutine that blocks the loop": """
        async def hang(alert, context):
            begun.set()
            time.sleep(20)
    """,
    "a coroutine that does not let itself be cancelled": """
        async def hang(alert, context):
            begun.set()
            while True:
                try:
                    await asyncio.sleep(20)
                except asyncio.CancelledError:
                    pass
    """,
    "a function": """
        def hang(alert, context):
            begun.set()
            time.sleep(20)
    """,
    "a thread that a coroutine waits for": """
        async def hang(alert, context):
            begun.set()
            await asyncio.to_thread(time.sleep, 20)
    """,
}


@pytest.mark.parametrize("channel", HANG)
def test_whatever_hangs_a_stop_returns_in_time_and_the_program_ends(channel: str) -> None:
    stop = """
        manager.add_notification_channel(hang)
        queue.set(0)
        manager.start()
        queue.set(9)
        begun.wait()
        now = time.monotonic()
        manager.stop()
        print(time.monotonic() - now < 1.9, manager.running)
        now = time.monotonic()
        manager.stop()
        print(time.monotonic() - now < 0.1)
    """
    begun = time.monotonic()
    ended = _firing("begun = threading.Event()\n" + textwrap.dedent(HANG[channel]) + textwrap.dedent(stop))
    assert (ended.returncode, ended.stdout) == (0, "True False\nTrue\n"), ended.stderr
    assert time.monotonic() - begun < 8


def test_a_channel_may_stop_it() -> None:
    """From the manager's own thread, too, which cannot wait for itself."""
    ended = _firing("""
        async def stop(alert, context):
            manager.stop()
            print("stopped", manager.running)

        manager.add_notification_channel(stop)
        manager.start()
        while threading.active_count() > 1:
            time.sleep(0.01)
    """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped False\n", "")


def test_a_signal_handler_may_stop_it_while_it_starts() -> None:
    ended = _firing("""
        from kailash_monitor.storage import MemoryStore

        class Hanging(MemoryStore):
            def open(self):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(20)

        manager = AlertManager(registry, store=Hanging(), stop_timeout="500ms")
        signal.signal(signal.SIGTERM, lambda *_: manager.stop())
        now = time.monotonic()
        manager.start()
        print(time.monotonic() - now < 2, manager.running)
    """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True False\n", "")


# -- the end of the program --------------------------------------------------------------------------------------------


def test_a_program_that_forgets_to_stop_ends_all_the_same() -> None:
    ended = _python("""
        from kailash_monitor.blocking import AlertManager
        from kailash_monitor.metrics import MetricsRegistry
        AlertManager(MetricsRegistry()).start()
        print("end")
    """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")


def test_and_says_nothing_of_what_was_under_way(tmp_path: Path) -> None:
    with hook(answers=False) as receiver:
        ended = _firing(
            """
            manager = AlertManager(registry, store=sys.argv[2])
            manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5"))
            manager.add_notification_channel(WebhookNotificationChannel(sys.argv[1]))
            manager.add_notification_channel(lambda alert, context: time.sleep(20))
            manager.start()
            while len(manager.outbox()) < 2:
                time.sleep(0.01)
            time.sleep(0.2)
            """,
            receiver.url,
            str(tmp_path / "alerts.db"),
        )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_stop_may_be_called_at_exit() -> None:
    ended = _python("""
        import atexit
        from kailash_monitor.blocking import AlertManager
        from kailash_monitor.metrics import MetricsRegistry
        manager = AlertManager(MetricsRegistry())
        manager.start()
        atexit.register(lambda: (manager.stop(), print("stopped", manager.running)))
    """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped False\n", "")


def test_what_fires_last_is_told_at_exit() -> None:
    """By name, by a pool, by a thread: Python has ended its own pools by then, and some versions let no thread begin."""
    with hook() as receiver:
        ended = _firing(
            """
            async def in_a_pool(alert, context):
                said.append(await asyncio.to_thread(lambda: "pool"))

            def stop():
                manager.stop()
                print(sorted(said), [each.outcome for each in manager.deliveries()], manager.outbox())

            said = []
            manager = AlertManager(registry, stop_timeout="5s")
            manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5"))
            manager.add_notification_channel(WebhookNotificationChannel(sys.argv[1]))
            manager.add_notification_channel(in_a_pool)
            manager.add_notification_channel(lambda alert, context: said.append("thread"))
            manager.start()
            atexit.register(stop)
            """,
            receiver.url.replace("127.0.0.1", "localhost"),
        )
        assert receiver.told() == ["firing"], ended.stderr
    assert (ended.returncode, ended.stdout) == (0, "['pool', 'thread'] ['delivered', 'delivered', 'delivered'] []\n")


# -- forks -------------------------------------------------------------------------------------------------------------

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

FORK = """
    import faulthandler, warnings
    warnings.simplefilter("ignore")

    def in_child(work):
        \"\"\"Have a child do it; it ends, and well, within ten seconds.\"\"\"
        if (child := os.fork()) == 0:
            faulthandler.dump_traceback_later(10, exit=True)
            status = 1
            try:
                work()
                status = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
"""


def _forking(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Not under coverage, whose tracer has a lock of its own: a child forked while a thread holds it waits for ever."""
    return _firing(textwrap.dedent(FORK) + textwrap.dedent(script), *arguments, measured=False)


@forks
def test_after_a_fork_the_child_starts_its_own() -> None:
    ended = _forking("""
        def start():
            assert not manager.running
            manager.stop()
            manager.start()
            assert manager.running
            manager.stop()

        manager.start()
        in_child(start)
        assert manager.running
        manager.stop()
        print("well")
    """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "well\n", "")


@forks
def test_a_child_begins_anew_and_its_parent_goes_on() -> None:
    """It has all that was set up, and nothing of what happened: that is told by the parent."""
    ended = _forking("""
        from kailash_monitor.alerts import Inhibition, Route

        class Source:
            name, every = "tank", 0.02
            def __init__(self): self.collector = registry.collector("tank2")
            def sample(self): queue.set(9)

        async def tell(alert, context):
            print(context["kind"], alert.id, "child" if os.getpid() != parent else "parent", flush=True)

        def look():
            print(sorted(manager.rules), manager.alerts, manager.silences(), list(manager.channels_by_name()), flush=True)
            with manager:
                while not manager.deliveries():
                    time.sleep(0.01)

        parent = os.getpid()
        manager.add_notification_channel(tell)
        manager.set_routes(Route(channels=["tell"]))
        manager.set_inhibitions([Inhibition({"alertname": "other"}, {"alertname": "more"})])
        manager.add_rule(AlertRule("more", "d", "warning", "queue", "> 50"))
        manager.start()
        while not manager.deliveries():
            time.sleep(0.01)
        manager.silence(alertname="more")
        in_child(look)
        queue.set(0)
        while len(manager.deliveries()) < 2:
            time.sleep(0.01)
        manager.stop()
    """)
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "firing busy_app parent",
        "['busy', 'more'] {} [] ['tell']",
        "firing busy_app child",
        "resolved busy_app parent",
    ]


@forks
def test_one_that_was_never_started_is_in_the_child_as_it_was() -> None:
    """As in a server that loads the program before it forks."""
    ended = _forking("""
        silence = manager.silence(alertname="more")
        in_child(lambda: print([each.id for each in manager.silences()] == [silence.id]))
    """)
    assert (ended.stdout, ended.stderr) == ("True\n", "")


@forks
def test_the_store_is_the_parents(tmp_path: Path) -> None:
    ended = _forking(
        """
        import logging
        logging.disable()

        def start():
            try:
                manager.start()
            except Exception:
                print(type(manager.failure).__name__, flush=True)
            while threading.active_count() > 1:
                time.sleep(0.01)
            manager.stop()

        manager = AlertManager(registry, store=sys.argv[1])
        manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=0.02))
        manager.start()
        for _ in range(20):
            in_child(start)
            if (child := os.fork()) == 0:
                sys.exit()  # in good order, with all that Python does then
            assert os.waitpid(child, 0)[1] == 0
            queue.set(9 - queue.metric.get_latest_value())  # so that it has something to write
        manager.stop()
        again = AlertManager(MetricsRegistry(), store=sys.argv[1])
        again.start()
        print(again.failure, [alert.id for alert in again.get_all_alerts()])
        again.stop()
        """,
        str(tmp_path / "alerts.db"),
    )
    assert ended.stderr == ""
    assert set(ended.stdout.splitlines()) == {StoreLocked.__name__, "None ['busy_app']"}


@forks
def test_in_a_child_nothing_hangs_whatever_the_parents_threads_were_at(tmp_path: Path) -> None:
    """While they record, define, read, judge and write as fast as they can, children are forked that do all of it."""
    ended = _forking(
        """
        sys.setswitchinterval(1e-5)
        over = threading.Event()
        app = registry.collector("app")
        requests = app.counter("requests", labels=("n",), ttl="1h")
        took = app.timer("took")
        registry.watch(None, "requests", lambda: None)  # every recording takes the lock
        numbers = iter(range(10**9))

        def record():
            while not over.is_set():
                requests.inc(str(next(numbers) % 50))
                took.observe(5.0)
                queue.add(1)

        def define():
            while not over.is_set():
                app.increment(f"made_{next(numbers) % 500}", 1)
                requests.remove(str(next(numbers) % 50))

        def read():
            while not over.is_set():
                registry.export_metrics("prometheus")
                manager.get_all_alerts()
                manager.silences()

        def say():
            while not over.is_set():
                manager.end_silence(manager.silence_alert("busy_app"))
                manager.replace_rule(AlertRule("other", "d", "warning", "queue", "> 7", evaluation_interval=0.02))

        def hold():
            while not over.is_set():
                with manager._manager.core.lock, took.metric.family.lock:
                    pass

        def all_of_it():
            for _ in range(20):
                requests.inc("1")
                took.observe(5.0)
                queue.set(9)
                app.increment("made_here", 1)
            before = requests.metric.get_increase("1h")
            requests.inc("1")
            assert requests.metric.get_increase("1h") == before + 1, "a recording is lost"
            for name, metric in app.get_all_metrics().items():
                assert isinstance(metric.points, list)
            registry.export_metrics("prometheus")
            registry.export_metrics("json")
            manager.get_all_alerts(), manager.health(), manager.rule_status(), manager.audit()
            manager.silence_alert("busy_app")
            own = AlertManager(registry)
            own.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5"))
            for one in (own, manager):
                one.start()
                while not one.get_active_alerts():
                    time.sleep(0.01)
                one.stop()

        stored = AlertManager(registry, store=sys.argv[1])
        stored.add_rule(AlertRule("kept", "d", "warning", "queue", "> 5", evaluation_interval=0.02, notification_interval=0))
        threads = [threading.Thread(target=work, daemon=True) for work in (record, define, read, say, hold)]
        with manager, stored:
            for thread in threads:
                thread.start()
            for _ in range(10):
                in_child(all_of_it)
            over.set()
            for thread in threads:
                thread.join()
            assert manager.running and stored.running and stored.failure is None
        print("well")
        """,
        str(tmp_path / "alerts.db"),
    )
    assert (ended.returncode, ended.stdout) == (0, "well\n"), ended.stderr
