"""Engine: the loops that read, decide and tell."""

from kailash_monitor.engine.manager import AlertManager
from kailash_monitor.engine.status import Delivery, Health, RuleStatus, Untold

__all__ = ["AlertManager", "Delivery", "Health", "RuleStatus", "Untold"]
