"""The built-in texts: what they say of each kind of notice, and that nothing a stranger wrote breaks them."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.channels.quantity import number, quantity, reading
from kailash_monitor.channels.sparkline import sparkline
from kailash_monitor.channels.text import (
    COLOURS,
    DETAILED,
    LONGEST_LINE,
    SHOWN,
    colour,
    count,
    facts,
    headline,
    label_text,
    lines,
    plain,
    runbook,
    title,
)
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity

BEGAN = datetime(2026, 11, 25, 8, tzinfo=UTC)
ALERT = Alert(
    "cpu_app",
    "cpu",
    AlertSeverity.CRITICAL,
    "High CPU usage",
    "All processors have been busy\nfor a minute.\n",
    labels={"service": "checkout", "region": "eu"},
    annotations={"runbook": "https://wiki/cpu"},
    status=AlertStatus.FIRING,
    fired_at=BEGAN,
    value=0.97,
    peak=0.99,
    threshold=0.9,
)
OVER = replace(ALERT, status=AlertStatus.RESOLVED, value=0.4, resolved_at=BEGAN + timedelta(minutes=5))
UNHEARD = {
    "missed": 3,
    "first_fired_at": "2026-11-25T09:00:00+01:00",
    "last_resolved_at": "2026-11-25T08:30:00+00:00",
}


def notice(kind: str, alert: Alert = ALERT, after: float = 5.0, **extra: object) -> Notice:
    return Notice("id", NoticeKind(kind), alert, sent_at=BEGAN.timestamp() + after, extra=extra)


def named(severity: AlertSeverity, status: AlertStatus = AlertStatus.FIRING, text: str = "Slow") -> Item:
    kind = NoticeKind.FIRING if status is AlertStatus.FIRING else NoticeKind.RESOLVED
    return Item(kind, Alert("a", "a", severity, text, "d", status=status, value=9.0, threshold=5.0))


def digest(*items: Item, **extra: object) -> Notice:
    summary = Alert("g", "g", AlertSeverity.ERROR, "Many alerts", "A; B", labels={"team": "x"}, status=AlertStatus.FIRING)
    return Notice("id", NoticeKind.DIGEST, summary, sent_at=BEGAN.timestamp(), items=items, extra=extra)


# -- what a notice says


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("firing", "firing", "FIRING [critical] High CPU usage"),
        ("repeat", "firing", "STILL FIRING [critical] High CPU usage"),
        ("resolved", "resolved", "RESOLVED [critical] High CPU usage"),
        ("missed", "resolved", "MISSED [critical] High CPU usage"),
        ("flapping", "firing", "FLAPPING [critical] High CPU usage"),
        ("stable", "firing", "STABLE, FIRING [critical] High CPU usage"),
        ("stable", "resolved", "STABLE, RESOLVED [critical] High CPU usage"),
        ("digest", "resolved", "RESOLVED [critical] High CPU usage"),
        ("test", "pending", "TEST [critical] High CPU usage"),
    ],
)
def test_the_title_says_what_happened_to_what(kind: str, status: str, text: str) -> None:
    assert title(notice(kind, replace(ALERT, status=AlertStatus(status)))) == text


VALUE = ("Value", "0.97, limit 0.9")
PEAK = ("Peak", "0.99")
SINCE = ("Since", "2026-11-25 08:00:00 UTC")


@pytest.mark.parametrize(
    ("notice", "known"),
    [
        (notice("firing"), [VALUE, PEAK, SINCE]),
        (notice("firing", after=90.0), [VALUE, PEAK, SINCE, ("Lasted", "1m30s so far")]),
        (notice("firing", reason="escalated"), [VALUE, PEAK, SINCE, ("Note", "nobody has acknowledged it")]),
        (notice("firing", replace(ALERT, peak=0.97)), [VALUE, SINCE]),
        (notice("firing", replace(ALERT, value=None)), [("Limit", "0.9"), PEAK, SINCE]),
        (notice("firing", replace(ALERT, threshold=None)), [("Value", "0.97"), PEAK, SINCE]),
        (notice("firing", unit="percent"), [("Value", "0.97%, limit 0.9%"), ("Peak", "0.99%"), SINCE]),
        (notice("firing", recent=[0, 0.5, None, 1]), [VALUE, PEAK, SINCE, ("Trend", "▁▅ █")]),
        (notice("firing", recent=[None, math.nan]), [VALUE, PEAK, SINCE]),
        (notice("firing", recent="0123"), [VALUE, PEAK, SINCE]),
        (notice("repeat", after=900.0), [VALUE, PEAK, SINCE, ("Lasted", "15m so far")]),
        (notice("repeat", after=-900.0), [VALUE, PEAK, SINCE]),
        (notice("resolved", OVER, after=300.0), [("Value", "now 0.4, limit 0.9"), PEAK, SINCE, ("Lasted", "5m")]),
        (notice("flapping", replace(OVER, value=0.97, resolved_at=None), after=300.0), [VALUE, PEAK, SINCE]),
        (notice("stable", OVER), [("Value", "now 0.4, limit 0.9"), PEAK, SINCE, ("Lasted", "5m")]),
        (notice("test", Alert("t", "t", AlertSeverity.INFO, "Test", "")), []),
        (
            notice("missed", OVER, **UNHEARD),
            [("Missed", "3 times"), ("Between", "2026-11-25 08:00:00 and 2026-11-25 08:30:00 UTC")],
        ),
        (
            notice("missed", OVER, **{**UNHEARD, "missed": 1}),
            [("Missed", "once"), ("Between", "2026-11-25 08:00:00 and 2026-11-25 08:30:00 UTC")],
        ),
        (notice("missed", OVER), []),
        (notice("missed", OVER, missed=2, first_fired_at="yesterday", last_resolved_at="today"), []),
        (digest(named(AlertSeverity.INFO)), []),
    ],
)
def test_the_facts_say_what_is_known_and_nothing_else(notice: Notice, known: list[tuple[str, str]]) -> None:
    assert facts(notice) == known


def test_the_plain_text_has_it_all_under_each_other() -> None:
    assert plain(notice("firing", after=120.0, recent=[0.1, 0.5, 0.97])).split("\n") == [
        "FIRING [critical] High CPU usage",
        "",
        "All processors have been busy for a minute.",
        "",
        "Value:   0.97, limit 0.9",
        "Peak:    0.99",
        "Since:   2026-11-25 08:00:00 UTC",
        "Lasted:  2m so far",
        "Trend:   ▁▄█",
        "Labels:  service=checkout, region=eu",
        "Runbook: https://wiki/cpu",
    ]


def test_the_plain_text_of_a_digest_lists_its_alerts() -> None:
    assert plain(digest(named(AlertSeverity.INFO), named(AlertSeverity.ERROR, AlertStatus.RESOLVED))).split("\n") == [
        "FIRING [error] Many alerts",
        "",
        "- FIRING [info] Slow (is 9, limit 5)",
        "- RESOLVED [error] Slow (now 9, limit 5)",
        "",
        "Labels:  team=x",
    ]


def test_an_alert_of_which_next_to_nothing_is_known_is_a_title() -> None:
    assert plain(notice("test", Alert("t", "t", AlertSeverity.INFO, "Test", ""))) == "TEST [info] Test"


@pytest.mark.parametrize("severity", AlertSeverity)
def test_each_severity_has_its_colour_until_it_is_over(severity: AlertSeverity) -> None:
    assert colour(notice("firing", replace(ALERT, severity=severity))) == COLOURS[severity.value]
    assert colour(notice("resolved", replace(OVER, severity=severity))) == COLOURS["resolved"]
    assert len(set(COLOURS.values())) == len(AlertSeverity) + 1


@pytest.mark.parametrize(
    ("annotations", "link"),
    [
        ({}, None),
        ({"runbook": "https://wiki/cpu"}, "https://wiki/cpu"),
        ({"runbook_url": " http://wiki/cpu?a=b#c\n"}, "http://wiki/cpu?a=b#c"),
        ({"runbook": "see the wiki", "runbook_url": "https://wiki"}, "https://wiki"),
        ({"runbook": "HTTPS://wiki"}, "HTTPS://wiki"),
        ({"runbook": "javascript:alert(1)"}, None),
        ({"runbook": "file:///etc/passwd"}, None),
        ({"runbook": "https://"}, None),
        ({"runbook": "https:///path"}, None),
        ({"runbook": "https://wiki\nRESOLVED"}, None),
        ({"runbook": "https://" + "x" * 3000}, None),
        ({"runbook": 'https://wiki/"><b>|\x1b\u202e'}, "https://wiki/%22%3E%3Cb%3E%7C%1B%E2%80%AE"),
    ],
)
def test_the_runbook_is_a_link_that_can_stand_anywhere(annotations: dict[str, str], link: str | None) -> None:
    assert runbook(replace(ALERT, annotations=annotations)) == link


# -- digests


def test_a_digest_names_every_critical_alert_and_some_others() -> None:
    items = [named(AlertSeverity.WARNING, text=f"w{n}") for n in range(50)]
    items += [named(AlertSeverity.CRITICAL, text=f"c{n}") for n in range(300)]
    listed = lines(digest(*items))
    assert [f"[critical] c{n}" in line for n, line in enumerate(listed[:300])] == [True] * 300
    assert ["[warning]" in line for line in listed[300:-1]] == [True] * SHOWN
    assert listed[-1] == "and 30 more"


def test_a_digest_begins_with_what_is_most_urgent() -> None:
    over, fires = AlertStatus.RESOLVED, AlertStatus.FIRING
    order = [
        (AlertSeverity.CRITICAL, fires),
        (AlertSeverity.WARNING, fires),
        (AlertSeverity.INFO, fires),
        (AlertSeverity.CRITICAL, over),
        (AlertSeverity.ERROR, over),
    ]
    listed = lines(digest(*[named(*one) for one in reversed(order)]))
    assert [line.split(" Slow")[0] for line in listed] == [
        f"{status.value.upper()} [{severity.value}]" for severity, status in order
    ]


def test_a_long_digest_gives_the_numbers_of_its_first_alerts_only() -> None:
    listed = lines(digest(*[named(AlertSeverity.CRITICAL)] * (DETAILED + 1)))
    assert listed[DETAILED - 1 :] == ["FIRING [critical] Slow (is 9, limit 5)", "FIRING [critical] Slow"]


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"firing": 9000, "resolved": 1000}, 10_000),
        ({"firing": 1}, 30),
        ({"firing": "many"}, 30),
        ("many", 30),
        (None, 30),
    ],
)
def test_the_digest_of_a_storm_counts_those_that_it_does_not_list(counts: object, told: int) -> None:
    storm = digest(*[named(AlertSeverity.INFO)] * 30, counts=counts)
    assert count(storm) == told
    assert lines(storm)[-1] == f"and {told - SHOWN} more"
    assert f"; and {told - SHOWN} more {{" in headline(storm)


def test_a_headline_names_every_critical_alert_as_well() -> None:
    items = [named(AlertSeverity.CRITICAL, text=f"c{n}") for n in range(30)]
    text = headline(digest(*items, named(AlertSeverity.INFO)))
    assert all(f" c{n} (" in text for n in range(30))
    assert "; and 1 more" in text


def test_a_line_of_a_digest_has_an_end() -> None:
    (line,) = lines(digest(named(AlertSeverity.INFO, text="x" * 1000)))
    assert len(line) == LONGEST_LINE
    assert line.endswith("x…")


@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if kind is not NoticeKind.DIGEST])
def test_other_notices_have_no_lines(kind: NoticeKind) -> None:
    assert lines(notice(kind.value)) == []


# -- whatever a stranger wrote

ANYTHING = st.text() | st.sampled_from(["\n", "\r", "\x1b[2J", "\u2028", "\u202e", "\ud800", "\x85", "https://x/\n"])
ANY_NUMBER = st.floats() | st.none()


@st.composite
def notices(draw: st.DrawFn) -> Notice:
    kind = draw(st.sampled_from(NoticeKind))
    alert = Alert(
        draw(ANYTHING),
        "rule",
        draw(st.sampled_from(AlertSeverity)),
        draw(ANYTHING),
        draw(ANYTHING),
        labels=draw(st.dictionaries(ANYTHING, ANYTHING, max_size=3)),
        annotations=draw(st.dictionaries(st.sampled_from(["runbook", "runbook_url"]), ANYTHING)),
        status=draw(st.sampled_from(AlertStatus)),
        fired_at=draw(st.none() | st.just(BEGAN)),
        resolved_at=draw(st.none() | st.datetimes(timezones=st.just(UTC))),
        value=draw(ANY_NUMBER),
        peak=draw(ANY_NUMBER),
        threshold=draw(ANY_NUMBER),
    )
    extra: dict[str, object] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "recent": st.lists(ANY_NUMBER, max_size=30) | ANYTHING,
                "unit": ANYTHING,
                "missed": st.integers() | ANYTHING,
                "first_fired_at": ANYTHING | st.just(BEGAN.isoformat()),
                "last_resolved_at": ANYTHING | st.just(BEGAN.isoformat()),
                "counts": st.dictionaries(st.sampled_from(["firing", "resolved"]), st.integers(0) | ANYTHING) | ANYTHING,
                "reason": ANYTHING,
            },
        )
    )
    items = (Item(NoticeKind.FIRING, alert), Item(NoticeKind.MISSED, alert)) if kind is NoticeKind.DIGEST else ()
    return Notice("id", kind, alert, sent_at=draw(st.floats(0, 4e9)), items=items, extra=extra)


@given(notices())
def test_no_text_raises_breaks_a_line_or_commands_a_terminal(notice: Notice) -> None:
    texts = [title(notice), headline(notice), label_text(notice.alert), runbook(notice.alert) or ""]
    texts += [part for fact in facts(notice) for part in fact] + lines(notice) + plain(notice).split("\n")
    for text in texts:
        assert len(text.splitlines()) <= 1
        assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in text)
        text.encode()


@given(notices())
def test_the_plain_text_has_as_many_lines_as_it_has_things_to_say(notice: Notice) -> None:
    """A stranger who could add a line could forge one."""
    alert = notice.alert
    rows = [*lines(notice), *facts(notice), *([1] if alert.labels else []), *([1] if runbook(alert) else [])]
    given_lines = [line for line in plain(notice).split("\n") if line]
    assert len(given_lines) in (len(rows) + 1, len(rows) + 2)  # the title, and perhaps a description


# -- numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.97123, "0.9712"),
        (-0.97123, "-0.9712"),
        (97.126, "97.13"),
        (999.96, "1,000"),
        (12345.6, "12,346"),
        (999_999.0, "999,999"),
        (1e6, "1M"),
        (98_765_432.0, "98.77M"),
        (12_345_678_901.0, "12.35G"),
        (7.5e12, "7.5T"),
        (1e15, "1e+15"),
        (0.1 + 0.2, "0.3"),
        (0.0000123456, "0.00001235"),
        (1e-9, "1e-09"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_a_number_is_short_and_can_be_read(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("unit", "text"),
    [("", "12"), ("percent", "12%"), ("%", "12%"), ("seconds", "12 seconds"), ("ratio", "12"), ("bytes", "12 bytes")],
)
def test_a_quantity_has_its_unit(unit: str, text: str) -> None:
    assert quantity(12.0, unit) == text


@pytest.mark.parametrize(
    ("value", "limit", "texts"),
    [
        (0.90004, 0.9, ("0.90004", "0.9")),
        (0.9, 0.9, ("0.9", "0.9")),
        (1_234_567.0, 1_234_568.0, ("1.234567M", "1.234568M")),
        (math.nan, 0.9, ("nan", "0.9")),
        (math.inf, math.inf, ("inf", "inf")),
    ],
)
def test_a_value_never_looks_like_its_limit_unless_it_is(value: float, limit: float, texts: tuple[str, str]) -> None:
    assert reading(value, limit) == texts


@given(st.floats(-1e300, 1e300))
def test_every_number_has_a_text_near_it(value: float) -> None:
    text = number(value)
    scale = {"M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1.0)
    read = float(text.rstrip("MGT").replace(",", "")) * scale
    assert math.isclose(read, value, rel_tol=0.0006)


# -- sparklines


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 20, ""),
        ([1.0], 20, "▁"),
        ([3.0, 3.0, 3.0], 20, "▁▁▁"),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 20, "▁▂▃▄▅▆▇█"),
        ([0.0, None, 7.0], 20, "▁ █"),
        ([0.0, math.nan, 7.0], 20, "▁ █"),
        ([None, None], 20, "  "),
        ([0.0, 7.0, math.inf, -math.inf], 20, "▁██▁"),
        ([math.inf, -math.inf], 20, "█▁"),
        ([-1.7e308, 0.0, 1.7e308], 20, "▁▅█"),
        ([0.0, 7.0, 0.0, 0.0, 0.0, 0.0], 3, "█▁▁"),
        ([0.0, None, None, None, 7.0, 0.0], 3, "▁ █"),
        ([1.0, 2.0], 0, ""),
        ([1.0, 2.0], -1, ""),
    ],
)
def test_a_sparkline_draws_how_a_value_went(values: list[float | None], width: int, line: str) -> None:
    assert sparkline(values, width) == line


@given(st.lists(st.floats() | st.none()), st.integers(0, 40))
def test_a_sparkline_is_as_long_as_its_values_and_no_wider_than_asked(values: list[float | None], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set(" ▁▂▃▄▅▆▇█")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.integers(1, 40))
def test_a_sparkline_is_highest_where_the_peak_was(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    peak = values.index(max(values))
    (at,) = [n for n in range(len(line)) if len(values) * n // len(line) <= peak < len(values) * (n + 1) // len(line)]
    assert line[at] == max(line)
