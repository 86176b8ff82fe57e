"""Exposition: a snapshot, written down for others to read."""

from kailash_monitor.exposition.json_format import render_json
from kailash_monitor.exposition.names import names_taken, only
from kailash_monitor.exposition.negotiation import JSON, Format, accepts_gzip, choose_format
from kailash_monitor.exposition.openmetrics import OPENMETRICS_CONTENT_TYPE, render_openmetrics
from kailash_monitor.exposition.prometheus import PROMETHEUS_CONTENT_TYPE, render_prometheus
from kailash_monitor.exposition.protobuf import PROTOBUF_CONTENT_TYPE, render_protobuf

__all__ = [
    "JSON",
    "OPENMETRICS_CONTENT_TYPE",
    "PROMETHEUS_CONTENT_TYPE",
    "PROTOBUF_CONTENT_TYPE",
    "Format",
    "accepts_gzip",
    "choose_format",
    "names_taken",
    "only",
    "render_json",
    "render_openmetrics",
    "render_prometheus",
    "render_protobuf",
]
