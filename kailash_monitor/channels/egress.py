"""The address guard: to which addresses a channel may connect.

An address that somebody wrote into a settings file, or that a name server gave, must not lead to what only this machine can
reach: the metadata service of a cloud hands out credentials to whoever asks from inside. So what decides is the address that
is connected to, after its name was resolved, not the URL. One that carries another within, IPv4 in IPv6, is judged by that.
"""

import socket
from collections.abc import Iterator
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from kailash_monitor.errors import ChannelError

__all__ = ["Egress", "allowed", "egress_of", "literal"]


class Egress(Enum):
    """How far a channel may reach: PRIVATE, all but link-local and metadata addresses; PUBLIC, the open internet only."""

    PRIVATE = "private"
    PUBLIC = "public"


_METADATA: Final = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254",  # AWS, Azure, Google Cloud, Oracle, OpenStack, DigitalOcean, …
        "169.254.170.2",  # the credentials of AWS containers
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure's own channel to a machine
        "192.0.0.192",  # Oracle Cloud, its older address
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # the credentials of AWS pods
        "fd20:ce::254",  # Google Cloud
        "fd00:42::42",  # Scaleway
    )
)
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""IPv6 addresses that stand for IPv4 ones, in their last 32 bits (RFC 6052; RFC 8215 for the local one)."""

_COMPATIBLE: Final = IPv6Network("::/96")
"""The former way to write an IPv4 address as IPv6 (RFC 4291, 2.5.5.1), but for `::` and `::1`."""


def allowed(address: str, egress: Egress) -> str | None:
    """Say why `address` may not be connected to, by its kind; None where it may.

    `address` is an IP address as a resolver or the system gives it; what is none is refused.
    """
    try:
        outer = ip_address(address)
    except ValueError:
        return "no IP address"
    for each in tuple(_within(outer)) or (outer,):
        if why := _refused(each, egress):
            return why
    return None


def literal(host: str) -> str | None:
    """Give the address that `host` itself is, also as the numbers that a system's resolver reads; None for a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))  # such as 2852039166, 0251.0376.0251.0376, 169.254.43518
    except (OSError, ValueError):
        return None


def egress_of(value: str | Egress, where: str) -> Egress:
    """Read `"private"` or `"public"`; a ChannelError otherwise."""
    try:
        return Egress(value)
    except ValueError:
        raise ChannelError(
            where, field="egress", seen=f"the egress {value!r}", expected='use "private" or "public"'
        ) from None


def _refused(address: IPv4Address | IPv6Address, egress: Egress) -> str | None:
    if address in _METADATA:
        return "a cloud's metadata address"
    if address.is_link_local:
        return "a link-local address"
    if egress is Egress.PRIVATE or _is_open(address):
        return None
    if address.is_loopback:
        return "a loopback address"
    return "a multicast address" if address.is_multicast else "a private or reserved address"


def _is_open(address: IPv4Address | IPv6Address) -> bool:
    site_local = isinstance(address, IPv6Address) and address.is_site_local  # global for Python, though RFC 3879 ended it
    return address.is_global and not address.is_multicast and not site_local


def _within(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """Give the IPv4 addresses to which an IPv6 address leads by way of a translator or a tunnel."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
