"""Channels: tell people, one way a file."""

from kailash_monitor.channels.channel import DeliveringChannel, Delivers, NotificationChannel, channel_name
from kailash_monitor.channels.log import LogNotificationChannel
from kailash_monitor.channels.mapping import from_mapping
from kailash_monitor.channels.webhook import WebhookNotificationChannel

__all__ = [
    "DeliveringChannel",
    "Delivers",
    "LogNotificationChannel",
    "NotificationChannel",
    "WebhookNotificationChannel",
    "channel_name",
    "from_mapping",
]
