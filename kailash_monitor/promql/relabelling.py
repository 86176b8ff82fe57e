"""Relabelling: labels that are made of others. A metric's name is kept, and may be read and replaced like any label."""

from collections.abc import Sequence
from typing import Final

from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.regex import capturing, expand
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces

__all__ = ["label_join", "label_replace"]

LONGEST: Final = 1_000_000
"""Characters of a label's value: what is longer was multiplied by mistake, or by malice."""

PIECE: Final = 100
"""Series that are relabelled without a pause: a millisecond's work where a pattern is a hard one."""


def label_replace(vector: Vector, destination: str, replacement: str, source: str, pattern: str) -> Pieces[Vector]:
    """Set the label `destination` to `replacement` where `pattern` fits all of the label `source`.

    `$1` and `${name}` in the replacement stand for what the groups of the pattern fit; an empty value takes the label away.
    An EvaluationError where the pattern is no RE2 expression, or the destination no label's name.
    """
    try:
        capture = capturing(pattern)
    except ValueError:
        raise EvaluationError(f"invalid regular expression in label_replace(): {pattern}") from None
    if not _can_be_a_name(destination):
        raise EvaluationError(f"invalid destination label name in label_replace(): {destination}")
    made: dict[str, str | None] = {}
    result: Vector = []
    for index, (labels, value) in enumerate(vector, 1):
        text = labels.labels.get(source, "")
        if len(replacement) + replacement.count("$") * len(text) > LONGEST:
            raise EvaluationError(f"label value too long in label_replace(): {destination}")
        if text not in made:
            captures = capture(text)
            made[text] = None if captures is None else expand(replacement, captures)
        new = made[text]
        result.append((labels if new is None else _with(labels, destination, new), value))
        if not index % PIECE:
            yield
    return result


def label_join(vector: Vector, destination: str, separator: str, sources: Sequence[str]) -> Pieces[Vector]:
    """Set the label `destination` to the values of the labels `sources` with `separator` between them.

    An absent label counts as empty. An EvaluationError where one of the names is no label's.
    """
    for source in sources:
        if not _can_be_a_name(source):
            raise EvaluationError(f"invalid source label name in label_join(): {source}")
    if not _can_be_a_name(destination):
        raise EvaluationError(f"invalid destination label name in label_join(): {destination}")
    result: Vector = []
    for index, (labels, value) in enumerate(vector, 1):
        texts = [labels.labels.get(source, "") for source in sources]
        if len(separator) * len(texts) + sum(map(len, texts)) > LONGEST:
            raise EvaluationError(f"label value too long in label_join(): {destination}")
        joined = separator.join(texts)
        result.append((_with(labels, destination, joined), value))
        if not index % PIECE:
            yield
    return result


def _with(labels: LabelSet, name: str, value: str) -> LabelSet:
    """Give labels with another value; they are the same object where that changes nothing, for what is kept with them."""
    if labels.labels.get(name, "") == value and not (labels.drops_name and name == METRIC_NAME):
        return labels
    return labels.changed({name: value})


def _can_be_a_name(text: str) -> bool:
    """Whether a label can be called so: any text that is UTF-8, and not empty."""
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False
