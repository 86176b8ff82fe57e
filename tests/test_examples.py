"""Each example is started for real and asked something."""

import http.server
import importlib.util
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@contextmanager
def running(name: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    program = subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(url: str, method: str = "GET", *, patience: float = 10.0) -> str:
    """Ask until somebody answers: the program has just been started."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
                body: bytes = answer.read()
                return body.decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def until(url: str, wanted: str, *, patience: float = 10.0) -> str:
    deadline = time.monotonic() + patience
    while wanted not in (page := ask(url)):
        assert time.monotonic() < deadline, page
        time.sleep(0.05)
    return page


def ended_cleanly(program: "subprocess.Popen[str]") -> str:
    begun = time.monotonic()
    program.send_signal(signal.SIGTERM)
    out, _ = program.communicate(timeout=10)
    assert time.monotonic() - begun < 5
    assert "Traceback" not in out
    return out


def test_the_fastapi_service() -> None:
    for package in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package}, from the extra 'fastapi', is not installed")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running("fastapi_app.py", "--port", str(port)) as program:
        assert json.loads(ask(f"{url}/health")) == {"status": "healthy", "firing": []}
        assert json.loads(ask(f"{url}/work?ms=1100")) == {"worked_ms": 1100}
        until(f"{url}/health", "slow_requests_http")
        page = ask(f"{url}/monitor/metrics")
        assert 'kailash_http_request_duration_seconds_count{method="GET",route="/work"} 1' in page
        out = ended_cleanly(program)
    assert re.search(r"FIRING \[warning\] Slow requests \(is \d,\d\d\d", out)


def test_the_aiohttp_application() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running("aiohttp_app.py", "--port", str(port)) as program:
        for _ in range(4):
            ask(f"{url}/jobs", "POST")
        until(f"{url}/monitor/api/alerts", '"status": "firing"')
        assert "kailash_jobs_queue_length 4" in ask(f"{url}/monitor/metrics")
        assert json.loads(ask(f"{url}/monitor/healthz"))["status"] == "ok"
        ask(f"{url}/jobs", "DELETE")
        until(f"{url}/monitor/api/alerts", '"status": "resolved"')
        out = ended_cleanly(program)
    assert re.search(r"FIRING .*Queue long.*\n.*RESOLVED .*Queue long", out)


def test_the_workers() -> None:
    posted: list[dict[str, dict[str, object]]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with running("worker.py", "--seconds", "20", "--webhook", f"http://127.0.0.1:{server.server_port}/") as program:
            deadline = time.monotonic() + 15
            while len(posted) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            out = ended_cleanly(program)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [document["alert"]["status"] for document in posted] == ["firing", "resolved"]
    assert out.count("FIRING") == out.count("RESOLVED") == 1
