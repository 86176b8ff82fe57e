"""Workflows of kailash show in the collectors for validation, security and performance, and fire rules."""

import asyncio
import contextvars
import gc
import importlib.util
import logging
import os
import subprocess
import sys
import textwrap
import threading
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

if importlib.util.find_spec("kailash") is None:
    pytest.skip("kailash, from the extra 'kailash', is not installed", allow_module_level=True)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kailash.nodes.base import Node, NodeParameter, register_node
    from kailash.runtime.local import LocalRuntime
    from kailash.runtime.validation.metrics import get_metrics_collector
    from kailash.workflow.builder import WorkflowBuilder

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.integrations.kailash import Attached, attach, violation_type
from kailash_monitor.metrics import (
    MetricsRegistry,
    PerformanceMetrics,
    SecurityMetrics,
    ValidationMetrics,
    get_metrics_registry,
    get_performance_metrics,
    get_security_metrics,
    get_validation_metrics,
)

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.filterwarnings("ignore"),  # kailash's own, of its own code
]

INJECTION = "'; DROP TABLE users; --"


@register_node()
class GuardedQueryNode(Node):
    """A node of a program's own that takes no query with a second statement in it."""

    def get_parameters(self) -> dict[str, NodeParameter]:
        return {
            "query": NodeParameter(name="query", type=str, required=False),
            "limit": NodeParameter(name="limit", type=int, required=False),
        }

    def validate_inputs(self, **inputs: Any) -> dict[str, Any]:
        checked: dict[str, Any] = super().validate_inputs(**inputs)
        if ";" in checked.get("query", ""):
            raise ValueError("SQL injection detected in parameter 'query'")
        return checked

    def run(self, **inputs: Any) -> dict[str, Any]:
        return {"result": inputs}


GOOD, WRONG, HOSTILE = ("query", "select 1"), ("limit", "many"), ("query", INJECTION)
"""What is connected to which parameter."""


def workflow(parameter: str, result: object) -> Any:
    """One node that gives `result`, and one that takes it for `parameter`."""
    builder = WorkflowBuilder()
    builder.add_node("PythonCodeNode", "source", {"code": f"result = {result!r}"})
    builder.add_node("GuardedQueryNode", "query", {})
    builder.add_connection("source", "result", "query", parameter)
    return builder.build()


def run(runtime: Any, given: tuple[str, object]) -> bool:
    """Run it, and say whether that ended well."""
    try:
        results, _ = runtime.execute(workflow(*given))
    except Exception:
        return False
    return not results["query"].get("failed")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def runtime() -> Iterator[Any]:
    with LocalRuntime(connection_validation="strict") as runtime:
        yield runtime


@pytest.fixture
def shelf() -> MetricsRegistry:
    registry = MetricsRegistry()
    for name, kind in (
        ("validation", ValidationMetrics),
        ("security", SecurityMetrics),
        ("performance", PerformanceMetrics),
    ):
        registry.register_collector(name, kind())
    return registry


@pytest.fixture
def attached(runtime: Any, shelf: MetricsRegistry) -> Iterator[Attached]:
    one = attach(runtime, shelf)
    yield one
    one.detach()


def total(registry: MetricsRegistry, collector: str, metric: str) -> float:
    found = registry.collector(collector).get_metric(metric)
    return 0.0 if found is None else found.get_latest_value() or 0.0


