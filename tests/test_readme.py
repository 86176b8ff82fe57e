"""Every code block of the README is run, and prints what it says it prints."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kailash_monitor.config import load_monitor
from kailash_monitor.model.reason import Reason

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
BLOCKS = [(match[1], match[2], match[3]) for match in BLOCK.finditer(README.read_text())]

COMMANDS = [
    "python3 -m venv .venv && .venv/bin/pip install -q '.[cli]' && .venv/bin/kailash-monitor run",
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest",
]
"""Run as they stand by .ci/run: in here, they would run themselves."""


def of(language: str) -> list[tuple[str, str | None]]:
    return [(code, output) for kind, code, output in BLOCKS if kind == language]


def absent(code: str) -> list[str]:
    """The packages that a block imports and that are not installed: those of extras that a newcomer need not have."""
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        name
        for node in imports
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    return [top for top in sorted({name.partition(".")[0] for name in names}) if importlib.util.find_spec(top) is None]


def test_there_is_no_block_that_nothing_runs() -> None:
    assert {kind for kind, _, _ in BLOCKS} == {"sh", "python", "yaml"}


def test_it_opens_with_exactly_two_commands() -> None:
    assert [code.strip() for code, _ in of("sh")] == COMMANDS


@pytest.mark.parametrize(("code", "output"), of("python"), ids=lambda part: re.sub(r"\W+", " ", part or "")[-30:])
def test_a_block_runs_and_prints_what_it_says(code: str, output: str | None) -> None:
    if missing := absent(code):
        pytest.skip(f"{', '.join(missing)}, from an extra, is not installed")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert output is None or ended.stdout == output


def test_the_first_program_fires_and_resolves() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", of("python")[0][0]], capture_output=True, text=True, check=True, timeout=30
    )
    assert [line.split()[0] for line in ended.stderr.splitlines()] == ["FIRING", "RESOLVED"]


def test_the_configuration_can_be_used(tmp_path: Path) -> None:
    for number, (text, _) in enumerate(of("yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        assert "disk_half_full" in load_monitor(path).manager.rules


def test_every_reason_is_listed() -> None:
    text = README.read_text()
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in text] == []
