"""The lists of the API: which rows, in which order, and what has changed of them."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.blocking import AlertManager as BlockingManager
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.testing import RecordingChannel
from kailash_monitor.web import Request, Site
from kailash_monitor.web.label_filter import EVERYTHING, LabelFilter
from kailash_monitor.web.listing import Listing, asked_filter, asked_text, asked_whole, asked_words, listing_of

TOKEN = "t0ken-that-nobody-guesses"
GOOD = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", "host": "127.0.0.1:9464"}
ROOT, VAR = 'disk_app{mount="/"}', 'disk_app{mount="/var"}'

Document = dict[str, Any]  # Any: JSON


async def ask(site: Site, path: str, **query: str | Sequence[str]) -> tuple[int, Document]:
    asked = {name: [value] if isinstance(value, str) else value for name, value in query.items()}
    response = await site.handle(Request("GET", path, query=asked))
    document = json.loads(response.body)
    assert isinstance(document, dict)
    return response.status, document


async def shown(site: Site, path: str, **query: str | Sequence[str]) -> Document:
    status, document = await ask(site, path, **query)
    assert status == 200, document
    return document


async def keys(site: Site, path: str, **query: str | Sequence[str]) -> list[str]:
    found = (await shown(site, path, **query))["keys"]
    assert isinstance(found, list)
    return found


async def say(site: Site, path: str, body: object = None, method: str = "POST") -> tuple[int, Document]:
    raw = json.dumps({} if body is None else body).encode()
    response = await site.handle(Request(method, path, headers=GOOD, body=raw))
    document = json.loads(response.body)
    assert isinstance(document, dict)
    return response.status, document


@pytest.fixture
async def manager(registry: MetricsRegistry) -> AsyncIterator[AlertManager]:
    """One that runs: two disks that are full, the second a second later; a queue, acknowledged; one that waits; one over."""
    manager = AlertManager(registry)
    app = registry.collector("app")
    runbook = {"runbook_url": "https://runbooks.example/disk"}
    for rule in (
        AlertRule("over", "d", "critical", "heat", "> 5", evaluation_interval=1),
        AlertRule("slow", "d", "critical", "delay", "> 5", evaluation_interval=1, hold=60),
        AlertRule("busy", "Jobs wait", "warning", "queue", "> 5", evaluation_interval=1, labels={"team": "x"}),
        AlertRule(
            "disk", "d", "critical", "used", "> 5", evaluation_interval=1, group_by=["mount"], annotations=runbook,
            labels={"team": "y"},
        ),
        AlertRule("never", "d", "info", "queue", "> 50", evaluation_interval=1),
    ):  # fmt: skip
        manager.add_rule(rule)
    app.create_metric("queue", MetricType.GAUGE, "Jobs that wait", "jobs")
    app.set_gauge("queue", 9)
    app.set_gauge("heat", 9)
    app.set_gauge("delay", 9)
    app.set_gauge("used", 9, {"mount": "/"})
    async with manager:
        await asyncio.sleep(1.5)
        app.set_gauge("used", 9, {"mount": "/var"})
        app.set_gauge("heat", 1)
        await asyncio.sleep(2)
        await manager.acknowledge_alert("busy_app", author="ann")
        yield manager


@pytest.fixture
async def site(manager: AlertManager) -> Site:
    return Site(manager, TOKEN)


# -- alerts


async def test_what_fires_comes_first_by_severity_the_newest_first_then_what_is_pending_then_what_is_over(
    site: Site,
) -> None:
    assert await keys(site, "/api/alerts") == [VAR, ROOT, "busy_app", "slow_app", "over_app"]


async def test_alerts_are_counted_all_of_them_whatever_is_asked_for(site: Site) -> None:
    for query in ({}, {"state": "pending"}, {"text": "nowhere"}, {"limit": "1"}):
        document = await shown(site, "/api/alerts", **query)
        assert document["counts"] == {"firing": 2, "pending": 1, "silenced": 0, "acknowledged": 1, "resolved": 1}
        assert document["severities"] == {"critical": 2, "error": 0, "warning": 1, "info": 0}
        assert list(document["severities"]) == ["critical", "error", "warning", "info"]


async def test_an_alert_says_who_is_on_it_and_where_it_is_written_what_to_do(site: Site) -> None:
    document = await shown(site, "/api/alerts")
    rows = {row["id"]: row for row in document["alerts"]}
    assert [rows[ROOT]["runbook"], rows[ROOT]["acknowledged_by"]] == ["https://runbooks.example/disk", None]
    assert [rows["busy_app"]["runbook"], rows["busy_app"]["acknowledged_by"]] == [None, "ann"]
    assert rows["busy_app"]["status"] == "acknowledged"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state": "firing"}, [VAR, ROOT]),
        ({"state": ["pending", "resolved"]}, ["slow_app", "over_app"]),
        ({"state": "silenced"}, []),
        ({"severity": "warning"}, ["busy_app"]),
        ({"severity": ["warning", "critical"], "state": "acknowledged"}, ["busy_app"]),
        ({"match": 'team="x"'}, ["busy_app"]),
        ({"match": "team!=x, severity=critical"}, [VAR, ROOT, "slow_app", "over_app"]),
        ({"match": 'mount=~"/v.*"'}, [VAR]),
        ({"match": '{mount!~"/.*", alertname!="slow"}'}, ["busy_app", "over_app"]),
        ({"match": ""}, [VAR, ROOT, "busy_app", "slow_app", "over_app"]),
        ({"text": "/VAR"}, [VAR]),
        ({"text": "jobs WAIT"}, ["busy_app"]),
        ({"text": "Slow"}, ["slow_app"]),
        ({"text": "critical", "state": "pending"}, ["slow_app"]),
        ({"text": "nowhere"}, []),
    ],
)  # fmt: skip
async def test_alerts_are_found_by_state_severity_labels_and_text(
    site: Site, query: Mapping[str, str | Sequence[str]], found: list[str]
) -> None:
    document = await shown(site, "/api/alerts", **query)
    assert (document["keys"], document["total"]) == (found, len(found))
    assert [row["id"] for row in document["alerts"]] == found


# -- pages, and what has changed


async def test_a_page_has_its_rows_and_says_how_many_there_are(site: Site) -> None:
    document = await shown(site, "/api/alerts", limit="2", offset="1")
    assert (document["total"], document["keys"], document["delta"]) == (5, [ROOT, "busy_app"], False)
    assert [row["id"] for row in document["alerts"]] == [ROOT, "busy_app"]
    assert await keys(site, "/api/alerts", offset="5") == []
    assert await keys(site, "/api/alerts", limit="500", offset="4") == ["over_app"]


async def test_who_asks_again_is_given_only_what_has_changed_since(site: Site, manager: AlertManager) -> None:
    first = await shown(site, "/api/alerts")
    again = await shown(site, "/api/alerts", since=first["cursor"])
    assert (again["delta"], again["alerts"], again["keys"]) == (True, [], first["keys"])
    await manager.acknowledge_alert(ROOT, author="bob")
    again = await shown(site, "/api/alerts", since=again["cursor"])
    assert [(row["id"], row["acknowledged_by"]) for row in again["alerts"]] == [(ROOT, "bob")]
    assert (await shown(site, "/api/alerts", since=again["cursor"]))["alerts"] == []
    assert [row["id"] for row in (await shown(site, "/api/alerts", since=first["cursor"]))["alerts"]] == [ROOT]


@pytest.mark.parametrize("cursor", ["", "x", "never-1", "never-"])
async def test_who_has_a_cursor_of_another_process_is_given_all(site: Site, cursor: str) -> None:
    document = await shown(site, "/api/alerts", since=cursor)
    assert (document["delta"], len(document["alerts"])) == (False, 5)


async def test_two_sites_do_not_know_each_others_cursors(site: Site, manager: AlertManager) -> None:
    first = await shown(site, "/api/rules")
    assert (await shown(Site(manager), "/api/rules", since=first["cursor"]))["delta"] is False


async def test_a_new_row_is_told_to_who_asks_again(site: Site, manager: AlertManager) -> None:
    first = await shown(site, "/api/rules")
    manager.add_rule(AlertRule("new", "d", "info", "queue", "> 5"))
    again = await shown(site, "/api/rules", since=first["cursor"])
    assert [*first["keys"], "new"] == again["keys"]
    assert [row["name"] for row in again["rules"]] == ["new"]


LISTS = ["alerts", "rules", "silences", "channels", "outbox", "dead-letters", "deliveries", "audit"]


@pytest.mark.parametrize("path", LISTS)
async def test_no_list_passes_over_what_it_does_not_know(site: Site, path: str) -> None:
    for query, field in (({"limit": "0"}, "limit"), ({"limits": "5"}, "limits")):
        status, document = await ask(site, f"/api/{path}", **query)
        assert (status, document["field"]) == (400, field)


@pytest.mark.parametrize(
    ("query", "field", "error"),
    [
        ({"limit": "0"}, "limit", "the request: limit = '0'; a whole number from 1 to 500"),
        ({"limit": "501"}, "limit", "the request: limit = '501'; a whole number from 1 to 500"),
        ({"limit": "many"}, "limit", "the request: limit = 'many'; a whole number"),
        ({"limit": ""}, "limit", "the request: limit = ''; a whole number"),
        ({"limit": ["1", "2"]}, "limit", "the request: 2 times limit; give it once"),
        ({"limit": "9" * 5_000}, "limit", "the request: limit = '999"),
        ({"offset": "-1"}, "offset", "the request: offset = '-1'; a whole number not below 0"),
        ({"offset": "²"}, "offset", "the request: offset = '²'; a whole number not below 0"),
        ({"offset": "1e3"}, "offset", "the request: offset = '1e3'; a whole number not below 0"),
        ({"since": ["a", "b"]}, "since", "the request: 2 times since; give it once"),
        ({"since": "x" * 2_000}, "since", "the request: since = 'xxx"),
        ({"limits": "5"}, "limits", "the request: the unknown parameter 'limits'; there are: limit, offset, since"),
    ],
)  # fmt: skip
async def test_a_page_that_cannot_be_meant_so_is_told_with_what_was_seen(
    registry: MetricsRegistry, query: Mapping[str, str | Sequence[str]], field: str, error: str
) -> None:
    status, document = await ask(Site(AlertManager(registry)), "/api/channels", **query)
    assert (status, document["field"]) == (400, field)
    assert document["error"].startswith(error)


@pytest.mark.parametrize(
    ("path", "query", "field", "error"),
    [
        ("alerts", {"state": "fired"}, "state", "the request: state = 'fired'; there are: pending, firing, silenced,"),
        ("alerts", {"state": ["firing", ""]}, "state", "the request: state = ''; there are: pending, firing,"),
        ("alerts", {"severity": "fatal"}, "severity", "the request: severity = 'fatal'; there are: info, warning, error,"),
        ("alerts", {"match": "team"}, "match", "the request: 'team' in the matchers 'team'; write name="),
        ("alerts", {"match": 'a=~"("'}, "match", "the request: the regular expression '(' for a"),
        ("alerts", {"match": 'a=~"(?=b)"'}, "match", "the request: the regular expression '(?=b)' for a: error parsing"),
        ("alerts", {"text": ["a", "b"]}, "text", "the request: 2 times text; give it once"),
        ("rules", {"state": "resolved"}, "state", "the request: state = 'resolved'; there are: disabled, waiting,"),
        ("silences", {"state": "over"}, "state", "the request: state = 'over'; there are: active, pending, expired"),
        ("deliveries", {"outcome": "lost"}, "outcome", "the request: outcome = 'lost'; there are: delivered, retry, given up"),
        ("silences/preview", {}, "match", "the request: match = ''; one matcher at least"),
        ("silences/preview", {"match": 'a=~".*"'}, "match", "the request: match = 'a=~\".*\"'; one matcher at least"),
        ("silences/preview", {"match": "a"}, "match", "the request: 'a' in the matchers 'a'; write name="),
        ("silences/preview", {"matchers": "a=b"}, "matchers", "the request: the unknown parameter 'matchers'; there are: match"),
    ],
)  # fmt: skip
async def test_a_filter_that_cannot_be_meant_so_is_told_with_what_was_seen(
    registry: MetricsRegistry, path: str, query: Mapping[str, str | Sequence[str]], field: str, error: str
) -> None:
    status, document = await ask(Site(AlertManager(registry)), f"/api/{path}", **query)
    assert (status, document["field"]) == (400, field)
    assert document["error"].startswith(error)


# -- how a request is read


def test_what_is_not_asked_for_is_everything() -> None:
    assert listing_of({}) == Listing()
    assert Listing().page([1, 2, 3]) == [1, 2, 3]
    assert Listing(limit=1, offset=1).page([1, 2, 3]) == [2]
    assert (asked_text({}, "text"), asked_words({}, "state", ["a"])) == ("", frozenset())
    assert asked_whole({}, "range", 3600, least=300) == 3600
    assert asked_filter({}) == EVERYTHING


@pytest.mark.parametrize(("given", "least", "most"), [("299", 300, None), ("86401", 300, 86_400), ("1" * 10, 0, None)])
def test_a_whole_number_has_limits(given: str, least: int, most: int | None) -> None:
    with pytest.raises(ConfigurationError, match=r"a whole number (from \d+ to \d+|not below \d+)"):
        asked_whole({"range": [given]}, "range", None, least=least, most=most)


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("a=b", {"a": "b"}, True),
        ("a=b", {}, False),
        ("a!=b", {}, True),
        ('a=~"b|c"', {"a": "c"}, True),
        ('a=~"b"', {"a": "bb"}, False),
        ('a!~"b.*"', {"a": "bb"}, False),
        ('a=~".*", c=d', {"c": "d"}, True),
        ('a="b", c="d"', {"a": "b"}, False),
    ],
)
def test_labels_are_filtered_as_silences_match_them(text: str, labels: dict[str, str], matches: bool) -> None:
    assert LabelFilter.of(text, where="here", field="match").matches(labels) is matches


def test_an_expression_of_a_stranger_does_not_run_away() -> None:
    """Python's `re` would take longer than the universe has."""
    assert not LabelFilter.of('a=~"(a+)+b"', where="here", field="match").matches({"a": "a" * 5_000})


