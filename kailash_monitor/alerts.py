"""The face for alerting: all that the guide imports from `monitoring.alerts`."""

from kailash_monitor.channels import LogNotificationChannel, NotificationChannel, WebhookNotificationChannel
from kailash_monitor.engine import AlertManager
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import AlertRule, create_default_alert_rules

__all__ = [
    "Alert",
    "AlertManager",
    "AlertRule",
    "AlertSeverity",
    "AlertStatus",
    "LogNotificationChannel",
    "NotificationChannel",
    "WebhookNotificationChannel",
    "create_default_alert_rules",
]
