"""The dashboard from the command line: its address, its link, and the token of a run."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from kailash_monitor.alerts import AlertManager
from kailash_monitor.cli.commands import commands
from kailash_monitor.cli.failure import WrongUse
from kailash_monitor.cli.runs import runs_in
from kailash_monitor.cli.state import state_folder
from kailash_monitor.cli.stated_token import SHORTEST, VARIABLE, check_reach_of, stated_token
from kailash_monitor.config import load_monitor
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.web import Listen, Site, serve

COMMAND = [sys.executable, "-c", "from kailash_monitor.cli import main; main()"]
TOKEN = "a-token-that-was-stated"
LINK = r"http://127\.0\.0\.1:(\d+)/#sign-in=([\w.-]+)\n"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("LOGNAME", "ann")


def call(*arguments: str) -> tuple[int, str, str]:
    """Call a command in this process; give its exit code and what it wrote."""
    ended = CliRunner().invoke(commands, list(arguments), prog_name="kailash-monitor")
    return ended.exit_code, ended.stdout, ended.stderr


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    surroundings = {**os.environ, **environment}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30, env=surroundings)


@contextmanager
def running(*arguments: str, listen: str = "127.0.0.1:0", **environment: str) -> Iterator[tuple[str, str]]:
    """Start the program; give its address and the line that greets."""
    command = [*COMMAND, "run", "--plain", "--no-store", "--listen", listen, *arguments]
    surroundings = {**os.environ, **environment}
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=surroundings)
    try:
        assert program.stdout is not None
        greeting = next(line for line in program.stdout if "dashboard on" in line)
        found = re.search(r"dashboard on http://(\S+)/ ", greeting)
        assert found is not None
        yield found[1], greeting
    finally:
        program.kill()
        program.communicate()


def ask(address: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, object], str]:
    """Give the status, the document, and the cookie as it is sent back."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://{address}{path}",
        data,
        {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read()), (answer.headers["Set-Cookie"] or "").partition(";")[0]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), ""


# -- a real program


def test_the_link_that_is_printed_signs_in_once_and_a_session_silences() -> None:
    with running() as (address, greeting):
        assert f"dashboard on http://{address}/ (open it by `kailash-monitor dashboard`)" in greeting
        code, out, err = call("dashboard", "--print")
        found = re.fullmatch(LINK, out)
        assert found is not None
        assert (code, err, f"127.0.0.1:{found[1]}") == (0, "", address)
        status, session, cookie = ask(address, "/api/session", {"code": found[2]}, Origin=f"http://{address}")
        assert (status, session["can_change"], session["name"]) == (200, True, "ann")
        assert ask(address, "/api/session", {"code": found[2]})[0] == 401
        assert ask(address, "/api/silences", {"matchers": "a=b"}, Cookie=cookie)[0] == 403
        csrf = str(session["csrf"])
        status, made, _ = ask(address, "/api/silences", {"matchers": "a=b"}, Cookie=cookie, X_CSRF_Token=csrf)
        assert (status, made["silence"]["author"]) == (201, "ann")  # type: ignore[index]
        assert "\tann\t" in call("silence", "list")[1]


