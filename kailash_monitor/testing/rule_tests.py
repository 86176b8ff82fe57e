"""Rule tests: the rules of Prometheus' rule files are evaluated over made-up series, and what comes of it is compared.

As `promtool test rules` does it, but that alerts are decided by this toolkit's own state machine:
https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

import glob
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

from kailash_monitor.errors import InvalidFile
from kailash_monitor.promql import EvaluationError, ParseError, number_text, quoted
from kailash_monitor.promql.durations import duration_text
from kailash_monitor.promql.query import Settings
from kailash_monitor.promql.samples import Vector
from kailash_monitor.rules import AlertRule
from kailash_monitor.rules.loaded_rules import loaded_rules
from kailash_monitor.rules.recording import Place, Recording
from kailash_monitor.rules.rule_file import RuleFile, RuleGroup, read_rule_file
from kailash_monitor.testing.rule_groups import RunningGroup, Surroundings
from kailash_monitor.testing.rule_storage import RuleStorage
from kailash_monitor.testing.rule_test_file import AlertTest, ExpressionTest, RuleTest, RuleTestFile, read_rule_test_file
from kailash_monitor.yaml_source import text_of

__all__ = ["RuleTestReport", "run_rule_tests"]

Words: TypeAlias = tuple[Mapping[str, str], Mapping[str, str]]
"""The labels and annotations of an alert."""


@dataclass(frozen=True, slots=True)
class RuleTestReport:
    """What came of the tests of a file: what failed, in texts of several lines, and what may be a mistake."""

    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all is as the file expects it."""
        return not self.failures


def run_rule_tests(path: Path) -> RuleTestReport:
    """Run the unit tests of a file; a file that cannot be read, or that has rules that cannot be, is a failure.

    A value that is expected to be NaN is never met, as in promtool: test `x != x` instead.
    """
    warnings: list[str] = []
    try:
        file = read_rule_test_file(text_of(path), str(path))
        groups = _groups(file, path.parent, warnings)
        failures = [failure for test in file.tests for failure in _Run(test, file, groups).failures()]
    except InvalidFile as error:
        failures = error.problems
    return RuleTestReport(tuple(failures), tuple(warnings))


Judged: TypeAlias = tuple[RuleGroup, Sequence[AlertRule | Recording]]
"""A group, and its rules as they are judged."""


def _groups(file: RuleTestFile, folder: Path, warnings: list[str]) -> list[Judged]:
    """Give the groups in the order of their evaluation: those without a place in it come with the first one."""
    paths: dict[str, None] = {}
    for pattern in file.rule_files:
        found = sorted(glob.glob(str(Path(glob.escape(str(folder)), pattern)), include_hidden=True))
        paths.update(dict.fromkeys(found))
        if not found:
            warnings.append(f"no file match pattern {folder / pattern}")
    interval = file.evaluation_interval / 1000
    files = {path: _often(read_rule_file(text_of(Path(path)), path), interval) for path in paths}
    loaded = loaded_rules(files, dict.fromkeys(files, interval))
    judged: dict[Place | None, AlertRule | Recording] = {rule.place: rule for rule in loaded.alerts.values()}
    judged.update((recording.place, recording) for recording in loaded.recordings.values())
    groups = [
        (group, [judged[Place(path, group.name, position)] for position in range(len(group.rules))])
        for path, read in files.items()
        for group in read.groups
    ]
    order = {name: index for index, name in enumerate(file.group_eval_order)}
    return sorted(groups, key=lambda one: order.get(one[0].name, 0))


def _often(file: RuleFile, interval: float) -> RuleFile:
    """Give the file with groups that are evaluated each `interval` seconds, whatever they say of themselves."""
    return RuleFile(tuple(replace(group, interval=interval) for group in file.groups))


