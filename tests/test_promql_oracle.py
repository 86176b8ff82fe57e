"""A real Prometheus agrees: on every rule of the shared rule files, on all their parts, and on random expressions.

Series are made up for them and given to both. Debian's Prometheus may be a 2.x, whose windows are closed on the left, while
those of 3.x, which are ours, are open there: no query's window starts at a sample.
"""

import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

import pytest
import yaml

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql import (
    AGGREGATORS,
    FUNCTIONS,
    OPERATORS,
    Aggregation,
    Binary,
    Call,
    Expression,
    LabelMatcher,
    Matching,
    Number,
    Paren,
    ParseError,
    Purpose,
    RangeSelector,
    Selector,
    Side,
    String,
    Subquery,
    Unary,
    ValueType,
    check,
    number_text,
    parse,
    to_text,
    type_of,
    walk,
)
from kailash_monitor.promql.demand import demand
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.loaded import LoadedSource
from kailash_monitor.promql.query import finished, instant, ranged
from kailash_monitor.promql.reading import Span

from effort import examples  # isort: skip
from prometheus_oracle import BLOCK, INSTALLED, MISSING, Given, Oracle, Refused, started_with  # isort: skip

pytestmark = [pytest.mark.external, pytest.mark.real_time, pytest.mark.skipif(not INSTALLED, reason=MISSING)]

RULE_FILES: Final = sorted((Path(__file__).parents[2] / "shared" / "rulefiles").glob("*.yml"))
needs_rules = pytest.mark.skipif(not RULE_FILES, reason="the rules of ../shared/rulefiles are not here")

STEP: Final = 15_000
"""Milliseconds between two samples."""

START: Final = 236_112 * BLOCK + 607_000
"""The first sample, in November 2023. Steps of subqueries fall on multiples of 15 s, samples 7 s beside them."""

GRID: Final = tuple(range(START, START + 3_600_001, STEP))
"""An hour of samples."""

MOMENTS: Final = (START + 2_717_123, START + 3_291_456, START + 3_607_789)
"""When is asked: windows of whole seconds, and offsets, start and end between two samples."""

PRECISION: Final = 1e-9
"""How much of a value, or of 1 where it is smaller, two ways to round may differ."""


# What is compared


@dataclass(frozen=True, slots=True)
class Judge:
    """Asks both."""

    oracle: Oracle
    source: LoadedSource

    def disagreement(self, tree: Expression, moments: Sequence[int] = MOMENTS) -> str:
        """Say where the smallest part of `tree` that the two disagree on differs; empty where they agree.

        So it is where they disagree as KNOWN: what is around that part cannot be compared then.
        """
        for part in _evaluable(tree):
            for moment in moments:
                ours, theirs = self.ours(part, moment), self.theirs(to_text(part), moment)
                if not agree(ours, theirs):
                    known = any(one.concerns(part) and one.explains(ours, theirs) for one in KNOWN)
                    return "" if known else _told(f"{to_text(part)}\n  at {moment}", ours, theirs)
        return ""

    def difference(self, tree: Expression, moment: int) -> str:
        """Say what the two have at one moment; empty where they agree."""
        text = to_text(tree)
        return _told(f"{text}\n  at {moment}", self.ours(tree, moment), self.theirs(text, moment))

    def difference_over_time(self, tree: Expression, span: Span) -> str:
        """Say what the two have over a stretch of time; empty where they agree."""
        text = to_text(tree)
        theirs = _attempted(lambda: self.oracle.query_range(text, span.start, span.end, span.step).value)
        ours = _attempted(lambda: finished(ranged(tree, text, self.source, span.start, span.end, span.step)).value)
        return _told(f"{text}\n  {span}", _by_point(ours), _by_point(theirs))

    def theirs(self, text: str, moment: int) -> object:
        return _attempted(lambda: self.oracle.query(text, moment).value)

    def ours(self, tree: Expression, moment: int) -> object:
        value = _attempted(lambda: finished(instant(tree, to_text(tree), self.source, moment)).value)
        return dict(value) if isinstance(value, list) else value


def _attempted(attempt: Callable[[], object]) -> object:
    """Give what comes of it, or what says why there is nothing."""
    try:
        return attempt()
    except (EvaluationError, ParseError, Refused) as error:
        return error


