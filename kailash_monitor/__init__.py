"""Monitoring and alerting inside your own asyncio program.

Everything here is imported at first use: importing this package costs next to nothing.

- Measure: `get_metrics_registry`, `MetricsRegistry`, `MetricsCollector`, and `kailash_monitor.metrics` for the rest.
- Judge and tell: `AlertManager`, `AlertRule`, the channels, and `kailash_monitor.alerts` for the rest.
- Without an event loop: `kailash_monitor.blocking.AlertManager`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kailash_monitor.alerts import (
        Alert,
        AlertManager,
        AlertRule,
        AlertSeverity,
        AlertStatus,
        EmailNotificationChannel,
        Inhibition,
        LogNotificationChannel,
        MuteTime,
        NotificationChannel,
        Route,
        SlackNotificationChannel,
        WebhookNotificationChannel,
        burn_rate_rules,
        create_default_alert_rules,
    )
    from kailash_monitor.errors import ConfigurationError, LifecycleError, MonitoringError, StoreError
    from kailash_monitor.metrics import (
        Metric,
        MetricsCollector,
        MetricSeverity,
        MetricsRegistry,
        MetricType,
        PerformanceMetrics,
        SecurityMetrics,
        ValidationMetrics,
        get_metrics_registry,
        get_performance_metrics,
        get_security_metrics,
        get_validation_metrics,
    )

__all__ = [
    "Alert",
    "AlertManager",
    "AlertRule",
    "AlertSeverity",
    "AlertStatus",
    "ConfigurationError",
    "EmailNotificationChannel",
    "Inhibition",
    "LifecycleError",
    "LogNotificationChannel",
    "Metric",
    "MetricSeverity",
    "MetricType",
    "MetricsCollector",
    "MetricsRegistry",
    "MonitoringError",
    "MuteTime",
    "NotificationChannel",
    "PerformanceMetrics",
    "Route",
    "SecurityMetrics",
    "SlackNotificationChannel",
    "StoreError",
    "ValidationMetrics",
    "WebhookNotificationChannel",
    "__version__",
    "burn_rate_rules",
    "create_default_alert_rules",
    "get_metrics_registry",
    "get_performance_metrics",
    "get_security_metrics",
    "get_validation_metrics",
]

__version__ = "0.1.0"

_ERRORS = ("ConfigurationError", "LifecycleError", "MonitoringError", "StoreError")
_ALERTS = (
    "Alert",
    "AlertManager",
    "AlertRule",
    "AlertSeverity",
    "AlertStatus",
    "EmailNotificationChannel",
    "Inhibition",
    "LogNotificationChannel",
    "MuteTime",
    "NotificationChannel",
    "Route",
    "SlackNotificationChannel",
    "WebhookNotificationChannel",
    "burn_rate_rules",
    "create_default_alert_rules",
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "errors" if name in _ERRORS else "alerts" if name in _ALERTS else "metrics"
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
