"""Tools for testing monitored programs and rules of your own: virtual time, clocks, a channel that keeps notices.

With pytest-asyncio (1.4 or newer), tests run on virtual time by this in `conftest.py`:

    def pytest_asyncio_loop_factories(config, item):
        return {"virtual": kailash_monitor.testing.VirtualTimeLoop}
"""

from kailash_monitor.testing.clocks import EPOCH, ManualClock, VirtualClock
from kailash_monitor.testing.recording import RecordingChannel
from kailash_monitor.testing.virtual_time import VirtualTimeLoop, VirtualTimeStuck, run_virtual

__all__ = [
    "EPOCH",
    "ManualClock",
    "RecordingChannel",
    "VirtualClock",
    "VirtualTimeLoop",
    "VirtualTimeStuck",
    "run_virtual",
]
