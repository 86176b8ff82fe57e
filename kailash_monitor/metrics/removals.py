"""Removals: which label sets were taken away on purpose, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kailash_monitor.metrics.label_index import LabelIndex
from kailash_monitor.model.labels import Labels

__all__ = ["Removals"]


@dataclass(frozen=True, slots=True, eq=False)
class _Removal:
    labels: Labels
    at: float


class Removals:
    """The label sets that were removed, each with when that was last; past a limit, those longest ago are forgotten.

    Not thread-safe: the metric that owns it holds its lock around every call.
    """

    def __init__(self) -> None:
        self._latest: Final[dict[Labels, _Removal]] = {}  # longest ago first
        self._index: LabelIndex[_Removal] = LabelIndex(self._latest.values)

    def note(self, labels: Labels, at: float, limit: int) -> None:
        """Take note that `labels` were removed at `at`, as the last of `limit`."""
        self._forget(labels)
        self._latest[labels] = removal = _Removal(labels, at)
        self._index.add(removal)
        while len(self._latest) > limit:
            self._forget(next(iter(self._latest)))

    def since(self, match: Mapping[str, str], since: float) -> bool:
        """Whether any labels with all of `match` were removed at `since` or later."""
        return any(removal.at >= since for removal in self._index.find(match))

    def noted_since(self, since: float) -> list[Labels]:
        """Give the label sets that were removed at `since` or later."""
        return [removal.labels for removal in self._latest.values() if removal.at >= since]

    def _forget(self, labels: Labels) -> None:
        removal = self._latest.pop(labels, None)
        if removal is not None:
            self._index.discard(removal)