# -- rules


async def test_rules_are_found_by_state_and_text(site: Site, manager: AlertManager) -> None:
    manager.disable_rule("never")
    assert await keys(site, "/api/rules") == ["over", "slow", "busy", "disk", "never"]
    assert await keys(site, "/api/rules", state=["firing", "pending"]) == ["slow", "busy", "disk"]
    assert await keys(site, "/api/rules", state="disabled") == ["never"]
    assert await keys(site, "/api/rules", text="JOBS") == ["busy"]
    assert await keys(site, "/api/rules", text="queue") == ["busy", "never"]


async def test_a_rule_says_the_unit_of_what_it_reads_and_how_long_that_took(site: Site) -> None:
    rows = {row["name"]: row for row in (await shown(site, "/api/rules"))["rules"]}
    assert (rows["busy"]["unit"], rows["disk"]["unit"]) == ("jobs", None)
    assert rows["busy"]["duration_ms"] == 0.0  # on virtual time


async def test_a_rule_is_disabled_and_enabled(site: Site, manager: AlertManager) -> None:
    status, document = await say(site, "/api/rules/busy/disable")
    assert (status, document["rule"]["name"], document["rule"]["state"]) == (200, "busy", "disabled")
    assert not manager.rules["busy"].enabled
    status, document = await say(site, "/api/rules/busy/enable")
    assert (status, document["rule"]["enabled"]) == (200, True)
    assert manager.rules["busy"].enabled


