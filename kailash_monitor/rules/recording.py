"""Recordings: series that a rule of a file computes of others and keeps."""

from dataclasses import dataclass
from typing import Final

from kailash_monitor.model.labels import Labels
from kailash_monitor.promql import EvaluationError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces
from kailash_monitor.rules.rule_query import RuleQuery

__all__ = ["SAME_LABELS", "Place", "Recording"]


MOST: Final = 10_000

PIECE: Final = 500
"""Series that are renamed without a pause: about a millisecond's work."""

SAME_LABELS: Final = "vector contains metrics with the same labelset after applying {} labels"
"""Prometheus' words; whose labels were applied, the rule's or the alert's, is put in."""


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
    name; at most `limit` of them (0: 10,000, which no program's own metrics make without a mistake).
    """

    name: str
    query: RuleQuery
    labels: Labels
    interval: float
    limit: int
    place: Place

    @property
    def key(self) -> str:
        """What makes it the same one, wherever it stands in its group and whatever becomes of its expression."""
        return f"{self.place.of_group};{self.name}{{{self.labels.text()}}}"

    @property
    def most(self) -> int:
        """How many series it may give at once."""
        return self.limit or MOST

    def series(self, vector: Vector) -> Pieces[Vector]:
        """Give what is recorded of the result of its query.

        An EvaluationError where that is too much, or where two series are the same with its labels.
        """
        if len(vector) > self.most:
            raise EvaluationError(f"exceeded limit of {self.most} with {len(vector)} series")
        changes = {METRIC_NAME: self.name, **self.labels}
        named: dict[LabelSet, float] = {}
        for index, (labels, value) in enumerate(vector, 1):
            if not index % PIECE:
                yield
            named[labels.changed(changes)] = value
        if len(named) < len(vector):
            raise EvaluationError(SAME_LABELS.format("rule"))
        return list(named.items())