async def test_real_workflows_change_the_shared_metrics_and_fire_rules(runtime: Any) -> None:
    registry = get_metrics_registry()
    for name, kind in (
        ("validation", ValidationMetrics),
        ("security", SecurityMetrics),
        ("performance", PerformanceMetrics),
    ):
        registry.unregister_collector(name)
        registry.register_collector(name, kind())
    manager = AlertManager(registry)
    manager.add_rule(
        AlertRule("injections", "Injection", "critical", "sql_injection_attempts", "> 0", evaluation_interval="50ms")
    )
    manager.add_rule(AlertRule("failures", "Failing", "error", "validation_failure", "> 1", evaluation_interval="50ms"))
    one = attach(runtime)
    try:
        async with manager:
            ended = [await asyncio.to_thread(run, runtime, given) for given in (GOOD, WRONG, HOSTILE)]
            async with asyncio.timeout(10):
                while len(manager.get_active_alerts()) < 2:
                    await asyncio.sleep(0.02)
            firing = sorted(alert.id for alert in manager.get_active_alerts())
    finally:
        one.detach()
    assert ended == [True, False, False]
    assert firing == ["failures_validation", "injections_security"]
    assert get_validation_metrics().get_success_rate() == pytest.approx(4 / 6)
    assert get_security_metrics().get_critical_violations() == 1
    assert get_performance_metrics().get_p95_response_time() is not None


def test_a_validation_that_fails_is_no_violation(runtime: Any, shelf: MetricsRegistry, attached: Attached) -> None:
    assert not run(runtime, WRONG)
    assert total(shelf, "validation", "validation_failure") == 1
    assert total(shelf, "validation", "validation_total") == 2
    assert total(shelf, "security", "security_violations_total") == 0


def test_an_injection_is_critical_and_its_connection_blocked(
    runtime: Any, shelf: MetricsRegistry, attached: Attached
) -> None:
    assert not run(runtime, HOSTILE)
    security = shelf.get_collector("security")
    assert isinstance(security, SecurityMetrics)
    assert security.get_critical_violations() == 1
    assert total(shelf, "security", "sql_injection_attempts") == 1
    assert total(shelf, "security", "blocked_connections") == 1
    (event,) = security.recent_events()
    assert event.source == "GuardedQueryNode"
    assert "DROP TABLE" not in shelf.export_metrics("prometheus")


def test_completed_nodes_are_operations(runtime: Any, shelf: MetricsRegistry, attached: Attached) -> None:
    assert run(runtime, GOOD)
    response_time = shelf.collector("performance").get_metric("response_time")
    assert response_time is not None
    assert {one.labels["operation"] for one in response_time.series} == {"PythonCodeNode", "GuardedQueryNode"}


def test_two_runtimes_count_validation_once_and_each_its_nodes(
    runtime: Any, shelf: MetricsRegistry, attached: Attached
) -> None:
    with LocalRuntime(connection_validation="strict") as other:
        second = attach(other, shelf)
        assert run(other, GOOD)
        second.detach()
        second.detach()
        assert run(other, GOOD)
    assert total(shelf, "validation", "validation_total") == 4
    response_time = shelf.collector("performance").get_metric("response_time")
    assert response_time is not None
    assert response_time.get_increase("1h") == 2


def test_attached_twice_counts_once_until_both_are_detached(runtime: Any, shelf: MetricsRegistry) -> None:
    first, second = attach(runtime, shelf), attach(runtime, shelf)
    assert run(runtime, GOOD)
    first.detach()
    first.detach()
    assert run(runtime, GOOD)
    second.detach()
    assert run(runtime, GOOD)
    assert total(shelf, "validation", "validation_total") == 4
    assert total(shelf, "performance", "operations") == 4


def test_each_registry_counts_for_itself(runtime: Any, shelf: MetricsRegistry, attached: Attached) -> None:
    """One that lacks the collectors is given them."""
    another = MetricsRegistry()
    second = attach(runtime, another)
    assert not run(runtime, HOSTILE)
    second.detach()
    assert run(runtime, GOOD)
    seen = [total(one, "validation", "validation_total") for one in (shelf, another)]
    assert seen == [4, 2]
    assert total(another, "security", "sql_injection_attempts") == 1


def test_detached_kailash_is_as_it_was(runtime: Any, shelf: MetricsRegistry) -> None:
    source = get_metrics_collector()
    before = dict(vars(source))
    one = attach(runtime, shelf)
    assert vars(source).keys() > before.keys()
    one.detach()
    assert vars(source) == before
    assert run(runtime, GOOD)
    assert total(shelf, "validation", "validation_total") == 0


