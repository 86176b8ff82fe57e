"""The shapes of what the API answers and takes, as JSON Schema 2020-12.

They are strict: a field that is not named here is not answered, and one that is named is there, unless it is among the
`optional` ones. Words that are enums in the program are listed from there.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

from kailash_monitor.alerting.ledger import Heard
from kailash_monitor.alerting.silence import SilenceState
from kailash_monitor.model.alert import AlertStatus
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.notice import NoticeKind
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.web.body import LONGEST_TEXT

__all__ = [
    "ALERT_STATES",
    "BOOLEAN",
    "COUNT",
    "INTEGER",
    "METRIC_TYPES",
    "NAME",
    "NOTHING",
    "NUMBER",
    "OUTCOMES",
    "RULE_STATES",
    "SCHEMAS",
    "SEVERITIES",
    "SHORT",
    "SILENCE_STATES",
    "STATISTICS",
    "TEXT",
    "TIME",
    "Schema",
    "either",
    "list_of",
    "maybe",
    "one_of",
    "record",
    "ref",
]

Schema = dict[str, object]

TEXT: Final[Schema] = {"type": "string"}
NAME: Final[Schema] = {"type": "string", "minLength": 1}
SHORT: Final[Schema] = {"type": "string", "maxLength": LONGEST_TEXT}
BOOLEAN: Final[Schema] = {"type": "boolean"}
NUMBER: Final[Schema] = {"type": "number"}
INTEGER: Final[Schema] = {"type": "integer"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
ANYTHING: Final[Schema] = {"type": "object", "additionalProperties": True}
NOTHING: Final[Schema] = {"type": "object", "additionalProperties": False}
LABELS: Final[Schema] = {"type": "object", "additionalProperties": TEXT}


def record(fields: Mapping[str, Schema], *, optional: Iterable[str] = (), says: str | None = None) -> Schema:
    """Give the shape of an object that has these fields and no others; `says` is its description."""
    left_out = frozenset(optional)
    shape: Schema = {"type": "object", "properties": dict(fields), "additionalProperties": False}
    required = [name for name in fields if name not in left_out]
    return {**({"description": says} if says else {}), **shape, **({"required": required} if required else {})}


def list_of(item: Schema, *, most: int | None = None) -> Schema:
    """Give the shape of a list, of at most so many."""
    return {"type": "array", "items": item, **({} if most is None else {"maxItems": most})}


def maybe(shape: Schema) -> Schema:
    """Give the shape of what may be null."""
    kind = shape.get("type")
    return (
        {**shape, "type": [kind, "null"]}
        if isinstance(kind, str) and "enum" not in shape
        else either(shape, {"type": "null"})
    )


def either(*shapes: Schema) -> Schema:
    """Give the shape of what has one of these."""
    return {"anyOf": list(shapes)}


def one_of(words: Iterable[str]) -> Schema:
    """Give the shape of one of these words."""
    return {"type": "string", "enum": list(words)}


def ref(name: str) -> Schema:
    """Give the shape of this name in the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def _one_given(*names: str) -> list[Schema]:
    """Give the shapes of which an object has one where one of these fields is given: null is as good as not."""
    null: Schema = {"type": "null"}
    return [
        {"required": [name], "properties": {one: {"not": null} if one == name else null for one in names}} for name in names
    ]


def _words(kind: type[Enum]) -> tuple[str, ...]:
    return tuple(str(member.value) for member in kind)


SEVERITIES: Final = _words(AlertSeverity)
ALERT_STATES: Final = _words(AlertStatus)
SILENCE_STATES: Final = _words(SilenceState)
METRIC_TYPES: Final = _words(MetricType)
RULE_STATES: Final = ("disabled", "waiting", "inactive", "pending", "firing", "recovering", "error")
OUTCOMES: Final = ("delivered", "retry", "given up")
STATISTICS: Final = ("value", "rate", "increase", "total", "avg", "min", "max", "p50", "p90", "p95", "p99")

_SEVERITY: Final = one_of(SEVERITIES)

