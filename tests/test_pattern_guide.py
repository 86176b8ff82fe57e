"""The pattern guide is walked, section by section: each of its snippets is run as it stands there, and does what it says.

The code that runs is the guide's own, read from it. What had to be amended is stated with each, and is one of `Amendment`.
Finer effects of the same patterns are in test_guide.py.
"""

import ast
import asyncio
import builtins
import gc
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from kailash_monitor import alerts, blocking, metrics
from kailash_monitor.blocking import AlertManager
from kailash_monitor.metrics import (
    MetricsRegistry,
    PerformanceMetrics,
    SecurityMetrics,
    ValidationMetrics,
    get_metrics_registry,
    get_validation_metrics,
)

from served import Hook, ask, free_port, hook, until  # isort: skip
from smtp_server import HOST, mail_server  # isort: skip

pytestmark = [pytest.mark.real_time, pytest.mark.filterwarnings("ignore:.*LocalRuntime.execute:DeprecationWarning")]

GUIDE = Path(__file__).parents[2] / "shared" / "seed" / "monitoring-alerting-patterns.md"
if not GUIDE.exists():
    pytest.skip("../shared with the pattern guide is missing", allow_module_level=True)


class Amendment(Enum):
    """What a snippet may need to run: nothing else."""

    SPELLING = "kailash.monitoring is kailash_monitor here"
    BLOCKING = "it starts a manager where no event loop runs: kailash_monitor.blocking.AlertManager"
    AWAITED = "channel.send_notification(…) is awaited"
    GIVEN = "an import or an object that it takes for granted"
    PLACE = "a host or a path that does not exist"


# -- reading the guide -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Snippet:
    """One block of Python in the guide: the headings above it, its number below them, its text."""

    heading: str
    number: int
    text: str

    @property
    def key(self) -> tuple[str, int]:
        return self.heading, self.number


def read_guide(text: str) -> list[Snippet]:
    found: list[Snippet] = []
    headings: dict[int, str] = {}
    for match in re.finditer(r"^(#{2,}) ([^\n]+)$|^( *)```python\n(.*?)^\3```$", text, re.MULTILINE | re.DOTALL):
        if match[1]:
            headings = {level: title for level, title in headings.items() if level < len(match[1])} | {
                len(match[1]): match[2]
            }
        else:
            heading = " / ".join(headings.values())
            number = sum(one.heading == heading for one in found) + 1
            found.append(Snippet(heading, number, textwrap.dedent(match[4])))
    return found


SNIPPETS = {snippet.key: snippet for snippet in read_guide(GUIDE.read_text())}


# -- running it ------------------------------------------------------------------------------------------------------------


class Respelt(ast.NodeTransformer):
    """The names of this project for those of the guide."""

    def __init__(self) -> None:
        self.made: set[Amendment] = set()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if not (node.module or "").startswith("kailash.monitoring"):
            return node
        self.made.add(Amendment.SPELLING)
        return ast.ImportFrom(node.module.replace("kailash.monitoring", "kailash_monitor"), node.names, 0)  # type: ignore[union-attr]

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "send_notification":
            self.made.add(Amendment.AWAITED)
            return ast.Call(ast.Name("awaited", ast.Load()), [node], [])
        return node


@dataclass
class Run:
    """What it takes to run a snippet, and what came of it."""

    snippet: Snippet
    blocking: bool = False
    given: Mapping[str, object] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)
    made: set[Amendment] = field(default_factory=set)

    def tree(self) -> ast.Module:
        text = self.snippet.text
        for place, instead in self.places.items():
            assert place in text, f"{place!r} is not in the snippet"
            text = text.replace(place, instead)
        respelt = Respelt()
        tree: ast.Module = respelt.visit(ast.parse(text))
        self.made = (
            respelt.made | ({Amendment.PLACE} if self.places else set()) | ({Amendment.GIVEN} if self.given else set())
        )
        return ast.fix_missing_locations(tree)

    def go(self) -> dict[str, Any]:
        tree = self.tree()
        missing = self._missing(tree)
        assert not self.given.keys() - missing, f"given and not asked for: {self.given.keys() - missing}"
        self.names = {"__name__": "guide", "awaited": _awaited, **self.given}
        with self._blocking():
            exec(compile(tree, str(GUIDE), "exec"), self.names)
        return self.names

    @contextmanager
    def _blocking(self) -> Iterator[None]:
        """While it is imported, the manager is the one for programs without a loop."""
        if not self.blocking:
            yield
            return
        self.made.add(Amendment.BLOCKING)
        vars(alerts)["AlertManager"] = blocking.AlertManager
        try:
            yield
        finally:
            vars(alerts)["AlertManager"] = alerts_manager

    @staticmethod
    def _missing(tree: ast.Module) -> set[str]:
        """The names that are read and never made."""
        made = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                made |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                made.add(node.name)
        read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        return {name for name in read - made if not hasattr(builtins, name)} | {
            name for name in read & made if name in _ASKED_BEFORE_MADE
        }


