"""Templates: texts of the owner's own, tried when they are made, harmless when they fail."""

import html
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor import channels
from kailash_monitor.channels import template as module
from kailash_monitor.channels.samples import SAMPLES
from kailash_monitor.channels.template import Template, text_of
from kailash_monitor.channels.text import lines, plain
from kailash_monitor.errors import ChannelError, MissingExtra
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity

BEGAN = datetime(2026, 11, 25, 8, tzinfo=UTC)
ALERT = Alert(
    "cpu_app",
    "cpu",
    AlertSeverity.CRITICAL,
    "High CPU usage",
    "All busy",
    labels={"service": "checkout", "region": "eu"},
    annotations={"runbook": "https://wiki/cpu", "team": "ops"},
    status=AlertStatus.FIRING,
    fired_at=BEGAN,
    value=0.97,
    threshold=0.9,
)
EXTRA = {"reason": "fired", "condition": "> 0.9", "recent": [0.1, None, 0.97]}
NOTICE = Notice("id", NoticeKind.FIRING, ALERT, sent_at=BEGAN.timestamp(), extra=EXTRA)
DIGEST = Notice(
    "id",
    NoticeKind.DIGEST,
    ALERT,
    sent_at=BEGAN.timestamp(),
    items=(Item(NoticeKind.RESOLVED, replace(ALERT, status=AlertStatus.RESOLVED)), Item(NoticeKind.FIRING, ALERT)),
    extra={"counts": {"firing": 9, "resolved": 1}},
)


def template(source: str, *, html: bool = False) -> Template:
    return Template(source, field="body", where="email channel", html=html)


# -- what a template can say


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ title }}", "FIRING [critical] High CPU usage"),
        ("{{ headline }}", "FIRING [critical] High CPU usage (is 0.97, limit 0.9): All busy {service=checkout, region=eu} https://wiki/cpu"),
        ("{{ kind }} {{ alert.title }} {{ alert.severity }}", "firing High CPU usage critical"),
        ("{{ alert.value }} {{ alert.threshold }} {{ alert.fired_at }}", "0.97 0.9 2026-11-25T08:00:00+00:00"),
        ("{% for name, value in facts %}{{ name }}={{ value }};{% endfor %}.", "Value=0.97, limit 0.9;Since=2026-11-25 08:00:00 UTC;Trend=▁ █;."),
        ("{{ labels }}.", "service=checkout, region=eu."),
        ("{{ labels.service }}, {{ alert.labels['region'] }}", "checkout, eu"),
        ("{{ labels.host }}|{{ labels.host or 'no host' }}|{{ 'host' in labels }}", "|no host|False"),
        ("{% for name, value in labels.items() %}{{ name }}:{{ value }};{% endfor %}.", "service:checkout;region:eu;."),
        ("{{ alert.annotations.team }}{{ alert.annotations.page }}.", "ops."),
        ("{{ runbook }}", "https://wiki/cpu"),
        ("{{ colour }}", "#c62828"),
        ("{{ context.reason }} {{ context.condition }} {{ context.missed }}", "fired > 0.9 None"),
        ("{{ sparkline(context.recent or []) }}.", "▁ █."),
        ("{{ sparkline(range(10), 5) }}", "▁▃▅▆█"),
        ("{{ '%.1f'|format(alert.value or 0) }} {{ '{:.0%}'.format(alert.value or 0) }}", "1.0 97%"),
        ("{{ '%d%%' % 97 }} {{ alert.value|default(10**9) }}", "97% 0.97"),
        ("{{ items }}{{ lines }}{{ more }}", "[][]0"),
        ("{% if true %}\n  {% set x = 1 %}\nyes{{ x }}{% endif %}", "yes1"),
        ("{% if labels.service %}{% set x = labels.service %}{% else %}{% set x = 1 %}{% endif %}{{ x }}", "checkout"),
        ("{% if kind %}{% macro bold(text) %}*{{ text }}*{% endmacro %}{{ bold(title) }}{% endif %}", "*FIRING [critical] High CPU usage*"),
        ("{% for a in 'ab' %}{% for b in [1, 2] %}{{ a ~ b }}{{ loop.length }}{% endfor %}{% endfor %}", "a12a22b12b22"),
    ],
)  # fmt: skip
def test_a_template_has_the_names_of_its_guide(source: str, text: str) -> None:
    assert template(source).render(NOTICE) == text


def test_a_template_can_tell_of_each_alert_of_a_digest() -> None:
    source = "{{ title }}\n{% for item in items %}{{ item.kind }} {{ item.alert.labels.region }} {{ item.title }}\n{% endfor %}{{ more }}"
    assert template(source).render(DIGEST) == (
        "FIRING [critical] High CPU usage\n"
        "firing eu FIRING [critical] High CPU usage\n"
        "resolved eu RESOLVED [critical] High CPU usage\n"
        "8"
    )
    assert template("{{ kind }}{{ context.counts.firing if context.counts }}").render(DIGEST) == "digest9"
    assert template("{{ title }}{{ lines|join('\n') }}").render(DIGEST).endswith("\n".join(lines(DIGEST)))


