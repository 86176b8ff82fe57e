"""The default rules of the guide, for programs that fill the validation, security and performance collectors."""

from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules.rule import AlertRule

__all__ = ["create_default_alert_rules"]


def create_default_alert_rules() -> list[AlertRule]:
    """Give the five default rules, each doing what its description says."""
    return [
        AlertRule(
            "high_validation_failure_rate",
            "More than 10 % of validations failed in the last 5 minutes",
            AlertSeverity.ERROR,
            "validation_failure",
            "rate > 0.1",
        ),
        AlertRule(
            "security_violations_detected",
            "Security violations were recorded in the last minute",
            AlertSeverity.CRITICAL,
            "security_violations_total",
            "> 0",
            time_window="1m",
            notification_interval="5m",
        ),
        AlertRule(
            "high_response_time",
            "Operations took more than a second on average in the last 5 minutes",
            AlertSeverity.WARNING,
            "response_time",
            "avg > 1000",
        ),
        AlertRule(
            "low_cache_hit_rate",
            "Less than 80 % of validations came from the cache in the last 10 minutes",
            AlertSeverity.WARNING,
            "validation_cache_hits",
            "rate < 0.8",
            time_window="10m",
            notification_interval="1h",
        ),
        AlertRule(
            "high_memory_usage",
            "More than 90 % of the memory is in use",
            AlertSeverity.ERROR,
            "memory_usage",
            "> 90",
        ),
    ]
