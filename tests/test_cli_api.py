"""The commands that talk to a running program, and how they find it."""

import asyncio
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner

from kailash_monitor.alerts import Alert, AlertManager, AlertSeverity
from kailash_monitor.cli.commands import commands
from kailash_monitor.cli.failure import Failure
from kailash_monitor.cli.program import Program
from kailash_monitor.cli.runs import Run, announce, choose, runs_in
from kailash_monitor.cli.state import make_private, state_folder
from kailash_monitor.cli.table import cell, moment
from kailash_monitor.engine.completion import Settled
from kailash_monitor.engine.status import ChannelStatus, DeadLetter, Waiting
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.web import Listen, Site, serve

COMMAND = [sys.executable, "-c", "from kailash_monitor.cli import main; main()"]
TOKEN = "t0ken"
HERE = Listen("127.0.0.1", 9464)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of this test alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOGNAME", "ann")
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # where nobody listens, and nobody is to ask
    return state_folder()


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30)


def call(*arguments: str) -> tuple[int, str, str]:
    """Call a command in this process, which takes less time; give its exit code and what it wrote."""
    ended = CliRunner().invoke(commands, list(arguments), prog_name="kailash-monitor")
    return ended.exit_code, ended.stdout, ended.stderr


async def call_beside(*arguments: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(call, *arguments)


@contextmanager
def running(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Start the program and give it and the port it serves on."""
    command = [*COMMAND, "run", "--plain", "--listen", "127.0.0.1:0", *arguments]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        port = next(int(found[1]) for line in program.stdout if (found := re.search(r":(\d+)/metrics", line)))
        _wait_until_ready(Program(Run(Listen("127.0.0.1", port))))
        yield program, port
    finally:
        program.kill()
        program.communicate()


def _wait_until_ready(program: Program) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            program.ask("/readyz")
            return
        except Failure:
            assert time.monotonic() < deadline, "it was not ready in ten seconds"
            time.sleep(0.05)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file with one rule that always fires."""
    path = tmp_path / "monitor.yaml"
    path.write_text(
        "default_rules: false\n"
        "rules: [{name: always, metric: threads, collector: process, condition: '> 0', evaluation_interval: 100ms}]\n"
    )
    return path


# -- a real program


def test_alerts_are_shown_silenced_and_acknowledged_while_the_program_runs(config: Path, state: Path) -> None:
    with running("--config", str(config)) as (program, port):
        shown = run("alerts")
        assert (shown.returncode, shown.stderr) == (0, "")
        status, severity, since, _, alert_id, title = shown.stdout.rstrip("\n").split("\t")
        assert (status, severity, alert_id, title) == ("firing", "warning", "always_process", "Always")
        assert since.startswith("20")
        added = run("silence", "add", "alertname=always", "--for", "2h", "--reason", "deploy")
        assert (added.returncode, added.stdout.count("\n")) == (0, 1)
        assert re.fullmatch(r"until 20\d\d-.* UTC; covers now: always_process\n", added.stderr)
        silence_id = added.stdout.strip()
        (row,) = call("silence", "list")[1].splitlines()
        fields = row.split("\t")
        assert [*fields[:3], *fields[5:]] == [silence_id, "active", 'alertname="always"', "ann", "deploy"]
        assert call("alerts")[1].startswith("silenced\t")
        assert call("silence", "end", silence_id) == (0, "ended\n", "")
        again = (1, "", f"kailash-monitor: no silence that is not over '{silence_id}'\n")
        assert call("silence", "end", silence_id) == again
        assert run("ack", "always_process", "--port", str(port)).stdout == "acknowledged\n"
        assert "acknowledged by ann" in call("explain", "always_process", "--address", f"localhost:{port}")[1]
        assert json.loads(call("alerts", "--json")[1])[0]["status"] == "acknowledged"
        (path,) = (state / "runs").iterdir()
        token = json.loads(path.read_text())["token"]
        program.send_signal(signal.SIGTERM)
        out, err = program.communicate(timeout=10)
        assert token not in out + err
        assert list((state / "runs").iterdir()) == []
    assert call("alerts")[0] == 1


def test_a_silence_of_one_alert_holds_until_it_is_over(config: Path) -> None:
    with running("--config", str(config)):
        _, _, err = call("silence", "add", "--alert", "always_process", "--author", "bob")
        assert err == "until its alert is over; covers now: always_process\n"
        (silence,) = json.loads(call("silence", "list", "--json")[1])
        assert (silence["author"], silence["until_resolved"]) == ("bob", True)
        assert "\tresolved\tbob\t" in call("silence", "list")[1]
        call("silence", "end", silence["id"])
        assert call("silence", "list") == (0, "", "nothing is silenced\n")
        assert f"{silence['id']}\texpired\talways_process\t" in call("silence", "list", "--all")[1]
        code, _, err = call("silence", "add", "nonsense")
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith("kailash-monitor: silence: 'nonsense' in the matchers 'nonsense'; write name=")


@pytest.mark.real_time
async def test_what_waits_and_what_was_given_up_by_a_real_program(config: Path) -> None:
    """A channel that nobody answers, and one that says 404."""
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    def commanded() -> None:
        config.write_text(
            f"{config.read_text()}channels:\n"
            f"- {{type: webhook, name: down, url: 'http://127.0.0.1:{free_port()}/s3cret'}}\n"
            f"- {{type: webhook, name: wrong, url: 'http://127.0.0.1:{runner.addresses[0][1]}/s3cret'}}\n"
        )
        with running("--config", str(config)):
            waiting = until("outbox", "no connection")
            assert "down\tfiring\talways_process\t" in waiting
            assert "down\tfailing\t" in call("channels")[1]
            letter = until("dead-letters", "list", "wrong\tfiring\talways_process\t1\tHTTP 404")
            first, *_ = letter.split("\t")
            assert call("dead-letters", "resend", first) == (0, "resent\n", "")
            assert call("dead-letters", "discard", first)[0] == 1
            second, *_ = until("dead-letters", "list", "HTTP 404").split("\t")
            assert second != first
            assert call("dead-letters", "discard", second) == (0, "discarded\n", "")
            shown = [call(*command, "--json")[1] for command in (["outbox"], ["channels"], ["dead-letters", "list"])]
            assert "s3cret" not in waiting + letter + "".join(shown)

    await asyncio.to_thread(commanded)
    await runner.cleanup()


def until(*command_and_text: str) -> str:
    """Give what a command shows once the text is in it."""
    *command, text = command_and_text
    deadline = time.monotonic() + 10
    while text not in (shown := call(*command)[1]):
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    return shown


def test_an_alert_that_is_pending_is_shown_with_all_and_explained_as_json(config: Path) -> None:
    config.write_text(config.read_text().replace("100ms", "100ms, hold: 1h"))
    with running("--config", str(config)):
        assert call("alerts") == (0, "", "nothing fires\n")
        assert call("alerts", "--all")[1].startswith("pending\twarning\t20")
        assert json.loads(call("explain", "always_process", "--json")[1])["state"] == "pending"
        assert call("explain", "x") == (1, "", "kailash-monitor: no alert 'x'\n")


def test_the_file_of_a_program_that_was_killed_is_told_from_a_living_one_and_removed(state: Path) -> None:
    with running() as (killed, _), running() as (living, port):
        killed.kill()
        killed.wait()
        assert len(list((state / "runs").iterdir())) == 2
        assert [found.pid for found in runs_in(state)] == [living.pid]
        assert [path.name for path in (state / "runs").iterdir()] == [f"{port}-{living.pid}.json"]
        assert call("alerts")[0] == 0


def test_of_several_programs_one_is_to_be_chosen() -> None:
    with running() as (first, one), running() as (second, other):
        code, _, err = call("alerts")
        listed = sorted([(one, first.pid), (other, second.pid)])
        expected = ", ".join(f"127.0.0.1:{port} (process {pid})" for port, pid in listed)
        assert code == 2
        assert err == f"kailash-monitor: several programs run: {expected}; choose one by --address or --port\n"
        for choice in (["--port", str(one)], ["--address", f"127.0.0.1:{one}"]):
            assert call("silence", "list", *choice)[0] == 0


def test_a_program_that_cannot_write_its_file_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, where a folder is to be")
    ended = run("run", "--for", "100ms", "--plain", "--listen", "127.0.0.1:0")
    assert ended.returncode == 0
    assert re.search(
        r"WARNING +no other command can find this program: /.*/state.*: (File exists|Not a directory)", ended.stdout
    )


# -- where a program is found


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"XDG_STATE_HOME": "/x/state"}, "linux", "/x/state/kailash-monitor"),
        ({"XDG_STATE_HOME": "/x/state"}, "darwin", "/x/state/kailash-monitor"),
        ({"XDG_STATE_HOME": "relative"}, "linux", "/home/ann/.local/state/kailash-monitor"),
        ({"XDG_STATE_HOME": ""}, "linux", "/home/ann/.local/state/kailash-monitor"),
        ({}, "darwin", "/home/ann/Library/Application Support/kailash-monitor"),
    ],
)
def test_the_state_folder_is_where_the_system_has_it(
    environment: dict[str, str], platform: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert state_folder(environment, platform) == Path(expected)


def test_only_the_owner_reads_the_file_whatever_the_umask(state: Path) -> None:
    before = os.umask(0)
    try:
        announcement = announce(state, Run(HERE, 1, TOKEN))
    finally:
        os.umask(before)
    path = announcement.path
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (state, path.parent, path)]
    assert modes == [0o700, 0o700, 0o600]
    assert json.loads(path.read_text()) == {"address": "127.0.0.1:9464", "token": TOKEN, "pid": 1}
    announcement.withdraw()
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_others_may_enter_is_closed_to_them(state: Path) -> None:
    (state / "runs").mkdir(parents=True)
    (state / "runs").chmod(0o755)
    make_private(state / "runs")
    assert stat.S_IMODE((state / "runs").stat().st_mode) == 0o700


