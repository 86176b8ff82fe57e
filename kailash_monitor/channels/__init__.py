"""Channels: tell people, one way a file. Each is imported at first use."""

from typing import TYPE_CHECKING

from kailash_monitor.channels.channel import DeliveringChannel, Delivers, NotificationChannel, channel_name
from kailash_monitor.channels.mapping import CHANNEL_TYPES, channel_class, from_mapping

if TYPE_CHECKING:
    from kailash_monitor.channels.alertmanager import AlertmanagerNotificationChannel
    from kailash_monitor.channels.apprise import AppriseNotificationChannel
    from kailash_monitor.channels.discord import DiscordNotificationChannel
    from kailash_monitor.channels.email import EmailNotificationChannel
    from kailash_monitor.channels.log import LogNotificationChannel
    from kailash_monitor.channels.pagerduty import PagerDutyNotificationChannel
    from kailash_monitor.channels.slack import SlackNotificationChannel
    from kailash_monitor.channels.teams import TeamsNotificationChannel
    from kailash_monitor.channels.telegram import TelegramNotificationChannel
    from kailash_monitor.channels.webhook import WebhookNotificationChannel

__all__ = [
    "AlertmanagerNotificationChannel",
    "AppriseNotificationChannel",
    "DeliveringChannel",
    "Delivers",
    "DiscordNotificationChannel",
    "EmailNotificationChannel",
    "LogNotificationChannel",
    "NotificationChannel",
    "PagerDutyNotificationChannel",
    "SlackNotificationChannel",
    "TeamsNotificationChannel",
    "TelegramNotificationChannel",
    "WebhookNotificationChannel",
    "channel_name",
    "from_mapping",
]


def __getattr__(name: str) -> object:
    for kind, class_name in CHANNEL_TYPES.items():
        if class_name == name:
            return channel_class(kind)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
