"""The only importer of psutil."""

from types import ModuleType

from kailash_monitor.errors import MissingExtra

__all__ = ["load_psutil"]


def load_psutil() -> ModuleType:
    """Give psutil; MissingExtra says what to install where it is not there."""
    try:
        import psutil
    except ImportError:
        raise MissingExtra("watching the host and the process", package="psutil", extra="system") from None
    return psutil
