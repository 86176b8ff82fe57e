"""Classic histograms: what cumulative counts in buckets, told apart by their label `le`, say of what was observed.

The names of the metrics are dropped. Native histograms do not exist here.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, TypeAlias

from kailash_monitor.promql.annotations import Annotations
from kailash_monitor.promql.arithmetic import divided
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.moment import rfc3339
from kailash_monitor.promql.numbers import general_text
from kailash_monitor.promql.quoting import quoted
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces
from kailash_monitor.promql.tree import Call, Expression

__all__ = ["Correction", "histogram_fraction", "histogram_quantile", "histogram_quantiles"]

BUCKET_LABEL: Final = "le"
"""The label whose value is a bucket's upper bound; without it, the buckets of one histogram have the same labels."""

PIECE: Final = 500
"""Buckets that are told apart without a pause: about a millisecond's work."""

HISTOGRAMS: Final = 100
"""Histograms that are computed without a pause."""

TOLERANCE: Final = 1e-12
"""Counts that differ by less than this part of their sum are the same one, summed in another order (Prometheus' figure)."""

SMALLEST: Final = 2.0**-1022
"""The smallest float that has all its digits."""

LARGEST: Final = math.ldexp(1 - 2**-53, 1024)

Drop: TypeAlias = Callable[[LabelSet], LabelSet]
Buckets: TypeAlias = tuple[list[float], list[float]]
"""Upper bounds, and how much was observed up to each of them."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Which counts were raised to be no lower than those of the buckets below: the detail of an info.

    Their buckets end from `lowest` to `highest`, `difference` is the largest one. It happened to `histograms`, at times
    (milliseconds since 1970) from `first` to `last`.
    """

    lowest: float
    highest: float
    difference: float
    first: int
    last: int
    histograms: int = 1

    def joined(self, later: "Correction") -> "Correction":
        """Give both in one."""
        return Correction(
            min(self.lowest, later.lowest),
            max(self.highest, later.highest),
            max(self.difference, later.difference),
            min(self.first, later.first),
            max(self.last, later.last),
            self.histograms + later.histograms,
        )

    def __str__(self) -> str:
        difference = format(self.difference, ".2g") if self.difference < math.inf else "+Inf"
        first, last = (rfc3339(int(time / 1000)) for time in (self.first, self.last))
        return (
            f", from buckets {general_text(self.lowest)} to {general_text(self.highest)},"
            f" with a max diff of {difference}, over {self.histograms} samples from {first} to {last}"
        )


def histogram_quantile(
    quantile: float, vector: Vector, node: Call, notes: Annotations, drop: Drop, now: int
) -> Pieces[Vector]:
    """Estimate below which value the part `quantile` of all observations lies, for each histogram in `vector`.

    Observations are taken to be spread evenly over their bucket. The lowest bucket starts at 0, and where it ends below,
    its end is the result; the highest must end at +Inf, and its start is the result. NaN where there is no such bucket,
    no other one, or nothing in them; -Inf for a quantile below 0, +Inf for one above 1. `now` is the time of the evaluation.
    """
    notes.check_quantile(quantile, node.arguments[0])
    histograms = yield from _histograms(vector, node.arguments[1], notes, drop)
    result: Vector = []
    for labels, buckets in histograms:
        (value,) = _quantiles((quantile,), labels, buckets, node.arguments[1], notes, now)
        result.append((labels, value))
        if not len(result) % HISTOGRAMS:
            yield
    return result


def histogram_quantiles(
    vector: Vector, label: str, quantiles: Sequence[float], node: Call, notes: Annotations, drop: Drop, now: int
) -> Pieces[Vector]:
    """Estimate several quantiles as `histogram_quantile` does; the label `label` of a result says which one it is."""
    for quantile, argument in zip(quantiles, node.arguments[2:], strict=True):
        notes.check_quantile(quantile, argument)
    histograms = yield from _histograms(vector, node.arguments[0], notes, drop)
    results: list[Vector] = [[] for _ in quantiles]
    changes = [{label: _label_text(quantile)} for quantile in quantiles]
    for index, (labels, buckets) in enumerate(histograms, 1):
        values = _quantiles(quantiles, labels, buckets, node.arguments[0], notes, now)
        for result, change, value in zip(results, changes, values, strict=True):
            result.append((labels.changed(change), value))
        if not index % HISTOGRAMS:
            yield
    return [one for result in results for one in result]


def histogram_fraction(
    lower: float, upper: float, vector: Vector, node: Call, notes: Annotations, drop: Drop
) -> Pieces[Vector]:
    """Estimate which part of all observations lies between `lower` and `upper`, for each histogram in `vector`.

    It is the reverse of `histogram_quantile`, but the counts are taken as they are, and nothing is known of how observations
    are spread in a bucket without an end: all of them are below any value in the first one, and above any in the last.
    """
    histograms = yield from _histograms(vector, node.arguments[2], notes, drop)
    result: Vector = []
    for labels, buckets in histograms:
        result.append((labels, _fraction(lower, upper, _in_order(buckets))))
        if not len(result) % HISTOGRAMS:
            yield
    return result


def _label_text(quantile: float) -> str:
    """Give a number as OpenMetrics has it, where a whole one has a point: `0.5`, `1.0`, `1e+06`, `NaN`."""
    text = general_text(quantile + 0.0)  # which makes 0 of -0
    return f"{text}.0" if text.lstrip("-").isdigit() else text


# Which buckets belong together.


