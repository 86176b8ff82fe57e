"""The functions that Prometheus adds to Go's: for numbers, texts, addresses and the results of queries."""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final

from kailash_monitor.promql.durations import parse_duration
from kailash_monitor.rules.templates import humanized
from kailash_monitor.rules.templates.builtins import BUILTINS, escaped_for_query
from kailash_monitor.rules.templates.moments import SECOND, Duration
from kailash_monitor.rules.templates.patterns import matches, replaced
from kailash_monitor.rules.templates.signatures import CallFailed, Function, Type
from kailash_monitor.rules.templates.values import Arguments, Markup, Pointer, Sample, Samples, Value

__all__ = ["FUNCTIONS", "NAMES"]

_NIL: Final = "runtime error: invalid memory address or nil pointer dereference"


def _first(samples: Samples) -> Sample:
    if not samples:
        raise CallFailed("first() called on vector with no elements")
    return samples[0]


def _label(name: str, sample: Sample | None) -> str:
    if sample is None:
        raise CallFailed(_NIL)
    return sample.labels.get(name, "")


def _value(sample: Sample | None) -> float:
    if sample is None:
        raise CallFailed(_NIL)
    return sample.value


def _sorted(label: str, samples: Samples) -> Samples:
    samples.sort(key=lambda sample: sample.labels.get(label, ""))  # in place, as Go's: whoever has them sees it
    return samples


def _arguments(*values: Value) -> Arguments:
    return Arguments((f"arg{index}", value) for index, value in enumerate(values))


_BREAKS: Final = re.compile(r"[^\w.':·‘’․﹒＇．﹕：]|[.':·‘’․﹒＇．﹕：]{2}")
"""What ends a word (Unicode's word boundaries, nearly): of the signs that may stand within one, it takes two."""


def _titled(text: str) -> str:
    """Each word with a capital first letter: `it's` is one word, `a-b` are two."""
    parts, in_word = [], False
    for index, character in enumerate(text):
        if character.isupper() or character.islower() or character.istitle():
            parts.append(character if in_word else _one_title(character))
            in_word = True
            continue
        parts.append(character)
        if _BREAKS.match(text, index):
            in_word = False
    return "".join(parts)


def _one_title(character: str) -> str:
    form = character.title()
    return form if len(form) == 1 else character


def _upper(text: str) -> str:
    return "".join(map(_one_upper, text))


def _one_upper(character: str) -> str:
    """A capital letter, if it is one: Go makes no SS of ß."""
    return next((form for form in (character.upper(), _one_title(character)) if len(form) == 1), character)


def _lower(text: str) -> str:
    return "".join([character.lower()[0] for character in text])


# Addresses


def _host_and_port(address: str) -> tuple[str, str] | None:
    """Host and port of an address that has both (Go's SplitHostPort)."""
    colon = address.rfind(":")
    if colon < 0:
        return None
    if address.startswith("["):
        end = address.find("]")
        if end < 0 or end + 1 != colon:
            return None
        host, before, after = address[1:end], address[1:], address[end + 1 :]
    else:
        host, before, after = address[:colon], address, address
        if ":" in host:
            return None
    return None if "[" in before or "]" in after else (host, address[colon + 1 :])


def _without_port(address: str) -> str:
    parts = _host_and_port(address)
    return parts[0] if parts else address


def _without_domain(address: str) -> str:
    host, port = _host_and_port(address) or (address, "")
    if _is_address(host):
        return address
    host = host.split(".")[0]
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _graph_link(expression: str) -> str:
    return f"/graph?g0.expr={escaped_for_query(expression)}&g0.tab=0"


def _table_link(expression: str) -> str:
    return f"/graph?g0.expr={escaped_for_query(expression)}&g0.tab=1"


# Times


def _to_time(value: Value) -> Pointer:
    return Pointer(humanized.moment_of(humanized.number_of(value)))


def _to_duration(value: Value) -> Pointer:
    nanoseconds = humanized.number_of(value) * SECOND
    fits = -(2.0**63) <= nanoseconds < 2.0**63
    return Pointer(Duration(int(nanoseconds) if fits else -(2**63)))  # Go's conversion, on amd64


def _parsed_duration(text: str) -> float:
    if text == "0":
        return 0.0
    if not text:
        raise CallFailed("empty duration string")
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CallFailed(str(error)) from None


def _of_number(call: Callable[[Value], Value]) -> Function:
    return Function(call, (Type.ANY,))


_PROMETHEUS: Final[Mapping[str, Function]] = {
    "first": Function(_first, (Type.SAMPLES,)),
    "label": Function(_label, (Type.STRING, Type.SAMPLE)),
    "value": Function(_value, (Type.SAMPLE,)),
    "strvalue": Function(lambda sample: _label("__value__", sample), (Type.SAMPLE,)),
    "sortByLabel": Function(_sorted, (Type.STRING, Type.SAMPLES)),
    "args": Function(_arguments, rest=Type.ANY),
    "safeHtml": Function(Markup, (Type.STRING,)),
    "match": Function(matches, (Type.STRING, Type.STRING)),
    "reReplaceAll": Function(replaced, (Type.STRING, Type.STRING, Type.STRING)),
    "title": Function(_titled, (Type.STRING,)),
    "toUpper": Function(_upper, (Type.STRING,)),
    "toLower": Function(_lower, (Type.STRING,)),
    "graphLink": Function(_graph_link, (Type.STRING,)),
    "tableLink": Function(_table_link, (Type.STRING,)),
    "urlQueryEscape": Function(escaped_for_query, (Type.STRING,)),
    "stripPort": Function(_without_port, (Type.STRING,)),
    "stripDomain": Function(_without_domain, (Type.STRING,)),
    "humanize": _of_number(humanized.humanize),
    "humanize1024": _of_number(humanized.humanize1024),
    "humanizeDuration": _of_number(humanized.humanize_duration),
    "humanizePercentage": _of_number(humanized.humanize_percentage),
    "humanizeTimestamp": _of_number(humanized.humanize_timestamp),
    "toTime": _of_number(_to_time),
    "toDuration": _of_number(_to_duration),
    "parseDuration": Function(_parsed_duration, (Type.STRING,)),
}

FUNCTIONS: Final[Mapping[str, Function]] = {**BUILTINS, **_PROMETHEUS}
"""The functions that ask nothing but their arguments, by name."""

NAMES: Final = frozenset({*FUNCTIONS, "query", "now", "externalURL", "pathPrefix"})
"""The names of all functions that a template may call."""
