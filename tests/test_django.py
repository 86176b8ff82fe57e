"""A Django site is monitored as its settings say."""

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

for package in ("django", "gunicorn", "uvicorn"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package}, from the extra 'django' or 'e2e', is not installed", allow_module_level=True)

from kailash_monitor.integrations.django.configuration import read
from kailash_monitor.metrics import MetricsRegistry

from served import ask, free_port, hook, service_laws, started, until  # isort: skip

pytestmark = pytest.mark.real_time

PROGRAM = """
    import os, sys
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            SECRET_KEY="x",
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF="app",
            INSTALLED_APPS=["kailash_monitor.integrations.django"],
            MIDDLEWARE=["kailash_monitor.integrations.django.middleware.RequestMetrics"],
            KAILASH_MONITORING={
                "ALERT_RULES": [
                    {"name": "queue_long", "metric": "queue", "condition": "> 3", "severity": "ERROR", "evaluation_interval": "50ms"},
                ],
                "NOTIFICATION_CHANNELS": [{"type": "webhook", "webhook_url": os.environ["HOOK"]}],
                "STORE": os.environ["STORE"],
            },
        )
        if __name__ != "__main__":
            from django.core.asgi import get_asgi_application
            from django.core.wsgi import get_wsgi_application
            application, asgi = get_wsgi_application(), get_asgi_application()

    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import include, path
    from kailash_monitor.metrics import get_metrics_registry

    queue = get_metrics_registry().collector("jobs").gauge("queue")

    def set_queue(request, value):
        queue.set(value)
        return HttpResponse(str(value))

    def stream(request):
        return StreamingHttpResponse(iter([b"a", b"b"]))

    def bad(request):
        raise ValueError("mine")

    urlpatterns = [
        path("set/<int:value>", set_queue),
        path("stream", stream),
        path("bad", bad),
        path("monitor/", include("kailash_monitor.integrations.django.urls")),
    ]

    if __name__ == "__main__":
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)
"""


def gunicorn(port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "app:application", "-b", f"127.0.0.1:{port}", "--log-level", "warning", *more]


