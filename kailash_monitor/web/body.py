"""Bodies: what came with a request, as the fields of a JSON object."""

import json
from collections.abc import Collection, Mapping
from typing import Final

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.web.http import MAX_BODY, Request, Response

__all__ = ["Fields", "author_of", "body_refusal", "duration_of", "fields_of", "seen", "text_of"]

LONGEST_TEXT: Final = 1_000
"""Characters of an id, a name or a reason: silences are kept, and shown."""

SHOWN: Final = 80
"""Characters of what was wrong that are said again."""

_JSON: Final = "application/json"

Fields = Mapping[str, object]


def body_refusal(request: Request) -> Response | None:
    """Give the answer to a body that is not read: too long, or not declared as JSON; None where it can be.

    The declaration is asked for since a browser sends every other kind of body across sites without asking us first.
    """
    if len(request.body) > MAX_BODY:
        return Response.json({"error": f"the body is longer than {MAX_BODY} bytes"}, status=413)
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != _JSON and (request.body or request.method != "DELETE"):
        return Response.json({"error": f"the body has the type {given!r}; send Content-Type: {_JSON}"}, status=415)
    return None


def fields_of(request: Request, known: Collection[str]) -> Fields:
    """Give the fields of the JSON object in the body, those that are null left out; no body is an empty one.

    A ConfigurationError where it is no such object, or has other fields than the `known`.
    """
    if not request.body:
        return {}
    try:
        document = json.loads(request.body.decode(), parse_constant=_no_number)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text, and cannot be stored
    except (ValueError, RecursionError) as error:
        raise _wrong(f"a body that cannot be read ({type(error).__name__})", "one JSON object in UTF-8") from None
    if not isinstance(document, dict):
        raise _wrong(f"the body {seen(document)}", "a JSON object")
    for name in document:
        if name not in known:
            expected = f"there are: {', '.join(known)}" if known else "no fields here"
            raise _wrong(f"the unknown field {seen(name)}", expected, field=name)
    return {name: value for name, value in document.items() if value is not None}


def text_of(fields: Fields, name: str) -> str:
    """Give a field that is a text; empty where it is not given. A ConfigurationError where it is too long, or no text."""
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise _wrong(f"{name} = {seen(value)}", f"a text of {LONGEST_TEXT:,} characters at most", field=name)
    return value


def author_of(request: Request, fields: Fields) -> str:
    """Give who says so: the `author` that is given, or else the name of who has signed in."""
    return text_of(fields, "author") or request.visitor


def duration_of(fields: Fields, name: str) -> float | str | None:
    """Give a field that is a duration, its text still unread; None where it is not given."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise _wrong(f"{name} = {seen(value)}", "seconds, or a text such as '30s' or '2h'", field=name)
    if not isinstance(value, int):
        return value
    try:
        return float(value)
    except OverflowError:
        raise _wrong(f"{name} = {seen(value)}", "a number of seconds that can be waited for", field=name) from None


def seen(value: object) -> str:
    """Give what was seen, for an error; the beginning of it where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _wrong(what: str, expected: str, *, field: str | None = None) -> ConfigurationError:
    return ConfigurationError("the request", seen=what, expected=expected, field=field)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