async def test_a_rule_is_tested_again_at_once(site: Site, manager: AlertManager, registry: MetricsRegistry) -> None:
    manager.add_rule(AlertRule("rare", "d", "info", "heat", "> 5", evaluation_interval="1h"))
    await asyncio.sleep(1)
    registry.collector("app").set_gauge("heat", 9)
    await asyncio.sleep(60)
    assert await keys(site, "/api/alerts", text="rare") == []
    assert await say(site, "/api/rules/rare/evaluate") == (200, {"rule": "rare"})
    await asyncio.sleep(1)
    assert await keys(site, "/api/alerts", text="rare") == ["rare_app"]


async def test_a_disabled_rule_is_not_tested_again(site: Site, manager: AlertManager) -> None:
    manager.disable_rule("busy")
    error = "rule 'busy': it is disabled; enable it to have it judged"
    assert await say(site, "/api/rules/busy/evaluate") == (400, {"error": error, "field": None})


@pytest.mark.parametrize("what", ["enable", "disable", "evaluate"])
async def test_a_rule_that_is_not_there(site: Site, what: str) -> None:
    assert await say(site, f"/api/rules/a/b/{what}") == (404, {"error": "no rule 'a/b'"})
    status, document = await say(site, f"/api/rules/busy/{what}", {"force": True})
    assert (status, document["field"]) == (400, "force")


