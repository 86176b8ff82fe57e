"""Standing: whom an alert is to reach at one time, and what keeps it from being told."""

import math
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerting.grouping import Pace
from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.inhibition import Inhibition, Inhibitors
from kailash_monitor.alerting.ledger import Reach
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route
from kailash_monitor.alerting.silence import Silence
from kailash_monitor.alerting.standing import GroupKey, Policy, Standing, stand
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.matcher import Matchers
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import AlertRule

ROUTED, ESCALATED, NOT_ESCALATED, NOT_ROUTED = Reach

HOUR = 3600.0
NIGHT = MuteTime("night", times=["00:00-01:00"])
MORNING = MuteTime("morning", times=["00:00-02:00"])

KEY = AlertKey("disk", "app", Labels({"host": "a"}))
INCIDENT = Incident(
    key=KEY,
    rule=AlertRule("disk", "d", "warning", "m", "> 10", group_by=["host"]),
    number=1,
    state=State.FIRING,
    severity=AlertSeverity.WARNING,
    labels=Labels({"host": "a", "team": "x"}),
    since=0.0,
    seen=0.0,
    created_at=0.0,
    fired_at=0.0,
)


def policy(root: Route | None = None, *silences: Silence, channels: str = "ops pager chat") -> Policy:
    return Policy(
        root or Route(), dict.fromkeys(channels.split()), {"UTC": UTC}, live={silence.id: silence for silence in silences}
    )


def standing(
    said: Policy, now: float = 100.0, *, called_at: float | None = None, acknowledged: bool = False, offset: float = 0.0
) -> Standing:
    return stand(said, INCIDENT, called_at=called_at, acknowledged=acknowledged, now=now, offset=offset)


def reaches(stands: Standing) -> dict[str, Reach]:
    return {channel: address.reach for channel, address in stands.addresses.items()}


# -- routes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "reached"),
    [
        (Route(), "ops pager chat"),
        (Route(channels=["pager"]), "pager"),
        (Route(channels=[]), ""),
        (Route(channels=["ops", "gone"]), "ops"),
        (Route(channels=["ops"], routes=[Route(match={"host": "a"}, channels=["pager"])]), "pager"),
        (Route(channels=["ops"], routes=[Route(match={"host": "b"}, channels=["pager"])]), "ops"),
        (Route(channels=["ops"], routes=[Route(match={"alertname": "disk"}, channels=["chat"])]), "chat"),
        (Route(channels=["ops"], routes=[Route(match={"collector": "app"}, channels=["chat"])]), "chat"),
        (Route(channels=["ops"], routes=[Route(match={"severity": "critical"}, channels=["chat"])]), "ops"),
        (
            Route(
                routes=[
                    Route(match={"team": "x"}, channels=["ops"], continue_=True),
                    Route(match={"host": "a"}, channels=["pager", "ops"]),
                ]
            ),
            "ops pager",
        ),
    ],
)
def test_an_alert_reaches_the_channels_of_its_routes_that_are_there(root: Route, reached: str) -> None:
    stands = standing(policy(root))
    assert reaches(stands) == dict.fromkeys(reached.split(), ROUTED)
    assert (stands.suppressed, stands.by, stands.until) == (None, "", math.inf)


@pytest.mark.parametrize(
    ("group_by", "key", "text"),
    [
        (None, GroupKey(alert=KEY), 'disk_app{host="a"}'),
        ([], GroupKey("", Labels({})), "root{}"),
        (["host"], GroupKey("", Labels({"host": "a"})), 'root{host="a"}'),
        (["zone"], GroupKey("", Labels({"zone": ""})), 'root{zone=""}'),
        (["..."], GroupKey("", Labels(INCIDENT.target)), f"root{{{Labels(INCIDENT.target).text()}}}"),
    ],
)
def test_it_is_told_with_the_group_that_its_route_says(group_by: list[str] | None, key: GroupKey, text: str) -> None:
    address = standing(policy(Route(group_by=group_by, wait=30, interval=300))).addresses["ops"]
    assert (address.group, address.pace) == (key, Pace(30.0, 300.0))
    assert str(address.group) == text


