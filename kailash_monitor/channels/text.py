"""The built-in text of a notice: what, how much against what, since when, for how long, and where to read on.

Every text here is safe to print, whatever a stranger put into a label: see `one_line`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

from kailash_monitor.channels.facts import brief_facts, facts, how_often, is_over
from kailash_monitor.channels.printable import one_line
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity

__all__ = [
    "COLOURS",
    "colour",
    "count",
    "facts",
    "headline",
    "is_over",
    "label_text",
    "lines",
    "listed",
    "one_line",
    "plain",
    "runbook",
    "title",
]

SHOWN: Final = 20
"""Alerts of a digest that are named beside the critical ones: nobody reads a longer list. The others are counted."""

DETAILED: Final = 100
"""Alerts of a digest that are named with their numbers: thousands of lines with numbers would hold up the program."""

LONGEST_LINE: Final = 300
"""Characters of a line in a list: a label value can be a thousand, and there can be thousands of lines."""

COLOURS: Final[Mapping[str, str]] = {
    "critical": "#c62828",
    "error": "#e65100",
    "warning": "#f9a825",
    "info": "#1565c0",
    "resolved": "#2e7d32",
}
"""By severity, and for what is over."""


def colour(notice: Notice) -> str:
    """Give the colour of the notice, as "#rrggbb"."""
    return COLOURS["resolved" if is_over(notice) else notice.alert.severity.value]


def title(notice: Notice) -> str:
    """Give what happened to what, without numbers, on one line: "FIRING [critical] High CPU usage"."""
    return one_line(f"{_word(notice)} [{notice.alert.severity.value}] {notice.alert.title}")


def headline(notice: Notice) -> str:
    """Give the notice in one line, safe to print: "FIRING [critical] High CPU usage (is 0.97, limit 0.9): …".

    The alerts of a digest follow each other after semicolons, the most urgent first.
    """
    alert = notice.alert
    parts = [_short(notice)]
    if text := "; ".join(_lines(notice, SHOWN - sum(map(_is_critical, notice.items)))) or alert.description:
        parts.append(f": {text}")
    if alert.labels:
        parts.append(f" {{{label_text(alert)}}}")
    link = alert.annotations.get("runbook")
    return one_line("".join(parts) + (f" {link}" if link else ""))


def plain(notice: Notice) -> str:
    """Give the notice in several lines, for an e-mail: title, description, facts, labels, runbook, alerts of a digest."""
    alert = notice.alert
    rows = [*facts(notice), ("Labels", label_text(alert)), ("Runbook", runbook(alert) or "")]
    width = max(len(name) for name, _ in rows) + 2
    paragraphs = [
        title(notice),
        "" if notice.items else one_line(" ".join(str(alert.description).split())),
        "\n".join(f"- {line}" for line in lines(notice)),
        "\n".join(f"{name + ':':<{width}}{text}" for name, text in rows if text),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def label_text(alert: Alert) -> str:
    """Give the labels on one line, as "service=checkout, region=eu"; "" for none."""
    return one_line(", ".join(f"{name}={value}" for name, value in alert.labels.items()))


def runbook(alert: Alert) -> str | None:
    """Give the link from the annotations `runbook` or `runbook_url`; None where neither is an http or https address.

    It can stand in any page or message: what could end a link there is percent-encoded.
    """
    for name in ("runbook", "runbook_url"):
        link = alert.annotations.get(name)
        if isinstance(link, str) and _LINK.fullmatch(link := link.strip()):
            return _NEVER_IN_A_LINK.sub(lambda character: quote(character[0]), link)
    return None


_LINK: Final = re.compile(r"https?://[^\s/?#]\S{0,1999}", re.IGNORECASE)
_NEVER_IN_A_LINK: Final = re.compile('[\x00-\x20"<>\\\\^`{|}\x7f-\x9f\u2028-\u202e\u2066-\u2069]')
"""Characters that no address contains (RFC 3986, 2), and those that change how a line is read."""


# -- digests


def lines(notice: Notice) -> list[str]:
    """Give the alerts of a digest, a line each: every critical one, at most `SHOWN` others, then "and 7 more".

    Those that fire come before those that are over, the graver first. Nothing for other kinds of notices.
    """
    return list(_lines(notice, SHOWN))


def count(notice: Notice) -> int:
    """Give how many alerts a digest tells of; in a storm they are more than its items."""
    told = notice.extra.get("counts")
    counts = told.values() if isinstance(told, Mapping) else ()
    return max(len(notice.items), sum(number for number in counts if isinstance(number, int)))


def listed(notice: Notice, others: int = SHOWN) -> list[Item]:
    """Give the items of a digest that are named, the most urgent first: every critical one and at most so many `others`."""
    ranks: dict[tuple[bool, int], list[Item]] = {}
    for item in notice.items:
        rank = item.alert.status is AlertStatus.RESOLVED, -item.alert.severity.rank
        ranks.setdefault(rank, []).append(item)
    named: list[Item] = []
    for _, items in sorted(ranks.items(), key=lambda ranked: ranked[0]):
        if _is_critical(items[0]):
            named += items
        else:
            named += items[: max(0, others)]
            others -= len(items)
    return named


def _is_critical(item: Item) -> bool:
    return item.alert.severity is AlertSeverity.CRITICAL


def _lines(notice: Notice, others: int) -> Iterator[str]:
    named = listed(notice, others)
    for n, item in enumerate(named):
        one = Notice(notice.id, item.kind, item.alert, sent_at=notice.sent_at, extra=item.extra)
        line = one_line(_short(one)) if n < DETAILED else title(one)
        yield line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"
    if notice.items and (left := count(notice) - len(named)):
        yield f"and {left} more"


# -- words


def _short(notice: Notice) -> str:
    """Say what happened to which alert, and its numbers."""
    known = ", ".join(brief_facts(notice))
    return f"{_words(notice)} [{notice.alert.severity.value}] {notice.alert.title}{f' ({known})' if known else ''}"


def _words(notice: Notice) -> str:
    """Say what happened and, of what was missed, how often and when."""
    if notice.kind is NoticeKind.MISSED and (known := how_often(notice)):
        return f"{_word(notice)} {known[0]} between {known[1]}"
    return _word(notice)


def _word(notice: Notice) -> str:
    match notice.kind:
        case NoticeKind.DIGEST:
            return notice.alert.status.value.upper()
        case NoticeKind.STABLE:
            return f"STABLE, {notice.alert.status.value.upper()}"
        case kind:
            return _WORDS[kind]


_WORDS: Final[Mapping[NoticeKind, str]] = {
    NoticeKind.FIRING: "FIRING",
    NoticeKind.REPEAT: "STILL FIRING",
    NoticeKind.RESOLVED: "RESOLVED",
    NoticeKind.MISSED: "MISSED",
    NoticeKind.FLAPPING: "FLAPPING",
    NoticeKind.TEST: "TEST",
}
