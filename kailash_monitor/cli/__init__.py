"""The command line: `kailash-monitor run` and `kailash-monitor check`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; one clear line where its dependencies are not installed."""
    try:
        from kailash_monitor.cli.commands import commands
    except ImportError as error:
        package = error.name or "a package"
        sys.exit(f"kailash-monitor: the command line needs {package}: pip install 'kailash-monitor[cli]'")
    commands(prog_name="kailash-monitor")
