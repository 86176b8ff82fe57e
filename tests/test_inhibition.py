"""Inhibition: which alert keeps which quiet, and which are to be looked at again."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerting.inhibition import Inhibition, Inhibitors
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.matcher import Matchers

HOST = Inhibition("rule=host_down", "rule=~service_.*", ["host"])
SEVERITY = Inhibition({"severity": "critical"}, "severity=~warning|info", ["service"])
TWO_SIDED = Inhibition("s=1", "t=1", ["e"])


def test_a_source_inhibits_the_targets_that_share_its_equal_labels() -> None:
    inhibitors = Inhibitors([HOST])
    inhibitors.put("down", {"rule": "host_down", "host": "a"}, True)
    assert inhibitors.by("x", {"rule": "service_slow", "host": "a"}) == "down"
    assert inhibitors.by("x", {"rule": "service_slow", "host": "b"}) is None
    assert inhibitors.by("x", {"rule": "disk_full", "host": "a"}) is None


def test_an_alert_that_is_over_inhibits_nobody() -> None:
    inhibitors = Inhibitors([HOST])
    inhibitors.put("down", {"rule": "host_down", "host": "a"}, True)
    inhibitors.put("down", {"rule": "host_down", "host": "a"}, False)
    assert inhibitors.by("x", {"rule": "service_slow", "host": "a"}) is None


def test_when_one_source_resolves_the_other_still_inhibits() -> None:
    inhibitors = Inhibitors([HOST])
    labels, target = {"rule": "host_down", "host": "a"}, {"rule": "service_slow", "host": "a"}
    inhibitors.put("x", target, True)
    assert inhibitors.put("down-2", labels, True) == ("x",)
    assert inhibitors.put("down-1", labels, True) == ()
    assert inhibitors.by("x", target) == "down-1"
    assert inhibitors.put("down-1", labels, False) == ()
    assert inhibitors.by("x", target) == "down-2"
    assert inhibitors.put("down-2", labels, False) == ("x",)
    assert inhibitors.by("x", target) is None


def test_an_absent_equal_label_has_the_empty_value() -> None:
    inhibitors = Inhibitors([HOST])
    inhibitors.put("down", {"rule": "host_down"}, True)
    assert inhibitors.by("x", {"rule": "service_slow"}) == "down"
    assert inhibitors.by("x", {"rule": "service_slow", "host": ""}) == "down"
    assert inhibitors.by("x", {"rule": "service_slow", "host": "a"}) is None


def test_without_equal_labels_any_source_inhibits_any_target() -> None:
    inhibitors = Inhibitors([Inhibition("s=1", "t=1")])
    inhibitors.put("s", {"s": "1", "host": "a"}, True)
    assert inhibitors.by("x", {"t": "1", "host": "b"}) == "s"


@pytest.mark.parametrize(
    ("target", "inhibited"),
    [
        ({"t": "1", "e": "plain"}, True),
        ({"t": "1", "e": "two-sided"}, True),
        ({"t": "0", "e": "plain"}, False),
        ({"t": "1", "e": "other"}, False),
        ({"s": "1", "t": "1", "e": "plain"}, True),
        ({"s": "1", "t": "1", "e": "two-sided"}, False),
        ({"s": "1", "e": "plain"}, False),
    ],
)  # fmt: skip
def test_an_alert_on_both_sides_is_inhibited_only_by_one_that_is_not(target: dict[str, str], inhibited: bool) -> None:
    """As in Alertmanager's TestInhibitRuleMatches."""
    inhibitors = Inhibitors([TWO_SIDED])
    inhibitors.put("plain", {"s": "1", "t": "2", "e": "plain"}, True)
    inhibitors.put("two-sided", {"s": "1", "t": "1", "e": "two-sided"}, True)
    assert (inhibitors.by("x", target) is not None) is inhibited


def test_two_alerts_on_both_sides_do_not_silence_each_other() -> None:
    inhibitors = Inhibitors([TWO_SIDED])
    labels = {"s": "1", "t": "1"}
    assert inhibitors.put("a", labels, True) == inhibitors.put("b", labels, True) == ()
    assert inhibitors.by("a", labels) is inhibitors.by("b", labels) is None


def test_an_alert_never_inhibits_itself_even_before_its_new_labels_were_noted() -> None:
    inhibitors = Inhibitors([SEVERITY])
    inhibitors.put("a", {"severity": "critical"}, True)
    assert inhibitors.by("a", {"severity": "warning"}) is None
    inhibitors.put("b", {"severity": "critical"}, True)
    assert inhibitors.by("a", {"severity": "warning"}) == "b"


def test_new_labels_replace_what_an_alert_stood_for() -> None:
    inhibitors = Inhibitors([SEVERITY])
    warning = {"severity": "warning", "service": "x"}
    inhibitors.put("w", warning, True)
    assert inhibitors.put("a", warning, True) == ()
    assert inhibitors.put("a", {"severity": "critical", "service": "x"}, True) == ("w",)
    assert inhibitors.by("w", warning) == "a"
    assert inhibitors.put("a", {"severity": "critical", "service": "y"}, True) == ("w",)
    assert inhibitors.put("a", warning, True) == ()
    assert inhibitors.by("w", warning) is None


def test_an_inhibited_alert_still_inhibits() -> None:
    inhibitors = Inhibitors([Inhibition("a=1", "b=1"), Inhibition("b=1", "c=1")])
    inhibitors.put("one", {"a": "1"}, True)
    inhibitors.put("two", {"b": "1"}, True)
    assert (inhibitors.by("two", {"b": "1"}), inhibitors.by("three", {"c": "1"})) == ("one", "two")


