"""The Alertmanager channel: alerts for Prometheus Alertmanager, whose routes, silences and receivers take it from there.

It speaks the API v2 (https://prometheus.io/docs/alerting/latest/alerts_api). Alertmanager keeps no alert that it is not
reminded of: each one carries the time at which it is over unless it is heard of again, which is why the channel asks to have
what fires told again (`resend_every`). Alerts are known there by their labels, which are those of the alert with `alertname`
(the rule) and `severity`; one that becomes graver is therefore another alert there, and the former one runs out.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import PathLike
from typing import Final
from urllib.parse import urlsplit

from kailash_monitor.channels.alertmanager_labels import alertmanager_labels
from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.checks import SecretUnreadable, headers_of, timeout_of
from kailash_monitor.channels.credentials import Credentials
from kailash_monitor.channels.egress import Egress, egress_of
from kailash_monitor.channels.http import check_url, json_bytes, post
from kailash_monitor.channels.text import runbook
from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.labels import valid_label_name
from kailash_monitor.model.notice import Item, Notice, NoticeKind

__all__ = ["AlertmanagerNotificationChannel", "payload", "together"]

_LOGGER: Final = logging.getLogger("kailash_monitor.channels")
_WHERE: Final = "alertmanager channel"
_PATH: Final = "/api/v2/alerts"

LIVES: Final = 4
"""Of four reminders three may be lost before an alert runs out there. Prometheus does the same."""

SHORTEST_LIFE: Final = 120.0
"""Seconds: a reminder that fails is tried again after up to one minute, and that must not be too late."""

TEST_LIFE: Final = 300.0
"""Seconds after which a test is over: nobody would say so."""

PIECE: Final = 50
"""Alerts that are put into words at a time: a millisecond's work."""

GRACE: Final = 1.0
"""Seconds that the others have once one member took the alerts: a member that hangs must not hold up the next alert."""


@dataclass(frozen=True, slots=True)
class _Member:
    """One Alertmanager of the cluster: its name in logs, which is host and port, and where it takes alerts."""

    name: str
    url: str = field(repr=False)  # it can hold a password


