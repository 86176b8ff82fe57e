"""Rule files: what Prometheus reads is read, what it refuses is refused, each mistake with its place."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.errors import InvalidFile
from kailash_monitor.promql import parse
from kailash_monitor.rules.rule_file import AlertingRule, RecordingRule, RuleFile, RuleGroup, duplicates, read_rule_file
from kailash_monitor.yaml_source import parse_yaml

SHARED = Path(__file__).parent.parent.parent / "shared" / "rulefiles"

with_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool, from the Debian package prometheus, is not installed"
)


def rules_of(text: str) -> list[AlertingRule | RecordingRule]:
    """Read rules that stand in one group."""
    return [rule for group in read_rule_file(text, "f.yml").groups for rule in group.rules]


def in_a_group(*rules: str) -> str:
    return "groups:\n- name: g\n  rules:\n" + "".join(f"  - {rule}\n" for rule in rules)


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidFile) as refused:
        read_rule_file(text, "f.yml")
    return refused.value.problems


WHOLE = """\
groups:
  - name: node
    interval: 30s
    query_offset: 1m
    limit: 10
    labels: {team: infra, severity: info}
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
        labels:
          level: 1
      # The comment of a person
      - alert: Down
        expr: |
          up
            == 0
        for: 1h30m
        keep_firing_for: 5m
        labels:
          severity: page
        annotations:
          summary: "{{ $labels.instance }} is down"
  - name: empty
"""


def test_a_file_is_read_as_values_with_durations_in_seconds() -> None:
    node, empty = read_rule_file(WHOLE, "f.yml").groups
    record, down = node.rules
    assert (node.name, node.interval, node.query_offset, node.limit) == ("node", 30.0, 60.0, 10)
    assert record == RecordingRule(
        record="job:up:sum", expr="sum by (job) (up)", tree=parse("sum by (job) (up)"), labels={"level": "1"}
    )
    assert down == AlertingRule(
        name="Down",
        expr="up\n  == 0\n",
        tree=parse("up == 0"),
        for_=5400.0,
        keep_firing_for=300.0,
        labels={"severity": "page"},
        annotations={"summary": "{{ $labels.instance }} is down"},
    )
    assert empty == RuleGroup(name="empty")
    assert (node.line, record.line, down.line, empty.line) == (2, 8, 13, 23)


def test_labels_of_a_rule_go_before_those_of_its_group() -> None:
    group = read_rule_file(WHOLE, "f.yml").groups[0]
    assert group.labels_of(group.rules[0]) == {"team": "infra", "severity": "info", "level": "1"}
    assert group.labels_of(group.rules[1]) == {"team": "infra", "severity": "page"}


def test_all_public_rule_files_load() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    files = {path.name: read_rule_file(path.read_text(), path.name) for path in sorted(SHARED.glob("*.yml"))}
    assert sum(len(group.rules) for file in files.values() for group in file.groups) == 954


UNUSUAL = {
    "nothing": ("", RuleFile()),
    "a comment": ("# nothing\n", RuleFile()),
    "no groups": ("groups:\n", RuleFile()),
    "groups of nothing": ("groups: []\n", RuleFile()),
    "items of nothing": ("groups: [~, {name: a, rules: [~]}]", RuleFile((RuleGroup(name="a"),))),
    "a group without rules": ("groups: [{name: a, rules: }]", RuleFile((RuleGroup(name="a"),))),
    "null durations": ("groups: [{name: a, interval: ~, query_offset: null}]", RuleFile((RuleGroup(name="a"),))),
    "zero": ('groups: [{name: a, interval: "0"}]', RuleFile((RuleGroup(name="a", interval=0.0),))),
    "a name that is a number": ("groups: [{name: 5}]", RuleFile((RuleGroup(name="5"),))),
    "a limit with a point": ("groups: [{name: a, limit: 5.0}]", RuleFile((RuleGroup(name="a", limit=5),))),
    "a negative limit": ("groups: [{name: a, limit: -1}]", RuleFile((RuleGroup(name="a", limit=-1),))),
    "durations in all units": (
        "groups: [{name: a, interval: 1y2w3d4h5m6s7ms}]",
        RuleFile((RuleGroup(name="a", interval=33019506.007),)),
    ),
}


@pytest.mark.parametrize(("text", "file"), UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_unusual_and_valid(text: str, file: RuleFile) -> None:
    assert read_rule_file(text, "f.yml") == file


LABELS: dict[str, tuple[str, Mapping[str, str]]] = {
    "numbers as they are written": ("{a: 010, b: 1e3, c: 0x1F, d: 1_000}", {"a": "010", "b": "1e3", "c": "0x1F", "d": "1_000"}),
    "words of YAML": ("{on: yes, n: off, true: false}", {"on": "yes", "n": "off", "true": "false"}),
    "dates": ("{a: 2024-01-01}", {"a": "2024-01-01"}),
    "nothing": ("{a: , b: ~}", {"a": "", "b": ""}),
    "names of any characters": ('{"a-b": x, "ä": y}', {"a-b": "x", "ä": "y"}),
    "null": ("", {}),
}  # fmt: skip


@pytest.mark.parametrize(("labels", "values"), LABELS.values(), ids=LABELS)
def test_labels_are_texts_as_they_are_written(labels: str, values: Mapping[str, str]) -> None:
    (rule,) = rules_of(in_a_group(f"{{alert: a, expr: up, labels: {labels}}}"))
    assert rule.labels == values


def test_anchors_and_merge_keys_work() -> None:
    first, second = rules_of("""
