"""A run of the monitor: serve, judge, show, until a signal or the time is over."""

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from typing import Final

import click

from kailash_monitor.channels.text import one_line
from kailash_monitor.cli.live import show_live
from kailash_monitor.cli.logs import LogView
from kailash_monitor.cli.runs import Run, announce
from kailash_monitor.cli.state import state_folder
from kailash_monitor.config import Monitor
from kailash_monitor.engine import AlertManager, Untold
from kailash_monitor.engine.task_group import TaskGroup
from kailash_monitor.errors import ConfigurationError, InvalidFile
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.web import DEFAULT_LISTEN, Listen, Server, Site, serve

__all__ = ["last_words", "run_monitor"]

PORTS_TRIED: Final = 100
"""How many ports after the default one are tried: more programs than that on one machine want a port of their own."""

TOKEN_BYTES: Final = 32
"""Of chance: what nobody guesses (RFC 6750, 5.2 has tokens unguessable; 256 bits are)."""

_logger = logging.getLogger("kailash_monitor.cli")


def run_monitor(
    monitor: Monitor, *, listen: Listen | None, token: str | None, seconds: float | None, view: LogView | None
) -> None:
    """Run until SIGINT, SIGTERM, SIGHUP or for `seconds`; a second SIGINT ends the process at once.

    Changes over HTTP need the `token`; without one, one of chance, which the commands of this user find. With a `view`, show
    it on the terminal. What still fires and what could not be told is said at the end. CannotListen
    where the address that was asked for cannot be had.
    """
    asyncio.run(_run(monitor, listen, token or secrets.token_urlsafe(TOKEN_BYTES), seconds=seconds, view=view))
    for line in last_words(monitor.manager.get_active_alerts(), monitor.manager.untold()):
        if view is None:
            _logger.warning("%s", line)
        else:
            click.echo(line)


def last_words(firing: Iterable[Alert], untold: Iterable[Untold]) -> Iterator[str]:
    """Give a line for each alert that fires at the end, and for each message that did not get through."""
    for alert in firing:
        yield one_line(f"still firing: [{alert.severity.value}] {alert.title} ({alert.id})")
    for message in untold:
        truth = _TRUTHS.get(message.kind, "fires")
        yield one_line(f"not told: channel {message.channel!r} has not taken that {message.alert_id} {truth}")


_TRUTHS: Final = {
    NoticeKind.RESOLVED: "is over",
    NoticeKind.MISSED: "came and went",
    NoticeKind.FLAPPING: "goes on and off",
    NoticeKind.STABLE: "goes on and off no more",
}


async def _run(monitor: Monitor, listen: Listen | None, token: str, *, seconds: float | None, view: LogView | None) -> None:
    manager = monitor.manager
    with _signals(reloads=bool(manager.rule_files)) as (stop, reload):
        async with AsyncExitStack() as running:
            server = await _serve(monitor, listen, token)
            running.push_async_callback(server.close)
            await _announce(Run(server.address, os.getpid(), token), running)
            _say_hello(monitor, server, by_default=listen is None)
            began = manager.metrics_registry.clock.wall()
            await running.enter_async_context(manager)
            _say_what_goes_on(manager.get_active_alerts(), began)
            if view is not None:
                await running.enter_async_context(show_live(manager, server.address, view))
            async with TaskGroup() as tasks:
                reloading = tasks.create_task(_reload_when(reload, manager))
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await stop.wait()
                reloading.cancel()
            _logger.info("ending")


async def _reload_when(asked: asyncio.Event, manager: AlertManager) -> None:
    """Read the rule files again whenever that is asked for; where they cannot be used, those from before go on."""
    while True:
        await asked.wait()
        asked.clear()
        try:
            await manager.reload_rules()
        except (ConfigurationError, InvalidFile, TimeoutError) as error:
            _logger.error("the rules stay as they were: %s", str(error) or "the files cannot be read in time")
        except Exception:  # the top of a loop
            _logger.exception("the rules stay as they were")
        else:
            _logger.info("the rules were read again: %d rules", len(manager.rules))


async def _serve(monitor: Monitor, listen: Listen | None, token: str) -> Server:
    site = Site(monitor.manager, token, hosts=[*monitor.hosts, *([] if listen is None else [listen.host])])
    if listen is not None:
        return await serve(site, listen)
    return await serve(site, DEFAULT_LISTEN, try_next=PORTS_TRIED)


async def _announce(run: Run, running: AsyncExitStack) -> None:
    """Let the other commands find this run until it is over; it goes on where that cannot be."""
    try:
        announcement = await asyncio.to_thread(lambda: announce(state_folder(), run))
    except OSError as error:
        what = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
        _logger.warning("no other command can find this program: %s", what)
    else:
        running.push_async_callback(asyncio.to_thread, announcement.withdraw)


def _say_hello(monitor: Monitor, server: Server, *, by_default: bool) -> None:
    registry = monitor.manager.metrics_registry
    if by_default and server.address.port != DEFAULT_LISTEN.port:
        _logger.info("port %s is in use, so port %s it is", DEFAULT_LISTEN.port, server.address.port)
    _logger.info(
        "watching %s by %d rules; dashboard on http://%s/ (open it by `kailash-monitor dashboard`), metrics on http://%s/metrics",
        ", ".join(registry.get_all_collectors()) or "nothing",
        len(monitor.manager.rules),
        server.address.reachable,
        server.address,
    )


def _say_what_goes_on(alerts: Iterable[Alert], began: float) -> None:
    """Say how many alerts the store had that fire."""
    before = sum(alert.fired_at is not None and alert.fired_at.timestamp() < began for alert in alerts)
    if before:
        _logger.info("going on with %d alert%s from before", before, "" if before == 1 else "s")


@contextmanager
def _signals(*, reloads: bool) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Give an event that SIGINT, SIGTERM and SIGHUP set; or SIGHUP sets a second one, where something can be reloaded."""
    loop, stop, reload = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def asked_to_stop(number: int) -> None:
        if stop.is_set() and number == signal.SIGINT:
            os._exit(130)  # asked twice: not to wait for anything
        stop.set()

    handlers: dict[int, Callable[[], object]] = {
        number: partial(asked_to_stop, number) for number in (signal.SIGINT, signal.SIGTERM)
    }
    if hasattr(signal, "SIGHUP"):
        if reloads:
            handlers[signal.SIGHUP] = reload.set
        elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup, and then by us as well
            handlers[signal.SIGHUP] = partial(asked_to_stop, signal.SIGHUP)  # the terminal was closed
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield stop, reload
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
