"""Listen addresses: `127.0.0.1:9464`, `[::1]:9464`, `localhost:0`."""

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from kailash_monitor.errors import ConfigurationError

__all__ = ["DEFAULT_LISTEN", "Listen"]


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to serve. Port 0 lets the system choose one."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not self.host or not 0 <= self.port <= 65_535:
            raise ConfigurationError(
                "listen",
                field="listen",
                seen=f"{self.host!r}, port {self.port}",
                expected="a host and a port up to 65535",
            )

    @classmethod
    def parse(cls, text: str) -> "Listen":
        """Read `host:port`, an IPv6 host in brackets; `:port` alone is this machine only."""
        host, colon, port = text.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not (port.isascii() and port.isdigit()) or (":" in host and not bracketed):
            raise ConfigurationError(
                "listen",
                field="listen",
                seen=repr(text),
                expected="write host:port, such as 127.0.0.1:9464 or [::1]:9464",
            )
        return cls(host.strip("[]") or "127.0.0.1", int(port))

    @property
    def reachable(self) -> "Listen":
        """Where this machine reaches what listens here: "all addresses" is none that can be called."""
        return replace(self, host=_CALLED.get(self.host, self.host))

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches what listens here. Of names, `localhost` alone is known to mean that."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def next(self) -> "Listen":
        """Give the address with the next port."""
        return replace(self, port=self.port + 1)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_CALLED: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nothing is bound to them here

DEFAULT_LISTEN: Final = Listen("127.0.0.1", 9464)
"""This machine only, on the port that is registered for Prometheus exporters of OpenTelemetry."""
