"""The Discord channel: an embed to a webhook of one of its text channels.

Discord refuses a message whole when one part of it is too long, so each is cut to what is documented
(https://discord.com/developers/docs/resources/message#embed-object-embed-limits), and the sum of them as well. Nobody is
mentioned, whatever a text says, and Markdown in names and labels shows as it is.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.checks import Hidden, seconds_of, text_of, timeout_of
from kailash_monitor.channels.egress import Egress, egress_of
from kailash_monitor.channels.fitting import cut, cut_lines, escape_links, escape_markdown, link, safe_lines, units
from kailash_monitor.channels.http import Answer, check_url, classify, json_bytes, json_of, post
from kailash_monitor.channels.template import Template
from kailash_monitor.channels.text import colour, count, facts, label_text, lines, runbook, title
from kailash_monitor.delivery.outcome import Gone, Outcome, Rejected, Retry
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.notice import Notice

__all__ = ["DiscordNotificationChannel", "judge", "payload"]

_WHERE: Final = "discord channel"
_TITLE: Final = 256
_DESCRIPTION: Final = 4_096
_NAME: Final = 256
_VALUE: Final = 1_024
_FIELDS: Final = 25
_TOTAL: Final = 6_000
_USERNAME: Final = 80
_RESERVED: Final = ("clyde", "discord")
"""No username may contain them (https://discord.com/developers/docs/resources/webhook#create-webhook)."""

_UNKNOWN: Final = {10_003: "its text channel was deleted", 10_015: "the webhook was deleted"}
"""Codes of a 404 after which the address works no more."""


class DiscordNotificationChannel(DeliveringChannel):
    """Posts each notice to `webhook_url`, the address of a webhook of Discord's, as `username` or the webhook's own name.

    `?thread_id=` in the address is kept. `text_template` (see channels/template.py) words what stands below the title; its
    Markdown is Discord's, without links and mentions. A pause that Discord asks for is obeyed; a deleted webhook is gone.
    """

    rate = (1.0, 5)

    def __init__(
        self,
        webhook_url: str,
        *,
        name: str | None = None,
        username: str | None = None,
        timeout: Duration = "10s",
        egress: str | Egress = "private",
        text_template: str | None = None,
    ) -> None:
        self._host: Final = check_url(webhook_url, _WHERE, "webhook_url")
        self._url: Final = Hidden(_waiting(webhook_url))
        self._username: Final = _checked_username(username)
        self._seconds: Final = timeout_of(timeout, _WHERE)
        self.attempt_seconds = self._seconds + 1.0
        self._egress: Final = egress_of(egress, _WHERE)
        self._template: Final = (
            None if text_template is None else Template(text_template, field="text_template", where=_WHERE)
        )
        self.name = name

    def __repr__(self) -> str:
        return f"<DiscordNotificationChannel {self._host}>"  # the path is the webhook's secret

    async def deliver(self, notice: Notice) -> Outcome:
        """Post the notice once."""
        body = await asyncio.to_thread(self._body, notice)  # a digest can be long, and a template anything
        headers = {"Content-Type": "application/json"}
        return await post(self._url.value, body, headers, seconds=self._seconds, judge=judge, egress=self._egress)

    def _body(self, notice: Notice) -> bytes:
        text = None if self._template is None else self._template.render(notice)
        return json_bytes(payload(notice, username=self._username, text=text))


def payload(notice: Notice, *, username: str | None = None, text: str | None = None) -> dict[str, object]:
    """Give the message for `notice`: an embed with title, description and facts, or with `text` in place of the latter."""
    document: dict[str, object] = {"embeds": [_embed(notice, text)], "allowed_mentions": {"parse": []}}
    return document if username is None else {"username": username, **document}


def judge(answer: Answer, now: float) -> Outcome:
    """Say what Discord's answer means: its body can ask for a pause, and tell a deleted webhook from a wrong address."""
    outcome = classify(answer, now)
    said = json_of(answer)
    if not isinstance(said, dict):
        return outcome
    code = code if isinstance(code := said.get("code"), int) else None
    after = seconds_of(said.get("retry_after"))
    match outcome:
        case Retry(why, asked) if after is not None:
            return Retry(why, after=max(after, asked or 0.0))
        case Rejected(why) if answer.status == 404 and code in _UNKNOWN:
            return Gone(f"{why}: {_UNKNOWN[code]}")
        case Rejected(why) if code is not None:
            return Rejected(f"{why}, Discord's code {code}")
        case _:
            return outcome


def _embed(notice: Notice, text: str | None) -> dict[str, object]:
    embed: dict[str, object] = {
        "title": cut(escape_markdown(title(notice)), _TITLE),
        "color": int(colour(notice).removeprefix("#"), 16),
        "timestamp": datetime.fromtimestamp(notice.sent_at, UTC).isoformat(),
    }
    description = _description(notice) if text is None else cut(escape_links(safe_lines(text)), _DESCRIPTION)
    if description:
        embed["description"] = description
    left = _TOTAL - units(str(embed["title"])) - units(description)
    if text is None and (fields := list(_fitting(_fields(notice), left))):
        embed["fields"] = fields
    return embed


def _description(notice: Notice) -> str:
    if notice.items:
        return cut_lines([escape_markdown(line) for line in lines(notice)], count(notice), _DESCRIPTION)
    return cut(escape_markdown(safe_lines(notice.alert.description)), _DESCRIPTION)


def _fields(notice: Notice) -> Iterator[tuple[str, str]]:
    """Give name and text of each field, escaped. The runbook's address stands in one, since Discord refuses a message whole
    for a title that links to a host it does not know (https://github.com/grafana/grafana/issues/65270).
    """
    for name, text in facts(notice)[: _FIELDS - 2]:
        yield escape_markdown(safe_lines(name)), escape_markdown(safe_lines(text))
    if address := link(runbook(notice.alert)):
        yield "Runbook", f"<{address}>"
    if labels := label_text(notice.alert):
        yield "Labels", escape_markdown(safe_lines(labels))


def _fitting(fields: Iterator[tuple[str, str]], left: int) -> Iterator[dict[str, object]]:
    """Give those fields for which there is room, no empty ones: Discord refuses them."""
    for name, text in fields:
        short = cut(name, _NAME)
        value = cut(text, min(_VALUE, left - units(short)))
        if short and value:
            left -= units(short) + units(value)
            yield {"name": short, "value": value, "inline": units(value) <= _SHORT}


_SHORT: Final = 40
"""Units of a text that leaves room for others beside it."""


def _waiting(url: str) -> str:
    """Give `url` with `wait=true`: else, Discord answers before it has stored the message, and never says that it failed."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), "wait": "true"}
    return urlunsplit(parts._replace(query=urlencode(query)))


def _checked_username(username: str | None) -> str | None:
    checked = text_of(username, "username", _WHERE, longest=_USERNAME)
    if checked is not None and any(word in checked.lower() for word in _RESERVED):
        raise ChannelError(
            _WHERE,
            field="username",
            seen=f"the username {username!r}",
            expected="Discord allows none with 'discord' or 'clyde' in it",
        )
    return checked
