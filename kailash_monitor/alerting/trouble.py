"""Trouble of the toolkit itself, told by alerts of its own: data, channels and a store that are not what they should be.

Rules that cannot be judged are told once for each cause, and not once for each rule.
"""

from dataclasses import dataclass
from typing import Final

from kailash_monitor.alerting.incident import AlertKey
from kailash_monitor.model.labels import Labels
from kailash_monitor.rules import AlertRule

__all__ = [
    "BLIND",
    "CHANNEL_FAILING",
    "LOOP_STALLED",
    "MISSING",
    "OWN",
    "PATIENCE",
    "STORE_FAILING",
    "Cause",
    "Trouble",
    "blind_rule",
    "channel_rule",
    "stall_rule",
    "store_rule",
]

BLIND: Final = "data_unknown"
"""The name of the rule of alerts about unknown data."""

CHANNEL_FAILING: Final = "channel_failing"
"""The name of the rule of alerts about channels that take nothing."""

STORE_FAILING: Final = "store_failing"
"""The name of the rule of the alert about a store that keeps nothing."""

LOOP_STALLED: Final = "event_loop_stalled"
"""The name of the rule of the alert about an event loop that does not come round."""

OWN: Final = frozenset({BLIND, CHANNEL_FAILING, LOOP_STALLED, STORE_FAILING})
"""The names of rules that the toolkit makes itself."""

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


def channel_rule(why: str) -> AlertRule:
    """Give the rule by which people hear that a channel takes nothing; its value is 1 while it does not."""
    return AlertRule(
        CHANNEL_FAILING,
        f"Alerts do not arrive through this channel: {why}" if why else "Alerts do not arrive through this channel",
        "error",
        "channel_down",
        "> 0",
        group_by=("channel",),
        annotations={"summary": "A notification channel fails"},
    )


def store_rule(why: str) -> AlertRule:
    """Give the rule by which people hear that the store keeps nothing; its value is 1 while it does not."""
    return AlertRule(
        STORE_FAILING,
        f"Alerting goes on from memory, and a restart would forget what happens meanwhile: {why}",
        "error",
        "store_down",
        "> 0",
        annotations={"summary": "The store of alerts fails"},
    )


def stall_rule(where: str, after: float, *, keep_firing: float = 0.0) -> AlertRule:
    """Give the rule by which people hear that the event loop is held up for more than `after` seconds; those are its value.

    `where` is the line of code that does it.
    """
    return AlertRule(
        LOOP_STALLED,
        f"The event loop is held up, and nothing else in the program runs: {where}",
        "error",
        "loop_stalled_seconds",
        f"> {after:g}",
        keep_firing=keep_firing,
        annotations={"summary": "The event loop is stalled", "where": where},
    )
