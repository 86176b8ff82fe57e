"""Every snippet of the pattern guide runs, and does what its text and comments say.

The code that runs is the guide's own, taken from it, with the amendments that are listed in `PATTERNS`. Tests that take no
snippet speak of what the guide says of the same things in words.
"""

import ast
import asyncio
import hashlib
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
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import trustme
from aiohttp import web

from kailash_monitor.alerts import (
    Alert,
    AlertManager,
    AlertRule,
    AlertSeverity,
    AlertStatus,
    EmailNotificationChannel,
    LogNotificationChannel,
    SlackNotificationChannel,
    WebhookNotificationChannel,
    create_default_alert_rules,
)
from kailash_monitor.blocking import AlertManager as BlockingAlertManager
from kailash_monitor.channels import from_mapping
from kailash_monitor.errors import ChannelError
from kailash_monitor.metrics import (
    MetricSeverity,
    MetricsRegistry,
    PerformanceMetrics,
    SecurityMetrics,
    ValidationMetrics,
    get_metrics_registry,
    get_security_metrics,
    get_validation_metrics,
)
from kailash_monitor.testing import EPOCH, RecordingChannel, VirtualClock

from served import ask, free_port, started  # isort: skip
from smtp_server import HOST, MailServer, mail_server  # isort: skip

GUIDE = Path(__file__).parents[2] / "shared" / "seed" / "monitoring-alerting-patterns.md"


# -- what is amended


class Amendment(Enum):
    """What may keep a snippet from running as it stands; there is nothing else."""

    SPELLING = "DESIGN 10: kailash.monitoring is kailash_monitor"
    BLOCKING = "DESIGN 10: the manager is that of kailash_monitor.blocking where one is started without a running loop"
    AWAITED = "DESIGN 10: channel.send_notification is awaited"
    TAKEN_FOR_GRANTED = "an import or an object that the snippet does not have"
    NOWHERE = "a host or a path that does not exist"


@dataclass(frozen=True)
class Change:
    """One substitution in the text of a snippet; an empty `old` is its beginning."""

    because: Amendment
    old: str
    new: str


SPELT = Change(Amendment.SPELLING, "from kailash.monitoring.", "from kailash_monitor.")
BLOCKING = Change(Amendment.BLOCKING, "", "from kailash_monitor.blocking import AlertManager")
BLOCKING_INSTEAD = Change(
    Amendment.BLOCKING,
    "from kailash_monitor.alerts import AlertManager, AlertRule, AlertSeverity\n",
    "from kailash_monitor.alerts import AlertRule, AlertSeverity\nfrom kailash_monitor.blocking import AlertManager\n",
)


def importing(*lines: str) -> Change:
    return Change(Amendment.TAKEN_FOR_GRANTED, "", "\n".join(lines))


def nowhere(old: str, name: str) -> Change:
    """What is there instead, under a name that the test gives."""
    return Change(Amendment.NOWHERE, old, name)


def allowed(change: Change) -> bool:
    """Whether a change does what its reason says, and no more."""
    match change.because:
        case Amendment.SPELLING:
            return change == SPELT
        case Amendment.BLOCKING:
            return _imported(change.new) == _imported(change.old) | {"AlertManager"}
        case Amendment.AWAITED:
            return (change.old, change.new) == ("channel.send_notification(", "await channel.send_notification(")
        case Amendment.NOWHERE:
            return _is_literal(change.old) and change.new.isidentifier()
        case Amendment.TAKEN_FOR_GRANTED if not change.old:
            return all(isinstance(line, ast.Import | ast.ImportFrom) for line in ast.parse(change.new).body)
        case Amendment.TAKEN_FOR_GRANTED:  # it adds to what is there, or fills in what the guide elides
            return change.new.startswith(change.old) or change.new.replace("**rule", "...") == change.old


def _imported(text: str) -> set[str]:
    lines = ast.parse(text).body
    assert all(isinstance(line, ast.ImportFrom) for line in lines), text
    return {alias.name for line in lines if isinstance(line, ast.ImportFrom) for alias in line.names}


