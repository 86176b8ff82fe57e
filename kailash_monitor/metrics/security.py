"""The security collector: violations by type, severity and source, and blocked connections."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.metrics.collector import DEFAULT_MAX_SERIES, MetricsCollector
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.labels import label_value
from kailash_monitor.model.severity import MetricSeverity
from kailash_monitor.model.window import CounterWindow

__all__ = ["SecurityEvent", "SecurityMetrics"]

RECENT_EVENTS: Final = 100
"""How many events keep their details: enough to look into, too few to fill the memory."""

_KINDS: Final = ("sql_injection", "code_injection", "path_traversal", "credential_exposure")


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """One violation, with the details that labels and exports must not carry. `severity` is its word, such as "high"."""

    at: datetime
    violation_type: str
    severity: str
    source: str
    details: Mapping[str, object] = field(repr=False)


class SecurityMetrics(MetricsCollector):
    """What was attempted against the program, and what was stopped."""

    def __init__(self, max_series: int = DEFAULT_MAX_SERIES, *, clock: Clock = SYSTEM_CLOCK, strict: bool = False) -> None:
        super().__init__(max_series, clock=clock, strict=strict)
        self._violations = self.counter(
            "security_violations_total",
            "Security violations",
            labels=("violation_type", "severity", "source"),
            keep=("severity",),
        )
        self._attempts = {
            kind: self.counter(f"{kind}_attempts", f"Attempts of {kind.replace('_', ' ')}", labels=("source",))
            for kind in _KINDS
        }
        self._blocked = self.counter(
            "blocked_connections", "Connections that were refused", labels=("source_node", "target_node", "reason")
        )
        self._events: deque[SecurityEvent] = deque(maxlen=RECENT_EVENTS)

    def record_security_violation(
        self,
        violation_type: str,
        severity: MetricSeverity,
        source: str,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Count a violation. A type that begins with sql, code, path or credential counts as an attempt of that kind too.

        The word of a severity will do as well; one that is none is counted as it is.
        """
        grave = severity.value if isinstance(severity, MetricSeverity) else label_value(severity)
        kind_of = violation_type.value if isinstance(violation_type, Enum) else label_value(violation_type)
        self._violations.inc(kind_of, grave, source)
        for kind, attempts in self._attempts.items():
            if str(kind_of).startswith(kind.partition("_")[0]):
                attempts.inc(source)
        at = datetime.fromtimestamp(self.clock.wall(), UTC)
        kept = dict(details) if isinstance(details, Mapping) else {} if details is None else {"details": details}
        self._events.append(SecurityEvent(at, str(kind_of), grave, label_value(source), kept))

    def record_blocked_connection(self, source_node: str, target_node: str, reason: str) -> None:
        """Count a connection that was refused."""
        self._blocked.inc(source_node, target_node, reason)

    def recent_events(self) -> list[SecurityEvent]:
        """Give the last 100 violations with their details, oldest first."""
        return list(self._events)

    def get_violation_rate(self, window: Duration = "1h") -> float:
        """Give violations per minute, averaged over the whole window."""
        return (self._violations.metric.get_increase(window) or 0.0) / (parse_duration(window) / 60)

    def get_critical_violations(self, window: Duration = "1h") -> int:
        """Give how many violations of critical severity there were."""
        found = self._violations.metric.window(window, {"severity": MetricSeverity.CRITICAL.value})
        return round(found.increase) if isinstance(found, CounterWindow) else 0
