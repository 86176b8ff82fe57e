"""The Slack channel: a message by way of an incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.checks import Hidden, text_of, timeout_of
from kailash_monitor.channels.egress import Egress, egress_of
from kailash_monitor.channels.fitting import cut, cut_lines, link, safe_lines, units
from kailash_monitor.channels.http import Answer, check_url, classify, json_bytes, json_of, post, retry_after
from kailash_monitor.channels.template import Template
from kailash_monitor.channels.text import colour, count, facts, is_over, label_text, lines, runbook, title
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["SlackNotificationChannel", "judge", "payload"]

_WHERE: Final = "slack channel"

HEADER: Final = 150
SECTION: Final = 3_000
BLOCKS: Final = 50
"""What Slack allows: units of a header and of a section, blocks of a message (Block Kit reference)."""

_MESSAGE: Final = 10_000
"""Units of the list of a digest. Slack refuses more than about 13,000 in all blocks, their JSON included
(https://github.com/slackapi/bolt-js/issues/2509)."""

_LINE: Final = 300
_FIELD: Final = 1_000
_NAME: Final = 80
"""Units of a line of a digest, of a fact and of its name: longer ones nobody reads."""

_FIELDS: Final = 20

_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_CUT_ENTITY: Final = re.compile("&[a-z]{0,3}…")


class SlackNotificationChannel(DeliveringChannel):
    """Posts to a Slack incoming webhook, in the colour of the severity, with the facts as fields.

    `channel`, `username` and `icon_emoji` work with webhooks of the older kind only; Slack ignores them for those of an app.
    `mention` wakes people: "@here", "@channel", "<@U012AB3CD>" or "<!subteam^S012AB3CD>", several with spaces between, for
    critical alerts, or a mapping from severities to such texts. Nobody is mentioned for what is over, nor by a test.
    Nothing in an alert's texts can mention anybody. `text_template` (see channels/template.py) words what stands below the
    title, as plain text.

    Taken is what Slack answers "ok" to.
    """

    rate = (1.0, 5)

    def __init__(
        self,
        webhook_url: str,
        channel: str | None = None,
        *,
        name: str | None = None,
        username: str | None = None,
        icon_emoji: str | None = None,
        mention: str | Mapping[str, str] | None = None,
        timeout: Duration = "10s",
        egress: str | Egress = "private",
        text_template: str | None = None,
    ) -> None:
        self._host: Final = check_url(webhook_url, _WHERE, "webhook_url")
        if icon_emoji is not None and not (isinstance(icon_emoji, str) and re.fullmatch(r":[^:\s]+:", icon_emoji)):
            raise ChannelError(
                _WHERE, field="icon_emoji", seen=f"the emoji {icon_emoji!r}", expected="use its name, such as ':fire:'"
            )
        looks = {
            "channel": text_of(channel, "channel", _WHERE, longest=_NAME),
            "username": text_of(username, "username", _WHERE, longest=_NAME),
            "icon_emoji": icon_emoji,
        }
        self.name = name
        self._url: Final = Hidden(webhook_url)
        self._looks: Final = {key: value for key, value in looks.items() if value is not None}
        self._mention: Final = _mentions(mention)
        self._seconds: Final = timeout_of(timeout, _WHERE)
        self.attempt_seconds = self._seconds + 1.0
        self._egress: Final = egress_of(egress, _WHERE)
        self._template: Final = (
            None if text_template is None else Template(text_template, field="text_template", where=_WHERE)
        )

    def __repr__(self) -> str:
        return f"<SlackNotificationChannel {self._looks.get('channel') or self._host}>"  # the path of the URL is the secret

    async def deliver(self, notice: Notice) -> Outcome:
        """Post the notice once."""
        body = await asyncio.to_thread(self._body, notice)  # a digest can be long, and a template anything
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return await post(self._url.value, body, headers, seconds=self._seconds, judge=judge, egress=self._egress)

    def _body(self, notice: Notice) -> bytes:
        text = None if self._template is None else self._template.render(notice)
        return json_bytes({**self._looks, **payload(notice, mention=self._mention, text=text)})


def payload(
    notice: Notice, *, mention: Mapping[AlertSeverity, str] | None = None, text: str | None = None
) -> dict[str, object]:
    """Give the message for `notice`, with `text` in place of its own below the title.

    `mention` has, ready to send, whom a severity wakes.
    """
    whom = "" if not _wakes(notice) else (mention or {}).get(notice.alert.severity, "")
    head = _fitted(title(notice), HEADER)
    return {
        "text": f"{whom} {head}".strip(),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": head, "emoji": False}},
            *map(_section, filter(None, [whom, *_sections(notice, text)])),
        ],
        "attachments": [
            {"color": colour(notice), "fallback": head, "fields": _fields(notice), "ts": int(notice.sent_at)},
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def judge(answer: Answer, now: float) -> Outcome:
    """Say what Slack's answer means. Its body is the word "ok" or one for what is wrong; workflows answer in JSON."""
    said = json_of(answer)
    if isinstance(said, dict):
        word = "ok" if said.get("ok") is True else str(said.get("error", ""))
    else:
        word = answer.body[:_NAME].decode("ascii", "replace").strip()
    by_status = classify(answer, now)
    if word == "ok" and isinstance(by_status, Delivered):
        return Delivered()
    why = f"HTTP {answer.status}: {word}" if re.fullmatch("[a-z_]{1,60}", word) else f"HTTP {answer.status}"
    if word in _GONE:
        return Gone(why)
    if word in _UNAUTHORISED:
        return Unauthorised(why)
    if word in _TRANSIENT:
        return Retry(why, after=retry_after(answer.headers, now))
    if word in _WRONG:
        return Rejected(why)
    if isinstance(by_status, Delivered):
        return Retry(f"{why}, without Slack's ok", in_doubt=True, attempts=_ATTEMPTS_WITHOUT_OK)
    return replace(by_status, why=why)


_GONE: Final = frozenset({"channel_is_archived", "no_service", "no_service_id", "no_team", "team_disabled"})
_UNAUTHORISED: Final = frozenset({"action_prohibited", "invalid_token", "posting_to_general_channel_denied"})
_TRANSIENT: Final = frozenset(
    {
        "rate_limited",
        "ratelimited",
        "rollup_error",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
    }
)
_WRONG: Final = frozenset(
    {
        "channel_not_found",
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_payload",
        "missing_text_or_fallback_or_attachments",
        "msg_blocks_too_long",
        "no_text",
        "too_many_attachments",
        "user_not_found",
    }
)

_ATTEMPTS_WITHOUT_OK: Final = 3
"""A page that some box on the way put in Slack's place goes away again, a wrong address does not."""


def _sections(notice: Notice, text: str | None) -> Iterator[str]:
    """Give the texts of the message below its title, ready to send."""
    if text is not None:
        yield _fitted(text, SECTION)
        return
    if notice.items:
        yield from _packed([_fitted(line, _LINE) for line in lines(notice)], count(notice))
    else:
        yield _fitted(notice.alert.description, SECTION)
    address = (link(runbook(notice.alert)) or "").translate(_ENTITIES)
    if address and units(address) <= _FIELD:  # half an address leads nowhere
        yield f"<{address}|Runbook>"


def _packed(escaped: Sequence[str], total: int) -> Iterator[str]:
    """Give the lines about `total` alerts in as few sections as they go into."""
    section = ""
    for line in _CUT_ENTITY.sub("…", cut_lines(escaped, total, _MESSAGE)).split("\n"):
        if section and units(section) + 1 + units(line) > SECTION:
            yield section
            section = ""
        section = f"{section}\n{line}" if section else line
    yield section


def _fields(notice: Notice) -> list[dict[str, object]]:
    rows = facts(notice) or [("Alerts", notice.alert.title)]
    if labels := label_text(notice.alert):
        rows = [*rows[: _FIELDS - 1], ("Labels", labels)]
    return [
        {"title": _fitted(name, _NAME), "value": _fitted(text, _FIELD), "short": len(text) <= _SHORT}
        for name, text in rows[:_FIELDS]
    ]


_SHORT: Final = 40
"""Characters of a fact that leaves room for another beside it."""


def _section(text: str) -> dict[str, object]:
    # verbatim: what looks like a channel, a name or an address in the text stays text
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _fitted(text: str, limit: int) -> str:
    """Give `text` in at most `limit` units, with nothing in it that Slack reads as a command."""
    return _CUT_ENTITY.sub("…", cut(safe_lines(text).translate(_ENTITIES), limit))


def _wakes(notice: Notice) -> bool:
    """Whether somebody has to hurry."""
    return not (is_over(notice) or notice.kind is NoticeKind.TEST or notice.alert.status is AlertStatus.RESOLVED)


_MENTION: Final = re.compile(r"<(?:!here|!channel|!everyone|@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+)>")
_SPOKEN: Final = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}


def _mentions(given: str | Mapping[str, str] | None) -> dict[AlertSeverity, str]:
    """Read whom which severity wakes."""
    by_severity = {AlertSeverity.CRITICAL.value: given} if isinstance(given, str) else given or {}
    if not isinstance(by_severity, Mapping):
        raise _wrong_mention(by_severity)
    return {_severity(word): _mention(text) for word, text in by_severity.items()}


def _severity(word: str) -> AlertSeverity:
    try:
        return AlertSeverity(word)
    except ValueError:
        known = ", ".join(severity.value for severity in AlertSeverity)
        raise ChannelError(_WHERE, field="mention", seen=f"the severity {word!r}", expected=f"use one of {known}") from None


def _mention(text: str) -> str:
    words = [_SPOKEN.get(word, word) for word in text.split()] if isinstance(text, str) else []
    if not words or len(text) > HEADER or not all(map(_MENTION.fullmatch, words)):
        raise _wrong_mention(text)
    return " ".join(words)


def _wrong_mention(seen: object) -> ChannelError:
    return ChannelError(
        _WHERE,
        field="mention",
        seen=f"the mention {seen!r}",
        expected="use '@here', '@channel', '<@U012AB3CD>' or '<!subteam^S012AB3CD>'",
    )