# -- silences


async def test_silences_that_hold_come_first_then_those_to_come_then_those_that_are_over(
    site: Site, manager: AlertManager
) -> None:
    over = manager.silence(team="x", reason="over")
    await manager.end_silence(over.id)
    later = manager.silence(team="x", starts_in="1h")
    old = manager.silence(team="x")
    await asyncio.sleep(1)
    new = manager.silence(team="x")
    assert await keys(site, "/api/silences") == [new.id, old.id, later.id, over.id]
    assert await keys(site, "/api/silences", state=["expired", "pending"]) == [later.id, over.id]


async def test_a_preview_tells_what_a_silence_would_cover(site: Site) -> None:
    document = await shown(site, "/api/silences/preview", match="team=y")
    assert document["total"] == 2
    assert [row["id"] for row in document["alerts"]] == [VAR, ROOT]
    document = await shown(site, "/api/silences/preview", match="severity=critical")
    assert [row["id"] for row in document["alerts"]] == [VAR, ROOT, "slow_app"]  # what is over is not silenced
    assert (await shown(site, "/api/silences/preview", match="team=z"))["alerts"] == []


async def test_a_preview_shows_a_hundred_and_counts_them_all(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    manager.add_rule(AlertRule("disk", "d", "critical", "used", "> 5", evaluation_interval=1, group_by=["mount"]))
    for number in range(150):
        registry.collector("app").set_gauge("used", 9, {"mount": f"/{number}"})
    async with manager:
        await asyncio.sleep(1.5)
        document = await shown(Site(manager), "/api/silences/preview", match="alertname=disk")
    assert (document["total"], len(document["alerts"])) == (150, 100)


# -- notifications


async def test_attempts_are_told_the_newest_first(registry: MetricsRegistry) -> None:
    answers: dict[NoticeKind, Outcome] = {NoticeKind.RESOLVED: Rejected("too long")}
    manager = AlertManager(registry)
    manager.add_notification_channel(RecordingChannel("ops", lambda notice: answers.get(notice.kind)))
    manager.add_notification_channel(RecordingChannel("pager"))
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1))
    registry.collector("app").set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(2)
        registry.collector("app").set_gauge("queue", 1)
        await asyncio.sleep(2)
        site = Site(manager)
        document = await shown(site, "/api/deliveries", channel="ops")
        assert [(row["kind"], row["outcome"], row["why"]) for row in document["deliveries"]] == [
            ("resolved", "given up", "too long"),
            ("firing", "delivered", ""),
        ]
        fired = document["deliveries"][1]
        assert (fired["channel"], fired["title"], fired["alert_ids"], fired["attempt"]) == ("ops", "Busy", ["busy_app"], 1)
        assert len(set(await keys(site, "/api/deliveries"))) == 4
        assert len(await keys(site, "/api/deliveries", outcome="delivered")) == 3
        assert await keys(site, "/api/deliveries", channel="nobody") == []
        assert len(await keys(site, "/api/dead-letters", channel="ops")) == 1
        assert await keys(site, "/api/dead-letters", channel="pager") == []


