"""The command line, as a process of its own."""

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from kailash_monitor.alerts import Alert, AlertRule, AlertSeverity, AlertStatus
from kailash_monitor.cli.gauges import Line, main_lines
from kailash_monitor.cli.live import screen
from kailash_monitor.cli.logs import LogView
from kailash_monitor.cli.run import last_words
from kailash_monitor.cli.sparkline import sparkline
from kailash_monitor.cli.state import state_folder
from kailash_monitor.engine import Delivery, RuleStatus, Untold
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.storage import SqliteStore
from kailash_monitor.web import Listen

COMMAND = [sys.executable, "-c", "from kailash_monitor.cli import main; main()"]
EXAMPLE = Path(__file__).parent.parent / "examples" / "monitor.yaml"


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30, **options)  # type: ignore[call-overload,no-any-return]


@contextmanager
def running(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start the program and give it and the address it serves on."""
    program = subprocess.Popen([*COMMAND, "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        for line in program.stdout:
            if found := re.search(r"http://([\d.:]+)/metrics", line):
                _wait_until_ready(found[1])
                yield program, found[1]
                break
    finally:
        program.kill()
        program.communicate()


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            ask(address, "/readyz")
            return
        except urllib.error.HTTPError:
            assert time.monotonic() < deadline, "it was not ready in ten seconds"
            time.sleep(0.05)


def ask(address: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
        body: bytes = answer.read()
        return body.decode()


def test_without_configuration_it_watches_and_serves_this_machine() -> None:
    with running("--plain", "--listen", "127.0.0.1:0") as (program, address):
        page = ask(address, "/metrics")
        for name in ("host_memory_usage_ratio", "host_disk_usage_ratio", "process_resident_memory_bytes", "host_load1"):
            assert f"\nkailash_{name}" in page
        assert set(json.loads(ask(address, "/metrics/json"))) == {"host", "process", "loop", "monitor"}
        assert len(json.loads(ask(address, "/api/rules"))["rules"]) == 6
        alerts = json.loads(ask(address, "/api/alerts"))["alerts"]
        assert [alert["status"] for alert in alerts if alert["status"] != "pending"] == []  # the machine may be busy
        assert json.loads(ask(address, "/healthz"))["status"] == "ok"
        assert json.loads(ask(address, "/readyz"))["ready"]
        begun = time.monotonic()
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
        assert time.monotonic() - begun < 5


@pytest.mark.external
def test_promtool_accepts_the_page_of_the_running_program() -> None:
    import shutil

    if not shutil.which("promtool"):
        pytest.skip("promtool, from the Debian package prometheus, is not installed")
    with running("--plain", "--listen", "127.0.0.1:0") as (_, address):
        time.sleep(1.2)
        page = ask(address, "/metrics")
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_it_ends_by_itself_and_by_ctrl_c() -> None:
    begun = time.monotonic()
    ended = run("run", "--for", "500ms", "--json-logs", "--listen", "127.0.0.1:0")
    assert ended.returncode == 0
    assert time.monotonic() - begun < 6
    records = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [record["level"] for record in records] == ["info"] * len(records)
    assert "watching host, process, loop by 6 rules" in records[-2]["message"]
    assert records[-1]["message"] == "ending"
    with running("--listen", "127.0.0.1:0") as (program, _):
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=5)
        assert (program.returncode, err) == (0, "")
        assert "ending" in out


def test_alerts_are_written_to_the_log_with_their_fields(tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text(
        "rules:\n- {name: always, metric: threads, collector: process, condition: '> 0', evaluation_interval: 100ms}\n"
    )
    ended = run("run", "--config", str(config), "--for", "1s", "--json-logs", "--listen", "127.0.0.1:0")
    (alert,) = [json.loads(line) for line in ended.stdout.splitlines() if '"alert_id"' in line]
    assert (alert["alert_id"], alert["alert_kind"], alert["severity"], alert["level"]) == (
        "always_process", "firing", "warning", "warning",
    )  # fmt: skip


def test_a_taken_default_port_moves_on_and_says_so() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 9464))
            taken.listen()
        except OSError:
            pass  # taken already, by somebody else: as good
        ended = run("run", "--for", "100ms", "--plain")
    assert ended.returncode == 0
    assert re.search(r"port 9464 is in use, so port 94\d\d it is", ended.stdout)


@pytest.mark.parametrize("port", ["0", "free"])
def test_a_stated_port_is_nothing_to_wonder_at(port: str) -> None:
    if port == "free":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
    ended = run("run", "--for", "100ms", "--plain", "--listen", f"127.0.0.1:{port}")
    assert ended.returncode == 0
    assert "is in use" not in ended.stdout


def test_a_stated_port_that_is_taken_is_one_line_and_exit_code_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run("run", "--plain", "--listen", f"127.0.0.1:{port}")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert (
        ended.stderr
        == f"kailash-monitor: cannot serve on 127.0.0.1:{port}: the port is in use; choose another, or 0 for any free one\n"
    )


def test_a_privileged_port_is_one_line_and_exit_code_1() -> None:
    """Run by an ordinary user, with the system's rule that ports below 1024 are privileged."""
    rule = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if rule.exists() and int(rule.read_text()) < 81:
        pytest.skip("this system lets anybody use low ports")
    if os.geteuid() == 0:  # what is imported need not be readable by nobody: it is imported before the change
        script = "import os, psutil, aiohttp.web; from kailash_monitor.cli import commands; os.setgroups([]); os.setgid(65534); os.setuid(65534); commands.commands(prog_name='kailash-monitor')"
        command = [sys.executable, "-c", script, "run", "--plain", "--listen", "127.0.0.1:80"]
    else:
        command = [*COMMAND, "run", "--plain", "--listen", "127.0.0.1:80"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=clean)
    assert ended.returncode == 1
    assert (
        ended.stderr
        == "kailash-monitor: cannot serve on 127.0.0.1:80: not permitted; ports below 1024 need a privilege, choose one above\n"
    )


def test_check_says_what_a_file_defines() -> None:
    ended = run("check", str(EXAMPLE))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{EXAMPLE}: ok: 9 rules; collectors: host, process, loop; channels: log, pager\n"


@pytest.mark.parametrize("command", [["check"], ["run", "--config"]])
def test_a_wrong_file_is_told_with_line_and_key_and_exit_code_2(command: list[str], tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text("rules:\n- name: x\n  metric: m\n  condition: '> 5'\n  severty: loud\n")
    ended = run(*command, str(config))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"{config}:5: rules[0].severty: unknown key; did you mean 'severity'?\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--for", "soon"], "'soon' is not a duration"),
        (["run", "--for", "0s"], "'0s' is not above zero"),
        (["run", "--listen", "nowhere"], "'nowhere'; write host:port"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: list[str], message: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_a_missing_dependency_is_one_line_and_exit_code_1() -> None:
    script = "import sys; from kailash_monitor.cli import commands; sys.modules['psutil'] = None; commands.commands(['run'])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (
        1,
        "kailash-monitor: watching the host and the process needs psutil: pip install 'kailash-monitor[system]'\n",
    )


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = subprocess.Popen(
        [*COMMAND, "run", "--for", "1s", "--plain", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.readline()
    program.stdout.close()
    assert program.wait(10) == 0
    assert program.stderr.read() == ""
    program.stderr.close()


def test_sigterm_ends_it_in_time_though_a_receiver_says_nothing(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = tmp_path / "monitor.yaml"
        config.write_text(
            f"channels: [{{type: webhook, url: 'http://127.0.0.1:{silent.getsockname()[1]}/'}}]\n"
            "rules: [{name: always, metric: threads, collector: process, condition: '> 0', evaluation_interval: 100ms}]\n"
        )
        with running("--config", str(config), "--plain", "--listen", "127.0.0.1:0") as (program, _):
            peer, _ = silent.accept()
            begun = time.monotonic()
            program.send_signal(signal.SIGTERM)
            assert program.wait(10) == 0
            assert time.monotonic() - begun < 5
            peer.close()


# -- what survives it


@pytest.fixture
def always(tmp_path: Path) -> Path:
    """A file with one rule that always fires."""
    path = tmp_path / "always.yaml"
    path.write_text(
        "rules: [{name: always, metric: threads, collector: process, condition: '> 0', evaluation_interval: 100ms}]\n"
    )
    return path


@pytest.mark.parametrize("how", ["by default", "--store", "store:"])
def test_an_alert_survives_a_restart_and_is_told_once(how: str, always: Path, tmp_path: Path) -> None:
    database = tmp_path / "alerts.db"
    command = ["run", "--config", str(always), "--for", "1s", "--plain", "--listen", "127.0.0.1:0"]
    if how == "--store":
        command += ["--store", str(database)]
    elif how == "store:":
        always.write_text(f"store: {database}\n{always.read_text()}")
    else:
        database = state_folder() / "kailash-monitor.db"
    first, second = run(*command), run(*command)
    assert (first.returncode, first.stderr, second.returncode, second.stderr) == (0, "", 0, "")
    assert "FIRING [warning] Always" in first.stdout
    assert "from before" not in first.stdout
    assert "FIRING" not in second.stdout
    assert "going on with 1 alert from before\n" in second.stdout
    assert "still firing: [warning] Always (always_process)\n" in second.stdout
    assert database.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("stated", [False, True])
def test_without_a_store_nothing_survives_it(stated: bool, always: Path, tmp_path: Path) -> None:
    if stated:
        always.write_text(f"store: {tmp_path}/alerts.db\n{always.read_text()}")
    for _ in range(2):
        ended = run("run", "--config", str(always), "--for", "300ms", "--plain", "--listen", "127.0.0.1:0", "--no-store")
        assert "FIRING [warning] Always" in ended.stdout
    assert list(tmp_path.glob("*.db")) == list(state_folder().glob("*.db")) == []


def test_a_stated_database_of_a_running_program_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    database = tmp_path / "alerts.db"
    with running("--plain", "--listen", "127.0.0.1:0", "--store", str(database)) as (program, address):
        ended = run("run", "--plain", "--listen", "127.0.0.1:0", "--store", str(database))
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr == (
            f"kailash-monitor: {database}: another program, process {program.pid}, uses it;"
            " stop that, or give each a file of its own\n"
        )
        assert json.loads(ask(address, "/healthz"))["status"] == "ok"


def test_two_programs_run_on_one_machine_though_one_has_the_database(always: Path) -> None:
    with running("--plain", "--listen", "127.0.0.1:0") as (program, _):
        ended = run("run", "--config", str(always), "--for", "300ms", "--plain", "--listen", "127.0.0.1:0")
    assert (ended.returncode, ended.stderr) == (0, "")
    (warning,) = [line for line in ended.stdout.splitlines() if "forgotten" in line]
    assert (
        f"what happens now is forgotten at the end: {state_folder()}/kailash-monitor.db: another program, process {program.pid}, uses it;"
        in warning
    )
    assert "FIRING [warning] Always" in ended.stdout


def test_a_database_that_is_none_is_left_as_it_is(tmp_path: Path) -> None:
    database = tmp_path / "notes.txt"
    database.write_text("not a database, but dear to somebody\n" * 100)
    ended = run("run", "--for", "100ms", "--plain", "--listen", "127.0.0.1:0", "--store", str(database))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"kailash-monitor: {database}: it is damaged, or no database (file is not a database); ")
    assert ended.stderr.count("\n") == 1
    assert database.read_text().startswith("not a database")


def test_a_store_in_a_folder_that_is_not_there_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text(f"store: {tmp_path}/none/alerts.db")
    ended = run("run", "--config", str(config), "--for", "100ms", "--plain", "--listen", "127.0.0.1:0")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert f"the folder {tmp_path}/none is not there; " in ended.stderr


def test_a_database_that_cannot_be_read_ends_it_with_exit_code_1(tmp_path: Path) -> None:
    database = tmp_path / "alerts.db"
    store = SqliteStore(database)
    store.open()
    store.close()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DROP TABLE alerts")
    ended = run("run", "--plain", "--listen", "127.0.0.1:0", "--store", str(database))
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith(
        f"kailash-monitor: the alert manager could not start: StoreError: {database}: no such table"
    )


def test_a_state_folder_that_cannot_be_keeps_nobody_from_monitoring(always: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(always))
    ended = run("run", "--config", str(always), "--for", "300ms", "--plain", "--listen", "127.0.0.1:0")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search(
        rf"WARNING +what happens now is forgotten at the end: {always}.*: (File exists|Not a directory)", ended.stdout
    )
    assert "FIRING [warning] Always" in ended.stdout


def test_check_does_not_touch_the_store(tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text(f"store: {tmp_path}/alerts.db")
    ended = run("check", str(config))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == [config]
    assert not state_folder().exists()


def test_a_store_and_none_is_wrong_use() -> None:
    ended = run("run", "--store", "x.db", "--no-store")
    assert (ended.returncode, ended.stderr) == (2, "kailash-monitor: --store and --no-store together; choose one\n")


# -- how it ends


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP on this system")
def test_a_terminal_that_is_closed_ends_it_well() -> None:
    with running("--plain", "--listen", "127.0.0.1:0") as (program, _):
        program.send_signal(signal.SIGHUP)
        out, err = program.communicate(timeout=10)
        assert (program.returncode, err) == (0, "")
        assert "ending" in out


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP on this system")
def test_with_rule_files_a_hangup_has_them_read_again_and_wrong_ones_change_nothing(tmp_path: Path) -> None:
    config, rules = tmp_path / "monitor.yaml", tmp_path / "rules.yml"
    config.write_text("default_rules: false\nrule_files: [rules.yml]")
    rules.write_text("groups: [{name: g, interval: 100ms, rules: [{alert: One, expr: vector(1)}]}]")
    with running("--plain", "--config", str(config), "--listen", "127.0.0.1:0", "--no-store") as (program, _):
        assert program.stdout is not None

        def wait_for(text: str) -> None:
            assert any(text in line for line in iter(program.stdout.readline, ""))  # type: ignore[union-attr]

        wait_for("FIRING [warning] One")
        rules.write_text("groups: [{name: g, interval: 100ms, rules: [{alert: Two, expr: 'vector('}]}]")
        program.send_signal(signal.SIGHUP)
        wait_for(f"the rules stay as they were: {rules}:1:")
        rules.write_text("groups: [{name: g, interval: 100ms, rules: [{alert: Two, expr: vector(1)}]}]")
        program.send_signal(signal.SIGHUP)
        wait_for("FIRING [warning] Two")
        program.send_signal(signal.SIGTERM)
        _, err = program.communicate(timeout=10)
        assert (program.returncode, err) == (0, "")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP on this system")
def test_under_nohup_it_goes_on() -> None:
    shell = [
        "sh",
        "-c",
        'trap "" HUP; exec "$@"',
        "sh",
        *COMMAND,
        "run",
        "--plain",
        "--for",
        "1s",
        "--listen",
        "127.0.0.1:0",
    ]
    program = subprocess.Popen(shell, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert "watching" in program.stdout.readline()
    begun = time.monotonic()
    program.send_signal(signal.SIGHUP)
    assert program.wait(10) == 0
    assert time.monotonic() - begun > 0.7
    program.stdout.close()


@pytest.mark.parametrize(
    "arguments", [("run", "--for", "200ms", "--listen", "127.0.0.1:0"), ("check", str(EXAMPLE)), ("--version",)]
)
def test_with_its_output_closed_it_goes_on_silently(arguments: tuple[str, ...]) -> None:
    shell = ["sh", "-c", 'exec "$@" <&- >&-', "sh", *COMMAND, *arguments]
    ended = subprocess.run(shell, stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_check_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    ended = run("check", str(tmp_path / "pipe"))
    assert (ended.returncode, ended.stderr) == (2, f"{tmp_path}/pipe: cannot be read: it is not a file\n")


def test_the_end_says_what_still_fires_and_what_was_not_told(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        config = tmp_path / "monitor.yaml"
        config.write_text(
            f"channels: [{{type: webhook, name: pager, url: 'http://127.0.0.1:{nobody.getsockname()[1]}/'}}]\n"
            "rules: [{name: always, metric: threads, collector: process, condition: '> 0', evaluation_interval: 100ms}]\n"
        )
        ended = run("run", "--config", str(config), "--for", "1s", "--plain", "--listen", "127.0.0.1:0")
    assert ended.returncode == 0
    told = ended.stdout.partition("ending")[2]
    assert "still firing: [warning] Always (always_process)\n" in told
    assert "not told: channel 'pager' has not taken that always_process fires\n" in told
    assert "channel 'log'" not in told


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    """The first waits for a message under way: to a receiver that takes it and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = tmp_path / "monitor.yaml"
        config.write_text(
            f"channels: [{{type: webhook, url: 'http://127.0.0.1:{silent.getsockname()[1]}/'}}]\n"
            "rules: [{name: always, metric: threads, collector: process, condition: '> 0', evaluation_interval: 100ms}]\n"
        )
        with running("--config", str(config), "--plain", "--listen", "127.0.0.1:0") as (program, _):
            peer, _ = silent.accept()
            program.send_signal(signal.SIGINT)
            time.sleep(0.3)
            assert program.poll() is None
            program.send_signal(signal.SIGINT)
            assert program.wait(2) == 130
            peer.close()


def on_a_terminal(*arguments: str) -> str:
    """Give all that the program writes to a terminal of its own."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", COLUMNS="100", LINES="40")
        os.execv(COMMAND[0], [*COMMAND, "run", "--for", "2500ms", "--listen", "127.0.0.1:0", *arguments])
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return shown.decode(errors="replace")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals on this system")
def test_on_a_terminal_it_shows_a_live_view() -> None:
    text = on_a_terminal()
    for part in ("metrics", "CPU", "memory", "host_cpu_high", "nothing fires", "watching host, process, loop"):
        assert part in text
    assert "Traceback" not in text


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals on this system")
def test_what_still_fires_stays_on_the_terminal_after_the_live_view(tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text("rules: [{name: always, metric: threads, condition: '> 0', evaluation_interval: 100ms}]\n")
    text = on_a_terminal("--config", str(config))
    assert text.rpartition("\x1b[?1049l")[2].endswith("still firing: [warning] Always (always_process)\r\n")


# -- the parts


def test_sparklines() -> None:
    assert sparkline([], width=5) == ""
    assert sparkline([1, 1], width=5) == "▁▁"
    assert sparkline([0, 0.6, 1], width=5) == "▁▅█"
    assert sparkline([9, 0, 10, 20], width=2) == "▁█"
    assert sparkline([-5, 60, 500], width=3, low=0, high=100) == "▁▅█"


async def test_the_main_numbers_are_written_for_people(registry: MetricsRegistry) -> None:
    host = registry.collector("host")
    host.gauge("cpu_usage_ratio").set(0.5)
    sent = host.counter("network_transmit", labels=("interface",))
    for _ in range(3):
        sent.inc("eth0", by=4096)
        sent.inc("lo", by=0)
        await asyncio.sleep(2)
    own = registry.collector("process")
    own.gauge("resident_memory").set(3 * 2**50)
    own.gauge("threads").set(4)
    registry.collector("loop").timer("lag", unit="seconds").observe(0.0123)
    lines = {line.label: (line.value, line.share) for line in main_lines(registry.snapshot())}
    assert lines == {
        "CPU": ("50%", True), "sent eth0": ("2.0 KiB/s", False), "own memory": ("3072.0 TiB", False),
        "own threads": ("4", False), "loop lag": ("12.3 ms", False),
    }  # fmt: skip


def paint(width: int, **parts: object) -> str:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    console = Console(width=width, height=60, record=True, file=open(os.devnull, "w"))
    given = {"lines": [], "rules": [], "alerts": [], "deliveries": [], "log": [], **parts}
    console.print(screen(*given.values(), address=Listen("127.0.0.1", 9464), now=now, width=width))  # type: ignore[arg-type]
    console.file.close()
    return console.export_text()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_picture_shows_everything_and_fits_the_terminal(width: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rule = AlertRule("a_rule", "d", "error", "m", "> 5")
    firing = Alert(
        "a", "a_rule", AlertSeverity.ERROR, "Long", "d", status=AlertStatus.FIRING, fired_at=now - timedelta(minutes=5)
    )
    alerts = [
        Alert("p", "a_rule", AlertSeverity.ERROR, "Not yet", "d"),
        *[firing] * 6,
        Alert("r", "a_rule", AlertSeverity.INFO, "Over", "d", status=AlertStatus.RESOLVED, resolved_at=now),
    ]
    text = paint(
        width,
        lines=[Line("CPU", "50%", [0.1, 0.9], share=True), Line("load", "1", [1]), Line("disk /", "9%", [0.09], share=True)],
        rules=[
            RuleStatus(rule=rule, state="firing", value=7.5, next_evaluation=now + timedelta(seconds=4)),
            RuleStatus(rule=rule, state="error", error="broken sensor"),
        ],
        alerts=alerts,
        deliveries=[Delivery(at=now, channel="ops", notice=Notice("i", NoticeKind.FIRING, firing, sent_at=0.0), outcome="retry", attempt=1, why="HTTP 500")],
        log=["12:00:00 WARNING something"],
    )  # fmt: skip
    for part in ("CPU", "50%", "firing", "a_rule", "7.5", "in 4 s", "for 5m"):
        assert part in text
    if width >= 80:
        for part in ("broken sensor", "and 2 more", "Long", "ops", "HTTP 500", "12:00:00 WARNING something", "9464"):
            assert part in text
    assert "Not yet" not in text
    assert max(map(len, text.splitlines())) <= width


def test_a_rule_is_shown_with_all_its_limits() -> None:
    levels = AlertRule("full", "d", None, "use", "avg >", levels={"warning": 80, "critical": 95})
    own = AlertRule("own", "d", "error", condition="> 5", reading=lambda: 7)
    text = paint(80, rules=[RuleStatus(rule=rule, state="inactive") for rule in (levels, own)])
    assert "use avg > 80, 95" in text
    assert "reading > 5" in text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_long_name_takes_no_room_from_the_numbers(width: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rule = AlertRule("a_rule_whose_name_says_all_about_it" * 4, "d", "error", "metric_" * 20, "> 5")
    status = RuleStatus(rule=rule, state="recovering", value=0.000123, next_evaluation=now + timedelta(seconds=60))
    (line,) = [line for line in paint(width, rules=[status]).splitlines() if "recovering" in line]
    assert "0.000123" in line
    assert "in 60 s" in line
    assert "recovering a_r" in line.replace("  ", " ")
    assert "…" in line
    assert ("metric_" in line) == (width >= 60)


def test_alerts_stand_above_what_a_small_terminal_cuts_off() -> None:
    text = paint(80, lines=[Line("CPU", "50%", [0.1])])
    assert text.index("─ alerts") < text.index("─ metrics") < text.index("─ rules")


def test_what_is_shown_commands_no_terminal() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    alert = Alert("a", "r", AlertSeverity.ERROR, "a\x1b[2J\nb", "d", status=AlertStatus.FIRING, fired_at=now)
    text = paint(
        80,
        lines=[Line("disk /\x1b[2J", "9%", [0.09])],
        rules=[RuleStatus(rule=AlertRule("r", "d", "error", "m", "> 5"), state="error", error="b\x1b[2J\n")],
        alerts=[alert],
        deliveries=[Delivery(at=now, channel="o\x1b", notice=Notice("i", NoticeKind.FIRING, alert, sent_at=0.0), outcome="retry", attempt=1, why="\x1b[2J")],
    )  # fmt: skip
    assert "\x1b" not in text
    assert text.count("\\x1b[2J") >= 4


def test_the_last_words_are_lines() -> None:
    alert = Alert("a\nb", "r", AlertSeverity.ERROR, "A\x1b", "d")
    untold = [
        Untold(channel="ops", alert_id="a_b", kind=NoticeKind.FIRING),
        Untold(channel="ops", alert_id="c_d", kind=NoticeKind.RESOLVED),
        Untold(channel="ops", alert_id="e_f", kind=NoticeKind.MISSED),
    ]
    assert list(last_words([alert], untold)) == [
        "still firing: [error] A\\x1b (a\\nb)",
        "not told: channel 'ops' has not taken that a_b fires",
        "not told: channel 'ops' has not taken that c_d is over",
        "not told: channel 'ops' has not taken that e_f came and went",
    ]


def test_nothing_to_show_is_shown_calmly() -> None:
    assert "nothing fires" in paint(80)


def test_the_log_view_keeps_the_last_lines() -> None:
    import logging

    view = LogView(2)
    for n in range(3):
        view.handle(logging.makeLogRecord({"msg": f"line {n}\nmore", "levelname": "INFO"}))
    assert [line.partition(" ")[2] for line in view.lines] == ["INFO line 1\\nmore", "INFO line 2\\nmore"]
