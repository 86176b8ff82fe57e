"""Controls: the commands that ask a running program, or have it do something."""

import getpass
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

import click

from kailash_monitor.cli.failure import Failure
from kailash_monitor.cli.parameters import DurationParameter, ListenParameter
from kailash_monitor.cli.program import GREETING_SECONDS, Program, quoted
from kailash_monitor.cli.runs import choose, runs_in
from kailash_monitor.cli.state import state_folder
from kailash_monitor.cli.table import cell, moment, show_json, show_table
from kailash_monitor.web import Listen

__all__ = ["CONTROLS", "asks", "author_option"]

P = ParamSpec("P")


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user id that nobody has given a name
        return ""


def asks(command: Callable[Concatenate[Program, P], None]) -> Callable[..., None]:
    """Give the command the program to ask, by the options that choose one."""

    @click.option("--address", type=ListenParameter(), help="Where the program serves, if several run.")
    @click.option("--port", type=click.IntRange(1, 65_535), help="The same, on this machine.")
    @wraps(command)
    def asking(address: Listen | None, port: int | None, *rest: P.args, **options: P.kwargs) -> None:
        command(_program(address, port), *rest, **options)

    return asking


def _program(address: Listen | None, port: int | None) -> Program:
    try:
        runs = runs_in(state_folder())
    except OSError as error:
        raise Failure(f"cannot read which programs run: {error.strerror}: {error.filename}") from None
    return Program(choose(runs, address, port, answers=lambda run: Program(run, seconds=GREETING_SECONDS).answers()))


_as_json: Final = click.option("--json", "as_json", is_flag=True, help="Show JSON, with all there is to know.")
author_option: Final = click.option("--author", default=_login_name, help="Who says so; your login name if left out.")


# -- alerts ------------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also those that are pending or over.")
@_as_json
@asks
def alerts(program: Program, everything: bool, as_json: bool) -> None:
    """Show what fires."""
    found = program.ask_list("/api/alerts", "alerts")
    shown = [alert for alert in found if everything or (alert.get("fired_at") and not alert.get("resolved_at"))]
    if as_json:
        return show_json(shown)
    titles = ("status", "severity", "since (UTC)", "value", "id", "title")
    return show_table(titles, [_alert_row(alert) for alert in shown], nothing="nothing fires")


def _alert_row(alert: dict[str, Any]) -> list[str]:  # Any: what another program says
    since = alert.get("resolved_at") or alert.get("fired_at") or alert.get("created_at")
    return [
        cell(alert.get("status")),
        cell(alert.get("severity")),
        moment(since),
        cell(alert.get("value")),
        cell(alert.get("id")),
        cell(alert.get("title")),
    ]


@click.command()
@click.argument("alert_id", metavar="ID")
@_as_json
@asks
def explain(program: Program, alert_id: str, as_json: bool) -> None:
    """Say why each channel was told of an alert, or was not."""
    explanation = program.ask(f"/api/alerts/{quoted(alert_id)}/explain")
    if as_json:
        return show_json(explanation)
    return click.echo(cell(explanation.get("text")))


@click.command()
@click.argument("alert_id", metavar="ID")
@author_option
@asks
def ack(program: Program, alert_id: str, author: str) -> None:
    """Say that you are on it: no repeats of this alert, unless it becomes graver."""
    program.tell("POST", "/api/alerts/acknowledge", {"alert_id": alert_id, "author": author})
    click.echo("acknowledged")


# -- silences ----------------------------------------------------------------------------------------------------------


@click.group()
def silence() -> None:
    """Have nobody told of alerts for a time; whoever was told that one fires is told when it is over."""


def _instead_of_matchers(context: click.Context, _: click.Parameter, alert_id: str | None) -> str | None:
    if bool(context.params["matchers"]) is (alert_id is not None):
        raise click.UsageError("Give either matchers or --alert ID.")
    return alert_id


@silence.command("add")
@click.argument("matchers", nargs=-1, is_eager=True)
@click.option("--alert", "alert_id", metavar="ID", callback=_instead_of_matchers, help="This alert, without matchers.")
@click.option("--for", "duration", type=DurationParameter(), help="Such as 2h; by default a day, or until it is over.")
@click.option("--starts-in", type=DurationParameter(), help="Begin later; only with matchers.")
@click.option("--reason", default="", help="Why, for those who wonder.")
@author_option
@asks
def silence_add(program: Program, /, matchers: tuple[str, ...], alert_id: str | None, **said: object) -> None:
    """Silence the alerts with these labels, such as service=checkout 'severity=~"info|warning"'; prints the silence's id.

    Beside an alert's own labels there are alertname, collector and severity.
    """
    what = {"matchers": list(matchers)} if alert_id is None else {"alert_id": alert_id}
    answer = program.tell("POST", "/api/silences", {**what, **said})
    made, covers = answer.get("silence") or {}, answer.get("covers") or []
    click.echo(cell(made.get("id")))
    until = "its alert is over" if made.get("until_resolved") else f"{moment(made.get('ends_at'))} UTC"
    click.echo(f"until {until}; covers now: {', '.join(map(cell, covers)) or 'no alert'}", err=True)


