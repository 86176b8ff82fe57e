"""Config: a YAML file into objects."""

from kailash_monitor.config.monitor import Monitor, StoreAt, as_stated, default_monitor, load_monitor

__all__ = ["Monitor", "StoreAt", "as_stated", "default_monitor", "load_monitor"]
