"""The PagerDuty channel: events that open and resolve alerts there, and page whoever is on call.

One alert here is one there: its `dedup_key` is the alert's id, so that a repeat changes nothing, a resolve finds it, and a
new incident after a resolved one opens anew (https://developer.pagerduty.com/docs/events-api-v2-overview). What came and
went unheard is sent as a change event, which the service's page shows and which pages nobody.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.checks import Hidden, Secret, SecretUnreadable, secrets_in, starred, text_of, timeout_of
from kailash_monitor.channels.egress import Egress, egress_of
from kailash_monitor.channels.fitting import cut, link, safe_lines, units
from kailash_monitor.channels.http import Answer, check_url, classify, json_bytes, json_of, post
from kailash_monitor.channels.text import facts, headline, one_line, runbook
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.notice import Notice, NoticeKind

__all__ = ["PagerDutyNotificationChannel", "dedup_key", "judge", "payload", "single"]

_WHERE: Final = "pagerduty channel"
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
"""Documented are 32 letters and digits; whoever stands in for PagerDuty may have others, on one line all the same."""

_KEY_FORM: Final = "use an integration key: 32 letters and digits"
_DEDUP_KEY: Final = 255
_SUMMARY: Final = 1_024
_DESCRIPTION: Final = 10_000
_FACTS: Final = 25
_NAME: Final = 64
_FACT: Final = 512
_LABELS: Final = 64
_LABEL_NAME: Final = 128
_LABEL: Final = 500
"""Units of the parts of `custom_details`: however long the texts, an event stays below the 512 kB that are taken."""

_SETTING: Final = 255
_ENQUEUE: Final = "/enqueue"
_DIGEST: Final = 60.0
"""Seconds that a digest may take, one event after the other; each of them has the timeout. What is left comes next time."""

_REMEMBERED: Final = 64
"""Digests that were sent in part, the latest ones: a handful at most are under way at once."""


class PagerDutyNotificationChannel(DeliveringChannel):
    """Sends each notice as an event to the integration with this `routing_key` (or the one in `routing_key_file`).

    `source` is what has the problem; without it, the label `instance`, `host` or `node` is. Programs that share a key and
    have rules of the same names must each give their own `source`: it becomes a part of the key by which PagerDuty knows an
    alert. A digest is sent as one event for each of its alerts, in order, up to the first that fails; the next attempt goes
    on there. Keys of event orchestrations, which begin with R, take no change events: what was missed is rejected then.
    """

    rate = (1.0, 60)
    """A minute takes 120 events of a key (https://developer.pagerduty.com/docs/events-api-rate-limits)."""

    def __init__(
        self,
        routing_key: str | None = None,
        *,
        name: str | None = None,
        routing_key_file: str | None = None,
        url: str = "https://events.pagerduty.com/v2/enqueue",
        source: str | None = None,
        client: str | None = None,
        client_url: str | None = None,
        timeout: Duration = "10s",
        egress: str | Egress = "private",
    ) -> None:
        self._key: Final = Secret.of(routing_key, routing_key_file, field="routing_key", where=_WHERE)
        if routing_key is not None and not _KEY.fullmatch(routing_key):
            raise ChannelError(_WHERE, field="routing_key", seen="a routing_key that is none", expected=_KEY_FORM)
        self._host: Final = check_url(url, _WHERE, "url")
        if client_url is not None:
            check_url(client_url, _WHERE, "client_url")
        self._url: Final = Hidden(url)
        self._source: Final = text_of(source, "source", _WHERE, longest=_SETTING)
        self._client: Final = text_of(client, "client", _WHERE, longest=_SETTING)
        self._client_url: Final = client_url
        self._seconds: Final = timeout_of(timeout, _WHERE)
        self.attempt_seconds = max(self._seconds + 1.0, _DIGEST)
        self._egress: Final = egress_of(egress, _WHERE)
        self._taken: Final[OrderedDict[str, int]] = OrderedDict()  # alerts taken, by digests sent in part; _send alone
        self.name = name

    def __repr__(self) -> str:
        return f"<PagerDutyNotificationChannel {self._host}>"

    async def deliver(self, notice: Notice) -> Outcome:
        """Send the notice once, as an event or as several."""
        try:
            key = await self._key.fetch()
        except SecretUnreadable as error:
            return Retry(str(error))
        if not _KEY.fullmatch(key):
            return Unauthorised(f"the routing_key file holds no key; {_KEY_FORM}")
        return await self._send(key, notice, single(notice))

    async def _send(self, key: str, notice: Notice, parts: list[Notice]) -> Outcome:
        """Send what was not taken before, remembering how far it came: a cancelled attempt is not in vain either."""
        for number in range(self._taken.pop(notice.id, 0), len(parts)):
            self._remember(notice.id, number)
            outcome = await self._post(key, parts[number])
            if not isinstance(outcome, Delivered):
                return _partly(outcome, number, len(parts))
        self._taken.pop(notice.id, None)
        return Delivered()

    def _remember(self, notice_id: str, taken: int) -> None:
        if taken:
            self._taken[notice_id] = taken
        while len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)

    async def _post(self, key: str, notice: Notice) -> Outcome:
        document = payload(notice, source=self._source, client=self._client, client_url=self._client_url)
        return await post(
            _change_url(self._url.value) if _is_change(notice) else self._url.value,
            json_bytes({"routing_key": key, **document}),
            {"Content-Type": "application/json"},
            seconds=self._seconds,
            judge=lambda answer, now: judge(answer, now, key, *secrets_in(self._url.value)),
            egress=self._egress,
        )