@silence.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
@_as_json
@asks
def silence_list(program: Program, everything: bool, as_json: bool) -> None:
    """Show the silences."""
    found = program.ask_list("/api/silences", "silences")
    shown = [one for one in found if everything or one.get("state") != "expired"]
    if as_json:
        return show_json(shown)
    titles = ("id", "state", "of", "from (UTC)", "until (UTC)", "author", "reason")
    return show_table(titles, [_silence_row(one) for one in shown], nothing="nothing is silenced")


def _silence_row(one: dict[str, Any]) -> list[str]:  # Any: as above
    over = one.get("state") == "expired"
    return [
        cell(one.get("id")),
        cell(one.get("state")),
        cell(one.get("alert_id") or one.get("matchers")),
        moment(one.get("starts_at")),
        "resolved" if one.get("until_resolved") and not over else moment(one.get("ends_at")),
        cell(one.get("author")),
        cell(one.get("reason")),
    ]


@silence.command("end")
@click.argument("silence_id", metavar="ID")
@asks
def silence_end(program: Program, silence_id: str) -> None:
    """End a silence now."""
    program.tell("DELETE", f"/api/silences/{quoted(silence_id)}")
    click.echo("ended")


# -- channels ----------------------------------------------------------------------------------------------------------


@click.command()
@_as_json
@asks
def channels(program: Program, as_json: bool) -> None:
    """Show how the channels are doing."""
    found = program.ask_list("/api/channels", "channels")
    if as_json:
        return show_json(found)
    rows = [
        [
            *(cell(one.get(name)) for name in ("name", "state")),
            moment(one.get("since")),
            *(cell(one.get(name)) for name in ("delivered", "failed", "waiting", "why")),
        ]
        for one in found
    ]
    titles = ("channel", "state", "since (UTC)", "delivered", "failed", "waiting", "why")
    return show_table(titles, rows, nothing="there is no channel")


@click.command()
@_as_json
@asks
def outbox(program: Program, as_json: bool) -> None:
    """Show what waits for a channel."""
    found = program.ask_list("/api/outbox", "waiting")
    if as_json:
        return show_json(found)
    titles = ("channel", "what", "alerts", "due (UTC)", "attempts", "in doubt", "why")
    return show_table(titles, [_waiting_row(one) for one in found], nothing="nothing waits")


def _waiting_row(one: dict[str, Any]) -> list[str]:  # Any: as above
    return [
        *(cell(one.get(name)) for name in ("channel", "kinds", "alert_ids")),
        moment(one.get("due")),
        *(cell(one.get(name)) for name in ("attempts", "in_doubt", "why")),
    ]


@click.group("dead-letters")
def dead_letters() -> None:
    """See to what was given up."""


@dead_letters.command("list")
@_as_json
@asks
def dead_letters_list(program: Program, as_json: bool) -> None:
    """Show the messages that were given up."""
    found = program.ask_list("/api/dead-letters", "dead_letters")[::-1]  # the newest last, where a terminal ends
    if as_json:
        return show_json(found)
    titles = ("id", "given up (UTC)", "channel", "what", "alert", "attempts", "why")
    return show_table(titles, [_letter_row(one) for one in found], nothing="nothing was given up")


def _letter_row(letter: dict[str, Any]) -> list[str]:  # Any: as above
    notice = letter.get("notice") or {}
    return [
        cell(letter.get("id")),
        moment(letter.get("at")),
        cell(letter.get("channel")),
        cell(notice.get("kind")),
        cell((notice.get("alert") or {}).get("id")),
        *(cell(letter.get(name)) for name in ("attempts", "why")),
    ]


@dead_letters.command("resend")
@click.argument("letter_id", metavar="ID")
@asks
def dead_letters_resend(program: Program, letter_id: str) -> None:
    """Tell the channel what is true now, in place of what it was not told."""
    program.tell("POST", f"/api/dead-letters/{quoted(letter_id)}/resend")
    click.echo("resent")


@dead_letters.command("discard")
@click.argument("letter_id", metavar="ID")
@asks
def dead_letters_discard(program: Program, letter_id: str) -> None:
    """Forget a message that was given up."""
    program.tell("DELETE", f"/api/dead-letters/{quoted(letter_id)}")
    click.echo("discarded")


CONTROLS: Final[tuple[click.Command, ...]] = (alerts, explain, ack, silence, channels, outbox, dead_letters)
