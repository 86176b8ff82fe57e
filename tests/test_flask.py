"""A manager runs where a Flask application serves, once, and requests are measured."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

for package in ("flask", "gunicorn"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package}, from the extra 'e2e', is not installed", allow_module_level=True)

from flask import Flask, Response, abort, request, send_file, stream_with_context
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wsgi import FileWrapper

from kailash_monitor.alerts import AlertManager as AsyncAlertManager
from kailash_monitor.blocking import AlertManager
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.integrations.flask import Monitoring
from kailash_monitor.metrics import MetricsRegistry, get_metrics_registry

from served import ask, free_port, hook, nobody_in, service_laws, started, until  # isort: skip

pytestmark = pytest.mark.real_time

PROGRAM = """
    import os
    from flask import Flask
    from kailash_monitor.alerts import AlertRule, WebhookNotificationChannel
    from kailash_monitor.blocking import AlertManager
    from kailash_monitor.integrations.flask import Monitoring
    from kailash_monitor.metrics import MetricsRegistry

    registry = MetricsRegistry()
    queue = registry.collector("jobs").gauge("queue")
    manager = AlertManager(registry, store=os.environ["STORE"])
    manager.add_rule(AlertRule("queue_long", "Long", "error", "queue", "> 3", evaluation_interval="50ms"))
    manager.add_notification_channel(WebhookNotificationChannel(os.environ["HOOK"]))
    monitoring = Monitoring(manager=manager)

    def create_app():
        app = Flask(__name__)

        @app.get("/set/<int:value>")
        def set_queue(value):
            queue.set(value)
            return str(value)

        @app.get("/process")
        def process():
            return f"{os.getpid()} {manager.running}"

        monitoring.init_app(app)
        return app

    if __name__ == "__main__":
        import sys
        create_app().run(port=int(sys.argv[1]), debug=True)