def test_the_example_of_the_guide_works() -> None:
    example = "\n".join(line.removeprefix("    ") for line in (module.__doc__ or "").split("\n\n")[1].split("\n"))
    assert template(example).render(NOTICE) == (
        "FIRING [critical] High CPU usage\n"
        "Value: 0.97, limit 0.9\n"
        "Since: 2026-11-25 08:00:00 UTC\n"
        "Trend: ▁ █\n"
        "Dashboard: https://grafana/d/checkout"
    )


def test_the_samples_are_of_every_kind() -> None:
    assert {sample.kind for sample in SAMPLES} == set(NoticeKind)


def test_in_html_values_are_escaped_and_the_template_is_not() -> None:
    alert = replace(ALERT, title="<script>", labels={"a": "<&>"})
    text = template("<b>{{ title }}</b> {{ labels }}", html=True).render(replace(NOTICE, alert=alert))
    assert text == "<b>FIRING [critical] &lt;script&gt;</b> a=&lt;&amp;&gt;"


def test_in_plain_text_nothing_is_escaped() -> None:
    assert template("{{ title }}").render(replace(NOTICE, alert=replace(ALERT, title="a < b"))).endswith("a < b")


def test_without_a_template_the_text_is_the_built_in_one() -> None:
    assert text_of(NOTICE, None) == plain(NOTICE)
    assert text_of(NOTICE, template("x{{ kind }}")) == "xfiring"


# -- what is refused when it is made


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("\n{% for %}", "line 2: Expected an expression"),
        ("{{ title", "line 1: unexpected end of template"),
        ("a\nb\n{{ alrt.title }}", "line 3: 'alrt' is none of alert, colour, context"),
        ("{% if kind == 'never' %}\n{{ foo }}{% endif %}", "line 2: 'foo' is none of"),
        ("\n{{ alert.tilte }}", "line 2: 'dict object' has no attribute 'tilte', for a firing notice"),
        ("{{ context.mised }}", "line 1: 'dict object' has no attribute 'mised'"),
        ("{{ kind }}{{ alert.value + 1 }}", "line 1: .*NoneType.*, for a firing notice without values and labels"),
        ("{% if kind == 'missed' %}{{ 1 / 0 }}{% endif %}x", "line 1: division by zero, for a missed notice"),
        ("{{ title|nofilter }}", "line 1: No filter named 'nofilter'"),
        ("{% include 'other' %}", "line 1: no loader"),
        ("{% if kind == 'firing' %}x{% endif %}", "it says nothing, for a repeat notice"),
        ("", "it says nothing"),
        ("x" * 70_000, "a template of 70000 characters; use a text of at most 65536"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "maximum recursion"),
        ("{% for a in [1] %}" * 30 + "x" + "{% endfor %}" * 30, "too many statically nested"),
    ],
)
def test_a_wrong_template_is_refused_with_its_line(source: str, wrong: str) -> None:
    with pytest.raises(ChannelError, match=f"(?s)^email channel: (?:body, )?{wrong}") as caught:
        template(source)
    assert caught.value.field == "body"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ChannelError, match="email channel: int; use a text"):
        template(12)  # type: ignore[arg-type]


HOSTILE = [
    "{% for i in range(10**9) %}{% endfor %}",
    "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "{% for i in range(9999) %}xxxxxxxxxx{% endfor %}",
    "{% set x %}{% for i in range(9999) %}{{ 'x' * 60000 }}{% endfor %}{% endset %}{{ x }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ alert.labels.__class__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ sparkline.__globals__ }}",
    "{{ title|attr('__class__') }}",
    "{{ '{0.__class__}'.format(title) }}",
    "{{ items.append(1) }}",
    "{{ labels.update(a=1) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
    "{% for x in [1, 1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "{{ 'x' * 10**9 }}",
    "{{ 10**9 * [1] }}",
    "{{ 9**(9**9) }}",
    "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='x' * 99) %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='x' * 99) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x|string|length }}",
    "{{ 'x'|center(10**9) }}",
    "{{ 'x'.ljust(10**9) }}",
    "{{ (1).to_bytes(10**9, 'big') }}",
    "{{ '%0999999999d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%0999999999d'|format(1) }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '{:{}}'.format(1, 10**9) }}",
    "{{ [1, 2]|batch(10**9, 0)|list }}",
    "{{ alert|tojson(indent=10**9) }}",
    "{{ ('a' * 60000)|replace('a', 'b' * 60000) }}",
    "{{ ('a' * 60000).replace('a', 'b' * 60000) }}",
    "{{ lipsum(n=10**6) }}",
]