def test_what_cannot_be_written_leaves_nothing_behind(state: Path) -> None:
    obstacle = state / "runs" / "9464-1.json" / "in the way"
    obstacle.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        announce(state, Run(HERE, 1, TOKEN))
    assert list((state / "runs").iterdir()) == [obstacle.parent]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder somebody else's")
def test_a_folder_of_another_user_is_not_trusted(state: Path) -> None:
    (state / "runs").mkdir(parents=True)
    os.chown(state / "runs", 65534, 65534)
    with pytest.raises(PermissionError, match="it belongs to another user"):
        announce(state, Run(HERE, 1, TOKEN))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file somebody else's")
def test_a_file_of_another_user_is_not_believed(state: Path) -> None:
    announcement = announce(state, Run(HERE, 1, TOKEN))
    os.chown(announcement.path, 65534, 65534)
    assert runs_in(state) == []
    announcement.withdraw()


def test_a_run_is_found_until_it_withdraws(state: Path) -> None:
    assert runs_in(state) == []
    runs = [Run(Listen("127.0.0.1", 9465), 1, TOKEN), Run(Listen("::1", 9464), 2, TOKEN)]
    announcements = [announce(state, one) for one in runs]
    assert runs_in(state) == runs[::-1]
    assert TOKEN not in repr(runs)
    announcements[0].withdraw()
    assert runs_in(state) == runs[1:]
    announcements[1].withdraw()


