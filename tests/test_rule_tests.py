"""Unit tests of rules come out as `promtool test rules` has them, though alerts are decided by the toolkit's own machine."""

import difflib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import pytest

from kailash_monitor.errors import InvalidFile
from kailash_monitor.promql import number_text
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.rules.rule_file import AlertingRule, Rule, RuleFile, RuleGroup, read_rule_file
from kailash_monitor.rules.rule_text import rule_file_text
from kailash_monitor.testing.rule_test_file import read_rule_test_file
from kailash_monitor.testing.rule_tests import RuleTestReport, run_rule_tests

import test_promql_oracle as series  # isort: skip

missing = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool, from the Debian package prometheus, is not installed"
)


def run(folder: Path, rules: str, tests: str) -> RuleTestReport:
    """Run tests of rules, both as they stand in files."""
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    path = folder / "tests.yml"
    path.write_text(f"rule_files: [rules.yml]\n{tests}", encoding="utf-8")
    return run_rule_tests(path)


# Reading

WRONG: Final = """\
rule_file: [a.yml]
evaluation_interval: 1x
fuzzy_compare: maybe
group_eval_order: [a, b, a]
tests:
  - name: n
    intervall: 1m
    start_timestamp: yesterday
    input_series:
      - series: up{job="a"
        values: '1 2'
      - series: up
        values: '1 2 {{schema:1}} 3'
      - values: 1
    alert_rule_test:
      - eval_time: 1m
      - alertname: X
        eval_time: -1m
        exp_alerts:
          - exp_labels: [a]
            exp_annotation: {}
    promql_expr_test:
      - expr: |
          sum(up
        exp_samples:
          - {labels: 'up{a=~"b"}', value: x}
          - {labels: '{}', histogram: '{{}}'}
      - eval_time: 1m
      - text
      - expr: up[5m]
"""


def test_all_that_is_wrong_is_told_with_its_place() -> None:
    with pytest.raises(InvalidFile) as caught:
        read_rule_test_file(WRONG, "t.yml")
    assert [re.sub(r" parse error.*|;.*", "", problem) for problem in caught.value.problems] == [
        "t.yml:1: rule_file: unknown field",
        't.yml:2: evaluation_interval: unknown unit "x" in duration "1x"',
        "t.yml:3: fuzzy_compare: 'maybe'",
        "t.yml:4: group_eval_order: the group 'a' more than once",
        "t.yml:7: tests[0].intervall: unknown field",
        "t.yml:8: tests[0].start_timestamp: 'yesterday' is no time",
        "t.yml:10:27: tests[0].input_series[0].series:",
        "t.yml:13:22: tests[0].input_series[1].values:",
        "t.yml:14: tests[0].input_series[2]: values of no series",
        "t.yml:16: tests[0].alert_rule_test[0]: a test of no alert",
        't.yml:18: tests[0].alert_rule_test[1].eval_time: not a valid duration string: "-1m"',
        "t.yml:20: tests[0].alert_rule_test[1].exp_alerts[0].exp_labels: a list",
        "t.yml:21: tests[0].alert_rule_test[1].exp_alerts[0].exp_annotation: unknown field",
        "t.yml:24:17: tests[0].promql_expr_test[0].expr:",
        "t.yml:26:23: tests[0].promql_expr_test[0].exp_samples[0].labels:",
        "t.yml:26: tests[0].promql_expr_test[0].exp_samples[0].value: 'x' is no number",
        "t.yml:27: tests[0].promql_expr_test[0].exp_samples[1].histogram: native histograms are not supported",
        "t.yml:28: tests[0].promql_expr_test[1]: a test of no expression",
        "t.yml:29: tests[0].promql_expr_test[2]: the text 'text'",
        "t.yml:30:15: tests[0].promql_expr_test[3].expr:",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tests:\n- a\n   b: c\n", "t.yml:3:5: mapping values are not allowed here; one YAML document"),
        ("- a\n", "t.yml:1: the file: a list; write a mapping, such as {name: text}"),
        ("tests: {}\n", "t.yml:1: tests: a mapping; write a list, each item after a dash"),
        ("tests:\n- name: [a]\n", "t.yml:2: tests[0].name: a list; write a text"),
    ],
)
def test_what_is_no_such_file_is_told(text: str, problem: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        read_rule_test_file(text, "t.yml")
    assert caught.value.problems == [problem]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1_000", 1000.0), ("0x1F", 31.0), ("010", 8.0), ("-0b11", -3.0), (".5e1", 5.0), ("+.Inf", float("inf")), ("'7'", 7.0)],
)
def test_numbers_are_what_yaml_takes_them_for(text: str, value: float) -> None:
    tests = f"tests: [{{promql_expr_test: [{{expr: '1', exp_samples: [{{labels: '{{}}', value: {text}}}]}}]}}]"
    file = read_rule_test_file(tests, "t.yml")
    assert [one for _, one in file.tests[0].expressions[0].expected] == [value]