def test_groups_of_two_routes_are_two_groups() -> None:
    below = [Route(match={"team": "x"}, channels=["ops"], continue_=True), Route(channels=["pager"])]
    stands = standing(policy(Route(group_by=["host"], routes=below)))
    assert [str(address.group) for address in stands.addresses.values()] == ['0{host="a"}', '1{host="a"}']


# -- the ladder --------------------------------------------------------------------------------------------------------

LADDER = Route(channels=["ops"], escalation=[("5m", ["pager"]), ("10m", ["chat", "ops"])])


@pytest.mark.parametrize(
    ("now", "called_at", "acknowledged", "pager", "chat", "until"),
    [
        (1000, None, False, NOT_ESCALATED, NOT_ESCALATED, math.inf),  # nobody was called yet
        (1000, 1000, False, NOT_ESCALATED, NOT_ESCALATED, 1300),
        (1299, 1000, False, NOT_ESCALATED, NOT_ESCALATED, 1300),
        (1300, 1000, False, ESCALATED, NOT_ESCALATED, 1600),
        (1600, 1000, False, ESCALATED, ESCALATED, math.inf),
        (1300, 1000, True, NOT_ESCALATED, NOT_ESCALATED, math.inf),
        (9999, 1000, True, NOT_ESCALATED, NOT_ESCALATED, math.inf),
    ],
)
def test_a_rung_is_reached_in_time_unless_somebody_is_on_it(
    now: float, called_at: float | None, acknowledged: bool, pager: Reach, chat: Reach, until: float
) -> None:
    stands = standing(policy(LADDER), now, called_at=called_at, acknowledged=acknowledged)
    assert reaches(stands) == {"ops": ROUTED, "pager": pager, "chat": chat}
    assert stands.until == until


# -- mutes -------------------------------------------------------------------------------------------------------------


def muted(*mutes: MuteTime, **changes: object) -> Route:
    return Route(mute_times=mutes, **changes)  # type: ignore[arg-type]


def test_a_mute_time_holds_for_all_channels_of_its_route_and_says_until_when() -> None:
    stands = standing(policy(muted(NIGHT, channels=["ops", "pager"])), HOUR - 60, offset=0.0)
    assert {(address.muted_by, address.muted_until) for address in stands.addresses.values()} == {("night", HOUR)}
    assert (stands.suppressed, stands.until) == (None, HOUR)


def test_a_mute_time_goes_by_the_wall_clock_and_its_end_is_told_on_the_timeline() -> None:
    stands = standing(policy(muted(NIGHT)), 100.0, offset=HOUR - 200)
    assert (stands.addresses["ops"].muted_by, stands.until) == ("night", 200.0)
    assert standing(policy(muted(NIGHT)), 200.0, offset=HOUR - 200).addresses["ops"].muted_by == ""


def test_of_two_mute_times_that_which_ends_last_counts() -> None:
    stands = standing(policy(muted(NIGHT, MORNING)))
    assert (stands.addresses["ops"].muted_by, stands.until) == ("morning", 2 * HOUR)


def test_a_channel_that_two_routes_name_is_told_by_that_which_is_not_muted() -> None:
    for below in (
        [muted(NIGHT, match={"team": "x"}, channels=["ops"], continue_=True), Route(channels=["ops", "pager"])],
        [Route(match={"team": "x"}, channels=["ops", "pager"], continue_=True), muted(NIGHT, channels=["ops"])],
    ):
        stands = standing(policy(Route(routes=below)))
        assert {channel: address.muted_by for channel, address in stands.addresses.items()} == {"ops": "", "pager": ""}
        assert stands.until == HOUR


@pytest.mark.parametrize(("called_at", "reach"), [(0.0, ESCALATED), (None, ROUTED)])
def test_a_rung_that_is_reached_tells_a_channel_that_a_muted_route_names(called_at: float | None, reach: Reach) -> None:
    """A rung that is not reached does not: then the channel is muted."""
    below = [
        muted(NIGHT, match={"team": "x"}, channels=["pager"], continue_=True),
        Route(channels=["ops"], escalation=[("1m", ["pager"])]),
    ]
    address = standing(policy(Route(routes=below)), 100.0, called_at=called_at).addresses["pager"]
    assert (address.reach, address.muted_by) == (reach, "" if reach is ESCALATED else "night")


# -- silences and inhibitions ------------------------------------------------------------------------------------------