def _by_point(outcome: object) -> object:
    """Give the values of a range by labels and time."""
    if isinstance(outcome, list):
        outcome = {labels: list(zip(samples.times, samples.values, strict=True)) for labels, samples in outcome}
    if not isinstance(outcome, dict):
        return outcome
    return {(labels, time): value for labels, points in outcome.items() for time, value in points}


def _told(what: str, ours: object, theirs: object) -> str:
    return "" if agree(ours, theirs) else f"{what}\n  ours:   {ours}\n  theirs: {theirs}"


def agree(ours: object, theirs: object) -> bool:
    """Whether both have the same value, but for the last digits, or neither has any."""
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        return isinstance(ours, Exception) and isinstance(theirs, Exception)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(close(ours[labels], theirs[labels]) for labels in ours)
    return isinstance(ours, float | int) and isinstance(theirs, float) and close(ours, theirs)


def close(one: float, other: float) -> bool:
    return one == other or (one != one and other != other) or math.isclose(one, other, rel_tol=PRECISION, abs_tol=PRECISION)


# What is known to differ


@dataclass(frozen=True, slots=True)
class Known:
    """A difference between Debian's 2.42 and 3.x: which nodes it concerns, and whether it explains two outcomes of one."""

    reason: str
    concerns: Callable[[Expression], bool]
    explains: Callable[[object, object], bool]


def _same_without_names(ours: object, theirs: object) -> bool:
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return False
    return agree(ours, {labels.nameless: value for labels, value in theirs.items()})


def _nan_for_zero(ours: object, theirs: object) -> bool:
    if not (isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys()):
        return False
    return all(close(value, theirs[labels]) or (math.isnan(value) and theirs[labels] == 0) for labels, value in ours.items())


KNOWN: Final = (
    Known(
        "2.42 keeps the metric's name, https://github.com/prometheus/prometheus/pull/12595",
        lambda node: isinstance(node, Binary) and node.operator == "atan2",
        _same_without_names,
    ),
    Known(
        "2.42 gives 0 for a group of one series, whatever its value; 3.x NaN where that is NaN or infinite",
        lambda node: isinstance(node, Aggregation) and node.name in ("stddev", "stdvar"),
        _nan_for_zero,
    ),
    Known(
        "2.42 counts how many series match only once a comparison has left some out; in 3.x no value makes a match unique",
        lambda node: isinstance(node, Binary) and OPERATORS[node.operator].purpose is Purpose.COMPARISON,
        lambda ours, theirs: isinstance(ours, EvaluationError) and ours.message.startswith("multiple matches"),
    ),
)


def _evaluable(tree: Expression) -> Iterator[Expression]:
    """Give those parts of `tree`, and itself, that give a number or a vector, the smaller ones first."""
    for part in reversed(list(walk(tree))):
        if type_of(part) in (ValueType.SCALAR, ValueType.VECTOR):
            yield part


# Series for rules

HOSTS: Final = 4
"""Series of each kind."""

COUNTING: Final = frozenset({"rate", "increase", "irate"})
COUNTER_SUFFIXES: Final = ("_total", "_count", "_sum", "_bucket")


@dataclass(slots=True)
class Asked:
    """What the rules of a file ask of one metric: what a series must be like, and what its values are compared with."""

    demands: list[tuple[LabelMatcher, ...]] = field(default_factory=list)
    thresholds: set[float] = field(default_factory=set)
    counts: bool = False
    is_time: bool = False


@functools.cache
def rules(path: Path) -> tuple[Expression, ...]:
    """Give the expressions of a rule file."""
    groups = yaml.safe_load(path.read_text())["groups"]
    return tuple(parse(rule["expr"]) for group in groups for rule in group["rules"] or ())


def series_for(path: Path) -> Iterator[Given]:
    """Make series that the rules of a file find: some are as they expect, some not, and one does not meet their demands."""
    hosts = [dict(_shared_labels(path, host)) for host in range(HOSTS)]
    for name, asked in _asked(path).items():
        counts = asked.counts or name.endswith(COUNTER_SUFFIXES)
        for labels in _label_sets(name, asked, hosts):
            luck = Random(f"{path.stem} {name} {sorted(labels.items())}")
            if name.endswith("_bucket") and "le" not in labels:
                yield from _histogram(labels, asked, luck)
            else:
                values = _counted(asked, luck) if counts else _measured(asked, luck)
                yield _given(labels, values, luck)