def test_what_is_not_written_is_as_in_promtool() -> None:
    file = read_rule_test_file("evaluation_interval: 30s\ntests: [{}, {interval: 10s}, {start_timestamp: 90}]", "t.yml")
    assert [(test.interval, test.start, test.end) for test in file.tests] == [
        (30_000, 0, 0),
        (10_000, 0, 0),
        (30_000, 90_000, 0),
    ]
    assert read_rule_test_file("", "t.yml").evaluation_interval == 60_000


def test_a_start_may_be_a_date() -> None:
    file = read_rule_test_file("tests: [{start_timestamp: 2026-01-31T12:00:00Z}]", "t.yml")
    assert file.tests[0].start == 1_769_860_800_000


# Running: each of these passes here, and where there is a promtool also there

FIRING: Final = """
groups:
  - name: g
    rules:
      - alert: Down
        expr: up == 0
        for: 2m
        keep_firing_for: 3m
        labels: {severity: page, who: "{{ $labels.job }}", none: '{{ "" }}'}
        annotations: {text: "{{ $labels }} {{ $value }} {{ $externalLabels.cluster }} {{ .ExternalURL }}", empty: ""}
"""

PASSING: Final[Mapping[str, tuple[str, str]]] = {
    "an alert fires after for, stays for keep_firing_for and is what its templates say": (
        FIRING,
        """
tests:
  - interval: 1m
    external_labels: {cluster: c1}
    external_url: http://x/y
    input_series:
      - {series: 'up{job="a", alertname="theirs"}', values: '1 0x4 1x10'}
    alert_rule_test:
      - {eval_time: 179s, alertname: Down, exp_alerts: []}
      - eval_time: 3m
        alertname: Down
        exp_alerts: &firing
          - exp_labels: {severity: page, who: a, job: a}
            exp_annotations: {text: "map[__name__:up alertname:theirs job:a] 0 c1 http://x/y", empty: ""}
      - {eval_time: 8m, alertname: Down, exp_alerts: *firing}
      - {eval_time: 9m, alertname: Down, exp_alerts: []}
    promql_expr_test:
      - eval_time: 2m
        expr: ALERTS
        exp_samples:
          - labels: >-
              ALERTS{alertname="Down", alertstate="pending", job="a", none="{{ \\"\\" }}", severity="page", who="a"}
            value: 1
      - eval_time: 8m
        expr: ALERTS_FOR_STATE
        exp_samples:
          - labels: 'ALERTS_FOR_STATE{alertname="Down", job="a", none="{{ \\"\\" }}", severity="page", who="a"}'
            value: 60
      - {eval_time: 9m, expr: 'ALERTS or ALERTS_FOR_STATE'}
""",
    ),
    "an alert is another one when its labels are, though the series is the same": (
        """
groups:
  - name: g
    rules:
      - alert: A
        expr: up > 0
        for: 1m
        labels: {severity: '{{ if gt $value 3.0 }}high{{ else }}low{{ end }}'}
""",
        """
tests:
  - interval: 1m
    input_series: [{series: up, values: '1 1 1 4 4 4'}]
    alert_rule_test:
      - {eval_time: 2m, alertname: A, exp_alerts: [{exp_labels: {severity: low}}]}
      - {eval_time: 3m, alertname: A}
      - {eval_time: 4m, alertname: A, exp_alerts: [{exp_labels: {severity: high}}]}
""",
    ),
    "groups are evaluated in their order, rules see what those before them wrote, and what is given no more ends": (
        """
groups:
  - name: late
    rules:
      - {record: twice, expr: total * 2}
  - name: early
    interval: 1h
    rules:
      - {record: total, expr: sum(up), labels: {job: j}}
      - {alert: A, expr: total > 1}
      - {record: firing, expr: 'sum(ALERTS{alertstate="firing"})'}
""",
        """
group_eval_order: [early, late]
tests:
  - interval: 1m
    input_series: [{series: 'up{instance="1"}', values: '1 2 3 stale _x9 5'}]
    promql_expr_test:
      - {eval_time: 1m, expr: twice, exp_samples: [{labels: 'twice{job="j"}', value: 4}]}
      - {eval_time: 1m, expr: firing, exp_samples: [{labels: firing, value: 1}]}
      - {eval_time: 3m, expr: 'total or twice or firing'}
      - {eval_time: 3m, expr: 'count_over_time(twice[5m])', exp_samples: [{labels: '{job="j"}', value: 3}]}
      - {eval_time: 13m, expr: twice, exp_samples: [{labels: 'twice{job="j"}', value: 10}]}
""",
    ),
    "what is later than the last evaluation is not known, nor is what is later than an evaluation to it": (
        "groups: [{name: g, rules: [{record: ahead, expr: up offset -1m}]}]",
        """
tests:
  - interval: 30s
    input_series: [{series: up, values: '1 2 3 4 5 6'}]
    promql_expr_test:
      - {eval_time: 100s, expr: up, exp_samples: [{labels: up, value: 3}]}
      - {eval_time: 100s, expr: ahead, exp_samples: [{labels: ahead, value: 3}]}
""",
    ),
    "templates can ask, at the time of the evaluation": (
        """
groups:
  - name: g
    rules:
      - alert: A
        expr: up
        annotations:
          all: '{{ range query "sort(up)" }}{{ . }} {{ end }}'
          some: '{{ with query "nothing" }}{{ . | first | value }}{{ else }}none{{ end }}'
          wrong: '{{ query "up +" }}'
""",
        """
tests:
  - interval: 1m
    input_series: [{series: 'up{job="a"}', values: '1 2'}]
    alert_rule_test:
      - eval_time: 1m
        alertname: A
        exp_alerts:
          - exp_labels: {job: a}
            exp_annotations:
              all: '{map[__name__:up job:a] 2} '
              some: none
              wrong: >-
                <error expanding template: error executing template __alert_A: template: __alert_A:1:115: executing "__alert_A"
                at <query "up +">: error calling query: 1:5: parse error: unexpected end of input>
""",
    ),
    "a subquery without a step has that of the evaluation": (
        "groups: []",
        """
evaluation_interval: 20s
tests:
  - interval: 5s
    input_series: [{series: up, values: '0x50'}]
    promql_expr_test:
      - {eval_time: 3m, expr: 'count_over_time(up[70s:])', exp_samples: [{labels: '{}', value: 4}]}
""",
    ),
    "of rules of one name all alerts count": (
        """
groups:
  - name: g
    rules:
      - {alert: A, expr: up > 0}
      - {alert: A, expr: up > 3, for: 1m, labels: {x: y}}
""",
        """
tests:
  - interval: 1m
    input_series: [{series: up, values: '1 4 4'}]
    alert_rule_test:
      - {eval_time: 0, alertname: A, exp_alerts: [{}]}
      - {eval_time: 2m, alertname: A, exp_alerts: [{}, {exp_labels: {x: y}}]}
      - {eval_time: 2m, alertname: B}
""",
    ),
    "scalars are series without labels": (
        "groups: [{name: g, rules: [{record: four, expr: '4'}, {alert: A, expr: '1'}]}]",
        """
tests:
  - alert_rule_test: [{eval_time: 0, alertname: A, exp_alerts: [{}]}]
    interval: 1m
    input_series: []
    promql_expr_test:
      - {eval_time: 0, expr: four, exp_samples: [{labels: four, value: 4}]}
      - {eval_time: 1m, expr: time(), exp_samples: [{labels: '{}', value: 60}]}
""",
    ),
}


