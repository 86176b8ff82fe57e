"""Programs that serve, started for real, and what is asked of each of them, whichever framework it is of."""

import json
import os
import signal
import socket
import subprocess
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["Hook", "Served", "ask", "free_port", "hook", "service_laws", "started", "until"]


@dataclass
class Hook:
    """A webhook in a thread of its own. While `status` is not 200 it refuses; while `open` is not set it does not answer."""

    url: str = ""
    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)
    came: list[float] = field(default_factory=list)  # when each of them did, on time.monotonic()
    refused: list[dict[str, Any]] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)

    def kinds(self) -> list[str]:
        """The kinds of all that was taken."""
        return [body["context"]["kind"] for body in self.got]

    def told(self) -> list[str]:
        """The kinds of what was taken, each message once."""
        by_id = {body["context"]["message_id"]: body["context"]["kind"] for body in self.got}
        return list(by_id.values())


@contextmanager
def hook(*, answers: bool = True) -> Iterator[Hook]:
    one = Hook()
    if answers:
        one.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if one.status == 200:
                one.came.append(time.monotonic())
                one.got.append(body)
            else:
                one.refused.append(body)
            one.open.wait(20)
            self.send_response(one.status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    one.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield one
    finally:
        one.open.set()
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(url: str, *, patience: float = 15.0) -> str:
    """Ask until somebody answers: the program has just been started."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                body: bytes = answer.read()
                return body.decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def until(true: Callable[[], object], seconds: float = 15.0, *, what: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


@dataclass
class Served:
    """A program that serves at `url`."""

    url: str
    process: "subprocess.Popen[str]"

    def end(self) -> str:
        """End it as a service manager does; it takes less than five seconds, and says nothing of errors."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=15)
        assert time.monotonic() - begun < 5, out
        assert "Traceback" not in out, out
        return out


@contextmanager
def started(command: Sequence[str], port: int, folder: Path, **environment: str) -> Iterator[Served]:
    """Start a command in `folder`, in a session of its own, which is ended with all that it has started."""
    process = subprocess.Popen(
        list(command),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Served(f"http://127.0.0.1:{port}", process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def service_laws(folder: Path, program: str, command: Callable[[int], Sequence[str]], *, route: str) -> None:
    """What holds for every program that serves and is monitored, whatever it is made with.

    `program` is its text, put into `app.py`; `command` starts it on a port. It serves `/set/<value>`, which sets the gauge
    `queue`, has the rule `queue > 3`, tells the webhook in the environment's HOOK, keeps its state in STORE, and has the
    monitoring pages below `/monitor`. `route` is the template of the first in the metrics.
    """
    (folder / "app.py").write_text(textwrap.dedent(program))
    with hook() as receiver:
        surroundings = {"HOOK": receiver.url, "STORE": str(folder / "alerts.db")}
        port = free_port()
        with started(command(port), port, folder, **surroundings) as served:
            assert ask(f"{served.url}/set/9") == "9"
            until(lambda: receiver.told() == ["firing"], what=lambda: receiver.got)
            page = ask(f"{served.url}/monitor/metrics")
            assert f'kailash_http_requests_total{{method="GET",route="{route}",status="200"}} 1' in page
            assert json.loads(ask(f"{served.url}/monitor/healthz"))["status"] == "ok"
            receiver.status = 503
            ask(f"{served.url}/set/0")
            until(lambda: receiver.refused, what=lambda: ask(f"{served.url}/monitor/api/alerts"))
            served.end()
            assert nobody_in(served.process.pid)
        assert receiver.told() == ["firing"]
        receiver.status = 200
        port = free_port()
        with started(command(port), port, folder, **surroundings) as served:
            ask(f"{served.url}/monitor/metrics")
            until(lambda: receiver.told() == ["firing", "resolved"], what=lambda: receiver.got)
            served.end()
        assert receiver.told() == ["firing", "resolved"]


def nobody_in(session: int) -> bool:
    """Whether no process is left of a session."""
    listed = subprocess.run(["ps", "-eo", "sid,stat"], capture_output=True, text=True, check=True).stdout
    alive = [line.split() for line in listed.splitlines()[1:]]
    return not [sid for sid, stat in alive if sid == str(session) and not stat.startswith("Z")]
