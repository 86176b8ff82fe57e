"""Fixtures for pytest: `pytest_plugins = ["kailash_monitor.testing.fixtures"]` in a `conftest.py` brings them."""

import pytest

from kailash_monitor.testing.simulator import Simulator

__all__ = ["simulator"]


@pytest.fixture
def simulator() -> Simulator:
    """A simulator without rules, with one channel called `ops`."""
    return Simulator()
