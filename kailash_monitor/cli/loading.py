"""Loading: a configuration file, or the defaults, into a monitor."""

from pathlib import Path

import click

from kailash_monitor.cli.failure import WRONG_USE
from kailash_monitor.config import Monitor, StoreAt, as_stated, default_monitor, load_monitor
from kailash_monitor.errors import InvalidFile, MonitoringError

__all__ = ["load"]


def load(path: Path | None, store_at: StoreAt = as_stated) -> Monitor:
    """Give the monitor that the file describes, or the one of this machine; ends the command where there is none."""
    try:
        return default_monitor(store_at) if path is None else load_monitor(path, store_at)
    except InvalidFile as error:
        click.echo("\n".join(error.problems), err=True)
        raise SystemExit(WRONG_USE) from None
    except MonitoringError as error:
        raise SystemExit(f"kailash-monitor: {error}") from None
