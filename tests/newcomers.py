"""Threads that are new since some moment: those of tests before may end at any time, and are nobody's business."""

import threading

__all__ = ["Newcomers"]


class Newcomers:
    """Counts the threads that were not there when this was made."""

    def __init__(self) -> None:
        self._there = set(threading.enumerate())

    @property
    def ours(self) -> list[str]:
        """The names of those that this package started."""
        return [one.name for one in set(threading.enumerate()) - self._there if one.name.startswith("kailash-monitor")]

    @property
    def count(self) -> int:
        return len(set(threading.enumerate()) - self._there)