def _asked(path: Path) -> dict[str, Asked]:
    found: dict[str, Asked] = {}
    for tree in rules(path):
        for node in walk(tree):
            for name, selector in _named(node) if isinstance(node, Selector) else ():
                asked = found.setdefault(name, Asked())
                if selector.matchers not in asked.demands:
                    asked.demands.append(selector.matchers)
        for node in walk(tree):
            match node:
                case Call(name=function) if function in COUNTING:
                    for asked in _below(node, found):
                        asked.counts = True
                case Binary(left=left, right=right, operator="-") if any(Call("time") == part for part in walk(left)):
                    for asked in _below(right, found):
                        asked.is_time = True
                case Binary(left=left, right=right, operator=operator) if OPERATORS[operator].purpose is Purpose.COMPARISON:
                    for asked in _below(left, found):
                        asked.thresholds |= {part.value for part in walk(right) if isinstance(part, Number)}
    return found


def _below(node: Expression, found: dict[str, Asked]) -> list[Asked]:
    return [found[name] for part in walk(node) if isinstance(part, Selector) for name, _ in _named(part)]


def _named(selector: Selector) -> Iterator[tuple[str, Selector]]:
    """Give the selector with the names of metrics that it may mean."""
    if selector.name:
        yield selector.name, selector
        return
    matchers = [one for one in selector.matchers if one.name == METRIC_NAME]
    others = tuple(one for one in selector.matchers if one.name != METRIC_NAME)
    for name in islice(filter(str.isidentifier, _values(matchers)), 2):
        yield name, Selector(name, others)


def _shared_labels(path: Path, host: int) -> Iterator[tuple[str, str]]:
    """Give the labels by which the rules of a file join or group. What they only group by has fewer values than hosts."""
    joins, groups = {"instance"}, set[str]()
    for tree in rules(path):
        for node in walk(tree):
            if isinstance(node, Aggregation) and not node.without:
                groups |= set(node.grouping)
            elif isinstance(node, Binary) and node.matching.on:
                joins |= {*node.matching.labels, *node.matching.include}
    for label in sorted((joins | groups) - {"le", METRIC_NAME}):
        yield label, f"{path.stem[:6]}-{host if label in joins else host // 2}"


def _label_sets(name: str, asked: Asked, hosts: Sequence[dict[str, str]]) -> Iterator[dict[str, str]]:
    found: dict[LabelSet, dict[str, str]] = {}
    for matchers in asked.demands:
        met = list(_meeting(matchers))
        assert met, matchers
        for wanted in (*met, *({one.name: "unmet"} for one in matchers[:1])):
            for host in hosts if wanted in met else hosts[:1]:
                labels = {METRIC_NAME: name, **host, **wanted}
                found[LabelSet(labels)] = labels
    yield from ({**labels.labels} for labels in found)


def _meeting(matchers: Sequence[LabelMatcher]) -> Iterator[dict[str, str]]:
    """Give labels that meet all demands, in up to three ways."""
    names = list(dict.fromkeys(one.name for one in matchers))
    choices = {name: list(islice(_values([one for one in matchers if one.name == name]), 3)) for name in names}
    if all(choices.values()):
        for number in range(max(map(len, choices.values()), default=1)):
            yield {name: values[number % len(values)] for name, values in choices.items()}


def _values(matchers: Sequence[LabelMatcher]) -> Iterator[str]:
    """Give values of one label that all `matchers` accept."""
    tried = [value for one in matchers for value in _candidates(one)]
    met = [demand(one) for one in matchers]
    yield from (value for value in dict.fromkeys([*tried, "other", "", "x"]) if all(meets(value) for meets in met))


def _candidates(matcher: LabelMatcher) -> Iterator[str]:
    """Give values that a matcher may have been written for (or against)."""
    if matcher.operator in (Operator.EQUAL, Operator.NOT_EQUAL):
        yield matcher.value
        return
    for alternative in _alternatives(matcher.value.replace("(?i)", "")):
        yield re.sub(r"\[\^?(?:\d|[a-z])?-?(\w).*?\]|\.\*|(\.\+|\.)|\\(.)|[$^?*+]", _stand_in, alternative)


