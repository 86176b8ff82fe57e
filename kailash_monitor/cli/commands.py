"""The commands, their options and exit codes: 0 well, 1 cannot run here, 2 wrong use or configuration."""

import sys
from pathlib import Path

import click

import kailash_monitor
from kailash_monitor.cli.logs import LogView, log_to_stdout, log_to_view
from kailash_monitor.cli.run import run_monitor
from kailash_monitor.config import Monitor, default_monitor, load_monitor
from kailash_monitor.errors import CannotListen, ConfigurationError, InvalidFile, MonitoringError
from kailash_monitor.model.durations import parse_duration
from kailash_monitor.web import DEFAULT_LISTEN, Listen

__all__ = ["commands"]

FILE = click.Path(dir_okay=False, path_type=Path)


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = parse_duration(value if isinstance(value, float) else str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail(f"{value!r} is not above zero", param, ctx)
        return seconds


class _Listen(click.ParamType[Listen]):
    name = "host:port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Listen:
        try:
            return value if isinstance(value, Listen) else Listen.parse(str(value))
        except ConfigurationError as error:
            self.fail(f"{error.seen}; {error.expected}", param, ctx)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(kailash_monitor.__version__)
def commands() -> None:
    """Watch this machine, or what a configuration file says, and tell when something is wrong."""


@commands.command()
@click.option("--config", "-c", "path", type=FILE, help="A YAML file that adds to the defaults, or replaces them.")
@click.option("--for", "seconds", type=_Duration(), help="End by itself after this time, such as 30s.")
@click.option("--listen", type=_Listen(), help=f"Where to serve; {DEFAULT_LISTEN} or the next free port if left out.")
@click.option("--plain", is_flag=True, help="Log lines, also on a terminal.")
@click.option("--json-logs", is_flag=True, help="Log lines as JSON objects.")
def run(path: Path | None, seconds: float | None, listen: Listen | None, plain: bool, json_logs: bool) -> None:
    """Monitor until Ctrl-C."""
    monitor = _load(path)
    view = None if plain or json_logs or not sys.stdout.isatty() else LogView()
    stop_logging = log_to_stdout(as_json=json_logs) if view is None else log_to_view(view)
    try:
        run_monitor(monitor, listen=listen or monitor.listen, seconds=seconds, view=view)
    except CannotListen as error:
        raise SystemExit(f"kailash-monitor: {error.strerror}") from None
    finally:
        stop_logging()


@commands.command()
@click.argument("path", type=FILE)
def check(path: Path) -> None:
    """Check a configuration file and say what it defines."""
    monitor = _load(path)
    manager = monitor.manager
    collectors = ", ".join(manager.metrics_registry.get_all_collectors())
    channels = ", ".join(manager.channels_by_name())
    click.echo(f"{path}: ok: {len(manager.rules)} rules; collectors: {collectors or 'none'}; channels: {channels or 'none'}")


def _load(path: Path | None) -> Monitor:
    try:
        return default_monitor() if path is None else load_monitor(path)
    except InvalidFile as error:
        click.echo("\n".join(error.problems), err=True)
        raise SystemExit(2) from None
    except MonitoringError as error:
        raise SystemExit(f"kailash-monitor: {error}") from None
