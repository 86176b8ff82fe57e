"""Tables: rows for people on a terminal, and for other programs elsewhere."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kailash_monitor.channels.text import one_line

__all__ = ["cell", "moment", "show_json", "show_table"]

Row = Sequence[str]

ID_WIDTH: Final = 36
"""Characters of an id that is kept on one line, to be copied from there: as long as a UUID with its hyphens."""


def show_table(titles: Row, rows: Sequence[Row], *, nothing: str) -> None:
    """Show the rows under their titles on a terminal, elsewhere as lines with a tab between the cells, without titles.

    Where there are none, `nothing` says so on standard error.
    """
    if not rows:
        click.echo(nothing, err=True)
    elif sys.stdout.isatty():
        Console().print(_table(titles, rows))
    else:
        for row in rows:
            click.echo("\t".join(map(one_line, row)))


def show_json(documents: object) -> None:
    """Show it as JSON."""
    click.echo(json.dumps(documents, indent=2))


def cell(value: object) -> str:
    """Give a value of a JSON document as a cell: nothing for null, false and "", a list with commas."""
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case float():
            return f"{value:.4g}"
        case list():
            return ", ".join(map(cell, value))
        case _:
            return str(value)


def moment(value: object) -> str:
    """Give a time of a JSON document to the second, in UTC as it comes; nothing for null."""
    try:
        return f"{datetime.fromisoformat(str(value)):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return cell(value)


def _table(titles: Row, rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, *column in zip(titles, *rows, strict=True):
        copied = title == "id" and max(map(len, column)) <= ID_WIDTH
        table.add_column(title, overflow="fold", no_wrap=copied)
    for row in rows:
        table.add_row(*(Text(one_line(text)) for text in row))
    return table