def test_what_others_built_upon_ours_goes_on_and_counts_once(
    runtime: Any, shelf: MetricsRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, theirs = get_metrics_collector(), list[str]()
    one = attach(runtime, shelf)
    ours = source.end_validation
    monkeypatch.setattr(source, "end_validation", lambda *args, **kwargs: [theirs.append(args[0]), ours(*args, **kwargs)])
    one.detach()
    second = attach(runtime, shelf)
    assert run(runtime, GOOD)
    monkeypatch.undo()
    second.detach()
    assert theirs == ["source", "query"]
    assert total(shelf, "validation", "validation_total") == 2
    assert "end_validation" not in vars(source)


def test_a_runtime_that_is_gone_keeps_nobody_listening(runtime: Any, shelf: MetricsRegistry) -> None:
    def passing() -> weakref.ref[Any]:
        with LocalRuntime(connection_validation="strict") as other:
            attach(other, shelf)
            return weakref.ref(other)

    gone = passing()
    gc.collect()
    assert gone() is None
    attach(runtime, MetricsRegistry()).detach()
    assert run(runtime, GOOD)
    assert total(shelf, "validation", "validation_total") == 0


def test_kailash_keeps_its_own_count(runtime: Any, attached: Attached) -> None:
    source = get_metrics_collector()
    source.reset_metrics()
    assert not run(runtime, HOSTILE)
    summary = source.get_performance_summary()
    assert (summary["total_validations"], summary["failed_validations"], summary["security_violations"]) == (2, 1, 1)


def test_where_validation_only_warns_nothing_is_blocked(shelf: MetricsRegistry) -> None:
    with LocalRuntime(connection_validation="warn") as lenient:
        one = attach(lenient, shelf)
        run(lenient, HOSTILE)
        one.detach()
    assert total(shelf, "security", "sql_injection_attempts") == 1
    assert total(shelf, "security", "blocked_connections") == 0


def test_a_validation_that_the_cache_answers_is_a_hit(shelf: MetricsRegistry, attached: Attached) -> None:
    source = get_metrics_collector()
    for number in range(4):
        source.start_validation("n", "Node", "strict")
        if number:
            source.record_cache_hit("Node")
        source.end_validation("n", "Node", success=True)
    validation = shelf.get_collector("validation")
    assert isinstance(validation, ValidationMetrics)
    assert validation.get_cache_hit_rate() == 0.75


def test_threads_do_not_mix_up_their_validations(shelf: MetricsRegistry, attached: Attached) -> None:
    source, ready = get_metrics_collector(), threading.Barrier(8)

    def work() -> None:
        ready.wait()
        for number in range(200):
            source.start_validation("n", "Node", "strict")
            if number % 2:
                source.record_cache_hit("Node")
            source.end_validation("n", "Node", success=number % 4 != 0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics = ("total", "success", "failure", "cache_hits")
    assert [total(shelf, "validation", f"validation_{name}") for name in metrics] == [1600, 1200, 400, 800]


def test_a_validation_whose_beginning_was_not_heard_counts(shelf: MetricsRegistry, attached: Attached) -> None:
    get_metrics_collector().end_validation("unheard", "Node", success=False)
    assert total(shelf, "validation", "validation_failure") == 1


def test_a_hit_outside_of_a_validation_is_none(shelf: MetricsRegistry, attached: Attached) -> None:
    contextvars.Context().run(get_metrics_collector().record_cache_hit, "Node")
    assert total(shelf, "validation", "validation_cache_hits") == 0


def test_a_call_of_another_shape_is_passed_on(runtime: Any, shelf: MetricsRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another version may have it: its caller sees nothing of us."""
    said: list[str] = []
    shelf.observer = lambda _, text: said.append(text)
    source: Any = get_metrics_collector()
    theirs: Any = lambda event: f"ended {event}"  # noqa: E731
    monkeypatch.setattr(source, "end_validation", theirs)
    one = attach(runtime, shelf)
    answers = [source.end_validation("n") for _ in range(2)]
    one.detach()
    assert source.end_validation is theirs
    assert answers == ["ended n", "ended n"]
    assert len(said) == 1


def test_an_event_that_is_not_understood_breaks_nothing_and_is_told_once(runtime: Any) -> None:
    registry, said = MetricsRegistry(), list[str]()
    registry.observer = lambda _, text: said.append(text)
    one = attach(runtime, registry)
    event = SimpleNamespace(node_type="Node", started_at=None, ended_at=None, error=None)
    asyncio.run(runtime._hook_registry.dispatch_async(event))
    asyncio.run(runtime._hook_registry.dispatch_async(event))
    assert run(runtime, GOOD)
    one.detach()
    (text,) = said
    assert text.startswith("an event of kailash was not recorded (TypeError: ")
    assert total(registry, "validation", "validation_total") == 2


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("SQL injection detected in query", "sql_injection"),
        ("Script injection: <script>", "code_injection"),
        ("Potentially dangerous command: rm", "code_injection"),
        ("Path traversal attempt detected: ../x", "path_traversal"),
        ("Credentials in a parameter, which is unsafe", "credential_exposure"),
        ("a potential attack", "security_violation"),
        ("", "security_violation"),
    ],
)
def test_the_type_of_a_violation_is_read_from_its_message(message: str, kind: str) -> None:
    assert violation_type(message) == kind


def test_a_runtime_without_the_hook_is_said_with_the_version(shelf: MetricsRegistry) -> None:
    with pytest.raises(ConfigurationError, match=r"kailash: version 2\.\S+ has a object without on_node_complete; .* 2\.65"):
        attach(object(), shelf)


def test_a_collector_of_that_name_that_is_another_is_refused(runtime: Any) -> None:
    registry = MetricsRegistry()
    registry.collector("security")
    with pytest.raises(ConfigurationError, match="SecurityMetrics"):
        attach(runtime, registry)
    assert "end_validation" not in vars(get_metrics_collector())


ATTACH = """
    from kailash_monitor.integrations.kailash import attach
    from kailash_monitor.errors import MonitoringError
    class Runtime:
        def on_node_complete(self, callback): ...
    try:
        attach(Runtime())
    except MonitoringError as error:
        print(type(error).__name__, error)
"""


def attached_in(folder: Path) -> str:
    """What a program says that has the packages of `folder` before others."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(Path(__file__).parents[1])))}
    command = [sys.executable, "-c", textwrap.dedent(ATTACH)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_where_kailash_is_not_installed_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "kailash.py").write_text("raise ModuleNotFoundError('none here', name='kailash')")
    assert attached_in(tmp_path) == (
        "MissingExtra watching workflows needs kailash[http-client]: pip install 'kailash-monitor[kailash]'\n"
    )


@pytest.mark.parametrize(
    ("module", "text", "seen"),
    [
        ("other.py", "", "no kailash.runtime.validation.metrics"),
        ("metrics.py", "", "no get_metrics_collector"),
        ("metrics.py", "class C: ...\ndef get_metrics_collector(): return C()", "a C without start_validation"),
    ],
)
def test_a_version_without_the_hooks_is_named(tmp_path: Path, module: str, text: str, seen: str) -> None:
    folder = tmp_path / "kailash" / "runtime" / "validation"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent, folder.parent.parent):
        (package / "__init__.py").touch()
    (folder / module).write_text(text)
    (tmp_path / "kailash-0.4.dist-info").mkdir()
    (tmp_path / "kailash-0.4.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: kailash\nVersion: 0.4\n")
    assert attached_in(tmp_path) == (
        f"ConfigurationError kailash: version 0.4 has {seen}; what is needed is in kailash 2.65\n"
    )
