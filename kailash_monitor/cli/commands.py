"""The commands, their options and exit codes: 0 well, 1 cannot run here, 2 wrong use or configuration."""

import sys
from pathlib import Path

import click

import kailash_monitor
from kailash_monitor.cli.controls import CONTROLS
from kailash_monitor.cli.dashboard import dashboard
from kailash_monitor.cli.database import NAME, open_database
from kailash_monitor.cli.failure import WrongUse
from kailash_monitor.cli.loading import load
from kailash_monitor.cli.logs import LogView, log_to_stdout, log_to_view
from kailash_monitor.cli.notify import notify
from kailash_monitor.cli.parameters import FILE, DurationParameter, ListenParameter
from kailash_monitor.cli.rules import rules
from kailash_monitor.cli.run import run_monitor
from kailash_monitor.cli.stated_token import VARIABLE, check_reach_of, stated_token
from kailash_monitor.errors import CannotListen, LifecycleError
from kailash_monitor.web import DEFAULT_LISTEN, Listen

__all__ = ["commands"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(kailash_monitor.__version__)
def commands() -> None:
    """Watch this machine, or what a configuration file says, and tell when something is wrong."""


@commands.command()
@click.option("--config", "-c", "path", type=FILE, help="A YAML file that adds to the defaults, or replaces them.")
@click.option("--for", "seconds", type=DurationParameter(), help="End by itself after this time, such as 30s.")
@click.option("--listen", type=ListenParameter(), help=f"Where to serve; {DEFAULT_LISTEN} or the next free port by default.")
@click.option("--store", type=FILE, help=f"A database that survives a restart; {NAME} in your state folder by default.")
@click.option(
    "--token-file", type=FILE, help=f"Holds the token that changes over HTTP need; {VARIABLE} is the token itself."
)
@click.option("--no-store", is_flag=True, help="Nothing survives a restart.")
@click.option("--plain", is_flag=True, help="Log lines, also on a terminal.")
@click.option("--json-logs", is_flag=True, help="Log lines as JSON objects.")
def run(
    path: Path | None,
    seconds: float | None,
    listen: Listen | None,
    store: Path | None,
    token_file: Path | None,
    no_store: bool,
    plain: bool,
    json_logs: bool,
) -> None:
    """Monitor until Ctrl-C."""
    if store is not None and no_store:
        raise WrongUse("--store and --no-store together; choose one")
    view = None if plain or json_logs or not sys.stdout.isatty() else LogView()
    stop_logging = log_to_stdout(as_json=json_logs) if view is None else log_to_view(view)
    try:
        monitor = load(path, lambda in_file: None) if no_store else load(path, open_database(store))
        listen, token = listen or monitor.listen, stated_token(token_file, monitor.token_file)
        check_reach_of(listen, token)
        run_monitor(monitor, listen=listen, token=token, seconds=seconds, view=view)
    except CannotListen as error:
        raise SystemExit(f"kailash-monitor: {error.strerror}") from None
    except LifecycleError as error:  # which was logged: a store that cannot be read
        raise SystemExit(f"kailash-monitor: {error}") from None
    finally:
        stop_logging()


@commands.command()
@click.argument("path", type=FILE)
def check(path: Path) -> None:
    """Check a configuration file and say what it defines."""
    monitor = load(path)
    manager = monitor.manager
    collectors = ", ".join(manager.metrics_registry.get_all_collectors())
    channels = ", ".join(manager.channels_by_name())
    click.echo(f"{path}: ok: {len(manager.rules)} rules; collectors: {collectors or 'none'}; channels: {channels or 'none'}")


for _command in (*CONTROLS, dashboard, notify, rules):
    commands.add_command(_command)
