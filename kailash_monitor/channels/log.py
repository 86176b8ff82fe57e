"""The log channel: alerts as records of the logger `kailash_monitor.alerts`."""

import logging
from typing import Final

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.text import headline, is_over
from kailash_monitor.delivery.outcome import Delivered, Outcome
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.notice import Notice
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["LogNotificationChannel"]

_LOGGER: Final = logging.getLogger("kailash_monitor.alerts")
_BY_SEVERITY: Final = {
    AlertSeverity.INFO: logging.INFO,
    AlertSeverity.WARNING: logging.WARNING,
    AlertSeverity.ERROR: logging.ERROR,
    AlertSeverity.CRITICAL: logging.CRITICAL,
}


class LogNotificationChannel(DeliveringChannel):
    """Writes alerts to the log, each at the level of its severity, and INFO once it is over; `level` states one for all.

    Each record carries the fields `alert_id`, `alert_kind`, `severity`, `value` and `labels` for structured logs.
    """

    any_loop = False  # a handler that hangs may be what holds the program's loop up

    def __init__(self, level: str | None = None, *, name: str | None = None) -> None:
        known = logging.getLevelNamesMapping()
        if level is not None and str(level).upper() not in known:
            raise ChannelError(
                "log channel", field="level", seen=f"the level {level!r}", expected=f"use one of {', '.join(known)}"
            )
        self.level: Final = None if level is None else known[level.upper()]
        self.name = name

    def __repr__(self) -> str:
        level = "by severity" if self.level is None else logging.getLevelName(self.level)
        return f"<LogNotificationChannel {level}>"

    async def deliver(self, notice: Notice) -> Outcome:
        """Write one record."""
        alert = notice.alert
        level = logging.INFO if is_over(notice) else _BY_SEVERITY[alert.severity]
        fields = {
            "alert_id": alert.id,
            "alert_kind": notice.kind.value,
            "severity": alert.severity.value,
            "value": alert.value,
            "labels": dict(alert.labels),
        }
        _LOGGER.log(self.level or level, "%s", headline(notice), extra=fields)
        return Delivered()