@pytest.mark.parametrize("fact", PASSING)
def test_rules_do(tmp_path: Path, fact: str) -> None:
    assert run(tmp_path, *PASSING[fact]) == RuleTestReport()


def test_groups_add_labels_that_rules_do_not_have_and_look_back(tmp_path: Path) -> None:
    rules = "groups: [{name: g, labels: {a: b}, query_offset: 1m, rules: [{record: r, expr: up}, {alert: A, expr: up > 1}]}]"
    tests = """
tests:
  - interval: 1m
    input_series: [{series: up, values: '1 2 3'}]
    alert_rule_test:
      - {eval_time: 1m, alertname: A}
      - {eval_time: 2m, alertname: A, exp_alerts: [{exp_labels: {a: b}}]}
    promql_expr_test:
      - {eval_time: 2m, expr: 'timestamp(r)', exp_samples: [{labels: '{a="b"}', value: 60}]}
      - {eval_time: 1m, expr: r, exp_samples: [{labels: 'r{a="b"}', value: 2}]}
"""
    assert run(tmp_path, rules, tests) == RuleTestReport()


def test_time_may_begin_later(tmp_path: Path) -> None:
    tests = """
tests:
  - start_timestamp: 1000
    input_series: [{series: up, values: '1 2'}]
    promql_expr_test: [{eval_time: 1m, expr: up + time(), exp_samples: [{labels: '{}', value: 1062}]}]
"""
    assert run(tmp_path, "groups: []", tests) == RuleTestReport()


