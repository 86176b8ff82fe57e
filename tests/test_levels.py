"""Levels: several severities in one rule, and which of them a value breaches."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.errors import RuleError
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import UNPROVEN, AlertRule, Level, Unproven, breached

INFO, WARNING, ERROR, CRITICAL = AlertSeverity

Breach = AlertSeverity | Unproven | None


def rule(**changes: object) -> AlertRule:
    given = {"levels": {"warning": 80, "critical": 95}, "metric_name": "m", "condition": ">", **changes}
    return AlertRule("r", "d", **given)  # type: ignore[arg-type]


def follow(judged: AlertRule, values: Iterable[float]) -> list[AlertSeverity | None]:
    present: AlertSeverity | None = None
    seen: list[AlertSeverity | None] = []
    for value in values:
        after = breached(judged, value, False, present)
        assert after is not UNPROVEN
        present = after
        seen.append(present)
    return seen


def test_a_rule_knows_its_levels_mildest_first() -> None:
    made = rule(levels={AlertSeverity.CRITICAL: 95, "Warning": 80}, clear={"critical": 90})
    assert made.levels == (Level(WARNING, 80), Level(CRITICAL, 95, 90))
    assert (made.severity, made.threshold, made.clear, str(made.condition)) == (CRITICAL, 80, None, "> 80")
    assert made.level(CRITICAL).threshold == 95
    with pytest.raises(KeyError, match="rule 'r' has no level 'info'"):
        made.level(INFO)


def test_a_rule_without_levels_has_one() -> None:
    made = rule(levels=None, severity="error", condition="> 5", clear=3)
    assert made.levels == (Level(ERROR, 5, 3),)
    assert (made.severity, made.threshold, made.clear) == (ERROR, 5, 3)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"severity": "error"}, "severity", "rule 'r': severity = 'error' beside levels; the levels name the severities; leave it"),
        ({"threshold": 80}, "threshold", "threshold = 80 beside levels; the levels have the thresholds; leave it out"),
        ({"condition": "avg > 80"}, "condition", "the number in the condition 'avg > 80' beside levels; .* write 'avg >'"),
        ({"condition": "=="}, "condition", "the condition '==' beside levels; only > >= < <= can be more or less grave"),
        ({"condition": "mean >"}, "condition", "the unknown word 'mean'"),
        ({"levels": {"warning": 80}}, "levels", "levels = {'warning': 80}; two levels at least; for one, give severity and"),
        ({"levels": {}}, "levels", "two levels at least"),
        ({"levels": [80, 95]}, "levels", r"levels = \[80, 95\]; a number by severity"),
        ({"levels": {"warning": 80, "loud": 95}}, "levels", "the severity 'loud'; use one of info, warning, error, critical"),
        ({"levels": {"warning": 80, "critical": "95"}}, "levels", "'95' in levels; a finite number"),
        ({"levels": {"warning": 80, AlertSeverity.WARNING: 95}}, "levels", "warning twice in levels; one number for each"),
        ({"levels": {"warning": 95, "critical": 80}}, "levels", "warning at 95, critical at 80; a graver severity has a higher"),
        ({"levels": {"warning": 80, "critical": 80}}, "levels", "warning at 80, critical at 80; a graver severity has a higher"),
        ({"condition": "<"}, "levels", "warning at 80, critical at 95; a graver severity has a lower threshold with '<'"),
        ({"clear": 70}, "clear", 'clear = 70 beside levels; one number for each level: {"warning": 75, "critical": 90}'),
        ({"clear": {"info": 70}}, "clear", "clear for info, which is none of the levels; use some of warning, critical"),
        ({"clear": {"warning": 81}}, "clear", "clear = 81.0 beside '> 80'; a number below the threshold"),
        ({"clear": {"critical": 96}}, "clear", "clear = 96.0 beside '> 95'; a number below the threshold"),
        ({"levels": None, "severity": "error", "condition": "> 5", "clear": {"error": 3}}, "clear", "without levels; a number"),
        ({"levels": None, "condition": "> 5"}, "severity", "no severity; use one of info, warning, error, critical"),
    ],
)  # fmt: skip
def test_wrong_levels_say_what_was_seen_and_what_is_right(changes: dict[str, object], field: str, message: str) -> None:
    with pytest.raises(RuleError, match=message) as refused:
        rule(**changes)
    assert refused.value.field == field


def test_a_value_goes_up_and_down_the_levels_with_a_clear_of_its_own_for_each() -> None:
    judged = rule(clear={"warning": 75, "critical": 90})
    assert follow(judged, [79, 81, 96, 93, 84, 70]) == [None, WARNING, CRITICAL, CRITICAL, WARNING, None]
    assert follow(judged, [96, 76, 75]) == [CRITICAL, WARNING, None]


def test_levels_of_what_must_not_be_low() -> None:
    judged = rule(levels={"warning": 20, "critical": 5}, condition="<=", clear={"critical": 10})
    assert judged.threshold == 20
    assert follow(judged, [21, 20, 5, 10, 11, 20, 21]) == [None, WARNING, CRITICAL, CRITICAL, WARNING, WARNING, None]


@pytest.mark.parametrize(
    ("condition", "value", "present", "expected"),
    [
        (">", 50, None, UNPROVEN), (">", 85, None, WARNING), (">", 99, None, CRITICAL),
        (">", 50, WARNING, UNPROVEN), (">", 76, WARNING, WARNING), (">", 99, WARNING, CRITICAL),
        (">", 50, CRITICAL, UNPROVEN), (">", 85, CRITICAL, CRITICAL), (">", 91, CRITICAL, CRITICAL),
        (">", 85, ERROR, WARNING),  # the rule was edited: it has no such level any more
        ("<", 3, None, UNPROVEN), ("<", 10, None, UNPROVEN), ("<", 30, None, None),
        ("<", 10, CRITICAL, UNPROVEN), ("<", 20, WARNING, UNPROVEN), ("<", 25, WARNING, None),
    ],
)  # fmt: skip
def test_a_lower_bound_never_makes_an_alert_milder(
    condition: str, value: float, present: AlertSeverity | None, expected: Breach
) -> None:
    high = rule(clear={"warning": 75, "critical": 90})
    low = rule(levels={"warning": 20, "critical": 5}, condition="<", clear={"warning": 25, "critical": 8})
    assert breached(high if condition == ">" else low, value, True, present) is expected


@pytest.mark.parametrize(
    ("condition", "at_least", "expected"),
    [("> 4", False, ERROR), ("> 5", False, None), ("> 5", True, UNPROVEN), ("== 5", False, ERROR), ("!= 5", True, UNPROVEN)],
)
def test_a_rule_of_one_level(condition: str, at_least: bool, expected: Breach) -> None:
    assert breached(rule(levels=None, severity="error", condition=condition), 5, at_least, None) is expected


# -- laws --------------------------------------------------------------------------------------------------------------


@st.composite
def rules(draw: st.DrawFn) -> AlertRule:
    """Rules of one to four levels, some with hysteresis; high or low values are bad."""
    severities = sorted(draw(st.sets(st.sampled_from(list(AlertSeverity)), min_size=1)), key=lambda one: one.rank)
    thresholds = draw(st.lists(st.integers(0, 20), min_size=len(severities), max_size=len(severities), unique=True))
    comparator = draw(st.sampled_from([">", ">=", "<", "<="]))
    thresholds.sort(reverse=comparator in ("<", "<="))
    back = -1 if comparator in (">", ">=") else 1
    clears = {
        severity: threshold + back * draw(st.integers(0, 10))
        for severity, threshold in zip(severities, thresholds, strict=True)
        if draw(st.booleans())
    }
    if len(severities) == 1:
        one = severities[0]
        return rule(levels=None, severity=one, condition=f"{comparator} {thresholds[0]}", clear=clears.get(one))
    return rule(levels=dict(zip(severities, thresholds, strict=True)), condition=comparator, clear=clears)


values = st.integers(-15, 35)
presents = st.sampled_from([None, *AlertSeverity])


def rank(breach: Breach) -> int:
    assert breach is not UNPROVEN
    return -1 if breach is None else breach.rank


@given(rules(), presents, values, values)
def test_a_worse_value_breaches_a_graver_level_or_the_same(
    judged: AlertRule, present: AlertSeverity | None, one: int, other: int
) -> None:
    better, worse = sorted((one, other), reverse=not judged.condition.wants_high)
    assert rank(breached(judged, better, False, present)) <= rank(breached(judged, worse, False, present))


@given(rules(), values)
def test_a_graver_alert_recovers_later(judged: AlertRule, value: int) -> None:
    ranks = [rank(breached(judged, value, False, present)) for present in (None, *AlertSeverity)]
    assert ranks == sorted(ranks)


@given(rules(), st.lists(values))
def test_a_value_that_stands_still_changes_nothing_the_second_time(judged: AlertRule, series: list[int]) -> None:
    once, twice = follow(judged, series), follow(judged, [value for value in series for _ in range(2)])
    assert twice == [seen for seen in once for _ in range(2)]


@given(rules(), st.lists(values, min_size=1))
def test_inside_the_band_of_a_level_nothing_flaps(judged: AlertRule, series: list[int]) -> None:
    """Between the clear and the threshold of the gravest level whose band a value is in, the alert stays where it is."""
    top = judged.levels[-1]
    if top.clear is None:
        return
    band = [min(max(value, min(top.clear, top.threshold)), max(top.clear, top.threshold)) for value in series]
    band = [value for value in band if value != top.clear] if judged.condition.comparator in (">", "<") else band
    present: Breach = top.severity
    for value in band:
        assert present is top.severity
        present = breached(judged, value, False, present)


@given(rules(), presents, values, st.integers(0, 50))
def test_what_a_lower_bound_proves_holds_for_every_value_above_it_or_leaves_the_alert_as_it_is(
    judged: AlertRule, present: AlertSeverity | None, value: int, more: int
) -> None:
    bound, truth = breached(judged, value, True, present), breached(judged, value + more, False, present)
    if bound is UNPROVEN:
        return
    if bound is None or not judged.condition.wants_high:
        assert truth is bound
    elif bound is not present:
        assert rank(truth) >= rank(bound) or (present is not None and bound.rank <= present.rank)
    else:
        assert truth is not None
