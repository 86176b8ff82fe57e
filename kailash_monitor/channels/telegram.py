"""The Telegram channel: a message of a bot to a chat, a group, a topic of a group or a channel of Telegram's.

The text is HTML in the few tags of the Bot API (https://core.telegram.org/bots/api#html-style); all that comes from alerts
is escaped, and cut before that, so that no tag or entity is. The bot's token is a part of the address of each request.
"""

import asyncio
import html
import re
from collections.abc import Iterable
from typing import Final

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.checks import Hidden, Secret, SecretUnreadable, seconds_of, secrets_in, starred, timeout_of
from kailash_monitor.channels.egress import Egress, egress_of
from kailash_monitor.channels.fitting import cut, cut_lines, link, safe_lines, units
from kailash_monitor.channels.http import Answer, check_url, classify, json_bytes, json_of, post
from kailash_monitor.channels.template import Template
from kailash_monitor.channels.text import count, facts, is_over, label_text, lines, one_line, runbook, title
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["TelegramNotificationChannel", "judge", "moved_to", "payload"]

_WHERE: Final = "telegram channel"
_TEXT: Final = 4_096
"""Units of a message after its tags and entities are read (https://core.telegram.org/bots/api#sendmessage)."""

_TITLE: Final = 256
_FACT: Final = 160
_LABELS: Final = 512

_TOKEN: Final = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{1,128}", re.ASCII)
_CHAT: Final = re.compile(r"-?\d{1,20}|@[A-Za-z]\w{1,63}", re.ASCII)

_NO_CHAT: Final = ("chat not found", "message thread not found", "topic_deleted", "deactivated")
_NO_RIGHTS: Final = ("not enough rights", "have no rights", "need administrator rights")
"""Words of a 400, in lower case: Telegram gives no codes (they are the errors that libraries for it know)."""


class TelegramNotificationChannel(DeliveringChannel):
    """Sends each notice as the bot with this `token` (or the one in `token_file`) to `chat_id`: a number, or "@name".

    `message_thread_id` is a topic of a group. What is only for information or over makes no sound. A pause that Telegram
    asks for is obeyed, a group that became a supergroup is followed, and to a bot that was thrown out the chat is gone.
    `text_template` (see channels/template.py) words what stands below the title, as plain text.
    """

    rate = (1.0, 5)

    def __init__(
        self,
        token: str | None = None,
        chat_id: int | str | None = None,
        *,
        name: str | None = None,
        message_thread_id: int | None = None,
        token_file: str | None = None,
        api_url: str = "https://api.telegram.org",
        timeout: Duration = "10s",
        egress: str | Egress = "private",
        text_template: str | None = None,
    ) -> None:
        self._token: Final = Secret.of(token, token_file, field="token", where=_WHERE)
        if token is not None and not _TOKEN.fullmatch(token):
            raise ChannelError(_WHERE, field="token", seen="a token that is none", expected=_TOKEN_FORM)
        self._host: Final = check_url(api_url, _WHERE, "api_url")
        self._api: Final = Hidden(api_url.rstrip("/"))
        self._chat: int | str = _checked_chat(chat_id)  # changed by _judge alone, where Telegram says that it moved
        self._thread: Final = _checked_thread(message_thread_id)
        self._seconds: Final = timeout_of(timeout, _WHERE)
        self.attempt_seconds = self._seconds + 1.0
        self._egress: Final = egress_of(egress, _WHERE)
        self._template: Final = (
            None if text_template is None else Template(text_template, field="text_template", where=_WHERE)
        )
        self.name = name

    def __repr__(self) -> str:
        return f"<TelegramNotificationChannel {self._host} {self._chat}>"

    async def deliver(self, notice: Notice) -> Outcome:
        """Send the notice once."""
        try:
            token = await self._token.fetch()
        except SecretUnreadable as error:
            return Retry(str(error))
        if not _TOKEN.fullmatch(token):  # that of a file; it must not lead elsewhere than to the bot
            return Unauthorised(f"the token file holds no token; {_TOKEN_FORM}")
        return await post(
            f"{self._api.value}/bot{token}/sendMessage",
            await asyncio.to_thread(self._body, notice),  # a digest can be long, and a template anything
            {"Content-Type": "application/json"},
            seconds=self._seconds,
            judge=self._judge,
            egress=self._egress,
        )

    def _body(self, notice: Notice) -> bytes:
        text = None if self._template is None else self._template.render(notice)
        return json_bytes(payload(notice, self._chat, message_thread_id=self._thread, text=text))

    def _judge(self, answer: Answer, now: float) -> Outcome:
        if (chat := moved_to(answer)) is not None:
            self._chat = chat
        return judge(answer, now, secrets_in(self._api.value))


def payload(
    notice: Notice, chat_id: int | str, *, message_thread_id: int | None = None, text: str | None = None
) -> dict[str, object]:
    """Give the parameters of `sendMessage` for `notice`; `text` stands in the place of its description and facts."""
    document: dict[str, object] = {
        "chat_id": chat_id,
        "text": _html(notice, text),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
        "disable_notification": _quiet(notice),
    }
    return document if message_thread_id is None else {**document, "message_thread_id": message_thread_id}