def test_a_file_that_another_program_has_written_since_is_left_alone(state: Path) -> None:
    first = announce(state, Run(HERE, 1, TOKEN))
    second = announce(state, Run(HERE, 1, "another"))
    first.withdraw()
    assert [found.token for found in runs_in(state)] == ["another"]
    second.withdraw()
    second.withdraw()


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"address": "x"}', '{"address": "a:1", "pid": "1", "token": 5}'])
def test_a_file_that_makes_no_sense_is_passed_over(state: Path, text: str) -> None:
    announcement = announce(state, Run(HERE, 1, TOKEN))
    announcement.path.write_text(text)  # which is still locked
    assert runs_in(state) == []
    assert announcement.path.exists()
    announcement.withdraw()
    announcement.path.write_text(text)
    assert runs_in(state) == []
    assert not announcement.path.exists()


# -- which program is meant

ONE, OTHER, PUBLIC = (
    Run(HERE, 1, "a"),
    Run(Listen("127.0.0.1", 9465), 2, "b"),
    Run(Listen("0.0.0.0", 9466), 3, "c"),
)


@pytest.mark.parametrize(
    ("runs", "address", "port", "answering", "expected"),
    [
        ([ONE], None, None, [], ONE),
        ([ONE, OTHER], None, None, [OTHER], OTHER),
        ([ONE, OTHER], None, 9464, [], ONE),
        ([ONE, OTHER], HERE, None, [], ONE),
        ([ONE, OTHER], Listen("localhost", 9465), None, [], OTHER),
        ([ONE, PUBLIC], Listen("127.0.0.1", 9466), None, [], PUBLIC),
        ([ONE], Listen("192.0.2.1", 9464), None, [], Run(Listen("192.0.2.1", 9464))),
        ([], HERE, None, [], Run(HERE)),
    ],
)
def test_a_program_is_chosen(
    runs: list[Run], address: Listen | None, port: int | None, answering: list[Run], expected: Run
) -> None:
    assert choose(runs, address, port, answers=answering.__contains__) == expected


