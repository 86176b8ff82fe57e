"""A run of the monitor: serve, judge, show, until a signal or the time is over."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Final

from kailash_monitor.cli.live import show_live
from kailash_monitor.cli.logs import LogView
from kailash_monitor.config import Monitor
from kailash_monitor.web import DEFAULT_LISTEN, Listen, Server, Site, serve

__all__ = ["run_monitor"]

PORTS_TRIED: Final = 100
"""How many ports after the default one are tried: more programs than that on one machine want a port of their own."""

_logger = logging.getLogger("kailash_monitor.cli")


def run_monitor(monitor: Monitor, *, listen: Listen | None, seconds: float | None, view: LogView | None) -> None:
    """Run until SIGINT, SIGTERM or for `seconds`; a second SIGINT ends the process at once.

    With a `view`, show it on the terminal. CannotListen where the address that was asked for cannot be had.
    """
    asyncio.run(_run(monitor, listen=listen, seconds=seconds, view=view))


async def _run(monitor: Monitor, *, listen: Listen | None, seconds: float | None, view: LogView | None) -> None:
    manager = monitor.manager
    with _stop_signals() as stop:
        async with AsyncExitStack() as running:
            server = await _serve(monitor, listen)
            running.push_async_callback(server.close)
            _say_hello(monitor, server)
            await running.enter_async_context(manager)
            if view is not None:
                await running.enter_async_context(show_live(manager, server.address, view))
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await stop.wait()
            _logger.info("ending")


async def _serve(monitor: Monitor, listen: Listen | None) -> Server:
    site = Site(monitor.manager)
    if listen is not None:
        return await serve(site, listen)
    return await serve(site, DEFAULT_LISTEN, try_next=PORTS_TRIED)


def _say_hello(monitor: Monitor, server: Server) -> None:
    registry = monitor.manager.metrics_registry
    if server.address.port != (monitor.listen or DEFAULT_LISTEN).port:
        _logger.info("port %s is in use, so port %s it is", DEFAULT_LISTEN.port, server.address.port)
    _logger.info(
        "watching %s by %d rules; metrics on http://%s/metrics",
        ", ".join(registry.get_all_collectors()) or "nothing",
        len(monitor.manager.rules),
        server.address,
    )


@contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """Give an event that SIGINT and SIGTERM set."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def asked_to_stop(number: int) -> None:
        if stop.is_set() and number == signal.SIGINT:
            os._exit(130)  # asked twice: not to wait for anything
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, asked_to_stop, number)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
