"""What an import costs: no thread, no open file, none of the heavy libraries."""

import os
import subprocess
import sys
import textwrap

import pytest

import kailash_monitor

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
"""Without what a coverage run adds to every process: it loads sqlite3."""

HEAVY = ("aiohttp", "aiosmtplib", "sqlite3", "yaml", "psutil", "pydantic", "rich", "click")


def _python(script: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=30, env=CLEAN
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    "module", ["kailash_monitor", "kailash_monitor.metrics", "kailash_monitor.alerts", "kailash_monitor.blocking"]
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


def test_every_name_of_the_face_is_there() -> None:
    assert kailash_monitor.__all__ == sorted(kailash_monitor.__all__, key=lambda n: (n[0].islower() or n[0] == "_", n))
    for name in kailash_monitor.__all__:
        assert getattr(kailash_monitor, name) is not None
    assert set(dir(kailash_monitor)) == set(kailash_monitor.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kailash_monitor.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import kailash_monitor.instrument as i; i.HostSource()", "watching the host and the process needs psutil: pip install 'kailash-monitor[system]'"),
        ("from kailash_monitor.yaml_source import parse_yaml; parse_yaml('a: 1', 'f')", "reading YAML needs PyYAML: pip install 'kailash-monitor[cli]'"),
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