def test_a_source_touches_only_its_own_targets_of_many() -> None:
    inhibitors = Inhibitors([HOST])
    for number in range(1000):
        inhibitors.put(f"x{number}", {"rule": "service_slow", "host": str(number)}, True)
    assert inhibitors.put("down", {"rule": "host_down", "host": "7"}, True) == ("x7",)
    assert inhibitors.put("other", {"rule": "disk_full", "host": "7"}, True) == ()
    assert inhibitors.put("down", {"rule": "host_down", "host": "7"}, True) == ()


def test_nothing_is_kept_of_what_does_not_fire() -> None:
    inhibitors = Inhibitors([HOST, TWO_SIDED])
    labels = {"rule": "host_down", "s": "1", "t": "1"}
    inhibitors.put("a", labels, True)
    inhibitors.put("a", labels, False)
    inhibitors.put("a", labels, False)
    assert (inhibitors._firing, inhibitors._circles) == ({}, {})


def inhibiting(
    inhibitions: Sequence[Inhibition], firing: Mapping[str, dict[str, str]], alert_id: str, labels: dict[str, str]
) -> str | None:
    """The documentation of Alertmanager, word for word and slow."""
    return min(
        (
            other
            for inhibition in inhibitions
            for other, others in firing.items()
            if other != alert_id
            and inhibition.target.matches(labels)
            and inhibition.source.matches(others)
            and all(labels.get(name, "") == others.get(name, "") for name in inhibition.equal)
            and not (inhibition.source.matches(labels) and inhibition.target.matches(others))
        ),
        default=None,
    )


ids = st.sampled_from("abcd")
label_sets = st.dictionaries(st.sampled_from("steS"), st.sampled_from("12"))
puts = st.lists(st.tuples(ids, label_sets, st.booleans()), max_size=12)


inhibition_lists = st.lists(
    st.sampled_from([TWO_SIDED, Inhibition("S=1", "s=1"), Inhibition('s!=""', "t=~1|2", ["e", "S"])]), max_size=3
)


@given(inhibition_lists, puts, ids, label_sets)
def test_an_alert_is_inhibited_as_the_definition_says_whatever_came_before(
    inhibitions: list[Inhibition], puts: list[tuple[str, dict[str, str], bool]], alert_id: str, labels: dict[str, str]
) -> None:
    inhibitors, firing = Inhibitors(inhibitions), dict[str, dict[str, str]]()
    for other, others, active in puts:
        before = {id: inhibiting(inhibitions, firing, id, firing[id]) for id in firing}
        touched = inhibitors.put(other, Labels(others), active)
        firing.pop(other, None)
        if active:
            firing[other] = others
        after = {id: inhibiting(inhibitions, firing, id, firing[id]) for id in firing}
        changed = {id for id in before.keys() & after.keys() - {other} if (before[id] is None) is not (after[id] is None)}
        assert changed <= set(touched) <= firing.keys() - {other}
        assert list(touched) == sorted(touched)
    assert inhibitors.by(alert_id, labels) == inhibiting(inhibitions, firing, alert_id, labels)
    assert all(inhibitors.by(id, firing[id]) == inhibiting(inhibitions, firing, id, firing[id]) for id in firing)


def test_both_sides_are_given_as_any_matchers_are() -> None:
    made = Inhibition({"a": "b"}, ["c!=d", "e=f"], ["x", "y", "x"])
    assert (made.source, made.target, made.equal) == (Matchers.of("a=b"), Matchers.of("c!=d,e=f"), ("x", "y"))
    assert Inhibition.from_mapping({"source": {"a": "b"}, "target": ["c!=d", "e=f"], "equal": ["x", "y"]}) == made
    assert Inhibition.from_mapping({"source": "a=b", "target": "c=d"}).equal == ()


@pytest.mark.parametrize(
    ("mapping", "field", "message"),
    [
        ({"source": "a=b", "target": "c"}, "target", "inhibitions.2.: target: 'c' in the matchers 'c'; write name="),
        ({"source": "", "target": "c=d"}, "source", "inhibitions.2.: source matches everything: ''; at least one"),
        ({"source": "a=b", "target": "c!=d"}, "target", "target matches everything: 'c!=\"d\"'; at least one matcher that"),
        ({"source": "a=b", "target": None}, "target", "target matches everything"),
        ({"source": "a=b", "target": "c=d", "equal": "host"}, "equal", "equal = 'host'; a list of label names"),
        ({"source": "a=b", "target": "c=d", "equal": None}, "equal", "equal = None; a list of label names"),
        ({"source": "a=b", "target": "c=d", "equal": ["a-b"]}, "equal", "the label name 'a-b' in equal; letters, digits"),
        ({"source": "a=b", "target": "c=d", "equal": [5]}, "equal", "the label name 5 in equal"),
        ({"source": "a=b", "target": "c=d", "equal": [["a"]]}, "equal", r"the label name \['a'\] in equal"),
        ({"source": "a=b", "target": "c=d", "equals": []}, "equals", "the unknown key 'equals'; did you mean 'equal'?"),
        ({"source": "a=b", "target": "c=d", "zzz": 1}, "zzz", "the unknown key 'zzz'; use source, target, equal"),
        ({"source": "a=b"}, "target", "inhibitions.2.: no target; it needs source and target"),
        ("a=b", None, "inhibitions.2.: 'a=b'; a dictionary with source, target, equal"),
    ],
)  # fmt: skip
def test_a_wrong_inhibition_says_what_was_seen_and_what_is_right(
    mapping: dict[str, object], field: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        Inhibition.from_mapping(mapping, where="inhibitions[2]")
    assert refused.value.field == field
