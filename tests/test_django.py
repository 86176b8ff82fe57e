"""A Django site is monitored as its settings say."""

import asyncio
import gc
import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast
from wsgiref.util import FileWrapper

import pytest

for package in ("django", "gunicorn", "uvicorn"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package}, from the extra 'django' or 'e2e', is not installed", allow_module_level=True)

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import include, path

from kailash_monitor.alerts import AlertRule, LogNotificationChannel
from kailash_monitor.errors import MetricError
from kailash_monitor.integrations.django import get_manager, monitoring
from kailash_monitor.integrations.django.configuration import Configuration, read
from kailash_monitor.integrations.django.middleware import RequestMetrics
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

    from django.http import HttpResponse
    from django.urls import include, path
    from kailash_monitor.metrics import get_metrics_registry

    queue = get_metrics_registry().collector("jobs").gauge("queue")

    def set_queue(request, value):
        queue.set(value)
        return HttpResponse(str(value))

    urlpatterns = [
        path("set/<int:value>", set_queue),
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


@pytest.mark.parametrize(
    "arguments",
    [["shell", "-c", "from kailash_monitor.integrations.django import get_manager as m; print(m().running)"], ["migrate"], ["test"]],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_a_management_command_starts_nothing(tmp_path: Path, arguments: Sequence[str]) -> None:
    ended = command(tmp_path, *arguments)
    assert "True" not in ended.stdout, ended
    assert not (tmp_path / "alerts.db").exists()


def test_the_hook_of_gunicorn_starts_it_before_any_request(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(PROGRAM) + "\nqueue.set(9)\n")
    (tmp_path / "gunicorn.conf.py").write_text(
        "preload_app = True\n\ndef post_worker_init(worker):\n"
        "    from kailash_monitor.integrations.django import monitoring\n\n    monitoring().start()\n"
    )
    port = free_port()
    with hook() as receiver:
        surroundings = {"HOOK": receiver.url, "STORE": str(tmp_path / "alerts.db")}
        with started(gunicorn(port), port, tmp_path, **surroundings) as served:
            until(lambda: receiver.told() == ["firing"], what=lambda: receiver.got)
            served.end()


def test_a_site_starts_without_the_address_of_a_webhook_and_says_that_the_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        textwrap.dedent(PROGRAM).replace('"webhook_url": os.environ["HOOK"]', '"webhook_url": None')
    )
    port = free_port()
    with started(gunicorn(port), port, tmp_path, STORE=str(tmp_path / "alerts.db")) as served:
        ask(f"{served.url}/set/9")
        until(lambda: '"status": "firing"' in ask(f"{served.url}/monitor/api/alerts"))
        out = served.end()
    assert (
        "NOTIFICATION_CHANNELS[0].webhook_url: it is not set, so the channel 'webhook' is left out; the log is told" in out
    )
    assert "FIRING [error] Queue long" in out


WRONG = PROGRAM.replace('"severity": "ERROR"', '"severity": "LOUD"').replace('"type": "webhook"', '"type": "webhok"')


def test_all_that_is_wrong_is_said_by_the_check_and_keeps_a_server_from_starting(tmp_path: Path) -> None:
    ended = command(tmp_path, "check", program=WRONG)
    assert ended.returncode == 1
    assert ended.stderr.count("(kailash_monitor.E001)") == 2
    assert re.search(r"ALERT_RULES\[0\]\.severity: .*LOUD.*critical", ended.stderr)
    assert re.search(r"NOTIFICATION_CHANNELS\[0\]\.type: .*webhok.*did you mean 'webhook'", ended.stderr)
    port = free_port()
    with started(gunicorn(port), port, tmp_path, HOOK="http://127.0.0.1:9/", STORE=str(tmp_path / "alerts.db")) as served:
        out, _ = served.process.communicate(timeout=30)
    assert served.process.returncode != 0
    assert "ImproperlyConfigured: KAILASH_MONITORING is not right:" in out
    assert "webhok" in out


@pytest.fixture
def shelf() -> MetricsRegistry:
    return MetricsRegistry()


Configure = Callable[..., Configuration]


@pytest.fixture
def configure(shelf: MetricsRegistry, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Has this process be a site with these settings, and a registry of its own."""
    if not settings.configured:
        settings.configure(
            SECRET_KEY="x",
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            INSTALLED_APPS=["kailash_monitor.integrations.django"],
            MIDDLEWARE=[
                "kailash_monitor.integrations.django.middleware.RequestMetrics",
                "django.middleware.csrf.CsrfViewMiddleware",
            ],
        )
        django.setup()

    def configured(**given: object) -> Configuration:
        found = read(given, shelf)
        monkeypatch.setitem(monitoring().__dict__, "configuration", found)
        return found

    configured()
    return configured


def pieces() -> Iterator[bytes]:
    yield b"a"
    yield b"b"


async def pieces_later() -> AsyncIterator[bytes]:
    for piece in pieces():
        yield piece


async def broken() -> AsyncIterator[bytes]:
    yield b"a"
    raise ValueError("half-way")


async def asynchronous(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"{100 // number}")


shops = [
    path("<int:number>", lambda request, number: HttpResponse(f"{100 // number}")),
    path("<int:number>/later", asynchronous),
]
urlpatterns = [
    path("", lambda request: HttpResponse("home")),
    path("shops/", include(shops)),
    path("stream", lambda request: StreamingHttpResponse(pieces())),
    path("stream/later", lambda request: StreamingHttpResponse(pieces_later())),
    path("stream/broken", lambda request: StreamingHttpResponse(broken())),
    path("file", lambda request: FileResponse(Path(__file__).open("rb"))),
    path("monitor/", include("kailash_monitor.integrations.django.urls")),
]


def counted(registry: MetricsRegistry, metric: str = "requests") -> dict[tuple[str, ...], float]:
    metrics = registry.collector("http").get_all_metrics()
    return {tuple(series.labels.values()): series.total for series in metrics[metric].series}


def in_progress(registry: MetricsRegistry) -> float | None:
    metric = registry.collector("http").get_metric("requests_in_progress")
    return metric and metric.get_latest_value()


@pytest.mark.usefixtures("configure")
def test_requests_are_counted_by_their_url_pattern_with_all_that_includes_it(shelf: MetricsRegistry) -> None:
    client = Client(raise_request_exception=False)
    for asked in ("/", "/shops/7", "/shops/8", "/shops/0", "/nothing/secret"):
        client.get(asked)
    assert counted(shelf) == {
        ("GET", "/", "200"): 1,
        ("GET", "/shops/<int:number>", "200"): 2,
        ("GET", "/shops/<int:number>", "500"): 1,
        ("GET", "unmatched", "404"): 1,
    }
    assert counted(shelf, "requests_failed") == {("GET", "/shops/<int:number>"): 1}
    assert in_progress(shelf) == 0


@pytest.mark.usefixtures("configure")
async def test_so_are_those_on_an_event_loop(shelf: MetricsRegistry) -> None:
    client = AsyncClient(raise_request_exception=False)
    for asked in ("/shops/7/later", "/shops/0/later", "/shops/7"):
        await client.get(asked)
    assert counted(shelf) == {
        ("GET", "/shops/<int:number>/later", "200"): 1,
        ("GET", "/shops/<int:number>/later", "500"): 1,
        ("GET", "/shops/<int:number>", "200"): 1,
    }


@pytest.mark.usefixtures("configure")
def test_a_stream_lasts_until_its_last_piece(shelf: MetricsRegistry) -> None:
    stream = iter(Client().get("/stream"))
    assert (next(stream), in_progress(shelf), counted(shelf)) == (b"a", 1, {})
    assert (list(stream), in_progress(shelf), counted(shelf)) == ([b"b"], 0, {("GET", "/stream", "200"): 1})


@pytest.mark.usefixtures("configure")
async def test_so_does_one_on_an_event_loop(shelf: MetricsRegistry) -> None:
    stream = aiter(await AsyncClient().get("/stream/later"))
    assert (await anext(stream), in_progress(shelf), counted(shelf)) == (b"a", 1, {})
    assert [piece async for piece in stream] == [b"b"]
    assert (in_progress(shelf), counted(shelf)) == (0, {("GET", "/stream/later", "200"): 1})


@pytest.mark.usefixtures("configure")
async def test_a_stream_that_fails_half_way_counts_as_500(shelf: MetricsRegistry) -> None:
    with pytest.raises(ValueError, match="half-way"):
        [piece async for piece in await AsyncClient().get("/stream/broken")]
    assert counted(shelf) == {("GET", "/stream/broken", "500"): 1}


@pytest.mark.usefixtures("configure")
@pytest.mark.parametrize("taken", [0, 1])
def test_a_stream_that_is_not_taken_to_its_end_counts_as_499(shelf: MetricsRegistry, taken: int) -> None:
    answer = Client().get("/stream")
    assert len([*islice(answer, taken)]) == taken
    answer.close()
    assert (counted(shelf), in_progress(shelf)) == ({("GET", "/stream", "499"): 1}, 0)


@pytest.mark.usefixtures("configure")
def test_a_stream_that_nobody_closes_ends_all_the_same(shelf: MetricsRegistry) -> None:
    """As where a middleware outside of ours says 304 in its place."""
    middleware = RequestMetrics(lambda request: StreamingHttpResponse(pieces()))
    middleware(RequestFactory().get("/"))
    gc.collect()
    assert (counted(shelf), in_progress(shelf)) == ({("GET", "unmatched", "499"): 1}, 0)


@pytest.mark.usefixtures("configure")
def test_a_stream_that_a_head_need_not_take_counts_as_answered(shelf: MetricsRegistry) -> None:
    Client().head("/stream").close()
    assert counted(shelf) == {("HEAD", "/stream", "200"): 1}


@pytest.mark.usefixtures("configure")
def test_a_file_stays_what_the_server_can_send_by_itself(shelf: MetricsRegistry) -> None:
    environ = RequestFactory().get("/file").environ | {"wsgi.file_wrapper": FileWrapper}
    answer = get_wsgi_application()(environ, lambda *_: None)
    assert isinstance(answer, FileWrapper)
    assert in_progress(shelf) == 1
    answer.close()
    assert counted(shelf) == {("GET", "/file", "200"): 1}


@pytest.mark.usefixtures("configure")
async def test_a_client_that_goes_away_before_the_answer_counts_as_499(shelf: MetricsRegistry) -> None:
    async def get_response(request: HttpRequest) -> HttpResponse:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await cast(Awaitable[object], RequestMetrics(get_response)(RequestFactory().get("/")))
    assert counted(shelf) == {("GET", "unmatched", "499"): 1}


# -- the pages


def test_changes_need_the_token_and_no_csrf_cookie(configure: Configure) -> None:
    configure(TOKEN="secret")
    client = Client(enforce_csrf_checks=True)
    silence = {"data": {"matchers": "a=b", "reason": "für"}, "content_type": "application/json"}
    assert client.post("/monitor/api/silences", **silence, headers={"Host": "localhost"}).status_code == 401
    mine = {"Authorization": "Bearer secret", "Host": "localhost"}
    made = client.post("/monitor/api/silences", **silence, headers=mine)
    assert (made.status_code, made.json()["silence"]["reason"]) == (201, "für")
    assert len(get_manager().silences()) == 1


@pytest.mark.usefixtures("configure")
def test_a_page_can_be_asked_for_with_its_parameters() -> None:
    asked = "/monitor/metrics?name[]=kailash_http_requests_in_progress&name[]=none"
    page = Client().get(asked, headers={"Accept": "text/plain"})
    assert page.content.decode().count("# TYPE") == 1
    assert Client().get("/monitor/none").status_code == 404
    assert Client().put("/monitor/metrics").status_code == 405


@pytest.mark.usefixtures("configure")
def test_a_head_says_how_long_the_page_is() -> None:
    head = Client().head("/monitor/")
    assert (head.content, int(head.headers["Content-Length"])) == (b"", len(Client().get("/monitor/").content))


@pytest.mark.usefixtures("configure")
async def test_a_long_page_is_streamed_by_servers_of_both_kinds(shelf: MetricsRegistry) -> None:
    gauge = shelf.collector("many", max_series=3000).gauge("gauge", labels=("number",))
    for number in range(3000):
        gauge.set(f"{number}", number)
    at_once = await asyncio.to_thread(Client().get, "/monitor/metrics/json")
    later = await AsyncClient().get("/monitor/metrics/json")
    assert (at_once.is_async, later.is_async) == (False, True)
    assert len(json.loads(at_once.getvalue())["many"]["gauge"]["series"]) == 3000
    assert len(json.loads(b"".join([piece async for piece in later]))["many"]["gauge"]["series"]) == 3000


def test_where_it_is_switched_off_there_are_no_pages_and_no_metrics(configure: Configure, shelf: MetricsRegistry) -> None:
    configure(ENABLED=False)
    assert Client().get("/shops/7").content == b"14"
    assert Client().get("/monitor/metrics").status_code == 404
    assert shelf.get_collector("http") is None
    monitoring().ready()
    monitoring().start()
    assert not get_manager().running


@pytest.mark.usefixtures("configure")
def test_in_a_test_nothing_is_started_but_by_hand() -> None:
    monitoring().ready()
    assert Client().get("/monitor/healthz").status_code == 503
    assert not get_manager().running
    get_manager().start()
    try:
        assert Client().get("/monitor/healthz").status_code == 200
    finally:
        get_manager().stop()


# -- the settings


GUIDE: Mapping[str, Any] = {
    "ENABLED": True,
    "ALERT_RULES": [{"name": "high_validation_failures", "threshold": 5, "severity": "ERROR"}],
    "NOTIFICATION_CHANNELS": [{"type": "log", "level": "ERROR"}, {"type": "slack", "webhook_url": None}],
}


def test_the_guides_settings_are_understood() -> None:
    it = read(GUIDE, MetricsRegistry())
    assert (it.enabled, it.problems) == (True, [])
    rule = it.manager.rules["high_validation_failures"]
    assert str(rule) == "<AlertRule high_validation_failures: validation_failure > 5, every 10s>"
    assert (rule.severity.value, rule.description) == ("error", "Alert for high_validation_failures")
    assert list(it.manager.channels_by_name()) == ["log"]
    assert it.left_out == [
        "NOTIFICATION_CHANNELS[1].webhook_url: it is not set, so the channel 'slack' is left out; the others are told"
    ]


def test_all_of_a_manager_can_be_set(tmp_path: Path) -> None:
    it = read(
        {
            "DEFAULT_RULES": True,
            "ALERT_RULES": [
                {
                    "name": "slow",
                    "metric": "request_duration",
                    "levels": {"WARNING": 500, "CRITICAL": 2000},
                    "condition": "p95 >",
                },
                AlertRule("high_memory_usage", "Of mine", "error", "memory_usage", "> 95"),
            ],
            "BURN_RATES": [{"name": "shop", "good": "good", "total": "all", "objective": 0.999}],
            "NOTIFICATION_CHANNELS": [
                {"type": "log"},
                {
                    "type": "webhook",
                    "webhook_url": "http://127.0.0.1:9/x",
                    "secret": None,
                    "rate": (1, 5),
                    "fallback": "log",
                    "fallback_after": "1m",
                },
                {"type": "slack", "enabled": False},
                LogNotificationChannel(name="mine"),
            ],
            "MUTE_TIMES": [{"name": "nights", "times": ["22:00-06:00"], "time_zone": "Europe/Berlin"}],
            "ROUTES": {
                "channels": ["log"],
                "routes": [
                    {
                        "channels": ["webhook"],
                        "match": {"severity": "critical"},
                        "mute_times": ["nights"],
                        "escalation": [{"after": "10m", "channels": ["mine"]}],
                    }
                ],
            },
            "INHIBITIONS": [{"source": {"alertname": "down"}, "target": {"severity": "warning"}}],
            "HEARTBEAT": {"url": "http://127.0.0.1:9/beat", "every": "1m"},
            "STORE": tmp_path / "alerts.db",
            "NAMESPACE": "shop",
            "STALL_AFTER": "1s",
            "STOP_TIMEOUT": "1s",
            "TOKEN": "not-to-be-guessed-by-anybody",
            "HOSTS": ["monitor.example.com"],
        },
        MetricsRegistry(),
    )
    assert (it.problems, it.left_out) == ([], [])
    assert len(it.manager.rules) == 10
    assert it.manager.rules["high_memory_usage"].threshold == 95
    assert list(it.manager.channels_by_name()) == ["log", "webhook", "mine"]
    assert it.manager.heartbeat is not None
    assert it.manager.metrics_registry.namespace == "shop"


def test_keys_may_be_in_upper_or_lower_case() -> None:
    it = read(
        {
            "alert_rules": [{"NAME": "a", "THRESHOLD": 5, "SEVERITY": "error"}],
            "notification_channels": [{"TYPE": "log", "NAME": "mine"}],
            "Routes": {"ROUTES": [{"CHANNELS": ["mine"], "Match": {"Team": "x"}}]},
        },
        MetricsRegistry(),
    )
    assert (it.problems, list(it.manager.rules), list(it.manager.channels_by_name())) == ([], ["a"], ["mine"])


def test_without_channels_the_log_is_told() -> None:
    assert list(read({}, MetricsRegistry()).manager.channels_by_name()) == ["log"]


UNSET = {"type": "slack", "webhook_url": ""}


@pytest.mark.parametrize(
    "more",
    [
        {"NOTIFICATION_CHANNELS": [UNSET]},
        {"NOTIFICATION_CHANNELS": [UNSET, {"type": "log"}], "ROUTES": {"routes": [{"channels": ["slack"]}]}},
        {"NOTIFICATION_CHANNELS": [UNSET, {"type": "log", "fallback": "slack"}]},
    ],
    ids=["the only one", "routes name it", "it is a fallback"],
)
def test_where_a_channel_without_its_value_would_be_missed_the_log_is_told_in_its_place(more: dict[str, Any]) -> None:
    it = read(more, MetricsRegistry())
    assert it.problems == []
    assert isinstance(it.manager.channels_by_name()["slack"], LogNotificationChannel)
    assert it.left_out == [
        "NOTIFICATION_CHANNELS[0].webhook_url: it is not set, so the channel 'slack' is left out; the log is told in its place"
    ]


def test_a_heartbeat_without_its_address_is_left_out() -> None:
    it = read({"HEARTBEAT": {"url": None, "every": "1m"}}, MetricsRegistry())
    assert (it.problems, it.manager.heartbeat) == ([], None)
    assert it.left_out == ["HEARTBEAT.url: it is not set; nobody is called while all is well"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "it is of the type list; use a dictionary"),
        ({"ALERT_RULE": []}, "ALERT_RULE: an unknown key; did you mean 'ALERT_RULES'?"),
        ({"ENABLED": "no"}, "ENABLED: saw 'no'; use True or False"),
        ({"TOKEN": "s", "token": "s"}, "TOKEN: a second time, in another case; leave one of them out"),
        ({"ALERT_RULES": {}}, "ALERT_RULES: it is of the type dict; use a list"),
        ({"ALERT_RULES": ["x"]}, "ALERT_RULES[0]: it is of the type str; use a dictionary"),
        (
            {"ALERT_RULES": [{"name": "a", "threshold": 1, "sevrity": "info"}]},
            "ALERT_RULES[0].sevrity: the unknown key 'sevrity'; did you mean 'severity'?",
        ),
        ({"ALERT_RULES": [{"name": "a", "threshold": "5"}]}, "ALERT_RULES[0].threshold: "),
        ({"ALERT_RULES": [{"name": "a", "metric": "b"}]}, "ALERT_RULES[0]: no condition"),
        ({"ALERT_RULES": [{"name": "a", "threshold": 1}, {"name": "a", "threshold": 2}]}, "ALERT_RULES[1].name: "),
        ({"BURN_RATES": [{"name": "a", "good": "b", "total": "c"}]}, "BURN_RATES[0]: no objective; it needs objective"),
        ({"NOTIFICATION_CHANNELS": [{"type": "slack"}]}, "NOTIFICATION_CHANNELS[0]: no webhook_url; it needs webhook_url"),
        ({"NOTIFICATION_CHANNELS": [{"type": None}]}, "NOTIFICATION_CHANNELS[0].type: no type; use one of log, "),
        ({"NOTIFICATION_CHANNELS": [{"type": "log", "rate": "fast"}]}, "NOTIFICATION_CHANNELS[0].rate: "),
        ({"NOTIFICATION_CHANNELS": [{"type": "log", "enabled": 1}]}, "NOTIFICATION_CHANNELS[0].enabled: saw 1; use True or"),
        (
            {"NOTIFICATION_CHANNELS": [{"type": "log", "fallback": "slak"}]},
            "NOTIFICATION_CHANNELS[0].fallback: the channel 'slak', which is not there or switched off; use one of log",
        ),
        (
            {"ROUTES": {"routes": [{"channels": ["nobody"]}]}},
            "ROUTES.routes[0].channels: the channel 'nobody', which is not there or switched off; use one of log",
        ),
        ({"ROUTES": {"mute_times": ["nights"]}}, "ROUTES.mute_times: the unknown mute time 'nights'; define it first"),
        ({"ROUTES": ["log"]}, "ROUTES: "),
        ({"MUTE_TIMES": [{"name": "n", "times": ["late"]}], "ROUTES": {"mute_times": ["n"]}}, "MUTE_TIMES[0].times: "),
        ({"MUTE_TIMES": [{"name": "n", "days": [1], "time_zone": "Mars"}]}, "MUTE_TIMES[0].time_zone: "),
        ({"INHIBITIONS": [{"source": {}}]}, "INHIBITIONS[0]"),
        ({"HEARTBEAT": "nowhere"}, "HEARTBEAT.url: "),
        ({"HEARTBEAT": {"every": "1m"}}, "HEARTBEAT: no url; it needs url"),
        ({"HEARTBEAT": 5}, "HEARTBEAT: it is of the type int; use a dictionary"),
        ({"STORE": 5}, "STORE: it is of the type int; use the path of a file, a Store, or None"),
        ({"NAMESPACE": "a-b"}, "NAMESPACE: the namespace 'a-b'; letters, digits and underscores"),
        ({"NAMESPACE": 5}, "NAMESPACE: the namespace 5; letters"),
        ({"STALL_AFTER": "1ms"}, "STALL_AFTER: stall_after = '1ms'; 100ms or more"),
        ({"STOP_TIMEOUT": "soon"}, "STOP_TIMEOUT: "),
        ({"TOKEN": "two words"}, "TOKEN: a token that is empty or cannot stand in a header"),
        ({"HOSTS": "example.org"}, "HOSTS: it is of the type str; use a list"),
        ({"HOSTS": [5]}, "HOSTS[0]: it is of the type int; use a name"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(given: Any, said: str) -> None:
    (problem,) = read(given, MetricsRegistry()).problems
    assert problem.startswith(said)


def test_all_that_is_wrong_is_said_at_once() -> None:
    it = read(
        {
            "ALERT_RULES": [{"name": "a", "threshold": 1, "severity": "loud", "hold": "soon", "holt": 1}],
            "NOTIFICATION_CHANNELS": [{"type": "slack", "webhok_url": "http://x/", "timeout": []}],
            "STOP_TIMEOUT": "soon",
            "STALL_AFTER": "later",
            "ROUTES": {"channels": ["slack"], "routes": [{"chanels": []}, {"wait": "long"}]},
        },
        MetricsRegistry(),
    )
    assert [problem.partition(": ")[0] for problem in it.problems] == [
        "STOP_TIMEOUT",
        "STALL_AFTER",
        "ALERT_RULES[0].holt",
        "ALERT_RULES[0].severity",
        "ALERT_RULES[0].hold",
        "NOTIFICATION_CHANNELS[0].webhok_url",
        "NOTIFICATION_CHANNELS[0].timeout",
        "NOTIFICATION_CHANNELS[0]",
        "ROUTES.routes[0].chanels",
        "ROUTES.routes[1].wait",
    ]


def test_what_is_wrong_is_said_without_a_secret() -> None:
    it = read(
        {
            "NOTIFICATION_CHANNELS": [
                {"type": "slack", "webhook_url": "hooks.slack.com/XSECRET"},
                {"type": "telegram", "token": "XSECRET", "chat_id": 1},
                {"type": "webhook", "webhook_url": ["http://x/XSECRET"]},
                "http://x/XSECRET",
            ],
            "HEARTBEAT": "hc-ping.com/XSECRET",
            "TOKEN": "XSECRET XSECRET",
        },
        MetricsRegistry(),
    )
    assert len(it.problems) == 6
    assert "XSECRET" not in "".join([*it.problems, repr(it)])


def test_metrics_that_are_there_are_exported_under_another_namespace_as_well() -> None:
    registry = MetricsRegistry()
    registry.collector("jobs").counter("done").inc()
    registry.export_under("shop")
    assert "shop_jobs_done_total 1" in registry.export_metrics("prometheus")
    with pytest.raises(MetricError, match="shop_jobs_done_total"):
        registry.collector("jobs_done").gauge("total")


def test_the_example(tmp_path: Path) -> None:
    example = Path(__file__).parent.parent / "examples" / "django_site.py"
    port = free_port()
    with started([sys.executable, str(example), "runserver", str(port), "--noreload"], port, tmp_path) as served:
        assert ask(f"{served.url}/orders/7") == "order 7 taken"
        with pytest.raises(OSError, match="500"):
            ask(f"{served.url}/orders/13", patience=0.0)
        until(lambda: '"orders_failing_http"' in ask(f"{served.url}/monitor/api/alerts"), 20)
        assert 'route="/orders/<int:number>",status="500"} 1' in ask(f"{served.url}/monitor/metrics")
        out = served.end()
    assert "FIRING [error] Orders failing" in out