SERVERS = {
    "gunicorn": gunicorn,
    "gunicorn with preload": lambda port: gunicorn(port, "--preload"),
    "uvicorn": lambda port: [sys.executable, "-m", "uvicorn", "app:asgi", "--port", str(port), "--log-level", "warning"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_site(tmp_path: Path, server: str) -> None:
    service_laws(tmp_path, PROGRAM, SERVERS[server], route="/set/<int:value>")


@pytest.mark.parametrize("options", [[], ["--noreload"]], ids=["with the reloader", "without"])
def test_one_manager_tells_under_the_development_server(tmp_path: Path, options: Sequence[str]) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(PROGRAM))
    port = free_port()
    with hook() as receiver:
        command = [sys.executable, "app.py", "runserver", f"127.0.0.1:{port}", *options]
        with started(command, port, tmp_path, HOOK=receiver.url, STORE=str(tmp_path / "alerts.db")) as served:
            ask(f"{served.url}/set/9", patience=30)
            until(lambda: receiver.told() == ["firing"], 20)
            page = ask(f"{served.url}/monitor/readyz")
            assert '"status": "ok"' in page
    assert receiver.told() == ["firing"]


def command(folder: Path, *arguments: str, program: str = PROGRAM, **environment: str) -> "subprocess.CompletedProcess[str]":
    (folder / "app.py").write_text(textwrap.dedent(program))
    surroundings = {
        "HOOK": "http://127.0.0.1:9/hook",
        "STORE": str(folder / "alerts.db"),
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    return subprocess.run(
        [sys.executable, "app.py", *arguments], cwd=folder, env={**os.environ, **surroundings, **environment},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_management_commands_start_nothing(tmp_path: Path) -> None:
    ended = command(tmp_path, "shell", "-c", "import threading; print([t.name for t in threading.enumerate()])")
    assert ended.stdout.splitlines()[-1] == "['MainThread']", ended
    assert not (tmp_path / "alerts.db").exists()


WRONG = PROGRAM.replace('"severity": "ERROR"', '"severity": "LOUD"').replace('"type": "webhook"', '"type": "webhok"')


def test_all_that_is_wrong_is_said_by_the_check_and_keeps_a_server_from_starting(tmp_path: Path) -> None:
    ended = command(tmp_path, "check", program=WRONG)
    assert ended.returncode == 1
    assert ended.stderr.count("(kailash_monitor.E001)") == 2
    assert re.search(r"ALERT_RULES\[0\]\.severity: .*loud.*critical", ended.stderr)
    assert re.search(r"NOTIFICATION_CHANNELS\[0\]\.type: .*webhok.*did you mean 'webhook'", ended.stderr)
    port = free_port()
    with started(gunicorn(port), port, tmp_path, HOOK="http://127.0.0.1:9/", STORE=str(tmp_path / "alerts.db")) as served:
        out, _ = served.process.communicate(timeout=30)
    assert served.process.returncode != 0
    assert "ImproperlyConfigured: KAILASH_MONITORING: " in out
    assert "webhok" in out


def test_requests_are_measured_to_the_end_of_what_is_streamed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(PROGRAM))
    script = """
        import app, asyncio, warnings
        from django.test import AsyncClient, Client
        client = Client(raise_request_exception=False)
        for path in ("/set/7", "/set/8", "/bad", "/nothing/secret"):
            client.get(path)
        answer = client.get("/stream")
        before = app.get_metrics_registry().export_metrics("prometheus")
        assert 'route="/stream"' not in before
        assert b"".join(answer.streaming_content) == b"ab"
        client.get("/stream").close()  # nobody reads it
        warnings.simplefilter("ignore")
        asyncio.run(AsyncClient().get("/set/9"))
        print(app.get_metrics_registry().export_metrics("prometheus"))
    """
    environment = {
        "HOOK": "http://127.0.0.1:9/",
        "STORE": str(tmp_path / "alerts.db"),
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, env={**os.environ, **environment},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = dict(re.findall(r'_http_requests_total\{method="GET",(route=.*)\} (\d+)', ended.stdout))
    assert found == {
        'route="/set/<int:value>",status="200"': "3",
        'route="/bad",status="500"': "1",
        'route="unmatched",status="404"': "1",
        'route="/stream",status="200"': "1",
        'route="/stream",status="499"': "1",
    }
    assert "kailash_http_requests_in_progress 0" in ended.stdout


EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_example(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, str(EXAMPLES / "django_site.py"), "runserver", str(port), "--noreload"]
    with started(command, port, tmp_path) as served:
        assert ask(f"{served.url}/orders/7") == "order 7 taken"
        with pytest.raises(OSError, match="500"):
            ask(f"{served.url}/orders/13", patience=0.0)
        until(lambda: '"orders_failing_http"' in ask(f"{served.url}/monitor/api/alerts"), 20)
        assert 'route="/orders/<int:number>",status="500"} 1' in ask(f"{served.url}/monitor/metrics")
        out = served.end()
    assert "FIRING [error] Orders failing" in out


# -- the settings


GUIDE: Mapping[str, Any] = {
    "ENABLED": True,
    "ALERT_RULES": [{"name": "high_validation_failures", "threshold": 5, "severity": "ERROR"}],
    "NOTIFICATION_CHANNELS": [{"type": "log", "level": "ERROR"}, {"type": "slack", "webhook_url": None}],
}


def test_the_guides_settings_are_understood() -> None:
    it = read(GUIDE, MetricsRegistry())
    assert it.problems == []
    rule = it.manager.rules["high_validation_failures"]
    assert str(rule) == "<AlertRule high_validation_failures: validation_failure > 5, every 10s>"
    assert (rule.severity.value, rule.description) == ("error", "Alert for high_validation_failures")
    assert list(it.manager.channels_by_name()) == ["log"]
    assert it.left_out == [
        "NOTIFICATION_CHANNELS[1]: its webhook_url is None (a variable of the environment that is not set?)"
    ]


def test_all_of_a_manager_can_be_set() -> None:
    it = read(
        {
            "DEFAULT_RULES": True,
            "ALERT_RULES": [
                {
                    "name": "slow",
                    "metric": "request_duration",
                    "levels": {"warning": 500, "critical": 2000},
                    "condition": "p95 >",
                }
            ],
            "NOTIFICATION_CHANNELS": [
                {"type": "log"},
                {
                    "type": "webhook",
                    "webhook_url": "http://127.0.0.1:9/x",
                    "rate": (1, 5),
                    "fallback": "log",
                    "fallback_after": "1m",
                },
            ],
            "MUTE_TIMES": [{"name": "nights", "times": ["22:00-06:00"]}],
            "ROUTES": {
                "channels": ["log"],
                "routes": [{"channels": ["webhook"], "match": {"severity": "critical"}, "mute_times": ["nights"]}],
            },
            "INHIBITIONS": [{"source": {"alertname": "down"}, "target": {"severity": "warning"}}],
            "HEARTBEAT": {"url": "http://127.0.0.1:9/beat", "every": "1m"},
            "STOP_TIMEOUT": "1s",
            "TOKEN": "not-to-be-guessed-by-anybody",
            "HOSTS": ["monitor.example.com"],
        },
        MetricsRegistry(),
    )
    assert it.problems == []
    assert len(it.manager.rules) == 6
    assert it.manager.heartbeat is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "KAILASH_MONITORING: it is list; use a dictionary"),
        ({"RULES": []}, "RULES: an unknown key; use some of ENABLED,"),
        ({"ALERT_RULES": {}}, "ALERT_RULES: it is dict; use a list"),
        ({"ALERT_RULES": ["x"]}, "ALERT_RULES[0]: it is str; use a dictionary"),
        (
            {"ALERT_RULES": [{"name": "a", "threshold": 1, "sevrity": "info"}]},
            "ALERT_RULES[0].sevrity: the unknown key 'sevrity'",
        ),
        ({"ALERT_RULES": [{"name": "a", "threshold": 1}, {"name": "a", "threshold": 2}]}, "ALERT_RULES[1]"),
        ({"NOTIFICATION_CHANNELS": [{"type": "slack"}]}, "NOTIFICATION_CHANNELS[0].webhook_url: no webhook_url"),
        ({"NOTIFICATION_CHANNELS": [{"type": "log", "rate": "fast"}]}, "NOTIFICATION_CHANNELS[0].rate"),
        ({"ROUTES": {"channels": ["nobody"]}}, "ROUTES.channels: the unknown channel 'nobody'"),
        ({"MUTE_TIMES": [{"name": "n", "times": ["late"]}]}, "MUTE_TIMES[0]"),
        ({"INHIBITIONS": [{"source": {}}]}, "INHIBITIONS[0]"),
        ({"HEARTBEAT": "nowhere"}, "HEARTBEAT.url"),
        ({"STOP_TIMEOUT": "soon"}, "STORE.stop_timeout"),
        ({"HOSTS": None}, "HOSTS: it is NoneType; use a list"),
        ({"HOSTS": "example.com"}, "HOSTS: it is str; use a list"),
        ({"ENABLED": "no"}, "ENABLED: it is str; use True or False"),
        ({"TOKEN": ""}, "TOKEN"),
        ({"TOKEN": 5}, "TOKEN"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(given: Any, said: str) -> None:
    (problem,) = read(given, MetricsRegistry()).problems
    assert problem.startswith(said)
