"""The Microsoft Teams channel: an adaptive card to a workflow's webhook.

The message is what the workflow "Post to a channel when a webhook request is received" takes: one attachment with a card
(https://learn.microsoft.com/en-us/connectors/teams/#adaptivecarditemschema). Markdown in names and labels shows as it is.
"""

import asyncio
import json
import re
from dataclasses import dataclass, replace
from typing import Final

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.checks import Hidden, timeout_of
from kailash_monitor.channels.egress import Egress, egress_of
from kailash_monitor.channels.fitting import cut, cut_lines, escape_links, escape_markdown, link, safe_lines
from kailash_monitor.channels.http import Answer, check_url, classify, json_of, post
from kailash_monitor.channels.template import Template
from kailash_monitor.channels.text import count, facts, is_over, label_text, lines, runbook, title
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.notice import Notice
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["LIMIT", "TeamsNotificationChannel", "judge", "payload"]

_WHERE: Final = "teams channel"

LIMIT: Final = 20_000
"""Bytes of a whole message. 28 kB are documented, in which Teams counts what it adds; from 21 kB on, some were refused."""

_TITLE: Final = 256
_FACTS: Final = 20
_FACT_TITLE: Final = 32

_COLOURS: Final = {
    AlertSeverity.CRITICAL: "attention",
    AlertSeverity.ERROR: "attention",
    AlertSeverity.WARNING: "warning",
    AlertSeverity.INFO: "accent",
}

_HIDDEN: Final = re.compile(rb"HTTP error (\d{3})")
"""How connectors of the older kind, which answer 200 in any case, say that Teams refused the message."""

_OFF: Final = "WorkflowTriggerIsNotEnabled"


class TeamsNotificationChannel(DeliveringChannel):
    """Posts each notice to `webhook_url`, the address of a workflow of Teams' (or of an older connector).

    A message has 20 kB at most: of a longer one the description is cut first, then facts and labels, then a digest's list.
    `text_template` (see channels/template.py) words what stands below the title, in the Markdown of cards, without links.
    """

    rate = (1.0, 5)

    def __init__(
        self,
        webhook_url: str,
        *,
        name: str | None = None,
        timeout: Duration = "10s",
        egress: str | Egress = "private",
        text_template: str | None = None,
    ) -> None:
        self._host: Final = check_url(webhook_url, _WHERE, "webhook_url")
        self._url: Final = Hidden(webhook_url)
        self._seconds: Final = timeout_of(timeout, _WHERE)
        self.attempt_seconds = self._seconds + 1.0
        self._egress: Final = egress_of(egress, _WHERE)
        self._template: Final = (
            None if text_template is None else Template(text_template, field="text_template", where=_WHERE)
        )
        self.name = name

    def __repr__(self) -> str:
        return f"<TeamsNotificationChannel {self._host}>"  # path and query hold the webhook's signature

    async def deliver(self, notice: Notice) -> Outcome:
        """Post the notice once."""
        body = await asyncio.to_thread(self._body, notice)  # a digest can be long, and a template anything
        headers = {"Content-Type": "application/json"}
        return await post(self._url.value, body, headers, seconds=self._seconds, judge=judge, egress=self._egress)

    def _body(self, notice: Notice) -> bytes:
        text = None if self._template is None else self._template.render(notice)
        return _encoded(payload(notice, text=text))


def payload(notice: Notice, *, text: str | None = None) -> dict[str, object]:
    """Give the message for `notice`, cut until it has room; `text` stands in the place of its description and facts."""
    for room in _ROOMS[:-1]:
        document = _message(notice, text, room)
        if len(_encoded(document)) <= LIMIT:
            return document
    return _message(notice, text, _ROOMS[-1])


def judge(answer: Answer, now: float) -> Outcome:
    """Say what Teams' answer means: older connectors hide the true status in the body of a 200."""
    match classify(answer, now):
        case Delivered() if hidden := _HIDDEN.search(answer.body):
            return _hidden(replace(answer, status=int(hidden[1])), now)
        case Rejected(why) if answer.status == 404 or _code(answer) == _OFF:
            return Gone(f"{why}: the workflow was deleted or turned off")
        case outcome:
            return outcome


@dataclass(frozen=True, slots=True)
class _Room:
    """Units for the description, for each fact, and for a digest's list."""

    description: int
    fact: int
    lines: int


_ROOMS: Final = (
    *(_Room(description, 1_000, 8_000) for description in (8_000, 4_000, 2_000, 1_000, 500)),
    *(_Room(500, fact, 8_000) for fact in (500, 250, 100, 50)),
    *(_Room(200, 20, lines) for lines in (4_000, 2_000, 1_000)),
)
"""How much room each part gets, attempt by attempt. The last fits whatever the texts are: a unit is 6 bytes at most."""


def _hidden(answer: Answer, now: float) -> Outcome:
    match classify(answer, now):
        case Retry(why, after):
            return Retry(f"{why} in an answer that said 200", after=after)
        case outcome:
            return outcome


def _code(answer: Answer) -> object:
    said = json_of(answer)
    error = said.get("error") if isinstance(said, dict) else None
    return error.get("code") if isinstance(error, dict) else None


def _encoded(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode()


def _message(notice: Notice, text: str | None, room: _Room) -> dict[str, object]:
    card: dict[str, object] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": cut(safe_lines(title(notice)), _TITLE),
        "msteams": {"width": "Full"},
        "body": _body(notice, text, room),
    }
    if address := link(runbook(notice.alert)):
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Runbook", "url": address}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _body(notice: Notice, text: str | None, room: _Room) -> list[dict[str, object]]:
    body = [
        {
            **_block(cut(escape_markdown(safe_lines(title(notice))), _TITLE)),
            "weight": "bolder",
            "size": "medium",
            "color": "good" if is_over(notice) else _COLOURS[notice.alert.severity],
        }
    ]
    if between := _between(notice, text, room):
        body.append(_block(between))
    if text is None and (given := _facts(notice, room)):
        body.append({"type": "FactSet", "facts": given})
    return body


def _block(text: str) -> dict[str, object]:
    return {"type": "TextBlock", "text": text, "wrap": True}


def _between(notice: Notice, text: str | None, room: _Room) -> str:
    """Give the description or the list. A single line break would be none: it takes two."""
    if text is not None:
        return cut(escape_links(safe_lines(text)).replace("\n", "\n\n"), room.description + room.lines)
    if notice.items:
        return cut_lines([escape_markdown(line) for line in lines(notice)], count(notice), room.lines, joint="\n\n")
    return cut(escape_markdown(safe_lines(notice.alert.description)).replace("\n", "\n\n"), room.description)


def _facts(notice: Notice, room: _Room) -> list[dict[str, object]]:
    given = facts(notice)[: _FACTS - 1]
    if labels := label_text(notice.alert):
        given = [*given, ("Labels", labels)]
    return [
        {
            "title": cut(escape_markdown(safe_lines(name)), _FACT_TITLE),
            "value": cut(escape_markdown(safe_lines(said)), room.fact),
        }
        for name, said in given
    ]