class AlertmanagerNotificationChannel(DeliveringChannel):
    """Posts alerts to Alertmanager: to every member of a cluster at once, which agree among themselves who notifies.

    `urls` are the addresses of all members, such as `"http://am-1:9093"`, never that of a load balancer: each member must
    know each alert. A notice counts as delivered when one of them took it. Another that did not is logged, once, and learns
    of what fires at the next reminder; of what is over by itself, as the reminders cease.

    - `resend_every`: how often what fires is told again, whether or not it is silenced or acknowledged here.
    - `username` with `password` or `password_file`; or `token` or `token_file`, a bearer token: credentials for all members.
      Files are read at each send. `headers` are added to each request.
    - `generator_url`: where people find out more, behind the link "Source".

    An alert that came and went without having been told is posted as over. Alertmanager takes it and tells nobody.
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        name: str | None = None,
        resend_every: Duration = "1m",
        username: str | None = None,
        password: str | None = None,
        password_file: str | PathLike[str] | None = None,
        token: str | None = None,
        token_file: str | PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        generator_url: str | None = None,
        timeout: Duration = "10s",
        egress: str | Egress = Egress.PRIVATE,
    ) -> None:
        if generator_url is not None:
            check_url(generator_url, _WHERE, "generator_url")
        self.name = name
        self.resend_every: float | None = _resend_every(resend_every)
        self._members: Final = _members(urls)
        self._credentials: Final = Credentials.of(username, (password, password_file), (token, token_file), where=_WHERE)
        self._headers: Final = headers_of(headers or {}, _WHERE)
        addresses = [member.url for member in self._members]
        self._credentials.check_alone(self._headers.value, addresses, field="urls", where=_WHERE)
        self._generator_url: Final = generator_url
        self._timeout: Final = timeout_of(timeout, _WHERE)
        self.attempt_seconds = self._timeout + 1.0  # all members are told at the same time
        self._egress: Final = egress_of(egress, _WHERE)
        self._behind: set[str] = set()
        """The members that did not take what another one took. Only `_note` writes it."""

    def __repr__(self) -> str:
        return f"<AlertmanagerNotificationChannel {', '.join(member.name for member in self._members)}>"

    async def deliver(self, notice: Notice) -> Outcome:
        """Post the notice once to every member."""
        try:
            headers = {"content-type": "application/json", **self._headers.value, **await self._credentials.headers()}
        except SecretUnreadable as unreadable:
            return Retry(str(unreadable))
        outcomes = await self._post(await self._body(notice), headers)
        self._note(outcomes)
        return together(outcomes)

    async def _body(self, notice: Notice) -> bytes:
        """Give the document as JSON, made in pieces: the digest of a storm would hold the loop up."""
        alerts = payload(
            notice, now=SYSTEM_CLOCK.wall(), resend_every=self.resend_every or 0.0, generator_url=self._generator_url
        )
        pieces: list[bytes] = []
        for alert in alerts:
            pieces.append(json_bytes(alert))
            if len(pieces) % PIECE == 0:
                await asyncio.sleep(0)
        return b"[" + b",".join(pieces) + b"]"

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Outcome]:
        """Give what became of it at each member, by its name."""
        unheard = Retry(f"no answer within {GRACE:g} s after another member's", in_doubt=True)
        outcomes: dict[str, Outcome] = {member.name: unheard for member in self._members}

        async def post_to(member: _Member) -> None:
            outcome = await post(member.url, body, headers, seconds=self._timeout, egress=self._egress)
            outcomes[member.name] = outcome
            if isinstance(outcome, Delivered) and patience.when() is None:
                patience.reschedule(asyncio.get_running_loop().time() + GRACE)

        with suppress(TimeoutError):
            async with asyncio.timeout(None) as patience, asyncio.TaskGroup() as group:
                for member in self._members:
                    group.create_task(post_to(member))
        return outcomes

    def _note(self, outcomes: Mapping[str, Outcome]) -> None:
        """Log which members have fallen behind the others, and which are with them again: once per change.

        Where no member took it, whoever sends it knows, and nobody is behind.
        """
        if not any(isinstance(outcome, Delivered) for outcome in outcomes.values()):
            return
        for name, outcome in outcomes.items():
            if isinstance(outcome, Delivered):
                if name in self._behind:
                    self._behind.discard(name)
                    _LOGGER.info("Alertmanager %s takes alerts again", name)
            elif name not in self._behind:
                self._behind.add(name)
                _LOGGER.warning(
                    "Alertmanager %s did not take what others took: %s; it hears of what fires at the next reminder",
                    name,
                    outcome.why,
                )


def payload(
    notice: Notice, *, now: float, resend_every: float, generator_url: str | None = None
) -> Iterator[dict[str, object]]:
    """Give the document for `notice`, alert by alert: the one that it tells of, or those of a digest.

    What fires ends, for all that is known, four times after the longer of `resend_every` and the interval at which its rule
    is evaluated (`notice.extra["interval"]`), but not within two minutes. `now` is the time of the attempt, since that is
    when the alert is known to fire; in Unix seconds, like all here.
    """
    interval = notice.extra.get("interval")
    pause = max(resend_every, interval if isinstance(interval, int | float) else 0.0)
    life = max(LIVES * pause, SHORTEST_LIFE)
    items = notice.items or (Item(notice.kind, notice.alert),)
    for item in items:
        yield _alert(item, notice.sent_at, _ends_at(item, now, life), generator_url)


def together(outcomes: Mapping[str, Outcome]) -> Outcome:
    """Say what became of a message, by what became of it at each member.

    It is delivered where one took it, and tried again where one may take it later, as soon as the first of them may. What
    all refused is refused for the reason that condemns least: this message rather than the credentials or the address.
    """
    if any(isinstance(outcome, Delivered) for outcome in outcomes.values()):
        return Delivered()
    why = _why(outcomes)
    retries = [outcome for outcome in outcomes.values() if isinstance(outcome, Retry)]
    if retries:
        after = min(retry.after or 0.0 for retry in retries)
        return Retry(why, after=after or None, in_doubt=any(retry.in_doubt for retry in retries))
    for refusal in (Rejected, Unauthorised):
        if any(isinstance(outcome, refusal) for outcome in outcomes.values()):
            return refusal(why)
    return Gone(why)


def _why(outcomes: Mapping[str, Outcome]) -> str:
    """Say for each member why it took nothing; a member alone needs no name."""
    whys = {name: outcome.why for name, outcome in outcomes.items() if not isinstance(outcome, Delivered)}
    return "; ".join(whys.values() if len(outcomes) == 1 else [f"{name}: {why}" for name, why in whys.items()])


def _ends_at(item: Item, now: float, life: float) -> float:
    """Say when the alert is over: when it was, or when it will be unless it is heard of again."""
    alert = item.alert
    if item.kind is NoticeKind.TEST:
        return now + TEST_LIFE
    if item.kind in (NoticeKind.RESOLVED, NoticeKind.MISSED) or alert.status is AlertStatus.RESOLVED:
        return now if alert.resolved_at is None else alert.resolved_at.timestamp()
    return now + life


def _alert(item: Item, sent_at: float, ends_at: float, generator_url: str | None) -> dict[str, object]:
    alert = item.alert
    starts_at = sent_at if alert.fired_at is None else alert.fired_at.timestamp()
    document: dict[str, object] = {
        "labels": _named(alertmanager_labels(alert)),
        "annotations": _named(_annotations(item.kind, alert)),
        "startsAt": _time(min(starts_at, ends_at)),  # an alert that ends before it starts is refused
        "endsAt": _time(ends_at),
    }
    return document if generator_url is None else {**document, "generatorURL": generator_url}


def _annotations(kind: NoticeKind, alert: Alert) -> dict[str, str]:
    """Give what is said of the alert beside its own annotations, which come first."""
    told = {"summary": alert.title, "description": alert.description, **alert.annotations}
    numbers = {"value": alert.value, "peak": alert.peak, "threshold": alert.threshold}
    told.update({name: f"{number:.6g}" for name, number in numbers.items() if number is not None})
    if link := runbook(alert):
        told.setdefault("runbook_url", link)
    if kind is NoticeKind.TEST:
        told["summary"] = f"TEST: {told['summary']}"
    return {name: text for name, text in told.items() if text}


_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_]|^(?=\d)")
"""What must not be in the name of a label or an annotation, or stand before it: older members refuse the whole alert."""


def _named(texts: Mapping[str, str]) -> dict[str, str]:
    """Give `texts` with underscores in place of what names must not have; a name that is right itself goes first."""
    mended = {_NO_NAME.sub("_", name): text for name, text in texts.items() if name and not valid_label_name(name)}
    return {**mended, **{name: text for name, text in texts.items() if valid_label_name(name)}}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _members(urls: str | Iterable[str]) -> tuple[_Member, ...]:
    """Give the members at `urls`; a ChannelError where there is none, one is no address, or stands there twice."""
    try:
        given = [urls] if isinstance(urls, str) else list(urls)
    except TypeError:
        given = []
    if not given:
        raise ChannelError(_WHERE, field="urls", seen="no addresses", expected="use a list of all members of the cluster")
    addresses = [_address(url) for url in given]
    if len(set(addresses)) < len(addresses):
        raise ChannelError(_WHERE, field="urls", seen="the same address twice", expected="name each member once")
    hosts = [urlsplit(address).netloc.rpartition("@")[2] for address in addresses]
    return tuple(
        _Member(host if hosts.count(host) == 1 else f"{host} ({number})", address)  # several behind one proxy
        for number, (host, address) in enumerate(zip(hosts, addresses, strict=True), start=1)
    )


def _address(url: str) -> str:
    """Give where the member at `url` takes alerts; a ChannelError where it is no address."""
    check_url(url, _WHERE, "urls")
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix(_PATH) + _PATH
    return parts._replace(path=path, fragment="").geturl()


def _resend_every(value: Duration) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise ChannelError(_WHERE, field="resend_every", seen=f"resend_every = {value!r}", expected=str(error)) from None
    if not 1 <= seconds <= 86_400:
        raise ChannelError(
            _WHERE, field="resend_every", seen=f"resend_every = {value!r}", expected="use a second to a day, such as '1m'"
        )
    return seconds
