"""The webhook channel: a JSON document to an address of yours.

    {"alert": {"id": …, "rule_name": …, "severity": "warning", "status": "firing" | "resolved", "title": …,
               "description": …, "labels": {…}, "annotations": {…}, "incident": 1, "created_at": "…", "fired_at": "…",
               "resolved_at": null, "value": 0.97, "peak": 0.99, "threshold": 0.9},
     "context": {"kind": "firing" | "repeat" | "resolved" | "missed" | "flapping" | "stable" | "digest" | "test",
                 "message_id": "…", "sent_at": "…", "reason": "fired", "condition": "> 0.9", …}}

With the kind "digest", `alert` sums up several, and `context["items"]` has `{"kind": …, "alert": {…}}` for each of them.
With "missed", `context` has `missed` (how often it came and went unheard), `first_fired_at` and `last_resolved_at`.

Times are ISO 8601 in UTC. The header `webhook-id` is the message id, the same at every attempt; `webhook-timestamp` the time
the message was made, in Unix seconds (https://www.standardwebhooks.com).
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.http import post
from kailash_monitor.delivery.outcome import Outcome
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.notice import Notice

__all__ = ["WebhookNotificationChannel"]

ATTEMPT_SECONDS: Final = 10.0

_NO_HOST: Final = re.compile(r"[\s\x00-\x1f\x7f]")

_WHERE: Final = "webhook channel"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""What the name of a header is made of (RFC 9110, 5.6.2)."""


class WebhookNotificationChannel(DeliveringChannel):
    """Posts each notice as JSON to `webhook_url`, with `headers` added.

    2xx is taken; 408, 425, 429, 5xx and network errors are tried again, `Retry-After` is obeyed; everything else is final.
    Redirects are not followed.
    """

    def __init__(self, webhook_url: str, headers: Mapping[str, str] | None = None, *, name: str | None = None) -> None:
        parts = _split(webhook_url)
        if parts is None or parts.scheme not in ("http", "https") or not _is_host(parts.hostname):
            raise ChannelError(
                _WHERE, field="webhook_url", seen="an address that is no URL", expected="use http://… or https://…"
            )
        for header, value in (headers or {}).items():
            _check_header(header, value)
        self.name = name
        self._url = webhook_url
        self._host = parts.hostname or ""
        self._headers = dict(headers or {})

    def __repr__(self) -> str:
        return f"<WebhookNotificationChannel {self._host}>"  # path, query and headers can be secrets

    async def deliver(self, notice: Notice) -> Outcome:
        """Post the notice once."""
        headers = {
            "Content-Type": "application/json",
            **self._headers,
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(notice.sent_at)),
        }
        return await post(self._url, json.dumps(payload(notice)).encode(), headers, seconds=ATTEMPT_SECONDS)


def payload(notice: Notice) -> dict[str, object]:
    """Give the document for `notice`."""
    return {
        "alert": notice.alert.document(),
        "context": {**notice.context, "sent_at": datetime.fromtimestamp(notice.sent_at, UTC).isoformat()},
    }


def _split(url: str) -> SplitResult | None:
    """Give the parts of `url`; a ChannelError where its port is none, None where it is no URL at all."""
    try:
        parts = urlsplit(url)
    except (ValueError, TypeError, AttributeError):  # such as "http://[", or no text
        return None
    try:
        port = parts.port
    except ValueError:
        port = -1
    if port is not None and not 1 <= port <= 65_535:
        raise ChannelError(
            _WHERE, field="webhook_url", seen="an address with an impossible port", expected="use a port from 1 to 65535"
        )
    return parts


def _is_host(host: str | None) -> bool:
    """Whether a name server could be asked for `host`: parts of 1 to 63 characters (RFC 1035, 2.3.4), without space."""
    labels = (host or "").removesuffix(".").split(".")
    return all(0 < len(label) < 64 and not _NO_HOST.search(label) for label in labels)


def _check_header(name: str, value: str) -> None:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ChannelError(
            _WHERE, field="headers", seen=f"the header name {name!r}", expected="letters, digits and hyphens, no space"
        )
    if not isinstance(value, str) or any(character in value for character in "\r\n\0"):
        raise ChannelError(_WHERE, field="headers", seen=f"the value of the header {name!r}", expected="a text on one line")