groups:
- name: g
  rules:
  - &base
    alert: A
    expr: up == 0
    for: 5m
    labels: &labels {severity: page, team: a}
  - <<: *base
    alert: B
    labels:
      team: b
      <<: [{team: z, tier: 1}, *labels]
""")
    assert isinstance(second, AlertingRule)
    assert (second.name, second.expr, second.for_) == ("B", first.expr, 300.0)
    assert second.labels == {"team": "b", "tier": "1", "severity": "page"}


REFUSED = {
    "the file is no mapping": ("- a", "1: the file: a list; write a mapping with keys such as groups"),
    "unknown at the top": ("group: []", "1: group: unknown field; did you mean 'groups'?"),
    "groups are no list": ("groups: {a: b}", "1: groups: a mapping; write a list, each item after a dash"),
    "a group is no mapping": ("groups:\n- a", "2: groups[0]: saw 'a'; write a mapping with keys such as name, interval, query_offset"),
    "unknown in a group": (
        "groups:\n- name: a\n  rule: []",
        "3: groups[0].rule: unknown field; did you mean 'rules'?",
    ),
    "unknown in a rule": (
        in_a_group("{alert: a, expr: up, keep_firing: 5m}"),
        "4: groups[0].rules[0].keep_firing: unknown field; did you mean 'keep_firing_for'?",
    ),
    "unknown and like nothing": (
        in_a_group("{alert: a, expr: up, zzz: 5m}"),
        "4: groups[0].rules[0].zzz: unknown field; use some of alert, record, expr, for, keep_firing_for, labels, annotations",
    ),
    "a group without a name": ("groups:\n- rules: []", "2: groups[0].name: a group without a name; give it one of its own"),
    "an empty group": ("groups: [{}]", "1: groups[0].name: a group without a name; give it one of its own"),
    "an unknown function of a template": (
        in_a_group('alert: a\n    expr: up\n    annotations:\n      b: x\n      c: "{{ foo }}"'),
        '8: groups[0].rules[0].annotations.c: template: __alert_a:1: function "foo" not defined',
    ),
    "a template of a label": (
        in_a_group('{alert: a, expr: up, labels: {b: "{{ $value"}}'),
        "4: groups[0].rules[0].labels.b: template: __alert_a:1: unclosed action",
    ),
    "the same name twice": (
        "groups:\n- name: a\n- interval: 1m\n  name: a",
        "4: groups[1].name: a second group 'a', first in line 2; give it another name",
    ),
    "no duration": ("groups:\n- name: a\n  interval: 5", '3: groups[0].interval: not a valid duration string: "5"; write one such as 30s, 5m or 1h30m'),
    "a duration of fractions": ("groups: [{name: a, query_offset: 1.5m}]", '1: groups[0].query_offset: not a valid duration string: "1.5m"; write one such as 30s, 5m or 1h30m'),
    "no whole number": ("groups: [{name: a, limit: many}]", "1: groups[0].limit: saw 'many'; write a whole number"),
    "__name__ on a group": ("groups:\n- name: a\n  labels:\n    a: b\n    __name__: x", "5: groups[0].labels: no label can be called '__name__'; give it another name"),
    "an empty label name": (in_a_group('{alert: a, expr: up, labels: {"": x}}'), "4: groups[0].rules[0].labels: no label can be called ''; give it another name"),
    "labels are no mapping": (in_a_group("{alert: a, expr: up, labels: [a]}"), "4: groups[0].rules[0].labels: a list; write a mapping, such as {name: text}"),
    "a label is no text": (in_a_group("{alert: a, expr: up, labels: {a: [b]}}"), "4: groups[0].rules[0].labels.a: a list; write a text"),
    "half a character": (in_a_group(r'{alert: a, expr: up, labels: {a: "\ud800"}}'), r"4: groups[0].rules[0].labels.a: half a character in '\ud800'; write text that is UTF-8"),
    "neither": (in_a_group("{expr: up}"), "4: groups[0].rules[0]: a rule with neither alert nor record; it has one of them"),
    "both": (in_a_group("alert: a\n    record: b\n    expr: up"), "5: groups[0].rules[0].record: a rule with both alert and record; it has one of them"),
    "no expression": (in_a_group("{alert: a}"), "4: groups[0].rules[0].expr: no expression; write one in PromQL"),
    "an empty expression": (in_a_group("alert: a\n    expr: ''"), "5: groups[0].rules[0].expr: no expression; write one in PromQL"),
    "a record with braces": (in_a_group("{record: 'a{b=\"c\"}', expr: up}"), "4: groups[0].rules[0].record: braces in the name 'a{b=\"c\"}'; a name only, labels stand under labels"),
    "for on a recording rule": (in_a_group("{record: a, expr: up, for: 1m}"), "4: groups[0].rules[0].for: for on a recording rule; only alerting rules have it"),
    "keep_firing_for on one": (in_a_group("{record: a, expr: up, keep_firing_for: 1m}"), "4: groups[0].rules[0].keep_firing_for: keep_firing_for on a recording rule; only alerting rules have it"),
    "annotations on one": (in_a_group("{record: a, expr: up, annotations: {a: b}}"), "4: groups[0].rules[0].annotations: annotations on a recording rule; only alerting rules have it"),
    "an annotation without a name": (in_a_group('{alert: a, expr: up, annotations: {"": x}}'), "4: groups[0].rules[0].annotations: an annotation without a name; give it one"),
    "types that do not fit": (in_a_group("{alert: a, expr: rate(up)}"), "4:27: groups[0].rules[0].expr: parse error: expected type range vector in call to function \"rate\", got instant vector"),
    "no YAML": ("groups: [", "1:10: did not find expected node content"),
    "a key twice": ("groups:\ngroups:", "2:1: the key 'groups' for the second time, first in line 1; keep one"),
    "a merge of no mapping": ("<<: a", "1:5: a merge key (<<) with something else than mappings; write <<: *name"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_told_with_its_place(text: str, problem: str) -> None:
    (told,) = problems(text)
    assert told == f"f.yml:{problem}" or (problem.startswith("1:10: did not") and told.startswith("f.yml:1:"))


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    told = problems(in_a_group("{alert: a, expr: up +, labels: {__name__: x}}", "{record: b, for: 1m}") + "  limt: 5\n")
    assert [line.split(": ")[0:2] for line in told] == [
        ["f.yml:4", "groups[0].rules[0].labels"],
        ["f.yml:4:26", "groups[0].rules[0].expr"],
        ["f.yml:5", "groups[0].rules[1].expr"],
        ["f.yml:5", "groups[0].rules[1].for"],
        ["f.yml:6", "groups[0].limt"],
    ]


def test_for_nothing_on_a_recording_rule_is_accepted() -> None:
    (rule,) = rules_of(in_a_group("{record: a, expr: up, for: 0m, keep_firing_for: 0s, annotations: {}}"))
    assert rule == RecordingRule(record="a", expr="up", tree=parse("up"))


PLACES = {
    "plain": "alert: a\n    expr: sum(a) ? b",
    "plain over lines": "alert: a\n    expr: sum(a)\n       ? b",
    "in single quotes": "alert: a\n    expr: 'sum(a{b=''c''}) ? b'",
    "in double quotes": 'alert: a\n    expr: "sum(a{b=\\"c\\"})\\n\\t? b"',
    "in double quotes over lines": 'alert: a\n    expr: "sum(a{b=\\"\\x41\\u00e9\\U0001F600\\"}) \\\n      ? b"',
    "literal": "alert: a\n    expr: |\n      sum(a)\n        ? b",
    "literal with a comment": "alert: a\n    expr: |- # how\n\n      sum(a)\n\n        ? b",
    "folded": "alert: a\n    expr: >-\n      sum(a)\n\n      ? b\n      c",
    "with a tag and an anchor": "alert: a\n    expr: !!str &x |\n      sum(a) ? b",
    "in a flow mapping": "{alert: a, expr: sum(a) ? b}",
    "beyond ASCII": 'alert: a\n    expr: sum(a{b="äöü😀"}) ? b',
}


@pytest.mark.parametrize("rule", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_an_error_of_an_expression_points_into_the_file(rule: str, end: str) -> None:
    """However the expression is written: at the question mark, which is no PromQL."""
    text = in_a_group(rule).replace("\n", end)
    (told,) = problems(text)
    line, column = map(int, told.split(": ")[0].split(":")[1:])
    assert text.split("\n")[line - 1][column - 1] == "?"


def test_an_expression_that_ends_too_soon_is_told_at_its_end() -> None:
    told = problems(in_a_group("alert: a\n    expr: |\n      sum(\n        up", "{alert: b, expr: ' '}"))
    assert told == [
        "f.yml:7:11: groups[0].rules[0].expr: parse error: unclosed left parenthesis",
        "f.yml:8:23: groups[0].rules[1].expr: parse error: no expression found in input",
    ]


def test_experimental_functions_can_be_refused() -> None:
    text = in_a_group("{alert: a, expr: sort_by_label(up)}")
    assert rules_of(text)
    with pytest.raises(InvalidFile, match="sort_by_label"):
        read_rule_file(text, "f.yml", experimental=False)


def test_doubles_are_found_by_name_and_labels() -> None:
    text = in_a_group(
        "{alert: a, expr: up == 0, labels: {x: 1}}",
        "{alert: a, expr: up == 0, labels: {x: 2}}",
        "{alert: a, expr: up == 1, labels: {x: 1}}",
        "{record: b, expr: up}",
    )
    file = read_rule_file(text + "- name: h\n  rules:\n  - {record: b, expr: up}\n", "f.yml")
    assert [(rule.name, rule.line) for rule in duplicates(file)] == [("a", 6), ("b", 10)]


JUDGED_ALIKE = [
    *[text for text, _ in UNUSUAL.values() if "query_offset" not in text],
    *[in_a_group(f"{{alert: a, expr: up, labels: {labels}}}") for labels, _ in LABELS.values() if "ä" not in labels],
    *[text for text, _ in REFUSED.values() if "query_offset" not in text],
    in_a_group("{record: a, expr: up, for: 0m, annotations: {}}"),
    in_a_group("{alert: a, expr: up, for: ''}"),
    in_a_group("{alert: a, expr: up, for: 0}"),
    in_a_group("{alert: a, expr: up, for: 1m1h}"),
    in_a_group("{alert: a, expr: 1}"),
    in_a_group("{alert: a, expr: 'up[5m]'}"),
    in_a_group("{alert: 5, expr: up}"),
    in_a_group("~"),
]  # fmt: skip


@pytest.mark.external
@with_promtool
def test_promtool_accepts_and_refuses_the_same_files(tmp_path: Path) -> None:
    """But for what came after Debian's version: labels of groups, names beyond ASCII."""
    files = [text for text in JUDGED_ALIKE if "\n  labels" not in text]
    command = ["promtool", "check", "rules", "--lint=none"]
    for index, text in enumerate(files):
        path = tmp_path / f"{index}.yml"
        path.write_text(text)
        checked = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        try:
            read_rule_file(text, "f.yml")
        except InvalidFile as refused:
            assert checked.returncode, (text, refused)
        else:
            assert not checked.returncode, (text, checked.stderr)


