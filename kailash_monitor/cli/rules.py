"""The commands `rules check`, `rules test` and `rules export`: Prometheus' rule files, without a Prometheus."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from kailash_monitor.cli.failure import CANNOT, Failure
from kailash_monitor.cli.loading import load
from kailash_monitor.cli.parameters import FILE
from kailash_monitor.config import Monitor
from kailash_monitor.errors import InvalidFile
from kailash_monitor.rules.export import PER_PROGRAM
from kailash_monitor.rules.rule_file import Rule, duplicates, read_rule_file
from kailash_monitor.testing.rule_tests import run_rule_tests
from kailash_monitor.yaml_source import text_of

__all__ = ["rules"]

LINT: Final = 3
"""The exit code where rules are valid and look like a slip, as promtool has it."""

_files: Final = click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=FILE)


@click.group()
def rules() -> None:
    """Check, test and export rules as Prometheus has them."""


@rules.command("check")
@_files
@click.option("--lint", type=click.Choice(("all", "duplicate-rules", "none")), default="all", help="What may be a slip.")
@click.option("--lint-fatal", is_flag=True, help="End with exit code 3 where there may be one.")
def rules_check(paths: tuple[Path, ...], lint: str, lint_fatal: bool) -> None:
    """Check rule files: their fields, expressions and templates. Exit code 1 where something is wrong."""
    wrong, dubious = False, False
    for path in paths:
        click.echo(f"Checking {path}")
        try:
            file = read_rule_file(text_of(path), str(path))
        except InvalidFile as error:
            wrong = True
            _say_failed(error.problems)
        else:
            twice = [] if lint == "none" else duplicates(file)
            dubious = dubious or bool(twice)
            if twice:
                _say_failed(["\n".join(_duplicates_text(twice))])
            else:
                click.echo(f"  SUCCESS: {sum(len(group.rules) for group in file.groups)} rules found")
        click.echo()
    if wrong or (dubious and lint_fatal):
        raise SystemExit(CANNOT if wrong else LINT)


@rules.command("test")
@_files
def rules_test(paths: tuple[Path, ...]) -> None:
    """Run unit tests of rule files, written as for promtool. Exit code 1 where one fails.

    Rules are evaluated over series that the tests make up, and alerts decided as in a running program.
    """
    passed = True
    for path in paths:
        click.echo(f"Unit Testing:  {path}")
        report = run_rule_tests(path)
        for warning in report.warnings:
            click.echo(f"  WARNING: {warning}", err=True)
        if report.passed:
            click.echo("  SUCCESS")
        else:
            passed = False
            _say_failed([f"{failure}\n" for failure in report.failures])
        click.echo()
    if not passed:
        raise SystemExit(CANNOT)


@rules.command("export")
@click.argument("config", required=False, type=FILE)
@click.option("--output", "-o", type=FILE, help="Where to write it; standard output if left out.")
@click.option("--together", is_flag=True, help="Judge all programs that a Prometheus scrapes as one.")
def rules_export(config: Path | None, output: Path | None, together: bool) -> None:
    """Write the rules of a configuration file, or the default ones, as a rule file of Prometheus."""
    text = _exported(load(config, lambda in_file: None), () if together else PER_PROGRAM)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror}") from None


def _exported(monitor: Monitor, per: tuple[str, ...]) -> str:
    try:
        return monitor.manager.export_rules(per=per)
    except InvalidFile as error:
        click.echo("\n".join(error.problems), err=True)
        sys.exit(CANNOT)


def _say_failed(problems: Iterable[str]) -> None:
    click.echo("\n".join(["  FAILED:", *problems]), err=True)


def _duplicates_text(twice: list[Rule]) -> Iterator[str]:
    yield f"lint error {len(twice)} duplicate rule(s) found."
    for rule in twice:
        yield f"Metric: {rule.name} (line {rule.line})"
        yield "Label(s):"
        yield from (f"\t{name}: {text}" for name, text in sorted(rule.labels.items()))
    yield "Might cause inconsistency while recording expressions"