def test_a_stated_token_is_the_one_of_the_program_and_of_other_commands(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    config = tmp_path / "monitor.yaml"
    config.write_text("token_file: token\nhosts: [monitor.example]\n")
    for arguments, environment in [
        (["--token-file", str(file)], {VARIABLE: "another-token-of-the-environment"}),
        ([], {VARIABLE: TOKEN}),
        (["--config", str(config)], {}),
    ]:
        with running(*arguments, **environment) as (address, greeting):
            assert TOKEN not in greeting
            assert [one.token for one in runs_in(state_folder())] == [TOKEN]
            status, document, _ = ask(address, "/api/session", {"token": TOKEN, "name": "bob"})
            assert (status, document["name"]) == (200, "bob")
            assert ask(address, "/api/session", {"token": TOKEN}, Host="elsewhere.example")[0] == 403
            named = ask(address, "/api/session", {"token": TOKEN}, Host="monitor.example")[0]
            assert named == (200 if "--config" in arguments else 403)
            assert call("silence", "add", "a=b")[0] == 0


def test_a_session_outlives_a_restart_with_the_same_token() -> None:
    with running(**{VARIABLE: TOKEN}) as (address, _):
        _, _, cookie = ask(address, "/api/session", {"token": TOKEN, "name": "ann"})
    with running(**{VARIABLE: TOKEN}) as (address, _):
        assert ask(address, "/api/session", None, Cookie=cookie)[1]["can_change"] is True
    with running() as (address, _):
        assert ask(address, "/api/session", None, Cookie=cookie)[1]["can_change"] is False


@pytest.mark.parametrize("where", ["option", "file"])
def test_on_an_address_that_others_reach_it_does_not_start_without_a_token(where: str, tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text("listen: 0.0.0.0:0\n" if where == "file" else "")
    listen = [] if where == "file" else ["--listen", "0.0.0.0:0"]
    ended = run("run", "--plain", "--no-store", "--for", "1s", "--config", str(config), *listen)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "kailash-monitor: other machines can reach 0.0.0.0:0, and no token is stated: state one (`openssl rand -hex 32` makes "
        "one) by KAILASH_MONITOR_TOKEN in the environment, --token-file, or token_file: in the configuration; or listen on "
        "127.0.0.1\n"
    )


def test_with_a_token_it_serves_others_and_names_an_address_that_can_be_called() -> None:
    with running(listen="0.0.0.0:0", **{VARIABLE: TOKEN}) as (address, _):
        assert address.startswith("127.0.0.1:")
        assert ask(address, "/api/session")[1]["sign_in"] is True
        assert re.fullmatch(LINK, call("dashboard", "--print")[1])


@pytest.mark.parametrize("works", [True, False])
def test_the_browser_is_opened_or_the_link_is_to_be_opened_by_hand(works: bool, tmp_path: Path) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    surroundings = {"BROWSER": f"{browser} %s" if works else "", "PATH": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with running():
        ended = run("dashboard", "--author", "bob", **surroundings)
    assert ended.returncode == 0
    assert re.fullmatch(LINK, ended.stdout)
    if works:
        assert (opened.read_text(), ended.stderr) == (ended.stdout, "")
    else:
        assert ended.stderr == "kailash-monitor: no browser could be opened; open the link in one of yours\n"


# -- what stands in the way


def test_where_nothing_runs_there_is_no_dashboard() -> None:
    assert call("dashboard", "--print")[0] == 1
    assert "nothing runs: start `kailash-monitor run`" in call("dashboard", "--print")[2]


def test_a_name_that_cannot_be_one_is_wrong_use() -> None:
    with running():
        code, out, err = call("dashboard", "--print", "--author", "a\nb")
    assert (code, out) == (2, "")
    assert err.startswith("kailash-monitor: --author: a name that is too long, or has characters that cannot be shown; ")


def test_of_a_program_whose_token_is_not_known_the_page_is_opened_to_read(tmp_path: Path) -> None:
    with running(XDG_STATE_HOME=str(tmp_path)) as (address, _):
        code, out, err = call("dashboard", "--print", "--address", address)
    assert (code, out) == (0, f"http://{address}/\n")
    assert err == "kailash-monitor: its token is not known here; to change something, sign in on the page\n"


@pytest.mark.real_time
async def test_where_nobody_can_sign_in_the_link_says_nothing_of_it() -> None:
    server = await serve(Site(AlertManager(MetricsRegistry())), Listen("127.0.0.1", 0))
    address = str(server.address)
    assert await asyncio.to_thread(call, "dashboard", "--print", "--address", address) == (0, f"http://{address}/\n", "")
    await server.close()


@pytest.mark.parametrize(
    "text", ["brief", "x" * (SHORTEST - 1), "two words of a token", "ein-tökän-von-mir", "line\nbreak-in-a-token"]
)
def test_a_token_that_is_short_or_cannot_stand_in_a_header_is_refused_and_not_repeated(text: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    for option, environment, where in ((None, {VARIABLE: text}, VARIABLE), (file, {}, str(file))):
        with pytest.raises(
            WrongUse, match=r"the token in .* use at least 16 characters of printable ASCII|holds a secret"
        ) as error:
            stated_token(option, None, environment)
        assert where in error.value.message
        assert text not in error.value.message


def test_a_token_file_that_cannot_be_read_is_wrong_use_and_named(tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    ended = call("run", "--no-store", "--plain", "--for", "100ms", "--token-file", str(missing))
    assert (ended[0], ended[2]) == (
        2, f"kailash-monitor: the token: {missing} cannot be read: No such file or directory\n",
    )  # fmt: skip
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(WrongUse, match="empty holds a secret"):
        stated_token(None, tmp_path / "empty", {})


def test_the_option_states_it_before_the_environment_and_that_before_the_configuration(tmp_path: Path) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    first.write_text("the-token-of-the-option\n")
    last.write_text("the-token-of-the-configuration\n")
    assert stated_token(first, last, {VARIABLE: TOKEN}) == "the-token-of-the-option"
    assert stated_token(None, last, {VARIABLE: TOKEN}) == TOKEN
    assert stated_token(None, last, {}) == "the-token-of-the-configuration"


def test_an_empty_variable_states_nothing() -> None:
    assert stated_token(None, None, {VARIABLE: ""}) is None
    assert stated_token(None, None, {}) is None


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("10.0.0.1", False),
        ("::ffff:192.0.2.1", False),
        ("localhost.example", False),
        ("monitor", False),
    ],
)
async def test_what_only_this_machine_reaches(host: str, is_local: bool) -> None:
    listen = Listen(host, 0)
    assert listen.is_local is is_local
    check_reach_of(listen, TOKEN)
    if is_local:
        check_reach_of(listen, None)
        return
    with pytest.raises(WrongUse):
        check_reach_of(listen, None)
    with pytest.raises(ConfigurationError, match="serve: .*, which other machines can reach, for a site without a token; "):
        await serve(Site(AlertManager(MetricsRegistry())), listen)


@pytest.mark.real_time
@pytest.mark.parametrize(("token", "public"), [(TOKEN, False), (None, True)])
async def test_a_site_is_served_to_others_with_a_token_or_where_that_is_said_to_be_meant(
    token: str | None, public: bool
) -> None:
    server = await serve(Site(AlertManager(MetricsRegistry()), token), Listen("0.0.0.0", 0), public=public)
    await server.close()


def test_without_an_address_it_listens_on_this_machine() -> None:
    check_reach_of(None, None)


def test_a_configuration_says_where_its_token_is_beside_itself(tmp_path: Path) -> None:
    config = tmp_path / "monitor.yaml"
    config.write_text("token_file: secrets/token\nhosts: [a.example, b.example]\n")
    monitor = load_monitor(config)
    assert (monitor.token_file, monitor.hosts) == (tmp_path / "secrets" / "token", ("a.example", "b.example"))
    config.write_text("{}")
    assert (load_monitor(config).token_file, load_monitor(config).hosts) == (None, ())
