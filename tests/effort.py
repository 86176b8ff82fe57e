"""Efforts: how many examples a law is tried on."""

import os
from typing import Final

__all__ = ["FEW", "QUICK", "examples"]

QUICK: Final = os.environ.get("KAILASH_MONITOR_QUICK") == "1"
"""Set by CI where the same tests run a second time, for coverage or on another Python: the whole effort is made beside."""

FEW: Final = 20
"""Examples of a law that does not say how many; without QUICK it is hypothesis' hundred."""


def examples(number: int) -> int:
    """Give how many examples to try, where the whole effort is `number`."""
    return max(5, number // 5) if QUICK else number