@pytest.mark.parametrize(("fuzzy", "passes"), [("true", True), ("false", False)])
def test_a_value_may_differ_by_its_last_bit_where_that_is_asked_for(tmp_path: Path, fuzzy: str, passes: bool) -> None:
    tests = f"fuzzy_compare: {fuzzy}\ntests: [{{promql_expr_test: [{{expr: 0.1 + 0.2, exp_samples: [{{value: 0.3}}]}}]}}]"
    assert run(tmp_path, "groups: []", tests).passed is passes


# Failing: the texts are those of promtool, which the test after these compares

FAILING: Final[Mapping[str, tuple[str, str, str]]] = {
    "alerts": (
        FIRING,
        """
tests:
  - name: first
    interval: 1m
    input_series: [{series: 'up{job="a"}', values: 0x4}, {series: 'up{job="b"}', values: 0x4}]
    alert_rule_test:
      - {eval_time: 150s, alertname: Down, exp_alerts: [{exp_labels: {job: c}}]}
""",
        """\
    name: first,
    alertname: Down, time: 2m30s,·
        exp:[
            0:
              Labels:{alertname="Down", job="c"}
              Annotations:{}
            ],·
        got:[
            0:
              Labels:{alertname="Down", job="a", severity="page", who="a"}
              Annotations:{empty="", text="map[__name__:up job:a] 0  "},
            1:
              Labels:{alertname="Down", job="b", severity="page", who="b"}
              Annotations:{empty="", text="map[__name__:up job:b] 0  "}
            ]""".replace("·", " "),
    ),
    "samples": (
        "groups: []",
        """
tests:
  - interval: 1m
    input_series: [{series: 'up{job="é\\n"}', values: '2500000'}, {series: 'up{a="b"}', values: '.000000025'}]
    promql_expr_test: [{eval_time: 0, expr: up}, {eval_time: 1h, expr: up, exp_samples: [{labels: '{}', value: -.inf}]}]
""",
        """\
    expr: "up", time: 0s,
        exp: nil
        got: {__name__="up", a="b"} 2.5E-08, {__name__="up", job="é\\n"} 2.5E+06
    expr: "up", time: 1h,
        exp: {} -Inf
        got: nil""",
    ),
    "a NaN, which is not even itself": (
        "groups: []",
        "tests: [{interval: 1m, promql_expr_test: [{expr: 0/0, exp_samples: [{labels: '{}', value: .nan}]}]}]",
        '    expr: "0/0", time: 0s,\n        exp: {} NaN\n        got: {} NaN',
    ),
    "alerts of the same labels": (
        "groups: [{name: g, rules: [{alert: A, expr: up, labels: {job: all}}]}]",
        """
tests:
  - interval: 1m
    input_series: [{series: 'up{job="a"}', values: '_ _ 1'}, {series: 'up{job="b"}', values: '1 1 1'}]
    alert_rule_test: [{eval_time: 5m, alertname: A}]
""",
        "    rule: A, time: 2m0s, err: vector contains metrics with the same labelset after applying alert labels",
    ),
    "recorded series of the same labels": (
        "groups: [{name: g, rules: [{record: r, expr: up, labels: {job: all}}]}]",
        """
tests:
  - interval: 1m
    input_series: [{series: 'up{job="a"}', values: 1}, {series: 'up{job="b"}', values: 1}]
""",
        "    rule: r, time: 0s, err: vector contains metrics with the same labelset after applying rule labels",
    ),
    "limits": (
        "groups: [{name: g, limit: 1, rules: [{record: r, expr: up}, {alert: A, expr: up}]}]",
        "tests: [{interval: 1m, input_series: [{series: 'up{a=\"b\"}', values: 1}, {series: up, values: 1}]}]",
        """\
    rule: r, time: 0s, err: exceeded limit of 1 with 2 series
    rule: A, time: 0s, err: exceeded limit of 1 with 2 alerts""",
    ),
    "two rules that record one series": (
        "groups: [{name: g, rules: [{record: r, expr: up}, {record: r, expr: up + 1}]}]",
        "tests: [{interval: 1m, input_series: [{series: up, values: 1}]}]",
        "    rule: r, time: 0s, err: duplicate sample for timestamp",
    ),
    "an expression without a value": (
        "groups: []",
        """
tests:
  - interval: 1m
    input_series: [{series: 'up{job="a"}', values: 1}, {series: 'up{job="a", x="y"}', values: 1}]
    promql_expr_test: [{eval_time: 0, expr: 'up + on(job) up{x="y"}'}]
""",
        (
            '    expr: "up + on(job) up{x=\\"y\\"}", time: 0s, err: multiple matches for labels: many-to-one matching must be '
            "explicit (group_left/group_right)"
        ),
    ),
}


