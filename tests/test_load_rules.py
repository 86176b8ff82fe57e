"""Prometheus' rule files are judged as they are, and again when they have changed."""

import asyncio
from pathlib import Path

import pytest

from kailash_monitor.alerts import AlertManager, AlertRule, AlertSeverity
from kailash_monitor.blocking import AlertManager as BlockingManager
from kailash_monitor.engine.recorded import RecordedSeries
from kailash_monitor.errors import ConfigurationError, InvalidFile, RuleError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.labels import NO_LABELS
from kailash_monitor.promql import EvaluationError
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.query import finished
from kailash_monitor.promql.samples import Vector
from kailash_monitor.rules import RuleQuery
from kailash_monitor.rules.recording import Place, Recording
from kailash_monitor.testing import Attempt, Simulator, VirtualClock

RULES = """
groups:
  - name: queues
    interval: 5s
    labels: {team: web}
    rules:
      - record: queue:depth:max
        expr: max by (queue) (kailash_app_depth)
        labels: {kind: worst}
      - alert: Deep
        expr: queue:depth:max > 5
        for: 10s
        keep_firing_for: 20s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.queue }} has {{ $value }}"}
  - name: others
    rules:
      - {alert: Long, expr: kailash_app_length > 1, labels: {severity: warning}}
      - {alert: Long, expr: kailash_app_length > 2, labels: {severity: critical}}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    return path


def test_a_file_is_judged_as_it_stands(rules: Path) -> None:
    sim = Simulator()
    names = sim.manager.load_rules(rules)
    assert names == ["Deep", "Long", 'Long{severity="critical"}']
    deep = sim.manager.rules["Deep"]
    assert (deep.hold, deep.keep_firing, deep.evaluation_interval, deep.severity) == (10, 20, 5, AlertSeverity.CRITICAL)
    assert sim.manager.rules[names[1]].evaluation_interval == 10
    sim.set("depth", 9, labels={"queue": "a", "worker": "1"})
    sim.set("depth", 7, labels={"queue": "a", "worker": "2"})
    sim.set("length", 3)
    sim.advance("30s")
    alerts = {alert.id: alert for alert in sim.manager.get_active_alerts()}
    deep_id = 'Deep_promql{kind="worst",queue="a"}'
    assert alerts.keys() == {deep_id, *(f"{name}_promql" for name in names[1:])}
    assert alerts[deep_id].title == "a has 9"
    assert alerts[deep_id].labels == {"kind": "worst", "queue": "a", "severity": "page", "team": "web"}
    assert alerts[f"{names[2]}_promql"].labels["alertname"] == "Long"


def test_rules_of_a_group_see_what_the_ones_before_have_just_recorded(rules: Path) -> None:
    sim = Simulator()
    sim.manager.load_rules(rules)
    sim.set("depth", 9)
    pendings = []
    for _ in range(12):
        sim.advance("1s")
        pendings.append(bool(sim.manager.get_all_alerts()))
    first = pendings.index(True)
    assert first <= 5  # the group's next turn, and not the one after


def test_what_is_recorded_no_more_has_ended(rules: Path) -> None:
    sim = Simulator()
    sim.manager.load_rules(rules)
    sim.set("depth", 9)
    sim.advance("30s")
    assert len(sim.manager.get_active_alerts()) == 1
    sim.collector().get_metric("depth").clear()  # type: ignore[union-attr]
    sim.advance("40s")
    assert sim.manager.get_active_alerts() == []


def test_what_has_not_changed_goes_on_and_what_is_gone_ends(rules: Path) -> None:
    sim = Simulator()
    sim.manager.load_rules(rules)
    sim.set("depth", 9)
    sim.set("length", 3)
    sim.advance("30s")
    before = {alert.id: alert.fired_at for alert in sim.manager.get_active_alerts()}
    assert len(before) == 3
    rules.write_text(RULES.replace("> 1", "> 1.5").replace("alert: Deep", "alert: VeryDeep"))
    sim.manager.files.apply(sim.manager.files.read())
    sim.advance("30s")
    after = {alert.id: alert.fired_at for alert in sim.manager.get_active_alerts()}
    assert {one: at for one, at in after.items() if one.startswith("Long")} == {
        one: at for one, at in before.items() if one.startswith("Long")
    }
    assert [one for one in after if "Deep" in one] == ['VeryDeep_promql{kind="worst"}']


GROUP = "groups: [{name: g, interval: %s, rules: [%s{record: 'a:b', expr: 'kailash_app_depth%s'}, %s]}]"
ALERT = "{alert: A, expr: 'a:b > 5'}"


@pytest.mark.parametrize(
    "after",
    [
        ("10s", "{alert: New, expr: 'vector(1) == 2'}, ", "", ALERT),
        ("10s", "", " + 0", ALERT),
        ("20s", "", "", ALERT),
        ("10s", "", "", ALERT + ", {alert: A, expr: 'a:b > 7', labels: {severity: critical}}"),
    ],
    ids=["moved", "edited", "paced", "beside"],
)
def test_an_alert_goes_on_whatever_is_edited_about_it(tmp_path: Path, after: tuple[str, ...]) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(GROUP % ("10s", "", "", ALERT))
    sim = Simulator()
    sim.manager.load_rules(path)
    sim.set("depth", 6)
    sim.advance("30s")
    path.write_text(GROUP % after)
    sim.manager.files.apply(sim.manager.files.read())
    sim.advance("2m")
    assert sim.told() == ["firing"]


def test_what_a_recording_cannot_know_is_not_well(tmp_path: Path) -> None:
    """Its last samples would be too old to count after five minutes."""
    path = tmp_path / "rules.yml"
    path.write_text(GROUP % ("10s", "", "", ALERT))
    answers = [9.0]

    def depth() -> float:
        return answers[-1]

    sim = Simulator()
    sim.registry.collector("app").callback_gauge("depth", depth)
    sim.manager.load_rules(path)
    sim.advance("30s")
    answers.clear()
    sim.advance("10m")
    status = sim.manager.rule_status()[0]
    assert (status.error or "").startswith("promql: the recording 'a:b' cannot be made: the metric 'depth' of 'app'")
    answers.append(1.0)
    sim.advance("1m")
    attempts = [one for one in sim.timeline if isinstance(one, Attempt)]
    told = [one.notice.kind.value for one in attempts if one.notice.alert.rule_name == "A"]
    assert told == ["firing", "resolved"]


def test_a_step_of_the_wall_clock_moves_no_recorded_sample(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(
        """
        groups:
          - {name: z, interval: 1m, rules: [{record: "a:b", expr: kailash_app_depth}]}
          - {name: a, interval: 1s, rules: [{alert: A, expr: "a:b > 5"}]}
        """
    )
    sim = Simulator()
    sim.set("depth", 9)
    sim.manager.load_rules(path)
    sim.advance("90s")
    for step in (600, -3600):
        sim.clock.set_wall(sim.clock.wall() + step)
        sim.advance("3m")
    assert sim.told() == ["firing"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]", "unclosed left parenthesis"),
        ("groups: [{name: a, rules: [{alert: A, expr: 'up', fore: 5m}]}]", "fore"),
        ("groups: [{name: a, rules: [{alert: A, expr: 'up[5m]'}]}]", "rule result is not a vector or scalar"),
        ("{", "rules.yml"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(rules: Path, text: str, told: str) -> None:
    sim = Simulator()
    sim.manager.load_rules(rules)
    before = sim.manager.rules
    rules.write_text(text)
    with pytest.raises(InvalidFile) as caught:
        sim.manager.files.apply(sim.manager.files.read())
    assert told in str(caught.value)
    assert str(rules) in str(caught.value)
    assert sim.manager.rules == before


def test_all_that_is_wrong_in_all_files_is_told_together(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]")
    (tmp_path / "b.yml").write_bytes(b"\xff")
    with pytest.raises(InvalidFile) as caught:
        AlertManager(MetricsRegistry()).load_rules(tmp_path / "*.yml", tmp_path / "c.yml", tmp_path / "none*.yml")
    assert [problem.split(":")[0].rsplit("/", 1)[1] for problem in caught.value.problems] == [
        "a.yml",
        "b.yml",
        "c.yml",
        "none*.yml",
    ]


def test_a_rule_of_the_programs_own_is_not_replaced_by_a_file(rules: Path) -> None:
    manager = AlertManager(MetricsRegistry())
    manager.add_rule(AlertRule("Deep", "", "warning", "depth", "> 3"))
    with pytest.raises(RuleError, match="Deep"):
        manager.load_rules(rules)
    assert list(manager.rules) == ["Deep"]
    assert manager.rule_files == ()


def test_files_that_are_loaded_later_are_judged_beside_the_others(tmp_path: Path, rules: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text("groups: [{name: z, rules: [{alert: Z, expr: 'up == 0'}]}]")
    manager = AlertManager(MetricsRegistry())
    manager.load_rules(rules)
    assert manager.load_rules(other, interval="30s") == ["Z"]
    assert len(manager.rules) == 4
    assert manager.rules["Z"].evaluation_interval == 30
    other.write_text("groups: [{name: z, rules: [{alert: Deep, expr: 'up == 0', labels: {a: b}}]}]")
    manager.files.apply(manager.files.read())
    assert list(manager.rules) == ["Deep", "Long", 'Long{severity="critical"}', 'Deep{a="b"}']


def test_a_recording_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(
        """
        groups:
          - name: a
            limit: 2
            rules:
              - {record: "a:b", expr: kailash_app_depth}
              - {record: "a:c", expr: "kailash_app_depth + on () kailash_app_depth"}
        """
    )
    sim = Simulator()
    sim.manager.load_rules(path)
    for queue in range(3):
        sim.set("depth", 1, labels={"queue": str(queue)})
    sim.advance("10s")
    said = {recording.name: why for recording, why in sim.manager.recordings.items()}
    assert said["a:b"] == "exceeded limit of 2 with 3 series"
    assert (said["a:c"] or "").startswith("found duplicate series for the match group {}")


async def test_it_is_read_again_while_it_runs(rules: Path, clock: VirtualClock) -> None:
    registry = MetricsRegistry(clock=clock)
    registry.collector("app").gauge("length").set(5.0)
    manager = AlertManager(registry)
    await asyncio.to_thread(manager.load_rules, rules)
    async with manager:
        await asyncio.sleep(11)
        assert len(manager.get_active_alerts()) == 2
        await asyncio.to_thread(rules.write_text, RULES.replace("> 2", "> 9"))
        await manager.reload_rules()
        await asyncio.sleep(11)
        assert [alert.labels["severity"] for alert in manager.get_active_alerts()] == ["warning"]


@pytest.mark.parametrize("interval", ["10s", "10m"])
def test_an_alert_sees_what_its_group_has_recorded_at_this_very_time(tmp_path: Path, interval: str) -> None:
    """What was recorded ten minutes ago does not count any more."""
    path = tmp_path / "rules.yml"
    path.write_text(GROUP % (interval, "", "", ALERT))
    sim = Simulator()
    sim.manager.load_rules(path)
    sim.set("depth", 9)
    sim.advance("40m")
    assert set(sim.told()) == {"firing", "repeat"}


def test_a_reload_does_not_undo_what_the_program_did(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text("groups: [{name: g, rules: [{alert: A, expr: up == 0}, {alert: B, expr: up == 0}]}]")
    manager = AlertManager(MetricsRegistry())
    manager.load_rules(path)
    manager.disable_rule("A")
    manager.remove_rule("B")
    manager.add_rule(AlertRule("B", "", "warning", "depth", "> 3"))
    path.write_text("groups: [{name: g, rules: [{alert: A, expr: up == 1}]}]")
    manager.files.apply(manager.files.read())
    assert {name: (rule.enabled, rule.expr is None) for name, rule in manager.rules.items()} == {
        "A": (False, False),
        "B": (True, True),
    }
    path.write_text("groups: [{name: g, rules: [{alert: A2, expr: up == 1}, {alert: B, expr: up == 1}]}]")
    with pytest.raises(RuleError, match="a second rule of that name"):
        manager.files.apply(manager.files.read())
    assert list(manager.rules) == ["A", "B"]


def test_two_rules_cannot_record_the_same_series(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(
        """
        groups:
          - {name: a, rules: [{record: "a:b", expr: kailash_app_depth}]}
          - {name: b, rules: [{record: "a:b", expr: kailash_app_depth + 1}]}
        """
    )
    sim = Simulator()
    sim.manager.load_rules(path)
    sim.set("depth", 1)
    sim.advance("30s")
    whys = [why for why in sim.manager.recordings.values() if why is not None]
    assert len(whys) == 1
    assert "a:b is recorded by another rule as well" in whys[0]


def test_a_recording_whose_labels_keep_changing_is_refused() -> None:
    recorded = RecordedSeries()
    place = Place("f", "g", 0)
    recording = Recording(name="a:b", query=RuleQuery("up"), labels=NO_LABELS, interval=1.0, limit=10, place=place)
    for tick in range(2):
        finished(recorded.take(recording, [(LabelSet({"n": f"{tick}-{one}"}), 1.0) for one in range(10)], tick))
    with pytest.raises(EvaluationError, match="more than 20 series within an hour: record fewer labels"):
        finished(recorded.take(recording, [(LabelSet({"n": "one more"}), 1.0)], 2))


def test_what_was_recorded_is_kept_for_an_hour_at_least_and_two_at_most() -> None:
    recorded = RecordedSeries()
    recording = Recording(
        name="a:b", query=RuleQuery("up"), labels=NO_LABELS, interval=60.0, limit=0, place=Place("f", "g", 0)
    )
    for minute in range(300):
        vector = [(LabelSet({"n": "1"}), float(minute)), (LabelSet({"n": "2"}), 0.0)]
        finished(recorded.take(recording, vector, minute * 60_000))
        one, other = (series.samples for series in finished(recorded.select((), 0, 0)))
        assert min(minute + 1, 60) <= len(one.times) <= 122
        assert one.times is other.times
        assert one.values[-1] == minute


class Elsewhere:
    async def vector(self, query: RuleQuery) -> Vector:
        return []


def test_where_others_evaluate_recordings_are_left_to_them(rules: Path, caplog: pytest.LogCaptureFixture) -> None:
    manager = AlertManager(MetricsRegistry(), queries=Elsewhere())
    assert len(manager.load_rules(rules)) == 3
    assert manager.recordings == {}
    assert caplog.messages == ["left to whoever evaluates the expressions, who must have them as well: queue:depth:max"]


def test_what_cannot_evaluate_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a str as queries; a PrometheusQueries"):
        AlertManager(MetricsRegistry(), queries="http://127.0.0.1:9090")  # type: ignore[arg-type]


@pytest.mark.real_time
def test_the_blocking_manager_does_the_same(rules: Path) -> None:
    manager = BlockingManager(MetricsRegistry())
    assert len(manager.load_rules(rules)) == 3
    rules.write_text(RULES.replace("alert: Deep", "alert: Other"))
    manager.reload_rules()
    assert "Other" in manager.rules
    assert len(manager.recordings) == 1