_ALERT_FIELDS: Final[dict[str, Schema]] = {
    "id": TEXT,
    "rule_name": TEXT,
    "severity": _SEVERITY,
    "status": one_of(ALERT_STATES),
    "title": TEXT,
    "description": TEXT,
    "labels": LABELS,
    "annotations": LABELS,
    "incident": COUNT,
    "created_at": maybe(TIME),
    "fired_at": maybe(TIME),
    "resolved_at": maybe(TIME),
    "value": maybe(NUMBER),
    "peak": maybe(NUMBER),
    "threshold": maybe(NUMBER),
}

_TALLY: Final = {"counts": ref("AlertCounts"), "severities": ref("SeverityCounts")}

SCHEMAS: Final[dict[str, Schema]] = {
    "Error": record(
        {"error": TEXT, "field": maybe(TEXT)},
        optional=["field"],
        says="What was wrong and what would be right; `field` names the parameter or the field of the body, if it is one.",
    ),
    # -- alerts --------------------------------------------------------------------------------------------------------
    "Alert": record(
        {**_ALERT_FIELDS, "acknowledged_by": maybe(TEXT), "runbook": maybe(TEXT)},
        says="What a rule found, as one story from its first breach to its end. `peak` is the worst value while it lasted.",
    ),
    "AlertAsTold": record(_ALERT_FIELDS, says="An alert as a message tells of it."),
    "AlertCounts": record(dict.fromkeys(ALERT_STATES, COUNT), says="Alerts in each state, of all there are."),
    "SeverityCounts": record(dict.fromkeys(SEVERITIES, COUNT), says="Active alerts of each severity."),
    "Explanation": record(
        {
            "at": TIME,
            "alert": ref("AlertAsTold"),
            "state": TEXT,
            "data": TEXT,
            "unknown_since": maybe(TIME),
            "suppressed": maybe(one_of(_words(Reason))),
            "suppressed_by": TEXT,
            "suppressed_until": maybe(TIME),
            "acknowledged_by": maybe(TEXT),
            "flapping": BOOLEAN,
            "channels": list_of(ref("ChannelStory")),
            "history": list_of(either(ref("Decision"), ref("Remark"))),
            "text": TEXT,
        },
        says="How an alert stands and why; `text` is the same for people, `history` begins with the oldest.",
    ),
    "ChannelStory": record(
        {
            "channel": TEXT,
            "reason": one_of(_words(Reason)),
            "heard": one_of(_words(Heard)),
            "route": maybe(TEXT),
            "group": maybe(TEXT),
            "next_flush": maybe(TIME),
            "last_told": maybe(TIME),
            "muted_by": maybe(TEXT),
            "attempts": list_of(ref("Attempt")),
        },
        says="What one channel heard of one alert, and why it is told now or not.",
    ),
    "Attempt": record(
        {
            "at": TIME,
            "kind": one_of(_words(NoticeKind)),
            "message_id": TEXT,
            "outcome": one_of(OUTCOMES),
            "attempt": COUNT,
            "why": TEXT,
        }
    ),
    "Decision": record({"at": TIME, "channel": TEXT, "reason": one_of(_words(Reason)), "message_id": maybe(TEXT)}),
    "Remark": record({"at": TIME, "what": TEXT}),
    # -- rules ---------------------------------------------------------------------------------------------------------
    "Rule": record(
        {
            "name": TEXT,
            "description": TEXT,
            "severity": _SEVERITY,
            "metric_name": TEXT,
            "collector": maybe(TEXT),
            "condition": TEXT,
            "expr": maybe(TEXT),
            "threshold": maybe(NUMBER),
            "levels": list_of(record({"severity": _SEVERITY, "threshold": NUMBER, "clear": maybe(NUMBER)})),
            "metrics": list_of(TEXT),
            "match": LABELS,
            "group_by": list_of(TEXT),
            "time_window_seconds": maybe(NUMBER),
            "evaluation_interval_seconds": NUMBER,
            "hold_seconds": NUMBER,
            "keep_firing_seconds": NUMBER,
            "no_data": TEXT,
            "on_write": BOOLEAN,
            "enabled": BOOLEAN,
            "state": one_of(RULE_STATES),
            "value": maybe(NUMBER),
            "last_evaluation": maybe(TIME),
            "next_evaluation": maybe(TIME),
            "evaluations": COUNT,
            "late": COUNT,
            "error": maybe(TEXT),
            "duration_ms": maybe(NUMBER),
            "unit": maybe(TEXT),
        },
        says="A rule and what came of its last evaluation, which took `duration_ms`.",
    ),
    # -- silences ------------------------------------------------------------------------------------------------------
    "Silence": record(
        {
            "id": TEXT,
            "alert_id": maybe(TEXT),
            "matchers": maybe(TEXT),
            "state": one_of(SILENCE_STATES),
            "starts_at": TIME,
            "ends_at": TIME,
            "until_resolved": BOOLEAN,
            "author": TEXT,
            "reason": TEXT,
        },
        says="Of one alert, by `alert_id`, or of all that the `matchers` match.",
    ),
    "NewSilence": {
        **record(
            {
                "alert_id": maybe(SHORT),
                "matchers": maybe(either(TEXT, list_of(TEXT), LABELS)),
                "duration": maybe(ref("Duration")),
                "starts_in": maybe(ref("Duration")),
                "author": maybe(SHORT),
                "reason": maybe(SHORT),
            },
            optional=["alert_id", "matchers", "duration", "starts_in", "author", "reason"],
            says="Of one alert, by `alert_id`, or of all that the `matchers` match; `starts_in` goes with those only.",
        ),
        "oneOf": _one_given("alert_id", "matchers"),
    },
    "Duration": {**either(NUMBER, TEXT), "description": "Seconds, or a text such as `30s` or `2h`."},
    # -- notifications -------------------------------------------------------------------------------------------------
    "Channel": record(
        {
            "name": TEXT,
            "state": one_of(("ok", "failing", "open")),
            "since": maybe(TIME),
            "why": TEXT,
            "delivered": COUNT,
            "failed": COUNT,
            "waiting": COUNT,
            "open_until": maybe(TIME),
            "tokens": maybe(NUMBER),
            "rate": maybe(NUMBER),
            "burst": maybe(NUMBER),
            "fallback": maybe(TEXT),
            "refuses": BOOLEAN,
        },
        says="How a channel is doing: `open` is one that is left alone until `open_until`. `rate` is messages a second.",
    ),
    "Waiting": record(
        {
            "id": TEXT,
            "channel": TEXT,
            "group": TEXT,
            "kinds": list_of(TEXT),
            "alert_ids": list_of(TEXT),
            "due": maybe(TIME),
            "attempts": COUNT,
            "in_doubt": BOOLEAN,
            "why": TEXT,
        },
        says="What a channel is to be told of one group; without `due` an attempt is under way.",
    ),
    "DeadLetter": record(
        {"id": TEXT, "channel": TEXT, "at": TIME, "why": TEXT, "attempts": COUNT, "notice": ref("Notice")},
        says="A message that was given up, and what it would have said.",
    ),
    "Notice": record(
        {
            "id": TEXT,
            "kind": one_of(_words(NoticeKind)),
            "alert": ref("AlertAsTold"),
            "items": list_of({**ANYTHING, "description": "An alert of a digest: `kind`, `alert`, and what else there is."}),
            "more": COUNT,
        },
        says="What a message says; `more` counts the alerts of a digest that are left out.",
    ),
    "Delivery": record(
        {
            "id": TEXT,
            "at": TIME,
            "channel": TEXT,
            "kind": one_of(_words(NoticeKind)),
            "title": TEXT,
            "alert_ids": list_of(TEXT, most=20),
            "outcome": one_of(OUTCOMES),
            "attempt": COUNT,
            "why": TEXT,
            "message_id": TEXT,
        },
        says="One attempt to tell a channel.",
    ),
    "Deed": record({"id": TEXT, "at": TIME, "who": TEXT, "what": TEXT}, says="A change that somebody made over HTTP."),
    # -- metrics -------------------------------------------------------------------------------------------------------
    "Metric": record(
        {
            "id": TEXT,
            "collector": TEXT,
            "name": TEXT,
            "exported": TEXT,
            "type": one_of(METRIC_TYPES),
            "unit": maybe(TEXT),
            "description": TEXT,
            "series": COUNT,
            "latest": maybe(NUMBER),
            "refused": COUNT,
        },
        says="A metric; `exported` is its name in the pages of Prometheus, `refused` counts series beyond its limit.",
    ),
    "Series": record({"id": TEXT, "labels": LABELS, "latest": maybe(NUMBER)}),
    "LabelName": record({"name": TEXT, "values": COUNT}, says="A label, and how many values it has."),
    "Windows": record(
        {"at": TIME, "unit": maybe(TEXT), "windows": list_of(ref("Window"))},
        says="What came in the last minute, five minutes, hour and day.",
    ),
    "Window": record(
        {
            "seconds": COUNT,
            **{name: maybe(NUMBER) for name in ("count", "sum", "rate", "increase", "avg", "min", "max")},
            **{name: maybe(NUMBER) for name in ("p50", "p90", "p95", "p99")},
            "partial": maybe(BOOLEAN),
        },
        says="Null where it means nothing for the metric's type; `partial` where the history begins within the window.",
    ),
    # -- charts --------------------------------------------------------------------------------------------------------
    "Chart": record(
        {
            "at": TIME,
            "title": TEXT,
            "unit": maybe(TEXT),
            "expr": maybe(TEXT),
            "start": NUMBER,
            "end": NUMBER,
            "step": NUMBER,
            "times": list_of(NUMBER, most=240),
            "series": list_of(ref("Line"), most=10),
            "more": COUNT,
            "thresholds": list_of(record({"severity": _SEVERITY, "value": NUMBER})),
            "spans": list_of(record({"state": one_of(("pending", "firing")), "from": NUMBER, "to": maybe(NUMBER)}), most=20),
            "note": TEXT,
        },
        optional=["note"],
        says=(
            "Times are Unix seconds. Each series has a value for each of `times`, and `more` series are left out; `note` "
            "says why, or why there are none."
        ),
    ),
    "Line": record({"name": TEXT, "labels": LABELS, "values": list_of(maybe(NUMBER), most=240)}),
    "Tile": record(
        {
            "id": TEXT,
            "collector": TEXT,
            "name": TEXT,
            "title": TEXT,
            "unit": maybe(TEXT),
            "statistic": one_of(STATISTICS),
            "value": maybe(NUMBER),
            "times": list_of(NUMBER, most=60),
            "values": list_of(maybe(NUMBER), most=60),
        },
        says="The last fifteen minutes of a metric.",
    ),
    "Trial": record(
        {
            "at": TIME,
            "kind": one_of(("expr", "condition")),
            "expr": maybe(TEXT),
            "rows": list_of(
                record({"labels": LABELS, "value": maybe(NUMBER), "breaches": maybe(BOOLEAN)}),
                most=100,
            ),
            "total": COUNT,
            "chart": ref("Chart"),
        },
        says="What a condition or an expression finds now; `total` counts the rows that are left out as well.",
    ),
    # -- the program ---------------------------------------------------------------------------------------------------
    "Health": record(
        {
            "at": TIME,
            "status": one_of(("ok", "failing")),
            "reason": maybe(TEXT),
            "running": BOOLEAN,
            "ready": BOOLEAN,
            "overdue_seconds": NUMBER,
            "silent_seconds": NUMBER,
            "store": maybe(TEXT),
            "failure": maybe(TEXT),
            "version": TEXT,
            "last_evaluation": maybe(TIME),
            "rules": record({"total": COUNT, "enabled": COUNT, "errors": COUNT}),
            "channels": record({"total": COUNT, "failing": COUNT}),
            "waiting": COUNT,
            "dead_letters": COUNT,
            "silences": COUNT,
            "alerts": record(_TALLY),
            "collectors": COUNT,
            "series": COUNT,
        },
        says="How the program is doing; `reason` says what is wrong, where something is.",
    ),
    "SignIn": {
        **record(
            {"token": maybe(SHORT), "code": maybe(SHORT), "name": maybe(SHORT)},
            optional=["token", "code", "name"],
            says="The token, or a code that somebody with the token was given; under which name.",
        ),
        "oneOf": _one_given("token", "code"),
    },
    "Session": record(
        {"can_change": BOOLEAN, "signed_in": BOOLEAN, "name": TEXT, "csrf": maybe(TEXT), "sign_in": BOOLEAN},
        says="Who asks, and what they may do; `csrf` goes into the header `X-CSRF-Token` of changes made with the cookie.",
    ),
}
"""The named shapes of the document's components."""