@pytest.mark.parametrize("what", FAILING)
def test_failures_are_told(tmp_path: Path, what: str) -> None:
    rules, tests, expected = FAILING[what]
    assert "\n".join(run(tmp_path, rules, tests).failures) == expected


def test_a_rule_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    report = run(tmp_path, "groups: [{name: g, rules: [{alert: A, expr: up +}]}]", "tests: [{}]")
    assert report.failures == (f"{tmp_path}/rules.yml:1:49: groups[0].rules[0].expr: parse error: unexpected end of input",)


def test_a_file_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    assert run_rule_tests(tmp_path / "t.yml").failures == (f"{tmp_path}/t.yml: cannot be read: No such file or directory",)


def test_a_pattern_may_name_no_file_and_each_file_counts_once(tmp_path: Path) -> None:
    tmp_path = tmp_path / "[a]"
    tmp_path.mkdir()
    (tmp_path / "a.yml").write_text("groups: [{name: g, rules: [{record: r, expr: vector(1)}]}]")
    (tmp_path / "b.txt").write_text(
        "rule_files: ['[ab].yml', a.yml, '*.nix']\n"
        "tests: [{promql_expr_test: [{expr: r, exp_samples: [{labels: r, value: 1}]}]}]"
    )
    assert run_rule_tests(tmp_path / "b.txt") == RuleTestReport((), (f"no file match pattern {tmp_path}/*.nix",))


