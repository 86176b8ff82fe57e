"""Channels that fail: breakers, pauses, fallbacks, missed incidents, dead letters, and the toolkit's own alert about them."""

import pytest

from kailash_monitor.alerting.route import Route
from kailash_monitor.delivery.outcome import Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.rules import AlertRule
from kailash_monitor.testing import RecordingChannel, Simulator

DOWN = Retry("HTTP 503")


class Switch(RecordingChannel):
    """Takes everything until it is told what else to answer."""

    def __init__(self, name: str) -> None:
        super().__init__(name, lambda _: self.says)
        self.says: Outcome | None = None


def busy(name: str = "busy", **changes: object) -> AlertRule:
    given = {"condition": "> 5", "notification_interval": 0, **changes}
    return AlertRule(name, "Too much waits", "warning", "queue", **given)  # type: ignore[arg-type]


def attempts(sim: Simulator, channel: str) -> list[float]:
    return [entry.at for entry in sim.timeline if getattr(entry, "channel", "") == channel and hasattr(entry, "outcome")]


@pytest.mark.parametrize("luck", [0.0, 0.5, 1.0])
def test_what_retry_after_asks_for_is_waited_for_and_no_second_more(luck: float) -> None:
    switch = Switch("ops")
    sim = Simulator(busy(), channels=[switch], luck=luck)
    switch.says = Retry("HTTP 429", after=7.0)
    sim.set("queue", 9)
    switch.says = None
    sim.advance("1m")
    first, second = attempts(sim, "ops")
    assert 7.0 <= second - first < 8.0
    assert sim.told() == ["firing"]


def test_retry_after_holds_for_the_whole_channel() -> None:
    """Who answers 429 means all that comes from us, and not this one message."""
    switch = Switch("ops")
    sim = Simulator(busy(group_by=["host"]), channels=[switch])
    switch.says = Retry("HTTP 429", after=7.0)
    sim.set("queue", 9, {"host": "a"})
    sim.advance("1s")
    sim.set("queue", 9, {"host": "b"})
    sim.advance("5s")
    assert len(attempts(sim, "ops")) == 1


def test_the_breaker_opens_after_its_count_and_lets_one_probe_through_under_ten_concurrent_sends() -> None:
    switch = Switch("ops")
    sim = Simulator(busy(group_by=["host"]), channels=[switch], takes={"ops": 1.0})
    switch.says = DOWN
    for host in range(10):
        sim.collector().set_gauge("queue", 9, {"host": str(host)})
    sim.advance("10.9s")
    begun = len(switch.attempts)
    assert 5 <= begun <= 16  # eight at a time; what was under way when it opened may end
    switch.says = None
    sim.advance("500ms")
    assert len(switch.attempts) == begun + 1  # the probe, and nothing beside it while it is out
    sim.advance("500ms")
    assert len(switch.attempts) == begun + 1
    sim.advance("30s")
    assert sorted({notice.alert.labels["host"] for notice in switch.notices}) == [str(host) for host in range(10)]


def test_what_came_and_went_fifty_times_in_an_outage_is_one_missed_notice_with_the_true_summary() -> None:
    switch = Switch("ops")
    sim = Simulator(busy(evaluation_interval="1s"), channels=[switch])
    switch.says = DOWN
    fired = []
    for _ in range(50):
        sim.set("queue", 9)
        sim.advance("6s")
        fired.append(sim.manager.alerts["busy_app"])
        sim.set("queue", 1)
        sim.advance("6s")
    assert sim.clock.time >= 600.0
    ended = sim.manager.alerts["busy_app"]
    switch.says = None
    sim.advance("2m")
    (notice,) = switch.notices
    assert notice.kind.value == "missed"
    assert notice.extra["missed"] == 50
    assert notice.extra["first_fired_at"] == fired[0].fired_at.isoformat()  # type: ignore[union-attr]
    assert notice.extra["last_resolved_at"] == ended.resolved_at.isoformat()  # type: ignore[union-attr]


def test_a_firing_never_comes_after_its_resolved_whatever_the_outage() -> None:
    switch = Switch("ops")
    sim = Simulator(busy(evaluation_interval="1s"), channels=[switch], takes={"ops": 3.0})
    for number in range(60):
        switch.says = [None, DOWN, Retry("no answer", in_doubt=True)][number % 3]
        sim.set("queue", 9 if number % 2 else 1)
        sim.advance("5s")
    switch.says = None
    sim.set("queue", 1)
    sim.advance("10m")
    last: dict[int, str] = {}
    for notice in switch.notices:
        kind, incident = notice.kind.value, notice.alert.incident
        if kind in ("firing", "repeat"):
            assert last.get(incident) not in ("resolved", "missed")
        last[incident] = kind
    assert switch.notices[-1].alert.status.value == "resolved"


# -- fallbacks and the toolkit's own alert -----------------------------------------------------------------------------


def with_fallback(**policy: object) -> tuple[Simulator, Switch, Switch]:
    pager, mail = Switch("pager"), Switch("mail")
    sim = Simulator(busy(), channels=[])
    sim.add_channel(pager, fallback="mail", **policy)
    sim.add_channel(mail)
    sim.manager.set_routes(Route(channels=["pager"]))
    return sim, pager, mail


def kinds(channel: RecordingChannel, rule: str = "busy") -> list[str]:
    return [notice.kind.value for notice in channel.notices if notice.alert.rule_name == rule]


