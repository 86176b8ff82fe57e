"""Rule files: Prometheus' alerting and recording rules in their groups, as a file has them.

What is refused is what Prometheus 3 refuses when it loads a file:
https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from kailash_monitor.errors import ConfigurationError, InvalidFile
from kailash_monitor.promql.durations import parse_duration
from kailash_monitor.promql.errors import ParseError
from kailash_monitor.promql.parser import parse
from kailash_monitor.promql.tree import Expression
from kailash_monitor.rules.templates import TemplateError, compile_template
from kailash_monitor.yaml_source import Node, parse_yaml

__all__ = ["AlertingRule", "RecordingRule", "Rule", "RuleFile", "RuleGroup", "duplicates", "read_rule_file"]

T = TypeVar("T")

_NONE: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertingRule:
    """An alert for each series that `expr` gives, once it has done so for `for_` seconds.

    It lasts until `expr` has not given the series for `keep_firing_for` seconds. `labels` and `annotations` are templates.
    `tree` is what `expr` says, `line` where the rule stands in its file; `comments` are for whoever reads it there.
    """

    name: str
    expr: str
    tree: Expression
    for_: float = 0.0
    keep_firing_for: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    line: int = field(default=1, compare=False)
    comments: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """A series called `record` for each that `expr` gives, with `labels` instead of those of the same name."""

    record: str
    expr: str
    tree: Expression
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    line: int = field(default=1, compare=False)

    @property
    def name(self) -> str:
        """What it records: every rule has a name."""
        return self.record


Rule: TypeAlias = AlertingRule | RecordingRule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """Rules that are evaluated together, one after the other, each `interval` seconds (None: as usual).

    Each sees what was so `query_offset` seconds ago (None: as usual). One that gives more than `limit` alerts or series
    fails (0: any number). `labels` are added to those of each rule, where it has none of the same name.
    """

    name: str
    interval: float | None = None
    limit: int = 0
    query_offset: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    rules: tuple[Rule, ...] = ()
    line: int = field(default=1, compare=False)

    def labels_of(self, rule: Rule) -> Mapping[str, str]:
        """Give all labels that a rule of the group adds."""
        return {**self.labels, **rule.labels} if self.labels else rule.labels


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The groups of a file, in its order."""

    groups: tuple[RuleGroup, ...] = ()


def read_rule_file(text: str, where: str, *, experimental: bool = True) -> RuleFile:
    """Read the YAML of a rule file; `where` names it in errors.

    An InvalidFile tells all that is wrong, each with its line, and for expressions and syntax its column. With
    `experimental=False` that is also what a Prometheus without feature flags does not know.
    """
    try:
        root = parse_yaml(text, where, as_texts=True)
    except ConfigurationError as error:
        raise InvalidFile([str(error)]) from None
    problems = _Problems(where)
    file = _Reading(problems, experimental=experimental).file(root)
    problems.raise_any()
    return file


def duplicates(file: RuleFile) -> list[Rule]:
    """Give each rule whose name and labels an earlier one of the file has too: valid, and nearly always a slip."""
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    found: list[Rule] = []
    for rule in (rule for group in file.groups for rule in group.rules):
        key = rule.name, frozenset(rule.labels.items())
        if key in seen:
            found.append(rule)
        seen.add(key)
    return found


