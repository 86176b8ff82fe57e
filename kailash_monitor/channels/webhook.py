"""The webhook channel: a JSON document to an address of yours.

    {"alert": {"id": …, "rule_name": …, "severity": "warning", "status": "firing" | "resolved", "title": …,
               "description": …, "labels": {…}, "annotations": {…}, "incident": 1, "created_at": "…", "fired_at": "…",
               "resolved_at": null, "value": 0.97, "peak": 0.99, "threshold": 0.9},
     "context": {"kind": "firing" | "repeat" | "resolved" | "missed" | "flapping" | "stable" | "digest" | "test",
                 "message_id": "…", "sent_at": "…", "reason": "fired", "condition": "> 0.9", …}}

With the kind "digest", `alert` sums up several, and `context["items"]` has `{"kind": …, "alert": {…}}` for each of them.
With "missed", `context` has `missed` (how often it came and went unheard), `first_fired_at` and `last_resolved_at`.

Times are ISO 8601 in UTC. The header `webhook-id` is the message id, the same at every attempt; `webhook-timestamp` the time
of the attempt, in Unix seconds; with a secret, `webhook-signature` is over both and the body (https://www.standardwebhooks.com).

With `format="alertmanager"` the document is that of Alertmanager's webhooks, version 4, for receivers that know it.
"""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from kailash_monitor.channels.alertmanager_labels import alertmanager_labels, fingerprint
from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.checks import Hidden, Secret, SecretUnreadable, headers_of, timeout_of
from kailash_monitor.channels.egress import Egress, egress_of
from kailash_monitor.channels.http import check_url, json_bytes, post
from kailash_monitor.channels.signature import key_of, safe_id, sign
from kailash_monitor.channels.text import count
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Outcome, Retry
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.notice import Notice

__all__ = ["WebhookNotificationChannel", "alertmanager_payload", "payload"]

_WHERE: Final = "webhook channel"
_OURS: Final = frozenset(
    {"webhook-id", "webhook-timestamp", "webhook-signature", "content-length", "transfer-encoding", "connection"}
)
"""Headers that follow from the message."""

_NEVER: Final = "0001-01-01T00:00:00Z"
"""How Go writes the time that has not come: the end of an alert that fires."""


class WebhookNotificationChannel(DeliveringChannel):
    """Posts each notice as JSON to `webhook_url`, with `headers` added.

    2xx is taken; 408, 425, 429, 5xx and network errors are tried again, `Retry-After` is obeyed; everything else is final.
    Redirects are not followed. `secret`, "whsec_…" or any text, signs each request; `secret_file` is read at each of them.
    `egress="public"` refuses every address that is not of the open internet; link-local and metadata addresses are
    refused always. An attempt has `timeout`. `format` is "json" or "alertmanager".
    """

    def __init__(
        self,
        webhook_url: str,
        headers: Mapping[str, str] | None = None,
        *,
        name: str | None = None,
        secret: str | None = None,
        secret_file: str | os.PathLike[str] | None = None,
        egress: str | Egress = "private",
        format: str = "json",  # the word that people write in their settings
        timeout: Duration = "10s",
    ) -> None:
        self._host: Final = check_url(webhook_url, _WHERE, "webhook_url")
        self._headers: Final = headers_of(headers or {}, _WHERE, ours=_OURS)
        if "authorization" in self._headers.value and "@" in urlsplit(webhook_url).netloc:
            raise ChannelError(
                _WHERE,
                field="headers",
                seen="the header 'Authorization' beside credentials in the address",
                expected="give one of them",
            )
        if format not in _FORMATS:
            raise ChannelError(
                _WHERE, field="format", seen=f"the format {format!r}", expected=f"use one of {', '.join(_FORMATS)}"
            )
        self.name = name
        self._url: Final = Hidden(webhook_url)
        self._secret: Final = _secret(secret, secret_file)
        self._egress: Final = egress_of(egress, _WHERE)
        self._format: Final = format
        self._seconds: Final = timeout_of(timeout, _WHERE)
        self.attempt_seconds = self._seconds + 1.0

    def __repr__(self) -> str:
        return f"<WebhookNotificationChannel {self._host}>"  # path, query and headers can be secrets

    async def deliver(self, notice: Notice) -> Outcome:
        """Post the notice once."""
        body = await asyncio.to_thread(self._body, notice) if notice.items else self._body(notice)  # a digest can be long
        message_id, timestamp = safe_id(notice.id), int(SYSTEM_CLOCK.wall())
        headers = {
            "content-type": "application/json",
            **self._headers.value,
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
        }
        if self._secret is not None:
            try:
                key = key_of(await self._secret.fetch())
            except SecretUnreadable as error:
                return Retry(str(error))
            except ValueError as error:
                return Retry(f"the secret has {error}")
            headers["webhook-signature"] = sign(key, message_id, timestamp, body)
        return await post(self._url.value, body, headers, seconds=self._seconds, egress=self._egress)

    def _body(self, notice: Notice) -> bytes:
        if self._format == "alertmanager":
            return json_bytes(alertmanager_payload(notice, receiver=self.name or "webhook"))
        return json_bytes(payload(notice))


