"""Trouble with data: rules that cannot be judged, told once for each cause and not once for each rule."""

from dataclasses import dataclass
from typing import Final

from kailash_monitor.alerting.incident import AlertKey
from kailash_monitor.model.labels import Labels
from kailash_monitor.rules import AlertRule

__all__ = ["BLIND", "MISSING", "PATIENCE", "Cause", "Trouble", "blind_rule"]

BLIND: Final = "data_unknown"
"""The name of the rule of alerts about unknown data."""

MISSING: Final = "missing"
"""The kind of a cause where there was data and there is none."""

PATIENCE: Final = 3.0
"""Intervals of a rule that it may go unjudged before somebody is told."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why rules cannot be judged: a collector, and the type of error its reading raised, or MISSING."""

    collector: str
    kind: str

    @property
    def key(self) -> AlertKey:
        """The alert that tells about it."""
        return AlertKey(BLIND, self.collector, Labels({"cause": self.kind}))


@dataclass(frozen=True, slots=True)
class Trouble:
    """One rule cannot be judged, since `since`; somebody is told at `told_at`. `text` says what is wrong."""

    cause: Cause
    since: float
    told_at: float
    text: str


def blind_rule(cause: Cause, text: str) -> AlertRule:
    """Give the rule by which people hear of `cause`; its value is the number of rules that cannot be judged."""
    what = "data that was there is missing" if cause.kind == MISSING else text
    return AlertRule(
        BLIND,
        f"Rules cannot be judged, and what they would find is not known: {what}",
        "error",
        "rules_not_judged",
        "> 0",
        group_by=("cause",),
        annotations={"summary": f"Data of {cause.collector} unknown"},
    )