def _stand_in(found: "re.Match[str]") -> str:
    return found[1] or ("0" if found[2] else "") or found[3] or ""


def _alternatives(pattern: str) -> Iterator[str]:
    group = re.search(r"\((?:\?:)?([^()]*)\)", pattern)
    if group is None:
        yield from pattern.split("|")
        return
    for one in group[1].split("|"):
        yield from _alternatives(pattern[: group.start()] + one + pattern[group.end() :])


def _given(labels: dict[str, str], values: Sequence[float], luck: Random) -> Given:
    """Give the series, one in ten with a gap of ten minutes or more, one in ten ended some minutes ago."""
    gap = range(*luck.choice([(0, 0)] * 8 + [(40, 90), (luck.randint(200, 230), len(GRID))]))
    kept = [place for place in range(len(GRID)) if place not in gap]
    return LabelSet(labels), GRID if len(kept) == len(GRID) else [GRID[place] for place in kept], [values[p] for p in kept]


def _measured(asked: Asked, luck: Random) -> list[float]:
    """A gauge: as it is compared with, or around it, or to and fro, or wandering."""
    threshold = luck.choice(sorted(asked.thresholds) or [1.0])
    if asked.is_time:
        return [_rounded(MOMENTS[-1] / 1000 - threshold * luck.choice([0.25, 1, 4]))] * len(GRID)
    level = luck.choice([threshold, threshold * 2 + 1, threshold * 2 + 1, threshold / 2, 0.0])
    manner = luck.randrange(3)
    if manner == 0:
        return [level] * len(GRID)
    if manner == 1:
        return [luck.choice([level, level, 0.0]) for _ in GRID]
    values = [level]
    while len(values) < len(GRID):
        values.append(_rounded(values[-1] + (level or 1.0) * luck.uniform(-0.1, 0.1)))
    return values


def _counted(asked: Asked, luck: Random) -> list[float]:
    """A counter: idle, or about as fast as a rate or an increase is compared with; half of them begin again.

    The first value is 0 or that of an hour. A rate over a range that begins before the series is then extrapolated alike by
    2.x, which did not compare the time to zero with half a step (https://github.com/prometheus/prometheus/pull/13725).
    """
    threshold = luck.choice(sorted(asked.thresholds) or [1.0])
    speed = luck.choice([0.0, threshold * 2 + 0.01, threshold / 100 + 0.01, 1.0])
    total, reset = (
        luck.choice([0.0, _rounded(speed * 3600), 1e6 + speed * 3600]),
        luck.choice([0, luck.randrange(1, len(GRID))]),
    )
    values = [total]
    for place in range(1, len(GRID)):
        total = 0.0 if place == reset else total + _rounded(speed * STEP / 1000 * luck.uniform(0, 2))
        values.append(total)
    return values


def _histogram(labels: dict[str, str], asked: Asked, luck: Random) -> Iterator[Given]:
    """Buckets around what a quantile is compared with, in a counter's manner."""
    middle = luck.choice([one for one in sorted(asked.thresholds) if one > 0] or [1.0])
    bounds = [*(number_text(middle * factor) for factor in (0.25, 0.5, 1, 2, 4)), "+Inf"]
    total = [0.0] * len(bounds)
    columns: list[list[float]] = [[] for _ in bounds]
    peak, reset = luck.randrange(len(bounds)), luck.choice([0, luck.randrange(1, len(GRID))])
    for place in range(len(GRID)):
        for column, one in zip(columns, total, strict=True):
            column.append(one)
        if place == reset != 0:
            total = [0.0] * len(bounds)
        for _ in range(luck.choice([0, 1, 5])):
            fallen = min(max(0, round(luck.gauss(peak, 1))), len(bounds) - 1)
            total = [one + (index >= fallen) for index, one in enumerate(total)]
    for bound, column in zip(bounds, columns, strict=True):
        yield LabelSet({**labels, "le": bound}), GRID, column


def _rounded(value: float) -> float:
    """Sums of such values have no error, in whichever order they are added."""
    return round(value * 1024) / 1024


# Series and expressions at random

NATIVE: Final = frozenset({"avg", "count", "fraction", "quantiles", "stddev", "stdvar", "sum"})

