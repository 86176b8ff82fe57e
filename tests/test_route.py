"""Routes: where an alert arrives, what holds there, and what a wrong tree is told."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import EVERY_LABEL, Destination, Route, Rung, destinations, route_channels
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.labels import Labels

NIGHTS = MuteTime("nights", times=["22:00-06:00"])
WEEKENDS = MuteTime("weekends", weekdays=["sat-sun"])
MUTE_TIMES = {"nights": NIGHTS, "weekends": WEEKENDS}


def tree(**root: Any) -> Route:
    return Route.from_mapping(root, MUTE_TIMES)


def paths(root: Route, **labels: str) -> list[str]:
    return [destination.path for destination in destinations(root, labels)]


ALERTMANAGER = tree(
    channels=["def"],
    routes=[
        {
            "match": {"owner": "team-A"},
            "channels": ["A"],
            "routes": [
                {"match": {"env": "testing"}, "channels": ["testing"], "group_by": ["..."]},
                {"match": {"env": "production"}, "channels": ["productionA"], "wait": "1m", "continue": True},
                {
                    "match": 'env=~"produ.*", job=~".*"',
                    "channels": ["productionB"],
                    "wait": "30s",
                    "interval": "5m",
                    "group_by": ["job"],
                },
            ],
        },
        {"match": "owner=~team-(B|C)", "group_by": ["foo", "bar"], "wait": "2m", "channels": ["BC"]},
        {
            "match": {"group_by": "role"},
            "group_by": ["role"],
            "routes": [
                {
                    "match": {"env": "testing"},
                    "channels": ["testing"],
                    "routes": [{"match": {"wait": "long"}, "wait": "2m"}],
                },
            ],
        },
    ],
)  # fmt: skip
"""The tree of Alertmanager's TestRouteMatch."""


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"owner": "team-A"}, [Destination("0", channels=("A",))]),
        ({"owner": "team-A", "env": "unset"}, [Destination("0", channels=("A",))]),
        ({"owner": "team-C"}, [Destination("1", channels=("BC",), group_by=("foo", "bar"), wait=120)]),
        ({"owner": "team-A", "env": "testing"}, [Destination("0.0", channels=("testing",), group_by=("...",))]),
        (
            {"owner": "team-A", "env": "production"},
            [
                Destination("0.1", channels=("productionA",), wait=60),
                Destination("0.2", channels=("productionB",), group_by=("job",), wait=30, interval=300),
            ],
        ),
        ({"group_by": "role"}, [Destination("2", channels=("def",), group_by=("role",))]),
        ({"env": "testing", "group_by": "role"}, [Destination("2.0", channels=("testing",), group_by=("role",))]),
        (
            {"env": "testing", "group_by": "role", "wait": "long"},
            [Destination("2.0.0", channels=("testing",), group_by=("role",), wait=120)],
        ),
        ({"owner": "nobody"}, [Destination("", channels=("def",))]),
        ({}, [Destination("", channels=("def",))]),
    ],
)  # fmt: skip
def test_an_alert_arrives_where_alertmanager_takes_it(labels: dict[str, str], expected: list[Destination]) -> None:
    assert destinations(ALERTMANAGER, labels) == destinations(ALERTMANAGER, Labels(labels)) == tuple(expected)


def test_without_routes_every_channel_gets_everything_each_alert_for_itself_at_once() -> None:
    (destination,) = destinations(Route(), {"a": "b"})
    assert destination == Destination()
    assert (destination.path, destination.channels, destination.group_by) == ("", None, None)
    assert (destination.wait, destination.interval, destination.mute_times, destination.escalation) == (0, 0, (), ())


def test_the_first_of_two_siblings_that_match_wins() -> None:
    root = tree(routes=[{"match": "a=1"}, {"match": "b=1"}, {"match": "a=1"}])
    assert paths(root, a="1", b="1") == ["0"]
    assert paths(root, b="1") == ["1"]


def test_continue_goes_on_to_the_siblings_behind() -> None:
    root = tree(routes=[{"match": "a=1", "continue": True}, {"match": "b=1", "continue": True}, {"match": "c=1"}, {}])
    assert paths(root, a="1", b="1", c="1") == ["0", "1", "2"]
    assert paths(root, a="1") == ["0", "3"]
    assert paths(root, b="1") == ["1", "3"]


def test_a_route_that_continues_still_stands_in_for_its_parent() -> None:
    root = tree(routes=[{"match": "a=1", "continue": True}])
    assert paths(root, a="1") == ["0"]


def test_a_child_does_not_let_its_parent_continue() -> None:
    """As in Alertmanager: `continue` speaks of the siblings of the route that has it."""
    root = tree(routes=[{"match": "a=1", "routes": [{"match": "b=1", "continue": True}]}, {"match": "b=1"}])
    assert paths(root, a="1", b="1") == ["0.0"]


def test_a_child_is_not_reached_past_a_parent_that_does_not_match() -> None:
    assert paths(tree(routes=[{"match": "a=1", "routes": [{"match": "b=1"}]}]), b="1") == [""]