def _is_literal(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), str | int)
    except (ValueError, SyntaxError):
        return False


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A snippet: what its text is (the beginning of its SHA-256), its tests, and what it takes to run.

    What is `given` are objects that it takes for granted.
    """

    text: str
    tests: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    given: tuple[str, ...] = ()


PATTERNS = {
    "Core Components / 1. Metrics Collection": Pattern(
        text="f3aa36ab",
        tests=("test_the_global_collectors_are_those_of_the_global_registry",),
        changes=(SPELT,),
    ),
    "Core Components / 2. Alert Management": Pattern(
        text="e3fbd408",
        tests=("test_a_manager_is_made_and_takes_rules_and_channels",),
        changes=(SPELT, Change(Amendment.TAKEN_FOR_GRANTED, "AlertRule(...)", "AlertRule(**rule)")),
        given=("registry", "rule"),
    ),
    "Basic Monitoring Setup / Simple Monitoring": Pattern(
        text="ce3d1164",
        tests=("test_simple_monitoring_of_a_workflow", "test_simple_monitoring_of_a_workflow_inside_a_coroutine"),
        changes=(SPELT, BLOCKING_INSTEAD),
        given=("workflow",),
    ),
    "Advanced Monitoring Patterns / 1. Multi-Channel Alerting": Pattern(
        text="6be49485",
        tests=(
            "test_multi_channel_alerting_takes_what_the_guide_gives",
            "test_an_alert_that_fires_and_resolves_reaches_all_channels_of_the_guide",
        ),
        changes=(
            SPELT,
            importing("from kailash_monitor.alerts import AlertManager"),
            nowhere('"https://hooks.slack.com/services/YOUR/WEBHOOK/URL"', "slack_url"),
            nowhere('"smtp.company.com"', "smtp_host"),
            nowhere("587", "smtp_port"),
            nowhere('"https://api.company.com/alerts"', "alerts_url"),
        ),
        given=("registry",),
    ),
    "Advanced Monitoring Patterns / 2. Comprehensive Security Monitoring": Pattern(
        text="4544588d",
        tests=("test_comprehensive_security_monitoring",),
        changes=(SPELT, importing("from kailash_monitor.alerts import AlertManager")),
    ),
    "Advanced Monitoring Patterns / 3. Performance Monitoring": Pattern(
        text="db10fa7b",
        tests=("test_performance_monitoring",),
        changes=(SPELT, importing("from kailash_monitor.alerts import AlertManager")),
    ),
    "Metrics Export & Integration / 1. JSON Export": Pattern(
        text="71c2644f", tests=("test_json_export_lists_what_every_collector_has",), changes=(SPELT,)
    ),
    "Metrics Export & Integration / 2. Prometheus Export": Pattern(
        text="810749a4", tests=("test_prometheus_export_is_as_the_guide_shows_it",), given=("registry",)
    ),
    "Metrics Export & Integration / 3. Custom Metrics Collection": Pattern(
        text="bf3a12bf", tests=("test_custom_metrics_are_collected",), changes=(SPELT,), given=("registry",)
    ),
    "Production Deployment Patterns / 1. Centralized Monitoring": Pattern(
        text="a4c2ac8b",
        tests=("test_centralized_monitoring_in_a_program_of_its_own",),
        changes=(
            SPELT,
            BLOCKING,
            importing("from kailash_monitor.alerts import LogNotificationChannel"),
            nowhere("'/var/log/kailash/alerts.log'", "log_file"),
        ),
        given=("registry", "slack_channel", "email_channel"),
    ),
    "Production Deployment Patterns / 2. Health Check Integration": Pattern(
        text="cbf42e4a", tests=("test_a_flask_site_answers_a_load_balancer",), changes=(SPELT,)
    ),
    "Production Deployment Patterns / 3. Metrics Dashboard Integration": Pattern(
        text="be9cab7d", tests=("test_a_daemon_collects_metrics_every_30_seconds",), changes=(SPELT,)
    ),
    "Alert Management / 1. Alert Lifecycle": Pattern(
        text="48281b24",
        tests=("test_alert_lifecycle", "test_alert_lifecycle_through_the_blocking_facade"),
        given=("alert_manager",),
    ),
    "Alert Management / 2. Custom Alert Rules": Pattern(
        text="e4e278f2",
        tests=("test_a_custom_alert_rule",),
        changes=(importing("from kailash_monitor.alerts import AlertRule, AlertSeverity"),),
        given=("alert_manager",),
    ),
    "Best Practices / 1. Monitoring Configuration": Pattern(
        text="7a01c7cc",
        tests=(
            "test_production_rules_tell_of_a_success_rate_below_95_percent",
            "test_production_rules_tell_of_violations_every_five_minutes",
        ),
        changes=(
            importing("from datetime import timedelta", "from kailash_monitor.alerts import AlertRule, AlertSeverity"),
        ),
        given=("alert_manager",),
    ),
    "Best Practices / 2. Error Handling": Pattern(
        text="2cacdcd0",
        tests=(
            "test_error_handling_in_a_program_without_a_loop",
            "test_error_handling_inside_a_coroutine",
            "test_error_handling_tells_of_the_manager_that_needs_a_loop",
            "test_error_handling_tells_of_what_cannot_be_added",
        ),
        changes=(BLOCKING,),
        given=("get_metrics_registry", "create_default_alert_rules", "LogNotificationChannel"),
    ),
    "Best Practices / 3. Resource Management": Pattern(
        text="a02deb24",
        tests=("test_resource_management_stops_at_exit",),
        changes=(BLOCKING,),
        given=("logger", "registry"),
    ),
    "Integration Examples / 1. FastAPI Integration": Pattern(
        text="662d075c",
        tests=("test_a_fastapi_service_has_its_endpoints",),
        changes=(
            SPELT,
            importing("from fastapi import Response", "from kailash_monitor.metrics import get_validation_metrics"),
        ),
    ),
    "Integration Examples / 2. Django Integration": Pattern(
        text="c8a84adc",
        tests=("test_a_django_site_is_monitored_as_its_settings_say",),
        changes=(
            SPELT,
            BLOCKING_INSTEAD,
            Change(Amendment.TAKEN_FOR_GRANTED, "# settings.py\n", "# settings.py\nimport os\n"),
            Change(
                Amendment.TAKEN_FOR_GRANTED,
                "# monitoring.py\n",
                "# monitoring.py\nfrom kailash_monitor.metrics import get_metrics_registry\n",
            ),
            Change(
                Amendment.TAKEN_FOR_GRANTED,
                "class MyAppConfig(AppConfig):\n",
                "class MyAppConfig(AppConfig):\n    name = 'shop'\n",
            ),
        ),
    ),
    "Troubleshooting / Common Issues (1)": Pattern(
        text="248e810a",
        tests=(
            "test_why_an_alert_manager_does_not_start_is_told",
            "test_a_store_that_cannot_be_opened_is_why_an_alert_manager_does_not_start",
        ),
        given=("alert_manager", "logger"),
    ),
    "Troubleshooting / Common Issues (2)": Pattern(
        text="bc1b42ed",
        tests=("test_missing_metrics_are_looked_for_among_the_collectors",),
        changes=(importing("from kailash_monitor.metrics import get_metrics_registry"),),
    ),
    "Troubleshooting / Common Issues (3)": Pattern(
        text="c9c64b5d",
        tests=("test_a_notification_failure_is_looked_for_by_hand",),
        changes=(
            importing("from kailash_monitor.alerts import Alert, AlertSeverity, LogNotificationChannel"),
            Change(Amendment.AWAITED, "channel.send_notification(", "await channel.send_notification("),
        ),
    ),
    "Troubleshooting / Performance Tuning": Pattern(
        text="db854183",
        tests=("test_performance_tuning",),
        changes=(importing("from kailash_monitor.alerts import AlertManager"),),
        given=("MetricsRegistry", "ValidationMetrics"),
    ),
}
"""Every snippet of the guide, in its order: under which headings it stands, its tests, its amendments."""


# -- how it runs

_PARTS = re.compile(r"^(#{2,3}) ([^\n]+)$|^( *)```python\n(.*?)^\3```$", re.MULTILINE | re.DOTALL)


@cache
def snippets() -> dict[str, str]:
    """The snippets of the guide by their headings; those that share one are numbered."""
    if not GUIDE.exists():
        pytest.skip("the pattern guide, ../shared/seed/monitoring-alerting-patterns.md, is not here")
    chapter = section = ""
    found: list[tuple[str, str]] = []
    for level, title, _, text in _PARTS.findall(GUIDE.read_text()):
        if level == "##":
            chapter, section = title, ""
        elif level:
            section = title
        else:
            found.append((f"{chapter} / {section}", textwrap.dedent(text)))
    headings = [heading for heading, _ in found]
    numbered = [f"{heading} ({headings[: n + 1].count(heading)})" for n, heading in enumerate(headings)]
    return {
        heading if headings.count(heading) == 1 else number: text
        for (heading, text), number in zip(found, numbered, strict=True)
    }


def amended(heading: str, *, but: Amendment | None = None) -> str:
    """The text of a snippet with its changes, `but` those for one reason."""
    text = snippets()[heading]
    for change in PATTERNS[heading].changes:
        if change.because is not but:
            assert change.old in text, f"{heading} has no {change.old!r} to be changed"
            text = text.replace(change.old, change.new) if change.old else f"{change.new}\n{text}"
        elif but is Amendment.BLOCKING and not change.old:
            text = f"{change.new.replace('kailash_monitor.blocking', 'kailash_monitor.alerts')}\n{text}"
    return text


def names_of(heading: str, but: Amendment | None = None) -> set[str]:
    """What a snippet is to be given."""
    pattern = PATTERNS[heading]
    places = {change.new for change in pattern.changes if change.because is Amendment.NOWHERE and but is not change.because}
    return {*pattern.given, *places}


def compiled(heading: str, but: Amendment | None = None) -> CodeType:
    text = amended(heading, but=but)
    code: CodeType = compile(text, f"<{heading}>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


def run(heading: str, *, but: Amendment | None = None, **given: object) -> Any:
    """Run a snippet with what it takes for granted, and give its names; where it awaits, what it gives is to be awaited."""
    assert given.keys() == names_of(heading, but), heading
    names: dict[str, Any] = {"__name__": "guide", **given}
    awaitable = eval(compiled(heading, but), names)

    async def names_then() -> dict[str, Any]:
        await awaitable
        return names

    return names if awaitable is None else names_then()


def program(heading: str, before: str, after: str) -> str:
    """A program of its own: what the snippet takes for granted, the snippet, and what is asked of it."""
    stored = {node.id for node in ast.walk(ast.parse(textwrap.dedent(before))) if isinstance(node, ast.Name)}
    assert names_of(heading) <= stored, heading
    return f"{textwrap.dedent(before)}\n{amended(heading)}\n{textwrap.dedent(after)}"


# -- the list


def test_the_list_has_every_snippet_of_the_guide_as_it_stands() -> None:
    there = {heading: hashlib.sha256(text.encode()).hexdigest()[:8] for heading, text in snippets().items()}
    assert there == {heading: pattern.text for heading, pattern in PATTERNS.items()}
    assert list(there) == list(PATTERNS)


def constants(found: object) -> Iterator[object]:
    """What stands in the code of a function, in functions within it and in tuples: where, is the business of the version."""
    for one in found.co_consts if isinstance(found, CodeType) else found if isinstance(found, tuple) else ():
        yield from constants(one)
        yield one


def test_every_snippet_has_its_tests_and_no_others() -> None:
    ours = {name: set(constants(it.__code__)) for name, it in globals().items() if name.startswith("test_")}
    for heading, pattern in PATTERNS.items():
        assert pattern.tests
        assert sorted(pattern.tests) == sorted(name for name, consts in ours.items() if heading in consts), heading


def test_every_amendment_is_on_the_list() -> None:
    for heading, pattern in PATTERNS.items():
        assert [change for change in pattern.changes if not allowed(change)] == [], heading
        read = {node.id for node in ast.walk(ast.parse(snippets()[heading])) if isinstance(node, ast.Name)}
        assert set(pattern.given) - {"rule"} <= read, heading  # the rule is what the guide elides


@pytest.mark.parametrize(
    "change",
    [
        Change(Amendment.SPELLING, "from kailash.monitoring.", "from elsewhere."),
        Change(Amendment.BLOCKING, "from kailash_monitor.alerts import AlertRule", "from elsewhere import AlertManager"),
        Change(Amendment.AWAITED, "alert_manager.start(", "await alert_manager.start("),
        Change(Amendment.TAKEN_FOR_GRANTED, "", "alert_manager.start()"),
        Change(Amendment.TAKEN_FOR_GRANTED, "threshold=5", "threshold=6"),
        Change(Amendment.NOWHERE, "use_tls=True", "use_tls"),
        Change(Amendment.NOWHERE, "'/var/log'", "'/tmp'"),
    ],
)
def test_another_amendment_is_refused(change: Change) -> None:
    assert not allowed(change)


# -- what the tests share


@pytest.fixture
def fresh_shared_registry() -> MetricsRegistry:
    """The shared registry, without what other tests recorded."""
    registry = get_metrics_registry()
    for name in registry.get_all_collectors().keys() - {"monitor"}:
        registry.unregister_collector(name)
    for name, kind in (
        ("validation", ValidationMetrics),
        ("security", SecurityMetrics),
        ("performance", PerformanceMetrics),
    ):
        registry.register_collector(name, kind())
    return registry


def needs(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package}, from the extra 'e2e', is not installed")


@dataclass
class Receiver:
    """A real HTTP server on this machine: what came to which path, and the headers; Slack's word for "taken" to all of it."""

    port: int = 0
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"

    def at(self, path: str) -> list[dict[str, Any]]:
        return [document for where, document in self.got if where == path]

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((request.path, await request.json()))
        self.authorizations.append(request.headers.get("Authorization"))
        return web.Response(text="ok")


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    it = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", it.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    it.port = runner.addresses[0][1]
    try:
        yield it
    finally:
        await runner.cleanup()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


