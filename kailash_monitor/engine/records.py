"""Records: alerts, lanes, silences and dead letters as JSON, and back.

Times are Unix seconds in a record and those of the timeline outside; a program that starts anew has another timeline. What
is infinitely far away is null. Each rule and each incident that a record speaks of stands in it once.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from kailash_monitor.alerting.flapping import Flaps
from kailash_monitor.alerting.grouping import Group, Pace
from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.ledger import Heard, LedgerEntry, Missed
from kailash_monitor.alerting.silence import Acknowledgement, Silence
from kailash_monitor.alerting.standing import GroupKey
from kailash_monitor.delivery.message import Message
from kailash_monitor.engine.book import Case
from kailash_monitor.engine.lane import Lane, Part
from kailash_monitor.engine.letter import Letter
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.matcher import Matchers
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import AlertRule, Flapping
from kailash_monitor.rules.document import document_of, rule_of

__all__ = ["Pen", "Reading"]

Json = dict[str, Any]  # Any: what JSON can hold

LATEST: Final = 32_503_680_000.0
"""The year 3000: what is later, or as long before 1970, cannot be shown, and is damage."""

REMEMBERED: Final = 1_000
"""Rules that are kept as text: each is written with every alert of it."""


class Pen:
    """Writes records. What it gives are functions: what changes was copied, what takes time is done when they are called.

    Mutable: `_rules`, the texts of rules by identity, by the thread that calls those functions.
    """

    def __init__(self) -> None:
        self._rules: dict[int, tuple[AlertRule, str]] = {}

    def case(self, case: Case, offset: float) -> Callable[[], str]:
        """Write an alert."""
        copy = replace(
            case,
            ledger=dict(case.ledger),
            lanes=dict(case.lanes),
            reasons=dict(case.reasons),
            repeats=case.repeats,
            under_way=case.under_way,
        )
        return lambda: self._case(copy, offset)

    def lane(self, lane: Lane, offset: float) -> Callable[[], str]:
        """Write a lane."""
        group, message, parts, busy, not_before = lane.group, lane.message, lane.parts, lane.busy, lane.not_before
        channel, key, pace, gathers = lane.channel, lane.key, lane.pace, lane.gathers

        def text() -> str:
            sheet = _Sheet(offset)
            document: Json = {
                "channel": channel,
                "key": _group_key(key),
                "pace": [pace.wait, pace.interval],
                "group": [
                    sheet.time(group.news_since),
                    sheet.time(group.flushed_at),
                    _value(group.severity),
                    group.urgent,
                ],
                "not_before": sheet.time(not_before),
                "gathers": gathers,
                "busy": busy,
            }
            if message is not None and (busy or message.attempts):
                document["message"] = {
                    "notice": _notice(message.notice),
                    "born_at": sheet.time(message.born_at),
                    "attempts": message.attempts,
                    "in_doubt": message.in_doubt,
                }
                places = {id(item): place for place, item in enumerate(message.notice.items)}
                document["parts"] = [
                    [part.case.key.id, sheet.incident(part.incident), part.reason.value, places.get(id(part.item), 0)]
                    for part in parts
                ]
            return self._text(sheet, document)

        return text

    def silence(self, silence: Silence, offset: float) -> Callable[[], str]:
        """Write a silence."""
        return lambda: json.dumps(
            {
                "id": silence.id,
                "starts_at": silence.starts_at + offset,
                "ends_at": silence.ends_at + offset,
                "alert_id": silence.alert_id,
                "matchers": str(silence.matchers),
                "until_resolved": silence.until_resolved,
                "author": silence.author,
                "reason": silence.reason,
                "created_at": silence.created_at + offset,
                "ended_at": None if silence.ended_at is None else silence.ended_at + offset,
            }
        )

    def letter(self, letter: Letter, offset: float) -> Callable[[], str]:
        """Write a dead letter."""
        return lambda: json.dumps(
            {
                "channel": letter.channel,
                "at": letter.at + offset,
                "notice": _notice(letter.notice),
                "alerts": list(letter.alerts),
                "why": letter.why,
                "attempts": letter.attempts,
            }
        )

    def _case(self, case: Case, offset: float) -> str:
        sheet = _Sheet(offset)
        flaps, acknowledgement = case.flaps, case.acknowledgement
        document: Json = {
            "incident": sheet.incident(case.incident),
            "before": None if case.before is None else sheet.incident(case.before),
            "flaps": None
            if flaps is None
            else [
                flaps.limit.changes,
                flaps.limit.period,
                [sheet.time(at) for at in flaps.changes],
                sheet.time(flaps.since),
            ],
            "acknowledgement": None
            if acknowledgement is None
            else [acknowledgement.incident, acknowledgement.author, sheet.time(acknowledgement.at)],
            "called_at": sheet.time(case.called_at),
            "ledger": {channel: sheet.entry(entry) for channel, entry in case.ledger.items()},
            "lanes": {channel: _group_key(key) for channel, key in case.lanes.items()},
            "reasons": {channel: reason.value for channel, reason in case.reasons.items()},
        }
        return self._text(sheet, document)

    def _text(self, sheet: "_Sheet", document: Json) -> str:
        """Put the rules, which are texts already, in front of the rest."""
        rest = json.dumps({"incidents": sheet.incidents, **document})
        return f'{{"rules": [{", ".join(map(self._rule, sheet.rules))}], {rest[1:]}'

    def _rule(self, rule: AlertRule) -> str:
        known = self._rules.get(id(rule))
        if known is None:
            if len(self._rules) >= REMEMBERED:
                self._rules.clear()
            known = self._rules[id(rule)] = (rule, json.dumps(document_of(rule)))
        return known[1]


class _Sheet:
    """What one record speaks of: rules and incidents, each once."""

    def __init__(self, offset: float) -> None:
        self.rules: list[AlertRule] = []
        self.incidents: list[Json] = []
        self._offset = offset
        self._places: dict[int, int] = {}  # of incidents, by identity: they are kept alive by whoever has this written

    def time(self, at: float | None) -> float | None:
        return None if at is None or math.isinf(at) else at + self._offset

    def incident(self, incident: Incident) -> int:
        place = self._places.get(id(incident))
        if place is None:
            place = self._places[id(incident)] = len(self.incidents)
            self.incidents.append(self._incident(incident))
        return place

    def _incident(self, incident: Incident) -> Json:
        key = incident.key
        return {
            "key": [key.rule, key.collector, dict(key.group)],
            "rule": self._rule(incident.rule),
            "number": incident.number,
            "state": incident.state.value,
            "severity": incident.severity.value,
            "labels": dict(incident.labels),
            "since": self.time(incident.since),
            "seen": self.time(incident.seen),
            "created_at": self.time(incident.created_at),
            "fired_at": self.time(incident.fired_at),
            "resolved_at": self.time(incident.resolved_at),
            "ended_by": _value(incident.ended_by),
            "value": incident.value,
            "peak": incident.peak,
            **({} if incident.annotations is None else {"annotations": dict(incident.annotations)}),
        }

    def _rule(self, rule: AlertRule) -> int:
        for place, known in enumerate(self.rules):
            if known is rule:
                return place
        self.rules.append(rule)
        return len(self.rules) - 1

    def entry(self, entry: LedgerEntry) -> Json:
        missed = entry.missed
        document: Json = {
            "about": self.incident(entry.about),
            "heard": entry.heard.value,
            "severity": _value(entry.severity),
            "told_at": self.time(entry.told_at),
            "over": entry.over,
            "called": entry.called,
            "flapping": entry.flapping,
            "undeliverable": _value(entry.undeliverable),
            "missed": None
            if missed is None
            else [missed.count, self.time(missed.first_fired_at), self.time(missed.last_resolved_at)],
            "behind": None if entry.behind is None else self.entry(entry.behind),
            "if_heard": None if entry.if_heard is None else self.entry(entry.if_heard),
        }
        return {name: value for name, value in document.items() if value is not None and value is not False}


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads one record; times are put on the timeline by taking `offset` away.

    A KeyError, ValueError or TypeError where it is not what a Pen wrote.
    """

    document: Json
    offset: float

    @classmethod
    def of(cls, text: str, offset: float) -> "Reading":
        """Read the text of a record."""
        document = json.loads(text)
        if not isinstance(document, dict):
            raise TypeError(f"a record that is a {type(document).__name__}")
        return cls(document, offset)

    def case(self) -> Case:
        """Give the alert; whether there is anything to judge it by is not known."""
        document, incidents = self.document, self._incidents()
        before, flaps, acknowledgement = document["before"], document["flaps"], document["acknowledgement"]
        case = Case(incidents[document["incident"]], known_at=-math.inf)
        case.before = None if before is None else incidents[before]
        if flaps is not None:
            changes, period, times, since = flaps
            case.flaps = Flaps(Flapping(changes, period), tuple(map(self._time, times)), self._time_or_none(since))
        if acknowledgement is not None:
            number, author, at = acknowledgement
            case.acknowledgement = Acknowledgement(number, author, self._time(at))
        case.called_at = self._time_or_none(document["called_at"])
        case.ledger = {channel: self._entry(entry, incidents) for channel, entry in document["ledger"].items()}
        case.lanes = {channel: _group_key_of(key) for channel, key in document["lanes"].items()}
        case.reasons = {channel: Reason(reason) for channel, reason in document["reasons"].items()}
        return case

    def lane(self, find: Callable[[str], Case | None]) -> Lane:
        """Give the lane; `find` gives the cases of its message by their ids. An attempt that was under way is in doubt."""
        document, incidents = self.document, self._incidents()
        since, flushed_at, severity, urgent = document["group"]
        lane = Lane(document["channel"], _group_key_of(document["key"]), Pace(*document["pace"]), document["gathers"])
        lane.group = Group(
            self._time_or_none(since),
            self._time_or_none(flushed_at),
            None if severity is None else AlertSeverity(severity),
            urgent,
        )
        lane.not_before = -math.inf if document["not_before"] is None else self._time(document["not_before"])
        if (message := document.get("message")) is not None:
            lane.message = Message(
                _notice_of(message["notice"]),
                self._time(message["born_at"]),
                message["attempts"] + document["busy"],
                message["in_doubt"] or document["busy"],
            )
            notice = lane.message.notice
            items = notice.items or (Item(notice.kind, notice.alert),)
            parts: list[Part] = []
            for alert_id, place, reason, item in document["parts"]:
                case = find(alert_id)
                if case is not None:
                    parts.append(Part(case, incidents[place], Reason(reason), items[item]))
            lane.parts = tuple(parts)
        return lane

    def silence(self) -> Silence:
        """Give the silence."""
        document = self.document
        return Silence(
            document["id"],
            starts_at=self._time(document["starts_at"]),
            ends_at=self._time(document["ends_at"]),
            alert_id=document["alert_id"],
            matchers=Matchers.of(document["matchers"]),
            until_resolved=document["until_resolved"],
            author=document["author"],
            reason=document["reason"],
            created_at=self._time(document["created_at"]),
            ended_at=self._time_or_none(document["ended_at"]),
        )

    def letter(self) -> Letter:
        """Give the dead letter."""
        document = self.document
        return Letter(
            _notice_of(document["notice"]),
            document["channel"],
            self._time(document["at"]),
            tuple(document["alerts"]),
            document["why"],
            document["attempts"],
        )

    def _time(self, at: float) -> float:
        if not -LATEST <= at <= LATEST:
            raise ValueError(f"{at!r} is no time of ours")
        return at - self.offset

    def _time_or_none(self, at: float | None) -> float | None:
        return None if at is None else self._time(at)

    def _incidents(self) -> list[Incident]:
        rules = [rule_of(rule) for rule in self.document["rules"]]
        return [self._incident(incident, rules) for incident in self.document["incidents"]]

    def _incident(self, document: Json, rules: list[AlertRule]) -> Incident:
        rule, collector, group = document["key"]
        return Incident(
            AlertKey(rule, collector, Labels(group)),
            rules[document["rule"]],
            document["number"],
            State(document["state"]),
            AlertSeverity(document["severity"]),
            Labels(document["labels"]),
            self._time(document["since"]),
            self._time(document["seen"]),
            self._time(document["created_at"]),
            self._time_or_none(document["fired_at"]),
            self._time_or_none(document["resolved_at"]),
            None if document["ended_by"] is None else Reason(document["ended_by"]),
            document["value"],
            document["peak"],
            document.get("annotations"),
        )

    def _entry(self, document: Json, incidents: list[Incident]) -> LedgerEntry:
        missed, behind, if_heard = [document.get(name) for name in ("missed", "behind", "if_heard")]
        severity, undeliverable = document.get("severity"), document.get("undeliverable")
        return LedgerEntry(
            incidents[document["about"]],
            Heard(document["heard"]),
            None if severity is None else AlertSeverity(severity),
            self._time_or_none(document.get("told_at")),
            document.get("over", False),
            document.get("called", False),
            document.get("flapping", False),
            None if missed is None else Missed(missed[0], self._time(missed[1]), self._time(missed[2])),
            None if undeliverable is None else NoticeKind(undeliverable),
            None if behind is None else self._entry(behind, incidents),
            None if if_heard is None else self._entry(if_heard, incidents),
        )


