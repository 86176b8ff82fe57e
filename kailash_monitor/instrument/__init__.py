"""Instrument: measure a program and the machine it runs on."""

from kailash_monitor.instrument.asgi import AsgiMetrics
from kailash_monitor.instrument.calls import count_exceptions, counted, in_progress, timed
from kailash_monitor.instrument.disks import DiskSource
from kailash_monitor.instrument.host import HostSource
from kailash_monitor.instrument.http_metrics import HttpMetrics
from kailash_monitor.instrument.log_records import LogMetricsHandler
from kailash_monitor.instrument.loop_lag import LoopLagSource
from kailash_monitor.instrument.process import ProcessSource
from kailash_monitor.instrument.runtime import RuntimeSource
from kailash_monitor.instrument.source import Source
from kailash_monitor.instrument.stall import Stall, StallDetector

__all__ = [
    "AsgiMetrics",
    "DiskSource",
    "HostSource",
    "HttpMetrics",
    "LogMetricsHandler",
    "LoopLagSource",
    "ProcessSource",
    "RuntimeSource",
    "Source",
    "Stall",
    "StallDetector",
    "count_exceptions",
    "counted",
    "in_progress",
    "timed",
]
