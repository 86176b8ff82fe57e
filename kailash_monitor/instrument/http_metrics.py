"""HTTP metrics: how many requests a program serves, how long each takes, and how many fail."""

from typing import Final

from kailash_monitor.metrics import MetricsCollector, MetricsRegistry

__all__ = ["CLIENT_LEFT", "UNMATCHED", "HttpMetrics"]

UNMATCHED: Final = "unmatched"
"""The route of a request for which there is none: its path is whatever somebody tried."""

OTHER: Final = "other"
"""The method of a request whose method is none of HTTP's."""

CLIENT_LEFT: Final = 499
"""The status of a request whose client went away before it was answered, as nginx has it."""

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))
_BUCKETS: Final = (5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10_000.0)
"""Milliseconds."""


class HttpMetrics:
    """What a program serves, in the collector that is given; one for each registry, whichever middleware records.

    - `requests` {method, route, status}: a counter
    - `requests_failed` {method, route}: those that ended with 5xx or an exception, declared as a share of `requests`:
      `share > 0.05` means 5 % of them
    - `request_duration` {method, route}: a timer, in milliseconds, to the last byte
    - `requests_in_progress`: a gauge

    A route is a template (`/users/{id}`), never a path: what is in a path is chosen by whoever asks.
    """

    def __init__(self, collector: MetricsCollector) -> None:
        route = ("method", "route")
        self._clock: Final = collector.clock
        self.requests: Final = collector.counter("requests", "Requests served", labels=(*route, "status"))
        self.failed: Final = collector.counter(
            "requests_failed", "Requests that ended with 5xx or an exception", labels=route, share_of="requests"
        )
        self.duration: Final = collector.timer(
            "request_duration", "From the request to the last byte of its answer", labels=route, buckets=_BUCKETS
        )
        self.in_progress: Final = collector.gauge("requests_in_progress", "Requests that are being served")
        self._running: Final = self.in_progress.labels()
        self._running.add(0)  # it is there, and what others count stays

    @classmethod
    def of(cls, registry: MetricsRegistry) -> "HttpMetrics":
        """Give those of a registry, in its collector `http`."""
        return cls(registry.collector("http"))

    def begin(self) -> float:
        """Take note that a request is served; gives when that began, for `end`."""
        self._running.add(1)
        return self._clock.now()

    def end(self, begun: float, method: str, route: str, status: int) -> None:
        """Take note that it was answered; `route` is empty where none matched."""
        method = method if method in _METHODS else OTHER
        route = route or UNMATCHED
        self._running.add(-1)
        self.duration.observe(method, route, (self._clock.now() - begun) * 1000.0)
        self.requests.inc(method, route, str(status))
        if status >= 500:
            self.failed.inc(method, route)