@pytest.mark.parametrize(
    ("runs", "port", "answering", "message"),
    [
        ([], None, [], "nothing runs: start `kailash-monitor run`, or state the --address of another program"),
        ([ONE], 9465, [], "no program that `kailash-monitor run` has started serves on port 9465; try --address"),
        ([ONE, OTHER, PUBLIC], None, [ONE, PUBLIC], "several programs run: 127.0.0.1:9464 (process 1), 0.0.0.0:9466 (process 3); choose one by --address or --port"),
        ([ONE, OTHER], None, [], "several programs run, and none of them answers: 127.0.0.1:9464 (process 1), 127.0.0.1:9465 (process 2)"),
    ],
)  # fmt: skip
def test_or_the_choice_is_not_clear(runs: list[Run], port: int | None, answering: list[Run], message: str) -> None:
    with pytest.raises(Failure) as failure:
        choose(runs, None, port, answers=answering.__contains__)
    assert failure.value.message == message


# -- what stands in the way


@contextmanager
def announced(state: Path, address: Listen, token: str = TOKEN) -> Iterator[Run]:
    """Make a run known that the test itself plays."""
    run = Run(address, os.getpid(), token)
    announcement = announce(state, run)
    try:
        yield run
    finally:
        announcement.withdraw()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nothing_runs() -> None:
    expected = "kailash-monitor: nothing runs: start `kailash-monitor run`, or state the --address of another program\n"
    assert call("alerts") == (1, "", expected)


def test_nobody_listens_there(state: Path) -> None:
    with announced(state, Listen("127.0.0.1", free_port())) as there:
        assert call("alerts") == (1, "", f"kailash-monitor: cannot reach {there}: Connection refused\n")