async def test_a_channel_that_fails_says_until_when_it_is_left_alone_and_what_it_may_be_sent(
    registry: MetricsRegistry,
) -> None:
    manager = AlertManager(registry)
    channel = RecordingChannel("ops", lambda _: Retry("HTTP 500"))
    manager.add_notification_channel(channel, rate=(1, 20), fallback="pager", fallback_after="1h")
    manager.add_notification_channel(RecordingChannel("pager"), rate=(2, 4))
    manager.add_rule(AlertRule("disk", "d", "critical", "used", "> 5", evaluation_interval=1, group_by=["mount"]))
    for number in range(8):
        registry.collector("app").set_gauge("used", 9, {"mount": f"/{number}"})
    async with manager:
        await asyncio.sleep(1.5)
        ops, pager = (await shown(Site(manager), "/api/channels"))["channels"]
        assert (ops["state"], ops["rate"], ops["burst"], ops["fallback"], ops["refuses"]) == ("open", 1, 20, "pager", False)
        assert ops["since"] < ops["open_until"]
        assert 0 <= ops["tokens"] < 20
        assert (pager["state"], pager["open_until"], pager["fallback"]) == ("ok", None, None)
        waiting = (await shown(Site(manager), "/api/outbox", channel="ops"))["waiting"]
        assert len({row["id"] for row in waiting}) == 8
        assert await keys(Site(manager), "/api/outbox", channel="nobody") == []


async def test_a_channel_that_takes_nothing_any_more_refuses(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    manager.add_notification_channel(RecordingChannel("ops", lambda _: Gone("it was closed")))
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1))
    registry.collector("app").set_gauge("queue", 9)
    async with manager:
        await asyncio.sleep(1.5)
        (ops,) = (await shown(Site(manager), "/api/channels"))["channels"]
        assert (ops["refuses"], ops["why"]) == (True, "it was closed")


