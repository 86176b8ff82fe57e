"""Rules: what must not be so, as values."""

from kailash_monitor.rules.condition import Condition
from kailash_monitor.rules.defaults import create_default_alert_rules
from kailash_monitor.rules.host_rules import create_host_alert_rules
from kailash_monitor.rules.reading import Empty, Failed, Missing, Reading, Value, Waiting, check_fits, read
from kailash_monitor.rules.rule import AlertRule

__all__ = [
    "AlertRule",
    "Condition",
    "Empty",
    "Failed",
    "Missing",
    "Reading",
    "Value",
    "Waiting",
    "check_fits",
    "create_default_alert_rules",
    "create_host_alert_rules",
    "read",
]