def test_a_child_takes_from_its_parents_what_it_does_not_say() -> None:
    root = tree(
        channels=["mail"],
        group_by=["service"],
        wait="10s",
        interval="5m",
        escalation=[{"after": "15m", "channels": ["pager"]}],
        routes=[{"match": "a=1", "wait": 0, "routes": [{"match": "b=1", "channels": [], "group_by": [], "escalation": []}]}],
    )
    ladder = (Rung("15m", ["pager"]),)
    common = {"group_by": ("service",), "interval": 300.0, "escalation": ladder}
    assert destinations(root, {}) == (Destination("", channels=("mail",), wait=10.0, **common),)
    assert destinations(root, {"a": "1"}) == (Destination("0", channels=("mail",), wait=0.0, **common),)
    below = Destination("0.0", channels=(), group_by=(), wait=0.0, interval=300.0, escalation=())
    assert destinations(root, {"a": "1", "b": "1"}) == (below,)


def test_mute_times_hold_only_where_they_stand() -> None:
    root = tree(
        mute_times=["nights"],
        routes=[{"match": "a=1", "mute_times": ["weekends", "nights"], "routes": [{"match": "b=1"}]}],
    )
    muted = [destinations(root, labels)[0].mute_times for labels in ({}, {"a": "1"}, {"a": "1", "b": "1"})]
    assert muted == [(NIGHTS,), (WEEKENDS, NIGHTS), ()]


def test_grouping_by_all_labels_is_inherited_and_can_be_replaced() -> None:
    """As in Alertmanager's TestInheritParentGroupByAll."""
    root = tree(
        routes=[{"group_by": ["..."], "routes": [{"match": "env=child1"}, {"match": "env=child2", "group_by": ["foo"]}]}]
    )
    assert [destinations(root, {"env": env})[0].group_by for env in ("", "child1", "child2")] == [
        (EVERY_LABEL,),
        (EVERY_LABEL,),
        ("foo",),
    ]


def test_the_rungs_of_an_escalation_are_climbed_in_order_of_time() -> None:
    root = Route(escalation=[("1h", ["boss"]), Rung(60, ["mail", "mail"]), (timedelta(minutes=5), ["pager"])])
    assert [(rung.after, rung.channels) for rung in root.escalation or ()] == [
        (60, ("mail",)),
        (300, ("pager",)),
        (3600, ("boss",)),
    ]


def test_the_channels_of_a_tree_are_all_that_it_mentions() -> None:
    root = tree(
        channels=["a"],
        escalation=[{"after": 60, "channels": ["b", "c"]}],
        routes=[
            {"match": "x=1", "channels": ["d"], "escalation": []},
            {"match": "x=2", "routes": [{"escalation": [{"after": 1, "channels": ["e"]}]}]},
        ],
    )
    assert route_channels(root) == {"a", "b", "c", "d", "e"}
    assert route_channels(Route()) == set()


def test_a_tree_made_by_hand_is_the_one_that_is_read() -> None:
    by_hand = Route(
        channels=["mail"],
        routes=[Route(match="a=1", continue_=True, mute_times=[NIGHTS], escalation=[("5m", ["pager"])]), Route(wait="1m")],
    )
    read = tree(
        channels=["mail"],
        routes=[
            {
                "match": ["a=1"],
                "continue": True,
                "mute_times": ["nights"],
                "escalation": [{"after": 300, "channels": ["pager"]}],
            },
            {"wait": 60},
        ],
    )
    assert read == by_hand
    assert hash(read) == hash(by_hand)


