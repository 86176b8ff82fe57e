"""The webhook channel: a JSON document to an address of yours.

    {"alert": {"id": …, "rule_name": …, "severity": "warning", "status": "firing" | "resolved", "title": …,
               "description": …, "labels": {…}, "annotations": {…}, "incident": 1, "created_at": "…", "fired_at": "…",
               "resolved_at": null, "value": 0.97, "peak": 0.99, "threshold": 0.9},
     "context": {"kind": "firing" | "repeat" | "resolved" | "test", "message_id": "…", "sent_at": "…"}}

Times are ISO 8601 in UTC. The header `webhook-id` is the message id, the same at every attempt; `webhook-timestamp` the time
the message was made, in Unix seconds (https://www.standardwebhooks.com).
"""

import json
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


class WebhookNotificationChannel(DeliveringChannel):
    """Posts each notice as JSON to `webhook_url`, with `headers` added.

    2xx is taken; 408, 425, 429, 5xx and network errors are tried again, `Retry-After` is obeyed; everything else is final.
    Redirects are not followed.
    """

    def __init__(self, webhook_url: str, headers: Mapping[str, str] | None = None, *, name: str | None = None) -> None:
        where = "webhook channel"
        parts = _split(webhook_url)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ChannelError(
                where, field="webhook_url", seen="an address that is no URL", expected="use http://… or https://…"
            )
        for header, value in (headers or {}).items():
            if any(character in f"{header}{value}" for character in "\r\n\0"):
                raise ChannelError(
                    where, field="headers", seen=f"a line break in the header {header!r}", expected="one line"
                )
        self.name = name
        self._url = webhook_url
        self._host = parts.hostname
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
    try:
        return urlsplit(url)
    except ValueError:  # such as "http://["
        return None
