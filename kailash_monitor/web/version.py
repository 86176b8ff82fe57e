"""The version of this toolkit, as it was installed."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

__all__ = ["OWN_VERSION"]


def _installed() -> str:
    try:
        return version("kailash-monitor")
    except PackageNotFoundError:  # its files lie on the path, and nobody installed them
        return "unknown"


OWN_VERSION: Final = _installed()
"""Read once, where this is imported: it is read from the disk."""