"""

ROUTE = "/set/<int:value>"
GUNICORN = [sys.executable, "-m", "gunicorn", "--workers=1", "--log-level=warning"]


def gunicorn(*options: str) -> Callable[[int], list[str]]:
    return lambda port: [*GUNICORN, *options, f"--bind=127.0.0.1:{port}", "app:create_app()"]


def test_gunicorn(tmp_path: Path) -> None:
    service_laws(tmp_path, PROGRAM, gunicorn(), route=ROUTE)


def test_gunicorn_that_loads_the_application_before_it_forks(tmp_path: Path) -> None:
    service_laws(tmp_path, PROGRAM, gunicorn("--preload"), route=ROUTE)


def test_a_worker_ends_in_time_while_the_webhook_hangs(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(PROGRAM))
    port = free_port()
    with hook(answers=False) as receiver:
        surroundings = {"HOOK": receiver.url, "STORE": str(tmp_path / "alerts.db")}
        with started(gunicorn()(port), port, tmp_path, **surroundings) as served:
            ask(f"{served.url}/set/9")
            until(lambda: receiver.got)
            served.end()
            assert nobody_in(served.process.pid)


def test_a_new_worker_starts_once_the_old_one_has_given_the_store_back(tmp_path: Path) -> None:
    """On SIGHUP gunicorn starts the new one first."""
    (tmp_path / "app.py").write_text(textwrap.dedent(PROGRAM))
    port = free_port()
    with hook() as receiver:
        surroundings = {"HOOK": receiver.url, "STORE": str(tmp_path / "alerts.db")}
        with started(gunicorn()(port), port, tmp_path, **surroundings) as served:
            until(lambda: ask(f"{served.url}/process").endswith("True"))
            before = ask(f"{served.url}/process")
            served.process.send_signal(signal.SIGHUP)
            until(lambda: ask(f"{served.url}/process") != before and ask(f"{served.url}/process").endswith("True"))
            ask(f"{served.url}/set/9")
            until(lambda: receiver.told() == ["firing"])


def test_the_hook_of_gunicorn_starts_it_before_any_request(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(PROGRAM) + "\napp = create_app()\nqueue.set(9)\n")
    (tmp_path / "gunicorn.conf.py").write_text(
        "preload_app = True\n\ndef post_worker_init(worker):\n    from app import monitoring\n\n    monitoring.start()\n"
    )
    port = free_port()
    with hook() as receiver:
        surroundings = {"HOOK": receiver.url, "STORE": str(tmp_path / "alerts.db")}
        with started([*GUNICORN, f"--bind=127.0.0.1:{port}", "app:app"], port, tmp_path, **surroundings) as served:
            until(lambda: receiver.told() == ["firing"])
            served.end()


def flask_run(port: int) -> list[str]:
    return [sys.executable, "-m", "flask", "--app", "app:create_app", "run", "--debug", f"--port={port}"]


def script(port: int) -> list[str]:
    return [sys.executable, "app.py", str(port)]


@pytest.mark.parametrize("command", [flask_run, script])
def test_under_the_reloader_one_manager_alerts_and_again_after_a_change(
    command: Callable[[int], list[str]], tmp_path: Path
) -> None:
    program = textwrap.dedent(PROGRAM).replace('store=os.environ["STORE"]', "store=None")
    (tmp_path / "app.py").write_text(program)
    port = free_port()
    with hook() as receiver, started(command(port), port, tmp_path, HOOK=receiver.url) as served:
        ask(f"{served.url}/set/9")
        until(lambda: receiver.told() == ["firing"], what=lambda: receiver.got)
        process = ask(f"{served.url}/process")
        (tmp_path / "app.py").write_text(f"{program}\n")
        until(lambda: ask(f"{served.url}/process") != process)
        assert receiver.told() == ["firing"]
        ask(f"{served.url}/set/9")
        until(lambda: receiver.told() == ["firing", "firing"], what=lambda: receiver.got)


@pytest.mark.parametrize("arguments", [["shell"], ["routes"], ["tell"]])
def test_a_command_starts_nothing(arguments: list[str], tmp_path: Path) -> None:
    own = """
        import click
        app = create_app()

        @app.cli.command("tell")
        def tell():
            click.echo(manager.running)
    """
    (tmp_path / "app.py").write_text(textwrap.dedent(PROGRAM) + textwrap.dedent(own))
    command = subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "HOOK": "http://127.0.0.1:1/",
            "STORE": "alerts.db",
        },
        input="manager.running\nimport threading; threading.active_count()\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "True" not in command.stdout
    assert not (tmp_path / "alerts.db").exists()


@pytest.mark.parametrize(
    "command",
    [
        lambda port: [sys.executable, "flask_app.py", f"--port={port}"],
        lambda port: [*GUNICORN, f"--bind=127.0.0.1:{port}", "flask_app:app"],
    ],
    ids=["script", "gunicorn"],
)
def test_the_example(command: Callable[[int], list[str]]) -> None:
    port = free_port()
    with started(command(port), port, Path(__file__).parent.parent / "examples") as served:
        assert json.loads(ask(f"{served.url}/orders/7"))["order"] == 7
        with pytest.raises(urllib.error.HTTPError):
            ask(f"{served.url}/orders/0", patience=0)
        until(lambda: '"requests_failing_http"' in ask(f"{served.url}/monitor/api/alerts"))
        until(lambda: '"delivered": 1' in ask(f"{served.url}/monitor/api/channels"))
        assert 'route="/orders/<int:number>",status="500"} 1' in ask(f"{served.url}/monitor/metrics")
        served.process.send_signal(signal.SIGTERM)
        out, _ = served.process.communicate(timeout=10)
    assert "FIRING [error] Requests failing (is 0.5, limit 0.2): More than a fifth of the requests fail" in out


def counted(registry: MetricsRegistry, metric: str = "requests") -> dict[tuple[str, ...], float]:
    metrics = registry.collector("http").get_all_metrics()
    return {tuple(series.labels.values()): series.total for series in metrics[metric].series}


def in_progress(registry: MetricsRegistry) -> float | None:
    metric = registry.collector("http").get_metric("requests_in_progress")
    return metric and metric.get_latest_value()


@pytest.fixture
def shelf() -> MetricsRegistry:
    return MetricsRegistry()


@pytest.fixture
def app(shelf: MetricsRegistry) -> Flask:
    app = Flask(__name__)
    app.testing = False

    @app.get("/users/<int:number>")
    def user(number: int) -> str:
        if number == 0:
            abort(404)
        return str(100 // (number - 1))

    @app.get("/stream")
    def stream() -> Response:
        def lines() -> Iterator[str]:
            yield "a"
            if "fail" in request.args:
                raise ValueError("half-way")
            yield "b"

        return Response(stream_with_context(lines()))

    @app.get("/file")
    def file() -> Response:
        return send_file(Path(__file__))

    Monitoring(app, AlertManager(shelf))
    return app


def test_requests_are_counted_by_the_rule_of_their_url(app: Flask, shelf: MetricsRegistry) -> None:
    client = app.test_client()
    for path in ("/users/2", "/users/3", "/users/0", "/users/1", "/nothing/7"):
        assert client.get(path).data
    assert client.post("/users/2").data
    assert client.open("/users/2", method="FROBNICATE").data
    assert counted(shelf) == {
        ("GET", "/users/<int:number>", "200"): 2,
        ("GET", "/users/<int:number>", "404"): 1,
        ("GET", "/users/<int:number>", "500"): 1,
        ("GET", "unmatched", "404"): 1,
        ("POST", "unmatched", "405"): 1,
        ("other", "unmatched", "405"): 1,
    }
    assert counted(shelf, "requests_failed") == {("GET", "/users/<int:number>"): 1}
    assert in_progress(shelf) == 0


def test_an_exception_that_goes_through_counts_as_500_and_goes_through(app: Flask, shelf: MetricsRegistry) -> None:
    app.testing = True
    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/users/1")
    assert counted(shelf) == {("GET", "/users/<int:number>", "500"): 1}


def test_a_stream_lasts_until_its_last_byte(app: Flask, shelf: MetricsRegistry) -> None:
    chunks, _, _ = Client(app).run_wsgi_app(EnvironBuilder("/stream").get_environ())
    chunks = iter(chunks)
    assert (next(chunks), in_progress(shelf), counted(shelf)) == (b"a", 1, {})
    assert (list(chunks), in_progress(shelf), counted(shelf)) == ([b"b"], 0, {("GET", "/stream", "200"): 1})


def test_a_stream_that_fails_half_way_counts_as_500(app: Flask, shelf: MetricsRegistry) -> None:
    chunks, _, _ = Client(app).run_wsgi_app(EnvironBuilder("/stream?fail").get_environ())
    with pytest.raises(ValueError, match="half-way"):
        list(chunks)
    assert counted(shelf) == {("GET", "/stream", "500"): 1}


def test_a_client_that_goes_away_counts_as_499(app: Flask, shelf: MetricsRegistry) -> None:
    answer = app.wsgi_app(EnvironBuilder("/stream").get_environ(), lambda *_: lambda _: None)
    assert next(iter(answer)) == b"a"
    answer.close()
    assert counted(shelf) == {("GET", "/stream", "499"): 1}


def test_a_file_stays_what_the_server_can_send_by_itself(app: Flask, shelf: MetricsRegistry) -> None:
    environ = EnvironBuilder("/file").get_environ() | {"wsgi.file_wrapper": FileWrapper}
    answer = app.wsgi_app(environ, lambda *_: lambda _: None)
    assert isinstance(answer, FileWrapper)
    answer.close()
    assert counted(shelf) == {("GET", "/file", "200"): 1}


def test_the_pages_are_below_the_prefix(shelf: MetricsRegistry) -> None:
    app = Flask(__name__)
    Monitoring(app, AlertManager(shelf), prefix="/inner/state/", token="secret", hosts=["example.org"])
    client = app.test_client()
    assert "/api/alerts" in client.get("/inner/state/").text
    page = client.get(
        "/inner/state/metrics?name[]=kailash_http_requests_total&name[]=none", headers={"Accept": "text/plain"}
    )
    assert page.text.count("# TYPE") == 1
    head = client.head("/inner/state/api/alerts")
    assert (head.data, head.content_length) == (b"", len(client.get("/inner/state/api/alerts").data))
    assert client.get("/inner/state/healthz").status_code == 503
    assert client.get("/inner/state/none").json == client.get("/inner/state/none/").json
    assert client.put("/inner/state/metrics").status_code == 405
    mine = {"Authorization": "Bearer secret", "Host": "example.org"}
    made = client.post("/inner/state/api/silences", json={"matchers": "a=b", "reason": "für"}, headers=mine)
    assert (made.status_code, made.json and made.json["silence"]["reason"]) == (201, "für")
    assert client.post("/inner/state/api/silences", json={"matchers": "x" * 70_000}, headers=mine).status_code == 413
    assert client.post("/inner/state/api/silences", json={}, headers={"Host": "example.org"}).status_code == 401


def test_what_the_application_asks_before_each_request_is_asked_for_the_pages_too(shelf: MetricsRegistry) -> None:
    app = Flask(__name__)

    @app.before_request
    def let_in() -> tuple[str, int] | None:
        body = request.get_data()
        return None if request.headers.get("X-Key") == "7" and body is not None else ("no", 403)

    Monitoring(app, AlertManager(shelf), token="secret")
    client = app.test_client()
    assert client.get("/monitor/metrics").status_code == 403
    keys = {"X-Key": "7", "Authorization": "Bearer secret"}
    assert client.get("/monitor/metrics", headers=keys).status_code == 200
    assert client.post("/monitor/api/silences", json={"matchers": "a=b"}, headers=keys).status_code == 201


def test_one_extension_monitors_several_applications(shelf: MetricsRegistry) -> None:
    monitoring = Monitoring(manager=AlertManager(shelf))
    for name in ("one", "two"):
        app = Flask(name)
        monitoring.init_app(app)
        assert app.extensions["kailash_monitor"] is monitoring
        assert app.test_client().get("/none").data
    assert counted(shelf) == {("GET", "unmatched", "404"): 2}


def test_requests_need_not_be_measured(shelf: MetricsRegistry) -> None:
    app = Flask(__name__)
    Monitoring(app, AlertManager(shelf), requests=False)
    assert app.test_client().get("/none").status_code == 404
    assert "http" not in shelf.get_all_collectors()


def test_in_a_test_nothing_is_started_but_by_hand(app: Flask) -> None:
    monitoring = app.extensions["kailash_monitor"]
    app.test_client().get("/users/2")
    assert not monitoring.manager.running
    try:
        monitoring.start()
        monitoring.start()
        until(lambda: monitoring.manager.running)
        assert app.test_client().get("/monitor/healthz").status_code == 200
    finally:
        monitoring.stop()
    assert not monitoring.manager.running
    assert repr(monitoring).startswith("<Monitoring /monitor, <blocking AlertManager not running")


def test_where_it_cannot_start_the_application_goes_on_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager = AlertManager(MetricsRegistry(), store=tmp_path / "no" / "folder.db")
    app = Flask(__name__)
    monitoring = Monitoring(app, manager)
    monitoring.start()
    until(lambda: "is not there" in caplog.text)
    assert app.test_client().get("/monitor/healthz").status_code == 503
    monitoring.stop()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("kailash-monitor")])


def test_without_a_manager_it_is_one_of_the_registry_that_all_share() -> None:
    assert Monitoring().manager.metrics_registry is get_metrics_registry()


@pytest.mark.parametrize("prefix", ["", "/", "monitor"])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="expected|a path such as '/monitor'"):
        Monitoring(prefix=prefix)


def test_a_manager_for_event_loops_is_refused(shelf: MetricsRegistry) -> None:
    with pytest.raises(ConfigurationError, match=r"a kailash_monitor\.blocking\.AlertManager"):
        Monitoring(manager=AsyncAlertManager(shelf))  # type: ignore[arg-type]


def test_an_application_is_monitored_once(app: Flask) -> None:
    with pytest.raises(ConfigurationError, match="a second time"):
        Monitoring().init_app(app)