def test_runs_that_cannot_be_read_are_one_line(state: Path) -> None:
    state.mkdir(parents=True)
    (state / "runs").write_text("a file, where a folder is to be")
    code, _, err = call("alerts")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("kailash-monitor: cannot read which programs run: Not a directory: /")


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"alerts\": [5, 6]}", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{"])  # fmt: skip
def test_something_else_answers_there(state: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, announced(state, Listen(*server.getsockname())) as there:

        def reply() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(answer)

        other = threading.Thread(target=reply)
        other.start()
        ended = call("alerts")
        other.join()
    assert ended == (1, "", f"kailash-monitor: what serves on {there} does not answer as kailash-monitor does\n")


def test_a_program_that_says_nothing_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = Run(Listen(*server.getsockname()))
        with pytest.raises(Failure) as failure:
            Program(there, seconds=0.1).ask("/api/alerts")
        assert failure.value.message == f"{there} has not answered within 0.1 s"
        assert not Program(there, seconds=0.1).answers()


@pytest.mark.parametrize(
    "arguments", [["silence", "add"], ["silence", "add", "a=b", "--alert", "c"], ["ack"], ["alerts", "--port", "0"], ["alerts", "--address", "x"], ["silence", "add", "a=b", "--for", "soon"]],
)  # fmt: skip
def test_wrong_use_is_exit_code_2(arguments: list[str]) -> None:
    code, _, err = call(*arguments)
    assert code == 2
    assert "Usage: " in err


# -- a program of the test's own, with what cannot be had from a real one at will


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

WAITING = Waiting(
    id="ops",
    channel="ops",
    group="",
    kinds=("firing", "resolved"),
    alert_ids=("a", "b"),
    due=NOON,
    attempts=2,
    in_doubt=True,
    why="HTTP 500",
)

STATUS = ChannelStatus(
    name="ops",
    state="failing",
    since=None,
    why="HTTP 500\n\x1b[2J",
    delivered=3,
    failed=2,
    waiting=0,
    open_until=None,
    tokens=5.0,
    rate=1.0,
    burst=5,
    fallback=None,
    refuses=False,
)


def letter(an_id: str) -> DeadLetter:
    notice = Notice("m", NoticeKind.FIRING, Alert('x{mount="/"}', "r", AlertSeverity.ERROR, "A", "d"), sent_at=0.0)
    return DeadLetter(id=an_id, channel="ops", at=NOON, notice=notice, why="HTTP 404", attempts=1)


class Manager(AlertManager):
    def __init__(self) -> None:
        super().__init__(MetricsRegistry())
        self.letters = {an_id: letter(an_id) for an_id in ("a/b", "c")}
        self.waiting = [WAITING]

    def outbox_slices(self) -> Iterator[list[Waiting]]:
        return iter([self.waiting])

    def channel_status(self) -> list[ChannelStatus]:
        return [STATUS]

    def dead_letters(self) -> list[DeadLetter]:
        return list(self.letters.values())

    def resend(self, letter_id: str) -> Settled[bool]:
        return self.discard(letter_id)

    def discard(self, letter_id: str) -> Settled[bool]:
        async def kept() -> None: ...

        return Settled(self.letters.pop(letter_id, None) is not None, kept)


@asynccontextmanager
async def serving(state: Path, manager: AlertManager, known_token: str = TOKEN) -> AsyncIterator[Run]:
    """Serve the manager, and make it known with this token."""
    server = await serve(Site(manager, TOKEN), Listen("127.0.0.1", 0))
    known = Run(server.address, os.getpid(), known_token)
    announcement = await asyncio.to_thread(announce, state, known)
    try:
        yield known
    finally:
        await asyncio.to_thread(announcement.withdraw)
        await server.close()


async def run_beside(*arguments: str, stdout: int = subprocess.PIPE) -> tuple[int, str, str]:
    program = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=stdout, stderr=subprocess.PIPE)
    out, err = await program.communicate()
    assert program.returncode is not None
    return program.returncode, (out or b"").decode(), err.decode()


@pytest.mark.real_time
async def test_what_waits_and_how_channels_do_are_lines_with_tabs(state: Path) -> None:
    manager = Manager()
    async with serving(state, manager):
        waiting = "ops\tfiring, resolved\ta, b\t2026-01-01 12:00:00\t2\tyes\tHTTP 500\n"
        assert await call_beside("outbox") == (0, waiting, "")
        assert await call_beside("channels") == (0, "ops\tfailing\t\t3\t2\t0\tHTTP 500\\n\\x1b[2J\n", "")
        _, out, _ = await call_beside("outbox", "--json")
        assert json.loads(out)[0]["alert_ids"] == ["a", "b"]
        _, out, _ = await call_beside("channels", "--json")
        assert json.loads(out)[0]["name"] == "ops"
        manager.waiting.clear()
        assert await call_beside("outbox") == (0, "", "nothing waits\n")
        assert await call_beside("alerts") == (0, "", "nothing fires\n")
        assert await call_beside("silence", "list") == (0, "", "nothing is silenced\n")


@pytest.mark.real_time
async def test_dead_letters_are_listed_resent_and_discarded(state: Path) -> None:
    async with serving(state, Manager()):
        line = '\t2026-01-01 12:00:00\tops\tfiring\tx{mount="/"}\t1\tHTTP 404\n'
        assert await call_beside("dead-letters", "list") == (0, f"a/b{line}c{line}", "")
        _, out, _ = await call_beside("dead-letters", "list", "--json")
        assert [letter["id"] for letter in json.loads(out)] == ["a/b", "c"]
        assert await call_beside("dead-letters", "resend", "a/b") == (0, "resent\n", "")
        assert await call_beside("dead-letters", "discard", "c") == (0, "discarded\n", "")
        assert await call_beside("dead-letters", "discard", "c") == (1, "", "kailash-monitor: no dead letter 'c'\n")
        assert await call_beside("dead-letters", "list") == (0, "", "nothing was given up\n")


@pytest.mark.real_time
async def test_a_wrong_token_is_one_line_and_shown_to_nobody(state: Path) -> None:
    async with serving(state, Manager(), known_token="wr0ng") as there:
        code, out, err = await call_beside("ack", "x")
    assert (code, out) == (1, "")
    assert err == f"kailash-monitor: {there} does not take the token of its run file: another program may serve there\n"


@pytest.mark.real_time
async def test_a_program_that_wrote_no_file_is_read_but_not_changed() -> None:
    server = await serve(Site(Manager(), TOKEN), Listen("127.0.0.1", 0))
    there = str(server.address)
    assert await call_beside("alerts", "--address", there) == (0, "", "nothing fires\n")
    code, _, err = await call_beside("ack", "x", "--address", there)
    assert (code, err.startswith(f"kailash-monitor: no token is known for {there}: ")) == (1, True)
    await server.close()


@pytest.mark.real_time
async def test_of_several_programs_the_only_one_that_answers_is_meant(state: Path) -> None:
    announcement = await asyncio.to_thread(announce, state, Run(Listen("127.0.0.1", free_port()), 1, TOKEN))
    async with serving(state, Manager()):
        assert await call_beside("alerts") == (0, "", "nothing fires\n")
    await asyncio.to_thread(announcement.withdraw)


@pytest.mark.real_time
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals on this system")
async def test_on_a_terminal_it_is_a_table(state: Path) -> None:
    ours, theirs = os.openpty()
    manager = Manager()
    silence_id = manager.silence(service="checkout", reason="a deployment that takes its time").id
    async with serving(state, manager):
        assert (await run_beside("channels", stdout=theirs))[0] == 0
        assert (await run_beside("silence", "list", stdout=theirs))[0] == 0
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert silence_id in shown
    for text in ("channel", "since (UTC)", "failing", "HTTP 500\\n\\x1b"):
        assert text in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), (False, ""), (True, "yes"), (0, "0"), (0.123456, "0.1235"), (["a", 1], "a, 1"), ("x", "x")],
)
def test_values_become_cells(value: object, expected: str) -> None:
    assert cell(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("2026-01-01T12:00:00.5+00:00", "2026-01-01 12:00:00"), (None, ""), ("soon", "soon")]
)
def test_moments_are_to_the_second(value: object, expected: str) -> None:
    assert moment(value) == expected


