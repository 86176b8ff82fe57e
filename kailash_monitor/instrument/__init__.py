"""Instrument: measure a program and the machine it runs on."""

from kailash_monitor.instrument.disks import DiskSource
from kailash_monitor.instrument.host import HostSource
from kailash_monitor.instrument.loop_lag import LoopLagSource
from kailash_monitor.instrument.process import ProcessSource
from kailash_monitor.instrument.source import Source

__all__ = ["DiskSource", "HostSource", "LoopLagSource", "ProcessSource", "Source"]
