"""Configuration files: what they make, and what is said about a wrong one."""

import re
from pathlib import Path

import pytest

from kailash_monitor.alerts import LogNotificationChannel, WebhookNotificationChannel
from kailash_monitor.config import default_monitor, load_monitor
from kailash_monitor.errors import InvalidFile

EXAMPLE = Path(__file__).parent.parent / "examples" / "monitor.yaml"


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
    assert len(rules) == 7
    assert (rules["host_memory_high"].severity.value, rules["host_memory_high"].hold) == ("critical", 30)
    assert rules["disk_half_full"].group_by == ("mountpoint",)
    assert str(monitor.listen) == "127.0.0.1:9464"
    assert [type(channel) for channel in monitor.manager.notification_channels] == [LogNotificationChannel]


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
    assert (webhook._url, webhook._headers) == ("http://127.0.0.1/s3cret", {"Authorization": "Bearer s3cret"})  # type: ignore[attr-defined]
    assert "s3cret" not in repr(manager.notification_channels)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rulez: []", ":1: rulez: unknown key; did you mean 'rules'?"),
        ("zzz: 1", ":1: zzz: unknown key; use listen, namespace, collectors, default_rules, rules, channels"),
        ("- a", ":1: the file: not a mapping; write keys such as 'rules:' and 'channels:'"),
        ("rules: 5", ":1: rules: saw 5; input should be a valid list"),
        ("rules:\n- name: x\n  metric: m\n  condition: '> 5'\n  treshold: 5", ":5: rules[0].treshold: unknown key; did you mean 'threshold'?"),
        ("rules:\n- name: x\n  metric: m\n  condition: mean > 5", ":4: rules[0].condition: the unknown word 'mean' in the condition 'mean > 5'; use one of"),
        ("rules:\n- name: x\n  metric: m\n  condition: '> 5'\n  threshold: 4", ":5: rules[0].threshold: the threshold 4.0 beside the condition '> 5'; both must say the same number"),
        ("rules:\n- name: x\n  metric: m\n  condition: '> 5'\n  evaluation_interval: -5s", ":5: rules[0].evaluation_interval: evaluation_interval = '-5s'; a duration above zero"),
        ("rules:\n- name: x\n  metric: m\n  condition: '> 5'\n  severity: loud", ":5: rules[0].severity: saw 'loud'; use one of 'info', 'warning', 'error' or 'critical'"),
        ("rules:\n- metric: m\n  condition: '> 5'", ":2: rules[0]: name is missing"),
        ("rules:\n- {name: x, metric: m, condition: '> 5'}\n- {name: x, metric: m, condition: '> 6'}", ":3: rules[1].name: a second rule of that name; give it another name"),
        ("rules:\n- {name: a_host, metric: m, condition: '> 5', collector: process}\n- {name: a, metric: m, condition: '> 5', collector: host_process}", ":3: rules[1].name: the alert id 'a_host_process', which rule 'a_host' uses as well"),
        ("channels: [{type: pigeon}]", ":1: channels[0].type: saw 'pigeon'; use one of 'log', 'webhook'"),
        ("channels: [{level: ERROR}]", ":1: channels[0]: type is missing; use one of 'log', 'webhook'"),
        ("channels:\n- type: log\n  level: loud", ":3: channels[0].level: the level 'loud'; use one of"),
        ("channels:\n- type: webhook\n  url: s3cret", ":3: channels[0].url: an address that is no URL; use http://… or https://…"),
        ("channels:\n- type: webhook\n  url: [s3cret]", ":3: channels[0].url: input should be a valid string"),
        ("channels:\n- type: webhook\n  url: http://x/\n  tokn: s3cret", ":4: channels[0].tokn: unknown key; use"),
        ("channels:\n- type: webhook\n  url: ${NOT_SET_ANYWHERE}", ":3: channels[0].url: the environment variable NOT_SET_ANYWHERE is not set"),
        ("channels:\n- {type: log, name: a}\n- {type: log, name: a}", ":3: channels[1].name: a second of that name; give it another name"),
        ("collectors: {hots: {}}", ":1: collectors.hots: unknown key; did you mean 'host'?"),
        ("collectors: {host: {evry: 5s}}", ":1: collectors.host.evry: unknown key; did you mean 'every'?"),
        ("collectors: {host: {every: soon}}", ":1: collectors.host.every: 'soon' is not a duration"),
        ("collectors: {loop: {every: 0}}", ":1: collectors.loop.every: saw 0.0; use a duration above zero"),
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


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="cannot be read: No such file or directory"):
        load_monitor(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InvalidFile, match="cannot be read: it is not UTF-8 text"):
        load_monitor(tmp_path / "binary.yaml")