@pytest.mark.parametrize(
    ("outcome", "word", "why"),
    [
        (Delivered(), "delivered", ""),
        (Retry("HTTP 500"), "retry", "HTTP 500"),
        (Rejected("HTTP 400"), "rejected", "HTTP 400"),
        (Gone("HTTP 410"), "gone", "HTTP 410"),
        (Unauthorised("HTTP 401"), "unauthorised", "HTTP 401"),
    ],
)
async def test_a_test_through_a_channel_tells_what_became_of_it(
    site: Site, manager: AlertManager, outcome: Outcome, word: str, why: str
) -> None:
    manager.add_notification_channel(RecordingChannel("tested", lambda notice: outcome))
    assert await say(site, "/api/channels/tested/test") == (200, {"channel": "tested", "outcome": word, "why": why})


@pytest.mark.real_time
async def test_a_test_that_a_blocking_manager_waits_for_does_not_hold_the_event_loop_up_and_there_are_few_at_a_time() -> (
    None
):
    begun, go_on = threading.Semaphore(0), threading.Event()

    class Slow(BlockingManager):
        def try_channel(self, name: str) -> Outcome | None:
            begun.release()
            go_on.wait(20)
            return Delivered()

    site = Site(Slow(MetricsRegistry()), TOKEN)
    trying = [asyncio.create_task(say(site, "/api/channels/ops/test")) for _ in range(4)]
    for _ in trying:
        assert await asyncio.to_thread(begun.acquire, timeout=20)
    status, document = await say(site, "/api/channels/ops/test")
    assert (status, document["outcome"]) == (200, "retry")
    assert document["why"] == "4 tests are under way; try again when one is over"
    go_on.set()
    assert {document["outcome"] for _, document in await asyncio.gather(*trying)} == {"delivered"}


async def test_a_channel_that_is_not_there(site: Site) -> None:
    assert await say(site, "/api/channels/a/b/test") == (404, {"error": "no channel 'a/b'"})


async def test_what_was_changed_is_told_the_newest_first(site: Site) -> None:
    await say(site, "/api/rules/busy/disable")
    await say(site, "/api/rules/busy/enable")
    document = await shown(site, "/api/audit")
    assert [row["what"] for row in document["deeds"]] == ["enabled the rule busy", "disabled the rule busy"]
    assert document["keys"] == [row["id"] for row in document["deeds"]]


# -- health


async def test_health_counts_what_there_is(site: Site, manager: AlertManager) -> None:
    manager.silence(team="x")
    manager.silence(team="x", starts_in="1h")
    manager.disable_rule("never")
    document = await shown(site, "/api/health")
    assert (document["status"], document["reason"], document["running"], document["ready"]) == ("ok", None, True, True)
    assert document["rules"] == {"total": 5, "enabled": 4, "errors": 0}
    assert (document["channels"], document["waiting"], document["dead_letters"]) == ({"total": 0, "failing": 0}, 0, 0)
    assert document["silences"] == 1
    assert document["alerts"]["counts"]["silenced"] == 1
    assert document["alerts"]["severities"]["critical"] == 2
    assert document["last_evaluation"] <= document["at"]
    assert document["collectors"] >= 1
    assert document["series"] >= 5
    assert document["version"]


async def test_health_is_told_while_it_fails(registry: MetricsRegistry) -> None:
    document = await shown(Site(AlertManager(registry)), "/api/health")
    assert (document["status"], document["reason"], document["last_evaluation"]) == ("failing", "it does not run", None)


# -- the blocking manager


@pytest.mark.real_time
async def test_a_blocking_manager_shows_and_takes_the_same() -> None:
    manager = BlockingManager(MetricsRegistry())
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=1))
    manager.add_notification_channel(RecordingChannel("ops"))
    site = Site(manager, TOKEN)
    for path in (*LISTS, "health"):
        await shown(site, f"/api/{path}")
    assert (await say(site, "/api/rules/busy/disable"))[1]["rule"]["state"] == "disabled"
    assert (await say(site, "/api/rules/busy/enable"))[1]["rule"]["state"] == "waiting"
    assert await say(site, "/api/rules/busy/evaluate") == (200, {"rule": "busy"})
    status, document = await say(site, "/api/channels/ops/test")
    assert (status, document["outcome"]) == (200, "retry")  # it does not run
