"""Recordings: series that a rule of a file computes of others and keeps."""

from dataclasses import dataclass

from kailash_monitor.model.labels import Labels
from kailash_monitor.rules.rule_query import RuleQuery

__all__ = ["Place", "Recording"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule stands: in which group of which file, and how many rules of the group come before it."""

    file: str
    group: str
    position: int

    @property
    def of_group(self) -> str:
        """What the rules of one group have in common: they are judged at the same times, one after the other."""
        return f"{self.file};{self.group}"

    def __str__(self) -> str:
        return f"{self.of_group};{self.position}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Each `interval` seconds, what `query` gives becomes series called `name`, with `labels` instead of those of the same
    name; at most `limit` of them (0: any number).
    """

    name: str
    query: RuleQuery
    labels: Labels
    interval: float
    limit: int
    place: Place