alerts_manager = alerts.AlertManager
_ASKED_BEFORE_MADE = {"alert_manager", "logger", "registry", "validation_metrics"}


def _awaited(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


TESTS: dict[tuple[str, int], tuple[str, frozenset[Amendment]]] = {}
"""The snippets of the guide, each with its test and the amendments that it needs."""


def of_the_guide(heading: str, number: int = 1, *amendments: Amendment) -> Callable[[Any], Any]:
    """Mark the test of a snippet. It is handed `run`, which runs the snippet and sees that just these amendments are made."""

    def mark(test: Any) -> Any:
        key = (heading, number)
        assert key not in TESTS, f"{key} has two tests"
        TESTS[key] = (test.__name__, frozenset(amendments))
        return pytest.mark.parametrize("run", [_runner(key, frozenset(amendments))], ids=[f"{heading} {number}"])(test)

    return mark


def _runner(key: tuple[str, int], amendments: frozenset[Amendment]) -> Callable[..., dict[str, Any]]:
    def run(*, given: Mapping[str, object] | None = None, places: Mapping[str, str] | None = None) -> dict[str, Any]:
        it = Run(SNIPPETS[key], Amendment.BLOCKING in amendments, given or {}, places or {})
        names = it.go()
        assert it.made == amendments, f"amended by {it.made}, said {amendments}"
        return names

    return run


def test_every_snippet_of_the_guide_has_a_test_and_every_test_a_snippet() -> None:
    assert TESTS.keys() == SNIPPETS.keys()


# -- what the snippets work on ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def fresh_shared_registry() -> Iterator[MetricsRegistry]:
    """The registry that all snippets share, without what others recorded; managers that they leave running are stopped."""
    registry = get_metrics_registry()
    kinds = {"validation": ValidationMetrics, "security": SecurityMetrics, "performance": PerformanceMetrics}
    for name in registry.get_all_collectors().keys() - {"monitor"}:
        registry.unregister_collector(name)
    for name, kind in kinds.items():
        registry.register_collector(name, kind())
    yield registry
    for kind in (AlertManager, alerts_manager):
        for thing in gc.get_objects():
            if type(thing) is kind and thing.running:
                thing.stop()


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as one:
        yield one


def firing(manager: Any, *ids: str) -> bool:
    """Whether these come to fire within some seconds."""
    until(lambda: sorted(a.id for a in manager.get_active_alerts()) == sorted(ids), 20, what=manager.get_active_alerts)
    return True


# -- core components


@of_the_guide("Core Components / 1. Metrics Collection", 1, Amendment.SPELLING)
def test_the_collectors_are_there_from_the_start(run: Any) -> None:
    names = run()
    kinds = [type(names[f"{name}_metrics"]) for name in ("validation", "security", "performance")]
    assert kinds == [ValidationMetrics, SecurityMetrics, PerformanceMetrics]
    assert names["validation_metrics"].registry is names["registry"] is get_metrics_registry()


@of_the_guide("Core Components / 2. Alert Management", 1, Amendment.SPELLING, Amendment.GIVEN, Amendment.PLACE)
def test_a_manager_takes_rules_and_channels(run: Any) -> None:
    rule = metrics and alerts.AlertRule("r", "Rule", "error", "m", "> 1")
    manager = run(given={"registry": get_metrics_registry(), "a_rule": rule}, places={"AlertRule(...)": "a_rule"})[
        "alert_manager"
    ]
    assert list(manager.rules) == ["r"]
    assert [type(one).__name__ for one in manager.notification_channels] == ["LogNotificationChannel"]


# -- basic monitoring setup


@of_the_guide("Basic Monitoring Setup / Simple Monitoring", 1, Amendment.SPELLING, Amendment.BLOCKING, Amendment.GIVEN)
def test_a_workflow_is_monitored(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec("kailash") is None:
        pytest.skip("kailash, from the extra 'kailash', is not installed")
    from kailash.workflow.builder import WorkflowBuilder

    workflow = WorkflowBuilder()
    workflow.add_node("PythonCodeNode", "answer", {"code": "result = 42"})
    for number in range(8):  # what the runtime records once it is attached: see test_kailash.py
        get_validation_metrics().record_validation_attempt("PythonCodeNode", number < 2, 1.0, cached=number == 0)
    names = run(given={"workflow": workflow})
    assert names["results"]["answer"] == {"result": 42}
    assert capsys.readouterr().out.endswith("Success rate: 25.00%\nCache hit rate: 12.50%\n")
    assert firing_once(names["alert_manager"]) == {"validation_failures_validation": 6}


def firing_once(manager: Any) -> dict[str, float]:
    """What fires after the first evaluation, which comes at once."""
    manager.start()
    until(manager.get_active_alerts, 20)
    manager.stop()
    return {alert.id: alert.value for alert in manager.get_active_alerts()}


# -- advanced monitoring patterns


@of_the_guide(
    "Advanced Monitoring Patterns / 1. Multi-Channel Alerting", 1, Amendment.SPELLING, Amendment.GIVEN, Amendment.PLACE
)
async def test_an_alert_goes_to_every_channel(run: Any, receiver: Hook, caplog: pytest.LogCaptureFixture) -> None:
    async with mail_server() as mails:
        names = run(
            given={"registry": get_metrics_registry(), "AlertManager": alerts.AlertManager},
            places={
                "https://hooks.slack.com/services/YOUR/WEBHOOK/URL": receiver.url,
                "https://api.company.com/alerts": receiver.url,
                "smtp.company.com": HOST,
                "587": str(mails.port),
                "use_tls=True": "use_tls=False",
                'username="alerts@company.com",': "",
                'password="secure_password",': "",
            },
        )
        manager = names["alert_manager"]
        manager.add_rule(alerts.AlertRule("busy", "Busy", "critical", "queue", "> 5"))
        get_metrics_registry().collector("jobs").set_gauge("queue", 9)
        async with manager:
            async with asyncio.timeout(15):
                while not (len(receiver.got) >= 1 and mails.mails and caplog.records):
                    await asyncio.sleep(0.02)
    assert list(manager.channels_by_name()) == ["log", "slack", "email", "webhook"]
    assert mails.mails[0].message["To"] == "devops@company.com, security@company.com"
    assert [record.levelname for record in caplog.records if record.name == "kailash_monitor.alerts"] == ["ERROR"]


@of_the_guide(
    "Advanced Monitoring Patterns / 2. Comprehensive Security Monitoring",
    1,
    Amendment.SPELLING,
    Amendment.GIVEN,
    Amendment.BLOCKING,
)
def test_security_is_monitored(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = run(given={"AlertManager": AlertManager})
    assert capsys.readouterr().out == "Violation rate: 0.02 per minute\nCritical violations (24h): 1\n"
    names["alert_manager"].start()
    assert firing(names["alert_manager"], "critical_security_violations_security", "sql_injection_attempts_security")


@of_the_guide(
    "Advanced Monitoring Patterns / 3. Performance Monitoring", 1, Amendment.SPELLING, Amendment.GIVEN, Amendment.BLOCKING
)
def test_performance_is_monitored(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = run(given={"AlertManager": AlertManager})
    printed = re.fullmatch(r"95th percentile response time: ([\d.]+)ms\n", capsys.readouterr().out)
    assert printed is not None
    assert float(printed[1]) == pytest.approx(1500, rel=0.022)
    names["alert_manager"].start()
    assert firing(names["alert_manager"], "high_error_rate_performance")  # one of two failed; their average is 812 ms


# -- metrics export and integration


@of_the_guide("Metrics Export & Integration / 1. JSON Export", 1, Amendment.SPELLING)
def test_metrics_are_exported_as_json(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    get_validation_metrics().record_validation_attempt("PythonCodeNode", True, 12.5)
    names = run()
    printed = capsys.readouterr().out
    assert "Collector: validation\n" in printed
    assert "  validation_total: 1" in printed
    assert json.loads(names["json_metrics"])["validation"]["validation_success"]["latest_value"] == 1


@of_the_guide("Metrics Export & Integration / 2. Prometheus Export", 1, Amendment.GIVEN)
def test_metrics_are_exported_for_prometheus_as_the_example_output_says(
    run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(42):
        get_validation_metrics().record_validation_attempt("PythonCodeNode", True, 12.5)
    run(given={"registry": get_metrics_registry()})
    printed = capsys.readouterr().out.splitlines()
    expected = re.findall(
        r"^# (# HELP .*|# TYPE .*|kailash_.*)$",
        SNIPPETS["Metrics Export & Integration / 2. Prometheus Export", 1].text,
        re.MULTILINE,
    )
    assert len(expected) == 3
    assert [line for line in expected if line not in printed] == []


@of_the_guide("Metrics Export & Integration / 3. Custom Metrics Collection", 1, Amendment.SPELLING, Amendment.GIVEN)
def test_a_collector_of_ones_own_is_exported(run: Any) -> None:
    run(given={"registry": get_metrics_registry()})
    page = get_metrics_registry().export_metrics("prometheus")
    assert 'kailash_custom_workflow_execution_time_seconds_sum{workflow_type="etl"} 2.5\n' in page
    assert "kailash_custom_active_users 42\n" in page


# -- production deployment patterns


@of_the_guide(
    "Production Deployment Patterns / 1. Centralized Monitoring",
    1,
    Amendment.SPELLING,
    Amendment.BLOCKING,
    Amendment.GIVEN,
    Amendment.PLACE,
)
def test_monitoring_is_centralized(run: Any, receiver: Hook, tmp_path: Path) -> None:
    log, root = tmp_path / "alerts.log", logging.getLogger()
    before, level = list(root.handlers), root.level
    root.handlers = []  # as at the start of a program
    try:
        names = run(
            given={
                "AlertManager": AlertManager,
                "registry": get_metrics_registry(),
                "LogNotificationChannel": alerts.LogNotificationChannel,
                "slack_channel": alerts.SlackNotificationChannel(receiver.url),
                "email_channel": alerts.WebhookNotificationChannel(receiver.url, name="email"),
            },
            places={"/var/log/kailash/alerts.log": str(log)},
        )
        get_metrics_registry().collector("performance").set_gauge("memory_usage", 95.0)
        names["alert_manager"].stop()
        names["alert_manager"].start()
        assert firing(names["alert_manager"], "high_memory_usage_performance")
        until(lambda: len(receiver.got) + len(receiver.refused) >= 2)
        until(lambda: "FIRING" in log.read_text())
        names["alert_manager"].stop()
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers, root.level = before, level
    assert re.search(r"- kailash_monitor\.alerts - ERROR - FIRING", log.read_text())
    assert len(names["alert_manager"].rules) == 5


@of_the_guide("Production Deployment Patterns / 2. Health Check Integration", 1, Amendment.SPELLING)
def test_a_flask_site_says_whether_it_is_healthy(run: Any) -> None:
    if importlib.util.find_spec("flask") is None:
        pytest.skip("flask, from the extra 'flask', is not installed")
    from werkzeug.serving import make_server

    app = run()["app"]
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/health"
        assert json.loads(ask(url)) == {"status": "healthy"}
        metrics.get_security_metrics().record_security_violation("sql", metrics.MetricSeverity.CRITICAL, "Node")
        assert json.loads(ask(url)) == {"status": "unhealthy", "reason": "Critical security violations"}
        get_validation_metrics().record_validation_attempt("Node", False, 1.0)
        assert json.loads(ask(url)) == {"status": "unhealthy", "reason": "High validation failure rate"}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@of_the_guide("Production Deployment Patterns / 3. Metrics Dashboard Integration", 1, Amendment.SPELLING)
def test_a_thread_collects_metrics_for_a_dashboard(run: Any) -> None:
    exported: list[str] = []
    registry = get_metrics_registry()
    export = registry.export_metrics
    registry.export_metrics = lambda format: exported.append(export(format)) or exported[-1]  # type: ignore[method-assign,misc,assignment,func-returns-value]  # it is seen, and done
    try:
        thread = run()["collector_thread"]
        until(lambda: exported)
    finally:
        del registry.export_metrics
    assert thread.daemon
    assert thread.is_alive()  # it sleeps until the next time
    assert json.loads(exported[0]).keys() >= {"validation", "security", "performance"}


# -- alert management


@of_the_guide("Alert Management / 1. Alert Lifecycle", 1, Amendment.GIVEN)
def test_alerts_are_listed_silenced_and_acknowledged(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, str]] = []
    manager = AlertManager(get_metrics_registry())
    manager.add_notification_channel(lambda alert, context: told.append((str(context["kind"]), alert.id)))
    for name, metric in (
        ("high_validation_failures", "validation_failure"),
        ("security_violations", "security_violations_total"),
    ):
        manager.add_rule(
            alerts.AlertRule(name, name, "error", metric, "> 0", evaluation_interval="50ms", notification_interval="200ms")
        )
    with manager:
        get_validation_metrics().record_validation_attempt("Node", False, 1.0)
        metrics.get_security_metrics().record_security_violation("sql", metrics.MetricSeverity.HIGH, "Node")
        until(lambda: len(told) >= 2)
        names = run(given={"alert_manager": manager})
        said = len(told)
        time.sleep(0.6)
        assert len(told) <= said + 1  # one may have been under way
        statuses = {alert.id: alert.status.value for alert in names["all_alerts"]}
    assert statuses == {"high_validation_failures_validation": "silenced", "security_violations_security": "acknowledged"}
    printed = capsys.readouterr().out
    assert printed.count("Alert: ") == 2
    assert printed.count("Status: firing\n") == 2
    assert len(re.findall(r"Fired at: \d{4}-\d\d-\d\d", printed)) == 2


@of_the_guide("Alert Management / 2. Custom Alert Rules", 1, Amendment.GIVEN)
def test_a_rule_of_ones_own_tells_of_revenue(run: Any) -> None:
    manager, told = AlertManager(get_metrics_registry()), list[Any]()
    manager.add_notification_channel(lambda alert, _: told.append(alert))
    get_metrics_registry().collector("shop").set_gauge("revenue_per_minute", 900)
    run(given={"alert_manager": manager, "AlertRule": alerts.AlertRule, "AlertSeverity": alerts.AlertSeverity})
    with manager:
        until(lambda: told)
    assert (told[0].id, told[0].labels["team"], told[0].labels["priority"]) == (
        "custom_business_metric_shop",
        "business",
        "high",
    )
    assert told[0].annotations["runbook"] == "https://wiki.company.com/revenue-alerts"


# -- best practices


@of_the_guide("Best Practices / 1. Monitoring Configuration", 1, Amendment.GIVEN)
def test_rules_are_made_from_a_configuration(run: Any) -> None:
    manager = AlertManager(get_metrics_registry())
    given = {
        "alert_manager": manager,
        "AlertRule": alerts.AlertRule,
        "AlertSeverity": alerts.AlertSeverity,
        "timedelta": timedelta,
    }
    run(given=given)
    for number in range(10):
        get_validation_metrics().record_validation_attempt("Node", number < 9, 1.0)  # 90 %, and 95 are asked for
    metrics.get_security_metrics().record_security_violation("sql", metrics.MetricSeverity.LOW, "Node")
    with manager:
        assert firing(manager, "low_success_rate_validation", "security_violations_security")
        assert [a.title for a in manager.get_active_alerts() if a.rule_name == "low_success_rate"] == ["Low success rate"]
    assert manager.rules["security_violations"].notification_interval == 300


@of_the_guide("Best Practices / 2. Error Handling", 1, Amendment.GIVEN)
def test_a_setup_that_fails_leaves_the_program_running(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    given = {
        "get_metrics_registry": get_metrics_registry,
        "AlertManager": AlertManager,
        "create_default_alert_rules": alerts.create_default_alert_rules,
        "LogNotificationChannel": alerts.LogNotificationChannel,
    }
    manager = run(given=given)["alert_manager"]
    assert manager.running
    assert len(manager.rules) == 5
    assert "Monitoring initialized successfully" in caplog.text
    caplog.clear()
    assert run(given=given | {"AlertManager": alerts.AlertManager})["alert_manager"] is None  # no event loop runs here
    assert "Failed to initialize monitoring: AlertManager.start() needs a running event loop" in caplog.text
    assert "Running without monitoring" in caplog.text


@of_the_guide("Best Practices / 3. Resource Management", 1, Amendment.GIVEN)
def test_the_manager_is_stopped_at_exit(run: Any) -> None:
    script = f"""
        import logging, sys
        from kailash_monitor.blocking import AlertManager
        from kailash_monitor.metrics import get_metrics_registry
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        logger, registry = logging.getLogger(), get_metrics_registry()
        exec(compile({SNIPPETS["Best Practices / 3. Resource Management", 1].text!r}, "guide", "exec"))
        print(alert_manager.running)
    """
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\nMonitoring stopped gracefully\n", "")
    logger = logging.getLogger("guide")
    names = run(given={"AlertManager": AlertManager, "registry": get_metrics_registry(), "logger": logger})
    assert names["alert_manager"].running


# -- integration examples


@of_the_guide("Integration Examples / 1. FastAPI Integration", 1, Amendment.SPELLING, Amendment.GIVEN)
def test_a_fastapi_service_has_its_pages(run: Any) -> None:
    for package in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package}, from the extra 'fastapi', is not installed")
    import uvicorn
    from fastapi import Response

    app = run(given={"Response": Response, "get_validation_metrics": get_validation_metrics})["app"]
    get_validation_metrics().record_validation_attempt("PythonCodeNode", True, 12.5)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        url = f"http://127.0.0.1:{port}"
        assert 'kailash_validation_validation_total{node_type="PythonCodeNode"} 1' in ask(f"{url}/metrics")
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
        assert json.loads(json.loads(ask(f"{url}/metrics/json"))).keys() >= {"validation"}  # a text, as it is written
        assert json.loads(ask(f"{url}/health")) == {"status": "healthy", "success_rate": 1.0}
        get_validation_metrics().record_validation_attempt("PythonCodeNode", False, 12.5)
        assert json.loads(ask(f"{url}/health")) == {"status": "unhealthy", "success_rate": 0.5}
    finally:
        server.should_exit = True
        thread.join()


SITE = """
    import gc, json, os, sys
    os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
    import django
    from django.core.wsgi import get_wsgi_application
    application = get_wsgi_application()
    from wsgiref.simple_server import make_server
    make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
"""

URLS = """
    import gc
    from django.http import JsonResponse
    from django.urls import path
    from kailash_monitor.engine import AlertManager  # what the blocking one, of which nobody keeps hold, has at work
    from kailash_monitor.metrics import get_validation_metrics

    def fail(request):
        get_validation_metrics().record_validation_attempt("Node", False, 1.0)
        return JsonResponse({})

    def alerts(request):
        (manager,) = [thing for thing in gc.get_objects() if type(thing) is AlertManager]
        return JsonResponse({"running": manager.running, "severities": {a.id: a.severity.value for a in manager.get_active_alerts()}})

    urlpatterns = [path("fail", fail), path("alerts", alerts)]
"""


@of_the_guide("Integration Examples / 2. Django Integration", 1, Amendment.SPELLING, Amendment.BLOCKING, Amendment.GIVEN)
def test_a_django_site_is_monitored_from_its_settings(run: Any, tmp_path: Path) -> None:
    """The three files of the snippet, in a site of their own, asked over HTTP."""
    if importlib.util.find_spec("django") is None:
        pytest.skip("django, from the extra 'django', is not installed")
    text = SNIPPETS["Integration Examples / 2. Django Integration", 1].text
    _, settings, monitoring, apps = re.split(r"^# (?:settings|monitoring|apps)\.py\n", text, flags=re.MULTILINE)
    monitoring = monitoring.replace(
        "from kailash.monitoring.alerts import AlertManager, AlertRule, AlertSeverity",
        "from kailash_monitor.blocking import AlertManager\nfrom kailash_monitor.alerts import AlertRule, AlertSeverity\n"
        "from kailash_monitor.metrics import get_metrics_registry",
    )
    assert "kailash.monitoring" not in monitoring
    package = tmp_path / "myapp"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "monitoring.py").write_text(monitoring)
    (package / "apps.py").write_text(
        apps.replace("class MyAppConfig(AppConfig):\n", 'class MyAppConfig(AppConfig):\n    name = "myapp"\n')
    )
    (tmp_path / "site_settings.py").write_text(
        "import os\nSECRET_KEY = 'x'\nALLOWED_HOSTS = ['*']\nROOT_URLCONF = 'site_urls'\n"
        "INSTALLED_APPS = ['myapp.apps.MyAppConfig']\n" + settings
    )
    (tmp_path / "site_urls.py").write_text(textwrap.dedent(URLS))
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[1]}"}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SITE), str(port)], env=environment, stderr=subprocess.PIPE
    ) as site:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(6):
                ask(f"{url}/fail")
            expected = {"running": True, "severities": {"high_validation_failures_validation": "error"}}
            until(lambda: json.loads(ask(f"{url}/alerts")) == expected, 20, what=lambda: ask(f"{url}/alerts"))
        finally:
            site.kill()
            site.communicate()
    with pytest.MonkeyPatch.context() as patch:
        _run_django_as_one(run, patch)


def _run_django_as_one(run: Any, patch: pytest.MonkeyPatch) -> None:
    """The snippet as one text, with settings that are its own."""
    import types

    settings: Any = types.ModuleType("django.conf")
    settings.settings = types.SimpleNamespace(KAILASH_MONITORING={"ENABLED": False})
    patch.setitem(sys.modules, "django.conf", settings)
    names = run(given={"os": os, "get_metrics_registry": get_metrics_registry})
    settings.settings.KAILASH_MONITORING = names["KAILASH_MONITORING"]
    manager = names["setup_django_monitoring"]()
    assert manager.running
    assert list(manager.rules) == ["high_validation_failures"]
    settings.settings.KAILASH_MONITORING = {"ENABLED": False}
    assert names["setup_django_monitoring"]() is None


# -- troubleshooting


@of_the_guide("Troubleshooting / Common Issues", 1, Amendment.GIVEN)
def test_why_a_manager_does_not_start_is_logged(run: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    manager = AlertManager(get_metrics_registry(), store=tmp_path / "nowhere" / "alerts.db")
    run(given={"alert_manager": manager, "logger": logging.getLogger("guide")})
    (said,) = [record.getMessage() for record in caplog.records if record.name == "guide"]
    assert said.startswith("Failed to start alert manager: ")
    assert "nowhere" in said


@of_the_guide("Troubleshooting / Common Issues", 2, Amendment.GIVEN)
def test_missing_metrics_are_looked_for_among_the_collectors(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(given={"get_metrics_registry": get_metrics_registry})
    printed = capsys.readouterr().out
    assert printed.startswith("Registered collectors: [")
    assert all(repr(name) in printed for name in ("validation", "security", "performance"))


@of_the_guide("Troubleshooting / Common Issues", 3, Amendment.AWAITED, Amendment.GIVEN)
def test_a_channel_is_tried_by_hand(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("LogNotificationChannel", "Alert", "AlertSeverity")
    run(given={name: getattr(alerts, name) for name in names})
    assert capsys.readouterr().out == "Notification result: True\n"


@of_the_guide("Troubleshooting / Performance Tuning", 1, Amendment.GIVEN)
def test_series_are_limited(run: Any) -> None:
    given = {"MetricsRegistry": MetricsRegistry, "ValidationMetrics": ValidationMetrics, "AlertManager": AlertManager}
    names = run(given=given)
    collector = names["validation_metrics"]
    for number in range(100):
        collector.record_validation_attempt(f"Node{number}", True, 1.0)
    total = collector.get_metric("validation_total")
    assert len(total.series) == 51  # fifty, and one that counts the others
    assert total.get_latest_value() == 100
    assert alerts.AlertRule("r", "R", "error", "m", "> 1").evaluation_interval == 10
