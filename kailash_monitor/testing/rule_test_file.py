"""Rule test files: unit tests of Prometheus' rules, as `promtool test rules` reads them.

https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias, TypeVar

from kailash_monitor.errors import ConfigurationError, InvalidFile
from kailash_monitor.promql import ParseError
from kailash_monitor.promql.description import SeriesDescription, parse_labels, parse_values
from kailash_monitor.promql.durations import parse_duration
from kailash_monitor.promql.labelset import NO_LABEL_SET, LabelSet
from kailash_monitor.promql.samples import Vector
from kailash_monitor.rules import RuleQuery
from kailash_monitor.yaml_source import Node, parse_yaml

__all__ = ["AlertTest", "ExpectedAlert", "ExpressionTest", "RuleTest", "RuleTestFile", "read_rule_test_file"]

T = TypeVar("T")

MINUTE: Final = 60_000
"""Milliseconds between two evaluations, where a file does not say."""


@dataclass(frozen=True, slots=True)
class ExpectedAlert:
    """An alert that should fire; its labels are all but `alertname`."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertTest:
    """The alerts called `name` that should fire at `time` (milliseconds since the start): all of them, in any order."""

    time: int
    name: str
    expected: tuple[ExpectedAlert, ...]


@dataclass(frozen=True, slots=True)
class ExpressionTest:
    """The series that an expression should give at `time` (milliseconds since the start), in any order."""

    time: int
    query: RuleQuery
    expected: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """What rules should make of some series, whose values are `interval` milliseconds apart, from `start` (Unix ms) on."""

    name: str = ""
    interval: int = MINUTE
    start: int = 0
    series: tuple[SeriesDescription, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    external_url: str = ""
    alerts: tuple[AlertTest, ...] = ()
    expressions: tuple[ExpressionTest, ...] = ()

    @property
    def end(self) -> int:
        """The last time (milliseconds since the start) of which it says something."""
        return max([0, *(one.time for one in self.alerts), *(one.time for one in self.expressions)])


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTestFile:
    """Tests of the rules in the files that `rule_files` name, which are evaluated each `evaluation_interval` milliseconds.

    Groups are evaluated in the order of `group_eval_order`, together with the first of it those that it does not name. With
    `fuzzy` a value may differ from the expected one by the last bit.
    """

    rule_files: tuple[str, ...] = ()
    evaluation_interval: int = MINUTE
    group_eval_order: tuple[str, ...] = ()
    fuzzy: bool = False
    tests: tuple[RuleTest, ...] = ()


def read_rule_test_file(text: str, where: str) -> RuleTestFile:
    """Read the YAML of a file of unit tests; `where` names it in errors.

    An InvalidFile tells all that is wrong, each with its line: unknown fields, expressions and series that cannot be read,
    native histograms.
    """
    try:
        root = parse_yaml(text, where, as_texts=True)
    except ConfigurationError as error:
        raise InvalidFile([str(error)]) from None
    problems: list[_Problem] = []
    file = _file(_Place(root, "", problems))
    if problems:
        raise InvalidFile([f"{where}:{problem.said}" for problem in sorted(problems, key=lambda one: one.line)])
    return file


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is wrong in a line."""

    line: int
    said: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A node of the file, how one gets there, and where to note what is wrong with it, which is taken for not written."""

    node: Node
    path: str
    problems: list[_Problem]
    line: int = 0
    """Where the key of the node stands, where it has one."""

    def wrong(self, text: str) -> None:
        line = self.line or self.node.line
        self.problems.append(_Problem(line, f"{line}: {self.path or 'the file'}: {text}"))

    def wrong_at(self, offset: int, text: str) -> None:
        line, column = self.node.place(offset)
        self.problems.append(_Problem(line, f"{line}:{column}: {self.path}: {text}"))

    def fields(self, known: Sequence[str]) -> dict[str, "_Place"]:
        """Give what stands under the keys of a mapping; unknown ones are noted, a null is nothing."""
        found = self.entries()
        for key, place in found.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use some of {', '.join(known)}"
                place.wrong(f"unknown field; {hint}")
        return {key: place for key, place in found.items() if place.node.content is not None}

    def entries(self) -> dict[str, "_Place"]:
        """Give what stands under each key of a mapping."""
        content, lines = self.node.content, self.node.key_lines
        if content is None:
            return {}
        if not isinstance(content, dict):
            self.wrong(f"{_seen(self.node)}; write a mapping, such as {{name: text}}")
            return {}
        inside = f"{self.path}." if self.path else ""
        return {key: _Place(node, f"{inside}{key}", self.problems, lines[key]) for key, node in content.items()}

    def items(self) -> list["_Place"]:
        """Give the items of a list."""
        content = self.node.content
        if not isinstance(content, list):
            self.wrong(f"{_seen(self.node)}; write a list, each item after a dash")
            return []
        return [_Place(node, f"{self.path}[{index}]", self.problems) for index, node in enumerate(content)]

    def lacks(self, given: "Mapping[str, _Place]", key: str, text: str) -> None:
        """Note that a mapping has no `key`."""
        if not given.get(key) and isinstance(self.node.content, dict):
            self.wrong(f"{text}; name one under {key}")

    def text(self) -> str:
        content = self.node.content
        if isinstance(content, list | dict):
            self.wrong(f"{_seen(self.node)}; write a text")
            return ""
        return "" if content is None else str(content)


def _seen(node: Node) -> str:
    match node.content:
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case content:
            return "nothing" if content is None else f"the text {content!r}"


# What stands under the keys of a mapping

Fields: TypeAlias = Mapping[str, _Place]


def _text(given: Fields, key: str) -> str:
    return given[key].text() if key in given else ""


def _texts(given: Fields, key: str) -> dict[str, str]:
    return {name: place.text() for name, place in given[key].entries().items()} if key in given else {}


def _list(given: Fields, key: str, read: Callable[[_Place], T | None]) -> tuple[T, ...]:
    """Give the items of a list, but for those that could not be read."""
    items = given[key].items() if key in given else []
    return tuple(one for item in items if (one := read(item)) is not None)


def _parsed(given: Fields, key: str, parse: Callable[[str], T]) -> T | None:
    """Give what PromQL reads in a text; an error is noted where it stands in the file, None where there is nothing."""
    if key not in given:
        return None
    place = given[key]
    try:
        return parse(place.text())
    except ParseError as error:
        place.wrong_at(error.start, f"parse error: {error.message}")
        return None


def _duration(given: Fields, key: str) -> int:
    """Give milliseconds."""
    text = _text(given, key)
    try:
        return 0 if text == "0" or key not in given else round(parse_duration(text) * 1000)
    except ValueError as error:
        given[key].wrong(f"{error}; write one such as 30s, 5m or 1h30m")
        return 0


def _switch(given: Fields, key: str) -> bool:
    text = _text(given, key).lower()
    if key in given and text not in _SWITCHES:
        given[key].wrong(f"{text!r}; write true or false")
    return _SWITCHES.get(text, False)


_SWITCHES: Final = {word: index < 4 for index, word in enumerate(["true", "yes", "on", "y", "false", "no", "off", "n"])}


def _number(given: Fields, key: str) -> float:
    text = _text(given, key)
    plain = text.replace("_", "").lower()
    try:
        if _WHOLE.fullmatch(plain):
            return float(int(plain, 8) if plain.lstrip("+-")[1:].isdigit() else int(plain, 0))
        if _DECIMAL.fullmatch(plain) or plain.lstrip("+-") in (".inf", ".nan"):
            return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    except OverflowError:
        pass
    if key in given:
        given[key].wrong(f"{text!r} is no number; write one such as 1.5, 1e9, .inf or .nan")
    return 0.0


_DECIMAL: Final = re.compile(r"[+-]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:e[+-]?[0-9]+)?")

_WHOLE: Final = re.compile(r"[+-]?0(?:x[0-9a-f]+|o?[0-7]+|b[01]+)")
"""YAML's other ways to write a number."""


def _start(given: Fields, key: str) -> int:
    """Give Unix milliseconds."""
    text = _text(given, key)
    try:
        seconds = float(text or 0) if _DECIMAL.fullmatch(text or "0") else datetime.fromisoformat(text).timestamp()
        return round(seconds * 1000)
    except (ValueError, OverflowError):
        given[key].wrong(f"{text!r} is no time; write Unix seconds or one such as 2026-01-31T12:00:00Z")
        return 0


# The parts of the file


def _file(root: _Place) -> RuleTestFile:
    given = root.fields(("rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare"))
    interval = _duration(given, "evaluation_interval") or MINUTE
    order = _list(given, "group_eval_order", _Place.text)
    for name in dict.fromkeys(name for name in order if order.count(name) > 1):
        given["group_eval_order"].wrong(f"the group {name!r} more than once; name each once")
    return RuleTestFile(
        rule_files=_list(given, "rule_files", _Place.text),
        evaluation_interval=interval,
        group_eval_order=order,
        fuzzy=_switch(given, "fuzzy_compare"),
        tests=_list(given, "tests", lambda place: _test(place, interval)),
    )


_TEST: Final = (
    "name",
    "interval",
    "input_series",
    "alert_rule_test",
    "promql_expr_test",
    "external_labels",
    "external_url",
    "start_timestamp",
)


def _test(place: _Place, evaluation_interval: int) -> RuleTest:
    given = place.fields(_TEST)
    return RuleTest(
        name=_text(given, "name"),
        interval=_duration(given, "interval") or evaluation_interval,
        start=_start(given, "start_timestamp"),
        series=_list(given, "input_series", _series),
        external_labels=_texts(given, "external_labels"),
        external_url=_text(given, "external_url"),
        alerts=_list(given, "alert_rule_test", _alert_test),
        expressions=_list(given, "promql_expr_test", _expression_test),
    )


def _series(place: _Place) -> SeriesDescription | None:
    given = place.fields(("series", "values"))
    place.lacks(given, "series", "values of no series")
    labels, values = _parsed(given, "series", parse_labels), _parsed(given, "values", parse_values)
    return None if labels is None else SeriesDescription(labels, values or ())


def _alert_test(place: _Place) -> AlertTest:
    given = place.fields(("eval_time", "alertname", "exp_alerts"))
    place.lacks(given, "alertname", "a test of no alert")
    return AlertTest(_duration(given, "eval_time"), _text(given, "alertname"), _list(given, "exp_alerts", _expected_alert))


def _expected_alert(place: _Place) -> ExpectedAlert:
    given = place.fields(("exp_labels", "exp_annotations"))
    labels = _texts(given, "exp_labels")
    labels.pop("alertname", None)
    return ExpectedAlert(labels, _texts(given, "exp_annotations"))


def _expression_test(place: _Place) -> ExpressionTest | None:
    given = place.fields(("expr", "eval_time", "exp_samples"))
    place.lacks(given, "expr", "a test of no expression")
    time, expected = _duration(given, "eval_time"), list(_list(given, "exp_samples", _sample))
    query = _parsed(given, "expr", RuleQuery)
    return None if query is None else ExpressionTest(time, query, expected)


def _sample(place: _Place) -> tuple[LabelSet, float]:
    given = place.fields(("labels", "value", "histogram"))
    if "histogram" in given:
        given["histogram"].wrong("native histograms are not supported; test a number that is computed from them")
    return _parsed(given, "labels", _labels) or NO_LABEL_SET, _number(given, "value")


def _labels(text: str) -> LabelSet:
    return parse_labels(text) if text.strip() not in ("", "{}") else NO_LABEL_SET
