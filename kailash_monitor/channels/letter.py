"""A letter: a notice as an e-mail, as text and as HTML, in one thread with all others about the same alert."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address, HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from typing import Final

from kailash_monitor.channels.facts import brief_facts
from kailash_monitor.channels.fitting import cut, safe_lines
from kailash_monitor.channels.text import (
    colour,
    count,
    facts,
    is_over,
    label_text,
    listed,
    one_line,
    plain,
    runbook,
    title,
)
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.notice import Notice, NoticeKind
from kailash_monitor.model.severity import AlertSeverity

__all__ = ["Letterhead", "address", "domain_name", "message", "subject_line"]

_LONGEST_SUBJECT: Final = 150
"""Characters: what a list of mails shows, and a bit. The text has it all."""

_LONGEST_TITLE: Final = 200
"""Characters in a row of a digest, of which there can be thousands."""

_LONGEST_NAME: Final = 100
_LONGEST_LOCAL_PART: Final = 64
_LONGEST_DOMAIN: Final = 253
"""As the protocol has it (RFC 5321, 4.5.3.1; RFC 1035, 2.3.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What all letters of a channel have in common."""

    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...] = ()
    reply_to: Address | None = None
    html: bool = True


# -- addresses


def address(text: str, field: str, where: str) -> Address:
    """Read "ops@example.com" or "On call <ops@example.com>"; a ChannelError for what no server would take.

    A domain of other letters than a to z is put into ASCII. A local part of such is refused: it needs SMTPUTF8, which a
    server on the way may not have, and then the mail is lost there.
    """
    found = _MAILBOX.fullmatch(text) if isinstance(text, str) else None
    name, spec = (_unquoted(found["name"] or ""), (found["spec"] or found["bare"]).strip()) if found else ("", "")
    local, _, domain = spec.rpartition("@")
    host = domain_name(domain)
    if not local.isascii():
        expected = "use letters from a to z before the @, others need SMTPUTF8"
        raise ChannelError(where, field=field, seen=f"the address {text!r}", expected=expected)
    if not _LOCAL_PART.fullmatch(local) or len(local) > _LONGEST_LOCAL_PART or host is None or _ENCODED in spec:
        raise ChannelError(where, field=field, seen=f"the address {text!r}", expected="use the form name@example.com")
    if not name.isprintable() or _ENCODED in name or len(name) > _LONGEST_NAME:
        raise ChannelError(
            where, field=field, seen=f"the name {name!r}", expected=f"use one line of at most {_LONGEST_NAME} characters"
        )
    return Address(name, local, host)


def domain_name(text: str) -> str | None:
    """Give a name of hosts in ASCII, as name servers are asked for it; None where it cannot be one."""
    try:
        name = text.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return name if _DOMAIN.fullmatch(name) and len(name) <= _LONGEST_DOMAIN else None


_MAILBOX: Final = re.compile(r"(?P<name>[^<>]*)<(?P<spec>[^<>]*)>\s*|(?P<bare>[^<>]*)")
_LOCAL_PART: Final = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
"""Without quotes, which many servers get wrong (RFC 5321, 4.1.2)."""
_DOMAIN: Final = re.compile(r"(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")

_ENCODED: Final = "=?"
"""How an encoded word begins (RFC 2047). One that is not ours could hold a line break, which ends a header."""


def _unquoted(name: str) -> str:
    name = name.strip()
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name


# -- letters


def message(notice: Notice, head: Letterhead, *, subject: str | None = None, text: str | None = None) -> EmailMessage:
    """Write the letter about `notice`, the same at each attempt; with a subject or a text of your own, if they are given.

    All letters about one alert, of all its incidents, answer the same message, which was never sent: that is how mail
    programs make a thread of them.
    """
    alert, domain = notice.alert, head.sender.domain
    thread = f"<alert.{_digest(alert.id)}@{domain}>"
    mail = EmailMessage(_POLICY)
    mail["From"] = head.sender
    mail["To"] = head.to
    if head.cc:
        mail["Cc"] = head.cc
    if head.reply_to is not None:
        mail["Reply-To"] = head.reply_to
    mail["Subject"] = _short(subject_line(notice) if subject is None else subject)
    mail["Date"] = datetime.fromtimestamp(notice.sent_at, UTC)
    mail["Message-ID"] = f"<{_digest(notice.id)}@{domain}>"
    mail["In-Reply-To"] = thread
    mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply to this
    mail["X-Auto-Response-Suppress"] = "All"  # the same, for Exchange
    if alert.severity is AlertSeverity.CRITICAL and not is_over(notice):
        mail["Importance"] = "high"
    mail.set_content(safe_lines(plain(notice) if text is None else text) + "\n")
    if head.html:
        mail.add_alternative(_page(notice) if text is None else _typed(notice, text), subtype="html")
        mail.set_boundary(f"=_{_digest(notice.id)}")  # what the library picks differs at each attempt
    return mail


def subject_line(notice: Notice) -> str:
    """Give "[FIRING] critical: High CPU usage"."""
    return f"[{_state(notice)}] {notice.alert.severity.value}: {notice.alert.title}"


def _state(notice: Notice) -> str:
    status = notice.alert.status.value.upper()
    match notice.kind:
        case NoticeKind.DIGEST:
            return status
        case NoticeKind.STABLE:
            return f"STABLE, {status}"
        case NoticeKind.REPEAT:
            return "STILL FIRING"
        case _:
            return notice.kind.name


def _digest(name: str) -> str:
    """Give letters and digits that stand for `name`: whatever it holds, they are an id, and fit on a line."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _short(subject: str) -> str:
    return cut(" ".join(one_line(" ".join(subject.split())).split()).replace(_ENCODED, "= ?"), _LONGEST_SUBJECT)


def _headers() -> HeaderRegistry:
    """Give the types of headers: the standard ones, but that the id of a thread is one and is not folded."""
    registry = HeaderRegistry()
    for name in ("In-Reply-To", "References"):  # as text, a long one would be encoded, and no longer match
        registry.map_to_type(name, MessageIDHeader)  # type: ignore[arg-type]  # the stub has mixins as no headers
    return registry


_POLICY: Final = SMTP.clone(cte_type="7bit", header_factory=_headers())  # seven bits pass everywhere


# -- HTML: tables and styles within the tags are what all mail programs show


def _page(notice: Notice) -> str:
    alert, link = notice.alert, runbook(notice.alert)
    description = "" if notice.items else " ".join(alert.description.split())
    return _html(
        notice,
        f'<p style="margin:4px 0">{_text(description)}</p>' if description else "",
        _table(facts(notice)),
        _table(list(_items(notice))),
        f'<p style="color:#666">{_text(label_text(alert))}</p>' if alert.labels else "",
        f'<p><a href="{_text(link)}">Runbook</a></p>' if link else "",
    )


def _items(notice: Notice) -> Iterator[tuple[str, str, str, str]]:
    """Give the alerts of a digest, a row each: what happened, severity, title, numbers."""
    named = listed(notice)
    for item in named:
        one = Notice(notice.id, item.kind, item.alert, sent_at=notice.sent_at, extra=item.extra)
        yield _state(one), item.alert.severity.value, cut(item.alert.title, _LONGEST_TITLE), ", ".join(brief_facts(one))
    if notice.items and (left := count(notice) - len(named)):
        yield "", "", f"and {left} more", ""


def _typed(notice: Notice, text: str) -> str:
    return _html(notice, f'<div style="white-space:pre-wrap">{escape(safe_lines(text))}</div>')


def _html(notice: Notice, *parts: str) -> str:
    """Give a page with a bar in the colour of the alert."""
    heading = _text(title(notice))
    body = "\n".join(part for part in parts if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{heading}</title></head>\n'
        f'<body style="font-family:sans-serif;font-size:14px;color:#222">\n'
        f'<div style="border-left:6px solid {colour(notice)};padding:2px 12px">\n'
        f'<p style="font-size:18px;font-weight:bold;margin:4px 0">{heading}</p>\n{body}\n</div>\n</body>\n</html>\n'
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<table style="border-collapse:collapse">\n{body}\n</table>' if body else ""


def _cell(text: str) -> str:
    return f'<td style="padding:2px 12px 2px 0;vertical-align:top">{_text(text)}</td>'


def _text(text: str) -> str:
    return escape(one_line(text))