def single(notice: Notice) -> list[Notice]:
    """Give a notice of its own for each alert of a digest, in order; any other notice as it is."""
    return [
        Notice(f"{notice.id}-{number}", item.kind, item.alert, sent_at=notice.sent_at, extra=item.extra)
        for number, item in enumerate(notice.items)
    ] or [notice]


def payload(
    notice: Notice, *, source: str | None = None, client: str | None = None, client_url: str | None = None
) -> dict[str, object]:
    """Give the event for a notice about one alert, all but its `routing_key`: a change event for what was missed."""
    document: dict[str, object] = {"payload": _described(notice, source)}
    if address := link(runbook(notice.alert)):
        document["links"] = [{"href": address, "text": "Runbook"}]
    if _is_change(notice):
        return document
    return {
        "event_action": "resolve" if _ends(notice) else "trigger",
        "dedup_key": dedup_key(notice, source),
        **document,
        **({} if client is None else {"client": client}),
        **({} if client_url is None else {"client_url": client_url}),
    }


def dedup_key(notice: Notice, source: str | None = None) -> str:
    """Give the key by which PagerDuty knows the alert, whichever its incident; a test never touches a true one."""
    parts = [source, "test" if notice.kind is NoticeKind.TEST else None, notice.alert.id]
    key = one_line(" ".join(part for part in parts if part))
    return key if units(key) <= _DEDUP_KEY else hashlib.sha256(key.encode()).hexdigest()


def judge(answer: Answer, now: float, *secrets: str) -> Outcome:
    """Say what PagerDuty's answer means: a 400 can be about the key, which no other event would mend."""
    outcome = classify(answer, now)
    if not isinstance(outcome, Rejected) or not (said := _said(answer)):
        return outcome
    why = f"{outcome.why}: {cut(one_line(starred(said, secrets)), 200)}"
    about_key = re.search(r"routing[ _]key", said, re.IGNORECASE)
    return Unauthorised(why) if answer.status == 400 and about_key else Rejected(why)


def _said(answer: Answer) -> str:
    said = json_of(answer)
    if not isinstance(said, dict):
        return ""
    errors = said.get("errors")
    return "; ".join(str(each) for each in (said.get("message"), *(errors if isinstance(errors, list) else [])) if each)


def _is_change(notice: Notice) -> bool:
    return notice.kind is NoticeKind.MISSED


def _ends(notice: Notice) -> bool:
    """Whether nothing is left to do. What flaps is a trouble whichever way it stands; a test proves that it pages."""
    if notice.kind is NoticeKind.STABLE:
        return notice.alert.status is AlertStatus.RESOLVED
    return notice.kind is NoticeKind.RESOLVED


def _change_url(url: str) -> str:
    """Give where change events go: `…/v2/change/enqueue` beside `…/v2/enqueue`."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/').removesuffix(_ENQUEUE)}/change{_ENQUEUE}"))


def _partly(outcome: Retry | Rejected | Unauthorised | Gone, taken: int, total: int) -> Outcome:
    """Give the outcome of a digest that stopped after so many of its alerts; those few are known there, whatever comes."""
    why = f"{outcome.why}, after {taken} of {total} alerts" if total > 1 else outcome.why
    match outcome:
        case Retry(after=after, in_doubt=in_doubt, attempts=attempts):
            return Retry(why, after=after, in_doubt=in_doubt or taken > 0, attempts=attempts)
        case Rejected():
            return Rejected(why)
        case Unauthorised():
            return Unauthorised(why)
        case Gone():
            return Gone(why)


def _described(notice: Notice, source: str | None) -> dict[str, object]:
    alert = notice.alert
    described: dict[str, object] = {
        "summary": cut(_summary(notice), _SUMMARY),
        "source": source or _label(alert, ("instance", "host", "node")) or "kailash-monitor",
        "timestamp": datetime.fromtimestamp(notice.sent_at, UTC).isoformat(),
        "custom_details": _details(notice),
    }
    if _is_change(notice):
        return described
    described |= {"severity": alert.severity.value, "class": cut(one_line(alert.rule_name), _SETTING)}
    for field, names in (("component", ("component", "service")), ("group", ("group", "cluster"))):
        if value := _label(alert, names):
            described[field] = value
    return described


def _summary(notice: Notice) -> str:
    """Give what a phone reads out: all in one line but labels and link, which have fields of their own."""
    alert = replace(notice.alert, description=" ".join(notice.alert.description.split()), labels={}, annotations={})
    return headline(replace(notice, alert=alert))


def _label(alert: Alert, names: Iterable[str]) -> str | None:
    """Give the first of these labels that the alert has."""
    return next((cut(one_line(alert.labels[name]), _SETTING) for name in names if alert.labels.get(name)), None)


def _details(notice: Notice) -> dict[str, object]:
    alert = notice.alert
    details: dict[str, object] = {cut(name, _NAME): cut(text, _FACT) for name, text in facts(notice)[:_FACTS]}
    if description := cut(safe_lines(alert.description), _DESCRIPTION):
        details["Description"] = description
    if labels := _labels(alert.labels):
        details["Labels"] = labels
    return details


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    few = list(labels.items())[:_LABELS]
    return {cut(one_line(name), _LABEL_NAME): cut(one_line(value), _LABEL) for name, value in few}