class _Run:
    """One test at work. Mutable, by `failures`, which is to be asked once."""

    def __init__(self, test: RuleTest, file: RuleTestFile, groups: Iterable[Judged]) -> None:
        self._test = test
        self._every = file.evaluation_interval
        self._fuzzy = file.fuzzy
        self._storage = RuleStorage()
        self._around = Surroundings(
            self._storage, Settings(subquery_step=self._every), test.external_labels, test.external_url
        )
        self._series = {one.labels: one.values for one in test.series}
        self._loaded = 0  # how many values of each series have been
        self._groups = [RunningGroup(group, judged, self._around) for group, judged in groups]

    def failures(self) -> Iterator[str]:
        """Give what is not as it should be."""
        for since in range(0, self._test.end + 1, self._every):
            failures = list(self._evaluate(since))
            yield from failures
            if failures:
                return
            for test in self._test.alerts:
                if since <= test.time < since + self._every:
                    yield from self._judge_alerts(test)
        for one in self._test.expressions:
            yield from self._judge_expression(one)

    def _evaluate(self, since: int) -> Iterator[str]:
        """Evaluate all rules `since` milliseconds after the start; give why any has no result."""
        time = self._test.start + since
        self._load(since)
        for group in self._groups:
            for name, message in group.evaluate(time):
                yield f"    rule: {name}, time: {_clock_text(time)}, err: {message}"

    def _load(self, since: int) -> None:
        """Add the values that there are `since` milliseconds after the start; nothing later can be seen."""
        until = since // self._test.interval + 1
        for index in range(self._loaded, until):
            time = self._test.start + index * self._test.interval
            for labels, values in self._series.items():
                if index < len(values) and (value := values[index]) is not None:
                    self._storage.append(labels, time, value)
        self._loaded = until

    def _judge_alerts(self, test: AlertTest) -> Iterator[str]:
        got: list[Words] = [
            ({**incident.labels, "alertname": test.name}, incident.annotations or {})
            for group in self._groups
            for incident in group.firing(test.name)
        ]
        expected: list[Words] = [({**one.labels, "alertname": test.name}, one.annotations) for one in test.expected]
        if _sorted(got) != _sorted(expected):
            name = f"    name: {self._test.name},\n" if self._test.name else ""
            time = duration_text(test.time / 1000)
            yield (
                f"{name}    alertname: {test.name}, time: {time}, \n"
                f"        exp:{_alerts_text(_sorted(expected))}, \n        got:{_alerts_text(_sorted(got))}"
            )

    def _judge_expression(self, test: ExpressionTest) -> Iterator[str]:
        said = f"    expr: {quoted(test.query.text)}, time: {duration_text(test.time / 1000)},"
        try:
            vector = self._around.vector(test.query, self._test.start + test.time)
        except (EvaluationError, ParseError) as error:
            yield f"{said} err: {error.message}"
            return
        got, expected = _by_labels(vector), _by_labels(test.expected)
        if not self._same(got, expected):
            yield f"{said}\n        exp: {_vector_text(expected)}\n        got: {_vector_text(got)}"

    def _same(self, got: Vector, expected: Vector) -> bool:
        if [labels for labels, _ in got] != [labels for labels, _ in expected]:
            return False
        return all(self._equal(one, other) for (_, one), (_, other) in zip(got, expected, strict=True))

    def _equal(self, one: float, other: float) -> bool:
        return one == other or (self._fuzzy and other in (math.nextafter(one, -math.inf), math.nextafter(one, math.inf)))


# How it is told


def _sorted(alerts: Iterable[Words]) -> list[Words]:
    return sorted(alerts, key=lambda words: [sorted(texts.items()) for texts in words])


def _by_labels(vector: Vector) -> Vector:
    return sorted(vector, key=lambda sample: sorted(sample[0].labels.items()))


def _alerts_text(alerts: Sequence[Words]) -> str:
    indent = " " * 12
    texts = [
        f"{indent}{index}:\n{indent}  Labels:{_texts(labels)}\n{indent}  Annotations:{_texts(annotations)}"
        for index, (labels, annotations) in enumerate(alerts)
    ]
    return "[\n" + ",\n".join(texts) + f"\n{indent}]" if texts else "[]"


def _vector_text(vector: Vector) -> str:
    return ", ".join(f"{_texts(labels.labels)} {_value_text(value)}" for labels, value in vector) or "nil"


def _texts(texts: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{name}={quoted(text)}' for name, text in sorted(texts.items()))}}}"


def _value_text(value: float) -> str:
    """Give a number as Go's `%E` with as many digits as it needs: `1E+00`, `2.5E-07`, `+Inf`."""
    if not math.isfinite(value):
        return number_text(value)
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():E}".partition("E")
    return f"{mantissa}E{int(exponent):+03d}"


def _clock_text(time: int) -> str:
    """Give a time as Go does: `1h0m30s`, `2m0s`, `500ms`."""
    if time % 60_000 == time < 1000:
        return f"{time}ms" if time else "0s"
    minutes, left = divmod(time, 60_000)
    hours, minutes = divmod(minutes, 60)
    longer = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{longer}{number_text(left / 1000)}s"
