"""The face for alerting: all that the guide imports from `monitoring.alerts`, and what else users of alerting need."""

from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route, Rung
from kailash_monitor.channels import LogNotificationChannel, NotificationChannel, WebhookNotificationChannel
from kailash_monitor.engine import AlertManager
from kailash_monitor.engine.explanation import Explanation
from kailash_monitor.engine.status import SilenceStatus
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

__all__ = [
    "Alert",
    "AlertManager",
    "AlertRule",
    "AlertSeverity",
    "AlertStatus",
    "Explanation",
    "Inhibition",
    "LogNotificationChannel",
    "Matcher",
    "Matchers",
    "MuteTime",
    "NoData",
    "Notice",
    "NoticeKind",
    "NotificationChannel",
    "Reason",
    "Route",
    "Rung",
    "SilenceStatus",
    "WebhookNotificationChannel",
    "burn_rate_rules",
    "create_default_alert_rules",
    "create_host_alert_rules",
]