class _Problems:
    """Collects what is wrong with a file, to raise all of it together."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._found: list[tuple[int, int, str]] = []

    def add(self, line: int, path: str, text: str, *, column: int = 0) -> None:
        place = f"{line}:{column}" if column else f"{line}"
        self._found.append((line, column, f"{self._where}:{place}: {path or 'the file'}: {text}"))

    def raise_any(self) -> None:
        if self._found:
            raise InvalidFile([text for _, _, text in sorted(self._found)])


class _Fields:
    """A mapping of the file whose keys are known; a null stands for nothing."""

    __slots__ = ("_lines", "line", "nodes", "path")

    def __init__(self, node: Node, path: str, nodes: Mapping[str, Node]) -> None:
        self.line, self.path, self.nodes, self._lines = node.line, path, nodes, node.key_lines

    def line_of(self, key: str) -> int:
        return self._lines.get(key, self.line)

    def path_of(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        return key in self.nodes and self.nodes[key].content is not None


_FILE: Final = ("groups",)
_GROUP: Final = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE: Final = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")


class _Reading:
    """Makes values of nodes; what is wrong is noted, and taken for not written."""

    def __init__(self, problems: _Problems, *, experimental: bool) -> None:
        self._problems = problems
        self._experimental = experimental

    def file(self, root: Node) -> RuleFile:
        if root.content is None or not self._is_mapping(root, "", _FILE):
            return RuleFile()
        names: dict[str, int] = {}
        given = self._fields(root, "", _FILE)
        return RuleFile(tuple(self._items(given, "groups", _GROUP, lambda node, path: self._group(node, path, names))))

    def _group(self, node: Node, path: str, names: dict[str, int]) -> RuleGroup:
        given = self._fields(node, path, _GROUP)
        name = self._text(given, "name")
        if not name:
            self._wrong(given, "name", "a group without a name; give it one of its own")
        elif name in names:
            self._wrong(given, "name", f"a second group {name!r}, first in line {names[name]}; give it another name")
        names.setdefault(name, given.line)
        return RuleGroup(
            name=name,
            interval=self._duration(given, "interval"),
            limit=self._limit(given),
            query_offset=self._duration(given, "query_offset"),
            labels=self._labels(given),
            rules=tuple(filter(None, self._items(given, "rules", _RULE, self._rule))),
            line=given.line,
        )

    def _rule(self, node: Node, path: str) -> Rule | None:
        given = self._fields(node, path, _RULE)
        alert, record = self._text(given, "alert"), self._text(given, "record")
        if alert and record:
            self._wrong(given, "record", "a rule with both alert and record; it has one of them")
        elif not alert and not record:
            self._wrong(given, "", "a rule with neither alert nor record; it has one of them")
        expr = self._text(given, "expr")
        tree = self._expression(given, expr)
        labels, annotations = self._labels(given), self._annotations(given)
        for_, keep = self._duration(given, "for") or 0.0, self._duration(given, "keep_firing_for") or 0.0
        if alert:
            self._check_templates(given, "labels", labels, alert)
            self._check_templates(given, "annotations", annotations, alert)
        if record:
            self._check_record(given, record)
            for key, value in {"for": for_, "keep_firing_for": keep, "annotations": annotations}.items():
                if value:
                    self._wrong(given, key, f"{key} on a recording rule; only alerting rules have it")
        if tree is None:
            return None
        if not alert:
            return RecordingRule(record=record, expr=expr, tree=tree, labels=labels, line=given.line)
        return AlertingRule(
            name=alert,
            expr=expr,
            tree=tree,
            for_=for_,
            keep_firing_for=keep,
            labels=labels,
            annotations=annotations,
            line=given.line,
        )

    def _expression(self, given: _Fields, expr: str) -> Expression | None:
        if not expr:
            self._wrong(given, "expr", "no expression; write one in PromQL")
            return None
        try:
            return parse(expr, experimental=self._experimental)
        except ParseError as error:
            line, column = given.nodes["expr"].place(error.start)
            self._problems.add(line, given.path_of("expr"), f"parse error: {error.message}", column=column)
            return None

    def _check_record(self, given: _Fields, record: str) -> None:
        if "{" in record or "}" in record:
            self._wrong(given, "record", f"braces in the name {record!r}; a name only, labels stand under labels")

    def _check_templates(self, given: _Fields, key: str, texts: Mapping[str, str], alert: str) -> None:
        """Note each text that cannot be read as a template."""
        for name, text in texts.items():
            try:
                compile_template(text, name=f"__alert_{alert}")
            except TemplateError as error:
                self._wrong_entry(given, key, name, str(error), below=True)

    def _labels(self, given: _Fields) -> Mapping[str, str]:
        labels = self._texts(given, "labels")
        for name in ("", "__name__"):
            if name in labels:
                self._wrong_entry(given, "labels", name, f"no label can be called {name!r}; give it another name")
        return labels

    def _annotations(self, given: _Fields) -> Mapping[str, str]:
        annotations = self._texts(given, "annotations")
        if "" in annotations:
            self._wrong_entry(given, "annotations", "", "an annotation without a name; give it one")
        return annotations

    def _limit(self, given: _Fields) -> int:
        text = self._text(given, "limit")
        try:
            return int(float(text or 0))  # as Prometheus has it, for which 5.0 is whole
        except (ValueError, OverflowError):
            self._wrong(given, "limit", f"saw {text!r}; write a whole number")
            return 0

    def _duration(self, given: _Fields, key: str) -> float | None:
        """Give seconds; None where nothing stands there."""
        if not given.has(key):
            return None
        text = self._text(given, key)
        try:
            return 0.0 if text == "0" else parse_duration(text)
        except ValueError as error:
            self._wrong(given, key, f"{error}; write one such as 30s, 5m or 1h30m")
            return None

    def _text(self, given: _Fields, key: str) -> str:
        """Give the text at `key`; empty where nothing stands there."""
        content = given.nodes[key].content if key in given.nodes else None
        if isinstance(content, list | dict):
            self._wrong(given, key, f"a {_kind(content)}; write a text")
            return ""
        return self._whole(given.line_of(key), given.path_of(key), "" if content is None else str(content))

    def _texts(self, given: _Fields, key: str) -> Mapping[str, str]:
        """Give the mapping of texts at `key`; empty where nothing stands there."""
        if not given.has(key):
            return _NONE
        node = given.nodes[key]
        if not isinstance(node.content, dict):
            self._wrong(given, key, f"{_seen(node)}; write a mapping, such as {{name: text}}")
            return _NONE
        below = _Fields(node, given.path_of(key), node.content)
        return {self._whole(below.line_of(name), below.path, name): self._text(below, name) for name in node.content}

    def _items(self, given: _Fields, key: str, known: Sequence[str], read: Callable[[Node, str], T]) -> Sequence[T]:
        """Read each item of the list at `key`, a mapping with `known` keys; none where nothing stands there."""
        if not given.has(key):
            return ()
        content, path = given.nodes[key].content, given.path_of(key)
        if not isinstance(content, list):
            self._wrong(given, key, f"{_seen(given.nodes[key])}; write a list, each item after a dash")
            return ()
        items = [(node, f"{path}[{index}]") for index, node in enumerate(content) if node.content is not None]
        return [read(node, path) for node, path in items if self._is_mapping(node, path, known)]

    def _is_mapping(self, node: Node, path: str, known: Sequence[str]) -> bool:
        if isinstance(node.content, dict):
            return True
        self._problems.add(node.line, path, f"{_seen(node)}; write a mapping with keys such as {', '.join(known[:3])}")
        return False

    def _fields(self, node: Node, path: str, known: Sequence[str]) -> _Fields:
        """Give the fields of a mapping; unknown ones are noted."""
        content = node.content if isinstance(node.content, dict) else {}
        given = _Fields(node, path, content)
        for key in content:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use some of {', '.join(known)}"
                self._wrong(given, key, f"unknown field; {hint}")
        return given

    def _whole(self, line: int, path: str, text: str) -> str:
        """Give a text, in which halves of characters are noted: no Prometheus could say them."""
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            self._problems.add(line, path, f"half a character in {text!r}; write text that is UTF-8")
        return text

    def _wrong(self, given: _Fields, key: str, text: str) -> None:
        path = given.path_of(key) if key else given.path
        self._problems.add(given.line_of(key), path, text)

    def _wrong_entry(self, given: _Fields, key: str, name: str, text: str, *, below: bool = False) -> None:
        """Note what is wrong with an entry of the mapping at `key`, or, `below`, with its text."""
        line = given.nodes[key].key_lines.get(name, given.line_of(key))
        self._problems.add(line, f"{given.path_of(key)}.{name}" if below else given.path_of(key), text)


def _kind(content: object) -> str:
    return "list" if isinstance(content, list) else "mapping"


def _seen(node: Node) -> str:
    return f"a {_kind(node.content)}" if isinstance(node.content, list | dict) else f"saw {node.content!r}"
