"""The dashboard of a running program, opened in a browser."""

import secrets
import webbrowser
from typing import Final

import click

from kailash_monitor.cli.controls import asks, author_option
from kailash_monitor.cli.failure import WrongUse
from kailash_monitor.cli.program import Program
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.web.session import code_of

__all__ = ["dashboard"]

NONCE_BYTES: Final = 12
"""Of chance: no two codes have the same."""


@click.command()
@click.option("--print", "only_print", is_flag=True, help="Only print the link.")
@author_option
@asks
def dashboard(program: Program, only_print: bool, author: str) -> None:
    """Open the dashboard of the running program, signed in.

    The link is printed as well. It lets in whoever has it, once and within five minutes. Where no token is known, as for a
    program on another machine, it opens the page to read.
    """
    code = _code(program, author)
    link = f"http://{program.run.address.reachable}/" + ("" if code is None else f"#sign-in={code}")
    click.echo(link)
    if not only_print and not webbrowser.open(link):
        click.echo("kailash-monitor: no browser could be opened; open the link in one of yours", err=True)


def _code(program: Program, author: str) -> str | None:
    session = program.ask("/api/session")
    if program.run.token is None:
        if session.get("sign_in"):
            click.echo("kailash-monitor: its token is not known here; to change something, sign in on the page", err=True)
        return None
    try:
        return code_of(program.run.token, author, secrets.token_urlsafe(NONCE_BYTES), SYSTEM_CLOCK.wall())
    except ConfigurationError as error:
        raise WrongUse(f"--author: {error.seen}; {error.expected}") from None
