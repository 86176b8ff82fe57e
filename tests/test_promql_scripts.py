"""Prometheus' own suite of PromQL: every case that needs no native histogram, and what the others need.

The scripts are read from ../shared, or from the folder that KAILASH_MONITOR_PROMQL_SCRIPTS names.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from kailash_monitor.promql import parse, to_text

from promql_script import Case, Mismatch, check, check_in_range, check_pinned, pinned, read_script  # isort: skip

SHARED = Path(__file__).parents[2] / "shared" / "promqltest"
FOLDER = Path(os.environ.get("KAILASH_MONITOR_PROMQL_SCRIPTS") or SHARED)
CASES = [case for path in sorted(FOLDER.glob("*.test")) for case in read_script(path)]
FLOATS = [case for case in CASES if case.needs is None]

needs_scripts = pytest.mark.skipif(not CASES, reason="the scripts of ../shared/promqltest are not here")


@needs_scripts
@pytest.mark.parametrize("case", FLOATS, ids=repr)
def test_every_case_comes_out_as_its_script_says(case: Case) -> None:
    """Values, errors, order, warnings and infos with their places."""
    check(case)


@pytest.mark.untraced
@needs_scripts
@pytest.mark.parametrize("case", [case for case in FLOATS if case.in_range], ids=repr)
def test_every_case_at_one_time_is_the_same_in_the_middle_of_a_range(case: Case) -> None:
    check_in_range(case)


@pytest.mark.untraced
@needs_scripts
@pytest.mark.parametrize("case", [case for case in FLOATS if case.pinnable], ids=repr)
def test_every_case_at_one_time_is_the_same_at_another_with_its_time_pinned(case: Case) -> None:
    check_pinned(case)


@needs_scripts
@pytest.mark.skipif(FOLDER != SHARED, reason="what is set aside is known of the scripts of ../shared/promqltest alone")
def test_cases_that_need_native_histograms_are_set_aside_by_reason() -> None:
    """Those that load, make (`load_with_nhcb`) or expect one that the expression looks at, or call what only these have."""
    assert Counter(case.needs for case in CASES) == {
        None: 866,
        "loads {{": 196,
        "load_with_nhcb": 74,
        "expects {{": 32,
        "calls histogram_avg": 1,
        "calls histogram_count": 2,
        "calls histogram_stddev": 1,
        "calls histogram_stdvar": 1,
        "calls histogram_sum": 2,
    }


# What reads and compares them

LOADED = """
load 1m
  metric{a="x"} 1 2 3
  metric{a="y"} 2+2x2
