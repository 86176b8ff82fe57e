"""Burn rates: how fast failures use up an error budget, and when somebody is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.errors import RuleError
from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.metric import MetricType
from kailash_monitor.rules import (
    UNPROVEN,
    AlertRule,
    BurnRate,
    Empty,
    Reading,
    Value,
    Waiting,
    breached,
    burn_rate_rules,
    check_fits,
    read,
)
from kailash_monitor.testing import ManualClock

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def rules(**changes: object) -> list[AlertRule]:
    given = {"good": "good", "total": "total", "objective": 0.99, **changes}
    return burn_rate_rules("checkout", **given)  # type: ignore[arg-type]


def alone(**changes: object) -> AlertRule:
    """The fastest rule: 14.4 times over an hour and five minutes."""
    return rules(**changes)[0]


class Service:
    """A program that works for so long, of which so many in a hundred requests fail."""

    def __init__(self, **labels: str) -> None:
        self.time = ManualClock(1000.0)
        self.collector = MetricsCollector(clock=self.time)
        self.good = self.collector.create_metric("good", MetricType.COUNTER)
        self.total = self.collector.create_metric("total", MetricType.COUNTER)
        self.labels = labels

    def work(self, seconds: float, failing: float = 0.0, *, per_minute: float = 100.0) -> None:
        for _ in range(round(seconds / MINUTE)):
            self.time.advance(MINUTE)
            self.collector.increment("total", per_minute, self.labels)
            self.collector.increment("good", per_minute * (1 - failing / 100), self.labels)

    def see(self, rule: AlertRule) -> dict[Labels, Reading]:
        chunks = read(rule, self.collector.get_metric, self.time.now())
        return {group: reading for chunk in chunks for group, reading in chunk.items()}

    def burn(self, rule: AlertRule) -> Reading:
        return self.see(rule)[NO_LABELS]


def value(reading: Reading) -> Value:
    assert isinstance(reading, Value)
    return reading


# -- the rules ---------------------------------------------------------------------------------------------------------


def test_the_four_rules_of_the_workbook() -> None:
    made = [
        (r.name, r.severity.value, r.threshold, r.time_window, r.burn_rate.short, r.evaluation_interval)
        for r in rules()
        if r.burn_rate is not None
    ]
    assert made == [
        ("checkout_burn_rate_1h", "critical", 14.4, HOUR, 5 * MINUTE, 10),
        ("checkout_burn_rate_6h", "critical", 6, 6 * HOUR, 30 * MINUTE, 60),
        ("checkout_burn_rate_1d", "warning", 3, DAY, 2 * HOUR, 240),
        ("checkout_burn_rate_3d", "warning", 1, 3 * DAY, 6 * HOUR, 300),
    ]


def test_a_rule_says_what_it_means() -> None:
    assert alone().description == (
        "checkout: over the last 1h and still over the last 5m, failures come more than 14.4 times as often as the "
        "objective of 99 % allows; at this rate, an error budget of 30 days lasts 2d2h"
    )
    assert alone().annotations == {"summary": "checkout uses up its error budget too fast"}


def test_a_rule_takes_what_every_rule_takes() -> None:
    made = alone(
        collector="web", match={"a": "b"}, group_by=["path"], labels={"team": "x"}, annotations={"summary": "s", "run": "y"}
    )
    assert (made.collector, dict(made.match), made.group_by, dict(made.labels)) == (
        "web",
        {"a": "b"},
        ("path",),
        {"team": "x"},
    )
    assert made.annotations == {"summary": "s", "run": "y"}


def test_pairs_of_your_own() -> None:
    (made,) = rules(pairs=[(2, "2h", "10m", "error")])
    assert (made.name, str(made.condition), made.severity.value) == ("checkout_burn_rate_2h", "> 2", "error")


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"objective": 1}, "objective", "burn rate: objective = 1; between 0 and 1, such as 0.999 for 99.9 %"),
        ({"objective": 99.9}, "objective", "objective = 99.9; between 0 and 1"),
        ({"objective": "high"}, "objective", "objective = 'high'; between"),
        ({"objective": 0.9}, "threshold", "a burn rate of 14.4 with the objective 0.9; it is 10 when everything fails"),
        ({"good": ""}, "good", "good = ''; the name of a counter"),
        ({"good": "total"}, "good", "'total' as good and as total; two counters: what went well, and everything"),
        ({"min_events": 0}, "min_events", "min_events = 0; a whole number, 1 at least"),
        ({"pairs": [(2, "5m", "1h", "error")]}, "burn_rate", "the windows 300.0 and 3600.0 s; both above zero, the short one"),
        ({"pairs": [(2, "soon", "1h", "error")]}, "pairs", "burn rate 'checkout': pairs 'soon' is not a duration"),
        ({"pairs": [(2, "1h", "5m", "error"), (3, "1h", "1m", "error")]}, "pairs", "two pairs with the long window '1h'"),
        ({"pairs": [("2", "1h", "5m", "error")]}, "pairs", "the factor '2'; a number above zero"),
        ({"pairs": [(0, "1h", "5m", "error")]}, "pairs", "the factor 0; a number above zero"),
        ({"pairs": [(2, "1h", "5m")]}, "pairs", r"the pair \(2, '1h', '5m'\); \(factor, long, short, severity\)"),
    ],
)  # fmt: skip
def test_wrong_burn_rates_say_what_was_seen_and_what_is_right(changes: dict[str, object], field: str, message: str) -> None:
    with pytest.raises(RuleError, match=message) as refused:
        rules(**changes)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (
            {"metric_name": "other"},
            "metric_name",
            "the metric name 'other' beside burn_rate=; leave it out; 'total' is read",
        ),
        ({"time_window": "1m"}, "time_window", "time_window = 60.0 beside burn_rate=; leave it out"),
        ({"condition": "rate > 2"}, "condition", "the word 'rate' in the condition 'rate > 2'; a burn rate is one number"),
        ({"condition": "< 2"}, "condition", "the condition '< 2' beside burn_rate=; > or >=: a budget may burn slowly"),
        ({"burn_rate": 2}, "burn_rate", "burn_rate = 2; a BurnRate"),
        ({"reading": lambda: 1, "metric_name": ""}, "burn_rate", "burn_rate beside reading="),
    ],
)
def test_what_cannot_stand_beside_a_burn_rate(changes: dict[str, object], field: str, message: str) -> None:
    budget = BurnRate(good="good", total="total", objective=0.99, long=HOUR, short=5 * MINUTE)
    given = {"burn_rate": budget, "condition": "> 2", **changes}
    with pytest.raises(RuleError, match=message) as refused:
        AlertRule("r", "d", "warning", **given)  # type: ignore[arg-type]
    assert refused.value.field == field


# -- readings ----------------------------------------------------------------------------------------------------------


def test_the_burn_rate_is_the_share_of_failures_by_what_the_objective_allows() -> None:
    service = Service()
    service.work(2 * HOUR, failing=20)
    assert service.burn(alone()) == Value(pytest.approx(20))


def test_both_windows_must_burn_and_the_smaller_rate_is_judged() -> None:
    service = Service()
    service.work(2 * HOUR)
    service.work(6 * MINUTE, failing=50)
    new = value(service.burn(alone()))
    assert new.value == pytest.approx(5, rel=0.1)  # a tenth of the hour at 50
    service.work(54 * MINUTE, failing=50)
    assert value(service.burn(alone())).value == pytest.approx(50, rel=0.1)
    service.work(6 * MINUTE)
    assert service.burn(alone()) == Value(0)  # the hour still burns, the last five minutes do not


def test_a_few_requests_page_nobody() -> None:
    service = Service()
    service.work(2 * HOUR, failing=100, per_minute=1)
    assert service.burn(alone()) == Empty()
    assert service.burn(alone(min_events=50)) == Value(pytest.approx(100))


def test_nothing_lately_is_empty_however_the_hour_was() -> None:
    service = Service()
    service.work(2 * HOUR, failing=50)
    service.time.advance(6 * MINUTE)
    assert service.burn(alone()) == Empty()


def test_a_group_has_a_burn_rate_of_its_own_and_one_without_success_burns_all() -> None:
    service = Service(path="/a")
    service.work(2 * HOUR)
    service.labels = {"path": "/b"}
    for _ in range(120):
        service.time.advance(MINUTE)
        service.collector.increment("total", 100, {"path": "/a"})
        service.collector.increment("good", 99, {"path": "/a"})
        service.collector.increment("total", 100, {"path": "/b"})
    assert service.see(alone(group_by=["path"])) == {
        Labels({"path": "/a"}): Value(pytest.approx(1)),
        Labels({"path": "/b"}): Value(pytest.approx(100)),
    }
    assert service.burn(alone(match={"path": "/a"})) == Value(pytest.approx(1))


def test_right_after_a_start_as_much_of_the_budget_must_be_gone_as_later() -> None:
    """Twelve times the rate for five minutes is the rate over an hour of which nothing is known."""
    for quiet in (0.0, 3 * HOUR):
        service = Service()
        service.work(quiet)
        service.work(6 * MINUTE, failing=100)
        early = value(service.burn(alone()))
        assert early == (pytest.approx(10, rel=0.1), not quiet, None)
        assert breached(alone(), *early[:2], None) is (None if quiet else UNPROVEN)
        service.work(6 * MINUTE, failing=100)
        assert breached(alone(), *value(service.burn(alone()))[:2], None) is alone().severity


def test_what_is_not_known_never_proves_recovery_and_a_short_window_that_is_known_does() -> None:
    service, judged = Service(), alone()
    service.work(3 * MINUTE)
    quiet = value(service.burn(judged))
    assert breached(judged, *quiet[:2], judged.severity) is UNPROVEN
    service.work(3 * MINUTE)
    assert service.burn(judged) == Value(0)
    assert breached(judged, 0, False, judged.severity) is None


def test_a_start_with_a_few_requests_proves_nothing_until_the_short_window_is_known() -> None:
    service, judged = Service(), alone()
    service.time.advance(MINUTE)
    assert service.burn(judged) == Waiting()
    service.work(MINUTE, failing=100, per_minute=20)
    assert breached(judged, *value(service.burn(judged))[:2], None) is UNPROVEN
    service.work(10 * MINUTE, per_minute=2)
    assert service.burn(judged) == Value(0)


def test_counters_that_are_known_for_different_times_cannot_be_compared() -> None:
    service = Service()
    service.work(30 * MINUTE)
    service.good.clear()
    service.work(2 * MINUTE, failing=50)
    assert service.burn(alone()) == Waiting()


def test_counters_that_were_made_a_moment_apart_can() -> None:
    time = ManualClock()
    collector = MetricsCollector(clock=time)
    for name in ("total", "good"):
        collector.increment(name, 1000)
        time.advance(1e-4)
    time.advance(MINUTE)
    (chunk,) = read(alone(), collector.get_metric, time.now())
    assert chunk == {NO_LABELS: Value(0, at_least=True)}


def test_both_counters_must_be_there_and_must_be_counters() -> None:
    collector = MetricsCollector(clock=ManualClock())
    collector.increment("total")
    with pytest.raises(RuleError, match="a burn rate reads 'good', which the collector does not have; record that one"):
        [*read(alone(), collector.get_metric, 0.0)]
    collector.set_gauge("good", 1)
    with pytest.raises(RuleError, match="'good', which is a gauge; counters are compared"):
        [*read(alone(), collector.get_metric, 0.0)]
    with pytest.raises(RuleError, match="'good', which is a gauge"):
        check_fits(alone(), collector.create_metric("good", MetricType.GAUGE))


def test_a_label_set_past_the_limit_leaves_nothing_to_compare() -> None:
    service = Service()
    service.collector.max_series = 1
    service.work(2 * HOUR)
    service.labels = {"path": "/past"}
    service.work(2 * MINUTE)
    assert service.see(alone(match={"path": "/a"})) == {NO_LABELS: Waiting()}


# -- laws --------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_a_burn_rate_lies_between_nothing_and_everything(failing: list[int]) -> None:
    service = Service()
    for percent in failing:
        service.work(5 * MINUTE, failing=percent)
        burn = value(service.burn(alone()))
        assert -1e-9 <= burn.value <= 100 + 1e-9


@given(st.lists(st.integers(0, 100), min_size=1, max_size=12), st.integers(0, 12))
def test_a_shorter_history_never_shows_a_greater_burn_rate(failing: list[int], known: int) -> None:
    """With the same traffic, whoever came later sees no more of the budget gone than who was there."""
    whole, late = Service(), Service()
    whole.work(2 * HOUR)
    for index, percent in enumerate(failing):
        whole.work(5 * MINUTE, failing=percent)
        if index >= known:
            late.work(5 * MINUTE, failing=percent)
    reading = late.burn(alone())
    if isinstance(reading, Value) and reading.at_least:
        assert reading.value <= value(whole.burn(alone())).value * 1.1 + 1e-9
