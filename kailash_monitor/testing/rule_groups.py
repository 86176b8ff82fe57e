"""Rule groups at work: each rule is evaluated after the other, and sees what those before it have written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.machine import step
from kailash_monitor.engine.sighting import QUERIED
from kailash_monitor.model.labels import Labels
from kailash_monitor.promql import EvaluationError, ParseError
from kailash_monitor.promql.description import STALE
from kailash_monitor.promql.labelset import METRIC_NAME, NO_LABEL_SET, LabelSet
from kailash_monitor.promql.query import Settings, finished, instant
from kailash_monitor.promql.samples import Vector
from kailash_monitor.rules import AlertRule, Empty, RuleQuery, Value
from kailash_monitor.rules.alert_words import words_of
from kailash_monitor.rules.recording import SAME_LABELS, Recording
from kailash_monitor.rules.rule_file import Rule, RuleGroup
from kailash_monitor.testing.rule_storage import RuleStorage

__all__ = ["RunningGroup", "Surroundings"]

Failures: TypeAlias = list[tuple[str, str]]
"""Names of rules, each with the reason why it has no result."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rules of a test work with: the series, how expressions are evaluated, and what is known of the program."""

    storage: RuleStorage
    settings: Settings
    external_labels: Mapping[str, str]
    external_url: str

    def vector(self, query: RuleQuery, time: int) -> Vector:
        """Give what an expression is at `time`; a scalar as one series without labels."""
        value = finished(instant(query.tree, query.text, self.storage, time, self.settings)).value
        if isinstance(value, float):
            return [(NO_LABEL_SET, value)]
        return value  # type: ignore[return-value]  # a vector: RuleQuery has seen to it


class RunningGroup:
    """A group of rules and what has become of them. Mutable, by `evaluate` alone.

    `judged` are its rules as this toolkit has them, in their order.
    """

    def __init__(self, group: RuleGroup, judged: Sequence[AlertRule | Recording], around: Surroundings) -> None:
        self._storage = around.storage
        self._offset = round((group.query_offset or 0.0) * 1000)
        self._limit = group.limit
        self._rules = [_running(rule, group, one, around) for rule, one in zip(group.rules, judged, strict=True)]
        self._written: list[set[LabelSet]] = [set() for _ in self._rules]

    def evaluate(self, time: int) -> Failures:
        """Evaluate each rule at `time` and write what it gives; a series that it does not give any more ends."""
        failures: Failures = []
        for index, rule in enumerate(self._rules):
            try:
                vector = rule.evaluate(time, time - self._offset, self._limit)
            except (EvaluationError, ParseError) as error:
                failures.append((rule.name, error.message))
                continue
            failures += [(rule.name, message) for message in self._write(index, vector, time - self._offset)]
        return failures

    def firing(self, name: str) -> Iterator[Incident]:
        """Give the alerts of the rules called `name` that fire."""
        for rule in self._rules:
            if isinstance(rule, _Alerting) and rule.name == name:
                yield from rule.firing()

    def _write(self, index: int, vector: Vector, time: int) -> list[str]:
        written, refused = set[LabelSet](), list[str]()
        for labels, value in vector:
            try:
                self._storage.append(labels, time, value)
                written.add(labels)
            except EvaluationError as error:
                refused.append(error.message)
        for labels in self._written[index] - written:
            with suppress(EvaluationError):  # where another rule has gone on with it
                self._storage.append(labels, time, STALE)
        self._written[index] = written
        return refused[-1:]


class _Recording:
    def __init__(self, recording: Recording, around: Surroundings) -> None:
        self.name: Final = recording.name
        self._recording = recording
        self._around = around

    def evaluate(self, time: int, seen: int, limit: int) -> Vector:
        """Give the series that it records: what its expression is at `seen`, by another name."""
        return finished(self._recording.series(self._around.vector(self._recording.query, seen)))


class _Alerting:
    def __init__(self, name: str, rule: AlertRule, labels: Mapping[str, str], around: Surroundings) -> None:
        assert rule.expr is not None, "rules of files are expressions"
        self.name: Final = name
        self._query = rule.expr
        self._rule = rule
        self._labels = labels
        self._around = around
        self._incidents: dict[Labels, Incident] = {}

    def firing(self) -> Iterator[Incident]:
        return (incident for incident in self._incidents.values() if incident.active)

    def evaluate(self, time: int, seen: int, limit: int) -> Vector:
        """Have the alerts judged at `time` by what the expression is at `seen`; give the series that tell of them."""
        values = self._values(time, seen)
        for labels in [*self._incidents, *(values.keys() - self._incidents.keys())]:
            before, reading = self._incidents.get(labels), values.get(labels, Empty())
            after, _ = step(self._rule, AlertKey(self._rule.name, QUERIED, labels), before, reading, time / 1000)
            if after is None:
                self._incidents.pop(labels, None)
            else:
                self._incidents[labels] = after
        alerts = [incident for incident in self._incidents.values() if incident.state is not State.RESOLVED]
        if 0 < limit < len(alerts):
            self._incidents.clear()
            raise EvaluationError(f"exceeded limit of {limit} with {len(alerts)} alerts")
        return [sample for incident in alerts for sample in self._samples(incident)]

    def _values(self, time: int, seen: int) -> dict[Labels, Value]:
        """Give a value for each series of the expression, by the labels that its alert has."""
        values: dict[Labels, Value] = {}
        for labels, value in self._around.vector(self._query, seen):
            words = words_of(
                self._rule,
                labels,
                value,
                query=lambda text: self._answer(text, time),
                now=time / 1000,
                external_labels=self._around.external_labels,
                external_url=self._around.external_url,
            )
            if words.labels in values:
                raise EvaluationError(SAME_LABELS.format("alert"))
            values[words.labels] = Value(value, words=words)
        return values

    def _answer(self, text: str, time: int) -> Sequence[tuple[Mapping[str, str], float]]:
        return [(labels.labels, value) for labels, value in self._around.vector(RuleQuery(text), time)]

    def _samples(self, incident: Incident) -> Vector:
        """Give the two series by which a Prometheus tells of an alert.

        A label whose template gave nothing is the template itself there.
        """
        state = "pending" if incident.state is State.PENDING else "firing"
        labels = {**self._labels, **incident.labels, "alertname": self.name}
        return [
            (LabelSet({**labels, METRIC_NAME: "ALERTS", "alertstate": state}), 1.0),
            (LabelSet({**labels, METRIC_NAME: "ALERTS_FOR_STATE"}), float(incident.created_at // 1)),
        ]


def _running(rule: Rule, group: RuleGroup, judged: AlertRule | Recording, around: Surroundings) -> _Recording | _Alerting:
    if isinstance(judged, Recording):
        return _Recording(judged, around)
    return _Alerting(rule.name, judged, group.labels_of(rule), around)
