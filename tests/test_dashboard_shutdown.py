"""A program ends in time while dashboards are open, whatever serves them."""

import http.client
import importlib.util
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from served import Served, ask, free_port, nobody_in, started, until  # isort: skip

pytestmark = pytest.mark.real_time

DASHBOARDS = 3
POLLS = 3
"""Answers that each dashboard has had before the program is to end."""

SETTING = """
    import os, sys
    from kailash_monitor.alerts import AlertManager, AlertRule
    from kailash_monitor.metrics import MetricsRegistry

    registry = MetricsRegistry()
    registry.collector("jobs").gauge("queue").set(9)
    manager = AlertManager(registry, store="alerts.db")
    manager.add_rule(AlertRule("queue_long", "Long", "error", "queue", "> 3", evaluation_interval="50ms"))
"""

ASGI = f"""
{SETTING}
    from fastapi import FastAPI
    from kailash_monitor.integrations.fastapi import monitor

    app = FastAPI()
    monitor(app, manager, token="not-to-be-guessed-by-anybody")
"""

AIOHTTP = f"""
{SETTING}
    from aiohttp import web
    from kailash_monitor.integrations.aiohttp import monitor

    app = web.Application()
    monitor(app, manager, token="not-to-be-guessed-by-anybody")
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""

Command = Callable[[int], Sequence[str]]


def uvicorn(port: int) -> Sequence[str]:
    return [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]


def gunicorn(port: int) -> Sequence[str]:
    worker, bind = "uvicorn.workers.UvicornWorker", f"127.0.0.1:{port}"
    quiet = ["--log-level", "warning", "--access-logfile", "/dev/null"]
    return [sys.executable, "-W", "ignore", "-m", "gunicorn", "app:app", "-w", "1", "-k", worker, "-b", bind, *quiet]


def aiohttp(port: int) -> Sequence[str]:
    return [sys.executable, "app.py", str(port)]


def command_line(port: int) -> Sequence[str]:
    listen = ["--listen", f"127.0.0.1:{port}"]
    return [
        sys.executable,
        "-c",
        "from kailash_monitor.cli import main; main()",
        "run",
        "--plain",
        *listen,
        "--store",
        "a.db",
    ]


CASES: list[tuple[str, Command, str, tuple[str, ...]]] = [
    (ASGI, uvicorn, "/monitor", ("fastapi", "uvicorn")),
    (ASGI, gunicorn, "/monitor", ("fastapi", "uvicorn", "gunicorn")),
    (AIOHTTP, aiohttp, "/monitor", ()),
    ("", command_line, "", ("click", "rich")),
]


class Dashboard(threading.Thread):
    """Asks as the page does, without a pause: over one connection that is kept, with the cursors of the last answers."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.answered = 0
        self.trouble: list[str] = []
        self._at = urlsplit(url)
        self._cursors: dict[str, str] = {}

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._at.netloc, timeout=10)
        try:
            while True:
                for path in ("alerts?limit=50", "health", "tiles"):
                    self._ask(connection, path)
                self.answered += 1
        except (OSError, http.client.HTTPException):
            return  # the program has ended
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, path: str) -> None:
        since = f"&since={quote(self._cursors[path])}" if path in self._cursors else ""
        connection.request("GET", f"{self._at.path}/api/{path}{since}")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            self.trouble.append(f"{path}: {answer.status} {body.decode()}")
            return
        cursor = json.loads(body).get("cursor")
        if cursor is not None:
            self._cursors[path] = cursor


@contextmanager
def held(url: str, request: bytes) -> Iterator[None]:
    """A connection on which something was asked, and whose answer nobody reads yet: a browser keeps several of them."""
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port)) as connection:
        connection.sendall(request)
        yield


@pytest.mark.parametrize(("program", "command", "mount", "needs"), CASES, ids=["uvicorn", "gunicorn", "aiohttp", "run"])
def test_three_open_dashboards_do_not_keep_a_program_from_ending(
    program: str, command: Command, mount: str, needs: tuple[str, ...], tmp_path: Path
) -> None:
    """In less than five seconds, which `Served.end` looks at, without an error, and with no process left behind."""
    for package in needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    (tmp_path / "app.py").write_text("\n".join(line.removeprefix("    ") for line in program.splitlines()))
    port = free_port()
    with started(command(port), port, tmp_path) as served:
        url = f"{served.url}{mount}"
        ask(f"{url}/api/health")
        with _opened(url) as dashboards:
            until(lambda: all(one.answered >= POLLS for one in dashboards), what=lambda: [one.trouble for one in dashboards])
            assert [one.trouble for one in dashboards] == [[]] * DASHBOARDS
            assert all(one.is_alive() for one in dashboards)
            _ended(served)
        assert nobody_in(served.process.pid)


@contextmanager
def _opened(url: str) -> Iterator[list[Dashboard]]:
    """Open dashboards: each polls, and keeps two more connections, of which one has an answer to come."""
    path = urlsplit(url).path
    question = f"GET {path}/api/alerts HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    dashboards = [Dashboard(url) for _ in range(DASHBOARDS)]
    with ExitStack() as stack:
        for dashboard in dashboards:
            stack.enter_context(held(url, question))
            stack.enter_context(held(url, b""))
            dashboard.start()
        yield dashboards
    for dashboard in dashboards:
        dashboard.join(10)
        assert not dashboard.is_alive()


def _ended(served: Served) -> None:
    served.end()
    assert served.process.returncode in (0, -15)  # uvicorn raises the signal again once it is done
