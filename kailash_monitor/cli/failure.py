"""Failures: what the command line could not do, in one line, and the exit code that says whose fault it is."""

from typing import IO, Any, Final

import click

from kailash_monitor.channels.text import one_line

__all__ = ["CANNOT", "WRONG_USE", "Failure", "WrongUse"]

CANNOT: Final = 1
"""The exit code where it cannot be done here and now."""

WRONG_USE: Final = 2
"""The exit code where it was asked for, or configured, wrongly."""


class Failure(click.ClickException):
    """Ends the command after one line on standard error, which may quote what another program said."""

    exit_code = CANNOT

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))

    def show(self, file: IO[Any] | None = None) -> None:  # Any: click's
        """Write the line."""
        click.echo(f"kailash-monitor: {self.message}", file=file, err=True)


class WrongUse(Failure):
    """The same, where another command line would have done."""

    exit_code = WRONG_USE