# As promtool has it


def theirs(folder: Path, paths: Sequence[Path]) -> dict[Path, list[str]]:
    """Give, for each file of tests, the lines that promtool has about what fails."""
    command = ["promtool", "test", "rules", *(str(path.relative_to(folder)) for path in paths)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("Unit Testing:")]
    found: list[list[str]] = []
    for line in lines:
        if line in ("  SUCCESS", "  FAILED:"):
            found.append([])
        else:
            assert found, done.stdout
            found[-1].append(line)
    return dict(zip(paths, found, strict=True))


def ours(path: Path) -> list[str]:
    return [line for failure in run_rule_tests(path).failures for line in failure.splitlines()]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """Give the folder and the files of the tests above."""
    folder = tmp_path_factory.mktemp("small")
    paths = {}
    for index, (what, texts) in enumerate({**PASSING, **FAILING}.items()):
        (folder / f"rules{index}.yml").write_text(texts[0], encoding="utf-8")
        paths[what] = folder / f"tests{index}.yml"
        paths[what].write_text(f"rule_files: [rules{index}.yml]\n{texts[1]}", encoding="utf-8")
    return folder, paths


@pytest.fixture(scope="module")
def small_answers(small: tuple[Path, dict[str, Path]]) -> dict[Path, list[str]]:
    folder, paths = small
    return theirs(folder, list(paths.values()))


@missing
@pytest.mark.external
@pytest.mark.real_time
@pytest.mark.parametrize("what", [*PASSING, *FAILING])
def test_promtool_says_the_same(
    small: tuple[Path, dict[str, Path]], small_answers: dict[Path, list[str]], what: str
) -> None:
    path = small[1][what]
    assert ours(path) == small_answers[path]


# The shared rule files, over series that make their alerts come and go

DIFFERENCES: Final[Mapping[str, str]] = {
    "last digits": "2.42 adds numbers one after the other; 3.x, and this toolkit, make up for what is lost: numbers are compared "
    "to 11 digits, also within annotations",
    "edges of windows": "those of 2.42 are closed on the left, those of 3.x open: times are such that no sample, no evaluation "
    "and no step of a subquery is at the edge of a window",
    "externalURL, pathPrefix": "promtool 2.42 cannot call them in a test: no rule here does",
    "query_offset, labels of groups, fuzzy_compare, start_timestamp": "are not known to 2.42: no file here has them",
    "series in errors": "the two that an error of matching quotes are those that storage gives first, in no order that is told",
}
"""What promtool 2.42, which Debian has, does otherwise than 3.x, each with why that does not show here."""

SAMPLED: Final = "47s7ms"
"""Between two samples. No multiple of it is a whole second before the 1000th, and so none is an edge of a window."""

EVALUATED: Final = 121
"""Seconds between two evaluations, 11 times 11: no range or step of a rule is a multiple."""

SAMPLES: Final = 88
MOMENTS: Final = tuple(EVALUATED * number for number in (3, 5, 8, 11, 15, 20, 26, 33))
"""When is compared."""

HOSTS: Final = 2
"""Series of each kind: promtool takes 10,000 samples in a query, no more."""

FILES: Final = series.RULE_FILES

FAILS: Final = "PostgresqlConfigurationChanged"
"""Compares a metric's settings by name with those of five minutes before, and matches each with several."""