def _histograms(
    vector: Vector, argument: Expression, notes: Annotations, drop: Drop
) -> Pieces[list[tuple[LabelSet, Buckets]]]:
    """Give the buckets of each histogram, in the order in which they come; warn of a bucket without an upper bound."""
    bounds: dict[str, float | None] = {}
    histograms: dict[frozenset[tuple[str, str]], tuple[LabelSet, Buckets]] = {}
    for index, (labels, count) in enumerate(vector, 1):
        rest = labels.labels.copy()
        text = rest.pop(BUCKET_LABEL, "")
        if text not in bounds:
            bounds[text] = _bound(text)
        bound = bounds[text]
        if bound is None:
            notes.warn(
                f'bucket label "le" is missing or has a malformed value of {quoted(text)}{_of(drop(labels))}', argument
            )
        else:
            key = frozenset(rest.items())  # the name among them: two metrics are two histograms
            if key not in histograms:
                histograms[key] = (drop(LabelSet(rest)), ([], []))
            _, (upper, counts) = histograms[key]
            upper.append(bound)
            counts.append(count)
        if not index % PIECE:
            yield
    return list(histograms.values())


def _of(labels: LabelSet) -> str:
    """Give the metric's name for an annotation, if it is known still."""
    return f" for metric name {quoted(labels.name)}" if labels.name else ""


_NUMBER: Final = re.compile(
    r"""(?P<decimal> [+-]? (?: \d[\d_]*\.?[\d_]* | \.\d[\d_]* ) (?: e[+-]?[\d_]+ )? )
      | (?P<hexadecimal> [+-]? 0x_? (?: [\da-f][\da-f_]*\.?[\da-f_]* | \.[\da-f][\da-f_]* ) p[+-]?\d+ )
      | (?P<other> [+-]?inf(?:inity)? | nan )""",
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)


def _bound(text: str) -> float | None:
    """Read an upper bound as Go reads a number; None where it is none, or too large for a float."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    try:
        bound = float.fromhex(text.replace("_", "")) if found["hexadecimal"] else float(text)
    except (ValueError, OverflowError):
        return None
    return None if math.isinf(bound) and not found["other"] else bound


# What they say.


def _in_order(buckets: Buckets) -> Buckets:
    """Give the buckets by their upper bounds; what has the same one is one bucket."""
    bounds: list[float] = []
    counts: list[float] = []
    for bound, count in sorted(zip(*buckets, strict=True), key=itemgetter(0)):
        if bounds and bound == bounds[-1]:
            counts[-1] += count
        else:
            bounds.append(bound)
            counts.append(count)
    return bounds, counts


def _quantiles(
    quantiles: Sequence[float], labels: LabelSet, buckets: Buckets, argument: Expression, notes: Annotations, now: int
) -> list[float]:
    """Estimate quantiles of one histogram; an info says so if that takes other counts than the given ones."""
    values = [-math.inf if quantile < 0 else math.inf if quantile > 1 else math.nan for quantile in quantiles]
    if all(value == value for value in values):
        return values
    bounds, counts = _in_order(buckets)
    if bounds[-1] != math.inf or len(bounds) < 2:
        return values
    correction = _corrected(bounds, counts, now)
    if not counts[-1]:
        return values
    between = [index for index, quantile in enumerate(quantiles) if 0 <= quantile <= 1]
    if correction and between:
        notes.inform(_CORRECTED + _of(labels), argument, correction)
    for index in between:
        values[index] = _quantile(quantiles[index], bounds, counts)
    return values


_CORRECTED: Final = (
    "input to histogram_quantile needed to be fixed for monotonicity"
    " (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)


def _corrected(bounds: list[float], counts: list[float], now: int) -> Correction | None:
    """Change the counts to be nowhere lower than before; tell of it where more than a rounding error was corrected."""
    raised: list[tuple[float, float]] = []
    last = counts[0]
    for index, count in enumerate(counts):
        if count == last:
            continue
        if _same(last, count):
            counts[index] = last
        elif count < last:
            raised.append((bounds[index], last - count))
            counts[index] = last
        else:
            last = count
    if not raised:
        return None
    return Correction(raised[0][0], raised[-1][0], max(difference for _, difference in raised), now, now)


def _same(one: float, other: float) -> bool:
    """Whether two different counts are one but for rounding; NaN is NaN."""
    total, difference = abs(one) + abs(other), abs(one - other)
    if not one or not other or total < SMALLEST:
        return difference < TOLERANCE * SMALLEST
    return difference / min(total, LARGEST) < TOLERANCE or (one != one and other != other)


def _quantile(quantile: float, bounds: list[float], counts: list[float]) -> float:
    rank = quantile * counts[-1]
    last = len(counts) - 1
    index = bisect_left(counts, True, 0, last, key=rank.__le__)  # which, unlike a search for the rank, copes with NaN
    if index == last:
        return bounds[last - 1]
    if index == 0:
        return bounds[0] if bounds[0] <= 0 else bounds[0] * divided(rank, counts[0])
    start, before = bounds[index - 1], counts[index - 1]
    return start + (bounds[index] - start) * divided(rank - before, counts[index] - before)


def _fraction(lower: float, upper: float, buckets: Buckets) -> float:
    bounds, counts = buckets
    total = counts[-1]
    if bounds[-1] != math.inf or not total or lower != lower or upper != upper:
        return math.nan
    return 0.0 if lower >= upper else (_rank(upper, bounds, counts) - _rank(lower, bounds, counts)) / total


def _rank(value: float, bounds: list[float], counts: list[float]) -> float:
    """Estimate how much was observed up to `value`: at most all."""
    start, before = (0.0 if bounds[0] > 0 else -math.inf), 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if start >= value:
            rank = before
            break
        if bound > value:
            rank = count if start == -math.inf else before + (count - before) * (value - start) / (bound - start)
            break
        start, before = bound, count
    else:
        rank = counts[-1]
    return min(rank, counts[-1])