LEFT_OUT: Final = {
    **{f"histogram_{what}": "of native histograms, or new in 3.x for classic ones" for what in NATIVE},
    "info": "has a test of its own",
    "limitk": "which series are taken depends on the hashes of their labels",
    "limit_ratio": "which series are taken depends on the hashes of their labels",
}
"""Functions and aggregations that no expression uses, each with the reason. Those that the server does not know come to it."""

LABELS: Final = {"a": ("x", "y", "z"), "b": ("1", "2")}
NUMBERS: Final = (0.0, 1.0, -1.0, 0.5, 2.0, 3.0, 10.0, 100.0, 0.9)
STEPS: Final = (None, 30.0, 45.0, 60.0)
OFFSETS: Final = (*[None] * 6, 60.0, 300.0, -120.0)
FULL: Final = ("rnd_g", "rnd_h", "rnd_total", "rnd_odd", "rnd_ended", "rnd_one", "rnd_bucket")


def random_series() -> Iterator[Given]:
    """Make a few series of each kind: gauges, counters, buckets, one that ended, one without labels, odd values."""
    luck = Random(7)
    for a in LABELS["a"]:
        for b in LABELS["b"]:
            labels = {"a": a, "b": b}
            yield _random("rnd_g", labels, _wandering(luck))
            if labels != {"a": "z", "b": "2"}:
                yield _random("rnd_h", labels, _wandering(luck))
            yield _random("rnd_total", labels, _counted(Asked(thresholds={luck.choice([0.1, 5.0])}), luck))
        yield _random("rnd_odd", {"a": a}, [luck.choice([0.0, 1.0, -2.5, math.inf, -math.inf, math.nan]) for _ in GRID])
        yield _random("rnd_ended", {"a": a}, _wandering(luck)[:180])
        yield from _histogram({METRIC_NAME: "rnd_bucket", "a": a}, Asked(), luck)
    yield _random("rnd_one", {}, _wandering(luck))


def _random(name: str, labels: dict[str, str], values: list[float]) -> Given:
    return LabelSet({METRIC_NAME: name, **labels}), GRID[: len(values)], values


def _wandering(luck: Random) -> list[float]:
    values = [luck.choice([0.0, 10.0, 1000.0])]
    while len(values) < len(GRID):
        values.append(values[-1] + round(luck.gauss(0, 3) * 2**20) / 2**20)
    return values


