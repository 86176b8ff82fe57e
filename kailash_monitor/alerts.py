"""The face for alerting: all that the guide imports from `monitoring.alerts`, and what else users of alerting need."""

from typing import TYPE_CHECKING

from kailash_monitor import channels
from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route, Rung
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.engine import AlertManager
from kailash_monitor.engine.explanation import Explanation
from kailash_monitor.engine.heartbeat import Heartbeat
from kailash_monitor.engine.status import ChannelStatus, DeadLetter, SilenceStatus, Waiting
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.matcher import Matcher, Matchers
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import (
    AlertRule,
    NoData,
    burn_rate_rules,
    create_default_alert_rules,
    create_host_alert_rules,
)

if TYPE_CHECKING:
    from kailash_monitor.channels import (
        AlertmanagerNotificationChannel,
        AppriseNotificationChannel,
        DiscordNotificationChannel,
        EmailNotificationChannel,
        LogNotificationChannel,
        PagerDutyNotificationChannel,
        SlackNotificationChannel,
        TeamsNotificationChannel,
        TelegramNotificationChannel,
        WebhookNotificationChannel,
    )

__all__ = [
    "Alert",
    "AlertManager",
    "AlertRule",
    "AlertSeverity",
    "AlertStatus",
    "AlertmanagerNotificationChannel",
    "AppriseNotificationChannel",
    "ChannelStatus",
    "DeadLetter",
    "DiscordNotificationChannel",
    "EmailNotificationChannel",
    "Explanation",
    "Heartbeat",
    "Inhibition",
    "LogNotificationChannel",
    "Matcher",
    "Matchers",
    "MuteTime",
    "NoData",
    "Notice",
    "NoticeKind",
    "NotificationChannel",
    "PagerDutyNotificationChannel",
    "Reason",
    "Route",
    "Rung",
    "SilenceStatus",
    "SlackNotificationChannel",
    "TeamsNotificationChannel",
    "TelegramNotificationChannel",
    "Waiting",
    "WebhookNotificationChannel",
    "burn_rate_rules",
    "create_default_alert_rules",
    "create_host_alert_rules",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(channels, name)  # each is imported at first use