words = st.sampled_from(
    [
        "groups",
        "name",
        "rules",
        "alert",
        "record",
        "expr",
        "for",
        "labels",
        "limit",
        "up",
        "5m",
        "1",
        "<<",
        "",
        "up +",
        "a: b",
    ]
)
nodes = st.recursive(
    words | st.text(max_size=5) | st.none() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(st.fixed_dictionaries({"groups": st.lists(st.dictionaries(words, nodes, max_size=4), max_size=3)}) | nodes)
def test_whatever_a_file_says_it_is_read_or_refused(document: object) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML, from the extra 'rules'")
    try:
        read_rule_file(yaml.safe_dump(document, allow_unicode=True), "f.yml")
    except InvalidFile as refused:
        assert all(problem.startswith("f.yml") for problem in refused.problems)


@given(st.text(st.sampled_from("abc \n{}[]:,-'\"|>&*!#?\\<~"), max_size=40))
def test_whatever_a_text_is_it_is_read_or_refused(text: str) -> None:
    try:
        read_rule_file(text, "f.yml")
    except InvalidFile as refused:
        assert refused.problems


letters = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.sampled_from("\n\t'\"\\ ")


@given(st.text(letters, min_size=1, max_size=30), st.sampled_from(["'", '"', "|", ">"]), st.data())
def test_the_place_of_each_visible_character_is_where_it_stands(text: str, style: str, data: st.DataObject) -> None:
    """For texts as PyYAML writes them, in each style, folded at 20 columns."""
    yaml = pytest.importorskip("yaml", reason="PyYAML, from the extra 'rules'")
    written = yaml.safe_dump({"a": {"b": text}}, default_style=style, allow_unicode=True, width=20)
    node = parse_yaml(written, "f", as_texts=True)
    for key in "ab":
        assert isinstance(node.content, dict)
        node = node.content[key]
    assert node.content == text
    visible = [offset for offset, character in enumerate(text) if not character.isspace()]
    if visible:
        offset = data.draw(st.sampled_from(visible))
        line, column = node.place(offset)
        assert written.split("\n")[line - 1][column - 1] in (text[offset], "\\")