class Author:
    """Writes expressions whose types fit together, the same ones for the same number. `functions` are those it uses."""

    def __init__(self, number: int, functions: Iterable[str]) -> None:
        self._luck = Random(number)
        known = set(functions)
        self._functions = [FUNCTIONS[name] for name in sorted(known & FUNCTIONS.keys())]
        self._aggregators = [AGGREGATORS[name] for name in sorted(known & AGGREGATORS.keys())]

    def expression(self) -> Expression:
        return self._scalar(3) if self._luck.random() < 0.1 else self._vector(self._luck.randint(2, 4))

    def _vector(self, depth: int) -> Expression:
        kinds = (self._selector, self._call, self._aggregation, self._binary, self._signed)
        return self._luck.choices(kinds, (1, 4, 3, 4, 1))[0](depth - 1) if depth > 0 else self._selector()

    def _selector(self, depth: int = 0, names: Sequence[str] = FULL) -> Selector:
        offset = self._luck.choice(OFFSETS)
        return Selector(
            self._luck.choice(names),
            tuple(self._matcher() for _ in range(self._luck.choice([0, 0, 0, 0, 1, 1, 2]))),
            offset and Number(offset, duration=True),
            self._luck.choice([None] * 8 + [MOMENTS[0] / 1000]),
        )

    def _matcher(self) -> LabelMatcher:
        name = self._luck.choice(sorted(LABELS))
        operator = self._luck.choice(list(Operator))
        value = self._luck.choice([*LABELS[name], *(("x|y", ".*", "[^x]") if operator.value.endswith("~") else ("",))])
        return LabelMatcher(name, operator, value)

    def _matrix(self, depth: int, *, fixed: bool) -> Expression:
        """Give a range; none begins before the series, where 2.42 extrapolates rates otherwise, see `_counted`.

        Only with `fixed` may it be that of a time given by `@`.
        """
        luck = self._luck
        if depth <= 0 or luck.random() < 0.7:
            selector = self._selector()
            window = Number(luck.choice([40.0, 60.0, 300.0, 300.0, 900.0]), duration=True)
            return RangeSelector(selector if fixed else replace(selector, at=None), window)
        inner = self._vector(depth - 1)
        while any(one.concerns(node) for node in walk(inner) for one in KNOWN):  # at one of the steps it may differ
            inner = self._vector(depth - 1)
        window = Number(luck.choice([121.0, 301.0, 1201.0]), duration=True)  # of a subquery in it no step is at its edge
        step, offset = (one and Number(one, duration=True) for one in (luck.choice(STEPS), luck.choice(OFFSETS)))
        return Subquery(inner, window, step, offset, luck.choice([None, None, MOMENTS[0] / 1000]) if fixed else None)

    def _scalar(self, depth: int) -> Expression:
        luck = self._luck
        if depth <= 0 or luck.random() < 0.6:
            return luck.choice([*map(Number, NUMBERS), Call("time"), Call("pi")])
        if luck.random() < 0.5:
            return Call("scalar", (self._vector(depth - 1),))
        operator = luck.choice([one for one, told in OPERATORS.items() if told.purpose is not Purpose.SET])
        compares = OPERATORS[operator].purpose is Purpose.COMPARISON
        return Paren(Binary(operator, self._scalar(depth - 1), self._scalar(depth - 1), compares))

    def _call(self, depth: int) -> Expression:
        luck = self._luck
        functions = [one for one in self._functions if one.result is ValueType.VECTOR]
        told = luck.choices(functions, [3 if ValueType.MATRIX in one.arguments else 1 for one in functions])[0]
        match told.name:
            case "label_replace":
                texts = (
                    luck.choice("abc"),
                    luck.choice(["$1", "new", "", "$1-$2"]),
                    luck.choice("abc"),
                    luck.choice(["(.*)", "x", "(x|y)()", ".+"]),
                )
                return Call(told.name, (self._vector(depth), *map(String, texts)))
            case "label_join":
                return Call(
                    told.name, (self._vector(depth), *map(String, (luck.choice("abc"), "-", *luck.sample("abc", 2))))
                )
            case "sin" | "cos" | "tan":  # of large numbers, the last digits decide
                return Call(told.name, (self._selector(),))
            case "cosh" | "exp" | "sinh":  # 2.42 has its own ways with sums of what is near the largest number
                return Call(told.name, (Call("clamp", (self._vector(depth), Number(-20.0), Number(20.0))),))
            case "histogram_quantile":
                return Call(told.name, (Number(luck.choice([0.5, 0.9, 0.99, 0.0, 1.0, -1.0, 2.0])), self._buckets()))
        count = luck.randint(told.least, len(told.arguments) if told.most is None else told.most)
        types = [told.arguments[min(place, len(told.arguments) - 1)] for place in range(count)]
        # 2.42 moves a range fixed by @ where an argument is not, https://github.com/prometheus/prometheus/pull/13559.
        fixed = ValueType.SCALAR not in types
        return Call(told.name, tuple(self._of(one, depth, fixed=fixed) for one in types))

    def _of(self, type: ValueType, depth: int, *, fixed: bool) -> Expression:
        match type:
            case ValueType.SCALAR:
                return self._scalar(min(depth, 1))
            case ValueType.MATRIX:
                return self._matrix(depth, fixed=fixed)
            case ValueType.STRING:
                return String(self._luck.choice("ab"))
            case _:
                return self._vector(depth)

    def _buckets(self) -> Expression:
        selector = self._selector(names=["rnd_bucket"])
        ranged: Expression = Call(
            self._luck.choice(["rate", "increase"]), (RangeSelector(selector, Number(900.0, duration=True)),)
        )
        return self._luck.choice([selector, ranged, Aggregation("sum", ranged, grouping=("le",))])

    def _aggregation(self, depth: int) -> Expression:
        luck = self._luck
        told = luck.choice(self._aggregators)
        grouping = tuple(luck.sample(["a", "b", "le"], luck.randrange(3)))
        without = luck.random() < 0.3
        match told.name:
            case "topk" | "bottomk":  # which of equal values are taken is not said
                return Aggregation(
                    told.name,
                    self._selector(names=["rnd_g", "rnd_h"]),
                    Number(luck.choice([1.0, 2.0, 4.0])),
                    grouping,
                    without,
                )
            case "count_values":  # the last digits are in a label
                counted = Call("floor", (self._selector(),))
                return Aggregation(told.name, counted, String("value"), grouping, without)
            case "quantile":
                return Aggregation(
                    told.name, self._vector(depth), Number(luck.choice([0.5, 0.9, 0.25, -1.0, 2.0])), grouping, without
                )
        return Aggregation(told.name, self._vector(depth), None, grouping, without)

    def _binary(self, depth: int) -> Expression:
        luck = self._luck
        operator = luck.choice(sorted(OPERATORS))
        purpose = OPERATORS[operator].purpose
        compares = purpose is Purpose.COMPARISON and luck.random() < 0.4
        if operator == "%":  # of large numbers, the last digits are all that is left
            depth = 0
        left, right = self._vector(depth), self._vector(depth)
        if purpose is not Purpose.SET and luck.random() < 0.5:
            scalar = self._scalar(min(depth, 1))
            pair = (left, scalar) if luck.random() < 0.7 else (scalar, right)
            return Paren(Binary(operator, *pair, compares))
        labels = tuple(luck.sample(["a", "b"], luck.randint(0, 2)))
        matching = Matching(luck.random() < 0.5, labels) if luck.random() < 0.7 else Matching()
        if purpose is not Purpose.SET and luck.random() < 0.4:
            include = tuple(one for one in ("a", "b") if luck.random() < 0.3 and not (matching.on and one in labels))
            matching = Matching(matching.on, labels if matching.labels else (), luck.choice(list(Side)), include)
        return Paren(Binary(operator, left, right, compares, matching))

    def _signed(self, depth: int) -> Expression:
        return Unary("-", Paren(self._vector(depth)))