def unit_test(path: Path, rules: Path, expressions: Sequence[str]) -> str:
    """Give tests that expect nothing at all of rules, over series made for those of `path`: all that there is, fails."""
    lines = [f"rule_files: [{yaml_text(str(rules))}]", f"evaluation_interval: {EVALUATED}s", "tests:"]
    lines += [f"- interval: {SAMPLED}", f"  name: {path.stem}", "  external_labels: {cluster: c}", "  input_series:"]
    for labels, values in series_for(path):
        lines += [f"  - series: {yaml_text(labels.text())}", f"    values: {notation(values, Random(labels.text()))}"]
    lines.append("  alert_rule_test:")
    for name in sorted({rule.name for rule in rules_of(path)}):
        lines += [f"  - {{alertname: {yaml_text(name)}, eval_time: {moment}s}}" for moment in MOMENTS]
    lines.append("  promql_expr_test:")
    lines += [f"  - {{expr: {expr}, eval_time: {moment}s}}" for expr in expressions for moment in MOMENTS]
    return "\n".join(lines) + "\n"


def rules_of(path: Path) -> list[Rule]:
    return [rule for group in read_rule_file(path.read_text(), str(path)).groups for rule in group.rules]


def yaml_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def series_for(path: Path) -> Iterator[tuple[LabelSet, list[float]]]:
    """Make series that meet what the rules of a file demand, or just not."""
    hosts = [dict(series._shared_labels(path, host)) for host in range(HOSTS)]
    for name, asked in series._asked(path).items():
        for labels in series._label_sets(name, asked, hosts):
            luck = Random(f"{path.stem} {name} {sorted(labels.items())}")
            threshold = luck.choice(sorted(asked.thresholds) or [1.0])
            if name.endswith("_bucket") and "le" not in labels:
                yield from buckets(labels, abs(threshold) or 1.0, luck)
            elif asked.is_time:
                yield LabelSet(labels), phases([threshold * factor for factor in (-2, 0, 1, 4)], luck)
            elif asked.counts or name.endswith(series.COUNTER_SUFFIXES):
                yield LabelSet(labels), counted(threshold, luck)
            else:
                levels = [threshold, threshold * 2 + 1, threshold * 2 + 1, threshold / 2, 0.0, threshold - 1, threshold + 1]
                yield LabelSet(labels), phases(levels, luck)


def phases(levels: Sequence[float], luck: Random) -> list[float]:
    """Give values that stay at one of the levels for some minutes: alerts pend, fire and are over."""
    values: list[float] = []
    while len(values) < SAMPLES:
        values += [series._rounded(luck.choice(levels))] * luck.randint(6, 30)
    return values[:SAMPLES]


def counted(threshold: float, luck: Random) -> list[float]:
    """Give a counter that is idle, or about as fast as what it is compared with. It begins as `_counted` there does."""
    total, values = luck.choice([0.0, 1e6]), []
    for speed in phases([0.0, threshold * 2 + 0.01, threshold / 100 + 0.01, 1.0], luck):
        values.append(total)
        total = 0.0 if luck.random() < 0.01 else total + series._rounded(speed * 47 * luck.uniform(0.5, 1.5))
    return values


def buckets(labels: Mapping[str, str], middle: float, luck: Random) -> Iterator[tuple[LabelSet, list[float]]]:
    bounds = [*(number_text(middle * factor) for factor in (0.25, 0.5, 1, 2, 4)), "+Inf"]
    total, rows = [0.0] * len(bounds), list[list[float]]()
    for peak in phases(range(len(bounds)), luck):
        rows.append(total)
        for _ in range(luck.choice([0, 1, 5])):
            fallen = min(max(0, round(luck.gauss(peak, 1))), len(bounds) - 1)
            total = [one + (index >= fallen) for index, one in enumerate(total)]
    for index, bound in enumerate(bounds):
        yield LabelSet({**labels, "le": bound}), [row[index] for row in rows]


