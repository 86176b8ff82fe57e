"""Parameters: what is written on the command line, read and checked."""

from pathlib import Path
from typing import Final

import click

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.durations import parse_duration
from kailash_monitor.web import Listen

__all__ = ["FILE", "DurationParameter", "ListenParameter"]

FILE: Final = click.Path(dir_okay=False, path_type=Path)


class DurationParameter(click.ParamType[float]):
    """A duration above zero, such as 30s, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or end with what would be right."""
        try:
            seconds = parse_duration(value if isinstance(value, float) else str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail(f"{value!r} is not above zero", param, ctx)
        return seconds


class ListenParameter(click.ParamType[Listen]):
    """An address such as 127.0.0.1:9464."""

    name = "host:port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Listen:
        """Read it, or end with what would be right."""
        try:
            return value if isinstance(value, Listen) else Listen.parse(str(value))
        except ConfigurationError as error:
            self.fail(f"{error.seen}; {error.expected}", param, ctx)