def firing_at_once(manager: BlockingAlertManager) -> dict[str, float | None]:
    """What fires at the first evaluation after a start: no need to wait ten seconds for the next."""
    manager.start()
    try:
        deadline = time.monotonic() + 10
        while not manager.get_active_alerts() and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        manager.stop()
    return {alert.id: alert.value for alert in manager.get_active_alerts()}


async def firing_now(manager: AlertManager) -> set[str]:
    """The rules that fire at the first evaluation after a start."""
    async with manager:
        await asyncio.sleep(1)
        return {alert.rule_name for alert in manager.get_active_alerts()}


def said_by(records: list[logging.LogRecord], logger: str = "guide") -> list[str]:
    return [record.getMessage() for record in records if record.name == logger]


SLACK, ALERTS = "/services/YOUR/WEBHOOK/URL", "/alerts"


# -- core components


@pytest.mark.usefixtures("fresh_shared_registry")
def test_the_global_collectors_are_those_of_the_global_registry() -> None:
    names = run("Core Components / 1. Metrics Collection")
    collectors = {name: names[f"{name}_metrics"] for name in ("validation", "security", "performance")}
    assert names["registry"].get_all_collectors().items() >= collectors.items()
    assert [type(one) for one in collectors.values()] == [ValidationMetrics, SecurityMetrics, PerformanceMetrics]
    assert (
        run("Core Components / 1. Metrics Collection").items()
        >= {"registry": names["registry"], **{f"{name}_metrics": one for name, one in collectors.items()}}.items()
    )


def test_a_manager_is_made_and_takes_rules_and_channels() -> None:
    registry = MetricsRegistry()
    rule = {"name": "queue_long", "description": "d", "severity": "error", "metric_name": "queue", "condition": "> 5"}
    alert_manager = run("Core Components / 2. Alert Management", registry=registry, rule=rule)["alert_manager"]
    assert isinstance(alert_manager, AlertManager)
    assert alert_manager.metrics_registry is registry
    assert list(alert_manager.rules) == ["queue_long"]
    assert [type(channel) for channel in alert_manager.notification_channels] == [LogNotificationChannel]


# -- basic monitoring setup


@cache
def limited_node() -> str:
    """The name of a type of node that takes a number, and nothing that is none."""
    from kailash.nodes.base import Node, NodeParameter, register_node

    class LimitedNode(Node):
        def get_parameters(self) -> dict[str, NodeParameter]:
            return {"limit": NodeParameter(name="limit", type=int, required=False)}

        def run(self, **inputs: Any) -> dict[str, Any]:
            return {"result": inputs}

    register_node()(LimitedNode)
    return LimitedNode.__name__


def ten_validations_of_which_six_fail() -> Any:
    from kailash.workflow.builder import WorkflowBuilder

    workflow = WorkflowBuilder()
    for source, result in (("number", 5), ("word", "many")):
        workflow.add_node("PythonCodeNode", source, {"code": f"result = {result!r}"})
    for number in range(8):
        workflow.add_node(limited_node(), f"limited{number}", {})
        workflow.add_connection("number" if number < 2 else "word", "result", f"limited{number}", "limit")
    return workflow