def notation(values: Sequence[float], luck: Random) -> str:
    """Write values as tests do; one series in ten has a gap, which half of them announce, and one ends early."""
    gap = luck.choice([range(0)] * 8 + [range(20, 20 + luck.randint(2, 25)), range(luck.randint(50, 80), SAMPLES)])
    words = ["_" if index in gap else number_text(value) for index, value in enumerate(values)]
    if gap and luck.random() < 0.5:
        words[gap.start] = "stale"
    return " ".join(["_", *words])  # nothing at the very start, which is an edge


def lasting(path: Path) -> str:
    """Give the rules of a file, most with a keep_firing_for, none with a long for, some with a label that tells the value."""
    groups = read_rule_file(path.read_text(), str(path)).groups
    return rule_file_text(RuleFile(tuple(replace(group, rules=tuple(_lasting(group))) for group in groups)))


def _lasting(group: RuleGroup) -> Iterator[Rule]:
    for index, rule in enumerate(rule for rule in group.rules if rule.name != FAILS):
        assert isinstance(rule, AlertingRule)
        level = {"level": "{{ if gt $value 2.0 }}high{{ else }}low{{ end }}"} if index % 4 == 0 else {}
        keep = [600.0, 0.0, 121.0, 300.0][index % 4]
        yield replace(rule, for_=min(rule.for_, 300.0), keep_firing_for=keep, labels={**rule.labels, **level})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """Give a folder, and in it the files of tests of the shared rule files, as these are and lasting longer."""
    folder = tmp_path_factory.mktemp("shared")
    paths = {}
    for path in FILES:
        paths[path.stem] = folder / f"{path.stem}.test.yml"
        paths[path.stem].write_text(unit_test(path, path, ["ALERTS", "ALERTS_FOR_STATE"]))
        other = folder / f"{path.stem}.lasting.yml"
        other.write_text(lasting(path))
        paths[f"{path.stem} lasting"] = folder / f"{path.stem}.lasting.test.yml"
        paths[f"{path.stem} lasting"].write_text(unit_test(path, other, ["ALERTS_FOR_STATE"]))
    return folder, paths


@pytest.fixture(scope="module")
def shared_answers(shared: tuple[Path, dict[str, Path]]) -> dict[Path, list[str]]:
    folder, paths = shared
    return theirs(folder, list(paths.values()))


def to_eleven_digits(lines: Sequence[str]) -> list[str]:
    return [re.sub(r"\d+\.\d+(?:e[+-]\d+)?|\d+E[+-]\d+", lambda found: f"{float(found[0]):.11g}", line) for line in lines]


@missing
@pytest.mark.external
@pytest.mark.real_time
@pytest.mark.untraced
@series.needs_rules
@pytest.mark.parametrize("what", [f"{path.stem}{how}" for path in FILES for how in ("", " lasting")])
def test_alerts_of_the_shared_rules_are_those_of_promtool_word_for_word(
    shared: tuple[Path, dict[str, Path]], shared_answers: dict[Path, list[str]], what: str
) -> None:
    path = shared[1][what]
    here, there = to_eleven_digits(ours(path)), to_eleven_digits(shared_answers[path])
    assert here == there, "\n".join(difflib.unified_diff(there, here, "promtool", "ours", lineterm="", n=1))


@missing
@pytest.mark.external
@pytest.mark.real_time
@series.needs_rules
def test_most_alerts_come_and_go(shared_answers: dict[Path, list[str]]) -> None:
    """Did nothing fire, agreement would mean nothing."""
    said = "\n".join(line for lines in shared_answers.values() for line in lines)
    fired = set(re.findall(r'Labels:{alertname="([^"]+)"', said))
    pended = set(re.findall(r'alertname="([^"]+)", alertstate="pending"', said))
    known = {rule.name for path in FILES for rule in rules_of(path)}
    assert len(fired) > 0.7 * len(known)
    assert len(pended) > 0.2 * len(known)