@pytest.mark.parametrize("source", HOSTILE)
def test_a_template_that_would_escape_or_never_end_is_refused(source: str) -> None:
    with pytest.raises(ChannelError):
        template(source)


# -- what happens when it fails later

LATER = "{% if labels.bad %}\n{{ 1 / 0 }}{% endif %}{{ title }}"
BAD = replace(NOTICE, alert=replace(ALERT, labels={"bad": "yes"}))


def test_a_template_that_fails_gives_the_built_in_text_and_says_so() -> None:
    assert template(LATER).render(BAD) == f"{plain(BAD)}\n\n(template error: line 2: division by zero)"


def test_a_template_in_html_that_fails_gives_the_built_in_text_as_html() -> None:
    text = template(LATER, html=True).render(replace(BAD, alert=replace(BAD.alert, title="<script>")))
    assert text.startswith("<pre>FIRING [critical] &lt;script&gt;\n")
    assert html.unescape(text).endswith("(template error: line 2: division by zero)</pre>")


@pytest.mark.parametrize("source", [source for source in HOSTILE if "lipsum" not in source])
def test_a_hostile_template_that_bides_its_time_gives_the_built_in_text(source: str) -> None:
    text = template(f"{{% if labels.bad %}}{source}{{% endif %}}{{{{ title }}}}").render(BAD)
    assert text.startswith(plain(BAD))
    assert "\n(template error: " in text


def test_an_error_is_logged_once_for_each_template(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    first, second = template(LATER), template(LATER)
    for one in (first, first, second, first):
        one.render(BAD)
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "kailash_monitor.channels",
            "WARNING",
            "email channel: the template 'body' fails, the built-in text goes out instead: line 2: division by zero",
        )
    ] * 2


def test_an_error_that_repeats_what_a_stranger_wrote_is_one_short_line() -> None:
    source = "{% if labels.bad %}{{ {}[labels.bad] }}{% endif %}{{ title }}"
    notice = replace(BAD, alert=replace(BAD.alert, labels={"bad": "\n\x1b[2J" + "x" * 5000}))
    last = template(source).render(notice).split("\n")[-1]
    assert last.startswith("(template error: line 1: ")
    assert len(last) < 250
    assert "\x1b" not in last


def test_a_template_that_finds_nothing_to_say_gives_the_built_in_text() -> None:
    text = template("{% if not labels.bad %}x{% endif %}").render(BAD)
    assert text.endswith("(template error: it says nothing)")


ANYTHING = st.text() | st.sampled_from(["\r", "\x1b[2J", "\u2028", "\u202e", "\ud800", "\x85", "{{ 1/0 }}", "</pre>"])


@given(st.dictionaries(ANYTHING, ANYTHING, max_size=4), ANYTHING, st.booleans())
def test_labels_break_no_line_and_are_no_templates(labels: Mapping[str, str], text: str, as_html: bool) -> None:
    alert = replace(ALERT, labels=labels, title=text)
    source = "{{ title }}\n{{ labels }}\n{% for name in labels %}{{ labels[name] }}{% endfor %}."
    given_text = template(source, html=as_html).render(replace(NOTICE, alert=alert))
    assert len(given_text.splitlines()) == 3
    given_text.encode()
    assert "template error" not in given_text.replace(text, "")


def test_control_characters_are_left_out_of_a_text_but_line_breaks_and_tabs() -> None:
    alert = replace(ALERT, description="a\tb\r\nc\x1b[2J\x00\u202e\ud800")
    assert template("{{ kind }} {{ alert.description }}").render(replace(NOTICE, alert=alert)) == "firing a\tb\nc[2J"


@pytest.mark.parametrize("kind", NoticeKind)
def test_a_template_works_on_an_alert_made_by_hand(kind: NoticeKind) -> None:
    notice = Notice("id", kind, Alert("a", "a", AlertSeverity.INFO, "A", ""), sent_at=0.0)
    source = "{{ title }}|{{ alert.labels.x }}|{{ context.reason }}|{{ context.firing }}|{{ runbook }}|{{ facts|length }}"
    assert "template error" not in template(source).render(notice)


# -- Jinja2


def test_without_jinja_a_template_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "kailash_monitor.channels.sandbox", raising=False)
    monkeypatch.delattr(channels, "sandbox", raising=False)
    with pytest.raises(
        MissingExtra, match=r"a template for messages needs Jinja2: pip install 'kailash-monitor\[templates\]'"
    ):
        template("{{ title }}")


def test_a_template_shows_what_it_is_for_and_not_what_is_in_it() -> None:
    assert repr(template("{{ title }} secret")) == "<Template body of email channel>"
