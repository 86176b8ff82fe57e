"""Config: a YAML file into objects."""

from kailash_monitor.config.monitor import Monitor, default_monitor, load_monitor

__all__ = ["Monitor", "default_monitor", "load_monitor"]