@contextmanager
def workflows_recorded() -> Iterator[None]:
    """The validation of this program's workflows, in the shared registry."""
    from kailash.runtime.local import LocalRuntime

    from kailash_monitor.integrations.kailash import attach

    logging.getLogger("kailash").setLevel(logging.CRITICAL)  # it says at length what fails
    with LocalRuntime() as any_runtime:
        attached = attach(any_runtime)
        try:
            yield
        finally:
            attached.detach()
            logging.getLogger("kailash").setLevel(logging.NOTSET)


KAILASH_WARNS = pytest.mark.filterwarnings("ignore::DeprecationWarning:guide", "ignore:.*LocalRuntime:DeprecationWarning")
"""Of the runtime, which the guide does not close."""


@KAILASH_WARNS
@pytest.mark.usefixtures("fresh_shared_registry")
def test_simple_monitoring_of_a_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    """The workflow's failed validations are seen, and are more than five."""
    needs("kailash")
    with workflows_recorded():
        names = run("Basic Monitoring Setup / Simple Monitoring", workflow=ten_validations_of_which_six_fail())
    names["runtime"].close()
    assert isinstance(names["alert_manager"], BlockingAlertManager)
    assert not names["alert_manager"].running
    assert len(names["results"]) == 10
    assert names["run_id"]
    assert capsys.readouterr().out.endswith("Success rate: 40.00%\nCache hit rate: 0.00%\n")
    assert firing_at_once(names["alert_manager"]) == {"validation_failures_validation": 6}


@KAILASH_WARNS
@pytest.mark.real_time
@pytest.mark.usefixtures("fresh_shared_registry")
async def test_simple_monitoring_of_a_workflow_inside_a_coroutine(capsys: pytest.CaptureFixture[str]) -> None:
    needs("kailash")
    heading = "Basic Monitoring Setup / Simple Monitoring"
    with workflows_recorded():
        names = run(heading, but=Amendment.BLOCKING, workflow=ten_validations_of_which_six_fail())
    names["runtime"].close()
    alert_manager = names["alert_manager"]
    assert isinstance(alert_manager, AlertManager)
    await alert_manager.stop()
    assert capsys.readouterr().out.endswith("Success rate: 40.00%\nCache hit rate: 0.00%\n")
    async with alert_manager:
        await until(alert_manager.get_active_alerts)
    assert [(a.id, a.value) for a in alert_manager.get_active_alerts()] == [("validation_failures_validation", 6)]


# -- advanced monitoring patterns


def test_multi_channel_alerting_takes_what_the_guide_gives() -> None:
    heading = "Advanced Monitoring Patterns / 1. Multi-Channel Alerting"
    alert_manager = run(heading, but=Amendment.NOWHERE, registry=MetricsRegistry())["alert_manager"]
    assert list(alert_manager.channels_by_name()) == ["log", "slack", "email", "webhook"]
    assert repr(alert_manager.notification_channels) == (
        "[<LogNotificationChannel ERROR>, <SlackNotificationChannel #alerts>, "
        "<EmailNotificationChannel smtp.company.com:587 to 2>, <WebhookNotificationChannel api.company.com>]"
    )


@pytest.mark.real_time
async def test_an_alert_that_fires_and_resolves_reaches_all_channels_of_the_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The mail server asks for STARTTLS and the password."""
    caplog.set_level(logging.INFO)
    ca, authority = trustme.CA(), tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(authority))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))  # who vouches for a server on this machine
    registry = MetricsRegistry()
    mails = MailServer(passwords={"alerts@company.com": "secure_password"})
    async with receiver() as company, mail_server(mails, tls="starttls", ca=ca):
        alert_manager = run(
            "Advanced Monitoring Patterns / 1. Multi-Channel Alerting",
            registry=registry,
            slack_url=company.url(SLACK),
            smtp_host=HOST,
            smtp_port=mails.port,
            alerts_url=company.url(ALERTS),
        )["alert_manager"]
        rule = AlertRule("queue_long", "Too much waits", "critical", "queue", "> 5", evaluation_interval=0.02)
        alert_manager.add_rule(rule)
        async with alert_manager:
            for value, times in ((9, 1), (1, 2)):
                registry.collector("app").set_gauge("queue", value)
                await until(lambda n=times: len(company.got) == 2 * n and len(mails.mails) == n)

    logged = [record for record in caplog.records if record.name == "kailash_monitor.alerts"]
    assert [(record.levelname, record.getMessage().split()[0]) for record in logged] == [
        ("ERROR", "FIRING"), ("ERROR", "RESOLVED"),
    ]  # fmt: skip
    assert [(message["channel"], message["text"]) for message in company.at(SLACK)] == [
        ("#alerts", "FIRING [critical] Queue long"), ("#alerts", "RESOLVED [critical] Queue long"),
    ]  # fmt: skip
    to = ["devops@company.com", "security@company.com"]
    assert [(mail.sender, mail.recipients, mail.message["Subject"]) for mail in mails.mails] == [
        ("kailash-alerts@company.com", to, "[FIRING] critical: Queue long"),
        ("kailash-alerts@company.com", to, "[RESOLVED] critical: Queue long"),
    ]
    assert mails.logins == [("PLAIN", "alerts@company.com", True)] * 2
    assert [(each["context"]["kind"], each["alert"]["id"], each["alert"]["status"]) for each in company.at(ALERTS)] == [
        ("firing", "queue_long_app", "firing"), ("resolved", "queue_long_app", "resolved"),
    ]  # fmt: skip
    assert sorted(filter(None, company.authorizations)) == ["Bearer YOUR_API_TOKEN"] * 2


@pytest.mark.usefixtures("fresh_shared_registry")
async def test_comprehensive_security_monitoring(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("Advanced Monitoring Patterns / 2. Comprehensive Security Monitoring")
    assert capsys.readouterr().out == "Violation rate: 0.02 per minute\nCritical violations (24h): 1\n"
    assert (names["violation_rate"], names["critical_violations"]) == (1 / 60, 1)
    security = names["security_metrics"]
    assert security.recent_events()[-1].details == {"query": "'; DROP TABLE users; --"}
    assert "DROP TABLE" not in get_metrics_registry().export_metrics("json")

    assert await firing_now(names["alert_manager"]) == {
        "critical_security_violations",
        "sql_injection_attempts",
    }  # one is not more than ten
    for _ in range(10):
        security.record_blocked_connection("untrusted_source", "database", "SQL injection detected")
    assert await firing_now(names["alert_manager"]) == {
        "critical_security_violations",
        "sql_injection_attempts",
        "high_blocked_connections",
    }


@pytest.mark.usefixtures("fresh_shared_registry")
async def test_performance_monitoring(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("Advanced Monitoring Patterns / 3. Performance Monitoring")
    performance_metrics = names["performance_metrics"]
    assert names["p95_response_time"] == pytest.approx(1500.0, rel=0.022)
    assert re.fullmatch(r"95th percentile response time: 1\d\d\d\.\d\dms\n", capsys.readouterr().out)
    values = {name: metric.get_latest_value() for name, metric in performance_metrics.get_all_metrics().items()}
    assert values["response_time"] == 1500.0
    assert (values["slow_operations"], values["error_rate"]) == (1, 50.0)
    assert (values["cpu_usage"], values["throughput"]) == (75.0, 150.0)
    assert values["memory_used"] == 512 * 2**20

    # half of the operations failed; they took 813 ms on average, and 512 MB are not 90 % of this machine
    assert await firing_now(names["alert_manager"]) == {"high_error_rate"}
    for _ in range(4):
        performance_metrics.record_operation("database_query", 1500.0)
    assert await firing_now(names["alert_manager"]) == {"high_error_rate", "high_response_time"}


# -- metrics export and integration


@pytest.mark.usefixtures("fresh_shared_registry")
def test_json_export_lists_what_every_collector_has(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(42):
        get_validation_metrics().record_validation_attempt("PythonCodeNode", True, 12.5)
    names = run("Metrics Export & Integration / 1. JSON Export")
    told = capsys.readouterr().out
    assert told.startswith(names["json_metrics"] + "\n")
    assert json.loads(names["json_metrics"]) == names["metrics_data"]
    for collector in ("validation", "security", "performance"):
        assert f"Collector: {collector}\n" in told
    assert "  validation_total: 42.0\n  validation_success: 42.0\n  validation_failure: 0\n" in told
    assert "  validation_duration: 12.5\n" in told
    assert "  error_rate: None\n" in told


def test_prometheus_export_is_as_the_guide_shows_it(
    fresh_shared_registry: MetricsRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line what its comment has as example output."""
    heading = "Metrics Export & Integration / 2. Prometheus Export"
    for _ in range(42):
        get_validation_metrics().record_validation_attempt("PythonCodeNode", True, 12.5)
    names = run(heading, registry=fresh_shared_registry)
    _, _, example = snippets()[heading].partition("# Example output:\n")
    expected = "".join(f"{line.removeprefix('# ')}\n" for line in example.splitlines())
    assert expected.count("\n") == 3
    assert expected in names["prometheus_metrics"]
    assert capsys.readouterr().out == names["prometheus_metrics"] + "\n"


