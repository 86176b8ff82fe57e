"""Sightings: what one rule saw in one collector."""

from collections.abc import Container, Iterator, Mapping
from itertools import islice
from typing import Final

from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.model.views import MetricView
from kailash_monitor.rules import AlertRule, Empty, Failed, Missing, NoData, Reading, Value, breached, readings_of

__all__ = ["Sighting", "place_of", "take_answer"]

ASKED: Final = "reading"
"""What stands for the collector of alerts whose rule reads an answer of the user's own."""

PIECE: Final = 1000
"""Groups that are looked at without a pause: about a millisecond's work."""

QUERIED: Final = "promql"
"""What stands for the collector of alerts whose rule has an expression."""


def place_of(rule: AlertRule) -> str:
    """Give what stands for the collector in the alerts of a rule that asks for an answer."""
    return ASKED if rule.expr is None else QUERIED


class Sighting:
    """What one rule saw in one collector in one tick.

    `seen` is how many groups there are; `breaching` are those that would fire if they did not yet, and at which severity;
    `missing` those that had data and have none. `has_data` says whether anything could be judged, `worst` is the worst.
    `readings` are those of the groups that breach, are missing, or are in `known`: of ten thousand calm groups nothing is
    kept. `failed` says what went wrong, where something did, and `patience` how long to wait, at least, before somebody is
    told of that. `absent` is the reading of a group that is known from before and was not seen.
    """

    __slots__ = (
        "_match",
        "_metric",
        "absent",
        "breaching",
        "collector",
        "failed",
        "has_data",
        "known",
        "missing",
        "patience",
        "readings",
        "seen",
        "worst",
    )

    def __init__(
        self,
        collector: str,
        known: Container[Labels] = (),
        metric: MetricView | None = None,
        match: Mapping[str, str] = NO_LABELS,
    ) -> None:
        self.collector: Final = collector
        self.known: Final = known
        self._metric: Final = metric
        self._match: Final = match
        self.readings: dict[Labels, Reading] = {}
        self.breaching: dict[Labels, AlertSeverity] = {}
        self.missing: list[Labels] = []
        self.has_data = False
        self.seen = 0
        self.worst: float | None = None
        self.failed: Failed | None = None
        self.patience = 0.0
        self.absent: Reading = Missing()

    def take(self, rule: AlertRule, readings: Mapping[Labels, Reading]) -> None:
        """Add what was read of some groups: each is looked at once."""
        self.seen += len(readings)
        wants_high, known, keeps_all = rule.condition.wants_high, self.known, rule.no_data is NoData.ALERT
        for group, reading in readings.items():
            if isinstance(reading, Value):
                self.has_data = True
                level = breached(rule, reading.value, reading.at_least, None)
                if isinstance(level, AlertSeverity):
                    self.breaching[group], self.readings[group] = level, reading
                if self.worst is None or (reading.value > self.worst) is wants_high:
                    self.worst = reading.value
            elif isinstance(reading, Missing):
                self.missing.append(group)
                self.readings[group] = reading
                if keeps_all:
                    self.breaching[group] = rule.severity
            elif isinstance(reading, Empty):
                self.has_data = True
            if keeps_all or (known and group in known):
                self.readings[group] = reading

    def fail(self, error: BaseException) -> None:
        """Take note that reading raised: nothing is known."""
        self.failed = Failed.of(error)
        self.readings, self.breaching, self.missing = {}, {}, []
        self.has_data, self.seen, self.worst = False, 0, None

    def removed_since(self, group: Labels, since: float) -> bool:
        """Whether the series of a group were removed on purpose since then."""
        return self._metric is not None and self._metric.removed_since({**self._match, **group}, since)

    def reading_of(self, group: Labels) -> Reading:
        """Give the reading of an alert that is known from before."""
        return self.readings.get(group) or self.failed or self.absent


def take_answer(sighting: Sighting, rule: AlertRule, answer: object) -> Iterator[None]:
    """Have a sighting take what was answered for a rule that asks, some groups at a time; an exception is an error."""
    if rule.expr is not None:
        sighting.absent = Empty()  # what the expression leaves out is well
    try:
        if isinstance(answer, BaseException):
            raise answer
        sighting.has_data = rule.expr is not None
        readings = readings_of(rule, answer)
        if len(readings) <= PIECE:
            sighting.take(rule, readings)
            return
        groups = iter(readings.items())
        while some := dict(islice(groups, PIECE)):
            sighting.take(rule, some)
            yield
    except Exception as error:  # the user's code
        sighting.fail(error)
