"""The commands `rules check`, `rules test` and `rules export`: what they say where, and how they end."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kailash_monitor.cli.commands import commands
from kailash_monitor.rules.rule_file import AlertingRule, read_rule_file

GOOD = """
groups:
  - name: g
    rules:
      - {record: job:up:sum, expr: sum by (job) (up)}
      - {alert: Down, expr: up == 0, for: 1m, labels: {severity: page}, annotations: {summary: "{{ $labels.job }} is down"}}
"""

TWICE = """
groups:
  - name: g
    rules:
      - {record: r, expr: up, labels: {a: b}}
      - {record: r, expr: down, labels: {a: b}}
"""

TESTS = """
rule_files: [good.yml, "*.none"]
tests:
  - name: it goes down
    interval: 1m
    input_series: [{series: 'up{job="a"}', values: 1 0 0}]
    alert_rule_test:
      - eval_time: 2m
        alertname: Down
        exp_alerts: [{exp_labels: {job: a, severity: page}, exp_annotations: {summary: a is WORD}}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder, in which the commands are run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rules(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["rules", *arguments])


def test_good_rule_files_are_counted(folder: Path) -> None:
    Path("good.yml").write_text(GOOD)
    Path("empty.yml").write_text("")
    done = rules("check", "good.yml", "empty.yml")
    assert done.output == ("Checking good.yml\n  SUCCESS: 2 rules found\n\nChecking empty.yml\n  SUCCESS: 0 rules found\n\n")
    assert done.exit_code == 0


def test_what_is_wrong_is_told_with_its_line_and_the_other_files_are_checked(folder: Path) -> None:
    Path("bad.yml").write_text("groups:\n- name: g\n  rule: []\n  rules:\n  - {alert: A, expr: sum(}\n")
    Path("good.yml").write_text(GOOD)
    done = rules("check", "bad.yml", "nowhere.yml", "good.yml")
    assert done.exit_code == 1
    assert done.stdout == ("Checking bad.yml\n\nChecking nowhere.yml\n\nChecking good.yml\n  SUCCESS: 2 rules found\n\n")
    assert done.stderr.splitlines() == [
        "  FAILED:",
        "bad.yml:3: groups[0].rule: unknown field; did you mean 'rules'?",
        "bad.yml:5:26: groups[0].rules[0].expr: parse error: unclosed left parenthesis",
        "  FAILED:",
        "nowhere.yml: cannot be read: No such file or directory",
    ]


@pytest.mark.parametrize(
    ("options", "code"),
    [((), 0), (("--lint-fatal",), 3), (("--lint=none", "--lint-fatal"), 0), (("--lint-fatal", "--lint=duplicate-rules"), 3)],
)
def test_rules_that_stand_twice_are_lint(folder: Path, options: tuple[str, ...], code: int) -> None:
    Path("twice.yml").write_text(TWICE)
    done = rules("check", *options, "twice.yml")
    assert done.exit_code == code
    assert ("1 duplicate rule(s) found" in done.stderr) is ("--lint=none" not in options)


def test_lint_says_which_rule_stands_twice_and_where(folder: Path) -> None:
    Path("twice.yml").write_text(TWICE)
    assert rules("check", "twice.yml").stderr == (
        "  FAILED:\nlint error 1 duplicate rule(s) found.\nMetric: r (line 6)\nLabel(s):\n\ta: b\n"
        "Might cause inconsistency while recording expressions\n"
    )


def test_an_error_counts_more_than_lint(folder: Path) -> None:
    Path("twice.yml").write_text(TWICE)
    assert rules("check", "--lint-fatal", "twice.yml", "nowhere.yml").exit_code == 1


def test_tests_that_pass_are_told(folder: Path) -> None:
    Path("good.yml").write_text(GOOD)
    Path("t.yml").write_text(TESTS.replace("WORD", "down"))
    done = rules("test", "t.yml")
    assert (done.stdout, done.exit_code) == ("Unit Testing:  t.yml\n  SUCCESS\n\n", 0)
    assert done.stderr == "  WARNING: no file match pattern *.none\n"


def test_tests_that_fail_are_told_and_the_others_run(folder: Path) -> None:
    Path("good.yml").write_text(GOOD)
    Path("t.yml").write_text(TESTS.replace("WORD", "up"))
    Path("u.yml").write_text(TESTS.replace("WORD", "down"))
    done = rules("test", "t.yml", "u.yml")
    assert (done.stdout, done.exit_code) == ("Unit Testing:  t.yml\n\nUnit Testing:  u.yml\n  SUCCESS\n\n", 1)
    assert "  FAILED:\n    name: it goes down,\n    alertname: Down, time: 2m, \n        exp:[\n" in done.stderr
    assert 'Annotations:{summary="a is up"}\n            ], \n        got:[\n' in done.stderr


def test_a_file_to_check_or_test_is_needed(folder: Path) -> None:
    assert rules("check").exit_code == rules("test").exit_code == 2


def alerts_in(text: str) -> dict[str, AlertingRule]:
    groups = read_rule_file(text, "exported", experimental=False).groups
    return {rule.name: rule for group in groups for rule in group.rules if isinstance(rule, AlertingRule)}


def test_the_default_rules_are_exported() -> None:
    done = rules("export")
    assert done.exit_code == 0
    exported = alerts_in(done.stdout)
    assert {"host_cpu_high", "host_memory_high", "loop_lag_high"} <= exported.keys()
    assert exported["host_memory_high"].expr == "max by (job, instance) (kailash_host_memory_usage_ratio) > 0.92"


CONFIG = """
namespace: ""
default_rules: false
rules:
  - {name: hot, metric: cpu_usage_ratio, collector: host, condition: "> 0.5", hold: 1m}
rule_files: [good.yml]
"""


def test_rules_of_a_configuration_file_are_exported_and_those_of_its_rule_files_are_as_they_are(folder: Path) -> None:
    Path("good.yml").write_text(GOOD)
    Path("monitor.yaml").write_text(CONFIG)
    done = rules("export", "--together", "monitor.yaml", "-o", "exported.yml")
    assert (done.output, done.exit_code) == ("", 0)
    exported = read_rule_file(Path("exported.yml").read_text(), "exported").groups
    assert [group.name for group in exported] == ["kailash-monitor-10s", "g"]
    assert exported[1].rules == read_rule_file(GOOD, "good").groups[0].rules
    assert [(rule.name, rule.expr) for rule in exported[0].rules] == [("hot", "max(host_cpu_usage_ratio) > 0.5")]


def test_a_rule_that_cannot_be_exported_is_told(folder: Path) -> None:
    Path("monitor.yaml").write_text("rules: [{name: odd, metric: lag, collector: loop, condition: 'latest > 1'}]\n")
    done = rules("export", "monitor.yaml")
    assert (done.stdout, done.exit_code) == ("", 1)
    assert "rule 'odd'" in done.stderr


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    done = rules("export", "-o", "nowhere/exported.yml")
    assert (done.stderr, done.exit_code) == (
        "kailash-monitor: cannot write nowhere/exported.yml: No such file or directory\n",
        1,
    )


@pytest.mark.external
@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool, from the Debian package prometheus, is not installed")
def test_promtool_reads_what_is_exported(folder: Path) -> None:
    rules("export", "-o", "exported.yml")
    checked = subprocess.run(["promtool", "check", "rules", "exported.yml"], capture_output=True, text=True, check=False)
    assert "SUCCESS: 6 rules found" in checked.stdout, checked