@pytest.mark.parametrize(
    ("mapping", "where", "field", "message"),
    [
        ("mail", "route", None, "'mail'; a dictionary with some of channels, match"),
        ({"channel": ["x"]}, "route", "channel", "the unknown key 'channel'; did you mean 'channels'?"),
        ({"zzz": 1}, "route", "zzz", "the unknown key 'zzz'; use some of channels, match, continue"),
        ({"match": "a=1"}, "route", "match", "match = 'a=\"1\"' at the root; the root takes every alert"),
        ({"continue": True}, "route", "continue", "continue at the root; the root takes every alert"),
        ({"channels": "mail"}, "route", "channels", "channels = 'mail'; a list"),
        ({"channels": [5]}, "route", "channels", "5 in channels; names of channels"),
        ({"channels": [" "]}, "route", "channels", "' ' in channels; names of channels"),
        ({"group_by": "host"}, "route", "group_by", "group_by = 'host'; a list"),
        ({"group_by": ["a-b"]}, "route", "group_by", "'a-b' in group_by; letters, digits and underscores"),
        ({"group_by": ["...", "a"]}, "route", "group_by", r"'...' in group_by; .* or '...' alone"),
        ({"group_by": [["a"]]}, "route", "group_by", r"\['a'\] in group_by"),
        ({"wait": "soon"}, "route", "wait", "wait 'soon' is not a duration"),
        ({"interval": -1}, "route", "interval", "interval = -1; a duration not negative"),
        ({"routes": {"match": "a=1"}}, "route", "routes", "routes = {'match': 'a=1'}; a list"),
        ({"mute_times": ["night"]}, "route", "mute_times", "the unknown mute time 'night'; did you mean 'nights'?"),
        ({"mute_times": [["x"]]}, "route", "mute_times", r"the unknown mute time \['x'\]; use some of nights, weekends"),
        ({"escalation": ["mail"]}, "route: escalation[0]", None, "'mail'; a dictionary with some of after, channels"),
        ({"escalation": [{"after": 5}]}, "route: escalation[0]", "channels", "no channels; it needs after and channels"),
        (
            {"escalation": [{"after": 1, "channels": ["x"]}, {"after": 0, "channels": ["x"]}]},
            "route: escalation[1]",
            "after",
            "after = 0; a duration above zero",
        ),
        ({"escalation": [{"after": 5, "channels": []}]}, "route: escalation[0]", "channels", "no channels; name those"),
        ({"escalation": [{"afer": 5}]}, "route: escalation[0]", "afer", "the unknown key 'afer'; did you mean 'after'?"),
        ({"routes": [{"continue": "yes"}]}, "routes[0]", "continue", "continue = 'yes'; true or false"),
        (
            {"routes": [{"routes": [{}, {}, {"match": "a"}]}]},
            "routes[0].routes[2]",
            "match",
            "'a' in the matchers 'a'; write name=",
        ),
        (
            {"routes": [{}, {"routes": [{"escalation": [{"after": 5, "channels": ["x"], "to": "y"}]}]}]},
            "routes[1].routes[0]: escalation[0]",
            "to",
            "the unknown key 'to'; use some of after, channels",
        ),
    ],
)  # fmt: skip
def test_a_wrong_tree_says_where_and_what_is_right(
    mapping: Mapping[str, Any], where: str, field: str | None, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        Route.from_mapping(mapping, MUTE_TIMES)
    assert (refused.value.where, refused.value.field) == (where, field)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mute_times": ["nights"]}, "route: 'nights' in mute_times; MuteTime objects"),
        ({"routes": [{}]}, "route: {} in routes; Route objects"),
        ({"routes": 5}, "route: routes = 5; a list"),
        ({"escalation": ["5m"]}, r"route: escalation\[0\]: '5m'; a Rung or \(after, channels\)"),
        ({"escalation": [("5m", "mail")]}, r"route: escalation\[0\]: channels = 'mail'; a list"),
        ({"match": 5}, "route: the matchers 5; a dictionary of labels"),
    ],
)  # fmt: skip
def test_a_route_checks_itself(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Route(**arguments)


def test_a_mute_time_that_nobody_defined_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the unknown mute time 'nights'; define it first"):
        Route.from_mapping({"mute_times": ["nights"]}, {})


@pytest.mark.parametrize("route", [Route(match="a=1"), Route(continue_=True)])
def test_a_route_that_does_not_take_every_alert_is_no_root(route: Route) -> None:
    with pytest.raises(ConfigurationError, match="at the root; the root takes every alert, with neither match nor continue"):
        destinations(route, {})
    with pytest.raises(ConfigurationError, match="at the root"):
        route_channels(route)


def test_the_repr_of_a_route_is_short() -> None:
    assert repr(Route(routes=[Route(match="a=1")])) == "<Route {} to the parent's channels, 1 below>"
    assert repr(Route(match="a=1", channels=["x", "y"])) == '<Route {a="1"} to x, y, 0 below>'
    assert repr(Route(channels=[])) == "<Route {} to nobody, 0 below>"


matches = st.sampled_from(["", "a=1", "b=1", "a!=1", "b=~1|2"])
label_sets = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"))


def trees(continues: st.SearchStrategy[bool]) -> st.SearchStrategy[Route]:
    below = st.recursive(
        st.builds(Route, match=matches, continue_=continues),
        lambda routes: st.builds(Route, match=matches, continue_=continues, routes=st.lists(routes, max_size=3)),
        max_leaves=10,
    )
    return st.builds(Route, routes=st.lists(below, max_size=3))


@given(trees(st.booleans()), label_sets)
def test_every_alert_arrives_somewhere_and_nowhere_twice(root: Route, labels: dict[str, str]) -> None:
    arrived = paths(root, **labels)
    assert arrived
    assert arrived == sorted(set(arrived))


@given(trees(st.just(False)), label_sets)
def test_where_nothing_continues_every_alert_arrives_at_one_place(root: Route, labels: dict[str, str]) -> None:
    assert len(destinations(root, labels)) == 1


@given(trees(st.booleans()), label_sets)
def test_an_alert_arrives_where_the_whole_way_matches_and_no_child_does(root: Route, labels: dict[str, str]) -> None:
    for path in paths(root, **labels):
        here = root
        for index in filter(None, path.split(".")):
            here = here.routes[int(index)]
            assert here.match.matches(labels)
        assert not any(child.match.matches(labels) for child in here.routes)
