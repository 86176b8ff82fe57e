"""Configuration files: what they make, and what is said about a wrong one."""

import inspect
import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from kailash_monitor.alerting.route import destinations
from kailash_monitor.alerts import AlertRule, LogNotificationChannel, Route, WebhookNotificationChannel
from kailash_monitor.channels.mapping import CHANNEL_TYPES, channel_parameters
from kailash_monitor.config import default_monitor, load_monitor
from kailash_monitor.config.loader import load_contents
from kailash_monitor.config.schema import CHANNEL_KEYS, BurnRateSettings, QuerySettings, RuleSettings, Settings, keys_of
from kailash_monitor.delivery.bucket import Rate
from kailash_monitor.errors import InvalidFile
from kailash_monitor.storage import SqliteStore

EXAMPLE = Path(__file__).parent.parent / "examples" / "monitor.yaml"

needs_apprise = pytest.mark.skipif(find_spec("apprise") is None, reason="apprise, from its extra, is not installed")


@pytest.fixture
def write(tmp_path: Path) -> object:
    def write_file(text: str) -> Path:
        path = tmp_path / "monitor.yaml"
        path.write_text(text)
        return path

    return write_file


def test_without_a_file_it_watches_this_machine() -> None:
    monitor = default_monitor()
    manager = monitor.manager
    assert list(manager.metrics_registry.get_all_collectors()) == ["host", "process", "loop"]
    assert len(manager.rules) == 6
    assert [type(channel) for channel in manager.notification_channels] == [LogNotificationChannel]
    assert monitor.listen is None


def test_the_example_adds_to_the_defaults_and_replaces_by_name() -> None:
    monitor = load_monitor(EXAMPLE)
    rules = monitor.manager.rules
    assert len(rules) == 9
    assert (rules["host_memory_high"].severity.value, rules["host_memory_high"].hold) == ("critical", 30)
    assert rules["disk_filling"].group_by == ("mountpoint",)
    assert [level.clear for level in rules["disk_filling"].levels] == [None, 0.78, 0.93]
    assert str(monitor.listen) == "127.0.0.1:9464"
    assert list(monitor.manager.channels_by_name()) == ["log", "pager"]


def shown(key: str) -> bool:
    return re.search(rf"(^|[\s{{#-]){key}:", EXAMPLE.read_text()) is not None


MAPPINGS = ["match", "continue", "wait", "interval", "mute_times", "escalation", "after"]  # of routes
MAPPINGS += ["weekdays", "times", "days", "months", "time_zone", "source", "target", "equal"]


@pytest.mark.parametrize(
    "key",
    sorted({*keys_of(Settings), *keys_of(RuleSettings), *keys_of(QuerySettings), *keys_of(BurnRateSettings), *MAPPINGS}),
)
def test_the_example_shows_every_key(key: str) -> None:
    assert shown(key)


@pytest.mark.parametrize("kind", CHANNEL_TYPES)
def test_the_example_shows_every_type_of_channel_and_each_of_its_keys_or_the_file_in_its_place(kind: str) -> None:
    assert re.search(rf"- type: {kind}$", EXAMPLE.read_text(), re.MULTILINE)
    names = {key.removeprefix("webhook_").removesuffix("_file") for key in (*channel_parameters(kind), *CHANNEL_KEYS)}
    assert {name for name in names if not shown(name) and not shown(f"{name}_file")} == set()


@needs_apprise
def test_the_channels_of_the_example_that_are_switched_off_would_work_too(write) -> None:  # type: ignore[no-untyped-def]
    file = write(EXAMPLE.read_text().replace("    enabled: false\n    ", "    "))
    manager = load_monitor(file).manager
    assert list(manager.channels_by_name()) == ["log", "pager", "operations", *list(CHANNEL_TYPES)[2:]]


def test_what_the_example_says_in_a_comment_can_be_read_too(write) -> None:  # type: ignore[no-untyped-def]
    """Objectives are about counters of a program of one's own, which a monitor of the machine does not have."""
    lines = EXAMPLE.read_text().splitlines()
    begin = lines.index("# burn_rates:")
    block = [line.removeprefix("# ") for line in lines[begin : lines.index("", begin)]]
    with pytest.raises(InvalidFile) as refused:
        load_monitor(write("\n".join(block)))
    assert re.findall(r": (burn_rates.*)", str(refused.value)) == [
        "burn_rates[0].collector: the collector 'web', which is not there or switched off; use one of host, process, loop, monitor"
    ]


def test_a_file_can_say_of_a_rule_what_a_program_can() -> None:
    """But for functions, for burn rates, which have a place of their own, and for places in rule files."""
    parameters = set(inspect.signature(AlertRule.__init__).parameters) - {"self"}
    keys = {*RuleSettings.model_fields, *QuerySettings.model_fields}
    assert parameters - keys == {"reading", "burn_rate", "place"}
    assert keys <= parameters