def judge(answer: Answer, now: float, secrets: Iterable[str] = ()) -> Outcome:
    """Say what Telegram's answer means: only one that says ok is one, and its body can ask for a pause."""
    said = _said(answer)
    description = one_line(cut(starred(_TOKEN.sub("***", str(said.get("description", ""))), secrets), 200))
    why = f"HTTP {answer.status}{f': {description}' if description else ''}"
    match classify(answer, now):
        case Delivered():
            return (
                Delivered()
                if said.get("ok") is True
                else Retry(f"HTTP {answer.status} without Telegram's ok", in_doubt=True)
            )
        case Retry(after=asked):
            return Retry(why, after=max([each for each in (asked, _pause(said)) if each is not None], default=None))
        case Rejected() if moved_to(answer) is not None:
            return Retry("the group became a supergroup and has another id now", after=0.0)
        case _:
            return _refused(answer.status, description.lower(), why)


def moved_to(answer: Answer) -> int | None:
    """Give the new id of a group that has become a supergroup; None where the answer says nothing of it."""
    chat = _parameters(_said(answer)).get("migrate_to_chat_id")
    return chat if isinstance(chat, int) and not isinstance(chat, bool) else None


def _refused(status: int, description: str, why: str) -> Outcome:
    if status == 403 or (status == 400 and any(words in description for words in _NO_CHAT)):
        return Gone(why)  # 403: the bot was blocked or thrown out
    if status in (401, 404) or (status == 400 and any(words in description for words in _NO_RIGHTS)):
        return Unauthorised(why)  # 404: no bot has this token
    return Gone(why) if status == 410 else Rejected(why)


def _said(answer: Answer) -> dict[str, object]:
    said = json_of(answer)
    return said if isinstance(said, dict) else {}


def _parameters(said: dict[str, object]) -> dict[str, object]:
    parameters = said.get("parameters")
    return parameters if isinstance(parameters, dict) else {}


def _pause(said: dict[str, object]) -> float | None:
    return seconds_of(_parameters(said).get("retry_after"))


def _html(notice: Notice, text: str | None) -> str:
    """Give the message: first what must be in it, then as much of the description, or of the digest's list, as has room."""
    head = cut(safe_lines(title(notice)), _TITLE)
    after = [] if text is not None else _after(notice)
    left = _TEXT - units(head) - sum(units(name) + units(said) + 3 for name, said in after) - 4
    between = _between(notice, left) if text is None else cut(safe_lines(text), left)
    parts = [f"<b>{html.escape(head, quote=False)}</b>"]
    if between:
        parts.append(html.escape(between, quote=False))
    if after:
        parts.append(
            "\n".join(f"<b>{html.escape(name, quote=False)}</b>: {html.escape(said, quote=False)}" for name, said in after)
        )
    return "\n\n".join(parts)


def _between(notice: Notice, left: int) -> str:
    if notice.items:
        return cut_lines([safe_lines(line) for line in lines(notice)], count(notice), left)
    return cut(safe_lines(notice.alert.description), left)


def _after(notice: Notice) -> list[tuple[str, str]]:
    """Give names and texts of the lines that follow."""
    given = [(cut(safe_lines(name), 32), cut(safe_lines(said), _FACT)) for name, said in facts(notice)[:10]]
    if labels := label_text(notice.alert):
        given.append(("Labels", cut(safe_lines(labels), _LABELS)))
    if (address := link(runbook(notice.alert))) and units(address) <= _LABELS:
        given.append(
            ("Runbook", address)
        )  # as it is: clients make a link of it, and drop the address of one that they doubt
    return given


def _quiet(notice: Notice) -> bool:
    """Whether nobody need be woken: it is for information, or over, if it came and went unheard."""
    missed = notice.kind is NoticeKind.MISSED and notice.alert.status is AlertStatus.RESOLVED
    return notice.alert.severity is AlertSeverity.INFO or missed or is_over(notice)


_TOKEN_FORM: Final = "use what the BotFather gave, such as 123456:ABC-def"  # noqa: S105  # no token, but how one looks


def _checked_chat(chat: int | str | None) -> int | str:
    if isinstance(chat, bool) or not isinstance(chat, int | str) or not _CHAT.fullmatch(str(chat)):
        raise ChannelError(
            _WHERE,
            field="chat_id",
            seen=f"the chat_id {_TOKEN.sub('***', repr(chat))}",
            expected="use a number, such as -1001234, or '@name'",
        )
    return chat


def _checked_thread(thread: int | None) -> int | None:
    if thread is not None and (isinstance(thread, bool) or not isinstance(thread, int) or thread < 1):
        raise ChannelError(
            _WHERE, field="message_thread_id", seen=f"the message_thread_id {thread!r}", expected="use a number above 0"
        )
    return thread
