"""The memory this process may use: the control group's limit where there is one, else the machine's memory."""

import os
from pathlib import Path
from typing import Final

__all__ = ["memory_limit"]

_CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_limit() -> float | None:
    """Give the limit in bytes, None where the system does not tell."""
    machine = _machine_memory()
    limits = [limit for limit in (machine, *map(_read_limit, _CGROUP_LIMITS)) if limit]
    return min(limits, default=None)  # an unlimited group reports "max" or a number beyond any machine


def _machine_memory() -> float | None:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        return None


def _read_limit(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None
