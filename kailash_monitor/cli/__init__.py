"""The command line, `kailash-monitor`: runs a monitor, checks a configuration, talks to a program that runs."""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; one clear line where its dependencies are not installed."""
    _open_closed_streams()
    try:
        from kailash_monitor.cli.commands import commands
    except ImportError as error:
        package = error.name or "a package"
        sys.exit(f"kailash-monitor: the command line needs {package}: pip install 'kailash-monitor[cli]'")
    commands(prog_name="kailash-monitor")


def _open_closed_streams() -> None:
    """Give what was started with a stream closed (`>&-`) one that leads nowhere.

    Its number would otherwise go to the next file or socket that is opened, and Python has None in its place.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # for the rest of the process
