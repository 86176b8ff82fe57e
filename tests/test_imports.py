"""What an import costs: no thread, no open file, none of the heavy libraries; and what the core must not ask for."""

import ast
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import kailash_monitor
from kailash_monitor import alerts, channels
from kailash_monitor.channels.mapping import CHANNEL_TYPES

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
"""Without what a coverage run adds to every process: it loads sqlite3."""

HEAVY = ("aiohttp", "aiosmtplib", "apprise", "jinja2", "sqlite3", "yaml", "psutil", "pydantic", "rich", "click")


def _python(script: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=30, env=CLEAN
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    "module",
    [
        "kailash_monitor",
        "kailash_monitor.metrics",
        "kailash_monitor.alerts",
        "kailash_monitor.blocking",
        "kailash_monitor.storage",
    ],
)
def test_importing_starts_nothing_opens_nothing_and_loads_nothing_heavy(module: str) -> None:
    fds = "len(os.listdir('/proc/self/fd'))" if os.path.isdir("/proc/self/fd") else "0"
    out = _python(f"""
        import os, sys, threading
        before = {fds}
        import {module}
        print([name for name in {HEAVY!r} if name in sys.modules], threading.active_count(), {fds} - before)
    """)
    assert out == "[] 1 0\n"


def test_importing_the_package_alone_loads_no_part_of_it() -> None:
    out = _python("import sys, kailash_monitor; print(sorted(m for m in sys.modules if m.startswith('kailash_monitor.')))")
    assert out == "[]\n"


def test_a_channel_is_imported_when_it_is_asked_for_and_what_it_needs_when_it_sends() -> None:
    out = _python(f"""
        import sys
        from kailash_monitor import alerts
        print("kailash_monitor.channels.email" in sys.modules)
        for name in alerts.__all__:
            getattr(alerts, name)
        print("kailash_monitor.channels.email" in sys.modules, [name for name in {HEAVY!r} if name in sys.modules])
    """)
    assert out == "False\nTrue []\n"


def test_every_name_of_the_face_is_there() -> None:
    assert kailash_monitor.__all__ == sorted(kailash_monitor.__all__, key=lambda n: (n[0].islower() or n[0] == "_", n))
    for name in kailash_monitor.__all__:
        assert getattr(kailash_monitor, name) is not None
    assert set(dir(kailash_monitor)) == set(kailash_monitor.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kailash_monitor.nothing  # noqa: B018


def test_the_face_for_alerting_has_what_the_package_offers_of_it() -> None:
    assert alerts.__all__ == sorted(alerts.__all__, key=lambda n: (n[0].islower(), n))
    assert all(hasattr(alerts, name) for name in alerts.__all__)
    assert set(kailash_monitor._ALERTS) <= set(alerts.__all__)
    offered = {"Route", "Rung", "Inhibition", "MuteTime", "Matcher", "burn_rate_rules", "NoData", "Reason"}
    offered |= {"DeadLetter", "Waiting", "ChannelStatus", *CHANNEL_TYPES.values()}
    assert offered <= set(alerts.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        alerts.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        channels.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import kailash_monitor.instrument as i; i.HostSource()", "watching the host and the process needs psutil: pip install 'kailash-monitor[system]'"),
        ("from kailash_monitor.yaml_source import parse_yaml; parse_yaml('a: 1', 'f')", "reading YAML needs PyYAML: pip install 'kailash-monitor[rules]'"),
        ("import kailash_monitor.config", "reading a configuration file needs pydantic: pip install 'kailash-monitor[cli]'"),
        ("from kailash_monitor.cli import main; main()", "kailash-monitor: the command line needs click: pip install 'kailash-monitor[cli]'"),
    ],
)  # fmt: skip
def test_a_missing_extra_says_what_to_install(script: str, message: str) -> None:
    hidden = "import sys\nfor name in ('psutil', 'yaml', 'pydantic', 'click'):\n    sys.modules[name] = None\n"
    ended = subprocess.run(
        [sys.executable, "-c", hidden + script], capture_output=True, text=True, check=False, timeout=30, env=CLEAN
    )
    assert ended.returncode == 1
    assert message in ended.stderr


PACKAGE = Path(kailash_monitor.__file__).parent
PURE = ("model", "rules", "exposition", "alerting", "delivery")
ASKS_THE_CLOCK = {"now", "utcnow", "today"}


def clock_readings(source: str) -> Iterator[int]:
    """Give the lines on which `source` asks datetime or date what time it is, called or handed on.

    The linter for imports cannot see this: datetime itself is a value like others.
    """
    tree = ast.parse(source)
    names = {"datetime", "date"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname for alias in node.names if alias.asname and alias.name in ("datetime", "date")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ASKS_THE_CLOCK:
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else None
            if name in names:
                yield node.lineno


@pytest.mark.parametrize("path", sorted(p for part in PURE for p in (PACKAGE / part).rglob("*.py")), ids=lambda p: p.stem)
def test_the_core_does_not_ask_what_time_it_is(path: Path) -> None:
    assert list(clock_readings(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("from datetime import UTC, datetime\nx = datetime.now(UTC)", [2]),
        ("import datetime\nx = datetime.datetime.utcnow()", [2]),
        ("import datetime as dt\nx = dt.date.today()", [2]),
        ("from datetime import datetime as D\nclock = D.now", [2]),
        ("from datetime import date\n\ndef f(d=date.today()): ...", [3]),
        ("x = clock.now()\ny = datetime.fromtimestamp(now)", []),
    ],
)
def test_a_reading_of_the_clock_is_found(source: str, lines: list[int]) -> None:
    assert list(clock_readings(source)) == lines