def test_rule_files_lie_beside_the_file_that_names_them(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yml").write_text("groups: [{name: g, rules: [{alert: Down, expr: up == 0, for: 5m}]}]")
    manager = load_monitor(write("rule_files: ['rules/*.yml']\ndefault_rules: false")).manager
    assert [(rule.name, rule.hold) for rule in manager.rules.values()] == [("Down", 300.0)]


def test_a_rule_of_a_file_is_the_rule_of_a_program(write) -> None:  # type: ignore[no-untyped-def]
    manager = load_monitor(write("""
        rules:
        - name: disk
          metric: disk_usage_ratio
          condition: ">"
          levels: {critical: 0.95, warning: 0.8}
          clear: {warning: 0.75}
          no_data: ok
          max_alerts: 5
          group_by: [mountpoint]
          flapping: [6, 1h]
          on_write: true
    """)).manager  # fmt: skip
    assert manager.rules["disk"] == AlertRule(
        "disk", "", None, "disk_usage_ratio", ">", levels={"warning": 0.8, "critical": 0.95}, clear={"warning": 0.75},
        no_data="ok", max_alerts=5, group_by=["mountpoint"], flapping=(6, "1h"), on_write=True,
    )  # fmt: skip


def test_an_objective_becomes_four_rules(write) -> None:  # type: ignore[no-untyped-def]
    text = (
        "burn_rates: [{name: disk, good: disk_read, total: disk_written, objective: 0.999, min_events: 7, labels: {a: b}}]"
    )
    rules = [rule for name, rule in load_monitor(write(text)).manager.rules.items() if name.startswith("disk_burn_rate_")]
    assert [rule.threshold for rule in rules] == [14.4, 6, 3, 1]
    assert {(rule.burn_rate.min_events, rule.labels["a"]) for rule in rules if rule.burn_rate} == {(7, "b")}


def routes_of(manager) -> Route:  # type: ignore[no-untyped-def]
    return manager.core.dispatcher.policy.root  # type: ignore[no-any-return]


def test_alerts_go_along_the_routes_of_a_file(write) -> None:  # type: ignore[no-untyped-def]
    manager = load_monitor(write("""
        channels:
        - {type: log}
        - {type: webhook, name: ops, url: "http://127.0.0.1/x"}
        mute_times:
        - {name: night, times: ["22:00-06:00"], time_zone: Europe/Berlin}
        routes:
          channels: [log]
          group_by: [host]
          routes:
          - match: severity="critical"
            channels: [log, ops]
            escalation: [{after: 10m, channels: [ops]}]
          - match: {team: night}
            mute_times: [night]
            wait: 30s
        inhibitions:
        - {source: alertname="down", target: severity=~"info|warning", equal: [host]}
    """)).manager  # fmt: skip
    root = routes_of(manager)
    (critical,) = destinations(root, {"severity": "critical"})
    assert (critical.channels, [rung.after for rung in critical.escalation]) == (("log", "ops"), [600])
    (night,) = destinations(root, {"team": "night"})
    assert (night.channels, night.wait, night.group_by) == (("log",), 30, ("host",))
    assert [mute.time_zone for mute in night.mute_times] == ["Europe/Berlin"]
    assert destinations(root, {})[0].mute_times == ()
    assert [one.equal for one in manager.core.dispatcher._inhibitions] == [("host",)]


def test_without_routes_every_channel_is_told_of_everything() -> None:
    assert routes_of(default_monitor().manager) == Route()


def test_defaults_can_be_switched_off(write) -> None:  # type: ignore[no-untyped-def]
    monitor = load_monitor(write("""
        default_rules: false
        namespace: ""
        collectors: {host: {enabled: false}, process: {enabled: false}, loop: {every: 2s}}
        channels:
          - {type: log, enabled: false}
          - {type: webhook, url: "http://127.0.0.1/x", name: ops}
    """))  # fmt: skip
    manager = monitor.manager
    assert (manager.rules, list(manager.metrics_registry.get_all_collectors())) == ({}, ["loop"])
    assert manager._sampler.sources[0].every == 2
    assert [type(channel) for channel in manager.notification_channels] == [WebhookNotificationChannel]


def test_default_rules_go_with_their_collector(write) -> None:  # type: ignore[no-untyped-def]
    manager = load_monitor(write("collectors: {host: {enabled: false}}")).manager
    assert list(manager.rules) == ["loop_lag_high"]


def test_secrets_come_from_the_environment(write, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HOOK", "http://127.0.0.1/s3cret")
    monkeypatch.setenv("TOKEN", "s3cret")
    manager = load_monitor(
        write("channels: [{type: webhook, url: '${HOOK}', headers: {Authorization: 'Bearer ${TOKEN}'}}]")
    ).manager
    (_, webhook) = manager.notification_channels
    assert (webhook._url.value, webhook._headers.value) == ("http://127.0.0.1/s3cret", {"authorization": "Bearer s3cret"})  # type: ignore[attr-defined]
    assert "s3cret" not in repr(manager.notification_channels)


SECRET = {
    "webhook": "url: 'http://me:s3cret@x/s3cret?s3cret', headers: {X-Key: s3cret}, secret: s3cret",
    "slack": "url: 'http://x/s3cret'",
    "email": "smtp_host: x, smtp_port: 25, username: me@x, password: s3cret, to_emails: you@x",
    "pagerduty": "routing_key: s3cret",
    "teams": "url: 'http://x/s3cret?s3cret'",
    "discord": "url: 'http://x/s3cret'",
    "telegram": "token: '1:s3cret', chat_id: 5",
    "alertmanager": "urls: ['http://x/s3cret'], headers: {X-Key: s3cret}, token: s3cret",
    "apprise": "urls: ['json://me:s3cret@x/s3cret']",
}
"""A channel of each type that has secrets, with all of them."""

WITH_SECRETS = [pytest.param(kind, marks=needs_apprise if kind == "apprise" else ()) for kind in SECRET]


@pytest.mark.parametrize("kind", WITH_SECRETS)
def test_a_channel_of_any_type_shows_no_secret(write, kind: str) -> None:  # type: ignore[no-untyped-def]
    file = write(f"channels: [{{type: {kind}, name: this, {SECRET[kind]}}}]")
    monitor, contents = load_monitor(file), load_contents(file)
    channel = monitor.manager.channels_by_name()["this"]
    assert type(channel).__name__ == CHANNEL_TYPES[kind]
    for text in map(repr, (monitor, channel, contents, contents.settings, contents.channels[0])):
        assert "s3cret" not in text


@pytest.mark.parametrize("kind", WITH_SECRETS)
@pytest.mark.parametrize(
    "extra", ["nothing: s3cret", "timeout: s3cret", "rate: s3cret", "enabled: maybe", "fallback: nobody"]
)
def test_a_mistake_beside_secrets_shows_none_of_them(write, kind: str, extra: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidFile) as refused:
        load_monitor(write(f"channels: [{{type: {kind}, {SECRET[kind]}, {extra}}}]"))
    (problem,) = refused.value.problems
    assert f": channels[0].{extra.partition(':')[0]}: " in problem
    assert "s3cret" not in problem.replace("the timeout 's3cret'", "").replace("'s3cret' is not a duration", "")


def policy(manager, name: str):  # type: ignore[no-untyped-def]
    return manager.core.outbox.gates()[name].policy


@pytest.mark.parametrize("rate", ["{per_second: 0.5, burst: 3}", "[0.5, 3]"])
def test_a_file_says_how_a_channel_is_to_be_used(write, rate: str) -> None:  # type: ignore[no-untyped-def]
    manager = load_monitor(write(f"""
        channels:
        - {{type: slack, url: "http://x/", rate: {rate}, fallback: second, fallback_after: 90s}}
        - {{type: teams, url: "http://x/", name: second}}
    """)).manager  # fmt: skip
    slack, teams = policy(manager, "slack"), policy(manager, "second")
    assert (slack.rate, slack.fallback, slack.fallback_after) == (Rate(0.5, 3), "second", 90)
    assert (teams.rate, teams.fallback, teams.fallback_after) == (Rate(1.0, 5), None, 300)


def test_the_log_that_is_there_by_default_can_be_a_fallback(write) -> None:  # type: ignore[no-untyped-def]
    manager = load_monitor(write("channels: [{type: slack, url: 'http://x/', fallback: log}]")).manager
    assert policy(manager, "slack").fallback == "log"


def test_a_file_may_name_the_parameter_of_the_class_instead_of_the_short_key(write) -> None:  # type: ignore[no-untyped-def]
    manager: object = load_monitor(write("channels: [{type: webhook, webhook_url: 'http://x/'}]")).manager
    assert "webhook" in manager.channels_by_name()  # type: ignore[attr-defined]


def test_only_a_file_that_states_a_store_has_one_and_it_is_not_touched(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert load_monitor(write("default_rules: true")).store is None
    assert default_monitor().store is None
    stated = load_monitor(write(f"store: {tmp_path}/alerts.db"))
    assert isinstance(stated.store, SqliteStore)
    assert not (tmp_path / "alerts.db").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rulez: []", ":1: rulez: unknown key; did you mean 'rules'?"),
        ("zzz: 1", ":1: zzz: unknown key; use listen, store, namespace, collectors, default_rules, heartbeat, rules, rule_files, burn_rates, "),
        ("- a", ":1: the file: not a mapping; write keys such as 'rules:' and 'channels:'"),
        ("rules: 5", ":1: rules: saw 5; write a list, each item after a dash"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  treshold: 5", ":5: rules[0].treshold: unknown key; did you mean 'threshold'?"),
        ("rules:\n- name: x\n  metric: load1\n  condition: mean > 5", ":4: rules[0].condition: the unknown word 'mean' in the condition 'mean > 5'; use one of"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  threshold: 4", ":5: rules[0].threshold: the threshold 4.0 beside the condition '> 5'; both must say the same number"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  evaluation_interval: -5s", ":5: rules[0].evaluation_interval: evaluation_interval = '-5s'; a duration above zero"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  severity: loud", ":5: rules[0].severity: saw 'loud'; use one of 'info', 'warning', 'error' or 'critical'"),
        ("rules:\n- metric: load1\n  condition: '> 5'", ":2: rules[0]: name is missing"),
        ("rules:\n- {name: x, metric: load1, condition: '> 5'}\n- {name: x, metric: load1, condition: '> 6'}", ":3: rules[1].name: a second rule of that name; give it another name"),
        ("channels: [{type: pigeon}]", ":1: channels[0].type: the type 'pigeon'; use one of log, webhook, slack, email, "),
        ("channels: [{type: emial}]", ":1: channels[0].type: the type 'emial'; did you mean 'email'?"),
        ("channels: [{type: [s3cret]}]", ":1: channels[0].type: a type that is no text; use one of log"),
        ("channels: [{level: ERROR}]", ":1: channels[0]: no type; use one of log, webhook, slack, email, "),
        ("channels:\n- type: log\n  level: loud", ":3: channels[0].level: the level 'loud'; use one of"),
        ("channels:\n- type: webhook\n  url: s3cret", ":3: channels[0].url: an address that is no URL; use http://… or https://…"),
        ("channels:\n- type: webhook\n  url: [s3cret]", ":3: channels[0].url: webhook_url is a list; use a text"),
        ("channels:\n- type: webhook\n  url:", ":3: channels[0].url: webhook_url is empty; use a text"),
        ("channels:\n- type: webhook\n  url: http://x/\n  webhook_url: http://x/s3cret", ":3: channels[0].url: the unknown key 'url'; use one of webhook_url, "),
        ("channels:\n- type: webhook\n  url: http://x/\n  tokn: s3cret", ":4: channels[0].tokn: the unknown key 'tokn'; use one of webhook_url, headers, name, secret,"),
        ("channels:\n- type: log\n  falback: s3cret", ":3: channels[0].falback: the unknown key 'falback'; did you mean 'fallback'?"),
        ("channels:\n- type: log\n  parameters: s3cret", ":3: channels[0].parameters: the unknown key 'parameters'; use one of level, name, enabled, rate, fallback, fallback_after"),
        ("channels:\n- type: webhook\n  url: ${NOT_SET_ANYWHERE}", ":3: channels[0].url: the environment variable NOT_SET_ANYWHERE is not set"),
        ("channels:\n- {type: log, name: a}\n- {type: log, name: a}", ":3: channels[1].name: a second of that name; give it another name"),
        ("collectors: {hots: {}}", ":1: collectors.hots: unknown key; did you mean 'host'?"),
        ("collectors: {host: {evry: 5s}}", ":1: collectors.host.evry: unknown key; did you mean 'every'?"),
        ("collectors: {host: {every: soon}}", ":1: collectors.host.every: 'soon' is not a duration"),
        ("collectors: {loop: {every: 0}}", ":1: collectors.loop.every: saw 0; use a duration of 100ms at least"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  evaluation_interval: 1ms", ":5: rules[0].evaluation_interval: evaluation_interval = '1ms'; a duration of 10ms at least"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  evaluation_interval: true", ":5: rules[0].evaluation_interval: True is not a duration"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  hold: true", ":5: rules[0].hold: True is not a duration"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  hold: [1]", ":5: rules[0].hold: [1] is not a duration"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  threshold: true", ":5: rules[0].threshold: saw True; write a number"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  enabled: perhaps", ":5: rules[0].enabled: saw 'perhaps'; write true or false"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  labels: [a]", ":5: rules[0].labels: write a mapping, such as {key: value}"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  group_by: path", ":5: rules[0].group_by: saw 'path'; write a list, each item after a dash"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  description: 5", ":5: rules[0].description: saw 5; write a text; put it into quotes"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  collector: hots", ":5: rules[0].collector: the collector 'hots', which is not there or switched off; did you mean 'host'?"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  collector: galaxy", ":5: rules[0].collector: the collector 'galaxy', which is not there or switched off; use one of host, process, loop, monitor"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  collector: process", ":3: rules[0].metric: the metric 'load1', which the collector 'process' does not have; use one of cpu, "),
        ("rules:\n- name: x\n  metric: lod1\n  condition: '> 5'", ":3: rules[0].metric: the metric 'lod1', which no collector has; did you mean 'load1' or 'load15' or 'load5'?"),
        ('rules:\n- name: "a\\nb"\n  metric: load1\n  condition: "> 5"', ":2: rules[0].name: a control character in the name; a name is one line of text"),
        ("rules: [5]", ":1: rules[0]: saw 5; write a mapping, such as {key: value}"),
        ("rules:", ":1: rules: nothing stands here; leave the key out, or write a list, each item after a dash"),
        ("channels:", ":1: channels: nothing stands here; leave the key out, or write a list, each item after a dash"),
        ("collectors:", ":1: collectors: nothing stands here; leave the key out, or write a mapping, such as {key: value}"),
        ("collectors: {loop: {every: 50ms}}", ":1: collectors.loop.every: saw '50ms'; use a duration of 100ms at least"),
        ("collectors: {loop: {every: true}}", ":1: collectors.loop.every: True is not a duration"),
        ("channels: [s3cret]", ":1: channels[0]: write a mapping, such as {key: value}"),
        ("channels:\n- type: webhook\n  url: 'http://x:65536/s3cret'", ":3: channels[0].url: an address with an impossible port; use a port from 1 to 65535"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  headers: {a b: s3cret}", ":4: channels[0].headers: the header name 'a b'; letters, digits and hyphens, no space"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  headers: {a: 5}", ":4: channels[0].headers: the value of the header 'a'; a text on one line"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  headers: [s3cret]", ":4: channels[0].headers: headers is a list; use a mapping"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  headers: {a: \"s3cret\\n\"}", ":4: channels[0].headers: the value of the header 'a'; a text on one line"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  secret: whsec_s3cret", ":4: channels[0].secret: a secret with "),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  secret: 5", ":4: channels[0].secret: secret is a whole number; use a text"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  secret: s3cret\n  secret_file: s3cret", ":4: channels[0].secret: both secret and secret_file; give one of them"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  format: xml", ":4: channels[0].format: the format 'xml'; use one of json, alertmanager"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  timeout: 5m", ":4: channels[0].timeout: the timeout '5m'; use more than 0 and at most 1m"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  timeout: true", ":4: channels[0].timeout: timeout is true or false; use a number or a text"),
        ("channels:\n- type: webhook\n  url: 'http://x/'\n  egress: none", ":4: channels[0].egress: the egress 'none'; use \"private\" or \"public\""),
        ("channels:\n- type: slack\n  channel: ops", ":2: channels[0]: no webhook_url; it needs webhook_url"),
        ("channels:\n- type: slack\n  url: s3cret", ":3: channels[0].url: an address that is no URL"),
        ("channels:\n- type: slack\n  url: 'http://x/'\n  mention: {loud: '@here'}", ":4: channels[0].mention: "),
        ("channels:\n- type: slack\n  url: 'http://x/'\n  text_template: '{{ nothing }}'", ":4: channels[0].text_template: text_template, line 1: "),
        ("channels:\n- type: teams\n  webhook_url: s3cret", ":3: channels[0].webhook_url: an address that is no URL"),
        ("channels:\n- type: discord\n  url: 'http://x/'\n  username: discord", ":4: channels[0].username: the username 'discord'"),
        ("channels:\n- type: telegram\n  chat_id: 5", ":2: channels[0]: neither token nor token_file; give one of them"),
        ("channels:\n- type: telegram\n  token: s3cret\n  chat_id: 5", ":3: channels[0].token: a token that is none; "),
        ("channels:\n- type: telegram\n  token: 1:s3cret\n  chat_id: [5]", ":4: channels[0].chat_id: chat_id is a list; use a whole number or a text"),
        ("channels:\n- type: pagerduty\n  routing_key: a s3cret", ":3: channels[0].routing_key: a routing_key that is none; "),
        ("channels:\n- type: pagerduty\n  routing_key: s3cret\n  url: s3cret", ":4: channels[0].url: an address that is no URL"),
        ("channels:\n- type: email\n  smtp_host: x\n  smtp_port: 25\n  from_email: a@x\n  to_emails: 5", ":6: channels[0].to_emails: to_emails is a whole number; use a list or a text"),
        ("channels:\n- type: email\n  smtp_host: x\n  smtp_port: '25'\n  from_email: a@x\n  to_emails: a@x", ":4: channels[0].smtp_port: smtp_port is a text; use a whole number"),
        ("channels:\n- type: email\n  smtp_host: x\n  smtp_port: 25\n  from_email: a@x\n  to_emails: a@x\n  html: 'no'", ":7: channels[0].html: html is a text; use true or false"),
        ("channels:\n- type: email\n  smtp_host: x\n  smtp_port: 25\n  from_email: a@x\n  to_emails: a@x\n  security: much", ":7: channels[0].security: the security 'much'; use one of starttls, tls, none"),
        ("channels:\n- type: email\n  smtp_host: x\n  smtp_port: 25\n  username: a@x\n  to_emails: a@x\n  password: [s3cret]", ":7: channels[0].password: password is a list; use a text"),
        ("channels:\n- type: email\n  smtp_host: x\n  smtp_port: 25\n  username: a@x\n  to_emails: a@x\n  password: s3cret\n  use_tls: false", ":8: channels[0].use_tls: a password that would go to x in clear"),
        ("channels:\n- type: alertmanager\n  urls: []", ":3: channels[0].urls: no addresses; "),
        ("channels:\n- type: alertmanager\n  urls: [s3cret]", ":3: channels[0].urls: an address that is no URL"),
        ("channels:\n- type: alertmanager\n  urls: {a: s3cret}", ":3: channels[0].urls: "),
        ("channels:\n- type: alertmanager\n  urls: http://x\n  token: s3cret\n  username: a\n  password: s3cret", ":4: channels[0].token: a token beside a username and a password"),
        ("channels:\n- type: alertmanager\n  urls: http://x\n  resend_every: 5d", ":4: channels[0].resend_every: resend_every = '5d'; use a second to a day"),
        pytest.param("channels:\n- type: apprise\n  urls: ['nobody-knows://s3cret']", ":3: channels[0].urls: address 1 of 1, which Apprise does not know", marks=needs_apprise),
        ("channels:\n- type: log\n  rate: 5", ":3: channels[0].rate: write how many messages a second and at once: {per_second: 1, burst: 5}, or [1, 5]"),
        ("channels:\n- type: log\n  rate: {per_second: 1, bust: 5}", ":3: channels[0].rate: write how many messages a second and at once: "),
        ("channels:\n- type: log\n  rate: [0, 5]", ":3: channels[0].rate: 0 messages a second; a number above zero, such as 0.5"),
        ("channels:\n- type: log\n  rate: {per_second: 1, burst: 1.5}", ":3: channels[0].rate: a burst of 1.5; a whole number, 1 at least"),
        ("channels:\n- type: log\n  fallback: [s3cret]", ":3: channels[0].fallback: write a text; put it into quotes"),
        ("channels:\n- type: log\n  fallback: lgo", ":3: channels[0].fallback: the channel 'lgo', which is not there or switched off; did you mean 'log'?"),
        ("channels:\n- type: log\n  fallback: log", ":3: channels[0].fallback: fallback = 'log'; the name of another channel"),
        ("channels:\n- {type: log, fallback: b}\n- {type: log, name: b, enabled: false}", ":2: channels[0].fallback: the channel 'b', which is not there or switched off; use one of log"),
        ("channels:\n- {type: log, fallback: b}\n- {type: log, name: b, level: loud}", ":3: channels[1].level: the level 'loud'"),
        ("channels:\n- type: log\n  fallback_after: soon", ":3: channels[0].fallback_after: 'soon' is not a duration"),
        ("channels:\n- type: log\n  fallback_after: -5s", ":3: channels[0].fallback_after: fallback_after = '-5s'; a duration not negative"),
        ("channels:\n- type: log\n  name: [s3cret]", ":3: channels[0].name: name is a list; use a text"),
        ("channels:\n- type: slack\n  enabled: false\n  url: [s3cret]", ":4: channels[0].url: webhook_url is a list; use a text"),
        ("store: 5", ":1: store: saw 5; write a text; put it into quotes"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '>'\n  severity: error\n  levels: {warning: 1, error: 2}", ":5: rules[0].severity: severity = 'error' beside levels; the levels name the severities; leave it out"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '>'\n  levels:\n    loud: 1\n    error: 2", ":6: rules[0].levels.loud: saw 'loud'; use one of 'info', 'warning', 'error' or 'critical'"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '>'\n  levels:\n    info: 1\n    error: '2'", ":7: rules[0].levels.error: saw '2'; write a number"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '>'\n  levels: 5", ":5: rules[0].levels: saw 5; write a mapping, such as {key: value}"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '>'\n  levels: {info: 2, error: 1}", ":5: rules[0].levels: info at 2, error at 1; a graver severity has a higher threshold with '>'"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  clear: low", ":5: rules[0].clear: saw 'low'; write a number"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  clear: {warning: 1}", ":5: rules[0].clear: clear = {'warning': 1.0} without levels; a number, or give levels= as well"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  no_data: perhaps", ":5: rules[0].no_data: saw 'perhaps'; use one of 'keep', 'alert' or 'ok'"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  max_alerts: 1.5", ":5: rules[0].max_alerts: saw 1.5; write a whole number"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  max_alerts: 5", ":5: rules[0].max_alerts: max_alerts without group_by; such a rule has one alert in each collector; leave it out"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  flapping: often", ":5: rules[0].flapping: flapping = 'often'; how many changes in what time are too many"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  on_write: perhaps", ":5: rules[0].on_write: saw 'perhaps'; write true or false"),
        ("rules:\n- name: x\n  metric: load1\n  condition: '> 5'\n  reading: load1", ":5: rules[0].reading: unknown key; use name, description"),
        ("burn_rates:\n- name: x\n  good: disk_read\n  total: disk_written\n  objective: 99", ":5: burn_rates[0].objective: objective = 99.0; between 0 and 1, such as 0.999 for 99.9 %"),
        ("burn_rates:\n- name: x\n  good: disk_red\n  total: disk_written\n  objective: 0.99", ":3: burn_rates[0].good: the metric 'disk_red', which no collector has; did you mean 'disk_read'"),
        ("burn_rates:\n- name: x\n  good: disk_read\n  total: disk_written\n  objectiv: 0.99\n  objective: 0.99", ":5: burn_rates[0].objectiv: unknown key; did you mean 'objective'?"),
        ("burn_rates:\n- {name: x, good: disk_read, total: disk_written, objective: 0.9}", ":2: burn_rates[0]: a burn rate of 14.4 with the objective 0.9; it is 10 when everything fails; ask for less"),
        ("mute_times:\n- name: x\n  times: ['25:00-26:00']", ":3: mute_times[0].times: '25:00-26:00' in times; write '22:00-06:00', from 00:00 to 24:00"),
        ("mute_times:\n- name: x\n  weekday: [mon]", ":3: mute_times[0].weekday: the unknown key 'weekday'; did you mean 'weekdays'?"),
        ("mute_times:\n- name: x\n  weekdays: [mon]\n  time_zone: Europe/Berln", ":4: mute_times[0].time_zone: the time zone 'Europe/Berln', which is not known here"),
        ("mute_times:\n- weekdays: [mon]", ":2: mute_times[0]: the name None; a mute time needs a name on one line"),
        ("mute_times: [night]", ":1: mute_times[0]: saw 'night'; write a mapping, such as {key: value}"),
        ("mute_times:\n- {name: x, days: [1]}\n- {name: x, days: [2]}", ":3: mute_times[1].name: a second of that name; give it another name"),
        ("routes:", ":1: routes: nothing stands here; leave the key out, or write a mapping, such as {key: value}"),
        ("routes:\n  chanels: [log]", ":2: routes.chanels: the unknown key 'chanels'; did you mean 'channels'?"),
        ("routes:\n  match: {a: b}", ":2: routes.match: match = 'a=\"b\"' at the root; the root takes every alert, with neither match nor continue"),
        ("routes:\n  channels: [lgo]", ":2: routes.channels[0]: the channel 'lgo', which is not there or switched off; did you mean 'log'?"),
        ("routes:\n  routes:\n  - match: a=b\n    channels:\n    - log\n    - pager", ":6: routes.routes[0].channels[1]: the channel 'pager', which is not there or switched off; use one of log"),
        ("routes:\n  escalation:\n  - {after: 5m, channels: [log]}\n  - {after: 9m, channels: [pager]}", ":4: routes.escalation[1].channels[0]: the channel 'pager', which is not there"),
        ("routes:\n  escalation:\n  - {after: 5m, channels: [log]}\n  - {after: 0s, channels: [log]}", ":4: routes.escalation[1].after: after = '0s'; a duration above zero"),
        ("routes:\n  routes:\n  - {match: a=b, routes: [{match: a=b}, {match: 'a='}]}", ":3: routes.routes[0].routes[1].match: 'a=' in the matchers 'a='; write name=\"value\""),
        ("routes:\n  mute_times: [night]", ":2: routes.mute_times: the unknown mute time 'night'; define it first"),
        ("channels:\n- {type: log, name: a, enabled: false}\n- {type: log}\nroutes: {channels: [a]}", ":4: routes.channels[0]: the channel 'a', which is not there or switched off; use one of log"),
        ("channels: [{type: log, enabled: false}]\nroutes: {channels: [log]}", ":2: routes.channels[0]: the channel 'log', which is not there or switched off; add a channel"),
        ("channels: [{type: log, name: a, level: loud}]\nroutes: {channels: [a]}", ":1: channels[0].level: the level 'loud'"),
        ("mute_times: [{name: a, days: [99]}]\nroutes: {mute_times: [a]}", ":1: mute_times[0].days: 99 in days"),
        ("inhibitions:\n- source: {a: b}", ":2: inhibitions[0]: no target; it needs source and target"),
        ("inhibitions:\n- source: {a: b}\n  target: ''", ":3: inhibitions[0].target: target matches everything: ''; at least one matcher"),
        ("inhibitions:\n- source: {a: b}\n  target: {a: c}\n  equals: [a]", ":4: inhibitions[0].equals: the unknown key 'equals'; did you mean 'equal'?"),
        ("rules:\n- name: x\n  expr: 'sum('", ":3: rules[0].expr: 1:5: parse error: unclosed left parenthesis"),
        ("rules:\n- name: x\n  expr: up == 0\n  condition: '> 5'", ":4: rules[0].condition: beside expr, which says all of it; leave one of them out"),
        ("rules:\n- name: x\n  expr: up == 0\n  severitty: info", ":4: rules[0].severitty: unknown key; did you mean 'severity'?"),
        ("rules:\n- name: x\n  expr: up == 0\n  annotations: {summary: '{{ nothing }}'}", ":4: rules[0].annotations: annotations.summary: template"),
        ("rule_files: [nothing.yml]", ":1: rule_files: "),
        ("rule_files: rules.yml", ":1: rule_files: saw 'rules.yml'; write a list, each item after a dash"),
        ("listen: nowhere", ":1: listen: 'nowhere'; write host:port"),
        ("namespace: a b", ":1: namespace: the namespace 'a b'; letters"),
        ("a: [", ":1:5: "),
    ],
)  # fmt: skip
def test_a_problem_names_file_line_key_and_what_is_allowed(write, text: str, problem: str) -> None:  # type: ignore[no-untyped-def]
    path = write(text)
    with pytest.raises(InvalidFile) as refused:
        load_monitor(path)
    assert len(refused.value.problems) == 1
    assert f"{path}{problem}" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_all_problems_are_told_at_once_in_order(write) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidFile) as refused:
        load_monitor(write("colectors: {}\nrules:\n- {name: x}\nchannels: [{type: pigeon}]\n"))
    assert [int(re.findall(r"yaml:(\d+):", line)[0]) for line in refused.value.problems] == [1, 3, 3, 4]


def test_problems_of_shape_and_of_sense_are_told_together(write) -> None:  # type: ignore[no-untyped-def]
    """A wrong key must not keep back what is wrong elsewhere, nor a wrong rule that its name is taken."""
    with pytest.raises(InvalidFile) as refused:
        load_monitor(write("""\
            namespace: a b
            listen: nowhere
            colectors: {}
            collectors: {loop: {every: 1ms}}
            rules:
            - {name: shape, metric: load1, condition: '> 5', holt: 5m}
            - {name: word, metric: load1, condition: mean > 5}
            - {name: shape, metric: load1, condition: '> 6', clear: 9}
            - {name: word, metric: load1}
            channels:
            - {type: log, level: loud}
            - {type: webhook, url: nowhere, name: a}
            - {type: webhook, url: 'http://x/', name: a}
            - {type: pigeon}
            burn_rates:
            - {name: x, good: disk_read, total: disk_read, objective: 0.99}
            mute_times:
            - {name: night, times: [noon]}
            routes:
              channels: [a, b]
              mute_times: [night, day]
              routes:
              - {match: x=, channels: [nobody]}
              - {channels: [nobody], routes: [{wait: -1s}]}
            inhibitions:
            - {source: {a: b}}
        """))  # fmt: skip
    told = [re.sub(r".*\.yaml:(\d+): ([\w.\[\]]+): .*", r"\1 \2", line) for line in refused.value.problems]
    assert told == [
        "1 namespace", "2 listen", "3 colectors", "4 collectors.loop.every", "6 rules[0].holt", "7 rules[1].condition",
        "8 rules[2].clear", "8 rules[2].name", "9 rules[3].name", "9 rules[3]", "11 channels[0].level", "12 channels[1].url",
        "13 channels[2].name", "14 channels[3].type", "16 burn_rates[0].good", "18 mute_times[0].times",
        "21 routes.mute_times", "23 routes.routes[0].match", "24 routes.routes[1].channels[0]",
        "24 routes.routes[1].routes[0].wait", "26 inhibitions[0]",
    ]  # fmt: skip


def test_a_name_may_be_taken_again_from_a_channel_that_is_switched_off(write) -> None:  # type: ignore[no-untyped-def]
    file = write("channels:\n- {type: log, name: a, enabled: false}\n- {type: log, name: a}")
    assert [type(channel) for channel in load_monitor(file).manager.notification_channels] == [LogNotificationChannel]


def test_rules_may_judge_what_the_toolkit_measures_of_itself(write) -> None:  # type: ignore[no-untyped-def]
    text = "rules: [{name: late, metric: rule_evaluations_late, collector: monitor, condition: '> 5'}]"
    assert "late" in load_monitor(write(text)).manager.rules


def test_a_rule_for_a_collector_that_is_switched_off_is_told(write) -> None:  # type: ignore[no-untyped-def]
    text = "collectors: {host: {enabled: false}}\nrules: [{name: x, metric: load1, collector: host, condition: '> 5'}]"
    with pytest.raises(InvalidFile, match="the collector 'host', which is not there or switched off; use one of process"):
        load_monitor(write(text))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_or_a_device_is_no_file_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(InvalidFile, match="cannot be read: it is not a file"):
            load_monitor(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="cannot be read: No such file or directory"):
        load_monitor(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InvalidFile, match="cannot be read: it is not UTF-8 text"):
        load_monitor(tmp_path / "binary.yaml")


def test_a_heartbeat_is_called_as_the_file_says(write, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("BEAT", "s3cret")
    manager = load_monitor(write("heartbeat: {url: 'http://127.0.0.1:9/${BEAT}', every: 2m, timeout: 3s}")).manager
    assert "s3cret" not in repr(vars(manager))
    assert manager.heartbeat is not None
    assert manager.heartbeat.every == 120.0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{every: 1m}", "heartbeat: url is missing"),
        ("{url: 's3cret'}", "heartbeat.url: "),
        ("{url: 'http://127.0.0.1:9/s3cret', every: 10ms}", "heartbeat.every: every = 0.01"),
        ("{url: 'http://127.0.0.1:9/s3cret', ever: 1m}", "heartbeat.ever: unknown key; did you mean 'every'?"),
        ("{url: 'http://127.0.0.1:9/s3cret', method: PUT}", "heartbeat.method: saw 'PUT'; use one of 'GET' or 'POST'"),
    ],
)
def test_what_is_wrong_with_a_heartbeat_is_told_without_its_address(write, text: str, problem: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidFile) as refused:
        load_monitor(write(f"heartbeat: {text}"))
    assert problem.split(" = ", maxsplit=1)[0] in str(refused.value)
    assert "s3cret" not in str(refused.value)