_FORMATS: Final = ("json", "alertmanager")


def payload(notice: Notice) -> dict[str, object]:
    """Give the document for `notice`."""
    return {
        "alert": notice.alert.document(),
        "context": {**notice.context, "sent_at": datetime.fromtimestamp(notice.sent_at, UTC).isoformat()},
    }


def alertmanager_payload(notice: Notice, *, receiver: str = "webhook") -> dict[str, object]:
    """Give the document for `notice` as Alertmanager sends it to webhooks (template.Data and webhook.Message, version 4).

    The group is what the notice tells of: the labels that a digest was grouped by, else those of the alert itself.
    """
    sent_at = datetime.fromtimestamp(notice.sent_at, UTC)
    alerts = [item.alert for item in notice.items] or [notice.alert]
    documents = [_alertmanager_alert(alert, sent_at) for alert in alerts]
    group = dict(notice.alert.labels) if notice.items else alertmanager_labels(notice.alert)
    return {
        "version": "4",
        "groupKey": f"{{}}:{_label_set(group)}",
        "truncatedAlerts": count(notice) - len(notice.items),
        "status": "firing" if any(not _is_resolved(alert) for alert in alerts) else "resolved",
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": _common([alertmanager_labels(alert) for alert in alerts]),
        "commonAnnotations": _common([_annotations(alert) for alert in alerts]),
        "externalURL": "",
        "alerts": documents,
    }


def _alertmanager_alert(alert: Alert, sent_at: datetime) -> dict[str, object]:
    labels, resolved = alertmanager_labels(alert), _is_resolved(alert)
    return {
        "status": "resolved" if resolved else "firing",
        "labels": labels,
        "annotations": _annotations(alert),
        "startsAt": _rfc3339(alert.fired_at or alert.created_at or sent_at),
        "endsAt": _rfc3339(alert.resolved_at or sent_at) if resolved else _NEVER,
        "generatorURL": "",
        "fingerprint": fingerprint(labels),
    }


def _is_resolved(alert: Alert) -> bool:
    return alert.status is AlertStatus.RESOLVED


def _annotations(alert: Alert) -> dict[str, str]:
    """Give the alert's annotations; its title and text as those that Prometheus' rules have by convention."""
    own = {"summary": alert.title, "description": alert.description}
    return {**{name: text for name, text in own.items() if text}, **alert.annotations}


def _common(sets: list[dict[str, str]]) -> dict[str, str]:
    first, *others = sets
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _label_set(labels: Mapping[str, str]) -> str:
    """Write labels as Go does: `{alertname="busy", host="a"}`."""
    quoted = (f"{name}={json_bytes(value).decode()}" for name, value in sorted(labels.items()))
    return "{" + ", ".join(quoted) + "}"


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _secret(value: str | None, file: str | os.PathLike[str] | None) -> Secret | None:
    if value is None and file is None:
        return None
    secret = Secret.of(value, file, field="secret", where=_WHERE)
    if value is not None:
        try:
            key_of(value)
        except ValueError as error:
            raise ChannelError(
                _WHERE, field="secret", seen=f"a secret with {error}", expected="use whsec_ with base64, or another text"
            ) from None
    return secret