def test_a_fallback_is_told_once_the_outage_has_lasted_and_hears_the_end() -> None:
    sim, pager, mail = with_fallback()
    pager.says = DOWN
    sim.set("queue", 9)
    sim.advance("299s")
    assert kinds(mail) == []
    sim.advance("10s")
    assert kinds(mail) == ["firing"]
    assert kinds(mail, "channel_failing") == []  # the routes lead to the pager only
    pager.says = None
    sim.advance("2m")
    assert kinds(pager) == ["firing"]
    sim.set("queue", 1)
    sim.advance("1m")
    assert kinds(mail) == ["firing", "resolved"]
    assert kinds(pager) == ["firing", "resolved"]
    sim.set("queue", 9)
    sim.advance("1m")
    assert kinds(mail) == ["firing", "resolved"]  # the pager is well


@pytest.mark.parametrize("answer", [Rejected("HTTP 400"), Unauthorised("HTTP 401"), Gone("HTTP 410")])
def test_a_fallback_is_told_at_once_where_the_channel_refuses_for_good(answer: Outcome) -> None:
    sim, pager, mail = with_fallback()
    pager.says = answer
    sim.set("queue", 9)
    sim.advance("1s")
    assert kinds(mail) == ["firing"]
    sim.set("queue", 1)
    sim.advance("30s")
    assert kinds(mail) == ["firing", "resolved"]


def test_the_own_alert_tells_the_others_that_a_channel_fails_and_is_over_when_it_works_again() -> None:
    pager, mail = Switch("pager"), Switch("mail")
    sim = Simulator(busy(), channels=[pager, mail])
    pager.says = DOWN
    sim.set("queue", 9)
    sim.advance("10m")
    assert kinds(mail, "channel_failing") == ["firing"]
    (own,) = [notice for notice in mail.notices if notice.alert.rule_name == "channel_failing"]
    assert own.alert.labels == {"channel": "pager"}
    assert "HTTP 503" in own.alert.description
    pager.says = None
    sim.advance("2m")
    assert kinds(mail, "channel_failing") == ["firing", "resolved"]
    assert kinds(pager, "channel_failing") == []  # it knows
    assert sim.registry.self_metrics.channels_up.labels("pager").value == 1.0


def test_a_fallback_that_is_down_as_well_loses_nothing() -> None:
    sim, pager, mail = with_fallback()
    pager.says = mail.says = DOWN
    sim.set("queue", 9)
    sim.advance("20m")
    mail.says = None
    sim.advance("2m")
    assert kinds(mail) == ["firing"]
    pager.says = None
    sim.set("queue", 1)
    sim.advance("5m")
    assert kinds(mail) == ["firing", "resolved"]
    assert kinds(pager) in (["missed"], ["firing", "resolved"])


def test_a_channel_cannot_be_its_own_fallback() -> None:
    with pytest.raises(ChannelError, match="the name of another channel"):
        Simulator(channels=[]).add_channel("ops", fallback="ops")


# -- dead letters ------------------------------------------------------------------------------------------------------


def test_what_is_refused_is_a_dead_letter_and_can_be_discarded() -> None:
    switch = Switch("ops")
    sim = Simulator(busy(), channels=[switch])
    switch.says = Rejected("HTTP 400")
    sim.set("queue", 9)
    (letter,) = sim.manager.dead_letters()
    assert (letter.channel, letter.why, letter.attempts, letter.notice.kind.value) == ("ops", "HTTP 400", 1, "firing")
    assert sim.manager.core.outbox.discard("nothing") is None
    sim.manager.discard(letter.id)
    assert sim.manager.dead_letters() == []


@pytest.mark.untraced
def test_what_cannot_be_delivered_for_a_day_is_a_dead_letter() -> None:
    switch = Switch("ops")
    sim = Simulator(busy(), channels=[switch])
    switch.says = DOWN
    sim.set("queue", 9)
    sim.advance("25h")
    (letter,) = sim.manager.dead_letters()
    assert letter.why == "HTTP 503, for a day"


def test_resending_a_letter_whose_alert_is_over_tells_that_it_was_missed() -> None:
    switch = Switch("ops")
    sim = Simulator(busy(), channels=[switch])
    switch.says = Rejected("HTTP 400")
    sim.set("queue", 9)
    sim.advance("1m")
    sim.set("queue", 1)
    sim.advance("1m")
    switch.says = None
    (letter,) = sim.manager.dead_letters()
    sim.manager.resend(letter.id)
    sim.advance("1s")
    assert [(notice.kind.value, notice.extra.get("missed")) for notice in switch.notices] == [("missed", 1)]


@pytest.mark.untraced
def test_dead_letters_are_bounded_and_those_dropped_are_counted() -> None:
    switch = Switch("ops")
    sim = Simulator(busy(evaluation_interval="1s"), channels=[switch])
    switch.says = Rejected("HTTP 400")
    for _ in range(1_010):
        sim.set("queue", 9)
        sim.advance("2s")
        sim.set("queue", 1)
        sim.advance("2s")
    letters = sim.manager.core.outbox.letters
    assert (len(letters), letters.dropped) == (1_000, 10)


# -- what is kept alive ------------------------------------------------------------------------------------------------


def test_where_the_other_side_forgets_what_fires_is_told_again_whatever_people_did() -> None:
    memory = RecordingChannel("am")
    memory.resend_every = 60.0
    sim = Simulator(busy(), channels=[memory])
    sim.set("queue", 9)
    sim.advance("1s")
    sim.manager.acknowledge_alert("busy_app")
    sim.manager.silence_alert("busy_app", "1h")
    sim.advance("10m")
    assert kinds(memory) == ["firing"] + ["repeat"] * 10
    sim.set("queue", 1)
    sim.advance("5m")
    assert kinds(memory)[-1] == "resolved"
    assert kinds(memory).count("resolved") == 1