# The tests


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """Judges random expressions."""
    with _judging(random_series()) as judge:
        yield judge


@pytest.fixture(scope="module")
def judge_of_rules() -> Iterator[Judge]:
    with _judging(given for path in RULE_FILES for given in series_for(path)) as judge:
        yield judge


@contextmanager
def _judging(series: Iterable[Given]) -> Iterator[Judge]:
    found, source = {given[0]: given for given in series}, LoadedSource()
    for given in found.values():
        source.add(*given)
    with started_with(found.values()) as oracle:
        yield Judge(oracle, source)


@needs_rules
@pytest.mark.untraced
@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_every_part_of_every_rule_has_the_value_that_prometheus_gives_it(judge_of_rules: Judge, path: Path) -> None:
    parts = {to_text(part): part for tree in rules(path) for part in _evaluable(tree)}
    for part in sorted(parts.values(), key=lambda part: len(list(walk(part)))):
        found = [judge_of_rules.difference(part, moment) for moment in MOMENTS]
        assert not any(found), next(filter(None, found))


@needs_rules
@pytest.mark.untraced
def test_most_rules_have_something_to_tell(judge_of_rules: Judge) -> None:
    """Were the series nothing that the rules ask for, agreement would mean nothing."""
    every = [tree for path in RULE_FILES for tree in rules(path)]
    telling = [tree for tree in every if any(_tells(judge_of_rules.ours(tree, moment)) for moment in MOMENTS)]
    assert len(every) == 954
    assert len(telling) > 0.75 * len(every)


def _tells(outcome: object) -> bool:
    return bool(outcome) and not isinstance(outcome, Exception)


@pytest.fixture(scope="module")
def functions(judge: Judge) -> Sequence[str]:
    """What the server knows, by trying."""
    return [
        name
        for name in (*FUNCTIONS, *AGGREGATORS)
        if name not in LEFT_OUT and "unknown function" not in str(judge.theirs(f"{name}()", 0))
    ]


@pytest.mark.parametrize("number", range(examples(20)))
def test_random_expressions_have_the_values_that_prometheus_gives_them(
    judge: Judge, functions: Sequence[str], number: int
) -> None:
    author = Author(number, functions)
    for _ in range(50):
        tree = author.expression()
        check(tree)
        found = judge.disagreement(tree)
        assert not found, found
        if not any(one.concerns(node) for node in walk(tree) for one in KNOWN):
            found = judge.difference_over_time(tree, Span(MOMENTS[0], MOMENTS[2], 97_000))
            assert not found, found
