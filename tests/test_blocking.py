"""The blocking facade: the guide's synchronous spelling."""

import inspect
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kailash_monitor.alerts import AlertManager as AsyncAlertManager
from kailash_monitor.alerts import AlertRule, AlertStatus, Inhibition, Matchers, Route
from kailash_monitor.blocking import AlertManager
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.testing import RecordingChannel


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


ONLY_ON_A_LOOP = {"run", "core"}


def test_it_has_all_that_the_manager_for_event_loops_has() -> None:
    """By reflection, so that whoever adds to the one face is reminded of the other."""
    registry = MetricsRegistry()

    def face(manager: object) -> set[str]:
        return {name for name in dir(manager) if not name.startswith("_")} - ONLY_ON_A_LOOP

    on_a_loop, blocking = AsyncAlertManager(registry), AlertManager(registry)
    assert face(on_a_loop) == face(blocking)
    for name in face(blocking):
        method, model = getattr(blocking, name), getattr(on_a_loop, name)
        if inspect.ismethod(method):
            given, wanted = inspect.signature(method).parameters, inspect.signature(model).parameters
            assert given == wanted, name


def test_start_and_stop_may_be_called_twice_and_again(manager: AlertManager) -> None:
    before = threading.active_count()
    for _ in range(3):
        manager.start()
        manager.start()
        assert manager.running
        assert threading.active_count() == before + 1
        manager.stop()
        manager.stop()
        assert not manager.running
        assert threading.active_count() == before


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


def _python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_program_that_forgets_to_stop_ends_all_the_same() -> None:
    ended = _python("""
        from kailash_monitor.blocking import AlertManager
        from kailash_monitor.metrics import MetricsRegistry
        AlertManager(MetricsRegistry()).start()
        print("end")
    """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_after_a_fork_the_child_starts_its_own() -> None:
    ended = _python("""
        import os, warnings
        warnings.simplefilter("ignore")
        from kailash_monitor.blocking import AlertManager
        from kailash_monitor.metrics import MetricsRegistry
        manager = AlertManager(MetricsRegistry())
        manager.start()
        if (child := os.fork()) == 0:
            assert not manager.running
            manager.stop()
            manager.start()
            assert manager.running
            manager.stop()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert manager.running
        manager.stop()
        print("well")
    """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "well\n", "")