def test_custom_metrics_are_collected() -> None:
    """Those of the guide are exported, and a hundred label sets are told apart."""
    registry = MetricsRegistry()
    custom_collector = run("Metrics Export & Integration / 3. Custom Metrics Collection", registry=registry)[
        "custom_collector"
    ]
    assert registry.get_collector("custom") is custom_collector
    page = registry.export_metrics("prometheus")
    assert "# HELP kailash_custom_workflow_execution_time_seconds Time taken to execute workflows\n" in page
    assert 'kailash_custom_workflow_execution_time_seconds_sum{workflow_type="etl"} 2.5\n' in page
    assert "# HELP kailash_custom_active_users Number of active users\n" in page
    assert "kailash_custom_active_users 42\n" in page
    for number in range(150):
        custom_collector.record_timer("workflow_execution_time", 1.0, {"workflow_type": f"w{number}"})
    assert len(custom_collector.get_metric("workflow_execution_time").series) == 101


# -- production deployment patterns


@pytest.mark.real_time
async def test_centralized_monitoring_in_a_program_of_its_own(tmp_path: Path) -> None:
    log_file = tmp_path / "alerts.log"
    text = program(
        "Production Deployment Patterns / 1. Centralized Monitoring",
        """
        import sys
        from kailash_monitor.alerts import EmailNotificationChannel, SlackNotificationChannel
        from kailash_monitor.metrics import get_metrics_registry, get_performance_metrics
        log_file, slack_url, smtp_port = sys.argv[1:]
        registry = get_metrics_registry()
        slack_channel = SlackNotificationChannel(slack_url)
        email_channel = EmailNotificationChannel(
            "127.0.0.1", int(smtp_port), from_email="a@x.org", to_emails=["b@x.org"], use_tls=False
        )
        get_performance_metrics().update_system_metrics(memory_mb=1e9, cpu_percent=1, rps=1)
        """,
        """
        sys.stdin.read()
        alert_manager.stop()
        """,
    )
    async with receiver() as slack, mail_server() as mails:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", text, str(log_file), slack.url(SLACK), str(mails.port),
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            await until(lambda: slack.got and mails.mails)
            _, on_screen = await process.communicate(b"")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0
    assert [message["text"] for message in slack.at(SLACK)] == ["FIRING [error] High memory usage"]
    assert [mail.message["Subject"] for mail in mails.mails] == ["[FIRING] error: High memory usage"]
    line = r"20\d\d-\S+ \S+ - kailash_monitor\.alerts - ERROR - FIRING \[error\] High memory usage .*\n"
    assert re.fullmatch(line, log_file.read_text())
    assert on_screen.decode() == log_file.read_text()


@pytest.mark.usefixtures("fresh_shared_registry")
def test_a_flask_site_answers_a_load_balancer() -> None:
    needs("flask")
    from werkzeug.serving import make_server

    names = run("Production Deployment Patterns / 2. Health Check Integration")
    server = make_server(HOST, 0, names["app"])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://{HOST}:{server.server_port}/health"
    try:
        assert json.loads(ask(url)) == {"status": "healthy"}
        for number in range(10):
            get_validation_metrics().record_validation_attempt("Node", number > 0, 1.0)
        assert json.loads(ask(url)) == {"status": "healthy"}  # 90 % are not less than 90 %
        get_security_metrics().record_security_violation("sql_injection", MetricSeverity.HIGH, "Node")
        assert json.loads(ask(url)) == {"status": "healthy"}
        get_security_metrics().record_security_violation("sql_injection", MetricSeverity.CRITICAL, "Node")
        assert json.loads(ask(url)) == {"status": "unhealthy", "reason": "Critical security violations"}
        get_validation_metrics().record_validation_attempt("Node", False, 1.0)
        assert json.loads(ask(url)) == {"status": "unhealthy", "reason": "High validation failure rate"}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert names["health_check"]() == {"status": "unhealthy", "reason": "High validation failure rate"}


def test_a_daemon_collects_metrics_every_30_seconds(tmp_path: Path) -> None:
    """It collects at once, sleeps meanwhile, and does not keep the program from ending."""
    path = tmp_path / "dashboard.py"
    text = program(
        "Production Deployment Patterns / 3. Metrics Dashboard Integration",
        """
        from kailash_monitor.metrics import get_metrics_registry as shared_registry
        collected = []
        shared_registry().collector("app").callback_gauge("collected", lambda: collected.append(1) or len(collected))
        """,
        """
        import linecache, sys
        def where():
            frame = sys._current_frames()[collector_thread.ident]
            return linecache.getline(__file__, frame.f_lineno).strip()
        while not (collected and where().startswith("time.sleep")):
            time.sleep(0.01)
        print(where(), collector_thread.daemon, len(collected))
        """,
    )
    path.write_text(text)
    ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False, timeout=25)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "time.sleep(30)  # Collect every 30 seconds True 1\n", "")


# -- alert management


def lifecycle_rules() -> list[AlertRule]:
    """The rules whose alerts the guide silences and acknowledges."""
    return [
        AlertRule("high_validation_failures", "Many fail", AlertSeverity.WARNING, "validation_failure", "> 5", 5),
        AlertRule("security_violations", "Violations", AlertSeverity.CRITICAL, "security_violations_total", "> 0", 0),
    ]