def _value(member: Any) -> Any:  # Any: of one enum or another
    return None if member is None else member.value


def _group_key(key: GroupKey) -> Json:
    alert = key.alert
    return {
        "route": key.route,
        "labels": None if key.labels is None else dict(key.labels),
        "alert": None if alert is None else [alert.rule, alert.collector, dict(alert.group)],
    }


def _group_key_of(document: Json) -> GroupKey:
    labels, alert = document["labels"], document["alert"]
    return GroupKey(
        document["route"],
        None if labels is None else Labels(labels),
        None if alert is None else AlertKey(alert[0], alert[1], Labels(alert[2])),
    )


def _notice(notice: Notice) -> Json:
    return {
        "id": notice.id,
        "kind": notice.kind.value,
        "alert": notice.alert.document(),
        "sent_at": notice.sent_at,
        "items": [item.document() for item in notice.items],
        "extra": dict(notice.extra),
    }


def _notice_of(document: Json) -> Notice:
    return Notice(
        document["id"],
        NoticeKind(document["kind"]),
        _alert_of(document["alert"]),
        sent_at=document["sent_at"],
        items=tuple(map(_item_of, document["items"])),
        extra=document["extra"],
    )


def _item_of(document: Mapping[str, Any]) -> Item:  # Any: as in JSON
    extra = {name: value for name, value in document.items() if name not in ("kind", "alert")}
    return Item(NoticeKind(document["kind"]), _alert_of(document["alert"]), extra=extra)


def _alert_of(document: Mapping[str, Any]) -> Alert:  # Any: as in JSON
    times = {name: document[name] for name in ("created_at", "fired_at", "resolved_at")}
    return Alert(
        document["id"],
        document["rule_name"],
        AlertSeverity(document["severity"]),
        document["title"],
        document["description"],
        labels=document["labels"],
        annotations=document["annotations"],
        status=AlertStatus(document["status"]),
        incident=document["incident"],
        value=document["value"],
        peak=document["peak"],
        threshold=document["threshold"],
        **{name: None if at is None else datetime.fromisoformat(at) for name, at in times.items()},
    )
