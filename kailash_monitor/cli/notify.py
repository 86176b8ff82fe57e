"""The command `notify test`: whether what the channels send arrives."""

import asyncio
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path

import click

from kailash_monitor.channels import NotificationChannel
from kailash_monitor.cli.failure import CANNOT, WrongUse
from kailash_monitor.cli.loading import load
from kailash_monitor.cli.logs import log_to_stderr
from kailash_monitor.cli.parameters import FILE
from kailash_monitor.cli.table import show_table
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Outcome
from kailash_monitor.engine.attempt import attempt
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.trial import notice_of_test

__all__ = ["notify"]


@click.group()
def notify() -> None:
    """Try the notification channels."""


@notify.command("test")
@click.argument("channel", required=False)
@click.option("--config", "-c", "path", type=FILE, help="The file with the channels; the log if left out.")
def notify_test(channel: str | None, path: Path | None) -> None:
    """Send a test through every channel, or the one named, and say what became of it."""
    channels = _chosen(load(path).manager.channels_by_name(), channel)
    stop_logging = log_to_stderr()
    outcomes = asyncio.run(_try(channels))
    stop_logging()
    rows = [
        (name, type(outcome).__name__.lower(), "" if isinstance(outcome, Delivered) else outcome.why)
        for name, outcome in outcomes.items()
    ]
    show_table(("channel", "outcome", "why"), rows, nothing="there is no channel to try")
    if not all(isinstance(outcome, Delivered) for outcome in outcomes.values()):
        raise SystemExit(CANNOT)


def _chosen(channels: Mapping[str, NotificationChannel], name: str | None) -> Mapping[str, NotificationChannel]:
    if name is None:
        return channels
    if name not in channels:
        raise WrongUse(f"no channel {name!r}; there are: {', '.join(channels) or 'none'}")
    return {name: channels[name]}


async def _try(channels: Mapping[str, NotificationChannel]) -> dict[str, Outcome]:
    """Send to all at once, and give what became of each."""
    threads, now = DaemonCalls(len(channels)), SYSTEM_CLOCK.wall()
    sender = f"`kailash-monitor notify test` on {socket.gethostname()}"
    notices = {name: notice_of_test(name, sender, notice_id=uuid.uuid4().hex, now=now) for name in channels}
    tries = (attempt(channel, notices[name], threads) for name, channel in channels.items())
    return dict(zip(channels, await asyncio.gather(*tries), strict=True))
