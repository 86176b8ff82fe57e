"""The guarded connector: aiohttp's, which connects only where the egress allows, and drops what it connected at once.

This module imports aiohttp; whoever needs it imports it at first use.
"""

import asyncio
import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from kailash_monitor.channels.egress import Egress, allowed, literal
from kailash_monitor.channels.lookup import addresses

__all__ = ["AddressRefused", "GuardedConnector"]


class AddressRefused(Exception):
    """The address may not be connected to; the text names its kind."""


class GuardedConnector(aiohttp.TCPConnector):
    """For one request. Every address is judged after the name was resolved, and it is that address that is connected to."""

    def __init__(self, egress: Egress) -> None:
        super().__init__(resolver=_GuardedResolver(egress), use_dns_cache=False, force_close=True)
        self._egress = egress
        self._opened: list[asyncio.Transport] = []

    @property
    def connected(self) -> bool:
        """Whether there was a connection, so that the other side may have heard something."""
        return bool(self._opened)

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Connect for `req`. An address that stands in the URL itself never comes to the resolver: it is judged here."""
        if (address := literal(req.url.raw_host or "")) and (why := allowed(address, self._egress)):
            raise AddressRefused(why)
        connection = await super().connect(req, traces, timeout)
        self._opened.extend(filter(None, [connection.transport]))  # none where it is lost already
        return connection

    def abort(self) -> None:
        """Close what was connected, now: closing in good order would wait until the other side had read everything."""
        for transport in self._opened:
            transport.abort()


class _GuardedResolver(AbstractResolver):
    """Resolves names to those of their addresses that may be connected to."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = [(kind, address, allowed(address, self._egress)) for kind, address in await addresses(host, port, family)]
        usable = [(kind, address) for kind, address, why in found if why is None]
        if not usable:
            raise AddressRefused(next(why for _, _, why in found if why))
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in usable
        ]

    async def close(self) -> None:
        """There is nothing to close."""
