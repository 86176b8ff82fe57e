"""Exposition: a snapshot, written down for others to read."""

from kailash_monitor.exposition.json_format import render_json
from kailash_monitor.exposition.prometheus import PROMETHEUS_CONTENT_TYPE, render_prometheus

__all__ = ["PROMETHEUS_CONTENT_TYPE", "render_json", "render_prometheus"]