def silence(name: str = "s1", starts_at: float = 50.0, ends_at: float = 500.0, **changes: object) -> Silence:
    given = {"alert_id": KEY.id, **changes}
    return Silence(name, starts_at=starts_at, ends_at=ends_at, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "suppressed", "until"),
    [
        (silence(), Reason.SILENCED, 500),
        (silence(starts_at=101.0), None, math.inf),  # what is not told yet is asked again before it is
        (silence(ends_at=100.0), None, math.inf),
        (silence(ended_at=90.0), None, math.inf),
        (silence(ends_at=60.0, until_resolved=True), Reason.SILENCED, math.inf),
        (silence(alert_id="other"), None, math.inf),
        (silence(alert_id=None, matchers=Matchers.of('host="a",severity!="critical"')), Reason.SILENCED, 500),
        (silence(alert_id=None, matchers=Matchers.of('alertname="other"')), None, math.inf),
    ],
)
def test_a_silence_keeps_it_from_everybody_until_its_end(said: Silence, suppressed: Reason | None, until: float) -> None:
    stands = standing(policy(None, said))
    assert (stands.suppressed, stands.by, stands.until) == (suppressed, "s1" if suppressed else "", until)
    assert reaches(stands) == dict.fromkeys(["ops", "pager", "chat"], ROUTED)


def test_an_alert_that_fires_inhibits_it_and_a_silence_is_named_first() -> None:
    said = policy()
    said.inhibitors = Inhibitors([Inhibition({"alertname": "down"}, {"alertname": "disk"}, ["host"])])
    said.inhibitors.put("down_app", {"alertname": "down", "host": "a"}, True)
    stands = standing(said)
    assert (stands.suppressed, stands.by, stands.until) == (Reason.INHIBITED, "down_app", math.inf)
    said.live["s1"] = silence()
    stands = standing(said)
    assert (stands.suppressed, stands.by, stands.until) == (Reason.SILENCED, "s1", 500.0)


# -- when to look again ------------------------------------------------------------------------------------------------


def test_one_looks_again_at_the_first_thing_that_time_will_change() -> None:
    said = policy(muted(NIGHT, channels=["ops"], escalation=[("2h", ["pager"])]), silence(ends_at=7000.0))
    seen = []
    now = 100.0
    while now < math.inf:
        stands = standing(said, now, called_at=0.0)
        seen.append((now, stands.suppressed, stands.addresses["ops"].muted_by, stands.addresses["pager"].reach))
        now = stands.until
    assert seen == [
        (100.0, Reason.SILENCED, "night", NOT_ESCALATED),
        (HOUR, Reason.SILENCED, "", NOT_ESCALATED),
        (7000.0, None, "", NOT_ESCALATED),
        (2 * HOUR, None, "", ESCALATED),
    ]


ROUTES = st.builds(
    lambda mutes, rungs, below: Route(
        mute_times=mutes,
        escalation=[(float(after), [channel]) for after, channel in rungs],
        routes=[Route(match={"team": "x"}, channels=["chat"], mute_times=more, continue_=True) for more in below],
    ),
    st.lists(st.sampled_from([NIGHT, MORNING]), max_size=2),
    st.lists(st.tuples(st.integers(1, 9000), st.sampled_from(["pager", "chat"])), max_size=3),
    st.lists(st.lists(st.sampled_from([NIGHT, MORNING]), max_size=1), max_size=2),
)
SILENCES = st.lists(st.builds(silence, st.sampled_from("ab"), st.just(0.0), st.integers(1, 9000)), max_size=2)


@given(ROUTES, SILENCES, st.floats(0, 9000), st.floats(0, 1))
def test_until_the_time_to_look_again_nothing_is_suppressed_less_or_reaches_more(
    root: Route, silences: list[Silence], now: float, share: float
) -> None:
    """Mutes and silences that begin meanwhile are no news: what is to be told is asked again before it is."""
    said = policy(root, *silences)
    before = standing(said, now, called_at=0.0)
    then = now + share * (min(before.until, 10_000.0) - now)
    if then >= before.until:
        return
    after = standing(said, then, called_at=0.0)
    assert before.suppressed is None or after.suppressed is not None
    for channel, address in before.addresses.items():
        assert after.addresses[channel].reach is address.reach
        assert not address.muted_by or after.addresses[channel].muted_by
