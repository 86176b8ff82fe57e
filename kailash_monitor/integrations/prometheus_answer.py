"""Answers of Prometheus' HTTP API to a query: the series that an expression gives, or why there are none."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kailash_monitor.channels.checks import starred
from kailash_monitor.channels.http import Answer, moment
from kailash_monitor.channels.printable import one_line
from kailash_monitor.errors import QueryError
from kailash_monitor.integrations.long_json import read
from kailash_monitor.promql import EvaluationError
from kailash_monitor.promql.labelset import NO_LABEL_SET, LabelSet
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces

__all__ = ["MOST", "Answered", "Heard", "answered"]

MOST: Final = 8 * 1024 * 1024
"""Bytes of an answer: some 40,000 series. A rule that finds so many has an expression that says too much."""

SKEW: Final = 60.0
"""Seconds that the clocks of both sides may be apart: at another time than meant, series seem to be gone that are not."""

LONGEST_TEXT: Final = 300
"""Characters of what a server says that are shown."""

PIECE: Final = 250
"""Series that are taken in at a time: a millisecond's work."""

_OF_THE_EXPRESSION: Final = frozenset({"bad_data", "execution"})
"""Types of errors that an expression has by itself: it cannot be read there, or has no value."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the server `where` answered at the time `at`, in Unix seconds; `secrets` of the question are not to be shown."""

    answer: Answer = field(repr=False)
    at: float
    where: str = field(kw_only=True)
    secrets: tuple[str, ...] = field(kw_only=True, repr=False)

    @property
    def ahead(self) -> float | None:
        """How many seconds the server's clock is ahead of ours, by the header Date; None where it does not say."""
        date = moment(self.answer.headers.get("Date", ""))
        return None if date is None else date - self.at

    def shown(self, text: str) -> str:
        """Give what the server says as it can be shown."""
        text = one_line(starred(text, self.secrets))
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"

    def failed(self, seen: str) -> QueryError:
        """Give the error of an answer that cannot be used."""
        return QueryError(self.where, seen=seen)


class Answered(NamedTuple):
    """The series of an answer, and what the server warns of, as it can be shown."""

    vector: Vector
    warnings: list[str]


def answered(heard: Heard) -> Pieces[Answered]:
    """Read an answer, all or nothing. An EvaluationError where the expression is at fault, else a QueryError."""
    if len(heard.answer.body) > MOST:
        raise heard.failed(f"an answer of more than {MOST // 1024 // 1024} MB; have the expression give fewer series")
    try:
        document = yield from read(heard.answer.body.decode())
    except (ValueError, RecursionError):
        document = None
    if not 200 <= heard.answer.status < 300 or not isinstance(document, dict) or document.get("status") != "success":
        raise _refusal(heard, document)
    if document.get("isPartial") is True:  # VictoriaMetrics
        raise heard.failed("a part of its data is missing")
    if (ahead := heard.ahead) is not None and abs(ahead) > SKEW:
        what = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours"
        raise heard.failed(f"its clock is {what}; set both right")
    try:
        vector = yield from _vector(document.get("data"))
    except EvaluationError:
        raise
    except ValueError as error:
        raise heard.failed(f"an answer that is not Prometheus': {error}") from None
    return Answered(vector, [heard.shown(text) for text in _texts(document.get("warnings"))])


def _refusal(heard: Heard, document: object) -> Exception:
    """Give the error that an answer without a result stands for."""
    status, headers = heard.answer.status, heard.answer.headers
    match document:
        case {"status": "error", "errorType": str(kind), "error": str(text)} if kind in _OF_THE_EXPRESSION:
            return EvaluationError(heard.shown(text))
        case {"status": "error", "error": str(text)}:
            said = heard.shown(text)
        case _ if 300 <= status < 400:
            said = "a redirect, which is not followed"
        case _ if headers.get("Content-Type", "").startswith("text/plain"):
            said = heard.shown(heard.answer.body[: 4 * LONGEST_TEXT].decode("utf-8", "replace").strip())
        case _:  # such as the page of a proxy
            said = "no answer of Prometheus' API"
    return heard.failed(f"HTTP {status}: {said}" if said else f"HTTP {status}")


def _vector(data: object) -> Pieces[Vector]:
    """Read the result of a query. A ValueError says what it is instead, an EvaluationError what of it is not supported."""
    match data:
        case {"resultType": "scalar", "result": [_, str(value)]}:
            return [(NO_LABEL_SET, float(value))]
        case {"resultType": "vector", "result": list(series)}:
            vector: Vector = []
            for one in series:
                vector.append(_sample(one))
                if len(vector) % PIECE == 0:
                    yield
            return vector
        case {"resultType": str(kind)} if kind not in ("scalar", "vector"):
            raise ValueError(f"a result of the type {kind[:20]!r}")
    raise ValueError("no result")


def _sample(series: object) -> tuple[LabelSet, float]:
    match series:
        case {"metric": dict(labels), "value": [_, str(value)]} if all(isinstance(each, str) for each in labels.values()):
            return LabelSet(labels), float(value)  # "+Inf" and "NaN" are Python's words, too
        case {"metric": dict(labels), "histogram": _}:
            name = LabelSet({str(label): str(value) for label, value in labels.items()})
            raise EvaluationError(f"native histograms are not supported, and {one_line(str(name))} is one")
    raise ValueError("a series without its value")


def _texts(given: object) -> Iterator[str]:
    return (text for text in given if isinstance(text, str)) if isinstance(given, list) else iter(())