"""


def only_case(folder: Path, text: str) -> Case:
    path = folder / "own.test"
    path.write_text(f"{LOADED}\n{text}\n")
    (case,) = read_script(path)
    assert case.needs is None
    return case


@pytest.mark.parametrize(
    "text",
    [
        'eval instant at 1m metric\n  metric{a="y"} 4\n  metric{a="x"} 2',
        'eval instant at 1m metric\n\tmetric{a="y"} 4.000001\n\tmetric{a="x"} 2',
        'eval_ordered instant at 1m sort(metric)\n  metric{a="x"} 2\n  metric{a="y"} 4',
        "eval instant at 1m time()\n  60",
        "eval instant at 1m metric / 0 * 0 > 1",
        "eval instant at 1m sum(metric) / 0 - sum(metric) / 0\n  {} NaN",
        'eval instant at 1m "a\\tb"\n  expect string `a\tb`',
        'eval instant at 1m metric{a="x"}[2m]\n  expect range vector from 0 to 1m step 1m\n  metric{a="x"} 1 2',
        'eval range from 0 to 2m step 1m metric > 2\n  metric{a="x"} _ _ 3\n  metric{a="y"} _ 4 6',
        "eval range from 0 to 2m step 1m sum(metric)\n  {} 3+3x2",
        'eval instant at 1m -{a=~"x|y"} + on() metric\n  expect fail',
        "eval_fail instant at 1m metric + on() metric\n  expected_fail_regexp many-to-many .* not allowed",
        "eval_warn instant at 1m quantile(2, metric)\n  {} Inf",
        'eval_info instant at 1m rate(metric[2m])\n  {a="x"} 0.0166666667\n  {a="y"} 0.0333333333',
        "eval instant at 1m quantile(2, metric)\n  expect warn regex: got 2 \\(1:10\\)$\n  expect no_info\n  {} Inf",
    ],
)
def test_a_case_that_is_right_passes(tmp_path: Path, text: str) -> None:
    check(only_case(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('eval instant at 1m metric\n  metric{a="x"} 2', "unexpected"),
        ('eval instant at 1m metric{a="x"}\n  metric{a="x"} 2\n  metric{a="y"} 4', "missing"),
        ('eval instant at 1m metric{a="x"}\n  {a="x"} 2', "unexpected"),
        ('eval instant at 1m metric{a="x"}\n  metric{a="x"} 2.00001', "is 2.0, expected"),
        ('eval instant at 1m metric{a="x"} * 0\n  {a="x"} 1e-300', "is 0.0, expected"),
        ('eval_ordered instant at 1m sort(metric)\n  metric{a="y"} 4\n  metric{a="x"} 2', "in this order"),
        ('eval instant at 1m sort(metric)\n  expect ordered\n  metric{a="y"} 4\n  metric{a="x"} 2', "in this order"),
        ("eval instant at 1m time()\n  61", "got 60.0"),
        ("eval instant at 1m time()\n  {} 60", "got 60.0"),
        ("eval instant at 1m vector(60)\n  60", "expected 60.0"),
        ("eval instant at 1m 0 / 0\n  0", "got nan"),
        ('eval instant at 1m "a"\n  expect string "b"', "got 'a'"),
        ('eval instant at 1m metric{a="x"}[2m]\n  expect range vector from 0 to 1m step 1m\n  metric{a="x"} 1', "expected"),
        ('eval range from 0 to 2m step 1m metric{a="x"}\n  metric{a="x"} 1 2', "expected"),
        ('eval range from 0 to 2m step 1m metric{a="x"} > 2\n  metric{a="x"} 3', "expected"),
        ("eval instant at 1m metric\n  expect fail", "no error"),
        ("eval instant at 1m metric + on() metric", "unexpected EvaluationError"),
        ("eval instant at 1m metric + on() metric\n  expect fail msg: many-to-many", "error 'found"),
        ("eval instant at 1m quantile(1, metric)\n  expect warn\n  {} 4", "no warn"),
        ("eval instant at 1m quantile(2, metric)\n  expect no_warn\n  {} Inf", "unexpected warn"),
        ("eval instant at 1m quantile(2, metric)\n  expect warn msg: PromQL warning\n  {} Inf", "no warn"),
        (
            "eval instant at 1m quantile(2, metric) + quantile(3, metric)\n  expect warn regex: got 2 \n  {} Inf",
            "unexpected warn .*got 3",
        ),
    ],
)
def test_a_case_that_is_wrong_does_not_pass(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Mismatch, match=message):
        check(only_case(tmp_path, text))


def test_the_middle_of_a_range_is_compared(tmp_path: Path) -> None:
    case = only_case(tmp_path, "eval instant at 1m sum(metric @ end())\n  {} 6")
    check(case)
    with pytest.raises(Mismatch, match="is 9.0, expected"):
        check_in_range(case)


def test_pinned_cases_are_evaluated_at_other_times(tmp_path: Path) -> None:
    case = only_case(tmp_path, "eval instant at 1m sum(metric) + hour()\n  6")
    assert not case.pinnable
    with pytest.raises(Mismatch, match="at -600000 ms"):
        check_pinned(only_case(tmp_path, "eval instant at 1m sum(metric @ end())\n  {} 6"))


@pytest.mark.parametrize(
    ("text", "pinned_text"),
    [
        ("a + rate(b[5m] offset 1m)", "a @ 60.000 + rate(b[5m] @ 60.000 offset 1m)"),
        ("a @ 1 + a @ end()", "a @ 1.000 + a @ end()"),
        ("sum_over_time(a[5m:1m])", "sum_over_time(a[5m:1m] @ 60.000)"),
        ("max_over_time(rate(a[1m])[5m:1m] @ 1)", "max_over_time(rate(a[1m])[5m:1m] @ 1.000)"),
        ("-topk(scalar(a), (b))", "-topk(scalar(a @ 60.000), (b @ 60.000))"),
    ],
)
def test_what_pinning_does(text: str, pinned_text: str) -> None:
    assert to_text(pinned(parse(text), 60.0)) == pinned_text


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'own.test:6: .*unexpected "two" in series values'):
        only_case(tmp_path, "eval instant at 1m metric\n  metric two")
    with pytest.raises(ValueError, match="line 6: no command: metric 2"):
        only_case(tmp_path, "metric 2")


def test_what_needs_native_histograms_is_known_by_what_it_looks_at(tmp_path: Path) -> None:
    path = tmp_path / "own.test"
    path.write_text(
        """
load 1m
  native{a="x"} 1 {{schema:1 sum:3 count:2}}x2
  float{a="x"} 1 2 3

load_with_nhcb 1m
  classic_bucket{le="1"} 1
  classic_bucket{le="+Inf"} 2

eval instant at 1m float
eval instant at 1m {a="x"}
eval instant at 1m classic_bucket
eval instant at 1m sum by (le) (classic)
eval instant at 1m histogram_sum(float)
eval instant at 1m float
  float{a="x"} {{schema:0}}

clear

load 1m
  started{a="x"}@st -30s-1mx2
  started{a="x"} 1 2 3

eval instant at 1m native
eval instant at 1m started
"""
    )
    needs = [case.needs for case in read_script(path)]
    assert needs == [
        None, "loads {{", None, "load_with_nhcb", "calls histogram_sum", "expects {{", None, "loads @st"
    ]  # fmt: skip
