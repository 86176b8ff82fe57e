"""Facts: what a template is expanded with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Facts", "Query"]

Query: TypeAlias = Callable[[str], Sequence[tuple[Mapping[str, str], float]]]
"""Evaluates a PromQL expression at the time of the alert: the series it gives, with their names among the labels.

It raises the errors of `promql`; the template's error then quotes them.
"""


def _nothing(_expression: str) -> Sequence[tuple[Mapping[str, str], float]]:
    return ()


@dataclass(frozen=True, slots=True)
class Facts:
    """The alert that a template is about, and whom it can ask.

    `labels` are those of the series, `value` what its expression gave; `external_labels` and `external_url` those of the
    program. Without `query` all queries are empty. `now` is the time of the evaluation, in seconds since 1970.
    """

    labels: Mapping[str, str]
    value: float
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    query: Query = _nothing
    now: float = 0.0
