"""An oracle: a real Prometheus that is given series, and says what a query makes of them.

It is Debian's, from the package `prometheus`, and asked through its HTTP API,
https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

import http.client
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet

__all__ = [
    "INSTALLED",
    "MISSING",
    "Answer",
    "Given",
    "Oracle",
    "Points",
    "Refused",
    "free_port",
    "serving",
    "started_with",
    "store",
    "version",
]

INSTALLED: Final = bool(shutil.which("prometheus") and shutil.which("promtool"))
MISSING: Final = "prometheus, from the Debian package prometheus, is not installed"

BLOCK: Final = 7_200_000
"""Milliseconds of a block of its storage. Series within one are read once, others once for each block they touch."""

PATIENCE: Final = 60.0
"""Seconds until a new server must answer, and until any answer is there."""

GRACE: Final = 10.0
"""Seconds that a server has to end by itself."""

Given: TypeAlias = tuple[LabelSet, Sequence[int], Sequence[float]]
"""A series with its times (milliseconds since 1970, whole seconds, ascending) and values."""

Points: TypeAlias = list[tuple[int, float]]
"""Times in milliseconds since 1970, with a value each."""


class Refused(Exception):
    """It has no answer; `str()` says why, in its own words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What it answers: a number, a text, the series of an instant with their values, or those of a range with their points.

    `seconds` is how long the evaluation took, all that the server does between reading the query and writing the answer.
    """

    value: float | str | dict[LabelSet, float] | dict[LabelSet, Points]
    seconds: float


class Oracle:
    """A server that runs. One connection, kept open: for one thread."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def query(self, text: str, time: int) -> Answer:
        """Ask for one moment, in milliseconds since 1970. Refused where it cannot."""
        return self._ask("/api/v1/query", {"query": text, "time": _seconds(time)})

    def query_range(self, text: str, start: int, end: int, step: int) -> Answer:
        """Ask for each `step` milliseconds from `start` to `end`. Refused where it cannot."""
        times = {"start": _seconds(start), "end": _seconds(end), "step": _seconds(step)}
        return self._ask("/api/v1/query_range", {"query": text, **times})

    def close(self) -> None:
        self._connection.close()

    def _ask(self, path: str, fields: Mapping[str, str]) -> Answer:
        body = urllib.parse.urlencode({**fields, "stats": "all"}).encode()
        self._connection.request("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = json.loads(self._connection.getresponse().read())
        if answer["status"] != "success":
            raise Refused(answer["error"])
        data = answer["data"]
        return Answer(_value(data["resultType"], data["result"]), data["stats"]["timings"]["evalTotalTime"])


@contextmanager
def started_with(series: Iterable[Given]) -> Iterator[Oracle]:
    """Start a server that knows these series and nothing else; all of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
        folder, port = Path(name), free_port()
        store(series, folder)
        with serving(folder, port):
            oracle = Oracle(port)
            try:
                yield oracle
            finally:
                oracle.close()


@contextmanager
def serving(folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a server run over what was stored in `folder`, and give its process."""
    log = folder / "log"
    with log.open("wb") as output, subprocess.Popen(_command(folder, port), stdout=output, stderr=output) as server:
        try:
            _wait(server, port, log)
            yield server
        finally:
            _end(server)


def version() -> tuple[int, int]:
    """Give the first two numbers of the version that is installed."""
    command = ["prometheus", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    assert found, said
    return int(found[1]), int(found[2])


def _command(folder: Path, port: int) -> list[str]:
    return [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=promql-experimental-functions",  # a version that does not know it says so in its log
        "--log.level=warn",
    ]


def store(series: Iterable[Given], folder: Path) -> None:
    """Make all that a server needs in `folder`, before it starts."""
    (folder / "prometheus.yml").write_text("global: {}\n")
    page = folder / "series.txt"
    with page.open("w", encoding="utf-8") as file:
        for labels, times, values in series:
            file.writelines(_lines(labels, times, values))
        file.write("# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(page), f"{folder}/data"]
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert made.returncode == 0, made.stdout
    page.unlink()


def _lines(labels: LabelSet, times: Sequence[int], values: Sequence[float]) -> Iterator[str]:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.labels.items() if name != METRIC_NAME)
    series = f"{labels.name}{{{pairs}}}"
    return (f"{series} {value!r} {time // 1000}\n" for time, value in zip(times, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # nobody listens yet
        finally:
            connection.close()
        time.sleep(0.05)
    raise AssertionError(f"prometheus does not get ready:\n{log.read_text(errors='replace')}")


def _end(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(GRACE)
    except subprocess.TimeoutExpired:
        server.kill()


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"


def _value(type: str, result: Any) -> float | str | dict[LabelSet, float] | dict[LabelSet, Points]:  # Any: JSON
    if type == "scalar":
        return float(result[1])
    if type == "string":
        return str(result[1])
    if type == "vector":
        return {LabelSet(one["metric"]): float(one["value"][1]) for one in result}
    return {LabelSet(one["metric"]): [(round(at * 1000), float(value)) for at, value in one["values"]] for one in result}
