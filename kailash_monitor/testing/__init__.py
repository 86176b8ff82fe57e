"""Tools for testing rules and monitored programs: a simulator, virtual time, clocks, a channel that keeps notices.

`Simulator` plays rules, channels and people's acts on a clock that jumps, and `backtest` judges numbers that are known
already. `pytest_plugins = ["kailash_monitor.testing.fixtures"]` in a `conftest.py` gives pytest the fixture `simulator`.

With pytest-asyncio (1.4 or newer), tests run on virtual time by this in `conftest.py`:

    def pytest_asyncio_loop_factories(config, item):
        return {"virtual": kailash_monitor.testing.VirtualTimeLoop}
"""

from kailash_monitor.testing.backtest import Backtest, backtest
from kailash_monitor.testing.clocks import EPOCH, ManualClock, VirtualClock
from kailash_monitor.testing.recording import RecordingChannel
from kailash_monitor.testing.simulator import Attempt, Simulator
from kailash_monitor.testing.virtual_time import VirtualTimeLoop, VirtualTimeStuck, run_virtual

__all__ = [
    "EPOCH",
    "Attempt",
    "Backtest",
    "ManualClock",
    "RecordingChannel",
    "Simulator",
    "VirtualClock",
    "VirtualTimeLoop",
    "VirtualTimeStuck",
    "backtest",
    "run_virtual",
]
