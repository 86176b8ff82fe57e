"""Pages of the query API: what it answers, as the JSON that Prometheus has for it, piece by piece."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final

from kailash_monitor.promql import number_text
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.query import Result
from kailash_monitor.promql.samples import Matrix, Samples, Vector

__all__ = ["exponent_text", "failure_text", "json_text", "labels_text", "list_page", "page", "result_page"]

POINTS: Final = 1000
"""Points that are written without a pause: about a millisecond's work."""

MOST_NOTES: Final = 10
"""Warnings, and infos, that are told; of the others their number is."""

TRUNCATED: Final = "results truncated due to limit"

_HALF: Final = re.compile("[\ud800-\udfff]")
"""Half a character, which no encoding has: it stands for a byte that is no UTF-8."""


def page(data: Iterable[str], warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Iterator[bytes]:
    """Give the page of a success; `data` is JSON in pieces, and all warnings are there once it is at its end."""
    yield b'{"status":"success","data":'
    for piece in data:
        yield _utf8(piece)
    notes = {"warnings": _told(warnings, "warning"), "infos": _told(infos, "info")}
    yield _utf8("".join(f",{json_text(name)}:{json_text(told)}" for name, told in notes.items() if told) + "}")


def failure_text(kind: str, why: str) -> str:
    """Give the page of a failure."""
    return json_text({"status": "error", "errorType": kind, "error": _HALF.sub("\ufffd", why)})


def list_page(elements: Iterable[str], limit: int) -> Iterator[bytes]:
    """Give the page of a list, whose elements are JSON; of those past the limit it only says that there are some."""
    warnings = list[str]()
    yield from page(_list(((element,) for element in elements), limit, warnings), warnings)


def result_page(result: Result, time: int, *, limit: int, statistics: Mapping[str, object] | None = None) -> Iterator[bytes]:
    """Give the page of what a query gave at `time`, in milliseconds since 1970; of its series as many as the limit says."""
    warnings = list(result.warnings)
    yield from page(_data(result, time, limit, warnings, statistics), warnings, result.infos)


def _data(
    result: Result, time: int, limit: int, warnings: list[str], statistics: Mapping[str, object] | None
) -> Iterator[str]:
    yield f'{{"resultType":"{result.type.value}","result":'
    value = result.value
    if isinstance(value, list):
        yield from _list(_series(value, time), limit, warnings)
    else:
        yield f"[{_time(time)},{json_text(value if isinstance(value, str) else number_text(value))}]"
    yield "}" if statistics is None else f',"stats":{json_text(statistics)}}}'


def _series(series: Vector | Matrix, time: int) -> Iterator[Iterable[str]]:
    at = _time(time)
    for labels, value in series:
        metric = f'{{"metric":{labels_text(labels)}'
        if isinstance(value, Samples):
            yield _points(metric, value)
        else:
            yield (f'{metric},"value":[{at},"{_sample(value)}"]}}',)


def _points(metric: str, samples: Samples) -> Iterator[str]:
    times, values = samples.times, samples.values
    yield f'{metric},"values":['
    for first in range(0, len(times), POINTS):
        last = first + POINTS
        points = zip(times[first:last], values[first:last], strict=True)
        yield ("," if first else "") + ",".join([f'[{_time(time)},"{_sample(value)}"]' for time, value in points])
    yield "]}"


def _list(elements: Iterable[Iterable[str]], limit: int, warnings: list[str]) -> Iterator[str]:
    """Give elements, each in pieces, as a list; where there are more than the limit a warning says so."""
    rest = iter(elements)
    yield "["
    for index, element in enumerate(islice(rest, limit)):
        if index:
            yield ","
        yield from element
    yield "]"
    if next(rest, None) is not None:
        warnings.append(TRUNCATED)


def labels_text(labels: LabelSet) -> str:
    """Give labels as a JSON object, by name."""
    return json_text(dict(sorted(labels.labels.items())))


def _time(milliseconds: int) -> str:
    """Give a time in seconds, with three digits after the point or none (Prometheus, util/jsonutil)."""
    seconds, rest = divmod(abs(milliseconds), 1000)
    text = f"{seconds}.{rest:03}" if rest else f"{seconds}"
    return f"-{text}" if milliseconds < 0 else text


def _sample(value: float) -> str:
    """Give a sample's value: in full, and with an exponent only where that would be long (Prometheus, util/jsonutil)."""
    return number_text(value) if 1e-6 <= abs(value) < 1e21 or not value else exponent_text(value)


def exponent_text(value: float) -> str:
    """Give a number as Go's `%e` with as many digits as it needs: `1e+00`, `1.5e-07`, `+Inf`, `NaN`."""
    if value != value or abs(value) == float("inf"):
        return number_text(value)
    mantissa, _, exponent = format(Decimal(repr(value)).normalize(), "e").partition("e")
    power = int(exponent)
    return f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def json_text(document: object) -> str:
    """Give a document as JSON, without spaces."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _told(notes: Sequence[str], kind: str) -> list[str]:
    more = [f"{len(notes) - MOST_NOTES} more {kind} annotations omitted"] if len(notes) > MOST_NOTES else []
    return [*notes[:MOST_NOTES], *more]


def _utf8(text: str) -> bytes:
    """Encode a text; half a character becomes what stands for one that cannot be told, as in Go."""
    return text.encode() if text.isascii() else _HALF.sub("\ufffd", text).encode()