# -- notify test


@pytest.mark.real_time
async def test_a_test_goes_through_every_channel_and_says_what_became_of_it(tmp_path: Path) -> None:
    taken = list[dict[str, dict[str, object]]]()

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/good", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    config = tmp_path / "monitor.yaml"
    config.write_text(
        f"channels:\n- {{type: webhook, name: good, url: '{url}/good'}}\n- {{type: webhook, name: bad, url: '{url}/bad-s3cret'}}\n"
    )
    code, out, err = await run_beside("notify", "test", "--config", str(config))
    assert (code, out) == (1, "log\tdelivered\t\ngood\tdelivered\t\nbad\trejected\tHTTP 404\n")
    assert re.fullmatch(
        r".* INFO +TEST \[info\] Test of the channel log: Sent by `kailash-monitor notify test` on .*\n", err
    )
    (document,) = taken
    assert (document["context"]["kind"], document["alert"]["severity"]) == ("test", "info")
    assert await run_beside("notify", "test", "good", "-c", str(config)) == (0, "good\tdelivered\t\n", "")
    assert await run_beside("notify", "test", "ops", "-c", str(config)) == (
        2, "", "kailash-monitor: no channel 'ops'; there are: log, good, bad\n",
    )  # fmt: skip
    await runner.cleanup()


def test_without_a_file_the_log_is_tried() -> None:
    ended = run("notify", "test")
    assert (ended.returncode, ended.stdout) == (0, "log\tdelivered\t\n")
    assert "TEST [info] Test of the channel log" in ended.stderr


def test_a_wrong_file_is_told_with_line_and_key(tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text("channels: [{type: webhok}]\n")
    ended = run("notify", "test", "--config", str(config))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"{config}:1: channels[0].type: ")
