"""The OpenAPI document of the API: every path under `/api` but `/api/v1`, which is Prometheus' own API."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.listing import LONGEST_WHOLE, MOST_ROWS
from kailash_monitor.web.openapi_schemas import (
    ALERT_STATES,
    BOOLEAN,
    COUNT,
    METRIC_TYPES,
    NAME,
    NOTHING,
    OUTCOMES,
    RULE_STATES,
    SCHEMAS,
    SEVERITIES,
    SHORT,
    SILENCE_STATES,
    STATISTICS,
    TEXT,
    TIME,
    Schema,
    list_of,
    maybe,
    one_of,
    record,
    ref,
)
from kailash_monitor.web.routes import Route
from kailash_monitor.web.version import OWN_VERSION

__all__ = ["OPENAPI", "openapi_route"]

Operation = dict[str, object]

_JSON: Final = "application/json"
_DAY: Final = 86_400

_CHANGES: Final = (400, 401, 403, 408, 413, 415, 429)
"""What every change may be refused with."""


# -- parameters --------------------------------------------------------------------------------------------------------


def _query(name: str, schema: Schema, says: str, *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "description": says, "required": required, "schema": schema}


def _several(name: str, words: Iterable[str], says: str) -> Schema:
    return {**_query(name, list_of(one_of(words)), says), "style": "form", "explode": True}


def _path(name: str, says: str) -> Schema:
    return {"name": name, "in": "path", "description": says, "required": True, "schema": NAME}


_ALERT_ID: Final = _path("id", "The alert's id, percent-encoded.")
_RULE_NAME: Final = _path("id", "The rule's name, percent-encoded.")
_SILENCE_ID: Final = _path("id", "The silence's id.")
_LETTER_ID: Final = _path("id", "The dead letter's id, percent-encoded.")
_CHANNEL_NAME: Final = _path("id", "The channel's name, percent-encoded.")

_TEXT_FILTER: Final = _query("text", TEXT, "Only what has this in it, in whichever case.")
_MATCH: Final = _query("match", TEXT, 'Only what has labels that fit these matchers, such as `team="db",env!~"dev.*"`.')
_COLLECTOR: Final = _query("collector", NAME, "The metric's collector.", required=True)
_METRIC: Final = _query("name", NAME, "The metric's name.", required=True)
_RANGE: Final = _query(
    "range", {"type": "integer", "minimum": 300, "maximum": _DAY, "default": 3600}, "Seconds to be shown, up to now."
)
_PAGE: Final = (
    _query("limit", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}, "Rows of a page; without it, all of them."),
    _query("offset", {**COUNT, "maximum": 10**LONGEST_WHOLE - 1, "default": 0}, "Rows before the page."),
    _query("since", TEXT, "The `cursor` of an earlier answer: only rows of the page that changed after it are given."),
)


# -- answers -----------------------------------------------------------------------------------------------------------

_REFUSALS: Final[dict[int, tuple[str, str]]] = {
    400: ("BadRequest", "What was asked cannot be meant so; `error` says why, `field` where."),
    401: ("Unauthorized", "Changes need the token, or a session that was opened with it."),
    403: ("Forbidden", "The site only reads, the host or the page is a stranger's, or the CSRF token is missing."),
    404: ("NotFound", "There is none of that name."),
    408: ("RequestTimeout", "The body did not come in time."),
    413: ("ContentTooLarge", "The body is too long."),
    415: ("UnsupportedMediaType", "The body is not declared as JSON."),
    429: ("TooManyRequests", "Too many of these in a short time; `Retry-After` says how many seconds to wait."),
    500: ("InternalError", "A fault of the program's own; its log says more."),
    503: ("Unavailable", "It would take too long; ask for less."),
}


_HEADERS: Final[dict[int, Schema]] = {
    401: {"WWW-Authenticate": {"description": "That it is a bearer token.", "required": True, "schema": TEXT}},
    429: {"Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}},
}
"""What comes with a refusal beside its body."""

_COOKIE: Final[Schema] = {"Set-Cookie": {"description": "The session's cookie.", "required": True, "schema": TEXT}}
_NO_COOKIE: Final[Schema] = {"Set-Cookie": {"description": "Where there was a session, its end.", "schema": TEXT}}


def _content(schema: Schema) -> dict[str, object]:
    return {_JSON: {"schema": schema}}


def _answers(
    status: int, says: str, schema: Schema, refused: Iterable[int], *, headers: Schema | None = None
) -> dict[str, object]:
    more = {"headers": headers} if headers else {}
    errors = {str(code): {"$ref": f"#/components/responses/{_REFUSALS[code][0]}"} for code in sorted({*refused, 500, 503})}
    return {str(status): {"description": says, "content": _content(schema), **more}, **errors}


def _get(
    operation: str, says: str, schema: Schema, parameters: Iterable[Schema] = (), *, tag: str, refused: Iterable[int] = ()
) -> Operation:
    asked = list(parameters)
    errors = {*refused, 400} if any(one["in"] == "query" for one in asked) else set(refused)
    return {
        "operationId": operation,
        "summary": says,
        "tags": [tag],
        **({"parameters": asked} if asked else {}),
        "responses": _answers(200, says, schema, errors),
    }


def _list(
    operation: str,
    says: str,
    name: str,
    row: str,
    filters: Iterable[Schema] = (),
    *,
    tag: str,
    also: Mapping[str, Schema] | None = None,
    refused: Iterable[int] = (),
) -> Operation:
    """Give the operation of a list: the same envelope for all of them."""
    envelope = record(
        {
            "at": TIME,
            "total": COUNT,
            "cursor": TEXT,
            "delta": BOOLEAN,
            "keys": list_of(TEXT),
            name: list_of(ref(row)),
            **(also or {}),
        },
        says="`total` rows fit; `keys` has those of this page in order, and with `delta` only those that changed are given.",
    )
    return _get(operation, says, envelope, (*filters, *_PAGE), tag=tag, refused=refused)


def _change(
    operation: str,
    says: str,
    schema: Schema,
    *,
    tag: str,
    parameters: Iterable[Schema] = (),
    body: Schema | None = NOTHING,
    status: int = 200,
    refused: Iterable[int] = (),
) -> Operation:
    asked = list(parameters)
    return {
        "operationId": operation,
        "summary": says,
        "tags": [tag],
        **({"parameters": asked} if asked else {}),
        **({} if body is None else {"requestBody": {"required": True, "content": _content(body)}}),
        "security": [{"bearer": []}, {"cookie": [], "csrf": []}],
        "responses": _answers(status, says, schema, {*_CHANGES, *refused}),
    }


# -- paths -------------------------------------------------------------------------------------------------------------

_ALERTS: Final[dict[str, dict[str, object]]] = {
    "/api/alerts": {
        "get": _list(
            "listAlerts",
            "Alerts: those that fire first, the gravest and newest at the top.",
            "alerts",
            "Alert",
            (
                _several("state", ALERT_STATES, "Only alerts in one of these states."),
                _several("severity", SEVERITIES, "Only alerts of one of these severities."),
                _MATCH,
                _TEXT_FILTER,
            ),
            tag="alerts",
            also={"counts": ref("AlertCounts"), "severities": ref("SeverityCounts")},
        )
    },
    "/api/alerts/{id}/explain": {
        "get": _get(
            "explainAlert", "How an alert stands, and why.", ref("Explanation"), (_ALERT_ID,), tag="alerts", refused=[404]
        )
    },
    "/api/alerts/{id}/chart": {
        "get": _get(
            "chartAlert",
            "The alert's metric, with its thresholds, and when it was pending and fired.",
            ref("Chart"),
            (_ALERT_ID, _RANGE),
            tag="alerts",
            refused=[404],
        )
    },
    "/api/alerts/acknowledge": {
        "post": _change(
            "acknowledgeAlert",
            "Say that somebody is on it.",
            record({"acknowledged": TEXT}),
            tag="alerts",
            body=record({"alert_id": SHORT, "author": maybe(SHORT)}, optional=["author"]),
            refused=[404],
        )
    },
}

_RULES: Final[dict[str, dict[str, object]]] = {
    "/api/rules": {
        "get": _list(
            "listRules",
            "Rules, and what came of their last evaluation.",
            "rules",
            "Rule",
            (_several("state", RULE_STATES, "Only rules in one of these states."), _TEXT_FILTER),
            tag="rules",
        )
    },
    "/api/rules/{id}/chart": {
        "get": _get("chartRule", "What the rule reads.", ref("Chart"), (_RULE_NAME, _RANGE), tag="rules", refused=[404])
    },
    **{
        f"/api/rules/{{id}}/{verb}": {
            "post": _change(
                f"{verb}Rule", says, record({"rule": shape}), tag="rules", parameters=(_RULE_NAME,), refused=[404]
            )
        }
        for verb, says, shape in (
            ("enable", "Judge the rule again.", ref("Rule")),
            ("disable", "Judge the rule no more; what fires is resolved.", ref("Rule")),
            ("evaluate", "Judge the rule at once.", TEXT),
        )
    },
    "/api/try": {
        "get": _get(
            "tryCondition",
            "What an expression, or a condition on a metric, finds now.",
            ref("Trial"),
            (
                _query("expr", TEXT, "An expression in PromQL; then none of the following is given."),
                _query("metric", TEXT, "The metric's name."),
                _query("collector", TEXT, "The metric's collector, where several have one of the name."),
                _query("condition", TEXT, "A condition such as `>`, `rate > 5` or `p95 >`."),
                _query("threshold", {"type": "number"}, "What it is compared with, unless the condition says so."),
                _query("window", TEXT, "Over how long: seconds, or a text such as `5m`."),
                _RANGE,
            ),
            tag="rules",
        )
    },
}

_SILENCES: Final[dict[str, dict[str, object]]] = {
    "/api/silences": {
        "get": _list(
            "listSilences",
            "Silences, those that are over for a while among them.",
            "silences",
            "Silence",
            (_several("state", SILENCE_STATES, "Only silences in one of these states."),),
            tag="silences",
        ),
        "post": _change(
            "addSilence",
            "Tell nobody of one alert, or of all that matchers match.",
            record({"silence": ref("Silence"), "covers": list_of(TEXT)}),
            tag="silences",
            body=ref("NewSilence"),
            status=201,
        ),
    },
    "/api/silences/preview": {
        "get": _get(
            "previewSilence",
            "What a silence with these matchers would cover now.",
            record({"at": TIME, "total": COUNT, "alerts": list_of(ref("Alert"), most=100)}),
            (_query("match", NAME, 'Matchers, such as `team="db",env!~"dev.*"`.', required=True),),
            tag="silences",
        )
    },
    "/api/silences/{id}": {
        "delete": _change(
            "endSilence",
            "End a silence now.",
            record({"ended": TEXT}),
            tag="silences",
            body=None,
            parameters=(_SILENCE_ID,),
            refused=[404],
        )
    },
}

_NOTIFICATIONS: Final[dict[str, dict[str, object]]] = {
    "/api/channels": {
        "get": _list("listChannels", "How the channels are doing.", "channels", "Channel", tag="notifications")
    },
    "/api/channels/{id}/test": {
        "post": _change(
            "testChannel",
            "Send a test message, and wait for what comes of it.",
            record(
                {
                    "channel": TEXT,
                    "outcome": one_of(("delivered", "retry", "rejected", "gone", "unauthorised")),
                    "why": TEXT,
                }
            ),
            tag="notifications",
            parameters=(_CHANNEL_NAME,),
            refused=[404],
        )
    },
    "/api/outbox": {
        "get": _list(
            "listWaiting",
            "What waits for a channel.",
            "waiting",
            "Waiting",
            (_query("channel", TEXT, "Only what waits for this channel."),),
            tag="notifications",
        )
    },
    "/api/deliveries": {
        "get": _list(
            "listDeliveries",
            "Attempts to tell a channel, the newest first.",
            "deliveries",
            "Delivery",
            (
                _query("channel", TEXT, "Only attempts on this channel."),
                _query("outcome", one_of(OUTCOMES), "Only attempts that ended so."),
            ),
            tag="notifications",
        )
    },
    "/api/dead-letters": {
        "get": _list(
            "listDeadLetters",
            "Messages that were given up.",
            "dead_letters",
            "DeadLetter",
            (_query("channel", TEXT, "Only those to this channel."),),
            tag="notifications",
        )
    },
    "/api/dead-letters/{id}/resend": {
        "post": _change(
            "resendDeadLetter",
            "Tell the present truth in place of a dead letter.",
            record({"resent": TEXT}),
            tag="notifications",
            parameters=(_LETTER_ID,),
            refused=[404],
        )
    },
    "/api/dead-letters/{id}": {
        "delete": _change(
            "discardDeadLetter",
            "Forget a dead letter.",
            record({"discarded": TEXT}),
            tag="notifications",
            body=None,
            parameters=(_LETTER_ID,),
            refused=[404],
        )
    },
}

_METRICS: Final[dict[str, dict[str, object]]] = {
    "/api/metrics": {
        "get": _list(
            "listMetrics",
            "Metrics of all collectors.",
            "metrics",
            "Metric",
            (
                _TEXT_FILTER,
                _query("collector", TEXT, "Only metrics of this collector."),
                _query("type", one_of(METRIC_TYPES), "Only metrics of this type."),
                _query("sort", {**one_of(("name", "series")), "default": "name"}, "By name, or by series, most first."),
            ),
            tag="metrics",
            also={"collectors": list_of(TEXT)},
        )
    },
    "/api/metrics/series": {
        "get": _list(
            "listSeries",
            "The series of a metric.",
            "series",
            "Series",
            (_COLLECTOR, _METRIC, _MATCH),
            tag="metrics",
            also={"labels": list_of(ref("LabelName"))},
            refused=[404],
        )
    },
    "/api/metrics/chart": {
        "get": _get(
            "chartMetric",
            "A metric over time, each series or each value of a label as a line.",
            ref("Chart"),
            (
                _COLLECTOR,
                _METRIC,
                _query("statistic", one_of(STATISTICS), "One that the metric's type has; without it, the first of those."),
                _RANGE,
                _MATCH,
                _query("by", TEXT, "A label whose values are compared."),
            ),
            tag="metrics",
            refused=[404],
        )
    },
    "/api/metrics/windows": {
        "get": _get(
            "readWindows",
            "What came in the last minute, five minutes, hour and day.",
            ref("Windows"),
            (_COLLECTOR, _METRIC, _MATCH),
            tag="metrics",
            refused=[404],
        )
    },
    "/api/tiles": {
        "get": _get(
            "listTiles",
            "The main metrics, in little.",
            record({"at": TIME, "tiles": list_of(ref("Tile"), most=8)}),
            tag="metrics",
        )
    },
}

_PROGRAM: Final[dict[str, dict[str, object]]] = {
    "/api/health": {
        "get": _get("readHealth", "How the program is doing, which is always a 200.", ref("Health"), tag="program")
    },
    "/api/audit": {"get": _list("listDeeds", "Changes made over HTTP, the newest first.", "deeds", "Deed", tag="program")},
    "/api/session": {
        "get": _get("readSession", "Who asks, and what they may do.", ref("Session"), tag="program"),
        "post": {
            "operationId": "signIn",
            "summary": "Open a session: the cookie that comes with the answer stands for the token.",
            "tags": ["program"],
            "security": [],
            "requestBody": {
                "required": True,
                "content": _content(ref("SignIn")),
            },
            "responses": _answers(200, "The session.", ref("Session"), _CHANGES, headers=_COOKIE),
        },
        "delete": {
            "operationId": "signOut",
            "summary": "End the session.",
            "tags": ["program"],
            "responses": _answers(
                200, "What may be done without one.", ref("Session"), (400, 403, 408, 413, 415), headers=_NO_COOKIE
            ),
        },
    },
    "/api/openapi.json": {
        "get": _get("readDescription", "This document.", {"type": "object", "required": ["openapi"]}, tag="program")
    },
}


# -- the document ------------------------------------------------------------------------------------------------------


OPENAPI: Final[dict[str, object]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "kailash_monitor",
        "version": OWN_VERSION,
        "license": {"name": "MIT", "identifier": "MIT"},
        "description": (
            "What a program measures, judges and tells. Reading is free; changes need the token, as `Authorization: Bearer` "
            "or by a session's cookie with its `X-CSRF-Token`. Times are ISO 8601 in UTC, in charts Unix seconds. Another "
            "method than is listed at a path is a 405, and a path that is not listed a 404, both with an `Error`."
        ),
    },
    "servers": [{"url": "..", "description": "Where the site is mounted."}],
    "tags": [
        {"name": "alerts"},
        {"name": "rules"},
        {"name": "silences"},
        {"name": "notifications"},
        {"name": "metrics"},
        {"name": "program"},
    ],
    "paths": {**_ALERTS, **_RULES, **_SILENCES, **_NOTIFICATIONS, **_METRICS, **_PROGRAM},
    "components": {
        "schemas": SCHEMAS,
        "responses": {name: {"description": says, "content": _content(ref("Error"))} for name, says in _REFUSALS.values()},
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "cookie": {
                "type": "apiKey",
                "in": "cookie",
                "name": "kailash_monitor",
                "description": "As `POST /api/session` sets it; `_` and eight digits in its name tell programs apart.",
            },
            "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
        },
    },
}
"""The document, made once."""


@cache
def _written() -> str:
    return json.dumps(OPENAPI)


async def _described(_: Request, __: str) -> Response:
    return Response.text(_written(), content_type=_JSON)


openapi_route: Final = Route("GET", "/api/openapi.json", _described)
"""Answers with the document."""