async def test_alert_lifecycle(clock: VirtualClock, registry: MetricsRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """Who is silenced is told no more, who is acknowledged is not repeated, and both are told when it is over."""
    validation, security = ValidationMetrics(clock=clock), SecurityMetrics(clock=clock)
    registry.register_collector("validation", validation)
    registry.register_collector("security", security)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    for rule in lifecycle_rules():
        alert_manager.add_rule(rule)

    async def two_hours_of_trouble() -> None:
        for _ in range(120):
            for _ in range(6):
                validation.record_validation_attempt("A", False, 10.0)
            security.record_security_violation("sql_injection", MetricSeverity.CRITICAL, "DB")
            await asyncio.sleep(60)

    async with alert_manager:
        await two_hours_of_trouble()
        repeats = [("repeat", "high_validation_failures_validation"), ("repeat", "security_violations_security")]
        assert {told for told in channel.told() if told[0] == "repeat"} == set(repeats)

        names = run("Alert Management / 1. Alert Lifecycle", alert_manager=alert_manager)
        assert {a.id: a.status for a in names["all_alerts"]} == {
            "high_validation_failures_validation": AlertStatus.SILENCED,
            "security_violations_security": AlertStatus.ACKNOWLEDGED,
        }
        heard = len(channel.notices)
        await two_hours_of_trouble()
        assert channel.told()[heard:] == []

        await asyncio.sleep(600)
        all_alerts = alert_manager.get_all_alerts()
    assert {a.status for a in all_alerts} == {AlertStatus.RESOLVED}
    assert sorted(channel.told()[heard:]) == [
        ("resolved", "high_validation_failures_validation"), ("resolved", "security_violations_security"),
    ]  # fmt: skip
    printed = r"Alert: High validation failures - warning\nStatus: firing\nFired at: 2023-11-14 22:13:[23]\d.*\+00:00\n"
    assert re.search(printed, capsys.readouterr().out)


def test_alert_lifecycle_through_the_blocking_facade(capsys: pytest.CaptureFixture[str]) -> None:
    registry = MetricsRegistry()
    validation, security = ValidationMetrics(), SecurityMetrics()
    registry.register_collector("validation", validation)
    registry.register_collector("security", security)
    alert_manager = BlockingAlertManager(registry)
    for rule in lifecycle_rules():
        alert_manager.add_rule(rule)
    for _ in range(6):
        validation.record_validation_attempt("A", False, 10.0)
    security.record_security_violation("sql_injection", MetricSeverity.CRITICAL, "DB")
    alert_manager.start()
    deadline = time.monotonic() + 5
    while len(alert_manager.get_active_alerts()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    names = run("Alert Management / 1. Alert Lifecycle", alert_manager=alert_manager)
    alert_manager.stop()
    assert {a.id: a.status for a in names["all_alerts"]} == {
        "high_validation_failures_validation": AlertStatus.SILENCED,
        "security_violations_security": AlertStatus.ACKNOWLEDGED,
    }
    assert capsys.readouterr().out.count("Status: firing\n") == 2


async def test_a_silence_of_an_alert_ends_with_its_incident(clock: VirtualClock, registry: MetricsRegistry) -> None:
    validation = ValidationMetrics(clock=clock)
    registry.register_collector("validation", validation)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    alert_manager.add_rule(lifecycle_rules()[0])
    async with alert_manager:
        alert_manager.silence_alert("high_validation_failures_validation")  # before it fires: it holds for the next incident
        for _ in range(2):
            for _ in range(6):
                validation.record_validation_attempt("A", False, 10.0)
            await asyncio.sleep(600)
    assert channel.told() == [
        ("firing", "high_validation_failures_validation"), ("resolved", "high_validation_failures_validation"),
    ]  # fmt: skip


async def test_alert_lifecycle_shows_the_resolved_for_a_while(clock: VirtualClock, registry: MetricsRegistry) -> None:
    validation = ValidationMetrics(clock=clock)
    registry.register_collector("validation", validation)
    alert_manager = AlertManager(registry)
    alert_manager.add_rule(AlertRule("failures", "d", AlertSeverity.WARNING, "validation_failure", "> 5", 5))
    for _ in range(6):
        validation.record_validation_attempt("A", False, 10.0)
    async with alert_manager:
        await asyncio.sleep(400)
        assert [a.status for a in alert_manager.get_all_alerts()] == [AlertStatus.RESOLVED]


async def test_a_custom_alert_rule(registry: MetricsRegistry) -> None:
    """It fires while the revenue is below 1000, says so every half hour, and knows its team and its runbook."""
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    run("Alert Management / 2. Custom Alert Rules", alert_manager=alert_manager)
    business = registry.collector("business")
    async with alert_manager:
        for revenue, minutes in ((1200, 60), (1000, 30), (999, 100), (1000, 30)):
            business.set_gauge("revenue_per_minute", revenue)
            await asyncio.sleep(60 * minutes)
    assert [kind for kind, _ in channel.told()] == ["firing", "repeat", "repeat", "repeat", "resolved"]
    times = [notice.sent_at - EPOCH for notice in channel.notices]
    assert 5400 <= times[0] <= 5700  # at the next evaluation
    assert [round(later - earlier) for earlier, later in pairwise(times[:-1])] == [1800, 1800, 1800]
    alert = channel.notices[0].alert
    assert (alert.value, alert.threshold, alert.severity) == (999, 1000, AlertSeverity.WARNING)
    assert alert.labels == {"team": "business", "priority": "high"}
    assert alert.annotations == {"runbook": "https://wiki.company.com/revenue-alerts"}


# -- best practices


async def test_production_rules_tell_of_a_success_rate_below_95_percent(
    clock: VirtualClock, registry: MetricsRegistry
) -> None:
    validation = ValidationMetrics(clock=clock)
    registry.register_collector("validation", validation)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    run("Best Practices / 1. Monitoring Configuration", alert_manager=alert_manager)
    assert list(alert_manager.rules) == ["low_success_rate", "security_violations"]

    async def work(seconds: int, fails_in_100: int) -> None:
        for number in range(1, seconds + 1):
            validation.record_validation_attempt("A", number * fails_in_100 % 100 >= fails_in_100, 5.0)
            await asyncio.sleep(1)

    async with alert_manager:
        await work(600, 4)
        assert channel.told() == []
        await work(600, 10)
        assert channel.told() == [("firing", "low_success_rate_validation")]
        await work(600, 0)
    assert channel.told() == [("firing", "low_success_rate_validation"), ("resolved", "low_success_rate_validation")]
    first, last = (notice.alert for notice in channel.notices)
    assert first.description == "Success rate below 95%"
    assert first.value is not None
    assert last.value is not None
    assert 0.93 < first.value < 0.95 <= last.value < 0.97


async def test_production_rules_tell_of_violations_every_five_minutes(
    clock: VirtualClock, registry: MetricsRegistry
) -> None:
    security = SecurityMetrics(clock=clock)
    registry.register_collector("security", security)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    run("Best Practices / 1. Monitoring Configuration", alert_manager=alert_manager)
    async with alert_manager:
        await asyncio.sleep(600)
        assert channel.told() == []
        for _ in range(4):
            security.record_security_violation("sql_injection", MetricSeverity.HIGH, "DB")
            await asyncio.sleep(240)
        await asyncio.sleep(600)
    assert [kind for kind, _ in channel.told()] == ["firing", "repeat", "repeat", "repeat", "resolved"]
    times = [notice.sent_at for notice in channel.notices]
    assert [round(later - earlier) for earlier, later in pairwise(times[:-1])] == [300, 300, 300]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a program does each second; as it stands, it is in good health."""

    fails_every: int = 20
    misses_every: int = 10
    milliseconds: float = 900.0
    memory_mb: float = 800.0
    violations: int = 0


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("high_validation_failure_rate", Load(fails_every=5)),
        ("security_violations_detected", Load(violations=1)),
        ("high_response_time", Load(milliseconds=1500)),
        ("low_cache_hit_rate", Load(misses_every=2)),
        ("high_memory_usage", Load(memory_mb=950)),
    ],
)
async def test_each_default_rule_does_what_it_says(
    clock: VirtualClock, registry: MetricsRegistry, name: str, trouble: Load
) -> None:
    """It fires in its own trouble, and no other with it, and recovers when that is over."""
    validation, security = ValidationMetrics(clock=clock), SecurityMetrics(clock=clock)
    performance = PerformanceMetrics(clock=clock, memory_limit_mb=1000)
    for collector_name, collector in (("validation", validation), ("security", security), ("performance", performance)):
        registry.register_collector(collector_name, collector)
    channel = RecordingChannel()
    alert_manager = AlertManager(registry)
    alert_manager.add_notification_channel(channel)
    default_rules = create_default_alert_rules()
    for rule in default_rules:
        alert_manager.add_rule(rule)

    async def work(load: Load) -> None:
        """A quarter of an hour of it."""
        for second in range(1, 901):
            validation.record_validation_attempt(
                "A", second % load.fails_every != 0, 5.0, cached=second % load.misses_every != 0
            )
            performance.record_operation("query", load.milliseconds)
            performance.update_system_metrics(memory_mb=load.memory_mb, cpu_percent=50, rps=10)
            for _ in range(load.violations):
                security.record_security_violation("path_traversal", MetricSeverity.LOW, "FileNode")
            await asyncio.sleep(1)

    async with alert_manager:
        await work(Load())
        assert channel.notices == []
        await work(trouble)
        assert [alert.rule_name for alert in alert_manager.get_active_alerts()] == [name]
        await work(Load())
        assert alert_manager.get_active_alerts() == []
    told = [(notice.kind.value, notice.alert.rule_name) for notice in channel.notices]
    assert [one for one in told if one[0] != "repeat"] == [("firing", name), ("resolved", name)]


SETUP: dict[str, Any] = {
    "get_metrics_registry": get_metrics_registry,
    "create_default_alert_rules": create_default_alert_rules,
    "LogNotificationChannel": LogNotificationChannel,
}


@pytest.mark.usefixtures("fresh_shared_registry")
def test_error_handling_in_a_program_without_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "guide")
    alert_manager = run("Best Practices / 2. Error Handling", **SETUP)["alert_manager"]
    told = alert_manager.running, len(alert_manager.rules), len(alert_manager.notification_channels)
    alert_manager.stop()
    assert told == (True, 5, 1)
    assert said_by(caplog.records) == ["Monitoring initialized successfully"]


@pytest.mark.usefixtures("fresh_shared_registry")
async def test_error_handling_inside_a_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "guide")
    alert_manager = run("Best Practices / 2. Error Handling", but=Amendment.BLOCKING, **SETUP)["alert_manager"]
    assert isinstance(alert_manager, AlertManager)
    running = alert_manager.running
    await alert_manager.stop()
    assert running
    assert said_by(caplog.records) == ["Monitoring initialized successfully"]


@pytest.mark.usefixtures("fresh_shared_registry")
def test_error_handling_tells_of_the_manager_that_needs_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    assert run("Best Practices / 2. Error Handling", but=Amendment.BLOCKING, **SETUP)["alert_manager"] is None
    why, without = said_by(caplog.records)
    assert why.startswith("Failed to initialize monitoring: AlertManager.start() needs a running event loop: ")
    assert "kailash_monitor.blocking.AlertManager" in why
    assert without == "Running without monitoring"


@pytest.mark.usefixtures("fresh_shared_registry")
def test_error_handling_tells_of_what_cannot_be_added(caplog: pytest.LogCaptureFixture) -> None:
    """A rule or a channel that is wrong raises where it is made, and the rest of the monitoring is there."""
    caplog.set_level(logging.INFO, "guide")
    wrong = {
        "create_default_alert_rules": lambda: [AlertRule("wrong", "d", "error", "m", "about 5")],
        "LogNotificationChannel": partial(LogNotificationChannel, "LOUD"),
    }
    alert_manager = run("Best Practices / 2. Error Handling", **{**SETUP, **wrong})["alert_manager"]
    running = alert_manager.running
    alert_manager.stop()
    assert running
    rule, channel, done = said_by(caplog.records)
    assert re.match("Failed to add alert rule: rule 'wrong': .*about 5", rule)
    assert re.match("Failed to add notification channel: .*LOUD", channel)
    assert done == "Monitoring initialized successfully"


def test_resource_management_stops_at_exit() -> None:
    text = program(
        "Best Practices / 3. Resource Management",
        """
        import logging, sys
        from kailash_monitor.metrics import get_metrics_registry
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        logger = logging.getLogger(__name__)
        registry = get_metrics_registry()
        """,
        "print(alert_manager)",
    )
    command = [sys.executable, "-X", "dev", "-c", text]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    told = "<blocking AlertManager running, 0 rules, 0 alerts active>\nMonitoring stopped gracefully\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, told, "")


# -- integration examples


@pytest.mark.usefixtures("fresh_shared_registry")
def test_a_fastapi_service_has_its_endpoints() -> None:
    needs("fastapi", "uvicorn")
    import uvicorn

    app = run("Integration Examples / 1. FastAPI Integration")["app"]
    get_validation_metrics().record_validation_attempt("PythonCodeNode", True, 12.5)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    url = f"http://{HOST}:{port}"
    try:
        assert 'kailash_validation_validation_total{node_type="PythonCodeNode"} 1\n' in ask(f"{url}/metrics")
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            assert answer.headers.get_content_type() == "text/plain"
        document = json.loads(json.loads(ask(f"{url}/metrics/json")))  # FastAPI makes JSON of the text that it is given
        assert document["validation"]["validation_total"]["latest_value"] == 1
        assert json.loads(ask(f"{url}/health")) == {"status": "healthy", "success_rate": 1.0}
        get_validation_metrics().record_validation_attempt("PythonCodeNode", False, 12.5)
        assert json.loads(ask(f"{url}/health")) == {"status": "unhealthy", "success_rate": 0.5}
    finally:
        server.should_exit = True
        thread.join()


SITE = """
    from .settings_of_the_guide import *
    SECRET_KEY = "not one"
    ALLOWED_HOSTS = ["*"]
    INSTALLED_APPS = ["shop.apps.MyAppConfig"]
    ROOT_URLCONF = "shop.urls"
"""

URLS = """
    import gc
    from django.conf import settings
    from django.http import JsonResponse
    from django.test import override_settings
    from django.urls import path
    from kailash_monitor.channels import from_mapping
    from kailash_monitor.engine import AlertManager
    from kailash_monitor.metrics import get_validation_metrics
    from .monitoring import setup_django_monitoring

    (manager,) = (thing for thing in gc.get_objects() if type(thing) is AlertManager)  # it runs; the guide keeps no name for it

    def shown(request):
        return JsonResponse({"running": manager.running, "rules": {
            name: [rule.severity.value, rule.description, rule.threshold] for name, rule in manager.rules.items()
        }})

    def fail(request):
        for one in settings.KAILASH_MONITORING["NOTIFICATION_CHANNELS"]:  # the guide has settings for them, and no code
            manager.add_notification_channel(from_mapping(one))
        for _ in range(6):
            get_validation_metrics().record_validation_attempt("PythonCodeNode", False, 12.5)
        (rule,) = manager.rules.values()
        manager.remove_rule(rule.name)
        manager.add_rule(rule)  # a new rule is evaluated at once, and not in ten seconds
        return JsonResponse({})

    @override_settings(KAILASH_MONITORING={"ENABLED": False})
    def disabled(request):
        return JsonResponse({"manager": setup_django_monitoring()})

    urlpatterns = [path("shown", shown), path("fail", fail), path("disabled", disabled)]
"""


@pytest.mark.real_time
async def test_a_django_site_is_monitored_as_its_settings_say(tmp_path: Path) -> None:
    """The three files of the snippet in a real site: the manager runs once the application is ready."""
    needs("django")
    parts = re.split(r"^# (\w+)\.py\n", amended("Integration Examples / 2. Django Integration"), flags=re.MULTILINE)
    files = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert (parts[0], list(files)) == ("", ["settings", "monitoring", "apps"])
    files["settings_of_the_guide"] = files.pop("settings")
    shop = tmp_path / "shop"
    shop.mkdir()
    for name, text in {**files, "settings": SITE, "urls": URLS, "__init__": ""}.items():
        (shop / f"{name}.py").write_text(textwrap.dedent(text))

    port = free_port()
    command = [sys.executable, "-m", "django", "runserver", "--noreload", f"{HOST}:{port}"]
    async with receiver() as slack:
        surroundings = {"DJANGO_SETTINGS_MODULE": "shop.settings", "SLACK_WEBHOOK_URL": slack.url(SLACK)}
        with started(command, port, tmp_path, **surroundings) as site:

            async def asked(path: str) -> Any:
                return json.loads(await asyncio.to_thread(ask, f"{site.url}/{path}"))

            rule = ["error", "Alert for high_validation_failures", 5]
            assert await asked("shown") == {"running": True, "rules": {"high_validation_failures": rule}}
            assert await asked("disabled") == {"manager": None}
            await asked("fail")
            await until(lambda: slack.got)
            on_screen = await asyncio.to_thread(site.end)
    assert [message["text"] for message in slack.at(SLACK)] == ["FIRING [error] High validation failures"]
    assert "FIRING [error] High validation failures" in on_screen


def test_a_django_site_that_has_no_address_of_slack_is_told_so() -> None:
    with pytest.raises(ChannelError, match="slack channel: ") as refused:
        from_mapping({"type": "slack", "webhook_url": os.environ.get("AN_ADDRESS_THAT_IS_NOT_SET")})
    assert refused.value.field == "webhook_url"


# -- troubleshooting


@pytest.mark.usefixtures("fresh_shared_registry")
def test_why_an_alert_manager_does_not_start_is_told(caplog: pytest.LogCaptureFixture) -> None:
    alert_manager = AlertManager(get_metrics_registry())
    run("Troubleshooting / Common Issues (1)", alert_manager=alert_manager, logger=logging.getLogger("guide"))
    (said,) = said_by(caplog.records)
    assert said.startswith("Failed to start alert manager: AlertManager.start() needs a running event loop")


def test_a_store_that_cannot_be_opened_is_why_an_alert_manager_does_not_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alert_manager = BlockingAlertManager(MetricsRegistry(), store=tmp_path / "nowhere" / "alerts.db")
    run("Troubleshooting / Common Issues (1)", alert_manager=alert_manager, logger=logging.getLogger("guide"))
    (said,) = said_by(caplog.records)
    assert said.startswith("Failed to start alert manager: ")
    assert "nowhere" in said
    assert not alert_manager.running


@pytest.mark.usefixtures("fresh_shared_registry")
def test_missing_metrics_are_looked_for_among_the_collectors(capsys: pytest.CaptureFixture[str]) -> None:
    run("Troubleshooting / Common Issues (2)")
    printed = capsys.readouterr().out
    assert re.fullmatch(r"Registered collectors: \[.*\]\n", printed)
    for name in ("validation", "security", "performance"):
        assert repr(name) in printed


async def test_a_notification_failure_is_looked_for_by_hand(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kailash_monitor.alerts")
    await run("Troubleshooting / Common Issues (3)")
    assert capsys.readouterr().out == "Notification result: True\n"
    (said,) = said_by(caplog.records, "kailash_monitor.alerts")
    assert said.startswith("TEST [info] Test")


@pytest.mark.real_time
async def test_every_channel_of_the_guide_is_tried_by_hand() -> None:
    """True where it was taken, False where nobody is there any more."""
    test_alert = Alert("test", "test_rule", AlertSeverity.INFO, "Test", "Test alert")
    async with receiver() as company, mail_server() as mails:
        channels = [
            SlackNotificationChannel(company.url(SLACK)),
            EmailNotificationChannel(HOST, mails.port, from_email="a@x.org", to_emails=["b@x.org"], use_tls=False),
            WebhookNotificationChannel(company.url(ALERTS)),
        ]
        assert [await channel.send_notification(test_alert, {}) for channel in channels] == [True] * 3
    assert company.at(SLACK)[0]["text"] == "TEST [info] Test"
    assert mails.mails[0].message["Subject"] == "[TEST] info: Test"
    assert company.at(ALERTS)[0]["context"]["kind"] == "test"
    assert [await channel.send_notification(test_alert, {}) for channel in channels] == [False] * 3


async def test_performance_tuning(clock: VirtualClock) -> None:
    """Fifty node types are told apart, the others counted together; rules are evaluated every ten seconds."""
    names = run(
        "Troubleshooting / Performance Tuning",
        MetricsRegistry=partial(MetricsRegistry, clock=clock),
        ValidationMetrics=partial(ValidationMetrics, clock=clock),
    )
    validation_metrics, alert_manager = names["validation_metrics"], names["alert_manager"]
    assert validation_metrics.max_series < ValidationMetrics().max_series
    names["optimized_registry"].register_collector("validation", validation_metrics)
    for number in range(80):
        validation_metrics.record_validation_attempt(f"Node{number}", True, 5.0)
    attempts = validation_metrics.get_metric("validation_total")
    assert (len(attempts.series), attempts.get_latest_value()) == (51, 80)

    for rule in create_default_alert_rules():
        alert_manager.add_rule(rule)
    async with alert_manager:
        await asyncio.sleep(95)
        assert {status.evaluations for status in alert_manager.rule_status()} <= {10, 11}
